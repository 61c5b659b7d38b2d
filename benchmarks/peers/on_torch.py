"""purenet on PyTorch's tensors: our own rules and optimizers, on the engine that is asked for by `engine="torch"`."""

from __future__ import annotations

from typing import Any

import purenet as pn
from benchmarks.contest import Entry
from benchmarks.peers import ours
from benchmarks.works import Work


def start(work: Work, params: Any) -> Entry:
    batches = pn.to_engine(work.batches, "torch")
    alone = work._replace(batches=batches, spread=lambda value_and_grad: value_and_grad)  # PyTorch has its own threads
    return ours.start(alone, pn.to_engine(params, "torch"), pn.adam(work.lr) if work.optimizer == "adam" else None)
