"""Pooling to a number of cells that is given: windows of several sizes, which may share cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, Shape, is_integer
from purenet.engine.windows import Back, Windows
from purenet.layers.activations import NoParams
from purenet.layers.windows import one_by_one, spatial, taken
from purenet.values import Call, called, takes_numbers


@takes_numbers
def adaptive_avg_pool(size: int | Sequence[int | None]) -> Layer[NoParams]:
    """The mean of each of `size` windows along each axis, whatever the size of X: an int, or one for each spatial axis.
    An axis of None stays as it is.

    Along an axis of n cells the window i of m holds the cells from ⌊i·n / m⌋ to ⌈(i + 1)·n / m⌉ − 1, as in PyTorch. So
    the windows cover X. Where m divides n they are alike and lie side by side; elsewhere neighbours share cells.

    Shapes: X (batch, *space, channels); Y (batch, *size, channels).

    The rule: dE/dX[i] is the sum of dE/dY[o] / cells(o) over the windows o that X[i] is in. The windows are products of
    windows along each axis, so Y is the mean along one axis after another, and so is the rule.

    Raises:
        ValueError: a size is no positive int, there is not one for each spatial axis, or X has no cells.

    K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition",
    ECCV 2014.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.adaptive_avg_pool(2).vjp((), np.array([[1.0, 3.0, 5.0]])[..., None])
    >>> y.ravel(), pullback(np.ones_like(y))[1].ravel()
    (array([2., 4.]), array([0.5, 1. , 0.5]))
    """
    return _adaptive(called("adaptive_avg_pool", locals()), size, lambda ops: ops.mean_windows, _means)


@takes_numbers
def adaptive_max_pool(size: int | Sequence[int | None]) -> Layer[NoParams]:
    """The maximum of each of `size` windows along each axis. Windows, shapes, errors and source are those of
    `adaptive_avg_pool`.

    The rule: dE/dX[i] is the sum of dE/dY[o] over the windows o whose maximum X[i] is. Of equal values the first in
    row-major order is the maximum, as in PyTorch.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.adaptive_max_pool(2).vjp((), np.array([[1.0, 3.0, 2.0]])[..., None])
    >>> y.ravel(), pullback(np.ones_like(y))[1].ravel()
    (array([3., 3.]), array([0., 2., 0.]))
    """
    return _adaptive(called("adaptive_max_pool", locals()), size, lambda ops: ops.max_windows, _maxima)


def _adaptive(
    name: Call,
    size: int | Sequence[int | None],
    alike: Callable[[Ops], Callable[..., tuple[Array, Back]]],
    on_one_axis: Callable[[Ops, int, int, Array], tuple[Array, Back]],
) -> Layer[NoParams]:
    """The layer of the op for windows that are all alike, and of a step `(ops, axis, m, x) -> (y, pull)`."""
    dims = len(size) if isinstance(size, tuple | list) else None
    sizes_of(name, size, (1,) * (dims or 1))

    def y_shape(in_shape: Shape) -> Shape:
        *space, channels = in_shape
        sizes = sizes_of(name, size, tuple(space))
        if 0 in space:
            raise ValueError(f"{name} takes at least one cell along each axis, but an example has shape {in_shape}")
        return (*sizes, channels)

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        pairs = list(zip(x.shape[1:-1], y_shape(x.shape[1:])[:-1], strict=True))
        if all(n % m == 0 for n, m in pairs):
            each = tuple(n // m for n, m in pairs)
            return alike(ops)(x, Windows(each, each, (1,) * len(pairs)), ((0, 0),) * len(pairs))
        # from the last axis to the first, so that of equal maxima the first in row-major order is taken
        steps = [partial(on_one_axis, ops, axis, m) for axis, (n, m) in enumerate(pairs) if n != m]
        return one_by_one(x, reversed(steps))

    return spatial(name, rule, y_shape, dims, wide=True)


def sizes_of(who: str, size: int | Sequence[int | None], space: Shape) -> Shape:
    """How many windows there are along each axis of so many cells.

    >>> sizes_of("pool", (None, 4), (7, 7))
    (7, 4)
    """
    each: Any = size if isinstance(size, tuple | list) else (size,) * len(space)
    if len(each) == len(space) and all(m is None or (is_integer(m) and m >= 1) for m in each) and size is not None:
        return tuple(n if m is None else m for m, n in zip(each, space, strict=True))
    raise ValueError(
        f"{who} takes a size that is an int of at least 1, or a tuple of {len(space)} of such or of None, which keeps "
        f"the axis, not {size!r}"
    )


class Cells(NamedTuple):
    """The cells of m windows along one axis, each window with as many as the longest: k.

    Fields:
        ids: the number of each cell, m·k of them. A window that is shorter repeats its last cell.
        sizes: how many each window has.
        real: for each cell of each window, whether it is none that is repeated.
    """

    ids: list[int]
    sizes: list[int]
    real: list[list[bool]]


def cells_of(n: int, m: int) -> Cells:
    """The cells of m windows along an axis of n cells.

    >>> cells_of(4, 3)
    Cells(ids=[0, 1, 1, 2, 2, 3], sizes=[2, 2, 2], real=[[True, True], [True, True], [True, True]])
    >>> cells_of(5, 4).ids, cells_of(2, 3).sizes
    ([0, 1, 1, 2, 2, 3, 3, 4], [1, 2, 1])
    """
    ends = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
    sizes = [end - start for start, end in ends]
    k = max(sizes)
    ids = [min(start + t, end - 1) for start, end in ends for t in range(k)]
    return Cells(ids, sizes, [[t < size for t in range(k)] for size in sizes])


def _windows(ops: Ops, axis: int, m: int, x: Array) -> tuple[Array, Back, Cells]:
    """x with its windows along one axis, and the cells of each along one more; the rule; and what the cells are."""
    found = cells_of(x.shape[axis + 1], m)
    flat, back = taken(ops, axis, found.ids, x)
    cells = ops.reshape(flat, (*x.shape[: axis + 1], m, len(found.real[0]), *x.shape[axis + 2 :]))
    return cells, lambda dcells: back(ops.reshape(dcells, flat.shape)), found


def _means(ops: Ops, axis: int, m: int, x: Array) -> tuple[Array, Back]:
    cells, back, found = _windows(ops, axis, m, x)
    after = (1,) * (x.ndim - axis - 2)
    real = ops.reshape(ops.asarray(found.real), (*cells.shape[axis + 1 : axis + 3], *after))
    number = ops.reshape(ops.asarray(found.sizes, dtype=x.dtype), (m, *after))

    def pull(dy: Array) -> Array:
        return back(ops.keep(ops.expand_dims(dy / number, axis=axis + 2), real))

    return ops.sum(ops.keep(cells, real), axis=axis + 2) / number, pull


def _maxima(ops: Ops, axis: int, m: int, x: Array) -> tuple[Array, Back]:
    cells, back, _ = _windows(ops, axis, m, x)

    def pull(dy: Array) -> Array:
        places = ops.reshape(ops.arange(cells.shape[axis + 2]), (-1, *(1,) * (x.ndim - axis - 2)))
        first = ops.expand_dims(ops.argmax(cells, axis=axis + 2), axis=axis + 2) == places
        return back(ops.keep(ops.expand_dims(dy, axis=axis + 2), first))

    return ops.max(cells, axis=axis + 2), pull
