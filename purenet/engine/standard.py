"""The array API standard, as an engine has it: what every family of ops stands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from purenet.engine.arrays import Array


class Standard:
    """The functions of an array namespace by their own names."""

    def __init__(self, namespace: Any) -> None:
        self.namespace = namespace
        own = dir(type(self))
        # not by __getattr__, which would make each op slower to find
        vars(self).update({name: value for name, value in vars(namespace).items() if name not in own})

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Array]:
            """A function of the array API standard: nearly all give an array."""

        # and what is none, or gives something else
        isdtype: Callable[..., bool]
        can_cast: Callable[..., bool]
        finfo: Callable[..., Any]
        iinfo: Callable[..., Any]
        result_type: Callable[..., Any]
        nonzero: Callable[..., tuple[Array, ...]]
        unique_all: Callable[..., tuple[Array, ...]]
        unique_counts: Callable[..., tuple[Array, ...]]
        unique_inverse: Callable[..., tuple[Array, ...]]
        broadcast_arrays: Callable[..., Sequence[Array]]
        meshgrid: Callable[..., Sequence[Array]]
        linalg: Any
        fft: Any
        e: float
        pi: float
        inf: float
        nan: float
        newaxis: None
        float32: Any
        float64: Any
        complex64: Any
        complex128: Any
        int8: Any
        int16: Any
        int32: Any
        int64: Any
        uint8: Any
        uint16: Any
        uint32: Any
        uint64: Any
        bool: Any
