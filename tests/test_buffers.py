"""Buffers: the step that is left stands where a gradient would, and whoever takes it for one does no harm."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn

KEY = pn.key(1)
(X, TARGET), (X_TEST, TARGET_TEST) = pn.data.digits()
X, X_TEST = X.reshape(-1, 64), X_TEST.reshape(-1, 64)
NET = pn.serial(
    pn.frozen(pn.dense(64, 64)), pn.relu, pn.dense(64, 32), pn.batch_norm, pn.relu, pn.dense(32, 10)
)  # fmt: skip
PARAMS = NET.init(pn.key(0))
EVALUATE = pn.value_and_grad(NET, pn.softmax_cross_entropy)


def trained(step, params=PARAMS, state=None, evaluate=EVALUATE, epochs=8):
    """Params after `step(params, grads, state) -> (params, state)` for each batch of digits."""
    for epoch in range(epochs):
        for x, target in pn.data.batches(pn.key(epoch), X, TARGET, size=32):
            params, state = step(params, evaluate(params, x, target, KEY)[1], state)
    return params


def accuracy(params, key=None):
    return pn.metrics.accuracy(NET.apply(params, X_TEST, key), TARGET_TEST)


def reference():
    return accuracy(trained(pn.sgd(0.1).step, state=pn.sgd(0.1).init(PARAMS)))


def test_a_step_by_hand_trains_a_net_with_batch_norm_and_frozen():
    params = trained(lambda p, g, _: (pn.tree.map(lambda p, g: p - 0.1 * g, p, g), None))
    assert accuracy(params) > max(0.94, reference() - 0.01)
    assert params[3].variance.value.min() > 0
    assert pn.tree.allclose(params[0], PARAMS[0], 0, 0)


def test_update_is_all_that_an_optimizer_of_ones_own_needs():
    params = trained(lambda p, g, _: (pn.update(lambda p, g: p - 0.1 * g, p, g), None), epochs=1)
    ours = trained(lambda p, g, _: (pn.sgd_step(p, g, lr=0.1), None), epochs=1)
    assert pn.tree.allclose(params, ours, rtol=1e-5, atol=1e-6)
    moved = trained(lambda p, g, _: (pn.sgd_step(p, g, lr=0.0), None), epochs=1)
    assert pn.tree.allclose(moved[2], PARAMS[2], 0, 0)  # buffers alone
    assert not np.allclose(moved[3].mean.value, 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_step_of_batch_norm_is_a_part_of_the_way_and_of_frozen_it_is_0(dtype):
    net = pn.serial(pn.frozen(pn.dense(3, 3)), pn.batch_norm(momentum=0.25))
    params = pn.tree.cast(net.init(pn.key(0), (3,)), dtype)
    x = pn.random.normal(pn.key(2), (8, 3)).astype(dtype)
    y, pullback = net.vjp(params, x, KEY)
    steps, _ = pullback(y)
    again, _ = pullback(3 * y)
    inside = pn.frozen(pn.dense(3, 3)).apply(params[0], x).astype(np.float64)
    tolerance = {"rtol": 4e3 * np.finfo(dtype).eps ** 1.2, "atol": 8 * np.finfo(dtype).eps}
    np.testing.assert_allclose(steps[1].mean.value, 0.25 * (0 - inside.mean(0)), **tolerance)
    np.testing.assert_allclose(steps[1].variance.value, 0.25 * (1 - inside.var(0, ddof=1)), **tolerance)
    for place in (steps, again):
        assert all(leaf.dtype == dtype for leaf in pn.tree.leaves(place))
        assert not any(leaf.any() for leaf in pn.tree.leaves(place[0]))
    assert (steps[1].mean.value == again[1].mean.value).all()  # it does not depend on dE/dY
    new = pn.sgd_step(params, steps, lr=0.5)
    assert all(leaf.dtype == dtype and not leaf.flags.writeable for leaf in pn.tree.leaves(new))
    np.testing.assert_allclose(new[1].mean.value, 0.25 * inside.mean(0), **tolerance)


def test_a_step_of_frozen_params_copies_nothing():
    params = PARAMS[0]
    _, pullback = pn.frozen(pn.dense(64, 64)).vjp(params, X[:4], KEY)
    grads, _ = pullback(np.ones((4, 64), np.float32))
    assert grads.value.weight.strides == (0, 0)
    for step in (pn.sgd_step(params, grads, lr=0.1), pn.adam().step(params, grads, pn.adam().init(params))[0]):
        assert step.value.weight is params.value.weight


def test_no_momentum_makes_a_variance_negative():
    """Not in a step at any part of the rate, and not by layers that share it."""
    net = pn.tied(pn.serial(*[pn.batch_norm(momentum=1.0)] * 5))
    params = net.init(pn.key(0), (2,))._replace(variance=pn.Buffer(np.array([1e4, 1e-6], np.float32)))
    x = np.array([[1.0, 2.0], [1.0, 3.0]], np.float32)
    _, pullback = net.vjp(params, x, KEY)
    grads, _ = pullback(np.ones((2, 2), np.float32))
    for lr in (1.0, 0.1):
        assert (pn.tree.map(lambda p, g, lr=lr: p - lr * g, params, grads).variance.value >= 0).all()
    assert (pn.sgd_step(params, grads, lr=0.1).variance.value >= 0).all()


def test_of_several_uses_buffers_take_the_mean_step():
    net = pn.tied(pn.parallel(pn.batch_norm(momentum=0.5), pn.batch_norm(momentum=0.5)))
    params = net.init(pn.key(0), ((1,), (1,)))
    low, high = np.array([[0.0], [2.0]], np.float32), np.array([[4.0], [8.0]], np.float32)
    _, pullback = net.vjp(params, (low, high), KEY)
    grads, _ = pullback((low, high))
    np.testing.assert_allclose(pn.sgd_step(params, grads, lr=0.1).mean.value, [0.5 * (1 + 6) / 2])
    np.testing.assert_allclose(pn.sgd_step(params, grads, lr=0.1).variance.value, [0.5 + 0.5 * (2 + 8) / 2])


@pytest.mark.parametrize(("loss", "reduction"), [(pn.mse, "mean"), (pn.sse, "sum")])
def test_of_several_chunks_buffers_take_the_mean_step_by_their_examples(loss, reduction):
    net = pn.serial(pn.batch_norm(momentum=0.5), pn.frozen(pn.dense(1, 1)))
    params, x = net.init(pn.key(0), (1,)), np.arange(5, dtype=np.float32)[:, None]
    chunked = pn.in_chunks(pn.value_and_grad(net, loss), 3, reduction=reduction)
    new = pn.sgd_step(params, chunked(params, x, x, KEY)[1], lr=0.1)
    np.testing.assert_allclose(new[0].mean.value, [1.0])  # half of the way to the mean of all
    assert new[1].value.weight is params[1].value.weight


def test_a_buffer_of_integers_moves_as_in_the_last_chunk():
    def vjp(params, x, key=None):
        return x, lambda dy, wrt_x=True: (pn.Buffer(np.array([-len(x)])), dy)

    counts = pn.Layer(lambda key, in_shape=None: pn.Buffer(np.array([7])), lambda p, x, key=None: x, vjp, tuple, "n")
    x = np.zeros((5, 1))
    _, grads = pn.in_chunks(pn.value_and_grad(counts, pn.mse), 3)(pn.Buffer(np.array([7])), x, x)
    new = pn.sgd_step(pn.Buffer(np.array([7])), grads, lr=0.1)
    assert new.value.dtype == np.array([7]).dtype
    assert new.value.tolist() == [10]


def test_transforms_move_buffers_at_a_rate_of_1_with_each_batch():
    params = (np.ones(2), pn.Buffer(np.array([8.0])))
    optimizer = pn.chain(
        pn.ema(0.9), pn.lookahead(2), pn.clip_by_global_norm(0.1), pn.weight_decay(0.5, lambda p: True),
        pn.accumulate(2), pn.joined(), pn.adam(),
    )  # fmt: skip
    state = optimizer.init(params)
    for n in range(1, 5):
        params, state = optimizer.step(params, (np.ones(2), pn.Buffer(np.array([2.0]))), state)
        assert params[1].value.tolist() == [8.0 - 2 * n] == state.average[1].value.tolist()
    _, grads = pn.l2(1.0, lambda p: True).add(params, (np.ones(2), pn.Buffer(np.array([2.0]))))
    assert grads[1].value.tolist() == [2.0]


@pytest.mark.parametrize("optimizer", [pn.sgd(), pn.chain(pn.joined(), pn.adam()), pn.chain(pn.ema(), pn.sgd())])
def test_a_step_of_another_shape_is_refused_with_its_path(optimizer):
    params = {"a": np.ones(2), "b": pn.Buffer(np.ones(3))}
    grads = {"a": np.ones(2), "b": pn.Buffer(np.ones(1))}
    with pytest.raises(ValueError, match=r"params\['b'\].value: \(3,\) against \(1,\)"):
        optimizer.step(params, grads, optimizer.init(params))


@pytest.mark.parametrize("affine", [True, False])
def test_a_variance_below_0_is_refused(affine):
    layer, x = pn.batch_norm(affine=affine), np.ones((3, 2), np.float32)
    params = layer.init(pn.key(0), (2,))
    layer.apply(params, x)
    for net, given in ((layer, params), (pn.serial(pn.frozen(layer)), (pn.Buffer(params),))):
        wrong = np.array([1.0, -1e-6], np.float32)
        bad = pn.tree.map(lambda p, wrong=wrong: wrong if p is params.variance.value else p, given)
        net.apply(given, x)  # so the second call goes the bare way
        for run in (net.apply, net.vjp):
            with pytest.raises(ValueError, match=r"running variance of -1e-06.* old − step"):
                run(bad, x)
