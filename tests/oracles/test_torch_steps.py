"""A training step on tensors by PyTorch's own kernels: the optimizers' passes, and the loss over classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import purenet as pn
from purenet.engine import Ops, engine_of
from purenet.engine.arrays import torch_namespace
from purenet.engine.torch import LARGE, TorchOps
from purenet.engine.torch_losses import TorchLossOps
from purenet.losses.rules import Unsummed
from tests.oracles.test_torch_engine import to_torch
from tests.oracles.test_torch_kernels import expanded, normal, strided, turned

TORCH, PLAIN = engine_of(torch.zeros(1)), Ops(torch_namespace())
STEPS = "add_scaled", "add_quotient", "overwrite"
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SHAPES = [(), (0, 3), (5,), (7, 4), (2, LARGE)]
OF_OPS = [
    *(pn.adam(0.1), pn.adamw(0.1, weight_decay=0.1), pn.amsgrad(0.1), pn.adagrad(0.1, initial=0.1)),
    *(pn.rmsprop(0.1), pn.rmsprop(0.1, momentum=0.9), pn.rmsprop(0.1, centered=True)),
    *(pn.sgd(0.1), pn.sgd(0.1, momentum=0.9), pn.sgd(0.1, momentum=0.9, nesterov=True)),
]


class Seen(TorchDispatchMode):
    """The names of the kernels that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def numbers(shape, dtype=torch.float32, seed=0):
    return torch.tensor(normal(*shape, seed=seed), dtype=dtype)


def shares_memory(a, b):
    return a.numel() > 0 and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def near(found, plain, dtype, rounding=8):
    """To the rounding of the dtype, beside the largest number."""
    assert found.dtype == plain.dtype
    assert found.shape == plain.shape
    largest = max([1.0, *plain.abs().double().flatten().nan_to_num(0, 0, 0).tolist()])
    found, plain = found.double(), plain.double()
    torch.testing.assert_close(found, plain, rtol=0, atol=rounding * torch.finfo(dtype).eps * largest, equal_nan=True)


@pytest.mark.parametrize("layout", [torch.clone, strided, turned, expanded])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_ops_of_a_step_are_the_plain_ones(shape, dtype, layout):
    a, b, divisor = (layout(numbers(shape, dtype, seed)) for seed in range(3))
    divisor = divisor.abs() + 0.5  # of its own memory, as what may be overwritten is
    before = a.clone(), b.clone()
    factor = torch.tensor(-0.3, dtype=dtype)
    for number in (-0.3, 0.0, factor):
        new = TORCH.add_scaled(a, b, number)
        near(new, PLAIN.add_scaled(a, b, number), dtype)
        of_quotient = TORCH.add_quotient(a, b, divisor.clone(), number)
        near(of_quotient, PLAIN.add_quotient(a, b, divisor.clone(), number), dtype)
        assert not any(shares_memory(found, given) for found in (new, of_quotient) for given in (a, b))
    root = TORCH.overwrite(TORCH.sqrt, divisor.clone(), divisor)
    near(root, divisor.sqrt(), dtype)
    assert not shares_memory(root, divisor)
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])


def test_ops_of_two_dtypes_are_the_plain_ones():
    """The result has the wider one, whatever stands in the memory that may be written to."""
    big, small = numbers((2, LARGE), torch.float64), numbers((2, LARGE), torch.float32, 1)
    for a, b, divisor in ((big, small, small), (small, big, small), (small, small, big), (small, big, big)):
        divisor = divisor.abs() + 0.5
        near(TORCH.add_scaled(a, b, 0.3).double(), PLAIN.add_scaled(a, b, 0.3).double(), torch.float32)
        found = TORCH.add_quotient(a, b, divisor.clone(), 0.3)
        assert found.dtype == torch.float64
        near(found, PLAIN.add_quotient(big, b, divisor.clone(), 0.3).double() - big + a, torch.float32)
    whole = torch.arange(2 * LARGE)
    torch.testing.assert_close(TORCH.overwrite(TORCH.sqrt, whole.clone(), whole), whole.sqrt())
    torch.testing.assert_close(TORCH.add_scaled(whole, small.reshape(-1), 0.5), whole + 0.5 * small.reshape(-1))


@pytest.mark.parametrize("size", [10, 2 * LARGE])
def test_a_root_of_another_size_leaves_the_temporary(size):
    x = numbers((size,)).abs()
    assert torch.equal(TORCH.overwrite(TORCH.sqrt, torch.zeros(3, size), x), x.sqrt())


def test_kernels_of_a_step_are_few():
    """Of one parameter: each pass over memory is one kernel, and of a large one three arrays are new."""
    params = numbers((2, LARGE))
    for optimizer, most in ((pn.adam(), 6), (pn.sgd(), 1), (pn.sgd(momentum=0.9), 2), (pn.adagrad(), 5)):
        state = optimizer.init(params)
        optimizer.step(params, params, state)
        with Seen() as seen:
            optimizer.step(params, params, state)
        kernels = [name for name in seen.names if name not in ("detach", "_to_copy", "lift_fresh")]
        assert len(kernels) <= most, kernels
    with Seen() as seen:
        pn.sgd_step(params, params, 0.1)
    assert seen.names == ["add"]


def plainly(monkeypatch):
    """No kernel of PyTorch's own for a step."""
    for op in STEPS:
        monkeypatch.setattr(TorchOps, op, getattr(Ops, op))


def leaves(dtype, layout=torch.clone):
    shapes = SHAPES[:4] if layout is not torch.clone else SHAPES
    return [layout(numbers(shape, dtype, seed)) for seed, shape in enumerate(shapes)]


def trained(optimizer, params, gradients):
    state = optimizer.init(params)
    for grads in gradients:
        params, state = optimizer.step(params, grads, state)
    return params, state.slots if hasattr(state, "slots") else ()


@pytest.mark.parametrize("layout", [torch.clone, strided, turned, expanded])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("optimizer", OF_OPS, ids=repr)
def test_steps_are_those_of_the_plain_rule(optimizer, dtype, layout, monkeypatch):
    params = leaves(dtype, layout)
    gradients = [[layout((p * (k + 0.3)).cos()) for p in params] for k in range(3)]
    before = [p.clone() for p in params], [[g.clone() for g in grads] for grads in gradients]
    found = trained(optimizer, params, gradients)
    state = optimizer.init(params)
    kept = pn.tree.map(lambda leaf: torch.clone(leaf) if torch.is_tensor(leaf) else leaf, state)
    new = optimizer.step(params, gradients[0], state)
    assert {p.dtype for p in new[0]} == {dtype}
    given = pn.tree.leaves((params, gradients[0], state))
    fresh = [leaf for leaf in pn.tree.leaves(new) if torch.is_tensor(leaf)]
    assert not any(shares_memory(a, b) for a in fresh for b in given if torch.is_tensor(b))
    for old, now in zip(*map(pn.tree.leaves, ((*before, kept), (params, gradients, state))), strict=True):
        assert not torch.is_tensor(old) or torch.equal(old, now)
    plainly(monkeypatch)
    plain = trained(optimizer, params, gradients)
    for a, b in zip(*map(pn.tree.leaves, (found, plain)), strict=True):
        near(a, b, a.dtype, rounding=16)


@pytest.mark.parametrize(
    "rate", [torch.tensor(1e-2), lambda t: torch.tensor(0.02) / (t + 1)], ids=["tensor", "schedule"]
)
def test_a_rate_may_be_a_tensor(rate):
    params, (grads,) = leaves(torch.float32), [leaves(torch.float32)]
    numbers_of = rate if callable(rate) else lambda t: rate
    for maker in (pn.adam, pn.adamw, pn.sgd, pn.adagrad, pn.rmsprop):
        by_tensor = trained(maker(rate), params, [grads] * 3)
        by_number = trained(maker(lambda t: float(numbers_of(t))), params, [grads] * 3)
        for a, b in zip(*map(pn.tree.leaves, (by_tensor, by_number)), strict=True):
            near(a, b, torch.float32, rounding=16)


@pytest.mark.parametrize("maker", [pn.adam, pn.amsgrad, pn.sgd, pn.adagrad], ids=lambda maker: maker.__name__)
def test_vmap_takes_members_one_by_one(maker):
    optimizer = maker(0.1)
    params, grads = numbers((3, 2, LARGE)), numbers((3, 2, LARGE), seed=1)

    def step(p, g):
        state = optimizer.init(p)
        for _ in range(2):
            p, state = optimizer.step(p, g, state)
        return p

    found = torch.vmap(step)(params, grads)
    for i in range(3):
        near(found[i], step(params[i], grads[i]), torch.float32)


def test_a_rate_can_be_learnt():
    """dθ/dη of a step, by PyTorch's own differentiation: −g / (|g| + ε), which is Adam's first step."""
    grads = numbers((5,))

    def moved(rate):
        optimizer = pn.adam(rate)
        return optimizer.step(torch.zeros(5), grads, optimizer.init(grads))[0].sum()

    slope = torch.func.grad(moved)(torch.tensor(0.1))
    torch.testing.assert_close(slope, -grads.sign().sum(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("optimizer", [pn.adam(), pn.sgd(), pn.sgd(momentum=0.9)], ids=repr)
def test_a_parameter_with_a_graph_is_refused(optimizer):
    params = torch.ones(3, requires_grad=True)
    state = optimizer.init(params.detach())
    for given in ((params, torch.ones(3)), (torch.ones(3), params)):
        with pytest.raises(TypeError, match="require no gradient"):
            optimizer.step(*given, state)
        with pytest.raises(TypeError, match="require no gradient"):
            pn.sgd_step(*given, 0.1)


def test_tensors_and_arrays_are_not_mixed():
    with pytest.raises(TypeError, match="of one engine"):
        pn.sgd_step(torch.ones(3), np.ones(3, np.float32), 0.1)
    with pytest.raises(TypeError, match="of one engine"):
        pn.update(lambda p, g: np.ones(3, np.float32), torch.ones(3), torch.ones(3))


# the loss over classes

LOGITS = {
    "rows": numbers((5, 7)) * 4,
    "one class": numbers((3, 1)),
    "many rows": numbers((4000, 3)),
    "sequences": numbers((2, 3, 4)),
    "large logits": torch.tensor([[1e4, 0.0], [0.0, -3e38], [3e38, 3e38]]),
    "a class without a chance": torch.tensor([[0.5, -torch.inf, 1.0], [0.1, 0.2, -torch.inf]]),
    "infinite": torch.tensor([[0.5, torch.inf], [0.1, 0.2]]),
    "NaN": torch.tensor([[0.5, torch.nan], [0.1, 0.2]]),
}
RULE: list = []


class Losing(TorchOps):
    """PyTorch's ops, which hand out the plain rule and count how often it runs."""

    def __init__(self):
        super().__init__(torch.device("cpu"))
        self.plain = 0

    def cross_entropy(self, plain, *given):
        def counted(*arguments):
            self.plain += 1
            return plain(*arguments)

        RULE[:] = [plain]
        return TorchLossOps.cross_entropy(self, counted, *given)


def rule_of(loss):
    """The loss's rule over ops: `rule(ops, y, target) -> (E, pull)`."""
    return pn.spec.guard.guarded(loss).rule


def labels_for(y, dtype=torch.int64):
    return (torch.arange(y[..., 0].numel()) % y.shape[-1]).reshape(y.shape[:-1]).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOGITS)
def test_cross_entropy_is_the_plain_rule(name, reduction, dtype):
    y, ops = LOGITS[name].to(dtype), Losing()
    labels, rule = labels_for(y), rule_of(pn.softmax_cross_entropy(reduction=reduction))
    for layout in (torch.clone, strided, turned):
        (E, pull), (plain_E, plain_pull) = rule(ops, layout(y), layout(labels)), rule(PLAIN, y, labels)
        near(E, plain_E, dtype)
        for dE in (1.0, 2.5, torch.tensor(0.5, dtype=dtype), 1.0):
            near(pull(dE), plain_pull(dE), dtype)
    assert not ops.plain


@pytest.mark.parametrize("kind", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_labels_of_any_integers(kind):
    y = LOGITS["rows"]
    E, pullback = pn.softmax_cross_entropy.vjp(y, labels_for(y, kind))
    expected, pull_expected = pn.softmax_cross_entropy.vjp(y, labels_for(y))
    assert torch.equal(E, expected)
    assert torch.equal(pullback(), pull_expected())


@pytest.mark.parametrize("label", [-1, 7, 200, -100, -(2**63)])
def test_a_label_that_is_no_class_is_refused(label):
    y = LOGITS["rows"]
    labels = labels_for(y)
    pn.value_and_grad(pn.dense(7, 7), pn.softmax_cross_entropy)
    pn.softmax_cross_entropy.vjp(y, labels)
    labels[2] = label
    with pytest.raises(ValueError, match="labels"):
        pn.softmax_cross_entropy.vjp(y, labels)


@pytest.mark.parametrize("label", [-1, 7, -100])
def test_the_kernel_by_itself_takes_no_label_for_one_that_does_not_count(label):
    with pytest.raises(IndexError, match="out of bounds"):
        TORCH.cross_entropy(None, LOGITS["rows"], torch.tensor([0, 1, label, 3, 4]))


def test_what_is_not_labels_goes_the_plain_way():
    y, ops = LOGITS["rows"], Losing()
    soft = torch.softmax(y.flip(1), 1)
    rule_of(pn.softmax_cross_entropy)(ops, y, soft)
    assert ops.plain == 1
    empty = torch.zeros(0, 7)
    E, pull = rule_of(pn.softmax_cross_entropy(reduction="sum"))(ops, empty, labels_for(empty))
    assert ops.plain == 2
    assert E == 0
    assert pull(1.0).shape == (0, 7)


def test_each_row_by_itself_is_not_summed():
    y = LOGITS["rows"]
    each, pullback = pn.softmax_cross_entropy(reduction="none").vjp(y, labels_for(y))
    torch.testing.assert_close(each, torch.nn.functional.cross_entropy(y, labels_for(y), reduction="none"))
    assert each.shape == (5,)
    assert pullback(torch.ones(5)).shape == y.shape
    assert Unsummed(TORCH).cross_entropy(lambda ops, y, target: ops, y, y).ops is TORCH


def test_vmap_goes_through_the_loss():
    y, labels = numbers((4, 5, 7)), labels_for(numbers((5, 7)))
    loss = pn.softmax_cross_entropy

    def both(each):
        E, pullback = loss.vjp(each, labels)
        return E, pullback(2.0)

    E, dy = torch.vmap(both)(y)
    for i, each in enumerate(y):
        value, slope = both(each)
        near(E[i], value, torch.float32)
        near(dy[i], slope, torch.float32)
    _, pullback = loss.vjp(y[0], labels)
    scaled = torch.vmap(pullback)(torch.tensor([1.0, 3.0]))
    near(scaled[1], 3 * scaled[0], torch.float32)


def test_a_step_of_a_net_is_by_kernels():
    net = pn.serial(pn.dense(6, 5), pn.relu, pn.dense(5, 3))
    params, x = to_torch(net.init(pn.key(0))), numbers((4, 6))
    step = pn.value_and_grad(net, pn.softmax_cross_entropy)
    for _ in range(2):
        with Seen() as seen:
            step(params, x, torch.arange(4) % 3)
        assert {"nll_loss_forward", "nll_loss_backward", "_log_softmax_backward_data"} <= {*seen.names}
