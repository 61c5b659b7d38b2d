"""Losses against PyTorch and JAX: value and dE/dY, on random shapes, targets and options, at ties and extremes."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.agree import DRAWS, agree, jax_vjp, random_array, random_shape, torch_vjp

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def rows(y):
    """PyTorch wants the classes on axis 1: (batch, …, classes) as (rows, classes)."""
    return y.reshape(-1, y.shape[-1])


def batch_mean(kind):
    return "batchmean" if kind == "mean" else kind


def in_torch_hinge(y, target, reduction):
    return getattr(torch.relu(1 - target * y), reduction)()


IN_TORCH = {
    "mse": F.mse_loss,
    "sse": lambda y, target, reduction: F.mse_loss(y, target, reduction="sum"),
    "mae": F.l1_loss,
    "huber": F.huber_loss,
    "binary_cross_entropy": F.binary_cross_entropy,
    "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
    "softmax_cross_entropy": lambda y, target, **options: F.cross_entropy(
        rows(y), target.reshape(-1) if target.ndim < y.ndim else rows(target), **options
    ),
    "nll": lambda y, target, reduction: F.nll_loss(rows(y), target.reshape(-1), reduction=reduction),
    "hinge": in_torch_hinge,  # PyTorch's own hinge losses are other functions
    "kl_divergence": lambda y, target, reduction: F.kl_div(rows(y), rows(target), reduction=batch_mean(reduction)),
}


def in_jax_huber(y, t, delta=1.0):
    d = jnp.abs(y - t)
    return jnp.where(d <= delta, d**2 / 2, delta * (d - delta / 2))


def in_jax_cross_entropy(y, t, label_smoothing=0.0):
    classes = y.shape[-1]
    t = jax.nn.one_hot(t, classes, dtype=y.dtype) if t.ndim < y.ndim else t
    t = (1 - label_smoothing) * t + label_smoothing / classes
    return -jnp.sum(t * jax.nn.log_softmax(y), axis=-1)


IN_JAX = {  # what each element or row costs
    "mse": lambda y, t: (y - t) ** 2,
    "sse": lambda y, t: (y - t) ** 2,
    "mae": lambda y, t: jnp.abs(y - t),
    "huber": in_jax_huber,
    "binary_cross_entropy": lambda y, t: -(t * jnp.log(y) + (1 - t) * jnp.log1p(-y)),
    "binary_cross_entropy_with_logits": lambda y, t: -(t * jax.nn.log_sigmoid(y) + (1 - t) * jax.nn.log_sigmoid(-y)),
    "softmax_cross_entropy": in_jax_cross_entropy,
    "nll": lambda y, t: -jnp.take_along_axis(y, t[..., None], axis=-1)[..., 0],
    "hinge": lambda y, t: jax.nn.relu(1 - t * y),
    "kl_divergence": lambda y, t: jnp.sum(jax.scipy.special.xlogy(t, t) - t * y, axis=-1),
}
BY_ROW = ("softmax_cross_entropy", "nll", "kl_divergence")


def softmax(x):
    """Not so far out that a probability is 0."""
    x = 10 * np.tanh(x / 10)
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


SHAPES = [random_shape(np.random.default_rng(seed), least=2, largest=6) for seed in range(8)]  # JAX compiles for each


def draw_of(name, rng, dtype):
    """(y, target, options) that this loss takes."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    options = {} if rng.random() < 0.5 else {"reduction": str(rng.choice(["mean", "sum"]))}
    y, target = random_array(rng, shape, dtype), random_array(rng, shape, dtype)
    distribution = softmax(rng.normal(size=shape)).astype(dtype)
    some, other = (rng.random(shape).astype(dtype) for _ in range(2))
    match name:
        case "sse":
            options = {}
        case "huber" if rng.random() < 0.7:
            options["delta"] = float(rng.uniform(0.1, 5))
        case "binary_cross_entropy":
            y, target = some * dtype(0.998) + dtype(0.001), other if rng.random() < 0.5 else np.rint(other)
        case "binary_cross_entropy_with_logits":
            target = other if rng.random() < 0.5 else np.rint(other)
        case "softmax_cross_entropy":
            target = distribution if rng.random() < 0.5 else rng.integers(0, shape[-1], shape[:-1])
            if rng.random() < 0.5:
                options["label_smoothing"] = float(rng.uniform(0, 0.5))
        case "nll":
            target = rng.integers(0, shape[-1], shape[:-1])
        case "hinge":
            target = np.sign(target) + (target == 0)
        case "kl_divergence":
            y, target = np.log(softmax(y)), distribution * (distribution > 0.1)
    return y, target.astype(dtype) if target.dtype.kind == "f" else target, options


def test_every_loss_is_here():
    losses = {name for name in pn.__all__ if isinstance(getattr(pn, name), pn.Loss)}
    assert set(IN_TORCH) == set(IN_JAX) == losses


@pytest.mark.parametrize("name", sorted(IN_TORCH))
@each_dtype
def test_random_draws(name, dtype):
    rng = np.random.default_rng([sorted(IN_TORCH).index(name), np.dtype(dtype).itemsize])
    for _ in range(DRAWS):
        y, target, options = draw_of(name, rng, dtype)
        loss = getattr(pn, name)
        E, pullback = (loss(**options) if options else loss).vjp(y, target)
        dE = dtype(rng.uniform(0.5, 2))
        mine = (E, pullback(dE))
        reduction = options.pop("reduction", "mean")
        t = target if target.dtype.kind == "i" else target.astype(np.float64)
        agree(
            name,
            "PyTorch",
            mine,
            torch_vjp(IN_TORCH[name], dE, y, target=torch.tensor(t), reduction=reduction, **options),
        )
        shape = y.shape[:-1] if name in BY_ROW else y.shape
        share = dE / (1 if reduction == "sum" or name == "sse" else math.prod(shape))
        costs, gradient = jax_vjp(IN_JAX[name], np.full(shape, share), y, t=t, **options)
        agree(name, "JAX", mine, (np.sum(costs) * share / dE, gradient))


EXTREMES = {
    "mse": ([1e4, -1e4, 0, -0.0], [1e4, 1e4, 0, 0]),
    "mae": ([1e4, -1e4, 0, -0.0, 3], [1e4, 1e4, 0, 0, 3]),  # ties: the gradient there is 0
    "huber": ([1e4, -1e4, 0, 1, -1, 2], [1e4, 1e4, 0, 0, 0, 1]),  # ties, and exactly delta away
    "hinge": ([1, -1, 1e4, -1e4, 0, -0.0], [1, -1, -1, 1, 1, -1]),  # a margin of exactly 1
    "binary_cross_entropy": ([0, 1, 0, 1, 0.5, 1e-30, 0, 1], [0, 1, 1, 0, 1, 1, 0.5, 0.5]),
    "binary_cross_entropy_with_logits": ([1e4, -1e4, 1e4, -1e4, 0, -0.0, 1e-30], [1, 1, 0, 0, 0, 1, 0.5]),
    "softmax_cross_entropy": ([[1e4, -1e4], [1e4, -1e4], [0, 0], [1e4, 1e4]], [0, 1, 1, 0]),
    "nll": ([[0, -1e4], [-1e4, 0]], [1, 1]),
    "kl_divergence": ([[0, -1e4], [-0.5, -1]], [[1, 0], [0.25, 0.75]]),
}


@pytest.mark.parametrize("name", sorted(EXTREMES))
@each_dtype
def test_at_ties_and_extremes(name, dtype):
    y, target = EXTREMES[name]
    y, target = np.array(y, dtype), np.array(target, np.int64 if name in ("softmax_cross_entropy", "nll") else dtype)
    for loss in (getattr(pn, name), getattr(pn, name)(reduction="sum")):
        E, pullback = loss.vjp(y, target)
        reduction = "sum" if "sum" in loss.name else "mean"
        t = torch.tensor(target) if target.dtype.kind == "i" else torch.tensor(target).double()
        value, (gradient,) = torch_vjp(IN_TORCH[name], 1, y, target=t, reduction=reduction)
        close = {"rtol": max(1e-8, 4 * np.finfo(dtype).eps), "atol": 0}  # PyTorch has its bound 1e-12 in float32
        np.testing.assert_allclose(E, value, **close)
        np.testing.assert_allclose(pullback(), gradient, **close)
