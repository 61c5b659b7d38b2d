"""How contenders are compared: they agree first, then they run in turns, and the figures are medians of the rounds."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from typing import Any, NamedTuple

OURS = "purenet"
ROUNDING = 1e-6  # relative, of a loss in float32


class Entry(NamedTuple):
    """A contender at the start of a row.

    Fields:
        epoch: trains on every batch once, in order, goes on from where it stands, and returns when all is computed.
        loss: the loss of the first batch by the weights as they are; None for what trains nothing (bare products).
    """

    epoch: Callable[[], Any]
    loss: Callable[[], Any] | None


class Pace(NamedTuple):
    """How long to measure.

    Fields:
        rounds: how many turns each contender has.
        least: seconds that a turn takes at least: as many epochs as that needs.
        pause: seconds of rest before a turn. The workers of a thread pool spin for a while after their last task
            (OpenBLAS's for some 20 ms) and would take a core from the next contender.
    """

    rounds: int = 9
    least: float = 0.02
    pause: float = 0.03


class DisagreementError(Exception):
    """The contenders do not compute the same: their times must not be compared."""


class Spread(NamedTuple):
    """The median and the quartiles of what the rounds gave."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    low, high = (values[0],) * 2 if len(values) == 1 else quantiles(values, n=4, method="inclusive")[::2]
    return Spread(median(values), low, high)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """A peer's time over ours in each round: above 1 we are faster. What slows a round slows both."""
    return [b / a for a, b in zip(ours, theirs, strict=True)]


def turns(names: Sequence[str], round_: int) -> list[str]:
    """The order in a round: every other one runs backwards, and each such pair of rounds begins one further on.

    So each has every place, and not always the same one before it.
    """
    start = round_ // 2 % len(names)
    order = [*names[start:], *names[:start]]
    return order[::-1] if round_ % 2 else order


def agree(losses: Mapping[str, tuple[float, float]], tolerance: float, ours: str = OURS) -> None:
    """Check the loss (before, after an epoch) of each contender against ours.

    The tolerance is a share of what the epoch changes, so a wrong step shows even where a step changes little; beside
    it stand a few units of rounding in float32.

    Raises:
        DisagreementError: one is off by more than that; or an epoch changes the loss by so little that the comparison
            could not tell training from standing still.
    """
    before, after = losses[ours]
    change, rounding = abs(after - before), ROUNDING * abs(before)
    if not (math.isfinite(after) and change > 1000 * rounding):
        raise DisagreementError(f"an epoch takes {ours}'s loss from {before:g} to {after:g}: too little to compare by")
    for name, pair in losses.items():
        for when, expected, found in zip(("before", "after"), (before, after), pair, strict=True):
            if not abs(found - expected) <= tolerance * change + rounding:  # not, so that NaN fails
                raise DisagreementError(
                    f"the loss {when} an epoch is {found:.7g} in {name}, but {expected:.7g} in {ours}: "
                    f"apart by more than {tolerance:g} of what the epoch changes"
                )


def check(entries: Mapping[str, Entry], tolerance: float, ours: str = OURS) -> dict[str, tuple[float, float]]:
    """Train each contender for an epoch, which also warms it up, and let their losses agree."""
    losses = {}
    for name, entry in entries.items():
        before = None if entry.loss is None else float(entry.loss())
        entry.epoch()
        if before is not None and entry.loss is not None:
            losses[name] = before, float(entry.loss())
    agree(losses, tolerance, ours)
    return losses


Clock = Callable[[], float]


def compete(
    runs: Mapping[str, Callable[[], Any]], pace: Pace, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds for one run of each contender, a number for each round; all in turns, after warm-up."""
    counts = {}
    for name, run in runs.items():
        run()
        count, taken = 1, seconds(run, 1, clock)
        while taken < pace.least / 2 and taken > 0:  # one call of a quick run would be too short to go by
            count *= 4
            taken = seconds(run, count, clock)
        counts[name] = max(2, math.ceil(pace.least * count / taken)) if pace.least else 1
    times: dict[str, list[float]] = {name: [] for name in runs}
    collecting = gc.isenabled()
    try:
        for round_ in range(pace.rounds):
            gc.collect()
            gc.disable()
            for name in turns(list(runs), round_):
                time.sleep(pace.pause)
                runs[name]()  # brings back to the caches what the others have driven out
                times[name].append(seconds(runs[name], counts[name], clock) / counts[name])
            gc.enable()
    finally:
        (gc.enable if collecting else gc.disable)()
    return times


def seconds(run: Callable[[], Any], count: int, clock: Clock) -> float:
    start = clock()
    for _ in range(count):
        run()
    return clock() - start
