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

from purenet.core import Buffer, Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, NumpyArray
from purenet.initializers import ones, zeros
from purenet.random import Key
from purenet.spec import Pull, Rule, Spec, check_sizes, layer
from purenet.spec.patterns import Sizes
from purenet.spec.presets import preset
from purenet.values import Call, called, takes_numbers

Back = Callable[[Array], Array]
Normalize = Callable[[Ops, Array], tuple[Array, Back]]


class NormParams(NamedTuple):
    """weight and bias (features,), the scale and the shift of each channel; None for a bias that is left out."""

    weight: Array
    bias: Array | None


class BatchNormParams(NamedTuple):
    """weight and bias (features,), or None each; the running mean and variance (features,), which are not trained."""

    weight: Array | None
    bias: Array | None
    mean: Buffer
    variance: Buffer


def _mean_of_features(ops: Ops, x: Array, y: Array | None = None) -> Array:
    """⟨X⟩, or ⟨X ⊙ Y⟩, over the last axis."""
    total = ops.sum_last(x) if y is None else ops.dot_last(x, y)
    return total * (1 / x.shape[-1])


def _normalized(ops: Ops, x: Array, eps: float) -> tuple[Array, Back]:
    """X̂ over the last axis, and its rule pull(dE/dX̂) = dE/dX.

    The rounding error of a mean is in proportion to the mean, which may be far larger than the deviations that are
    wanted. So what is left of the mean after taking it off is taken off too; only then come the squares.
    """
    xhat = x - _mean_of_features(ops, x)
    xhat -= _mean_of_features(ops, xhat)
    r = 1 / ops.sqrt(_mean_of_features(ops, xhat, xhat) + eps)
    xhat *= r
    return xhat, _back(ops, xhat, r)


def _back(ops: Ops, xhat: Array, r: Array, centred: bool = True) -> Back:
    """The module's rule over the last axis; if X̂ is not centred, without what came through the mean."""

    def pull(dxhat: Array) -> Array:
        dx = xhat * -_mean_of_features(ops, dxhat, xhat)
        dx += dxhat
        if centred:
            dx -= _mean_of_features(ops, dxhat)
        dx *= r
        return dx

    return pull


def _affine_norm(
    name: Call, features: int | None, normalize: Normalize, affine: bool = True, bias: bool = True
) -> Layer[Any]:
    """The layer of `normalize(ops, x) -> (xhat, pull)`, with or without scale and shift."""

    def rule(ops: Ops, params: Any, x: Array, key: Key | None) -> tuple[Array, Pull]:
        xhat, pull_back = normalize(ops, x) if x.size else (x, lambda dxhat: dxhat)  # of nothing there is no mean
        if not affine:
            return xhat, lambda dy, wrt_x: ((), pull_back(dy) if wrt_x else None)
        y = xhat * params.weight
        if bias:
            y += params.bias

        def pull(dy: Array, wrt_x: bool) -> tuple[NormParams, Array | None]:
            dparams = NormParams(ops.sum_rows(dy * xhat), ops.sum_rows(dy) if bias else None)
            return dparams, pull_back(dy * params.weight) if wrt_x else None

        return y, pull

    return layer(_affine_spec(name, features, affine, bias), rule, wide=True)


def _affine_spec(name: Call, features: int | None, affine: bool, bias: bool = True, **more: Any) -> Spec:
    spec = _spec(name, features, **more)
    if not affine:
        return spec
    return spec._replace(
        params=NormParams._make(("features", "features" if bias else None)),
        init=NormParams._make((ones, zeros if bias else None)),
    )


def _spec(name: Call, features: int | None, **more: Any) -> Spec:
    """What all norms have in common: what comes in goes out, with its channels on the last axis."""
    check_sizes(name.maker, "features", *(() if features is None else (features,)))
    eps = name.options.get("eps")
    if eps is not None and not eps >= 0:
        raise ValueError(f"{name.maker} takes an eps of 0 or more, not {eps!r}")
    complete = f"{name[:-1]}, features=n)" if name.endswith(")") else f"{name}(n)"
    x = "batch ... features"
    return Spec(name, x=x, y=x, sizes={"features": features}, complete=complete, **more)


def _batch_rule(name: Call, momentum: float, eps: float, unbiased: bool) -> Rule:
    def check_variance(variance: NumpyArray) -> None:
        if variance.size and variance.min() < 0:
            raise ValueError(
                f"{name} has params with a running variance of {variance.min():.3g}, but none is below 0: what changed "
                "it? Buffers move by old − step, as the optimizers and sgd_step do it"
            )

    def rule(ops: Ops, params: BatchNormParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        weight, bias, mean, variance = *params[:2], params.mean.value, params.variance.value
        if key is None:
            ops.look(check_variance, variance)
            steps = ops.no_step(mean), ops.no_step(variance)
            y, _, _, back = _over_batch(ops, x, weight, bias, eps, (mean, variance))
        else:
            n = math.prod(x.shape[:-1])
            if n < 2:
                raise ValueError(
                    f"{name} in training takes more than one value for each channel, to have a variance, but x has "
                    f"shape {tuple(x.shape)}: give it a larger batch, or no key, for inference"
                )
            y, own_mean, own_variance, back = ops.normalize_batch(_over_batch, x, weight, bias, eps)
            if unbiased:
                own_variance = own_variance * (n / (n - 1))
            steps = _step(ops, mean, own_mean, momentum), _step(ops, variance, own_variance, momentum)

        def pull(dy: Array, wrt_x: bool) -> tuple[BatchNormParams, Array | None]:
            dweight, dbias, dx = back(dy, wrt_x)
            own = None if weight is None else dweight, None if bias is None else dbias
            return BatchNormParams(*own, *map(Buffer, steps)), dx

        return y, pull

    return rule


def _over_batch(
    ops: Ops, x: Array, weight: Array | None, bias: Array | None, eps: float, known: tuple[Array, Array] | None = None
) -> tuple[Array, Array, Array, Callable[..., Any]]:
    """Y = (X − μ)·a + b, with μ and σ² of this batch, unless they are `known`: the plain form of
    `Ops.normalize_batch`. Numbers a channel are laid out for the wide rows of X."""
    rows = _WideRows(ops, x)
    flat, n = rows.wide(x), math.prod(x.shape[:-1])
    rest: Any = 0.0
    if known:
        mean, variance = known
        y = flat - rows.laid_out(mean)
    else:
        mean = rows.sum(flat) * (1 / n)
        y = flat - rows.laid_out(mean)
        rest = rows.sum(y) * (1 / n)  # of the mean, as in `_normalized`
        variance = ops.maximum(rows.sum_products(y, y) * (1 / n) - rest * rest, 0.0)
    r = ops.sqrt(1 / (variance + eps))  # a root halves the rounding errors of what is under it
    a = r if weight is None else r * weight
    y *= rows.laid_out(a)
    y += rows.laid_out((0.0 if bias is None else bias) - rest * a)

    def back(dy: Array, wrt_x: bool) -> tuple[Array, Array, Array | None]:
        dy, centred = rows.wide(dy), flat - rows.laid_out(mean)
        dbias = rows.sum(dy)
        dweight = (rows.sum_products(dy, centred) - rest * dbias) * r  # X̂ = (centred − rest)·r
        if not wrt_x:
            return dweight, dbias, None
        dx = dy * rows.laid_out(a)
        if not known:  # a ⊙ (dE/dY − ⟨dE/dY⟩ − X̂ ⊙ ⟨dE/dY ⊙ X̂⟩): the means are dE/dB / n and dE/dW / n
            slope = a * r * dweight * (-1 / n)
            centred *= rows.laid_out(slope)
            dx += centred
            dx -= rows.laid_out(slope * rest + a * dbias * (1 / n))
        return dweight, dbias, ops.reshape(dx, x.shape)

    return ops.reshape(y, x.shape), mean if known else mean + rest, variance, back


@preset
def batch_norm(
    features: int | None = None,
    *,
    momentum: float = 0.1,
    eps: float = 1e-5,
    affine: bool = True,
    bias: bool = True,
    unbiased: bool = True,
) -> Layer[BatchNormParams]:
    """Batch normalization: each channel, over the batch and every position. X and Y (batch, ..., features).

    In training (with a key) the batch's own mean and variance normalize, and the running ones move towards them:
    next = old − momentum·(old − batch), with the unbiased variance, Σ (X − μ)² / (n − 1). The steps
    momentum·(old − batch) stand in dparams, and an optimizer takes them. The rule is the module's: dE/dX too takes its
    means over the batch. `unbiased=False` moves the running variance towards the population's, Σ (X − μ)² / n, as Keras
    and Flax do. `bias=False` is scale without shift, `affine=False` without either.

    In inference the running mean and variance are constants, so Y = X·a + b and dE/dX = dE/dY ⊙ a, a = W / √(σ² + eps).

    S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", ICML 2015. Options and defaults are PyTorch's.

    Raises:
        ValueError: in training, where a channel has a single value: there is no variance then. In inference, where the
            running variance is negative.

    >>> import numpy as np, purenet as pn
    >>> params = pn.batch_norm.init(pn.key(0), in_shape=(2,))
    >>> x = np.array([[1.0, 1001.0], [3.0, 1003.0]], np.float32)
    >>> y, pullback = pn.batch_norm.vjp(params, x, pn.key(1))
    >>> y
    array([[-0.999995, -0.999995],
           [ 0.999995,  0.999995]], dtype=float32)
    >>> dparams, dx = pullback(y)
    >>> dparams.mean.value, dparams.variance.value  # 0.1 of the way from 2 and 1002 to 0, and from 2 to 1
    (array([  -0.2     , -100.200005], dtype=float32), array([-0.1, -0.1], dtype=float32))
    >>> pn.sgd_step(params, dparams, lr=0.5).variance.value
    array([1.1, 1.1], dtype=float32)
    """
    name = called("batch_norm", locals())
    if not 0 <= momentum <= 1:
        raise ValueError(f"batch_norm takes a momentum from 0 to 1, not {momentum!r}")
    spec = _spec(name, features)
    weight, shift = "features" if affine else None, "features" if affine and bias else None
    spec = spec._replace(
        params=BatchNormParams._make((weight, shift, Buffer("features"), Buffer("features"))),
        init=BatchNormParams._make((ones, zeros, Buffer(zeros), Buffer(ones))),
    )
    return layer(spec, _batch_rule(name, momentum, eps, unbiased), wide=True)


def _step(ops: Ops, old: Array, batch: Array, momentum: float) -> Array:
    """The step of a running number, momentum·(old − batch). Of a channel that is 0 from now on it would decay to
    subnormal numbers, which are slow and never end: what is so near to 0 goes at once."""
    kept = ops.without_tiny(old)
    step = (kept - batch) * momentum
    return step if kept is old else step + (old - kept)


class _WideRows:
    """x as a matrix of which each row holds several neighbouring cells: few channels alone would make short, slow
    loops. Numbers a channel are laid out so often, and sums over rows are added up to one a channel."""

    def __init__(self, ops: Ops, x: Array) -> None:
        self.ops, self.channels, self.width = ops, x.shape[-1], _width(x)

    def wide(self, x: Array) -> Array:
        return self.ops.reshape(x, (math.prod(x.shape[:-1]) // self.width, self.width * self.channels))

    def laid_out(self, channels: Array) -> Array:
        return self.ops.tile(channels, (self.width,)) if self.width > 1 else channels

    def sum(self, x: Array) -> Array:
        return self._added_up(self.ops.sum_before_last(x))

    def sum_products(self, a: Array, b: Array) -> Array:
        return self._added_up(self.ops.sum_products(a, b))

    def _added_up(self, sums: Array) -> Array:
        return self.ops.sum(self.ops.reshape(sums, (self.width, self.channels)), axis=0)


def _width(x: Array) -> int:
    """How many neighbouring cells stand in one row."""
    most = 1 if x.ndim < 3 else 256 // max(1, x.shape[-1])
    return max((width for width in range(1, most + 1) if x.shape[-2] % width == 0), default=1)


@preset
def layer_norm(features: int | None = None, *, eps: float = 1e-5, affine: bool = True, bias: bool = True) -> Layer[Any]:
    """Layer normalization: each position of each example, over the last axis. X and Y (batch, ..., features).

    `bias=False` is scale without shift, `affine=False` without either.

    J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.

    >>> import numpy as np, purenet as pn
    >>> pn.layer_norm(affine=False).apply((), np.array([[1.0, 3.0], [7.0, 7.0]]))
    array([[-0.999995,  0.999995],
           [ 0.      ,  0.      ]])
    """
    name = called("layer_norm", locals())
    return _affine_norm(name, features, lambda ops, x: _normalized(ops, x, eps), affine, bias)


class _ExampleRows:
    """Each example as a matrix of such wide rows; what is taken over a group of channels stands at each of them."""

    def __init__(self, ops: Ops, x: Array, groups: int) -> None:
        (self.batch, *_, self.channels), self.width, self.ops = x.shape, _width(x), ops
        self.positions, self.groups, self.each = math.prod(x.shape[1:-1]), groups, self.channels // groups

    def wide(self, x: Array) -> Array:
        return self.ops.reshape(x, (self.batch, self.positions // self.width, self.width * self.channels))

    def laid_out(self, channels: Array | None) -> Any:
        return 1.0 if channels is None else self.ops.tile(channels, (self.width,))

    def mean(self, sums: Array) -> Array:
        """The mean over each group, of the sums over rows."""
        shape = self.batch, self.width, self.groups, self.each
        means = self.ops.sum(self.ops.reshape(sums, shape), axis=(1, 3), keepdims=True)
        means *= 1 / max(1, self.positions * self.each)
        return self.ops.reshape(self.ops.broadcast_to(means, shape), (self.batch, 1, self.width * self.channels))

    def products(self, a: Array, b: Array) -> Array:
        return self.ops.sum_products(a, b)[:, None, :]

    def by_channel(self, sums: Array) -> Array:
        """The sums over rows, over all examples too."""
        return self.ops.sum_rows(self.ops.reshape(sums, (self.batch * self.width, self.channels)))


def _over_groups(
    ops: Ops, x: Array, groups: int, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Callable[..., tuple[Any, Any, Any]]]:
    """Y = (X − μ)·a + b, as in `_over_batch`: the plain form of `Ops.normalize_groups`."""
    rows = _ExampleRows(ops, x, groups)
    scale, flat = rows.laid_out(weight), rows.wide(x)
    mean = rows.mean(ops.sum_before_last(flat))
    y = flat - mean
    rest = rows.mean(ops.sum_before_last(y))  # of the mean, as in `_normalized`
    variance = ops.relu(rows.mean(rows.products(y, y)) - rest * rest)
    r = 1 / ops.sqrt(variance + eps)
    a = r * scale
    y *= a
    y += (0.0 if bias is None else rows.laid_out(bias)) - rest * a

    def back(dy: Array, wrt_x: bool) -> tuple[Any, Any, Any]:
        dy, centred = rows.wide(dy), flat - mean
        sums = ops.sum_before_last(dy)
        with_xhat = (rows.products(dy, centred) - rest * sums) * r  # X̂ = (centred − rest)·r
        dweight = None if weight is None else rows.by_channel(with_xhat)
        dbias = None if bias is None else rows.by_channel(sums)
        if not wrt_x:
            return dweight, dbias, None
        slope = rows.mean(with_xhat * scale) * r * r
        centred *= slope
        dx = dy * a
        dx -= centred
        dx -= rows.mean(sums * scale) * r - slope * rest
        return dweight, dbias, ops.reshape(dx, x.shape)

    return ops.reshape(y, x.shape), back


def _group_norm(
    name: Call, features: int | None, groups: int | None, eps: float, affine: bool, bias: bool, **more: Any
) -> Layer[Any]:
    """The layer that normalizes so many groups of channels in each example; without a number, each channel."""

    def rule(ops: Ops, params: Any, x: Array, key: Key | None) -> tuple[Array, Pull]:
        weight, shift = params if affine else (None, None)
        y, back = ops.normalize_groups(_over_groups, x, groups or max(1, x.shape[-1]), weight, shift, eps)

        def pull(dy: Array, wrt_x: bool) -> tuple[Any, Array | None]:
            dweight, dbias, dx = back(dy, wrt_x)
            return NormParams(dweight, dbias) if affine else (), dx

        return y, pull

    return layer(_affine_spec(name, features, affine, bias, **more), rule, wide=True)


@takes_numbers
def group_norm(
    groups: int, features: int | None = None, *, eps: float = 1e-5, affine: bool = True, bias: bool = True
) -> Layer[Any]:
    """Group normalization: each of `groups` groups of channels in each example, over the group and every position.

    X and Y (batch, ..., features). `bias=False` is scale without shift, `affine=False` without either.

    Y. Wu, K. He, "Group normalization", ECCV 2018.

    >>> import numpy as np, purenet as pn
    >>> pn.group_norm(2, affine=False).apply((), np.array([[1.0, 3.0, 100.0, 300.0]])).round(3)
    array([[-1.,  1., -1.,  1.]])
    """
    check_sizes("group_norm", "groups", groups)
    name = called("group_norm", locals())

    def divisible(sizes: Sizes) -> str:
        channels = sizes.get("features") or 0
        return f"cannot divide {channels} channels into {groups} groups of equal size" if channels % groups else ""

    made = _group_norm(name, features, groups, eps, affine, bias, fits=divisible)
    made.shape(None)  # sizes that cannot fit are found here
    return made


@preset
def instance_norm(
    features: int | None = None, *, eps: float = 1e-5, affine: bool = False, bias: bool = True
) -> Layer[Any]:
    """Instance normalization: each channel of each example, over every position.

    X and Y (batch, positions..., features). Without scale and shift unless asked, as in PyTorch; `bias=False` with
    `affine=True` is scale without shift.

    D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance normalization: the missing ingredient for fast stylization", 2016.

    >>> import numpy as np, purenet as pn
    >>> pn.instance_norm.apply((), np.array([[[1.0, 100.0], [3.0, 300.0]]])).round(3)
    array([[[-1., -1.],
            [ 1.,  1.]]])
    """
    name = called("instance_norm", locals())

    def positions(sizes: Sizes) -> str:
        several = sizes.get("...")
        if several is None or ... in several or math.prod(several) > 1:
            return ""
        given = (*several, sizes.get("features", "features"))
        return f"takes more than one position, to have a variance, but an example has shape {given}"

    return _group_norm(name, features, None, eps, affine, bias, fits=positions)


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
    name = called("rms_norm", locals())

    def normalize(ops: Ops, x: Array) -> tuple[Array, Back]:
        tiny = float(ops.finfo(x.dtype).eps) if eps is None else eps
        r = 1 / ops.sqrt(_mean_of_features(ops, x, x) + tiny)
        xhat = x * r
        return xhat, _back(ops, xhat, r, centred=False)

    return _affine_norm(name, features, normalize, affine, bias=False)
