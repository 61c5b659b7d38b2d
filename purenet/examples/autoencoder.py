"""An autoencoder: images to 16 numbers and back, beside PCA with as many; encoder and decoder used apart.

python -m purenet.examples.autoencoder

The net is that of the video's repository, 784-30-16-30-784. Its code, an image of 4×4, is what the encoder gives; the
decoder makes images of codes, as those on the way from one digit to another. PCA is the best linear way to 16 numbers.

G. Hinton, R. Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science, 2006.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure


def autoencoder(pixels: int) -> Any:
    encoder = pn.serial(pn.dense(pixels, 30), pn.silu, pn.dense(30, 16))
    decoder = pn.serial(pn.dense(16, 30), pn.silu, pn.dense(30, pixels), pn.sigmoid)
    return pn.named(encoder=encoder, decoder=decoder)


def by_pca(x: Any, x_test: Any, components: int = 16) -> Any:
    """The images from their first principal components."""
    mean = x.mean(axis=0)
    _, vectors = np.linalg.eigh((x - mean).T @ (x - mean))
    best = vectors[:, -components:]
    return mean + (x_test - mean) @ best @ best.T


def draw(net: Any, params: Any, x: Any, target: Any, linear: Any) -> Any:
    encoder, decoder = net.parts
    code = encoder.apply(params["encoder"], x)
    some = [np.flatnonzero(target == label)[0] for label in range(10)]
    one, other = code[some[3]], code[some[8]]
    share = np.linspace(0, 1, 10, dtype=np.float32)[:, None]
    between = (1 - share) * one + share * other
    side = int(x.shape[1] ** 0.5)
    rows = {
        "the image": x[some],
        "its code": code[some],
        "decoded": decoder.apply(params["decoder"], code[some]),
        "by PCA": linear[some].clip(0, 1),
        "from a 3 to an 8": decoder.apply(params["decoder"], between),
    }
    figure = new_figure(11, 6)
    figure.suptitle(f"Unseen digits, in {code.shape[1]} numbers each")
    for part, (title, images) in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows.items(), strict=True):
        part.suptitle(title, x=0.01, ha="left", va="top")
        height = 4 if title == "its code" else side
        pn.plotting.image_grid(images.reshape(-1, height, height), axes=part.subplots(1, 10))
    return figure


def main() -> None:
    options = command.parser(__doc__, "autoencoder.png").parse_args()
    (x, _), (x_test, target_test) = pn.data.digits() if options.quick else pn.data.mnist()
    net, epochs, size = autoencoder(x.shape[1]), 60 if options.quick else 30, 32 if options.quick else 128
    key, init_key = pn.split(pn.key(options.seed))
    optimizer = pn.adam(pn.schedules.cosine(0.005, steps=epochs * -(-len(x) // size)))
    run: dict[str, Any] = {"key": key, "epochs": epochs, "batch_size": size, "validation": (x_test, x_test)}
    found = pn.fit(net, pn.mse, optimizer, net.init(init_key), (x, x), **run, callbacks=[command.report])

    linear = by_pca(x, x_test)
    error = pn.mse.apply(pn.predict(net, found.params, x_test), x_test)
    print(f"error on unseen digits: {error:.5f}, and by PCA with 16 components {pn.mse.apply(linear, x_test):.5f}")
    if pn.plotting.is_available():
        command.keep(draw(net, found.params, x_test, target_test, linear), options.plot)


if __name__ == "__main__":
    main()
