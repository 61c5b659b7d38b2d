"""The whole idea on one page: a layer is a value made of functions, and its derivative is one of them.

    y = layer.apply(params, x)               what the layer computes
    y, pullback = layer.vjp(params, x)       the same y, and the rule at this point
    dparams, dx = pullback(dy)               dE/dparams and dE/dX from dE/dY

In the class design of "Neural Network from Scratch", `backward` both updates the weights and returns dE/dX, so the
order of two lines decides whether the gradient is right (its author's correction, at 18:58). Here nothing that computes
a gradient can change a parameter: params are read-only arrays, and `sgd_step` and the optimizers return new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from purenet.engine.arrays import Shape
from purenet.random import Key
from purenet.tree import read_only_copies
from purenet.values import Text, Value, brief

if TYPE_CHECKING:  # `Layer` alone is `Layer[Any]`; typing's own TypeVar has defaults only from Python 3.13
    from typing_extensions import TypeVar as TypeVarWithDefault

    P = TypeVarWithDefault("P", default=Any)
    S = TypeVarWithDefault("S", default=Any)
else:
    P, S = TypeVar("P"), TypeVar("S")
T = TypeVar("T")
P_co = TypeVar("P_co", covariant=True)
P_in = TypeVar("P_in", contravariant=True)


class Pullback(Protocol[P_co]):
    """The rule at one point: `pullback(dy, wrt_x=True) -> (dparams, dx)`.

    With `wrt_x=False` dE/dX is not computed, and None stands for it: of a net's first layer nobody reads it.
    """

    def __call__(self, dy: Any, /, wrt_x: bool = True) -> tuple[P_co, Any]: ...


class LossPullback(Protocol):
    """The rule of a loss at one point: `pullback(dE=1.0) -> dy`."""

    def __call__(self, dE: Any = 1.0, /) -> Any: ...


class Init(Protocol[P_co]):
    def __call__(self, key: Key, /, in_shape: Shape | None = None) -> P_co: ...


class Apply(Protocol[P_in]):
    def __call__(self, params: P_in, x: Any, /, key: Key | None = None) -> Any: ...


class Vjp(Protocol[P]):
    def __call__(self, params: P, x: Any, /, key: Key | None = None) -> tuple[Any, Pullback[P]]: ...


class Step(Protocol[S]):
    """`step(params, grads, state) -> (params, state)`: new params are built like the old ones."""

    def __call__(self, params: T, grads: T, state: S, /) -> tuple[T, S]: ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Layer(Value, Generic[P]):
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
    instead = ": its layers are net.parts, `serial` runs layers one after another, and `add` adds what `fan_out` gives"
    settings: ClassVar[Mapping[str, str]] = {
        "trainable requires_grad": "write frozen(layer) for one that is not trained, or chain(freeze(path), adam())",
        "training mode": "write net.apply(params, x, key) in training, and net.apply(params, x) otherwise",
        "params weights weight bias kernel": "params stand beside a layer: write params = net.init(key)",
        "parts layers": "write serial(*parts) of other parts",
    }

    def __call__(self, *_: Any, **__: Any) -> Any:
        """An error that says how to run a layer."""
        raise TypeError(f"{brief(self.name)} is a layer, which is a value: to run it, write layer.apply(params, x)")

    def _repr_html_(self) -> str:
        """What a notebook shows: the table of `summary`, or the code where sizes are not known."""
        from purenet.introspection import summary

        try:
            return summary(self)._repr_html_()
        except (TypeError, ValueError):
            return Text(self.name)._repr_html_()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Loss(Value):
    """A loss: one number E that says how far the output Y is from its target.

    Fields:
        apply: `apply(y, target) -> E`.
        vjp: `vjp(y, target) -> (E, pullback)`, and `pullback(dE=1.0) -> dy`.
        name: the code that makes the loss, as `repr(loss)` shows it.

    A loss of a function f(y, target) and its derivative df(y, target) by y, as in the video:

    >>> import math
    >>> f = lambda y, t: ((y - t) ** 2).mean()
    >>> df = lambda y, t: 2 * (y - t) / math.prod(y.shape)
    >>> loss = Loss(f, lambda y, t: (f(y, t), lambda dE=1.0: dE * df(y, t)), "own")
    """

    apply: Callable[[Any, Any], Any]
    vjp: Callable[[Any, Any], tuple[Any, LossPullback]]
    name: str = "loss"
    lacks = "no other sums or products, and no items"
    instead = ": losses are added to losses and multiplied by numbers, as in mse + 0.3 * mae"

    def __add__(self, other: Loss) -> Loss:
        """The sum of two losses of the same y and target."""
        from purenet.losses.sums import plus

        return plus(self, other)

    def __mul__(self, factor: float) -> Loss:
        """The loss times a number."""
        from purenet.losses.sums import times

        return times(self, factor)

    __rmul__ = __mul__

    def __call__(self, *_: Any, **__: Any) -> Any:
        """An error that says how to run a loss."""
        raise TypeError(f"{self.name} is a loss, which is a value: to run it, write loss.apply(y, target)")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Optimizer(Value, Generic[P, S]):
    """An optimizer: a pure step, and the state that it hands from one step to the next.

    Fields:
        init: `init(params) -> state`, a pytree of arrays.
        step: `step(params, grads, state) -> (params, state)`, both new and read-only.
        name: the code that makes the optimizer, as `repr(optimizer)` shows it.
        elementwise: whether each number is treated by itself, wherever it stands: then parameters may be `joined`.
        within: of one that holds steps back, as `accumulate` and `freeze` do, `within(transform)` is the same with the
            transform behind them, where steps are made.
        lr: the learning rate, a number or a schedule of the step, for who wants to know; None of an optimizer that has
            none or several. Another rate is another optimizer.
    """

    init: Callable[[P], S]
    step: Step[S]
    name: str
    elementwise: bool = False
    within: Callable[[Callable[[Any], Any]], Any] | None = None
    lr: Any = None
    instead = ": `chain` puts transforms before an optimizer"
    settings: ClassVar[Mapping[str, str]] = {
        "lr learning_rate": "write another, as adam(lr=...), which goes on with the same state, or make lr a schedule"
    }


@read_only_copies
class Buffer(NamedTuple):
    """A part of params that is not trained, but moves by a rule of its own, such as batch norm's running mean.

    Where its gradient would stand, the pullback puts the step that is left, old − next, which does not depend on dE/dY;
    it is 0 where the buffer stays. `sgd_step` and every optimizer take this step at a rate of 1, next = old − step, and
    never decay, clip or count it. To whatever knows of no buffers it is a gradient like any other.
    """

    value: Any


ELSEWHERE = {  # what does the work that other libraries do under these names
    Layer: {
        "net.apply(params, x)": "forward predict predict_on_batch call output",
        "net.vjp(params, x)": "backward backpropagate grad gradient",
        "params = net.init(key)": "parameters params weights bias state_dict get_weights variables build",
        "pn.fit(net, loss, optimizer, params, (x, target), ...)": "fit compile train_on_batch",
        "pn.evaluate(net, loss, params, (x, target))": "evaluate",
        "pn.summary(net, in_shape)": "summary tabulate",
        "pn.save(path, params)": "save save_weights",
        "params = pn.load(path, like=params)": "load load_weights set_weights",
        "pn.from_torch_state_dict(state, like=params) for a dict of arrays, or pn.load for a file": "load_state_dict",
        "net.parts": "layers modules children",
        "pn.serial(*net.parts, layer)": "add append extend add_module",
        "net.apply(params, x, key) in training, and net.apply(params, x) otherwise": "eval training",
        "pn.fit(...) or pn.train(...), which train; net.apply(params, x, key), with a key, is training mode": "train",
        "pn.frozen(net) for one that is not trained": "trainable requires_grad requires_grad_",
        "params = pn.to_engine(params, engine, device)": "to cuda cpu",
    },
    Loss: {
        "loss.apply(y, target)": "forward call loss",
        "loss.vjp(y, target)": "backward prime grad gradient derivative",
        "from_jax(f, params=...) for a layer of a function of JAX": "init shape",
    },
    Optimizer: {
        "optimizer.step(params, grads, state)": "update apply apply_gradients minimize",
        "E, grads = pn.value_and_grad(net, loss)(params, x, target), which sums up nothing": "zero_grad",
    },
}


def _missing(self: Any, name: str) -> Any:
    """An error that says what to write for a name of another library."""
    kind = next(kind for kind in ELSEWHERE if isinstance(self, kind))
    here = next((here for here, others in ELSEWHERE[kind].items() if name in others.split()), "")
    mend = here and f": write {here}"
    raise AttributeError(f"{kind.__name__} has no attribute {name!r}{mend}", name=name, obj=self)


if not TYPE_CHECKING:  # a type checker still knows which attributes there are
    Layer.__getattr__ = Loss.__getattr__ = Optimizer.__getattr__ = _missing
