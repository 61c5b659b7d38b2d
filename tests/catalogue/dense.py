"""Dense layers, and layers that only change a shape."""

from __future__ import annotations

import purenet as pn
from tests.cases import Case, normal

ROWS: dict[str, list[Case]] = {
    "dense": [
        Case(pn.dense(5, 3), normal(4, 5)),
        Case(pn.dense(1, 1), normal(1, 1)),
        Case(pn.dense(3), normal(7, 2)),
        Case(pn.dense(4, 2, bias=False), normal(3, 4)),
        Case(pn.dense(4, 2), normal(2, 3, 4)),
        Case(pn.dense(2), normal(2, 1, 3, 4)),
        Case(pn.dense(13, 11), normal(9, 13)),
    ],
    "binary_dense": [
        Case(pn.binary_dense(5, 3), normal(4, 5), differences=False),
        Case(pn.binary_dense(3, bias=False), normal(7, 2), differences=False),
        Case(pn.binary_dense(4, 2, binary_input=False), normal(2, 3, 4), differences=False),
        Case(pn.binary_dense(1, 1), normal(1, 1), differences=False),
    ],
    "flatten": [Case(pn.flatten, normal(*shape)) for shape in ((2, 3, 4), (1, 1), (3,), (2, 1, 3, 1))],
    "reshape": [
        Case(pn.reshape(2, 6), normal(3, 12)),
        Case(pn.reshape(-1, 2), normal(3, 4, 3)),
        Case(pn.reshape(4), normal(1, 2, 2)),
    ],
    "permute": [
        Case(pn.permute(2, 1), normal(2, 3, 4)),
        Case(pn.permute(3, 1, 2), normal(2, 1, 3, 4)),
        Case(pn.permute(1), normal(3, 2)),
    ],
}
