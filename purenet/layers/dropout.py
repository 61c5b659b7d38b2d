"""Noise in training. What to draw is in the key: the same key gives the same noise, and without one there is none."""

from __future__ import annotations

from purenet import random
from purenet.core import Layer
from purenet.engine import Ops
from purenet.engine.arrays import Array
from purenet.layers.activations import NoParams
from purenet.random import Key
from purenet.spec import Pull, Spec, layer
from purenet.spec.presets import preset
from purenet.values import called, takes_numbers


@preset
def dropout(rate: float = 0.5, channelwise: bool = False) -> Layer[NoParams]:
    """In training each number is 0 with probability `rate`, and else 1 / (1 − rate) times as large.

    So its mean stays, and in inference, without a key, Y = X. With `channelwise=True` one decision holds for each
    channel (the last axis) of each example, as in PyTorch's Dropout2d. X and Y (batch, ...).

    The rule: Y = X ⊙ M, with a mask M of 0 and 1 / (1 − rate) that the key decides, so dE/dX = dE/dY ⊙ M.
    What is dropped is 0, even if it was infinite.

    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014; channelwise:
    J. Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.dropout.vjp((), np.ones((1, 5)), pn.key(0))
    >>> y, pullback(np.full((1, 5), 10.0))[1]
    (array([[2., 2., 0., 2., 2.]]), array([[20., 20.,  0., 20., 20.]]))
    >>> pn.dropout.apply((), np.ones((1, 5)))
    array([[1., 1., 1., 1., 1.]])
    """
    name = called("dropout", locals())
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout takes a rate from 0 to 1, the share that is dropped, not {rate!r}")
    keep = 1 - rate
    scale = 1 / keep if keep else 1.0  # if nothing is kept, nothing is multiplied

    x_form = "batch ... channels" if channelwise else "..."

    def rule(ops: Ops, params: NoParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        if key is None:
            return x, lambda dy, wrt_x: ((), dy)
        shape = (x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1]) if channelwise else x.shape
        mask = ops.take_in(random.bernoulli(key, keep, shape))
        return ops.keep(x * scale, mask), lambda dy, wrt_x: ((), ops.keep(dy * scale, mask) if wrt_x else None)

    return layer(Spec(name, x=x_form, y=x_form), rule, of_matrices=True)


@takes_numbers
def gaussian_noise(std: float) -> Layer[NoParams]:
    """In training Y = X + N with normal noise N of this standard deviation, so dE/dX = dE/dY; in inference Y = X.

    C. Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural Computation 1995.

    >>> import numpy as np, purenet as pn
    >>> pn.gaussian_noise(0.1).apply((), np.ones(2), pn.key(0))
    array([0.77281159, 0.92986721])
    """
    name = called("gaussian_noise", locals())
    if not std >= 0:
        raise ValueError(f"gaussian_noise takes a standard deviation of 0 or more, not {std!r}")

    def rule(ops: Ops, params: NoParams, x: Array, key: Key | None) -> tuple[Array, Pull]:
        if key is None:
            return x, lambda dy, wrt_x: ((), dy)
        return x + random.normal_like(key, x) * std, lambda dy, wrt_x: ((), dy)

    return layer(Spec(name, x="...", y="..."), rule, of_matrices=True)
