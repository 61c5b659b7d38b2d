"""Losses of several outputs at once: `gaussian_nll` of a mean and a variance, `triplet` of three embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from purenet.core import Loss
from purenet.engine import Ops, engine_of, ops_for
from purenet.engine.arrays import Array, NumpyArray, as_array, conversion, describe, describe_all, dtype_name, weak
from purenet.losses.rules import Reduction, Total, check_target, reduced
from purenet.spec.presets import preset
from purenet.values import Call, called


def _outputs(name: Call, labels: tuple[str, ...], y: Any) -> tuple[Array, ...]:
    """The parts of y, after a check that they are arrays of one shape and dtype."""
    if type(y) is not tuple or len(y) != len(labels):
        raise TypeError(f"{name} takes y = ({', '.join(labels)}), a tuple of {len(labels)}, not {describe_all(y)}")
    parts = (*map(as_array, y),)
    for label, part in zip(labels, parts, strict=True):
        if not engine_of(part, f"{name}'s {label}").isdtype(part.dtype, "real floating"):
            mend = conversion(label, part, "float32")
            raise TypeError(f"{name}'s {label} computes in floating point, not on {describe(part)}: write {mend}")
    if len({(tuple(part.shape), dtype_name(part.dtype)) for part in parts}) > 1:
        given = ", ".join(f"{label} is {describe(part)}" for label, part in zip(labels, parts, strict=True))
        raise ValueError(f"{name} takes outputs of one shape and dtype, but {given}")
    return parts


def _of_outputs(
    name: Call,
    reduction: Reduction,
    labels: tuple[str, ...],
    rule: Callable[[Ops, tuple[Array, ...], Any], Total],
    rows: bool = False,
    values: Callable[[NumpyArray], None] | None = None,
) -> Loss:
    """The loss of y with these parts and `rule(ops, y, target) -> (total, pull)`; `pull(scale)` is a tuple.

    The mean is over the elements of one part, which is compared with the target, or over the rows, and the target is
    not read. `values` checks the numbers of the last part.
    """

    def check(y: Any, target: Any) -> tuple[Ops, Any, Any]:
        y, target = _outputs(name, labels, y), target if rows else as_array(target)
        if not rows:
            check_target(name, y[0], target, classes=False)
        elif not (y[0].ndim and y[0].shape[-1]):
            raise ValueError(f"{name} takes outputs of shape (batch, features), not {describe(y[0])}")
        if reduction == "mean" and not count(y):
            raise ValueError(f"{name} has no mean over an empty batch: y has shape {tuple(y[0].shape)}")
        ops = ops_for([*y, *([] if rows else [target])])
        return ops, (*map(ops.take_in, y),), target if rows else ops.take_in(target)

    def count(y: tuple[Array, ...]) -> int:
        return math.prod(y[0].shape[:-1] if rows else y[0].shape)

    def bare(ops: Ops, y: tuple[Array, ...], target: Any) -> Total:
        if values is not None:
            ops.look(values, y[-1])
        n = count(y) if reduction == "mean" else 1
        total, pull = rule(ops, y, target if rows else ops.astype(target, y[0].dtype))
        return total / n, lambda dE: pull(weak(dE) / n)

    return reduced(name, reduction, check, bare, "rows" if rows else "elements")


@preset
def gaussian_nll(full: bool = False, eps: float = 1e-6, reduction: Reduction = "mean") -> Loss:
    """For a net that also says how sure it is: y is a tuple (M, V), the means and variances of normal distributions,
    each of the target's shape. E = Σ (log V + (M − T)² / V) / 2n; dE/dM = (M − T) / V / n,
    dE/dV = (1 − (M − T)² / V) / 2V / n.

    A V below eps counts as eps, and as in PyTorch, dE/dV is then that at eps. With `full`, the log(2π) / 2 that does
    not depend on y is added. Such a net ends with `fan_out(dense(n), serial(dense(n), softplus))`.

    D. Nix, A. Weigend, "Estimating the mean and variance of the target probability distribution", 1994.

    Raises:
        TypeError, ValueError: a y that is no such tuple; a variance below 0.

    >>> import numpy as np, purenet as pn
    >>> E, pullback = pn.gaussian_nll.vjp((np.array([1.0, 3.0]), np.array([1.0, 4.0])), np.array([0.0, 3.0]))
    >>> float(E), pullback()
    (0.5965735902799727, (array([0.5, 0. ]), array([0.    , 0.0625])))
    """
    name = called("gaussian_nll", locals())
    if not 0 < eps < math.inf:
        raise ValueError(f"gaussian_nll takes a positive eps, not {eps!r}")
    constant = math.log(2 * math.pi) / 2 if full else 0.0

    def values(variance: NumpyArray) -> None:
        if variance.size and variance.min() < 0:
            raise ValueError(
                f"{name} takes variances from 0 up, but found {variance.min():g}: let them come out of softplus"
            )

    def rule(ops: Ops, y: tuple[Array, ...], target: Array) -> Total:
        mean, given = y
        variance = ops.maximum(ops.or_nan(given, lambda: given >= 0), eps)
        d = mean - target
        share = d / variance
        costs = 0.5 * (ops.log(variance) + d * share) + constant

        def pull(scale: Any) -> Any:
            return share * scale, (0.5 - 0.5 * d * share) / variance * scale

        return ops.sum_all(costs), pull

    return _of_outputs(name, reduction, ("mean", "variance"), rule, values=values)


@preset
def triplet(margin: float = 1.0, reduction: Reduction = "mean") -> Loss:
    """For embeddings: y is a tuple (A, P, N), each (batch, features), of an anchor, one that is alike, and one that is
    not; A is to be nearer to P than to N by a margin. With D(A, B) = |A − B + 1e-6| as in PyTorch,
    E = Σ max(0, D(A, P) − D(A, N) + margin) / batch.

    In rows that cost something, with the directions U = (A − P + 1e-6) / D(A, P) and W = (A − N + 1e-6) / D(A, N):
    dE/dA = (U − W) / batch, dE/dP = −U / batch, dE/dN = W / batch; in the others it is 0.

    The target is not read: what is alike, y tells. `fit` takes anything with an example a row for it, such as labels.
    A net that embeds three inputs alike is `tied(parallel(net, net, net))`, see `tied`.

    F. Schroff et al., "FaceNet: A unified embedding for face recognition and clustering", CVPR 2015, equation 3.

    Raises:
        TypeError, ValueError: a y that is no such tuple; a margin that is not positive.

    >>> import numpy as np, purenet as pn
    >>> anchor, positive, negative = (np.array([[x, 0.0]]) for x in (0.0, 3.0, 2.0))
    >>> E, pullback = pn.triplet.vjp((anchor, positive, negative), None)
    >>> float(E.round(5)), [part.round(5) for part in pullback()][1:]
    (2.0, [array([[ 1., -0.]]), array([[-1.,  0.]])])
    """
    name = called("triplet", locals())
    if not 0 < margin < math.inf:
        raise ValueError(f"triplet takes a positive margin, not {margin!r}")

    def rule(ops: Ops, y: tuple[Array, ...], target: Any) -> Total:
        anchor, positive, negative = y
        near, u = _distance(ops, anchor - positive)
        far, w = _distance(ops, anchor - negative)
        costs = near - far + margin
        active = ~(costs <= 0)

        def pull(scale: Any) -> Any:
            du, dw = (ops.keep(direction * scale, active) for direction in (u, w))
            return du - dw, -du, dw

        return ops.sum_all(ops.maximum(costs, 0)), pull

    return _of_outputs(name, reduction, ("anchor", "positive", "negative"), rule, rows=True)


def _distance(ops: Ops, d: Array) -> tuple[Array, Array]:
    """The length of each row of d + 1e-6, and the direction, 0 where the length is."""
    d = d + 1e-6
    length = ops.sqrt(ops.dot_last(d, d))
    return length, d / ops.where(length == 0, 1, length)
