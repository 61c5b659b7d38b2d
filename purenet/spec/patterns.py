"""A small language for the shapes of arrays: "batch height width in", "... features", "batch ...: int".

A pattern names the axes of one array, first the batch:

    in              an axis; axes of one name have one size
    3               an axis of this size
    in/groups       an axis of so many
    4*hidden        likewise
    ...             any number of axes, or none (alone: one or more, for there is always a batch)
    *space          one axis or more

After a colon comes what the array holds: `float` (as if nothing were said), `int`, `number` (one of
these two), `bool` or `any`. A `?` at the end
says that None may stand for the array. A name and `=` in front say what the array is for: "lengths = batch: int".

>>> sizes = match("batch time features", (4, 5, 3), {"features": 3})
>>> sizes
{'features': 3, 'batch': 4, 'time': 5}
>>> infer("batch time 2*features", sizes)
(5, 6)
>>> print(match("batch time features", (4, 3), {}), render("batch time features", {"features": 3}))
None (batch, time, 3)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from purenet.engine.arrays import Shape, is_open

Sizes = dict[str, Any]  # of an axis an int, of `...` and `*space` a tuple; what is not known is not there


class Pattern(NamedTuple):
    """A pattern taken apart."""

    label: str
    axes: tuple[str, ...]
    kind: str
    optional: bool

    @property
    def rest(self) -> int | None:
        """The place of the axis that stands for several."""
        return next((i for i, axis in enumerate(self.axes) if _is_several(axis)), None)

    def takes_rank(self, n: int) -> bool:
        """Whether an array of so many axes fits."""
        if self.rest is None:
            return n == len(self.axes)
        return n >= max(1, len(self.axes) - (self.axes[self.rest] == "..."))


@lru_cache(1024)
def parse(text: str) -> Pattern:
    """The pattern that a text writes; ValueError if it writes none.

    >>> parse("lengths = batch: int?")
    Pattern(label='lengths', axes=('batch',), kind='int', optional=True)
    """
    found = re.fullmatch(r"\s*(?:(\w+) *=)?([^:?]*)(?::\s*(float|int|number|bool|any))?\s*(\?)?\s*", text)
    axes = tuple(found[2].split()) if found else ()
    if not found or not all(re.fullmatch(r"\.\.\.|\*?\w+|\w+[*/]\w+", axis) for axis in axes):
        raise ValueError(
            f'"{text}" is no pattern: write the names of the axes, as in "batch time features" or "... in"'
        )
    pattern = Pattern(found[1] or "", axes, found[3] or "float", bool(found[4]))
    if sum(map(_is_several, axes)) > 1:
        raise ValueError(f'"{text}" has two axes that stand for several: where would one end?')
    return pattern


def size_of(axis: str, sizes: Mapping[str, Any]) -> int | None:
    """The size of an axis, if it is known."""
    left, operator, right = _operands(axis)
    a = int(left) if left.isdigit() else sizes.get(left)
    b = int(right) if right.isdigit() else sizes.get(right) if right else 1
    if a is None or b is None:
        return None
    return int(a // b if operator == "/" else a * b)


def _operands(axis: str) -> tuple[str, str, str]:
    """An axis as what stands before `*` or `/`, that sign, and what stands after it."""
    sign = next((sign for sign in "*/" if sign in axis), "")
    left, _, right = axis.partition(sign or " ")
    return left, sign, right


def names_of(text: str) -> set[str]:
    """The names in a pattern that stand for a size: all but numbers, `batch`, and what stands for several axes.

    >>> sorted(names_of("batch *space 4*hidden in/groups 3"))
    ['groups', 'hidden', 'in']
    """
    names = re.findall(r"(?<![*\w])\w+|(?<=\w[*])\w+", " ".join(parse(text).axes))
    return {name for name in names if not name.isdigit()} - {"batch"}


def match(text: str, shape: Shape, sizes: Mapping[str, Any]) -> Sizes | None:
    """What the names mean if an array of this shape fits, with what was known before; None if it does not fit."""
    pattern = parse(text)
    if not pattern.takes_rank(len(shape)):
        return None
    return _match(pattern.axes, shape, sizes)


def match_example(text: str, in_shape: Shape, sizes: Mapping[str, Any]) -> Sizes | None:
    """`match` of a shape without the batch, of which some sizes may be None, or only the last known: (..., 3)."""
    axes = _example(text)
    if is_open(in_shape):
        if axes and _is_several(axes[-1]):
            return {**sizes, axes[-1].lstrip("*"): in_shape}
        return _match(axes[-1:], in_shape[-1:], sizes) if axes else None
    least = len(axes) - ("..." in axes)
    if len(in_shape) < least or (len(in_shape) > least and not any(map(_is_several, axes))):
        return None
    return _match(axes, in_shape, sizes)


def infer(text: str, sizes: Mapping[str, Any]) -> Shape | None:
    """The shape of an example, without the batch; (..., 3) if only its last axis is known; None if not even that."""
    shape: list[Any] = []
    for axis in _example(text):
        if _is_several(axis):
            known = sizes.get(axis.lstrip("*"))
            shape.extend([None] if known is None else known)
        else:
            shape.append(size_of(axis, sizes))
    if None not in shape:
        return tuple(shape)
    return (..., shape[-1]) if shape[-1] is not None else None


def render(text: str, sizes: Mapping[str, Any], example: bool = False) -> str:
    """The shape that a pattern asks for, in words: sizes where they are known, names elsewhere."""
    axes = _example(text) if example else parse(text).axes
    axes = ("batch", *axes) if axes == ("...",) and not example else axes
    words = [axis if _is_several(axis) else str(size_of(axis, sizes) or axis) for axis in axes]
    return f"({', '.join(words)}{',' * (len(words) == 1 and words != ['...'])})"


def _is_several(axis: str) -> bool:
    """Whether what stands in the place of an axis stands for several: `...` or `*space`."""
    return axis[0] in ".*"


def _example(text: str) -> tuple[str, ...]:
    axes = parse(text).axes
    return axes[1:] if axes[:1] == ("batch",) else axes


def _match(axes: tuple[str, ...], shape: Shape, sizes: Mapping[str, Any]) -> Sizes | None:
    """The sizes, if each axis has the one that its name has."""
    found = dict(sizes)
    place = next((i for i, axis in enumerate(axes) if _is_several(axis)), None)
    if place is not None:
        after = len(axes) - place - 1
        end = len(shape) - after
        several = axes[place].lstrip("*")
        if None not in shape[place:end]:
            if several != "..." and found.get(several, shape[place:end]) != shape[place:end]:
                return None
            found[several] = tuple(shape[place:end])
        axes, shape = (*axes[:place], *axes[place + 1 :]), (*shape[:place], *shape[end:])
    for axis, n in zip(axes, shape, strict=True):
        if n is None:
            continue
        known = size_of(axis, found)
        if known is None:
            left, operator, right = _operands(axis)
            turned = operator == "*" and size_of(right, found) is None
            unknown, other = (right, left) if turned else (left, right)
            by = 1 if not operator else size_of(other, found)
            if by is None or (operator == "*" and n % by):
                return None
            found[unknown] = n * by if operator == "/" else n // by
        elif known != n:
            return None
    return found
