"""A run under JAX whose data are arrays: an epoch in one program, and many short epochs too.

The data lie on the device. The order of the examples is that of a run on NumPy with the same key. What layers draw
comes from keys of JAX, so a dropout mask is another one than there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from purenet import random, tree
from purenet.training.runs import State, Stretch
from purenet.training.steps import JaxStepper, jax_key, jax_keys

LONGEST = 512  # steps in one program: between two of them Ctrl-C is heard and the progress line moves


class ArrayRun:
    """A run on `(x, target)`, arrays of JAX of which `size` examples are a batch.

    `by_epoch` says that somebody looks at the state after each epoch: then no program goes over its end.
    """

    def __init__(self, stepper: JaxStepper, data: Any, size: int, by_epoch: bool) -> None:
        self.stepper, self.programs, self.data, self.size = stepper, stepper.programs, data, size
        self.by_epoch = by_epoch
        self.examples = int(tree.leaves(data)[0].shape[0])
        self.whole, rest = divmod(self.examples, size)
        self.batches = self.whole + bool(rest)

    def stretches(self, state: State[Any], epochs: int) -> Iterator[Stretch]:
        """The run from a state to so many epochs, a program at a time."""
        while state.epoch < epochs:
            short = not self.by_epoch and not state.batch and self.batches == self.whole
            span = min(epochs - state.epoch, LONGEST // self.whole) if short else 1
            for stretch in self._epochs(state, span) if span > 1 else self._epoch(state):
                state = stretch.state
                yield stretch

    def _epochs(self, state: State[Any], span: int) -> Iterator[Stretch]:
        """Several epochs in one program."""
        key, orders, chains = state.key, [], []
        for _ in range(span):
            order, chain, key = self._drawn(key)
            orders.append(order)
            chains.append(chain)
        keys = None if key is None else jax_keys(chains)
        places = np.reshape(orders, (span, self.whole, self.size))
        run = state.params, state.optimizer_state
        run, (place, params), Es = self.programs.epochs(run, self.data, places, (keys, np.arange(self.whole)))
        losses = np.asarray(Es, np.float64).ravel().tolist()
        if all(map(math.isfinite, losses)):
            at = state.step + len(losses), state.epoch + span, 0
            yield Stretch(State(run[0], run[1], key, *at, losses[-1], 0.0), losses, (int(place), params))
        else:
            yield from self._epoch(state)  # one by one, to find the step

    def _epoch(self, state: State[Any]) -> Iterator[Stretch]:
        """What is left of an epoch: a program for each few hundred steps, and one for a last batch that is smaller."""
        order, chain, following = self._drawn(state.key)
        key = jax_key(chain)
        cut = self.whole * self.size
        whole = np.reshape(order[:cut], (self.whole, self.size))[state.batch :]
        parts = np.array_split(whole, -(-len(whole) // LONGEST)) if len(whole) else []
        for places in [*parts, *([order[None, cut:]] if self.batches > self.whole else [])]:
            drawn = key, state.batch + np.arange(len(places))
            run, Es = self.programs.many((state.params, state.optimizer_state), self.data, places, drawn)
            losses = np.asarray(Es, np.float64).tolist()
            if not all(map(math.isfinite, losses)):
                self._fail(state, places, key)
            batch, step = state.batch + len(losses), state.step + len(losses)
            if batch < self.batches:
                at, total = (state.key, step, state.epoch, batch), state.total + math.fsum(losses)
            else:
                at, total = (following, step, state.epoch + 1, 0), 0.0
            state = State(run[0], run[1], *at, losses[-1], total)
            yield Stretch(state, losses)

    def _drawn(self, key: Any) -> tuple[Any, Any, Any]:
        """The order of an epoch, the key of what is drawn in it, and the key of the next epoch."""
        if key is None:
            return np.arange(self.examples), None, None
        order_key, chain, following = random.split(key, 3)
        return np.asarray(random.permutation(order_key, self.examples)), chain, following

    def _fail(self, state: State[Any], places: Any, key: Any) -> None:
        """Take the steps once more, one by one: the one whose loss is not finite gives its error."""
        for place in places:
            x, target = tree.map(lambda leaf: leaf[place], self.data)  # noqa: B023 (used at once)
            E, params, kept = self.stepper.step(state, x, target, (key, state.batch))
            state = State(params, kept, state.key, state.step + 1, state.epoch, state.batch + 1, E, state.total + E)
