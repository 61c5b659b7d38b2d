"""A layer or a loss is pickled as the call that makes it: what comes back computes the same."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYERS, LOSSES

CASES = [
    (f"{name}-{i}", case) for name, cases in LAYERS.items() for i, case in enumerate(cases) if name != "activation"
]


def bits(tree):
    return [(path, leaf.shape, leaf.dtype, leaf.tobytes()) for path, leaf in pn.tree.items(tree)]


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])
def test_layers(case):
    params = case.params
    assert copy.deepcopy(case.layer) is case.layer
    again = pickle.loads(pickle.dumps(case.layer))
    assert type(again) is type(case.layer)
    assert again.name == case.layer.name
    y, pullback = again.vjp(params, case.x, case.key)
    expected, its_pullback = case.layer.vjp(params, case.x, case.key)
    assert bits((y, pullback(y))) == bits((expected, its_pullback(expected)))


@pytest.mark.parametrize("case", [case for cases in LOSSES.values() for case in cases], ids=lambda case: case.loss.name)
def test_losses(case):
    again = pickle.loads(pickle.dumps(case.loss))
    assert again.name == case.loss.name
    assert bits(again.apply(case.y, case.target)) == bits(case.loss.apply(case.y, case.target))


@pytest.mark.parametrize(
    ("pickled", "value"),
    [
        (b"cpurenet.losses\nmse\n.", pn.mse),
        (b"cpurenet.outputs\ngaussian_nll\n.", pn.gaussian_nll),
        (b"cpurenet.outputs\ntriplet\n.", pn.triplet),
        (b"cpurenet.values\nmade_again\n(Vpurenet.sums\nVplus\n(cpurenet.losses\nmse\ncpurenet.losses\nmae\nt(dtR.",
         pn.mse + pn.mae),
    ],
    ids=lambda each: "" if isinstance(each, bytes) else each.name,
)  # fmt: skip
def test_the_places_that_pickles_name_are_there(pickled, value):
    assert pickle.loads(pickled) == value
    code = f"import pickle; print(pickle.loads({pickled!r}).name)"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == value.name


def test_what_the_name_does_not_show_is_kept():
    layer = pn.dense(2, 3, weight_init=pn.initializers.zeros)
    again = pickle.loads(pickle.dumps(pn.serial(pn.activation(np.sin, np.cos), layer)))
    assert repr(again) == "serial(activation(sin, cos), dense(2, 3))"
    assert not again.init(pn.key(0))[1].weight.any()


def test_functions_of_ones_own_say_that_they_cannot_be_pickled():
    with pytest.raises((AttributeError, pickle.PicklingError), match=r"<lambda>|local object"):
        pickle.dumps(pn.activation(lambda x: x, lambda x: 1))
