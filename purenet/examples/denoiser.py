"""A denoiser: noisy images to clean ones, by convolutions with a way around them.

python -m purenet.examples.denoiser

The net says what to add to the noisy image, so it need not learn the image itself. Each epoch draws new noise. How good
it is is told in decibels: PSNR = −10 · log₁₀ of the mean squared error, for pixels from 0 to 1.

K. Zhang et al., "Beyond a Gaussian denoiser", IEEE Transactions on Image Processing, 2017.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

NOISE = 0.3  # the standard deviation
net = pn.residual(
    pn.serial(
        pn.conv(1, 16, 3, padding="same"),
        pn.relu,
        pn.conv(16, 16, 3, padding="same"),
        pn.relu,
        pn.conv(16, 1, 3, padding="same"),
    )
)


def noisy(key: Any, images: Any) -> Any:
    return images + NOISE * pn.random.normal(key, images.shape)


def psnr(images: Any, clean: Any) -> float:
    """In decibels; each 10 of them are a tenth of the error."""
    return float(-10 * np.log10(pn.mse.apply(images, clean)))


def main() -> None:
    options = command.parser(__doc__, "denoiser.png").parse_args()
    (x, _), (x_test, _) = pn.data.digits() if options.quick else pn.data.mnist()
    side, epochs = int(x.shape[1] ** 0.5), 10 if options.quick else 8
    clean, unseen = (images.reshape(-1, side, side, 1) for images in (x, x_test))
    key, init_key, test_key = pn.split(pn.key(options.seed), 3)
    dirty = noisy(test_key, unseen)
    print(f"noisy: {psnr(dirty, unseen):.2f} dB")

    def batches(key: Any) -> Any:
        order_key, noise_key = pn.split(key)
        keys = iter(pn.split(noise_key, -(-len(clean) // 64)))
        for (images,) in pn.data.batches(order_key, clean, size=64):
            yield noisy(next(keys), images), images

    optimizer = pn.adam(pn.schedules.cosine(0.003, steps=epochs * -(-len(clean) // 64)))
    run: dict[str, Any] = {"key": key, "epochs": epochs, "each": "epoch"}
    for state in pn.train(net, pn.mse, optimizer, net.init(init_key), batches, **run):
        cleaned = pn.predict(net, state.params, dirty)
        print(f"epoch {state.epoch:3}   error {state.loss:.5f}   cleaned: {psnr(cleaned, unseen):.2f} dB", flush=True)
    if pn.plotting.is_available():
        figure = new_figure(11, 4.5)
        figure.suptitle("Unseen digits")
        rows = {"clean": unseen, "noisy": dirty, "cleaned by the net": cleaned}
        for part, (title, images) in zip(figure.subfigures(3, 1, squeeze=False)[:, 0], rows.items(), strict=True):
            part.suptitle(f"{title}, {psnr(images, unseen):.1f} dB" if title != "clean" else title, x=0.01, ha="left")
            pn.plotting.image_grid(images[:10].clip(0, 1), axes=part.subplots(1, 10))
        command.keep(figure, options.plot)


if __name__ == "__main__":
    main()
