"""How exact each activation and loss is in float32: value and gradient against mpmath, beside PyTorch and JAX.

The error is in units in the last place (ulp): the distance to the truth, over the spacing of float32 numbers there.
The grid has zeros, every power of ten from 1e-30 to 1e4 and more, the neighbours of kinks, ties and extreme logits. For
each the worst point counts. A truth beyond float32's largest number is left out; something else than a finite number
elsewhere shows as inf. A name with ' is the gradient.

Where an input or the truth is subnormal (below 2^-126), the spacing no longer shrinks: it is that of the smallest
normal number, 2^-149. JAX takes such numbers as 0, which then counts millions of ulp, so these points stand in columns
of their own and do not excuse the others.

`!` marks where purenet is worse than the worse of the two, `~` where it is worse than the better one.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import purenet as pn

try:
    import jax
    import jax.numpy as jnp
    import mpmath
    import torch
    import torch.nn.functional as F  # noqa: N812
    from mpmath import mpf
except ImportError as missing:
    sys.exit(f"accuracy compares with {missing.name}, which is not installed: pip install 'purenet[dev]'")

SMALLEST = 2.0**-126


class Subject(NamedTuple):
    """A function and its derivative: the truth for one point, and who computes it for all points."""

    name: str
    points: tuple[Any, ...]  # float32 arrays; their first axis runs over the points
    truth: Callable[..., tuple[Any, Any]]  # of one point, in mpmath's numbers: (value, gradient)
    contenders: dict[str, Callable[..., tuple[Any, Any]]]  # of all points: (values, gradients)


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


ACTIVATIONS: dict[str, tuple[Any, Any, Any, tuple[float, ...]]] = {  # truth, in PyTorch, in JAX, kinks
    "tanh": (lambda x: (mpmath.tanh(x), mpmath.sech(x) ** 2), torch.tanh, jnp.tanh, ()),
    "sigmoid": (lambda x: (sigmoid(x), sigmoid(x) * sigmoid(-x)), torch.sigmoid, jax.nn.sigmoid, ()),
    "log_sigmoid": (lambda x: (-softplus(-x), sigmoid(-x)), F.logsigmoid, jax.nn.log_sigmoid, ()),
    "softplus": (lambda x: (softplus(x), sigmoid(x)), F.softplus, jax.nn.softplus, ()),
    "relu": (lambda x: (max(x, 0), mpf(x > 0)), torch.relu, jax.nn.relu, (0,)),
    "relu6": (lambda x: cut(x, 0, 6), F.relu6, jax.nn.relu6, (0, 6)),
    "leaky_relu": (
        lambda x: sloped(x, lambda x: (x / 100, 1 / mpf(100)), lambda x: (x, mpf(1))),
        F.leaky_relu,
        jax.nn.leaky_relu,
        (0,),
    ),
    "elu": (lambda x: exponential(x, 1.0), F.elu, jax.nn.elu, (0,)),
    "celu": (lambda x: exponential(x, 1.0), F.celu, jax.nn.celu, (0,)),
    "selu": (lambda x: exponential(x, 1.6732632423543772, 1.0507009873554805), F.selu, jax.nn.selu, (0,)),
    "gelu": (gated(mpmath.ncdf, mpmath.npdf), F.gelu, lambda x: jax.nn.gelu(x, approximate=False), ()),
    "gelu_tanh": (gelu_tanh, lambda x: F.gelu(x, approximate="tanh"), jax.nn.gelu, ()),
    "silu": (gated(sigmoid, lambda x: sigmoid(x) * sigmoid(-x)), F.silu, jax.nn.silu, ()),
    "mish": (gated(lambda x: mpmath.tanh(softplus(x)), mish_slope), F.mish, jax.nn.mish, ()),
    "softsign": (lambda x: (x / (1 + abs(x)), 1 / (1 + abs(x)) ** 2), F.softsign, jax.nn.soft_sign, ()),
    "hard_tanh": (lambda x: cut(x, -1, 1), F.hardtanh, jax.nn.hard_tanh, (-1, 1)),
    "hard_sigmoid": (
        lambda x: tuple(v / 6 for v in cut(x + 3, 0, 6)),
        F.hardsigmoid,
        jax.nn.hard_sigmoid,
        (-3, 3),
    ),
    "hard_swish": (hard_swish, F.hardswish, jax.nn.hard_silu, (-3, 3)),
}


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


_probabilities = [1e-10, 1e-6, 1e-3, *np.linspace(0.01, 0.99, 99), 1 - 1e-3, 1 - 1e-6, 0.5]
_soft = [0, 1e-6, 0.25, 0.5, 0.75, 1]
LOSSES: dict[str, tuple[Any, Any, Any, Any]] = {  # points, truth, in PyTorch, in JAX
    "mse": (
        pairs(numbers(), [0, 1, -3.3]),
        lambda y, t: ((y - t) ** 2, 2 * (y - t)),
        F.mse_loss,
        lambda y, t: (y - t) ** 2,
    ),
    "mae": (
        pairs(numbers(), [0, 1, -3.3]),
        lambda y, t: (abs(y - t), mpmath.sign(y - t)),
        F.l1_loss,
        lambda y, t: jnp.abs(y - t),
    ),
    "huber": (
        pairs(numbers(), [0, 1, -3.3]),
        huber,
        F.huber_loss,
        lambda y, t: jnp.where(jnp.abs(y - t) <= 1, 0.5 * (y - t) ** 2, jnp.abs(y - t) - 0.5),
    ),
    "binary_cross_entropy": (
        pairs(_probabilities, _soft),
        binary_cross_entropy,
        F.binary_cross_entropy,
        lambda y, t: -(t * jnp.log(y) + (1 - t) * jnp.log1p(-y)),
    ),
    "binary_cross_entropy_with_logits": (
        pairs(numbers(), _soft),
        with_logits,
        F.binary_cross_entropy_with_logits,
        lambda y, t: -(t * jax.nn.log_sigmoid(y) + (1 - t) * jax.nn.log_sigmoid(-y)),
    ),
    "hinge": (
        pairs(numbers(), [-1, 1]),
        lambda y, t: (max(0, 1 - t * y), -t * (t * y < 1)),
        lambda y, t, reduction: torch.relu(1 - t * y),
        lambda y, t: jax.nn.relu(1 - t * y),
    ),
    "kl_divergence": (
        pairs([-1e-30, -1e-3, -0.7, *np.linspace(-20, 0, 50), -1e4], _soft),
        kl,
        F.kl_div,
        lambda y, t: jax.scipy.special.xlogy(t, t) - t * y,
    ),
}


# who computes it


def in_purenet(layer: pn.Layer[Any]) -> Callable[[Any], tuple[Any, Any]]:
    def run(x: Any) -> tuple[Any, Any]:
        y, pullback = layer.vjp((), x)
        return y, pullback(first_entry(y))[1]

    return run


def in_torch(f: Any) -> Callable[..., tuple[Any, Any]]:
    def run(x: Any, *rest: Any) -> tuple[Any, Any]:
        x = torch.tensor(x, requires_grad=True)
        y = f(x, *(torch.tensor(other) for other in rest))
        y.backward(torch.tensor(first_entry(y.detach().numpy())))
        return y.detach().numpy(), x.grad.numpy()

    return run


def in_jax(f: Any) -> Callable[..., tuple[Any, Any]]:
    @jax.jit
    def run(x: Any, *rest: Any) -> tuple[Any, Any]:
        y, pull = jax.vjp(lambda x: f(x, *rest), x)
        return y, pull(jnp.asarray(first_entry(np.empty(y.shape, np.float32))))[0]

    return run


def first_entry(y: Any) -> Any:
    """dE/dY for E the sum of elements, or of the first entries of rows."""
    dy = np.ones_like(y)
    if y.ndim > 1:
        dy[:, 1:] = 0
    return dy


def loss_in_purenet(loss: pn.Loss) -> Callable[..., tuple[Any, Any]]:
    """One point at a time: a batch of one."""

    def run(y: Any, target: Any) -> tuple[Any, Any]:
        both = [loss.vjp(y[i : i + 1], target[i : i + 1]) for i in range(len(y))]
        return np.stack([E for E, _ in both]), np.concatenate([pullback() for _, pullback in both])

    return run


def subjects() -> list[Subject]:
    found = []
    for name, (truth, torchs, jaxs, kinks) in ACTIVATIONS.items():
        contenders = {"purenet": in_purenet(getattr(pn, name)), "PyTorch": in_torch(torchs), "JAX": in_jax(jaxs)}
        found.append(Subject(name, (grid(kinks),), truth, contenders))
    for name, truth, torchs, jaxs in [
        ("softmax", softmax, lambda x: F.softmax(x, -1), jax.nn.softmax),
        ("log_softmax", log_softmax, lambda x: F.log_softmax(x, -1), jax.nn.log_softmax),
    ]:
        contenders = {"purenet": in_purenet(getattr(pn, name)), "PyTorch": in_torch(torchs), "JAX": in_jax(jaxs)}
        found.append(Subject(name, (logits(),), lambda x, truth=truth: truth(*x), contenders))
    for name, (points, truth, torchs, jaxs) in LOSSES.items():
        ours = loss_in_purenet(getattr(pn, name)(reduction="sum"))
        theirs = in_torch(lambda y, t, f=torchs: f(y, t, reduction="none"))
        found.append(Subject(name, points, truth, {"purenet": ours, "PyTorch": theirs, "JAX": in_jax(jaxs)}))
    labels = np.zeros(len(logits()), np.int64)
    contenders = {
        "purenet": lambda y: loss_in_purenet(pn.softmax_cross_entropy)(y, labels),
        "PyTorch": in_torch(lambda y: F.cross_entropy(y, torch.tensor(labels), reduction="none")),
        "JAX": in_jax(lambda y: -jax.nn.log_softmax(y)[:, 0]),
    }
    found.append(Subject("softmax_cross_entropy", (logits(),), lambda x: cross_entropy(*x), contenders))
    return found


# the errors


def exact(subject: Subject) -> tuple[Any, Any]:
    """The truth at each point, rounded to float64, which is exact beside float32."""
    as_mp = np.vectorize(mpf, otypes=[object])
    results = [subject.truth(*point) for point in zip(*(as_mp(np.float64(p)) for p in subject.points), strict=True)]
    return tuple(np.array([as_float(r[i]) for r in results], np.float64) for i in (0, 1))


def as_float(number: Any) -> Any:
    return [float(n) for n in number] if isinstance(number, list) else float(number)


def ulps(got: Any, truth: Any) -> Any:
    """The distance in units of the spacing of float32 at the truth, which is never below 2^-149."""
    _, exponent = np.frexp(np.abs(truth))
    spacing = np.ldexp(1.0, np.maximum(exponent - 1, -126) - 23)
    error = np.abs(got.astype(np.float64) - truth) / spacing
    return np.where(np.isfinite(got), error, math.inf)


def is_subnormal(x: Any) -> Any:
    return (np.abs(x) > 0) & (np.abs(x) < SMALLEST)


class Line(NamedTuple):
    name: str
    normal: dict[str, float]  # the largest error of each contender
    subnormal: dict[str, float]
    where: Any  # the point at which purenet's is largest

    @property
    def flag(self) -> str:
        ours, peers = round(self.normal["purenet"], 2), [round(self.normal[peer], 2) for peer in ("PyTorch", "JAX")]
        return "!" if ours > max(peers) else "~" if ours > min(peers) else ""


def measure(subject: Subject) -> list[Line]:
    """The lines of value and gradient."""
    truths = exact(subject)
    results = {who: run(*subject.points) for who, run in subject.contenders.items()}
    lines = []
    for i, what in enumerate(("", "'")):
        truth = truths[i]
        tiny = is_subnormal(truth)
        for p in subject.points:
            of_point = is_subnormal(p).reshape(len(p), -1).any(axis=1)
            tiny |= of_point.reshape(-1, *(1 for _ in truth.shape[1:]))
        known = np.abs(truth) <= np.finfo(np.float32).max
        errors = {who: ulps(np.asarray(result[i]), truth) for who, result in results.items()}
        normal, subnormal = (
            {who: float(error[known & group].max(initial=0)) for who, error in errors.items()}
            for group in (~tiny, tiny)
        )
        worst = np.argmax(np.where(known & ~tiny, errors["purenet"], -1))
        point = tuple(p[np.unravel_index(worst, truth.shape)[0]].tolist() for p in subject.points)
        lines.append(Line(subject.name + what, normal, subnormal, point))
    return lines


def number(n: float) -> str:
    return f"{n:.2f}" if n < 1000 else f"{n:.1e}"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="activations and losses to measure (default: all)")
    parser.add_argument("--digits", type=int, default=50, help="that mpmath computes in (default 50)")
    options = parser.parse_args(arguments)
    mpmath.mp.dps = options.digits
    whos = ("purenet", "PyTorch", "JAX")
    print(__doc__.partition("\n\n")[2])
    print(f"{'':<34} {'largest error, ulp':^29}   {'subnormal, ulp of 2^-149':^29}")
    print(f"{'':<32}   " + " ".join(f"{who:>9}" for who in whos) + "   " + " ".join(f"{who:>9}" for who in whos))
    flagged = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for subject in subjects():
            if options.names and subject.name not in options.names:
                continue
            for line in measure(subject):
                flagged += line.flag == "!"
                figures = (number(group[who]) for group in (line.normal, line.subnormal) for who in whos)
                left, right = " ".join(f"{next(figures):>9}" for _ in whos), " ".join(f"{f:>9}" for f in figures)
                where = f"   worst at {line.where}" if line.flag else ""
                print(f"{line.name:<33}{line.flag:<2}{left}   {right}{where}")
    print(f"\nworse than the worse of the two: {flagged}")
