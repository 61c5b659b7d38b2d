"""Who takes the steps of a run: the rules, one by one, or under JAX a program that was compiled from them."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from purenet import tree
from purenet.core import Layer, Loss, Optimizer
from purenet.engine.moving import mover
from purenet.introspection import first_not_finite
from purenet.random import Key, split
from purenet.training.gradient import NotFiniteError, value_and_grad
from purenet.training.penalties import Penalty
from purenet.training.runs import State

Engine: TypeAlias = Literal["numpy", "jax", "torch"]


class Stepper:
    """Takes the steps of a run, by the rules as they are. With a name of an engine all arrays are moved there."""

    def __init__(
        self,
        net: Layer[Any],
        loss: Loss,
        optimizer: Optimizer[Any, Any],
        penalties: tuple[Penalty, ...],
        move: Callable[[Any], Any],
    ) -> None:
        self.net, self.loss, self.optimizer, self.move = net, loss, optimizer, move
        self.evaluate = value_and_grad(net, loss, *penalties)

    def moved(self, given: Any) -> Any:
        """States or batches, where the run is."""
        return self.move(given)

    def keys(self, key: Key | None) -> Iterator[Any]:
        """A key for each step of an epoch, without end."""
        while key is not None:
            key, *keys = split(key, 65)  # many at a time cost a tenth
            yield from keys
        while True:
            yield None

    def step(self, state: State[Any], x: Any, target: Any, key: Any) -> tuple[float, Any, Any]:
        """E, the new params and the new state of the optimizer."""
        E, grads = self.evaluate(state.params, x, target, key)
        self.check(E, state, x, target, key)
        return float(E), *self.optimizer.step(state.params, grads, state.optimizer_state)

    def check(self, E: Any, state: State[Any], x: Any, target: Any, key: Any) -> None:
        """Check that the loss of the step after this state is finite."""
        if not math.isfinite(E):
            where = first_not_finite(self.net, state.params, x, target, key)
            at = f"step {state.step + 1}, epoch {state.epoch + 1}"
            raise NotFiniteError(f"{at}: {self.loss.name} is {float(E)}: {where}", state)


class JaxStepper(Stepper):
    """Takes them by a compiled program."""

    def __init__(self, net: Any, loss: Any, optimizer: Any, penalties: tuple[Penalty, ...], device: Any) -> None:
        super().__init__(net, loss, optimizer, penalties, mover_of_trees("jax", device))
        self.programs = programs(net, loss, optimizer, penalties)

    def moved(self, given: Any) -> Any:
        """The keys that an optimizer keeps become keys of JAX, too; that of the run orders examples, as elsewhere."""
        if not isinstance(given, State):
            return super().moved(given)
        kept = tree.map(jax_key, given.optimizer_state)
        return super().moved(given._replace(optimizer_state=kept))

    def keys(self, key: Any) -> Iterator[Any]:
        """The key of the epoch, with the number of the step."""
        key = jax_key(key)
        return ((key, n) for n in count())

    def check(self, E: Any, state: State[Any], x: Any, target: Any, key: Any) -> None:
        """On NumPy a loss says which values it does not take."""
        if not math.isfinite(E):
            y = self.net.apply(state.params, x, key)
            self.loss.apply(*tree.map(mover("numpy"), (y, target)))
        super().check(E, state, x, target, key)

    def step(self, state: State[Any], x: Any, target: Any, key: Any) -> tuple[float, Any, Any]:
        run, E = self.programs.one((state.params, state.optimizer_state), (x, target), key)
        if not math.isfinite(E):
            self.check(E, state, x, target, None if key[0] is None else jax().random.fold_in(*key))
        return float(E), *run


class Programs(NamedTuple):
    """Compiled functions of a run, which is (params, optimizer_state).

    Fields:
        one: `one(run, (x, target), (key, number)) -> (run, E)`: the step's own key is the key folded with the number.
        many: `many(run, data, places, (key, numbers)) -> (run, Es)`: step i takes the examples places[i] of the data.
        epochs: `epochs(run, data, places, (keys, numbers)) -> (run, (place, params), Es)`: `many` for each epoch; and
            the place of the epoch with the lowest mean, with the params after it.
    """

    one: Callable[..., Any]
    many: Callable[..., Any]
    epochs: Callable[..., Any]


@lru_cache(32)
def programs(net: Layer[Any], loss: Loss, optimizer: Optimizer[Any, Any], penalties: tuple[Penalty, ...]) -> Programs:
    """The programs of a run; equal calls share them, so nothing is compiled twice."""
    evaluate = value_and_grad(net, loss, *penalties)

    def one(run: Any, batch: Any, drawn: Any) -> Any:
        params, optimizer_state = run
        key, number = drawn
        E, grads = evaluate(params, *batch, None if key is None else jax().random.fold_in(key, number))
        return optimizer.step(params, grads, optimizer_state), E

    def many(run: Any, data: Any, places: Any, drawn: Any) -> Any:
        key, numbers = drawn

        def each(run: Any, at: Any) -> Any:
            place, number = at
            return one(run, tree.map(lambda leaf: leaf[place], data), (key, number))

        return jax().lax.scan(each, run, (places, numbers))

    def epochs(run: Any, data: Any, places: Any, drawn: Any) -> Any:
        keys, numbers = drawn

        def each(carry: Any, at: Any) -> Any:
            (run, best), (epoch, place, key) = carry, at
            run, Es = many(run, data, place, (key, numbers))
            found = Es.mean(), epoch, run[0]
            return (run, jax().lax.cond(found[0] < best[0], lambda: found, lambda: best)), Es

        best = jax().numpy.asarray(np.inf, tree.leaves(run)[0].dtype), 0, run[0]
        (run, best), Es = jax().lax.scan(each, (run, best), (np.arange(len(places)), places, keys))
        return run, best[1:], Es

    return Programs(compiled(one), compiled(many), compiled(epochs))


def compiled(f: Callable[..., Any]) -> Callable[..., Any]:
    """f as a program of JAX."""
    program, not_traceable = jax().jit(f), jax().errors.JAXTypeError

    def run(*given: Any) -> Any:
        try:
            return program(*given)
        except not_traceable as error:
            raise TypeError(
                "JAX cannot compile a function of yours that asks for the numbers of an array, or hands it to NumPy: "
                "call the array's own functions, those of x.__array_namespace__(), or leave out engine='jax'"
            ) from error

    return run


@lru_cache(32)
def applied(net: Layer[Any], engine: str | None) -> Callable[[Any, Any], Any]:
    """`net.apply`; under JAX, compiled."""
    return compiled(lambda params, x: net.apply(params, x)) if engine == "jax" else net.apply


def stepper(net: Any, loss: Any, optimizer: Any, penalties: Any, engine: str | None, device: Any) -> Stepper:
    """Who takes the steps of a run with this engine; with None the arrays stay where they are."""
    alone = isinstance(penalties, Penalty) or not isinstance(penalties, Iterable)
    penalties = (penalties,) if alone else tuple(penalties)
    if engine == "jax":
        return JaxStepper(net, loss, optimizer, penalties, device)
    return Stepper(net, loss, optimizer, penalties, mover_of_trees(engine, device))


def mover_of_trees(engine: str | None, device: Any) -> Callable[[Any], Any]:
    """The function that moves params, states or data there; they stay where they are if no engine is named."""
    if engine is not None:
        return partial(tree.map, mover(engine, device))
    if device is not None:
        raise ValueError(f"device={device!r} is one of an engine: write engine='torch' or engine='jax' too")
    return lambda given: given


def jax_key(key: Any) -> Any:
    """A key of JAX, the same for the same key of purenet; all else as it is."""
    return jax_keys([key])[0] if type(key) is Key else key


def jax_keys(keys: Sequence[Any]) -> Any:
    """The same of several keys, as one array."""
    if type(keys[0]) is not Key:
        return jax().numpy.stack(keys)
    words = [np.random.SeedSequence(key.value).generate_state(2, np.uint32) for key in keys]
    return jax().random.wrap_key_data(np.stack(words), impl="threefry2x32")


def jax() -> Any:
    """JAX, which is imported by whoever asks for it."""
    return importlib.import_module("jax")
