"""Layers that make one array of several: after `fan_out` and `parallel`, or on any tuple of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from purenet.core import Layer, Pullback
from purenet.engine.arrays import Shape, describe, floating, is_open, match, shape_text
from purenet.presets import called, preset
from purenet.random import Key

NoParams = tuple[()]
Rule = Callable[[Any, tuple[Any, ...]], tuple[Any, Callable[[Any], tuple[Any, ...]]]]


def _merging(name: str, rule: Rule, join: Callable[[tuple[Shape, ...]], Shape]) -> Layer[NoParams]:
    """The layer of `rule(xp, xs) -> (y, pull)`, where pull(dE/dY) is the tuple dE/dX; `join(shapes)` is Y's shape."""

    def shape(in_shape: Any) -> Shape | None:
        if in_shape is None or None in in_shape:
            return None
        if not in_shape or not all(isinstance(each, tuple) for each in in_shape):
            raise ValueError(f"{name} takes a tuple of arrays, so in_shape is a tuple of shapes, not {in_shape}")
        return None if len(set(map(is_open, in_shape))) > 1 else join(in_shape)

    def forward(params: NoParams, x: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        if params != ():
            raise ValueError(f"{name} has no parameters: it takes params = (), not {describe(params)}")
        if type(x) is not tuple or not x:
            raise TypeError(f"{name} takes a tuple of arrays, not {describe(x)}: put it after fan_out or parallel")
        xps = [floating(each, name) for each in x]
        if any(each.dtype != x[0].dtype for each in x):
            raise TypeError(f"{name} takes arrays of one dtype, not {', '.join(str(each.dtype) for each in x)}")
        join(tuple(each.shape[1:] for each in x))
        return rule(next((xp for xp in xps if xp is not np), np), x)

    def apply(params: NoParams, x: Any, key: Key | None = None) -> Any:
        return forward(params, x)[0]

    def vjp(params: NoParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[NoParams]]:
        y, pull = forward(params, x)
        y_shape, dtype = y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[NoParams, Any]:
            match(dy, y_shape, dtype, name)
            return (), pull(dy) if wrt_x else None

        return y, pullback

    return Layer(lambda key, in_shape=None: (), apply, vjp, shape, name)


def _equal(name: str) -> Callable[[tuple[Shape, ...]], Shape]:
    """The one shape of arrays that must have equal shapes."""

    def join(shapes: tuple[Shape, ...]) -> Shape:
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError(
                f"{name} takes arrays of equal shapes, not {', '.join(map(shape_text, shapes))} (batch left out)"
            )
        return shapes[0]

    return join


@preset
def add() -> Layer[NoParams]:
    """The sum of a tuple of arrays of equal shapes: Y = Σ Xᵢ. The rule: dE/dXᵢ = dE/dY.

    >>> import numpy as np, purenet as pn
    >>> pn.add.apply((), (np.array([1.0, 2.0]), np.array([10.0, 20.0])))
    array([11., 22.])
    """

    def rule(xp: Any, xs: tuple[Any, ...]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        return sum(xs[1:], xs[0]), lambda dy: (dy,) * len(xs)

    return _merging("add", rule, _equal("add"))


@preset
def mul() -> Layer[NoParams]:
    """The product of a tuple of arrays of equal shapes: Y = ∏ Xᵢ. The rule: dE/dXᵢ = dE/dY ⊙ the product of the others.

    >>> import numpy as np, purenet as pn
    >>> pn.mul.apply((), (np.array([1.0, 2.0]), np.array([10.0, 20.0])))
    array([10., 40.])
    """

    def rule(xp: Any, xs: tuple[Any, ...]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        def pull(dy: Any) -> tuple[Any, ...]:  # multiplied, not Y / Xᵢ, which fails where Xᵢ is 0
            return tuple(math.prod(xs[:i] + xs[i + 1 :], start=dy) for i in range(len(xs)))

        return math.prod(xs[1:], start=xs[0]), pull

    return _merging("mul", rule, _equal("mul"))


@preset
def concat(axis: int = -1) -> Layer[NoParams]:
    """A tuple of arrays one after the other, along the last axis or another one (0, the batch, excepted).

    The rule: dE/dXᵢ is the part of dE/dY where Xᵢ stands in Y.

    >>> import numpy as np, purenet as pn
    >>> pn.concat.apply((), (np.zeros((2, 3)), np.ones((2, 1))))
    array([[0., 0., 0., 1.],
           [0., 0., 0., 1.]])
    """
    if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
        raise ValueError(f"concat takes an axis other than 0, which is the batch, not {axis!r}")
    name = called("concat", axis=(axis, -1))

    def join(shapes: tuple[Shape, ...]) -> Shape:
        first = shapes[0]
        at = axis - 1 if axis > 0 else axis + len(first)
        if not 0 <= at < len(first) or any(
            len(shape) != len(first) or shape[:at] + shape[at + 1 :] != first[:at] + first[at + 1 :] for shape in shapes
        ):
            given = ", ".join(map(shape_text, shapes))
            raise ValueError(f"{name} takes arrays that differ along that axis only, not {given} (batch left out)")
        return (*first[:at], sum(shape[at] for shape in shapes), *first[at + 1 :])

    def rule(xp: Any, xs: tuple[Any, ...]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        at = axis % xs[0].ndim
        ends = list(accumulate(x.shape[at] for x in xs))

        def pull(dy: Any) -> tuple[Any, ...]:
            before = (slice(None),) * at
            return tuple(dy[*before, start:end, ...] for start, end in pairwise([0, *ends]))

        return xp.concat(xs, axis=at), pull

    return _merging(name, rule, join)
