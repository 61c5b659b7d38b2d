"""Layers that make one array of several, or several of one."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import torch

import purenet as pn
from tests.oracles.twins.draw import coin, random_array, random_shape
from tests.oracles.twins.twin import Drawn, Twin


def add(params, x):
    return sum(x)


def mul(params, x):
    return math.prod(x)


def concat_in_torch(params, x, axis=-1):
    return torch.cat(list(x), dim=axis)


def concat_in_jax(params, x, axis=-1):
    return jnp.concatenate(x, axis=axis)


def sizes_of(x, parts):
    return [x.shape[-1] // parts] * parts if isinstance(parts, int) else list(parts)


def split_in_torch(params, x, parts=2):
    return torch.split(x, sizes_of(x, parts), dim=-1)


def split_in_jax(params, x, parts=2):
    return tuple(jnp.split(x, np.cumsum(sizes_of(x, parts))[:-1], axis=-1))


def draw_split(rng):
    sizes = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 5)))
    equal = coin(rng)
    features = sizes[0] * len(sizes) if equal else sum(sizes)
    return Drawn(pn.split_last(len(sizes) if equal else sizes), random_array(rng, (*random_shape(rng), features), 1))


def draw_several(layer):
    def draw(rng):
        shape = random_shape(rng)
        return Drawn(layer, tuple(random_array(rng, shape, 1) for _ in range(rng.integers(1, 5))))

    return draw


def draw_concat(rng):
    shape, count = random_shape(rng, least=2), int(rng.integers(1, 5))
    axis = int(rng.integers(1, len(shape)))
    x = [random_array(rng, (*shape[:axis], int(rng.integers(1, 5)), *shape[axis + 1 :]), 1) for _ in range(count)]
    return Drawn(pn.concat(axis if coin(rng) else axis - len(shape)), tuple(x))


TWINS = {
    "add": Twin(add, add, draw_several(pn.add), jax_draws=10),
    "mul": Twin(mul, mul, draw_several(pn.mul), jax_draws=10),
    "concat": Twin(concat_in_torch, concat_in_jax, draw_concat, jax_draws=10),
    "split_last": Twin(split_in_torch, split_in_jax, draw_split, jax_draws=10),
}
