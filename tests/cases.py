"""What the entries of the catalogue are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import purenet as pn


class Case(NamedTuple):
    """A layer and an input. `key` means training mode; `differences` is False for a rule that is not the derivative."""

    layer: pn.Layer[Any]
    x: Any
    key: pn.Key | None = None
    differences: bool = True

    @property
    def params(self) -> Any:
        """Params as init gives them, in float64 and moved a little: a bias of 0 would hide errors."""
        in_shape = pn.tree.map(lambda leaf: leaf.shape[1:], self.x)
        params = self.layer.init(pn.key(7), in_shape)
        keys = iter(pn.split(pn.key(8), 1000))
        return pn.tree.map(lambda p: p + 0.1 * pn.random.normal(next(keys), p.shape, np.float64), params)


class LossCase(NamedTuple):
    """A loss, with an output and a target: each an array, or a tuple of them."""

    loss: pn.Loss
    y: Any
    target: Any


def normal(*shape: int, seed: int = 0) -> Any:
    """Standard normal numbers in float64."""
    return pn.random.normal(pn.key(seed), shape, np.float64)


def away_from(points: tuple[float, ...], *shape: int, scale: float = 3.0) -> Any:
    """Numbers around 0 that keep a distance from the kinks of a function."""
    x = scale * normal(*shape, seed=1)
    for point in points:
        near = np.abs(x - point) < 0.01
        x = np.where(near, point + 0.05, x)
    return x


IDS = np.array([[3, 0, 3, 6], [6, 6, 1, 3], [0, 2, 3, 3]])


def both(layer: pn.Layer[Any], *xs: Any) -> list[Case]:
    """In inference and in training."""
    return [Case(layer, x, key) for x in xs for key in (None, pn.key(5))]
