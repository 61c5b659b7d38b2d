"""What to do about an x whose shape does not fit, for the usual mistakes: `hint(shape, sizes) -> words`, or ""."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from purenet.engine.arrays import Shape

Sizes = Mapping[str, Any]


def one_feature(shape: Shape, sizes: Sizes) -> str:
    return "write x[:, None]" if len(shape) == 1 and sizes.get("inputs") == 1 else ""


def flatten_first(shape: Shape, sizes: Sizes) -> str:
    return "put `flatten` before it" if len(shape) > 2 and math.prod(shape[1:]) == sizes.get("inputs") else ""


def examples_are_rows(shape: Shape, sizes: Sizes) -> str:
    return "examples are rows, so write x.T" if len(shape) == 2 and shape[0] == sizes.get("inputs") else ""
