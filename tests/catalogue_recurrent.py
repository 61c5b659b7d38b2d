"""The recurrent and attention layers of the catalogue."""

from __future__ import annotations

from typing import Any

import numpy as np

import purenet as pn
from tests.cases import Case, layouts, normal


def _cases() -> dict[str, list[Case]]:
    cases: dict[str, list[Case]] = {}
    for make in (pn.rnn, pn.lstm, pn.gru):

        def state(batch: int, hidden: int, pair: bool = make is pn.lstm) -> Any:
            return (
                (normal(batch, hidden, seed=2), normal(batch, hidden, seed=3))
                if pair
                else normal(batch, hidden, seed=2)
            )

        cases[make.__name__] = [
            *(Case(make(4, 3), x) for x in layouts(normal(2, 5, 4))),
            Case(make(1, 1), normal(1, 1, 1)),
            Case(make(3), normal(2, 1, 4)),
            Case(make(4, 3, last=True), normal(1, 6, 4)),
            Case(make(4, 3, reverse=True), normal(3, 4, 4)),
            Case(make(4, 2, bias=False, last=True, reverse=True), normal(3, 4, 4)),
            Case(make(4, 3), (normal(4, 5, 4), np.array([1, 5, 3, 0]))),
            Case(make(4, 3, last=True), (normal(3, 5, 4), np.array([1, 5, 3]))),
            Case(make(4, 3), (normal(2, 5, 4), None)),
            Case(make(4, 3), (normal(2, 5, 4), state(2, 3))),
            Case(make(4, 3, last=True), (normal(2, 5, 4), state(2, 3))),
            Case(make(4, 3, reverse=True), (normal(3, 5, 4), state(3, 3), np.array([1, 5, 3], np.int32))),
            Case(make(4, 3, reverse=True, last=True), (normal(3, 5, 4), None, np.array([5, 2, 4]))),
            Case(make(7, 9), normal(3, 11, 7)),
        ]
    one, two = pn.lstm(4, 3), pn.lstm(4, 2, reverse=True)
    pair = ((normal(3, 3), normal(3, 3, seed=1)), (normal(3, 2, seed=2), normal(3, 2, seed=3)))
    ends = pn.bidirectional(pn.gru(4, 3, last=True), pn.rnn(4, 2, last=True, reverse=True))
    cases["bidirectional"] = [
        Case(pn.bidirectional(one, two), normal(3, 5, 4)),
        Case(pn.bidirectional(one, two), (normal(3, 5, 4), np.array([1, 5, 3]))),
        Case(pn.bidirectional(one, two), (normal(3, 5, 4), None)),
        Case(pn.bidirectional(one, two), (normal(3, 5, 4), pair, np.array([1, 5, 3]))),
        Case(ends, normal(1, 1, 4)),
        Case(ends, (normal(2, 5, 4), (normal(2, 3), normal(2, 2)))),
        Case(pn.serial(pn.bidirectional(pn.gru(4, 3), pn.gru(4, 3, reverse=True)), pn.rnn(2)), normal(3, 5, 4)),
    ]
    attention = pn.multi_head_attention
    mask = np.array([[True, False, True, True], [True, True, False, False], [False, False, False, False]])
    cases["multi_head_attention"] = [
        *(Case(attention(6, 2), x) for x in layouts(normal(2, 5, 6))),
        Case(attention(1, 1), normal(1, 1, 1)),
        Case(attention(6, 3, causal=True), normal(2, 5, 6)),
        Case(attention(4, 4, bias=False), normal(1, 7, 4)),
        Case(attention(4, 1), 2 * normal(2, 3, 4)),
        Case(attention(4, 2), (normal(3, 4, 4), mask)),
        Case(attention(4, 2, causal=True), (normal(3, 4, 4), mask)),
        Case(attention(4, 2), (normal(3, 2, 4), normal(3, 5, 7, seed=1))),
        Case(attention(4, 2), (normal(3, 1, 4), normal(3, 4, 4, seed=1), mask)),
        Case(attention(4, 2, causal=True), (normal(3, 6, 4), normal(3, 4, 2, seed=1), mask)),
        Case(attention(12, 3), normal(3, 11, 12)),
    ]
    block = pn.transformer_block
    cases["transformer_block"] = [
        Case(block(4, 2), normal(2, 3, 4)),
        Case(block(4, 1, 3, causal=True), normal(1, 5, 4)),
        Case(block(6, 3, 5, dropout=0.4), normal(2, 3, 6), pn.key(1)),
        Case(block(6, 3, 5, dropout=0.4), normal(2, 1, 6)),
    ]
    return cases


recurrent_cases = _cases()
