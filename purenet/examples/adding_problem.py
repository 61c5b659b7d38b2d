"""The adding problem: LSTM and GRU remember two numbers among a hundred, and a plain RNN does not.

python -m purenet.examples.adding_problem

Each step of a sequence has a number from 0 to 1, and a mark; two steps are marked, one in each half. The net is to give
the sum of the two marked numbers at the end. Who always says 1 has an error of 1/6: so much is the variance of the sum.

S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997.
"""

import time
from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure


def sequences(key: Any, count: int, length: int) -> tuple[Any, Any]:
    """Sequences (count, length, 2), and the sums (count, 1)."""
    number_key, first_key, second_key = pn.split(key, 3)
    numbers = pn.random.uniform(number_key, (count, length))
    first = pn.random.randint(first_key, (count,), 0, length // 2)
    second = pn.random.randint(second_key, (count,), length // 2, length)
    marks = pn.data.one_hot(first, length) + pn.data.one_hot(second, length)
    return np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1, keepdims=True)


def train(layer: Any, length: int, steps: int, seed: int) -> tuple[list[float], Any]:
    """The error on unseen sequences every hundred steps, and the params."""
    net = pn.serial(layer(2, 64, last=True), pn.dense(64, 1))
    optimizer = pn.chain(pn.clip_by_global_norm(1.0), pn.adam(lr=0.003))
    unseen, target = sequences(pn.key(seed + 1), 500, length)
    fresh = (sequences(key, 32, length) for key in pn.split(pn.key(seed), steps))
    errors = []
    for state in pn.train(net, pn.mse, optimizer, net.init(pn.key(seed)), fresh, key=pn.key(seed), epochs=1):
        if state.step % 100 == 0:
            errors.append(float(pn.mse.apply(net.apply(state.params, unseen), target)))
            if state.step % 500 == 0:
                print(
                    f"{layer.__name__:4} step {state.step:5,}   error on unseen sequences {errors[-1]:.4f}", flush=True
                )
    return errors, state.params


def main() -> None:
    parser = command.parser(__doc__, "adding_problem.png")
    parser.add_argument("--length", type=int, default=100, help="how long the sequences are")
    parser.add_argument("--steps", type=int, default=4000, help="how many batches of 32 fresh ones")
    options = parser.parse_args()
    length, steps = (10, 1000) if options.quick else (options.length, options.steps)

    curves = {}
    for layer in (pn.rnn, pn.gru, pn.lstm):
        start = time.perf_counter()
        errors, _ = train(layer, length, steps, options.seed)
        curves[layer.__name__.upper()] = errors
        print(f"{layer.__name__}: error {errors[-1]:.4f} at length {length}, {time.perf_counter() - start:.0f} s")
    if pn.plotting.is_available():
        figure = new_figure(8, 5)
        ax = figure.subplots()
        for name, errors in curves.items():
            ax.semilogy(100 * np.arange(1, len(errors) + 1), errors, label=name)
        ax.axhline(1 / 6, color="black", linestyle="--", label="always 1")
        ax.set(title=f"The adding problem, length {length}", xlabel="step", ylabel="error on unseen sequences")
        ax.legend()
        command.keep(figure, options.plot)


if __name__ == "__main__":
    main()
