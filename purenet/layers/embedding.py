"""Embeddings of integer ids, and of positions in time."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from purenet.core import Layer, Pullback
from purenet.engine.arrays import Array, Shape, astype, describe, dot, floating, is_open, match, meet, namespace, whose
from purenet.initializers import Initializer, draw, normal
from purenet.layers.activations import NoParams, elementwise
from purenet.presets import called, preset
from purenet.random import Key

_UNIT_NORMAL, _SMALL_NORMAL = normal(1.0), normal(0.02)


class EmbeddingParams(NamedTuple):
    """weight (count, features): a row for each id, or for each position."""

    weight: Array


def embedding(count: int, features: int, weight_init: Initializer = _UNIT_NORMAL) -> Layer[EmbeddingParams]:
    """A learned row of `features` numbers for each of the ids 0 … count − 1.

    X (batch, ...) of integers; Y (batch, ..., features).

    The rule: Y = H · W, with a row of H for each id that is 1 at the id and 0 elsewhere. So dE/dW = Hᵀ · dE/dY: each
    row of dE/dW is the sum of dE/dY over all places where its id stands. Ids have no gradient; None stands for dE/dX.

    Y. Bengio et al., "A neural probabilistic language model", JMLR 2003.

    Raises:
        TypeError: the ids are not integers.
        ValueError: an id is negative, or count or more. (JAX cannot raise: there the row of a
            count or more is NaN, and a negative id is not noticed.)

    >>> import numpy as np, purenet as pn
    >>> layer = pn.embedding(10, 3)
    >>> y, pullback = layer.vjp(layer.init(pn.key(0)), np.array([[7, 2, 7]]))
    >>> dparams, dx = pullback(np.ones((1, 3, 3), np.float32))
    >>> y.shape, dparams.weight[:, 0], dx
    ((1, 3, 3), array([0., 0., 1., 0., 0., 0., 0., 2., 0., 0.], dtype=float32), None)
    """
    for size in (count, features):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"embedding takes a count and features that are positive integers, not {size!r}")
    name = f"embedding({count}, {features})"

    def shape(in_shape: Shape | None) -> Shape | None:
        return None if in_shape is None else (*in_shape, features)

    def init(key: Key, in_shape: Shape | None = None) -> EmbeddingParams:
        return EmbeddingParams(draw(weight_init, key, (count, features), name))

    def apply(params: EmbeddingParams, x: Any, key: Key | None = None) -> Any:
        weight = _weight(name, params, (count, features))
        _check_ids(name, x, count)
        weight = meet(weight, x)
        xp = namespace(weight)
        return xp.reshape(xp.take(weight, xp.reshape(xp.asarray(x), (-1,)), axis=0), (*x.shape, features))

    def vjp(params: EmbeddingParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[EmbeddingParams]]:
        y = apply(params, x)
        y_shape, dtype = y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[EmbeddingParams, None]:
            match(dy, y_shape, dtype, name)
            xp = namespace(dy)
            ids, rows = xp.reshape(xp.asarray(x), (-1,)), xp.reshape(dy, (math.prod(x.shape), features))
            add = _add_rows_sorted if type(dy) is np.ndarray else _add_rows
            return EmbeddingParams(add(ids, rows, count)), None

        return y, pullback

    return Layer(init, apply, vjp, shape, name)


def _add_rows(ids: Any, rows: Any, count: int) -> Any:
    """Row i of the result is the sum of the rows whose id is i: Hᵀ · rows."""
    xp = namespace(rows)
    return dot(astype(xp.arange(count)[:, None] == ids[None, :], rows.dtype), rows)


def _add_rows_sorted(ids: Any, rows: Any, count: int) -> Any:
    """The same on NumPy, without a matrix of ids by rows: the rows are sorted by id, and each run of them summed."""
    total = np.zeros((count, rows.shape[1]), rows.dtype)
    if ids.size:
        order = np.argsort(ids, kind="stable")
        found, starts = np.unique(ids[order], return_index=True)
        total[found] = np.add.reduceat(rows[order], starts, axis=0)
    return total


def _check_ids(name: str, x: Any, count: int) -> None:
    xp = namespace(x, name)
    if not xp.isdtype(x.dtype, "integral"):
        raise TypeError(f"{name} takes integer ids, not {describe(x)}: write x.astype(int)")
    if x.ndim < 1:
        raise ValueError(f"{name} takes ids of shape (batch, ...), not a single one: write x.reshape(1)")
    if type(x) is np.ndarray and x.size and not (x.min() >= 0 and x.max() < count):
        raise ValueError(f"{name} takes ids from 0 to {count - 1}, but x holds ids from {x.min()} to {x.max()}")


def _weight(name: str, params: Any, shape: Shape) -> Any:
    if type(params) is not EmbeddingParams:
        raise ValueError(f"{name} takes EmbeddingParams(weight), not {describe(params)}. {whose(params)}")
    if params.weight.shape != shape:
        raise ValueError(f"{name} takes a weight of shape {shape}, not {tuple(params.weight.shape)}")
    return params.weight


@preset
def positional_encoding(base: float = 10_000.0) -> Layer[NoParams]:
    """Sines and cosines of the position are added, each pair of features at a wavelength of its own: 2π up to 2π·base.

    Y[t, 2i] = X[t, 2i] + sin(t / base^(2i/features)), and the cosine for 2i + 1. X and Y (batch, time, features). What
    is added does not depend on X: dE/dX = dE/dY.

    A. Vaswani et al., "Attention is all you need", NeurIPS 2017.

    >>> import numpy as np, purenet as pn
    >>> pn.positional_encoding.apply((), np.zeros((1, 2, 4))).round(4)
    array([[[0.    , 1.    , 0.    , 1.    ],
            [0.8415, 0.5403, 0.01  , 1.    ]]])
    """
    if not base > 0:
        raise ValueError(f"positional_encoding takes a positive base, not {base!r}")
    name = called("positional_encoding", base=(base, 10_000.0))

    def rule(ops: Any, x: Any) -> tuple[Any, Any]:
        _check_sequence(name, x.shape[1:])
        time, features = x.shape[1:]
        pair = np.arange(features) // 2
        angle = np.arange(time)[:, None] * base ** (-2 * pair / features)
        table = np.where(np.arange(features) % 2, np.cos(angle), np.sin(angle))
        return x + ops.asarray(table, dtype=x.dtype), lambda dy: dy

    return elementwise(name, rule)._replace(shape=lambda in_shape: _check_sequence(name, in_shape))


def learned_positions(
    length: int, features: int | None = None, weight_init: Initializer = _SMALL_NORMAL
) -> Layer[EmbeddingParams]:
    """A learned row is added at each position, for sequences up to `length`: Y[:, t] = X[:, t] + W[t].

    X and Y (batch, time, features), time ≤ length; W (length, features).

    The rule: dE/dW[t] = Σ dE/dY[:, t] over the batch, 0 for positions beyond; dE/dX = dE/dY.

    J. Gehring et al., "Convolutional sequence to sequence learning", ICML 2017.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.learned_positions(8, 2)
    >>> params = layer.init(pn.key(0))
    >>> params.weight.shape, layer.apply(params, np.zeros((4, 5, 2), np.float32)).shape
    ((8, 2), (4, 5, 2))
    """
    for size in (length, features or 1):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"learned_positions takes a length and features that are positive integers, not {size!r}")
    name = f"learned_positions({length}{'' if features is None else f', {features}'})"

    def shape(in_shape: Shape | None) -> Shape | None:
        return _check_sequence(name, in_shape, length, features)

    def init(key: Key, in_shape: Shape | None = None) -> EmbeddingParams:
        shape(in_shape)
        size = features if in_shape is None else in_shape[-1]
        if size is None:
            raise ValueError(
                f"{name} does not know how many features it has: "
                f"write learned_positions({length}, features), or init(key, in_shape=(time, features))"
            )
        return EmbeddingParams(draw(weight_init, key, (length, size), name))

    def apply(params: EmbeddingParams, x: Any, key: Key | None = None) -> Any:
        floating(x, name)
        shape(x.shape[1:])
        weight = _weight(name, params, (length, x.shape[-1]))
        if weight.dtype != x.dtype:
            raise TypeError(f"{name} has {weight.dtype} params, but x is {x.dtype}: write x.astype(np.{weight.dtype})")
        return x + weight[: x.shape[1], :]

    def vjp(params: EmbeddingParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[EmbeddingParams]]:
        y = apply(params, x)
        y_shape, dtype = y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[EmbeddingParams, Any]:
            match(dy, y_shape, dtype, name)
            xp, (_, time, size) = namespace(dy), y_shape
            beyond = xp.zeros((length - time, size), dtype=dtype)
            dweight = xp.concat([xp.sum(dy, axis=0), beyond])
            return EmbeddingParams(dweight), dy if wrt_x else None

        return y, pullback

    return Layer(init, apply, vjp, shape, name)


def _check_sequence(
    name: str, in_shape: Shape | None, length: int | None = None, features: int | None = None
) -> Shape | None:
    """The shape of one sequence, if it is (time, features) with at most `length` steps."""
    if in_shape is None:
        return None
    if in_shape == (..., features) or (is_open(in_shape) and features is None):
        return in_shape
    if len(in_shape) != 2 or features not in (None, in_shape[1]):
        given = ", ".join(("batch", *map(str, in_shape)))
        raise ValueError(f"{name} takes (batch, time, {features or 'features'}), but its input has shape ({given})")
    if length is not None and in_shape[0] > length:
        raise ValueError(f"{name} has {length} positions, but the sequence has {in_shape[0]} steps")
    return in_shape
