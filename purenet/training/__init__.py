"""From a net to trained params: the gradient of a loss, the loop, and `fit` on top of it."""

from purenet.training.chunks import in_chunks
from purenet.training.fitting import fit
from purenet.training.gradient import value_and_grad
from purenet.training.loop import evaluate, predict, start, train
from purenet.training.penalties import Penalty, l1, l2
from purenet.training.runs import Fit, State
from purenet.training.steps import NotFiniteError

__all__ = [
    "Fit",
    "NotFiniteError",
    "Penalty",
    "State",
    "evaluate",
    "fit",
    "in_chunks",
    "l1",
    "l2",
    "predict",
    "start",
    "train",
    "value_and_grad",
]
