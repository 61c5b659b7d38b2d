"""Activations: layers without parameters that treat each number by itself, and the softmax family.

Each is a layer as it stands; those with options are called to set them: `elu` is the layer, `elu(alpha=0.5)` another.
The rule of an elementwise layer y = f(x) is the video's dE/dX = dE/dY ⊙ f'(X); each docstring gives its f'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from purenet.arrays import (
    Array,
    Shape,
    astype,
    describe,
    floating,
    match,
    max_last,
    meet,
    namespace,
    sum_last,
    sum_leading,
)
from purenet.core import Layer, Pullback, called, mark, preset
from purenet.initializers import Initializer, constant, draw
from purenet.random import Key
from purenet.special import normal_cdf

NoParams = tuple[()]
Pull = Callable[[Any], Any]
Rule = Callable[[Any, Any], tuple[Any, Pull]]


def without_params(name: str, rule: Rule, f: Callable[[Any, Any], Any] | None = None) -> Layer[NoParams]:
    """A layer that keeps the shape and has no parameters, of `rule(xp, x) -> (y, pull)`, where pull(dE/dY) is dE/dX.

    f(xp, x) is y alone, where that is worth saving the rest of the rule.
    """

    def check(params: NoParams, x: Any) -> Any:
        if params != ():
            raise ValueError(f"{name} has no parameters: it takes params = (), not {describe(params)}")
        return floating(x, name)

    def apply(params: NoParams, x: Any, key: Key | None = None) -> Any:
        plain = params == () and type(x) is np.ndarray and x.dtype.kind == "f"
        xp = np if plain else check(params, x)
        return f(xp, x) if f else rule(xp, x)[0]

    def vjp(params: NoParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[NoParams]]:
        plain = params == () and type(x) is np.ndarray and x.dtype.kind == "f"
        y, pull = rule(np if plain else check(params, x), x)
        shape, dtype = x.shape, x.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[NoParams, Any]:
            if type(dy) is not np.ndarray or dy.shape != shape or dy.dtype is not dtype:
                match(dy, shape, dtype, name)
            return (), pull(dy) if wrt_x else None

        return y, pullback

    def through(rest: Any, place: int, wrt_x: bool) -> Any:
        def run(params: Any, x: Any, target: Any, grads: list[Any]) -> Any:
            if params[place] != ():
                raise ValueError
            y, pull = rule(np, x)
            dy = rest(params, y, target, grads)
            return pull(dy) if wrt_x else None

        return run

    layer = Layer(lambda key, in_shape=None: (), apply, vjp, lambda in_shape: in_shape, name)
    return mark(layer, through=through)


def of_output(name: str, f: Callable[[Any, Any], Any], pull: Callable[[Any, Any], Any]) -> Layer[NoParams]:
    """`without_params` of y = f(xp, x) and pull(y, dE/dY), for an f' that can be told from y."""

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        y = f(xp, x)
        return y, lambda dy: pull(y, dy)

    def through(rest: Any, place: int, wrt_x: bool) -> Any:
        def run(params: Any, x: Any, target: Any, grads: list[Any]) -> Any:
            if params[place] != ():
                raise ValueError
            y = f(np, x)
            dy = rest(params, y, target, grads)
            return pull(y, dy) if wrt_x else None

        return run

    return mark(without_params(name, rule, f), through=through)


def activation(f: Callable[[Any], Any], df: Callable[[Any], Any], name: str | None = None) -> Layer[NoParams]:
    """The video's own way: a layer of a function and its derivative, dE/dX = dE/dY ⊙ f'(X).

    >>> import numpy as np, purenet as pn
    >>> square = pn.activation(np.square, lambda x: 2 * x)
    >>> y, pullback = square.vjp((), np.array([3.0]))
    >>> y, pullback(np.array([1.0]))[1]
    (array([9.]), array([6.]))
    """
    if not callable(f) or not callable(df):
        raise TypeError(f"activation takes a function and its derivative, not {describe(f)} and {describe(df)}")

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        return f(x), lambda dy: dy * df(x)

    return without_params(name or f"activation({_name(f)}, {_name(df)})", rule)


def _name(f: Any) -> str:
    return getattr(f, "__name__", type(f).__name__).strip("<>")


@preset
def identity() -> Layer[NoParams]:
    """y = x; f' = 1. Integers pass too, such as lengths that stand beside sequences in `parallel`."""
    floats = without_params("identity", lambda xp, x: (x, lambda dy: dy))

    def whole(params: NoParams, x: Any) -> bool:
        quick = type(x) is np.ndarray and x.dtype.kind == "f"
        return not quick and params == () and bool(namespace(x, "identity").isdtype(x.dtype, "integral"))

    def apply(params: NoParams, x: Any, key: Key | None = None) -> Any:
        return x if whole(params, x) else floats.apply(params, x)

    def vjp(params: NoParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[NoParams]]:
        return (x, lambda dy, wrt_x=True: ((), None)) if whole(params, x) else floats.vjp(params, x)

    return floats._replace(apply=apply, vjp=vjp)


@preset
def tanh() -> Layer[NoParams]:
    """y = tanh x; f' = 1 − tanh² x = 1 − y². The activation of the video.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.tanh.vjp((), np.array([0.0, 1.0]))
    >>> pullback(np.ones(2))[1]
    array([1.        , 0.41997434])
    """

    def f(xp: Any, x: Any) -> Any:
        return xp.tanh(x)

    def pull(y: Any, dy: Any) -> Any:
        dx = y * y
        dx *= dy
        return dy - dx

    return of_output("tanh", f, pull)


def _sigmoid(xp: Any, x: Any) -> tuple[Any, Any, Any]:
    """σ(x), e = exp(−|x|), which cannot overflow, and d = 1 + e.

    σ(x) is 1/d for x ≥ 0 and e/d for x < 0, in one formula: exp(min(x, 0)) / d. It keeps its relative precision
    everywhere, and so do σ(−x) = exp(min(−x, 0)) / d and σ(x)·σ(−x) = e/d². (On NumPy, choosing by `where` takes six
    times as long as an exp.)
    """
    e = xp.exp(-xp.abs(x))
    d = 1 + e
    return xp.exp(xp.minimum(x, 0)) / d, e, d


@preset
def sigmoid() -> Layer[NoParams]:
    """y = σ(x) = 1 / (1 + exp(−x)); f' = σ(x)·σ(−x).

    >>> import numpy as np, purenet as pn
    >>> pn.sigmoid.apply((), np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        y, e, d = _sigmoid(xp, x)
        return y, lambda dy: dy * (e / (d * d))

    return without_params("sigmoid", rule)


@preset
def log_sigmoid() -> Layer[NoParams]:
    """y = log σ(x) = min(x, 0) − log(1 + exp(−|x|)); f' = σ(−x).

    >>> import numpy as np, purenet as pn
    >>> pn.log_sigmoid.apply((), np.array([-1000.0, 1000.0]))
    array([-1000.,     0.])
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        y = xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))
        return y, lambda dy: dy * _sigmoid(xp, -x)[0]

    return without_params("log_sigmoid", rule)


@preset
def softplus() -> Layer[NoParams]:
    """y = log(1 + exp x) = max(x, 0) + log(1 + exp(−|x|)); f' = σ(x).

    >>> import numpy as np, purenet as pn
    >>> pn.softplus.apply((), np.array([-1000.0, 0.0, 1000.0]))
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        y = xp.log1p(xp.exp(-xp.abs(x)))
        y += xp.maximum(x, 0)
        return y, lambda dy: dy * _sigmoid(xp, x)[0]

    return without_params("softplus", rule)


@preset
def relu() -> Layer[NoParams]:
    """y = max(x, 0); f' = 1 where x > 0, else 0 (at 0 too, as in PyTorch and JAX).

    >>> import numpy as np, purenet as pn
    >>> pn.relu.apply((), np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """

    def f(xp: Any, x: Any) -> Any:
        return positive_part(x) if xp is np and x.size > 1024 else xp.maximum(x, 0)

    def pull(y: Any, dy: Any) -> Any:
        dx = astype(y > 0, dy.dtype)
        dx *= dy
        return dx

    return mark(of_output("relu", f, pull), keeps_order=True)


def positive_part(x: Any) -> Any:
    """max(x, 0) of a NumPy array. It compares arrays of one shape 2 to 3 times faster than an array and a number."""
    flat = x.reshape(-1)
    y = np.empty_like(flat)
    zeros = np.zeros(min(16384, flat.size), x.dtype)  # few rows, and small enough to stay in cache
    whole = flat.size - flat.size % zeros.size
    np.maximum(flat[:whole].reshape(-1, zeros.size), zeros, out=y[:whole].reshape(-1, zeros.size))
    np.maximum(flat[whole:], zeros[: flat.size - whole], out=y[whole:])
    return y.reshape(x.shape)


@preset
def relu6() -> Layer[NoParams]:
    """y = min(max(x, 0), 6); f' = 1 where 0 < x < 6, else 0.

    A. Howard et al., "MobileNets", 2017.
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        return xp.clip(x, 0, 6), lambda dy: dy * astype((x > 0) & (x < 6), dy.dtype)

    return without_params("relu6", rule)


@preset
def leaky_relu(negative_slope: float = 0.01) -> Layer[NoParams]:
    """y = x where x > 0, else negative_slope·x; f' = 1 or negative_slope.

    A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

    >>> import numpy as np, purenet as pn
    >>> pn.leaky_relu(0.1).apply((), np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        y = xp.maximum(x, 0) + xp.minimum(x, 0) * negative_slope
        return y, lambda dy: namespace(dy).where(x > 0, dy, dy * negative_slope)

    return without_params(called("leaky_relu", negative_slope=(negative_slope, 0.01)), rule)


def _exponential_rule(alpha: float, width: float = 1.0, scale: float = 1.0) -> Rule:
    """y = scale·x where x > 0, else scale·alpha·(exp(x/width) − 1)."""

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        z = xp.minimum(x, 0) / width  # exp of the positive ones could overflow
        y = xp.maximum(x, 0) * scale + xp.expm1(z) * (scale * alpha)
        return y, lambda dy: dy * xp.where(x > 0, scale, xp.exp(z) * (scale * alpha / width))

    return rule


@preset
def elu(alpha: float = 1.0) -> Layer[NoParams]:
    """y = x where x > 0, else alpha·(exp x − 1); f' = 1 or alpha·exp x.

    D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear units",
    ICLR 2016.
    """
    return without_params(called("elu", alpha=(alpha, 1.0)), _exponential_rule(alpha))


@preset
def celu(alpha: float = 1.0) -> Layer[NoParams]:
    """y = x where x > 0, else alpha·(exp(x/alpha) − 1); f' = 1 or exp(x/alpha).

    J. Barron, "Continuously differentiable exponential linear units", 2017.
    """
    if alpha == 0:
        raise ValueError("celu takes an alpha other than 0")
    return without_params(called("celu", alpha=(alpha, 1.0)), _exponential_rule(alpha, width=alpha))


@preset
def selu() -> Layer[NoParams]:
    """y = λ·x where x > 0, else λ·α·(exp x − 1); f' = λ or λ·α·exp x, with the α and λ that keep mean 0 and variance 1.

    G. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
    """
    return without_params("selu", _exponential_rule(1.6732632423543772, scale=1.0507009873554805))


@preset
def gelu() -> Layer[NoParams]:
    """y = x·Φ(x), exactly; f' = Φ(x) + x·φ(x). Φ and φ are the normal distribution's function and density.

    D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.

    >>> import numpy as np, purenet as pn
    >>> pn.gelu.apply((), np.array([-10.0, 0.0, 1.0]))
    array([-7.61985302e-23,  0.00000000e+00,  8.41344746e-01])
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        cdf, slope = normal_cdf(xp, x)
        y = x * cdf
        slope *= x
        slope += cdf  # here and not in the pullback, which so keeps one array instead of three
        return y, lambda dy: dy * slope

    return without_params("gelu", rule)


@preset
def gelu_tanh() -> Layer[NoParams]:
    """y = x·(1 + tanh u) / 2 = x·σ(2u), with u = √(2/π)·(x + 0.044715 x³); f' = σ(2u)·(1 + x·σ(−2u)·2u').

    The approximation of gelu in the same paper, as in PyTorch's `GELU(approximate="tanh")`.
    """
    c = 2 * math.sqrt(2 / math.pi)

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        bounded = xp.clip(x, -1e4, 1e4)  # beyond, σ(2u) is 0 or 1, and x³ could overflow
        square = bounded * bounded
        u = c * bounded * (1 + 0.044715 * square)
        s, _, d = _sigmoid(xp, u)

        def pull(dy: Any) -> Any:
            other = xp.exp(xp.minimum(-u, 0)) / d
            return dy * (s * (1 + bounded * other * (c * (1 + 0.134145 * square))))

        return x * s, pull

    return without_params("gelu_tanh", rule)


@preset
def silu() -> Layer[NoParams]:
    """y = x·σ(x), also called swish; f' = σ(x)·(1 + x·σ(−x)).

    S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function approximation in
    reinforcement learning", 2018.
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        s, _, d = _sigmoid(xp, x)
        return x * s, lambda dy: dy * (s * (1 + x * (xp.exp(xp.minimum(-x, 0)) / d)))

    return without_params("silu", rule)


@preset
def mish() -> Layer[NoParams]:
    """y = x·tanh(softplus(x)) = x·t; f' = t + x·(1 − t²)·σ(x).

    With n = exp x, tanh(log(1 + n)) = n(n + 2) / (n(n + 2) + 2) and 1 − t² = 4(n + 1)² / (n(n + 2) + 2)², where nothing
    cancels. D. Misra, "Mish: a self regularized non-monotonic activation function", BMVC 2020.
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        bounded = xp.minimum(x, 21)  # at 21 and beyond, t is 1 and its derivative nothing beside it, in float64 too
        n = xp.exp(bounded)
        m = n * (n + 2)
        t = m / (m + 2)
        return x * t, lambda dy: dy * (t + bounded * (4 * n * (n + 1) / ((m + 2) * (m + 2))))

    return without_params("mish", rule)


@preset
def softsign() -> Layer[NoParams]:
    """y = x / (1 + |x|); f' = 1 / (1 + |x|)²."""

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        d = 1 + xp.abs(x)
        return x / d, lambda dy: dy / d / d

    return without_params("softsign", rule)


@preset
def hard_tanh() -> Layer[NoParams]:
    """y = x cut to [−1, 1]; f' = 1 where −1 < x < 1, else 0."""

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        return xp.clip(x, -1, 1), lambda dy: dy * astype((x > -1) & (x < 1), dy.dtype)

    return without_params("hard_tanh", rule)


@preset
def hard_sigmoid() -> Layer[NoParams]:
    """y = x/6 + 1/2 cut to [0, 1]; f' = 1/6 where −3 < x < 3, else 0."""

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        return xp.clip(x + 3, 0, 6) / 6, lambda dy: dy * astype((x > -3) & (x < 3), dy.dtype) / 6

    return without_params("hard_sigmoid", rule)


@preset
def hard_swish() -> Layer[NoParams]:
    """y = x·hard_sigmoid(x); f' = 0 where x ≤ −3, 1 where x ≥ 3, else x/3 + 1/2.

    A. Howard et al., "Searching for MobileNetV3", ICCV 2019.
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        def pull(dy: Any) -> Any:
            return dy * xp.where(x <= -3, 0, xp.where(x >= 3, 1, x / 3 + 0.5))

        return x * (xp.clip(x + 3, 0, 6) / 6), pull

    return without_params("hard_swish", rule)


@preset
def softmax() -> Layer[NoParams]:
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ over the last axis; dE/dX = Y ⊙ (dE/dY − Σ dE/dY ⊙ Y).

    The largest x is taken off first, which changes nothing but keeps exp from overflowing.

    >>> import numpy as np, purenet as pn
    >>> pn.softmax.apply((), np.array([[1000.0, 0.0]]))
    array([[1., 0.]])
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        y = xp.exp(x - max_last(x))
        y /= sum_last(y)
        return y, lambda dy: y * (dy - sum_last(dy * y))

    return without_params("softmax", rule)


@preset
def log_softmax() -> Layer[NoParams]:
    """yᵢ = xᵢ − log Σⱼ exp xⱼ over the last axis; dE/dX = dE/dY − softmax(X)·Σ dE/dY.

    >>> import numpy as np, purenet as pn
    >>> pn.log_softmax.apply((), np.array([[1000.0, 0.0]]))
    array([[    0., -1000.]])
    """

    def rule(xp: Any, x: Any) -> tuple[Any, Pull]:
        y = x - max_last(x)
        y -= xp.log(sum_last(xp.exp(y)))
        return y, lambda dy: dy - xp.exp(y) * sum_last(dy)

    return without_params("log_softmax", rule)


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
    if isinstance(channels, bool) or not isinstance(channels, int) or channels < 1:
        raise ValueError(f"prelu takes a positive number of channels, not {channels!r}")
    name = called("prelu", channels=(channels, 1))

    def shape(in_shape: Shape | None) -> Shape | None:
        if in_shape is not None and channels > 1 and in_shape[-1:] != (channels,):
            raise ValueError(f"{name} takes {channels} channels on the last axis, but its input has shape {in_shape}")
        return in_shape

    def init(key: Key, in_shape: Shape | None = None) -> PReLUParams:
        shape(in_shape)
        return PReLUParams(draw(slope_init, key, (channels,), name))

    def check(params: PReLUParams, x: Any) -> Any:
        """x, in the engine of params."""
        floating(x, name)
        if type(params) is not PReLUParams or params.negative_slope.shape != (channels,):
            raise ValueError(f"{name} takes PReLUParams with a slope of shape ({channels},), not {describe(params)}")
        if x.dtype != params.negative_slope.dtype:
            raise TypeError(f"{name} has {params.negative_slope.dtype} params, but x is {x.dtype}")
        if channels > 1:
            shape(x.shape)
        return meet(x, params.negative_slope)

    def forward(x: Any, slope: Any) -> tuple[Any, Any]:
        xp = namespace(x)
        negative = xp.minimum(x, 0)
        return xp.maximum(x, 0) + negative * slope, negative

    def apply(params: PReLUParams, x: Any, key: Key | None = None) -> Any:
        return forward(check(params, x), params.negative_slope)[0]

    def vjp(params: PReLUParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[PReLUParams]]:
        x, slope = check(params, x), params.negative_slope
        xp = namespace(x)
        y, negative = forward(x, slope)

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[PReLUParams, Any]:
            match(dy, y.shape, y.dtype, name)
            each = dy * negative
            dslope = xp.reshape(xp.sum(each), (1,)) if channels == 1 else sum_leading(each)
            return PReLUParams(dslope), xp.where(x > 0, dy, dy * slope) if wrt_x else None

        return y, pullback

    return Layer(init, apply, vjp, shape, name)
