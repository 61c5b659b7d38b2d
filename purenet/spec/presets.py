"""Values with options: `elu` is a layer, `elu(alpha=0.5)` another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, overload

from purenet.core import Layer, Loss, P
from purenet.values import PRESETS, Options, Value, class_of, fields_of, hinted, takes_numbers


class LayerPreset(Layer[P], Generic[Options, P]):
    """A layer with its default options; call it to set others."""

    __slots__ = ()

    def __call__(self, *args: Options.args, **options: Options.kwargs) -> Layer[P]:
        raise NotImplementedError  # for type checkers: `preset` puts the function itself in this place


class LossPreset(Loss, Generic[Options]):
    """A loss with its default options; call it to set others."""

    __slots__ = ()

    def __call__(self, *args: Options.args, **options: Options.kwargs) -> Loss:
        raise NotImplementedError  # for type checkers: `preset` puts the function itself in this place


@overload
def preset(make: Callable[Options, Layer[P]]) -> LayerPreset[Options, P]: ...
@overload
def preset(make: Callable[Options, Loss]) -> LossPreset[Options]: ...
@hinted
def preset(make: Callable[..., Any]) -> Any:
    """The value of `make()`, which can still be called to set options: `elu` is a layer, `elu(alpha=0.5)` another.

    The value gets a class of its own, which carries the docstring and the signature of `make`. The docstring is a
    property, so that it is the value's and not the class's: `help` then shows it alone, without the class's methods.
    """
    of_numbers = takes_numbers(make)
    PRESETS.add(make)
    value = make()
    kind: Any = class_of(value)

    def call(self: Any, *args: Any, **options: Any) -> Any:
        """The same with other options."""
        if args and getattr(args[0], "shape", ()):  # called on an array: not to set options, but to run it
            return kind.__call__(self)
        return of_numbers(*args, **options)

    body = {
        "__slots__": (),
        "__doc__": property(lambda self: _help(make)),
        "__module__": make.__module__,
        "__wrapped__": staticmethod(make),
        "__call__": call,
        "__reduce__": lambda self: make.__name__ if self is made else Value.__reduce__(self),
    }
    base = LayerPreset if kind is Layer else LossPreset
    made: Any = type(make.__name__, (base,), body)(**fields_of(value) | {"name": value.call or value.name})
    return made


def _help(make: Callable[..., Any]) -> str:
    """The signature and the docstring of a function."""
    import inspect
    import re

    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(make)))  # annotations without quotes
    return f"{make.__name__}{signature}\n\n{inspect.getdoc(make)}"
