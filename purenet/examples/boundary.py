"""XOR, circles, moons and spirals: the decision boundary as it is learnt, in a picture and in a GIF.

python -m purenet.examples.boundary                                    all four, in one picture
python -m purenet.examples.boundary --data moons --gif boundary.gif    one of them, in a GIF too
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

net = pn.serial(pn.dense(2, 32), pn.tanh, pn.dense(32, 32), pn.tanh, pn.dense(32, 1))
loss = pn.binary_cross_entropy_with_logits


def xor(u: Any, label: Any) -> Any:
    """Four clouds, of which those across from each other are of one class."""
    corner = np.where(u < 0.5, -1, 1)
    return corner, corner * np.where(label == 0, 1, -1)


def circles(u: Any, label: Any) -> Any:
    return (1.5 - label) * np.cos(2 * np.pi * u), (1.5 - label) * np.sin(2 * np.pi * u)


def moons(u: Any, label: Any) -> Any:
    """Two half circles, one upside down and moved into the other."""
    turn = 1 - 2 * label
    return turn * np.cos(np.pi * u) + label - 0.5, turn * np.sin(np.pi * u) + label / 2 - 0.25


def spirals(u: Any, label: Any) -> Any:
    """Two arms from the middle, of one and a half turns each."""
    angle = 3 * np.pi * np.sqrt(u) + np.pi * label
    return 2 * np.sqrt(u) * np.cos(angle), 2 * np.sqrt(u) * np.sin(angle)


SHAPES: dict[str, tuple[Callable[[Any, Any], Any], float]] = {  # with the noise around them
    "xor": (xor, 0.25),
    "circles": (circles, 0.1),
    "moons": (moons, 0.12),
    "spirals": (spirals, 0.04),
}


def samples(name: str, key: Any, count: int = 400) -> tuple[Any, Any]:
    """Points (count, 2), half of them of each class."""
    u_key, noise_key = pn.split(key)
    shape, noise = SHAPES[name]
    label = np.arange(count) % 2
    x = np.stack(shape(pn.random.uniform(u_key, (count,)), label), axis=1)
    x = x + noise * pn.random.normal(noise_key, (count, 2))
    return x.astype(np.float32), label[:, None].astype(np.float32)


def train(x: Any, target: Any, key: Any, epochs: int) -> dict[str, Any]:
    """The params at some moments, by a title."""
    init_key, key = pn.split(key)
    kept = set(np.geomspace(1, epochs, 60).astype(int))

    def batches(key: Any) -> Any:
        return pn.data.batches(key, x, target, size=40)

    run: dict[str, Any] = {"key": key, "epochs": epochs, "each": "epoch"}
    states = pn.train(net, loss, pn.adam(lr=0.01), net.init(init_key), batches, **run)
    return {f"epoch {s.epoch}: error {s.loss:.4f}": s.params for s in states if s.epoch in kept}


def probability(params: Any, points: Any) -> Any:
    return pn.sigmoid.apply((), net.apply(params, points))


def main() -> None:
    parser = command.parser(__doc__, "boundary.png")
    parser.add_argument("--data", choices=SHAPES, help="this one alone")
    parser.add_argument("--gif", help="where to draw how the boundary of the last one is learnt")
    options = parser.parse_args()

    epochs, learnt = 60 if options.quick else 300, {}
    for name in [options.data] if options.data else SHAPES:
        key, data_key, test_key = pn.split(pn.key(options.seed), 3)
        data, (x_test, target_test) = samples(name, data_key), samples(name, test_key)
        frames = train(*data, key, epochs)
        title, params = list(frames.items())[-1]
        right = ((net.apply(params, x_test) > 0) == (target_test > 0.5)).mean()
        print(f"{name:8} {title}, {right:6.1%} of 400 unseen points are right", flush=True)
        learnt[name] = data, frames, f"{name}: {right:.1%} of unseen points"

    if pn.plotting.is_available():
        side = 1 if options.data else 2
        figure = new_figure(5.5 * side, 4.5 * side)
        axes = figure.subplots(side, side, squeeze=False)
        for ax, ((x, target), frames, title) in zip(axes.flat, learnt.values(), strict=True):
            params = list(frames.values())[-1]
            pn.plotting.decision_boundary(partial(probability, params), x, target, ax)
            ax.set_title(title)
        command.keep(figure, options.plot)
        if options.gif:
            pn.plotting.boundary_animation(probability, frames, x, target, options.gif)
            print(f"drew {options.gif}")


if __name__ == "__main__":
    main()
