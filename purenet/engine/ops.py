"""Every op in its plain form: array API code, which any engine that follows the standard can run.

An engine's own forms stand in its own file, `numpy.py` or `jax.py`, under the same names. tests/test_ops.py holds each
of them against the plain one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any

from numpy import ufunc

from purenet.engine.activations import ActivationOps
from purenet.engine.arrays import Array, Shape, widened
from purenet.engine.attention import AttentionOps
from purenet.engine.convolution import ConvolutionOps
from purenet.engine.losses import LossOps
from purenet.engine.norms import NormOps
from purenet.engine.recurrence import RecurrenceOps


class Ops(ConvolutionOps, RecurrenceOps, AttentionOps, NormOps, ActivationOps, LossOps):
    """An engine: the functions of its array namespace by their own names (`ops.exp`), and these."""

    # an array in this engine

    def take_in(self, x: Array) -> Array:
        """The array in this engine, if it is another's."""
        return self.asarray(x)

    def astype(self, x: Array, dtype: Any) -> Array:
        """A copy of x in this dtype."""
        converted: Array = self.namespace.astype(x, dtype)
        return converted

    def read_only(self, x: Array) -> Array:
        """The same array, from now on read-only, as parameters are."""
        return x

    def fixed(self, params: Any) -> Any:
        """The tree of arrays, as constants: where the engine differentiates by itself, their gradient is 0."""
        return params

    def no_step(self, x: Array) -> Array:
        """The step of a buffer that stays as it is: 0."""
        return self.zeros_like(x)

    def has_gradient(self, x: Array) -> bool:
        """Whether x holds numbers that can be differentiated: not ids, lengths or a mask."""
        return bool(self.isdtype(x.dtype, ("real floating", "complex floating")))

    def look(self, check: Callable[..., None], *arrays: Array) -> None:
        """Run a check that needs the numbers themselves, where they can be looked at: on NumPy."""

    def labels_fit(self, labels: Array, classes: int) -> bool:
        """Whether all labels are from 0 to classes − 1, as far as they can be looked at."""
        return True

    def call(self, f: Callable[..., Any], x: Array) -> Array:
        """f(x) in this engine, of a function that users hand in: in place of one of NumPy's own, that of its name."""
        if isinstance(f, ufunc):
            f = getattr(self, f.__name__, f)
        return self.take_in(f(x))

    def or_nan(self, x: Array, is_right: Callable[[], Array]) -> Array:
        """x, and NaN where it is not right: instead of an error, where numbers cannot be looked at."""
        return x + self.where(is_right(), self.zeros_of((), x), self.nan)

    # products: the rows of a and y are what stands along their last axis, with any axes before it; b is a matrix

    def dot(self, a: Array, b: Array) -> Array:
        """a · b: each row times b."""
        return a @ b

    def dot_transposed(self, a: Array, b: Array) -> Array:
        """a · bᵀ: dE/dX of a dense layer."""
        return a @ b.T

    def transposed_dot(self, a: Array, c: Array) -> Array:
        """aᵀ · c: dE/dW of a dense layer, the sum over the rows of a's column times c's row."""
        return self.rows(a).T @ self.rows(c)

    def add_row(self, y: Array, row: Array) -> Array:
        """y + row, in each row of y, which nobody else reads."""
        return y + row

    # sums

    def sum_rows(self, x: Array) -> Array:
        """Σ over every axis but the last: a bias's gradient."""
        return self.sum(x, axis=tuple(range(x.ndim - 1)))

    def sum_before_last(self, x: Array) -> Array:
        """Σ over the axis before the last, which stays with size 1."""
        return self.sum(x, axis=-2, keepdims=True)

    def sum_last(self, x: Array) -> Array:
        """Σ over the last axis, which stays with size 1."""
        return self.sum(x, axis=-1, keepdims=True)

    def dot_last(self, a: Array, b: Array) -> Array:
        """Σ a ⊙ b over the last axis, which stays with size 1."""
        return self.vecdot(a, b)[..., None]

    def max_last(self, x: Array) -> Array:
        """The largest number along the last axis, which stays with size 1."""
        return self.max(x, axis=-1, keepdims=True)

    def sum_all(self, x: Array) -> Array:
        """Σ over every axis."""
        return self.sum(x)

    def sum_of_squares(self, x: Array) -> Array:
        """Σ x² over every axis."""
        return self.sum(x * x)

    def norm(self, arrays: Sequence[Array]) -> tuple[Any, Any]:
        """(s, r), where s·r is the norm √Σ x² of all numbers in the arrays; see `squares`."""
        scale, rest = self.squares(arrays)
        return scale, rest**0.5

    def squares(self, arrays: Sequence[Array]) -> tuple[Any, Any]:
        """(s, q), where s²·q is Σ x² of all numbers in the arrays, though this, and the squares, may be beyond the
        range of the dtype: s is a 16th of the largest |x|, so that 1 / s is in it too. On NumPy both are Python's
        numbers."""
        wide = [widened(x) for x in arrays if math.prod(x.shape)]
        if not wide:
            return 1.0, 0.0
        most = reduce(self.maximum, [self.max(self.abs(x)) for x in wide])
        scale = self.where(self.isfinite(most) & (most / 16 > 0), most / 16, self.ones_like(most))
        return scale, reduce(add, [self.sum_of_squares(x / scale) for x in wide])

    def sum_products(self, a: Array, b: Array) -> Array:
        """Σ a ⊙ b over the rows of two matrices, or of each two of many."""
        return self.sum(a * b, axis=-2)

    def add_rows(self, ids: Any, rows: Array, count: int) -> Any:
        """Row i of the result is the sum of the rows whose id is i."""
        total: Any = self.zeros_of((count, rows.shape[1]), rows)
        for i in range(ids.shape[0]):
            total[int(ids[i]), ...] += rows[i, ...]
        return total

    def sum_of_logs(self, target: Array, logs: Array) -> Array:
        """Σ target·logs over every axis, where 0 · −∞ is 0."""
        return self.sum(target * self.where((target != 0) | self.isfinite(logs), logs, 0))

    def one_hot(self, labels: Array, classes: int, dtype: Any) -> Array:
        """1 at each label, 0 at the other classes, which are a new last axis; of a label that is no class NaN, if the
        dtype has one."""
        labels = labels[..., None]
        hot = self.astype(labels == self.arange(classes), dtype)
        return self.or_nan(hot, lambda: (labels >= 0) & (labels < classes)) if self.has_gradient(hot) else hot

    # shapes

    def rows(self, x: Array) -> Array:
        """x as a matrix: every axis but the last in one."""
        return x if x.ndim == 2 else self.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))

    def compact(self, x: Array) -> Array:
        """x as one piece of memory, in the order of its axes."""
        return x

    def zeros_of(self, shape: Shape, like: Array) -> Array:
        """Zeros of this shape, in the dtype of `like`."""
        return self.zeros(shape, dtype=like.dtype)

    # numbers and memory

    def factor(self, number: float | Array, like: Array) -> float | Array:
        """The number, in the form by which an array like this one is multiplied the fastest."""
        return number

    def overwrite(self, f: Callable[..., Array], temporary: Array, *arrays: Array) -> Array:
        """f(temporary), or f(*arrays), where nobody reads the temporary again: it may hold the result."""
        return f(*(arrays or (temporary,)))

    def add_scaled(self, a: Array, b: Array, factor: Any) -> Array:
        """a + b·factor."""
        total: Array = b * factor
        total += a
        return total

    def add_quotient(self, a: Array, b: Array, divisor: Array, factor: Any) -> Array:
        """a + b / divisor · factor, where nobody reads the divisor again: it may hold the result."""
        total: Array = self.overwrite(self.divide, divisor, b, divisor)
        total *= factor
        total += a
        return total

    def at_most(self, x: Array, limit: float) -> Array:
        """min(x, limit), or x itself."""
        return self.minimum(x, limit)

    def keep(self, x: Array, mask: Array) -> Array:
        """x where the mask is True, else 0. (A product with the mask would be NaN where x is not finite.)"""
        return self.where(mask, x, 0)

    def all_finite(self, *arrays: Array) -> bool:
        """Whether it is known that all numbers are finite."""
        return False

    def without_tiny(self, x: Array) -> Array:
        """x, and 0 for each number that is within 2²⁴ of the smallest normal one, or below it."""
        if not self.has_gradient(x):
            return x
        least = float(self.finfo(x.dtype).smallest_normal) * 2**24
        return x * self.astype(self.abs(x) >= least, x.dtype)  # NaN stays

    def relu(self, x: Array) -> Array:
        """max(x, 0)."""
        return self.maximum(x, 0)

    def relu_back(self, dy: Array, y: Array) -> Array:
        """dE/dX of y = max(x, 0): dE/dY where y > 0, else 0."""
        return self.keep(dy, y > 0)
