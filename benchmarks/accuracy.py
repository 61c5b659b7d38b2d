"""How exact activations, losses and normalizations are in float32: value and gradient against mpmath, PyTorch and JAX.

The error is in units in the last place (ulp): the distance to the truth, over the spacing of float32 numbers there.
The grid has zeros, every power of ten from 1e-30 to 1e4 and more, the neighbours of kinks, ties and extreme logits. For
each the worst point counts. A truth beyond float32's largest number is left out; something else than a finite number
elsewhere shows as inf. A name with ' is the gradient.

What a normalization gives for a row of numbers is a difference, whose entries can come out as near 0 as they like. So
the error of each is in ulp of the largest true one in its row (of 1, where the row is all 0). Their rows have means far
larger than their deviations, deviations far below eps, near ties, outliers and none but equal numbers.

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

    from benchmarks.truth import (
        EACH,
        SMALLEST,
        WEIGHTS,
        binary_cross_entropy,
        cross_entropy,
        cut,
        exponential,
        gated,
        gelu_tanh,
        grid,
        hard_swish,
        huber,
        kl,
        log_softmax,
        logits,
        mish_slope,
        normalized,
        numbers,
        pairs,
        rows,
        sigmoid,
        sloped,
        softmax,
        softplus,
        standardizations,
        standardized,
        with_logits,
    )
except ImportError as missing:
    sys.exit(f"accuracy compares with {missing.name}, which is not installed: pip install 'purenet[dev]'")


class Subject(NamedTuple):
    """A function and its derivative: the truth for one point, and who computes it for all points."""

    name: str
    points: tuple[Any, ...]  # float32 arrays; their first axis runs over the points
    truth: Callable[..., tuple[Any, Any]]  # of one point, in mpmath's numbers: (value, gradient)
    contenders: dict[str, Callable[..., tuple[Any, Any]]]  # of all points: (values, gradients)
    by_row: bool = False  # an error is in ulp of the largest true number in its row


# the contenders


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


def in_flax(x: Any) -> Any:
    """As flax normalizes with use_fast_variance=False; its default, ⟨x²⟩ − ⟨x⟩², would be too easy to beat."""
    y = x - jnp.mean(x, axis=-1, keepdims=True)
    return y * jax.lax.rsqrt(jnp.var(x, axis=-1, keepdims=True) + 1e-5)


RMS_EPS = 2.0**-23
NORMS: dict[
    str, tuple[Any, Any, Any, Any, Any]
] = {  # layer, rows to its input, back again, in PyTorch, in JAX; of rows
    "layer_norm": (
        pn.layer_norm(affine=False),
        lambda x: x,
        lambda y: y,
        lambda x: F.layer_norm(x, (EACH,)),
        in_flax,
    ),
    "rms_norm": (
        pn.rms_norm(affine=False),
        lambda x: x,
        lambda y: y,
        lambda x: F.rms_norm(x, (EACH,)),
        lambda x: x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + RMS_EPS),
    ),
    "group_norm": (  # 4 groups of 2 channels at 3 positions
        pn.group_norm(4, affine=False),
        lambda x: x.reshape(-1, 4, 3, 2).swapaxes(1, 2).reshape(-1, 3, 8),
        lambda y: y.reshape(-1, 3, 4, 2).swapaxes(1, 2).reshape(-1, EACH),
        lambda x: F.group_norm(x.reshape(-1, 8, 3), 4).reshape(x.shape),
        in_flax,
    ),
    "instance_norm": (  # 4 channels at 6 positions
        pn.instance_norm,
        lambda x: x.reshape(-1, 4, EACH).swapaxes(1, 2),
        lambda y: y.swapaxes(1, 2).reshape(-1, EACH),
        lambda x: F.instance_norm(x.reshape(-1, 4, EACH)).reshape(x.shape),
        in_flax,
    ),
    "batch_norm": (  # each row a channel, of 6 examples
        pn.batch_norm(affine=False),
        lambda x: x.T,
        lambda y: y.T,
        lambda x: F.batch_norm(x.T, None, None, training=True).T,
        in_flax,
    ),
}


# who computes it


def first_entry(y: Any) -> Any:
    """dE/dY for E the sum of elements, or of the first entries of rows."""
    dy = np.ones_like(y)
    if y.ndim > 1:
        dy[:, 1:] = 0
    return dy


def in_purenet(layer: pn.Layer[Any]) -> Callable[[Any], tuple[Any, Any]]:
    def run(x: Any) -> tuple[Any, Any]:
        y, pullback = layer.vjp((), x)
        return y, pullback(first_entry(y))[1]

    return run


def in_torch(f: Any, dy_of: Callable[[Any], Any] = first_entry) -> Callable[..., tuple[Any, Any]]:
    def run(x: Any, *rest: Any) -> tuple[Any, Any]:
        x = torch.tensor(x, requires_grad=True)
        y = f(x, *(torch.tensor(other) for other in rest))
        y.backward(torch.tensor(dy_of(y.detach().numpy())))
        return y.detach().numpy(), x.grad.numpy()

    return run


def in_jax(f: Any, dy_of: Callable[[Any], Any] = first_entry) -> Callable[..., tuple[Any, Any]]:
    @jax.jit
    def run(x: Any, *rest: Any) -> tuple[Any, Any]:
        y, pull = jax.vjp(lambda x: f(x, *rest), x)
        return y, pull(jnp.asarray(dy_of(np.empty(y.shape, np.float32))))[0]

    return run


def norm_in_purenet(layer: pn.Layer[Any], lay: Any, back: Any) -> Callable[[Any], tuple[Any, Any]]:
    """In training, which matters to batch_norm."""

    def run(x: Any) -> tuple[Any, Any]:
        params = layer.init(pn.key(0), lay(x).shape[1:])
        y, pullback = layer.vjp(params, lay(x), pn.key(0))
        return back(y), back(pullback(lay(weighted(x)))[1])

    return run


def inference_in_purenet(x: Any, mean: Any, variance: Any) -> tuple[Any, Any]:
    layer = pn.batch_norm(affine=False)
    params = layer.init(pn.key(0), x.shape)._replace(mean=pn.Buffer(mean), variance=pn.Buffer(variance))
    y, pullback = layer.vjp(params, x[None])
    return y[0], pullback(np.ones_like(y))[1][0]


def weighted(y: Any) -> Any:
    """dE/dY for E the sum of rows weighted by WEIGHTS."""
    return np.tile(WEIGHTS, (len(y), 1))


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
    for name, (layer, lay, back, torchs, jaxs) in NORMS.items():
        truth = normalized(center=name != "rms_norm", eps=RMS_EPS if name == "rms_norm" else 1e-5)
        contenders = {"purenet": norm_in_purenet(layer, lay, back)}
        contenders |= {"PyTorch": in_torch(torchs, weighted), "JAX": in_jax(jaxs, weighted)}
        found.append(Subject(name, (rows(),), lambda x, truth=truth: truth(*x), contenders, by_row=True))
    contenders = {
        "purenet": inference_in_purenet,
        "PyTorch": in_torch(lambda x, mean, variance: F.batch_norm(x[None], mean, variance)[0]),
        "JAX": in_jax(lambda x, mean, variance: (x - mean) * jax.lax.rsqrt(variance + 1e-5)),
    }
    found.append(Subject("batch_norm in inference", standardizations(), standardized, contenders))
    return found


# the errors


def exact(subject: Subject) -> tuple[Any, Any]:
    """The truth at each point, rounded to float64, which is exact beside float32."""
    as_mp = np.vectorize(mpf, otypes=[object])
    results = [subject.truth(*point) for point in zip(*(as_mp(np.float64(p)) for p in subject.points), strict=True)]
    return tuple(np.array([as_float(r[i]) for r in results], np.float64) for i in (0, 1))


def as_float(number: Any) -> Any:
    return [float(n) for n in number] if isinstance(number, list) else float(number)


def ulps(got: Any, truth: Any, size: Any) -> Any:
    """The distance in units of the spacing of float32 at the size, which is never below 2^-149."""
    _, exponent = np.frexp(size)
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
        size = np.abs(truth)
        if subject.by_row:
            largest = size.max(axis=1, keepdims=True)
            size = np.where(largest > 0, largest, 1) * np.ones_like(size)
        tiny = is_subnormal(size)
        for p in subject.points:
            of_point = is_subnormal(p).reshape(len(p), -1).any(axis=1)
            tiny |= of_point.reshape(-1, *(1 for _ in truth.shape[1:]))
        known = np.abs(truth) <= np.finfo(np.float32).max
        errors = {who: ulps(np.asarray(result[i]), truth, size) for who, result in results.items()}
        normal, subnormal = (
            {who: float(error[known & group].max(initial=0)) for who, error in errors.items()}
            for group in (~tiny, tiny)
        )
        worst = np.argmax(np.where(known & ~tiny, errors["purenet"], -1))
        point = tuple(p[np.unravel_index(worst, truth.shape)[0]] for p in subject.points)
        lines.append(Line(subject.name + what, normal, subnormal, point))
    return lines


def number(n: float) -> str:
    return f"{n:.2f}" if n < 1000 else f"{n:.1e}"


def written(point: Any) -> str:
    """Numbers in the fewest digits that tell them apart from other float32."""
    return f"({', '.join(map(written, point))})" if np.ndim(point) or isinstance(point, tuple) else str(point)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="what to measure (default: all)")
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
                where = f"   worst at {written(line.where)}" if line.flag else ""
                print(f"{line.name:<33}{line.flag:<2}{left}   {right}{where}")
    print(f"\nworse than the worse of the two: {flagged}")
