"""What users of other libraries write, and the hint they get: names, options, and values that are run as functions."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import re
import subprocess
import sys
import types

import numpy as np
import pytest

import purenet as pn
from purenet.names import ELSEWHERE, LINES, MODULES, elsewhere
from purenet.values import OPTIONS_ELSEWHERE

NET = pn.serial(pn.dense(2, 3), pn.tanh)
HERE = {
    "dense": "Dense Linear FCLayer linear",
    "serial": "Sequential sequential Network Model",
    "relu": "ReLU Relu",
    "leaky_relu": "LeakyReLU",
    "tanh": "Tanh",
    "activation": "Activation ActivationLayer",
    "conv": "Conv2d Conv2D Conv1d Convolutional",
    "conv_transpose": "ConvTranspose2d Conv2DTranspose",
    "max_pool": "MaxPool2d MaxPooling2D",
    "global_avg_pool": "GlobalAveragePooling2D",
    "adaptive_avg_pool": "AdaptiveAvgPool2d AdaptiveAveragePooling2D",
    "adaptive_max_pool": "AdaptiveMaxPool1d AdaptiveMaxPooling3D",
    "batch_norm": "BatchNorm2d BatchNormalization",
    "layer_norm": "LayerNorm",
    "multi_head_attention": "MultiheadAttention MultiHeadAttention",
    "transformer_block": "TransformerEncoderLayer",
    "transformer_decoder_block": "TransformerDecoderLayer",
    "lstm": "LSTM",
    "softmax_cross_entropy": "CrossEntropyLoss cross_entropy categorical_crossentropy",
    "binary_cross_entropy": "BCELoss binary_crossentropy",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "mse": "MSELoss MeanSquaredError MSE",
    "mse.vjp": "mse_prime",
    "tanh.vjp": "tanh_prime tanh_derivative",
    "testing.check_vjp": "check_derivative check_gradient check_gradients gradient_check check_grads",
    "metrics.confusion_matrix": "confusion",
    "metrics.top_k_accuracy": "top_k",
    "mae": "L1Loss MAE",
    "huber": "SmoothL1Loss HuberLoss",
    "log_cosh": "LogCosh",
    "quantile": "PinballLoss",
    "poisson_nll": "PoissonNLLLoss Poisson",
    "cosine_similarity": "CosineSimilarity",
    "gaussian_nll": "GaussianNLLLoss",
    "triplet": "TripletMarginLoss",
    "adam": "Adam",
    "sgd": "SGD SGDOptimizer",
    "value_and_grad": "grad",
    "key": "PRNGKey manual_seed",
    "clip_by_global_norm": "clip_grad_norm_",
    "data.one_hot": "one_hot to_categorical",
    "data.batches": "DataLoader",
    "data.split": "train_test_split",
    "metrics.accuracy": "accuracy",
    "plotting.decision_boundary": "decision_boundary",
    "schedules.step": "StepLR",
    "schedules.polynomial": "LinearLR PolynomialDecay",
    "schedules.piecewise": "MultiStepLR PiecewiseConstantDecay",
    "schedules.cosine": "CosineAnnealingLR CosineDecay",
    "schedules.reduce_on_plateau": "ReduceLROnPlateau",
    "initializers.he_normal": "he_normal kaiming_normal_",
    "tree.map": "tree_map",
}


@pytest.mark.parametrize("here", HERE)
def test_names_of_other_libraries(here):
    for name in HERE[here].split():
        with pytest.raises(AttributeError, match=rf"^module 'purenet' has no attribute '{name}': write pn\.{here}$"):
            getattr(pn, name)


def test_every_hint_is_a_name():
    for here in [*ELSEWHERE, *(row.here for row in elsewhere.rows())]:
        if not here.startswith(("jax.", "np.", "estimators.")):  # scikit-learn may be missing
            value = pn
            for part in here.partition("(")[0].split("."):
                value = getattr(value, part)
    assert all(name in vars(pn) for name in MODULES)


def test_every_public_name_has_a_row_in_the_tables_of_names_elsewhere():
    heres = [row.here for row in elsewhere.rows()]
    assert len(heres) == len(set(heres))
    public = [name for name in pn.__all__ if name not in MODULES]
    public += [f"data.{name}" for name in pn.data.__all__]
    for module in (pn.metrics, pn.schedules):
        names = [name for name, made in vars(module).items() if getattr(made, "__module__", "") == module.__name__]
        public += [f"{module.__name__.removeprefix('purenet.')}.{name}" for name in names if name[0].islower()]
    missing = set(public) - set(heres) - {"metrics.best_when"}
    assert not missing, "a row in purenet/names/elsewhere.py"


@pytest.mark.parametrize("library", elsewhere.LIBRARIES)
def test_the_table_of_a_library_has_every_name_once(library):
    table = elsewhere.tables(library)
    for row in elsewhere.rows():
        assert table.count(f"`pn.{row.here}`") == 1, row.here
        assert all(f"`{elsewhere.LIBRARIES[library]}{name}`" in table for name in row.names[library])


def test_a_name_elsewhere_means_the_thing_without_options_first():
    for name, here in (("Adam", "adam"), ("GELU", "gelu"), ("LSTM", "lstm"), ("linear", "dense"), ("swish", "silu")):
        with pytest.raises(AttributeError, match=f"write pn.{here}$"):
            getattr(pn.training, name)


@pytest.mark.parametrize(
    ("module", "name", "here"),
    [
        ("data", "train_test_split", "data.split"),
        ("data", "DataLoader", "data.batches"),
        ("schedules", "StepLR", "schedules.step"),
        ("metrics", "accuracy_score", "metrics.accuracy"),
        ("metrics", "Accuracy", "metrics.accuracy"),
        ("initializers", "HeNormal", "initializers.he_normal"),
        ("random", "PRNGKey", "key"),
        ("random", "randn", "random.normal"),
        ("tree", "tree_map", "tree.map"),
        ("plotting", "plot_decision_boundary", "plotting.decision_boundary"),
        ("layers", "Dense", "dense"),
        ("losses", "CrossEntropyLoss", "softmax_cross_entropy"),
        ("optimizers", "Adam", "adam"),
    ],
)
def test_names_of_other_libraries_in_modules(module, name, here):
    with pytest.raises(
        AttributeError, match=rf"^module 'purenet\.{module}' has no attribute '{name}': write pn\.{here}$"
    ):
        getattr(getattr(pn, module), name)
    with pytest.raises(AttributeError, match=rf"^module 'purenet\.{module}' has no attribute 'oops'$"):
        getattr(getattr(pn, module), "oops")  # noqa: B009


PARAMS = NET.init(pn.key(0))
NAMES = {
    "np": np, "pn": pn, "functools": functools, "f": lambda *given: given[-1], "net": NET, "key": pn.key(0),
    "x": np.ones((1, 2), np.float32), "params": PARAMS, "grads": PARAMS, "one": PARAMS, "two": PARAMS,
    "longest": 3, "sequences": [np.ones((2, 4))],
}  # fmt: skip


@pytest.mark.parametrize(("module", "line"), [(module, line) for module, lines in LINES.items() for line in lines])
def test_lines_in_place_of_a_name_run(module, line):
    for name in LINES[module][line].split():
        with pytest.raises(AttributeError, match=rf" has no attribute '{name}': write {re.escape(line)}$") as caught:
            getattr(sys.modules[module], name)
        assert caught.value.obj is None  # of the module Python would suggest a name of its own
    code = re.split(", (?:which|where|and) ", line)[0]
    assert eval(code, NAMES) is not None


def test_lines_in_place_of_functions_of_trees_are_right():
    lines = {names.split()[0]: line for line, names in LINES["purenet.tree"].items()}
    found = {name: eval(line, NAMES) for name, line in lines.items()}
    flat, structure = pn.tree.flatten(PARAMS)
    assert found["structure"] == structure
    assert pn.tree.allclose(found["add"], pn.tree.map(lambda p: 2 * p, PARAMS))
    assert pn.tree.allclose(found["map_with_path"], PARAMS)
    assert found["stack"][0].weight.shape == (2, 2, 3)
    assert not any(leaf.any() for leaf in pn.tree.leaves((found["zeros_like"], found["sub"])))
    assert found["norm"] == pytest.approx(np.linalg.norm(np.concatenate([leaf.ravel() for leaf in flat])))


@pytest.mark.parametrize("module", ["data", "schedules", "tree"])
def test_modules_show_their_own_names_alone(module):
    shown = dir(getattr(pn, module))
    assert {"data": "split", "schedules": "cosine", "tree": "map"}[module] in shown
    assert not {"np", "math", "Any", "describe", "annotations"} & {*shown}
    assert not [name for name in shown if name.startswith("_")]


@pytest.mark.parametrize(
    ("module", "name"), [("tree", "transpose"), ("tree", "concatenate"), ("schedules", "dropout"), ("tree", "where")]
)
def test_a_layer_is_no_help_where_trees_and_schedules_are(module, name):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'$"):
        getattr(getattr(pn, module), name)


def test_names_of_nothing():
    for name in ("oops", "__path_of__", "_private"):
        assert not hasattr(pn, name)
        with pytest.raises(AttributeError, match=rf"^module 'purenet' has no attribute '{name}'$"):
            getattr(pn, name)
    with pytest.raises(AttributeError, match=r"write jax\.jit$"):
        pn.jit  # noqa: B018
    with pytest.raises(AttributeError, match=r"write np\.asarray$"):
        pn.array  # noqa: B018


@pytest.mark.parametrize(
    ("value", "name", "message"),
    [
        (NET, "forward", r"Layer has no attribute 'forward': write net\.apply\(params, x\)$"),
        (pn.tanh, "predict", r"write net\.apply\(params, x\)$"),
        (NET, "backward", r"write net\.vjp\(params, x\)$"),
        (NET, "parameters", r"write params = net\.init\(key\)$"),
        (pn.mse, "forward", r"write loss\.apply\(y, target\)$"),
        (pn.mse(reduction="sum"), "prime", r"write loss\.vjp\(y, target\)$"),
        (pn.adam(), "update", r"write optimizer\.step\(params, grads, state\)$"),
        (NET, "params", r"write params = net\.init\(key\)$"),
        (NET, "fit", r"write pn\.fit\(net, loss, optimizer, params, \(x, target\), \.\.\.\)$"),
        (NET, "summary", r"write pn\.summary\(net, in_shape\)$"),
        (NET, "layers", r"write net\.parts$"),
        (NET, "eval", r"net\.apply\(params, x\) otherwise$"),
        (NET, "load_state_dict", r"write pn\.from_torch_state_dict\(state, like=params\) for a dict of arrays"),
        (NET, "load_weights", r"write params = pn\.load\(path, like=params\)$"),
        (NET, "train", r"write pn\.fit\(\.\.\.\) or pn\.train\(\.\.\.\).*net\.apply\(params, x, key\), with a key"),
        (NET, "add", r"write pn\.serial\(\*net\.parts, layer\)$"),
        (NET, "append", r"write pn\.serial\(\*net\.parts, layer\)$"),
        (NET, "trainable", r"write pn\.frozen\(net\)"),
        (NET, "to", r"write params = pn\.to_engine\(params, engine, device\)$"),
        (pn.adam(), "zero_grad", r"write E, grads = pn\.value_and_grad\(net, loss\)"),
        (NET, "oops", "^Layer has no attribute 'oops'$"),
    ],
)
def test_methods_of_other_libraries(value, name, message):
    with pytest.raises(AttributeError, match=message):
        getattr(value, name)
    assert not hasattr(value, name)
    assert copy.copy(value) is not None
    if not isinstance(value, pn.Optimizer):
        assert pickle.loads(pickle.dumps(value)).name == value.name


LAYERS = (
    NET,
    pn.dense(2, 3),
    pn.tanh,
    pn.dropout(0.1),
    pn.residual(pn.tanh),
    pn.activation(np.sin, np.cos),
    pn.pick(0),
    pn.serial(
        pn.tanh, pn.Layer(pn.tanh.init, lambda *of: of[1], lambda *of: (of[1], lambda dy: ((), dy)), np.shape, "raw")
    ),
)
OPTIMIZERS = (pn.sgd(), pn.chain(pn.ema(), pn.adam()), pn.per_path({"[0]": pn.sgd()}, pn.adam()))
HOW = r"\(params, x, key=None\), where a key means training"
KEYED = r"^Layer\.init\(key, in_shape=None\): init\(\)"
COSTS = r"^Loss\.\w+\(y, target\), where the loss has the options, as in mse\(reduction='sum'\): \w+\(\)"
STEPS = r"^Optimizer\.step\(params, grads, state\), where the optimizer has the rate, as in adam\(lr=0\.01\): step\(\)"
CALLED = {
    "no key": (LAYERS, lambda layer: layer.init(), rf"{KEYED} missing 1 required positional argument: 'key'$"),
    "an option of init": (LAYERS, lambda layer: layer.init(pn.key(0), dtype=1), rf"{KEYED} got an unexpected"),
    "no params": (LAYERS, lambda layer: layer.apply(1), rf"^Layer\.apply{HOW}: apply\(\) missing 1 required .*: 'x'$"),
    "training": (LAYERS, lambda layer: layer.apply(1, 2, training=True), rf"^Layer\.apply{HOW}: .* 'training'$"),
    "keys of Flax": (LAYERS, lambda layer: layer.vjp(1, 2, rngs={}), rf"^Layer\.vjp{HOW}: vjp\(\) got .* 'rngs'$"),
    "a point without params": (LAYERS, lambda layer: layer.vjp(1), rf"^Layer\.vjp{HOW}: vjp\(\) missing 1 required"),
    "no shape": (LAYERS, lambda layer: layer.shape(), r"^Layer\.shape\(\) missing 1 required .*: 'in_shape'$"),
    "no target": ((pn.mse, pn.huber(2.0)), lambda loss: loss.apply(1), rf"{COSTS} missing 1 .*: 'target'$"),
    "a loss at no target": ((pn.mse, pn.nll), lambda loss: loss.vjp(1), rf"{COSTS} missing 1 .*: 'target'$"),
    "a state of nothing": (OPTIMIZERS, lambda o: o.init(), r"^Optimizer\.init\(\) missing 1 .*: 'params'$"),
    "no gradients": (OPTIMIZERS, lambda optimizer: optimizer.step(1), rf"{STEPS} missing 1 .*: 'grads'$"),
    "a reduction": ((pn.mse, pn.sse + pn.mae), lambda loss: loss.apply(1, 2, reduction=3), rf"{COSTS} .* 'reduction'$"),
    "other gradients": (OPTIMIZERS, lambda o: o.step(1, gradients=2), rf"{STEPS} got .* 'gradients'$"),
    "a rate": (OPTIMIZERS, lambda o: o.step(1, 2, 3, lr=0.1), rf"{STEPS} got .* 'lr'$"),
    "another name of the key": (LAYERS, lambda layer: layer.init(rng=1), rf"{KEYED} .* 'rng'$"),
    "Keras' shape": (LAYERS, lambda layer: layer.init(1, input_shape=2), rf"{KEYED} .* 'input_shape'$"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLED)
def test_errors_about_arguments_name_the_field_and_no_inner_function(case):
    values, wrong, message = CALLED[case]
    for value in values:
        with pytest.raises(TypeError, match=message):
            wrong(value)


X, T = np.ones((4, 2), np.float32), np.zeros((4, 3), np.float32)
INNER = {  # functions that public ones make, and what Python's errors call them
    "pullback": [
        lambda: NET.vjp(PARAMS, X)[1],
        lambda: NET.vjp(PARAMS, np.ones((7, 2), np.float32))[1],
        lambda: LAYERS[-1].vjp(((), ()), X)[1],
        lambda: pn.mse.vjp(X, X)[1],
        lambda: (pn.mse + pn.mae).vjp(X, X)[1],
        lambda: pn.loss(np.vdot, np.multiply).vjp(X, X)[1],
        lambda: pn.weighted(pn.mse).vjp(X, (X, X[:, 0]))[1],
    ],
    "value_and_grad(net, loss)": [
        lambda: pn.value_and_grad(NET, pn.mse),
        lambda: pn.value_and_grad(NET, pn.mse, pn.l2(0.1)),
        lambda: pn.in_chunks(pn.value_and_grad(NET, pn.mse), 2),
    ],
    "in_chunks(function, size)": [lambda: pn.in_chunks(lambda *given: given, 2, reduction="mean")],
    "unravel": [lambda: pn.tree.ravel(PARAMS)[1], lambda: pn.tree.ravel(())[1]],
    "csv_log(path)": [lambda: pn.csv_log("log.csv")],
    "log_to(tracker)": [lambda: pn.log_to(types.SimpleNamespace(log=print))],
    "checkpoint_best(path)": [lambda: pn.checkpoint_best("best.npz")],
}


@pytest.mark.parametrize(("name", "make"), [(name, make) for name in INNER for make in INNER[name]])
def test_what_errors_about_arguments_call_a_function_that_was_made(name, make):
    with pytest.raises(TypeError, match=rf"^{re.escape(name)}\(\) (missing|takes|got an unexpected)"):
        make()(oops=1)


def test_errors_about_the_arguments_of_a_pullback():
    params, x = NET.init(pn.key(0)), np.ones((2, 2), np.float32)
    for _ in range(3):  # the checked pullback, then the bare one
        y, pullback = NET.vjp(params, x)
        with pytest.raises(TypeError, match=r"^pullback\(\) missing 1 required positional argument: 'dy'$"):
            pullback()
        pullback(y)


def test_functions_that_a_module_has_keep_their_name():
    assert pn.Loss(np.sum, test_names_of_nothing).vjp.__qualname__ == "test_names_of_nothing"
    assert pn.Loss(np.sum, lambda y, t: y).vjp.__qualname__.endswith("<lambda>")


RATED = [
    "sgd",
    "adagrad",
    "adadelta",
    "rmsprop",
    "adam",
    "amsgrad",
    "adamw",
    "adamax",
    "nadam",
    "radam",
    "lion",
    "lamb",
]


@pytest.mark.parametrize(
    ("make", "option", "message"),
    [
        *((getattr(pn, name), "learning_rate", "^[a-z]+ has no option learning_rate: write lr=...$") for name in RATED),
        (pn.adam, "betas", "write beta1=..., beta2=...$"),
        (pn.adam, "epsilon", "write eps=...$"),
        (pn.adam, "oops", "^adam has no option oops: it has lr, beta1, beta2, eps$"),
        (pn.dropout, "p", "^dropout has no option p: write rate=...$"),
        (pn.batch_norm, "epsilon", "write eps=...$"),
        (pn.tanh, "slope", "^tanh has no option slope: it has none$"),
        (pn.dense, "use_bias", "write bias=...$"),
        (pn.conv, "strides", "write stride=...$"),
        (pn.fit, "validation_data", "write validation=...$"),
        (pn.fit, "oops", "^fit has no option oops: it has net, loss, optimizer"),
        (pn.fit, "learning_rate", r"^fit has no option learning_rate: the optimizer has it, as in adam\(lr=0\.01\)$"),
        (pn.train, "lr", "the optimizer has it"),
        (pn.fit, "batchsize", "write batch_size=...$"),
        (pn.fit, "size", "write batch_size=...$"),
        (pn.data.batches, "batchsize", "write size=...$"),
        (pn.fit, "shuffle", "with a key the order is random, with key=None it is that of the data"),
        (pn.data.batches, "shuffle", "with a key the order is random"),
        (pn.fit, "restore_best_weights", "with patience=... params are the best"),
        (pn.fit, "min_delta", "patience counts any gain"),
        *((make, "return_sequences", "last=True returns the last alone$") for make in (pn.rnn, pn.lstm, pn.gru)),
        (pn.lstm, "batch_first", r"arrays are always \(batch, time, features\)$"),
        (pn.gru, "bidirectional", r"write bidirectional\(lstm\(2, 3\), lstm\(2, 3, reverse=True\)\)"),
        (pn.embedding, "mask_zero", r"write lengths_to_mask\(lengths, time\)"),
        (pn.embedding, "padding_idx", "no id stands for padding"),
        (pn.conv, "dilation_rate", "write dilation=...$"),
        *((pn.dense, name, "its sizes stand first") for name in ("inputs", "outputs", "features")),
        (pn.adamw, "mask", "write which=...$"),
        (pn.transformer_block, "rope", "write rotary=...$"),
        (pn.softmax_cross_entropy, "class_weight", "write weight=...$"),
        (pn.train, "num_epochs", "write epochs=...$"),
        (pn.dense, "units", r"dense has no option units: its sizes stand first, without names, as"),
        (pn.conv, "kernel_size", "its sizes stand first"),
        (pn.lstm, "hidden_size", "its sizes stand first"),
        (pn.max_pool, "pool_size", "write window=...$"),
        (pn.batch_norm, "num_features", "write features=...$"),
        (pn.multi_head_attention, "num_heads", "write heads=...$"),
        (pn.dense, "activation", "a layer of its own, behind this one$"),
        (pn.dropout, "units", "it has rate, channelwise$"),
        (pn.adam, "step_size", "write lr=...$"),
        (pn.adam, "weight_decay", "adamw has it"),
        (pn.adam, "clipnorm", r"write chain\(clip_by_global_norm"),
        (pn.mse, "weight", r"weighted\(loss\) takes a weight for each example"),
        (pn.fit, "class_weight", r"weighted\(loss\) takes a weight for each example"),
        (pn.fit, "validation_split", r"one part of data\.split\(key, x, target\)$"),
        (pn.schedules.step, "step_size", "write every=...$"),
        (pn.schedules.cosine, "T_max", "write steps=...$"),
        (pn.data.batches, "batch_size", "^batches has no option batch_size: write size=...$"),
        (pn.data.split, "test_size", "^split has no option test_size: write test=...$"),
        (pn.summary, "input_shape", "^summary has no option input_shape: write in_shape=...$"),
        (pn.random.normal, "size", "^normal has no option size: write shape=...$"),
        *((pn.random.normal, name, r"write mean \+ std \* normal\(key") for name in ("std", "mean", "loc", "scale")),
        (pn.batch_norm, "scale", "^batch_norm has no option scale: write affine=...$"),
        (pn.metrics.accuracy, "top_k", r"top_k_accuracy\(y, target, k\) counts the first k$"),
        (pn.random.uniform, "minval", "^uniform has no option minval: write low=...$"),
        (pn.random.randint, "high", "^randint has no option high: write maxval=...$"),
        (pn.random.bernoulli, "rng", "^bernoulli has no option rng: write key=...$"),
        (pn.split, "num", "^split has no option num: write n=...$"),
        (pn.value_and_grad, "argnums", "^value_and_grad has no option argnums: write wrt=...$"),
        (pn.value_and_grad, "has_aux", "^value_and_grad has no option has_aux: it has net, loss, check_finite, wrt$"),
        (pn.predict, "training", r"a key means training: write apply\(params, x, key\)"),
        (pn.evaluate, "size", "^evaluate has no option size: write batch_size=...$"),
        (pn.save, "params", "^save has no option params: write tree=...$"),
        (pn.load, "filepath", "^load has no option filepath: write path=...$"),
        (pn.data.one_hot, "num_classes", "^one_hot has no option num_classes: write classes=...$"),
        (pn.metrics.accuracy, "y_true", "^accuracy has no option y_true: write target=...$"),
        (pn.testing.check_vjp, "atol", "^check_vjp has no option atol: it has layer, params, x, key, differences$"),
    ],
)  # fmt: skip
def test_options_of_other_libraries(make, option, message):
    with pytest.raises(TypeError, match=message):
        make(**{option: 0.1})


def test_a_shape_is_one_tuple():
    for sizes in ((3, 4), (3, 4, 5), (3, 4, 5, 6)):
        with pytest.raises(TypeError, match=r"^normal takes .*: write a shape .*as one tuple, \(3, 4\)$"):
            pn.random.normal(pn.key(0), *sizes)
    with pytest.raises(TypeError, match=r"^normal takes a dtype, such as np\.float32, not 'oops'$"):
        pn.random.normal(pn.key(0), (3,), "oops")


def test_every_public_function_says_which_options_it_has():
    modules = (pn, pn.data, pn.random, pn.metrics, pn.schedules, pn.initializers, pn.tree, pn.storage, pn.plotting)
    public = {name for module in modules for name in getattr(module, "__all__", ())}
    public |= {name for row in elsewhere.rows() for name in re.findall(r"\w+", row.here)}
    walks = {"map", "leaves", "items", "sgd_step"}  # they are under all else, and each call of them counts
    free = {"named", "torch_compile"}  # whose options are the caller's own names, or PyTorch's
    for module in modules:
        for name in public - walks - free:
            make = getattr(module, name) if name in dir(module) else None
            if isinstance(make, types.FunctionType) and inspect.signature(make).parameters:
                with pytest.raises(TypeError, match=rf"^{name} has no option oops: "):
                    make(oops=1)


def test_values_that_are_run_as_functions():
    for value, write in (
        (NET, r"layer\.apply\(params, x\)"),
        (pn.mse, r"loss\.apply\(y, target\)"),
        (pn.data.standardize, r"moments = standardize\.fit\(x\)"),
    ):
        with pytest.raises(TypeError, match=f"write {write}"):
            value(np.ones((2, 2)))


def test_every_option_that_is_hinted_is_one():
    modules = (pn, pn.data, pn.schedules, pn.random, pn.metrics, pn.storage)
    makers = [getattr(module, name) for module in modules for name in dir(module)]
    signatures = [inspect.signature(make) for make in makers if callable(make) and not isinstance(make, type)]
    takes = {name for signature in signatures for name in signature.parameters}
    for_estimators = {"learning_rate_init", "max_iter", "random_state", "solver"}
    for rights in OPTIONS_ELSEWHERE.values():
        for right in rights.split("|"):
            assert right.rpartition(" ")[2] in takes | for_estimators, right


def test_texts_where_values_belong():
    params, data = NET.init(pn.key(0)), (np.ones((4, 2), np.float32), np.ones((4, 3), np.float32))
    for use, write in (
        (lambda: pn.serial(NET, "tanh"), "pn.tanh"),
        (lambda: pn.fit(NET, "mse", pn.adam(), params, data, key=None, epochs=1), "pn.mse"),
        (lambda: pn.fit(NET, pn.mse, "adam", params, data, key=None, epochs=1), r"pn.adam\(\)"),
    ):
        with pytest.raises(TypeError, match=f"a str.*: write {write}, a value, and no text$"):
            use()


def test_an_initializer_that_is_called_to_get_one():
    for make in (pn.initializers.he_normal, pn.initializers.glorot_uniform):
        with pytest.raises(TypeError, match=r"is an initializer as it stands: write it without \(\)$"):
            make()


def test_other_errors_are_what_they_were():
    def broken(**options):
        raise TypeError("f() got an unexpected keyword argument 'lr'")

    with pytest.raises(TypeError, match=r"^f\(\) got an unexpected keyword argument 'lr'$"):
        pn.tree.map(lambda leaf: broken(), (1,))
    with pytest.raises(TypeError, match=r"^fit\(\) missing"):
        pn.fit(NET)


STRINGS = np.array(["cat", "dog", "cat"])
NUMBER = r"number the classes: names, target = np\.unique\(target, return_inverse=True\)"


@pytest.mark.parametrize("labels", [STRINGS, STRINGS.astype(object), STRINGS.astype(bytes)], ids=lambda a: str(a.dtype))
def test_labels_that_are_texts(labels):
    x, params = np.ones((3, 2), np.float32), NET.init(pn.key(0))
    for use in (
        lambda: pn.softmax_cross_entropy.apply(x, labels),
        lambda: pn.mse.apply(x[:, 0], labels),
        lambda: pn.metrics.accuracy(x, labels),
        lambda: pn.fit(NET, pn.softmax_cross_entropy, pn.sgd(), params, (x, labels), key=None, epochs=1),
    ):
        with pytest.raises((TypeError, ValueError), match=NUMBER):
            use()
    with pytest.raises(TypeError, match=NUMBER.replace("target", "labels")):
        pn.data.one_hot(labels, 2)
    with pytest.raises(TypeError, match=NUMBER.replace("target", "ids")):
        pn.embedding(2, 3).apply(pn.embedding(2, 3).init(pn.key(0)), labels)
    names, target = np.unique(labels, return_inverse=True)
    assert pn.softmax_cross_entropy.apply(x, target) > 0
    assert names[target].tolist() == labels.tolist()


def test_a_net_where_a_plot_takes_a_function():
    params, x = NET.init(pn.key(0)), np.ones((4, 2), np.float32)
    for plot in (
        lambda: pn.plotting.decision_boundary(NET, params, x, x[:, 0]),
        lambda: pn.plotting.decision_boundary(NET, x, x[:, 0]),
        lambda: pn.plotting.surface(NET, params, x),
        lambda: pn.plotting.overview([1.0], NET, x, x[:, 0]),
    ):
        message = r"not the layer serial.*write \w+\(.*lambda points: net\.apply\(params, points\), x, target\)$"
        with pytest.raises(TypeError, match=message):
            plot()
    with pytest.raises(TypeError, match=r"not the layer serial.*write net\.apply in its place"):
        pn.plotting.boundary_animation(NET, [params], x, x[:, 0], "never.gif")
    with pytest.raises(TypeError, match="takes predict, a function, not a tuple"):
        pn.plotting.decision_boundary(params, x, x[:, 0])
    with pytest.raises(TypeError, match="decision_boundary takes an array, not a tuple"):
        pn.plotting.decision_boundary(lambda points: points, params, x)


def test_modules_that_are_imported_later_are_there_by_attribute():
    lines = (
        "import purenet as pn\nprint(pn.storage.save is pn.save)\n"
        "try:\n    pn.training.fit\nexcept AttributeError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert run.stdout == "True\nmodule 'purenet.training' has no attribute 'fit': write pn.fit\n"
