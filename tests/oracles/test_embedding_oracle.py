"""Embeddings, positions, dropout and binary layers against PyTorch and JAX: value, dparams and dx."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from purenet.layers.dense import DenseParams
from purenet.layers.embedding import EmbeddingParams
from tests.oracles.agree import DRAWS, agree, jax_vjp, random_array, torch_vjp

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def run(layer, params, x, dy, key=None):
    y, pullback = layer.vjp(params, x, key)
    dparams, dx = pullback(dy)
    return (y, dparams) if dx is None else (y, dparams, dx)


def rows_in_jax(weight, ids):
    return weight[ids]


def embedding_in_torch(weight, ids):
    return F.embedding(torch.tensor(ids), weight)


def learned_positions_in_torch(weight, x):
    return x + F.embedding(torch.arange(x.shape[1]), weight)


def positional_encoding_in_torch(x):
    """As in PyTorch's tutorial."""
    position, pair = torch.arange(x.shape[1]).double(), torch.arange(0, x.shape[2], 2).double()
    angle = position[:, None] * torch.exp(pair * (-np.log(10000.0) / x.shape[2]))
    return x + torch.stack([torch.sin(angle), torch.cos(angle)], dim=2).flatten(1)[:, : x.shape[2]]


def sign(x):
    """The straight-through estimator is hard_tanh with another value, put in past the gradient."""
    surrogate = torch.clip(x, -1, 1)  # passes at the ends, as ours does
    return surrogate + (torch.where(x >= 0, 1.0, -1.0) - surrogate).detach()


def binary_dense_in_torch(w, *rest, binary_input=True):
    *b, x = rest
    y = (sign(x) if binary_input else x) @ sign(w)
    return y + b[0] if b else y


@each_dtype
def test_embedding(dtype):
    rng = np.random.default_rng(1)
    for draw in range(DRAWS):
        count, features = int(rng.integers(1, 20)), int(rng.integers(1, 7))
        ids = rng.integers(0, count, tuple(rng.integers(1, 7, 1 + draw % 3)))
        weight, dy = random_array(rng, (count, features), dtype), random_array(rng, (*ids.shape, features), dtype)
        ours = run(pn.embedding(count, features), EmbeddingParams(weight), ids, dy)
        agree("embedding", "PyTorch", ours, torch_vjp(embedding_in_torch, dy, weight, ids=ids))
        if draw % 5 == 0:  # each is compiled
            agree("embedding", "JAX", ours, jax_vjp(rows_in_jax, dy, weight, ids=ids))


@each_dtype
def test_learned_positions(dtype):
    rng = np.random.default_rng(2)
    for _ in range(DRAWS):
        batch, time, features, more = (int(n) for n in rng.integers(1, 7, 4))
        x, dy = (random_array(rng, (batch, time, features), dtype) for _ in range(2))
        weight = random_array(rng, (time + more - 1, features), dtype)
        ours = run(pn.learned_positions(len(weight)), EmbeddingParams(weight), x, dy)
        agree("learned_positions", "PyTorch", ours, torch_vjp(learned_positions_in_torch, dy, weight, x))


@each_dtype
def test_positional_encoding(dtype):
    rng = np.random.default_rng(3)
    for _ in range(DRAWS):
        batch, time, features = int(rng.integers(1, 4)), int(rng.integers(1, 40)), int(rng.integers(1, 12))
        x, dy = (random_array(rng, (batch, time, features), dtype, 1) for _ in range(2))
        y, _, dx = run(pn.positional_encoding, (), x, dy)
        agree("positional_encoding", "PyTorch", (y, dx), torch_vjp(positional_encoding_in_torch, dy, x))


@each_dtype
def test_dropout_is_pytorchs_with_the_same_mask(dtype):
    """PyTorch's draws are its own; its values are ours where it drops the same, and so is its rule."""
    rng = np.random.default_rng(4)
    for draw in range(DRAWS):
        rate, key = float(rng.uniform(0, 0.95)), pn.key(draw)
        shape = tuple(int(n) for n in rng.integers(1, 8, rng.integers(2, 5)))
        x, dy = random_array(rng, shape, dtype), random_array(rng, shape, dtype)
        channelwise = draw % 2 == 1
        layer = pn.dropout(rate, channelwise=channelwise)
        ones = np.ones(shape if not channelwise else (shape[0], *(1 for _ in shape[1:-1]), shape[-1]))
        kept = torch.tensor(layer.apply((), ones, key) > 0)

        def in_torch(x, kept=kept, rate=rate):
            return x * kept / (1 - rate)

        y, _, dx = run(layer, (), x, dy, key)
        agree("dropout", "PyTorch", (y, dx), torch_vjp(in_torch, dy, x))
    x = torch.ones(1000, dtype=torch.float64)
    assert set(F.dropout(x, 0.3).unique().tolist()) == set(np.unique(pn.dropout(0.3).apply((), x.numpy(), pn.key(0))))


@each_dtype
def test_binary_dense(dtype):
    rng = np.random.default_rng(5)
    for draw in range(DRAWS):
        *leading, inputs = (int(n) for n in rng.integers(1, 8, 1 + draw % 3 + 1))
        outputs, binary_input, bias = int(rng.integers(1, 8)), draw % 4 > 0, draw % 5 > 0
        x, w = random_array(rng, (*leading, inputs), dtype, 1), random_array(rng, (inputs, outputs), dtype, 1)
        b, dy = random_array(rng, (outputs,), dtype, 1), random_array(rng, (*leading, outputs), dtype, 1)
        x.flat[0] = rng.choice([0.0, 1.0, -1.0])
        layer = pn.binary_dense(outputs, bias=bias, binary_input=binary_input)
        ours = run(layer, DenseParams(w, b if bias else None), x, dy)
        given = (w, *([b] if bias else []), x)
        agree("binary_dense", "PyTorch", ours, torch_vjp(binary_dense_in_torch, dy, *given, binary_input=binary_input))
