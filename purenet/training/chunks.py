"""A large batch in chunks that stay in the processor's cache, one after another or in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, Literal, TypeVar

from purenet import tree
from purenet.combinators.compose import sum_trees
from purenet.core import Buffer, Layer, Loss
from purenet.data.arrays import count
from purenet.engine.arrays import describe
from purenet.random import Key, split

P = TypeVar("P")


def in_chunks(
    function: Callable[..., tuple[Any, P]],
    size: int,
    *,
    threads: int = 1,
    reduction: Literal["mean", "sum"] = "mean",
) -> Callable[..., tuple[Any, P]]:
    """The same `(params, x, target, key=None) -> (E, grads)`, computed in chunks of at most `size` examples.

    It pays for large batches of a small net: what a layer hands to the next one is still in the cache then. The memory
    needed is that of one chunk for each thread, and in threads the gradients of all chunks. For a loss that is a mean
    over the examples, E and the gradients are the means over chunks, weighted by their examples: E = Σ nᵢ·Eᵢ / n. With
    `reduction="sum"`, for losses that are sums, they are added.

    Chunks have one size or differ by one example. The sum is made in their order, so it does not depend on the number
    of threads. NumPy computes in several threads at once because it lets go of the interpreter's lock. It pays where
    the time goes into much besides large matrix products, which have threads of their own: for convolutions, attention,
    and large batches. Those threads and these would be in each other's way, so while these run, each product is held to
    one thread, for which threadpoolctl must be installed (or OPENBLAS_NUM_THREADS=1 be set).

    With a key each chunk draws its own numbers. Batch norm normalizes each chunk by itself, and buffers take the mean
    step of all chunks, by their examples.

    >>> import numpy as np, purenet as pn
    >>> net = pn.dense(2, 1)
    >>> params, x, target = net.init(pn.key(0)), np.ones((10, 2), np.float32), np.zeros((10, 1), np.float32)
    >>> whole = pn.value_and_grad(net, pn.mse)
    >>> E, grads = pn.in_chunks(whole, 4, threads=2)(params, x, target)
    >>> pn.tree.allclose((E, grads), whole(params, x, target))
    True
    """
    if not callable(function) or isinstance(function, Layer | Loss):
        raise TypeError(f"in_chunks takes a function, as value_and_grad(net, loss) gives it, not {describe(function)}")
    for name, number in (("size", size), ("threads", threads)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"in_chunks: {name} is a positive integer, not {number!r}")
    if reduction not in ("mean", "sum"):
        raise ValueError(f"in_chunks takes reduction 'mean' or 'sum', not {reduction!r}")

    crew = _Crew(threads)

    def evaluate(params: P, x: Any, target: Any, key: Key | None = None) -> tuple[Any, P]:
        n = count(tree.leaves((x, target)), "in_chunks")
        chunks = max(1, -(-n // size))
        starts = [n * i // chunks for i in range(chunks + 1)]
        sizes = [end - start for start, end in pairwise(starts)]
        keys = [None] * chunks if key is None else split(key, chunks)

        def chunk(i: int) -> tuple[Any, P]:
            part = slice(starts[i], starts[i + 1])
            x_part, target_part = tree.map(lambda leaf: leaf[part], (x, target))
            E, grads = function(params, x_part, target_part, keys[i])
            if reduction == "sum" or chunks == 1:
                return E, grads
            weight = sizes[i] / n
            return E * weight, tree.map(lambda g: g if type(g) is Buffer else g * weight, grads, leaf_type=Buffer)

        E, grads = sum_trees(crew.map(chunk, chunks), sizes)
        return E, grads

    return evaluate


class _Crew:
    """Threads that stay from one call to the next: to start one takes longer than a small net needs for a chunk."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool: Any = None
        self.process = 0

    def map(self, f: Callable[[int], Any], n: int) -> Iterator[Any]:
        """f(0), f(1), …, f(n − 1), in this order; the threads, of which the caller's is one, take them in turns."""
        threads = min(self.threads, n)
        if threads == 1:
            return map(f, range(n))
        from concurrent.futures import ThreadPoolExecutor, wait

        if self.process != os.getpid():  # a process has its threads for itself: a fork of it has none of them
            self.pool, self.process = ThreadPoolExecutor(self.threads - 1), os.getpid()

        def share(first: int) -> list[Any]:
            return [f(i) for i in range(first, n, threads)]

        products = _products()
        with products.limit(limits=1) if products else nullcontext():
            others = [self.pool.submit(share, first) for first in range(1, threads)]
            try:
                shares = [share(0)]
            finally:
                wait(others)  # an error leaves nothing running
            shares += [other.result() for other in others]
        return (shares[i % threads][i // threads] for i in range(n))


@cache
def _products() -> Any:
    """What holds the threads of NumPy's matrix products, if it is installed."""
    if find_spec("threadpoolctl") is None:
        return None
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
