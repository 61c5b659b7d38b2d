"""Layers that make one array of several, after `fan_out` and `parallel` or on any tuple of arrays; several of one."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, Shape, is_integer, is_open, shape_text
from purenet.layers.activations import NoParams
from purenet.layers.hints import equal_parts
from purenet.random import Key
from purenet.spec import Pull, Spec, layer
from purenet.spec.presets import preset
from purenet.values import called

Arrays = tuple[Array, ...]


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

    def rule(ops: Ops, params: NoParams, xs: Arrays, key: Key | None) -> tuple[Array, Pull]:
        return sum(xs[1:], xs[0]), lambda dy, wrt_x: ((), (dy,) * len(xs))

    return layer(Spec(called("add"), x=("batch ...", ...), y=_equal("add")), rule)


@preset
def mul() -> Layer[NoParams]:
    """The product of a tuple of arrays of equal shapes: Y = ∏ Xᵢ. The rule: dE/dXᵢ = dE/dY ⊙ the product of the others.

    >>> import numpy as np, purenet as pn
    >>> pn.mul.apply((), (np.array([1.0, 2.0]), np.array([10.0, 20.0])))
    array([10., 40.])
    """

    def rule(ops: Ops, params: NoParams, xs: Arrays, key: Key | None) -> tuple[Array, Pull]:
        def pull(dy: Array, wrt_x: bool) -> tuple[NoParams, Arrays]:
            # multiplied, not Y / Xᵢ, which fails where Xᵢ is 0
            return (), tuple(math.prod(xs[:i] + xs[i + 1 :], start=dy) for i in range(len(xs)))

        return math.prod(xs[1:], start=xs[0]), pull

    return layer(Spec(called("mul"), x=("batch ...", ...), y=_equal("mul")), rule)


@preset
def concat(axis: int = -1) -> Layer[NoParams]:
    """A tuple of arrays one after the other, along the last axis or another one (0, the batch, excepted).

    The rule: dE/dXᵢ is the part of dE/dY where Xᵢ stands in Y.

    >>> import numpy as np, purenet as pn
    >>> pn.concat.apply((), (np.zeros((2, 3)), np.ones((2, 1))))
    array([[0., 0., 0., 1.],
           [0., 0., 0., 1.]])
    """
    if not is_integer(axis) or axis == 0:
        raise ValueError(f"concat takes an axis other than 0, which is the batch, not {axis!r}")
    name = called("concat", locals())

    def join(shapes: tuple[Shape, ...]) -> Shape | None:
        first = shapes[0]
        at = axis - 1 if axis > 0 else axis + len(first)
        if is_open(first) and axis != -1:
            return None
        if not 0 <= at < len(first) or any(
            len(shape) != len(first) or shape[:at] + shape[at + 1 :] != first[:at] + first[at + 1 :] for shape in shapes
        ):
            given = ", ".join(map(shape_text, shapes))
            raise ValueError(f"{name} takes arrays that differ along that axis only, not {given} (batch left out)")
        return (*first[:at], sum(shape[at] for shape in shapes), *first[at + 1 :])

    def rule(ops: Ops, params: NoParams, xs: Arrays, key: Key | None) -> tuple[Array, Pull]:
        at = axis % xs[0].ndim
        ends = list(accumulate(x.shape[at] for x in xs))

        def pull(dy: Array, wrt_x: bool) -> tuple[NoParams, Arrays]:
            before = (slice(None),) * at
            return (), tuple(dy[*before, start:end, ...] for start, end in pairwise([0, *ends]))

        return ops.concat(xs, axis=at), pull

    return layer(Spec(name, x=("batch ...", ...), y=join), rule)


@preset
def split_last(parts: int | tuple[int, ...] = 2) -> Layer[NoParams]:
    """The last axis cut in parts, a tuple of arrays: so many of equal size, or parts of the sizes given.

    Such as mean and log-variance of one `dense`, or queries, keys and values. The rule: dE/dX is the dE/dYᵢ one after
    the other; None stands for one of 0, of any but the first.

    >>> import numpy as np, purenet as pn
    >>> pn.split_last.apply((), np.array([[1.0, 2.0, 3.0, 4.0]]))
    (array([[1., 2.]]), array([[3., 4.]]))
    >>> [part.shape for part in pn.split_last((1, 3)).apply((), np.ones((5, 4)))]
    [(5, 1), (5, 3)]
    """
    sizes, count = (parts, len(parts)) if isinstance(parts, tuple) else ((), parts)
    if not all(is_integer(n) and n > 0 for n in sizes or (count,)):
        raise ValueError(f"split_last takes a number of parts, 1 or more, or a tuple of their sizes, not {parts!r}")

    def rule(ops: Ops, params: NoParams, x: Array, key: Key | None) -> tuple[Arrays, Pull]:
        ends = [0, *accumulate(sizes or (x.shape[-1] // count,) * count)]
        ys = tuple(x[..., start:end] for start, end in pairwise(ends))

        def pull(dy: Any, wrt_x: bool) -> tuple[NoParams, Any]:
            each = [ops.zeros_like(y) if part is None else part for y, part in zip(ys, dy, strict=True)]
            return (), ops.concat(each, axis=-1) if wrt_x else None

        return ys, pull

    name = called("split_last", locals())
    if sizes:
        return layer(Spec(name, x=f"... {sum(sizes)}", y=tuple(f"... {n}" for n in sizes)), rule)
    return layer(Spec(name, x="... features", y=(f"... features/{count}",) * count, fits=equal_parts(count)), rule)
