"""A state dict, out of params and back: its names, shapes and dtypes are held against what the net needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from purenet import tree
from purenet.core import Layer
from purenet.engine import engine_of
from purenet.engine.arrays import describe, needed, to_numpy
from purenet.engine.jax import host_only
from purenet.interop.layouts import Counterpart
from purenet.interop.walk import walk
from purenet.values import hinted

P = TypeVar("P")


@hinted
def to_torch_state_dict(params: Any, net: Layer[Any] | None = None) -> dict[str, Any]:
    """The params of a net as PyTorch's `module.load_state_dict` takes them: tensors by name.

    net = pn.serial(pn.conv(1, 6, 5), pn.relu, pn.max_pool(2), pn.flatten, pn.dense(6 * 12 * 12, 10))
    module = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 12 * 12, 10))
    module.load_state_dict(pn.to_torch_state_dict(params, net))

    `net` may be left out where the params say it all: not with convolutions, `bidirectional`, `stacked` (and so
    `num_layers`), transformers' blocks and `tied`. `help("purenet.interop")` tells the names, and which module is the
    counterpart of which layer.

    Raises:
        TypeError: a layer has no counterpart, or the params alone do not tell which layer is theirs.
    """
    host_only("to_torch_state_dict", *tree.leaves(params))
    if isinstance(params, Layer) or not isinstance(net, Layer | None):
        raise TypeError(f"to_torch_state_dict takes params, then the net, not {describe(params)} and {describe(net)}")
    torch = needed("torch", "to_torch_state_dict makes tensors of PyTorch: pip install torch")
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in _given(params, net).items()}


@hinted
def from_torch_state_dict(state: Mapping[str, Any], like: P, net: Layer[P] | None = None) -> P:
    """Params built like `like`, such as `net.init(key)`, with the weights of a state dict: tensors or arrays by name.

    PyTorch itself is not needed for arrays, as `load` reads them from `.safetensors`. `net` may be left out as in
    `to_torch_state_dict`. Two biases that only ever add up, as PyTorch's recurrent layers have, become their sum; the
    bias of attention's keys, which changes nothing, is left out, and so is how many batches a batch norm has seen.

    Raises:
        ValueError: names are missing or are too many, or a weight has another shape.
        TypeError: a weight has another dtype; a layer has no counterpart, or the params alone do not tell which it is.

    >>> import numpy as np, purenet as pn
    >>> state = {"weight": np.ones((3, 2), np.float32), "bias": np.zeros(3, np.float32)}
    >>> from_torch_state_dict(state, like=pn.dense(2, 3).init(pn.key(0))).weight.shape
    (2, 3)
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"from_torch_state_dict takes a state dict, not {describe(state)}: write module.state_dict()")
    host_only("from_torch_state_dict", *state.values())
    own = _given(like, net)
    _check_names(list(state), list(own), "" if net else "; a transformer's block or a tied layer needs net=net")
    arrays = {name: _checked(name, state[name], own[name]) for name in own if name in state}

    def take(name: str, layer: Any, counterpart: Counterpart) -> Any:
        plain = tree.map(to_numpy, layer)
        parts = {part: arrays[name + part] for part in counterpart.give(plain) if name + part in arrays}
        return tree.map(_as_in, counterpart.take(parts, plain), layer)

    params: P = walk(take, like, net)[0]
    return params


def _given(params: Any, net: Layer[Any] | None) -> dict[str, np.ndarray]:
    """The arrays of a state dict by name."""
    found: dict[str, np.ndarray] = {}

    def give(name: str, layer: Any, counterpart: Counterpart) -> Any:
        found.update({name + part: array for part, array in counterpart.give(layer).items()})
        return layer

    walk(give, tree.map(to_numpy, params), net)
    return found


def _check_names(given: list[str], own: list[str], hint: str) -> None:
    missing = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    surplus = [name for name in given if name not in own]
    if missing:
        beginnings = {name.removesuffix(own[0]) for name in given if name.endswith(f".{own[0]}")}
        for start in sorted(start for start in beginnings if all(start + name in given for name in missing)):
            raise ValueError(
                f"the state dict has the names of like, such as {own[0]}, with {start} before them: hand in "
                f"{{name.removeprefix({start!r}): w for name, w in state.items() if name.startswith({start!r})}}"
            )
        raise ValueError(
            f"the state dict has no {_listed(missing)}; it has {_listed(given) or 'nothing'}. Make like of a net with "
            f"the layers and options of the module, in its order; or rename what the module names otherwise{hint}"
        )
    if surplus:
        raise ValueError(
            f"the state dict has {_listed(surplus)}, which like has no place for: leave it out, or make like of a net "
            "that has the layer or the bias that it belongs to"
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _checked(name: str, value: Any, own: np.ndarray) -> np.ndarray:
    """A tensor or an array of a state dict as an array, if it has the shape and the dtype of our own."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(f"{name} of the state dict is {describe(value)}, not a tensor or an array")
    if tuple(value.shape) != own.shape:
        raise ValueError(
            f"{name} of the state dict is {tuple(value.shape)}, but like needs {own.shape}: "
            "make like of a net with the sizes of the module"
        )
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype != str(own.dtype):
        raise TypeError(
            f"{name} of the state dict is {dtype}, but like needs {own.dtype}: write module.to(torch.{own.dtype})"
            f"{f', or like=purenet.tree.cast(like, np.{dtype})' if dtype in ('float16', 'float32', 'float64') else ''}"
        )
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _as_in(new: Any, like: Any) -> Any:
    """A copy of the array on the engine of `like`."""
    ops = engine_of(like)
    return ops.read_only(ops.take_in(np.array(new, order="C")))
