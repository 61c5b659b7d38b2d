"""What is not finite reaches only what it belongs to: a NaN or an infinity times 0 is NaN, so no mask may be a product.

Over the catalogue: one number of x or of dE/dY is made NaN or infinite. What may then be other than finite is what that
number reaches at all: what changes with it as it takes other, finite values.
"""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.cases import normal
from tests.catalogue import LAYER_CASES, layer_id
from tests.kit import cast

NOT_FINITE = (np.nan, np.inf, -np.inf)
STEPS = (0.5, -0.5, 100.0, -100.0)  # across a kink, and so far that each number is once the largest

# Whose dE/dparams are products with a 0 that is no mask, but a number like any other: a state that begins with 0, what
# dropout or relu gave, a padded cell, dE/dS of a place that attends to a single one.
PRODUCTS_WITH_0 = {
    "rnn", "lstm", "gru", "bidirectional", "multi_head_attention", "transformer_block", "transformer_decoder_block",
}  # fmt: skip
ONE_NUMBER = {"softmax", "log_softmax", "layer_norm", "rms_norm"}  # of one number, Y does not depend on x


def is_compared(name, case):
    of_one = name in ONE_NUMBER and case.x.shape[-1] == 1
    attends_to_one = name == "multi_head_attention" and (
        "causal" in case.layer.name if type(case.x) is tuple else case.x.shape[1] == 1
    )
    return not of_one and not attends_to_one and "frozen(layer_norm)" not in case.layer.name


CASES = [(name, case) for name, case in LAYER_CASES if is_compared(name, case)]


def results(name, case, params, given):
    """Y, dE/dX and, if they are compared, dE/dparams."""
    x, dy = given
    y, pullback = case.layer.vjp(params, x, case.key)
    dparams, dx = pullback(dy)
    compared = not case.layer.parts and name not in PRODUCTS_WITH_0 and "padding" not in case.layer.name
    return pn.tree.leaves((y, dx, dparams if compared else ()))


def places(tree):
    """Some numbers of each array of floats: (leaf, index)."""
    rng = np.random.default_rng(0)
    for i, leaf in enumerate(pn.tree.leaves(tree)):
        if leaf.dtype.kind == "f" and leaf.size:
            for flat in sorted({0, leaf.size - 1, *rng.integers(leaf.size, size=3).tolist()}):
                yield i, np.unravel_index(flat, leaf.shape)


def changed(tree, place, to):
    """The tree with the number to(old) at a place."""
    leaves, structure = pn.tree.flatten(tree)
    i, index = place
    leaves[i] = leaves[i].copy()
    leaves[i][index] = to(leaves[i][index])
    return pn.tree.unflatten(structure, leaves)


def check(name, run, given):
    """run(x, dy) gives arrays."""
    with np.errstate(all="ignore"):
        before = run(given)
        for place in places(given):
            reached = [np.zeros(leaf.shape, bool) for leaf in before]
            for step in STEPS:
                after = run(changed(given, place, lambda old, step=step: old + step))
                reached = [r | (a != b) for r, a, b in zip(reached, after, before, strict=True)]
            for value in NOT_FINITE:
                found = run(changed(given, place, lambda old, value=value: value))
                for leaf, reach in zip(found, reached, strict=True):
                    beyond = np.argwhere(~np.isfinite(leaf) & ~reach)
                    assert not len(beyond), f"{name}: {value} at {place} reaches {beyond[0]} of {leaf.shape}"


@pytest.mark.parametrize(("name", "case"), CASES, ids=map(layer_id, CASES))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_reaches_only_what_it_belongs_to(name, case, dtype):
    params, x = cast(case.params, dtype), cast(case.x, dtype)
    y = case.layer.apply(params, x, case.key)
    dy = pn.tree.map(lambda leaf: normal(*leaf.shape, seed=3).astype(leaf.dtype), y)
    check(name, lambda given: results(name, case, params, given), (x, dy))


def bad(a):
    """How many numbers are not finite."""
    return int((~np.isfinite(a)).sum())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    "layer", [pn.relu, pn.relu6, pn.hard_tanh, pn.hard_sigmoid, pn.hard_swish, pn.max_pool(2), pn.global_max_pool]
)
def test_an_infinite_gradient_is_0_where_the_slope_is_0(layer, dtype):
    x = np.full((1, 2, 2, 2), -9, dtype)
    x[0, 0, 1] = 1 if "pool" in layer.name else 0.5
    y, pullback = layer.vjp((), x)
    for value in NOT_FINITE:
        dx = pullback(np.full_like(y, value))[1]
        assert np.isfinite(dx[x == -9]).all()
        assert not np.isfinite(dx[0, 0, 1]).any()


def test_an_infinite_cell_is_infinite_in_a_larger_image():
    x = np.array([np.inf, 1, -np.inf], np.float32).reshape(1, 3, 1)
    y = pn.upsample(size=5, method="bilinear").apply((), x).ravel()
    np.testing.assert_array_equal(y, [np.inf, np.inf, 1, -np.inf, -np.inf])


@pytest.mark.parametrize("channelwise", [False, True])
def test_what_is_dropped_is_0_be_it_infinite(channelwise):
    layer, key = pn.dropout(channelwise=channelwise), pn.key(0)
    kept = layer.apply((), np.ones((4, 5, 6), np.float32), key) != 0
    for value in NOT_FINITE:
        x = np.full((4, 5, 6), value, np.float32)
        y, pullback = layer.vjp((), x, key)
        for found in (y, pullback(x)[1]):
            np.testing.assert_array_equal(found, np.where(kept, value, 0))


def test_the_slope_of_prelu_is_that_of_negative_numbers():
    params = pn.prelu.init(pn.key(0))
    _, pullback = pn.prelu.vjp(params, np.array([1, -2], np.float32))
    assert pullback(np.array([np.inf, 1], np.float32))[0].negative_slope == -2
    lost = params._replace(negative_slope=np.full(1, np.nan, np.float32))
    np.testing.assert_array_equal(pn.prelu.apply(lost, np.array([1, -2, np.inf], np.float32)), [1, np.nan, np.inf])


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize(
    ("ins", "outs", "kernel", "options"),
    [
        (1, 1, 3, {}),
        (1, 6, 5, {}),
        (6, 16, 5, {"padding": 2}),  # x and dx by bands
        (32, 32, 3, {}),  # dx by rows
        (4, 2, 3, {"stride": 2}),
        (4, 6, 3, {"dilation": (2, 3)}),
        (4, 6, 3, {"groups": 2}),
    ],
)
def test_a_pixel_reaches_the_windows_that_hold_it(ins, outs, kernel, options, value, monkeypatch):
    layer = pn.conv(ins, outs, kernel, **options)
    params, x = layer.init(pn.key(0)), normal(3, 28, 28, ins).astype(np.float32)
    ones = params._replace(weight=np.ones_like(params.weight))
    for many in (True, False):  # patches that are kept, and patches that are made again
        if not many:
            monkeypatch.setattr("purenet.engine.numpy_convolution.PATCH_BYTES", 10_000)
        y, pullback = layer.vjp(params, x)
        dy = normal(*y.shape, seed=1).astype(np.float32)
        dx = pullback(dy)[1]
        there = np.zeros_like(x)
        there[1, 13, 13, 0] = 1
        x_bad, dy_bad = np.where(there, value, x), dy.copy()
        dy_bad[1, 5, 5, 0] = value
        with np.errstate(invalid="ignore"):
            y_found, pulled = layer.vjp(params, x_bad)
            assert bad(pulled(dy)[0].weight) <= kernel * kernel * outs
            dx_found = pullback(dy_bad)[1]
        np.testing.assert_array_equal(~np.isfinite(y_found), layer.apply(ones, there) != layer.apply(ones, 0 * there))
        assert bad(dx_found) == kernel * kernel * ins // options.get("groups", 1)
        for found, right in ((y_found, y), (dx_found, dx)):
            finite = np.isfinite(found)
            np.testing.assert_allclose(found[finite], right[finite], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_what_comes_later_does_not_reach_causal_attention(value):
    layer = pn.multi_head_attention(6, 2, causal=True)
    params, x = layer.init(pn.key(0)), normal(2, 5, 6).astype(np.float32)
    y, pullback = layer.vjp(params, x)
    dx = pullback(np.ones_like(y))[1]
    later, dy = x.copy(), np.ones_like(y)
    later[0, 3, 2], dy[0, 1, 2] = value, value
    with np.errstate(invalid="ignore"):
        found, dx_found = layer.apply(params, later), pullback(dy)[1]
    assert bad(found) == 2 * 6
    np.testing.assert_allclose(found[0, :3], y[0, :3], rtol=1e-5, atol=1e-6)
    assert bad(dx_found) == 2 * 6
    np.testing.assert_allclose(dx_found[0, 2:], dx[0, 2:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_keys_and_values_in_the_padding_count_for_nothing(value):
    layer = pn.multi_head_attention(6, 2)
    queries, others = normal(2, 3, 6), normal(2, 4, 6, seed=1)
    params = pn.tree.cast(layer.init(pn.key(0)), np.float64)
    mask = np.array([[True, True, False, True], [True, False, False, False]])
    y, pullback = layer.vjp(params, (queries, others, mask))
    gradients = pullback(y)
    padded = np.where(mask[..., None], others, value)
    found, pulled = layer.vjp(params, (queries, padded, mask))
    for a, b in zip(pn.tree.leaves((y, gradients)), pn.tree.leaves((found, pulled(y))), strict=True):
        np.testing.assert_array_equal(a, b)
    dy = y.copy()
    dy[0, 1] = value
    with np.errstate(invalid="ignore"):
        dothers = pullback(dy)[1][1]
    np.testing.assert_array_equal(np.isfinite(dothers).all(axis=-1), [[False, False, True, False], [True] * 4])


@pytest.mark.parametrize("make", [pn.rnn, pn.lstm, pn.gru])
def test_a_state_that_is_not_finite_leaves_the_padding_alone(make):
    layer = make(2, 3)
    params, x = layer.init(pn.key(0)), np.ones((2, 4, 2), np.float32)
    x[0, 1], x[:, 3] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        y, pullback = layer.vjp(params, (x, np.array([2, 3])))
        dx, _ = pullback(np.full_like(y, np.inf))[1]
    assert (y[0, 2:] == 0).all()
    assert (dx[0, 2:] == 0).all()
    assert (dx[1, 3] == 0).all()
    assert np.isfinite(y[1]).all()


@pytest.mark.parametrize("scale", [3, 5])
def test_the_middle_of_a_cell_that_is_made_larger_is_that_cell(scale):
    x = np.array([1, np.inf, 2])[None, :, None]
    layer = pn.upsample((scale,), "bilinear")
    y, pullback = layer.vjp((), x)
    middle = scale // 2
    assert y[0, middle, 0] == 1
    dy = np.zeros_like(y)
    dy[0, middle] = np.inf
    assert bad(pullback(dy)[1]) == 1
