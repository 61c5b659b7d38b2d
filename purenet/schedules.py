"""Schedules: learning rates that change with the step. Each is a function of the step count 0, 1, 2, …

Any function will do where a learning rate is asked for; these know their name, and work on Python numbers and on arrays
that JAX traces alike. `reduce_on_plateau` is another thing: it follows the loss, so it has a state.

>>> import purenet as pn
>>> schedule = pn.schedules.warmup(pn.schedules.cosine(0.1, steps=100), steps=10)
>>> [round(schedule(t), 4) for t in (0, 5, 10, 60, 110)]
[0.0, 0.05, 0.1, 0.05, 0.0]
>>> pn.sgd(lr=pn.schedules.step(0.1, every=30))
sgd(lr=step(0.1, every=30))

They count steps, not epochs, and an epoch has as many steps as there are batches:

>>> epochs, examples, batch_size = 20, 1000, 32
>>> pn.schedules.cosine(0.1, steps=epochs * -(-examples // batch_size))  # rounded up: the last batch is smaller
cosine(0.1, steps=640)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from purenet import tree
from purenet.engine.arrays import as_number, describe, is_integer, namespace, seal
from purenet.optimizers.rates import check_rates, first_rate
from purenet.values import Call, Value, call, called, takes_numbers

RATES = ("initial", "peak", "factor", "power", "start", "end")  # arguments that are rates, or parts of them


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Schedule(Value):
    """A learning rate as a function of the step count. `at` gets the count as a float, of Python or traced."""

    at: Callable[[Any], Any]
    name: str
    home = "purenet.schedules"
    instead = ": a schedule may be any function of the step count, such as lambda t: 2 * schedule(t)"

    def __call__(self, count: Any) -> Any:
        return self.at(as_number(count) * 1.0)


@takes_numbers
def constant(rate: float) -> Schedule:
    """Always this rate."""
    name = call("constant", rate)
    check_rates(name, rate=rate)
    return Schedule(lambda t: rate, name)


@takes_numbers
def step(initial: float, every: int, factor: float = 0.1) -> Schedule:
    """initial · factor^⌊t / every⌋: times `factor` once every so many steps."""
    name = _checked("step", locals())
    return Schedule(lambda t: initial * factor ** (t // every), name)


@takes_numbers
def exponential(initial: float, factor: float, every: int = 1) -> Schedule:
    """initial · factor^(t / every)."""
    name = _checked("exponential", locals(), 2)
    return Schedule(lambda t: initial * factor ** (t / every), name)


@takes_numbers
def polynomial(initial: float, steps: int, power: float = 1.0, end: float = 0.0) -> Schedule:
    """end + (initial − end) · (1 − t / steps)^power, and `end` from there on. The power 1 is a straight line."""
    name = _checked("polynomial", locals())
    return Schedule(lambda t: end + (initial - end) * (1 - _min(t, steps) / steps) ** power, name)


@takes_numbers
def cosine(initial: float, steps: int, end: float = 0.0) -> Schedule:
    """end + (initial − end) · ½·(1 + cos(π·t / steps)), and `end` from there on.

    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """
    name = _checked("cosine", locals())
    return Schedule(lambda t: _cosine(initial, end, _min(t, steps) / steps), name)


@takes_numbers
def cosine_restarts(initial: float, steps: int, growth: int = 1, end: float = 0.0) -> Schedule:
    """`cosine`, begun anew at the end of each cycle; the first takes `steps`, each later one `growth` times the last.

    I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """
    name = _checked("cosine_restarts", locals())

    def at(t: Any) -> Any:
        if growth == 1:
            return _cosine(initial, end, t % steps / steps)
        # cycle n begins at steps·(gⁿ − 1) / (g − 1); the half keeps rounding from putting its first step before it
        n = _floor(_log((t + 0.5) * (growth - 1) / steps + 1) / math.log(growth))
        length = steps * growth**n
        return _cosine(initial, end, (t - (length - steps) / (growth - 1)) / length)

    return Schedule(at, name)


@takes_numbers
def piecewise(initial: float, changes: dict[int, float]) -> Schedule:
    """The rate `changes[step]` from that step on, `initial` before the first.

    >>> schedule = piecewise(0.1, {100: 0.01, 200: 0.001})
    >>> schedule(99), schedule(100), schedule(1000)
    (0.1, 0.01, 0.001)
    """
    name = call("piecewise", initial, changes)
    if not isinstance(changes, Mapping):
        raise TypeError(
            f"{name}: the changes are a dict of rates by step, not {describe(changes)}: write {{100: 0.01}}"
        )
    check_rates(name, initial=initial, **{f"the rate from step {start} on": rate for start, rate in changes.items()})
    for start in changes:
        if not is_integer(start) or start < 0:
            raise ValueError(f"{name}: a step is a whole number from 0 up, not {start!r}")
    ordered = sorted(changes.items())

    def at(t: Any) -> Any:
        rate: Any = initial
        for start, value in ordered:
            rate = _where(t >= start, value, rate)
        return rate

    return Schedule(at, name)


@takes_numbers
def warmup(after: float | Callable[[Any], Any], steps: int, start: float = 0.0) -> Schedule:
    """A straight line from `start` to the first rate of `after`, a number or a schedule, which then begins."""
    name = _checked("warmup", locals())
    if not callable(after):
        check_rates(name, after=after)
    then: Any = after if callable(after) else constant(after)
    peak = first_rate(then, "warmup")

    def at(t: Any) -> Any:
        return _where(t < steps, start + (peak - start) * (_min(t, steps) / steps), then(_count(_max(t - steps, 0.0))))

    return Schedule(at, name)


@takes_numbers
def one_cycle(
    peak: float, steps: int, rising: float = 0.3, initial: float | None = None, end: float | None = None
) -> Schedule:
    """Up from `initial` to `peak` in a part `rising` of the steps, then down to `end` at the last, both along a cosine.

    initial is peak / 25 and end is initial / 10⁴ unless given.

    L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning rates" (2018).
    """
    name = _checked("one_cycle", locals())
    low = peak / 25 if initial is None else initial
    last = low / 1e4 if end is None else end
    top, bottom = rising * steps - 1, steps - 1
    if not 0 < top < bottom:
        raise ValueError(f"{name}: the rate rises for {top:g} of {bottom} steps, and both ways need one or more")

    def at(t: Any) -> Any:
        up = _cosine(low, peak, _min(t, top) / top)
        down = _cosine(peak, last, (_min(_max(t, top), bottom) - top) / (bottom - top))
        return _where(t <= top, up, down)

    return Schedule(at, name)


@tree.read_only_copies
class PlateauState(NamedTuple):
    """rate is the one to train with now; best the best value so far; waited how many times it was not bettered."""

    rate: Any
    best: Any
    waited: Any
    cooling: Any


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Plateau(Value):
    """What `reduce_on_plateau` makes: `init() -> state`, `step(state, value) -> state`."""

    init: Callable[[], PlateauState]
    step: Callable[[PlateauState, Any], PlateauState]
    name: str
    home = "purenet.schedules"


@takes_numbers
def reduce_on_plateau(
    initial: float,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    cooldown: int = 0,
    least: float = 0.0,
    largest: bool = False,
) -> Plateau:
    """The rate times `factor` when a loss was not bettered more than `patience` times on end; never below `least`.

    Better is smaller, by more than threshold · |best|; with `largest=True` it is larger. After a reduction it looks
    away for `cooldown` times.

    It has a state, since it follows what happens, and the state holds the rate. An optimizer is a value, and its own
    state does not depend on its rate, so each step may make one with the rate of the moment:

    >>> import numpy as np, purenet as pn
    >>> plateau = pn.schedules.reduce_on_plateau(0.1, factor=0.5, patience=1)
    >>> watch = plateau.init()
    >>> params, grads = np.ones(1), np.zeros(1)
    >>> state = pn.sgd().init(params)
    >>> for loss in (1.0, 1.0, 1.0):
    ...     params, state = pn.sgd(watch.rate).step(params, grads, state)
    ...     watch = plateau.step(watch, loss)
    >>> watch.rate
    array(0.05)

    So does `fit`, an epoch at a time, on any engine:

    >>> found, watch = None, plateau.init()
    >>> for epoch in range(1, 7):
    ...     run = {"key": pn.key(1), "epochs": epoch, "resume": found}
    ...     found = pn.fit(pn.identity, pn.mse, pn.sgd(watch.rate), (), (np.ones((4, 1)), np.zeros((4, 1))), **run)
    ...     watch = plateau.step(watch, found.history["loss"][-1])
    >>> found.history["learning_rate"]
    array([0.1  , 0.1  , 0.1  , 0.05 , 0.05 , 0.025])

    Under `jax.jit`, hand watch.rate to the compiled step as an argument, and make the optimizer in it.
    """
    name = called("reduce_on_plateau", locals(), traceable=("initial", "least"))
    check_rates(name, initial=initial, least=least)
    if not 0 < factor < 1:
        raise ValueError(f"{name}: the factor lies between 0 and 1, but {factor!r} was given")
    if not 0 <= threshold < 1:
        raise ValueError(f"{name}: the threshold lies from 0 to below 1, but {threshold!r} was given")

    def init() -> PlateauState:
        return _plateau_state(float(initial), -math.inf if largest else math.inf, 0, 0)

    def step(state: PlateauState, value: Any) -> PlateauState:
        rate, best, waited, cooling = map(as_number, state)
        value = as_number(value)
        margin = _where((best < 0) != largest, 1 + threshold, 1 - threshold)  # away from best, on the better side
        better = value > best * margin if largest else value < best * margin
        best = _where(better, value, best)
        waited = _where(better, 0, waited + 1)
        waited = _where(cooling > 0, 0, waited)
        cooling = _where(cooling > 0, cooling - 1, cooling)
        enough = waited > patience
        rate = _where(enough, _max(rate * factor, least), rate)
        return _plateau_state(rate, best, _where(enough, 0, waited), _where(enough, cooldown, cooling))

    return Plateau(init, step, name)


def _plateau_state(*numbers: Any) -> PlateauState:
    """The state, of arrays without axes: those that are known, of NumPy."""
    dtypes = (np.float64, np.float64, np.int32, np.int32)
    return PlateauState(*(seal(np.array(x, d)) if _plain(x) else x for x, d in zip(numbers, dtypes, strict=True)))


def _cosine(start: Any, end: Any, part: Any) -> Any:
    """From start to end along half a cosine, by a part from 0 to 1 of the way."""
    angle = math.pi * part
    return end + (start - end) * 0.5 * (1 + (math.cos(angle) if _plain(angle) else namespace(angle).cos(angle)))


def _plain(x: Any) -> bool:
    return isinstance(x, int | float)


def _count(t: Any) -> Any:
    return int(t) if _plain(t) else t


def _min(a: Any, b: float) -> Any:
    return min(a, b) if _plain(a) else namespace(a).clip(a, None, b)


def _max(a: Any, b: float) -> Any:
    return max(a, b) if _plain(a) else namespace(a).clip(a, b, None)


def _floor(x: Any) -> Any:
    return math.floor(x) if _plain(x) else namespace(x).floor(x)


def _log(x: Any) -> Any:
    return math.log(x) if _plain(x) else namespace(x).log(x)


def _where(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, bool):
        return a if condition else b
    return namespace(condition).where(condition, a, b)


def _checked(maker: str, given: Mapping[str, Any], bare: int = 1) -> Call:
    """The code of the call that makes a schedule, from the maker's `locals()`, after a check of its rates and steps."""
    name = called(maker, given, bare, RATES)
    told = {**dict(zip(given, name.args, strict=False)), **name.options}
    check_rates(name, **{each: number for each, number in told.items() if each in RATES})
    for each in ("every", "steps", "growth"):
        if each in told and (not is_integer(told[each]) or told[each] < 1):
            raise ValueError(f"{name}: {each} is a positive whole number, not {told[each]!r}")
    return name
