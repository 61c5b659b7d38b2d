"""The goals: how many times as long as ours a peer's time should be, at least. Above 1, we are faster.

Each line holds for every row of these sizes, whatever the batch, the optimizer and the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

TINY, DIGITS, MEDIUM, WIDE, LARGEST = "2-3-2", "64-128-10", "784-128-10", "784-512-512-10", "1024-2048-2048-1024"
DENSE = (TINY, DIGITS, MEDIUM, WIDE, LARGEST)
TORCH, JAX, SCAN, PRODUCTS = "PyTorch", "JAX, a call a step", "JAX, an epoch in scan", "bare products"


class Goal(NamedTuple):
    """The ratio to reach: in rows of these sizes, against this contender."""

    work: str
    sizes: tuple[str, ...]
    peer: str
    ratio: float


GOALS = (
    Goal("the video's XOR, one sample a step", ("xor",), "class style", 1.5),
    Goal("dense, tiny", (TINY, DIGITS), "by hand", 0.85),
    Goal("dense, 784 wide and up", (MEDIUM, WIDE, LARGEST), "by hand", 0.95),
    Goal("dense, tiny", (TINY,), TORCH, 5.0),
    Goal("dense, small", (DIGITS, MEDIUM), TORCH, 3.0),
    Goal("784-512-512-10", (WIDE,), TORCH, 1.1),
    Goal("dense, the largest", (LARGEST,), TORCH, 1.0),
    Goal("dense, tiny", (TINY,), JAX, 0.8),
    Goal("every other dense row", DENSE[1:], JAX, 1.0),
    Goal("dense", DENSE, "scikit-learn", 2.5),
    Goal("dense", DENSE, "autograd", 5.0),
    Goal("784-512-512-10", (WIDE,), PRODUCTS, 0.85),
    Goal("LeNet-5, at each batch", ("lenet",), TORCH, 1.0),
    Goal("3×3 convolutions", ("conv3x3",), TORCH, 0.8),
    Goal("full batch of 10,000", ("fullbatch",), TORCH, 1.5),
    Goal("LSTM, transformer", ("lstm", "transformer"), TORCH, 1.0),
    Goal("one prediction of 64-128-10", ("predict 64-128-10",), TORCH, 4.0),
    Goal("one prediction of 64-128-10", ("predict 64-128-10",), "scikit-learn", 20.0),
    Goal("process start to trained XOR", ("trained XOR",), "import torch", 1.0),
    Goal("under JAX: dense, LSTM, attention", ("native",), JAX, 0.95),
    Goal("under JAX: dense, LSTM, attention", ("native",), SCAN, 0.95),
    Goal("under JAX: convolution", ("native conv",), JAX, 0.9),
    Goal("under JAX: convolution", ("native conv",), SCAN, 0.9),
    Goal("under JAX: to compile", ("compile",), JAX, 1 / 1.2),
    Goal("peak memory of a step", ("memory lenet", "memory 784-512-512-10"), TORCH, 1.0),
)


def goal_of(size: str, peer: str) -> float | None:
    """The ratio to reach in a row of this size against this peer, if there is a goal."""
    found = [goal.ratio for goal in GOALS if size in goal.sizes and goal.peer == peer]
    return max(found) if found else None


class Judged(NamedTuple):
    """What became of a goal in one row.

    Fields:
        limit: the ratio that purenet would have if its matrix products alone took time; infinite if they were not
            measured by themselves.
    """

    row: str
    threads: int
    peer: str
    goal: float
    ratio: float
    limit: float = math.inf

    @property
    def met(self) -> bool:
        return self.ratio >= self.goal

    @property
    def mark(self) -> str:
        """Whether it is met, missed, or out of reach of all that computes these products."""
        return "✓" if self.met else "✗" if self.limit >= self.goal else "⊘"


def judge(rows: list[Mapping[str, Any]]) -> Iterator[Judged]:
    """Each goal that these rows were measured for."""
    for row in rows:
        ratios = {peer: figures["ratio"]["median"] for peer, figures in row["contenders"].items()}
        for peer, ratio in ratios.items():
            goal = goal_of(row["size"], peer)
            if goal is not None:
                limit = ratio / ratios[PRODUCTS] if PRODUCTS in ratios else math.inf
                yield Judged(row["row"], row["threads"], peer, goal, ratio, limit)
