"""Sums of losses: of one output, and of several."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import purenet as pn
from purenet.losses import reduction_of
from purenet.spec.guard import guarded
from tests.cases import normal
from tests.kit import bits
from tests.test_losses import OWN, close

Y, TARGET = normal(4, 3), normal(4, 3, seed=1)
LABELS = np.array([0, 2, 2, 1])
EACH = pn.per_output(pn.mse, pn.softmax_cross_entropy, weights=(1, 0.3))


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (pn.mse + 0.3 * pn.mae, "mse + 0.3 * mae"),
        (pn.mse * 2 + pn.huber(0.5) + pn.sse, "2 * mse + huber(delta=0.5) + sse"),
        (0.5 * (pn.mse + 0.5 * pn.mae), "0.5 * mse + 0.25 * mae"),
        (np.float32(0.5) * pn.mse + pn.weighted(pn.mae) * np.array(2), "0.5 * mse + 2 * weighted(mae)"),
        (EACH, "per_output(mse, softmax_cross_entropy, weights=(1, 0.3))"),
        (EACH + EACH, " + ".join(2 * ["per_output(mse, softmax_cross_entropy, weights=(1, 0.3))"])),
    ],
)
def test_the_name_says_what_it_is(loss, name):
    assert repr(loss) == name
    assert eval(name, vars(pn)) == loss == pickle.loads(pickle.dumps(loss))
    assert loss != 2 * loss
    assert 1 * loss == loss


@pytest.mark.parametrize("own", [pn.mae, OWN], ids=["guarded", "own"])
def test_it_is_the_sum(own):
    pairs = [(1, pn.mse.vjp(Y, TARGET)), (0.3, own.vjp(Y, TARGET))]
    expected = sum(f * E for f, (E, _) in pairs), lambda: sum(f * pull() for f, (_, pull) in pairs)
    close((pn.mse + 0.3 * own).vjp(Y, TARGET), expected)
    assert (pn.mse + 0.3 * own).apply(Y, TARGET) == (pn.mse + 0.3 * own).vjp(Y, TARGET)[0]
    pn.testing.check_vjp(pn.mse + 0.3 * own, Y, TARGET)


def test_each_output_has_its_loss():
    y, target = (Y, 2 * Y), (TARGET, LABELS)
    E, pullback = EACH.vjp(y, target)
    parts = [pn.mse.vjp(Y, TARGET), pn.softmax_cross_entropy.vjp(2 * Y, LABELS)]
    assert pytest.approx(parts[0][0] + 0.3 * parts[1][0], rel=1e-14) == E
    first, second = pullback(2.0)
    np.testing.assert_allclose(first, parts[0][1](2.0), rtol=1e-14)
    np.testing.assert_allclose(second, parts[1][1](0.6), rtol=1e-14)


def test_means_and_sums_are_told_apart():
    assert [reduction_of(loss) for loss in (pn.mse + pn.mae, pn.sse + pn.sse, pn.mse + pn.sse, EACH, pn.mse + OWN)] == [
        "mean", "sum", None, "mean", None
    ]  # fmt: skip


def test_a_sum_takes_weights():
    weight = np.array([0.5, 2.0, 0.0, 1.0])
    whole = pn.weighted(pn.mse + 0.3 * pn.mae).vjp(Y, (TARGET, weight))
    close(whole, (pn.weighted(pn.mse) + 0.3 * pn.weighted(pn.mae)).vjp(Y, (TARGET, weight)))
    with pytest.raises(TypeError, match=r"not mse \+ nll"):
        pn.weighted(pn.mse + pn.nll)


HEADS = pn.serial(pn.dense(3, 5), pn.tanh, pn.fan_out(pn.dense(5, 3), pn.dense(5, 3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16], ids=["float32", "float64", "float16"])
@pytest.mark.parametrize("loss", [EACH, 2 * EACH + EACH, pn.per_output(OWN, pn.nll)], ids=["each", "sum", "own"])
def test_a_net_of_several_outputs_is_trained(loss, dtype):
    x, target = Y.astype(dtype), (TARGET.astype(dtype), LABELS)
    params, evaluate = pn.tree.cast(HEADS.init(pn.key(0)), dtype), pn.value_and_grad(HEADS, loss)
    first = evaluate(params, x, target)
    assert bits(evaluate(params, x, target)) == bits(first)
    assert {leaf.dtype for leaf in pn.tree.leaves(first[1])} == {np.dtype(dtype)}
    found = pn.fit(HEADS, loss, pn.adam(lr=0.05), params, (x, target), epochs=30, batch_size=4, key=pn.key(0))
    assert evaluate(found.params, x, target)[0] < 0.8 * abs(first[0])


def test_sums_go_the_bare_way():
    for loss, y, target in ((pn.mse + 0.3 * pn.mae, Y, TARGET), (EACH, (Y, Y), (TARGET, LABELS))):
        first = loss.vjp(y, target)
        assert guarded(loss).known.ops(y, target) is not None
        assert bits((loss.vjp(y, target)[0], loss.vjp(y, target)[1]())) == bits((first[0], first[1]()))
