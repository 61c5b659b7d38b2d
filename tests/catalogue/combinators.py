"""Layers made of layers."""

from __future__ import annotations

import numpy as np

import purenet as pn
from tests.cases import IDS, Case, both, normal

SQUARE = pn.serial(pn.dense(2, 2), pn.tanh, pn.dropout(0.2))

ROWS: dict[str, list[Case]] = {
    "serial": [
        Case(pn.serial(), normal(2, 3)),
        Case(pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh), normal(4, 2)),
        Case(pn.serial(pn.flatten, pn.dense(3)), normal(4, 2, 5)),
        Case(pn.serial(pn.tanh, pn.sigmoid), normal(4, 2)),
        Case(
            pn.serial(pn.reshape(2, 3), pn.dense(4), pn.gelu, pn.flatten, pn.serial(pn.dense(3), pn.softmax)),
            normal(5, 6),
        ),
    ],
    "named": [
        Case(pn.named(), normal(2, 3)),
        *both(pn.named(b=pn.dense(2, 3), a=pn.tanh, c=pn.serial(pn.batch_norm, pn.dense(1))), normal(4, 2)),
        *both(pn.named(ids=pn.embedding(7, 2), noise=pn.dropout), IDS),
    ],
    "residual": [
        *both(pn.residual(pn.serial(pn.dense(5), pn.tanh, pn.dropout, pn.dense(3))), normal(4, 3)),
        *both(pn.residual(pn.residual(pn.layer_norm)), normal(2, 1, 4)),
        Case(pn.residual(pn.serial()), normal(1, 1)),
        Case(pn.residual(pn.multi_head_attention(4, 2)), (normal(3, 2, 4), normal(3, 5, 4, seed=1), normal(3, 5) > 0)),
        *both(
            pn.residual(pn.serial(pn.on_first(pn.serial(pn.dense(3), pn.dropout)), pn.mul)),
            (normal(2, 3), normal(2, 3)),
        ),
    ],
    "parallel": [
        *both(pn.parallel(pn.dense(3), pn.serial(pn.batch_norm, pn.tanh)), (normal(4, 2), normal(4, 1, 3))),
        *both(pn.parallel(pn.embedding(7, 2), pn.dropout), (IDS, normal(3, 4))),
        Case(pn.parallel(pn.add, pn.parallel(pn.tanh)), ((normal(2, 3), normal(2, 3, seed=1)), (normal(2, 1),))),
    ],
    "fan_out": [
        *both(pn.fan_out(pn.dense(3), pn.dropout, pn.fan_out(pn.tanh, pn.batch_norm)), normal(4, 2)),
        *both(pn.fan_out(pn.add, pn.mul, pn.parallel(pn.tanh, pn.dense(1))), (normal(2, 3), normal(2, 3, seed=1))),
        *both(pn.fan_out(pn.embedding(7, 2), pn.embedding(9, 1)), IDS),
        *both(pn.serial(pn.fan_out(pn.dense(3), pn.serial(pn.dense(3), pn.sigmoid)), pn.mul), normal(1, 2)),
    ],
    "on_first": [
        *both(pn.on_first(pn.serial(pn.dense(3), pn.batch_norm, pn.dropout)), (normal(4, 2), normal(4, 1, 3))),
        Case(pn.on_first(pn.on_first(pn.tanh)), ((normal(2, 3), normal(1)), normal(2, 2), normal(4))),
        Case(
            pn.serial(pn.on_first(pn.embedding(7, 2)), pn.keep_rest(pn.lstm(3)), pn.gru(2), pn.dense(1)),
            (np.array([[1, 5, 6], [0, 3, 3]]), np.array([3, 1])),
        ),
    ],
    "keep_rest": [
        *both(pn.keep_rest(pn.serial(pn.mul, pn.dense(3), pn.dropout)), (normal(4, 2), normal(4, 2, seed=1))),
        Case(pn.keep_rest(pn.multi_head_attention(4, 2)), (normal(2, 3, 4), normal(2, 5, 4, seed=1))),
        Case(
            pn.serial(pn.keep_rest(pn.bidirectional(pn.rnn(3), pn.rnn(2, reverse=True))), pn.rnn(3, last=True)),
            (normal(2, 4, 3), np.array([2, 4])),
        ),
    ],
    "pick": [
        Case(pn.pick(1), (normal(2, 3), normal(2, 1), normal(4))),
        Case(pn.pick(-2), (normal(2, 3), normal(2, 3, 1), normal(4))),
        Case(pn.pick(0), ((normal(2, 3), normal(1)), normal(2, 2))),
        *both(pn.serial(pn.fan_out(pn.dense(3), pn.dropout), pn.pick(1), pn.dense(2)), normal(4, 2)),
        Case(pn.serial(pn.lstm(3), pn.pick(1), pn.pick(0)), (normal(2, 4, 3), (normal(2, 3), normal(2, 3, seed=1)))),
    ],
    "swap": [
        Case(pn.swap, (normal(2, 3), normal(2, 1))),
        Case(pn.swap, (normal(2, 3), (normal(2), normal(2, 1)))),
        *both(pn.serial(pn.swap, pn.on_first(pn.embedding(7, 2))), (normal(3, 2), IDS)),
        *both(
            pn.serial(pn.swap, pn.on_first(pn.serial(pn.dense(2), pn.dropout)), pn.swap), (normal(4, 2), normal(4, 1))
        ),
    ],
    "frozen": [
        *both(pn.frozen(pn.serial(pn.dense(3), pn.batch_norm, pn.tanh, pn.dropout)), normal(4, 2)),
        *both(pn.serial(pn.frozen(pn.dense(3)), pn.tanh, pn.dense(1), pn.frozen(pn.layer_norm)), normal(4, 2)),
        *both(pn.frozen(pn.embedding(7, 2)), IDS),
    ],
    "remat": [
        *both(pn.remat(pn.serial(pn.dense(3), pn.batch_norm, pn.tanh, pn.dropout)), normal(4, 2)),
        *both(pn.remat(pn.remat(pn.tanh)), normal(2)),
        *both(pn.remat(pn.embedding(7, 2)), IDS),
    ],
    "tied": [
        *both(pn.tied(pn.serial(SQUARE, SQUARE, SQUARE)), normal(4, 2)),
        *both(pn.tied(pn.parallel(SQUARE, SQUARE)), (normal(4, 2), normal(3, 2))),
        *both(pn.tied(pn.fan_out(SQUARE, SQUARE)), normal(1, 2)),
        *both(pn.tied(pn.serial(pn.batch_norm, pn.batch_norm)), normal(4, 2)),
    ],
    "map_time": [
        *both(pn.map_time(pn.serial(pn.flatten, pn.dense(3), pn.batch_norm, pn.dropout)), normal(3, 4, 2)),
        *both(pn.map_time(pn.map_time(pn.tanh)), normal(1, 2, 3), normal(2, 1, 1, 5)),
        *both(pn.map_time(pn.embedding(7, 2)), IDS),
    ],
}
