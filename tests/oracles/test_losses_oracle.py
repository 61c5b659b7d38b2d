"""Losses against PyTorch at ties and extremes, where random numbers do not fall."""

from __future__ import annotations

import numpy as np
import pytest

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
