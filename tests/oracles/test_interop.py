"""The same net here and in PyTorch, after its weights went there or came from there."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch

import purenet as pn
from tests.kit import bits
from tests.oracles.agree import record
from tests.oracles.interop_draws import LAYERS, NETS

DRAWS = {
    "conv": 100,
    "conv_transpose": 100,
    "recurrent": 100,
    "stacked": 50,
    "LeNet-5": 3,
    **dict.fromkeys(list(NETS)[1:], 20),
}
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
CASES = [(name, seed) for name in {**LAYERS, **NETS} for seed in range(DRAWS.get(name, 50))]
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
each_draw = pytest.mark.parametrize(("name", "seed"), CASES, ids=[f"{name}-{seed}" for name, seed in CASES])


def setup(name, seed, dtype):
    """A layer with random params, and its module with random weights of its own, both in this dtype."""
    rng = np.random.default_rng([seed, *name.encode()])
    layer, module, x, run = {**LAYERS, **NETS}[name](rng)
    module = module.to(getattr(torch, dtype)).eval()
    with torch.no_grad():
        for path, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.tensor(some(rng, tensor.shape, path.endswith("running_var"))))
            else:
                tensor.fill_(7)  # batches seen
    in_shape = pn.tree.map(lambda leaf: leaf.shape[1:], x)
    params = pn.tree.cast(layer.init(pn.key(seed), in_shape), np.dtype(dtype))
    values = iter([some(rng, leaf.shape, "variance" in path) for path, leaf in pn.tree.items(params)])
    params = pn.tree.map(lambda p: next(values).astype(dtype), params)
    x = pn.tree.map(lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf, x)
    return layer, params, module, x, run


def some(rng, shape, positive):
    """Random weights with a −0 among them; a variance is positive."""
    values = 0.5 * rng.normal(size=shape)
    if positive:
        return 0.5 + np.abs(values)
    values.flat[:1] = -0.0
    return values


def error(ours, theirs):
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-3))


def outputs(drawn):
    layer, params, module, x, run = drawn
    with torch.no_grad():
        return layer.apply(params, x), run(module, pn.tree.map(torch.from_numpy, x)).numpy()


@each_dtype
@each_draw
def test_weights_go_and_come_back(name, seed, dtype):
    layer, params, module, x, run = setup(name, seed, dtype)
    module.load_state_dict(pn.to_torch_state_dict(params, layer))
    worst = error(*outputs((layer, params, module, x, run)))
    record(f"{name}, with weights", "PyTorch", dtype, worst)
    assert worst < TOLERANCE[dtype], layer
    back = pn.from_torch_state_dict(module.state_dict(), params, layer)
    assert bits(back) == bits(params)
    assert type(back) is type(params)
    assert not any(leaf.flags.writeable for leaf in pn.tree.leaves(back))


@each_dtype
@each_draw
def test_weights_come(name, seed, dtype):
    layer, like, module, x, run = setup(name, seed, dtype)
    state = module.state_dict()
    params = pn.from_torch_state_dict(state, like, layer)
    worst = error(*outputs((layer, params, module, x, run)))
    record(f"{name}, with weights", "PyTorch", dtype, worst)
    assert worst < TOLERANCE[dtype], layer
    arrays = {path: tensor.numpy() for path, tensor in state.items()}
    assert bits(pn.from_torch_state_dict(arrays, like, layer)) == bits(params)


@pytest.mark.parametrize("name", NETS)
def test_through_a_file(name, tmp_path):
    layer, like, module, x, run = setup(name, 0, "float32")
    torch.save(module.state_dict(), tmp_path / "net.pt")
    state = torch.load(tmp_path / "net.pt", weights_only=True)
    safetensors.torch.save_file({path: tensor.clone() for path, tensor in state.items()}, tmp_path / "net.safetensors")
    params = pn.from_torch_state_dict(pn.load(tmp_path / "net.safetensors"), like, layer)
    assert error(*outputs((layer, params, module, x, run))) < 1e-5

    safetensors.torch.save_file(pn.to_torch_state_dict(like, layer), tmp_path / "ours.safetensors")
    module.load_state_dict(safetensors.torch.load_file(tmp_path / "ours.safetensors"))
    assert error(*outputs((layer, like, module, x, run))) < 1e-5


NEED_NET = (
    "conv",
    "depthwise conv",
    "conv_transpose",
    "recurrent",
    "stacked",
    "transformer_block",
    "transformer_decoder_block",
)
WITHOUT_NET = [name for name in LAYERS if name not in NEED_NET]


@pytest.mark.parametrize("name", WITHOUT_NET)
@pytest.mark.parametrize("seed", range(5))
def test_where_the_params_say_it_all_the_net_may_be_left_out(name, seed):
    layer, params, module, *_ = setup(name, seed, "float32")
    nested, several = (params, {"a": params, "b": [params, None]}), (params, (params, params))
    theirs = torch.nn.Sequential(module, torch.nn.ModuleDict({"a": module, "b": torch.nn.Sequential(module)}))
    theirs.load_state_dict(pn.to_torch_state_dict(nested))
    assert bits(pn.from_torch_state_dict(theirs.state_dict(), nested)) == bits(nested)
    part = pn.to_torch_state_dict(several)
    whole = pn.to_torch_state_dict(several, pn.parallel(layer, pn.fan_out(layer, layer)))
    assert whole.keys() == part.keys()
    assert all(torch.equal(whole[path], part[path]) for path in whole)


def test_one_layer_of_a_stack_as_pytorch_has_it():
    module = torch.nn.LSTM(3, 4, batch_first=True)
    params = pn.from_torch_state_dict(module.state_dict(), pn.lstm(3, 4).init(pn.key(0)))
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    assert error(pn.lstm(3, 4).apply(params, x), module(torch.from_numpy(x))[0].detach().numpy()) < 1e-5


def test_neither_changes_with_the_other():
    layer, params, *_ = setup("LSTM classifier", 0, "float32")
    before = bits(params)
    state = pn.to_torch_state_dict(params, layer)
    back = pn.from_torch_state_dict(state, params, layer)
    for tensor in state.values():
        tensor.zero_()
    assert bits(params) == bits(back) == before


def test_params_of_jax_stay_there():
    import jax
    import jax.numpy as jnp

    layer, params, *_ = setup("ResNet", 0, "float32")
    there = pn.tree.map(jnp.asarray, params)
    back = pn.from_torch_state_dict(pn.to_torch_state_dict(there, layer), there, layer)
    assert all(isinstance(leaf, jax.Array) for leaf in pn.tree.leaves(back))
    assert bits(pn.tree.map(np.asarray, back)) == bits(params)


def test_other_dtypes_are_told():
    params = pn.dense(2, 3).init(pn.key(0))
    for dtype in (torch.float64, torch.bfloat16):
        state = torch.nn.Linear(2, 3).to(dtype).state_dict()
        name = str(dtype).removeprefix("torch.")
        with pytest.raises(TypeError, match=f"weight of the state dict is {name}, but like needs float32: write mod"):
            pn.from_torch_state_dict(state, params)


def test_a_module_is_not_its_state_dict():
    with pytest.raises(TypeError, match=r"takes a state dict, not a Linear: write module\.state_dict\(\)"):
        pn.from_torch_state_dict(torch.nn.Linear(2, 3), pn.dense(2, 3).init(pn.key(0)))


def test_tied_weights_that_differ():
    layer, params, *_ = setup("tied", 0, "float32")
    state = pn.to_torch_state_dict(params, layer)
    state["0.1.bias"] = state["0.1.bias"] + 1
    with pytest.raises(ValueError, match=r"0\.0 and the next are tied in the net, but not in the state dict"):
        pn.from_torch_state_dict(state, params, layer)
