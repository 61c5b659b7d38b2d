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


def channels_are_last(shape: Shape, sizes: Sizes) -> str:
    first = len(shape) > 2 and shape[1] == sizes.get("channels")
    return "channels are the last axis, so write np.moveaxis(x, 1, -1)" if first else ""


def axis_missing(dims: int | None) -> Callable[[Shape, Sizes], str]:
    """Of images of so many spatial axes, or at least one: the channels, or the batch."""

    def hint(shape: Shape, sizes: Sizes) -> str:
        if len(shape) != (dims or 1) + 1:
            return ""
        channels = sizes.get("channels")
        one_channel = "x[..., None] for one channel" if channels in (None, 1) else ""
        one_example = "x[None] for one example" if channels in (None, shape[-1]) else ""
        words = ", ".join(filter(None, (one_channel, one_example)))
        return f"write {words}" if words else ""

    return hint
