"""Two nets against each other: one makes digits of noise, and the other tells them from real ones.

python -m purenet.examples.gan

In turn, each takes a step: D, so that its logit says "real" of real images and "made" of G's, and G, so that D says
"real" of what it makes. For that dE/dX of D at G's images goes on into G: `pullback` gives it, and D's params stay.

How good the images are is told by a net that was trained to read real digits: how sure it is of what it sees, and
whether all ten are there.

I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014; Adam's β₁ = 0.5 is of A. Radford et al., 2015.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command

CODE = 64
loss = pn.binary_cross_entropy_with_logits


def nets(pixels: int, hidden: int) -> tuple[Any, Any]:
    leaky = pn.leaky_relu(0.2)
    block = pn.serial(pn.dense(hidden), pn.batch_norm, pn.relu)
    generator = pn.serial(block, block, pn.dense(pixels), pn.sigmoid)
    inner = pn.serial(pn.dense(hidden), leaky, pn.dropout(0.3))
    return generator, pn.serial(inner, inner, pn.dense(1))


def step(generator: Any, discriminator: Any, optimizer: Any, run: Any, real: Any, key: Any) -> Any:
    """The params and states of both nets after a step of each."""
    made_by, tells, made_by_state, tells_state = run
    code_key, made_key, real_key, fake_key, last_key = pn.split(key, 5)
    ones, zeros = np.ones((len(real), 1), np.float32), np.zeros((len(real), 1), np.float32)
    fake, into_generator = generator.vjp(made_by, pn.random.normal(code_key, (len(real), CODE)), made_key)

    value_and_grad = pn.value_and_grad(discriminator, loss)
    _, of_real = value_and_grad(tells, real, 0.9 * ones, real_key)  # not 1, so that it is never too sure
    _, of_fake = value_and_grad(tells, fake, zeros, fake_key)
    grads = pn.tree.map(lambda a, b: a + b, of_real, of_fake)
    tells, tells_state = optimizer.step(tells, grads, tells_state)

    _, dfake = pn.value_and_grad(discriminator, loss, wrt="x")(tells, fake, ones, last_key)
    grads, _ = into_generator(dfake, wrt_x=False)
    made_by, made_by_state = optimizer.step(made_by, grads, made_by_state)
    return made_by, tells, made_by_state, tells_state


def reader(data: Any, seed: int, epochs: int) -> Any:
    """A function that gives the probabilities of the ten digits, from a net trained on real ones."""
    net = pn.serial(pn.dense(256), pn.relu, pn.dropout(0.3), pn.dense(10))
    params = net.init(pn.key(seed), data[0].shape[1:])
    run: dict[str, Any] = {"key": pn.key(seed), "epochs": epochs, "batch_size": 128}
    found = pn.fit(net, pn.softmax_cross_entropy, pn.adam(0.002), params, data, **run)
    return lambda images: pn.softmax.apply((), net.apply(found.params, images))


def main() -> None:
    parser = command.parser(__doc__, "gan.png")
    parser.add_argument("--gif", help="where to draw how the images change")
    parser.add_argument("--epochs", type=int, default=25, help="how many to train both nets")
    options = parser.parse_args()
    data, _ = pn.data.digits() if options.quick else pn.data.mnist()
    epochs, hidden, size = (40, 128, 32) if options.quick else (options.epochs, 256, 128)
    read = reader(data, options.seed, 20 if options.quick else 5)

    generator, discriminator = nets(data[0].shape[1], hidden)
    key, made_key, tells_key, code_key = pn.split(pn.key(options.seed), 4)
    made_by, tells = generator.init(made_key, (CODE,)), discriminator.init(tells_key, data[0].shape[1:])
    optimizer = pn.adam(0.0005, beta1=0.5)
    run = made_by, tells, optimizer.init(made_by), optimizer.init(tells)
    codes, seen = pn.random.normal(code_key, (1000, CODE)), {}
    for epoch in range(1, epochs + 1):
        key, order_key = pn.split(key)
        for (real,) in pn.data.batches(order_key, data[0], size=size, drop_last=True):
            key, own = pn.split(key)
            run = step(generator, discriminator, optimizer, run, real, own)
        images = generator.apply(run[0], codes)
        sure, digits = read(images).max(axis=1).mean(), np.bincount(read(images).argmax(axis=1), minlength=10)
        seen[epoch] = images[:32]
        print(f"epoch {epoch:3}   the reader is sure to {sure:.1%}   of each digit {digits.tolist()}", flush=True)
    if pn.plotting.is_available():
        side = int(images.shape[1] ** 0.5)
        figure = pn.plotting.image_grid(images[:32].reshape(-1, side, side))
        figure.suptitle(f"Made from noise, after {epochs} epochs")
        figure.savefig(options.plot)
        print(f"drew {options.plot}")
        if options.gif:
            animate(seen, side, options.gif)


def animate(seen: dict[int, Any], side: int, path: str) -> None:
    from matplotlib.animation import PillowWriter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.4))
    ax, writer = figure.subplots(), PillowWriter(fps=4)
    ax.set_axis_off()
    with writer.saving(figure, path, dpi=60):
        for epoch, images in seen.items():
            rows = images.reshape(4, 8, side, side).transpose(0, 2, 1, 3).reshape(4 * side, 8 * side)
            ax.imshow(rows, cmap="Greys")
            ax.set_title(f"made from noise, epoch {epoch}")
            writer.grab_frame()
    print(f"drew {path}")


if __name__ == "__main__":
    main()
