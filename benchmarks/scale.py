"""How the time of an epoch grows with the rows of data, the batch, the width and the depth, over four decades.

Each is fitted by time = c · sizeᵏ. Nothing should grow faster than the arithmetic, whose multiplications have an
exponent of their own (1 for rows, width and depth; 0 for the batch, since an epoch is the same rows in other parts).
Fixed costs flatten the small sizes and would hide what grows too fast beyond them, so k is judged twice: over all
decades, and over the upper half of them. The clock is that of the processor, with one thread, so that whatever else
the machine does takes no part in it. It passes if neither is above the exponent of the arithmetic by more than 0.1.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.child import bind, environment, machine
from benchmarks.contest import Pace, compete, spread
from benchmarks.report import heading, quantity

TOLERANCE = 0.1


class Series(NamedTuple):
    """What is varied: the sizes, the multiplications of an epoch, and an epoch to run."""

    name: str
    sizes: list[int]
    arithmetic: Callable[[int], float]
    epoch: Callable[[int], Callable[[], None]]


def sizes(first: int, decades: int) -> list[int]:
    """Two a decade.

    >>> sizes(10, 2)
    [10, 32, 100, 316, 1000]
    """
    return [round(first * 10 ** (i / 2)) for i in range(2 * decades + 1)]


def series(decades: int) -> list[Series]:
    return [
        Series(
            "rows of data (16-32-4, batch 100)",
            sizes(100, decades),
            lambda n: n * multiplications(16, 32, 4),
            lambda n: training((16, 32, 4), n, 100),
        ),
        Series(
            f"batch (16-32-4, {10**decades:,} rows)",
            sizes(1, decades),
            lambda batch: 10**decades * multiplications(16, 32, 4),
            lambda batch: training((16, 32, 4), 10**decades, batch),
        ),
        Series(
            "width n (64-n-10, batch 32)",
            sizes(4, decades),
            lambda n: 32 * multiplications(64, n, 10),
            lambda n: training((64, n, 10), 32, 32),
        ),
        Series(
            "depth n (n layers 16-16, batch 32)",
            sizes(1, decades),
            lambda n: 32 * multiplications(*(16,) * (n + 1)),
            lambda n: training((16,) * (n + 1), 32, 32),
        ),
    ]


def multiplications(*widths: int) -> float:
    """Of one row through a dense net, forward and back, without dE/dX of the first layer."""
    each = [a * b for a, b in pairwise(widths)]
    return 3 * sum(each) - each[0]


def training(widths: tuple[int, ...], rows: int, batch: int) -> Callable[[], None]:
    """An epoch of SGD, with a tanh after each layer."""
    import purenet as pn

    layers = [pn.dense(a, b) for a, b in pairwise(widths)]
    net = pn.serial(*(part for layer in layers for part in (layer, pn.tanh)))
    params = net.init(pn.key(0))
    x, target = (pn.random.uniform(pn.key(i), (rows, widths[j])) for i, j in ((1, 0), (2, -1)))
    value_and_grad = pn.value_and_grad(net, pn.mse)

    def epoch() -> None:
        nonlocal params
        for i in range(0, rows, batch):
            _, grads = value_and_grad(params, x[i : i + batch], target[i : i + batch])
            params = pn.sgd_step(params, grads, 0.01)

    return epoch


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """k of values = c · sizesᵏ, by least squares on logarithms.

    >>> exponent([1, 10, 100], [3, 300, 30000])
    2.0
    """
    a, b = [math.log(size) for size in sizes], [math.log(value) for value in values]
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    over = sum((p - mean_a) * (q - mean_b) for p, q in zip(a, b, strict=True))
    return round(over / sum((p - mean_a) ** 2 for p in a), 6)


def judge(sizes: Sequence[float], times: Sequence[float], arithmetic: Sequence[float]) -> dict[str, Any]:
    """The exponents over all sizes and over the upper half, those of the arithmetic, and whether it keeps pace."""
    half = len(sizes) // 2
    whole, upper = exponent(sizes, times), exponent(sizes[half:], times[half:])
    whole_work, upper_work = exponent(sizes, arithmetic), exponent(sizes[half:], arithmetic[half:])
    passed = whole <= whole_work + TOLERANCE and upper <= upper_work + TOLERANCE
    return {"exponent": whole, "upper": upper, "arithmetic": upper_work, "passed": passed}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each size (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--quick", action="store_true", help="two decades, one short round: only to see that it runs")
    options = parser.parse_args(arguments)
    os.environ.update(environment(1))  # before NumPy is imported
    bind(1)

    where, found = machine(), []
    print(heading(where).rpartition("\n")[0])
    pace = Pace(1, 0.0, 0.0) if options.quick else Pace(options.rounds, 0.02, 0.0)
    for each in series(2 if options.quick else 4):
        times = compete({str(size): each.epoch(size) for size in each.sizes}, pace, time.process_time)
        medians = [spread(times[str(size)]).median for size in each.sizes]
        verdict = judge(each.sizes, medians, [each.arithmetic(size) for size in each.sizes])
        found.append({"series": each.name, "sizes": each.sizes, "seconds": medians, **verdict})
        print(f"\n{each.name}")
        for size, seconds in zip(each.sizes, medians, strict=True):
            print(f"  {size:>9,}  {quantity(seconds, 's'):>10} an epoch")
        if options.quick:
            continue  # one short round says nothing
        print(
            f"  exponent {verdict['exponent']:.2f}, {verdict['upper']:.2f} in the upper half; of the arithmetic "
            f"{verdict['arithmetic']:.2f}: {'✓ grows no faster' if verdict['passed'] else '✗ grows faster'}",
            flush=True,
        )
    if options.json:
        whole = {"machine": where, "series": found}
        options.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")
