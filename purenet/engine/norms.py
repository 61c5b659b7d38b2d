"""Normalization over a batch and over groups of channels: the rules in layers/norm.py are the plain forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purenet.engine.arrays import Array
from purenet.engine.standard import Standard


class NormOps(Standard):
    """The ops of normalization. A weight or a bias that is None is 1 or 0."""

    def normalize_batch(
        self, plain: Callable[..., Any], x: Array, weight: Array | None, bias: Array | None, eps: float
    ) -> Any:
        """Y, the mean and the variance of each channel, and the rule `back(dy, wrt_x) -> (dweight, dbias, dx)`."""
        return plain(self, x, weight, bias, eps)

    def normalize_groups(
        self, plain: Callable[..., Any], x: Array, groups: int, weight: Array | None, bias: Array | None, eps: float
    ) -> Any:
        """Y, where each example's channels are in so many groups, and the rule, as above."""
        return plain(self, x, groups, weight, bias, eps)
