"""Activations against PyTorch and JAX: value, dparams and dx, on random shapes and options, at kinks and far out."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (as everyone calls it)

import purenet as pn
from tests.oracles.agree import DRAWS, agree, jax_vjp, random_array, random_shape, torch_vjp


def same(x):
    return x * 1


def celu(x, alpha=1.0):
    """PyTorch's own takes 1 / alpha in float32, also for float64."""
    return F.elu(x / alpha) * alpha


def hard_sigmoid(x):
    """PyTorch's own has 1/6 in float32 as its gradient, also for float64."""
    return F.relu6(x + 3) / 6


# name: (the function in PyTorch, in JAX, and how its option is drawn)
ACTIVATIONS = {
    "identity": (same, same, None),
    "tanh": (torch.tanh, jnp.tanh, None),
    "sigmoid": (torch.sigmoid, jax.nn.sigmoid, None),
    "log_sigmoid": (F.logsigmoid, jax.nn.log_sigmoid, None),
    "softplus": (partial(F.softplus, threshold=100), jax.nn.softplus, None),  # by default it is cut off at 20
    "relu": (torch.relu, jax.nn.relu, None),
    "relu6": (F.relu6, jax.nn.relu6, None),
    "leaky_relu": (F.leaky_relu, jax.nn.leaky_relu, ("negative_slope", -0.5, 2)),
    "elu": (F.elu, jax.nn.elu, ("alpha", 0.1, 3)),
    "celu": (celu, jax.nn.celu, ("alpha", 0.1, 3)),
    "selu": (F.selu, jax.nn.selu, None),
    "gelu": (F.gelu, partial(jax.nn.gelu, approximate=False), None),
    "gelu_tanh": (partial(F.gelu, approximate="tanh"), partial(jax.nn.gelu, approximate=True), None),
    "silu": (F.silu, jax.nn.silu, None),
    "mish": (F.mish, jax.nn.mish, None),
    "softsign": (F.softsign, jax.nn.soft_sign, None),
    "hard_tanh": (F.hardtanh, jax.nn.hard_tanh, None),
    "hard_sigmoid": (hard_sigmoid, jax.nn.hard_sigmoid, None),
    "hard_swish": (F.hardswish, jax.nn.hard_silu, None),
    "softmax": (partial(F.softmax, dim=-1), jax.nn.softmax, None),
    "log_softmax": (partial(F.log_softmax, dim=-1), jax.nn.log_softmax, None),
}
ROWWISE = ("softmax", "log_softmax")
EVERY = sorted(ACTIVATIONS)
ELEMENTWISE = [name for name in EVERY if name not in ROWWISE]

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def ours(layer, x, dy, params=()):
    y, pullback = layer.vjp(params, x)
    return y, pullback(dy)


def jax_rows(f, dy, x, **options):
    """`jax_vjp` of a function of rows, all of them filled up to one shape so that it is compiled but a few times."""
    count, most = x.size // x.shape[-1], 7**3
    filled = [np.concatenate([a.reshape(count, -1), np.zeros((most - count, x.shape[-1]), a.dtype)]) for a in (dy, x)]
    value, (gradient,) = jax_vjp(f, *filled, **options)
    return value[:count].reshape(x.shape), gradient[:count].reshape(x.shape)


def test_every_activation_is_here():
    public = {name: getattr(pn, name) for name in pn.__all__}
    activations = {
        name for name, value in public.items() if getattr(value, "__module__", "") == "purenet.layers.activations"
    }
    assert activations - {"activation", "prelu"} == set(ACTIVATIONS)


@pytest.mark.parametrize("name", EVERY)
@each_dtype
def test_random_draws(name, dtype):
    in_torch, in_jax, option = ACTIVATIONS[name]
    rng = np.random.default_rng([EVERY.index(name), np.dtype(dtype).itemsize])
    for draw in range(DRAWS):
        x = random_array(rng, random_shape(rng), dtype)
        dy = random_array(rng, x.shape, dtype, 1)
        layer, options = getattr(pn, name), {}
        if option is not None and draw % 5:
            options = {option[0]: float(rng.uniform(*option[1:]))}
            layer = layer(**options)
        y, ((), dx) = ours(layer, x, dy)
        agree(name, "PyTorch", (y, dx), torch_vjp(in_torch, dy, x, **options), least=0.1)
        agree(name, "JAX", (y, dx), jax_rows(in_jax, dy, x, **options), least=0.1)


def prelu_in_torch(x, slope):
    return F.prelu(x.movedim(-1, 1), slope).movedim(1, -1)


def prelu_in_jax(x, slope):
    return jnp.where(x > 0, x, slope * x)


@each_dtype
def test_prelu(dtype):
    rng = np.random.default_rng(0)
    for draw in range(DRAWS):
        shape = random_shape(rng, least=2)
        channels = 1 if draw % 3 == 0 else shape[-1]
        x, dy = random_array(rng, shape, dtype), random_array(rng, shape, dtype, 1)
        slope = random_array(rng, (channels,), dtype, 1)
        params = type(pn.prelu.init(pn.key(0)))(slope)
        y, (dparams, dx) = ours(pn.prelu(channels), x, dy, params)
        agree("prelu", "PyTorch", (y, dx, dparams), torch_vjp(prelu_in_torch, dy, x, slope))
        agree("prelu", "JAX", (y, dx, dparams), jax_vjp(prelu_in_jax, dy, x, slope))


@pytest.mark.parametrize("name", [*ELEMENTWISE, "prelu"])
@each_dtype
def test_at_a_kink_the_gradient_is_the_one_that_pytorch_takes(name, dtype):
    kinks = np.array([0.0, -0.0, 1, -1, 3, -3, 6, -6], dtype)
    x = np.concatenate([kinks, np.nextafter(kinks, dtype(-9)), np.nextafter(kinks, dtype(9))])
    dy = np.ones_like(x)
    if name == "prelu":
        params = pn.tree.cast(pn.prelu.init(pn.key(0)), dtype)
        in_torch = lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype))  # noqa: E731
    else:
        params, in_torch = (), {"hard_sigmoid": F.hardsigmoid}.get(name, ACTIVATIONS[name][0])
    y, (_, dx) = ours(getattr(pn, name), x, dy, params)
    value, (gradient,) = torch_vjp(in_torch, dy, x)
    np.testing.assert_allclose(y, value, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(dx, gradient, rtol=1e-6, atol=1e-7)  # on the wrong side of a kink it is far away


@pytest.mark.parametrize("name", EVERY)
@each_dtype
def test_far_out(name, dtype):
    sizes = np.array([20, 88, 89, 104, 710, 1e4, 1e18, 1e30], dtype)
    x = np.concatenate([sizes, -sizes])
    if name in ROWWISE:
        x = np.stack([np.broadcast_to(x, (16, 16)), x[:, None] * np.ones(16, dtype)], axis=-1).reshape(-1, 2)
    dy = np.ones_like(x)
    dy[..., 0] = 2
    y, (_, dx) = ours(getattr(pn, name), x, dy)
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()
    value, (gradient,) = torch_vjp(ACTIVATIONS[name][0], dy, x)
    for mine, theirs in ((y, value), (dx, gradient)):
        truth_known = np.isfinite(theirs)
        assert truth_known.mean() > 0.8
        np.testing.assert_allclose(
            mine[truth_known], theirs[truth_known], rtol=1e-5 if dtype is np.float32 else 1e-10, atol=1e-7
        )


@each_dtype
def test_softmax_of_equal_logits(dtype):
    x = np.array([[1e4, 1e4, -1e4], [0, 0, 0], [-1e4, -1e4, -1e4]], dtype)
    dy = random_array(np.random.default_rng(0), x.shape, dtype, 1)
    for name in ROWWISE:
        y, (_, dx) = ours(getattr(pn, name), x, dy)
        agree(name, "PyTorch", (y, dx), torch_vjp(ACTIVATIONS[name][0], dy, x))
