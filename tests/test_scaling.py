"""The model of `python -m benchmarks scaling`, held against numbers by hand, its limits, and a ring of real arrays."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.scaling import DEVICES, Link, Net, all_reduce, line, predict, step

NET = Net("net", fixed=0.002, each=0.0001, gradients=8_000_000, batch=80, whole=2560)
LINK = Link(bandwidth=1e9, latency=1e-5, overlap=0.0)
PERFECT = Link(bandwidth=math.inf, latency=0.0, overlap=0.0)


def test_by_hand():
    assert all_reduce(1, 8e6, LINK) == 0
    assert all_reduce(4, 8e6, LINK) == pytest.approx(6 * (2e6 / 1e9 + 1e-5))  # 12.06 ms
    assert step(NET, 1, 80, LINK) == pytest.approx(0.01)
    assert step(NET, 4, 80, LINK) == pytest.approx(0.01 + 0.01206)
    assert step(NET, 4, 80, LINK._replace(overlap=0.5)) == pytest.approx(0.01 + 0.01206 - 0.005)
    assert step(NET, 2, 80, LINK._replace(overlap=0.9)) == pytest.approx(0.01)  # 8.02 ms behind 9 ms
    weak, strong = (predict(NET, 4, LINK, strong) for strong in (False, True))
    assert weak == pytest.approx((4, 320 / 0.02206, 0.01 / 0.02206))
    # 640 examples on each: 0.066 s + 12.06 ms; one device takes 0.258 s for all 2560
    assert strong == pytest.approx((4, 2560 / 0.07806, 0.258 / (4 * 0.07806)))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_a_ring_does_take_so_many_rounds_of_so_many_bytes(n):
    """The algorithm itself: first each sum goes round and grows, then each goes round as it is."""
    arrays = [np.random.default_rng(i).normal(size=(n, 6)) for i in range(n)]
    total, sent, rounds = sum(arrays), [0] * n, 0
    for k in range(2 * (n - 1)):
        messages = [((i - k) % n, arrays[i][(i - k) % n].copy()) for i in range(n)]
        for i, (part, message) in enumerate(messages):
            sent[i] += message.nbytes
            neighbour = arrays[(i + 1) % n]
            neighbour[part] = message + neighbour[part] if k < n - 1 else message
        rounds += 1
    assert all(np.allclose(array, total) for array in arrays)
    for bytes_sent in sent:
        link = Link(bandwidth=2.0, latency=3.0, overlap=0.0)
        assert all_reduce(n, total.nbytes, link) == pytest.approx(bytes_sent / 2.0 + 3.0 * rounds)


@pytest.mark.parametrize("strong", [False, True])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
def test_limits(strong, overlap):
    link = LINK._replace(overlap=overlap)
    points = [p for n in DEVICES if (p := predict(NET, n, link, strong))]
    assert points[0].efficiency == 1
    assert all(a.efficiency >= b.efficiency for a, b in pairwise(points))
    faster = [p for n in DEVICES if (p := predict(NET, n, link._replace(bandwidth=2e9), strong))]
    assert all(a.efficiency <= b.efficiency for a, b in zip(points, faster, strict=True))
    assert points[-1].efficiency < 0.3
    net = NET._replace(fixed=0.0)
    assert all(predict(net, p.devices, PERFECT, strong).efficiency == pytest.approx(1) for p in points)


def test_what_a_perfect_link_leaves():
    assert all(predict(NET, n, PERFECT, strong=False).efficiency == 1 for n in DEVICES)
    for n in DEVICES:  # in strong scaling, what a step takes whatever its batch stays: Amdahl's law
        assert predict(NET, n, PERFECT, strong=True).efficiency == pytest.approx(0.258 / (0.002 * n + 0.256))
    few = NET._replace(whole=256)
    assert predict(few, 256, LINK, strong=True) is not None
    assert predict(few, 512, LINK, strong=True) is None


def test_the_line_through_measured_times():
    assert line([20, 80, 320], [0.004, 0.01, 0.034]) == pytest.approx((0.002, 0.0001))
    assert line([20, 80], [0.001, 0.005]) == pytest.approx((0, (0.00005 + 0.0000625) / 2))  # would be below 0 at 0
    assert line([20, 80], [0.005, 0.004]) == pytest.approx((0.0045, 0))
