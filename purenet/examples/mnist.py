"""MNIST: a dense net, mini-batches and Adam; and beside it the setting of the video's repository.

python -m purenet.examples.mnist

The repository's net is 784-40-10 with tanh, trained on 1,000 images for 100 epochs with the mean squared error, one
sample a step. The other has all 60,000 images, one wider layer of relu with dropout, and softmax cross-entropy.
"""

import time
from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

wide = pn.serial(pn.dense(512), pn.relu, pn.dropout(0.3), pn.dense(512), pn.relu, pn.dropout(0.3), pn.dense(10))
of_the_video = pn.serial(pn.dense(40), pn.tanh, pn.dense(10), pn.tanh)


def train_as_in_the_video(x: Any, target: Any, seed: int, epochs: int, lr: float = 0.1) -> Any:
    """The params after all epochs: one sample a step, always in the same order."""
    params = of_the_video.init(pn.key(seed), x.shape[1:])
    value_and_grad = pn.value_and_grad(of_the_video, pn.mse)
    rows = pn.data.one_hot(target, 10)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for i in range(len(x)):
            E, grads = value_and_grad(params, x[i : i + 1], rows[i : i + 1])
            params = pn.sgd_step(params, grads, lr)
            total += E
        if epoch % max(1, epochs // 5) == 0:
            print(f"as in the video, epoch {epoch:3}   error {total / len(x):.5f}", flush=True)
    return params


def train(data: Any, unseen: Any, seed: int, epochs: int, size: int = 128) -> Any:
    """What `fit` gives."""
    key, init_key = pn.split(pn.key(seed))
    params = wide.init(init_key, data[0].shape[1:])
    optimizer = pn.adam(pn.schedules.cosine(0.001, steps=epochs * -(-len(data[0]) // size)))
    run: dict[str, Any] = {"key": key, "epochs": epochs, "batch_size": size, "validation": unseen}
    metrics = {"accuracy": pn.metrics.accuracy}
    loss = pn.softmax_cross_entropy
    return pn.fit(wide, loss, optimizer, params, data, **run, metrics=metrics, callbacks=[command.report])


def main() -> None:
    options = command.parser(__doc__, "mnist.png").parse_args()
    data, unseen = pn.data.digits() if options.quick else pn.data.mnist()
    (x, target), (x_test, target_test) = data, unseen

    few, epochs, video_epochs = (300, 10, 10) if options.quick else (1000, 20, 100)
    start = time.perf_counter()
    params = train_as_in_the_video(x[:few], target[:few], options.seed, video_epochs)
    accuracy = pn.metrics.accuracy(of_the_video.apply(params, x_test), target_test)
    spent = time.perf_counter() - start
    print(f"as in the video: {accuracy:.2%} of {len(x_test):,} unseen digits are right, after {spent:.0f} s")

    start = time.perf_counter()
    found = train(data, unseen, options.seed, epochs)
    y = pn.predict(wide, found.params, x_test)
    accuracy = pn.metrics.accuracy(y, target_test)
    spent = time.perf_counter() - start
    print(f"all images: {accuracy:.2%} of {len(x_test):,} unseen digits are right, after {spent:.0f} s")
    if pn.plotting.is_available():
        figure = new_figure(12, 7)
        top, below = figure.subfigures(2, 1, squeeze=False)[:, 0]
        pn.plotting.learning_curves(found.history, axes=top.subplots(1, 2))
        predicted = y.argmax(axis=1)
        wrong = np.flatnonzero(predicted != target_test)[:20]
        below.suptitle("Mistakes on unseen digits: what each is, and what it was taken for")
        titles = [f"{target_test[i]} as {predicted[i]}" for i in wrong]
        side = int(x.shape[1] ** 0.5)
        axes = below.subplots(2, 10).flat[: len(wrong)] if len(wrong) == 20 else below.subplots(1, len(wrong))
        pn.plotting.image_grid(x_test[wrong].reshape(-1, side, side), titles, axes=axes)
        command.keep(figure, options.plot)


if __name__ == "__main__":
    main()
