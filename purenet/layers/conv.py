"""Convolution and its transpose, in one, two and three dimensions, channels last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, Shape
from purenet.engine.windows import Windows
from purenet.initializers import Initializer, glorot_uniform, side_by_side, zeros
from purenet.layers.hints import of_images
from purenet.layers.windows import Ends, Padding, axes, pairs, per_axis, place, window_size
from purenet.random import Key
from purenet.spec import Pull, Spec, check_sizes, layer
from purenet.spec.patterns import Sizes
from purenet.values import called, takes_numbers


class ConvParams(NamedTuple):
    """weight (*kernel, in // groups, out); bias (out,), or None in a layer without."""

    weight: Array
    bias: Array | None


@takes_numbers
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
            `weight_init` draws each kernel by itself, (*kernel, in // groups, out // groups).

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
    spec, windows, wanted = _spec("conv", locals())
    outputs = spec.sizes["outputs"]

    def rule(ops: Ops, params: ConvParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        weight, space = params.weight, x.shape[1:-1]
        ends = place(spec.name, windows, wanted, space)[1]
        padded = ops.pad_space(x, ends)
        patches = ops.kept_patches(padded, outputs, windows, groups)
        y = ops.correlate(padded, weight, windows, groups, params.bias, patches)

        def pull(dy: Array, wrt_x: bool) -> tuple[ConvParams, Array | None]:
            dweight = ops.correlate_weight(padded, dy, windows, groups, patches)
            grads = ConvParams(dweight, ops.sum_channels(dy) if bias else None)
            low = tuple(a for a, _ in ends)
            return grads, ops.spread(dy, ops.transposed(weight, groups), windows, low, space, groups) if wrt_x else None

        return y, pull

    def y_shape(in_shape: Shape) -> Shape:
        return (*place(spec.name, windows, wanted, tuple(in_shape[:-1]))[0], outputs)

    return layer(spec._replace(y=y_shape), rule)


@takes_numbers
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
    spec, windows, cut = _spec("conv_transpose", locals())
    name, outputs, (_, strides, dilations) = spec.name, spec.sizes["outputs"], windows
    added = per_axis(name, "output_padding", output_padding, len(strides), least=0)
    if any(a >= max(s, d) for a, s, d in zip(added, strides, dilations, strict=True)):
        raise ValueError(
            f"{name}: an output_padding of {added} must be less than the stride {strides} or the dilation {dilations}"
        )
    if cut == "same" and any(added):
        raise ValueError(f'{name}: padding="same" says the size of the output, so it takes no output_padding')

    def rule(ops: Ops, params: ConvParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        weight, space = params.weight, x.shape[1:-1]
        out, low = _place_spread(name, windows, cut, added, space)
        # what windows need at the high end to fit exactly as often as x is long
        sizes = zip(space, strides, windows.reach, low, out, strict=True)
        ends = tuple((a, (n - 1) * s + r - a - o) for n, s, r, a, o in sizes)
        y = ops.add_channels(ops.spread(x, weight, windows, low, out, groups), params.bias)

        def pull(dy: Array, wrt_x: bool) -> tuple[ConvParams, Array | None]:
            padded = ops.pad_space(dy, ends)
            dweight = ops.transposed(ops.correlate_weight(padded, x, windows, groups), groups)
            grads = ConvParams(dweight, ops.sum_channels(dy) if bias else None)
            return grads, ops.correlate(padded, ops.transposed(weight, groups), windows, groups) if wrt_x else None

        return y, pull

    def y_shape(in_shape: Shape) -> Shape:
        return (*_place_spread(name, windows, cut, added, tuple(in_shape[:-1]))[0], outputs)

    return layer(spec._replace(y=y_shape), rule)


@lru_cache(1024)  # the layer asks at each step
def _place_spread(who: str, windows: Windows, cut: Ends, added: Shape, space: Shape) -> tuple[Shape, Shape]:
    """The spatial axes of a transposed convolution's Y, from those of its X, and what is cut off at their low ends."""
    if cut == "same" and min(space) > 0:
        low = tuple(max(0, r - s) // 2 for r, s in zip(windows.reach, windows.stride, strict=True))
        return tuple(n * s for n, s in zip(space, windows.stride, strict=True)), low
    ends = ((0, 0),) * len(space) if cut == "same" else cut
    sizes = zip(space, windows.stride, ends, windows.reach, added, strict=True)
    out = tuple((n - 1) * s - low - high + r + a for n, s, (low, high), r, a in sizes)
    if min((*space, *out)) < 1:
        raise ValueError(
            f"{who} would make an output of {out} from an input of {space}: it has no cells, or too large a padding"
        )
    return out, tuple(low for low, _ in ends)


def _spec(maker: str, given: Mapping[str, Any]) -> tuple[Spec, Windows, Ends]:
    """The spec but for Y, the windows, and the padding, of the maker's `locals()`."""
    groups, weight_init = given["groups"], given["weight_init"]
    inputs, outputs, kernel = _sizes(maker, given["sizes"], groups)
    name, dims = called(maker, given), len(kernel)
    each = [per_axis(name, option, given[option], dims) for option in ("stride", "dilation")]

    def fits(sizes: Sizes) -> str:
        channels = sizes.get("channels", groups)
        return f"takes a multiple of {groups} channels, not {channels}" if channels % groups or not channels else ""

    channels = "channels" if groups == 1 else f"channels/{groups}"
    spec = Spec(
        name,
        x=axes(dims),
        y=None,
        last="outputs",
        params=ConvParams._make(
            (f"{' '.join(map(str, kernel))} {channels} outputs", "outputs" if given["bias"] else None)
        ),
        init=ConvParams._make(
            (weight_init if groups == 1 else side_by_side(name, *(weight_init,) * groups), given["bias_init"])
        ),
        sizes={"channels": inputs, "outputs": outputs},
        complete=f"{maker}(channels, {outputs}, {kernel})",
        hints=(of_images(dims),),
        fits=fits,
    )
    return spec, Windows(kernel, *each), pairs(name, given["padding"], dims)


def _sizes(maker: str, sizes: tuple[Any, ...], groups: Any) -> tuple[int | None, int, Shape]:
    """(in, out, kernel) of the positional arguments; `in` is None where it is to be inferred."""
    if not 2 <= len(sizes) <= 3:
        raise TypeError(f"{maker} takes (in, out, kernel) or (out, kernel), not {len(sizes)} sizes")
    *channels, kernel = sizes
    check_sizes(maker, "channels and groups", *channels, groups)
    if any(n % groups for n in channels):
        raise ValueError(f"{maker} cannot divide {' and '.join(map(str, channels))} channels into {groups} groups")
    inputs, outputs = channels if len(channels) == 2 else (None, channels[0])
    return inputs, outputs, window_size(maker, "kernel", kernel)
