"""`in_chunks`: a large batch in parts gives what it gives whole, whatever the number of threads."""

import contextlib
import gc
import os
import signal
import threading

import numpy as np
import pytest

import purenet as pn
from purenet.training import chunks

NET = pn.serial(pn.dense(3, 5), pn.tanh, pn.dense(2))
PARAMS = NET.init(pn.key(0))
X, TARGET = pn.random.normal(pn.key(1), (103, 3)), pn.random.normal(pn.key(2), (103, 2))


def same_bits(a, b):
    return all(np.array_equal(p, q) for p, q in zip(pn.tree.leaves(a), pn.tree.leaves(b), strict=True))


@pytest.mark.parametrize("size", [1, 7, 10, 102, 103, 1000])
@pytest.mark.parametrize("loss", [pn.mse, pn.mse(reduction="sum")], ids=str)
def test_chunks_add_up_to_the_whole(size, loss):
    params, x, target = pn.tree.cast((PARAMS, X, TARGET), np.float64)
    whole = pn.value_and_grad(NET, loss)
    for reduction in (None, "mean" if loss is pn.mse else "sum"):
        got = pn.in_chunks(whole, size, reduction=reduction)(params, x, target)
        assert pn.tree.allclose(got, whole(params, x, target), rtol=1e-12, atol=1e-14)
        assert got[1][0].weight.dtype == np.float64


SUMS = [pn.sse, pn.mae(reduction="sum"), pn.huber(delta=0.5, reduction="sum")]
MEANS = [pn.mse, pn.softmax_cross_entropy]


@pytest.mark.parametrize("loss", SUMS + MEANS, ids=str)
@pytest.mark.parametrize("penalties", [(), (pn.l2(0.5),), (pn.l2(0.5), pn.l1(0.1))], ids=len)
def test_sums_and_means_and_penalties(loss, penalties):
    params, x, target = pn.tree.cast((PARAMS, X[:10], abs(TARGET[:10])), np.float64)
    whole = pn.value_and_grad(NET, loss, *penalties)
    expected = whole(params, x, target)
    for size in (1, 3, 4, 7, 10):
        for chunked in (pn.in_chunks(whole, size), pn.in_chunks(whole, size, threads=2),
                        pn.in_chunks(pn.in_chunks(whole, 2), size)):  # fmt: skip
            for _ in range(2):
                assert pn.tree.allclose(chunked(params, x, target), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("loss", SUMS + MEANS, ids=str)
def test_the_loss_of_all_the_data_does_not_depend_on_the_batches(loss):
    params, x, target = pn.tree.cast((PARAMS, X[:10], abs(TARGET[:10])), np.float64)
    expected = float(loss.apply(NET.apply(params, x), target))
    for size in (1, 3, 4, 10):
        assert pn.evaluate(NET, loss, params, (x, target), batch_size=size)["loss"] == pytest.approx(expected)
    found = pn.fit(NET, loss, pn.sgd(0.0), params, (x, target), key=None, epochs=1,
                   validation=[(x[:3], target[:3]), (x[3:], target[3:])])  # fmt: skip
    assert found.history["validation_loss"] == pytest.approx(expected)


def test_of_a_loss_of_ones_own_it_must_be_said():
    own = pn.loss(lambda y, t: float(((y - t) ** 2).sum()), lambda y, t: 2 * (y - t), "own")
    params, x, target = pn.tree.cast((PARAMS, X, TARGET), np.float64)
    whole = pn.value_and_grad(NET, own)
    with pytest.raises(ValueError, match=r'whether own is a mean .* or a sum: write reduction="mean"'):
        pn.in_chunks(whole, 10)
    expected = whole(params, x, target)
    assert pn.tree.allclose(pn.in_chunks(whole, 10, reduction="sum")(params, x, target), expected, rtol=1e-12)


def test_a_loss_that_is_not_finite_is_handed_on():
    params = pn.tree.map(lambda p: p * np.nan, PARAMS)
    assert np.isnan(pn.in_chunks(pn.value_and_grad(NET, SUMS[-1]), 10)(params, X, TARGET)[0])


@pytest.mark.parametrize("threads", [2, 3, 20])
def test_the_bits_do_not_depend_on_the_threads(threads):
    net = pn.serial(pn.dense(3, 64), pn.dropout(0.5), pn.relu, pn.dense(2))
    params, key = net.init(pn.key(3)), pn.key(4)
    one = pn.in_chunks(pn.value_and_grad(net, pn.mse), 10)(params, X, TARGET, key)
    assert same_bits(one, pn.in_chunks(pn.value_and_grad(net, pn.mse), 10, threads=threads)(params, X, TARGET, key))
    assert one[1][0].weight.dtype == np.float32


def test_chunks_are_of_one_size_and_have_their_own_keys():
    seen = []

    def function(params, x, target, key):
        seen.append((len(x), key))
        assert len(x) == len(target)
        return np.float32(1), params

    pn.in_chunks(function, 10)(PARAMS, X, TARGET, pn.key(0))
    assert {n for n, _ in seen} == {9, 10}
    assert sum(n for n, _ in seen) == 103
    assert len({repr(key.data) if hasattr(key, "data") else repr(key) for _, key in seen}) == 11


def test_nets_of_several_inputs_and_buffers():
    net = pn.serial(pn.parallel(pn.dense(3, 4), pn.frozen(pn.dense(2, 4))), pn.add, pn.batch_norm)
    params = net.init(pn.key(0), in_shape=((3,), (2,)))
    target = pn.random.normal(pn.key(5), (103, 4))
    E, grads = pn.in_chunks(pn.value_and_grad(net, pn.mse), 50)(params, (X, TARGET), target, pn.key(1))
    new = pn.sgd_step(params, grads, lr=0.1)
    assert np.isfinite(E)
    assert same_bits(new[0][1], params[0][1])  # frozen
    assert not same_bits(new[2], params[2])


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ValueError, match="dense"):
        pn.in_chunks(pn.value_and_grad(NET, pn.mse), 10, threads=2)(PARAMS, X[:, :2], TARGET)


class Products:
    """Matrix products, and how many threads they have."""

    threads = 8

    def limit(self, limits):
        before, self.threads = self.threads, limits
        return Limit(self, before)


class Limit(contextlib.AbstractContextManager):
    def __init__(self, products, before):
        self.products, self.before = products, before

    def restore_original_limits(self):
        self.products.threads = self.before

    def __exit__(self, *_):
        self.restore_original_limits()


@pytest.mark.parametrize("same", [True, False])
def test_matrix_products_get_their_threads_back_from_two_users_at_once(same, monkeypatch):
    products = Products()
    monkeypatch.setattr(chunks, "_products", lambda: products)
    inside = [threading.Event(), threading.Event()]  # the first is in it, the second too
    seen = []

    def function(params, x, target, key):
        seen.append(products.threads)
        if target[0] == 0:  # of the first user: until the second is there
            inside[0].set()
            assert inside[1].wait(10)
        else:  # of the second: until the first has left
            inside[1].set()
            users[0].join(10)
        return np.float32(1), params

    run = [pn.in_chunks(function, 5, threads=2) for _ in range(2)]
    x = np.zeros((10, 1), np.float32)
    users = [threading.Thread(target=lambda i=i: run[0 if same else i](PARAMS, x, x[:, 0] + i)) for i in range(2)]
    users[0].start()
    assert inside[0].wait(10)
    users[1].start()
    for user in users:
        user.join(20)
    assert set(seen) == {1}
    assert products.threads == 8


def test_threads_stay_and_end_with_the_function():
    before = set(threading.enumerate())
    run = pn.in_chunks(pn.value_and_grad(NET, pn.mse), 50, threads=2)
    for _ in range(3):
        run(PARAMS, X, TARGET)
    (worker,) = set(threading.enumerate()) - before
    del run
    gc.collect()
    worker.join(timeout=10)
    assert not worker.is_alive()


def test_threads_within_threads():
    inner = pn.in_chunks(pn.value_and_grad(NET, pn.mse), 10, threads=2)
    expected = pn.in_chunks(inner, 50)(PARAMS, X, TARGET)
    assert same_bits(expected, pn.in_chunks(inner, 50, threads=3)(PARAMS, X, TARGET))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 warns of forks beside threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
def test_a_fork_has_threads_of_its_own():
    run = pn.in_chunks(pn.value_and_grad(NET, pn.mse), 50, threads=2)
    expected = run(PARAMS, X, TARGET)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # the threads of the other process would be waited for without end
        os._exit(0 if same_bits(expected, run(PARAMS, X, TARGET)) else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((pn.mse, 10), "takes a function"),
        ((None, 10), "takes a function"),
        ((pn.value_and_grad(NET, pn.mse), 0), "in_chunks takes size, a positive integer, not 0"),
        ((pn.value_and_grad(NET, pn.mse), 2.5), "in_chunks takes size, a positive integer, not 2.5"),
    ],
)
def test_bad_options(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        pn.in_chunks(*arguments)


def test_bad_threads_and_reduction():
    whole = pn.value_and_grad(NET, pn.mse)
    with pytest.raises(ValueError, match="threads, a positive integer"):
        pn.in_chunks(whole, 10, threads=0)
    with pytest.raises(ValueError, match="'mean' or 'sum'"):
        pn.in_chunks(whole, 10, reduction="max")
    with pytest.raises(ValueError, match="one length"):
        pn.in_chunks(whole, 10)(PARAMS, X, TARGET[:-1])
