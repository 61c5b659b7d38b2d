"""Attention, with and without a mask."""

from __future__ import annotations

import numpy as np

import purenet as pn
from tests.cases import Case, normal

attend = pn.multi_head_attention
MASK = np.array([[True, False, True, True], [True, True, False, False], [False, False, False, False]])
PAIRS = normal(3, 2, 4, 4, seed=3) > 0  # a place sees two keys or more, or none: of one, Y does not depend on the query
PAIRS[..., :2] = True
PAIRS[1, 0, 2] = False
PAST = normal(3, 2, 4, seed=1), normal(3, 2, 4, seed=2)
CACHE = normal(3, 5, 4, seed=1), normal(3, 5, 4, seed=2)

ROWS: dict[str, list[Case]] = {
    "multi_head_attention": [
        Case(attend(6, 2), normal(2, 5, 6)),
        Case(attend(1, 1), normal(1, 1, 1)),
        Case(attend(6, 3, causal=True), normal(2, 5, 6)),
        Case(attend(4, 4, bias=False), normal(1, 7, 4)),
        Case(attend(4, 1), 2 * normal(2, 3, 4)),
        Case(attend(4, 2), (normal(3, 4, 4), MASK)),
        Case(attend(4, 2, causal=True), (normal(3, 4, 4), MASK)),
        Case(attend(4, 2), (normal(3, 2, 4), normal(3, 5, 7, seed=1))),
        Case(attend(4, 2), (normal(3, 1, 4), normal(3, 4, 4, seed=1), MASK)),
        Case(attend(4, 2, causal=True), (normal(3, 6, 4), normal(3, 4, 2, seed=1), MASK)),
        Case(attend(12, 3), normal(3, 11, 12)),
        Case(attend(4, 2), (normal(3, 4, 4), np.array([2, 4, 0]))),
        Case(attend(4, 2, causal=True), (normal(3, 2, 4), normal(3, 4, 7, seed=1), np.array([1, 4, 3]))),
        Case(attend(4, 2), (normal(3, 4, 4), PAIRS)),
        Case(attend(4, 2, causal=True), (normal(3, 4, 4), PAIRS[:, :1])),
        Case(attend(4, 2), (normal(3, 2, 4), normal(3, 4, 4, seed=1), PAIRS[:, :, :2])),
        Case(attend(4, 2), (normal(3, 4, 4), normal(3, 2, 4, 4, seed=2))),
        Case(attend(4, 2, causal=True), (normal(3, 4, 4), normal(3, 1, 4, 4, seed=2))),
        Case(attend(4, 2), (normal(3, 2, 4), normal(3, 5, 3, seed=1), normal(3, 1, 2, 5, seed=2))),
        Case(attend(8, 4, kv_heads=2), normal(2, 5, 8)),
        Case(attend(8, 4, kv_heads=1, bias=False), (normal(3, 2, 8), normal(3, 4, 7, seed=1), MASK)),
        Case(attend(6, 2, causal="end"), (normal(2, 2, 6), normal(2, 5, 6, seed=1))),
        Case(attend(8, 4, kv_heads=2, causal="end"), (normal(2, 6, 8), normal(2, 4, 6, seed=1))),
        Case(attend(8, 2, rotary=True), normal(2, 5, 8)),
        Case(attend(8, 4, kv_heads=2, causal=True, rotary=50.0), (normal(3, 4, 8), MASK)),
        Case(attend(4, 1, causal="end", rotary=True), (normal(2, 2, 4), normal(2, 5, 3, seed=1))),
        Case(attend(6, 2, causal=True), (normal(2, 3, 6), None)),
        Case(attend(6, 2, causal="end"), (normal(2, 1, 6), (normal(2, 4, 6, seed=1), normal(2, 4, 6, seed=2)))),
        Case(
            attend(8, 4, kv_heads=2, causal=True, rotary=True),
            (normal(2, 2, 8), (normal(2, 3, 4, seed=1), normal(2, 3, 4, seed=2))),
        ),
        Case(attend(8, 2, dropout=0.4), normal(2, 5, 8), pn.key(1)),
        Case(attend(8, 4, kv_heads=2, causal=True, dropout=0.2), (normal(3, 4, 8), MASK), pn.key(1)),
        Case(attend(4, 2, dropout=0.4), normal(2, 3, 4)),
        Case(attend(4, 2, causal=True), (normal(3, 4, 4), None, MASK)),
        Case(attend(4, 2, causal=True, rotary=True), (normal(3, 2, 4), PAST, MASK)),
        Case(attend(4, 2, causal="end", kv_heads=2), (normal(3, 2, 4), PAST, np.array([2, 4, 0]))),
        Case(attend(4, 2, causal=True), (normal(3, 2, 4), PAST, PAIRS[:, :, :2])),
        Case(attend(4, 2, causal=True), (normal(3, 2, 4), PAST, normal(3, 1, 2, 4, seed=3))),
        Case(attend(4, 2, causal=True), (normal(3, 1, 4), (*PAST, np.array([0, 1, 1])))),
        Case(attend(4, 2, causal=True, rotary=True), (normal(3, 2, 4), (*CACHE, np.array([3, 0, 1])))),
    ],
}
