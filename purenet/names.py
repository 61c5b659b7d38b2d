"""What other libraries call the things that are here: only for the error of a name that is not."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType
from typing import Any

MODULES = ("data", "initializers", "metrics", "plotting", "random", "schedules", "testing", "tree")
LATER = ("estimators", "plotting", "storage", "testing")
NAMES_LATER = {
    "interop": ("from_jax", "from_torch_state_dict", "to_onnx", "to_torch_state_dict"),
    "profiling": ("profile", "throughput"),
    "training.chunks": ("in_chunks",),
    "training.fitting": ("fit",),
    "training.loop": ("evaluate", "predict", "start", "train"),
    "training.runs": ("Fit", "State"),
    "storage": ("checkpoint_best", "checkpoints", "csv_log", "from_dict", "load", "log_to", "save", "to_dict"),
}
ELSEWHERE = {
    "dense": "Linear FullyConnected FC",
    "dense(...)": "nn",
    "adam(...)": "optim",
    "tanh": "activations",
    "data": "datasets",
    "conv(..., groups=...)": "DepthwiseConv",
    "dropout(..., channelwise=True)": "SpatialDropout Dropout2d",
    "upsample": "UpSampling",
    "map_time": "TimeDistributed",
    "frozen": "stop_gradient",
    "serial": "Sequential Network Model Module Stack",
    "conv": "Convolution Convolutional",
    "max_pool": "MaxPooling",
    "avg_pool": "AveragePooling AveragePool",
    "global_avg_pool": "GlobalAveragePooling",
    "global_max_pool": "GlobalMaxPooling",
    "adaptive_avg_pool": "AdaptiveAveragePooling",
    "adaptive_max_pool": "AdaptiveMaxPooling",
    "pad": "ZeroPadding",
    "concat": "Concatenate cat",
    "mul": "Multiply",
    "batch_norm": "BatchNormalization",
    "layer_norm": "LayerNormalization",
    "group_norm": "GroupNormalization",
    "transformer_block": "TransformerEncoder",
    "transformer_decoder_block": "TransformerDecoder",
    "multi_head_attention": "Attention MHA",
    "rnn": "SimpleRNN",
    "silu": "Swish",
    "softmax_cross_entropy": "CrossEntropy CategoricalCrossEntropy SparseCategoricalCrossEntropy",
    "binary_cross_entropy": "BCE",
    "binary_cross_entropy_with_logits": "BCEWithLogits sigmoid_binary_cross_entropy",
    "kl_divergence": "KLDiv",
    "quantile": "Pinball",
    "poisson_nll": "Poisson PoissonNLL",
    "gaussian_nll": "GaussianNLL",
    "triplet": "TripletMargin",
    "mse": "MeanSquaredError",
    "mse.vjp": "mse_prime",
    "mae": "MeanAbsoluteError L1Loss",
    "huber": "SmoothL1",
    "value_and_grad": "grad gradient backward backprop",
    "key": "PRNGKey seed manual_seed set_seed",
    "fit": "Trainer compile",
    "fit(..., patience=5)": "EarlyStopping",
    "checkpoints": "ModelCheckpoint",
    "load": "load_model load_state_dict load_weights",
    "save": "save_model save_weights",
    "to_dict": "state_dict",
    "clip_by_global_norm": "clip_grad_norm",
    "clip_by_value": "clip_grad_value",
    "data.batches": "DataLoader TensorDataset",
    "data.split": "train_test_split random_split",
    "data.one_hot": "to_categorical",
    "data.standardize": "StandardScaler Normalization",
    "schedules.cosine": "CosineAnnealing",
    "schedules.reduce_on_plateau": "ReduceLROnPlateau",
    "tree.map": "tree_map",
    "tree.leaves": "tree_leaves",
    "tree.size": "count_params num_params",
    "update": "apply_updates",
    "summary": "tabulate",
    "remat": "checkpoint",
    "layer": "custom_vjp",
    "to_onnx": "export onnx",
    "estimators.NetClassifier": "NetClassifier MLPClassifier",
    "estimators.NetRegressor": "NetRegressor MLPRegressor",
    "plotting": "plot plt",
    "plotting.error_curve": "plot_error plot_loss",
    "plotting.learning_curves": "plot_history",
    "plotting.decision_boundary": "plot_decision_boundary",
    "metrics.accuracy": "accuracy_score BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy",
    "metrics.top_k_accuracy": "TopKCategoricalAccuracy",
    "data.digits": "load_digits",
    "tree.ravel": "ravel_pytree",
    "metrics.f1": "f1_score",
    "metrics.r2": "r2_score",
    "metrics.precision": "precision_score",
    "metrics.recall": "recall_score",
    "schedules.exponential": "exponential_decay",
    "schedules.polynomial": "LinearLR linear_schedule",
    "schedules.piecewise": "MultiStep PiecewiseConstant",
    "schedules.cosine_restarts": "CosineAnnealingWarmRestarts",
    "schedules.warmup": "warmup_cosine_decay_schedule LinearWarmup",
    "random.normal": "randn",
    "random.uniform": "rand",
    "random.permutation": "shuffle",
    "random.split": "fold_in",
    "jax.lax.scan": "scan",
    "jax.jit": "jit",
    "jax.vmap": "vmap",
    "np.asarray": "tensor array",
    "initializers.glorot_uniform": "xavier_uniform",
    "initializers.glorot_normal": "xavier_normal",
    "initializers.he_uniform": "kaiming_uniform",
    "initializers.he_normal": "kaiming_normal",
}


def later(name: str) -> Any:
    """What is imported when it is first needed. For a name that purenet has not, an AttributeError that tells what the
    thing is called here."""
    if name in LATER:
        found = import_module(f"purenet.{name}")
        hint_in(found)
        return found
    library = import_module("purenet")
    for module, names in NAMES_LATER.items():
        if name in names:
            vars(library)[name] = getattr(import_module(f"purenet.{module}"), name)
            return vars(library)[name]
    raise _missing(name, library)


def hint_in(module: ModuleType) -> None:
    """Let a module, too, tell what a thing that it has not is called in the library."""

    def later(name: str) -> Any:
        raise _missing(name, module)

    vars(module)["__getattr__"] = later


def _missing(name: str, module: ModuleType) -> AttributeError:
    here = "" if name.startswith("__") else _name_here(name, import_module("purenet"))
    mend = f": write {'' if here.startswith(('jax.', 'np.')) else 'pn.'}{here}" if here else ""
    return AttributeError(f"module {module.__name__!r} has no attribute {name!r}{mend}", name=name, obj=module)


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
    if name in library.__all__:  # `fit`, beside which there is `Fit`
        return name
    return next((there[stem] for stem in (plain, *stems) if stem in there), "")


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _public(module: Any) -> list[str]:
    names = getattr(module, "__all__", None) or vars(module)
    return [n for n in names if getattr(getattr(module, n), "__module__", "").startswith("purenet") and n[0] != "_"]
