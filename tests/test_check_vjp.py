"""check_vjp can be trusted: each of these wrong rules is planted, and each must be caught, for the right reason."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from purenet.layers.dense import DenseParams
from purenet.testing import check_vjp

X = pn.random.normal(pn.key(1), (4, 3), np.float64)
W = pn.random.normal(pn.key(2), (3, 3), np.float64)
B = pn.random.normal(pn.key(3), (3,), np.float64)


def dense(forward=None, pullback=None, apply=None, init=None, shape=None):
    """A dense layer of 3 inputs and outputs, any of whose functions can be replaced by a faulty one."""

    def right_forward(params, x, key=None):
        return x @ params.weight + params.bias

    def right_pullback(params, x, y, dy, key=None):
        return DenseParams(x.T @ dy, dy.sum(axis=0)), dy @ params.weight.T

    forward = forward or right_forward
    pullback = pullback or right_pullback

    def vjp(params, x, key=None):
        y = forward(params, x, key)

        def pull(dy, wrt_x=True):
            dparams, dx = pullback(params, x, y, dy)
            return dparams, dx if wrt_x else None

        return y, pull

    whole = pn.dense(3, 3)
    return pn.Layer(init or whole.init, apply or forward, vjp, shape or whole.shape, "planted")


def tanh(pull=lambda y, dy: dy * (1 - y * y), wrt_x_false=lambda dx: None, forward=np.tanh):
    def vjp(params, x, key=None):
        y = forward(x)
        return y, lambda dy, wrt_x=True: ((), pull(y, dy) if wrt_x else wrt_x_false(pull(y, dy)))

    return pn.Layer(lambda key, in_shape=None: (), lambda p, x, key=None: np.tanh(x), vjp, lambda s: s, "planted")


def dropout(mask, forgets_mask=False, returns_mask=False):
    """A dropout of a half whose mask(x, key) is faulty, or whose rule is."""

    def apply(params, x, key=None):
        return x if key is None else x * mask(x, key)

    def vjp(params, x, key=None):
        m = np.ones_like(x) if key is None else mask(x, key)
        rule = (lambda dy: dy) if forgets_mask else (lambda dy: 0 * dy + m) if returns_mask else (lambda dy: dy * m)
        return x * m, lambda dy, wrt_x=True: ((), rule(dy) if wrt_x else None)

    return pn.Layer(lambda key, in_shape=None: (), apply, vjp, lambda s: s, "planted")


def right_mask(x, key):
    return 2 * pn.random.bernoulli(key, 0.5, x.shape).astype(x.dtype)


def updates_weight_first(params, x, y, dy):
    """The video's bug: the weights are updated, and then dE/dX is computed from the new ones."""
    grads = DenseParams(x.T @ dy, dy.sum(axis=0))
    weight = params.weight - 0.1 * grads.weight
    return grads, dy @ weight.T


def updates_weight_in_place(params, x, y, dy):
    grads = DenseParams(x.T @ dy, dy.sum(axis=0))
    weight = np.asarray(params.weight)
    weight -= 0.1 * grads.weight
    return grads, dy @ params.weight.T


def changes(argument):
    def pullback(params, x, y, dy):
        grads = DenseParams(x.T @ dy, dy.sum(axis=0)), dy @ params.weight.T
        {"x": x, "dy": dy}[argument][0, 0] += 1
        return grads

    return pullback


def forward_changes_x(params, x, key=None):
    y = x @ params.weight + params.bias
    x *= 2
    return y


class Accumulates:
    """Adds gradients up over calls, as the `.grad` of a framework does."""

    def __init__(self):
        self.total = 0.0

    def __call__(self, params, x, y, dy):
        self.total = self.total + x.T @ dy
        return DenseParams(self.total, dy.sum(axis=0)), dy @ params.weight.T


def writable_init(key, in_shape=None):
    return DenseParams(np.ones((3, 3), np.float32), np.zeros(3, np.float32))


def float64_init(key, in_shape=None):
    return pn.tree.cast(pn.dense(3, 3).init(key), np.float64)


def each(params, x, dy):
    """The right gradients, to be made wrong."""
    return x.T @ dy, dy.sum(axis=0), dy @ params.weight.T


def gradients(change):
    """A dense layer whose right gradients (dw, db, dx) are handed to `change`, and what it gives is returned."""

    def pullback(params, x, y, dy):
        dw, db, dx = change(params, x, dy, *each(params, x, dy))
        return DenseParams(dw, db), dx

    return dense(pullback=pullback)


def batch_norm(one_axis_back):
    """Normalizes over the batch; the faulty rule averages over one axis too many on the way back."""

    def run(x):
        centred = x - x.mean(axis=0)
        return centred / np.sqrt((centred**2).mean(axis=0) + 1e-5), np.sqrt((centred**2).mean(axis=0) + 1e-5)

    def vjp(params, x, key=None):
        y, std = run(x)
        axis = 0 if one_axis_back else None

        def pull(dy, wrt_x=True):
            return (), (dy - dy.mean(axis=axis) - y * (dy * y).mean(axis=axis)) / std if wrt_x else None

        return y, pull

    return pn.Layer(lambda key, in_shape=None: (), lambda p, x, key=None: run(x)[0], vjp, lambda s: s, "planted")


def buffer_layer(step):
    """Keeps a running mean in a buffer, which moves by `step(old, mean, dy)`."""

    def init(key, in_shape=None):
        return pn.Buffer(pn.initializers.zeros(key, (3,)))

    def vjp(params, x, key=None):
        mean = x.mean(axis=0)
        return x - params.value, lambda dy, wrt_x=True: (pn.Buffer(step(params.value, mean, dy)), dy if wrt_x else None)

    return pn.Layer(init, lambda p, x, key=None: x - p.value, vjp, lambda s: s, "planted")


PARAMS = DenseParams(W, B)
ONE_ENTRY = np.zeros((3, 3))
ONE_ENTRY[1, 0] = 1e-3
KEY = pn.key(5)
DENSE_FAULTS = {
    "dE/dW without the transpose": (gradients(lambda p, x, dy, dw, db, dx: (dw.T, db, dx)), "transposed"),
    "dE/dX without the transpose": (
        gradients(lambda p, x, dy, dw, db, dx: (dw, db, dy @ p.weight)),
        "dx is not the derivative",
    ),
    "a factor 2": (gradients(lambda p, x, dy, dw, db, dx: (2 * dw, db, dx)), "2 times the derivative everywhere"),
    "a wrong sign": (gradients(lambda p, x, dy, dw, db, dx: (dw, db, -dx)), "-1 times the derivative everywhere"),
    "divided by the batch": (gradients(lambda p, x, dy, dw, db, dx: (dw / 4, db, dx)), "0.25 times"),
    "the sum over the wrong axis": (
        gradients(lambda p, x, dy, dw, db, dx: (dw, dy.sum(axis=1)[:3], dx)),
        "dparams.bias is not the derivative",
    ),
    "the mean in place of the sum": (gradients(lambda p, x, dy, dw, db, dx: (dw, dy.mean(axis=0), dx)), "0.25 times"),
    "one entry wrong": (
        gradients(lambda p, x, dy, dw, db, dx: (dw * (1 + ONE_ENTRY.astype(dw.dtype)), db, dx)),
        r"in 1 of 9 entries; worst at dparams.weight\[1, 0\]",
    ),
    "a missing gradient": (gradients(lambda p, x, dy, dw, db, dx: (0 * dw, db, dx)), "0 everywhere: is this gradient"),
    "an added constant": (gradients(lambda p, x, dy, dw, db, dx: (dw, db + 0.01, dx)), "dparams.bias is not linear"),
    "a missing leaf": (gradients(lambda p, x, dy, dw, db, dx: (dw, None, dx)), "dparams.bias"),
    "a wrong container": (dense(pullback=lambda p, x, y, dy: ((x.T @ dy, dy.sum(axis=0)), dy)), "a tuple of 2"),
    "a wrong shape": (gradients(lambda p, x, dy, dw, db, dx: (dw, db[None], dx)), r"\(3,\) against \(1, 3\)"),
    "a wrong dtype": (
        gradients(lambda p, x, dy, dw, db, dx: (dw.astype(np.float64), db, dx)),
        "dparams.weight is float64 for float32",
    ),
    "a forward that widens the dtype": (
        dense(forward=lambda p, x, key=None: (x @ p.weight + p.bias) * np.float64(1)),
        "y is float64 for float32",
    ),
    "dE/dX from weights already updated": (dense(pullback=updates_weight_first), "dx is not the derivative|not linear"),
    "weights updated in place": (dense(pullback=updates_weight_in_place), "changes params.weight"),
    "x changed by the pullback": (dense(pullback=changes("x")), "pullback changes x"),
    "dE/dY changed by the pullback": (dense(pullback=changes("dy")), "pullback changes dE/dY"),
    "x changed by the forward pass": (dense(forward=forward_changes_x), "forward pass changes x"),
    "gradients that accumulate": (dense(pullback=Accumulates()), "other bits when it is called again"),
    "a forward that differs from apply": (
        dense(apply=lambda p, x, key=None: x @ p.weight),
        "the y of vjp is not, bit for bit, the y of apply",
    ),
    "a forward that differs in the last bit": (
        dense(apply=lambda p, x, key=None: (x.astype(np.float64) @ p.weight + p.bias).astype(x.dtype) * (1 + 2e-7)),
        "bit for bit|is float64",
    ),
    "params that can be written to": (dense(init=writable_init), "writable"),
    "params that are not float32": (dense(init=float64_init), "float32 unless asked"),
    "a shape that is not y's": (dense(shape=lambda s: (4,)), "shape"),
    "a pullback that returns one thing": (
        pn.Layer(pn.dense(3, 3).init, lambda p, x, key=None: x, lambda p, x, key=None: (x, lambda dy, wrt_x=True: dy),
                 lambda s: s, "planted"),
        "must return",
    ),
}  # fmt: skip
OTHER_FAULTS = {
    "a forgotten dE/dY": (tanh(lambda y, dy: 1 - y * y), (), None, "not linear"),
    "a forgotten square": (tanh(lambda y, dy: dy * (1 - y)), (), None, "dx is not the derivative"),
    "dE/dX despite wrt_x=False": (tanh(wrt_x_false=lambda dx: dx), (), None, "None must stand for dx"),
    "a forgotten mask": (dropout(right_mask, forgets_mask=True), (), KEY, "dx is not the derivative"),
    "the mask in place of dE/dX": (dropout(right_mask, returns_mask=True), (), KEY, "not linear"),
    "randomness that ignores the key": (
        dropout(lambda x, key: np.random.default_rng().integers(0, 2, x.shape).astype(x.dtype)),
        (),
        KEY,
        "apply gives other bits",
    ),
    "randomness from the global generator": (
        dropout(lambda x, key: np.random.randint(0, 2, x.shape).astype(x.dtype)),  # noqa: NPY002
        (),
        KEY,
        "global random generator",
    ),
    "batch norm's average over one axis too many": (batch_norm(False), (), None, "dx is not the derivative"),
    "a gradient in a buffer's place": (
        buffer_layer(lambda old, mean, dy: dy.sum(axis=0)),
        pn.Buffer(B),
        None,
        "depends on dE/dY",
    ),
    "the buffer in place of its step": (
        buffer_layer(lambda old, mean, dy: old),
        pn.Buffer(B),
        None,
        "is the buffer itself",
    ),
}


@pytest.mark.parametrize("fault", DENSE_FAULTS)
def test_planted_fault_in_dense_is_caught(fault):
    layer, message = DENSE_FAULTS[fault]
    with pytest.raises(AssertionError, match=message):
        check_vjp(layer, PARAMS, X)


@pytest.mark.parametrize("fault", OTHER_FAULTS)
def test_planted_fault_is_caught(fault):
    layer, params, key, message = OTHER_FAULTS[fault]
    with pytest.raises(AssertionError, match=message):
        check_vjp(layer, params, X, key)


def test_the_same_layers_without_a_fault_pass():
    check_vjp(dense(), PARAMS, X)
    check_vjp(tanh(), (), X)
    check_vjp(dropout(right_mask), (), X)
    check_vjp(dropout(right_mask), (), X, KEY)
    check_vjp(batch_norm(True), (), X)
    check_vjp(buffer_layer(lambda old, mean, dy: 0.1 * (old - mean)), pn.Buffer(B), X)


LOSS_FAULTS = {
    "a factor": (lambda y, t, dE: (y - t) * dE, "0.5 times"),
    "swapped arguments": (lambda y, t, dE: 2 * (t - y) * dE, "-1 times"),
    "a mean too many": (lambda y, t, dE: 2 * (y - t) * dE / y.size, "times the derivative everywhere"),
    "dE ignored": (lambda y, t, dE: 2 * (y - t), "not linear"),
    "a wrong dtype": (lambda y, t, dE: 2.0 * np.asarray(y - t, np.float64) * dE, "dy is float64"),
    "y changed": (lambda y, t, dE: np.multiply(2 * dE, np.subtract(y, t), out=y), "changes y"),
}


@pytest.mark.parametrize("fault", LOSS_FAULTS)
def test_planted_fault_in_a_loss_is_caught(fault):
    rule, message = LOSS_FAULTS[fault]

    def apply(y, target):
        return np.sum((y - target) ** 2)

    loss = pn.Loss(apply, lambda y, t: (apply(y, t), lambda dE=1.0: rule(y, t, dE)), "planted")
    with pytest.raises(AssertionError, match=message):
        check_vjp(loss, X, X + B)


ONES, ZEROS = np.ones((4, 3)), np.zeros((4, 3))
HIDDEN = {  # a factor that is forgotten, and a point where it does not show: what is told to be moved aside
    "a weight of ones": (lambda w, x, dy: (dy * x, dy), ONES, X, "does with params a little"),
    "a weight of zeros": (lambda w, x, dy: (dy * x, dy * 2 * w), ZEROS, X, "does with params, x"),
    "signs": (lambda w, x, dy: (dy * x, dy / w), np.sign(X), X, "does with params a little"),
    "an x of ones": (lambda w, x, dy: (dy, dy * w), X, ONES, "does with x a little"),
    "all of ones": (lambda w, x, dy: (dy, dy), ONES, ONES, "does with params, x a little"),
    "more than 64 zeros": (
        lambda w, x, dy: (dy * x, 3 * dy * w),
        np.zeros((9, 9)),
        np.ones((9, 9)),
        "does with params, x",
    ),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_a_factor_that_the_point_hides_is_seen_aside(case):
    rule, w, x, message = HIDDEN[case]

    def of(rule):
        def vjp(params, x, key=None):
            def pull(dy, wrt_x=True):
                dw, dx = rule(params, x, dy)
                return dw, dx if wrt_x else None

            return params * x, pull

        def init(key, in_shape=None):
            return pn.initializers.ones(key, w.shape)

        return pn.Layer(init, lambda params, x, key=None: params * x, vjp, lambda shape: shape, "planted")

    check_vjp(of(lambda w, x, dy: (dy * x, dy * w)), w, x)
    with pytest.raises(AssertionError, match=rf"is not the derivative.* At the point given.*it {message}"):
        check_vjp(of(rule), w, x)
    check_vjp(of(rule), w, x, differences=False)


def in_place(x):
    return np.tanh(x, out=x)


IN_PLACE = {  # functions of a user that write into what they are given
    "f": (pn.activation(in_place, lambda x: 1 - np.tanh(x) ** 2), (), "its forward pass changes x$"),
    "df": (pn.activation(np.tanh, lambda x: 1 - in_place(x) ** 2), (), "its pullback changes x$"),
    "f of a loss": (pn.loss(lambda y, t: in_place(y).sum(), lambda y, t: 1 - np.tanh(y) ** 2), +X, "pass changes y$"),
    "df of a loss": (
        pn.loss(lambda y, t: (y - t).sum(), lambda y, t: np.add(t, 1, out=t) * 0 + 1),
        X,
        "changes target$",
    ),
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_functions_that_write_into_what_they_are_given(case):
    value, first, message = IN_PLACE[case]
    with pytest.raises(AssertionError, match=message):
        check_vjp(value, first, X + 1)


@pytest.mark.parametrize("y", [X, ZEROS, ONES], ids=["any", "zeros", "ones"])
def test_a_factor_in_a_loss_is_seen_at_the_target_too(y):
    check_vjp(pn.mse, y, y)
    wrong = pn.loss(lambda y, t: ((y - t) ** 2).mean(), lambda y, t: (y - t) / y.size, "wrong")
    with pytest.raises(AssertionError, match=r"0\.5 times.* does with y a little aside$"):
        check_vjp(wrong, y, y)


@pytest.mark.parametrize("fault", [ValueError, KeyError, IndexError, RuntimeError, RuntimeWarning])
def test_any_error_aside_means_that_it_is_not_defined_there(fault):
    def small(x):
        if x.max() > 1e-2:
            raise fault("only what is small")
        return x * 1.0

    check_vjp(pn.activation(small, np.ones_like, name="small"), (), ZEROS)


@pytest.mark.filterwarnings("error")
def test_at_the_edge_of_where_it_is_defined_no_factor_is_blamed():
    check_vjp(pn.activation(lambda x: (1.01 - x) ** 1.5, lambda x: -1.5 * (1.01 - x) ** 0.5), (), ONES)
    edge = pn.activation(lambda x: (x - 1) ** 1.5, lambda x: 1.5 * (x - 1) ** 0.5)
    with pytest.raises(AssertionError, match=r"differences nan \(a step of 6e-06 away apply is not defined: move x"):
        check_vjp(edge, (), ONES)
    below = pn.activation(lambda x: np.sqrt(x - 1 + 1e-3), lambda x: 0.5 / np.sqrt(x - 1 + 1e-3))
    check_vjp(below, (), ONES)  # a little aside it is NaN


@pytest.mark.parametrize("n", [3, 30])
@pytest.mark.parametrize("eps", [None, 1e-5, 1e-8, 1e-12])
@pytest.mark.parametrize("layer", [pn.rms_norm, pn.layer_norm])
def test_a_norm_bends_within_a_step_of_0(layer, eps, n):
    net = layer(4) if eps is None else layer(4, eps=eps)
    x = np.zeros((n, 4))
    check_vjp(net, net.init(pn.key(0), (4,)), x)
    x[1:] = pn.random.normal(pn.key(1), (n - 1, 4))
    check_vjp(layer(4, eps=eps or 1e-5), net.init(pn.key(0), (4,)), x)


def test_a_wrong_rule_where_apply_bends_is_seen_and_said_to_be_so():
    def root(x):
        return x / np.sqrt(x * x + 1e-14)

    def slope(x):
        return 1e-14 / (x * x + 1e-14) ** 1.5

    check_vjp(pn.activation(root, slope), (), ZEROS)
    for factor in (0, 2, 1.001):
        wrong = pn.activation(root, lambda x, factor=factor: factor * slope(x))
        with pytest.raises(
            AssertionError, match=r"differences \S+ \(but \S+ by a step of 6e-07: apply bends close to x"
        ):
            check_vjp(wrong, (), ZEROS)


def test_a_slope_that_is_rounded_off_does_not_hide_a_missing_gradient():
    missing = pn.activation(lambda x: (x + 1e6) - 1e6, np.zeros_like)  # a tiny step changes nothing
    with pytest.raises(AssertionError, match="dx is not the derivative"):
        check_vjp(missing, (), ZEROS)


def test_where_a_layer_is_not_finite_aside_only_the_point_counts():
    near = pn.activation(lambda x: x * 1.0 if x.max() < 1e-2 else x / 0.0, np.ones_like, name="near")
    with np.errstate(divide="ignore"):
        check_vjp(near, (), ZEROS)


def test_a_large_leaf_is_checked_in_random_directions_and_the_wrong_entry_is_named():
    def vjp(params, x, key=None):
        def pull(dy, wrt_x=True):
            dx = 2 * x * dy
            dx[0, 0] *= 3
            return (), dx if wrt_x else None

        return x * x, pull

    layer = pn.Layer(lambda key, in_shape=None: (), lambda p, x, key=None: x * x, vjp, lambda s: s, "planted")
    with pytest.raises(AssertionError, match=r"in 1 of \d+ entries; worst at dx\[0, 0\]"):
        check_vjp(layer, (), pn.random.normal(pn.key(0), (20, 30), np.float64))


def test_a_kink_is_named():
    with pytest.raises(AssertionError, match="a kink"):
        check_vjp(pn.relu, (), np.array([[0.0, 1.0]]))


@pytest.mark.parametrize("x", [1e-7, -1e-7, 3e-6, -3e-6, 1e-4])
def test_a_kink_close_by_is_no_fault(x):
    check_vjp(pn.relu, (), np.array([[x, 1.0]]))
    check_vjp(
        pn.serial(pn.dense(1, 2), pn.relu), (DenseParams(np.ones((1, 2)), np.array([x, -x])), ()), np.zeros((1, 1))
    )


def of_x(f, rule):
    """The layer without params of a function and a rule of x."""

    def vjp(params, x, key=None):
        return f(x), lambda dy, wrt_x=True: ((), rule(x, dy) if wrt_x else None)

    return pn.Layer(lambda key, in_shape=None: (), lambda p, x, key=None: f(x), vjp, lambda s: s, "planted")


def in_float32(x, factor):
    return x.dtype.type(factor if x.dtype == np.float32 else 1)


def root(x):
    return np.sqrt(x * x + np.asarray(1e-50, x.dtype))  # which float32 takes for 0


def draws_in_its_dtype(x):
    return 1 + pn.random.uniform(KEY, x.shape, dtype=x.dtype)


def square(factor):
    """x², whose derivative 2x is that times factor(x)."""
    return of_x(np.square, lambda x, dy: 2 * x * dy * factor(x))


def half(x):
    """1, or what is left of it where x went through half precision."""
    return (x.astype(np.float16) / x).astype(x.dtype) if x.dtype == np.float32 else 1


NOT_AS_IN_64 = "dx in float32 is not what it is in float64"
FLOAT32_FAULTS = {
    "a factor": (square(lambda x: in_float32(x, 0.95)), f"{NOT_AS_IN_64}, in 12 of 12 entries; worst at dx"),
    "a small factor": (square(lambda x: in_float32(x, 1 + 1e-4)), NOT_AS_IN_64),
    "one entry": (
        square(lambda x: np.where(x == x[1, 2], in_float32(x, 2), 1)),
        rf"{NOT_AS_IN_64}.* 1 of 12.*dx\[1, 2\]",
    ),
    "half precision on the way": (square(half), NOT_AS_IN_64),
    "a parameter's gradient": (
        gradients(lambda p, x, dy, dw, db, dx: (dw * in_float32(dw, 1.9), db, dx)),
        r"dparams\.weight in float32 is not what it is in float64",
    ),
    "y is another, and the rule is not": (
        of_x(lambda x: x * x * in_float32(x, 0.95), lambda x, dy: 2 * x * dy),
        "not the derivative",
    ),
    "y draws in its dtype, and a factor": (
        of_x(lambda x: x * draws_in_its_dtype(x), lambda x, dy: dy * draws_in_its_dtype(x) * in_float32(x, 0.95)),
        r"not the derivative of apply.*0\.95 times",
    ),
}


@pytest.mark.parametrize("fault", FLOAT32_FAULTS)
def test_fault_in_float32_alone_is_caught(fault):
    layer, message = FLOAT32_FAULTS[fault]
    with pytest.raises(AssertionError, match=message):
        check_vjp(layer, PARAMS if "param" in fault else (), X)


def test_what_differs_in_float32_by_right_is_no_fault():
    check_vjp(of_x(lambda x: x * draws_in_its_dtype(x), lambda x, dy: dy * draws_in_its_dtype(x)), (), X)
    check_vjp(pn.layer_norm(4), pn.layer_norm(4).init(KEY), 1000 + pn.random.normal(KEY, (3, 4), np.float64))
    check_vjp(pn.softmax_cross_entropy, np.array([[20.0, 0.0, 0.0]]), np.array([0]))  # Y − T, of 1 − 4e-9 and 1
    check_vjp(pn.tanh, (), np.full((2, 2), 9.0))


def test_a_fault_in_float32_of_a_loss_is_caught():
    def vjp(y, target):
        return np.mean((y - target) ** 2), lambda dE=1.0: 2 * (y - target) * (dE * in_float32(y, 0.95) / y.size)

    loss = pn.Loss(lambda y, target: vjp(y, target)[0], vjp, "planted")
    with pytest.raises(
        AssertionError, match="planted: dy in float32 is not what it is in float64, in 12 of 12 entries"
    ):
        check_vjp(loss, X, X + B)


def test_nan_is_told_with_its_place_and_its_dtype():
    zero = np.array([[0.0, 1.0]])
    with np.errstate(all="ignore"):
        with pytest.raises(
            AssertionError, match=r"planted: dx\[0, 0\] is nan in float32 alone; 1 of 2 entries are not fin"
        ):
            check_vjp(of_x(root, lambda x, dy: dy * x / root(x)), (), zero)
        with pytest.raises(AssertionError, match=r"planted: dx\[0, 0\] is nan; 1 of 2 entries are not finite"):
            check_vjp(of_x(np.abs, lambda x, dy: dy * x / np.abs(x)), (), zero)
        with pytest.raises(AssertionError, match=r"planted: y\[0, 0\] is -inf; 1 of 2 entries are not finite"):
            check_vjp(of_x(np.log, lambda x, dy: dy / x), (), zero)


def test_a_function_of_tiny_values_is_checked_as_well():
    tiny = of_x(lambda x: x * x * x.dtype.type(1e-10), lambda x, dy: x * dy * x.dtype.type(1e-10))
    with pytest.raises(AssertionError, match=r"0\.5 times the derivative everywhere"):
        check_vjp(tiny, (), X)


def test_a_loss_that_leaks_float64_forward_alone():
    def vjp(y, target):
        d = y - target
        return np.mean(d.astype(np.float64) ** 2), lambda dE=1.0: 2 * d * (dE / d.size)

    with pytest.raises(AssertionError, match="leaks: E is float64 for float32 arguments"):
        check_vjp(pn.Loss(lambda y, target: vjp(y, target)[0], vjp, "leaks"), X, X + B)


def test_integers_and_booleans_beside_x_are_handed_on():
    for rest in (np.ones((4, 2), bool), np.array([3, 1, 2, 0])):
        check_vjp(pn.on_first(dense()), PARAMS, (X, rest))


def test_a_loss_that_is_not_one_number():
    loss = pn.Loss(lambda y, t: (y - t) ** 2, lambda y, t: ((y - t) ** 2, lambda dE=1.0: 2 * dE * (y - t)), "vector")
    with pytest.raises(AssertionError, match=r"vector: a loss is one number, not a float64 array of shape \(4, 3\)"):
        check_vjp(loss, X, X + B)


def test_a_function_that_lacks_an_argument_is_told_how_it_is_called():
    lacks_wrt_x = pn.tanh._replace(vjp=lambda p, x, key=None: (np.tanh(x), lambda dy: ((), dy)))
    with pytest.raises(TypeError, match=r"(?s)wrt_x.*check_vjp calls apply\(params, x, key\)"):
        check_vjp(lacks_wrt_x, (), X)


def test_what_is_neither_layer_nor_loss():
    with pytest.raises(TypeError, match="takes a layer or a loss, not an ufunc"):
        check_vjp(np.tanh, (), X)
