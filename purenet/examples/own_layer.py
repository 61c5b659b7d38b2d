"""A layer of your own by `layer(spec, rule)`: radial basis functions, checked by `check_vjp`, and trained.

python -m purenet.examples.own_layer

Each of k neurons has a centre C and answers by how near a point is, with a learned sharpness a:

    Yₖ = exp(−aₖ² · Dₖ)        Dₖ = Σ (X − Cₖ)²

With G = dE/dY ⊙ Y, for each example and each neuron, the chain rule gives

    dE/da = −2a · Σ G ⊙ D        dE/dC = 2a² · Σ G ⊙ (X − C)        dE/dX = −2 · Σ a² · G ⊙ (X − C)

with the sums of the first two over the examples, and of the last over the neurons.
"""

from typing import Any, NamedTuple

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure


class Radial(NamedTuple):
    """centre (neurons, in); sharpness (neurons,)."""

    centre: Any
    sharpness: Any


def radial(inputs: int, neurons: int) -> Any:
    def rule(ops: Any, params: Radial, x: Any, key: Any) -> Any:
        centre, sharpness = params
        apart = x[:, None, :] - centre  # (batch, neurons, in)
        distance = ops.sum(apart * apart, axis=2)
        y = ops.exp(-(sharpness**2) * distance)

        def pull(dy: Any, wrt_x: bool) -> Any:
            g = dy * y
            toward = 2 * (g * sharpness**2)[:, :, None] * apart
            dsharpness = -2 * sharpness * ops.sum(g * distance, axis=0)
            return Radial(ops.sum(toward, axis=0), dsharpness), -ops.sum(toward, axis=1)

        return y, pull

    spec = pn.Spec(
        name=f"radial({inputs}, {neurons})",
        x="batch inputs",
        y="batch neurons",
        params=Radial("neurons inputs", "neurons"),
        init=Radial(pn.initializers.normal(1.0), pn.initializers.ones),
        sizes={"inputs": inputs, "neurons": neurons},
    )
    return pn.layer(spec, rule)


def rings(key: Any, count: int) -> tuple[Any, Any]:
    """Points in a disc (0), and in a ring around it (1)."""
    angle_key, radius_key = pn.split(key)
    target = (np.arange(count) % 2).astype(np.float32)[:, None]
    angle = pn.random.uniform(angle_key, (count, 1), high=2 * np.pi)
    radius = pn.random.uniform(radius_key, (count, 1)) + 1.5 * target
    return radius * np.concatenate([np.cos(angle), np.sin(angle)], axis=1), target


def draw(net: Any, params: Any, losses: Any, x: Any, target: Any) -> Any:
    figure = new_figure(11, 4.5)
    left, right = figure.subplots(1, 2)
    pn.plotting.error_curve(losses, left)
    pn.plotting.decision_boundary(lambda points: net.apply(params, points), x, target, right, level=0)
    right.scatter(*params[0].centre.T, marker="*", s=250, color="gold", edgecolor="black", label="centres", zorder=5)
    right.set_title("The boundary, and the centres that the layer has learnt")
    right.legend()
    return figure


def main() -> None:
    options = command.parser(__doc__, "own_layer.png").parse_args()
    key, train_key, test_key, check_key = pn.split(pn.key(options.seed), 4)

    layer = radial(2, 4)
    pn.testing.check_vjp(layer, layer.init(check_key), pn.random.normal(key, (5, 2)))
    print(f"{layer} keeps the contract, and its rule is the derivative")

    (x, target), (x_test, target_test) = rings(train_key, 400), rings(test_key, 400)
    net = pn.serial(layer, pn.dense(4, 1))
    run: dict[str, Any] = {"key": key, "epochs": 50 if options.quick else 200}
    loss = pn.binary_cross_entropy_with_logits
    found = pn.fit(net, loss, pn.adam(lr=0.03), net.init(key), (x, target), **run)
    for epoch in np.linspace(1, run["epochs"], 5).astype(int):
        print(f"epoch {epoch:3}   error {found.history['loss'][epoch - 1]:.4f}")
    right = ((net.apply(found.params, x_test) > 0) == (target_test > 0.5)).mean()
    print(f"{right:.1%} of 400 unseen points are right")
    if pn.plotting.is_available():
        command.keep(draw(net, found.params, found.history["loss"], x, target), options.plot)


if __name__ == "__main__":
    main()
