"""Dense layers of signs: weights and inputs that are −1 or 1."""

from __future__ import annotations

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, NumpyArray
from purenet.initializers import Initializer, glorot_uniform, zeros
from purenet.layers.dense import DenseParams, dense_spec
from purenet.random import Key
from purenet.spec import Pull, layer
from purenet.values import called, takes_numbers


@takes_numbers
def binary_dense(
    *sizes: int, bias: bool = True, binary_input: bool = True, weight_init: Initializer = glorot_uniform
) -> Layer[DenseParams]:
    """A dense layer of signs: Y = sign(X) · sign(W) + B, with sign(0) = 1. `binary_dense(in, out)`, or `(out)`.

    Of data from 0 up all signs are 1, and nothing can be learnt from them: make them 2·x − 1. NumPy refuses a batch of
    them; JAX cannot look.

    The weights W that are kept and trained are real. X (..., in); W (in, out); B (out,); Y (..., out). With
    `binary_input=False`, for a first layer, X stays as it is.

    The rule is deliberately not the derivative, which is 0 wherever there is one. It is the straight-through
    estimator: each sign counts as the identity where its argument is in [−1, 1], and as constant elsewhere:

        dE/dW = (sign(X)ᵀ · dE/dY) ⊙ [|W| ≤ 1]      dE/dB = Σ dE/dY      dE/dX = (dE/dY · sign(W)ᵀ) ⊙ [|X| ≤ 1]

    That is the derivative with each sign, one at a time, replaced by hard_tanh; the tests compare it with that.
    BinaryNet moreover cuts the weights to [−1, 1] after each step. Nothing does that here: a weight that has left the
    interval has no gradient and keeps its sign, unless you cut the params yourself.

    Raises:
        ValueError: X holds several examples, and goes from 0 up.

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
    name = called("binary_dense", locals())

    def sign(ops: Ops, x: Array) -> Array:
        return ops.astype(x >= 0, x.dtype) * 2 - 1

    def within(ops: Ops, x: Array, gradient: Array) -> Array:
        """The gradient where x is in [−1, 1], else 0."""
        return ops.where(ops.abs(x) <= 1, gradient, 0)

    def rule(ops: Ops, params: DenseParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        weight, b = params
        weight_sign, x_sign = sign(ops, weight), sign(ops, x) if binary_input else x
        y = ops.dot(x_sign, weight_sign)
        y = y if b is None else ops.add_row(y, b)

        def pull(dy: Array, wrt_x: bool) -> tuple[DenseParams, Array | None]:
            dweight = within(ops, weight, ops.transposed_dot(x_sign, dy))
            grads = DenseParams(dweight, ops.sum_rows(dy) if bias else None)
            if not wrt_x:
                return grads, None
            dx = ops.dot_transposed(dy, weight_sign)
            return grads, within(ops, x, dx) if binary_input else dx

        return y, pull

    def both_signs(x: NumpyArray) -> None:
        if len(x) > 1 and x.size and x.min() == 0 < x.max():
            raise ValueError(
                f"{name} takes the signs of x, with sign(0) = 1, but x goes from 0 to {x.max():g}, so that all are 1: "
                "write 2 * x - 1 for data from 0 to 1, or binary_input=False for a first layer"
            )

    spec = dense_spec(name, weight_init, zeros if bias else None)
    return layer(spec._replace(values=both_signs) if binary_input else spec, rule)
