"""Pooling: one number for each window and channel. Channels last, in one, two and three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, Shape, describe
from purenet.engine.windows import Back, Ends, Windows
from purenet.layers.activations import NoParams
from purenet.layers.hints import of_images
from purenet.layers.recurrence import check_lengths, lengths_fit, look_at_lengths
from purenet.layers.windows import Padding, axes, pairs, per_axis, place, spatial, window_size
from purenet.random import Key
from purenet.spec import Pull, Spec, check_array, check_sizes, layer
from purenet.spec.patterns import Sizes
from purenet.spec.presets import preset
from purenet.values import Call, called, hinted, takes_numbers


@takes_numbers
def max_pool(
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: Padding = "valid",
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Layer[NoParams]:
    """The maximum of each window: Y[o] = max over t of X[o·stride + t·dilation − low]. Padded cells count as −∞.

    An int is a square for images; a tuple of one, two or three sizes is a window for sequences, images or volumes.

    Args:
        stride: cells from one window to the next; by default the window, so that windows lie side by side.
        padding: as in `conv`; less than the reach of the window.
        dilation: cells from one cell of a window to the next.
        ceil_mode: whether a last window that goes beyond the high end counts too, as in PyTorch. It must start inside X
            or its low padding. What it has beyond the end is −∞. With padding="same" there is no such window.

    Shapes: X (batch, *space, channels); Y (batch, *counts, channels), with reach = (window − 1)·dilation + 1 and
    counts = ⌊(space + low + high − reach) / stride⌋ + 1. With ceil_mode it is ⌈…⌉, or one less where the last window
    would start beyond X.

    The rule: dE/dX[i] is the sum of dE/dY[o] over the windows o whose maximum X[i] is. Of equal values the first in
    row-major order is the maximum, as in PyTorch.

    Raises:
        TypeError: ceil_mode is neither True nor False.
        ValueError: a size is none; the padding reaches as far as the window; the window does not fit into X; or some
            window would hold padding alone, which has no maximum.

    Y.-T. Zhou and R. Chellappa, "Computation of optical flow using a neural network", ICNN 1988.

    >>> import numpy as np, purenet as pn
    >>> x = np.array([[1.0, 3.0, 3.0, 2.0]])[..., None]
    >>> y, pullback = pn.max_pool((2,)).vjp((), x)
    >>> y.ravel(), pullback(np.ones_like(y))[1].ravel()
    (array([3., 3.]), array([0., 1., 1., 0.]))
    >>> pn.max_pool((3,), stride=2, ceil_mode=True).apply((), x).ravel()
    array([3., 3.])
    """

    def rule(ops: Ops, x: Array, windows: Windows, ends: Ends, declared: Ends) -> tuple[Array, Back]:
        return ops.max_windows(x, windows, ends)

    return _pool(called("max_pool", locals()), rule, window, stride, padding, dilation, ceil_mode)


@takes_numbers
def avg_pool(
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: Padding = "valid",
    ceil_mode: bool = False,
    count_include_pad: bool | None = None,
) -> Layer[NoParams]:
    """The mean of each window: Y[o] = Σₜ X[o·stride + t − low] / cells. Padded cells are 0.

    Arguments, shapes and errors are those of `max_pool`, but for the dilation.

    Args:
        ceil_mode: what the last window has beyond X and its padding never counts as cells, as in PyTorch.
        count_include_pad: whether the padding counts as cells. By default it does, as in PyTorch; but with
            padding="same" only the cells of X count, as in JAX and TensorFlow, whose padding that is.

    The rule: dE/dX[i] is the sum of dE/dY[o] / cells over the windows o that X[i] is in.

    Y. LeCun et al., "Gradient-based learning applied to document recognition", Proceedings of the IEEE 1998.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.avg_pool((2,)).vjp((), np.array([[1.0, 3.0, 3.0, 2.0]])[..., None])
    >>> y.ravel(), pullback(np.ones_like(y))[1].ravel()
    (array([2. , 2.5]), array([0.5, 0.5, 0.5, 0.5]))
    >>> pn.avg_pool((3,), ceil_mode=True).apply((), np.array([[1.0, 3.0, 5.0, 2.0]])[..., None]).ravel()
    array([3., 2.])
    """
    name = called("avg_pool", locals())
    include = padding != "same" if count_include_pad is None else count_include_pad

    def rule(ops: Ops, x: Array, windows: Windows, ends: Ends, declared: Ends) -> tuple[Array, Back]:
        return ops.mean_windows(x, windows, ends, declared if include else ((0, 0),) * len(declared))

    return _pool(name, rule, window, stride, padding, 1, ceil_mode)


def _pool(
    name: Call,
    op: Callable[[Ops, Array, Windows, Ends, Ends], tuple[Array, Back]],
    window: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: Padding,
    dilation: int | Sequence[int],
    ceil: bool,
) -> Layer[NoParams]:
    """The layer of `op(ops, x, windows, ends, declared) -> (y, pull)`, with the padding that windows need and the
    padding that was asked for: with `ceil` a last window may need more."""
    size = window_size(name, "window", window)
    strides = size if stride is None else per_axis(name, "stride", stride, len(size))
    windows = Windows(size, strides, per_axis(name, "dilation", dilation, len(size)))
    wanted, dilated = pairs(name, padding, len(size)), windows.reach != size
    if wanted != "same" and any(max(p) >= n for p, n in zip(wanted, windows.reach, strict=True)):
        reach = f", {windows.reach} with its dilation" if dilated else ""
        raise ValueError(f"{name}: a padding of {wanted} must be less than the window {size}{reach}")

    def placed(space: Shape) -> tuple[Shape, Ends]:
        counts, ends = place(name, windows, wanted, space, ceil)
        if dilated:
            _check_cells(name, windows, counts, ends, space)
        return counts, ends

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        _, ends = placed(x.shape[1:-1])
        return op(ops, x, windows, ends, ends if wanted == "same" else wanted)

    def y_shape(in_shape: Shape) -> Shape:
        return (*placed(tuple(in_shape[:-1]))[0], in_shape[-1])

    return spatial(name, rule, y_shape, len(size), wide=True)


def _check_cells(who: str, windows: Windows, counts: Shape, ends: Ends, space: Shape) -> None:
    """Check that each window holds a cell of the input: one whose cells are farther apart may step over all of it."""
    for size, stride, dilation, count, (low, _), n in zip(*windows, counts, ends, space, strict=True):
        starts = range(-low, count * stride - low, stride) if dilation > n else ()
        if any(all(not 0 <= start + t * dilation < n for t in range(size)) for start in starts):
            raise ValueError(
                f"{who}: some window holds padding alone, for a dilation of {dilation} steps over all {n} cells of the "
                f"input: make the dilation {n} at most, or leave the padding out"
            )


def _no_cells(sizes: Sizes) -> str:
    space = sizes.get("space", (sizes.get("time", 1),))
    return f"takes at least one cell, but the spatial axes of each example are {space}" if 0 in space else ""


def _over_all(
    name: Call, rule: Callable[[Ops, Array, Any, Array | None], tuple[Array, Back]], alone: str = ""
) -> Layer[NoParams]:
    """The layer of `rule(ops, cells, count, real) -> (y, pull)`, with all spatial axes in one, (batch, n, channels).

    All n cells count, and `real` is None; or with lengths or a mask only those where `real` (batch, n, 1), which are
    `count` (batch, 1). `alone` is the pattern of x without lengths, if it is not that of images; then there is no mask.
    """

    def whole(ops: Ops, params: NoParams, x: Any, key: Key | None) -> tuple[Array, Pull]:
        array, beside = x if type(x) is tuple else (x, None)
        batch, *space, channels = array.shape
        count: Any = math.prod(space)
        real, cells = None, ops.reshape(array, (batch, count, channels))
        if beside is None:
            y, pull = rule(ops, cells, count, None)
        elif beside.ndim == 2:  # a mask
            real = beside[:, :, None]
            y, pull = rule(ops, cells, ops.sum(ops.astype(beside, array.dtype), axis=1, keepdims=True), real)
        else:  # lengths
            real = ops.arange(count)[:, None] < beside[:, None, None]
            y, pull = rule(ops, cells, ops.astype(beside[:, None], array.dtype), real)
            y = ops.or_nan(y, lambda: lengths_fit(beside, count)[:, None])

        def pull_whole(dy: Array, wrt_x: bool) -> tuple[NoParams, Any]:
            if not wrt_x:
                return (), None
            dx = pull(dy)
            dx = ops.reshape(dx if real is None else ops.where(real, dx, 0), array.shape)
            return (), dx if beside is None else (dx, None)

        return y, pull_whole

    sequence = "batch time channels"
    forms: list[Any] = [alone or axes(None), (sequence, "lengths = batch: int")]
    forms += [] if alone else [(sequence, "mask = batch time: bool")]
    spec = Spec(
        name,
        x=forms,
        y=["batch channels"] * len(forms),
        hints=() if alone else (of_images(None),),
        fits=_no_cells,
        values=lambda x: look_at_lengths(name, x),
    )
    return layer(spec, whole, wide=True)


@preset
def global_avg_pool() -> Layer[NoParams]:
    """The mean over all spatial axes: X (batch, *space, channels) to Y (batch, channels).

    Of padded sequences X (batch, time, channels) with what is real of each, the mean over that; over nothing it is 0:
        (X, lengths) with lengths (batch,), integers: the first steps, as many as each length
        (X, mask) with mask (batch, time), booleans: the steps at which it is True, as `lengths_to_mask` gives it

    The rule: dE/dX = dE/dY / cells, the same for each cell; 0 in the padding. Nothing depends on what stands there.

    M. Lin, Q. Chen, S. Yan, "Network in network", ICLR 2014.

    >>> import numpy as np, purenet as pn
    >>> pn.global_avg_pool.apply((), np.ones((2, 7, 7, 3))).shape
    (2, 3)
    >>> x = np.array([[[1.0], [3.0], [0.0]]])
    >>> pn.global_avg_pool.apply((), (x, np.array([2])))
    array([[2.]])
    >>> pn.global_avg_pool.apply((), (x, np.array([[False, True, True]])))
    array([[1.5]])
    """

    def rule(ops: Ops, cells: Array, count: Any, real: Array | None) -> tuple[Array, Back]:
        number = count if real is None else ops.maximum(count, 1)
        own = cells if real is None else ops.where(real, cells, 0)
        y = ops.sum_before_last(own)[:, 0, :] / number
        return y, lambda dy: ops.broadcast_to((dy / number)[:, None, :], cells.shape) + 0  # + 0: an array of its own

    return _over_all(called("global_avg_pool"), rule)


@preset
def global_max_pool() -> Layer[NoParams]:
    """The maximum over all spatial axes: X (batch, *space, channels) to Y (batch, channels).

    Of padded sequences, (X, lengths) or (X, mask) as of `global_avg_pool`, the maximum over what is real of each; over
    nothing it is 0.

    The rule: dE/dY goes to the maximum; of equal ones to the first in row-major order, as in PyTorch's
    `adaptive_max_pool`.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.global_max_pool.vjp((), np.array([[1.0, 3.0, 3.0]])[..., None])
    >>> y, pullback(np.ones_like(y))[1].ravel()
    (array([[3.]]), array([0., 1., 0.]))
    """

    def rule(ops: Ops, cells: Array, count: Any, real: Array | None) -> tuple[Array, Back]:
        own = cells if real is None else ops.where(real, cells, -math.inf)
        y = ops.max(own, axis=1)

        def pull(dy: Array) -> Array:
            first = ops.arange(cells.shape[1])[:, None] == ops.argmax(own, axis=1)[:, None, :]
            return ops.keep(dy[:, None, :], first)

        return y if real is None else ops.where(count > 0, y, 0), pull

    return _over_all(called("global_max_pool"), rule)


@preset
def last_step() -> Layer[NoParams]:
    """The last step of a sequence: X (batch, time, channels) to Y (batch, channels).

    Of padded sequences, (X, lengths), the last of each one's own length; of length 0 it is 0. A recurrent layer has
    `last=True` for it; this is for what comes after an attention, or a stack of other layers.

    The rule: dE/dY goes to the step that was taken.

    >>> import numpy as np, purenet as pn
    >>> pn.last_step.apply((), (np.array([[[1.0], [3.0], [0.0]]]), np.array([2])))
    array([[3.]])
    """

    def rule(ops: Ops, cells: Array, count: Any, real: Array | None) -> tuple[Array, Back]:
        at = ops.astype(ops.arange(cells.shape[1]), cells.dtype)[:, None]  # as count is
        taken = at == (cells.shape[1] if real is None else count[:, :, None]) - 1
        y = ops.sum_before_last(ops.keep(cells, taken))[:, 0, :]
        return y, lambda dy: ops.keep(dy[:, None, :], taken)

    return _over_all(called("last_step"), rule, "batch time channels")


@hinted
def lengths_to_mask(lengths: Array, time: int) -> Array:
    """The mask of padded sequences, as attention and the global pools take it: (batch, time), True at the steps within
    each length.

    Raises:
        TypeError: the lengths are no array of integers.
        ValueError: they are not of shape (batch,), or go beyond 0 to time; or time is no positive integer.

    >>> import numpy as np, purenet as pn
    >>> pn.lengths_to_mask(np.array([1, 3]), 3)
    array([[ True, False, False],
           [ True,  True,  True]])
    """
    who = "lengths_to_mask"
    check_sizes(who, "steps of time", time)
    ops = check_array(lengths, who, "lengths", floats=False)
    if not ops.isdtype(lengths.dtype, "integral"):
        raise TypeError(f"{who} takes integers as lengths, not {describe(lengths)}: write lengths.astype(int)")
    if lengths.ndim != 1:
        raise ValueError(f"{who} takes lengths of shape (batch,), but lengths has shape {tuple(lengths.shape)}")
    lengths = ops.take_in(lengths)
    ops.look(lambda numbers: check_lengths(who, numbers, time), lengths)
    mask: Array = ops.arange(time) < lengths[:, None]
    return mask
