"""The same net here and in PyTorch, after its weights went there or came from there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import purenet as pn
from tests.kit import bits


def nets(seed):
    """A net of dense layers here and there, with random sizes."""
    rng = np.random.default_rng(seed)
    sizes = [int(s) for s in rng.integers(1, 9, rng.integers(2, 5))]
    ours, theirs = [], []
    for a, b in itertools.pairwise(sizes):
        bias = bool(rng.integers(2))
        ours += [pn.dense(a, b, bias=bias), pn.tanh]
        theirs += [torch.nn.Linear(a, b, bias=bias), torch.nn.Tanh()]
    if seed % 2:  # one within another
        ours, theirs = [pn.serial(*ours), pn.tanh], [torch.nn.Sequential(*theirs), torch.nn.Tanh()]
    return pn.serial(*ours), torch.nn.Sequential(*theirs), rng.normal(size=(5, sizes[0])).astype(np.float32)


@pytest.mark.parametrize("seed", range(50))
def test_weights_go_and_come(seed):
    net, module, x = nets(seed)
    params = net.init(pn.key(seed))
    module.load_state_dict(pn.to_torch_state_dict(params))
    assert np.allclose(net.apply(params, x), module(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert bits(pn.from_torch_state_dict(module.state_dict(), like=net.init(pn.key(99)))) == bits(params)

    _, other, _ = nets(seed)
    params = pn.from_torch_state_dict(other.state_dict(), like=params)
    assert np.allclose(net.apply(params, x), other(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert not any(leaf.flags.writeable for leaf in pn.tree.leaves(params))


def test_neither_changes_with_the_other():
    params = pn.dense(2, 3).init(pn.key(0))
    before = bits(params)
    state = pn.to_torch_state_dict(params)
    back = pn.from_torch_state_dict(state, like=params)
    for tensor in state.values():
        tensor.zero_()
    assert bits(params) == bits(back) == before


def test_through_a_file(tmp_path):
    import safetensors.torch

    net, module, x = nets(1)
    safetensors.torch.save_file(module.state_dict(), tmp_path / "net.safetensors")
    params = pn.from_torch_state_dict(pn.load(tmp_path / "net.safetensors"), like=net.init(pn.key(0)))
    assert np.allclose(net.apply(params, x), module(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_what_does_not_fit():
    params = pn.serial(pn.dense(2, 3), pn.tanh).init(pn.key(0))
    state = pn.to_torch_state_dict(params)
    with pytest.raises(ValueError, match=r"has no 0\.bias; it has 0\.weight"):
        pn.from_torch_state_dict({"0.weight": state["0.weight"]}, like=params)
    with pytest.raises(ValueError, match=r"has 1\.weight, which like has no place for"):
        pn.from_torch_state_dict({**state, "1.weight": state["0.bias"]}, like=params)
    with pytest.raises(ValueError, match=r"0\.weight of the state dict is \(2, 3\), but like needs \(3, 2\)"):
        pn.from_torch_state_dict({**state, "0.weight": state["0.weight"].T}, like=params)
    with pytest.raises(TypeError, match=r"0\. is a PReLUParams, which has no counterpart"):
        pn.to_torch_state_dict(pn.serial(pn.prelu).init(pn.key(0)))
