"""How good outputs are, in numbers that people read: functions of (y, target), for `evaluate`, `fit` or by themselves.

For classes, y is (..., classes) scores of any kind (logits, probabilities), of which the largest counts, or (n,) labels
that were chosen; target is (...) labels, or (..., classes) one-hot or soft, of which the largest counts too. Labels are
from 0 to classes - 1. Chosen labels of sequences are flattened: `accuracy(y.ravel(), target.ravel())`.

A net with one output says how sure it is of class 1, and where that begins is yours to say: compare it, as in
`accuracy(y > 0.5, target)` for probabilities and `accuracy(y > 0, target)` for logits; an axis of size 1 at the end may
stay.

The outputs stand before the target, as in losses; in scikit-learn the target stands first.

Where y or target holds NaN, a metric is NaN, and counts are an error.

Names are those of the field; the losses `mse` and `mae` are differentiated, `mean_squared_error` and
`mean_absolute_error` here are only read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from purenet.engine.arrays import describe, holds, holds_numbers, is_rounding, rounding_of, to_numpy, write_as_integers
from purenet.engine.jax import host_only
from purenet.values import hinted

Average = Literal["macro", "micro", "weighted", "binary"] | None


def best_when(name: str) -> Literal["lowest", "highest"]:
    """When a number of this name is best: "highest" if it ends in accuracy, precision, recall, f1, r2, auc or score.

    >>> best_when("validation_accuracy"), best_when("loss")
    ('highest', 'lowest')
    """
    return "highest" if name.endswith(("accuracy", "precision", "recall", "f1", "r2", "auc", "score")) else "lowest"


@hinted
def accuracy(y: Any, target: Any) -> float:
    """The share of the examples whose class is right.

    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    >>> logits = np.array([[2.0], [-3.0]])
    >>> accuracy(logits > 0, np.array([[1.0], [0.0]]))
    1.0
    """
    predicted, labels = _labels(y, target, "accuracy")
    return math.nan if _hold_nan(y, target) else float(np.mean(predicted == labels))


@hinted
def top_k_accuracy(y: Any, target: Any, k: int = 5) -> float:
    """The share of the examples whose class is among the k with the highest scores; of equal scores the later class
    comes first, as in scikit-learn.

    >>> top_k_accuracy(np.array([[0.1, 0.5, 0.4], [0.8, 0.2, 0.0]]), np.array([2, 2]), k=2)
    0.5
    """
    _check_one("top_k_accuracy", y, target)
    y = to_numpy(y)
    _check_order(y, to_numpy(target), "top_k_accuracy")
    if y.ndim != 2 or not 1 <= k <= y.shape[1]:
        raise ValueError(
            f"top_k_accuracy takes scores (n, classes) and k from 1 to classes, not {describe(y)} and {k!r}"
        )
    _, labels = _labels(y, target, "top_k_accuracy")
    first = np.argsort(y, axis=1, kind="stable")[:, ::-1][:, :k]
    right = (first == labels[:, None]).any(axis=1)
    return math.nan if _hold_nan(y, target) else float(np.mean(right))


@hinted
def confusion_matrix(y: Any, target: Any, classes: int | None = None) -> Any:
    """Counts (classes, classes): how many examples of the class of the row were taken for the class of the column.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]))
    array([[1, 1],
           [0, 1]])
    """
    matrix = _counts(y, target, "confusion_matrix", classes)
    if _hold_nan(y, target):
        raise ValueError("confusion_matrix counts classes, but y or target holds NaN, which is of none")
    return matrix


def _counts(y: Any, target: Any, who: str, classes: int | None = None) -> Any:
    predicted, labels = _labels(y, target, who, classes)
    found = int(max(predicted.max(), labels.max())) + 1
    known = np.shape(y)[-1] if np.ndim(y) > 1 else np.shape(target)[-1] if np.ndim(target) > 1 else found
    count = max(known, found) if classes is None else classes
    return np.bincount(labels * count + predicted, minlength=count**2).reshape(count, count)


@hinted
def precision(y: Any, target: Any, average: Average = "macro") -> Any:
    """Of the examples that were taken for a class, the share that are of it; 0 for a class that none was taken for.

    `average` is "macro", the mean over the classes that occur; "weighted", by their examples; "micro", over all
    decisions; "binary", of class 1; or None, for an array of each class.

    >>> precision(np.array([0, 1, 1]), np.array([0, 1, 0]), average=None)
    array([1. , 0.5])
    """
    return _averaged(y, target, average, "precision", lambda hits, taken, true: (hits, taken))


@hinted
def recall(y: Any, target: Any, average: Average = "macro") -> Any:
    """Of the examples of a class, the share that were found; `average` as in `precision`.

    >>> recall(np.array([0, 1, 1]), np.array([0, 1, 0]), average=None)
    array([0.5, 1. ])
    """
    return _averaged(y, target, average, "recall", lambda hits, taken, true: (hits, true))


@hinted
def f1(y: Any, target: Any, average: Average = "macro") -> Any:
    """The harmonic mean of precision and recall, 2PR / (P + R) for each class; `average` as in `precision`.

    C. van Rijsbergen, "Information Retrieval", 1979.

    >>> f1(np.array([0, 1, 1]), np.array([0, 1, 0]), average="binary")
    0.6666666666666666
    """
    return _averaged(y, target, average, "f1", lambda hits, taken, true: (2 * hits, taken + true))


@hinted
def mean_squared_error(y: Any, target: Any) -> float:
    """The mean of (Y − T)² over every element, in float64.

    >>> mean_squared_error(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    2.5
    """
    y, target = _numbers(y, target, "mean_squared_error")
    return float(np.mean((y - target) ** 2))


@hinted
def mean_absolute_error(y: Any, target: Any) -> float:
    """The mean of |Y − T| over every element, in float64.

    >>> mean_absolute_error(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    1.5
    """
    y, target = _numbers(y, target, "mean_absolute_error")
    return float(np.mean(np.abs(y - target)))


@hinted
def r2(y: Any, target: Any) -> float:
    """The share of the target's variance that is explained: 1 − Σ (Y − T)² / Σ (T − mean T)², the mean over outputs.

    1 is perfect, 0 is as good as the mean. Of an output whose target never changes, but for rounding, it is 1 if right,
    else 0.

    >>> r2(np.array([1.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    0.5
    """
    given = y, target
    y, target = _numbers(y, target, "r2")
    eps, target_eps = (rounding_of(np.asarray(each)) for each in given)
    if len(y) < 2:
        raise ValueError("r2 takes at least two examples")
    if _hold_nan(y, target):
        return math.nan
    y, target = y.reshape(len(y), -1), target.reshape(len(target), -1)
    first = target[0]
    furthest = np.abs(target - first).max(axis=0)
    constant = is_rounding(furthest, first, target_eps)
    right = is_rounding(np.abs(y - target).max(axis=0), first, max(eps, target_eps))
    scale = np.where(constant, 1, furthest)  # squares of it neither overflow nor sink to 0
    moved = (target - first) / scale
    error, spread = (((y - target) / scale) ** 2).sum(axis=0), ((moved - moved.mean(axis=0)) ** 2).sum(axis=0)
    return float(np.where(constant, right, 1 - error / np.where(constant, 1, spread)).mean())


@hinted
def perplexity(y: Any, target: Any) -> float:
    """exp of the mean cross-entropy of logits (..., classes) and integer labels (...): among how many equally likely
    classes the choice would be as hard.

    >>> round(perplexity(np.zeros((3, 4)), np.array([0, 1, 2])), 12)
    4.0
    """
    _check_one("perplexity", y, target)
    logits, labels = to_numpy(y).astype(np.float64), to_numpy(target)
    if logits.ndim < 2 or labels.shape != logits.shape[:-1] or not holds(labels, "integral") or not labels.size:
        given = f"{describe(logits)} and {describe(labels)}"
        raise ValueError(f"perplexity takes logits (..., classes) and integer labels (...), not {given}")
    if labels.min() < 0 or labels.max() >= logits.shape[-1]:
        raise ValueError(f"perplexity takes labels from 0 to {logits.shape[-1] - 1}")
    top = logits.max(axis=-1)
    log_sum = np.log(np.exp(logits - top[..., None]).sum(axis=-1)) + top
    chosen = np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    mean = float(np.mean(log_sum - chosen))
    return math.inf if mean >= 709 else math.exp(mean)


def _check_one(who: str, y: Any, target: Any) -> None:
    """Check that there is one output and one target."""
    for given in (y, target):
        if isinstance(given, tuple) and any(getattr(part, "shape", ()) for part in given):
            raise TypeError(
                f"{who} takes one output and its target, not a tuple of {len(given)}: "
                f"write lambda y, t: {who}(y[0], t[0]) for the first output"
            )
    host_only(who, y, target)


def _check_order(y: Any, target: Any, who: str) -> None:
    """Check that scores do not stand where the target does, beside labels for y. (What is chosen of soft targets and of
    scores is the same, so accuracy is right of both.)"""
    if who == "accuracy" and target.ndim == 2:
        return
    are_scores = holds(target, "real floating") and not ((target == np.floor(target)) | np.isnan(target)).all()
    if y.ndim == 1 and holds(y, "integral") and target.ndim in (1, 2) and are_scores:
        soft = ", or of soft targets target.argmax(axis=1)"
        raise ValueError(
            f"{who} takes the outputs first, (y, target), but the target is {describe(target)} of scores, and y are "
            f"labels: write {who}({'scores' if target.ndim == 2 else 'scores > 0.5'}, labels)"
            f"{soft if target.ndim == 2 else ''}"
        )


def _labels(y: Any, target: Any, who: str, classes: int | None = None) -> tuple[Any, Any]:
    """The classes that were chosen and those that are right, both (n,), each below `classes`, or below the number of
    columns where there are any."""
    _check_one(who, y, target)
    y, target = to_numpy(y), to_numpy(target)
    _check_order(y, target, who)
    if y.ndim > 2 and target.shape in (y.shape, y.shape[:-1]):  # of sequences, each place is an example
        target = target.reshape(-1, *target.shape[y.ndim - 1 :])
        y = y.reshape(-1, y.shape[-1])
    predicted, labels = _label_of(y, "y", who), _label_of(target, "target", who)
    _check_rows(y, target, who)
    if len(predicted) != len(labels) or not len(labels):
        raise ValueError(
            f"{who} takes as many outputs as targets, at least one, not {len(predicted)} and {len(labels)}"
        )
    columns = [given.shape[1] for given in (y, target) if given.ndim == 2 and given.shape[1] > 1]
    count = min(columns, default=None) if classes is None else classes
    for name, found in (("y", predicted), ("target", labels)):
        if found.min() < 0 or (count is not None and found.max() >= count):
            wrong = found.min() if found.min() < 0 else found.max()
            most = "up" if count is None else f"to {count - 1}"
            raise ValueError(f"{who} takes labels from 0 {most}, but found {wrong} in {name}{_mend_of(found)}")
    return predicted, labels


def _mend_of(labels: Any) -> str:
    """What to write for labels that are below 0."""
    if np.isin(labels, (-1, 1)).all():
        return ": of targets -1 and 1 write target > 0, and y > 0"
    return ": leave out what is ignored, as in y[target >= 0], target[target >= 0]" if labels.min() < 0 else ""


def _label_of(given: Any, name: str, who: str) -> Any:
    """The label of each example, from labels or from rows of which the largest counts."""
    labels = given
    if given.ndim == 2:
        labels = given.argmax(axis=1) if given.shape[1] > 1 else given[:, 0]
    if name == "target" and holds(labels, "real floating") and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)  # as the losses of one output take their 0 and 1
    if labels.ndim == 1 and holds(labels, "integral", "bool"):
        return labels.astype(np.int64)
    scores = "(n, classes) scores" if name == "y" else "(n, classes) one-hot"
    mend = ""
    if name == "target" and not holds_numbers(labels):
        mend = f": {write_as_integers(labels, name)}"
    if name == "y" and labels.ndim == 1 and holds_numbers(labels):
        mend = f": write {who}(y > 0.5, target) for probabilities of class 1, {who}(y > 0, target) for logits"
    raise ValueError(f"{who} takes {name} as {scores}, or (n,) integer labels, not {describe(given)}{mend}")


def _check_rows(y: Any, target: Any, who: str) -> None:
    """Check that rows of whole numbers are one-hot, for the largest of several labels is none. Of y these are what was
    chosen, bools, and integers beside rows of integers; other integers are scores, such as votes."""
    chosen = holds(y, "bool") or (holds(y, "integral") and target.ndim == 2 and holds(target, "integral"))
    for name, rows in (("y", y if chosen else None), ("target", target)):
        if rows is None or rows.ndim != 2 or rows.shape[1] < 2 or not holds_numbers(rows):
            continue
        whole = (rows == np.floor(rows)).all()
        if whole and rows.size and not (((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all()):
            mend = f"for labels of sequences write {who}(y.ravel(), target.ravel())"
            if holds(rows, "bool"):
                mend = "for scores write y as it is" if name == "y" else f"for each class write {who}(y[:, i], t[:, i])"
            raise ValueError(
                f"{who} takes rows of whole numbers as one-hot, each zeros and a single one, but {name} is "
                f"{describe(rows)} with other rows: {mend}"
            )


def _hold_nan(*arrays: Any) -> bool:
    return any(bool(np.isnan(to_numpy(array)).any()) for array in arrays)


def _numbers(y: Any, target: Any, who: str) -> tuple[Any, Any]:
    _check_one(who, y, target)
    y, target = to_numpy(y).astype(np.float64), to_numpy(target).astype(np.float64)
    if y.shape != target.shape or not y.size:
        raise ValueError(
            f"{who} compares each element of y with one of target, but they are {y.shape} and {target.shape}"
        )
    return y, target


def _averaged(y: Any, target: Any, average: Average, who: str, shares_of: Callable[..., tuple[Any, Any]]) -> Any:
    """part / whole for each class, 0 where whole is 0, and their average; both from the counts of each class: hits, how
    many were taken for it, and how many are of it."""
    matrix = _counts(y, target, who)
    hits, taken, true = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    if _hold_nan(y, target):
        hits = hits * math.nan
    part, whole = shares_of(hits, taken, true)
    shares = part / np.maximum(whole, 1)
    match average:
        case None:
            return shares
        case "micro":
            return float(part.sum() / max(whole.sum(), 1))
        case "macro":
            return float(shares[(true > 0) | (taken > 0)].mean())
        case "weighted":
            return float(np.average(shares, weights=true))
        case "binary":
            if len(matrix) > 2:
                raise ValueError(f"{who} with average='binary' takes two classes, not {len(matrix)}")
            return float(shares[1]) if len(shares) > 1 else 0.0
    raise ValueError(f"{who} takes average 'macro', 'micro', 'weighted', 'binary' or None, not {average!r}")
