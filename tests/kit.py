"""What the tests of the training kit share: a small net that draws numbers, and an optimizer with a state."""

from __future__ import annotations

import numpy as np

import purenet as pn


def sgd(lr):
    return pn.Optimizer(lambda params: (), lambda p, g, state: (pn.sgd_step(p, g, lr), state), f"sgd({lr})")


def momentum(lr, beta=0.9):
    def init(params):
        return pn.tree.map(np.zeros_like, params)

    def step(params, grads, velocity):
        velocity = pn.tree.map(lambda v, g: beta * v + g, velocity, grads)
        return pn.sgd_step(params, velocity, lr), velocity

    return pn.Optimizer(init, step, f"momentum({lr})")


def noise(scale):
    """A layer that is random in training."""

    def apply(params, x, key=None):
        return x if key is None else x + scale * pn.random.normal(key, x.shape, x.dtype)

    def vjp(params, x, key=None):
        return apply(params, x, key), lambda dy, wrt_x=True: ((), dy if wrt_x else None)

    return pn.Layer(lambda key, in_shape=None: (), apply, vjp, lambda in_shape: in_shape, f"noise({scale})")


def cast(tree, dtype):
    """Writable copies of all arrays, floats in this dtype."""
    return pn.tree.map(lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf.copy(), tree)


def bits(tree):
    """A tree in a form that can be compared for equality of every bit."""
    return [(path, repr(leaf) if not hasattr(leaf, "tobytes") else (leaf.shape, leaf.dtype, leaf.tobytes()))
            for path, leaf in pn.tree.items(tree)]  # fmt: skip
