"""The usual mistakes under JAX: the same messages as on NumPy, inside jit too."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from tests.catalogue import LAYERS
from tests.kit import cast

NAMES = ["dense", "tanh", "softmax", "conv", "max_pool", "batch_norm", "layer_norm", "embedding", "lstm",
         "multi_head_attention", "add", "dropout", "serial", "residual"]  # fmt: skip


def at_first(change):
    return lambda x: (change(x[0]), *x[1:]) if type(x) is tuple else change(x)


def is_float(leaf):
    return leaf.dtype.kind == "f"


WRONG = {
    "no axis": at_first(lambda x: x.reshape(-1)[0:1].reshape(())),
    "features": at_first(lambda x: x[..., :-1] if x.shape[-1] > 1 else x[..., [0, 0]]),
    "float64": at_first(lambda x: x.astype(np.float64)),
    "the other kind": at_first(lambda x: x.astype(np.int64 if is_float(x) else np.float64)),
    "an axis too few": at_first(lambda x: x[0]),
}


def said(call):
    """What is said of wrong arguments, or what they give."""
    try:
        return pn.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), call())
    except (TypeError, ValueError) as error:
        return "\n".join([str(error), *(note for note in getattr(error, "__notes__", ()) if "in layer" in note)])


@pytest.mark.parametrize("mistake", WRONG)
@pytest.mark.parametrize("name", NAMES)
def test_the_message_is_that_of_numpy(name, mistake):
    case = LAYERS[name][1 if name == "serial" else 0]
    params, x = cast(case.params, np.float32), cast(case.x, np.float32)
    wrong = WRONG[mistake](x)
    expected = said(lambda: case.layer.apply(params, wrong))
    given = pn.tree.map(jnp.asarray, (params, wrong))
    for way in (case.layer.apply, jax.jit(case.layer.apply), lambda *given: case.layer.vjp(*given)[0]):
        assert said(lambda way=way: way(*given)) == expected
    if mistake == "the other kind":
        assert "write" in expected


@pytest.mark.parametrize("name", NAMES)
def test_params_of_another_net_and_a_wrong_gradient(name):
    case = LAYERS[name][1 if name == "serial" else 0]
    params, x = cast(case.params, np.float32), cast(case.x, np.float32)
    other = pn.dense(17, 19).init(pn.key(0))
    there, x_there = pn.tree.map(jnp.asarray, (params, x))
    expected = said(lambda: case.layer.apply(other, x))
    assert "takes params" in expected
    assert said(lambda: case.layer.apply(pn.tree.map(jnp.asarray, other), x_there)) == expected
    y, pullback = case.layer.vjp(params, x)
    expected = said(lambda: pullback(y[None]))
    assert "dE/dY has shape" in expected
    assert said(lambda: case.layer.vjp(there, x_there)[1](jnp.asarray(y)[None])) == expected
