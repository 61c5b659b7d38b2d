"""From a net to trained params: the gradient of a loss, the loop, and what the trained net gives.

for state in train(net, loss, optimizer, params, batches, key=key):   # you own the loop: break is early stopping
    if state.step % 100 == 0:
        print(state.epoch, state.loss)
params = state.params
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Literal, TypeVar

import numpy as np

from purenet import metrics as known_metrics
from purenet import tree
from purenet.core import Layer, Loss, Optimizer
from purenet.data.arrays import count, plain
from purenet.engine.arrays import describe, is_integer, is_writable, namespace
from purenet.engine.jax import host_only
from purenet.losses import reduction_of
from purenet.random import Key, split
from purenet.training.gradient import check_net_and_loss
from purenet.training.penalties import Penalty
from purenet.training.runs import Fit, Mean, State, Stretch, check_optimizer, check_order, check_params
from purenet.training.steps import Engine, Stepper, applied, mover_of_trees, stepper
from purenet.values import brief, hinted, shown

P = TypeVar("P")
Metric = Callable[[Any, Any], Any]
Metrics = Mapping[str, Metric] | Sequence[Metric] | Metric


@hinted
def start(optimizer: Optimizer[Any, Any], params: P, key: Key | None) -> State[P]:
    """The state of a run that has not begun."""
    check_optimizer(optimizer)
    check_params(params, "a run")
    return State(params, optimizer.init(params), key, 0, 0, 0, math.nan, 0.0)


@hinted
def train(
    net: Layer[P],
    loss: Loss,
    optimizer: Optimizer[Any, Any],
    params: P,
    batches: Callable[[Any], Iterable[Any]] | Iterable[Any],
    *,
    key: Key | None,
    epochs: int | None = None,
    each: Literal["step", "epoch"] = "step",
    penalties: Sequence[Penalty] | Penalty = (),
    resume: State[P] | Fit[P] | None = None,
    engine: Engine | None = None,
    device: Any = None,
) -> Iterator[State[P]]:
    """A training run as an iterator: its state after each step, or after each epoch with the mean loss of its steps.

    You own the loop: look at the state, save it, and `break` to stop. Without `epochs` it goes on for ever.

    Args:
        batches: a function of a key that gives the batches of one epoch, as in
            `lambda key: pn.data.batches(key, x, target, size=32)`; or anything to iterate over once for each epoch.
            An iterator is one epoch, and no more. A batch is `(x, target)`; of a longer tuple, the last is the target,
            so `((x1, x2), target)` and `(x1, x2, target)` are the same.
        key: everything random is drawn from it: the order, and what the layers draw. With None the layers are
            deterministic, as in inference: batch norm's running statistics do not move then.
        epochs: how many in all, those before `resume` among them.
        penalties: `l1` and `l2`, as further terms of the loss.
        resume: a state to go on from, in place of params and key; or what `fit` gave. The run ends with the same bits
            as one that did not stop; an iterator must begin where its epoch began.
        engine: "numpy", "jax" or "torch": where the run is computed; params, states and batches are moved there, as by
            `to_engine`. By default they stay what they are. With "jax" each step is compiled.
        device: of that engine, such as "cuda" or "gpu".

    Raises:
        NotFiniteError: the loss is NaN or infinite; says at which step, and in which layer first. Its `state` is the
            last one before.

    >>> import numpy as np, purenet as pn
    >>> x = np.array([[0.0], [1.0]], np.float32)
    >>> net = pn.dense(1, 1)
    >>> for state in pn.train(net, pn.mse, pn.sgd(0.5), net.init(pn.key(0)), [(x, 2 * x)], key=pn.key(1), epochs=100):
    ...     if state.loss < 0.001:
    ...         break
    >>> state.step
    19
    """
    host_only("train", *tree.leaves(params))
    check_net_and_loss(net, loss, "train")
    check_optimizer(optimizer)
    if each not in ("step", "epoch"):
        raise ValueError(f"train yields each 'step' or each 'epoch', not {each!r}")
    state = start(optimizer, params, key) if resume is None else resumed(resume)
    by = stepper(net, loss, optimizer, penalties, engine, device)
    state = by.moved(state)
    stretches = steps_by(by, batches, epochs, state)
    if each == "epoch":
        return _each_epoch(stretches, Mean(state))
    return (stretch.state for stretch in stretches)


def steps_by(by: Stepper, batches: Any, epochs: int | None, state: State[Any]) -> Iterator[Stretch]:
    """The steps of a run from a state on, each a stretch of its own."""
    if not callable(batches) and not isinstance(batches, Iterable):
        raise TypeError(
            f"train takes batches: something to iterate over, or a function of a key, not {describe(batches)}"
        )
    check_batches(batches, "train")
    if isinstance(batches, Iterator) and epochs is not None and epochs - state.epoch > 1:
        raise ValueError(
            f"train is to run for {epochs - state.epoch} epochs, but the batches are an iterator, which is used up "
            "after one: give a list of batches, or a function of a key that makes the iterator, "
            "as in lambda key: pn.data.batches(key, x, target, size=32)"
        )
    return _steps(by, batches, epochs, state)


def _steps(by: Stepper, batches: Any, epochs: int | None, state: State[Any]) -> Iterator[Stretch]:
    while epochs is None or state.epoch < epochs:
        order_key, step_key, next_key = (None,) * 3 if state.key is None else split(state.key, 3)
        source = iter(batches(order_key) if callable(batches) else batches)
        deque(islice(source, state.batch), maxlen=0)  # of a run that is resumed within an epoch
        keys = islice(by.keys(step_key), state.batch, None)
        batch = next(source, None)
        if batch is None:
            if source is batches and state.step:
                return  # an iterator has come to its end
            used_up = ": the iterator is used up" if source is batches else ""
            raise ValueError(f"train got no batch {state.batch + 1} in epoch {state.epoch + 1}{used_up}")
        while batch is not None:
            x, target = by.moved(pair(batch))
            E, params, optimizer_state = by.step(state, x, target, next(keys))
            batch = next(source, None)
            if batch is not None:
                at, total = (state.key, state.step + 1, state.epoch, state.batch + 1), state.total + E
            else:
                at, total = (next_key, state.step + 1, state.epoch + 1, 0), 0.0
            state = State(params, optimizer_state, *at, E, total)
            yield Stretch(state, [E])


def _each_epoch(stretches: Iterator[Stretch], mean: Mean) -> Iterator[State[Any]]:
    for stretch in stretches:
        for loss in mean.with_steps(stretch.state, stretch.losses):
            yield stretch.state._replace(loss=loss)


def pair(batch: Any) -> tuple[Any, Any]:
    """x and target of a batch."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        given = f"a tuple of {len(batch)}" if isinstance(batch, tuple) else describe(batch)
        raise TypeError(f"a batch is a tuple (x, target), not {given}")
    *inputs, target = batch
    return inputs[0] if len(inputs) == 1 else tuple(inputs), target


@hinted
def predict(
    net: Layer[P], params: P, x: Any, batch_size: int = 1024, *, engine: Engine | None = None, device: Any = None
) -> Any:
    """`net.apply(params, x)`, a batch at a time: beside the output, memory is needed for one batch only.

    x is an array, of any length and on disk too (`np.memmap`); a tuple of them for a net of several inputs; or
    anything that gives batches of x one after another. With an engine, params and batches are moved there.

    >>> import numpy as np, purenet as pn
    >>> predict(pn.tanh, (), np.zeros((3, 1)), batch_size=2).shape
    (3, 1)
    """
    check_order(params, x, "predict", "x")
    check_params(params, "predict")
    apply, moved = applied(net, engine), mover_of_trees(engine, device)
    params = moved(params)
    parts = (apply(params, moved(part)) for part in _parts(x, batch_size))
    first = next(parts, None)
    if first is None:
        raise ValueError("predict takes at least one batch")
    leaves = tree.leaves(x) if isinstance(x, tuple) or hasattr(x, "shape") else None
    if leaves is None or not is_writable(tree.leaves(first)[0]):
        columns = [first, *parts]
        return tree.map(lambda *ys: namespace(ys[0]).concat(ys) if len(ys) > 1 else ys[0], *columns)
    n = leaves[0].shape[0]
    y = tree.map(lambda part: np.empty((n, *part.shape[1:]), part.dtype), first)
    done = 0
    for part in chain([first], parts):
        size = min(batch_size, n - done)
        for whole, piece in zip(tree.leaves(y), tree.leaves(part), strict=True):
            if piece.shape[:1] != (size,):
                raise ValueError(
                    f"predict gave {brief(net.name)} {size} examples, the first axis of x, but got {describe(piece)}: "
                    "of one example, write x[None]"
                )
            whole[done : done + size] = piece
        done += size
    return y


@hinted
def evaluate(
    net: Layer[P],
    loss: Loss,
    params: P,
    data: Any,
    metrics: Metrics = (),
    batch_size: int = 1024,
    *,
    engine: Engine | None = None,
    device: Any = None,
) -> dict[str, float]:
    """The loss and the metrics of a net on data that it does not train on, a batch at a time.

    The loss is that of all the data: of one that is a mean, or of your own, the mean over batches, weighted by their
    examples; of a sum the sum. Metrics are functions of (y, target), such as those of `pn.metrics`, and see all outputs
    at once, so these are kept (but not the inputs).

    Args:
        data: `(x, target)`, arrays of any length and on disk too, or anything that gives such batches.
        metrics: a function, several, or a dict of functions by name.
        engine, device: where to compute, as in `train`.

    >>> import numpy as np, purenet as pn
    >>> evaluate(pn.identity, pn.mse, (), (np.ones((3, 1)), np.zeros((3, 1))), batch_size=2)
    {'loss': 1.0}
    """
    host_only("evaluate", *tree.leaves(params))
    check_net_and_loss(net, loss, "evaluate")
    check_order(params, data, "evaluate", "data")
    check_params(params, "evaluate")
    check_batches(data, "evaluate", arrays=True)
    named = by_name(metrics)
    apply, moved = applied(net, engine), mover_of_trees(engine, device)
    params = moved(params)
    losses, sizes, outputs = [], [], []
    for batch in _parts(data, batch_size):
        x, target = moved(pair(batch))
        y = apply(params, x)
        losses.append(float(loss.apply(y, target)))
        sizes.append(int(tree.leaves(target)[0].shape[0]))
        if named:
            outputs.append((y, target))
    n = sum(sizes)
    if n == 0:
        raise ValueError("evaluate takes at least one example")
    mean = sum(E * size for E, size in zip(losses, sizes, strict=True)) / n
    found = {"loss": sum(losses) if reduction_of(loss) == "sum" else mean}
    if named:
        y, target = tree.map(lambda *parts: namespace(parts[0]).concat(parts), *outputs)
        found.update({name: _as_float(metric(y, target)) for name, metric in named.items()})
    return found


def by_name(metrics: Metrics) -> dict[str, Metric]:
    """Metrics with their names."""
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    pairs = metrics.items() if isinstance(metrics, Mapping) else [(None, metric) for metric in metrics]
    named: dict[str, Metric] = {}
    for name, metric in pairs:
        if isinstance(metric, Loss):
            raise TypeError(
                f"a metric is a function of (y, target), but {metric.name} is a loss: "
                f'write metrics={{"{metric.name}": {metric.name}.apply}}'
            )
        if not callable(metric):
            known = isinstance(metric, str) and hasattr(known_metrics, metric)
            mend = f": write pn.metrics.{metric}" if known else ", such as pn.metrics.accuracy"
            raise TypeError(f"a metric is a function of (y, target), not {metric!r}{mend}")
        name = name or getattr(metric, "__name__", None)
        if name is None:
            raise TypeError(f"a metric that is {describe(metric)} has no name: write metrics={{'name': metric}}")
        if name in named:
            raise ValueError(f"two metrics are called {name!r}: write metrics={{'name': metric, ...}}")
        named[name] = metric
    return named


def resumed(run: Any) -> State[Any]:
    """The state to go on from."""
    state = run.state if isinstance(run, Fit) else run
    if not isinstance(state, State):
        mend = ": load it with like=pn.start(optimizer, params, key)" if isinstance(state, dict) else ""
        raise TypeError(f"resume takes a State, as train yields it, or a Fit, not {describe(state)}{mend}")
    return state


def check_batches(data: Any, who: str, arrays: bool = False) -> None:
    """Check that data are batches, and not arrays; or, where arrays are good too, that they are (x, target)."""
    write = "(x, target)" if arrays else "lambda key: pn.data.batches(key, x, target, size=32)"
    if hasattr(data, "shape"):
        itself = "; an autoencoder has (x, x)" if arrays else ""
        raise TypeError(f"{who} takes x and a target, not {describe(data)} alone: write {write}{itself}")
    if isinstance(data, list if arrays else list | tuple) and any(hasattr(part, "shape") for part in data):
        raise TypeError(f"{who} takes batches in {describe(data)}, not arrays: write {write}")


def _as_float(value: Any) -> Any:
    """A number as a Python float; a metric may give an array too."""
    return float(value) if np.ndim(value) == 0 else value


def _parts(data: Any, size: int) -> Iterator[Any]:
    """Slices of an array, or of the arrays in a tuple; or what an iterable gives."""
    if not is_integer(size) or size < 1:
        mend = ": several inputs stand in one tuple, write (a, b)" if getattr(size, "shape", ()) else ""
        raise ValueError(f"batch_size is a positive integer, not {shown(size)}{mend}")
    if not isinstance(data, tuple) and not hasattr(data, "shape"):
        return iter(data)
    n = count(tree.leaves(data), "a batch")
    views = tree.map(plain, data)
    return (tree.map(lambda leaf: leaf[start : start + size], views) for start in range(0, max(n, 1), size))  # noqa: B023 (used at once)
