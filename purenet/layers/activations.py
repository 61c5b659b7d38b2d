"""Activations: layers without parameters that treat each number by itself, and the softmax family.

Each is a layer as it stands; those with options are called to set them: `elu` is the layer, `elu(alpha=0.5)` another.
The rule of an elementwise layer y = f(x) is the video's dE/dX = dE/dY ⊙ f'(X); each docstring gives its f'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array, describe
from purenet.engine.special import normal_cdf
from purenet.initializers import Initializer, constant
from purenet.random import Key
from purenet.spec import Pull, Rule, Spec, check_sizes, layer
from purenet.spec.presets import preset
from purenet.values import called, hinted, spelled

NoParams = tuple[()]
Back = Callable[[Array], Array]
Elementwise = Callable[[Ops, Array], tuple[Array, Back]]


def elementwise(name: str, rule: Elementwise, x: str = "...") -> Layer[NoParams]:
    """A layer that keeps the shape and has no params, of `rule(ops, x) -> (y, pull)`, where pull(dE/dY) is dE/dX."""
    return layer(Spec(name, x=x, y=x), without_params(rule), of_matrices=True, wide=True)


def without_params(rule: Elementwise) -> Rule:
    """The rule of a layer that has no params, of `rule(ops, x) -> (y, pull)`."""

    def whole(ops: Ops, params: NoParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        y, pull = rule(ops, x)
        return y, lambda dy, wrt_x: ((), pull(dy) if wrt_x else None)

    return whole


@hinted
def activation(f: Callable[[Any], Any], df: Callable[[Any], Any], name: str | None = None) -> Layer[NoParams]:
    """The video's own way: a layer of a function and its derivative, dE/dX = dE/dY ⊙ f'(X).

    Of NumPy's own functions, such as `np.sin`, JAX's are taken on JAX's arrays. One that you write works on both if it
    computes with operators and with the array's own functions: `xp = x.__array_namespace__()` has `xp.exp` and so on.

    >>> import numpy as np, purenet as pn
    >>> square = pn.activation(np.square, lambda x: 2 * x)
    >>> y, pullback = square.vjp((), np.array([3.0]))
    >>> y, pullback(np.array([1.0]))[1]
    (array([9.]), array([6.]))
    """
    if not callable(f) or not callable(df):
        raise TypeError(f"activation takes a function and its derivative, not {describe(f)} and {describe(df)}")
    named = {"name": name} if name else {}
    code = spelled(name or f"activation({_name(f)}, {_name(df)})", "activation", (f, df), named)
    return elementwise(code, lambda ops, x: (ops.call(f, x), lambda dy: dy * ops.call(df, x)))


def _name(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__).strip("<>")


@preset
def identity() -> Layer[NoParams]:
    """y = x; f' = 1. Integers pass too, such as lengths that stand beside sequences in `parallel`."""

    def rule(ops: Ops, params: NoParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        return x, lambda dy, wrt_x: ((), dy if ops.has_gradient(x) else None)

    return layer(Spec(called("identity"), x="...: number", y="..."), rule)


@preset
def tanh() -> Layer[NoParams]:
    """y = tanh x; f' = 1 − tanh² x = 1 − y². The activation of the video.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.tanh.vjp((), np.array([0.0, 1.0]))
    >>> pullback(np.ones(2))[1]
    array([1.        , 0.41997434])
    """

    def rule(ops: Ops, params: NoParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        y = ops.tanh(x)

        def pull(dy: Array, wrt_x: bool) -> tuple[NoParams, Array]:
            dx = y * y
            dx *= dy
            return (), dy - dx

        return y, pull

    return layer(
        Spec(called("tanh"), x="...", y="..."), rule, lambda ops, params, x, key: ops.tanh(x), of_matrices=True
    )


def _sigmoid(ops: Ops, x: Array) -> tuple[Array, Array, Array]:
    """σ(x), e = exp(−|x|), which cannot overflow, and d = 1 + e.

    σ(x) is 1/d for x ≥ 0 and e/d for x < 0, in one formula: max(e, [x ≥ 0]) / d, as e ≤ 1. It keeps its relative
    precision everywhere, and so does σ(x)·σ(−x) = e/d².
    """
    e = ops.exp(-ops.abs(x))
    d = 1 + e
    s = ops.maximum(e, ops.astype(x >= 0, x.dtype))
    s /= d
    return s, e, d


def sigmoid_rule(ops: Ops, x: Array) -> tuple[Array, Back]:
    """σ(x) and its rule."""
    return ops.sigmoid(_sigmoid_rule, x)


def _sigmoid_rule(ops: Ops, x: Array) -> tuple[Array, Back]:
    y, e, d = _sigmoid(ops, x)
    return y, lambda dy: dy * (e / (d * d))


@preset
def sigmoid() -> Layer[NoParams]:
    """y = σ(x) = 1 / (1 + exp(−x)); f' = σ(x)·σ(−x).

    >>> import numpy as np, purenet as pn
    >>> pn.sigmoid.apply((), np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """

    return elementwise(called("sigmoid"), sigmoid_rule)


@preset
def log_sigmoid() -> Layer[NoParams]:
    """y = log σ(x) = min(x, 0) − log(1 + exp(−|x|)); f' = σ(−x).

    >>> import numpy as np, purenet as pn
    >>> pn.log_sigmoid.apply((), np.array([-1000.0, 1000.0]))
    array([-1000.,     0.])
    """

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        y = ops.at_most(x, 0) - ops.log1p(ops.exp(-ops.abs(x)))
        return y, lambda dy: dy * _sigmoid(ops, -x)[0]

    return elementwise(called("log_sigmoid"), rule)


@preset
def softplus() -> Layer[NoParams]:
    """y = log(1 + exp x) = max(x, 0) + log(1 + exp(−|x|)); f' = σ(x).

    >>> import numpy as np, purenet as pn
    >>> pn.softplus.apply((), np.array([-1000.0, 0.0, 1000.0]))
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        y = ops.log1p(ops.exp(-ops.abs(x)))
        y += ops.relu(x)
        return y, lambda dy: dy * _sigmoid(ops, x)[0]

    return elementwise(called("softplus"), rule)


@preset
def relu() -> Layer[NoParams]:
    """y = max(x, 0); f' = 1 where x > 0, else 0 (at 0 too, as in PyTorch and JAX).

    >>> import numpy as np, purenet as pn
    >>> pn.relu.apply((), np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """

    def rule(ops: Ops, params: NoParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        y = ops.relu(x)

        def pull(dy: Array, wrt_x: bool) -> tuple[NoParams, Array]:
            return (), ops.relu_back(dy, y)

        return y, pull

    return layer(
        Spec(called("relu"), x="...", y="..."), rule, lambda ops, params, x, key: ops.relu(x), of_matrices=True
    )


@preset
def relu6() -> Layer[NoParams]:
    """y = min(max(x, 0), 6); f' = 1 where 0 < x < 6, else 0.

    A. Howard et al., "MobileNets", 2017.
    """

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        return ops.clip(x, 0, 6), lambda dy: ops.keep(dy, (x > 0) & (x < 6))

    return elementwise(called("relu6"), rule)


@preset
def leaky_relu(negative_slope: float = 0.01) -> Layer[NoParams]:
    """y = x where x > 0, else negative_slope·x; f' = 1 or negative_slope.

    A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

    >>> import numpy as np, purenet as pn
    >>> pn.leaky_relu(0.1).apply((), np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        y = ops.at_most(x, 0) * negative_slope
        y += ops.relu(x)
        return y, lambda dy: ops.where(x > 0, dy, dy * negative_slope)

    name = called("leaky_relu", locals())
    return elementwise(name, lambda ops, x: ops.leaky_relu(rule, x, negative_slope))


def _exponential_rule(alpha: float, width: float = 1.0, scale: float = 1.0) -> Elementwise:
    """y = scale·x where x > 0, else scale·alpha·(exp(x/width) − 1)."""
    slope = scale * alpha / width  # at 0 from below; where it is the one from above, exp(0) has all that is above

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        z = ops.at_most(x, 0)  # exp of the positive ones could overflow
        z = z if width == 1 else z / width
        y = _times(ops.expm1(z), scale * alpha)
        y += _times(ops.relu(x), scale)

        def pull(dy: Array) -> Array:
            below = _times(ops.exp(z), slope)
            return dy * (below if slope == scale else ops.where(x > 0, scale, below))

        return y, pull

    return rule


def _times(x: Array, factor: float) -> Array:
    return x if factor == 1 else x * factor


@preset
def elu(alpha: float = 1.0) -> Layer[NoParams]:
    """y = x where x > 0, else alpha·(exp x − 1); f' = 1 or alpha·exp x.

    D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear units",
    ICLR 2016.
    """
    return elementwise(called("elu", locals()), _exponential_rule(alpha))


@preset
def celu(alpha: float = 1.0) -> Layer[NoParams]:
    """y = x where x > 0, else alpha·(exp(x/alpha) − 1); f' = 1 or exp(x/alpha).

    J. Barron, "Continuously differentiable exponential linear units", 2017.
    """
    name = called("celu", locals())
    if alpha == 0:
        raise ValueError("celu takes an alpha other than 0")
    return elementwise(name, _exponential_rule(alpha, width=alpha))


@preset
def selu() -> Layer[NoParams]:
    """y = λ·x where x > 0, else λ·α·(exp x − 1); f' = λ or λ·α·exp x, with the α and λ that keep mean 0 and variance 1.

    G. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
    """
    return elementwise(called("selu"), _exponential_rule(1.6732632423543772, scale=1.0507009873554805))


@preset
def gelu() -> Layer[NoParams]:
    """y = x·Φ(x), exactly; f' = Φ(x) + x·φ(x). Φ and φ are the normal distribution's function and density.

    D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.

    >>> import numpy as np, purenet as pn
    >>> pn.gelu.apply((), np.array([-10.0, 0.0, 1.0]))
    array([-7.61985302e-23,  0.00000000e+00,  8.41344746e-01])
    """

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        cdf, slope = normal_cdf(ops, x)
        y = x * cdf
        slope *= x
        slope += cdf  # here and not in the pullback, which so keeps one array instead of three
        return y, lambda dy: dy * slope

    return elementwise(called("gelu"), rule)


@preset
def gelu_tanh() -> Layer[NoParams]:
    """y = x·(1 + tanh u) / 2 = x·σ(2u), with u = √(2/π)·(x + 0.044715 x³); f' = σ(2u) + x·σ(2u)·σ(−2u)·2u'.

    The approximation of gelu in the same paper, as in PyTorch's `GELU(approximate="tanh")`.
    """
    c = 2 * math.sqrt(2 / math.pi)

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        bounded = ops.clip(x, -1e4, 1e4)  # beyond, σ(2u) is 0 or 1, and x³ could overflow
        square = bounded * bounded
        u = c * bounded * (1 + 0.044715 * square)
        s, e, d = _sigmoid(ops, u)

        def pull(dy: Array) -> Array:
            slope = e / (d * d)
            slope *= bounded * (c * (1 + 0.134145 * square))
            slope += s
            return dy * slope

        return x * s, pull

    return elementwise(called("gelu_tanh"), rule)


def silu_rule(ops: Ops, x: Array) -> tuple[Array, Back]:
    """x·σ(x) and its rule."""
    s, e, d = _sigmoid(ops, x)

    def pull(dy: Array) -> Array:
        slope = e / (d * d)
        slope *= x
        slope += s
        return dy * slope

    return x * s, pull


@preset
def silu() -> Layer[NoParams]:
    """y = x·σ(x), also called swish; f' = σ(x) + x·σ(x)·σ(−x).

    S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function approximation in
    reinforcement learning", 2018.
    """

    return elementwise(called("silu"), silu_rule)


@preset
def mish() -> Layer[NoParams]:
    """y = x·tanh(softplus(x)) = x·t; f' = t + x·(1 − t²)·σ(x).

    With n = exp x, tanh(log(1 + n)) = n(n + 2) / (n(n + 2) + 2) and 1 − t² = 4(n + 1)² / (n(n + 2) + 2)², where nothing
    cancels. D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.
    """

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        bounded = ops.at_most(x, 21)  # at 21 and beyond, t is 1 and its derivative nothing beside it, in float64 too
        n = ops.exp(bounded)
        m = n * (n + 2)
        t = m / (m + 2)
        return x * t, lambda dy: dy * (t + bounded * (4 * n * (n + 1) / ((m + 2) * (m + 2))))

    return elementwise(called("mish"), rule)


@preset
def softsign() -> Layer[NoParams]:
    """y = x / (1 + |x|); f' = 1 / (1 + |x|)²."""

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        d = 1 + ops.abs(x)
        return x / d, lambda dy: dy / d / d

    return elementwise(called("softsign"), rule)


@preset
def hard_tanh(*, min_val: float = -1.0, max_val: float = 1.0) -> Layer[NoParams]:
    """y = x cut to [min_val, max_val]; f' = 1 where min_val < x < max_val, else 0. Options are PyTorch's."""
    name = called("hard_tanh", locals())
    if not min_val < max_val:
        raise ValueError(f"hard_tanh takes a min_val below its max_val, not {min_val!r} and {max_val!r}")

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        return ops.clip(x, min_val, max_val), lambda dy: ops.keep(dy, (x > min_val) & (x < max_val))

    return elementwise(name, rule)


@preset
def hard_sigmoid() -> Layer[NoParams]:
    """y = x/6 + 1/2 cut to [0, 1]; f' = 1/6 where −3 < x < 3, else 0."""

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        return ops.clip(x + 3, 0, 6) / 6, lambda dy: ops.keep(dy / 6, (x > -3) & (x < 3))

    return elementwise(called("hard_sigmoid"), rule)


@preset
def hard_swish() -> Layer[NoParams]:
    """y = x·hard_sigmoid(x); f' = 0 where x ≤ −3, 1 where x ≥ 3, else x/3 + 1/2.

    A. Howard et al., "Searching for MobileNetV3", ICCV 2019.
    """

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        def pull(dy: Array) -> Array:
            return ops.keep(dy * ops.where(x >= 3, 1, x / 3 + 0.5), x > -3)

        return ops.clip(x, -3, math.inf) * (ops.clip(x + 3, 0, 6) / 6), pull

    return elementwise(called("hard_swish"), lambda ops, x: ops.hard_swish(rule, x))


@preset
def softmax() -> Layer[NoParams]:
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ over the last axis; dE/dX = Y ⊙ (dE/dY − Σ dE/dY ⊙ Y).

    The largest x is taken off first, which changes nothing but keeps exp from overflowing.

    >>> import numpy as np, purenet as pn
    >>> pn.softmax.apply((), np.array([[1000.0, 0.0]]))
    array([[1., 0.]])
    """

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        if not x.size:
            return x, lambda dy: dy
        y = ops.exp(x - ops.max_last(x))
        y /= ops.sum_last(y)
        return y, lambda dy: y * (dy - ops.sum_last(dy * y))

    return elementwise(called("softmax"), lambda ops, x: ops.softmax(rule, x), "batch ...")


@preset
def log_softmax() -> Layer[NoParams]:
    """yᵢ = xᵢ − log Σⱼ exp xⱼ over the last axis; dE/dX = dE/dY − softmax(X)·Σ dE/dY.

    >>> import numpy as np, purenet as pn
    >>> pn.log_softmax.apply((), np.array([[1000.0, 0.0]]))
    array([[    0., -1000.]])
    """

    def rule(ops: Ops, x: Array) -> tuple[Array, Back]:
        if not x.size:
            return x, lambda dy: dy
        y = x - ops.max_last(x)
        y -= ops.log(ops.sum_last(ops.exp(y)))
        return y, lambda dy: dy - ops.exp(y) * ops.sum_last(dy)

    return elementwise(called("log_softmax"), rule, "batch ...")


_QUARTER = constant(0.25)


class PReLUParams(NamedTuple):
    """negative_slope (1,), or (channels,) with a slope for each."""

    negative_slope: Array


@preset
def prelu(channels: int = 1, slope_init: Initializer = _QUARTER) -> Layer[PReLUParams]:
    """y = x where x > 0, else a·x, with a learned slope a: one for all, or one for each channel (the last axis).

    The rule: dE/da = Σ dE/dY ⊙ min(X, 0)        dE/dX = dE/dY where x > 0, else a·dE/dY

    K. He et al., "Delving deep into rectifiers", ICCV 2015.

    >>> import numpy as np, purenet as pn
    >>> params = pn.prelu.init(pn.key(0))
    >>> pn.prelu.apply(params, np.array([-4.0, 2.0], np.float32))
    array([-1.,  2.], dtype=float32)
    """
    check_sizes("prelu", "channels", channels)
    one = channels == 1
    x_form = "..." if one else "... channels"

    def rule(ops: Ops, params: PReLUParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        slope, scaled = params.negative_slope, ~(x > 0)
        y = ops.relu(x) + ops.keep(x * slope, scaled)

        def pull(dy: Array, wrt_x: bool) -> tuple[PReLUParams, Array | None]:
            each = ops.keep(dy * x, scaled)
            dslope = ops.reshape(ops.sum(each), (1,)) if one else ops.sum_rows(each)
            return PReLUParams(dslope), ops.where(scaled, dy * slope, dy) if wrt_x else None

        return y, pull

    spec = Spec(
        called("prelu", locals()),
        x=x_form,
        y=x_form,
        params=PReLUParams._make(["channels"]),
        init=PReLUParams._make([slope_init]),
        sizes={"channels": channels},
    )
    return layer(spec, rule, wide=True)
