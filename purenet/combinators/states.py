"""What layers share that are made of recurrent layers, or of others that take a state beside a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from purenet.combinators.compose import check_tuple


def parted(
    who: str, x: Any, count: int, several: bool, beside: tuple[int, ...] = (1,)
) -> tuple[Any, Any, tuple[Any, ...]]:
    """(sequence, states, rest) of x, arrays or shapes, for so many layers. The states are None where x has no place for
    them: what stands second is an array of so many axes as `beside` says, 1 of lengths, 3 of the memory of decoders.
    `several` says that x is a tuple."""
    if not several or len(x) < 2:
        return x, None, ()
    if _axes(x[1]) in beside:
        return x[0], None, x[1:]
    if x[1] is None:
        return x[0], (None,) * count, x[2:]
    takes = "(x, lengths), an integer array of shape (batch,), or (x, state), a state that is"
    return x[0], check_tuple(x[1], count, who, takes), x[2:]


def _axes(beside: Any) -> int | None:
    """How many axes there are, with the batch, of an array or of its shape; None of a tuple of states."""
    if type(beside) is tuple:
        return 1 + len(beside) if not beside or int in map(type, beside) else None
    return getattr(beside, "ndim", None)


def for_layer(sequence: Any, states: Any, rest: tuple[Any, ...], i: int) -> Any:
    """The x of a layer, of what stands in that of all."""
    x = (sequence, *rest) if states is None else (sequence, states[i], *rest)
    return x if len(x) > 1 else sequence


def give_states(who: str, finals: Sequence[Any]) -> bool:
    """Whether the layers give their final states, of which one that is not given is None: all of them or none."""
    without = [final is None for final in finals]
    if any(without) and not all(without):
        raise ValueError(f"{who}: some of its layers give their state: set return_state in all of them or in none")
    return not any(without)
