"""From a net to trained params: the gradient of a loss, the loop, and `fit` on top of it.

What runs a loop is imported when it is needed, by `purenet.names`.
"""

from purenet.training.gradient import NotFiniteError, value_and_grad
from purenet.training.penalties import Penalty, l1, l2

__all__ = ["NotFiniteError", "Penalty", "l1", "l2", "value_and_grad"]
