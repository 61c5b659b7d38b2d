"""Steps that PyTorch compiles: they give what the same functions give op by op, and what is no tensor is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import purenet as pn
from tests.oracles.test_torch_engine import to_torch

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, of its compiler
RATE = pn.schedules.cosine(0.1, 5)
DENSE = pn.serial(pn.dense(4, 6), pn.tanh, pn.dense(6, 3))
NETS = {
    "dense": (DENSE, (4,)),
    "images": (pn.serial(pn.conv(3, 3), pn.batch_norm(), pn.relu, pn.max_pool(2), pn.flatten, pn.dense(3)), (6, 6, 1)),
    "sequences": (pn.serial(pn.lstm(4, 5, last=True), pn.dense(3)), (7, 4)),
    "attention": (pn.serial(pn.transformer_block(4, 2), pn.global_avg_pool, pn.dense(3)), (5, 4)),
}
OPTIMIZERS = {
    "sgd by a schedule": pn.sgd(RATE, momentum=0.9),
    "adam": pn.adam(0.01),
    "clipped, in twos": pn.chain(pn.clip_by_global_norm(0.1), pn.accumulate(2), pn.adamw(0.01)),
    "with an average": pn.chain(pn.ema(), pn.adam(0.01)),
}
DRAWN = np.random.default_rng(0)


def begin(net, in_shape, examples=8):
    params = net.init(pn.key(0), in_shape)
    x, target = DRAWN.normal(size=(examples, *in_shape)).astype(np.float32), np.arange(examples) % 3
    return to_torch((params, x, target))


def step_of(net, optimizer):
    value_and_grad = pn.value_and_grad(net, pn.softmax_cross_entropy)

    def step(params, state, x, target):
        E, grads = value_and_grad(params, x, target)
        return E, *optimizer.step(params, grads, state)

    return step


@pytest.mark.parametrize(
    ("net", "optimizer"),
    [*((net, "adam") for net in NETS), *(("dense", each) for each in OPTIMIZERS if each != "adam")],
)
def test_a_step(net, optimizer):
    optimizer = OPTIMIZERS[optimizer]
    net, in_shape = NETS[net]
    params, x, target = begin(net, in_shape)
    step = step_of(net, optimizer)
    compiled = pn.torch_compile(step, backend="eager")  # quick: what was seen of the step, run as it is
    ours = theirs = (params, optimizer.init(params))
    for k in range(5):
        E, *ours = step(*ours, x, target)
        other, *theirs = compiled(*theirs, x, target)
        assert all(type(leaf) is torch.Tensor for leaf in pn.tree.leaves(theirs)), "tensors come out"
        assert abs(float(E) - float(other)) < 1e-5, f"the loss of step {k}"
    for a, b in zip(*map(pn.tree.leaves, (ours, theirs)), strict=True):
        np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", [pn.adam(0.01), pn.sgd(0.1), pn.sgd(0.1, momentum=0.9)], ids=repr)
def test_by_the_compiler(optimizer):
    params, x, target = begin(DENSE, (4,))
    step = step_of(DENSE, optimizer)

    def twice(params, state):  # the gradients are read by nobody else, so the compiler joins them with the step
        for _ in range(2):
            _, params, state = step(params, state, x, target)
        return params, state

    state = optimizer.init(params)
    for ours, theirs in zip(*(pn.tree.leaves(f(params, state)) for f in (twice, pn.torch_compile(twice))), strict=True):
        np.testing.assert_allclose(np.asarray(theirs), np.asarray(ours), rtol=1e-4, atol=1e-6)


def test_other_shapes_are_compiled_anew():
    params, x, _ = begin(DENSE, (4,))
    compiled = pn.torch_compile(DENSE.apply, backend="eager")
    for batch in (8, 3, 8):
        np.testing.assert_allclose(compiled(params, x[:batch]), DENSE.apply(params, x[:batch]), rtol=1e-5, atol=1e-7)


def test_arrays_and_numbers_become_tensors():
    compiled = pn.torch_compile(lambda a, k: {"sum": a + k}, backend="eager")
    found = [compiled(np.arange(3.0), k)["sum"] for k in (1, 2)]
    assert [each.tolist() for each in found] == [[1, 2, 3], [2, 3, 4]]


def test_booleans_texts_and_names_steer():
    def f(a, way="up", *, double=False):
        return (a + 1 if way == "up" else a - 1) * (2 if double else 1)

    compiled, a = pn.torch_compile(f, backend="eager"), torch.arange(3.0)
    for given, named in (((), {}), (("down",), {}), (("up",), {}), ((), {"double": True}), ((), {"double": False})):
        assert torch.equal(compiled(a, *given, **named), f(a, *given, **named))


def test_numbers_of_python_keep_their_digits():
    compiled = pn.torch_compile(lambda a, s: a * s, backend="eager")
    ones = torch.ones(1, dtype=torch.float64)
    assert compiled(ones, 0.1).item() == 0.1
    assert compiled(ones, 1e300).item() == 1e300
    assert compiled(ones.to(torch.float32), 0.1).dtype == torch.float32


def test_what_is_compiled_inside_a_transform_is_not_kept():
    compiled, x = pn.torch_compile(lambda a: (a**2).sum(), backend="eager"), torch.arange(3.0)
    assert torch.func.grad(compiled)(x).tolist() == [0, 2, 4]
    assert torch.vmap(compiled)(torch.stack([x, 2 * x])).tolist() == [5, 20]
    assert compiled(x * 100).item() == 50_000
    assert torch.func.grad(compiled)(x).tolist() == [0, 2, 4]


def test_options_are_those_of_pytorchs_compiler():
    seen = []

    def backend(graph, examples):
        seen.append(len(examples))
        return graph.forward

    assert pn.torch_compile(lambda a, b: a * b, backend=backend)(torch.ones(2), 3.0).tolist() == [3, 3]
    assert seen == [2]


def test_how_tensors_lie_in_memory():
    net = pn.serial(pn.flatten, pn.dense(12, 2))
    compiled, params = pn.torch_compile(net.apply, backend="eager"), to_torch(net.init(pn.key(0)))
    x = torch.randn(5, 3, 4)
    for given in (
        x,
        x.transpose(1, 2).contiguous().transpose(1, 2),
        x[:1].expand(5, 3, 4),
        x.flip(0)[:, :, ::2].repeat(1, 1, 2),
    ):
        np.testing.assert_allclose(compiled(params, given), net.apply(params, given), rtol=1e-5, atol=1e-6)


def test_the_run_that_is_looked_at_changes_nothing():
    x = torch.ones(2)
    assert pn.torch_compile(lambda a, b: a.add_(1) * b, backend="eager")(x, torch.ones(2)).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pn.torch_compile(DENSE), "torch_compile takes a function of trees, such as net.apply or a step, not"),
        (lambda: pn.torch_compile(lambda key: 0)(pn.key(0)), "is for trees of tensors, arrays and numbers, not"),
        (lambda: pn.torch_compile(lambda a: object())(1.0), "is for trees of tensors, arrays and numbers, not"),
        (lambda: pn.torch_compile(lambda a: a)(torch.ones(2, requires_grad=True)), r"no gradient.*write x.detach\(\)"),
        (lambda: pn.torch_compile(lambda n: n if n > 0 else -n)(3), "f looks at a number"),
        (lambda: pn.torch_compile(lambda a, n: [a for _ in range(n)])(torch.ones(2), 3), "Bind what steers f before"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(TypeError, match=message):
        call()
