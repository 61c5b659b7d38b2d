"""Activations: a function of each number, or of each row."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.twins.draw import coin, params_of, random_array, random_shape
from tests.oracles.twins.twin import Drawn, Twin, of_x


def same(x):
    return x * 1


def celu(x, alpha=1.0):
    """PyTorch's own takes 1 / alpha in float32, also for float64."""
    return F.elu(x / alpha) * alpha


def hard_tanh_in_jax(x, min_val=-1.0, max_val=1.0):
    """JAX's own has no options."""
    return jnp.where(x > max_val, max_val, jnp.where(x < min_val, min_val, x))


def hard_sigmoid(x):
    """PyTorch's own has 1/6 in float32 as its gradient, also for float64."""
    return F.relu6(x + 3) / 6


def prelu_in_torch(params, x, channels=1):
    if x.ndim == 1:
        return F.prelu(x, params.negative_slope)
    return F.prelu(x.movedim(-1, 1), params.negative_slope).movedim(1, -1)


def prelu_in_jax(params, x, channels=1):
    return jnp.where(x > 0, x, params.negative_slope * x)


def draw_prelu(rng):
    shape = random_shape(rng, least=2)
    layer, x = pn.prelu(1 if coin(rng, 1 / 3) else shape[-1]), random_array(rng, shape)
    return Drawn(layer, x, params_of(rng, layer, x, 1))


def row(name, in_torch, in_jax, option=None):
    """An activation of no params; the option, if it has one, is drawn from its range: for JAX from its ends."""

    def draw(rng, few=False):
        layer = getattr(pn, name)
        if option is not None and coin(rng, 0.8):
            word, low, high = option
            layer = layer(**{word: float(rng.choice([low, high]) if few else rng.uniform(low, high))})
        return Drawn(layer, random_array(rng, random_shape(rng)))

    return Twin(of_x(in_torch), of_x(in_jax), draw, jax_draw=partial(draw, few=True), by_row=True, least=0.1)


def with_options(function, **options):
    return lambda x: function(x, **options)


TWINS = {
    "identity": row("identity", same, same),
    "tanh": row("tanh", torch.tanh, jnp.tanh),
    "sigmoid": row("sigmoid", torch.sigmoid, jax.nn.sigmoid),
    "log_sigmoid": row("log_sigmoid", F.logsigmoid, jax.nn.log_sigmoid),
    "softplus": row("softplus", with_options(F.softplus, threshold=100), jax.nn.softplus),  # PyTorch cuts it off at 20
    "relu": row("relu", torch.relu, jax.nn.relu),
    "relu6": row("relu6", F.relu6, jax.nn.relu6),
    "leaky_relu": row("leaky_relu", F.leaky_relu, jax.nn.leaky_relu, ("negative_slope", -0.5, 2)),
    "elu": row("elu", F.elu, jax.nn.elu, ("alpha", 0.1, 3)),
    "celu": row("celu", celu, jax.nn.celu, ("alpha", 0.1, 3)),
    "selu": row("selu", F.selu, jax.nn.selu),
    "gelu": row("gelu", F.gelu, with_options(jax.nn.gelu, approximate=False)),
    "gelu_tanh": row(
        "gelu_tanh", with_options(F.gelu, approximate="tanh"), with_options(jax.nn.gelu, approximate=True)
    ),
    "silu": row("silu", F.silu, jax.nn.silu),
    "mish": row("mish", F.mish, jax.nn.mish),
    "softsign": row("softsign", F.softsign, jax.nn.soft_sign),
    "hard_tanh": row("hard_tanh", F.hardtanh, hard_tanh_in_jax, ("max_val", -0.5, 2)),
    "hard_sigmoid": row("hard_sigmoid", hard_sigmoid, jax.nn.hard_sigmoid),
    "hard_swish": row("hard_swish", F.hardswish, jax.nn.hard_silu),
    "softmax": row("softmax", with_options(F.softmax, dim=-1), jax.nn.softmax),
    "log_softmax": row("log_softmax", with_options(F.log_softmax, dim=-1), jax.nn.log_softmax),
    "prelu": Twin(prelu_in_torch, prelu_in_jax, draw_prelu),
}
