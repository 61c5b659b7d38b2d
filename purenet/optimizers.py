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
    # NumPy multiplies by an array of no axes in half the time that it takes for a Python number
    quick = np.asarray(rate, np.float32) if isinstance(rate, float) else rate

    def step(p: Any, g: Any) -> Any:
        new = g * (quick if g.dtype is _FLOAT32 else rate)
        new += p
        return new

    return update(step, params, grads)


def update(step: Callable[[Any, Any], Any], params: P, grads: P) -> P:
    """New params, `step(p, g)` of each parameter and its gradient; every optimizer ends in this.

    New params are read-only and keep their dtypes. A buffer takes its next value, which stands in grads.
    """

    def renew(p: Any, g: Any) -> Any:
        new = step(p, g)
        if new.shape != p.shape:
            raise ValueError("a gradient has another shape than its parameter")
        return freeze(new if new.dtype == p.dtype else new.astype(p.dtype))

    def walk(p: Any, g: Any) -> Any:
        # what `tree.map` would do, for the usual case and faster than the arithmetic of a small net
        kind = type(p)
        if kind is np.ndarray:
            new = step(p, g)
            if type(new) is np.ndarray and new.shape == p.shape and new.dtype is p.dtype:
                new.setflags(write=False)
                return new
        elif kind is Buffer:
            return tree.map(freeze, g)
        elif isinstance(p, tuple) and kind is type(g) and len(p) == len(g):
            return tuple.__new__(kind, map(walk, p, g))
        return tree.map(walk if tree.is_node(p) else renew, p, g, leaf_type=Buffer)

    try:
        return walk(params, grads)  # type: ignore[no-any-return]
    except (ValueError, TypeError, AttributeError):
        tree.check_same(params, grads, "params")
        raise


_FLOAT32 = np.dtype(np.float32)
