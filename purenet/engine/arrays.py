"""What a layer needs to know of an array: its engine, its dtype, its shape; and how to make it read-only.

A layer asks the array that it is given for its namespace and calls that (the Python array API standard, 2024.12),
so the same code runs on NumPy and on JAX. Some helpers have a branch for NumPy because it has a way there that is
several times faster on small arrays and that the standard cannot say: `dot` and the sums.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from purenet.engine.memory import keep_freed

keep_freed()  # for the arrays of every step to come: before all else that makes any

FLOAT32 = np.dtype(np.float32)


class Array(Protocol):
    """An array of any engine: NumPy's, JAX's, or another that follows the array API standard."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def T(self) -> Any: ...  # noqa: N802
    def __getitem__(self, index: Any, /) -> Any: ...
    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __matmul__(self, other: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...


# of one example, without the batch axis; (..., 3) is one of which only the last axis is known: what dense(3) gives
Shape = tuple[Any, ...]


def is_open(shape: Any) -> bool:
    """Whether all that is known of a shape is its last axis.

    >>> is_open((..., 3)), is_open((5, 3)), is_open(None)
    (True, False, False)
    """
    return shape is not None and len(shape) > 0 and shape[0] is ...


def shape_text(shape: Any) -> str:
    """A shape as one writes it.

    >>> shape_text((..., 3))
    '(..., 3)'
    """
    return str(shape).replace("Ellipsis", "...")


def check_in_shape(in_shape: Any, who: str) -> None:
    """Check that in_shape is a shape, or None: the usual mistakes are a number, an array, and params."""
    if in_shape is None:
        return
    if isinstance(in_shape, int):
        raise TypeError(f"{who} takes in_shape, a tuple without the batch axis: write in_shape=({in_shape},)")
    if hasattr(in_shape, "shape"):
        raise TypeError(
            f"{who} takes in_shape, a tuple without the batch axis, not {describe(in_shape)}: write x.shape[1:]"
        )
    for n in in_shape:
        if not (isinstance(n, int | np.integer | tuple | list) or n is ... or n is None) or hasattr(n, "_fields"):
            mend = ", as in (28, 28, 1); it makes its own params" if hasattr(n, "_fields") else ""
            raise TypeError(f"{who} takes in_shape, integers without the batch axis, not {describe(n)}{mend}")


def is_array(x: Any) -> bool:
    """Whether x is an array of an engine that follows the array API standard."""
    return hasattr(x, "__array_namespace__")


def holds(x: Any, *kinds: str) -> bool:
    """Whether an array holds numbers of one of the standard's kinds: "integral", "bool", "real floating".

    >>> holds(np.zeros(2, int), "bool", "integral"), holds(np.zeros(2), "integral")
    (True, False)
    """
    return bool(namespace(x).isdtype(x.dtype, kinds))


def is_integer(n: Any) -> bool:
    """Whether n is a whole number of Python or NumPy, and no truth value."""
    return isinstance(n, int | np.integer) and not isinstance(n, bool)


def is_writable(x: Any) -> bool:
    """Whether parts of such an array can be written to: those of NumPy can."""
    return type(x) is np.ndarray


def is_number(x: Any) -> bool:
    """Whether x is one number: Python's, NumPy's, or an array of no axes."""
    return getattr(x, "shape", ()) == ()


def namespace(x: Any, who: str = "this function") -> Any:
    """The array namespace of x: numpy for a NumPy array, jax.numpy for a JAX array or tracer."""
    if type(x) is np.ndarray:
        return np
    if hasattr(x, "__array_namespace__") and not isinstance(x, np.ma.MaskedArray | np.matrix | np.generic):
        return x.__array_namespace__()
    raise TypeError(f"{who} takes an array, not {describe(x)}: write np.asarray(..., dtype=np.float32)")


def floating(x: Any, who: str) -> Any:
    """The namespace of x, after a check that it holds floating-point numbers."""
    if type(x) is np.ndarray and x.dtype.kind == "f":
        return np
    xp = namespace(x, who)
    if not xp.isdtype(x.dtype, "real floating"):
        raise TypeError(f"{who} computes in floating point, not on {describe(x)}: write x.astype(np.float32)")
    return xp


def describe(x: Any) -> str:
    """A few words on x for an error message.

    >>> describe(np.zeros((2, 3))), describe([1, 2]), describe(3)
    ('a float64 array of shape (2, 3)', 'a list', 'an int')
    """
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        kind = "scalar" if isinstance(x, np.generic) else f"array of shape {tuple(x.shape)}"
        return f"{article(str(x.dtype))} {kind}"
    if x is None:
        return "None"
    return article(getattr(type(x), "__name__", str(type(x))))


def whose(params: Any) -> str:
    """Where params that do not fit may come from, in words for the end of an error message."""
    return "Load them with like=net.init(key)" if isinstance(params, dict) else "Are these of another net?"


def article(noun: str) -> str:
    """The noun with its article: an int, a list."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def match(dy: Any, shape: Shape, dtype: Any, who: str) -> None:
    """Check that dE/dY, as handed to a pullback, has the shape and the dtype of Y."""
    if type(dy) is np.ndarray and dy.shape == shape and dy.dtype is dtype:
        return
    namespace(dy, f"the pullback of {who}")
    if dy.shape != shape:
        raise ValueError(f"the pullback of {who}: dE/dY has shape {tuple(dy.shape)}, but Y has shape {tuple(shape)}")
    if dy.dtype != dtype:
        raise TypeError(f"the pullback of {who}: dE/dY is {dy.dtype}, but Y is {dtype}: write dy.astype({dtype})")


class Like(NamedTuple):
    """What an array looks like: enough to check a gradient by, without keeping the array."""

    shape: Shape
    dtype: Any
    has_gradient: bool


def likeness(y: Any) -> Any:
    """What an output looks like: of an array a `Like`, of a tuple a tuple of them."""
    if type(y) is tuple:
        return tuple(map(likeness, y))
    floats = type(y) is np.ndarray and y.dtype.kind == "f"
    return Like(y.shape, y.dtype, floats or namespace(y).isdtype(y.dtype, ("real floating", "complex floating")))


def freeze(x: Any) -> Any:
    """The same array, from now on read-only. (Arrays of other engines cannot be written to in the first place.)"""
    if type(x) is np.ndarray:
        x.setflags(write=False)
    elif isinstance(x, np.generic):  # arithmetic on 0-d arrays gives scalars
        x = freeze(np.asarray(x))
    return x


def astype(x: Any, dtype: Any) -> Any:
    """A copy of x in this dtype. (NumPy has the standard's function of this name only from 2.1.)"""
    if isinstance(x, np.ndarray | np.generic):
        return x.astype(dtype)
    xp = namespace(x)
    check_dtype(xp, dtype)
    return xp.astype(x, dtype)


def check_dtype(xp: Any, dtype: Any) -> None:
    """Check that this engine has the dtype: JAX makes float32 of every float64 unless it is told not to."""
    if xp.__name__ == "jax.numpy" and np.dtype(dtype) == np.float64 != xp.result_type(float):
        raise TypeError(
            "JAX has no float64 as it is set, and would make it float32: "
            "write jax.config.update('jax_enable_x64', True) at the start, or ask for float32"
        )


def meet(x: Any, p: Any) -> Any:
    """x in the engine of a parameter p, if only x is NumPy's: so params that JAX traces take a batch of NumPy too."""
    if type(x) is not np.ndarray or type(p) is np.ndarray:
        return x
    xp = namespace(p)
    check_dtype(xp, x.dtype)
    return xp.asarray(x)


def weak(number: Any) -> Any:
    """A NumPy scalar as a Python number, so that multiplying by it keeps an array's dtype (NEP 50)."""
    return number.item() if isinstance(number, np.generic) else number


def dot(a: Any, b: Any) -> Any:
    """a @ b for matrices.

    On small NumPy arrays the method takes a third of the operator's time. It writes zeros into its result first, which
    for a large one takes up to a third of the product.
    """
    if type(a) is np.ndarray is type(b) and a.shape[0] * b.shape[1] < 65536:
        return a.dot(b)
    return a @ b


def dot_transposed(a: Any, b: Any) -> Any:
    """a @ b.T for matrices.

    OpenBLAS needs the longer for few columns if b is turned, up to twice: it gets a copy. For few rows and a large b it
    is up to twice as fast at the turned product, b @ a.T.
    """
    if type(a) is np.ndarray is type(b):
        n, inner = a.shape
        if n >= 64 and inner <= 16:
            return dot(a, b.T.copy())
        if 1 < n <= 96 and inner >= 128 and b.size >= 65536:
            return dot(b, a.T).T.copy()
    return dot(a, b.T)


def transposed_dot(a: Any, b: Any) -> Any:
    """a.T @ b for matrices: over their rows, the sum of products of a row with a row.

    With few columns and very many rows, OpenBLAS runs at a half to a fifth of its speed. Blocks of rows are small
    products, for which it has kernels of their own; and their sum loses fewer digits.
    """
    (n, inputs), outputs = a.shape, b.shape[1]
    if type(a) is np.ndarray is type(b) and n * inputs * outputs > 1_000_000 and inputs * outputs <= 1024:
        whole = n - n % 256
        blocks = a[:whole].reshape(-1, 256, inputs).transpose(0, 2, 1) @ b[:whole].reshape(-1, 256, outputs)
        total = sum_leading(blocks.reshape(len(blocks), inputs * outputs)).reshape(inputs, outputs)
        return total + a[whole:].T.dot(b[whole:])
    return dot(a.T, b)


def add_to_rows(y: Any, row: Any) -> Any:
    """y + row, in the matrix y, which nobody else reads.

    NumPy makes a loop of each row. Of many short ones it is given several as one, up to five times faster.
    """
    if type(y) is not np.ndarray:
        return y + row
    n, width = y.shape
    if n >= 1024:
        several = next(k for k in range(max(1, 512 // width), 0, -1) if n % k == 0)
        y, row = y.reshape(n // several, several * width), np.tile(row, several)
    y += row
    return y.reshape(n, width)


def overwrite(f: Any, temporary: Any, *arrays: Any) -> Any:
    """f(temporary), where nobody reads the temporary again: NumPy writes the result in its place.

    So it does with the result of f(*arrays), if there are any, of the temporary's shape and dtype. For a large array,
    memory that is not in the cache costs more than a quick function such as tanh.
    """
    arrays = arrays or (temporary,)
    numpy_alone = type(temporary) is np.ndarray is type(arrays[0]) and type(f) is np.ufunc
    return f(*arrays, temporary) if numpy_alone else f(*arrays)


def compact(x: Any) -> Any:
    """x as one piece of memory, in the order of its axes: a copy, if it is a turned view.

    >>> compact(np.zeros((2, 3)).T).strides
    (16, 8)
    """
    xp = namespace(x)
    return xp.reshape(xp.reshape(x, (-1,)), x.shape)


def sum_leading(x: Any) -> Any:
    """The sum of x over every axis but the last: Σ of a bias's gradient over the batch."""
    if x.ndim != 2:
        x = rows(x)
    if type(x) is not np.ndarray:
        return namespace(x).sum(x, axis=0)
    n, width = x.shape
    if n == 1:
        return x[0].copy()
    if n <= 1024 and x.dtype is FLOAT32:  # Σ is a product with ones: half the time of a sum, or less, and as precise
        return ones(n).dot(x)
    if n > 1024 and 1 <= width <= 32:  # of many short rows several are one, in half to a quarter of the time
        several = 512 // width
        whole = n - n % several
        sums = sum_leading(x[:whole].reshape(whole // several, several * width))
        return sum_leading(sums.reshape(several, width)) + sum_leading(x[whole:])
    return sum_rows(x)[0]


@lru_cache
def ones(n: int) -> Any:
    """So many 1 in float32, at most 1,024: Σ is a product with them. To find them again is faster than to cut them."""
    return _ONES[:n]


def sum_rows(x: Any) -> Any:
    """The sum of x over the axis before the last, which stays with size 1.

    NumPy would add one row after the other, which loses digits in proportion to their number. Products with ones, in
    blocks of rows, lose few, and run at BLAS's speed: 65,536 rows of 8 in a twentieth of the time.
    """
    if type(x) is not np.ndarray:
        return namespace(x).sum(x, axis=-2, keepdims=True)
    n, whole = x.shape[-2], 0
    total: Any = 0
    if n > 512:
        whole = n - n % 256
        blocks = x[..., :whole, :].reshape(*x.shape[:-2], whole // 256, 256, x.shape[-1])
        total = sum_rows((np.ones((1, 256), x.dtype) @ blocks)[..., 0, :])
    return total + np.ones((1, n - whole), x.dtype) @ x[..., whole:, :]


def sum_last(x: Any) -> Any:
    """The sum of x over the last axis, which stays with size 1."""
    if type(x) is not np.ndarray:
        return namespace(x).sum(x, axis=-1, keepdims=True)
    n = x.shape[-1]
    each = ones(n) if x.dtype is FLOAT32 and n <= 1024 else np.ones(n, x.dtype)
    return (x.dot(each) if x.ndim == 2 else x @ each)[..., None]  # `dot` would take twice as long for several matrices


def max_last(x: Any) -> Any:
    """The largest number along the last axis, which stays with size 1.

    NumPy finds it row by row. For short rows, such as those of logits, it is several times faster by columns.
    """
    if type(x) is not np.ndarray:
        return namespace(x).max(x, axis=-1, keepdims=True)
    if x.ndim == 2 and 1 < x.shape[1] <= 64:
        return np.maximum.reduce(np.ascontiguousarray(x.T))[:, None]
    return np.maximum.reduce(x, axis=-1, keepdims=True)


def sum_all(x: Any) -> Any:
    """The sum of x over every axis."""
    return np.add.reduce(x, axis=None) if type(x) is np.ndarray else namespace(x).sum(x)


def sum_of_squares(x: Any) -> Any:
    """The sum of x² over every axis; on NumPy by one call of BLAS."""
    if type(x) is np.ndarray:
        flat = x.ravel()
        return flat.dot(flat)
    return namespace(x).sum(x * x)


def factor(x: Any, number: Any) -> Any:
    """The number, in the form by which x is multiplied the fastest."""
    quick = type(number) is float and type(x) is np.ndarray and x.dtype is FLOAT32
    return kept_number(number) if quick else number


def quick_number(number: Any) -> Any:
    """A number as an array of no axes, by which NumPy multiplies in half the time that it takes for a Python number."""
    return np.asarray(number, FLOAT32) if type(number) is float or type(number) is int else number


def kept_number(number: Any) -> Any:
    """`quick_number`, kept for numbers that come again, which takes a quarter of the time.

    Not zeros: 0.0 and −0.0 are equal, so one would be found in the place of the other.
    """
    return _remembered(number) if number else quick_number(number)


def rows(x: Any) -> Any:
    """x as a matrix: every axis but the last in one."""
    if x.ndim == 2:
        return x
    return namespace(x).reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


_ONES = np.ones(1024, np.float32)
_ONES.setflags(write=False)
_remembered = lru_cache(1024)(quick_number)
