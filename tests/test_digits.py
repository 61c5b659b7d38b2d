from __future__ import annotations

import numpy as np

import purenet as pn


def test_digits():
    (x, target), (x_test, target_test) = pn.data.digits()
    assert (x.shape, x.dtype, target.shape, target.dtype) == ((1438, 64), np.float32, (1438,), np.int64)
    assert (x_test.shape, target_test.shape) == ((359, 64), (359,))
    assert (x.min(), x.max()) == (0, 1)
    assert np.bincount(np.concatenate([target, target_test])).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]


def test_each_call_gives_arrays_of_its_own():
    first, second = pn.data.digits()[0].x, pn.data.digits()[0].x
    first[:] = 0
    assert second.any()
