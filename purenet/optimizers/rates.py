"""Learning rates: numbers, arrays without axes, and schedules, which are functions of the step count 0, 1, 2, …"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from purenet.engine.arrays import Array, as_number, describe

Rate: TypeAlias = "float | Array | Callable[[Any], Any]"


def rate_at(rate: Rate, count: Any) -> Any:
    """The learning rate at this step: a Python number, unless it is traced."""
    if type(rate) is float:
        return rate
    return as_number(rate(count) if callable(rate) else rate)


def check_rate(rate: Rate, name: str, what: str = "learning rate") -> None:
    """Check that this is a rate: `name` is what it was handed to."""
    if hasattr(rate, "shape") and rate.shape == ():
        return
    if callable(rate):
        first_rate(rate, name, what)
        return
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        mend = ""
        if hasattr(rate, "init") and hasattr(rate, "step"):  # it follows the loss
            mend = (
                ": train an epoch at a time, with the rate of that state, as by fit(net, loss, sgd(watch.rate), ..., "
                "resume=found); help(schedules.reduce_on_plateau) shows it"
            )
        raise TypeError(f"{name}: the {what} is a number or a schedule, not {describe(rate)}{mend}")
    if not 0 <= rate < float("inf"):
        raise ValueError(f"{name}: the {what} is a finite number from 0 up, not {rate}")


def first_rate(schedule: Any, name: str, what: str = "learning rate") -> Any:
    """What a function of the step count gives for step 0, after a check that it is one, and gives a rate.

    `name` is what it was handed to.
    """
    if getattr(schedule, "__module__", "") == "purenet.schedules" and hasattr(schedule, "__name__"):
        asks = schedule.__name__
        raise TypeError(f"{name}: schedules.{asks} makes a schedule, and is none yet: write schedules.{asks}(...)")
    try:
        rate = as_number(schedule(0))
    except Exception as error:
        raise TypeError(
            f"{name}: a schedule is a function of the step count 0, 1, 2, …, but this one fails for 0: {error}"
        ) from error
    check_rates(f"{name}, at step 0", **{what: rate})
    return rate


def check_rates(name: str, **options: Any) -> None:
    """Check numbers that are rates, or parts of them. One that is traced has no value yet."""
    for option, given in options.items():
        number = as_number(given)
        if hasattr(number, "shape") and number.shape == ():
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(f"{name}: {option} is a number, not {describe(number)}")
        if not 0 <= number < math.inf:
            raise ValueError(f"{name}: {option} is a finite number from 0 up, not {number!r}")
