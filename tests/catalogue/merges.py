"""Layers that make one array of several, or several of one."""

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
    "split_last": [
        Case(pn.split_last, normal(2, 4)),
        Case(pn.split_last(3), normal(2, 1, 6)),
        Case(pn.split_last((1, 3, 2)), normal(4, 6)),
        Case(pn.split_last(1), normal(1, 3)),
        Case(pn.serial(pn.dense(4), pn.split_last, pn.add), normal(3, 2)),
    ],
}
