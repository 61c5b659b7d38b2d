"""A variational autoencoder: images as a cloud of codes in the plane, and images from any place in it.

python -m purenet.examples.vae

The encoder gives the mean μ and log σ² of a normal distribution of codes. A code is drawn as z = μ + σ ⊙ ε, with ε from
a key, so it has a derivative (the reparameterization). The decoder gives the probability of each pixel. Trained is the
evidence lower bound, log p(image) ≥ ELBO = E log p(image | z) − KL, by descent on its negative, with

    KL = −½ Σ (1 + log σ² − μ² − σ²)        dKL/dμ = μ        dKL/dlog σ² = −½ (1 − σ²)
    dz/dμ = 1        dz/dlog σ² = ½ σ ⊙ ε

D. Kingma, M. Welling, "Auto-encoding variational Bayes", ICLR 2014.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure


def nets(pixels: int, hidden: int) -> tuple[Any, Any]:
    encoder = pn.serial(pn.dense(pixels, hidden), pn.relu, pn.dense(hidden, 4))  # μ and log σ², of two numbers each
    decoder = pn.serial(pn.dense(2, hidden), pn.relu, pn.dense(hidden, hidden), pn.relu, pn.dense(hidden, pixels))
    return encoder, decoder


def value_and_grad(encoder: Any, decoder: Any, params: Any, x: Any, key: Any) -> tuple[float, Any]:
    """−ELBO, the mean over the images, and its gradient."""
    code, encoded = encoder.vjp(params["encoder"], x)
    mean, log_variance = code[:, :2], code[:, 2:]
    sigma, noise = np.exp(log_variance / 2), pn.random.normal(key, mean.shape)
    y, decoded = decoder.vjp(params["decoder"], mean + sigma * noise)
    E, of_pixels = pn.binary_cross_entropy_with_logits(reduction="sum").vjp(y, x)
    KL = -0.5 * (1 + log_variance - mean**2 - sigma**2).sum()

    dparams, dz = decoded(of_pixels(1 / len(x)))
    d_mean = dz + mean / len(x)
    d_log_variance = dz * noise * sigma / 2 - (1 - sigma**2) / (2 * len(x))
    dcode = np.concatenate([d_mean, d_log_variance], axis=1)
    return float((E + KL) / len(x)), {"encoder": encoded(dcode, wrt_x=False)[0], "decoder": dparams}


def draw(decoder: Any, params: Any, codes: Any, target: Any, side: int) -> Any:
    figure = new_figure(13, 6.5)
    left, right = figure.subplots(1, 2)
    dots = left.scatter(*codes[:3000].T, c=target[:3000], cmap="tab10", s=6, vmin=-0.5, vmax=9.5)
    figure.colorbar(dots, ax=left, ticks=range(10), label="digit")
    left.set(title="Where unseen digits lie: the mean of each code", xlabel="z₁", ylabel="z₂", aspect="equal")
    reach = np.linspace(-2, 2, 15, dtype=np.float32)
    places = np.stack(np.meshgrid(reach, reach[::-1]), axis=2).reshape(-1, 2)
    images = pn.sigmoid.apply((), decoder.apply(params["decoder"], places)).reshape(15, 15, side, side)
    right.imshow(images.transpose(0, 2, 1, 3).reshape(15 * side, 15 * side), cmap="Greys", extent=(-2, 2, -2, 2))
    right.set(title="What the decoder makes of each place", xlabel="z₁", ylabel="z₂")
    return figure


def main() -> None:
    options = command.parser(__doc__, "vae.png").parse_args()
    (x, _), (x_test, target_test) = pn.data.digits() if options.quick else pn.data.mnist()
    epochs, hidden = (15, 64) if options.quick else (25, 256)
    encoder, decoder = nets(x.shape[1], hidden)
    key, encoder_key, decoder_key = pn.split(pn.key(options.seed), 3)
    params = {"encoder": encoder.init(encoder_key), "decoder": decoder.init(decoder_key)}
    optimizer = pn.adam(lr=0.001 if not options.quick else 0.005)
    state = optimizer.init(params)
    for epoch in range(1, epochs + 1):
        key, order_key, test_key = pn.split(key, 3)
        total = 0.0
        for (batch,) in pn.data.batches(order_key, x, size=100):
            key, noise_key = pn.split(key)
            E, grads = value_and_grad(encoder, decoder, params, batch, noise_key)
            params, state = optimizer.step(params, grads, state)
            total += E * len(batch)
        unseen, _ = value_and_grad(encoder, decoder, params, x_test, test_key)
        print(f"epoch {epoch:3}   ELBO {-total / len(x):8.2f}   on unseen digits {-unseen:8.2f}", flush=True)
    if pn.plotting.is_available():
        codes = encoder.apply(params["encoder"], x_test)[:, :2]
        command.keep(draw(decoder, params, codes, target_test, int(x.shape[1] ** 0.5)), options.plot)


if __name__ == "__main__":
    main()
