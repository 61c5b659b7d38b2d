"""NumPy's own forms of the ops: each gives what the plain one gives, to rounding, in less time.

NumPy pays for each call, for short rows, and for memory that is not in the cache: the forms here avoid these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from operator import iadd
from typing import Any

import numpy as np
from numpy import ndarray

from purenet.engine.arrays import FLOAT32, NumpyArray, Shape, is_kind, no_step, plain, seal, widened
from purenet.engine.numpy_convolution import NumpyConvolutionOps, all_finite
from purenet.engine.numpy_recurrence import NumpyRecurrenceOps
from purenet.engine.numpy_windows import BITS
from purenet.engine.ops import Ops

LARGE = 65536  # numbers in a matrix from which it pays to look for another way to multiply it
FEW = 64  # rows of a small matrix, at most one less
LONG = 8192  # numbers in a sum beyond which it is made in blocks: one long sum loses digits in proportion to its length


class NumpyOps(NumpyConvolutionOps, NumpyRecurrenceOps, Ops):
    """NumPy on arrays of any size."""

    def isdtype(self, dtype: Any, kind: Any) -> bool:
        return is_kind(np, dtype, kind)

    def take_in(self, x: NumpyArray) -> NumpyArray:
        return plain(np.asarray(x))

    def astype(self, x: NumpyArray, dtype: Any) -> NumpyArray:
        """NumPy has the standard's function of this name only from 2.1."""
        return x.astype(dtype)

    def read_only(self, x: NumpyArray) -> NumpyArray:
        return seal(x)

    def no_step(self, x: NumpyArray) -> NumpyArray:
        return no_step(x.shape, x.dtype)

    def look(self, check: Callable[..., None], *arrays: NumpyArray) -> None:
        check(*arrays)

    def labels_fit(self, labels: NumpyArray, classes: int) -> bool:
        """As unsigned numbers, of which a negative one is very large; `argmax` takes a third of the time of `max`."""
        if not labels.size:
            return True
        unsigned, most = _unsigned(labels.dtype)
        numbers = labels.reshape(-1).view(unsigned)
        return bool(numbers[numbers.argmax()] < min(classes, most))

    def dot(self, a: NumpyArray, b: NumpyArray) -> NumpyArray:
        """The method takes a third of the operator's time on small arrays. It writes zeros into its result first, which
        for a large one takes up to a third of the product. Of several matrices it would make a slow loop."""
        if a.ndim != 2:
            return self.dot(self.rows(a), b).reshape(*a.shape[:-1], b.shape[1])
        return a.dot(b) if a.shape[0] * b.shape[1] < LARGE else a @ b

    def dot_transposed(self, a: NumpyArray, b: NumpyArray) -> NumpyArray:
        """OpenBLAS needs the longer for few columns if b is turned, up to twice: it gets a copy. For few rows and a
        large b it is up to twice as fast at the turned product, b · aᵀ."""
        if a.ndim != 2:
            return self.dot_transposed(self.rows(a), b).reshape(*a.shape[:-1], b.shape[0])
        n, inner = a.shape
        if n >= 64 and inner <= 16:
            return self.dot(a, b.T.copy())
        if 1 < n <= 96 and inner >= 128 and b.size >= LARGE:
            return self.dot(b, a.T).T.copy()
        return self.dot(a, b.T)

    def transposed_dot(self, a: NumpyArray, c: NumpyArray) -> NumpyArray:
        """With few columns and very many rows, OpenBLAS runs at a half to a fifth of its speed. Blocks of rows are
        small products, for which it has kernels of their own; and their sum loses fewer digits."""
        a, c = self.rows(a), self.rows(c)
        (n, inputs), outputs = a.shape, c.shape[1]
        if n * inputs * outputs <= 1_000_000 or inputs * outputs > 1024:
            return self.dot(a.T, c)
        whole = n - n % 256
        blocks = a[:whole].reshape(-1, 256, inputs).transpose(0, 2, 1) @ c[:whole].reshape(-1, 256, outputs)
        total = self.sum_rows(blocks.reshape(len(blocks), inputs * outputs)).reshape(inputs, outputs)
        return total + a[whole:].T.dot(c[whole:])

    def add_row(self, y: NumpyArray, row: NumpyArray) -> NumpyArray:
        """In y. NumPy makes a loop of each row: of many short ones it is given several as one, up to five times faster;
        of one it makes a vector."""
        width = y.shape[-1]
        n = y.size // width
        if n == 1:
            vector = y.reshape(width)
            vector += row
        elif n < 1024:
            y += row
        else:
            several = next(k for k in range(max(1, 512 // width), 0, -1) if n % k == 0)
            wide = y.reshape(n // several, several * width)
            wide += np.tile(row, several)
        return y

    def sum_rows(self, x: NumpyArray) -> NumpyArray:
        x = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        n, width = x.shape
        if n == 1:
            return x[0].copy()
        if n <= 1024 and x.dtype is FLOAT32:  # Σ is a product with ones: in half the time or less, and as precise
            return ones(n).dot(x)
        if n > 1024 and 1 <= width <= 32:  # of many short rows several are one, in half to a quarter of the time
            several = 512 // width
            whole = n - n % several
            sums = self.sum_rows(x[:whole].reshape(whole // several, several * width))
            return self.sum_rows(sums.reshape(several, width)) + self.sum_rows(x[whole:])
        return self.sum_before_last(x)[0]

    def sum_before_last(self, x: NumpyArray) -> NumpyArray:
        """NumPy would add one row after the other, which loses digits in proportion to their number. Products with
        ones, in blocks of rows, lose few, and run at BLAS's speed: 65,536 rows of 8 in a twentieth of the time."""
        n, whole = x.shape[-2], 0
        total: NumpyArray = 0
        if n > 512:
            whole = n - n % 256
            blocks = x[..., :whole, :].reshape(*x.shape[:-2], whole // 256, 256, x.shape[-1])
            total = self.sum_before_last((np.ones((1, 256), x.dtype) @ blocks)[..., 0, :])
        return total + np.ones((1, n - whole), x.dtype) @ x[..., whole:, :]

    def sum_last(self, x: NumpyArray) -> NumpyArray:
        n = x.shape[-1]
        if n > LONG:
            blocks, rest = in_blocks(x)
            return self.sum_last(self.sum_last(blocks)[..., 0]) + self.sum_last(rest)
        each = ones(n) if x.dtype is FLOAT32 and n <= 1024 else np.ones(n, x.dtype)
        total = x.dot(each) if x.ndim == 2 else x @ each  # `dot` would take twice as long for several matrices
        return total[..., None]

    def dot_last(self, a: NumpyArray, b: NumpyArray) -> NumpyArray:
        if a.shape[-1] <= LONG:
            return np.vecdot(a, b)[..., None]
        (blocks, rest), (others, other_rest) = in_blocks(a), in_blocks(b)
        with np.errstate(all="ignore"):  # `ndarray.dot` of short arrays does not warn either
            return self.sum_last(np.vecdot(blocks, others)) + np.vecdot(rest, other_rest)[..., None]

    def max_last(self, x: NumpyArray) -> NumpyArray:
        """NumPy looks row by row. For short rows, such as logits, it is several times faster by columns."""
        if x.ndim == 2 and 1 < x.shape[1] <= 64:
            return np.maximum.reduce(np.ascontiguousarray(x.T))[:, None]
        return np.maximum.reduce(x, axis=-1, keepdims=True)

    def sum_all(self, x: NumpyArray) -> NumpyArray:
        """NumPy adds in pairs, which loses few digits; in older versions only within a row."""
        if x.size <= LONG:
            return np.add.reduce(x, axis=None)
        blocks, rest = in_blocks(x.ravel(order="K"))
        return np.add.reduce(np.add.reduce(blocks, axis=-1)) + np.add.reduce(rest)

    def sum_of_squares(self, x: NumpyArray) -> NumpyArray:
        flat = x.ravel()
        return flat.dot(flat) if flat.size <= LONG else self.dot_last(flat, flat)[0]

    def squares(self, arrays: Sequence[NumpyArray]) -> tuple[float, float]:
        """By the squares themselves, if their sum has neither overflowed nor sunk towards 0."""
        with np.errstate(over="ignore"):
            square = sum(float(self.sum_of_squares(widened(x))) for x in arrays)
        if 1e-31 < square < math.inf:
            return 1.0, square
        scale, rest = super().squares(arrays)
        return float(scale), float(rest)

    def sum_products(self, a: NumpyArray, b: NumpyArray) -> NumpyArray:
        """`einsum` makes no array of the products."""
        if a.shape[-2] <= 256:
            return np.einsum("...ij,...ij->...j", a, b)
        blocks = [slice(i, i + 256) for i in range(0, a.shape[-2], 256)]
        sums = [np.einsum("...ij,...ij->...j", a[..., some, :], b[..., some, :]) for some in blocks]
        return self.sum_before_last(np.stack(sums, axis=-2))[..., 0, :]

    def add_rows(self, ids: NumpyArray, rows: NumpyArray, count: int) -> NumpyArray:
        """Without a matrix of ids by rows: the first row of each id is copied, which is all of most ids of a large
        vocabulary. The others are sorted by id, and each run of them summed."""
        total = np.zeros((count, rows.shape[1]), rows.dtype)
        found, firsts = np.unique(ids, return_index=True)
        total[found] = rows[firsts]
        others = np.delete(np.arange(len(ids)), firsts)
        if others.size:
            others = others[np.argsort(ids[others], kind="stable")]
            found, starts = np.unique(ids[others], return_index=True)
            total[found] += np.add.reduceat(rows[others], starts, axis=0)
        return total

    def sum_of_logs(self, target: NumpyArray, logs: NumpyArray) -> NumpyArray:
        """One product, without temporaries, and without a warning if a zero meets an infinity."""
        total = np.vdot(target, logs) if logs.size <= LONG else self.dot_last(target.ravel(), logs.ravel())[0]
        return total if math.isfinite(total) else super().sum_of_logs(target, logs)

    def call(self, f: Callable[..., Any], x: NumpyArray) -> NumpyArray:
        return f(x)

    def or_nan(self, x: NumpyArray, is_right: Callable[[], NumpyArray]) -> NumpyArray:
        """x: here numbers are looked at, and what is wrong is an error."""
        return x

    def one_hot(self, labels: NumpyArray, classes: int, dtype: Any) -> NumpyArray:
        """To copy rows of the identity is faster than to compare."""
        if classes > 256:
            return super().one_hot(labels, classes, dtype)
        return identity(classes, dtype).take(labels, axis=0)

    def keep(self, x: NumpyArray, mask: NumpyArray) -> NumpyArray:
        return np.multiply(mask, x.view(BITS[x.itemsize])).view(x.dtype)

    def all_finite(self, *arrays: NumpyArray) -> bool:
        return all(map(all_finite, arrays))

    def compact(self, x: NumpyArray) -> NumpyArray:
        return x.reshape(-1).reshape(x.shape)

    def zeros_of(self, shape: Shape, like: NumpyArray) -> NumpyArray:
        return np.zeros(shape, like.dtype)

    def exp_takes(self, scores: NumpyArray) -> bool:
        """For NumPy to find the largest of each row and to take it off takes twice as long as exp. Sums of exp(±40) are
        far from the ends of float32."""
        quick = scores.dtype.itemsize >= 4 and scores.size > 0
        return quick and bool(scores.max() < 40 and scores.min() > -40)

    def factor(self, number: float | NumpyArray, like: NumpyArray) -> float | NumpyArray:
        """An array of no axes, by which NumPy multiplies in half the time that it takes for a Python number."""
        return _kept_number(number, like) if type(number) is float and like.dtype is FLOAT32 else number

    def overwrite(self, f: Callable[..., NumpyArray], temporary: NumpyArray, *arrays: NumpyArray) -> NumpyArray:
        """For a large array, memory that is not in the cache costs more than a quick function such as tanh."""
        arrays = arrays or (temporary,)
        writable = type(f) is np.ufunc and type(temporary) is ndarray  # arithmetic on no axes gives scalars
        return f(*arrays, temporary) if writable else f(*arrays)

    def without_tiny(self, x: NumpyArray) -> NumpyArray:
        return x if x.size and np.abs(x).min() > 1e-30 else super().without_tiny(x)  # which is above its bound

    def at_most(self, x: NumpyArray, limit: float) -> NumpyArray:
        """NumPy cuts off both ends in a quarter of the time that `minimum` takes for an array and a number."""
        return np.minimum(x, limit) if x.size <= 1024 else np.clip(x, -math.inf, limit)

    def relu(self, x: NumpyArray) -> NumpyArray:
        """See `at_most`."""
        return np.maximum(x, 0) if x.size <= 1024 else np.clip(x, 0, math.inf)

    def where(self, mask: NumpyArray, a: NumpyArray, b: NumpyArray) -> NumpyArray:
        """NumPy's own goes by jumps, which the processor cannot foresee: of large arrays bits are taken, b's and, where
        the mask is 1, those in which a differs, in a tenth of the time."""
        like = a if isinstance(a, ndarray) else b
        if (
            not isinstance(mask, ndarray)
            or mask.size <= 1024
            or not isinstance(like, ndarray)
            or like.dtype.char not in "efd"
        ):
            return np.where(mask, a, b)
        a, b = (np.asarray(each, like.dtype) if isinstance(each, int | float) else each for each in (a, b))
        if a.dtype != b.dtype:
            return np.where(mask, a, b)
        of_a, of_b = (each.view(BITS[each.itemsize]) for each in (a, b))
        bits = mask * (of_a ^ of_b)
        bits ^= of_b
        return bits.view(like.dtype)


class SmallNumpyOps(NumpyOps):
    """NumPy on matrices of float32 so few and small that a call costs more than its arithmetic: no op looks at a size,
    and those that are one call of NumPy or Python are that function itself."""

    def __init__(self, any_size: NumpyOps) -> None:
        vars(self).update(vars(any_size))  # NumPy's functions
        self.dot: Any = ndarray.dot
        self.add_row: Any = iadd
        self.relu: Any = _relu_of_few
        self.factor: Any = _kept_number

    def dot_transposed(self, a: NumpyArray, b: NumpyArray) -> NumpyArray:
        return a.dot(b.T)

    def transposed_dot(self, a: NumpyArray, c: NumpyArray) -> NumpyArray:
        return a.T.dot(c)

    def sum_rows(self, x: NumpyArray) -> NumpyArray:
        return _ONES_OF[len(x)].dot(x)


class OneRowNumpyOps(SmallNumpyOps):
    """The same of a single row: NumPy adds a vector to a vector in half the time of a row to a matrix."""

    def __init__(self, any_size: NumpyOps) -> None:
        super().__init__(any_size)
        self.add_row = _add_to_one

    def sum_rows(self, x: NumpyArray) -> NumpyArray:
        return x[0].copy()


def _add_to_one(y: NumpyArray, row: NumpyArray) -> NumpyArray:
    vector = y[0]
    vector += row
    return y


def _relu_of_few(x: NumpyArray) -> NumpyArray:
    return np.maximum(x, 0)


def _kept_number(number: float, like: NumpyArray) -> float | NumpyArray:
    """`quick_number`, kept for numbers that come again, which takes a quarter of the time.

    Not zeros: 0.0 and −0.0 are equal, so one would be found in the place of the other.
    """
    return _remembered(number) if number else quick_number(number)


NUMPY = NumpyOps(np)
SMALL_NUMPY, ONE_ROW_NUMPY = SmallNumpyOps(NUMPY), OneRowNumpyOps(NUMPY)


def in_blocks(x: NumpyArray) -> tuple[NumpyArray, NumpyArray]:
    """The last axis in blocks of 1,024, and what is left of it."""
    whole = x.shape[-1] - x.shape[-1] % 1024
    return x[..., :whole].reshape(*x.shape[:-1], whole // 1024, 1024), x[..., whole:]


@lru_cache
def ones(n: int) -> NumpyArray:
    """So many 1 in float32, at most 1,024: Σ is a product with them. To find them again is faster than to cut them."""
    return _ONES[:n]


@cache
def identity(classes: int, dtype: Any) -> NumpyArray:
    """The identity, whose rows by label are one-hot targets."""
    return np.eye(classes, dtype=dtype)


@cache
def _unsigned(dtype: Any) -> tuple[Any, int]:
    """The unsigned dtype of as many bytes in the same order, and how many numbers from 0 up the dtype has."""
    return np.dtype(dtype.str.replace("i", "u")), int(np.iinfo(dtype).max) + 1


def quick_number(number: float | NumpyArray) -> NumpyArray:
    """A number as an array of no axes, in float32."""
    return np.asarray(number, FLOAT32) if type(number) is float or type(number) is int else number


_ONES = np.ones(1024, np.float32)
_ONES.setflags(write=False)
_ONES_OF = [_ONES[:n] for n in range(FEW)]
_remembered = lru_cache(1024)(quick_number)
