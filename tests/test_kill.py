"""A run killed at any moment and resumed ends bit-identical to one never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import purenet as pn
from tests.kit import momentum, noise

STEPS, KILLS = 60, 21
ROOT = Path(__file__).parents[1]
HIDDEN = 2000  # large enough that about half of the time goes into writing: 1.2 MB for each state


def work(folder: str) -> None:
    """Train, resuming from what is in the folder; every step is kept. Runs in a process of its own."""
    x = pn.random.normal(pn.key(1), (90, 64))
    target = x[:, :10] ** 2
    net = pn.serial(pn.dense(64, HIDDEN), pn.tanh, noise(0.1), pn.dense(10))
    optimizer = momentum(0.01)
    key, init_key = pn.split(pn.key(2))
    params = net.init(init_key)
    run = pn.checkpoints(Path(folder) / "run", every=1, keep=2)
    state = run.load(pn.start(optimizer, params, key))
    print("resumed at", state.step if state else 0, flush=True)
    options = {"key": key, "epochs": STEPS // 3, "resume": state}
    data = lambda key: pn.data.batches(key, x, target, size=32)  # noqa: E731
    for state in pn.train(net, pn.mse, optimizer, params, data, **options):
        run.save(state)
    pn.save(Path(folder) / "end.npz", state)


def begin(folder):
    """A process that trains, and the step that it resumed at."""
    code = "import sys; from tests.test_kill import work; work(sys.argv[1])"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", code, folder]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE)
    with process.stdout as printed:
        return process, int(printed.readline().removeprefix("resumed at"))


def test_killed_runs_end_like_one_never_killed(tmp_path):
    process, _ = begin(tmp_path / "whole")
    began = time.perf_counter()
    assert process.wait(120) == 0
    duration = time.perf_counter() - began
    expected = (tmp_path / "whole" / "end.npz").read_bytes()

    kills = in_the_write = resumed = ended = 0
    alive = True
    while kills < KILLS or alive:
        folder = tmp_path / f"killed {ended}"
        process, step = begin(folder)
        resumed += step > 0
        if kills < KILLS:
            time.sleep(random.uniform(0, duration / 5))
            process.kill()  # SIGKILL, unless it has ended
        alive = process.wait(120) == -signal.SIGKILL
        if alive:
            kills += 1
            in_the_write += any(folder.glob("run/*.tmp"))
        else:
            assert process.returncode == 0
            assert (folder / "end.npz").read_bytes() == expected
            ended += 1
    print(f"{kills} kills, {in_the_write} of them during a write; {resumed} resumptions; {ended} runs to the end")
    assert in_the_write > 0
    assert resumed > 0


def test_the_run_does_depend_on_what_is_kept(tmp_path):
    """So that the test above can fail: another momentum, another key or another batch ends in other bits."""
    net = pn.serial(pn.dense(2, 3), noise(0.1), pn.dense(1))
    x = pn.random.normal(pn.key(1), (8, 2))
    params, optimizer = net.init(pn.key(0)), momentum(0.01)
    batches = lambda key: pn.data.batches(key, x, x[:, :1], size=3)  # noqa: E731

    def end(resume):
        run = pn.train(net, pn.mse, optimizer, params, batches, key=pn.key(1), epochs=2, resume=resume)
        return list(run)[-1].params[0].weight

    whole = list(pn.train(net, pn.mse, optimizer, params, batches, key=pn.key(1), epochs=2))
    state = whole[1]
    assert np.array_equal(end(state), whole[-1].params[0].weight)
    for change in ({"optimizer_state": optimizer.init(params)}, {"key": pn.key(5)}, {"batch": 1}, {"epoch": 1}):
        assert not np.array_equal(end(state._replace(**change)), whole[-1].params[0].weight), change
