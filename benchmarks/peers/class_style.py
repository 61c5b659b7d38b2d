"""The class design of the video: each layer keeps its input, and `backward` updates the weights and returns dE/dX.

Column vectors, one sample a step, dE/dX from the weights before they are updated, as its correction has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contest import Entry
from benchmarks.works import Work


class Dense:
    def __init__(self, weights: Any, bias: Any) -> None:
        self.weights = weights
        self.bias = bias

    def forward(self, input: Any) -> Any:
        self.input = input
        return np.dot(self.weights, self.input) + self.bias

    def backward(self, output_gradient: Any, learning_rate: float) -> Any:
        weights_gradient = np.dot(output_gradient, self.input.T)
        input_gradient = np.dot(self.weights.T, output_gradient)
        self.weights -= learning_rate * weights_gradient
        self.bias -= learning_rate * output_gradient
        return input_gradient


class Activation:
    def __init__(self, activation: Callable[[Any], Any], derivative: Callable[[Any], Any]) -> None:
        self.activation = activation
        self.derivative = derivative

    def forward(self, input: Any) -> Any:
        self.input = input
        return self.activation(self.input)

    def backward(self, output_gradient: Any, learning_rate: float) -> Any:
        return np.multiply(output_gradient, self.derivative(self.input))


class Tanh(Activation):
    def __init__(self) -> None:
        super().__init__(lambda x: np.tanh(x), lambda x: 1 - np.tanh(x) ** 2)


def mse(target: Any, output: Any) -> Any:
    return np.mean(np.power(target - output, 2))


def mse_derivative(target: Any, output: Any) -> Any:
    return 2 * (output - target) / np.size(target)


def start(work: Work, params: Any) -> Entry:
    first, _, second, _ = params
    dense = [Dense(p.weight.T.copy(), p.bias[:, None].copy()) for p in (first, second)]
    network = [dense[0], Tanh(), dense[1], Tanh()]
    samples = [(x.T.copy(), target.T.copy()) for x, target in work.batches]

    def predict(output: Any) -> Any:
        for layer in network:
            output = layer.forward(output)
        return output

    def epoch() -> float:
        error = 0.0
        for x, target in samples:
            output = predict(x)
            error += mse(target, output)
            gradient = mse_derivative(target, output)
            for layer in reversed(network):
                gradient = layer.backward(gradient, work.lr)
        return error / len(samples)

    x, target = samples[0]
    return Entry(epoch, lambda: mse(target, predict(x)))
