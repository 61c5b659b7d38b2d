"""The ops that JAX has a form of its own of: it gives what the plain one gives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purenet.engine import engine_of
from purenet.engine.jax import JaxOps
from purenet.engine.jax_convolution import JaxConvolutionOps
from tests.test_ops_windows import CASES, PLAIN, run, side_by_side

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


@pytest.mark.parametrize(
    ("size", "groups", "ins", "outs", "own"),
    [
        ((3, 3), 1, 15, 15, True),
        ((3, 3), 1, 15, 64, True),
        ((3, 3), 1, 64, 15, True),
        ((3, 3), 1, 16, 16, False),
        ((3, 3), 4, 32, 32, True),
        ((3, 3), 2, 32, 32, False),
        ((2,), 1, 3, 3, True),
        ((1, 1), 1, 3, 3, False),
    ],
)
def test_jaxs_own_convolution_is_taken_where_it_is_the_faster(size, groups, ins, outs, own):
    ops, windows, shape = engine_of(jnp.zeros(1)), side_by_side(size), (2, *(2 * n for n in size))
    x, weight = jnp.zeros((*shape, ins)), jnp.zeros((*size, ins // groups, outs))
    dy = jnp.zeros((2, *(2 for _ in size), outs))
    for f, *given in ((ops.correlate, x, weight), (ops.correlate_weight, x, dy)):
        program = str(jax.make_jaxpr(lambda a, b, f=f: f(a, b, windows, groups))(*given))
        assert ("conv_general_dilated" in program) == (own if jax.default_backend() == "cpu" else max(size) > 1)


def step(carry, given):
    return 2 * carry + given[0], (carry, None)


def norms(ops, x):
    """Of numbers whose squares are usual, overflow, sink to 0, and are 0."""
    found = [ops.squares([factor * x, factor * x[0]]) for factor in (1.0, 1e200, 1e-200, 0.0)]
    return [scale * rest**0.5 for scale, rest in found]


def stacked(ops, x):
    outputs = [ops.scan(step, x[0], (x, None), len(x), reverse)[1][0] for reverse in (False, True)]
    return [ops.stack_steps(each, axis) for each in outputs for axis in (0, 1)]


FORMS = {
    "add_rows": lambda ops, x: ops.add_rows(ops.asarray(np.array([0, 2, 0])), x, 4),
    "fixed": lambda ops, x: ops.fixed(x),
    "squares": norms,
    "scan": lambda ops, x: [ops.scan(step, x[0], (x, None), len(x), reverse)[0] for reverse in (False, True)],
    "stack_steps": stacked,
}


@pytest.mark.parametrize("around", [lambda f: f, jax.jit], ids=["each by itself", "in a program"])
@pytest.mark.parametrize("op", FORMS)
def test_jaxs_other_forms_are_the_plain_ones(op, around):
    x, ops = np.random.default_rng(0).standard_normal((3, 3)), engine_of(jnp.zeros(1))
    found = around(lambda x: FORMS[op](ops, x))(jnp.asarray(x))
    np.testing.assert_allclose(found, FORMS[op](PLAIN, x), rtol=1e-14)


def test_every_other_form_of_jax_is_here():
    """What takes arrays in, or hands them to a function, checks them and does as the plain one."""
    others = {name for name, of_class in vars(JaxOps).items() if callable(of_class) and not name.startswith("_")}
    assert others - {"take_in", "astype", "call"} == {*FORMS}
