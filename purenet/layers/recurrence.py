"""What recurrent layers have in common: the loop over time, its rule, the state and the lengths.

One product makes Z = X · W + B for all steps before the loop, and after the loop back dE/dW = Xᵀ · dE/dZ,
dE/dU = Hᵀ · dE/dA and dE/dX = dE/dZ · Wᵀ are one product each over all steps, with A = H · U the recurrent products.

Inside, arrays are turned around, (features, batch) at each step: then a gate is a block of rows, one piece of memory,
on which arithmetic takes half the time that it takes on a block of columns. B is the row of W that belongs to a feature
which is always 1.

A gate is σ(a) = tanh(a/2)/2 + 1/2, which cannot overflow, and lets one tanh do all gates. Its ½ is the cell's scale of
that gate, and is multiplied into W, U and B: powers of two round nothing. Of its derivative, (1 − tanh² (a/2)) · ¼, a
step's rule leaves the ¼ = ½² out; it is multiplied into U and W on the way back, and into their gradients.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from purenet.core import Layer, Pullback
from purenet.engine.arrays import Shape, compact, describe, dot, floating, freeze, is_open, match, meet, namespace
from purenet.initializers import Initializer, draw
from purenet.random import Key, split

States = tuple[Any, ...]
Step = Callable[[Any, States], tuple[States, Any]]
Pull = Callable[..., tuple[Any, Any, States]]
Inits = tuple[Initializer, Initializer, tuple[Initializer, ...] | None]  # of weight, recurrent_weight, each bias


class Cell(NamedTuple):
    """What tells one recurrent layer from another; `start(xp, params, ahead, back)` gives its step and the step's rule.

    `ahead` is Uᵀ, scaled for the way ahead, and `back` is U, scaled for the way back. Both are plain functions of
    arrays, so that `scan` can run them: `step(z, state) -> (state, saved)` and
    `pull(saved, *dE/dstate) -> (dz, da, dE/dstate before)`, where da is that of U's product, None if it is dz.
    """

    kind: Any
    scales: tuple[float, ...]  # of each gate: 0.5 if it is a σ, 1 if a tanh
    states: int  # the state is an array, or a tuple of two
    start: Callable[[Any, Any, Any, Any], tuple[Step, Pull]]
    in_place: Callable[[Any, Any, Any, bool], Any] | None = None  # all steps, faster on NumPy, where no lengths are

    @property
    def gates(self) -> int:
        return len(self.scales)


def recurrent(name: str, sizes: tuple[int, ...], cell: Cell, inits: Inits, last: bool, reverse: bool) -> Layer[Any]:
    """The layer that repeats a step."""
    if not 1 <= len(sizes) <= 2 or not all(type(size) is int and size > 0 for size in sizes):
        field = name.partition("(")[0]
        given = name if sizes else f"{field}()"
        raise ValueError(f"{given} should be {field}(in, hidden) or {field}(hidden), positive integers")
    inputs, hidden = sizes if len(sizes) == 2 else (None, sizes[0])
    bias = inits[2] is not None

    def shape(in_shape: Any) -> Any:
        if in_shape is None:
            return (hidden,) if last else (..., hidden)
        sequence, _, _, stateful = unpack(in_shape, type(in_shape[0]) is tuple, lambda part: part == (), name)
        if is_open(sequence):
            sequence = (None, *sequence[1:])
        if len(sequence) != 2 or inputs not in (None, sequence[1]):
            raise ValueError(
                f"{name} takes x of shape (batch, time, {inputs or 'features'}), "
                f"but its input has shape (batch, {', '.join(map(str, sequence))})"
            )
        if sequence[0] is None and not last:
            return (..., hidden)
        out_shape: Shape = (hidden,) if last else (sequence[0], hidden)
        return (out_shape, _outside(((hidden,),) * cell.states)) if stateful else out_shape

    def init(key: Key, in_shape: Any = None) -> Any:
        shape(in_shape)
        if in_shape is None and inputs is None:
            raise ValueError(
                f"{name} does not know how many inputs it has: write {name.replace('(', '(inputs, ', 1)}, "
                "or init(key, in_shape=(time, inputs))"
            )
        features = inputs or (in_shape[0] if type(in_shape[0]) is tuple else in_shape)[-1]
        weight_init, recurrent_init, bias_inits = inits
        weight_key, recurrent_key, bias_key, recurrent_bias_key = split(key, 4)

        def blocks(initializers: Any, key: Key, shape: Shape) -> Any:
            """Each gate's matrix is drawn by itself, so that its fans are its own and U's blocks are orthogonal."""
            keys = split(key, len(initializers))
            pieces = [draw(f, k, shape, name) for f, k in zip(initializers, keys, strict=True)]
            return freeze(namespace(pieces[0]).concat(pieces, axis=-1))

        weight = blocks([weight_init] * cell.gates, weight_key, (features, hidden))
        recurrent_weight = blocks([recurrent_init] * cell.gates, recurrent_key, (hidden, hidden))
        biases: list[Any] = [None] * (len(cell.kind._fields) - 2)
        if bias_inits is not None:
            biases = [blocks(bias_inits[: cell.gates], bias_key, (hidden,))]
            biases += [blocks([f], recurrent_bias_key, (hidden,)) for f in bias_inits[cell.gates :]]
        return cell.kind(weight, recurrent_weight, *biases)

    def forward(params: Any, x: Any, keep: bool) -> tuple[Any, Any]:
        """Y, and the rule of the steps, dE/dY → dparams, dX, dE/dstate, all turned around."""
        sequence, state, lengths, stateful = _check(name, cell, hidden, bias, params, x)
        sequence = meet(sequence, params.weight)
        xp = namespace(sequence)
        batch, time, _ = sequence.shape
        xs, mask = xp.permute_dims(sequence, (2, 1, 0)), None
        if lengths is not None:
            mask = xp.arange(time)[:, None] < lengths
            xs = xp.where(mask, xs, 0)  # so that nothing depends on what stands in the padding, be it NaN
        if state is None:
            state = (xp.zeros((hidden, batch), dtype=sequence.dtype),) * cell.states
        else:
            state = tuple(part.T for part in state)
        if reverse:
            xs, mask = xs[:, ::-1, :], None if mask is None else mask[::-1, :]
        if cell.in_place is not None and mask is None and type(sequence) is np.ndarray is type(params.weight):
            hs, state, rule = cell.in_place(params, xs, state, keep)
        else:
            hs, state, rule = steps(xp, cell, params, xs, mask, state, keep)

        def back(dy: Any, dstate: Any, wrt_x: bool) -> tuple[Any, Any, Any]:
            dys = None
            if last:
                dstate = (dstate[0] + dy.T, *dstate[1:])
            else:
                dys = compact(_ordered(xp.permute_dims(dy, (1, 2, 0)), reverse))
            dparams, dxs, dstate = rule(dys, dstate, wrt_x)
            if not wrt_x:
                return dparams, None, None
            return dparams, xp.permute_dims(dxs[:, ::-1, :] if reverse else dxs, (2, 1, 0)), dstate

        final = tuple(part.T for part in state)
        y = final[0]
        if not last:
            hs = hs if mask is None else xp.where(mask[:, None, :], hs, 0)
            y = compact(xp.permute_dims(_ordered(hs, reverse), (2, 0, 1)))
        return (y, _outside(final)) if stateful else y, back

    def apply(params: Any, x: Any, key: Key | None = None) -> Any:
        return forward(params, x, False)[0]

    def vjp(params: Any, x: Any, key: Key | None = None) -> tuple[Any, Pullback[Any]]:
        y, back = forward(params, x, True)
        sequence, state, _, stateful = unpack(x, type(x) is tuple, is_lengths, name)
        xp = namespace(y[0] if stateful else y)
        y_shape, dtype, batch = (y[0] if stateful else y).shape, sequence.dtype, sequence.shape[0]

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[Any, Any]:
            dstate: Any = None
            if stateful:
                if type(dy) is not tuple or len(dy) != 2:
                    raise ValueError(f"the pullback of {name}: Y is (outputs, state), but dE/dY is {describe(dy)}")
                dy, dstate = dy
            match(dy, y_shape, dtype, name)
            dstate = _inside(dstate, cell, (batch, hidden), dtype, f"the final state of {name}, its gradient,")
            if dstate is None:
                dstate = (xp.zeros((hidden, batch), dtype=dtype),) * cell.states
            else:
                dstate = tuple(part.T for part in dstate)
            dparams, dx, dstate = back(dy, dstate, wrt_x)
            if not wrt_x or type(x) is not tuple:
                return dparams, dx
            middle = (None if state is None else _outside(tuple(d.T for d in dstate)),) if stateful else ()
            return dparams, (dx, *middle, None)[: len(x)]

        return y, pullback

    return Layer(init, apply, vjp, shape, name)


def steps(
    xp: Any, cell: Cell, params: Any, xs: Any, mask: Any, state: States, keep: bool
) -> tuple[Any, States, Callable[..., Any]]:
    """Every H (time, hidden, batch), the last state, and the rule `back(dHs, dstate, wrt_x) -> (dparams, dXs, dstate)`.

    Xs are (features, time, batch), the mask (time, batch); None for the dHs stands for 0. The rule is there if `keep`.
    """
    features, time, batch = xs.shape
    hidden, bias = params.recurrent_weight.shape[0], params.bias
    weight, recurrent_weight = params.weight, params.recurrent_weight
    if bias is not None:
        xs = xp.concat([xs, xp.ones((1, time, batch), dtype=xs.dtype)])
        weight = xp.concat([weight, bias[None, ...]])
    scale = xp.repeat(xp.asarray(cell.scales, dtype=xs.dtype), hidden)
    square = scale * scale
    z = xp.matmul((weight * scale).T, xp.permute_dims(xs, (1, 0, 2)))
    step, pull = cell.start(xp, params, (recurrent_weight * scale).T, recurrent_weight * square)

    def ahead(state: States, given: Any) -> Any:
        z, real = given
        new, saved = step(z, state)
        if real is not None:
            new = tuple(xp.where(real, n, s) for n, s in zip(new, state, strict=True))
        return new, (new[0], (state[0], saved) if keep else None)

    state, (hs, kept) = scan(xp, ahead, state, (z, mask), time)

    def back(dhs: Any, dstate: Any, wrt_x: bool) -> tuple[Any, Any, Any]:
        def behind(dstate: States, given: Any) -> Any:
            dh, (before, saved), real = given
            if real is None:
                dstate = dstate if dh is None else (dstate[0] + dh, *dstate[1:])
                dz, da, dstate = pull(saved, *dstate)
            else:  # what came through the masked columns goes on as it is; their dE/dY does not count
                dstate = dstate if dh is None else (dstate[0] + xp.where(real, dh, 0), *dstate[1:])
                through = [xp.where(real, 0, d) for d in dstate]
                dz, da, dstate = pull(saved, *(xp.where(real, d, 0) for d in dstate))
                dstate = tuple(d + e for d, e in zip(dstate, through, strict=True))
            return dstate, (before, dz, da)

        dstate, (before, dz, da) = scan(xp, behind, dstate, (dhs, kept, mask), time, reverse=True)

        def flat(each: Any) -> Any:
            """(features, time · batch), so that a sum over every step is one product."""
            each = xp.stack(each, axis=1) if type(each) is list else xp.permute_dims(each, (1, 0, 2))
            return xp.reshape(each, (each.shape[0], time * batch))

        dz = flat(dz)
        da = dz if da is None or da[0] is None else flat(da)
        dweight = dot(xp.reshape(xs, (xs.shape[0], time * batch)), dz.T) * square
        drecurrent = dot(flat(before), da.T) * square
        biases = [None, None] if bias is None else [dweight[features, ...], xp.sum(da[-hidden:, ...], axis=-1)]
        dparams = cell.kind(dweight[:features, ...], drecurrent, *biases[: len(cell.kind._fields) - 2])
        dxs = xp.reshape(dot(params.weight * square, dz), (features, time, batch)) if wrt_x else None
        return dparams, dxs, dstate

    return xp.stack(hs) if type(hs) is list else hs, state, back


def scan(xp: Any, f: Any, carry: Any, given: tuple[Any, ...], time: int, reverse: bool = False) -> tuple[Any, Any]:
    """The last carry, and what f gave at each step: `carry, outputs = f(carry, inputs)`, first step first.

    Each part of `given` is an array or a list of steps, or None. A part of the outputs is a list of steps; under JAX an
    array of them, by `lax.scan`, which compiles f once and not once for each step.
    """
    if xp.__name__ == "jax.numpy":
        found: tuple[Any, Any] = sys.modules["jax"].lax.scan(f, carry, given, length=time, reverse=reverse)
        return found
    outputs: list[Any] = [None] * time
    for t in reversed(range(time)) if reverse else range(time):
        now = tuple(part if part is None else part[t] if type(part) is list else part[t, ...] for part in given)
        carry, outputs[t] = f(carry, now)
    return carry, [list(part) for part in zip(*outputs, strict=True)]


def _ordered(steps: Any, reverse: bool) -> Any:
    return steps[::-1, ...] if reverse else steps


def unpack(x: Any, several: bool, is_lengths: Callable[[Any], bool], who: str) -> tuple[Any, Any, Any, bool]:
    """(sequence, state, lengths, whether there is a place for the state) of x, or of the shape of x."""
    if not several:
        return x, None, None, False
    if len(x) == 3:
        return *x, True
    if (
        len(x) == 2
        and (type(x[1]) is list or getattr(getattr(x[1], "dtype", None), "kind", "f") in "iub")
        and not (is_lengths(x[1]))
    ):
        raise ValueError(f"{who} takes lengths that are an integer array of shape (batch,), not {describe(x[1])}")
    if len(x) == 2:
        return (x[0], None, x[1], False) if is_lengths(x[1]) else (*x, None, True)
    raise ValueError(f"{who} takes x, (x, lengths), (x, state) or (x, state, lengths), not a tuple of {len(x)}")


def is_lengths(part: Any) -> bool:
    return getattr(part, "ndim", None) == 1


def _outside(state: States) -> Any:
    """The state as it is handed out: a tuple of one is the array itself."""
    return state[0] if len(state) == 1 else state


def _inside(state: Any, cell: Cell, shape: Shape, dtype: Any, who: str) -> Any:
    """The state as a tuple, checked; or None."""
    if state is None:
        return None
    parts = (state,) if cell.states == 1 else state
    if type(parts) is not tuple or len(parts) != cell.states:
        raise ValueError(f"{who} is a tuple (H, C) of two arrays of shape {shape}, not {describe(state)}")
    for part in parts:
        namespace(part, who)
        if part.shape != shape or part.dtype != dtype:
            raise ValueError(f"{who} is of shape {shape} (batch, hidden) and {dtype}, not {describe(part)}")
    return parts


def _check(name: str, cell: Cell, hidden: int, bias: bool, params: Any, x: Any) -> tuple[Any, Any, Any, bool]:
    """(sequence, state as a tuple, lengths, stateful), after the checks of params and x."""
    sequence, state, lengths, stateful = unpack(x, type(x) is tuple, is_lengths, name)
    xp = floating(sequence, name)
    if sequence.ndim != 3 or not sequence.shape[1]:
        raise ValueError(
            f"{name} takes x of shape (batch, time, features), not {tuple(sequence.shape)}; at least one step in time"
        )
    batch, time, features = sequence.shape
    if type(params) is not cell.kind:
        raise ValueError(f"{name} takes {cell.kind.__name__}, not {describe(params)}. Are these of another net?")
    wide = cell.gates * hidden
    biases = ((wide,), (hidden,)) if bias else (None, None)
    own = ((features, wide), (hidden, wide), *biases[: len(params) - 2])
    given = tuple(None if p is None else tuple(p.shape) for p in params)
    if given[1:] == own[1:] and given[0] == (params.weight.shape[0], wide) != own[0]:
        raise ValueError(
            f"{name} takes x of shape (batch, time, {params.weight.shape[0]}), a row of its weight for each feature, "
            f"not {tuple(sequence.shape)}"
        )
    if given != own:
        raise ValueError(
            f"{name} takes params of shapes {own} for x of shape {tuple(sequence.shape)} (batch, time, features), "
            f"not {given}. Are these of another net?"
        )
    dtype = params.weight.dtype
    if sequence.dtype != dtype:
        raise TypeError(
            f"{name} has {dtype} params, but x is {sequence.dtype}: write x.astype(np.{dtype}), "
            f"or convert the params with purenet.tree.cast(params, np.{sequence.dtype})"
        )
    if lengths is not None:
        if not xp.isdtype(lengths.dtype, "integral") or lengths.shape != (batch,):
            raise ValueError(f"{name} takes integer lengths of shape ({batch},), not {describe(lengths)}")
        if type(lengths) is np.ndarray and batch and not 0 <= lengths.min() <= lengths.max() <= time:
            raise ValueError(f"{name}: x has {time} steps, but lengths go from {lengths.min()} to {lengths.max()}")
    return sequence, _inside(state, cell, (batch, hidden), dtype, f"the state of {name}"), lengths, stateful
