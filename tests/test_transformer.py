"""The transformer's blocks beyond the contract: padding, what may see what, errors, and one net of blocks alone."""

from __future__ import annotations

import re

import numpy as np
import pytest

import purenet as pn


def normal(*shape, seed=0):
    return pn.random.normal(pn.key(seed), shape, np.float64)


def params_of(layer, in_shape=None):
    return pn.tree.cast(layer.init(pn.key(0), in_shape), np.float64)


LENGTHS = np.array([2, 5, 3])


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("causal", [False, True])
def test_padded_sequences_give_what_they_give_alone(norm, causal):
    block = pn.transformer_block(4, 2, norm=norm, causal=causal)
    net = pn.serial(pn.keep_rest(block), pn.keep_rest(block), pn.on_first(pn.layer_norm(4)))
    x, params = normal(3, 5, 4), params_of(net)
    x[0, 2:] = np.nan  # the padding
    y, _ = net.apply(params, (x, LENGTHS))
    masked, _ = net.apply(params, (x, np.arange(5) < LENGTHS[:, None]))
    dy = np.where(np.arange(5)[:, None] < LENGTHS[:, None, None], 1.0, 0.0) * np.ones_like(x)
    for i, n in enumerate(LENGTHS):
        np.testing.assert_allclose(y[i, :n], net.apply(params, x[i : i + 1, :n])[0], rtol=1e-11)
        np.testing.assert_array_equal(masked[i, :n], y[i, :n])
    x[0, 2:] = 0
    _, (dx, nothing) = net.vjp(params, (x, LENGTHS))[1]((dy, None))
    assert nothing is None
    for i, n in enumerate(LENGTHS):
        _, alone = net.vjp(params, x[i : i + 1, :n])[1](dy[i : i + 1, :n])
        np.testing.assert_allclose(dx[i, :n], alone[0], rtol=1e-9, atol=1e-12)
        assert not dx[i, n:].any()


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_decoder_sees_the_past_and_the_memory_that_is_not_padding(norm):
    block = pn.transformer_decoder_block(4, 2, norm=norm)
    x, memory, params = normal(3, 4, 4), normal(3, 5, 4, seed=1), params_of(block)
    y = block.apply(params, (x, memory, LENGTHS))
    for n in range(1, 4):
        np.testing.assert_allclose(block.apply(params, (x[:, :n], memory, LENGTHS)), y[:, :n], rtol=1e-11)
    for i, n in enumerate(LENGTHS):
        np.testing.assert_allclose(block.apply(params, (x[i : i + 1], memory[i : i + 1, :n]))[0], y[i], rtol=1e-11)
    stack = pn.serial(pn.keep_rest(block), block)
    assert stack.shape(((4, 4), (5, 4))) == (4, 4)


def in_pieces(layer, params, x, state, *rest):
    """Y of a sequence place by place, and the last state."""
    ys = []
    for t in range(x.shape[1]):
        y, state = layer.apply(params, (x[:, t : t + 1], state, *rest))
        ys.append(y)
    return np.concatenate(ys, axis=1), state


@pytest.mark.parametrize("mask", [(), (LENGTHS,), (np.arange(5) < LENGTHS[:, None],)], ids=["", "lengths", "mask"])
@pytest.mark.parametrize(
    "layer",
    [
        pn.transformer_decoder_block(4, 2, rotary=True),
        pn.transformer_decoder_block(4, 2, norm="post"),
        pn.stacked(*[pn.transformer_decoder_block(4, 2, kv_heads=1, rotary=True)] * 3),
    ],
    ids=str,
)
def test_a_decoder_writes_place_by_place_what_it_gives_of_the_whole(layer, mask):
    x, memory = normal(3, 6, 4), normal(3, 5, 4, seed=1)
    params = params_of(layer, ((6, 4), (5, 4)))
    whole = layer.apply(params, (x, memory, *mask))
    y, state = in_pieces(layer, params, x, None, memory, *mask)
    np.testing.assert_allclose(y, whole, rtol=1e-11)
    assert all(part.shape[:2] == (3, 6) for part in pn.tree.leaves(state))
    empty = pn.tree.map(np.zeros_like, state)
    several = len(state) == 3
    caches = tuple((*kv, np.zeros(3, int)) for kv in empty) if several else (*empty, np.zeros(3, int))
    np.testing.assert_allclose(in_pieces(layer, params, x, caches, memory, *mask)[0], whole, rtol=1e-11)


def test_gradients_of_a_decoder_go_through_the_state_and_add_up_at_the_memory():
    net = pn.stacked(*[pn.transformer_decoder_block(4, 2, 3, rotary=True)] * 2)
    x, memory, dy = normal(2, 5, 4), normal(2, 3, 4, seed=1), normal(2, 5, 4, seed=2)
    params = params_of(net)
    dparams, (dx, dmemory) = net.vjp(params, (x, memory))[1](dy)
    (_, state), pull_first = net.vjp(params, (x[:, :3], None, memory))
    _, pull_last = net.vjp(params, (x[:, 3:], state, memory))
    dlast, (dx_last, dstate, dmemory_last) = pull_last((dy[:, 3:], None))
    dfirst, (dx_first, nothing, dmemory_first) = pull_first((dy[:, :3], dstate))
    assert nothing is None
    np.testing.assert_allclose(np.concatenate([dx_first, dx_last], axis=1), dx, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dmemory_first + dmemory_last, dmemory, rtol=1e-9, atol=1e-12)
    assert pn.tree.allclose(pn.tree.map(np.add, dfirst, dlast), dparams, 1e-9, 1e-12)
    pn.testing.check_vjp(net, params, (x, memory))
    pn.testing.check_vjp(net, params, (x[:, 3:], state, memory, np.array([2, 3])))


def test_shapes_of_a_decoder_with_a_state():
    block = pn.transformer_decoder_block(4, 2)
    assert block.shape(((3, 4), None, (5, 4))) == block.shape(((3, 4), None, (5, 4), ())) == ((3, 4), ((3, 4),) * 2)
    assert block.shape(((3, 4), ((2, 4), (2, 4)), (5, 6))) == ((3, 4), ((5, 4),) * 2)
    assert block.shape(((3, 4), (5, 4), ())) == block.shape(((3, 4), (5, 4), (5,))) == (3, 4)
    assert block.init(pn.key(0), ((3, 4), None, (5, 6)))[1][1].key.weight.shape == (6, 4)
    net = pn.stacked(block, block)
    assert net.shape(((3, 4), None, (5, 4))) == ((3, 4), (((3, 4),) * 2,) * 2)
    assert net.shape(((3, 4), (5, 4), ())) == net.shape(((3, 4), (..., 4))) == (3, 4)


X = np.ones((2, 3, 4), np.float32)


def run(x, **options):
    block = pn.transformer_decoder_block(4, 2, **options)
    return block.apply(block.init(pn.key(0)), x)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: run(X),
            "transformer_decoder_block(4, 2) takes x as one of: (X, memory); (X, memory, mask); (X, state, memory); "
            "(X, state, memory, mask). It was given a float32 array of shape (2, 3, 4)",
        ),
        (lambda: run((X,)), "It was given a tuple of 1"),
        (lambda: run((X, None)), "takes (X, state, memory), but it was given (X, state) without a memory"),
        (lambda: run((X, None, X), causal=False), "takes a state, (X, None) or (X, (K, V)), only if it is causal: wr"),
        (
            lambda: run(((X, np.array([1, 2])), None, X)),
            "transformer_decoder_block(4, 2) takes no mask of X beside a state, but it was given ((X, mask), state, "
            "memory): write (X, state, memory), for no place sees padding behind it",
        ),
        (lambda: run(((X, np.array([1, 2])), (X, X), X)), "takes no mask of X beside a state"),
        (lambda: run((X, (X, X[:1]), X)), "takes V of shape (2, 3, 4), but V has shape (1, 3, 4)"),
        (lambda: run((X, None, X[:1])), "keys_values of shape (2, keys, 4), but keys_values has shape (1, 3, 4)"),
        (
            lambda: pn.serial(*[pn.transformer_decoder_block(4, 2)] * 2).apply(((), ()), (X, None, X)),
            "write stacked(...) of the two, which keeps a state for each",
        ),
    ],
)
def test_errors_of_what_a_decoder_is_given(act, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        act()


def test_blocks_learn_to_reverse_sequences():
    words = pn.serial(pn.embedding(7, 16), pn.positional_encoding)
    net = pn.serial(
        pn.parallel(words, pn.serial(words, pn.transformer_block(16, 2))),
        pn.transformer_decoder_block(16, 2),
        pn.dense(7),
    )
    source = 1 + pn.random.permutation(pn.key(1), 6**4)[:600, None] // np.array([1, 6, 36, 216]) % 6
    target = source[:, ::-1]
    so_far = np.concatenate([np.zeros_like(source[:, :1]), target[:, :-1]], axis=1)
    run = {"key": pn.key(2), "epochs": 15, "batch_size": 30}
    found = pn.fit(net, pn.softmax_cross_entropy, pn.adam(5e-3), net.init(pn.key(0)), ((so_far, source), target), **run)
    y = pn.predict(net, found.params, (so_far, source))
    assert (y.argmax(-1) == target).mean() > 0.97


@pytest.mark.parametrize("make", [pn.transformer_block, pn.transformer_decoder_block])
@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"norm": "first"}, ValueError, """ takes norm="pre" or "post", not 'first'"""),
        ({"activation": "relu"}, TypeError, " takes a layer as activation, such as gelu or relu, not a str"),
        ({"activation": np.tanh}, TypeError, " takes a layer as activation, such as gelu or relu"),
        ({"hidden": 0}, ValueError, " takes features, heads and hidden that are positive integers, not 0"),
        ({"kv_heads": 3}, ValueError, "3 heads of keys and values do not divide 2 heads of queries"),
        ({"attention_dropout": 1.0}, ValueError, "takes dropout from 0 up to, but not, 1"),
        ({"eps": -1.0}, ValueError, "takes an eps of 0 or more, not -1.0"),
    ],
)
def test_errors_say_what_to_do(make, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        make(4, 2, **options)
