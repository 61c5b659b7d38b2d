"""From one engine to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from purenet.engine.arrays import (
    check_dtype,
    describe,
    holds_numbers,
    is_array,
    needed,
    seal,
    to_numpy,
    torch_namespace,
    write_as_integers,
)

ENGINES = ("numpy", "jax", "torch")


def mover(engine: str, device: Any = None) -> Callable[[Any], Any]:
    """The function that gives an array in an engine and on a device, with the same bits; what is none stays as it is.

    Raises:
        ValueError: there is no such engine, or no such device.
        ImportError: the engine is not installed.
    """
    if engine not in ENGINES:
        given = repr(engine) if isinstance(engine, str) else describe(engine)
        raise ValueError(f"an engine is one of {', '.join(map(repr, ENGINES))}, not {given}")
    if engine == "numpy" and device is not None:
        raise ValueError(f"NumPy computes on the CPU: leave out device={device!r}")
    move = {"numpy": _to_numpy, "jax": _to_jax, "torch": _to_torch}[engine](device)
    return lambda x: move(x) if is_array(x) and _holds_numbers(x) else x


def _holds_numbers(x: Any) -> bool:
    """Not so of JAX's keys."""
    return not str(x.dtype).startswith("key<")


def _unknown(engine: str, x: Any) -> TypeError:
    mend = "" if holds_numbers(x) else f": {write_as_integers(x, 'labels')}"
    return TypeError(f"{engine} has no arrays of {x.dtype.name}{mend}")


def _loaded(engine: str) -> Any:
    return needed(engine, f"the engine \"{engine}\" is not installed: pip install 'purenet[{engine}]'")


def _to_numpy(device: Any) -> Callable[[Any], Any]:
    return lambda x: seal(np.array(to_numpy(x)))


def _to_jax(device: Any) -> Callable[[Any], Any]:
    jax = _loaded("jax")
    if device is not None:
        try:
            if isinstance(device, str):
                kind, _, number = device.partition(":")
                device = jax.devices(kind)[int(number or 0)]
            jax.device_put(0, device)
        except (RuntimeError, IndexError, ValueError) as error:
            there = ", ".join(sorted({each.platform for each in jax.devices()}))
            raise ValueError(f"JAX has no device {device!r} here: there is {there}") from error

    def move(x: Any) -> Any:
        if not isinstance(x, jax.Array):
            x = to_numpy(x)
            check_dtype(jax.numpy, x.dtype)
            try:
                x = jax.numpy.array(x.astype(x.dtype.newbyteorder("=")))
            except TypeError:
                raise _unknown("JAX", x) from None
        return x if device is None else jax.device_put(x, device)

    return move


def _to_torch(device: Any) -> Callable[[Any], Any]:
    """On PyTorch's default device, if none is named. A number of steps stays with the host, which counts them."""
    torch = _loaded("torch")
    torch_namespace()
    from purenet.engine.torch import torch_ops

    try:
        ops = torch_ops(torch.empty(0, device=device).device)
    except (RuntimeError, AssertionError, TypeError) as error:
        why = "write device='cuda'" if device == "gpu" else str(error).splitlines()[0]
        raise ValueError(f"PyTorch has no device {device!r} here: {why}") from error

    def move(x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return x.detach().to(ops.device)
        if x.ndim == 0 and to_numpy(x).dtype.kind in "iu":
            return seal(np.array(to_numpy(x)))
        x = to_numpy(x)
        try:
            return ops.asarray(x)
        except TypeError:
            raise _unknown("PyTorch", x) from None

    return move
