"""purenet under JAX against the same models written in JAX: our rules compiled by `jit`, against `jax.grad`.

Both are XLA programs on the same device, so a ratio of 1 says that hand-written rules cost nothing there. To compile
means to trace, lower and compile a training step that was not seen before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.contest import check, compete, turns
from benchmarks.peers import load
from benchmarks.rows import Options, measured, split

WAYS = {  # ours, and the same in JAX
    "a call a step": ("purenet under JAX, a call a step", "JAX, a call a step"),
    "an epoch in scan": ("purenet under JAX, an epoch in scan", "JAX, an epoch in scan"),
}


def rows(options: Options) -> Iterator[dict[str, Any]]:
    for work in works(options.quick):
        size = "native conv" if work.kind in ("lenet", "conv3x3") else "native"
        params, steps = work.init(), len(work.batches)
        for way, (ours, theirs) in WAYS.items():
            present, absent = split([ours, theirs])
            if absent:
                yield measured("native", size, f"{work.title}: {way}", options.threads, "s a step", {}, absent, ours)
                continue
            entries = {name: load(name)(work, params) for name in present}
            check(entries, work.tolerance, ours)
            times = compete({name: entry.epoch for name, entry in entries.items()}, options.pace)
            each = {name: [t / steps for t in found] for name, found in times.items()}
            yield measured("native", size, f"{work.title}: {way}", options.threads, "s a step", each, {}, ours)
        if not absent:
            ours, theirs = WAYS["a call a step"]
            times = compile_times(work, params, {ours: "under_jax", theirs: "in_jax"}, min(options.pace.rounds, 5))
            yield measured("native", "compile", f"{work.title}: compiling", options.threads, "s", times, {}, ours)


def works(quick: bool) -> Iterator[Any]:
    """Some of the training rows; a quick run has time for two."""
    from benchmarks import works

    some = [("64-128-10", "sgd"), ("784-128-10", "adam"), ("784-512-512-10", "sgd")]
    yield from (work for work in works.dense(quick) if (work.size, work.optimizer) in some[: 1 if quick else None])
    yield from works.lstm(quick)
    if not quick:
        yield from works.transformer(quick)
        yield from (work for work in works.lenet(quick) if len(work.batches[0][0]) == 256)
        yield from works.conv3x3(quick)


def compile_times(work: Any, params: Any, files: dict[str, str], rounds: int) -> dict[str, list[float]]:
    import importlib

    import jax

    batch = jax.tree.map(jax.numpy.asarray, work.batches[0])
    times: dict[str, list[float]] = {name: [] for name in files}
    for round_ in range(rounds):
        for name in turns([*files], round_):
            peer = importlib.import_module(f"benchmarks.peers.{files[name]}")
            step, carry = peer.step_of(work), peer.begin(work, params)
            jax.clear_caches()
            start = time.perf_counter()
            jax.jit(step).lower(carry, batch).compile()
            times[name].append(time.perf_counter() - start)
    return times
