"""The contenders: one file for each, which trains the same nets on the same data from the same weights.

Each file has `start(work, params) -> Entry`; those that take part in prediction have `predict(work, params) -> run`.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any, NamedTuple


class Peer(NamedTuple):
    """Where a contender is written down, what it must import, and the name of its function there."""

    file: str
    needs: tuple[str, ...] = ()
    start: str = "start"


PEERS = {
    "purenet": Peer("ours"),
    "class style": Peer("class_style"),
    "by hand": Peer("by_hand"),
    "bare products": Peer("by_hand", start="products"),
    "PyTorch": Peer("pytorch", ("torch",)),
    "PyTorch, compiled": Peer("pytorch", ("torch",), "compiled"),
    "JAX, a call a step": Peer("in_jax", ("jax",)),
    "JAX, an epoch in scan": Peer("in_jax", ("jax",), "scan"),
    "purenet under JAX, a call a step": Peer("under_jax", ("jax",)),
    "purenet under JAX, an epoch in scan": Peer("under_jax", ("jax",), "scan"),
    "purenet on PyTorch": Peer("on_torch", ("torch", "array_api_compat")),
    "purenet on PyTorch, compiled": Peer("on_torch", ("torch", "array_api_compat"), "compiled"),
    "scikit-learn": Peer("sklearn_mlp", ("sklearn",)),
    "autograd": Peer("autograd_tape", ("autograd",)),
    "onnxruntime": Peer("onnx_session", ("onnxruntime", "onnx")),
}


def missing(name: str) -> list[str]:
    """The packages that a contender needs and that are not installed."""
    return [package for package in PEERS[name].needs if find_spec(package) is None]


def load(name: str, function: str | None = None) -> Any:
    """A contender's function: how it starts, unless another is asked for."""
    peer = PEERS[name]
    return getattr(importlib.import_module(f"benchmarks.peers.{peer.file}"), function or peer.start)
