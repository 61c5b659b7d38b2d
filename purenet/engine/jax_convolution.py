"""JAX's own convolution, where it is faster than a sum over slices."""

from __future__ import annotations

import math
import sys

from purenet.engine.arrays import Array
from purenet.engine.convolution import ConvolutionOps, Kept
from purenet.engine.windows import Windows


class JaxConvolutionOps(ConvolutionOps):
    def correlate(
        self,
        x: Array,
        weight: Array,
        windows: Windows,
        groups: int = 1,
        bias: Array | None = None,
        patches: Kept | None = None,
    ) -> Array:
        if not own(weight.shape[-2], weight.shape[-1] // groups, windows):
            return super().correlate(x, weight, windows, groups, bias)
        return self.add_channels(convolved(x, weight, windows, groups), bias)

    def correlate_weight(
        self, x: Array, dy: Array, windows: Windows, groups: int = 1, patches: Kept | None = None
    ) -> Array:
        """The transpose of what is linear in the weight."""
        if not own(x.shape[-1] // groups, dy.shape[-1] // groups, windows):
            return super().correlate_weight(x, dy, windows, groups)
        jax = sys.modules["jax"]
        weight = jax.ShapeDtypeStruct((*windows.size, x.shape[-1] // groups, dy.shape[-1]), x.dtype)
        found: tuple[Array] = jax.linear_transpose(lambda weight: convolved(x, weight, windows, groups), weight)(dy)
        return found[0]


def own(ins: int, outs: int, windows: Windows) -> bool:
    """Whether JAX's convolution is the faster: on a GPU or TPU, and on a CPU where channels are few.

    With more channels the sum over slices takes as long on a CPU, and inside of `scan` far less.
    """
    if math.prod(windows.size) == 1:
        return False
    return min(ins, outs) < 16 or sys.modules["jax"].default_backend() != "cpu"


def convolved(x: Array, weight: Array, windows: Windows, groups: int) -> Array:
    axes = "HWD"[: len(windows.size)]
    y: Array = sys.modules["jax"].lax.conv_general_dilated(
        x,
        weight,
        windows.stride,
        "VALID",
        rhs_dilation=windows.dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
    )
    return y
