"""The catalogue's cases of normalization, dropout, embedding, binary layers and combinators."""

from __future__ import annotations

from typing import Any

import numpy as np

import purenet as pn
from tests.cases import Case, layouts, normal

KEY = pn.key(5)


def both(layer: pn.Layer[Any], *xs: Any) -> list[Case]:
    """In inference and in training."""
    return [Case(layer, x, key) for x in xs for key in (None, KEY)]


_image = normal(3, 2, 5, 4)
_three = tuple(layouts(normal(4, 3))[:3])
_square = pn.serial(pn.dense(2, 2), pn.tanh, pn.dropout(0.2))
_ids = np.array([[3, 0, 3, 6], [6, 6, 1, 3], [0, 2, 3, 3]])

norm_cases: dict[str, list[Case]] = {
    "batch_norm": [
        *both(pn.batch_norm, *layouts(normal(4, 3)), _image, normal(2, 1), normal(9, 1, 3)),
        *both(pn.batch_norm(4, momentum=0.3, eps=1e-3), normal(1, 2, 1, 4)),
        *both(pn.batch_norm(affine=False), normal(5, 2)),
    ],
    "layer_norm": [
        *both(pn.layer_norm, *layouts(normal(4, 3)), normal(2, 3, 5), normal(1, 2), normal(3, 1)),
        *both(pn.layer_norm(5, eps=1e-2), normal(2, 5)),
        *both(pn.layer_norm(affine=False), normal(5, 3)),
    ],
    "group_norm": [
        *both(pn.group_norm(2), *layouts(normal(2, 3, 4)), _image, normal(1, 6), normal(3, 1, 4)),
        *both(pn.group_norm(1, 5, eps=1e-2), normal(2, 5)),
        *both(pn.group_norm(3, affine=False), normal(2, 3, 3)),
    ],
    "instance_norm": [
        *both(pn.instance_norm, *layouts(normal(2, 3, 4)), _image, normal(1, 3, 1, 1)),
        *both(pn.instance_norm(3, eps=1e-2, affine=True), normal(2, 5, 3)),
    ],
    "rms_norm": [
        *both(pn.rms_norm, *layouts(normal(4, 3)), normal(2, 3, 5), normal(1, 2), normal(3, 1)),
        *both(pn.rms_norm(5, eps=1e-2), normal(2, 5)),
        *both(pn.rms_norm(affine=False), normal(5, 2)),
    ],
    "dropout": [
        *both(pn.dropout, *layouts(normal(4, 3)), normal(2, 1, 3), normal(5), normal(1, 1)),
        *both(pn.dropout(0.1, channelwise=True), _image, normal(4, 3), normal(3, 1, 5)),
        *both(pn.dropout(0.0), normal(3, 2)),
        *both(pn.dropout(1.0), normal(3, 2)),
    ],
    "gaussian_noise": [
        *both(pn.gaussian_noise(0.5), *layouts(normal(4, 3)), normal(2, 1, 3), normal(5)),
        *both(pn.gaussian_noise(0), normal(3, 2)),
    ],
    "embedding": [
        *both(pn.embedding(7, 3), *layouts(_ids), _ids[:, 0], _ids.astype(np.uint8), _ids[:0]),
        Case(pn.embedding(1, 1), np.zeros((1, 1), np.int32)),
        Case(pn.embedding(40, 4), np.arange(24).reshape(2, 3, 4)),
    ],
    "positional_encoding": [
        *both(pn.positional_encoding, *layouts(normal(2, 5, 4)), normal(1, 1, 3), normal(2, 3, 1)),
        Case(pn.positional_encoding(100.0), normal(2, 5, 4)),
    ],
    "learned_positions": [
        *both(pn.learned_positions(5), *layouts(normal(2, 5, 4)), normal(1, 1, 3), normal(3, 4, 1)),
        Case(pn.learned_positions(5, 2), normal(2, 3, 2)),
    ],
    "binary_dense": [
        *(Case(pn.binary_dense(5, 3), x, differences=False) for x in layouts(normal(4, 5))),
        Case(pn.binary_dense(3, bias=False), normal(7, 2), differences=False),
        Case(pn.binary_dense(4, 2, binary_input=False), normal(2, 3, 4), differences=False),
        Case(pn.binary_dense(1, 1), normal(1, 1), differences=False),
    ],
    "add": [Case(pn.add, x) for x in ((normal(2, 3), normal(2, 3, seed=1)), (normal(1),), _three)],
    "mul": [Case(pn.mul, x) for x in ((normal(2, 3), normal(2, 3, seed=1)), (normal(1),), _three)],
    "concat": [
        *(Case(pn.concat, x) for x in ((normal(2, 3), normal(2, 1)), (normal(1, 2),), _three)),
        Case(pn.concat(1), (normal(2, 3, 4), normal(2, 1, 4))),
        Case(pn.concat(-2), (normal(2, 3, 4), normal(2, 1, 4))),
    ],
    "named": [
        Case(pn.named(), normal(2, 3)),
        *both(pn.named(b=pn.dense(2, 3), a=pn.tanh, c=pn.serial(pn.batch_norm, pn.dense(1))), normal(4, 2)),
        *both(pn.named(ids=pn.embedding(7, 2), noise=pn.dropout), _ids),
    ],
    "residual": [
        *both(pn.residual(pn.serial(pn.dense(5), pn.tanh, pn.dropout, pn.dense(3))), *layouts(normal(4, 3))),
        *both(pn.residual(pn.residual(pn.layer_norm)), normal(2, 1, 4)),
        Case(pn.residual(pn.serial()), normal(1, 1)),
    ],
    "parallel": [
        *both(pn.parallel(pn.dense(3), pn.serial(pn.batch_norm, pn.tanh)), (normal(4, 2), normal(4, 1, 3))),
        *both(pn.parallel(pn.embedding(7, 2), pn.dropout), (_ids, normal(3, 4))),
        Case(pn.parallel(pn.add, pn.parallel(pn.tanh)), ((normal(2, 3), normal(2, 3, seed=1)), (normal(2, 1),))),
    ],
    "fan_out": [
        *both(pn.fan_out(pn.dense(3), pn.dropout, pn.fan_out(pn.tanh, pn.batch_norm)), *layouts(normal(4, 2))),
        *both(pn.fan_out(pn.add, pn.mul, pn.parallel(pn.tanh, pn.dense(1))), (normal(2, 3), normal(2, 3, seed=1))),
        *both(pn.fan_out(pn.embedding(7, 2), pn.embedding(9, 1)), _ids),
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
    "frozen": [
        *both(pn.frozen(pn.serial(pn.dense(3), pn.batch_norm, pn.tanh, pn.dropout)), *layouts(normal(4, 2))),
        *both(pn.serial(pn.frozen(pn.dense(3)), pn.tanh, pn.dense(1), pn.frozen(pn.layer_norm)), normal(4, 2)),
        *both(pn.frozen(pn.embedding(7, 2)), _ids),
    ],
    "remat": [
        *both(pn.remat(pn.serial(pn.dense(3), pn.batch_norm, pn.tanh, pn.dropout)), *layouts(normal(4, 2))),
        *both(pn.remat(pn.remat(pn.tanh)), normal(2)),
        *both(pn.remat(pn.embedding(7, 2)), _ids),
    ],
    "tied": [
        *both(pn.tied(pn.serial(_square, _square, _square)), *layouts(normal(4, 2))),
        *both(pn.tied(pn.parallel(_square, _square)), (normal(4, 2), normal(3, 2))),
        *both(pn.tied(pn.fan_out(_square, _square)), normal(1, 2)),
        *both(pn.tied(pn.serial(pn.batch_norm, pn.batch_norm)), normal(4, 2)),
    ],
    "map_time": [
        *both(pn.map_time(pn.serial(pn.flatten, pn.dense(3), pn.batch_norm, pn.dropout)), *layouts(normal(3, 4, 2))),
        *both(pn.map_time(pn.map_time(pn.tanh)), normal(1, 2, 3), normal(2, 1, 1, 5)),
        *both(pn.map_time(pn.embedding(7, 2)), _ids),
    ],
}
