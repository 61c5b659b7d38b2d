"""Convolution, pooling and resizing: shapes, errors, ties, PyTorch's results as recorded."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from purenet.testing import check_vjp


def normal(*shape, seed=0):
    return pn.random.normal(pn.key(seed), shape, np.float64)


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize(("kernel", "padding"), [((3, 2), 0), ((2, 3), ((0, 2), (1, 0))), ((1, 3), 1), ((3, 1), 1)])
@pytest.mark.parametrize("channels", [1, 24])
def test_the_gradient_of_x_is_the_adjoint_of_the_convolution(channels, kernel, padding, stride):
    layer = pn.conv(channels, 3, kernel, stride=stride, padding=padding, bias=False)
    params, x = pn.tree.cast(layer.init(pn.key(0)), np.float64), normal(2, 6, 7, channels)
    y, pullback = layer.vjp(params, x)
    dy, dx = normal(*y.shape, seed=1), normal(*x.shape, seed=2)
    np.testing.assert_allclose(np.sum(pullback(dy)[1] * dx), np.sum(dy * layer.apply(params, dx)), rtol=1e-11)


@pytest.mark.parametrize(("ins", "outs", "groups"), [(2, 6, 2), (4, 6, 2), (6, 6, 6), (3, 6, 3), (6, 4, 2)])
def test_a_grouped_convolution_is_convolutions_side_by_side(ins, outs, groups):
    layer = pn.conv(ins, outs, (2, 3), stride=(1, 2), groups=groups)
    params, x = pn.tree.cast(layer.init(pn.key(0)), np.float64), normal(2, 4, 6, ins)
    one = pn.conv(ins // groups, outs // groups, (2, 3), stride=(1, 2))
    weights, biases = np.split(params.weight, groups, axis=-1), np.split(params.bias, groups)
    each = [
        one.apply(params._replace(weight=w, bias=b), part)
        for w, b, part in zip(weights, biases, np.split(x, groups, axis=-1), strict=True)
    ]
    np.testing.assert_allclose(layer.apply(params, x), np.concatenate(each, axis=-1), rtol=1e-12)


def test_a_convolution_over_everything_is_dense():
    layer, dense = pn.conv(2, 3, (4, 5)), pn.dense(40, 3)
    params, x = pn.tree.cast(layer.init(pn.key(0)), np.float64), normal(6, 4, 5, 2)
    y = dense.apply(
        pn.tree.cast(dense.init(pn.key(0)), np.float64)._replace(weight=params.weight.reshape(40, 3)), x.reshape(6, 40)
    )
    np.testing.assert_allclose(layer.apply(params, x), y.reshape(6, 1, 1, 3), rtol=1e-12)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation"),
    [(1, 0, 1), (2, 1, 1), ((3, 2), ((0, 2), (1, 0)), (1, 2)), ((3, 2), "same", (2, 1)), (1, "same", (1, 3))],
)
def test_conv_transpose_is_the_adjoint_of_conv(stride, padding, dilation):
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩, with the kernel's channels exchanged."""
    down = pn.conv(2, 3, (3, 2), stride=stride, padding=padding, dilation=dilation, bias=False)
    x, weight = normal(2, 9, 8, 2), normal(3, 2, 2, 3, seed=1)
    low = down.apply(pn.tree.cast(down.init(pn.key(0)), np.float64)._replace(weight=weight), x)
    y = normal(*low.shape, seed=2)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    plain = pn.conv_transpose(3, 2, (3, 2), **options).shape(y.shape[1:])
    added = tuple(n - m for n, m in zip(x.shape[1:3], plain[:2], strict=True))  # none, of an x that "same" fits
    up = pn.conv_transpose(3, 2, (3, 2), **options, output_padding=added, bias=False)
    params = up.init(pn.key(0))._replace(weight=np.swapaxes(weight, -1, -2))
    np.testing.assert_allclose(np.sum(low * y), np.sum(x * up.apply(params, y)), rtol=1e-12)


SHAPES = [
    (pn.conv(1, 6, 5, padding=2), (28, 28, 1), (28, 28, 6)),
    (pn.conv(16, 5), (14, 14, 6), (10, 10, 16)),
    (pn.conv(4, 3, stride=2, padding="same"), (7, 8, 1), (4, 4, 4)),
    (pn.conv(4, 3, stride=(1, 2), dilation=2), (7, 8, 1), (3, 2, 4)),
    (pn.conv(4, (3,), padding=((0, 2),)), (7, 1), (7, 4)),
    (pn.conv(4, (1, 2, 3)), (4, 4, 4, 1), (4, 3, 2, 4)),
    (pn.conv_transpose(4, 2, stride=2), (7, 8, 1), (14, 16, 4)),
    (pn.conv_transpose(4, 3, stride=2, padding="same"), (7, 8, 1), (14, 16, 4)),
    (pn.conv_transpose(4, 3, stride=2, padding=1, output_padding=1), (7, 8, 1), (14, 16, 4)),
    (pn.max_pool(2), (7, 8, 3), (3, 4, 3)),
    (pn.max_pool(3, stride=2, padding="same"), (7, 8, 3), (4, 4, 3)),
    (pn.avg_pool((3,), stride=1, padding=1), (7, 3), (7, 3)),
    (pn.avg_pool(2, stride=3), (7, 8, 3), (2, 3, 3)),
    (pn.global_avg_pool, (7, 8, 3), (3,)),
    (pn.global_max_pool, (7, 3), (3,)),
    (pn.upsample(2), (7, 8, 3), (14, 16, 3)),
    (pn.upsample((1, 3), "bilinear"), (7, 8, 3), (7, 24, 3)),
    (pn.pad((1, (0, 2))), (7, 8, 3), (9, 10, 3)),
]


@pytest.mark.parametrize(("layer", "in_shape", "out_shape"), SHAPES, ids=lambda value: str(value))
def test_shapes(layer, in_shape, out_shape):
    assert layer.shape(in_shape) == out_shape
    assert layer.shape(None) is None
    assert layer.apply(layer.init(pn.key(0), in_shape), np.ones((2, *in_shape), np.float32)).shape == (2, *out_shape)


def test_weights_of_convolutions():
    assert pn.conv(4, 6, (3, 2), groups=2).init(pn.key(0)).weight.shape == (3, 2, 2, 6)
    assert pn.conv(6, 3).init(pn.key(0), (8, 8, 4)).weight.shape == (3, 3, 4, 6)
    assert pn.conv_transpose(4, 6, (3, 2), groups=2).init(pn.key(0)).weight.shape == (3, 2, 2, 6)
    bias_of = lambda layer: layer.init(pn.key(0)).bias  # noqa: E731
    assert bias_of(pn.conv(4, 6, 3)).shape == (6,)
    assert bias_of(pn.conv(4, 6, 3, bias=False)) is None


def test_serial_infers_channels_and_features():
    net = pn.serial(pn.conv(6, 5, padding=2), pn.relu, pn.max_pool(2), pn.conv(16, 5), pn.flatten, pn.dense(10))
    params = net.init(pn.key(0), (28, 28, 1))
    assert [params[i].weight.shape for i in (0, 3, 5)] == [(5, 5, 1, 6), (5, 5, 6, 16), (1600, 10)]


# Ties


def test_max_pool_sends_the_gradient_of_a_tie_to_the_first_in_row_major_order():
    x = np.array([[0.0, 5, 0], [5, 0, 5], [5, 5, 5]])[None, ..., None]
    y, pullback = pn.max_pool(3).vjp((), x)
    np.testing.assert_array_equal(pullback(np.ones_like(y))[1][0, ..., 0], [[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    y, pullback = pn.max_pool(2, stride=1).vjp((), x)
    np.testing.assert_array_equal(pullback(np.ones_like(y))[1][0, ..., 0], [[0, 2, 0], [1, 0, 1], [0, 0, 0]])
    y, pullback = pn.global_max_pool.vjp((), x)
    np.testing.assert_array_equal(pullback(np.ones_like(y))[1][0, ..., 0], [[0, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_padded_cells_are_never_a_maximum():
    x = np.full((1, 2, 2, 1), -7.0)
    y, pullback = pn.max_pool(2, padding=1).vjp((), x)
    np.testing.assert_array_equal(y, np.full((1, 2, 2, 1), -7.0))
    np.testing.assert_array_equal(pullback(y)[1], x)


def test_avg_pool_counts_padded_cells_unless_they_are_those_of_same():
    ones = np.ones((1, 3, 1))
    y = pn.avg_pool((3,), stride=1, padding=1).apply((), ones)
    np.testing.assert_allclose(y.ravel(), [2 / 3, 1, 2 / 3])
    y, pullback = pn.avg_pool((2,), padding="same").vjp((), ones)
    np.testing.assert_array_equal(y.ravel(), [1, 1])
    np.testing.assert_array_equal(pullback(y)[1].ravel(), [0.5, 0.5, 1])
    np.testing.assert_array_equal(pn.avg_pool(3, stride=1, padding="same").apply((), np.ones((1, 4, 2, 1))), 1)


@pytest.mark.parametrize(("n", "m"), [(2, 5), (5, 2), (3, 7), (4, 8), (4, 1), (1, 3)])
def test_an_image_of_any_size_holds_what_lies_at_the_centres_of_its_cells(n, m):
    x = normal(1, n, 1)
    at = (np.arange(m) + 0.5) * n / m - 0.5
    between = pn.upsample(size=(m,), method="bilinear").apply((), x)
    np.testing.assert_allclose(between.ravel(), np.interp(at, np.arange(n), x.ravel()), rtol=1e-12)
    nearest = pn.upsample(size=(m,)).apply((), x)
    np.testing.assert_array_equal(nearest.ravel(), x.ravel()[np.arange(m) * n // m])


def test_empty_batches():
    for layer in (pn.conv(2, 3, 2), pn.conv_transpose(2, 3, 2, stride=2), pn.max_pool(2), pn.upsample(2), pn.pad(1)):
        y, pullback = layer.vjp(layer.init(pn.key(0)), np.zeros((0, 4, 4, 2), np.float32))
        dparams, dx = pullback(y)
        assert dx.shape == (0, 4, 4, 2)
        assert all(np.all(leaf == 0) for leaf in pn.tree.leaves(dparams))


def test_large_images_in_blocks_of_rows():
    layer = pn.conv(3, 8, 3, padding="same")
    x = normal(2, 100, 90, 3)
    params = pn.tree.cast(layer.init(pn.key(0)), np.float64)
    whole = layer.apply(params, x)
    np.testing.assert_allclose(whole[:, 1:50, 1:-1], layer.apply(params, x[:, :51])[:, 1:50, 1:-1], rtol=1e-12)


def test_the_checker_catches_a_kernel_that_is_not_flipped():
    layer = pn.conv(2, 3, 2)

    def wrong(params, x, key=None):
        y, pullback = layer.vjp(params, x)
        _, pull = layer.vjp(params._replace(weight=params.weight[::-1]), x)
        return y, lambda dy, wrt_x=True: (pullback(dy)[0], pull(dy)[1] if wrt_x else None)

    with pytest.raises(AssertionError, match="dx is not the derivative"):
        check_vjp(layer._replace(vjp=wrong), layer.init(pn.key(0)), normal(2, 3, 4, 2))


# Errors say what was given, with numbers, and what to do.

MADE = [
    (lambda: pn.conv(3), TypeError, r"takes \(in, out, kernel\) or \(out, kernel\), not 1 sizes"),
    (lambda: pn.conv(1, 2, 3, 4), TypeError, "not 4 sizes"),
    (lambda: pn.conv(0, 2, 3), ValueError, "positive integers, not 0"),
    (lambda: pn.conv(2, 2, 3.5), ValueError, "kernel .* not 3.5"),
    (lambda: pn.conv(2, 2, (1, 2, 3, 4)), ValueError, "kernel .* tuple of one to three"),
    (lambda: pn.conv(3, 4, 3, groups=2), ValueError, "cannot divide 3 and 4 channels into 2 groups"),
    (lambda: pn.conv(5, 3, groups=2), ValueError, "cannot divide 5 channels into 2 groups"),
    (lambda: pn.conv(2, 2, 3, stride=0), ValueError, "stride .* at least 1.* not 0"),
    (lambda: pn.conv(2, 2, 3, stride=(1, 2, 3)), ValueError, r"stride .* tuple of 2, not \(1, 2, 3\)"),
    (lambda: pn.conv(2, 2, 3, dilation=True), ValueError, "dilation"),
    (lambda: pn.conv(2, 2, 3, padding="full"), ValueError, '"valid", "same"'),
    (lambda: pn.conv(2, 2, 3, padding=-1), ValueError, "an int of at least 0"),
    (lambda: pn.conv(2, 2, (3,), padding=(1, 2)), ValueError, "a tuple of 1, each an int or a pair"),
    (lambda: pn.conv_transpose(2, 2, 3, output_padding=1), ValueError, "must be less than the stride"),
    (lambda: pn.conv_transpose(2, 2, 3, stride=2, padding="same", output_padding=1), ValueError, "no output_padding"),
    (lambda: pn.max_pool(0), ValueError, "window .* not 0"),
    (lambda: pn.max_pool(2, padding=2), ValueError, r"padding .* must be less than the window \(2, 2\)"),
    (lambda: pn.avg_pool(2, stride=(1,)), ValueError, "stride"),
    (lambda: pn.max_pool(2, dilation=0), ValueError, "dilation .* at least 1.* not 0"),
    (lambda: pn.max_pool(2, dilation=(1, 2, 3)), ValueError, r"dilation .* tuple of 2, not \(1, 2, 3\)"),
    (lambda: pn.max_pool((2,), padding=4, dilation=3), ValueError, r"window \(2,\), \(4,\) with its dilation$"),
    (lambda: pn.max_pool(2, ceil_mode=2), TypeError, "takes ceil_mode as True or False, not 2"),
    (lambda: pn.avg_pool(2, ceil_mode="no"), TypeError, "takes ceil_mode as True or False, not 'no'"),
    (lambda: pn.avg_pool(2, count_include_pad=2), TypeError, "count_include_pad as True, False or None, not 2"),
    (lambda: pn.avg_pool(2, dilation=2), TypeError, "avg_pool has no option dilation: it has window, stride"),
    (lambda: pn.adaptive_avg_pool(0), ValueError, r"adaptive_avg_pool\(0\) takes a size .* at least 1.* not 0"),
    (
        lambda: pn.adaptive_max_pool((2, 0)),
        ValueError,
        r"takes a size .* a tuple of 2 of such or of None, .* not \(2, 0\)",
    ),
    (lambda: pn.adaptive_max_pool(None), ValueError, r"takes a size that is an int of at least 1, .*, not None"),
    (lambda: pn.adaptive_avg_pool((2.0, None)), ValueError, r"of None, which keeps the axis, not \(2.0, None\)"),
    (lambda: pn.upsample(0), ValueError, "scale"),
    (lambda: pn.upsample(2.0), ValueError, "scale"),
    (lambda: pn.upsample(2, "bicubic"), ValueError, "bicubic"),
    (lambda: pn.pad("same"), ValueError, "'same'"),
    (lambda: pn.pad((1, -1)), ValueError, "at least 0"),
]


@pytest.mark.parametrize(("make", "kind", "message"), MADE, ids=[message for *_, message in MADE])
def test_errors_at_construction(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


SHAPED = [
    (
        pn.conv(1, 2, 5),
        (4, 9, 1),
        r"\(5, 5\) does not fit into an input of \(4, 9\), which is \(4, 9\) with its padding",
    ),
    (
        pn.conv(1, 2, 3, dilation=3, padding=1),
        (4, 9, 1),
        r"\(7, 7\) with its dilation, .* is \(6, 11\) with its padding",
    ),
    (
        pn.conv(3, 2, 2),
        (4, 4, 1),
        r"x of shape \(batch, height, width, 3\), but its input has shape \(batch, 4, 4, 1\)",
    ),
    (pn.conv(2, 2, groups=2), (4, 4, 3), "a multiple of 2 channels, not 3"),
    (pn.conv(3, 2, 2), (4, 3), r"\(batch, height, width, 3\), but its input has shape \(batch, 4, 3\)$"),
    (pn.conv(3, 2, 2), (8, 4, 4, 3), "leave the batch out"),
    (pn.conv(3, 2, (2,)), (5, 4, 4, 3), r"\(batch, length, 3\)"),
    (pn.conv_transpose(1, 2, 2, padding=2), (2, 3, 1), r"an output of \(-1, 0\) from an input of \(2, 3\)"),
    (
        pn.max_pool(2),
        (1, 28, 28),
        r"Are these channels first\? Here they are the last axis: \(height, width, channels\)",
    ),
    (pn.max_pool(3), (2, 4, 1), r"\(3, 3\) does not fit into an input of \(2, 4\)"),
    (pn.max_pool(2), (4, 1), r"\(batch, height, width, channels\)"),
    (pn.max_pool(2, dilation=3), (3, 4, 1), r"\(4, 4\) with its dilation, does not fit into an input of \(3, 4\)"),
    (pn.avg_pool(3, 2, ceil_mode=True), (2, 1, 1), r"\(3, 3\) does not fit into an input of \(2, 1\)"),
    (
        pn.max_pool((2,), 1, padding=1, dilation=2),
        (1, 1),
        "some window holds padding alone, for a dilation of 2 steps over all 1 cells of the input: make the dilation 1",
    ),
    (pn.global_avg_pool, (4,), r"\(batch, \*space, channels\)"),
    (pn.global_max_pool, (0, 4), r"at least one cell, but the spatial axes of each example are \(0,\)"),
    (pn.adaptive_avg_pool((2, 2)), (4, 1), r"\(batch, height, width, channels\)"),
    (pn.adaptive_avg_pool((2, None)), (4, 1), r"\(batch, height, width, channels\)"),
    (pn.adaptive_avg_pool((None,)), (0, 4), r"at least one cell along each axis, but an example has shape \(0, 4\)"),
    (pn.adaptive_max_pool(2), (0, 4), r"at least one cell along each axis, but an example has shape \(0, 4\)"),
    (pn.upsample((2, 2)), (4, 1), r"\(batch, height, width, channels\)"),
    (pn.pad((1,)), (4, 4, 1), r"\(batch, length, channels\)"),
]


@pytest.mark.parametrize(("layer", "in_shape", "message"), SHAPED, ids=[message for *_, message in SHAPED])
def test_errors_of_sizes(layer, in_shape, message):
    for call in (layer.shape, lambda shape: layer.init(pn.key(0), shape)):
        with pytest.raises(ValueError, match=message):
            call(in_shape)


IMAGES = [
    ((3, 3, 2), r"\(3, 3, 2\): write x\[None\] for one example"),
    ((2, 3, 3), r"\(2, 3, 3\): examples are the first axis and channels the last, .* np.moveaxis\(x, 0, -1\)\[None\]"),
    ((2, 3, 3, 1), r"\(2, 3, 3, 1\)"),
    ((5, 2, 3, 3), r"\(5, 2, 3, 3\): channels are the last axis, so write np.moveaxis\(x, 1, -1\)"),
    ((5, 2), r"\(5, 2\)"),
]


def test_errors_of_arguments():
    layer = pn.conv(2, 3, 2)
    params, x = layer.init(pn.key(0)), np.ones((2, 3, 3, 2), np.float32)
    with pytest.raises(ValueError, match=r"write conv\(channels, 3, \(2, 2\)\), or init\(key, in_shape=\(height"):
        pn.conv(3, 2).init(pn.key(0))
    with pytest.raises(TypeError, match="float32 params, but x is float64"):
        layer.apply(params, x.astype(float))
    with pytest.raises(TypeError, match="floating point"):
        layer.apply(params, x.astype(int))
    for wrong, message in IMAGES:
        with pytest.raises(ValueError, match=rf"x of shape \(batch, height, width, 2\), but x has shape {message}$"):
            layer.apply(params, np.ones(wrong, np.float32))
    one = pn.conv(1, 4, 3)
    with pytest.raises(ValueError, match=r"write x\[\.\.\., None\] for one channel$"):
        one.apply(one.init(pn.key(0)), np.ones((4, 5, 5), np.float32))
    with pytest.raises(ValueError, match="Are these of another net"):
        layer.apply((), x)
    with pytest.raises(ValueError, match=r"\(weight, bias\), not ConvParams\(weight, bias=None\)"):
        layer.apply(params._replace(bias=None), x)
    with pytest.raises(ValueError, match=r"does not fit into an input of \(1, 3\)"):
        layer.apply(params, x[:, :1])
    with pytest.raises(ValueError, match=r"dE/dY has shape \(2, 2, 2, 2\), but Y has shape \(2, 2, 2, 3\)"):
        layer.vjp(params, x)[1](np.ones((2, 2, 2, 2), np.float32))
    with pytest.raises(ValueError, match="no parameters"):
        pn.max_pool(2).apply(params, x)
    mend = r"write x\[\.\.\., None\] for one channel, x\[None\] for one example$"
    with pytest.raises(ValueError, match=rf"x of shape \(batch, \*space, channels\), .*: {mend}"):
        pn.upsample(2).apply((), x[0, 0])
    with pytest.raises(ValueError, match=rf"x of shape \(batch, height, width, channels\), .*: {mend}"):
        pn.max_pool(2).apply((), x[0])
    with pytest.raises(ValueError, match=r"weight \(2, 2, 2, 3\), not weight \(3, 3, 2, 3\)"):
        layer.apply(pn.conv(2, 3, 3).init(pn.key(0)), x)
    with pytest.raises(TypeError, match=r"write on_first\(conv\(2, 3, 2\)\)"):
        layer.apply(params, (x, x))


def test_windows_of_two_beside_cells_that_none_covers():
    x = normal(2, 5, 7, 3)
    y, pullback = pn.max_pool(2).vjp((), x)
    even, pullback_of_even = pn.max_pool(2).vjp((), x[:, :4, :6])
    assert np.array_equal(y, even)
    dx = pullback(y)[1]
    assert np.array_equal(dx[:, :4, :6], pullback_of_even(y)[1])
    assert not dx[:, 4].any()
    assert not dx[:, :, 6].any()


@pytest.mark.parametrize("make", [pn.adaptive_avg_pool, pn.adaptive_max_pool])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_the_windows_that_hold_it(make, value):
    """Of 5 cells in 4 windows: cell 2 is in the windows 1 and 2, and dE/dY of a window goes to its own cells."""
    x = normal(2, 5, 3)
    y, pullback = make((4,)).vjp((), x)
    dx = pullback(y)[1]
    worse = x.copy()
    worse[0, 2] = value
    found = make((4,)).apply((), worse)
    assert np.array_equal(found[:, [0, 3]], y[:, [0, 3]])
    assert np.array_equal(found[1], y[1])
    if make is pn.adaptive_avg_pool or value > 0 or np.isnan(value):
        assert not np.isfinite(found[0, 1:3]).any()
    dy = y.copy()
    dy[0, 1] = value
    found = pullback(dy)[1]
    assert np.array_equal(found[0, [0, 3, 4]], dx[0, [0, 3, 4]])
    assert np.array_equal(found[1], dx[1])


def test_the_mean_of_an_infinite_cell_in_a_short_window_is_infinite():
    """Of 7 cells in 4 windows of 2, 3, 3 and 2: cell 1 is the last of the first window, and in the second."""
    x = np.zeros((1, 7, 1))
    x[0, 1] = np.inf
    y, pullback = pn.adaptive_avg_pool((4,)).vjp((), x)
    assert y.ravel().tolist() == [np.inf, np.inf, 0, 0]
    dy = np.array([np.inf, 0, 0, 0])[None, :, None]
    assert pullback(dy)[1].ravel().tolist() == [np.inf, np.inf, 0, 0, 0, 0, 0]


def test_where_sizes_divide_adaptive_pools_are_the_pools():
    x = normal(2, 6, 4, 3)
    for adaptive, plain in [
        (pn.adaptive_avg_pool(2), pn.avg_pool((3, 2))),
        (pn.adaptive_max_pool(2), pn.max_pool((3, 2))),
    ]:
        for a, b in zip(adaptive.vjp((), x), plain.vjp((), x), strict=True):
            assert np.array_equal(*(each(np.ones((2, 2, 2, 3)))[1] if callable(each) else each for each in (a, b)))


@pytest.mark.parametrize("layer", [pn.global_avg_pool, pn.global_max_pool])
def test_global_pools_leave_out_what_a_mask_leaves_out(layer):
    """Each sequence without these steps gives the same, whatever stands there."""
    x, mask = normal(4, 6, 3), np.array([[1, 0, 0, 1, 1, 0], [1] * 6, [0, 0, 0, 0, 1, 0], [0] * 6], bool)
    clean = x.copy()
    x[~mask] = np.nan
    y, pullback = layer.vjp((), (x, mask))
    dy = normal(*y.shape, seed=1)
    dx, none = pullback(dy)[1]
    assert none is None
    for i in range(3):
        alone, pull_alone = layer.vjp((), x[i : i + 1, mask[i]])
        np.testing.assert_allclose(y[i : i + 1], alone, rtol=1e-14)
        np.testing.assert_allclose(dx[i : i + 1, mask[i]], pull_alone(dy[i : i + 1])[1], rtol=1e-14)
    assert not y[3].any()
    assert not dx[~mask].any()
    assert layer.shape(((6, 3), (6,))) == (3,)
    lengths = np.array([2, 6, 1, 0])
    with_mask = layer.vjp((), (clean, pn.lengths_to_mask(lengths, 6)))
    with_lengths = layer.vjp((), (clean, lengths))
    assert np.array_equal(with_mask[0], with_lengths[0])
    assert np.array_equal(with_mask[1](dy)[1][0], with_lengths[1](dy)[1][0])


@pytest.mark.parametrize("layer", [pn.global_avg_pool, pn.global_max_pool])
def test_errors_of_masks(layer):
    x, mask = normal(4, 6, 3), np.ones((4, 6), bool)
    for wrong, kind, message in [
        (mask[:, :5], ValueError, r"takes mask of shape \(4, 6\), but mask has shape \(4, 5\)$"),
        (mask[:2], ValueError, r"mask has shape \(2, 6\)$"),
        (mask[0], ValueError, r"mask \(batch, time\) of bool"),
        (mask.astype(int), TypeError, r"mask.*int64.*astype\(bool\)"),
        (mask[..., None], ValueError, r"takes mask of shape \(4, 6\), but mask has shape \(4, 6, 1\)$"),
    ]:
        with pytest.raises(kind, match=message):
            layer.apply((), (x, wrong))
    with pytest.raises(ValueError, match="lengths"):
        pn.last_step.apply((), (x, mask))


@pytest.mark.parametrize("layer", [pn.global_avg_pool, pn.global_max_pool, pn.last_step])
def test_global_pools_leave_padding_out(layer):
    """Each sequence by itself gives the same, whatever stands in the padding."""
    x, lengths = normal(4, 6, 3), np.array([2, 6, 1, 0])
    x[np.arange(6) >= lengths[:, None]] = np.nan
    y, pullback = layer.vjp((), (x, lengths))
    dx, none = pullback(np.ones_like(y))[1]
    assert none is None
    for i, n in enumerate(lengths[:3]):
        alone, pull_alone = layer.vjp((), x[i : i + 1, :n])
        np.testing.assert_allclose(y[i : i + 1], alone, rtol=1e-14)
        np.testing.assert_allclose(dx[i : i + 1, :n], pull_alone(np.ones_like(alone))[1], rtol=1e-14)
    assert not y[3].any()
    assert not dx[np.arange(6) >= lengths[:, None]].any()
    assert layer.shape(((6, 3), ())) == (3,)
    with pytest.raises(ValueError, match="there are 6 steps, but lengths go from 1 to 7"):
        layer.apply((), (x, np.array([1, 7, 2, 3])))
