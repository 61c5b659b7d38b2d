"""Where the time of a step goes, layer by layer, and how many examples a second a run takes."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

from purenet import tree
from purenet.core import Layer, Loss, Optimizer
from purenet.data.arrays import check_positive, count, parts
from purenet.engine.arrays import describe, to_numpy, wait_for
from purenet.engine.jax import host_only
from purenet.introspection import in_bytes, in_columns, remade, title_of
from purenet.random import Key
from purenet.random import key as key_of
from purenet.training.fitting import fit
from purenet.training.gradient import value_and_grad
from purenet.training.steps import Engine
from purenet.values import Text, brief, hinted, known_as, maker_of

P = TypeVar("P")
T = TypeVar("T")


class LayerCost(NamedTuple):
    """What one layer of a net costs in a step. A composed layer's numbers hold those of the layers inside.

    Fields:
        path: where it stands, as `introspection.watch` tells it: "net[0]".
        name: of the layer.
        forward, backward: seconds, medians.
        share: of the time of the whole net.
        operations: of its matrix products, forward and back, where a multiplication and an addition are two; None of a
            layer that has no such products, or of which they are not known.
        kept: bytes that its forward pass leaves behind for the backward pass, its output among them; None where it is
            not NumPy that computes.
    """

    path: str
    name: str
    forward: float
    backward: float
    share: float
    operations: int | None
    kept: int | None


class Profile(NamedTuple):
    """What `profile` gives; `print` shows it as a table.

    Fields:
        rows: a `LayerCost` for each layer, in the order of the net; the first is the net itself.
        step: seconds of a call of `value_and_grad`'s function, the median: with the loss, without clocks inside.
    """

    rows: tuple[LayerCost, ...]
    step: float

    def __str__(self) -> str:
        lines = [("layer", "forward ms", "backward ms", "share", "operations", "GFLOP/s", "kept")]
        for row in self.rows:
            took = max(row.forward + row.backward, 1e-9)
            works = "" if row.operations is None else f"{row.operations:,}"
            rate = "" if row.operations is None else f"{row.operations / took / 1e9:.3g}"
            lines.append((
                "  " * row.path.count("[") + brief(row.name), f"{row.forward * 1e3:.3f}", f"{row.backward * 1e3:.3f}",
                f"{row.share:.1%}", works, rate, "" if row.kept is None else in_bytes(row.kept),
            ))  # fmt: skip
        return "\n".join([*in_columns(lines), f"a step, with the loss and without clocks: {self.step * 1e3:.3f} ms"])

    def _repr_html_(self) -> str:
        return Text(self)._repr_html_()


class Throughput(NamedTuple):
    """What `throughput` gives: examples a second, the median of the epochs and the quartiles around it."""

    median: float
    low: float
    high: float
    epochs: int
    examples: int
    batch_size: int

    def __str__(self) -> str:
        return (
            f"{self.median:,.0f} examples a second (quartiles {self.low:,.0f} and {self.high:,.0f}; "
            f"{self.epochs} epochs of {self.examples:,} examples in batches of {self.batch_size})"
        )


@hinted
def profile(
    net: Layer[P], loss: Loss, params: P, x: Any, target: Any, key: Key | None = None, *, rounds: int = 20
) -> Profile:
    """Where the time of a training step goes: forward and backward pass of each layer, medians of so many rounds.

    Each layer looks at the clock, which costs some microseconds a layer; the net is else as it stands. dE/dX of the net
    is not computed, as in a step. With JAX it runs op by op, which is not what a compiled step takes.

    Args:
        net, loss, params, x, target, key: as `value_and_grad` and its function take them.
        rounds: how often it is timed. One round more goes before, in which memory is measured.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(pn.dense(4, 8), pn.tanh, pn.dense(8, 1))
    >>> x, target = np.zeros((32, 4), np.float32), np.zeros((32, 1), np.float32)
    >>> found = pn.profile(net, pn.mse, net.init(pn.key(0)), x, target)
    >>> [(row.path, row.name, row.operations) for row in found.rows[1:]]
    [('net[0]', 'dense(4, 8)', 4096), ('net[1]', 'tanh', None), ('net[2]', 'dense(8, 1)', 1536)]
    """
    host_only("profile")
    _check_layer("profile", net)
    check_positive("profile", rounds=rounds)
    whole = value_and_grad(net, loss)
    whole(params, x, target, key)  # what is wrong with the arguments is said as in a step
    notes: list[_Note] = []
    noted = _noted(net, notes, "net")

    def step() -> None:
        y, pullback = noted.vjp(params, x, key)
        pullback(loss.vjp(y, target)[1](), wrt_x=False)
        for note in notes:
            note.end_round()

    if all(to_numpy(leaf) is leaf for leaf in tree.leaves((params, x))):
        _while_traced(step)
    else:
        step()
    times = []
    for _ in range(rounds):
        step()
        times.append(_timed(lambda: whole(params, x, target, key))[1])
    rows = [note.row() for note in notes]
    return Profile(tuple(_beside(row, rows) for row in rows), median(times))


@hinted
def throughput(
    net: Layer[P],
    loss: Loss,
    optimizer: Optimizer[Any, Any],
    params: P,
    data: Any,
    batch_size: int = 32,
    *,
    key: Key | None = None,
    epochs: int = 7,
    engine: Engine | None = None,
    device: Any = None,
) -> Throughput:
    """How many examples a second `fit` trains on: the median of so many epochs, after one in which it warms up.

    Args:
        net, loss, optimizer, params, data, batch_size, engine, device: as `fit` takes them, data as arrays.
        key: for the order of the examples, and for dropout; by default `key(0)`.

    >>> import numpy as np, purenet as pn
    >>> net, data = pn.dense(2, 1), (np.zeros((64, 2), np.float32), np.zeros((64, 1), np.float32))
    >>> found = pn.throughput(net, pn.mse, pn.sgd(0.1), net.init(pn.key(0)), data, epochs=3)
    >>> 0 < found.low <= found.median <= found.high
    True
    """
    _check_layer("throughput", net)
    check_positive("throughput", epochs=epochs)
    if not isinstance(data, tuple):
        raise TypeError(f"throughput takes data, a tuple of arrays (x, target), not {describe(data)}")
    ends: list[float] = []

    def note(state: Any, record: Any) -> None:
        for leaf in tree.leaves(state.params):
            wait_for(leaf)
        ends.append(perf_counter())

    fit(
        net, loss, optimizer, params, data, key=key_of(0) if key is None else key, epochs=epochs + 1,
        batch_size=batch_size, callbacks=[note], progress=False, engine=engine, device=device,
    )  # fmt: skip
    examples = count(parts(data), "throughput")
    rates = [examples / max(end - begin, 1e-9) for begin, end in pairwise(ends)]
    low, middle, high = quantiles(rates, n=4, method="inclusive") if epochs > 1 else rates * 3
    return Throughput(middle, low, high, epochs, examples, batch_size)


class _Note:
    """What is noted of one layer: in the round under way, and the times of each round; memory in the first alone."""

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = path, name
        self.forward = self.backward = 0.0
        self.operations: int | None = None
        self.kept: int | None = None
        self.rounds: list[tuple[float, float, int | None]] = []

    def end_round(self) -> None:
        self.rounds.append((self.forward, self.backward, self.operations))
        self.forward, self.backward, self.operations = 0.0, 0.0, None

    def row(self) -> LayerCost:
        forward, backward, operations = zip(*self.rounds[1:], strict=True)
        return LayerCost(self.path, self.name, median(forward), median(backward), 1.0, operations[0], self.kept)


def _beside(row: LayerCost, rows: list[LayerCost]) -> LayerCost:
    """The row with its share of the net's time, and the operations of the layers inside."""
    known = [r.operations for r in rows if r.path.startswith(row.path) and r.operations is not None]
    share = (row.forward + row.backward) / max(rows[0].forward + rows[0].backward, 1e-9)
    return row._replace(share=share, operations=sum(known) if known else None)


def _noted(layer: Layer[Any], notes: list[_Note], path: str) -> Layer[Any]:
    """The layer, made of parts that note what their rules take."""
    note = _Note(path, title_of(layer))
    notes.append(note)
    inner = remade(layer, lambda i, part: _noted(part, notes, f"{path}[{i}]"))

    def vjp(params: Any, x: Any, key: Key | None = None) -> Any:
        before = _traced()
        (y, pullback), seconds = _timed(lambda: inner.vjp(params, x, key), lambda found: found[0])
        note.forward += seconds
        if before is not None:
            note.kept = (note.kept or 0) + max(0, (_traced() or 0) - before)

        def noted_pullback(dy: Any, wrt_x: bool = True) -> Any:
            found, seconds = _timed(lambda: pullback(dy, wrt_x))
            note.backward += seconds
            forward = _products(maker_of(layer), params, x, y)
            if forward:
                note.operations = (note.operations or 0) + forward * (3 if wrt_x else 2)
            return found

        return y, known_as("pullback", noted_pullback)

    return inner._replace(vjp=vjp)


def _products(maker: str, params: Any, x: Any, y: Any) -> int:
    """The operations of the matrix products of a layer's forward pass: each of its matrices meets each position."""
    inputs, outputs = tree.leaves(x), tree.leaves(y)
    if maker in ("dense", "binary_dense", "conv", "multi_head_attention"):
        positions = math.prod(outputs[0].shape[:-1])
    elif maker in ("rnn", "lstm", "gru", "conv_transpose"):
        positions = math.prod(inputs[0].shape[:-1])
    else:
        return 0
    found: int = 2 * positions * sum(math.prod(leaf.shape) for leaf in tree.leaves(params) if leaf.ndim > 1)
    if maker == "multi_head_attention":  # the scores, and the sums that they weight
        other = next((each for each in inputs[1:] if each.ndim == 3), inputs[0])
        found += 4 * positions * other.shape[1] * params.query.weight.shape[1]
    return found


def _timed(f: Callable[[], T], result: Callable[[T], Any] = lambda found: found) -> tuple[T, float]:
    """What f gives, and the seconds until its result is there."""
    begin = perf_counter()
    found = f()
    for leaf in tree.leaves(result(found)):
        wait_for(leaf)
    return found, perf_counter() - begin


def _while_traced(step: Callable[[], None]) -> None:
    was_traced = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        step()
    finally:
        if not was_traced:
            tracemalloc.stop()


def _traced() -> int | None:
    return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None


def _check_layer(who: str, net: Any) -> None:
    if not isinstance(net, Layer):
        raise TypeError(f"{who} takes a layer, not {describe(net)}")
