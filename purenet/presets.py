"""Values with options: `elu` is a layer, `elu(alpha=0.5)` another; and the code that makes a value, as its name."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar, overload

from purenet.core import Layer, Loss, P
from purenet.engine.jax import traced

Options = ParamSpec("Options")
F = TypeVar("F", bound=Callable[..., Any])


class Call(str):
    """The code that makes a value, which also tells its parts: nothing has to read the text.

    Fields:
        maker: the name of the function.
        args, options: what it was given, options that have their default left out.
    """

    maker: str
    args: tuple[Any, ...]
    options: Mapping[str, Any]

    __slots__ = ("args", "maker", "options")


def maker_of(name: str) -> str:
    """The function that a value was made by; "" for a name that somebody wrote."""
    return name.maker if isinstance(name, Call) else ""


def call(maker: str, *args: Any, **options: Any) -> Call:
    """The code of a call with these arguments.

    >>> call("serial"), call("named", a=1)
    ('serial()', 'named(a=1)')
    """
    written = [*map(repr, args), *(f"{option}={value!r}" for option, value in options.items())]
    return spelled(f"{maker}({', '.join(written)})", maker, args, options)


def spelled(text: str, maker: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> Call:
    """The code of a call, written like this."""
    code = Call(text)
    code.maker, code.args, code.options = maker, args, options
    return code


def called(maker: str, *args: Any, unseen: Mapping[str, tuple[Any, Any]] | None = None, **options: Any) -> Call:
    """The code that makes a value from what was given and the options (given, default) that are not default; without
    any, the name of a preset. Options that are `unseen` are kept, but not written.

    >>> called("conv", 6, 5, stride=((2, 1)), padding=("valid", "valid")), called("elu", alpha=(1.0, 1.0))
    ('conv(6, 5, stride=2)', 'elu')
    """
    check_known(maker, **{option: value for option, (value, _) in options.items()})
    given = {option: value for option, (value, default) in options.items() if value != default}
    hidden = {option: value for option, (value, default) in (unseen or {}).items() if value is not default}
    text = str(call(maker, *args, **given)) if args or given else maker
    return spelled(text, maker, args, {**given, **hidden})


def check_known(maker: str, **options: Any) -> None:
    """Check that JAX traces none of the options."""
    for option, value in options.items():
        if traced(value):
            raise TypeError(
                f"{maker} takes {option} as a number that is known, not one that JAX traces (jit, grad, vmap, scan): "
                "make it outside, of a number. Of all options only learning rates may be traced"
            )


def made_again(maker: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """The value that a public function of this library makes of these arguments; without any, a preset itself."""
    import purenet

    made = getattr(purenet, maker)
    return made if isinstance(made, Layer | Loss) and not args and not options else made(*args, **options)


def _reduced(value: Layer[Any] | Loss) -> tuple[Any, ...]:
    """How a layer or a loss is pickled and copied: as the call that makes it."""
    if isinstance(value.name, Call):
        return made_again, (value.name.maker, value.name.args, dict(value.name.options))
    return type(value), tuple(value)


for _kind in (Layer, Loss):
    copyreg.pickle(_kind, _reduced)  # type: ignore[arg-type]  # typing knows one kind at a time


OPTIONS_ELSEWHERE = {
    "learning_rate": "lr", "step_size": "lr", "b1": "beta1", "beta_1": "beta1", "b2": "beta2", "beta_2": "beta2",
    "betas": "beta1=..., beta2", "epsilon": "eps", "rho": "decay", "p": "rate", "slope": "negative_slope",
    "label_smooth": "label_smoothing", "smoothing": "label_smoothing", "beta": "delta",
    "use_bias": "bias", "strides": "stride", "kernel_initializer": "weight_init", "bias_initializer": "bias_init",
    "batch": "batch_size", "validation_data": "validation", "verbose": "progress", "n_epochs": "epochs",
    "num_epochs": "epochs", "early_stopping": "patience", "max_epochs": "epochs", "random_state": "key", "seed": "key",
}  # fmt: skip


def hinted(make: F) -> F:
    """The same function; an option that it does not have is an error that names the right one, or all there are."""

    @wraps(make)
    def made(*args: Any, **options: Any) -> Any:
        try:
            return make(*args, **options)
        except TypeError as error:
            wrong = str(error).removeprefix(f"{make.__qualname__}() got an unexpected keyword argument ").strip("'")
            if wrong not in options:
                raise
            takes = _parameters(make)
            right = OPTIONS_ELSEWHERE.get(wrong, "")
            there = right.rpartition(" ")[2] in takes
            mend = f"write {right}=..." if there else f"it has {', '.join(takes)}" if takes else "it has none"
            raise TypeError(f"{make.__qualname__} has no option {wrong}: {mend}") from None

    return made  # type: ignore[return-value]  # it takes what `make` takes


def _parameters(make: Callable[..., Any]) -> list[str]:
    import inspect

    variadic = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return [name for name, each in inspect.signature(make).parameters.items() if each.kind not in variadic]


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
def preset(make: Callable[..., Any]) -> Any:
    """The value of `make()`, which can still be called to set options: `elu` is a layer, `elu(alpha=0.5)` another.

    The value gets a class of its own, which carries the docstring and the signature of `make`. The docstring is a
    property, so that it is the value's and not the class's: `help` then shows it alone, without the methods of a tuple.
    """
    value, hinted_make = make(), hinted(make)
    kind: Any = Layer if isinstance(value, Layer) else Loss

    def call(self: Any, *args: Any, **options: Any) -> Any:
        """The same with other options."""
        if args and getattr(args[0], "shape", ()):  # called on an array: not to set options, but to run it
            return kind.__call__(self)
        return hinted_make(*args, **options)

    body = {
        "__slots__": (),
        "__doc__": property(lambda self: _help(make)),
        "__module__": make.__module__,
        "__wrapped__": staticmethod(make),
        "__call__": call,
        "__reduce__": _reduced,
    }
    base = LayerPreset if isinstance(value, Layer) else LossPreset
    return type(make.__name__, (base,), body)(*value)


def _help(make: Callable[..., Any]) -> str:
    """The signature and the docstring of a function."""
    import inspect
    import re

    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(make)))  # annotations without quotes
    return f"{make.__name__}{signature}\n\n{inspect.getdoc(make)}"
