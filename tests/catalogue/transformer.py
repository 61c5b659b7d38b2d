"""The transformer's blocks."""

from __future__ import annotations

import numpy as np

import purenet as pn
from tests.cases import Case, normal
from tests.catalogue.attention import CACHE, MASK, PAIRS, PAST

encode, decode = pn.transformer_block, pn.transformer_decoder_block
LENGTHS = np.array([2, 4, 3])

ROWS: dict[str, list[Case]] = {
    "transformer_block": [
        Case(encode(4, 2), normal(2, 3, 4)),
        Case(encode(4, 1, 3, causal=True), normal(1, 5, 4)),
        Case(encode(6, 3, 5, dropout=0.4), normal(2, 3, 6), pn.key(1)),
        Case(encode(6, 3, 5, dropout=0.4), normal(2, 1, 6)),
        Case(encode(4, 2, norm="post", activation=pn.tanh), normal(2, 3, 4)),
        Case(encode(6, 2, 4, norm="post", bias=False, eps=1e-3), (normal(3, 4, 6), LENGTHS)),
        Case(encode(4, 2), (normal(3, 4, 4), MASK)),
        Case(encode(4, 2), (normal(3, 4, 4), normal(3, 2, 4, 4, seed=2))),
        Case(encode(8, 4, 6, kv_heads=2, activation=pn.swiglu), (normal(3, 4, 8), PAIRS[:, :1])),
        Case(encode(6, 3, 5, dropout=0.2, attention_dropout=0.2, norm="post"), (normal(3, 4, 6), LENGTHS), pn.key(1)),
        Case(encode(8, 2, 6, causal=True, rotary=True), normal(2, 5, 8)),
        Case(encode(4, 2, 3, causal=True, norm="post"), (normal(3, 2, 4), PAST)),
        Case(encode(4, 2, 3, causal=True, rotary=True), (normal(3, 2, 4), PAST, MASK)),
        Case(encode(4, 2, 3, causal=True, rotary=True), (normal(3, 2, 4), (*CACHE, np.array([3, 0, 1])))),
    ],
    "transformer_decoder_block": [
        Case(decode(3, 1, 2), (normal(1, 2, 3), normal(1, 2, 3, seed=1))),
        Case(decode(4, 2), (normal(2, 3, 4), normal(2, 5, 4, seed=1))),
        Case(decode(6, 2, 4, norm="post", bias=False, eps=1e-3), (normal(3, 2, 6), normal(3, 4, 5, seed=1), MASK)),
        Case(decode(4, 2, causal=False), ((normal(3, 4, 4), LENGTHS), normal(3, 2, 4, seed=1))),
        Case(decode(4, 2), ((normal(3, 4, 4), MASK), normal(3, 4, 4, seed=1), LENGTHS)),
        Case(decode(8, 4, 6, kv_heads=1, activation=pn.swiglu), (normal(1, 3, 8), normal(1, 2, 8, seed=1))),
        Case(decode(4, 2, 3, rotary=100), (normal(2, 5, 4), normal(2, 3, 4, seed=1))),
        Case(
            decode(6, 3, 5, norm="post", dropout=0.2, attention_dropout=0.2),
            (normal(2, 3, 6), normal(2, 4, 6, seed=1)),
            pn.key(1),
        ),
        Case(decode(4, 2, 3), (normal(3, 2, 4), None, normal(3, 4, 4, seed=3))),
        Case(decode(4, 2, 3, norm="post", rotary=True), (normal(3, 2, 4), PAST, normal(3, 4, 4, seed=3), MASK)),
        Case(decode(4, 2, 3), (normal(3, 2, 4), (*CACHE, np.array([3, 0, 1])), normal(3, 4, 5, seed=3), LENGTHS)),
    ],
}
