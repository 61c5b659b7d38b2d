"""The generic form under array-api-strict, which has nothing beyond the standard: what runs there runs on any engine.

CuPy and others follow the same standard; nothing here was tried on them.
"""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.oracles.agree import record
from tests.oracles.test_jax_engine import agree, some_dy
from tests.test_optimizers import NET, OPTIMIZERS, TRANSFORMS

Strict = type(array_api_strict.asarray(0))
STEPPED = [o for name, many in OPTIMIZERS.items() if name != "chain" for o in many]
STEPPED += [pn.chain(t, pn.sgd(0.1, momentum=0.9)) for name, t in TRANSFORMS.items() if name != "gradient_noise"]


def strict(tree):
    return pn.tree.map(array_api_strict.asarray, tree)


def same(ours, theirs, what):
    """All of `theirs` are strict arrays, with the numbers of `ours`."""
    assert {type(leaf) for leaf in pn.tree.leaves(theirs)} <= {Strict}, what
    return agree(ours, pn.tree.map(np.asarray, theirs), np.float64, what)


@pytest.mark.parametrize(("name", "case"), LAYER_CASES, ids=map(layer_id, LAYER_CASES))
def test_layer(name, case):
    y, pullback = case.layer.vjp(case.params, case.x, case.key)
    dy = some_dy(y)
    params, x = strict(case.params), strict(case.x)
    value, strict_pullback = case.layer.vjp(params, x, case.key)
    worst = max(
        same(y, case.layer.apply(params, x, case.key), "y of apply"),
        same(y, value, "y of vjp"),
        same(pullback(dy), strict_pullback(strict(dy)), "gradients"),
    )
    record(name, "strict", np.float64, worst)


@pytest.mark.parametrize(("name", "case"), LOSS_CASES, ids=map(loss_id, LOSS_CASES))
def test_loss(name, case):
    E, pullback = case.loss.vjp(case.y, case.target)
    value, strict_pullback = case.loss.vjp(*strict((case.y, case.target)))
    record(name, "strict", np.float64, max(same(E, value, "E"), same(pullback(), strict_pullback(), "dE/dY")))


@pytest.mark.parametrize("optimizer", STEPPED, ids=repr)
def test_optimizer(optimizer):
    params = pn.tree.cast(NET.init(pn.key(0)), np.float64)
    grads = pn.tree.map(lambda p: np.cos(3 * p), params)
    state, strict_state = optimizer.init(params), optimizer.init(strict(params))
    strict_params = strict(params)
    for _ in range(3):
        params, state = optimizer.step(params, grads, state)
        strict_params, strict_state = optimizer.step(strict_params, strict(grads), strict_state)
    same(params, strict_params, "params")


@pytest.mark.parametrize("penalty", [pn.l1(0.1), pn.l2(0.1)], ids=repr)
def test_penalty(penalty):
    params = NET.init(pn.key(0))
    value, grads = penalty.add(params, params)
    strict_value, strict_grads = penalty.add(strict(params), strict(params))
    same(grads, strict_grads, "gradients")
    assert float(strict_value) == pytest.approx(float(value))
