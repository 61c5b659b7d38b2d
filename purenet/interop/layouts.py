"""The layouts: how the params of each layer stand in the state dict of its module."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple

import numpy as np

from purenet import tree
from purenet.core import Buffer
from purenet.engine.arrays import NumpyArray
from purenet.layers.activations import PReLUParams
from purenet.layers.attention import AttentionParams
from purenet.layers.conv import ConvParams
from purenet.layers.dense import DenseParams
from purenet.layers.embedding import EmbeddingParams
from purenet.layers.norm import BatchNormParams, NormParams
from purenet.layers.recurrent import GRUParams, LSTMParams, RNNParams

Arrays = dict[str, Any]


class Counterpart(NamedTuple):
    """How the params of a layer stand in a module's state dict.

    Fields:
        give: `give(params) -> {name: array}`, in PyTorch's layout.
        take: `take(arrays, like) -> params`; `arrays` is what `give` gives.
    """

    give: Callable[[Any], Arrays]
    take: Callable[[Arrays, Any], Any]


def _named(kind: Any, *names: str) -> Counterpart:
    """Params that differ in their names alone; those that are None have none."""

    def give(params: Any) -> Arrays:
        return {name: field for name, field in zip(names, params, strict=False) if field is not None}

    return Counterpart(give, lambda arrays, like: kind(*(arrays.get(name) for name in names)))


def _weight(kind: Any, there: Callable[[Any], Any], here: Callable[[Any], Any]) -> Counterpart:
    """Params with a weight that has another layout in PyTorch, and a bias or None."""
    plain = _named(kind, "weight", "bias")
    return Counterpart(
        lambda params: plain.give(params._replace(weight=there(params.weight))),
        lambda arrays, like: plain.take({**arrays, "weight": here(arrays["weight"])}, like),
    )


def conv_transpose(groups: int) -> Counterpart:
    """PyTorch has (in, out // groups, *kernel), the groups one after another in the first axis; we in the last."""

    def there(weight: Any) -> Any:
        return np.concatenate([np.moveaxis(w, (-2, -1), (0, 1)) for w in np.split(weight, groups, axis=-1)])

    def here(weight: Any) -> Any:
        return np.concatenate([np.moveaxis(w, (0, 1), (-2, -1)) for w in np.split(weight, groups)], axis=-1)

    return _weight(ConvParams, there, here)


def _batch_norm_gives(params: BatchNormParams) -> Arrays:
    affine = _named(BatchNormParams, "weight", "bias").give(params)
    seen = np.zeros((), np.int64)  # counts the batches, for PyTorch's momentum=None alone
    running = {"running_mean": params.mean.value, "running_var": params.variance.value, "num_batches_tracked": seen}
    return {**affine, **running}


def _batch_norm_takes(arrays: Arrays, like: BatchNormParams) -> BatchNormParams:
    mean, variance = Buffer(arrays["running_mean"]), Buffer(arrays["running_var"])
    return BatchNormParams(arrays.get("weight"), arrays.get("bias"), mean, variance)


def _recurrent_gives(params: Any) -> Arrays:
    """The gates have the same order there. PyTorch has two biases, and only in gru's n does the second differ."""
    arrays = {"weight_ih_l0": params.weight.T, "weight_hh_l0": params.recurrent_weight.T}
    if params.bias is None:
        return arrays
    second = np.full_like(params.bias, -0.0)  # b + −0 is b to the bit, also where b is −0
    if type(params) is GRUParams:
        second[-params.recurrent_weight.shape[0] :] = params.recurrent_bias
    return {**arrays, "bias_ih_l0": params.bias, "bias_hh_l0": second}


def _recurrent_takes(arrays: Arrays, like: Any) -> Any:
    weights = arrays["weight_ih_l0"].T, arrays["weight_hh_l0"].T
    if like.bias is None:
        return like._replace(weight=weights[0], recurrent_weight=weights[1])
    second = arrays["bias_hh_l0"].copy()
    rest: tuple[Any, ...] = ()
    if type(like) is GRUParams:
        n = like.recurrent_weight.shape[0]
        rest = (second[-n:].copy(),)
        second[-n:] = -0.0
    return type(like)(*weights, arrays["bias_ih_l0"] + second, *rest)


def both_ways(one_way: Counterpart) -> Counterpart:
    """Two recurrent layers in one module, the second from the end of the sequence."""

    def give(params: Any) -> Arrays:
        forward, backward = map(one_way.give, params)
        return {**forward, **{f"{name}_reverse": array for name, array in backward.items()}}

    def take(arrays: Arrays, like: Any) -> Any:
        backward = {name.removesuffix("_reverse"): array for name, array in arrays.items() if "_reverse" in name}
        return one_way.take(arrays, like[0]), one_way.take(backward, like[1])

    return Counterpart(give, take)


def one_above_another(layers: list[Counterpart]) -> Counterpart:
    """Stacked recurrent layers in one module: each has its number in its names."""

    def names(own: Arrays, i: int) -> list[tuple[str, str]]:
        return [(name, name.replace("_l0", f"_l{i}")) for name in own]

    def give(params: Any) -> Arrays:
        each = [layer.give(own) for layer, own in zip(layers, params, strict=True)]
        return {there: own[name] for i, own in enumerate(each) for name, there in names(own, i)}

    def take(arrays: Arrays, like: Any) -> Any:
        each = enumerate(zip(layers, like, strict=True))
        return tuple(
            layer.take({name: arrays[there] for name, there in names(layer.give(own), i)}, own)
            for i, (layer, own) in each
        )

    return Counterpart(give, take)


def _attention_gives(params: AttentionParams) -> Arrays:
    """Queries, keys and values in one, unless they have different numbers of inputs; the keys have a bias there."""
    three: list[NumpyArray] = [each.weight.T for each in params[:3]]
    if len({weight.shape for weight in three}) == 1:
        arrays: Arrays = {"in_proj_weight": np.concatenate(three)}
    else:
        arrays = {f"{name}_proj_weight": weight for name, weight in zip("qkv", three, strict=True)}
    if params.query.bias is not None:
        none = np.zeros_like(params.value.bias)
        arrays["in_proj_bias"] = np.concatenate([params.query.bias, none, params.value.bias])
    return {**arrays, **{f"out_proj.{name}": array for name, array in DENSE.give(params.out).items()}}


def _attention_takes(arrays: Arrays, like: AttentionParams) -> AttentionParams:
    packed = arrays.get("in_proj_weight")
    three = [arrays[f"{name}_proj_weight"] for name in "qkv"] if packed is None else np.split(packed, 3)
    q, v = None, None
    if "in_proj_bias" in arrays:
        n, m = three[0].shape[0], three[2].shape[0]
        q, _, v = np.split(arrays["in_proj_bias"], (n, n + m))
    query, key, value = (DenseParams(weight.T, bias) for weight, bias in zip(three, (q, None, v), strict=True))
    out = {name.removeprefix("out_proj."): array for name, array in arrays.items() if name.startswith("out_proj.")}
    return AttentionParams(query, key, value, DENSE.take(out, like.out))


def block(halves: tuple[tuple[str, ...], ...], norm: str) -> Counterpart:
    """A transformer's block, whose halves have these layers there: in each a norm and a layer, or two around an
    activation."""
    places: dict[str, tuple[int, ...]] = {}
    for i, names in enumerate(halves):
        places[f"norm{i + 1}"] = (i, 1 if norm == "post" else 0)
        for j, name in enumerate(names):
            places[name] = (i, 0, 2 * j) if norm == "post" else (i, 1 + 2 * j)

    def give(params: Any) -> Arrays:
        layers = {name: reduce(getitem, place, params) for name, place in places.items()}
        given = {name: COUNTERPARTS[type(layer)].give(layer) for name, layer in layers.items()}
        if len(tree.leaves(layers)) != len(tree.leaves(params)):
            raise ValueError("a transformer's block whose activation has params has no counterpart in PyTorch")
        return {f"{name}.{part}": a for name, arrays in given.items() for part, a in arrays.items()}

    def take(arrays: Arrays, like: Any) -> Any:
        for name, place in places.items():
            own = {part.removeprefix(f"{name}."): a for part, a in arrays.items() if part.startswith(f"{name}.")}
            old = reduce(getitem, place, like)
            like = _put(like, place, COUNTERPARTS[type(old)].take(own, old))
        return like

    return Counterpart(give, take)


def _put(nested: Any, place: tuple[int, ...], new: Any) -> Any:
    """Nested tuples with another part at a place."""
    if not place:
        return new
    i, *rest = place
    return (*nested[:i], _put(nested[i], tuple(rest), new), *nested[i + 1 :])


BLOCKS = {  # what the halves of each block have there
    "transformer_block": (("self_attn",), ("linear1", "linear2")),
    "transformer_decoder_block": (("self_attn",), ("multihead_attn",), ("linear1", "linear2")),
}
DENSE = _weight(DenseParams, lambda w: w.T, lambda w: w.T)  # nn.Linear computes X · Wᵀ + B: its weight is (out, in)
RECURRENT = (RNNParams, LSTMParams, GRUParams)
COUNTERPARTS: dict[type, Counterpart] = {
    DenseParams: DENSE,
    ConvParams: _weight(
        ConvParams,  # PyTorch has (out, in // groups, *kernel)
        lambda w: np.moveaxis(w, (-1, -2), (0, 1)),
        lambda w: np.moveaxis(w, (0, 1), (-1, -2)),
    ),
    NormParams: _named(NormParams, "weight", "bias"),
    BatchNormParams: Counterpart(_batch_norm_gives, _batch_norm_takes),
    EmbeddingParams: _named(EmbeddingParams, "weight"),
    PReLUParams: _named(PReLUParams, "weight"),
    **dict.fromkeys(RECURRENT, Counterpart(_recurrent_gives, _recurrent_takes)),
    AttentionParams: Counterpart(_attention_gives, _attention_takes),
}
