"""From JAX.

There, with Flax and Optax, a model holds its parameters, and functions of it are transformed:

```python
import jax
import jax.numpy as jnp
import optax
from flax import nnx

rngs = nnx.Rngs(0)
model = nnx.Sequential(nnx.Linear(2, 8, rngs=rngs), nnx.tanh, nnx.Linear(8, 1, rngs=rngs))
optimizer = nnx.Optimizer(model, optax.adam(0.05), wrt=nnx.Param)
x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
target = jnp.array([[0.0], [1.0], [1.0], [0.0]])


def loss(model):
    return jnp.mean((model(x) - target) ** 2)


@nnx.jit
def step(model, optimizer):
    E, grads = nnx.value_and_grad(loss)(model)
    optimizer.update(model, grads)
    return E


for _ in range(300):
    E = step(model, optimizer)
```

Here a net is functions, params are a pytree, and an optimizer gives params in place of updates:

>>> import numpy as np
>>> import purenet as pn
>>> net = pn.serial(pn.dense(2, 8), pn.tanh, pn.dense(8, 1))
>>> optimizer = pn.adam(lr=0.05)
>>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
>>> target = np.array([[0], [1], [1], [0]], np.float32)
>>> params = net.init(pn.key(0))
>>> state = optimizer.init(params)
>>> def step(params, state):
...     E, grads = pn.value_and_grad(net, pn.mse)(params, x, target)
...     return E, *optimizer.step(params, grads, state)
>>> for _ in range(300):
...     E, params, state = step(params, state)
>>> bool(E < 0.01)
True

With JAX's arrays and keys the same `step` stands in `jax.jit`, as in `vmap` and `scan`, and Optax's optimizers take
these params and gradients. What stands in a `Buffer` is not trained: where its gradient would be stands the step
old − next. A mask lets Optax hand this step on as it is, and `pn.update` subtracts it:

>>> import jax
>>> import optax
>>> net = pn.serial(pn.dense(2, 8), pn.batch_norm(8), pn.tanh, pn.dense(8, 1))
>>> x, params = jax.random.normal(jax.random.key(0), (32, 2)), net.init(jax.random.key(1))
>>> trained = pn.tree.map(lambda leaf: type(leaf) is not pn.Buffer, params, leaf_type=pn.Buffer)
>>> optimizer = optax.masked(optax.adamw(1e-3), trained)
>>> E, grads = jax.jit(pn.value_and_grad(net, pn.mse))(params, x, x[:, :1] * x[:, 1:], jax.random.key(2))
>>> updates, state = optimizer.update(grads, optimizer.init(params), params)
>>> moved = pn.update(lambda p, u: p + u, params, updates)
>>> [bool((a != b).any()) for a, b in zip(pn.tree.leaves(params), pn.tree.leaves(moved))]
[True, True, True, True, True, True, True, True]

`optax.apply_updates` adds what it is given, which would move a masked buffer the wrong way. With it, give buffers an
optimizer of their own, `optax.sgd(1.0)`, which turns the step round:

>>> optimizer = optax.partition({True: optax.adamw(1e-3), False: optax.sgd(1.0)}, trained)
>>> updates, state = optimizer.update(grads, optimizer.init(params), params)
>>> pn.tree.allclose(optax.apply_updates(params, updates), moved)
True

## What is different

- `net.apply(params, x)` is as in Flax's Linen. There is no module, and no tracing: each layer has its own `vjp`.
- `jax.vjp(f, params, x)` is `net.vjp(params, x)`: Y, and a pullback to (dparams, dx).
- Keys are used up as there: `pn.split(key, n)`. `pn.key` runs without JAX, and draws other numbers than JAX's keys.
- `jax.grad` is not needed, and still works: a loss of this library in a function of JAX is differentiated by JAX.
- Running statistics stand in the params as `pn.Buffer`, not in a collection of their own. With Optax, mask them,
  and use `pn.update`.
- `pn.tree.map` and `jax.tree.map` agree on what a leaf is, and in which order leaves come.
- `pn.from_jax(f)` makes a layer or a loss of a function of JAX, with its derivative from JAX.

"""

from purenet.names.elsewhere import tables

__doc__ = (__doc__ or "") + tables("JAX")
