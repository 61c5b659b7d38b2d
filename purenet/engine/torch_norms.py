"""Normalization on tensors in as few passes as PyTorch's own makes, where the means are near.

The plain forms take the mean off first, and then what is left of it, so that a mean of a million costs no digits. Here
no array is made of the deviations. Where each mean is within a few standard deviations of 0, that costs no digits in a
batch norm, and in the others one at most: their kernel adds up x² without blocks. This is looked at, and all else goes
the plain way, what is not finite too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from purenet.engine.norms import NormOps

BATCH_NEAR, GROUP_NEAR = 4.0, 1.0  # standard deviations from 0 to the mean; the second kernel squares what it sums
ROWS = 1024  # in a sum without blocks, which loses digits in proportion to its length
POSITIONS = 4096  # in such a sum of the kernel for groups, which has no blocks


class TorchNormOps(NormOps):
    if TYPE_CHECKING:
        runs_here: Callable[..., bool]

    def normalize_batch(self, plain: Callable[..., Any], x: Any, weight: Any, bias: Any, eps: float) -> Any:
        """By PyTorch's own batch norm where its sums are short, else by sums of blocks."""
        channels = x.shape[-1]
        if not channels or not self.runs_here(x, weight, bias):
            return plain(self, x, weight, bias, eps)
        flat = x.reshape(-1, channels)
        weight, bias = _contiguous(weight), _contiguous(bias)
        short = len(flat) <= ROWS
        found = _short_batch(flat, weight, bias, eps) if short else _long_batch(flat, weight, bias, eps)
        if not found:
            return plain(self, x, weight, bias, eps)
        y, mean, variance, back = found

        def shaped(dy: Any, wrt_x: bool) -> Any:
            dweight, dbias, dx = back(dy.reshape(flat.shape), wrt_x)
            return dweight, dbias, dx.view(x.shape) if wrt_x else None

        return y.view(x.shape), mean, variance, shaped

    def normalize_groups(
        self, plain: Callable[..., Any], x: Any, groups: int, weight: Any, bias: Any, eps: float
    ) -> Any:
        batch, channels = x.shape[0], x.shape[-1]
        positions = x.numel() // max(1, batch * channels)
        if not x.numel() or positions > POSITIONS or not self.runs_here(x, weight, bias):
            return plain(self, x, groups, weight, bias, eps)
        aten = sys.modules["torch"].ops.aten
        sizes = batch, channels, positions, groups
        weight, bias = _contiguous(weight), _contiguous(bias)

        def first(each: Any) -> Any:
            """Images with channels first, as a view: PyTorch calls this order in memory channels_last."""
            return each.reshape(batch, positions, 1, channels).contiguous().permute(0, 3, 1, 2)

        def last(each: Any) -> Any:
            return each.permute(0, 2, 3, 1).reshape(x.shape)

        y, mean, r = aten.native_group_norm(first(x), weight, bias, *sizes, eps)
        if _is_far(mean, r, GROUP_NEAR):
            return plain(self, x, groups, weight, bias, eps)

        def back(dy: Any, wrt_x: bool) -> Any:
            wanted = True, weight is not None, bias is not None  # without dE/dX the kernel ends the process
            given = first(dy), first(x), mean, r, weight
            dx, dweight, dbias = aten.native_group_norm_backward(*given, *sizes, wanted)
            return dweight, dbias, last(dx) if wrt_x else None

        return last(y), back


def _short_batch(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Y, the mean, the variance and the rule of rows so few that PyTorch's own sums keep their digits; None if a mean
    is far."""
    aten, n = sys.modules["torch"].ops.aten, len(x)
    kept = x.new_zeros((2, x.shape[1]))  # the mean, and the variance with n − 1, as the kernel hands them out
    y, mean, r = aten.native_batch_norm(x, weight, bias, kept[0], kept[1], True, 1.0, eps)
    if _is_far(mean, r, BATCH_NEAR):
        return None

    def back(dy: Any, wrt_x: bool) -> Any:
        dx, dweight, dbias = aten.native_batch_norm_backward(
            dy, x, weight, None, None, mean, r, True, eps, (wrt_x, True, True)
        )
        return dweight, dbias, dx

    return y, kept[0], kept[1] * ((n - 1) / n), back


def _long_batch(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """The same of many rows: Y = X·a + (b − μ·a), and dE/dX = dE/dY·a + X·slope + shift. Each is one or two products,
    over wide rows. None if a mean is far, or if no number of blocks below 256 divides the rows."""
    n, channels = x.shape
    torch = sys.modules["torch"]
    blocks = next((k for k in range(-(-n // ROWS), 256) if n % k == 0), 0)
    if not blocks:
        return None
    wide = next(k for k in range(max(1, 256 // channels), 0, -1) if n % k == 0)
    shape = n // wide, wide * channels
    rows = x.reshape(shape)
    mean = rows.sum(0).view(wide, channels).sum(0) / n
    variance = (_sums_with(x, x, mean, blocks)[0] / n).clamp_(min=0)  # Σ x(x − μ) is Σ (x − μ)²
    r = (1 / (variance + eps)).sqrt_()
    if _is_far(mean, r, BATCH_NEAR):
        return None
    a = r if weight is None else r * weight
    wide_a = _repeated(a, wide)
    y = torch.addcmul(_repeated(-mean * a if bias is None else bias - mean * a, wide), rows, wide_a)

    def back(dy: Any, wrt_x: bool) -> Any:
        products, dbias = _sums_with(dy, x, mean, blocks)
        dweight = products * r
        if not wrt_x:
            return dweight, dbias, None
        slope = a * r * dweight * (-1 / n)
        shift = -mean * slope - a * dbias * (1 / n)
        dx = torch.addcmul(_repeated(shift, wide), rows, _repeated(slope, wide))
        return dweight, dbias, dx.addcmul_(dy.reshape(shape), wide_a)

    return y, mean, variance, back


def _sums_with(a: Any, b: Any, mean: Any, blocks: int) -> tuple[Any, Any]:
    """Σ a ⊙ (b − mean) and Σ a over the rows, in one pass.

    They are dE/dW and dE/dB of a batch norm with dE/dY = a, X = b and r = 1, and PyTorch's kernel for its way back is
    asked for these two alone. The kernel adds up row after row, which loses digits where there are many. So it is given
    as many times the channels and as many times fewer rows as there are blocks, and the blocks' sums are added up here.
    """
    n, channels = a.shape
    shape = n // blocks, blocks * channels
    wide_mean, ones = _repeated(mean, blocks), mean.new_ones(shape[1])
    back = sys.modules["torch"].ops.aten.native_batch_norm_backward
    given = a.reshape(shape), b.reshape(shape), None, wide_mean, ones, wide_mean, ones
    _, products, sums = back(*given, True, 0.0, (False, True, True))
    return products.view(blocks, channels).sum(0), sums.view(blocks, channels).sum(0)


def _contiguous(x: Any) -> Any:
    """For the kernels, which read numbers a channel as they stand in memory, whatever the strides say."""
    return None if x is None else x.contiguous()


def _repeated(channels: Any, count: int) -> Any:
    """One number per channel, `count` times over; PyTorch's `repeat` takes twice the time."""
    return channels.expand(count, -1).reshape(-1).contiguous()


def _is_far(mean: Any, r: Any, limit: float) -> bool:
    """Whether a mean is farther from 0 than so many standard deviations, or not finite. PyTorch has 0 in the place of
    1/0, and the variance may be beyond the dtype."""
    return not bool((((mean * r).abs_() <= limit) & (r > 0)).all())
