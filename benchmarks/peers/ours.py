"""purenet, as its README says to use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import purenet as pn
from benchmarks.contest import Entry
from benchmarks.works import LOSSES, Work


def start(work: Work, params: Any, optimizer: Any = None) -> Entry:
    """Without an optimizer, Adam is the one that is quickest for a net of this size."""
    loss, batches = LOSSES[work.loss], work.batches
    value_and_grad = work.spread(pn.value_and_grad(work.net, loss))
    lr = work.lr

    def sgd_epoch() -> None:
        nonlocal params
        for x, target in batches:
            _, grads = value_and_grad(params, x, target)
            params = pn.sgd_step(params, grads, lr)

    if optimizer is None and work.optimizer == "adam":
        optimizer = pn.chain(pn.joined(), pn.adam(lr)) if pn.tree.size(params) < 50_000 else pn.adam(lr)
    state = optimizer and optimizer.init(params)

    def adam_epoch() -> None:
        nonlocal params, state
        for x, target in batches:
            _, grads = value_and_grad(params, x, target)
            params, state = optimizer.step(params, grads, state)

    x, target = batches[0]
    epoch = sgd_epoch if work.optimizer == "sgd" else adam_epoch
    return Entry(epoch, lambda: loss.apply(work.net.apply(params, x), target))


def predict(work: Work, params: Any) -> Callable[[], Any]:
    net, x = work.net, work.batches[0][0][:1].copy()
    return lambda: net.apply(params, x)
