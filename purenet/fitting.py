"""Training in one call, on top of the loop of `train`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np

from purenet import tree
from purenet.core import Layer, Loss, Optimizer
from purenet.data.arrays import batches as cut
from purenet.data.arrays import count
from purenet.progress import Progress
from purenet.random import Key
from purenet.tracing import host_only
from purenet.training import Metrics, State, evaluate, start, train

P = TypeVar("P")


class Fit(NamedTuple, Generic[P]):
    """What `fit` gives.

    Fields:
        params: the best ones if there was patience, else the last ones.
        state: the last state; `resume=state` goes on from there.
        history: an array for each number, with an entry for each epoch.
        stopped: why it stopped: "epochs", "patience", "callback" or "interrupted".
    """

    params: P
    state: State[P]
    history: dict[str, Any]
    stopped: str


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
    resume: State[P] | None = None,
    progress: bool | None = None,
) -> Fit[P]:
    """Train for some epochs in one call; `train` is the same with the loop in your hands.

    Ctrl-C ends it early, with what was trained so far.

    Args:
        data: arrays `(x, target)`, cut into batches in a new order for each epoch; for a net of several inputs,
            `(x1, x2, target)`; or batches, as `train` takes them.
        epochs: how many in all, those before `resume` among them.
        validation: data as `evaluate` takes it, for `validation_loss` and the metrics after each epoch.
        metrics: functions of (y, target), or a dict of them by name; `accuracy` is recorded as `validation_accuracy`.
        patience: stop after so many epochs in which `monitor` did not get better, and give the best params.
        monitor: what is watched, by default `validation_loss`, or `loss` if there is no validation.
        best: whether `monitor` is best when "lowest" or when "highest".
        callbacks: functions `(state, record)`, called after each epoch, with the numbers of that epoch; training stops
            after one that gives True.
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
    for name, number in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"fit takes {name}, a positive integer, not {number!r}")
    if metrics and validation is None:
        raise ValueError("fit takes metrics with validation data, which they are measured on")
    if patience is not None and (isinstance(patience, bool) or not isinstance(patience, int) or patience < 1):
        raise ValueError(f"fit takes patience, a positive integer of epochs, not {patience!r}")
    if best not in ("lowest", "highest"):
        raise ValueError(f"fit takes best 'lowest' or 'highest', not {best!r}")
    batches, total = data, None
    if isinstance(data, tuple) and all(hasattr(leaf, "shape") for leaf in tree.leaves(data)):
        arrays = data
        total = -(-count(arrays, "fit") // batch_size)
        batches = lambda key: cut(key, *arrays, size=batch_size)  # noqa: E731
    monitor = monitor or ("loss" if validation is None else "validation_loss")
    state = start(optimizer, params, key) if resume is None else resume
    run = train(net, loss, optimizer, params, batches, key=key, epochs=epochs, resume=state)
    records: list[dict[str, Any]] = []
    losses: list[float] = []
    top, since, top_params, stopped = math.inf, 0, state.params, "epochs"
    try:
        with Progress(total and total * epochs, "step", progress, done=state.step) as line:
            for state in run:
                losses.append(state.loss)
                line.advance(
                    1, f"epoch {state.epoch + bool(state.batch)}/{epochs}  loss {state.loss:.4g}" + _told(records)
                )
                if state.batch:
                    continue
                record: dict[str, Any] = {"loss": math.fsum(losses) / len(losses)}
                losses = []
                if validation is not None:
                    measured = evaluate(net, loss, state.params, validation, metrics)
                    record.update({f"validation_{name}": value for name, value in measured.items()})
                if monitor not in record:
                    raise ValueError(f"fit can monitor {', '.join(record)}, not {monitor!r}")
                records.append(record)
                height = record[monitor] if best == "lowest" else -record[monitor]
                since += 1
                if height < top:
                    top, since, top_params = height, 0, state.params
                stop = [callback(state, record) for callback in ([callbacks] if callable(callbacks) else callbacks)]
                if any(answer is True for answer in stop):
                    stopped = "callback"
                    break
                if patience is not None and since >= patience:
                    stopped = "patience"
                    break
    except KeyboardInterrupt:
        stopped = "interrupted"
    names = records[0] if records else ()
    history = {name: np.array([record[name] for record in records]) for name in names}
    kept = state.params if patience is None or not records else top_params
    return Fit(kept, state, history, stopped)


def _told(records: list[dict[str, Any]]) -> str:
    """The numbers of the last epoch, for the progress line."""
    told = {name: value for name, value in records[-1].items() if name != "loss"} if records else {}
    return "".join(f"  {name} {value:.4g}" for name, value in told.items() if isinstance(value, float))
