"""A weight of 1 changes nothing, one of 0 takes an example away, and with one of 2 it is there twice."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from purenet.spec.guard import guarded
from tests.cases import normal
from tests.catalogue import LOSS_CASES, loss_id
from tests.kit import bits

CASES = [
    (name, case)
    for name, case in LOSS_CASES
    if guarded(case.loss).costs is not None and guarded(case.loss).reduction != "none"
]
each_loss = pytest.mark.parametrize("case", [case for _, case in CASES], ids=map(loss_id, CASES))


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


def value_and_slope(loss, y, target):
    E, pullback = loss.vjp(y, target)
    return E, *pn.tree.leaves(pullback())


@each_loss
def test_weights_of_1_change_nothing(case):
    plain, weighted = value_and_slope(case.loss, case.y, case.target), pn.weighted(case.loss)
    shape = pn.tree.leaves(case.y)[0].shape
    most = min(case.target.ndim, max(1, len(shape) - 1))
    for axes in range(1, most + 1):
        ones = np.ones(shape[:axes])
        close(value_and_slope(weighted, case.y, (case.target, ones)), plain)


@each_loss
def test_whole_weights_repeat_examples(case):
    batch = len(pn.tree.leaves(case.y)[0])
    times = np.arange(batch) % 3 + (batch == 1)
    E, *slopes = value_and_slope(pn.weighted(case.loss), case.y, (case.target, times))
    repeated = pn.tree.map(lambda part: part.repeat(times, axis=0), (case.y, case.target))
    each = (dy.repeat(times, axis=0) / times.repeat(times).reshape(-1, *[1] * (dy.ndim - 1)) for dy in slopes)
    close((E, *each), value_and_slope(case.loss, *repeated))
    assert not any(dy[times == 0].any() for dy in slopes)


def test_a_mask_leaves_steps_out():
    y, labels, mask = (
        normal(2, 3, 4),
        np.array([[0, 1, 2], [3, 0, 1]]),
        np.array([[True, True, False], [True, False, False]]),
    )
    E, dy = value_and_slope(pn.weighted(pn.softmax_cross_entropy), y, (labels, mask))
    kept, slope = value_and_slope(pn.softmax_cross_entropy, y[mask], labels[mask])
    close((E, dy[mask]), (kept, slope))
    assert not dy[~mask].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_a_gradient_goes_the_bare_way_to_the_same_bits(dtype):
    net = pn.serial(pn.dense(3, 5), pn.tanh, pn.dense(5, 4))
    params, x = pn.tree.cast((net.init(pn.key(0)), normal(6, 3)), dtype)
    evaluate = pn.value_and_grad(net, pn.weighted(pn.softmax_cross_entropy))
    target = np.arange(6) % 4, np.arange(6).astype(dtype)
    first = evaluate(params, x, target)
    assert bits(evaluate(params, x, target)) == bits(first)
    assert {leaf.dtype for leaf in pn.tree.leaves(first)} == {np.dtype(dtype)}
