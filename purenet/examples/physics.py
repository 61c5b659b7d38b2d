"""A differential equation solved by a net: a swing that comes to rest, from the equation alone, without any data.

python -m purenet.examples.physics

The swing u″ = −ω²·u − 2ζω·u′ is two equations of the first order for U = (u, u′), which are one: U′ = U · A. The net N
gives U(t) = U₀ + S(t) · N(t) with S(t) = 1 − exp(−t), which begins at U₀ whatever the params are, and is trained until
E = mean (U′ − U · A)² is small. E holds the derivative N′ by t, so each layer carries it along, by the chain rule
forwards:

    Z = X · W + B        Ż = Ẋ · W        Y = tanh Z        Ẏ = (1 − Y²) ⊙ Ż

and the rule of such a layer goes back through both, where dẎ is short for dE/dẎ:

    dŻ = (1 − Y²) ⊙ dẎ        dZ = (1 − Y²) ⊙ (dY − 2 · Y ⊙ Ż ⊙ dẎ)
    dW = Xᵀ · dZ + Ẋᵀ · dŻ        dB = Σ dZ        dX = dZ · Wᵀ        dẊ = dŻ · Wᵀ

I. Lagaris, A. Likas, D. Fotiadis, "Artificial neural networks for solving ordinary and partial differential equations",
IEEE Transactions on Neural Networks, 1998.
"""

from typing import Any, NamedTuple

import numpy as np

import purenet as pn
from purenet.examples import command
from purenet.plotting.canvas import new_figure

OMEGA, ZETA, END = 2.0, 0.1, 6.0
U0 = np.array([1.0, 0.0])
A = np.array([[0, -(OMEGA**2)], [1, -2 * ZETA * OMEGA]])


class Params(NamedTuple):
    weight: Any
    bias: Any


def with_derivative(inputs: int, outputs: int, curved: bool = True, spread: float = 0.5) -> Any:
    """A dense layer, and tanh if it is curved, of (X, Ẋ). Its biases spread the neurons over the time."""

    def rule(ops: Any, params: Params, x: Any, key: Any) -> Any:
        (x, x_dot), (weight, bias) = x, params
        z, z_dot = x @ weight + bias, x_dot @ weight
        y = ops.tanh(z) if curved else z
        slope = 1 - y * y if curved else ops.ones_like(y)
        bend = -2 * y * z_dot if curved else ops.zeros_like(y)

        def pull(dy: Any, wrt_x: bool) -> Any:
            dy, dy_dot = dy
            dz, dz_dot = slope * (dy + bend * dy_dot), slope * dy_dot
            dparams = Params(x.T @ dz + x_dot.T @ dz_dot, ops.sum(dz, axis=0))
            return dparams, (dz @ weight.T, dz_dot @ weight.T)

        return (y, slope * z_dot), pull

    name = f"with_derivative({inputs}, {outputs}, {curved}, {spread})"
    inside = Params("inputs outputs", "outputs")
    init = Params(pn.initializers.glorot_uniform, pn.initializers.normal(spread))
    sizes = {"inputs": inputs, "outputs": outputs}
    both = ("batch inputs", "batch inputs"), ("batch outputs", "batch outputs")
    return pn.layer(pn.Spec(name, *both, params=inside, init=init, sizes=sizes), rule)


net = pn.serial(with_derivative(1, 32, spread=3.0), with_derivative(32, 32), with_derivative(32, 2, curved=False))


def value_and_grad(params: Any, t: Any) -> tuple[float, Any]:
    """How far the net is from the equation at the times t, and the gradient."""
    (n, n_dot), pullback = net.vjp(params, (t, np.ones_like(t)))
    s, s_dot = 1 - np.exp(-t), np.exp(-t)
    apart = s_dot * n + s * n_dot - (U0 + s * n) @ A
    d_apart = 2 * apart / apart.size
    grads, _ = pullback((s_dot * d_apart - s * d_apart @ A.T, s * d_apart), wrt_x=False)
    return float((apart**2).mean()), grads


def exact(t: Any) -> Any:
    omega = OMEGA * np.sqrt(1 - ZETA**2)
    return np.exp(-ZETA * OMEGA * t) * (np.cos(omega * t) + ZETA * OMEGA / omega * np.sin(omega * t))


def main() -> None:
    options = command.parser(__doc__, "physics.png").parse_args()
    steps = 3000 if options.quick else 30_000
    params = pn.tree.cast(net.init(pn.key(options.seed)), np.float64)
    pn.testing.check_vjp(net.parts[0], params[0], (np.ones((3, 1)), np.ones((3, 1))))

    t, errors = np.linspace(0, END, 60)[:, None], []
    optimizer = pn.adam(pn.schedules.cosine(0.01, steps=steps))
    state = optimizer.init(params)
    for step in range(1, steps + 1):
        E, grads = value_and_grad(params, t)
        params, state = optimizer.step(params, grads, state)
        errors.append(E)
        if step % (steps // 10) == 0:
            print(f"step {step:6,}   off the equation by {E:.2e}", flush=True)

    between = np.linspace(0, END, 1000)[:, None]
    u = (U0 + (1 - np.exp(-between)) * net.apply(params, (between, np.ones_like(between)))[0])[:, :1]
    print(f"off the exact solution by at most {np.abs(u - exact(between)).max():.1e}")
    if pn.plotting.is_available():
        figure = new_figure(12, 4.5)
        left, right = figure.subplots(1, 2)
        left.plot(between, exact(between), linewidth=5, alpha=0.3, label="the exact solution")
        left.plot(between, u, "C3--", label="the net")
        left.plot(t, np.zeros_like(t), "k|", label="the times at which it was trained")
        left.set(title="A swing that comes to rest", xlabel="time t", ylabel="u(t)")
        left.legend()
        right.semilogy(errors)
        right.set(title="How far the net is from the equation", xlabel="step", ylabel="mean (U′ − U · A)²")
        command.keep(figure, options.plot)


if __name__ == "__main__":
    main()
