"""The ops on windows: NumPy's own form of each gives what the plain one gives."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from purenet.engine import Ops, engine_of
from purenet.engine import numpy_convolution as convolution
from purenet.engine import numpy_windows as pooling
from purenet.engine.windows import Windows, shifted

PLAIN, NUMPY = Ops(np), engine_of(np.zeros(1))


def normal(*shape, seed=0):
    return pn.random.normal(pn.key(seed), shape, np.float64)


def side_by_side(size):
    return Windows(size, size, (1,) * len(size))


KINDS = [  # space, kernel, stride, dilation
    ((8,), (3,), (1,), (1,)),
    ((6, 14), (3, 2), (1, 1), (1, 1)),
    ((7, 13), (3, 2), (2, 1), (1, 3)),
    ((7, 13), (2, 3), (1, 2), (1, 1)),
    ((7, 13), (2, 2), (1, 2), (1, 2)),
    ((7, 21), (2, 2), (1, 4), (1, 2)),
    ((9, 17), (1, 2), (3, 3), (2, 2)),
    ((3, 4, 7), (2, 3, 2), (1, 1, 1), (1, 1, 1)),
]
POOLS = [  # space, windows, ends
    ((9,), Windows((3,), (2,), (1,)), ((1, 1),)),
    ((7, 6), Windows((3, 2), (1, 3), (1, 1)), ((0, 2), (1, 0))),
    ((6, 8), Windows((2, 2), (3, 5), (1, 1)), ((0, 0), (0, 0))),
    ((8,), side_by_side((2,)), ((0, 0),)),
    ((8, 6), side_by_side((2, 2)), ((0, 0), (0, 0))),
    ((2, 2), side_by_side((2, 2)), ((0, 0), (0, 0))),
    ((4, 2, 6), side_by_side((2, 2, 2)), ((0, 0),) * 3),
    ((6, 7), side_by_side((2, 2)), ((0, 0), (0, 1))),
    ((7, 5), side_by_side((2, 2)), ((0, 0), (0, 0))),
    ((8, 6), Windows((2, 2), (2, 2), (2, 1)), ((0, 0), (0, 0))),
    ((9, 8), Windows((2, 3), (3, 2), (4, 3)), ((0, 1), (2, 0))),
    ((10,), Windows((3,), (4,), (2,)), ((1, 0),)),
]


def cases():
    """(op, arguments): each is run by both engines, and so is the pullback of an op that gives one."""
    for space, kernel, stride, dilation in [*KINDS, ((5, 4), (1, 1), (2, 1), (1, 1))]:
        windows = Windows(kernel, stride, dilation)
        counts, low = windows.counts(space), tuple(range(len(space)))
        for groups, ins, outs in [(1, 2, 5), (2, 4, 6), (3, 3, 3), (3, 3, 6)]:
            x, dy = normal(6, *space, ins), normal(6, *counts, outs, seed=1)  # 6 outs, too: no axis serves for another
            weight = normal(*kernel, ins // groups, outs, seed=2)
            in_groups = (groups,) if groups > 1 else ()
            yield "correlate", (x, weight, windows, *in_groups)
            yield "correlate", (x, weight, windows, groups, normal(outs, seed=3))
            yield "correlate_weight", (x, dy, windows, *in_groups)
            yield "transposed", (weight, *in_groups)
            yield "spread", (dy, normal(*kernel, outs // groups, ins), windows, low, space, *in_groups)
        for ins, outs in [(4, 2), (2, 24), (16, 16)]:
            yield "spread", (normal(3, *counts, ins), normal(*kernel, ins, outs), windows, low, space)
            yield "spread", (normal(3, *counts, ins), normal(*kernel, ins, outs), windows, (0,) * len(low), space)
        many = normal(70, *space, 3), normal(70, *counts, 3, seed=1)  # more than a block of images
        yield "products_summed", (*many, windows)
    for space, windows, ends in POOLS:
        for channels in (1, 3):
            x = normal(5, *space, channels)
            for each in (x, np.round(x), np.where(np.abs(x) < 0.3, np.nan, 1)):
                yield "max_windows", (each, windows, ends)
            yield "mean_windows", (x, windows._replace(dilation=(1,) * len(space)), ends)
            for low in (0, 1):
                counted = tuple((min(low, a), 0) for a, _ in ends)
                yield "mean_windows", (x, windows._replace(dilation=(1,) * len(space)), ends, counted)
    for padding in [((0, 0), (0, 0)), ((1, 0), (0, 2)), ((-1, 0), (-2, -1)), ((2, -1), (-1, 0)), ((-1, 1), (0, 0))]:
        yield "pad_space", (normal(2, 3, 4, 2), padding)
        yield "pad_space", (normal(2, 3, 4, 2), padding, -np.inf)
    for stride, channels in [((2,), 1), ((3, 2), 3), ((1, 2), 1), ((2, 1, 3), 3), ((1, 1), 2)]:
        counts = (3, 4, 2)[: len(stride)]
        phases = [normal(2, *counts, channels, seed=seed) for seed in range(int(np.prod(stride)))]
        for missing in (0, 1):
            space = tuple(n * s - min(missing, s - 1) for n, s in zip(counts, stride, strict=True))
            yield "interleave", (phases, stride, space)
    for shape in [(2, 3, 4, 3), (2, 1500, 1), (0, 2, 2, 3)]:
        yield "sum_channels", (normal(*shape),)
        yield "add_channels", (normal(*shape), normal(shape[-1], seed=1))
        yield "without_gaps", (normal(*shape)[:, ::2],)


CASES = list(cases())


def run(ops, op, given):
    """What an op gives, as arrays: of a pair, the value and the rule."""
    found = getattr(ops, op)(*given)
    if not isinstance(found, tuple):
        return (found,)
    y, pull = found
    dy = np.cos(np.arange(np.prod(y.shape), dtype=np.float64)).reshape(y.shape)
    return y, pull(ops.take_in(dy))


@pytest.mark.parametrize("block", [1, 3000, 1 << 20])
@pytest.mark.parametrize(("op", "given"), CASES, ids=[f"{op}-{i}" for i, (op, _) in enumerate(CASES)])
def test_numpys_form_is_the_plain_one(op, given, block, monkeypatch):
    monkeypatch.setattr(convolution, "PATCH_BYTES", block)
    monkeypatch.setattr(pooling, "BLOCK_BYTES", block)
    copies = [given, [each.copy() if isinstance(each, np.ndarray) else each for each in given]]  # one may be written to
    plain, own = run(PLAIN, op, copies[0]), run(NUMPY, op, copies[1])
    for a, b in zip(plain, own, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-11, atol=1e-12)
        assert b.dtype == a.dtype
        assert b.shape == a.shape


def test_every_op_of_windows_that_numpy_has_its_own_form_of_is_here():
    own = {name for ops in (pooling.NumpyWindowOps, convolution.NumpyConvolutionOps) for name in vars(ops)}
    inside = {
        "by_images",
        "kept_patches",
        "of_one_group",
        "weight_of_one_group",
        "depthwise",
    }  # run by others, and below
    assert {name for name in own if not name.startswith("_")} - inside <= {op for op, _ in CASES}


@pytest.mark.parametrize("ops", [PLAIN, NUMPY])
def test_where_there_is_nothing_to_add_x_is_not_copied(ops):
    x = normal(2, 3, 4, 2)
    assert ops.pad_space(x, ((0, 0), (0, 0))) is x
    assert np.shares_memory(ops.pad_space(x, ((0, -1), (-1, 0))), x)


# The tile, the number of windows in a strip, changes no number: whichever is the quickest may be taken.


@pytest.mark.parametrize("block", [1, 3000, 1 << 20])
@pytest.mark.parametrize(("space", "kernel", "stride", "dilation"), KINDS)
def test_patches_of_any_tile_and_slices_agree(space, kernel, stride, dilation, block, monkeypatch):
    monkeypatch.setattr(convolution, "PATCH_BYTES", block)
    windows = Windows(kernel, stride, dilation)
    x, weight, bias = normal(3, *space, 2), normal(*kernel, 2, 5), normal(5, seed=2)
    y = PLAIN.correlate(x, weight, windows)
    dy = normal(*y.shape, seed=1)
    dweight = PLAIN.correlate_weight(x, dy, windows)
    tiles = [tile for tile in range(1, y.shape[-2] + 1) if y.shape[-2] % tile == 0]
    assert len(tiles) > 1
    for tile in tiles:
        patches, again = (convolution.patches_of(x, windows, 5, tile) for _ in range(2))
        found = convolution.patches_times_weight(x, weight, windows, bias, patches)
        np.testing.assert_allclose(found, y + bias, rtol=1e-12, atol=1e-12)
        of_dy = convolution.patches_times_dy(x, dy, windows, again)
        np.testing.assert_allclose(of_dy, dweight, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("block", [1, 3000, 1 << 20])
@pytest.mark.parametrize(("space", "kernel", "stride", "dilation"), KINDS)
def test_patches_or_rows_added_up_and_correlations_of_each_phase_agree(
    space, kernel, stride, dilation, block, monkeypatch
):
    monkeypatch.setattr(convolution, "PATCH_BYTES", block)
    windows = Windows(kernel, stride, dilation)
    counts = windows.counts(space)
    dy, weight = normal(3, *counts, 4), normal(*kernel, 4, 2)
    low = tuple(range(len(space)))
    dx = PLAIN.spread(dy, weight, windows, low, space)
    for tile in [tile for tile in range(1, counts[-1] + 1) if counts[-1] % tile == 0]:
        added_up = convolution.patches_added_up(dy, weight, windows, low, space, tile)
        np.testing.assert_allclose(added_up, dx, rtol=1e-12, atol=1e-12)
    if stride[-1] == 1 and len(space) > 1:
        rows = convolution.rows_added_up(dy, weight, windows, low, space)
        np.testing.assert_allclose(rows, dx, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("space", "kernel", "stride", "dilation"), KINDS)
def test_patches_that_are_kept_are_those_that_are_made_again(space, kernel, stride, dilation, monkeypatch):
    layer = pn.conv(2, 5, kernel, stride=stride, dilation=dilation, bias_init=pn.initializers.normal())
    params, x = pn.tree.cast(layer.init(pn.key(0)), np.float64), normal(3, *space, 2)
    windows = Windows(kernel, stride, dilation)
    assert len(NUMPY.kept_patches(x, 5, windows).blocks) == 1
    y, pullback = layer.vjp(params, x)
    dy = normal(*y.shape, seed=1)
    turned = np.moveaxis(np.moveaxis(x, -1, 1).copy(), 1, -1)  # the same x, with its channels not side by side
    for each in (layer.vjp(params, turned)[1], pullback):
        with monkeypatch.context() as patch:
            patch.setattr(convolution, "strips_of", lambda *_: pytest.fail("patches are made again"))
            kept = each(dy, wrt_x=False)[0].weight
        np.testing.assert_array_equal(kept, convolution.patches_times_dy(x, dy, windows))
    monkeypatch.setattr(convolution, "PATCH_BYTES", 100)
    assert NUMPY.kept_patches(x, 5, windows) is None
    z, pullback = layer.vjp(params, x)
    np.testing.assert_allclose(z, y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(pullback(dy)[0].weight, kept, rtol=1e-12, atol=1e-12)


# Pooling is exact, in any dtype and memory order.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 6, 8, 3), (2, 2, 2, 1), (2, 6, 2, 3), (1, 2, 6, 2), (2, 4, 2, 6, 2)])
def test_windows_of_two_are_pooled_as_all_others_are(shape, block, dtype, monkeypatch):
    monkeypatch.setattr(pooling, "BLOCK_BYTES", block)
    dims, rng = len(shape) - 2, np.random.default_rng(len(shape))
    layer, windows = pn.max_pool((2,) * dims), side_by_side((2,) * dims)
    for x in (rng.standard_normal(shape), rng.integers(0, 2, shape), np.where(rng.random(shape) < 0.2, np.nan, 1)):
        for laid in (x.astype(dtype), np.asfortranarray(x.astype(dtype)), x.astype(dtype)[::-1]):
            y, pullback = layer.vjp((), laid)
            plain, plain_pull = PLAIN.max_windows(laid, windows, ((0, 0),) * dims)
            dy = rng.standard_normal(y.shape).astype(dtype)
            np.testing.assert_array_equal(y, plain)
            dx = pullback(dy)[1]
            np.testing.assert_array_equal(dx, plain_pull(dy))
            np.testing.assert_array_equal(pullback(np.asfortranarray(dy))[1], dx)
            assert y.dtype == dx.dtype == dtype


POOLS_AND_CONVS = [pn.max_pool(3, stride=2, padding=1), pn.max_pool(2), pn.avg_pool(2), pn.conv(2, 3, groups=2)]


@pytest.mark.parametrize("layer", POOLS_AND_CONVS)
def test_images_some_at_a_time_are_images_all_at_once(layer, monkeypatch):
    params, x = pn.tree.cast(layer.init(pn.key(0), (8, 6, 2)), np.float64), normal(5, 8, 6, 2)
    y, pullback = layer.vjp(params, x)
    dy = normal(*y.shape, seed=1)
    monkeypatch.setattr(pooling, "BLOCK_BYTES", 2 * x[0].nbytes)
    blocks, pullback_in_blocks = layer.vjp(params, x)
    assert np.array_equal(blocks, y)
    assert np.array_equal(pullback_in_blocks(dy)[1], pullback(dy)[1])


def test_the_cells_of_a_window_are_in_row_major_order():
    windows = Windows((2, 2), (1, 1), (1, 2))
    assert list(windows.cells) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert windows.reach == (2, 3)
    x = np.arange(12.0).reshape(1, 3, 4, 1)
    assert [shifted(x, cell, windows, windows.counts((3, 4)))[0, 0, 0, 0] for cell in windows.cells] == [0, 2, 4, 6]
