"""Nets as estimators of scikit-learn (extra `sklearn`): `NetClassifier` and `NetRegressor`.

They stand wherever scikit-learn's MLPClassifier and MLPRegressor do: in pipelines, cross-validation, grid searches.
These parameters mean what they mean there:

    hidden_layer_sizes, alpha, batch_size, learning_rate_init, max_iter, shuffle, random_state, tol, verbose,
    early_stopping, validation_fraction, n_iter_no_change

and these take more, or are new:

    activation      a layer, as pn.gelu, or the name of one; or a sequence of them, one for each hidden layer
    dropout         the share that is dropped after each activation in training; or a sequence of shares
    solver          "adam", "sgd" (with Nesterov's momentum of 0.9), or an optimizer, as pn.adamw(3e-3), whose own
                    learning rate counts, and may be a schedule
    loss            a loss of the net's outputs and the target, one of this library if there are weights; by default, as
                    in scikit-learn, the cross-entropy of logits, and half of the mean square
    net             a layer, or a function of the numbers of inputs and outputs that makes one, in place of hidden
                    layers. Its x are rows of features, so images begin with pn.reshape(8, 8, 1), and it gives logits
    class_weight    of a classifier: a dict of weights by class, or "balanced"

They compute in the dtype of X, float64 or float32. What is learnt, beside what every estimator has:

    net_, params_                               the layer and its parameters, as net_.apply(params_, x) takes them
    loss_curve_, loss_, best_loss_              each epoch's mean loss, with the penalty of alpha; the last; the least
    validation_scores_, best_validation_score_  each epoch's accuracy or R² on what early_stopping holds out, or None
    n_iter_, n_outputs_                         how many epochs, and outputs
"""

from __future__ import annotations

import warnings
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any

import numpy as np

from purenet import tree
from purenet.combinators import serial
from purenet.core import Layer, Loss, Optimizer
from purenet.data import batches
from purenet.data.arrays import check_positive
from purenet.layers import activations
from purenet.layers.dense import dense
from purenet.layers.dropout import dropout as dropout_layer
from purenet.losses import binary_cross_entropy_with_logits, huber, softmax_cross_entropy, weighted
from purenet.optimizers import adam, sgd
from purenet.random import key, split
from purenet.training import l2
from purenet.training.loop import predict, start, train
from purenet.training.runs import State
from purenet.values import brief, hinted

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import accuracy_score, r2_score
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelEncoder
    from sklearn.utils import check_array, check_random_state, compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError:
    wanted = "purenet.estimators needs scikit-learn, 1.6 or newer: pip install 'purenet[sklearn]'"
    raise ModuleNotFoundError(wanted) from None

__all__ = ["NetClassifier", "NetRegressor"]
DTYPES = [np.float64, np.float32]


@dataclass(eq=False, repr=False)
class _Net(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the two have in common: parameters, data, the net, training."""

    hidden_layer_sizes: Any = (100,)
    activation: Any = "relu"
    _: KW_ONLY
    dropout: Any = 0.0
    net: Any = None
    loss: Loss | None = None
    solver: Any = "adam"
    alpha: float = 0.0001
    batch_size: Any = "auto"
    learning_rate_init: float = 0.001
    max_iter: int = 200
    shuffle: bool = True
    random_state: Any = None
    tol: float = 1e-4
    verbose: bool = False
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on X (n, features) and y, until nothing gets better or for max_iter epochs.

        sample_weight (n,) says how much each example counts.
        """
        if not self._learn(X, y, sample_weight, self.max_iter, anew=True):
            told = f"after the {self.max_iter} epochs of max_iter the loss still gets better"
            warnings.warn(told, ConvergenceWarning, stacklevel=2)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Any:
        if self.early_stopping or getattr(self, "class_weight", None) == "balanced":
            raise ValueError(
                "partial_fit sees a part of the data, so it holds out none and cannot balance classes: "
                "set early_stopping=False, and class_weight to a dict"
            )
        self._learn(X, y, sample_weight, 1, not hasattr(self, "params_"), classes)
        return self

    def _learn(self, X: Any, y: Any, sample_weight: Any, epochs: int, anew: bool, classes: Any = None) -> bool:
        """Train for some epochs, or until nothing gets better: whether it came to that."""
        self._check()
        x, y = validate_data(self, X, y, reset=anew, dtype=DTYPES, multi_output=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if anew:
            self._learn_outputs(y, classes)
            self._begin(x)
        data, held_out = self._examples(x, y, self._weight(y, sample_weight, x.dtype)), None
        if self.early_stopping:
            data, held_out = self._hold_out(data)
        return self._run(data, held_out, epochs)

    # the data

    def _check(self) -> None:
        """Check what no layer, optimizer or splitter checks."""
        who = type(self).__name__
        size = 1 if self.batch_size == "auto" else self.batch_size
        check_positive(who, max_iter=self.max_iter, n_iter_no_change=self.n_iter_no_change, batch_size=size)
        if not self.alpha >= 0:
            raise ValueError(f"{who} takes alpha, 0 or more, not {self.alpha!r}")

    def _weight(self, y: Any, sample_weight: Any, dtype: Any) -> Any:
        """How much each example counts, or None."""
        class_weight = getattr(self, "class_weight", None)
        if sample_weight is None and class_weight is None:
            return None
        weight = np.ones(len(y), dtype)
        if sample_weight is not None:
            weight = check_array(sample_weight, ensure_2d=False, dtype=dtype, input_name="sample_weight")
            if weight.shape != (len(y),):
                raise ValueError(f"sample_weight has shape ({len(y)},), as there are examples, not {weight.shape}")
        if class_weight is not None:
            weight = weight * compute_sample_weight(class_weight, y)
        if (weight < 0).any() or not weight.any():
            wrong = f"found {weight.min():g}" if weight.any() else "all weights are zero"
            raise ValueError(f"{type(self).__name__} takes weights of 0 or more, some of them more, but {wrong}")
        return weight

    def _examples(self, x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """(x, target), or (x, target, weight) of the examples that count, in the net's dtype."""
        x, target = x.astype(self._dtype, copy=False), self._target(y)
        if weight is None:
            return x, target
        counts = weight != 0
        return x[counts], target[counts], weight[counts]

    def _hold_out(self, data: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Examples to train on, and those to validate on."""
        by_class = data[1] if isinstance(self, ClassifierMixin) and data[1].ndim == 1 else None
        share, seed = self.validation_fraction, self._seed
        parts = train_test_split(*data, test_size=share, random_state=seed, stratify=by_class)
        return tuple(parts[::2]), tuple(parts[1::2])

    # the net

    def _begin(self, x: Any) -> None:
        """A new net, and the state of a run that has not begun."""
        self._dtype, inputs = x.dtype, x.shape[1]
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        init_key, run_key = split(key(self._seed))
        self.net_ = self._made_net(inputs, self.n_outputs_)
        params = tree.cast(self.net_.init(init_key, (inputs,)), self._dtype)
        self._state: State[Any] = start(self._optimizer(), params, run_key)
        self.n_iter_, self.best_loss_ = 0, np.inf
        self.loss_curve_: list[float] = []
        self.validation_scores_: Any = [] if self.early_stopping else None
        self.best_validation_score_: Any = -np.inf if self.early_stopping else None

    def _made_net(self, inputs: int, outputs: int) -> Layer[Any]:
        """The net of `net`, or of hidden layers."""
        if self.net is None:
            return self._of_hidden_layers(inputs, outputs)
        net = self.net if isinstance(self.net, Layer) else self.net(inputs, outputs)
        if not isinstance(net, Layer):
            raise TypeError(f"net is a layer, or a function (inputs, outputs) that makes one, but it gave {net!r}")
        shape = net.shape((inputs,))
        if shape not in (None, (outputs,)):
            mend = "let net be a function of the numbers of inputs and outputs"
            raise ValueError(f"{net.name} gives {shape} for {inputs} features, but y takes ({outputs},): {mend}")
        return net

    def _of_hidden_layers(self, inputs: int, outputs: int) -> Layer[Any]:
        given = self.hidden_layer_sizes
        if isinstance(given, Layer):
            raise TypeError(f"hidden_layer_sizes takes sizes, not the layer {brief(given.name)}: write net=...")
        sizes = [int(size) for size in ([given] if isinstance(given, Integral) else given)]
        activation, rates = _each("activation", self.activation, sizes), _each("dropout", self.dropout, sizes)
        layers: list[Layer[Any]] = []
        for size, which, rate in zip(sizes, activation, rates, strict=True):
            layers += [dense(inputs, size), _activation(which), *([dropout_layer(rate)] if rate else [])]
            inputs = size
        return serial(*layers, dense(inputs, outputs))

    def _optimizer(self) -> Optimizer[Any, Any]:
        if isinstance(self.solver, Optimizer):
            return self.solver
        if self.solver == "adam":
            return adam(self.learning_rate_init)
        if self.solver == "sgd":
            return sgd(self.learning_rate_init, momentum=0.9, nesterov=True)
        raise ValueError(f"{type(self).__name__} takes a solver 'adam', 'sgd' or an optimizer, not {self.solver!r}")

    # training

    def _run(self, data: tuple[Any, ...], held_out: tuple[Any, ...] | None, epochs: int) -> bool:
        x, target, *weight = data
        size = min(200 if self.batch_size == "auto" else int(self.batch_size), len(x))
        sizes = [min(size, len(x) - begin) for begin in range(0, len(x), size)]
        loss, target = self.loss or self._default_loss(), (target, *weight) if weight else target
        counts = size * float(weight[0].mean()) if weight else size
        run = train(
            self.net_,
            weighted(loss) if weight else loss,
            self._optimizer(),
            self._state.params,
            lambda key: batches(key if self.shuffle else None, x, target, size=size),
            key=self._state.key,
            epochs=self._state.epoch + epochs,
            penalties=[l2(float(self.alpha) / (2 * counts))] if self.alpha else [],
            resume=self._state,
        )
        since, best, losses = 0, self._state.params, []
        for state in run:
            losses.append(state.loss)
            if state.batch:
                continue
            self._state, self.params_, self.n_iter_ = state, state.params, state.epoch
            improved, is_best = self._note(float(np.average(losses, weights=sizes)), held_out)
            since, best, losses = 0 if improved else since + 1, state.params if is_best else best, []
            if since > self.n_iter_no_change:
                break
        if held_out:
            self._state, self.params_ = self._state._replace(params=best), best
        self.loss_ = self.loss_curve_[-1]
        return since > self.n_iter_no_change

    def _note(self, loss: float, held_out: tuple[Any, ...] | None) -> tuple[bool, bool]:
        """Record an epoch: whether it is better by more than tol, and whether it is the best."""
        told = f"epoch {self.n_iter_}: loss {loss:.6g}"
        better = self.best_loss_ - loss
        self.loss_curve_.append(loss)
        self.best_loss_ = min(loss, self.best_loss_)
        if held_out:
            x, target, *weight = held_out
            score = self._scored(target, predict(self.net_, self.params_, x), *weight)
            better = score - self.best_validation_score_
            self.validation_scores_.append(score)
            self.best_validation_score_ = max(score, self.best_validation_score_)
            told += f", validation score {score:.6g}"
        if self.verbose:
            print(told)
        return better >= self.tol, better > 0

    def _outputs(self, X: Any) -> Any:
        check_is_fitted(self)
        x = validate_data(self, X, reset=False, dtype=DTYPES)
        return predict(self.net_, self.params_, x.astype(self._dtype, copy=False))


def _each(name: str, given: Any, sizes: list[int]) -> list[Any]:
    """One for each hidden layer: those of a sequence, or the same for all."""
    several = isinstance(given, list | tuple) and not isinstance(given, Layer)
    if several and len(given) != len(sizes):
        raise ValueError(f"{name} is one for all hidden layers, or one for each of {len(sizes)}, not {len(given)}")
    return list(given) if several else [given] * len(sizes)


def _activation(given: Any) -> Layer[Any]:
    """A layer, or the activation of this name."""
    layer = getattr(activations, "sigmoid" if given == "logistic" else given, None) if type(given) is str else given
    if not isinstance(layer, Layer):
        raise ValueError(f"activation is a layer, or the name of one, such as 'relu', 'gelu' or 'tanh', not {given!r}")
    return layer


@dataclass(eq=False, repr=False)
class NetClassifier(ClassifierMixin, _Net):  # type: ignore[misc]
    """A net that tells classes apart, or, if y is a matrix of 0 and 1, says which labels apply.

    The parameters are those of `help("purenet.estimators")`.

    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> model = NetClassifier((16, 8), ("relu", "tanh"), learning_rate_init=0.03, max_iter=1000, random_state=0)
    >>> model.fit(x, y).net_
    serial(dense(4, 16), relu, dense(16, 8), tanh, dense(8, 3))
    >>> bool(model.score(x, y) > 0.9)
    True
    """

    _: KW_ONLY
    class_weight: Any = None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """One epoch over a part of the data; the first call needs all `classes`, unless y is a matrix of labels."""
        if not hasattr(self, "classes_") and classes is None and type_of_target(y) != "multilabel-indicator":
            raise ValueError("the first call of partial_fit takes all classes: write partial_fit(X, y, classes=...)")
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> Any:
        """The class of each example; of labels, a matrix of 0 and 1."""
        found = self._found(self._outputs(X))
        return found if self._encoder is None else self.classes_[found]

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class, in the order of `classes_`, or of each label."""
        outputs = self._outputs(X)
        return (activations.softmax if self._encoder else activations.sigmoid).apply((), outputs)

    def predict_log_proba(self, X: Any) -> Any:
        """Its logarithm, which is finite also where a probability is too small for a number."""
        outputs = self._outputs(X)
        return (activations.log_softmax if self._encoder else activations.log_sigmoid).apply((), outputs)

    def _learn_outputs(self, y: Any, classes: Any) -> None:
        check_classification_targets(y)
        labels = type_of_target(y) == "multilabel-indicator"
        if y.ndim != 1 and not labels:
            raise ValueError(f"y has one class for each example, or 0 or 1 for each label, not shape {y.shape}")
        self._encoder = None if labels else LabelEncoder().fit(y if classes is None else classes)
        self.classes_ = np.arange(y.shape[1]) if self._encoder is None else self._encoder.classes_
        self.n_outputs_ = len(self.classes_)

    def _target(self, y: Any) -> Any:
        return y.astype(self._dtype) if self._encoder is None else self._encoder.transform(y)

    def _default_loss(self) -> Loss:
        return binary_cross_entropy_with_logits if self._encoder is None else softmax_cross_entropy

    def _found(self, outputs: Any) -> Any:
        """The number of each class, or 0 and 1 for each label."""
        return (outputs > 0).astype(int) if self._encoder is None else outputs.argmax(axis=1)

    def _scored(self, target: Any, outputs: Any, weight: Any = None) -> float:
        return float(accuracy_score(target, self._found(outputs), sample_weight=weight))


@dataclass(eq=False, repr=False)
class NetRegressor(RegressorMixin, _Net):  # type: ignore[misc]
    """A net that finds a number for each example, or several.

    The parameters are those of `help("purenet.estimators")`.

    >>> from sklearn.datasets import make_regression
    >>> x, y = make_regression(100, 3, random_state=0)
    >>> model = NetRegressor(32, learning_rate_init=0.1, max_iter=1000, random_state=0).fit(x, y)
    >>> bool(model.score(x, y) > 0.9)
    True
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch over a part of the data."""
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> Any:
        """The number for each example, or its row of numbers."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs

    def _learn_outputs(self, y: Any, classes: Any) -> None:
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]

    def _target(self, y: Any) -> Any:
        return y.reshape(len(y), -1).astype(self._dtype)

    def _default_loss(self) -> Loss:
        return huber(delta=np.inf)

    def _scored(self, target: Any, outputs: Any, weight: Any = None) -> float:
        return float(r2_score(target, outputs, sample_weight=weight))


_kind: Any
for _kind in (NetClassifier, NetRegressor):
    _kind.__init__ = hinted(_kind.__init__)
