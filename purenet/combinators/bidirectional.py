"""A recurrent layer from each end of the sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from purenet.combinators.compose import Placed, check_tuple, composed, sum_trees
from purenet.combinators.states import for_layer, give_states, parted
from purenet.core import Layer
from purenet.engine import Ops, engine_of
from purenet.engine.arrays import Shape, describe, likeness
from purenet.random import Key, split
from purenet.spec import Pull, Rule, check_output_gradient
from purenet.values import brief, call, hinted, made_again


@hinted
def bidirectional(forward: Layer[Any], backward: Layer[Any] | None = None) -> Layer[tuple[Any, Any]]:
    """Two recurrent layers over the same sequence, one from each end: Y = (Y₁, Y₂), their features side by side.

    `bidirectional(lstm(2, 3))` is `bidirectional(lstm(2, 3), lstm(2, 3, reverse=True))`.

    x is as in `purenet.layers.recurrent`; its state, and the final one, are a tuple (forward's, backward's). Params are
    a tuple of two. The outputs stand in the order of the sequence; with `last=True` in both layers, Y holds what each
    gives at its own end, and with `return_state=True` in both, Y is (outputs, state).

    The rule: dE/dY is cut in two, one for each layer, and dE/dX is the sum of theirs.

    Raises:
        TypeError: what is given is no layer; or there is one alone, and not of rnn, lstm or gru.
        ValueError: the first of them begins at the end, or the second at the start.

    M. Schuster, K. Paliwal, "Bidirectional recurrent neural networks", 1997.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.bidirectional(pn.lstm(2, 3), pn.lstm(2, 3, reverse=True))
    >>> params = layer.init(pn.key(0))
    >>> layer.apply(params, np.ones((4, 5, 2), np.float32)).shape
    (4, 5, 6)
    """
    layers = (forward, _mirrored(forward) if backward is None else backward)
    _check_ends(layers)
    name = call("bidirectional", *layers)
    who = brief(name)
    places = [Placed(i, layer) for i, layer in enumerate(layers)]

    def each(x: Any, several: bool) -> list[Any]:
        """The x of each layer, or its shape: all of it but for the state, which is a tuple of theirs."""
        parts = parted(who, x, 2, several)
        return [for_layer(*parts, i) for i in range(2)]

    def each_shape(in_shape: Any) -> list[Any]:
        return each(in_shape, bool(in_shape) and type(in_shape[0]) is tuple)

    def join_shapes(one: Shape, two: Shape) -> Shape:
        if one[:-1] != two[:-1]:
            raise ValueError(f"{who}: its layers give outputs of shapes {one} and {two}: set last in both or in none")
        return (*one[:-1], one[-1] + two[-1])

    def shape(in_shape: Shape | None) -> Any:
        ys = [layer.shape(part) for layer, part in zip(places, each_shape(in_shape), strict=True)]
        if None in ys:
            return None
        outputs, finals = zip(*(y if y and type(y[0]) is tuple else (y, None) for y in ys), strict=True)
        stateful = give_states(who, finals)
        y = join_shapes(*outputs)
        return (y, finals) if stateful else y

    def init(key: Key, in_shape: Shape | None = None) -> tuple[Any, Any]:
        shape(in_shape)
        one, two = (f.init(k, part) for f, k, part in zip(places, split(key), each_shape(in_shape), strict=True))
        return one, two

    def each_x(x: Any) -> list[Any]:
        return each(x, type(x) is tuple)

    def check(params: Any, x: Any) -> None:
        check_tuple(params, 2, who, "params that are")
        each_x(x)

    return composed(name, layers, partial(_rule, who, each_x), check, init, shape)


def _check_ends(layers: tuple[Any, Any]) -> None:
    """Check that there are two layers, the first from the start and the second from the end."""
    if wrong := [each for each in layers if not isinstance(each, Layer)]:
        mend = "as in bidirectional(lstm(2, 3), lstm(2, 3, reverse=True))"
        raise TypeError(f"bidirectional takes two layers, {mend}, not {describe(wrong[0])}")
    for layer, place, is_back in zip(layers, ("first", "second"), (False, True), strict=True):
        if _is_back(layer) not in (None, is_back):
            raise ValueError(
                f"bidirectional takes a layer from the start and one from the end, but its {place} is {layer.name}: "
                "write bidirectional(lstm(2, 3), lstm(2, 3, reverse=True))"
            )


def _is_back(layer: Layer[Any]) -> bool | None:
    """Whether a recurrent layer begins at the end; None if that cannot be told."""
    is_recurrent = layer.call is not None and layer.call.maker in ("rnn", "lstm", "gru")
    return bool(layer.call.options.get("reverse")) if layer.call is not None and is_recurrent else None


def _mirrored(layer: Any) -> Any:
    """The same recurrent layer from the other end."""
    if not isinstance(layer, Layer) or layer.call is None or _is_back(layer) is None:
        raise TypeError(
            f"bidirectional takes two layers, not {describe(layer)} alone: only rnn, lstm and gru are mirrored by "
            "themselves, as in bidirectional(lstm(2, 3))"
        )
    made = layer.call
    return made_again(layer.home, made.maker, made.args, {**made.options, "reverse": True})


def _rule(
    who: str, each_x: Callable[[Any], list[Any]], rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None
) -> tuple[Any, Pull]:
    """The rule of two rules, each with its own x."""
    calls = zip(rules, params, each_x(x), (None, None) if key is None else split(key), strict=True)
    ys, (pull_one, pull_two) = zip(*(part(ops, p, each, k) for part, p, each, k in calls), strict=True)
    outputs, finals = zip(*(y if type(y) is tuple else (y, None) for y in ys), strict=True)
    stateful = give_states(who, finals)
    y: Any = engine_of(outputs[0]).concat([*outputs], axis=-1)
    y = (y, finals) if stateful else y
    like, middle = likeness(y), outputs[0].shape[-1]

    def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
        check_output_gradient(dy, like, who)
        outputs, states = (dy[0], dy[1] or (None, None)) if stateful else (dy, None)
        dy_one, dy_two = outputs[..., :middle], outputs[..., middle:]
        if states is not None:
            dy_one, dy_two = (dy_one, states[0]), (dy_two, states[1])
        dparams_one, dx_one = pull_one(dy_one, wrt_x)
        dparams_two, dx_two = pull_two(dy_two, wrt_x)
        dparams = dparams_one, dparams_two
        if not wrt_x:
            return dparams, None
        if type(x) is not tuple or type(x[1]) is not tuple:
            return dparams, sum_trees((dx_one, dx_two))
        return dparams, (dx_one[0] + dx_two[0], (dx_one[1], dx_two[1]), None)[: len(x)]

    return y, pull
