"""Convolution, pooling and resizing, as the twins' draws have them, on other engines; and a transposed one in JAX."""

from __future__ import annotations

from itertools import product

import array_api_strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.agree import agree_all
from tests.oracles.twins.compare import Result, ours, some_dy
from tests.oracles.twins.draw import near_init, params_of
from tests.oracles.twins.windows import TWINS


def seeds(count):
    """So many of each layer; twice as many where it has two methods."""
    return [(name, seed) for name in TWINS for seed in range(2 * count if name == "upsample" else count)]


def drawn(name, seed, most_axes=5):
    """A layer, its params, x, our results and the dE/dY that they are of."""
    rng = np.random.default_rng([seed, *name.encode()])
    layer, x, params, _ = next(d for d in iter(lambda: TWINS[name].draw(rng), None) if d.x.ndim <= most_axes)
    params = near_init(rng, layer, x) if params is None else params
    return layer, params, x, *ours(layer, params, x, lambda y: some_dy(rng, y))


@pytest.mark.parametrize(("name", "seed"), seeds(20))
def test_array_api_code_and_numpy_agree(name, seed):
    """The strict implementation allows nothing beyond the standard, so what runs there runs on any engine."""
    layer, params, x, found, dy = drawn(name, seed)
    params, x, dy = pn.tree.map(array_api_strict.asarray, (params, x, dy))
    y, pullback = layer.vjp(params, x)
    agree_all(name, "strict", found, pn.tree.map(np.asarray, Result(y, *pullback(dy))), what=layer)


@pytest.mark.parametrize(("name", "seed"), seeds(6))
def test_layers_run_under_jit_as_on_numpy(name, seed):
    layer, params, x, found, dy = drawn(name, seed, most_axes=4)
    on_jax = jax.jit(lambda p, x, dy: (lambda y, pull: (y, *pull(dy)))(*layer.vjp(p, x)))
    theirs = Result(*on_jax(*pn.tree.map(jnp.asarray, (params, x, dy))))
    agree_all(name, "jit", found, pn.tree.map(np.asarray, theirs), what=layer)


GRID = list(product(range(1, 5), range(1, 5), range(1, 4), (False, True)))  # window, stride, dilation, ceil_mode


@pytest.mark.parametrize(("size", "stride", "dilation", "ceil"), GRID)
def test_every_small_max_pool_is_pytorchs(size, stride, dilation, ceil):
    """Every padding that PyTorch has, and inputs as small as can be: what it refuses is refused."""
    for n, low in product(range(1, 9), range(size // 2 + 1)):
        layer = pn.max_pool((size,), stride=stride, padding=low, dilation=dilation, ceil_mode=ceil)
        x = np.cos(3.0 * np.arange(n))[None, :, None]
        same_as_pytorch(layer, x, lambda x, low=low: F.max_pool1d(x, size, stride, low, dilation, ceil))


@pytest.mark.parametrize(("size", "stride", "include", "ceil"), list(product(*[range(1, 5)] * 2, *[(False, True)] * 2)))
def test_every_small_avg_pool_is_pytorchs(size, stride, include, ceil):
    for n, low in product(range(1, 9), range(size // 2 + 1)):
        layer = pn.avg_pool((size,), stride=stride, padding=low, ceil_mode=ceil, count_include_pad=include)
        x = np.cos(3.0 * np.arange(n))[None, :, None]
        same_as_pytorch(layer, x, lambda x, low=low: F.avg_pool1d(x, size, stride, low, ceil, include))


def same_as_pytorch(layer, x, pool):
    """Y and dE/dX are PyTorch's; an error where PyTorch has one, or where its maximum is that of nothing."""
    leaf = torch.tensor(x, requires_grad=True)
    try:
        theirs = pool(leaf.movedim(-1, 1)).movedim(1, -1)
    except RuntimeError:
        theirs = None
    if theirs is None or bool(theirs.isinf().any()):
        message = "does not fit" if theirs is None else "holds padding alone"
        with pytest.raises(ValueError, match=message):
            layer.apply((), x)
        with pytest.raises(ValueError, match=message):
            layer.shape(x.shape[1:])
        return
    y, pullback = layer.vjp((), x)
    assert y.shape[1:] == layer.shape(x.shape[1:])
    dy = np.sin(1 + np.arange(y.size)).reshape(y.shape)
    theirs.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(pullback(dy)[1], leaf.grad.numpy(), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("seed", range(50))
def test_conv_transpose_same_is_jaxs(seed):
    rng = np.random.default_rng(seed)
    dims = int(rng.integers(1, 3))
    kernel, stride = (tuple(int(n) for n in rng.integers(1, 5, dims)) for _ in range(2))
    layer = pn.conv_transpose(2, 3, kernel, stride=stride, padding="same", bias=False)
    x = rng.normal(size=(2, *rng.integers(1, 5, dims), 2))
    params = params_of(rng, layer, x, 1)
    axes = "HW"[-dims:]
    numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    weight = jnp.swapaxes(params.weight, -1, -2)  # transpose_kernel takes the kernel of the convolution it transposes
    theirs = jax.lax.conv_transpose(x, weight, stride, "SAME", dimension_numbers=numbers, transpose_kernel=True)
    np.testing.assert_allclose(layer.apply(params, x), theirs, rtol=1e-10, atol=1e-10)
