"""rnn, lstm, gru and bidirectional beyond the contract: states, lengths, pieces, errors, and the same under JAX."""

from __future__ import annotations

import re

import numpy as np
import pytest

import purenet as pn

MAKERS = [pn.rnn, pn.lstm, pn.gru]
each_maker = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
each_direction = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def normal(*shape, seed=0):
    return pn.random.normal(pn.key(seed), shape, np.float64)


def params_of(layer, seed=1, in_shape=None):
    keys = iter(pn.split(pn.key(seed), 99))
    params = layer.init(pn.key(0), in_shape)
    return pn.tree.map(lambda p: p + 0.2 * pn.random.normal(next(keys), p.shape, np.float64), params)


def assert_close(a, b, tolerance=1e-12):
    pn.tree.check_same(a, b)
    for x, y in zip(pn.tree.leaves(a), pn.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


@each_maker
def test_the_last_output_is_the_last_of_the_sequence(make):
    x = normal(3, 5, 4)
    for reverse, end in ((False, -1), (True, 0)):
        params = params_of(make(4, 2))
        whole = make(4, 2, reverse=reverse).apply(params, x)
        np.testing.assert_array_equal(make(4, 2, reverse=reverse, last=True).apply(params, x), whole[:, end])


@each_maker
def test_reverse_is_the_layer_on_the_sequence_turned_around(make):
    x, params = normal(3, 5, 4), params_of(make(4, 2))
    np.testing.assert_array_equal(
        make(4, 2, reverse=True).apply(params, x), make(4, 2).apply(params, x[:, ::-1])[:, ::-1]
    )


@each_maker
def test_pieces_with_the_state_carried_over_give_the_whole_sequence(make):
    layer = make(4, 3)
    x, dy, params = normal(2, 7, 4), normal(2, 7, 3, seed=1), params_of(layer)
    whole, pullback = layer.vjp(params, x)
    grads, dx = pullback(dy)

    state, ys, pulls, cuts = None, [], [], [slice(0, 3), slice(3, 4), slice(4, 7)]
    for cut in cuts:
        (y, state), pull = layer.vjp(params, (x[:, cut], state))
        ys.append(y)
        pulls.append(pull)
    assert_close(np.concatenate(ys, axis=1), whole)

    # with the state's gradient handed back too, the pieces have the whole gradient; without, it is truncated
    dstate, total, dxs = None, None, []
    for cut, pull in zip(reversed(cuts), reversed(pulls), strict=True):
        part, (dpiece, dstate) = pull((dy[:, cut], dstate))
        total = part if total is None else pn.tree.map(np.add, total, part)
        dxs.insert(0, dpiece)
    assert dstate is None  # the first state was None
    assert_close(total, grads)
    assert_close(np.concatenate(dxs, axis=1), dx)
    truncated = pulls[0]((dy[:, cuts[0]], None))[0]
    assert_close(truncated, layer.vjp(params, x[:, cuts[0]])[1](dy[:, cuts[0]])[0])


@each_maker
@each_direction
def test_lengths_give_what_each_sequence_gives_alone(make, reverse):
    layer, lengths = make(4, 3, reverse=reverse), np.array([4, 1, 6, 0])
    x, dy, params = normal(4, 6, 4), normal(4, 6, 3, seed=1), params_of(make(4, 3))
    state = layer.apply(params, (normal(4, 2, 4, seed=2), None))[1]
    dstate = pn.tree.map(lambda s: normal(*s.shape, seed=3), state)
    (y, final), pullback = layer.vjp(params, (x, state, lengths))
    grads, (dx, dfirst, nothing) = pullback((dy, dstate))
    assert nothing is None

    total = pn.tree.map(np.zeros_like, grads)
    for i, n in enumerate(lengths):
        one = pn.tree.map(lambda a, i=i: a[i : i + 1], (x[:, :n], state, dy[:, :n], dstate))
        alone = (one[0][:, :0], one[1]), None
        if n:
            alone, pull = layer.vjp(params, (one[0], one[1]))
            part, (dalone, dstart) = pull((one[2], one[3]))
            assert_close(dx[i : i + 1, :n], dalone)
            assert_close(pn.tree.map(lambda d, i=i: d[i : i + 1], dfirst), dstart)
            total = pn.tree.map(np.add, total, part)
            assert_close(y[i : i + 1, :n], alone[0])
            assert_close(pn.tree.map(lambda s, i=i: s[i : i + 1], final), alone[1])
        else:  # the state and its gradient pass by
            assert_close(pn.tree.map(lambda s, i=i: s[i : i + 1], (final, dfirst)), (one[1], one[3]))
        assert not y[i, n:].any()
        assert not dx[i, n:].any()
    assert_close(grads, total)


@each_maker
@each_direction
@pytest.mark.parametrize("last", [False, True], ids=["all", "last"])
def test_return_state_gives_the_state_of_a_sequence_alone(make, reverse, last):
    plain, layer = (make(4, 3, reverse=reverse, last=last, return_state=given) for given in (False, True))
    x, lengths, params = normal(3, 5, 4), np.array([2, 5, 1]), params_of(plain)
    for more in ((), (lengths,)):
        given = (x, *more) if more else x
        (y, state), pullback = layer.vjp(params, given)
        assert_close((y, state), plain.apply(params, (x, None, *more)), 0)
        assert_close(y, plain.apply(params, given), 0)
        dstate = pn.tree.map(lambda s: normal(*s.shape, seed=4), state)
        dparams, dx = pullback((y, dstate))
        alone, (dalone, *_) = plain.vjp(params, (x, None, *more))[1]((y, dstate))
        assert_close((dparams, dx[0] if more else dx), (alone, dalone), 0)


@each_maker
def test_the_state_of_a_padded_example_is_that_of_its_last_real_step(make):
    layer, lengths = make(4, 3, num_layers=2, return_state=True), np.array([2, 5, 1])
    x, params = normal(3, 5, 4), params_of(layer)
    state = layer.apply(params, (x, lengths))[1]
    for i, n in enumerate(lengths):
        assert_close(pn.tree.map(lambda s, i=i: s[i : i + 1], state), layer.apply(params, x[i : i + 1, :n])[1])


def test_an_encoder_hands_its_state_to_a_decoder():
    """The seq2seq of the textbooks: it learns to write padded sequences of digits backwards."""
    digits, lengths = 1 + pn.random.permutation(pn.key(0), 3 * 10**3).reshape(-1, 3) % 9, 1 + np.arange(10**3) % 3
    real = np.arange(3) < lengths[:, None]
    backwards = np.where(real, np.take_along_axis(digits, (lengths[:, None] - 1 - np.arange(3)) % 3, 1), 0)
    written = np.pad(backwards, ((0, 0), (1, 0)))[:, :-1]  # 0 begins, and 0 is the end

    encoder = pn.serial(pn.on_first(pn.embedding(10, 8)), pn.lstm(8, 32, return_state=True), pn.pick(1))
    begun = pn.serial(pn.parallel(encoder, pn.embedding(10, 8)), pn.swap)
    net = pn.serial(begun, pn.lstm(8, 32), pn.pick(0), pn.dense(32, 10))
    params, data = net.init(pn.key(1)), (((digits, lengths), written), backwards)
    run = {"key": pn.key(2), "epochs": 12, "batch_size": 20}
    params = pn.fit(net, pn.softmax_cross_entropy, pn.adam(0.01), params, data, **run).params
    found = net.apply(params, ((digits, lengths), written)).argmax(-1)
    assert (found == backwards).all()

    _, embedding, lstm, head = params[0][0][0], params[0][0][1], params[1], params[3]  # now one digit at a time
    state = encoder.apply(params[0][0][0], (digits, lengths))
    step, said = pn.serial(pn.lstm(8, 32), pn.on_first(pn.dense(32, 10))), np.zeros((10**3, 1), int)
    for t in range(3):
        scores, state = step.apply((lstm, head), (pn.embedding(10, 8).apply(embedding, said), state))
        said = scores.argmax(-1)
        np.testing.assert_array_equal(said[:, 0], backwards[:, t])


@each_maker
def test_num_layers_are_layers_one_above_another(make):
    layer, x, lengths = make(4, 3, num_layers=3, last=True), normal(2, 5, 4), np.array([5, 2])
    assert layer == pn.stacked(make(4, 3), make(3, 3), make(3, 3, last=True))
    assert make(3, num_layers=2, reverse=True) == pn.stacked(make(3, reverse=True), make(3, 3, reverse=True))
    assert make(3, num_layers=1) == make(3)
    params = params_of(layer)
    net = pn.serial(pn.keep_rest(make(4, 3)), pn.keep_rest(make(3, 3)), make(3, 3, last=True))
    y, pullback = layer.vjp(params, (x, lengths))
    z, pull = net.vjp(params, (x, lengths))
    assert_close((y, *pullback(y)), (z, *pull(z)), 0)


@each_maker
def test_dropout_is_between_layers_and_in_training_alone(make):
    layer, plain = (make(4, 3, num_layers=2, dropout=rate) for rate in (0.5, 0.0))
    x, params = normal(4, 5, 4), params_of(plain)
    np.testing.assert_array_equal(layer.apply(params, x), plain.apply(params, x))
    assert (layer.apply(params, x, pn.key(1)) != layer.apply(params, x, pn.key(2))).any()
    all_dropped = make(4, 3, num_layers=2, dropout=1.0).apply(params, x, pn.key(0))
    np.testing.assert_array_equal(all_dropped, make(3, 3).apply(params[1], np.zeros((4, 5, 3))))


def test_a_gru_may_reset_before_its_product():
    """K. Cho et al., 2014: the step in their words."""
    layer, x = pn.gru(4, 3, reset_after=False), normal(2, 5, 4)
    params = params_of(layer)
    assert params.recurrent_bias is None
    h, (w, u, b, _) = np.zeros((2, 3)), params
    for t in range(5):
        z = x[:, t] @ w + b
        r, s = (1 / (1 + np.exp(-(z[:, part] + h @ u[:, part]))) for part in (slice(3), slice(3, 6)))
        h = (1 - s) * np.tanh(z[:, 6:] + (r * h) @ u[:, 6:]) + s * h
        np.testing.assert_allclose(layer.apply(params, x)[:, t], h, rtol=1e-12)
    other = params_of(pn.gru(4, 3))
    assert abs(layer.apply(other._replace(recurrent_bias=None), x) - pn.gru(4, 3).apply(other, x)).max() > 1e-3


@each_maker
def test_what_stands_in_the_padding_does_not_matter(make):
    layer, lengths = make(4, 3), np.array([2, 5])
    x, params = normal(2, 5, 4), params_of(make(4, 3))
    spoilt = x.copy()
    spoilt[0, 2:] = np.nan
    y, pullback = layer.vjp(params, (x, lengths))
    z, pull = layer.vjp(params, (spoilt, lengths))
    assert_close((y, *pullback(y)), (z, *pull(z)), 0)


@each_maker
def test_initial_params(make):
    layer = make(6, 5)
    weight, recurrent, *biases = layer.init(pn.key(0))
    gates = weight.shape[1] // 5
    for block in np.split(recurrent, gates, axis=1):
        np.testing.assert_allclose(block.T @ block, np.eye(5), atol=1e-5)
    assert abs(weight).max() <= np.sqrt(6 / 11)  # Glorot's limit, of each gate
    expected = [0, 1, 0, 0] if make is pn.lstm else [0] * gates
    np.testing.assert_array_equal(biases[0], np.repeat(expected, 5))
    assert all(not b.any() for b in biases[1:])
    drawn = pn.tree.leaves(make(6, 5, bias_init=pn.initializers.normal(1.0)).init(pn.key(0))[2:])
    values = np.concatenate(drawn)
    same = 4 if make is pn.lstm else 0  # the forget gate's five biases are one
    assert len(set(values.tolist())) == values.size - same  # every other bias is drawn by itself


def test_the_gates_saturate_without_overflow():
    for make in MAKERS:
        layer = make(1, 2)
        params = pn.tree.map(lambda p: 1000 * np.ones_like(p), layer.init(pn.key(0)))
        for x in (np.full((1, 3, 1), 1000, np.float32), np.full((1, 3, 1), -1000, np.float32)):
            y, pullback = layer.vjp(params, x)
            assert all(np.isfinite(leaf).all() for leaf in pn.tree.leaves((y, pullback(y))))


def test_bidirectional_is_its_layers_side_by_side():
    one, two = pn.lstm(4, 3), pn.gru(4, 2, reverse=True)
    layer = pn.bidirectional(one, two)
    params, x, lengths = (params_of(one), params_of(two)), normal(2, 5, 4), np.array([3, 5])
    y, states = layer.apply(params, (x, None, lengths))
    for part, p, state, cut in zip((one, two), params, states, (slice(3), slice(3, 5)), strict=True):
        alone = part.apply(p, (x, None, lengths))
        assert_close((y[..., cut], state), alone)
    assert layer.remake(layer.parts).name == layer.name
    assert pn.bidirectional(pn.gru(4, 2)) == pn.bidirectional(pn.gru(4, 2), two)
    assert layer.shape(((5, 4), None)) == (y.shape[1:], pn.tree.map(lambda part: part.shape[1:], states))
    assert pn.bidirectional(pn.rnn(4, 2, last=True), pn.rnn(4, 3, last=True, reverse=True)).shape(None) == (5,)
    for one_unknown in ((pn.tanh, pn.rnn(4, 2, reverse=True)), (pn.rnn(4, 2), pn.tanh)):
        assert pn.bidirectional(*one_unknown).shape(None) is None


def test_stacked_by_serial_sizes_are_inferred():
    net = pn.serial(pn.lstm(8), pn.bidirectional(pn.gru(4), pn.gru(4, reverse=True)), pn.rnn(3, last=True), pn.dense(2))
    params = net.init(pn.key(0), in_shape=(5, 6))
    assert net.apply(params, np.ones((2, 5, 6), np.float32)).shape == (2, 2)
    assert net.shape((5, 6)) == (2,)
    after_dense = pn.serial(pn.dense(3, 4), pn.lstm(5, last=True), pn.dense(2)).init(pn.key(0))
    assert (after_dense[1].weight.shape, after_dense[2].weight.shape) == ((4, 20), (5, 2))


@each_maker
@pytest.mark.parametrize("last", [False, True], ids=["all", "last"])
def test_a_stacked_net_reads_nothing_of_the_padding(make, last):
    def net(wrap, keep):
        ends = make(4, 3), make(4, 3, reverse=True)
        return pn.serial(
            wrap(pn.embedding(9, 4)), keep(pn.bidirectional(*ends)), keep(make(6, 3)), make(3, last=last), pn.dense(2)
        )

    padded, plain = net(pn.on_first, pn.keep_rest), net(lambda layer: layer, lambda layer: layer)
    ids, lengths = np.array([[3, 1, 4, 1, 5], [2, 6, 8, 8, 8], [5, 7, 8, 8, 8]]), np.array([5, 2, 1])
    params = params_of(padded, in_shape=((5,), ()))
    other = np.where(np.arange(5) < lengths[:, None], ids, 0)
    y, pullback = padded.vjp(params, (ids, lengths))
    z, pull = padded.vjp(params, (other, lengths))
    np.testing.assert_array_equal(y, z)
    grads, dx = pullback(y)
    assert_close((grads, dx), pull(y), 0)
    assert dx == (None, None)
    if last:
        assert not grads[0].weight[8].any()  # an id that stands in the padding alone
        for i, n in enumerate(lengths):  # each sequence gives what it gives alone, without lengths
            np.testing.assert_allclose(y[i : i + 1], plain.apply(params, ids[i : i + 1, :n]), rtol=1e-12)


@pytest.mark.parametrize("pool", [pn.global_avg_pool, pn.global_max_pool, pn.last_step], ids=repr)
def test_pools_of_a_padded_batch_give_what_each_sequence_gives_alone(pool):
    net = pn.serial(pn.keep_rest(pn.lstm(4, 3, num_layers=2)), pool, pn.dense(2))
    plain = pn.serial(pn.lstm(4, 3, num_layers=2), pool, pn.dense(2))
    x, lengths, params = normal(4, 6, 4), np.array([6, 2, 1, 4]), params_of(plain)
    y, pullback = net.vjp(params, (x, lengths))
    dx = pullback(np.ones_like(y))[1][0]
    for i, n in enumerate(lengths):
        alone, pull = plain.vjp(params, x[i : i + 1, :n])
        assert_close(y[i : i + 1], alone)
        assert_close(dx[i : i + 1, :n], pull(np.ones_like(alone))[1])
        assert not dx[i, n:].any()


def test_lengths_to_mask():
    lengths = np.array([0, 2, 3])
    mask = pn.lengths_to_mask(lengths, 3)
    assert mask.tolist() == [[False] * 3, [True, True, False], [True] * 3]
    assert pn.lengths_to_mask(lengths[:0], 3).shape == (0, 3)
    attention, x = pn.multi_head_attention(4, 2), normal(3, 3, 4)
    params = params_of(attention)
    y = attention.apply(params, (x, mask))
    for i, n in ((1, 2), (2, 3)):
        assert_close(y[i : i + 1, :n], attention.apply(params, x[i : i + 1, :n]))
        pooled = pn.last_step.apply((), (y, lengths))
        assert_close(pooled[i], y[i, n - 1])


X = np.ones((2, 3, 4), np.float32)


def two_layers(inputs, hidden):
    return pn.rnn(inputs, hidden, num_layers=2)


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (lambda: pn.rnn(), TypeError, "rnn takes (in, out) or (out), not 0 sizes"),
        (lambda: pn.lstm(0, 3), ValueError, "lstm takes sizes that are positive integers, not 0"),
        (lambda: pn.gru(3, 2.5), ValueError, "positive integers, not 2.5"),
        (
            lambda: pn.lstm(3).init(pn.key(0)),
            ValueError,
            "write lstm(inputs, 3), or init(key, in_shape=(time, inputs))",
        ),
        (
            lambda: pn.lstm(5, 3).init(pn.key(0), (3, 4)),
            ValueError,
            "(batch, time, 5), but its input has shape (batch, 3, 4)",
        ),
        (
            lambda: pn.lstm(3).init(pn.key(0), (2, 3, 4)),
            ValueError,
            "(batch, time, inputs), but its input has shape (batch, 2, 3, 4)",
        ),
        (lambda: run(pn.rnn, X[0]), ValueError, "takes x of shape (batch, time, 4), but x has shape (3, 4)"),
        (lambda: run(pn.rnn, X[:, :0]), ValueError, "at least one step"),
        (
            lambda: run(pn.rnn, X[..., :3]),
            ValueError,
            "rnn(4, 5) takes x of shape (batch, time, 4), but x has shape (2, 3, 3)",
        ),
        (lambda: run(pn.rnn, X.astype(np.float64)), TypeError, "has float32 params, but x is float64"),
        (
            lambda: run(pn.rnn, (X,)),
            ValueError,
            "rnn(4, 5) takes x as one of: x (batch, time, 4); (x, state (batch, 5) or None); "
            "(x, lengths (batch,) of int); (x, state, lengths). "
            "It was given (a float32 array of shape (2, 3, 4),)",
        ),
        (
            lambda: run(pn.lstm, (X, [1, 2])),
            TypeError,
            "lstm(4, 5) takes an array as lengths, not a list: write np.asarray(lengths)",
        ),
        (
            lambda: run(pn.rnn, (X, np.array([1.0, 2.0]))),
            TypeError,
            "rnn(4, 5) takes integers as lengths, not a float64 array of shape (2,): write lengths.astype(int)",
        ),
        (lambda: run(pn.rnn, (X, np.array([1]))), ValueError, "lengths of shape (2,), but lengths has shape (1,)"),
        (lambda: run(pn.rnn, (X, np.array([1, 4]))), ValueError, "there are 3 steps, but lengths go from 1 to 4"),
        (
            lambda: run(pn.rnn, (X, np.ones((2, 4), np.float32))),
            ValueError,
            "rnn(4, 5) takes state of shape (2, 5), but state has shape (2, 4)",
        ),
        (
            lambda: run(pn.lstm, (X, np.ones((2, 5), np.float32))),
            ValueError,
            "(x, (H (batch, 5), C (batch, 5)) or None); (x, lengths (batch,) of int); (x, (H, C) or None, lengths). "
            "It was given (a float32 array of shape (2, 3, 4), a float32 array of shape (2, 5))",
        ),
        (
            lambda: run(pn.lstm, (X, (X[:, 0, :1], X[:, 0]))),
            ValueError,
            "lstm(4, 5) takes H of shape (2, 5), but H has shape (2, 1)",
        ),
        (
            lambda: run(pn.rnn, (X, np.ones((2, 5)))),
            TypeError,
            "rnn(4, 5) takes arrays of one dtype, not float32, float64: write x.astype(np.float32) of each",
        ),
        (
            lambda: pn.rnn(4, 5).apply(pn.gru(4, 5).init(pn.key(0)), X),
            ValueError,
            "params = RNNParams(weight, recurrent_weight, bias), not GRUParams(weight",
        ),
        (lambda: pn.rnn(4, 5).apply(pn.rnn(4, 6).init(pn.key(0)), X), ValueError, "Are these of another net?"),
        (lambda: pull(pn.rnn(4, 5), (X, None), X), ValueError, "Y is a tuple of 2, but dE/dY is a float32 array"),
        (lambda: pull(pn.rnn(4, 5), X, X), ValueError, "dE/dY has shape (2, 3, 4), but Y has shape (2, 3, 5)"),
        (lambda: pn.bidirectional(pn.rnn, pn.rnn(3)), TypeError, "bidirectional takes two layers, as in"),
        (
            lambda: pn.bidirectional(pn.rnn(3, last=True), pn.rnn(3, reverse=True)).shape((5, 4)),
            ValueError,
            "set last in both",
        ),
        (lambda: pn.bidirectional(pn.rnn(3), pn.rnn(3)), ValueError, "its second is rnn(3): write bidirectional("),
        (lambda: pn.bidirectional(pn.rnn(3, reverse=True), pn.rnn(3)), ValueError, "its first is rnn(3, reverse=True)"),
        (lambda: pn.bidirectional(pn.tanh), TypeError, "only rnn, lstm and gru are mirrored by themselves"),
        (lambda: pn.rnn(4, num_layers=0), ValueError, "rnn takes num_layers that are positive integers, not 0"),
        (lambda: pn.gru(num_layers=2), TypeError, "gru takes (in, out) or (out), not 0 sizes"),
        (
            lambda: pn.lstm(4, 5, dropout=0.5),
            ValueError,
            "lstm(4, 5): dropout=0.5 is for what one layer hands to the next, and there is one layer: set num_layers, "
            "or write serial(lstm(4, 5), dropout(0.5))",
        ),
        (lambda: pn.rnn(4, num_layers=2, dropout=2), ValueError, "dropout takes a rate from 0 to 1"),
        (
            lambda: pn.lengths_to_mask([1, 2], 3),
            TypeError,
            "takes an array as lengths, not a list: write np.asarray(leng",
        ),
        (lambda: pn.lengths_to_mask(np.ones(2), 3), TypeError, "takes integers as lengths, not a float64 array"),
        (
            lambda: pn.lengths_to_mask(np.array([[1]]), 3),
            ValueError,
            "lengths of shape (batch,), but lengths has shape",
        ),
        (lambda: pn.lengths_to_mask(np.array([1, 4]), 3), ValueError, "there are 3 steps, but lengths go from 1 to 4"),
        (lambda: pn.lengths_to_mask(np.array([1]), 0), ValueError, "takes steps of time that are positive integers, n"),
        (lambda: pn.last_step.apply((), X[0]), ValueError, "last_step takes x of shape (batch, time, channels), but x"),
        (lambda: pn.stacked(), ValueError, "stacked takes at least one layer, as in stacked(lstm(2, 3), lstm(3, 3))"),
        (lambda: pn.stacked([pn.rnn(3)]), TypeError, "stacked: argument 0 is a list, not a layer: write stacked(*"),
        (lambda: pn.stacked(pn.rnn(3), pn.rnn(4, 3)), ValueError, "rnn(4, 3) takes x of shape (batch, time, 4), but"),
        (
            lambda: run(two_layers, (X, [1, 2])),
            ValueError,
            "(x, lengths), an integer array of shape (batch,), or (x, state)",
        ),
        (
            lambda: run(two_layers, (X, (X[:, 0],))),
            ValueError,
            "a state that is a tuple of 2, one for each layer, not a tup",
        ),
        (
            lambda: run(two_layers, (X,)),
            ValueError,
            "(sequence, state, memory), and each with a mask behind it. It was given a tuple of 1",
        ),
        (
            lambda: run(two_layers, (X[0], np.array([1, 2]))),
            ValueError,
            "takes x of shape (batch, time, 4), but x has shape",
        ),
        (
            lambda: run(lambda n, m: pn.stacked(pn.rnn(n, m), pn.rnn(m, return_state=True)), X),
            ValueError,
            "some of its layers give their state: set return_state in all of them or in none",
        ),
        (
            lambda: pn.bidirectional(pn.rnn(3, return_state=True), pn.rnn(3, reverse=True)).shape((5, 4)),
            ValueError,
            "some of its layers give their state: set return_state in all of them or in none",
        ),
        (lambda: pull(two_layers(4, 5), (X, None), X), ValueError, "Y is a tuple of 2, but dE/dY is a float32 array"),
        (lambda: run_both((X, X[:, 0])), ValueError, "a state that is a tuple of 2, one for each layer"),
        (lambda: run_both((X, [1, 2])), ValueError, "(x, lengths), an integer array of shape (batch,), or"),
    ],
)
def test_errors_say_what_to_do(act, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        act()


def run(make, x):
    layer = make(4, 5)
    return layer.apply(layer.init(pn.key(0)), x)


def run_both(x):
    layer = pn.bidirectional(pn.rnn(4, 5), pn.rnn(4, 5, reverse=True))
    return layer.apply(layer.init(pn.key(0)), x)


def pull(layer, x, dy):
    return layer.vjp(layer.init(pn.key(0)), x)[1](dy)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (pn.serial(pn.lstm(2, 3), pn.lstm(3, 3)), r"the state of lstm\(2, 3\) on to lstm\(3, 3\): write stacked"),
        (pn.named(a=pn.gru(2, 2), drop=pn.on_first(pn.dropout), b=pn.gru(2, 2)), "write stacked"),
        (pn.serial(pn.serial(pn.lstm(2, 3), pn.on_first(pn.relu)), pn.frozen(pn.lstm(3, 3))), "write stacked"),
        (pn.serial(pn.on_first(pn.dense(2, 2)), *[pn.transformer_block(2, 1, causal=True)] * 2), "write stacked"),
    ],
)
def test_a_state_is_not_handed_from_one_layer_to_the_next(net, message):
    params, x = net.init(pn.key(0)), np.ones((2, 4, 2), np.float32)
    for state in (None, x[:, 0], (x[:, 0], x[:, 0])):
        with pytest.raises(ValueError, match=message):
            net.apply(params, (x, state))


ATTENTION, BLOCK = pn.multi_head_attention(2, 1), pn.transformer_block(2, 1)
BOTH_WAYS = pn.fan_out(pn.gru(2, 2), pn.gru(2, 2, reverse=True))
NO_MAKER = pn.relu._replace(name="by_hand")
HANDED_ON = pn.serial(pn.keep_rest(ATTENTION), pn.on_first(pn.relu), pn.global_avg_pool)


def test_what_is_no_state_is_handed_on():
    net = pn.serial(ATTENTION, ATTENTION)
    params, x = net.init(pn.key(0)), np.ones((2, 4, 2), np.float32)
    assert net.apply(params, (x, x[:, :3])).shape == x.shape


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (
            pn.serial(ATTENTION, pn.global_avg_pool),
            r"end at multi_head_attention\(2, 1\), and global_avg_pool would take ",
        ),
        (pn.serial(pn.on_first(pn.dense(2, 2)), BLOCK, pn.layer_norm(2), pn.last_step), "write keep_rest"),
        (pn.serial(BLOCK, pn.on_first(pn.relu), pn.global_max_pool), r"on_first\(...\) around what is between"),
        (pn.serial(pn.serial(ATTENTION, pn.relu), pn.frozen(pn.serial(BLOCK))), "and transformer_block"),
        (pn.named(a=pn.lstm(2, 2), b=pn.gru(2, 3, last=True)), r"write keep_rest\(lstm\(2, 2\)\)"),
        (pn.serial(pn.lstm(2, 2), pn.lstm(2, 3), pn.gru(3, 3, reverse=True)), "write keep_rest"),
        (pn.serial(pn.gru(2, 2), pn.bidirectional(pn.gru(2, 2))), "write keep_rest"),
        (pn.serial(pn.gru(2, 2), pn.gru(2, 2, return_state=True)), r"gru\(2, 2, return_state=True\) would take"),
        (pn.serial(pn.gru(2, 2), pn.stacked(pn.gru(2, 2), pn.gru(2, 2, last=True))), "last=True.* would take"),
        (pn.serial(pn.gru(2, 2), pn.on_first(pn.global_avg_pool)), "global_avg_pool would take"),
        (pn.serial(pn.residual(pn.gru(2, 2)), pn.last_step), r"write keep_rest\(residual\(gru\(2, 2\)\)\)"),
        (pn.serial(pn.residual(pn.serial(ATTENTION)), ATTENTION), r"keep_rest\(residual\(serial\(multi_head"),
        (pn.serial(ATTENTION, pn.residual(ATTENTION)), "and multi_head_attention"),
        (pn.serial(ATTENTION, pn.residual(NO_MAKER), pn.last_step), "and last_step"),
        (pn.serial(pn.keep_rest(ATTENTION), BLOCK, ATTENTION), "end at transformer_block"),
        (pn.serial(BOTH_WAYS, pn.concat, pn.last_step), r"write keep_rest\(fan_out\(gru"),
        (pn.serial(BOTH_WAYS, pn.parallel(pn.relu, pn.last_step)), "and last_step"),
        (pn.serial(BOTH_WAYS, pn.on_first(pn.relu), pn.add, pn.last_step), "and last_step"),
        (pn.serial(pn.fan_out(pn.gru(2, 2), pn.flatten), pn.on_first(pn.last_step)), "and last_step"),
        (pn.serial(BOTH_WAYS, pn.pick(1), pn.last_step), "and last_step"),
        (pn.serial(BOTH_WAYS, pn.frozen(pn.serial(pn.on_first(pn.relu), pn.mul)), pn.last_step), "and last_step"),
        (pn.serial(pn.gru(2, 2), pn.tied(pn.serial(pn.relu, pn.relu)), pn.remat(pn.last_step)), "and last_step"),
    ],
)
def test_padding_is_not_taken_for_data(net, message):
    params, x = net.init(pn.key(0)), np.ones((2, 4, 2), np.float32)
    net.apply(params, x)
    with pytest.raises(ValueError, match=message):
        net.apply(params, (x, np.array([4, 2])))


@pytest.mark.parametrize("between", [
    pn.batch_norm(2), pn.group_norm(1, 2), pn.residual(pn.serial(pn.dense(2, 2), pn.relu)), pn.sigmoid, pn.softmax,
    pn.prelu, pn.hard_swish, pn.selu, pn.serial(pn.dense(2, 4), pn.swiglu), pn.map_time(pn.dense(2, 2)),
    pn.serial(pn.fan_out(pn.dense(2, 1), pn.dense(2, 1)), pn.concat), pn.activation(np.sin, np.cos),
    pn.gaussian_noise(0.1), pn.positional_encoding, pn.rnn(2, 2),
], ids=str)  # fmt: skip
def test_a_chain_looks_for_padding_through_all_that_keeps_the_time(between):
    x = np.ones((2, 4, 2), np.float32)
    for first, then in ((pn.gru(2, 2), pn.global_avg_pool), (BLOCK, BLOCK), (ATTENTION, pn.last_step)):
        net = pn.serial(first, between, then)
        with pytest.raises(ValueError, match="would take padding for data: write keep_rest"):
            net.apply(net.init(pn.key(0)), (x, np.array([4, 2])))


@pytest.mark.parametrize("mask", [np.ones((2, 1, 4, 4), bool), np.zeros((2, 1, 4, 4), np.float32)], ids=str)
def test_a_mask_of_pairs_is_not_lost_between_two_attentions(mask):
    x = np.ones((2, 4, 2), np.float32)
    for net in (pn.serial(BLOCK, BLOCK), pn.serial(ATTENTION, pn.gru(2, 2), pn.residual(ATTENTION))):
        with pytest.raises(ValueError, match=r"the mask beside x ends at .* would attend without it: write keep_rest"):
            net.apply(net.init(pn.key(0)), (x, mask))
    for net in (
        pn.serial(pn.keep_rest(BLOCK), pn.on_first(pn.relu), BLOCK),
        pn.serial(BLOCK, pn.relu, pn.global_avg_pool),  # which takes no mask of pairs
        pn.serial(pn.keep_rest(BLOCK), pn.pick(0), BLOCK),
    ):
        net.apply(net.init(pn.key(0)), (x, mask))


CAUSAL = pn.transformer_block(2, 1, causal=True)


@pytest.mark.parametrize("net", [
    pn.serial(pn.keep_rest(pn.gru(2, 2)), pn.on_first(pn.relu), pn.bidirectional(pn.gru(2, 2))),
    pn.serial(pn.keep_rest(pn.residual(ATTENTION)), pn.residual(pn.keep_rest(ATTENTION)), pn.last_step),
    pn.serial(pn.keep_rest(BOTH_WAYS), pn.on_first(pn.concat), pn.last_step),
    pn.serial(pn.fan_out(pn.gru(2, 2), pn.pick(1)), pn.last_step),
    pn.serial(BOTH_WAYS, pn.pick(0), pn.gru(2, 2)),
    pn.serial(pn.fan_out(pn.serial(pn.keep_rest(BLOCK), pn.last_step), pn.gru(2, 2, last=True)), pn.add),
    pn.serial(pn.gru(2, 2), pn.relu, pn.lstm(2, 2, num_layers=2), pn.stacked(pn.rnn(2, 2), pn.gru(2, 2))),
    pn.serial(CAUSAL, CAUSAL, pn.gru(2, 2)),
    pn.serial(pn.gru(2, 2, num_layers=2, last=True), pn.dense(2, 2)),
    pn.serial(ATTENTION, pn.reshape(2, 2, 2), pn.global_avg_pool),
    pn.serial(ATTENTION, pn.conv(2, 2, (3,)), pn.global_avg_pool),
    pn.serial(ATTENTION, pn.permute(2, 1), pn.global_avg_pool),
    pn.serial(BOTH_WAYS, pn.concat(1), pn.last_step),
    pn.serial(ATTENTION, NO_MAKER, pn.last_step),
], ids=str)  # fmt: skip
def test_a_chain_that_handles_its_padding_is_taken(net):
    net.apply(net.init(pn.key(0)), (np.ones((2, 4, 2), np.float32), np.array([4, 2])))


def test_a_mask_may_have_its_padding_in_front():
    net, x = pn.serial(CAUSAL, CAUSAL), np.ones((2, 4, 2), np.float32)
    with pytest.raises(ValueError, match="write keep_rest"):
        net.apply(net.init(pn.key(0)), (x, np.array([[False, True, True, True]] * 2)))


@pytest.mark.parametrize("beside", [np.array([4, 2]), np.arange(4) < np.array([[4], [2]])], ids=["lengths", "mask"])
def test_padding_that_is_handed_on_counts_for_nothing(beside):
    params, x = HANDED_ON.init(pn.key(0)), np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32)
    alone = HANDED_ON.apply(params, x[1:, :2])
    np.testing.assert_allclose(HANDED_ON.apply(params, (x, beside))[1:], alone, rtol=1e-6)


def test_padding_behind_disturbs_no_layer_that_goes_forward():
    net = pn.serial(pn.lstm(2, 2), pn.layer_norm(2), pn.lstm(2, 3), pn.dense(3, 1))
    params, x = net.init(pn.key(0)), np.ones((2, 4, 2), np.float32)
    assert net.apply(params, (x, np.array([4, 2]))).shape == (2, 4, 1)


def test_bidirectional_says_which_state_it_takes_and_which_layers_give_one():
    both = pn.bidirectional(pn.gru(3, 3))
    params, x = both.init(pn.key(0)), np.ones((2, 4, 3), np.float32)
    with pytest.raises(ValueError, match=r"a state that is a tuple of 2, one for each layer, not a float32 array"):
        both.apply(params, (x, np.zeros((2, 2, 3), np.float32)))  # as PyTorch has it
    ends = pn.bidirectional(pn.gru(3, 3, return_state=True), pn.gru(3, 3, reverse=True, last=True))
    for attempt in (lambda: ends.apply(params, x), lambda: ends.shape((4, 3))):
        with pytest.raises(ValueError, match="some of its layers give their state: set return_state in all"):
            attempt()
