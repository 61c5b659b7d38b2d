"""Normalization: X less its mean, over its standard deviation, and then a learned scale and shift for each channel.

They differ in what one mean is taken over. Channels are the last axis:

    batch_norm      each channel, over the batch and every position
    layer_norm      each position of each example, over the channels
    instance_norm   each channel of each example, over the positions
    group_norm      each group of channels of each example, over the positions and the group
    rms_norm        as layer_norm, but without taking off the mean

All share one rule. Let X̂ = (X − μ)·r with r = 1/√(σ² + eps), and let ⟨·⟩ be the mean over the n numbers that μ and σ²
are taken over. Each x reaches E directly, through μ and through σ²; with dμ/dX = 1/n and dσ²/dX = 2(X − μ)/n,

    dE/dX = r ⊙ (dE/dX̂ − ⟨dE/dX̂⟩ − X̂ ⊙ ⟨dE/dX̂ ⊙ X̂⟩)

where both means run over just the numbers that those of the forward pass ran over. The scale and shift, Y = X̂ ⊙ W + B:

    dE/dW = Σ dE/dY ⊙ X̂        dE/dB = Σ dE/dY        dE/dX̂ = dE/dY ⊙ W
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from purenet.core import Buffer, Layer, Pullback
from purenet.engine.arrays import (
    Array,
    Shape,
    describe,
    floating,
    freeze,
    is_open,
    match,
    meet,
    namespace,
    sum_last,
    sum_leading,
    sum_rows,
    whose,
)
from purenet.initializers import ones, zeros
from purenet.presets import called, preset
from purenet.random import Key

Pull = Callable[[Any], Any]


class NormParams(NamedTuple):
    """weight and bias (features,), the scale and the shift of each channel; rms_norm has no bias, but None."""

    weight: Array
    bias: Array | None


class BatchNormParams(NamedTuple):
    """weight and bias (features,), or None each; the running mean and variance (features,), which are not trained."""

    weight: Array | None
    bias: Array | None
    mean: Buffer
    variance: Buffer


def _mean_of_rows(x: Any, y: Any = None) -> Any:
    """⟨X⟩, or ⟨X ⊙ Y⟩, over the axis before the last."""
    return sum_rows(x if y is None else x * y) * (1 / x.shape[-2])


def _mean_of_features(x: Any, y: Any = None) -> Any:
    """⟨X⟩, or ⟨X ⊙ Y⟩, over the last axis."""
    total = sum_last(x) if y is None else namespace(x).vecdot(x, y)[..., None]
    return total * (1 / x.shape[-1])


def _normalized(xp: Any, x: Any, mean_of: Callable[..., Any], eps: float) -> tuple[Any, Pull, Any, Any]:
    """X̂, its rule pull(dE/dX̂) = dE/dX, μ and the (biased) σ², with `mean_of` for ⟨·⟩ and ⟨· ⊙ ·⟩.

    The rounding error of a mean is in proportion to the mean, which may be far larger than the deviations that are
    wanted. So what is left of the mean after taking it off is taken off too; only then come the squares.
    """
    mean = mean_of(x)
    xhat = x - mean
    rest = mean_of(xhat)
    xhat -= rest
    variance = mean_of(xhat, xhat)
    r = 1 / xp.sqrt(variance + eps)
    xhat *= r

    def pull(dxhat: Any) -> Any:
        dx = xhat * -mean_of(dxhat, xhat)
        dx += dxhat
        dx -= mean_of(dxhat)
        dx *= r
        return dx

    return xhat, pull, mean + rest, variance


def _affine_norm(
    name: str, shape: Any, features: int | None, affine: bool, normalize: Any, bias: bool = True
) -> Layer[Any]:
    """The layer of `normalize(xp, x) -> (xhat, pull)`, with or without scale and shift."""

    def init(key: Key, in_shape: Shape | None = None) -> Any:
        shape(in_shape)
        if not affine:
            return ()
        n = (_features(name, features, in_shape),)
        return NormParams(ones(key, n), zeros(key, n) if bias else None)

    def forward(params: Any, x: Any) -> tuple[Any, Any, Pull]:
        xp = _checked(name, params, NormParams if affine else tuple, bias, x)
        shape(tuple(x.shape[1:]))
        xhat, pull = normalize(xp, x)
        return _affine(xhat, *params) if affine else xhat, xhat, pull

    def apply(params: Any, x: Any, key: Key | None = None) -> Any:
        return forward(params, x)[0]

    def vjp(params: Any, x: Any, key: Key | None = None) -> tuple[Any, Pullback[Any]]:
        y, xhat, pull = forward(params, x)
        y_shape, dtype = y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[Any, Any]:
            match(dy, y_shape, dtype, name)
            dparams = params
            if affine:
                dparams = NormParams(sum_leading(dy * xhat), sum_leading(dy) if bias else None)
            if not wrt_x:
                return dparams, None
            return dparams, pull(dy * params.weight if affine else dy)

        return y, pullback

    return Layer(init, apply, vjp, shape, name)


def _affine(xhat: Any, weight: Any, bias: Any) -> Any:
    """X̂ ⊙ W + B, without what is None."""
    if weight is None:
        return xhat
    y = xhat * weight
    if bias is not None:
        y += bias
    return y


def _check_options(who: str, features: Any, eps: float) -> None:
    if features is not None and (isinstance(features, bool) or not isinstance(features, int) or features < 1):
        raise ValueError(f"{who} takes a positive number of features, not {features!r}")
    if not eps >= 0:
        raise ValueError(f"{who} takes an eps of 0 or more, not {eps!r}")


def _shape(name: str, features: int | None, check: Callable[[Shape], None] | None = None) -> Any:
    """The `shape` of a normalization: what comes in goes out, if its features are as many as were said."""

    def shape(in_shape: Shape | None) -> Shape | None:
        if in_shape is None:
            return None
        if len(in_shape) < 1 or features not in (None, in_shape[-1]):
            given = ", ".join(("batch", *map(str, in_shape)))
            raise ValueError(f"{name} takes (batch, ..., {features or 'features'}), but its input has shape ({given})")
        if check is not None:
            check(in_shape)
        return in_shape

    return shape


def _features(name: str, features: int | None, in_shape: Shape | None) -> int:
    size = features if in_shape is None else in_shape[-1]
    if size is None:
        made = f"{name[:-1]}, features=n)" if name.endswith(")") else f"{name}(n)"
        raise ValueError(f"{name} does not know how many features it has: write {made}, or init(key, in_shape=(n,))")
    return size


def _checked(name: str, params: Any, kind: Any, bias: bool, x: Any) -> Any:
    """The namespace of x, after a check of x and params."""
    xp = floating(x, name)
    if type(params) is not kind or (bool(params) if kind is tuple else (params.bias is None) is bias):
        wanted = (
            "()" if kind is tuple else f"{kind.__name__}({', '.join(kind._fields)}){'' if bias else ' without bias'}"
        )
        raise ValueError(f"{name} takes params = {wanted}, not {describe(params)}. {whose(params)}")
    first: Any = params.mean.value if kind is BatchNormParams else params[0] if params else None
    if first is not None and first.shape != x.shape[-1:]:
        raise ValueError(f"{name} has params for {first.shape[0]} features, but x has shape {tuple(x.shape)}")
    if first is not None and first.dtype != x.dtype:
        raise TypeError(
            f"{name} has {first.dtype} params, but x is {x.dtype}: write x.astype(np.{first.dtype}), "
            f"or convert the params with purenet.tree.cast(params, np.{x.dtype})"
        )
    return xp


@preset
def batch_norm(
    features: int | None = None, *, momentum: float = 0.1, eps: float = 1e-5, affine: bool = True
) -> Layer[BatchNormParams]:
    """Batch normalization: each channel, over the batch and every position. X and Y (batch, ..., features).

    In training (with a key) the batch's own mean and variance normalize, and the running ones move towards them:
    next = (1 − momentum)·old + momentum·batch, with the unbiased variance, Σ (X − μ)² / (n − 1). These stand
    in dparams, and an optimizer takes them over. The rule is the module's: dE/dX too takes its means over the batch.

    In inference the running mean and variance are constants, so Y = X·a + b and dE/dX = dE/dY ⊙ a, a = W / √(σ² + eps).

    S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", ICML 2015. Options and defaults are PyTorch's.

    Raises:
        ValueError: in training, where a channel has a single value: there is no variance then.

    >>> import numpy as np, purenet as pn
    >>> params = pn.batch_norm.init(pn.key(0), in_shape=(2,))
    >>> x = np.array([[1.0, 1001.0], [3.0, 1003.0]], np.float32)
    >>> y, pullback = pn.batch_norm.vjp(params, x, pn.key(1))
    >>> y
    array([[-0.999995, -0.999995],
           [ 0.999995,  0.999995]], dtype=float32)
    >>> dparams, dx = pullback(y)
    >>> dparams.mean.value, dparams.variance.value  # the next ones: a step of 0.1 from 0 and 1
    (array([  0.2     , 100.200005], dtype=float32), array([1.1, 1.1], dtype=float32))
    """
    _check_options("batch_norm", features, eps)
    if not 0 <= momentum <= 1:
        raise ValueError(f"batch_norm takes a momentum from 0 to 1, not {momentum!r}")
    name = called(
        "batch_norm", features=(features, None), momentum=(momentum, 0.1), eps=(eps, 1e-5), affine=(affine, True)
    )
    shape = _shape(name, features)

    def init(key: Key, in_shape: Shape | None = None) -> BatchNormParams:
        n = (_features(name, features, shape(in_shape)),)
        weight, bias = (ones(key, n), zeros(key, n)) if affine else (None, None)
        return BatchNormParams(weight, bias, Buffer(zeros(key, n)), Buffer(ones(key, n)))

    def forward(
        params: BatchNormParams, x: Any, key: Key | None
    ) -> tuple[Any, Callable[[Any, bool], tuple[BatchNormParams, Any]]]:
        """Y = (X − μ)·a + b, and its rule. Numbers a channel are laid out `width` times, for the wide rows of X."""
        _checked(name, params, BatchNormParams, affine, x)
        shape(tuple(x.shape[1:]))
        x = meet(x, params.mean.value)
        xp = namespace(x)
        width, n, following, weight = _width(x), math.prod(x.shape[:-1]), params, params.weight

        def wide(x: Any) -> Any:
            return xp.reshape(x, (n // width, width * x.shape[-1]))

        def repeated(channels: Any) -> Any:
            return xp.tile(channels, (width,)) if width > 1 else channels

        def total(sums: Any) -> Any:
            return xp.sum(xp.reshape(sums, (width, x.shape[-1])), axis=0)

        flat = wide(x)
        if key is None:
            mean, rest, variance = params.mean.value, 0.0, params.variance.value
            y = flat - repeated(mean)
        else:
            if n < 2:
                raise ValueError(
                    f"{name} in training takes more than one value for each channel, to have a variance, but x has "
                    f"shape {tuple(x.shape)}: give it a larger batch, or no key, for inference"
                )
            mean = total(sum_rows(flat)) * (1 / n)
            y = flat - repeated(mean)
            rest = total(sum_rows(y)) * (1 / n)  # of the mean, as in `_normalized`
            variance = xp.maximum(total(sum_products(y, y)) * (1 / n) - rest * rest, 0.0)
            following = moved(params, mean + rest, variance * (n / (n - 1)))
        r = xp.sqrt(1 / (variance + eps))  # a root halves the rounding errors of what is under it
        a = r if weight is None else r * weight
        y *= repeated(a)
        y += repeated((0.0 if params.bias is None else params.bias) - rest * a)

        def pull(dy: Any, wrt_x: bool) -> tuple[BatchNormParams, Any]:
            dy, centred = wide(dy), flat - repeated(mean)
            dbias = total(sum_rows(dy))
            dweight = (total(sum_products(dy, centred)) - rest * dbias) * r  # X̂ = (centred − rest)·r
            dparams = following._replace(weight=dweight, bias=dbias) if affine else following
            if not wrt_x:
                return dparams, None
            dx = dy * repeated(a)
            if key is not None:  # a ⊙ (dE/dY − ⟨dE/dY⟩ − X̂ ⊙ ⟨dE/dY ⊙ X̂⟩): the means are dE/dB / n and dE/dW / n
                slope = a * r * dweight * (-1 / n)
                centred *= repeated(slope)
                dx += centred
                dx -= repeated(slope * rest + a * dbias * (1 / n))
            return dparams, xp.reshape(dx, x.shape)

        return xp.reshape(y, x.shape), pull

    def moved(params: BatchNormParams, mean: Any, variance: Any) -> BatchNormParams:
        mean = params.mean.value * (1 - momentum) + mean * momentum
        variance = params.variance.value * (1 - momentum) + variance * momentum
        return params._replace(mean=Buffer(freeze(mean)), variance=Buffer(freeze(variance)))

    def apply(params: BatchNormParams, x: Any, key: Key | None = None) -> Any:
        return forward(params, x, key)[0]

    def vjp(params: BatchNormParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[BatchNormParams]]:
        y, pull = forward(params, x, key)
        y_shape, dtype = y.shape, y.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[BatchNormParams, Any]:
            match(dy, y_shape, dtype, name)
            return pull(dy, wrt_x)

        return y, pullback

    return Layer(init, apply, vjp, shape, name)


def _width(x: Any) -> int:
    """How many neighbouring cells to treat as one row of numbers: few channels alone would make short, slow loops."""
    most = 1 if x.ndim < 3 else 256 // max(1, x.shape[-1])
    return max((width for width in range(1, most + 1) if x.shape[-2] % width == 0), default=1)


def sum_products(a: Any, b: Any) -> Any:
    """Σ a ⊙ b over the rows of two matrices. NumPy's einsum makes no array of the products."""
    if type(a) is not np.ndarray or type(b) is not np.ndarray:
        return namespace(a).sum(a * b, axis=0)
    total = np.einsum("ij,ij->j", a[:256], b[:256])
    for i in range(256, len(a), 256):  # sums of sums keep more digits than one long sum
        total += np.einsum("ij,ij->j", a[i : i + 256], b[i : i + 256])
    return total


@preset
def layer_norm(features: int | None = None, *, eps: float = 1e-5, affine: bool = True) -> Layer[Any]:
    """Layer normalization: each position of each example, over the last axis. X and Y (batch, ..., features).

    J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.

    >>> import numpy as np, purenet as pn
    >>> pn.layer_norm(affine=False).apply((), np.array([[1.0, 3.0], [7.0, 7.0]]))
    array([[-0.999995,  0.999995],
           [ 0.      ,  0.      ]])
    """
    _check_options("layer_norm", features, eps)
    name = called("layer_norm", features=(features, None), eps=(eps, 1e-5), affine=(affine, True))
    return _affine_norm(
        name, _shape(name, features), features, affine, lambda xp, x: _normalized(xp, x, _mean_of_features, eps)[:2]
    )


def _normalized_by_group(xp: Any, x: Any, groups: int, eps: float) -> tuple[Any, Pull]:
    """X̂ and its rule, each group of channels of each example by itself; in wide rows, to which means are spread out."""
    (batch, *_, channels), width, positions = x.shape, _width(x), math.prod(x.shape[1:-1])
    wide = (batch, positions // width, width * channels)
    each = channels // groups

    def mean_of(x: Any, y: Any = None) -> Any:
        xp = namespace(x)  # that of dE/dY in the pullback, which may be traced though x is not
        sums = xp.sum(
            xp.reshape(sum_rows(x if y is None else x * y), (batch, width, groups, each)), axis=(1, 3), keepdims=True
        )
        means = sums * (1 / (positions * each))
        return xp.reshape(xp.broadcast_to(means, (batch, width, groups, each)), (batch, 1, width * channels))

    xhat, pull, *_ = _normalized(xp, xp.reshape(x, wide), mean_of, eps)

    def back(dxhat: Any) -> Any:
        xp = namespace(dxhat)
        return xp.reshape(pull(xp.reshape(dxhat, wide)), x.shape)

    return xp.reshape(xhat, x.shape), back


def group_norm(groups: int, features: int | None = None, *, eps: float = 1e-5, affine: bool = True) -> Layer[Any]:
    """Group normalization: each of `groups` groups of channels in each example, over the group and every position.

    X and Y (batch, ..., features). Y. Wu, K. He, "Group normalization", ECCV 2018.

    >>> import numpy as np, purenet as pn
    >>> pn.group_norm(2, affine=False).apply((), np.array([[1.0, 3.0, 100.0, 300.0]])).round(3)
    array([[-1.,  1., -1.,  1.]])
    """
    _check_options("group_norm", features, eps)
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"group_norm takes a positive number of groups, not {groups!r}")
    options = called("", features=(features, None), eps=(eps, 1e-5), affine=(affine, True))
    name = f"group_norm({groups}{', ' + options[1:-1] if options else ''})"

    def divisible(in_shape: Shape) -> None:
        if in_shape[-1] % groups:
            raise ValueError(f"{name} cannot divide {in_shape[-1]} channels into {groups} groups of equal size")

    def normalize(xp: Any, x: Any) -> tuple[Any, Pull]:
        return _normalized_by_group(xp, x, groups, eps)

    if features:
        divisible((features,))
    return _affine_norm(name, _shape(name, features, divisible), features, affine, normalize)


@preset
def instance_norm(features: int | None = None, *, eps: float = 1e-5, affine: bool = False) -> Layer[Any]:
    """Instance normalization: each channel of each example, over every position.

    X and Y (batch, positions..., features). Without scale and shift unless asked, as in PyTorch.

    D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization: the missing ingredient for fast stylization", 2016.

    >>> import numpy as np, purenet as pn
    >>> pn.instance_norm.apply((), np.array([[[1.0, 100.0], [3.0, 300.0]]])).round(3)
    array([[[-1., -1.],
            [ 1.,  1.]]])
    """
    _check_options("instance_norm", features, eps)
    name = called("instance_norm", features=(features, None), eps=(eps, 1e-5), affine=(affine, False))

    def positions(in_shape: Shape) -> None:
        if not is_open(in_shape) and math.prod(in_shape[:-1]) < 2:
            raise ValueError(
                f"{name} takes (batch, positions..., features) with more than one position, to have a variance, "
                f"but its input has shape (batch, {', '.join(map(str, in_shape))})"
            )

    def normalize(xp: Any, x: Any) -> tuple[Any, Pull]:
        return _normalized_by_group(xp, x, x.shape[-1], eps)

    return _affine_norm(name, _shape(name, features, positions), features, affine, normalize)


@preset
def rms_norm(features: int | None = None, *, eps: float | None = None, affine: bool = True) -> Layer[Any]:
    """Root mean square normalization: Y = X·r ⊙ W with r = 1/√(⟨X²⟩ + eps), over the last axis; no mean, no shift.

    The rule is the module's without what came through the mean: dE/dX = r ⊙ (dE/dX̂ − X̂ ⊙ ⟨dE/dX̂ ⊙ X̂⟩).

    X and Y (batch, ..., features). By default eps is the dtype's machine epsilon, as in PyTorch. B. Zhang, R. Sennrich,
    "Root mean square layer normalization", NeurIPS 2019.

    >>> import numpy as np, purenet as pn
    >>> pn.rms_norm(affine=False).apply((), np.array([[3.0, 4.0]])).round(4)
    array([[0.8485, 1.1314]])
    """
    _check_options("rms_norm", features, 0.0 if eps is None else eps)
    name = called("rms_norm", features=(features, None), eps=(eps, None), affine=(affine, True))

    def normalize(xp: Any, x: Any) -> tuple[Any, Pull]:
        tiny = float(xp.finfo(x.dtype).eps) if eps is None else eps
        r = 1 / xp.sqrt(_mean_of_features(x, x) + tiny)
        xhat = x * r

        def pull(dxhat: Any) -> Any:
            dx = xhat * -_mean_of_features(dxhat, xhat)
            dx += dxhat
            dx *= r
            return dx

        return xhat, pull

    return _affine_norm(name, _shape(name, features), features, affine, normalize, bias=False)
