"""Layers and losses against what PyTorch gave for the same params and inputs, as tests/oracles/record.py wrote it."""

from __future__ import annotations

import re

import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYERS, LOSSES, WITHOUT_TWIN
from tests.records import like, read

RECORDS = read()


@pytest.mark.parametrize("record", RECORDS, ids=[f"{i}-{record.layer}" for i, record in enumerate(RECORDS)])
def test_results_are_pytorchs_as_recorded(record):
    layer, params, x = record.point()
    if isinstance(layer, pn.Loss):
        y, pullback = layer.vjp(*x)
        dparams, dx = (), pullback(record.dy[0])
    else:
        y, pullback = layer.vjp(params, x, pn.key(0) if record.training else None)
        dparams, dx = pullback(like(y, record.dy))
    for part, tree in (("y", y), ("dparams", dparams), ("dx", dx)):
        for (path, ours), theirs in zip(pn.tree.items(tree, part), getattr(record, part), strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), path
            error = np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1)
            assert error < 1e-10, f"{path}: {error:.2g} of the largest entry\n{ours}\n{theirs}"


def test_every_layer_and_loss_is_recorded_or_has_a_reason():
    """Where one is missing: python -m tests.oracles.record."""
    recorded = {name for record in RECORDS for name in re.findall(r"[a-z]\w*", record.layer)}
    every = set(LAYERS) | set(LOSSES)
    assert every == (recorded & every) | set(WITHOUT_TWIN)
    assert not recorded & set(WITHOUT_TWIN)
