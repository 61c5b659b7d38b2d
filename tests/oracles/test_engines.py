"""From one engine to another: the same bits, there and back."""

from __future__ import annotations

import importlib
import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import purenet as pn

NET = pn.serial(pn.dense(2, 3), pn.batch_norm(3), pn.tanh, pn.dense(3, 1))
PARAMS = NET.init(pn.key(0))
KIND = {"numpy": np.ndarray, "jax": jax.Array, "torch": torch.Tensor}


@pytest.mark.parametrize("engine", KIND)
@pytest.mark.parametrize("from_engine", KIND)
def test_params_go_there_and_back(from_engine, engine):
    there = pn.to_engine(pn.to_engine(PARAMS, from_engine), engine)
    assert all(isinstance(leaf, KIND[engine]) for leaf in pn.tree.leaves(there))
    back = pn.to_engine(there, "numpy")
    pn.tree.check_same(PARAMS, back)
    for ours, again in zip(pn.tree.leaves(PARAMS), pn.tree.leaves(back), strict=True):
        assert again.tobytes() == ours.tobytes()
        assert again.dtype == ours.dtype
        assert not again.flags.writeable


@pytest.mark.parametrize("engine", KIND)
def test_a_whole_run_goes_along(engine):
    state = pn.start(pn.adam(), PARAMS, pn.key(1))
    there = pn.to_engine(state, engine)
    assert there.key == state.key
    assert there.step == 0
    x = pn.to_engine(np.ones((4, 2), np.float32), engine)
    _, grads = pn.value_and_grad(NET, pn.mse)(there.params, x, x[:, :1])
    params, kept = pn.adam().step(there.params, grads, there.optimizer_state)
    assert all(isinstance(leaf, KIND[engine]) for leaf in pn.tree.leaves((params, kept.slots)))


DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "bfloat16", "complex64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", KIND)
def test_every_dtype_keeps_its_bits(engine, dtype):
    if engine == "jax" and dtype in ("float64", "int64") and not jax.config.jax_enable_x64:
        pytest.fail("the oracles run with x64")
    x = np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    for given in (x, x[:, ::-1], x.T, x[:0]):
        back = pn.to_engine(pn.to_engine(given, engine), "numpy")
        assert back.dtype == x.dtype
        assert back.shape == given.shape
        assert back.tobytes() == given.tobytes()


def test_other_orders_of_bytes():
    x = np.arange(3, dtype=">f4")
    assert pn.to_engine(x, "torch").tolist() == pn.to_engine(x, "jax").tolist() == [0, 1, 2]


def test_what_was_moved_is_no_view():
    x = np.zeros(2)
    for engine in KIND:
        there = pn.to_engine(x, engine)
        x += 1
        assert np.asarray(there).tolist() != x.tolist()


def test_what_is_no_array_stays():
    given = (pn.key(0), 1, 2.5, None, jax.random.key(0))
    assert pn.to_engine(given, "torch") == given


def test_a_tensor_that_wants_a_gradient_comes_without():
    assert not pn.to_engine(torch.nn.Parameter(torch.ones(2)), "torch").requires_grad


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (("tensorflow",), ValueError, "an engine is one of 'numpy', 'jax', 'torch', not 'tensorflow'"),
        ((PARAMS,), ValueError, "an engine is one of 'numpy', 'jax', 'torch', not a tuple$"),
        (("numpy", "cuda"), ValueError, "NumPy computes on the CPU: leave out device='cuda'"),
        (("jax", "xpu"), ValueError, "JAX has no device 'xpu' here: there is cpu"),
        (("jax", "cpu:99"), ValueError, "JAX has no device 'cpu:99' here"),
        (("torch", "nothing"), ValueError, "PyTorch has no device 'nothing' here"),
        (("torch", 1.5), ValueError, "PyTorch has no device 1.5 here"),
        (("jax", 3), ValueError, "JAX has no device 3 here: there is cpu"),
        (("jax", torch.device("cpu")), ValueError, "JAX has no device device.type='cpu'. here"),
    ],
)
def test_bad_input_says_what_to_do(given, kind, message):
    with pytest.raises(kind, match=message):
        pn.to_engine(PARAMS, *given)


@pytest.mark.parametrize("engine", ["jax", "torch"])
@pytest.mark.parametrize(
    "given", [np.array(["cat"]), np.array([None]), np.zeros(1, "M8[s]"), np.ones(1, np.longdouble)]
)
def test_what_holds_no_numbers_that_the_engine_knows(given, engine):
    with pytest.raises(TypeError, match=re.escape(f"has no arrays of {given.dtype.name}")) as found:
        pn.to_engine({"labels": given}, engine)
    assert ("number the classes" in str(found.value)) == (given.dtype.kind in "UO")
    assert pn.to_engine(given, "numpy").dtype == given.dtype


def test_cast_takes_the_dtypes_of_every_engine():
    for params in (PARAMS, pn.to_engine(PARAMS, "torch"), pn.to_engine(PARAMS, "jax")):
        for dtype in (np.float16, jnp.float16, torch.float16):
            halves = pn.tree.leaves(pn.tree.cast(params, dtype))
            assert {str(leaf.dtype).removeprefix("torch.") for leaf in halves} == {"float16"}


@pytest.mark.parametrize(
    ("engine", "missing"), [("jax", "jax"), ("torch", "torch"), ("torch", "array_api_compat.torch")]
)
def test_an_engine_that_is_not_installed(engine, missing, monkeypatch):
    find = importlib.import_module

    def without(name, *rest):
        if name == missing:
            raise ModuleNotFoundError(name)
        return find(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=rf"pip install 'purenet\[{engine}\]'"):
        pn.to_engine(PARAMS, engine)


def test_jax_without_float64():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(TypeError, match="jax_enable_x64"):
            pn.to_engine(np.ones(2), "jax")
        with pytest.raises(TypeError, match="jax_enable_x64"):
            pn.to_engine(torch.ones(2, dtype=torch.float64), "jax")
        assert pn.to_engine(jnp.ones(2), "jax").dtype == np.float32
    finally:
        jax.config.update("jax_enable_x64", True)
