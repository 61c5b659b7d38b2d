"""How new params are made: every optimizer ends in `update`, or in `advance` if it keeps something for each parameter.

Both take params and gradients apart, make the new arrays one by one, and put them together; buffers take their steps.
Nothing else in the library needs to know how. An optimizer proper is a rule for one parameter, which `per_leaf` makes
into an `Optimizer`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from purenet import tree
from purenet.core import Buffer, Optimizer
from purenet.engine import engine_of, engine_of_both
from purenet.engine.arrays import (
    FLOAT32,
    Array,
    are_alike,
    as_number,
    conform,
    describe,
    moved,
    read_only,
    seal,
    widened,
)
from purenet.engine.numpy import quick_number
from purenet.optimizers.rates import Rate, check_rate, rate_at
from purenet.tree.layout import Exact, Layout, splitter
from purenet.values import Call, called, check_known, hinted, shown

SWEEP = 64  # steps, after which what is kept for each parameter is swept of numbers that decay to nothing

P = TypeVar("P")
Params: TypeAlias = Any  # a tree of arrays, with buffers


def sgd_step(params: P, grads: P, lr: Any) -> P:
    """New params, one step of gradient descent: params − lr·grads. The old ones are untouched. Buffers take their own
    step, which stands in grads, whatever lr is.

    Raises:
        ValueError: grads are not built like params; the message names where they part.

    >>> import numpy as np
    >>> sgd_step((np.ones(2),), (np.full(2, 0.5),), lr=0.1)
    (array([0.95, 0.95]),)
    """
    rate = -lr if type(lr) is float else -_one_number(lr)
    # zeros are not kept: 0.0 and −0.0 are equal, so one would be found in the place of the other
    descent = _kept_descent if type(rate) is float and rate else _descent
    for leaves, fill, dtype in _known:
        ps = leaves(params)
        if ps is not None:
            gs = leaves(grads)
            if gs is not None:
                done: P = fill([*map(descent(rate, dtype), ps, gs)])
                return done

    def checked(p: Array, g: Array) -> Array:
        ops = engine_of_both(p, g, "sgd_step")
        return ops.add_scaled(p, g, ops.factor(rate, g))

    new = update(checked, params, grads)
    _know(params)
    return new


def _descent(rate: Any, dtype: Any) -> Callable[[Array, Array], Array]:
    factor = quick_number(rate) if dtype is FLOAT32 else rate

    def step(p: Array, g: Array) -> Array:
        new: Array = g * factor
        new += p
        return new

    return step


_kept_descent = lru_cache(1024)(_descent)
# layouts of the last params whose step changes no shape and no dtype: NumPy's arrays of one dtype, without buffers
_known: tuple[tuple[Callable[..., Any], Callable[..., Any], Any], ...] = ()


def _know(params: Params) -> None:
    global _known
    layout, leaves = _split(params)
    exact = None if layout.held else Exact.of(params)
    if exact is not None and len({leaf.dtype for leaf in leaves}) == 1:
        _known = ((exact.leaves, exact.fill, leaves[0].dtype), *_known[:3])


def _one_number(lr: Any) -> Any:
    """The learning rate as a number that does not change a dtype: Python's own, unless it is traced."""
    lr = as_number(lr)
    if callable(lr) or not hasattr(lr, "__neg__"):
        mend = ": write sgd_step(params, grads, schedule(step)), or let sgd(schedule) count" if callable(lr) else ""
        raise TypeError(f"sgd_step takes lr, a number, not {describe(lr)}{mend}")
    if getattr(lr, "shape", ()) != ():
        raise ValueError(f"sgd_step takes lr, one number, not {describe(lr)}")
    return lr


@hinted
def update(step: Callable[[Array, Array], Array], params: P, grads: P) -> P:
    """New params, `step(p, g)` of each parameter and its gradient, which must keep the shape; of a buffer old − step,
    with the step that stands in grads.

    New params are read-only and keep their dtypes: this is all that an optimizer of your own needs.

    >>> import numpy as np
    >>> update(lambda p, g: p - 0.5 * g, (np.ones(2), Buffer(np.ones(1))), (np.ones(2), Buffer(np.full(1, 0.25))))
    (array([0.5, 0.5]), Buffer(value=array([0.75])))

    Raises:
        ValueError: grads are not built like params; the message names where they part.
    """
    layout, ps, gs, held = apart(params, grads)
    new: P = layout.renew([*map(step, ps, gs)], ps, next_buffers(layout, params, grads, held))
    return new


def beside(f: Callable[[Array, Array], Array], a: Params, b: P) -> P:
    """f of each parameter in tree a and what stands in b for it; what b has for a buffer stays."""
    layout, ps, others, held = apart(a, b)
    new: P = layout.renew([*map(f, ps, others)], ps, held)
    return new


def advance(
    step: Callable[..., Sequence[Array]], params: Params, grads: Params, slots: dict[str, Params]
) -> list[Params]:
    """New params and new slots, `step(p, g, *slots) -> (p, *slots)` of each parameter; a slot is what is kept for it.

    Each slot is a tree like params, with `()` for a buffer.
    """
    if are_alike(params, grads):  # as of `joined`: there is no tree
        kept = slots.values()
        try:
            return [*map(conform, step(params, grads, *kept), (params, *kept))]
        except (ValueError, TypeError, AttributeError):
            pass  # below is told what is wrong
    layout, ps, gs, held = apart(params, grads)
    bare = layout.bare or layout
    try:
        columns = [bare.leaves(slot) or _leaves_beside(without_buffers(params), slot)[0] for slot in slots.values()]
        new = zip(*map(step, ps, gs, *columns)) if ps else repeat(())  # noqa: B905 (they are of one length)
        buffers = next_buffers(layout, params, grads, held)
        return [layout.renew(next(new), ps, buffers), *map(bare.renew, new, columns, repeat(()))]
    except (ValueError, TypeError, AttributeError):
        for name, slot in slots.items():
            tree.check_same(without_buffers(params), slot, f"state.slots[{name!r}], for params")
        raise


def apart(params: Params, grads: Params) -> tuple[Layout, list[Array], list[Array], Sequence[Buffer]]:
    """The layout of params, the parameters, their gradients, and the steps of buffers, which stand in grads.

    Raises:
        ValueError: grads have another structure than params, or other shapes; the message names where they part.
    """
    layout, ps = _split(params)
    held: Sequence[Any] = ()
    try:
        gs = layout.match(grads, ps)
        if gs is None:  # perhaps only the keys of a dict stand in another order
            gs, held = _leaves_beside(params, grads)
            if any(p.shape != g.shape for p, g in zip(ps, gs, strict=True)):
                raise ValueError("a gradient has another shape than its parameter")
        elif layout.held:
            held = layout.held(grads)
    except (ValueError, TypeError, AttributeError):
        check_grads(params, grads)
        for p in ps:
            engine_of(p, "an optimizer")  # what is no array is told so
        raise
    return layout, ps, gs, held


def check_grads(params: Params, grads: Params) -> None:
    """Check that gradients are built like params."""
    parted = tree.parting(params, grads, "params", shapes=True)
    if not parted:
        return
    if type(grads) is tuple and len(grads) == 2 and _is_scalar(grads[0]):
        parted = "the gradients are a tuple (E, grads): write E, grads = value_and_grad(net, loss)(params, x, target)"
    elif _is_scalar(grads):
        parted = f"the gradients are one number, {describe(grads)}: value_and_grad gives E before them, E, grads = ..."
    raise ValueError(parted)


def _is_scalar(given: Any) -> bool:
    return isinstance(given, float) or (hasattr(given, "shape") and given.shape == ())


def next_buffers(layout: Layout, params: Params, grads: Params, steps: Sequence[Buffer]) -> Sequence[Buffer]:
    """The buffers of params after their steps, which stand in grads."""
    if not layout.held:
        return ()
    try:
        return [tree.map(moved, buffer, step) for buffer, step in zip(layout.held(params), steps, strict=True)]
    except (ValueError, TypeError, AttributeError):
        check_grads(params, grads)
        raise


def _leaves_beside(params: Params, other: Params) -> tuple[list[Any], list[Any]]:
    """The leaves of a tree like params, found by a walk: those beside parameters, and those beside buffers."""
    found: tuple[list[Any], list[Any]] = [], []
    tree.map(lambda p, leaf: found[type(p) is Buffer].append(leaf), params, other, leaf_type=Buffer)
    return found


def _still_step(params: Params, grads: Params, state: Any) -> tuple[Any, Any]:
    return update(lambda p, g: read_only(p), params, grads), state


still: Optimizer[Any, tuple[()]] = Optimizer(lambda params: (), _still_step, "still")
"""The optimizer that leaves parameters as they are; buffers take their steps."""


def without_buffers(params: Any, start: Callable[[Any], Any] = lambda p: p) -> Any:
    """A tree like params of `start(p)` for each parameter, and `()` for each buffer."""
    return tree.map(lambda p: () if type(p) is Buffer else start(p), params, leaf_type=Buffer)


@tree.read_only_copies
class OptimizerState(NamedTuple):
    """What an optimizer hands from one step to the next.

    count is how many steps were made, an int32 array of no axes. Each slot is a tree like params, without the buffers.
    """

    count: Any
    slots: dict[str, Any]


def zeros(p: Array) -> Any:
    """Zeros like p, read-only: how most slots begin."""
    return seal(engine_of(p, "an optimizer").zeros_like(p))


def per_leaf(
    name: str,
    lr: Rate,
    rule: Callable[..., Sequence[Array]],
    slots: Sequence[str] | Mapping[str, Callable[[Any], Any]] = (),
    constants: Sequence[float] = (),
    numbers: Callable[[Any, Any], Sequence[Any]] = lambda rate, t: (rate,),
    elementwise: bool = True,
) -> Optimizer[Any, OptimizerState]:
    """The optimizer that treats each parameter by itself: `rule(ops, p, g, *slots, *constants, *numbers)`.

    The rule returns the new p and the new slots. `numbers(rate, t)` are what is computed once for the whole step, from
    the learning rate and t = 1, 2, …; constants are what never changes. The rule gets both as they multiply an array
    fastest, and never a NumPy scalar, which would change its dtype. A rule that looks at p as a whole, or chooses
    between parameters, is not `elementwise`. Parameters of half precision are stepped in float32, as are their slots.

    Of a weight whose gradient is 0 the slots decay, and would end as subnormal numbers, of which each costs an Intel
    CPU a hundred cycles. So every 64th step takes what is below 2²⁴ of the smallest normal number (2e-31 in float32)
    for 0: far too little to move a parameter.
    """
    check_rate(lr, name)
    starts = dict(slots) if isinstance(slots, Mapping) else dict.fromkeys(slots, zeros)
    order, quick_constants = [*starts], [quick_number(c) for c in constants]

    def init(params: Params) -> OptimizerState:
        begin = {slot: lambda p, start=start: start(widened(p)) for slot, start in starts.items()}
        return OptimizerState(zero_count(), {slot: without_buffers(params, each) for slot, each in begin.items()})

    def in_order(state: Any) -> OptimizerState:
        if type(state) is not OptimizerState or state.slots.keys() != starts.keys():
            given = f"one with slots {[*state.slots]}" if type(state) is OptimizerState else state
            raise wrong_state(name, f"an OptimizerState with slots {order}", given)
        return OptimizerState(state.count, {slot: state.slots[slot] for slot in order})

    def step(params: Params, grads: Params, state: OptimizerState | None = None) -> tuple[Params, OptimizerState]:
        if type(state) is not OptimizerState or [*state.slots] != order:
            state = in_order(state)
        now, count = tick(state.count)
        is_sweep = type(now) is int and now % SWEEP == SWEEP - 1
        changing = numbers(rate_at(lr, now), now + 1)
        slow, quick = (*constants, *changing), (*quick_constants, *map(quick_number, changing))

        def leaf(p: Array, g: Array, *kept: Array) -> Sequence[Array]:
            if is_sweep:
                kept = tuple(engine_of(each).without_tiny(each) for each in kept)
            if p.dtype is FLOAT32:
                return rule(engine_of_both(p, g, name), p, g, *kept, *quick)
            p, g = widened(p), widened(g)
            return rule(engine_of_both(p, g, name), p, g, *kept, *slow)

        new, *kept = advance(leaf, params, grads, state.slots)
        return new, OptimizerState(count, dict(zip(order, kept)))  # noqa: B905 (they are of one length)

    return Optimizer(init, step, name, elementwise, lr=lr)


def wrong_state(name: str, keeps: str, given: Any) -> Exception:
    """The error of a step that is handed a state which is not its own."""
    words = given if isinstance(given, str) else "no state" if given is None else describe(given)
    return ValueError(
        f"{name} keeps {keeps}, but was given {words}: make it by init, as in state = optimizer.init(params), "
        "and hand it on, as in params, state = optimizer.step(params, grads, state)"
    )


def zero_count() -> Any:
    return seal(np.zeros((), np.int32))


def tick(count: Any) -> tuple[Any, Any]:
    """The step count to compute with, a Python integer if it is known, and the next one to keep. It stays at the last
    number: what depends on it has come to rest by then."""
    now = as_number(count)
    now = min(now, _LAST) if isinstance(now, int) else engine_of(now).minimum(now, _LAST)
    return now, _kept(now + 1)


def turn(count: Any, k: int) -> tuple[Any, Any]:
    """Whether this is the k-th call since it was so last, and the next count to keep, from 0 to k − 1."""
    now = as_number(count) % k + 1
    return now == k, _kept(now % k)


def _kept(count: Any) -> Any:
    return seal(np.array(count, _INT32)) if isinstance(count, int) else count


def written(maker: str, given: Mapping[str, Any]) -> Call:
    """The code of the call that makes an optimizer, from the maker's `locals()`, after a check of its options.

    >>> import purenet
    >>> written("sgd", {"lr": 0.1, "momentum": 0.0, "nesterov": False})
    'sgd(lr=0.1)'
    """
    if "which" in given:
        check_which(maker, given["which"])
    name = called(maker, given, traceable=("lr",))
    for option, high in _BOUNDS.items():
        if option in given:
            check_between(name, high, **{option: given[option]})
    return name


_BOUNDS = {  # each option lies from 0 up to, but not, this
    **dict.fromkeys(("beta1", "beta2", "decay", "momentum"), 1.0),
    **dict.fromkeys(("eps", "initial", "weight_decay", "momentum_decay"), math.inf),
}


def check_which(name: str, which: Any) -> None:
    """Check that this chooses parameters: a function of one."""
    if not callable(which):
        raise TypeError(
            f"{name} takes which, a function of a parameter, as in which=lambda p: p.ndim > 1, not {shown(which)}: "
            "by their paths, per_path has another optimizer for some"
        )


def check_between(name: str, high: float = 1.0, **options: Any) -> None:
    """Check that options are numbers in [0, high)."""
    check_known(name, **options)
    for option, given in options.items():
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < high:
            raise ValueError(f"{name}: {option} lies in [0, {high:g}), but {given!r} was given")


_INT32 = np.dtype(np.int32)
_LAST = 2**31 - 1000  # in int32, with room for what rules and schedules add to it
_split = splitter(Buffer)
