"""Keys under JAX: its own are taken wherever a key is; ours work outside jit, and inside would be frozen: an error."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYER_CASES
from tests.oracles.test_jax_engine import ONE_EACH, agree, draws

each_kind = pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])  # the new keys, and the old
RANDOM = list({case.layer.name: case for _, case in LAYER_CASES if draws(case)}.values())
STILL = ("dropout(rate=0.0)", "dropout(rate=1.0)", "gaussian_noise(0)")
x = np.ones((4, 3), np.float32)
noisy = pn.serial(pn.dense(3, 8), pn.dropout, pn.dense(8, 1))


@each_kind
@pytest.mark.parametrize(("name", "case"), [c for c in ONE_EACH if c[1].key is None], ids=lambda c: str(c)[:40])
def test_every_layer_can_be_initialized(make, name, case):
    """By JAX's key: params of the same structure, shapes and dtypes, under jit too."""
    in_shape = pn.tree.map(lambda leaf: leaf.shape[1:], case.x)
    ours = case.layer.init(pn.key(0), in_shape)
    theirs = jax.eval_shape(lambda key: case.layer.init(key, in_shape), make(0))
    pn.tree.check_same(ours, theirs, "params")
    assert [p.dtype for p in pn.tree.leaves(ours)] == [p.dtype for p in pn.tree.leaves(theirs)]


@each_kind
def test_initializers(make):
    for name in ("normal", "truncated_normal", "uniform", "variance_scaling", "orthogonal"):
        initialize = getattr(pn.initializers, name)()
        w = jax.jit(lambda key, f=initialize: f(key, (64, 32)))(make(0))
        ours = initialize(pn.key(0), (64, 32))
        assert (w.dtype, w.shape) == (ours.dtype, ours.shape)
        assert float(w.std()) == pytest.approx(float(ours.std()), rel=0.05), name


@each_kind
def test_samplers(make):
    key = make(0)
    for draw in (
        lambda k: pn.random.uniform(k, (1000,)),
        lambda k: pn.random.normal(k, (1000,), np.float64),
        lambda k: pn.random.truncated_normal(k, (1000,)),
        lambda k: pn.random.bernoulli(k, 0.3, (1000,)),
        lambda k: pn.random.permutation(k, 1000),
        lambda k: pn.random.gumbel(k, (10_000,)),
        lambda k: pn.random.choice(k, 1000, (1000,), replace=False),
        lambda k: pn.random.categorical(k, np.zeros((1000, 2), np.float32)),
    ):
        found, ours = jax.jit(draw)(key), draw(pn.key(0))
        assert (found.shape, found.dtype.kind) == (ours.shape, ours.dtype.kind)
        np.testing.assert_allclose(found, draw(key), rtol=1e-5, atol=1e-6)
        assert not np.array_equal(found, draw(make(1)))
        assert abs(float(found.mean()) - float(ours.mean())) < 0.1
    first, second = pn.random.split(key)
    assert not np.array_equal(pn.random.normal(first, (3,)), pn.random.normal(second, (3,)))


@each_kind
def test_what_jax_has_under_the_same_name_is_jaxs(make):
    key, logits, a = make(3), jnp.linspace(-1, 1, 12).reshape(3, 4), jnp.arange(6.0).reshape(2, 3)
    for name, *given in (
        ("fold_in", 5),
        ("randint", (7,), -3, 300),
        ("randint", (7,), 0, 256, np.uint8),
        ("gumbel", (7,), np.float16),
        ("categorical", logits),
        ("categorical", logits, 0, (5, 4)),
        ("choice", 5, (3,), False),
        ("choice", a, (4,), True, jnp.array([0.2, 0.0, 0.8]), 1),
    ):
        found, wanted = getattr(pn.random, name)(key, *given), getattr(jax.random, name)(key, *given)
        assert found.dtype == wanted.dtype
        assert bool((found == wanted).all()), name


def test_our_key_draws_from_arrays_of_each_engine():
    logits = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    for engine in ("jax", "torch"):
        there = pn.to_engine(logits, engine)
        for draw in (
            lambda x: pn.random.categorical(pn.key(0), x, shape=(50, 3)),
            lambda x: pn.random.choice(pn.key(1), x, (7,), axis=1),
        ):
            found = draw(there)
            assert type(found) is type(there) or engine == "jax"
            assert np.array_equal(np.asarray(found), draw(logits))
    with pytest.raises(TypeError, match=FROZEN):
        jax.jit(lambda x: pn.random.categorical(pn.key(0), x))(logits)


@each_kind
def test_training_and_batches(make):
    params = pn.tree.map(jnp.asarray, noisy.init(make(0)))
    target = np.ones((4, 1), np.float32)
    (first, _), (last, _) = pn.data.batches(make(1), np.arange(4), target, size=2)
    assert sorted([*first.tolist(), *last.tolist()]) == [0, 1, 2, 3]
    ends = []
    for seed in (1, 1, 2):
        run = pn.train(noisy, pn.mse, pn.adam(), params, [(x, target)], key=make(seed), epochs=2)
        state = list(run)[-1]
        fitted = pn.fit(noisy, pn.mse, pn.adam(), params, [(x, target)], key=make(seed), epochs=2)
        agree(state.params, fitted.params, np.float32, "fit and train")
        ends.append(np.asarray(state.params[0].weight))
    assert np.array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])


@pytest.mark.parametrize("case", RANDOM, ids=lambda case: case.layer.name)
def test_what_is_drawn_under_jit_is_in_the_key_and_not_in_the_program(case):
    """One program, and each key gives what it gives without jit: a mask that was compiled in would stay the same."""
    params, keys = case.params, [jax.random.key(seed) for seed in (0, 0, 1, 2, 3)]
    run = jax.jit(lambda key: case.layer.apply(params, case.x, key))
    one, again, *others = map(run, keys)
    agree(one, again, np.float64, "the same key")
    agree(one, case.layer.apply(params, case.x, keys[0]), np.float64, "without jit")
    drawn = {b"".join(np.asarray(leaf).tobytes() for leaf in pn.tree.leaves(y)) for y in (one, *others)}
    still = case.layer.name in STILL or case.layer.name.startswith("frozen")
    assert (len(drawn) == 1) is still


@each_kind
def test_dropout_draws_anew_at_each_step_of_a_scan(make):
    def step(key, _):
        key, own = pn.random.split(key)
        return key, pn.dropout.apply((), jnp.ones(64), own)

    masks = np.asarray(jax.jit(lambda key: jax.lax.scan(step, key, None, length=20)[1])(make(0)))
    assert len({mask.tobytes() for mask in masks}) == 20
    assert abs(masks.mean() - 1) < 0.1
    rows = jax.jit(jax.vmap(lambda key: pn.dropout.apply((), jnp.ones(64), key)))(jax.random.split(make(0), 20))
    assert len({row.tobytes() for row in np.asarray(rows)}) == 20


@each_kind
def test_gradient_noise_draws_anew_in_each_step(make):
    optimizer = pn.chain(pn.gradient_noise(make(0), eta=0.5), pn.sgd(1.0))
    params = (jnp.zeros(100),)

    def step(carry, _):
        new, state = optimizer.step(params, params, carry)
        return state, new[0]

    steps = np.asarray(jax.jit(lambda s: jax.lax.scan(step, s, None, length=5)[1])(optimizer.init(params)))
    assert len({s.tobytes() for s in steps}) == 5


FROZEN = "would be drawn from once, when JAX compiles the function, and each call would get the same"


def test_our_key_in_a_compiled_function_is_an_error():
    """Closed over or made there, with an x that is traced or not, under scan and grad within jit, in a user's code."""
    key, params = pn.key(0), noisy.init(pn.key(0))
    target = np.ones((4, 1), np.float32)
    for compiled in (
        lambda: jax.jit(lambda x: noisy.apply(params, x, key))(x),
        lambda: jax.jit(lambda p: noisy.apply(p, x, pn.key(3)))(params),
        lambda: jax.jit(lambda p: pn.value_and_grad(noisy, pn.mse)(p, x, target, key))(params),
        lambda: jax.jit(jax.grad(lambda p: pn.mse.apply(noisy.apply(p, x, key), target)))(params),
        lambda: jax.lax.scan(lambda p, _: (p, noisy.apply(p, x, key)), params, None, length=2),
        lambda: jax.jit(lambda y: y + pn.dropout.apply((), x, key))(x),
        lambda: jax.jit(lambda y: y * pn.random.bernoulli(key, 0.5, y.shape))(x),
        lambda: jax.jit(lambda: noisy.init(key))(),
        lambda: jax.jit(lambda y: pn.gaussian_noise(0.1).apply((), y, pn.random.split(key)[0]))(x),
    ):
        with pytest.raises(TypeError, match=FROZEN):
            compiled()


def test_our_key_as_an_argument_of_a_traced_function_is_an_error():
    key = pn.key(7)
    state = pn.chain(pn.gradient_noise(key), pn.sgd()).init((x,))
    for traced in (
        lambda: jax.jit(lambda k: noisy.init(k))(key),
        lambda: jax.jit(lambda s: s)(state),
        lambda: jax.vmap(lambda k: k)(key),
        lambda: jax.lax.scan(lambda k, _: (k, None), key, None, length=2),
        lambda: jax.device_put(key),
        lambda: jnp.asarray(key),
    ):
        with pytest.raises(ValueError, match=r"key\(7\) of purenet cannot go into .* jax\.random\.key\(seed\)"):
            traced()


def test_our_key_works_where_nothing_is_compiled():
    """On JAX's arrays it draws the same as on NumPy; grad and vmap alone compile nothing: each call draws anew."""
    params = noisy.init(pn.key(0))
    ours = noisy.apply(params, x, pn.key(1))
    theirs = noisy.apply(pn.tree.map(jnp.asarray, params), jnp.asarray(x), pn.key(1))
    agree(ours, theirs, np.float32, "y")
    _, pullback = noisy.vjp(params, x, pn.key(1))
    grads = jax.grad(lambda p: noisy.apply(p, x, pn.key(1)).sum())(pn.tree.map(jnp.asarray, params))
    agree(pullback(np.ones_like(ours))[0], grads, np.float32, "gradients")
    one, other = (jax.vmap(lambda row, s=s: pn.dropout.apply((), row, pn.key(s)))(np.ones((2, 64))) for s in (0, 1))
    assert not np.array_equal(one, other)
    # that a key is there says training: batch norm draws nothing from it, so it may be ours
    bn = pn.batch_norm(3)
    agree(
        bn.apply(bn.init(pn.key(0)), x, pn.key(0)),
        jax.jit(lambda x: bn.apply(bn.init(pn.key(0)), x, pn.key(0)))(x),
        np.float32,
        "batch norm",
    )


def test_as_a_static_argument_our_key_compiles_anew():
    run = jax.jit(lambda key, x: x * len(repr(key)), static_argnums=0)
    assert run(pn.key(10), 1.0) == 7.0
    assert run(pn.key(1), 1.0) == 6.0


def test_what_is_no_key():
    for wrong in (0, np.zeros(2, np.uint32), None, "key"):
        with pytest.raises(TypeError, match="a random key belongs here"):
            pn.random.normal(wrong, (2,))
    with pytest.raises((TypeError, ValueError)):
        pn.random.normal(jnp.ones(3), (2,))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_the_edges_of_what_is_drawn(dtype):
    key = jax.random.key(0)
    for low, high in [(0, 1), (-1, 1), (100, 101)]:
        u = np.asarray(pn.random.uniform(key, (300_000,), low, high, dtype))
        assert u.dtype == dtype
        assert low <= u.astype(float).min() <= u.astype(float).max() < high
    for low, high in [(-2, 2), (0, np.inf), (4, 6), (9, 10), (-10, -9)]:
        z = np.asarray(pn.random.truncated_normal(key, (10_000,), low, high, dtype))
        assert z.dtype == dtype
        z, ours = z.astype(float), pn.random.truncated_normal(pn.key(0), (10_000,), low, high).astype(float)
        assert low <= z.min() <= z.max() <= high
        assert z.mean() == pytest.approx(ours.mean(), abs=0.03)
        assert z.std() == pytest.approx(ours.std(), rel=0.05, abs=0.01)
    with pytest.raises(ValueError, match="finds nothing of the normal distribution"):
        pn.random.truncated_normal(key, (2,), 14, 15, dtype)


def test_probabilities_at_their_ends():
    key, n = jax.random.key(0), 4_000_000
    assert pn.random.bernoulli(key, 1, (1000,)).all()
    assert not pn.random.bernoulli(key, 0, (1000,)).any()
    assert pn.random.bernoulli(key, 1e-9, (n,)).sum() == 0
