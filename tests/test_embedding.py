"""Embeddings and positions: what the invariants over the catalogue do not say."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.cases import normal


def test_a_row_for_each_id_and_repeated_ids_add_up():
    layer = pn.embedding(6, 3)
    params = layer.init(pn.key(0))
    ids = np.array([[4, 1], [4, 4]])
    y, pullback = layer.vjp(params, ids)
    assert (y == params.weight[ids]).all()
    dy = normal(2, 2, 3).astype(np.float32)
    dparams, dx = pullback(dy)
    assert dx is None
    np.testing.assert_allclose(dparams.weight[4], dy[0, 0] + dy[1, 0] + dy[1, 1], rtol=1e-6)
    np.testing.assert_array_equal(dparams.weight[1], dy[0, 1])
    assert not dparams.weight[[0, 2, 3, 5]].any()


@pytest.mark.parametrize(("places", "count"), [(0, 3), (1, 1), (7, 3), (200, 5), (50, 1000)])
def test_the_gradient_adds_each_row_where_its_id_says(places, count):
    ids = (pn.random.uniform(pn.key(3), (places,)) * count).astype(int)
    layer, rows = pn.embedding(count, 4), normal(places, 4)
    truth = np.zeros((count, 4))
    np.add.at(truth, ids, rows)
    params = pn.tree.cast(layer.init(pn.key(0)), np.float64)
    np.testing.assert_allclose(layer.vjp(params, ids)[1](rows)[0].weight, truth, atol=1e-13)


@pytest.mark.parametrize("ids", [[[0, 6]], [[-1, 2]]])
def test_ids_out_of_range_are_errors(ids):
    layer = pn.embedding(6, 3)
    with pytest.raises(ValueError, match="ids from 0 to 5, but x holds ids from"):
        layer.apply(layer.init(pn.key(0)), np.array(ids))


def test_embedding_errors():
    layer = pn.embedding(6, 3)
    params = layer.init(pn.key(0))
    for x in (np.ones((2, 2)), np.ones((2, 2), bool)):
        with pytest.raises(TypeError, match="takes integers as ids, not"):
            layer.apply(params, x)
    with pytest.raises(ValueError, match=r"x.reshape\(1\)"):
        layer.apply(params, np.array(3))
    with pytest.raises(ValueError, match="positive integers"):
        pn.embedding(0, 3)
    with pytest.raises(ValueError, match=r"weight \(6, 3\), not weight \(7, 3\)"):
        layer.apply(pn.embedding(7, 3).init(pn.key(0)), np.zeros((1, 1), int))
    with pytest.raises(ValueError, match=r"takes params = EmbeddingParams\(weight\), not a tuple"):
        layer.apply((), np.zeros((1, 1), int))


def test_positional_encoding_is_the_papers():
    time, features = 7, 6
    y = pn.positional_encoding.apply((), np.zeros((2, time, features)))
    for t in range(time):
        for i in range(features // 2):
            angle = t / 10000 ** (2 * i / features)
            np.testing.assert_allclose(y[:, t, 2 * i], np.sin(angle), atol=1e-15)
            np.testing.assert_allclose(y[:, t, 2 * i + 1], np.cos(angle), atol=1e-15)


def test_positional_encoding_has_full_precision_in_float32_far_out():
    x = np.zeros((1, 20_000, 2))
    exact = pn.positional_encoding.apply((), x)
    np.testing.assert_allclose(pn.positional_encoding.apply((), x.astype(np.float32)), exact, atol=1e-7)


def test_learned_positions_serve_shorter_sequences_and_refuse_longer_ones():
    layer = pn.learned_positions(4)
    params = layer.init(pn.key(0), (3, 2))
    x = np.zeros((5, 3, 2), np.float32)
    y, pullback = layer.vjp(params, x)
    assert (y == params.weight[:3]).all()
    dweight = pullback(np.ones_like(y))[0].weight
    np.testing.assert_array_equal(dweight, [[5, 5]] * 3 + [[0, 0]])
    with pytest.raises(ValueError, match="has 4 positions, but the sequence has 5 steps"):
        layer.apply(params, np.zeros((1, 5, 2), np.float32))
    with pytest.raises(ValueError, match="has 4 positions, but the sequence has 5 steps"):
        layer.init(pn.key(0), (5, 2))
    with pytest.raises(ValueError, match=r"learned_positions\(4, features\)"):
        layer.init(pn.key(0))
    with pytest.raises(TypeError, match="float32 params, but x is float64"):
        layer.apply(params, np.zeros((1, 3, 2)))


@pytest.mark.parametrize("layer", [pn.positional_encoding, pn.learned_positions(5)], ids=str)
def test_positions_say_what_the_axes_mean(layer):
    with pytest.raises(
        ValueError, match=r"takes x of shape \(batch, time, features\), but its input has shape \(batch, 3\)"
    ):
        layer.shape((3,))


@pytest.mark.parametrize("positions", [pn.positional_encoding, pn.learned_positions(6, 4)], ids=repr)
def test_positions_of_a_sequence_that_comes_in_pieces(positions):
    params = pn.tree.cast(positions.init(pn.key(0)), np.float64)
    x, state, pieces = pn.random.normal(pn.key(1), (2, 6, 4), np.float64), None, []
    for start, end in ((0, 1), (1, 4), (4, 6)):
        y, state = positions.apply(params, (x[:, start:end], state))
        assert state.shape == (2, end, 0)
        pieces.append(y)
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), positions.apply(params, x))
    pn.testing.check_vjp(positions, params, (x[:, :3], np.zeros((2, 2, 0))))
    pn.testing.check_vjp(positions, params, (x[:, :3], None))
    assert positions.shape(((3, 4), (2, 0))) == ((3, 4), (5, 0))
    assert positions.shape(((3, 4), None)) == ((3, 4), (3, 0))
    with pytest.raises(ValueError, match=r"\(x, places \(batch, past, 0\) or None\). It was given"):
        positions.apply(params, (x, np.array([3, 3])))
    with pytest.raises(ValueError, match=r"takes places of shape \(2, past, 0\), but places has shape \(3, 1, 0\)"):
        positions.apply(params, (x, np.zeros((3, 1, 0))))


def test_learned_positions_end():
    layer, x = pn.learned_positions(6, 4), (np.zeros((2, 2, 4), np.float32), np.zeros((2, 5, 0), np.float32))
    with pytest.raises(ValueError, match="has 6 positions, but the sequence has 7 steps"):
        layer.apply(layer.init(pn.key(0)), x)


@pytest.mark.parametrize("positions", [pn.positional_encoding, pn.learned_positions(6, 4)], ids=repr)
def test_a_net_with_positions_reads_one_id_at_a_time_as_all_at_once(positions):
    net = pn.serial(
        pn.on_first(pn.embedding(9, 4)),
        pn.stacked(positions, pn.transformer_block(4, 2, causal=True)),
        pn.on_first(pn.dense(4, 9)),
    )
    params, ids, state, pieces = pn.tree.cast(net.init(pn.key(0)), np.float64), np.array([[3, 1, 4, 1, 5]]), None, []
    whole, _ = net.apply(params, (ids, None))
    for t in range(5):
        y, state = net.apply(params, (ids[:, t : t + 1], state))
        pieces.append(y)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, rtol=1e-12)
