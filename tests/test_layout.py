"""Layouts: the code that is made for a tree does what a walk over it does, and refuses every other tree."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest

import purenet as pn
from purenet import tree
from purenet.tree.layout import DEEPEST, MOST_NODES, Layout, fitting, splitter


class Pair(NamedTuple):
    left: object
    right: object


def random_tree(rng, depth=4):
    """A tree of any containers, with arrays of several shapes, numbers, buffers and empty containers."""
    kind = rng.integers(0, 11 if depth else 4)
    if kind < 2:
        return rng.normal(size=tuple(rng.integers(0, 4, rng.integers(0, 3)))).astype(rng.choice(["f4", "f8"]))
    if kind == 2:
        return pn.Buffer((np.ones(2), [3.0]))
    if kind == 3:
        return (None, 0.5)[rng.integers(0, 2)]
    children = [random_tree(rng, depth - 1) for _ in range(rng.integers(0, 4))]
    names = [(str(n), int(n), n % 2 == 0)[rng.integers(0, 2)] for n in rng.permutation(len(children))]
    names = list(map(str, names)) if rng.integers(0, 2) or len(set(map(type, names))) > 1 else names
    match kind:
        case 4 | 5:
            return tuple(children)
        case 6 | 7:
            return children
        case 8:
            return dict(zip(names, children, strict=True))
        case 9:
            return OrderedDict(zip(names, children, strict=True))
        case _:
            return Pair(random_tree(rng, depth - 1), random_tree(rng, depth - 1))


def nested(depth):
    deep = np.ones(2)
    for _ in range(depth):
        deep = [deep]
    return deep


LARGE = {  # of these no code is made
    "deep": (nested(DEEPEST + 5), {"b": pn.Buffer(np.ones(1)), "a": 2.0}),
    "wide": (*(np.full(1 + i % 3, i, np.float32) for i in range(MOST_NODES)), pn.Buffer(3), None, Pair(1, {"z": 2})),
}
TREES = [random_tree(np.random.default_rng(seed)) for seed in range(300)] + list(LARGE.values())
trees = pytest.mark.parametrize("example", TREES, ids=range(len(TREES)))


def order_of_keys(node):
    """All keys of a tree, with their types, in the order in which they stand."""
    if isinstance(node, dict):
        return [(type(key), key, order_of_keys(child)) for key, child in node.items()]
    children = tree.children_of(node)
    return [order_of_keys(child) for child in children] if children else []


def is_same(a, b):
    return tree.parting(a, b, "") is None and [*map(id, tree.leaves(a))] == [*map(id, tree.leaves(b))]


def test_which_trees_are_large():
    assert all(Layout.of(example).source == "" for example in LARGE.values())
    assert all(Layout.of(example).source != "" for example in TREES[: -len(LARGE)])
    assert Layout.of(nested(DEEPEST - 1)).source != ""
    assert Layout.of((1,) * (MOST_NODES - 1)).source != ""  # of a node and its leaves
    assert Layout.of((1,) * MOST_NODES).source == ""


@trees
def test_leaves_and_buffers_are_those_of_a_walk(example):
    layout, walked = Layout.of(example, pn.Buffer), tree.leaves(example, pn.Buffer)
    found = layout.leaves(example)
    assert [*map(id, found)] == [id(leaf) for leaf in walked if type(leaf) is not pn.Buffer]
    held = layout.held(example) if layout.held else []
    assert [*map(id, held)] == [id(leaf) for leaf in walked if type(leaf) is pn.Buffer]
    assert [*map(id, Layout.of(example).leaves(example))] == [*map(id, tree.leaves(example))]


@trees
def test_fill_gives_the_tree_back(example):
    layout = Layout.of(example, pn.Buffer)
    held = layout.held(example) if layout.held else ()
    back = layout.fill(layout.leaves(example), held)
    assert is_same(back, example)
    assert order_of_keys(back) == order_of_keys(example)
    other = tree.map(lambda leaf: object(), example, leaf_type=pn.Buffer)
    leaves = [
        leaf
        for p, leaf in zip(tree.leaves(example, pn.Buffer), tree.leaves(other), strict=True)
        if type(p) is not pn.Buffer
    ]
    filled = layout.fill(leaves, held)
    assert [*map(id, layout.leaves(filled))] == [*map(id, leaves)]
    if leaves:
        with pytest.raises(ValueError, match=r"too many values|as many leaves"):
            layout.fill([*leaves, 1], held)


@trees
def test_the_layout_of_slots_has_nothing_for_a_buffer(example):
    layout = Layout.of(example, pn.Buffer)
    without = tree.map(lambda x: () if type(x) is pn.Buffer else x, example, leaf_type=pn.Buffer)
    bare = layout.bare or layout
    assert [*map(id, bare.leaves(without))] == [*map(id, layout.leaves(example))]
    assert is_same(bare.fill(bare.leaves(without), ()), without)
    assert bare.held is None


def test_a_tree_fits_only_its_own_layout():
    """Of all pairs, those are taken that a walk finds alike; but a dict with its keys in another order is not."""
    refused = 0
    for a in TREES[:120]:
        layout, fits = Layout.of(a), fitting(a)
        only_arrays = all(type(leaf) is np.ndarray for leaf in tree.leaves(a))
        for b in TREES:
            alike = tree.parting(a, b, "") is None and order_of_keys(a) == order_of_keys(b)
            assert (layout.leaves(b) is not None) == alike
            kinds = [[(np.shape(x), str(getattr(x, "dtype", ""))) for x in tree.leaves(t)] for t in (a, b)]
            assert fits(b) == (alike and only_arrays and kinds[0] == kinds[1])
            if alike and all(hasattr(leaf, "shape") for leaf in tree.leaves(b)):
                found = layout.match(b, tree.leaves(a)) if only_arrays else None
                assert (found is not None) == (only_arrays and [k[0] for k in kinds[0]] == [k[0] for k in kinds[1]])
            refused += not alike
    assert refused > 10_000


ARRAYS = ({"w": np.ones((2, 3), np.float32), "b": [np.ones(3, np.float32)]}, Pair(np.ones(1), None), ())
OTHERS = {
    "another length": lambda t: (*t, ()),
    "a list for a tuple": lambda t: [*t],
    "a tuple for a named one": lambda t: (t[0], tuple(t[1]), ()),
    "a named tuple that lacks one": lambda t: (t[0], tuple.__new__(Pair, (t[1].left,)), ()),
    "a leaf for a node": lambda t: (t[0], Pair(t[1].left, 1), ()),
    "a node for a leaf": lambda t: (t[0], Pair((t[1].left,), None), ()),
    "None for a leaf": lambda t: (t[0], Pair(None, None), ()),
    "a buffer for a leaf": lambda t: (t[0], Pair(pn.Buffer(t[1].left), None), ()),
    "another key": lambda t: ({"w": t[0]["w"], "c": t[0]["b"]}, *t[1:]),
    "a key more": lambda t: ({**t[0], "c": t[0]["b"]}, *t[1:]),
    "keys in another order": lambda t: (dict(reversed(t[0].items())), *t[1:]),
    "an ordered dict": lambda t: (OrderedDict(t[0]), *t[1:]),
    "something in what was empty": lambda t: (*t[:2], (1,)),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("large", [False, True])
def test_other_trees_are_refused(name, large):
    def whole(part):
        return (nested(DEEPEST), part) if large else part

    other = whole(OTHERS[name](ARRAYS))
    layout = Layout.of(whole(ARRAYS), pn.Buffer)
    assert layout.leaves(other) is None
    assert layout.match(other, layout.leaves(whole(ARRAYS))) is None
    assert not fitting(whole(ARRAYS))(other)


@pytest.mark.parametrize("large", [False, True])
def test_shapes_and_dtypes_that_fit(large):
    def whole(w, b=None):
        return ({"w": w, "b": np.ones(3) if b is None else b}, nested(DEEPEST) if large else ())

    example = whole(np.ones((2, 3), np.float32))
    fits, layout = fitting(example), Layout.of(example)
    like = layout.leaves(example)
    assert fits(whole(np.zeros((2, 3), np.float32)))
    for w in (np.ones((2, 3)), np.ones((3, 2), np.float32), np.ones(3, np.float32), np.float32(1), 1.0, None):
        assert not fits(whole(w))
    assert not fits(whole(np.ones((2, 3), np.float32), np.ones(4)))
    assert not fitting(whole(1.0))(whole(1.0))  # arrays of NumPy alone
    assert layout.match(whole(np.zeros((2, 3))), like) is not None
    assert layout.match(whole(np.zeros((3, 2))), like) is None


@trees
def test_new_arrays_take_the_dtype_of_the_old_ones_and_are_read_only(example):
    example = tree.map(lambda x: x if type(x) is pn.Buffer else np.asarray(x), example, leaf_type=pn.Buffer)
    layout = Layout.of(example, pn.Buffer)
    old, held = layout.leaves(example), layout.held(example) if layout.held else ()
    for dtype in (np.float32, np.float64):
        new = [np.add(p, 1, dtype=dtype) for p in old]  # a scalar where there are no axes
        renewed = layout.renew(new, old, held)
        for p, n, given in zip(old, layout.leaves(renewed), new, strict=True):
            assert type(n) is np.ndarray
            assert (n.shape, n.dtype, n.flags.writeable) == (p.shape, p.dtype, False)
            np.testing.assert_array_equal(n, given.astype(p.dtype))
        assert not layout.held or [*map(id, layout.held(renewed))] == [*map(id, held)]
    for i, p in enumerate(old):
        with pytest.raises(ValueError, match="changed a shape"):
            layout.renew([*old[:i], np.ones((*p.shape, 2)), *old[i + 1 :]], old, held)


def test_keys_that_are_equal_but_of_another_type_are_others():
    one, true = Layout.of({1: 0.5}), Layout.of({True: 0.5})
    assert one.leaves({True: 0.5}) is None
    assert [*one.fill([2.0], ())] == [1]
    assert [*map(type, true.fill([2.0], ()))] == [bool]


def test_what_comes_from_outside_is_never_part_of_the_code():
    evil = "'] = 1\nraise SystemExit #"
    kind = type("tuple)\n  raise SystemExit", (Pair,), {})
    example = {evil: kind(1, ({evil: 2},)), "__import__('os')": 3}
    layout = Layout.of(example)
    assert is_same(layout.fill(layout.leaves(example), ()), example)
    code = layout.source[layout.source.index("\ndef leaves") :]
    assert "SystemExit" not in code
    assert "import" not in code


def test_a_layout_is_made_once():
    assert Layout.of(({"a": 1}, [2])).leaves is Layout.of(({"a": 3.5}, [np.ones(2)])).leaves
    assert Layout.of(({"a": 1}, [2])).leaves is not Layout.of(({"a": 1}, (2,))).leaves


def test_trees_are_split_by_their_own_layout_whichever_came_before():
    split = splitter(pn.Buffer)
    for _ in range(3):
        for example in TREES[:30]:
            layout, leaves = split(example)
            assert is_same(layout.fill(leaves, layout.held(example) if layout.held else ()), example)
            assert order_of_keys(layout.fill(leaves, layout.held(example) if layout.held else ())) == order_of_keys(
                example
            )
