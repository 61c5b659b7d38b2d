"""Combinators and merging against PyTorch: the same nets written out there, weights carried over."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.agree import DRAWS, agree, random_array, torch_vjp

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def affine(x, w, b):
    return F.linear(x, w.T, b)


def residual(x, w, b):
    return x + torch.tanh(affine(x, w, b))


def summed(x, w, b, v, c):
    return torch.tanh(affine(x, w, b)) + affine(x, v, c)


def gated(x, w, b, v, c):
    return torch.sigmoid(affine(x, w, b)) * affine(x, v, c)


def joined(x, w, b, v, c):
    return torch.cat([affine(x, w, b), x, affine(x, v, c)], dim=-1)


def joined_in_time(x, w, b):
    return torch.cat([x, affine(x, w, b)], dim=1)


def thrice(x, w, b):
    for _ in range(3):
        x = torch.tanh(affine(x, w, b))
    return x


def branches_tied(x, w, b):
    return torch.tanh(affine(x, w, b)) * affine(x, w, b)


def through_frozen(x, w, b, v, c):
    return affine(torch.tanh(affine(x, w.detach(), b.detach())) + 0 * (w.sum() + b.sum()), v, c)


N, M = 3, 5  # every layer is of these sizes, so that they fit
SQUARE, OTHER = pn.dense(N, N), pn.dense(N, M)
STEP = pn.serial(SQUARE, pn.tanh)
NETS = {
    "residual": (pn.residual(STEP), residual),
    "fan_out, add": (pn.serial(pn.fan_out(pn.serial(OTHER, pn.tanh), OTHER), pn.add), summed),
    "fan_out, mul": (pn.serial(pn.fan_out(pn.serial(OTHER, pn.sigmoid), OTHER), pn.mul), gated),
    "fan_out, concat": (pn.serial(pn.fan_out(OTHER, pn.identity, SQUARE), pn.concat), joined),
    "concat(1)": (pn.serial(pn.fan_out(pn.identity, SQUARE), pn.concat(1)), joined_in_time),
    "remat": (pn.remat(pn.residual(pn.remat(STEP))), residual),
    "named": (pn.named(z=pn.residual(STEP)), residual),
    "tied, serial": (pn.tied(pn.serial(STEP, STEP, STEP)), thrice),
    "tied, fan_out": (pn.serial(pn.tied(pn.fan_out(STEP, pn.serial(SQUARE, pn.identity))), pn.mul), branches_tied),
    "map_time": (pn.map_time(pn.residual(STEP)), residual),
}


def random_params(rng, net, x, dtype):
    return pn.tree.map(lambda leaf: random_array(rng, leaf.shape, dtype, 0.7), net.init(pn.key(0), x.shape[1:]))


@pytest.mark.parametrize("name", NETS)
@each_dtype
def test_random_draws(name, dtype):
    net, in_torch = NETS[name]
    rng = np.random.default_rng([list(NETS).index(name), np.dtype(dtype).itemsize])
    for _ in range(DRAWS):
        x = random_array(rng, (*(int(n) for n in rng.integers(1, 7, 2)), N), dtype, 1)
        params = random_params(rng, net, x, dtype)
        y, pullback = net.vjp(params, x)
        dy = random_array(rng, y.shape, dtype)
        dparams, dx = pullback(dy)
        agree(name, "PyTorch", (y, dx, dparams), torch_vjp(in_torch, dy, x, *pn.tree.leaves(params)))


@each_dtype
def test_frozen(dtype):
    net = pn.serial(pn.frozen(STEP), OTHER)
    rng = np.random.default_rng(1)
    for _ in range(DRAWS):
        x, dy = random_array(rng, (4, N), dtype, 1), random_array(rng, (4, M), dtype, 1)
        params = pn.tree.cast(net.init(pn.key(int(rng.integers(1000)))), dtype)
        y, pullback = net.vjp(params, x)
        dparams, dx = pullback(dy)
        value, (torch_dx, dw, db, *rest) = torch_vjp(through_frozen, dy, x, *pn.tree.leaves(params))
        assert not dw.any()
        assert not db.any()
        agree("frozen", "PyTorch", (y, dx, dparams[1]), (value, torch_dx, *rest))
        assert pn.tree.allclose(dparams[0], params[0], 0, 0)


@each_dtype
def test_parallel(dtype):
    net = pn.parallel(STEP, OTHER)
    rng = np.random.default_rng(2)
    for _ in range(DRAWS):
        x = tuple(random_array(rng, (int(rng.integers(1, 7)), N), dtype, 1) for _ in range(2))
        params = pn.tree.cast(net.init(pn.key(int(rng.integers(1000)))), dtype)
        y, pullback = net.vjp(params, x)
        dy = tuple(random_array(rng, each.shape, dtype, 1) for each in y)
        dparams, dx = pullback(dy)
        first = torch_vjp(lambda x, w, b: torch.tanh(affine(x, w, b)), dy[0], x[0], *pn.tree.leaves(params[0]))
        second = torch_vjp(affine, dy[1], x[1], *params[1])
        agree("parallel", "PyTorch", (y[0], dx[0], dparams[0]), first)
        agree("parallel", "PyTorch", (y[1], dx[1], dparams[1]), second)
