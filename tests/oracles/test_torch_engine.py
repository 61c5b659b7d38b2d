"""Every layer, loss, optimizer and penalty on PyTorch's tensors: the numbers of NumPy, and tensors come out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import purenet as pn
from purenet.engine import engine_of
from purenet.engine.arrays import kind_of
from purenet.engine.torch_convolution import TorchConvolutionOps
from purenet.spec.guard import guarded
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.oracles.agree import record
from tests.oracles.test_jax_engine import ONE_EACH, agree, cast, each_dtype, some_dy
from tests.test_ops_windows import CASES, PLAIN, run
from tests.test_optimizers import NET, OPTIMIZERS, TRANSFORMS

RUNS = [(*entry, np.float64) for entry in LAYER_CASES] + [(*entry, np.float32) for entry in ONE_EACH]
STEPPED = [o for many in OPTIMIZERS.values() for o in many]
STEPPED += [pn.chain(t, pn.sgd(0.1, momentum=0.9)) for t in TRANSFORMS.values()]
OWN = {name for name in vars(TorchConvolutionOps) if not name.startswith("_")}
OWN_CASES = [(op, given) for op, given in CASES if op in OWN]


def to_torch(tree):
    return pn.tree.map(lambda leaf: torch.tensor(np.array(leaf)), tree)


def same(ours, theirs, dtype, what):
    """All of `theirs` are tensors without a graph, with the numbers of `ours`."""
    assert all(type(leaf) is torch.Tensor and not leaf.requires_grad for leaf in pn.tree.leaves(theirs)), what
    return agree(ours, pn.tree.map(np.asarray, theirs), dtype, what)


@pytest.mark.parametrize(
    ("name", "case", "dtype"), RUNS, ids=[f"{layer_id(('', case))}-{np.dtype(dtype)}" for _, case, dtype in RUNS]
)
def test_layer(name, case, dtype):
    params, x = cast(case.params, dtype), cast(case.x, dtype)
    y, pullback = case.layer.vjp(params, x, case.key)
    dy = some_dy(y)
    on_torch = to_torch((params, x, dy))
    for _ in range(3):  # checked, then bare
        params_there, x_there, dy_there = on_torch
        value, pullback_there = case.layer.vjp(params_there, x_there, case.key)
        worst = max(
            same(y, case.layer.apply(params_there, x_there, case.key), dtype, "y of apply"),
            same(y, value, dtype, "y of vjp"),
            same(pullback(dy), pullback_there(dy_there), dtype, "gradients"),
            same(pullback(dy, False)[0], pullback_there(dy_there, False)[0], dtype, "dparams alone"),
        )
        record(name, "tensors", dtype, worst)
    agree((params, x, dy), pn.tree.map(np.asarray, on_torch), dtype, "what was given is what it was")


@pytest.mark.parametrize(("name", "case"), LOSS_CASES, ids=map(loss_id, LOSS_CASES))
@each_dtype
def test_loss(name, case, dtype):
    y, target = cast(case.y, dtype), cast(case.target, dtype)
    E, pullback = case.loss.vjp(y, target)
    for _ in range(2):
        value, pullback_there = case.loss.vjp(*to_torch((y, target)))
        worst = max(same(E, value, dtype, "E"), same(pullback(), pullback_there(), dtype, "dE/dY"))
        record(name, "tensors", dtype, worst)


@pytest.mark.parametrize("optimizer", STEPPED, ids=repr)
def test_optimizer(optimizer):
    params = pn.tree.cast(NET.init(pn.key(0)), np.float64)
    grads = pn.tree.map(lambda p: np.cos(3 * p), params)
    there, grads_there = to_torch((params, grads))
    state, state_there = optimizer.init(params), optimizer.init(there)
    for _ in range(3):
        params, state = optimizer.step(params, grads, state)
        there, state_there = optimizer.step(there, grads_there, state_there)
    same(params, there, np.float64, "params")


@pytest.mark.parametrize("penalty", [pn.l1(0.1), pn.l2(0.1)], ids=repr)
def test_penalty(penalty):
    params = NET.init(pn.key(0))
    there = to_torch(params)
    (value, grads), (value_there, grads_there) = penalty.add(params, params), penalty.add(there, there)
    same(grads, grads_there, np.float32, "gradients")
    assert float(value_there) == pytest.approx(float(value), rel=1e-6)


@pytest.mark.parametrize(("op", "given"), OWN_CASES, ids=[f"{op}-{i}" for i, (op, _) in enumerate(OWN_CASES)])
def test_pytorchs_form_is_the_plain_one(op, given):
    there = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in given]
    found = [*zip(run(PLAIN, op, given), run(engine_of(torch.zeros(1)), op, there), strict=True)]
    if np.isnan(given[0]).any():  # which cell of a window with a NaN gets its gradient is left open
        found = found[:1]
    for a, b in found:
        np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-12)


def test_every_op_that_pytorch_has_its_own_form_of_is_here():
    assert {op for op, _ in OWN_CASES} == OWN


def test_a_net_of_tensors_runs_bare_after_its_first_step():
    net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
    params, x = to_torch(net.init(pn.key(0))), torch.ones(4, 2)
    net.vjp(params, x)
    fits, ops = guarded(net).known.seen[(4, 2)]
    assert fits(params, x)
    assert ops is engine_of(x)
    assert not fits(params, x.double())
    assert not fits(params, torch.ones(4, 2, requires_grad=True))
    assert not fits(params, np.ones((4, 2), np.float32))
    assert not fits(params, torch.ones(4, 2, device="meta"))
    assert kind_of(torch.nn.Parameter(x)) is None


def test_arrays_of_numpy_go_along():
    """A batch of NumPy beside params of tensors, and the other way round."""
    net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 2))
    params, x, labels = net.init(pn.key(0)), np.ones((4, 2), np.float32), np.arange(4) % 2
    E, grads = pn.value_and_grad(net, pn.softmax_cross_entropy)(params, x, labels)
    for mixed in (
        (to_torch(params), x, labels),
        (params, *to_torch((x, labels))),
        (to_torch(params), *to_torch((x, labels))),
    ):
        for _ in range(2):
            E_there, grads_there = pn.value_and_grad(net, pn.softmax_cross_entropy)(*mixed)
            same((E, grads), (E_there, grads_there), np.float32, "mixed")
    y, pullback = net.vjp(params, x)
    same(pullback(y)[0], pullback(to_torch(y))[0], np.float32, "a dE/dY of PyTorch")


dense = pn.dense(2, 3)
PARAMS = to_torch(dense.init(pn.key(0)))
MISTAKES = {
    "a tensor that wants a gradient": (lambda: dense.apply(PARAMS, torch.ones(4, 2, requires_grad=True)), TypeError, r"x\.detach\(\)"),
    "params that want one": (lambda: dense.apply(pn.tree.map(torch.nn.Parameter, PARAMS), torch.ones(4, 2)), TypeError, r"\.detach\(\)"),
    "another dtype": (lambda: dense.apply(PARAMS, torch.ones(4, 2).double()), TypeError, r"float32 params, but x is float64: write x\.to\(torch\.float32\)"),
    "another dtype of NumPy": (lambda: dense.apply(PARAMS, np.ones((4, 2))), TypeError, r"float32 params, but x is float64: write x\.astype\(np\.float32\)"),
    "integers": (lambda: dense.apply(PARAMS, torch.ones(4, 2, dtype=torch.int64)), TypeError, r"not on an int64 tensor of shape \(4, 2\): write x\.to\(torch\.float32\)"),
    "another device": (lambda: dense.apply(PARAMS, torch.ones(4, 2, device="meta")), ValueError, "on one device, but there are some on cpu and some on meta"),
    "a wrong size": (lambda: dense.apply(PARAMS, torch.ones(4, 3)), ValueError, r"dense\(2, 3\) takes x of shape \(\.\.\., 2\), but x has shape \(4, 3\)"),
    "dE/dY of another dtype": (lambda: dense.vjp(PARAMS, torch.ones(4, 2))[1](torch.ones(4, 3).double()), TypeError, r"dE/dY is float64, but Y is float32: write dy\.to\(torch\.float32\)"),
    "labels out of range": (lambda: pn.softmax_cross_entropy.apply(torch.ones(1, 3), torch.tensor([7])), ValueError, "labels from 0 to 2.* but found 7"),
    "labels out of range, of an unsigned dtype": (lambda: pn.softmax_cross_entropy.apply(torch.ones(1, 3), torch.tensor([7], dtype=torch.uint64)), ValueError, "but found 7"),
    "labels for one_hot": (lambda: pn.data.one_hot(torch.tensor([7]), 3), ValueError, "one_hot takes labels from 0 to 2, but they go from 7 to 7"),
    "labels that are floats": (lambda: pn.softmax_cross_entropy.apply(torch.ones(1, 3), torch.ones(1)), TypeError, r"write target\.to\(torch\.int64\)"),
    "probabilities": (lambda: pn.binary_cross_entropy.apply(torch.tensor([2.0]), torch.ones(1)), ValueError, "from 0 to 1"),
    "gradients of NumPy": (lambda: pn.adam().step(PARAMS, dense.init(pn.key(0)), pn.adam().init(PARAMS)), TypeError, "tensors of PyTorch and arrays of NumPy"),
    "gradients of NumPy for a step of descent": (lambda: pn.sgd_step(PARAMS, dense.init(pn.key(0)), 0.1), TypeError, "tensors of PyTorch and arrays of NumPy"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_bad_input_says_what_to_do(mistake):
    make, kind, message = MISTAKES[mistake]
    for _ in range(2):
        with pytest.raises(kind, match=message):
            make()


def test_inside_no_grad_a_tensor_that_wants_a_gradient_is_welcome():
    with torch.no_grad():
        y = dense.apply(PARAMS, torch.ones(4, 2, requires_grad=True))
    assert not y.requires_grad


def test_a_softmax_of_no_classes():
    y, pullback = pn.softmax.vjp((), torch.zeros(3, 0))
    assert y.shape == pullback(y)[1].shape == (3, 0)


def test_labels_that_nobody_can_look_at_are_taken_as_they_are():
    cross_entropy = pn.softmax_cross_entropy(reduction="sum")
    y, labels = torch.zeros(3, 4), torch.arange(3)
    each = torch.vmap(lambda y, label: cross_entropy.apply(y[None], label[None]))(y, labels)
    assert each.tolist() == pytest.approx([np.log(4)] * 3)
    assert cross_entropy.apply(y[:0], labels[:0]).item() == 0


def test_vmap_takes_examples_one_by_one():
    net = pn.serial(pn.dense(4, 8), pn.tanh, pn.layer_norm(8), pn.dense(8, 3))
    params, x = to_torch((net.init(pn.key(0)), np.float32(np.cos(np.arange(20)).reshape(5, 4))))
    of_one = pn.value_and_grad(net, pn.mse)
    target = x[:, :3]
    each = torch.vmap(lambda a, t: of_one(params, a[None], t[None]))(x, target)
    mean = pn.tree.map(lambda per_example: per_example.mean(0), each)
    same(pn.to_engine(of_one(params, x, target), "numpy"), mean, np.float32, "the mean over examples")


@pytest.mark.parametrize("layer", [pn.pad(2, "reflect"), pn.upsample(size=5, method="bilinear")])
def test_vmap_adds_up_what_copies_of_a_cell_get(layer):
    x = to_torch(np.float32(np.cos(np.arange(72)).reshape(2, 3, 4, 3)))
    y, pullback = layer.vjp((), x)
    each = torch.vmap(lambda x, dy: layer.vjp((), x[None])[1](dy[None])[1][0])(x, y)
    assert torch.equal(each, pullback(y)[1])


def test_params_that_want_a_gradient_can_be_exported():
    net = pn.serial(pn.dense(2, 3), pn.tanh)
    params = pn.tree.map(torch.nn.Parameter, to_torch(net.init(pn.key(0))))
    assert pn.to_onnx(net, params, (2,)).graph.initializer
    assert pn.to_torch_state_dict(params, net)["0.weight"].shape == (3, 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_large_masks_by_bits(dtype):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(40, 50, generator=generator).to(dtype) for _ in range(2))
    a[0, :3] = torch.tensor([np.nan, np.inf, -0.0])
    ops = engine_of(a, "a test")
    whole = torch.rand(40, 50, generator=generator) > 0.5
    for mask in (whole, whole.T.contiguous().T, whole[:, :1].expand(40, 50)):
        for given in ((a, b), (a, 0), (-1, a), (a, b[:1]), (a[:1], b)):
            found, expected = ops.where(mask, *given), torch.where(mask, *given)
            assert found.dtype is dtype
            assert torch.equal(found.view(torch.uint8), expected.contiguous().view(torch.uint8)), "to the last bit"
        assert torch.equal(ops.keep(a, mask).nan_to_num(7), torch.where(mask, a, 0).nan_to_num(7))
        assert torch.equal(ops.keep(b[:1], mask), torch.where(mask, b[:1], 0))
    each = torch.vmap(ops.keep)(torch.stack([b, b]), torch.stack([whole, ~whole]))
    assert torch.equal(each, torch.stack([torch.where(whole, b, 0), torch.where(whole, 0, b)]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_relu_goes_back_in_one_pass(dtype):
    x = torch.tensor([-np.inf, -1.0, -0.0, 0.0, 1e-30, 1.0, np.inf], dtype=dtype)
    dy = torch.tensor([np.nan, np.inf, 1.0, 2.0, 3.0, np.inf, -4.0], dtype=dtype)
    ops = engine_of(x, "a test")
    y = ops.relu(x)
    expected = torch.where(y > 0, dy, 0)
    assert torch.equal(ops.relu_back(dy, y), expected)
    assert torch.equal(torch.vmap(ops.relu_back)(dy[:, None], y[:, None])[:, 0], expected)
