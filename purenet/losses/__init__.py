"""Losses: how far the output Y is from its target, as one number E, and dE/dY.

A value that is refused on NumPy, such as a label out of range, cannot raise under JAX: there E and dE/dY are NaN.

Each is a loss as it stands; call it to set options: `mse` is the mean, `mse(reduction="sum")` the sum. The mean is over
every element for losses that compare element by element, and over the examples (rows) for those that compare
distributions over classes. Over an empty batch the sum is 0, and a mean is refused: there is none. A target is not
differentiated; it is converted to Y's dtype. A Y of half precision is compared in float32.

With reduction="none" E is an array of what each element costs, or each row, and its pullback takes a dE of that shape:

>>> import numpy as np, purenet as pn
>>> E, pullback = pn.mse(reduction="none").vjp(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
>>> E, pullback(np.array([1.0, 0.5]))
(array([1., 4.]), array([2., 2.]))
"""

from sys import modules

from purenet.losses import outputs, sums
from purenet.losses.outputs import gaussian_nll, triplet
from purenet.losses.rules import reduction_of
from purenet.losses.single import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    loss,
    mae,
    mse,
    nll,
    poisson_nll,
    quantile,
    softmax_cross_entropy,
    sse,
)
from purenet.losses.sums import per_output
from purenet.losses.weighting import weighted

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_similarity",
    "gaussian_nll",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "loss",
    "mae",
    "mse",
    "nll",
    "per_output",
    "poisson_nll",
    "quantile",
    "reduction_of",
    "softmax_cross_entropy",
    "sse",
    "triplet",
    "weighted",
]

# a pickle may name these without their folder
modules.update({"purenet.outputs": outputs, "purenet.sums": sums})
