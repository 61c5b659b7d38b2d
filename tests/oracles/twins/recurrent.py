"""Recurrent layers: PyTorch's modules, with lengths as packed sequences."""

from __future__ import annotations

import torch
from torch import nn

import purenet as pn
from tests.oracles.twins.draw import coin, near_init
from tests.oracles.twins.twin import Drawn, Twin

MODULES = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
NONE_IN_JAX = "JAX has no recurrent layers"


def parts(x):
    """The sequence, the state or None, the lengths or None, and whether a state is to be given back."""
    if not isinstance(x, tuple):
        return x, None, None, False
    if len(x) == 2 and torch.is_tensor(x[1]) and x[1].ndim == 1:
        return x[0], None, x[1], False
    return x[0], x[1], x[2] if len(x) == 3 else None, True


def module_of(name, params):
    """PyTorch's module of both directions, each with our params: what runs backward is its second half."""
    features, hidden = params.weight.shape[0], params.recurrent_weight.shape[0]
    values = {"weight_ih_l0": params.weight.T, "weight_hh_l0": params.recurrent_weight.T}
    if params.bias is not None:
        second = torch.zeros_like(params.bias)
        if name == "gru":
            second = torch.cat([second[: 2 * hidden], params.recurrent_bias])
        values |= {"bias_ih_l0": params.bias, "bias_hh_l0": second}
    module = MODULES[name](features, hidden, bias=params.bias is not None, batch_first=True, bidirectional=True)
    for path, value in values.items():
        for suffix in ("", "_reverse"):
            delattr(module, path + suffix)
            setattr(module, path + suffix, value)
    return module


def run(name):
    def run(
        params, x, *sizes, last=False, reverse=False, return_state=False, bias=True, forget_bias=1.0, reset_after=True
    ):
        sequence, start, lengths, gives_state = parts(x)
        gives_state = gives_state or return_state
        if not reset_after:
            y, final = resetting_first(params, sequence, start, lengths, reverse)
            return (final if last else y, final) if gives_state else final if last else y
        hidden, way = params.recurrent_weight.shape[0], int(reverse)
        if start is not None:
            start = [torch.stack([s, s]) for s in (start if name == "lstm" else [start])]
            start = tuple(start) if name == "lstm" else start[0]
        fed = sequence
        if lengths is not None:
            least = lengths.clamp(min=1).long()  # PyTorch takes no sequence without a step: it is cut off again below
            fed = nn.utils.rnn.pack_padded_sequence(fed, least, batch_first=True, enforce_sorted=False)
        y, final = module_of(name, params)(fed, start)
        if lengths is not None:
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=sequence.shape[1])
            y = torch.where((torch.arange(sequence.shape[1]) < lengths[:, None])[..., None], y, 0)
        final = [f[way] for f in (final if name == "lstm" else [final])]
        y = final[0] if last else y[..., way * hidden : (way + 1) * hidden]
        return (y, tuple(final) if name == "lstm" else final[0]) if gives_state else y

    return run


def resetting_first(params, sequence, h, lengths, reverse):
    """A gru whose reset gate comes before the product, which PyTorch has not: step by step."""
    batch, time, _ = sequence.shape
    n = params.recurrent_weight.shape[0]
    u_gates, u_new = params.recurrent_weight[:, : 2 * n], params.recurrent_weight[:, 2 * n :]
    h = sequence.new_zeros(batch, n) if h is None else h
    ys = [None] * time
    for t in reversed(range(time)) if reverse else range(time):
        z = sequence[:, t] @ params.weight + (0 if params.bias is None else params.bias)
        r, s = torch.sigmoid(z[:, : 2 * n] + h @ u_gates).chunk(2, dim=-1)
        new = (1 - s) * torch.tanh(z[:, 2 * n :] + (r * h) @ u_new) + s * h
        real = torch.ones(batch, 1, dtype=torch.bool) if lengths is None else (t < lengths)[:, None]
        h, ys[t] = torch.where(real, new, h), torch.where(real, new, 0)
    return torch.stack(ys, dim=1), h


def stacked(params, x, *layers, dropout=0.0):
    sequence, *rest = x if isinstance(x, tuple) else (x,)
    gives_state, finals = bool(rest) and type(rest[0]) in (tuple, type(None)), []
    states = rest.pop(0) if gives_state else None
    for i, (p, layer) in enumerate(zip(params, layers, strict=True)):
        given = (sequence, *((None if states is None else states[i],) if gives_state else ()), *rest)
        y = layer.run(p, given if len(given) > 1 else sequence)
        sequence, *final = y if isinstance(y, tuple) else (y,)
        finals += final
    return (sequence, tuple(finals)) if finals else sequence


def bidirectional(params, x, forward, backward):
    sequence, states, lengths, gives_state = parts(x)
    ys, finals = [], []
    for i, layer in enumerate((forward, backward)):
        state = None if states is None else states[i]
        y, final = layer.run(params[i], (sequence, state, *([] if lengths is None else [lengths])))
        ys.append(y)
        finals.append(final)
    gives_state = gives_state or forward.options.get("return_state", False)
    y = torch.cat(ys, dim=-1)
    return (y, tuple(finals)) if gives_state else y


def draw_recurrent(name, both=False):
    """Options, states and lengths at random."""

    def draw(rng):
        batch, time, features, hidden = (int(n) for n in rng.integers(1, [6, 12, 8, 9]))
        given, padded, last, bias = coin(rng), coin(rng), coin(rng, 0.3), coin(rng, 0.8)
        kind = name or str(rng.choice(list(MODULES)))
        make, options = getattr(pn, kind), {"last": last, "bias": bias, "return_state": coin(rng, 0.3)}
        if kind == "gru" and coin(rng, 0.3):
            options["reset_after"] = False
        layer = make(features, hidden, reverse=not both and coin(rng, 0.3), **options)
        if both:
            layer = pn.bidirectional(layer, make(features, hidden, reverse=True, **options))

        def state():
            one, two = rng.normal(size=(2, batch, hidden))
            return (one, two) if kind == "lstm" else one

        sequence = rng.normal(size=(batch, time, features))
        start = None if not given else (state(), state()) if both else state()
        x = (sequence, start, *([rng.integers(1, time + 1, batch)] if padded else []))
        return Drawn(layer, x, near_init(rng, layer, sequence))

    return draw


def draw_stacked(rng):
    """Of one kind by num_layers, or of several kinds and sizes."""
    batch, time, features, hidden = (int(n) for n in rng.integers(1, [6, 10, 8, 7]))
    kinds = [str(kind) for kind in rng.choice(list(MODULES), size=rng.integers(1, 4))]
    reverse = coin(rng)
    if coin(rng):
        layer = getattr(pn, kinds[0])(features, hidden, num_layers=2, last=coin(rng, 0.3), reverse=reverse)
    else:
        sizes = [features, *(int(n) for n in rng.integers(1, 7, len(kinds)))]
        layers = zip(kinds, sizes, sizes[1:], strict=False)
        layer = pn.stacked(*(getattr(pn, kind)(n, m, reverse=reverse) for kind, n, m in layers))
    sequence, lengths = rng.normal(size=(batch, time, features)), rng.integers(1, time + 1, batch)
    state = layer.apply(layer.init(pn.key(0)), (sequence.astype("f4"), None))[1]
    state = pn.tree.map(lambda part: rng.normal(size=part.shape), state) if coin(rng) else None
    x = [sequence, (sequence, state), (sequence, lengths), (sequence, state, lengths)][rng.integers(4)]
    return Drawn(layer, x, near_init(rng, layer, sequence))


TWINS = {
    "stacked": Twin(stacked, NONE_IN_JAX, draw_stacked, draws=100, least=1e-3, share=0.1),
    **{name: Twin(run(name), NONE_IN_JAX, draw_recurrent(name), draws=100, least=1e-3, share=0.1) for name in MODULES},
    "bidirectional": Twin(
        bidirectional, NONE_IN_JAX, draw_recurrent(None, both=True), draws=150, least=1e-3, share=0.1
    ),
}
