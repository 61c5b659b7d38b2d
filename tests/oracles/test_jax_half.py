"""Half precision under JAX: every layer, loss and optimizer in bfloat16 against float32 on NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.kit import cast
from tests.test_half import OPTIMIZERS, cosines

ONE_EACH = list({name: (name, case) for name, case in reversed(LAYER_CASES)}.values())
each_layer = pytest.mark.parametrize("case", [case for _, case in ONE_EACH], ids=map(layer_id, ONE_EACH))
each_loss = pytest.mark.parametrize("case", [case for _, case in LOSS_CASES], ids=map(loss_id, LOSS_CASES))
HALF, EPS = jnp.bfloat16, 2.0**-7


def halved(tree):
    return pn.tree.map(lambda leaf: jnp.asarray(leaf, HALF if leaf.dtype.kind == "f" else None), tree)


def full(tree):
    """The same numbers in float32 on NumPy."""
    return pn.tree.map(lambda leaf: np.asarray(leaf.astype(jnp.float32) if leaf.dtype.itemsize == 2 else leaf), tree)


def close(half, exact, digits):
    largest = max((np.abs(leaf).max(initial=0.1) for leaf in pn.tree.leaves(exact)), default=0)
    for a, b in zip(pn.tree.leaves(half), pn.tree.leaves(exact), strict=True):
        if b.dtype == np.float32:
            assert a.dtype == HALF
            atol = digits * EPS * largest
            np.testing.assert_allclose(np.asarray(a, np.float32), b, rtol=0, atol=atol)


@each_layer
def test_layers(case):
    params, x = halved((case.params, case.x))
    y, pullback = case.layer.vjp(params, x, case.key)
    exact, pull_exact = case.layer.vjp(*full((params, x)), case.key)
    dy = cosines(exact)
    close(y, exact, 8)
    close(pullback(halved(dy)), pull_exact(full(halved(dy))), 32)


@each_loss
def test_losses(case):
    y, target = halved(case.y), pn.tree.map(jnp.asarray, case.target)
    E, pullback = case.loss.vjp(y, target)
    exact, pull_exact = case.loss.vjp(full(y), pn.tree.map(np.asarray, target))
    close((E, pullback()), (exact, pull_exact()), 2)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_optimizers_step_in_float32(optimizer):
    params = (jnp.linspace(-1, 1, 12).reshape(3, 4).astype(HALF), jnp.full(3, 0.5, HALF))
    grads = (jnp.geomspace(1e-6, 1, 12).reshape(3, 4).astype(HALF), jnp.zeros(3, HALF))
    state = optimizer.init(params)
    assert not any(leaf.dtype == HALF for leaf in pn.tree.leaves(state))
    found, _ = jax.jit(optimizer.step)(params, grads, state)
    exact, _ = optimizer.step(full(params), full(grads), optimizer.init(full(params)))
    close(found, exact, 1)


def test_numpys_arrays_of_bfloat16_are_refused_and_can_be_cast():
    x = np.ones((2, 3), ml_dtypes.bfloat16)
    for layer in (pn.relu, pn.dense(3, 2)):
        with pytest.raises(TypeError, match=r"not on a bfloat16 array of shape \(2, 3\): write x.astype\(np.float32\)"):
            layer.apply(cast(layer.init(pn.key(0)), np.float32), x)
    with pytest.raises(TypeError, match=r"mse's y computes in floating point, not on a bfloat16 array"):
        pn.mse.apply(x, x)
    params = pn.tree.cast(pn.dense(3, 2).init(pn.key(0)), jnp.bfloat16)
    assert pn.tree.cast(params, np.float32).weight.dtype == np.float32
    assert pn.dense(3, 2).apply(params, jnp.asarray(x)).dtype == jnp.bfloat16
