"""purenet.tree against jax.tree_util: the same leaves in the same order, the same structure, the same vector."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import purenet as pn
from tests.test_layout import random_tree

trees = pytest.mark.parametrize("tree", [random_tree(np.random.default_rng(seed)) for seed in range(200)])


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@trees
def test_leaves_in_order(tree):
    theirs, _ = jax.tree_util.tree_flatten(tree)
    assert [id(leaf) for leaf in pn.tree.leaves(tree)] == [id(leaf) for leaf in theirs]


@trees
def test_unflatten_and_map(tree):
    leaves, structure = pn.tree.flatten(tree)
    _, treedef = jax.tree_util.tree_flatten(tree)
    numbers = list(range(len(leaves)))
    ours = pn.tree.unflatten(structure, numbers)
    assert jax.tree_util.tree_structure(ours) == treedef
    assert ours == jax.tree_util.tree_unflatten(treedef, numbers)
    doubled = pn.tree.map(lambda n: 2 * n, ours)
    assert doubled == jax.tree_util.tree_map(lambda n: 2 * n, ours)
    added = pn.tree.map(lambda a, b, c: (a, b, c), ours, doubled, ours)
    assert added == jax.tree_util.tree_map(lambda a, b, c: (a, b, c), ours, doubled, ours)


def test_structures_are_equal_where_jax_says_so():
    hollow = [pn.tree.map(lambda _: 0, random_tree(np.random.default_rng(seed), depth=2)) for seed in range(60)]
    ours = [pn.tree.flatten(tree)[1] for tree in hollow]
    theirs = [jax.tree_util.tree_structure(tree) for tree in hollow]
    for i in range(len(hollow)):
        assert [ours[i] == other for other in ours] == [theirs[i] == other for other in theirs]


@trees
def test_paths(tree):
    theirs = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    assert [path for path, _ in pn.tree.items(tree)] == theirs


@trees
def test_ravel(tree):
    tree = pn.tree.map(np.asarray, tree)
    vector, unravel = pn.tree.ravel(tree)
    if not pn.tree.leaves(tree):
        assert vector.shape == ravel_pytree(tree)[0].shape == (0,)
        return
    theirs, their_unravel = ravel_pytree(tree)
    np.testing.assert_array_equal(vector, theirs, strict=True)
    moved = vector * 2 + 1
    same(pn.tree.leaves(unravel(moved)), jax.tree_util.tree_leaves(their_unravel(moved)))
    assert pn.tree.size(tree) == theirs.size
