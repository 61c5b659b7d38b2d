"""Looking into a net: the same net, made of layers that tell what passes through them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from purenet import tree
from purenet.core import Buffer, Layer
from purenet.engine import Ops, engine_of, ops_for
from purenet.engine.arrays import Shape, describe, holds, read_in_shape, shape_text
from purenet.engine.jax import host_only
from purenet.random import Key, key
from purenet.spec.guard import guarded
from purenet.values import Text, brief, hinted, maker_of

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
    inner = remade(layer, lambda i, part: watch(part, report, f"{path}[{i}]"))

    def apply(params: Any, x: Any, key: Key | None = None) -> Any:
        y = inner.apply(params, x, key)
        report(path, layer, x, y)
        return y

    def vjp(params: Any, x: Any, key: Key | None = None) -> Any:
        y, pullback = inner.vjp(params, x, key)
        report(path, layer, x, y)
        return y, pullback

    return inner._replace(apply=apply, vjp=vjp)


def remade(layer: Layer[Any], make: Callable[[int, Layer[Any]], Layer[Any]]) -> Layer[Any]:
    """The layer, composed of make(i, part) in place of each of its parts; as it is, if it is not composed."""
    if layer.remake is None:
        return layer
    return layer.remake(tuple(make(i, part) for i, part in enumerate(layer.parts)))


def title_of(layer: Layer[Any]) -> str:
    """The name of a layer in a table where its parts have lines of their own."""
    return (maker_of(layer) or layer.name) if layer.parts else layer.name


def attention_weights(net: Layer[Any], params: Any, x: Any) -> dict[str, Any]:
    """The weights P = softmax(Q · Kᵀ / √d) of each attention in a net, (batch, heads, queries, keys), by its path: how
    much each query takes of each key, 0 where a mask hides it. They are those of inference, without dropout.

    They come from the layer's own rule, which is handed values that are the identity: P · I = P. Of a net without
    attention it is an empty dict.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(pn.embedding(10, 8), pn.transformer_block(8, heads=2, causal=True), pn.dense(8, 10))
    >>> found = attention_weights(net, net.init(pn.key(0)), np.array([[3, 1, 4]]))
    >>> {path: weights.shape for path, weights in found.items()}
    {'net[1][0][0][1]': (1, 2, 3, 3)}
    >>> found["net[1][0][0][1]"][0, 0].round(1)
    array([[1. , 0. , 0. ],
           [0.2, 0.8, 0. ],
           [0.2, 0.1, 0.6]], dtype=float32)
    """
    if not isinstance(net, Layer):
        raise TypeError(
            f"attention_weights takes a layer, and then its params and x, not {describe(net)} for the layer"
        )
    found: dict[str, Any] = {}

    def looked_at(layer: Layer[Any], path: str) -> Layer[Any]:
        own = guarded(layer) if maker_of(layer) == "multi_head_attention" else None
        if own is None:
            return remade(layer, lambda i, part: looked_at(part, f"{path}[{i}]"))

        def apply(params: Any, x: Any, key: Key | None = None) -> Any:
            y = layer.apply(params, x, key)
            ops: Any = _WithWeights(ops_for([*tree.leaves(params), *tree.leaves(x)]))
            own.rule(ops, *tree.map(ops.take_in, (params, x)), None)
            found[path] = ops.weights
            return y

        return layer._replace(apply=apply)

    looked_at(net, "net").apply(params, x)
    return found


class _WithWeights:
    """The ops of an engine, which keep the weights of an attention that they compute."""

    def __init__(self, ops: Ops) -> None:
        self.ops = ops
        self.weights: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name)

    def attend(self, q: Any, k: Any, v: Any, heads: int, *masks: Any) -> Any:
        """Attention, and its weights: those of so many keys at a time as a head has features."""
        ops, (batch, t, features), s = self.ops, q.shape, k.shape[1]
        size = features // heads
        pieces = []
        for start in range(0, s, size):
            one = ops.eye(s, size, k=-start, dtype=q.dtype)
            values = ops.broadcast_to(ops.concat([one] * (k.shape[2] // size), axis=1)[None], k.shape)
            y, _ = ops.attend(q, k, values, heads, *masks)
            pieces.append(ops.permute_dims(ops.reshape(y, (batch, t, heads, size)), (0, 2, 1, 3)))
        self.weights = ops.concat(pieces, axis=-1)[..., :s]
        return ops.attend(q, k, v, heads, *masks)


def first_not_finite(net: Layer[Any], params: Any, x: Any, target: Any, key: Key | None = None) -> str:
    """What is NaN or infinite first: x, the target, a parameter, or the output of a layer."""
    for name, given in (("x", x), ("params", params), ("target", target)):
        for path, leaf in tree.items(given, name):
            if not _is_finite(leaf):
                return f"{path} is not finite"
    found: list[str] = []

    def report(path: str, layer: Layer[Any], x: Any, y: Any) -> None:
        if not all(_is_finite(leaf) for leaf in tree.leaves(y)):
            found.append(f"the output of {path}, {brief(layer.name)}, is not finite")

    y = watch(net, report).apply(params, x, key)
    if found:
        return found[0]
    largest = max((float(abs(leaf).max()) for leaf in tree.leaves(y) if 0 not in leaf.shape), default=0.0)
    return f"every layer's output is finite, the net's up to {largest:.2g} in size: is the learning rate too large?"


def _is_finite(x: Any) -> bool:
    xp = engine_of(x)
    return not holds(x, "real floating") or bool(xp.all(xp.isfinite(x)))


class _Row(NamedTuple):
    """One layer of a net, as it was when init reached it."""

    depth: int
    layer: Layer[Any]
    out_shape: Any
    params: Any


@hinted
def summary(net: Layer[Any], in_shape: Shape | None = None) -> Text:
    """A table of the layers of a net: what each gives for one example, and how many parameters it has.

    The layers inside a composed layer are indented under it, and its row counts theirs too. Buffers, such as batch
    norm's running mean or all that is `frozen`, count as not trainable. Shapes leave the batch axis out.

    >>> import purenet as pn
    >>> print(summary(pn.serial(pn.dense(2, 3), pn.batch_norm, pn.tanh, pn.dense(1))))
    layer           output shape   parameters
    -----------------------------------------
    serial          (..., 1)               25
      dense(2, 3)   (..., 3)                9
      batch_norm    (..., 3)               12
      tanh          (..., 3)                0
      dense(1)      (..., 1)                4
    -----------------------------------------
    parameters: 25, of which 19 trainable and 6 not
    memory: 100 B for the parameters, 40 B for the outputs of one example
    """
    host_only("summary")
    if not isinstance(net, Layer):
        raise TypeError(f"summary takes a layer, not {describe(net)}")
    in_shape = read_in_shape(in_shape, "summary")
    rows: list[_Row] = []
    _recorded(net, rows, 0).init(key(0), in_shape)
    lines, outputs = [("layer", "output shape", "parameters")], 0
    inside: list[tuple[int, Iterator[str]]] = [(1, repeat(""))]  # at each depth: how often it runs, its label
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        layer, times, labels = row.layer, *inside[row.depth]
        shape = "?" if row.out_shape is None else shape_text(row.out_shape)
        lines.append(("  " * row.depth + next(labels) + title_of(layer), shape, f"{tree.size(row.params):,}"))
        if not layer.parts:
            outputs += times * _numbers(row.out_shape)
        elif following is not None:
            if len(layer.parts) == 1 and following.depth > row.depth:  # map_time runs its layer at each step
                times *= _numbers(row.out_shape) // max(1, _numbers(following.out_shape))
            named = type(row.params) is dict and len(row.params) == len(layer.parts)
            inside[row.depth + 1 :] = [(times, iter([f"{label}: " for label in row.params]) if named else repeat(""))]
    params = rows[0].params
    everything = tree.size(params)
    fixed = sum(tree.size(node) for node in tree.leaves(params, Buffer) if type(node) is Buffer)
    memory = sum(leaf.size * leaf.dtype.itemsize for leaf in tree.leaves(params))
    return Text(
        "\n".join(
            [
                *in_columns(lines, texts=2),
                f"parameters: {everything:,}, of which {everything - fixed:,} trainable and {fixed:,} not",
                f"memory: {in_bytes(memory)} for the parameters, "
                f"{in_bytes(4 * outputs)} for the outputs of one example",
            ]
        )
    )


def _recorded(layer: Layer[Any], rows: list[_Row], depth: int) -> Layer[Any]:
    """The layer, made of parts whose `init` notes what it was asked and what it gave: so shapes need no rule here."""

    def init(key: Key, in_shape: Shape | None = None) -> Any:
        place = len(rows)
        rows.append(_Row(depth, layer, None, ()))
        params = inner.init(key, in_shape)
        rows[place] = _Row(depth, layer, layer.shape(in_shape), params)
        return params

    inner = remade(layer, lambda i, part: _recorded(part, rows, depth + 1))
    return inner._replace(init=init)


def in_columns(lines: Sequence[Sequence[str]], *, texts: int = 1) -> list[str]:
    """The lines in columns, the first of them texts, with a rule under the head and at the end."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    ways = "<" * texts + ">" * (len(widths) - texts)
    rows = ["   ".join(f"{word:{way}{n}}" for word, way, n in zip(line, ways, widths, strict=True)) for line in lines]
    rule = "-" * len(rows[0])
    return [rows[0], rule, *rows[1:], rule]


def _numbers(shape: Any) -> int:
    """How many numbers an output of this shape holds: a shape, or a tuple of shapes; 0 if it is not known."""
    if shape is None:
        return 0
    if any(isinstance(n, tuple) for n in shape):
        return sum(map(_numbers, shape))
    return math.prod(n for n in shape if n is not ... and n is not None)


def in_bytes(n: float) -> str:
    """The number of bytes, in a unit that suits."""
    units = ["B", "KiB", "MiB", "GiB"]
    while n >= 1024 and len(units) > 1:
        n, units = n / 1024, units[1:]
    return f"{n:.4g} {units[0]}"
