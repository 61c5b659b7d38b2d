"""The dense layer: the first one of the video."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from numpy import ndarray

from purenet.arrays import (
    FLOAT32,
    Array,
    Shape,
    add_to_rows,
    check_in_shape,
    describe,
    dot,
    dot_transposed,
    floating,
    match,
    namespace,
    ones,
    rows,
    sum_leading,
    transposed_dot,
    whose,
)
from purenet.core import Layer, Pullback, mark
from purenet.initializers import Initializer, draw, glorot_uniform, zeros
from purenet.random import Key, split


class DenseParams(NamedTuple):
    """weight (in, out); bias (out,), or None in a layer without."""

    weight: Array
    bias: Array | None


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
    if not 1 <= len(sizes) <= 2:
        raise TypeError(f"dense takes (in, out) or (out), not {len(sizes)} sizes")
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"dense takes sizes that are positive integers, not {size!r}")
    inputs, outputs = sizes if len(sizes) == 2 else (None, sizes[0])
    name = f"dense({', '.join(map(str, sizes))}{'' if bias else ', bias=False'})"

    def shape(in_shape: Shape | None) -> Shape | None:
        if in_shape is None:
            return (..., outputs)
        if len(in_shape) < 1 or inputs not in (None, in_shape[-1]):
            raise ValueError(f"{name} takes {inputs} features, but its input has shape (batch, {_axes(in_shape)})")
        return (*in_shape[:-1], outputs)

    def init(key: Key, in_shape: Shape | None = None) -> DenseParams:
        check_in_shape(in_shape, name)
        shape(in_shape)
        features = inputs if in_shape is None else in_shape[-1]
        if features is None:
            raise ValueError(
                f"{name} does not know how many inputs it has: "
                f"write dense(inputs, {outputs}), or init(key, in_shape=(inputs,))"
            )
        weight_key, bias_key = split(key)
        weight = draw(weight_init, weight_key, (features, outputs), name)
        return DenseParams(weight, draw(bias_init, bias_key, (outputs,), name) if bias else None)

    def apply(params: DenseParams, x: Any, key: Key | None = None) -> Any:
        if type(params) is DenseParams and type(x) is ndarray and x.ndim == 2:
            weight: Any
            weight, b = params  # the usual case, with as few calls as can be: it is the hot path
            n, features = x.shape
            fits = weight.dtype is x.dtype and weight.shape == (features, outputs) and (b is None) is not bias
            if fits and type(weight) is ndarray:
                if n >= 64:
                    y = dot(x, weight)
                    return add_to_rows(y, b) if bias else y
                y = x.dot(weight)
                if bias:
                    plain = y[0] if n == 1 else y  # a vector to a vector in half the time
                    plain += b
                return y
        weight, b = _checked(name, params, x, outputs, bias)
        y = dot(rows(x), weight)
        y = add_to_rows(y, b) if bias else y
        return y if x.ndim == 2 else namespace(y).reshape(y, (*x.shape[:-1], outputs))

    def vjp(params: DenseParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[DenseParams]]:
        y = apply(params, x)
        y_shape, dtype = y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[DenseParams, Any]:
            if type(dy) is not ndarray or dy.shape != y_shape or dy.dtype is not dtype:
                match(dy, y_shape, dtype, name)
            if x.ndim == 2:
                return rule(x, params.weight, dy, wrt_x)
            grads, dx = rule(rows(x), params.weight, rows(dy), wrt_x)
            return grads, namespace(dx).reshape(dx, x.shape) if wrt_x else None

        return y, pullback

    def rule(x: Any, weight: Any, dy: Any, wrt_x: bool) -> tuple[DenseParams, Any]:
        grads = DenseParams(transposed_dot(x, dy), sum_leading(dy) if bias else None)
        return grads, dot_transposed(dy, weight) if wrt_x else None

    def through(rest: Any, place: int, wrt_x: bool) -> Any:
        def run(params: Any, x: Any, target: Any, grads: list[Any]) -> Any:
            p = params[place]
            if type(p.weight) is not ndarray:
                raise TypeError
            grads[place], dx = rule(x, p.weight, rest(params, apply(p, x), target, grads), wrt_x)
            return dx

        def quick(params: Any, x: Any, target: Any, grads: list[Any]) -> Any:
            """`run` of few and small rows, with as few calls as can be: of a tiny net they are most of the time."""
            weight, b = p = params[place]
            n, features = x.shape
            usual = n < 64 and type(p) is DenseParams and type(weight) is ndarray and weight.dtype is FLOAT32 is x.dtype
            if not usual or weight.shape != (features, outputs) or weight.size >= 65536 or (b is None) is bias:
                return run(params, x, target, grads)
            y = x.dot(weight)
            if bias:
                row = y[0] if n == 1 else y
                row += b
            dy = rest(params, y, target, grads)
            dbias = None if not bias else dy[0].copy() if n == 1 else ones(n).dot(dy)
            grads[place] = _new(DenseParams, (x.T.dot(dy), dbias))
            return dy.dot(weight.T) if wrt_x else None

        return quick

    return mark(Layer(init, apply, vjp, shape, name), through=through)


_new = tuple.__new__  # DenseParams(...) by the way that takes half the time


def _axes(shape: Shape) -> str:
    return ", ".join("..." if n is ... else str(n) for n in shape)


def _mend(x: Any, features: int) -> str:
    """What to do about x of another number of features, for the usual mistakes."""
    if x.ndim == 1 and features == 1:
        return ": write x[:, None]"
    if x.ndim > 2 and math.prod(x.shape[1:]) == features:
        return ": put `flatten` before it"
    if x.ndim == 2 and x.shape[0] == features:
        return ": examples are rows, so write x.T"
    return ""


def _checked(name: str, params: Any, x: Any, outputs: int, bias: bool) -> DenseParams:
    """Params, after a check of them and of x that says what is wrong."""
    floating(x, name)
    if not isinstance(params, DenseParams):
        raise ValueError(f"{name} takes DenseParams(weight, bias), not {describe(params)}. {whose(params)}")
    weight, b = params
    if weight.ndim != 2 or weight.shape[-1] != outputs or (b is None) is bias:
        own = f"weight (inputs, {outputs}) and bias {(outputs,) if bias else None}"
        given = f"weight {tuple(weight.shape)} and bias {None if b is None else tuple(b.shape)}"
        raise ValueError(f"{name} takes params with {own}, not {given}. Are these of another net?")
    if x.shape[-1:] != weight.shape[:1]:
        raise ValueError(
            f"{name} takes x of shape (..., {weight.shape[0]}), a row of its weight {tuple(weight.shape)} "
            f"for each feature, but x has shape {tuple(x.shape)}{_mend(x, weight.shape[0])}"
        )
    if x.dtype != weight.dtype:
        raise TypeError(
            f"{name} has {weight.dtype} params, but x is {x.dtype}: write x.astype(np.{weight.dtype}), "
            f"or convert the params with purenet.tree.cast(params, np.{x.dtype})"
        )
    return params
