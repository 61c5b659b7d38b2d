"""Layers side by side, a layer with a way around it, and what is handed on beside a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from purenet.combinators.compose import Placed, check_layers, check_tuple, composed, sum_trees
from purenet.combinators.several import handed_on, total
from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Shape, are_several, describe, floating, is_open, may_be_equal, shape_text
from purenet.random import Key, split
from purenet.spec import Pull, Rule, check_array
from purenet.values import brief, call, hinted


@hinted
def parallel(*layers: Layer[Any]) -> Layer[tuple[Any, ...]]:
    """Several inputs, each to a layer of its own: a tuple X to the tuple Y with Yᵢ = fᵢ(Xᵢ).

    Params are a tuple with an entry for each layer. Each layer has its own rule: dE/dXᵢ comes from dE/dYᵢ alone. To
    make one array of Y, put `add`, `mul` or `concat` after it.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(parallel(pn.dense(2, 3), pn.flatten), pn.concat)
    >>> net.apply(net.init(pn.key(0)), (np.ones((5, 2), np.float32), np.ones((5, 2, 2), np.float32))).shape
    (5, 7)
    """
    return _side_by_side("parallel", layers, False)


@hinted
def fan_out(*layers: Layer[Any]) -> Layer[tuple[Any, ...]]:
    """One input to several layers: X to the tuple Y with Yᵢ = fᵢ(X). To make one array of it: `add`, `mul`, `concat`.

    Params are a tuple with an entry for each layer. X reaches E by each of the layers, so its gradients add up:
    dE/dX = Σᵢ dE/dX by way of fᵢ.

    >>> import numpy as np, purenet as pn
    >>> wide_and_deep = pn.serial(fan_out(pn.dense(1), pn.serial(pn.dense(8), pn.tanh, pn.dense(1))), pn.add)
    >>> wide_and_deep.shape((4,))
    (1,)
    """
    return _side_by_side("fan_out", layers, True)


def _side_by_side(kind: str, layers: tuple[Layer[Any], ...], same_x: bool) -> Layer[tuple[Any, ...]]:
    """`parallel`, or `fan_out` where all layers have the same x."""
    check_layers(kind, layers)
    if not layers:
        raise ValueError(f"{kind} takes at least one layer")
    name, count = call(kind, *layers), len(layers)
    who = brief(name)
    places = [Placed(i, layer) for i, layer in enumerate(layers)]

    def each_shape(in_shape: Shape | None) -> Any:
        if same_x or in_shape is None:
            return (in_shape,) * count
        return check_tuple(in_shape, count, who, "several inputs, so in_shape is")

    def shape(in_shape: Shape | None) -> Shape | None:
        out_shapes = tuple(layer.shape(each) for layer, each in zip(places, each_shape(in_shape), strict=True))
        return None if None in out_shapes else out_shapes

    def init(key: Key, in_shape: Shape | None = None) -> tuple[Any, ...]:
        calls = zip(places, split(key, count), each_shape(in_shape), strict=True)
        return tuple(layer.init(layer_key, each) for layer, layer_key, each in calls)

    def check(params: Any, x: Any) -> None:
        check_tuple(params, count, who, "params that are")
        if not same_x:
            check_tuple(x, count, who, "an x that is")

    def rule(rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        xs = (x,) * count if same_x else x
        keys = (None,) * count if key is None else split(key, count)
        calls = zip(rules, params, xs, keys, strict=True)
        y, pulls = zip(*(each(ops, p, x, k) for each, p, x, k in calls), strict=True)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            check_tuple(dy, count, f"the pullback of {who}", "a dE/dY that is")
            dparams, dxs = zip(*(pull(each, wrt_x) for pull, each in zip(pulls, dy, strict=True)), strict=True)
            return dparams, None if not wrt_x else sum_trees(dxs) if same_x else dxs

        return y, pull

    shape(None)  # sizes that cannot fit are found here
    return composed(name, layers, rule, check, init, shape)


@hinted
def residual(layer: Layer[Any]) -> Layer[Any]:
    """A layer and a way around it: Y = X + f(X). Its params are those of the layer.

    X reaches E both ways: dE/dX = dE/dY + (dE/dX by way of f), so a gradient of 1 comes through however deep the net.
    f(X) must have the shape of X; where it has not, project X: `serial(fan_out(f, dense(n)), add)`. Of several inputs
    the first is added, Y = X₀ + f(X): so attention to other places (X₀ to X₁, or under a mask) has its way around it,
    `residual(multi_head_attention(features, heads))`. Of several outputs too: what stands after the first, such as a
    state, is handed on.

    K. He et al., "Deep residual learning for image recognition", CVPR 2016.

    >>> import numpy as np, purenet as pn
    >>> residual(pn.tanh).apply((), np.array([[0.0, 100.0]]))
    array([[  0., 101.]])
    """
    check_layers("residual", (layer,))
    name = call("residual", layer)
    who = brief(name)
    inner = Placed(0, layer)

    def check_shapes(in_shape: Shape, out_shape: Shape) -> None:
        if tuple(in_shape) != tuple(out_shape):
            raise ValueError(
                f"{who} adds its input to the output of its layer, so their shapes must be equal: "
                f"the input has {shape_text(tuple(in_shape))}, the output {shape_text(tuple(out_shape))}"
            )

    def first_shape(in_shape: Any) -> Any:
        return in_shape[0] if are_several(in_shape) else in_shape

    def shape(in_shape: Shape | None) -> Shape | None:
        out_shape, added = inner.shape(in_shape), first_shape(in_shape)
        changed = first_shape(out_shape)
        if added is not None and changed is not None and not may_be_equal(added, changed):
            check_shapes(added, changed)
        return out_shape

    def init(key: Key, in_shape: Shape | None = None) -> Any:
        shape(in_shape)
        return inner.init(key, in_shape)

    def rule(rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        y, pull_inner = rules[0](ops, params, x, key)
        several, hands_on = type(x) is tuple, type(y) is tuple
        added, changed = x[0] if several else x, y[0] if hands_on else y
        check_shapes(added.shape, changed.shape)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            dparams, dx = pull_inner(dy, wrt_x)
            if not wrt_x:
                return dparams, None
            around = dy[0] if hands_on else dy
            return dparams, (dx[0] + around, *dx[1:]) if several else dx + around

        return (added + changed, *y[1:]) if hands_on else added + changed, pull

    shape(None)

    def check(params: Any, x: Any) -> None:
        if type(x) is tuple and x:
            check_array(x[0], who, "x[0]", alone=False)
            floating(x[0], who)
        else:
            check_array(x, who)
            floating(x, who)

    return composed(name, (layer,), rule, check, init, shape, matrices=True)


@hinted
def on_first(layer: Layer[Any]) -> Layer[Any]:
    """The layer on the first part of X; the rest is handed on: (X₁, rest …) to (f(X₁), rest …). Params are the layer's.

    For what stands beside the data, such as the lengths of padded sequences, of which the layer knows nothing. With
    `keep_rest`, a net for padded sequences is still one `serial`:

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(
    ...     pn.on_first(pn.embedding(10, 4)),  # (ids, lengths) to (vectors, lengths)
    ...     pn.keep_rest(pn.lstm(4, 8)),  # (vectors, lengths) to (outputs, lengths)
    ...     pn.lstm(8, 8, last=True),  # (outputs, lengths) to the last outputs
    ...     pn.dense(2),
    ... )
    >>> ids, lengths = np.array([[3, 1, 2], [7, 0, 0]]), np.array([3, 1])
    >>> net.apply(net.init(pn.key(0)), (ids, lengths)).shape
    (2, 2)

    An X with nothing beside it goes to the layer as it is: the same net takes sequences that are not padded.

    The rule: dE/dX₁ is the layer's, and of the rest dE/dX = dE/dY, or None where it holds integers or booleans.
    """
    return _with_rest("on_first", layer, False)


@hinted
def keep_rest(layer: Layer[Any]) -> Layer[Any]:
    """The layer on all of X; what stands after its first part is handed on too: (X₁, rest …) to (f(X), rest …).

    For a layer that takes lengths or a mask, where the layer after it takes them again: see `on_first`. Its params are
    the layer's. An X with nothing beside it goes to the layer as it is. The rest reaches E both ways: dE/dX is the
    layer's and, for the rest, that and dE/dY; None where it holds integers or booleans.

    >>> import numpy as np, purenet as pn
    >>> keep_rest(pn.add).apply((), (np.array([1.0]), np.array([2.0])))
    (array([3.]), array([2.]))
    """
    return _with_rest("keep_rest", layer, True)


def _with_rest(kind: str, layer: Layer[Any], sees_rest: bool) -> Layer[Any]:
    check_layers(kind, (layer,))
    name, inner = call(kind, layer), Placed(0, layer)
    who = brief(name)

    def parted(x: Any, takes: str, count: int | None = None) -> tuple[Any, Any]:
        """What the layer takes of x, and the rest."""
        if type(x) is not tuple or len(x) < 2 or count not in (None, len(x)):
            given = f"a tuple of {len(x)}" if type(x) is tuple else describe(x)
            raise ValueError(f"{who} takes {takes} a tuple of {count or 'two or more'}, not {given}")
        return x if sees_rest else x[0], x[1:]

    def shape(in_shape: Shape | None) -> Shape | None:
        if in_shape is None or is_open(in_shape):  # as of a recurrent layer, which may give a state or none
            inner.shape(None)  # sizes that cannot fit are found here
            return None
        if not are_several(in_shape):
            return inner.shape(in_shape)
        given, rest = parted(in_shape, "several inputs, so in_shape is")
        out_shape = inner.shape(given)
        return None if out_shape is None else (out_shape, *rest)

    def init(key: Key, in_shape: Shape | None = None) -> Any:
        if in_shape is None or is_open(in_shape):
            return inner.init(key, None)
        if are_several(in_shape):
            in_shape, _ = parted(in_shape, "several inputs, so in_shape is")
        return inner.init(key, in_shape)

    def rule(rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        if type(x) is not tuple:
            return rules[0](ops, params, x, key)
        given, rest = parted(x, "an x that is")
        y, pull_inner = rules[0](ops, params, given, key)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            _, drest = parted(dy, f"in its pullback a dE/dY that is, as Y is, (dE/d{brief(layer.name)}, …),", len(x))
            dparams, dgiven = pull_inner(dy[0], wrt_x)
            if not wrt_x:
                return dparams, None
            drest = handed_on(rest, drest, who)
            if not sees_rest:
                return dparams, (dgiven, *drest)
            first, *others = dgiven
            return dparams, (first, *map(total, others, drest))

        return (y, *rest), pull

    def check(params: Any, x: Any) -> None:
        if type(x) is tuple:
            parted(x, "an x that is")

    shape(None)
    return composed(name, (layer,), rule, check, init, shape)
