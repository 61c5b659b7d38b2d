"""Layers that only rearrange: their rule is to rearrange back."""

from __future__ import annotations

import math
from typing import Any

from purenet.core import Layer, Pullback
from purenet.engine.arrays import Shape, describe, is_open, match, namespace
from purenet.presets import preset
from purenet.random import Key

NoParams = tuple[()]


def _reshaping(name: str, target: Any, known: Shape | None = None) -> Layer[NoParams]:
    """The layer that gives each example the shape `target(in_shape)`; `known` is what that is for any input, if so."""

    def check(params: NoParams, x: Any) -> Any:
        xp = namespace(x, name)
        if params != ():
            raise ValueError(f"{name} has no parameters: it takes params = (), not {describe(params)}")
        if x.ndim < 1:
            raise ValueError(f"{name} takes an array with a batch axis, not {describe(x)}")
        return xp

    def apply(params: NoParams, x: Any, key: Key | None = None) -> Any:
        return check(params, x).reshape(x, (x.shape[0], *target(x.shape[1:])))

    def vjp(params: NoParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[NoParams]]:
        y = apply(params, x)
        xp, in_shape, out_shape, dtype = namespace(x), x.shape, y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[NoParams, Any]:
            match(dy, out_shape, dtype, name)
            return (), xp.reshape(dy, in_shape) if wrt_x else None

        return y, pullback

    def shape(in_shape: Shape | None) -> Shape | None:
        return known if in_shape is None or is_open(in_shape) else target(tuple(in_shape))

    return Layer(lambda key, in_shape=None: (), apply, vjp, shape, name)


@preset
def flatten() -> Layer[NoParams]:
    """Every axis but the batch in one: X (batch, a, b, …) to Y (batch, a·b·…); dE/dX is dE/dY in X's shape.

    >>> import numpy as np, purenet as pn
    >>> pn.flatten.apply((), np.zeros((2, 3, 4))).shape
    (2, 12)
    """
    return _reshaping("flatten", lambda in_shape: (math.prod(in_shape),))


def reshape(*shape: int) -> Layer[NoParams]:
    """Each example in another shape, batch left out; one size may be −1, what remains. dE/dX is dE/dY in X's shape.

    >>> import numpy as np, purenet as pn
    >>> pn.reshape(8, 8, 1).apply((), np.zeros((2, 64))).shape
    (2, 8, 8, 1)
    """
    name = f"reshape({', '.join(map(str, shape))})"
    if not all(isinstance(n, int) and not isinstance(n, bool) and (n > 0 or n == -1) for n in shape):
        raise ValueError(f"reshape takes positive sizes, and at most one -1, as in reshape(8, 8, 1), not {shape!r}")
    if shape.count(-1) > 1:
        raise ValueError(f"{name}: only one size may be -1")

    def target(in_shape: Shape) -> Shape:
        size, known = math.prod(in_shape), math.prod(n for n in shape if n != -1)
        if size % known if -1 in shape else size != known:
            raise ValueError(f"{name} cannot hold an example of shape {in_shape}, which has {size} numbers")
        return tuple(size // known if n == -1 else n for n in shape)

    return _reshaping(name, target, None if -1 in shape else shape)
