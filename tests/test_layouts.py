"""The numbers are what counts, not how they lie in memory: each case of the catalogue in four layouts of its inputs."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.kit import bits, cast


def read_only(a):
    a = a.copy()
    a.setflags(write=False)
    return a


def every_second_row(a):
    return np.repeat(a, 2, axis=0)[::2] if a.ndim else a


def backwards(a):
    return a[..., ::-1].copy()[..., ::-1] if a.ndim else a


LAYOUTS = {
    "read-only": read_only,
    "every second row": every_second_row,
    "Fortran order": np.asfortranarray,
    "backwards": backwards,
}
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def check_same_numbers(found, expected, dtype, name):
    """To rounding: sums may be added in another order."""
    tolerance = 64 * float(np.finfo(dtype).eps)
    pn.tree.check_same(expected, found)
    largest = max((float(np.abs(leaf).max(initial=0)) for leaf in pn.tree.leaves(expected)), default=0.0)
    for (path, a), b in zip(pn.tree.items(found), pn.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype, (name, path)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * largest, err_msg=f"{name}: {path}")


@pytest.mark.parametrize("case", [case for _, case in LAYER_CASES], ids=map(layer_id, LAYER_CASES))
@each_dtype
def test_a_layer_takes_every_layout(case, dtype):
    params, x = cast(case.params, dtype), cast(case.x, dtype)
    y, pullback = case.layer.vjp(params, x, case.key)
    dy = pn.tree.map(lambda leaf: np.cos(np.arange(leaf.size)).reshape(leaf.shape).astype(leaf.dtype), y)
    gradients = pullback(dy)

    for name, layout in LAYOUTS.items():
        laid_params, laid_x, laid_dy = laid = pn.tree.map(layout, (params, x, dy))
        before = bits(laid)
        value, laid_pullback = case.layer.vjp(laid_params, laid_x, case.key)
        check_same_numbers((value, laid_pullback(laid_dy)), (y, gradients), dtype, name)
        assert bits(value) == bits(case.layer.apply(laid_params, laid_x, case.key)), name
        assert bits(laid) == before, name


@pytest.mark.parametrize("case", [case for _, case in LOSS_CASES], ids=map(loss_id, LOSS_CASES))
@each_dtype
def test_a_loss_takes_every_layout(case, dtype):
    y, target = cast((case.y, case.target), dtype)
    E, pullback = case.loss.vjp(y, target)
    for name, layout in LAYOUTS.items():
        laid = pn.tree.map(layout, (y, target))
        before = bits(laid)
        value, laid_pullback = case.loss.vjp(*laid)
        check_same_numbers((value, laid_pullback()), (E, pullback()), dtype, name)
        assert bits(laid) == before, name
