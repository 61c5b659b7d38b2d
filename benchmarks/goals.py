"""The goals: how many times as long as ours a peer's time should be, at least. Above 1, we are faster.

Each line holds for every row of these sizes, whatever the batch, the optimizer and the number of threads. Beside it
stands what bounds the ratio, whoever writes the library.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from benchmarks.contest import OURS, ratios, spread

TINY, DIGITS, MEDIUM, WIDE, LARGEST = "2-3-2", "64-128-10", "784-128-10", "784-512-512-10", "1024-2048-2048-1024"
DENSE = (TINY, DIGITS, MEDIUM, WIDE, LARGEST)
NETS = ("xor", *DENSE[:-1], "lenet", "conv3x3", "fullbatch", "lstm", "transformer")
TORCH, JAX, SCAN, PRODUCTS = "PyTorch", "JAX, a call a step", "JAX, an epoch in scan", "bare products"
COMPILED = "PyTorch, compiled"
ANY = "the best engine"
UNDER_JAX, IN_SCAN = "purenet under JAX, a call a step", "purenet under JAX, an epoch in scan"
PEERS = {TORCH: (TORCH, COMPILED)}  # of these ways of a peer the quickest counts


class Goal(NamedTuple):
    """The ratio to reach: in rows of these sizes, of what is ours against this peer.

    Fields:
        ours: a contender, or `ANY`: the quickest of those that are purenet.
        limit: what bounds the ratio.
    """

    work: str
    sizes: tuple[str, ...]
    ours: str
    peer: str
    ratio: float
    limit: str


SAME_KERNELS = "on tensors both call the same kernels"
SAME_PRODUCTS = "the same products, by the same BLAS"
SAME_COMPILER = "the same compiler and the same arithmetic"
SAME_CALLS = "the same calls of NumPy, less the new arrays of a pure step"

GOALS = (
    Goal("every net", NETS, ANY, TORCH, 1.0, SAME_KERNELS),
    Goal("the largest dense net", (LARGEST,), ANY, TORCH, 0.95, SAME_PRODUCTS),
    Goal("single layers", ("layers",), ANY, TORCH, 0.95, SAME_KERNELS),
    Goal("single layers, on NumPy", ("layers",), OURS, TORCH, 0.5, "NumPy's passes over memory, on one thread"),
    Goal("under JAX", ("native", "native conv"), UNDER_JAX, JAX, 0.95, SAME_COMPILER),
    Goal("under JAX, in scan", ("native", "native conv"), IN_SCAN, SCAN, 0.95, SAME_COMPILER),
    Goal("under JAX, to compile", ("compile",), UNDER_JAX, JAX, 1 / 1.2, SAME_COMPILER),
    Goal("the video's XOR, on NumPy", ("xor",), OURS, "class style", 1.0, SAME_CALLS),
    Goal("dense, tiny, on NumPy", (TINY, DIGITS), OURS, "by hand", 0.85, SAME_CALLS),
    Goal("dense, 784 wide and up, on NumPy", DENSE[2:], OURS, "by hand", 0.95, SAME_CALLS),
    Goal("one prediction, on NumPy", ("predict 64-128-10",), OURS, TORCH, 4.0, "two products and three calls of NumPy"),
    Goal("process start to trained XOR", ("trained XOR",), OURS, "import torch", 1.0, "the import of NumPy"),
    Goal("peak memory of a step", ("memory lenet",), OURS, TORCH, 1.0, "the arrays that the rules keep"),
    Goal("peak memory of a step", (f"memory {WIDE}",), OURS, TORCH, 0.8, "a pure step holds old and new params"),
)


class Judged(NamedTuple):
    """What became of a goal in one row.

    Fields:
        by: the contender of ours that was the quickest.
        limit: the ratio that purenet would have if its matrix products alone took time; infinite if they were not
            measured by themselves.
    """

    goal: Goal
    row: str
    threads: int
    by: str
    ratio: float
    limit: float = math.inf

    @property
    def met(self) -> bool:
        return self.ratio >= self.goal.ratio

    @property
    def mark(self) -> str:
        """Whether it is met, missed, or out of reach of all that computes these products."""
        return "✓" if self.met else "✗" if self.limit >= self.goal.ratio else "⊘"


def judge(rows: list[Mapping[str, Any]]) -> Iterator[Judged]:
    """Each goal that these rows were measured for."""
    for row in rows:
        found = row["contenders"]
        for goal in GOALS:
            ours = [name for name in found if name.startswith(OURS)] if goal.ours == ANY else [goal.ours]
            peers = PEERS.get(goal.peer, (goal.peer,))
            if row["size"] in goal.sizes and (by := quickest(found, ours)) and (peer := quickest(found, peers)):
                ratio = over(found, by, peer)
                limit = over(found, PRODUCTS, peer) if PRODUCTS in found and by == OURS else math.inf
                yield Judged(goal, row["row"], row["threads"], by, ratio, limit)


def quickest(contenders: Mapping[str, Any], names: Any) -> str | None:
    """The quickest of these that took part."""
    present = [name for name in names if name in contenders]
    return min(present, key=lambda name: contenders[name]["value"]["median"], default=None)


def over(contenders: Mapping[str, Any], ours: str, peer: str) -> float:
    """A peer's time over ours: the median of the rounds' ratios."""
    return spread(ratios(contenders[ours]["rounds"], contenders[peer]["rounds"])).median
