"""Half precision under JAX, float16 and bfloat16: every layer, loss and optimizer against float32 on NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.kit import cast
from tests.oracles.test_jax_engine import ONE_EACH
from tests.test_half import OPTIMIZERS, cosines

each_layer = pytest.mark.parametrize("case", [case for _, case in ONE_EACH], ids=map(layer_id, ONE_EACH))
each_loss = pytest.mark.parametrize("case", [case for _, case in LOSS_CASES], ids=map(loss_id, LOSS_CASES))
each_half = pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])


def halved(tree, dtype):
    return pn.tree.map(lambda leaf: jnp.asarray(leaf, dtype if leaf.dtype.kind == "f" else None), tree)


def full(tree):
    """The same numbers in float32 on NumPy."""
    return pn.tree.map(lambda leaf: np.asarray(leaf.astype(jnp.float32) if leaf.dtype.itemsize == 2 else leaf), tree)


def close(half, exact, dtype, digits):
    largest = max((np.abs(leaf).max(initial=0.1) for leaf in pn.tree.leaves(exact)), default=0)
    for a, b in zip(pn.tree.leaves(half), pn.tree.leaves(exact), strict=True):
        if b.dtype == np.float32:
            assert a.dtype == dtype
            atol = digits * float(jnp.finfo(dtype).eps) * largest
            np.testing.assert_allclose(np.asarray(a, np.float32), b, rtol=0, atol=atol)


@each_half
@each_layer
def test_layers(case, dtype):
    params, x = halved((case.params, case.x), dtype)
    y, pullback = case.layer.vjp(params, x, case.key)
    exact, pull_exact = case.layer.vjp(*full((params, x)), case.key)
    dy = cosines(exact)
    close(y, exact, dtype, 8)
    close(pullback(halved(dy, dtype)), pull_exact(full(halved(dy, dtype))), dtype, 32)


@each_half
@each_loss
def test_losses(case, dtype):
    y, target = halved(case.y, dtype), jnp.asarray(case.target)
    E, pullback = case.loss.vjp(y, target)
    exact, pull_exact = case.loss.vjp(full(y), np.asarray(target))
    close((E, pullback()), (exact, pull_exact()), dtype, 2)


@each_half
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_optimizers_step_in_float32(optimizer, dtype):
    params = (jnp.linspace(-1, 1, 12).reshape(3, 4).astype(dtype), jnp.full(3, 0.5, dtype))
    grads = (jnp.geomspace(1e-6, 1, 12).reshape(3, 4).astype(dtype), jnp.zeros(3, dtype))
    state = optimizer.init(params)
    assert not any(leaf.dtype == dtype for leaf in pn.tree.leaves(state))
    for step in (optimizer.step, jax.jit(optimizer.step)):
        found, _ = step(params, grads, state)
        exact, _ = optimizer.step(full(params), full(grads), optimizer.init(full(params)))
        close(found, exact, dtype, 1)


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
