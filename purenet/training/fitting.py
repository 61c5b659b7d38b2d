"""Training in one call, on top of the loop of `train`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np

from purenet import tree
from purenet.core import Layer, Loss, Optimizer
from purenet.data.arrays import batches as cut
from purenet.data.arrays import count, parts
from purenet.data.progress import Progress
from purenet.engine.arrays import describe, is_integer
from purenet.engine.jax import host_only
from purenet.presets import hinted
from purenet.random import Key
from purenet.training.loop import Metrics, by_name, check_batches, evaluate, resumed, start, train
from purenet.training.penalties import Penalty
from purenet.training.runs import Best, Fit, Mean, State

P = TypeVar("P")


@hinted
def fit(
    net: Layer[P],
    loss: Loss,
    optimizer: Optimizer[P, Any],
    params: P,
    data: Any,
    *,
    key: Key | None,
    epochs: int,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Metrics = (),
    patience: int | None = None,
    monitor: str | None = None,
    best: Literal["lowest", "highest"] = "lowest",
    callbacks: Sequence[Callable[[State[P], dict[str, Any]], Any]] = (),
    penalties: Sequence[Penalty] | Penalty = (),
    resume: State[P] | Fit[P] | None = None,
    progress: bool | None = None,
) -> Fit[P]:
    """Train for some epochs in one call; `train` is the same with the loop in your hands.

    Ctrl-C ends it early, with what was trained so far; with `resume` it goes on from there, and no number is missing.

    Args:
        data: arrays `(x, target)`, cut into batches in a new order for each epoch; for a net of several inputs,
            `((x1, x2), target)` or `(x1, x2, target)`; or batches, as `train` takes them.
        epochs: how many in all, those before `resume` among them.
        validation: data as `evaluate` takes it, for `validation_loss` and the metrics after each epoch.
        metrics: functions of (y, target), or a dict of them by name; `accuracy` is recorded as `validation_accuracy`.
        patience: stop after so many epochs in which `monitor` did not get better, and give the best params.
        monitor: what is watched, by default `validation_loss`, or `loss` if there is no validation.
        best: whether `monitor` is best when "lowest" or when "highest".
        callbacks: functions `(state, record)`, called after each epoch, with the numbers of that epoch; training stops
            after one that gives True.
        penalties: `l1` and `l2`, as further terms of the loss (but not of validation_loss).
        resume: what `fit` gave: it goes on with its params, its history, and its patience. Or a `State`, as `train`
            yields it, with a history that begins here.
        progress: whether to show how far it is; by default on a terminal only.

    >>> import numpy as np, purenet as pn
    >>> x = np.arange(4, dtype=np.float32)[:, None]
    >>> net = pn.dense(1, 1)
    >>> params, data = net.init(pn.key(0)), (x, 2 * x + 1)
    >>> found = pn.fit(net, pn.mse, pn.sgd(0.1), params, data, key=pn.key(1), epochs=50, batch_size=2)
    >>> found.stopped, found.history["loss"].shape, bool(found.history["loss"][-1] < 0.1)
    ('epochs', (50,), True)
    """
    host_only("fit", *tree.leaves(params))
    named = by_name(metrics)
    callbacks = [callbacks] if callable(callbacks) else list(callbacks)
    _check_options(epochs, batch_size, patience, best, callbacks)
    if named and validation is None:
        raise ValueError("fit takes metrics with validation data, which they are measured on")
    _check_validation(validation, epochs)
    batches, total = _batches(data, batch_size)
    names = ["loss"] if validation is None else ["loss", "validation_loss", *(f"validation_{name}" for name in named)]
    monitor = monitor or names[:2][-1]
    if monitor not in names:
        raise ValueError(f"fit can monitor {', '.join(names)}, not {monitor!r}")
    state = start(optimizer, params, key) if resume is None else resumed(resume)
    records, top = _past(resume, names, monitor, epochs) if isinstance(resume, Fit) else ([], None)
    since = state.epoch  # patience counts from here, if there is no best epoch before
    run = train(net, loss, optimizer, params, batches, key=key, epochs=epochs, penalties=penalties, resume=state)
    mean = Mean(state)
    done = state, len(records), top  # what is whole: Ctrl-C may come at any moment
    stopped = "epochs"
    try:
        with Progress(total and total * epochs, "step", progress, done=state.step) as line:
            for state in run:
                line.advance(
                    1, f"epoch {state.epoch + bool(state.batch)}/{epochs}  loss {state.loss:.4g}" + _told(records)
                )
                mean_loss = mean.with_step(state)
                if mean_loss is None:
                    done = state, len(records), top
                    continue
                record = {"loss": mean_loss}
                if validation is not None:
                    record |= _validated(evaluate(net, loss, state.params, validation, metrics))
                records.append(record)
                top = _better(top, monitor, best, record[monitor], state)
                done = state, len(records), top
                stop = [callback(state, record) for callback in callbacks]
                if any(answer is True for answer in stop):
                    stopped = "callback"
                    break
                if patience is not None and state.epoch - (since if top is None else top.epoch) >= patience:
                    stopped = "patience"
                    break
    except KeyboardInterrupt:
        stopped = "interrupted"
    state, complete, top = done
    history = {name: np.array([record[name] for record in records[:complete]]) for name in names if complete}
    kept = state.params if patience is None or top is None else top.params
    return Fit(kept, state, history, stopped, top)


def _batches(data: Any, size: int) -> tuple[Any, int | None]:
    """What `train` takes for data, and how many batches an epoch has, if that is known."""
    check_batches(data, "fit", arrays=True)
    if not isinstance(data, tuple):
        return data, None
    return lambda key: cut(key, *data, size=size), -(-count(parts(data), "fit") // size)


def _validated(measured: dict[str, Any]) -> dict[str, Any]:
    return {f"validation_{name}": value for name, value in measured.items()}


def _better(top: Best[P] | None, monitor: str, best: str, value: Any, state: State[P]) -> Best[P] | None:
    """The best epoch so far, after one in which the number to make low or high is this. NaN is no better."""
    sign = 1 if best == "lowest" else -1
    beaten = sign * value < (math.inf if top is None else sign * top.value)
    return Best(monitor, value, state.epoch, state.params) if beaten else top


def _past(run: Fit[P], names: list[str], monitor: str, epochs: int) -> tuple[list[dict[str, Any]], Best[P] | None]:
    """The records of a run to go on with, and its best epoch, if the same number is monitored."""
    if run.state.epoch >= epochs:
        raise ValueError(
            f"the run to resume has {run.state.epoch} epochs, and `epochs` counts them too: "
            f"write epochs={run.state.epoch + epochs} for {epochs} more"
        )
    if run.history and sorted(run.history) != sorted(names):
        raise ValueError(
            f"the run to resume has a history of {', '.join(run.history)}, and this one would have {', '.join(names)}: "
            "use the same validation and metrics, or begin a new history with resume=run.state"
        )
    records = [dict(zip(run.history, row, strict=True)) for row in zip(*run.history.values(), strict=True)]
    return records, run.best if run.best is not None and run.best.monitor == monitor else None


def _check_options(epochs: Any, batch_size: Any, patience: Any, best: Any, callbacks: Sequence[Any]) -> None:
    for name, number in (("epochs", epochs), ("batch_size", batch_size)):
        if not is_integer(number) or number < 1:
            raise ValueError(f"fit takes {name}, a positive integer, not {number!r}")
    if patience is not None and (not is_integer(patience) or patience < 1):
        raise ValueError(f"fit takes patience, a positive integer of epochs, not {patience!r}")
    if best not in ("lowest", "highest"):
        raise ValueError(f"fit takes best 'lowest' or 'highest', not {best!r}")
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"fit takes callbacks, functions of (state, record), not {describe(callback)}")


def _check_validation(validation: Any, epochs: int) -> None:
    if validation is None:
        return
    if not isinstance(validation, Iterable):
        raise TypeError(
            f"fit takes validation data (x, target), not {describe(validation)}: to hold out a fifth, "
            "write train, test = pn.data.split(key, x, target, test=0.2)"
        )
    check_batches(validation, "fit's validation", arrays=True)
    if isinstance(validation, Iterator) and epochs > 1:
        raise ValueError(
            f"fit validates after each of {epochs} epochs, but the validation data are an iterator, which is used up "
            "after one: give arrays, or a list of batches"
        )


def _told(records: list[dict[str, Any]]) -> str:
    """The numbers of the last epoch, for the progress line."""
    told = {name: value for name, value in records[-1].items() if name != "loss"} if records else {}
    return "".join(f"  {name} {value:.4g}" for name, value in told.items() if isinstance(value, float))
