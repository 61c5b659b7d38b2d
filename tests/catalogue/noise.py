"""Layers that draw numbers in training."""

from __future__ import annotations

import purenet as pn
from tests.cases import Case, both, normal

ROWS: dict[str, list[Case]] = {
    "dropout": [
        *both(pn.dropout, normal(4, 3), normal(2, 1, 3), normal(5), normal(1, 1)),
        *both(pn.dropout(0.1, channelwise=True), normal(3, 2, 5, 4), normal(4, 3), normal(3, 1, 5)),
        *both(pn.dropout(0.0), normal(3, 2)),
        *both(pn.dropout(1.0), normal(3, 2)),
    ],
    "gaussian_noise": [
        *both(pn.gaussian_noise(0.5), normal(4, 3), normal(2, 1, 3), normal(5)),
        *both(pn.gaussian_noise(0), normal(3, 2)),
    ],
}
