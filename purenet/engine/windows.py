"""Windows that slide over the spatial axes of (batch, *space, channels), and pooling: the plain forms.

The maximum over a window is the maximum, down its columns, of the maxima of its rows; so is the sum. Windows therefore
pool one axis at a time, each by a few shifted slices. The rule of the maximum needs no indices: what equals the maximum
is it, and of equal ones the first in row-major order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import product
from operator import add
from typing import Any, NamedTuple, TypeVar

from purenet.engine.arrays import Array, Shape
from purenet.engine.standard import Standard

T = TypeVar("T")
Pair = tuple[int, int]
Ends = Sequence[Pair]  # (low, high) for each spatial axis
Back = Callable[[Array], Array]


class Windows(NamedTuple):
    """How windows slide: their size, the step from one to the next, and the step between two of their cells."""

    size: Shape
    stride: Shape
    dilation: Shape

    @property
    def reach(self) -> Shape:
        """The cells from the first of a window to its last, both counted."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True))

    @property
    def cells(self) -> Iterator[Shape]:
        """The cells of a window, in row-major order."""
        return product(*map(range, self.size))

    def counts(self, space: Shape) -> Shape:
        """How many windows there are along each axis of an input of this size."""
        return tuple((n - r) // s + 1 for n, r, s in zip(space, self.reach, self.stride, strict=True))

    def of_axes(self, axes: slice) -> Windows:
        """The windows along some of the axes."""
        return Windows(self.size[axes], self.stride[axes], self.dilation[axes])


def shifted(x: Array, cell: Shape, windows: Windows, counts: Shape) -> Any:
    """The values under one cell of every window: a strided slice (batch, *counts, channels) of the padded x."""
    steps = zip(cell, windows.dilation, windows.stride, counts, strict=True)
    return x[:, *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, s, n in steps), ...]


def cut_space(x: Array, padding: Ends) -> Any:
    """x without the cells that a negative padding takes away."""
    if not any(low < 0 or high < 0 for low, high in padding):
        return x
    kept = (slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape[1:-1], padding, strict=True))
    return x[:, *kept, ...]


def opposite(padding: Ends) -> list[Pair]:
    """The padding that takes away what this one added."""
    return [(-low, -high) for low, high in padding]


def on_axis(axis: int, dims: int, here: T, other: T) -> tuple[T, ...]:
    """For each spatial axis `other`, but for this one `here`."""
    return tuple(here if i == axis else other for i in range(dims))


class WindowOps(Standard):
    """The ops on windows."""

    # cells along the spatial axes

    def pad_space(self, x: Array, padding: Ends, value: float = 0.0) -> Array:
        """x with (low, high) cells of `value` added along each spatial axis; taken away where a number is negative.

        x itself where there is nothing to add.
        """
        for axis, ends in enumerate(padding, start=1):
            before, after = (
                self.full((*x.shape[:axis], max(0, n), *x.shape[axis + 1 :]), value, dtype=x.dtype) for n in ends
            )
            x = self.concat([before, x, after], axis=axis) if max(ends) > 0 else x
        cut: Array = cut_space(x, padding)
        return cut

    def interleave(self, phases: list[Array], stride: Shape, space: Shape) -> Array:
        """The array whose [r::stride] is phase r, along each spatial axis; phases are in row-major order of r.

        All phases have the size of the longest, so a last few cells may have to go to leave `space`.
        """
        if len(phases) == 1:
            return phases[0]
        batch, *counts, channels = phases[0].shape
        dims = len(stride)
        x = self.reshape(self.stack(phases), (*stride, batch, *counts, channels))
        order = [axis for i in range(dims) for axis in (dims + 1 + i, i)]
        x = self.permute_dims(x, (dims, *order, 2 * dims + 1))
        x = self.reshape(x, (batch, *(n * s for n, s in zip(counts, stride, strict=True)), channels))
        return x[:, *(slice(n) for n in space), ...] if x.shape[1:-1] != tuple(space) else x

    def without_gaps(self, x: Array) -> Array:
        """x, of which only some cells of each row are left."""
        return x

    def by_images(self, f: Callable[..., Array], *arrays: Array) -> Array:
        """f(*arrays), of an f that treats each image by itself."""
        return f(*arrays)

    # sums over all but the channels: the last two axes go as one, as few channels alone would make short, slow loops

    def add_channels(self, y: Array, bias: Array | None) -> Array:
        """y + bias, in y, which nobody else reads; y where there is no bias."""
        if bias is None:
            return y
        width = y.shape[-2]
        wide = self.reshape(y, (math.prod(y.shape[:-2]), width * y.shape[-1]))
        return self.reshape(self.add_row(wide, self.tile(bias, (width,))), y.shape)

    def sum_channels(self, dy: Array) -> Array:
        """Σ dE/dY over all but the channels."""
        width, channels = dy.shape[-2:]
        wide = self.sum_rows(self.reshape(dy, (math.prod(dy.shape[:-2]), width * channels)))
        return self.sum_rows(self.reshape(wide, (width, channels)))

    # pooling

    def max_windows(self, x: Array, windows: Windows, ends: Ends) -> tuple[Array, Back]:
        """The maximum of each window, and its rule; cells that are added at the ends are never one."""

        def value(x: Array) -> Array:
            return self.over_windows(self.maximum, self.pad_space(x, ends, -math.inf), windows)

        def pull(x: Array, dy: Array) -> Array:
            dx = self.to_the_maximum(self.pad_space(x, ends, -math.inf), dy, windows)
            return self.pad_space(dx, opposite(ends))

        return self.by_images(value, x), lambda dy: self.by_images(pull, x, dy)

    def mean_windows(self, x: Array, windows: Windows, ends: Ends, counted: Ends | None = None) -> tuple[Array, Back]:
        """The mean of each window, and its rule; cells that are added at the ends are 0.

        Of them only those that are `counted` are part of the number that the sum is divided by; by default all.
        """
        number: Any = math.prod(windows.size)
        space = x.shape[1:-1]
        if counted is not None and counted != ends:
            full = (n + low + high for n, (low, high) in zip(space, counted, strict=True))
            rest = [(a - low, b - high) for (a, b), (low, high) in zip(ends, counted, strict=True)]
            cells = self.pad_space(self.ones((1, *full, 1), dtype=x.dtype), rest)
            number = self.over_windows(add, cells, windows)

        def value(x: Array) -> Array:
            total = self.over_windows(add, self.pad_space(x, ends), windows)
            mean: Array = total / number
            return mean

        def pull(dy: Array) -> Array:
            dy = dy / number
            for axis, (n, (low, high)) in enumerate(zip(space, ends, strict=True)):
                dy = self.gather([dy] * windows.size[axis], windows, axis, low + n + high)
            return self.pad_space(dy, opposite(ends))

        return self.by_images(value, x), lambda dy: self.by_images(pull, dy)

    def over_windows(self, join: Callable[[Array, Array], Array], x: Array, windows: Windows) -> Array:
        """Numbers of each window, joined two by two; the first axis goes first: its slices run longest in memory."""
        for axis in range(len(windows.size)):
            x = reduce(join, _slices(x, windows, axis))
        return x

    def to_the_maximum(self, x: Array, dy: Array, windows: Windows) -> Array:
        """dE/dY goes to the first row with the maximum of its window, and there to the first cell that has it."""
        last = len(windows.size) - 1
        stages = []
        for axis in range(last, -1, -1):
            slices = _slices(x, windows, axis)
            slices = [self.without_gaps(part) for part in slices] if axis == last else slices
            y = reduce(self.maximum, slices)
            stages.append((axis, slices, y, x.shape[axis + 1]))
            x = y
        for axis, slices, y, length in reversed(stages):
            parts, left = [], dy
            for part in slices[:-1]:
                here = part == y
                parts.append(self.keep(left, here))
                left = self.keep(left, ~here)  # what has gone to one slice cannot go to a later one
            dy = self.gather([*parts, left], windows, axis, length)
        return dy

    def gather(self, parts: list[Array], windows: Windows, axis: int, length: int) -> Array:
        """dE/dX from what each slice of x gets: slices a stride apart meet in the same cells, and add up there."""
        dims, stride, dilation = len(windows.size), windows.stride[axis], windows.dilation[axis]
        number, count = parts[0].shape[axis + 1], -(-length // stride)
        phases: list[Array] = []
        for r in range(stride):
            shifts = [(part, t * dilation // stride) for t, part in enumerate(parts) if t * dilation % stride == r]
            each = [
                self.pad_space(part, on_axis(axis, dims, (shift, count - shift - number), (0, 0)))
                for part, shift in shifts
            ]
            phases.append(reduce(add, each) if each else self.zeros_like(phases[0]))
        space = (*parts[0].shape[1 : axis + 1], length, *parts[0].shape[axis + 2 : -1])
        return self.interleave(phases, on_axis(axis, dims, stride, 1), space)


def _slices(x: Array, windows: Windows, axis: int) -> list[Array]:
    """The first cell of every window along one axis, the second, and so on."""
    size, stride, dilation = windows.size[axis], windows.stride[axis], windows.dilation[axis]
    last = (x.shape[axis + 1] - (size - 1) * dilation - 1) // stride * stride + 1
    before = (slice(None),) * (axis + 1)
    return [x[*before, t : t + last : stride, ...] for t in range(0, size * dilation, dilation)]
