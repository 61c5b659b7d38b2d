"""Optimizers that give each number a step of its own, from the sizes of its past gradients: adagrad to radam.

In the formulas θ is a parameter, g its gradient, η the learning rate, t = 1, 2, … the step; products, quotients and
roots are taken elementwise. Each function returns an `Optimizer`; lr is a number or a schedule (purenet.schedules).

A rule writes only into what it has just made (`a = b * c; a += d`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from purenet.core import Optimizer
from purenet.engine import Ops, engine_of
from purenet.engine.arrays import Array, seal, widened
from purenet.optimizers.rates import Rate
from purenet.optimizers.update import OptimizerState, per_leaf, written, zeros
from purenet.values import takes_numbers

Adaptive = Optimizer[Any, OptimizerState]


def matrices(p: Array) -> bool:
    """Whether a parameter has two axes or more: the default of which parameters decay, so that biases, and the scales
    of normalization layers, do not."""
    return bool(p.ndim > 1)


@takes_numbers
def adagrad(lr: Rate = 1e-2, initial: float = 0.0, eps: float = 1e-10) -> Adaptive:
    """Adagrad: s ← s + g², θ ← θ − η·g / (√s + ε). s begins at `initial`.

    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12 (2011).
    """
    name = written("adagrad", locals())

    def rule(ops: Ops, p: Array, g: Array, s: Array, eps: Any, rate: Any) -> Sequence[Array]:
        s = s + g * g
        return ops.add_quotient(p, g, root_of(ops, s, eps), rate), s

    def start(p: Array) -> Any:
        return seal(engine_of(p, name).full_like(p, initial))

    return per_leaf(name, lr, rule, {"sum": start}, (eps,), down)


@takes_numbers
def adadelta(lr: Rate = 1.0, decay: float = 0.9, eps: float = 1e-6) -> Adaptive:
    """Adadelta: s ← ρ·s + (1 − ρ)·g², d = √(u + ε) / √(s + ε) · g, u ← ρ·u + (1 − ρ)·d², θ ← θ − η·d. ρ is `decay`.

    M. D. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701 (2012).
    """
    name = written("adadelta", locals())

    def rule(
        ops: Ops, p: Array, g: Array, s: Array, u: Array, keep: Any, take: Any, eps: Any, rate: Any
    ) -> Sequence[Array]:
        s = mix(s, g * g, keep, take)
        d = ops.sqrt((u + eps) / (s + eps))
        d *= g
        u = mix(u, d * d, keep, take)
        return p - d * rate, s, u

    return per_leaf(name, lr, rule, ("square", "step"), (decay, 1 - decay, eps))


@takes_numbers
def rmsprop(
    lr: Rate = 1e-2, decay: float = 0.99, momentum: float = 0.0, centered: bool = False, eps: float = 1e-8
) -> Adaptive:
    """RMSProp: s ← ρ·s + (1 − ρ)·g², b ← μ·b + g / (√s + ε), θ ← θ − η·b. ρ is `decay`, μ the momentum.

    `centered=True` divides by the standard deviation: √(s − m²) for √s, with m ← ρ·m + (1 − ρ)·g.

    G. Hinton, lecture 6e of "Neural networks for machine learning" (2012); centered: A. Graves, "Generating sequences
    with recurrent neural networks", arXiv:1308.0850 (2013).
    """
    name = written("rmsprop", locals())

    def rule(ops: Ops, p: Array, g: Array, s: Array, *rest: Any) -> Sequence[Array]:
        *kept, keep, take, mu, eps, rate = rest
        s = mix(s, g * g, keep, take)
        new = [s]
        spread = s
        if centered:
            mean = mix(kept.pop(0), g, keep, take)
            new.append(mean)
            spread = ops.clip(s - mean * mean, 0, None)  # rounding could make it negative
        root = root_of(ops, spread, eps)
        if not momentum:
            return ops.add_quotient(p, g, root, rate), *new
        b = kept.pop(0) * mu
        b += g / root
        return ops.add_scaled(p, b, rate), *new, b

    slots = ("square", *(("mean",) if centered else ()), *(("momentum",) if momentum else ()))
    return per_leaf(name, lr, rule, slots, (decay, 1 - decay, momentum, eps), down)


@takes_numbers
def adam(lr: Rate = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Adaptive:
    """Adam: m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², θ ← θ − η·m̂ / (√v̂ + ε).

    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) undo that m and v begin at 0.

    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    >>> import numpy as np, purenet as pn
    >>> opt = pn.adam(lr=0.1)
    >>> params = (np.array([1.0, -2.0]),)
    >>> state = opt.init(params)
    >>> params, state = opt.step(params, (np.array([0.5, -3.0]),), state)
    >>> params, int(state.count)
    ((array([ 0.9, -1.9]),), 1)
    """
    return _adam(written("adam", locals()), lr, beta1, beta2, eps)


@takes_numbers
def adamw(
    lr: Rate = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    which: Callable[[Array], bool] = matrices,
) -> Adaptive:
    """AdamW: θ ← θ − η·λ·θ, then Adam's step. λ is `weight_decay`; what decays are the parameters p with `which(p)`.

    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """
    name = written("adamw", locals())
    return _adam(name, lr, beta1, beta2, eps, weight_decay=weight_decay, which=which)


@takes_numbers
def amsgrad(lr: Rate = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Adaptive:
    """AMSGrad: Adam with the largest v so far in place of v, so that no step grows again.

    S. J. Reddi, S. Kale, S. Kumar, "On the convergence of Adam and beyond", ICLR 2018.
    """
    return _adam(written("amsgrad", locals()), lr, beta1, beta2, eps, largest=True)


def _adam(
    name: str,
    lr: Rate,
    beta1: float,
    beta2: float,
    eps: float,
    largest: bool = False,
    weight_decay: float = 0.0,
    which: Callable[[Array], bool] = matrices,
) -> Adaptive:
    # Kept are M = m / (1 − β₁) and V = v / (1 − β₂), decaying sums in place of means: M ← β₁·M + g and V ← β₂·V + g²
    # take two products less. With c = 1 − βᵗ and s = √(1 − β₂), m̂ / (√v̂ + ε) is √c₂·(1 − β₁) / (c₁·s) · M / (√V + ε'),
    # where ε' = ε·√c₂ / s: so each correction is one product of two numbers. The array of g² becomes that of the new θ:
    # of large parameters, memory that is not in the cache takes as long as the arithmetic.
    to_squares = (1 - beta2) ** -0.5

    def numbers(rate: Any, t: Any) -> Sequence[Any]:
        root = complement(beta2, t) ** 0.5 * to_squares
        shrink = (1 - rate * weight_decay,) if weight_decay else ()
        return -rate * (1 - beta1) * root / complement(beta1, t), eps * root, *shrink

    def rule(ops: Ops, p: Array, g: Array, m: Array, v: Array, *rest: Any) -> Sequence[Array]:
        most, rest = (rest[0], rest[1:]) if largest else (None, rest)
        keep1, keep2, rate, eps = rest[:4]
        square = g * g
        v = ops.add_scaled(square, v, keep2)
        top = ops.maximum(most, v) if largest else v
        root = ops.overwrite(ops.sqrt, square, top)
        root += eps
        m = ops.add_scaled(g, m, keep1)
        new = ops.add_quotient(p * rest[-1] if weight_decay and which(p) else p, m, root, rate)
        return (new, m, v, top) if largest else (new, m, v)

    slots = ("sum", "squares", "largest") if largest else ("sum", "squares")
    return per_leaf(name, lr, rule, slots, (beta1, beta2), numbers, elementwise=not weight_decay)


@takes_numbers
def adamax(lr: Rate = 2e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Adaptive:
    """AdaMax: Adam with the norm of infinity: m ← β₁·m + (1 − β₁)·g, u ← max(β₂·u, |g| + ε), θ ← θ − η·m̂ / u.

    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 7.1.
    """
    name = written("adamax", locals())

    def rule(
        ops: Ops, p: Array, g: Array, m: Array, u: Array, keep1: Any, take1: Any, keep2: Any, eps: Any, rate: Any
    ) -> Any:
        m = mix(m, g, keep1, take1)
        size = ops.abs(g)
        size += eps
        u = ops.maximum(u * keep2, size)
        return _descend(p, m * rate, u), m, u

    constants = (beta1, 1 - beta1, beta2, eps)
    return per_leaf(name, lr, rule, ("mean", "largest"), constants, lambda rate, t: (rate / complement(beta1, t),))


@takes_numbers
def nadam(
    lr: Rate = 2e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, momentum_decay: float = 4e-3
) -> Adaptive:
    """NAdam: Adam with Nesterov's momentum, which warms up: μₜ = β₁·(1 − ½·0.96^(ψ·t)). ψ is `momentum_decay`.

    m and v as in Adam; θ ← θ − η·[μₜ₊₁·m / (1 − μ₁⋯μₜ₊₁) + (1 − μₜ)·g / (1 − μ₁⋯μₜ)] / (√v̂ + ε).

    T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop.
    """
    name = written("nadam", locals())

    def numbers(rate: Any, t: Any) -> Sequence[Any]:
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** (momentum_decay * s)) for s in (t, t + 1))
        root = complement(beta2, t) ** 0.5
        return mu, following, rate * root * following, rate * root * (1 - mu), eps * root

    def rule(ops: Ops, p: Array, g: Array, m: Array, v: Array, product: Array, *rest: Any) -> Sequence[Array]:
        keep1, take1, keep2, take2, mu, following, for_mean, for_gradient, eps = rest
        m = mix(m, g, keep1, take1)
        v = mix(v, g * g, keep2, take2)
        product = product * mu  # μ₁⋯μₜ
        step = m * (for_mean / (1 - product * following))
        step += g * (for_gradient / (1 - product))
        return _descend(p, step, root_of(ops, v, eps)), m, v, product

    def one(p: Array) -> Any:
        return seal(engine_of(p, name).ones((), dtype=p.dtype))

    slots = {"mean": zeros, "square": zeros, "momentum_product": one}
    return per_leaf(name, lr, rule, slots, (beta1, 1 - beta1, beta2, 1 - beta2), numbers)


@takes_numbers
def radam(lr: Rate = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Adaptive:
    """RAdam: Adam that holds v̂ back while it rests on few gradients.

    With ρ = 2 / (1 − β₂) − 1 and ρₜ = ρ − 2·t·β₂ᵗ / (1 − β₂ᵗ): as long as ρₜ ≤ 5, θ ← θ − η·m̂; from then on
    θ ← θ − η·r·m̂ / (√v̂ + ε) with r² = (ρₜ − 4)(ρₜ − 2)·ρ / ((ρ − 4)(ρ − 2)·ρₜ).

    L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020.
    """
    name = written("radam", locals())
    rho = 2 / (1 - beta2) - 1

    def numbers(rate: Any, t: Any) -> Sequence[Any]:
        c1, c2 = complement(beta1, t), complement(beta2, t)
        rho_t = rho - 2 * t * (1 - c2) / c2
        enough = (rho_t > 5) * 1.0
        within = at_least(rho_t, 5.0)
        r = ((within - 4) * (within - 2) * rho / ((rho - 4) * (rho - 2) * within)) ** 0.5 if rho > 5 else 0.0
        return enough * r * c2**0.5 * rate / c1, (1 - enough) * rate / c1

    def rule(ops: Ops, p: Array, g: Array, m: Array, v: Array, *rest: Any) -> Sequence[Array]:
        keep1, take1, keep2, take2, eps, adaptive, plain = rest
        m = mix(m, g, keep1, take1)
        v = mix(v, g * g, keep2, take2)
        step = adaptive / root_of(ops, v, eps)
        step += plain
        step *= m
        return p - step, m, v

    return per_leaf(name, lr, rule, ("mean", "square"), (beta1, 1 - beta1, beta2, 1 - beta2, eps), numbers)


def down(rate: Any, t: Any) -> Sequence[Any]:
    """The one number of a step that goes down: −η."""
    return (-rate,)


def mix(old: Array, new: Array, keep: Any, take: Any) -> Array:
    """The running average keep·old + take·new."""
    old = old * keep
    old += new * take
    return old


def root_of(ops: Ops, square: Array, eps: float | Array) -> Array:
    root = ops.sqrt(square)
    root += eps
    return root


def _descend(p: Array, step: Array, size: Any) -> Array:
    """p − step / size; step is written into."""
    step /= size
    return p - step


def rescaled(x: Array, scale: Any, factor: Any) -> Array:
    """x / scale · factor, where the quotient of the two numbers may be beyond the range of x's dtype."""
    x = widened(x)
    scaled: Array = (x if isinstance(scale, float) and scale == 1 else x / scale) * factor
    return scaled


def complement(beta: float, t: Any) -> Any:
    """1 − βᵗ; where t is traced, to full precision in float32 too."""
    if isinstance(t, int) or beta == 0:
        return 1 - beta**t
    return -engine_of(t).expm1(t * math.log(beta))


def at_least(x: Any, least: Any) -> Any:
    """The larger one of two numbers."""
    return max(x, least) if isinstance(x, float) else engine_of(x).maximum(x, least)
