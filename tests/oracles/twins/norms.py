"""Normalization, in inference and in training."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.twins.draw import coin, fortran, params_of
from tests.oracles.twins.twin import Drawn, Twin

SHAPES = [np.random.default_rng(seed).integers(3, 7, 2 + seed % 3) for seed in range(6)]  # JAX compiles for each shape


def first(x):
    """Channels from the last axis to the second, where PyTorch has them."""
    return x.movedim(-1, 1)


def last(y):
    return y.movedim(1, -1)


def scale_and_shift(params):
    return (params.weight, params.bias) if params else (None, None)


def batch_norm_in_torch(training):
    """F.batch_norm writes the next values to the buffers; of the variances it knows only the unbiased."""

    def run(params, x, features=None, momentum=0.1, eps=1e-5, affine=True, bias=True, unbiased=True):
        options = {"training": training, "momentum": momentum, "eps": eps}
        mean, variance = params.mean.value, params.variance.value
        written = variance if unbiased else variance.clone()
        if training and not unbiased:
            variance.lerp_(x.detach().flatten(0, -2).var(0, correction=0), momentum)
        return last(F.batch_norm(first(x), mean, written, *params[:2], **options))

    return run


def layer_norm_in_torch(params, x, features=None, eps=1e-5, affine=True, bias=True):
    return F.layer_norm(x, x.shape[-1:], *scale_and_shift(params), eps=eps)


def group_norm_in_torch(params, x, groups, features=None, eps=1e-5, affine=True, bias=True):
    return last(F.group_norm(first(x), groups, *scale_and_shift(params), eps=eps))


def instance_norm_in_torch(params, x, features=None, eps=1e-5, affine=False, bias=True):
    weight, shift = scale_and_shift(params)
    return last(F.instance_norm(first(x), weight=weight, bias=shift, eps=eps))


def rms_norm_in_torch(params, x, features=None, eps=None, affine=True):
    return F.rms_norm(x, x.shape[-1:], scale_and_shift(params)[0], eps)


def affine_in_jax(y, params):
    weight, bias = params[:2] if params else (None, None)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def batch_norm_in_jax(params, x, features=None, momentum=0.1, eps=1e-5, affine=True, bias=True, unbiased=True):
    moved = (x - params.mean.value) * jax.lax.rsqrt(params.variance.value + eps)
    return affine_in_jax(moved, params)


def batch_norm_in_jax_training(params, x, features=None, momentum=0.1, eps=1e-5, affine=True, bias=True, unbiased=True):
    return affine_in_jax(jax.nn.standardize(x, axis=tuple(range(x.ndim - 1)), epsilon=eps), params)


def layer_norm_in_jax(params, x, features=None, eps=1e-5, affine=True, bias=True):
    return affine_in_jax(jax.nn.standardize(x, axis=-1, epsilon=eps), params)


def group_norm_in_jax(params, x, groups, features=None, eps=1e-5, affine=True, bias=True):
    apart = x.reshape(*x.shape[:-1], groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    return affine_in_jax(jax.nn.standardize(apart, axis=axes, epsilon=eps).reshape(x.shape), params)


def instance_norm_in_jax(params, x, features=None, eps=1e-5, affine=False, bias=True):
    return affine_in_jax(jax.nn.standardize(x, axis=tuple(range(1, x.ndim - 1)), epsilon=eps), params)


def rms_norm_in_jax(params, x, features=None, eps=None, affine=True):
    eps = jnp.finfo(x.dtype).eps if eps is None else eps
    return affine_in_jax(x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + eps), params)


def draw_norm(make, least=2, factor=1, few=False):
    """x (batch, positions..., features) off centre, at random scales; the options at random.

    At least 3 numbers stand on each axis, for with 2 the gradient is 0 but for eps, and all is rounding.
    """

    def draw(rng):
        fitting = [shape for shape in SHAPES if len(shape) >= least]
        *leading, features = (int(n) for n in fitting[rng.integers(len(fitting))])
        shape = (*leading, factor * features)
        scale = 10.0 ** rng.uniform(-1, 1.5)
        x = scale * rng.normal(size=shape) + 3 * scale * rng.normal(size=shape[-1])
        layer = make(rng, 0.1 if few else float(rng.choice([1e-5, 1e-3, 0.1])), coin(rng, 0.6))
        params = params_of(rng, layer, x, 1)
        if layer.name.startswith("batch_norm"):
            params = params._replace(variance=pn.Buffer(np.abs(params.variance.value) + 0.1))
        return Drawn(layer, fortran(rng, x), params, coin(rng))

    return draw


def draw_batch_norm(rng, eps, affine):
    momentum = 0.3 if eps == 0.1 else float(rng.uniform(0, 1))
    return pn.batch_norm(momentum=momentum, eps=eps, affine=affine, bias=coin(rng), unbiased=coin(rng))


def draw_layer_norm(rng, eps, affine):
    return pn.layer_norm(eps=eps, affine=affine, bias=coin(rng))


def draw_group_norm(rng, eps, affine):
    return pn.group_norm(int(rng.choice([1, 2, 3, 6])), eps=eps, affine=affine, bias=coin(rng))


def row(in_torch, in_jax, make, draws=50, jax_draws=50, training=(None, None), **options):
    draw, jax_draw = (draw_norm(make, few=few, **options) for few in (False, True))
    return Twin(in_torch, in_jax, draw, draws, jax_draw, jax_draws, *training)


TWINS = {
    "batch_norm": row(
        batch_norm_in_torch(False),
        batch_norm_in_jax,
        draw_batch_norm,
        draws=100,
        training=(batch_norm_in_torch(True), batch_norm_in_jax_training),
        factor=2,
    ),
    "layer_norm": row(layer_norm_in_torch, layer_norm_in_jax, draw_layer_norm),
    "group_norm": row(group_norm_in_torch, group_norm_in_jax, draw_group_norm, jax_draws=10, factor=6),
    "instance_norm": row(
        instance_norm_in_torch,
        instance_norm_in_jax,
        lambda rng, eps, affine: pn.instance_norm(eps=eps, affine=affine, bias=coin(rng)),
        least=3,
    ),
    "rms_norm": row(
        rms_norm_in_torch,
        rms_norm_in_jax,
        lambda rng, eps, affine: pn.rms_norm(eps=eps, affine=affine),
        jax_draws=10,
    ),
}
