"""Pooling: one number for each window and channel. Channels last, in one, two and three dimensions.

The maximum over a window is the maximum, down its columns, of the maxima of its rows; so is the sum. Windows therefore
pool one axis at a time, each by a few shifted slices. The rule of the maximum needs no indices: what equals the maximum
is it, and of equal ones the first in row-major order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from purenet.core import Layer
from purenet.engine.arrays import Shape, astype, namespace
from purenet.layers.windows import (
    NoParams,
    Padding,
    Windows,
    by_images,
    cells,
    image_blocks,
    interleave,
    on_axis,
    opposite,
    pad_space,
    pairs,
    per_axis,
    spatial,
    window_size,
    without_gaps,
)
from purenet.presets import called, preset

Pull = Callable[[Any], Any]


def max_pool(
    window: int | Sequence[int], stride: int | Sequence[int] | None = None, padding: Padding = "valid"
) -> Layer[NoParams]:
    """The maximum of each window: Y[o] = max over t of X[o·stride + t − low]. Padded cells count as −∞.

    An int is a square for images; a tuple of one, two or three sizes is a window for sequences, images or volumes.

    Args:
        stride: cells from one window to the next; by default the window, so that windows lie side by side.
        padding: as in `conv`; less than the window.

    Shapes: X (batch, *space, channels); Y (batch, *counts, channels), with
    counts = ⌊(space + low + high − window) / stride⌋ + 1.

    The rule: dE/dX[i] is the sum of dE/dY[o] over the windows o whose maximum X[i] is. Of equal values the first in
    row-major order is the maximum, as in PyTorch.

    Y.-T. Zhou and R. Chellappa, "Computation of optical flow using a neural network", ICNN 1988.

    >>> import numpy as np, purenet as pn
    >>> x = np.array([[1.0, 3.0, 3.0, 2.0]])[..., None]
    >>> y, pullback = pn.max_pool((2,)).vjp((), x)
    >>> y.ravel(), pullback(np.ones_like(y))[1].ravel()
    (array([3., 3.]), array([0., 1., 1., 0.]))
    """
    windows = _windows("max_pool", window, stride, padding)

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        _, ends = windows.place(tuple(x.shape[1:-1]))
        if xp is np and not any(map(any, ends)) and _in_twos(x, windows):
            return max_of_twos(x), lambda dy: max_of_twos_rule(x, dy)

        def value(x: Any) -> Any:
            return _over_windows(xp.maximum, pad_space(x, ends, -math.inf), windows)

        def pull(x: Any, dy: Any) -> Any:
            return pad_space(_max_rule(xp, pad_space(x, ends, -math.inf), dy, windows), opposite(ends))

        return by_images(value, x), lambda dy: by_images(pull, x, dy)

    return _layer(windows, rule)


def avg_pool(
    window: int | Sequence[int], stride: int | Sequence[int] | None = None, padding: Padding = "valid"
) -> Layer[NoParams]:
    """The mean of each window: Y[o] = Σₜ X[o·stride + t − low] / cells. Arguments and shapes are those of `max_pool`.

    Padded cells count as 0 and are counted, as in PyTorch's `count_include_pad=True`, with "same" padding too.

    The rule: dE/dX[i] is the sum of dE/dY[o] over the windows o that X[i] is in, divided by the cells of a window.

    Y. LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of the IEEE 1998.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.avg_pool((2,)).vjp((), np.array([[1.0, 3.0, 3.0, 2.0]])[..., None])
    >>> y.ravel(), pullback(np.ones_like(y))[1].ravel()
    (array([2. , 2.5]), array([0.5, 0.5, 0.5, 0.5]))
    """
    windows = _windows("avg_pool", window, stride, padding)
    number = math.prod(windows.size)

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        space = tuple(x.shape[1:-1])
        _, ends = windows.place(space)

        def value(x: Any) -> Any:
            return _over_windows(add, pad_space(x, ends), windows) / number

        def pull(dy: Any) -> Any:
            dy = dy / number
            for axis, (n, (low, high)) in enumerate(zip(space, ends, strict=True)):
                dy = _gather(xp, [dy] * windows.size[axis], windows, axis, low + n + high)
            return pad_space(dy, opposite(ends))

        return by_images(value, x), lambda dy: by_images(pull, dy)

    return _layer(windows, rule)


def _flat(xp: Any, x: Any) -> Any:
    """x with its spatial axes in one."""
    return xp.reshape(x, (x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]))


def _global(name: str) -> Callable[[Shape], Shape]:
    def target(in_shape: Shape) -> Shape:
        if 0 in in_shape:
            raise ValueError(f"{name} takes at least one cell, but each example has shape {in_shape}")
        return in_shape[-1:]

    return target


@preset
def global_avg_pool() -> Layer[NoParams]:
    """The mean over all spatial axes: X (batch, *space, channels) to Y (batch, channels).

    The rule: dE/dX = dE/dY / cells, the same for each cell.

    M. Lin, Q. Chen, S. Yan, "Network in network", ICLR 2014.

    >>> import numpy as np, purenet as pn
    >>> pn.global_avg_pool.apply((), np.ones((2, 7, 7, 3))).shape
    (2, 3)
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        number = math.prod(x.shape[1:-1])
        y = xp.sum(_flat(xp, x), axis=1)
        y /= number

        def pull(dy: Any) -> Any:
            xp = namespace(dy)
            each = xp.reshape(dy / number, (dy.shape[0], *(1,) * (len(x.shape) - 2), dy.shape[-1]))
            return xp.broadcast_to(each, x.shape) + 0  # + 0: an array of its own

        return y, pull

    return spatial("global_avg_pool", rule, _global("global_avg_pool"))


@preset
def global_max_pool() -> Layer[NoParams]:
    """The maximum over all spatial axes: X (batch, *space, channels) to Y (batch, channels).

    The rule: dE/dY goes to the maximum; of equal ones to the first in row-major order, as in PyTorch's
    `adaptive_max_pool`.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.global_max_pool.vjp((), np.array([[1.0, 3.0, 3.0]])[..., None])
    >>> y, pullback(np.ones_like(y))[1].ravel()
    (array([[3.]]), array([0., 1., 0.]))
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        flat = _flat(xp, x)

        def pull(dy: Any) -> Any:
            places = xp.reshape(xp.arange(flat.shape[1]), (1, -1, 1))
            first = places == xp.expand_dims(xp.argmax(flat, axis=1), axis=1)
            dx = namespace(dy).expand_dims(dy, axis=1) * astype(first, dy.dtype)
            return namespace(dx).reshape(dx, x.shape)

        return xp.max(flat, axis=1), pull

    return spatial("global_max_pool", rule, _global("global_max_pool"))


def _windows(name: str, window: Any, stride: Any, padding: Any) -> Windows:
    name = called(name, window, stride=(stride, None), padding=(padding, "valid"))
    size = window_size(name, "window", window)
    dims = len(size)
    strides = size if stride is None else per_axis(name, "stride", stride, dims)
    windows = Windows(name, size, strides, (1,) * dims, pairs(name, padding, dims))
    if windows.padding != "same" and any(max(p) >= n for p, n in zip(windows.padding, size, strict=True)):
        raise ValueError(f"{name}: a padding of {windows.padding} must be less than the window {size}")
    return windows


def _layer(windows: Windows, rule: Callable[[Any, Any], tuple[Any, Pull]]) -> Layer[NoParams]:
    def target(in_shape: Shape) -> Shape:
        return (*windows.place(in_shape[:-1])[0], in_shape[-1])

    return spatial(windows.who, rule, target, len(windows.size))


def _slices(x: Any, windows: Windows, axis: int) -> list[Any]:
    """The first cell of every window along one axis, the second, and so on."""
    size, stride = windows.size[axis], windows.stride[axis]
    reach = (x.shape[axis + 1] - size) // stride * stride + 1
    before = (slice(None),) * (axis + 1)
    return [x[*before, t : t + reach : stride, ...] for t in range(size)]


def _over_windows(join: Callable[[Any, Any], Any], x: Any, windows: Windows) -> Any:
    """The numbers of each window, joined two by two; the first axis goes first, as its slices run longest in memory."""
    for axis in range(len(windows.size)):
        x = reduce(join, _slices(x, windows, axis))
    return x


def _max_rule(xp: Any, x: Any, dy: Any, windows: Windows) -> Any:
    """dE/dY goes to the first row with the maximum of its window, and there to the first cell that has it."""
    last = len(windows.size) - 1
    stages = []
    for axis in range(last, -1, -1):
        slices = _slices(x, windows, axis)
        slices = [without_gaps(part) for part in slices] if axis == last else slices
        y = reduce(xp.maximum, slices)
        stages.append((axis, slices, y, x.shape[axis + 1]))
        x = y
    for axis, slices, y, length in reversed(stages):
        parts, left = [], dy
        for part in slices[:-1]:
            parts.append(left * astype(part == y, left.dtype))
            left = left - parts[-1]  # what has gone to one slice cannot go to a later one
        dy = _gather(xp, [*parts, left], windows, axis, length)
    return dy


# On NumPy, the maximum over windows of two cells along each axis, side by side, in half the time. Every other cell is a
# short piece of memory; x as one long row, beside itself moved by a cell or by a row of them, has no pieces. So each
# cell is compared with its neighbour, also where they are of two windows: that costs less than to leave it out.


def _in_twos(x: Any, windows: Windows) -> bool:
    return {*windows.size, *windows.stride} == {2} and all(n % 2 == 0 for n in x.shape[1:-1]) and x.size > 0


def _moves(x: Any) -> list[int]:
    """How many numbers away the next cell is, along each spatial axis."""
    return [math.prod(x.shape[axis:]) for axis in range(2, x.ndim)]


def max_of_twos(x: Any) -> Any:
    (batch, *space, channels), moves = x.shape, _moves(x)
    y = np.empty((batch, *(n // 2 for n in space), channels), x.dtype)
    strides = [n * x.itemsize for n in (math.prod(x.shape[1:]), *(2 * move for move in moves))]
    for some in image_blocks(x):
        most = x[some].reshape(-1)
        for move in moves:
            most = np.maximum(most[:-move], most[move:])
        to = cells(y[some])
        to[...] = np.ndarray(to.shape, to.dtype, most, strides=strides)
    return y


def max_of_twos_rule(x: Any, dy: Any) -> Any:
    """dE/dY goes to the first or the second half of its window along one axis, and so on within that along the next."""
    (_, *space, channels), moves = x.shape, _moves(x)
    corners = np.zeros((1, *space, channels), bool)
    corners[:, *(slice(None, None, 2) for _ in space)] = True
    dx = np.empty(x.shape, dy.dtype)
    for some in image_blocks(x):
        most, firsts = x[some].reshape(-1), []
        for move in reversed(moves):
            one, other = most[:-move], most[move:]
            firsts.append(one >= other)
            if move != moves[0]:
                most = np.maximum(one, other)
        goes = np.repeat(corners, len(dy[some]), axis=0)  # as yet, all to the first cell of the window
        flat = goes.reshape(-1)
        for move, first in zip(moves, reversed(firsts), strict=True):
            here, there = flat[: first.size], flat[move : move + first.size]
            on = here > first
            here &= first
            there |= on
        to = dx[some]
        to[...] = goes
        halves = to.reshape(len(to), *(m for n in space[:-1] for m in (n // 2, 2)), -1)
        halves *= np.repeat(dy[some], 2, axis=-2).reshape(len(to), *(m for n in space[:-1] for m in (n // 2, 1)), -1)
    return dx


def _gather(xp: Any, parts: list[Any], windows: Windows, axis: int, length: int) -> Any:
    """dE/dX from what each slice of x gets: slices a stride apart meet in the same cells, and are added up there."""
    dims, stride = len(windows.size), windows.stride[axis]
    number, count = parts[0].shape[axis + 1], -(-length // stride)
    phases: list[Any] = []
    for r in range(stride):
        each = [
            pad_space(parts[t], on_axis(axis, dims, (t // stride, count - t // stride - number), (0, 0)))
            for t in range(r, len(parts), stride)
        ]
        phases.append(reduce(add, each) if each else xp.zeros_like(phases[0]))
    space = (*parts[0].shape[1 : axis + 1], length, *parts[0].shape[axis + 2 : -1])
    return interleave(phases, on_axis(axis, dims, stride, 1), space)
