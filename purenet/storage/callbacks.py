"""Callbacks of `fit` that write files: functions of (state, record), called after each epoch."""

from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Callable
from typing import Any, Literal

from purenet.engine.arrays import describe, to_numpy
from purenet.metrics import best_when
from purenet.storage.checkpoint import save
from purenet.storage.files import Path
from purenet.training.runs import State
from purenet.values import hinted, known_as

Callback = Callable[[State[Any], dict[str, Any]], None]


@hinted
def csv_log(path: Path) -> Callback:
    """A callback that writes the numbers of each epoch into a file as a line: epoch, step, loss and so on.

    The first epoch begins the file anew; later ones, of a run that is resumed too, are added to it. It is whole after
    each epoch.

    >>> import tempfile, numpy as np, purenet as pn
    >>> path, x = tempfile.mkdtemp() + "/log.csv", np.ones((4, 1), np.float32)
    >>> net = pn.dense(1, 1)
    >>> run = {"key": pn.key(1), "epochs": 2, "callbacks": [pn.csv_log(path)]}
    >>> found = pn.fit(net, pn.mse, pn.sgd(0.1), net.init(pn.key(0)), (x, x), **run)
    >>> np.loadtxt(path, delimiter=",", skiprows=1, usecols=(0, 1))
    array([[1., 1.],
           [2., 2.]])
    """
    path = os.fspath(path)

    def log(state: State[Any], record: dict[str, Any]) -> None:
        begins = state.epoch == 1 or not os.path.exists(path)
        with open(path, "w" if begins else "a", newline="", encoding="utf-8") as file:
            row = {"epoch": state.epoch, "step": state.step, **record}
            writer = csv.DictWriter(file, row)
            if begins:
                writer.writeheader()
            writer.writerow(row)

    return known_as("csv_log(path)", log)


@hinted
def log_to(tracker: Any) -> Callback:
    """A callback that hands the numbers of each epoch to a tracker of experiments, with the epoch as the step.

    The tracker has one of three functions, the first of which is taken: `log_metrics(numbers, step=)`, as MLflow has;
    `add_scalar(name, number, step)`, as TensorBoard's SummaryWriter; `log(numbers, step=)`, as Weights & Biases and
    Trackio have. What is no single number in the record is left out. To close the tracker is yours.

    >>> import numpy as np, purenet as pn
    >>> class Tracker:
    ...     def log(self, numbers, step):
    ...         print(step, sorted(numbers))
    >>> net, x = pn.dense(1, 1), np.ones((4, 1), np.float32)
    >>> run = {"key": pn.key(1), "epochs": 2, "callbacks": [pn.log_to(Tracker())]}
    >>> found = pn.fit(net, pn.mse, pn.sgd(0.1), net.init(pn.key(0)), (x, x), **run)
    1 ['learning_rate', 'loss']
    2 ['learning_rate', 'loss']
    """
    ways = [name for name in ("log_metrics", "add_scalar", "log") if callable(getattr(tracker, name, None))]
    if not ways or isinstance(tracker, logging.Logger):
        raise TypeError(
            "log_to takes a tracker with log(numbers, step=), log_metrics(numbers, step=) or add_scalar(name, number, "
            f"step), such as a run of wandb or a SummaryWriter, not {describe(tracker)}"
        )

    def hand_on(state: State[Any], record: dict[str, Any]) -> None:
        numbers = {name: float(value) for name, value in record.items() if _is_number(value)}
        if ways[0] != "add_scalar":
            getattr(tracker, ways[0])(numbers, step=state.epoch)
            return
        for name, number in numbers.items():
            tracker.add_scalar(name, number, state.epoch)

    return known_as("log_to(tracker)", hand_on)


@hinted
def checkpoint_best(
    path: Path, monitor: str | None = None, best: Literal["lowest", "highest"] | None = None
) -> Callback:
    """A callback that saves the params after each epoch that is the best so far: `load(path, like=params)` reads them.

    `monitor` is a number of the record, by default `validation_loss`, or `loss` without validation; `best` says whether
    it is best when "lowest" or when "highest", with the default of `fit`. What is best is told among the epochs that
    this callback has seen. For whole states, see `checkpoints`.

    >>> import tempfile, numpy as np, purenet as pn
    >>> path, x = tempfile.mkdtemp() + "/best.npz", np.ones((4, 1), np.float32)
    >>> net = pn.dense(1, 1)
    >>> run = {"key": pn.key(1), "epochs": 2, "callbacks": [pn.checkpoint_best(path)]}
    >>> found = pn.fit(net, pn.mse, pn.sgd(0.1), net.init(pn.key(0)), (x, x), **run)
    >>> pn.tree.allclose(pn.load(path, like=found.params), found.best.params, 0)
    True
    """
    if best not in (None, "lowest", "highest"):
        raise ValueError(f"checkpoint_best takes best 'lowest' or 'highest', not {best!r}")
    least = math.inf

    def save_best(state: State[Any], record: dict[str, Any]) -> None:
        nonlocal least
        name = monitor or ("validation_loss" if "validation_loss" in record else "loss")
        if name not in record:
            raise ValueError(f"checkpoint_best can monitor {', '.join(record)}, not {name!r}")
        value = record[name] if (best or best_when(name)) == "lowest" else -record[name]
        if value < least:  # NaN is no better
            save(path, state.params)
            least = value

    return known_as("checkpoint_best(path)", save_best)


def _is_number(value: Any) -> bool:
    number = to_numpy(value)
    return number.ndim == 0 and number.dtype.kind in "biuf"
