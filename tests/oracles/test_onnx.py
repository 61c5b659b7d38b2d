"""Nets as models of ONNX, run by onnxruntime: every layer of the catalogue in inference, and whole nets."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnxruntime
import pytest

import purenet as pn
from purenet.interop.onnx import IR_VERSION, OPSET
from purenet.interop.operators import COMBINATORS, OPERATORS
from tests.cases import IDS, normal
from tests.catalogue import LAYER_CASES, LAYERS, layer_id
from tests.oracles.agree import record
from tests.oracles.interop_draws import NETS
from tests.oracles.twins import TWINS

WITHOUT = {"activation"}  # without an operator: the function is the user's own
SINGLE = "Conv|ConvTranspose|AveragePool|Resize|PRelu|LeakyRelu|Elu|Selu|Erf|Softplus|Softsign|HardSigmoid|RNN|LSTM|GRU"
ULPS = 8
CASES = [entry for entry in LAYER_CASES if entry[1].key is None]
GROWING = [  # attention with a state
    case
    for name, case in CASES
    if ("attention" in case.layer.name or "transformer" in case.layer.name)
    and type(case.x) is tuple
    and type(case.x[1]) in (tuple, type(None))
]
WITH = [entry for entry in CASES if entry[0] not in WITHOUT and not any(entry[1] is case for case in GROWING)]
onnxruntime.set_default_logger_severity(4)  # what it refuses, it also logs


def shapes(x):
    return pn.tree.map(lambda leaf: leaf.shape[1:], x)


def started(layer, params, x):
    """A session of the layer's model, which is a valid one."""
    model = pn.to_onnx(layer, params, shapes(x))
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(session, x):
    inputs = session.get_inputs()
    kinds = {"tensor(int64)": np.int64, "tensor(float)": np.float32, "tensor(double)": np.float64}
    leaves = zip(inputs, (added(leaf) for leaf in pn.tree.leaves(x)), strict=True)
    return session.run(None, {i.name: a.astype(kinds.get(i.type, a.dtype)) for i, a in leaves})


def added(leaf):
    """A mask of (query, key) pairs as a model takes it."""
    return np.where(leaf, 0, -np.inf) if leaf.dtype == bool and leaf.ndim == 4 else leaf


def compare(name, layer, params, x, ys, most=ULPS):
    """Assert that onnxruntime gives what the layer gives, but for a few units in the last place of the largest number.

    The gates of recurrent layers are numbers up to 1, whatever comes of them.
    """
    least = 1.0 if re.search("rnn|lstm|gru", layer.name) else 0.0
    for ours, theirs in zip(pn.tree.leaves(layer.apply(params, x)), ys, strict=True):
        assert ours.shape == theirs.shape
        if ours.dtype.kind != "f":
            assert np.array_equal(ours, theirs)
            continue
        assert ours.dtype == theirs.dtype
        error = np.abs(ours - theirs).max(initial=0) / (np.abs(ours).max(initial=least) or 1)
        assert error <= most * np.finfo(ours.dtype).eps, f"{layer}: {error:.2g}\n{ours}\n{theirs}"
        record(name, "onnxruntime", ours.dtype, error)


def compare_doubles(name, layer, params, x):
    """The same in float64, if onnxruntime does not say that it has no float64 of an operator."""
    try:
        ys = run(started(layer, params, x), x)
    except Exception as error:
        if not re.search(rf"an implementation for ({SINGLE})\(|does not support double", str(error)):
            raise
        record(name, "onnxruntime has no", np.float64, 0)
    else:
        compare(name, layer, params, x, ys)


def single(case):
    return pn.tree.cast((case.params, case.x), np.float32)


@pytest.mark.parametrize(("name", "case"), WITH, ids=map(layer_id, WITH))
def test_the_cases_of_the_catalogue(name, case):
    params, x = single(case)
    compare(name, case.layer, params, x, run(started(case.layer, params, x), x))


@pytest.mark.parametrize(("name", "case"), WITH, ids=map(layer_id, WITH))
def test_the_batch_is_open(name, case):
    params, x = single(case)
    twice = pn.tree.map(lambda leaf: np.concatenate([leaf, leaf]), x)
    compare(name, case.layer, params, twice, run(started(case.layer, params, x), twice))


OF_DOUBLES = [entry for entry in WITH if pn.tree.leaves(entry[1].params)]


@pytest.mark.parametrize(("name", "case"), OF_DOUBLES, ids=map(layer_id, OF_DOUBLES))
def test_float64_where_onnxruntime_has_it(name, case):
    compare_doubles(name, case.layer, case.params, case.x)


FREE = [name for name, cases in LAYERS.items() if name in OPERATORS and not pn.tree.leaves(cases[0].params)]


@pytest.mark.parametrize("name", FREE)
def test_layers_without_params_have_the_dtype_of_those_with(name):
    """Where onnxruntime has no float64 of an operator, the model is a valid one all the same."""
    case = LAYERS[name][0]
    dense = pn.tree.map(lambda leaf: pn.dense(leaf.shape[-1]), case.x)
    net = pn.serial(pn.parallel(*dense) if type(dense) is tuple else dense, case.layer)
    params = pn.tree.cast(net.init(pn.key(0), shapes(case.x)), np.float64)
    compare_doubles(name, net, params, case.x)


@pytest.mark.parametrize("case", GROWING, ids=lambda case: case.layer.name)
def test_attention_with_a_state_says_that_it_has_none(case):
    with pytest.raises(TypeError, match="to_onnx has no operator for an attention with a state"):
        pn.to_onnx(case.layer, case.params, shapes(case.x))


def test_what_has_no_operator_is_known():
    named = {name for name in LAYERS if name not in OPERATORS and name not in COMBINATORS}
    assert named == WITHOUT
    for name in named:
        record(name, "ONNX has no", np.float32, 0)
    layer = pn.serial(pn.tanh, pn.residual(pn.activation(np.sin, np.cos, name="sine")))
    with pytest.raises(TypeError, match="to_onnx has no operator for sine: make it of layers of purenet that") as error:
        pn.to_onnx(layer, layer.init(pn.key(0)), (3,))
    assert error.value.__notes__ == ["  in layer 0, sine", "  in layer 1, residual(sine)"]


# --- whole nets


def block(channels):
    return pn.serial(pn.conv(channels, 3, padding="same", bias=False), pn.batch_norm, pn.relu)


def u_net():
    down = pn.serial(pn.max_pool(2), block(8), pn.residual(block(8)), pn.upsample(2, "bilinear"))
    return pn.serial(block(4), pn.fan_out(pn.identity, down), pn.concat, pn.conv(1, 1), pn.sigmoid)


def vision_transformer():
    return pn.serial(
        pn.conv(8, 4, stride=4), pn.reshape(-1, 8), pn.learned_positions(16), pn.transformer_block(8, 2),
        pn.frozen(pn.transformer_block(8, 4)), pn.layer_norm, pn.global_avg_pool, pn.dense(3),
    )  # fmt: skip


def padded():
    return pn.serial(
        pn.on_first(pn.serial(pn.embedding(7, 4), pn.positional_encoding)),
        pn.keep_rest(pn.bidirectional(pn.lstm(4, 3), pn.lstm(4, 3, reverse=True))),
        pn.gru(4, last=True),
        pn.dense(2),
        pn.log_softmax,
    )


IMAGE = normal(2, 16, 16, 3).astype(np.float32)
WHOLE = {
    "U-Net": (u_net(), IMAGE),
    "vision transformer": (vision_transformer(), IMAGE),
    "padded sequences": (padded(), (IDS, np.array([4, 1, 3]))),
    "autoencoder": (
        pn.serial(pn.conv(6, 3, stride=2), pn.gelu, pn.flatten, pn.dense(10), pn.dense(5 * 5 * 6), pn.reshape(5, 5, 6),
                  pn.conv_transpose(3, 4, stride=3, padding="same"), pn.group_norm(3), pn.softmax),
        normal(2, 11, 11, 1).astype(np.float32),
    ),
    "tied, but not alike": (pn.tied(pn.fan_out(*(make(3, 3, 3) for make in (pn.conv, pn.conv_transpose)))), IMAGE),
}  # fmt: skip


def moved(net, x):
    """Params away from what they begin with: a bias of 0 would hide errors."""
    keys = iter(pn.split(pn.key(1), 1000))
    params = net.init(pn.key(0), shapes(x))
    return pn.tree.map(lambda p: p + 0.1 * abs(pn.random.normal(next(keys), p.shape)), params)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_nets(name):
    net, x = WHOLE[name]
    params = moved(net, x)
    compare(name, net, params, x, run(started(net, params, x), x), most=4 * ULPS)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("seed", range(3))
def test_nets_that_pytorch_has_too(name, seed):
    net, _, x, _ = NETS[name](np.random.default_rng(seed))
    x = pn.tree.cast(x, np.float32)
    params = moved(net, x)
    compare(name, net, params, x, run(started(net, params, x), x), most=4 * ULPS)


def test_runs_of_image_layers_are_turned_at_their_ends():
    net, x = WHOLE["U-Net"]
    ops = [node.op_type for node in pn.to_onnx(net, net.init(pn.key(0), shapes(x)), shapes(x)).graph.node]
    assert ops.count("Transpose") == 2
    assert (ops[0], ops[-2:]) == ("Transpose", ["Transpose", "Identity"])


@pytest.mark.parametrize("name", ["max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool"])
@pytest.mark.parametrize("seed", range(60))
def test_pools_of_random_options(name, seed):
    """Dilation, padding of all kinds, a last window beyond the end, and what counts as cells."""
    layer, x, *_ = TWINS[name].draw(np.random.default_rng(seed))
    x = x.astype(np.float32)
    compare(name, layer, (), x, run(started(layer, (), x), x))


@pytest.mark.parametrize("axis", [1, 2, -2, -1])
def test_images_are_joined_along_each_axis(axis):
    net = pn.serial(pn.fan_out(pn.conv(4, 3, padding=1), pn.conv(4, 5, padding=2)), pn.concat(axis), pn.relu)
    params = moved(net, IMAGE)
    compare("concat", net, params, IMAGE, run(started(net, params, IMAGE), IMAGE))


def test_the_sign_of_zero_is_one():
    layer, x = pn.binary_dense(3, 2), np.array([[0, -0.0, -1], [1, -2, 0]], np.float32)
    params = layer.init(pn.key(0))._replace(weight=np.array([[0, 1], [-0.0, -1], [2, 0]], np.float32))
    compare("binary_dense", layer, params, x, run(started(layer, params, x), x))


def test_what_stands_in_the_padding_does_not_count():
    """For attention, of keys and values with a mask; recurrent layers, with lengths; pools, with a mask or lengths."""
    x, keys, mask = IMAGE[:, :, 0], IMAGE[:, :5, 1], np.arange(5) < np.array([[2], [4]])
    lost, clean = (np.where(mask[..., None], keys, value).astype(np.float32) for value in (np.nan, 0))
    layer = pn.multi_head_attention(3, 1)
    params = moved(layer, (x, clean, mask))
    compare("padding", layer, params, (x, clean, mask), run(started(layer, params, (x, lost, mask)), (x, lost, mask)))
    for layer in (pn.global_avg_pool, pn.global_max_pool):
        for beside in (mask, np.array([2, 4])):
            compare("padding", layer, (), (clean, beside), run(started(layer, (), (lost, beside)), (lost, beside)))
    for make in (pn.rnn, pn.lstm, pn.gru):
        layer, lengths = make(3, 2, reverse=True), np.array([2, 4])
        params = moved(layer, (clean, lengths))
        compare(
            "padding", layer, params, (clean, lengths), run(started(layer, params, (lost, lengths)), (lost, lengths))
        )


def test_inputs_are_named_after_their_roles():
    net, x = WHOLE["padded sequences"]

    def named(net, x):
        return [each.name for each in pn.to_onnx(net, moved(net, x), shapes(x)).graph.input]

    assert named(net, x) == ["ids", "lengths"]
    assert named(pn.parallel(pn.embedding(7, 2), pn.embedding(7, 2)), (IDS, IDS)) == ["x0", "x1"]
    assert named(pn.global_max_pool, (IMAGE[:, 0], np.ones((2, 16), bool))) == ["x0", "mask"]
    assert named(pn.lstm(2, 3), (IMAGE[:, 0, :, :2], (IMAGE[:, 0, 0], IMAGE[:, 0, 0]))) == ["x0", "x1_0", "x1_1"]


@pytest.mark.parametrize("layer", [pn.batch_norm(eps=0), pn.layer_norm(eps=1), pn.elu(2), pn.leaky_relu(1), pn.celu(3)])
def test_whole_numbers_as_options(layer):
    x = normal(5, 3).astype(np.float32)
    params = layer.init(pn.key(0), (3,))
    compare("whole numbers as options", layer, params, x, run(started(layer, params, x), x))


def test_params_of_jax():
    import jax.numpy as jnp

    net = pn.serial(pn.dense(2, 3), pn.tanh)
    params = net.init(pn.key(0))
    model = pn.to_onnx(net, pn.tree.map(jnp.asarray, params), (2,))
    assert model.SerializeToString() == pn.to_onnx(net, params, (2,)).SerializeToString()


# --- bad input

NET = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(1))
PARAMS = NET.init(pn.key(0))


@pytest.mark.parametrize(
    ("net", "params", "in_shape", "error", "message"),
    [
        (PARAMS, NET, (2,), TypeError, r"to_onnx takes a layer, its params and in_shape, not a tuple"),
        (NET, PARAMS, None, ValueError, r"in_shape, .* as in \(28, 28, 1\), not None: only the batch is left open"),
        (NET, PARAMS, (None, 2), ValueError, r"in_shape, .* all its sizes, .* not \(None, 2\): only the batch is"),
        (NET, PARAMS, (..., 2), ValueError, r"in_shape, .* all its sizes, .* not \(\.\.\., 2\): only the batch is"),
        (NET, PARAMS, ((2,), 3), ValueError, r"in_shape, .* all its sizes, .* not \(\(2,\), 3\): only the batch is"),
        (NET, PARAMS, ((2,), None), ValueError, r"params that|takes an array, so in_shape is one shape"),
        (NET, PARAMS, 2, TypeError, r"to_onnx takes in_shape, .* not an int: write in_shape=\(2,\)"),
        (NET, PARAMS, (3,), ValueError, r"dense\(2, 3\) takes x of shape \(\.\.\., 2\), but its input has shape"),
        (NET, PARAMS[:2], (2,), ValueError, r"differ at params: a tuple of 3 against a tuple of 2\. Are these of ano"),
        (
            NET,
            pn.serial(pn.dense(2, 4), pn.tanh, pn.dense(1)).init(pn.key(0)),
            (2,),
            ValueError,
            r"net\.init\(key, in_shape\), but they differ at params\[0\]\.weight: \(2, 3\) against \(2, 4\)",
        ),
        (
            NET,
            pn.tree.cast(PARAMS, np.float16),
            (2,),
            TypeError,
            r"of float32 or of float64, not float16: write pn\.tree\.cast\(params, np\.float32\)",
        ),
        (
            NET,
            (*PARAMS[:2], pn.tree.cast(PARAMS[2], np.float64)),
            (2,),
            TypeError,
            r"not float32 and float64: write pn\.tree\.cast",
        ),
    ],
)
def test_what_does_not_fit(net, params, in_shape, error, message):
    with pytest.raises(error, match=message):
        pn.to_onnx(net, params, in_shape)


def test_not_inside_jit():
    import jax

    with pytest.raises(TypeError, match="to_onnx works with numbers that are known"):
        jax.jit(lambda params: pn.to_onnx(NET, params, (2,)))(PARAMS)
