"""How new params are made: every optimizer ends in `update`, or in `advance` if it keeps something for each parameter.

Both walk params and gradients together, carry buffers along and give read-only arrays; nothing else in the library
needs to know how. An optimizer proper is then a rule for one parameter, which `per_leaf` makes into an `Optimizer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy import ndarray

from purenet import tree
from purenet.core import Buffer, Optimizer
from purenet.engine.arrays import FLOAT32, astype, describe, freeze, kept_number, namespace, quick_number, weak
from purenet.presets import called
from purenet.schedules import _first_rate

P = TypeVar("P")
Rate = Any  # a number, a 0-d array, or a schedule: a function of the step count


def sgd_step(params: P, grads: P, lr: Any) -> P:
    """New params, one step of gradient descent: params − lr·grads. The old ones are untouched.

    Raises:
        ValueError: grads are not built like params; the message names where they part.

    >>> import numpy as np
    >>> sgd_step((np.ones(2),), (np.full(2, 0.5),), lr=0.1)
    (array([0.95, 0.95]),)
    """
    rate = -lr if type(lr) is float else -_one_number(lr)
    quick = kept_number(rate) if type(rate) is float else quick_number(rate)
    if quick is rate:  # traced
        return update(_step(rate), params, grads)
    try:
        return _descend(params, grads, rate, quick)  # type: ignore[no-any-return]
    except (ValueError, TypeError, AttributeError):
        tree.check_same(params, grads, "params")
        raise


def _descend(params: Any, grads: Any, rate: Any, quick: Any) -> Any:
    # what `update` would do, for the usual case and with fewer calls: of a small net they are most of the time
    kind = type(params)
    if kind is not type(grads) or kind is Buffer or not isinstance(params, tuple) or len(params) != len(grads):
        return update(_step(rate), params, grads)
    children = []
    for p, g in zip(params, grads):  # noqa: B905 (they are of one length)
        if type(p) is ndarray is type(g) and g.dtype is p.dtype is FLOAT32 and g.shape == p.shape != ():
            new = g * quick
            new += p
            _set_writeable(new, False)
            children.append(new)
        else:
            children.append(p if type(p) is tuple and p == () == g else _descend(p, g, rate, quick))
    return _new(kind, children)


def _step(rate: Any) -> Callable[[Any, Any], Any]:
    def step(p: Any, g: Any) -> Any:
        new = g * rate
        new += p
        return new

    return step


def _one_number(lr: Any) -> Any:
    """The learning rate as a number that does not change a dtype: Python's own, unless it is traced."""
    lr = weak(lr)
    if callable(lr) or not hasattr(lr, "__neg__"):
        mend = ": write sgd_step(params, grads, schedule(step)), or let sgd(schedule) count" if callable(lr) else ""
        raise TypeError(f"sgd_step takes lr, a number, not {describe(lr)}{mend}")
    if getattr(lr, "shape", ()) != ():
        raise ValueError(f"sgd_step takes lr, one number, not {describe(lr)}")
    return lr.item() if type(lr) is np.ndarray else lr


def update(step: Callable[[Any, Any], Any], params: P, grads: P) -> P:
    """New params, `step(p, g)` of each parameter and its gradient, which must keep the shape.

    New params are read-only and keep their dtypes. A buffer takes its next value, which stands in grads.
    """

    def leaf(p: Any, g: Any) -> Any:
        if g.shape != p.shape:
            raise ValueError("a gradient has another shape than its parameter")
        return _keep(step(p, g), p)

    def walk(p: Any, g: Any) -> Any:
        # what `tree.map` would do, for the usual case and faster than the arithmetic of a small net
        kind = type(p)
        if kind is np.ndarray:
            if type(g) is np.ndarray and g.dtype is p.dtype and g.shape == p.shape:
                new = step(p, g)
                if type(new) is np.ndarray and new.dtype is p.dtype:
                    new.setflags(write=False)
                    return new
            return leaf(p, g)
        if kind is Buffer:
            return tree.map(freeze, g)
        if isinstance(p, tuple) and kind is type(g) and len(p) == len(g):
            return tuple.__new__(kind, map(walk, p, g)) if p else p
        if tree.is_node(p):
            return tree.map(walk, p, g, leaf_type=Buffer)
        return leaf(p, g)

    try:
        return walk(params, grads)  # type: ignore[no-any-return]
    except (ValueError, TypeError, AttributeError):
        tree.check_same(params, grads, "params")
        raise


def advance(step: Callable[..., Sequence[Any]], params: Any, grads: Any, slots: dict[str, Any]) -> list[Any]:
    """New params and new slots, `step(p, g, *slots) -> (p, *slots)` of each parameter; a slot is what is kept for it.

    Each slot is a tree like params, with `()` for a buffer.
    """

    def leaf(p: Any, g: Any, *kept: Any) -> Sequence[Any]:
        if g.shape != p.shape:
            raise ValueError("a gradient has another shape than its parameter")
        return _keep_all(step(p, g, *kept), p, *kept)

    def walk(p: Any, g: Any, *kept: Any) -> Any:
        kind = type(p)
        if kind is np.ndarray and g.shape == p.shape:
            return _keep_all(step(p, g, *kept), p, *kept)
        if kind is Buffer:
            return (tree.map(freeze, g), *kept)
        if isinstance(p, tuple) and kind is type(g):
            if not p:
                return (p, *kept)
            rows = [walk(*group) for group in zip(p, g, *kept, strict=True)]
            return [tuple.__new__(kind, column) for column in zip(*rows, strict=True)]
        if tree.is_node(p):
            rows = []
            tree.map(lambda *group: rows.append(walk(*group)), p, g, *kept, leaf_type=Buffer)
            columns = zip(*rows, strict=True) if rows else [()] * (1 + len(kept))
            return [_refill(p, column) for column in columns]
        return leaf(p, g, *kept)

    try:
        return list(walk(params, grads, *slots.values()))
    except (ValueError, TypeError, AttributeError):
        tree.check_same(params, grads, "params")
        for name, slot in slots.items():
            tree.check_same(without_buffers(params), slot, f"state.slots[{name!r}], for params")
        raise


def _still_step(params: Any, grads: Any, state: Any) -> tuple[Any, Any]:
    def stay(p: Any, g: Any) -> Any:
        return p.copy() if type(p) is np.ndarray and p.flags.writeable else p  # what is returned is read-only

    return update(stay, params, grads), state


still: Optimizer[Any, tuple[()]] = Optimizer(lambda params: (), _still_step, "still")
"""The optimizer that leaves parameters as they are, and carries buffers along."""


def without_buffers(params: Any, start: Callable[[Any], Any] = lambda p: p) -> Any:
    """A tree like params of `start(p)` for each parameter, and `()` for each buffer."""
    return tree.map(lambda p: () if type(p) is Buffer else start(p), params, leaf_type=Buffer)


class State(NamedTuple):
    """What an optimizer hands from one step to the next.

    count is how many steps were made, an int32 array of no axes. Each slot is a tree like params, without the buffers.
    """

    count: Any
    slots: dict[str, Any]


def zeros(p: Any) -> Any:
    """Zeros like p, read-only: how most slots begin."""
    return freeze(namespace(p, "an optimizer").zeros_like(p))


def per_leaf(
    name: str,
    lr: Rate,
    rule: Callable[..., Sequence[Any]],
    slots: Sequence[str] | Mapping[str, Callable[[Any], Any]] = (),
    constants: Sequence[float] = (),
    numbers: Callable[[Any, Any], Sequence[Any]] = lambda rate, t: (rate,),
    elementwise: bool = True,
) -> Optimizer[Any, State]:
    """The optimizer that treats each parameter by itself: `rule(xp, p, g, *slots, *constants, *numbers)`.

    The rule returns the new p and the new slots. `numbers(rate, t)` are what is computed once for the whole step, from
    the learning rate and t = 1, 2, …; constants are what never changes. The rule gets both as they multiply an array
    fastest, and never a NumPy scalar, which would change its dtype. A rule that looks at p as a whole, or chooses
    between parameters, is not `elementwise`.
    """
    check_rate(lr, name)
    starts = dict(slots) if isinstance(slots, Mapping) else dict.fromkeys(slots, zeros)
    order, quick_constants = [*starts], [quick_number(c) for c in constants]

    def init(params: Any) -> State:
        return State(zero_count(), {slot: without_buffers(params, start) for slot, start in starts.items()})

    def in_order(state: Any) -> State:
        if type(state) is not State or state.slots.keys() != starts.keys():
            given = f"one with slots {[*state.slots]}" if type(state) is State else state
            raise wrong_state(name, f"a State with slots {order}", given)
        return State(state.count, {slot: state.slots[slot] for slot in order})

    def step(params: Any, grads: Any, state: State | None = None) -> tuple[Any, State]:
        if type(state) is not State or [*state.slots] != order:
            state = in_order(state)
        now, count = tick(state.count)
        changing = numbers(rate_at(lr, now), now + 1)
        slow, quick = (*constants, *changing), (*quick_constants, *map(quick_number, changing))

        if type(params) is ndarray is type(grads) and params.dtype is FLOAT32 and params.shape == grads.shape:
            slots = state.slots.values()
            try:  # as `advance` would: of a tiny net whose parameters are joined, calls are most of the time
                new, *kept = _keep_all(rule(np, params, grads, *slots, *quick), params, *slots)
                return new, _new(State, (count, dict(zip(order, kept, strict=True))))
            except (ValueError, TypeError, AttributeError):
                pass  # `advance` meets the same, and says what is wrong

        def leaf(p: Any, g: Any, *kept: Any) -> Sequence[Any]:
            xp = np if type(g) is np.ndarray is type(p) else namespace(p if type(g) is np.ndarray else g, name)
            return rule(xp, p, g, *kept, *(quick if p.dtype is FLOAT32 else slow))

        new, *kept = advance(leaf, params, grads, state.slots)
        return new, _new(State, (count, dict(zip(order, kept, strict=True))))

    return Optimizer(init, step, name, elementwise)


def wrong_state(name: str, keeps: str, given: Any) -> Exception:
    """The error of a step that is handed a state which is not its own."""
    words = given if isinstance(given, str) else "no state" if given is None else describe(given)
    return ValueError(
        f"{name} keeps {keeps}, but was given {words}: make it by init, as in state = optimizer.init(params), "
        "and hand it on, as in params, state = optimizer.step(params, grads, state)"
    )


def zero_count() -> Any:
    return freeze(np.zeros((), np.int32))


def tick(count: Any) -> tuple[Any, Any]:
    """The step count to compute with, a Python integer if it is known, and the next one to keep."""
    if type(count) is ndarray:
        now = count.item()
        following = np.array(now + 1, _INT32)
        _set_writeable(following, False)
        return now, following
    return count, count + 1


def rate_at(rate: Rate, count: Any) -> Any:
    """The learning rate at this step: a Python number, unless it is traced."""
    if type(rate) is float:
        return rate
    rate = rate(count) if callable(rate) else rate
    return rate.item() if isinstance(rate, np.ndarray | np.generic) else rate


def check_rate(rate: Rate, name: str, what: str = "learning rate") -> None:
    if hasattr(rate, "shape") and rate.shape == ():
        return
    if callable(rate):
        _first_rate(rate, name, what)
        return
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise TypeError(f"{name}: the {what} is a number or a schedule, not {describe(rate)}")
    if not 0 <= rate < float("inf"):
        raise ValueError(f"{name}: the {what} is a finite number from 0 up, not {rate}")


def written(name: str, **options: tuple[Any, Any]) -> str:
    """The code that makes an optimizer, from its options (given, default).

    >>> written("adam", lr=(0.1, 0.001)), written("adam", lr=(0.001, 0.001))
    ('adam(lr=0.1)', 'adam()')
    """
    code = called(name, **options)
    return code if code.endswith(")") else f"{code}()"


class _Shown(NamedTuple):
    words: str

    def __repr__(self) -> str:
        return self.words


def shown(rate: Rate) -> Any:
    """The learning rate as it stands in a name: an array in words, since a traced one has no value to show."""
    rate = weak(rate)
    if hasattr(rate, "__name__"):  # a function, without the place in memory that its repr shows
        return _Shown(rate.__name__)
    if not hasattr(rate, "shape"):
        return rate
    return rate.item() if type(rate) is np.ndarray and rate.ndim == 0 else _Shown(f"<{describe(rate)}>")


def check_between(name: str, low: float = 0.0, high: float = 1.0, **options: Any) -> None:
    """Check that options are numbers in [low, high)."""
    for option, given in options.items():
        if isinstance(given, bool) or not isinstance(given, int | float) or not low <= given < high:
            raise ValueError(f"{name}: {option} lies in [{low:g}, {high:g}), but {given!r} was given")


def _keep_all(new: Sequence[Any], *old: Any) -> Sequence[Any]:
    """The new arrays in the shapes and the dtypes of the old ones, read-only."""
    for a, b in zip(new, old, strict=True):
        if type(a) is not ndarray or a.dtype is not b.dtype or a.shape != b.shape:
            return [*map(_keep, new, old)]
        _set_writeable(a, False)
    return new


def _keep(new: Any, old: Any) -> Any:
    """The new array in the shape and the dtype of the old one, read-only."""
    if type(new) is np.ndarray and new.dtype is old.dtype and new.shape == old.shape:
        new.setflags(write=False)
        return new
    if new.shape != old.shape:
        raise ValueError("a step has changed a shape")
    return freeze(new if new.dtype == old.dtype else astype(new, old.dtype))


def _refill(params: Any, leaves: Sequence[Any]) -> Any:
    """The containers of params around other leaves, one for each parameter or buffer."""
    supply = iter(leaves)
    return tree.map(lambda _: next(supply), params, leaf_type=Buffer)


_INT32 = np.dtype(np.int32)
_new = tuple.__new__
_set_writeable: Any = ndarray.setflags  # by its first argument: by name it takes twice as long
