"""From layer to layer: the name and the counterpart of each, and the order in which PyTorch has its channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from purenet import tree
from purenet.core import Buffer, Layer
from purenet.engine.arrays import describe
from purenet.interop.layouts import (
    BLOCKS,
    COUNTERPARTS,
    RECURRENT,
    Counterpart,
    block,
    both_ways,
    conv_transpose,
    one_above_another,
)
from purenet.layers.activations import PReLUParams
from purenet.layers.conv import ConvParams
from purenet.layers.dense import DenseParams
from purenet.layers.norm import BatchNormParams, NormParams
from purenet.layers.recurrent import GRUParams
from purenet.values import brief, maker_of


class _Flat(NamedTuple):
    """What `flatten` made of so many channels, 0 if that is not known: here in another order than in PyTorch."""

    channels: int


Visit = Callable[[str, Any, Counterpart], Any]
_WRAPPERS = ("residual", "remat", "map_time")
_CHAINS = ("serial", "named", "parallel", "fan_out")


def walk(f: Visit, params: Any, net: Layer[Any] | None, name: str = "", channels: Any = None) -> tuple[Any, Any]:
    """params with f(name, params, counterpart) in place of each layer's; and the channels of what the net gives.

    `channels` is None where PyTorch's axes have the order of ours, before a convolution or after a dense layer; a
    number where they are the first there and the last here, a tuple of such behind a `fan_out`, or a `_Flat`.
    """
    maker, parts = _maker(net), () if net is None else net.parts
    if type(params) is Buffer:
        inside, channels = walk(f, params.value, parts[0] if parts else None, name, channels)
        return Buffer(inside), channels
    if maker == "tied":
        steps = _steps(parts[0], None)
        uses = [walk(f, params, part, f"{name}{step}.", channels) for step, part in steps]
        if len({tuple(leaf.tobytes() for leaf in map(np.asarray, tree.leaves(use))) for use, _ in uses}) > 1:
            raise ValueError(f"{name}{steps[0][0]} and the next are tied in the net, but not in the state dict")
        return uses[0][0], uses[-1][1]
    if maker in _WRAPPERS or (len(parts) == 1 and type(params) in COUNTERPARTS):
        return walk(f, params, parts[0], name, channels)
    counterpart = _counterpart(params, net, name)
    if counterpart is not None:
        if type(channels) is _Flat:
            counterpart = _after_flatten(counterpart, params, net, name, channels.channels)
        return f(name, params, counterpart), _channels_after(params, channels)
    if params is None:
        return None, channels
    if type(params) not in (tuple, list, dict):
        raise TypeError(f"{name or 'params'} is {describe(params)}, which has no counterpart in PyTorch")
    children, ends = {}, [channels]
    known = maker in _CHAINS or (len(parts) == len(params) and type(params) is tuple)
    for i, (step, part) in enumerate(_steps(net if known else None, params)):
        start = channels if maker in ("parallel", "fan_out") else ends[-1]
        if maker == "parallel" and type(channels) is tuple:
            start = channels[i]
        children[step], end = walk(f, params[step], part, f"{name}{step}.", start)
        ends.append(end)
    channels = tuple(ends[1:]) if maker in ("parallel", "fan_out") else ends[-1]
    new = {step: children[step] for step in params} if type(params) is dict else type(params)(children.values())
    return new, channels if children else _channels_without_params(net, channels)


def _steps(net: Layer[Any] | None, params: Any) -> list[tuple[Any, Layer[Any] | None]]:
    """The place of each layer in the params of a net, and the layer."""
    if net is None:
        return [(step, None) for step in (params if isinstance(params, dict) else range(len(params)))]
    steps: list[Any] = list(range(len(net.parts)))
    if net.call is not None and _maker(net) == "named":
        steps = list(net.call.options)
    if params is not None and sorted(steps) != sorted(params if isinstance(params, dict) else range(len(params))):
        raise ValueError(
            f"the params are not of this net: {brief(net.name)} has layers {steps}, but not {describe(params)}"
        )
    return list(zip(steps, net.parts, strict=True))


def _counterpart(params: Any, net: Layer[Any] | None, name: str) -> Counterpart | None:
    """The counterpart of a layer; None of one without params, and of one made of layers."""
    maker = _maker(net)
    where = f"{name or 'params'} is {describe(params)}"
    if maker == "binary_dense":
        raise TypeError(f"{where} of a binary_dense, which has no counterpart in PyTorch")
    if maker in BLOCKS:
        counterpart = block(BLOCKS[maker], _option(net, "norm") or "pre")
        try:
            counterpart.give(params)
        except (AttributeError, LookupError, TypeError):
            raise ValueError(f"{where}, which are not the params of {net}") from None
        return counterpart
    two = type(params) is tuple and len(params) == 2 and type(params[0]) in RECURRENT
    if maker == "bidirectional":
        one, other = net.parts if net else (None, None)
        if (
            not two
            or type(params[0]) is not type(params[1])
            or _option(one, "reverse")
            or not _option(other, "reverse")
        ):
            raise TypeError(f"{name or 'params'}: {one} and {other}, the second with reverse=True, are none of PyTorch")
        ways = [_counterpart(own, part, name) for own, part in zip(params, (one, other), strict=True)]
        return both_ways(ways[0]) if ways[0] else None
    if maker == "stacked" and net is not None:
        return _stacked(params, net, name)
    if type(params) is GRUParams and (
        _option(net, "reset_after") is False or (params.bias is not None and params[3] is None)
    ):
        raise TypeError(f"{where} of a gru with reset_after=False, which has no counterpart in PyTorch")
    if type(params) is ConvParams and maker not in ("conv", "conv_transpose"):
        raise TypeError(f"{where}, of a conv or a conv_transpose, which only the net can tell: hand it in, net=net")
    if two and net is None:
        kinds = "of a serial, a stacked or a bidirectional"
        raise TypeError(f"{where}, {kinds}, which only the net can tell: hand it in, net=net")
    if maker == "conv_transpose":
        return conv_transpose(_option(net, "groups") or 1)
    return COUNTERPARTS.get(type(params))


def _maker(net: Layer[Any] | None) -> str:
    return "" if net is None else maker_of(net)


def _stacked(params: Any, net: Layer[Any], name: str) -> Counterpart:
    """The counterpart of stacked layers, which are all of one kind and size, as in a module with num_layers."""
    each, kinds = [], set()
    for i, part in _steps(net, params):
        counterpart, ways = _counterpart(params[i], part, f"{name}{i}."), params[i]
        one = ways[0] if type(ways) is tuple and ways else ways
        if counterpart is None or type(one) not in RECURRENT:
            raise TypeError(f"{name or 'params'}: {part} in a stacked is none of PyTorch")
        shapes = [(label, array.shape) for label, array in counterpart.give(params[i]).items() if "_ih" not in label]
        kinds.add((type(one), _option(part, "reverse"), *shapes))
        each.append(counterpart)
    if len(kinds) > 1:
        raise TypeError(
            f"{name or 'params'}: {net}, of layers that are not all of one kind and size, is none of PyTorch"
        )
    return one_above_another(each)


def _option(net: Layer[Any] | None, option: str) -> Any:
    """What an option of a layer was set to; None if it was not."""
    return None if net is None or net.call is None else net.call.options.get(option)


def _channels_after(params: Any, channels: Any) -> Any:
    """The channels of what a layer with these params gives."""
    if type(params) is ConvParams:
        return params.weight.shape[-1]
    return channels if type(params) in (NormParams, BatchNormParams, PReLUParams) else None


def _channels_without_params(net: Layer[Any] | None, channels: Any) -> Any:
    """The channels of what a layer without params gives."""
    maker = _maker(net)
    if net is not None and type(channels) is tuple and maker in ("add", "mul", "concat"):
        return _merged(channels, "" if _option(net, "axis") else maker)
    if maker == "flatten" and channels is not None and type(channels) is not _Flat:
        return _Flat(channels if type(channels) is int else 0)
    if maker in ("global_avg_pool", "global_max_pool", "last_step", "reshape"):
        return None
    if net is None or type(channels) not in (int, _Flat):
        return channels
    before = channels if type(channels) is int and channels else 2
    after = net.shape((..., before)) or (..., before)
    if after[-1] == before:
        return channels
    return after[-1] if channels == before else _Flat(0)  # part of what was flattened has other numbers there


def _merged(channels: tuple[Any, ...], by: str) -> Any:
    """The channels of several inputs that became one."""
    if set(channels) == {None}:
        return None
    if all(type(each) is int for each in channels) and by == "concat":
        return sum(channels)
    if len(set(channels)) == 1 and by in ("add", "mul"):
        return channels[0]
    return _Flat(0) if any(type(each) is _Flat for each in channels) else 0


def _after_flatten(
    counterpart: Counterpart, params: Any, net: Layer[Any] | None, name: str, channels: int
) -> Counterpart:
    """The counterpart with its inputs in PyTorch's order, (channels, positions)."""
    if type(params) not in (DenseParams, BatchNormParams, NormParams, PReLUParams) or _maker(net) == "group_norm":
        raise TypeError(f"{name or 'params'} is of {net} after flatten, whose numbers have another order in PyTorch")
    if not channels:
        raise TypeError(f"{name or 'params'} comes after flatten, whose order in PyTorch depends on channels: of what?")

    def turned(leaf: Any, shape: tuple[int, ...]) -> Any:
        if len(leaf) == 1:  # prelu's one slope
            return leaf
        return np.swapaxes(leaf.reshape(*shape, -1), 0, 1).reshape(leaf.shape)

    def each(params: Any, shape: tuple[int, ...]) -> Any:
        if type(params) is DenseParams:
            return params._replace(weight=turned(params.weight, shape))
        return tree.map(lambda leaf: turned(leaf, shape), params)

    n = len(tree.leaves(params)[0])
    if n % channels and n > 1:
        raise ValueError(f"{name or 'params'} is for {n} features, which are no multiple of the {channels} channels")
    here, there = (n // channels, channels), (channels, n // channels)
    return Counterpart(
        lambda params: counterpart.give(each(params, here)),
        lambda arrays, like: each(counterpart.take(arrays, like), there),
    )
