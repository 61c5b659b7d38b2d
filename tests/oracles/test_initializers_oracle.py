"""Initializers against torch.nn.init and jax.nn.initializers: fans, bounds, spread, and the whole distribution."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
import torch
from scipy import stats

import purenet as pn
from purenet import initializers

SHAPES = [(400, 300), (30, 700), (900, 40), (3, 3, 40, 60), (5, 60, 80), (2, 3, 2, 30, 50)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def torch_layout(shape):
    """(*kernel, in, out) as PyTorch has it: (out, in, *kernel)."""
    return (shape[-1], shape[-2], *shape[:-2])


def in_torch(initialize, shape, **options):
    torch.manual_seed(0)
    return initialize(torch.empty(torch_layout(shape), dtype=torch.float64), **options).numpy().ravel()


def in_jax(name, shape, **options):
    return np.asarray(getattr(jax.nn.initializers, name)(**options)(jax.random.key(0), shape, np.float64)).ravel()


def ours(initializer, shape, seed=0):
    w = initializer(pn.key(seed), shape)
    assert (w.shape, w.dtype, w.flags.writeable) == (shape, np.float32, False)
    return w.ravel().astype(np.float64)


@pytest.mark.parametrize("seed", range(50))
def test_fans(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 9, rng.integers(2, 6)))
    fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(torch_layout(shape)))
    assert initializers.fans(shape) == (fan_in, fan_out)


# name: (in PyTorch, in JAX; PyTorch's normal ones are not cut off, so only their spread is the same)
FAMILY = {
    "glorot_uniform": (torch.nn.init.xavier_uniform_, {}),
    "glorot_normal": (torch.nn.init.xavier_normal_, {}),
    "he_uniform": (torch.nn.init.kaiming_uniform_, {"nonlinearity": "relu"}),
    "he_normal": (torch.nn.init.kaiming_normal_, {"nonlinearity": "relu"}),
    "lecun_uniform": (torch.nn.init.kaiming_uniform_, {"nonlinearity": "linear"}),
    "lecun_normal": (torch.nn.init.kaiming_normal_, {"nonlinearity": "linear"}),
}


@pytest.mark.parametrize("name", sorted(FAMILY))
@each_shape
def test_the_variance_scaling_family(name, shape):
    w = ours(getattr(initializers, name), shape)
    initialize, options = FAMILY[name]
    reference, jax_reference = in_torch(initialize, shape, **options), in_jax(name, shape)
    assert w.std() == pytest.approx(reference.std(), rel=5 / math.sqrt(w.size))
    assert w.std() == pytest.approx(jax_reference.std(), rel=5 / math.sqrt(w.size))
    assert abs(w.mean()) < 5 * w.std() / math.sqrt(w.size)
    assert np.abs(w).max() == pytest.approx(np.abs(jax_reference).max(), rel=1e-3)
    if name.endswith("uniform"):
        assert np.abs(w).max() == pytest.approx(np.abs(reference).max(), rel=1e-3)
    assert stats.ks_2samp(w, jax_reference).pvalue > 1e-3


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["uniform", "normal", "truncated_normal"])
def test_variance_scaling(mode, distribution):
    for shape in [(200, 500), (3, 3, 60, 90)]:
        w = ours(initializers.variance_scaling(1.7, mode, distribution), shape)
        reference = in_jax("variance_scaling", shape, scale=1.7, mode=mode, distribution=distribution)
        assert w.std() == pytest.approx(reference.std(), rel=5 / math.sqrt(w.size))
        assert stats.ks_2samp(w, reference).pvalue > 1e-3


@pytest.mark.parametrize(
    ("initializer", "distribution"),
    [
        (initializers.normal(0.3), stats.norm(0, 0.3)),
        (initializers.uniform(0.3), stats.uniform(-0.3, 0.6)),
        (initializers.truncated_normal(0.3), stats.truncnorm(-2, 2, 0, 0.3)),
    ],
    ids=["normal", "uniform", "truncated_normal"],
)
def test_distributions(initializer, distribution):
    w = ours(initializer, (400, 500), seed=3)
    assert stats.kstest(w, distribution.cdf).pvalue > 1e-3
    assert w.std() == pytest.approx(distribution.std(), rel=5 / math.sqrt(w.size))
    low, high = distribution.support()
    assert (w >= low - 1e-7).all()
    assert (w <= high + 1e-7).all()


def test_truncated_normal_is_pytorchs():
    w = ours(initializers.truncated_normal(0.02), (400, 500))
    reference = in_torch(torch.nn.init.trunc_normal_, (400, 500), std=0.02, a=-0.04, b=0.04)
    assert stats.ks_2samp(w, reference).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 6), (2, 3, 4, 5), (3, 3, 2, 40)], ids=str)
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal(shape, gain):
    w = initializers.orthogonal(gain)(pn.key(1), shape)
    reference = in_jax("orthogonal", shape, scale=gain).reshape(shape)
    for matrix in (w.reshape(-1, shape[-1]), reference.reshape(-1, shape[-1])):
        square = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
        np.testing.assert_allclose(square, gain**2 * np.eye(len(square)), atol=2e-6 * gain**2)


def test_orthogonal_is_uniform_over_all_orthogonal_matrices():
    """An entry of a uniform orthogonal matrix has mean 0 and, in d dimensions, (d − 1)·log-density of a sphere."""
    d, draws = 4, 3000
    corner = np.array([initializers.orthogonal()(pn.key(seed), (d, d))[0, 0] for seed in range(draws)])
    sphere = np.random.default_rng(0).normal(size=(draws, d))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    assert stats.ks_2samp(corner, sphere[:, 0]).pvalue > 1e-3


def test_zeros_ones_constant():
    for name, options in [("zeros", {}), ("ones", {})]:
        np.testing.assert_array_equal(ours(getattr(initializers, name), (3, 4)), getattr(np, name)(12, **options))
    np.testing.assert_array_equal(ours(initializers.constant(0.5), (3,)), np.full(3, 0.5))
