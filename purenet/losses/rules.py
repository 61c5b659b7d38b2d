"""What losses share: a loss made of a rule, its checks, its reduction, and labels that count by weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
from purenet.values import Call, check_known

Reduction = Literal["mean", "sum", "none"]
Total = tuple[Array, Callable[[float | Array], Array]]  # and pull(scale), the derivative of scale·total
Rule = Callable[[Ops, Any, Any], Total]
Values = Callable[[NumpyArray, NumpyArray], None]
Numbers = Sequence[float] | Array


def loss_of(
    name: Call,
    reduction: Reduction,
    rule: Rule,
    classes: bool = False,
    rows: str = "",
    values: Values | None = None,
    counting: Counting | None = None,
) -> Loss:
    """The loss of `rule(ops, y, target) -> (total, pull)`, where pull(scale) is the derivative of scale·total.

    The mean is total over the number of elements, or of rows of what `rows` says. A target has the shape of y and its
    dtype; of a loss over classes it may be integer labels without the last axis. `values(y, target)` checks the numbers
    themselves, where they can be looked at. Options that are tuples have a number for each place of the last axis.
    With `counting`, the mean over labels is total over the sum of their weights.
    """

    def check(y: Any, target: Any) -> tuple[Ops, Array, Array]:
        y, target = as_array(y), as_array(target)
        check_target(name, y, target, classes)
        _check_size(name, y, rows, mean)
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
    costs: Literal["elements", "rows"] = "rows" if rows else "elements"

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
        return total / count, lambda dE: pull((dE if type(dE) is float else _factor(name, dE, is_one, costs)) / count)

    def some_weight(total: NumpyArray) -> None:
        if not total:
            raise ValueError(f"{name} has no mean: the weights of the labels add up to 0")

    return reduced(name, reduction, check, bare, costs, counting is None)


def _check_size(name: Call, y: Array, rows: str, mean: bool) -> None:
    """Check that y has rows, where they are compared; as long a last axis as the options; for a mean, anything."""
    if rows and not (y.ndim and y.shape[-1]):
        raise ValueError(f"{name} takes y of shape (batch, {rows}), not {describe(y)}")
    for option, numbers in name.options.items():
        if type(numbers) is tuple and y.shape[-1:] != (len(numbers),):
            raise ValueError(f"{name} takes y with a last axis of {len(numbers)}, as {option} has, not {describe(y)}")
    if mean and not math.prod(y.shape[:-1] if rows else y.shape):
        raise ValueError(f"{name} has no mean over an empty batch: y has shape {tuple(y.shape)}")


def _factor(name: Call, dE: Any, is_one: bool, costs: str) -> Any:
    """What a pullback multiplies by, after a check that it is one number, if E is."""
    if is_one and not is_number(dE):
        raise ValueError(
            f"{name}: its pullback takes a dE that is one number, as E is, not {describe(dE)}: "
            f'with reduction="none" there is one for each of the {costs}'
        )
    return weak(dE)


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

    def cross_entropy(self, plain: Callable[..., Total], y: Array, target: Array) -> Total:
        return plain(self, y, target)

    def sum_of_logs(self, target: Array, logs: Array) -> Array:
        return self.ops.sum_last(target * self.ops.where(target == 0, 0, logs))


def reduction_of(loss: Loss) -> Reduction | None:
    """Whether a loss of this library is a "mean" over the examples, a "sum" or "none"; None of one that somebody wrote.

    >>> import purenet as pn
    >>> reduction_of(pn.mse), reduction_of(pn.sse)
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


def goal_of(ops: Ops, y: Array, target: Array, counting: Counting | None = None) -> Array:
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
        return None if alike else Counting(numbers_of(who, "weight", weight), ignore_index)

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


def numbers_of(who: str, option: str, given: Any) -> tuple[float, ...] | None:
    """An option of several numbers, from a list or an array of one axis."""
    if given is None:
        return None
    check_known(who, **{option: given})
    numbers = to_numpy(given).tolist() if is_array(given) else given
    if not isinstance(numbers, list | tuple) or not numbers or not all(map(is_weight, numbers)):
        shown = describe(given) if is_array(given) else repr(given)
        raise ValueError(f"{who} takes {option} as numbers from 0 up, one for each place of y's last axis, not {shown}")
    return (*numbers,)


def is_weight(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < math.inf
