"""Of several inputs: one of them, or two exchanged; and the rule of what a layer hands on as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from purenet.combinators.compose import check_tuple, composed
from purenet.core import Layer
from purenet.engine import Ops, engine_of
from purenet.engine.arrays import describe, describe_all, is_integer, is_open, match_gradient, shape_text
from purenet.random import Key
from purenet.spec import Pull, Rule, check_array
from purenet.spec.presets import preset
from purenet.values import Call, called, takes_numbers


def _rearranging(
    name: Call,
    takes: str,
    fits: Callable[[Any], bool],
    forward: Callable[[Any], Any],
    pull: Callable[[Any, Any], tuple[Any, ...]],
) -> Layer[tuple[()]]:
    """The layer of no params that gives `forward(x)`, of x or of its shape, if that is a tuple that fits."""

    def check(params: Any, x: Any) -> None:
        if type(params) is not tuple or params:
            raise ValueError(f"{name} takes no params, not {describe_all(params)}: write params = ()")
        if type(x) is not tuple or not fits(x):
            given = f"a tuple of {len(x)}" if type(x) is tuple else describe(x)
            raise ValueError(f"{name} takes an x that is {takes}, not {given}")
        check_parts(x)

    def check_parts(x: Any) -> None:
        if type(x) is tuple:
            for part in x:
                check_parts(part)
        elif x is not None:
            check_array(x, name, alone=False)

    def shape(in_shape: Any) -> Any:
        if in_shape is None or is_open(in_shape):  # as of a recurrent layer, which may give a state or none
            return None
        if not all(each is None or isinstance(each, tuple) for each in in_shape) or not fits(in_shape):
            raise ValueError(f"{name} takes {takes}, so in_shape is one of as many shapes, not {shape_text(in_shape)}")
        return forward(in_shape)

    def init(key: Key, in_shape: Any = None) -> tuple[()]:
        shape(in_shape)
        return ()

    def rule(rules: Sequence[Rule], ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        return forward(x), lambda dy, wrt_x: ((), pull(x, dy) if wrt_x else None)

    return composed(name, (), rule, check, init, shape)


@takes_numbers
def pick(i: int) -> Layer[tuple[()]]:
    """One of several inputs: X = (X₀, X₁, …) to Y = Xᵢ; a negative i counts from the end.

    For one output of a layer that gives several, as of a `fan_out` or of a recurrent layer with its state. The rule:
    dE/dXᵢ = dE/dY, and of the others 0; None where there are integers or booleans.

    >>> import numpy as np, purenet as pn
    >>> pn.pick(1).apply((), (np.array([1.0]), np.array([2.0])))
    array([2.])
    """
    if not is_integer(i):
        raise TypeError(f"pick takes the place of an input, an integer, not {describe(i)}")
    name, takes = called("pick", locals()), f"a tuple of {i + 1 if i >= 0 else -i} or more"

    def pull(x: Any, dy: Any) -> tuple[Any, ...]:
        at = i % len(x)
        return tuple(handed_on(part, dy, name) if j == at else _no_gradient(part) for j, part in enumerate(x))

    return _rearranging(name, takes, lambda x: -len(x) <= i < len(x), lambda x: x[i], pull)


@preset
def swap() -> Layer[tuple[()]]:
    """Two inputs exchanged: X = (A, B) to Y = (B, A). The rule exchanges them back: of dE/dY = (dB, dA), (dA, dB).

    With `keep_rest` and `on_first` any layer has its turn at either: in front of an attention, swapped inputs have the
    second attend to the first.

    >>> import numpy as np, purenet as pn
    >>> pn.swap.apply((), (np.array([1.0]), np.array([2.0])))
    (array([2.]), array([1.]))
    """

    def exchanged(x: Any) -> Any:
        return x[1], x[0]

    def pull(x: Any, dy: Any) -> tuple[Any, ...]:
        check_tuple(dy, 2, "the pullback of swap", "a dE/dY that is")
        return handed_on(x[0], dy[1], "swap"), handed_on(x[1], dy[0], "swap")

    return _rearranging(called("swap"), "a tuple of two", lambda x: len(x) == 2, exchanged, pull)


def handed_on(part: Any, dpart: Any, who: str) -> Any:
    """dE/dX of a part of X that stands in Y as it is: dE/dY there; None where it holds integers or booleans. Of a tuple
    of arrays, such as a state, and of each in it, None is a gradient of 0."""
    if type(part) is tuple:
        if dpart is None:
            return _no_gradient(part)
        each = check_tuple(dpart, len(part), f"the pullback of {who}", "a dE/dY that is")
        return tuple(_no_gradient(a) if b is None else handed_on(a, b, who) for a, b in zip(part, each, strict=True))
    if part is None or not engine_of(part, who).has_gradient(part):
        return None
    match_gradient(dpart, part.shape, part.dtype, who)
    return dpart


def _no_gradient(part: Any) -> Any:
    """dE/dX of a part of X that nothing depends on: 0; None where it holds integers or booleans."""
    if type(part) is tuple:
        return tuple(map(_no_gradient, part))
    ops = None if part is None else engine_of(part)
    return ops.zeros_like(part) if ops and ops.has_gradient(part) else None


def total(a: Any, b: Any) -> Any:
    """The sum of two gradients of one part, of which each may be None."""
    if type(a) is tuple:
        return tuple(map(total, a, b))
    return b if a is None else a if b is None else a + b
