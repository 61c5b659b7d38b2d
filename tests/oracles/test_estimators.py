"""NetClassifier and NetRegressor: scikit-learn's own checks of an estimator, and its MLP beside them."""

from __future__ import annotations

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import purenet as pn
from purenet.estimators import NetClassifier, NetRegressor
from tests.kit import bits

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_digits(return_X_y=True)
X = X / 16
FEW_X, FEW_Y = X[:300], Y[:300]
NUMBERS_X, NUMBERS_Y = load_diabetes(return_X_y=True)
NUMBERS_X, NUMBERS_Y = StandardScaler().fit_transform(NUMBERS_X), (NUMBERS_Y - 150) / 75
QUICK = {"learning_rate_init": 0.01, "max_iter": 10, "random_state": 0}


@parametrize_with_checks([NetClassifier(), NetRegressor()])
def test_each_check_of_scikit_learn(estimator, check):
    """None is expected to fail. Two skip themselves: one is of `decision_function`, which neither these nor the MLPs
    have, the other of SciPy's array API, which is there with SCIPY_ARRAY_API=1 in the environment (and passes then)."""
    check(estimator)


# as good as scikit-learn's


@pytest.mark.parametrize(
    "options",
    [{}, {"solver": "sgd", "learning_rate_init": 0.05, "activation": "tanh"}, {"early_stopping": True}],
    ids=str,
)
def test_digits_are_read_as_well_as_by_the_mlp(options):
    options = {"max_iter": 60, "random_state": 0, **options}
    ours, theirs = (scores(kind(**options), X, Y) for kind in (NetClassifier, MLPClassifier))
    assert ours.mean() > theirs.mean() - 2 * (ours.std() + theirs.std()) / np.sqrt(len(ours))


@pytest.mark.parametrize("options", [{}, {"solver": "sgd", "alpha": 1.0}], ids=str)
def test_diabetes_is_foreseen_as_well_as_by_the_mlp(options):
    options = {"max_iter": 300, "hidden_layer_sizes": (30,), **options}
    ours, theirs = (
        scores(kind(random_state=0, **options), NUMBERS_X, NUMBERS_Y) for kind in (NetRegressor, MLPRegressor)
    )
    assert ours.mean() > theirs.mean() - 2 * (ours.std() + theirs.std()) / np.sqrt(len(ours))


def scores(model, x, y):
    return cross_val_score(model, x, y, cv=KFold(3, shuffle=True, random_state=0))


@pytest.mark.parametrize(
    ("alpha", "size", "weight"),
    [(0.5, 40, None), (0.5, 40, np.tile(np.linspace(0.1, 3, 40), 3)), (0.0, 50, None)],
    ids=["penalty", "weights", "another last batch"],
)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize(
    ("ours", "theirs", "y"),
    [(NetClassifier, MLPClassifier, np.arange(120) % 3), (NetRegressor, MLPRegressor, NUMBERS_Y[:120])],
)
def test_from_the_same_parameters_training_goes_the_same_way(ours, theirs, y, solver, alpha, size, weight, monkeypatch):
    """Batch by batch, to the same loss curve. (In a batch that is smaller, or of less weight, the MLP takes the penalty
    for more.)"""
    given = (NUMBERS_X[:120], y, weight) if weight is not None else (NUMBERS_X[:120], y)
    options = {"hidden_layer_sizes": (7,), "solver": solver, "alpha": alpha, "batch_size": size, "shuffle": False}
    options |= {"random_state": 0, "learning_rate_init": 0.01, "max_iter": 8}
    first, initialize = [], theirs._initialize

    def remembered(self, *args):
        initialize(self, *args)
        first.extend((w.copy(), b.copy()) for w, b in zip(self.coefs_, self.intercepts_, strict=True))

    monkeypatch.setattr(theirs, "_initialize", remembered)
    curve = theirs(**options).fit(*given).loss_curve_

    def net(inputs, outputs):
        made = pn.serial(pn.dense(inputs, 7), pn.relu, pn.dense(7, outputs))
        (dense, none, last), (begin, end) = made.init(pn.key(0)), first
        params = dense._replace(weight=begin[0], bias=begin[1]), none, last._replace(weight=end[0], bias=end[1])
        return made._replace(init=lambda key, in_shape=None: params)

    np.testing.assert_allclose(ours(net=net, **options).fit(*given).loss_curve_, curve, rtol=1e-6)


# in scikit-learn's tools


def test_pipelines_and_cross_validation():
    found = cross_val_score(make_pipeline(StandardScaler(), NetClassifier(**QUICK)), X, Y, cv=3)
    assert found.mean() > 0.9


def test_a_grid_of_layers_names_and_shares_in_two_processes():
    grid = {"activation": ["logistic", "gelu", pn.relu, pn.leaky_relu(0.1)], "dropout": [0.0, 0.1]}
    found = GridSearchCV(NetClassifier((32,), **QUICK), grid, n_jobs=2, cv=2).fit(FEW_X, FEW_Y)
    assert found.best_score_ > 0.7
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    assert found.best_estimator_.predict(X).shape == Y.shape


def image_net(inputs, outputs):
    return pn.serial(pn.reshape(8, 8, 1), pn.conv(4, 3), pn.relu, pn.flatten, pn.dense(outputs))


@pytest.mark.parametrize(
    "model",
    [
        NetClassifier((16, 8), (pn.gelu, "tanh"), dropout=(0.1, 0.0), **QUICK),
        NetClassifier(net=image_net, class_weight="balanced", loss=pn.softmax_cross_entropy(0.1), **QUICK),
        NetRegressor(net=pn.serial(pn.dense(64, 8), pn.batch_norm(8), pn.tanh, pn.dense(8, 1)), **QUICK),
    ],
    ids=["hidden", "net", "layer"],
)
def test_what_is_kept_computes_the_same_and_goes_on_the_same(model, tmp_path):
    model = clone(model).fit(FEW_X, FEW_Y)
    joblib.dump(model, tmp_path / "model")
    for again in (joblib.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert bits(again.predict(X)) == bits(model.predict(X))
        assert again.net_.name == model.net_.name
        if model.get_params().get("class_weight") is None:
            assert bits(again.partial_fit(FEW_X, FEW_Y).params_) == bits(
                clone_of(model).partial_fit(FEW_X, FEW_Y).params_
            )


def clone_of(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("of", [pd.DataFrame, pl.DataFrame])
def test_data_frames(of):
    names = [f"pixel{i}" for i in range(64)]
    frame = of(dict(zip(names, FEW_X.T, strict=True)))
    model = NetClassifier(**QUICK).fit(frame, FEW_Y)
    assert model.feature_names_in_.tolist() == names
    assert model.n_features_in_ == 64
    assert bits(model.predict_proba(frame)) == bits(NetClassifier(**QUICK).fit(FEW_X, FEW_Y).predict_proba(FEW_X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[names[::-1]])


# training


def test_partial_fit_is_an_epoch_of_fit():
    for model in (NetClassifier(dropout=0.2, **QUICK), NetRegressor(**QUICK)):
        model.set_params(max_iter=3)
        whole, parts = clone(model).fit(FEW_X, FEW_Y), clone(model)
        classes = {"classes": np.arange(10)} if isinstance(model, NetClassifier) else {}
        for _ in range(3):
            parts.partial_fit(FEW_X, FEW_Y, **classes)
        assert bits(parts.params_) == bits(whole.params_)
        assert parts.loss_curve_ == whole.loss_curve_
        assert parts.n_iter_ == 3


def test_classes_that_a_part_does_not_have():
    model = NetClassifier(**QUICK)
    with pytest.raises(ValueError, match=r"takes all classes: write partial_fit\(X, y, classes=\.\.\.\)"):
        model.partial_fit(X, Y)
    names = np.array([f"digit {i}" for i in range(10)])
    model.partial_fit(X[Y < 5], names[Y[Y < 5]], classes=names[::-1])
    for digits in np.split(np.arange(1000), 20):
        model.partial_fit(X[digits], names[Y[digits]])
    assert model.classes_.tolist() == names.tolist()
    assert model.score(X[1000:], names[Y[1000:]]) > 0.5
    with pytest.raises(ValueError, match="unseen labels"):
        model.partial_fit(X[:2], ["digit 1", "eleven"])


@pytest.mark.parametrize("tol", [1e-4, 0.1])
def test_early_stopping_keeps_the_best_epoch(tol):
    options = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 5, "learning_rate_init": 0.03}
    options["tol"] = tol
    model = NetClassifier((16,), random_state=0, **options).fit(FEW_X, FEW_Y)
    scores = model.validation_scores_
    assert len(scores) == len(model.loss_curve_) == model.n_iter_ < 200
    assert model.best_validation_score_ == max(scores)
    best = 1 + int(np.argmax(scores))
    options |= {"tol": 0.0, "n_iter_no_change": 100, "max_iter": best}
    until_then = NetClassifier((16,), random_state=0, **options).fit(FEW_X, FEW_Y)
    assert bits(until_then.params_) == bits(model.params_)
    still = model.set_params(early_stopping=False, learning_rate_init=0.0).partial_fit(FEW_X, FEW_Y)
    assert bits(until_then.params_) == bits(still.params_)
    with pytest.raises(ValueError, match="too few"):
        NetClassifier(early_stopping=True).fit(FEW_X, np.arange(300) == 0)
    assert NetClassifier(**QUICK).fit(FEW_X, FEW_Y).validation_scores_ is None


@pytest.mark.parametrize(("model", "y"), [(NetClassifier, (NUMBERS_Y > 0)), (NetRegressor, NUMBERS_Y)])
def test_weights_count_in_validation_too(model, y):
    weight, untrained = np.linspace(0, 1, len(y)), {"learning_rate_init": 0.0, "max_iter": 2, "random_state": 0}
    model = model(early_stopping=True, **untrained)
    even, weighted = (clone(model).fit(NUMBERS_X[1:], y[1:], w).validation_scores_ for w in (None, weight[1:]))
    assert even[0] == even[1] != weighted[0] == weighted[1]


def test_it_stops_when_the_loss_does_and_warns_if_it_does_not():
    model = NetClassifier(learning_rate_init=0.01, tol=0.05, random_state=0).fit(FEW_X, FEW_Y)
    assert model.n_iter_ < 100
    for change in (1, 3):
        both = [kind(tol=10, n_iter_no_change=change).fit(FEW_X, FEW_Y) for kind in (NetClassifier, MLPClassifier)]
        assert both[0].n_iter_ == both[1].n_iter_
    with pytest.warns(ConvergenceWarning, match="after the 2 epochs of max_iter"):
        NetClassifier(max_iter=2).fit(FEW_X, FEW_Y)


def test_class_weights_are_sample_weights():
    y = (FEW_Y == 3).astype(int)
    balanced = NetClassifier(class_weight="balanced", **QUICK).fit(FEW_X, y)
    by_class = {0: len(y) / (2 * (1 - y).sum()), 1: len(y) / (2 * y.sum())}
    for same in (
        NetClassifier(class_weight=by_class, **QUICK).fit(FEW_X, y),
        NetClassifier(**QUICK).fit(FEW_X, y, [by_class[label] for label in y]),
    ):
        np.testing.assert_allclose(same.predict_proba(X), balanced.predict_proba(X), rtol=1e-9)
    weight = np.linspace(0, 1, len(y))
    both = NetClassifier(class_weight=by_class, **QUICK).fit(FEW_X, y, weight)
    product = NetClassifier(**QUICK).fit(FEW_X, y, weight * [by_class[label] for label in y])
    np.testing.assert_allclose(both.predict_proba(X), product.predict_proba(X), rtol=1e-9)
    few_epochs = {**QUICK, "max_iter": 2}
    assert (
        NetClassifier(class_weight="balanced", **few_epochs).fit(FEW_X, y).predict(FEW_X)[y == 1].mean()
        > NetClassifier(**few_epochs).fit(FEW_X, y).predict(FEW_X)[y == 1].mean()
    )


def test_examples_of_weight_0_are_not_there():
    weight, options = np.arange(300) % 3, QUICK | {"batch_size": 32}
    some = weight > 0
    model = NetClassifier(**options).fit(FEW_X, FEW_Y, weight)
    assert bits(model.params_) == bits(NetClassifier(**options).fit(FEW_X[some], FEW_Y[some], weight[some]).params_)


def test_several_labels_and_several_numbers():
    x, labels = make_multilabel_classification(200, 8, n_classes=4, random_state=0)
    options = {"learning_rate_init": 0.02, "max_iter": 200, "random_state": 0}
    model, mlp = NetClassifier(**options).fit(x, labels), MLPClassifier(**options).fit(x, labels)
    assert model.predict(x).shape == model.predict_proba(x).shape == (200, 4)
    assert model.predict(x).dtype == mlp.predict(x).dtype
    assert model.classes_.tolist() == mlp.classes_.tolist()
    assert model.score(x, labels) > mlp.score(x, labels) - 0.05
    assert (model.predict(x) == (model.predict_proba(x) > 0.5)).all()
    np.testing.assert_allclose(np.exp(model.predict_log_proba(x)), model.predict_proba(x))
    y = np.stack([NUMBERS_Y, -NUMBERS_Y, 2 * NUMBERS_Y], axis=1)
    numbers = NetRegressor(**options).fit(NUMBERS_X, y)
    assert numbers.predict(NUMBERS_X).shape == y.shape
    assert numbers.score(NUMBERS_X, y) > 0.5
    objects = NetRegressor(**QUICK).fit(NUMBERS_X, NUMBERS_Y.astype(object))
    assert bits(objects.params_) == bits(NetRegressor(**QUICK).fit(NUMBERS_X, NUMBERS_Y).params_)


def test_layers_and_dropout_of_each_hidden_layer():
    model = NetClassifier([16, 8], ["gelu", pn.prelu], dropout=[0.5, 0.0], **QUICK).fit(FEW_X, FEW_Y)
    assert model.net_.name == "serial(dense(64, 16), gelu, dropout, dense(16, 8), prelu, dense(8, 10))"
    assert bits(model.predict_proba(X)) == bits(pn.softmax.apply((), model.net_.apply(model.params_, X)))


def test_images_batch_norm_and_optimizers():
    for solver in (pn.adamw(3e-3), pn.sgd(pn.schedules.cosine(0.1, steps=100), momentum=0.9)):
        model = NetClassifier(net=image_net, solver=solver, max_iter=20, random_state=0)
        assert clone(model).fit(X[:1000], Y[:1000]).score(X[1000:], Y[1000:]) > 0.8
    net = pn.serial(pn.dense(32), pn.batch_norm, pn.relu, pn.dense(10))
    assert NetClassifier(net=net, **QUICK).fit(FEW_X, FEW_Y).score(X, Y) > 0.8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_computes_in_the_dtype_of_x(dtype):
    model = NetClassifier(**QUICK).fit(FEW_X.astype(dtype), FEW_Y)
    assert {leaf.dtype for leaf in pn.tree.leaves(model.params_)} == {np.dtype(dtype)}
    assert model.predict_proba(X).dtype == dtype
    y = NetRegressor(**QUICK).fit(FEW_X.astype(dtype), FEW_Y).predict(X)
    assert (y.dtype, y.shape) == (dtype, Y.shape)


def test_a_random_state_says_everything():
    def params(state):
        return bits(NetClassifier(**(QUICK | {"random_state": state, "dropout": 0.5})).fit(FEW_X, FEW_Y).params_)

    assert params(3) == params(3) == params(np.random.RandomState(3)) != params(4)
    assert params(None) != params(None)


def test_verbose_tells_each_epoch(capsys):
    NetClassifier(verbose=True, early_stopping=True, **QUICK).fit(FEW_X, FEW_Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("epoch 1: loss 2.")
    assert "validation score 0." in lines[0]


# errors, and what an import brings

WRONG = {
    "no epochs": (NetClassifier(max_iter=0), ValueError, "NetClassifier takes max_iter, a positive integer, not 0"),
    "half a batch": (NetClassifier(batch_size=0.5), ValueError, "takes batch_size, a positive integer, not 0.5"),
    "a negative penalty": (NetRegressor(alpha=-1), ValueError, "NetRegressor takes alpha, 0 or more, not -1"),
    "an unknown solver": (
        NetRegressor(solver="lbfgs"),
        ValueError,
        "solver 'adam', 'sgd' or an optimizer, not 'lbfgs'",
    ),
    "an unknown activation": (NetClassifier(activation="rely"), ValueError, "the name of one, such as .*, not 'rely'"),
    "a module's name": (NetClassifier(activation="np"), ValueError, "the name of one, such as .*, not 'np'"),
    "too few activations": (NetClassifier((3, 4), ["relu"]), ValueError, "one for each of 2, not 1"),
    "too many shares": (NetClassifier((3,), dropout=(0.1, 0.2)), ValueError, "dropout is one for all .*of 1, not 2"),
    "dropout of 3": (NetClassifier(dropout=3), ValueError, "dropout takes a rate from 0 to 1"),
    "a net for sizes": (
        NetClassifier(pn.dense(64, 10)),
        TypeError,
        r"sizes, not the layer dense\(64, 10\): write net=...",
    ),
    "an empty layer": (NetClassifier((0,)), ValueError, "dense takes sizes that are positive integers, not 0"),
    "a net of other outputs": (
        NetClassifier(net=pn.dense(64, 3)),
        ValueError,
        r"gives \(3,\) for 64 .* y takes \(10,\): let",
    ),
    "a net of other inputs": (NetClassifier(net=pn.dense(3, 10)), ValueError, r"takes x of shape \(\.\.\., 3\)"),
    "a function that makes no net": (NetClassifier(net=lambda n, m: n), TypeError, "but it gave 64"),
    "a rate that is too large": (
        NetRegressor(solver="sgd", learning_rate_init=1e9),
        ValueError,
        "huber.* is .*(inf|nan)",
    ),
}


def test_parameters_of_other_libraries():
    for option, here in {
        "epochs": "max_iter", "n_epochs": "max_iter", "lr": "learning_rate_init", "learning_rate": "learning_rate_init",
        "optimizer": "solver", "key": "random_state", "seed": "random_state",
    }.items():  # fmt: skip
        for make in (NetClassifier, NetRegressor):
            with pytest.raises(TypeError, match=f"^{make.__name__} has no option {option}: write {here}=...$"):
                make(**{option: 1})
    with pytest.raises(TypeError, match=r"^NetRegressor has no option oops: it has hidden_layer_sizes, activation"):
        NetRegressor(oops=1)
    assert pn.estimators.NetClassifier is NetClassifier
    with pytest.raises(AttributeError, match=r"write pn\.estimators\.NetClassifier$"):
        pn.MLPClassifier  # noqa: B018


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_wrong_parameter_says_what_is_wrong(name):
    model, error, match = WRONG[name]
    with pytest.raises(error, match=match):
        model.fit(FEW_X, FEW_Y)


def test_wrong_data_say_what_is_wrong():
    model = NetClassifier(**QUICK)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(300,\), as there are examples, not \(3,\)"):
        model.fit(FEW_X, FEW_Y, np.ones(3))
    with pytest.raises(ValueError, match="weights of 0 or more, some of them more, but found -1"):
        model.fit(FEW_X, FEW_Y, -np.ones(300))
    with pytest.raises(ValueError, match="all weights are zero"):
        model.fit(FEW_X, FEW_Y, np.zeros(300))
    with pytest.raises(ValueError, match=r"one class for each example, or 0 or 1 for each label, not shape \(300, 2\)"):
        model.fit(FEW_X, np.stack([FEW_Y, FEW_Y], axis=1))
    with pytest.raises(ValueError, match="holds out none"):
        NetClassifier(early_stopping=True).partial_fit(FEW_X, FEW_Y, classes=np.arange(10))
    with pytest.raises(ValueError, match="class_weight to a dict"):
        NetClassifier(class_weight="balanced").partial_fit(FEW_X, FEW_Y, classes=np.arange(10))


def test_without_scikit_learn_it_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import purenet; import purenet.estimators"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip().endswith(
        "ModuleNotFoundError: purenet.estimators needs scikit-learn, 1.6 or newer: pip install 'purenet[sklearn]'"
    )
