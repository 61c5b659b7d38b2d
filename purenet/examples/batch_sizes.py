"""One sample a step, mini-batches, or all at once: why the error has spikes, and what the mean in MSE is over.

python -m purenet.examples.batch_sizes

A net learns y = x₁ + x₂, or exp X of 2×2 matrices X, by steps of 1, 16 and all samples, at one learning rate. The
spikes are the error of each step's own batch, which is a random draw around the error of all the data: as a mean of b
samples it has a standard deviation that falls with 1 / √b. So they say little of the net; the dark curve says more.

The mean in MSE is over all n = batch · outputs numbers: its gradient is that of the sum of squares, divided by n. With
four outputs instead of one, the same learning rate takes steps a quarter as long for each of them.
"""

from typing import Any

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

COUNT, SIZES = 256, (1, 16, 256)


def matrix_exponential(x: Any) -> Any:
    """exp X = I + X + X²/2! + X³/3! + …"""
    term = total = np.broadcast_to(np.eye(2), x.shape)
    for n in range(1, 20):
        term = term @ x / n
        total = total + term
    return total


def task(name: str, key: Any) -> tuple[Any, Any, Any]:
    """A net, its inputs from −1 to 1, and the targets."""
    if name == "y = x₁ + x₂":
        x = pn.random.uniform(key, (COUNT, 2), -1, 1)
        return pn.serial(pn.dense(2, 16), pn.tanh, pn.dense(16, 1)), x, x.sum(axis=1, keepdims=True)
    x = pn.random.uniform(key, (COUNT, 4), -1, 1)
    target = matrix_exponential(x.reshape(-1, 2, 2).astype(np.float64)).reshape(-1, 4).astype(np.float32)
    return pn.serial(pn.dense(4, 32), pn.tanh, pn.dense(32, 4)), x, target


def train(net: Any, x: Any, target: Any, size: int, epochs: int, seed: int) -> tuple[Any, Any, Any]:
    """The error of each step's batch, of all the data at each epoch's end, and the params."""
    of_batches, of_all = [], []

    def batches(key: Any) -> Any:
        return pn.data.batches(key, x, target, size=size)

    run: dict[str, Any] = {"key": pn.key(seed), "epochs": epochs}
    for state in pn.train(net, pn.mse, pn.sgd(0.05), net.init(pn.key(seed)), batches, **run):
        of_batches.append(state.loss)
        if state.step % (COUNT // size) == 0:
            of_all.append(pn.mse.apply(net.apply(state.params, x), target))
    return np.array(of_batches), np.array(of_all), state.params


def spread(net: Any, params: Any, x: Any, target: Any, size: int, key: Any) -> float:
    """The standard deviation of the error over 500 batches of a net that stands still."""
    picked = pn.random.randint(key, (500, size), 0, COUNT)
    return float(((net.apply(params, x[picked]) - target[picked]) ** 2).mean(axis=(1, 2)).std())


def main() -> None:
    options = command.parser(__doc__, "batch_sizes.png").parse_args()
    epochs, curves, spreads = 5 if options.quick else 100, {}, {}
    for name in ("y = x₁ + x₂", "exp of 2×2 matrices"):
        net, x, target = task(name, pn.key(options.seed))
        for size in SIZES:
            *curves[name, size], params = train(net, x, target, size, epochs, options.seed)
            print(f"{name}: {size:3} a step, {epochs} epochs, error of all the data {curves[name, size][1][-1]:.5f}")
        spreads[name] = [spread(net, params, x, target, size, pn.key(size)) for size in (1, 4, 16, 64, 256)]
        slope = np.polyfit(np.log([1, 4, 16, 64, 256]), np.log(spreads[name]), 1)[0]
        print(f"{name}: the spikes fall with the power {slope:.2f} of the batch size (theory: -0.50)", flush=True)
        means, sums = (pn.value_and_grad(net, loss)(params, x, target)[1] for loss in (pn.mse, pn.mse(reduction="sum")))
        ratio = sums[0].weight[0, 0] / means[0].weight[0, 0]
        print(
            f"{name}: the sum's gradient is {ratio:.1f} times the mean's: {len(x)} samples · {target.shape[1]} outputs"
        )
    if pn.plotting.is_available():
        command.keep(draw(curves, spreads), options.plot)


def draw(curves: dict[tuple[str, int], Any], spreads: dict[str, Any]) -> Any:
    figure = new_figure(18, 8)
    axes = iter(figure.subplots(2, 4).flat)
    for name in spreads:
        for size in SIZES:
            of_batches, of_all = curves[name, size]
            ax, each = next(axes), COUNT // size
            ax.semilogy(np.arange(1, len(of_batches) + 1) / each, of_batches, linewidth=0.6, label="of each batch")
            ax.semilogy(np.arange(1, len(of_all) + 1), of_all, color="black", label="of all the data")
            ax.set(
                title=f"{name}: {size} a step,\nan epoch has {each} step{'s' * (each > 1)}",
                xlabel="epoch",
                ylabel="error",
            )
            ax.set_ylim(1e-6, 20)
            ax.legend(loc="lower left")
        ax, sizes = next(axes), np.array([1, 4, 16, 64, 256])
        ax.loglog(sizes, spreads[name], "o", label="measured")
        ax.loglog(sizes, spreads[name][0] / np.sqrt(sizes), "k--", label="theory: 1 / √batch")
        ax.set(title="How high the spikes are", xlabel="samples in a batch", ylabel="standard deviation of the error")
        ax.legend()
    return figure


if __name__ == "__main__":
    main()
