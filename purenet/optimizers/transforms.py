"""What can stand in front of an optimizer: a transform takes an optimizer and returns another one.

So there is one concept, the optimizer, and `chain` is only the composition of functions, written in the order in which
gradients pass: `chain(clip_by_global_norm(1.0), weight_decay(1e-4), sgd(0.1))`. A transform that keeps something has
a state of its own, a NamedTuple with the state of what follows as its `inner`; the others leave the state alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, NamedTuple, ParamSpec

from purenet import random, tree
from purenet.core import Buffer, Optimizer
from purenet.engine import engine_of
from purenet.engine.arrays import Array, article, as_number, describe, is_integer
from purenet.optimizers.adaptive import matrices, rescaled
from purenet.optimizers.rates import Rate, check_rate, rate_at
from purenet.optimizers.update import (
    SWEEP,
    Params,
    beside,
    check_between,
    check_which,
    still,
    tick,
    turn,
    wrong_state,
    zero_count,
)
from purenet.values import Call, Value, call, called, hinted, takes_numbers

Inner = Optimizer[Any, Any]  # what a transform stands in front of
Wrap = Callable[[Inner, str], Inner]
Options = ParamSpec("Options")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Transform(Value):
    """A function from an optimizer to an optimizer, with the code that makes it as its name."""

    wrap: Callable[[Optimizer[Any, Any]], Optimizer[Any, Any]]
    name: str
    instead = ": write chain(transform, optimizer)"

    def __call__(self, optimizer: Optimizer[Any, Any]) -> Optimizer[Any, Any]:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self.name} stands in front of an optimizer, not of {describe(optimizer)}")
        return self.wrap(optimizer)


@hinted
def chain(*links: Any) -> Optimizer[Any, Any]:
    """One optimizer of transforms and, last, an optimizer. Gradients pass through the transforms from left to right.

    >>> import purenet as pn
    >>> pn.chain(pn.clip_by_global_norm(1.0), pn.adam(lr=0.01))
    chain(clip_by_global_norm(1.0), adam(lr=0.01))
    """
    if len(links) == 1 and isinstance(links[0], list | tuple) and not isinstance(links[0], Optimizer | Transform):
        raise TypeError(f"chain takes its links one by one, not {describe(links[0])}: write chain(*links)")
    for link in links:
        if getattr(link, "__module__", "").startswith("purenet.optimizers") and hasattr(link, "__name__"):
            raise TypeError(f"chain: {link.__name__} is a function that makes a link: write {link.__name__}(...)")
    found = [link for link in links if isinstance(link, Optimizer)]
    if len(found) != 1 or links[-1] is not found[0]:
        given = ", ".join(map(repr, links)) or "nothing"
        mend = "add sgd()"
        if len(found) == 1:
            others = [repr(link) for link in links if link is not found[0]]
            mend = f"write chain({', '.join([*others, repr(found[0])])})"
        elif found:
            mend = "take one of them"
        raise TypeError(f"chain ends in its only optimizer, after the transforms, but was given {given}: {mend}")
    optimizer: Optimizer[Any, Any] = links[-1]
    for link in reversed(links[:-1]):
        if not callable(link):
            raise TypeError(f"chain takes transforms before its optimizer, not {describe(link)}")
        optimizer = link(optimizer)
    return optimizer


def makes_transform(make: Callable[Options, Transform]) -> Callable[Options, Transform]:
    """The function, which `takes_numbers`; given the optimizer itself, it says where that stands."""
    of_numbers = takes_numbers(make)

    @wraps(make)
    def made(*args: Options.args, **options: Options.kwargs) -> Transform:
        for given in (*args, *options.values()):
            if isinstance(given, Optimizer):
                from inspect import signature

                own = "..." if signature(make).parameters else ""
                raise TypeError(
                    f"{make.__name__} takes no optimizer, but stands in front of one: "
                    f"write chain({make.__name__}({own}), {given})"
                )
        return of_numbers(*args, **options)

    return made


def transform(name: str, wrap: Wrap, *, holds_back: bool = False, at_steps: bool = False, every: int = 1) -> Transform:
    """The transform `wrap(inner, name)`, where name is the code of the whole chain.

    One that acts `at_steps` goes behind all that `holds_back` steps: it must do nothing where none is made. Of `every`
    so many steps the optimizer behind makes one.
    """

    def in_front_of(inner: Optimizer[Any, Any]) -> Optimizer[Any, Any]:
        if at_steps and inner.within:
            return behind(in_front_of, inner)
        rest = inner.call.args if inner.call is not None and inner.call.maker == "chain" else (inner,)
        name = call("chain", made, *rest)
        optimizer = replace(wrap(inner, name), lr=_slower(inner.lr, every), name=name)
        if not holds_back and not inner.within:
            return optimizer
        return optimizer._replace(within=lambda other: in_front_of(behind(other, inner)), name=name)

    made = Transform(in_front_of, name)
    return made


def _slower(lr: Any, every: int) -> Any:
    """The rate of an optimizer that makes one of `every` so many steps."""
    return (lambda step: lr(step // every)) if callable(lr) and every > 1 else lr


def _keeping(name: str, kind: Any, begin: Callable[[Params], tuple[Any, ...]], step: Any, **how: Any) -> Transform:
    """The transform of `step(inner, params, grads, state)`, which keeps what `begin(params)` is at first, and as the
    last field of such a state that of what follows."""

    def wrap(inner: Optimizer[Any, Any], name: str) -> Optimizer[Any, Any]:
        def init(params: Params) -> Any:
            return kind(*begin(params), inner.init(params))

        def checked(params: Params, grads: Params, state: Any = None) -> tuple[Params, Any]:
            if type(state) is not kind:
                raise wrong_state(name, article(kind.__name__), state)
            done: tuple[Params, Any] = step(inner, params, grads, state)
            return done

        return Optimizer(init, checked, name)

    return transform(name, wrap, **how)


def behind(transform: Callable[[Any], Any], optimizer: Optimizer[Any, Any]) -> Optimizer[Any, Any]:
    """The transform in front of the optimizer, and behind what holds its steps back."""
    made: Optimizer[Any, Any] = optimizer.within(transform) if optimizer.within else transform(optimizer)
    return made


@makes_transform
def clip_by_value(limit: float) -> Transform:
    """Each number of a gradient to the nearest one in [−limit, limit]."""
    name = _limited("clip_by_value", limit)
    return _on_gradients(name, lambda grads: _each(lambda g: engine_of(g).clip(g, -limit, limit), grads))


@makes_transform
def clip_by_norm(limit: float) -> Transform:
    """Each array of gradients by itself, g ← g · min(1, limit / ‖g‖)."""
    name = _limited("clip_by_norm", limit)
    return _on_gradients(name, lambda grads: _each(lambda g: rescaled(g, *_shrink([g], limit)), grads))


@makes_transform
def clip_by_global_norm(limit: float) -> Transform:
    """All gradients together, g ← g · min(1, limit / ‖g‖), with the norm of all numbers in one vector.

    R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
    """
    name = _limited("clip_by_global_norm", limit)

    def clip(grads: Any) -> Any:
        scale, factor = _shrink([g for g in tree.leaves(grads, leaf_type=Buffer) if type(g) is not Buffer], limit)
        return grads if factor is _WHOLE else _each(lambda g: rescaled(g, scale, factor), grads)

    return _on_gradients(name, clip)


@tree.read_only_copies
class DecayState(NamedTuple):
    count: Any
    inner: Any


@makes_transform
def weight_decay(rate: Rate, which: Callable[[Array], bool] = matrices) -> Transform:
    """Decoupled weight decay: θ ← θ − rate·θ beside the optimizer's step, for the parameters p with `which(p)`.

    As in the paper, the rate is not multiplied by the learning rate (in `adamw` it is, as elsewhere): hand in
    lr · λ, or a schedule of it. For the gradient of a penalty, which the optimizer sees, there is `l2`. What makes no
    step does not decay: in a chain it goes behind `accumulate` and `freeze`.

    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """
    check_which("weight_decay", which)
    name = called("weight_decay", locals())
    check_rate(rate, name, "rate")

    def step(inner: Inner, params: Params, grads: Params, state: DecayState) -> tuple[Params, DecayState]:
        now, count = tick(state.count)
        decay = rate_at(rate, now)
        new, inner_state = inner.step(params, grads, state.inner)
        return beside(lambda p, n: n - p * decay if which(p) else n, params, new), DecayState(count, inner_state)

    return _keeping(name, DecayState, lambda params: (zero_count(),), step, at_steps=True)


@tree.read_only_copies
class NoiseState(NamedTuple):
    key: Any
    count: Any
    inner: Any


@makes_transform
def gradient_noise(key: Any, eta: float = 0.01, gamma: float = 0.55) -> Transform:
    """Normal noise on every gradient, of variance η / (1 + t)^γ at step t = 0, 1, …; the state holds the next key.

    Under `jax.jit` the key is one of JAX.

    A. Neelakantan et al., "Adding gradient noise improves learning for very deep networks", arXiv:1511.06807 (2015).
    """
    name = call("gradient_noise", key, eta=eta, gamma=gamma)
    check_between(name, high=float("inf"), eta=eta, gamma=gamma)
    random.split(key)  # is it a key?

    def step(inner: Inner, params: Params, grads: Params, state: NoiseState) -> tuple[Params, NoiseState]:
        now, count = tick(state.count)
        following, own = random.split(state.key)
        keys = iter(random.split(own, len(tree.leaves(grads))))
        std = (eta / (1 + now) ** gamma) ** 0.5
        noisy = _each(lambda g: g + std * random.normal_like(next(keys), g), grads)
        params, inner_state = inner.step(params, noisy, state.inner)
        return params, NoiseState(following, count, inner_state)

    return _keeping(name, NoiseState, lambda params: (key, zero_count()), step)


@tree.read_only_copies
class AccumulateState(NamedTuple):
    """`count` is how many gradients are in the total: 0 after each step of `inner`."""

    count: Any
    total: Any
    inner: Any


@makes_transform
def accumulate(k: int) -> Transform:
    """The mean of k gradients in one step: as one batch k times as large. In between, params stay as they are.

    Buffers move with each batch.
    """
    name = call("accumulate", _whole("accumulate", k))

    def step(inner: Inner, params: Params, grads: Params, state: AccumulateState) -> tuple[Params, AccumulateState]:
        full, count = turn(state.count, k)
        total = beside(lambda g, t: t + g, grads, state.total)

        def go() -> Any:
            mean = beside(lambda t, _: t * (1 / k), total, grads)
            new, inner_state = inner.step(params, mean, state.inner)
            return new, _nothing(total), inner_state

        def wait() -> Any:
            return still.step(params, grads, ())[0], total, state.inner

        new, total, inner_state = _if(full, go, wait)
        return new, AccumulateState(count, total, inner_state)

    def begin(params: Params) -> tuple[Any, ...]:
        return zero_count(), _nothing(params)

    return _keeping(name, AccumulateState, begin, step, holds_back=True, every=k)


@tree.read_only_copies
class LookaheadState(NamedTuple):
    count: Any
    slow: Any
    inner: Any


@makes_transform
def lookahead(k: int = 5, alpha: float = 0.5) -> Transform:
    """Every k steps back to slow params φ, which come along by a part α of the way: φ ← φ + α·(θ − φ), θ ← φ. In a
    chain it goes behind `accumulate`, whose steps it counts.

    M. Zhang, J. Lucas, G. Hinton, J. Ba, "Lookahead optimizer: k steps forward, 1 step back", NeurIPS 2019.
    """
    name = call("lookahead", _whole("lookahead", k), alpha)
    check_between(name, alpha=alpha)

    def step(inner: Inner, params: Params, grads: Params, state: LookaheadState) -> tuple[Params, LookaheadState]:
        time_to_go_back, count = turn(state.count, k)
        fast, inner_state = inner.step(params, grads, state.inner)

        def back() -> Any:
            slow = _toward(state.slow, fast, alpha)
            return slow, slow

        new, slow = _if(time_to_go_back, back, lambda: (fast, state.slow))
        return new, LookaheadState(count, slow, inner_state)

    return _keeping(name, LookaheadState, lambda params: (zero_count(), params), step, at_steps=True)


@tree.read_only_copies
class AverageState(NamedTuple):
    """`average` are params like any others: evaluate the net with them. `count` is how many steps are in it."""

    count: Any
    average: Any
    inner: Any


@makes_transform
def ema(decay: float = 0.999) -> Transform:
    """Keeps an exponential average of the params, θ̄ ← d·θ̄ + (1 − d)·θ from the first step's on: `state.average`.

    Write it first in the chain, so that its state is the outermost. Buffers in the average are the latest.

    >>> import numpy as np, purenet as pn
    >>> opt = pn.chain(pn.ema(0.9), pn.sgd(lr=1.0))
    >>> params = (np.zeros(1),)
    >>> state = opt.init(params)
    >>> for _ in range(2):
    ...     params, state = opt.step(params, (np.ones(1),), state)
    >>> params, state.average
    ((array([-2.]),), (array([-1.1]),))
    """
    check_between("ema", decay=decay)
    return _averaging(call("ema", decay), lambda t: 1 - decay)


@makes_transform
def polyak() -> Transform:
    """Keeps the mean of the params of all steps so far: `state.average`.

    B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control and
    Optimization 30 (1992).
    """
    return _averaging(call("polyak"), lambda t: 1 / (t * 1.0))  # JAX divides int32 in float32


def _averaging(name: str, weight: Callable[[Any], Any]) -> Transform:
    def step(inner: Inner, params: Params, grads: Params, state: AverageState) -> tuple[Params, AverageState]:
        now, count = tick(state.count)
        params, inner_state = inner.step(params, grads, state.inner)
        stepped = _has_stepped(inner_state)
        part = _if(now == 0, lambda: 1.0, lambda: weight(now + 1))
        part, count = _if(stepped, lambda: (part, count), lambda: (0.0, state.count))
        average = _toward(state.average, params, part)
        if type(now) is int and now % SWEEP == SWEEP - 1:
            average = beside(lambda a, _: engine_of(a).without_tiny(a), average, average)
        return params, AverageState(count, average, inner_state)

    return _keeping(name, AverageState, lambda params: (zero_count(), params), step)


def _has_stepped(state: Any) -> Any:
    """Whether a step was made when an optimizer gave this state, or `accumulate` in it only took a gradient in."""
    while hasattr(state, "inner"):
        if type(state) is AccumulateState:
            return as_number(state.count) == 0
        state = state.inner
    return True


def _on_gradients(name: str, change: Callable[[Any], Any]) -> Transform:
    """The transform that changes gradients and keeps nothing."""

    def wrap(inner: Optimizer[Any, Any], name: str) -> Optimizer[Any, Any]:
        def step(params: Params, grads: Params, state: Any = None) -> tuple[Params, Any]:
            return inner.step(params, change(grads), state)

        return Optimizer(inner.init, step, name)

    return transform(name, wrap)


def _each(f: Callable[[Any], Any], grads: Any) -> Any:
    """f of each gradient; what stands for a buffer stays."""
    return beside(lambda _, g: f(g), grads, grads)


def _nothing(params: Any) -> Any:
    return _each(lambda p: engine_of(p).zeros_like(p), params)


def _toward(a: Any, b: Any, part: Any) -> Any:
    """a + part·(b − a); buffers are those of b."""

    def between(a: Any, b: Any) -> Any:
        step = b - a
        step *= part
        step += a
        return step

    return beside(between, a, b)


_WHOLE = 1.0  # the factor of gradients that are not clipped


def _shrink(gs: list[Any], limit: float) -> tuple[Any, Any]:
    """(s, f), where f / s is min(1, limit / ‖g‖), for the norm of all these gradients."""
    if not gs:
        return 1.0, _WHOLE
    ops = engine_of(gs[0])
    scale, rest = ops.norm(gs)
    norm = scale * rest
    if isinstance(norm, float):
        return (1.0, _WHOLE) if norm <= limit else (scale, limit / rest)
    small = norm <= limit
    return ops.where(small, 1, scale), ops.where(small, 1, limit / rest)


def _if(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """`then()` or `otherwise()`; where the condition is traced, both are computed and one is chosen."""
    if isinstance(condition, bool):
        return then() if condition else otherwise()
    ops = engine_of(condition)
    return tree.map(lambda a, b: ops.where(condition, a, b), then(), otherwise())


def _limited(name: str, limit: float) -> Call:
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
        raise ValueError(f"{name} takes a limit that is a positive number, not {limit!r}")
    return call(name, limit)


def _whole(name: str, k: int) -> int:
    if not is_integer(k) or k < 1:
        raise ValueError(f"{name} takes a positive number of steps, not {k!r}")
    return k
