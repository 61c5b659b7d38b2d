"""The ends of what an array can be: no examples, no cells, no axes, very many numbers."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from purenet.spec.guard import guarded
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.kit import cast

each_layer = pytest.mark.parametrize("case", [case for _, case in LAYER_CASES], ids=map(layer_id, LAYER_CASES))
each_loss = pytest.mark.parametrize("case", [case for _, case in LOSS_CASES], ids=map(loss_id, LOSS_CASES))


def run_empty(case, params, x):
    """Y, dE/dparams and dE/dX, which must be built like what they belong to; None where the layer refuses x by name."""
    refusal = ""
    try:
        y, pullback = case.layer.vjp(params, x, case.key)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert any(words in refusal for words in (" takes ", " does not fit ", " cannot hold ", "it has no cells"))
        return None
    dparams, dx = pullback(y)
    pn.tree.check_same(params, dparams)
    assert pullback(y, wrt_x=False)[1] is None
    assert pn.tree.map(np.shape, case.layer.apply(params, x, case.key)) == pn.tree.map(np.shape, y)
    floats = [leaf for leaf in pn.tree.leaves(x) if leaf.dtype.kind == "f"]
    assert [leaf.shape for leaf in pn.tree.leaves(dx)] == [leaf.shape for leaf in floats]
    return y, dparams, dx


def gradients(dparams):
    """Those of parameters: what stands for a buffer is left out."""
    leaves = pn.tree.leaves(dparams, leaf_type=pn.Buffer)
    return [leaf for leaf in leaves if not isinstance(leaf, pn.Buffer)]


@each_layer
def test_a_batch_of_no_examples_goes_through_and_back(case):
    params, x = cast(case.params, np.float32), pn.tree.map(lambda leaf: leaf[:0], cast(case.x, np.float32))
    for _ in range(3):  # the checked way, and the bare one
        found = run_empty(case, params, x)
        if found is None:  # the only refusal: a variance of nothing
            assert "batch_norm" in case.layer.name
            assert case.key is not None
            return
        y, dparams, _ = found
        assert all(leaf.size == 0 for leaf in pn.tree.leaves(y))
        assert not any(leaf.any() for leaf in gradients(dparams))  # Σ over nothing is 0


@each_layer
def test_an_axis_of_size_0_goes_through_or_is_refused_by_name(case):
    x = cast(case.x, np.float32)
    for axis in range(1, max(leaf.ndim for leaf in pn.tree.leaves(x))):
        cut = pn.tree.map(lambda leaf: np.take(leaf, [], axis) if leaf.ndim > axis else leaf, x)  # noqa: B023
        try:
            params = case.layer.init(pn.key(0), pn.tree.map(lambda leaf: leaf.shape[1:], cut))
        except ValueError:
            params = cast(case.params, np.float32)
        run_empty(case, params, cut)


@each_layer
def test_an_x_of_no_axes_is_refused_or_keeps_its_shape(case):
    if case.layer.call.maker in ("pick", "swap"):
        return  # they hand on parts, whatever they are
    x = pn.tree.map(lambda leaf: np.zeros((), leaf.dtype), case.x)
    y, refusal = None, ""
    try:
        y = case.layer.apply(case.params, x, case.key)
    except (ValueError, TypeError) as error:
        refusal = str(error)
    assert " takes " in refusal or pn.tree.map(np.shape, y) == pn.tree.map(np.shape, x)


@each_loss
def test_losses_of_no_examples(case):
    """A sum of nothing is 0, and of none there are none; a mean of nothing is refused."""
    y, target = pn.tree.map(lambda part: part[:0], (case.y, case.target))
    reduction = guarded(case.loss).reduction
    if reduction in ("sum", "none"):
        E, pullback = case.loss.vjp(y, target)
        assert E == 0 if reduction == "sum" else len(E) == 0
        assert pn.tree.map(np.shape, pullback()) == pn.tree.map(np.shape, y)
    else:
        with pytest.raises(ValueError, match="has no mean over an empty batch"):
            case.loss.vjp(y, target)
    rows = ("softmax_cross_entropy", "nll", "kl_divergence", "cosine_similarity")
    if case.loss.call.maker in rows and case.y.ndim > 1:
        with pytest.raises(ValueError, match=r"takes y of shape \(batch, (classes|features)\)"):
            case.loss.apply(case.y[..., :0], case.y[..., :0])


ELEMENTWISE = [
    "mse", "sse", "mae", "huber", "binary_cross_entropy", "binary_cross_entropy_with_logits", "hinge", "log_cosh",
    "quantile", "poisson_nll",
]  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("form", [np.float32, np.array])
def test_losses_of_arrays_of_no_axes_and_of_numpy_scalars(form, name):
    loss, y, target = getattr(pn, name), np.float32(0.25), np.float32(1)
    E, pullback = loss.vjp(form(y), form(target))
    expected, of_one = loss.vjp(y[None], target[None])
    assert (expected, of_one()[0]) == (E, pullback())
    assert E.dtype == pullback().dtype == np.float32
    assert np.shape(pullback()) == ()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,), (2, 0, 3), (2, 3, 0)])
def test_softmax_of_nothing_is_nothing(shape, name):
    x = np.zeros(shape, np.float32)
    y, pullback = getattr(pn, name).vjp((), x)
    assert y.shape == pullback(x)[1].shape == shape
    assert y.dtype == np.float32
