"""NumPy's own forms of the ops on windows.

NumPy pays for short rows and for memory that is not in the cache: a cell with few channels is a short row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np

from purenet.engine.arrays import NumpyArray, Shape
from purenet.engine.windows import Back, Ends, WindowOps, Windows, cut_space

# A mask of 0 and 1 times the bits of a float, as an integer, is that float or 0. The float itself times 0 would be NaN
# where it is not finite, and `where` takes up to twenty times as long.
BITS = {2: np.int16, 4: np.int32, 8: np.int64}

BLOCK_BYTES = 1 << 20  # of the images handled at a time, where what is made of them is to stay in cache


class NumpyWindowOps(WindowOps):
    def pad_space(self, x: NumpyArray, padding: Ends, value: float = 0.0) -> NumpyArray:
        return pad_space(x, padding, value)

    def interleave(self, phases: list[NumpyArray], stride: Shape, space: Shape) -> NumpyArray:
        """Written in place, in half the time of a transposition."""
        if len(phases) == 1 or phases[0].size == 0:
            return super().interleave(phases, stride, space)
        x = np.empty((len(phases[0]), *space, phases[0].shape[-1]), phases[0].dtype)
        for start, phase in zip(product(*map(range, stride)), phases, strict=True):
            place = cells(x)[:, *(slice(r, None, s) for r, s in zip(start, stride, strict=True))]
            place[...] = cells(phase)[:, *map(slice, place.shape[1:])]
        return x

    def without_gaps(self, x: NumpyArray) -> NumpyArray:
        """As an array of its own, without the gaps."""
        return cells(x).copy().view(x.dtype).reshape(x.shape) if x.size else x

    def by_images(self, f: Callable[..., NumpyArray], *arrays: NumpyArray) -> NumpyArray:
        """Some images at a time, so that what f makes on its way stays in cache."""
        blocks = image_blocks(arrays[0])
        if len(blocks) == 1:
            return f(*arrays)
        y: NumpyArray | None = None
        for some in blocks:
            part = f(*(each[some] for each in arrays))
            y = np.empty((len(arrays[0]), *part.shape[1:]), part.dtype) if y is None else y
            y[some] = part
        return y

    def max_windows(self, x: NumpyArray, windows: Windows, ends: Ends) -> tuple[NumpyArray, Back]:
        in_twos = {*windows.size, *windows.stride} == {2} and max(windows.dilation) == 1
        if in_twos and all(n % 2 == 0 for n in x.shape[1:-1]) and x.size > 0 and not any(map(any, ends)):
            return max_of_twos(x), lambda dy: to_the_maximum_of_twos(x, dy)
        return super().max_windows(x, windows, ends)


def pad_space(x: NumpyArray, padding: Ends, value: float = 0.0) -> NumpyArray:
    """One copy for all axes."""
    if any(low > 0 or high > 0 for low, high in padding):
        wider = (n + max(0, a) + max(0, b) for n, (a, b) in zip(x.shape[1:-1], padding, strict=True))
        padded = np.full((len(x), *wider, x.shape[-1]), value, x.dtype)
        inner = (slice(max(0, a), max(0, a) + n) for n, (a, _) in zip(x.shape[1:-1], padding, strict=True))
        padded[:, *inner] = x
        x = padded
    return cut_space(x, padding)


def cells(x: NumpyArray) -> NumpyArray:
    """A view of an array in which the channels of a cell are one item.

    So a copy of every other cell moves cells, not numbers: with few channels, several times as fast.
    """
    x = x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)
    return x.view(np.dtype((np.void, x.shape[-1] * x.itemsize)))[..., 0]


def image_blocks(x: NumpyArray) -> list[slice]:
    """Which images are handled at a time."""
    if x.nbytes <= BLOCK_BYTES:
        return [slice(None)]
    images = max(1, BLOCK_BYTES * len(x) // x.nbytes)
    return [slice(i, i + images) for i in range(0, len(x), images)]


# The maximum over windows of two cells along each axis, side by side, in half the time. Every other cell is a short
# piece of memory; x as one long row, beside itself moved by a cell or by a row of them, has no pieces. So each cell is
# compared with its neighbour, also where they are of two windows: that costs less than to leave it out.


def _moves(x: NumpyArray) -> list[int]:
    """How many numbers away the next cell is, along each spatial axis."""
    return [math.prod(x.shape[axis:]) for axis in range(2, x.ndim)]


def max_of_twos(x: NumpyArray) -> NumpyArray:
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


def to_the_maximum_of_twos(x: NumpyArray, dy: NumpyArray) -> NumpyArray:
    """dE/dY goes to the first or the second half of its window along one axis, and so on within that along the next."""
    (_, *space, channels), moves = x.shape, _moves(x)
    corners = np.zeros((1, *space, channels), bool)
    corners[:, *(slice(None, None, 2) for _ in space)] = True
    dx = np.empty(x.shape, dy.dtype)
    bits, dy_bits = (each.view(BITS[dy.itemsize]) for each in (dx, dy))
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
        to = bits[some]
        to[...] = goes
        halves = to.reshape(len(to), *(m for n in space[:-1] for m in (n // 2, 2)), -1)
        sent = np.repeat(dy_bits[some], 2, axis=-2)
        halves *= sent.reshape(len(to), *(m for n in space[:-1] for m in (n // 2, 1)), -1)
    return dx
