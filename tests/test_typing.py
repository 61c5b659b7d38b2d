"""What a type checker knows. CI runs `mypy --strict` on this file; at run time it checks the same values."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

import purenet as pn
from purenet.engine.arrays import Array
from purenet.layers.dense import DenseParams


def test_types() -> None:
    layer = pn.dense(2, 3)
    assert_type(layer, pn.Layer[DenseParams])
    params = layer.init(pn.key(0))
    assert_type(params, DenseParams)
    assert_type(params.weight, Array)
    assert_type(params.bias, Array | None)
    x = np.ones((4, 2), np.float32)
    y, pullback = layer.vjp(params, x)
    dparams, _ = pullback(y)
    assert_type(dparams, DenseParams)
    assert_type(pn.sgd_step(params, dparams, 0.1), DenseParams)
    assert_type(pn.value_and_grad(layer, pn.mse)(params, x, y), tuple[Any, DenseParams])
    assert_type(pn.elu(alpha=0.5), pn.Layer[tuple[()]])
    assert_type(pn.mse(reduction="sum"), pn.Loss)
    assert isinstance(params.weight, np.ndarray)
