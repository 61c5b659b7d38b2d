"""The weights of attention: those that PyTorch's module gives, and the same on every engine."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import torch
from torch import nn

import purenet as pn
from purenet.introspection import attention_weights
from tests.catalogue import LAYERS
from tests.oracles.agree import record
from tests.oracles.twins.attention import in_proj


@pytest.mark.parametrize("causal", [False, True])
def test_weights_are_those_of_pytorchs_module(causal):
    layer = pn.multi_head_attention(12, 3, causal=causal)
    x, lengths = pn.random.normal(pn.key(0), (4, 7, 12), np.float64), np.array([7, 2, 5, 1])
    params = pn.tree.cast(layer.init(pn.key(1)), np.float64)
    ours = attention_weights(layer, params, (x, lengths))["net"]
    module = nn.MultiheadAttention(12, 3, batch_first=True)
    seen = torch.ones(7, 7, dtype=torch.bool).tril() if causal else torch.ones(7, 7, dtype=torch.bool)
    seen = seen & (torch.arange(7) < torch.tensor(lengths)[:, None])[:, None]
    options = {"attn_mask": ~seen.repeat_interleave(3, dim=0), "average_attn_weights": False}
    state = in_proj(pn.tree.map(torch.tensor, params))
    _, theirs = torch.func.functional_call(module, state, (torch.tensor(x),) * 3, options)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12, atol=1e-15)
    record("attention_weights", "PyTorch", np.float64, float(np.abs(ours - theirs.numpy()).max()))


@pytest.mark.parametrize("case", LAYERS["multi_head_attention"], ids=lambda case: case.layer.name)
@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_weights_are_the_same_on_every_engine(case, engine):
    (ours,) = attention_weights(case.layer, case.params, case.x).values()
    (there,) = attention_weights(case.layer, *pn.to_engine((case.params, case.x), engine)).values()
    assert type(there) is not np.ndarray
    np.testing.assert_allclose(pn.to_engine(there, "numpy"), ours, rtol=1e-11, atol=1e-14)


def test_weights_inside_jit():
    case = LAYERS["multi_head_attention"][0]
    look = jax.jit(lambda params, x: attention_weights(case.layer, params, x)["net"])
    ours = attention_weights(case.layer, case.params, case.x)["net"]
    np.testing.assert_allclose(look(case.params, case.x), ours, rtol=1e-11, atol=1e-14)
