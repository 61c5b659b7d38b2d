"""summary: the figures of nets whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn


def test_the_net_of_the_keras_guide():
    """784-128-10: the 101,770 parameters that every Keras user has seen."""
    text = pn.summary(pn.serial(pn.dense(128), pn.relu, pn.dense(10)), (784,))
    assert "dense(128)" in text
    assert "100,480" in text
    assert "parameters: 101,770, of which 101,770 trainable and 0 not" in text
    assert "397.5 KiB for the parameters" in text
    assert f"{4 * (128 + 128 + 10) / 1024:.4g} KiB for the outputs" in text


def test_buffers_and_frozen_layers_are_not_trainable():
    net = pn.serial(pn.frozen(pn.dense(4, 8)), pn.batch_norm(8), pn.dense(1))
    assert "parameters: 81, of which 25 trainable and 56 not" in pn.summary(net)


def test_nested_nets_are_indented_and_names_are_shown():
    block = pn.residual(pn.serial(pn.dense(6), pn.tanh))
    text = pn.summary(pn.named(first=block, last=pn.fan_out(pn.dense(2), pn.identity)), (6,))
    assert [line[:20].rstrip() for line in text.splitlines()[2:10]] == [
        "named",
        "  first: residual",
        "    serial",
        "      dense(6)",
        "      tanh",
        "  last: fan_out",
        "    dense(2)",
        "    identity",
    ]
    assert "((2,), (6,))" in text


def test_tied_parameters_count_once_and_each_step_of_map_time_has_outputs():
    f = pn.dense(3, 3)
    assert "parameters: 12," in pn.summary(pn.tied(pn.serial(f, f, f)))
    text = pn.summary(pn.map_time(pn.serial(pn.dense(2), pn.tanh)), (5, 4))
    assert f"{4 * 5 * (2 + 2)} B for the outputs" in text


def test_all_rows_are_equally_wide_and_numbers_end_the_line():
    lines = pn.summary(pn.serial(pn.dense(1000), pn.softmax), (1000,)).splitlines()
    assert len({len(line) for line in lines[:-2]}) == 1
    assert lines[2].endswith("1,001,000")


def test_integer_inputs_several_inputs_and_unknown_shapes():
    net = pn.serial(pn.parallel(pn.embedding(10, 4), pn.identity), pn.concat)
    assert "(7, 9)" in pn.summary(net, ((7,), (7, 5)))
    assert "?" in pn.summary(pn.serial(pn.flatten))
    with pytest.raises(ValueError, match="does not know how many inputs"):
        pn.summary(pn.dense(3))
    with pytest.raises(TypeError, match="takes a layer, not a list"):
        pn.summary([pn.tanh])


def test_a_layer_of_ones_own_is_listed_too():
    mine = pn.activation(np.sin, np.cos, name="sine")
    assert "sine" in pn.summary(pn.serial(mine), (2,))
