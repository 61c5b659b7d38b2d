"""The ops of recurrent layers and attention: NumPy's own forms against the plain ones, by the rules that use them."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from purenet.engine import Ops
from purenet.engine.numpy import NUMPY
from purenet.spec.guard import guarded

PLAIN = Ops(np)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def normal(*shape, seed=0):
    return pn.random.normal(pn.key(seed), shape, np.float64)


def by(ops, layer, params, x, dy):
    """Y, the gradients with dE/dX and without, and Y alone."""
    both = guarded(layer)
    y, pull = both.rule(ops, params, x, None)
    return y, pull(dy, True), pull(dy, False), both.forward(ops, params, x, None)


def sequences(batch):
    return normal(batch, 7, 4), (normal(batch, 3, seed=1), normal(batch, 3, seed=2))


MASK = np.arange(5) < np.array([[5], [2], [0]])
CASES = [
    *(
        (pn.lstm(4, 3, bias=bias, last=last, reverse=reverse), sequences(batch), 1.0)
        for batch in (1, 3, 300)  # of 300 examples, in blocks
        for bias in (True, False)
        for last, reverse in ((False, False), (True, False), (False, True))
    ),
    (pn.lstm(4, 3), (normal(3, 7, 4), np.array([4, 1, 7])), 1.0),
    *(
        (pn.multi_head_attention(8, 2, causal=causal), x, size)
        for causal in (False, True)
        for x in (normal(3, 5, 8), (normal(3, 5, 8), MASK))
        for size in (1.0, 300.0)  # of large scores, NumPy takes the largest off too
    ),
]


@each_dtype
@pytest.mark.parametrize(("layer", "x", "size"), CASES, ids=[str(layer) for layer, *_ in CASES])
def test_an_op_of_numpy_is_the_plain_one(layer, x, size, dtype):
    params = pn.tree.map(lambda p: size * (p + 0.2 * normal(*p.shape, seed=p.size)), layer.init(pn.key(0)))
    params, x = pn.tree.cast((params, x), dtype)
    dy = pn.tree.map(lambda part: normal(*part.shape, seed=3).astype(dtype), layer.apply(params, x))
    own, plain = by(NUMPY, layer, params, x, dy), by(PLAIN, layer, params, x, dy)
    pn.tree.check_same(own, plain)
    for a, b in zip(pn.tree.leaves(own), pn.tree.leaves(plain), strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=200 * np.finfo(dtype).eps * max(1, np.abs(b).max()))
    y, (dparams, _), (same, _), alone = own
    assert all(map(np.array_equal, pn.tree.leaves((y, dparams)), pn.tree.leaves((alone, same))))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_that_exp_takes_as_they_are(dtype):
    scores = np.zeros((2, 3), dtype)
    assert NUMPY.exp_takes(scores) == (dtype != np.float16)  # of whose range exp(40) is out
    for limit in (40, -40, np.inf, -np.inf, np.nan):
        scores[1, 2] = limit
        assert not NUMPY.exp_takes(scores)
    assert not NUMPY.exp_takes(scores[:0])


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_hands_each_step_on(reverse):
    def step(carry, given):
        now, nothing = given
        assert nothing is None
        return 2 * carry + now, (carry, None)

    xs = normal(4, 3)
    last, (before, nothing) = PLAIN.scan(step, np.ones(3), (xs, None), 4, reverse)
    carry, expected = np.ones(3), []
    for x in xs[::-1] if reverse else xs:
        expected.append(carry)
        carry = 2 * carry + x
    np.testing.assert_array_equal(last, carry)
    assert nothing is None
    for axis in (0, 1):
        steps = np.stack(expected[::-1] if reverse else expected, axis=axis)
        np.testing.assert_array_equal(PLAIN.stack_steps(before, axis), steps)
    again = PLAIN.scan(lambda carry, given: (carry, given), 0, (before,), 4)[1][0]
    np.testing.assert_array_equal(PLAIN.stack_steps(again, 0), PLAIN.stack_steps(before, 0))
