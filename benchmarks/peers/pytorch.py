"""PyTorch, eager: modules, and tensors that are ready before the clock starts.

Where PyTorch leaves a choice, it has what is faster on a CPU, by measurement: the fused optimizers (Adam is a quarter
faster by them than by the default, SGD is even), and images whose memory is in the order of channels last.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import purenet as pn
from benchmarks.contest import Entry
from benchmarks.works import Work

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


def start(work: Work, params: Any, compiled: bool = False) -> Entry:
    module = build(work, params)
    error_of = nn.MSELoss() if work.loss == "mse" else nn.CrossEntropyLoss()
    kind = torch.optim.SGD if work.optimizer == "sgd" else torch.optim.Adam
    optimizer = kind([p for p in module.parameters() if p.requires_grad], lr=work.lr, fused=True)
    batches = [(inputs(work, x), torch.from_numpy(target)) for x, target in work.batches]

    def loss(x: Any, target: Any) -> Any:
        return error_of(module(x), target)

    differentiable = torch.compile(loss, fullgraph=True) if compiled else loss

    def epoch() -> None:
        for x, target in batches:
            optimizer.zero_grad(set_to_none=True)
            E = differentiable(x, target)
            E.backward()
            optimizer.step()

    def evaluate() -> float:
        with torch.no_grad():
            x, target = batches[0]
            return loss(x, target).item()

    return Entry(epoch, evaluate)


def compiled(work: Work, params: Any) -> Entry:
    """By `torch.compile`, forward and back; the optimizers are fused already."""
    return start(work, params, compiled=True)


def predict(work: Work, params: Any) -> Callable[[], Any]:
    module, x = build(work, params).eval(), inputs(work, work.batches[0][0][:1])

    def run() -> Any:
        with torch.inference_mode():
            return module(x)

    return run


def inputs(work: Work, x: Any) -> Any:
    """Images have their channels before height and width here, though not in memory."""
    return torch.from_numpy(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x)


def tensor(array: Any) -> Any:
    return torch.from_numpy(np.array(array, order="C"))


def build(work: Work, params: Any) -> Any:
    """The module of a work, with the weights of params."""
    weights = list(pn.tree.leaves(params))
    if work.kind in ("lstm", "transformer"):
        return LSTM(weights) if work.kind == "lstm" else transformer(weights)
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    if work.kind in ("dense", "xor"):
        linears = [linear(*pair) for pair in pairs]
        layers = [layer for each in linears for layer in (each, ACTIVATIONS[work.hidden]())]
        return nn.Sequential(*(layers if work.kind == "xor" else layers[:-1]))
    (first, second), dense = [conv(*pair) for pair in pairs[:2]], [list(pair) for pair in pairs[2:]]
    channels = second.out_channels  # the first dense layer takes what flattens to (channels, height, width) here
    side = round((len(dense[0][0]) / channels) ** 0.5)
    dense[0][0] = dense[0][0].reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(len(dense[0][0]), -1)
    head = [layer for pair in dense for layer in (linear(*pair), nn.ReLU())][:-1]
    pools = [nn.MaxPool2d(2)] if work.kind == "lenet" else []
    module = nn.Sequential(first, nn.ReLU(), *pools, second, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), *head)
    return module.to(memory_format=torch.channels_last)


def put(module: Any, **values: Any) -> Any:
    with torch.no_grad():
        for name, value in values.items():
            getattr(module, name).copy_(tensor(value))
    return module


def linear(weight: Any, bias: Any) -> Any:
    return put(nn.Linear(*weight.shape), weight=weight.T, bias=bias)


def conv(weight: Any, bias: Any) -> Any:
    *size, inputs, outputs = weight.shape
    return put(nn.Conv2d(inputs, outputs, tuple(size)), weight=weight.transpose(3, 2, 0, 1), bias=bias)


class LSTM(nn.Module):
    """PyTorch's LSTM has two biases that only add up; one is fixed at 0, for the other to learn at the same rate."""

    def __init__(self, weights: list[Any]) -> None:
        super().__init__()
        weight, recurrent_weight, bias, *dense = weights
        self.lstm = nn.LSTM(len(weight), len(recurrent_weight), batch_first=True)
        put(self.lstm, weight_ih_l0=weight.T, weight_hh_l0=recurrent_weight.T, bias_ih_l0=bias)
        put(self.lstm, bias_hh_l0=np.zeros_like(bias)).bias_hh_l0.requires_grad_(False)
        self.dense = linear(*dense)

    def forward(self, x: Any) -> Any:
        return self.dense(self.lstm(x)[0][:, -1])


def transformer(weights: list[Any]) -> Any:
    """PyTorch's keys have a bias too; it begins at 0 and has no effect."""
    *blocks, scale, shift = weights
    features, each = len(scale), len(blocks) // 2
    return nn.Sequential(
        *(block(blocks[i : i + each], features) for i in (0, each)),
        put(nn.LayerNorm(features), weight=scale, bias=shift),
    )


def block(weights: list[Any], features: int) -> Any:
    scale1, shift1, wq, bq, wk, wv, bv, wo, bo, scale2, shift2, w1, b1, w2, b2 = weights
    layer = nn.TransformerEncoderLayer(
        features, 4, w1.shape[1], dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    in_weight, in_bias = np.concatenate([wq.T, wk.T, wv.T]), np.concatenate([bq, np.zeros_like(bq), bv])
    put(layer.self_attn, in_proj_weight=in_weight, in_proj_bias=in_bias)
    put(layer.self_attn.out_proj, weight=wo.T, bias=bo)
    put(layer.norm1, weight=scale1, bias=shift1)
    put(layer.norm2, weight=scale2, bias=shift2)
    put(layer.linear1, weight=w1.T, bias=b1)
    put(layer.linear2, weight=w2.T, bias=b2)
    return layer
