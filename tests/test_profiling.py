"""What a profile says is true: which layer is slow, what products take, and the table of it."""

from __future__ import annotations

import time

import numpy as np
import pytest

import purenet as pn

X, TARGET = np.ones((8, 4), np.float32), np.ones((8, 2), np.float32)


def sleeping(forward, backward):
    def rule(ops, params, x, key):
        time.sleep(forward)

        def pull(dy, wrt_x):
            time.sleep(backward)
            return (), dy

        return x * 1, pull

    return pn.layer(pn.Spec("sleeping", x="...", y="..."), rule)


def profiled(net, x=X, target=TARGET, **options):
    return pn.profile(net, pn.mse, net.init(pn.key(0), x.shape[1:]), x, target, **{"rounds": 3, **options})


def test_a_slow_layer_has_the_largest_share_forward_and_back():
    net = pn.serial(pn.dense(4, 8), pn.named(a=pn.dense(8, 8), b=sleeping(0.02, 0.01)), pn.dense(8, 2))
    found = {row.path: row for row in profiled(net).rows}
    slow = found["net[1][1]"]
    assert slow.name == "sleeping"
    assert slow.share > 0.5
    assert slow.forward >= 0.02
    assert slow.backward >= 0.01
    assert found["net"].share == 1
    assert found["net"].forward >= found["net[1]"].forward >= slow.forward


@pytest.mark.parametrize(
    ("layer", "shape", "forward"),
    [
        (pn.dense(4, 8), (5, 4), 2 * 5 * 4 * 8),
        (pn.dense(4, 8), (5, 3, 4), 2 * 15 * 4 * 8),
        (pn.conv(3, 6, 5), (2, 9, 9, 3), 2 * 2 * 25 * 25 * 3 * 6),
        (pn.conv(4, 8, 3, stride=2, groups=2), (2, 9, 9, 4), 2 * 2 * 16 * 9 * 2 * 8),
        (pn.conv_transpose(3, 6, 2, stride=2), (2, 4, 4, 3), 2 * 2 * 16 * 4 * 3 * 6),
        (pn.lstm(3, 5, last=True), (2, 7, 3), 2 * 14 * (3 + 5) * 20),
        (pn.multi_head_attention(6, 2), (2, 7, 6), 2 * 14 * 4 * 36 + 4 * 14 * 7 * 6),
        (pn.multi_head_attention(6, 2, kv_heads=1), (2, 7, 6), 2 * 14 * (2 * 36 + 2 * 18) + 4 * 14 * 7 * 6),
    ],
    ids=str,
)
def test_the_operations_of_products(layer, shape, forward):
    """Back there are as many for dE/dW, and as many for dE/dX where it is wanted."""
    x = pn.random.normal(pn.key(1), shape)
    target = np.zeros_like(layer.apply(layer.init(pn.key(0)), x))
    assert profiled(layer, x, target).rows[0].operations == 2 * forward
    after = profiled(pn.serial(pn.dense(shape[-1], shape[-1]), layer), x, target)
    assert after.rows[2].operations == 3 * forward
    assert after.rows[0].operations == after.rows[1].operations + after.rows[2].operations


def test_layers_without_products_have_no_operations():
    rows = profiled(pn.serial(pn.tanh, pn.layer_norm), target=X).rows
    assert [row.operations for row in rows] == [None] * 3


def test_what_is_kept_is_at_least_the_output():
    x = np.ones((512, 64), np.float32)
    net, whole = pn.tanh.vjp((), x)[0], x.nbytes
    assert net.nbytes == whole
    row = profiled(pn.tanh, x, x).rows[0]
    assert whole <= row.kept < 1.2 * whole
    assert profiled(pn.gelu, x, x).rows[0].kept > 1.5 * whole  # its rule keeps more than y


def test_the_table_has_a_line_for_each_layer_and_the_step():
    found = profiled(pn.serial(pn.dense(4, 8), pn.serial(pn.tanh, pn.dense(8, 2))))
    lines = str(found).splitlines()
    assert lines[0].split() == ["layer", "forward", "ms", "backward", "ms", "share", "operations", "GFLOP/s", "kept"]
    assert [len(line) - len(line.lstrip()) for line in lines[2:7]] == [0, 2, 2, 4, 4]
    assert lines[-1].startswith("a step, with the loss and without clocks: ")
    assert found.step > 0


def test_a_profile_draws_with_the_key_and_trains_buffers():
    net = pn.serial(pn.dense(4, 8), pn.batch_norm, pn.dropout(0.5), pn.dense(8, 2))
    assert len(profiled(net, key=pn.key(1)).rows) == 5


def test_throughput_counts_examples_and_waits_for_slow_layers():
    net = pn.serial(pn.dense(4, 2), sleeping(0.01, 0))
    found = pn.throughput(net, pn.mse, pn.adam(), net.init(pn.key(0)), (X, TARGET), 4, epochs=2)
    assert (found.epochs, found.examples, found.batch_size) == (2, 8, 4)
    assert 0 < found.low <= found.median <= found.high <= 8 / 0.02  # two batches an epoch
    assert str(found).endswith("2 epochs of 8 examples in batches of 4)")
    one = pn.throughput(net, pn.mse, pn.adam(), net.init(pn.key(0)), (X, TARGET), epochs=1)
    assert one.low == one.median == one.high


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda p: pn.profile(pn.mse, pn.mse, p, X, TARGET), TypeError, "profile takes a layer, not"),
        (lambda p: pn.profile(NET, pn.mse, p, X, TARGET, rounds=0), ValueError, "rounds, a positive integer, not 0"),
        (lambda p: pn.profile(NET, pn.mse, p, X[:, :3], TARGET), ValueError, "x has shape (8, 3)"),
        (lambda p: pn.profile(NET, pn.mse, p, X, TARGET[:3]), ValueError, "target"),
        (lambda p: pn.throughput(NET, pn.mse, pn.sgd(), p, [(X, TARGET)]), TypeError, "a tuple of arrays (x, target)"),
        (lambda p: pn.throughput(NET, pn.mse, pn.sgd(), p, (X, TARGET), epochs=1.5), ValueError, "epochs"),
        (lambda p: pn.throughput(NET, pn.mse, pn.sgd(), p, (X, TARGET), 0), ValueError, "batch_size"),
    ],
)
def test_bad_input(call, kind, says):
    with pytest.raises(kind) as caught:
        call(NET.init(pn.key(0)))
    assert says in str(caught.value)


NET = pn.dense(4, 2)
