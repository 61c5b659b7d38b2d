"""Neural networks as pure functions over plain arrays.

net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh)
params = net.init(pn.key(0))                               # a pytree of read-only arrays
y = net.apply(params, x)                                   # inference
y, pullback = net.vjp(params, x)                           # the same y, and the rule at this point
dparams, dx = pullback(dy)                                 # dE/dparams and dE/dX from dE/dY
E, grads = pn.value_and_grad(net, pn.mse)(params, x, target)
params = pn.sgd_step(params, grads, lr=0.1)                # new params; the old ones are untouched
"""

from purenet import data, initializers, metrics, plotting, random, testing, tree
from purenet.checkpoint import checkpoints, from_dict, load, save, to_dict
from purenet.combinators import serial
from purenet.core import Buffer, Layer, Loss, Optimizer, Pullback, preset
from purenet.fitting import fit
from purenet.interop import from_torch_state_dict, to_torch_state_dict
from purenet.layers.activations import (
    activation,
    celu,
    elu,
    gelu,
    gelu_tanh,
    hard_sigmoid,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)
from purenet.layers.dense import dense
from purenet.layers.shape import flatten, reshape
from purenet.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge,
    huber,
    kl_divergence,
    mae,
    mse,
    nll,
    softmax_cross_entropy,
    sse,
)
from purenet.optimizers import sgd_step
from purenet.random import Key, key, split
from purenet.training import evaluate, predict, start, train, value_and_grad

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 (in the order of the README)
    # the contract
    "Layer",
    "Loss",
    "Optimizer",
    "Pullback",
    "Buffer",
    "Key",
    "key",
    "split",
    "preset",
    # from a net to trained params
    "value_and_grad",
    "sgd_step",
    "train",
    "start",
    "fit",
    "evaluate",
    "predict",
    # keeping it
    "save",
    "load",
    "to_dict",
    "from_dict",
    "checkpoints",
    "to_torch_state_dict",
    "from_torch_state_dict",
    # layers
    "dense",
    "serial",
    "flatten",
    "reshape",
    "activation",
    # activations
    "identity",
    "tanh",
    "sigmoid",
    "relu",
    "leaky_relu",
    "prelu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "hard_tanh",
    "hard_sigmoid",
    "hard_swish",
    "relu6",
    "log_sigmoid",
    "softmax",
    "log_softmax",
    # losses
    "mse",
    "sse",
    "mae",
    "huber",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "softmax_cross_entropy",
    "nll",
    "hinge",
    "kl_divergence",
    # modules
    "data",
    "initializers",
    "metrics",
    "plotting",
    "random",
    "testing",
    "tree",
]
