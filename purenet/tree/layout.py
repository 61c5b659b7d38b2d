"""How a tree is laid out, compiled once: straight lines of code that take such a tree apart and put it together.

A walk asks each node what it is. The code of a layout only looks whether all is where it was in the tree that the
layout was made from, in a fraction of the time: of a small net, walks cost as much as the arithmetic.

>>> layout = Layout.of((1, {"w": 2}))
>>> layout.leaves((10, {"w": 20})), layout.leaves((10, 20))
([10, 20], None)
>>> layout.fill([3, 4], held=[])
(3, {'w': 4})
>>> print(layout.source)
keys0 = ['w']
types0 = [<class 'str'>]
<BLANKLINE>
def leaves(tree):
    if type(tree) is not tuple or len(tree) != 2: return None
    leaf0, node1 = tree
    if type(leaf0) is not ndarray and is_node(leaf0): return None
    if type(node1) is not dict or [*node1] != keys0 or [*map(type, node1)] != types0: return None
    leaf1, = node1.values()
    if type(leaf1) is not ndarray and is_node(leaf1): return None
    return [leaf0, leaf1]
<BLANKLINE>
def match(tree, like):
    (old0, old1) = like
    if type(tree) is not tuple or len(tree) != 2: return None
    leaf0, node1 = tree
    if type(leaf0) is not ndarray and is_node(leaf0) or leaf0.shape != old0.shape: return None
    if type(node1) is not dict or [*node1] != keys0 or [*map(type, node1)] != types0: return None
    leaf1, = node1.values()
    if type(leaf1) is not ndarray and is_node(leaf1) or leaf1.shape != old1.shape: return None
    return [leaf0, leaf1]
<BLANKLINE>
def fill(leaves, held):
    (leaf0, leaf1) = leaves
    node1 = dict(zip(keys0, (leaf1,)))
    tree = (leaf0, node1)
    return tree
<BLANKLINE>
def renew(new, old, held):
    (leaf0, leaf1) = new
    (old0, old1) = old
    if type(leaf0) is ndarray and leaf0.dtype is old0.dtype and leaf0.shape == old0.shape: set_writeable(leaf0, False)
    else: leaf0 = conform(leaf0, old0)
    if type(leaf1) is ndarray and leaf1.dtype is old1.dtype and leaf1.shape == old1.shape: set_writeable(leaf1, False)
    else: leaf1 = conform(leaf1, old1)
    node1 = dict(zip(keys0, (leaf1,)))
    tree = (leaf0, node1)
    return tree
<BLANKLINE>
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from numpy import ndarray

from purenet import tree
from purenet.engine.arrays import Array, conform, kind_of

Tree: TypeAlias = Any
MOST_NODES, DEEPEST = 1000, 50  # of larger trees no code is made


class Layout(NamedTuple):
    """The functions of one layout.

    Fields:
        leaves: `leaves(tree)`, a list as `tree.leaves` gives it, if the tree is laid out just so, else None. A dict has
            its keys in the same order too. What is of the leaf type is left out.
        match: `match(tree, like)`, the same if each leaf has the shape of the one in the list `like` too.
        held: `held(tree)`, what is of the leaf type in a tree that is laid out just so; None if there is nothing.
        fill: `fill(leaves, held) -> tree`.
        renew: `renew(new, old, held) -> tree` of the new arrays, each read-only and in the dtype of the old one;
            another shape is a ValueError.
        bare: the layout of a tree with `()` where there is something of the leaf type.
        source: the code, as one may read it.
    """

    leaves: Callable[[Tree], list[Any] | None]
    match: Callable[[Tree, list[Any]], list[Any] | None]
    held: Callable[[Tree], list[Any]] | None
    fill: Callable[[Sequence[Any], Sequence[Any]], Tree]
    renew: Callable[[Sequence[Array], Sequence[Array], Sequence[Any]], Tree]
    bare: Layout | None
    source: str

    @staticmethod
    def of(example: Tree, leaf_type: type | None = None) -> Layout:
        """The layout of this tree. Nodes of `leaf_type` count as leaves."""
        outline = _outline(example, leaf_type)
        return _compiled(outline) if _is_small(outline) else _walking(outline, example, leaf_type)


def splitter(leaf_type: type | None = None) -> Callable[[Tree], tuple[Layout, list[Any]]]:
    """The function that gives the layout of a tree, and its leaves. A tree is mostly laid out as one of the last few.

    >>> split = splitter()
    >>> layout, leaves = split((1, [2, 3]))
    >>> split((4, [5, 6]))[0] is layout, leaves
    (True, [1, 2, 3])
    """
    recent: tuple[Layout, ...] = ()
    of_one = _compiled(_LEAF)

    def split(whole: Tree) -> tuple[Layout, list[Any]]:
        nonlocal recent
        if type(whole) is ndarray:
            return of_one, [whole]
        for layout in recent:
            found = layout.leaves(whole)
            if found is not None:
                return layout, found
        layout = Layout.of(whole, leaf_type)
        recent = (layout, *recent[:7])
        return layout, layout.leaves(whole) or []

    return split


def fitting(*examples: Tree) -> Callable[..., bool]:
    """Whether trees are laid out like these, of arrays of the same kinds: of NumPy, or tensors of PyTorch.

    >>> import numpy as np
    >>> fits = fitting((np.ones(2), ()), np.ones(1))
    >>> fits((np.zeros(2), ()), np.ones(1)), fits((np.zeros(3), ()), np.ones(1)), fits((np.zeros(2),), np.ones(1))
    (True, False, False)
    """
    outline, kinds = _outline(examples), tuple(map(kind_of, tree.leaves(examples)))
    if None in kinds:
        return lambda *trees: False
    return _compiled_fits(outline, kinds) if _is_small(outline) else _walking_fits(outline, kinds)


class Exact(NamedTuple):
    """The layout of a tree of NumPy's arrays, their shapes and dtypes among it.

    Fields:
        leaves: `leaves(tree)`, its arrays if the tree is just so, else None.
        fill: `fill(arrays) -> tree` of arrays of just these shapes and dtypes, each read-only from now on.
    """

    leaves: Callable[[Tree], list[Any] | None]
    fill: Callable[[Sequence[Array]], Tree]

    @staticmethod
    def of(example: Tree) -> Exact | None:
        """The layout of this tree; None if it is too large for code, or holds what is no array of NumPy with axes.

        >>> import numpy as np
        >>> exact = Exact.of((np.ones(2), [np.zeros(3)]))
        >>> exact.leaves((np.ones(2), [np.zeros(4)])), exact.fill([np.ones(2), np.ones(3)])
        (None, (array([1., 1.]), [array([1., 1., 1.])]))
        """
        arrays, outline = tree.leaves(example), _outline(example)
        kinds = tuple(map(kind_of, arrays))
        if not _is_small(outline) or not all(kind and kind.type is ndarray and kind.shape for kind in kinds):
            return None
        return _compiled_exact(outline, kinds)


class _Node(NamedTuple):
    """A container in an outline: keys and children stand in its own order, and `order` is that of its leaves.

    Of a container that only JAX knows, the key is its structure, and there are no types of keys."""

    kind: type
    keys: tuple[Hashable, ...] | None
    key_types: tuple[type, ...] | None
    children: tuple[Outline, ...]
    order: tuple[int, ...]


_LEAF = "*"
Outline: TypeAlias = _Node | str | type  # of a node; of a leaf; of what is of the leaf type, which is that type


def _outline(node: Tree, leaf_type: type | None = None) -> Outline:
    """What is the same in all trees of one layout."""
    kind = type(node)
    if kind is leaf_type:
        return kind
    children = tree.children_of(node)
    if children is None:
        return _LEAF
    structure = tree.structure_of(node)
    if structure is not None or not isinstance(node, dict):
        only = None if structure is None else (structure,)
        parts = tuple(_outline(child, leaf_type) for child in children)
        return _Node(kind, only, None, parts, tuple(range(len(parts))))
    keys = (*node,)
    order = range(len(keys)) if kind is not dict else sorted(range(len(keys)), key=keys.__getitem__)
    children = tuple(_outline(child, leaf_type) for child in node.values())
    return _Node(kind, keys, (*map(type, keys),), children, tuple(order))


def _bare(outline: Outline) -> Outline:
    """The outline with an empty tuple for each of the leaf type."""
    if not isinstance(outline, _Node):
        return _LEAF if outline == _LEAF else _outline(())
    return outline._replace(children=tuple(map(_bare, outline.children)))


def _is_small(outline: Outline) -> bool:
    """Whether code is made of it: a compiler has its limits, and some containers only JAX can take apart."""
    level, count = [outline], 0
    for _ in range(DEEPEST):
        count += len(level)
        nodes = [node for node in level if isinstance(node, _Node)]
        level = [child for node in nodes for child in node.children]
        if any(node.keys is not None and node.key_types is None for node in nodes):
            return False
        if not level or count > MOST_NODES:
            break
    return not level and count <= MOST_NODES


class _Code:
    """The lines that look through a tree, and those that build one. Each node and each leaf gets a name.

    What comes from outside, such as keys and classes, is never part of the text: it stands in `constants`.
    """

    def __init__(self, outline: Outline) -> None:
        self.constants: dict[str, Any] = {}
        self.building: list[str] = []
        self.leaves: list[str] = []
        self.held: list[str] = []
        self._looking: list[tuple[str, str, str]] = []  # a leaf, or when a node is another, and what it is taken into
        self._nodes = 0
        self.root = self._write(outline)

    def looking(self, no: str, test: Callable[[str], str]) -> list[str]:
        """The lines that return `no` if a node is another than it was, or if `test(leaf)` holds."""
        lines = ([f"if {another or test(leaf)}: return {no}", taken] for leaf, another, taken in self._looking)
        return [line for pair in lines for line in pair if line]

    def taking(self) -> list[str]:
        """The lines that only take apart."""
        return [taken for _, _, taken in self._looking if taken]

    def constant(self, prefix: str, value: Any) -> str:
        """The name of a constant: kind0, kind1, …"""
        alike = [name for name in self.constants if name.rstrip("0123456789") == prefix]
        found = next((name for name in alike if self.constants[name] is value), f"{prefix}{len(alike)}")
        self.constants[found] = value
        return found

    def _write(self, outline: Outline) -> str:
        """Write the lines of a node and of what is in it, or of a leaf. Returns its name."""
        if not isinstance(outline, _Node):
            return self._write_leaf(outline)
        name = f"node{self._nodes}" if self._nodes else "tree"
        self._nodes += 1
        here, names = len(self._looking), [""] * len(outline.children)
        for i in outline.order:
            names[i] = self._write(outline.children[i])
        look, build = self._node(outline, name, names)
        if name == "tree":
            self.arguments = ", ".join(names)
        values = f"{name}.values()" if outline.keys is not None else name
        self._looking.insert(here, ("", look, f"{_row(names)} = {values}" if names else ""))
        self.building.append(f"{name} = {build}")
        return name

    def _node(self, outline: _Node, name: str, names: list[str]) -> tuple[str, str]:
        """When a node is another one than it was, and what makes one."""
        if outline.kind is type(None):
            return f"{name} is not None", "None"
        kind = outline.kind.__name__ if outline.kind in (tuple, list, dict) else self.constant("kind", outline.kind)
        if outline.keys is not None:
            keys, types = self.constant("keys", [*outline.keys]), self.constant("types", [*map(type, outline.keys)])
            look = f"type({name}) is not {kind} or [*{name}] != {keys} or [*map(type, {name})] != {types}"
            return look, f"{kind}(zip({keys}, ({_row(names)})))"
        look = f"type({name}) is not {kind} or len({name}) != {len(names)}"
        if outline.kind is list:
            return look, f"[{_row(names)}]"
        return look, f"({_row(names)})" if outline.kind is tuple else f"make({kind}, ({_row(names)}))"

    def _write_leaf(self, outline: Outline) -> str:
        if outline == _LEAF:
            name, another = f"leaf{len(self.leaves)}", ""
            self.leaves.append(name)
        else:
            name = f"held{len(self.held)}"
            another = f"type({name}) is not {self.constant('kind', outline)}"
            self.held.append(name)
        self._looking.append((name, another, ""))
        return name

    def functions(self, functions: dict[str, list[str]]) -> tuple[dict[str, Any], str]:
        """What comes of running the code of functions, by head and lines; and that code, to be read."""
        text = "".join(f"\ndef {head}:\n    " + "\n    ".join(lines) + "\n" for head, lines in functions.items())
        known = {"ndarray": ndarray, "is_node": tree.is_node, "make": tuple.__new__, "conform": conform}
        names = {**known, "set_writeable": ndarray.setflags, **self.constants}
        exec(text, names)  # of words and numbers that are made above
        return names, "".join(f"{name} = {value!r}\n" for name, value in self.constants.items()) + text


def _row(names: Iterable[str]) -> str:
    """Names as a tuple is written, without its brackets."""
    listed = [*names]
    return ", ".join(listed) + "," * (len(listed) == 1)


@lru_cache(256)
def _compiled(outline: Outline) -> Layout:
    code = _Code(outline)
    old = {leaf: leaf.replace("leaf", "old") for leaf in code.leaves}
    root, row, old_row, held_row = code.root, _row(code.leaves), _row(old.values()), _row(code.held)

    def is_node(leaf: str) -> str:
        return f"type({leaf}) is not ndarray and is_node({leaf})"

    def is_unlike(leaf: str) -> str:
        return f"{is_node(leaf)} or {leaf}.shape != {old[leaf]}.shape"

    def keep(leaf: str) -> list[str]:
        same = f"{leaf}.dtype is {old[leaf]}.dtype and {leaf}.shape == {old[leaf]}.shape"
        return [
            f"if type({leaf}) is ndarray and {same}: set_writeable({leaf}, False)",
            f"else: {leaf} = conform({leaf}, {old[leaf]})",
        ]

    kept = [line for leaf in code.leaves for line in keep(leaf)]
    building = [*([f"{held_row} = held"] if held_row else []), *code.building, f"return {root}"]
    functions = {
        f"leaves({root})": [*code.looking("None", is_node), f"return [{row}]"],
        f"match({root}, like)": [f"({old_row}) = like", *code.looking("None", is_unlike), f"return [{row}]"],
        "fill(leaves, held)": [f"({row}) = leaves", *building],
        "renew(new, old, held)": [f"({row}) = new", f"({old_row}) = old", *kept, *building],
    }
    if code.held:
        functions[f"held({root})"] = [*code.taking(), f"return [{held_row}]"]
    made, source = code.functions(functions)
    bare = _compiled(_bare(outline)) if code.held else None
    return Layout(made["leaves"], made["match"], made.get("held"), made["fill"], made["renew"], bare, source)


@lru_cache(256)
def _compiled_fits(outline: Outline, kinds: tuple[Any, ...]) -> Callable[[Tree], bool]:
    code = _Code(outline)
    looking = code.looking("False", _is_another(code, kinds))[2:]  # the tuple of all trees stands in no variable
    made, _ = code.functions({f"fits({code.arguments})": [*looking, "return True"]})
    fits: Callable[..., bool] = made["fits"]
    return fits


@lru_cache(256)
def _compiled_exact(outline: Outline, kinds: tuple[Any, ...]) -> Exact:
    code = _Code(outline)
    row = _row(code.leaves)
    sealing = [f"set_writeable({leaf}, False)" for leaf in code.leaves]
    functions = {
        f"leaves({code.root})": [*code.looking("None", _is_another(code, kinds)), f"return [{row}]"],
        "fill(leaves)": [f"({row}) = leaves", *sealing, *code.building, f"return {code.root}"],
    }
    made, _ = code.functions(functions)
    return Exact(made["leaves"], made["fill"])


def _is_another(code: _Code, kinds: tuple[Any, ...]) -> Callable[[str], str]:
    """The test whether a leaf is no array of the kind that it was."""
    kind_by_leaf = dict(zip(code.leaves, kinds, strict=True))

    def test(leaf: str) -> str:
        kind = kind_by_leaf[leaf]
        its_type, dtype = code.constant("type", kind.type), code.constant("dtype", kind.dtype)
        look = f"type({leaf}) is not {its_type} or {leaf}.dtype is not {dtype} or {leaf}.shape != {kind.shape}"
        if kind.device is None:
            return look
        return f"{look} or {leaf}.device != {code.constant('device', kind.device)} or {leaf}.requires_grad"

    return test


def _walking(outline: Outline, example: Tree, leaf_type: type | None) -> Layout:
    """The same as of `_compiled`, without code of its own."""
    is_held = [type(leaf) is leaf_type for leaf in tree.leaves(example, leaf_type)]
    structure = tree.flatten(tree.map(lambda leaf: 0, example, leaf_type=leaf_type))[1]

    def chosen(whole: Tree, kind: bool) -> list[Any]:
        return [leaf for leaf, held in zip(tree.leaves(whole, leaf_type), is_held, strict=True) if held is kind]

    def leaves(whole: Tree) -> list[Any] | None:
        return chosen(whole, False) if _outline(whole, leaf_type) == outline else None

    def match(whole: Tree, like: list[Any]) -> list[Any] | None:
        found = leaves(whole)
        return found if found is not None and [a.shape for a in found] == [b.shape for b in like] else None

    def fill(leaves: Sequence[Any], held: Sequence[Any]) -> Tree:
        if (len(leaves), len(held)) != (is_held.count(False), is_held.count(True)):
            raise ValueError("a layout is filled with as many leaves as it has")
        supplies = iter(leaves), iter(held)
        return tree.unflatten(structure, [next(supplies[kind]) for kind in is_held])

    def renew(new: Sequence[Array], old: Sequence[Array], held: Sequence[Any]) -> Tree:
        return fill([*map(conform, new, old)], held)

    if not any(is_held):
        return Layout(leaves, match, None, fill, renew, None, "")
    bare = _walking(
        _bare(outline), tree.map(lambda x: () if type(x) is leaf_type else x, example, leaf_type=leaf_type), None
    )
    return Layout(leaves, match, lambda whole: chosen(whole, True), fill, renew, bare, "")


def _walking_fits(outline: Outline, kinds: tuple[Any, ...]) -> Callable[[Tree], bool]:
    def fits(*trees: Tree) -> bool:
        return _outline(trees) == outline and kinds == tuple(map(kind_of, tree.leaves(trees)))

    return fits
