"""Losses of one output, and what all losses share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from purenet.core import Loss
from purenet.engine import Ops, engine_of, ops_for
from purenet.engine.arrays import (
    Array,
    NumpyArray,
    as_array,
    conversion,
    describe,
    holds_numbers,
    is_array,
    is_integer,
    is_number,
    to_numpy,
    weak,
    write_as_integers,
)
from purenet.spec.guard import GuardedLoss, guarded
from purenet.spec.presets import preset
from purenet.values import Call, called, check_known, spelled

Reduction = Literal["mean", "sum", "none"]
Total = tuple[Array, Callable[[float | Array], Array]]  # and pull(scale), the derivative of scale·total
Rule = Callable[[Ops, Any, Any], Total]
Values = Callable[[NumpyArray, NumpyArray], None]
Numbers = Sequence[float] | Array


def _loss(
    name: Call,
    reduction: Reduction,
    rule: Rule,
    classes: bool = False,
    rows: str = "",
    values: Values | None = None,
    along_last: Mapping[str, Any] | None = None,
    counting: Counting | None = None,
) -> Loss:
    """The loss of `rule(ops, y, target) -> (total, pull)`, where pull(scale) is the derivative of scale·total.

    The mean is total over the number of elements, or of rows of what `rows` says. A target has the shape of y and its
    dtype; of a loss over classes it may be integer labels without the last axis. `values(y, target)` checks the numbers
    themselves, where they can be looked at. The options `along_last` have a number for each place of the last axis.
    With `counting`, the mean over labels is total over the sum of their weights.
    """

    def check(y: Any, target: Any) -> tuple[Ops, Array, Array]:
        y, target = as_array(y), as_array(target)
        check_target(name, y, target, classes)
        if rows and not (y.ndim and y.shape[-1]):
            raise ValueError(f"{name} takes y of shape (batch, {rows}), not {describe(y)}")
        for option, numbers in (along_last or {}).items():
            if type(numbers) is tuple and y.shape[-1:] != (len(numbers),):
                raise ValueError(
                    f"{name} takes y with a last axis of {len(numbers)}, as {option} has, not {describe(y)}"
                )
        if reduction == "mean" and not (math.prod(y.shape[:-1]) if rows else math.prod(y.shape)):
            raise ValueError(f"{name} has no mean over an empty batch: y has shape {tuple(y.shape)}")
        look(ops_for([target]), y, target)
        ops = ops_for([y, target])
        return ops, ops.take_in(y), ops.take_in(target)

    def look(ops: Ops, y: Array, target: Array) -> None:
        if target.ndim < y.ndim:
            labels = target if counting is None else counting.labels(ops, target)
            if not ops.labels_fit(labels, y.shape[-1]):
                raise ValueError(_wrong_label(name, y.shape[-1], labels))
        elif values is not None:
            ops.look(values, y, target)

    looks, mean = classes or values is not None, reduction == "mean"

    def bare(ops: Ops, y: Array, target: Array) -> Total:
        if looks:
            look(ops, y, target)
        if target.dtype is not y.dtype and target.ndim == y.ndim:
            target = ops.astype(target, y.dtype)
        if counting is not None:
            y = counting.rows(ops, y, target)
        total, pull = rule(ops, y, target)
        count: Any = 1 if not mean else math.prod(y.shape[:-1] if rows else y.shape)
        if counting is not None and mean and target.ndim < y.ndim:
            count = counting.total(ops, y, target)
            ops.look(some_weight, count)
        is_one = reduction != "none" and not isinstance(ops, Unsummed)
        return total / count, lambda dE: pull((dE if type(dE) is float else factor(dE, is_one)) / count)

    def factor(dE: Any, is_one: bool) -> Any:
        if is_one and not is_number(dE):
            raise ValueError(
                f"{name}: its pullback takes a dE that is one number, as E is, not {describe(dE)}: "
                f'with reduction="none" there is one for each of the {"rows" if rows else "elements"}'
            )
        return weak(dE)

    def some_weight(total: NumpyArray) -> None:
        if not total:
            raise ValueError(f"{name} has no mean: the weights of the labels add up to 0")

    return reduced(name, reduction, check, bare, "rows" if rows else "elements", counting is None)


def reduced(
    name: Call,
    reduction: Reduction,
    check: Callable[[Any, Any], tuple[Ops, Any, Any]],
    rule: Rule,
    costs: Literal["elements", "rows"],
    alike: bool = True,
) -> Loss:
    """The loss of a check and a bare rule, which takes the mean or the sum of what each of the `costs` costs.

    `alike` says that all of them count alike, so that they can be `weighted`.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{name.maker} takes reduction 'mean', 'sum' or 'none', not {reduction!r}")
    bare = rule if reduction != "none" else _one_by_one(name, rule, costs == "rows")
    both = GuardedLoss(check, bare, reduction, costs if alike else None)
    return Loss(both.apply, both.vjp, name)


def _one_by_one(name: Call, rule: Rule, rows: bool) -> Rule:
    """The rule whose E is an array of what each element costs, or each row."""

    def each(ops: Ops, y: Any, target: Any) -> Total:
        unsummed: Any = Unsummed(ops)
        E, pull = rule(unsummed, y, target)
        shape = tuple(E.shape[:-1] if rows else E.shape)

        def pull_each(dE: Any) -> Any:
            if is_number(dE):
                return pull(dE)
            if tuple(dE.shape) != shape:
                raise ValueError(f"{name}: its pullback takes a dE of the shape of E, {shape}, not {describe(dE)}")
            dE = ops.astype(ops.take_in(dE), E.dtype)
            return pull(dE[..., None] if rows else dE)

        return E[..., 0] if rows else E, pull_each

    return each


class Unsummed:
    """The ops of an engine whose sums over everything are left undone: a loss's rule then gives what each element
    costs, or each row, with a last axis of 1."""

    def __init__(self, ops: Ops) -> None:
        self.ops = ops

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name)

    def factor(self, number: Any, like: Array) -> Any:
        """What a rule takes for one number is an array here."""
        return number

    def sum_all(self, x: Array) -> Array:
        return x

    def sum_rows(self, x: Array) -> tuple[Array]:
        """Of one column, whose sum a rule takes by [0]."""
        return (x,)

    def sum_of_squares(self, x: Array) -> Array:
        return x * x

    def sum_of_logs(self, target: Array, logs: Array) -> Array:
        return self.ops.sum_last(target * self.ops.where(target == 0, 0, logs))


def reduction_of(loss: Loss) -> Reduction | None:
    """Whether a loss of this library is a "mean" over the examples, a "sum" or "none"; None of one that somebody wrote.

    >>> reduction_of(mse), reduction_of(sse)
    ('mean', 'sum')
    """
    both = guarded(loss)
    found: Reduction | None = None if both is None else both.reduction
    return found


def check_target(name: Call, y: Any, target: Any, classes: bool) -> None:
    """Check that y and target are arrays that can be compared."""
    if not engine_of(y, f"{name}'s y").isdtype(y.dtype, "real floating"):
        raise TypeError(
            f"{name}'s y computes in floating point, not on {describe(y)}: write {conversion('y', y, 'float32')}"
        )
    if classes and isinstance(target, list):
        raise TypeError(f"{name}'s target takes an array, not a list: write np.asarray(target)")
    ops = engine_of(target, f"{name}'s target")
    if ops.isdtype(target.dtype, "complex floating"):
        raise TypeError(f"{name} takes a real target, not {describe(target)}")
    if not holds_numbers(target):
        raise TypeError(
            f"{name} takes a target of numbers, not {describe(target)}: {write_as_integers(target, 'target')}"
        )
    if target.shape == y.shape:
        return
    given = f"y has shape {tuple(y.shape)} and target {tuple(target.shape)}"
    if classes and y.ndim:
        if target.shape != y.shape[:-1]:
            mend = f": write target[{':, ' * (y.ndim - 1)}0]" if target.shape == (*y.shape[:-1], 1) else ""
            raise ValueError(
                f"{name} takes y of shape (batch, classes) with labels (batch,) or targets (batch, classes), "
                f"but {given}{mend}"
            )
        if not ops.isdtype(target.dtype, "integral"):
            mend = write_as_integers(target, "target")
            raise TypeError(f"{name} takes labels that are integers, not {describe(target)}: {mend}")
        return
    mend = ""
    if y.ndim > 1 and y.shape[-1] > 1 and target.shape == y.shape[:-1] and ops.isdtype(target.dtype, "integral"):
        mend = f": of labels, write data.one_hot(target, {y.shape[-1]})"
    elif y.shape == (*target.shape, 1):
        mend = f": write target[{':, ' * target.ndim}None]"
    elif math.prod(target.shape) == math.prod(y.shape):
        mend = f": reshape one, as in target.reshape({tuple(y.shape)})"
    raise ValueError(f"{name} compares each element of y with one of target, but {given}{mend}")


def _wrong_label(name: Call, classes: int, labels: Array) -> str:
    numbers = to_numpy(labels)
    wrong = numbers[(numbers < 0) | (numbers >= classes)].flat[0]
    return f"{name} takes labels from 0 to {classes - 1}, one for each class of y, but found {wrong}"


def _goal(ops: Ops, y: Array, target: Array, counting: Counting | None = None) -> Array:
    """The target as a share of each class: labels become one-hot."""
    if target.ndim == y.ndim:
        return target
    return ops.one_hot(target if counting is None else counting.labels(ops, target), y.shape[-1], y.dtype)


class Counting(NamedTuple):
    """How much labels count: by the weight of their class, and not at all if they are to be ignored."""

    weight: tuple[float, ...] | None
    ignored: int | None

    @staticmethod
    def of(who: str, weight: Any, ignore_index: Any) -> Counting | None:
        """What the options say; None if all count alike."""
        if ignore_index is not None and not is_integer(ignore_index):
            raise TypeError(f"{who} takes an ignore_index that is an integer, not {ignore_index!r}")
        alike = weight is None and ignore_index is None
        return None if alike else Counting(_numbers(who, "weight", weight), ignore_index)

    def labels(self, ops: Ops, target: Array) -> Array:
        """The labels, with 0 for those that are ignored."""
        return target if self.ignored is None else ops.where(target == self.ignored, 0, target)

    def rows(self, ops: Ops, y: Array, target: Array) -> Array:
        """y, with 0 in the rows that are ignored: nothing depends on what stands there."""
        ignores = self.ignored is not None and target.ndim < y.ndim
        return ops.keep(y, (target != self.ignored)[..., None]) if ignores else y

    def share(self, ops: Ops, y: Array, target: Array) -> Any:
        """How much each class of each row counts, in a shape that goes with y."""
        share: Any = 1.0 if self.weight is None else ops.asarray(self.weight, dtype=y.dtype)
        if self.ignored is None or target.ndim == y.ndim:
            return share
        return share * ops.astype(target != self.ignored, y.dtype)[..., None]

    def total(self, ops: Ops, y: Array, target: Array) -> Array:
        """Σ over the labels of how much each counts."""
        flat = ops.reshape(target, (-1,))
        each = ops.ones_like(flat, dtype=y.dtype) if self.ignored is None else ops.astype(flat != self.ignored, y.dtype)
        if self.weight is not None:
            each = each * ops.take(ops.asarray(self.weight, dtype=y.dtype), self.labels(ops, flat), axis=0)
        return ops.sum_all(each)


def _numbers(who: str, option: str, given: Any) -> tuple[float, ...] | None:
    """An option of several numbers, from a list or an array of one axis."""
    if given is None:
        return None
    check_known(who, **{option: given})
    numbers = to_numpy(given).tolist() if is_array(given) else given
    if not isinstance(numbers, list | tuple) or not numbers or not all(map(_is_weight, numbers)):
        shown = describe(given) if is_array(given) else repr(given)
        raise ValueError(f"{who} takes {option} as numbers from 0 up, one for each place of y's last axis, not {shown}")
    return (*numbers,)


def _is_weight(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < math.inf


def loss(f: Callable[[Any, Any], Any], df: Callable[[Any, Any], Any], name: str | None = None) -> Loss:
    """The video's own way: a loss of a function E = f(Y, T), one number, and its derivative dE/dY = df(Y, T).

    It works on every engine on which the two functions do: on all, if they need operators alone, as these do. (How many
    numbers there are is `math.prod(y.shape)`: `y.size` is something else of a tensor.)

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
    return Loss(f, lambda y, target: (f(y, target), lambda dE=1.0: df(y, target) * weak(dE)), code)


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

    return _loss(called("mse", reduction=(reduction, "mean")), reduction, rule)


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

    return _loss(called("mae", reduction=(reduction, "mean")), reduction, rule)


@preset
def huber(delta: float = 1.0, reduction: Reduction = "mean") -> Loss:
    """Squared near the target, absolute far from it: with d = Y − T, E is the mean of d²/2 where |d| ≤ delta, else of
    delta·(|d| − delta/2); dE/dY = d cut to [−delta, delta], / n.

    P. Huber, "Robust estimation of a location parameter", 1964.

    >>> import numpy as np, purenet as pn
    >>> float(pn.huber.apply(np.array([0.5, 3.0]), np.array([0.0, 0.0])))
    1.3125
    """
    name = called("huber", delta=(delta, 1.0), reduction=(reduction, "mean"))
    if not delta > 0:
        raise ValueError(f"huber takes a positive delta, not {delta!r}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        d = y - target
        cut = ops.clip(d, -delta, delta)
        return ops.sum_all(cut * (d - 0.5 * cut)), lambda scale: cut * scale

    return _loss(name, reduction, rule)


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

    return _loss(called("log_cosh", reduction=(reduction, "mean")), reduction, rule)


@preset
def quantile(q: float = 0.5, reduction: Reduction = "mean") -> Loss:
    """For a Y below which a share q of the targets lies: E = Σ max(q·(T − Y), (q − 1)·(T − Y)) / n; dE/dY = −q / n
    where Y < T, (1 − q) / n where Y > T, else 0.

    R. Koenker, G. Bassett, "Regression quantiles", 1978.

    >>> import numpy as np, purenet as pn
    >>> float(pn.quantile(0.75).apply(np.array([0.0, 4.0]), np.array([4.0, 0.0])))
    2.0
    """
    name = called("quantile", q=(q, 0.5), reduction=(reduction, "mean"))
    if not 0 < q < 1:
        raise ValueError(f"quantile takes a q between 0 and 1, not {q!r}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        d = y - target
        share = ops.astype(d > 0, d.dtype) * (1 - 2 * q) + q
        return ops.sum_all(ops.abs(d) * share), lambda scale: ops.sign(d) * share * scale

    return _loss(name, reduction, rule)


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
    name = called("poisson_nll", log_input=(log_input, True), reduction=(reduction, "mean"))

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

    return _loss(name, reduction, rule, values=values)


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

    name = called("cosine_similarity", reduction=(reduction, "mean"))
    return _loss(name, reduction, rule, rows="features")


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

    name = called("binary_cross_entropy", reduction=(reduction, "mean"))

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

    return _loss(name, reduction, rule, values=values)


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
        number if _is_weight(number) else _numbers(who, option, number)
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

    name = called(who, reduction=(reduction, "mean"), pos_weight=(pos_weight, None), weight=(weight, None))
    return _loss(name, reduction, rule, along_last={"pos_weight": pos_weight, "weight": weight})


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
    name = called(
        "softmax_cross_entropy",
        label_smoothing=(label_smoothing, 0.0),
        reduction=(reduction, "mean"),
        weight=(counting and counting.weight, None),
        ignore_index=(ignore_index, None),
    )
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"softmax_cross_entropy takes a label_smoothing from 0 to below 1, not {label_smoothing!r}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        goal = _goal(ops, y, target, counting)
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

    weights = {"weight": counting and counting.weight}
    return _loss(name, reduction, rule, classes=True, rows="classes", along_last=weights, counting=counting)


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

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        goal = _goal(ops, y, target, counting)
        if counting is not None:
            goal = goal * counting.share(ops, y, target)
        return -ops.sum_of_logs(goal, y), lambda scale: goal * -scale

    weights = {"weight": counting and counting.weight}
    name = called(
        "nll", reduction=(reduction, "mean"), weight=(weights["weight"], None), ignore_index=(ignore_index, None)
    )
    return _loss(name, reduction, rule, classes=True, rows="classes", along_last=weights, counting=counting)


@preset
def hinge(reduction: Reduction = "mean") -> Loss:
    """For targets of −1 and 1: E = Σ max(0, 1 − T·Y) / n; dE/dY = −T / n where T·Y < 1, else 0.

    C. Cortes, V. Vapnik, "Support-vector networks", 1995.

    >>> import numpy as np, purenet as pn
    >>> float(pn.hinge.apply(np.array([2.0, -0.5]), np.array([1.0, 1.0])))
    0.75
    """

    name = called("hinge", reduction=(reduction, "mean"))

    def values(y: NumpyArray, target: NumpyArray) -> None:
        if (abs(target) != 1).any():
            raise ValueError(f"{name} takes targets of -1 and 1, but found {target[abs(target) != 1].flat[0]:g}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        target = ops.or_nan(target, lambda: abs(target) == 1)
        margin = 1 - target * y
        return ops.sum_all(ops.maximum(margin, 0)), lambda scale: ops.keep(target * -scale, ~(margin <= 0))

    return _loss(name, reduction, rule, values=values)


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

    name = called("kl_divergence", reduction=(reduction, "mean"))

    def values(y: NumpyArray, target: NumpyArray) -> None:
        if target.size and target.min() < 0:
            raise ValueError(f"{name} takes a target from 0 up, but found {target.min():g}")

    def rule(ops: Ops, y: Array, target: Array) -> Total:
        target = ops.or_nan(target, lambda: target >= 0)
        ratio = ops.log(ops.maximum(target, float(ops.finfo(y.dtype).smallest_normal))) - y  # log 0 is finite here
        return ops.sum_of_logs(target, ratio), lambda scale: target * -scale

    return _loss(name, reduction, rule, rows="classes", values=values)
