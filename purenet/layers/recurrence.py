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

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array
from purenet.initializers import Initializer, orthogonal, side_by_side
from purenet.spec import Maybe, Pull, Spec, in_and_out, layer
from purenet.values import called

ORTHOGONAL = orthogonal()
States = tuple[Array, ...]
Step = Callable[[Array, States], tuple[States, Any]]
StepPull = Callable[..., tuple[Array, Array | None, States]]
Ran = tuple[Array, States, Callable[..., Any]]


class Cell(NamedTuple):
    """What tells one recurrent layer from another; `start(ops, params, ahead, back)` gives its step and its rule.

    `ahead` is Uᵀ, scaled for the way ahead, and `back` is U, scaled for the way back. Both are plain functions of
    arrays, so that `scan` can run them: `step(z, state) -> (state, saved)` and
    `pull(saved, *dE/dstate) -> (dz, da, dE/dstate before)`, where da is that of U's product, None if it is dz.

    `run(ops, plain, *given)` is the op that runs all steps, `plain(ops, *given)` if there is none: see `steps`.
    `reset` says that the last gate's block of U does not multiply H, but what `saved` begins with.
    """

    kind: Any
    scales: tuple[float, ...]  # of each gate: 0.5 if it is a σ, 1 if a tanh
    states: int  # the state is an array, or a tuple of two
    start: Callable[[Ops, Any, Array, Array], tuple[Step, StepPull]]
    run: Callable[..., Ran] = lambda ops, plain, *given: plain(ops, *given)
    reset: bool = False


def recurrent(
    maker: str, given: Mapping[str, Any], cell: Cell, gates_bias_init: tuple[Initializer, ...] = ()
) -> Layer[Any]:
    """The layer that repeats a step, of the maker's `locals()`. `gates_bias_init` are the initial biases where those of
    the gates differ."""
    last, reverse, return_state, bias = (given[each] for each in ("last", "reverse", "return_state", "bias"))
    weight_init, recurrent_init, bias_init = (given[f"{each}_init"] for each in ("weight", "recurrent", "bias"))
    (inputs, hidden), name = in_and_out(maker, given["sizes"]), called(maker, given)
    gates, own = len(cell.scales), len(cell.kind._fields) - cell.reset if bias else 2  # how many params it has
    left_out = [None] * (len(cell.kind._fields) - own)
    blocks = [(weight_init,) * gates, (recurrent_init,) * gates, gates_bias_init or (bias_init,) * gates, (bias_init,)]
    wide = f"{gates}*hidden"
    x, y = _forms(cell, last, return_state)
    spec = Spec(
        name,
        x=x,
        y=y,
        params=cell.kind(*[f"inputs {wide}", f"hidden {wide}", wide, "hidden"][:own], *left_out),
        init=cell.kind(*[side_by_side(name, *each) for each in blocks[:own]], *left_out),
        sizes={"inputs": inputs, "hidden": hidden},
        complete=name.replace("(", "(inputs, ", 1),
        fits=lambda sizes: "takes sequences of at least one step in time" if sizes.get("time") == 0 else "",
        values=lambda x: look_at_lengths(name, x),
    )
    run = _over_sequences(cell, hidden, last, reverse, return_state)
    return layer(
        spec,
        lambda ops, params, x, key: run(ops, params, x, True),
        lambda ops, params, x, key: run(ops, params, x, False)[0],
    )


def _over_sequences(
    cell: Cell, hidden: int, last: bool, reverse: bool, return_state: bool
) -> Callable[[Ops, Any, Any, bool], tuple[Any, Pull]]:
    """The rule of the layer, `run(ops, params, x, keep)`: it can go back if `keep`."""
    plain = steps(cell)

    def run(ops: Ops, params: Any, x: Any, keep: bool) -> tuple[Any, Pull]:
        sequence, state, lengths, stateful = unpack(x)
        hands_on = stateful or return_state
        batch, time, _ = sequence.shape
        xs, mask = ops.permute_dims(sequence, (2, 1, 0)), None
        if lengths is not None:
            mask = ops.arange(time)[:, None] < lengths
            xs = ops.keep(xs, mask)  # so that nothing depends on what stands in the padding, be it NaN

        def turned(steps: Any, axis: int) -> Any:
            """The steps in the order in which they are run, and back."""
            return ops.flip(steps, axis=axis) if reverse and steps is not None else steps

        def inside(state: Any) -> States:
            """The state turned around, as a tuple; what is None begins with zeros."""
            parts = state if type(state) is tuple else (state,) * cell.states
            return tuple(ops.zeros_of((hidden, batch), sequence) if part is None else part.T for part in parts)

        def outside(state: States) -> Any:
            return _state_of([part.T for part in state])

        xs, mask = turned(xs, 1), turned(mask, 0)
        hs, final, back = cell.run(ops, plain, params, xs, mask, inside(state), keep)
        if mask is not None:
            hs = hs if last else ops.keep(hs, mask[:, None, :])
            fit = partial(lengths_fit, lengths, time)
            hs, final = ops.or_nan(hs, fit), tuple(ops.or_nan(h, fit) for h in final)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            dy, dfinal = dy if hands_on else (dy, None)
            dfinal, dys = inside(dfinal), None
            if last:
                dfinal = (dfinal[0] + dy.T, *dfinal[1:])
            else:
                dys = ops.compact(turned(ops.permute_dims(dy, (1, 2, 0)), 0))
            dparams, dxs, dstate = back(dys, dfinal, wrt_x)
            if not wrt_x:
                return dparams, None
            dx = ops.permute_dims(turned(dxs, 1), (2, 1, 0))
            if type(x) is not tuple:
                return dparams, dx
            middle = (None if state is None else outside(dstate),) if stateful else ()
            return dparams, (dx, *middle, None)[: len(x)]

        y = final[0].T
        if not last:
            y = ops.compact(ops.permute_dims(turned(hs, 0), (2, 0, 1)))
        return (y, outside(final)) if hands_on else y, pull

    return run


def steps(cell: Cell) -> Callable[..., Ran]:
    """The function that runs a cell's steps by `scan`.

    `run(ops, params, xs, mask, state, keep)` gives every H (time, hidden, batch), the last state, and the rule
    `back(dHs, dstate, wrt_x) -> (dparams, dXs, dstate)`, which is there if `keep`. Xs are (features, time, batch), the
    mask (time, batch); None for the dHs stands for 0.
    """

    def run(ops: Ops, params: Any, xs: Array, mask: Array | None, state: States, keep: bool) -> Ran:
        features, time, batch = xs.shape
        weight, recurrent_weight, bias = params[:3]
        hidden = recurrent_weight.shape[0]
        if bias is not None:
            xs = ops.concat([xs, ops.ones((1, time, batch), dtype=xs.dtype)])
            weight = ops.concat([weight, bias[None, ...]])
        scale = ops.repeat(ops.asarray(cell.scales, dtype=xs.dtype), hidden)
        square = scale * scale
        z = ops.matmul((weight * scale).T, ops.permute_dims(xs, (1, 0, 2)))
        step, pull = cell.start(ops, params, (recurrent_weight * scale).T, recurrent_weight * square)

        def ahead(state: States, given: Any) -> Any:
            z, real = given
            new, saved = step(z, state)
            if real is not None:
                new = tuple(ops.where(real, n, s) for n, s in zip(new, state, strict=True))
            return new, (new[0], (state[0], saved) if keep else None)

        state, (hs, kept) = ops.scan(ahead, state, (z, mask), time)

        def behind(dstate: States, given: Any) -> Any:
            dh, (before, saved), real = given
            if dh is not None:
                dstate = dstate[0] + (dh if real is None else ops.keep(dh, real)), *dstate[1:]
            dz, da, new = pull(saved, *dstate)
            if real is not None:  # what came to the masked columns goes on as it is
                dz, da = ops.keep(dz, real), None if da is None else ops.keep(da, real)
                new = tuple(ops.where(real, n, d) for n, d in zip(new, dstate, strict=True))
            return new, (before, saved[0] if cell.reset else None, dz, da)

        def back(dhs: Array | None, dstate: States, wrt_x: bool) -> tuple[Any, Array | None, States]:
            dstate, (before, reset, dz, da) = ops.scan(behind, dstate, (dhs, kept, mask), time, reverse=True)

            def flat(each: Any) -> Array:
                """(features, time · batch), so that a sum over every step is one product."""
                each = ops.stack_steps(each, 1)
                return ops.reshape(each, (each.shape[0], time * batch))

            dz = flat(dz)
            da = dz if da is None else flat(da)
            dweight = ops.transposed_dot(ops.reshape(xs, (xs.shape[0], time * batch)).T, dz.T) * square
            if cell.reset:
                gates = (before, da[:-hidden, ...]), (reset, da[-hidden:, ...])
                drecurrent = ops.concat([ops.transposed_dot(flat(h).T, d.T) for h, d in gates], axis=-1)
            else:
                drecurrent = ops.transposed_dot(flat(before).T, da.T)
            biases = [None if bias is None else dweight[features, ...]]
            biases += [None if each is None else ops.sum(da[-hidden:, ...], axis=-1) for each in params[3:]]
            dparams = cell.kind(dweight[:features, ...], drecurrent * square, *biases)
            dxs = ops.dot(params.weight * square, dz) if wrt_x else None
            return dparams, None if dxs is None else ops.reshape(dxs, (features, time, batch)), dstate

        return ops.stack_steps(hs, 0), state, back

    return run


def unpack(x: Any) -> tuple[Any, Any, Any, bool]:
    """(sequence, state, lengths, whether there is a place for the state) of x."""
    if type(x) is not tuple:
        return x, None, None, False
    if len(x) == 3:
        return *x, True
    return (x[0], None, x[1], False) if getattr(x[1], "ndim", None) == 1 else (*x, None, True)


def _forms(cell: Cell, last: bool, return_state: bool) -> tuple[list[Any], list[Any]]:
    """The forms of x and of Y: a sequence, with a state or without, with lengths or without."""
    sequence, lengths = "batch time inputs", "lengths = batch: int"
    y, final = "batch hidden" if last else "batch time hidden", _state_of(["batch hidden"] * cell.states)
    state: Any = "state = batch hidden?"
    if cell.states == 2:
        state = Maybe(("H = batch hidden", "C = batch hidden"))
    x = [sequence, (sequence, state), (sequence, lengths), (sequence, state, lengths)]
    alone = (y, final) if return_state else y
    return x, [alone, (y, final), alone, (y, final)]


def look_at_lengths(name: str, x: Any) -> None:
    """Check that no sequence in x is longer than there are steps."""
    sequence, _, lengths, _ = unpack(x)
    if lengths is not None:
        check_lengths(name, lengths, sequence.shape[1])


def check_lengths(who: str, lengths: Any, most: int, places: str = "steps") -> None:
    """Check that lengths go from 0 to so many places."""
    if len(lengths) and not 0 <= lengths.min() <= lengths.max() <= most:
        raise ValueError(f"{who}: there are {most} {places}, but lengths go from {lengths.min()} to {lengths.max()}")


def lengths_fit(lengths: Array, most: int) -> Array:
    """Where `check_lengths` finds nothing wrong."""
    return (lengths >= 0) & (lengths <= most)


def places_so_far(piece: Any, past: Any) -> Any:
    """How many places of a sequence there are after a piece, from its shape and that of the past, if there is one; ...
    where that is not known."""
    sizes = (*(piece or ())[:1], *((0,) if past is None else past[:1]))
    return sum(sizes) if len(sizes) == 2 and all(type(size) is int for size in sizes) else ...


def _state_of(parts: list[Any]) -> Any:
    """The state as it is handed out: of one array, the array itself."""
    return parts[0] if len(parts) == 1 else tuple(parts)
