"""The points at which accuracy.py measures, and what is right there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

SMALLEST = 2.0**-126  # of the normal numbers of float32


# the points


def grid(kinks: tuple[float, ...] = ()) -> Any:
    """Numbers of every size and both signs, close together where activations bend, and the neighbours of kinks."""
    sizes = [2.0**-149, 1e-42, 2.0**-127, SMALLEST, *np.logspace(-30, 4, 35), *np.logspace(-8, 3, 600)]
    sizes += [*np.linspace(0.01, 20, 700), *np.linspace(20, 110, 181), 15, 16.6, 17.4, 87.4, 88.8, 103.9, 104.1]
    x = np.array([0.0, -0.0, *sizes, *(-size for size in sizes)], np.float32)
    near = [np.nextafter(np.float32(kink), np.float32(far)) for kink in kinks for far in (-np.inf, np.inf)]
    apart = np.setdiff1d(np.concatenate([x, np.array(near, np.float32)]), np.array([k for k in kinks if k], np.float32))
    return np.append(apart, np.float32(-0.0))  # which setdiff1d takes for 0.0


def logits() -> Any:
    """Rows of logits: random of every size, ties, near ties and extremes."""
    rng = np.random.default_rng(0)
    spread = [rng.normal(size=(100, 4)) * size for size in (1e-30, 1e-3, 1, 5, 30, 1e4)]
    up = np.nextafter(np.float32(1), np.float32(2))
    special = [[0, 0, 0, 0], [1, 1, 1, 1], [1e4, 1e4, 1e4, 1e4], [1e4, -1e4, 0, 0], [-1e4, 1e4, 1e4, 1], [1, up, 0, 0]]
    special += [[a, b, 0, -20] for a in (0, 1, 16, 17, 50, 87, 88, 103, 104, 1e4) for b in (-a, 0, 2**-20, 1e-30)]
    return np.concatenate([*spread, special]).astype(np.float32)


def pairs(y: Any, target: Any) -> tuple[Any, Any]:
    """Every number of one with every number of the other."""
    return tuple(a.ravel() for a in np.meshgrid(np.float32(y), np.float32(target)))


def numbers() -> list[float]:
    sizes = [2.0**-140, *np.logspace(-30, 4, 18), *np.linspace(0.1, 20, 60), 88, 104]
    return [0.0, *sizes, *(-size for size in sizes)]


EACH = 6  # numbers in a row that is normalized; not a power of two, so that means must be rounded
WEIGHTS = np.array([1, -0.5, 2, 0.25, -1.5, 0.75], np.float32)  # dE/dY of each row


def rows() -> Any:
    """Rows to be normalized: of many sizes, far from 0, all equal, nearly so, and with outliers."""
    rng = np.random.default_rng(0)
    found = [rng.normal(size=(200, EACH)) * size for size in (1e-39, 1e-30, 1e-10, 1e-5, 1e-3, 1, 100, 1e4)]
    for mean, deviation in [(1, 1e-6), (1, 1e-3), (-10, 0.1), (100, 1e-4), (1e3, 1), (1e4, 1e-2), (-1e4, 1), (1e4, 1)]:
        found.append(mean + deviation * rng.normal(size=(200, EACH)))
    equal = [[a] * EACH for a in (0, 1, -1, 0.1, 1 / 3, 1e-30, 1e4, -1e4, 1234.567, 2**-20)]
    near = [[a] * 5 + [np.nextafter(np.float32(a), np.float32(2e4))] for a in (0.1, 1, 1 / 3, 1e3, -1e4, 1e4)]
    far = [[a, b, b, b, b, b] for a in (1e-3, 1, 1e4, -1e4) for b in (0, 1e-3, 1)]
    far += [[1e4, -1e4, 0, 0, 0, 0], [1e4, -1e4, 1e4, -1e4, 1e4, -1e4], [1e4, -1e4, 1, 2**-20, 1e-30, -1]]
    found = np.concatenate([*found, equal, near, far]).astype(np.float32)
    return np.concatenate([found, found[: -len(found) % 4]])  # so many that rows go four to an example


def standardizations() -> tuple[Any, Any, Any]:
    """(x, mean, variance) as of a batch norm in inference."""
    means = [0, 0.1, 1, -3.3, 100, 1e4, -1e4]
    apart = [0, 1e-30, 2**-20, 1e-3, 1, -7, 1e4]
    variances = [0, *np.logspace(-10, 5, 76)]
    every = [(np.float32(m) + np.float32(d), m, v) for m in means for d in apart for v in variances]
    return tuple(np.array(every, np.float32).T)


# the truth, in as many digits as mpmath is set to


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(x))


def gated(gate: Any, slope: Any) -> Callable[[Any], tuple[Any, Any]]:
    """x·g(x) and its derivative g + x·g'."""
    return lambda x: (x * gate(x), gate(x) + x * slope(x))


def sloped(x: Any, left: Any, right: Any) -> tuple[Any, Any]:
    """The (value, gradient) on the left of 0, which belongs to it, or on the right."""
    return left(x) if x <= 0 else right(x)


def cut(x: Any, low: Any, high: Any) -> tuple[Any, Any]:
    return max(low, min(high, x)), mpf(low < x < high)


def exponential(x: Any, alpha: float, scale: float = 1.0) -> tuple[Any, Any]:
    bent = mpf(scale) * mpf(alpha)
    return sloped(x, lambda x: (bent * mpmath.expm1(x), bent * mpmath.exp(x)), lambda x: (scale * x, mpf(scale)))


def mish_slope(x: Any) -> Any:
    return sigmoid(x) * mpmath.sech(softplus(x)) ** 2


def gelu_tanh(x: Any) -> tuple[Any, Any]:
    u = 2 * mpmath.sqrt(2 / mpmath.pi) * (x + mpf("0.044715") * x**3)
    du = 2 * mpmath.sqrt(2 / mpmath.pi) * (1 + 3 * mpf("0.044715") * x**2)
    return x * sigmoid(u), sigmoid(u) + x * sigmoid(u) * sigmoid(-u) * du


def hard_swish(x: Any) -> tuple[Any, Any]:
    return (x * cut(x + 3, 0, 6)[0] / 6, mpf(0) if x <= -3 else mpf(1) if x >= 3 else x / 3 + mpf(1) / 2)


def softmax(*x: Any) -> tuple[Any, Any]:
    """softmax, and the derivatives of its first entry."""
    e = [mpmath.exp(v) for v in x]
    y = [v / sum(e) for v in e]
    return y, [y[0] * sum(y[1:]), *(-y[0] * v for v in y[1:])]


def log_softmax(*x: Any) -> tuple[Any, Any]:
    e = [mpmath.exp(v) for v in x]
    above = [mpmath.log1p(sum(e[:i] + e[i + 1 :]) / v) for i, v in enumerate(e)]
    return [-v for v in above], [sum(e[1:]) / sum(e), *(-v / sum(e) for v in e[1:])]


def cross_entropy(*x: Any) -> tuple[Any, Any]:
    """Of the first class."""
    values, gradient = log_softmax(*x)
    return -values[0], [-v for v in gradient]


def huber(y: Any, t: Any) -> tuple[Any, Any]:
    d = y - t
    return (d * d / 2 if abs(d) <= 1 else abs(d) - mpf(1) / 2), max(-1, min(1, d))


def binary_cross_entropy(y: Any, t: Any) -> tuple[Any, Any]:
    costs = -t * mpmath.log(y) if t else 0, -(1 - t) * mpmath.log1p(-y) if t != 1 else 0
    return sum(costs), (y - t) / (y * (1 - y))


def with_logits(y: Any, t: Any) -> tuple[Any, Any]:
    return t * softplus(-y) + (1 - t) * softplus(y), (1 - t) * sigmoid(y) - t * sigmoid(-y)


def kl(y: Any, t: Any) -> tuple[Any, Any]:
    return (t * (mpmath.log(t) - y) if t else mpf(0)), -t


def normalized(center: bool, eps: float) -> Callable[..., tuple[Any, Any]]:
    """(X − μ)·r, with or without μ, and the gradient of its sum weighted by WEIGHTS."""

    def truth(*x: Any) -> tuple[Any, Any]:
        weights, n = [mpf(float(w)) for w in WEIGHTS], len(x)
        mean = sum(x) / n if center else mpf(0)
        r = 1 / mpmath.sqrt(sum((v - mean) ** 2 for v in x) / n + mpf(eps))
        y = [(v - mean) * r for v in x]
        both = sum(v * w for v, w in zip(y, weights, strict=True)) / n
        shift = sum(weights) / n if center else 0
        return y, [r * (w - shift - v * both) for v, w in zip(y, weights, strict=True)]

    return truth


def standardized(x: Any, mean: Any, variance: Any) -> tuple[Any, Any]:
    r = 1 / mpmath.sqrt(variance + mpf(1e-5))
    return (x - mean) * r, r
