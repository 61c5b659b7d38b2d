"""PyTorch's own convolution and pooling, in which channels come first: views of arrays in which they come last."""

from __future__ import annotations

import math
import sys
from typing import Any

from purenet.engine.arrays import Array, Shape
from purenet.engine.convolution import ConvolutionOps, Kept
from purenet.engine.windows import Back, Ends, Windows, opposite


class TorchConvolutionOps(ConvolutionOps):
    def correlate(
        self,
        x: Array,
        weight: Array,
        windows: Windows,
        groups: int = 1,
        bias: Array | None = None,
        patches: Kept | None = None,
    ) -> Array:
        convolve = _function("conv", windows)
        y: Array = _last(convolve(_first(x), _kernel_last(weight), bias, windows.stride, 0, windows.dilation, groups))
        return y

    def correlate_weight(
        self, x: Array, dy: Array, windows: Windows, groups: int = 1, patches: Kept | None = None
    ) -> Array:
        shape = (dy.shape[-1], x.shape[-1] // groups, *windows.size)
        dims = len(windows.size)
        find = getattr(sys.modules["torch"].nn.grad, f"conv{dims}d_weight")
        found = find(_first(x), shape, _first(dy), windows.stride, 0, windows.dilation, groups)
        dweight: Array = _permuted(found, *range(2, dims + 2), 1, 0)
        return dweight

    def spread(self, x: Array, weight: Array, windows: Windows, low: Shape, space: Shape, groups: int = 1) -> Array:
        *kernel, ins, outs = weight.shape
        dims = len(kernel)
        by_group = self.reshape(weight, (*kernel, ins, groups, outs // groups))
        if groups > 1 and set(windows.stride) == {1}:  # to correlate with the turned kernel takes less time then
            own: Any = _permuted(by_group, dims + 1, dims + 2, dims, *range(dims)).flip([*range(3, dims + 3)])
            own, ends = own.flatten(0, 1), [d * (k - 1) for d, k in zip(windows.dilation, kernel, strict=True)]
            y = _function("conv", windows)(_first(x), own, None, 1, ends, windows.dilation, groups)
        else:
            own = _permuted(by_group, dims + 1, dims, dims + 2, *range(dims))
            own = self.reshape(own, (groups * ins, outs // groups, *kernel))
            back = _function("conv_transpose", windows)
            y = back(_first(x), own, None, windows.stride, 0, 0, groups, windows.dilation)
        sizes = zip(space, y.shape[2:], low, strict=True)
        return self.pad_space(_last(y), [(-a, n - whole + a) for n, whole, a in sizes])

    def max_windows(self, x: Array, windows: Windows, ends: Ends) -> tuple[Array, Back]:
        padded = _first(self.pad_space(x, ends, -float("inf")))
        pool = _function("max_pool", windows)
        y, places = pool(padded, windows.size, windows.stride, 0, windows.dilation, return_indices=True)

        def pull(dy: Array) -> Array:
            if len(windows.size) == 2:  # in the order of memory of x; of one and three axes there is no such function
                options = [*windows.size], [*windows.stride], [0, 0], [*windows.dilation], False
                back = sys.modules["torch"].ops.aten.max_pool2d_with_indices_backward
                dx = back(_first(dy), padded, *options, places)
            else:
                flat: Any = self.zeros((*padded.shape[:2], math.prod(padded.shape[2:])), dtype=dy.dtype)
                flat.scatter_add_(-1, places.flatten(2), _first(dy).flatten(2))
                dx = self.reshape(flat, padded.shape)
            return self.pad_space(_last(dx), opposite(ends))

        return _last(y), pull


def _function(name: str, windows: Windows) -> Any:
    return getattr(sys.modules["torch"].nn.functional, f"{name}{len(windows.size)}d")


def _permuted(x: Any, *order: int) -> Any:
    return x.permute(order)


def _first(x: Any) -> Any:
    """(batch, *space, channels) as (batch, channels, *space)."""
    return x.movedim(-1, 1)


def _last(y: Any) -> Any:
    return y.movedim(1, -1)


def _kernel_last(weight: Any) -> Any:
    """(*kernel, in, out) as (out, in, *kernel)."""
    return weight.movedim(-1, 0).movedim(-1, 1)
