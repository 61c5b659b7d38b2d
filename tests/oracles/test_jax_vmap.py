"""For every layer: each example by itself by jax.vmap of our rule, and params of one engine with x of the other."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.oracles.test_jax_engine import ONE_EACH, agree, draws, is_float, some_dy, to_jax

# with a key, batch norm needs a batch, and the others draw: `test_jax_keys` has these
INFERENCE = [(name, case) for name, case in ONE_EACH if case.key is None]
TRAINED = [(name, case) for name, case in ONE_EACH if pn.tree.leaves(case.params) and not draws(case)]


def test_all_are_here():
    assert {name for name, _ in INFERENCE} == {name for name, _ in LAYER_CASES}


def one(tree, i=None):
    """An example as a batch of one."""
    return pn.tree.map(lambda leaf: leaf[None] if i is None else leaf[i : i + 1], tree)


@pytest.mark.parametrize(("name", "case"), INFERENCE, ids=map(layer_id, INFERENCE))
def test_gradients_of_each_example(name, case):
    """dE/dparams and dE/dX of each example by vmap are those of a loop on NumPy."""
    params = case.params
    dy = some_dy(case.layer.apply(params, case.x))

    @jax.jit
    def each(x, dy):
        def rule(x, dy):
            y, pullback = case.layer.vjp(params, one(x), None)
            return y, pullback(one(dy))

        return jax.vmap(rule)(x, dy)

    found = each(case.x, dy)
    batch = pn.tree.leaves(case.x)[0].shape[0]
    apart = []
    for i in range(batch):
        y, pullback = case.layer.vjp(params, one(case.x, i))
        apart.append((y, pullback(one(dy, i))))
    agree(pn.tree.map(lambda *leaves: np.stack(leaves), *apart), found, np.float64, name)


@pytest.mark.parametrize(("name", "case"), LOSS_CASES, ids=map(loss_id, LOSS_CASES))
def test_losses_of_each_example(name, case):
    def rule(y, target):
        E, pullback = case.loss.vjp(*pn.tree.map(lambda leaf: leaf[None], (y, target)))
        return E, pullback()

    found = jax.jit(jax.vmap(rule))(case.y, case.target)
    batch = len(pn.tree.leaves(case.y)[0])
    examples = [one((case.y, case.target), i) for i in range(batch)]
    apart = [rule(*pn.tree.map(lambda leaf: leaf[0], example)) for example in examples]
    agree(pn.tree.map(lambda *leaves: np.stack(leaves), *apart), found, np.float64, name)


@pytest.mark.parametrize(("name", "case"), TRAINED, ids=map(layer_id, TRAINED))
def test_params_of_one_engine_and_x_of_the_other(name, case):
    """What is not traced in a compiled function is NumPy's: params (predicting), or x (training on all of it)."""
    own = case.params
    y, pullback = case.layer.vjp(own, case.x, case.key)
    gradients = pullback(y)

    def run(params, x):
        y, pullback = case.layer.vjp(params, x, case.key)
        return y, pullback(y)

    floats = pn.tree.map(lambda leaf: jnp.asarray(leaf) if is_float(leaf) else leaf, case.x)
    both = jax.jit(lambda params, x: (run(params, case.x), run(own, x)))
    for found in both(own, floats):
        agree((y, gradients), found, np.float64, name)


WITHOUT = [(name, case) for name, case in INFERENCE if not pn.tree.leaves(case.params)]


@pytest.mark.parametrize(("name", "case"), WITHOUT, ids=map(layer_id, WITHOUT))
def test_a_traced_gradient_comes_back_to_an_x_of_numpy(name, case):
    """A layer without params before those that are trained: its x is NumPy's, dE/dY is traced."""
    y, pullback = case.layer.vjp(case.params, case.x)
    agree(pullback(y), jax.jit(pullback)(to_jax(y)), np.float64, name)


@pytest.mark.parametrize("optimizer", [pn.sgd(0.1), pn.adam(0.1), pn.lamb(0.1), pn.muon(0.1)], ids=repr)
def test_params_of_numpy_and_gradients_of_jax(optimizer):
    params = pn.tree.cast(pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1)).init(pn.key(0)), np.float64)
    grads = pn.tree.map(np.cos, params)
    ours, _ = optimizer.step(params, grads, optimizer.init(params))
    for step in (optimizer.step, jax.jit(lambda p, g, s: optimizer.step(params, g, s))):
        new, state = step(params, to_jax(grads), optimizer.init(params))
        agree(ours, new, np.float64, "params")
        assert all(isinstance(leaf, jax.Array) for leaf in pn.tree.leaves(new))
        optimizer.step(new, grads, state)  # and gradients of NumPy for params of JAX


@pytest.mark.parametrize("optimizer", [pn.sgd(0.1), pn.sgd(0.1, momentum=0.9), pn.adam(0.1)], ids=repr)
def test_an_array_of_numpy_and_its_gradient_of_jax(optimizer):
    p = pn.random.normal(pn.key(0), (3, 2))
    ours, _ = optimizer.step(p, np.cos(p), optimizer.init(p))
    new, state = optimizer.step(p, to_jax(np.cos(p)), optimizer.init(p))
    agree(ours, new, np.float32, "params")
    assert all(isinstance(leaf, jax.Array) for leaf in (new, *state.slots.values()))


def test_a_step_on_data_that_is_closed_over():
    """The usual way to train on all of a small set: params are arguments, x and target are NumPy's constants."""
    x, target = np.eye(4, 2, dtype=np.float32), np.ones((4, 1), np.float32)
    net = pn.serial(pn.tanh, pn.leaky_relu, pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
    params = net.init(pn.key(0))
    evaluate = pn.value_and_grad(net, pn.mse)
    step = jax.jit(lambda params: pn.sgd_step(params, evaluate(params, x, target)[1], lr=0.1))
    agree(pn.sgd_step(params, evaluate(params, x, target)[1], lr=0.1), step(params), np.float32, "params")
    only_target = jax.jit(lambda target: evaluate(params, x, target)[0])
    agree(evaluate(params, x, target)[0], only_target(target), np.float32, "E")


CHAINS = [
    pn.serial(pn.dense(5, 4), pn.tanh),
    pn.serial(pn.dense(5, 4), pn.relu, pn.dense(4, 3), pn.sigmoid),
    pn.serial(pn.tanh, pn.dense(5, 4)),
]


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("net", CHAINS, ids=str)
def test_the_gradient_of_a_chain_where_params_or_x_are_of_jax(net, traced):
    """What comes out is JAX's, by the layers' own rules: only where all is NumPy's do they go in one go."""
    params, x = net.init(pn.key(0)), pn.random.normal(pn.key(1), (6, 5))
    target = net.apply(params, x) + 1
    evaluate = pn.value_and_grad(net, pn.mse)
    expected = evaluate(params, x, target)
    for given in ((to_jax(params), x), (params, to_jax(x)), (to_jax(params), to_jax(x))):
        run = (lambda *given: jax.jit(evaluate)(*given, target)) if traced else lambda *given: evaluate(*given, target)
        found = run(*given)
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(found))
        agree(found, expected, np.float32, "the gradient of a chain")
    closed = jax.jit(lambda params: evaluate(params, x, target))(to_jax(params))
    agree(closed, expected, np.float32, "the gradient of a chain")


TOO_FEW = {  # under vmap an example has no batch axis
    "layer_norm": (pn.layer_norm, (3,), "(batch, ..., 3)"),
    "batch_norm": (pn.batch_norm, (3,), "(batch, ..., 3)"),
    "conv": (pn.conv(1, 2, 3), (8, 7, 1), "(batch, height, width, 1)"),
    "conv_transpose": (pn.conv_transpose(1, 2, 3), (8, 7, 1), "(batch, height, width, 1)"),
    "max_pool": (pn.max_pool(2), (8, 7, 1), "(batch, height, width, channels)"),
    "lstm": (pn.lstm(2, 3), (5, 2), "(batch, time, 2)"),
    "multi_head_attention": (pn.multi_head_attention(4, 2), (5, 4), "(batch, time, 4)"),
    "serial": (pn.serial(pn.conv(1, 2, 3), pn.flatten, pn.dense(2)), (8, 7, 1), "(batch, height, width, 1)"),
}


@pytest.mark.parametrize("name", TOO_FEW)
def test_an_example_without_its_batch_axis_is_told_both_shapes(name):
    layer, shape, wanted = TOO_FEW[name]
    params, x = layer.init(pn.key(0), shape), jnp.zeros((5, *shape), jnp.float32)
    target = jnp.zeros(5, int)
    gradient = pn.value_and_grad(layer, pn.softmax_cross_entropy)
    for run in (
        lambda x, t: layer.apply(params, x),
        lambda x, t: layer.vjp(params, x)[0],
        lambda x, t: gradient(params, x, t),
    ):
        for way in (jax.vmap(run), jax.jit(jax.vmap(run))):
            with pytest.raises(ValueError, match="one example") as error:
                way(x, target)
            assert f"takes x of shape {wanted}, but x has shape {shape}" in str(error.value)
            assert "x[None]" in str(error.value)


def test_batch_norm_in_training_says_how_many_examples_it_was_given():
    params = pn.batch_norm.init(pn.key(0), (3,))
    with pytest.raises(ValueError, match=r"more than one value for each channel.* x has shape \(1, 3\)"):
        jax.vmap(lambda x: pn.batch_norm.apply(params, x[None], jax.random.key(0)))(jnp.zeros((4, 3), jnp.float32))


@pytest.mark.parametrize(
    "net", [pn.serial(pn.conv(2, 3), pn.relu, pn.flatten, pn.layer_norm, pn.dense(3)), pn.dense(3)]
)
def test_the_gradient_of_each_example_is_that_of_a_batch_of_one(net):
    """As the docs of `purenet.examples.compiled` show it."""
    shape = (6, 6, 1) if net.parts else (4,)
    x, target = pn.random.normal(pn.key(1), (5, *shape)), np.array([0, 2, 1, 1, 0])
    params, evaluate = net.init(pn.key(0), shape), pn.value_and_grad(net, pn.softmax_cross_entropy)
    found = jax.vmap(lambda x, t: evaluate(params, x[None], t[None]))(x, target)
    apart = [evaluate(params, x[i : i + 1], target[i : i + 1]) for i in range(5)]
    agree(pn.tree.map(lambda *leaves: np.stack(leaves), *apart), found, np.float32, "each example")
