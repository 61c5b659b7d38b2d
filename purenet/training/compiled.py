"""Training under JAX, compiled: a step, the steps of an epoch in one `scan`, and many short epochs in one program.

The rules and the optimizer are traced once; what runs then is one program on the device, with the data beside it. The
order of the examples is that of a run on NumPy with the same key. What layers draw comes from keys of JAX, so a dropout
mask is another one than there.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from purenet import random, tree
from purenet.core import Layer, Loss, Optimizer
from purenet.random import Key
from purenet.training.gradient import value_and_grad
from purenet.training.penalties import Penalty
from purenet.training.runs import NotFiniteError, State, not_finite

LONGEST = 512  # steps in one program: between two of them Ctrl-C is heard and the progress line moves


class Steps(NamedTuple):
    """Compiled functions of a run, which is (params, optimizer_state).

    Fields:
        one: `one(run, batch, (key, number)) -> (run, E)`: what layers draw comes from the key folded with the number.
        many: `many(run, data, places, (key, numbers)) -> (run, Es)`: step i takes the examples places[i] of the data.
        epochs: `epochs(run, best, data, places, (keys, numbers)) -> (run, best, Es)`: `many` for each epoch, and the
            best epoch, (its mean E, its place, its params), so far.
    """

    one: Callable[..., Any]
    many: Callable[..., Any]
    epochs: Callable[..., Any]


@lru_cache(32)
def compiled(net: Layer[Any], loss: Loss, optimizer: Optimizer[Any, Any], penalties: tuple[Penalty, ...]) -> Steps:
    jax = importlib.import_module("jax")
    evaluate = value_and_grad(net, loss, *penalties)

    def one(run: Any, batch: Any, drawn: Any) -> Any:
        params, optimizer_state = run
        key, number = drawn
        E, grads = evaluate(params, *batch, None if key is None else jax.random.fold_in(key, number))
        return optimizer.step(params, grads, optimizer_state), E

    def many(run: Any, data: Any, places: Any, drawn: Any) -> Any:
        key, numbers = drawn

        def each(run: Any, at: Any) -> Any:
            place, number = at
            return one(run, tree.map(lambda leaf: leaf[place], data), (key, number))

        return jax.lax.scan(each, run, (places, numbers))

    def epochs(run: Any, best: Any, data: Any, places: Any, drawn: Any) -> Any:
        keys, numbers = drawn

        def each(carry: Any, at: Any) -> Any:
            (run, best), (epoch, place, key) = carry, at
            run, Es = many(run, data, place, (key, numbers))
            found = Es.mean(), epoch, run[0]
            best = jax.lax.cond(found[0] < best[0], lambda: found, lambda: best)
            return (run, best), Es

        (run, best), Es = jax.lax.scan(each, (run, best), (np.arange(len(places)), places, keys))
        return run, best, Es

    return Steps(jax.jit(one), jax.jit(many), jax.jit(epochs))


def jax_key(key: Key | None) -> Any:
    """A key of JAX, the same for the same key of purenet; a key of JAX as it is."""
    if type(key) is not Key:
        return key
    words = np.random.SeedSequence(key.value).generate_state(2, np.uint32)
    return importlib.import_module("jax").random.wrap_key_data(words, impl="threefry2x32")


class Stretch(NamedTuple):
    """Some steps of a run: where it stands after them, their losses, and of several epochs the best one.

    Fields:
        best: (its mean loss, its number, its params).
    """

    state: State[Any]
    losses: list[float]
    best: tuple[float, int, Any] | None = None


class ArrayRun:
    """A run whose data are arrays of JAX, `(x, target)`, of which `size` examples are a batch.

    `by_epoch` says that somebody looks at the state after each epoch: then no program goes over its end.
    """

    def __init__(self, net: Layer[Any], loss: Loss, steps: Steps, data: Any, size: int, by_epoch: bool) -> None:
        self.net, self.loss, self.steps, self.data, self.size, self.by_epoch = net, loss, steps, data, size, by_epoch
        self.examples = int(tree.leaves(data)[0].shape[0])
        self.whole, rest = divmod(self.examples, size)
        self.batches = self.whole + bool(rest)

    def stretches(self, state: State[Any], epochs: int | None) -> Iterator[Stretch]:
        """The run from a state to so many epochs, a program at a time."""
        while epochs is None or state.epoch < epochs:
            short = not self.by_epoch and epochs is not None and not state.batch and self.batches == self.whole
            span = min(epochs - state.epoch, LONGEST // self.whole) if short and epochs else 1
            some = self._epochs(state, span) if span > 1 else self._pieces(state)
            for stretch in some:
                state = stretch.state
                yield stretch

    def _epochs(self, state: State[Any], span: int) -> Iterator[Stretch]:
        """Some epochs in one program."""
        jax = importlib.import_module("jax")
        key, orders, chains = state.key, [], []
        for _ in range(span):
            order, chain, key = self._drawn(key)
            orders.append(order)
            chains.append(jax_key(chain))
        keys = None if key is None else jax.numpy.stack(chains)
        places = np.reshape(orders, (span, self.whole, self.size))
        best = jax.numpy.float32(np.inf), 0, state.params
        run, best, Es = self.steps.epochs(
            (state.params, state.optimizer_state), best, self.data, places, (keys, np.arange(self.whole))
        )
        losses = np.asarray(Es, np.float64).ravel().tolist()
        if not all(map(math.isfinite, losses)):
            yield from self._pieces(state)  # epoch by epoch, to find the step
            return
        after = State(*run, key, state.step + len(losses), state.epoch + span, 0, losses[-1], 0.0)
        mean, place, params = best
        yield Stretch(after, losses, (float(mean), state.epoch + int(place) + 1, params))

    def _pieces(self, state: State[Any]) -> Iterator[Stretch]:
        """What is left of an epoch, a program for each few hundred steps, and one for a last smaller batch."""
        order, chain, following = self._drawn(state.key)
        key, cut = jax_key(chain), self.whole * self.size
        whole = np.reshape(order[:cut], (self.whole, self.size))
        pieces = -(-(self.whole - state.batch) // LONGEST)
        parts = np.array_split(whole[state.batch :], pieces) if pieces > 0 else []
        for places in [*parts, *([order[None, cut:]] if self.batches > self.whole else [])]:
            numbers = state.batch + np.arange(len(places))
            run, Es = self.steps.many((state.params, state.optimizer_state), self.data, places, (key, numbers))
            losses = np.asarray(Es, np.float64).tolist()
            if not all(map(math.isfinite, losses)):
                self._fail(state, places, key, losses)
            batch, step = state.batch + len(losses), state.step + len(losses)
            if batch < self.batches:
                total = state.total + math.fsum(losses)
                state = State(*run, state.key, step, state.epoch, batch, losses[-1], total)
            else:
                state = State(*run, following, step, state.epoch + 1, 0, losses[-1], 0.0)
            yield Stretch(state, losses)

    def _drawn(self, key: Any) -> tuple[Any, Any, Any]:
        """The order of an epoch, the key of what is drawn in it, and the key of the next."""
        if key is None:
            return np.arange(self.examples), None, None
        order_key, chain, following = random.split(key, 3)
        return np.asarray(random.permutation(order_key, self.examples)), chain, following

    def _fail(self, state: State[Any], places: Any, key: Any, losses: list[float]) -> None:
        """The error of a loss that is not finite, after the steps before it were taken once more, one by one."""
        first = next(i for i, E in enumerate(losses) if not math.isfinite(E))
        for i in range(first + 1):
            x, target = tree.map(lambda leaf: leaf[places[i]], self.data)  # noqa: B023 (used at once)
            drawn = key, np.asarray(state.batch)
            if i == first:
                raise not_finite(self.net, self.loss, losses[i], state, x, target, drawn)
            run, E = self.steps.one((state.params, state.optimizer_state), (x, target), drawn)
            total = state.total + float(E)
            state = State(*run, state.key, state.step + 1, state.epoch, state.batch + 1, float(E), total)
