"""The dense layer: the first one of the video."""

from __future__ import annotations

from typing import NamedTuple

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array
from purenet.initializers import Initializer, glorot_uniform, zeros
from purenet.layers.hints import examples_are_rows, flatten_first, one_feature
from purenet.random import Key
from purenet.spec import Pull, Spec, in_and_out, layer
from purenet.values import Call, called, takes_numbers


class DenseParams(NamedTuple):
    """weight (in, out); bias (out,), or None in a layer without."""

    weight: Array
    bias: Array | None


@takes_numbers
def dense(
    *sizes: int, bias: bool = True, weight_init: Initializer = glorot_uniform, bias_init: Initializer = zeros
) -> Layer[DenseParams]:
    """A dense (fully connected, linear) layer: Y = X · W + B. `dense(in, out)`, or `dense(out)` to infer `in`.

    Shapes: X (..., in), any leading axes; W (in, out); B (out,); Y (..., out).

    The rule, with the batch in rows, is the video's:
        dE/dW = Xᵀ · dE/dY        dE/dB = Σ dE/dY, over the rows        dE/dX = dE/dY · Wᵀ

    Raises:
        ValueError: X has another number of features than W has rows; the params are another layer's.
        TypeError: X and the params differ in dtype.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.dense(2, 3)
    >>> params = layer.init(pn.key(0))
    >>> y, pullback = layer.vjp(params, np.ones((4, 2), np.float32))
    >>> dparams, dx = pullback(np.ones_like(y))
    >>> y.shape, dparams.weight.shape, dparams.bias, dx.shape
    ((4, 3), (2, 3), array([4., 4., 4.], dtype=float32), (4, 2))
    """
    spec = dense_spec(called("dense", locals()), weight_init, bias_init if bias else None)
    return layer(spec, linear, linear_forward, of_matrices=True)


def linear(ops: Ops, params: DenseParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
    """The rule of a dense layer."""
    weight, bias = params
    y = ops.dot(x, weight)
    y = y if bias is None else ops.add_row(y, bias)

    def pull(dy: Array, wrt_x: bool) -> tuple[DenseParams, Array | None]:
        grads = ops.transposed_dot(x, dy), None if bias is None else ops.sum_rows(dy)
        return _as(DenseParams, grads), ops.dot_transposed(dy, weight) if wrt_x else None

    return y, pull


def linear_forward(ops: Ops, params: DenseParams, x: Array, key: Key | None) -> Array:
    """Y of a dense layer, alone."""
    weight, bias = params
    y = ops.dot(x, weight)
    return y if bias is None else ops.add_row(y, bias)


_as = tuple.__new__  # DenseParams(...) in half the time


def dense_spec(name: Call, weight_init: Initializer, bias_init: Initializer | None) -> Spec:
    """The spec of a layer whose params are those of a dense one."""
    inputs, outputs = in_and_out(name.maker, name.args)
    return Spec(
        name,
        x="... inputs",
        y="... outputs",
        params=DenseParams._make(("inputs outputs", "outputs" if bias_init else None)),
        init=DenseParams._make((weight_init, bias_init)),
        sizes={"inputs": inputs, "outputs": outputs},
        complete=f"{name.maker}(inputs, {outputs})",
        hints=(one_feature, flatten_first, examples_are_rows),
    )
