"""scikit-learn's MLP. `partial_fit` on the whole epoch: the loop over its batches is scikit-learn's own.

Its arithmetic is ours, with these allowances. The regressor's loss is half the squared error, averaged over the rows
alone: the learning rate (for SGD) and epsilon (for Adam) make up for that. It has L2 (set to 0), momentum (set to 0)
and shuffling (off). Its Adam adds epsilon to √v without the correction of v: it is given what the others have at their
first step, and what they have later is too small to see. It can only have the identity after a regressor's last layer
and softmax after a classifier's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

import purenet as pn
from benchmarks.contest import Entry
from benchmarks.works import Work


def build(work: Work, params: Any) -> Any:
    weights = [np.array(p) for p in pn.tree.leaves(params)]
    outputs, batch = weights[-1].size, len(work.batches[0][0])
    kind, factor = (MLPRegressor, 2 / outputs) if work.loss == "mse" else (MLPClassifier, 1.0)
    model = kind(
        hidden_layer_sizes=tuple(b.size for b in weights[1:-1:2]),
        activation=work.hidden,
        solver=work.optimizer,
        alpha=0,
        batch_size=batch,
        learning_rate_init=work.lr * (factor if work.optimizer == "sgd" else 1),
        momentum=0,
        nesterovs_momentum=False,
        shuffle=False,
        epsilon=1e-8 / factor * (1 - 0.999) ** 0.5,
        random_state=0,
    )
    x, target = work.batches[0]
    fit(model, x, target)  # makes its arrays, which only then can be replaced
    model.coefs_, model.intercepts_ = weights[::2], weights[1::2]
    del model._optimizer  # made anew, for these weights, by the next call
    return model


def fit(model: Any, x: Any, target: Any) -> None:
    model.partial_fit(x, target, **({"classes": np.arange(10)} if isinstance(model, MLPClassifier) else {}))


def start(work: Work, params: Any) -> Entry:
    model = build(work, params)
    x, target = (np.concatenate(parts) for parts in zip(*work.batches, strict=True))

    def loss() -> float:
        x, target = work.batches[0]
        if work.loss == "mse":
            return float(np.mean((model.predict(x) - target) ** 2))
        return float(-np.mean(np.log(model.predict_proba(x)[np.arange(len(x)), target])))

    return Entry(lambda: fit(model, x, target), loss)


def predict(work: Work, params: Any) -> Callable[[], Any]:
    """Probabilities, the least that the model gives: a softmax more than the others compute."""
    model, x = build(work, params), work.batches[0][0][:1].copy()
    return lambda: model.predict_proba(x)
