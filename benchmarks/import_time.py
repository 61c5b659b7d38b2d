"""How long `import purenet` takes over NumPy's own import, in fresh processes.

The two are run in turns. Each process times its own import, so that the start of Python is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

GOAL = 30.0
TIMED = "import time; start = time.perf_counter(); import {}; print(1000 * (time.perf_counter() - start))"


def milliseconds(module: str, bytecode: str) -> float:
    """How long one fresh process takes to import the module, with its bytecode at hand as it is once installed."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", TIMED.format(module)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks import_time", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="how many processes of each kind (default 21)")
    rounds = parser.parse_args(arguments).rounds
    modules = ("numpy", "numpy, purenet")
    times: dict[str, list[float]] = {module: [] for module in modules}
    with tempfile.TemporaryDirectory() as bytecode:
        for turn in range(-1, rounds):  # the first turn fills the caches: bytecode, and files in memory
            for module in modules:
                taken = milliseconds(module, bytecode)
                if turn >= 0:
                    times[module].append(taken)
    medians = [statistics.median(times[module]) for module in modules]
    for module, median in zip(modules, medians, strict=True):
        low, *_, high = statistics.quantiles(times[module], n=4)
        print(f"import {module:<16} {median:6.1f} ms   (quartiles {low:.1f} to {high:.1f}, {rounds} processes)")
    over = statistics.median(both - alone for alone, both in zip(*times.values(), strict=True))
    print(
        f"purenet over NumPy      {over:6.1f} ms   goal: at most {GOAL:.0f} ms, {'met' if over <= GOAL else 'missed'}"
    )
