"""What a twin is: the layer or loss as PyTorch and JAX have it, read from the code that makes it.

A twin's function takes what `apply` takes, params and x, whose arrays are tensors here, and then the maker's own
arguments: `dense(params, x, *sizes, bias=True)`. So the twin of any layer is found by its name:
`serial(dense(2, 3), tanh)` is evaluated with the twins in place of our makers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple


class Drawn(NamedTuple):
    """A layer and its x, or a loss and its (y, target), in float64. If no params are drawn, they are like init's."""

    layer: Any
    x: Any
    params: Any = None
    training: bool = False


class Twin(NamedTuple):
    """The row of a layer or a loss: its function in PyTorch and in JAX (or the reason why there is none), and a draw.

    A layer without a draw of shapes and options has those of its cases in the catalogue, with other numbers. JAX
    compiles for each shape and option, so it may have fewer draws, or `jax_draw`, a draw of few of them; with `by_row`,
    a function of each row, it sees all rows in one shape. In training mode `torch_training` stands in for `torch`, and
    `jax_training` for `jax`. Where results cancel to nearly 0, entries below `least`, or below `share` of the largest
    of all of them, count as that large.
    """

    torch: Callable[..., Any]
    jax: Callable[..., Any] | str
    draw: Callable[[Any], Drawn] | None = None
    draws: int = 50
    jax_draw: Callable[[Any], Drawn] | None = None
    jax_draws: int = 50
    torch_training: Callable[..., Any] | None = None
    jax_training: Callable[..., Any] | None = None
    by_row: bool = False
    least: float = 0.0
    share: float = 0.0
    jax_tolerance: float | None = None


class Call:
    """A twin's function with the arguments of a maker: `elu` as it is, or `elu(alpha=0.3)`."""

    def __init__(self, function: Callable[..., Any], *args: Any, **options: Any) -> None:
        self.function, self.args, self.options = function, args, options

    def __call__(self, *args: Any, **options: Any) -> Call:
        return Call(self.function, *args, **options)

    def __add__(self, other: Call) -> Call:
        return Call(lambda y, target: self.run(y, target) + other.run(y, target))

    def __rmul__(self, factor: float) -> Call:
        return Call(lambda y, target: factor * self.run(y, target))

    def run(self, params: Any, x: Any) -> Any:
        return self.function(params, x, *self.args, **self.options)


def in_torch(twins: dict[str, Twin], code: str, training: bool = False) -> Call:
    """The layer, or loss, of this code as PyTorch has it."""
    return read(code, {name: (training and twin.torch_training) or twin.torch for name, twin in twins.items()})


def in_jax(twins: dict[str, Twin], code: str, training: bool = False) -> Call:
    """The layer, or loss, of this code as JAX has it."""
    names = {name: (training and twin.jax_training) or twin.jax for name, twin in twins.items()}
    return read(code, {name: function for name, function in names.items() if callable(function)})


def read(code: str, names: dict[str, Callable[..., Any]]) -> Call:
    return eval(code, {name: Call(function) for name, function in names.items()})


def of_x(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """The twin of a layer without params: a function of x, and of the maker's arguments."""

    def run(params: Any, x: Any, **more: Any) -> Any:
        assert params == ()
        return partial(function, **options)(x, **more)

    return run
