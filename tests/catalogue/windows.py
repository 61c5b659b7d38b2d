"""Layers over (batch, *space, channels): convolution, pooling, resizing."""

from __future__ import annotations

from typing import Any

import numpy as np

import purenet as pn
from tests.cases import Case, normal


def distinct(*shape: int) -> Any:
    """All numbers far from one another: no maximum is near a tie."""
    size = int(np.prod(shape))
    return 0.1 * (np.argsort(normal(size)).reshape(shape) - size / 2)


SOME = np.array([[0, 1, 0, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], bool)  # of 4 examples


ROWS: dict[str, list[Case]] = {
    "conv": [
        Case(pn.conv(3, 2, 2), normal(2, 3, 4, 3)),
        Case(pn.conv(1, 1, 1), normal(1, 1, 1, 1)),
        Case(pn.conv(2, 3, 1, stride=2), normal(2, 3, 4, 2)),
        Case(pn.conv(3, (3, 2)), normal(1, 5, 3, 2)),
        Case(pn.conv(3, 3, padding="same", bias=False), normal(2, 1, 5, 2)),
        Case(pn.conv(1, 2, 5, padding=2), normal(2, 6, 6, 1)),
        Case(pn.conv(2, 3, 2, stride=(3, 4)), normal(2, 7, 6, 2)),  # a stride beyond the window
        Case(pn.conv(2, 3, 3, stride=2, padding="same", dilation=(1, 2)), normal(2, 7, 6, 2)),
        Case(pn.conv(4, 6, (3,), groups=2), normal(2, 7, 4)),
        Case(pn.conv(3, 6, (3, 2), groups=3, padding=((0, 2), (1, 0))), normal(2, 4, 4, 3)),  # depthwise
        Case(pn.conv(2, 3, (2, 1, 3), stride=(1, 2, 1)), normal(2, 3, 3, 4, 2)),
        Case(pn.conv(1, 2, (1, 2, 2), padding=1), normal(1, 1, 2, 2, 1)),
        Case(pn.serial(pn.conv(2, 3), pn.relu, pn.max_pool(2), pn.flatten, pn.dense(2)), normal(2, 7, 6, 1)),
    ],
    "conv_transpose": [
        Case(pn.conv_transpose(3, 2, 2, stride=2), normal(2, 2, 3, 3)),
        Case(pn.conv_transpose(1, 1, 1), normal(1, 1, 1, 1)),
        Case(pn.conv_transpose(2, (3, 2), stride=(2, 3), padding=1), normal(2, 3, 2, 2)),
        Case(pn.conv_transpose(2, 3, 3, stride=2, padding=1, output_padding=1), normal(2, 3, 2, 2)),
        Case(pn.conv_transpose(2, 3, 3, stride=2, padding="same", bias=False), normal(2, 3, 1, 2)),
        Case(pn.conv_transpose(2, 3, (2,), stride=4, padding="same"), normal(2, 3, 2)),
        Case(pn.conv_transpose(2, 3, (3,), dilation=2, stride=3), normal(1, 3, 2)),
        Case(pn.conv_transpose(2, 3, (2,), dilation=3, output_padding=2), normal(1, 3, 2)),
        Case(pn.conv_transpose(4, 6, (3, 2), groups=2, padding=((0, 2), (1, 0))), normal(2, 3, 2, 4)),
        Case(pn.conv_transpose(3, 3, 2, groups=3, stride=2), normal(2, 2, 3, 3)),
        Case(pn.conv_transpose(2, 1, (2, 1, 3), stride=(1, 2, 1)), normal(2, 2, 2, 1, 2)),
    ],
    "max_pool": [
        Case(pn.max_pool(2), distinct(2, 4, 5, 3)),
        Case(pn.max_pool(1), distinct(2, 3, 2, 1)),
        Case(pn.max_pool(3, stride=2), distinct(1, 7, 6, 2)),
        Case(pn.max_pool(3, stride=1, padding="same"), distinct(1, 4, 1, 2)),
        Case(pn.max_pool((2, 1), stride=(3, 2), padding=((1, 0), 0)), distinct(2, 6, 3, 2)),
        Case(pn.max_pool((3,), stride=2, padding=1), distinct(2, 6, 2)),
        Case(pn.max_pool((2, 3, 2)), distinct(1, 3, 3, 4, 2)),
        Case(pn.max_pool(2, dilation=2), distinct(2, 5, 7, 2)),
        Case(pn.max_pool((3, 2), stride=(1, 3), padding=(2, 1), dilation=(2, 1)), distinct(1, 4, 5, 3)),
        Case(pn.max_pool(3, stride=2, ceil_mode=True), distinct(2, 4, 7, 2)),
        Case(pn.max_pool((2,), stride=3, padding=1, dilation=2, ceil_mode=True), distinct(2, 6, 2)),
        Case(pn.max_pool((2, 1, 3), stride=2, dilation=(1, 1, 2), ceil_mode=True), distinct(1, 3, 2, 6, 1)),
    ],
    "avg_pool": [
        Case(pn.avg_pool(2), normal(2, 4, 5, 3)),
        Case(pn.avg_pool(1), normal(1, 1, 1, 1)),
        Case(pn.avg_pool(3, stride=2), normal(1, 7, 6, 2)),
        Case(pn.avg_pool(3, stride=2, padding="same"), normal(1, 4, 1, 2)),
        Case(pn.avg_pool((2, 1), stride=(3, 2), padding=((1, 0), 0)), normal(2, 6, 3, 2)),
        Case(pn.avg_pool((3,), padding=1), normal(2, 7, 2)),
        Case(pn.avg_pool((2, 3, 2), stride=1), normal(1, 3, 3, 4, 2)),
        Case(pn.avg_pool(3, stride=2, ceil_mode=True), normal(2, 4, 7, 2)),
        Case(pn.avg_pool(3, stride=2, padding=1, ceil_mode=True), normal(2, 4, 6, 2)),
        Case(pn.avg_pool((3, 2), stride=(2, 3), padding=1, count_include_pad=False), normal(2, 5, 6, 2)),
        Case(pn.avg_pool((3,), padding=((1, 2),), ceil_mode=True, count_include_pad=False), normal(2, 6, 2)),
        Case(pn.avg_pool((2, 3), stride=2, padding="same", count_include_pad=True), normal(1, 3, 4, 2)),
    ],
    "global_avg_pool": [
        Case(pn.global_avg_pool, normal(2, 3, 4, 2)),
        *(Case(pn.global_avg_pool, normal(*shape)) for shape in [(1, 1, 1), (2, 5, 3), (2, 1, 3, 2, 2)]),
        Case(pn.global_avg_pool, (normal(4, 5, 3), np.array([1, 5, 3, 0]))),
        Case(pn.global_avg_pool, (normal(4, 5, 3), SOME)),
    ],
    "global_max_pool": [
        Case(pn.global_max_pool, distinct(2, 3, 4, 2)),
        *(Case(pn.global_max_pool, distinct(*shape)) for shape in [(1, 1, 1), (2, 5, 3), (2, 1, 3, 2, 2)]),
        Case(pn.global_max_pool, (distinct(4, 5, 3), np.array([1, 5, 3, 0]))),
        Case(pn.global_max_pool, (distinct(4, 5, 3), SOME)),
    ],
    "adaptive_avg_pool": [
        Case(pn.adaptive_avg_pool(2), normal(2, 3, 5, 2)),
        Case(pn.adaptive_avg_pool(2), normal(1, 4, 2, 3)),  # windows side by side
        *(Case(pn.adaptive_avg_pool(1), normal(*shape)) for shape in [(1, 1, 1), (2, 5, 3), (2, 1, 3, 2, 2)]),
        Case(pn.adaptive_avg_pool((3, 4)), normal(2, 7, 2, 2)),  # more windows than cells
        Case(pn.adaptive_avg_pool((2, 1, 3)), normal(1, 3, 2, 3, 2)),
        *(Case(pn.adaptive_avg_pool(size), normal(2, 3, 5, 2)) for size in [(None, 3), (1, None), [None, None]]),
    ],
    "adaptive_max_pool": [
        Case(pn.adaptive_max_pool(2), distinct(2, 3, 5, 2)),
        Case(pn.adaptive_max_pool(2), distinct(1, 4, 2, 3)),
        *(Case(pn.adaptive_max_pool(1), distinct(*shape)) for shape in [(1, 1, 1), (2, 5, 3), (2, 1, 3, 2, 2)]),
        Case(pn.adaptive_max_pool((3, 4)), distinct(2, 7, 2, 2)),
        Case(pn.adaptive_max_pool((2, 1, 3)), distinct(1, 3, 2, 3, 2)),
        *(Case(pn.adaptive_max_pool(size), distinct(2, 3, 5, 2)) for size in [(None, 3), (1, None)]),
    ],
    "last_step": [
        *(Case(pn.last_step, normal(*shape)) for shape in [(3, 5, 2), (1, 1, 1)]),
        Case(pn.last_step, (normal(4, 5, 3), np.array([1, 5, 3, 0]))),
    ],
    "upsample": [
        Case(pn.upsample(2), normal(2, 2, 3, 2)),
        Case(pn.upsample(3, "bilinear"), normal(2, 2, 3, 2)),
        Case(pn.upsample(2), normal(1, 1, 1)),
        Case(pn.upsample((1, 3)), normal(2, 2, 2, 2)),
        Case(pn.upsample((1, 4), "bilinear"), normal(1, 2, 1, 2)),
        Case(pn.upsample(2, "bilinear"), normal(2, 3, 1, 2, 1)),
        Case(pn.upsample((2,), "bilinear"), normal(2, 5, 3)),
        Case(pn.upsample(size=(5, 4)), normal(2, 2, 3, 2)),
        Case(pn.upsample(size=(5, 2, 1)), normal(1, 2, 5, 1, 2)),
        Case(pn.upsample(size=(5, 7), method="bilinear"), normal(2, 2, 3, 2)),
        Case(pn.upsample(size=(4,), method="bilinear"), normal(2, 7, 1)),
    ],
    "pixel_shuffle": [
        Case(pn.pixel_shuffle(2), normal(2, 1, 3, 8)),
        Case(pn.pixel_shuffle((3,)), normal(2, 2, 6)),
        Case(pn.pixel_shuffle((1, 3)), normal(1, 2, 1, 3)),
        Case(pn.pixel_shuffle((2, 1, 3)), normal(2, 1, 2, 1, 6)),
    ],
    "pad": [
        Case(pn.pad(1), normal(2, 2, 3, 2)),
        Case(pn.pad(0), normal(2, 2, 3)),
        Case(pn.pad(((0, 2),)), normal(1, 1, 1)),
        Case(pn.pad((1, (0, 2), 0)), normal(1, 2, 1, 3, 2)),
        Case(pn.pad((1, (0, 2)), value=-1.5), normal(2, 2, 3, 2)),
        Case(pn.pad(((2, 1), 1), "reflect"), normal(2, 3, 2, 2)),
        Case(pn.pad((0, 2, 0), "reflect"), normal(1, 1, 4, 1, 2)),
        Case(pn.pad(((3, 0), (1, 2)), "replicate"), normal(2, 2, 1, 3)),
        Case(pn.pad((3,), "circular"), normal(2, 3, 2)),
        Case(pn.pad((1, (2, 0)), "circular"), normal(2, 1, 3, 1)),
    ],
}
