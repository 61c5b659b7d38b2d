"""Numbers at their limits: extreme logits, probabilities of 0 and 1, subnormals.

What is right is computed with Python's own math, fractions and decimal, or is a constant with its formula beside it.
Warnings are errors in this suite, so no overflow, division by zero or invalid value goes unseen.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

import purenet as pn

EVERY = [name for name in pn.__all__ if getattr(getattr(pn, name), "__module__", "") == "purenet.layers.activations"]
GATED = ("glu", "swiglu")
ACTIVATIONS = sorted(set(EVERY) - {"activation", "prelu"})
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])

TINY = {np.float32: 2.0**-149, np.float64: 5e-324}  # the smallest subnormal numbers


def run(name, x, dy=None):
    """(y, dx) of an activation."""
    y, pullback = getattr(pn, name).vjp((), x)
    return y, pullback(np.ones_like(y) if dy is None else dy)[1]


def run_loss(loss, y, target):
    E, pullback = loss.vjp(y, target)
    return float(E), pullback()


# activations


@pytest.mark.parametrize("name", ACTIVATIONS)
@each_dtype
def test_activations_are_finite_at_every_size(name, dtype):
    sizes = [0.0, TINY[dtype], 1e-40, np.finfo(dtype).tiny, 1e-30, 1e-8, 1, 20, 88, 89, 104, 710, 746, 1e4, 1e18, 1e30]
    x = np.array([*sizes, *(-size for size in sizes)], dtype)[:, None] * np.ones(2, dtype)
    y, dx = run(name, x)
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


ONE_SIDED = {  # (value and slope at −1e4), (value and slope at 1e4)
    "tanh": ((-1, 0), (1, 0)),
    "sigmoid": ((0, 0), (1, 0)),
    "log_sigmoid": ((-1e4, 1), (0, 0)),
    "softplus": ((0, 0), (1e4, 1)),
    "relu": ((0, 0), (1e4, 1)),
    "relu6": ((0, 0), (6, 0)),
    "leaky_relu": ((-100, 0.01), (1e4, 1)),
    "elu": ((-1, 0), (1e4, 1)),
    "celu": ((-1, 0), (1e4, 1)),
    "gelu": ((0, 0), (1e4, 1)),
    "gelu_tanh": ((0, 0), (1e4, 1)),
    "silu": ((0, 0), (1e4, 1)),
    "mish": ((0, 0), (1e4, 1)),
    "hard_tanh": ((-1, 0), (1, 0)),
    "hard_sigmoid": ((0, 0), (1, 0)),
    "hard_swish": ((0, 0), (1e4, 1)),
}


@pytest.mark.parametrize("name", sorted(ONE_SIDED))
@each_dtype
def test_activations_far_out_are_their_limits(name, dtype):
    y, dx = run(name, np.array([-1e4, 1e4], dtype))
    (low, low_slope), (high, high_slope) = ONE_SIDED[name]
    np.testing.assert_allclose(y, [low, high], rtol=np.finfo(dtype).eps)
    np.testing.assert_allclose(dx, [low_slope, high_slope], rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize("name", GATED)
@each_dtype
def test_gates_far_out_are_their_limits(name, dtype):
    """The other half is 3: where the gate is shut, nothing of it passes, and where the gate is open, all of it."""
    sizes = np.array([746, 1e4, 1e18, 1e30], dtype)
    into, other = np.concatenate([sizes, -sizes])[:, None], np.full((2 * len(sizes), 1), 3, dtype)
    y, dx = run(name, np.concatenate([other, into] if name == "glu" else [into, other], axis=-1))
    is_open = into > 0
    gate = is_open if name == "glu" else np.maximum(into, 0)
    dinto = 0 * into if name == "glu" else 3 * is_open
    tight = {"rtol": np.finfo(dtype).eps, "atol": 1e-37}
    np.testing.assert_allclose(y, 3 * gate, **tight)
    np.testing.assert_allclose(dx, np.concatenate([gate, dinto] if name == "glu" else [dinto, gate], -1), **tight)


@each_dtype
def test_a_shut_gate_stays_shut_under_huge_numbers(dtype):
    huge = np.sqrt(np.finfo(dtype).max) * dtype(100)  # whose square overflows
    y, dx = run("glu", np.array([[huge, -1e4]], dtype), np.array([[huge]], dtype))
    assert (y, *dx[0]) == (0, 0, 0)


KINKS = {  # layer, and where it has a kink: the slope there, as its docstring has it
    "relu": {0: 0},
    "relu6": {0: 0, 6: 0},
    "leaky_relu": {0: 0.01},
    "elu(0.5)": {0: 0.5},
    "selu": {0: 1.0507009873554805 * 1.6732632423543772},
    "hard_tanh": {-1: 0, 1: 0},
    "hard_sigmoid": {-3: 0, 3: 0},
    "hard_swish": {-3: 0, 3: 1},
}


@pytest.mark.parametrize("name", KINKS)
@each_dtype
def test_slopes_at_kinks(name, dtype):
    layer = eval(name, vars(pn))
    y, pullback = layer.vjp((), np.array(list(KINKS[name]), dtype))
    np.testing.assert_allclose(pullback(np.ones_like(y))[1], list(KINKS[name].values()), rtol=np.finfo(dtype).eps)


@each_dtype
def test_slopes_at_the_kinks_of_prelu_and_the_losses(dtype):
    one = np.ones(1, dtype)
    params = pn.tree.cast(pn.prelu.init(pn.key(0)), dtype)
    assert pn.prelu.vjp(params, 0 * one)[1](one)[1] == 0.25  # the slope of the negative side
    assert run_loss(pn.mae, one, one)[1] == 0
    assert run_loss(pn.hinge, one, one)[1] == run_loss(pn.hinge, -one, -one)[1] == 0  # on the margin nothing is lost


@each_dtype
def test_mish_of_a_huge_number_has_slope_1(dtype):
    np.testing.assert_array_equal(run("mish", np.array([1e18, 1e30], dtype))[1], 1)


@pytest.mark.parametrize("name", ["tanh", "relu", "leaky_relu", "elu", "selu", "softsign", "silu", "gelu", "hard_tanh"])
@each_dtype
def test_subnormal_numbers_are_not_lost(name, dtype):
    """Near 0 each is slope·x; at the smallest normal number and below, to the spacing of subnormals."""
    slope = {"leaky_relu": 1, "selu": 1.0507009873554805, "silu": 0.5, "gelu": 0.5}.get(name, 1)
    x = np.array([4, 64, 2**20], dtype) * dtype(TINY[dtype])
    y, dx = run(name, x)
    np.testing.assert_allclose(y / dtype(TINY[dtype]), slope * np.array([4, 64, 2**20]), rtol=1e-6, atol=0.5)
    np.testing.assert_allclose(dx, slope, rtol=1e-6)


TAILS = {  # x and the value there, to more digits than float64 has
    "sigmoid": lambda x: x.exp() / (1 + x.exp()),
    "softplus": lambda x: (1 + x.exp()).ln(),
    "silu": lambda x: x * x.exp() / (1 + x.exp()),
    "elu": lambda x: x.exp() - 1,
    "mish": lambda x: x * (x.exp() ** 2 + 2 * x.exp()) / (x.exp() ** 2 + 2 * x.exp() + 2),
}


@pytest.mark.parametrize("name", sorted(TAILS))
@each_dtype
def test_the_lower_tail_keeps_its_relative_precision(name, dtype):
    x = np.array([-1e-4, -0.1, -1, -5, -17, -40, -80], dtype)
    with localcontext() as context:
        context.prec = 60
        truth = [float(TAILS[name](Decimal(float(v)))) for v in x]
    # a value of exp is as exact as its argument: x·eps
    np.testing.assert_allclose(run(name, x)[0], truth, rtol=4 * np.finfo(dtype).eps)


def test_gelu_keeps_its_relative_precision_in_the_lower_tail():
    """x·Φ(x), with Φ(x) = erfc(−x/√2) / 2."""
    x = np.array([-1, -3, -8, -13], np.float64)
    truth = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()]
    np.testing.assert_allclose(run("gelu", x)[0], truth, rtol=1e-13)
    np.testing.assert_allclose(run("gelu", x.astype(np.float32))[0], truth, rtol=3e-5)  # x² is known to 1e-7 of 169


@each_dtype
def test_softmax_and_log_softmax_of_extreme_logits(dtype):
    x = np.array([[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4], [-1e4, -1e4], [1e30, -1e30]], dtype)
    dy = np.array([[1, 0]] * 5, dtype)
    y, dx = run("softmax", x, dy)
    np.testing.assert_array_equal(y, [[1, 0], [0, 1], [0.5, 0.5], [0.5, 0.5], [1, 0]])
    np.testing.assert_array_equal(dx, [[0, 0], [0, 0], [0.25, -0.25], [0.25, -0.25], [0, 0]])
    y, dx = run("log_softmax", x, dy)
    half = dtype(-math.log(2))
    np.testing.assert_allclose(
        y, [[0, -2e4], [-2e4, 0], [half, half], [half, half], [0, -2 * dtype(1e30)]], rtol=4 * np.finfo(dtype).eps
    )
    np.testing.assert_allclose(dx, [[0, 0], [1, -1], [0.5, -0.5], [0.5, -0.5], [0, 0]], rtol=4 * np.finfo(dtype).eps)


# losses


@each_dtype
def test_binary_cross_entropy_of_probabilities_0_and_1(dtype):
    y, target = np.array([0, 1, 0, 1], dtype), np.array([0, 1, 1, 0], dtype)
    costs = [float(pn.binary_cross_entropy.apply(y[i : i + 1], target[i : i + 1])) for i in range(4)]
    assert costs == [0, 0, 100, 100]  # the logarithm is taken as no less than −100, as in PyTorch
    dy = pn.binary_cross_entropy(reduction="sum").vjp(y, target)[1]()
    np.testing.assert_allclose(dy, [0, 0, -1e12, 1e12], rtol=1e-6)


@each_dtype
def test_binary_cross_entropy_of_a_subnormal_probability(dtype):
    y = np.array([TINY[dtype]], dtype)
    E, dy = run_loss(pn.binary_cross_entropy, y, np.ones(1, dtype))
    assert pytest.approx(min(100, -math.log(float(y[0]))), rel=1e-6) == E
    assert dy == pytest.approx(-1e12, rel=1e-6)
    E, _ = run_loss(pn.binary_cross_entropy, y, np.zeros(1, dtype))
    assert pytest.approx(float(y[0])) == E  # −log(1 − y) = y + y²/2 + …


@each_dtype
@pytest.mark.parametrize(("y", "target"), [(1e4, 1), (1e4, 0), (-1e4, 1), (-1e4, 0), (1e4, 0.25), (-1e4, 0.25), (0, 1)])
def test_binary_cross_entropy_with_extreme_logits(y, target, dtype):
    E, dy = run_loss(pn.binary_cross_entropy_with_logits, np.array([y], dtype), np.array([target], dtype))
    right = {1e4: (1 - target) * 1e4, -1e4: target * 1e4, 0: math.log(2)}[y]
    assert pytest.approx(right, rel=1e-6) == E
    assert dy == pytest.approx({1e4: 1, -1e4: 0, 0: 0.5}[y] - target)


@each_dtype
def test_softmax_cross_entropy_of_extreme_logits(dtype):
    y = np.array([[1e4, -1e4], [1e4, -1e4], [1e4, 1e4], [-1e30, 1e30]], dtype)
    target = np.array([0, 1, 0, 1])
    costs = [float(pn.softmax_cross_entropy.apply(y[i : i + 1], target[i : i + 1])) for i in range(4)]
    np.testing.assert_allclose(costs, [0, 2e4, math.log(2), 0], rtol=1e-6)
    _, dy = run_loss(pn.softmax_cross_entropy(reduction="sum"), y, target)
    np.testing.assert_allclose(dy, [[0, 0], [1, -1], [-0.5, 0.5], [0, 0]], atol=1e-7)


def test_label_smoothing_gives_a_share_to_every_class():
    y, sure = np.array([[2.0, -1.0, 0.5]]), np.array([[0.0, 1.0, 0.0]])
    E, dy = run_loss(pn.softmax_cross_entropy(0.3), y, np.array([1]))
    right, slope = run_loss(pn.softmax_cross_entropy, y, 0.7 * sure + 0.1)
    assert pytest.approx(right, rel=1e-12) == E
    np.testing.assert_allclose(dy, slope, rtol=1e-12)


@each_dtype
def test_log_probabilities_of_minus_infinity_cost_nothing_where_the_target_is_0(dtype):
    y, target = np.array([[0, -np.inf]], dtype), np.array([[1, 0]], dtype)
    for loss, slope in ((pn.nll, -1), (pn.kl_divergence, -1), (pn.softmax_cross_entropy, 0)):  # -inf masks a logit too
        E, dy = run_loss(loss, y, target)
        assert E == 0
        np.testing.assert_array_equal(dy, [[slope, 0]])


@each_dtype
def test_distances_of_subnormal_and_large_numbers(dtype):
    tiny = dtype(TINY[dtype])
    y, zero = np.array([tiny, -tiny], dtype), np.zeros(2, dtype)
    E, dy = run_loss(pn.mae(reduction="sum"), y, zero)
    assert float(2 * tiny) == E
    np.testing.assert_array_equal(dy, [1, -1])
    _, dy = run_loss(pn.mse(reduction="sum"), y, zero)
    np.testing.assert_array_equal(dy, 2 * y)
    E, dy = run_loss(pn.huber(reduction="sum"), np.array([1e30, -1e30], dtype), zero)
    assert pytest.approx(2e30, rel=1e-6) == E
    np.testing.assert_array_equal(dy, [1, -1])


@each_dtype
def test_log_cosh_near_and_far(dtype):
    d = np.array([1e-12, 1e-3, 0.999999, 1.000001, 30, 1e30], dtype)
    exact = d.astype(np.float64)
    near = exact**2 / 2 * (1 - exact**2 / 6 + exact**4 / 22.5)
    right = [*near[:2], *np.log(np.cosh(exact[2:5])), exact[5]]
    found = [run_loss(pn.log_cosh, d[i : i + 1], np.zeros(1, dtype)) for i in range(len(d))]
    np.testing.assert_allclose([float(E) for E, _ in found], right, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose([dy[0] for _, dy in found], np.tanh(d), rtol=np.finfo(dtype).eps)


# sums of very many numbers in float32: each against the same of few, which is right to the last digit

MANY = 4_000_000
LONG = np.full(MANY, 0.1, np.float32)


LONG_LOSSES = {
    "mse": 0, "sse": 0, "mae": 0, "huber": 0, "binary_cross_entropy": 0, "binary_cross_entropy_with_logits": 0,
    "hinge": 1, "softmax_cross_entropy": 0.5, "nll": 0.5, "kl_divergence": 0.5,
    "log_cosh": 0, "quantile": 0, "poisson_nll": 0, "cosine_similarity": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("name", LONG_LOSSES)
def test_a_loss_of_many_float32_keeps_its_digits(name):
    loss, y = getattr(pn, name), np.stack([LONG, 3 * LONG], axis=1)
    target = np.full_like(y, LONG_LOSSES[name])
    few = loss.apply(y[:1].astype(np.float64), target[:1]) * (MANY if name == "sse" else 1)
    np.testing.assert_allclose(loss.apply(y, target), few, rtol=4e-6)
    if name in ("softmax_cross_entropy", "nll"):
        few = loss.apply(y[:1].astype(np.float64), np.zeros(1, int))
        np.testing.assert_allclose(loss.apply(y, np.zeros(MANY, int)), few, rtol=4e-6)


def test_penalties_and_norms_of_many_float32_keep_their_digits():
    w, square = LONG.reshape(-1, 2), float(np.float32(0.1)) ** 2
    np.testing.assert_allclose(pn.l1(1.0).add((w,), (w,))[0], 0.1 * MANY, rtol=1e-6)
    for each in (w, w.T):
        np.testing.assert_allclose(pn.l2(1.0).add((each,), (each,))[0], square * MANY, rtol=2e-6)
    clip = pn.chain(pn.clip_by_global_norm(1.0), pn.sgd(1.0))
    clipped = clip.step((np.zeros_like(w),), (w,), clip.init((w,)))[0][0]
    np.testing.assert_allclose(clipped[0, 0], -0.1 / math.sqrt(square * MANY), rtol=4e-6)


LONG_GRADIENTS = {  # layers of 2 channels, and the shape of x
    "dense": (pn.dense(2, 2), (-1, 2)),
    "conv of one cell": (pn.conv(2, 2, (1,)), (-1, 1, 2)),
    "a long sequence": (pn.conv(2, 2, (1,)), (1, -1, 2)),
    "depthwise": (pn.conv(2, 2, (1,), groups=2), (1, -1, 2)),
    "transposed": (pn.conv_transpose(2, 2, (1,)), (1, -1, 2)),
    "prelu": (pn.prelu, (-1, 2)),
    "prelu of channels": (pn.prelu(2), (-1, 2)),
    "positions": (pn.learned_positions(1, 2), (-1, 1, 2)),
    "rnn": (pn.rnn(2, 2), (-1, 1, 2)),
    "gru": (pn.gru(2, 2), (-1, 1, 2)),
    "lstm": (pn.lstm(2, 2), (-1, 1, 2)),
}


def gradients_of_ones(layer, params, x):
    y, pullback = layer.vjp(params, -x)
    return pn.tree.leaves(pullback(np.full_like(y, 0.1), False)[0])


@pytest.mark.parametrize("name", LONG_GRADIENTS)
def test_a_gradient_added_up_over_many_float32_keeps_its_digits(name):
    layer, shape = LONG_GRADIENTS[name]
    params, few = layer.init(pn.key(0)), LONG[:2].reshape(shape).astype(np.float64)
    found = gradients_of_ones(layer, params, LONG.reshape(shape))
    for a, b in zip(found, gradients_of_ones(layer, pn.tree.cast(params, np.float64), few), strict=True):
        of_many = b * (MANY / 2)
        np.testing.assert_allclose(a, of_many, rtol=2e-5, atol=1e-5 * abs(of_many).max())


def test_a_mean_over_many_float32_keeps_its_digits():
    for shape in ((1, -1, 2), (1, 2000, -1, 1)):
        np.testing.assert_allclose(pn.global_avg_pool.apply((), LONG.reshape(shape)), 0.1, rtol=1e-5)
    two = np.stack([LONG, 3 * LONG], axis=1).reshape(1, -1)
    few = two[:, :2].astype(np.float64)
    for make in (pn.layer_norm, pn.rms_norm, lambda affine: pn.group_norm(1, affine=affine)):
        layer = make(affine=False)
        np.testing.assert_allclose(layer.apply((), two)[:, :2], layer.apply((), few), rtol=2e-5)
    np.testing.assert_allclose(pn.softmax.apply((), two)[:, :2] * MANY, pn.softmax.apply((), few), rtol=2e-5)
