from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest

import purenet as pn
from purenet import tree


class Pair(NamedTuple):
    left: object
    right: object


TREE = {"b": (1, [2, None]), "a": Pair(3, {"z": 4, "y": 5}), "c": None, "d": OrderedDict(z=6, y=7), "e": ()}


def test_leaves_come_in_the_order_of_sorted_keys():
    assert tree.leaves(TREE) == [3, 5, 4, 1, 2, 6, 7]


def test_items_name_the_place_of_each_leaf():
    assert [path for path, _ in tree.items(TREE, "p")] == [
        "p['a'].left",
        "p['a'].right['y']",
        "p['a'].right['z']",
        "p['b'][0]",
        "p['b'][1][0]",
        "p['d']['z']",
        "p['d']['y']",
    ]


def test_map_keeps_containers_and_the_order_of_keys():
    doubled = tree.map(lambda leaf: 2 * leaf, TREE)
    assert doubled == {
        "b": (2, [4, None]),
        "a": Pair(6, {"z": 8, "y": 10}),
        "c": None,
        "d": OrderedDict(z=12, y=14),
        "e": (),
    }
    assert list(doubled) == list(TREE)
    assert type(doubled["a"]) is Pair
    assert type(doubled["d"]) is OrderedDict


def test_map_over_several_trees():
    assert tree.map(lambda a, b, c: a + b + c, (1, [2]), (10, [20]), (100, [200])) == (111, [222])
    assert tree.map(lambda a, b: a + b, (1, [2], {"k": 3}), (10, [20], {"k": 30})) == (11, [22], {"k": 33})


def test_a_leaf_type_is_handed_over_whole():
    assert tree.map(lambda node: type(node).__name__, (1, pn.Buffer(2)), leaf_type=pn.Buffer) == ("int", "Buffer")
    assert tree.items((pn.Buffer(2),), leaf_type=pn.Buffer) == [("[0]", pn.Buffer(2))]


def test_unflatten_takes_back_what_flatten_gives():
    leaves, structure = tree.flatten(TREE)
    assert tree.unflatten(structure, leaves) == TREE
    assert structure == tree.flatten(tree.map(str, TREE))[1]
    assert structure != tree.flatten((1, 2))[1]
    assert hash(structure) == hash(tree.flatten(TREE)[1])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"w": (1, 2)}, r"p: keys \['v'\] against \['w'\]"),
        ({"v": [1, 2]}, r"p\['v'\]: a tuple of 2 against a list of 2"),
        ({"v": (1,)}, r"p\['v'\]: a tuple of 2 against a tuple of 1"),
        ({"v": (1, None)}, r"p\['v'\]\[1\]: an int against None"),
        ({"v": (1, Pair(1, 2))}, r"p\['v'\]\[1\]: an int against Pair\(left, right\)"),
        ([], "p: a dict of 1 against a list of 0"),
    ],
)
def test_where_two_trees_part(other, message):
    with pytest.raises(ValueError, match=message):
        tree.map(lambda a, b: a, {"v": (1, 2)}, other, name="p")


def test_ravel_restores_shapes_and_dtypes_and_shares_nothing():
    given = (np.arange(6, dtype=np.float32).reshape(2, 3), [np.array(7.0)], np.array([1, 2]))
    vector, unravel = tree.ravel(given)
    assert vector.dtype == np.float64
    np.testing.assert_array_equal(vector, [0, 1, 2, 3, 4, 5, 7, 1, 2])
    back = unravel(vector)
    assert tree.allclose(back, given, rtol=0, atol=0)
    assert [leaf.dtype for leaf in tree.leaves(back)] == [leaf.dtype for leaf in tree.leaves(given)]
    vector[:] = -1
    assert tree.allclose(back, given, rtol=0, atol=0)
    assert not any(leaf.flags.writeable for leaf in tree.leaves(back))


def test_ravel_of_nothing():
    vector, unravel = tree.ravel(((), None))
    assert vector.shape == (0,)
    assert unravel(vector) == ((), None)


def test_allclose():
    assert tree.allclose((1.0, [2.0]), (1.0 + 1e-9, [2.0]))
    assert not tree.allclose((1.0, [2.0]), (1.1, [2.0]))
    with pytest.raises(ValueError, match="keys"):
        tree.allclose({"a": 1}, {"b": 1})


def test_size_counts_numbers():
    assert tree.size((np.zeros((2, 3)), {"a": np.zeros(()), "b": 3}, None)) == 8


def test_cast_leaves_integers_alone_and_freezes():
    cast = tree.cast({"w": np.ones(2, np.float32), "n": np.arange(2)}, np.float64)
    assert (cast["w"].dtype, cast["n"].dtype) == (np.float64, np.arange(2).dtype)
    assert not cast["w"].flags.writeable
