"""The bug of the video: dE/dX from weights that were updated already, how wrong it is, and what it does to training.

python -m purenet.examples.late_update

At 18:58 the video's `backward` updates W before it computes dE/dX = dE/dY · Wᵀ. What it returns is then

    dE/dY · (W − lr · dE/dW)ᵀ = dE/dX − lr · dE/dY · (dE/dW)ᵀ

so the error grows with the learning rate. The last layer's dE/dW is right, but each layer below is handed a wrong
dE/dY. Small nets with small rates learn all the same, which is why nobody noticed; with a larger one they blow up.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
target = np.array([[0], [1], [1], [0]], np.float32)
xor = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh)
deep = pn.serial(pn.dense(64, 32), pn.tanh, pn.dense(32, 32), pn.tanh, pn.dense(32, 32), pn.tanh, pn.dense(32, 10))


def backward(net: Any, loss: Any, params: Any, x: Any, target: Any, lr: float, late: bool) -> tuple[Any, Any, Any]:
    """E and the gradients, layer by layer from the last as in class style, and of each layer (X, Y, dE/dY, dE/dX)."""
    passed = []
    for layer, own in zip(net.parts, params, strict=True):
        y, pull = layer.vjp(own, x)
        passed.append((x, y, pull))
        x = y
    E, pull_loss = loss.vjp(x, target)
    dy = pull_loss()
    grads: list[Any] = []
    seen: list[Any] = []
    for layer, own, (x, y, pull) in reversed(list(zip(net.parts, params, passed, strict=True))):
        dparams, dx = pull(dy)
        if late:
            dx = layer.vjp(pn.sgd_step(own, dparams, lr), x)[1](dy)[1]  # the same rule, from the weights after the step
        grads.insert(0, dparams)
        seen.insert(0, (x, y, dy, dx))
        dy = dx
    return E, tuple(grads), seen


def train(net: Any, x: Any, target: Any, lr: float, late: bool, seed: int, epochs: int) -> Any:
    """The params after each epoch of one sample at a time, as in the video."""
    params = net.init(pn.key(seed))
    for epoch in range(epochs):
        for i in pn.random.permutation(pn.key(epoch), len(x)):
            _, grads, _ = backward(net, pn.mse, params, x[i : i + 1], target[i : i + 1], lr, late)
            params = pn.sgd_step(params, grads, lr)
        yield params


def wrong_by(lr: float, seed: int) -> float:
    """How far the late dE/dX of XOR's net is from the true one, as a share of its length, for the whole batch."""
    params = xor.init(pn.key(seed))
    true, late = (backward(xor, pn.mse, params, x, target, lr, late)[2][0][-1] for late in (False, True))
    return float(np.linalg.norm(late - true) / np.linalg.norm(true))


def draw(shares: dict[float, Any], curves: dict[bool, Any], accuracy: dict[bool, dict[float, float]]) -> Any:
    figure = new_figure(14, 4.5)
    left, middle, right = figure.subplots(1, 3)
    left.loglog(list(shares), [np.median(share) for share in shares.values()])
    left.fill_between(list(shares), *np.quantile(list(shares.values()), (0.1, 0.9), axis=1), alpha=0.2)
    left.set(title="How wrong dE/dX is: median, and 80 % of the nets", xlabel="learning rate")
    left.set_ylabel("|late dE/dX − dE/dX| / |dE/dX|")
    for late, name, style in ((False, "right", "C0-"), (True, "late", "C3--")):
        middle.semilogy(np.median(curves[late], axis=0), style, label=name)
        right.plot(list(accuracy[late]), list(accuracy[late].values()), f"{style}o", label=name)
    middle.set(title="XOR, learning rate 0.1: no difference", xlabel="epoch", ylabel="error (median)")
    right.set(title="Digits, four layers: blown up sooner", xlabel="learning rate", ylabel="accuracy on unseen digits")
    middle.legend()
    right.legend()
    return figure


def main() -> None:
    options = command.parser(__doc__, "late_update.png").parse_args()
    count, epochs, last, rates = (4, 300, 1, (0.1, 0.3)) if options.quick else (20, 1000, 3, np.arange(1, 13) / 20)
    seeds = range(options.seed, options.seed + count)

    shares = {float(lr): [wrong_by(lr, seed) for seed in seeds] for lr in np.geomspace(1e-3, 1, 10)}
    for lr, share in shares.items():
        print(f"XOR, learning rate {lr:.4f}: dE/dX is off by {np.median(share):8.2%} (median of {count} nets)")

    curves: dict[bool, Any] = {}
    accuracy: dict[bool, Any] = {}
    (digits, labels), (unseen, unseen_labels) = pn.data.digits()
    for late, name in ((False, "right"), (True, "late ")):
        runs = [train(xor, x, target, 0.1, late, seed, epochs) for seed in seeds]
        curves[late] = [[float(pn.mse.apply(xor.apply(params, x), target)) for params in run] for run in runs]
        print(f"XOR, {name}, learning rate 0.1: error {np.median([run[-1] for run in curves[late]]):.5f}")
        accuracy[late] = {}
        for lr in rates:
            with np.errstate(all="ignore"):  # numbers that blow up are the point
                *_, params = train(deep, digits, pn.data.one_hot(labels, 10), lr, late, options.seed, last)
                accuracy[late][lr] = (deep.apply(params, unseen).argmax(axis=1) == unseen_labels).mean()
            print(f"digits, {name}, learning rate {lr:.2f}: {accuracy[late][lr]:.1%} of the unseen ones", flush=True)
    if pn.plotting.is_available():
        command.keep(draw(shares, curves, accuracy), options.plot)


if __name__ == "__main__":
    main()
