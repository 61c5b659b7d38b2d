"""Two limits: the step of a dense net as one would write it down in NumPy for that net alone, and its products alone.

No checks, no layers, weights updated in place. Activations and losses are chosen by a flag, for one file to serve all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import purenet as pn
from benchmarks.contest import Entry
from benchmarks.works import Work

Update = Callable[[list[Any], tuple[Any, ...]], None]


def start(work: Work, params: Any) -> Entry:
    if work.kind == "xor":
        return xor(work, params)
    weights = [np.array(p) for p in pn.tree.leaves(params)]
    gradient = two_layers if len(weights) == 4 else three_layers
    update = sgd(work.lr) if work.optimizer == "sgd" else adam(work.lr)
    loss, tanh = mse if work.loss == "mse" else cross_entropy, work.hidden == "tanh"

    def epoch() -> None:
        for x, target in work.batches:
            _, grads = gradient(*weights, x, target, tanh, loss)
            update(weights, grads)

    return Entry(epoch, lambda: gradient(*weights, *work.batches[0], tanh, loss)[0])


def xor(work: Work, params: Any) -> Entry:
    weights = pn.tree.leaves(params)

    def epoch() -> None:
        nonlocal weights
        for x, target in work.batches:
            _, *weights = xor_step(*weights, x, target, work.lr)

    return Entry(epoch, lambda: xor_step(*weights, *work.batches[0], work.lr)[0])


def xor_step(w1: Any, b1: Any, w2: Any, b2: Any, x: Any, target: Any, lr: float) -> tuple[Any, ...]:
    """E, and the weights after the step, which are new arrays."""
    h = np.tanh(x @ w1 + b1)
    y = np.tanh(h @ w2 + b2)
    error = np.mean((y - target) ** 2)
    dy = 2 * (y - target) / y.size * (1 - y * y)
    dw2 = h.T @ dy
    db2 = dy.sum(axis=0)
    dh = (dy @ w2.T) * (1 - h * h)
    dw1 = x.T @ dh
    db1 = dh.sum(axis=0)
    return error, w1 - lr * dw1, b1 - lr * db1, w2 - lr * dw2, b2 - lr * db2


def two_layers(w1: Any, b1: Any, w2: Any, b2: Any, x: Any, target: Any, tanh: bool, loss: Any) -> Any:
    h = x @ w1 + b1
    h = np.tanh(h) if tanh else np.maximum(h, 0)
    y = h @ w2 + b2
    E, dy = loss(y, target)
    dw2 = h.T @ dy
    db2 = dy.sum(axis=0)
    dh = dy @ w2.T
    dh *= 1 - h * h if tanh else h > 0
    dw1 = x.T @ dh
    db1 = dh.sum(axis=0)
    return E, (dw1, db1, dw2, db2)


def three_layers(
    w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any, x: Any, target: Any, tanh: bool, loss: Any
) -> Any:
    h1 = x @ w1 + b1
    h1 = np.tanh(h1) if tanh else np.maximum(h1, 0)
    h2 = h1 @ w2 + b2
    h2 = np.tanh(h2) if tanh else np.maximum(h2, 0)
    y = h2 @ w3 + b3
    E, dy = loss(y, target)
    dw3 = h2.T @ dy
    db3 = dy.sum(axis=0)
    dh2 = dy @ w3.T
    dh2 *= 1 - h2 * h2 if tanh else h2 > 0
    dw2 = h1.T @ dh2
    db2 = dh2.sum(axis=0)
    dh1 = dh2 @ w2.T
    dh1 *= 1 - h1 * h1 if tanh else h1 > 0
    dw1 = x.T @ dh1
    db1 = dh1.sum(axis=0)
    return E, (dw1, db1, dw2, db2, dw3, db3)


def mse(y: Any, target: Any) -> tuple[Any, Any]:
    d = y - target
    return np.mean(d * d), d * (2 / d.size)


def cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    z = logits - logits.max(axis=1, keepdims=True)
    p = np.exp(z)
    total = p.sum(axis=1, keepdims=True)
    rows = np.arange(len(z))
    E = np.mean(np.log(total[:, 0]) - z[rows, labels])
    p /= total
    p[rows, labels] -= 1
    p /= len(z)
    return E, p


def sgd(lr: float) -> Update:
    def update(weights: list[Any], grads: tuple[Any, ...]) -> None:
        for w, g in zip(weights, grads, strict=True):
            w -= lr * g

    return update


def adam(lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Update:
    state: list[tuple[Any, Any]] = []
    t = 0

    def update(weights: list[Any], grads: tuple[Any, ...]) -> None:
        nonlocal t
        if not state:
            state.extend((np.zeros_like(w), np.zeros_like(w)) for w in weights)
        t += 1
        root = (1 - beta2**t) ** 0.5
        rate, small = lr * root / (1 - beta1**t), eps * root
        for w, g, (m, v) in zip(weights, grads, state, strict=True):
            m *= beta1
            m += (1 - beta1) * g
            v *= beta2
            v += (1 - beta2) * (g * g)
            w -= rate * m / (np.sqrt(v) + small)

    return update


def products(work: Work, params: Any) -> Entry:
    """The matrix products of a step and nothing else, into arrays that are there already."""
    weights = [np.array(p) for p in pn.tree.leaves(params) if p.ndim == 2]
    batch = len(work.batches[0][0])
    activations = [np.zeros((batch, w.shape[1]), np.float32) for w in weights]
    gradients = [np.full_like(a, 0.01) for a in activations]
    dweights = [np.zeros_like(w) for w in weights]
    dinputs = [np.zeros((batch, w.shape[0]), np.float32) for w in weights]
    last = len(weights) - 1

    def epoch() -> None:
        for x, _ in work.batches:
            inputs = [x, *activations[:-1]]
            for i in range(last + 1):
                np.dot(inputs[i], weights[i], activations[i])
            for i in range(last, -1, -1):
                np.dot(inputs[i].T, gradients[i], dweights[i])
                if i:
                    np.dot(gradients[i], weights[i].T, dinputs[i])

    return Entry(epoch, None)
