"""A large batch in chunks that stay in the processor's cache, one after another or in threads."""

from __future__ import annotations

import os
from _thread import allocate_lock  # `threading` has no more of use here, and is slow to import
from collections.abc import Callable, Iterator
from functools import cache
from inspect import unwrap
from itertools import pairwise
from typing import Any, Literal, TypeVar

from purenet import tree
from purenet.combinators.compose import sum_trees
from purenet.core import Buffer, Layer, Loss
from purenet.data.arrays import check_positive, count
from purenet.engine.arrays import describe
from purenet.losses import reduction_of
from purenet.random import Key, split
from purenet.training.gradient import Evaluate, Terms, put_together
from purenet.values import hinted, known_as

P = TypeVar("P")


@hinted
def in_chunks(
    function: Callable[..., tuple[Any, P]],
    size: int,
    *,
    threads: int = 1,
    reduction: Literal["mean", "sum"] | None = None,
) -> Callable[..., tuple[Any, P]]:
    """The same `(params, x, target, key=None) -> (E, grads)`, computed in chunks of at most `size` examples.

    It pays for large batches of a small net: what a layer hands to the next one is still in the cache then. The memory
    needed is that of one chunk for each thread, and in threads the gradients of all chunks. For a loss that is a mean
    over the examples, E and the gradients are the means over chunks, weighted by their examples: E = Σ nᵢ·Eᵢ / n. For
    one that is a sum, they are added. Penalties are added once. Which it is, a loss of this library says; of your own
    you say it, as in `reduction="sum"`. What `value_and_grad` did not make is a mean unless you say so.

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
    check_positive("in_chunks", size=size, threads=threads)
    if reduction not in (None, "mean", "sum"):
        raise ValueError(f"in_chunks takes reduction 'mean' or 'sum', not {reduction!r}")

    terms: Terms | None = getattr(unwrap(function), "terms", None)
    if terms is not None and terms.wrt != "params":
        raise ValueError(f"in_chunks takes gradients for params alone: leave wrt={terms.wrt!r} out")
    kind = reduction or ("mean" if terms is None else reduction_of(terms.loss))
    if kind is None:
        whose = terms and terms.loss.name
        raise ValueError(
            f"in_chunks cannot know whether {whose} is a mean over the examples or a sum: "
            'write reduction="mean" or reduction="sum"'
        )
    if terms is not None and function is unwrap(function):
        return put_together(terms._replace(evaluate=_chunked(terms.evaluate, size, threads, kind)))
    if kind == "sum" and terms is not None and terms.penalties:
        raise ValueError(
            "in_chunks would add the penalties once for each chunk, since it cannot see into the function that "
            "holds them: write in_chunks first, as in jax.jit(in_chunks(value_and_grad(net, loss, penalty), size))"
        )
    return _chunked(function, size, threads, kind)


def _chunked(function: Evaluate[P], size: int, threads: int, reduction: str) -> Evaluate[P]:
    """The function in chunks, of whose results the mean or the sum is taken."""
    crew = _Crew(threads)

    def evaluate(params: P, x: Any, target: Any, key: Key | None = None) -> tuple[Any, P]:
        n = count(tree.leaves((x, target)), "in_chunks")
        chunks = max(1, -(-n // size))
        starts = [n * i // chunks for i in range(chunks + 1)]
        sizes = [end - start for start, end in pairwise(starts)]
        keys: Any = (None,) * chunks if key is None else split(key, chunks)

        def chunk(i: int) -> tuple[Any, P]:
            part = slice(starts[i], starts[i + 1])
            E, grads = function(params, *tree.map(lambda leaf: leaf[part], (x, target)), keys[i])
            if reduction == "sum" or chunks == 1:
                return E, grads
            weight = sizes[i] / n
            return E * weight, tree.map(lambda g: g if type(g) is Buffer else g * weight, grads, leaf_type=Buffer)

        E, grads = sum_trees(crew.map(chunk, chunks), sizes)
        return E, grads

    return known_as("in_chunks(function, size)", evaluate)


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

        with ONE_THREAD:
            others = [self.pool.submit(share, first) for first in range(1, threads)]
            try:
                shares = [share(0)]
            finally:
                wait(others)  # an error leaves nothing running
            shares += [other.result() for other in others]
        return (shares[i % threads][i // threads] for i in range(n))


class _OneThread:
    """While it is entered, by whichever thread and how often ever, NumPy's matrix products run in one thread each, if
    threadpoolctl is installed. The first to enter sets the limit, and the last to leave lifts it."""

    def __init__(self) -> None:
        self.begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.begin_anew)

    def begin(self) -> None:
        self.lock, self.inside = allocate_lock(), 0
        self.limit: Any = None

    def begin_anew(self) -> None:
        """In a fork, where the threads that were inside are not: nobody would lift the limit."""
        limit = self.limit
        self.begin()
        if limit is not None:
            limit.restore_original_limits()

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0 and (products := _products()):
                self.limit = products.limit(limits=1)
            self.inside += 1

    def __exit__(self, *_: Any) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0 and self.limit is not None:
                self.limit.restore_original_limits()
                self.limit = None


ONE_THREAD = _OneThread()


@cache
def _products() -> Any:
    """What holds the threads of NumPy's matrix products, if it is installed."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")
