"""`python -m benchmarks step`: one training step of the video's XOR net, against the same step by hand in NumPy.

By hand means: as one would write it down, four lines forward and eight back, no checks, no functions, no read-only
arrays. Both compute the same numbers, which is checked first. Timings are taken in turns; the table gives the median of
the rounds and their ratio.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import purenet as pn

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
TARGET = np.array([[0], [1], [1], [0]], np.float32)
NET = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh)
LR = 0.1


def by_hand(w1: Any, b1: Any, w2: Any, b2: Any, x: Any, target: Any) -> tuple[Any, ...]:
    h = np.tanh(x @ w1 + b1)
    y = np.tanh(h @ w2 + b2)
    error = np.mean((y - target) ** 2)
    dy = 2 * (y - target) / y.size * (1 - y * y)
    dw2 = h.T @ dy
    db2 = dy.sum(axis=0)
    dh = (dy @ w2.T) * (1 - h * h)
    dw1 = x.T @ dh
    db1 = dh.sum(axis=0)
    return error, w1 - LR * dw1, b1 - LR * db1, w2 - LR * dw2, b2 - LR * db2


VALUE_AND_GRAD = pn.value_and_grad(NET, pn.mse)


def by_purenet(params: Any, x: Any, target: Any) -> Any:
    error, grads = VALUE_AND_GRAD(params, x, target)
    return error, pn.sgd_step(params, grads, LR)


def main(arguments: list[str]) -> None:
    if arguments:
        raise SystemExit("usage: python -m benchmarks step")
    params = NET.init(pn.key(0))
    weights = pn.tree.leaves(params)
    print("medians of 200 rounds\nbatch   purenet / by hand   purenet µs   by hand µs")
    for batch in (1, 4):
        x, target = X[-batch:], TARGET[-batch:]
        ours, hand = by_purenet(params, x, target), by_hand(*weights, x, target)
        for a, b in zip(pn.tree.leaves(ours), hand, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
        rounds = [(seconds(by_purenet, params, x, target), seconds(by_hand, *weights, x, target)) for _ in range(200)]
        ratio = median(ours / hand for ours, hand in rounds)
        ours, hand = (1e6 * median(times) for times in zip(*rounds, strict=True))
        print(f"{batch:5}   {ratio:17.2f}   {ours:10.1f}   {hand:10.1f}")


def seconds(step: Callable[..., Any], *arguments: Any, repeats: int = 100) -> float:
    """The time of one call, from many."""
    start = time.perf_counter()
    for _ in range(repeats):
        step(*arguments)
    return (time.perf_counter() - start) / repeats
