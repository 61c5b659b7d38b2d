"""Training in one call, on top of the loop of `train`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np

from purenet import tree
from purenet.core import Layer, Loss, Optimizer
from purenet.data.arrays import batches as cut
from purenet.data.arrays import check_positive, count, parts
from purenet.data.progress import Progress
from purenet.engine.arrays import describe
from purenet.engine.jax import host_only
from purenet.metrics import best_when
from purenet.optimizers.rates import rate_at
from purenet.random import Key
from purenet.training.compiled import ArrayRun
from purenet.training.gradient import check_net_and_loss
from purenet.training.loop import Metrics, by_name, check_batches, evaluate, pair, resumed, start, steps_by
from purenet.training.penalties import Penalty
from purenet.training.runs import Best, Fit, Mean, State, Stretch, check_optimizer, check_order
from purenet.training.steps import Engine, JaxStepper, Stepper, stepper
from purenet.values import hinted, shown

P = TypeVar("P")
RATE = "learning_rate"  # its name in a record


@hinted
def fit(
    net: Layer[P],
    loss: Loss,
    optimizer: Optimizer[Any, Any],
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
    best: Literal["lowest", "highest"] | None = None,
    callbacks: Sequence[Callable[[State[P], dict[str, Any]], Any]] = (),
    penalties: Sequence[Penalty] | Penalty = (),
    resume: State[P] | Fit[P] | None = None,
    progress: bool | None = None,
    engine: Engine | None = None,
    device: Any = None,
) -> Fit[P]:
    """Train for some epochs in one call; `train` is the same with the loop in your hands.

    Ctrl-C ends it early, with what was trained so far; with `resume` it goes on from there, and no number is missing.

    Args:
        data: arrays `(x, target)`, cut into batches in a new order for each epoch; for a net of several inputs,
            `((x1, x2), target)` or `(x1, x2, target)`; or batches, as `train` takes them.
        epochs: how many in all, those before `resume` among them.
        validation: data as `evaluate` takes it, for `validation_loss` and the metrics after each epoch.
        metrics: functions of (y, target), or a dict of them by name, recorded after each epoch: of the validation data
            as `validation_accuracy`, and as `accuracy` of the training data, by `evaluate`, as the net is then and
            without noise, so that the two compare. It takes a forward pass over them. Data that cannot be gone over
            again, a function of the key or an iterator, have the first alone.
        patience: stop after so many epochs in which `monitor` did not get better, and give the best params.
        monitor: what is watched, by default `validation_loss`, or `loss` if there is no validation.
        best: whether `monitor` is best when "lowest" or when "highest"; by default "highest" if its name ends in
            accuracy, precision, recall, f1, r2, auc or score, else "lowest".
        callbacks: functions `(state, record)`, called after each epoch, with the numbers of that epoch; training stops
            after one that gives True. What one adds to the record, as in `record["seconds"] = time.time()`, those
            after it see, and `history` has it, with NaN for epochs without.
        penalties: `l1` and `l2`, as further terms of the loss (but not of validation_loss).
        resume: what `fit` gave: it goes on with its params, its history, and its patience. Or a `State`, as `train`
            yields it, with a history that begins here.
        progress: whether to show how far it is; by default on a terminal only.
        engine: "numpy", "jax" or "torch": where it is computed; params, states and data are moved there, as by
            `to_engine`. By default they stay what they are. With "jax" the steps are compiled, and the data lie on the
            device: an epoch is one program, and where nobody looks at each, many short epochs are.
        device: of that engine, such as "cuda" or "gpu".

    >>> import numpy as np, purenet as pn
    >>> x = np.arange(4, dtype=np.float32)[:, None]
    >>> net = pn.dense(1, 1)
    >>> params, data = net.init(pn.key(0)), (x, 2 * x + 1)
    >>> found = pn.fit(net, pn.mse, pn.sgd(0.1), params, data, key=pn.key(1), epochs=50, batch_size=2)
    >>> found.stopped, found.history["loss"].shape, bool(found.history["loss"][-1] < 0.1)
    ('epochs', (50,), True)
    """
    host_only("fit", *tree.leaves(params))
    check_net_and_loss(net, loss, "fit")
    check_optimizer(optimizer)
    check_order(params, data, "fit", "data")
    named = by_name(metrics)
    callbacks = [callbacks] if callable(callbacks) else list(callbacks)
    _check_options(epochs, batch_size, patience, best, callbacks, progress)
    measured = _data_to_measure(data, validation, named)
    _check_validation(validation, epochs)
    names = ["loss", *(f"{of}{name}" for of in measured for name in ("loss", *named) if of or name != "loss")]
    monitor = monitor or ("loss" if validation is None else "validation_loss")
    if monitor not in names:
        raise ValueError(f"fit can monitor {', '.join(names)}, not {monitor!r}")
    best = best or best_when(monitor)

    def measure(params: P) -> dict[str, Any]:
        """The numbers after an epoch, by name; the loss of the training data is that of the steps."""
        found: dict[str, Any] = {}
        for of, given in measured.items():
            numbers = evaluate(net, loss, params, given, named, engine=engine, device=device)
            found |= {f"{of}{name}": value for name, value in numbers.items() if f"{of}{name}" != "loss"}
        return found

    by = stepper(net, loss, optimizer, penalties, engine, device)
    state = by.moved(start(optimizer, params, key) if resume is None else resumed(resume))
    past = _past(resume, names, monitor, epochs, bool(callbacks)) if isinstance(resume, Fit) else ([], None)
    told = _Told(state, monitor, best, optimizer.lr, *past)
    is_watched = bool(measured) or bool(callbacks) or patience is not None or best != "lowest"
    run, total = _run(by, data, batch_size, state, epochs, is_watched)
    try:
        with Progress(total and total * epochs, "step", progress, done=state.step) as line:
            line.advance(0, "compiling" if engine == "jax" else "")
            stopped = told.follow(run, line, epochs, measure, callbacks, patience)
    except KeyboardInterrupt:
        stopped = "interrupted"
    return told.fit(names, stopped, patience is not None)


def _data_to_measure(data: Any, validation: Any, named: dict[str, Any]) -> dict[str, Any]:
    """The data that are measured after each epoch, by what stands before the names of their numbers."""
    again = not callable(data) and not isinstance(data, Iterator)
    if named and validation is None and not again:
        raise ValueError("fit takes metrics with validation data, or with data that are arrays or a list of batches")
    if "loss" in named:
        raise ValueError("fit records the loss by that name: give the metric another one, metrics={'name': metric}")
    measured = {"": data} if named and again else {}
    return measured if validation is None else {**measured, "validation_": validation}


class _Told:
    """What a run has told so far: the numbers of each epoch, and the best one. `done` is whole at any moment at which
    Ctrl-C may come: the state, how many epochs have their numbers, and the best one."""

    def __init__(
        self, state: State[Any], monitor: str, best: str, lr: Any, records: list[dict[str, Any]], top: Best[Any] | None
    ) -> None:
        self.monitor, self.sign, self.lr = monitor, 1 if best == "lowest" else -1, lr
        self.records, self.mean, self.began = records, Mean(state), state.epoch
        self.done = state, len(records), top

    def follow(
        self,
        run: Iterator[Stretch],
        line: Progress,
        epochs: int,
        measure: Callable[[Any], dict[str, Any]],
        callbacks: Sequence[Callable[[State[Any], dict[str, Any]], Any]],
        patience: int | None,
    ) -> str:
        """Go through the run to its end, and say what ended it."""
        for stretch in run:
            line.advance(len(stretch.losses), self.line(stretch.state, epochs))
            record = self.add(stretch, {} if stretch.state.batch else measure(stretch.state.params))
            if record is None:
                continue
            answers = [callback(stretch.state, record) for callback in callbacks]
            if any(answer is True for answer in answers):
                return "callback"
            if patience is not None and self.epochs_since_best() >= patience:
                return "patience"
        return "epochs"

    def add(self, stretch: Stretch, measured: dict[str, Any]) -> dict[str, Any] | None:
        """The numbers of the epoch that a stretch ends with; None if it ends with none."""
        state, losses, best = stretch
        means, top = self.mean.with_steps(state, losses), self.done[2]
        if not means:
            self.done = state, len(self.records), top
            return None
        self.records += [{"loss": mean} for mean in means]
        self.records[-1] |= measured
        if self.lr is not None:
            steps = len(losses) // len(means)  # of each epoch, if there are several
            for i, record in enumerate(self.records[-len(means) :], 1):
                record.setdefault(RATE, float(rate_at(self.lr, state.step - (len(means) - i) * steps - 1)))
        place, params = best or (len(means) - 1, state.params)
        value = self.records[place - len(means)][self.monitor]
        if self.sign * value < (math.inf if top is None else self.sign * top.value):  # NaN is no better
            top = Best(self.monitor, value, state.epoch - len(means) + 1 + place, params)
        self.done = state, len(self.records), top
        return self.records[-1]

    def epochs_since_best(self) -> int:
        state, _, top = self.done
        return state.epoch - (self.began if top is None else top.epoch)

    def line(self, state: State[Any], epochs: int) -> str:
        """How far it is, and the numbers of the last epoch, for the progress line."""
        last = self.records[-1] if self.records else {}
        last = {name: value for name, value in last.items() if name not in ("loss", RATE)}
        numbers = "".join(f"  {name} {value:.4g}" for name, value in last.items() if isinstance(value, float))
        return f"epoch {state.epoch + bool(state.batch)}/{epochs}  loss {state.loss:.4g}{numbers}"

    def fit(self, names: list[str], stopped: str, wants_best: bool) -> Fit[Any]:
        state, complete, top = self.done
        records = self.records[:complete]
        added = dict.fromkeys(name for record in records for name in record if name not in names)
        history = {name: _column(name, records) for name in (*names, *added) if complete}
        return Fit(top.params if wants_best and top is not None else state.params, state, history, stopped, top)


def _column(name: str, records: list[dict[str, Any]]) -> Any:
    """An entry for each epoch: NaN where a callback added none."""
    like = next(record[name] for record in records if name in record)
    return np.array([record[name] if name in record else np.full(np.shape(like), math.nan) for record in records])


def _run(
    by: Stepper, data: Any, size: int, state: State[Any], epochs: int, is_watched: bool
) -> tuple[Iterator[Stretch], int | None]:
    """The run, and how many batches an epoch has, if that is known."""
    check_batches(data, "fit", arrays=True)
    if not isinstance(data, tuple):
        return steps_by(by, data, epochs, state), None
    examples = count(parts(data), "fit")
    if not examples:
        raise ValueError("fit takes at least one example")
    total = -(-examples // size)
    if isinstance(by, JaxStepper):
        return ArrayRun(by, by.moved(pair(data)), size, is_watched).stretches(state, epochs), total
    data = by.moved(data)
    return steps_by(by, lambda key: cut(key, *data, size=size), epochs, state), total


def _past(
    run: Fit[P], names: list[str], monitor: str, epochs: int, adds: bool
) -> tuple[list[dict[str, Any]], Best[P] | None]:
    """The records of a run to go on with, and its best epoch, if the same number is monitored."""
    if run.state.epoch >= epochs:
        raise ValueError(
            f"the run to resume has {run.state.epoch} epochs, and `epochs` counts them too: "
            f"write epochs={run.state.epoch + epochs} for {epochs} more"
        )
    own = {"loss", *names} if adds else run.history.keys() - {RATE}  # the rest is what callbacks added
    if run.history and sorted(run.history.keys() & own) != sorted(names):
        has = ", ".join(name for name in run.history if name in own)
        raise ValueError(
            f"the run to resume has a history of {has}, and this one would have {', '.join(names)}: "
            "use the same validation and metrics, or begin a new history with resume=run.state"
        )
    records = [dict(zip(run.history, row, strict=True)) for row in zip(*run.history.values(), strict=True)]
    return records, run.best if run.best is not None and run.best.monitor == monitor else None


def _check_options(
    epochs: Any, batch_size: Any, patience: Any, best: Any, callbacks: Sequence[Any], progress: Any
) -> None:
    check_positive("fit", epochs=epochs, batch_size=batch_size, patience=1 if patience is None else patience)
    if best not in (None, "lowest", "highest"):
        raise ValueError(f"fit takes best 'lowest' or 'highest', not {shown(best)}")
    if progress is not None and not isinstance(progress, bool):
        raise TypeError(
            f"fit takes progress, True or False, or None to show it on a terminal only, not {shown(progress)}: "
            "write callbacks=[...] for a function of (state, record) after each epoch"
        )
    for callback in callbacks:
        if not callable(callback):
            mend = ": write callbacks=[run.save]" if hasattr(callback, "save") else ""
            raise TypeError(f"fit takes callbacks, functions of (state, record), not {describe(callback)}{mend}")


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
