"""Sums of losses: `mse + 0.3 * mae` of one output, `per_output(mse, nll)` of several."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from purenet import tree
from purenet.core import Loss
from purenet.engine import Ops, ops_for
from purenet.engine.arrays import as_number, describe, describe_all
from purenet.losses.rules import reduction_of
from purenet.spec.guard import GuardedLoss, guarded
from purenet.values import brief, called, check_known, known_as, spelled, takes_numbers

Parts = Callable[[Any, Any], Sequence[tuple[Any, Any]]]


class SumOfLosses(Loss):
    """A loss that is a sum, whose name is written with + and *."""

    __slots__ = ()
    home = "purenet.losses.sums"


def plus(one: Loss, other: Any) -> Loss:
    """The sum of two losses of the same y and target."""
    if not isinstance(other, Loss):
        raise TypeError(f"{brief(one.name)} is a loss, to which losses alone can be added, not {describe(other)}")
    return sum_of(*_terms(one), *_terms(other))


def times(loss: Loss, factor: Any) -> Loss:
    """The loss times a number."""
    name, factor = brief(loss.name), as_number(factor)
    check_known(name, factor=factor)
    if not _is_factor(factor):
        given = describe(factor) if hasattr(factor, "shape") or isinstance(factor, Loss) else repr(factor)
        raise TypeError(f"{name} is a loss, which can be multiplied by a finite number, not by {given}")
    return loss if factor == 1 else sum_of(*((factor * each, part) for each, part in _terms(loss)))


def sum_of(*terms: tuple[float, Loss]) -> Loss:
    """The sum of losses times factors: E = Σ fᵢ·Eᵢ, dE/dY = Σ fᵢ·dEᵢ/dY.

    >>> from purenet import mae, mse
    >>> sum_of((1, mse), (0.3, mae))
    mse + 0.3 * mae
    """
    text = " + ".join(loss.name if factor == 1 else f"{factor!r} * {loss.name}" for factor, loss in terms)
    factors, losses = zip(*terms, strict=True)

    def add(gradients: list[Any]) -> Any:
        return tree.map(lambda first, *others: sum(others, first), *gradients)

    fields = _fields(losses, factors, lambda y, target: [(y, target)] * len(losses), lambda each: each[0], add)
    return SumOfLosses(*fields, spelled(text, "sum_of", terms, {}))


@takes_numbers
def per_output(*losses: Loss, weights: Sequence[float] | None = None) -> Loss:
    """The loss of a net of several outputs, one loss for each: y and the target are tuples, E = Σ wᵢ·Eᵢ(yᵢ, tᵢ), and
    dE/dY is the tuple of wᵢ·dEᵢ/dyᵢ. Without weights each wᵢ is 1.

    Raises:
        TypeError, ValueError: y or a target that is no tuple of one part for each loss.

    >>> import numpy as np, purenet as pn
    >>> loss = pn.per_output(pn.mse, pn.mae, weights=(1, 0.5))
    >>> E, pullback = loss.vjp((np.array([2.0]), np.array([3.0])), (np.array([0.0]), np.array([0.0])))
    >>> float(E), pullback()
    (5.5, (array([4.]), array([0.5])))
    """
    for loss in losses:
        if not isinstance(loss, Loss):
            raise TypeError(f"per_output takes losses, not {describe(loss)}")
    if not losses:
        raise TypeError("per_output takes a loss for each output, but none was given")
    factors = (1,) * len(losses) if weights is None else weights
    if not isinstance(factors, list | tuple):
        raise TypeError(f"per_output takes weights that are {len(losses)} finite numbers, not {weights!r}")
    if len(factors) != len(losses) or not all(map(_is_factor, factors)):
        raise ValueError(f"per_output takes weights that are {len(losses)} finite numbers, not {weights!r}")
    weights = None if weights is None else (*weights,)
    name = called("per_output", locals())

    def parts(y: Any, target: Any) -> Sequence[tuple[Any, Any]]:
        for what, given in (("outputs", y), ("targets", target)):
            if type(given) is not tuple or len(given) != len(losses):
                raise TypeError(f"{name} takes a tuple of {len(losses)} {what}, not {describe_all(given)}")
        return [*zip(y, target, strict=True)]

    return Loss(*_fields(losses, factors, parts, tuple, tuple), name)


def _is_factor(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)


def _terms(loss: Loss) -> Sequence[tuple[float, Loss]]:
    return loss.call.args if isinstance(loss, SumOfLosses) and loss.call is not None else [(1, loss)]


def _fields(
    losses: Sequence[Loss],
    factors: Sequence[float],
    parts: Parts,
    whole: Callable[[list[Any]], Any],
    gather: Callable[[list[Any]], Any],
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`apply` and `vjp` of a sum.

    `parts(y, target)` gives the pair of each loss, `whole` puts such ys or targets together, `gather` the gradients.
    """

    def combined(found: Sequence[tuple[Any, Callable[..., Any]]]) -> tuple[Any, Callable[..., Any]]:
        E: Any = sum(factor * each for factor, (each, _) in zip(factors, found, strict=True))
        pulls = [pull for _, pull in found]

        def pull(dE: Any = 1.0) -> Any:
            return gather([pull(factor * dE) for factor, pull in zip(factors, pulls, strict=True)])

        return E, known_as("pullback", pull)

    def vjp(y: Any, target: Any) -> tuple[Any, Callable[..., Any]]:
        return combined([loss.vjp(*pair) for loss, pair in zip(losses, parts(y, target), strict=True)])

    for loss in losses:
        if reduction_of(loss) == "none":
            raise ValueError(f"a sum is of losses that are one number, not {loss.name}: add what their apply gives")
    inner = [guarded(loss) for loss in losses]
    if not all(inner):
        return lambda y, target: vjp(y, target)[0], vjp

    def check(y: Any, target: Any) -> tuple[Ops, Any, Any]:
        found = [each.check(*pair) for each, pair in zip(inner, parts(y, target), strict=True)]
        y, target = (whole([each[i] for each in found]) for i in (1, 2))
        ops = ops_for(tree.leaves((y, target)))
        return ops, tree.map(ops.take_in, y), tree.map(ops.take_in, target)

    def rule(ops: Ops, y: Any, target: Any) -> tuple[Any, Callable[..., Any]]:
        return combined([each.rule(ops, *pair) for each, pair in zip(inner, parts(y, target), strict=True)])

    reduction, costs = ({getattr(each, field) for each in inner} for field in ("reduction", "costs"))
    if whole is tuple:
        costs = {None}
    both = GuardedLoss(check, rule, *(each.pop() if len(each) == 1 else None for each in (reduction, costs)))
    return both.apply, both.vjp
