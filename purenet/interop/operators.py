"""The operators: each layer as nodes of a graph, in inference, by the name of the function that makes it.

A layer is `f(graph, params, x, options) -> y`. x and y are values, or tuples of them, in which None stands for a part
that is not there; a y that is only named has its channels last. Options are all arguments of the maker, by name. A
layer made of layers is `f(graph, layer, params, x) -> y`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import numpy as np

from purenet import tree
from purenet.combinators.compose import locate
from purenet.core import Layer
from purenet.engine.arrays import Shape
from purenet.engine.windows import Ends, Windows
from purenet.interop.graph import BOOL, INT32, INT64, Graph, Value
from purenet.interop.layouts import COUNTERPARTS, conv_transpose
from purenet.layers.adaptive_pool import cells_of, sizes_of
from purenet.layers.attention import rotation
from purenet.layers.conv import ConvParams
from purenet.layers.recurrence import unpack
from purenet.layers.resize import padded_from
from purenet.layers.windows import pairs, per_axis, place, window_size

Options = dict[str, Any]


def emit(graph: Graph, layer: Layer[Any], params: Any, x: Any) -> Any:
    """Adds the nodes of a layer, and gives its Y."""
    call = layer.call
    if call is not None and call.maker in COMBINATORS:
        return COMBINATORS[call.maker](graph, layer, params, x)
    if call is None or call.maker not in OPERATORS:
        raise TypeError(
            f"to_onnx has no operator for {layer.name}: make it of layers of purenet that have one, or export what "
            "comes before it and what comes after it by themselves, and run it in between"
        )
    import purenet

    given = inspect.signature(getattr(purenet, call.maker)).bind(*call.args, **call.options)
    given.apply_defaults()
    shapes = tree.map(lambda value: value.shape, x, leaf_type=Value)
    return _shaped(OPERATORS[call.maker](graph, params, x, given.arguments), layer.shape(shapes))


def _shaped(y: Any, shape: Any) -> Any:
    if isinstance(y, str):
        return Value(y, shape)
    return y._replace(shape=shape) if isinstance(y, Value) else tuple(map(_shaped, y, shape))


def _channels_first(name: str) -> Value:
    return Value(name, (), True)


# --- activations, a function of each number: f(graph, x, options), in the order of axes in which x stands


def _gelu(g: Graph, x: str, o: Options) -> str:
    """x·Φ(x), with Φ(x) = (1 + erf(x/√2)) / 2."""
    return g("Mul", g("Mul", x, g("Add", g("Erf", g("Div", x, math.sqrt(2))), 1.0)), 0.5)


def _gelu_tanh(g: Graph, x: str, o: Options) -> str:
    """x·σ(2u), with 2u = 2√(2/π)·x·(1 + 0.044715 x²)."""
    inner = g("Add", g("Mul", g("Mul", x, x), 0.044715), 1.0)
    return g("Mul", x, g("Sigmoid", g("Mul", g("Mul", x, 2 * math.sqrt(2 / math.pi)), inner)))


def _celu(g: Graph, x: str, o: Options) -> str:
    """max(x, 0) + α·(exp(min(x, 0)/α) − 1): ONNX's own operator has no float64."""
    alpha = float(o["alpha"])
    below = g("Sub", g("Exp", g("Div", g("Min", x, 0.0), alpha)), 1.0)
    return g("Add", g("Max", x, 0.0), g("Mul", below, alpha))


def _hard_sigmoid(g: Graph, x: str, o: Options) -> str:
    return g("HardSigmoid", x, alpha=1 / 6, beta=0.5)


ELEMENTWISE: dict[str, Callable[[Graph, str, Options], str]] = {
    "tanh": lambda g, x, o: g("Tanh", x),
    "sigmoid": lambda g, x, o: g("Sigmoid", x),
    "relu": lambda g, x, o: g("Relu", x),
    "relu6": lambda g, x, o: g("Clip", x, 0.0, 6.0),
    "leaky_relu": lambda g, x, o: g("LeakyRelu", x, alpha=float(o["negative_slope"])),
    "elu": lambda g, x, o: g("Elu", x, alpha=float(o["alpha"])),
    "celu": _celu,
    "selu": lambda g, x, o: g("Selu", x),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda g, x, o: g("Mul", x, g("Sigmoid", x)),
    "mish": lambda g, x, o: g("Mul", x, g("Tanh", g("Softplus", x))),
    "softplus": lambda g, x, o: g("Softplus", x),
    "log_sigmoid": lambda g, x, o: g("Neg", g("Softplus", g("Neg", x))),
    "softsign": lambda g, x, o: g("Softsign", x),
    "hard_tanh": lambda g, x, o: g("Clip", x, float(o["min_val"]), float(o["max_val"])),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda g, x, o: g("Mul", x, _hard_sigmoid(g, x, o)),
}


def _elementwise(f: Callable[[Graph, str, Options], str]) -> Callable[..., Value]:
    return lambda g, params, x, o: Value(f(g, x.name, o), (), x.first)


def _glu(g: Graph, params: Any, x: Value, o: Options) -> str:
    a, b = g.several("Split", 2, x, axis=-1)
    return g("Mul", a, g("Sigmoid", b))


def _swiglu(g: Graph, params: Any, x: Value, o: Options) -> str:
    a, b = g.several("Split", 2, x, axis=-1)
    return g("Mul", g("Mul", a, g("Sigmoid", a)), b)


# --- dense layers, and those that merge


def _linear(g: Graph, params: Any, x: Any, path: str = "") -> str:
    weight, *bias = g.params({path + label: array for label, array in params._asdict().items()})
    return reduce(lambda y, b: g("Add", y, b), bias, g("MatMul", x, weight))


def _binary_dense(g: Graph, params: Any, x: Value, o: Options) -> str:
    signs = params._replace(weight=np.where(params.weight >= 0, 1, -1).astype(g.dtype))
    return _linear(g, signs, g("Where", g("GreaterOrEqual", x, 0.0), 1.0, -1.0) if o["binary_input"] else x)


def _merged(g: Graph, op: str, values: Iterable[Value]) -> Value:
    """The sum or the product of several."""
    return reduce(lambda a, b: a._replace(name=g(op, a.name, b.name), source=""), g.alike(values))


def _concat(g: Graph, params: Any, xs: Any, o: Options) -> Value:
    first, *others = g.alike(xs)
    axis = o["axis"] % first.ndim
    if first.first:
        axis = 1 if axis == first.ndim - 1 else axis + 1
    return first._replace(name=g("Concat", first.name, *(x.name for x in others), axis=axis), source="")


def _split_last(g: Graph, params: Any, x: Value, o: Options) -> tuple[str, ...]:
    n, parts = x.shape[-1], o["parts"]
    sizes = [n // parts] * parts if isinstance(parts, int) else list(parts)
    return tuple(g.several("Split", len(sizes), x, sizes, axis=-1))


# --- images: layers that slide are made for channels first


def _windows(size: Shape, o: Options) -> Windows:
    stride = size if o["stride"] is None else per_axis("", "stride", o["stride"], len(size))
    return Windows(size, stride, per_axis("", "dilation", o.get("dilation", 1), len(size)))


def _pads(ends: Ends) -> list[int]:
    return [*(low for low, _ in ends), *(high for _, high in ends)]


def _sliding(windows: Windows, ends: Ends) -> Options:
    """The attributes of windows that slide over an input with this padding."""
    dilated = {"dilations": windows.dilation} if max(windows.dilation) > 1 else {}
    return {"kernel_shape": windows.size, "strides": windows.stride, "pads": _pads(ends), **dilated}


def _sliding_over(x: Value, size: Shape, o: Options) -> tuple[Windows, Ends]:
    """The windows, and all the padding that they need: no node needs `ceil_mode`."""
    windows = _windows(size, o)
    wanted = pairs("", o["padding"], len(size))
    return windows, place("", windows, wanted, x.shape[:-1], o.get("ceil_mode", False))[1]


def _conv(g: Graph, params: Any, x: Value, o: Options) -> Value:
    attributes = _sliding(*_sliding_over(x, params.weight.shape[:-2], o))
    given = g.params(COUNTERPARTS[ConvParams].give(params))
    return _channels_first(g("Conv", g.first(x), *given, group=o["groups"], **attributes))


def _conv_transpose(g: Graph, params: Any, x: Value, o: Options) -> Value:
    """What is added at the high end is less than a stride there: the rest comes of cells of 0 at the end of X."""
    windows = _windows(params.weight.shape[:-2], o)
    dims, stride = len(windows.size), windows.stride
    added, cut = per_axis("", "output_padding", o["output_padding"], dims, least=0), pairs("", o["padding"], dims)
    if cut == "same":  # n·stride outputs: what a window reaches beyond its stride goes, what it lacks is added
        beyond = [r - s for r, s in zip(windows.reach, stride, strict=True)]
        cut = tuple((max(0, n) // 2, max(0, n) - max(0, n) // 2) for n in beyond)
        added = tuple(max(0, -n) for n in beyond)
    cells = [n // s for n, s in zip(added, stride, strict=True)]
    given = g.params(conv_transpose(o["groups"]).give(params))
    longer = g("Pad", g.first(x), [0] * (4 + dims) + cells) if any(cells) else g.first(x)
    rest = [n % s for n, s in zip(added, stride, strict=True)]
    attributes = {"group": o["groups"], "output_padding": rest, **_sliding(windows, cut)}
    return _channels_first(g("ConvTranspose", longer, *given, **attributes))


def _max_pool(g: Graph, params: Any, x: Value, o: Options) -> Value:
    windows, ends = _sliding_over(x, window_size("", "window", o["window"]), o)
    y = g.first(x)
    if any(max(pair) >= n for pair, n in zip(ends, windows.size, strict=True)):  # more than the operator takes
        y, ends = g("Pad", y, _pads([(0, 0), (0, 0), *ends]), -math.inf), [(0, 0)] * len(ends)
    return _channels_first(g("MaxPool", y, **_sliding(windows, ends)))


def _avg_pool(g: Graph, params: Any, x: Value, o: Options) -> Value:
    """Where padding counts as cells, what the last window has beyond it does not: so the padding is then cells of 0."""
    windows, ends = _sliding_over(x, window_size("", "window", o["window"]), o)
    wanted: Any = pairs("", o["padding"], len(ends))
    include = wanted != "same" if o["count_include_pad"] is None else o["count_include_pad"]
    y = g.first(x)
    if include and wanted not in ("same", ends):
        y = g("Pad", y, _pads([(0, 0), (0, 0), *wanted]), 0.0)
        ends = [(0, b - high) for (_, b), (_, high) in zip(ends, wanted, strict=True)]
        include = False
    return _channels_first(g("AveragePool", y, **_sliding(windows, ends), count_include_pad=int(include)))


def _global_pool(g: Graph, op: str, x: Any) -> str:
    if type(x) is tuple:
        return _global_pool_of_part(g, op, *x)
    if op == "last":
        return g("Gather", x, np.array(x.shape[0] - 1), axis=1)
    start = 2 if x.first else 1
    return g(op, x.name, axes=[*range(start, start + x.ndim - 2)], keepdims=0)


def _global_pool_of_part(g: Graph, op: str, x: Value, beside: Value) -> str:
    """Over what a mask, or its length, says is real of each example; 0 where that is nothing."""
    if beside.ndim == 2:
        real = g.use(beside, BOOL, "mask")
    else:
        lengths = g("Unsqueeze", g.use(beside, INT64, "lengths"), [1])
        if op == "last":
            last = g("Equal", np.arange(1, x.shape[0] + 1)[None], lengths)
            return g("ReduceSum", g("Where", g("Unsqueeze", last, [2]), x, 0.0), [1], keepdims=0)
        real = g("Less", np.arange(x.shape[0])[None], lengths)
    real = g("Unsqueeze", real, [2])
    count = g("ReduceSum", g("Where", real, 1.0, 0.0), [1], keepdims=0)
    if op == "ReduceMax":
        largest = g("ReduceMax", g("Where", real, x, -math.inf), axes=[1], keepdims=0)
        return g("Where", g("Greater", count, 0.0), largest, 0.0)
    return g("Div", g("ReduceSum", g("Where", real, x, 0.0), [1], keepdims=0), g("Max", count, 1.0))


def _adaptive_pool(g: Graph, op: str, x: Value, o: Options) -> Value:
    """Windows that are not alike, along one axis after another."""
    pairs = list(zip(x.shape, sizes_of("", o["size"], x.shape[:-1]), strict=False))
    y = g.first(x)
    if all(n % m == 0 for n, m in pairs):
        each = [n // m for n, m in pairs]
        return _channels_first(g("MaxPool" if op == "max" else "AveragePool", y, kernel_shape=each, strides=each))
    shape = [0, x.shape[-1], *x.shape[:-1]]
    for axis, (n, m) in enumerate(pairs, start=2):
        if n == m:
            continue
        cells, after = cells_of(n, m), (1,) * (x.ndim - axis - 1)
        y = g("Reshape", g("Gather", y, cells.ids, axis=axis), [*shape[:axis], m, -1, *shape[axis + 1 :]])
        if op == "max":
            y = g("ReduceMax", y, axes=[axis + 1], keepdims=0)
        else:
            real = np.reshape(cells.real, (m, -1, *after))
            total = g("ReduceSum", g("Where", real, y, 0.0), [axis + 1], keepdims=0)
            y = g("Div", total, np.reshape(cells.sizes, (m, *after)).astype(g.dtype))
        shape[axis] = m
    return _channels_first(y)


def _upsample(g: Graph, params: Any, x: Value, o: Options) -> Value:
    if o["size"] is not None:
        return _channels_first(_upsample_to(g, x, per_axis("", "size", o["size"], x.ndim - 2), o["method"]))
    scales = np.array([1, 1, *per_axis("", "scale", o["scale"], x.ndim - 2)], np.float32)
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if o["method"] == "bilinear":
        how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return _channels_first(g("Resize", g.first(x), "", scales, **how))


def _upsample_to(g: Graph, x: Value, size: Shape, method: str) -> str:
    """Nearest cells by their numbers: ONNX finds them by way of a scale, which may be rounded."""
    y = g.first(x)
    if method == "nearest":
        return _gathered(g, y, [[i * n // m for i in range(m)] for n, m in zip(x.shape, size, strict=False)])
    sizes = g("Concat", g("Slice", g("Shape", y), [0], [2]), list(size), axis=0)
    return g("Resize", y, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")


def _gathered(g: Graph, y: str, cells: Iterable[list[int]]) -> str:
    """Along each spatial axis the cells of these numbers."""
    return reduce(lambda y, each: g("Gather", y, each[1], axis=each[0]), enumerate(cells, start=2), y)


def _pixel_shuffle(g: Graph, params: Any, x: Value, o: Options) -> Value:
    *space, channels = x.shape
    dims = len(space)
    scales = per_axis("", "scale", o["scale"], dims)
    apart = g("Reshape", g.first(x), [0, channels // math.prod(scales), *scales, *space])
    order = [0, 1, *(axis for i in range(2, dims + 2) for axis in (dims + i, i))]
    sizes = [n * s for n, s in zip(space, scales, strict=True)]
    return _channels_first(g("Reshape", g("Transpose", apart, perm=order), [0, channels // math.prod(scales), *sizes]))


def _pad(g: Graph, params: Any, x: Value, o: Options) -> Value:
    """In the opset of these models there is no circular padding."""
    ends: Any = pairs("", o["width"], x.ndim - 2)
    y, mode = g.first(x), o["mode"]
    if mode == "circular":
        cells = zip(x.shape, ends, strict=False)
        return _channels_first(_gathered(g, y, [padded_from(mode, n, *pair) for n, pair in cells]))
    value = [float(o["value"])] if mode == "constant" else []
    mode = "edge" if mode == "replicate" else mode
    return _channels_first(g("Pad", y, _pads([(0, 0), (0, 0), *ends]), *value, mode=mode))


# --- norms


def _batch_norm(g: Graph, params: Any, x: Value, o: Options) -> Value:
    mean, variance = params.mean.value, params.variance.value
    weight = np.ones_like(mean) if params.weight is None else params.weight
    bias = np.zeros_like(mean) if params.bias is None else params.bias
    variance = variance + (o["eps"] - float(np.float32(o["eps"])))  # what eps lacks there, where it is a float32
    given = g.params({"weight": weight, "bias": bias, "mean": mean, "variance": variance})
    return _channels_first(g("BatchNormalization", g.first(x), *given, epsilon=float(o["eps"])))


def _normalized(g: Graph, x: Any, eps: float | None, centred: bool = True) -> str:
    """X̂ over the last axis, in the operators of which onnxruntime makes one."""
    x = g("Sub", x, g("ReduceMean", x, axes=[-1])) if centred else x
    variance = g("ReduceMean", g("Pow", x, 2.0), axes=[-1])
    return g("Div", x, g("Sqrt", g("Add", variance, float(np.finfo(g.dtype).eps if eps is None else eps))))


def _scaled(g: Graph, params: Any, x: str, axes_after: int = 0) -> str:
    """The scale and the shift of each channel, which has so many axes after it."""
    arrays = {} if params == () else {k: a for k, a in params._asdict().items() if a is not None}
    given = g.params({k: a.reshape(-1, *(1,) * axes_after) for k, a in arrays.items()})
    return reduce(lambda y, each: g(each[0], y, each[1]), zip(("Mul", "Add"), given, strict=False), x)


def _group_norm(g: Graph, params: Any, x: Value, groups: int, eps: float) -> Value:
    """Each group of channels is one row while it is normalized."""
    *space, channels = x.shape
    rows = g("Reshape", g.first(x), [0, groups, math.prod(x.shape) // groups])
    y = g("Reshape", _normalized(g, rows, eps), [0, channels, *space])
    return _channels_first(_scaled(g, params, y, len(space)))


# --- sequences


def _grows(what: str) -> Exception:
    return TypeError(f"to_onnx has no operator for {what} with a state, which grows: export it of whole sequences")


def _learned_positions(g: Graph, params: Any, x: Value, o: Options) -> str:
    if type(x) is tuple:
        raise _grows("positions")
    return g("Add", x, *g.params({"weight": params.weight[: x.shape[0]]}))


def _positional_encoding(g: Graph, params: Any, x: Value, o: Options) -> str:
    from purenet import positional_encoding

    if type(x) is tuple:
        raise _grows("positions")
    return g("Add", x, positional_encoding(o["base"]).apply((), np.zeros((1, *x.shape), g.dtype)))


def _recurrent(op: str, order: tuple[int, ...], states: int) -> Callable[..., Any]:
    """A recurrent layer whose gates stand in this order there."""

    def arranged(array: Any) -> Any:
        """(..., gates·hidden) to (1, gates·hidden, ...)."""
        parts = np.split(array, len(order), axis=-1)
        return np.concatenate([parts[gate] for gate in order], axis=-1).T[None]

    def recurrent(g: Graph, params: Any, x: Any, o: Options) -> Any:
        sequence, state, lengths, stateful = unpack(x)
        hands_on = stateful or o["return_state"]
        arrays = {label: arranged(getattr(params, label)) for label in ("weight", "recurrent_weight")}
        if params.bias is not None:
            second = np.zeros_like(params.bias)
            if getattr(params, "recurrent_bias", None) is not None:
                second[-params.recurrent_bias.size :] = params.recurrent_bias
            arrays["bias"] = np.concatenate([arranged(params.bias), arranged(second)], axis=-1)
        y, *final = g.several(
            op,
            1 + states,
            g("Transpose", sequence, perm=[1, 0, 2]),
            *[*g.params(arrays), ""][:3],
            "" if lengths is None else g("Cast", g.use(lengths, INT64, "lengths"), to=INT32),
            *[g("Unsqueeze", part, [0]) for part in ([state] if isinstance(state, Value) else state or ())],
            hidden_size=params.recurrent_weight.shape[0],
            direction="reverse" if o["reverse"] else "forward",
            **({"linear_before_reset": int(o["reset_after"])} if op == "GRU" else {}),
        )
        final = [g("Squeeze", part, [0]) for part in final] if o["last"] or hands_on else []
        y = final[0] if o["last"] else g("Transpose", g("Squeeze", y, [1]), perm=[1, 0, 2])
        return (y, tuple(final) if states == 2 else final[0]) if hands_on else y

    return recurrent


def _attention(g: Graph, params: Any, x: Any, o: Options) -> str:
    queries, *rest = x if type(x) is tuple else (x,)
    if any(type(each) is not Value for each in rest):
        raise _grows("an attention")
    others = rest.pop(0) if rest and rest[0].ndim == 3 else queries
    heads, size = o["heads"], o["features"] // o["heads"]
    shared = o["kv_heads"] or heads
    (t, _), s = queries.shape, others.shape[0]
    allowed, added, padding = _allowed(g, rest, t, s, o["causal"])
    if padding is not None:
        others = g("Where", g("Unsqueeze", padding, [2]), others, 0.0)  # what stands in the padding may be NaN

    def cut(label: str, x: Any, n: int, order: list[int]) -> str:
        """(batch, time, features) to (batch, heads, time, size), or with the last two turned."""
        y = g("Reshape", _linear(g, getattr(params, label), x, f"{label}."), [0, 0, n, size])
        if o["rotary"] and label != "value":
            start, time = (s - t if o["causal"] == "end" else 0, t) if label == "query" else (0, s)
            y = _turned(g, y, start, time, size, 10_000.0 if o["rotary"] is True else o["rotary"])
        return g("Transpose", y, perm=order)

    def regrouped(x: str, n: int, rows: int, last: int) -> str:
        """The rows of all queries that share a key are those of one matrix, and back."""
        return x if shared == heads else g("Reshape", x, [0, n, rows, last])

    q, k = cut("query", queries, heads, [0, 2, 1, 3]), cut("key", others, shared, [0, 2, 3, 1])
    q = regrouped(g("Mul", q, size**-0.5), shared, heads // shared * t, size)
    scores = regrouped(g("MatMul", q, k), heads, t, s)
    if added is not None:
        scores = g("Add", scores, added)
    if allowed is not None:
        scores = g("Where", allowed, scores, float(np.finfo(g.dtype).min) / 2)
    shares = g("Softmax", scores, axis=-1)
    if rest or (o["causal"] == "end" and t > s):  # a place with nothing to attend to gets 0
        shares = g("Where", allowed, shares, 0.0)
    shares = regrouped(shares, shared, heads // shared * t, s)
    z = regrouped(g("MatMul", shares, cut("value", others, shared, [0, 2, 1, 3])), heads, t, size)
    joined = g("Transpose", z, perm=[0, 2, 1, 3])
    return _linear(g, params.out, g("Reshape", joined, [0, 0, o["features"]]), "out.")


def _turned(g: Graph, x: str, start: int, time: int, size: int, base: float) -> str:
    """Heads (batch, time, heads, size) of which each pair of numbers is turned by its place."""
    cos, sin = (each.astype(g.dtype) for each in rotation(start, time, size, base))
    a, b = g.several("Split", 2, x, axis=-1)
    first = g("Sub", g("Mul", a, cos), g("Mul", b, sin))
    return g("Concat", first, g("Add", g("Mul", b, cos), g("Mul", a, sin)), axis=-1)


def _allowed(g: Graph, masks: list[Value], t: int, s: int, causal: Any) -> tuple[Any, Any, Any]:
    """(what may be attended to, what is added, the padding), each None if there is none. Of pairs of queries and keys a
    model takes what is added."""
    allowed: Any = np.tri(t, s, s - t if causal == "end" else 0, dtype=bool) if causal else None
    added = padding = None
    for mask in masks:
        if mask.ndim == 4:
            added = mask.name
            masked = g("Greater", added, -math.inf)
        else:
            if mask.ndim == 1:
                lengths = g("Unsqueeze", g.use(mask, INT64, "lengths"), [1])
                padding = g("Less", np.arange(s)[None], lengths)
            else:
                padding = g.use(mask, BOOL, "mask")
            masked = g("Unsqueeze", padding, [1, 2])
        allowed = g("And", masked, allowed) if causal else masked
    return allowed, added, padding


OPERATORS: dict[str, Callable[[Graph, Any, Any, Options], Any]] = {
    **{name: _elementwise(f) for name, f in ELEMENTWISE.items()},
    **dict.fromkeys(("identity", "dropout", "gaussian_noise"), lambda g, p, x, o: x),
    "softmax": lambda g, p, x, o: g("Softmax", x, axis=-1),
    "log_softmax": lambda g, p, x, o: g("LogSoftmax", x, axis=-1),
    "prelu": lambda g, p, x, o: g("PRelu", x, *g.params(p._asdict())),
    "glu": _glu,
    "swiglu": _swiglu,
    "dense": lambda g, p, x, o: _linear(g, p, x),
    "binary_dense": _binary_dense,
    "flatten": lambda g, p, x, o: x._replace(name=g("Flatten", x), first=False),
    "reshape": lambda g, p, x, o: x._replace(name=g("Reshape", x, [0, *o["shape"]]), first=False),
    "permute": lambda g, p, x, o: g("Transpose", x, perm=[0, *o["order"]]),
    "pixel_shuffle": _pixel_shuffle,
    "add": lambda g, p, x, o: _merged(g, "Add", x),
    "mul": lambda g, p, x, o: _merged(g, "Mul", x),
    "concat": _concat,
    "split_last": _split_last,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "global_avg_pool": lambda g, p, x, o: _global_pool(g, "ReduceMean", x),
    "global_max_pool": lambda g, p, x, o: _global_pool(g, "ReduceMax", x),
    "adaptive_avg_pool": lambda g, p, x, o: _adaptive_pool(g, "mean", x, o),
    "adaptive_max_pool": lambda g, p, x, o: _adaptive_pool(g, "max", x, o),
    "last_step": lambda g, p, x, o: _global_pool(g, "last", x),
    "upsample": _upsample,
    "pad": _pad,
    "batch_norm": _batch_norm,
    "layer_norm": lambda g, p, x, o: _scaled(g, p, _normalized(g, x, o["eps"])),
    "rms_norm": lambda g, p, x, o: _scaled(g, p, _normalized(g, x, o["eps"], centred=False)),
    "group_norm": lambda g, p, x, o: _group_norm(g, p, x, o["groups"], o["eps"]),
    "instance_norm": lambda g, p, x, o: _group_norm(g, p, x, x.shape[-1], o["eps"]),
    "embedding": lambda g, p, x, o: g("Gather", *g.params(p._asdict()), g.use(x, INT64, "ids")),
    "positional_encoding": _positional_encoding,
    "learned_positions": _learned_positions,
    "rnn": _recurrent("RNN", (0,), 1),
    "lstm": _recurrent("LSTM", (0, 3, 1, 2), 2),
    "gru": _recurrent("GRU", (1, 0, 2), 1),
    "multi_head_attention": _attention,
}


# --- layers made of layers


def _part(g: Graph, layer: Layer[Any], label: Any, params: Any, x: Any) -> Any:
    """Y of a part. Its nodes and params are named after its label, which is None where its params are all there are."""
    before = g.path
    g.path = before if label is None else (*before, str(label))
    try:
        return emit(g, layer, params, x)
    except Exception as error:
        locate(error, 0 if label is None else label, layer)
        raise
    finally:
        g.path = before


def _only(g: Graph, layer: Layer[Any], params: Any, x: Any) -> Any:
    return _part(g, layer.parts[0], None, params, x)


def _chain(g: Graph, layer: Layer[Any], params: Any, x: Any) -> Any:
    labels = params if type(params) is dict else range(len(layer.parts))
    for label, part in zip(labels, layer.parts, strict=True):
        x = _part(g, part, label, params[label], x)
    return x


def _parallel(g: Graph, layer: Layer[Any], params: Any, x: Any) -> Any:
    return tuple(_part(g, *each) for each in zip(layer.parts, range(len(x)), params, x, strict=True))


def _map_time(g: Graph, layer: Layer[Any], params: Any, x: Any) -> Any:
    time, *rest = x.shape
    steps = Value(g("Reshape", x, [-1, *rest]), tuple(rest), source=x.source)
    y = _only(g, layer, params, steps)
    return y._replace(name=g("Reshape", y, [-1, time, *y.shape]), shape=(time, *y.shape), first=False)


def _stacked(g: Graph, layer: Layer[Any], params: Any, x: Any) -> Any:
    """Each layer on the outputs of the one below, with its part of the state, and what stands behind it."""
    y, *rest = x if type(x) is tuple else (x,)
    stateful = bool(rest) and type(rest[0]) is not Value
    states = rest.pop(0) if stateful else None
    finals = []
    for i, part in enumerate(layer.parts):
        start = (None if states is None else states[i],) if stateful else ()
        given = (y, *start, *rest)
        y = _part(g, part, i, params[i], given if len(given) > 1 else y)
        y, *final = y if type(y) is tuple else (y,)
        finals += final
    return (y, tuple(finals)) if finals else y


def _bidirectional(g: Graph, layer: Layer[Any], params: Any, x: Any) -> Any:
    """Each layer with its part of the state."""
    states = x[1] if type(x) is tuple and type(x[1]) is tuple else None
    ys = _parallel(g, layer, params, (x, x) if states is None else [(x[0], state, *x[2:]) for state in states])
    one, two = (y[0] if type(y) is tuple else y for y in ys)
    y = one._replace(name=g("Concat", one, two, axis=-1), shape=(*one.shape[:-1], one.shape[-1] + two.shape[-1]))
    return (y, (ys[0][1], ys[1][1])) if type(ys[0]) is tuple else y


def _residual(g: Graph, layer: Layer[Any], params: Any, x: Any) -> Any:
    return _merged(g, "Add", (x[0] if type(x) is tuple else x, _only(g, layer, params, x)))


def _beside(x: Any, y: Any) -> Any:
    """Y, with what stood beside the first part of x."""
    return (y, *x[1:]) if type(x) is tuple else y


COMBINATORS: dict[str, Callable[[Graph, Layer[Any], Any, Any], Any]] = {
    **dict.fromkeys(("serial", "named", "transformer_block", "transformer_decoder_block"), _chain),
    "parallel": _parallel,
    "fan_out": lambda g, layer, params, x: _parallel(g, layer, params, (x,) * len(layer.parts)),
    "residual": _residual,
    "pick": lambda g, layer, params, x: x[layer.call.args[0]],  # type: ignore[union-attr]  # found by its call
    "swap": lambda g, layer, params, x: (x[1], x[0]),
    "frozen": lambda g, layer, params, x: _only(g, layer, params.value, x),
    "remat": _only,
    "tied": lambda g, layer, params, x: _only(g, layer, (params,) * len(layer.parts[0].parts), x),
    "on_first": lambda g, layer, params, x: _beside(x, _only(g, layer, params, x[0] if type(x) is tuple else x)),
    "keep_rest": lambda g, layer, params, x: _beside(x, _only(g, layer, params, x)),
    "map_time": _map_time,
    "bidirectional": _bidirectional,
    "stacked": _stacked,
}
