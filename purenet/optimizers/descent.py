"""Optimizers whose steps go along the gradient, its sign, or its nearest orthogonal matrix: sgd, lion, lamb, muon."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from purenet.core import Optimizer
from purenet.engine import Ops, engine_of
from purenet.engine.arrays import Array
from purenet.optimizers.adaptive import adamw, at_least, complement, down, matrices, mix, rescaled, root_of
from purenet.optimizers.rates import Rate
from purenet.optimizers.routing import route
from purenet.optimizers.update import OptimizerState, per_leaf, written
from purenet.values import takes_numbers


@takes_numbers
def sgd(lr: Rate = 1e-2, momentum: float = 0.0, nesterov: bool = False) -> Optimizer[Any, OptimizerState]:
    """Gradient descent: θ ← θ − η·g. With momentum: b ← μ·b + g, θ ← θ − η·b; Nesterov's: θ ← θ − η·(g + μ·b).

    B. T. Polyak, "Some methods of speeding up the convergence of iteration methods" (1964); Y. Nesterov, "A method of
    solving a convex programming problem with convergence rate O(1/k²)" (1983), as in I. Sutskever et al., ICML 2013.

    >>> import numpy as np, purenet as pn
    >>> opt = pn.sgd(lr=0.1, momentum=0.9)
    >>> params = np.array([1.0])
    >>> state = opt.init(params)
    >>> for _ in range(2):
    ...     params, state = opt.step(params, np.array([1.0]), state)
    >>> params
    array([0.71])
    """
    name = written("sgd", locals())
    if nesterov and not momentum:
        raise ValueError(f"{name}: Nesterov's momentum needs a momentum: write sgd(lr, momentum=0.9, nesterov=True)")

    def plain(ops: Ops, p: Array, g: Array, rate: Any) -> Sequence[Array]:
        return (ops.add_scaled(p, g, rate),)

    def with_momentum(ops: Ops, p: Array, g: Array, b: Array, mu: Any, rate: Any) -> Sequence[Array]:
        b = ops.add_scaled(g, b, mu)
        return ops.add_scaled(p, ops.add_scaled(g, b, mu) if nesterov else b, rate), b

    if not momentum:
        return per_leaf(name, lr, plain, numbers=down)
    return per_leaf(name, lr, with_momentum, ("momentum",), (momentum,), down)


@takes_numbers
def lion(
    lr: Rate = 1e-4,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    which: Callable[[Array], bool] = matrices,
) -> Optimizer[Any, OptimizerState]:
    """Lion: θ ← θ − η·(sign(β₁·m + (1 − β₁)·g) + λ·θ), m ← β₂·m + (1 − β₂)·g. Every number moves by η.

    λ is `weight_decay`; what decays are the parameters p with `which(p)`.

    X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.
    """
    name = written("lion", locals())

    def rule(ops: Ops, p: Array, g: Array, m: Array, *rest: Any) -> Sequence[Array]:
        keep1, take1, keep2, take2, rate, shrink = rest
        new = ops.sign(mix(m, g, keep1, take1))
        new *= rate
        new += p * shrink if weight_decay and which(p) else p
        return new, mix(m, g, keep2, take2)

    constants = (beta1, 1 - beta1, beta2, 1 - beta2)
    return per_leaf(name, lr, rule, ("mean",), constants, _decaying(weight_decay), elementwise=not weight_decay)


def _decaying(weight_decay: float) -> Callable[[Any, Any], Sequence[Any]]:
    """The numbers of a step: −η, and by what a parameter that decays is multiplied."""
    return lambda rate, t: (-rate, 1 - rate * weight_decay)


@takes_numbers
def lamb(
    lr: Rate = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    which: Callable[[Array], bool] = matrices,
) -> Optimizer[Any, OptimizerState]:
    """LAMB, for large batches: u = m̂ / (√v̂ + ε) + λ·θ, then θ ← θ − η·‖θ‖ / ‖u‖ · u, with the norms of each array.

    m̂ and v̂ are Adam's; λ is `weight_decay`, for the parameters p with `which(p)`. Where a norm is 0, the ratio is 1.

    Y. You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020.
    """
    name = written("lamb", locals())

    def numbers(rate: Any, t: Any) -> Sequence[Any]:
        root = complement(beta2, t) ** 0.5
        return root / complement(beta1, t), eps * root, -rate

    def rule(ops: Ops, p: Array, g: Array, m: Array, v: Array, *rest: Any) -> Sequence[Array]:
        keep1, take1, keep2, take2, decay, correction, eps, rate = rest
        m = mix(m, g, keep1, take1)
        v = mix(v, g * g, keep2, take2)
        step = m / root_of(ops, v, eps)
        step *= correction
        if weight_decay and which(p):
            step += p * decay
        (scale, ours), (its_scale, its) = ops.norm([p]), ops.norm([step])
        neither = (ours == 0) | (its == 0)
        ratio = ours / ops.where(its == 0, 1, its) * (scale / its_scale)
        step *= ops.astype(ops.where(neither, 1, ratio), p.dtype)
        step *= rate
        step += p
        return step, m, v

    constants = (beta1, 1 - beta1, beta2, 1 - beta2, weight_decay)
    return per_leaf(name, lr, rule, ("mean", "square"), constants, numbers, elementwise=False)


@takes_numbers
def muon(
    lr: Rate = 0.02,
    momentum: float = 0.95,
    nesterov: bool = True,
    weight_decay: float = 0.0,
    otherwise: Optimizer[Any, Any] | None = None,
    which: Callable[[Array], bool] = matrices,
) -> Optimizer[Any, Any]:
    """Muon: momentum, made orthogonal. For a matrix (in, out), θ ← θ − η·λ·θ − η·√max(1, out/in)·O.

    b ← μ·b + (1 − μ)·g, and O is b's nearest orthogonal matrix, U·Vᵀ of b = U·Σ·Vᵀ, as five steps of a
    Newton-Schulz iteration find it, to about ±0.5 in each singular value; with `nesterov`, that of μ·b + (1 − μ)·g.
    A kernel with more axes is treated as the matrix (everything else, out). λ is `weight_decay`.

    It is meant for the weights of hidden layers. Parameters p without `which(p)` (by default biases and scales) are
    left to the optimizer `otherwise`, adamw(3e-4) unless given; its author advises the same for embeddings and for the
    last layer, which `per_path` can say.

    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024),
    kellerjordan.github.io/posts/muon.
    """
    rest = adamw(3e-4) if otherwise is None else otherwise
    name = written("muon", locals())

    def rule(ops: Ops, p: Array, g: Array, b: Array, keep: Any, take: Any, rate: Any, shrink: Any) -> Sequence[Array]:
        if p.ndim < 2:
            raise ValueError(f"{name} makes matrices orthogonal, but `which` chose a parameter of shape {p.shape}")
        b = mix(b, g, keep, take)
        new = ops.reshape(orthogonal(mix(b, g, keep, take) if nesterov else b), p.shape)
        fan_in, fan_out = math.prod(p.shape[:-1]), p.shape[-1]
        new = new * (rate * math.sqrt(max(1.0, fan_out / fan_in)))
        new += p * shrink if weight_decay else p
        return new, b

    constants = (momentum, 1 - momentum)
    for_matrices = per_leaf(name, lr, rule, ("momentum",), constants, _decaying(weight_decay), elementwise=False)
    both = route(name, lambda path, p: 0 if which(p) else 1, (for_matrices, rest))
    return replace(both, lr=lr, name=name)


def orthogonal(g: Array, steps: int = 5) -> Array:
    """About U·Vᵀ of the matrix G = U·Σ·Vᵀ: singular values near 1, by X ← a·X + (b·A + c·A²)·X with A = X·Xᵀ.

    The coefficients are those of Muon's author: they bring small singular values up fastest, and end between 0.7 and
    1.2. Axes before the last one are taken together.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    ops = engine_of(g, "orthogonal")
    x = ops.rows(g)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    scale, norm = ops.norm([x])
    x = rescaled(x, scale, 1 / at_least(norm, 1e-7 / scale))
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.T if tall else x
