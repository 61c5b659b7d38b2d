"""Noise in training. What to draw is in the key: the same key gives the same noise, and without one there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from purenet import random
from purenet.core import Layer, Pullback
from purenet.engine.arrays import astype, describe, floating, match, meet, namespace
from purenet.engine.jax import traced
from purenet.presets import called, preset
from purenet.random import Key

NoParams = tuple[()]
Rule = Callable[[Any, Any, Key], tuple[Any, Callable[[Any], Any]]]


def _only_in_training(name: str, rule: Rule) -> Layer[NoParams]:
    """The layer of `rule(xp, x, key) -> (y, pull)`, where pull(dE/dY) is dE/dX; without a key, the identity."""

    def forward(params: NoParams, x: Any, key: Key | None) -> tuple[Any, Callable[[Any], Any]]:
        xp = floating(x, name)
        if params != ():
            raise ValueError(f"{name} has no parameters: it takes params = (), not {describe(params)}")
        return (x, lambda dy: dy) if key is None else rule(xp, x, key)

    def apply(params: NoParams, x: Any, key: Key | None = None) -> Any:
        return forward(params, x, key)[0]

    def vjp(params: NoParams, x: Any, key: Key | None = None) -> tuple[Any, Pullback[NoParams]]:
        y, pull = forward(params, x, key)
        shape, dtype = x.shape, x.dtype

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[NoParams, Any]:
            match(dy, shape, dtype, name)
            return (), pull(dy) if wrt_x else None

        return y, pullback

    return Layer(lambda key, in_shape=None: (), apply, vjp, lambda in_shape: in_shape, name)


def _together(x: Any, drawn: Any) -> tuple[Any, Any]:
    """x and what was drawn for it, in one engine: that of x, unless JAX traces the key."""
    if type(drawn) is not np.ndarray and traced(drawn):
        x = meet(x, drawn)
    return x, namespace(x).asarray(drawn)


@preset
def dropout(rate: float = 0.5, channelwise: bool = False) -> Layer[NoParams]:
    """In training each number is 0 with probability `rate`, and else 1 / (1 − rate) times as large.

    So its mean stays, and in inference, without a key, Y = X. With `channelwise=True` one decision holds for each
    channel (the last axis) of each example, as in PyTorch's Dropout2d. X and Y (batch, ...).

    The rule: Y = X ⊙ M, with a mask M of 0 and 1 / (1 − rate) that the key decides, so dE/dX = dE/dY ⊙ M.

    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014; channelwise:
    J. Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.

    >>> import numpy as np, purenet as pn
    >>> y, pullback = pn.dropout.vjp((), np.ones((1, 5)), pn.key(0))
    >>> y, pullback(np.full((1, 5), 10.0))[1]
    (array([[2., 2., 0., 2., 2.]]), array([[20., 20.,  0., 20., 20.]]))
    >>> pn.dropout.apply((), np.ones((1, 5)))
    array([[1., 1., 1., 1., 1.]])
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise ValueError(f"dropout takes a rate from 0 to 1, the share that is dropped, not {rate!r}")
    keep = 1 - rate
    scale = 1 / keep if keep else 0.0

    def rule(xp: Any, x: Any, key: Key) -> tuple[Any, Callable[[Any], Any]]:
        shape = x.shape
        if channelwise:
            if x.ndim < 2:
                raise ValueError(f"{name} takes x of shape (batch, ..., channels), not {tuple(shape)}")
            shape = (shape[0], *(1 for _ in shape[1:-1]), shape[-1])
        x, drawn = _together(x, random.bernoulli(key, keep, shape))
        mask = astype(drawn, x.dtype) * scale
        return x * mask, lambda dy: dy * mask

    name = called("dropout", rate=(rate, 0.5), channelwise=(channelwise, False))
    return _only_in_training(name, rule)


def gaussian_noise(std: float) -> Layer[NoParams]:
    """In training Y = X + N with normal noise N of this standard deviation, so dE/dX = dE/dY; in inference Y = X.

    C. Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural Computation 1995.

    >>> import numpy as np, purenet as pn
    >>> pn.gaussian_noise(0.1).apply((), np.ones(2), pn.key(0))
    array([0.77281159, 0.92986721])
    """
    if isinstance(std, bool) or not isinstance(std, int | float) or not std >= 0:
        raise ValueError(f"gaussian_noise takes a standard deviation of 0 or more, not {std!r}")

    def rule(xp: Any, x: Any, key: Key) -> tuple[Any, Callable[[Any], Any]]:
        drawn = random.normal(key, x.shape, np.float64 if xp.finfo(x.dtype).bits == 64 else np.float32)
        x, drawn = _together(x, drawn)
        return x + astype(drawn, x.dtype) * std, lambda dy: dy

    return _only_in_training(f"gaussian_noise({std!r})", rule)
