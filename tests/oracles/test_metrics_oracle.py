"""Metrics agree with scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn.metrics as theirs

from purenet import metrics

DRAWS = 100


@pytest.mark.parametrize("seed", range(DRAWS))
def test_classes(seed):
    rng = np.random.default_rng(seed)
    n, classes = int(rng.integers(1, 60)), int(rng.integers(2, 8))
    scores = rng.normal(size=(n, classes)).astype(rng.choice([np.float32, np.float64]))
    if seed % 3 == 0:
        scores = scores.round(0)  # ties
    target = rng.integers(0, classes, n)
    predicted, labels = scores.argmax(axis=1), list(range(classes))
    assert metrics.accuracy(scores, target) == pytest.approx(theirs.accuracy_score(target, predicted), rel=1e-12)
    assert np.array_equal(
        metrics.confusion_matrix(scores, target), theirs.confusion_matrix(target, predicted, labels=labels)
    )
    pairs = [
        (metrics.precision, theirs.precision_score),
        (metrics.recall, theirs.recall_score),
        (metrics.f1, theirs.f1_score),
    ]
    for ours, their in pairs:
        each = their(target, predicted, labels=labels, average=None, zero_division=0)
        assert np.allclose(ours(scores, target, None), each, rtol=1e-12)
        for average in ("macro", "micro", "weighted"):
            expected = their(target, predicted, average=average, zero_division=0)
            assert ours(scores, target, average) == pytest.approx(expected, rel=1e-12), (ours, average)
        if classes == 2:
            expected = their(target, predicted, average="binary", zero_division=0)
            assert ours(scores, target, "binary") == pytest.approx(expected, rel=1e-12)
    if classes > 2:
        for k in range(1, classes):
            expected = theirs.top_k_accuracy_score(target, scores, k=k, labels=labels)
            assert metrics.top_k_accuracy(scores, target, k) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(DRAWS))
def test_numbers(seed):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(2, 60)), int(rng.integers(1, 5)))
    y, target = rng.normal(size=shape), rng.normal(size=shape) + 10
    if seed % 4 == 0:
        target[:, 0] = 3
    if seed % 8 == 0:
        y[:, 0] = 3
    assert metrics.mean_squared_error(y, target) == pytest.approx(theirs.mean_squared_error(target, y), rel=1e-12)
    assert metrics.mean_absolute_error(y, target) == pytest.approx(theirs.mean_absolute_error(target, y), rel=1e-12)
    assert metrics.r2(y, target) == pytest.approx(theirs.r2_score(target, y), rel=1e-10)


@pytest.mark.parametrize("seed", range(DRAWS))
def test_perplexity(seed):
    rng = np.random.default_rng(seed)
    n, classes = int(rng.integers(1, 60)), int(rng.integers(2, 8))
    logits, target = 5 * rng.normal(size=(n, classes)), rng.integers(0, classes, n)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sums of probabilities that are 1 to the last bit but one
        expected = np.exp(theirs.log_loss(target, p, labels=list(range(classes))))
    assert metrics.perplexity(logits, target) == pytest.approx(expected, rel=1e-9)
