"""What other libraries call the things that are here: only for the error of a name that is not."""

from __future__ import annotations

import re
from importlib import import_module
from types import ModuleType
from typing import Any

MODULES = ("data", "initializers", "metrics", "plotting", "random", "schedules", "testing", "tree")
LATER = ("estimators", "plotting", "storage", "testing")
NAMES_LATER = {
    "interop": ("from_jax", "from_torch_state_dict", "to_onnx", "to_torch_state_dict", "torch_compile"),
    "profiling": ("profile", "throughput"),
    "training.chunks": ("in_chunks",),
    "training.fitting": ("fit",),
    "training.loop": ("evaluate", "predict", "start", "train"),
    "training.runs": ("Fit", "State"),
    "storage": ("checkpoint_best", "checkpoints", "csv_log", "from_dict", "load", "log_to", "save", "to_dict"),
}
ELSEWHERE = {  # beside what elsewhere.py has: names of modules, of other libraries, and what people call things
    "dense": "FullyConnected FC",
    "dense(...)": "nn",
    "adam(...)": "optim",
    "tanh": "activations",
    "frozen": "detach",
    "data": "datasets",
    "serial": "Network Module Stack",
    "conv": "Convolution Convolutional",
    "avg_pool": "AveragePool",
    "multi_head_attention": "MHA",
    "quantile": "Pinball",
    "value_and_grad": "gradient backprop",
    "key": "seed set_seed",
    "fit": "Trainer",
    "data.split": "train_test_split",
    "data.batches": "Dataset",
    "data.standardize": "StandardScaler normalize",
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
    "metrics.confusion_matrix": "confusion",
    "metrics.top_k_accuracy": "top_k",
    "schedules.warmup": "LinearWarmup",
    "schedules.polynomial": "linear_decay",
    "testing.check_vjp": "check_derivative check_gradient check_gradients gradient_check check_grad grad_check",
    "jax.lax.scan": "scan",
    "jax.jit": "jit",
    "jax.vmap": "vmap",
    "np.asarray": "tensor array",
}
_PADDED = "[np.pad(s, ((0, longest - len(s)), (0, 0))) for s in sequences], and pn.lengths_to_mask for their lengths"
_WARMED = "pn.schedules.warmup(pn.schedules.cosine(0.1, steps=1000), steps=100)"
LINES = {  # what does the work of names of the package, and of its modules, where it is a line of code
    "purenet": {
        "net.apply(params, x)": "forward",
        "net.apply(params, x), which keeps nothing for a gradient": "no_grad inference_mode",
        "net.vjp(params, x)": "vjp",
        "net.init(key, in_shape=(2,)), where (2,) is the shape of an example": "Input InputLayer",
        "0.5 * pn.mse": "l2_loss",
        "pn.adam(lr=0.01)": "scale_by_adam",
        "pn.adam(lr=lambda step: 0.01 * 0.99**step)": "LearningRateScheduler LambdaLR inject_hyperparams",
        "lambda step: one(step) if step < 100 else two(step - 100)": "join_schedules",
        _WARMED: "warmup_cosine warmup_cosine_decay warmup_cosine_decay_schedule",
        _PADDED: "pad_sequences pad_sequence",
    },
    "purenet.data": {_PADDED: "pad pad_sequences pad_sequence"},
    "purenet.schedules": {
        "lambda step: one(step) if step < 100 else two(step - 100)": "join_schedules join",
        "pn.schedules.polynomial(0.1, steps=1000, end=0.0)": "linear linear_schedule",
        _WARMED: "warmup_cosine warmup_cosine_decay warmup_cosine_decay_schedule",
    },
    "purenet.tree": {
        "pn.tree.map(np.zeros_like, params)": "zeros_like",
        "pn.tree.map(np.ones_like, params)": "ones_like",
        "pn.tree.map(lambda a, b: a + b, one, two)": "add",
        "pn.tree.map(lambda a, b: a - b, one, two)": "sub subtract",
        "pn.tree.map(lambda a: 0.5 * a, params)": "scale mul",
        "pn.tree.map(lambda *leaves: np.stack(leaves), one, two)": "stack",
        "pn.tree.flatten(params)[1]": "structure tree_structure",
        "sum(leaf.sum() for leaf in pn.tree.leaves(params))": "sum",
        "sum((leaf**2).sum() for leaf in pn.tree.leaves(grads)) ** 0.5": "norm global_norm l2_norm",
        "functools.reduce(f, pn.tree.leaves(params))": "reduce",
        "pn.tree.unflatten(pn.tree.flatten(params)[1], [f(*item) for item in pn.tree.items(params)])": "map_with_path",
    },
}
OWN_NAMES_ALONE = ("purenet.schedules", "purenet.tree")  # where the name of a layer is no help


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
    if module.__name__.removeprefix("purenet.") in MODULES:  # what is shown by a press of the tabulator key
        vars(module)["__dir__"] = lambda: _public(module)


def _missing(name: str, module: ModuleType) -> AttributeError:
    mend = "" if name.startswith("__") else _mend(name, module.__name__)
    text = f"module {module.__name__!r} has no attribute {name!r}"
    # of None Python has no name to suggest beside what is to be written
    return AttributeError(f"{text}: write {mend}" if mend else text, name=name, obj=None if mend else module)


def _mend(name: str, module: str) -> str:
    """What to write for a name that a module has not; "" if nothing is known.

    >>> _mend("zeros_like", "purenet.tree"), _mend("Dense", "purenet")
    ('pn.tree.map(np.zeros_like, params)', 'pn.dense')
    """
    for line, others in LINES.get(module, {}).items():
        if name in others.split():
            return line
    here = _name_here(name, import_module("purenet"))
    if module in OWN_NAMES_ALONE and not here.startswith(f"{module.removeprefix('purenet.')}."):
        return ""
    return f"pn.{here}" if here and not here.startswith(("jax.", "np.")) else here


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
    of, _, ending = name.rpartition("_")
    if ending in ("prime", "derivative") and hasattr(getattr(library, of, None), "vjp"):
        return f"{of}.vjp"
    return next((there[stem] for stem in _stems(name) if stem in there), "")


def _elsewhere() -> dict[str, str]:
    """What is here by the last part of its name elsewhere: first of those that are the thing without any option."""
    rows = import_module("purenet.names.elsewhere").rows()
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
    """The names of a module's own things: those it lists, or those that were made in it."""
    own = f"{module.__name__}."
    made = {name: getattr(thing, "__module__", "") or "" for name, thing in vars(module).items() if name[0] != "_"}
    return getattr(module, "__all__", None) or [name for name, where in made.items() if f"{where}.".startswith(own)]
