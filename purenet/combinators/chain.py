"""One layer after another, without and with names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from purenet.combinators.compose import Placed, check_layers, check_tuple, composed
from purenet.combinators.padding import check_padding
from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Shape, describe, holds, is_array
from purenet.engine.chain import LONGEST, pools_first, straight_forward, straight_rule
from purenet.random import Key, split
from purenet.spec import Pull, Rule
from purenet.spec.guard import Guarded, guarded
from purenet.values import brief, call, hinted, maker_of


@hinted
def serial(*layers: Layer[Any]) -> Layer[tuple[Any, ...]]:
    """One layer after another: y = fₙ(… f₂(f₁(x))).

    Each layer is told the output shape of the one before it, so only the first needs to know its input. Params are a
    tuple with an entry for each layer. The rule is the chain rule, last layer first: the dE/dX of a layer is the
    dE/dY of the one before it.

    Raises:
        ValueError: at once, where the sizes of two layers do not fit.

    >>> import purenet as pn
    >>> net = serial(pn.dense(2, 3), pn.tanh, pn.dense(1))
    >>> net.shape((2,))
    (1,)
    >>> net.init(pn.key(0))[2].weight.shape
    (3, 1)
    """
    check_layers("serial", layers)
    chain = _Chain(layers, range(len(layers)))
    name = call("serial", *layers)
    who = brief(name)

    def check(params: Any, x: Any) -> None:
        check_tuple(params, len(layers), who, "params that are")
        chain.check_states(who, x)
        check_padding(who, layers, x)

    return composed(name, layers, chain.rule, check, chain.init, chain.shape, straight=chain.straight, matrices=True)


def named(**layers: Layer[Any]) -> Layer[dict[str, Any]]:
    """`serial` with names: the params are a dict, params["encoder"] those of the layer `encoder`.

    >>> import purenet as pn
    >>> net = named(encoder=pn.dense(8, 2), decoder=pn.dense(8))
    >>> net.init(pn.key(0))["decoder"].weight.shape
    (2, 8)
    """
    names, parts = tuple(layers), tuple(layers.values())
    check_layers("named", parts)
    chain = _Chain(parts, names)
    name = call("named", **layers)
    who = brief(name)

    def check(params: Any, x: Any) -> None:
        if type(params) is not dict or params.keys() != layers.keys():
            given = f"a dict with {sorted(params)}" if type(params) is dict else describe(params)
            raise ValueError(f"{who} takes params that are a dict with {sorted(names)}, not {given}")
        chain.check_states(who, x)
        check_padding(who, parts, x)

    def init(key: Key, in_shape: Shape | None = None) -> dict[str, Any]:
        return dict(zip(names, chain.init(key, in_shape), strict=True))

    def of_dicts(inner: Any, ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        """The rule of a chain whose params are a dict, of that of tuples."""
        y, pull_inner = inner(ops, tuple([params[name] for name in names]), x, key)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            grads, dx = pull_inner(dy, wrt_x)
            return dict(zip(names, grads, strict=True)), dx

        return y, pull

    def rule(rules: Sequence[Rule], *given: Any) -> tuple[Any, Pull]:
        return of_dicts(partial(chain.rule, rules), *given)

    def straight(parts: Sequence[Guarded]) -> tuple[Any, Any]:
        rule, forward = chain.straight(parts)
        return partial(of_dicts, rule), lambda ops, params, x, key: forward(
            ops, tuple([params[n] for n in names]), x, key
        )

    def remake(parts: tuple[Layer[Any], ...]) -> Layer[Any]:
        return named(**dict(zip(names, parts, strict=True)))

    return composed(name, parts, rule, check, init, chain.shape, remake, names, straight, matrices=True)


_WITH_STATE = {  # layers that take (x, state), and give (y, state)
    "rnn", "lstm", "gru", "bidirectional", "stacked", "multi_head_attention", "transformer_block",
    "transformer_decoder_block", "positional_encoding", "learned_positions",
}  # fmt: skip


def _is_state(beside: Any) -> bool:
    """Whether what stands beside x is a state, and neither a mask nor lengths nor another sequence."""
    if beside is None or type(beside) is tuple:
        return True
    return is_array(beside) and beside.ndim == 2 and holds(beside, "real floating")


def _one_by_one(layers: Sequence[Layer[Any]]) -> Iterator[Layer[Any]]:
    """The layers that run one after another, those in chains too."""
    for layer in layers:
        if maker_of(layer) in ("serial", "named", "frozen", "remat"):
            yield from _one_by_one(layer.parts)
        else:
            yield layer


class _Chain:
    """One layer after another: what `serial` and `named` share."""

    def __init__(self, layers: tuple[Layer[Any], ...], labels: Sequence[Any]) -> None:
        self.layers, self.count = layers, len(layers)
        self.places = [Placed(label, layer) for label, layer in zip(labels, layers, strict=True)]
        makers = [maker_of(layer) if guarded(layer) else "" for layer in layers]
        self.order = pools_first(makers)
        self.shape(None)  # sizes that cannot fit are found here

    def check_states(self, who: str, x: Any) -> None:
        """Check that x brings no state where the state of one layer would be taken for that of the next."""
        if type(x) is not tuple or len(x) < 2 or not _is_state(x[1]):
            return
        for one, two in pairwise(layer for layer in _one_by_one(self.layers) if maker_of(layer) != "on_first"):
            if maker_of(one) in _WITH_STATE and maker_of(two) in _WITH_STATE:
                raise ValueError(
                    f"{who} would hand the state of {brief(one.name)} on to {brief(two.name)}: "
                    "write stacked(...) of the two, which keeps a state for each"
                )

    def shape(self, in_shape: Shape | None) -> Shape | None:
        for layer in self.places:
            in_shape = layer.shape(in_shape)
        return in_shape

    def init(self, key: Key, in_shape: Shape | None = None) -> tuple[Any, ...]:
        params = []
        for layer, layer_key in zip(self.places, split(key, self.count), strict=True):
            params.append(layer.init(layer_key, in_shape))
            in_shape = layer.shape(in_shape)
        return tuple(params)

    def rule(self, rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        """The rule of the chain, in the quicker order that `pools_first` says, which gives the same. What fails there
        is done again in the order given, so that the error tells of the layer that a reader would look at."""
        plain = partial(self._in_order, range(self.count), rules, ops, params, x, key)
        if self.order == (*range(self.count),):
            return plain()
        try:
            y, quick_pull = self._in_order(self.order, rules, ops, params, x, key)
        except Exception:
            return plain()

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            try:
                return quick_pull(dy, wrt_x)
            except Exception:
                return plain()[1](dy, wrt_x)

        return y, pull

    def _in_order(
        self, order: Sequence[int], rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None
    ) -> tuple[Any, Pull]:
        count = self.count
        keys = (None,) * count if key is None else split(key, count)
        pulls = []
        for i in order:
            x, pull = rules[i](ops, params[i], x, keys[i])
            pulls.append((i, pull))

        def pull_all(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            grads, first = list(params), 0  # without dE/dX, nothing is read of what lies before the first params
            while not wrt_x and first < count - 1 and type(params[order[first]]) is tuple and not params[order[first]]:
                first += 1
            for n in range(count - 1, first - 1, -1):
                i, pull = pulls[n]
                grads[i], dy = pull(dy, wrt_x or n > first)
            return tuple(grads), dy

        return x, pull_all

    def straight(self, parts: Sequence[Guarded]) -> tuple[Any, Any]:
        """The bare rule and forward, as straight-line code."""
        rules, forwards = [part.rule for part in parts], [part.own_forward for part in parts]
        if self.count > LONGEST:
            rule = partial(self._in_order, self.order, rules)
            return rule, lambda *given: rule(*given)[0]
        free = [part.free for part in parts]
        return straight_rule(rules, self.order, free, split), straight_forward(rules, forwards, self.order, split)
