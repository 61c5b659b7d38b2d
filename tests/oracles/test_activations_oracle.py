"""Activations against PyTorch where random numbers seldom fall: at kinks, far out, and for equal logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (as everyone calls it)

import purenet as pn
from tests.oracles.agree import agree_all
from tests.oracles.twins.activations import TWINS
from tests.oracles.twins.compare import by_torch, ours

ROWWISE = ("softmax", "log_softmax")
ELEMENTWISE = [name for name in TWINS if name not in ROWWISE]
WITHOUT_PARAMS = [name for name in TWINS if name != "prelu"]

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def test_every_activation_is_here():
    def in_activations(value):
        return getattr(value, "__module__", "") == pn.tanh.__module__

    activations = {name for name in pn.__all__ if in_activations(getattr(pn, name))}
    assert activations - {"activation"} == set(TWINS)


@pytest.mark.parametrize("name", ELEMENTWISE)
@each_dtype
def test_at_a_kink_the_gradient_is_the_one_that_pytorch_takes(name, dtype):
    kinks = np.array([0.0, -0.0, 1, -1, 3, -3, 6, -6], dtype)
    x = np.concatenate([kinks, np.nextafter(kinks, dtype(-9)), np.nextafter(kinks, dtype(9))])
    layer, dy = getattr(pn, name), np.ones_like(x)
    params = pn.tree.cast(layer.init(pn.key(0)), dtype)
    found, _ = ours(layer, params, x, lambda _: dy)
    if name == "hard_sigmoid":  # PyTorch's own: the twin's clip passes no gradient at the kinks
        tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = F.hardsigmoid(tensor)
        value.sum().backward()
        value, gradient = value.detach().numpy(), tensor.grad.numpy()
    else:
        value, _, gradient = by_torch(layer, params, x, dy)
    np.testing.assert_allclose(found.y, value, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.dx, gradient, rtol=1e-6, atol=1e-7)  # on the wrong side of a kink it is far away


@pytest.mark.parametrize("name", WITHOUT_PARAMS)
@each_dtype
def test_far_out(name, dtype):
    sizes = np.array([20, 88, 89, 104, 710, 1e4, 1e18, 1e30], dtype)
    x = np.concatenate([sizes, -sizes])
    if name in ROWWISE:
        x = np.stack([np.broadcast_to(x, (16, 16)), x[:, None] * np.ones(16, dtype)], axis=-1).reshape(-1, 2)
    dy = np.ones_like(x)
    dy[..., 0] = 2
    found, _ = ours(getattr(pn, name), (), x, lambda _: dy)
    assert np.isfinite(found.y).all()
    assert np.isfinite(found.dx).all()
    value, _, gradient = by_torch(getattr(pn, name), (), x, dy)
    for mine, theirs in ((found.y, value), (found.dx, gradient)):
        truth_known = np.isfinite(theirs)
        assert truth_known.mean() > 0.8
        np.testing.assert_allclose(
            mine[truth_known], theirs[truth_known], rtol=1e-5 if dtype is np.float32 else 1e-10, atol=1e-7
        )


@pytest.mark.parametrize("name", ROWWISE)
@each_dtype
def test_equal_logits(name, dtype):
    x = np.array([[1e4, 1e4, -1e4], [0, 0, 0], [-1e4, -1e4, -1e4]], dtype)
    dy = np.random.default_rng(0).normal(size=x.shape).astype(dtype)
    found, _ = ours(getattr(pn, name), (), x, lambda _: dy)
    agree_all(name, "PyTorch", found, by_torch(getattr(pn, name), (), x, dy))
