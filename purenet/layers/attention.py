"""Attention: each place of a sequence takes what it needs from the places of a sequence."""

from __future__ import annotations

from typing import Any, NamedTuple

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array
from purenet.initializers import Initializer, glorot_uniform, zeros
from purenet.layers.dense import DenseParams, linear
from purenet.random import Key
from purenet.spec import Pull, Rule, Spec, check_sizes, layer
from purenet.values import called, takes_numbers


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
    places up to i. A place with nothing to attend to gets heads of 0 (and no NaN). Keys and values in the padding count
    for nothing, be they NaN. Y is (batch, time, features); dx mirrors x, with None for the mask.

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
    check_sizes("multi_head_attention", "features and heads", features, heads)
    if features % heads:
        raise ValueError(f"multi_head_attention({features}, {heads}): {heads} heads do not divide {features} features")
    queries, keys_values = "batch time features", "keys_values = batch keys attended"
    spec = Spec(
        called(
            "multi_head_attention",
            features,
            heads,
            causal=(causal, False),
            bias=(bias, True),
            unseen={"weight_init": (weight_init, glorot_uniform), "bias_init": (bias_init, zeros)},
        ),
        x=[
            queries,
            (queries, "mask = batch time: bool"),
            (queries, keys_values),
            (queries, keys_values, "mask = batch keys: bool"),
        ],
        y=[queries] * 4,
        params=_each("features features", "attended features", "features" if bias else None),
        init=_each(weight_init, weight_init, bias_init if bias else None),
        sizes={"features": features, "attended": "features"},
        fits=_fits,
    )

    return layer(spec, _rule(features, heads, causal))


def _rule(features: int, heads: int, causal: bool) -> Rule:
    def rule(ops: Ops, params: AttentionParams, x: Any, key: Key | None) -> tuple[Array, Pull]:
        queries, keys_values, mask = _unpack(x)
        alone = keys_values is None  # X, or (X, mask)
        attended = queries.shape if alone else keys_values.shape
        rows = ops.rows(queries)
        others = rows if alone else ops.rows(keys_values)
        if mask is not None:  # so that nothing depends on the keys and values in the padding, be they NaN
            others = ops.keep(others, ops.reshape(mask, (others.shape[0], 1)))
        q, pull_q = linear(ops, params.query, rows, key)
        k, pull_k = linear(ops, params.key, others, key)
        v, pull_v = linear(ops, params.value, others, key)
        q = ops.reshape(q, queries.shape)
        k, v = (ops.reshape(each, (*attended[:2], features)) for each in (k, v))
        heads_y, pull_heads = ops.attend(q, k, v, mask, heads, causal)
        y, pull_out = linear(ops, params.out, ops.rows(heads_y), key)

        def pull(dy: Array, wrt_x: bool) -> tuple[AttentionParams, Any]:
            dout, dheads = pull_out(ops.rows(dy), True)
            dq, dk, dv = map(ops.rows, pull_heads(ops.reshape(dheads, queries.shape)))
            dquery, dqueries = pull_q(dq, wrt_x)
            dkey, dkeys = pull_k(dk, wrt_x)
            dvalue, dvalues = pull_v(dv, wrt_x)
            dparams = AttentionParams(dquery, dkey, dvalue, dout)
            if not wrt_x:
                return dparams, None
            dothers = dkeys + dvalues
            if alone:
                dx = ops.reshape(dqueries + dothers, queries.shape)
                return dparams, (dx, None) if type(x) is tuple else dx
            return dparams, (ops.reshape(dqueries, queries.shape), ops.reshape(dothers, attended), None)[: len(x)]

        return ops.reshape(y, queries.shape), pull

    return rule


def _each(weight: Any, other_weight: Any, bias: Any) -> AttentionParams:
    """What is said of each parameter; the other weights are those of keys and values."""
    pairs = (weight, bias), (other_weight, None), (other_weight, bias), (weight, bias)
    return AttentionParams(*map(DenseParams._make, pairs))


def _unpack(x: Any) -> tuple[Any, Any, Any]:
    """(queries, keys and values, mask) of x; None for keys and values that are made of the queries."""
    if type(x) is not tuple:
        return x, None, None
    if len(x) == 3:
        return x[0], x[1], x[2]
    return (x[0], None, x[1]) if x[1].ndim == 2 else (*x, None)


def _fits(sizes: dict[str, Any]) -> str:
    """What the patterns cannot say: that there is a key, and which features the keys have if they are made of x."""
    if sizes.get("keys", sizes.get("time")) == 0:
        return "takes keys and values of at least one place, but there is none"
    features, attended = sizes["features"], sizes.get("attended")
    if "keys" not in sizes and attended not in (None, features):
        return (
            f"has params for keys and values of {attended} features, so it takes x = (queries, keys_values), "
            f"keys_values of shape (batch, keys, {attended}), and not x of {features} features alone"
        )
    return ""
