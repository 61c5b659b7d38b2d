"""dropout in training against PyTorch: its draws are its own, its values ours where it drops the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.oracles.agree import DRAWS, agree, torch_vjp
from tests.oracles.twins.draw import random_array, random_shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_dropout_is_pytorchs_with_the_same_mask(dtype):
    rng = np.random.default_rng(4)
    for draw in range(DRAWS):
        rate, key = float(rng.uniform(0, 0.95)), pn.key(draw)
        shape = random_shape(rng, least=2)
        x, dy = (random_array(rng, shape).astype(dtype) for _ in range(2))
        channelwise = draw % 2 == 1
        layer = pn.dropout(rate, channelwise=channelwise)
        ones = np.ones(shape if not channelwise else (shape[0], *(1 for _ in shape[1:-1]), shape[-1]))
        kept = torch.tensor(layer.apply((), ones, key) > 0)

        def in_torch(x, kept=kept, rate=rate):
            return x * kept / (1 - rate)

        y, pullback = layer.vjp((), x, key)
        agree("dropout", "PyTorch", (y, pullback(dy)[1]), torch_vjp(in_torch, dy, x))
    x = torch.ones(1000, dtype=torch.float64)
    assert set(F.dropout(x, 0.3).unique().tolist()) == set(np.unique(pn.dropout(0.3).apply((), x.numpy(), pn.key(0))))
