"""Each op of NumPy's own form gives what the plain form gives: array API code, which any engine runs.

The ops on windows have a table of their own, in test_ops_windows.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from purenet.engine import Ops, engine_of
from purenet.engine.numpy import ONE_ROW_NUMPY, SMALL_NUMPY
from purenet.engine.special import normal_cdf

PLAIN, NUMPY = Ops(np), engine_of(np.zeros(1))
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def layouts(x):
    """The same numbers in other orders of memory."""
    return [x, np.asfortranarray(x), x[..., ::-1].copy()[..., ::-1], np.repeat(x, 2, axis=0)[::2]]


def products():
    """Sizes at which another way to multiply is chosen, and those beside them."""
    for n, k, m in [
        (1, 3, 2), (4, 3, 2), (64, 5, 16), (64, 5, 17), (63, 5, 16), (300, 7, 300), (70, 300, 10), (9, 300, 500),
        (4000, 4, 32), (10241, 4, 32), (1500, 32, 32), (2, 256, 256), (96, 300, 230), (97, 300, 230),
    ]:  # fmt: skip
        yield (n,), k, m
    yield (2, 3), 4, 5
    yield (2, 1, 3), 4, 5
    yield (), 4, 5


def close(found, expected, dtype, terms):
    """Equal to rounding, in sums of so many terms of size 1."""
    assert found.dtype == dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 * np.finfo(dtype).eps * max(1, terms))


@each_dtype
@pytest.mark.parametrize(("lead", "k", "m"), list(products()))
def test_products(lead, k, m, dtype):
    """Against einsum, which makes each sum by itself, in float64."""
    a, b, c = numbers((*lead, k), dtype), numbers((k, m), dtype, 1), numbers((*lead, m), dtype, 2)
    exact = [each.astype(np.float64) for each in (a, b, c)]
    rows = int(np.prod(lead))
    for ops in (NUMPY, PLAIN):
        close(ops.dot(a, b), np.einsum("...k,km->...m", *exact[:2]), dtype, k)
        close(ops.dot_transposed(c, b), np.einsum("...m,km->...k", exact[2], exact[1]), dtype, m)
        for each in layouts(a) if lead else [a]:
            product = np.einsum("nk,nm->km", exact[0].reshape(rows, k), exact[2].reshape(rows, m))
            close(ops.transposed_dot(each, c), product, dtype, rows)
    assert NUMPY.dot_transposed(c, b).flags.c_contiguous


@each_dtype
@pytest.mark.parametrize(
    "shape",
    [(1, 3), (4, 3), (1024, 5), (1025, 5), (2048, 32), (9000, 33), (99999, 3), (3000, 0), (3, 4, 5), (2, 700, 3), (5,)],
)
def test_sums(shape, dtype):
    x, row = numbers(shape, dtype), numbers(shape[-1:], dtype)
    exact = x.astype(np.float64)
    for ops in (NUMPY, PLAIN):
        sums = ops.sum_rows(x)
        np.testing.assert_allclose(
            sums, exact.sum(axis=tuple(range(x.ndim - 1))), rtol=0, atol=4 * np.finfo(dtype).eps * np.abs(exact).sum()
        )
        assert sums.dtype == dtype
        assert not np.shares_memory(sums, x)
        close(ops.sum_last(x), exact.sum(axis=-1, keepdims=True), dtype, shape[-1])
        if x.size:
            np.testing.assert_array_equal(ops.add_row(x.copy(), row), x + row)
            assert ops.sum_all(x) == pytest.approx(exact.sum(), abs=1e-6 * x.size)
            assert ops.sum_of_squares(x) == pytest.approx((exact**2).sum(), rel=1e-5)
        if x.ndim > 1:
            close(ops.sum_before_last(x), exact.sum(axis=-2, keepdims=True), dtype, np.abs(exact).sum())
            rtol = 8 * np.finfo(dtype).eps * max(1, x.shape[-2]) ** 0.5
            np.testing.assert_allclose(ops.sum_products(x, 2 * x), (2 * exact**2).sum(axis=-2), rtol=rtol)


@each_dtype
@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (7, 10), (7, 64), (7, 65), (2, 3, 4)])
def test_the_largest(shape, dtype):
    x = numbers(shape, dtype)
    x.flat[0] = np.nan
    for each in layouts(x):
        for ops in (NUMPY, PLAIN):
            np.testing.assert_array_equal(ops.max_last(each), np.max(each, axis=-1, keepdims=True))


@each_dtype
@pytest.mark.parametrize("shape", [(5,), (1025,), (16384,), (16385,), (3, 11000), (8, 24, 24, 6)])
def test_relu_and_limits(shape, dtype):
    x = numbers(shape, dtype)
    x.flat[:4] = np.nan, -np.inf, np.inf, -0.0
    x.flat[-1] = -1
    for each in (x, x.T, x[::2]):
        for ops in (NUMPY, PLAIN):
            np.testing.assert_array_equal(ops.relu(each), np.maximum(each, 0))
            np.testing.assert_array_equal(ops.at_most(each, 0.5), np.minimum(each, 0.5))
            np.testing.assert_array_equal(ops.at_most(np.abs(each), np.inf), np.abs(each))
            assert ops.relu(each).dtype == dtype


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(), (7,), (40, 60), (3, 20, 41)])
def test_where(shape, dtype):
    """Of arrays, numbers, and arrays of other shapes, also of what is not finite."""
    x = numbers((*shape, 5), dtype)
    if dtype != np.int64:
        x[..., :4] = np.nan, -np.inf, np.inf, -0.0
    for each in (x, x.T, x[..., ::2]):
        mask = np.arange(each.size).reshape(each.shape) % 3 == 0
        others = [each[::-1], each[:1], each[..., :1], each.dtype.type(3), each.astype(np.float64), 1, 0.5, -np.inf]
        for other in others:
            for which in (mask, mask[..., :1]):
                for a, b in ((each, other), (other, each)):
                    found, expected = NUMPY.where(which, a, b), np.where(which, a, b)
                    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
                    np.testing.assert_array_equal(found, expected)
                    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (7,), (4, 6), (2, 3, 4)])
def test_a_mask_keeps_out_what_is_not_finite(shape, dtype):
    x = numbers((*shape, 5), dtype)
    x[..., :4] = np.nan, -np.inf, np.inf, -0.0
    for each in (x, x.T, x[..., ::2]):
        for mask in (np.arange(each.size).reshape(each.shape) % 2 == 0, np.ones(each.shape[-1:], bool)):
            for ops in (NUMPY, PLAIN):
                found = ops.keep(each, mask)
                np.testing.assert_array_equal(found, np.where(mask, each, 0))
                assert found.dtype == dtype
    assert NUMPY.keep(np.float64(3), np.bool_(True)) == 3


@each_dtype
def test_whether_all_is_finite(dtype):
    x = numbers((3, 4), dtype)
    assert NUMPY.all_finite()
    assert NUMPY.all_finite(x, x.T, x[:0])
    for value in (np.nan, np.inf, -np.inf):
        wrong = x.copy()
        wrong[1, 2] = value
        assert not NUMPY.all_finite(x, wrong[:, ::2])
    assert not PLAIN.all_finite(x)


def test_what_is_not_right_is_nan_where_it_cannot_be_looked_at():
    x = np.array([1, 2], np.float32)
    assert NUMPY.or_nan(x, lambda: x > 1) is x
    np.testing.assert_array_equal(PLAIN.or_nan(x, lambda: x > 1), [np.nan, 2])
    assert PLAIN.or_nan(x, lambda: x > 1).dtype == np.float32


@each_dtype
@pytest.mark.parametrize("classes", [1, 3, 256, 257])
@pytest.mark.parametrize("labels", ["int8", "uint8", "int32", "int64", ">i4"])
def test_labels(labels, classes, dtype):
    given = (np.arange(6).reshape(2, 3) % min(classes, 100)).astype(labels)
    expected = np.eye(classes, dtype=dtype)[given.astype(int)]
    for ops in (NUMPY, PLAIN):
        found = ops.one_hot(given, classes, np.dtype(dtype))
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == dtype
    assert NUMPY.labels_fit(given, classes)
    assert NUMPY.labels_fit(given[:0], classes)
    for wrong in (classes, classes + 3, -1, -3):
        bad = given.copy()
        with np.errstate(all="ignore"):
            if np.array(wrong).astype(labels) == wrong:
                bad[1, 1] = wrong
                assert not NUMPY.labels_fit(bad, classes)


@each_dtype
def test_logs_of_0_count_for_nothing_where_the_target_is_0(dtype):
    target, logs = np.array([[0, 0.25], [1, 0.5]], dtype), np.array([[-np.inf, -1], [0, -2]], dtype)
    for ops in (NUMPY, PLAIN):
        assert ops.sum_of_logs(target, logs) == -1.25
        assert ops.sum_of_logs(1 - target, logs) == -np.inf
        assert np.isnan(ops.sum_of_logs(target, logs * np.array([1, np.nan], dtype)))


@each_dtype
def test_rows_by_id(dtype):
    ids, rows = np.array([3, 0, 3, 6, 3]), numbers((5, 2), dtype)
    expected = np.zeros((8, 2), dtype)
    np.add.at(expected, ids, rows)
    for ops in (NUMPY, PLAIN):
        close(ops.add_rows(ids, rows, 8), expected, dtype, 5)
        close(ops.add_rows(ids[:0], rows[:0], 8), np.zeros((8, 2)), dtype, 1)
        far = np.array([[1, np.nan], [np.inf, 2]], dtype)
        np.testing.assert_array_equal(ops.add_rows(np.array([2, 0]), far, 3), [[np.inf, 2], [0, 0], [1, np.nan]])


@each_dtype
@pytest.mark.parametrize("far", [1, 1e6, np.inf, np.nan])
def test_the_normal_distribution_of_many_numbers_is_that_of_few(far, dtype):
    x = numbers((2000,), dtype)
    x[7], x[-7] = far, -far
    few = zip(*(normal_cdf(NUMPY, part) for part in np.split(x, 20)), strict=True)
    for many, parts in zip(normal_cdf(NUMPY, x), few, strict=True):
        np.testing.assert_array_equal(many, np.concatenate(parts))


@each_dtype
def test_what_may_be_overwritten(dtype):
    x = numbers((4, 5), dtype)
    for ops in (NUMPY, PLAIN):
        temporary = x.copy()
        np.testing.assert_array_equal(ops.overwrite(np.tanh, temporary), np.tanh(x))
        np.testing.assert_array_equal(ops.overwrite(np.divide, x.copy(), x, 1 + x * x), x / (1 + x * x))


def test_a_number_is_not_taken_for_an_equal_one_of_another_sign():
    like = np.zeros(2, np.float32)
    for ops in (NUMPY, SMALL_NUMPY, PLAIN):
        for number in (0.0, -0.0, 0.0):
            np.testing.assert_array_equal(
                np.signbit(np.ones(2, np.float32) * ops.factor(number, like)), np.signbit(number)
            )


@pytest.mark.parametrize("n", [1, 2, 63])
def test_the_ops_for_small_matrices_give_the_bits_of_those_for_any(n):
    few = ONE_ROW_NUMPY if n == 1 else SMALL_NUMPY
    x, dy, weight, row = (numbers(shape, np.float32) for shape in ((n, 5), (n, 7), (5, 7), (7,)))
    for name, arguments in {
        "dot": (x, weight), "dot_transposed": (dy, weight), "transposed_dot": (x, dy), "sum_rows": (dy,),
        "relu": (x,), "sum_of_squares": (x,), "factor": (0.3, x),
    }.items():  # fmt: skip
        small, any_size = (getattr(ops, name)(*arguments) for ops in (few, NUMPY))
        np.testing.assert_array_equal(small, any_size, err_msg=name)
    np.testing.assert_array_equal(few.add_row(dy.copy(), row), NUMPY.add_row(dy.copy(), row))
