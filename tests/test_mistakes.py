"""What newcomers wrote, and what they are told: the training kit's part of test_errors.py."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from purenet import schedules as s

X = np.ones((8, 2), np.float32)
T = np.zeros((8, 1), np.float32)
NET = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
PARAMS = NET.init(pn.key(0))
GRADS = pn.value_and_grad(NET, pn.mse)(PARAMS, X, T)[1]

BAD = {
    # schedules
    "a maker of schedules for a schedule": (lambda: pn.sgd(s.cosine), TypeError, r"cosine makes a schedule.*write schedules.cosine\(\.\.\.\)"),
    "likewise, as a rate of decay": (lambda: pn.weight_decay(s.cosine), TypeError, r"weight_decay\(cosine\): schedules.cosine makes"),
    "likewise, after a warm-up": (lambda: s.warmup(s.cosine, 10), TypeError, "cosine makes a schedule"),
    "a schedule without an argument": (lambda: pn.adam(lambda: 0.1), TypeError, r"adam\(lr=<lambda>\): a schedule is a function of the step count 0, 1.*fails for 0"),
    "a schedule that begins with 1": (lambda: pn.adam(lambda t: t**-0.5), TypeError, "fails for 0: 0.0 cannot be"),
    "a schedule of negative rates": (lambda: pn.adam(lambda t: -0.1), ValueError, "at step 0: learning rate is a finite number from 0 up, not -0.1"),
    "a net for a rate": (lambda: pn.adam(NET), TypeError, "fails for 0: serial.*is a layer"),
    "a preset for a rate": (lambda: pn.adam(pn.elu), TypeError, "learning rate is a number, not a Layer"),
    "a schedule for the number of sgd_step": (lambda: pn.sgd_step(PARAMS, GRADS, s.constant(0.1)), TypeError, r"a number, not a Schedule: write sgd_step\(params, grads, schedule\(step\)\)"),
    "no rate": (lambda: pn.sgd_step(PARAMS, GRADS, None), TypeError, "sgd_step takes lr, a number, not None$"),
    "changes in a list": (lambda: s.piecewise(0.1, [10, 20]), TypeError, r"a dict of rates by step, not a list: write \{100: 0.01\}"),
    "changes in pairs": (lambda: s.piecewise(0.1, [(10, 0.01)]), TypeError, "a dict of rates by step"),
    "changes at negative steps": (lambda: s.piecewise(0.1, {-1: 0.01}), ValueError, "a whole number from 0 up, not -1"),
    "changes to negative rates": (lambda: s.piecewise(0.1, {10: -0.01}), ValueError, "the rate from step 10 on is a finite number from 0 up, not -0.01"),
    "a negative rate": (lambda: s.cosine(-0.1, 10), ValueError, r"cosine\(-0.1, steps=10\): initial is a finite number from 0 up, not -0.1"),
    "a negative end": (lambda: s.polynomial(0.1, 10, end=-0.1), ValueError, "end is a finite number"),
    "a rate that is text": (lambda: s.exponential("0.1", 0.5), TypeError, "initial is a number, not a str"),
    "a negative rate to reduce": (lambda: s.reduce_on_plateau(-0.1), ValueError, "initial is a finite number"),
    # chain and step
    "a list of links": (lambda: pn.chain([pn.clip_by_value(1.0), pn.adam()]), TypeError, r"not a list: write chain\(\*links\)"),
    "an optimizer that is not the last": (
        lambda: pn.chain(pn.adam(), pn.clip_by_value(1.0)),
        TypeError,
        r"was given adam\(\), clip_by_value\(1.0\): write chain\(clip_by_value\(1.0\), adam\(\)\)",
    ),
    "two optimizers": (lambda: pn.chain(pn.adam(), pn.sgd()), TypeError, "take one of them"),
    "no optimizer": (lambda: pn.chain(pn.clip_by_value(1.0)), TypeError, r"add sgd\(\)"),
    "a rate for an optimizer": (lambda: pn.chain(pn.clip_by_value(1.0), 0.1), TypeError, r"clip_by_value\(1.0\), 0.1: add sgd\(\)"),
    "an optimizer without parentheses in a chain": (lambda: pn.chain(pn.clip_by_value(1.0), pn.sgd), TypeError, r"write sgd\(\.\.\.\)"),
    "a transform without parentheses in a chain": (lambda: pn.chain(pn.ema, pn.sgd()), TypeError, r"write ema\(\.\.\.\)"),
    "a step without a state": (
        lambda: pn.adam().step(PARAMS, GRADS),
        ValueError,
        r"adam\(\) keeps a State.*given no state: make it by init, as in state = optimizer.init\(params\)",
    ),
    "a step of a chain without a state": (lambda: pn.chain(pn.clip_by_value(1.0), pn.adam()).step(PARAMS, GRADS), ValueError, "given no state"),
    "a step of another chain's state": (
        lambda: pn.chain(pn.ema(), pn.adam()).step(PARAMS, GRADS, pn.adam().init(PARAMS)),
        ValueError,
        r"chain\(ema\(0.999\), adam\(\)\) keeps an AverageState, but was given a State",
    ),
    "a step without a state, by path": (lambda: pn.per_path({"[0]": pn.sgd()}, pn.adam()).step(PARAMS, GRADS), ValueError, "a tuple of 2 states, but was given no state"),
    "a step without a state, frozen": (lambda: pn.chain(pn.freeze("[0]"), pn.adam()).step(PARAMS, GRADS), ValueError, "given no state"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_the_message_says_what_to_do(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


@pytest.mark.parametrize(
    "transform", [pn.weight_decay(0.1), pn.gradient_noise(pn.key(0)), pn.accumulate(2), pn.lookahead(), pn.polyak()]
)
def test_each_transform_with_a_state_asks_for_its_own(transform):
    with pytest.raises(ValueError, match=r"State, but was given no state: make it by init"):
        pn.chain(transform, pn.sgd()).step(PARAMS, GRADS)


def test_the_name_of_a_function_for_a_rate():
    assert repr(pn.sgd(lambda t: 0.1)) == "sgd(lr=<lambda>)"
    assert repr(pn.chain(pn.weight_decay(s.constant(0.1)), pn.sgd())) == "chain(weight_decay(constant(0.1)), sgd())"


@pytest.mark.parametrize(
    "make", [s.step, s.exponential, s.polynomial, s.cosine, s.cosine_restarts, s.warmup, s.one_cycle]
)
def test_no_schedule_begins_with_a_negative_rate(make):
    with pytest.raises(ValueError, match=r"is a finite number from 0 up, not -0.1"):
        make(-0.1, 10)
