"""Windows that slide over the spatial axes of (batch, *space, channels): what convolution, pooling and resizing share.

Everything here is shape arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, Shape, is_integer
from purenet.engine.windows import Back, Pair, Windows
from purenet.layers.activations import NoParams, without_params
from purenet.layers.hints import of_images
from purenet.spec import Spec, layer

Padding = Literal["valid", "same"] | int | Sequence[int | Pair]
Ends = Literal["same"] | tuple[Pair, ...]


def window_size(who: str, what: str, given: int | Sequence[int]) -> Shape:
    """The size of a window along each spatial axis; an int means a square in two dimensions."""
    size = _for_each(given, 2)
    if not 1 <= len(size) <= 3 or not all(_is_int(n, 1) for n in size):
        raise ValueError(
            f"{who} takes a {what} that is a positive int, for a square of that size, "
            f"or a tuple of one to three, as in (3,) for sequences; not {given!r}"
        )
    return size


def per_axis(who: str, what: str, given: int | Sequence[int], dims: int, least: int = 1) -> Shape:
    """One int for each spatial axis; an int means the same for all of them."""
    sizes = _for_each(given, dims)
    if len(sizes) != dims or not all(_is_int(n, least) for n in sizes):
        raise ValueError(
            f"{who} takes a {what} that is an int of at least {least}, or a tuple of {dims}, not {given!r}"
        )
    return sizes


def pairs(who: str, given: Padding, dims: int) -> Ends:
    """The padding as (low, high) for each spatial axis, or "same", which depends on the input's size."""
    if isinstance(given, str):
        if given == "same":
            return "same"
        given = 0 if given == "valid" else -1
    each = tuple(_for_each(pair, 2) for pair in _for_each(given, dims))
    if len(each) != dims or not all(len(pair) == 2 and all(_is_int(p, 0) for p in pair) for pair in each):
        raise ValueError(
            f'{who} takes a padding that is "valid", "same", an int of at least 0, '
            f"or a tuple of {dims}, each an int or a pair (low, high)"
        )
    return each


def _for_each(given: Any, count: int) -> tuple[Any, ...]:
    """An int for each of so many, where one stands for all; what stands for each; () for anything else."""
    return (given,) * count if isinstance(given, int) else tuple(given) if isinstance(given, tuple | list) else ()


def _is_int(n: Any, least: int) -> bool:
    return is_integer(n) and n >= least


@lru_cache(1024)  # layers ask at each step
def place(
    who: str, windows: Windows, padding: Ends, space: Shape, ceil: bool = False
) -> tuple[Shape, tuple[Pair, ...]]:
    """How many windows fit along each axis of an input of this size, and the (low, high) padding there.

    "same" is JAX's and TensorFlow's: ⌈n / stride⌉ windows, and of an odd padding the larger half at the high end.
    With `ceil` a last window may go beyond the high end, which then has the padding that this window needs.
    """
    reach = windows.reach
    if padding == "same":
        missing = [max(0, (-(-n // s) - 1) * s + r - n) for n, s, r in zip(space, windows.stride, reach, strict=True)]
        padding = tuple((m // 2, m - m // 2) for m in missing)
    full = tuple(n + low + high for n, (low, high) in zip(space, padding, strict=True))
    counts = windows.counts(full)
    if ceil:
        counts, padding = _rounded_up(windows, padding, space)
    if min(*counts, *space) < 1:
        dilated = f", {reach} with its dilation," if reach != windows.size else ""
        first = len(space) > 1 and space[0] in (1, 3) and min(space[1:]) >= max(reach)  # as PyTorch has images
        mend = ". Are these channels first? Here they are the last axis: (height, width, channels)" if first else ""
        raise ValueError(
            f"{who}: its window of {windows.size}{dilated} does not fit into an input of {tuple(space)}, "
            f"which is {full} with its padding{mend}"
        )
    return counts, padding


def _rounded_up(windows: Windows, padding: tuple[Pair, ...], space: Shape) -> tuple[Shape, tuple[Pair, ...]]:
    """As many windows as it takes to cover the input and its padding, and the padding that the last of them needs.

    This is PyTorch's rule: the last window must start inside the input or its low padding, or it is left out.
    """
    counts, ends = [], []
    for n, (low, high), reach, stride in zip(space, padding, windows.reach, windows.stride, strict=True):
        count = -((reach - n - low - high) // stride) + 1
        count -= (count - 1) * stride >= n + low
        counts.append(count)
        ends.append((low, max(high, (count - 1) * stride + reach - n - low)))
    return tuple(counts), tuple(ends)


def axes(dims: int | None) -> str:
    """The pattern of x: channels last, with as many spatial axes, or any number."""
    names = {None: "*space", 1: "length", 2: "height width", 3: "depth height width"}
    return f"batch {names.get(dims) or ' '.join(f'space{i}' for i in range(dims or 0))} channels"


def spatial(
    name: str,
    rule: Callable[[Ops, Array], tuple[Array, Back]],
    y: str | Callable[[Shape], Shape],
    dims: int | None = None,
    last: str = "channels",
    **options: Any,
) -> Layer[NoParams]:
    """A layer without parameters over (batch, *space, channels), of `rule(ops, x) -> (y, pull)`; y and last as in
    `Spec`, and options as of `layer`.

    `dims` is the number of spatial axes, where that is fixed.
    """
    return layer(Spec(name, x=axes(dims), y=y, last=last, hints=(of_images(dims),)), without_params(rule), **options)


def one_by_one(x: Array, steps: Iterable[Callable[[Array], tuple[Array, Back]]]) -> tuple[Array, Back]:
    """What steps `step(x) -> (y, pull)` make of x, one after another, and their rules from the last to the first."""
    pulls: list[Back] = []
    for step in steps:
        x, pull = step(x)
        pulls.append(pull)

    def pull_all(dy: Array) -> Array:
        for pull in reversed(pulls):
            dy = pull(dy)
        return dy

    return x, pull_all


def taken(ops: Ops, axis: int, ids: Sequence[int], x: Array) -> tuple[Array, Back]:
    """The cells of these numbers along a spatial axis. The rule: each cell gets the sum of what its copies get."""
    n, places = x.shape[axis + 1], ops.asarray(list(ids))

    def pull(dy: Array) -> Array:
        dy = ops.moveaxis(dy, axis + 1, 0)
        rows = ops.reshape(dy, (len(ids), math.prod(dy.shape[1:])))
        return ops.moveaxis(ops.reshape(ops.add_rows(places, rows, n), (n, *dy.shape[1:])), 0, axis + 1)

    return ops.take(x, places, axis=axis + 1), pull
