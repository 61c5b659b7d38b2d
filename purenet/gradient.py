"""E and its gradient for every parameter, by the rules of a net and of a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy import ndarray

from purenet.core import Layer, Loss
from purenet.engine.arrays import describe
from purenet.introspection import first_not_finite
from purenet.penalties import Penalty
from purenet.random import Key

P = TypeVar("P")
Evaluate = Callable[..., tuple[Any, P]]


def value_and_grad(
    net: Layer[P], loss: Loss, *penalties: Penalty, check_finite: bool = False
) -> Callable[..., tuple[Any, P]]:
    """The function `(params, x, target, key=None) -> (E, grads)`: a loss and its gradient for every parameter.

    Penalties are further terms of E: `value_and_grad(net, mse, l2(1e-4))`. Without a key the layers work as in
    inference: dropout drops nothing, and batch norm's running statistics stay as they are.

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
        mend = "" if isinstance(loss, Loss) or not callable(loss) else ": make one of it, Loss(apply, vjp, name)"
        raise TypeError(f"value_and_grad takes a layer and a loss, not {describe(net)} and {describe(loss)}{mend}")
    for penalty in penalties:
        if not isinstance(penalty, Penalty):
            raise TypeError(f"value_and_grad takes penalties after the loss, not {describe(penalty)}: write l2(1e-4)")

    net_vjp, loss_vjp = net.vjp, loss.vjp

    def evaluate(params: P, x: Any, target: Any, key: Key | None = None) -> tuple[Any, P]:
        y, pullback = net_vjp(params, x, key)
        E, loss_pullback = loss_vjp(y, target)
        if not isinstance(E, np.generic) and getattr(E, "shape", ()) != ():
            raise ValueError(f"{loss.name} gives {describe(E)}, but a loss is one number: take its mean or its sum")
        if check_finite and not math.isfinite(E):
            raise ValueError(f"{loss.name} is {E}: {first_not_finite(net, params, x, target, key)}")
        dy = loss_pullback()
        try:
            grads, _ = pullback(dy, False)
        except (TypeError, ValueError):
            if hasattr(y, "shape") and getattr(dy, "shape", None) != y.shape:
                raise ValueError(
                    f"the pullback of {loss.name} gives {describe(dy)} for a Y of shape {tuple(y.shape)}"
                ) from None
            raise
        for penalty in penalties:
            more, grads = penalty.add(params, grads)
            E = E + more
        return E, grads

    return evaluate if check_finite or penalties else _in_one_go(net, loss, evaluate)


def _in_one_go(net: Layer[P], loss: Loss, plain: Evaluate[P]) -> Evaluate[P]:
    """`plain`, a function `(params, x, target, key=None) -> (E, grads)`, made quicker for matrices of NumPy.

    The net must be a chain of layers that have `through(rest, place, wrt_x)`. That gives a function
    `run(params, x, target, grads) -> dx`, which computes Y by params[place], lets `rest`, such a function too, compute
    dE/dY from Y, and sets grads[place]. So the layers call each other, each the next one, and the last one the loss: on
    the way back each layer still has its X, Y and params at hand, and nothing must be wrapped up for it.

    What is unusual goes the plain way, be it wrong or not: `through` raises, whatever it is, and the layers' own `vjp`
    check and explain it, to the same bits.
    """
    layers = ()
    throughs = [None for layer in layers]
    count, loss_vjp = len(layers), loss.vjp
    if not layers or None in throughs:
        return plain

    def run(params: Any, y: Any, target: Any, grads: list[Any]) -> Any:
        E, pull = loss_vjp(y, target)
        dy = pull()
        if not isinstance(E, np.generic) or type(dy) is not ndarray or dy.shape != y.shape or dy.dtype is not y.dtype:
            raise ValueError
        grads.append(E)
        return dy

    for place in reversed(range(count)):
        run = throughs[place](run, place, place > 0)

    def evaluate(params: Any, x: Any, target: Any, key: Any = None) -> tuple[Any, Any]:
        if type(x) is ndarray and x.ndim == 2 and x.dtype.kind == "f" and type(params) is tuple:
            grads = list(params)
            try:
                run(params, x, target, grads)
                E = grads.pop()
                if len(grads) == count:
                    return E, tuple(grads)
            except Exception:  # of a very deep chain: Python's stack has an end
                pass
        return plain(params, x, target, key)

    return evaluate
