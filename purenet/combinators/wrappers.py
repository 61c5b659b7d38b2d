"""A layer that is run in another way: frozen, with its forward pass run again, with shared params, at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from purenet import tree
from purenet.combinators.compose import Placed, check_layers, check_tuple, composed, sum_trees
from purenet.core import Buffer, Layer
from purenet.engine import Ops
from purenet.engine.arrays import Shape, describe, is_open, match_gradient
from purenet.random import Key
from purenet.spec import Pull, Rule, check_array
from purenet.values import brief, call, hinted


@hinted
def frozen(layer: Layer[Any]) -> Layer[Buffer]:
    """The layer as a fixed function: it hands dE/dX on, but its params have no gradient and are never updated.

    Its params are `Buffer(params of the layer)`; put trained ones there. It always runs in inference mode, with or
    without a key: frozen batch norm uses its running statistics, which do not move, and frozen dropout drops nothing.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(frozen(pn.dense(2, 3)), pn.tanh, pn.dense(1))
    >>> params = net.init(pn.key(0))
    >>> type(params[0]).__name__, params[0].value.weight.shape
    ('Buffer', (2, 3))
    """
    check_layers("frozen", (layer,))
    name, inner = call("frozen", layer), Placed(0, layer)
    who = brief(name)

    def init(key: Key, in_shape: Shape | None = None) -> Buffer:
        return Buffer(inner.init(key, in_shape))

    def check(params: Any, x: Any) -> None:
        if type(params) is not Buffer:
            raise ValueError(f"{who} takes params that are a Buffer, not {describe(params)}: write Buffer(params)")

    def rule(rules: Sequence[Rule], ops: Ops, params: Buffer, x: Any, key: Key | None) -> tuple[Any, Pull]:
        y, pull = rules[0](ops, ops.fixed(params.value), x, None)
        return y, lambda dy, wrt_x: (tree.map(ops.no_step, params), pull(dy, True)[1] if wrt_x else None)

    return composed(name, (layer,), rule, check, init, matrices=True)


@hinted
def remat(layer: Layer[Any]) -> Layer[Any]:
    """The same layer in less memory: between forward and pullback it keeps only params, x and the key.

    The pullback runs the forward pass once more, for what the rule needs of it: about a third more time. Its params
    are those of the layer. T. Chen et al., "Training deep nets with sublinear memory cost", 2016.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = remat(pn.tanh).vjp((), np.array([[0.0, 1.0]]))
    >>> pullback(np.ones((1, 2)))[1]
    array([[1.        , 0.41997434]])
    """
    check_layers("remat", (layer,))

    def rule(rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        y, _ = rules[0](ops, params, x, key)
        return y, lambda dy, wrt_x: rules[0](ops, params, x, key)[1](dy, wrt_x)

    return composed(call("remat", layer), (layer,), rule, matrices=True)


@hinted
def tied(net: Layer[Any]) -> Layer[Any]:
    """A net whose layers all use the same params: `tied(serial(f, f))`, or parallel or fan_out instead of serial.

    Its params are those of one layer. Each use has a gradient, and they add up: dE/dP = Σᵢ dE/dPᵢ. (A buffer takes the
    mean step of all uses: the sum could carry it beyond where they lead.) The layers may differ, if they take the same
    params.

    J. Bromley et al., "Signature verification using a Siamese time delay neural network", NeurIPS 1993.

    >>> import numpy as np, purenet as pn
    >>> twice = tied(pn.serial(pn.dense(1, 1, bias=False), pn.dense(1, 1, bias=False)))
    >>> params = twice.init(pn.key(0))._replace(weight=np.array([[3.0]]))
    >>> y, pullback = twice.vjp(params, np.array([[1.0]]))
    >>> y, pullback(np.array([[1.0]]))[0].weight  # y = w², dy/dw = 2w
    (array([[9.]]), array([[6.]]))
    """
    check_layers("tied", (net,))
    name, count, inner = call("tied", net), len(net.parts), Placed(0, net)
    who = brief(name)
    if not count:
        raise ValueError(
            f"tied takes a serial, parallel or fan_out of layers, as in tied(serial(f, f)), not {brief(net.name)}"
        )

    def init(key: Key, in_shape: Shape | None = None) -> Any:
        params = inner.init(key, in_shape)
        first, *others = check_tuple(params, count, who, "a net with params that are")
        for other in others:
            tree.check_same(first, other, f"{who}: its layers cannot share params, for they differ at params")
        return first

    def rule(rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        y, pull_all = rules[0](ops, (params,) * count, x, key)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            each, dx = pull_all(dy, wrt_x)
            return sum_trees(each), dx

        return y, pull

    return composed(name, (net,), rule, init=init)


@hinted
def map_time(layer: Layer[Any]) -> Layer[Any]:
    """The layer at each step of a sequence: X (batch, time, ...) to Y (batch, time, ...). Its params are the layer's.

    Every step counts as an example of its own, in a batch of batch·time; dropout drops at each independently. The rule
    is the layer's, on that batch.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(map_time(pn.serial(pn.flatten, pn.dense(3))))
    >>> net.apply(net.init(pn.key(0), (5, 2, 2)), np.ones((4, 5, 2, 2), np.float32)).shape
    (4, 5, 3)
    """
    check_layers("map_time", (layer,))
    name, inner = call("map_time", layer), Placed(0, layer)
    who = brief(name)

    def step(in_shape: Shape | None) -> Shape | None:
        if in_shape is not None and len(in_shape) < 1:
            raise ValueError(f"{who} takes (batch, time, ...), but its input has no axis of time")
        return in_shape if in_shape is None or is_open(in_shape) else in_shape[1:]

    def shape(in_shape: Shape | None) -> Shape | None:
        out_shape = inner.shape(step(in_shape))
        if in_shape is None or out_shape is None or is_open(out_shape):
            return out_shape if is_open(out_shape) else None
        return (in_shape[0], *out_shape)

    def init(key: Key, in_shape: Shape | None = None) -> Any:
        return inner.init(key, step(in_shape))

    def check(params: Any, x: Any) -> None:
        check_array(x, who)
        step(tuple(x.shape[1:]))

    def rule(rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        def folded(a: Any) -> Any:
            return ops.reshape(a, (a.shape[0] * a.shape[1], *a.shape[2:]))

        def unfolded(a: Any) -> Any:
            return ops.reshape(a, (*x.shape[:2], *a.shape[1:]))

        flat, pull_flat = rules[0](ops, params, folded(x), key)
        y = unfolded(flat)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            match_gradient(dy, y.shape, y.dtype, who)
            dparams, dx = pull_flat(folded(dy), wrt_x)
            return dparams, None if dx is None else unfolded(dx)

        return y, pull

    return composed(name, (layer,), rule, check, init, shape)
