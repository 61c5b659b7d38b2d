"""`fit`, `train`, `evaluate` and `predict` with the name of an engine: what a run on NumPy gives, to rounding."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import jax
import numpy as np
import pytest
import torch

import purenet as pn
from purenet.training import NotFiniteError
from purenet.training.compiled import LONGEST

KIND = {"numpy": np.ndarray, "jax": jax.Array, "torch": torch.Tensor}
each_engine = pytest.mark.parametrize("engine", KIND)

x = pn.random.normal(pn.key(3), (50, 2))
target = x[:, :1] * x[:, 1:]
labels = (x[:, 0] > 0).astype(np.int64)
NET = pn.serial(pn.dense(2, 8, bias=False), pn.batch_norm(8), pn.tanh, pn.dense(8, 1))
PARAMS = NET.init(pn.key(0))
CLASSES = pn.serial(pn.dense(2, 8), pn.relu, pn.dense(8, 2))
TWO = pn.serial(pn.parallel(pn.dense(2, 4), pn.dense(1, 4)), pn.add, pn.tanh, pn.dense(4, 1))
RUN = {"key": pn.key(1), "epochs": 4, "batch_size": 16}  # the last batch has two examples


class Setting(NamedTuple):
    net: pn.Layer
    loss: pn.Loss
    optimizer: pn.Optimizer
    data: tuple
    options: dict = {}  # noqa: RUF012 (it is never changed)


SCHEDULE = pn.schedules.warmup(pn.schedules.cosine(0.05, steps=16), steps=3)
SETTINGS = {
    "batch norm, a schedule, penalties": Setting(
        NET, pn.mse, pn.adam(SCHEDULE), (x, target), {"penalties": [pn.l2(1e-3), pn.l1(1e-4)]}
    ),
    "labels, validation, metrics": Setting(
        CLASSES, pn.softmax_cross_entropy, pn.sgd(0.1, momentum=0.9), (x, labels),
        {"validation": (x[:20], labels[:20]), "metrics": [pn.metrics.accuracy]},
    ),
    "two inputs, clipped and joined": Setting(
        TWO, pn.huber, pn.chain(pn.clip_by_global_norm(0.5), pn.joined(), pn.adam(0.05)), (x, target, target)
    ),
    "without shuffling": Setting(NET, pn.mse, pn.rmsprop(0.01), (x, target), {"key": None}),
    "full batch": Setting(NET, pn.mse, pn.lamb(0.01), (x, target), {"batch_size": 50}),
    "a batch larger than the data": Setting(NET, pn.mse, pn.sgd(0.01), (x, target), {"batch_size": 64}),
    "patience": Setting(
        CLASSES, pn.softmax_cross_entropy, pn.sgd(3.0), (x, labels),
        {"validation": (x[:20], labels[:20]), "patience": 2, "epochs": 30},
    ),
    "the highest": Setting(NET, pn.mse, pn.sgd(0.01), (x, target), {"best": "highest", "patience": 2}),
}  # fmt: skip


def fit(setting, engine, **options):
    params = setting.net.init(pn.key(0))
    run = {**RUN, **setting.options, **options}
    return pn.fit(setting.net, setting.loss, setting.optimizer, params, setting.data, engine=engine, **run)


def agree(ours, theirs, rtol=2e-4, atol=2e-6):
    assert ours.stopped == theirs.stopped
    assert [*ours.history] == [*theirs.history]
    for name, values in ours.history.items():
        np.testing.assert_allclose(theirs.history[name], values, rtol=rtol, atol=atol, err_msg=name)
    assert (theirs.best.epoch, theirs.best.monitor) == (ours.best.epoch, ours.best.monitor)
    assert theirs.best.value == pytest.approx(ours.best.value, rel=rtol)
    assert theirs.state._replace(params=0, optimizer_state=0, loss=0, total=0) == ours.state._replace(
        params=0, optimizer_state=0, loss=0, total=0
    )
    assert pn.tree.allclose(ours.params, theirs.params, rtol=10 * rtol, atol=10 * atol)
    assert pn.tree.allclose(ours.best.params, theirs.best.params, rtol=10 * rtol, atol=10 * atol)


@each_engine
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_fit_gives_what_numpy_gives(setting, engine):
    found = fit(setting, engine)
    agree(fit(setting, None), found)
    assert all(isinstance(leaf, KIND[engine]) for leaf in pn.tree.leaves(found.params))


@pytest.mark.parametrize("key", [None, pn.key(5)])
def test_many_short_epochs_in_one_program_give_what_each_by_itself_gives(key):
    options = {"key": key, "epochs": LONGEST // 2 + 30, "batch_size": 10}
    sgd = pn.sgd(pn.schedules.cosine(0.05, steps=5 * options["epochs"]))
    setting = Setting(pn.serial(pn.dense(2, 4), pn.tanh, pn.dense(4, 1)), pn.mse, sgd, (x, target))
    together, alone = (fit(setting, "jax", **options, callbacks=looks) for looks in ((), [lambda state, record: None]))
    agree(alone, together, rtol=1e-6, atol=1e-9)
    agree(fit(setting, None, **options), together, rtol=2e-3, atol=1e-5)


@each_engine
def test_train_yields_each_step_and_each_epoch(engine):
    batches = lambda key: pn.data.batches(key, x, target, size=16)  # noqa: E731
    for each in ("step", "epoch"):
        run = [
            [(state.step, state.epoch, state.batch, state.loss) for state in states]
            for states in (
                pn.train(NET, pn.mse, pn.adam(), PARAMS, batches, key=pn.key(0), epochs=2, each=each, engine=name)
                for name in (None, engine)
            )
        ]
        np.testing.assert_allclose(run[1], run[0], rtol=1e-4)


@each_engine
def test_batches_come_from_anywhere(engine):
    batches = [(x[:16], target[:16]), (x[16:], target[16:])]
    own, found = (
        pn.fit(NET, pn.mse, pn.adam(), PARAMS, batches, key=pn.key(0), epochs=3, engine=name) for name in (None, engine)
    )
    agree(own, found)


@each_engine
def test_a_run_goes_on_where_it_stopped_to_the_same_bits(engine, tmp_path):
    net = pn.serial(pn.dense(2, 8), pn.batch_norm(8), pn.dropout(0.2), pn.tanh, pn.dense(8, 1))
    optimizer = pn.chain(pn.gradient_noise(pn.key(7)), pn.adam(0.01))
    params, run = net.init(pn.key(0)), {"key": pn.key(1), "engine": engine}
    whole = pn.fit(net, pn.mse, optimizer, params, (x, target), epochs=4, batch_size=16, **run)
    part = pn.fit(net, pn.mse, optimizer, params, (x, target), epochs=2, batch_size=16, **run)
    rest = pn.fit(net, pn.mse, optimizer, params, (x, target), epochs=4, batch_size=16, resume=part, **run)
    assert whole.history["loss"].tolist() == rest.history["loss"].tolist()
    batches = lambda key: pn.data.batches(key, x, target, size=16)  # noqa: E731
    states = list(pn.train(net, pn.mse, optimizer, params, batches, epochs=2, **run))
    pn.save(tmp_path / "run.npz", states[4])
    loaded = pn.load(tmp_path / "run.npz", like=states[0])
    again = list(pn.train(net, pn.mse, optimizer, params, batches, epochs=2, resume=loaded, **run))
    assert [state.loss for state in again] == [state.loss for state in states[5:]]
    by_fit = pn.fit(net, pn.mse, optimizer, params, (x, target), epochs=2, batch_size=16, resume=loaded, **run)
    assert by_fit.history["loss"][-1] == pytest.approx(np.mean([s.loss for s in states[4:]]), rel=1e-6)


def test_dropout_under_jax_draws_from_the_key():
    net = pn.serial(pn.dense(2, 8), pn.dropout(0.5), pn.dense(8, 1))
    setting = Setting(net, pn.mse, pn.sgd(0.01), (x, target))
    one, same, other = (fit(setting, "jax", key=pn.key(seed)).history["loss"] for seed in (0, 0, 1))
    assert one.tolist() == same.tolist() != other.tolist()
    assert fit(setting, "jax", key=None).history["loss"].tolist() != one.tolist()
    assert len(fit(setting, "jax", key=jax.random.key(0)).history["loss"]) == 4


@each_engine
@pytest.mark.parametrize(
    "options",
    [{}, {"callbacks": [lambda state, record: None]}, {"key": None}],
    ids=["in a row", "by epoch", "without a key"],
)
def test_a_loss_that_is_not_finite_is_found_at_its_step(engine, options):
    spoilt = x.copy()
    spoilt[37] = np.nan
    messages = []
    for name in (None, engine):
        run = {**RUN, "batch_size": 10, "engine": name, **options}
        with pytest.raises(NotFiniteError) as caught:
            pn.fit(NET, pn.mse, pn.adam(), PARAMS, (spoilt, target), **run)
        messages.append(str(caught.value))
        state = caught.value.state
        messages.append((state.step, state.epoch, state.batch))
    assert messages[:2] == messages[2:]


@each_engine
def test_callbacks_and_ctrl_c(engine):
    seen = []

    def callback(state, record):
        seen.append((state.epoch, record["loss"]))
        if state.epoch == 3:
            raise KeyboardInterrupt

    setting = SETTINGS["without shuffling"]
    found = fit(setting, engine, epochs=10, callbacks=[callback])
    assert (found.stopped, found.state.epoch) == ("interrupted", 3)
    assert found.history["loss"].tolist() == [loss for _, loss in seen]
    assert fit(setting, engine, epochs=10, callbacks=[lambda state, record: state.epoch == 2]).state.epoch == 2


@each_engine
def test_evaluate_and_predict(engine):
    own = pn.evaluate(NET, pn.mse, PARAMS, (x, target), [pn.metrics.r2], batch_size=16)
    found = pn.evaluate(NET, pn.mse, PARAMS, (x, target), [pn.metrics.r2], batch_size=16, engine=engine)
    assert found == {name: pytest.approx(value, rel=1e-5) for name, value in own.items()}
    y = pn.predict(NET, PARAMS, x, batch_size=16, engine=engine)
    assert isinstance(y, KIND[engine])
    np.testing.assert_allclose(np.asarray(y), NET.apply(PARAMS, x), rtol=1e-5, atol=1e-6)


def test_equal_runs_are_compiled_once():
    traced = []

    def rule(ops, params, x, key):
        traced.append(x.shape)
        return x * 2, lambda dy, wrt_x: ((), dy * 2)

    twice = pn.layer(pn.Spec("twice", x="...", y="..."), rule)
    optimizer = pn.sgd(0.01)
    for _ in range(2):
        net = pn.serial(pn.dense(2, 1), twice)
        pn.fit(net, pn.mse, optimizer, net.init(pn.key(0)), (x, target), **RUN, engine="jax")
        traced.append("done")
    assert "done" not in traced[:-1] or traced[-2:] == ["done", "done"]


def test_the_progress_line_tells_that_it_compiles(capsys):
    fit(SETTINGS["full batch"], "jax", progress=True)
    assert "compiling" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"engine": "tensorflow"}, ValueError, "an engine is one of"),
        ({"device": "cuda"}, ValueError, "write engine='torch' or engine='jax' too"),
        ({"engine": "torch", "device": "nothing"}, ValueError, "PyTorch has no device"),
        ({"engine": "jax", "device": "tpu"}, ValueError, "JAX has no device 'tpu' here"),
    ],
)
def test_bad_input_says_what_to_do(options, kind, message):
    with pytest.raises(kind, match=message):
        pn.fit(NET, pn.mse, pn.sgd(0.1), PARAMS, (x, target), **RUN, **options)
    with pytest.raises(kind, match=message):
        pn.train(NET, pn.mse, pn.sgd(0.1), PARAMS, [(x, target)], key=None, epochs=1, **options)
    with pytest.raises(kind, match=message):
        pn.evaluate(NET, pn.mse, PARAMS, (x, target), **options)
    with pytest.raises(kind, match=message):
        pn.predict(NET, PARAMS, x, **options)


def test_jax_is_not_installed(monkeypatch):
    def without(name, *rest):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=r"pip install 'purenet\[jax\]'"):
        pn.fit(NET, pn.mse, pn.sgd(0.1), PARAMS, (x, target), **RUN, engine="jax")


def wave_by_numpy():
    def vjp(params, x, key=None):
        return np.asarray(np.sin(x)), lambda dy, wrt_x=True: ((), dy * np.cos(x))

    return pn.Layer(
        lambda key, in_shape=None: (), lambda p, x, key=None: np.asarray(np.sin(x)), vjp, lambda s: s, "wave"
    )


@pytest.mark.parametrize(
    "given",
    [
        {"net": pn.serial(pn.dense(2, 1), wave_by_numpy())},
        {"loss": pn.loss(lambda y, t: np.square(np.asarray(y) - t).mean(), lambda y, t: 2 * (y - t) / y.size)},
        {"penalties": pn.Penalty(lambda p, g: (float(p[0].weight.sum()), g), "mine")},
        {"optimizer": pn.sgd(lambda step: 0.1 if step < 3 else 0.01)},
    ],
    ids=["layer", "loss", "penalty", "schedule"],
)
def test_what_jax_cannot_compile_is_told_so(given):
    run = {"net": pn.serial(pn.dense(2, 1), pn.tanh), "loss": pn.mse, "optimizer": pn.sgd(0.1), **given}
    run["params"] = run["net"].init(pn.key(0))
    message = "JAX cannot compile .*: call the array's own functions.*, or leave out engine='jax'"
    with pytest.raises(TypeError, match=message):
        pn.fit(**run, data=(x, target), **RUN, engine="jax")
    if "net" in given:
        with pytest.raises(TypeError, match=message):
            pn.predict(run["net"], run["params"], x, engine="jax")


@pytest.mark.parametrize("engine", [None, "jax", "torch"])
def test_no_examples(engine):
    with pytest.raises(ValueError, match="fit takes at least one example"):
        pn.fit(NET, pn.mse, pn.sgd(0.1), PARAMS, (x[:0], target[:0]), **RUN, engine=engine)


def test_a_label_out_of_range_is_told_so_under_jax_too():
    net = pn.serial(pn.dense(2, 3))
    labels = np.arange(len(x)) % 4
    with pytest.raises(ValueError, match=r"softmax_cross_entropy takes labels from 0 to 2.*but found 3"):
        pn.fit(net, pn.softmax_cross_entropy, pn.sgd(0.1), net.init(pn.key(0)), (x, labels), **RUN, engine="jax")


@pytest.mark.parametrize("given", [lambda params: 0.0, 0.1, [0.1]], ids=["a function", "a number", "a list"])
def test_what_is_no_penalty_is_told_so(given):
    with pytest.raises(TypeError, match=r"takes penalties after the loss.*write l2\(1e-4\)"):
        pn.fit(NET, pn.mse, pn.sgd(0.1), PARAMS, (x, target), **RUN, penalties=given)
