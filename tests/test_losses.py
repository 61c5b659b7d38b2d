"""A loss of a function and its derivative, as in the video; weights of classes and labels that are ignored."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn

Y, TARGET = pn.random.normal(pn.key(0), (4, 3)), pn.random.normal(pn.key(1), (4, 3))


def squares(y, target):
    return ((y - target) ** 2).mean()


def slope(y, target):
    return 2 * (y - target) / y.size


OWN = pn.loss(squares, slope)


def test_it_is_a_loss_like_any_other():
    E, pullback = OWN.vjp(Y, TARGET)
    theirs, theirs_pullback = pn.mse.vjp(Y, TARGET)
    assert pytest.approx(theirs, rel=1e-6) == E
    np.testing.assert_allclose(pullback(3.0), theirs_pullback(3.0), rtol=1e-6)
    assert pullback(np.float64(1)).dtype == np.float32
    pn.testing.check_vjp(OWN, Y.astype(np.float64), TARGET.astype(np.float64))


def test_its_name_and_its_equals():
    assert repr(OWN) == "loss(squares, slope)"
    assert repr(pn.loss(squares, slope, "own")) == "own"
    assert pn.loss(squares, slope) == OWN != pn.loss(squares, slope, "own")


def test_a_wrong_derivative_is_caught():
    wrong = pn.loss(squares, lambda y, target: (y - target) / y.size)
    with pytest.raises(AssertionError, match=r"0\.5 times the derivative"):
        pn.testing.check_vjp(wrong, Y.astype(np.float64), TARGET.astype(np.float64))


@pytest.mark.parametrize("given", [(squares, None), (1, slope), (pn.mse, slope)])
def test_bad_input_says_what_to_do(given):
    with pytest.raises(TypeError, match="loss takes a function and its derivative"):
        pn.loss(*given)


@pytest.mark.parametrize(
    ("y", "target", "message"),
    [
        ((4, 1), (4,), r"y has shape \(4, 1\) and target \(4,\): write target\[:, None\]"),
        ((4,), (4, 1), r"y has shape \(4,\) and target \(4, 1\): reshape one, as in target.reshape\(\(4,\)\)"),
        ((4, 3, 1), (4, 3), r"y has shape \(4, 3, 1\) and target \(4, 3\): write target\[:, :, None\]"),
    ],
)
@pytest.mark.parametrize("loss", [OWN, pn.mse], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_what_operators_would_pair_each_with_each_is_refused(loss, y, target, message, dtype):
    y, target = np.ones(y, np.float32), np.ones(target, dtype)
    for call in (loss.apply, loss.vjp):
        with pytest.raises(ValueError, match=r"compares each element of y with one of target, but " + message):
            call(y, target)


@pytest.mark.parametrize(
    ("y", "target"), [((4, 1), (1, 4)), ((1, 4), (4,)), ((4, 1, 1), (4,)), ((4, 3), (3,)), ((4,), (1,)), ((4,), (4, 4))]
)
@pytest.mark.parametrize("loss", [OWN, pn.mse], ids=str)
def test_what_operators_would_broadcast_is_refused(loss, y, target):
    for call in (loss.apply, loss.vjp):
        with pytest.raises(ValueError, match="compares each element of y with one of target, but y has shape"):
            call(np.ones(y, np.float32), np.ones(target, np.float32))


@pytest.mark.parametrize("shape", [(4, 4), (4, 3), (3, 3, 3), (2, 3, 4)])
def test_a_target_without_the_last_axis_is_labels(shape):
    passes = pn.loss(lambda y, t: y.sum(), lambda y, t: np.ones_like(y), "own")
    y, labels = np.ones(shape, np.float32), np.zeros(shape[:-1], int)
    places = r"\[:, None\]" if len(shape) == 2 else r"\[:, :, None\]"
    for dtype in (np.float32, np.float64):
        with pytest.raises(ValueError, match=rf"own takes integer labels where .* a {np.dtype(dtype)} array.*{places}"):
            passes.apply(y, labels.astype(dtype))
    for target in (labels, labels[..., None] * 1.0, np.ones((*shape[:-1], 7)), np.float32(1), 1.0, (y, y), [1.0]):
        assert passes.apply(y, target) == y.size
    assert passes.apply(y[..., :1], y) == y[..., 0].size


@pytest.mark.parametrize(
    ("f", "df", "message"),
    [
        (
            lambda y, t: (y - t) ** 2,
            slope,
            r"^own gives a float32 array of shape \(4, 3\), but .* its mean or its sum$",
        ),
        (squares, lambda y, t: slope(y, t)[0], r"^own: df gives a float32 array of shape \(3,\), .* Y, \(4, 3\)$"),
        (squares, lambda y, t: 1.0, r"^own: df gives a float, but dE/dY has the shape of Y, \(4, 3\)$"),
    ],
)
def test_what_the_functions_give_is_looked_at(f, df, message):
    with pytest.raises(ValueError, match=message):
        pn.loss(f, df, "own").vjp(Y, TARGET)[1]()


def test_a_target_may_be_what_the_functions_take():
    def picked(y, labels):
        return -y[np.arange(len(y)), labels].mean()

    def of_picked(y, labels):
        return -np.eye(y.shape[1], dtype=y.dtype)[labels] / len(y)

    labels = np.array([0, 2, 1, 1])
    close(pn.loss(picked, of_picked).vjp(Y, labels), pn.nll.vjp(Y, labels))
    shifts = pn.loss(lambda y, t: (y - t["mean"]).sum(), lambda y, t: np.ones_like(y))
    assert shifts.apply(np.ones((2, 1)), {"mean": 1.0}) == 0
    assert shifts.apply(np.ones((2, 3)), {"mean": np.ones(3)}) == 0
    one = pn.loss(lambda y, t: abs(y - t).sum(), lambda y, t: np.sign(y - t))
    assert one.apply(np.ones((2, 3)), np.ones((2, 1))) == one.apply(np.ones(1), np.array(1.0)) == 0


LOGITS, LABELS = pn.random.normal(pn.key(2), (4, 2, 3), np.float64), np.array([[0, 2], [1, 0], [2, 2], [0, 1]])
CLASSIFYING = [pn.softmax_cross_entropy, pn.nll]


def close(found, expected):
    (E, pullback), (E_expected, expected_pullback) = found, expected
    np.testing.assert_allclose(E, E_expected, rtol=1e-14)
    np.testing.assert_allclose(pullback(), expected_pullback(), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("loss", CLASSIFYING)
def test_class_weights_are_weights_of_the_labels(loss):
    by_class = np.array([0.5, 2.0, 1.25])
    weighted = pn.weighted(loss).vjp(LOGITS, (LABELS, by_class[LABELS]))
    close(loss(weight=by_class).vjp(LOGITS, LABELS), weighted)
    assert loss(weight=by_class) == loss(weight=[0.5, 2.0, 1.25]) != loss(weight=(0.5, 2.0, 1.0))


@pytest.mark.parametrize("loss", CLASSIFYING)
@pytest.mark.parametrize("ignored", [-100, 255, 1])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int16])
def test_ignored_labels_are_as_if_they_were_not_there(loss, ignored, dtype):
    labels = np.where(LABELS == 1, ignored, LABELS).astype(dtype)
    E, pullback = loss(ignore_index=ignored).vjp(LOGITS, labels)
    kept = labels != ignored
    close((E, lambda: pullback()[kept]), loss.vjp(LOGITS[kept], labels[kept]))
    assert not pullback()[~kept].any()


def test_ignored_labels_of_bytes():
    labels = np.array([0, 255, 2, 1], np.uint8)
    for ignored, count in ((255, 3), (-100, 4)):
        rows = labels if ignored == 255 else labels % 253
        E = pn.softmax_cross_entropy(ignore_index=ignored, reduction="sum").apply(np.zeros((4, 3)), rows)
        assert pytest.approx(count * np.log(3)) == E


@pytest.mark.parametrize("loss", CLASSIFYING)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_nothing_depends_on_a_row_that_is_ignored(loss, wrong):
    y, labels = np.array([[wrong, 0.0], [1.0, 0.0]]), np.array([9, 0])
    E, pullback = loss(ignore_index=9).vjp(y, labels)
    close((E, lambda: pullback()[1:]), loss.vjp(y[1:], labels[1:]))
    assert not pullback()[0].any()


def test_pos_weight_repeats_the_positive_targets():
    y, target = LOGITS[:, 0], np.eye(4, 3)
    whole = pn.binary_cross_entropy_with_logits(pos_weight=3, reduction="sum").vjp(y, target)
    repeated = pn.weighted(pn.binary_cross_entropy_with_logits(reduction="sum")).vjp(y, (target, 1 + 2 * target))
    close(whole, repeated)


def test_cosine_similarity_of_a_y_that_is_all_but_0():
    y, target = np.array([[1e-9, 0.0]]), np.array([[3.0, 4.0]])
    E, pullback = pn.cosine_similarity.vjp(y, target)
    np.testing.assert_allclose(E, -0.06, rtol=1e-14)
    np.testing.assert_allclose(pullback(), [[-0.6e8, -0.8e8]], rtol=1e-14)  # a length below 1e-8 is a constant
