"""A loss of a function and its derivative, as in the video."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn

Y, TARGET = pn.random.normal(pn.key(0), (4, 3)), pn.random.normal(pn.key(1), (4, 3))


def squares(y, target):
    return ((y - target) ** 2).mean()


def slope(y, target):
    return 2 * (y - target) / y.size


OWN = pn.loss(squares, slope)


def test_it_is_a_loss_like_any_other():
    E, pullback = OWN.vjp(Y, TARGET)
    theirs, theirs_pullback = pn.mse.vjp(Y, TARGET)
    assert pytest.approx(theirs, rel=1e-6) == E
    np.testing.assert_allclose(pullback(3.0), theirs_pullback(3.0), rtol=1e-6)
    assert pullback(np.float64(1)).dtype == np.float32
    pn.testing.check_vjp(OWN, Y.astype(np.float64), TARGET.astype(np.float64))


def test_its_name_and_its_equals():
    assert repr(OWN) == "loss(squares, slope)"
    assert repr(pn.loss(squares, slope, "own")) == "own"
    assert pn.loss(squares, slope) == OWN != pn.loss(squares, slope, "own")


def test_a_wrong_derivative_is_caught():
    wrong = pn.loss(squares, lambda y, target: (y - target) / y.size)
    with pytest.raises(AssertionError, match=r"0\.5 times the derivative"):
        pn.testing.check_vjp(wrong, Y.astype(np.float64), TARGET.astype(np.float64))


@pytest.mark.parametrize("given", [(squares, None), (1, slope), (pn.mse, slope)])
def test_bad_input_says_what_to_do(given):
    with pytest.raises(TypeError, match="loss takes a function and its derivative"):
        pn.loss(*given)
