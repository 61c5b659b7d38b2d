"""Activations: a function of each number, or of each row."""

from __future__ import annotations

from typing import Any

import purenet as pn
from purenet.engine import engine_of
from tests.cases import Case, away_from

SHAPES = [(3, 5), (1, 1), (4,), (2, 3, 4), (2, 1, 3, 1), (9, 11)]


def elementwise(layer: pn.Layer[Any], kinks: tuple[float, ...] = ()) -> list[Case]:
    return [Case(layer, away_from(kinks, *shape)) for shape in SHAPES]


def of_any_engine(name: str) -> Any:
    """The function of this name, of the array's own namespace."""
    return lambda x: getattr(engine_of(x), name)(x)


ROWS: dict[str, list[Case]] = {
    "activation": elementwise(pn.activation(of_any_engine("sin"), of_any_engine("cos"))),
    "identity": elementwise(pn.identity),
    "tanh": elementwise(pn.tanh),
    "sigmoid": elementwise(pn.sigmoid),
    "relu": elementwise(pn.relu, (0,)),
    "leaky_relu": [*elementwise(pn.leaky_relu, (0,)), Case(pn.leaky_relu(1.5), away_from((0,), 3, 4))],
    "prelu": [*elementwise(pn.prelu, (0,)), Case(pn.prelu(5), away_from((0,), 3, 2, 5))],
    "elu": [*elementwise(pn.elu, (0,)), Case(pn.elu(0.5), away_from((0,), 3, 4))],
    "selu": elementwise(pn.selu, (0,)),
    "celu": [*elementwise(pn.celu, (0,)), Case(pn.celu(2.0), away_from((0,), 3, 4))],
    "gelu": elementwise(pn.gelu),
    "gelu_tanh": elementwise(pn.gelu_tanh),
    "silu": elementwise(pn.silu),
    "mish": elementwise(pn.mish),
    "softplus": elementwise(pn.softplus),
    "softsign": elementwise(pn.softsign, (0,)),
    "hard_tanh": [
        *elementwise(pn.hard_tanh, (-1, 1)),
        *elementwise(pn.hard_tanh(min_val=-0.5, max_val=2), (-0.5, 2)),
    ],
    "hard_sigmoid": elementwise(pn.hard_sigmoid, (-3, 3)),
    "hard_swish": elementwise(pn.hard_swish, (-3, 3)),
    "relu6": elementwise(pn.relu6, (0, 6)),
    "log_sigmoid": elementwise(pn.log_sigmoid),
    "softmax": elementwise(pn.softmax),
    "log_softmax": elementwise(pn.log_softmax),
}
