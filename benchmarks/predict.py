"""One prediction: a single row in, the logits out, and nothing left to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.contest import OURS, DisagreementError, compete
from benchmarks.peers import load
from benchmarks.rows import Options, measured, split
from benchmarks.works import Work, dense, lenet

PEERS = ("PyTorch", "JAX, a call a step", "onnxruntime", "scikit-learn")


def rows(options: Options) -> Iterator[dict[str, Any]]:
    for work in works(options.quick):
        yield one(work, PEERS[:2] if work.kind == "lenet" else PEERS, options)


def works(quick: bool) -> Iterator[Work]:
    for size in ("64-128-10", "784-512-512-10"):
        yield next(work for work in dense(quick) if work.size == size)
    yield next(lenet(quick))


def title(work: Work) -> str:
    return f"one prediction, {'LeNet-5' if work.kind == 'lenet' else f'{work.size} {work.hidden}'}"


def one(work: Work, peers: tuple[str, ...], options: Options) -> dict[str, Any]:
    present, absent = split(peers)
    params = work.init()
    runs = {name: load(name, "predict")(work, params) for name in (OURS, *present)}
    agree({name: np.asarray(run()) for name, run in runs.items()})
    times = compete(runs, options.pace)
    return measured("predict", f"predict {work.size}", title(work), options.threads, "s a call", times, absent)


def agree(outputs: dict[str, Any], tolerance: float = 1e-5) -> None:
    """Check the outputs against ours. (scikit-learn gives probabilities: one of its calls has the softmax in it.)"""
    for name, y in outputs.items():
        ours = outputs[OURS]
        if name == "scikit-learn":
            ours = np.exp(ours) / np.exp(ours).sum()
        if not np.abs(y - ours).max() <= tolerance * np.abs(ours).max():
            raise DisagreementError(f"{name} predicts {y}, but {OURS} {ours}")
