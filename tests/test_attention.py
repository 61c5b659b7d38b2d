"""multi_head_attention beyond the contract: masks, what may see what, errors, and the same under JAX."""

from __future__ import annotations

import re

import numpy as np
import pytest

import purenet as pn


def normal(*shape, seed=0):
    return pn.random.normal(pn.key(seed), shape, np.float64)


def params_of(layer, in_shape=None):
    keys = iter(pn.split(pn.key(1), 99))
    params = layer.init(pn.key(0), in_shape)
    return pn.tree.map(lambda p: p + 0.2 * pn.random.normal(next(keys), p.shape, np.float64), params)


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_each_head_by_hand(heads):
    layer = pn.multi_head_attention(6, heads)
    x, params = normal(1, 4, 6), params_of(layer)
    q, k, v = (x[0] @ p.weight + (0 if p.bias is None else p.bias) for p in params[:3])
    size = 6 // heads
    outs = []
    for i in range(heads):
        own = slice(i * size, (i + 1) * size)
        weights = pn.softmax.apply((), q[:, own] @ k[:, own].T / np.sqrt(size))
        outs.append(weights @ v[:, own])
    y = np.concatenate(outs, axis=1) @ params.out.weight + params.out.bias
    np.testing.assert_allclose(layer.apply(params, x)[0], y, rtol=1e-11)


def test_self_attention_is_cross_attention_with_itself():
    layer = pn.multi_head_attention(4, 2)
    x, params = normal(2, 5, 4), params_of(layer)
    y, pullback = layer.vjp(params, x)
    z, pull = layer.vjp(params, (x, x))
    np.testing.assert_array_equal(y, z)
    dparams, dx = pullback(y)
    dparams_too, (dq, dkv) = pull(y)
    assert pn.tree.allclose(dparams, dparams_too, 1e-12)
    np.testing.assert_allclose(dx, dq + dkv, rtol=1e-12)


def test_causal_attention_does_not_see_ahead():
    layer = pn.multi_head_attention(4, 2, causal=True)
    x, params = normal(2, 5, 4), params_of(layer)
    y, pullback = layer.vjp(params, x)
    for n in range(1, 5):
        np.testing.assert_allclose(layer.apply(params, x[:, :n]), y[:, :n], rtol=1e-12)
    dy = np.zeros_like(y)
    dy[:, 2] = 1
    _, dx = pullback(dy)
    assert not dx[:, 3:].any()
    assert (dx[:, :3] != 0).all()


@pytest.mark.parametrize("causal", [False, True])
def test_a_padded_sequence_gives_what_it_gives_alone(causal):
    layer = pn.multi_head_attention(4, 2, causal=causal)
    x, params = normal(2, 5, 4), params_of(layer)
    mask = np.array([[False] * 2 + [True] * 3, [True] * 5])
    y, pullback = layer.vjp(params, (x, mask))
    np.testing.assert_allclose(y[:1, 2:], layer.apply(params, x[:1, 2:]), rtol=1e-12)
    np.testing.assert_array_equal(y[1:], layer.apply(params, x[1:]))
    dy = np.zeros_like(y)
    dy[0, 4] = 1
    _, (dx, nothing) = pullback(dy)
    assert nothing is None
    assert not dx[0, :2].any()
    assert dx[0, 2:].all()


@pytest.mark.parametrize("scale", [1, 1e4])
def test_with_nothing_to_attend_to_the_heads_are_0(scale):
    layer = pn.multi_head_attention(4, 2)
    params = params_of(layer)
    mask = np.array([[False] * 5, [True] * 5])
    y, pullback = layer.vjp(params, (scale * normal(2, 5, 4), mask))
    np.testing.assert_array_equal(y[0], np.broadcast_to(params.out.bias, (5, 4)))
    dparams, (dx, _) = pullback(np.ones_like(y))
    assert not dx[0].any()
    assert all(np.isfinite(leaf).all() for leaf in pn.tree.leaves((y, dparams, dx)))


def test_large_scores_do_not_overflow():
    layer = pn.multi_head_attention(4, 2)
    params = pn.tree.cast(params_of(layer), np.float32)
    x = 1e6 * normal(2, 5, 4).astype(np.float32)
    y, pullback = layer.vjp(params, x)
    assert all(np.isfinite(leaf).all() for leaf in pn.tree.leaves((y, pullback(np.ones_like(y)))))


def test_where_one_key_has_all_the_weight_the_scores_have_no_gradient():
    layer = pn.multi_head_attention(4, 2)
    params = pn.tree.cast(params_of(layer), np.float32)
    y, pullback = layer.vjp(params, normal(3, 1, 4).astype(np.float32))
    dparams, _ = pullback(y)
    assert not dparams.query.weight.any()
    assert not dparams.key.weight.any()


def test_keys_and_values_may_have_other_features():
    layer = pn.multi_head_attention(4, 2)
    params = layer.init(pn.key(0), ((3, 4), (5, 6)))
    assert [p.weight.shape for p in params] == [(4, 4), (6, 4), (6, 4), (4, 4)]
    assert layer.shape(((3, 4), (5, 6))) == (3, 4)


def test_the_transformer_block_is_its_parts():
    layer = pn.transformer_block(4, 2, causal=True)
    params, x = params_of(layer), normal(2, 5, 4)
    (norm, attention), (norm_too, first, _, second) = params
    y = x + pn.multi_head_attention(4, 2, causal=True).apply(attention, pn.layer_norm.apply(norm, x))
    inside = pn.gelu.apply((), pn.dense(16).apply(first, pn.layer_norm.apply(norm_too, y)))
    np.testing.assert_allclose(layer.apply(params, x), y + pn.dense(4).apply(second, inside), rtol=1e-12)
    key = pn.key(3)
    for code in ("transformer_block(4, 2)", "transformer_block(4, 2, 8, dropout=0.5, causal=True)"):
        assert eval(code, vars(pn)).name == code
    assert pn.transformer_block(4, 2, 16).name == "transformer_block(4, 2)"  # a default is left out
    dropping = pn.transformer_block(4, 2, dropout=0.5)
    dropping_params = params_of(dropping)
    assert (dropping.apply(dropping_params, x, key) != dropping.apply(dropping_params, x)).any()


X = np.ones((2, 3, 4), np.float32)


def run(x):
    layer = pn.multi_head_attention(4, 2)
    return layer.apply(layer.init(pn.key(0)), x)


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda: pn.multi_head_attention(6, 4), ValueError, "4 heads do not divide 6 features"),
        (
            lambda: pn.multi_head_attention(6, 0),
            ValueError,
            "takes features and heads that are positive integers, not 0",
        ),
        (lambda: pn.multi_head_attention(6.0, 2), ValueError, "not 6.0"),
        (
            lambda: pn.multi_head_attention(4, 2).init(pn.key(0), (3, 5)),
            ValueError,
            "(batch, time, 4), but its input has shape (batch, 3, 5)",
        ),
        (lambda: run(X[0]), ValueError, "takes x of shape (batch, time, 4), but x has shape (3, 4)"),
        (lambda: run(X[..., :3]), ValueError, "takes x of shape (batch, time, 4), but x has shape (2, 3, 3)"),
        (
            lambda: run(X[:, :0]),
            ValueError,
            "takes keys and values of at least one place, but there is none",
        ),
        (
            lambda: run((X, X, X, X)),
            ValueError,
            "takes x as one of: x (batch, time, 4); (x, mask (batch, time) of bool); "
            "(x, keys_values (batch, keys, attended)); (x, keys_values, mask (batch, keys) of bool). It was given (a",
        ),
        (
            lambda: run((X, [[True, False, True]] * 2)),
            ValueError,
            "It was given (a float32 array of shape (2, 3, 4), a list): write np.asarray(...) of each list",
        ),
        (
            lambda: pn.multi_head_attention(4, 2).apply(
                pn.multi_head_attention(4, 2).init(pn.key(0), ((3, 4), (5, 6))), X
            ),
            ValueError,
            "has params for keys and values of 6 features, so it takes x = (queries, keys_values)",
        ),
        (lambda: run((X, X[:1])), ValueError, "keys_values of shape (2, keys, 4), but keys_values has shape (1, 3, 4)"),
        (
            lambda: run((X, np.ones((2, 3)))),
            TypeError,
            "takes booleans as mask, not a float64 array of shape (2, 3): write mask.astype(bool)",
        ),
        (lambda: run((X, np.ones((2, 4), bool))), ValueError, "takes mask of shape (2, 3), but mask has shape (2, 4)"),
        (lambda: run(X.astype(np.float64)), TypeError, "float32 params, but x is float64"),
        (
            lambda: pn.multi_head_attention(4, 2).apply((), X),
            ValueError,
            "takes params = AttentionParams(query, key, value, out), not a tuple of 0",
        ),
    ],
)
def test_errors_say_what_to_do(act, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        act()
