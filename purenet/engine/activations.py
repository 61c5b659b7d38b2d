"""Activations that an engine has kernels for: the rules in layers/activations.py are the plain forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purenet.engine.arrays import Array
from purenet.engine.standard import Standard

Ruled = tuple[Array, Callable[[Array], Array]]


class ActivationOps(Standard):
    """Each gives Y and its rule, pull(dE/dY) = dE/dX, as `plain(ops, x)` does."""

    def sigmoid(self, plain: Callable[[Any, Array], Ruled], x: Array) -> Ruled:
        return plain(self, x)

    def leaky_relu(self, plain: Callable[[Any, Array], Ruled], x: Array, negative_slope: float) -> Ruled:
        return plain(self, x)

    def hard_swish(self, plain: Callable[[Any, Array], Ruled], x: Array) -> Ruled:
        return plain(self, x)

    def softmax(self, plain: Callable[[Any, Array], Ruled], x: Array) -> Ruled:
        return plain(self, x)
