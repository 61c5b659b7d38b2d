"""Metrics by hand; tests/oracles holds them against scikit-learn's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import purenet as pn
from purenet import metrics

scores = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.6, 0.3, 0.1]], np.float32)
target = np.array([0, 2, 0, 1])


def test_classes():
    assert metrics.accuracy(scores, target) == 0.5
    assert metrics.accuracy(scores, pn.data.one_hot(target, 3)) == 0.5
    assert metrics.accuracy(scores.argmax(axis=1), target) == 0.5
    assert metrics.top_k_accuracy(scores, target, k=1) == 0.5
    assert metrics.top_k_accuracy(scores, target, k=2) == 0.75
    assert metrics.top_k_accuracy(scores, target, k=3) == 1
    assert metrics.confusion_matrix(scores, target).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert metrics.confusion_matrix(scores, target, classes=4).shape == (4, 4)
    assert metrics.precision(scores, target, average=None).tolist() == [0.5, 0, 1]
    assert metrics.recall(scores, target, average=None).tolist() == [0.5, 0, 1]
    assert metrics.f1(scores, target) == 0.5
    assert metrics.precision(scores, target, "micro") == metrics.accuracy(scores, target)
    assert metrics.recall(scores, target, "weighted") == metrics.accuracy(scores, target)


def test_one_output_for_two_classes():
    logits, is_one = (
        np.array([[2.0], [-1.0], [0.5], [-2.0]], np.float32),
        np.array([[1.0], [0.0], [0.0], [0.0]], np.float32),
    )
    chosen = logits > 0
    for y, t in itertools.product((chosen, chosen[:, 0]), (is_one, is_one[:, 0], is_one.astype(int), is_one > 0)):
        assert metrics.accuracy(y, t) == 0.75
        assert metrics.confusion_matrix(y, t).tolist() == [[2, 1], [0, 1]]
        assert metrics.precision(y, t, "binary") == 0.5
        assert metrics.recall(y, t, "binary") == 1


def test_each_place_of_a_sequence_is_an_example():
    y, t = np.stack([scores, scores[::-1]]), np.stack([target, target[::-1]])
    assert metrics.accuracy(y, t) == metrics.accuracy(scores, target) == 0.5
    assert metrics.accuracy(y, pn.data.one_hot(t, 3)) == 0.5
    assert (metrics.confusion_matrix(y, t) == 2 * metrics.confusion_matrix(scores, target)).all()
    assert metrics.f1(y, t) == metrics.f1(scores, target)
    y, t = pn.random.normal(pn.key(1), (5, 4, 3)), np.arange(20).reshape(5, 4) ** 2 % 3
    assert metrics.accuracy(y, t) == np.mean([metrics.accuracy(*each) for each in zip(y, t, strict=True)])


def test_numbers():
    y = np.array([[1.0, 2.0], [3.0, 5.0]])
    assert metrics.mean_squared_error(y, y + 2) == 4
    assert metrics.mean_absolute_error(y, y - 3) == 3
    assert metrics.r2(y, y) == 1
    assert metrics.r2(np.full((2, 2), y.mean(axis=0)), y) == 0
    assert metrics.r2(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 1
    assert metrics.r2(np.array([1.0, 2.0]), np.array([1.0, 1.0])) == 0


def test_perplexity():
    logits = pn.random.normal(pn.key(0), (2, 5, 7), np.float64)
    labels = np.arange(10).reshape(2, 5) % 7
    E = pn.softmax_cross_entropy.apply(logits.reshape(10, 7), labels.reshape(10))
    assert metrics.perplexity(logits, labels) == pytest.approx(math.exp(E), rel=1e-12)
    assert metrics.perplexity(np.array([[1e4, 0.0]]), np.array([0])) == 1
    assert metrics.perplexity(np.array([[1e4, 0.0]]), np.array([1])) == math.inf


def test_in_evaluate_and_fit():
    test = pn.data.digits()[1]
    net = pn.serial(pn.dense(64, 10))
    params = net.init(pn.key(0))
    found = pn.evaluate(net, pn.softmax_cross_entropy, params, test, [metrics.accuracy, metrics.confusion_matrix], 100)
    assert found["accuracy"] == metrics.accuracy(net.apply(params, test.x), test.target)
    assert found["confusion_matrix"].sum() == 359


@pytest.mark.parametrize(
    ("metric", "y", "t", "message"),
    [
        (metrics.accuracy, scores, target[:3], "as many outputs as targets, at least one, not 4 and 3"),
        (metrics.accuracy, scores[:0], target[:0], "at least one, not 0 and 0"),
        (metrics.accuracy, scores[:, 0], target, r"y as \(n, classes\) scores, or \(n,\) integer labels"),
        (
            metrics.accuracy,
            scores[:, :1],
            target,
            r"write accuracy\(y > 0.5, target\) for prob.*\(y > 0, target\) for logits",
        ),
        (metrics.accuracy, np.zeros((2, 3, 4)), np.zeros((2, 4), int), r"not a float64 array of shape \(2, 3, 4\)$"),
        (metrics.accuracy, scores, target + 0.5, r"target as \(n, classes\) one-hot, or \(n,\) integer labels"),
        (metrics.confusion_matrix, scores, target - 1, "labels from 0 to 2, but found -1"),
        (metrics.accuracy, scores, target - 1, "labels from 0 to 2, but found -1 in target: leave out what is ignored"),
        (metrics.accuracy, scores, target + 1, "labels from 0 to 2, but found 3 in target$"),
        (metrics.accuracy, target, pn.data.one_hot(target, 3)[:, :2], "target is .* with other rows"),
        (metrics.accuracy, target + 1, pn.data.one_hot(target, 3), "labels from 0 to 2, but found 3 in y$"),
        (metrics.accuracy, target - 1, target, "labels from 0 up, but found -1 in y"),
        (metrics.accuracy, np.array([-1, 1]), np.array([1, -1]), "write target > 0, and y > 0$"),
        (metrics.confusion_matrix, scores, target + 1, "labels from 0 to 2, but found 3 in target$"),
        (metrics.f1, scores, target, "takes two classes, not 3"),
        (metrics.top_k_accuracy, scores, target, "k from 1 to classes"),
        (metrics.r2, scores, target, r"\(4, 3\) and \(4,\)"),
        (metrics.r2, scores[:1], scores[:1], "two examples"),
        (metrics.perplexity, scores, target[:2], "takes logits"),
        (metrics.perplexity, scores, target + 1, "labels from 0 to 2"),
    ],
)
def test_nonsense(metric, y, t, message):
    options = {metrics.f1: {"average": "binary"}, metrics.top_k_accuracy: {"k": 4}}.get(metric, {})
    with pytest.raises(ValueError, match=message):
        metric(y, t, **options)


SEQUENCES = np.array([[2, 1, 0, 1], [1, 2, 0, 0]])


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.confusion_matrix, metrics.precision, metrics.f1])
def test_labels_of_sequences_are_no_rows_of_scores(metric):
    chosen = SEQUENCES.copy()
    chosen[0, 1] = chosen[1, 3] = 2
    hot, flat = np.array([[0, 1], [1, 0]]), (chosen.ravel(), SEQUENCES.ravel())
    message = rf"one-hot, each zeros and a single one, but .*write {metric.__name__}\(y.ravel\(\), target.ravel\(\)\)$"
    for y, t in ((chosen, SEQUENCES), (chosen, SEQUENCES * 1.0), (SEQUENCES * 0.1, SEQUENCES), (hot + 1, hot)):
        with pytest.raises(ValueError, match=message):
            metric(y, t)
    assert metrics.accuracy(*flat) == 0.75
    assert metrics.confusion_matrix(*flat).sum() == 8


def test_rows_that_are_one_hot_soft_or_votes():
    hot = pn.data.one_hot(target, 3)
    for y in (scores, (scores * 10).astype(int), scores == scores.max(axis=1, keepdims=True)):
        for t in (target, hot, hot == 1, hot * 0.9 + 0.03):
            assert metrics.accuracy(y, t) == 0.5
    assert metrics.accuracy(hot.astype(int), hot.astype(int)) == 1
    several = scores > 0.25
    for y, t, write in ((several, target, "write y as it is$"), (scores, several, r"write accuracy\(y\[:, i\], t")):
        with pytest.raises(ValueError, match=f"is a bool array of shape .4, 3. with other rows: .*{write}"):
            metrics.accuracy(y, t)


def test_of_soft_targets_the_largest_counts():
    soft = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.6, 0.2]])
    chosen = np.array([0, 2, 2])
    assert metrics.accuracy(chosen, soft) == metrics.accuracy(soft, chosen) == pytest.approx(2 / 3)
    assert metrics.accuracy(pn.data.one_hot(chosen, 3), soft) == pytest.approx(2 / 3)
    with pytest.raises(
        ValueError, match=r"write recall\(scores, labels\), or of soft targets target.argmax\(axis=1\)$"
    ):
        metrics.recall(chosen, soft)
    assert metrics.recall(chosen, soft.argmax(axis=1), "micro") == pytest.approx(2 / 3)


def test_an_unknown_average():
    with pytest.raises(ValueError, match="not 'mean'"):
        metrics.recall(scores, target, "mean")


SHARES = [metrics.accuracy, metrics.top_k_accuracy, metrics.precision, metrics.recall, metrics.f1]
NUMBERS = [metrics.mean_squared_error, metrics.mean_absolute_error, metrics.r2]


@pytest.mark.parametrize("metric", SHARES, ids=lambda metric: metric.__name__)
def test_a_nan_among_scores_or_shares_makes_a_metric_nan(metric):
    k = {"k": 2} if metric is metrics.top_k_accuracy else {}
    broken = scores.copy()
    broken[0, 1] = np.nan
    hot = pn.data.one_hot(target, 3)
    for y, t in ((np.full((4, 3), np.nan), target), (broken, target), (scores, np.where(hot == 1, np.nan, hot))):
        assert math.isnan(metric(y, t, **k))
    if not k and metric is not metrics.accuracy:
        assert np.isnan(metric(broken, target, average=None)).tolist() == [True] * 3
        assert math.isnan(metric(broken, target, average="micro"))
        assert math.isnan(metric(broken, target, average="weighted"))
    assert not math.isnan(metric(scores, target, **k))


def test_a_nan_is_of_no_class():
    with pytest.raises(ValueError, match="counts classes, but y or target holds NaN"):
        metrics.confusion_matrix(np.full((2, 3), np.nan), np.zeros(2, int))


@pytest.mark.parametrize("metric", NUMBERS, ids=lambda metric: metric.__name__)
def test_a_nan_among_numbers_makes_a_metric_nan(metric):
    numbers, broken = np.array([[1.0, 1.0], [1.0, 2.0]]), np.array([[1.0, 1.0], [np.nan, 2.0]])
    for y, t in (
        (broken, numbers),
        (numbers, broken),
        (np.full(2, np.nan), np.ones(2)),
        (np.ones(2), np.full(2, np.nan)),
    ):
        assert math.isnan(metric(y, t))


def test_perplexity_of_nan_is_nan():
    assert math.isnan(metrics.perplexity(np.full((2, 3), np.nan), np.zeros(2, int)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e9 + 0.1, 1e-30])
def test_r2_of_a_target_that_never_changes(dtype, value):
    for n in (2, 3, 1000, 100_001):
        t = np.full(n, value, dtype)
        assert metrics.r2(t, t) == 1
        assert metrics.r2(t * dtype(1.5), t) == 0
        assert metrics.r2(t.astype(np.float64), t) == metrics.r2(t, t.astype(np.float64)) == 1
    nearly = np.array([0.3, 0.1 + 0.2, 0.3])
    assert metrics.r2(np.full(3, 0.4), nearly) == 0
    assert metrics.r2(np.full(3, 0.3), nearly) == 1


def test_r2_of_small_changes_of_large_numbers():
    t = np.array([0.0, 1.0, 2.0])
    for far, size in ((1e12, 1.0), (1.7e9, 1e-3), (0.0, 1e-200), (0.0, 1e200)):
        moved = far + size * t
        assert metrics.r2(np.full(3, moved[1]), moved) == pytest.approx(0, abs=1e-6)
        assert metrics.r2(moved, moved) == 1
        assert metrics.r2(moved[[0, 1, 1]], moved) == pytest.approx(0.5, rel=1e-3)
