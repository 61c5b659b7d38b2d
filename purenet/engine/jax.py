"""JAX, which is imported by whoever hands its arrays in: its own forms of ops, and whether it traces a function now."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from purenet.engine.arrays import Array, NumpyArray, check_dtype, needed, plain, widened
from purenet.engine.jax_convolution import JaxConvolutionOps
from purenet.engine.ops import Ops


class JaxOps(JaxConvolutionOps, Ops):
    """JAX. Its arrays are never written to: what looks so in a rule makes another one."""

    ndarray: type[Any]

    def take_in(self, x: Array) -> Array:
        if not isinstance(x, self.ndarray):
            check_dtype(self.namespace, x.dtype)
        return self.asarray(plain(x))

    def astype(self, x: Array, dtype: Any) -> Array:
        check_dtype(self.namespace, dtype)
        return super().astype(x, dtype)

    def call(self, f: Callable[..., Any], x: Array) -> Array:
        try:
            return super().call(f, x)
        except sys.modules["jax"].errors.TracerArrayConversionError:
            raise TypeError(
                f"{getattr(f, '__name__', f)} calls NumPy with an array that JAX traces: "
                "call the array's own functions, those of x.__array_namespace__(), or jax.numpy's"
            ) from None

    def add_rows(self, ids: Array, rows: Array, count: int) -> Any:
        """As `jax.grad` of `take` has it."""
        total: Any = self.zeros_of((count, rows.shape[1]), rows)
        return total.at[ids].add(rows)

    def fixed(self, params: Any) -> Any:
        return sys.modules["jax"].lax.stop_gradient(params)

    def squares(self, arrays: Sequence[Array]) -> tuple[Any, Any]:
        """By the squares themselves, if their sum has neither overflowed nor sunk towards 0."""
        wide = [widened(x) for x in arrays]
        square = self.asarray(sum(map(self.sum_of_squares, wide)))
        usual = (square > 1e-31) & (square < self.inf)
        ways = lambda: (self.ones_like(square), square), lambda: super(JaxOps, self).squares(wide)
        if not traced(usual):
            return ways[0 if usual else 1]()
        found: tuple[Any, Any] = sys.modules["jax"].lax.cond(usual, *ways)
        return found

    def scan(
        self, f: Callable[..., Any], carry: Any, given: tuple[Any, ...], time: int, reverse: bool = False
    ) -> tuple[Any, Any]:
        """`lax.scan` compiles f once, and not once for each step."""
        found: tuple[Any, Any] = sys.modules["jax"].lax.scan(f, carry, given, length=time, reverse=reverse)
        return found

    def stack_steps(self, steps: Any, axis: int) -> Array:
        return self.moveaxis(steps, 0, axis)


def compiling() -> bool:
    """Whether JAX makes a program of what runs now, as under `jit` and `scan`: it runs once, the program often.

    (`grad` and `vmap` by themselves make no program: there the code runs at each call.)
    """
    jax = sys.modules.get("jax")
    if jax is None:
        return False
    nothing_traced = getattr(sys.modules.get("jax._src.core"), "trace_state_clean", None)
    if nothing_traced is not None and nothing_traced():  # not public: it is asked only because it is quick
        return False
    return isinstance(jax.numpy.zeros(()), jax.core.Tracer)


def random_of(key: Any, dtype: Any) -> Any:
    """The module jax.random, if this is a key of JAX, after a check that it draws this dtype; else None."""
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(key, jax.Array):
        return None
    check_dtype(jax.numpy, dtype)
    return jax.random


def kind_of_key(x: Any) -> str | None:
    """The name of the generator that a key as `jax.random.key` makes them is for; None for all else."""
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(x, jax.Array) or not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return None
    return str(jax.random.key_impl(x))


def words_of_key(key: Any) -> NumpyArray:
    """The numbers of a key as `jax.random.key` makes them."""
    return np.asarray(sys.modules["jax"].random.key_data(key))


def key_of_words(words: NumpyArray, kind: str) -> Any:
    """The key with these numbers, for the generator of this name."""
    jax = needed("jax", "a key of JAX needs the library: pip install 'purenet[jax]'")
    return jax.random.wrap_key_data(words, impl=kind)


def normal_quantile_of_jax(p: Any) -> Any:
    """The z below which the share p of the normal distribution lies."""
    return import_module("jax.scipy.special").ndtri(p)


def namespace_of_jax() -> Any:
    """The module jax.numpy, of a JAX that is loaded."""
    return sys.modules["jax"].numpy


def float64_hint() -> str:
    """What to do where JAX is loaded and has no float64, as it is set; else ""."""
    try:
        check_dtype(namespace_of_jax(), np.float64)
    except KeyError:  # it is not loaded
        pass
    except TypeError as error:
        return str(error)
    return ""


def traced(x: Any) -> bool:
    """Whether x stands for an array that JAX does not have yet."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(x, jax.core.Tracer)


class Registered(NamedTuple):
    """A container that JAX was told to take apart, such as a dataclass: its children, what leads to each, and its
    structure, which is equal for equal containers and makes another one of other children."""

    children: list[Any]
    steps: list[str]
    structure: Any


def registered(x: Any) -> Registered | None:
    """x taken apart by JAX, if that is loaded and has such a thing registered as a container; None of a leaf."""
    jax = sys.modules.get("jax")
    trees = getattr(jax, "tree_util", None)
    if trees is None or hasattr(x, "dtype") or trees.all_leaves([x]):
        return None
    found, structure = trees.tree_flatten_with_path(x, is_leaf=lambda child: child is not x)
    steps = [trees.keystr(step) for step, _ in found]
    steps = [f"[{i}]" if "<flat index" in step else step for i, step in enumerate(steps)]  # of one without names
    return Registered([child for _, child in found], steps, structure)


def host_only(who: str, *arrays: Any) -> None:
    """An error if JAX traces now, or if one of the arrays is traced: for what needs numbers, files or a screen."""
    if compiling() or any(map(traced, arrays)):
        raise TypeError(
            f"{who} works with numbers that are known, and inside a function that JAX traces (jit, grad, vmap, scan) "
            "there are none yet: call it outside jit, on what the function returns"
        )
