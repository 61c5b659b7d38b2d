"""Properties that hold for every input, searched for counterexamples by Hypothesis."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import purenet as pn
from tests.test_layout import Pair

settings.register_profile("oracles", deadline=None, derandomize=True, max_examples=200, database=None)
settings.load_profile("oracles")

names = st.text("abcdefgh", min_size=1, max_size=3)
dtypes = st.sampled_from([np.float32, np.float64])


def finite(dtype, largest=1e4):
    return st.floats(-largest, largest, width=np.dtype(dtype).itemsize * 8)


def tensors(dtype, largest=1e4, **shape):
    return arrays(dtype, array_shapes(**{"max_dims": 3, "max_side": 5, **shape}), elements=finite(dtype, largest))


def containers(children):
    return st.one_of(
        st.lists(children, max_size=3),
        st.lists(children, max_size=3).map(tuple),
        st.dictionaries(names, children, max_size=3),
        st.dictionaries(names, children, max_size=3).map(OrderedDict),
        st.builds(Pair, children, children),
    )


trees = st.recursive(st.none() | dtypes.flatmap(lambda dtype: tensors(dtype, min_dims=0)), containers, max_leaves=8)
keys = st.integers(0, 2**128 - 1).map(pn.key)


def bits(tree):
    return [(path, leaf.shape, leaf.dtype, leaf.tobytes()) for path, leaf in pn.tree.items(tree)]


# trees


@given(trees)
def test_flatten_and_unflatten_are_inverse(tree):
    leaves, structure = pn.tree.flatten(tree)
    again = pn.tree.unflatten(structure, leaves)
    assert bits(again) == bits(tree)
    assert pn.tree.flatten(again)[1] == structure
    assert hash(pn.tree.flatten(again)[1]) == hash(structure)


@given(trees)
def test_map_keeps_the_structure_and_composes(tree):
    def f(x):
        return x + 1

    def g(x):
        return x * 2

    assert bits(pn.tree.map(lambda x: x, tree)) == bits(tree)
    assert bits(pn.tree.map(lambda x: g(f(x)), tree)) == bits(pn.tree.map(g, pn.tree.map(f, tree)))
    assert pn.tree.flatten(pn.tree.map(f, tree))[1] == pn.tree.flatten(tree)[1]


@given(trees)
def test_map_over_several_trees_is_map_over_their_leaves(tree):
    others = [pn.tree.map(lambda x, n=n: x + n, tree) for n in (1, 2)]
    for rest in (others[:1], others):
        together = pn.tree.leaves(pn.tree.map(lambda *leaves: np.stack(leaves), tree, *rest))
        columns = zip(*map(pn.tree.leaves, (tree, *rest)), strict=True)
        assert bits(together) == bits([np.stack(leaves) for leaves in columns])


@given(trees)
def test_ravel_and_unravel_are_inverse(tree):
    vector, unravel = pn.tree.ravel(tree)
    assert vector.shape == (pn.tree.size(tree),)
    assert bits(unravel(vector)) == bits(tree)
    moved = pn.tree.ravel(unravel(vector + 1))[0]
    np.testing.assert_allclose(moved, vector + 1, rtol=1e-6)
    assert not any(leaf.flags.writeable for leaf in pn.tree.leaves(unravel(vector)))


@given(trees, st.data())
def test_another_structure_is_an_error_that_names_a_path(tree, data):
    wrong = data.draw(st.sampled_from([(tree,), [tree, None], {"x": tree}, Pair(tree, tree)]))
    with pytest.raises(ValueError, match="against"):
        pn.tree.check_same(tree, wrong)


# keys


@given(keys, st.integers(0, 40))
def test_split_gives_keys_that_are_all_different(key, n):
    children = pn.split(key, n)
    assert len({key, *children}) == n + 1
    assert children == pn.split(key, n + 3)[:n]


def test_split_never_repeats_over_three_generations():
    seen, generation = set(), [pn.key(seed) for seed in range(200)]
    for _ in range(3):
        seen.update(generation)
        generation = [child for key in generation for child in pn.split(key, 7)]
    seen.update(generation)
    assert len(seen) == 200 * (1 + 7 + 49 + 343)


@given(keys, array_shapes(max_side=5), dtypes)
def test_samplers_keep_their_promises(key, shape, dtype):
    u = pn.random.uniform(key, shape, -2.0, 3.0, dtype)
    assert (u.shape, u.dtype) == (shape, dtype)
    assert ((u >= -2) & (u < 3)).all()
    assert np.isfinite(pn.random.normal(key, shape, dtype)).all()
    assert (np.abs(pn.random.truncated_normal(key, shape, dtype=dtype)) <= 2).all()
    assert not pn.random.bernoulli(key, 0.0, shape).any()
    assert pn.random.bernoulli(key, 1.0, shape).all()
    n = len(u)
    assert sorted(pn.random.permutation(key, n).tolist()) == list(range(n))
    assert pn.random.uniform(key, shape, -2.0, 3.0, dtype).tobytes() == u.tobytes()


# activations


@given(dtypes.flatmap(tensors))
def test_softmax_sums_to_one_and_log_softmax_is_its_logarithm(x):
    y = pn.softmax.apply((), x)
    eps = np.finfo(x.dtype).eps
    assert (y >= 0).all()
    np.testing.assert_allclose(y.sum(-1), 1, rtol=8 * eps)
    np.testing.assert_allclose(np.exp(pn.log_softmax.apply((), x)), y, rtol=1e5 * eps, atol=2 * eps)


@given(dtypes.flatmap(lambda dtype: st.tuples(tensors(dtype, 100).map(np.rint), st.integers(-100, 100))))
def test_softmax_is_shift_invariant(drawn):
    x, shift = drawn
    for layer in (pn.softmax, pn.log_softmax):
        assert layer.apply((), x + shift).tobytes() == layer.apply((), x).tobytes()


@given(dtypes.flatmap(tensors))
def test_a_shift_of_the_logits_costs_nothing_so_the_gradient_sums_to_zero(x):
    dy = np.cos(np.arange(x.size, dtype=x.dtype)).reshape(x.shape)
    for layer in (pn.softmax, pn.log_softmax):
        _, pullback = layer.vjp((), x)
        np.testing.assert_allclose(pullback(dy)[1].sum(-1), 0, atol=32 * np.finfo(x.dtype).eps)


@given(dtypes.flatmap(tensors))
def test_identities_between_activations(x):
    y = {name: getattr(pn, name).apply((), x) for name in ("sigmoid", "tanh", "softplus", "log_sigmoid", "silu")}
    eps = np.finfo(x.dtype).eps
    tight = {"rtol": 8 * eps, "atol": 8 * eps}
    np.testing.assert_allclose(y["sigmoid"] + pn.sigmoid.apply((), -x), 1, **tight)
    np.testing.assert_allclose(y["softplus"] - pn.softplus.apply((), -x), x, **tight)
    np.testing.assert_allclose(y["log_sigmoid"], -pn.softplus.apply((), -x), **tight)
    np.testing.assert_allclose(y["tanh"], 2 * pn.sigmoid.apply((), 2 * x) - 1, **tight)
    np.testing.assert_allclose(y["silu"], x * y["sigmoid"], **tight)
    np.testing.assert_allclose(pn.gelu.apply((), x) - pn.gelu.apply((), -x), x, **tight)
    np.testing.assert_array_equal(pn.relu.apply((), x) - pn.relu.apply((), -x), x)
    np.testing.assert_array_equal(pn.elu.apply((), x), pn.celu.apply((), x))
    np.testing.assert_allclose(pn.hard_swish.apply((), x), x * pn.hard_sigmoid.apply((), x), **tight)


BOUNDED = {"sigmoid": (0, 1), "tanh": (-1, 1), "softsign": (-1, 1), "relu6": (0, 6), "hard_tanh": (-1, 1)}
BOUNDED |= {"hard_sigmoid": (0, 1), "softmax": (0, 1), "relu": (0, np.inf), "softplus": (0, np.inf)}
BOUNDED |= {"log_sigmoid": (-np.inf, 0), "log_softmax": (-np.inf, 0), "elu": (-1, np.inf), "selu": (-1.7580995, np.inf)}
BOUNDED |= {"silu": (-0.2784646, np.inf), "mish": (-0.3088431, np.inf), "gelu": (-0.1699713, np.inf)}


@pytest.mark.parametrize("name", sorted(BOUNDED))
@given(x=dtypes.flatmap(lambda dtype: tensors(dtype, 2.0**120)))
def test_bounds(name, x):
    low, high = BOUNDED[name]
    y = getattr(pn, name).apply((), x)
    assert ((y >= low) & (y <= high)).all()


# losses


def pairs(y_elements, target_elements):
    shape = array_shapes(min_dims=2, max_dims=3, max_side=5)
    return st.tuples(shape, dtypes).flatmap(
        lambda drawn: st.tuples(
            arrays(drawn[1], drawn[0], elements=y_elements), arrays(drawn[1], drawn[0], elements=target_elements)
        )
    )


number, unit = finite(np.float32), st.floats(0, 1, width=32)


@given(pairs(number, number))
def test_distances_are_positive_and_symmetric_and_zero_at_the_target(pair):
    y, target = pair
    for loss in (pn.mse, pn.sse, pn.mae, pn.huber, pn.huber(0.3)):
        E = loss.apply(y, target)
        assert E >= 0
        assert loss.apply(target, y) == E
        E, pullback = loss.vjp(y, y.copy())
        assert E == 0
        assert not pullback().any()


@given(pairs(unit, unit))
def test_binary_cross_entropy_is_positive(pair):
    y, target = pair
    E, pullback = pn.binary_cross_entropy.vjp(y, target)
    assert E >= 0
    assert np.isfinite(E)
    assert np.isfinite(pullback()).all()


@given(pairs(number, unit))
def test_binary_cross_entropy_with_logits_is_positive_and_symmetric(pair):
    y, target = pair
    loss = pn.binary_cross_entropy_with_logits
    E, pullback = loss.vjp(y, np.rint(target))
    assert E >= 0
    mirrored, mirrored_pullback = loss.vjp(-y, 1 - np.rint(target))
    np.testing.assert_allclose(mirrored, E, rtol=1e-6)
    np.testing.assert_allclose(mirrored_pullback(), -pullback(), rtol=1e-6, atol=1e-12)


@given(pairs(number, unit), st.floats(0, 0.9))
def test_softmax_cross_entropy_is_positive_and_its_gradient_sums_to_zero(pair, smoothing):
    y, target = pair
    loss = pn.softmax_cross_entropy(label_smoothing=smoothing)
    for given_target in (target, np.argmax(target, axis=-1)):
        E, pullback = loss.vjp(y, given_target)
        assert E >= 0
        dy = pullback()
        np.testing.assert_allclose(dy.sum(-1), 0, atol=1e-5)
        if given_target.ndim == y.ndim - 1:
            one_hot = np.eye(y.shape[-1], dtype=y.dtype)[given_target]
            assert (E, dy.tobytes()) == (loss.apply(y, one_hot), loss.vjp(y, one_hot)[1]().tobytes())


@given(pairs(number, number))
def test_kl_divergence_is_positive_and_zero_from_a_distribution_to_itself(pair):
    log_p, log_q = (pn.log_softmax.apply((), x / 1000) for x in pair)
    assert pn.kl_divergence.apply(log_p, np.exp(log_q)) >= -1e-5
    assert abs(pn.kl_divergence.apply(log_p, np.exp(log_p))) <= 1e-5


@given(pairs(number, number))
def test_hinge_is_positive_and_zero_beyond_the_margin(pair):
    y, target = pair
    sign = np.where(target < 0, -1, 1).astype(y.dtype)
    assert pn.hinge.apply(y, sign) >= 0
    assert pn.hinge.apply(sign * (1 + np.abs(y)), sign) == 0


@given(pairs(unit.map(lambda u: np.float32(0.01 + 0.98 * u).item()), unit), st.floats(-3, 3))
def test_the_mean_is_the_sum_shared_out_and_the_gradient_scales(pair, dE):
    y, target = pair
    labels = np.argmax(target, axis=-1)
    rows = y[..., 0].size
    for loss, t, count in [
        *((loss, target, y.size) for loss in (pn.mse, pn.mae, pn.huber, pn.binary_cross_entropy)),
        (pn.softmax_cross_entropy, labels, rows),
        (pn.nll, labels, rows),
        (pn.kl_divergence, target, rows),
    ]:
        mean, mean_pull = loss.vjp(y, t)
        total, total_pull = loss(reduction="sum").vjp(y, t)
        np.testing.assert_allclose(mean * count, total, rtol=1e-5)
        np.testing.assert_allclose(mean_pull(dE) * count, dE * total_pull(), rtol=1e-4, atol=1e-6)
