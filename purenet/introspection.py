"""Looking into a net while it runs: the same net, made of layers that tell what passes through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purenet import tree
from purenet.core import Layer
from purenet.random import Key

Report = Callable[[str, Layer[Any], Any, Any], None]


def watch(layer: Layer[Any], report: Report, path: str = "net") -> Layer[Any]:
    """A layer that computes the same and calls `report(path, layer, x, y)` for each layer inside, innermost first.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(pn.tanh, pn.serial(pn.relu, pn.identity))
    >>> _ = watch(net, lambda path, layer, x, y: print(path, layer)).apply(((), ((), ())), np.ones(1))
    net[0] tanh
    net[1][0] relu
    net[1][1] identity
    net[1] serial(relu, identity)
    net serial(tanh, serial(relu, identity))
    """
    inner = layer
    if layer.remake is not None:
        inner = layer.remake(tuple(watch(part, report, f"{path}[{i}]") for i, part in enumerate(layer.parts)))

    def apply(params: Any, x: Any, key: Key | None = None) -> Any:
        y = inner.apply(params, x, key)
        report(path, layer, x, y)
        return y

    def vjp(params: Any, x: Any, key: Key | None = None) -> Any:
        y, pullback = inner.vjp(params, x, key)
        report(path, layer, x, y)
        return y, pullback

    return inner._replace(apply=apply, vjp=vjp)


def first_not_finite(net: Layer[Any], params: Any, x: Any, target: Any, key: Key | None = None) -> str:
    """What is NaN or infinite first: x, the target, a parameter, or the output of a layer."""
    for name, given in (("x", x), ("params", params), ("target", target)):
        for path, leaf in tree.items(given, name):
            if not _is_finite(leaf):
                return f"{path} is not finite"
    found: list[str] = []

    def report(path: str, layer: Layer[Any], x: Any, y: Any) -> None:
        if not all(_is_finite(leaf) for leaf in tree.leaves(y)):
            found.append(f"the output of {path}, {layer.name}, is not finite")

    watch(net, report).apply(params, x, key)
    return found[0] if found else "every layer's output is finite"


def _is_finite(x: Any) -> bool:
    xp = x.__array_namespace__()
    return not xp.isdtype(x.dtype, "real floating") or bool(xp.all(xp.isfinite(x)))
