"""The ops that JAX has a form of its own of: it gives what the plain one gives."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from purenet.engine import engine_of
from purenet.engine.jax_convolution import JaxConvolutionOps
from tests.test_ops_windows import CASES, PLAIN, run

OWN = {name for name in vars(JaxConvolutionOps) if not name.startswith("_")}
OF_JAX = [(op, given) for op, given in CASES if op in OWN]


def to_jax(given):
    return jnp.asarray(given) if isinstance(given, np.ndarray) else given


@pytest.mark.parametrize(("op", "given"), OF_JAX, ids=[f"{op}-{i}" for i, (op, _) in enumerate(OF_JAX)])
def test_jaxs_form_is_the_plain_one(op, given):
    plain, own = run(PLAIN, op, given), run(engine_of(jnp.zeros(1)), op, list(map(to_jax, given)))
    for a, b in zip(plain, own, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-12)
        assert b.dtype == a.dtype


def test_every_op_that_jax_has_its_own_form_of_is_here():
    assert {op for op, _ in OF_JAX} == OWN
