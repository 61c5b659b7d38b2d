"""What NumPy is given in a quicker form than the plain one: each against the plain form, in both dtypes."""

import numpy as np
import pytest

import purenet as pn
from purenet.arrays import max_last, sum_last, sum_leading
from purenet.layers.activations import positive_part

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def numbers(shape, dtype):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


@each_dtype
@pytest.mark.parametrize("shape", [(1025,), (16384,), (16385,), (3, 11000), (8, 24, 24, 6)])
def test_positive_part_is_the_maximum_with_0(shape, dtype):
    x = numbers(shape, dtype)
    x.flat[:4] = np.nan, -np.inf, np.inf, -0.0
    x.flat[-3:] = np.nan, -np.inf, -1
    for each in (x, x.T, x[::2]):
        y = positive_part(each)
        np.testing.assert_array_equal(y, np.maximum(each, 0))
        assert y.dtype == dtype


@each_dtype
def test_relu_of_many_numbers_is_that_of_few(dtype):
    x, dy = numbers((2, 2000), dtype), numbers((3, 2000), dtype)[1:]
    y, pullback = pn.relu.vjp((), x)
    np.testing.assert_array_equal(y, np.where(x > 0, x, 0))
    np.testing.assert_array_equal(pullback(dy)[1], np.where(x > 0, dy, 0))


@each_dtype
@pytest.mark.parametrize("shape", [(1, 3), (4, 3), (1024, 5), (1025, 5), (3, 4, 5)])
def test_sums_are_those_of_numpy(shape, dtype):
    x = numbers(shape, dtype)
    atol = 4 * np.finfo(dtype).eps * np.abs(x).sum(dtype=np.float64)
    leading, last = sum_leading(x), sum_last(x)
    np.testing.assert_allclose(leading, x.sum(axis=tuple(range(x.ndim - 1)), dtype=np.float64), rtol=0, atol=atol)
    np.testing.assert_allclose(last, x.sum(axis=-1, keepdims=True, dtype=np.float64), rtol=0, atol=atol)
    assert leading.dtype == last.dtype == dtype
    assert not np.shares_memory(leading, x)


@each_dtype
@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (7, 10), (7, 64), (7, 65), (2, 3, 4)])
def test_the_largest_is_that_of_numpy(shape, dtype):
    x = numbers(shape, dtype)
    x.flat[0] = np.nan
    for each in (x, x[::-1]):
        np.testing.assert_array_equal(max_last(each), np.max(each, axis=-1, keepdims=True))


@each_dtype
def test_params_of_a_step_cannot_be_written_to(dtype):
    params = pn.tree.cast(pn.dense(2, 3).init(pn.key(0)), dtype)
    new = pn.sgd_step(params, params, lr=0.5)
    np.testing.assert_array_equal(new.weight, 0.5 * params.weight)
    for leaf in new:
        with pytest.raises(ValueError, match="read-only"):
            leaf -= 1


def test_dense_does_not_mix_dtypes():
    net = pn.dense(2, 3)
    with pytest.raises(TypeError, match=r"float32 params, but x is float64"):
        net.apply(net.init(pn.key(0)), np.ones((4, 2)))
