"""Recurrent layers: on sequences, with lengths, with a state, with both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import purenet as pn
from tests.cases import Case, both, normal

Make = Callable[..., pn.Layer[Any]]


def sequences(make: Make, state: Callable[[int, int], Any]) -> list[Case]:
    return [
        Case(make(4, 3), normal(2, 5, 4)),
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
        Case(make(4, 3, return_state=True), normal(2, 5, 4)),
        Case(make(4, 3, return_state=True, last=True), (normal(3, 5, 4), np.array([1, 5, 3]))),
        Case(make(4, 3, return_state=True, reverse=True), (normal(2, 5, 4), state(2, 3))),
        Case(make(3, num_layers=2, last=True), normal(2, 5, 4)),
    ]


def one(batch: int, hidden: int) -> Any:
    return normal(batch, hidden, seed=2)


def pair(batch: int, hidden: int) -> Any:
    return normal(batch, hidden, seed=2), normal(batch, hidden, seed=3)


LSTMS = pn.bidirectional(pn.lstm(4, 3), pn.lstm(4, 2, reverse=True))
LSTMS_ABOVE = pn.bidirectional(pn.lstm(5, 3), pn.lstm(5, 2, reverse=True))
STACK = pn.stacked(pn.gru(4, 3), pn.lstm(3, 2))
STATES = ((normal(3, 3), normal(3, 3, seed=1)), (normal(3, 2, seed=2), normal(3, 2, seed=3)))
DECODER, PAST = pn.transformer_decoder_block(4, 2, 3), (normal(2, 2, 4, seed=2), normal(2, 2, 4, seed=3))
ENDS = pn.bidirectional(pn.gru(4, 3, last=True), pn.rnn(4, 2, last=True, reverse=True))

ROWS: dict[str, list[Case]] = {
    "rnn": sequences(pn.rnn, one),
    "lstm": sequences(pn.lstm, pair),
    "gru": [
        *sequences(pn.gru, one),
        Case(pn.gru(4, 3, reset_after=False), normal(2, 5, 4)),
        Case(pn.gru(4, 3, reset_after=False, bias=False, reverse=True), (normal(2, 5, 4), one(2, 3))),
        Case(pn.gru(4, 3, reset_after=False), (normal(3, 5, 4), np.array([1, 5, 3]))),
    ],
    "bidirectional": [
        Case(LSTMS, normal(3, 5, 4)),
        Case(LSTMS, (normal(3, 5, 4), np.array([1, 5, 3]))),
        Case(LSTMS, (normal(3, 5, 4), None)),
        Case(LSTMS, (normal(3, 5, 4), STATES, np.array([1, 5, 3]))),
        Case(ENDS, normal(1, 1, 4)),
        Case(ENDS, (normal(2, 5, 4), (normal(2, 3), normal(2, 2)))),
        Case(
            pn.bidirectional(pn.rnn(4, 3, return_state=True), pn.gru(4, 2, return_state=True, reverse=True)),
            normal(2, 5, 4),
        ),
        Case(pn.serial(pn.bidirectional(pn.gru(4, 3), pn.gru(4, 3, reverse=True)), pn.rnn(2)), normal(3, 5, 4)),
    ],
    "stacked": [
        Case(STACK, normal(2, 5, 4)),
        Case(STACK, (normal(3, 5, 4), np.array([1, 5, 3]))),
        Case(STACK, (normal(2, 5, 4), None)),
        Case(STACK, (normal(2, 5, 4), (one(2, 3), pair(2, 2)))),
        Case(STACK, (normal(3, 5, 4), (one(3, 3), pair(3, 2)), np.array([1, 5, 3]))),
        *both(pn.lstm(3, num_layers=3, dropout=0.5, return_state=True), (normal(3, 4, 4), np.array([1, 4, 3]))),
        *both(pn.stacked(LSTMS, LSTMS_ABOVE, dropout=0.4), normal(2, 4, 4)),
        Case(pn.stacked(LSTMS, LSTMS_ABOVE), (normal(3, 5, 4), (STATES, STATES), np.array([1, 5, 3]))),
        Case(pn.stacked(pn.rnn(2, 3, last=True)), normal(2, 3, 2)),
        Case(pn.stacked(DECODER, DECODER), (normal(2, 3, 4), normal(2, 4, 4, seed=1))),
        Case(pn.stacked(DECODER, DECODER), (normal(2, 3, 4), normal(2, 4, 4, seed=1), np.array([2, 4]))),
        Case(pn.stacked(DECODER, DECODER), (normal(2, 1, 4), (PAST, PAST), normal(2, 4, 4, seed=1))),
    ],
}
