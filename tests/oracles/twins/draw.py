"""What the twins' draws are made of: shapes, numbers of all sizes, params."""

from __future__ import annotations

import numpy as np

import purenet as pn
from tests.oracles.twins.twin import Drawn


def sizes(rng, n, low=1, high=7):
    """Some axes, sizes of 1 among them."""
    return [int(size) for size in rng.integers(low, high + 1, n)]


def random_shape(rng, least=1, most=4, largest=7):
    return tuple(sizes(rng, rng.integers(least, most + 1), 1, largest))


def coin(rng, share=0.5):
    return bool(rng.random() < share)


def random_array(rng, shape, scale=None):
    """Normal numbers of a random size: in one draw all near 0, in another far out."""
    scale = 10.0 ** rng.uniform(-3, 1.5) if scale is None else scale
    return scale * rng.normal(size=shape)


def params_of(rng, layer, x, scale=None):
    """Params in init's shapes, in float64: of a random size each, or all of one."""
    params = layer.init(pn.key(0), pn.tree.map(lambda leaf: leaf.shape[1:], x))
    return pn.tree.map(lambda p: random_array(rng, p.shape, scale), params)


def near_init(rng, layer, x):
    """Params as init gives them, in float64 and moved: a bias of 0 would hide errors."""
    params = layer.init(pn.key(int(rng.integers(1000))), pn.tree.map(lambda leaf: leaf.shape[1:], x))
    return pn.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape), params)


def with_params(rng, layer, x, scale=None):
    return Drawn(layer, x, params_of(rng, layer, x, scale))


def images(rng, features, dims, low=2, high=5):
    """x of shape (batch, positions..., features), with more than one position."""
    return rng.normal(size=(*sizes(rng, 1, 1, 4), *sizes(rng, dims, low, high), features))


def fortran(rng, x, share=0.25):
    """The same, at times in another layout."""
    return np.asfortranarray(x) if coin(rng, share) else x
