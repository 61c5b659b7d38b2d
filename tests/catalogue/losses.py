"""Losses, with targets."""

from __future__ import annotations

import numpy as np

import purenet as pn
from tests.cases import LossCase, normal

PROBABILITIES = pn.sigmoid.apply((), normal(4, 3))
DISTRIBUTION = pn.softmax.apply((), normal(4, 3, seed=5))
SIGNS = np.sign(normal(4, 3, seed=6))
FAR = normal(4, 3, seed=2)
NEAR = FAR + np.where(normal(4, 3, seed=3) > 0, 0.4, -0.4)
WEIGHT = np.array([0.5, 3.0, 0.125, 1.25])
EACH_STEP = np.array([[True, True], [True, False], [False, True], [True, True]])
EACH_ELEMENT = abs(normal(4, 3, seed=7))
COUNTS = np.array([[0, 1, 2], [3, 0, 1], [5, 1, 1], [0, 0, 2]])
BY_CLASS = 0.5, 2.0, 1.25
SOME_LABELS = np.array([[0, -100], [1, 2], [2, 2], [-100, 0]])
MANY = pn.softmax.apply((), normal(4, 2, 3, seed=8))

ROWS: dict[str, list[LossCase]] = {
    "mse": [
        LossCase(pn.mse, NEAR, FAR),
        LossCase(pn.mse(reduction="sum"), normal(5), normal(5, seed=1)),
        LossCase(pn.mse(reduction="none"), NEAR, FAR),
    ],
    "sse": [LossCase(pn.sse, NEAR, FAR)],
    "mae": [LossCase(pn.mae, NEAR, FAR), LossCase(pn.mae(reduction="sum"), NEAR, FAR)],
    "huber": [
        LossCase(pn.huber, NEAR, FAR),
        LossCase(pn.huber(0.3), NEAR, FAR),
        LossCase(pn.huber(reduction="sum"), 5 * normal(4, 3), FAR),
    ],
    "binary_cross_entropy": [
        LossCase(pn.binary_cross_entropy, PROBABILITIES, (SIGNS + 1) / 2),
        LossCase(pn.binary_cross_entropy(reduction="sum"), PROBABILITIES, DISTRIBUTION),
    ],
    "binary_cross_entropy_with_logits": [
        LossCase(pn.binary_cross_entropy_with_logits, normal(4, 3), (SIGNS + 1) / 2),
        LossCase(
            pn.binary_cross_entropy_with_logits(pos_weight=(0.5, 2, 3), weight=1.5), normal(4, 3), (SIGNS + 1) / 2
        ),
        LossCase(pn.binary_cross_entropy_with_logits(pos_weight=3, weight=BY_CLASS), 9 * normal(4, 2, 3), MANY),
        LossCase(pn.binary_cross_entropy_with_logits(reduction="sum"), 9 * normal(4), np.array([0, 1, 1, 0])),
    ],
    "softmax_cross_entropy": [
        LossCase(pn.softmax_cross_entropy, normal(4, 3), np.array([0, 2, 2, 1])),
        LossCase(pn.softmax_cross_entropy, normal(4, 3), DISTRIBUTION),
        LossCase(pn.softmax_cross_entropy(0.1), 5 * normal(2, 5, 3), np.array([[0, 1, 2, 1, 0], [2, 2, 2, 1, 1]])),
        LossCase(pn.softmax_cross_entropy(reduction="sum"), normal(1, 3), np.array([1])),
        LossCase(pn.softmax_cross_entropy(weight=BY_CLASS), normal(4, 3), np.array([0, 2, 2, 1])),
        LossCase(pn.softmax_cross_entropy(0.1, weight=BY_CLASS), normal(4, 3), DISTRIBUTION),
        LossCase(pn.softmax_cross_entropy(0.2, weight=BY_CLASS, ignore_index=-100), normal(4, 2, 3), SOME_LABELS),
        LossCase(pn.softmax_cross_entropy(ignore_index=1, reduction="sum"), normal(4, 3), np.array([0, 2, 1, 1])),
        LossCase(pn.softmax_cross_entropy(0.2, "none", BY_CLASS, ignore_index=-100), normal(4, 2, 3), SOME_LABELS),
        LossCase(pn.softmax_cross_entropy(reduction="none"), normal(4, 3), DISTRIBUTION),
    ],
    "nll": [
        LossCase(pn.nll, np.log(DISTRIBUTION), np.array([0, 2, 2, 1])),
        LossCase(pn.nll(reduction="sum"), normal(4, 3), DISTRIBUTION),
        LossCase(pn.nll(weight=BY_CLASS, ignore_index=-100), normal(4, 2, 3), SOME_LABELS),
        LossCase(pn.nll(weight=BY_CLASS), normal(4, 3), DISTRIBUTION),
    ],
    "hinge": [LossCase(pn.hinge, 2 * normal(4, 3), SIGNS), LossCase(pn.hinge(reduction="sum"), normal(4, 3), SIGNS)],
    "kl_divergence": [
        LossCase(pn.kl_divergence, np.log(PROBABILITIES), DISTRIBUTION),
        LossCase(pn.kl_divergence(reduction="sum"), np.log(PROBABILITIES), np.eye(4, 3)),
    ],
    "log_cosh": [LossCase(pn.log_cosh, NEAR, FAR), LossCase(pn.log_cosh(reduction="sum"), 5 * normal(4, 2, 3), MANY)],
    "quantile": [LossCase(pn.quantile(0.9), NEAR, FAR), LossCase(pn.quantile(reduction="sum"), NEAR, FAR)],
    "poisson_nll": [
        LossCase(pn.poisson_nll, normal(4, 3), COUNTS),
        LossCase(pn.poisson_nll(log_input=False, reduction="sum"), PROBABILITIES, COUNTS),
    ],
    "cosine_similarity": [
        LossCase(pn.cosine_similarity, normal(4, 3), FAR),
        LossCase(pn.cosine_similarity(reduction="sum"), normal(4, 2, 3), MANY),
    ],
    "gaussian_nll": [
        LossCase(pn.gaussian_nll, (normal(4, 3), PROBABILITIES), FAR),
        LossCase(pn.gaussian_nll(reduction="none"), (normal(4), WEIGHT), normal(4, seed=1)),
        LossCase(pn.gaussian_nll(full=True, eps=0.01, reduction="sum"), (normal(4), WEIGHT), normal(4, seed=1)),
    ],
    "triplet": [
        LossCase(pn.triplet, (normal(4, 3), normal(4, 3, seed=1), normal(4, 3, seed=2)), WEIGHT),
        LossCase(pn.triplet(margin=0.3, reduction="sum"), (*normal(3, 4, 2, 3),), WEIGHT),
        LossCase(pn.triplet(reduction="none"), (*normal(3, 4, 2, 3, seed=4),), WEIGHT),
    ],
    "per_output": [
        LossCase(pn.per_output(pn.mse, pn.nll), (NEAR, np.log(DISTRIBUTION)), (FAR, np.array([0, 2, 2, 1]))),
        LossCase(pn.per_output(pn.mse, pn.mse(reduction="sum"), weights=(1, 0.3)), (NEAR, normal(4)), (FAR, WEIGHT)),
        LossCase(pn.mse + 0.3 * pn.mae, NEAR, FAR),
        LossCase(2 * pn.nll + pn.softmax_cross_entropy(0.1), np.log(DISTRIBUTION), np.array([0, 2, 2, 1])),
    ],
    "weighted": [
        LossCase(pn.weighted(pn.mse), NEAR, (FAR, WEIGHT)),
        LossCase(pn.weighted(pn.gaussian_nll), (normal(4, 3), PROBABILITIES), (FAR, WEIGHT)),
        LossCase(pn.weighted(pn.softmax_cross_entropy), normal(4, 3), (np.array([0, 2, 2, 1]), np.array([2, 7, 1, 3]))),
        LossCase(pn.weighted(pn.softmax_cross_entropy(0.1)), normal(4, 2, 3), (MANY, EACH_STEP)),
        LossCase(pn.weighted(pn.binary_cross_entropy_with_logits), normal(4, 3), ((SIGNS + 1) / 2, EACH_ELEMENT)),
        LossCase(pn.weighted(pn.kl_divergence(reduction="sum")), np.log(PROBABILITIES), (DISTRIBUTION, WEIGHT)),
        LossCase(pn.weighted(pn.mae(reduction="sum")), normal(4, 2, 3), (normal(4, 2, 3, seed=1), WEIGHT)),
    ],
}
