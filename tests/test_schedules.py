"""Schedules: their values at the points that matter, on any kind of count; reduce-on-plateau as state."""

from __future__ import annotations

import math

import numpy as np
import pytest

from purenet import schedules as s

VALUES = {
    "constant": (s.constant(0.1), {0: 0.1, 1000: 0.1}),
    "step": (s.step(1.0, every=10), {0: 1.0, 9: 1.0, 10: 0.1, 20: 0.01}),
    "exponential": (s.exponential(1.0, 0.5, every=10), {0: 1.0, 5: 0.5**0.5, 10: 0.5, 20: 0.25}),
    "polynomial": (s.polynomial(1.0, 10, 2.0, end=0.2), {0: 1.0, 5: 0.4, 10: 0.2, 99: 0.2}),
    "cosine": (s.cosine(1.0, 10, end=0.2), {0: 1.0, 5: 0.6, 10: 0.2, 99: 0.2}),
    "cosine_restarts": (s.cosine_restarts(1.0, 10), {0: 1.0, 5: 0.5, 10: 1.0, 15: 0.5, 1000: 1.0}),
    "cosine_restarts, growing": (s.cosine_restarts(1.0, 10, growth=2), {9: s.cosine(1.0, 10)(9), 10: 1.0, 20: 0.5, 30: 1.0, 50: 0.5, 70: 1.0}),
    "warmup": (s.warmup(0.1, 10, start=0.05), {0: 0.05, 5: 0.075, 10: 0.1, 99: 0.1}),
    "warmup, then cosine": (s.warmup(s.cosine(1.0, 10), 4), {0: 0.0, 2: 0.5, 4: 1.0, 9: 0.5, 14: 0.0}),
    "one_cycle": (s.one_cycle(1.0, 101, 0.51 / 1.01, end=0.0), {0: 0.04, 50: 1.0, 75: 0.5, 100: 0.0, 200: 0.0}),
    "piecewise": (s.piecewise(0.1, {20: 0.001, 10: 0.01}), {0: 0.1, 9: 0.1, 10: 0.01, 19: 0.01, 20: 0.001}),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    schedule, values = VALUES[name]
    for count, expected in values.items():
        assert math.isclose(schedule(count), expected, rel_tol=1e-12, abs_tol=1e-12), count


@pytest.mark.parametrize("name", VALUES)
def test_any_kind_of_count(name):
    schedule, _ = VALUES[name]
    numbers = [schedule(t) for t in range(100)]
    assert {type(rate) for rate in numbers} == {float}
    for kind in (np.int32, np.int64, np.array, float):
        assert [schedule(kind(t)) for t in range(100)] == numbers
    np.testing.assert_allclose(np.broadcast_to(schedule(np.arange(100)), 100), numbers, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", VALUES)
def test_the_name_is_the_code(name):
    schedule, _ = VALUES[name]
    assert repr(eval(schedule.name, vars(s))) == schedule.name


def test_every_schedule_is_in_the_table():
    made = {f.__name__ for f in vars(s).values() if callable(f) and getattr(f, "__module__", "") == s.__name__}
    schedules = {name for name in made if name.islower() and not name.startswith("_")} - {"reduce_on_plateau"}
    assert {name.split(",")[0] for name in VALUES} == schedules


def test_restarts_begin_where_they_should_for_many_cycles():
    for steps in (1, 3, 7, 10):
        for growth in (2, 3, 5):
            start, schedule = 0, s.cosine_restarts(1.0, steps, growth)
            for n in range(7):
                assert schedule(start) == pytest.approx(1.0, abs=1e-12), (steps, growth, n)
                length = steps * growth**n
                assert schedule(start + length - 1) == pytest.approx(s.cosine(1.0, length)(length - 1), abs=1e-9)
                start += length


def test_warmup_hands_whole_counts_to_any_function():
    seen = []
    schedule = s.warmup(lambda t: seen.append(t) or 1.0, 2)
    assert [schedule(t) for t in range(4)] == [0.0, 0.5, 1.0, 1.0]
    assert all(type(t) is int for t in seen)


def plateau_path(plateau, values):
    state = plateau.init()
    rates = []
    for value in values:
        state = plateau.step(state, value)
        rates.append(state.rate.item())
    return rates


def test_reduce_on_plateau():
    plateau = s.reduce_on_plateau(1.0, factor=0.5, patience=1)
    assert plateau_path(plateau, [3, 2, 2, 1, 1, 1, 1, 1]) == [1, 1, 1, 1, 1, 0.5, 0.5, 0.25]
    assert plateau_path(plateau, [math.nan] * 3) == [1, 0.5, 0.5]
    assert plateau_path(s.reduce_on_plateau(1.0, 0.5, 0, least=0.3), [1, 1, 1, 1]) == [1, 0.5, 0.3, 0.3]
    assert plateau_path(s.reduce_on_plateau(1.0, 0.5, 0, cooldown=2), [1, 1, 1, 1, 1]) == [1, 0.5, 0.5, 0.5, 0.25]
    assert plateau_path(s.reduce_on_plateau(1.0, 0.5, 0, largest=True), [1, 2, 3, 3]) == [1, 1, 1, 0.5]
    assert plateau_path(s.reduce_on_plateau(1.0, 0.5, 0, threshold=0.5), [4, 3, 1]) == [1, 0.5, 0.5]


def test_the_state_of_a_plateau_is_read_only_arrays_and_its_step_is_pure():
    plateau = s.reduce_on_plateau(1.0)
    state = plateau.init()
    new = plateau.step(state, np.float32(0.5))
    assert state.best == math.inf
    assert new.best == 0.5
    for leaf in (*state, *new):
        assert type(leaf) is np.ndarray
        assert leaf.shape == ()
        assert not leaf.flags.writeable
    assert repr(eval(plateau.name, vars(s))) == plateau.name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s.step(0.1, every=0), "every is a positive whole number, not 0"),
        (lambda: s.cosine(0.1, 10.5), "steps is a positive whole number, not 10.5"),
        (lambda: s.cosine_restarts(0.1, 10, growth=0), "growth is a positive"),
        (lambda: s.one_cycle(0.1, 3), "both ways need one or more"),
        (lambda: s.reduce_on_plateau(0.1, factor=1.0), "between 0 and 1, but 1.0"),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_better_is_a_share_of_the_size_of_the_best():
    for largest in (False, True):
        for value in (-1.0, 1.0, 0.0, -1e30, np.float32(-0.5)):
            still = s.reduce_on_plateau(1.0, 0.5, patience=1, largest=largest)
            assert plateau_path(still, [value] * 5) == [1, 1, 0.5, 0.5, 0.25]
    lower, higher = (
        s.reduce_on_plateau(1.0, 0.5, patience=0, threshold=0.1, largest=largest) for largest in (False, True)
    )
    assert plateau_path(lower, [-1.0, -1.05, -1.2]) == [1, 0.5, 0.5]
    assert plateau_path(higher, [-1.0, -0.95, -0.85]) == [1, 0.5, 0.5]
    assert plateau_path(lower, [0.5, -0.5, -0.6]) == [1, 1, 1]
    with pytest.raises(ValueError, match="the threshold lies from 0 to below 1, but 1 was given"):
        s.reduce_on_plateau(1.0, threshold=1)
