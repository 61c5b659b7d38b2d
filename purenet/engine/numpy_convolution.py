"""NumPy's own forms of a convolution's three products: one matrix product over patches.

It is many times faster than a sum over slices (K. Chellapilla, S. Puri, P. Simard, "High performance convolutional
neural networks for document processing", 2006). A patch is what a strip of `tile` neighbouring windows along the last
axis sees; it meets a banded matrix, which holds the kernel `tile` times, each shifted by the stride. With few channels
this copies less and gives the matrix product more columns, which is worth the zeros; tile = 1 is the plain form.
The zeros would make NaN of what is not finite, in all outputs of a strip: such an x has tile = 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from purenet.engine.arrays import NumpyArray, Shape
from purenet.engine.convolution import ConvolutionOps
from purenet.engine.numpy_windows import NumpyWindowOps, pad_space
from purenet.engine.windows import Pair, Windows, shifted

Place = tuple[slice, slice]  # some images, some rows
Blocks = Iterable[tuple[Place, NumpyArray]]

PATCH_BYTES = 1 << 20  # patches are made in blocks of about this size, which stay in cache until they are multiplied


class Patches(NamedTuple):
    """The patches of some x, of so many windows each."""

    tile: int
    blocks: Blocks


class NumpyConvolutionOps(NumpyWindowOps, ConvolutionOps):
    def kept_patches(self, x: NumpyArray, outs: int, windows: Windows, groups: int = 1) -> Patches | None:
        """The patches of a padded x, if they are one block: Y and dE/dW are both products of them.

        More of them would have left the cache before they are read again: to copy them again takes as long.
        """
        if math.prod(windows.size) == 1 or groups > 1:
            return None
        counts = windows.counts(x.shape[1:-1])
        tile = tile_for(x, windows, counts[-1], x.shape[-1], outs)
        strips = strips_of(x, windows, counts, tile)
        return Patches(tile, list(blocks_of(strips, x))) if strips.nbytes < 1.5 * PATCH_BYTES else None

    def correlate(
        self,
        x: NumpyArray,
        weight: NumpyArray,
        windows: Windows,
        groups: int = 1,
        bias: NumpyArray | None = None,
        patches: Patches | None = None,
    ) -> NumpyArray:
        if math.prod(windows.size) > 1 and groups == 1:
            return patches_times_weight(x, weight, windows, bias, patches)
        return super().correlate(x, weight, windows, groups, bias)

    def correlate_weight(
        self, x: NumpyArray, dy: NumpyArray, windows: Windows, groups: int = 1, patches: Patches | None = None
    ) -> NumpyArray:
        if patches:
            return patches_times_dy(x, dy, windows, patches)
        return super().correlate_weight(x, dy, windows, groups)

    def spread(
        self, x: NumpyArray, weight: NumpyArray, windows: Windows, low: Shape, space: Shape, groups: int = 1
    ) -> NumpyArray:
        ins, outs = weight.shape[-2:]
        if groups == 1 and math.prod(windows.size) > 1:
            if outs < 16 and 2 * outs <= ins:  # with more channels, adding up costs more than zeros around x
                return patches_added_up(x, weight, windows, low, space)
            if outs >= 24 and windows.stride[-1] == 1 < math.prod(windows.size[:-1]):
                return rows_added_up(x, weight, windows, low, space)
        return super().spread(x, weight, windows, low, space, groups)

    def of_one_group(self, x: NumpyArray, weight: NumpyArray, windows: Windows) -> NumpyArray:
        if math.prod(windows.size) == 1:
            return super().of_one_group(x, weight, windows)
        return patches_times_weight(x, weight, windows)

    def weight_of_one_group(self, x: NumpyArray, dy: NumpyArray, windows: Windows) -> NumpyArray:
        if math.prod(windows.size) == 1:
            return super().weight_of_one_group(x, dy, windows)
        return patches_times_dy(x, dy, windows)

    def depthwise(self, x: NumpyArray, weight: NumpyArray, windows: Windows) -> NumpyArray:
        """With a last stride of 1 by `einsum`, which adds up row by row, in cache: in half the time."""
        if windows.stride[-1] != 1 or not x.size:
            return super().depthwise(x, weight, windows)
        counts, outs = windows.counts(x.shape[1:-1]), weight.shape[-1]
        x = np.ascontiguousarray(self.each_channel(x, outs))
        image, *axes, number = x.strides
        looks = [a * d for a, d in zip(axes, windows.dilation, strict=True)]
        moves = [a * s for a, s in zip(axes[:-1], windows.stride[:-1], strict=True)]
        row = counts[-1] * outs
        shape = (*windows.size, len(x), *counts[:-1], row)
        under = np.ndarray(shape, x.dtype, x, strides=(*looks, image, *moves, number))
        wide = np.repeat(weight, counts[-1], axis=-2).reshape(*windows.size, row)
        cell, place = "xyz"[: len(axes)], "bcd"[: len(axes)]
        y = np.einsum(f"{cell}{place}r,{cell}r->{place}r", under, wide)
        return y.reshape(len(x), *counts, outs)

    def products_summed(self, x: NumpyArray, dy: NumpyArray, windows: Windows) -> NumpyArray:
        """By `einsum`, which makes no array of the products: in a quarter of the time."""
        counts, axes = windows.counts(x.shape[1:-1]), "abcde"[: x.ndim]
        total = np.zeros((math.prod(windows.size), *dy.shape[-2:]))
        images = max(1, 1024 // max(1, math.prod(counts[:-1])))  # a sum of sums keeps more digits than one long sum
        for i in range(0, len(x), images):
            some = slice(i, i + images)
            for row, cell in zip(total, windows.cells, strict=True):
                row += np.einsum(f"{axes},{axes}->{axes[-2:]}", shifted(x[some], cell, windows, counts), dy[some])
        return total.sum(axis=1).astype(dy.dtype)


def patches_times_weight(
    x: NumpyArray,
    weight: NumpyArray,
    windows: Windows,
    bias: NumpyArray | None = None,
    patches: Patches | None = None,
) -> NumpyArray:
    counts, channels = windows.counts(x.shape[1:-1]), weight.shape[-1]
    tile, blocks = patches or patches_of(x, windows, channels)
    band = _banded(weight, windows, tile, bias)
    y = np.empty((x.shape[0], *counts[:-1], counts[-1] // tile, tile * channels), x.dtype)
    for block, matrix in blocks:
        np.matmul(matrix[:, : len(band)], band, out=y[block].reshape(-1, tile * channels))
    return y.reshape(x.shape[0], *counts, channels)


def patches_times_dy(x: NumpyArray, dy: NumpyArray, windows: Windows, patches: Patches | None = None) -> NumpyArray:
    counts, channels = windows.counts(x.shape[1:-1]), dy.shape[-1]
    tile, blocks = patches or patches_of(x, windows, channels)
    dy = np.ascontiguousarray(dy).reshape(*dy.shape[:-2], counts[-1] // tile, tile * channels)
    cells_of_a_patch = math.prod(windows.size[:-1]) * _strip(windows, tile)[1]
    band = np.zeros((cells_of_a_patch * x.shape[-1], tile * channels), x.dtype)
    for block, matrix in blocks:
        band += matrix[:, :-1].T @ dy[block].reshape(-1, tile * channels)
    return _unbanded(band, windows, x.shape[-1], channels, tile)


def patches_added_up(
    x: NumpyArray, weight: NumpyArray, windows: Windows, low: Shape, space: Shape, tile: int | None = None
) -> NumpyArray:
    """`spread` to few channels: a strip of x times the banded matrix, transposed, is a patch of Y; patches add up."""
    (batch, *counts, ins), outs = x.shape, weight.shape[-1]
    tile = tile or tile_for(x, windows, counts[-1], outs, ins, copying=2)
    step, span = _strip(windows, tile)
    band = _banded(np.matrix_transpose(weight), windows, tile).T
    wide = tuple((n - 1) * s + r for n, s, r in zip(counts, windows.stride, windows.reach, strict=True))
    strips = x.reshape(batch, math.prod(counts) // tile, tile * ins)
    y = np.zeros((batch, *wide, outs), x.dtype)
    images = max(1, 4 * PATCH_BYTES // max(1, strips.shape[1] * band.shape[1] * x.itemsize))
    outer = windows.of_axes(slice(-1))
    for i in range(0, batch, images):
        block = strips[i : i + images]
        patches = (block.reshape(-1, tile * ins) @ band).reshape(
            len(block), *counts[:-1], counts[-1] // tile, *windows.size[:-1], span, outs
        )
        for cell in outer.cells:
            under = shifted(y[i : i + images], cell, outer, tuple(counts[:-1]))
            for j, start in enumerate(range(0, counts[-1] * windows.stride[-1], tile * windows.stride[-1])):
                place = slice(start, start + (span - 1) * step + 1, step)
                under[..., place, :] += patches[(slice(None),) * (x.ndim - 2) + (j, *cell)]
    return pad_space(y, [(-a, n + a - w) for a, n, w in zip(low, space, wide, strict=True)])


def rows_added_up(x: NumpyArray, weight: NumpyArray, windows: Windows, low: Shape, space: Shape) -> NumpyArray:
    """`spread` with a last stride of 1: a correlation along the last axis, with results that add up along the others.

    Patches of one row of the kernel take a fraction of the copying, and one product has them meet all rows of it.
    """
    (batch, *counts, ins), outs, n, (*_, k) = x.shape, weight.shape[-1], space[-1], windows.size
    outer = windows.of_axes(slice(-1))
    ones = (1,) * len(outer.size)
    inner = Windows((*ones, k), (*ones, 1), (*ones, windows.dilation[-1]))
    before = inner.reach[-1] - 1 - low[-1]
    x = pad_space(x, (*((0, 0),) * (x.ndim - 3), (before, n + low[-1] - counts[-1])))
    matrix = np.moveaxis(np.flip(weight, axis=-3), (-3, -2), (0, 1)).reshape(k * ins, -1)
    wide = tuple((c - 1) * s + r for c, s, r in zip(counts[:-1], outer.stride, outer.reach, strict=True))
    y = np.zeros((batch, *wide, n, outs), x.dtype)
    for (images, some), patches in blocks_of(strips_of(x, inner, (*counts[:-1], n), 1), x):
        part = y[images, some.start * outer.stride[0] :]
        each = (patches[:, :-1] @ matrix).reshape(len(part), -1, *counts[1:-1], n, *outer.size, outs)
        for cell in outer.cells:
            under = shifted(part, cell, outer, each.shape[1 : len(counts)])
            under += each[(slice(None),) * (x.ndim - 1) + cell]
    return pad_space(y, (*((-a, m + a - w) for a, m, w in zip(low[:-1], space[:-1], wide, strict=True)), (0, 0)))


def patches_of(x: NumpyArray, windows: Windows, outs: int, tile: int | None = None) -> Patches:
    """The patches of a padded x, to make as many outputs of."""
    counts = windows.counts(x.shape[1:-1])
    tile = tile or tile_for(x, windows, counts[-1], x.shape[-1], outs)
    return Patches(tile, blocks_of(strips_of(x, windows, counts, tile), x))


def strips_of(x: NumpyArray, windows: Windows, counts: Shape, tile: int) -> NumpyArray:
    """A view (batch, *counts, *cells) of the patches; counts and cells along the last axis are those of strips.

    An item is a cell with its channels, or all cells of a row, where they lie side by side: to copy items of many
    bytes is up to twice as fast.
    """
    x = np.ascontiguousarray(x)
    step, span = _strip(windows, tile)
    batch, *axes, _ = x.strides
    moves = [a * s for a, s in zip(axes, windows.stride, strict=True)]
    looks = [a * d for a, d in zip(axes, windows.dilation, strict=True)]
    moves[-1], looks[-1] = moves[-1] * tile, axes[-1] * step
    run, span = (span, 1) if step == 1 else (1, span)
    item = np.dtype((np.void, run * x.shape[-1] * x.itemsize))
    shape = (x.shape[0], *counts[:-1], counts[-1] // tile, *windows.size[:-1], span)
    return np.ndarray(shape, item, x, strides=(batch, *moves, *looks))


def _strip(windows: Windows, tile: int) -> Pair:
    """The spacing along the last axis of the cells that a strip of windows needs, and their number."""
    stride, dilation = windows.stride[-1], windows.dilation[-1]
    step = dilation if tile == 1 else math.gcd(stride, dilation)
    return step, ((tile - 1) * stride + windows.reach[-1] - 1) // step + 1


def blocks_of(strips: NumpyArray, x: NumpyArray) -> Blocks:
    """The patches of x as matrices, some images at a time, or some rows of one image, with the place of each block.

    Each patch ends with a 1, which meets the bias: to add that afterwards takes longer.
    """
    batch, high, *_ = strips.shape
    per_row = math.prod(strips.shape[2:]) * strips.itemsize
    some_rows = max(1, min(high, PATCH_BYTES // per_row))
    images = max(1, -(-batch // max(1, round(strips.nbytes / PATCH_BYTES))))
    columns = math.prod(strips.shape[x.ndim - 1 :]) * strips.itemsize // x.itemsize
    for i in range(0, batch, images):
        for j in range(0, high, some_rows):
            block = slice(i, i + images), slice(j, j + some_rows)
            some = strips[block]
            patches = np.empty((math.prod(some.shape[: x.ndim - 1]), columns + 1), x.dtype)
            patches[:, -1] = 1
            patches[:, :-1].view(strips.dtype).reshape(some.shape)[...] = some
            yield block, patches


def _banded(weight: NumpyArray, windows: Windows, tile: int, bias: NumpyArray | None = None) -> NumpyArray:
    """The kernel as a matrix (cells of a patch · in, tile · out), and the bias as its last row."""
    *_, wide, ins, outs = weight.shape
    if tile == 1 and bias is None:
        return weight.reshape(-1, outs)
    height = math.prod(windows.size[:-1]) * _strip(windows, tile)[1] * ins
    band = np.zeros((height + (bias is not None), tile * outs), weight.dtype)
    _kernels(band, windows, ins, tile)[...] = weight.reshape(-1, 1, wide, ins, outs)
    if bias is not None:
        band[-1].reshape(tile, outs)[...] = bias
    return band


def _unbanded(band: NumpyArray, windows: Windows, ins: int, outs: int, tile: int) -> NumpyArray:
    """dE/dW from the gradient of its banded matrix: the sum over the places where the kernel stands."""
    return np.add.reduce(_kernels(band, windows, ins, tile), axis=1).reshape(*windows.size, ins, outs)


def _kernels(band: NumpyArray, windows: Windows, ins: int, tile: int) -> NumpyArray:
    """A view (rows of the kernel, tile, columns of the kernel, in, out) of a banded matrix: where the kernel stands."""
    step, span = _strip(windows, tile)
    row, number = band.strides
    outs, cell = band.shape[1] // tile, ins * row
    along = windows.stride[-1] // step * cell + outs * number  # to the kernel of the next window
    shape = (math.prod(windows.size[:-1]), tile, windows.size[-1], ins, outs)
    return np.ndarray(
        shape, band.dtype, band, strides=(span * cell, along, windows.dilation[-1] // step * cell, row, number)
    )


def tile_for(x: NumpyArray, windows: Windows, count: int, ins: int, outs: int, copying: int = 1) -> int:
    """The best tile, if all of x is finite."""
    tile = best_tile(windows, count, ins, outs, copying)
    return tile if tile == 1 or all_finite(x) else 1


def all_finite(x: NumpyArray) -> bool:
    """Whether no number is a NaN or an infinity."""
    return bool(np.isfinite(x).all())


@lru_cache(1024)  # it is asked at each step
def best_tile(windows: Windows, count: int, ins: int, outs: int, copying: int = 1) -> int:
    """The number of windows in a strip that costs least, of those that divide a row of them.

    A cell of a patch costs `outs` multiplications, and copying it as much as some 15 more, shared by the windows of the
    strip; with few channels it takes more, as they are copied in shorter runs; adding it up takes twice the copying.
    (Measured with OpenBLAS on AVX-512.)
    """
    copy = (15 + 60 / ins) * copying
    tiles = (tile for tile in range(1, min(count, 32) + 1) if count % tile == 0)
    return min(tiles, key=lambda tile: _strip(windows, tile)[1] * (copy / tile + outs))
