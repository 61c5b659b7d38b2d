"""JAX with `jit`: one call a step, or a whole epoch in one call by `lax.scan`.

Arrays are on the device before the clock starts. The nets are written in JAX, on params that are nested as ours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.contest import Entry
from benchmarks.works import Work


def start(work: Work, params: Any, step: Any = None, carry: Any = None) -> Entry:
    """A jitted call for each step. The old weights are donated, so that the new ones take their place."""
    step, evaluate = jax.jit(step or step_of(work), donate_argnums=0), evaluator(work.kind, work.hidden, work.loss)
    carry = carry or begin(work, params)
    batches = [(jnp.asarray(x), jnp.asarray(target)) for x, target in work.batches]

    def epoch() -> None:
        nonlocal carry
        for x, target in batches:
            carry, E = step(carry, (x, target))
        jax.block_until_ready((carry, E))

    return Entry(epoch, lambda: float(evaluate(carry[0], *batches[0])))


def scan(work: Work, params: Any, step: Any = None, carry: Any = None) -> Entry:
    step, evaluate = step or step_of(work), evaluator(work.kind, work.hidden, work.loss)
    carry = carry or begin(work, params)
    stacked = tuple(jnp.stack([jnp.asarray(part) for part in parts]) for parts in zip(*work.batches, strict=True))
    run = jax.jit(lambda carry, stacked: lax.scan(step, carry, stacked), donate_argnums=0)

    def epoch() -> None:
        nonlocal carry
        carry, _ = jax.block_until_ready(run(carry, stacked))

    return Entry(epoch, lambda: float(evaluate(carry[0], stacked[0][0], stacked[1][0])))


def predict(work: Work, params: Any) -> Callable[[], Any]:
    run, x = jax.jit(net_of(work.kind, work.hidden)), jnp.asarray(work.batches[0][0][:1])
    params = jax.tree.map(jnp.array, params)
    return lambda: jax.block_until_ready(run(params, x))


def begin(work: Work, params: Any) -> Any:
    params = jax.tree.map(jnp.array, params)
    if work.optimizer == "sgd":
        return (params,)
    zeros = [jax.tree.map(jnp.zeros_like, params) for _ in range(2)]
    return params, *zeros, jnp.zeros(())


@cache
def evaluator(kind: str, hidden: str, loss: str) -> Any:
    """The jitted loss, compiled once for all that share it."""
    return jax.jit(loss_of(kind, hidden, loss))


def loss_of(kind: str, hidden: str, loss: str) -> Any:
    net = net_of(kind, hidden)

    def mse(params: Any, x: Any, target: Any) -> Any:
        return jnp.mean((net(params, x) - target) ** 2)

    def cross_entropy(params: Any, x: Any, labels: Any) -> Any:
        logp = jax.nn.log_softmax(net(params, x))
        return -jnp.mean(jnp.sum(logp * jax.nn.one_hot(labels, logp.shape[-1]), axis=-1))

    return mse if loss == "mse" else cross_entropy


def step_of(work: Work, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Any:
    value_and_grad, lr = jax.value_and_grad(loss_of(work.kind, work.hidden, work.loss)), work.lr

    def sgd(carry: Any, batch: Any) -> Any:
        (params,) = carry
        E, grads = value_and_grad(params, *batch)
        return (jax.tree.map(lambda p, g: p - lr * g, params, grads),), E

    def adam(carry: Any, batch: Any) -> Any:
        params, m, v, t = carry
        E, grads = value_and_grad(params, *batch)
        t = t + 1
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, grads)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, grads)
        root = jnp.sqrt(1 - beta2**t)
        rate, small = lr * root / (1 - beta1**t), eps * root
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + small), params, m, v)
        return (params, m, v, t), E

    return sgd if work.optimizer == "sgd" else adam


# the nets


def net_of(kind: str, hidden: str) -> Any:
    nets = {"xor": xor, "lenet": lenet, "conv3x3": conv3x3, "lstm": lstm, "transformer": transformer}
    return nets.get(kind, dense_relu if hidden == "relu" else dense_tanh)


def linear(p: Any, x: Any) -> Any:
    y = x @ p.weight
    return y if p.bias is None else y + p.bias


def chain(params: Any, x: Any, activation: Any) -> Any:
    first, *rest = params
    x = linear(first, x)
    for p in rest:
        x = linear(p, activation(x))
    return x


def dense_tanh(params: Any, x: Any) -> Any:
    return chain(params[::2], x, jnp.tanh)


def dense_relu(params: Any, x: Any) -> Any:
    return chain(params[::2], x, jax.nn.relu)


def xor(params: Any, x: Any) -> Any:
    return jnp.tanh(chain(params[::2], x, jnp.tanh))


def conv(p: Any, x: Any) -> Any:
    return lax.conv_general_dilated(x, p.weight, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) + p.bias


def pool(x: Any) -> Any:
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))  # faster than lax.reduce_window here


def lenet(params: Any, x: Any) -> Any:
    x = pool(jax.nn.relu(conv(params[0], x)))
    x = pool(jax.nn.relu(conv(params[3], x)))
    return chain(params[7::2], x.reshape(len(x), -1), jax.nn.relu)


def conv3x3(params: Any, x: Any) -> Any:
    x = jax.nn.relu(conv(params[0], x))
    x = pool(jax.nn.relu(conv(params[2], x)))
    return chain(params[6::2], x.reshape(len(x), -1), jax.nn.relu)


def lstm(params: Any, x: Any) -> Any:
    (weight, recurrent_weight, bias), dense = params
    n = len(recurrent_weight)

    def step(state: Any, z: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(z + h @ recurrent_weight, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((len(x), n))
    (h, _), _ = lax.scan(step, (zeros, zeros), jnp.swapaxes(x @ weight + bias, 0, 1))
    return linear(dense, h)


def norm(p: Any, x: Any, eps: float = 1e-5) -> Any:
    d = x - x.mean(axis=-1, keepdims=True)
    return d * lax.rsqrt((d * d).mean(axis=-1, keepdims=True) + eps) * p.weight + p.bias


def attention(p: Any, x: Any, heads: int = 4) -> Any:
    batch, time, features = x.shape
    q, k, v = (linear(part, x).reshape(batch, time, heads, -1) for part in (p.query, p.key, p.value))
    return linear(p.out, jax.nn.dot_product_attention(q, k, v).reshape(batch, time, features))


def transformer(params: Any, x: Any) -> Any:
    *blocks, last = params
    for (norm1, heads), (norm2, up, _, down) in blocks:
        x = x + attention(heads, norm(norm1, x))
        x = x + linear(down, jax.nn.gelu(linear(up, norm(norm2, x)), approximate=False))
    return norm(last, x)
