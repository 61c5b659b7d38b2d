"""Gated units."""

from __future__ import annotations

from typing import Any

import purenet as pn
from tests.cases import Case, normal


def of_halves(layer: pn.Layer[Any]) -> list[Case]:
    return [Case(layer, normal(*shape)) for shape in [(3, 4), (1, 2), (2, 3, 6), (2, 1, 3, 2), (9, 22)]]


ROWS: dict[str, list[Case]] = {"glu": of_halves(pn.glu), "swiglu": of_halves(pn.swiglu)}
