"""Activations by PyTorch's own kernels, which pass over x once ahead and once back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from purenet.engine.activations import ActivationOps, Ruled


class TorchActivationOps(ActivationOps):
    if TYPE_CHECKING:
        runs_here: Callable[..., bool]

    def sigmoid(self, plain: Callable[[Any, Any], Ruled], x: Any) -> Ruled:
        """The kernel for the way back multiplies by y(1 − y), where all digits of 1 − y cancel for large x. So it is
        given σ(−|x|), of which the product is the same and nothing cancels."""
        if not self.runs_here(x):
            return plain(self, x)
        torch = sys.modules["torch"]

        def pull(dy: Any) -> Any:
            smaller = torch.copysign(x, x.new_tensor(-1)).sigmoid_()
            return torch.ops.aten.sigmoid_backward(dy, smaller)

        return torch.sigmoid(x), pull

    def leaky_relu(self, plain: Callable[[Any, Any], Ruled], x: Any, negative_slope: float) -> Ruled:
        if not self.runs_here(x):
            return plain(self, x)
        aten = sys.modules["torch"].ops.aten
        return aten.leaky_relu(x, negative_slope), lambda dy: aten.leaky_relu_backward(dy, x, negative_slope, False)

    def hard_swish(self, plain: Callable[[Any, Any], Ruled], x: Any) -> Ruled:
        """The kernel multiplies x by 0 where x ≤ −3, so −∞ is cut off before; and the largest by 6, which is too much,
        so the product is made here."""
        if not self.runs_here(x):
            return plain(self, x)
        aten = sys.modules["torch"].ops.aten
        return x.clamp(min=-3).mul_(aten.hardsigmoid(x)), lambda dy: aten.hardswish_backward(dy, x)

    def softmax(self, plain: Callable[[Any, Any], Ruled], x: Any) -> Ruled:
        if not self.runs_here(x):
            return plain(self, x)
        aten = sys.modules["torch"].ops.aten
        y = aten._softmax(x, -1, False)
        return y, lambda dy: aten._softmax_backward_data(dy, y, -1, x.dtype)
