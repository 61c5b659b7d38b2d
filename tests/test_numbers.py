"""NumPy's numbers stand for Python's, its subclasses for plain arrays; a caller's array stays theirs."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.cases import normal
from tests.catalogue import LAYERS, LOSSES
from tests.test_bad_input import shape_of

I, F = np.int64, np.float64  # noqa: E741
LAYER = pn.dense(3, 2)
PARAMS = LAYER.init(pn.key(0))
X = normal(4, 3).astype(np.float32)
TARGET = normal(4, 2).astype(np.float32)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (lambda: pn.dense(I(3), I(2)), "dense(3, 2)"),
        (lambda: pn.dense(np.array(3)), "dense(3)"),
        (lambda: pn.dense(3, 2, bias=np.bool_(False)), "dense(3, 2, bias=False)"),
        (lambda: pn.binary_dense(I(3), I(2)), "binary_dense(3, 2)"),
        (lambda: pn.conv(I(3), I(2), I(3), stride=I(2), padding=I(1)), "conv(3, 2, 3, stride=2, padding=1)"),
        (lambda: pn.conv(4, 2, (I(3), I(2)), groups=np.int8(2)), "conv(4, 2, (3, 2), groups=2)"),
        (lambda: pn.conv_transpose(I(2), I(3), stride=(I(2), 1)), "conv_transpose(2, 3, stride=(2, 1))"),
        (lambda: pn.max_pool(I(2), stride=I(1)), "max_pool(2, stride=1)"),
        (lambda: pn.avg_pool([I(2), 2]), "avg_pool([2, 2])"),
        (lambda: pn.upsample(I(2)), "upsample(2)"),
        (lambda: pn.pad((I(1), (I(0), 2))), "pad((1, (0, 2)))"),
        (lambda: pn.reshape(I(2), I(-1)), "reshape(2, -1)"),
        (lambda: pn.concat(axis=I(1)), "concat(axis=1)"),
        (lambda: pn.lstm(I(2), I(3)), "lstm(2, 3)"),
        (lambda: pn.gru(I(3)), "gru(3)"),
        (lambda: pn.rnn(I(3)), "rnn(3)"),
        (lambda: pn.embedding(X.argmax() + 1, I(3)), f"embedding({X.argmax() + 1}, 3)"),
        (lambda: pn.learned_positions(I(5)), "learned_positions(5)"),
        (lambda: pn.multi_head_attention(I(4), I(2)), "multi_head_attention(4, 2)"),
        (lambda: pn.transformer_block(I(4), I(2), dropout=F(0.5)), "transformer_block(4, 2, dropout=0.5)"),
        (lambda: pn.group_norm(I(2), eps=F(0.5)), "group_norm(2, eps=0.5)"),
        (lambda: pn.batch_norm(I(2), momentum=F(0.5)), "batch_norm(features=2, momentum=0.5)"),
        (lambda: pn.prelu(I(3)), "prelu(channels=3)"),
        (lambda: pn.dropout(np.float32(0.25)), "dropout(rate=0.25)"),
        (lambda: pn.elu(F(0.5)), "elu(alpha=0.5)"),
        (lambda: pn.huber(F(0.5)), "huber(delta=0.5)"),
        (lambda: pn.softmax_cross_entropy(F(0.5)), "softmax_cross_entropy(label_smoothing=0.5)"),
        (lambda: pn.adam(np.float32(0.5), beta1=F(0.5)), "adam(lr=0.5, beta1=0.5)"),
        (lambda: pn.muon(F(0.5), weight_decay=F(0.5)), "muon(lr=0.5, weight_decay=0.5)"),
        (lambda: pn.accumulate(I(2)), "accumulate(2)"),
        (lambda: pn.lookahead(I(2), F(0.25)), "lookahead(2, 0.25)"),
        (lambda: pn.clip_by_global_norm(F(1)), "clip_by_global_norm(1.0)"),
        (lambda: pn.ema(F(0.5)), "ema(0.5)"),
        (lambda: pn.l2(F(0.5)), "l2(0.5)"),
        (lambda: pn.schedules.step(F(0.5), every=I(3)), "step(0.5, every=3)"),
        (lambda: pn.schedules.piecewise(F(0.5), {I(3): F(0.25)}), "piecewise(0.5, {3: 0.25})"),
        (lambda: pn.schedules.reduce_on_plateau(F(0.5), patience=I(3)), "reduce_on_plateau(0.5, patience=3)"),
        (lambda: pn.initializers.normal(F(0.5)), "normal(0.5)"),
        (lambda: pn.initializers.variance_scaling(F(2)), "variance_scaling(2.0, 'fan_in', 'uniform')"),
    ],
)
def test_numbers_of_numpy_stand_for_those_of_python(given, meant):
    assert repr(given()) == meant


@pytest.mark.parametrize(
    "layer",
    [
        pn.elu(F(0.5)), pn.leaky_relu(F(0.5)), pn.celu(F(0.5)), pn.rms_norm(eps=F(0.5)),
        pn.batch_norm(momentum=F(0.5), eps=F(0.5)), pn.layer_norm(eps=F(0.5)), pn.dropout(F(0.5)),
        pn.gaussian_noise(F(0.5)), pn.positional_encoding(base=F(100)),
    ],
)  # fmt: skip
def test_options_of_numpy_keep_the_dtype(layer):
    x = normal(2, 4, 6).astype(np.float32)
    y, pullback = layer.vjp(layer.init(pn.key(0), (4, 6)), x, pn.key(1))
    assert y.dtype == np.float32
    assert pullback(y)[1].dtype == np.float32


def test_losses_optimizers_and_penalties_with_options_of_numpy_keep_the_dtype():
    assert pn.huber(F(0.5)).vjp(X, X + 1)[1](F(2)).dtype == np.float32
    assert pn.softmax_cross_entropy(F(0.5)).vjp(X, np.array([0, 1, 2, 0]))[1]().dtype == np.float32
    decay = pn.chain(pn.clip_by_norm(F(1)), pn.weight_decay(F(0.1)), pn.ema(F(0.5)), pn.sgd(F(0.1)))
    momentum = pn.sgd(F(0.1), momentum=F(0.5))
    for optimizer in (pn.adam(F(0.1), eps=F(0.1)), momentum, pn.lion(F(0.1), weight_decay=F(0.5)), decay):
        params, state = optimizer.step(PARAMS, PARAMS, optimizer.init(PARAMS))
        assert {leaf.dtype.kind for leaf in pn.tree.leaves((params, state))} <= {"f", "i"}
        assert {leaf.dtype for leaf in pn.tree.leaves((params, state)) if leaf.dtype.kind == "f"} == {np.dtype("f4")}
    assert pn.l2(F(0.1)).add(PARAMS, PARAMS)[1].weight.dtype == np.float32


def test_where_a_count_is_asked_for():
    E = pn.value_and_grad(LAYER, pn.mse)
    assert pn.tree.allclose(pn.in_chunks(E, I(2), threads=I(1))(PARAMS, X, TARGET), E(PARAMS, X, TARGET))
    assert len(pn.split(pn.key(I(0)), I(3))) == 3
    assert len(list(pn.data.batches(None, X, size=I(2)))) == 2
    assert len(pn.data.split(None, X, test=np.float32(0.5))[1][0]) == 2
    assert len(pn.data.split(None, X, test=I(1))[1][0]) == 1
    run = {"key": None, "epochs": I(2), "batch_size": I(2), "patience": I(1), "validation": (X, TARGET)}
    assert pn.fit(LAYER, pn.mse, pn.sgd(F(0.1)), PARAMS, (X, TARGET), **run).params.weight.dtype == np.float32
    assert pn.predict(LAYER, PARAMS, X, batch_size=I(3)).shape == (4, 2)
    assert pn.checkpoints("folder", every=I(2), keep=I(3)).steps() == []


# --- other arrays of NumPy


class Other(np.ndarray):
    """Such as np.memmap."""


OTHER = {
    "another byte order": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "a subclass": lambda a: a.view(Other),
}


def others(change, tree):
    return pn.tree.map(lambda a: change(a) if isinstance(a, np.ndarray) and a.dtype.kind in "fiu" else a, tree)


def same_and_plain(one, two):
    def all_of(tree):
        return [(leaf.dtype, leaf.shape, leaf.tobytes()) for leaf in map(np.asarray, pn.tree.leaves(tree))]

    assert all(type(leaf) is np.ndarray for leaf in pn.tree.leaves(one))
    assert all(leaf.dtype.isnative for leaf in pn.tree.leaves(one))
    assert all_of(one) == all_of(two)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_take_other_arrays_of_numpy(name, change):
    for case in LAYERS[name][:4]:
        y, pullback = case.layer.vjp(case.params, case.x, case.key)
        changed = others(change, (case.params, case.x)) if name != "frozen" else (case.params, others(change, case.x))
        for params, x in ((case.params, others(change, case.x)), changed):
            for _ in range(2):  # the second time after the first was checked
                again, pullback_again = case.layer.vjp(params, x, case.key)
                same_and_plain(again, y)
                same_and_plain(case.layer.apply(params, x, case.key), y)
                same_and_plain(pullback_again(others(change, y)), pullback(y))


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_losses_take_other_arrays_of_numpy(change):
    for case in (case for cases in LOSSES.values() for case in cases):
        E, pullback = case.loss.vjp(case.y, case.target)
        for _ in range(2):
            again, pullback_again = case.loss.vjp(others(change, case.y), others(change, case.target))
            assert again.tobytes() == E.tobytes()
            same_and_plain(pullback_again(), pullback())


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_training_takes_other_arrays_of_numpy(change):
    E, grads = pn.value_and_grad(LAYER, pn.mse)(PARAMS, X, TARGET)
    for params in (PARAMS, others(change, PARAMS)):
        again = pn.value_and_grad(LAYER, pn.mse)(params, change(X), change(TARGET))
        assert again[0] == E
        same_and_plain(again[1], grads)
        stepped = pn.sgd_step(params, others(change, grads), 0.1)
        same_and_plain(stepped, pn.sgd_step(PARAMS, grads, 0.1))
        for optimizer in (pn.adam(), pn.adadelta(), pn.chain(pn.joined(), pn.adamax())):
            new, state = optimizer.step(params, others(change, grads), optimizer.init(params))
            same_and_plain(new, optimizer.step(PARAMS, grads, optimizer.init(PARAMS))[0])
            assert not any(leaf.flags.writeable for leaf in pn.tree.leaves((new, state)))
        same_and_plain(pn.tree.cast(params, np.float32), PARAMS)


# --- a caller's array stays theirs


def test_the_array_of_an_initializer_is_copied():
    weight = np.ones((3, 2), np.float32)
    large = np.ones((9, 2), np.float32)
    frozen_view = weight.view()
    frozen_view.flags.writeable = False
    for given in (weight, large[:3], frozen_view, weight.view(Other)):
        params = pn.dense(3, 2, weight_init=lambda key, shape, given=given: given).init(pn.key(0))
        weight[:] = large[:] = 7  # they can still be written to
        assert (params.weight == 1).all()
        assert type(params.weight) is np.ndarray
        with pytest.raises(ValueError, match="read-only"):
            params.weight[:] = 0
        weight[:] = large[:] = 1


@pytest.mark.parametrize("given", [[[1.0, 2.0]] * 3, 3.0, None])
def test_what_is_no_array_says_so(given):
    with pytest.raises(
        ValueError, match=r"dense\(3, 2\) asked its initializer for shape \(3, 2\), but got (a list|a float|None)"
    ):
        pn.dense(3, 2, weight_init=lambda key, shape: given).init(pn.key(0))


# --- shapes that are known in part


def partly_known(shape):
    """The shape of an example, or of several, with some of its sizes unknown."""
    if shape and all(isinstance(n, int) for n in shape):
        yield from ((*shape[:i], None, *shape[i + 1 :]) for i in range(len(shape)))
        yield from ((*(None,) * (len(shape) - 1), shape[-1]), (..., shape[-1]), (..., None), (None,) * len(shape))
    elif shape and all(isinstance(each, tuple) and each for each in shape):
        for i, each in enumerate(shape):
            yield from ((*shape[:i], part, *shape[i + 1 :]) for part in partly_known(each))
        yield from zip(*map(partly_known, shape))  # noqa: B905


# another input may have other features
OTHER_FEATURES = {"multi_head_attention", "keep_rest", "transformer_block", "transformer_decoder_block"}


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_that_are_known_in_part(name):
    for layer, whole in {case.layer.name: (case.layer, shape_of(case.x)) for case in LAYERS[name]}.values():
        for part in partly_known(whole):
            try:
                params, shape = layer.init(pn.key(0), part), layer.shape(part)
            except ValueError as error:
                assert "does not know" in str(error) or " takes " in str(error), part  # noqa: PT017
                continue
            if name not in OTHER_FEATURES:
                pn.tree.check_same(params, layer.init(pn.key(0), whole), "params")
            if shape is not None and not any(isinstance(n, tuple) for n in shape):
                assert all(
                    a in (b, None) for a, b in zip(shape[::-1], layer.shape(whole)[::-1], strict=False) if a is not ...
                )


@pytest.mark.parametrize("in_shape", [(None, None, 3), (..., 3), (None, 8, 3)])
def test_a_net_for_images_of_any_size(in_shape):
    same = {"padding": "same"}
    net = pn.serial(
        pn.conv(4, 3, **same), pn.residual(pn.serial(pn.conv(4, 3, **same), pn.relu)), pn.max_pool(2), pn.pad(1),
        pn.fan_out(pn.identity, pn.conv(4, 1)), pn.concat, pn.upsample(2),
        pn.conv_transpose(5, 2, stride=2), pn.batch_norm, pn.global_avg_pool, pn.dense(2),
    )  # fmt: skip
    params = net.init(pn.key(0), in_shape)
    pn.tree.check_same(params, net.init(pn.key(0), (8, 8, 3)), "params")
    assert net.shape(in_shape) == (2,)
    assert net.apply(params, normal(2, 6, 8, 3).astype(np.float32)).shape == (2, 2)
    assert "global_avg_pool" in pn.summary(net, in_shape)


@pytest.mark.parametrize("part", [(None, 3), (..., 3)])
def test_what_is_joined_of_any_length_has_as_many_features_as_its_parts(part):
    assert pn.concat.shape((part, part)) == (..., 6)
    assert pn.add.shape((part, part)) == (..., 3)
    assert pn.concat.shape((part, (3, None))) is None


def test_a_summary_of_sequences_of_any_length():
    assert "parameters: 222" in pn.summary(
        pn.serial(pn.map_time(pn.dense(4)), pn.lstm(5, last=True), pn.dense(1)), (None, 3)
    )
