"""Layers and losses of functions of JAX, whose rules are `jax.vjp`."""

from __future__ import annotations

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.cases import normal
from tests.kit import bits

X, TARGET = normal(4, 3), normal(4, 2, seed=1)


def log_cosh(y, target):
    return jnp.log(jnp.cosh(y - target)).mean()


def affine(params, x):
    return jnp.tanh(x @ params["w"] + params["b"])


def begin(key, in_shape):
    return {"w": jax.random.normal(key, (in_shape[-1], 2)), "b": jnp.zeros(2)}


def noisy(scale, x, key):
    return x if key is None else x + scale * jax.random.normal(key, x.shape, x.dtype)


def two(params, x):
    one, ids = x
    return one * params[0], one[ids]


LOSS = pn.from_jax(log_cosh)
LAYER = pn.from_jax(affine, params=begin)
NOISY = pn.from_jax(noisy, params=np.float32(0.5))


@pytest.mark.parametrize("loss", [LOSS, pn.from_jax(jax.jit(log_cosh), name="jitted")], ids=repr)
def test_a_loss_keeps_the_contract_and_is_its_twin(loss):
    pn.testing.check_vjp(loss, X, normal(4, 3, seed=2))
    for dtype in (np.float32, np.float64):
        y, target = X.astype(dtype), normal(4, 3, seed=2)
        (E, pullback), (expected, twin) = loss.vjp(y, target), pn.log_cosh.vjp(y, target)
        assert E.dtype == pullback().dtype == dtype
        assert type(pullback()) is np.ndarray
        np.testing.assert_allclose(E, expected, rtol=8 * np.finfo(dtype).eps)
        np.testing.assert_allclose(pullback(2.0), 2 * twin(), rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("draws", [False, True])
def test_a_layer_keeps_the_contract(draws):
    key = pn.key(3) if draws else None
    pn.testing.check_vjp(LAYER, LAYER.init(pn.key(0), (3,)), X, key)
    pn.testing.check_vjp(NOISY, NOISY.init(pn.key(0)), X, key)
    several = pn.from_jax(two, params=(np.ones(3),))
    pn.testing.check_vjp(several, several.init(pn.key(0)), (X, np.array([3, 0])), key)


def test_a_layer_is_its_twin_in_a_net():
    net, twin = pn.serial(LAYER, pn.dense(2)), pn.serial(pn.dense(3, 2), pn.tanh, pn.dense(2, 2))
    params = pn.tree.cast(net.init(pn.key(0), (3,)), np.float64)
    first = params[0]
    E, grads = pn.value_and_grad(net, LOSS)(params, X, TARGET)
    dense = pn.dense(3, 2).init(pn.key(0))._replace(weight=first["w"], bias=first["b"])
    expected = pn.value_and_grad(twin, pn.log_cosh)((dense, (), params[1]), X, TARGET)
    np.testing.assert_allclose(E, expected[0], rtol=1e-13)
    np.testing.assert_allclose(grads[0]["w"], expected[1][0].weight, rtol=1e-12)
    np.testing.assert_allclose(grads[0]["b"], expected[1][0].bias, rtol=1e-12)
    assert all(type(leaf) is np.ndarray for leaf in pn.tree.leaves((E, grads, LAYER.vjp(first, X)[0])))
    assert net.shape((3,)) == (2,)
    assert LAYER.shape((5, 3)) == (5, 2)
    assert LAYER.shape(None) is LAYER.shape((..., 3)) is None


def test_params_begin_in_float32_and_cannot_be_written_to():
    for layer in (LAYER, pn.from_jax(affine, params={"w": np.ones((3, 2)), "b": jnp.zeros(2)})):
        params = layer.init(pn.key(0), (3,))
        assert {(type(leaf), leaf.dtype.name) for leaf in params.values()} == {(np.ndarray, "float32")}
        with pytest.raises(ValueError, match="read-only"):
            params["w"] += 1
        assert all(isinstance(leaf, jax.Array) for leaf in layer.init(jax.random.key(0), (3,)).values())


def test_a_key_is_the_one_of_the_same_seed():
    drawn = NOISY.apply(np.float64(1), np.zeros(3), pn.key(5))
    np.testing.assert_array_equal(drawn, jax.random.normal(jax.random.key(5), (3,), jnp.float64))


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_net_of_such_is_trained_on_both_engines(engine):
    net = pn.serial(NOISY, LAYER, pn.from_jax(lambda params, x: 3 * x, params=()))
    x, target = X.astype(np.float32), np.tanh(X[:, :2]).astype(np.float32)
    params = net.init(pn.key(0), (3,))
    run = {"key": pn.key(1), "epochs": 60, "batch_size": 4, "engine": engine}
    found = pn.fit(net, LOSS, pn.adam(0.03), params, (x, target), **run)
    trained = pn.to_engine(found.params, "numpy")
    before, after = (pn.evaluate(net, LOSS, each, (x, target))["loss"] for each in (params, trained))
    assert after < 0.5 * before


def test_under_jit_grad_and_vmap():
    params = pn.tree.cast(LAYER.init(pn.key(0), (3,)), np.float64)
    evaluate = pn.value_and_grad(LAYER, LOSS)
    expected = evaluate(params, X, TARGET)
    for params_there in (params, pn.to_engine(params, "jax")):
        found = jax.jit(evaluate)(params_there, X, TARGET)
        for a, b in zip(pn.tree.leaves(found), pn.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)
    by_grad = jax.grad(lambda params: LOSS.apply(LAYER.apply(params, X), TARGET))(params)
    np.testing.assert_allclose(by_grad["w"], expected[1]["w"], rtol=1e-13)
    each = jax.vmap(lambda x, t: evaluate(params, x[None], t[None])[0])(X, TARGET)
    np.testing.assert_allclose(each.mean(), expected[0], rtol=1e-13)
    dy = jax.jit(lambda dE: LOSS.vjp(X, X + 1)[1](dE))(2.0)  # NumPy's y, with a dE that is traced
    np.testing.assert_allclose(dy, LOSS.vjp(X, X + 1)[1](2.0), rtol=1e-13)


def test_it_is_pickled_where_its_function_is():
    for value in (LOSS, LAYER, NOISY):
        again = pickle.loads(pickle.dumps(value))
        assert again.name == value.name
    assert pickle.loads(pickle.dumps(LAYER)) == LAYER
    assert pickle.loads(pickle.dumps(LOSS)) == LOSS == pn.from_jax(log_cosh)
    assert bits(pickle.loads(pickle.dumps(LOSS)).apply(X, X + 1)) == bits(LOSS.apply(X, X + 1))
    assert repr(LOSS) == "from_jax(log_cosh)"
    assert repr(LAYER) == "from_jax(affine, params=...)"


def test_of_several_outputs_one_may_have_no_gradient():
    layer = pn.from_jax(lambda params, x: (x * 2, x * x), params=())
    _, pullback = layer.vjp((), X)
    np.testing.assert_array_equal(pullback((X, None))[1], 2 * X)
    assert pullback((X, X), wrt_x=False) == ((), None)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pn.from_jax(pn.tanh), TypeError, "from_jax takes a function of JAX, not a"),
        (lambda: pn.from_jax("tanh"), TypeError, "a function of JAX, not a str"),
        (lambda: pn.from_jax(lambda x: x), TypeError, r"f\(y, target\), but this one takes 1: of a layer"),
        (lambda: pn.from_jax(noisy), TypeError, "this one takes 3: of a layer, say how its params begin, params="),
        (lambda: pn.from_jax(lambda x: x, params=()), TypeError, r"x, key\), but this one takes 1$"),
        (lambda: pn.from_jax(lambda y, t: y - t).apply(X, X), ValueError, r"\(lambda\): .* must give one number"),
        (lambda: LAYER.vjp(LAYER.init(pn.key(0), (3,)), np.float32(X))[1](X), ValueError, r"jax\(affine, params"),
        (lambda: LOSS.apply(torch_of(X), torch_of(X)), TypeError, "on arrays of NumPy and JAX, not on a"),
    ],
)  # fmt: skip
def test_bad_input_says_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()


def torch_of(x):
    return pn.to_engine(x, "torch")


def test_float64_where_jax_has_none_is_refused():
    with jax.enable_x64(False), pytest.raises(TypeError, match="JAX has no float64 as it is set"):
        LOSS.apply(X, X)


def test_a_target_of_float64_goes_with_a_y_of_float32():
    with jax.enable_x64(False):
        assert LOSS.apply(np.float32(X), X + 1).dtype == np.float32
