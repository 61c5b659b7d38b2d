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
