"""multi_head_attention beyond the contract: masks, what may see what, errors, and the same under JAX."""

from __future__ import annotations

import re

import numpy as np
import pytest

import purenet as pn
from purenet.introspection import attention_weights
from tests.catalogue import LAYERS


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


@pytest.mark.parametrize("causal", [False, True])
def test_each_kind_of_mask_tells_the_same(causal):
    layer = pn.multi_head_attention(4, 2, causal=causal)
    x, params, lengths = normal(3, 5, 4), params_of(layer), np.array([3, 5, 0])
    padding = np.arange(5) < lengths[:, None]
    pairs = np.broadcast_to(padding[:, None, None], (3, 1, 5, 5))
    y, pullback = layer.vjp(params, (x, padding))
    gradients = pn.tree.leaves(pullback(y))
    added = np.where(pairs, 0.0, -np.inf)
    for mask in (lengths, pairs, np.broadcast_to(pairs, (3, 2, 5, 5)), added, np.broadcast_to(added, (3, 2, 5, 5))):
        for more in ((), (x,)):
            found, pull = layer.vjp(params, (x, *more, mask))
            np.testing.assert_allclose(found, y, rtol=1e-12)
            if mask.dtype.kind != "f":
                np.testing.assert_array_equal(found, y)
            dparams, (dx, *dmore, dmask) = pull(y)
            for a, b in zip(gradients, pn.tree.leaves((dparams, dx + sum(dmore))), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
            assert (dmask is None) == (mask.dtype.kind != "f")
            assert dmask is None or (dmask.shape == mask.shape and not dmask[~np.broadcast_to(pairs, mask.shape)].any())


def test_what_stands_in_the_padding_does_not_count_be_it_nan():
    layer = pn.multi_head_attention(4, 2)
    x, others, params = normal(2, 3, 4), normal(2, 5, 4, seed=1), params_of(layer)
    lengths = np.array([2, 4])
    padding = np.arange(5) < lengths[:, None]
    spoilt = np.where(padding[..., None], others, np.nan)
    for mask in (lengths, padding):
        y, pullback = layer.vjp(params, (x, others, mask))
        z, pull = layer.vjp(params, (x, spoilt, mask))
        np.testing.assert_array_equal(z, y)
        for a, b in zip(*(pn.tree.leaves(back(y)) for back in (pullback, pull)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_mask_of_pairs_is_for_each_query_alone():
    layer = pn.multi_head_attention(4, 2)
    x, params = normal(2, 5, 4), params_of(layer)
    mask = np.ones((2, 1, 5, 5), bool)
    mask[0, 0, 3] = [True, False, True, False, False]
    y = layer.apply(params, (x, mask))
    np.testing.assert_allclose(y[0, 3:4], layer.apply(params, (x[:1, 3:4], x[:1, [0, 2]]))[0], rtol=1e-12)
    others = np.array([0, 1, 2, 4])
    np.testing.assert_allclose(y[0, others], layer.apply(params, x)[0, others], rtol=1e-12)
    mask[0, 0, 3] = False
    np.testing.assert_array_equal(layer.apply(params, (x, mask))[0, 3], params.out.bias)
    y, pullback = layer.vjp(params, (x, np.where(mask, 0.0, -np.inf)))
    assert all(np.isfinite(leaf).all() for leaf in pn.tree.leaves((y, pullback(y))))


def test_a_large_number_that_is_added_does_not_overflow():
    layer = pn.multi_head_attention(4, 2)
    x, params = normal(2, 5, 4).astype(np.float32), pn.tree.cast(params_of(layer), np.float32)
    for large in (np.float32(1e4), np.finfo(np.float32).min):
        y, pullback = layer.vjp(params, (x, np.full((2, 1, 5, 5), large)))
        assert all(np.isfinite(leaf).all() for leaf in pn.tree.leaves((y, pullback(y))))


def test_shared_heads_of_keys_and_values_are_repeated_heads():
    layer, whole = pn.multi_head_attention(8, 4, kv_heads=2), pn.multi_head_attention(8, 4)
    x, params = normal(2, 5, 8), params_of(layer)
    assert params.key.weight.shape == params.value.weight.shape == (8, 4)

    def repeated(a):
        return a.reshape(*a.shape[:-1], 2, 2).repeat(2, -2).reshape(*a.shape[:-1], 8)

    wide = params._replace(key=pn.tree.map(repeated, params.key), value=pn.tree.map(repeated, params.value))
    for given in (x, (x, np.array([2, 4]))):
        np.testing.assert_allclose(layer.apply(params, given), whole.apply(wide, given), rtol=1e-12)


@pytest.mark.parametrize("t", [1, 2, 5])
def test_queries_that_stand_at_the_end_of_the_keys(t):
    layer, causal = pn.multi_head_attention(4, 2, causal="end"), pn.multi_head_attention(4, 2, causal=True)
    x, params = normal(2, 5, 4), params_of(layer)
    np.testing.assert_allclose(layer.apply(params, (x[:, -t:], x)), causal.apply(params, x)[:, -t:], rtol=1e-12)
    longer = layer.apply(params, (x, x[:, :2]))  # the first queries stand before all keys
    np.testing.assert_array_equal(longer[:, :3], np.broadcast_to(params.out.bias, (2, 3, 4)))


def turned_by_hand(a, places, base):
    """A head (time, size) as complex numbers of its halves, turned."""
    half = a.shape[-1] // 2
    z = (a[:, :half] + 1j * a[:, half:]) * np.exp(1j * np.outer(places, base ** (-np.arange(half) / half)))
    return np.concatenate([z.real, z.imag], axis=-1)


@pytest.mark.parametrize(("rotary", "base"), [(True, 10_000.0), (7, 7.0), (10_000.0, 10_000.0)])
def test_rotary_turns_queries_and_keys_by_their_places(rotary, base):
    layer = pn.multi_head_attention(12, 2, rotary=rotary)
    x, params = normal(1, 4, 12), params_of(layer)
    q, k, v = (x[0] @ p.weight + (0 if p.bias is None else p.bias) for p in params[:3])
    outs = []
    for own in (slice(0, 6), slice(6, 12)):
        a, b = (turned_by_hand(each[:, own], range(4), base) for each in (q, k))
        outs.append(pn.softmax.apply((), a @ b.T / np.sqrt(6)) @ v[:, own])
    y = np.concatenate(outs, axis=1) @ params.out.weight + params.out.bias
    np.testing.assert_allclose(layer.apply(params, x)[0], y, rtol=1e-11)


def test_with_rotary_a_score_depends_on_the_distance_alone():
    layer = pn.multi_head_attention(8, 2, rotary=True)
    x, params = normal(1, 6, 8), params_of(layer)
    later = np.concatenate([normal(1, 3, 8, seed=2), x], axis=1)
    mask = np.arange(9)[None] >= 3
    np.testing.assert_allclose(layer.apply(params, (later, mask))[:, 3:], layer.apply(params, x), rtol=1e-11)
    plain = pn.multi_head_attention(8, 2)
    np.testing.assert_allclose(layer.apply(params, x[:, :1]), plain.apply(params, x[:, :1]), rtol=1e-12)
    assert not np.allclose(layer.apply(params, x), plain.apply(params, x))
    end = pn.multi_head_attention(8, 2, rotary=True, causal="end")
    whole = pn.multi_head_attention(8, 2, rotary=True, causal=True)
    np.testing.assert_allclose(end.apply(params, (x[:, -2:], x)), whole.apply(params, x)[:, -2:], rtol=1e-11)


def pieces_of(layer, params, x, size):
    """Y of a sequence in pieces, and the last state."""
    ys, state = [], None
    for t in range(0, x.shape[1], size):
        y, state = layer.apply(params, (x[:, t : t + size], state))
        ys.append(y)
    return np.concatenate(ys, axis=1), state


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize(
    "layer",
    [
        pn.multi_head_attention(8, 2, causal=True),
        pn.multi_head_attention(8, 4, kv_heads=2, causal="end", rotary=True),
        pn.transformer_block(8, 2, causal=True, rotary=True),
        pn.transformer_block(8, 2, causal=True, norm="post", dropout=0.5),
        pn.stacked(*[pn.transformer_block(8, 4, kv_heads=2, causal=True, rotary=100.0)] * 3),
    ],
    ids=str,
)
def test_a_sequence_in_pieces_gives_what_it_gives_as_a_whole(layer, size, dtype):
    x, params = normal(2, 7, 8).astype(dtype), pn.tree.cast(params_of(layer), dtype)
    whole, (y, state) = layer.apply(params, x), pieces_of(layer, params, x, size)
    assert np.abs(y - whole).max() <= 16 * np.finfo(dtype).eps * np.abs(whole).max()
    if size == 7:
        np.testing.assert_array_equal(y, whole)
    assert all(each.shape[:2] == (2, 7) and each.dtype == dtype for each in pn.tree.leaves(state))


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("make", [pn.multi_head_attention, pn.transformer_block])
def test_gradients_go_through_the_state_to_the_pieces_before(make, rotary):
    layer = make(8, 2, causal=True, rotary=rotary)
    x, params = normal(2, 5, 8), params_of(layer)
    y, pullback = layer.vjp(params, x)
    dy = normal(*y.shape, seed=3)
    (first, state), pull_first = layer.vjp(params, (x[:, :3], None))
    (last, _), pull_last = layer.vjp(params, (x[:, 3:], state))
    np.testing.assert_allclose(np.concatenate([first, last], axis=1), y, rtol=1e-11)
    dlast, (dx_last, dstate) = pull_last((dy[:, 3:], None))
    dfirst, (dx_first, nothing) = pull_first((dy[:, :3], dstate))
    dparams, dx = pullback(dy)
    assert nothing is None
    np.testing.assert_allclose(np.concatenate([dx_first, dx_last], axis=1), dx, rtol=1e-9, atol=1e-12)
    assert pn.tree.allclose(pn.tree.map(np.add, dfirst, dlast), dparams, 1e-9, 1e-12)


def test_blocks_with_a_state_keep_to_the_contract():
    for layer in (pn.transformer_block(4, 2, 3, causal=True), pn.transformer_block(4, 1, 3, causal=True, norm="post")):
        for state in (None, (normal(2, 3, 4, seed=1), normal(2, 3, 4, seed=2))):
            pn.testing.check_vjp(layer, params_of(layer), (normal(2, 2, 4), state))


@pytest.mark.parametrize(
    "layer",
    [
        pn.multi_head_attention(8, 2, causal=True, rotary=True),
        pn.transformer_block(8, 2, causal=True, norm="post"),
        pn.stacked(*[pn.transformer_block(8, 4, kv_heads=2, causal=True, rotary=True)] * 2),
    ],
    ids=str,
)
def test_a_padded_batch_goes_on_in_pieces(layer):
    x, before, params = normal(3, 7, 8), np.array([2, 0, 3]), params_of(layer)
    counts = np.arange(7) >= before[:, None]
    ys, state = [], None
    for start, end in ((0, 4), (4, 5), (5, 7)):
        piece = np.where(counts[:, start:end, None], x[:, start:end], np.nan)
        y, state = layer.apply(params, (piece, state, counts[:, :end]))
        ys.append(y)
    for i, n in enumerate(before):
        alone = layer.apply(params, x[i : i + 1, n:])[0]
        np.testing.assert_allclose(np.concatenate(ys, axis=1)[i, n:], alone, rtol=1e-11)


def test_a_cache_counts_in_the_dtype_that_it_was_given():
    layer, x, empty = pn.multi_head_attention(2, 1, causal=True), normal(1, 27, 2), np.zeros((1, 127, 2))
    _, (_, _, filled) = layer.apply(params_of(layer), (x, (empty, empty, np.array([100], np.int8))))
    assert filled.dtype == np.int8
    assert filled == [127]


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("make", [pn.multi_head_attention, pn.transformer_block])
def test_a_cache_of_fixed_size_holds_what_grows_elsewhere(make, rotary):
    layer = make(8, 4, kv_heads=2, causal=True, rotary=rotary)
    x, params, dy = normal(2, 5, 8), params_of(layer), normal(2, 5, 8, seed=3)
    whole, pull_whole = layer.vjp(params, x)
    empty = np.zeros((2, 6, 4))
    (first, state), pull_first = layer.vjp(params, (x[:, :3], (empty, empty, np.zeros(2, np.int32))))
    (last, (K, _, filled)), pull_last = layer.vjp(params, (x[:, 3:], state))
    np.testing.assert_allclose(np.concatenate([first, last], axis=1), whole, rtol=1e-11)
    _, (grown, _) = layer.apply(params, (x, None))
    np.testing.assert_allclose(K, np.concatenate([grown, empty[:, :1]], axis=1), rtol=1e-11)
    assert filled.tolist() == [5, 5]
    assert filled.dtype == np.int32
    dlast, (dx_last, dstate) = pull_last((dy[:, 3:], None))
    dfirst, (dx_first, dempty) = pull_first((dy[:, :3], dstate))
    dparams, dx = pull_whole(dy)
    np.testing.assert_allclose(np.concatenate([dx_first, dx_last], axis=1), dx, rtol=1e-9, atol=1e-12)
    assert pn.tree.allclose(pn.tree.map(np.add, dfirst, dlast), dparams, 1e-9, 1e-12)
    assert dempty[2] is None
    assert not any(part.any() for part in dempty[:2])  # nothing is read of what is not filled


def test_padding_in_a_cache_is_written_over():
    layer = pn.stacked(*[pn.transformer_block(8, 2, causal=True, rotary=True)] * 2)
    x, lengths, params = normal(3, 6, 8), np.array([2, 4, 1]), params_of(layer)
    padded = np.where(np.arange(4)[:, None] < lengths[:, None, None], x[:, :4], np.nan)
    empty = np.zeros((3, 6, 8))
    _, state = layer.apply(params, (padded, ((empty, empty, np.zeros(3, int)),) * 2))
    y, _ = layer.apply(params, (x[:, 4:], tuple((K, V, lengths) for K, V, _ in state)))
    for i, n in enumerate(lengths):
        alone = layer.apply(params, np.concatenate([x[i : i + 1, :n], x[i : i + 1, 4:]], axis=1))
        np.testing.assert_allclose(y[i], alone[0, n:], rtol=1e-11)


def test_shapes_with_a_state():
    net = pn.stacked(pn.transformer_block(4, 2, causal=True), pn.transformer_block(4, 2, causal=True))
    assert net.shape((3, 4)) == (3, 4)
    assert net.shape(((3, 4), None)) == ((3, 4), (((3, 4), (3, 4)),) * 2)
    assert pn.multi_head_attention(4, 2, causal=True).shape(((..., 4), (..., 6))) == (..., 4)
    one = pn.multi_head_attention(4, 2, causal=True)
    assert one.shape(((3, 4), ((2, 4), (2, 4)), (5,))) == ((3, 4), ((5, 4), (5, 4)))
    assert one.shape(((3, 4), ((9, 4), (9, 4), ()))) == ((3, 4), ((9, 4), (9, 4), ()))


def test_dropout_drops_weights_in_training_alone():
    layer, key = pn.multi_head_attention(4, 1, dropout=0.25), pn.key(1)
    x, params = normal(1, 6, 4), params_of(layer)
    q, k, v = (x[0] @ p.weight + (0 if p.bias is None else p.bias) for p in params[:3])
    weights = pn.softmax.apply((), q @ k.T / 2)
    kept = pn.random.bernoulli(key, 0.75, (6, 6))
    assert 0 < kept.sum() < 36
    for drawn, shares in ((None, weights), (key, np.where(kept, weights / 0.75, 0))):
        y = shares @ v @ params.out.weight + params.out.bias
        np.testing.assert_allclose(layer.apply(params, x, drawn)[0], y, rtol=1e-11)


def test_of_two_shapes_that_are_known_in_part_the_second_is_that_of_keys():
    layer = pn.multi_head_attention(4, 2)
    shapes = (..., 4), (..., 6)
    assert layer.shape(shapes) == (..., 4)
    assert layer.init(pn.key(0), shapes).key.weight.shape == (6, 4)
    assert layer.shape(((3, 4), ())) == layer.shape(((3, 4), (3,))) == layer.shape(((3, 4), (1, 3, 3))) == (3, 4)


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
    for code in ("transformer_block(4, 2)", "transformer_block(4, 2, 8, causal=True, dropout=0.5)"):
        assert eval(code, vars(pn)).name == code
    assert pn.transformer_block(4, 2, 16).name == "transformer_block(4, 2)"  # a default is left out
    dropping = pn.transformer_block(4, 2, dropout=0.5)
    dropping_params = params_of(dropping)
    assert (dropping.apply(dropping_params, x, key) != dropping.apply(dropping_params, x)).any()


@pytest.mark.parametrize("case", LAYERS["multi_head_attention"], ids=lambda case: case.layer.name)
def test_the_weights_make_y_of_the_values(case):
    layer, params, x = case.layer, case.params, case.x
    (weights,) = attention_weights(layer, params, x).values()
    y = layer.apply(params, x)
    state, y = (y[1], y[0]) if type(y) is tuple else (None, y)
    beside = x[1] if type(x) is tuple and state is None and x[1].ndim == 3 else x[0] if type(x) is tuple else x
    v = state[1] if state else beside @ params.value.weight + (0 if params.value.bias is None else params.value.bias)
    size = y.shape[2] // weights.shape[1]
    v = np.repeat(v.reshape(*v.shape[:2], -1, size), weights.shape[1] * size // v.shape[2], axis=2)
    heads = np.einsum("bhts,bshd->bthd", weights, v).reshape(y.shape)
    again = heads @ params.out.weight + (0 if params.out.bias is None else params.out.bias)
    np.testing.assert_allclose(again, y, rtol=1e-11, atol=1e-13)
    sums = weights.sum(axis=-1)
    np.testing.assert_allclose(sums, np.where(sums < 0.5, 0, 1), rtol=1e-12)  # 0 where there is nothing to attend to


def test_the_weights_of_a_net_stand_by_their_paths():
    block, decoder = pn.transformer_block(4, 2), pn.transformer_decoder_block(4, 2)
    net = pn.serial(pn.parallel(pn.identity, pn.frozen(block)), decoder, pn.map_time(pn.dense(4, 2)))
    params, x = params_of(net), (normal(2, 3, 4), normal(2, 5, 4))
    found = attention_weights(net, params, x)
    assert [(path, w.shape) for path, w in found.items()] == [
        ("net[0][1][0][0][0][1]", (2, 2, 5, 5)),
        ("net[1][0][0][0][1]", (2, 2, 3, 3)),
        ("net[1][1][0][1]", (2, 2, 3, 5)),
    ]
    assert not np.triu(found["net[1][0][0][0][1]"], 1).any()
    assert attention_weights(pn.dense(4, 2), params_of(pn.dense(4, 2)), x[0]) == {}
    dropping = pn.multi_head_attention(4, 2, dropout=0.5)
    assert attention_weights(dropping, params_of(dropping), x[0])["net"].all()
    with pytest.raises(TypeError, match="takes a layer, and then its params and x, not a tuple for the layer"):
        attention_weights(params, net, x)
    with pytest.raises(ValueError, match=re.escape("takes x of shape (batch, time, 4), but x has shape (2, 3, 3)")):
        attention_weights(dropping, params_of(dropping), x[0][..., :3])


X = np.ones((2, 3, 4), np.float32)


def run(x):
    layer = pn.multi_head_attention(4, 2)
    return layer.apply(layer.init(pn.key(0)), x)


def run_causal(x):
    layer = pn.multi_head_attention(4, 2, causal=True)
    return layer.apply(layer.init(pn.key(0), (3, 4)), x)


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
            "takes x as one of: x (batch, time, 4); (x, keys_values (batch, keys, attended)); "
            "(x, lengths (batch,) of int); (x, mask (batch, time) of bool); "
            "(x, mask (batch, heads_or_1, time, time) of bool); (x, mask (batch, heads_or_1, time, time)); ",
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
        (
            lambda: run((X, np.ones((2, 3, 3, 3), bool))),
            ValueError,
            "multi_head_attention(4, 2) takes a mask for 1 or 2 heads, but it is for 3",
        ),
        (
            lambda: run((X, np.ones((2, 1, 3, 4), bool))),
            ValueError,
            "takes mask of shape (2, heads_or_1, 3, 3), but mask",
        ),
        (lambda: run((X, np.ones((2, 1, 3, 3)))), TypeError, "takes arrays of one dtype, not float32, float64"),
        (lambda: run((X, np.array([1, 4]))), ValueError, "there are 3 keys, but lengths go from 1 to 4"),
        (lambda: run((X, X[:, :2], np.array([-1, 2]))), ValueError, "there are 2 keys, but lengths go from -1 to 2"),
        (lambda: run((X, np.ones(3, int))), ValueError, "takes lengths of shape (2,), but lengths has shape (3,)"),
        (lambda: pn.multi_head_attention(4, 4, kv_heads=3), ValueError, "3 heads of keys and values do not divide 4"),
        (lambda: pn.multi_head_attention(4, 4, kv_heads=0), ValueError, "takes kv_heads that are positive integers"),
        (lambda: pn.multi_head_attention(4, 2, causal="start"), ValueError, "True, False or \"end\", not 'start'"),
        (lambda: run((X, None)), ValueError, "4, 2) takes a state, (X, None) or (X, (K, V)), only if it is causal: wr"),
        (lambda: run((X, (X, X))), ValueError, "only if it is causal: write causal=True"),
        (
            lambda: run_causal((X, (X, X, np.array([0, 1])), np.ones((2, 3), bool))),
            ValueError,
            "takes no mask beside a cache of fixed size, (K, V, filled): filled tells which places count",
        ),
        (
            lambda: run_causal((X, (*[np.zeros((2, 300, 4), np.float32)] * 2, np.array([250, 0], np.uint8)))),
            ValueError,
            "causal=True) counts in the dtype of filled, but uint8 does not go up to 300, the places of the cache: "
            "write filled.astype(np.int32)",
        ),
        (
            lambda: run_causal((X, (*[np.zeros((2, 128, 4), np.float32)] * 2, np.zeros(2, np.int8)))),
            ValueError,
            "int8 does not go up to 128",
        ),
        (lambda: run((X, np.ones((2, 3, 3), bool))), ValueError, "(x, mask (batch, heads_or_1, time, time) of bool)"),
        (
            lambda: run_causal((X, (X,))),
            ValueError,
            "(x, (K (batch, past, 4), V (batch, past, 4)) or None); (x, (K, V) or None, lengths (batch,) of int); ",
        ),
        (
            lambda: run_causal((X, (X, X, X[:, 0, 0]))),
            TypeError,
            "takes integers as filled, not a float32 array of shape (2,): write filled.astype(int)",
        ),
        (
            lambda: run_causal((X, (X, X, np.array([0, 1])))),
            ValueError,
            "causal=True): the cache has 3 places, but filled goes from 0 to 1, and x has 3 more: begin with zeros of",
        ),
        (
            lambda: run_causal((X, (X, X, np.array([0, -1])))),
            ValueError,
            "but filled goes from -1 to 0, and x has 3 more",
        ),
        (
            lambda: run_causal((X, None, np.ones((2, 4), bool))),
            ValueError,
            "takes a mask of all places so far, 0 of the state and 3 of x, but it is for 4",
        ),
        (
            lambda: run_causal((X, (X, X), np.ones((2, 1, 3, 3), bool))),
            ValueError,
            "takes a mask of all places so far, 3 of the state and 3 of x, but it is for 3",
        ),
        (lambda: run_causal((X, (X, X), np.array([1, 7]))), ValueError, "there are 6 keys, but lengths go from 1 to 7"),
        (
            lambda: run((X, (X, X), np.array([1, 7]))),
            ValueError,
            "only if it is causal: write causal=True",
        ),
        (lambda: run_causal((X, (X, X[:, :2]))), ValueError, "takes V of shape (2, 3, 4), but V has shape (2, 2, 4)"),
        (lambda: run_causal((X, (X[:1], X))), ValueError, "takes K of shape (2, past, 4), but K has shape (1, 3, 4)"),
        (
            lambda: pn.multi_head_attention(6, 2, rotary=True),
            ValueError,
            "turns pairs, but 3 features of a head are odd",
        ),
        (
            lambda: pn.multi_head_attention(4, 2, rotary=-1.0),
            ValueError,
            "rotary=True, False or the base of its angles",
        ),
        (lambda: pn.multi_head_attention(4, 2, rotary="yes"), ValueError, "such as 10000, not 'yes'"),
        (lambda: pn.multi_head_attention(4, 2, dropout=1), ValueError, "takes dropout from 0 up to, but not, 1"),
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


def test_each_head_drops_weights_of_its_own():
    layer = pn.multi_head_attention(4, 2, dropout=0.5)
    twice = np.tile(np.eye(2, dtype=np.float32), (2, 2))  # both heads get the same
    params = pn.tree.map(lambda leaf: twice if leaf.ndim == 2 else leaf, layer.init(pn.key(0)))
    params = params._replace(out=params.out._replace(weight=np.eye(4, dtype=np.float32)))
    x = pn.random.normal(pn.key(1), (3, 6, 4))
    one, two = np.split(layer.apply(params, x), 2, axis=-1)
    assert np.array_equal(one, two)
    one, two = np.split(layer.apply(params, x, pn.key(2)), 2, axis=-1)
    assert (one != two).mean() > 0.9
