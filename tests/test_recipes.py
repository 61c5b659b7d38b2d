"""The recipes of help("purenet.training.gradient") against differences: losses over several nets."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import purenet as pn
import purenet.training.gradient as module
from tests.cases import normal


@pytest.fixture(scope="module")
def recipes():
    """What the docstring defines."""
    parts = doctest.DocTestParser().get_doctest(module.__doc__, {}, "recipes", None, 0)
    for example in parts.examples:
        if example.source.startswith("for key"):
            break
        exec(example.source, parts.globs)
    return parts.globs


def slopes(f, params):
    """dE/dparams by central differences, and in one vector."""
    vector, unravel = pn.tree.ravel(params)
    steps = 1e-6 * np.eye(len(vector))
    return np.array([f(unravel(vector + step)) - f(unravel(vector - step)) for step in steps]) / 2e-6


def begin(*nets):
    return tuple(pn.tree.cast(net.init(key), np.float64) for net, key in zip(nets, pn.split(pn.key(3)), strict=False))


def test_a_variational_autoencoder(recipes):
    params, given = begin(recipes["encoder"], recipes["decoder"]), (normal(5, 4), normal(5, 2, seed=1))
    found = pn.tree.ravel(recipes["vae"](params, *given)[1])[0]
    np.testing.assert_allclose(found, slopes(lambda p: recipes["vae"](p, *given)[0], params), rtol=1e-6, atol=1e-8)


def test_two_nets_against_each_other(recipes):
    params, given = begin(recipes["generator"], recipes["judge"]), (normal(5, 4), normal(5, 2, seed=1))
    _, grads = recipes["gan"](params, *given)
    for i in range(2):

        def cost(part, i=i):
            return recipes["gan"]((*params[:i], part, *params[i + 1 :]), *given)[0][i]

        found = pn.tree.ravel(grads[i])[0]
        np.testing.assert_allclose(found, slopes(cost, params[i]), rtol=1e-6, atol=1e-8)


def test_a_contrastive_loss(recipes):
    (params,), given = begin(recipes["net"]), (normal(5, 4), normal(5, 4, seed=1))
    found = pn.tree.ravel(recipes["contrastive"](params, *given)[1])[0]
    np.testing.assert_allclose(
        found, slopes(lambda p: recipes["contrastive"](p, *given)[0], params), rtol=1e-6, atol=1e-8
    )
