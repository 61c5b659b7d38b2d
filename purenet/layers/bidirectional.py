"""A recurrent layer from each end of the sequence."""

from __future__ import annotations

from typing import Any

from purenet.core import Layer, Pullback
from purenet.engine.arrays import Shape, describe, match, namespace
from purenet.layers.recurrence import is_lengths, unpack
from purenet.random import Key, split


def bidirectional(forward: Layer[Any], backward: Layer[Any]) -> Layer[tuple[Any, Any]]:
    """Two recurrent layers over the same sequence, one from each end: Y = (Y₁, Y₂), their features side by side.

    x is as in `purenet.layers.recurrent`; its state, and the final one, are a tuple (forward's, backward's). Params are
    a tuple of two. The outputs stand in the order of the sequence; with `last=True` in both layers, Y holds what each
    gives at its own end.

    The rule: dE/dY is cut in two, one for each layer, and dE/dX is the sum of theirs.

    M. Schuster, K. Paliwal, "Bidirectional recurrent neural networks", 1997.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.bidirectional(pn.lstm(2, 3), pn.lstm(2, 3, reverse=True))
    >>> params = layer.init(pn.key(0))
    >>> layer.apply(params, np.ones((4, 5, 2), np.float32)).shape
    (4, 5, 6)
    """
    layers = (forward, backward)
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(
                f"bidirectional takes two layers, as in bidirectional(lstm(2, 3), lstm(2, 3, reverse=True)), "
                f"not {describe(layer)}"
            )
    name = f"bidirectional({forward.name}, {backward.name})"

    def each(x: Any, several: bool, lengths_at: Any) -> list[Any]:
        """The x of each layer, or its shape."""
        sequence, state, _, stateful = unpack(x, several, lengths_at, name)
        if not several:
            return [x, x]
        if state is not None and (type(state) is not tuple or len(state) != 2):
            raise ValueError(f"{name} takes a state that is a tuple of two, one for each layer, not {describe(state)}")
        tail = x[2 if stateful else 1 :]
        return [(sequence, *([part] if stateful else []), *tail) for part in state or (None, None)]

    def shape(in_shape: Any) -> Any:
        xs = [None, None] if in_shape is None else each(in_shape, type(in_shape[0]) is tuple, lambda part: part == ())
        one, two = (layer.shape(part) for layer, part in zip(layers, xs, strict=True))  # type: Any, Any
        if one is None or two is None:
            return None
        if type(one[0]) is tuple:
            return join_shapes(one[0], two[0]), (one[1], two[1])
        return join_shapes(one, two)

    def join_shapes(one: Shape, two: Shape) -> Shape:
        if one[:-1] != two[:-1]:
            raise ValueError(f"{name}: its layers give outputs of shapes {one} and {two}: set last in both or in none")
        return (*one[:-1], one[-1] + two[-1])

    def init(key: Key, in_shape: Any = None) -> tuple[Any, Any]:
        shape(in_shape)
        xs = [None, None] if in_shape is None else each(in_shape, type(in_shape[0]) is tuple, lambda part: part == ())
        one, two = (layer.init(k, part) for layer, k, part in zip(layers, split(key), xs, strict=True))
        return one, two

    def run(params: Any, x: Any, key: Key | None, method: str) -> list[Any]:
        if type(params) is not tuple or len(params) != 2:
            raise ValueError(f"{name} takes params that are a tuple of two, not {describe(params)}")
        keys = (None, None) if key is None else split(key)
        several = type(x) is tuple
        xs = each(x, several, is_lengths)
        return [getattr(layer, method)(p, part, k) for layer, p, part, k in zip(layers, params, xs, keys, strict=True)]

    def join(one: Any, two: Any) -> Any:
        if type(one) is tuple:
            return join(one[0], two[0]), (one[1], two[1])
        return namespace(one, name).concat([one, two], axis=-1)

    def apply(params: Any, x: Any, key: Key | None = None) -> Any:
        return join(*run(params, x, key, "apply"))

    def vjp(params: Any, x: Any, key: Key | None = None) -> tuple[Any, Pullback[tuple[Any, Any]]]:
        (one, pull_one), (two, pull_two) = run(params, x, key, "vjp")
        y = join(one, two)
        stateful = type(y) is tuple
        outputs = y[0] if stateful else y
        y_shape, dtype, middle = outputs.shape, outputs.dtype, (one[0] if stateful else one).shape[-1]

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[tuple[Any, Any], Any]:
            dstates = (None, None)
            if stateful:
                if type(dy) is not tuple or len(dy) != 2:
                    raise ValueError(f"the pullback of {name}: Y is (outputs, state), but dE/dY is {describe(dy)}")
                dy, dstates = dy[0], dy[1] or dstates
            match(dy, y_shape, dtype, name)
            dy_one, dy_two = dy[..., :middle], dy[..., middle:]
            if stateful:
                dy_one, dy_two = (dy_one, dstates[0]), (dy_two, dstates[1])
            done, dx = pull_one(dy_one, wrt_x)
            dtwo, dx_two = pull_two(dy_two, wrt_x)
            if not wrt_x:
                return (done, dtwo), None
            if type(x) is not tuple:
                return (done, dtwo), dx + dx_two
            dstate = ((None if x[1] is None else (dx[1], dx_two[1])),) if stateful else ()
            return (done, dtwo), (dx[0] + dx_two[0], *dstate, None)[: len(x)]

        return y, pullback

    return Layer(init, apply, vjp, shape, name, layers, lambda parts: bidirectional(*parts))
