"""All parameters in one vector, for nets so small that a call of NumPy costs more than its arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from purenet import tree
from purenet.core import Buffer, Optimizer
from purenet.engine.arrays import freeze, namespace
from purenet.optimizers.transforms import Transform, transform
from purenet.optimizers.update import without_buffers


def joined() -> Transform:
    """The optimizer sees all parameters as one vector, and gives them back in their shapes.

    The numbers are the same to the last bit. A net of few parameters trains faster, since an optimizer such as `adam`
    makes a dozen calls of NumPy for each array that it is given; of more than about 100,000 numbers, the copies cost
    more than that. The slots of the state are vectors too.

    Raises:
        ValueError: the optimizer treats parameters differently, or as a whole, as `lamb` does by its norms.

    >>> import numpy as np, purenet as pn
    >>> opt = pn.chain(pn.clip_by_global_norm(1.0), pn.joined(), pn.adam(0.1))
    >>> params = (np.ones((2, 2)), np.zeros(3))
    >>> params, state = opt.step(params, params, opt.init(params))
    >>> params[0].shape, state.slots["sum"].shape
    ((2, 2), (7,))
    """

    def wrap(inner: Optimizer[Any, Any], name: str) -> Optimizer[Any, Any]:
        if not inner.elementwise:
            raise ValueError(
                f"joined() takes an optimizer that treats each number by itself, such as adam(), but {inner.name} "
                "chooses between parameters, looks at each as a whole, or has transforms of its own: "
                "write other transforms before joined(), as in chain(weight_decay(1e-4), joined(), adam())"
            )

        def init(params: Any) -> Any:
            return inner.init(_join(tree.leaves(without_buffers(params))))

        def step(params: Any, grads: Any, state: Any = None) -> tuple[Any, Any]:
            ps: list[Any] = []
            gs: list[Any] = []
            try:
                _collect(params, grads, ps, gs)
            except (ValueError, TypeError, AttributeError):
                tree.check_same(params, grads, "params")
                raise
            vector, state = inner.step(_join(ps), _join(gs), state)
            return _refill(params, grads, iter(_cut(vector, ps))), state

        return Optimizer(init, step, name)

    return transform("joined()", wrap)


def _collect(params: Any, grads: Any, ps: list[Any], gs: list[Any]) -> None:
    """Append the parameters to ps, and their gradients to gs; buffers are left out."""
    kind = type(params)
    if kind is Buffer:
        return
    if isinstance(params, tuple) and kind is type(grads) and len(params) == len(grads):
        for p, g in zip(params, grads):  # noqa: B905 (they are of one length)
            if type(p) is ndarray is type(g) and p.shape == g.shape:  # as below, without the call
                ps.append(p)
                gs.append(g)
            elif type(p) is not tuple or p or g != ():
                _collect(p, g, ps, gs)
    elif tree.is_node(params):
        tree.map(lambda p, g: _collect(p, g, ps, gs), params, grads, leaf_type=Buffer)
    elif params.shape != grads.shape:
        raise ValueError("a gradient has another shape than its parameter")
    else:
        ps.append(params)
        gs.append(grads)


def _join(leaves: list[Any]) -> Any:
    if not leaves:
        return np.zeros(0, np.float32)
    xp = np if type(leaves[0]) is ndarray else namespace(leaves[0], "joined()")
    return xp.concat(leaves, axis=None)


def _cut(vector: Any, ps: list[Any]) -> list[Any]:
    """The vector in the shapes of the parameters, as views, which are read-only as it is."""
    begin, pieces, dtype = 0, [], vector.dtype
    for p in ps:
        if p.dtype is not dtype and p.dtype != dtype:
            raise TypeError(f"joined() takes params of one dtype, but these are {p.dtype} and {dtype}: see tree.cast")
        if type(p) is ndarray:
            end = begin + p.size
            piece = vector[begin:end]
            pieces.append(piece if p.ndim == 1 else piece.reshape(p.shape))
        else:
            end = begin + math.prod(p.shape)
            pieces.append(namespace(p).reshape(vector[begin:end], p.shape))
        begin = end
    return pieces


def _refill(params: Any, grads: Any, pieces: Iterator[Any]) -> Any:
    """The containers of params around the next pieces. Buffers take their next values, which stand in grads."""
    kind = type(params)
    if kind is Buffer:
        return tree.map(freeze, grads)
    if isinstance(params, tuple):
        children = []
        for p, g in zip(params, grads):  # noqa: B905 (they are of one length)
            empty = type(p) is tuple and not p
            children.append(next(pieces) if type(p) is ndarray else p if empty else _refill(p, g, pieces))
        return tuple.__new__(kind, children)
    if tree.is_node(params):
        return tree.map(lambda p, g: _refill(p, g, pieces), params, grads, leaf_type=Buffer)
    return next(pieces)
