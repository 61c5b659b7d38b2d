"""Losses: how far the output Y is from its target, as one number E, and dE/dY.

Each is a loss as it stands; call it to set options: `mse` is the mean, `mse(reduction="sum")` the sum. The mean is over
every element for losses that compare element by element, and over the examples (rows) for those that compare
distributions over classes. A target is not differentiated; it is converted to Y's dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy import ndarray

from purenet.core import Loss, LossPullback
from purenet.engine.arrays import (
    FLOAT32,
    astype,
    describe,
    factor,
    floating,
    max_last,
    namespace,
    sum_all,
    sum_last,
    sum_leading,
    sum_of_squares,
    weak,
)
from purenet.presets import called, preset

Reduction = Literal["mean", "sum"]
Rule = Callable[[Any, Any, Any], tuple[Any, Callable[[Any], Any]]]
Prepare = Callable[[Any, Any, str], tuple[Any, Any]]


def _loss(
    name: str, reduction: Reduction, rule: Rule, prepare: Prepare, per_row: bool = False, **options: tuple[Any, Any]
) -> Loss:
    """The loss that a rule(xp, y, target) -> (total, pull) gives, where pull(scale) is the derivative of scale·total.

    prepare(y, target, name) checks the two and gives (xp, target). The mean is total over the number of elements, or of
    rows. Options are pairs of what was given and the default.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"{name} takes reduction 'mean' or 'sum', not {reduction!r}")
    full_name = called(name, **options, reduction=(reduction, "mean"))

    def apply(y: Any, target: Any) -> Any:
        return vjp(y, target)[0]

    def vjp(y: Any, target: Any) -> tuple[Any, LossPullback]:
        xp, target = prepare(y, target, full_name)
        count = 1 if reduction == "sum" else math.prod(y.shape[:-1]) if per_row else y.size
        if not count:
            raise ValueError(f"{full_name} has no mean over an empty batch: y has shape {tuple(y.shape)}")
        total, pull = rule(xp, y, target)
        return total / count, lambda dE=1.0: pull((dE if type(dE) is float else weak(dE)) / count)

    return Loss(apply, vjp, full_name)


def _same_shape(y: Any, target: Any, name: str) -> tuple[Any, Any]:
    """For losses that compare element by element: y and target have one shape."""
    plain = type(y) is ndarray is type(target) and y.dtype is target.dtype and y.dtype.kind == "f"
    if plain and y.shape == target.shape:
        return np, target
    xp = floating(y, f"{name}'s y")
    target_xp = namespace(target, f"{name}'s target")
    if target.shape != y.shape:
        raise ValueError(
            f"{name} compares each element of y with one of target, but y has shape {tuple(y.shape)} "
            f"and target {tuple(target.shape)}: "
            + (
                f"write target[{':, ' * target.ndim}None]"
                if y.shape == (*target.shape, 1)
                else f"reshape one, as in target.reshape({tuple(y.shape)})"
            )
            if math.prod(target.shape) == math.prod(y.shape)
            else f"{name} compares each element of y with one of target, but y has shape {tuple(y.shape)} "
            f"and target {tuple(target.shape)}"
        )
    if target_xp.isdtype(target.dtype, "complex floating"):
        raise TypeError(f"{name} takes a real target, not {describe(target)}")
    return target_xp if xp is np else xp, astype(target, y.dtype)


def _classes(y: Any, target: Any, name: str) -> tuple[Any, Any]:
    """For losses over classes (the last axis of y): target is of y's shape, or integer labels without that axis.

    Labels become one-hot targets.
    """
    if type(y) is np.ndarray is type(target) and target.dtype.kind in "iu" and y.dtype.kind == "f" and y.ndim == 2:
        classes = y.shape[1]  # the usual case, with few calls
        if target.shape == y.shape[:1] and classes <= 256 and _largest(target) < classes:
            return np, _identity(classes, y.dtype).take(target, axis=0)
    xp = floating(y, f"{name}'s y")
    target_xp = namespace(target, f"{name}'s target")
    if y.ndim < 1 or target.shape == y.shape:
        return _same_shape(y, target, name)
    if target.shape != y.shape[:-1]:
        raise ValueError(
            f"{name} takes y of shape (batch, classes) with labels (batch,) or targets (batch, classes), "
            f"but y has shape {tuple(y.shape)} and target {tuple(target.shape)}"
        )
    if not target_xp.isdtype(target.dtype, "integral"):
        raise TypeError(f"{name} takes labels that are integers, not {describe(target)}: write target.astype(int)")
    classes = y.shape[-1]
    if type(target) is np.ndarray:
        if target.size and (target.min() < 0 or target.max() >= classes):
            wrong = target[(target < 0) | (target >= classes)].flat[0]
            raise ValueError(f"{name} takes labels from 0 to {classes - 1}, one for each class of y, but found {wrong}")
        if classes <= 256 and xp is np:
            return xp, _identity(classes, y.dtype).take(target, axis=0)
    return xp, astype(target[..., None] == xp.arange(classes), y.dtype)


_UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


@cache
def _identity(classes: int, dtype: Any) -> Any:
    """The identity, whose rows by label are one-hot targets: to copy them is faster than to compare."""
    return np.eye(classes, dtype=dtype)


def _largest(labels: Any) -> Any:
    """The largest label, where a negative one counts as very large."""
    unsigned = labels.view(_UNSIGNED[labels.itemsize])
    return unsigned[unsigned.argmax()] if labels.size else 0  # in a third of the time of `max`


def _expected(xp: Any, target: Any, log_y: Any) -> Any:
    """Σ T·log Y, where 0 · −∞ is 0."""
    if xp is np:  # one product, without temporaries, and without a warning if a zero meets an infinity
        total = np.vdot(target, log_y)
        if math.isfinite(total):
            return total
    return sum_all(target * xp.where(target == 0, 0, log_y))


@preset
def mse(reduction: Reduction = "mean") -> Loss:
    """The video's loss: E = Σ (Y − T)² / n over all n elements; dE/dY = 2 (Y − T) / n.

    >>> import numpy as np, purenet as pn
    >>> E, pullback = pn.mse.vjp(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    >>> float(E), pullback()
    (2.5, array([[1.],
           [2.]]))
    """

    def rule(xp: Any, y: Any, target: Any) -> tuple[Any, Any]:
        d = y - target
        return sum_of_squares(d), lambda scale: d * factor(d, 2 * scale)

    plain = _loss("mse", reduction, rule, _same_shape)

    def vjp(y: Any, target: Any) -> tuple[Any, LossPullback]:
        """The same with as few calls as can be: of a tiny net they are most of the time."""
        usual = type(y) is ndarray is type(target) and y.dtype is FLOAT32 is target.dtype
        if not usual or y.shape != target.shape or not y.ndim or not y.size:
            return plain.vjp(y, target)
        d = y - target
        flat, count = d.ravel(), y.size if reduction == "mean" else 1

        def pullback(dE: Any = 1.0) -> Any:
            return d * factor(d, 2 * ((dE if type(dE) is float else weak(dE)) / count))

        return flat.dot(flat) / count, pullback

    return plain._replace(vjp=vjp)


@preset
def sse() -> Loss:
    """The sum of squared errors: E = Σ (Y − T)²; dE/dY = 2 (Y − T).

    >>> import numpy as np, purenet as pn
    >>> float(pn.sse.apply(np.array([1.0, 3.0]), np.array([0.0, 1.0])))
    5.0
    """
    return mse(reduction="sum")._replace(name="sse")


@preset
def mae(reduction: Reduction = "mean") -> Loss:
    """The mean absolute error: E = Σ |Y − T| / n; dE/dY = sign(Y − T) / n, which is 0 where Y = T.

    >>> import numpy as np, purenet as pn
    >>> float(pn.mae.apply(np.array([1.0, 3.0]), np.array([0.0, 1.0])))
    1.5
    """

    def rule(xp: Any, y: Any, target: Any) -> tuple[Any, Any]:
        d = y - target
        return sum_all(xp.abs(d)), lambda scale: xp.sign(d) * scale

    return _loss("mae", reduction, rule, _same_shape)


@preset
def huber(delta: float = 1.0, reduction: Reduction = "mean") -> Loss:
    """Squared near the target, absolute far from it: with d = Y − T, E is the mean of d²/2 where |d| ≤ delta, else of
    delta·(|d| − delta/2); dE/dY = d cut to [−delta, delta], / n.

    P. Huber, "Robust estimation of a location parameter", 1964.

    >>> import numpy as np, purenet as pn
    >>> float(pn.huber.apply(np.array([0.5, 3.0]), np.array([0.0, 0.0])))
    1.3125
    """
    if not delta > 0:
        raise ValueError(f"huber takes a positive delta, not {delta!r}")

    def rule(xp: Any, y: Any, target: Any) -> tuple[Any, Any]:
        d = y - target
        cut = xp.clip(d, -delta, delta)
        return sum_all(cut * (d - 0.5 * cut)), lambda scale: cut * scale

    return _loss("huber", reduction, rule, _same_shape, delta=(delta, 1.0))


@preset
def binary_cross_entropy(reduction: Reduction = "mean") -> Loss:
    """For probabilities Y: E = −Σ (T·log Y + (1 − T)·log(1 − Y)) / n; dE/dY = (Y − T) / (Y·(1 − Y)) / n.

    A probability of exactly 0 or 1 that is wrong would cost infinitely much; as in PyTorch, a logarithm is taken as no
    less than −100, and Y·(1 − Y) as no less than 1e-12. `binary_cross_entropy_with_logits` needs no such bound.

    Raises:
        ValueError: y or target is outside [0, 1].

    >>> import numpy as np, purenet as pn
    >>> float(pn.binary_cross_entropy.apply(np.array([1.0, 0.0]), np.array([1.0, 1.0])))
    50.0
    """

    def prepare(y: Any, target: Any, name: str) -> tuple[Any, Any]:
        xp, target = _same_shape(y, target, name)
        for what, p in (("y", y), ("target", target)):
            if type(p) is np.ndarray and p.size and not (p.min() >= 0 and p.max() <= 1) and not np.isnan(p).any():
                raise ValueError(
                    f"{name} takes probabilities, from 0 to 1, but {what} goes from {p.min():g} to {p.max():g}"
                    + (": for logits there is binary_cross_entropy_with_logits" if what == "y" else "")
                )
        return xp, target

    def rule(xp: Any, y: Any, target: Any) -> tuple[Any, Any]:
        log_y = xp.maximum(xp.where(y == 0, -100, xp.log(xp.where(y == 0, 1, y))), -100)
        log_other = xp.maximum(xp.where(y == 1, -100, xp.log1p(-xp.where(y == 1, 0, y))), -100)
        total = -sum_all(target * log_y + (1 - target) * log_other)
        return total, lambda scale: (y - target) * scale / xp.maximum(y * (1 - y), 1e-12)

    return _loss("binary_cross_entropy", reduction, rule, prepare)


@preset
def binary_cross_entropy_with_logits(reduction: Reduction = "mean") -> Loss:
    """Binary cross-entropy of σ(Y), for logits Y of any size: E = Σ (max(Y, 0) − T·Y + log(1 + exp(−|Y|))) / n;
    dE/dY = (σ(Y) − T) / n.

    >>> import numpy as np, purenet as pn
    >>> float(pn.binary_cross_entropy_with_logits.apply(np.array([-1000.0]), np.array([1.0])))
    1000.0
    """

    def rule(xp: Any, y: Any, target: Any) -> tuple[Any, Any]:
        e = xp.exp(-xp.abs(y))
        total = sum_all(xp.maximum(y, 0) - target * y + xp.log1p(e))

        def pull(scale: Any) -> Any:
            large = 1 / (1 + e)
            small = e * large
            # σ(Y) − T from the side on which nothing cancels: σ(Y) = 1 − σ(−Y)
            return xp.where(y >= 0, (1 - target) - small, small - target) * scale

        return total, pull

    return _loss("binary_cross_entropy_with_logits", reduction, rule, _same_shape)


@preset
def softmax_cross_entropy(label_smoothing: float = 0.0, reduction: Reduction = "mean") -> Loss:
    """Cross-entropy of softmax(Y) for logits Y (batch, classes): E = −Σ T·log softmax(Y) / batch;
    dE/dY = (softmax(Y)·Σ T − T) / batch, where Σ T over the classes is 1 for a distribution.

    The target is integer labels (batch,), or one-hot or soft targets (batch, classes). With label_smoothing ε it is
    (1 − ε)·T + ε / classes.

    C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016 (label smoothing).

    Raises:
        TypeError, ValueError: labels that are not integers, or not from 0 to classes − 1.

    >>> import numpy as np, purenet as pn
    >>> E, pullback = pn.softmax_cross_entropy.vjp(np.array([[1e4, 0.0], [0.0, 0.0]]), np.array([1, 0]))
    >>> float(E), pullback()
    (5000.34657359028, array([[ 0.5 , -0.5 ],
           [-0.25,  0.25]]))
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"softmax_cross_entropy takes a label_smoothing from 0 to below 1, not {label_smoothing!r}")

    def prepare(y: Any, target: Any, name: str) -> tuple[Any, Any]:
        xp, goal = _classes(y, target, name)
        mass = None if target.ndim < y.ndim else sum_last(goal)  # Σ T of each row, which for a label is 1
        if label_smoothing:
            goal = goal * (1 - label_smoothing) + label_smoothing / y.shape[-1]
            mass = None if mass is None else mass + label_smoothing * (1 - mass)
        return xp, (goal, mass)

    def rule(xp: Any, y: Any, prepared: Any) -> tuple[Any, Any]:
        target, mass = prepared
        z = y - max_last(y)
        e = xp.exp(z)
        sums = sum_last(e)
        logs = xp.log(sums)  # log softmax(Y) = Z − logs
        total = sum_leading(logs if mass is None else logs * mass)[0] - _expected(xp, target, z)

        def pull(scale: Any) -> Any:
            dy = e / sums
            if mass is not None:
                dy *= mass
            dy -= target
            dy *= factor(dy, scale)
            return dy

        return total, pull

    return _loss(
        "softmax_cross_entropy", reduction, rule, prepare, per_row=True, label_smoothing=(label_smoothing, 0.0)
    )


@preset
def nll(reduction: Reduction = "mean") -> Loss:
    """Negative log-likelihood of log-probabilities Y (batch, classes), as `log_softmax` gives: E = −Σ T·Y / batch;
    dE/dY = −T / batch. The target is integer labels (batch,), or one-hot or soft targets (batch, classes).

    >>> import numpy as np, purenet as pn
    >>> float(pn.nll.apply(np.log(np.array([[0.5, 0.5]])), np.array([0])))
    0.6931471805599453
    """

    def rule(xp: Any, y: Any, target: Any) -> tuple[Any, Any]:
        return -_expected(xp, target, y), lambda scale: target * -scale

    return _loss("nll", reduction, rule, _classes, per_row=True)


@preset
def hinge(reduction: Reduction = "mean") -> Loss:
    """For targets of −1 and 1: E = Σ max(0, 1 − T·Y) / n; dE/dY = −T / n where T·Y < 1, else 0.

    C. Cortes, V. Vapnik, "Support-vector networks", 1995.

    >>> import numpy as np, purenet as pn
    >>> float(pn.hinge.apply(np.array([2.0, -0.5]), np.array([1.0, 1.0])))
    0.75
    """

    def prepare(y: Any, target: Any, name: str) -> tuple[Any, Any]:
        xp, target = _same_shape(y, target, name)
        if type(target) is np.ndarray and (np.abs(target) != 1).any():
            raise ValueError(f"{name} takes targets of -1 and 1, but found {target[np.abs(target) != 1].flat[0]:g}")
        return xp, target

    def rule(xp: Any, y: Any, target: Any) -> tuple[Any, Any]:
        margin = 1 - target * y
        return sum_all(xp.maximum(margin, 0)), lambda scale: xp.where(margin > 0, target * -scale, 0)

    return _loss("hinge", reduction, rule, prepare)


@preset
def kl_divergence(reduction: Reduction = "mean") -> Loss:
    """For log-probabilities Y and probabilities T, both (batch, classes): E = Σ T·(log T − Y) / batch;
    dE/dY = −T / batch.

    A T of exactly 0 adds 0. The mean is over the examples, which PyTorch calls "batchmean".

    S. Kullback, R. Leibler, "On information and sufficiency", 1951.

    >>> import numpy as np, purenet as pn
    >>> float(pn.kl_divergence.apply(np.log(np.array([[0.5, 0.5]])), np.array([[1.0, 0.0]])))
    0.6931471805599453
    """

    def rule(xp: Any, y: Any, target: Any) -> tuple[Any, Any]:
        positive = target > 0
        ratio = xp.log(xp.where(positive, target, 1)) - xp.where(positive, y, 0)  # 0 · −∞ is 0 here
        total = sum_all(xp.where(positive, target * ratio, 0))
        return total, lambda scale: target * -scale

    return _loss("kl_divergence", reduction, rule, _same_shape, per_row=True)
