"""The loop, batches, files and predictions on JAX's arrays and keys."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.kit import noise, sgd

x = pn.random.normal(pn.key(3), (10, 2))
target = x[:, :1] * x[:, 1:]
net = pn.serial(pn.dense(2, 8), pn.tanh, pn.dense(8, 1))
params = net.init(pn.key(0))
params_jax = pn.tree.map(jnp.asarray, params)


def run(params, x, target, key):
    batches = lambda key: pn.data.batches(key, x, target, size=4)  # noqa: E731
    return list(pn.train(net, pn.mse, sgd(0.1), params, batches, key=key, epochs=3))


def test_the_loop_gives_the_same_on_both_engines():
    ours, theirs = run(params, x, target, None), run(params_jax, jnp.asarray(x), jnp.asarray(target), None)
    assert [s.step for s in ours] == [s.step for s in theirs]
    assert isinstance(theirs[-1].params[0].weight, jax.Array)
    assert pn.tree.allclose(theirs[-1].params, ours[-1].params, rtol=1e-4, atol=1e-6)


def test_keys_of_jax():
    random_net = pn.serial(pn.dense(2, 8), noise(0.1), pn.dense(8, 1))
    weights = pn.tree.map(jnp.asarray, random_net.init(pn.key(0)))

    def end(seed):
        batches = lambda key: pn.data.batches(key, jnp.asarray(x), jnp.asarray(target), size=4)  # noqa: E731
        run = pn.train(random_net, pn.mse, sgd(0.1), weights, batches, key=jax.random.key(seed), epochs=2)
        return np.asarray(list(run)[-1].params[0].weight)

    assert np.array_equal(end(0), end(0))
    assert not np.array_equal(end(0), end(1))


def test_predict_and_evaluate():
    y = pn.predict(net, params_jax, jnp.asarray(x), batch_size=3)
    assert isinstance(y, jax.Array)
    assert np.allclose(y, net.apply(params, x), rtol=1e-5, atol=1e-6)
    found = pn.evaluate(net, pn.mse, params_jax, (jnp.asarray(x), jnp.asarray(target)), [pn.metrics.r2], batch_size=3)
    ours = pn.evaluate(net, pn.mse, params, (x, target), [pn.metrics.r2])
    assert found == {name: pytest.approx(value, rel=1e-4) for name, value in ours.items()}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_files(suffix, tmp_path):
    pn.save(tmp_path / f"a{suffix}", params_jax)
    back = pn.load(tmp_path / f"a{suffix}", like=params_jax)
    assert isinstance(back[0].weight, jax.Array)
    assert np.array_equal(back[0].weight, params[0].weight)


def test_what_prepares_data():
    labels = jnp.asarray([0, 2])
    assert pn.data.one_hot(labels, 3).tolist() == [[1, 0, 0], [0, 0, 1]]
    moments = pn.data.standardize.fit(jnp.asarray(x))
    z = pn.data.standardize.apply(moments, jnp.asarray(x))
    assert np.allclose(z, (x - x.mean(axis=0)) / x.std(axis=0), rtol=1e-4, atol=1e-5)
    (train,), (test,) = pn.data.split(pn.key(0), jnp.arange(10), test=3)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(10))
