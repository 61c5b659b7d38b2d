"""purenet on PyTorch's tensors: our own rules and optimizers, on the engine that is asked for by `engine="torch"`; and
a step of them by `torch_compile`."""

from __future__ import annotations

from typing import Any

import purenet as pn
from benchmarks.contest import Entry
from benchmarks.peers import ours
from benchmarks.works import LOSSES, Work


def start(work: Work, params: Any) -> Entry:
    batches = pn.to_engine(work.batches, "torch")
    alone = work._replace(batches=batches, spread=lambda value_and_grad: value_and_grad)  # PyTorch has its own threads
    return ours.start(alone, pn.to_engine(params, "torch"), pn.adam(work.lr) if work.optimizer == "adam" else None)


def compiled(work: Work, params: Any) -> Entry:
    value_and_grad, loss = pn.value_and_grad(work.net, LOSSES[work.loss]), LOSSES[work.loss]
    optimizer = pn.adam(work.lr) if work.optimizer == "adam" else pn.sgd(work.lr)

    @pn.torch_compile
    def step(params: Any, state: Any, x: Any, target: Any) -> Any:
        _, grads = value_and_grad(params, x, target)
        return optimizer.step(params, grads, state)

    params, batches = pn.to_engine((params, work.batches), "torch")
    state = optimizer.init(params)

    def epoch() -> None:
        nonlocal params, state
        for x, target in batches:
            params, state = step(params, state, x, target)

    x, target = batches[0]
    return Entry(epoch, lambda: loss.apply(work.net.apply(params, x), target))
