"""Under JAX: a compiled step, whole epochs in one `scan`, and a hundred nets trained at once, to keep the best.

python -m purenet.examples.compiled        pip install 'purenet[jax]'

Params are pytrees that JAX knows, and a key of JAX stands wherever a key does, so there is nothing to convert.

- Keys. `pn.key` draws on NumPy, so it works outside compiled functions; inside, its numbers would be compiled in, the
  same dropout mask for ever. That is an error, which says to hand in `jax.random.key(seed)`. (Of a JAX key that a
  compiled function closes over JAX makes a constant too: hand it in as an argument.)
- Derivatives. `jax.grad`, `jax.hessian` and `jax.checkpoint` work through `apply`, and through our rules. The gradient
  of each example, as a batch of one: `jax.vmap(lambda x, t: evaluate(params, x[None], t[None]))(x, target)`. A learning
  rate may be traced, so `vmap` sweeps it.
- A layer or loss of your own works here too if it computes with `ops` (`help("purenet.spec")`), or with the functions
  of the array that it is given: `xp = y.__array_namespace__()`, and `xp.log(y)` in place of `np.log(y)`.
- Numbers are not looked at. What NumPy refuses, a label, id or length out of range, gives NaN here.
- Both engines at once. NumPy's params take JAX's x, and a compiled step may close over NumPy's data; what comes out is
  JAX's. float64 needs `jax.config.update("jax_enable_x64", True)`: where it would become float32, an error says so.
- Only outside. What needs numbers, files or a screen (`train`, `fit`, `evaluate`, `save`, `load`, `summary`, the
  metrics, plots, `data.mnist`) says "call it outside jit" inside. `predict`, `data.batches` and `one_hot` work there.
- Devices. `jax.device_put(params, sharding)` moves params and states, so there is no function of ours for it;
  `purenet.examples.sharded` cuts a net over many of them.

Every layer, loss, optimizer, schedule, transform and penalty is tested so (`python -m pytest tests/oracles`); layers,
losses, optimizers and penalties also under `array-api-strict`, which has nothing beyond the standard. CuPy follows the
same standard, but is untested.
"""

from typing import Any

import purenet as pn

try:
    import jax
except ModuleNotFoundError:
    raise ModuleNotFoundError("this example needs JAX: pip install 'purenet[jax]'") from None

net = pn.serial(pn.dense(2, 16), pn.tanh, pn.dropout(0.02), pn.dense(16, 1))
evaluate, optimizer = pn.value_and_grad(net, pn.mse), pn.adam(lr=0.03)


@jax.jit
def step(run: Any, batch: Any) -> Any:
    """The run after one batch, and the error."""
    params, state, key = run
    key, own = pn.random.split(key)  # a new key for each step: dropout draws anew
    E, grads = evaluate(params, *batch, own)
    return (*optimizer.step(params, grads, state), key), E


@jax.jit
def train(key: Any, x: Any, target: Any) -> Any:
    """The params after five epochs over all batches, and the mean error of the last epoch."""
    init_key, key = pn.random.split(key)
    params = net.init(init_key)
    run = (params, optimizer.init(params), key)
    run, errors = jax.lax.scan(lambda run, _: jax.lax.scan(step, run, (x, target)), run, None, length=5)
    return run[0], errors[-1].mean()


def main() -> None:
    x = jax.random.normal(jax.random.key(0), (50, 32, 2))  # 50 batches of 32
    target = x[..., :1] * x[..., 1:]
    _, E = train(jax.random.key(1), x, target)
    print(f"one net ends with an error of {E:.4f}")
    keys = jax.random.split(jax.random.key(2), 100)
    many, errors = jax.vmap(train, in_axes=(0, None, None))(keys, x, target)
    best = jax.tree.map(lambda leaf: leaf[errors.argmin()], many)
    print(f"of a hundred nets, the errors go from {errors.min():.4f} to {errors.max():.4f}")
    print(f"the best one says that 0.5 times 0.5 is {net.apply(best, jax.numpy.array([0.5, 0.5])).item():.2f}")


if __name__ == "__main__":
    main()
