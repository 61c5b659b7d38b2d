"""Losses against PyTorch at ties and extremes, where random numbers do not fall."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import sklearn.metrics as skm
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.twins.compare import by_torch

EXTREMES = {
    "mse": ([1e4, -1e4, 0, -0.0], [1e4, 1e4, 0, 0]),
    "mae": ([1e4, -1e4, 0, -0.0, 3], [1e4, 1e4, 0, 0, 3]),  # ties: the gradient there is 0
    "huber": ([1e4, -1e4, 0, 1, -1, 2], [1e4, 1e4, 0, 0, 0, 1]),  # ties, and exactly delta away
    "hinge": ([1, -1, 1e4, -1e4, 0, -0.0], [1, -1, -1, 1, 1, -1]),  # a margin of exactly 1
    "binary_cross_entropy": ([0, 1, 0, 1, 0.5, 1e-30, 0, 1], [0, 1, 1, 0, 1, 1, 0.5, 0.5]),
    "binary_cross_entropy_with_logits": ([1e4, -1e4, 1e4, -1e4, 0, -0.0, 1e-30], [1, 1, 0, 0, 0, 1, 0.5]),
    "softmax_cross_entropy": ([[1e4, -1e4], [1e4, -1e4], [0, 0], [1e4, 1e4]], [0, 1, 1, 0]),
    "nll": ([[0, -1e4], [-1e4, 0]], [1, 1]),
    "log_cosh": ([1e4, -1e4, 0, -0.0, 1, 2], [1e4, 1e4, 0, 0, 0, 1]),
    "quantile": ([1e4, -1e4, 0, 2], [1e4, 1e4, 1, 1]),
    "poisson_nll": ([-1e4, 0, -0.0, 5], [0, 0, 3, 1e4]),
    "cosine_similarity": ([[0, 0], [3, -4]], [[1, 2], [0, 0]]),
    "kl_divergence": ([[0, -1e4], [-0.5, -1]], [[1, 0], [0.25, 0.75]]),
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_at_ties_and_extremes(name, dtype):
    y, target = EXTREMES[name]
    y, target = np.array(y, dtype), np.array(target, np.int64 if name in ("softmax_cross_entropy", "nll") else dtype)
    for loss in (getattr(pn, name), getattr(pn, name)(reduction="sum")):
        E, pullback = loss.vjp(y, target)
        value, _, gradient = by_torch(loss, (), (y, target), np.array(1.0))
        close = {"rtol": max(1e-8, 4 * np.finfo(dtype).eps), "atol": 0}  # PyTorch has its bound 1e-12 in float32
        np.testing.assert_allclose(E, value, **close)
        np.testing.assert_allclose(pullback(), gradient, **close)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("shape", [(6,), (4, 5), (2, 3, 4)])
def test_weighted_by_class_has_pytorchs_mean(shape, dtype):
    rng = np.random.default_rng(0)
    y, labels, by_class = rng.normal(size=(*shape, 3)).astype(dtype), rng.integers(0, 3, shape), np.array([0.2, 3, 0])
    for loss, theirs, x in (
        (pn.softmax_cross_entropy, F.cross_entropy, y),
        (pn.nll, F.nll_loss, pn.log_softmax.apply((), y)),
    ):
        E, pullback = pn.weighted(loss).vjp(x, (labels, by_class[labels]))
        rows = torch.tensor(x.reshape(-1, 3).astype(np.float64), requires_grad=True)
        value = theirs(rows, torch.tensor(labels.reshape(-1)), weight=torch.tensor(by_class))
        (gradient,) = torch.autograd.grad(value, rows)
        close = {"rtol": 10 * np.finfo(dtype).eps, "atol": np.finfo(dtype).eps}
        np.testing.assert_allclose(E, value.item(), **close)
        np.testing.assert_allclose(pullback().reshape(-1, 3), gradient.numpy(), **close)


def test_weighted_by_example_has_scikit_learns_mean():
    rng = np.random.default_rng(0)
    y, target, labels, weight = rng.normal(size=(7, 3)), rng.normal(size=(7, 3)), rng.integers(0, 3, 7), rng.random(7)
    for loss, theirs in ((pn.mse, skm.mean_squared_error), (pn.mae, skm.mean_absolute_error)):
        expected = theirs(target, y, sample_weight=weight)
        np.testing.assert_allclose(pn.weighted(loss).apply(y, (target, weight)), expected, rtol=1e-14)
    shares = pn.softmax.apply((), y)
    expected = skm.log_loss(labels, shares, sample_weight=weight, labels=[0, 1, 2])
    np.testing.assert_allclose(pn.weighted(pn.softmax_cross_entropy).apply(y, (labels, weight)), expected, rtol=1e-14)


HEADS = pn.serial(pn.dense(3, 5), pn.fan_out(pn.dense(5, 3), pn.dense(5, 3)))
OF_HEADS = pn.per_output(pn.mse + 0.5 * pn.huber, pn.softmax_cross_entropy(weight=(1, 2, 0.5)), weights=(2, 0.3))


def test_several_outputs_on_every_engine():
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(4, 3)), (rng.normal(size=(4, 3)), np.array([0, 2, 1, 1]))
    x, target = pn.tree.cast((x, target), np.float32)
    params, evaluate = HEADS.init(pn.key(0)), pn.value_and_grad(HEADS, OF_HEADS)
    expected = pn.tree.leaves(evaluate(params, x, target))
    for name, run in (("jax", jax.jit(evaluate)), ("torch", evaluate), ("torch", evaluate)):
        found = run(*pn.to_engine((params, x, target), name))
        for a, b in zip(pn.tree.leaves(found), expected, strict=True):
            np.testing.assert_allclose(np.asarray(a), b, rtol=1e-5, atol=1e-6)
