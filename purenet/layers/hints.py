"""What to do about an x whose shape does not fit, for the usual mistakes: `hint(shape, sizes) -> words`, or ""."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from purenet.engine.arrays import Shape

Sizes = Mapping[str, Any]


def one_feature(shape: Shape, sizes: Sizes) -> str:
    return "write x[:, None]" if len(shape) == 1 and sizes.get("inputs") == 1 else ""


def flatten_first(shape: Shape, sizes: Sizes) -> str:
    return "put `flatten` before it" if len(shape) > 2 and math.prod(shape[1:]) == sizes.get("inputs") else ""


def examples_are_rows(shape: Shape, sizes: Sizes) -> str:
    return "examples are rows, so write x.T" if len(shape) == 2 and shape[0] == sizes.get("inputs") else ""


def equal_parts(count: int) -> Callable[[Sizes], str]:
    """What is wrong with an x (..., features) of which the last axis cannot be cut so."""

    def fits(sizes: Sizes) -> str:
        n = sizes.get("features") or 0
        return f"cuts the last axis into {count} equal parts, but its size is {n}" if n % count else ""

    return fits


def of_images(dims: int | None) -> Callable[[Shape, Sizes], str]:
    """For (batch, *space, channels) with so many spatial axes, or at least one."""

    def hint(shape: Shape, sizes: Sizes) -> str:
        channels, missing = sizes.get("channels"), (dims or 1) + 2 - len(shape)
        if missing == 0 and shape[1] == channels:
            return "channels are the last axis, so write np.moveaxis(x, 1, -1)"
        if missing != 1:
            return ""
        if shape[-1] == channels:
            return "write x[None] for one example"
        if channels == 1:
            return "write x[..., None] for one channel"
        if shape[0] == channels:
            return "examples are the first axis and channels the last, so write np.moveaxis(x, 0, -1)[None]"
        return "write x[..., None] for one channel, x[None] for one example"

    return hint
