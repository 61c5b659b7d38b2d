"""Pytrees: nested containers of arrays, as parameters, gradients and optimizer states are.

A node is a tuple, a list, a dict, a NamedTuple or `None` (a node without children), and where JAX is loaded, what is
registered with it (`jax.tree_util.register_dataclass`); anything else is a leaf. Leaves come in JAX's order: from left
to right, a dict's by its sorted keys (an OrderedDict's in its own order).

>>> params = {"b": np.zeros(2), "a": [np.ones(3), None]}
>>> [leaf.shape for leaf in leaves(params)], size(params)
([(3,), (2,)], 5)
"""

from __future__ import annotations

import copyreg
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

from purenet.engine.arrays import (
    Array,
    as_array,
    astype,
    describe,
    describe_all,
    is_half,
    is_kind,
    is_read_only,
    namespace,
    numpys_dtype,
    seal,
    to_numpy,
)
from purenet.engine.jax import host_only, registered
from purenet.engine.moving import mover
from purenet.values import hinted, known_as

T = TypeVar("T")
_DICTS = (dict, OrderedDict)


class Structure:
    """The containers of a pytree with its leaves taken out: `flatten` gives one, `unflatten` fills one."""

    __slots__ = ("_hollow", "size")

    def __init__(self, tree: Any, size: int) -> None:
        self._hollow = map(lambda _: _LEAF, tree)
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and parting(self._hollow, other._hollow, "") is None

    def __hash__(self) -> int:
        return hash(_outlined(self._hollow))

    def __repr__(self) -> str:
        return f"Structure({self._hollow})"


def map(f: Callable[..., Any], tree: T, *rest: Any, leaf_type: type | None = None, name: str = "tree") -> T:
    """The tree with f applied to its leaves, or to the leaves that stand at one place in several trees.

    Nodes of `leaf_type` are handed to f whole. Raises ValueError where the structures part, with the path of that
    place; `name` is what the path begins with.

    >>> map(lambda a, b: a + 10 * b, (1, [2, None]), (3, [4, None]))
    (31, [42, None])
    >>> map(lambda a, b: a + b, (1, [2]), (3, [4, 5]), name="params")
    Traceback (most recent call last):
    ValueError: params[1]: a list of 1 against a list of 2
    """
    if not callable(f):
        swapped = ": they are swapped, write tree.map(f, tree)" if callable(tree) else ""
        raise TypeError(f"tree.map takes a function, then a tree, not {describe(f)} and {describe(tree)}{swapped}")
    try:
        mapped: T = _map(f, leaf_type, tree, *rest)
        return mapped
    except _PartError:
        for other in rest:
            check_same(tree, other, name, shapes=False)
        raise


def leaves(tree: Any, leaf_type: type | None = None) -> list[Any]:
    """The leaves of the tree, in order. Nodes of `leaf_type` count as leaves.

    >>> leaves({"b": 1, "a": (2, None)})
    [2, 1]
    """
    found: list[Any] = []
    _collect(tree, found, leaf_type)
    return found


def items(tree: Any, name: str = "", leaf_type: type | None = None) -> list[tuple[str, Any]]:
    """The leaves of the tree with their paths, in order. Nodes of `leaf_type` count as leaves.

    >>> items(({"w": 1}, [2]), "params")
    [("params[0]['w']", 1), ('params[1][0]', 2)]
    """
    children = None if type(tree) is leaf_type else children_of(tree)
    if children is None:
        return [(name, tree)]
    steps = zip(steps_of(tree), children, strict=True)
    return [item for step, child in steps for item in items(child, name + step, leaf_type)]


@hinted
def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves and the structure that `unflatten` puts them back into.

    >>> flatten((1, {"a": 2}))
    ([1, 2], Structure((*, {'a': *})))
    """
    found = leaves(tree)
    return found, Structure(tree, len(found))


@hinted
def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """The tree of this structure with these leaves, which come in the order of `flatten`.

    >>> unflatten(flatten((1, {"a": 2}))[1], [3, 4])
    (3, {'a': 4})
    """
    if len(leaves) != structure.size:
        raise ValueError(f"unflatten: the structure has {structure.size} leaves, but {len(leaves)} were given")
    return _fill(structure._hollow, iter(leaves))


@hinted
def ravel(tree: Any) -> tuple[Array, Callable[[Array], Any]]:
    """All leaves in one vector, and the function that takes such a vector back to the tree.

    `unravel` gives each leaf its shape and dtype again, as read-only arrays that share no memory with the vector.

    >>> vector, unravel = ravel((np.zeros((2, 2)), np.ones(1)))
    >>> vector
    array([0., 0., 0., 0., 1.])
    >>> unravel(vector + 1)[1]
    array([2.])
    """
    found, structure = flatten(map(as_array, tree))
    if not found:
        return np.zeros(0, np.float32), known_as("unravel", lambda vector: unflatten(structure, _cut(vector, [])))
    xp, *_ = [namespace(leaf, "ravel") for leaf in found]
    like = [(leaf.shape, leaf.dtype) for leaf in found]
    dtype = xp.result_type(*found)
    vector = xp.concat([astype(xp.reshape(leaf, (-1,)), dtype) for leaf in found])
    return vector, known_as("unravel", lambda vector: unflatten(structure, _cut(vector, like)))


@hinted
def size(tree: Any) -> int:
    """How many numbers the leaves hold together.

    >>> size((np.zeros((2, 3)), np.zeros(3)))
    9
    """
    return sum(math.prod(getattr(leaf, "shape", ())) for leaf in leaves(tree))


@hinted
def cast(tree: T, dtype: Any) -> T:
    """The tree with every floating-point leaf in this dtype, read-only; integers and booleans stay as they are.

    >>> cast((np.zeros(2, np.float32), np.arange(2)), np.float64)
    (array([0., 0.]), array([0, 1]))
    """

    dtype = numpys_dtype(dtype)
    _check_floating(dtype, tree)

    def convert(leaf: Any) -> Any:
        is_float = is_kind(namespace(as_array(leaf), "cast"), leaf.dtype, "real floating") or is_half(leaf.dtype)
        return seal(astype(leaf, dtype)) if is_float else leaf

    return map(convert, tree)


def _check_floating(dtype: Any, tree: Any) -> None:
    """Check that floating-point leaves can be cast to this dtype."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):
        swapped = ": they are swapped, write tree.cast(tree, dtype)" if _is_dtype(tree) else ""
        raise TypeError(f"tree.cast takes a tree, then a dtype, not {describe_all(dtype)}{swapped}") from None
    if not (is_kind(np, found, "real floating") or is_half(found)):
        raise TypeError(
            f"tree.cast takes a floating-point dtype, such as np.float64, not {found}: "
            "for other numbers, write tree.map(lambda leaf: leaf.astype(...), tree)"
        )


def _is_dtype(given: Any) -> bool:
    return isinstance(given, str | type | np.dtype) or str(given).startswith("torch.")


@hinted
def to_engine(tree: T, engine: str, device: Any = None) -> T:
    """The tree with every array in this engine, "numpy", "jax" or "torch", and with the same bits.

    Params, states and data go there and back. `device` is one of the engine's, such as "cuda:0" of PyTorch, "mps", or
    "gpu" of JAX; None is the engine's own choice. What is no array stays as it is, keys and numbers of steps too.
    Arrays of NumPy and JAX cannot be written to; tensors of PyTorch can, and nothing here does.

    Raises:
        ImportError: the engine is not installed; the message names the extra.
        ValueError: there is no such engine or device.
        TypeError: JAX is to hold float64, and is not set to.

    >>> to_engine((np.ones(2),), "numpy")
    (array([1., 1.]),)
    """
    return map(mover(engine, device), tree)


@hinted
def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """Whether two trees of one structure and equal shapes hold nearly the same numbers: |a − b| ≤ atol + rtol·|b|.

    Raises ValueError where structures or shapes differ, with the path.

    >>> allclose((np.ones(2), [1.0]), (np.ones(2), [1.0 + 1e-9]))
    True
    >>> allclose([np.ones(2)], [np.ones(3)])
    Traceback (most recent call last):
    ValueError: tree[0]: (2,) against (3,)
    """
    check_same(a, b)
    host_only("allclose", *leaves(a), *leaves(b))
    pairs = zip(leaves(a), leaves(b), strict=True)
    return all(bool(np.allclose(to_numpy(p), to_numpy(q), rtol, atol)) for p, q in pairs)


def read_only_copies(kind: type[T]) -> type[T]:
    """The NamedTuple, of whose arrays those that cannot be written to stay so where it is pickled or copied.

    NumPy forgets it, but for a pickle by protocol 5.

    >>> import copy
    >>> from typing import NamedTuple
    >>> @read_only_copies
    ... class Pair(NamedTuple):
    ...     a: Any
    ...     b: Any
    >>> pair = copy.deepcopy(Pair(seal(np.ones(2)), np.ones(2)))
    >>> pair.a.flags.writeable, pair.b.flags.writeable
    (False, True)
    """
    copyreg.pickle(kind, _reduced)
    return kind


@hinted
def check_same(a: Any, b: Any, name: str = "tree", shapes: bool = True) -> None:
    """Raise ValueError where two trees part, with the path: in structure, or in the shapes of leaves.

    >>> check_same((np.ones(2),), (np.ones(3),), "params")
    Traceback (most recent call last):
    ValueError: params[0]: (2,) against (3,)
    """
    if message := parting(a, b, name, shapes):
        raise ValueError(message)


def parting(a: Any, b: Any, name: str, shapes: bool = False) -> str | None:
    """Where two trees part, in words; None where they are alike.

    >>> parting((1, [2]), (1, (2,)), "params")
    'params[1]: a list of 1 against a tuple of 1'
    """
    ours, theirs = children_of(a), children_of(b)
    if ours is None and theirs is None:
        same = not shapes or _shape(a) == _shape(b)
        return None if same else f"{name}: {_shape(a)} against {_shape(b)}"
    if ours is None or theirs is None or type(a) is not type(b) or len(ours) != len(theirs):
        return f"{name}: {_outline(a)} against {_outline(b)}"
    if type(a) in _DICTS and _keys(a) != _keys(b):
        return f"{name}: keys {_keys(a)} against {_keys(b)}"
    if structure_of(a) != structure_of(b):
        return f"{name}: {structure_of(a)} against {structure_of(b)}"
    for step, child, other in zip(steps_of(a), ours, theirs, strict=True):
        if message := parting(child, other, name + step, shapes):
            return message
    return None


def is_node(x: Any) -> bool:
    """Whether x is a container of a pytree, and not a leaf."""
    return children_of(x) is not None


def children_of(node: Any) -> Sequence[Any] | None:
    """The children of a node, a dict's by its sorted keys; None for a leaf."""
    kind = type(node)
    if kind is np.ndarray:
        return None
    if kind is tuple or kind is list or (isinstance(node, tuple) and hasattr(kind, "_fields")):
        children: Sequence[Any] = node
        return children
    if node is None:
        return ()
    if kind in _DICTS:
        return [node[k] for k in _keys(node)]
    found = registered(node)
    return None if found is None else found.children


def structure_of(node: Any) -> Any:
    """What is the same of all nodes like this one, if it is one that only JAX knows; else None."""
    if node is None or type(node) in (tuple, list, *_DICTS) or hasattr(node, "_fields"):
        return None
    found = registered(node)
    return None if found is None else found.structure


def steps_of(node: Any) -> list[str]:
    """What leads from a node to each of its children: [0], .weight or ['name']."""
    if type(node) in _DICTS:
        return [f"[{k!r}]" for k in _keys(node)]
    if hasattr(node, "_fields"):
        return [f".{field}" for field in node._fields]
    if node is None or type(node) in (tuple, list):
        return [f"[{i}]" for i in range(len(node or ()))]
    found = registered(node)
    return [] if found is None else found.steps


class _PartError(ValueError):
    """Two structures part; the path is looked up only then."""


class _Leaf:
    def __repr__(self) -> str:
        return "*"


_LEAF = _Leaf()


def _keys(node: Any) -> list[Hashable]:
    return sorted(node) if type(node) is dict else list(node)


def _reduced(node: Any) -> tuple[Any, ...]:
    return _made_again, (type(node), tuple(node), [is_read_only(leaf) for leaf in leaves(node)])


def _made_again(kind: Any, children: tuple[Any, ...], are_read_only: list[bool]) -> Any:
    node = read_only_copies(kind)(*children)
    for leaf, is_one in zip(leaves(node), are_read_only, strict=True):
        if is_one:
            seal(leaf)
    return node


def _outlined(node: Any) -> Hashable:
    """What is the same of equal structures: the type of each node, and a dict's keys in the order of its leaves."""
    children = children_of(node)
    if children is None:
        return None
    return type(node), *(_keys(node) if type(node) in _DICTS else ()), *[_outlined(child) for child in children]


def _rebuild(node: Any, children: list[Any]) -> Any:
    """A node like this one with other children."""
    kind = type(node)
    if kind is tuple:
        return tuple(children)
    if kind is list:
        return children
    if node is None:
        return None
    if type(node) in _DICTS:
        by_key = dict(zip(_keys(node), children, strict=True))
        return kind((k, by_key[k]) for k in node)
    structure = structure_of(node)
    return kind(*children) if structure is None else structure.unflatten(children)


def _map(f: Callable[..., Any], leaf_type: type | None, node: Any, *rest: Any) -> Any:
    if type(node) is leaf_type:
        return f(node, *rest)
    children = children_of(node)
    if children is None:
        if any(children_of(other) is not None for other in rest):
            raise _PartError
        return f(node, *rest)
    columns = [_children_like(node, other) for other in rest]
    return _rebuild(node, [_map(f, leaf_type, *group) for group in zip(children, *columns, strict=True)])


def _children_like(node: Any, other: Any) -> Sequence[Any]:
    """The children of a node that must be like another one."""
    if type(node) is not type(other) or structure_of(node) != structure_of(other):
        raise _PartError
    ours, theirs = children_of(node) or (), children_of(other) or ()
    if len(ours) != len(theirs) or (type(node) in _DICTS and _keys(node) != _keys(other)):
        raise _PartError
    return theirs


def _collect(node: Any, found: list[Any], leaf_type: type | None) -> None:
    children = None if type(node) is leaf_type else children_of(node)
    if children is None:
        found.append(node)
        return
    for child in children:
        if type(child) is np.ndarray:
            found.append(child)
        else:
            _collect(child, found, leaf_type)


def _fill(node: Any, supply: Any) -> Any:
    children = children_of(node)
    return next(supply) if children is None else _rebuild(node, [_fill(child, supply) for child in children])


def _cut(vector: Any, like: list[tuple[Any, Any]]) -> list[Any]:
    """The vector in pieces of these shapes and dtypes."""
    xp = namespace(vector, "unravel")
    sizes = [math.prod(shape) for shape, _ in like]
    if vector.shape != (sum(sizes),):
        raise ValueError(f"unravel takes a vector of shape ({sum(sizes)},), not {tuple(vector.shape)}")
    pieces, start = [], 0
    for (shape, dtype), n in zip(like, sizes, strict=True):
        piece = astype(xp.reshape(vector[start : start + n], shape), dtype)
        pieces.append(seal(piece))
        start += n
    return pieces


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(leaf.shape) if hasattr(leaf, "shape") else np.shape(leaf)


def _outline(node: Any) -> str:
    """One node in a few words: a tuple of 2, DenseParams(weight, bias), a float32 array of shape (3,)."""
    if node is None or children_of(node) is None:
        return describe(node)
    if hasattr(node, "_fields"):
        return f"{type(node).__name__}({', '.join(node._fields)})"
    return f"{describe(node)} of {len(children_of(node) or ())}"
