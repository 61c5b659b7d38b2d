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


def reduce(costs, reduction):
    return costs if reduction == "none" else getattr(costs, reduction)()


def like_rows(costs, y):
    """What the rows cost, if they were not added up, in the shape that they have in y."""
    return costs.reshape(y.shape[:-1]) if costs.ndim else costs


def labels_or_rows(y, target):
    return target.reshape(-1).long() if target.ndim < y.ndim else rows(target)


def sse_in_torch(y, target):
    return F.mse_loss(y, target, reduction="sum")


def huber_in_torch(y, target, delta=1.0, reduction="mean"):
    return F.huber_loss(y, target, reduction=reduction, delta=delta)


def like(y, numbers):
    """An option of numbers as a tensor."""
    return None if numbers is None else torch.tensor(numbers, dtype=y.dtype)


def logits_in_torch(y, target, reduction="mean", pos_weight=None, weight=None):
    weights = {"pos_weight": like(y, pos_weight), "weight": like(y, weight)}
    return F.binary_cross_entropy_with_logits(y, target.to(y.dtype), reduction=reduction, **weights)


def of_classes(y, target, options, ignore_index=None, weight=None):
    """PyTorch ignores a label of −100 unless it is told otherwise, and no soft target."""
    ignored = {} if ignore_index is None or target.ndim == y.ndim else {"ignore_index": ignore_index}
    return options | ignored | {"weight": like(y, weight)}


def cross_entropy_in_torch(y, target, label_smoothing=0.0, reduction="mean", **counting):
    options = of_classes(y, target, {"label_smoothing": label_smoothing, "reduction": reduction}, **counting)
    return like_rows(F.cross_entropy(rows(y), labels_or_rows(y, target), **options), y)


def nll_in_torch(y, target, reduction="mean", **counting):
    """PyTorch's takes labels alone."""
    options = of_classes(y, target, {"reduction": reduction}, **counting)
    if target.ndim == y.ndim:
        weight = 1 if options["weight"] is None else options["weight"]
        return reduce(-(weight * target * y).sum(-1), reduction)
    return like_rows(F.nll_loss(rows(y), labels_or_rows(y, target), **options), y)


def hinge_in_torch(y, target, reduction="mean"):
    """PyTorch's own hinge losses are other functions."""
    return reduce(torch.relu(1 - target * y), reduction)


def kl_in_torch(y, target, reduction="mean"):
    if reduction == "none":
        return F.kl_div(y, target, reduction="none").sum(-1)
    return F.kl_div(rows(y), rows(target), reduction="batchmean" if reduction == "mean" else reduction)


def log_cosh_in_torch(y, target, reduction="mean"):
    return reduce(torch.logaddexp(y - target, target - y) - np.log(2), reduction)


def quantile_in_torch(y, target, q=0.5, reduction="mean"):
    return reduce(torch.maximum(q * (target - y), (q - 1) * (target - y)), reduction)


def poisson_in_torch(y, target, log_input=True, reduction="mean"):
    return F.poisson_nll_loss(y, target, log_input=log_input, reduction=reduction)


def cosine_in_torch(y, target, reduction="mean"):
    return reduce(-F.cosine_similarity(y, target.to(y.dtype), dim=-1), reduction)


def of_costs(cost):
    """The loss in JAX, of what each element or row costs."""

    def run(y, target, reduction="mean", **options):
        return reduce(cost(y, target, **options), reduction)

    return run


def sse_in_jax(y, target):
    return ((y - target) ** 2).sum()


def huber_in_jax(y, t, delta=1.0):
    d = jnp.abs(y - t)
    return jnp.where(d <= delta, d**2 / 2, delta * (d - delta / 2))


def cross_entropy_in_jax(y, target, label_smoothing=0.0, **options):
    return mean_of_classes(jax.nn.log_softmax(y), target, label_smoothing, **options)


def mean_of_classes(logs, target, smoothing=0.0, reduction="mean", weight=None, ignore_index=None):
    """−Σ w·T·logs, over the sum of w[labels] or the number of soft targets."""
    classes = logs.shape[-1]
    by_class = jnp.ones(classes) if weight is None else jnp.asarray(weight)
    of_row = jnp.ones(logs.shape[:-1])
    if target.ndim < logs.ndim:
        of_row = by_class[target] if ignore_index is None else jnp.where(target == ignore_index, 0, by_class[target])
        target = jax.nn.one_hot(target, classes)
    cost = -jnp.sum(by_class * ((1 - smoothing) * target + smoothing / classes) * logs, axis=-1)
    cost = jnp.where(of_row > 0, cost, 0)
    return cost.sum() / of_row.sum() if reduction == "mean" else reduce(cost, reduction)


def binary_in_jax(y, t):
    return -(t * jnp.log(y) + (1 - t) * jnp.log1p(-y))


def logits_in_jax(y, t, pos_weight=None, weight=None):
    p, w = (1 if numbers is None else jnp.asarray(numbers) for numbers in (pos_weight, weight))
    return -w * (p * t * jax.nn.log_sigmoid(y) + (1 - t) * jax.nn.log_sigmoid(-y))


def kl_in_jax(y, t):
    return jnp.sum(jax.scipy.special.xlogy(t, t) - t * y, axis=-1)


def log_cosh_in_jax(y, t):
    return jnp.logaddexp(y - t, t - y) - jnp.log(2)


def quantile_in_jax(y, t, q=0.5):
    return jnp.maximum(q * (t - y), (q - 1) * (t - y))


def poisson_in_jax(y, t, log_input=True):
    return jnp.exp(y) - t * y if log_input else y - t * jnp.log(y + 1e-8)


def cosine_in_jax(y, t):
    lengths = [jnp.linalg.norm(x, axis=-1) for x in (y, t)]
    return -jnp.sum(y * t, axis=-1) / (lengths[0] * lengths[1])


def gaussian_in_torch(y, target, **options):
    mean, variance = y
    return F.gaussian_nll_loss(mean, target, variance, **options)


def gaussian_in_jax(y, target, full=False, eps=1e-6, reduction="mean"):
    mean, variance = y
    logs = jax.scipy.stats.norm.logpdf(target, mean, jnp.sqrt(variance))
    costs = -logs if full else -logs - np.log(2 * np.pi) / 2
    return reduce(costs, reduction)


def triplet_in_torch(y, target, **options):
    return like_rows(F.triplet_margin_loss(*map(rows, y), **options), y[0])


def triplet_in_jax(y, target, margin=1.0, reduction="mean"):
    anchor, positive, negative = y
    near, far = (jnp.linalg.norm(anchor - other + 1e-6, axis=-1) for other in (positive, negative))
    return reduce(jax.nn.relu(near - far + margin), reduction)


def weighted(y, goal, loss):
    """Σ w·E / Σ w, with E the twin's value of each part alone: in PyTorch and in JAX."""
    target, weight = goal
    places = list(np.ndindex(*weight.shape))
    parts = {i: pn.tree.map(lambda part, i=i: part[i][None], (y, target)) for i in places}
    total = sum(weight[i] * loss.run(*parts[i]) for i in places)
    return total if loss.options.get("reduction") == "sum" else total / weight.sum()


def per_output(y, target, *losses, weights=None):
    """The sum of the twins' values: in PyTorch and in JAX."""
    weights = weights or [1] * len(losses)
    return sum(w * loss.run(*pair) for w, loss, *pair in zip(weights, losses, y, target, strict=True))


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


def normals(rng, shape):
    return (random_array(rng, shape), rng.random(shape) + 0.01), random_array(rng, shape)


def embeddings(rng, shape):
    return (*(rng.normal(size=shape) for _ in range(3)),), np.zeros(shape[:-1])


def counts(rng, shape):
    return random_array(rng, shape).clip(-9, 9), rng.poisson(2, shape)


def one_number(rng, name):
    """A loss of the table that has no weights of its own and is one number, and its (y, target)."""
    loss, point = TWINS[name].jax_draw(rng)[:2]
    return one_number(rng, name) if loss.call.options.get("reduction") == "none" else (loss, point)


def weights(rng, few=False):
    """A loss of the table with its options, and a weight for each example, or for more of its axes."""
    names = ["mse", "huber", "softmax_cross_entropy", "nll", "kl_divergence", "binary_cross_entropy_with_logits"]
    loss, (y, target) = one_number(rng, names[rng.integers(len(names))])
    most = target.ndim if target.ndim < y.ndim else y.ndim - 1
    axes = max(n for n in range(1, most + 1) if n == 1 or np.prod(y.shape[:n]) <= 12)
    return Drawn(pn.weighted(loss), (y, (target, rng.random(y.shape[:axes]) + 0.01)))


def outputs(rng, few=False):
    """Losses of the table with their options, at times with weights."""
    names = ["mse", "softmax_cross_entropy", "kl_divergence"]
    losses, points = zip(*(one_number(rng, name) for name in names[: 2 + coin(rng)]), strict=True)
    options = {"weights": (0.5, 2, 3)[: len(losses)]} if coin(rng) else {}
    return Drawn(pn.per_output(*losses, **options), (*zip(*points, strict=True),))


def class_weights(rng, y, target):
    """A weight for each class, and a label that is ignored, if there is another."""
    options = {"weight": (*(rng.random(y.shape[-1]) + 0.1).tolist(),)} if coin(rng) else {}
    if target.ndim < y.ndim and len(np.unique(target)) > 1 and coin(rng):
        options["ignore_index"] = int(target.flat[0])
    return options


def element_weights(rng, y, target):
    """Of positive targets and of all: one number, or one for each place of the last axis."""
    of_last = {word: (*(rng.random(y.shape[-1]) + 0.1).tolist(),) for word in ("pos_weight", "weight")}
    return {word: many if coin(rng) else many[0] for word, many in of_last.items() if coin(rng)}


def row(name, in_torch, in_jax, given, option=None, weights=None, least=0.0):
    """The loss with its options at random: the reduction, and one of a range, for JAX from its ends; weights are drawn
    for PyTorch alone."""

    def draw(rng, few=False):
        options = {} if name == "sse" or coin(rng) else {"reduction": str(rng.choice(["mean", "sum", "none"]))}
        if option is not None and coin(rng, 0.6):
            word, low, high = option
            options[word] = float(rng.choice([low, high]) if few else rng.uniform(low, high))
        y, target = given(rng, SHAPES[rng.integers(len(SHAPES))])
        if weights is not None and not few:
            options |= weights(rng, y, target)
        loss = getattr(pn, name)
        return Drawn(loss(**options) if options else loss, (y, target))

    return Twin(in_torch, in_jax, draw, jax_draw=partial(draw, few=True), least=least)


TWINS = {
    "mse": row("mse", F.mse_loss, of_costs(lambda y, t: (y - t) ** 2), numbers),
    "sse": row("sse", sse_in_torch, sse_in_jax, numbers),
    "mae": row("mae", F.l1_loss, of_costs(lambda y, t: jnp.abs(y - t)), numbers),
    "huber": row("huber", huber_in_torch, of_costs(huber_in_jax), numbers, ("delta", 0.1, 5)),
    "binary_cross_entropy": row("binary_cross_entropy", F.binary_cross_entropy, of_costs(binary_in_jax), probabilities),
    "binary_cross_entropy_with_logits": row(
        "binary_cross_entropy_with_logits",
        logits_in_torch,
        of_costs(logits_in_jax),
        logits,
        weights=element_weights,
    ),
    "softmax_cross_entropy": row(
        "softmax_cross_entropy",
        cross_entropy_in_torch,
        cross_entropy_in_jax,
        labels_or_distribution,
        ("label_smoothing", 0.0, 0.5),
        class_weights,
    ),
    "nll": row("nll", nll_in_torch, mean_of_classes, log_probabilities, weights=class_weights),
    "hinge": row("hinge", hinge_in_torch, of_costs(lambda y, t: jax.nn.relu(1 - t * y)), signs),
    "kl_divergence": row("kl_divergence", kl_in_torch, of_costs(kl_in_jax), distributions),
    "log_cosh": row("log_cosh", log_cosh_in_torch, of_costs(log_cosh_in_jax), numbers),
    "quantile": row("quantile", quantile_in_torch, of_costs(quantile_in_jax), numbers, ("q", 0.1, 0.9)),
    "poisson_nll": row("poisson_nll", poisson_in_torch, of_costs(poisson_in_jax), counts),
    "cosine_similarity": row("cosine_similarity", cosine_in_torch, of_costs(cosine_in_jax), numbers, least=0.01),
    "gaussian_nll": row("gaussian_nll", gaussian_in_torch, gaussian_in_jax, normals, ("eps", 0.001, 0.01)),
    "triplet": row("triplet", triplet_in_torch, triplet_in_jax, embeddings, ("margin", 0.2, 2)),
    "per_output": Twin(per_output, per_output, outputs, jax_draw=partial(outputs, few=True), jax_draws=10),
    "weighted": Twin(weighted, weighted, weights, jax_draw=partial(weights, few=True), jax_draws=10),
}
