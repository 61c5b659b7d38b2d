"""Optimizers: pure functions from params and gradients to new params, and what can stand in front of them."""

from purenet.optimizers.adaptive import adadelta, adagrad, adam, adamax, adamw, amsgrad, matrices, nadam, radam, rmsprop
from purenet.optimizers.descent import lamb, lion, muon, orthogonal, sgd
from purenet.optimizers.joined import joined
from purenet.optimizers.routing import freeze, per_path
from purenet.optimizers.transforms import (
    Transform,
    accumulate,
    chain,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    ema,
    gradient_noise,
    lookahead,
    polyak,
    weight_decay,
)
from purenet.optimizers.update import OptimizerState, sgd_step, update

__all__ = [
    "OptimizerState",
    "Transform",
    "accumulate",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "chain",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "ema",
    "freeze",
    "gradient_noise",
    "joined",
    "lamb",
    "lion",
    "lookahead",
    "matrices",
    "muon",
    "nadam",
    "orthogonal",
    "per_path",
    "polyak",
    "radam",
    "rmsprop",
    "sgd",
    "sgd_step",
    "update",
    "weight_decay",
]
