"""One table: every layer and every loss of the library, with inputs that it accepts. The invariants run over it.

A public layer or loss that has no entry here fails the suite (`test_invariants.test_catalogue_is_complete`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import purenet as pn
from tests.cases import Case, LossCase, away_from, elementwise, layouts, normal
from tests.catalogue_norms import norm_cases
from tests.catalogue_recurrent import recurrent_cases
from tests.catalogue_windows import window_cases


def small_conv_free_net() -> pn.Layer[Any]:
    return pn.serial(pn.reshape(2, 3), pn.dense(4), pn.gelu, pn.flatten, pn.serial(pn.dense(3), pn.softmax))


def _of_any_engine(name: str) -> Any:
    """The function of this name, of the array's own namespace."""
    return lambda x: getattr(x.__array_namespace__(), name)(x)


LAYERS: dict[str, list[Case]] = {
    "dense": [
        *(Case(pn.dense(5, 3), x) for x in layouts(normal(4, 5))),
        Case(pn.dense(1, 1), normal(1, 1)),
        Case(pn.dense(3), normal(7, 2)),
        Case(pn.dense(4, 2, bias=False), normal(3, 4)),
        Case(pn.dense(4, 2), normal(2, 3, 4)),
        Case(pn.dense(2), normal(2, 1, 3, 4)),
        Case(pn.dense(13, 11), normal(9, 13)),
    ],
    "serial": [
        Case(pn.serial(), normal(2, 3)),
        Case(pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh), normal(4, 2)),
        Case(pn.serial(pn.flatten, pn.dense(3)), normal(4, 2, 5)),
        Case(pn.serial(pn.tanh, pn.sigmoid), normal(4, 2)),
        Case(small_conv_free_net(), normal(5, 6)),
    ],
    "flatten": [Case(pn.flatten, x) for x in (normal(2, 3, 4), normal(1, 1), normal(3), normal(2, 1, 3, 1))],
    "reshape": [
        Case(pn.reshape(2, 6), normal(3, 12)),
        Case(pn.reshape(-1, 2), normal(3, 4, 3)),
        Case(pn.reshape(4), normal(1, 2, 2)),
    ],
    "activation": elementwise(pn.activation(*(_of_any_engine(name) for name in ("sin", "cos")))),
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
    "hard_tanh": elementwise(pn.hard_tanh, (-1, 1)),
    "hard_sigmoid": elementwise(pn.hard_sigmoid, (-3, 3)),
    "hard_swish": elementwise(pn.hard_swish, (-3, 3)),
    "relu6": elementwise(pn.relu6, (0, 6)),
    "log_sigmoid": elementwise(pn.log_sigmoid),
    "softmax": elementwise(pn.softmax),
    "log_softmax": elementwise(pn.log_softmax),
    **window_cases,
    **norm_cases,
    **recurrent_cases,
}

_probabilities = pn.sigmoid.apply((), normal(4, 3))
_distribution = pn.softmax.apply((), normal(4, 3, seed=5))
_signs = np.sign(normal(4, 3, seed=6))
_far = normal(4, 3, seed=2)
_near = _far + np.where(normal(4, 3, seed=3) > 0, 0.4, -0.4)

LOSSES: dict[str, list[LossCase]] = {
    "mse": [LossCase(pn.mse, _near, _far), LossCase(pn.mse(reduction="sum"), normal(5), normal(5, seed=1))],
    "sse": [LossCase(pn.sse, _near, _far)],
    "mae": [LossCase(pn.mae, _near, _far), LossCase(pn.mae(reduction="sum"), _near, _far)],
    "huber": [
        LossCase(pn.huber, _near, _far),
        LossCase(pn.huber(0.3), _near, _far),
        LossCase(pn.huber(reduction="sum"), 5 * normal(4, 3), _far),
    ],
    "binary_cross_entropy": [
        LossCase(pn.binary_cross_entropy, _probabilities, (_signs + 1) / 2),
        LossCase(pn.binary_cross_entropy(reduction="sum"), _probabilities, _distribution),
    ],
    "binary_cross_entropy_with_logits": [
        LossCase(pn.binary_cross_entropy_with_logits, normal(4, 3), (_signs + 1) / 2),
        LossCase(pn.binary_cross_entropy_with_logits(reduction="sum"), 9 * normal(4), np.array([0, 1, 1, 0])),
    ],
    "softmax_cross_entropy": [
        LossCase(pn.softmax_cross_entropy, normal(4, 3), np.array([0, 2, 2, 1])),
        LossCase(pn.softmax_cross_entropy, normal(4, 3), _distribution),
        LossCase(pn.softmax_cross_entropy(0.1), 5 * normal(2, 5, 3), np.array([[0, 1, 2, 1, 0], [2, 2, 2, 1, 1]])),
        LossCase(pn.softmax_cross_entropy(reduction="sum"), normal(1, 3), np.array([1])),
    ],
    "nll": [
        LossCase(pn.nll, np.log(_distribution), np.array([0, 2, 2, 1])),
        LossCase(pn.nll(reduction="sum"), normal(4, 3), _distribution),
    ],
    "hinge": [LossCase(pn.hinge, 2 * normal(4, 3), _signs), LossCase(pn.hinge(reduction="sum"), normal(4, 3), _signs)],
    "kl_divergence": [
        LossCase(pn.kl_divergence, np.log(_probabilities), _distribution),
        LossCase(pn.kl_divergence(reduction="sum"), np.log(_probabilities), np.eye(4, 3)),
    ],
}

LAYER_CASES = [(name, case) for name, cases in LAYERS.items() for case in cases]
LOSS_CASES = [(name, case) for name, cases in LOSSES.items() for case in cases]


def layer_id(case: tuple[str, Case]) -> str:
    return f"{case[1].layer.name}-{pn.tree.map(lambda leaf: leaf.shape, case[1].x)}"


def loss_id(case: tuple[str, LossCase]) -> str:
    return f"{case[1].loss.name}-{case[1].y.shape}"
