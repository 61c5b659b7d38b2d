"""multi_head_attention against PyTorch's module and function and JAX's function: sizes, masks, options at random."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
import torch

import purenet as pn
from purenet.engine.numpy import NUMPY
from tests.oracles.agree import record, torch_vjp

DRAWS = 60
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}
JAX_TOLERANCE = 1e-5  # in float64 too: jax.nn.dot_product_attention takes its softmax in float32


def tensor(x):
    return torch.tensor(np.ascontiguousarray(x), requires_grad=True)


def largest_error(ours, theirs):
    """The largest difference over a leaf's largest entry, or over a tenth of the largest of all.

    The second is for gradients that are 0, as those of q and k where there is one key: PyTorch gives noise there.
    """
    pn.tree.check_same(ours, theirs)
    pairs = list(zip(pn.tree.leaves(ours), pn.tree.leaves(theirs), strict=True))
    least = 0.1 * max(np.abs(b).max() for _, b in pairs)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), least)) for a, b in pairs)


def draw_mask(rng, batch, s):
    """Where there is something, at least in the first place (PyTorch's module gives NaN for a row with nothing)."""
    mask = rng.random((batch, s)) < 0.6
    mask[:, 0] = True
    return mask


def in_torch(params, queries, keys_values, mask, dy, heads, causal):
    """[y, dparams, [dE/dqueries, dE/d(keys and values)]]; keys_values None where the queries are also those."""
    features, other, bias = queries.shape[-1], len(params.key.weight), params.out.bias is not None
    module = torch.nn.MultiheadAttention(features, heads, bias=bias, kdim=other, vdim=other, batch_first=True)
    module = module.to(getattr(torch, queries.dtype.name))
    packed = module.in_proj_weight is not None
    with torch.no_grad():
        three = [torch.tensor(p.weight.T.copy()) for p in params[:3]]
        if packed:
            module.in_proj_weight.copy_(torch.cat(three))
        else:
            for name, value in zip(("q", "k", "v"), three, strict=True):
                getattr(module, f"{name}_proj_weight").copy_(value)
        module.out_proj.weight.copy_(torch.tensor(params.out.weight.T.copy()))
        if bias:
            none = np.zeros_like(params.query.bias)
            module.in_proj_bias.copy_(torch.tensor(np.concatenate([params.query.bias, none, params.value.bias])))
            module.out_proj.bias.copy_(torch.tensor(params.out.bias))
    q = tensor(queries)
    kv = q if keys_values is None else tensor(keys_values)
    y, _ = module(
        q,
        kv,
        kv,
        key_padding_mask=None if mask is None else torch.tensor(~mask),
        attn_mask=torch.ones(q.shape[1], kv.shape[1], dtype=torch.bool).triu(1) if causal else None,
        need_weights=False,
    )
    y.backward(torch.tensor(dy))
    if packed:
        weights = module.in_proj_weight.grad.chunk(3)
    else:
        weights = [getattr(module, f"{name}_proj_weight").grad for name in ("q", "k", "v")]
    biases = module.in_proj_bias.grad.chunk(3) if bias else [None] * 3
    if bias:
        assert np.abs(biases[1].numpy()).max() < 1e-4  # the bias that our keys do not have
    theirs = [
        *((w.numpy().T, None if b is None else b.numpy()) for w, b in zip(weights, biases, strict=True)),
        (module.out_proj.weight.grad.numpy().T, module.out_proj.bias.grad.numpy() if bias else None),
    ]
    theirs[1] = (theirs[1][0], None)
    return [y.detach().numpy(), theirs, [q.grad.numpy(), *([] if kv is q else [kv.grad.numpy()])]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_the_layer_agrees_with_torch(dtype):
    rng = np.random.default_rng(11)
    worst = 0.0

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    for _ in range(DRAWS):
        batch, t, s, heads, size, other = (int(n) for n in rng.integers(1, [5, 9, 9, 5, 6, 8]))
        crossed, padded, causal, bias = (bool(b) for b in rng.random(4) < [0.5, 0.5, 0.3, 0.8])
        features = heads * size
        s, other = (s, other) if crossed else (t, features)
        layer = pn.multi_head_attention(features, heads, causal=causal, bias=bias)
        queries = normal(batch, t, features)
        keys_values = normal(batch, s, other) if crossed else queries
        mask = draw_mask(rng, batch, s) if padded else None
        x = (queries, *([keys_values] if crossed else []), *([mask] if padded else []))
        x = x if len(x) > 1 else queries
        params = layer.init(pn.key(int(rng.integers(1000))), pn.tree.map(lambda a: a.shape[1:], x))
        params = pn.tree.map(lambda p: p.astype(dtype) + dtype(0.2) * normal(*p.shape), params)

        ours, pullback = layer.vjp(params, x)
        dy = normal(*ours.shape)
        dparams, dx = pullback(dy)
        error = largest_error(
            [ours, [tuple(p) for p in dparams], pn.tree.leaves(dx)],
            in_torch(params, queries, keys_values if crossed else None, mask, dy, heads, causal),
        )
        assert error < TOLERANCE[dtype], (layer, queries.shape, keys_values.shape, mask)
        worst = max(worst, error)
    record("multi_head_attention", "PyTorch", dtype, worst, DRAWS)


def transformer_block_in_torch(x, *leaves, heads, causal):
    """nn.TransformerEncoderLayer as a function of x and our params, in their order."""
    norm, shift, q, q_bias, k, v, v_bias, out, out_bias, norm_too, shift_too, first, b, second, c = leaves
    state = {
        "norm1.weight": norm,
        "norm1.bias": shift,
        "self_attn.in_proj_weight": torch.cat([q.T, k.T, v.T]),
        "self_attn.in_proj_bias": torch.cat([q_bias, torch.zeros_like(q_bias), v_bias]),
        "self_attn.out_proj.weight": out.T,
        "self_attn.out_proj.bias": out_bias,
        "norm2.weight": norm_too,
        "norm2.bias": shift_too,
        "linear1.weight": first.T,
        "linear1.bias": b,
        "linear2.weight": second.T,
        "linear2.bias": c,
    }
    module = torch.nn.TransformerEncoderLayer(len(norm), heads, len(b), 0.0, "gelu", norm_first=True, batch_first=True)
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if causal else None
    return torch.func.functional_call(module, state, (x, mask))


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_the_transformer_block_agrees_with_torch(dtype):
    rng = np.random.default_rng(14)
    for draw in range(DRAWS):
        batch, t, heads, size, hidden = (int(n) for n in rng.integers(1, [5, 9, 5, 6, 9]))
        features, causal = max(2, heads * size), draw % 2 == 1  # the norm of one feature is 0
        heads = heads if features == heads * size else 1
        layer = pn.transformer_block(features, heads, hidden, causal=causal)
        params = pn.tree.map(
            lambda p: p.astype(dtype) + (0.2 * rng.standard_normal(p.shape)).astype(dtype), layer.init(pn.key(draw))
        )
        x, dy = (rng.standard_normal((batch, t, features)).astype(dtype) for _ in range(2))
        y, pullback = layer.vjp(params, x)
        dparams, dx = pullback(dy)
        value, (theirs_dx, *theirs) = torch_vjp(
            transformer_block_in_torch, dy, x, *pn.tree.leaves(params), heads=heads, causal=causal
        )
        error = largest_error([y, dx, *pn.tree.leaves(dparams)], [value, theirs_dx, *theirs])
        assert error < TOLERANCE[dtype], (layer, x.shape)
        record("transformer_block", "PyTorch", dtype, error)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_the_heads_agree_with_torch(dtype):
    rng = np.random.default_rng(12)
    worst = 0.0
    for _ in range(DRAWS):
        batch, t, s, heads, size = (int(n) for n in rng.integers(1, [5, 9, 9, 5, 6]))
        padded, causal = (bool(b) for b in rng.random(2) < [0.5, 0.4])
        mask = draw_mask(rng, batch, s) if padded else None
        q, k, v, dy = (rng.standard_normal((batch, n, heads * size)).astype(dtype) for n in (t, s, s, t))
        y, pull = NUMPY.attend(q, k, v, mask, heads, causal)

        inputs = [tensor(a) for a in (q, k, v)]
        allowed = torch.ones(t, s, dtype=torch.bool)
        allowed = (allowed.tril() if causal else allowed).expand(batch, 1, t, s)
        if padded:
            allowed = allowed & torch.tensor(mask)[:, None, None]
        cut = (a.unflatten(-1, (heads, size)).transpose(1, 2) for a in inputs)
        z = torch.nn.functional.scaled_dot_product_attention(*cut, attn_mask=allowed).transpose(1, 2).flatten(2)
        z.backward(torch.tensor(dy))
        error = largest_error([y, *pull(dy)], [z.detach().numpy(), *(a.grad.numpy() for a in inputs)])
        assert error < TOLERANCE[dtype], (q.shape, k.shape, heads, mask, causal)
        worst = max(worst, error)
    record("attention, its heads", "PyTorch", dtype, worst, DRAWS)


@partial(jax.jit, static_argnames=("heads", "causal"))
def by_jax(q, k, v, mask, dy, heads, causal):
    def f(q, k, v):
        cut = [a.reshape(*a.shape[:2], heads, -1) for a in (q, k, v)]
        where = None if mask is None else mask[:, None, None, :]
        return jax.nn.dot_product_attention(*cut, mask=where, is_causal=causal).reshape(q.shape)

    y, back = jax.vjp(f, q, k, v)
    return [y, *back(dy)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_the_heads_agree_with_jax(dtype):
    rng = np.random.default_rng(13)
    worst = 0.0
    with jax.enable_x64(True):
        for _ in range(DRAWS):  # few sizes, as JAX compiles for each
            t, s = int(rng.choice([1, 7])), int(rng.choice([1, 5]))
            padded, causal = (bool(b) for b in rng.random(2) < [0.5, 0.4])
            mask = draw_mask(rng, 2, s) if padded else None
            q, k, v, dy = (rng.standard_normal((2, n, 12)).astype(dtype) for n in (t, s, s, t))
            y, pull = NUMPY.attend(q, k, v, mask, 3, causal)
            theirs = by_jax(q, k, v, mask, dy, heads=3, causal=causal)
            error = largest_error([y, *pull(dy)], [np.asarray(a) for a in theirs])
            assert error < JAX_TOLERANCE, (t, s, mask, causal)
            worst = max(worst, error)
    record("attention, its heads", "JAX", dtype, worst, DRAWS)
