"""Attention: each place of a sequence takes what it needs from the places of a sequence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, conversion, dtype_name, holds, is_array, namespace
from purenet.initializers import Initializer, glorot_uniform, zeros
from purenet.layers.dense import DenseParams, linear
from purenet.layers.recurrence import check_lengths, lengths_fit, places_so_far
from purenet.random import Key, bernoulli
from purenet.spec import Maybe, Pull, Rule, Spec, check_sizes, layer
from purenet.values import called, takes_numbers

Apart = Callable[[Array], tuple[Any, Array]]  # dE/d(keys or values) to those of the past and to the new


class AttentionParams(NamedTuple):
    """The dense layers that make queries, keys and values of x, and the output of the heads; the keys have no bias."""

    query: DenseParams
    key: DenseParams
    value: DenseParams
    out: DenseParams


@takes_numbers
def multi_head_attention(
    features: int,
    heads: int,
    *,
    kv_heads: int | None = None,
    causal: bool | Literal["end"] = False,
    rotary: bool | float = False,
    dropout: float = 0.0,
    bias: bool = True,
    weight_init: Initializer = glorot_uniform,
    bias_init: Initializer = zeros,
) -> Layer[AttentionParams]:
    """Scaled dot-product attention with several heads: Y = softmax(Q · Kᵀ / √d) · V in each head.

    Q, K and V are dense layers of x, cut into heads of d = features / heads; a dense layer of all heads is the output.
    The keys have no bias: it would add one number to all scores of a query, which softmax takes off again (its gradient
    is 0 wherever it exists). With `kv_heads` there are only so many heads of keys and values, each for as many
    heads of queries, in their order.

    x is, with any number of features in the keys and values:
        X (batch, time, features)                            self-attention
        (X, mask)                                            the same, masked
        (queries (batch, t, features), keys_values (batch, s, any))           cross-attention
        (queries, keys_values, mask)                         the same, masked

    The mask tells what may be attended to. It is one of:
        lengths (batch,), integers                           so many of the first keys
        padding (batch, s), boolean                          the keys where it is True, for all queries
        (batch, heads or 1, t, s), boolean                   for each query the keys where it is True
        (batch, heads or 1, t, s), floating                  what is added to the scores S; where it is −∞, nothing
    (True is a key that counts, as in JAX, in Keras and in PyTorch's scaled_dot_product_attention; PyTorch's
    nn.MultiheadAttention has it the other way round.) Keys and values in the padding count for nothing, be they NaN. A
    place with nothing to attend to gets heads of 0 (and no NaN).

    With `causal=True` place i attends to the places up to i. With `causal="end"` the queries are the last places of the
    keys: query i attends to the keys up to i + s − t.

    A causal layer takes a sequence in pieces, of one place or more, as a recurrent layer does, and so samples in a time
    that grows with the length and not its square:
        (X, None) or (X, (K, V)) to (Y, (K, V))
        (X, None, mask) or (X, (K, V), mask)                 the same, masked
    where K and V (batch, so far, kv_heads · d) are the keys and values of all places so far, the state that is handed
    on. Y is what the whole sequence gives at these places; the last bits may differ, for BLAS may add up a product of
    other sizes in another order. The rule: dE/dK and dE/dV, or None for 0, are added to those of Y; what belongs to the
    past stands in dx. The mask is that of all places so far, those of X too. So a padded batch goes on: with padding
    in front, the places of each sequence stay side by side.

    K and V grow with each piece, so jit compiles each length anew. With a cache of fixed size it compiles once, inside
    `lax.scan` too: K and V (batch, capacity, kv_heads · d), and how many of their places are filled in each example:
        (X, (K, V, filled (batch,))) to (Y, (K, V, filled + time)), filled integers
    It begins with zeros; the dtype of `filled` must go up to the capacity. X stands behind the places that are filled,
    and attends to these and to itself. After a padded batch, with the padding behind, put the lengths in the place of
    `filled`, and the padding is written over.

    With `rotary=True` Q and K are turned by their places, so that a score depends on how far apart the two are. In each
    head the numbers (a, b) = (i, i + d/2), as in Llama and GPT-NeoX (the paper takes neighbours, (2i, 2i + 1)), are
    turned at place t by the angle θ = t / base^(2i/d):
        (a, b) → (a cos θ − b sin θ, b cos θ + a sin θ)
    The rule of a turn is the turn back, by −θ. The base is 10000, or `rotary` where it is a number. Places count from 0
    in the queries and in the keys, and go on after the past; with `causal="end"` the queries stand at the last of the
    keys' places.

    In training `dropout` is the share of the weights P that are dropped.

    Y is (batch, time, features); dx mirrors x, with None for a mask that is not added.

    The rule, in each head, with S = Q · Kᵀ / √d, E = exp(S − max S) (0 where masked), L = Σ E over the keys,
    P = E / L and Y = P · V:
        dE/dV = Pᵀ · dE/dY        dE/dP = dE/dY · Vᵀ
        dE/dS = P ⊙ (dE/dP − Σ dE/dP ⊙ P), the rule of softmax, which is dE/dmask too if the mask is added
        dE/dQ = dE/dS · K / √d        dE/dK = dE/dSᵀ · Q / √d
    Σ dE/dP ⊙ P is Σ dE/dY ⊙ Y too, which is cheaper but rounds otherwise: where one key has all the weight, P is 1 and
    dE/dS is 0, and only the same products make it so. Dropout is that of `dropout`, between P and the product with V.
    Keys and values that several heads share get the sum of what comes from each.

    A. Vaswani et al., "Attention is all you need", NeurIPS 2017; kv_heads: J. Ainslie et al., "GQA: training
    generalized multi-query transformer models from multi-head checkpoints", EMNLP 2023; rotary: J. Su et
    al., "RoFormer: enhanced transformer with rotary position embedding", 2021.

    Raises:
        ValueError: heads do not divide features, or kv_heads heads; d is odd, and has no pairs to turn; the axes or
            sizes of x are not those above; lengths are beyond the keys, or a cache has no room.
            (JAX cannot raise of either: there Y is NaN.)
        TypeError: x and the params differ in dtype.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.multi_head_attention(8, heads=2, causal=True)
    >>> params = layer.init(pn.key(0))
    >>> y, pullback = layer.vjp(params, np.ones((4, 5, 8), np.float32))
    >>> dparams, dx = pullback(np.ones_like(y))
    >>> y.shape, dparams.query.weight.shape, dx.shape
    ((4, 5, 8), (8, 8), (4, 5, 8))
    >>> empty = np.zeros((4, 16, 8), np.float32)  # a cache of 16 places
    >>> y, (K, V, filled) = layer.apply(params, (y, (empty, empty, np.zeros(4, int))))
    >>> K.shape, filled
    ((4, 16, 8), array([5, 5, 5, 5]))
    """
    options = _checked(features, heads, kv_heads, causal, rotary, dropout)
    x, y = _forms(bool(causal), options.shared)
    name = called("multi_head_attention", locals())
    patterns = "features features", "attended shared", "features" if bias else None, "shared" if bias else None
    inits = weight_init, weight_init, *(bias_init if bias else None,) * 2
    spec = Spec(
        name,
        x=x,
        y=y,
        params=_each(*patterns),
        init=_each(*inits),
        sizes={"features": features, "attended": "features", "shared": options.shared},
        fits=lambda sizes: _fits(heads, sizes),
        whole=lambda x: _state_misfit(bool(causal), x),
        values=lambda x: _check_lengths(name, x),
    )
    return layer(spec, _rule(options))


class _Options(NamedTuple):
    heads: int
    shared: int  # the features of keys and values
    causal: bool | str
    base: float  # of the angles by which queries and keys are turned, or 0
    dropout: float


def _checked(features: int, heads: int, kv_heads: int | None, causal: Any, rotary: Any, dropout: Any) -> _Options:
    who = f"multi_head_attention({features!r}, {heads!r})"
    check_sizes("multi_head_attention", "features and heads", features, heads)
    if features % heads:
        raise ValueError(f"{who}: {heads} heads do not divide {features} features")
    if kv_heads is not None:
        check_sizes(who, "kv_heads", kv_heads)
        if heads % kv_heads:
            raise ValueError(f"{who}: {kv_heads} heads of keys and values do not divide {heads} heads of queries")
    if causal not in (False, True, "end"):
        raise ValueError(f'{who} takes causal=True, False or "end", not {causal!r}')
    if not isinstance(rotary, int | float) or not (isinstance(rotary, bool) or 0 < rotary < np.inf):
        raise ValueError(f"{who} takes rotary=True, False or the base of its angles, such as 10000, not {rotary!r}")
    if rotary and features // heads % 2:
        raise ValueError(f"{who}: rotary turns pairs, but {features // heads} features of a head are odd")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"{who} takes dropout from 0 up to, but not, 1, the share that is dropped, not {dropout!r}")
    base = 10_000.0 if rotary is True else float(rotary)
    return _Options(heads, features // heads * (kv_heads or heads), causal, base, dropout)


def _forms(causal: bool, shared: int) -> tuple[list[Any], list[Any]]:
    """The forms of x and of Y; only a causal layer takes a state. Of two shapes that are known in part the second is
    that of keys and values."""
    queries, others = "batch time features", "keys_values = batch keys attended"

    def masks(keys: str) -> list[str]:
        pairs = f"mask = batch heads_or_1 time {keys}"
        return ["lengths = batch: int", f"mask = batch {keys}: bool", f"{pairs}: bool", pairs]

    alone = [(queries, mask) for mask in masks("time")]
    whole = [(queries, others), *alone, *[(queries, others, mask) for mask in masks("keys")]]
    if not causal:
        return [queries, *whole], [queries] * (1 + len(whole))

    def and_state(in_shape: Any) -> Any:
        """The shapes of Y and of all keys and values so far, as far as they are known."""
        y, past = in_shape[:2]
        if past is not None and len(past) == 3:
            return y, past
        return y, ((places_so_far(y, None if past is None else past[0] or ()), shared),) * 2

    past = Maybe(("K = batch past shared", "V = batch past shared"))
    cache = "K = batch capacity shared", "V = batch capacity shared", "filled = batch: int"
    pieces = [(queries, past), *[(queries, past, mask) for mask in masks("so_far")], (queries, cache)]
    return [queries, *pieces, *whole], [queries, *[and_state] * len(pieces), *[queries] * len(whole)]


def _rule(options: _Options) -> Rule:
    def rule(ops: Ops, params: AttentionParams, x: Any, key: Key | None) -> tuple[Any, Pull]:
        queries, keys_values, mask, stateful = _unpack(x)
        past = x[1] if stateful else None
        alone = keys_values is None  # X, or (X, mask)
        attended = queries.shape if alone else keys_values.shape
        rows = ops.rows(queries)
        others = rows if alone else ops.rows(keys_values)
        before = past[0].shape[1] if past else 0
        pairs, padding = (None, None) if mask is None else _of_pairs(ops, mask, before + attended[1])
        if padding is not None:  # so that nothing depends on the keys and values in the padding, be they NaN
            padding = ops.reshape(padding[:, before:], (others.shape[0], 1))
            others = ops.keep(others, padding)
        q, pull_q = linear(ops, params.query, rows, key)
        k, pull_k = linear(ops, params.key, others, key)
        v, pull_v = linear(ops, params.value, others, key)
        q = ops.reshape(q, queries.shape)
        k, v = (ops.reshape(a, (*attended[:2], options.shared)) for a in (k, v))
        heads_y, state, pull_heads = _in_heads(ops, options, q, (k, v), past, stateful, pairs, key)
        y, pull_out = linear(ops, params.out, ops.rows(heads_y), key)
        y = ops.reshape(y, queries.shape)
        if mask is not None and mask.ndim == 1:
            y = ops.or_nan(y, lambda: lengths_fit(mask, before + attended[1])[:, None, None])

        def pull(dy: Any, wrt_x: bool) -> tuple[AttentionParams, Any]:
            dy, dstate = dy if stateful else (dy, None)
            dout, dheads = pull_out(ops.rows(dy), True)
            dq, dk, dv, dpast, dpairs = pull_heads(ops.reshape(dheads, queries.shape), dstate)
            dquery, dqueries = pull_q(ops.rows(dq), wrt_x)
            dkey, dkeys = pull_k(ops.rows(dk), wrt_x)
            dvalue, dvalues = pull_v(ops.rows(dv), wrt_x)
            dparams = AttentionParams(dquery, dkey, dvalue, dout)
            if not wrt_x:
                return dparams, None
            dothers = dkeys + dvalues
            if dstate is not None and padding is not None:  # of which keys and values in the state have a gradient
                dothers = ops.keep(dothers, padding)
            if alone:
                dx = ops.reshape(dqueries + dothers, queries.shape)
                beside = (dpast, dpairs) if stateful else (dpairs,)
                return dparams, (dx, *beside)[: len(x)] if type(x) is tuple else dx
            return dparams, (ops.reshape(dqueries, queries.shape), ops.reshape(dothers, attended), dpairs)[: len(x)]

        return (y, state) if stateful else y, pull

    return rule


def _in_heads(
    ops: Ops, options: _Options, q: Array, new: tuple[Array, Array], past: Any, stateful: bool, pairs: Any, key: Any
) -> tuple[Array, Any, Callable[[Array, Any], tuple[Any, ...]]]:
    """Y of the heads, from queries and new keys and values: (Y, the state that is handed on, the rule
    `pull(dE/dY, dE/dstate) -> (dE/dq, dE/dk, dE/dv, dE/dpast, dE/dpairs)`)."""
    heads, _, causal, base, dropout = options
    (k, v), fixed = new, past is not None and len(past) == 3
    batch, t, features = q.shape
    begun, s, join = _before(ops, past, k.shape[1])
    start: Any = begun if stateful else s - t if causal == "end" else 0  # the place of the first query
    offset = None if causal is False else start[:, None, None, None] if fixed else start
    if base:
        size, capacity = features // heads, s if fixed else 0
        turn_q, turn_k = (_turns(ops, size, base, first, capacity, a) for first, a in ((start, q), (begun, k)))
        q, k = turn_q(q), turn_k(k)
    (k, apart_k), (v, apart_v) = join(k, past and past[0]), join(v, past and past[1])
    dropped = None
    if dropout and key is not None:
        dropped = ops.take_in(bernoulli(key, 1 - dropout, (batch, heads, t, s))), 1 / (1 - dropout)
    y, pull_heads = ops.attend(q, k, v, heads, pairs, offset, dropped)
    if fixed:
        y = ops.or_nan(y, lambda: lengths_fit(begun, s - t)[:, None, None])

    def pull(dy: Array, dstate: Any) -> tuple[Any, ...]:
        dq, dk, dv, dpairs = pull_heads(dy)
        if dstate is not None:
            dk, dv = (a if b is None else a + b for a, b in ((dk, dstate[0]), (dv, dstate[1])))
        (dk_past, dk), (dv_past, dv) = apart_k(dk), apart_v(dv)
        if base:
            dq, dk = turn_q(dq, back=True), turn_k(dk, back=True)
        dpast = None if past is None else (dk_past, dv_past, None)[: len(past)]
        return dq, dk, dv, dpast, dpairs

    return y, (k, v, *(each + t for each in past[2:])) if past else (k, v), pull


def _before(ops: Ops, past: Any, new: int) -> tuple[Any, int, Callable[[Array, Any], tuple[Array, Apart]]]:
    """What so many new places come to: (how many there are, of a cache in each example; how many places there are then;
    `join(new, old) -> (both, apart)` of keys or values, and the rule, `apart(dboth) -> (dold, dnew)`)."""
    if past is None:
        return 0, new, lambda a, _: (a, lambda d: (None, d))
    begun = past[0].shape[1]
    if len(past) == 3:
        filled = ops.astype(past[2], ops.arange(1).dtype)
        return filled, begun, partial(_written, ops, filled)

    def grown(a: Array, old: Array) -> tuple[Array, Apart]:
        return ops.concat([old, a], axis=1), lambda d: (d[:, :begun, :], d[:, begun:, :])

    return begun, begun + new, grown


def _written(ops: Ops, filled: Array, a: Array, cache: Array) -> tuple[Array, Apart]:
    """Keys or values written into a cache, behind the places that are filled in each example."""
    (batch, t, features), s = a.shape, cache.shape[1]
    place = ops.arange(s) - filled[:, None]
    written = (place >= 0) & (place < t)

    def taken(of: Array, places: Array) -> Array:
        ids = ops.arange(batch)[:, None] * of.shape[1] + places
        rows = ops.take(ops.rows(of), ops.reshape(ids, (batch * ids.shape[1],)), axis=0)
        return ops.reshape(rows, (batch, ids.shape[1], features))

    def apart(d: Array) -> tuple[Array, Array]:
        return ops.keep(d, ~written[..., None]), taken(d, filled[:, None] + ops.arange(t))

    return ops.where(written[..., None], taken(a, ops.where(written, place, 0)), cache), apart


def _turns(ops: Ops, size: int, base: float, start: Any, capacity: int, a: Array) -> Callable[..., Array]:
    """The turn of each head of queries or keys like these (batch, time, heads · size), and the turn back. They begin
    at the place `start`; with a capacity each example has its own."""
    batch, time, features = a.shape
    first, places = (0, capacity) if capacity else (start, time)
    cos, sin = (ops.asarray(each, dtype=a.dtype) for each in rotation(first, places, size, base))
    if capacity:
        ids = ops.reshape(start[:, None] + ops.arange(time), (batch * time,))
        cos, sin = (ops.reshape(ops.take(each, ids, axis=0), (batch, time, 1, size // 2)) for each in (cos, sin))

    def turn(a: Array, back: bool = False) -> Array:
        heads, way = ops.reshape(a, (batch, time, features // size, size)), -sin if back else sin
        first, second = heads[..., : size // 2], heads[..., size // 2 :]
        turned = ops.concat([first * cos - second * way, second * cos + first * way], axis=-1)
        return ops.reshape(turned, (batch, time, features))

    return turn


def rotation(start: int, time: int, size: int, base: float) -> tuple[Any, Any]:
    """The cosines and the sines (time, 1, size / 2) of the angles by which the pairs of a head are turned from the
    place `start` on."""
    angle = np.arange(start, start + time)[:, None, None] * base ** (-2 * np.arange(size // 2) / size)
    return np.cos(angle), np.sin(angle)


def _of_pairs(ops: Ops, mask: Array, s: int) -> tuple[Array, Array | None]:
    """(the mask of pairs of queries and keys, the padding (batch, s) if it is one)."""
    if mask.ndim == 4:
        return mask, None
    padding = ops.arange(s) < mask[:, None] if mask.ndim == 1 else mask
    return padding[:, None, None, :], padding


def _each(weight: Any, other_weight: Any, bias: Any, other_bias: Any) -> AttentionParams:
    """What is said of each parameter; the others are those of keys and values."""
    pairs = (weight, bias), (other_weight, None), (other_weight, other_bias), (weight, bias)
    return AttentionParams(*map(DenseParams._make, pairs))


def _unpack(x: Any) -> tuple[Any, Any, Any, bool]:
    """(queries, keys and values, mask, whether there is a place for the state) of x; None for keys and values that are
    made of the queries."""
    if type(x) is not tuple:
        return x, None, None, False
    if x[1] is None or type(x[1]) is tuple:
        return x[0], None, x[2] if len(x) == 3 else None, True
    if len(x) == 3:
        return *x, False
    return (*x, None, False) if x[1].ndim == 3 else (x[0], None, x[1], False)


def _check_lengths(name: str, x: Any) -> None:
    """Check that no sequence is longer than there are keys, and that a cache has room."""
    queries, keys_values, mask, stateful = _unpack(x)
    if stateful and x[1] and len(x[1]) == 3:
        (capacity, filled), new = (x[1][0].shape[1], x[1][2]), queries.shape[1]
        if len(filled) and not 0 <= filled.min() <= filled.max() <= capacity - new:
            raise ValueError(
                f"{name}: the cache has {capacity} places, but filled goes from {filled.min()} to {filled.max()}, "
                f"and x has {new} more: begin with zeros of more places"
            )
    if getattr(mask, "ndim", None) == 1:
        before = x[1][0].shape[1] if stateful and x[1] else 0
        check_lengths(name, mask, before + (queries if keys_values is None else keys_values).shape[1], "keys")


def _state_misfit(causal: bool, x: Any) -> str:
    """What is wrong with a state in x: that there is one, a mask beside a cache, or a dtype too small to count in."""
    if type(x) is not tuple or len(x) not in (2, 3) or not (x[1] is None or type(x[1]) is tuple):
        return ""
    if not causal:
        return "takes a state, (X, None) or (X, (K, V)), only if it is causal: write causal=True"
    if x[1] is None or len(x[1]) != 3:
        return ""
    if len(x) == 3:
        return "takes no mask beside a cache of fixed size, (K, V, filled): filled tells which places count"
    keys, _, filled = x[1]
    if not is_array(keys) or keys.ndim != 3 or not is_array(filled) or not holds(filled, "integral"):
        return ""
    if namespace(filled).iinfo(filled.dtype).max >= keys.shape[1]:
        return ""
    kind = dtype_name(filled.dtype)
    return (
        f"counts in the dtype of filled, but {kind} does not go up to {keys.shape[1]}, the places of the cache: "
        f"write {conversion('filled', filled, 'int32')}"
    )


def _fits(heads: int, sizes: dict[str, Any]) -> str:
    """What the patterns cannot say: that there is a key, which features the keys have if they are made of x, and of how
    many heads and places a mask is."""
    if sizes.get("keys", sizes.get("time")) == 0:
        return "takes keys and values of at least one place, but there is none"
    if sizes.get("heads_or_1", 1) not in (1, heads):
        return f"takes a mask for 1 or {heads} heads, but it is for {sizes['heads_or_1']}"
    past, time, so_far = sizes.get("past", 0), sizes.get("time"), sizes.get("so_far")
    if None not in (time, so_far) and so_far != past + time:
        return f"takes a mask of all places so far, {past} of the state and {time} of x, but it is for {so_far}"
    features, attended = sizes["features"], sizes.get("attended")
    alone = "batch" in sizes and "keys" not in sizes  # of shapes nothing but keys and values tells what is attended to
    if alone and attended not in (None, features):
        return (
            f"has params for keys and values of {attended} features, so it takes x = (queries, keys_values), "
            f"keys_values of shape (batch, keys, {attended}), and not x of {features} features alone"
        )
    return ""
