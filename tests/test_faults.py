"""Every fault of the systems that purenet descends from, each pinned by a test named after it.

They were seen by running those systems: softmax and binary cross-entropy that were not finite, a dropout and a batch
normalization that went back wrongly, a dense layer for one example only, a bias for each pixel, a loss whose arguments
were swapped between two files, and dE/dX computed from weights that were already updated.

That `check_vjp` would find the wrong rules in any layer is tested in test_check_vjp.py, with faults planted.
"""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.cases import normal


def test_fault_softmax_of_1000_and_0_was_nan():
    for dtype in (np.float32, np.float64):
        y, pullback = pn.softmax.vjp((), np.array([1000, 0], dtype))
        np.testing.assert_array_equal(y, [1, 0])
        np.testing.assert_array_equal(pullback(np.array([3, 5], dtype))[1], [0, 0])


def test_fault_binary_cross_entropy_of_1_and_0_was_infinite():
    for y, target in ((0.0, 1.0), (1.0, 0.0)):
        E, pullback = pn.binary_cross_entropy.vjp(np.array([y]), np.array([target]))
        assert E == 100
        assert np.isfinite(pullback()).all()


def test_fault_binary_cross_entropy_from_logits_of_minus_1000_was_infinite():
    E, pullback = pn.binary_cross_entropy_with_logits.vjp(np.array([-1000.0]), np.array([1.0]))
    assert E == 1000
    np.testing.assert_array_equal(pullback(), [-1])


def test_fault_dropout_returned_its_mask_and_forgot_the_gradient():
    """dE/dX = dE/dY ⊙ mask."""
    x, dy = np.ones((50, 20)), normal(50, 20)
    mask, pullback = pn.dropout(0.3).vjp((), x, pn.key(1))  # of ones, Y is the mask
    dx = pullback(dy)[1]
    np.testing.assert_array_equal(dx, dy * mask)
    assert not np.allclose(dx, mask)
    assert set(np.unique(mask)) == {0, 1 / 0.7}


def test_fault_the_input_gradient_of_batch_norm_averaged_over_other_axes_than_its_mean():
    """Over all axes forward and one backward: off by 0.48 on a 4×3 batch. Both means are over the batch alone."""
    x, dy = normal(4, 3), normal(4, 3, seed=1)
    params = pn.tree.cast(pn.batch_norm.init(pn.key(0), (3,)), np.float64)
    _, pullback = pn.batch_norm.vjp(params, x, pn.key(1))
    dx = pullback(dy)[1]
    for channel in range(3):  # each channel by itself, by the chain rule written out
        column, d = x[:, channel], dy[:, channel]
        deviation = column - column.mean()
        std = np.sqrt(column.var() + 1e-5)
        jacobian = (np.eye(4) - 1 / 4) / std - np.outer(deviation, deviation) / (4 * std**3)
        np.testing.assert_allclose(dx[:, channel], jacobian @ d, rtol=1e-12, atol=1e-14)
    assert np.abs(dx.sum(axis=0)).max() < 1e-14  # what moves all of a channel moves no output


def test_fault_dense_could_not_take_a_batch():
    layer = pn.dense(3, 2)
    params = layer.init(pn.key(0))
    x = pn.random.normal(pn.key(1), (5, 3))
    dy = pn.random.normal(pn.key(2), (5, 2))
    y, pullback = layer.vjp(params, x)
    dparams, dx = pullback(dy)
    one_by_one = [layer.vjp(params, x[i : i + 1]) for i in range(5)]
    gradients = [pull(dy[i : i + 1]) for i, (_, pull) in enumerate(one_by_one)]
    np.testing.assert_allclose(y, np.concatenate([row for row, _ in one_by_one]), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(dx, np.concatenate([row for _, row in gradients]), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(dparams.weight, sum(d.weight for d, _ in gradients), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dparams.bias, sum(d.bias for d, _ in gradients), rtol=1e-5, atol=1e-6)


def test_fault_the_bias_of_a_convolution_had_one_value_per_pixel():
    layer = pn.conv(1, 3, 2)
    params = layer.init(pn.key(0))
    assert params.bias.shape == (3,)
    y, pullback = layer.vjp(params, np.ones((2, 4, 5, 1), np.float32))
    dparams, _ = pullback(np.ones_like(y))
    np.testing.assert_array_equal(dparams.bias, [24, 24, 24])  # 2 examples of 3×4 places


def test_fault_the_arguments_of_a_loss_were_swapped_between_two_files():
    """Every loss takes y first and target second, and differentiates y: for E = Σ (y − t)², dE/dy = 2 (y − t)."""
    y, target = np.array([[3.0, 0.5]]), np.array([[1.0, 0.25]])
    np.testing.assert_array_equal(pn.sse.vjp(y, target)[1](), [[4, 0.5]])
    net = pn.dense(2, 2, bias=False, weight_init=pn.initializers.constant(1.0))
    params = pn.tree.cast(net.init(pn.key(0)), np.float64)
    _, grads = pn.value_and_grad(net, pn.sse)(params, np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]]))
    np.testing.assert_array_equal(grads.weight, [[4, -2], [8, -4]])  # xᵀ · 2 (y − t), with y = (3, 3)
    p, t = np.array([[0.75]]), np.array([[0.25]])
    for loss in (pn.binary_cross_entropy, pn.mae, pn.mse, pn.huber):
        assert loss.vjp(p, t)[1]() > 0  # y is above the target: less of it costs less
    assert pn.kl_divergence.vjp(np.log(p), t)[1]() == -0.25  # −T: y is the one in logarithms


def test_fault_dx_was_computed_from_weights_already_updated():
    """dE/dX = dE/dY · Wᵀ with the W of the forward pass, whatever is done with the gradients before it is asked for."""
    layer = pn.dense(3, 2)
    params = layer.init(pn.key(0))
    x, dy = pn.random.normal(pn.key(1), (4, 3)), pn.random.normal(pn.key(2), (4, 2))
    _, pullback = layer.vjp(params, x)
    weight = params.weight.copy()
    right = dy @ weight.T
    dparams, dx = pullback(dy)
    np.testing.assert_allclose(dx, right, rtol=1e-6, atol=1e-7)
    new = pn.sgd_step(params, dparams, lr=10.0)
    np.testing.assert_array_equal(params.weight, weight)
    assert not np.allclose(new.weight, weight)
    np.testing.assert_array_equal(pullback(dy)[1], dx)  # asked again, after the step
    with pytest.raises(ValueError, match="read-only"):
        params.weight[...] -= 10 * dparams.weight


def test_fault_dx_was_computed_from_weights_already_updated_in_a_net():
    """The first layer's gradient goes through the second layer's weights of before the step."""
    net = pn.serial(pn.dense(2, 3), pn.dense(3, 1))
    params = pn.tree.cast(net.init(pn.key(3)), np.float64)
    x, target = pn.random.normal(pn.key(4), (5, 2), np.float64), pn.random.normal(pn.key(5), (5, 1), np.float64)
    _, grads = pn.value_and_grad(net, pn.sse)(params, x, target)
    (w, b), (v, c) = params
    dy = 2 * ((x @ w + b) @ v + c - target)
    np.testing.assert_allclose(grads[0].weight, x.T @ (dy @ v.T), rtol=1e-12)
    np.testing.assert_allclose(grads[1].weight, (x @ w + b).T @ dy, rtol=1e-12)
