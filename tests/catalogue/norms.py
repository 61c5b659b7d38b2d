"""Normalization, in inference and in training."""

from __future__ import annotations

import purenet as pn
from tests.cases import Case, both, normal

IMAGE = normal(3, 2, 5, 4)

ROWS: dict[str, list[Case]] = {
    "batch_norm": [
        *both(pn.batch_norm, normal(4, 3), IMAGE, normal(2, 1), normal(9, 1, 3)),
        *both(pn.batch_norm(4, momentum=0.3, eps=1e-3), normal(1, 2, 1, 4)),
        *both(pn.batch_norm(affine=False), normal(5, 2)),
        *both(pn.batch_norm(bias=False, unbiased=False), normal(4, 2, 3)),
    ],
    "layer_norm": [
        *both(pn.layer_norm, normal(4, 3), normal(2, 3, 5), normal(1, 2), normal(3, 1)),
        *both(pn.layer_norm(5, eps=1e-2), normal(2, 5)),
        *both(pn.layer_norm(affine=False), normal(5, 3)),
        *both(pn.layer_norm(bias=False), normal(2, 5, 3)),
    ],
    "group_norm": [
        *both(pn.group_norm(2), normal(2, 3, 4), IMAGE, normal(1, 6), normal(3, 1, 4)),
        *both(pn.group_norm(1, 5, eps=1e-2), normal(2, 5)),
        *both(pn.group_norm(3, affine=False), normal(2, 3, 3)),
        *both(pn.group_norm(2, bias=False), normal(2, 3, 4)),
    ],
    "instance_norm": [
        *both(pn.instance_norm, normal(2, 3, 4), IMAGE, normal(1, 3, 1, 1)),
        *both(pn.instance_norm(3, eps=1e-2, affine=True), normal(2, 5, 3)),
        *both(pn.instance_norm(affine=True, bias=False), normal(2, 5, 3)),
    ],
    "rms_norm": [
        *both(pn.rms_norm, normal(4, 3), normal(2, 3, 5), normal(1, 2), normal(3, 1)),
        *both(pn.rms_norm(5, eps=1e-2), normal(2, 5)),
        *both(pn.rms_norm(affine=False), normal(5, 2)),
    ],
}
