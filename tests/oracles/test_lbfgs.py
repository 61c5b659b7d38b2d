"""The example of SciPy's L-BFGS, run as a user runs it."""

from __future__ import annotations

import re

import numpy as np
from scipy.optimize import check_grad

import purenet as pn
from purenet.examples import lbfgs
from tests.test_examples import run


def test_lbfgs_fits_a_curve(tmp_path):
    printed = run("purenet.examples.lbfgs", cwd=tmp_path)
    assert float(re.search(r"error (\S+) after", printed).group(1)) < 1e-4
    assert float(re.search(r"at most (\S+)", printed).group(1)) < 0.02


def test_the_objective_has_the_right_gradient():
    x = np.linspace(-1, 1, 7)[:, None]
    start, unravel = pn.tree.ravel(pn.tree.cast(lbfgs.net.init(pn.key(0)), np.float64))
    value_and_grad = pn.value_and_grad(lbfgs.net, pn.mse)
    error = check_grad(
        lambda v: float(value_and_grad(unravel(v), x, x**2)[0]),
        lambda v: pn.tree.ravel(value_and_grad(unravel(v), x, x**2)[1])[0],
        start,
    )
    assert error < 1e-5
