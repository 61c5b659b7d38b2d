"""L-BFGS: a net trained by SciPy's optimizer, which sees one vector of parameters and one of gradients.

python -m purenet.examples.lbfgs        (needs the extra: pip install 'purenet[examples]')

`pn.tree.ravel` turns any pytree into a vector and back, so that whatever minimizes a function of a vector trains a net.
D. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.
"""

import argparse
from typing import Any

import numpy as np

import purenet as pn

net = pn.serial(pn.dense(1, 20), pn.tanh, pn.dense(20, 20), pn.tanh, pn.dense(20, 1))


def train(x: Any, target: Any, seed: int = 0, steps: int = 500) -> tuple[Any, Any]:
    """The trained params, in float64 as SciPy computes, and what SciPy says of the search."""
    try:
        from scipy.optimize import minimize
    except ModuleNotFoundError:
        raise ModuleNotFoundError("this example needs SciPy: pip install 'purenet[examples]'") from None

    value_and_grad = pn.value_and_grad(net, pn.mse)
    start, unravel = pn.tree.ravel(pn.tree.cast(net.init(pn.key(seed)), np.float64))

    def objective(vector: Any) -> tuple[float, Any]:
        E, grads = value_and_grad(unravel(vector), x, target)
        return float(E), pn.tree.ravel(grads)[0]

    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxfun": 2 * steps})
    return unravel(found.x), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the seed of the random key")
    options = parser.parse_args()

    x = np.linspace(-2, 2, 100)[:, None]
    target = np.sin(3 * x) + 0.3 * x
    params, found = train(x, target, options.seed)
    print(f"error {found.fun:.2e} after {found.nit} steps and {found.nfev} gradients")
    between = x[:-1] + np.diff(x, axis=0) / 2
    error = np.abs(net.apply(params, between) - (np.sin(3 * between) + 0.3 * between)).max()
    print(f"between the points it is off by at most {error:.4f}")


if __name__ == "__main__":
    main()
