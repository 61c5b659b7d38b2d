"""Recurrent layers of several levels beside PyTorch's modules with num_layers: states, lengths and all gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import purenet as pn

MAKERS = [(pn.rnn, nn.RNN), (pn.lstm, nn.LSTM), (pn.gru, nn.GRU)]
each = pytest.mark.parametrize(("make", "module"), MAKERS, ids=["rnn", "lstm", "gru"])
BATCH, TIME, FEATURES, HIDDEN, LAYERS = 3, 6, 4, 5, 3
LENGTHS = np.array([2, 6, 1])


def normal(*shape, seed=0):
    return pn.random.normal(pn.key(seed), shape, np.float64)


def our_layer(make, both, **options):
    if not both:
        return make(FEATURES, HIDDEN, num_layers=LAYERS, **options)
    levels = [(make(n, HIDDEN), make(n, HIDDEN, reverse=True)) for n in (FEATURES, 2 * HIDDEN, 2 * HIDDEN)]
    return pn.stacked(*(pn.bidirectional(*level) for level in levels), **options)


def ours_of(state, both):
    """PyTorch's state, (levels·ways, batch, hidden), or two of such, as ours: a tuple by level, way, and part."""
    parts = state if isinstance(state, tuple) else (state,)
    rows = [tuple(part[i] for part in parts) if len(parts) == 2 else parts[0][i] for i in range(len(parts[0]))]
    return tuple(zip(rows[::2], rows[1::2], strict=True)) if both else tuple(rows)


@each
@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
def test_num_layers(make, module, both):
    layer = our_layer(make, both)
    params = pn.tree.map(lambda p: p + 0.1 * normal(*p.shape, seed=p.size), layer.init(pn.key(0)))
    theirs = module(FEATURES, HIDDEN, LAYERS, batch_first=True, bidirectional=both, dtype=torch.float64)
    theirs.load_state_dict(pn.to_torch_state_dict(params, layer))
    x = torch.tensor(normal(BATCH, TIME, FEATURES), requires_grad=True)
    shape = (2 if make is pn.lstm else 1, LAYERS * (1 + both), BATCH, HIDDEN)
    starts = tuple(torch.tensor(normal(*shape, seed=2)).unbind())
    for start in starts:
        start.requires_grad_()
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    y, final = theirs(packed, starts if make is pn.lstm else starts[0])
    y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)

    state = pn.tree.map(lambda t: t.detach().numpy(), ours_of(starts if make is pn.lstm else starts[0], both))
    (own_y, own_final), pullback = layer.vjp(params, (x.detach().numpy(), state, LENGTHS))
    final = ours_of(final, both)
    same((own_y, own_final), (y, final))
    dy, dfinal = pn.tree.map(lambda leaf: normal(*leaf.shape, seed=3), (own_y, own_final))
    total = sum((t * torch.tensor(d)).sum() for t, d in zip(leaves((y, final)), leaves((dy, dfinal)), strict=True))
    total.backward()
    dparams, (dx, dstate, _) = pullback((dy, dfinal))
    grads = [start.grad for start in starts]
    same((dx, dstate), (x.grad, ours_of(tuple(grads) if make is pn.lstm else grads[0], both)))
    named = {name: weight.grad.numpy().copy() for name, weight in theirs.named_parameters()}
    for name in (name for name in named if name.startswith("bias_hh")):  # ours is one bias, but for that of gru's n
        named[name][: -HIDDEN if make is pn.gru else None] = 0
    same(dparams, pn.from_torch_state_dict(named, params, layer))


def leaves(tree):
    return pn.tree.leaves(tree)


def same(ours, theirs):
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        b = b.detach().numpy() if torch.is_tensor(b) else b
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
