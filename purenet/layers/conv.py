"""Convolution and its transpose, in one, two and three dimensions, channels last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from purenet.core import Layer, Pullback
from purenet.engine.arrays import Array, Shape, describe, floating, is_open, match, meet, whose
from purenet.initializers import Initializer, draw, glorot_uniform, zeros
from purenet.layers.correlate import (
    add_channels,
    correlate,
    correlate_weight,
    kept_patches,
    spread,
    sum_channels,
    transposed,
)
from purenet.layers.windows import Padding, Windows, axes_of, check_rank, pad_space, pairs, per_axis, window_size
from purenet.presets import called
from purenet.random import Key, split


class ConvParams(NamedTuple):
    """weight (*kernel, in // groups, out); bias (out,), or None in a layer without."""

    weight: Array
    bias: Array | None


def conv(
    *sizes: Any,
    stride: int | Sequence[int] = 1,
    padding: Padding = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    bias: bool = True,
    weight_init: Initializer = glorot_uniform,
    bias_init: Initializer = zeros,
) -> Layer[ConvParams]:
    """A convolution: Y[o] = Σₜ X[o·stride + t·dilation − low] · W[t] + B, t over the cells of the kernel.

    `conv(in, out, kernel)`, or `conv(out, kernel)` to infer `in`. A kernel of one, two or three sizes makes a layer for
    sequences, images or volumes; an int is a square for images. It is not flipped: like every library's, the layer is a
    correlation.

    Args:
        stride: cells from one window to the next; an int, or one for each axis.
        padding: "valid" (none), "same" (⌈n / stride⌉ outputs, as JAX and TensorFlow pad), an int, or for each axis an
            int or a pair (low, high). Padded cells are 0.
        dilation: cells from one cell of the kernel to the next; an int, or one for each axis.
        groups: the channels in this many parts, each with a kernel of its own; groups = in is a depthwise convolution.

    Shapes: X (batch, *space, in); W (*kernel, in // groups, out); B (out,); Y (batch, *counts, out), with
    counts = ⌊(space + low + high − dilation·(kernel − 1) − 1) / stride⌋ + 1.

    The rule: each W[t] is a dense layer between the channels of X at one shift and those of Y, and Y adds them up. So
        dE/dW[t] = Σₒ X[o·stride + t·dilation − low]ᵀ · dE/dY[o]        dE/dB = Σ dE/dY, over all but the channels
        dE/dX[i] = Σ dE/dY[o] · W[t]ᵀ, over the o and t with o·stride + t·dilation − low = i
    and the last is itself a correlation, of dE/dY with the kernel flipped and transposed.

    Y. LeCun et al., "Backpropagation applied to handwritten zip code recognition", Neural Computation 1989.

    Raises:
        ValueError: the channels do not divide by the groups; the kernel is larger than the padded input; X has other
            axes or channels; the params are another layer's.
        TypeError: X and the params differ in dtype.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.conv(1, 6, 5, padding=2)
    >>> params = layer.init(pn.key(0))
    >>> y, pullback = layer.vjp(params, np.ones((4, 28, 28, 1), np.float32))
    >>> dparams, dx = pullback(np.ones_like(y))
    >>> y.shape, dparams.weight.shape, dx.shape
    ((4, 28, 28, 6), (5, 5, 1, 6), (4, 28, 28, 1))
    >>> pn.conv(32, (3,), stride=2, padding="same").shape((9, 4))  # sequences, of 9 steps with 4 channels
    (5, 32)
    """
    inputs, outputs, size = _sizes("conv", sizes, groups)
    name = _name("conv", sizes, stride, padding, dilation, groups, bias)
    dims = len(size)
    strides, dilations = per_axis(name, "stride", stride, dims), per_axis(name, "dilation", dilation, dims)
    windows = Windows(name, size, strides, dilations, pairs(name, padding, dims))

    def forward(weight: Any, bias: Any, x: Any) -> tuple[Any, Pull]:
        space = tuple(x.shape[1:-1])
        _, ends = windows.place(space)
        padded = pad_space(x, ends)
        patches = kept_patches(padded, outputs, windows, groups)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            dweight = correlate_weight(padded, dy, windows, groups, patches)
            low = tuple(a for a, _ in ends)
            return dweight, spread(dy, transposed(weight, groups), windows, low, space, groups) if wrt_x else None

        return correlate(padded, weight, windows, groups, bias, patches), pull

    def target(space: Shape) -> Shape:
        return windows.place(space)[0]

    return _layer(name, (inputs, outputs, size, groups), bias, (weight_init, bias_init), target, forward)


def conv_transpose(
    *sizes: Any,
    stride: int | Sequence[int] = 1,
    padding: Padding = "valid",
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    bias: bool = True,
    weight_init: Initializer = glorot_uniform,
    bias_init: Initializer = zeros,
) -> Layer[ConvParams]:
    """A transposed convolution: Y[o·stride + t·dilation − low] += X[o] · W[t], and + B.

    It is to `conv` what conv's dE/dX is to its Y: a stride makes the output larger. `conv_transpose(in, out, kernel)`,
    or `conv_transpose(out, kernel)`; kernel, stride, dilation and groups as in `conv`.

    Args:
        padding: cells cut off the output's ends. An int, or for each axis an int or a pair (low, high), as PyTorch's;
            "valid" cuts nothing; "same" gives n·stride outputs.
        output_padding: cells added at the high end, less than the stride or the dilation. Of the sizes that a
            strided convolution maps to n it chooses one.

    Shapes: X (batch, *space, in); W (*kernel, in // groups, out), where W[t] takes X's channels to Y's, as in conv
    (PyTorch has (in, out // groups, *kernel)); B (out,); Y (batch, *sizes, out), with
    sizes = (space − 1)·stride − low − high + dilation·(kernel − 1) + output_padding + 1.

    The rule is that of conv with X and Y exchanged:
        dE/dW[t] = Σₒ X[o]ᵀ · dE/dY[o·stride + t·dilation − low]        dE/dB = Σ dE/dY, over all but the channels
        dE/dX[o] = Σₜ dE/dY[o·stride + t·dilation − low] · W[t]ᵀ

    M. Zeiler et al., "Deconvolutional networks", CVPR 2010; V. Dumoulin and F. Visin, "A guide to convolution
    arithmetic for deep learning", 2016.

    >>> import numpy as np, purenet as pn
    >>> layer = pn.conv_transpose(8, 3, 4, stride=2, padding=1)
    >>> params = layer.init(pn.key(0))
    >>> layer.apply(params, np.ones((4, 7, 7, 8), np.float32)).shape
    (4, 14, 14, 3)
    """
    inputs, outputs, size = _sizes("conv_transpose", sizes, groups)
    name = _name("conv_transpose", sizes, stride, padding, dilation, groups, bias, output_padding)
    dims = len(size)
    strides, dilations = per_axis(name, "stride", stride, dims), per_axis(name, "dilation", dilation, dims)
    windows = Windows(name, size, strides, dilations, pairs(name, padding, dims))
    added = per_axis(name, "output_padding", output_padding, dims, least=0)
    if any(a >= max(s, d) for a, s, d in zip(added, strides, dilations, strict=True)):
        raise ValueError(
            f"{name}: an output_padding of {added} must be less than the stride {strides} or the dilation {dilations}"
        )
    if windows.padding == "same" and any(added):
        raise ValueError(f'{name}: padding="same" says the size of the output, so it takes no output_padding')

    def target(space: Shape) -> Shape:
        if windows.padding == "same":
            return tuple(n * s for n, s in zip(space, strides, strict=True))
        axes = zip(space, strides, windows.padding, windows.reach, added, strict=True)
        out = tuple((n - 1) * s - low - high + r + a for n, s, (low, high), r, a in axes)
        if min((*space, *out)) < 1:
            raise ValueError(f"{name} would make an output of {out} from an input of {space}: its padding is too large")
        return out

    def forward(weight: Any, bias: Any, x: Any) -> tuple[Any, Pull]:
        space, out = tuple(x.shape[1:-1]), target(tuple(x.shape[1:-1]))
        if windows.padding == "same":
            low = tuple(max(0, r - s) // 2 for r, s in zip(windows.reach, strides, strict=True))
        else:
            low = tuple(a for a, _ in windows.padding)
        # what windows need at the high end to fit exactly as often as x is long
        axes = zip(space, strides, windows.reach, low, out, strict=True)
        ends = tuple((a, (n - 1) * s + r - a - o) for n, s, r, a, o in axes)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            dy = pad_space(dy, ends)
            dweight = transposed(correlate_weight(dy, x, windows, groups), groups)
            return dweight, correlate(dy, transposed(weight, groups), windows, groups) if wrt_x else None

        return add_channels(spread(x, weight, windows, low, out, groups), bias), pull

    return _layer(name, (inputs, outputs, size, groups), bias, (weight_init, bias_init), target, forward)


Pull = Callable[[Any, bool], tuple[Any, Any]]


def _layer(
    name: str,
    sizes: tuple[int | None, int, Shape, int],
    bias: bool,
    initializers: tuple[Initializer, Initializer],
    target: Callable[[Shape], Shape],
    forward: Callable[[Any, Any, Any], tuple[Any, Pull]],
) -> Layer[ConvParams]:
    """The layer of `forward(weight, bias, x) -> (y, pull)` and `target(space) -> space of y`."""
    inputs, outputs, size, groups = sizes
    dims = len(size)

    def shape(in_shape: Shape | None) -> Shape | None:
        if in_shape is None or is_open(in_shape):
            return None
        check_rank(name, in_shape, dims)
        if inputs not in (None, in_shape[-1]) or in_shape[-1] % groups:
            wanted = f"a multiple of {groups}" if inputs is None else inputs
            raise ValueError(f"{name} takes {wanted} channels on the last axis, but its in_shape is {tuple(in_shape)}")
        return (*target(tuple(in_shape[:-1])), outputs)

    def init(key: Key, in_shape: Shape | None = None) -> ConvParams:
        shape(in_shape)
        channels = inputs if in_shape is None else in_shape[-1]
        if channels is None:
            maker, given = name.split("(")[0], f"{outputs}, {size}"
            raise ValueError(
                f"{name} does not know how many channels it is given: "
                f"write {maker}(channels, {given}), or init(key, in_shape={axes_of(dims).replace('batch, ', '')})"
            )
        weight_key, bias_key = split(key)
        weight = draw(weight_init, weight_key, (*size, channels // groups, outputs), name)
        return ConvParams(weight, draw(bias_init, bias_key, (outputs,), name) if bias else None)

    weight_init, bias_init = initializers

    def check(params: ConvParams, x: Any) -> None:
        floating(x, name)
        if not isinstance(params, ConvParams):
            raise ValueError(f"{name} takes ConvParams(weight, bias), not {describe(params)}. {whose(params)}")
        if x.ndim != dims + 2:
            mend = ": write x[..., None] for one channel, x[None] for one example" if x.ndim == dims + 1 else ""
            raise ValueError(f"{name} takes x of shape {axes_of(dims)}, not {describe(x)}{mend}")
        weight, b = params
        channels = weight.shape[-2] * groups if weight.ndim == dims + 2 else None
        if channels not in (None, x.shape[-1]) and inputs in (None, channels):
            mend = ": channels are the last axis, so write np.moveaxis(x, 1, -1)" if x.shape[1] == channels else ""
            raise ValueError(
                f"{name} takes x with {channels} channels, as its weight {tuple(weight.shape)} has, but x has shape "
                f"{tuple(x.shape)}{mend}"
            )
        wanted = (*size, x.shape[-1] // groups, outputs)
        if inputs not in (None, x.shape[-1]) or x.shape[-1] % groups or tuple(weight.shape) != wanted:
            raise ValueError(
                f"{name} has a weight of shape {tuple(weight.shape)}, (*kernel, channels of x // groups, out), "
                f"which does not fit x of shape {tuple(x.shape)}: there it would be {wanted}"
            )
        if (b is None) is bias or (b is not None and tuple(b.shape) != (outputs,)):
            given = None if b is None else tuple(b.shape)
            raise ValueError(f"{name} takes a bias of shape {(outputs,) if bias else None}, not {given}")
        if x.dtype != weight.dtype:
            raise TypeError(
                f"{name} has {weight.dtype} params, but x is {x.dtype}: write x.astype(np.{weight.dtype}), "
                f"or convert the params with purenet.tree.cast(params, np.{x.dtype})"
            )

    def run(params: ConvParams, x: Any) -> tuple[Any, Pull]:
        check(params, x)
        return forward(params.weight, params.bias, meet(x, params.weight))

    def apply(params: ConvParams, x: Any, key: Key | None = None) -> Any:
        return run(params, x)[0]

    def vjp(params: ConvParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[ConvParams]]:
        y, pull = run(params, x)
        y_shape, dtype = y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[ConvParams, Any]:
            match(dy, y_shape, dtype, name)
            dweight, dx = pull(dy, wrt_x)
            return ConvParams(dweight, sum_channels(dy) if bias else None), dx

        return y, pullback

    return Layer(init, apply, vjp, shape, name)


def _sizes(who: str, sizes: tuple[Any, ...], groups: Any) -> tuple[int | None, int, Shape]:
    """(in, out, kernel) of the positional arguments; `in` is None where it is to be inferred."""
    if not 2 <= len(sizes) <= 3:
        raise TypeError(f"{who} takes (in, out, kernel) or (out, kernel), not {len(sizes)} sizes")
    *channels, kernel = sizes
    for n in (*channels, groups):
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ValueError(f"{who} takes channels and groups that are positive integers, not {n!r}")
    if any(n % groups for n in channels):
        raise ValueError(f"{who} cannot divide {' and '.join(map(str, channels))} channels into {groups} groups")
    inputs, outputs = channels if len(channels) == 2 else (None, channels[0])
    return inputs, outputs, window_size(who, "kernel", kernel)


def _name(
    who: str, sizes: Any, stride: Any, padding: Any, dilation: Any, groups: int, bias: bool, output_padding: Any = 0
) -> str:
    return called(
        who,
        *sizes,
        stride=(stride, 1),
        padding=(padding, "valid"),
        output_padding=(output_padding, 0),
        dilation=(dilation, 1),
        groups=(groups, 1),
        bias=(bias, True),
    )
