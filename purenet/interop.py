"""Weights that come from PyTorch and go there: the same net, in the names and the layout of the other.

The layers of a `serial` have the names of an `nn.Sequential`: `0.weight` belongs to the first one. A net must have a
module for each of its layers, those without parameters too, so that the numbers agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from purenet import tree
from purenet.arrays import describe, freeze
from purenet.layers.dense import DenseParams
from purenet.tracing import host_only

P = TypeVar("P")


class Counterpart(NamedTuple):
    """How the params of a layer stand in a module's state dict.

    Fields:
        give: `give(params) -> {name: array}`, in PyTorch's layout.
        take: `take(arrays, like) -> params`; `arrays` is what `give` gives.
    """

    give: Callable[[Any], dict[str, Any]]
    take: Callable[[dict[str, Any], Any], Any]


def _dense_gives(params: DenseParams) -> dict[str, Any]:
    """`nn.Linear` computes X · Wᵀ + B: its weight is (out, in)."""
    own = {"weight": params.weight.T}
    return own if params.bias is None else {**own, "bias": params.bias}


COUNTERPARTS: dict[type, Counterpart] = {
    DenseParams: Counterpart(_dense_gives, lambda a, like: DenseParams(a["weight"].T, a.get("bias"))),
}


def to_torch_state_dict(params: Any) -> dict[str, Any]:
    """The params of a net as PyTorch's `module.load_state_dict` takes them: tensors by name.

    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    module.load_state_dict(pn.to_torch_state_dict(params))      # of serial(dense(2, 3), tanh, dense(3, 1))

    Raises:
        TypeError: the params of a layer have no counterpart yet: dense layers have.
    """
    host_only("to_torch_state_dict", *tree.leaves(params))
    import torch

    given = {}
    for name, layer in _layers(params, ""):
        for part, array in COUNTERPARTS[type(layer)].give(layer).items():
            given[name + part] = torch.from_numpy(np.array(array, order="C"))
    return given


def from_torch_state_dict(state: Mapping[str, Any], like: P) -> P:
    """Params built like `like`, such as `net.init(key)`, with the weights of a state dict: tensors or arrays by name.

    They take the dtype of `like`. PyTorch itself is not needed for arrays, as `load` reads them from `.safetensors`.

    Raises:
        ValueError: a name is missing or is one too many, or a weight has another shape.
        TypeError: the params of a layer have no counterpart yet: dense layers have.

    >>> import numpy as np, purenet as pn
    >>> state = {"weight": np.ones((3, 2)), "bias": np.zeros(3)}
    >>> from_torch_state_dict(state, like=pn.dense(2, 3).init(pn.key(0))).weight.shape
    (2, 3)
    """
    host_only("from_torch_state_dict", *state.values())
    rest = dict(state)

    def convert(name: str, layer: Any) -> Any:
        counterpart = COUNTERPARTS[type(layer)]
        arrays = {}
        for part, own in counterpart.give(layer).items():
            if name + part not in rest:
                raise ValueError(f"the state dict has no {name + part}; it has {', '.join(state)}")
            value = rest.pop(name + part)
            array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
            if array.shape != own.shape:
                raise ValueError(f"{name + part} of the state dict is {array.shape}, but like needs {own.shape}")
            arrays[part] = array
        taken = counterpart.take(arrays, layer)
        return tree.map(lambda new, old: freeze(np.array(new, old.dtype, order="C")), taken, layer)

    converted = iter([convert(name, layer) for name, layer in _layers(like, "")])
    if rest:
        raise ValueError(f"the state dict has {min(rest)}, which like has no place for")
    return _with_layers(like, converted)  # type: ignore[no-any-return]


def _layers(node: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The params of the layers that have a counterpart, with the beginning of their names."""
    if type(node) in COUNTERPARTS:
        yield name, node
    elif type(node) in (tuple, list):
        for i, child in enumerate(node):
            yield from _layers(child, f"{name}{i}.")
    elif node is not None:
        raise TypeError(f"{name or 'params'} is {describe(node)}, which has no counterpart in PyTorch yet: dense has")


def _with_layers(node: Any, layers: Iterator[Any]) -> Any:
    if type(node) in COUNTERPARTS:
        return next(layers)
    return node if node is None else type(node)(_with_layers(child, layers) for child in node)
