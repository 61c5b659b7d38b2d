"""Layers that draw numbers in training: PyTorch and JAX draw others, so the twins are those of inference.

`test_dropout_oracle` compares dropout in training, with the same mask.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.twins.draw import coin, random_array, random_shape
from tests.oracles.twins.twin import Drawn, Twin


def dropout_in_torch(params, x, rate=0.5, channelwise=False):
    return F.dropout(x * 1, rate, training=False)


def dropout_in_jax(params, x, rate=0.5, channelwise=False):
    return x


def gaussian_noise(params, x, std):
    return x * 1


def draw_dropout(rng):
    layer = pn.dropout(float(rng.uniform(0, 1)), channelwise=coin(rng))
    return Drawn(layer, random_array(rng, random_shape(rng, least=2)))


def draw_gaussian_noise(rng):
    return Drawn(pn.gaussian_noise(float(rng.uniform(0, 1))), random_array(rng, random_shape(rng)))


TWINS = {
    "dropout": Twin(dropout_in_torch, dropout_in_jax, draw_dropout, draws=10, jax_draws=5),
    "gaussian_noise": Twin(gaussian_noise, gaussian_noise, draw_gaussian_noise, draws=10, jax_draws=5),
}
