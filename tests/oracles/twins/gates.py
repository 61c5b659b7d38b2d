"""Gated units."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.twins.draw import random_array, random_shape
from tests.oracles.twins.twin import Drawn, Twin, of_x


def swiglu_in_torch(x):
    a, b = x.chunk(2, dim=-1)
    return F.silu(a) * b


def swiglu_in_jax(x):
    a, b = jnp.split(x, 2, axis=-1)
    return jax.nn.silu(a) * b


def draw_halves(layer):
    def draw(rng):
        *before, half = random_shape(rng, least=2)
        return Drawn(layer, random_array(rng, (*before, 2 * half)))

    return draw


TWINS = {
    "glu": Twin(of_x(F.glu), of_x(jax.nn.glu), draw_halves(pn.glu)),
    "swiglu": Twin(of_x(swiglu_in_torch), of_x(swiglu_in_jax), draw_halves(pn.swiglu)),
}
