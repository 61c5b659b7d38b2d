"""Losses that an engine has kernels for: the rules in losses/single.py are the plain forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purenet.engine.arrays import Array
from purenet.engine.standard import Standard

Summed = tuple[Array, Callable[[Any], Array]]


class LossOps(Standard):
    """Each gives a sum and its rule, pull(scale) = the derivative of scale·sum, as `plain(ops, y, target)` does."""

    def cross_entropy(self, plain: Callable[[Any, Array, Array], Summed], y: Array, target: Array) -> Summed:
        """−Σ T·log softmax(Y), where the target T may be labels."""
        return plain(self, y, target)
