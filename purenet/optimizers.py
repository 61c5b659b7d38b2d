"""Optimizers: pure functions from params and gradients to new params."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from purenet import tree
from purenet.arrays import freeze, weak
from purenet.core import Buffer

P = TypeVar("P")


def sgd_step(params: P, grads: P, lr: Any) -> P:
    """New params, one step of gradient descent: params − lr·grads. The old ones are untouched.

    Raises:
        ValueError: grads are not built like params; the message names where they part.

    >>> import numpy as np
    >>> sgd_step((np.ones(2),), (np.full(2, 0.5),), lr=0.1)
    (array([0.95, 0.95]),)
    """
    rate = -weak(lr)

    def step(p: Any, g: Any) -> Any:
        new = g * rate
        new += p
        return new

    return update(step, params, grads)


def update(step: Callable[..., Any], params: P, grads: P, *rest: Any) -> P:
    """New params, `step(p, g, ...)` of each parameter and its gradient; every optimizer is made of this.

    New params are read-only and keep their dtypes. A buffer takes the next value, which stands in grads.
    """

    def renew(p: Any, g: Any, *others: Any) -> Any:
        kind = type(p)
        if kind is Buffer:
            return tree.map(freeze, g)
        new = step(p, g, *others)
        if new.shape != p.shape:
            raise ValueError("a gradient has another shape than its parameter")
        if new.dtype is not p.dtype:
            new = new.astype(p.dtype)
        if kind is np.ndarray:
            new.setflags(write=False)
            return new
        return freeze(new)

    try:
        return tree.map(renew, params, grads, *rest, leaf_type=Buffer, name="params")
    except (ValueError, AttributeError):
        tree.check_same(params, grads, "params")
        raise
