"""dense, serial, flatten and reshape against PyTorch and JAX, weights carried over."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from purenet.layers.dense import DenseParams
from tests.oracles.agree import DRAWS, agree, jax_vjp, random_array, random_shape, torch_vjp

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def dense_in_torch(x, w, b=None):
    return F.linear(x, w.T, b)


def dense_in_jax(x, w, b=0.0):
    return x @ w + b


@each_dtype
def test_dense(dtype):
    rng = np.random.default_rng(1)
    for _ in range(DRAWS):
        *leading, inputs = random_shape(rng, least=2, largest=12)
        outputs, bias, sized = int(rng.integers(1, 13)), rng.random() < 0.7, rng.random() < 0.5
        x, w = random_array(rng, (*leading, inputs), dtype), random_array(rng, (inputs, outputs), dtype)
        b = random_array(rng, (outputs,), dtype) if bias else None
        dy = random_array(rng, (*leading, outputs), dtype)
        if rng.random() < 0.3:
            x = np.asfortranarray(x)
        layer = pn.dense(*((inputs, outputs) if sized else (outputs,)), bias=bool(bias))
        y, pullback = layer.vjp(DenseParams(w, b), x)
        dparams, dx = pullback(dy)
        given = (x, w, b) if bias else (x, w)
        agree("dense", "PyTorch", (y, dx, dparams), torch_vjp(dense_in_torch, dy, *given))
        agree("dense", "JAX", (y, dx, dparams), jax_vjp(dense_in_jax, dy, *given))


def net_in_torch(x, target, w, b, v, c):
    y = F.linear(torch.tanh(F.linear(torch.tensor(x).double(), w.T, b)), v.T, c)
    return F.mse_loss(y, torch.tensor(target).double())


def net_in_jax(w, b, v, c, x, target):
    return jnp.mean((jnp.tanh(x @ w + b) @ v + c - target) ** 2)


@each_dtype
def test_a_net_and_its_loss(dtype):
    rng = np.random.default_rng(2)
    for _ in range(DRAWS):
        batch, *sizes = (int(n) for n in rng.integers(1, 9, 4))
        net = pn.serial(pn.dense(sizes[1]), pn.tanh, pn.serial(pn.dense(sizes[2])))
        params = pn.tree.cast(net.init(pn.key(int(rng.integers(99))), (sizes[0],)), dtype)
        x, target = random_array(rng, (batch, sizes[0]), dtype, 1), random_array(rng, (batch, sizes[2]), dtype, 1)
        E, gradients = pn.value_and_grad(net, pn.mse)(params, x, target)
        given = pn.tree.leaves(params)
        agree("serial, mse", "PyTorch", (E, gradients), torch_vjp(partial(net_in_torch, x, target), 1, *given))
        agree("serial, mse", "JAX", (E, gradients), jax_vjp(net_in_jax, 1, *given, x=x, target=target))


@each_dtype
def test_flatten_and_reshape(dtype):
    rng = np.random.default_rng(3)
    for _ in range(DRAWS):
        batch, a, b = (int(n) for n in rng.integers(1, 6, 3))
        x = random_array(rng, (batch, a, b), dtype)
        for name, layer, shape in [
            ("flatten", pn.flatten, (batch, -1)),
            ("reshape", pn.reshape(b, a), (batch, b, a)),
            ("reshape", pn.reshape(-1, 1, a), (batch, b, 1, a)),
        ]:
            y, pullback = layer.vjp((), x)
            dy = random_array(rng, y.shape, dtype)
            agree(name, "PyTorch", (y, pullback(dy)[1]), torch_vjp(torch.reshape, dy, x, shape=shape))
