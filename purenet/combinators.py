"""Layers made of layers."""

from __future__ import annotations

from typing import Any

from purenet.arrays import Shape, describe
from purenet.core import Layer, Pullback
from purenet.random import Key, split


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
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(f"serial: argument {i} is {describe(layer)}, not a layer{_mend(layer)}")
    name = f"serial({', '.join(layer.name for layer in layers)})"
    count = len(layers)
    no_keys = (None,) * count

    def shape(in_shape: Shape | None) -> Shape | None:
        for i, layer in enumerate(layers):
            with _Place(i, layer):
                in_shape = layer.shape(in_shape)
        return in_shape

    def init(key: Key, in_shape: Shape | None = None) -> tuple[Any, ...]:
        params = []
        for i, (layer, layer_key) in enumerate(zip(layers, split(key, count), strict=True)):
            with _Place(i, layer):
                params.append(layer.init(layer_key, in_shape))
                in_shape = layer.shape(in_shape)
        return tuple(params)

    def apply(params: tuple[Any, ...], x: Any, key: Key | None = None) -> Any:
        check(params)
        keys = no_keys if key is None else split(key, count)
        i = 0
        try:
            for i in range(count):
                x = layers[i].apply(params[i], x, keys[i])
        except Exception as error:
            _locate(error, i, layers[i])
            raise
        return x

    def vjp(params: tuple[Any, ...], x: Any, key: Key | None = None) -> tuple[Any, Pullback[tuple[Any, ...]]]:
        check(params)
        keys = no_keys if key is None else split(key, count)
        pullbacks: list[Any] = []
        i = 0
        try:
            for i in range(count):
                x, pull = layers[i].vjp(params[i], x, keys[i])
                pullbacks.append(pull)
        except Exception as error:
            _locate(error, i, layers[i])
            raise

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[tuple[Any, ...], Any]:
            grads = list(params)
            first = 0  # without dE/dX, nothing is read of what lies before the first parameters
            while not wrt_x and first < count - 1 and params[first] == ():
                first += 1
            i = count
            try:
                while i > first:
                    i -= 1
                    grads[i], dy = pullbacks[i](dy, wrt_x or i > first)
            except Exception as error:
                _locate(error, i, layers[i])
                raise
            return tuple(grads), dy if wrt_x else None

        return x, pullback

    def check(params: Any) -> None:
        if type(params) is not tuple or len(params) != count:
            given = f"a tuple of {len(params)}" if type(params) is tuple else describe(params)
            raise ValueError(f"{name} takes params that are a tuple of {count}, one for each layer, not {given}")

    shape(None)  # sizes that cannot fit are found here
    return Layer(init, apply, vjp, shape, name, layers, lambda parts: serial(*parts))


class _Place:
    """Adds to any error that comes out of a layer the place of that layer in its net."""

    __slots__ = ("index", "layer")

    def __init__(self, index: int, layer: Layer[Any]) -> None:
        self.index, self.layer = index, layer

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is not None:
            _locate(error, self.index, self.layer)


def _locate(error: BaseException, index: int, layer: Layer[Any]) -> None:
    error.add_note(f"  in layer {index}, {layer.name}")


def _mend(given: Any) -> str:
    """What to write instead, for the usual mistakes."""
    if isinstance(given, tuple | list):
        return ": write serial(*layers)"
    if callable(given):
        return f": write {getattr(given, '__name__', 'it')}(...)"
    return ""
