"""What is not finite, under JAX: it reaches only what it belongs to, and what cannot raise is NaN."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.cases import normal
from tests.catalogue import layer_id
from tests.oracles.test_jax_engine import ONE_EACH, draws
from tests.test_nonfinite import CASES, check, results

MASKED = {"multi_head_attention", "rnn", "gru", "lstm"}  # in ways that depend on x
EACH = [(name, case) for name, case in CASES if name in MASKED or any(case is one for _, one in ONE_EACH)]


@pytest.mark.parametrize(("name", "case"), EACH, ids=map(layer_id, EACH))
def test_what_is_not_finite_reaches_only_what_it_belongs_to(name, case):
    params = case.params
    y = case.layer.apply(params, case.x, case.key)
    dy = pn.tree.map(lambda leaf: normal(*leaf.shape, seed=3).astype(leaf.dtype), y)
    compiled = (lambda f: f) if draws(case) else jax.jit
    run = compiled(lambda given: results(name, case, params, given))
    check(name, lambda given: [np.asarray(leaf) for leaf in run(given)], (case.x, dy))


EMBEDDING = pn.embedding(3, 1)


@pytest.mark.parametrize("ids", [[0, 1], [0, -1], [2, 5], [-3, -7], [1, 1]])
def test_the_gradient_of_an_embedding_is_that_of_its_apply(ids):
    params, ids = EMBEDDING.init(jax.random.key(0)), jnp.array(ids)
    _, pull = jax.vjp(lambda params: EMBEDDING.apply(params, ids), params)
    for last in (2.0, np.inf, np.nan):
        dy = jnp.array([[1], [last]], jnp.float32)
        for rule in (EMBEDDING.vjp, jax.jit(lambda params, ids, dy=dy: EMBEDDING.vjp(params, ids)[1](dy))):
            found = rule(params, ids)
            dparams = found[1](dy)[0] if callable(found[1]) else found[0]
            np.testing.assert_array_equal(dparams.weight, pull(dy)[0].weight)


def test_an_infinite_gradient_goes_to_the_row_of_its_id():
    params = EMBEDDING.init(jax.random.key(0))
    _, pullback = EMBEDDING.vjp(params, jnp.array([0, 1]))
    assert pullback(jnp.array([[1], [jnp.inf]], jnp.float32))[0].weight.tolist() == [[1], [np.inf], [0]]


def test_the_gradient_of_an_embedding_is_no_dense_product():
    layer = pn.embedding(5000, 16)
    params, ids = layer.init(jax.random.key(0)), jnp.arange(800)

    @jax.jit
    def gradient(params, dy):
        return layer.vjp(params, ids)[1](dy)[0]

    dy = jnp.ones((800, 16), jnp.float32)
    assert gradient.lower(params, dy).compile().memory_analysis().temp_size_in_bytes < 10 * dy.nbytes
    assert "dot_general" not in str(jax.make_jaxpr(gradient)(params, dy))


@pytest.mark.parametrize("wrong", [7, 3, -1])
@pytest.mark.parametrize("loss", [pn.softmax_cross_entropy, pn.softmax_cross_entropy(0.1), pn.nll], ids=repr)
def test_a_label_that_is_no_class_gives_nan(loss, wrong):
    y = jnp.log(jnp.array([[0.2, 0.3, 0.5], [0.5, 0.25, 0.25]]))
    for run in (loss.vjp, lambda y, t: (jax.jit(loss.apply)(y, t), jax.jit(lambda: loss.vjp(y, t)[1]()))):
        E, pull = run(y, jnp.array([wrong, 1]))
        dy = pull()
        assert np.isnan(E)
        assert np.isnan(dy[0]).all()
        assert np.isfinite(dy[1]).all()
    right = loss.vjp(np.asarray(y), np.array([2, 1]))
    E, pull = loss.vjp(y, jnp.array([2, 1]))
    np.testing.assert_allclose([E, *pull().ravel()], [right[0], *right[1]().ravel()], rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "y", "target"),
    [
        (pn.hinge, [0.5, 0.5], [0.0, 1.0]),
        (pn.binary_cross_entropy, [0.5, 0.5], [-0.5, 1.0]),
        (pn.binary_cross_entropy, [0.5, 0.5], [1.5, 0.0]),
        (pn.binary_cross_entropy, [1.5, 0.0], [0.5, 1.0]),
        (pn.binary_cross_entropy, [-0.5, 1.0], [0.5, 0.0]),
        (pn.poisson_nll, [0.5, -0.5], [-1.0, 0.0]),
        (pn.poisson_nll(log_input=False), [0.5, 0.0], [-1.0, 0.0]),
        (pn.poisson_nll(log_input=False), [-0.5, 0.5], [1.0, 0.0]),
        (pn.kl_divergence, [-1.0, -0.5], [-0.25, 1.25]),
    ],
)
def test_what_a_loss_refuses_on_numpy_gives_nan(loss, y, target):
    y, target = np.array(y), np.array(target)
    with pytest.raises(ValueError, match=re.escape(loss.name)):
        loss.apply(y, target)
    E, pullback = loss.vjp(jnp.asarray(y), jnp.asarray(target))
    assert np.isnan(E)
    assert np.isnan(pullback()).tolist() == [True, False]


@pytest.mark.parametrize("make", [pn.rnn, pn.lstm, pn.gru])
@pytest.mark.parametrize("last", [False, True])
def test_a_length_that_is_no_length_gives_nan(make, last):
    layer = make(2, 3, last=last)
    params, x = layer.init(jax.random.key(0)), jnp.ones((4, 5, 2))
    y, state = layer.apply(pn.tree.cast(params, np.float64), (x, None, jnp.array([6, -1, 5, 0])))
    for found in pn.tree.leaves((y, state)):
        assert np.isnan(found[:2]).all()
        assert np.isfinite(found[2:]).all()


def test_an_id_that_is_no_row_gives_nan():
    y = EMBEDDING.apply(EMBEDDING.init(jax.random.key(0)), jnp.array([-1, 0, 2, 3]))
    assert np.isnan(y).ravel().tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    "loss",
    [pn.softmax_cross_entropy, pn.softmax_cross_entropy(0.1), pn.nll, pn.mse, pn.huber, pn.binary_cross_entropy,
     pn.binary_cross_entropy_with_logits],
    ids=repr,
)  # fmt: skip
def test_the_gradient_for_a_target_of_0(loss):
    """jax.grad for the target, against differences; E is linear or smooth in the target."""
    y, target = jnp.array([[0.2, 0.9, 0.3]]), jnp.array([[0.0, 0.25, 0.75]])
    found = jax.grad(lambda target: loss.apply(y, target))(target)
    step = 1e-6
    for i in range(3):
        there = target.at[0, i].add(step)  # from 0 upwards: below it is refused
        slope = (loss.apply(y, there) - loss.apply(y, target)) / step
        np.testing.assert_allclose(found[0, i], slope, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_kl_divergence_for_a_target_of_0_is_very_negative():
    """It is log T + 1 − Y, so −∞ there: the finite number that stands for it must have its sign."""
    y, target = jnp.log(jnp.array([[0.25, 0.75]])), jnp.array([[0.0, 1.0]])
    found = jax.grad(lambda target: pn.kl_divergence.apply(y, target))(target)
    assert found[0, 0] < -500
    np.testing.assert_allclose(found[0, 1], 1 - y[0, 1], rtol=1e-12)


def test_numpys_own_functions_make_a_layer_that_runs_under_jax():
    layer, x = pn.activation(np.sin, np.cos), jnp.array([0.5, 2.0])
    y, dx = jax.jit(lambda x: (layer.apply((), x), layer.vjp((), x)[1](x)[1]))(x)
    np.testing.assert_allclose(y, np.sin(x), rtol=1e-12)
    np.testing.assert_allclose(dx, x * np.cos(x), rtol=1e-12)
    assert isinstance(layer.apply((), x), jax.Array)
    net = pn.serial(pn.dense(2, 3), pn.activation(np.arctan, lambda x: 1 / (1 + x * x)), pn.dense(1))
    E, _ = jax.jit(pn.value_and_grad(net, pn.mse))(net.init(jax.random.key(0)), x.astype("float32")[None], x[None, :1])
    assert np.isfinite(E)


def test_a_function_that_calls_numpy_is_told_what_to_call_under_jit():
    layer = pn.activation(lambda x: np.sin(x) + 1, np.cos)
    assert isinstance(layer.apply((), jnp.ones(2)), jax.Array)  # eagerly it is computed on NumPy
    with pytest.raises(TypeError, match=r"<lambda> calls NumPy .* those of x.__array_namespace__\(\)"):
        jax.jit(lambda x: layer.apply((), x))(jnp.ones(2))
    neutral = pn.activation(lambda x: x.__array_namespace__().sin(x) + 1, np.cos)
    for x in (np.ones(2), jnp.ones(2)):
        np.testing.assert_allclose(neutral.apply((), x), np.sin(1) + 1, rtol=1e-12)
    jax.jit(lambda x: neutral.apply((), x))(jnp.ones(2))


@pytest.mark.parametrize("layer", [pn.global_avg_pool, pn.global_max_pool], ids=repr)
def test_a_length_that_is_no_length_of_what_is_pooled_gives_nan(layer):
    y = layer.apply((), (jnp.ones((3, 4, 2)), jnp.array([5, -1, 4])))
    assert np.isnan(y).all(axis=1).tolist() == [True, True, False]


def test_a_label_that_is_no_class_has_a_row_of_nan():
    rows = pn.data.one_hot(jnp.array([3, -1, 2]), 3)
    assert np.isnan(rows).all(axis=1).tolist() == [True, True, False]
    assert pn.data.one_hot(jnp.array([3, 2]), 3, np.int32).tolist() == [[0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("loss", [pn.softmax_cross_entropy, pn.nll])
def test_a_mean_over_ignored_labels_alone_is_nan(loss):
    vjp = jax.jit(lambda y, labels: loss(ignore_index=1).vjp(y, labels)[0])
    assert np.isnan(vjp(jnp.ones((2, 3)), jnp.ones(2, int)))
    assert np.isfinite(vjp(jnp.ones((2, 3)), jnp.asarray([1, 0])))
    assert np.isnan(vjp(jnp.ones((2, 3)), jnp.asarray([0, 7])))


def test_a_variance_below_0_gives_nan():
    y = jnp.zeros(2), jnp.asarray([-1.0, 1.0])
    E, pullback = pn.gaussian_nll.vjp(y, jnp.ones(2))
    assert np.isnan(E)
    assert [np.isnan(part).tolist() for part in pullback()] == [[True, False], [True, False]]
