"""The transformer's blocks: PyTorch's modules, and by hand of attention's twins where there is no module."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import torch
from torch import nn

import purenet as pn
from tests.oracles.twins.attention import (
    JAX_TOLERANCE,
    attention_in_jax,
    attention_in_torch,
    dense,
    draw_mask,
    draw_state,
    has_state,
    in_proj,
    mask_of,
)
from tests.oracles.twins.draw import coin, near_init
from tests.oracles.twins.twin import Drawn, Twin


class Options(NamedTuple):
    """The arguments of a maker: what is not given has its default."""

    features: int
    heads: int
    hidden: int | None = None
    kv_heads: int | None = None
    rotary: bool | float = False
    causal: bool | None = None
    norm: str = "pre"
    activation: Any = None
    dropout: float = 0.0
    attention_dropout: float = 0.0
    bias: bool = True
    eps: float = 1e-5


def inputs(x, decodes):
    """(X, its mask, the memory, its mask) of x, with None for what there is not."""
    first, *rest = x if isinstance(x, tuple) else (x,)
    memory, *rest = rest if decodes else (None, *rest)
    own, mask = (first[1], *rest, None)[:2] if isinstance(first, tuple) else (None, *rest, None)[:2]
    first = first[0] if isinstance(first, tuple) else first
    return (first, own, memory, mask) if decodes else (first, mask, None, None)


def by_hand(attend, normed, active, params, x, options, decodes):
    """Each half, with a way around it and its norm; and the state, if there is one."""
    stateful, kept = has_state(x), []
    if stateful:
        state, x = x[1], (x[0], *x[2:]) if len(x) > 2 else x[0]
    x, own, memory, memory_mask = inputs(x, decodes)

    def attends(p, x, memory, mask, causal):
        beside = [each for each in (memory, mask) if each is not None]
        given = (x, state, *beside) if stateful and memory is None else (x, *beside)
        more = {"kv_heads": options.kv_heads, "causal": causal, "bias": options.bias}
        more["rotary"] = options.rotary if memory is None else False
        y = attend(p, given if len(given) > 1 else x, options.features, options.heads, **more)
        if type(y) is tuple:
            y, new = y
            kept.append(new)
        return y

    halves = [
        lambda p, x: attends(p[0], x, None, own, decodes if options.causal is None else options.causal),
        *([lambda p, x: attends(p[0], x, memory, memory_mask, False)] if decodes else []),
        lambda p, x: dense(p[2], active(dense(p[0], x))),
    ]
    for half, f in zip(params, halves, strict=True):
        if options.norm == "post":
            x = normed(half[1], x + f(half[0], x), options.eps)
        else:
            x = x + f(half[1:], normed(half[0], x, options.eps))
    return (x, *kept) if stateful else x


def normed_in_torch(p, x, eps):
    return nn.functional.layer_norm(x, p.weight.shape, p.weight, p.bias, eps)


def normed_in_jax(p, x, eps):
    return jax.nn.standardize(x, axis=-1, epsilon=eps) * p.weight + (0 if p.bias is None else p.bias)


def state_of(params, norm, attentions):
    """The state dict of PyTorch's module, of our params."""
    state = {}
    for i, half in enumerate(params):
        own_norm, layers = (half[1], half[0]) if norm == "post" else (half[0], half[1:])
        state |= {f"norm{i + 1}.{path}": a for path, a in own_norm._asdict().items() if a is not None}
        if i < len(attentions):
            state |= {f"{attentions[i]}.{path}": a for path, a in in_proj(layers[0]).items()}
        else:
            for name, p in (("linear1", layers[0]), ("linear2", layers[2])):
                state |= {f"{name}.weight": p.weight.T} | ({} if p.bias is None else {f"{name}.bias": p.bias})
    return state


def seen_by(mask, causal, queries, keys, heads):
    """The scores' mask that PyTorch's modules add, and whether each place sees anything; of no mask they make NaN."""
    t, s = queries.shape[1], keys.shape[1]
    allowed, added = mask_of(torch, mask, t, s, causal)
    seen = torch.where(allowed, 0.0 if added is None else added, -torch.inf).to(queries.dtype)
    return seen.expand(len(queries), heads, -1, -1).flatten(0, 1), bool(allowed.any(-1).all())


def in_torch(decodes, params, x, *args, **given):
    """PyTorch's module where it has one: of heads that share nothing, of places that see something, of a memory of as
    many features."""
    o = Options(*args, **given)
    active = nn.functional.gelu if o.activation is None else partial(o.activation.run, ())
    if has_state(x):
        return by_hand(attention_in_torch, normed_in_torch, active, params, x, o, decodes)
    first, own, memory, memory_mask = inputs(x, decodes)
    seen, sees = seen_by(own, decodes if o.causal is None else o.causal, first, first, o.heads)
    more = {}
    if decodes:
        memory_seen, sees_memory = seen_by(memory_mask, False, first, memory, o.heads)
        sees, more = sees and sees_memory, {"tgt_mask": seen, "memory_mask": memory_seen}
    if o.rotary or o.kv_heads not in (None, o.heads) or not sees or (decodes and memory.shape[-1] != o.features):
        return by_hand(attention_in_torch, normed_in_torch, active, params, x, o, decodes)
    make = nn.TransformerDecoderLayer if decodes else nn.TransformerEncoderLayer
    module = make(
        o.features, o.heads, o.hidden or 4 * o.features, 0.0, active, layer_norm_eps=o.eps, batch_first=True,
        norm_first=o.norm == "pre", bias=o.bias,
    )  # fmt: skip
    state = state_of(params, o.norm, ("self_attn", "multihead_attn")[: 1 + decodes])
    given = (first, memory) if decodes else (first, seen)
    return torch.func.functional_call(module, state, given, more)


def in_jax(decodes, params, x, *args, **given):
    o = Options(*args, **given)
    active = partial(jax.nn.gelu, approximate=False) if o.activation is None else partial(o.activation.run, ())
    return by_hand(attention_in_jax, normed_in_jax, active, params, x, o, decodes)


def draw(decodes, rng, states=True):
    batch, t, s, shared, group, size, hidden, other = (int(n) for n in rng.integers(1, [5, 9, 9, 4, 3, 6, 9, 8]))
    heads = shared * group
    features = heads * (size + 2)  # the norm of one feature is 0, and of two ±1 but for rounding
    options = {
        "kv_heads": shared if group > 1 and coin(rng) else None,
        "causal": coin(rng),
        "rotary": size % 2 == 0 and coin(rng),
        "norm": str(rng.choice(["pre", "post"])),
        "activation": (pn.gelu, pn.relu, pn.swiglu)[rng.integers(3)],
        "bias": coin(rng),
        "eps": float(rng.choice([1e-5, 1e-3])),
    }
    x, own = rng.normal(size=(batch, t, features)), draw_mask(rng, batch, heads, t, t)
    stateful = states and options["causal"] and coin(rng)
    if stateful:
        x = x, *draw_state(rng, batch, heads, t, features // heads * (options["kv_heads"] or heads), not decodes)
    else:
        x = x if own is None else (x, own)
    if decodes:
        memory = rng.normal(size=(batch, s, features if coin(rng) else other))
        mask = draw_mask(rng, batch, heads, t, s)
        x = (*(x if stateful else (x,)), memory, *(() if mask is None else (mask,)))
    make = pn.transformer_decoder_block if decodes else pn.transformer_block
    layer = make(features, heads, 2 * hidden, **options)
    return Drawn(layer, x, near_init(rng, layer, x))


TWINS = {
    name: Twin(
        partial(in_torch, decodes),
        partial(in_jax, decodes),
        partial(draw, decodes),
        draws=100,
        jax_draw=partial(draw, decodes, states=False),
        jax_draws=6,
        share=0.1,
        jax_tolerance=JAX_TOLERANCE,
    )
    for name, decodes in (("transformer_block", False), ("transformer_decoder_block", True))
}
