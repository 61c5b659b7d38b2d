"""The three products of a convolution layer: of x and W, of dE/dY and W, of x and dE/dY. The plain forms.

    correlate          Y[o] = Σₜ X[o·stride + t·dilation − low] · W[t]        t runs over the cells of the kernel
    spread             the same with X and Y exchanged: Y[o·stride + t·dilation − low] += X[o] · W[t]
    correlate_weight   dE/dW[t] = Σₒ X[o·stride + t·dilation − low]ᵀ · dE/dY[o]

W[t] is a matrix (in, out). Here each product is a sum over shifted slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

from purenet.engine.arrays import Array, Shape
from purenet.engine.windows import Pair, WindowOps, Windows, shifted

Kept = Any  # what an engine keeps of a padded x, for the products in which it meets it


class ConvolutionOps(WindowOps):
    """The ops of a convolution."""

    def kept_patches(self, x: Array, outs: int, windows: Windows, groups: int = 1) -> Kept | None:
        """What `correlate` and `correlate_weight` both make of the padded x, once; None where they make nothing."""
        return None

    def correlate(
        self,
        x: Array,
        weight: Array,
        windows: Windows,
        groups: int = 1,
        bias: Array | None = None,
        patches: Kept | None = None,
    ) -> Array:
        """Y from a padded x (batch, *space, in), weight (*kernel, in // groups, out) and bias (out,).

        patches: those that `kept_patches` has made of x.
        """
        ins, outs = weight.shape[-2:]
        if groups > 1 and ins == 1:
            y = self.depthwise(x, weight, windows)
        else:
            y = self.by_group(self.of_one_group, x, weight, ins, outs // groups, groups, windows)
        return self.add_channels(y, bias)

    def correlate_weight(
        self, x: Array, dy: Array, windows: Windows, groups: int = 1, patches: Kept | None = None
    ) -> Array:
        """dE/dW (*kernel, in // groups, out) from a padded x, or its patches, and dE/dY."""
        ins, outs = x.shape[-1], dy.shape[-1]
        if groups > 1 and ins == groups:
            sums = self.products_summed(self.each_channel(x, outs), dy, windows)
            return self.reshape(sums, (*windows.size, 1, outs))
        return self.by_group(self.weight_of_one_group, x, dy, ins // groups, outs // groups, groups, windows)

    def spread(self, x: Array, weight: Array, windows: Windows, low: Shape, space: Shape, groups: int = 1) -> Array:
        """Y (batch, *space, out) from x (batch, *counts, in) and weight (*kernel, in // groups, out).

        Without scattering, and without multiplying by zeros between the cells of x: the outputs at i ≡ r modulo the
        stride meet only every stride-th cell of the kernel, so they are a correlation of x with those cells, flipped;
        there is one for each r.
        """
        counts, outs = tuple(-(-n // s) for n, s in zip(space, windows.stride, strict=True)), weight.shape[-1]
        phases = []
        for phase in product(*map(range, windows.stride)):
            axes = [_phase(*numbers) for numbers in zip(phase, *windows, low, x.shape[1:-1], counts, strict=True)]
            met_cells, dilation, padding = zip(*axes, strict=True)
            met = weight[*met_cells, ...]
            size = met.shape[:-2]
            if 0 in size:
                phases.append(self.zeros((x.shape[0], *counts, outs), dtype=x.dtype))
            else:
                every = Windows(size, (1,) * len(size), dilation)
                flipped = self.flip(met, axis=tuple(range(len(size))))
                phases.append(self.correlate(self.pad_space(x, padding), flipped, every, groups))
        return self.interleave(phases, windows.stride, space)

    def transposed(self, weight: Array, groups: int = 1) -> Array:
        """(*kernel, in // groups, out) as (*kernel, out // groups, in): each group's W[t] transposed."""
        if groups == 1:
            return self.matrix_transpose(weight)
        *kernel, ins, out = weight.shape
        each = self.reshape(weight, (*kernel, ins, groups, out // groups))
        order = (*range(len(kernel)), len(kernel) + 2, len(kernel) + 1, len(kernel))
        return self.reshape(self.permute_dims(each, order), (*kernel, out // groups, groups * ins))

    def by_group(
        self, form: Callable[..., Array], a: Array, b: Array, ins: int, outs: int, groups: int, windows: Windows
    ) -> Array:
        """form(a, b) of each group's channels, side by side."""
        if groups == 1:
            return form(a, b, windows)
        pairs = [(a[..., i * ins : (i + 1) * ins], b[..., i * outs : (i + 1) * outs]) for i in range(groups)]
        return self.concat([form(*pair, windows) for pair in pairs], axis=-1)

    # a slice for each cell of the kernel

    def of_one_group(self, x: Array, weight: Array, windows: Windows) -> Array:
        """Y = Σₜ (x under cell t) · W[t]."""
        counts = windows.counts(x.shape[1:-1])
        first, *others = windows.cells
        y = self.dot(self.rows(shifted(x, first, windows, counts)), weight[*first, ...])
        for cell in others:
            y += self.dot(self.rows(shifted(x, cell, windows, counts)), weight[*cell, ...])
        return self.reshape(y, (x.shape[0], *counts, weight.shape[-1]))

    def weight_of_one_group(self, x: Array, dy: Array, windows: Windows) -> Array:
        """dE/dW[t] = (x under cell t)ᵀ · dE/dY."""
        counts, flat = windows.counts(x.shape[1:-1]), self.rows(dy)
        each = [self.transposed_dot(shifted(x, cell, windows, counts), flat) for cell in windows.cells]
        return self.reshape(self.stack(each), (*windows.size, x.shape[-1], dy.shape[-1]))

    # one channel a group: W[t] is a row of numbers, and the products are elementwise

    def depthwise(self, x: Array, weight: Array, windows: Windows) -> Array:
        """Y = Σₜ (x under cell t) ⊙ W[t].

        The row is laid out for all cells along the last axis: channels alone would make short, slow loops.
        """
        counts = windows.counts(x.shape[1:-1])
        wide = self.repeat(weight, counts[-1], axis=-2)
        first, *others = windows.cells

        def of_some(x: Array) -> Array:
            x = self.each_channel(x, weight.shape[-1])
            y: Array = shifted(x, first, windows, counts) * wide[*first, ...]
            for cell in others:
                y += shifted(x, cell, windows, counts) * wide[*cell, ...]
            return y

        return self.by_images(of_some, x)

    def products_summed(self, x: Array, dy: Array, windows: Windows) -> Array:
        """Σ (x under cell t) ⊙ dE/dY over all but the channels, for each t."""
        counts = windows.counts(x.shape[1:-1])
        return self.stack([self.sum_channels(shifted(x, cell, windows, counts) * dy) for cell in windows.cells])

    def each_channel(self, x: Array, outs: int) -> Array:
        """x with each channel as often as outputs are made of it."""
        return x if x.shape[-1] == outs else self.repeat(x, outs // x.shape[-1], axis=-1)


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
