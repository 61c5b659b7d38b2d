"""Weights and activations of ±1: a net stored in bits, beside the same net in floats.

python -m purenet.examples.binary_net

`binary_dense` computes sign(X) · sign(W), and trains the real W behind the signs by the straight-through estimator.
After each step the weights are cut to [−1, 1], where the estimator works. Once it is trained, the signs are all that
counts, so a weight takes one bit where a float takes 32; batch norm keeps its floats, which are few.

M. Courbariaux et al., "Binarized neural networks", NeurIPS 2016.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure


def nets(hidden: int) -> dict[str, Any]:
    """The net of floats and the net of signs, which are built alike."""

    def block(dense: Any, f: Any) -> list[Any]:
        return [dense(hidden, bias=False), pn.batch_norm, f]

    signs = [pn.binary_dense(hidden, bias=False, binary_input=False), pn.batch_norm]
    binary = [*signs, *block(pn.binary_dense, pn.identity), pn.binary_dense(10, bias=False), pn.batch_norm]
    floats = [*block(pn.dense, pn.relu), *block(pn.dense, pn.relu), pn.dense(10, bias=False), pn.batch_norm]
    return {"floats": pn.serial(*floats), "signs": pn.serial(*binary)}


def is_binary(layer: Any) -> bool:
    return bool(layer.call.maker == "binary_dense")


def cut(net: Any, params: Any) -> Any:
    """The params with the weights behind signs in [−1, 1]."""
    return tuple(
        part._replace(weight=np.clip(part.weight, -1, 1)) if is_binary(layer) else part
        for layer, part in zip(net.parts, params, strict=True)
    )


def train(net: Any, data: Any, unseen: Any, seed: int, epochs: int, size: int = 100) -> tuple[Any, list[float]]:
    """The params, and the accuracy after each epoch."""
    key, init_key = pn.split(pn.key(seed))
    optimizer = pn.adam(pn.schedules.cosine(0.003, steps=epochs * -(-len(data[0]) // size)))
    params, accuracy = net.init(init_key, data[0].shape[1:]), []
    value_and_grad, state = pn.value_and_grad(net, pn.softmax_cross_entropy), optimizer.init(params)
    for epoch in range(1, epochs + 1):
        key, order_key, noise_key = pn.split(key, 3)
        for x, target in pn.data.batches(order_key, *data, size=size):
            _, grads = value_and_grad(params, x, target, noise_key)
            params, state = optimizer.step(params, grads, state)
            params = cut(net, params)
        accuracy.append(pn.metrics.accuracy(pn.predict(net, params, unseen[0]), unseen[1]))
        print(f"epoch {epoch:3}   accuracy on unseen digits {accuracy[-1]:.2%}", flush=True)
    return params, accuracy


def packed(net: Any, params: Any) -> list[Any]:
    """What must be kept: the signs of the weights as bits, and all other numbers as they are."""
    kept: list[Any] = []
    for layer, part in zip(net.parts, params, strict=True):
        kept += [np.packbits(part.weight >= 0)] if is_binary(layer) else pn.tree.leaves(part)
    return kept


def unpacked(net: Any, params: Any, kept: list[Any]) -> Any:
    """Params from what was kept, built like the ones that were packed; each weight is 1 or −1."""
    found, rest = [], iter(kept)
    for layer, part in zip(net.parts, params, strict=True):
        if is_binary(layer):
            bits = np.unpackbits(next(rest), count=part.weight.size).reshape(part.weight.shape)
            found.append(part._replace(weight=(2.0 * bits - 1).astype(np.float32)))
        else:
            found.append(pn.tree.map(lambda _: next(rest), part))
    return tuple(found)


def main() -> None:
    options = command.parser(__doc__, "binary_net.png").parse_args()
    data, unseen = ((2 * x - 1, target) for x, target in (pn.data.digits() if options.quick else pn.data.mnist()))
    hidden, epochs = (256, 15) if options.quick else (512, 12)
    curves, right, sizes = {}, {}, {}
    for name, net in nets(hidden).items():
        print(f"a net of {name}:")
        params, curves[name] = train(net, data, unseen, options.seed, epochs)
        kept = packed(net, params)
        again = unpacked(net, params, kept)
        right[name] = pn.metrics.accuracy(pn.predict(net, again, unseen[0]), unseen[1])
        sizes[name] = sum(array.nbytes for array in kept)
        print(f"{name}: {right[name]:.2%} of the unseen digits are right, from {sizes[name] / 1000:.1f} kB")
    apart = 100 * (right["floats"] - right["signs"])
    smaller = sizes["floats"] / sizes["signs"]
    print(f"the net of signs is {apart:.2f} points behind, and {smaller:.1f} times smaller")
    if pn.plotting.is_available():
        figure = new_figure(7, 5)
        ax = figure.subplots()
        for name, curve in curves.items():
            ax.plot(range(1, epochs + 1), np.multiply(curve, 100), "o-", label=f"{name}, {sizes[name] / 1000:.0f} kB")
        ax.set(title="A net of floats, and one of signs", xlabel="epoch", ylabel="unseen digits that are right (%)")
        ax.legend()
        command.keep(figure, options.plot)


if __name__ == "__main__":
    main()
