"""Losses. A twin's function takes y and the target in place of params and x."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.twins.draw import coin, random_array, random_shape
from tests.oracles.twins.twin import Drawn, Twin

SHAPES = [random_shape(np.random.default_rng(seed), least=2, largest=6) for seed in range(8)]  # JAX compiles for each


def rows(y):
    """PyTorch wants the classes on axis 1: (batch, …, classes) as (rows, classes)."""
    return y.reshape(-1, y.shape[-1])


def labels_or_rows(y, target):
    return target.reshape(-1).long() if target.ndim < y.ndim else rows(target)


def sse_in_torch(y, target):
    return F.mse_loss(y, target, reduction="sum")


def huber_in_torch(y, target, delta=1.0, reduction="mean"):
    return F.huber_loss(y, target, reduction=reduction, delta=delta)


def logits_in_torch(y, target, reduction="mean"):
    return F.binary_cross_entropy_with_logits(y, target.to(y.dtype), reduction=reduction)


def cross_entropy_in_torch(y, target, label_smoothing=0.0, reduction="mean"):
    return F.cross_entropy(rows(y), labels_or_rows(y, target), label_smoothing=label_smoothing, reduction=reduction)


def nll_in_torch(y, target, reduction="mean"):
    """PyTorch's takes labels alone."""
    if target.ndim == y.ndim:
        return getattr(-(target * y).sum(-1), reduction)()
    return F.nll_loss(rows(y), labels_or_rows(y, target), reduction=reduction)


def hinge_in_torch(y, target, reduction="mean"):
    """PyTorch's own hinge losses are other functions."""
    return getattr(torch.relu(1 - target * y), reduction)()


def kl_in_torch(y, target, reduction="mean"):
    return F.kl_div(rows(y), rows(target), reduction="batchmean" if reduction == "mean" else reduction)


def of_costs(cost):
    """The loss in JAX, of what each element or row costs."""

    def run(y, target, reduction="mean", **options):
        return getattr(cost(y, target, **options), reduction)()

    return run


def sse_in_jax(y, target):
    return ((y - target) ** 2).sum()


def huber_in_jax(y, t, delta=1.0):
    d = jnp.abs(y - t)
    return jnp.where(d <= delta, d**2 / 2, delta * (d - delta / 2))


def cross_entropy_in_jax(y, t, label_smoothing=0.0):
    classes = y.shape[-1]
    t = jax.nn.one_hot(t, classes, dtype=y.dtype) if t.ndim < y.ndim else t
    t = (1 - label_smoothing) * t + label_smoothing / classes
    return -jnp.sum(t * jax.nn.log_softmax(y), axis=-1)


def binary_in_jax(y, t):
    return -(t * jnp.log(y) + (1 - t) * jnp.log1p(-y))


def logits_in_jax(y, t):
    return -(t * jax.nn.log_sigmoid(y) + (1 - t) * jax.nn.log_sigmoid(-y))


def nll_in_jax(y, t):
    return -jnp.take_along_axis(y, t[..., None], axis=-1)[..., 0]


def kl_in_jax(y, t):
    return jnp.sum(jax.scipy.special.xlogy(t, t) - t * y, axis=-1)


def weighted(y, goal, loss):
    """Σ w·E / Σ w, with E the twin's value of each part alone: in PyTorch and in JAX."""
    target, weight = goal
    places = list(np.ndindex(*weight.shape))
    total = sum(weight[i] * loss.run(y[i][None], target[i][None]) for i in places)
    return total if loss.options.get("reduction") == "sum" else total / weight.sum()


def softmax(x):
    """Not so far out that a probability is 0."""
    x = 10 * np.tanh(x / 10)
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# what each loss takes, of a shape: (y, target)


def numbers(rng, shape):
    return random_array(rng, shape), random_array(rng, shape)


def some_share(rng, shape):
    share = rng.random(shape)
    return share if coin(rng) else np.rint(share)


def probabilities(rng, shape):
    return rng.random(shape) * 0.998 + 0.001, some_share(rng, shape)


def logits(rng, shape):
    return random_array(rng, shape), some_share(rng, shape)


def labels(rng, shape):
    return random_array(rng, shape), rng.integers(0, shape[-1], shape[:-1])


def log_probabilities(rng, shape):
    y, target = labels(rng, shape)
    return np.log(softmax(y)), target


def labels_or_distribution(rng, shape):
    y, target = labels(rng, shape)
    return y, softmax(rng.normal(size=shape)) if coin(rng) else target


def signs(rng, shape):
    return random_array(rng, shape), np.where(rng.random(shape) < 0.5, -1.0, 1.0)


def distributions(rng, shape):
    target = softmax(rng.normal(size=shape))
    return np.log(softmax(random_array(rng, shape))), target * (target > 0.1)


def weights(rng, few=False):
    """A loss of the table with its options, and a weight for each example, or for more of its axes."""
    names = ["mse", "huber", "softmax_cross_entropy", "nll", "kl_divergence", "binary_cross_entropy_with_logits"]
    twin = TWINS[names[rng.integers(len(names))]]
    loss, (y, target) = (twin.jax_draw if few else twin.draw)(rng)[:2]
    most = target.ndim if target.ndim < y.ndim else y.ndim - 1
    axes = max(n for n in range(1, most + 1) if n == 1 or np.prod(y.shape[:n]) <= 12)
    return Drawn(pn.weighted(loss), (y, (target, rng.random(y.shape[:axes]) + 0.01)))


def row(name, in_torch, in_jax, given, option=None):
    """The loss with its options at random: the reduction, and one of a range, for JAX from its ends."""

    def draw(rng, few=False):
        options = {} if name == "sse" or coin(rng) else {"reduction": str(rng.choice(["mean", "sum"]))}
        if option is not None and coin(rng, 0.6):
            word, low, high = option
            options[word] = float(rng.choice([low, high]) if few else rng.uniform(low, high))
        loss = getattr(pn, name)
        return Drawn(loss(**options) if options else loss, given(rng, SHAPES[rng.integers(len(SHAPES))]))

    return Twin(in_torch, in_jax, draw, jax_draw=partial(draw, few=True))


TWINS = {
    "mse": row("mse", F.mse_loss, of_costs(lambda y, t: (y - t) ** 2), numbers),
    "sse": row("sse", sse_in_torch, sse_in_jax, numbers),
    "mae": row("mae", F.l1_loss, of_costs(lambda y, t: jnp.abs(y - t)), numbers),
    "huber": row("huber", huber_in_torch, of_costs(huber_in_jax), numbers, ("delta", 0.1, 5)),
    "binary_cross_entropy": row("binary_cross_entropy", F.binary_cross_entropy, of_costs(binary_in_jax), probabilities),
    "binary_cross_entropy_with_logits": row(
        "binary_cross_entropy_with_logits", logits_in_torch, of_costs(logits_in_jax), logits
    ),
    "softmax_cross_entropy": row(
        "softmax_cross_entropy",
        cross_entropy_in_torch,
        of_costs(cross_entropy_in_jax),
        labels_or_distribution,
        ("label_smoothing", 0.0, 0.5),
    ),
    "nll": row("nll", nll_in_torch, of_costs(nll_in_jax), log_probabilities),
    "hinge": row("hinge", hinge_in_torch, of_costs(lambda y, t: jax.nn.relu(1 - t * y)), signs),
    "kl_divergence": row("kl_divergence", kl_in_torch, of_costs(kl_in_jax), distributions),
    "weighted": Twin(weighted, weighted, weights, jax_draw=partial(weights, few=True), jax_draws=10),
}
