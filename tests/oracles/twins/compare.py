"""A layer or loss beside its twins: y and the gradients of each."""

from __future__ import annotations

import re
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
import torch

import purenet as pn
from tests.catalogue import WITHOUT_TWIN
from tests.oracles.twins import TWINS
from tests.oracles.twins.twin import in_jax, in_torch

KEY = pn.key(0)


class Result(NamedTuple):
    """y, and dE/dparams and dE/dX of one dE/dY. Where a leaf has no gradient stands None, and so it does for a loss."""

    y: Any
    dparams: Any
    dx: Any


def has_twin(case):
    """Of everything in its code; and what it draws in training PyTorch would draw otherwise."""
    names = set(re.findall(r"[a-z]\w*(?!\w*=)", case.layer.name))
    drawn = case.key is not None and any(word in case.layer.name for word in ("dropout", "noise"))
    return not drawn and not names & set(WITHOUT_TWIN)


def is_float(leaf):
    return leaf.dtype.kind == "f"


def some_dy(rng, y):
    """Normal numbers like y, which has arrays of integers where a layer hands them on."""
    return pn.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), y)


def ours(layer, params, x, dy_of, training=False):
    """What our rule gives, and the dE/dY that it was given: dy_of(y)."""
    if isinstance(layer, pn.Loss):
        y, pullback = layer.vjp(*x)
        dy = dy_of(y)
        return Result(y, None, pullback(dy)), dy
    y, pullback = layer.vjp(params, x, KEY if training else None)
    dy = dy_of(y)
    return Result(y, *pullback(dy)), dy


def without_buffers(tree):
    return pn.tree.map(lambda leaf: None if isinstance(leaf, pn.Buffer) else leaf, tree, leaf_type=pn.Buffer)


def trained(tree):
    """For each leaf: whether it is a float, and no buffer."""

    def mark(node):
        return pn.tree.map(lambda _: np.array(0), node) if isinstance(node, pn.Buffer) else node

    return [is_float(leaf) for leaf in pn.tree.leaves(pn.tree.map(mark, tree, leaf_type=pn.Buffer))]


def given_of(layer, params, x):
    """What a twin takes, and which of its leaves have a gradient."""
    if isinstance(layer, pn.Loss):
        return x, [given is x[0] for given in x for _ in pn.tree.leaves(given)]
    return (params, x), [*trained(params), *trained(x)]


def result_of(layer, given, y, gradients):
    """The gradients of the leaves, in the form of params and x."""
    structure = pn.tree.flatten(given)[1]
    first, second = pn.tree.unflatten(structure, gradients)
    return Result(y, None, first) if isinstance(layer, pn.Loss) else Result(y, first, second)


def by_torch(layer, params, x, dy, training=False):
    """What PyTorch gives, in float64: so an error is ours alone. Of buffers, the step to what it wrote."""
    given, has_gradient = given_of(layer, params, x)
    leaves, structure = pn.tree.flatten(given)
    double = [np.asarray(leaf, np.float64 if is_float(leaf) else None) for leaf in leaves]
    tensors = [torch.tensor(leaf, requires_grad=grad) for leaf, grad in zip(double, has_gradient, strict=True)]
    y = in_torch(TWINS, repr(layer), training).run(*pn.tree.unflatten(structure, tensors))
    pairs = [
        (a, torch.tensor(np.asarray(b, np.float64)))
        for a, b in zip(pn.tree.leaves(y), pn.tree.leaves(dy), strict=True)
        if a.requires_grad
    ]
    wanted = [tensor for tensor, grad in zip(tensors, has_gradient, strict=True) if grad]
    found = iter(())
    if wanted:
        ys, dys = zip(*pairs, strict=True)
        found = iter(torch.autograd.grad(ys, wanted, dys, allow_unused=True, materialize_grads=True))
    gradients = [
        next(found).numpy() if grad else old - tensor.numpy() if is_float(leaf) else None
        for leaf, old, tensor, grad in zip(leaves, double, tensors, has_gradient, strict=True)
    ]
    if isinstance(layer, pn.Loss):
        gradients = [gradient if grad else None for gradient, grad in zip(gradients, has_gradient, strict=True)]
    return result_of(layer, given, pn.tree.map(lambda leaf: leaf.detach().numpy(), y), gradients)


def by_jax(layer, params, x, dy, training=False):
    """What JAX gives, in float64. Of buffers there is nothing."""
    given, has_gradient = given_of(layer, params, x)
    leaves, structure = pn.tree.flatten(given)
    by_row = TWINS[layer.name.partition("(")[0]].by_row
    if by_row:
        shape, count = leaves[0].shape, leaves[0].size // leaves[0].shape[-1]
        leaves, dy = [filled(leaves[0])], filled(dy)
    floats = [np.asarray(leaf, np.float64) if grad else None for leaf, grad in zip(leaves, has_gradient, strict=True)]
    others = [None if grad else leaf for leaf, grad in zip(leaves, has_gradient, strict=True)]
    dy = pn.tree.map(lambda leaf: np.asarray(leaf, np.float64) if is_float(leaf) else leaf, dy)
    y, gradients = compiled(repr(layer), training)(floats, others, dy, structure=structure)
    if by_row:
        y, gradients = y[:count].reshape(shape), [gradients[0][:count].reshape(shape)]
    y = pn.tree.map(np.asarray, y)
    found = result_of(layer, given, y, [None if g is None else np.asarray(g) for g in gradients])
    return found._replace(dparams=without_buffers(found.dparams))


def filled(x, most=7**3):
    """The rows of x, and as many of zeros as it takes: for all x of a last axis JAX compiles once."""
    rows = x.reshape(-1, x.shape[-1])
    return np.concatenate([rows, np.zeros((most - len(rows), x.shape[-1]), x.dtype)])


@cache
def compiled(code, training):
    """The value and the gradients of the twin that this code makes, as a function of its leaves."""
    twin = in_jax(TWINS, code, training)

    @partial(jax.jit, static_argnames="structure")
    def run(floats, others, dy, structure):
        def f(floats):
            leaves = [b if a is None else a for a, b in zip(floats, others, strict=True)]
            return twin.run(*pn.tree.unflatten(structure, leaves))

        y, pull = jax.vjp(f, floats)
        return y, pull(dy)[0]

    return run
