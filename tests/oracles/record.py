"""Writes tests/data/torch.npz: small results of PyTorch in float64, for tests/test_recorded.py, which runs without it.

python -m tests.oracles.record

Convolution, pooling and upsampling have their own file and writer, record_windows.py. A layer is kept as the code that
makes it, the form of its input as code over the list x, and all arrays one after the other in one array of numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

import purenet as pn
from tests.cases import Case
from tests.oracles import test_attention_oracle as attention
from tests.oracles import test_embedding_oracle as embedding
from tests.oracles import test_norm_oracle as norm
from tests.oracles import test_recurrent_oracle as recurrent
from tests.oracles.agree import torch_vjp
from tests.oracles.test_activations_oracle import ACTIVATIONS, prelu_in_torch
from tests.oracles.test_combinators_oracle import NETS
from tests.oracles.test_dense_oracle import dense_in_torch
from tests.oracles.test_losses_oracle import IN_TORCH, softmax

FILE = Path(__file__).parent.parent / "data" / "torch.npz"
PARTS = ("params", "x", "dy", "y", "dparams", "dx")
rng = np.random.default_rng(2024)
normal = lambda *shape: rng.normal(size=shape)  # noqa: E731
recorded: list[dict] = []
numbers: list[np.ndarray] = []


def keep(layer, form, training, *parts):
    """One case: params, x, dy, y, dparams and dx, each a tree, of which the leaves are kept."""
    shapes = {}
    for part, tree in zip(PARTS, parts, strict=True):
        leaves = [np.asarray(leaf) for leaf in pn.tree.leaves(tree)]
        shapes[part] = [(leaf.dtype.name, leaf.shape) for leaf in leaves]
        numbers.extend(leaf.ravel() for leaf in leaves)
    recorded.append({"layer": repr(layer), "form": form, "training": training, **shapes})


def record(layer, x, in_torch, x_last=False, **options):
    """A layer of one x, and its function in PyTorch: of x and the params, or of the params and x."""
    params = Case(layer, x).params
    leaves = pn.tree.leaves(params)
    dy = normal(*layer.apply(params, x).shape)
    y, gradients = torch_vjp(in_torch, dy, *((*leaves, x) if x_last else (x, *leaves)), **options)
    dparams, dx = (gradients[:-1], gradients[-1]) if x_last else (gradients[1:], gradients[0])
    keep(layer, "x[0]", False, params, x, dy, y, dparams, dx)


def record_embedding(layer, ids):
    params = Case(layer, ids).params
    dy = normal(*ids.shape, params.weight.shape[1])
    y, dparams = torch_vjp(embedding.embedding_in_torch, dy, *params, ids=ids)
    keep(layer, "x[0]", False, params, ids, dy, y, dparams, None)


def record_batch_norm(layer, x, training, momentum=0.1, eps=1e-5):  # PyTorch's options if not given
    params = Case(layer, x).params
    *affine, mean, variance = pn.tree.leaves(params)
    dy, moving = normal(*x.shape), [torch.tensor(mean), torch.tensor(variance)]
    options = {"moving": moving, "training": training, "momentum": momentum, "eps": eps}
    y, (dx, *dparams) = torch_vjp(norm.batch_norm_in_torch, dy, x, *affine, **options)
    keep(layer, "x[0]", training, params, x, dy, y, [*dparams, *(m.numpy() for m in moving)], dx)


def record_recurrent(name, start, both=False, lengths=None, **options):
    """On sequences with last states: their gradients are given too."""
    layer = getattr(pn, name)(2, 3, **options)
    layer = pn.bidirectional(layer, getattr(pn, name)(2, 3, reverse=True, **options)) if both else layer
    sequence, count = normal(3, 4, 2), 2 if name == "lstm" else 1
    params = Case(layer, sequence).params
    directions = params if both else (params,)
    states, dstates = ([[normal(3, 3) for _ in range(count)] for _ in directions] for _ in range(2))
    each = [f"x[{i + 1}]" if count == 1 else f"(x[{2 * i + 1}], x[{2 * i + 2}])" for i in range(len(directions))]
    state = "None" if not start else each[0] if not both else f"({', '.join(each)})"
    form = f"(x[0], {state})" if lengths is None else f"(x[0], {state}, x[-1])"
    last, reverse = (options.get(option, False) for option in ("last", "reverse"))
    outputs = (3, 3 * len(directions)) if last else (3, 4, 3 * len(directions))
    dy, states = normal(*outputs), states if start else None
    y, final, dx, dstart, dparams = recurrent.in_torch(
        name, directions, sequence, states, lengths, dy, dstates, last, reverse
    )
    keep(layer, form, False, params, (sequence, states, lengths), (dy, dstates), (y, final), dparams, (dx, dstart))


def record_attention(layer, heads, causal=False, other=None, mask=None):
    queries, keys_values = normal(2, 3, 4), None if other is None else normal(2, 5, other)
    x = [a for a in (queries, keys_values, mask) if a is not None]
    form = f"({', '.join(f'x[{i}]' for i in range(len(x)))})" if len(x) > 1 else "x[0]"
    params, dy = Case(layer, tuple(x) if len(x) > 1 else x[0]).params, normal(2, 3, 4)
    y, dparams, dx = attention.in_torch(params, queries, keys_values, mask, dy, heads, causal)
    keep(layer, form, False, params, x, dy, y, dparams, dx)


def record_loss(name, y, target, **options):
    loss, dE = getattr(pn, name), np.array(1.7)
    given = {"reduction": "mean", **options, "target": torch.tensor(target)}
    E, (dy,) = torch_vjp(IN_TORCH[name], dE, y, **given)
    keep(loss(**options) if options else loss, "x", False, (), (y, target), dE, E, (), dy)


def layers():
    record(pn.dense(3, 2), normal(4, 3), dense_in_torch)
    record(pn.dense(2, bias=False), normal(2, 3, 4), dense_in_torch)
    for name, (in_torch, _, option) in ACTIVATIONS.items():
        record(getattr(pn, name), 3 * normal(3, 5), in_torch)
        if option is not None:
            record(getattr(pn, name)(0.3), 3 * normal(3, 5), in_torch, **{option[0]: 0.3})
    record(pn.prelu, normal(3, 4), prelu_in_torch)
    record(pn.prelu(4), normal(2, 3, 4), prelu_in_torch)
    for training in (True, False):
        record_batch_norm(pn.batch_norm, normal(5, 3) + 2, training)
        options = {"momentum": 0.3, "eps": 0.1}
        record_batch_norm(pn.batch_norm(affine=False, **options), normal(2, 3, 2) - 1, training, **options)
    record(pn.layer_norm, normal(3, 5) + 1, norm.layer_norm_in_torch, eps=1e-5)  # the default, also PyTorch's
    record(pn.layer_norm(eps=0.1, affine=False), normal(2, 2, 4) + 1, norm.layer_norm_in_torch, eps=0.1)
    record(pn.group_norm(2), normal(2, 3, 4) + 1, norm.group_norm_in_torch, groups=2, eps=1e-5)
    record(pn.instance_norm, normal(2, 4, 3) + 1, norm.instance_norm_in_torch, eps=1e-5)
    record(pn.rms_norm, normal(3, 5), norm.rms_norm_in_torch, eps=float(np.finfo(np.float64).eps))
    record(pn.rms_norm(eps=0.1), normal(2, 2, 4), norm.rms_norm_in_torch, eps=0.1)
    record_embedding(pn.embedding(5, 3), np.array([[0, 4, 2], [4, 4, 1]]))
    record(pn.learned_positions(5), normal(2, 3, 4), embedding.learned_positions_in_torch, x_last=True)
    record(pn.positional_encoding, normal(2, 3, 5), embedding.positional_encoding_in_torch)
    record(pn.binary_dense(2), normal(4, 3), embedding.binary_dense_in_torch, x_last=True)
    record(pn.flatten, normal(2, 3, 2), torch.reshape, shape=(2, 6))
    record(pn.reshape(2, 3), normal(2, 6), torch.reshape, shape=(2, 2, 3))
    record(pn.global_avg_pool, normal(2, 2, 3, 2), lambda x: F.adaptive_avg_pool2d(norm.first(x), 1).flatten(1))
    record(pn.global_max_pool, normal(2, 2, 3, 2), lambda x: F.adaptive_max_pool2d(norm.first(x), 1).flatten(1))
    record(pn.pad(((1, 0), (2, 1))), normal(2, 2, 3, 2), lambda x: F.pad(x, (0, 0, 2, 1, 1, 0)))
    for name in recurrent.MODULES:
        record_recurrent(name, start=False)
        record_recurrent(name, start=True, reverse=True, last=True, bias=False)
        record_recurrent(name, start=True, both=True)
        record_recurrent(name, start=True, both=name == "gru", lengths=np.array([4, 1, 3]))
    attend, mask = pn.multi_head_attention, np.array([[1, 1, 0], [1, 0, 1]], bool)
    record_attention(attend(4, 2), 2)
    record_attention(attend(4, 2, causal=True), 2, causal=True, mask=mask)
    record_attention(attend(4, 2, bias=False), 2, other=3, mask=np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]], bool))
    block = pn.transformer_block(4, 2, 3, causal=True)
    record(block, normal(2, 3, 4), attention.transformer_block_in_torch, heads=2, causal=True)
    for net, in_torch in NETS.values():
        record(net, normal(2, 2, 3), in_torch)


def losses():
    logits, distribution, ids = 2 * normal(4, 3), softmax(normal(4, 3)), np.array([0, 2, 2, 1])
    probabilities, binary = rng.uniform(0.05, 0.95, (4, 3)), np.rint(rng.random((4, 3)))
    given = {
        "huber": [(logits, normal(4, 3), {"delta": 0.3})],
        "binary_cross_entropy": [(probabilities, t, {}) for t in (binary, distribution)],
        "binary_cross_entropy_with_logits": [(logits, t, {}) for t in (binary, distribution)],
        "softmax_cross_entropy": [
            (logits, t, options) for t in (ids, distribution) for options in ({}, {"label_smoothing": 0.1})
        ],
        "nll": [(np.log(distribution), ids, {})],
        "hinge": [(logits, 2 * binary - 1, {})],
        "kl_divergence": [(np.log(softmax(logits)), distribution * (distribution > 0.1), {})],
    }
    for name in IN_TORCH:
        cases = given.get(name, [(logits, normal(4, 3), {})])
        for y, target, options in cases:
            record_loss(name, y, target, **options)
        if name != "sse":
            record_loss(name, y, target, **options, reduction="sum")


def main() -> None:
    layers()
    losses()
    np.savez_compressed(FILE, recorded=np.array(json.dumps(recorded)), numbers=np.concatenate(numbers))


if __name__ == "__main__":
    main()
