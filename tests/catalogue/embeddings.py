"""Embeddings of ids, and of positions."""

from __future__ import annotations

import numpy as np

import purenet as pn
from tests.cases import IDS, Case, both, normal

ROWS: dict[str, list[Case]] = {
    "embedding": [
        *both(pn.embedding(7, 3), IDS, IDS[:, 0], IDS.astype(np.uint8), IDS[:0]),
        Case(pn.embedding(1, 1), np.zeros((1, 1), np.int32)),
        Case(pn.embedding(40, 4), np.arange(24).reshape(2, 3, 4)),
    ],
    "positional_encoding": [
        *both(pn.positional_encoding, normal(2, 5, 4), normal(1, 1, 3), normal(2, 3, 1)),
        Case(pn.positional_encoding(100.0), normal(2, 5, 4)),
    ],
    "learned_positions": [
        *both(pn.learned_positions(5), normal(2, 5, 4), normal(1, 1, 3), normal(3, 4, 1)),
        Case(pn.learned_positions(5, 2), normal(2, 3, 2)),
    ],
}
