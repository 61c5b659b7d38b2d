"""Layers and losses against what PyTorch gave for the same params and inputs, as tests/oracles/record.py wrote it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYERS, LOSSES

DATA = Path(__file__).parent / "data"
PUBLIC = {name: getattr(pn, name) for name in pn.__all__}
NOT_RECORDED = {
    "activation": "of the user's own function",
    "dropout": "PyTorch draws other masks",
    "gaussian_noise": "PyTorch draws other noise",
    "frozen": "its dparams are the params themselves",
    "on_first": "only hands the first of its inputs to a layer",
    "keep_rest": "only hands its input to a layer, and part of it on",
    "parallel": "only hands each input to a layer of its own",
}


def read():
    """(name, layer or loss, case) of each: a case has lists of arrays for params, x, dy, y, dparams and dx."""
    with np.load(DATA / "torch.npz") as file:
        cases, numbers, at = json.loads(str(file["recorded"])), file["numbers"], 0
    for i, case in enumerate(cases):
        for part in ("params", "x", "dy", "y", "dparams", "dx"):
            arrays = []
            for dtype, shape in case[part]:
                size = int(np.prod(shape))
                arrays.append(numbers[at : at + size].astype(dtype).reshape(shape))
                at += size
            case[part] = arrays
        yield f"{i}-{case['layer']}", eval(case["layer"], PUBLIC.copy()), case
    assert at == len(numbers)


CASES = list(read())


def like(tree, leaves):
    return pn.tree.unflatten(pn.tree.flatten(tree)[1], leaves)


@pytest.mark.parametrize(("layer", "case"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_results_are_pytorchs_as_recorded(layer, case):
    x = eval(case["form"], {"x": case["x"]})
    if isinstance(layer, pn.Loss):
        y, pullback = layer.vjp(*x)
        dparams, dx = (), pullback(case["dy"][0])
    else:
        params = like(layer.init(pn.key(0), pn.tree.map(lambda leaf: leaf.shape[1:], x)), case["params"])
        y, pullback = layer.vjp(params, x, pn.key(0) if case["training"] else None)
        dparams, dx = pullback(like(y, case["dy"]))
    for part, tree in (("y", y), ("dparams", dparams), ("dx", dx)):
        for (path, ours), theirs in zip(pn.tree.items(tree, part), case[part], strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), path
            error = np.abs(ours - theirs).max() / (np.abs(theirs).max() or 1)
            assert error < 1e-10, f"{path}: {error:.2g} of the largest entry\n{ours}\n{theirs}"


def test_every_layer_and_loss_is_recorded_or_has_a_reason():
    with np.load(DATA / "windows.npz") as file:  # read in test_conv.py
        windows = [str(file[name]) for name in file if name.endswith("/layer")]
    written = [case["layer"] for _, _, case in CASES] + windows
    recorded = {name for code in written for name in re.findall(r"[a-z]\w*", code)} & (set(LAYERS) | set(LOSSES))
    assert set(LAYERS) | set(LOSSES) == recorded | set(NOT_RECORDED)
    assert not recorded & set(NOT_RECORDED)
