"""Penalties on large weights, as terms of the loss: `value_and_grad(net, loss, l2(1e-4))`.

By default they count the weights with two axes or more, and so leave biases and the scales of normalization layers out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from purenet.engine import Ops, engine_of
from purenet.engine.arrays import Array, weak, widened
from purenet.optimizers import matrices
from purenet.optimizers.update import beside, check_between, check_which
from purenet.values import Call, Value, called, takes_numbers

P = TypeVar("P")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Penalty(Value):
    """A function R of the params alone, with its rule.

    Fields:
        add: `add(params, grads) -> (R, grads)`: its value, and the gradients with dR/dparams added.
        name: the code that makes the penalty.
    """

    add: Callable[[Any, Any], tuple[Any, Any]]
    name: str
    instead = ": value_and_grad takes several, one after another"


@takes_numbers
def l1(rate: float, which: Callable[[Any], bool] = matrices) -> Penalty:
    """R = rate · Σ |w|, dR/dw = rate · sign(w): it makes weights 0."""
    name = _checked(called("l1", locals()), rate, which)
    return _penalty(name, which, lambda ops, w: rate * ops.sum_all(abs(w)), lambda ops, w: ops.sign(w) * rate)


@takes_numbers
def l2(rate: float, which: Callable[[Any], bool] = matrices) -> Penalty:
    """R = rate · Σ w², dR/dw = 2 · rate · w: it makes weights small. `weight_decay=d` in PyTorch's SGD is l2(d / 2).

    >>> import numpy as np, purenet as pn
    >>> pn.l2(0.5).add((np.eye(2),), (np.zeros((2, 2)),))
    (1.0, (array([[1., 0.],
           [0., 1.]]),))
    """
    name = _checked(called("l2", locals()), rate, which)

    def value(ops: Ops, w: Array) -> Any:
        scale, rest = ops.squares([w])
        return rate * scale * (scale * rest)

    return _penalty(name, which, value, lambda ops, w: w * (2 * rate))


def _penalty(
    name: str, which: Callable[[Any], bool], value: Callable[[Ops, Array], Any], slope: Callable[[Ops, Array], Array]
) -> Penalty:
    def add(params: P, grads: P) -> tuple[Any, P]:
        total: Any = 0.0

        def term(p: Any, g: Any) -> Any:
            nonlocal total
            if not which(p):
                return +g
            ops = engine_of(p)
            R = weak(value(ops, widened(p)))
            total = total + (R if isinstance(R, float) else ops.astype(R, p.dtype))
            new = slope(ops, p)
            new += g
            return new

        grads = beside(term, params, grads)
        return total, grads

    return Penalty(add, name)


def _checked(name: Call, rate: float, which: Callable[[Any], bool]) -> Call:
    check_which(name.maker, which)
    check_between(name, high=float("inf"), rate=rate)
    return name
