"""XOR, the net of the video: 2-3-1, tanh, mean squared error, learning rate 0.1, one sample at a time, 10,000 epochs.

python -m purenet.examples.xor              as in the video; --batch 2 for mini-batches, --batch 4 for the full batch
python -m purenet.examples.xor --keys 100   how many of 100 keys end below an error of 0.001
"""

import argparse
from typing import Any

import numpy as np

import purenet as pn

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
target = np.array([[0], [1], [1], [0]], np.float32)
net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh)


def train(seed: int, batch: int = 1, epochs: int = 10_000, lr: float = 0.1, verbose: bool = False) -> Any:
    """The params after each epoch, and the error of each."""
    params = net.init(pn.key(seed))
    value_and_grad = pn.value_and_grad(net, pn.mse)
    learnt, errors = [], [0.0] * epochs
    for epoch in range(epochs):
        for start in range(0, len(x), batch):
            E, grads = value_and_grad(params, x[start : start + batch], target[start : start + batch])
            params = pn.sgd_step(params, grads, lr)
            errors[epoch] += E * batch / len(x)
        learnt.append(params)
        if verbose and (epoch + 1) % (epochs // 10) == 0:
            print(f"epoch {epoch + 1:6,}   error {errors[epoch]:.6f}")
    return learnt, errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1, choices=[1, 2, 4], help="samples a step")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the random key")
    parser.add_argument("--keys", type=int, help="train with this many keys, and count")
    parser.add_argument("--plot", default="xor.png", help="where to draw (needs: pip install 'purenet[plot]')")
    parser.add_argument("--gif", help="where to draw the decision boundary as it is learnt")
    options = parser.parse_args()
    if options.keys:
        ends = [train(seed, options.batch)[1][-1] for seed in range(options.keys)]
        print(f"{sum(end < 1e-3 for end in ends)} of {options.keys} keys end below 0.001")
        return
    learnt, errors = train(options.seed, options.batch, verbose=True)
    for inputs, output in zip(x, net.apply(learnt[-1], x), strict=True):
        print(f"{inputs[0]:.0f} xor {inputs[1]:.0f} = {output[0]:+.3f}")
    if pn.plotting.is_available():
        pn.plotting.overview(errors, lambda points: net.apply(learnt[-1], points), x, target).savefig(options.plot)
        print(f"drew {options.plot}")
        if options.gif:
            frames = {f"epoch {i:,}": learnt[i - 1] for i in np.geomspace(1, len(learnt), 80).astype(int)}
            pn.plotting.boundary_animation(net.apply, frames, x, target, options.gif)


if __name__ == "__main__":
    main()
