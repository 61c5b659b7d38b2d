"""Recurrent layers one above another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from purenet.combinators.compose import Placed, check_layers, check_tuple, composed
from purenet.combinators.several import total
from purenet.combinators.states import for_layer, give_states, parted
from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import describe_all, likeness
from purenet.layers.dropout import dropout as drop
from purenet.random import Key, split
from purenet.spec import Pull, Rule, check_output_gradient
from purenet.values import brief, called, takes_numbers


@takes_numbers
def stacked(*layers: Layer[Any], dropout: float = 0.0) -> Layer[tuple[Any, ...]]:
    """Recurrent layers one above another: each takes the outputs of the one below, and the same lengths.

    x is as in `purenet.layers.recurrent`; its state, and the final one, are a tuple with that of each layer. Params are
    a tuple likewise. In training `dropout` is the share that is dropped of what one layer hands to the next.
    `lstm(2, 3, num_layers=2)` is `stacked(lstm(2, 3), lstm(3, 3))`. What PyTorch's modules compute with num_layers=2
    and bidirectional=True is a stack of two `bidirectional`.

    Transformers' blocks stand so too. Beside a state, (sequence, state, rest …), they take a mask in the place of the
    lengths. Decoders take their memory there, and a mask of it behind, with and without a state.

    The rule is that of `serial`, from the last layer to the first; dE/dstate of each layer is its own, and dE/dmemory
    the sum of those of all layers.

    A. Graves, A. Mohamed, G. Hinton, "Speech recognition with deep recurrent neural networks", ICASSP 2013; the dropout
    is that of W. Zaremba et al., "Recurrent neural network regularization", 2014.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.stacked(pn.gru(2, 3), pn.rnn(3, 4))
    >>> y, state = layer.apply(layer.init(pn.key(0)), (np.ones((5, 6, 2), np.float32), None))
    >>> y.shape, [part.shape for part in state]
    ((5, 6, 4), [(5, 3), (5, 4)])
    """
    check_layers("stacked", layers)
    if not layers:
        raise ValueError("stacked takes at least one layer, as in stacked(lstm(2, 3), lstm(3, 3))")
    name, count = called("stacked", locals()), len(layers)
    who = brief(name)
    places = [Placed(i, layer) for i, layer in enumerate(layers)]

    def parts(x: Any, several: bool) -> tuple[Any, Any, tuple[Any, ...]]:
        if several and len(x) not in (2, 3, 4):
            forms = "a sequence; (sequence, lengths); (sequence, state); (sequence, state, lengths)"
            more = "; of decoders (sequence, memory), (sequence, state, memory), and each with a mask behind it"
            raise ValueError(f"{who} takes x as one of: {forms}{more}. It was given {describe_all(x)}")
        return parted(who, x, count, several, beside=(1, 3))

    def each_shape(in_shape: Any) -> tuple[list[Any], Any]:
        """The shape of each layer's x, and that of Y."""
        sequence, states, rest = parts(in_shape, bool(in_shape) and type(in_shape[0]) is tuple)
        xs, finals = [], []
        for i, layer in enumerate(places):
            xs.append(None if sequence is None else for_layer(sequence, states, rest, i))
            y = layer.shape(xs[i])
            sequence, final = y if y and type(y[0]) is tuple else (y, None)
            finals.append(final)
        return xs, (sequence, tuple(finals)) if give_states(who, finals) else sequence

    def init(key: Key, in_shape: Any = None) -> tuple[Any, ...]:
        calls = zip(places, split(key, count), each_shape(in_shape)[0], strict=True)
        return tuple(layer.init(layer_key, x) for layer, layer_key, x in calls)

    def parts_of(x: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        return parts(x, type(x) is tuple)

    def check(params: Any, x: Any) -> None:
        check_tuple(params, count, who, "params that are")
        parts_of(x)

    each_shape(None)  # sizes that cannot fit are found here
    rule = partial(_rule, who, drop(dropout) if dropout else None, parts_of)

    return composed(name, layers, rule, check, init, lambda in_shape: each_shape(in_shape)[1])


def _rule(
    who: str, between: Any, parts_of: Any, rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None
) -> tuple[Any, Pull]:
    """The rule of rules, with the dropout `between` them; `parts_of(x)` is (sequence, states, rest)."""
    count = len(rules)
    sequence, states, rest = parts_of(x)
    keys = (None,) * 2 * count if key is None else split(key, 2 * count)
    pulls: list[Any] = []
    finals: list[Any] = []
    for i, part in enumerate(rules):
        if between is not None and i:
            sequence, pull_drop = between.vjp((), sequence, keys[count + i])
            pulls.append(pull_drop)
        y, pull_part = part(ops, params[i], for_layer(sequence, states, rest, i), keys[i])
        sequence, final = y if type(y) is tuple else (y, None)
        pulls.append(pull_part)
        finals.append(final)
    y = (sequence, tuple(finals)) if give_states(who, finals) else sequence
    like = likeness(y)

    def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
        check_output_gradient(dy, like, who)
        dy, dfinals = dy if type(y) is tuple else (dy, None)
        back = iter(reversed(pulls))
        dparams: list[Any] = []
        dstates: list[Any] = []
        drest: Any = (None,) * len(rest)
        for i in reversed(range(count)):
            dpart = (dy, dfinals and dfinals[i]) if type(y) is tuple else dy
            dparam, dy = next(back)(dpart, wrt_x or i > 0)
            dparams.insert(0, dparam)
            if type(dy) is tuple:
                dy, *beside = dy
                dstates = dstates if states is None else [beside.pop(0), *dstates]
                drest = map(total, drest, beside)
            if between is not None and i:
                dy = next(back)(dy, True)[1]
        if not wrt_x or type(x) is not tuple:
            return tuple(dparams), dy
        middle = () if states is None else (None if x[1] is None else tuple(dstates),)
        return tuple(dparams), (dy, *middle, *drest)

    return y, pull
