"""Windows that slide over the spatial axes of (batch, *space, channels): sizes, padding, shifted slices.

What convolution and pooling share. Everything here is shape arithmetic, or array code that runs on any engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from purenet.core import Layer, Pullback
from purenet.engine.arrays import Shape, describe, floating, is_open, match, namespace
from purenet.random import Key

T = TypeVar("T")
NoParams = tuple[()]
Pair = tuple[int, int]
Padding = Literal["valid", "same"] | int | Sequence[int | Pair]
Rule = Callable[[Any, Any], tuple[Any, Callable[[Any], Any]]]

BLOCK_BYTES = 1 << 20  # of the images handled at a time, where what is made of them is to stay in cache

AXES = {1: "length", 2: "height, width", 3: "depth, height, width"}


def window_size(who: str, what: str, given: int | Sequence[int]) -> Shape:
    """The size of a window along each spatial axis; an int means a square in two dimensions."""
    size = (given, given) if isinstance(given, int) else tuple(given) if isinstance(given, tuple | list) else ()
    if not 1 <= len(size) <= 3 or not all(_is_int(n, 1) for n in size):
        raise ValueError(
            f"{who} takes a {what} that is a positive int, for a square of that size, "
            f"or a tuple of one to three, as in (3,) for sequences; not {given!r}"
        )
    return size


def per_axis(who: str, what: str, given: int | Sequence[int], dims: int, least: int = 1) -> Shape:
    """One int for each spatial axis; an int means the same for all of them."""
    sizes = (given,) * dims if isinstance(given, int) else tuple(given) if isinstance(given, tuple | list) else ()
    if len(sizes) != dims or not all(_is_int(n, least) for n in sizes):
        raise ValueError(
            f"{who} takes a {what} that is an int of at least {least}, or a tuple of {dims}, not {given!r}"
        )
    return sizes


def pairs(who: str, given: Padding, dims: int) -> Literal["same"] | tuple[Pair, ...]:
    """The padding as (low, high) for each spatial axis, or "same", which depends on the input's size."""
    if isinstance(given, str):
        if given == "same":
            return "same"
        given = 0 if given == "valid" else -1
    each: Any = (given,) * dims if isinstance(given, int) else tuple(given) if isinstance(given, tuple | list) else ()
    each = tuple((p, p) if isinstance(p, int) else tuple(p) if isinstance(p, tuple | list) else () for p in each)
    if len(each) != dims or not all(len(pair) == 2 and all(_is_int(p, 0) for p in pair) for pair in each):
        raise ValueError(
            f'{who} takes a padding that is "valid", "same", an int of at least 0, '
            f"or a tuple of {dims}, each an int or a pair (low, high)"
        )
    return each  # type: ignore[no-any-return]  # what was just checked is more than mypy sees


def _is_int(n: Any, least: int) -> bool:
    return isinstance(n, int) and not isinstance(n, bool) and n >= least


class Windows(NamedTuple):
    """How windows slide: their size, the step from one to the next, and the step between two of their cells."""

    who: str
    size: Shape
    stride: Shape
    dilation: Shape
    padding: Literal["same"] | tuple[Pair, ...]

    @property
    def reach(self) -> Shape:
        """The cells from the first of a window to its last, both counted."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True))

    @lru_cache(1024)  # noqa: B019  # keeps some tuples, which layers ask for at each step
    def place(self, space: Shape) -> tuple[Shape, tuple[Pair, ...]]:
        """How many windows fit along each axis of an input of this size, and the (low, high) padding there.

        "same" is JAX's and TensorFlow's: ⌈n / stride⌉ windows, and of an odd padding the larger half at the high end.
        """
        padding = self.padding
        if padding == "same":
            missing = [
                max(0, (-(-n // s) - 1) * s + r - n) for n, s, r in zip(space, self.stride, self.reach, strict=True)
            ]
            padding = tuple((m // 2, m - m // 2) for m in missing)
        full = tuple(n + low + high for n, (low, high) in zip(space, padding, strict=True))
        if any(n < r for n, r in zip(full, self.reach, strict=True)) or min(space) < 1:
            dilated = f", {self.reach} with its dilation," if self.reach != self.size else ""
            raise ValueError(
                f"{self.who}: its window of {self.size}{dilated} does not fit into an input of {tuple(space)}, "
                f"which is {full} with its padding"
            )
        return tuple((n - r) // s + 1 for n, r, s in zip(full, self.reach, self.stride, strict=True)), padding


def axes_of(dims: int | None) -> str:
    """What the axes of x mean, for error messages."""
    return f"(batch, {AXES.get(dims or 0, '*space')}, channels)"


def check_rank(who: str, in_shape: Shape, dims: int) -> None:
    """Check the number of axes of an input shape, batch left out."""
    if len(in_shape) != dims + 1:
        raise ValueError(
            f"{who} takes x of shape {axes_of(dims)}, so an in_shape of {dims + 1} sizes, but got {tuple(in_shape)}"
            f"{': leave the batch out' if len(in_shape) == dims + 2 else ''}"
        )


def pad_space(x: Any, padding: Sequence[Pair], value: float = 0.0) -> Any:
    """x with (low, high) cells of `value` added along each spatial axis; taken away where a number is negative.

    A fresh array, or x itself where there is nothing to add.
    """
    if any(low > 0 or high > 0 for low, high in padding):
        xp = namespace(x)
        if xp.__name__ == "numpy":  # one copy for all axes
            wider = (x.shape[0], *(n + max(0, a) + max(0, b) for n, (a, b) in zip(x.shape[1:-1], padding, strict=True)))
            padded = xp.full((*wider, x.shape[-1]), value, x.dtype)
            inner = (slice(max(0, a), max(0, a) + n) for n, (a, _) in zip(x.shape[1:-1], padding, strict=True))
            padded[:, *inner] = x
            x = padded
        else:
            for axis, ends in enumerate(padding, start=1):
                blocks = [
                    xp.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), value, dtype=x.dtype)
                    for n in (max(0, end) for end in ends)
                ]
                x = xp.concat([blocks[0], x, blocks[1]], axis=axis)
    if any(low < 0 or high < 0 for low, high in padding):
        kept = (slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape[1:-1], padding, strict=True))
        x = x[:, *kept, ...]
    return x


def opposite(padding: Sequence[Pair]) -> list[Pair]:
    """The padding that takes away what this one added."""
    return [(-low, -high) for low, high in padding]


def shifted(x: Any, cell: Shape, windows: Windows, counts: Shape) -> Any:
    """The values under one cell of every window: a strided slice (batch, *counts, channels) of the padded x."""
    steps = zip(cell, windows.dilation, windows.stride, counts, strict=True)
    return x[:, *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, s, n in steps), ...]


def interleave(phases: list[Any], stride: Shape, space: Shape) -> Any:
    """The array whose [r::stride] is phase r, along each spatial axis; phases are in row-major order of r.

    All phases have the size of the longest, so a last few cells may have to go to leave `space`.
    """
    if len(phases) == 1:
        return phases[0]
    xp = namespace(phases[0])
    batch, *_, channels = phases[0].shape
    if type(phases[0]) is np.ndarray and phases[0].size:  # written in place, in half the time of a transposition
        x = np.empty((batch, *space, channels), phases[0].dtype)
        for start, phase in zip(product(*map(range, stride)), phases, strict=True):
            place = cells(x)[:, *(slice(r, None, s) for r, s in zip(start, stride, strict=True))]
            place[...] = cells(phase)[:, *map(slice, place.shape[1:])]
        return x
    return interleave_by_stacking(xp, phases, stride, space)


def interleave_by_stacking(xp: Any, phases: list[Any], stride: Shape, space: Shape) -> Any:
    """`interleave` in array-API code."""
    batch, *counts, channels = phases[0].shape
    dims = len(stride)
    x = xp.reshape(xp.stack(phases), (*stride, batch, *counts, channels))
    order = [axis for i in range(dims) for axis in (dims + 1 + i, i)]
    x = xp.permute_dims(x, (dims, *order, 2 * dims + 1))
    x = xp.reshape(x, (batch, *(n * s for n, s in zip(counts, stride, strict=True)), channels))
    return x[:, *(slice(n) for n in space), ...] if x.shape[1:-1] != tuple(space) else x


def cells(x: Any) -> Any:
    """A view of a NumPy array in which the channels of a cell are one item.

    So a copy of every other cell moves cells, not numbers: with few channels, several times as fast.
    """
    x = x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)
    return x.view(np.dtype((np.void, x.shape[-1] * x.itemsize)))[..., 0]


def without_gaps(x: Any) -> Any:
    """x, of which only some cells of each row are left; on NumPy as an array of its own, without the gaps."""
    if type(x) is not np.ndarray or x.size == 0:
        return x
    return cells(x).copy().view(x.dtype).reshape(x.shape)


def by_images(f: Callable[..., Any], *arrays: Any) -> Any:
    """f(*arrays), of an f that treats each image by itself.

    NumPy is handed some images at a time, so that what f makes on its way stays in cache.
    """
    blocks = image_blocks(arrays[0])
    if len(blocks) == 1:
        return f(*arrays)
    y: Any = None
    for some in blocks:
        part = f(*(each[some] for each in arrays))
        y = np.empty((len(arrays[0]), *part.shape[1:]), part.dtype) if y is None else y
        y[some] = part
    return y


def image_blocks(x: Any) -> list[slice]:
    """Which images NumPy is handed at a time."""
    if type(x) is not np.ndarray or x.nbytes <= BLOCK_BYTES:
        return [slice(None)]
    images = max(1, BLOCK_BYTES * len(x) // x.nbytes)
    return [slice(i, i + images) for i in range(0, len(x), images)]


def spatial(name: str, rule: Rule, target: Callable[[Shape], Shape], dims: int | None = None) -> Layer[NoParams]:
    """A layer without parameters over (batch, *space, channels), of `rule(xp, x) -> (y, pull)`.

    `target(in_shape)` is the shape of its output, and checks that of its input; `dims` is the number of spatial axes,
    where that is fixed.
    """

    def check(params: NoParams, x: Any) -> Any:
        if params != ():
            raise ValueError(f"{name} has no parameters: it takes params = (), not {describe(params)}")
        xp = floating(x, name)
        if x.ndim < 3 if dims is None else x.ndim != dims + 2:
            raise ValueError(f"{name} takes x of shape {axes_of(dims)}, not {describe(x)}")
        target(tuple(x.shape[1:]))
        return xp

    def apply(params: NoParams, x: Any, key: Key | None = None) -> Any:
        return rule(check(params, x), x)[0]

    def vjp(params: NoParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[NoParams]]:
        y, pull = rule(check(params, x), x)
        y_shape, dtype = y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[NoParams, Any]:
            match(dy, y_shape, dtype, name)
            return (), pull(dy) if wrt_x else None

        return y, pullback

    def shape(in_shape: Shape | None) -> Shape | None:
        if in_shape is None or is_open(in_shape):
            return None
        if dims is not None:
            check_rank(name, in_shape, dims)
        elif len(in_shape) < 2:
            raise ValueError(f"{name} takes x of shape (batch, *space, channels), but its in_shape is {in_shape}")
        return target(tuple(in_shape))

    def init(key: Key, in_shape: Shape | None = None) -> NoParams:
        shape(in_shape)
        return ()

    return Layer(init, apply, vjp, shape, name)


def on_axis(axis: int, dims: int, here: T, other: T) -> tuple[T, ...]:
    """For each spatial axis `other`, but for this one `here`."""
    return tuple(here if i == axis else other for i in range(dims))
