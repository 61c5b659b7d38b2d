"""The loop over time, and the steps of an lstm: the plain forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purenet.engine.arrays import Array
from purenet.engine.standard import Standard


class RecurrenceOps(Standard):
    """The ops of recurrent layers."""

    def scan(
        self,
        f: Callable[[Any, tuple[Any, ...]], tuple[Any, tuple[Any, ...]]],
        carry: Any,
        given: tuple[Any, ...],
        time: int,
        reverse: bool = False,
    ) -> tuple[Any, Any]:
        """The last carry, and what f gave at each step: `carry, outputs = f(carry, inputs)`, first step first.

        Each part of `given` is an array that has time as its first axis, a part of the outputs of another scan, or
        None. A part of the outputs is for `stack_steps`; it is None where it was None at each step.
        """
        outputs: list[Any] = [None] * time
        for t in reversed(range(time)) if reverse else range(time):
            now = tuple(part if part is None else part[t] if type(part) is list else part[t, ...] for part in given)
            carry, outputs[t] = f(carry, now)
        return carry, [None if part[0] is None else list(part) for part in zip(*outputs, strict=True)]

    def stack_steps(self, steps: Any, axis: int) -> Array:
        """One array of a part of what `scan` gave, with time at this axis."""
        return self.stack(steps, axis=axis)

    def lstm_steps(
        self, plain: Callable[..., Any], params: Any, xs: Array, mask: Array | None, state: Any, keep: bool
    ) -> Any:
        """All steps of an lstm. The plain form runs them by `scan`: see `purenet.layers.recurrence.steps`."""
        return plain(self, params, xs, mask, state, keep)
