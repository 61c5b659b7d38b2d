"""Nets with buffers, trained by others: Optax, and JAX's own gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import purenet as pn
from tests.test_buffers import NET, PARAMS, accuracy, trained

OPTAX = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(3e-3))
OURS = pn.chain(pn.clip_by_global_norm(1.0), pn.adamw(3e-3))


@pytest.fixture(scope="module")
def reference():
    return accuracy(trained(jax.jit(OURS.step), state=OURS.init(PARAMS)))


def test_optax_that_knows_of_no_buffers_trains_a_net_with_batch_norm_and_frozen(reference):
    @jax.jit
    def step(params, grads, state):
        updates, state = OPTAX.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params = trained(step, state=OPTAX.init(PARAMS))
    assert accuracy(params) > max(0.95, reference - 0.01)
    assert params[3].variance.value.min() > 0


def test_optax_as_the_front_page_has_it(reference):
    is_trained = lambda params: pn.tree.map(lambda p: type(p) is not pn.Buffer, params, leaf_type=pn.Buffer)  # noqa: E731
    optimizer = optax.masked(OPTAX, is_trained)

    @jax.jit
    def step(params, grads, state):
        updates, state = optimizer.update(grads, state, params)
        return pn.update(lambda p, u: p + u, params, updates), state

    params = trained(step, state=optimizer.init(PARAMS))
    assert accuracy(params) > max(0.95, reference - 0.01)
    assert pn.tree.allclose(params[0], PARAMS[0], 0, 0)
    ours = trained(jax.jit(OURS.step), state=OURS.init(PARAMS), epochs=1)
    once = trained(step, state=optimizer.init(PARAMS), epochs=1)
    np.testing.assert_allclose(once[3].mean.value, ours[3].mean.value, rtol=0.1, atol=0.05)


def test_gradients_by_jax_leave_buffers_alone(reference):
    """In training their gradient is 0; a pass of our rules at a rate of 0 then moves them alone."""

    def evaluate(params, x, target, key):
        def loss(params):
            return pn.softmax_cross_entropy.apply(NET.apply(params, x, key), target)

        return jax.value_and_grad(loss)(params)

    optimizer, compiled = pn.adam(3e-3), jax.jit(evaluate)
    params = trained(
        jax.jit(optimizer.step),
        state=optimizer.init(PARAMS),
        evaluate=lambda p, x, t, key: compiled(p, x, t, jax.random.key(0)),
    )
    for i in (0, 3):
        held, first = (
            pn.tree.map(lambda p: p if type(p) is pn.Buffer else (), each[i], leaf_type=pn.Buffer)
            for each in (params, PARAMS)
        )
        assert pn.tree.allclose(held, first, 0, 0)
    assert accuracy(trained(lambda p, g, _: (pn.sgd_step(p, g, lr=0.0), None), params, epochs=1)) > max(
        0.95, reference - 0.01
    )


def shifted():
    """A layer of one's own with a buffer: y = x − b."""

    def rule(ops, b, x, key):
        return x - b.value, lambda dy, wrt_x: (pn.Buffer(ops.no_step(b.value)), dy)

    params, init = pn.Buffer("n"), pn.Buffer(pn.initializers.ones)
    return pn.layer(pn.Spec("shifted", x="... n", y="... n", params=params, init=init), rule)


@pytest.mark.parametrize("asarray", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    "layer",
    [
        pn.batch_norm,
        pn.frozen(pn.dense(3, 3)),
        pn.serial(pn.frozen(pn.batch_norm), pn.tanh),
        pn.map_time(pn.frozen(pn.dense(3, 3))),
        shifted(),
    ],
    ids=repr,
)
def test_in_inference_too_their_gradient_by_jax_is_0(layer, asarray):
    x = asarray(np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32))
    params = layer.init(pn.key(0), (2, 3))
    y, pull = jax.vjp(lambda params: layer.apply(params, x), params)
    (grads,) = pull(jnp.ones_like(y))
    held = [p for p in pn.tree.leaves(grads, leaf_type=pn.Buffer) if type(p) is pn.Buffer]
    assert held
    assert not any(leaf.any() for leaf in pn.tree.leaves(held))
    in_float = jax.vjp(lambda x: layer.apply(params, x), jnp.asarray(x))[1](jnp.ones_like(y))[0]
    assert in_float.any()
