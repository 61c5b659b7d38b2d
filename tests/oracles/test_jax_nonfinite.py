"""What is not finite, under JAX: it reaches only what it belongs to, and what cannot raise is NaN."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.cases import normal
from tests.catalogue import layer_id
from tests.oracles.test_jax_engine import ONE_EACH, draws
from tests.test_nonfinite import CASES, check, results

MASKED = {"multi_head_attention", "rnn", "gru", "lstm"}  # in ways that depend on x
EACH = [(name, case) for name, case in CASES if name in MASKED or any(case is one for _, one in ONE_EACH)]


@pytest.mark.parametrize(("name", "case"), EACH, ids=map(layer_id, EACH))
def test_what_is_not_finite_reaches_only_what_it_belongs_to(name, case):
    params = case.params
    y = case.layer.apply(params, case.x, case.key)
    dy = pn.tree.map(lambda leaf: normal(*leaf.shape, seed=3).astype(leaf.dtype), y)
    compiled = (lambda f: f) if draws(case) else jax.jit
    run = compiled(lambda given: results(name, case, params, given))
    check(name, lambda given: [np.asarray(leaf) for leaf in run(given)], (case.x, dy))
