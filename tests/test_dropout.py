"""Dropout and noise: the key rules, the mask in the rule, the scale."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.cases import normal

KEY = pn.key(1)


@pytest.mark.parametrize("layer", [pn.dropout, pn.dropout(channelwise=True), pn.gaussian_noise(1.0)], ids=str)
def test_the_same_key_gives_the_same_noise_and_none_gives_none(layer):
    x = normal(4, 5, 6)
    assert (layer.apply((), x, KEY) == layer.apply((), x, KEY)).all()
    assert not (layer.apply((), x, KEY) == layer.apply((), x, pn.key(2))).all()
    assert (layer.apply((), x) == x).all()
    y, pullback = layer.vjp((), x)
    assert (pullback(y)[1] == y).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_rate_and_the_mean_stays(rate):
    y = pn.dropout(rate).apply((), np.ones((300, 300)), KEY)
    assert abs((y == 0).mean() - rate) < 0.01
    assert abs(y.mean() - 1) < 0.03


def test_channelwise_decides_once_for_each_channel_of_each_example():
    y = pn.dropout(0.5, channelwise=True).apply((), np.ones((8, 3, 4, 16)), KEY)
    assert (y == y[:, :1, :1]).all()
    decisions = y[:, 0, 0]
    assert len(np.unique(decisions, axis=0)) > 1
    assert len(np.unique(decisions, axis=1)[0]) > 1
    with pytest.raises(ValueError, match=r"\(batch, ..., channels\), but x has shape \(5,\)"):
        pn.dropout(channelwise=True).apply((), np.ones(5), KEY)


def test_rates_0_and_1():
    x, dy = normal(3, 4), normal(3, 4, seed=1)
    y, pullback = pn.dropout(0).vjp((), x, KEY)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(pullback(dy)[1], dy)
    y, pullback = pn.dropout(1).vjp((), x, KEY)
    assert not y.any()
    assert not pullback(dy)[1].any()


def test_gaussian_noise_has_its_standard_deviation():
    noise = pn.gaussian_noise(0.3).apply((), np.zeros((300, 300)), KEY)
    assert abs(noise.std() - 0.3) < 0.005
    assert abs(noise.mean()) < 0.005


def test_errors():
    for rate in (-0.1, 1.5):
        with pytest.raises(ValueError, match="rate from 0 to 1"):
            pn.dropout(rate)
    with pytest.raises(ValueError, match="0 or more"):
        pn.gaussian_noise(-1.0)
    with pytest.raises(ValueError, match=r"takes params = \(\)"):
        pn.dropout.apply((1,), normal(2, 2))
    with pytest.raises(TypeError, match=r"purenet\.key"):
        pn.dropout.apply((), normal(2, 2), 3)


def test_layers_of_a_net_drop_independently():
    net = pn.fan_out(pn.dropout, pn.dropout)
    first, second = net.apply(((), ()), np.ones((10, 10)), KEY)
    assert (first != second).any()
