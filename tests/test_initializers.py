from __future__ import annotations

import math

import numpy as np
import pytest

import purenet as pn
from purenet import initializers as init

KEY = pn.key(0)
DENSE, CONV = (300, 200), (3, 3, 40, 50)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((784, 128), (784, 128)), ((3, 3, 16, 32), (144, 288)), ((5, 1, 6), (5, 30)), ((2, 2, 2, 4, 8), (32, 64))],
)
def test_fans(shape, fans):
    assert init.fans(shape) == fans


@pytest.mark.parametrize("shape", [DENSE, CONV])
@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (init.glorot_uniform, lambda i, o: 2 / (i + o)),
        (init.glorot_normal, lambda i, o: 2 / (i + o)),
        (init.he_uniform, lambda i, o: 2 / i),
        (init.he_normal, lambda i, o: 2 / i),
        (init.lecun_uniform, lambda i, o: 1 / i),
        (init.lecun_normal, lambda i, o: 1 / i),
        (init.variance_scaling(3.0, "fan_out", "normal"), lambda i, o: 3 / o),
        (init.normal(0.3), lambda i, o: 0.09),
        (init.uniform(0.3), lambda i, o: 0.03),
        (init.truncated_normal(0.3), lambda i, o: 0.09 * 0.7737413),
    ],
)
def test_variance(initializer, variance, shape):
    w = initializer(KEY, shape)
    assert w.shape == shape
    assert w.dtype == np.float32
    assert not w.flags.writeable
    expected = variance(*init.fans(shape))
    assert abs(w.mean()) < 5 * math.sqrt(expected / w.size)
    assert abs(w.var() / expected - 1) < 0.03


def test_uniform_bounds():
    limit = math.sqrt(6 / 500)
    assert np.abs(init.glorot_uniform(KEY, DENSE)).max() <= np.float32(limit)


def test_names_of_the_field():
    assert init.xavier_uniform is init.glorot_uniform
    assert init.kaiming_normal is init.he_normal


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 3, 4), (1, 1)])
def test_orthogonal(shape):
    w = init.orthogonal(2.0)(KEY, shape, np.float64).reshape(-1, shape[-1])
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_constants():
    np.testing.assert_array_equal(init.zeros(KEY, (2,)), [0, 0])
    np.testing.assert_array_equal(init.ones(KEY, (2,)), [1, 1])
    np.testing.assert_array_equal(init.constant(0.5)(KEY, (2,)), [0.5, 0.5])


@pytest.mark.parametrize(
    "make", [init.normal, init.truncated_normal, init.uniform, init.variance_scaling, init.orthogonal]
)
def test_a_spread_of_zero_gives_zeros_and_one_below_is_an_error(make):
    np.testing.assert_array_equal(make(0.0)(KEY, (3, 2)), np.zeros((3, 2), np.float32))
    for wrong in (-0.1, math.nan, True, "1"):
        with pytest.raises(ValueError, match=f"^initializers.{make.__name__} takes a number from 0 up, not "):
            make(wrong)


def test_dense_takes_other_initializers():
    params = pn.dense(4, 3, weight_init=init.ones, bias_init=init.constant(2.0)).init(KEY)
    np.testing.assert_array_equal(params.weight, np.ones((4, 3)))
    np.testing.assert_array_equal(params.bias, [2, 2, 2])


def test_each_parameter_of_a_layer_has_a_key_of_its_own_and_an_only_one_that_of_the_layer():
    normal = pn.initializers.normal()

    def params(form):
        spec = pn.Spec("layer", x="...", y="...", params=form, init=(normal,) * len(form), sizes={"n": 5})
        return pn.layer(spec, lambda ops, params, x, key: (x, lambda dy, wrt_x: (params, dy))).init(KEY)

    (only,) = params(("n",))
    np.testing.assert_array_equal(only, normal(KEY, (5,)))
    for form in (("n",) * 2, ("n",) * 3):
        for drawn, key in zip(params(form), pn.split(KEY, len(form)), strict=True):
            np.testing.assert_array_equal(drawn, normal(key, (5,)))


@pytest.mark.parametrize("make", [pn.conv, pn.conv_transpose])
@pytest.mark.parametrize("groups", [1, 2, 8, 32])
@pytest.mark.parametrize(
    "weight_init",
    [init.glorot_uniform, init.glorot_normal, init.lecun_uniform, init.orthogonal(),
     init.variance_scaling(1.0, "fan_out", "normal")],
)  # fmt: skip
def test_a_convolution_of_groups_begins_with_outputs_of_variance_1(weight_init, groups, make):
    """Each group's fans are those of its own channels."""
    layer = make(32, 32, 3, groups=groups, weight_init=weight_init)
    y = layer.apply(layer.init(pn.key(0)), pn.random.normal(pn.key(1), (2, 14, 14, 32)))
    assert y[:, 3:-3, 3:-3].std() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("make", [pn.rnn, pn.lstm, pn.gru])
def test_each_gate_begins_like_a_dense_layer(make):
    x = pn.random.normal(pn.key(1), (400, 32))
    plain = x @ pn.dense(32, 64).init(pn.key(0)).weight
    gates = (x @ make(32, 64).init(pn.key(0)).weight).reshape(400, -1, 64)
    np.testing.assert_allclose(gates.std(axis=(0, 2)), plain.std(), rtol=0.06)
