"""The groups of rows, and what a measured row looks like: a plain dict, as it stands in the JSON."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.contest import OURS, Pace, check, compete, ratios, spread
from benchmarks.peers import load, missing

TRAINING = ("xor", "dense", "lenet", "conv3x3", "fullbatch", "lstm", "transformer")
OTHERS = ("predict", "layers", "startup", "memory", "native")  # a file for each, with `rows(options)`
EVERY = (*TRAINING, *OTHERS)
GROUPS = {
    "xor": "the video's XOR, one sample a step, against the class style",
    "dense": "dense nets from 2-3-2 to 1024-2048-2048-1024, SGD and Adam, with their limits",
    "limits": "the dense rows against the same by hand and bare matrix products alone",
    "crossover": "the same functions on NumPy and under JAX",
    "lenet": "LeNet-5 at batches of 64, 256 and 2,048",
    "conv3x3": "3×3 convolutions with 32 and 64 channels",
    "fullbatch": "a small net on a full batch of 10,000",
    "lstm": "an LSTM over 100 steps",
    "transformer": "two transformer blocks",
    "predict": "one prediction, also by onnxruntime",
    "layers": "single layers, forward and back, beside PyTorch's",
    "startup": "imports, and process start to trained XOR",
    "memory": "peak memory of a training step",
    "native": "purenet under JAX against the same models written in JAX",
}


class Options(NamedTuple):
    """What the command line says about how to measure."""

    threads: int = 1
    pace: Pace = Pace()
    quick: bool = False


def rows_of(group: str, options: Options) -> Iterator[dict[str, Any]]:
    """Measure the rows of a group, one after the other."""
    if group in OTHERS:
        yield from importlib.import_module(f"benchmarks.{group}").rows(options)
        return
    from benchmarks import works

    for work in getattr(works, group)(options.quick):
        present, absent = split(work.peers)
        params = work.init()
        entries = {name: load(name)(work, params) for name in (OURS, *present)}
        losses = check(entries, work.tolerance)
        times = compete({name: entry.epoch for name, entry in entries.items()}, options.pace)
        steps = len(work.batches)
        each = {name: [t / steps for t in found] for name, found in times.items()}
        row = measured(group, work.size, work.title, options.threads, "s a step", each, absent)
        yield {**row, "steps": steps, "losses": {name: [*pair] for name, pair in losses.items()}}


def split(names: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Which contenders can take part, and what the others lack."""
    absent = {name: lacks for name in names if (lacks := missing(name))}
    return [name for name in names if name not in absent], absent


def measured(
    group: str,
    size: str,
    title: str,
    threads: int,
    unit: str,
    values: Mapping[str, Sequence[float]],
    absent: Mapping[str, list[str]],
    ours: str = OURS,
) -> dict[str, Any]:
    """A row from what each round gave for each contender; `ours` is the one that the ratios are to."""
    contenders = {
        name: {
            "value": spread(found)._asdict(),
            "ratio": spread(ratios(values[ours], found))._asdict(),
            "rounds": [*found],
        }
        for name, found in values.items()
    }
    row = {"group": group, "size": size, "row": title, "threads": threads, "unit": unit, "ours": ours}
    return {**row, "contenders": contenders, "missing": {name: [*lacks] for name, lacks in absent.items()}}
