"""Initial values of parameters: `initializer(key, shape, dtype=float32) -> array`, read-only.

The fans of a weight are read from its shape: (in, out) for dense, (*kernel, in // groups, out) for convolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from purenet import random
from purenet.engine.arrays import Shape, astype, describe, namespace, owned, seal
from purenet.random import Key
from purenet.values import Value, call, hinted, takes_numbers


class Initializer(Protocol):
    def __call__(self, key: Key, shape: Shape, dtype: Any = np.float32, /) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Made(Value):
    """An initializer that a function of this module made."""

    draw: Initializer
    name: str
    home = "purenet.initializers"

    def __call__(self, *args: Any) -> Any:
        if not args:
            raise TypeError(f"{self.name} is an initializer as it stands: write it without ()")
        return self.draw(*args)


@hinted
def zeros(key: Key, shape: Shape, dtype: Any = np.float32) -> Any:
    """All 0.

    >>> zeros(random.key(0), (2,))
    array([0., 0.], dtype=float32)
    """
    return constant(0.0)(key, shape, dtype)


@hinted
def ones(key: Key, shape: Shape, dtype: Any = np.float32) -> Any:
    """All 1.

    >>> ones(random.key(0), (2,))
    array([1., 1.], dtype=float32)
    """
    return constant(1.0)(key, shape, dtype)


@takes_numbers
def constant(value: float) -> Initializer:
    """All the same value.

    >>> constant(0.25)(random.key(0), (2,))
    array([0.25, 0.25], dtype=float32)
    """

    def initialize(key: Key, shape: Shape, dtype: Any = np.float32, /) -> Any:
        return seal(np.full(shape, value, dtype))

    return Made(initialize, call("constant", value))


@takes_numbers
def normal(std: float = 0.01) -> Initializer:
    """Normally distributed around 0.

    >>> normal(0.5)(random.key(0), (1,)).shape
    (1,)
    """
    return Made(_scaled(random.normal, _from_zero("normal", std)), call("normal", std))


@takes_numbers
def truncated_normal(std: float = 0.01) -> Initializer:
    """Normally distributed around 0 and cut off at two `std` on each side, as in Keras and PyTorch.

    What is left has a standard deviation of 0.88 `std`; `variance_scaling` corrects for that.

    >>> truncated_normal(1.0)(random.key(0), (1,)).shape
    (1,)
    """
    return Made(_scaled(random.truncated_normal, _from_zero("truncated_normal", std)), call("truncated_normal", std))


@takes_numbers
def uniform(limit: float = 0.05) -> Initializer:
    """Spread evenly over (−limit, limit).

    >>> bool(abs(uniform(0.1)(random.key(0), (9,))).max() <= 0.1)
    True
    """
    return Made(_scaled(_symmetric, _from_zero("uniform", limit)), call("uniform", limit))


Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["uniform", "normal", "truncated_normal"]


@takes_numbers
def variance_scaling(scale: float = 1.0, mode: Mode = "fan_in", distribution: Distribution = "uniform") -> Initializer:
    """Mean 0 and variance scale / fan: the family that Glorot's, He's and LeCun's initializers belong to.

    >>> variance_scaling(2.0, "fan_in", "normal")(random.key(0), (4, 3)).shape
    (4, 3)
    """
    _from_zero("variance_scaling", scale)
    if mode not in _MODES or distribution not in _UNIT_VARIANCE:
        raise ValueError(
            f"variance_scaling takes a mode of {list(_MODES)} and a distribution of {list(_UNIT_VARIANCE)}, "
            f"not {mode!r} and {distribution!r}"
        )
    sample, std_of_sample = _UNIT_VARIANCE[distribution]

    def initialize(key: Key, shape: Shape, dtype: Any = np.float32, /) -> Any:
        fan = max(1.0, _MODES[mode](*fans(shape)))
        return _scaled(sample, math.sqrt(scale / fan) / std_of_sample)(key, shape, dtype)

    return Made(initialize, call("variance_scaling", scale, mode, distribution))


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight: how many inputs reach one output, and how many outputs one input reaches.

    >>> fans((784, 128)), fans((3, 3, 16, 32))
    ((784, 128), (144, 288))
    """
    if len(shape) < 2:
        raise ValueError(f"a weight of shape {shape} has no fans: it needs an axis of inputs and one of outputs")
    kernel = math.prod(shape[:-2])
    return kernel * shape[-2], kernel * shape[-1]


@takes_numbers
def orthogonal(gain: float = 1.0) -> Initializer:
    """A random matrix with orthonormal columns (rows, where there are fewer), times `gain`.

    Axes but the last are taken as one. A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics
    of learning in deep linear neural networks", ICLR 2014.

    >>> w = orthogonal()(random.key(0), (5, 3))
    >>> bool(np.allclose(w.T @ w, np.eye(3), atol=1e-6))
    True
    """
    _from_zero("orthogonal", gain)

    def initialize(key: Key, shape: Shape, dtype: Any = np.float32, /) -> Any:
        fans(shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        precise = np.float64 if type(key) is Key else dtype  # JAX has float64 only if it is set so
        tall = random.normal(key, (max(rows, columns), min(rows, columns)), precise)
        xp = namespace(tall)
        q, r = xp.linalg.qr(tall)
        q = q * xp.sign(xp.linalg.diagonal(r))  # makes the draw uniform over all such matrices
        matrix = gain * (q if rows >= columns else q.T)
        return seal(astype(xp.reshape(matrix, shape), dtype))

    return Made(initialize, call("orthogonal", gain))


def _symmetric(key: Key, shape: Shape, dtype: Any = np.float32) -> Any:
    return random.uniform(key, shape, -1.0, 1.0, dtype)


def _scaled(sample: Any, scale: float) -> Initializer:
    def initialize(key: Key, shape: Shape, dtype: Any = np.float32, /) -> Any:
        draw = sample(key, shape, dtype=dtype)
        draw *= scale
        return seal(draw)

    return initialize


def _from_zero(name: str, number: Any) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not number >= 0:
        raise ValueError(f"initializers.{name} takes a number from 0 up, not {describe(number)}: {number!r}")
    return float(number)


_MODES: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}
_UNIT_VARIANCE: dict[str, tuple[Any, float]] = {  # samplers, and the standard deviation of what they give
    "uniform": (_symmetric, math.sqrt(1 / 3)),
    "normal": (random.normal, 1.0),
    "truncated_normal": (random.truncated_normal, 0.8796256610342398),
}

glorot_uniform = xavier_uniform = variance_scaling(1.0, "fan_avg", "uniform")
glorot_normal = xavier_normal = variance_scaling(1.0, "fan_avg", "truncated_normal")
he_uniform = kaiming_uniform = variance_scaling(2.0, "fan_in", "uniform")
he_normal = kaiming_normal = variance_scaling(2.0, "fan_in", "truncated_normal")
lecun_uniform = variance_scaling(1.0, "fan_in", "uniform")
lecun_normal = variance_scaling(1.0, "fan_in", "truncated_normal")
"""X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010;
K. He et al., "Delving deep into rectifiers", ICCV 2015; Y. LeCun et al., "Efficient backprop", 1998."""


def draw(initializer: Initializer, key: Key, shape: Shape, who: str) -> Any:
    """The initial value of a parameter, checked: a layer calls this."""
    try:
        value = initializer(key, shape)
        if tuple(getattr(value, "shape", ())) == tuple(shape) and hasattr(value, "dtype"):
            return owned(value)  # its array may be one that the caller goes on to write to
    except TypeError as error:
        error.add_note(f"  in {who}: an initializer is called as (key, shape); initializers.normal needs parentheses")
        raise
    raise ValueError(f"{who} asked its initializer for shape {shape}, but got {describe(value)}")


def side_by_side(who: str, *initializers: Initializer) -> Initializer:
    """An initializer of blocks of outputs that meet inputs of their own, such as gates or groups of channels.

    Each block is drawn by itself, so that its fans are its own, and an orthogonal one is so by itself.
    """

    def initialize(key: Key, shape: Shape, dtype: Any = np.float32, /) -> Any:
        keys = random.split(key, len(initializers))
        block = (*shape[:-1], shape[-1] // len(initializers))
        pieces = [draw(f, k, block, who) for f, k in zip(initializers, keys, strict=True)]
        return seal(namespace(pieces[0]).concat(pieces, axis=-1))

    return initialize
