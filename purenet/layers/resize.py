"""Layers that make the spatial axes of (batch, *space, channels) larger: upsampling and padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, Shape
from purenet.engine.windows import Back, Pair, on_axis, opposite
from purenet.layers.activations import NoParams
from purenet.layers.windows import one_by_one, pairs, per_axis, spatial, taken
from purenet.values import called, takes_numbers


@takes_numbers
def upsample(
    scale: int | Sequence[int] | None = None,
    method: Literal["nearest", "bilinear"] = "nearest",
    *,
    size: int | Sequence[int] | None = None,
) -> Layer[NoParams]:
    """Larger images by repeating each cell ("nearest") or by linear interpolation along each axis ("bilinear").

    Args:
        scale: an int, or one for each spatial axis: how many times as large Y is.
        method: both are PyTorch's, bilinear with `align_corners=False`. Let Y have m cells along an axis where X has n.
            Nearest: output i is cell ⌊i·n/m⌋. Bilinear: cells are little squares, the centre of output i lies at
            (i + ½)·n/m − ½ in X, and beyond the outermost centres X stays constant.
        size: instead of a scale the size of Y, an int, or one for each spatial axis. It may be smaller than X's.

    Shapes: X (batch, *space, channels); Y (batch, *(space·scale), channels), or (batch, *size, channels).

    The rule: along one axis Y = M · X with a fixed matrix M of weights, so dE/dX = Mᵀ · dE/dY: each output returns its
    dE/dY to the cells that it was made of, by the same weights.

    >>> import numpy as np, purenet as pn
    >>> x = np.array([[0.0, 4.0]])[..., None]
    >>> pn.upsample((2,)).apply((), x).ravel(), pn.upsample((2,), "bilinear").apply((), x).ravel()
    (array([0., 0., 4., 4.]), array([0., 1., 3., 4.]))
    >>> pn.upsample(size=3).apply((), x).ravel(), pn.upsample(size=3, method="bilinear").apply((), x).ravel()
    (array([0., 0., 4.]), array([0., 2., 4.]))
    """
    if (scale is None) == (size is None):
        raise TypeError("upsample takes a scale or a size, as in upsample(2) or upsample(size=(24, 32))")
    name = called("upsample", locals(), 1)
    if method not in ("nearest", "bilinear"):
        raise ValueError(f'upsample takes a method of "nearest" or "bilinear", not {method!r}')
    what, given = ("size", size) if scale is None else ("scale", scale)
    dims = len(given) if isinstance(given, tuple | list) else None
    per_axis(name, what, given, dims or 1)  # type: ignore[arg-type]  # one of them is given

    def y_shape(in_shape: Shape) -> Shape:
        *space, channels = in_shape
        each = per_axis(name, what, given, len(space))  # type: ignore[arg-type]
        if scale is not None:
            return (*(n * s for n, s in zip(space, each, strict=True)), channels)
        if 0 in space:
            raise ValueError(f"{name} takes at least one cell along each axis, but an example has shape {in_shape}")
        return (*each, channels)

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        sizes = zip(x.shape[1:-1], y_shape(x.shape[1:]), strict=False)
        return one_by_one(x, [partial(_resized, ops, axis, m, method) for axis, (n, m) in enumerate(sizes) if m != n])

    return spatial(name, rule, y_shape, dims)


def _resized(ops: Ops, axis: int, m: int, method: str, x: Array) -> tuple[Array, Back]:
    """x with m cells along one axis."""
    n = x.shape[axis + 1]
    if m % n == 0:
        return (_nearest if method == "nearest" else _linear)(ops, x, axis, m // n)
    if method == "nearest":
        return taken(ops, axis, [i * n // m for i in range(m)], x)
    lows, shares = zip(*(divmod(max(0, (2 * i + 1) * n - m), 2 * m) for i in range(m)), strict=True)
    highs = [min(low + (share > 0), n - 1) for low, share in zip(lows, shares, strict=True)]
    # a cell that is all there is counts half and half: an infinite one times 0 would be NaN
    parts = [s / (2 * m) if a < b else 0.5 for a, b, s in zip(lows, highs, shares, strict=True)]
    part = ops.reshape(ops.asarray(parts, dtype=x.dtype), (m, *(1,) * (x.ndim - axis - 2)))
    low, pull_low = taken(ops, axis, lows, x)
    high, pull_high = taken(ops, axis, highs, x)
    return low * (1 - part) + high * part, lambda dy: pull_low(dy * (1 - part)) + pull_high(dy * part)


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
def pixel_shuffle(scale: int | Sequence[int]) -> Layer[NoParams]:
    """Larger images by laying channels out as cells; `scale` is an int, or one for each spatial axis.

    Shapes: X (batch, *space, channels·r), r the product of the scales; Y (batch, *(space·scale), channels). For images
    Y[h·s + i, w·s + j, c] = X[h, w, (c·s + i)·s + j], the order of channels that PyTorch has.

    The rule: each number of Y is one of X, so dE/dX is dE/dY rearranged back.

    W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network", CVPR 2016, section 2.2.

    Raises:
        ValueError: where the channels of X are no multiple of r.

    >>> import numpy as np, purenet as pn
    >>> pn.pixel_shuffle(2).apply((), np.arange(4.0).reshape(1, 1, 1, 4))[0, :, :, 0]
    array([[0., 1.],
           [2., 3.]])
    """
    name = called("pixel_shuffle", locals())
    dims = len(scale) if isinstance(scale, tuple | list) else None
    per_axis(name, "scale", scale, dims or 1)

    def y_shape(in_shape: Shape) -> Shape:
        *space, channels = in_shape
        scales = per_axis(name, "scale", scale, len(space))
        if channels % (r := math.prod(scales)):
            raise ValueError(f"{name} takes a multiple of {r} channels, not {channels}")
        return (*(n * s for n, s in zip(space, scales, strict=True)), channels // r)

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        batch, *space, _ = x.shape
        dims, wanted = len(space), (batch, *y_shape(x.shape[1:]))
        scales = per_axis(name, "scale", scale, dims)
        # (batch, *space, channels, *scales) to (batch, cell, i, cell, i, ..., channels)
        order = (0, *(axis for i in range(1, dims + 1) for axis in (i, dims + 1 + i)), dims + 1)
        apart = ops.permute_dims(ops.reshape(x, (batch, *space, wanted[-1], *scales)), order)
        back = tuple(map(order.index, range(len(order))))

        def pull(dy: Array) -> Array:
            return ops.reshape(ops.permute_dims(ops.reshape(dy, apart.shape), back), x.shape)

        return ops.reshape(apart, wanted), pull

    return spatial(name, rule, y_shape, dims, last="")


MODES = ("constant", "reflect", "replicate", "circular")
NAMES_ELSEWHERE = {"edge": "replicate", "wrap": "circular", "zeros": "constant"}


@takes_numbers
def pad(
    width: int | Sequence[int | Pair],
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant",
    value: float = 0.0,
) -> Layer[NoParams]:
    """Cells around the spatial axes: an int for all ends, or for each axis an int or a pair (low, high).

    Args:
        mode: PyTorch's names. Of cells a b c d two more at each end are
            "constant": `value`, by default 0
            "reflect": c b | a b c d | c b, the outermost cells once: at most one less than there are
            "replicate": a a | a b c d | d d, NumPy's "edge"
            "circular": c d | a b c d | a b, NumPy's "wrap"
        value: of the cells in mode "constant".

    Shapes: X (batch, *space, channels); Y (batch, *(low + space + high), channels).

    The rule: each cell of Y is a constant or a copy of one cell, Y[i] = X[s(i)]. So dE/dX[j] is the sum of dE/dY[i]
    over all i with s(i) = j; of a constant padding, dE/dY without it.

    Raises:
        ValueError: where X has too few cells to be reflected, or none.

    >>> import numpy as np, purenet as pn
    >>> x = np.array([[1.0, 2.0, 3.0]])[..., None]
    >>> [pn.pad(((1, 2),), mode).apply((), x).ravel() for mode in ("reflect", "replicate", "circular")]
    [array([2., 1., 2., 3., 2., 1.]), array([1., 1., 2., 3., 3., 3.]), array([3., 1., 2., 3., 1., 2.])]
    >>> pn.pad(((0, 1),), value=7).apply((), x).ravel()
    array([1., 2., 3., 7.])
    """
    name = called("pad", locals())
    _check_pad(width, mode, value)
    dims = len(width) if isinstance(width, tuple | list) else None

    def ends(in_dims: int) -> tuple[Pair, ...]:
        return pairs(name, width, in_dims)  # type: ignore[return-value]  # "same" is excluded above

    ends(dims or 1)

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        added = ends(x.ndim - 2)
        if mode == "constant":
            return ops.pad_space(x, added, value), lambda dy: ops.pad_space(dy, opposite(added))
        sources = [padded_from(mode, n, *pair) for n, pair in zip(x.shape[1:-1], added, strict=True)]
        return one_by_one(x, [partial(taken, ops, axis, s) for axis, s in enumerate(sources) if any(added[axis])])

    def y_shape(in_shape: Shape) -> Shape:
        *space, channels = in_shape
        added = ends(len(space))
        for n, pair in zip(space, added, strict=True):
            least = 0 if mode == "constant" or not any(pair) else 1 + max(pair) * (mode == "reflect")
            if n < least:
                raise ValueError(
                    f"{name} takes {least} cells or more along an axis where it adds {pair}, but an example has shape "
                    f"{tuple(in_shape)}"
                )
        return (*(n + low + high for n, (low, high) in zip(space, added, strict=True)), channels)

    return spatial(name, rule, y_shape, dims)


def _check_pad(width: Any, mode: Any, value: Any) -> None:
    if isinstance(width, str):
        raise ValueError(f"pad takes an int, or for each axis an int or a pair (low, high), not {width!r}")
    if mode not in MODES:
        mend = f': write mode="{NAMES_ELSEWHERE[mode]}"' if mode in NAMES_ELSEWHERE else ""
        raise ValueError(f"pad takes a mode of {', '.join(MODES)}, not {mode!r}{mend}")
    if value and mode != "constant":
        raise ValueError(f'pad takes a value only in mode "constant", not beside mode={mode!r}')


def padded_from(mode: str, n: int, low: int, high: int) -> list[int]:
    """For each cell along an axis the one of n that it is a copy of."""
    places = range(-low, n + high)
    if mode == "circular":
        return [i % n for i in places]
    if mode == "replicate":
        return [min(max(i, 0), n - 1) for i in places]
    return [n - 1 - abs(n - 1 - abs(i)) for i in places]
