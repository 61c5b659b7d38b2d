"""The rows that train: their nets, data and optimizers, and who takes part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import purenet as pn

ENGINES = ("purenet on PyTorch", "purenet under JAX, a call a step", "purenet under JAX, an epoch in scan")
PEERS = ("PyTorch", "JAX, a call a step", "JAX, an epoch in scan")
SMALL_PEERS = (*ENGINES, *PEERS, "autograd")
DENSE_PEERS = ("by hand", "bare products", *SMALL_PEERS, "scikit-learn")
DEEP_PEERS = (*ENGINES, *PEERS)
BY_COMPILER = ("purenet on PyTorch, compiled", "PyTorch, compiled")  # where `torch.compile` is not slower
LOSSES = {"mse": pn.mse, "cross entropy": pn.softmax_cross_entropy}


class Work(NamedTuple):
    """A net, its data, and how it is trained.

    Fields:
        kind: the architecture, by which each peer knows how to build it.
        size: what the goals call it.
        hidden: the activation between dense layers.
        loss: "mse" or "cross entropy" (of logits, with integer labels).
        optimizer: "sgd" or "adam", with the constants that every library has as its default.
        batches: of an epoch, [(x, target)].
        peers: who takes part beside purenet.
        tolerance: how far losses after an epoch may be apart, as a share of what it changes: each rounds differently.
        spread: what purenet's `value_and_grad` is wrapped in: the place for a function that cuts a large batch into
            chunks, or gives them to threads.
    """

    kind: str
    size: str
    title: str
    net: Any
    hidden: str
    loss: str
    optimizer: str
    lr: float
    batches: list[tuple[Any, Any]]
    peers: tuple[str, ...]
    tolerance: float = 1e-3
    spread: Callable[[Any], Any] = lambda value_and_grad: value_and_grad

    def init(self) -> Any:
        """The weights that all begin with."""
        return self.net.init(pn.key(0), self.batches[0][0].shape[1:])


def xor(quick: bool) -> Iterator[Work]:
    """The video's own workload: one sample a step, the four in order, over and over."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    target = np.array([[0], [1], [1], [0]], np.float32)
    net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh)
    batches = [(x[i : i + 1], target[i : i + 1]) for i in range(4)] * (5 if quick else 100)
    title = "XOR, 2-3-1 tanh, one sample a step, SGD"
    yield Work("xor", "xor", title, net, "tanh", "mse", "sgd", 0.1, batches, ("class style", "by hand", *SMALL_PEERS))


def dense(quick: bool) -> Iterator[Work]:
    """Dense nets from tiny to large. The two ends are trained on numbers, the others on ten classes."""
    every: list[tuple[tuple[int, ...], str, int, int, float]] = [
        ((2, 3, 2), "tanh", 4, 250, 0.1),
        ((64, 128, 10), "tanh", 32, 44, 0.1),
        ((784, 128, 10), "relu", 32, 50, 0.1),
        ((784, 128, 10), "relu", 128, 20, 0.1),
        ((784, 512, 512, 10), "relu", 128, 6, 0.1),
        ((1024, 2048, 2048, 1024), "relu", 512, 2, 10.0),
    ]
    for sizes, hidden, batch, steps, sgd_rate in every:
        if quick:
            batch, steps, sizes = max(4, batch // 16), min(steps, 3), tuple(min(n, 784) for n in sizes)
        count = batch * steps
        if sizes[-1] == 10:
            loss = "cross entropy"
            x, target = digits(count) if sizes[0] == 64 else images(count)
        else:
            loss = "mse"
            x = normal(1, count, sizes[0])
            target = np.tanh(x[:, ::-1][:, : sizes[-1]].copy())
        name = "-".join(map(str, sizes))
        for optimizer, lr in (("sgd", sgd_rate), ("adam", 1e-3)):
            title = f"{name} {hidden}, batch {batch}, {optimizer.upper() if optimizer == 'sgd' else 'Adam'}"
            net = dense_net(sizes, hidden)
            yield Work("dense", name, title, net, hidden, loss, optimizer, lr, cut(x, target, batch), DENSE_PEERS)


def limits(quick: bool) -> Iterator[Work]:
    """The dense rows against their two limits alone."""
    for work in dense(quick):
        yield work._replace(peers=("by hand", "bare products"))


def lenet(quick: bool) -> Iterator[Work]:
    """LeNet-5 as in the article on SimpleChains.jl."""
    net = pn.serial(
        pn.conv(6, 5), pn.relu, pn.max_pool(2), pn.conv(16, 5), pn.relu, pn.max_pool(2),
        pn.flatten, pn.dense(120), pn.relu, pn.dense(84), pn.relu, pn.dense(10),
    )  # fmt: skip
    for batch, steps in [(8, 3)] if quick else [(64, 8), (256, 4), (2048, 2)]:
        x, target = images(batch * steps)
        batches = cut(x.reshape(-1, 28, 28, 1), target, batch)
        title = f"LeNet-5, batch {batch}, Adam"
        row = Work("lenet", "lenet", title, net, "relu", "cross entropy", "adam", 1e-3, batches, DEEP_PEERS)
        yield row if batch <= 64 else row._replace(spread=in_threads(batch // 2))


def conv3x3(quick: bool) -> Iterator[Work]:
    """3×3 convolutions with many channels: the net of PyTorch's own MNIST example, without its dropout."""
    net = pn.serial(
        pn.conv(32, 3), pn.relu, pn.conv(64, 3), pn.relu, pn.max_pool(2), pn.flatten, pn.dense(128), pn.relu,
        pn.dense(10),
    )  # fmt: skip
    batch, steps = (8, 2) if quick else (64, 3)
    x, target = images(batch * steps)
    batches = cut(x.reshape(-1, 28, 28, 1), target, batch)
    title = f"3×3 convolutions, 32 and 64 channels, batch {batch}, Adam"
    peers = (*DEEP_PEERS, *BY_COMPILER)
    row = Work("conv3x3", "conv3x3", title, net, "relu", "cross entropy", "adam", 1e-3, batches, peers)
    yield row._replace(spread=in_threads(batch // 2))


def fullbatch(quick: bool) -> Iterator[Work]:
    """2×2 matrices and their exponentials, all in one batch: the tiny example of the same article."""
    count, steps = (500, 3) if quick else (10_000, 5)
    x = normal(2, count, 4)
    batches = [(x, exponential(x))] * steps
    peers = ("by hand", "bare products", *SMALL_PEERS, *BY_COMPILER)
    title = f"4-32-16-4 tanh, full batch of {count:,}, Adam"
    net = dense_net((4, 32, 16, 4), "tanh")
    yield Work("dense", "fullbatch", title, net, "tanh", "mse", "adam", 1e-3, batches, peers)


def lstm(quick: bool) -> Iterator[Work]:
    """Sequences of 100 steps with 16 features, in ten classes, which the last state tells."""
    batch, steps = (8, 2) if quick else (32, 3)
    net = pn.serial(pn.lstm(16, 64, last=True), pn.dense(10))
    x = normal(3, batch * steps, 100, 16)
    batches = cut(x, x[:, -10:].mean(axis=1)[:, :10].argmax(axis=1), batch)
    title = f"LSTM, 64 units over 100 steps, batch {batch}, Adam"
    yield Work("lstm", "lstm", title, net, "", "cross entropy", "adam", 1e-3, batches, DEEP_PEERS)


def transformer(quick: bool) -> Iterator[Work]:
    """Two pre-norm blocks of width 128 with 4 heads on sequences of 128, every place with a target."""
    batch, steps = (2, 2) if quick else (8, 3)
    net = pn.serial(pn.transformer_block(128, 4), pn.transformer_block(128, 4), pn.layer_norm(128))
    x = normal(4, batch * steps, 128, 128)
    batches = cut(x, np.tanh(x[:, ::-1]).copy(), batch)
    title = f"transformer, 2 blocks of width 128, length 128, batch {batch}, Adam"
    row = Work("transformer", "transformer", title, net, "", "mse", "adam", 1e-3, batches, (*DEEP_PEERS, *BY_COMPILER))
    yield row._replace(spread=in_threads(batch // 2))


def crossover(quick: bool) -> Iterator[Work]:
    """The same functions on NumPy and under JAX, from nets that NumPy runs faster to nets that XLA does."""
    ways = ("purenet under JAX, a call a step", "purenet under JAX, an epoch in scan")
    for width in (16, 1024) if quick else (4, 16, 64, 256, 1024):
        x = normal(5, 32 * (3 if quick else max(3, 800 // width)), width)
        net, target = dense_net((width, width, width), "tanh"), np.tanh(x[:, ::-1].copy())
        title = f"{width}-{width}-{width} tanh, batch 32, SGD"
        yield Work("dense", "crossover", title, net, "tanh", "mse", "sgd", 0.1 * width / 4, cut(x, target, 32), ways)
    if not quick:
        every = (work for make in (fullbatch, lenet, conv3x3, lstm, transformer) for work in make(False))
        yield from (work._replace(size="crossover", peers=ways) for work in every if len(work.batches[0][0]) != 2048)


def in_threads(size: int) -> Callable[[Any], Any]:
    """Chunks of so many examples, in as many threads as the process has cores; as they are, if it has one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return (lambda f: f) if cores == 1 else lambda f: pn.in_chunks(f, size, threads=cores)


def dense_net(sizes: tuple[int, ...], hidden: str) -> Any:
    between = getattr(pn, hidden)
    first, *rest = [pn.dense(a, b) for a, b in pairwise(sizes)]
    return pn.serial(first, *(layer for each in rest for layer in (between, each)))


# data, always the same


def normal(seed: int, *shape: int) -> Any:
    return pn.random.normal(pn.key(seed), shape)


def cut(x: Any, target: Any, batch: int) -> list[tuple[Any, Any]]:
    return [(x[i : i + batch].copy(), target[i : i + batch].copy()) for i in range(0, len(x), batch)]


def digits(count: int) -> tuple[Any, Any]:
    (x, target), _ = pn.data.digits()
    return x[:count], target[:count]


def images(count: int) -> tuple[Any, Any]:
    """Images of 28×28 in ten classes, in rows of 784: MNIST where it is on this machine, or blots in ten places."""
    try:
        (x, target), _ = pn.data.mnist(mirrors=())
        return x[:count], target[:count]
    except OSError:
        target = np.arange(count) * 7 % 10
        x = 0.2 * np.abs(normal(0, count, 28, 28))
        for image, digit in zip(x, target, strict=True):
            row, column = 3 + 12 * (digit // 5), 1 + 5 * (digit % 5)
            image[row : row + 8, column : column + 5] += 0.8
        return np.minimum(x, 1).reshape(count, 784), target


def exponential(matrices: Any) -> Any:
    """exp A of matrices in rows (a, b, c, d), by Cayley and Hamilton: A = s + B with tr B = 0, so that B² = q²."""
    a, b, c, d = matrices.astype(np.float64).T
    s = (a + d) / 2
    q = np.emath.sqrt(((a - d) / 2) ** 2 + b * c + 0j)
    even, odd = np.cosh(q).real, np.where(q == 0, 1, np.sinh(q) / np.where(q == 0, 1, q)).real
    rows = [even + odd * (a - s), odd * b, odd * c, even + odd * (d - s)]
    return (np.exp(s) * np.stack(rows)).T.astype(np.float32)
