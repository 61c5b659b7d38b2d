"""Two nets against each other: one makes digits of noise, and the other tells them from real ones.

python -m purenet.examples.gan

In turn, each takes a step: D, so that its logit says "real" of real images and "made" of G's, and G, so that D says
"real" of what it makes. For that dE/dX of D at G's images goes on into G: `pullback` gives it, and D's params stay.
Both are told which digit it is, or is to be, as ten numbers beside their input. Images are made by the running average
of G's params, which is steadier than the last of them.

How good the images are is told by a net that was trained to read real digits: how sure it is of what it sees, whether
all ten are there, and whether each is the one that was asked for.

I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014; the digit beside the input is of M. Mirza and
S. Osindero, "Conditional generative adversarial nets", 2014; Adam's β₁ = 0.5 is of A. Radford et al., 2015; the average
is of T. Karras et al., "Progressive growing of GANs", ICLR 2018.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command

CODE = 64
loss = pn.binary_cross_entropy_with_logits


def nets(hidden: int, pixels: int) -> tuple[Any, Any]:
    leaky = pn.leaky_relu(0.2)
    block = pn.serial(pn.dense(hidden), pn.batch_norm, pn.relu)
    generator = pn.serial(block, block, pn.dense(pixels), pn.sigmoid)
    inner = pn.serial(pn.dense(hidden), leaky, pn.dropout(0.3))
    return generator, pn.serial(inner, inner, pn.dense(1))


def beside(x: Any, digits: Any) -> Any:
    """What a net is given, an image or a code, with the digit beside it."""
    return np.concatenate([x, pn.data.one_hot(digits, 10)], axis=1)


def step(generator: Any, discriminator: Any, optimizer: Any, run: Any, real: Any, digits: Any, key: Any) -> Any:
    """The params and states of both nets after a step of each."""
    made_by, tells, made_by_state, tells_state = run
    code_key, made_key, real_key, fake_key, last_key = pn.split(key, 5)
    ones, zeros = np.ones((len(real), 1), np.float32), np.zeros((len(real), 1), np.float32)
    codes = pn.random.normal(code_key, (len(real), CODE))
    fake, into_generator = generator.vjp(made_by, beside(codes, digits), made_key)

    value_and_grad = pn.value_and_grad(discriminator, loss)
    _, of_real = value_and_grad(tells, beside(real, digits), 0.9 * ones, real_key)  # not 1: it is never too sure
    _, of_fake = value_and_grad(tells, beside(fake, digits), zeros, fake_key)
    grads = pn.tree.map(lambda a, b: a + b, of_real, of_fake)
    tells, tells_state = optimizer.step(tells, grads, tells_state)

    _, dx = pn.value_and_grad(discriminator, loss, wrt="x")(tells, beside(fake, digits), ones, last_key)
    grads, _ = into_generator(dx[:, : fake.shape[1]], wrt_x=False)
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
    parser.add_argument("--epochs", type=int, default=15, help="how many to train both nets")
    options = parser.parse_args()
    data, _ = pn.data.digits() if options.quick else pn.data.mnist()
    epochs, hidden, size = (50, 128, 32) if options.quick else (options.epochs, 256, 128)
    read = reader(data, options.seed, 20 if options.quick else 5)

    generator, discriminator = nets(hidden, data[0].shape[1])
    key, made_key, tells_key, code_key = pn.split(pn.key(options.seed), 4)
    made_by, tells = generator.init(made_key, (CODE + 10,)), discriminator.init(tells_key, (data[0].shape[1] + 10,))
    rate = pn.schedules.cosine(0.001, steps=epochs * (len(data[0]) // size))
    optimizer = pn.chain(pn.ema(0.99 if options.quick else 0.999), pn.adam(rate, beta1=0.5))
    run = made_by, tells, optimizer.init(made_by), optimizer.init(tells)
    asked, seen = np.arange(1000) % 10, {}
    codes = beside(pn.random.normal(code_key, (1000, CODE)), asked)
    for epoch in range(1, epochs + 1):
        key, order_key = pn.split(key)
        for real, digits in pn.data.batches(order_key, *data, size=size, drop_last=True):
            key, own = pn.split(key)
            run = step(generator, discriminator, optimizer, run, real, digits, own)
        images = generator.apply(run[2].average, codes)
        shares, seen[epoch] = read(images), images[:40]
        found = shares.argmax(axis=1)
        sure, right, counts = shares.max(axis=1).mean(), (found == asked).mean(), np.bincount(found, minlength=10)
        print(f"epoch {epoch:3}   the reader is sure to {sure:.1%}   as asked {right:.1%}", end="   ")
        print(f"of each digit {counts.tolist()}", flush=True)
    if pn.plotting.is_available():
        side = int(images.shape[1] ** 0.5)
        figure = pn.plotting.image_grid(images[:40].reshape(-1, side, side), columns=10)
        figure.suptitle(f"Made from noise, after {epochs} epochs")
        command.keep(figure, options.plot)
        if options.gif:
            animate(seen, side, options.gif)


def animate(seen: dict[int, Any], side: int, path: str) -> None:
    from matplotlib.animation import PillowWriter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6))
    ax, writer = figure.subplots(), PillowWriter(fps=4)
    ax.set_axis_off()
    with writer.saving(figure, path, dpi=60):
        for epoch, images in seen.items():
            rows = images.reshape(4, 10, side, side).transpose(0, 2, 1, 3).reshape(4 * side, 10 * side)
            ax.imshow(rows, cmap="Greys")
            ax.set_title(f"made from noise, epoch {epoch}")
            writer.grab_frame()
    print(f"drew {path}")


if __name__ == "__main__":
    main()
