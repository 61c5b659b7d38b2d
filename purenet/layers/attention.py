"""Attention: each place of a sequence takes what it needs from the places of a sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from purenet.core import Layer, Pullback
from purenet.engine.arrays import compact, describe, floating, match, namespace, overwrite, sum_last, whose
from purenet.initializers import Initializer, glorot_uniform, zeros
from purenet.layers.dense import DenseParams, dense
from purenet.presets import called
from purenet.random import Key, split


class AttentionParams(NamedTuple):
    """The dense layers that make queries, keys and values of x, and the output of the heads; the keys have no bias."""

    query: DenseParams
    key: DenseParams
    value: DenseParams
    out: DenseParams


def multi_head_attention(
    features: int,
    heads: int,
    *,
    causal: bool = False,
    bias: bool = True,
    weight_init: Initializer = glorot_uniform,
    bias_init: Initializer = zeros,
) -> Layer[AttentionParams]:
    """Scaled dot-product attention with several heads: Y = softmax(Q · Kᵀ / √d) · V in each head.

    Q, K and V are dense layers of x, cut into heads of d = features / heads; a dense layer of all heads is the output.
    The keys have no bias: it would add one number to all scores of a query, which softmax takes off again (its gradient
    is 0 wherever it exists).

    x is, with any number of features in the keys and values:
        X (batch, time, features)                            self-attention
        (X, mask)                                            the same, padded
        (queries (batch, t, features), keys_values (batch, s, any))           cross-attention
        (queries, keys_values, mask)                         the same, padded

    `mask` (batch, s) is boolean, True where there is something to attend to. With `causal=True` place i attends to the
    places up to i. A place with nothing to attend to gets heads of 0 (and no NaN). What stands in the padding must be
    finite. Y is (batch, time, features); dx mirrors x, with None for the mask.

    The rule, in each head, with S = Q · Kᵀ / √d, E = exp(S − max S) (0 where masked), L = Σ E over the keys,
    P = E / L and Y = P · V:
        dE/dV = Pᵀ · dE/dY        dE/dP = dE/dY · Vᵀ
        dE/dS = P ⊙ (dE/dP − Σ dE/dP ⊙ P), the rule of softmax
        dE/dQ = dE/dS · K / √d        dE/dK = dE/dSᵀ · Q / √d
    Σ dE/dP ⊙ P is Σ dE/dY ⊙ Y too, which is cheaper but rounds otherwise: where one key has all the weight, P is 1 and
    dE/dS is 0, and only the same products make it so.

    A. Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Raises:
        ValueError: heads do not divide features; the axes or sizes of x are not those above.
        TypeError: x and the params differ in dtype, or the mask is not boolean.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.multi_head_attention(8, heads=2, causal=True)
    >>> params = layer.init(pn.key(0))
    >>> y, pullback = layer.vjp(params, np.ones((4, 5, 8), np.float32))
    >>> dparams, dx = pullback(np.ones_like(y))
    >>> y.shape, dparams.query.weight.shape, dx.shape
    ((4, 5, 8), (8, 8), (4, 5, 8))
    """
    for size in (features, heads):
        if type(size) is not int or size < 1:
            raise ValueError(f"multi_head_attention takes positive integers, features and heads, not {size!r}")
    if features % heads:
        raise ValueError(f"multi_head_attention({features}, {heads}): {heads} heads do not divide {features} features")
    name = called("multi_head_attention", features, heads, causal=(causal, False), bias=(bias, True))
    project = dense(features, bias=bias, weight_init=weight_init, bias_init=bias_init)
    layers = project, dense(features, bias=False, weight_init=weight_init), project, project  # of AttentionParams

    def shape(in_shape: Any) -> Any:
        if in_shape is None or in_shape == (..., features):
            return (..., features)
        queries, keys_values, mask = _unpack(in_shape, type(in_shape[0]) is tuple, len, name)
        _check_shapes(name, features, queries, keys_values, mask)
        return queries

    def init(key: Key, in_shape: Any = None) -> AttentionParams:
        shape(in_shape)
        attended = (features,)
        if in_shape is not None:
            attended = _unpack(in_shape, type(in_shape[0]) is tuple, len, name)[1][-1:]
        inputs = (features,), attended, attended, (features,)
        return AttentionParams(*(f.init(k, n) for f, k, n in zip(layers, split(key, 4), inputs, strict=True)))

    def check(params: AttentionParams, x: Any) -> tuple[Any, tuple[Any, Any, Any]]:
        """The mask, and what queries, keys and values are made of."""
        queries, keys_values, mask = _unpack(x, type(x) is tuple, lambda part: part.ndim - 1, name)
        xp = floating(queries, name)
        if type(params) is not AttentionParams:
            raise ValueError(f"{name} takes AttentionParams, not {describe(params)}. {whose(params)}")
        if mask is not None and not xp.isdtype(mask.dtype, "bool"):
            raise TypeError(f"{name} takes a boolean mask, True where there is something, not {describe(mask)}")
        shapes = [None if part is None else tuple(part.shape) for part in (queries, keys_values, mask)]
        if len({s[0] for s in shapes if s}) > 1:
            raise ValueError(f"{name}: the parts of x must have one batch size, but their shapes are {shapes}")
        _check_shapes(name, features, *(s and s[1:] for s in shapes))
        return mask, (queries, keys_values, keys_values)

    def apply(params: AttentionParams, x: Any, key: Key | None = None) -> Any:
        mask, inputs = check(params, x)
        q, k, v = (f.apply(p, part) for f, p, part in zip(layers, params, inputs, strict=False))
        return project.apply(params.out, attend(namespace(q), q, k, v, mask, heads, causal)[0])

    def vjp(params: AttentionParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[AttentionParams]]:
        mask, inputs = check(params, x)
        projected = [f.vjp(p, part) for f, p, part in zip(layers, params, inputs, strict=False)]
        (q, pull_q), (k, pull_k), (v, pull_v) = projected
        attended, pull = attend(namespace(q), q, k, v, mask, heads, causal)
        y, pull_out = project.vjp(params.out, attended)
        y_shape, dtype = y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[AttentionParams, Any]:
            match(dy, y_shape, dtype, name)
            dout, dattended = pull_out(dy)
            dq, dk, dv = pull(dattended)
            dquery, dqueries = pull_q(dq, wrt_x)
            dkey, dkeys = pull_k(dk, wrt_x)
            dvalue, dvalues = pull_v(dv, wrt_x)
            dparams = AttentionParams(dquery, dkey, dvalue, dout)
            if not wrt_x:
                return dparams, None
            dkeys_values = dkeys + dvalues
            if type(x) is not tuple:
                return dparams, dqueries + dkeys_values
            if x[1].ndim == 2:  # (X, mask)
                return dparams, (dqueries + dkeys_values, None)
            return dparams, (dqueries, dkeys_values, None)[: len(x)]

        return y, pullback

    return Layer(init, apply, vjp, shape, name)


def attend(xp: Any, q: Any, k: Any, v: Any, mask: Any, heads: int, causal: bool) -> tuple[Any, Callable[[Any], Any]]:
    """Attention in each head, of q (batch, t, features), k and v (batch, s, features): Y, and dE/dY → dE/dQ, dK, dV."""
    (batch, t, features), s = q.shape, k.shape[1]
    size = features // heads
    scale = size**-0.5

    def cut(a: Any) -> Any:
        """(batch, time, features) to (batch, heads, time, size)."""
        return xp.permute_dims(xp.reshape(a, (batch, a.shape[1], heads, size)), (0, 2, 1, 3))

    def join(a: Any) -> Any:
        return xp.reshape(xp.permute_dims(a, (0, 2, 1, 3)), (batch, a.shape[2], features))

    def turn(a: Any) -> Any:
        return xp.permute_dims(a, (0, 1, 3, 2))

    q, k, v = cut(q * scale), cut(k), cut(v)
    e = q @ compact(turn(k))  # BLAS takes twice as long for the product of small matrices with a turned view
    small = _small(e)
    allowed = None if mask is None else mask[:, None, None, :]
    if causal:
        past = xp.arange(t)[:, None] >= xp.arange(s)
        allowed = past if allowed is None else allowed & past
    if allowed is not None:
        e = xp.where(allowed, e, float(xp.finfo(e.dtype).min) / 2)  # half: taking the maximum off must not overflow
    if not small:
        e -= xp.max(e, axis=-1, keepdims=True)
    e = overwrite(xp.exp, e)
    if mask is not None:
        e = xp.where(allowed, e, 0)  # where nothing is allowed, the maximum was a masked one
    total = sum_last(e)
    if mask is not None:
        total = xp.where(total > 0, total, 1)
    e /= total

    def pull(dy: Any) -> tuple[Any, Any, Any]:
        dy = cut(dy)
        ds = dy @ compact(turn(v))
        ds -= xp.vecdot(ds, e)[..., None]
        ds *= e
        dq = join(ds @ k)
        dq *= scale
        return dq, join(turn(ds) @ q), join(turn(e) @ dy)

    return join(e @ v), pull


def _small(scores: Any) -> bool:
    """Whether exp takes these scores as they are: softmax takes the maximum off only to keep exp from overflowing.

    For NumPy to find the maximum of each row and to take it off takes twice as long as exp. Sums of exp(±40) are far
    from the ends of float32.
    """
    quick = type(scores) is np.ndarray and scores.dtype.itemsize >= 4 and scores.size > 0
    return quick and bool(scores.max() < 40 and scores.min() > -40)


def _unpack(x: Any, several: bool, axes: Callable[[Any], int], who: str) -> tuple[Any, Any, Any]:
    """(queries, keys and values, mask) of x, or of the shape of x; `axes` counts a part's axes without the batch."""
    if not several:
        return x, x, None
    if len(x) == 2:
        return (x[0], x[0], x[1]) if axes(x[1]) == 1 else (*x, None)
    if len(x) == 3:
        return x[0], x[1], x[2]
    raise ValueError(
        f"{who} takes x, (x, mask), (queries, keys_values) or (queries, keys_values, mask), not a tuple of {len(x)}"
    )


def _check_shapes(name: str, features: int, queries: Any, keys_values: Any, mask: Any) -> None:
    """Check shapes without the batch axis."""
    if len(queries) != 2 or queries[1] != features:
        raise ValueError(f"{name} takes x of shape (batch, time, {features}), not {_batch(queries)}")
    if len(keys_values) != 2 or not keys_values[0]:
        raise ValueError(f"{name} takes keys and values of shape (batch, time, features), not {_batch(keys_values)}")
    if mask is not None and mask != keys_values[:1]:
        raise ValueError(f"{name} takes a mask of shape (batch, {keys_values[0]}), a key each, not {_batch(mask)}")


def _batch(shape: Any) -> str:
    return f"({', '.join(map(str, ('batch', *shape)))})"
