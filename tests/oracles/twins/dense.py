"""Dense layers, and layers that only change a shape."""

from __future__ import annotations

import jax.numpy as jnp
import torch
import torch.nn.functional as F  # noqa: N812 (as everyone calls it)
from jax.lax import stop_gradient

import purenet as pn
from tests.oracles.twins.draw import coin, fortran, random_array, random_shape, sizes, with_params
from tests.oracles.twins.twin import Drawn, Twin


def dense_in_torch(params, x, *sizes, bias=True):
    return F.linear(x, params.weight.T, params.bias)


def dense_in_jax(params, x, *sizes, bias=True):
    return x @ params.weight + (params.bias if bias else 0)


def draw_dense(rng):
    *leading, ins = random_shape(rng, least=2, largest=12)
    outs = int(rng.integers(1, 13))
    layer = pn.dense(*((ins, outs) if coin(rng) else (outs,)), bias=coin(rng, 0.7))
    return with_params(rng, layer, fortran(rng, random_array(rng, (*leading, ins))))


def sign_in_torch(x):
    """The straight-through estimator is hard_tanh with another value, put in past the gradient."""
    surrogate = torch.clip(x, -1, 1)  # passes at the ends, as ours does
    return surrogate + (torch.where(x >= 0, 1.0, -1.0) - surrogate).detach()


def binary_dense_in_torch(params, x, *sizes, bias=True, binary_input=True):
    y = (sign_in_torch(x) if binary_input else x) @ sign_in_torch(params.weight)
    return y + params.bias if bias else y


def sign_in_jax(x):
    surrogate = jnp.where(abs(x) <= 1, x, jnp.sign(stop_gradient(x)))
    return surrogate + stop_gradient(jnp.where(x >= 0, 1.0, -1.0) - surrogate)


def binary_dense_in_jax(params, x, *sizes, bias=True, binary_input=True):
    y = (sign_in_jax(x) if binary_input else x) @ sign_in_jax(params.weight)
    return y + params.bias if bias else y


def draw_binary_dense(rng):
    *leading, ins = sizes(rng, int(rng.integers(2, 5)))
    layer = pn.binary_dense(int(rng.integers(1, 8)), bias=coin(rng, 0.8), binary_input=coin(rng, 0.75))
    x = random_array(rng, (*leading, ins), 1)
    x.flat[-1] = -0.5
    x.flat[0] = rng.choice([0.0, 1.0, -1.0])
    return with_params(rng, layer, x, 1)


def flatten(params, x):
    return x.reshape(len(x), -1)


def reshape(params, x, *shape):
    return x.reshape(len(x), *shape)


def draw_flatten(rng):
    return Drawn(pn.flatten, random_array(rng, random_shape(rng)))


def permute(params, x, *order):
    return x.permute(0, *order) if hasattr(x, "permute") else x.transpose(0, *order)


def draw_permute(rng):
    x = rng.normal(size=random_shape(rng, least=2, most=5))
    return Drawn(pn.permute(*(1 + int(n) for n in rng.permutation(x.ndim - 1))), x)


def draw_reshape(rng):
    batch, a, b = sizes(rng, 3, 1, 5)
    layer = pn.reshape(b, a) if coin(rng) else pn.reshape(-1, 1, a)
    return Drawn(layer, random_array(rng, (batch, a, b)))


TWINS = {
    "dense": Twin(dense_in_torch, dense_in_jax, draw_dense),
    "binary_dense": Twin(binary_dense_in_torch, binary_dense_in_jax, draw_binary_dense, jax_draws=10),
    "flatten": Twin(flatten, flatten, draw_flatten, jax_draws=10),
    "permute": Twin(permute, permute, draw_permute, jax_draws=10),
    "reshape": Twin(reshape, reshape, draw_reshape, draws=100, jax_draws=10),
}
