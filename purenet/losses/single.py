"""Losses of one output."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from purenet.core import Loss
from purenet.engine import Ops
from purenet.engine.arrays import Array, NumpyArray, describe, holds, weak
from purenet.losses.rules import (
    Counting,
    Numbers,
    Reduction,
    Total,
    check_target,
    goal_of,
    is_weight,
    loss_of,
    numbers_of,
)
from purenet.spec.presets import preset
from purenet.values import Call, called, hinted, known_as, spelled


@hinted
def loss(f: Callable[[Any, Any], Any], df: Callable[[Any, Any], Any], name: str | None = None) -> Loss:
    """The video's own way: a loss of a function E = f(Y, T), one number, and its derivative dE/dY = df(Y, T).

    It works on every engine on which the two functions do: on all, if they need operators alone, as these do. (How many
    numbers there are is `math.prod(y.shape)`: `y.size` is something else of a tensor.)

    The target may be whatever the two take: of Y's shape; of Y's but for the last axis, which is the target's own, as
    (n, 1) beside Y (n, k); integer labels without the last axis, as (n,) beside Y (n, classes); a number; or no array.
    Refused is what operators would pair each with each, such as (n,) beside Y (n, 1) and (n, n).

    Raises:
        ValueError: such a target; an E that is not one number; a dE/dY that has not the shape of Y.

    >>> import numpy as np, purenet as pn
    >>> root = lambda y, t: (1 + (y - t) ** 2) ** 0.5
    >>> pseudo_huber = pn.loss(lambda y, t: root(y, t).mean() - 1, lambda y, t: (y - t) / root(y, t) / len(y))
    >>> E, pullback = pseudo_huber.vjp(np.array([0.0, 0.75]), np.array([0.0, 0.0]))
    >>> float(E), pullback()
    (0.125, array([0. , 0.3]))
    """
    if not callable(f) or not callable(df) or isinstance(f, Loss):
        raise TypeError(f"loss takes a function and its derivative, not {describe(f)} and {describe(df)}")
    functions = ", ".join(getattr(each, "__name__", type(each).__name__).strip("<>") for each in (f, df))
    code = spelled(name or f"loss({functions})", "loss", (f, df), {"name": name} if name else {})

    def apply(y: Any, target: Any) -> Any:
        _check_pairs(code, y, target)
        E = f(y, target)
        if getattr(E, "shape", ()):
            raise ValueError(f"{code} gives {describe(E)}, but a loss is one number: take its mean or its sum")
        return E

    def vjp(y: Any, target: Any) -> Any:
        def pullback(dE: Any = 1.0) -> Any:
            dy = df(y, target)
            if getattr(dy, "shape", ()) != getattr(y, "shape", ()):
                raise ValueError(f"{code}: df gives {describe(dy)}, but dE/dY has the shape of Y, {tuple(y.shape)}")
            return dy * weak(dE)

        return apply(y, target), known_as("pullback", pullback)

    return Loss(apply, vjp, code)


def _check_pairs(name: Call, y: Any, target: Any) -> None:
    """Check that operators do not pair each element of y with each of target, if both are arrays."""
    one, other = (tuple(getattr(each, "shape", ())) for each in (y, target))
    if one == other or not (one and other) or (len(one) == len(other) > 1 and one[:-1] == other[:-1]):
        return
    if other == one[:-1] and one[-1] > 1:
        if holds(target, "real floating"):
            places = f"{', '.join(':' * len(other))}, None"
            raise ValueError(
                f"{name} takes integer labels where the target lacks the last axis of y, but y has shape {one} and "
                f"target is {describe(target)}: write target[{places}] for a number beside each row"
            )
        return
    broadcast = all(n == m or 1 in (n, m) for n, m in zip(reversed(one), reversed(other), strict=False))
    if broadcast or one == (*other, 1) or other == (*one, 1):
        check_target(name, y, target, classes=False)


@preset
def mse(reduction: Reduction = "mean") -> Loss:
    """The video's loss: E = Σ (Y − T)² / n over all n elements; dE/dY = 2 (Y − T) / n.

    >>> import numpy as np, purenet as pn
    >>> E, pullback = pn.mse.vjp(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    >>> float(E), pullback()
    (2.5, array([[1.],
           [2.]]))
    """

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        d = y - target
        return ops.sum_of_squares(d), lambda scale: d * ops.factor(2 * scale, d)

    return loss_of(called("mse", locals()), reduction, rule)


@preset
def sse() -> Loss:
    """The sum of squared errors: E = Σ (Y − T)²; dE/dY = 2 (Y − T).

    >>> import numpy as np, purenet as pn
    >>> float(pn.sse.apply(np.array([1.0, 3.0]), np.array([0.0, 1.0])))
    5.0
    """
    return mse(reduction="sum")._replace(name=called("sse"))


@preset
def mae(reduction: Reduction = "mean") -> Loss:
    """The mean absolute error: E = Σ |Y − T| / n; dE/dY = sign(Y − T) / n, which is 0 where Y = T.

    >>> import numpy as np, purenet as pn
    >>> float(pn.mae.apply(np.array([1.0, 3.0]), np.array([0.0, 1.0])))
    1.5
    """

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        d = y - target
        return ops.sum_all(ops.abs(d)), lambda scale: ops.sign(d) * scale

    return loss_of(called("mae", locals()), reduction, rule)


@preset
def huber(delta: float = 1.0, reduction: Reduction = "mean") -> Loss:
    """Squared near the target, absolute far from it: with d = Y − T, E is the mean of d²/2 where |d| ≤ delta, else of
    delta·(|d| − delta/2); dE/dY = d cut to [−delta, delta], / n.

    P. Huber, "Robust estimation of a location parameter", 1964.

    >>> import numpy as np, purenet as pn
    >>> float(pn.huber.apply(np.array([0.5, 3.0]), np.array([0.0, 0.0])))
    1.3125
    """
    name = called("huber", locals())
    if not delta > 0:
        raise ValueError(f"huber takes a positive delta, not {delta!r}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        d = y - target
        cut = ops.clip(d, -delta, delta)
        return ops.sum_all(cut * (d - 0.5 * cut)), lambda scale: cut * scale

    return loss_of(name, reduction, rule)


@preset
def log_cosh(reduction: Reduction = "mean") -> Loss:
    """Like `huber`, without a seam: E = Σ log cosh(Y − T) / n; dE/dY = tanh(Y − T) / n.

    >>> import numpy as np, purenet as pn
    >>> float(pn.log_cosh.apply(np.array([1000.0, 1e-4]), np.array([0.0, 0.0])))
    499.65342641222
    """

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        d = y - target
        size = ops.abs(d)
        m = ops.expm1(-ops.at_most(size, 1.0))  # with m = exp(−|d|) − 1, cosh d is 1 + m² / (2 (1 + m))
        near, far = ops.log1p(m * m / (2 * (1 + m))), size + (ops.log1p(ops.exp(-2 * size)) - math.log(2))
        return ops.sum_all(ops.where(size < 1, near, far)), lambda scale: ops.tanh(d) * scale

    return loss_of(called("log_cosh", locals()), reduction, rule)


@preset
def quantile(q: float = 0.5, reduction: Reduction = "mean") -> Loss:
    """For a Y below which a share q of the targets lies: E = Σ max(q·(T − Y), (q − 1)·(T − Y)) / n; dE/dY = −q / n
    where Y < T, (1 − q) / n where Y > T, else 0.

    R. Koenker, G. Bassett, "Regression quantiles", 1978.

    >>> import numpy as np, purenet as pn
    >>> float(pn.quantile(0.75).apply(np.array([0.0, 4.0]), np.array([4.0, 0.0])))
    2.0
    """
    name = called("quantile", locals())
    if not 0 < q < 1:
        raise ValueError(f"quantile takes a q between 0 and 1, not {q!r}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        d = y - target
        share = ops.astype(d > 0, d.dtype) * (1 - 2 * q) + q
        return ops.sum_all(ops.abs(d) * share), lambda scale: ops.sign(d) * share * scale

    return loss_of(name, reduction, rule)


@preset
def poisson_nll(log_input: bool = True, reduction: Reduction = "mean") -> Loss:
    """For counts T, and Y the logarithms of their expected values: E = Σ (exp(Y) − T·Y) / n; dE/dY = (exp(Y) − T) / n.

    With log_input=False, Y are the expected values: E = Σ (Y − T·log(Y + 1e-8)) / n. What does not depend on Y, log T!,
    is left out.

    Raises:
        ValueError: a target below 0; without log_input, also a y below 0.

    >>> import numpy as np, purenet as pn
    >>> float(pn.poisson_nll.apply(np.array([0.0, 0.0]), np.array([2.0, 3.0])))
    1.0
    """
    name = called("poisson_nll", locals())

    def values(y: NumpyArray, target: NumpyArray) -> None:
        for what, given in [("target", target)] if log_input else [("target", target), ("y", y)]:
            if given.size and given.min() < 0:
                raise ValueError(f"{name} takes a {what} from 0 up, but found {given.min():g}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        target = ops.or_nan(target, lambda: (target >= 0) if log_input else (target >= 0) & (y >= 0))
        if log_input:
            expected = ops.exp(y)
            return ops.sum_all(expected - target * y), lambda scale: (expected - target) * scale
        above = y + 1e-8
        return ops.sum_all(y - target * ops.log(above)), lambda scale: (1 - target / above) * scale

    return loss_of(name, reduction, rule, values=values)


@preset
def cosine_similarity(reduction: Reduction = "mean") -> Loss:
    """The angle between Y and T, both (batch, features), as in Keras: E = −Σ cos(Y, T) / batch, which is −1 at best,
    with cos(Y, T) = Y·T / (|Y|·|T|); dE/dY = (cos(Y, T)·Y / |Y| − T / |T|) / |Y| / batch.

    A length below 1e-8 counts as 1e-8, as in PyTorch.

    >>> import numpy as np, purenet as pn
    >>> float(pn.cosine_similarity.apply(np.array([[1.0, 0.0], [0.0, 5.0]]), np.array([[2.0, 0.0], [1.0, 0.0]])))
    -0.5
    """

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        length, goal_length = (ops.maximum(ops.sqrt(ops.dot_last(x, x)), 1e-8) for x in (y, target))
        u, v = y / length, target / goal_length
        cos = ops.dot_last(u, v)
        along = cos * ops.astype(length > 1e-8, y.dtype)  # what is shorter is divided by a constant
        return -ops.sum_all(cos), lambda scale: (along * u - v) * scale / length

    name = called("cosine_similarity", locals())
    return loss_of(name, reduction, rule, rows="features")


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

    name = called("binary_cross_entropy", locals())

    def values(y: NumpyArray, target: NumpyArray) -> None:
        for what, p in (("y", y), ("target", target)):
            if p.size and (p.min() < 0 or p.max() > 1):
                raise ValueError(
                    f"{name} takes probabilities, from 0 to 1, but {what} goes from {p.min():g} to {p.max():g}"
                    + (": for logits there is binary_cross_entropy_with_logits" if what == "y" else "")
                )

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        target = ops.or_nan(target, lambda: (target >= 0) & (target <= 1) & (y >= 0) & (y <= 1))
        log_y = ops.maximum(ops.where(y == 0, -100, ops.log(ops.where(y == 0, 1, y))), -100)
        log_other = ops.maximum(ops.where(y == 1, -100, ops.log1p(-ops.where(y == 1, 0, y))), -100)
        total = -ops.sum_all(target * log_y + (1 - target) * log_other)
        return total, lambda scale: (y - target) * scale / ops.maximum(y * (1 - y), 1e-12)

    return loss_of(name, reduction, rule, values=values)


@preset
def binary_cross_entropy_with_logits(
    reduction: Reduction = "mean", pos_weight: float | Numbers | None = None, weight: float | Numbers | None = None
) -> Loss:
    """Binary cross-entropy of σ(Y), for logits Y of any size: E = Σ (max(Y, 0) − T·Y + log(1 + exp(−|Y|))) / n;
    dE/dY = (σ(Y) − T) / n.

    With pos_weight p, what a target of 1 costs counts p times: E = −Σ (p·T·log σ(Y) + (1 − T)·log σ(−Y)) / n; with
    a weight, each element counts by it. Both are one number, or one for each place of the last axis. As in PyTorch, a
    mean is over n all the same.

    >>> import numpy as np, purenet as pn
    >>> float(pn.binary_cross_entropy_with_logits.apply(np.array([-1000.0]), np.array([1.0])))
    1000.0
    >>> float(pn.binary_cross_entropy_with_logits(pos_weight=3).apply(np.array([-1000.0]), np.array([1.0])))
    3000.0
    """
    who = "binary_cross_entropy_with_logits"
    pos_weight, weight = (
        number if is_weight(number) else numbers_of(who, option, number)
        for option, number in (("pos_weight", pos_weight), ("weight", weight))
    )

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        # c = 1 − T + p·T, which without p is 1
        hot = target if pos_weight is None else target * ops.asarray(pos_weight, dtype=y.dtype)
        c = 1 if pos_weight is None else (1 - target) + hot
        e = ops.exp(-ops.abs(y))
        if pos_weight is None:
            costs = ops.maximum(y, 0) - target * y + ops.log1p(e)
        else:
            costs = ops.maximum(y, 0) * c - hot * y + ops.log1p(e) * c
        w = None if weight is None else ops.asarray(weight, dtype=y.dtype)
        total = ops.sum_all(costs if w is None else costs * w)

        def pull(scale: float | Array) -> Array:
            small = e * (1 / (1 + e))
            if pos_weight is not None:
                small = small * c
            # σ(Y) − T from the side on which nothing cancels: σ(Y) = 1 − σ(−Y)
            slopes = ops.where(y >= 0, (1 - target) - small, small - hot)
            return (slopes if w is None else slopes * w) * scale

        return total, pull

    return loss_of(called(who, locals()), reduction, rule)


@preset
def softmax_cross_entropy(
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    weight: Numbers | None = None,
    ignore_index: int | None = None,
) -> Loss:
    """Cross-entropy of softmax(Y) for logits Y (batch, classes): E = −Σ T·log softmax(Y) / batch;
    dE/dY = (softmax(Y)·Σ T − T) / batch, where Σ T over the classes is 1 for a distribution.

    The target is integer labels (batch,), or one-hot or soft targets (batch, classes). With label_smoothing ε it is
    (1 − ε)·T + ε / classes.

    With a weight w for each class, E = −Σ w·T·log softmax(Y) / Σ w[labels]. Labels that are ignore_index count for
    nothing. Soft targets are divided by the batch, as in PyTorch. Of several batches `evaluate` and `in_chunks` take
    the mean by their examples, not by their Σ w.

    C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016 (label smoothing).

    Raises:
        TypeError, ValueError: labels that are not integers, or not from 0 to classes − 1; for a mean, Σ w[labels] = 0.

    >>> import numpy as np, purenet as pn
    >>> E, pullback = pn.softmax_cross_entropy.vjp(np.array([[1e4, 0.0], [0.0, 0.0]]), np.array([1, 0]))
    >>> float(E), pullback()
    (5000.34657359028, array([[ 0.5 , -0.5 ],
           [-0.25,  0.25]]))
    """
    counting = Counting.of("softmax_cross_entropy", weight, ignore_index)
    weight = counting and counting.weight
    name = called("softmax_cross_entropy", locals())
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"softmax_cross_entropy takes a label_smoothing from 0 to below 1, not {label_smoothing!r}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        goal = goal_of(ops, y, target, counting)
        mass = None if target.ndim < y.ndim else ops.sum_last(goal)  # Σ T of each row, which for a label is 1
        if label_smoothing:
            goal = goal * (1 - label_smoothing) + label_smoothing / y.shape[-1]
            mass = None if mass is None else mass + label_smoothing * (1 - mass)
        if counting is not None:
            goal = goal * counting.share(ops, y, target)
            mass = ops.sum_last(goal)
        z = y - ops.max_last(y)
        e = ops.exp(z)
        sums = ops.sum_last(e)
        logs = ops.log(sums)  # log softmax(Y) = Z − logs
        total = ops.sum_rows(logs if mass is None else logs * mass)[0] - ops.sum_of_logs(goal, z)

        def pull(scale: float | Array) -> Array:
            dy = e / sums
            if mass is not None:
                dy *= mass
            dy -= goal
            dy *= ops.factor(scale, dy)
            return dy

        return total, pull

    def by_engine(ops: Ops, y: Array, target: Array) -> Total:
        return ops.cross_entropy(rule, y, target)

    best = rule if label_smoothing or counting else by_engine
    return loss_of(name, reduction, best, classes=True, rows="classes", counting=counting)


@preset
def nll(reduction: Reduction = "mean", weight: Numbers | None = None, ignore_index: int | None = None) -> Loss:
    """Negative log-likelihood of log-probabilities Y (batch, classes), as `log_softmax` gives: E = −Σ T·Y / batch;
    dE/dY = −T / batch. The target is integer labels (batch,), or one-hot or soft targets (batch, classes). A weight for
    each class and an ignore_index are those of `softmax_cross_entropy`.

    >>> import numpy as np, purenet as pn
    >>> float(pn.nll.apply(np.log(np.array([[0.5, 0.5]])), np.array([0])))
    0.6931471805599453
    """

    counting = Counting.of("nll", weight, ignore_index)
    weight = counting and counting.weight

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        goal = goal_of(ops, y, target, counting)
        if counting is not None:
            goal = goal * counting.share(ops, y, target)
        return -ops.sum_of_logs(goal, y), lambda scale: goal * -scale

    name = called("nll", locals())
    return loss_of(name, reduction, rule, classes=True, rows="classes", counting=counting)


@preset
def hinge(reduction: Reduction = "mean") -> Loss:
    """For targets of −1 and 1: E = Σ max(0, 1 − T·Y) / n; dE/dY = −T / n where T·Y < 1, else 0.

    C. Cortes, V. Vapnik, "Support-vector networks", 1995.

    >>> import numpy as np, purenet as pn
    >>> float(pn.hinge.apply(np.array([2.0, -0.5]), np.array([1.0, 1.0])))
    0.75
    """

    name = called("hinge", locals())

    def values(y: NumpyArray, target: NumpyArray) -> None:
        if (abs(target) != 1).any():
            raise ValueError(f"{name} takes targets of -1 and 1, but found {target[abs(target) != 1].flat[0]:g}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        target = ops.or_nan(target, lambda: abs(target) == 1)
        margin = 1 - target * y
        return ops.sum_all(ops.maximum(margin, 0)), lambda scale: ops.keep(target * -scale, ~(margin <= 0))

    return loss_of(name, reduction, rule, values=values)


@preset
def kl_divergence(reduction: Reduction = "mean") -> Loss:
    """For log-probabilities Y and probabilities T, both (batch, classes): E = Σ T·(log T − Y) / batch;
    dE/dY = −T / batch.

    A T of exactly 0 adds 0; one below 0 is a ValueError. The mean is over the examples, which PyTorch calls
    "batchmean".

    S. Kullback, R. Leibler, "On information and sufficiency", 1951.

    >>> import numpy as np, purenet as pn
    >>> float(pn.kl_divergence.apply(np.log(np.array([[0.5, 0.5]])), np.array([[1.0, 0.0]])))
    0.6931471805599453
    """

    name = called("kl_divergence", locals())

    def values(y: NumpyArray, target: NumpyArray) -> None:
        if target.size and target.min() < 0:
            raise ValueError(f"{name} takes a target from 0 up, but found {target.min():g}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        target = ops.or_nan(target, lambda: target >= 0)
        ratio = ops.log(ops.maximum(target, float(ops.finfo(y.dtype).smallest_normal))) - y  # log 0 is finite here
        return ops.sum_of_logs(target, ratio), lambda scale: target * -scale

    return loss_of(name, reduction, rule, rows="classes", values=values)
