"""Random keys and what is drawn from them: the same key gives the same numbers, always.

A `Key` is 128 bits and never changes. `split` derives new keys by NumPy's SeedSequence, a hash built to keep them apart
(M. E. O'Neill, "Developing a seed_seq alternative", 2015); a sampler reads the stream of the counter-based generator
Philox (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) under that key. NumPy promises both
for every version (NEP 19), but not its distributions, so those are made here from the raw bits with +, −, ×, ÷ and √
alone, which IEEE 754 rounds in one way only: hence the same numbers on every platform.

Each function takes a JAX key (`jax.random.key(0)`) too, and then draws with `jax.random`. A shape may be one number, as
in NumPy: 3 for (3,).
"""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from purenet.engine import engine_of
from purenet.engine.arrays import Shape, describe, is_integer, namespace, widened
from purenet.engine.jax import compiling, normal_quantile_of_jax, random_of
from purenet.values import hinted


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """An immutable random key; make one with `key(seed)`, more with `split`."""

    value: int

    def __repr__(self) -> str:
        return f"key({self.value})"

    @property
    def __jax_array__(self) -> Any:
        """JAX asks for this where a key is handed to a function that it traces: an error that says what to do."""
        # neither a TypeError, in whose place jit puts one of its own, nor an AttributeError, which means there is none
        raise ValueError(
            f"{self!r} of purenet cannot go into a function that JAX traces (jit, vmap, scan): "
            "hand in a key of JAX, jax.random.key(seed)"
        )


def _unchanged(self: Key, name: str, *_: Any) -> NoReturn:
    raise FrozenInstanceError(
        f"{self!r} never changes, so {name} is neither set nor deleted: write first, second = split(key) for new keys"
    )


if not TYPE_CHECKING:  # a type checker knows by itself that nothing of a key can be set
    Key.__setattr__ = Key.__delattr__ = _unchanged


@hinted
def key(seed: int) -> Key:
    """The key of a seed, an integer from 0 to 2¹²⁸ − 1.

    >>> key(0)
    key(0)
    >>> bool((normal(key(0), (2,)) == normal(key(0), (2,))).all())
    True
    """
    if type(seed).__module__.startswith("jax"):
        raise TypeError(
            f"key takes an integer seed that is known, not {describe(seed)} of JAX: hand in keys of JAX, "
            "jax.random.key(seed) or jax.random.split(key, n), which all functions here take"
        )
    if not is_integer(seed):
        raise TypeError(f"key takes an integer seed, not {describe(seed)}: write key(0)")
    if not 0 <= seed < 2**128:
        raise ValueError(f"key takes a seed from 0 to 2**128 - 1, not {seed}")
    return Key(int(seed))


@hinted
def split(key: Key, n: int = 2) -> tuple[Key, ...]:
    """n new keys. Use each key once: for one draw, or for one split.

    The first keys do not depend on n.

    >>> first, second = split(key(0))
    >>> first == second, split(key(0), 3)[0] == first
    (False, True)
    """
    if not is_integer(n) or n < 0:
        raise ValueError(f"split takes a number of keys, n >= 0, not {n!r}")
    if type(key) is not Key:
        return tuple(_jax_random(key).split(key, n))
    words = np.random.SeedSequence(key.value).generate_state(2 * n, np.uint64).tolist()
    return tuple(Key(low | high << 64) for low, high in zip(words[::2], words[1::2], strict=True))


@hinted
def fold_in(key: Key, data: int) -> Key:
    """The key of a key and an integer from 0 to 2³² − 1: of a step, a device, an example. It is none of `split`'s.

    >>> fold_in(key(0), 1) == fold_in(key(0), 1), fold_in(key(0), 1) == fold_in(key(0), 2)
    (True, False)
    """
    if type(key) is not Key:
        folded: Key = _jax_random(key).fold_in(key, data)
        return folded
    if not is_integer(data) or not 0 <= data < 2**32:
        raise ValueError(f"fold_in takes an integer from 0 to 2**32 - 1, not {data!r}")
    low, high = np.random.SeedSequence(key.value, spawn_key=(int(data),)).generate_state(2, np.uint64).tolist()
    return Key(low | high << 64)


@hinted
def uniform(key: Key, shape: Shape | int = (), low: float = 0.0, high: float = 1.0, dtype: Any = np.float32) -> Any:
    """Numbers spread evenly over [low, high).

    >>> uniform(key(0), (3,))
    array([0.03474188, 0.01154673, 0.6119502 ], dtype=float32)
    """
    shape, dtype = _sizes(shape, "uniform"), _floating(dtype, "uniform")
    rounded = (low, high) != (0.0, 1.0) or dtype.itemsize < 4  # perhaps to `high` itself
    largest: Any = _largest_below(high, low, dtype) if rounded else None
    if type(key) is not Key:
        drawn = _jax_random(key, dtype).uniform(key, shape, dtype, low, high)
        return namespace(drawn).minimum(drawn, largest) if rounded else drawn
    digits = 53 if dtype.itemsize > 4 else 24  # as many random bits as a number in [0, 1) can hold
    word = np.uint64 if digits > 32 else np.uint32
    unit = (_bits(key, shape, word) >> word(8 * word().itemsize - digits)).astype(
        np.float64 if digits > 32 else np.float32
    )
    unit *= 0.5**digits
    if (low, high) != (0.0, 1.0):
        unit *= high - low
        unit += low
    drawn = unit.astype(dtype, copy=False).reshape(shape)
    return np.minimum(drawn, largest, out=drawn) if rounded else drawn


def _largest_below(high: float, low: float, dtype: Any) -> Any:
    """The largest number of this dtype below `high`, after a check that there is one from `low` up."""
    with np.errstate(over="ignore"):
        first, end = dtype.type(low), dtype.type(high)
        fits = first < end and np.isfinite(end - first)
    if not fits:
        raise ValueError(
            f"uniform takes low < high whose difference is finite, as {dtype} holds them, not low={low}, high={high}"
        )
    return np.nextafter(end, first)


@hinted
def normal(key: Key, shape: Shape | int = (), dtype: Any = np.float32) -> Any:
    """Numbers of the standard normal distribution, by the inverse of its distribution function.

    >>> normal(key(0), (3,))
    array([-2.2718842, -0.7013279, -1.2189802], dtype=float32)
    """
    shape, dtype = _sizes(shape, "normal"), _floating(dtype, "normal")
    if type(key) is not Key:
        return _jax_random(key, dtype).normal(key, shape, dtype)
    return _normal_quantile(_open_unit(key, shape)).astype(dtype).reshape(shape)


@hinted
def normal_like(key: Key, x: Any) -> Any:
    """Numbers of the standard normal distribution, an array like x: in its engine, its shape and its dtype.

    >>> normal_like(key(0), np.zeros(2))
    array([-2.27188415, -0.70132792])
    """
    ops = engine_of(x, "normal_like")
    dtype = np.float64 if ops.finfo(x.dtype).bits == 64 else np.float32
    return ops.astype(ops.take_in(normal(key, x.shape, dtype)), x.dtype)


@hinted
def truncated_normal(
    key: Key, shape: Shape | int = (), low: float = -2.0, high: float = 2.0, dtype: Any = np.float32
) -> Any:
    """Numbers of the standard normal distribution, given that they lie in [low, high].

    Raises:
        ValueError: so little of the distribution lies there that it is 0 in the numbers computed with, float64, and
            for a key of JAX mostly float32: beyond about 37 and 12 standard deviations.

    >>> bool((abs(truncated_normal(key(0), (1000,))) <= 2).all())
    True
    """
    shape, dtype = _sizes(shape, "truncated_normal"), _floating(dtype, "truncated_normal")
    if not low < high:
        raise ValueError(f"truncated_normal takes low < high, not low={low}, high={high}")
    turned = low + high > 0  # to the lower side, where shares near 0 keep their digits
    a, b = (-high, -low) if turned else (low, high)
    below, above = (math.erfc(-z / math.sqrt(2)) / 2 for z in (a, b))
    own = type(key) is Key
    least = np.finfo(np.float64 if own or dtype.itemsize == 8 else np.float32)
    if not above - below > least.tiny / least.eps:
        raise ValueError(f"truncated_normal finds nothing of the normal distribution in [{low}, {high}]")
    unit = _open_unit(key, shape) if own else _open_unit_of_jax(key, shape, dtype)
    unit *= above - below
    unit += below
    drawn = (_normal_quantile if own else normal_quantile_of_jax)(unit).clip(a, b).astype(dtype).reshape(shape)
    return -drawn if turned else drawn


@hinted
def bernoulli(key: Key, p: float, shape: Shape | int = ()) -> Any:
    """Booleans, each True with probability p.

    >>> bernoulli(key(0), 0.5, (4,))
    array([ True,  True, False,  True])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"bernoulli takes a probability from 0 to 1, not {p}")
    shape = _sizes(shape, "bernoulli")
    rare = 0 < min(p, 1 - p) < 1e-3  # to 24 bits it would be off
    if type(key) is not Key:
        return _jax_random(key).bernoulli(key, float(p), shape, mode="high" if rare else "low")
    return uniform(key, shape, dtype=np.float64 if rare else np.float32) < p


@hinted
def randint(key: Key, shape: Shape | int, minval: int, maxval: int, dtype: Any = int) -> Any:
    """Integers from minval to maxval − 1, each as likely. They are int64; of a key of JAX int32, unless it has more.

    >>> randint(key(0), (5,), 0, 10)
    array([9, 8, 9, 6, 3])
    """
    if np.dtype(dtype).kind not in "iu":
        raise TypeError(f"randint draws integers, not {np.dtype(dtype)}")
    if not is_integer(minval) or not is_integer(maxval) or minval >= maxval:
        raise ValueError(f"randint takes integers minval < maxval, not minval={minval!r}, maxval={maxval!r}")
    shape, holds = _sizes(shape, "randint"), np.iinfo(dtype)
    if minval < holds.min or maxval - 1 > holds.max:
        raise ValueError(f"randint: {np.dtype(dtype)} does not hold the integers from {minval} to {maxval - 1}")
    if type(key) is not Key:
        return _jax_random(key, np.int32 if dtype is int else dtype).randint(key, shape, minval, maxval, dtype)
    count, words = maxval - minval, _bits(key, shape)
    while (beyond := words > 2**64 // count * count - 1).any():  # words that would make the first integers likelier
        key = fold_in(key, 0)
        words[beyond] = _bits(key, (int(beyond.sum()),))
    steps = words % np.uint64(count) if count < 2**64 else words
    return (steps + np.uint64(minval % 2**64)).astype(dtype).reshape(shape)  # around 2⁶⁴, as a negative minval is


@hinted
def gumbel(key: Key, shape: Shape | int = (), dtype: Any = np.float32) -> Any:
    """Numbers of the standard Gumbel distribution, −log(−log u) of a u between 0 and 1.

    >>> gumbel(key(0), (3,))
    array([-1.4954516 , -0.35113713, -0.7859068 ], dtype=float32)
    """
    shape, dtype = _sizes(shape, "gumbel"), _floating(dtype, "gumbel")
    if type(key) is not Key:
        return _jax_random(key, dtype).gumbel(key, shape, dtype)
    return (-_log(-_log(_open_unit(key, shape)))).astype(dtype).reshape(shape)


@hinted
def categorical(key: Key, logits: Any, axis: int = -1, shape: Shape | int | None = None) -> Any:
    """The place along `axis` of one of the classes, each with probability softmax(logits), for each row of logits.

    Logits need no normalizing; a class of −∞ is never drawn. `shape` is that of the result, to which the shape of
    logits without `axis` must broadcast: `shape=(100,)` draws a hundred of one row.

    Raises:
        ValueError: there are no classes; a row has NaN, ∞, or nothing but −∞ (not looked for in arrays of JAX).

    >>> categorical(key(0), np.array([[0.0, -np.inf], [-np.inf, 0.0]]))
    array([0, 1])
    """
    ops = engine_of(logits, "categorical")
    if not ops.isdtype(logits.dtype, "real floating") or not logits.ndim:
        raise TypeError(f"categorical takes logits of floating-point numbers, with an axis, not {describe(logits)}")
    if not is_integer(axis) or not -logits.ndim <= axis < logits.ndim:
        raise ValueError(f"categorical takes an axis of its logits, whose shape is {logits.shape}, not {axis!r}")
    rows = ops.moveaxis(widened(logits), axis, -1)
    batch, classes = tuple(rows.shape[:-1]), rows.shape[-1]
    shape = batch if shape is None else _sizes(shape, "categorical")
    if not classes:
        raise ValueError(f"categorical has no classes to draw from: logits have shape {tuple(logits.shape)}")
    if shape[len(shape) - len(batch) :] != batch and np.broadcast_shapes(shape, batch) != shape:
        raise ValueError(f"categorical takes a shape to which {batch} broadcasts, not {shape}")
    if type(key) is not Key:
        return _jax_random(key, logits.dtype).categorical(key, logits, axis, shape)
    noise = gumbel(key, (*shape, classes), np.float64 if ops.finfo(rows.dtype).bits == 64 else np.float32)
    ops.look(_check_logits, rows)
    return ops.reshape(ops.argmax(rows + ops.take_in(noise), axis=-1), shape)


def _check_logits(rows: Any) -> None:
    if not np.isfinite(np.asarray(rows).max(axis=-1)).all():
        raise ValueError("categorical takes logits whose largest in each row is finite: these have NaN, ∞ or only −∞")


@hinted
def choice(key: Key, a: Any, shape: Shape | int = (), replace: bool = True, p: Any = None, axis: int = 0) -> Any:
    """Elements of a along an axis; of an integer a, integers from 0 to a − 1. Without `replace`, none of them twice.

    `p` holds the probability of each, or numbers ≥ 0 in proportion to it; by default all are as likely.

    >>> choice(key(0), 5, (3,), replace=False)
    array([0, 2, 1])
    >>> choice(key(0), np.array([[1, 2], [3, 4]]), p=np.array([0.0, 1.0]))
    array([3, 4])
    """
    from_array, shape = not is_integer(a), _sizes(shape, "choice")
    ops = engine_of(a, "choice") if from_array else None
    if from_array and not (is_integer(axis) and -a.ndim <= axis < a.ndim):
        raise ValueError(f"choice takes an axis of its array, whose shape is {a.shape}, not {axis!r}")
    n, count = a.shape[axis] if from_array else a, math.prod(shape)
    if n < 0 or (n == 0 and count):
        raise ValueError(f"choice has nothing to choose from: it was given {describe(a) if from_array else a}")
    if not replace and count > n:
        raise ValueError(f"choice cannot choose {count} of {n} without replacement: write replace=True")
    if p is not None and tuple(np.shape(p)) != (n,):
        raise ValueError(f"choice takes p of shape ({n},), one number for each, not {describe(p)}")
    if type(key) is not Key:
        return _jax_random(key).choice(key, a, shape, replace, p, axis)
    ids = _chosen(key, int(n), count, replace, p)
    if ops is None:
        return ids.reshape(shape)
    axis = axis % a.ndim
    return ops.reshape(ops.take(a, ops.take_in(ids), axis=axis), (*a.shape[:axis], *shape, *a.shape[axis + 1 :]))


def _chosen(key: Key, n: int, count: int, replace: bool, p: Any) -> Any:
    """So many of the integers from 0 to n − 1."""
    if p is None:
        return randint(key, (count,), 0, max(n, 1)) if replace else permutation(key, n)[:count]
    p = np.asarray(p, np.float64)
    total = p.cumsum()
    if count and not (p.min() >= 0 and 0 < total[-1] < math.inf):
        raise ValueError("choice takes p of finite numbers, 0 or more, that are not all 0")
    if replace:
        return np.searchsorted(total, uniform(key, (count,), dtype=np.float64) * total[-1:], side="right")
    if count > (possible := np.count_nonzero(p)):
        raise ValueError(f"choice cannot choose {count} without replacement: only {possible} have a p above 0")
    with np.errstate(divide="ignore"):
        scores = np.where(p > 0, _log(p), -math.inf) + gumbel(key, (n,), np.float64)
    return np.argsort(-scores, kind="stable")[:count]


@hinted
def permutation(key: Key, n: int) -> Any:
    """The integers from 0 to n − 1 in random order.

    >>> permutation(key(0), 5)
    array([0, 2, 1, 4, 3])
    """
    if not is_integer(n) or n < 0:
        raise ValueError(f"permutation takes a number of integers, n >= 0, not {n!r}")
    if type(key) is not Key:
        return _jax_random(key).permutation(key, n)
    return np.argsort(_bits(key, (n,)), kind="stable")


def check_key(key: Any) -> None:
    """Check that this is None, or a key: what stands in its place by mistake would not be seen by a layer without
    noise, and would mean training to one that only asks whether there is a key."""
    if key is not None and type(key) is not Key:
        if isinstance(key, bool):
            raise TypeError(
                f"a random key belongs here, not {key}: leave it out for inference, or write purenet.key(0)"
            )
        _jax_random(key)


def _jax_random(key: Any, dtype: Any = np.float32) -> Any:
    """The module jax.random, if that is where this key belongs."""
    module = random_of(key, dtype)
    if module is not None:
        return module
    if is_integer(key):
        raise TypeError(f"a random key belongs here, not the integer {key}: write purenet.key({key})")
    raise TypeError(f"a random key belongs here, not {describe(key)}: write purenet.key(0)")


def _bits(key: Key, shape: Shape, word: type = np.uint64) -> Any:
    """The first words of the key's stream, one for each element: unsigned integers of 64 or 32 random bits."""
    if compiling():
        raise TypeError(
            f"{key!r} of purenet would be drawn from once, when JAX compiles the function, and each call would get the "
            "same numbers (dropout the same mask): give the function a key of JAX as an argument, jax.random.key(seed)"
        )
    n = math.prod(map(int, shape))
    per_draw = 8 // np.dtype(word).itemsize
    raw = np.random.Philox(key=key.value).random_raw(-(-n // per_draw))
    return raw.astype("<u8", copy=False).view(np.dtype(word).newbyteorder("<"))[:n]


def _sizes(shape: Any, who: str) -> Shape:
    """The shape, which may be one number, as a tuple."""
    if is_integer(shape):
        shape = (shape,)
    sizes = tuple(shape) if hasattr(shape, "__iter__") and getattr(shape, "shape", True) else (None,)
    if any(not hasattr(n, "__index__") or (is_integer(n) and n < 0) for n in sizes):
        given = describe(shape) if hasattr(shape, "shape") else repr(shape)
        raise TypeError(f"{who} takes a shape, a whole number from 0 up or a tuple of such, not {given}")
    return sizes


def _floating(dtype: Any, who: str) -> Any:
    """The dtype, after a check that it is one of floating-point numbers."""
    if is_integer(dtype):
        raise TypeError(f"{who} takes a dtype, not {dtype!r}: write a shape of several axes as one tuple, (3, 4)")
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{who} takes a dtype, such as np.float32, not {dtype!r}") from None
    if dtype.kind in "biuc":
        raise TypeError(f"{who} draws floating-point numbers, not {dtype}")
    return dtype


def _open_unit_of_jax(key: Any, shape: Shape, dtype: Any) -> Any:
    """Numbers strictly between 0 and 1, by a key of JAX."""
    wide: Any = np.float64 if dtype.itemsize == 8 else np.float32
    unit = _jax_random(key, dtype).uniform(key, shape, wide)
    return unit + float(np.finfo(wide).eps) / 2


def _open_unit(key: Key, shape: Shape) -> Any:
    """Numbers strictly between 0 and 1: the middles of 2⁵² equal cells."""
    unit = (_bits(key, shape) >> np.uint64(12)).astype(np.float64)
    unit += 0.5
    unit *= 2.0**-52
    return unit


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    """The polynomial with these coefficients, highest power first, by Horner's rule."""
    y = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        y *= x
        y += c
    return y


def _log(x: Any) -> Any:
    """log x by exact steps: x = m·2ᵉ, log m = 2 artanh((m − 1) / (m + 1))."""
    m, e = np.frexp(x)
    low = m < math.sqrt(0.5)
    m = np.where(low, 2 * m, m)
    z = (m - 1) / (m + 1)
    series = _polynomial(z * z, tuple(2 / k for k in range(21, 0, -2)))
    return (e - low) * math.log(2) + z * series


def _normal_quantile(p: Any) -> Any:
    """The z below which the share p of the normal distribution lies: algorithm AS 241, routine PPND16.

    M. J. Wichura, "The percentage points of the normal distribution", Applied Statistics 37 (1988), 477-484.
    """
    q = p - 0.5
    r = 0.180625 - q * q
    z = q * (_polynomial(r, _AS241["a"]) / _polynomial(r, _AS241["b"]))
    tail = np.abs(q) > 0.425
    q, p = q[tail], p[tail]
    r = np.sqrt(-_log(np.minimum(p, 1 - p)))
    near, far = r - 1.6, r - 5.0
    size = np.where(
        r <= 5,
        _polynomial(near, _AS241["c"]) / _polynomial(near, _AS241["d"]),
        _polynomial(far, _AS241["e"]) / _polynomial(far, _AS241["f"]),
    )
    z[tail] = np.where(q < 0, -size, size)
    return z


_AS241 = {  # coefficients, highest power first
    "a": (
        2509.0809287301227,
        33430.57558358813,
        67265.7709270087,
        45921.95393154987,
        13731.69376550946,
        1971.5909503065513,
        133.14166789178438,
        3.3871328727963665,
    ),
    "b": (
        5226.495278852854,
        28729.085735721943,
        39307.89580009271,
        21213.794301586597,
        5394.196021424751,
        687.1870074920579,
        42.31333070160091,
        1.0,
    ),
    "c": (
        0.0007745450142783414,
        0.022723844989269184,
        0.2417807251774506,
        1.2704582524523684,
        3.6478483247632045,
        5.769497221460691,
        4.630337846156546,
        1.4234371107496835,
    ),
    "d": (
        1.0507500716444169e-09,
        0.0005475938084995345,
        0.015198666563616457,
        0.14810397642748008,
        0.6897673349851,
        1.6763848301838038,
        2.053191626637759,
        1.0,
    ),
    "e": (
        2.0103343992922881e-07,
        2.7115555687434876e-05,
        0.0012426609473880784,
        0.026532189526576124,
        0.29656057182850487,
        1.7848265399172913,
        5.463784911164114,
        6.657904643501103,
    ),
    "f": (
        2.0442631033899397e-15,
        1.421511758316446e-07,
        1.8463183175100548e-05,
        0.0007868691311456133,
        0.014875361290850615,
        0.1369298809227358,
        0.599832206555888,
        1.0,
    ),
}
