"""Dense layers of signs: weights and inputs that are −1 or 1."""

from __future__ import annotations

from typing import Any

from purenet.core import Layer, Pullback
from purenet.engine.arrays import Shape, astype, describe, floating, meet, namespace
from purenet.initializers import Initializer, glorot_uniform
from purenet.layers.dense import DenseParams, dense
from purenet.random import Key


def binary_dense(
    *sizes: int, bias: bool = True, binary_input: bool = True, weight_init: Initializer = glorot_uniform
) -> Layer[DenseParams]:
    """A dense layer of signs: Y = sign(X) · sign(W) + B, with sign(0) = 1. `binary_dense(in, out)`, or `(out)`.

    The weights W that are kept and trained are real. X (..., in); W (in, out); B (out,); Y (..., out). With
    `binary_input=False`, for a first layer, X stays as it is.

    The rule is deliberately not the derivative, which is 0 wherever there is one. It is the straight-through
    estimator: each sign counts as the identity where its argument is in [−1, 1], and as constant elsewhere:

        dE/dW = (sign(X)ᵀ · dE/dY) ⊙ [|W| ≤ 1]      dE/dB = Σ dE/dY      dE/dX = (dE/dY · sign(W)ᵀ) ⊙ [|X| ≤ 1]

    That is the derivative with each sign, one at a time, replaced by hard_tanh; the tests compare it with that.
    BinaryNet moreover cuts the weights to [−1, 1] after each step. Nothing does that here: a weight that has left the
    interval has no gradient and keeps its sign, unless you cut the params yourself.

    M. Courbariaux et al., "Binarized neural networks", NeurIPS 2016; with `binary_input=False`, M. Courbariaux,
    Y. Bengio, J.-P. David, "BinaryConnect", NeurIPS 2015.

    >>> import numpy as np, purenet as pn
    >>> params = pn.binary_dense(2, 1).init(pn.key(0))._replace(weight=np.array([[0.3], [-1.7]]), bias=np.zeros(1))
    >>> y, pullback = pn.binary_dense(2, 1).vjp(params, np.array([[0.5, -4.0]]))
    >>> dparams, dx = pullback(np.ones((1, 1)))
    >>> y, dparams.weight, dx
    (array([[2.]]), array([[1.],
           [0.]]), array([[1., 0.]]))
    """
    inner = dense(*sizes, bias=bias, weight_init=weight_init)
    options = "".join(f", {option}=False" for option, on in [("bias", bias), ("binary_input", binary_input)] if not on)
    name = f"binary_dense({', '.join(map(str, sizes))}{options})"

    def shape(in_shape: Shape | None) -> Shape | None:
        return inner.shape(in_shape)

    def init(key: Key, in_shape: Shape | None = None) -> DenseParams:
        return inner.init(key, in_shape)

    def signs(params: DenseParams, x: Any) -> tuple[Any, DenseParams, Any]:
        """x, and the params and x with signs in their places."""
        floating(x, name)
        if type(params) is not DenseParams:
            raise ValueError(f"{name} takes DenseParams(weight, bias), not {describe(params)}")
        x = meet(x, params.weight)
        return x, params._replace(weight=_sign(params.weight)), _sign(x) if binary_input else x

    def apply(params: DenseParams, x: Any, key: Key | None = None) -> Any:
        return inner.apply(*signs(params, x)[1:])

    def vjp(params: DenseParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[DenseParams]]:
        x, binary, x_sign = signs(params, x)
        xp = namespace(x)
        y, pull = inner.vjp(binary, x_sign)

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[DenseParams, Any]:
            dparams, dx = pull(dy, wrt_x)
            if wrt_x and binary_input:
                dx = xp.where(xp.abs(x) <= 1, dx, 0)
            return dparams._replace(weight=xp.where(xp.abs(params.weight) <= 1, dparams.weight, 0)), dx

        return y, pullback

    return Layer(init, apply, vjp, shape, name)


def _sign(x: Any) -> Any:
    return astype(x >= 0, x.dtype) * 2 - 1
