"""Embeddings of integer ids, and of positions in time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array
from purenet.initializers import Initializer, normal
from purenet.layers.activations import NoParams
from purenet.layers.recurrence import places_so_far
from purenet.random import Key
from purenet.spec import Maybe, Pull, Rule, Spec, check_sizes, layer
from purenet.spec.patterns import Sizes
from purenet.spec.presets import preset
from purenet.values import called, takes_numbers

_UNIT_NORMAL, _SMALL_NORMAL = normal(1.0), normal(0.02)
_PLACED: Any = ["batch time features", ("batch time features", Maybe("places = batch past 0"))]


class EmbeddingParams(NamedTuple):
    """weight (count, features): a row for each id, or for each position."""

    weight: Array


@takes_numbers
def embedding(count: int, features: int, weight_init: Initializer = _UNIT_NORMAL) -> Layer[EmbeddingParams]:
    """A learned row of `features` numbers for each of the ids 0 … count − 1.

    X (batch, ...) of integers; Y (batch, ..., features).

    The rule: Y = H · W, with a row of H for each id that is 1 at the id and 0 elsewhere. So dE/dW = Hᵀ · dE/dY: each
    row of dE/dW is the sum of dE/dY over all places where its id stands. Ids have no gradient; None stands for dE/dX.

    Y. Bengio et al., "A neural probabilistic language model", JMLR 2003.

    Raises:
        TypeError: the ids are not integers.
        ValueError: an id is negative, or count or more. (JAX cannot raise: there Y is NaN at such an id.)

    >>> import numpy as np, purenet as pn
    >>> layer = pn.embedding(10, 3)
    >>> y, pullback = layer.vjp(layer.init(pn.key(0)), np.array([[7, 2, 7]]))
    >>> dparams, dx = pullback(np.ones((1, 3, 3), np.float32))
    >>> y.shape, dparams.weight[:, 0], dx
    ((1, 3, 3), array([0., 0., 1., 0., 0., 0., 0., 2., 0., 0.], dtype=float32), None)
    """
    check_sizes("embedding", "a count and features", count, features)
    name = called("embedding", locals())

    def within(ids: Any) -> None:
        if ids.size and not (ids.min() >= 0 and ids.max() < count):
            raise ValueError(f"{name} takes ids from 0 to {count - 1}, but x holds ids from {ids.min()} to {ids.max()}")

    def rule(ops: Ops, params: EmbeddingParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        ids = ops.reshape(x, (math.prod(x.shape),))

        def pull(dy: Array, wrt_x: bool) -> tuple[EmbeddingParams, None]:
            return EmbeddingParams(ops.add_rows(ids, ops.reshape(dy, (math.prod(x.shape), features)), count)), None

        y = ops.or_nan(ops.take(params.weight, ids, axis=0), lambda: (ids >= 0)[:, None])
        return ops.reshape(y, (*x.shape, features)), pull

    spec = Spec(
        name,
        x="ids = batch ...: int",
        y="batch ... features",
        params=EmbeddingParams._make(["count features"]),
        init=EmbeddingParams._make([weight_init]),
        sizes={"count": count, "features": features},
        hints=(lambda shape, sizes: "write x.reshape(1)" if shape == () else "",),
        values=within,
    )
    return layer(spec, rule)


def _in_pieces(rule: Callable[[Ops, Any, Array, int], tuple[Array, Pull]]) -> Rule:
    """The rule of `rule(ops, params, x, begun)`, where so many places were before; with a state, which tells them."""

    def whole(ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        if type(x) is not tuple:
            return rule(ops, params, x, 0)
        piece, past = x
        begun = 0 if past is None else past.shape[1]
        y, pull = rule(ops, params, piece, begun)

        def pull_piece(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            dparams, dx = pull(dy[0], wrt_x)
            return dparams, (dx, None if past is None else ops.zeros_like(past))

        return (y, ops.zeros((piece.shape[0], begun + piece.shape[1], 0), dtype=piece.dtype)), pull_piece

    return whole


def _and_places(in_shape: Any) -> Any:
    """The shapes of Y and of the state, as far as they are known."""
    y, past = in_shape
    return y, (places_so_far(y, past), 0)


@preset
def positional_encoding(base: float = 10_000.0) -> Layer[NoParams]:
    """Sines and cosines of the position are added, each pair of features at a wavelength of its own: 2π up to 2π·base.

    Y[t, 2i] = X[t, 2i] + sin(t / base^(2i/features)), and the cosine for 2i + 1. X and Y (batch, time, features). What
    is added does not depend on X: dE/dX = dE/dY.

    A sequence may come piece by piece, as causal attention takes it: x = (X, state), where the state is None at first,
    gives (Y, state), the state to go on with. It is (batch, places so far, 0): it says how many there were and holds
    nothing else. So `stacked(positional_encoding, *blocks)` keeps the places beside what the blocks keep.

    A. Vaswani et al., "Attention is all you need", NeurIPS 2017.

    >>> import numpy as np, purenet as pn
    >>> pn.positional_encoding.apply((), np.zeros((1, 2, 4))).round(4)
    array([[[0.    , 1.    , 0.    , 1.    ],
            [0.8415, 0.5403, 0.01  , 1.    ]]])
    >>> _, state = pn.positional_encoding.apply((), (np.zeros((1, 1, 4)), None))
    >>> pn.positional_encoding.apply((), (np.zeros((1, 1, 4)), state))[0].round(4)
    array([[[0.8415, 0.5403, 0.01  , 1.    ]]])
    """
    name = called("positional_encoding", locals())
    if not base > 0:
        raise ValueError(f"positional_encoding takes a positive base, not {base!r}")

    def rule(ops: Ops, params: NoParams, x: Array, begun: int) -> tuple[Array, Pull]:
        time, features = x.shape[1:]
        pair = np.arange(features) // 2
        angle = np.arange(begun, begun + time)[:, None] * base ** (-2 * pair / features)
        table = np.where(np.arange(features) % 2, np.cos(angle), np.sin(angle))
        return x + ops.asarray(table, dtype=x.dtype), lambda dy, wrt_x: ((), dy)

    return layer(Spec(name, x=_PLACED, y=[_PLACED[0], _and_places]), _in_pieces(rule))


@takes_numbers
def learned_positions(
    length: int, features: int | None = None, weight_init: Initializer = _SMALL_NORMAL
) -> Layer[EmbeddingParams]:
    """A learned row is added at each position, for sequences up to `length`: Y[:, t] = X[:, t] + W[t].

    X and Y (batch, time, features), time ≤ length; W (length, features). A sequence may come piece by piece, as of
    `positional_encoding`.

    The rule: dE/dW[t] = Σ dE/dY[:, t] over the batch, 0 for positions beyond; dE/dX = dE/dY.

    J. Gehring et al., "Convolutional sequence to sequence learning", ICML 2017.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.learned_positions(8, 2)
    >>> params = layer.init(pn.key(0))
    >>> params.weight.shape, layer.apply(params, np.zeros((4, 5, 2), np.float32)).shape
    ((8, 2), (4, 5, 2))
    """
    sizes = (length,) if features is None else (length, features)
    check_sizes("learned_positions", "a length and features", *sizes)

    def long_enough(sizes: Sizes) -> str:
        time = (sizes.get("past") or 0) + (sizes.get("time") or 0)
        return f"has {length} positions, but the sequence has {time} steps" if time > length else ""

    def rule(ops: Ops, params: EmbeddingParams, x: Array, begun: int) -> tuple[Array, Pull]:
        _, time, size = x.shape

        def pull(dy: Array, wrt_x: bool) -> tuple[EmbeddingParams, Array]:
            before, beyond = (ops.zeros((n, size), dtype=dy.dtype) for n in (begun, length - begun - time))
            rows = ops.sum_rows(ops.reshape(dy, (dy.shape[0], time * size)))
            return EmbeddingParams(ops.concat([before, ops.reshape(rows, (time, size)), beyond])), dy

        return x + params.weight[begun : begun + time, :], pull

    spec = Spec(
        called("learned_positions", locals(), 2),
        x=_PLACED,
        y=[_PLACED[0], _and_places],
        params=EmbeddingParams._make(["length features"]),
        init=EmbeddingParams._make([weight_init]),
        sizes={"length": length, "features": features},
        complete=f"learned_positions({length}, features)",
        fits=long_enough,
    )
    return layer(spec, _in_pieces(rule))
