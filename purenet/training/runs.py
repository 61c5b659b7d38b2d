"""What a training run is at one moment, and what it was when it ended: plain values, with a short repr for a prompt."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from inspect import signature
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from purenet import tree
from purenet.core import Layer, Loss, Optimizer
from purenet.engine.arrays import as_number, describe
from purenet.random import Key
from purenet.values import Text, Value, brief, shown

P = TypeVar("P")


@tree.read_only_copies
class State(NamedTuple, Generic[P]):
    """Where a training run stands: all that is needed to go on from here, so it can be saved and resumed.

    Fields:
        params, optimizer_state: after `step` steps.
        key: what the numbers of the epoch under way are drawn from.
        step: how many steps were taken.
        epoch, batch: how many epochs are complete, and how many batches of the one under way.
        loss: of the last step.
        total: of the losses in the epoch under way; NaN if it is not known.
    """

    params: P
    optimizer_state: Any
    key: Key | None
    step: int
    epoch: int
    batch: int
    loss: float
    total: float = math.nan

    def __repr__(self) -> str:
        at = f"step={self.step}, epoch={self.epoch}, batch={self.batch}, loss={_short(self.loss)}"
        return f"State({at}, params=<{_count(self.params)}>)"


class Stretch(NamedTuple):
    """Some steps of a run: where it stands after them, their losses, and of several epochs the best one.

    Fields:
        best: (its place among these epochs, the params after it).
    """

    state: State[Any]
    losses: list[float]
    best: tuple[int, Any] | None = None


class Mean:
    """The mean loss of an epoch, from the losses of its steps and of those that a state remembers."""

    def __init__(self, state: State[Any]) -> None:
        known = not math.isnan(state.total)
        self.total, self.count = (state.total, state.batch) if known else (0.0, 0)
        self.epoch = state.epoch

    def with_steps(self, state: State[Any], losses: Sequence[float]) -> list[float]:
        """The means of the epochs that these steps end with: of those of several, all steps are here."""
        ended, self.epoch = state.epoch - self.epoch, state.epoch
        if ended > 1:
            return [float(mean) for mean in np.reshape(losses, (ended, -1)).mean(axis=1)]
        self.total, self.count = self.total + math.fsum(losses), self.count + len(losses)
        if not ended:
            return []
        mean = self.total / self.count
        self.total, self.count = 0.0, 0
        return [mean]


@tree.read_only_copies
class Best(NamedTuple, Generic[P]):
    """The best epoch of a run so far: its number, what was monitored there, by which name, and the params after it."""

    monitor: str
    value: float
    epoch: int
    params: P

    def __repr__(self) -> str:
        return f"Best(epoch={self.epoch}, {self.monitor}={_short(self.value)})"


@tree.read_only_copies
class Fit(NamedTuple, Generic[P]):
    """What `fit` gives.

    Fields:
        params: the best ones if there was patience, else the last ones.
        state: the last state.
        history: an array for each number, with an entry for each epoch. "learning_rate" is that of its last step, of an
            optimizer that has one.
        stopped: why it stopped: "epochs", "patience", "callback" or "interrupted".
        best: the best epoch, with its params; None if no epoch was completed.
    """

    params: P
    state: State[P]
    history: dict[str, Any]
    stopped: str
    best: Best[P] | None = None

    def __repr__(self) -> str:
        numbers = [f"{name}={_short(values[-1])}" for name, values in self.history.items() if values.ndim == 1]
        told = ", ".join([f"epochs={self.state.epoch}", f"stopped={self.stopped!r}", *numbers])
        best = f", best={self.best}" if self.best else ""
        return f"Fit({told}{best}, params=<{_count(self.params)}>)"

    def _repr_html_(self) -> str:
        """What a notebook shows: the last numbers, and the curves if matplotlib is there."""
        from purenet.plotting import is_available, learning_curves

        told = Text(self)._repr_html_()
        if not is_available() or not self.history or any(values.ndim != 1 for values in self.history.values()):
            return told
        picture = io.BytesIO()
        learning_curves(self.history).savefig(picture, format="png", dpi=80)
        encoded = base64.b64encode(picture.getvalue()).decode()
        return f'{told}<img alt="the numbers of each epoch" src="data:image/png;base64,{encoded}">'


def check_params(params: Any, who: str) -> None:
    """Check that params are not what holds them, or what makes them."""
    if isinstance(params, State | Fit | Best):
        raise TypeError(f"{who} takes params, not {describe(params)}: write {type(params).__name__.lower()}.params")
    check_tree(params, f"{who} takes params")


def check_tree(tree: Any, takes: str) -> None:
    """Check that a tree is not what makes one; `takes` says what belongs here."""
    if isinstance(tree, Layer):
        raise TypeError(f"{takes}, not the layer {brief(tree.name)}: write net.init(key) for its params")
    if isinstance(tree, Loss | Optimizer):
        raise TypeError(f"{takes}, not {describe(tree)}")


def check_optimizer(optimizer: Any) -> None:
    """Check that this is an optimizer, and not what makes one."""
    if isinstance(optimizer, Optimizer):
        return
    mend, makes = "", str(getattr(optimizer, "__annotations__", {}).get("return"))
    if isinstance(optimizer, str):
        mend = ": write pn.adam(), a value, and no text"
    elif hasattr(optimizer, "update"):
        mend = ": with Optax, write the loop yourself, by value_and_grad"
    elif isinstance(as_number(optimizer), int | float):
        mend = f": write sgd(lr={shown(optimizer)})"
    elif makes == "Transform":
        mend = f": write chain({optimizer.__name__}(...), sgd())"
    elif makes.startswith(("Optimizer", "Adaptive")) and "lr" in signature(optimizer).parameters:
        mend = f": write {optimizer.__name__}(lr=...), with parentheses"
    elif callable(optimizer) and not isinstance(optimizer, tuple | Value):
        mend = ": write adam(), with parentheses"
    raise TypeError(f"an optimizer stands after the loss, not {describe(optimizer)}{mend}")


def check_order(params: Any, data: Any, who: str, what: str) -> None:
    """Check that params stand before the data: such are arrays, and the params of a net hold those of its layers."""
    if _are_arrays(params) and _hold_params(data):
        raise TypeError(
            f"{who} takes params before {what}, but they are swapped: write {who}(..., params, {what}, ...)"
        )


def _are_arrays(data: Any) -> bool:
    if type(data) is tuple:
        return bool(data) and all(map(_are_arrays, data))
    return hasattr(data, "shape")


def _hold_params(data: Any) -> bool:
    """Whether these are params of layers of this library: data may be a NamedTuple too, but of another kind."""
    if type(data) is tuple:
        return not data or any(map(_hold_params, data))
    return isinstance(data, tuple) and type(data).__module__.startswith("purenet.layers.")


def _short(number: Any) -> str:
    try:
        return f"{number:.4g}"
    except (TypeError, ValueError):  # under a trace
        return str(number)


def _count(params: Any) -> str:
    leaves = tree.leaves(params)
    return f"{tree.size(params):,} numbers in {len(leaves)} array{'s' * (len(leaves) != 1)}"
