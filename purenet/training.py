"""The gradient of a loss for the parameters of a net."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from purenet.arrays import describe
from purenet.core import Layer, Loss
from purenet.introspection import first_not_finite
from purenet.penalties import Penalty
from purenet.random import Key

P = TypeVar("P")


def value_and_grad(
    net: Layer[P], loss: Loss, *penalties: Penalty, check_finite: bool = False
) -> Callable[..., tuple[Any, P]]:
    """The function `(params, x, target, key=None) -> (E, grads)`: a loss and its gradient for every parameter.

    Penalties are further terms of E: `value_and_grad(net, mse, l2(1e-4))`.

    With `check_finite=True` it raises ValueError when E is NaN or infinite, and names what was so first: the input,
    the target, a parameter or the output of a layer.

    >>> import numpy as np, purenet as pn
    >>> net = pn.dense(2, 1)
    >>> params = net.init(pn.key(0))
    >>> x, target = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> E, grads = pn.value_and_grad(net, pn.mse)(params, x, target)
    >>> grads.weight.shape
    (2, 1)
    """
    if not isinstance(net, Layer) or not isinstance(loss, Loss):
        raise TypeError(f"value_and_grad takes a layer and a loss, not {describe(net)} and {describe(loss)}")
    for penalty in penalties:
        if not isinstance(penalty, Penalty):
            raise TypeError(f"value_and_grad takes penalties after the loss, not {describe(penalty)}: write l2(1e-4)")

    def evaluate(params: P, x: Any, target: Any, key: Key | None = None) -> tuple[Any, P]:
        y, pullback = net.vjp(params, x, key)
        E, loss_pullback = loss.vjp(y, target)
        if check_finite and not math.isfinite(E):
            raise ValueError(f"{loss.name} is {E}: {first_not_finite(net, params, x, target, key)}")
        grads, _ = pullback(loss_pullback(), wrt_x=False)
        for penalty in penalties:
            more, grads = penalty.add(params, grads)
            E = E + more
        return E, grads

    return evaluate
