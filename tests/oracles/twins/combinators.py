"""Layers made of layers: the nets written out, of the twins of their parts. PyTorch's and JAX's are the same code."""

from __future__ import annotations

import torch

import purenet as pn
from tests.oracles.twins.draw import params_of, random_array, sizes
from tests.oracles.twins.twin import Drawn, Twin

N, M = 3, 5  # every layer is of these sizes, so that they fit
SQUARE, OTHER = pn.dense(N, N), pn.dense(N, M)
STEP = pn.serial(SQUARE, pn.tanh)


def serial(params, x, *layers):
    for p, layer in zip(params, layers, strict=True):
        x = layer.run(p, x)
    return x


def named(params, x, **layers):
    for name, layer in layers.items():
        x = layer.run(params[name], x)
    return x


def residual(params, x, layer):
    return (x[0] if type(x) is tuple else x) + layer.run(params, x)


def pick(params, x, i):
    return x[i]


def swap(params, x):
    return x[1], x[0]


def parallel(params, x, *layers):
    return tuple(layer.run(p, each) for p, layer, each in zip(params, layers, x, strict=True))


def fan_out(params, x, *layers):
    return tuple(layer.run(p, x) for p, layer in zip(params, layers, strict=True))


def on_first(params, x, layer):
    return layer.run(params, x[0]), *x[1:]


def keep_rest(params, x, layer):
    return layer.run(params, x), *x[1:]


def frozen(params, x, layer):
    """Its params are a buffer, which stays."""
    return layer.run(params.value, x)


def remat(params, x, layer):
    return layer.run(params, x)


def tied(params, x, net):
    """Each use writes to buffers of its own; PyTorch's of the net take their mean."""
    uses = [
        pn.tree.map(
            lambda p: pn.tree.map(lambda b: b + 0, p) if type(p) is pn.Buffer else p, params, leaf_type=pn.Buffer
        )
        for _ in net.args
    ]
    y = net.run(tuple(uses), x)
    for old, *new in zip(buffers(params), *map(buffers, uses), strict=True):
        if isinstance(old, torch.Tensor):
            old.copy_(sum(new) / len(new))
    return y


def buffers(params):
    held = [node for node in pn.tree.leaves(params, leaf_type=pn.Buffer) if type(node) is pn.Buffer]
    return pn.tree.leaves(held)


def map_time(params, x, layer):
    y = layer.run(params, x.reshape(-1, *x.shape[2:]))
    return y.reshape(*x.shape[:2], *y.shape[1:])


def row(function, *nets, count=1, draws=50):
    """The nets in turn, on `count` arrays (batch, time, N)."""

    def draw(rng):
        net = nets[rng.integers(len(nets))]
        xs = tuple(random_array(rng, (*sizes(rng, 2, 1, 6), N), 1) for _ in range(count))
        x = xs if count > 1 else xs[0]
        return Drawn(net, x, params_of(rng, net, x, 0.7))

    return Twin(function, function, draw, draws=draws, jax_draws=10)


TWINS = {
    "serial": row(serial, pn.serial(SQUARE, pn.tanh, pn.serial(SQUARE), OTHER), pn.serial(pn.tanh, OTHER, pn.softmax)),
    "named": row(named, pn.named(z=pn.residual(STEP)), pn.named(b=STEP, a=pn.named(c=OTHER))),
    "residual": row(residual, pn.residual(STEP), pn.residual(pn.residual(SQUARE))),
    "parallel": row(parallel, pn.parallel(STEP, OTHER), count=2),
    "fan_out": row(
        fan_out,
        pn.serial(pn.fan_out(pn.serial(OTHER, pn.tanh), OTHER), pn.add),
        pn.serial(pn.fan_out(pn.serial(OTHER, pn.sigmoid), OTHER), pn.mul),
        pn.serial(pn.fan_out(OTHER, pn.identity, SQUARE), pn.concat),
        pn.serial(pn.fan_out(pn.identity, SQUARE), pn.concat(1)),
        draws=200,
    ),
    "on_first": row(on_first, pn.on_first(STEP), pn.on_first(OTHER), count=2),
    "keep_rest": row(keep_rest, pn.keep_rest(pn.parallel(STEP, SQUARE)), pn.keep_rest(pn.on_first(STEP)), count=2),
    "pick": row(pick, pn.pick(0), pn.serial(pn.parallel(STEP, OTHER), pn.pick(-1)), count=2),
    "swap": row(
        swap,
        pn.serial(pn.swap, pn.on_first(STEP)),
        pn.serial(pn.swap, pn.pick(0), OTHER),
        count=2,
    ),
    "frozen": row(frozen, pn.serial(pn.frozen(STEP), OTHER), pn.frozen(OTHER)),
    "remat": row(remat, pn.remat(pn.residual(pn.remat(STEP)))),
    "tied": row(
        tied,
        pn.tied(pn.serial(STEP, STEP, STEP)),
        pn.serial(pn.tied(pn.fan_out(STEP, pn.serial(SQUARE, pn.identity))), pn.mul),
        draws=100,
    ),
    "map_time": row(map_time, pn.map_time(pn.residual(STEP))),
}
