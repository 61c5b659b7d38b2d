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
ELSEWHERE = {  # beside what purenet/elsewhere.py has: names of modules, of other libraries, and what people call things
    "dense": "FullyConnected FC",
    "dense(...)": "nn",
    "adam(...)": "optim",
    "tanh": "activations",
    "data": "datasets",
    "serial": "Network Module Stack",
    "conv": "Convolution Convolutional",
    "avg_pool": "AveragePool",
    "multi_head_attention": "MHA",
    "quantile": "Pinball",
    "mse.vjp": "mse_prime",
    "value_and_grad": "gradient backprop",
    "key": "seed set_seed",
    "fit": "Trainer",
    "data.split": "train_test_split",
    "data.standardize": "StandardScaler",
    "data.digits": "load_digits",
    "tree.size": "num_params",
    "to_onnx": "onnx",
    "estimators.NetClassifier": "NetClassifier MLPClassifier",
    "estimators.NetRegressor": "NetRegressor MLPRegressor",
    "plotting": "plot plt",
    "plotting.error_curve": "plot_error plot_loss",
    "plotting.learning_curves": "plot_history",
    "plotting.decision_boundary": "plot_decision_boundary",
    "metrics.accuracy": "accuracy_score",
    "metrics.precision": "precision_score",
    "metrics.recall": "recall_score",
    "schedules.warmup": "LinearWarmup",
    "jax.lax.scan": "scan",
    "jax.jit": "jit",
    "jax.vmap": "vmap",
    "np.asarray": "tensor array",
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
    there |= _elsewhere()
    there |= {_plain(n): n for n in library.__all__}
    there |= {_plain(other): n for n, others in ELSEWHERE.items() for other in others.split()}
    if name in library.__all__:  # `fit`, beside which there is `Fit`
        return name
    return next((there[stem] for stem in _stems(name) if stem in there), "")


def _elsewhere() -> dict[str, str]:
    """What is here by the last part of its name elsewhere: first of those that are the thing without any option."""
    rows = import_module("purenet.elsewhere").rows()
    names = [(name, row.here) for row in rows for library in row.names.values() for name in library]
    names.sort(key=lambda one: "(" in one[0])
    last = [(name.partition("(")[0].rpartition(".")[2], here) for name, here in names]
    found: dict[str, str] = {}
    for spelled in (lambda name: _stems(name)[:1], _stems):  # as it is, before what is like it
        for name, here in last:
            for stem in spelled(name):
                found.setdefault(stem, here)
    return found


def _stems(name: str) -> list[str]:
    """A name but for its spelling, and what is left of it without the endings that only some libraries write.

    >>> _stems("Conv2d"), _stems("MSELoss")
    (['conv2d', 'conv'], ['mseloss', 'mse'])
    """
    plain = _plain(name)
    ends = ("", "loss", "layer", "lr", "optimizer", "schedule", "decay")
    stems = (re.sub("[123]d", "", plain.removesuffix(end)) for end in ends if plain.endswith(end))
    return [*dict.fromkeys((plain, *stems))]


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _public(module: Any) -> list[str]:
    names = getattr(module, "__all__", None) or vars(module)
    return [n for n in names if getattr(getattr(module, n), "__module__", "").startswith("purenet") and n[0] != "_"]
