"""Which engine computes: asked once a call, of the arrays that are given."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy import ndarray

from purenet.engine.arrays import FLOAT32, check_no_gradient, is_array, is_half, is_tensor, kind_of, mixed, namespace
from purenet.engine.jax import JaxOps, namespace_of_jax, traced
from purenet.engine.numpy import FEW, LARGE, NUMPY, ONE_ROW_NUMPY, SMALL_NUMPY
from purenet.engine.ops import Ops


def engine_of(x: Any, who: str = "this function") -> Ops:
    """The engine of one array, or of a number of NumPy, as a sum over all axes is; an error if it is neither.

    >>> engine_of(np.zeros(2)) is engine_of(np.zeros(2).sum()) is NUMPY
    True
    """
    if type(x) is ndarray or isinstance(x, np.generic):
        return NUMPY
    if is_tensor(x):
        check_no_gradient(x, who)
        return _of_tensors(x.device)
    return _engine(namespace(x, who))


def ops_for(leaves: list[Any], key: Any = None) -> Ops:
    """The engine that computes with these arrays: NumPy, unless one of them is another's, or JAX traces the key."""
    for leaf in leaves:
        if type(leaf) is not ndarray and not isinstance(leaf, np.ndarray | np.generic) and is_array(leaf):
            return engine_of(leaf)
    return _engine(namespace_of_jax()) if traced(key) else NUMPY


def engine_of_both(a: Any, b: Any, who: str) -> Ops:
    """The engine that computes with two arrays: NumPy, unless one of them is another's."""
    if type(a) is ndarray is type(b):
        return NUMPY
    one, other = engine_of(a, who), engine_of(b, who)
    if one is not other and is_tensor(a) is not is_tensor(b):
        raise mixed()
    return other if one is NUMPY else one


def engine_of_any(x: Any, like: Ops = NUMPY) -> Ops:
    """The engine of x, if it is an array of another one than NumPy; of a tuple or of what is none, `like`."""
    return like if type(x) is ndarray or not is_array(x) or isinstance(x, np.generic) else engine_of(x)


def joined_by(ops: Ops, leaves: list[Any]) -> Ops:
    """The engine that computes with arrays of these ops and with these arrays."""
    there = ops_for(leaves)
    return ops if there is NUMPY else there


def quickest(leaves: list[Any], x: Any, matrices: bool) -> Ops | None:
    """The ops for these parameters and x, if all are arrays of one engine whose rules may run without a look: NumPy's,
    or PyTorch's on one device, and none of half precision. NumPy has some for small arrays, if they are, and all that
    is made of a matrix x are `matrices` of as many rows."""
    kinds = [kind_of(leaf) for leaf in leaves]
    if None in kinds or len({(kind.type, kind.device) for kind in kinds if kind}) > 1:
        return None
    if any(is_half(leaf.dtype) for leaf in leaves):
        return None
    if type(x) is not ndarray or not matrices:
        return engine_of(leaves[0]) if leaves else NUMPY
    small = x.ndim == 2 and len(x) < FEW and x.dtype is FLOAT32
    small = small and all(leaf.size < LARGE and (leaf.dtype is FLOAT32 or leaf.dtype.kind in "iu") for leaf in leaves)
    return NUMPY if not small else ONE_ROW_NUMPY if len(x) == 1 else SMALL_NUMPY


@cache
def _of_tensors(device: Any) -> Ops:
    from purenet.engine.torch import torch_ops

    return torch_ops(device)


@cache
def _engine(xp: Any) -> Ops:
    if xp is np:
        return NUMPY
    return JaxOps(xp) if xp.__name__ == "jax.numpy" else Ops(xp)
