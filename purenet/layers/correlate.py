"""The three products of a convolution layer: of x and W, of dE/dY and W, of x and dE/dY.

    correlate          Y[o] = Σₜ X[o·stride + t·dilation − low] · W[t]        t runs over the cells of the kernel
    spread             the same with X and Y exchanged: Y[o·stride + t·dilation − low] += X[o] · W[t]
    correlate_weight   dE/dW[t] = Σₒ X[o·stride + t·dilation − low]ᵀ · dE/dY[o]

W[t] is a matrix (in, out). Each product has one form in array-API code, a sum over shifted slices. On NumPy the sum is
one matrix product over patches instead (K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural
networks for document processing", 2006), because it is many times faster; the standard cannot say overlapping views.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from purenet.engine.arrays import Shape, dot, namespace, rows, sum_leading
from purenet.layers.windows import Pair, Windows, by_images, interleave, pad_space, shifted

PATCH_BYTES = 1 << 20  # patches are made in blocks of about this size, which stay in cache until they are multiplied

Blocks = Iterable[tuple[Any, Any]]


def correlate(
    x: Any, weight: Any, windows: Windows, groups: int = 1, bias: Any = None, patches: Blocks | None = None
) -> Any:
    """Y from a padded x (batch, *space, in), weight (*kernel, in // groups, out) and bias (out,).

    patches: those that `kept_patches` has made of x.
    """
    if jax := _jax(x, weight.shape[-2], weight.shape[-1] // groups, windows):
        return add_channels(_convolved(jax, x, weight, windows, groups), bias)
    by_patches = _by_patches(x, windows)
    if by_patches and groups == 1:
        return _patches_times_weight(x, weight, windows, bias, blocks=patches)
    if groups > 1 and weight.shape[-2] == 1:
        y = _depthwise(x, weight, windows)
    else:
        form = _patches_times_weight if by_patches else sum_of_slices
        y = _by_group(form, x, weight, weight.shape[-2], weight.shape[-1] // groups, groups, windows)
    return add_channels(y, bias)


def correlate_weight(x: Any, dy: Any, windows: Windows, groups: int = 1, patches: Blocks | None = None) -> Any:
    """dE/dW (*kernel, in // groups, out) from a padded x, or its patches, and dE/dY."""
    if jax := _jax(x, x.shape[-1] // groups, dy.shape[-1] // groups, windows):
        weight = jax.ShapeDtypeStruct((*windows.size, x.shape[-1] // groups, dy.shape[-1]), x.dtype)
        return jax.linear_transpose(lambda weight: _convolved(jax, x, weight, windows, groups), weight)(dy)[0]
    if groups > 1 and x.shape[-1] == groups:
        return _depthwise_weight(x, dy, windows)
    if patches:
        return _patches_times_dy(x, dy, windows, blocks=patches)
    form = _patches_times_dy if _by_patches(x, windows) else slices_times_dy
    return _by_group(form, x, dy, x.shape[-1] // groups, dy.shape[-1] // groups, groups, windows)


def spread(x: Any, weight: Any, windows: Windows, low: Shape, space: Shape, groups: int = 1) -> Any:
    """Y (batch, *space, out) from x (batch, *counts, in) and weight (*kernel, in // groups, out)."""
    ins, outs = weight.shape[-2:]
    if type(x) is np.ndarray and groups == 1 and math.prod(windows.size) > 1:
        if outs < 16 and 2 * outs <= ins:  # measured: with more channels, adding up costs more than zeros around x
            return _patches_added_up(x, weight, windows, low, space)
        if outs >= 24 and windows.stride[-1] == 1 < math.prod(windows.size[:-1]):
            return _rows_added_up(x, weight, windows, low, space)
    return correlate_phases(x, weight, windows, low, space, groups)


def correlate_phases(x: Any, weight: Any, windows: Windows, low: Shape, space: Shape, groups: int = 1) -> Any:
    """`spread` without scattering, and without multiplying by zeros between the cells of x.

    The outputs at i ≡ r modulo the stride meet only every stride-th cell of the kernel, so they are a correlation of x
    with those cells, flipped; there is one for each r.
    """
    counts, outs = tuple(-(-n // s) for n, s in zip(space, windows.stride, strict=True)), weight.shape[-1]
    phases = []
    for phase in product(*map(range, windows.stride)):
        axes = [
            _phase(*numbers)
            for numbers in zip(
                phase, windows.size, windows.stride, windows.dilation, low, x.shape[1:-1], counts, strict=True
            )
        ]
        cells, dilation, padding = zip(*axes, strict=True)
        met = weight[*cells, ...]
        size = met.shape[:-2]
        if 0 in size:
            phases.append(namespace(x).zeros((x.shape[0], *counts, outs), dtype=x.dtype))
        else:
            every = Windows(windows.who, size, (1,) * len(size), dilation, padding)
            flipped = namespace(met).flip(met, axis=tuple(range(len(size))))
            phases.append(correlate(pad_space(x, padding), flipped, every, groups))
    return interleave(phases, windows.stride, space)


def _phase(r: int, k: int, stride: int, dilation: int, low: int, n: int, count: int) -> tuple[slice, int, Pair]:
    """Of the outputs i = q·stride + r: the cells t of the kernel that reach them, their spacing in x, x's padding.

    i = o·stride + t·dilation − low, so o = q − (t·dilation − low − r) / stride, where that is a whole number.
    """
    common = math.gcd(stride, dilation)
    step = stride // common
    fits = [t for t in range(min(step, k)) if (t * dilation - low - r) % stride == 0]
    if not fits:
        return slice(0, 0), 1, (0, 0)
    cells, spacing = range(fits[0], k, step), dilation // common
    first = (fits[0] * dilation - low - r) // stride
    return slice(fits[0], k, step), spacing, (first + (len(cells) - 1) * spacing, count - first - n)


def transposed(weight: Any, groups: int = 1) -> Any:
    """(*kernel, in // groups, out) as (*kernel, out // groups, in): each group's W[t] transposed."""
    xp = namespace(weight)
    if groups == 1:
        return xp.matrix_transpose(weight)
    *kernel, ins, out = weight.shape
    each = xp.reshape(weight, (*kernel, ins, groups, out // groups))
    order = (*range(len(kernel)), len(kernel) + 2, len(kernel) + 1, len(kernel))
    return xp.reshape(xp.permute_dims(each, order), (*kernel, out // groups, groups * ins))


def add_channels(y: Any, bias: Any) -> Any:
    """y + bias, in y. The last two axes go as one: few channels alone would make short, slow loops."""
    if bias is None:
        return y
    xp, width = namespace(y), y.shape[-2]
    wide = xp.reshape(y, (math.prod(y.shape[:-2]), width * y.shape[-1]))
    wide += xp.tile(bias, (width,))
    return xp.reshape(wide, y.shape)


def sum_channels(dy: Any) -> Any:
    """Σ dE/dY over all but the channels, for the same reason in two steps."""
    xp, (width, channels) = namespace(dy), dy.shape[-2:]
    wide = sum_leading(xp.reshape(dy, (math.prod(dy.shape[:-2]), width * channels)))
    return xp.sum(xp.reshape(wide, (width, channels)), axis=0)


def kept_patches(x: Any, outs: int, windows: Windows, groups: int = 1) -> Blocks | None:
    """The patches of a padded x, if they are one block: Y and dE/dW are both products of them, so they are made once.

    (To keep more of them was no faster than to copy them again: they are not in cache any more.)
    """
    if not _by_patches(x, windows) or groups > 1:
        return None
    counts = _counts(x, windows)
    strips = _strips(x, windows, counts, _best_tile(windows, counts[-1], x.shape[-1], outs))
    return list(_blocks(strips, x)) if strips.nbytes < 1.5 * PATCH_BYTES else None


def _by_patches(x: Any, windows: Windows) -> bool:
    return type(x) is np.ndarray and math.prod(windows.size) > 1


def _by_group(form: Callable[..., Any], a: Any, b: Any, ins: int, outs: int, groups: int, windows: Windows) -> Any:
    """form(a, b) of each group's channels, side by side."""
    if groups == 1:
        return form(a, b, windows)
    pairs = [(a[..., i * ins : (i + 1) * ins], b[..., i * outs : (i + 1) * outs]) for i in range(groups)]
    return namespace(a).concat([form(*pair, windows) for pair in pairs], axis=-1)


def _counts(x: Any, windows: Windows) -> Shape:
    """The number of windows along each axis of the padded x."""
    return tuple((n - r) // s + 1 for n, r, s in zip(x.shape[1:-1], windows.reach, windows.stride, strict=True))


def _cells(windows: Windows) -> Iterator[Shape]:
    """The cells of a window, in row-major order."""
    return product(*map(range, windows.size))


# Under JAX, its own convolution where it is faster than a sum over slices.


def _jax(x: Any, ins: int, outs: int, windows: Windows) -> Any:
    """JAX, if its convolution is to be used: on a GPU or TPU, and on a CPU where channels are few.

    (Of 32 and 64 channels of 3×3, a training step of the sum takes as long there, and inside of `scan` a 20th.)
    """
    if math.prod(windows.size) == 1 or namespace(x).__name__ != "jax.numpy":
        return None
    jax = sys.modules["jax"]
    return jax if min(ins, outs) < 16 or jax.default_backend() != "cpu" else None


def _convolved(jax: Any, x: Any, weight: Any, windows: Windows, groups: int) -> Any:
    axes = "HWD"[: len(windows.size)]
    return jax.lax.conv_general_dilated(
        x,
        weight,
        windows.stride,
        "VALID",
        rhs_dilation=windows.dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
    )


# In array-API code, a slice for each cell of the kernel.


def sum_of_slices(x: Any, weight: Any, windows: Windows) -> Any:
    """Y = Σₜ (x under cell t) · W[t]."""
    counts = _counts(x, windows)
    first, *others = _cells(windows)
    y = dot(rows(shifted(x, first, windows, counts)), weight[*first, ...])
    for cell in others:
        y += dot(rows(shifted(x, cell, windows, counts)), weight[*cell, ...])
    return namespace(x).reshape(y, (x.shape[0], *counts, weight.shape[-1]))


def slices_times_dy(x: Any, dy: Any, windows: Windows) -> Any:
    """dE/dW[t] = (x under cell t)ᵀ · dE/dY."""
    xp, counts, flat = namespace(x), _counts(x, windows), rows(dy)
    each = [dot(rows(shifted(x, cell, windows, counts)).T, flat) for cell in _cells(windows)]
    return xp.reshape(xp.stack(each), (*windows.size, x.shape[-1], dy.shape[-1]))


def _depthwise(x: Any, weight: Any, windows: Windows) -> Any:
    """One channel a group: W[t] is a row of numbers, and the products are elementwise.

    The row is laid out for all cells along the last axis: channels alone would make short, slow loops.
    """
    xp, counts = namespace(x), _counts(x, windows)
    wide = xp.repeat(weight, counts[-1], axis=-2)
    first, *others = _cells(windows)

    def of_some(x: Any) -> Any:
        x = _each_channel(x, weight.shape[-1])
        y = shifted(x, first, windows, counts) * wide[*first, ...]
        for cell in others:
            y += shifted(x, cell, windows, counts) * wide[*cell, ...]
        return y

    return by_images(of_some, x)


def _depthwise_weight(x: Any, dy: Any, windows: Windows) -> Any:
    x = _each_channel(x, dy.shape[-1])
    form = _products_summed if type(x) is np.ndarray else products_summed
    return namespace(x).reshape(form(x, dy, windows), (*windows.size, 1, dy.shape[-1]))


def products_summed(x: Any, dy: Any, windows: Windows) -> Any:
    """Σ (x under cell t) ⊙ dE/dY over all but the channels, for each t."""
    counts = _counts(x, windows)
    return namespace(x).stack([sum_channels(shifted(x, cell, windows, counts) * dy) for cell in _cells(windows)])


def _products_summed(x: Any, dy: Any, windows: Windows) -> Any:
    """The same on NumPy, by `einsum`, which makes no array of the products: in a quarter of the time."""
    counts, axes = _counts(x, windows), "abcde"[: x.ndim]
    total = np.zeros((math.prod(windows.size), *dy.shape[-2:]), dy.dtype)
    for i in range(0, len(x), 64):  # sums of sums keep more digits than one long sum
        some = slice(i, i + 64)
        for row, cell in zip(total, _cells(windows), strict=True):
            row += np.einsum(f"{axes},{axes}->{axes[-2:]}", shifted(x[some], cell, windows, counts), dy[some])
    return total.sum(axis=1)


def _each_channel(x: Any, outs: int) -> Any:
    """x with each channel as often as outputs are made of it."""
    return x if x.shape[-1] == outs else namespace(x).repeat(x, outs // x.shape[-1], axis=-1)


# On NumPy, one matrix product over patches. A patch is what a strip of `tile` neighbouring windows along the last axis
# sees; it meets a banded matrix, which holds the kernel `tile` times, each shifted by the stride. With few channels
# this copies less and gives the matrix product more columns, which is worth the zeros; tile = 1 is the plain form.
# (The zeros also meet what is not finite: one NaN or infinity in x makes all outputs of its strips NaN.)


def _patches_times_weight(
    x: Any, weight: Any, windows: Windows, bias: Any = None, tile: int | None = None, blocks: Blocks | None = None
) -> Any:
    counts, channels = _counts(x, windows), weight.shape[-1]
    tile = tile or _best_tile(windows, counts[-1], x.shape[-1], channels)
    band = _banded(weight, windows, tile, bias)
    y = np.empty((x.shape[0], *counts[:-1], counts[-1] // tile, tile * channels), x.dtype)
    for block, patches in blocks or _blocks(_strips(x, windows, counts, tile), x):
        np.matmul(patches[:, : len(band)], band, out=y[block].reshape(-1, tile * channels))
    return y.reshape(x.shape[0], *counts, channels)


def _patches_times_dy(x: Any, dy: Any, windows: Windows, tile: int | None = None, blocks: Blocks | None = None) -> Any:
    counts, channels = _counts(x, windows), dy.shape[-1]
    tile = tile or _best_tile(windows, counts[-1], x.shape[-1], channels)
    dy = np.ascontiguousarray(dy).reshape(*dy.shape[:-2], counts[-1] // tile, tile * channels)
    cells_of_a_patch = math.prod(windows.size[:-1]) * _strip(windows, tile)[1]
    band = np.zeros((cells_of_a_patch * x.shape[-1], tile * channels), x.dtype)
    for block, patches in blocks or _blocks(_strips(x, windows, counts, tile), x):
        band += patches[:, :-1].T @ dy[block].reshape(-1, tile * channels)
    return _unbanded(band, windows, x.shape[-1], channels, tile)


def _patches_added_up(x: Any, weight: Any, windows: Windows, low: Shape, space: Shape, tile: int | None = None) -> Any:
    """`spread` to few channels: a strip of x times the banded matrix, transposed, is a patch of Y; patches add up."""
    (batch, *counts, ins), outs = x.shape, weight.shape[-1]
    tile = tile or _best_tile(windows, counts[-1], outs, ins, copying=2)
    step, span = _strip(windows, tile)
    band = _banded(transposed(weight), windows, tile).T
    wide = tuple((n - 1) * s + r for n, s, r in zip(counts, windows.stride, windows.reach, strict=True))
    strips = x.reshape(batch, math.prod(counts) // tile, tile * ins)
    y = np.zeros((batch, *wide, outs), x.dtype)
    images = max(1, 4 * PATCH_BYTES // max(1, strips.shape[1] * band.shape[1] * x.itemsize))
    outer = Windows(windows.who, windows.size[:-1], windows.stride[:-1], windows.dilation[:-1], ())
    for i in range(0, batch, images):
        block = strips[i : i + images]
        patches = (block.reshape(-1, tile * ins) @ band).reshape(
            len(block), *counts[:-1], counts[-1] // tile, *windows.size[:-1], span, outs
        )
        for cell in _cells(outer):
            under = shifted(y[i : i + images], cell, outer, tuple(counts[:-1]))
            for j, start in enumerate(range(0, counts[-1] * windows.stride[-1], tile * windows.stride[-1])):
                place = slice(start, start + (span - 1) * step + 1, step)
                under[..., place, :] += patches[(slice(None),) * (x.ndim - 2) + (j, *cell)]
    return pad_space(y, [(-a, n + a - w) for a, n, w in zip(low, space, wide, strict=True)])


def _rows_added_up(x: Any, weight: Any, windows: Windows, low: Shape, space: Shape) -> Any:
    """`spread` with a last stride of 1: a correlation along the last axis, with results that add up along the others.

    Patches of one row of the kernel take a fraction of the copying, and one product has them meet all rows of it.
    """
    (batch, *counts, ins), outs, n, (*_, k) = x.shape, weight.shape[-1], space[-1], windows.size
    outer = Windows(windows.who, windows.size[:-1], windows.stride[:-1], windows.dilation[:-1], ())
    ones = (1,) * len(outer.size)
    inner = Windows(windows.who, (*ones, k), (*ones, 1), (*ones, windows.dilation[-1]), ())
    before = inner.reach[-1] - 1 - low[-1]
    x = pad_space(x, (*((0, 0),) * (x.ndim - 3), (before, n + low[-1] - counts[-1])))
    matrix = np.moveaxis(np.flip(weight, axis=-3), (-3, -2), (0, 1)).reshape(k * ins, -1)
    wide = tuple((c - 1) * s + r for c, s, r in zip(counts[:-1], outer.stride, outer.reach, strict=True))
    y = np.zeros((batch, *wide, n, outs), x.dtype)
    for (images, some), patches in _blocks(_strips(x, inner, (*counts[:-1], n), 1), x):
        part = y[images, some.start * outer.stride[0] :]
        each = (patches[:, :-1] @ matrix).reshape(len(part), -1, *counts[1:-1], n, *outer.size, outs)
        for cell in _cells(outer):
            under = shifted(part, cell, outer, each.shape[1 : len(counts)])
            under += each[(slice(None),) * (x.ndim - 1) + cell]
    return pad_space(y, (*((-a, m + a - w) for a, m, w in zip(low[:-1], space[:-1], wide, strict=True)), (0, 0)))


def _strips(x: Any, windows: Windows, counts: Shape, tile: int) -> Any:
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


def _blocks(strips: Any, x: Any) -> Blocks:
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


def _banded(weight: Any, windows: Windows, tile: int, bias: Any = None) -> Any:
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


def _unbanded(band: Any, windows: Windows, ins: int, outs: int, tile: int) -> Any:
    """dE/dW from the gradient of its banded matrix: the sum over the places where the kernel stands."""
    return np.add.reduce(_kernels(band, windows, ins, tile), axis=1).reshape(*windows.size, ins, outs)


def _kernels(band: Any, windows: Windows, ins: int, tile: int) -> Any:
    """A view (rows of the kernel, tile, columns of the kernel, in, out) of a banded matrix: where the kernel stands."""
    step, span = _strip(windows, tile)
    row, number = band.strides
    outs, cell = band.shape[1] // tile, ins * row
    along = windows.stride[-1] // step * cell + outs * number  # to the kernel of the next window
    shape = (math.prod(windows.size[:-1]), tile, windows.size[-1], ins, outs)
    return np.ndarray(
        shape, band.dtype, band, strides=(span * cell, along, windows.dilation[-1] // step * cell, row, number)
    )


@lru_cache(1024)  # it is asked at each step
def _best_tile(windows: Windows, count: int, ins: int, outs: int, copying: int = 1) -> int:
    """The number of windows in a strip that costs least, of those that divide a row of them.

    A cell of a patch costs `outs` multiplications, and copying it as much as some 15 more, shared by the windows of the
    strip; with few channels it takes more, as they are copied in shorter runs; adding it up takes twice the copying.
    (Measured with OpenBLAS on AVX-512.)
    """
    copy = (15 + 60 / ins) * copying
    tiles = (tile for tile in range(1, min(count, 32) + 1) if count % tile == 0)
    return min(tiles, key=lambda tile: _strip(windows, tile)[1] * (copy / tile + outs))
