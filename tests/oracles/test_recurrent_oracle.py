"""rnn, lstm and gru against PyTorch's, weights carried over: options, states and packed sequences drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import purenet as pn
from tests.oracles.agree import record

MODULES = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
DRAWS = 100
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}  # of the largest difference over a leaf, to its largest entry


def tensor(x):
    return torch.tensor(np.ascontiguousarray(x), requires_grad=True)


def weights(module, suffix):
    """weight_ih, weight_hh, bias_ih, bias_hh of one direction; the biases may be missing."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [getattr(module, f"{n}_l0{suffix}") for n in names if hasattr(module, f"{n}_l0{suffix}")]


def carry_over(module, params, suffix):
    """Our params into one direction of a PyTorch module."""
    hidden = params.recurrent_weight.shape[0]
    values = [params.weight.T, params.recurrent_weight.T]
    if params.bias is not None:
        second = np.zeros_like(params.bias)
        if isinstance(params, pn.layers.recurrent.GRUParams):
            second[2 * hidden :] = params.recurrent_bias
        values += [params.bias, second]
    with torch.no_grad():
        for theirs, value in zip(weights(module, suffix), values, strict=True):
            theirs.copy_(torch.tensor(np.ascontiguousarray(value)))


def carry_back(module, params, suffix):
    """The gradients of one direction, as our params."""
    hidden = params.recurrent_weight.shape[0]
    weight, recurrent, *biases = (w.grad.numpy() for w in weights(module, suffix))
    own = [biases[0], biases[1][2 * hidden :]] if biases else [None, None]
    return type(params)(weight.T, recurrent.T, *own[: len(params) - 2])


def in_torch(name, directions, sequence, start, lengths, dy, dstates, last, reverse):
    """[y, last states, dx, dE/d(first states), dparams of each direction], of params and states of each direction."""
    count, n, bias = len(dstates[0]), len(directions), directions[0].bias is not None
    suffixes = ("", "_reverse")[:n]
    features, hidden = directions[0].weight.shape[0], directions[0].recurrent_weight.shape[0]
    module = MODULES[name](features, hidden, bias=bias, batch_first=True, bidirectional=n == 2)
    module = module.to(getattr(torch, sequence.dtype.name))
    for part, suffix in zip(directions, suffixes, strict=True):
        carry_over(module, part, suffix)
    x, time = tensor(sequence), sequence.shape[1]
    start = [tensor(np.stack([s[i] for s in start])) for i in range(count)] if start else []
    fed = x.flip(1) if reverse else x
    if lengths is not None:
        fed = torch.nn.utils.rnn.pack_padded_sequence(fed, torch.tensor(lengths), True, enforce_sorted=False)
    y, final = module(fed, (tuple(start) if count == 2 else start[0]) if start else None)
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=time)
    final = final if count == 2 else (final,)
    y = torch.cat(list(final[0]), dim=-1) if last else y.flip(1) if reverse else y
    E = (y * torch.tensor(dy)).sum()
    for i in range(count):
        E = E + (final[i] * torch.tensor(np.stack([d[i] for d in dstates]))).sum()
    E.backward()
    return [
        y.detach().numpy(),
        [f[k].detach().numpy() for k in range(n) for f in final],
        x.grad.numpy(),
        [s.grad[k].numpy() for k in range(n) for s in start],
        [carry_back(module, part, suffix) for part, suffix in zip(directions, suffixes, strict=True)],
    ]


def largest_error(ours, theirs):
    pn.tree.check_same(ours, theirs)
    pairs = zip(pn.tree.leaves(ours), pn.tree.leaves(theirs), strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3)) for a, b in pairs)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", MODULES)
def test_recurrent_layers_agree_with_torch(name, dtype):
    rng = np.random.default_rng([7, *name.encode()])
    count = 2 if name == "lstm" else 1  # the arrays that make a state
    worst = 0.0

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    def outside(states):
        """States of each direction, lists of arrays, in the form of x."""
        each = [tuple(state) if count == 2 else state[0] for state in states]
        return tuple(each) if len(each) == 2 else each[0]

    for _ in range(DRAWS):
        batch, time, features, hidden = (int(n) for n in rng.integers(1, [6, 12, 8, 9]))
        both, given, padded, last, reverse, bias = (bool(b) for b in rng.random(6) < [0.5, 0.5, 0.5, 0.3, 0.3, 0.8])
        reverse = reverse and not both and not padded
        make = getattr(pn, name)
        layer = make(features, hidden, last=last, reverse=reverse, bias=bias)
        if both:
            layer = pn.bidirectional(layer, make(features, hidden, last=last, reverse=True, bias=bias))
        params = layer.init(pn.key(int(rng.integers(1000))))
        params = pn.tree.map(lambda p: p.astype(dtype) + dtype(0.3) * normal(*p.shape), params)
        directions = params if both else (params,)
        sequence = normal(batch, time, features)
        states = [[normal(batch, hidden) for _ in range(count)] for _ in directions] if given else None
        lengths = rng.integers(1, time + 1, batch) if padded else None

        fed = (sequence, outside(states) if given else None, *([lengths] if padded else []))
        (outputs, state), pullback = layer.vjp(params, fed)
        dy, dstates = normal(*outputs.shape), [[normal(batch, hidden) for _ in range(count)] for _ in directions]
        dparams, dx = pullback((dy, outside(dstates)))
        error = largest_error(
            [outputs, pn.tree.leaves(state), dx[0], pn.tree.leaves(dx[1]), list(dparams) if both else [dparams]],
            in_torch(name, directions, sequence, states, lengths, dy, dstates, last, reverse),
        )
        assert error < TOLERANCE[dtype], (layer, sequence.shape, lengths)
        worst = max(worst, error)
    record(name, "PyTorch", dtype, worst, DRAWS)
