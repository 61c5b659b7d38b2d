"""Normalization: what the invariants over the catalogue do not say."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.cases import normal

KEY = pn.key(1)
NORMS = [pn.batch_norm, pn.layer_norm, pn.group_norm(2), pn.instance_norm, pn.rms_norm]
each_norm = pytest.mark.parametrize("layer", NORMS, ids=str)


def double(layer, *in_shape):
    return pn.tree.cast(layer.init(pn.key(0), in_shape), np.float64)


def test_batch_norm_in_training_normalizes_with_the_biased_variance_and_keeps_the_unbiased_one():
    x = normal(5, 2, 3)
    params = double(pn.batch_norm, 3)
    y, pullback = pn.batch_norm.vjp(params, x, KEY)
    rows = x.reshape(-1, 3)
    np.testing.assert_allclose(y.reshape(-1, 3), (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5))
    following = pn.sgd_step(params, pullback(y)[0], lr=0.0)
    np.testing.assert_allclose(following.mean.value, 0.1 * rows.mean(0))
    np.testing.assert_allclose(following.variance.value, 0.9 + 0.1 * rows.var(0, ddof=1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("layer", NORMS, ids=repr)
@pytest.mark.parametrize("key", [None, KEY])
def test_half_precision_is_normalized_where_its_squares_overflow(layer, key):
    """Buffers begin at 0 and 1, so batch norm in inference only scales."""
    x, dy = normal(4, 3, 2), normal(4, 3, 2, seed=1).astype(np.float16)
    params = pn.tree.cast(layer.init(pn.key(0), (3, 2)), np.float16)
    scale = 1 if layer is pn.batch_norm else 1000
    large = (scale * x).astype(np.float16)
    y, pullback = layer.vjp(params, large, key)
    dparams, dx = pullback(dy)
    expected, exact = layer.vjp(pn.tree.cast(params, np.float64), large.astype(np.float64), key)
    for ours, theirs in zip(
        pn.tree.leaves((y, dparams, dx)), pn.tree.leaves((expected, *exact(dy.astype(float)))), strict=True
    ):
        assert ours.dtype == np.float16
        np.testing.assert_allclose(ours, theirs, rtol=5e-3, atol=5e-3)
    if key is not None:
        np.testing.assert_allclose(layer.apply(params, (1000 * x).astype(np.float16), key), expected, atol=0.02)


def test_batch_norm_in_inference_is_a_fixed_affine_map_and_leaves_its_buffers():
    params = double(pn.batch_norm, 2)
    mean, variance = np.array([1.0, -2.0]), np.array([4.0, 0.25])
    params = params._replace(mean=pn.Buffer(mean), variance=pn.Buffer(variance))
    x, dy = normal(3, 2), normal(3, 2, seed=1)
    y, pullback = pn.batch_norm.vjp(params, x)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-5))
    dparams, dx = pullback(dy)
    np.testing.assert_allclose(dx, dy / np.sqrt(variance + 1e-5))
    assert not dparams.mean.value.any()
    assert not dparams.variance.value.any()
    assert pn.batch_norm.apply(params, x[:1]).shape == (1, 2)  # one value for each channel will do


def test_running_statistics_that_decay_never_become_subnormal_or_hide_a_nan():
    layer, x = pn.batch_norm(3), np.zeros((4, 3), np.float32)
    params, tiny = layer.init(pn.key(0)), np.finfo(np.float32).tiny
    for i in range(2000):
        x[:, 0] = np.arange(4) if i < 3 else 0  # a feature that dies, one that never lived, and one that lives
        x[:, 2] = np.arange(4)
        dparams, _ = layer.vjp(params, x, pn.key(i))[1](np.zeros_like(x))
        params = pn.sgd_step(params, dparams, 0.1)
        kept = np.abs([params.mean.value, params.variance.value])
        assert not ((kept < tiny) & (kept > 0)).any()
    np.testing.assert_array_equal(params.mean.value[:2], [0, 0])
    np.testing.assert_allclose(params.mean.value[2], 1.5, rtol=1e-6)
    lost = params._replace(mean=pn.Buffer(np.full(3, np.nan, np.float32)))
    assert np.isnan(layer.vjp(lost, x, pn.key(0))[1](np.zeros_like(x))[0].mean.value).all()


def test_running_statistics_reach_the_next_params_by_sgd_step_and_training_moves_them_to_the_data():
    x = (normal(64, 2) * [1, 3] + [5, -2]).astype(np.float32)
    params = pn.batch_norm.init(pn.key(0), (2,))
    for _ in range(100):
        y, pullback = pn.batch_norm.vjp(params, x, KEY)
        params = pn.sgd_step(params, pullback(np.zeros_like(y))[0], lr=0.1)
    np.testing.assert_allclose(params.mean.value, x.mean(0), rtol=1e-3)
    np.testing.assert_allclose(params.variance.value, x.var(0, ddof=1), rtol=1e-3)
    np.testing.assert_array_equal(params.weight, [1, 1])
    np.testing.assert_allclose(pn.batch_norm.apply(params, x), pn.batch_norm.apply(params, x, KEY), atol=0.05)


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 1, 2)])
def test_batch_norm_in_training_refuses_one_value_for_each_channel(shape):
    with pytest.raises(ValueError, match=r"more than one value for each channel.*\(1, "):
        pn.batch_norm.apply(double(pn.batch_norm, *shape[1:]), normal(*shape), KEY)


def test_instance_norm_refuses_a_single_position():
    with pytest.raises(ValueError, match=r"more than one position.*shape \(1, 4\)"):
        pn.instance_norm.init(pn.key(0), (1, 4))
    with pytest.raises(ValueError, match="more than one position"):
        pn.instance_norm.apply((), normal(2, 4))


def test_group_norm_spans_layer_norm_and_instance_norm():
    x = normal(3, 5, 4)
    every = pn.group_norm(4, affine=False).apply((), x)
    np.testing.assert_allclose(every, pn.instance_norm.apply((), x), atol=1e-14)
    one = pn.group_norm(1, affine=False).apply((), x[:, :1])
    np.testing.assert_allclose(one, pn.layer_norm(affine=False).apply((), x[:, :1]), atol=1e-14)


@pytest.mark.parametrize("mean", [1e4, -1e6])
@pytest.mark.parametrize("layer", [pn.batch_norm, pn.layer_norm, pn.group_norm(2), pn.instance_norm], ids=str)
def test_a_large_mean_does_not_cancel(layer, mean):
    """In float32, against the truth in float64 for the very same x; E[x²] − E[x]² would lose every digit."""
    x = (normal(20, 300, 50) + mean).astype(np.float32)
    dy = normal(20, 300, 50, seed=1).astype(np.float32)
    params = layer.init(pn.key(0), x.shape[1:])
    y, pullback = layer.vjp(params, x, KEY)
    truth, true_pullback = layer.vjp(pn.tree.cast(params, np.float64), x.astype(np.float64), KEY)
    np.testing.assert_allclose(y, truth, atol=1.5e-6)
    np.testing.assert_allclose(pullback(dy)[1], true_pullback(dy.astype(np.float64))[1], atol=1.5e-6)


@each_norm
def test_constant_input_gives_finite_values_and_gradients(layer):
    x = np.full((2, 3, 4), 7.0, np.float32)
    y, pullback = layer.vjp(layer.init(pn.key(0), (3, 4)), x, KEY)
    leaves = pn.tree.leaves((y, pullback(np.ones_like(y))))
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    if layer is not pn.rms_norm:
        assert not y.any()


def test_rms_norm_of_zeros_is_zero():
    y, pullback = pn.rms_norm.vjp(pn.rms_norm.init(pn.key(0), (3,)), np.zeros((2, 3), np.float32))
    assert not y.any()
    assert np.isfinite(pullback(np.ones_like(y))[1]).all()


@each_norm
def test_features_are_inferred_or_said(layer):
    if layer is pn.instance_norm:
        layer = layer(affine=True)
    with pytest.raises(ValueError, match="does not know how many features"):
        layer.init(pn.key(0))
    assert layer.init(pn.key(0), (3, 6)).weight.shape == (6,)
    with pytest.raises(ValueError, match=r"x of shape \(batch, \.\.\., 6\), but x has shape \(2, 3, 4\)"):
        layer.apply(layer.init(pn.key(0), (3, 6)), np.zeros((2, 3, 4), np.float32))


def test_said_features_are_held_to():
    for make in (pn.batch_norm, pn.layer_norm, pn.rms_norm, lambda n: pn.group_norm(2, n), pn.instance_norm):
        layer = make(4)
        with pytest.raises(ValueError, match=r"\(batch, ..., 4\).*\(batch, 3, 6\)"):
            layer.shape((3, 6))


def test_errors_say_what_was_given():
    with pytest.raises(ValueError, match="divide 6 channels into 4 groups"):
        pn.group_norm(4, 6)
    with pytest.raises(ValueError, match="divide 6 channels into 4 groups"):
        pn.serial(pn.dense(2, 6), pn.group_norm(4))
    with pytest.raises(ValueError, match="groups that are positive integers"):
        pn.group_norm(0)
    with pytest.raises(ValueError, match="features that are positive integers"):
        pn.batch_norm(0)
    with pytest.raises(ValueError, match="momentum from 0 to 1"):
        pn.batch_norm(momentum=-0.1)
    with pytest.raises(ValueError, match="eps of 0 or more"):
        pn.layer_norm(eps=-1.0)
    with pytest.raises(
        ValueError, match=r"takes params = BatchNormParams\(weight, bias, mean, variance\), not a tuple"
    ):
        pn.batch_norm.apply((), normal(2, 3))
    with pytest.raises(
        ValueError,
        match=r"layer_norm takes params = NormParams\(weight, bias\), not NormParams\(weight, bias=None\). Are",
    ):
        pn.layer_norm.apply(pn.rms_norm.init(pn.key(0), (3,)), normal(2, 3))
    with pytest.raises(
        ValueError,
        match=r"BatchNormParams\(weight=None, bias=None, mean, variance\), not BatchNormParams\(weight, bias, mean, v",
    ):
        pn.batch_norm(affine=False).apply(pn.batch_norm.init(pn.key(0), (3,)), normal(2, 3))
    with pytest.raises(TypeError, match="float32 params, but x is float64"):
        pn.layer_norm.apply(pn.layer_norm(3).init(pn.key(0)), normal(2, 3))
    with pytest.raises(TypeError, match="floating point"):
        pn.layer_norm.apply((), np.ones((2, 3), int))


@pytest.mark.parametrize("n", [1, 512, 513, 1000, 1024, 70_000])
def test_sums_over_many_rows_keep_their_digits(n):
    x = (normal(2, n, 3) + 3).astype(np.float32)
    truth = x.astype(np.float64).sum(axis=1, keepdims=True)
    for dy, total in ((x[0], truth[0, 0]), (x[0, ::-1, ::2], truth[0, 0, ::2]), (x, truth.sum(axis=(0, 1)))):
        layer, ones = pn.dense(1, dy.shape[-1]), np.ones((*dy.shape[:-1], 1), np.float32)
        dparams, _ = layer.vjp(layer.init(KEY), ones)[1](dy)
        np.testing.assert_allclose(dparams.bias, total, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 256, 700])
def test_the_gradient_of_a_scale_is_a_sum_of_products(n):
    x, dy = normal(n, 5), normal(n, 5, seed=1)
    dweight = pn.layer_norm.vjp(double(pn.layer_norm, 5), x)[1](dy)[0].weight
    normalized = pn.layer_norm(affine=False).apply((), x)
    np.testing.assert_allclose(dweight, np.sum(normalized * dy, axis=0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("channels", [1, 6, 300])
def test_batch_norm_does_not_mind_how_cells_are_arranged(channels, key):
    """Rows of cells are laid out side by side, for speed; a matrix of (cells, channels) is not."""
    x, dy = normal(5, 4, 12, channels), normal(5, 4, 12, channels, seed=1)
    params = double(pn.batch_norm, channels)
    (y, pullback), (flat, flat_pullback) = (pn.batch_norm.vjp(params, each, key) for each in (x, x.reshape(240, -1)))
    np.testing.assert_allclose(y.reshape(flat.shape), flat, rtol=1e-12, atol=1e-12)
    (dparams, dx), (flat_dparams, flat_dx) = pullback(dy), flat_pullback(dy.reshape(240, -1))
    np.testing.assert_allclose(dx.reshape(flat.shape), flat_dx, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(pn.tree.leaves(dparams), pn.tree.leaves(flat_dparams), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        pn.layer_norm(3, bias=False),
        pn.batch_norm(3, bias=False),
        pn.group_norm(3, 3, bias=False),
        pn.instance_norm(3, affine=True, bias=False),
    ],
)
def test_a_scale_without_a_shift(layer):
    params = layer.init(pn.key(0))
    assert params.bias is None
    assert params.weight.shape == (3,)
