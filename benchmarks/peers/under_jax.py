"""purenet under JAX: our own rules and optimizers, compiled by `jit`, a call a step or an epoch in one `scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

import purenet as pn
from benchmarks.contest import Entry
from benchmarks.peers import in_jax
from benchmarks.works import LOSSES, Work


def start(work: Work, params: Any) -> Entry:
    return in_jax.start(work, params, step_of(work), begin(work, params))


def scan(work: Work, params: Any) -> Entry:
    return in_jax.scan(work, params, step_of(work), begin(work, params))


def step_of(work: Work) -> Callable[[Any, Any], Any]:
    """(params, optimizer state), batch -> the same after a step, and the loss."""
    value_and_grad, optimizer = pn.value_and_grad(work.net, LOSSES[work.loss]), optimizer_of(work)

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        E, grads = value_and_grad(params, *batch)
        return optimizer.step(params, grads, state), E

    return step


def begin(work: Work, params: Any) -> Any:
    return jax.tree.map(jax.numpy.array, (params, optimizer_of(work).init(params)))


def optimizer_of(work: Work) -> Any:
    return pn.sgd(work.lr) if work.optimizer == "sgd" else pn.adam(work.lr)
