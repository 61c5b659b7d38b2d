"""Peak memory of a training step: how far the resident memory of a process rises above what it was before.

A process for each contender. Before means: with everything imported and the batch in memory, and after a tiny net was
trained for two steps, which loads what a library loads at its first step. What rises then is all that training needs:
weights, gradients, the optimizer's state, activations, workspace, and for JAX the compiler. The numbers hardly differ
from one process to the next, so three rounds are enough. Resident memory is what all libraries have in common, whoever
allocates; it needs Linux (/proc).
"""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.contest import OURS, turns
from benchmarks.peers import load
from benchmarks.rows import Options, measured, split

ROUNDS = 3
STEPS = 5
PROCESS = Path("/proc/self")
NETS = {"lenet": "LeNet-5", "784-512-512-10": "784-512-512-10 relu"}
PEERS = {"lenet": ("PyTorch", "JAX, a call a step"), "784-512-512-10": ("by hand", "PyTorch", "JAX, a call a step")}


def rows(options: Options) -> Iterator[dict[str, Any]]:
    if not (PROCESS / "clear_refs").exists():
        print("memory: not measured, since this needs Linux's /proc", file=sys.stderr)
        return
    for size, title in NETS.items():
        present, absent = split(PEERS[size])
        names = [OURS, *present]
        peaks: dict[str, list[float]] = {name: [] for name in names}
        for round_ in range(min(options.pace.rounds, ROUNDS)):
            for name in turns(names, round_):
                peaks[name].append(megabytes(size, name, options.quick))
        title = f"peak memory of a training step, {title}, batch {len(batch_of(size, options.quick)[1])}, Adam"
        yield measured("memory", f"memory {size}", title, options.threads, "MB", peaks, absent)


def megabytes(size: str, name: str, quick: bool) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", size, name, *(["quick"] if quick else [])]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def batch_of(size: str, quick: bool) -> tuple[Any, Any]:
    """The work with one batch, and that batch's target."""
    from benchmarks.works import dense, lenet

    found = [work for make in (lenet, dense) for work in make(quick) if work.size == size and work.optimizer == "adam"]
    work = found[min(1, len(found) - 1)] if size == "lenet" else found[0]  # LeNet's middle batch, 256
    work = work._replace(batches=work.batches[:1])
    return work, work.batches[0][1]


def measure(size: str, name: str, quick: bool) -> float:
    """How many megabytes this process rises by."""
    start = load(name)
    work, _ = batch_of(size, quick)
    tiny, _ = batch_of("2-3-2", quick)
    for _ in range(2):
        start(tiny, tiny.init()).epoch()
    gc.collect()
    if hasattr(ctypes.CDLL(None), "malloc_trim"):  # what making the data has freed would be used again, unseen
        ctypes.CDLL(None).malloc_trim(0)
    before = status("VmRSS")
    (PROCESS / "clear_refs").write_text("5")  # the peak counts from here
    entry = start(work, work.init())
    for _ in range(STEPS):
        entry.epoch()
    return (status("VmHWM") - before) * 1024 / 1e6


def status(field: str) -> int:
    """A line of /proc/self/status, in kB."""
    lines = (PROCESS / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


if __name__ == "__main__":
    print(measure(sys.argv[1], sys.argv[2], "quick" in sys.argv[3:]))
