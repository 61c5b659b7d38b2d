"""Attention and the transformer's block: PyTorch's modules, and JAX's function of the heads."""

from __future__ import annotations

from functools import partial

import jax
import torch
from torch import nn

import purenet as pn
from tests.oracles.twins.draw import coin, near_init
from tests.oracles.twins.twin import Drawn, Twin

SIZES = [(2, 1, 5, 3, 4, 2), (2, 7, 1, 3, 4, 12)]  # of draws for JAX, that compiles for each


def parts(x):
    """Queries, keys and values, and the mask or None."""
    if not isinstance(x, tuple):
        return x, x, None
    *several, mask = x if x[-1].ndim == 2 else (*x, None)
    return several[0], several[-1], mask


def causal_mask(t, s, causal):
    return torch.ones(t, s, dtype=torch.bool).triu(1) if causal else None


def in_proj(params):
    """The state dict's entries of our params; its keys have a bias, ours have none."""
    q, k, v, out = (p.weight.T for p in params)
    if len(params.key.weight) == len(params.query.weight):
        state = {"in_proj_weight": torch.cat([q, k, v])}
    else:
        state = {"q_proj_weight": q, "k_proj_weight": k, "v_proj_weight": v}
    state["out_proj.weight"] = out
    if params.out.bias is not None:
        none = torch.zeros_like(params.query.bias)
        state["in_proj_bias"] = torch.cat([params.query.bias, none, params.value.bias])
        state["out_proj.bias"] = params.out.bias
    return state


def attention_in_torch(params, x, features, heads, causal=False, bias=True):
    q, kv, mask = parts(x)
    other = kv.shape[-1]
    module = nn.MultiheadAttention(features, heads, bias=bias, kdim=other, vdim=other, batch_first=True)
    options = {"attn_mask": causal_mask(q.shape[1], kv.shape[1], causal), "need_weights": False}
    if mask is not None:
        sees = mask.any(dim=1)  # where there is nothing to see the module has NaN, and ours the sum of nothing
        options["key_padding_mask"] = ~mask & sees[:, None]
    y, _ = torch.func.functional_call(module, in_proj(params), (q, kv, kv), options)
    if mask is None:
        return y
    return torch.where(sees[:, None, None], y, params.out.bias if bias else 0)


def attention_in_jax(params, x, features, heads, causal=False, bias=True):
    queries, kv, mask = parts(x)

    def dense(p, x):
        return x @ p.weight + (0 if p.bias is None else p.bias)

    given = zip(params, (queries, kv, kv), strict=False)
    q, k, v = (dense(p, a).reshape(*a.shape[:2], heads, -1) for p, a in given)
    where = None if mask is None else mask[:, None, None, :]
    z = jax.nn.dot_product_attention(q, k, v, mask=where, is_causal=causal)
    return dense(params.out, z.reshape(*queries.shape[:2], -1))


def draw_attention(rng, few=False):
    batch, t, s, heads, size, other = (int(n) for n in rng.integers(1, [5, 9, 9, 5, 6, 8]))
    crossed, padded, causal, bias = coin(rng), coin(rng), coin(rng, 0.3), coin(rng, 0.8)
    if few:
        (batch, t, s, heads, size, other), bias = SIZES[rng.integers(len(SIZES))], True
    x = [rng.normal(size=(batch, t, heads * size))]
    if crossed:
        x.append(rng.normal(size=(batch, s, other)))
    if padded:
        mask = rng.random((batch, s if crossed else t)) < 0.6
        mask[:, 0] = True
        x.append(mask)
    layer = pn.multi_head_attention(heads * size, heads, causal=causal, bias=bias)
    x = tuple(x) if len(x) > 1 else x[0]
    return Drawn(layer, x, near_init(rng, layer, x))


def block_in_torch(params, x, features, heads, hidden=None, dropout=0.0, causal=False):
    hidden = hidden or 4 * features
    module = nn.TransformerEncoderLayer(features, heads, hidden, 0.0, "gelu", norm_first=True, batch_first=True)
    (norm, attention), (norm_too, (first, *_, second)) = block_parts(params)
    state = {f"self_attn.{path}": value for path, value in in_proj(attention).items()}
    for path, part in (("norm1", norm), ("norm2", norm_too)):
        state |= {f"{path}.weight": part.weight, f"{path}.bias": part.bias}
    for path, part in (("linear1", first), ("linear2", second)):
        state |= {f"{path}.weight": part.weight.T, f"{path}.bias": part.bias}
    mask = causal_mask(x.shape[1], x.shape[1], causal)
    return torch.func.functional_call(module, state, (x, mask))


def block_parts(params):
    (norm, attention, *_), (norm_too, *dense) = params
    return (norm, attention), (norm_too, [p for p in dense if p])


def block_in_jax(params, x, features, heads, hidden=None, dropout=0.0, causal=False):
    (norm, attention), (norm_too, (first, *_, second)) = block_parts(params)

    def normed(p, x):
        return jax.nn.standardize(x, axis=-1, epsilon=1e-5) * p.weight + p.bias

    x = x + attention_in_jax(attention, normed(norm, x), features, heads, causal)
    inner = jax.nn.gelu(normed(norm_too, x) @ first.weight + first.bias, approximate=False)
    return x + inner @ second.weight + second.bias


def draw_block(rng):
    batch, t, heads, size, hidden = (int(n) for n in rng.integers(1, [5, 9, 5, 6, 9]))
    features = max(3, heads * size)  # the norm of one feature is 0, and of two ±1 but for rounding
    layer = pn.transformer_block(features, heads if features == heads * size else 1, hidden, causal=coin(rng))
    x = rng.normal(size=(batch, t, features))
    return Drawn(layer, x, near_init(rng, layer, x))


JAX_TOLERANCE = 1e-5  # in float64 too: jax.nn.dot_product_attention takes its softmax in float32

TWINS = {
    "multi_head_attention": Twin(
        attention_in_torch,
        attention_in_jax,
        draw_attention,
        draws=120,
        jax_draw=partial(draw_attention, few=True),
        jax_draws=60,
        share=0.1,
        jax_tolerance=JAX_TOLERANCE,
    ),
    "transformer_block": Twin(
        block_in_torch, block_in_jax, draw_block, draws=60, jax_draws=3, share=0.1, jax_tolerance=JAX_TOLERANCE
    ),
}
