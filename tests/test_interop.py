"""State dicts that do not fit say what is wrong, and what to do; the weights themselves are compared in the oracles."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import purenet as pn

KEY = pn.key(0)


def take(state, net):
    return pn.from_torch_state_dict(state, net.init(KEY))


def ones(*shape):
    return np.ones(shape, np.float32)


DENSE = {"0.weight": ones(3, 2), "0.bias": ones(3), "2.weight": ones(1, 3), "2.bias": ones(1)}
NET = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))


def test_params_stand_before_the_net():
    net = pn.serial(pn.dense(2, 3))
    with pytest.raises(TypeError, match="takes params, then the net, not a Layer and a tuple"):
        pn.to_torch_state_dict(net, net.init(pn.key(0)))


def test_arrays_are_enough():
    params = take(DENSE, NET)
    assert params[0].weight.shape == (2, 3)
    assert not any(leaf.flags.writeable or leaf.base is not None for leaf in pn.tree.leaves(params))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"0.bias": None, "2.bias": None}, ValueError, r"has no 0\.bias, 2\.bias; it has 0\.weight, 2\.weight\. Make"),
        ({"4.weight": ones(1)}, ValueError, r"has 4\.weight, which like has no place for: leave it out, or"),
        ({"0.weight": ones(2, 3)}, ValueError, r"0\.weight of the state dict is \(2, 3\), but like needs \(3, 2\)"),
        (
            {"2.bias": np.ones(1)},
            TypeError,
            r"2\.bias of the state dict is float64, but like needs float32: write module\.to\(torch\.float32\), "
            r"or like=purenet\.tree\.cast\(like, np\.float64\)",
        ),
        ({"2.bias": np.ones(1, int)}, TypeError, r"2\.bias of the state dict is int64, .*\(torch\.float32\)$"),
        ({"2.bias": [1.0]}, TypeError, r"2\.bias of the state dict is a list, not a tensor or an array"),
    ],
)
def test_what_does_not_fit(change, error, message):
    state = {name: array for name, array in {**DENSE, **change}.items() if array is not None}
    with pytest.raises(error, match=message):
        take(state, NET)


def test_names_with_something_before_them():
    state = {f"model.{name}": array for name, array in DENSE.items()} | {"head.weight": ones(2)}
    with pytest.raises(ValueError, match=r"with model\. before them: hand in (.*)$") as caught:
        take(state, NET)
    code = str(caught.value).partition("hand in ")[2]
    take(eval(code, {"state": state}), NET)


def test_something_before_some_of_the_names_alone_is_no_help():
    state = {f"model.{name}": array for name, array in DENSE.items() if name != "2.bias"}
    with pytest.raises(ValueError, match=r"has no 0\.weight, 0\.bias, 2\.weight, 2\.bias; it has model\.0\.weight"):
        take(state, NET)


def test_long_lists_are_cut():
    with pytest.raises(ValueError, match=r"has no 0\.weight, .* and 12 more; it has nothing\. .* needs net=net$"):
        take({}, pn.serial(*(pn.dense(1, 1) for _ in range(10))))


def test_batch_norm_of_an_old_pytorch_has_not_counted_its_batches():
    names = "weight", "bias", "running_mean", "running_var"
    params = take({name: ones(3) for name in names}, pn.batch_norm(3))
    assert params.mean.value.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"has no running_var"):
        take({name: ones(3) for name in names[:3]}, pn.batch_norm(3))


def test_layers_that_params_alone_do_not_tell():
    for net, message in (
        (pn.conv(2, 2, 3), r"params is a ConvParams, of a conv or a conv_transpose, which only the net can tell"),
        (pn.serial(pn.lstm(1, 1), pn.lstm(1)), r"params is a tuple, of a serial, a stacked or a bidirectional, which"),
    ):
        with pytest.raises(TypeError, match=message):
            take({}, net)


ONE, BACK = pn.lstm(1, 1), pn.lstm(1, 1, reverse=True)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            pn.serial(pn.tanh, pn.binary_dense(2, 1)),
            r"1\. is a DenseParams of a binary_dense, which has no counterpart",
        ),
        (pn.bidirectional(pn.rnn(1, 1), BACK), "are none of PyTorch"),
        (pn.stacked(ONE, pn.lstm(1, 2)), "of layers that are not all of one kind and size, is none of PyTorch"),
        (pn.stacked(ONE, pn.rnn(1, 1)), "of layers that are not all of one kind and size, is none of PyTorch"),
        (pn.stacked(ONE, BACK), "of layers that are not all of one kind and size, is none of PyTorch"),
        (pn.stacked(pn.dense(1, 1), ONE), r"dense\(1, 1\) in a stacked is none of PyTorch"),
        (
            pn.gru(1, 1, reset_after=False),
            "params is a GRUParams of a gru with reset_after=False, which has no counter",
        ),
        (pn.gru(1, 1, reset_after=False, bias=False), "of a gru with reset_after=False"),
        (
            pn.bidirectional(pn.gru(1, 1), pn.gru(1, 1, reset_after=False, bias=True, reverse=True)),
            "of a gru with reset_after=False",
        ),
    ],
)
def test_layers_without_a_counterpart(layer, message):
    with pytest.raises(TypeError, match=message):
        pn.from_torch_state_dict({}, layer.init(KEY), layer)


def test_after_flatten_not_all_can_be_turned():
    conv = pn.conv(1, 4, 3)
    net = pn.serial(conv, pn.flatten, pn.group_norm(2))
    with pytest.raises(TypeError, match=r"2\. is of group_norm\(2\) after flatten, whose numbers have another order"):
        pn.from_torch_state_dict({}, net.init(KEY, (4, 4, 1)), net)
    flat = pn.serial(conv, pn.flatten)
    for net in (
        pn.serial(pn.fan_out(conv, conv), pn.concat(axis=1), pn.flatten, pn.dense(1)),
        pn.serial(pn.fan_out(flat, flat), pn.concat, pn.identity, pn.dense(1)),
        pn.serial(conv, pn.flatten, pn.glu, pn.dense(1)),
    ):
        with pytest.raises(TypeError, match=r"3\. comes after flatten, whose order .* depends on channels: of what\?"):
            pn.from_torch_state_dict({}, net.init(KEY, (4, 4, 1)), net)


def test_arrays_of_a_layer_of_ones_own():
    with pytest.raises(TypeError, match=r"1\. is a float64 array of shape \(2,\), which has no counterpart in PyTorch"):
        pn.from_torch_state_dict({}, ((), np.ones(2)))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (pn.serial(pn.dense(2, 3), pn.tanh), r"not of this net: .* has layers \[0, 1\], but not a tuple"),
        (pn.named(a=pn.dense(2, 3), b=pn.relu), r"not of this net: .* has layers \['a', 'b'\], but not a tuple"),
        (pn.transformer_block(2, 1), r"params is a tuple, which are not the params of transformer_block\(2, 1\)"),
        (pn.transformer_decoder_block(2, 1, norm="post"), "which are not the params of transformer_decoder_block"),
        (pn.serial(pn.tanh, pn.serial(pn.conv(1, 2, 3), pn.flatten), pn.dense(3, 1)), r"not of this net"),
    ],
)
def test_params_of_another_net(net, message):
    with pytest.raises(ValueError, match=message):
        pn.from_torch_state_dict(DENSE, NET.init(KEY), net)


def test_a_block_whose_activation_has_params():
    block = pn.transformer_block(2, 1, activation=pn.prelu)
    with pytest.raises(ValueError, match="a transformer's block whose activation has params has no counterpart in Py"):
        pn.from_torch_state_dict({}, block.init(KEY), block)


def test_what_comes_after_flatten_is_a_multiple_of_the_channels():
    params = (pn.conv(1, 2, 3).init(KEY), (), pn.dense(7, 1).init(KEY))
    with pytest.raises(ValueError, match=r"2\. is for 7 features, which are no multiple of the 2 channels"):
        pn.from_torch_state_dict({}, params, pn.serial(pn.conv(1, 2, 3), pn.flatten, pn.dense(1)))


def test_flatten_has_the_channels_first_there():
    """Two positions of three channels: PyTorch's columns 0, 1 are of the first channel."""
    net = pn.serial(pn.conv(1, 3, (1,), bias=False), pn.flatten, pn.dense(6, 1, bias=False))
    state = {"0.weight": ones(3, 1, 1), "2.weight": np.arange(6, dtype=np.float32).reshape(1, 6)}
    params = pn.from_torch_state_dict(state, net.init(KEY, (2, 1)), net)
    assert params[2].weight[:, 0].tolist() == [0, 2, 4, 1, 3, 5]


@pytest.mark.parametrize("gate", [pn.glu, pn.swiglu])
def test_a_gate_halves_the_channels(gate):
    """Two positions of six channels, of which the gate makes three."""
    net = pn.serial(pn.conv(1, 6, (1,), bias=False), gate, pn.flatten, pn.dense(6, 1, bias=False))
    state = {"0.weight": ones(6, 1, 1), "3.weight": np.arange(6, dtype=np.float32).reshape(1, 6)}
    params = pn.from_torch_state_dict(state, net.init(KEY, (2, 1)), net)
    assert params[3].weight[:, 0].tolist() == [0, 2, 4, 1, 3, 5]


def test_each_branch_has_channels_of_its_own():
    flat = pn.serial(pn.flatten, pn.dense(6, 1, bias=False))
    convs = pn.conv(1, 3, (1,), bias=False), pn.conv(1, 2, (2,), padding=((1, 1),), bias=False)
    net = pn.serial(pn.fan_out(*convs), pn.parallel(flat, flat))
    six = np.arange(6, dtype=np.float32).reshape(1, 6)
    state = {"0.0.weight": ones(3, 1, 1), "0.1.weight": ones(2, 1, 2), "1.0.1.weight": six, "1.1.1.weight": six}
    params = pn.from_torch_state_dict(state, net.init(KEY, (2, 1)), net)
    orders = [[int(w) for w in branch[1].weight[:, 0]] for branch in params[1]]
    assert orders == [[0, 2, 4, 1, 3, 5], [0, 3, 1, 4, 2, 5]]


def test_what_is_pooled_or_reshaped_has_no_order_to_change():
    six = np.arange(6, dtype=np.float32).reshape(1, 6)
    for between, channels in ((pn.global_avg_pool, 6), (pn.reshape(6), 3), (pn.reshape(2, 3), 3)):
        net = pn.serial(pn.conv(1, channels, (1,), bias=False), between, pn.flatten, pn.dense(6, 1, bias=False))
        state = {"0.weight": ones(channels, 1, 1), "3.weight": six}
        params = pn.from_torch_state_dict(state, net.init(KEY, (2, 1)), net)
        assert params[3].weight[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_order_of_named_is_the_nets_and_not_that_of_the_dict():
    net = pn.named(b=pn.conv(1, 3, (1,), bias=False), a=pn.flatten, c=pn.dense(6, 1, bias=False))
    like = dict(sorted(net.init(KEY).items()))
    state = {"b.weight": ones(3, 1, 1), "c.weight": np.arange(6, dtype=np.float32).reshape(1, 6)}
    params = pn.from_torch_state_dict(state, like, net)
    assert list(params) == ["a", "b", "c"]
    assert params["c"].weight[:, 0].tolist() == [0, 2, 4, 1, 3, 5]


MISSING = [  # a library that is not there, a call that needs it, and what is said then
    ("torch", "to_torch_state_dict(params)", "to_torch_state_dict makes tensors of PyTorch: pip install torch"),
    ("onnx", "to_onnx(net, params, (1,))", "to_onnx builds a model of ONNX: pip install 'purenet[onnx]'"),
    ("jax", "from_jax(abs)", "from_jax differentiates by JAX: pip install 'purenet[jax]'"),
    ("torch", "torch_compile(abs)", "torch_compile compiles by PyTorch: pip install 'purenet[torch]'"),
]


@pytest.mark.parametrize(("library", "call", "message"), MISSING)
def test_without_a_library_it_is_said_which_one_to_install(library, call, message):
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "import purenet as pn\n"
        "net = pn.dense(1, 1)\n"
        "params = net.init(pn.key(0))\n"
        "pn.from_torch_state_dict({'weight': params.weight, 'bias': params.bias}, params)\n"  # needs none of them
        f"try:\n    pn.{call}\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == f"{message}\n"
