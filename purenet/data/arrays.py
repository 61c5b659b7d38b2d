"""Arrays of examples: in batches, in two parts, and made ready for a net. The first axis counts the examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from purenet import random, tree
from purenet.engine import engine_of
from purenet.engine.arrays import (
    article,
    as_number,
    describe,
    floating,
    holds,
    is_integer,
    is_rounding,
    own_dtype,
    rounding_of,
    seal,
    to_numpy,
    write_as_array,
    write_as_integers,
)
from purenet.engine.jax import host_only
from purenet.random import Key
from purenet.values import hinted, shown


@hinted
def batches(key: Key | None, *arrays: Any, size: int, drop_last: bool = False) -> Iterator[tuple[Any, ...]]:
    """Tuples with `size` examples of each array, in an order drawn by key; with key=None, in the order they have.

    In the order they have, batches are views; shuffled ones are copies, made one at a time (on MNIST a third faster
    than shuffling all of it first). An `np.memmap` is never read whole. The last batch is smaller if the number of
    examples is no multiple of size, or is dropped. An array may be a tuple of arrays, such as sequences and lengths.

    >>> x = np.arange(5)
    >>> [batch.tolist() for (batch,) in batches(None, x, size=2)]
    [[0, 1], [2, 3], [4]]
    >>> [(batch.tolist(), same.tolist()) for batch, same in batches(random.key(0), x, x, size=3, drop_last=True)]
    [([0, 2, 1], [0, 2, 1])]
    """
    if key is not None and type(key) is not Key:
        _check_key(key, "batches", "size=32", "keep the order")
    if len(arrays) == 1 and isinstance(arrays[0], tuple):
        raise TypeError("batches takes arrays one by one, not in a tuple: write batches(key, *arrays, size=32)")
    flat, put_back = _taken_apart(arrays)
    n = count(flat, "batches")
    check_positive("batches", size=size)
    flat = [plain(array) for array in flat]
    end = n - n % size if drop_last else n

    def cut() -> Iterator[tuple[Any, ...]]:
        order = None if key is None else random.permutation(key, n)
        for start in range(0, end, size):
            stop = min(start + size, end)
            if order is None:
                yield put_back([array[start:stop] for array in flat])
            else:
                yield put_back([rows(array, order[start:stop]) for array in flat])

    return cut()


@hinted
def split(
    key: Key | None, *arrays: Any, test: float = 0.2, stratify: Any = None
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Each array in two parts, `(train, test)`, both tuples of arrays; examples are drawn by key.

    `test` is a share of the examples, or a number of them. With key=None the last ones are for testing. With labels
    to `stratify` by, each class has the same share in both parts, as nearly as whole examples allow. An array may be a
    tuple of arrays, such as sequences and lengths.

    >>> (x, t), (x_test, t_test) = split(random.key(0), np.arange(10), np.arange(10) % 2, test=0.4)
    >>> len(x), len(x_test)
    (6, 4)
    >>> _, (t_test,) = split(random.key(0), np.arange(10) % 2, test=0.4, stratify=np.arange(10) % 2)
    >>> sorted(t_test.tolist())
    [0, 0, 1, 1]
    """
    if key is not None and type(key) is not Key:
        _check_key(key, "split", "test=0.2", "test on the last examples")
    flat, put_back = _taken_apart(arrays)
    n = count(flat, "split")
    test = as_number(test)
    size = round(test * n) if isinstance(test, float) else test
    if not is_integer(size) or not 0 < size < n:
        raise ValueError(
            f"split takes test, a share between 0 and 1 or a number below {n}, not {test!r}: both parts need examples"
        )
    order = np.arange(n) if key is None else random.permutation(key, n)
    if stratify is None:
        chosen = np.arange(n) >= n - size
    else:
        host_only("split, to stratify,", stratify)
        labels = to_numpy(stratify)
        if labels.shape != (n,):
            raise ValueError(f"split takes labels of shape ({n},) to stratify by, not {describe(labels)}")
        chosen = _stratified(labels[order], int(size))
    # both parts come in the drawn order
    train, held_out = (
        put_back([rows(plain(array), part) for array in flat]) for part in (order[~chosen], order[chosen])
    )
    return train, held_out


@hinted
def one_hot(labels: Any, classes: int, dtype: Any = np.float32) -> Any:
    """Labels as rows with a 1 in the place of the class: (...) integers become (..., classes).

    A label that is no class is an error; under JAX its row is NaN.

    >>> one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    ops = engine_of(labels, "one_hot")
    if not holds(labels, "integral"):
        raise TypeError(f"one_hot takes integer labels, not {describe(labels)}: {write_as_integers(labels, 'labels')}")
    if not ops.labels_fit(labels, classes):
        given = to_numpy(labels)
        raise ValueError(
            f"one_hot takes labels from 0 to {classes - 1}, but they go from {given.min()} to {given.max()}"
        )
    return ops.one_hot(labels, classes, own_dtype(ops, dtype))


@tree.read_only_copies
class Moments(NamedTuple):
    """What `standardize.fit` found: mean and standard deviation of each feature."""

    mean: Any
    std: Any


class Standardize(NamedTuple):
    """Mean 0 and standard deviation 1 for each feature: fit on what is trained on, apply to all.

    Fields:
        fit: `fit(x) -> Moments(mean, std)` over all axes but the last; of a vector, which is one feature, over all. An
            `np.memmap` is not read whole.
        apply: `apply(moments, x) -> (x − mean) / std`; a feature that never changes, but for rounding, becomes 0.
    """

    fit: Any
    apply: Any

    def __call__(self, *_: Any, **__: Any) -> Any:
        """An error that says how to standardize."""
        raise TypeError(
            "standardize is two functions: write moments = standardize.fit(x) of what is trained on, then "
            "standardize.apply(moments, x) of all"
        )


def _fit(x: Any) -> Moments:
    """Mean and standard deviation of each feature, in float64, block by block, as distances from the first example: of
    a feature that never changes they are 0, without rounding.

    T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    """
    floating(x, "standardize.fit")
    host_only("standardize.fit", x)
    if not math.prod(x.shape[:-1] or x.shape):
        raise ValueError("standardize.fit takes at least one example")
    if x.ndim == 1:
        mean, std = _fit(x[:, None])
        return Moments(mean[0], std[0])
    first = to_numpy(x[0]).astype(np.float64).reshape(-1, x.shape[-1])[0]
    n = 0
    mean = square = furthest = np.zeros(x.shape[-1:], np.float64)
    block = max(1, 2**17 // max(1, math.prod(x.shape[1:])))  # about 1 MB at a time, which stays in cache
    for start in range(0, x.shape[0], block):
        part = to_numpy(x[start : start + block]).astype(np.float64).reshape(-1, x.shape[-1]) - first
        furthest = np.maximum(furthest, np.abs(part).max(axis=0))
        part_mean = part.mean(axis=0)
        part_square = ((part - part_mean) ** 2).sum(axis=0)
        both = n + len(part)
        step = part_mean - mean
        mean = mean + step * (len(part) / both)
        square = square + part_square + step**2 * (n * len(part) / both)
        n = both
    ops, dtype = engine_of(x), x.dtype
    std = np.sqrt(square / n)
    std[is_rounding(furthest, first, rounding_of(x)) | (to_numpy(ops.asarray(std, dtype=dtype)) == 0)] = 1
    return Moments(seal(ops.asarray(first + mean, dtype=dtype)), seal(ops.asarray(std, dtype=dtype)))


def _apply(moments: Moments, x: Any) -> Any:
    floating(x, "standardize.apply")
    y = plain(x) - moments.mean
    y /= moments.std
    return y


standardize = Standardize(_fit, _apply)


def _taken_apart(arrays: tuple[Any, ...]) -> tuple[Sequence[Any], Callable[[list[Any]], tuple[Any, ...]]]:
    """The arrays, those in tuples too, and the function that puts others in their places."""
    if not any(isinstance(array, tuple) for array in arrays):
        return arrays, tuple
    flat, structure = tree.flatten(arrays)
    return flat, partial(tree.unflatten, structure)


def count(arrays: Any, who: str) -> int:
    """How many examples the arrays have, all of them the same number."""
    if not arrays:
        raise ValueError(f"{who} takes at least one array")
    for array in arrays:
        if hasattr(array, "to_numpy"):
            raise TypeError(f"{who} takes arrays, not {article(type(array).__name__)}: write .to_numpy()")
        if not hasattr(array, "shape") or len(array.shape) < 1:
            mend = ""
            if isinstance(array, tuple | list):
                holds = any(getattr(part, "shape", ()) for part in array)
                mend = f": {'hand in its arrays one by one' if holds else write_as_array(array)}"
            raise TypeError(f"{who} takes arrays with examples along the first axis, not {describe(array)}{mend}")
    lengths = [int(array.shape[0]) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"{who} takes arrays of one length, not of {', '.join(map(str, lengths))}")
    return lengths[0]


def check_positive(who: str, **numbers: Any) -> None:
    """Check that numbers are positive integers, by the names of the arguments."""
    for name, number in numbers.items():
        if not is_integer(number) or number < 1:
            raise ValueError(f"{who} takes {name}, a positive integer, not {shown(number)}")


def _check_key(key: Any, who: str, option: str, without: str) -> None:
    """An array in the place of the key, if it is none of JAX's keys, was meant as the first array."""
    try:
        random.split(key, 1)
    except Exception:
        if not hasattr(key, "shape"):
            raise
        raise TypeError(
            f"{who} takes a key first, or None to {without}, not {describe(key)}: write {who}(key, x, target, {option})"
        ) from None


def parts(arrays: Any) -> list[Any]:
    """The arrays in nested tuples, one after another."""
    return [part for array in arrays for part in (parts(array) if isinstance(array, tuple) else [array])]


def plain(array: Any) -> Any:
    """A memory-mapped array as a plain view of the same memory, which is not read by that."""
    return np.asarray(array) if isinstance(array, np.memmap) else array


def rows(array: Any, index: Any) -> Any:
    """The examples with these numbers, as a copy. `take` needs less time than `[]` for the same on NumPy."""
    return array.take(index, axis=0) if type(array) is np.ndarray else array[index]


def _stratified(labels: Any, size: int) -> Any:
    """Which examples are for testing: the last ones of each class, with its share of size by largest remainder."""
    _, which, members = np.unique(labels, return_inverse=True, return_counts=True)
    quota = members * (size / len(labels))
    take = np.floor(quota).astype(int)
    take[np.argsort(take - quota, kind="stable")[: size - take.sum()]] += 1
    chosen = np.zeros(len(labels), bool)
    for number, of_class in enumerate(take):
        places = np.flatnonzero(which == number)
        chosen[places[len(places) - of_class :]] = True
    return chosen
