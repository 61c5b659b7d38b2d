"""JAX, which is imported by whoever hands its arrays in: its own forms of ops, and whether it traces a function now."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from purenet.engine.arrays import Array, check_dtype
from purenet.engine.jax_convolution import JaxConvolutionOps
from purenet.engine.ops import Ops


class JaxOps(JaxConvolutionOps, Ops):
    """JAX. Its arrays are never written to: what looks so in a rule makes another one."""

    ndarray: type[Any]

    def take_in(self, x: Array) -> Array:
        if not isinstance(x, self.ndarray):
            check_dtype(self.namespace, x.dtype)
        return self.asarray(x)

    def astype(self, x: Array, dtype: Any) -> Array:
        check_dtype(self.namespace, dtype)
        return super().astype(x, dtype)

    def fixed(self, params: Any) -> Any:
        return sys.modules["jax"].lax.stop_gradient(params)

    def squares(self, arrays: Sequence[Array]) -> tuple[Any, Any]:
        """By the squares themselves, if their sum has neither overflowed nor sunk towards 0."""
        wide = [self.wide(x) for x in arrays]
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


def namespace_of_jax() -> Any:
    """The module jax.numpy, of a JAX that is loaded."""
    return sys.modules["jax"].numpy


def traced(x: Any) -> bool:
    """Whether x stands for an array that JAX does not have yet."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(x, jax.core.Tracer)


def host_only(who: str, *arrays: Any) -> None:
    """An error if JAX traces now, or if one of the arrays is traced: for what needs numbers, files or a screen."""
    if compiling() or any(map(traced, arrays)):
        raise TypeError(
            f"{who} works with numbers that are known, and inside a function that JAX traces (jit, grad, vmap, scan) "
            "there are none yet: call it outside jit, on what the function returns"
        )
