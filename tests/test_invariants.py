"""The invariants of the contract, over every layer and loss of the catalogue, in both dtypes."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import purenet as pn
from purenet.testing import check_vjp
from tests.catalogue import LAYER_CASES, LAYERS, LOSS_CASES, LOSSES, layer_id, loss_id
from tests.kit import bits, cast

each_layer = pytest.mark.parametrize("case", [case for _, case in LAYER_CASES], ids=map(layer_id, LAYER_CASES))
each_loss = pytest.mark.parametrize("case", [case for _, case in LOSS_CASES], ids=map(loss_id, LOSS_CASES))
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])

# what a public function is, its module says: those of these modules make layers or losses, every other one does not
LAYER_MODULES = ("purenet.layers.", "purenet.combinators.")
LOSS_MODULES = "purenet.losses."


def test_catalogue_is_complete():
    public = {name: getattr(pn, name) for name in pn.__all__}
    functions = {name for name, value in public.items() if inspect.isfunction(value)}
    makers = {name for name in functions if public[name].__module__.startswith(LAYER_MODULES)}
    layers = makers | {name for name, value in public.items() if isinstance(value, pn.Layer)}
    losses = {name for name in functions if public[name].__module__.startswith(LOSS_MODULES)}
    losses |= {name for name, value in public.items() if isinstance(value, pn.Loss)}
    assert set(LAYERS) == layers - {"lengths_to_mask"}  # which makes a mask for one: test_recurrent.py
    assert set(LOSSES) == losses - {"loss"}  # of a user's own functions: test_losses.py


@each_layer
def test_layer_keeps_the_contract(case):
    check_vjp(case.layer, case.params, case.x, case.key, differences=case.differences)


@each_loss
def test_loss_keeps_the_contract(case):
    check_vjp(case.loss, case.y, case.target)


# The same again, one invariant at a time and without the checker, so that neither rests on the other alone.


@each_layer
@each_dtype
def test_1_pure(case, dtype):
    params, x = cast(case.params, dtype), cast(case.x, dtype)
    before = bits((params, x))
    y, pullback = case.layer.vjp(params, x, case.key)
    first = pullback(y)
    assert bits(pullback(y)) == bits(first)
    assert bits(case.layer.vjp(params, x, case.key)[1](y)) == bits(first)
    assert bits((params, x)) == before


@each_layer
@each_dtype
def test_2_one_forward(case, dtype):
    params, x = cast(case.params, dtype), cast(case.x, dtype)
    assert bits(case.layer.vjp(params, x, case.key)[0]) == bits(case.layer.apply(params, x, case.key))


@each_layer
def test_4_dparams_mirrors_params(case):
    params, x = cast(case.params, np.float32), cast(case.x, np.float32)
    y, pullback = case.layer.vjp(params, x, case.key)
    dparams, _ = pullback(y)
    pn.tree.check_same(params, dparams)
    stepped = pn.sgd_step(params, dparams, 0.1)
    pn.tree.check_same(params, stepped)


@each_layer
def test_5_parameters_cannot_be_written_to(case):
    params = case.layer.init(pn.key(0), pn.tree.map(lambda leaf: leaf.shape[1:], case.x))
    _, pullback = case.layer.vjp(params, cast(case.x, np.float32), case.key)
    y = case.layer.apply(params, cast(case.x, np.float32), case.key)
    for leaf in pn.tree.leaves((params, pn.sgd_step(params, pullback(y)[0], 0.1))):
        with pytest.raises(ValueError, match="read-only"):
            leaf -= 1


@each_layer
@each_dtype
def test_6_dtype_is_kept(case, dtype):
    params, x = cast(case.params, dtype), cast(case.x, dtype)
    y, pullback = case.layer.vjp(params, x, case.key)
    gradients = pullback(y)
    assert {leaf.dtype for leaf in pn.tree.leaves((y, gradients)) if leaf.dtype.kind == "f"} == {np.dtype(dtype)}


@each_layer
def test_7_without_a_key_a_layer_is_deterministic_and_with_one_it_is_repeatable(case):
    params = case.params
    assert bits(case.layer.apply(params, case.x)) == bits(case.layer.apply(params, case.x))
    key = pn.key(3)
    assert bits(case.layer.apply(params, case.x, key)) == bits(case.layer.apply(params, case.x, key))


@each_layer
def test_8_plain_in_plain_out(case):
    y, pullback = case.layer.vjp(case.params, case.x, case.key)
    assert all(type(leaf) is np.ndarray for leaf in pn.tree.leaves((y, pullback(y))))


@each_layer
def test_params_round_trip_through_flatten_and_ravel(case):
    params = case.params
    leaves, structure = pn.tree.flatten(params)
    assert bits(pn.tree.unflatten(structure, leaves)) == bits(params)
    vector, unravel = pn.tree.ravel(params)
    assert bits(unravel(vector)) == bits(params)


@each_layer
def test_name_is_the_code_that_makes_the_layer(case):
    names = {name: getattr(pn, name) for name in pn.__all__}
    assert case.layer.name.startswith("activation") or repr(eval(case.layer.name, names)) == case.layer.name


@each_loss
@each_dtype
def test_losses_are_pure_and_keep_dtype(case, dtype):
    y, target = cast(case.y, dtype), case.target
    before = bits((y, target))
    E, pullback = case.loss.vjp(y, target)
    dy = pullback()
    assert {leaf.dtype for leaf in pn.tree.leaves((E, dy))} == {np.dtype(dtype)}
    assert pn.tree.map(np.shape, dy) == pn.tree.map(np.shape, y)
    assert E.tobytes() == case.loss.apply(y, target).tobytes()
    assert bits(pullback()) == bits(dy)
    assert bits((y, target)) == before
    twice = pn.tree.leaves((pullback(2.0), pullback(np.float64(2.0))))
    for found, one in zip(twice, 2 * pn.tree.leaves(dy), strict=True):
        np.testing.assert_allclose(found, 2 * one)
        assert found.dtype == dtype
