"""The handwritten digits that ship with the library."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np


class Split(NamedTuple):
    """A part of a data set: x, the inputs, and target, the labels."""

    x: Any
    target: Any


def digits() -> tuple[Split, Split]:
    """1,797 real handwritten digits of 8×8 pixels, as (train, test): every fifth one is for testing.

    x is (n, 64) float32 from 0 to 1, each image row by row (`x.reshape(-1, 8, 8)` is the images); target is (n,) int64,
    from 0 to 9.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
    (https://doi.org/10.24432/C50P49), its test part. Licence: CC BY 4.0.

    >>> (x, target), (x_test, target_test) = digits()
    >>> x.shape, x_test.shape, target[:5]
    ((1438, 64), (359, 64), array([0, 1, 2, 3, 5]))
    """
    with np.load(os.path.join(os.path.dirname(__file__), "digits.npz")) as arrays:
        x, target = arrays["x"].astype(np.float32) / 16, arrays["t"].astype(np.int64)
    test = np.arange(len(x)) % 5 == 4
    return Split(x[~test], target[~test]), Split(x[test], target[test])
