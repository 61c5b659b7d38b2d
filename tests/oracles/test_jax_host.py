"""What JAX users may get wrong: host-only functions inside jit, float64 without x64; and what they need not ask for."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.oracles.test_jax_engine import agree

x, target, labels = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32), np.array([0, 1, 1, 0])
net = pn.dense(2, 1)
params = net.init(pn.key(0))
data = (x, target)

HOST = {
    "save": lambda x: pn.save("never.npz", (x,)),
    "load": lambda x: pn.load("never.npz"),
    "to_dict": lambda x: pn.to_dict((x,)),
    "from_dict": lambda x: pn.from_dict({"leaf": x}, like=x),
    "to_torch_state_dict": lambda x: pn.to_torch_state_dict(params._replace(weight=x)),
    "from_torch_state_dict": lambda x: pn.from_torch_state_dict({"weight": x}, like=params),
    "mnist": lambda x: pn.data.mnist(),
    "standardize.fit": lambda x: pn.data.standardize.fit(x),
    "split, to stratify,": lambda x: pn.data.split(None, x, stratify=x[:, 0]),
    "drawing": lambda x: pn.plotting.error_curve(x[:, 0]),
    "summary": lambda x: pn.summary(net),
    "train": lambda x: pn.train(net, pn.mse, pn.sgd(), params, [data], key=None),
    "fit": lambda x: pn.fit(net, pn.mse, pn.sgd(), params._replace(weight=x), data, key=None, epochs=1),
    "evaluate": lambda x: pn.evaluate(net, pn.mse, params, data),
    "check_vjp": lambda x: pn.testing.check_vjp(net, params, x),
    "allclose": lambda x: pn.tree.allclose(x, x),
    "accuracy": lambda x: pn.metrics.accuracy(x, labels),
    "top_k_accuracy": lambda x: pn.metrics.top_k_accuracy(x, labels, k=1),
    "f1": lambda x: pn.metrics.f1(x, labels),
    "mean_squared_error": lambda x: pn.metrics.mean_squared_error(x, x),
    "r2": lambda x: pn.metrics.r2(x, x),
    "perplexity": lambda x: pn.metrics.perplexity(x, labels),
}


@pytest.mark.parametrize("name", HOST)
@pytest.mark.parametrize("trace", [jax.jit, jax.checkpoint], ids=["jit", "checkpoint"])
def test_a_host_only_function_inside_jit_says_so(name, trace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match=f"^{name} works with numbers that are known, .* call it outside jit"):
        trace(HOST[name])(x)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["save", "to_dict", "accuracy", "r2", "allclose", "check_vjp"])
def test_under_vmap_and_grad_alone_too(name):
    with pytest.raises(TypeError, match="call it outside jit"):
        jax.vmap(HOST[name])(x[None])
    with pytest.raises(TypeError, match="call it outside jit"):
        jax.grad(HOST[name])(x)


def test_what_works_inside_jit():
    """Data are cut, labels made one-hot and outputs predicted in batches by shapes alone."""

    @jax.jit
    def run(x, labels, key):
        (first, last) = pn.data.batches(key, x, size=2)
        (train, _), (test, _) = pn.data.split(key, x, labels, test=2)
        return (*first, *last), (train, test), pn.data.one_hot(labels, 2), pn.predict(net, params, x, batch_size=3)

    numbered = np.arange(8, dtype=np.float32).reshape(4, 2)
    batches, parts, hot, y = run(numbered, labels, jax.random.key(0))
    for pieces in (batches, parts):
        assert sorted(np.concatenate(pieces)[:, 0].tolist()) == [0, 2, 4, 6]
    assert hot.tolist() == np.eye(2)[labels].tolist()
    agree(net.apply(params, numbered), y, np.float32, "y")


def test_float64_without_x64_is_said():
    """JAX by itself makes float32 of it, with a warning at most."""
    with jax.enable_x64(False):
        in_jax, key = pn.tree.map(jnp.asarray, params), jax.random.key(0)
        wide, wide_x = pn.tree.cast(params, np.float64), x.astype(np.float64)
        for narrow in (
            lambda: pn.tree.cast(in_jax, np.float64),
            lambda: pn.data.one_hot(jnp.asarray(labels), 2, np.float64),
            lambda: pn.random.normal(key, (2,), np.float64),
            lambda: pn.random.uniform(key, (2,), dtype=np.float64),
            lambda: pn.initializers.normal()(key, (2, 2), np.float64),
            lambda: pn.mse.apply(wide_x, jnp.asarray(x)),
        ):
            with pytest.raises(TypeError, match=r"JAX has no float64 as it is set.*jax_enable_x64"):
                narrow()
        for mixed in (
            lambda: net.apply(in_jax, wide_x),
            lambda: net.apply(wide, jnp.asarray(x)),
            lambda: jax.jit(lambda x: net.apply(wide, x))(wide_x),  # jit has made x float32 before it came here
        ):
            with pytest.raises(TypeError, match=r"params, but x is"):
                mixed()
        with pytest.raises(TypeError, match="float64"):
            pn.embedding(3, 2).apply(pn.tree.cast(pn.embedding(3, 2).init(pn.key(0)), np.float64), jnp.asarray(labels))
        # what is float32 needs no float64 on the way
        state = pn.chain(pn.polyak(), pn.adam(pn.schedules.cosine(0.1, 5))).init(in_jax)
        assert {leaf.dtype.itemsize for leaf in pn.tree.leaves(state)} == {4}
        for layer in (pn.lstm(2, 3), pn.multi_head_attention(2, 1), pn.conv(2, 3, (2,))):
            weights = layer.init(key)
            y, pullback = layer.vjp(weights, jnp.ones((2, 4, 2)))
            assert {leaf.dtype for leaf in pn.tree.leaves((y, pullback(y)))} == {np.dtype(np.float32)}


def test_device_put_is_enough():
    """Params, an optimizer's state and buffers are pytrees that JAX knows: nothing of ours is needed to move them."""
    bn = pn.serial(pn.dense(2, 3), pn.batch_norm, pn.frozen(pn.dense(1)))
    tree = bn.init(pn.key(0))
    tree = (tree, pn.chain(pn.ema(), pn.adam()).init(tree))
    where = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    moved = jax.device_put(tree, where)
    assert jax.tree.structure(moved) == jax.tree.structure(tree)
    assert all(leaf.sharding == where for leaf in pn.tree.leaves(moved))
    agree(tree, moved, np.float32, "params")


def test_jax_is_not_imported_before_it_is_used():
    """Training, files and a summary on NumPy leave JAX alone."""
    code = (
        "import sys, numpy as np, purenet as pn; x = np.ones((4, 2), np.float32);"
        "net = pn.serial(pn.dense(2, 2), pn.dropout);"
        "pn.fit(net, pn.mse, pn.adam(), net.init(pn.key(0)), (x, x), key=pn.key(1), epochs=1); pn.summary(net);"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_check_vjp_of_a_layer_of_jax_functions_without_x64_says_so():
    def vjp(params, x, key=None):
        y = jax.numpy.tanh(x)
        return y, lambda dy, wrt_x=True: ((), dy * (1 - y * y) if wrt_x else None)

    layer = pn.Layer(lambda key, in_shape=None: (), lambda p, x, key=None: vjp(p, x)[0], vjp, lambda s: s, "by_jax")
    point = np.array([[0.5, -2.0]])
    pn.testing.check_vjp(layer, (), point)
    with jax.enable_x64(False):
        with pytest.raises(AssertionError, match=r"by_jax: y is float32 for float64 arguments.*'jax_enable_x64', True"):
            pn.testing.check_vjp(layer, (), point)
        backwards = pn.tanh._replace(vjp=lambda p, x, key=None: (np.tanh(x), vjp(p, x)[1]))
        with pytest.raises(AssertionError, match=r"tanh: dx is float32 for float64 arguments.*'jax_enable_x64', True"):
            pn.testing.check_vjp(backwards._replace(apply=lambda p, x, key=None: np.tanh(x)), (), point)
