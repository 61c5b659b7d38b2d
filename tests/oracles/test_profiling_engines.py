"""Profiles of what other engines compute: the same layers and operations, without a count of NumPy's memory."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn

NET = pn.serial(pn.dense(4, 8), pn.tanh, pn.lstm(8, 3, last=True))


@pytest.mark.parametrize("engine", ["torch", "jax"])
def test_profile_and_throughput(engine):
    x, target = np.ones((8, 5, 4), np.float32), np.ones((8, 3), np.float32)
    params = NET.init(pn.key(0))
    here = pn.profile(NET, pn.mse, params, x, target, rounds=2)
    there = pn.profile(NET, pn.mse, *pn.to_engine((params, x, target), engine), rounds=2)
    told = [[(row.path, row.name, row.operations) for row in found.rows] for found in (here, there)]
    assert told[0] == told[1]
    assert [row.kept for row in there.rows] == [None] * 4
    found = pn.throughput(NET, pn.mse, pn.adam(), params, (x, target), 4, epochs=2, engine=engine)
    assert found.median > 0
