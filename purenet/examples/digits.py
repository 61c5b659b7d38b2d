"""Handwritten digits: a dense net trained with mini-batches, tested on images that it has not seen.

python -m purenet.examples.digits
"""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import purenet as pn

net = pn.serial(pn.dense(64, 128), pn.relu, pn.dense(10))


def train(x: Any, target: Any, seed: int = 0, epochs: int = 40, size: int = 32, lr: float = 0.5) -> Iterator[Any]:
    """Params and error after each epoch. Noise on the images makes the net generalize; smaller steps let it rest."""
    key, init_key = pn.split(pn.key(seed))
    params = net.init(init_key)
    value_and_grad = pn.value_and_grad(net, pn.softmax_cross_entropy)
    for epoch in range(epochs):
        key, order_key, noise_key = pn.split(key, 3)
        order = pn.random.permutation(order_key, len(x))
        noisy = x + 0.2 * pn.random.normal(noise_key, x.shape)
        for start in range(0, len(x), size):
            batch = order[start : start + size]
            E, grads = value_and_grad(params, noisy[batch], target[batch])
            params = pn.sgd_step(params, grads, lr * (1 - epoch / epochs))
        yield params, E


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the seed of the random key")
    parser.add_argument("--plot", default="digits.png", help="where to draw (needs: pip install 'purenet[plot]')")
    options = parser.parse_args()

    (x, target), (x_test, target_test) = pn.data.digits()
    start = time.perf_counter()
    for epoch, (params, E) in enumerate(train(x, target, options.seed), 1):
        predicted = net.apply(params, x_test).argmax(axis=1)
        accuracy = (predicted == target_test).mean()
        line = f"epoch {epoch:3}   error of the last batch {E:.4f}   accuracy on unseen digits {accuracy:6.2%}"
        print(line, end="\r" if sys.stdout.isatty() else "\n", flush=True)
    print(f"\n{accuracy:.2%} of {len(x_test)} unseen digits are right, after {time.perf_counter() - start:.1f} s")

    print("digit, and what it was taken for:\n   " + "".join(f"{digit:4}" for digit in range(10)))
    for digit, row in enumerate(pn.metrics.confusion_matrix(predicted, target_test)):
        print(f"{digit:3}" + "".join(f"{count:4}" if count else "   ." for count in row))
    if pn.plotting.is_available():
        (wrong,) = (predicted != target_test).nonzero()
        titles = [f"{target_test[i]} as {predicted[i]}" for i in wrong]
        pn.plotting.image_grid(x_test[wrong].reshape(-1, 8, 8), titles).savefig(options.plot)
        print(f"drew the mistakes: {options.plot}")


if __name__ == "__main__":
    main()
