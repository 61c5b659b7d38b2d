"""`weighted(loss)`: the same loss, with a weight for each example, or for each part of one."""

from __future__ import annotations

import math
from typing import Any

from purenet import tree
from purenet.core import Loss
from purenet.engine import Ops, engine_of, joined_by
from purenet.engine.arrays import Array, NumpyArray, describe, describe_all, weak
from purenet.losses.rules import Unsummed
from purenet.spec.guard import GuardedLoss, guarded
from purenet.values import call, hinted


@hinted
def weighted(loss: Loss) -> Loss:
    """The loss with a target (T, w), where w is a weight for each example: E = Σ w·Eᵢ / Σ w, where Eᵢ is the loss of
    example i alone, its mean; dE/dY is each example's own times w / Σ w. With reduction="sum", E = Σ w·Eᵢ.

    w has the first axis of Y, or more of them: for Y (batch, time, classes) it is (batch,) or (batch, time), such as a
    mask of padding; for a loss that compares element by element it may have all. It is not differentiated. This is the
    mean of scikit-learn's `sample_weight`, and PyTorch's for a class's weight, as in w = class_weight[labels].

    Of several batches `evaluate` and `in_chunks` take the mean by their examples, not by their Σ w.

    Raises:
        TypeError: a loss that is not one of this library's; a target that is no (T, w).
        ValueError: w of another shape, or, for a mean, with Σ w = 0.

    >>> import numpy as np, purenet as pn
    >>> y, target, weight = np.array([[1.0], [3.0]]), np.zeros((2, 1)), np.array([3.0, 1.0])
    >>> E, pullback = pn.weighted(pn.mse).vjp(y, (target, weight))
    >>> float(E), pullback()
    (3.0, array([[1.5],
           [1.5]]))
    """
    inner = guarded(loss) if isinstance(loss, Loss) else None
    if not isinstance(inner, GuardedLoss) or inner.costs is None:
        given = loss.name if isinstance(loss, Loss) else describe(loss)
        raise TypeError(f"weighted takes a loss of this library that tells what each example costs, not {given}")
    if inner.reduction == "none":
        raise ValueError(
            f"weighted takes a loss that is one number, not {loss.name}: multiply what that gives yourself"
        )
    name, costs, mean = call("weighted", loss), inner.costs, inner.reduction == "mean"

    def check(y: Any, target: Any) -> tuple[Ops, Any, Any]:
        if type(target) is not tuple or len(target) != 2:
            raise TypeError(f"{name} takes a target (t, weight), not {describe_all(target)}")
        ops, y, t = inner.check(y, target[0])
        w = target[1]
        if not engine_of(w, f"{name}'s weight").isdtype(w.dtype, ("real floating", "integral", "bool")):
            raise TypeError(f"{name} takes weights that are real numbers, not {describe(w)}")
        shape = tree.leaves(y)[0].shape
        most = tuple(shape[:-1] if costs == "rows" else shape)
        if not w.ndim or tuple(w.shape) != most[: w.ndim]:
            axes = " or ".join(str(most[:n]) for n in range(1, len(most) + 1))
            raise ValueError(f"{name} takes a weight of shape {axes} for this y, but it has shape {tuple(w.shape)}")
        ops = joined_by(ops, [w])
        return ops, *tree.map(ops.take_in, (y, (t, w)))

    def some_weight(w: NumpyArray) -> None:
        if not w.sum():
            raise ValueError(f"{name} has no mean: the weights add up to 0")

    def rule(ops: Ops, y: Any, target: tuple[Any, Array]) -> tuple[Array, Any]:
        t, w = target
        if mean:
            ops.look(some_weight, w)
        part = y[0] if type(y) is tuple else y
        w = ops.reshape(ops.astype(w, part.dtype), (*w.shape, *[1] * (part.ndim - w.ndim)))
        scale = w * (math.prod(w.shape) / ops.sum_all(w)) if mean else w
        each, pull = inner.rule(Unsummed(ops), y, t)
        return ops.sum_all(each * scale), lambda dE: pull(scale * weak(dE))

    both = GuardedLoss(check, rule, inner.reduction)
    return Loss(both.apply, both.vjp, name)
