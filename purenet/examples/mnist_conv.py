"""MNIST by convolutions: LeNet-5; and the net of the video's repository, which tells 0 from 1.

python -m purenet.examples.mnist_conv

The repository's net is one convolution of five 3×3 kernels, sigmoid, a dense layer of 100, sigmoid, and two outputs
with sigmoid under binary cross-entropy; it is trained on 100 images of each class, one a step, for 20 epochs.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", 1998, with relu
and max pooling as is usual since.
"""

import time
from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

lenet = pn.serial(
    pn.serial(pn.conv(6, 5, padding=2), pn.relu, pn.max_pool(2)),
    pn.serial(pn.conv(16, 5), pn.relu, pn.max_pool(2)),
    pn.serial(pn.flatten, pn.dense(120), pn.relu, pn.dense(84), pn.relu, pn.dense(10)),
)
zero_or_one = pn.serial(
    pn.serial(pn.conv(5, 3), pn.sigmoid, pn.flatten),
    pn.serial(pn.dense(100), pn.sigmoid, pn.dense(2), pn.sigmoid),
)


def images(quick: bool) -> tuple[Any, Any]:
    """Images (n, side, side, 1) and labels, for training and for testing; the small digits are made larger."""
    (x, target), (x_test, target_test) = pn.data.digits() if quick else pn.data.mnist()
    side, times = int(x.shape[1] ** 0.5), 4 if quick else 1
    x, x_test = (a.reshape(-1, side, side, 1).repeat(times, 1).repeat(times, 2) for a in (x, x_test))
    return (x, target), (x_test, target_test)


def train_zero_or_one(data: Any, seed: int, count: int, epochs: int) -> Any:
    """The params after training on so many images of each class, one a step."""
    x, target = data
    picked = np.concatenate([np.flatnonzero(target == label)[:count] for label in (0, 1)])
    params = zero_or_one.init(pn.key(seed), x.shape[1:])
    of_two = x[picked], pn.data.one_hot(target[picked], 2)
    run: dict[str, Any] = {"key": pn.key(seed), "epochs": epochs, "batch_size": 1}
    return pn.fit(zero_or_one, pn.binary_cross_entropy, pn.sgd(0.1), params, of_two, **run).params


def train(data: Any, unseen: Any, seed: int, epochs: int, size: int = 64) -> Any:
    """What `fit` gives."""
    key, init_key = pn.split(pn.key(seed))
    params = lenet.init(init_key, data[0].shape[1:])
    optimizer = pn.adam(pn.schedules.cosine(0.002, steps=epochs * -(-len(data[0]) // size)))
    run: dict[str, Any] = {
        "key": key,
        "epochs": epochs,
        "batch_size": size,
        "validation": unseen,
        "callbacks": [command.report],
    }
    return pn.fit(lenet, pn.softmax_cross_entropy, optimizer, params, data, **run)


def draw(params: Any, x: Any, target: Any) -> Any:
    """One digit of each kind, and what the six kernels of the first layer make of it."""
    figure = new_figure(9, 6.5)
    figure.suptitle("Digits (top), and what each kernel of LeNet's first layer makes of them")
    axes = figure.subplots(7, 10).T
    first = pn.serial(*lenet.parts[0].parts[:2])
    for label, column in enumerate(axes):
        image = x[np.flatnonzero(target == label)[:1]]
        found = first.apply(params[0][:2], image)
        pn.plotting.image_grid(image, [str(label)], axes=column[:1])
        pn.plotting.image_grid(np.moveaxis(found[0], -1, 0), axes=column[1:])
    return figure


def main() -> None:
    options = command.parser(__doc__, "mnist_conv.png").parse_args()
    data, unseen = images(options.quick)
    x_test, target_test = unseen
    start = time.perf_counter()
    params = train_zero_or_one(data, options.seed, 100, 5 if options.quick else 20)
    of_two = target_test < 2
    right = zero_or_one.apply(params, x_test[of_two]).argmax(axis=1) == target_test[of_two]
    spent = time.perf_counter() - start
    print(f"0 or 1: {right.mean():.2%} of {right.size:,} unseen ones are right, after {spent:.0f} s")

    start = time.perf_counter()
    found = train(data, unseen, options.seed, 5 if options.quick else 12)
    accuracy = pn.metrics.accuracy(pn.predict(lenet, found.params, x_test), target_test)
    spent = time.perf_counter() - start
    print(f"LeNet-5: {accuracy:.2%} of {len(x_test):,} unseen digits are right, after {spent:.0f} s")
    if pn.plotting.is_available():
        command.keep(draw(found.params, x_test, target_test), options.plot)


if __name__ == "__main__":
    main()
