"""Half precision: layers, losses and optimizers in float16, against what they give in float32 for the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.kit import bits, cast
from tests.test_numerics import ACTIVATIONS

each_layer = pytest.mark.parametrize("case", [case for _, case in LAYER_CASES], ids=map(layer_id, LAYER_CASES))
each_loss = pytest.mark.parametrize("case", [case for _, case in LOSS_CASES], ids=map(loss_id, LOSS_CASES))


def halved(tree):
    """Writable copies in float16."""
    return cast(tree, np.float16)


def close(half, full, digits):
    """The same to `digits` times the spacing of float16, beside the largest number (an array may cancel to 0)."""
    largest = max((np.abs(leaf).max(initial=0) for leaf in pn.tree.leaves(full)), default=0.0)
    largest = max(largest, 0.1)  # of dE/dY it is 1
    for a, b in zip(pn.tree.leaves(half), pn.tree.leaves(full), strict=True):
        if b.dtype == np.float32:
            assert a.dtype == np.float16
            np.testing.assert_allclose(a, b, rtol=0, atol=digits * 2.0**-11 * largest)


def cosines(y):
    return pn.tree.map(lambda leaf: np.cos(np.arange(leaf.size)).reshape(leaf.shape).astype(leaf.dtype), y)


@each_layer
def test_layers(case):
    params, x = halved((case.params, case.x))
    y, pullback = case.layer.vjp(params, x, case.key)
    exact, pull_exact = case.layer.vjp(cast(params, np.float32), cast(x, np.float32), case.key)
    dy = cosines(y)
    close(y, exact, 16)
    close(pullback(dy), pull_exact(cast(dy, np.float32)), 64)
    close(case.layer.apply(params, x, case.key), exact, 16)


@each_loss
def test_losses(case):
    y, target = halved((case.y, case.target))
    E, pullback = case.loss.vjp(y, target)
    exact, pull_exact = case.loss.vjp(cast(y, np.float32), target)
    assert E.dtype == np.float16
    close((E, pullback()), (exact, pull_exact()), 2)
    assert bits(case.loss.apply(y, target)) == bits(E)


def test_what_float16_cannot_sum_it_can_have_the_mean_of():
    y = np.full((70_000, 2), 8, np.float16)
    for loss in (pn.mse, pn.mae):
        E, pullback = loss.vjp(y, y - np.float16(2))
        assert float(E) == (4 if loss is pn.mse else 2)
        assert (pullback(dE=4096.0) > 0).all()  # of a loss that is scaled up
    assert (pn.global_avg_pool.apply((), y[None]) == 8).all()
    assert (pn.avg_pool(2).apply((), np.full((1, 2, 2, 1), 60_000, np.float16)) == 60_000).all()
    far = np.array([[300, -300], [900, 300]], np.float16)  # whose squares are infinite
    for layer in (pn.layer_norm, pn.rms_norm, pn.group_norm(1), pn.batch_norm):
        params = layer.init(pn.key(0), (2,))
        key = pn.key(1) if layer is pn.batch_norm else None
        close(layer.apply(halved(params), far, key), layer.apply(params, far.astype(np.float32), key), 2)
    penalty, _ = pn.l2(0.001).add((np.full((300, 300), 4, np.float16),), (np.zeros((300, 300), np.float16),))
    assert float(penalty) == pytest.approx(1440, rel=1e-3)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_finite_at_every_size(name):
    sizes = np.array([0, 6e-8, 1e-4, 1, 20, 300, 3e4, 6e4], np.float16)
    x = np.concatenate([sizes, -sizes])[:, None]
    y, pullback = getattr(pn, name).vjp((), x)
    assert np.isfinite(y).all()
    assert np.isfinite(pullback(np.ones_like(y))[1]).all()


@pytest.mark.parametrize("gate", [pn.glu, pn.swiglu], ids=str)
def test_gates_are_rounded_once(gate):
    """A slope that float16 has as 0 still counts where the other half is large."""
    sizes = np.array([0, 1e-4, 1, 20, 200], np.float16)
    x = np.stack(np.meshgrid(np.append(sizes, -sizes), sizes), -1).reshape(-1, 2)
    y, pullback = gate.vjp((), x)
    exact, pull_exact = gate.vjp((), x.astype(np.float32))
    found, expected = (y, pullback(y / y.max())), (exact, pull_exact((y / y.max()).astype(np.float32)))
    assert bits(found) == bits(halved(expected))


OPTIMIZERS = [
    pn.sgd(0.1), pn.sgd(0.1, momentum=0.9), pn.adagrad(), pn.adadelta(), pn.rmsprop(centered=True), pn.adam(),
    pn.amsgrad(), pn.adamw(), pn.adamax(), pn.nadam(), pn.radam(), pn.lion(), pn.lamb(), pn.muon(),
    pn.chain(pn.joined(), pn.adam()),
]  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_optimizers_step_in_float32(optimizer):
    """Twenty steps are those of float32, each rounded to float16; in float16 some squares of gradients are 0."""
    params = (np.linspace(-1, 1, 12, dtype=np.float16).reshape(3, 4), np.full(3, 0.5, np.float16))
    grads = (np.geomspace(1e-6, 1, 12).reshape(3, 4).astype(np.float16), np.zeros(3, np.float16))
    ours, theirs = (params, optimizer.init(params)), (params, optimizer.init(cast(params, np.float32)))
    for _ in range(20):
        ours = optimizer.step(ours[0], grads, ours[1])
        full, state = optimizer.step(cast(theirs[0], np.float32), cast(grads, np.float32), theirs[1])
        theirs = halved(full), state
        for a, b in zip(pn.tree.leaves(ours), pn.tree.leaves(theirs), strict=True):
            assert a.dtype == b.dtype
            assert np.isfinite(a).all()
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-6)


def test_a_net_in_float16_learns_with_the_default_adam():
    (x, target), _ = pn.data.digits()
    net, optimizer = pn.serial(pn.dense(64, 32), pn.batch_norm, pn.relu, pn.dense(32, 10)), pn.adam(3e-3)
    params = pn.tree.cast(net.init(pn.key(0), (64,)), np.float16)
    state, step = optimizer.init(params), pn.value_and_grad(net, pn.softmax_cross_entropy)
    for i in range(60):
        part = slice(i * 20, i * 20 + 20)
        _, grads = step(params, x[part].astype(np.float16), target[part], pn.key(i))
        params, state = optimizer.step(params, grads, state)
    assert {leaf.dtype for leaf in pn.tree.leaves(params)} == {np.dtype(np.float16)}
    assert pn.metrics.accuracy(net.apply(params, x.astype(np.float16)), target) > 0.8
