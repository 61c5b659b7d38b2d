"""What the oracle tests share: to run a function and its derivative elsewhere, and to say whether two results agree."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import torch

import purenet as pn

DRAWS = 50
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
RECORD: dict[tuple[str, str, str], tuple[int, float]] = {}


def torch_vjp(f, dy, *inputs, **options):
    """The value of a PyTorch function at NumPy inputs, and the gradient of each input, as NumPy arrays.

    It is computed in float64, also as the oracle of float32: so the error is ours alone.
    """
    leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
    y = f(*leaves, **options)
    gradients = torch.autograd.grad(y, leaves, torch.tensor(dy, dtype=torch.float64))
    return y.detach().numpy(), tuple(g.numpy() for g in gradients)


def jax_vjp(f, dy, *inputs, **options):
    """The same of a JAX function, which may be compiled only once for a shape: hand in no new lambda each time."""
    return _jax_vjp(f, np.asarray(dy, np.float64), [np.asarray(x, np.float64) for x in inputs], options)


@partial(jax.jit, static_argnums=0)
def _jax_vjp(f, dy, inputs, options):
    y, pull = jax.vjp(partial(f, **options), *inputs)
    return y, pull(dy)


def agree(name, oracle, ours, theirs, least=0.0):
    """Assert that two trees of arrays agree in shape, and to our dtype relative to the largest entry of each array.

    Entries below `least` count as this large: 1 − tanh² x of a large x is right only beside 1.
    """
    worst = 0.0
    theirs = jax.tree_util.tree_leaves(theirs)
    for (path, a), b in zip(pn.tree.items(ours), theirs, strict=True):
        b = np.asarray(b)
        assert a.shape == b.shape, f"{name}{path}: {a.shape} against {b.shape}"
        error = np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=least) or 1)
        assert error <= TOLERANCE[str(a.dtype)], f"{name}{path} against {oracle}: {error:.2g}\n{a}\n{b}"
        worst = max(worst, float(error))
    record(name, oracle, a.dtype, worst)


def agree_all(name, oracle, ours, theirs, least=0.0, share=0.0, tolerance=None, what=None):
    """The same of results as one tree: entries below `share` of the largest of all count as that large, too."""
    pn.tree.check_same(theirs, ours, str(what))
    pairs = list(zip(pn.tree.items(ours), pn.tree.leaves(theirs), strict=True))
    least = max(least, share * max((np.abs(b).max(initial=0) for _, b in pairs), default=0))
    worst = 0.0
    for (path, a), b in pairs:
        if a.dtype.kind != "f":
            assert np.array_equal(a, b), f"{what}{path} against {oracle}"
            continue
        error = float(np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=least) or 1))
        most = tolerance or TOLERANCE[str(a.dtype)]
        assert error <= most, f"{what}{path} against {oracle}: {error:.2g}\n{a}\n{b}"
        worst, dtype = max(worst, error), a.dtype
    record(name, oracle, dtype, worst)


def record(name, oracle, dtype, error, draws=1):
    """Note a comparison for the table that the run ends with."""
    which = name, oracle, str(np.dtype(dtype))
    before, largest = RECORD.get(which, (0, 0.0))
    RECORD[which] = before + draws, max(largest, float(error))


def onnx_summary():
    """How many comparisons with onnxruntime agree, the worst of them, and what there is no operator for."""
    for dtype in ("float32", "float64"):
        agree = [found for (_, oracle, kind), found in RECORD.items() if (oracle, kind) == ("onnxruntime", dtype)]
        if agree:
            count, worst = sum(n for n, _ in agree), max(error for _, error in agree) / np.finfo(dtype).eps
            yield f"{dtype}: {count} outputs agree, the worst by {worst:.1f} ulp of the largest number"
    for who in ("ONNX has no", "onnxruntime has no"):
        names = sorted(f"{name} ({n})" for (name, oracle, _), (n, _) in RECORD.items() if oracle == who)
        if names:
            yield f"{who} {'operator' if who == 'ONNX has no' else 'float64'} for: {', '.join(names)}"
