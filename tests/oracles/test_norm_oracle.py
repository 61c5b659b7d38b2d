"""Normalization against PyTorch beyond the draws: means far from 0, and the default of rms_norm; sums of many rows."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn

KEY = pn.key(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_the_eps_of_rms_norm_is_pytorchs_and_that_of_the_dtype(dtype):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(dtype) * dtype(1e-3)
    y = pn.rms_norm(affine=False).apply((), x)
    assert (y == pn.rms_norm(eps=float(np.finfo(dtype).eps), affine=False).apply((), x)).all()
    np.testing.assert_allclose(y, F.rms_norm(torch.tensor(x), (4,)), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [(1, 3), (700, 3), (2, 1025, 3)])
def test_sums_of_rows_on_numpy_and_in_the_generic_form_agree(shape):
    """As a dense layer's dE/db."""
    layer, dy = pn.dense(2, 3), np.random.default_rng(0).normal(size=shape)
    params, x = pn.tree.cast((layer.init(KEY), np.ones((*shape[:-1], 2))), np.float64)
    ours = layer.vjp(params, x)[1](dy)[0].bias
    theirs = layer.vjp(*pn.tree.map(jnp.asarray, (params, x)))[1](jnp.asarray(dy))[0].bias
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e4, 1e6])
def test_a_large_mean_costs_no_more_digits_than_in_pytorch(mean):
    """In float32 against float64: what PyTorch's own float32 does is the measure."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(64, 128)) + mean).astype(np.float32)
    truth = F.layer_norm(torch.tensor(x).double(), (128,)).numpy()
    theirs = np.abs(F.layer_norm(torch.tensor(x), (128,)).numpy() - truth).max()
    ours = np.abs(pn.layer_norm(affine=False).apply((), x) - truth).max()
    assert ours <= max(theirs, 1e-6)
    truth = F.batch_norm(torch.tensor(x).double(), None, None, training=True).numpy()
    theirs = np.abs(F.batch_norm(torch.tensor(x), None, None, training=True).numpy() - truth).max()
    params = pn.batch_norm(affine=False).init(KEY, (128,))
    ours = np.abs(pn.batch_norm(affine=False).apply(params, x, KEY) - truth).max()
    assert ours <= max(theirs, 1e-6)
