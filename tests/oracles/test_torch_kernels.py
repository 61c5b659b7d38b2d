"""PyTorch's own kernels where our rules call them: the numbers of the plain rule, and when each is taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import purenet as pn
from purenet.engine import Ops
from purenet.engine.arrays import torch_namespace
from purenet.engine.torch import TorchOps
from purenet.engine.torch_activations import TorchActivationOps
from purenet.engine.torch_norms import BATCH_NEAR, GROUP_NEAR, TorchNormOps
from purenet.engine.torch_recurrence import TorchRecurrenceOps
from purenet.spec.guard import guarded
from tests.catalogue import layer_id
from tests.oracles.test_jax_engine import ONE_EACH
from tests.oracles.test_torch_engine import to_torch

KEY = pn.key(0)
KINDS = TorchActivationOps, TorchNormOps, TorchRecurrenceOps
OWN = {name for kind in KINDS for name in vars(kind) if not name.startswith("_")}
PLAIN = Ops(torch_namespace())


class Counting(TorchOps):
    """PyTorch's ops, which know what fell back on the plain rule and what did not."""

    def __init__(self):
        super().__init__(torch.device("cpu"))
        self.plain, self.own = [], []


def _counted(op):
    def call(self, plain, *given):
        before = len(self.plain)

        def seen(*arguments):
            self.plain.append(op)
            return plain(*arguments)

        found = getattr(TorchOps, op)(self, seen, *given)
        self.own += [op] * (len(self.plain) == before)
        return found

    return call


for _op in OWN:
    setattr(Counting, _op, _counted(_op))


def normal(*shape, seed=0):
    return pn.random.normal(pn.key(seed), shape, np.float64)


def infinite(x, value=np.inf):
    x[0, 1], x[-1, -1] = value, -value
    return x


IMAGES = 6, 20, 11, 3  # 1,320 cells: more than a block of rows
SEQUENCES = normal(3, 7, 4)
STATE = normal(3, 5, seed=1), normal(3, 5, seed=2)
CASES = {  # op, layer, x, and whether the kernel is taken: in float32, in float64
    **{
        f"{layer} of {what}": (op, layer, x, True, True)
        for op, layer in {
            "sigmoid": pn.sigmoid, "leaky_relu": pn.leaky_relu(-0.3), "hard_swish": pn.hard_swish, "softmax": pn.softmax
        }.items()
        for what, x in {"rows": 4 * normal(5, 7), "infinities": infinite(normal(5, 7))}.items()
    },
    "rows": ("normalize_batch", pn.batch_norm, normal(9, 5), True, True),
    "images": ("normalize_batch", pn.batch_norm, normal(*IMAGES), True, True),
    "images of many channels": ("normalize_batch", pn.batch_norm, normal(6, 20, 11, 300), True, True),
    "images without a shift": ("normalize_batch", pn.batch_norm(bias=False), normal(*IMAGES), True, True),
    "images without a scale": ("normalize_batch", pn.batch_norm(affine=False, eps=0.1), normal(*IMAGES), True, True),
    "so many cells that nothing divides": ("normalize_batch", pn.batch_norm, normal(1327, 3), False, False),
    "rows with a far mean": ("normalize_batch", pn.batch_norm, normal(9, 5) + 2 * BATCH_NEAR, False, False),
    "images with a far mean": ("normalize_batch", pn.batch_norm, normal(*IMAGES) - 2 * BATCH_NEAR, False, False),
    "equal rows": ("normalize_batch", pn.batch_norm, np.full((4, 3), 7.0), False, False),
    "zeros": ("normalize_batch", pn.batch_norm, np.zeros(IMAGES), True, True),
    "groups": ("normalize_groups", pn.group_norm(2), normal(3, 4, 5, 6), True, True),
    "groups without a shift": ("normalize_groups", pn.group_norm(2, bias=False), normal(3, 5, 6), True, True),
    "groups alone": ("normalize_groups", pn.group_norm(1, affine=False), normal(3, 60), True, True),
    "groups with a far mean": ("normalize_groups", pn.group_norm(2), normal(3, 4, 6) + 3 * GROUP_NEAR, False, False),
    "groups of too many cells": ("normalize_groups", pn.group_norm(1), normal(1, 5000, 2), False, False),
    "instances": ("normalize_groups", pn.instance_norm(affine=True), normal(3, 9, 7, 2), True, True),
    "no examples": ("normalize_groups", pn.group_norm(2), normal(0, 4, 6), False, False),
    "sequences": ("lstm_steps", pn.lstm(4, 5), SEQUENCES, True, False),
    "backwards": ("lstm_steps", pn.lstm(4, 5, reverse=True, bias=False), SEQUENCES, True, False),
    "the last step": ("lstm_steps", pn.lstm(4, 5, last=True), SEQUENCES, True, False),
    "with a state": ("lstm_steps", pn.lstm(4, 5), (SEQUENCES, STATE), True, False),
    "two layers": ("lstm_steps", pn.lstm(4, 5, num_layers=2), SEQUENCES[:, :1], True, False),
    "of several lengths": ("lstm_steps", pn.lstm(4, 5), (SEQUENCES, np.array([4, 1, 7])), False, False),
}  # fmt: skip


def results(ops, layer, params, x):
    """Y, its gradients twice, for a pullback may be called again, those of the params alone, and Y alone."""
    both = guarded(layer)
    y, pull = both.rule(ops, params, x, KEY)
    dy = pn.tree.map(lambda leaf: torch.cos(torch.arange(leaf.numel())).reshape(leaf.shape).to(leaf.dtype), y)
    return y, pull(dy, True), pull(dy, True), pull(dy, False)[0], both.forward(ops, params, x, KEY)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_a_kernel_gives_what_the_plain_rule_gives(case, dtype):
    op, layer, x, *taken = CASES[case]
    params = layer.init(pn.key(0), pn.tree.leaves(x)[0].shape[1:])
    params = pn.tree.map(lambda p: p + 0.2 * normal(*p.shape, seed=p.size), params)
    params, x = pn.tree.map(
        lambda leaf: torch.tensor(leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf), (params, x)
    )
    ops = Counting()
    found, plain = results(ops, layer, params, x), results(PLAIN, layer, params, x)
    assert {*(ops.own if taken[dtype is np.float64] else ops.plain)} == {op}
    assert not (ops.plain if taken[dtype is np.float64] else ops.own)
    pn.tree.check_same(found, plain)
    for a, b in zip(*map(pn.tree.leaves, (found, plain)), strict=True):
        assert a.dtype == b.dtype
        largest = max([1.0, *b.abs().nan_to_num(0, 0, 0).flatten().tolist()])
        rounding = 4 * np.finfo(dtype).eps * np.sqrt(max(leaf.numel() for leaf in pn.tree.leaves(x)))
        torch.testing.assert_close(a, b, rtol=0, atol=rounding * largest, equal_nan=True)


def strided(x):
    return torch.stack([x, torch.full_like(x, torch.nan if x.is_floating_point() else 0)], -1)[..., 0]


def turned(x):
    order = [*reversed(range(x.ndim))]
    return x.permute(order).contiguous().permute(order)


def expanded(x):
    """One number at all places."""
    return x.reshape(-1)[:1].reshape([1] * x.ndim).expand(x.shape) if x.numel() else x


ONE_CHANNEL = {
    f"{layer} of {x.shape}": ("", layer, x)
    for layer in (pn.batch_norm, pn.group_norm(1), pn.instance_norm(affine=True))
    for x in (normal(5, 3, 1), normal(9, 200, 1))
}


@pytest.mark.parametrize("layout", [strided, turned, expanded])
@pytest.mark.parametrize("case", [*CASES, *ONE_CHANNEL])
def test_kernels_read_what_the_strides_say(case, layout):
    _, layer, x, *_ = {**CASES, **ONE_CHANNEL}[case]
    params, x = to_torch(pn.tree.cast((layer.init(pn.key(0), pn.tree.leaves(x)[0].shape[1:]), x), np.float32))
    laid = pn.tree.map(lambda leaf: layout(leaf) if leaf.is_floating_point() else leaf, (params, x))
    compact = pn.tree.map(torch.clone, pn.tree.map(lambda leaf: leaf.contiguous(), laid))
    y, pull = guarded(layer).rule(TorchOps(torch.device("cpu")), *laid, KEY)
    like, pull_plain = guarded(layer).rule(PLAIN, *compact, KEY)
    for part in (strided, turned, expanded):
        dy = pn.tree.map(lambda leaf, part=part: part(torch.cos(leaf)), like)
        found, plain = (y, pull(dy, True)), (like, pull_plain(pn.tree.map(torch.clone, dy), True))
        for a, b in zip(*map(pn.tree.leaves, (found, plain)), strict=True):
            largest = max([1.0, *b.abs().nan_to_num(0, 0, 0).flatten().tolist()])
            torch.testing.assert_close(a, b, rtol=0, atol=1e-4 * largest, equal_nan=True)


def test_every_op_with_a_kernel_is_here():
    assert {op for op, *_ in CASES.values()} == OWN


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("layer", [pn.batch_norm, pn.group_norm(1), pn.lstm(3, 3)], ids=str)
def test_what_is_not_finite_reaches_no_more_than_by_the_plain_rule(layer, value):
    params, x = to_torch((layer.init(pn.key(0), (4, 3)), normal(5, 4, 3).astype(np.float32)))
    x[1, 2, 0] = value
    for a, b in zip(*(pn.tree.leaves(results(ops, layer, params, x)) for ops in (Counting(), PLAIN)), strict=True):
        assert torch.equal(a.isfinite(), b.isfinite())


def far(x, mean):
    return (x + mean).float()


@pytest.mark.parametrize("mean", [0.0, 0.9 * BATCH_NEAR, 1e6])
@pytest.mark.parametrize("shape", [(1000, 4), (32, 28, 28, 2)])
def test_sums_over_many_cells_keep_their_digits(shape, mean):
    """Y and dE/dX in float32 against float64, for the very same x: PyTorch's own batch norm is off by 2e-6."""
    x, dy = (torch.tensor(normal(*shape, seed=seed)) for seed in (0, 1))
    x, dy = far(x, mean), far(dy, 0.5)
    params = to_torch(pn.batch_norm.init(pn.key(0), shape[1:]))
    y, pullback = pn.batch_norm.vjp(params, x, KEY)
    truth, true_pullback = pn.batch_norm.vjp(pn.tree.cast(params, torch.float64), x.double(), KEY)
    exact = truth, true_pullback(dy.double())
    for a, b in zip(*map(pn.tree.leaves, ((y, pullback(dy)[1]), (exact[0], exact[1][1]))), strict=True):
        assert (a - b).abs().max() < 1e-6 * b.abs().max()


def test_the_slope_of_sigmoid_keeps_its_digits_in_both_tails():
    x = torch.linspace(-80, 80, 1001)
    exact = pn.sigmoid.vjp((), x.double())
    y, pullback = pn.sigmoid.vjp((), x)
    torch.testing.assert_close(y.double(), exact[0], rtol=1e-6, atol=0)
    ones = torch.ones_like(x)
    torch.testing.assert_close(pullback(ones)[1].double(), exact[1](ones.double())[1], rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "layer", [pn.sigmoid, pn.leaky_relu, pn.hard_swish, pn.softmax, pn.group_norm(1), pn.lstm(4, 3)], ids=str
)
def test_vmap_takes_examples_one_by_one(layer):
    params, x = to_torch((layer.init(pn.key(0), (5, 4)), normal(3, 2, 5, 4).astype(np.float32)))
    y = torch.vmap(lambda each: layer.apply(params, each))(x)
    dx = torch.vmap(lambda each: layer.vjp(params, each)[1](layer.apply(params, each))[1])(x)
    for i, each in enumerate(x):
        value, pullback = layer.vjp(params, each)
        torch.testing.assert_close(y[i], value, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(dx[i], pullback(value)[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("layer", [pn.lstm(4, 3), pn.bidirectional(pn.lstm(4, 3)), pn.softmax, pn.batch_norm], ids=str)
def test_modes_of_pytorch_change_nothing(layer, mode):
    params, x = to_torch((layer.init(pn.key(0), (5, 4)), normal(2, 5, 4).astype(np.float32)))
    expected, pull_expected = layer.vjp(params, x, KEY)
    for _ in range(2):  # checked, and bare
        with mode():
            y, pullback = layer.vjp(params, x, KEY)
            inside = y, pullback(torch.ones_like(y))
            alone = layer.apply(params, x, KEY)
        outside = alone, pullback(torch.ones_like(expected))
        for found in (inside, outside):
            for a, b in zip(*map(pn.tree.leaves, (found, (expected, pull_expected(torch.ones_like(y))))), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", [case for _, case in ONE_EACH], ids=map(layer_id, ONE_EACH))
def test_no_layer_depends_on_strides_or_modes(case):
    plain = to_torch(pn.tree.cast((case.params, case.x), np.float32))
    y, pullback = case.layer.vjp(*plain, case.key)
    dy = pn.tree.map(lambda leaf: torch.cos(torch.arange(leaf.numel())).reshape(leaf.shape).to(leaf.dtype), y)
    expected = y, pullback(dy)
    for layout, mode in ((strided, torch.no_grad), (turned, torch.inference_mode)):
        params, x, laid_dy = pn.tree.map(lambda leaf, layout=layout: layout(leaf), (*plain, dy))
        with mode():
            value, pull = case.layer.vjp(params, x, case.key)
            found = value, pull(laid_dy)
        for a, b in zip(*map(pn.tree.leaves, (found, expected)), strict=True):
            largest = max([1.0, *b.abs().flatten().tolist()])
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * largest, equal_nan=True)


@pytest.mark.parametrize("layer", [pn.lstm(4, 3), pn.softmax, pn.batch_norm], ids=str)
def test_autocast_keeps_the_dtype(layer):
    params, x = to_torch((layer.init(pn.key(0), (5, 4)), normal(2, 5, 4).astype(np.float32)))
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            y, pullback = layer.vjp(params, x, KEY)
            pullback(torch.ones_like(y))
        assert y.dtype == torch.float32


def test_the_largest_numbers_go_through_hard_swish():
    x = torch.tensor([3e38, 6e37, -3e38, -torch.inf, torch.inf])
    torch.testing.assert_close(pn.hard_swish.apply((), x), torch.tensor([3e38, 6e37, 0, 0, torch.inf]))


@pytest.mark.parametrize("shape", [(5, 3), (2000, 3)])
def test_a_channel_without_a_variance_is_nan_without_eps(shape):
    params, x = to_torch((pn.batch_norm.init(pn.key(0), shape[1:]), np.full(shape, 7.0, np.float32)))
    assert pn.batch_norm(eps=0.0).apply(params, x, KEY).isnan().all()
