"""Embeddings of ids, and of positions."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.twins.draw import random_array, sizes, with_params
from tests.oracles.twins.twin import Drawn, Twin


def embedding_in_torch(params, ids, *sizes):
    return F.embedding(ids.long(), params.weight)


def embedding_in_jax(params, ids, *sizes):
    return params.weight[ids]


def draw_embedding(rng):
    count, features = int(rng.integers(1, 20)), int(rng.integers(1, 7))
    ids = rng.integers(0, count, sizes(rng, rng.integers(1, 4), 1, 6))
    return with_params(rng, pn.embedding(count, features), ids)


def learned_positions_in_torch(params, x, *sizes):
    return x + F.embedding(torch.arange(x.shape[1]), params.weight)


def learned_positions_in_jax(params, x, *sizes):
    return x + params.weight[: x.shape[1]]


def draw_learned_positions(rng):
    batch, time, features, more = sizes(rng, 4, 1, 6)
    x = random_array(rng, (batch, time, features))
    return with_params(rng, pn.learned_positions(time + more - 1), x)


def positional_encoding_in_torch(params, x, base=10000.0):
    """As in PyTorch's tutorial."""
    position, pair = torch.arange(x.shape[1]).double(), torch.arange(0, x.shape[2], 2).double()
    angle = position[:, None] * torch.exp(pair * (-np.log(base) / x.shape[2]))
    return x + torch.stack([torch.sin(angle), torch.cos(angle)], dim=2).flatten(1)[:, : x.shape[2]]


def positional_encoding_in_jax(params, x, base=10000.0):
    feature = jnp.arange(x.shape[2])
    angle = jnp.arange(x.shape[1])[:, None] / base ** (2 * (feature // 2) / x.shape[2])
    return x + jnp.where(feature % 2 == 0, jnp.sin(angle), jnp.cos(angle))


def draw_positional_encoding(rng):
    batch, time, features = int(rng.integers(1, 4)), int(rng.integers(1, 40)), int(rng.integers(1, 12))
    return Drawn(pn.positional_encoding, random_array(rng, (batch, time, features), 1))


TWINS = {
    "embedding": Twin(embedding_in_torch, embedding_in_jax, draw_embedding, jax_draws=10),
    "learned_positions": Twin(
        learned_positions_in_torch, learned_positions_in_jax, draw_learned_positions, jax_draws=10
    ),
    "positional_encoding": Twin(
        positional_encoding_in_torch, positional_encoding_in_jax, draw_positional_encoding, jax_draws=10
    ),
}
