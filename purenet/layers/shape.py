"""Layers that only rearrange: their rule is to rearrange back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, Shape, is_integer
from purenet.layers.activations import NoParams
from purenet.random import Key
from purenet.spec import Pull, Spec, layer
from purenet.spec.patterns import Sizes
from purenet.spec.presets import preset
from purenet.values import called, takes_numbers


def _reshaping(name: str, target: Callable[[Shape], Shape], y: Any, fits: Any = None) -> Layer[NoParams]:
    """The layer that gives each example the shape `target(in_shape)`."""

    def rule(ops: Ops, params: NoParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        y = ops.reshape(x, (x.shape[0], *target(x.shape[1:])))
        return y, lambda dy, wrt_x: ((), ops.reshape(dy, x.shape) if wrt_x else None)

    return layer(Spec(name, x="batch ...: any", y=y, fits=fits), rule)


@preset
def flatten() -> Layer[NoParams]:
    """Every axis but the batch in one: X (batch, a, b, …) to Y (batch, a·b·…); dE/dX is dE/dY in X's shape.

    >>> import numpy as np, purenet as pn
    >>> pn.flatten.apply((), np.zeros((2, 3, 4))).shape
    (2, 12)
    """

    def target(in_shape: Shape) -> Shape:
        return (math.prod(in_shape),)

    return _reshaping(called("flatten"), target, target)


@takes_numbers
def reshape(*shape: int) -> Layer[NoParams]:
    """Each example in another shape, batch left out; one size may be −1, what remains. dE/dX is dE/dY in X's shape.

    >>> import numpy as np, purenet as pn
    >>> pn.reshape(8, 8, 1).apply((), np.zeros((2, 64))).shape
    (2, 8, 8, 1)
    """
    name = called("reshape", locals())
    if not all(is_integer(n) and (n > 0 or n == -1) for n in shape):
        raise ValueError(f"reshape takes positive sizes, and at most one -1, as in reshape(8, 8, 1), not {shape!r}")
    if shape.count(-1) > 1:
        raise ValueError(f"{name}: only one size may be -1")

    def target(in_shape: Shape) -> Shape:
        size, known = math.prod(in_shape), math.prod(n for n in shape if n != -1)
        if size % known if -1 in shape else size != known:
            raise ValueError(f"{name} cannot hold an example of shape {in_shape}, which has {size} numbers")
        return tuple(size // known if n == -1 else n for n in shape)

    def fits(sizes: Sizes) -> str:
        in_shape = sizes.get("...")
        if in_shape is not None and ... not in in_shape:
            target(in_shape)
        return ""

    if -1 in shape:
        return _reshaping(name, target, target)
    return _reshaping(name, target, f"batch {' '.join(map(str, shape))}", fits)


@takes_numbers
def permute(*order: int) -> Layer[NoParams]:
    """The axes in another order. They are numbered as in x, whose axis 0 is the batch and stays the first.

    `permute(2, 1)` is PyTorch's `x.permute(0, 2, 1)` and Keras's `Permute((2, 1))`: axis i of Y is axis order[i − 1] of
    X. The rule: dE/dX is dE/dY with its axes back in their places.

    >>> import numpy as np, purenet as pn
    >>> pn.permute(3, 1, 2).apply((), np.zeros((2, 28, 30, 3))).shape  # channels first
    (2, 3, 28, 30)
    """
    if sorted(order) != [*range(1, len(order) + 1)] or not order:
        raise ValueError(
            f"permute takes the axes of x from 1 on, each of them once, as in permute(2, 1); 0 is the batch, which "
            f"stays: not {order!r}"
        )
    whole = (0, *order)
    back = tuple(map(whole.index, range(len(whole))))

    def rule(ops: Ops, params: NoParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        return ops.permute_dims(x, whole), lambda dy, wrt_x: ((), ops.permute_dims(dy, back) if wrt_x else None)

    axes = [f"axis{i}" for i in range(len(whole))]
    x, y = (" ".join(["batch", *(axes[i] for i in places[1:])]) for places in (range(len(whole)), whole))
    return layer(Spec(called("permute", locals()), x=f"{x}: any", y=y), rule)
