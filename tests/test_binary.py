"""binary_dense: its rule is not the derivative, so it is compared with that of the hard tanh surrogate."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from purenet.testing import check_vjp
from tests.cases import normal

LAYER = pn.binary_dense(5, 4)


def at(seed):
    x, dy = 1.5 * normal(6, 5, seed=seed), normal(6, 4, seed=seed + 1)
    weight = 1.5 * normal(5, 4, seed=seed + 2)
    return LAYER.init(pn.key(0))._replace(weight=weight, bias=normal(4)), x, dy


def signs(x):
    return np.where(x >= 0, 1.0, -1.0)


def test_forward_is_the_product_of_signs_and_the_sign_of_0_is_1():
    params, x, _ = at(0)
    x[0, 0] = 0
    np.testing.assert_allclose(LAYER.apply(params, x), signs(x) @ signs(params.weight) + params.bias)
    assert signs(x)[0, 0] == 1
    np.testing.assert_allclose(
        pn.binary_dense(5, 4, binary_input=False).apply(params, x), x @ signs(params.weight) + params.bias
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_is_the_derivative_of_the_hard_tanh_surrogate(seed):
    params, x, dy = at(10 * seed)
    dparams, dx = LAYER.vjp(params, x)[1](dy)
    binary = params._replace(weight=signs(params.weight))

    in_x = pn.serial(pn.hard_tanh, pn.dense(5, 4))  # the sign of X replaced, that of W kept
    check_vjp(in_x, ((), binary), x)
    np.testing.assert_allclose(dx, in_x.vjp(((), binary), x)[1](dy)[1])

    dense_dparams = pn.dense(5, 4).vjp(binary, signs(x))[1](dy)[0]  # the sign of W replaced, that of X kept
    through = pn.hard_tanh.vjp((), params.weight)[1](dense_dparams.weight)[1]
    np.testing.assert_allclose(dparams.weight, through)
    np.testing.assert_allclose(dparams.bias, dy.sum(0))
    assert (dparams.weight == 0).any()
    assert (dx == 0).any()


def test_the_ends_of_the_interval_pass():
    params, x, dy = at(0)
    dx = LAYER.vjp(params, np.sign(x))[1](dy)[1]
    np.testing.assert_allclose(dx, dy @ signs(params.weight).T)


def test_it_learns_a_function_of_signs():
    x = signs(normal(64, 5)).astype(np.float32)
    target = (x @ signs(normal(5, 4, seed=9))).astype(np.float32)
    params = LAYER.init(pn.key(0))
    for _ in range(400):
        E, grads = pn.value_and_grad(LAYER, pn.mse)(params, x, target)
        params = pn.sgd_step(params, grads, lr=0.01)
    assert E < 1e-2  # of a target with variance 5; a rule that is off stays far above 1


def test_errors():
    with pytest.raises(ValueError, match=r"takes params = DenseParams\(weight, bias\), not a tuple"):
        LAYER.apply((), normal(2, 5))
    with pytest.raises(TypeError, match="floating point"):
        LAYER.apply(LAYER.init(pn.key(0)), np.ones((2, 5), int))


@pytest.mark.parametrize(
    "x", [np.array([[0.0, 1], [1, 1]]), np.array([[0.0, 0.25, 1]] * 2), np.maximum(normal(8, 3), 0)]
)
def test_data_from_0_up_are_refused_for_all_their_signs_are_1(x):
    layer = pn.binary_dense(x.shape[1], 2)
    params, x = layer.init(pn.key(0)), x.astype(np.float32)
    for run in (layer.apply, layer.vjp):
        for _ in range(3):  # the checked way, and the bare one
            layer.vjp(params, 2 * x - 1)[1](np.ones((len(x), 2), np.float32))
            with pytest.raises(ValueError, match=r"sign\(0\) = 1, .* write 2 \* x - 1 for data from 0 to 1"):
                run(params, x)
    pn.binary_dense(x.shape[1], 2, binary_input=False).apply(params, x)
    for fine in (np.zeros_like(x), np.ones_like(x), x - 1, x[:1]):  # of one example it may be chance
        layer.apply(params, fine)
