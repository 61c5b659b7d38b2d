"""Every layer and loss of the catalogue under JAX: the same numbers under jit, and jax.grad agrees with our rule."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from purenet.spec.guard import guarded
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.oracles.agree import record

# all cases in float64, and a case of each layer in float32
ONE_EACH = list({(name, case.key is None): (name, case) for name, case in reversed(LAYER_CASES)}.values())
RUNS = [(*entry, np.float64) for entry in LAYER_CASES] + [(*entry, np.float32) for entry in ONE_EACH]
each_layer = pytest.mark.parametrize(
    ("name", "case", "dtype"), RUNS, ids=[f"{layer_id(('', case))}-{np.dtype(dtype)}" for _, case, dtype in RUNS]
)
each_loss = pytest.mark.parametrize(("name", "case"), LOSS_CASES, ids=map(loss_id, LOSS_CASES))
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def is_float(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def cast(tree, dtype):
    return pn.tree.map(lambda leaf: leaf.astype(dtype) if is_float(leaf) else leaf, tree)


def to_jax(tree):
    return pn.tree.map(jnp.asarray, tree)


def agree(ours, theirs, dtype, what):
    """Two trees hold the same numbers to rounding, relative to the largest entry of all (a leaf may cancel to 0).

    The largest difference is returned, for the table.
    """
    tolerance = 2e-5 if dtype is np.float32 else 1e-11
    largest = max((np.abs(np.asarray(leaf)).max(initial=0) for leaf in pn.tree.leaves(ours)), default=0)
    pn.tree.check_same(ours, theirs, what)
    worst = 0.0
    for (path, a), b in zip(pn.tree.items(ours, what), pn.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype, path
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance * largest, err_msg=path)
        worst = max(worst, float(np.abs(a - b).max(initial=0) / (largest or 1)) if is_float(a) else 0.0)
    return worst


def without_buffers(tree):
    """A buffer's step stands where its gradient would: JAX has none to compare it with."""
    return pn.tree.map(lambda leaf: 0 * leaf.value if isinstance(leaf, pn.Buffer) else leaf, tree, leaf_type=pn.Buffer)


def some_dy(y):
    """A dE/dY in which nothing is equal and nothing cancels."""
    return pn.tree.map(lambda leaf: np.cos(np.arange(leaf.size, dtype=leaf.dtype)).reshape(leaf.shape), y)


def draws(case):
    """Whether the case draws numbers, which a key of purenet may not inside jit: `test_jax_keys` has these there."""
    return case.key is not None and any(word in case.layer.name for word in ("dropout", "noise"))


@each_layer
def test_layer(name, case, dtype):
    params, x = cast(case.params, dtype), cast(case.x, dtype)
    y, pullback = case.layer.vjp(params, x, case.key)
    dy = some_dy(y)
    dparams, dx = pullback(dy)

    structure = pn.tree.flatten(x)[1]

    def differentiated(params, x, dy):
        """dE/dparams and dE/d(each array of floats in x) by JAX itself."""

        def f(params, floats):
            pairs = zip(floats, pn.tree.leaves(x), strict=True)
            whole = pn.tree.unflatten(structure, [own if a is None else a for a, own in pairs])
            return case.layer.apply(params, whole, case.key)

        return jax.vjp(f, params, [leaf if is_float(leaf) else None for leaf in pn.tree.leaves(x)])[1](dy)

    def run(params, x, dy):
        value, pullback = case.layer.vjp(params, x, case.key)
        ours = case.layer.apply(params, x, case.key), value, pullback(dy), pullback(dy, wrt_x=False)[0]
        return *ours, differentiated(params, x, dy) if case.differences else None

    run = run if draws(case) else jax.jit(run)  # one program for all of it: most of the time goes into compiling
    applied, value, gradients, alone, in_jax = run(*to_jax((params, x, dy)))
    worst = agree(y, applied, dtype, "y of apply")
    agree(y, value, dtype, "y of vjp")
    record(name, "JAX jit", dtype, max(worst, agree((dparams, dx), gradients, dtype, "gradients")))
    agree(dparams, alone, dtype, "dparams")
    if case.differences:
        ours = (without_buffers(dparams), pn.tree.leaves(dx))
        agree(ours, (without_buffers(in_jax[0]), pn.tree.leaves(in_jax[1])), dtype, "gradients by jax.vjp")


@each_loss
@each_dtype
def test_loss(name, case, dtype):
    y, target = cast(case.y, dtype), cast(case.target, dtype)
    E, pullback = case.loss.vjp(y, target)

    @jax.jit
    def run(y, target):
        value, pullback = case.loss.vjp(y, target)
        return case.loss.apply(y, target), value, pullback(), jax.grad(lambda y: case.loss.apply(y, target).sum())(y)

    applied, value, dy, in_jax = run(*to_jax((y, target)))
    worst = agree(E, applied, dtype, "E of apply")
    agree(E, value, dtype, "E of vjp")
    record(name, "JAX jit", dtype, max(worst, agree(pullback(), dy, dtype, "dE/dY")))
    agree(pullback(), in_jax, dtype, "dE/dY by jax.grad")


def test_integers_and_buffers_are_compared_as_they_should():
    """The comparison itself: gradients of another value, dtype or structure must not pass."""
    a = (np.ones(3, np.float32),)
    for wrong in ((np.ones(3, np.float32) * 1.001,), (np.ones(3),), (np.ones(4, np.float32),), ()):
        with pytest.raises((AssertionError, ValueError)):
            agree(a, wrong, np.float32, "tree")


@pytest.mark.parametrize("case", [case for _, case in LAYER_CASES], ids=map(layer_id, LAYER_CASES))
def test_a_batch_of_no_examples_has_the_shapes_that_it_has_on_numpy(case):
    def run(params, x, key):
        y, pullback = case.layer.vjp(params, x, key)
        return y, pullback(y), case.layer.apply(params, x, key)

    params, x = cast((case.params, pn.tree.map(lambda leaf: leaf[:0], case.x)), np.float32)
    try:
        ours = run(params, x, case.key)
    except ValueError:
        with pytest.raises(ValueError, match=r"batch_norm.* takes more than one value"):
            run(*to_jax((params, x)), case.key)
    else:
        theirs = jax.eval_shape(run, *to_jax((params, x)), None if case.key is None else jax.random.key(0))
        pn.tree.check_same(ours, theirs)


SUMS = [(name, case) for name, case in LOSS_CASES if guarded(case.loss).reduction == "sum"]


@pytest.mark.parametrize("case", [case for _, case in SUMS], ids=map(loss_id, SUMS))
def test_a_sum_over_no_examples_is_0(case):
    y, target = pn.tree.map(lambda part: part[:0], (case.y, case.target))
    E, pullback = case.loss.vjp(*to_jax((y, target)))
    assert E == 0
    assert pn.tree.map(np.shape, pullback()) == pn.tree.map(np.shape, y)


@pytest.mark.parametrize("rotary", [False, True])
def test_a_cache_of_fixed_size_is_compiled_once(rotary):
    blocks = pn.stacked(*[pn.transformer_decoder_block(8, 4, kv_heads=2, rotary=rotary)] * 2)
    x, memory = pn.random.normal(pn.key(0), (3, 7, 8)), pn.random.normal(pn.key(1), (3, 5, 8))
    params, traced = blocks.init(pn.key(2), ((7, 8), (5, 8))), []

    def step(state, place):
        traced.append(state)
        y, state = blocks.apply(params, (place[:, None], state, memory))
        return state, y[:, 0]

    empty = *jnp.zeros((2, 3, 7, 4), jnp.float32), jnp.zeros(3, int)
    whole = blocks.apply(params, (x, memory))
    last, ys = jax.lax.scan(step, (empty, empty), jnp.asarray(x).swapaxes(0, 1))
    assert len(traced) == 1
    np.testing.assert_allclose(ys.swapaxes(0, 1), whole, rtol=1e-4, atol=1e-5)
    compiled, state = jax.jit(lambda state, place: step(state, place)), (empty, empty)
    for t in range(7):
        state, y = compiled(state, x[:, t])
        np.testing.assert_allclose(y, whole[:, t], rtol=1e-4, atol=1e-5)
    assert len(traced) == 2
    _, full = compiled(last, x[:, 0])  # there is no room for it
    assert jnp.isnan(full).all()


def test_a_cache_refuses_a_small_dtype_when_it_is_traced():
    layer, x, empty = pn.multi_head_attention(2, 1, causal=True), jnp.ones((1, 10, 2)), jnp.zeros((1, 300, 2))
    params = layer.init(pn.key(0))
    with pytest.raises(ValueError, match=r"uint8 does not go up to 300.*: write filled\.astype\(np\.int32\)"):
        jax.jit(layer.apply)(params, (x, (empty, empty, jnp.asarray([250], jnp.uint8))))


@pytest.mark.parametrize("in_jax", ["x", "params of the first", "params of the last", "params inside", "dE/dY alone"])
def test_a_net_of_arrays_of_two_engines_goes_back_from_either(in_jax):
    """Each part joins the engine of the whole, so that a traced dE/dY meets no rule that NumPy has begun."""

    def fresh():
        return pn.serial(pn.dense(3, 4), pn.tanh, pn.residual(pn.serial(pn.dense(4), pn.relu)), pn.dense(4, 2))

    params, x = fresh().init(pn.key(0)), np.cos(np.arange(15, dtype=np.float32)).reshape(5, 3)
    y, pullback = fresh().vjp(params, x)
    expected = pullback(y)
    place = {"params of the first": 0, "params inside": 2, "params of the last": 3}.get(in_jax)
    mixed = tuple(to_jax(part) if i == place else part for i, part in enumerate(params))
    _, pullback = fresh().vjp(mixed, jnp.asarray(x) if in_jax == "x" else x)
    for back in pullback, jax.jit(pullback):
        for dy in y, jnp.asarray(y):
            agree(expected, to_jax(back(dy)), np.float32, in_jax)


def test_inputs_of_two_engines_go_back_from_either():
    def fresh():
        return pn.serial(pn.parallel(pn.dense(3, 4), pn.dense(3, 4)), pn.add)

    params, x = fresh().init(pn.key(0)), np.cos(np.arange(15, dtype=np.float32)).reshape(5, 3)
    y, pullback = fresh().vjp(params, (x, x))
    expected = pullback(y)
    for inputs in ((x, jnp.asarray(x)), (jnp.asarray(x), x)):
        _, pullback = fresh().vjp(params, inputs)
        for back in pullback, jax.jit(pullback):
            agree(expected, to_jax(back(y)), np.float32, "two inputs")
