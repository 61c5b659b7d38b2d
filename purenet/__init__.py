"""Neural networks as pure functions over plain arrays.

    net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.tanh)
    params = net.init(pn.key(0))                               # a pytree of read-only arrays
    y = net.apply(params, x)                                   # inference
    y, pullback = net.vjp(params, x)                           # the same y, and the rule at this point
    dparams, dx = pullback(dy)                                 # dE/dparams and dE/dX from dE/dY
    E, grads = pn.value_and_grad(net, pn.mse)(params, x, target)
    params = pn.sgd_step(params, grads, lr=0.1)                # new params; the old ones are untouched

Types have a help of their own: Layer, Loss, Optimizer; Buffer, State, Fit; Spec, Ops, Array, Key; Pullback,
LossPullback, Penalty; and DenseParams, ConvParams and the like, which are what `init` of such layers gives.
"""

from sys import modules as _modules
from typing import TYPE_CHECKING

from purenet import data, initializers, metrics, random, schedules, tree
from purenet.combinators import (
    bidirectional,
    fan_out,
    frozen,
    keep_rest,
    map_time,
    named,
    on_first,
    parallel,
    pick,
    remat,
    residual,
    serial,
    swap,
    tied,
)
from purenet.core import Buffer, Layer, Loss, LossPullback, Optimizer, Pullback
from purenet.engine import Ops
from purenet.engine.arrays import Array
from purenet.introspection import summary
from purenet.layers.activations import (
    PReLUParams as PReLUParams,
)
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
from purenet.layers.adaptive_pool import adaptive_avg_pool, adaptive_max_pool
from purenet.layers.attention import AttentionParams as AttentionParams
from purenet.layers.attention import multi_head_attention
from purenet.layers.binary import binary_dense
from purenet.layers.conv import ConvParams as ConvParams
from purenet.layers.conv import conv, conv_transpose
from purenet.layers.dense import DenseParams as DenseParams
from purenet.layers.dense import dense
from purenet.layers.dropout import dropout, gaussian_noise
from purenet.layers.embedding import EmbeddingParams as EmbeddingParams
from purenet.layers.embedding import embedding, learned_positions, positional_encoding
from purenet.layers.gates import glu, swiglu
from purenet.layers.merge import add, concat, mul, split_last
from purenet.layers.norm import BatchNormParams as BatchNormParams
from purenet.layers.norm import NormParams as NormParams
from purenet.layers.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from purenet.layers.pool import avg_pool, global_avg_pool, global_max_pool, last_step, lengths_to_mask, max_pool
from purenet.layers.recurrent import GRUParams as GRUParams
from purenet.layers.recurrent import LSTMParams as LSTMParams
from purenet.layers.recurrent import RNNParams as RNNParams
from purenet.layers.recurrent import gru, lstm, rnn
from purenet.layers.resize import pad, pixel_shuffle, upsample
from purenet.layers.shape import flatten, permute, reshape
from purenet.layers.stacked import stacked
from purenet.layers.transformer import transformer_block, transformer_decoder_block
from purenet.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_similarity,
    gaussian_nll,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    loss,
    mae,
    mse,
    nll,
    per_output,
    poisson_nll,
    quantile,
    softmax_cross_entropy,
    sse,
    triplet,
    weighted,
)
from purenet.optimizers import (
    accumulate,
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    amsgrad,
    chain,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    ema,
    freeze,
    gradient_noise,
    joined,
    lamb,
    lion,
    lookahead,
    muon,
    nadam,
    per_path,
    polyak,
    radam,
    rmsprop,
    sgd,
    sgd_step,
    update,
    weight_decay,
)
from purenet.random import Key, key, split
from purenet.spec import Spec, layer
from purenet.spec.presets import preset
from purenet.training import Penalty, l1, l2, value_and_grad
from purenet.tree import to_engine
from purenet.values import ValueClass

if TYPE_CHECKING:
    from purenet import estimators as estimators
    from purenet import plotting, testing
    from purenet.interop import from_jax, from_torch_state_dict, to_onnx, to_torch_state_dict, torch_compile
    from purenet.profiling import profile, throughput
    from purenet.storage import checkpoint_best, checkpoints, csv_log, from_dict, load, log_to, save, to_dict
    from purenet.training.chunks import in_chunks
    from purenet.training.fitting import fit
    from purenet.training.loop import evaluate, predict, start, train
    from purenet.training.runs import Fit, State
else:
    from purenet.names import hint_in as _hint_in
    from purenet.names import later as __getattr__  # noqa: F401 (of a name that is not here yet, or never)

    for _module in (data, initializers, layers, losses, metrics, optimizers, random, schedules, training, tree):  # noqa: F821
        _hint_in(_module)

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 (in the order of the README)
    # the contract
    "Layer",
    "Loss",
    "Optimizer",
    "Pullback",
    "LossPullback",
    "Buffer",
    "layer",
    "Spec",
    "Ops",
    "Array",
    "Key",
    "key",
    "split",
    "preset",
    # from a net to trained params
    "value_and_grad",
    "in_chunks",
    "sgd_step",
    "update",
    "summary",
    "train",
    "start",
    "fit",
    "State",
    "Fit",
    "evaluate",
    "predict",
    "profile",
    "throughput",
    # keeping it
    "save",
    "load",
    "to_dict",
    "from_dict",
    "checkpoints",
    "checkpoint_best",
    "csv_log",
    "log_to",
    "to_torch_state_dict",
    "torch_compile",
    "from_torch_state_dict",
    "to_engine",
    "to_onnx",
    "from_jax",
    # layers
    "dense",
    "serial",
    "flatten",
    "reshape",
    "permute",
    "activation",
    # images, sequences and volumes
    "conv",
    "conv_transpose",
    "max_pool",
    "avg_pool",
    "global_avg_pool",
    "global_max_pool",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "upsample",
    "pixel_shuffle",
    "pad",
    # sequences
    "rnn",
    "lstm",
    "gru",
    "bidirectional",
    "stacked",
    "last_step",
    "lengths_to_mask",
    "multi_head_attention",
    "transformer_block",
    "transformer_decoder_block",
    # layers made of layers
    "named",
    "residual",
    "parallel",
    "fan_out",
    "on_first",
    "keep_rest",
    "pick",
    "swap",
    "frozen",
    "remat",
    "tied",
    "map_time",
    # merging, embedding, noise
    "add",
    "mul",
    "concat",
    "split_last",
    "embedding",
    "positional_encoding",
    "learned_positions",
    "binary_dense",
    "dropout",
    "gaussian_noise",
    # normalization
    "batch_norm",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "rms_norm",
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
    "glu",
    "swiglu",
    # losses
    "loss",
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
    "log_cosh",
    "quantile",
    "poisson_nll",
    "cosine_similarity",
    "gaussian_nll",
    "triplet",
    "weighted",
    "per_output",
    # optimizers
    "sgd",
    "adagrad",
    "adadelta",
    "rmsprop",
    "adam",
    "amsgrad",
    "adamw",
    "adamax",
    "nadam",
    "radam",
    "lion",
    "lamb",
    "muon",
    "per_path",
    # what stands in front of them
    "chain",
    "clip_by_value",
    "clip_by_norm",
    "clip_by_global_norm",
    "weight_decay",
    "gradient_noise",
    "accumulate",
    "freeze",
    "joined",
    "lookahead",
    "ema",
    "polyak",
    # penalties
    "Penalty",
    "l1",
    "l2",
    # modules
    "data",
    "initializers",
    "metrics",
    "plotting",
    "random",
    "schedules",
    "testing",
    "tree",
]


def __dir__() -> list[str]:
    """What `help` shows: of types only the kinds of values, for it would list every method of a tuple."""
    there = {name: getattr(_modules[__name__], name) for name in __all__}
    return [name for name, value in there.items() if not isinstance(value, type) or type(value) is ValueClass]
