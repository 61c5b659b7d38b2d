"""Layers that make the spatial axes of (batch, *space, channels) larger: upsampling and padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, Shape
from purenet.engine.windows import Back, Pair, on_axis, opposite
from purenet.layers.activations import NoParams
from purenet.layers.windows import pairs, per_axis, spatial
from purenet.values import called, takes_numbers


@takes_numbers
def upsample(scale: int | Sequence[int], method: Literal["nearest", "bilinear"] = "nearest") -> Layer[NoParams]:
    """Larger images by repeating each cell ("nearest") or by linear interpolation along each axis ("bilinear").

    `scale` is an int, or one for each spatial axis. Bilinear is PyTorch's with `align_corners=False`: cells are little
    squares, the centre of output i lies at (i + ½) / scale − ½ in X, and beyond the outermost centres X stays constant.

    Shapes: X (batch, *space, channels); Y (batch, *(space·scale), channels).

    The rule: along one axis Y = M · X with a fixed matrix M of weights, so dE/dX = Mᵀ · dE/dY: each output returns its
    dE/dY to the cells that it was made of, by the same weights.

    >>> import numpy as np, purenet as pn
    >>> x = np.array([[0.0, 4.0]])[..., None]
    >>> pn.upsample((2,)).apply((), x).ravel(), pn.upsample((2,), "bilinear").apply((), x).ravel()
    (array([0., 0., 4., 4.]), array([0., 1., 3., 4.]))
    """
    name = called("upsample", scale, method=(method, "nearest"))
    if method not in ("nearest", "bilinear"):
        raise ValueError(f'upsample takes a method of "nearest" or "bilinear", not {method!r}')
    dims = len(scale) if isinstance(scale, tuple | list) else None
    per_axis(name, "scale", scale, dims or 1)

    def scales(in_shape: Shape) -> Shape:
        return per_axis(name, "scale", scale, len(in_shape) - 1)

    enlarge = _nearest if method == "nearest" else _linear

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        pulls: list[Back] = []
        for axis, s in enumerate(scales(x.shape[1:])):
            if s > 1:
                x, pull = enlarge(ops, x, axis, s)
                pulls.append(pull)

        def pull_all(dy: Array) -> Array:
            for pull in reversed(pulls):
                dy = pull(dy)
            return dy

        return x, pull_all

    def y_shape(in_shape: Shape) -> Shape:
        return (*(n * s for n, s in zip(in_shape[:-1], scales(in_shape), strict=True)), in_shape[-1])

    return spatial(name, rule, y_shape, dims)


def _nearest(ops: Ops, x: Array, axis: int, scale: int) -> tuple[Array, Back]:
    before, n, after = x.shape[: axis + 1], x.shape[axis + 1], x.shape[axis + 2 :]

    def pull(dy: Array) -> Array:
        return ops.sum(ops.reshape(dy, (*before, n, scale, *after)), axis=axis + 2)

    return ops.repeat(x, scale, axis=axis + 1), pull


def _linear(ops: Ops, x: Array, axis: int, scale: int) -> tuple[Array, Back]:
    """Output q·scale + r lies (r + ½) / scale − ½ from cell q: between it and its neighbour on that side."""
    dims, n = x.ndim - 2, x.shape[axis + 1]
    offsets = [(r + 0.5) / scale - 0.5 for r in range(scale)]

    def cut(x: Array, cells: slice) -> Array:
        return x[:, *on_axis(axis, dims, cells, slice(None)), :]

    def put(x: Array, low: int, high: int) -> Array:
        return ops.pad_space(x, on_axis(axis, dims, (low, high), (0, 0)))

    before = ops.concat([cut(x, slice(1)), cut(x, slice(n - 1))], axis=axis + 1)
    after = ops.concat([cut(x, slice(1, n)), cut(x, slice(n - 1, n))], axis=axis + 1)
    phases = [x * (1 - abs(at)) + (before if at < 0 else after) * abs(at) if at else x for at in offsets]
    sizes = tuple(m * s for m, s in zip(x.shape[1:-1], on_axis(axis, dims, scale, 1), strict=True))

    def pull(dy: Array) -> Array:
        parts = [cut(dy, slice(r, None, scale)) for r in range(scale)]
        own = sum(part * (1 - abs(at)) for part, at in zip(parts, offsets, strict=True))
        low: Any = sum(part * -at for part, at in zip(parts, offsets, strict=True) if at < 0)
        high: Any = sum(part * at for part, at in zip(parts, offsets, strict=True) if at > 0)
        to_before = put(cut(low, slice(1, n)), 0, 1)  # cell q gets what q + 1 sends down
        to_after = put(cut(high, slice(n - 1)), 1, 0)
        at_ends = put(cut(low, slice(1)), 0, n - 1) + put(cut(high, slice(n - 1, n)), n - 1, 0)  # their own neighbours
        return own + to_before + to_after + at_ends

    return ops.interleave(phases, on_axis(axis, dims, scale, 1), sizes), pull


@takes_numbers
def pad(width: int | Sequence[int | Pair]) -> Layer[NoParams]:
    """Zeros around the spatial axes: an int for all ends, or for each axis an int or a pair (low, high).

    Shapes: X (batch, *space, channels); Y (batch, *(low + space + high), channels).

    The rule: dE/dX is dE/dY without the padding, which is constant.

    >>> import numpy as np, purenet as pn
    >>> pn.pad(((0, 1),)).apply((), np.ones((1, 2, 1))).ravel()
    array([1., 1., 0.])
    """
    name = called("pad", width)
    if isinstance(width, str):
        raise ValueError(f"pad takes an int, or for each axis an int or a pair (low, high), not {width!r}")
    dims = len(width) if isinstance(width, tuple | list) else None

    def ends(in_dims: int) -> tuple[Pair, ...]:
        return pairs(name, width, in_dims)  # type: ignore[return-value]  # "same" is excluded above

    ends(dims or 1)

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        added = ends(x.ndim - 2)
        return ops.pad_space(x, added), lambda dy: ops.pad_space(dy, opposite(added))

    def y_shape(in_shape: Shape) -> Shape:
        sizes = zip(in_shape[:-1], ends(len(in_shape) - 1), strict=True)
        return (*(n + low + high for n, (low, high) in sizes), in_shape[-1])

    return spatial(name, rule, y_shape, dims)
