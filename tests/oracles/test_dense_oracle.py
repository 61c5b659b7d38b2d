"""A net and its loss against the same written in PyTorch and JAX, weights carried over."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.agree import DRAWS, agree, jax_vjp, torch_vjp
from tests.oracles.twins.draw import random_array


def net_in_torch(x, target, w, b, v, c):
    y = F.linear(torch.tanh(F.linear(torch.tensor(x).double(), w.T, b)), v.T, c)
    return F.mse_loss(y, torch.tensor(target).double())


def net_in_jax(w, b, v, c, x, target):
    return jnp.mean((jnp.tanh(x @ w + b) @ v + c - target) ** 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_a_net_and_its_loss(dtype):
    rng = np.random.default_rng(2)
    for _ in range(DRAWS):
        batch, *sizes = (int(n) for n in rng.integers(1, 9, 4))
        net = pn.serial(pn.dense(sizes[1]), pn.tanh, pn.serial(pn.dense(sizes[2])))
        params = pn.tree.cast(net.init(pn.key(int(rng.integers(99))), (sizes[0],)), dtype)
        x, target = (random_array(rng, (batch, n), 1).astype(dtype) for n in (sizes[0], sizes[2]))
        E, gradients = pn.value_and_grad(net, pn.mse)(params, x, target)
        given = pn.tree.leaves(params)
        agree("serial, mse", "PyTorch", (E, gradients), torch_vjp(partial(net_in_torch, x, target), 1, *given))
        agree("serial, mse", "JAX", (E, gradients), jax_vjp(net_in_jax, 1, *given, x=x, target=target))
