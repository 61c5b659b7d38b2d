"""Start-up: imports, and from the start of a process to a trained XOR net, against PyTorch's import alone.

Each is a fresh process, in turns. From the start of a process means from before it is started; how long it takes to end
does not count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.contest import turns
from benchmarks.rows import Options, measured, split

TIMED = "import time; start = time.time()\n{}\nprint(start, time.time())"
IMPORTS = {  # what is imported, and the contender that it is of
    "import purenet": ("import purenet", "purenet"),
    "import numpy": ("import numpy", "by hand"),
    "import torch": ("import torch", "PyTorch"),
    "import jax": ("import jax.numpy", "JAX, a call a step"),
    "import sklearn": ("import sklearn.neural_network", "scikit-learn"),
    "import autograd": ("import autograd.numpy", "autograd"),
}
TRAINING = """
import numpy as np
import purenet as pn

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
target = np.array([[0], [1], [1], [0]], np.float32)

net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh)
params = net.init(pn.key({key}))
value_and_grad = pn.value_and_grad(net, pn.mse)
for _ in range({epochs}):
    for i in range(0, 4, {batch}):
        E, grads = value_and_grad(params, x[i : i + {batch}], target[i : i + {batch}])
        params = pn.sgd_step(params, grads, lr={lr})
assert pn.mse.apply(net.apply(params, x), target) < 0.001
"""
README = TRAINING.format(key=0, epochs=5000, batch=4, lr=0.5)
VIDEO = TRAINING.format(key=1, epochs=10_000, batch=1, lr=0.1)


def rows(options: Options) -> Iterator[dict[str, Any]]:
    _, absent = split([peer for _, peer in IMPORTS.values()])
    missing = {name: absent[peer] for name, (_, peer) in IMPORTS.items() if peer in absent}
    codes = {name: code for name, (code, _) in IMPORTS.items() if name not in missing}
    codes |= {"README": README} if options.quick else {"README": README, "video": VIDEO}
    inside: dict[str, list[float]] = {name: [] for name in codes}  # in the process, after Python's own start
    whole: dict[str, list[float]] = {name: [] for name in codes}
    for turn in range(0 if options.quick else -1, options.pace.rounds):  # the first turn fills the caches of files
        for name in turns([*codes], turn + 1):
            before = time.time()
            start, end = run(codes[name])
            if turn >= 0:
                inside[name].append(end - start)
                whole[name].append(end - before)

    imports = {name: found for name, found in inside.items() if name in IMPORTS}
    row = "startup", "import", "import", options.threads, "s a process"
    yield measured(*row, imports, missing, ours="import purenet")
    imports = {name: found for name, found in whole.items() if name in IMPORTS and name != "import purenet"}
    for title, size, code in [
        ("process start to trained XOR, as in the README", "trained XOR", "README"),
        ("process start to trained XOR, the video's 10,000 epochs", "trained XOR of the video", "video"),
    ]:
        if code in codes:
            row = "startup", size, title, options.threads, "s a process"
            yield measured(*row, {"purenet": whole[code], **imports}, missing)


def run(code: str) -> tuple[float, float]:
    """When the code began and ended, in a fresh process that may keep bytecode."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", TIMED.format(code)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    start, end = map(float, printed.split())
    return start, end
