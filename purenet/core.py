"""The whole idea on one page: a layer is a value made of functions, and its derivative is one of them.

    y = layer.apply(params, x)               what the layer computes
    y, pullback = layer.vjp(params, x)       the same y, and the rule at this point
    dparams, dx = pullback(dy)               dE/dparams and dE/dX from dE/dY

In the class design of "Neural Network from Scratch", `backward` both updates the weights and returns dE/dX, so the
order of two lines decides whether the gradient is right (its author's correction, at 18:58). Here nothing that computes
a gradient can change a parameter: params are read-only arrays, and `sgd_step` and the optimizers return new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from purenet.arrays import Shape
from purenet.random import Key

if TYPE_CHECKING:  # `Layer` alone is `Layer[Any]`; typing's own TypeVar has defaults only from Python 3.13
    from typing_extensions import TypeVar as TypeVarWithDefault

    P = TypeVarWithDefault("P", default=Any)
    S = TypeVarWithDefault("S", default=Any)
else:
    P, S = TypeVar("P"), TypeVar("S")
P_co = TypeVar("P_co", covariant=True)
P_in = TypeVar("P_in", contravariant=True)
Options = ParamSpec("Options")


class Pullback(Protocol[P_co]):
    """The rule at one point: `pullback(dy, wrt_x=True) -> (dparams, dx)`.

    With `wrt_x=False` dE/dX is not computed, and None stands for it: of a net's first layer nobody reads it.
    """

    def __call__(self, dy: Any, wrt_x: bool = True) -> tuple[P_co, Any]: ...


class LossPullback(Protocol):
    """The rule of a loss at one point: `pullback(dE=1.0) -> dy`."""

    def __call__(self, dE: Any = 1.0) -> Any: ...


class Init(Protocol[P_co]):
    def __call__(self, key: Key, in_shape: Shape | None = None) -> P_co: ...


class Apply(Protocol[P_in]):
    def __call__(self, params: P_in, x: Any, key: Key | None = None) -> Any: ...


class Vjp(Protocol[P]):
    def __call__(self, params: P, x: Any, key: Key | None = None) -> tuple[Any, Pullback[P]]: ...


class Layer(NamedTuple, Generic[P]):
    """A layer: an immutable value made of functions.

    Shapes leave the batch axis out. A key means training (dropout drops); without one a layer is deterministic.

    Fields:
        init: `init(key, in_shape=None) -> params`, a pytree of read-only float32 arrays; `()` if there are none.
        apply: `apply(params, x, key=None) -> y`.
        vjp: `vjp(params, x, key=None) -> (y, pullback)`, with y bit-identical to `apply`'s.
        shape: `shape(in_shape) -> out_shape`; None, in or out, is a shape that is not known, and (..., 3) one of which
            only the last axis is.
        name: the code that makes the layer, as `repr(layer)` shows it.
        parts: of a composed layer, the layers that it is made of.
        remake: of a composed layer, `remake(parts)` composes other parts in the same way.
    """

    init: Init[P]
    apply: Apply[P]
    vjp: Vjp[P]
    shape: Callable[[Shape | None], Shape | None]
    name: str
    parts: tuple[Layer[Any], ...] = ()
    remake: Callable[[tuple[Layer[Any], ...]], Layer[Any]] | None = None

    def __repr__(self) -> str:
        return self.name

    def __call__(self, *_: Any, **__: Any) -> Any:
        """An error that says how to run a layer."""
        raise TypeError(f"{self.name} is a layer, which is a value: to run it, write layer.apply(params, x)")


def mark(layer: Layer[P], **marks: Any) -> Layer[P]:
    """The layer, with what `serial` and `value_and_grad` may know of it to be quicker.

    Marks hang on `vjp`, so that a layer with another one has none of them:
        through: its part of a gradient in one go, see `purenet.gradient`.
        chain: the layers of a `serial`.
        takes_the_largest: each number of Y is the largest of some of X.
        keeps_order: y rises with x, or stays 0 with a rule that gives 0: relu.
    """
    vars(layer.vjp).update(marks)
    return layer


def marked(layer: Layer[Any], name: str) -> Any:
    """A mark of a layer, or None."""
    return getattr(layer.vjp, name, None)


class Loss(NamedTuple):
    """A loss: one number E that says how far the output Y is from its target.

    Fields:
        apply: `apply(y, target) -> E`.
        vjp: `vjp(y, target) -> (E, pullback)`, and `pullback(dE=1.0) -> dy`.
        name: the code that makes the loss, as `repr(loss)` shows it.
    """

    apply: Callable[[Any, Any], Any]
    vjp: Callable[[Any, Any], tuple[Any, LossPullback]]
    name: str

    def __repr__(self) -> str:
        return self.name

    def __call__(self, *_: Any, **__: Any) -> Any:
        """An error that says how to run a loss."""
        raise TypeError(f"{self.name} is a loss, which is a value: to run it, write loss.apply(y, target)")


class Optimizer(NamedTuple, Generic[P, S]):
    """An optimizer: a pure step, and the state that it hands from one step to the next.

    Fields:
        init: `init(params) -> state`, a pytree of arrays.
        step: `step(params, grads, state) -> (params, state)`, both new and read-only.
        name: the code that makes the optimizer, as `repr(optimizer)` shows it.
        elementwise: whether each number is treated by itself, wherever it stands: then parameters may be `joined`.
    """

    init: Callable[[P], S]
    step: Callable[[P, P, S], tuple[P, S]]
    name: str
    elementwise: bool = False

    def __repr__(self) -> str:
        return self.name


class Buffer(NamedTuple):
    """A part of params that is carried along but not trained, such as batch norm's running mean.

    Where its gradient would stand, the pullback puts the buffer's next value; `sgd_step` and every optimizer take that
    over as it is, so decay, clipping and gradient norms never touch it.
    """

    value: Any


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
    value = make()
    kind: Any = Layer if isinstance(value, Layer) else Loss

    def call(self: Any, *args: Any, **options: Any) -> Any:
        """The same with other options."""
        if args and hasattr(args[0], "shape"):  # called on an array: not to set options, but to run it
            return kind.__call__(self)
        return make(*args, **options)

    body = {
        "__slots__": (),
        "__doc__": property(lambda self: _help(make)),
        "__module__": make.__module__,
        "__wrapped__": staticmethod(make),
        "__call__": call,
    }
    base = LayerPreset if isinstance(value, Layer) else LossPreset
    return type(make.__name__, (base,), body)(*value)


def _help(make: Callable[..., Any]) -> str:
    """The signature and the docstring of a function."""
    import inspect
    import re

    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(make)))  # annotations without quotes
    return f"{make.__name__}{signature}\n\n{inspect.getdoc(make)}"


def called(name: str, *given: Any, **options: tuple[Any, Any]) -> str:
    """The code that makes a layer: its name, what it was given, and the options (given, default) that are not default.

    >>> called("conv", 6, 5, stride=(2, 1), padding=("valid", "valid")), called("elu", alpha=(1.0, 1.0))
    ('conv(6, 5, stride=2)', 'elu')
    """
    written = [repr(each) for each in given]
    written += [f"{option}={value!r}" for option, (value, default) in options.items() if value != default]
    return f"{name}({', '.join(written)})" if written else name
