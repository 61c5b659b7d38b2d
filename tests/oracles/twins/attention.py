"""Attention: PyTorch's module and its function, and JAX's function of the heads."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
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
    if len(x) == 3:
        return x
    return (*x, None) if x[1].ndim == 3 else (x[0], x[0], x[1])


def mask_of(xp, mask, t, s, causal):
    """(what each query may see, (batch, heads or 1, t, s), what is added or None) with the functions of xp."""
    allowed = xp.ones((1, 1, t, s), dtype=bool if xp is jnp else torch.bool)
    if causal:
        allowed = xp.tril(allowed, s - t if causal == "end" else 0)
    if mask is None:
        return allowed, None
    if mask.ndim == 4:
        added = mask.dtype not in (torch.bool, jnp.bool_)
        return (allowed & (mask > -xp.inf), mask) if added else (allowed & mask, None)
    padding = mask if mask.ndim == 2 else xp.arange(s)[None] < mask[:, None]
    return allowed & padding[:, None, None], None


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


def turned(xp, a, start, base):
    """Heads (batch, heads, time, size) with each pair of halves turned by its place, as one complex number."""
    size = a.shape[-1]
    place, power = xp.arange(a.shape[2], dtype=a.dtype) + start, xp.arange(size // 2, dtype=a.dtype) * (-2 / size)
    angle = place[:, None] * (10_000.0 if base is True else base) ** power
    z = a[..., : size // 2] + 1j * a[..., size // 2 :]
    z = z * (xp.cos(angle) + 1j * xp.sin(angle))
    return xp.concatenate([z.real, z.imag], -1)


def attention_in_torch(
    params, x, features, heads, *, kv_heads=None, causal=False, rotary=False, dropout=0.0, bias=True
):
    """PyTorch's module; its function where heads are shared, or where a place sees nothing, of which it makes NaN."""
    if has_state(x):
        return with_past(params, heads, kv_heads or heads, rotary, *x)
    queries, kv, mask = parts(x)
    allowed, added = mask_of(torch, mask, queries.shape[1], kv.shape[1], causal)
    seen = torch.where(allowed, 0.0 if added is None else added, -torch.inf).to(queries.dtype)
    seen = seen.expand(len(queries), heads, -1, -1)
    if not rotary and kv_heads in (None, heads) and allowed.any(-1).all():
        other = kv.shape[-1]
        module = nn.MultiheadAttention(features, heads, bias=bias, kdim=other, vdim=other, batch_first=True)
        options = {"attn_mask": seen.flatten(0, 1), "need_weights": False}
        return torch.func.functional_call(module, in_proj(params), (queries, kv, kv), options)[0]
    given = zip(params, (queries, kv, kv), (heads, *[kv_heads or heads] * 2), strict=False)
    q, k, v = (dense(p, a).unflatten(-1, (n, -1)).transpose(1, 2) for p, a, n in given)
    if rotary:
        start = kv.shape[1] - queries.shape[1] if causal == "end" else 0
        q, k = turned(torch, q, start, rotary), turned(torch, k, 0, rotary)
    z = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
    return dense(params.out, z.transpose(1, 2).flatten(2))


def has_state(x):
    """Whether x is a piece of a sequence, and a state beside it."""
    return type(x) is tuple and type(x[1]) in (tuple, type(None))


def with_past(params, heads, shared, rotary, x, past, mask=None):
    """Causal attention of a piece, and the keys and values so far; of a cache of fixed size, example by example."""
    if past is not None and len(past) == 3:
        K, V, filled = past
        each = []
        for i, n in enumerate(filled.tolist()):
            old = K[i : i + 1, :n], V[i : i + 1, :n]
            y, new = with_past(params, heads, shared, rotary, x[i : i + 1], old)
            each.append((y, *(torch.cat([a, b[i : i + 1, a.shape[1] :]], 1) for a, b in zip(new, (K, V), strict=True))))
        y, K, V = (torch.cat(part) for part in zip(*each, strict=True))
        return y, (K, V, filled + x.shape[1])
    begun = 0 if past is None else past[0].shape[1]
    s = begun + x.shape[1]
    allowed, added = mask_of(torch, mask, x.shape[1], s, "end")
    others = x
    if mask is not None and mask.ndim < 3:  # the padding
        others = x * (mask if mask.ndim == 2 else torch.arange(s)[None] < mask[:, None])[:, begun:, None]
    given = zip(params, (x, others, others), (heads, shared, shared), strict=False)
    q, k, v = (dense(p, a).unflatten(-1, (n, -1)).transpose(1, 2) for p, a, n in given)
    if rotary:
        q, k = turned(torch, q, begun, rotary), turned(torch, k, begun, rotary)
    if past is not None:
        old = (a.unflatten(-1, (shared, -1)).transpose(1, 2) for a in past)
        k, v = (torch.cat(both, 2) for both in zip(old, (k, v), strict=True))
    seen = torch.where(allowed, 0.0 if added is None else added, -torch.inf).to(x.dtype)
    z = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True)
    z = torch.where(allowed.any(-1)[..., None], z, 0)
    return dense(params.out, z.transpose(1, 2).flatten(2)), tuple(a.transpose(1, 2).flatten(2) for a in (k, v))


def dense(p, x):
    return x @ p.weight + (0 if p.bias is None else p.bias)


def attention_in_jax(params, x, features, heads, *, kv_heads=None, causal=False, rotary=False, dropout=0.0, bias=True):
    queries, kv, mask = parts(x)
    given = zip(params, (queries, kv, kv), (heads, *[kv_heads or heads] * 2), strict=False)
    q, k, v = (dense(p, a).reshape(*a.shape[:2], n, -1) for p, a, n in given)
    if rotary:
        start = k.shape[1] - q.shape[1] if causal == "end" else 0
        q, k = (turned(jnp, a.swapaxes(1, 2), first, rotary).swapaxes(1, 2) for a, first in ((q, start), (k, 0)))
    allowed, added = mask_of(jnp, mask, q.shape[1], k.shape[1], causal)
    z = jax.nn.dot_product_attention(q, k, v, added, allowed)
    sees = jnp.swapaxes(allowed.any(-1), 1, 2)[..., None]  # else the mean of all values
    return dense(params.out, jnp.where(sees, z, 0).reshape(queries.shape))


def draw_mask(rng, batch, heads, t, s):
    """Of each kind, or None."""
    kind, several = rng.integers(5), heads if coin(rng) else 1
    if kind == 0:
        return rng.integers(0, s + 1, batch)
    if kind == 1:
        return rng.random((batch, s)) < 0.6
    if kind == 2:
        return rng.random((batch, several, t, s)) < 0.7
    return rng.normal(size=(batch, several, t, s)) if kind == 3 else None


def draw_state(rng, batch, heads, t, features, masked=True):
    """A state of so many features, grown or of fixed size, and a mask behind it, if one is drawn; or the state None."""
    begun, kind = int(rng.integers(1, 7)), rng.integers(3)
    if kind == 0:
        begun, state = 0, None
    elif kind == 1:
        state = tuple(rng.normal(size=(2, batch, begun, features)))
    else:
        K, V = rng.normal(size=(2, batch, begun + t, features))
        return ((K, V, rng.integers(0, begun + 1, batch)),)
    mask = draw_mask(rng, batch, heads, t, begun + t) if masked else None
    return (state,) if mask is None else (state, mask)


def draw_attention(rng, few=False):
    batch, t, s, shared, group, size, other = (int(n) for n in rng.integers(1, [5, 9, 9, 4, 4, 6, 8]))
    crossed, bias, causal = coin(rng), coin(rng, 0.8), [False, True, "end"][rng.integers(3)]
    if few:
        (batch, t, s, shared, size, other), group, bias = SIZES[rng.integers(len(SIZES))], 2, True
        causal = False if causal == "end" else causal
    heads = shared * group
    x = [rng.normal(size=(batch, t, heads * size))]
    if crossed:
        x.append(rng.normal(size=(batch, s, other)))
    mask = draw_mask(rng, batch, heads, t, s if crossed else t)
    x = (*x, mask) if mask is not None else tuple(x) if crossed else x[0]
    if causal and not few and coin(rng):
        x = rng.normal(size=(batch, t, heads * size)), *draw_state(rng, batch, heads, t, shared * size)
    kv_heads = shared if group > 1 or coin(rng) else None
    rotary = size % 2 == 0 and coin(rng) and float(rng.choice([10.0, 10_000.0]))
    layer = pn.multi_head_attention(heads * size, heads, kv_heads=kv_heads, causal=causal, rotary=rotary, bias=bias)
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
}
