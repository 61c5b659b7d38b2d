"""What is not finite reaches only what it belongs to: a NaN or an infinity times 0 is NaN, so no mask may be a product.

Over the catalogue: one number of x or of dE/dY is made NaN or infinite. What may then be other than finite is what that
number reaches at all: what changes with it as it takes other, finite values.
"""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.cases import normal
from tests.catalogue import LAYER_CASES, layer_id
from tests.kit import cast

NOT_FINITE = (np.nan, np.inf, -np.inf)
STEPS = (0.5, -0.5, 100.0, -100.0)  # across a kink, and so far that each number is once the largest

# Whose dE/dparams are products with a 0 that is no mask, but a number like any other: a state that begins with 0, what
# dropout or relu gave, a padded cell, dE/dS of a place that attends to a single one.
PRODUCTS_WITH_0 = {"rnn", "lstm", "gru", "bidirectional", "multi_head_attention", "transformer_block"}
ONE_NUMBER = {"softmax", "log_softmax", "layer_norm", "rms_norm"}  # of one number, Y does not depend on x


def is_compared(name, case):
    of_one = name in ONE_NUMBER and case.x.shape[-1] == 1
    attends_to_one = name == "multi_head_attention" and (
        "causal" in case.layer.name if type(case.x) is tuple else case.x.shape[1] == 1
    )
    return not of_one and not attends_to_one and "frozen(layer_norm)" not in case.layer.name


CASES = [(name, case) for name, case in LAYER_CASES if is_compared(name, case)]


def results(name, case, params, given):
    """Y, dE/dX and, if they are compared, dE/dparams."""
    x, dy = given
    y, pullback = case.layer.vjp(params, x, case.key)
    dparams, dx = pullback(dy)
    compared = not case.layer.parts and name not in PRODUCTS_WITH_0 and "padding" not in case.layer.name
    return [np.asarray(leaf) for leaf in pn.tree.leaves((y, dx, dparams if compared else ()))]


def places(tree):
    """Some numbers of each array of floats: (leaf, index)."""
    rng = np.random.default_rng(0)
    for i, leaf in enumerate(pn.tree.leaves(tree)):
        if leaf.dtype.kind == "f" and leaf.size:
            for flat in sorted({0, leaf.size - 1, *rng.integers(leaf.size, size=3).tolist()}):
                yield i, np.unravel_index(flat, leaf.shape)


def changed(tree, place, to):
    """The tree with the number to(old) at a place."""
    leaves, structure = pn.tree.flatten(tree)
    i, index = place
    leaves[i] = leaves[i].copy()
    leaves[i][index] = to(leaves[i][index])
    return pn.tree.unflatten(structure, leaves)


def check(name, run, given):
    """run(x, dy) gives arrays."""
    with np.errstate(all="ignore"):
        before = run(given)
        for place in places(given):
            reached = [np.zeros(leaf.shape, bool) for leaf in before]
            for step in STEPS:
                after = run(changed(given, place, lambda old, step=step: old + step))
                reached = [r | (a != b) for r, a, b in zip(reached, after, before, strict=True)]
            for value in NOT_FINITE:
                found = run(changed(given, place, lambda old, value=value: value))
                for leaf, reach in zip(found, reached, strict=True):
                    beyond = np.argwhere(~np.isfinite(leaf) & ~reach)
                    assert not len(beyond), f"{name}: {value} at {place} reaches {beyond[0]} of {leaf.shape}"


@pytest.mark.parametrize(("name", "case"), CASES, ids=map(layer_id, CASES))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_reaches_only_what_it_belongs_to(name, case, dtype):
    params, x = cast(case.params, dtype), cast(case.x, dtype)
    y = case.layer.apply(params, x, case.key)
    dy = pn.tree.map(lambda leaf: normal(*leaf.shape, seed=3).astype(leaf.dtype), y)
    check(name, lambda given: results(name, case, params, given), (x, dy))
