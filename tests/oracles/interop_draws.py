"""Layers with options drawn at random, each with the PyTorch module that should compute the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

import purenet as pn
from tests.oracles.twins import windows
from tests.oracles.twins.draw import images, sizes
from tests.oracles.twins.twin import read


class Drawn(NamedTuple):
    """A layer, its module, an x, and how the module is run on a tensor of x."""

    layer: pn.Layer
    module: nn.Module
    x: Any
    run: Callable[[nn.Module, Any], Any] = lambda module, x: module(x)


def channels_first(module, x):
    """The module between axes moved there and back."""
    return torch.movedim(module(torch.movedim(x, -1, 1)), 1, -1)


def coin(rng):
    return bool(rng.integers(2))


def dense(rng):
    ins, outs = sizes(rng, 2)
    bias = coin(rng)
    x = rng.normal(size=(*sizes(rng, rng.integers(1, 4)), ins))
    return Drawn(pn.dense(ins, outs, bias=bias), nn.Linear(ins, outs, bias=bias), x)


def of_twin(name, draw, rng):
    """The twin's draw, its module without padding, and the options of the layer's code."""
    layer, x, params, _ = draw(rng)
    *kernel, ins, outs = params.weight.shape
    options = {"padding": "valid", **read(repr(layer), {name: draw}).options}
    each = {word: options.get(word, 1) for word in ("stride", "dilation", "groups")}
    make = getattr(nn, f"{'Conv' if name == 'conv' else 'ConvTranspose'}{len(kernel)}d")
    return layer, x, options, partial(make, ins * each["groups"], outs, kernel, bias=params.bias is not None, **each)


def conv(rng):
    layer, x, options, make = of_twin("conv", windows.draw_conv, rng)
    module = make()
    ends = windows.ends_of(options["padding"], x.shape[1:-1], module.kernel_size, module.stride, module.dilation)

    def run(module, x):
        return torch.movedim(module(windows.padded(torch.movedim(x, -1, 1), ends)), 1, -1)

    return Drawn(layer, module, x, run)


def depthwise(rng):
    dims, (ins, each) = int(rng.integers(1, 4)), sizes(rng, 2, 1, 4)
    kernel = tuple(sizes(rng, dims, 1, 3))
    layer = pn.conv(ins, ins * each, kernel, padding=1, groups=ins)
    module = getattr(nn, f"Conv{dims}d")(ins, ins * each, kernel, padding=1, groups=ins)
    return Drawn(layer, module, images(rng, ins, dims), channels_first)


def conv_transpose(rng):
    layer, x, options, make = of_twin("conv_transpose", windows.draw_conv_transpose, rng)
    module = make(padding=options["padding"], output_padding=options["output_padding"])
    return Drawn(layer, module, x, channels_first)


def batch_norm(rng):
    dims, affine, eps = int(rng.integers(1, 4)), coin(rng), float(rng.choice([1e-5, 1e-3]))
    [features] = sizes(rng, 1)
    module = getattr(nn, f"BatchNorm{dims}d")(features, eps=eps, affine=affine)
    return Drawn(pn.batch_norm(features, eps=eps, affine=affine), module, images(rng, features, dims), channels_first)


def layer_norm(rng):
    affine, bias, [features] = coin(rng), coin(rng), sizes(rng, 1, 2)
    module = nn.LayerNorm(features, elementwise_affine=affine, bias=bias)
    return Drawn(pn.layer_norm(features, affine=affine, bias=bias), module, images(rng, features, int(rng.integers(3))))


def rms_norm(rng):
    affine, [features] = coin(rng), sizes(rng, 1, 2)
    module = nn.RMSNorm(features, elementwise_affine=affine)
    return Drawn(pn.rms_norm(features, affine=affine), module, images(rng, features, int(rng.integers(3))))


def group_norm(rng):
    groups, each = sizes(rng, 2, 1, 4)
    affine, bias, x = coin(rng), coin(rng), images(rng, groups * each, int(rng.integers(1, 4)))
    module = nn.GroupNorm(groups, groups * each, affine=affine, bias=bias)
    return Drawn(pn.group_norm(groups, groups * each, affine=affine, bias=bias), module, x, channels_first)


def instance_norm(rng):
    dims, affine, bias, [features] = int(rng.integers(1, 4)), coin(rng), coin(rng), sizes(rng, 1)
    module = getattr(nn, f"InstanceNorm{dims}d")(features, affine=affine, bias=bias)
    x = images(rng, features, dims)
    return Drawn(pn.instance_norm(features, affine=affine, bias=bias), module, x, channels_first)


def prelu(rng):
    [features] = sizes(rng, 1, 2)
    channels, dims = int(rng.choice([1, features])), int(rng.integers(3))
    return Drawn(pn.prelu(channels), nn.PReLU(channels), images(rng, features, dims), channels_first)


def embedding(rng):
    count, features = sizes(rng, 2)
    x = rng.integers(0, count, sizes(rng, rng.integers(1, 4)))
    return Drawn(pn.embedding(count, features), nn.Embedding(count, features), x)


def learned_positions(rng):
    batch, time, more, features = sizes(rng, 4)
    module = nn.Embedding(time + more, features)

    def run(module, x):
        return x + module(torch.arange(time))

    return Drawn(pn.learned_positions(time + more, features), module, rng.normal(size=(batch, time, features)), run)


def recurrent(rng):
    """rnn, lstm or gru: forward, backward or both."""
    name = ["rnn", "lstm", "gru"][rng.integers(3)]
    ins, hidden, batch, time = sizes(rng, 4)
    bias, last, way = coin(rng), coin(rng), int(rng.integers(3))
    make, options = getattr(pn, name), {"bias": bias, "last": last}
    layer = make(ins, hidden, reverse=way == 1, **options)
    if way == 2:
        layer = pn.bidirectional(layer, make(ins, hidden, reverse=True, **options))
    module = getattr(nn, name.upper())(ins, hidden, bias=bias, batch_first=True, bidirectional=way == 2)

    def run(module, x):
        y, state = module(x.flip(1) if way == 1 else x)
        if last:
            return torch.cat(list(state[0] if name == "lstm" else state), dim=-1)
        return y.flip(1) if way == 1 else y

    return Drawn(layer, module, rng.normal(size=(batch, time, ins)), run)


def stacked(rng):
    """Two layers or three, forward, backward or both, with dropout that is off: in training each draws its own."""
    name = ["rnn", "lstm", "gru"][rng.integers(3)]
    ins, hidden, batch, time = sizes(rng, 4)
    bias, way, layers = coin(rng), int(rng.integers(3)), int(rng.integers(2, 4))
    make = getattr(pn, name)
    layer = make(ins, hidden, reverse=way == 1, bias=bias, num_layers=layers, dropout=0.5)
    if way == 2:
        given = [ins, *[2 * hidden] * (layers - 1)]
        both = [(make(n, hidden, bias=bias), make(n, hidden, bias=bias, reverse=True)) for n in given]
        layer = pn.stacked(*(pn.bidirectional(*pair) for pair in both))
    options = {"num_layers": layers, "bias": bias, "batch_first": True, "bidirectional": way == 2}
    module = getattr(nn, name.upper())(ins, hidden, **options)

    def run(module, x):
        return module(x.flip(1))[0].flip(1) if way == 1 else module(x)[0]

    return Drawn(layer, module, rng.normal(size=(batch, time, ins)), run)


def causal_mask(t, s, causal):
    return torch.ones(t, s, dtype=torch.bool).triu(1) if causal else None


def attention(rng):
    batch, t, s, heads, size, other = sizes(rng, 6, 1, 5)
    crossed, causal, bias, features = coin(rng), coin(rng), coin(rng), heads * size
    other = other if crossed else features
    module = nn.MultiheadAttention(features, heads, bias=bias, kdim=other, vdim=other, batch_first=True)
    x = rng.normal(size=(batch, t, features))
    x = (x, rng.normal(size=(batch, s, other))) if crossed else x

    def run(module, x):
        q, k = x if crossed else (x, x)
        return module(q, k, k, attn_mask=causal_mask(q.shape[1], k.shape[1], causal), need_weights=False)[0]

    layer = pn.multi_head_attention(features, heads, causal=causal, bias=bias)
    return Drawn(layer, module, x, run)


ACTIVATIONS = {"relu": pn.relu, "gelu": pn.gelu}


def block_options(rng):
    """Options of a block, and of its module."""
    heads, size, hidden = sizes(rng, 3, 1, 5)
    norm, active, bias = str(rng.choice(["pre", "post"])), str(rng.choice(["relu", "gelu"])), coin(rng)
    dropout, eps = float(rng.choice([0.0, 0.1])), float(rng.choice([1e-5, 1e-3]))
    ours = {"norm": norm, "activation": ACTIVATIONS[active], "dropout": dropout, "bias": bias, "eps": eps}
    theirs = {"norm_first": norm == "pre", "activation": active, "bias": bias, "layer_norm_eps": eps}
    return (heads * (size + 1), heads, hidden), ours, {**theirs, "dropout": dropout, "batch_first": True}


def transformer_block(rng):
    causal, [batch, t], (given, ours, theirs) = coin(rng), sizes(rng, 2, 1, 5), block_options(rng)
    layer, module = pn.transformer_block(*given, causal=causal, **ours), nn.TransformerEncoderLayer(*given, **theirs)

    def run(module, x):
        return module(x, src_mask=causal_mask(t, t, causal))

    return Drawn(layer, module, rng.normal(size=(batch, t, given[0])), run)


def transformer_decoder_block(rng):
    causal, [batch, t, s], (given, ours, theirs) = coin(rng), sizes(rng, 3, 1, 5), block_options(rng)
    layer = pn.transformer_decoder_block(*given, causal=causal, **ours)

    def run(module, x):
        return module(*x, tgt_mask=causal_mask(t, t, causal))

    x = rng.normal(size=(batch, t, given[0])), rng.normal(size=(batch, s, given[0]))
    return Drawn(layer, nn.TransformerDecoderLayer(*given, **theirs), x, run)


LAYERS = {
    "dense": dense,
    "conv": conv,
    "depthwise conv": depthwise,
    "conv_transpose": conv_transpose,
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "prelu": prelu,
    "embedding": embedding,
    "learned_positions": learned_positions,
    "recurrent": recurrent,
    "stacked": stacked,
    "multi_head_attention": attention,
    "transformer_block": transformer_block,
    "transformer_decoder_block": transformer_decoder_block,
}


# --- whole nets


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Branches(nn.ModuleList):
    """fan_out, and the sum or the concatenation of what comes out."""

    def __init__(self, *modules, merge="add"):
        super().__init__(modules)
        self.merge = merge

    def forward(self, x):
        ys = [module(x) for module in self]
        return sum(ys) if self.merge == "add" else torch.cat(ys, dim=1)


def lenet(rng):
    layer = pn.serial(
        pn.conv(1, 6, 5, padding=2), pn.tanh, pn.avg_pool(2), pn.conv(6, 16, 5), pn.tanh, pn.avg_pool(2),
        pn.flatten, pn.dense(400, 120), pn.tanh, pn.dense(120, 84), pn.tanh, pn.dense(84, 10),
    )  # fmt: skip
    module = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    return Drawn(layer, module, rng.normal(size=(2, 28, 28, 1)), features_last)


def features_last(module, x):
    """A module that takes images and gives features."""
    return module(torch.movedim(x, -1, 1))


def resnet(rng):
    """A block with a projection and one without, batch norms in eval mode, and a head."""
    c, d = sizes(rng, 2, 1, 6)

    def ours(ins, outs, stride):
        return pn.serial(
            pn.conv(ins, outs, 3, stride=stride, padding=1, bias=False), pn.batch_norm(outs), pn.relu,
            pn.conv(outs, outs, 3, padding=1, bias=False), pn.batch_norm(outs),
        )  # fmt: skip

    def theirs(ins, outs, stride):
        return (
            nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.BatchNorm2d(outs), nn.ReLU(),
            nn.Conv2d(outs, outs, 3, 1, 1, bias=False), nn.BatchNorm2d(outs),
        )  # fmt: skip

    layer = pn.serial(
        pn.residual(ours(c, c, 1)), pn.relu,
        pn.fan_out(ours(c, d, 2), pn.conv(c, d, 1, stride=2)), pn.add, pn.relu, pn.global_avg_pool, pn.dense(d, 3),
    )  # fmt: skip
    module = nn.Sequential(
        Residual(*theirs(c, c, 1)), nn.ReLU(), Branches(nn.Sequential(*theirs(c, d, 2)), nn.Conv2d(c, d, 1, 2)),
        nn.Identity(), nn.ReLU(), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(d, 3),
    )  # fmt: skip
    return Drawn(layer, module, rng.normal(size=(3, 6, 4, c)), features_last)


def flattened(rng):
    """Whatever may stand between flatten and dense, branches joined before it, and two heads after it."""
    c, d, e = sizes(rng, 3, 1, 4)
    n, slopes = 3 * 2 * (d + e), (1, 3 * 2 * (d + e))[rng.integers(2)]
    layer = pn.serial(
        pn.fan_out(pn.conv(c, d, 3, padding=1), pn.serial(pn.conv(c, e, 1), pn.batch_norm(e))), pn.concat,
        pn.flatten, pn.relu, pn.batch_norm(n), pn.prelu(slopes), pn.layer_norm(n),
        pn.fan_out(pn.dense(n, 4), pn.serial(pn.dropout(0.1), pn.frozen(pn.dense(n, 3)), pn.dense(3, 4))), pn.add,
    )  # fmt: skip
    module = nn.Sequential(
        Branches(
            nn.Conv2d(c, d, 3, padding=1), nn.Sequential(nn.Conv2d(c, e, 1), nn.BatchNorm2d(e)), merge="concat"
        ),
        nn.Identity(), nn.Flatten(), nn.ReLU(), nn.BatchNorm1d(n), nn.PReLU(slopes), nn.LayerNorm(n),
        Branches(nn.Linear(n, 4), nn.Sequential(nn.Dropout(0.1), nn.Linear(n, 3), nn.Linear(3, 4))), nn.Identity(),
    )  # fmt: skip
    return Drawn(layer, module, rng.normal(size=(2, 3, 2, c)), features_last)


class Classifier(nn.Module):
    def __init__(self, words, features, hidden):
        super().__init__()
        self.embed = nn.Embedding(words, features)
        self.first = nn.LSTM(features, hidden, batch_first=True, bidirectional=True)
        self.second = nn.GRU(2 * hidden, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, 4), nn.Tanh(), nn.Linear(4, 2))

    def forward(self, x):
        return self.head(self.second(self.first(self.embed(x))[0])[1][0])


def lstm_classifier(rng):
    words, features, hidden = sizes(rng, 3)
    layer = pn.named(
        embed=pn.embedding(words, features),
        first=pn.bidirectional(pn.lstm(features, hidden), pn.lstm(features, hidden, reverse=True)),
        second=pn.gru(2 * hidden, hidden, last=True),
        head=pn.serial(pn.dense(hidden, 4), pn.tanh, pn.dense(4, 2)),
    )
    return Drawn(layer, Classifier(words, features, hidden), rng.integers(0, words, (3, 6)))


class Encoder(nn.Module):
    def __init__(self, words, features, heads):
        super().__init__()
        options = {"activation": "gelu", "norm_first": True, "batch_first": True, "dropout": 0.0}
        block = nn.TransformerEncoderLayer(features, heads, 4 * features, **options)
        self.embed = nn.Embedding(words, features)
        self.positions = nn.Embedding(9, features)
        self.encoder = nn.TransformerEncoder(block, 2, nn.LayerNorm(features), enable_nested_tensor=False)
        self.out = nn.Linear(features, words, bias=False)

    def forward(self, x):
        return self.out(self.encoder(self.embed(x) + self.positions(torch.arange(x.shape[1]))))


def transformer(rng):
    words, [heads] = 11, sizes(rng, 1, 1, 3)
    features = 4 * heads
    block = pn.transformer_block(features, heads)
    layer = pn.named(
        embed=pn.embedding(words, features),
        positions=pn.learned_positions(9),
        encoder=pn.named(layers=pn.serial(block, pn.remat(block)), norm=pn.layer_norm(features)),
        out=pn.map_time(pn.dense(features, words, bias=False)),
    )
    return Drawn(layer, Encoder(words, features, heads), rng.integers(0, words, (2, 7)))


def conv_decoder(rng):
    """Sequences, volumes of one axis: down by a convolution, up by its transpose, with groups."""
    c, d = sizes(rng, 2, 1, 3)
    layer = pn.serial(
        pn.conv(c, 2 * d, (3,), stride=2), pn.group_norm(2), pn.prelu(2 * d),
        pn.conv_transpose(2 * d, 2 * c, (3,), stride=2, groups=2, bias=False), pn.instance_norm(affine=True),
    )  # fmt: skip
    module = nn.Sequential(
        nn.Conv1d(c, 2 * d, 3, 2), nn.GroupNorm(2, 2 * d), nn.PReLU(2 * d),
        nn.ConvTranspose1d(2 * d, 2 * c, 3, 2, groups=2, bias=False), nn.InstanceNorm1d(2 * c, affine=True),
    )  # fmt: skip
    return Drawn(layer, module, rng.normal(size=(2, 7, c)), channels_first)


def gated(rng):
    c, d = sizes(rng, 2, 1, 4)
    layer = pn.serial(pn.conv(c, 2 * d, 3), pn.glu, pn.flatten, pn.dense(2 * d, 6), pn.glu, pn.dense(3, 2))
    module = nn.Sequential(
        nn.Conv2d(c, 2 * d, 3), nn.GLU(1), nn.Flatten(), nn.Linear(2 * d, 6), nn.GLU(), nn.Linear(3, 2)
    )
    return Drawn(layer, module, rng.normal(size=(3, 4, 3, c)), features_last)


def shared(rng):
    n, m = sizes(rng, 2, 1, 5)
    one = nn.Linear(n, n)
    layer = pn.serial(pn.tied(pn.serial(pn.dense(n, n), pn.dense(n, n))), pn.tanh, pn.dense(n, m))
    return Drawn(layer, nn.Sequential(nn.Sequential(one, one), nn.Tanh(), nn.Linear(n, m)), rng.normal(size=(4, n)))


NETS = {
    "LeNet-5": lenet,
    "ResNet": resnet,
    "flattened": flattened,
    "LSTM classifier": lstm_classifier,
    "transformer": transformer,
    "conv decoder": conv_decoder,
    "gated": gated,
    "tied": shared,
}
