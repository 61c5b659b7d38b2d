"""Layers that make one array of several."""

from __future__ import annotations

import purenet as pn
from tests.cases import Case, normal

TWO = (normal(2, 3), normal(2, 3, seed=1))
THREE = (normal(4, 3), normal(4, 3, seed=1), normal(4, 3, seed=2))

ROWS: dict[str, list[Case]] = {
    "add": [Case(pn.add, x) for x in (TWO, (normal(1),), THREE)],
    "mul": [Case(pn.mul, x) for x in (TWO, (normal(1),), THREE)],
    "concat": [
        *(Case(pn.concat, x) for x in ((normal(2, 3), normal(2, 1)), (normal(1, 2),), THREE)),
        Case(pn.concat(1), (normal(2, 3, 4), normal(2, 1, 4))),
        Case(pn.concat(-2), (normal(2, 3, 4), normal(2, 1, 4))),
    ],
}
