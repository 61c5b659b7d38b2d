"""Batches, parts, one-hot rows and standardized features."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn

n = np.arange(11)
x = np.stack([n, 10 * n], axis=1).astype(np.float32)


def test_batches_in_order_are_views():
    got = list(pn.data.batches(None, x, n, size=4))
    assert [b[1].tolist() for b in got] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert all(np.shares_memory(a, x) for a, _ in got)


def test_batches_by_key():
    first, again, other = (list(pn.data.batches(pn.key(s), x, n, size=4)) for s in (0, 0, 1))
    order = np.concatenate([b for _, b in first])
    assert sorted(order) == n.tolist()
    assert order.tolist() == pn.random.permutation(pn.key(0), 11).tolist()
    assert np.array_equal(order, np.concatenate([b for _, b in again]))
    assert not np.array_equal(order, np.concatenate([b for _, b in other]))
    assert all(np.array_equal(a, x[b]) for a, b in first)


@pytest.mark.parametrize(
    ("size", "drop", "lengths"), [(4, True, [4, 4]), (11, True, [11]), (12, True, []), (12, False, [11])]
)
@pytest.mark.parametrize("key", [None, pn.key(0)], ids=["in order", "shuffled"])
def test_the_last_batch(key, size, drop, lengths):
    assert [len(b) for (b,) in pn.data.batches(key, n, size=size, drop_last=drop)] == lengths


@pytest.mark.parametrize("key", [None, pn.key(0)], ids=["in order", "shuffled"])
def test_batches_of_a_memmap_are_plain_arrays(key, tmp_path):
    np.save(tmp_path / "x.npy", x)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert isinstance(on_disk, np.memmap)
    for (a,), (b,) in zip(pn.data.batches(key, on_disk, size=4), pn.data.batches(key, x, size=4), strict=True):
        assert type(a) is np.ndarray
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("arrays", "size", "error", "message"),
    [
        ((), 2, ValueError, "at least one array"),
        ((x, n[:5]), 2, ValueError, "one length, not of 11, 5"),
        (([1, 2],), 2, TypeError, "not a list"),
        ((np.float32(1),), 2, TypeError, "not a float32 scalar"),
        ((x,), 0, ValueError, "a positive integer, not 0"),
        ((x,), 2.0, ValueError, "a positive integer, not 2.0"),
    ],
)
def test_batches_of_nonsense(arrays, size, error, message):
    with pytest.raises(error, match=message):
        pn.data.batches(None, *arrays, size=size)


@pytest.mark.parametrize("test", [0.3, 3])
def test_split(test):
    (a, b), (a_test, b_test) = pn.data.split(pn.key(0), x, n, test=test)
    assert (len(b), len(b_test)) == (8, 3)
    assert sorted([*b, *b_test]) == n.tolist()
    assert np.array_equal(a, x[b])
    assert np.array_equal(a_test, x[b_test])
    assert pn.data.split(None, n, test=test)[1][0].tolist() == [8, 9, 10]


def test_stratified_split():
    labels = np.repeat([7, 3, 5], [50, 30, 20])
    for seed in range(20):
        (train,), (test,) = pn.data.split(pn.key(seed), np.arange(100), test=0.25, stratify=labels)
        assert len(test) == 25
        counts = [int((labels[test] == c).sum()) for c in (7, 3, 5)]
        assert counts in ([12, 8, 5], [13, 7, 5])
        assert sorted([*train, *test]) == list(range(100))
    other = pn.data.split(pn.key(1), np.arange(100), test=0.25, stratify=labels)[1][0]
    assert sorted(other) != sorted(pn.data.split(pn.key(2), np.arange(100), test=0.25, stratify=labels)[1][0])


@pytest.mark.parametrize("test", [0.0, 1.0, 0, 11, True, "a", -0.5])
def test_split_of_nonsense(test):
    with pytest.raises(ValueError, match="split takes test"):
        pn.data.split(None, n, test=test)


def test_one_hot():
    assert pn.data.one_hot(np.array([[0, 2]]), 3).tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert pn.data.one_hot(np.array([0, 1], np.uint8), 2, np.float64).dtype == np.float64
    for dtype in (np.int32, bool, "float16", np.float32):
        hot = pn.data.one_hot(np.array([[1], [300]]), 301, dtype)
        assert hot.dtype == dtype
        assert np.argwhere(hot).tolist() == [[0, 0, 1], [1, 0, 300]]
        assert hot.flags.writeable
    with pytest.raises(ValueError, match="from 0 to 2, but they go from -1 to 3"):
        pn.data.one_hot(np.array([-1, 3]), 3)
    with pytest.raises(TypeError, match="integer labels"):
        pn.data.one_hot(np.array([0.5]), 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standardize(dtype):
    features = (1000 + pn.random.normal(pn.key(0), (70_000, 5)) * np.array([1, 2, 3, 0, 5])).astype(dtype)
    moments = pn.data.standardize.fit(features)
    assert moments.mean.dtype == moments.std.dtype == dtype
    assert not moments.mean.flags.writeable
    exact = features.astype(np.float64)
    assert np.allclose(moments.mean, exact.mean(axis=0), rtol=1e-6 if dtype is np.float32 else 1e-13)
    std = np.where(np.arange(5) == 3, 1, exact.std(axis=0))
    assert np.allclose(moments.std, std, rtol=1e-6 if dtype is np.float32 else 1e-11)
    before = features.copy()
    z = pn.data.standardize.apply(moments, features)
    assert z.dtype == dtype
    assert np.array_equal(features, before)
    assert np.array_equal(z, (features - moments.mean) / moments.std)


def test_standardize_of_images_is_by_channel():
    images = pn.random.normal(pn.key(0), (6, 4, 4, 3), np.float64)
    moments = pn.data.standardize.fit(images)
    assert np.allclose(moments.mean, images.mean(axis=(0, 1, 2)))
    assert np.allclose(moments.std, images.std(axis=(0, 1, 2)))


def test_standardize_of_nonsense():
    with pytest.raises(ValueError, match="at least one example"):
        pn.data.standardize.fit(x[:0])
    with pytest.raises(TypeError, match="floating point"):
        pn.data.standardize.fit(n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 3, 1000, 300_000])
def test_standardize_of_what_never_changes(n, dtype):
    values = np.array([0.1, 1 / 3, 1e9 + 0.1, 1e-30, -7.3, 0.0], dtype)
    same = np.broadcast_to(values, (n, 6))
    moments = pn.data.standardize.fit(same)
    assert moments.std.tolist() == [1] * 6
    assert moments.mean.tolist() == values.tolist()
    assert (pn.data.standardize.apply(moments, same) == 0).all()


def test_standardize_of_what_changes_by_rounding_alone():
    tenths = np.array([[0.3], [0.1 + 0.2], [0.3]])
    assert pn.data.standardize.fit(tenths).std == 1
    shares = np.exp(pn.random.normal(pn.key(0), (1000, 5)))
    shares /= shares.sum(axis=1, keepdims=True)
    assert pn.data.standardize.fit(shares.sum(axis=1, keepdims=True)).std == 1


@pytest.mark.parametrize("far", [1e3, 1.7e9, 1e12])
def test_standardize_of_small_changes_of_large_numbers(far):
    changes = pn.random.normal(pn.key(0), (200_000, 1), np.float64)
    for size in (100.0, 1e-12 * far):
        moments = pn.data.standardize.fit(far + size * changes)
        assert moments.std == pytest.approx(size * changes.std(), rel=1e-3)
    vector = pn.data.standardize.fit((far + 100 * changes)[:, 0])
    assert vector.std.shape == ()
    assert vector.std == pytest.approx(100 * changes.std(), rel=1e-3)


def test_standardize_sees_one_change_among_a_million():
    x = np.ones((1_000_000, 1), np.float32)
    x[5] = 1.00001
    assert pn.data.standardize.fit(x).std < 1e-6


def test_standardize_keeps_nan():
    x = np.array([[1.0, 2.0], [np.nan, 2.0]])
    moments = pn.data.standardize.fit(x)
    assert np.isnan(moments.std).tolist() == [True, False]


def test_standardize_is_two_functions():
    with pytest.raises(TypeError, match=r"write moments = standardize\.fit\(x\)"):
        pn.data.standardize(x)


def test_split_of_nested_tuples():
    for key in (None, pn.key(0)):
        for stratify in (None, n % 2):
            (train, t), ((a_test, b_test), t_test) = pn.data.split(key, (x, n), 2 * n, stratify=stratify)
            assert type(train) is tuple
            assert (len(t), len(t_test)) == (9, 2)
            assert (2 * train[1] == t).all()
            assert (a_test[:, 0] == b_test).all()
            assert (2 * b_test == t_test).all()
            ((deep, (a, b)), c), _ = pn.data.split(key, (x, (n, n)), n, stratify=stratify)
            assert (deep[:, 0] == a).all()
            assert a.tolist() == b.tolist() == c.tolist()
