"""What other libraries call the things that are here: only for the error of a name that is not."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

MODULES = ("data", "initializers", "metrics", "plotting", "random", "schedules", "testing", "tree")
LATER = ("plotting", "testing")
ELSEWHERE = {
    "dense": "Linear FullyConnected FC",
    "serial": "Sequential Network Model Module Stack",
    "conv": "Convolution Convolutional",
    "max_pool": "MaxPooling",
    "avg_pool": "AveragePooling AveragePool",
    "global_avg_pool": "GlobalAveragePooling AdaptiveAvgPool",
    "global_max_pool": "GlobalMaxPooling AdaptiveMaxPool",
    "pad": "ZeroPadding",
    "concat": "Concatenate cat",
    "mul": "Multiply",
    "batch_norm": "BatchNormalization",
    "layer_norm": "LayerNormalization",
    "group_norm": "GroupNormalization",
    "transformer_block": "TransformerEncoder",
    "multi_head_attention": "Attention MHA",
    "rnn": "SimpleRNN",
    "silu": "Swish",
    "softmax_cross_entropy": "CrossEntropy CategoricalCrossEntropy SparseCategoricalCrossEntropy",
    "binary_cross_entropy": "BCE",
    "binary_cross_entropy_with_logits": "BCEWithLogits",
    "kl_divergence": "KLDiv",
    "quantile": "Pinball",
    "poisson_nll": "Poisson PoissonNLL",
    "mse": "MeanSquaredError",
    "mse.vjp": "mse_prime",
    "mae": "MeanAbsoluteError L1Loss",
    "huber": "SmoothL1",
    "value_and_grad": "grad gradient backward backprop",
    "key": "PRNGKey seed manual_seed",
    "fit": "Trainer compile",
    "fit(..., patience=5)": "EarlyStopping",
    "checkpoints": "ModelCheckpoint",
    "load": "load_model load_state_dict",
    "save": "save_model",
    "to_dict": "state_dict",
    "clip_by_global_norm": "clip_grad_norm",
    "clip_by_value": "clip_grad_value",
    "data.batches": "DataLoader TensorDataset",
    "data.split": "train_test_split",
    "data.one_hot": "to_categorical",
    "data.standardize": "StandardScaler Normalization",
    "schedules.cosine": "CosineAnnealing",
    "schedules.reduce_on_plateau": "ReduceLROnPlateau",
    "tree.map": "tree_map",
    "jax.jit": "jit",
    "jax.vmap": "vmap",
    "np.asarray": "tensor",
    "initializers.glorot_uniform": "xavier_uniform",
    "initializers.glorot_normal": "xavier_normal",
    "initializers.he_uniform": "kaiming_uniform",
    "initializers.he_normal": "kaiming_normal",
}


def later(name: str) -> Any:
    """A module that is imported when it is first needed. For a name that purenet has not, an AttributeError that tells
    what the thing is called here."""
    if name in LATER:
        return import_module(f"purenet.{name}")
    library = import_module("purenet")
    here = "" if name.startswith("__") else _name_here(name, library)
    mend = f": write {'' if here.startswith(('jax.', 'np.')) else 'pn.'}{here}" if here else ""
    raise AttributeError(f"module 'purenet' has no attribute {name!r}{mend}", name=name, obj=library)


def _name_here(name: str, library: Any) -> str:
    """Where a thing of this name, but for its spelling, is in the library; "" if there is none.

    >>> import purenet
    >>> [_name_here(name, purenet) for name in ("Conv2d", "ReLU", "FCLayer", "CosineAnnealingLR", "StepLR", "oops")]
    ['conv', 'relu', 'dense', 'schedules.cosine', 'schedules.step', '']
    """
    there = {_plain(n): f"{module}.{n}" for module in reversed(MODULES) for n in _public(getattr(library, module))}
    there |= {_plain(n): n for n in library.__all__}
    there |= {_plain(other): n for n, others in ELSEWHERE.items() for other in others.split()}
    plain = _plain(name)
    ends = ("", "loss", "layer", "lr", "optimizer", "schedule", "decay")
    stems = [re.sub("[123]d", "", plain.removesuffix(end)) for end in ends if plain.endswith(end)]
    return next((there[stem] for stem in (plain, *stems) if stem in there), "")


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _public(module: Any) -> list[str]:
    names = getattr(module, "__all__", None) or vars(module)
    return [n for n in names if getattr(getattr(module, n), "__module__", "").startswith("purenet") and n[0] != "_"]
