"""check_vjp gives no false alarm: right nets at random points, close to kinks too. With a fault each is caught.

`PURENET_DRAWS=60 python -m pytest tests/test_check_vjp_draws.py` draws so many points of each net.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import purenet as pn
from purenet.testing import check_vjp
from tests.cases import normal

DRAWS = int(os.environ.get("PURENET_DRAWS", 1))
serial, dense = pn.serial, pn.dense
RELU = serial(dense(64, 128), pn.relu, dense(10))
LENET = serial(
    pn.conv(6, 5), pn.relu, pn.max_pool(2), pn.conv(16, 5), pn.relu, pn.max_pool(2),
    pn.flatten, dense(120), pn.relu, dense(84), pn.relu, dense(10),
)  # fmt: skip
KINKS = serial(dense(32), pn.leaky_relu, dense(32), pn.hard_swish, dense(32), pn.relu6, dense(32), pn.hard_sigmoid)
NETS = {  # with the shape of x; those of the examples, of the front page and of the benchmarks among them
    "xor": (serial(dense(2, 3), pn.tanh, dense(3, 1), pn.tanh), (4, 2)),
    "digits": (RELU, (32, 64)),
    "compiled": (serial(dense(2, 16), pn.tanh, pn.dropout(0.02), dense(16, 1)), (32, 2)),
    "sharded": (serial(dense(64), pn.relu, pn.dropout(0.2), dense(10)), (16, 64)),
    "lbfgs": (serial(dense(1, 20), pn.tanh, dense(20, 20), pn.tanh, dense(20, 1)), (30, 1)),
    "784-128-10": (serial(dense(784, 128), pn.relu, dense(10)), (8, 784)),
    "images": (serial(pn.conv(16, 3), pn.relu, pn.max_pool(2), pn.flatten, pn.dropout(0.3), dense(10)), (4, 8, 8, 1)),
    "LeNet-5": (LENET, (2, 28, 28, 1)),
    "lstm": (serial(pn.lstm(16, 32, last=True), dense(10)), (4, 20, 16)),
    "transformer": (serial(pn.transformer_block(8, 2), pn.layer_norm(8)), (2, 6, 8)),
    "batch norm of 3": (serial(dense(64, 128), pn.batch_norm, pn.tanh), (3, 64)),
    "batch norm of 3, relu": (serial(dense(16), pn.batch_norm, pn.relu, dense(4)), (3, 8)),
    "conv-relu-pool": (serial(pn.conv(1, 8, 3), pn.relu, pn.max_pool(2)), (8, 16, 16, 1)),
    "conv-norm-relu": (serial(pn.conv(8, 3), pn.batch_norm, pn.relu, pn.global_avg_pool, dense(3)), (4, 10, 10, 2)),
    "residual": (serial(dense(16), pn.residual(serial(pn.layer_norm, dense(16), pn.relu, dense(16)))), (8, 5)),
    "kinks": (KINKS, (16, 10)),
}
each_net = pytest.mark.parametrize("name", NETS)


def with_dx(net, change):
    """The net whose dE/dX is changed."""

    def vjp(params, x, key=None):
        y, pullback = net.vjp(params, x, key)

        def pull(dy, wrt_x=True):
            dparams, dx = pullback(dy, wrt_x)
            return dparams, change(dx) if wrt_x else None

        return y, pull

    return net._replace(vjp=vjp)


def off_by_a_thousandth(dx):
    return dx * dx.dtype.type(1.001)


def off_in_one_entry(dx):
    wrong = dx.copy()
    wrong.flat[dx.size // 2] *= 2
    return wrong


def off_in_float32(dx):
    return off_by_a_thousandth(dx) if dx.dtype == np.float32 else dx


@each_net
def test_no_false_alarm(name):
    net, shape = NETS[name]
    for seed in range(DRAWS):
        check_vjp(net, net.init(pn.key(seed), shape[1:]), normal(*shape, seed=1000 + seed), pn.key(seed))


@each_net
@pytest.mark.parametrize("change", [off_by_a_thousandth, off_in_one_entry, off_in_float32], ids=lambda f: f.__name__)
def test_a_small_fault_is_caught(name, change):
    net, shape = NETS[name]
    for seed in range(DRAWS):
        x = normal(*shape, seed=1000 + seed)
        with pytest.raises(AssertionError, match=r"dx (is not the derivative|in float32 is not what it is in float64)"):
            check_vjp(with_dx(net, change), net.init(pn.key(seed), shape[1:]), x, pn.key(seed))
