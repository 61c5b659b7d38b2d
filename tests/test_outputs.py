"""Losses of several outputs at once, and losses that are not added up."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.cases import normal
from tests.kit import bits

NORMAL = pn.fan_out(pn.dense(1, 1), pn.serial(pn.dense(1, 1), pn.softplus))


def test_a_net_finds_the_mean_and_the_variance():
    x = np.repeat([[0.0], [1.0]], 500, axis=0).astype(np.float32)
    target = (3 * x + (0.5 + x) * pn.random.normal(pn.key(1), x.shape)).astype(np.float32)
    run = {"epochs": 1500, "batch_size": 1000, "key": pn.key(2)}
    found = pn.fit(NORMAL, pn.gaussian_nll, pn.adam(0.02), NORMAL.init(pn.key(0)), (x, target), **run)
    mean, variance = NORMAL.apply(found.params, np.array([[0.0], [1.0]], np.float32))
    halves = target[:500], target[500:]
    np.testing.assert_allclose(mean.ravel(), [np.mean(half) for half in halves], atol=0.02)
    np.testing.assert_allclose(variance.ravel(), [np.var(half) for half in halves], rtol=0.05)


def test_a_variance_below_eps_counts_as_eps_and_can_grow():
    y, target = (np.array([1.0]), np.array([0.0])), np.array([0.0])
    E, pullback = pn.gaussian_nll(eps=0.01).vjp(y, target)
    at_eps, its_pullback = pn.gaussian_nll(eps=0.01).vjp((y[0], np.array([0.01])), target)
    assert bits((E, pullback())) == bits((at_eps, its_pullback()))
    assert pullback()[1] < 0


def test_embeddings_move_apart():
    x, labels = normal(60, 4).astype(np.float32), np.arange(60) % 2
    x[labels == 1, 0] += 3
    one, other = x[labels == 0], x[labels == 1]
    embed = pn.dense(4, 2)
    net = pn.tied(pn.parallel(embed, embed, embed))
    data = (one[:15], one[15:], other[:15]), labels[:15]
    found = pn.fit(net, pn.triplet, pn.adam(0.05), net.init(pn.key(0)), data, epochs=100, batch_size=15, key=pn.key(1))
    assert found.history["loss"][-1] < 0.2 * found.history["loss"][0]


def test_embeddings_at_one_place_have_no_direction():
    place = np.zeros((1, 2))
    E, pullback = pn.triplet.vjp((place, place + 1e-6, place), np.zeros(1))
    assert np.isfinite(E)
    assert all(np.isfinite(part).all() for part in pullback())


# --- reduction="none"


@pytest.mark.parametrize("loss", [pn.mse, pn.softmax_cross_entropy, pn.cosine_similarity], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_each_costs_what_it_costs_alone(loss, dtype):
    y, target = normal(4, 2, 3).astype(dtype), abs(normal(4, 2, 3, seed=1)).astype(dtype)
    E, pullback = loss(reduction="none").vjp(y, target)
    assert E.shape == (y.shape if loss is pn.mse else y.shape[:-1])
    np.testing.assert_allclose(E.mean(), loss.apply(y, target), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(pullback(), loss(reduction="sum").vjp(y, target)[1](), rtol=4 * np.finfo(dtype).eps)
    weight = pn.random.uniform(pn.key(3), E.shape, 0, 1, np.float64)
    dy = pullback(weight)
    weighted = pn.weighted(loss(reduction="sum")).vjp(y, (target, weight.astype(dtype)))[1]()
    assert dy.dtype == dtype
    np.testing.assert_allclose(dy, weighted, rtol=8 * np.finfo(dtype).eps)


def test_examples_are_weighed_by_what_they_cost():
    """Hard examples alone, by hand, as the error of `value_and_grad` says it."""
    net, x, target = pn.dense(3, 2), normal(6, 3), normal(6, 2, seed=1)
    params = pn.tree.cast(net.init(pn.key(0)), np.float64)
    y, pullback = net.vjp(params, x)
    E, loss_pullback = pn.mse(reduction="none").vjp(y, target)
    hard = np.median(E) < E
    dparams, _ = pullback(loss_pullback(hard / hard.sum()))
    expected = pn.value_and_grad(net, pn.weighted(pn.mse))(params, x, (target, hard))[1]
    for a, b in zip(dparams, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_what_was_right_once_is_looked_at_again():
    mean = normal(4, 3)
    for _ in range(2):
        pn.gaussian_nll.apply((mean, mean**2), mean)
    with pytest.raises(ValueError, match="variances from 0 up"):
        pn.gaussian_nll.apply((mean, -(mean**2)), mean)
