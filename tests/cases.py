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


def layouts(x: Any) -> list[Any]:
    """The same numbers as they come in practice: read-only, every second row, Fortran order, reversed."""
    frozen = x.copy()
    frozen.setflags(write=False)
    strided = np.repeat(x, 2, axis=0)[::2]
    backwards = x[..., ::-1].copy()[..., ::-1]
    return [frozen, strided, np.asfortranarray(x), backwards]


def elementwise(layer: pn.Layer[Any], kinks: tuple[float, ...] = ()) -> list[Case]:
    x = away_from(kinks, 3, 5)
    shapes = [(1, 1), (4,), (2, 3, 4), (2, 1, 3, 1), (9, 11)]
    return [Case(layer, x) for x in (*layouts(x), *(away_from(kinks, *shape) for shape in shapes))]
