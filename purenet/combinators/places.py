"""What the combinators share: checks, and the place of a layer in its net, for errors that come out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purenet import tree
from purenet.core import Buffer, Layer, Loss, Optimizer
from purenet.engine.arrays import describe
from purenet.random import Key


def placed(label: Any, layer: Layer[Any]) -> Layer[Any]:
    """The same layer; any error that comes out of it tells its place in the net."""

    def guarded(f: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            try:
                return f(*args, **options)
            except Exception as error:
                locate(error, label, layer)
                raise

        return call

    def vjp(params: Any, x: Any, key: Key | None = None) -> tuple[Any, Any]:
        y, pullback = layer.vjp(params, x, key)
        return y, guarded(pullback)

    return layer._replace(
        init=guarded(layer.init), apply=guarded(layer.apply), vjp=guarded(vjp), shape=guarded(layer.shape)
    )


def locate(error: BaseException, label: Any, layer: Layer[Any]) -> None:
    error.add_note(f"  in layer {label}, {layer.name}")


def check_layers(who: str, layers: tuple[Any, ...]) -> None:
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(f"{who}: argument {i} is {describe(layer)}, not a layer{_mend(who, layer)}")


def check_tuple(given: Any, count: int, name: str, takes: str) -> Any:
    """The tuple that was given, if it has an entry for each layer."""
    if type(given) is tuple and len(given) == count:
        return given
    shown = f"a tuple of {len(given)}" if type(given) is tuple else describe(given)
    mend = f": write {type(given).__name__.lower()}.params" if hasattr(given, "params") else ""
    raise ValueError(f"{name} takes {takes} a tuple of {count}, one for each layer, not {shown}{mend}")


def names_of(layers: tuple[Layer[Any], ...]) -> str:
    return ", ".join(layer.name for layer in layers)


def sum_trees(trees: Any) -> Any:
    """The sum of trees, leaf by leaf; of buffers, the last."""

    def total(a: Any, b: Any) -> Any:
        return b if type(a) is Buffer else a + b

    trees = iter(trees)
    so_far = next(trees)
    for each in trees:
        so_far = tree.map(total, so_far, each, leaf_type=Buffer)
    return so_far


def _mend(who: str, given: Any) -> str:
    """What to write instead, for the usual mistakes."""
    if type(given) in (tuple, list):
        return f": write {who}(*layers)"
    if isinstance(given, Loss | Optimizer) or not callable(given):
        return ""
    name = getattr(given, "__name__", "it")
    if str(getattr(given, "__module__", "")).startswith("purenet."):
        return f": write {name}(...)"
    return f": make one of it, with activation({name}, its derivative), or call it if it makes a layer"
