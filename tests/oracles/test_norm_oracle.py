"""Normalization against PyTorch and JAX: value, dparams, dx and running statistics, in training and in inference."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from purenet.engine.numpy import NUMPY
from purenet.layers.norm import BatchNormParams, NormParams
from tests.oracles.agree import DRAWS, agree, jax_vjp, random_array, torch_vjp

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
KEY = pn.key(0)


def draws(seed, dtype, least=2, most=4, factor=1):
    """Random (x, weight, bias, dy, eps, affine): x (batch, positions..., features) off centre, at random scales.

    At least 3 numbers stand on each axis, for with 2 the gradient is 0 but for eps, and all is rounding.
    """
    rng = np.random.default_rng([seed, np.dtype(dtype).itemsize])
    few = [rng.integers(3, 7, n) for n in range(least, most + 1) for _ in range(2)]  # JAX compiles for each shape
    for draw in range(DRAWS):
        *leading, features = (int(n) for n in few[draw % len(few)])
        shape = (*leading, factor * features)
        scale, affine = 10.0 ** rng.uniform(-1, 1.5), bool(rng.random() < 0.6)
        x = (scale * rng.normal(size=shape) + 3 * scale * rng.normal(size=shape[-1])).astype(dtype)
        if draw % 4 == 0:
            x = np.asfortranarray(x)
        weight, bias = (random_array(rng, shape[-1:], dtype, 1) for _ in range(2)) if affine else (None, None)
        yield rng, x, weight, bias, random_array(rng, shape, dtype), float(rng.choice([1e-5, 1e-3, 0.1]))


def run(layer, params, x, dy, key=None):
    y, pullback = layer.vjp(params, x, key)
    dparams, dx = pullback(dy)
    return y, dx, dparams


def given(*arrays):
    return [a for a in arrays if a is not None]


def first(x):
    """Channels from the last axis to the second, where PyTorch has them."""
    return x.movedim(-1, 1)


def last(y):
    return y.movedim(1, -1)


def batch_norm_in_torch(x, *affine, moving, training, momentum, eps):
    """`moving`, the mean and the variance as tensors, is written to."""
    return last(F.batch_norm(first(x), *moving, *affine, training=training, momentum=momentum, eps=eps))


def layer_norm_in_torch(x, *affine, eps):
    return F.layer_norm(x, x.shape[-1:], *affine, eps=eps)


def group_norm_in_torch(x, *affine, groups, eps):
    return last(F.group_norm(first(x), groups, *affine, eps=eps))


def instance_norm_in_torch(x, weight=None, bias=None, *, eps):
    return last(F.instance_norm(first(x), weight=weight, bias=bias, eps=eps))


def rms_norm_in_torch(x, weight=None, *, eps):
    return F.rms_norm(x, x.shape[-1:], weight, eps)


def standardized(x, weight=1.0, bias=0.0, *, epsilon, axis):
    return jax.nn.standardize(x, axis=axis, epsilon=epsilon) * weight + bias


def over_features(x, *affine, epsilon):
    return standardized(x, *affine, epsilon=epsilon, axis=-1)


def over_batch(x, *affine, epsilon):
    return standardized(x, *affine, epsilon=epsilon, axis=tuple(range(x.ndim - 1)))


def over_positions(x, *affine, epsilon):
    return standardized(x, *affine, epsilon=epsilon, axis=tuple(range(1, x.ndim - 1)))


@each_dtype
def test_batch_norm(dtype):
    for rng, x, weight, bias, dy, eps in draws(1, dtype, factor=2):
        n, momentum = (x.shape[-1],), float(rng.uniform(0, 1))
        mean, variance = random_array(rng, n, dtype, 1), np.abs(random_array(rng, n, dtype, 1)) + dtype(0.1)
        layer = pn.batch_norm(momentum=momentum, eps=eps, affine=weight is not None)
        params = BatchNormParams(weight, bias, pn.Buffer(mean), pn.Buffer(variance))
        for key, training in ((KEY, True), (None, False)):
            y, dx, (dweight, dbias, next_mean, next_variance) = run(layer, params, x, dy, key)
            moving = [torch.tensor(each, dtype=torch.float64) for each in (mean, variance)]
            options = {"moving": moving, "training": training, "momentum": momentum, "eps": eps}
            name = f"batch_norm, {'training' if training else 'inference'}"
            theirs = torch_vjp(batch_norm_in_torch, dy, *given(x, weight, bias), **options)
            agree(name, "PyTorch", (y, dx, *given(dweight, dbias)), theirs)
            agree(f"{name}, buffers", "PyTorch", (next_mean.value, next_variance.value), moving)
            if training:
                theirs = jax_vjp(over_batch, dy, *given(x, weight, bias), epsilon=eps)
                agree(name, "JAX", (y, dx, *given(dweight, dbias)), theirs)


@each_dtype
def test_layer_norm(dtype):
    for _, x, weight, bias, dy, eps in draws(2, dtype):
        layer = pn.layer_norm(eps=eps, affine=weight is not None)
        ours = run(layer, NormParams(weight, bias) if weight is not None else (), x, dy)
        theirs = torch_vjp(layer_norm_in_torch, dy, *given(x, weight, bias), eps=eps)
        agree("layer_norm", "PyTorch", ours, theirs)
        agree("layer_norm", "JAX", ours, jax_vjp(over_features, dy, *given(x, weight, bias), epsilon=eps))


@each_dtype
def test_group_norm(dtype):
    for rng, x, weight, bias, dy, eps in draws(3, dtype, factor=6):
        groups = int(rng.choice([1, 2, 3, 6]))
        layer = pn.group_norm(groups, eps=eps, affine=weight is not None)
        ours = run(layer, NormParams(weight, bias) if weight is not None else (), x, dy)
        theirs = torch_vjp(group_norm_in_torch, dy, *given(x, weight, bias), groups=groups, eps=eps)
        agree("group_norm", "PyTorch", ours, theirs)


@each_dtype
def test_instance_norm(dtype):
    for _, x, weight, bias, dy, eps in draws(4, dtype, least=3):
        layer = pn.instance_norm(eps=eps, affine=weight is not None)
        ours = run(layer, NormParams(weight, bias) if weight is not None else (), x, dy)
        theirs = torch_vjp(instance_norm_in_torch, dy, *given(x, weight, bias), eps=eps)
        agree("instance_norm", "PyTorch", ours, theirs)
        agree("instance_norm", "JAX", ours, jax_vjp(over_positions, dy, *given(x, weight, bias), epsilon=eps))


@each_dtype
def test_rms_norm(dtype):
    for rng, x, weight, _, dy, eps in draws(5, dtype):
        eps = None if rng.random() < 0.3 else eps
        layer = pn.rms_norm(eps=eps, affine=weight is not None)
        ours = run(layer, NormParams(weight, None) if weight is not None else (), x, dy)
        number = float(np.finfo(dtype).eps) if eps is None else eps
        theirs = torch_vjp(rms_norm_in_torch, dy, *given(x, weight), eps=number)
        agree("rms_norm", "PyTorch", ours, theirs)
    x = torch.randn(3, 4, dtype=torch.float64)
    np.testing.assert_allclose(pn.rms_norm(affine=False).apply((), x.numpy()), F.rms_norm(x, (4,)))


@pytest.mark.parametrize("shape", [(1, 3), (700, 3), (2, 1025, 3)])
def test_sums_of_rows_on_numpy_and_in_the_generic_form_agree(shape):
    x = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(NUMPY.sum_before_last(x), NUMPY.sum_before_last(jnp.asarray(x)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e4, 1e6])
def test_a_large_mean_costs_no_more_digits_than_in_pytorch(mean):
    """In float32 against float64: what PyTorch's own float32 does is the measure."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(64, 128)) + mean).astype(np.float32)
    truth = F.layer_norm(torch.tensor(x).double(), (128,)).numpy()
    theirs = np.abs(F.layer_norm(torch.tensor(x), (128,)).numpy() - truth).max()
    ours = np.abs(pn.layer_norm(affine=False).apply((), x) - truth).max()
    assert ours <= max(theirs, 1e-6)
    truth = F.batch_norm(torch.tensor(x).double(), None, None, training=True).numpy()
    theirs = np.abs(F.batch_norm(torch.tensor(x), None, None, training=True).numpy() - truth).max()
    params = pn.batch_norm(affine=False).init(KEY, (128,))
    ours = np.abs(pn.batch_norm(affine=False).apply(params, x, KEY) - truth).max()
    assert ours <= max(theirs, 1e-6)
