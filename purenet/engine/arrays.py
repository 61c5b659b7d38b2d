"""What there is to know of an array: its engine, its dtype, its shape, words for it; and how to make it read-only."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy import ndarray

from purenet.engine.memory import keep_freed

keep_freed()  # for the arrays of every step to come: before all else that makes any

FLOAT32 = np.dtype(np.float32)


Operand: TypeAlias = Any  # an array, or a number


class Array(Protocol):
    """An array of any engine: NumPy's, JAX's, or another that follows the array API standard.

    This is what a rule may count on without `ops`: an array tells its shape and its dtype, has parts, and computes with
    arrays and numbers, element by element.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def T(self) -> Array: ...  # noqa: N802
    def __getitem__(self, index: Any, /) -> Array: ...
    def __add__(self, other: Operand, /) -> Array: ...
    def __radd__(self, other: Operand, /) -> Array: ...
    def __sub__(self, other: Operand, /) -> Array: ...
    def __rsub__(self, other: Operand, /) -> Array: ...
    def __mul__(self, other: Operand, /) -> Array: ...
    def __rmul__(self, other: Operand, /) -> Array: ...
    def __truediv__(self, other: Operand, /) -> Array: ...
    def __rtruediv__(self, other: Operand, /) -> Array: ...
    def __pow__(self, other: Operand, /) -> Array: ...
    def __matmul__(self, other: Operand, /) -> Array: ...
    def __gt__(self, other: Operand, /) -> Array: ...
    def __ge__(self, other: Operand, /) -> Array: ...
    def __lt__(self, other: Operand, /) -> Array: ...
    def __le__(self, other: Operand, /) -> Array: ...
    def __and__(self, other: Operand, /) -> Array: ...
    def __or__(self, other: Operand, /) -> Array: ...
    def __eq__(self, other: Operand, /) -> Array: ...  # type: ignore[override]  # by element, unlike Python's
    def __ne__(self, other: Operand, /) -> Array: ...  # type: ignore[override]
    def __neg__(self) -> Array: ...
    def __abs__(self) -> Array: ...
    def __invert__(self) -> Array: ...


NumpyArray: TypeAlias = Any  # an array of NumPy, with all that only NumPy's have
# of one example, without the batch axis; (..., 3) is one of which only the last axis is known: what dense(3) gives
Shape = tuple[Any, ...]


def is_open(shape: Any) -> bool:
    """Whether all that is known of a shape is its last axis.

    >>> is_open((..., 3)), is_open((5, 3)), is_open(None)
    (True, False, False)
    """
    return shape is not None and len(shape) > 0 and shape[0] is ...


def are_several(shape: Any) -> bool:
    """Whether what is known are shapes, as of several inputs, and not one.

    >>> are_several(((5, 3), None)), are_several((5, None)), are_several(None)
    (True, False, False)
    """
    return shape is not None and any(isinstance(part, tuple) for part in shape)


def may_be_equal(one: Shape, two: Shape) -> bool:
    """Whether two shapes are equal as far as they are known.

    >>> may_be_equal((None, 8, 3), (..., 3)), may_be_equal((None, 3), (8, 3)), may_be_equal((None, 3), (8, 2))
    (True, True, False)
    """
    if is_open(one) or is_open(two):
        one, two = one[-1:], two[-1:]
    return len(one) == len(two) and all(a == b or a is None or b is None for a, b in zip(one, two, strict=True))


def shape_text(shape: Any) -> str:
    """A shape as one writes it.

    >>> shape_text((..., 3))
    '(..., 3)'
    """
    return str(shape).replace("Ellipsis", "...")


def read_in_shape(in_shape: Any, who: str) -> Any:
    """in_shape as a tuple of integers, or of several inputs a tuple of such; None stands for what is not known.

    The usual mistakes are a number, an array, and params.

    >>> read_in_shape([np.int64(28), 28, 1], "conv(1, 6, 5)")
    (28, 28, 1)
    """
    if in_shape is None:
        return None
    if not isinstance(in_shape, tuple | list) or hasattr(in_shape, "_fields"):
        number, array = is_integer(in_shape), is_array(in_shape) and not is_number(in_shape)
        mend = f": write in_shape=({in_shape},)" if number else ": write x.shape[1:]" if array else ""
        raise TypeError(f"{who} takes in_shape, a tuple without the batch axis, not {describe(in_shape)}{mend}")
    if any(n is ... for n in in_shape) and (len(in_shape) != 2 or in_shape[0] is not ...):
        raise ValueError(
            f"{who} takes in_shape with `...` only as (..., n), for which the last axis is known, "
            f"not {shape_text(tuple(in_shape))}"
        )
    return tuple([_read_size(n, who) for n in in_shape])


def _read_size(n: Any, who: str) -> Any:
    """One size of in_shape, or the shape of one of several inputs."""
    if n is None or n is ...:
        return n
    if isinstance(n, tuple | list) and not hasattr(n, "_fields"):
        return read_in_shape(n, who)
    if not is_integer(n):
        mend = ", as in (28, 28, 1); it makes its own params" if hasattr(n, "_fields") else ""
        raise TypeError(f"{who} takes in_shape, integers without the batch axis, not {describe(n)}{mend}")
    if n < 0:
        raise ValueError(f"{who} takes in_shape, sizes from 0 up, not {n}: write None for a size that is not known")
    return int(n)


def is_array(x: Any) -> bool:
    """Whether x is an array of an engine that follows the array API standard."""
    return hasattr(x, "__array_namespace__") or is_tensor(x)


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor of PyTorch, which follows the standard by way of array-api-compat."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


class Kind(NamedTuple):
    """What arrays have in common that a rule treats alike. NumPy's arrays have no device."""

    type: type
    shape: tuple[int, ...]
    dtype: Any
    device: Any


def kind_of(x: Any) -> Kind | None:
    """The kind of an array of NumPy, or of a tensor that needs no gradient; None of a subclass, and of all else."""
    if type(x) is ndarray:
        return Kind(ndarray, x.shape, x.dtype, None) if x.dtype.isnative else None
    plain = is_tensor(x) and type(x) is sys.modules["torch"].Tensor and not x.requires_grad
    return Kind(type(x), tuple(x.shape), x.dtype, x.device) if plain else None


def needed(module: str, message: str) -> Any:
    """A module that an extra brings; where it is missing, the error says which one to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise ModuleNotFoundError(message) from None


def torch_namespace() -> Any:
    """PyTorch's functions under the names of the array API standard."""
    try:
        return importlib.import_module("array_api_compat.torch")
    except ImportError:
        raise ImportError("tensors of PyTorch need array-api-compat: pip install 'purenet[torch]'") from None


def mixed() -> TypeError:
    """The error of params and gradients of two engines."""
    return TypeError(
        "params and grads are of one engine, but there are tensors of PyTorch and arrays of NumPy: "
        "write pn.to_engine(..., 'torch')"
    )


def to_numpy(x: Any) -> NumpyArray:
    """x as an array of NumPy, from whatever engine and device."""
    if not is_tensor(x):
        return np.asarray(x)
    x = x.detach().cpu()
    if dtype_name(x.dtype) != "bfloat16":
        return x.numpy()
    return x.view(sys.modules["torch"].int16).numpy().view(_bfloat16())


def wait_for(x: Any) -> None:
    """Return when x is computed: JAX and accelerators hand out arrays before."""
    if is_tensor(x) and x.device.type == "cuda":
        import torch

        torch.cuda.synchronize(x.device)
    elif hasattr(x, "block_until_ready"):
        x.block_until_ready()


def numpys_dtype(dtype: Any) -> Any:
    """The dtype as NumPy has it, if it is PyTorch's; all else as it is."""
    if not str(dtype).startswith("torch."):
        return dtype
    name = dtype_name(dtype)
    return _bfloat16() if name == "bfloat16" else np.dtype(name)


def _bfloat16() -> Any:
    """The dtype, which NumPy has by way of the package that JAX brings along."""
    try:
        return importlib.import_module("ml_dtypes").bfloat16
    except ImportError:
        raise TypeError("NumPy has no bfloat16: pip install ml_dtypes, or write x.to(torch.float32)") from None


def dtype_name(dtype: Any) -> str:
    """The name of a dtype of any engine.

    >>> dtype_name(np.dtype(np.float32)), dtype_name(np.int64)
    ('float32', 'int64')
    """
    if isinstance(dtype, type):
        return dtype.__name__
    of_numbers = isinstance(dtype, np.dtype) and dtype.kind in "biufc"
    return dtype.name if of_numbers else str(dtype).removeprefix("torch.")


def same_dtype(a: Any, b: Any) -> bool:
    """Whether two dtypes, perhaps of two engines, are one."""
    return a is b or dtype_name(a) == dtype_name(b)


def conversion(label: str, x: Any, dtype: str) -> str:
    """The code that converts an array, as its engine has it.

    >>> conversion("x", np.zeros(2), "float32"), conversion("lengths", np.zeros(2), "int")
    ('x.astype(np.float32)', 'lengths.astype(int)')
    """
    if is_tensor(x):
        return f"{label}.to(torch.{'int64' if dtype == 'int' else dtype})"
    return f"{label}.astype({dtype if dtype in ('int', 'bool') else f'np.{dtype}'})"


def holds(x: Any, *kinds: str) -> bool:
    """Whether an array holds numbers of one of the standard's kinds: "integral", "bool", "real floating".

    >>> holds(np.zeros(2, int), "bool", "integral"), holds(np.zeros(2), "integral")
    (True, False)
    """
    return is_kind(namespace(x), x.dtype, kinds)


def is_kind(xp: Any, dtype: Any, kinds: Any) -> bool:
    """Whether the namespace has this dtype, and counts it among these kinds; bfloat16 is not one of NumPy's own."""
    try:
        return bool(xp.isdtype(dtype, kinds))
    except TypeError:
        return False


def is_half(dtype: Any) -> bool:
    """Whether a dtype is float16 or bfloat16, whose sums soon lose digits or overflow.

    >>> is_half(np.dtype(np.float16)), is_half(np.dtype(np.int16))
    (True, False)
    """
    return getattr(dtype, "itemsize", 0) == 2 and dtype_name(dtype) in ("float16", "bfloat16")


def widened(x: Any) -> Any:
    """An array of half precision in float32; any other as it is."""
    return astype(x, np.float32) if is_half(getattr(x, "dtype", None)) else x


def holds_numbers(x: Any) -> bool:
    """Whether an array holds numbers or truth values, and not texts or objects."""
    return getattr(x.dtype, "kind", "") not in ("U", "S", "T", "O")


def write_as_integers(x: Any, name: str) -> str:
    """What to write for labels that should be integers.

    >>> write_as_integers(np.array(["cat", "dog"]), "target")
    'number the classes: names, target = np.unique(target, return_inverse=True)'
    """
    if holds_numbers(x):
        return f"write {conversion(name, x, 'int')}"
    return f"number the classes: names, {name} = np.unique({name}, return_inverse=True)"


def write_as_array(given: list[Any] | tuple[Any, ...]) -> str:
    """What to write for a list that should be an array: whole numbers in a row are labels, and stay what they are.

    >>> write_as_array([0, 2, 1]), write_as_array([[0, 1], [1, 0]])
    ('write np.asarray(...)', 'write np.asarray(..., dtype=np.float32)')
    """
    is_labels = len(given) > 0 and all(isinstance(each, int | np.integer | str) for each in given)
    return f"write np.asarray(...{'' if is_labels else ', dtype=np.float32'})"


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
    if is_tensor(x):
        check_no_gradient(x, who)
        return torch_namespace()
    mend = f": {write_as_array(x)}" if isinstance(x, list) else ""
    if hasattr(x, "__dataclass_fields__"):
        mend = ": make its class a NamedTuple, or register it with JAX, as by jax.tree_util.register_dataclass"
    raise TypeError(f"{who} takes an array, not {describe(x)}{mend}")


def check_no_gradient(tensor: Any, who: str) -> None:
    """Check that a tensor requires no gradient."""
    if tensor.requires_grad and sys.modules["torch"].is_grad_enabled():
        raise TypeError(
            f"{who} takes tensors that require no gradient, since its rules are the derivatives: write x.detach()"
        )


def floating(x: Any, who: str) -> Any:
    """The namespace of x, after a check that it holds floating-point numbers."""
    if type(x) is np.ndarray and x.dtype.kind == "f":
        return np
    xp = namespace(x, who)
    if not is_kind(xp, x.dtype, "real floating"):
        raise TypeError(
            f"{who} computes in floating point, not on {describe(x)}: write {conversion('x', x, 'float32')}"
        )
    return xp


def describe(x: Any) -> str:
    """A few words on x for an error message.

    >>> describe(np.zeros((2, 3))), describe([1, 2]), describe(3)
    ('a float64 array of shape (2, 3)', 'a list', 'an int')
    """
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        word = "tensor" if is_tensor(x) else "array"
        kind = "scalar" if isinstance(x, np.generic) else f"{word} of shape {tuple(x.shape)}"
        return f"{article(dtype_name(x.dtype))} {kind}"
    if x is None:
        return "None"
    return article(getattr(type(x), "__name__", str(type(x))))


def describe_all(x: Any) -> str:
    """`describe`, and of a tuple its length."""
    return f"{describe(x)} of {len(x)}" if type(x) is tuple else describe(x)


def article(noun: str) -> str:
    """The noun with its article: an int, a list."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def match_gradient(dy: Any, shape: Shape, dtype: Any, who: str) -> None:
    """Check that dE/dY, as handed to a pullback, has the shape and the dtype of Y."""
    if type(dy) is np.ndarray and dy.shape == shape and dy.dtype is dtype:
        return
    if not is_array(dy):
        like_y = f"{article(dtype_name(dtype))} array of shape {tuple(shape)}, as Y is"
        raise TypeError(f"the pullback of {who} takes an array, not {describe_all(dy)}: dE/dY is {like_y}")
    namespace(dy, f"the pullback of {who}")
    if dy.shape != shape:
        raise ValueError(f"the pullback of {who}: dE/dY has shape {tuple(dy.shape)}, but Y has shape {tuple(shape)}")
    if not same_dtype(dy.dtype, dtype):
        given, wanted = dtype_name(dy.dtype), dtype_name(dtype)
        raise TypeError(
            f"the pullback of {who}: dE/dY is {given}, but Y is {wanted}: write {conversion('dy', dy, wanted)}"
        )


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
    return Like(y.shape, y.dtype, floats or is_kind(namespace(y), y.dtype, ("real floating", "complex floating")))


def native(dtype: Any) -> Any:
    """The dtype in the byte order of this machine.

    >>> native(np.dtype(">f4")) == native(np.dtype("<f4"))
    True
    """
    return dtype if getattr(dtype, "isnative", True) else dtype.newbyteorder("=")


def plain(x: Any) -> Any:
    """An array of NumPy as one of no subclass, such as `np.memmap`, in this machine's byte order; all else as it is."""
    if type(x) is np.ndarray and x.dtype.isnative:
        return x
    return np.asarray(x, native(x.dtype)) if isinstance(x, np.ndarray) else x


def as_array(x: Any) -> Any:
    """x, and of a number of NumPy an array without axes: arithmetic on such arrays gives numbers."""
    return np.asarray(x) if isinstance(x, np.generic) else x


def seal(x: Any) -> Any:
    """The same array, from now on read-only. (Arrays of other engines cannot be written to in the first place.)"""
    x = as_array(x)
    if type(x) is np.ndarray:
        _set_writeable(x, False)  # by its first argument: by name it takes twice as long
    elif isinstance(x, np.ndarray):  # arithmetic gives arrays of a subclass
        x = seal(np.asarray(x))
    return x


def read_only(x: Any) -> Any:
    """x if it cannot be written to, else a copy that cannot."""
    return seal(np.array(x)) if isinstance(x, np.ndarray) and x.flags.writeable else x


def is_read_only(x: Any) -> bool:
    """Whether x is an array of NumPy that cannot be written to."""
    return isinstance(x, np.ndarray) and not x.flags.writeable


def owned(x: Any) -> Any:
    """x if nobody can write to its memory, also not through another array, else a copy of which that is true."""
    if not isinstance(x, np.ndarray) or (type(x) is np.ndarray and is_read_only(x) and x.base is None):
        return seal(x)
    return seal(np.array(x))


def are_alike(a: Any, b: Any) -> bool:
    """Whether both are arrays of NumPy, of one shape."""
    return type(a) is np.ndarray is type(b) and a.shape == b.shape


def conform(new: Any, old: Any) -> Any:
    """The new array in the dtype of the old one, read-only. Another shape is a ValueError."""
    if type(new) is np.ndarray and new.dtype is old.dtype and new.shape == old.shape:
        _set_writeable(new, False)
        return new
    if new.shape != old.shape:
        raise ValueError("a step has changed a shape")
    of_torch = is_tensor(new)
    if of_torch is not is_tensor(old):
        raise mixed()
    if of_torch and new.dtype is old.dtype:
        return new
    dtype = native(old.dtype)
    return seal(new if new.dtype == dtype else astype(new, dtype))


@lru_cache(1024)
def no_step(shape: Shape, dtype: Any) -> NumpyArray:
    """The step of a buffer of NumPy that stays as it is: one 0, seen in this shape."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def moved(old: Any, step: Any) -> Any:
    """A buffer's next value, old − step, in its dtype and read-only."""
    if type(old) is np.ndarray and step is no_step(old.shape, old.dtype):  # of large frozen layers nothing is copied
        return read_only(old)
    if step.shape != old.shape:
        raise ValueError(f"a buffer of shape {old.shape} takes a step of this shape, not {step.shape}")
    return conform(old - step, old)


def astype(x: Any, dtype: Any) -> Any:
    """A copy of x in this dtype. (NumPy has the standard's function of this name only from 2.1.)"""
    if isinstance(x, np.ndarray | np.generic):
        return x.astype(dtype)
    xp = namespace(x)
    return xp.astype(x, own_dtype(xp, dtype))


def own_dtype(xp: Any, dtype: Any) -> Any:
    """The dtype as this engine has it."""
    if xp.__name__ == "array_api_compat.torch":
        return dtype if isinstance(dtype, xp.dtype) else getattr(xp, dtype_name(dtype))
    check_dtype(xp, dtype)
    return dtype


def check_dtype(xp: Any, dtype: Any) -> None:
    """Check that this engine has the dtype: JAX makes float32 of every float64 unless it is told not to."""
    if xp.__name__ == "jax.numpy" and np.dtype(dtype) == np.float64 != xp.result_type(float):
        raise TypeError(
            "JAX has no float64 as it is set, and would make it float32: "
            "write jax.config.update('jax_enable_x64', True) at the start, or ask for float32"
        )


def rounding_of(x: Any) -> float:
    """The part of itself by which a number of x's dtype may differ from the next one; 0 for whole numbers."""
    try:
        return float(namespace(x).finfo(x.dtype).eps)
    except ValueError:  # no floating point that this engine knows
        return 0.0


def is_rounding(distance: Any, number: Any, eps: float) -> Any:
    """Whether no more than rounding parts what lies this far from a number, of a dtype with this eps.

    >>> is_rounding(abs((0.1 + 0.2) - 0.3), 0.3, rounding_of(np.zeros(1)))
    True
    """
    return distance <= 2 * eps * abs(number)


def weak(number: Any) -> Any:
    """A NumPy scalar as a Python number, so that multiplying by it keeps an array's dtype (NEP 50)."""
    return number.item() if isinstance(number, np.generic) else number


def pieces(vector: Any, shapes: Sequence[Shape]) -> list[Any]:
    """A vector cut into arrays of these shapes: views of it, if it is NumPy's.

    >>> pieces(np.arange(5), [(2, 2), (1,)])
    [array([[0, 1],
           [2, 3]]), array([4])]
    """
    if type(vector) is np.ndarray:
        return [
            vector[place] if len(shape) == 1 else vector[place].reshape(shape) for place, shape in _places((*shapes,))
        ]
    xp = namespace(vector)
    return [xp.reshape(vector[place], shape) for place, shape in _places((*shapes,))]


@lru_cache
def _places(shapes: tuple[Shape, ...]) -> list[tuple[slice, Shape]]:
    """Where arrays of these shapes stand in a vector."""
    ends = [*accumulate(map(math.prod, shapes), initial=0)]
    return [(slice(start, end), shape) for start, end, shape in zip(ends, ends[1:], shapes, strict=False)]


def as_number(x: Any) -> Any:
    """A NumPy scalar, or array without axes, as a Python number; all else as it is.

    >>> as_number(np.float32(0.5)), as_number(np.array(3))
    (0.5, 3)
    """
    return x.item() if (type(x) is ndarray or isinstance(x, np.generic | ndarray)) and x.ndim == 0 else x


_set_writeable: Any = np.ndarray.setflags
