"""The loop: watched, stopped, resumed; and what a trained net gives."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pytest

import purenet as pn
from purenet.training import NotFiniteError
from purenet.training.runs import State
from tests.cases import normal
from tests.kit import bits, momentum, noise, sgd

x = pn.random.normal(pn.key(3), (10, 2))
target = x[:, :1] * x[:, 1:]
net = pn.serial(pn.dense(2, 8), pn.tanh, noise(0.01), pn.dense(8, 1))
params = net.init(pn.key(0))


def shuffled(key):
    return pn.data.batches(key, x, target, size=4)


def run(batches=shuffled, optimizer=None, **options):
    return pn.train(
        net, pn.mse, optimizer or momentum(0.05), params, batches, **{"key": pn.key(1), "epochs": 3, **options}
    )


# --- train


def test_a_layer_whose_only_parameter_is_a_scalar_trains_first_in_a_net():
    def rule(ops, a, x, key):
        return a * x, lambda dy, wrt_x: (ops.sum_all(dy * x), a * dy)

    gain = pn.layer(pn.Spec("gain", x="...", y="...", params="", init=pn.initializers.ones), rule)
    net, x = pn.serial(gain, pn.dense(2, 1)), np.ones((6, 2), np.float32)
    params, target = net.init(pn.key(0)), np.zeros((6, 1), np.float32)
    pn.testing.check_vjp(gain, params[0], x)
    for _ in range(2):  # by the checked way, and the bare one
        E, grads = pn.in_chunks(pn.value_and_grad(net, pn.mse), 3)(params, x, target)
        assert type(grads[0]) is np.float32
    assert pn.tree.ravel(grads)[0].shape == (4,)
    assert pn.tree.cast(grads, np.float64)[0].dtype == np.float64
    found = pn.fit(net, pn.mse, pn.adam(0.1), params, (x, target), key=pn.key(1), epochs=3)
    assert found.history["loss"][-1] < E


def test_the_loop_is_the_plain_loop():
    """By hand: the same keys, the same batches, the same steps."""
    optimizer = momentum(0.05)
    p, state, key, losses = params, optimizer.init(params), pn.key(1), []
    for _ in range(3):
        order_key, chain, key = pn.split(key, 3)
        step_keys = pn.split(chain, 65)[1:]
        for (a, t), step_key in zip(shuffled(order_key), step_keys, strict=False):
            E, grads = pn.value_and_grad(net, pn.mse)(p, a, t, step_key)
            p, state = optimizer.step(p, grads, state)
            losses.append(float(E))
    states = list(run())
    assert [s.loss for s in states] == losses
    assert bits(states[-1].params) == bits(p)
    assert bits(states[-1].optimizer_state) == bits(state)
    assert states[-1].key == key


def test_states_count():
    states = list(run())
    assert [(s.step, s.epoch, s.batch) for s in states] == [
        (1, 0, 1), (2, 0, 2), (3, 1, 0), (4, 1, 1), (5, 1, 2), (6, 2, 0), (7, 2, 1), (8, 2, 2), (9, 3, 0)
    ]  # fmt: skip


def test_each_epoch_gives_the_mean_of_its_steps():
    steps, epochs = list(run()), list(run(each="epoch"))
    assert [s.epoch for s in epochs] == [1, 2, 3]
    for i, state in enumerate(epochs):
        assert state.loss == pytest.approx(sum(s.loss for s in steps[3 * i : 3 * i + 3]) / 3, rel=1e-12)
        assert bits(state.params) == bits(steps[3 * i + 2].params)


def test_break_is_early_stopping_and_old_states_stay():
    states = list(itertools.islice(run(epochs=None), 20))
    before = bits(states[0].params)
    assert states[-1].loss < states[0].loss
    assert bits(states[0].params) == before
    assert not states[0].params[0].weight.flags.writeable


@pytest.mark.parametrize("at", range(9))
def test_resumed_at_any_step_it_ends_with_the_same_bits(at, tmp_path):
    states = list(run())
    pn.save(tmp_path / "state.npz", states[at])
    resumed = pn.load(tmp_path / "state.npz", like=pn.start(momentum(0.05), params, pn.key(9)))
    assert isinstance(resumed, State)
    rest = list(run(resume=resumed))
    assert len(rest) == 8 - at
    assert [bits(s) for s in rest] == [bits(s) for s in states[at + 1 :]]


def test_more_than_64_steps_of_an_epoch_resume_too():
    batches = [(x, target)] * 150
    states = list(run(batches, epochs=1))
    assert bits(list(run(batches, epochs=1, resume=states[99]))[-1]) == bits(states[-1])
    key, *first = pn.split(pn.split(pn.key(1), 3)[1], 65)
    assert len({*first, *pn.split(key, 65)}) == 64 + 65


def test_without_a_key_the_layers_are_deterministic():
    first, second = (list(run([(x, target)], key=None))[-1] for _ in range(2))
    assert first.key is None
    assert bits(first) == bits(second)
    by_hand, _ = pn.value_and_grad(net, pn.mse)(params, x, target)
    assert next(run([(x, target)], key=None)).loss == float(by_hand)


def test_an_iterator_is_one_epoch():
    states = list(run(shuffled(None), epochs=None))
    assert [(s.step, s.epoch) for s in states] == [(1, 0), (2, 0), (3, 1)]


def test_batches_of_several_inputs():
    def apply(params, x, key=None):
        return x[0] + x[1]

    def vjp(params, x, key=None):
        return apply(params, x), lambda dy, wrt_x=True: ((), None)

    layer = pn.Layer(lambda *_: (), apply, vjp, lambda s: s, "add")
    state = next(pn.train(layer, pn.mse, sgd(0.1), (), [(x, x, 2 * x)], key=None))
    assert state.loss == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"each": "batch"}, ValueError, "each 'step' or each 'epoch', not 'batch'"),
        ({"batches": 3}, TypeError, "something to iterate over, or a function of a key, not an int"),
        (
            {"batches": [x]},
            TypeError,
            r"takes batches in a list, not arrays: write lambda key: pn.data.batches\(key, x",
        ),
        ({"batches": [(x,)]}, TypeError, r"a batch is a tuple \(x, target\), not a tuple of 1"),
        ({"batches": []}, ValueError, "got no batch 1 in epoch 1"),
        ({"optimizer": pn.mse}, TypeError, "an optimizer stands after the loss"),
    ],
)
def test_errors_of_train(options, error, message):
    with pytest.raises(error, match=message):
        list(run(**options))


def test_a_loss_of_ones_own_may_give_a_python_number():
    loss = pn.Loss(
        lambda y, t: float(np.sum(y)), lambda y, t: (float(np.sum(y)), lambda dE=1.0: dE * np.ones_like(y)), "total"
    )
    E, grads = pn.value_and_grad(pn.tanh, loss)((), np.ones((2, 1), np.float32), None)
    assert (type(E), grads) == (float, ())


def test_a_mistake_is_told_before_the_first_step():
    with pytest.raises(TypeError, match="an optimizer stands after the loss"):
        run(optimizer=pn.mse)


@pytest.mark.filterwarnings("ignore:.*encountered in")
def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_layer():
    huge = pn.tree.map(lambda p: p * np.float32(1e30), params)
    wide = pn.serial(pn.dense(2, 8), pn.identity, pn.dense(8, 1))
    message = r"^step 1, epoch 1: mse is (inf|nan): the output of net\[2\], dense"
    with pytest.raises(NotFiniteError, match=message) as caught:
        list(pn.train(wide, pn.mse, sgd(0.1), (huge[0], (), huge[3]), shuffled, key=pn.key(0)))
    assert caught.value.state.step == 0

    def poisoned():
        yield from [(x, target)] * 4
        yield np.where(x > 0, x, np.nan).astype(np.float32), target

    with pytest.raises(NotFiniteError, match=r"^step 5, epoch 1: mse is nan: x is not finite") as caught:
        list(run(poisoned(), epochs=1))
    assert caught.value.state.step == 4
    assert all(np.isfinite(leaf).all() for leaf in pn.tree.leaves(caught.value.state.params))


@pytest.mark.filterwarnings("ignore:.*encountered in")
def test_diverging_steps_are_named():
    with pytest.raises(NotFiniteError, match=r"^step \d+, epoch \d+: mse is (inf|nan)"):
        list(run(optimizer=sgd(1e6), epochs=50))


# --- fit


def test_fit_is_train():
    found = pn.fit(net, pn.mse, momentum(0.05), params, (x, target), key=pn.key(1), epochs=3, batch_size=4)
    epochs = list(run(each="epoch"))
    assert bits(found.params) == bits(epochs[-1].params)
    assert found.history["loss"].tolist() == [state.loss for state in epochs]
    assert found.stopped == "epochs"
    assert bits(found.state._replace(loss=0.0)) == bits(epochs[-1]._replace(loss=0.0))


def test_fit_with_validation_and_metrics():
    def worst(y, t):
        return abs(y - t).max()

    found = pn.fit(net, pn.mse, momentum(0.05), params, shuffled, key=pn.key(1), epochs=4, validation=(x, target),
                   metrics=[worst])  # fmt: skip
    assert sorted(found.history) == ["loss", "validation_loss", "validation_worst"]
    assert all(values.shape == (4,) for values in found.history.values())
    y = net.apply(found.params, x)
    assert found.history["validation_worst"][-1] == worst(y, target)
    assert found.history["validation_loss"][-1] == pytest.approx(pn.mse.apply(y, target), rel=1e-6)


@pytest.mark.parametrize("make", [lambda: (x, target), lambda: [(x[:4], target[:4]), (x[4:], target[4:])]])
def test_metrics_of_the_training_data(make):
    """As the net is after the epoch and without noise; with validation and without."""

    def worst(y, t):
        return abs(y - t).max()

    options = {"key": pn.key(1), "epochs": 3, "metrics": [worst], "batch_size": 4}
    found = pn.fit(net, pn.mse, momentum(0.05), params, make(), validation=(x[:3], target[:3]), **options)
    assert list(found.history) == ["loss", "worst", "validation_loss", "validation_worst"]
    y = net.apply(found.params, x)
    assert found.history["worst"][-1] == pytest.approx(worst(y, target), rel=1e-5)
    assert found.history["validation_worst"][-1] == pytest.approx(worst(y[:3], target[:3]), rel=1e-5)
    assert found.best.monitor == "validation_loss"
    alone = pn.fit(net, pn.mse, momentum(0.05), params, make(), **options, monitor="worst")
    assert list(alone.history) == ["loss", "worst"]
    assert alone.history["worst"].tolist() == found.history["worst"].tolist()
    assert alone.best.value == alone.history["worst"].min()
    assert pn.fit(net, pn.mse, momentum(0.05), params, make(), **options).best.monitor == "loss"
    half = pn.fit(net, pn.mse, momentum(0.05), params, make(), **{**options, "epochs": 2})
    rest = pn.fit(net, pn.mse, momentum(0.05), params, make(), **options, resume=half)
    assert rest.history["worst"].tolist() == found.history["worst"].tolist()
    with pytest.raises(ValueError, match="fit records the loss by that name"):
        pn.fit(net, pn.mse, momentum(0.05), params, make(), **{**options, "metrics": {"loss": worst}})


def test_patience_stops_and_gives_the_best_params():
    seen = []

    def remember(state, record):
        seen.append(state.params)

    scores = iter([5.0, 3.0, 4.0, 3.0, 1.0, 2.0, 9.0, 0.0])
    fixed = {"score": lambda y, t: next(scores)}
    options = {"key": pn.key(1), "epochs": 8, "validation": (x, target), "metrics": fixed, "callbacks": [remember]}
    found = pn.fit(net, pn.mse, sgd(0.05), params, shuffled, patience=2, monitor="validation_score",
                   best="lowest", **options)  # fmt: skip
    assert (found.stopped, found.state.epoch) == ("patience", 4)  # 3 and no better twice
    assert bits(found.params) == bits(seen[1])
    assert bits(found.state.params) == bits(seen[3])

    scores = iter([1.0, 3.0, 2.0, 4.0, 2.0, 4.0, 9.0])
    found = pn.fit(net, pn.mse, sgd(0.05), params, shuffled, patience=2, monitor="validation_score", best="highest",
                   **options)  # fmt: skip
    assert found.state.epoch == 6
    assert bits(found.params) == bits(seen[4 + 3])


@pytest.mark.parametrize(
    "name", ["accuracy", "top_k_accuracy", "precision", "recall", "f1", "r2", "auc", "score", "mean_squared_error"]
)
def test_what_is_best_when_highest_by_its_name(name):
    scores = [0.1, 0.4, 0.9, 0.8, 0.7, 0.6]
    supply = iter(scores)
    options = {"key": None, "epochs": 6, "validation": (x, target), "metrics": {name: lambda y, t: next(supply)}}
    found = pn.fit(net, pn.mse, sgd(0.05), params, shuffled, patience=2, monitor=f"validation_{name}", **options)
    best = scores.index(min(scores) if name == "mean_squared_error" else max(scores))
    assert (found.stopped, found.best.epoch, found.best.value) == ("patience", 1 + best, scores[best])
    assert found.state.epoch == found.best.epoch + 2


@pytest.mark.parametrize("best", ["lowest", "highest"])
def test_nan_is_never_the_best(best):
    nan = math.nan
    for scores, epoch in (([nan, 2.0, nan, nan, 1.5], 2), ([2.0, nan, nan, 9.0], 1), ([nan, nan, nan], None)):
        supply = iter(scores)
        found = pn.fit(net, pn.mse, sgd(0.05), params, shuffled, key=pn.key(1), epochs=9, validation=(x, target),
                       metrics={"score": lambda y, t, s=supply: next(s)}, monitor="validation_score", best=best,
                       patience=2)  # fmt: skip
        assert (found.stopped, found.state.epoch) == ("patience", 2 + (epoch or 0))
        assert (found.best and found.best.epoch) == epoch
        assert all(np.isfinite(leaf).all() for leaf in pn.tree.leaves(found.params))


def test_what_callbacks_add_stands_in_the_history():
    seen = []

    def rate(state, record):
        if state.epoch != 2:
            record["rate"], record["both"] = 1 / state.step, np.ones(2)

    def run(epochs, callbacks=(rate, lambda state, record: seen.append([*record])), **options):
        return pn.fit(net, pn.mse, sgd(0.05), params, (x, target), key=pn.key(1), epochs=epochs, batch_size=len(x),
                      callbacks=callbacks, **options)  # fmt: skip

    whole = run(4)
    assert seen == [["loss", "rate", "both"], ["loss"], ["loss", "rate", "both"], ["loss", "rate", "both"]]
    assert [*whole.history] == ["loss", "rate", "both"]
    np.testing.assert_array_equal(whole.history["rate"], [1, math.nan, 1 / 3, 1 / 4])
    np.testing.assert_array_equal(whole.history["both"], [[1, 1], [math.nan] * 2, [1, 1], [1, 1]])
    assert bits(run(4, resume=run(1)).history) == bits(whole.history)
    with pytest.raises(ValueError, match="a history of loss, rate, both, and this one would have loss"):
        run(2, callbacks=(), resume=run(1))
    with pytest.raises(ValueError, match="would have loss, mean_absolute_error"):
        run(2, metrics=pn.metrics.mean_absolute_error, resume=run(1))


def rates_of(optimizer, epochs=4, engine=None, **options):
    found = pn.fit(net, pn.mse, optimizer, params, (x, target), key=pn.key(1), epochs=epochs, batch_size=len(x) // 2,
                   engine=engine, **options)  # fmt: skip
    return found.history["learning_rate"].tolist(), found


HALVING = pn.schedules.exponential(0.4, 0.5, 2)


@pytest.mark.parametrize(
    ("optimizer", "rates"),
    [
        (pn.sgd(0.05), [0.05] * 4),
        (pn.adam(np.float32(0.5)), [0.5] * 4),
        (pn.muon(0.25), [0.25] * 4),
        (pn.adam(HALVING), [HALVING(step) for step in (1, 3, 5, 7)]),
        (pn.chain(pn.clip_by_norm(1.0), pn.ema(), pn.lookahead(), pn.sgd(HALVING)), [HALVING(s) for s in (1, 3, 5, 7)]),
        (
            pn.chain(pn.accumulate(2), pn.clip_by_norm(1.0), pn.joined(), pn.sgd(HALVING)),
            [HALVING(s) for s in range(4)],
        ),
    ],
)
def test_the_history_has_the_learning_rate_of_the_last_step_of_each_epoch(optimizer, rates):
    assert rates_of(optimizer)[0] == rates
    half = rates_of(optimizer, 2)[1]
    assert rates_of(optimizer, resume=half)[0] == rates
    older = half._replace(history={"loss": half.history["loss"]})  # of a version that recorded none
    np.testing.assert_array_equal(rates_of(optimizer, resume=older)[0], [math.nan, math.nan, *rates[2:]])
    assert rates_of(optimizer, callbacks=lambda state, record: record.update(learning_rate=9.0))[0] == [9.0] * 4


@pytest.mark.parametrize("optimizer", [pn.per_path({"": pn.sgd(0.1)}, otherwise=pn.sgd(0.2)), sgd(0.1)])
def test_an_optimizer_of_several_learning_rates_or_of_ones_own_tells_none(optimizer):
    with pytest.raises(KeyError):
        rates_of(optimizer)


def test_a_callback_stops():
    found = pn.fit(net, pn.mse, sgd(0.05), params, shuffled, key=pn.key(1), epochs=9,
                   callbacks=[lambda state, record: state.epoch == 2])  # fmt: skip
    assert (found.stopped, found.state.epoch, len(found.history["loss"])) == ("callback", 2, 2)


def test_fit_resumes():
    options = {"key": pn.key(1), "batch_size": 4}
    whole = pn.fit(net, pn.mse, momentum(0.05), params, (x, target), epochs=4, **options)
    half = pn.fit(net, pn.mse, momentum(0.05), params, (x, target), epochs=2, **options)
    rest = pn.fit(net, pn.mse, momentum(0.05), params, (x, target), epochs=4, resume=half.state, **options)
    assert bits(rest.params) == bits(whole.params)
    assert rest.history["loss"].tolist() == whole.history["loss"][2:].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": [abs]}, "metrics with validation data"),
        ({"patience": 0}, "patience, a positive integer"),
        ({"best": "most"}, "'lowest' or 'highest'"),
        ({"monitor": "los"}, "fit can monitor loss, not 'los'"),
    ],
)
def test_errors_of_fit(options, message):
    with pytest.raises(ValueError, match=message):
        pn.fit(net, pn.mse, sgd(0.1), params, shuffled, key=None, epochs=1, **options)


def python(code, *arguments, **environment):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=environment, **pipes)


def test_ctrl_c_returns_what_was_trained_so_far():
    code = """
import itertools, numpy as np, purenet as pn
x = np.ones((1, 1), np.float32)
net = pn.dense(1, 1)
sgd = pn.Optimizer(lambda p: (), lambda p, g, s: (pn.sgd_step(p, g, 1e-4), s), 'sgd')
def batches():
    for i in itertools.count():
        if i == 20:
            print('twenty', flush=True)
        yield x, x
start = net.init(pn.key(0))
found = pn.fit(net, pn.mse, sgd, start, batches(), key=None, epochs=1)
print(found.stopped, found.state.step > 10, bool(abs(found.params.weight - start.weight) > 0), found.history)
"""
    with python(code) as process:
        assert process.stdout.readline() == "twenty\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=30)
    assert (printed, errors) == ("interrupted True True {}\n", "")


# --- the progress line

FIT = """
import sys, numpy as np, purenet as pn
if sys.argv[1] == 'without': sys.modules['tqdm'] = None
x = np.ones((64, 1), np.float32)
sgd = pn.Optimizer(lambda p: (), lambda p, g, s: (pn.sgd_step(p, g, 0.1), s), 'sgd')
net = pn.dense(1, 1)
pn.fit(net, pn.mse, sgd, net.init(pn.key(0)), (x, x), key=None, epochs=4, batch_size=1, validation=(x, x))
"""


def test_nothing_is_shown_where_nobody_looks():
    with python(FIT, "with") as process:
        assert process.communicate(timeout=30) == ("", "")


@pytest.mark.parametrize("tqdm", ["with", "without"])
def test_a_terminal_shows_how_far_it_is(tqdm):
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 150, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", FIT, tqdm], stderr=theirs)
    os.close(theirs)
    shown = ""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # so a terminal ends on Linux
            break
        if not chunk:
            break
        shown += chunk.decode()
    os.close(ours)
    assert process.wait(30) == 0
    last = shown.strip().split("\r")[-1]
    for part in ("100%", "256/256", "epoch 4/4", "loss ", "validation_loss ", "step/s"):
        assert part in last, shown


def test_the_progress_line_has_the_numbers_of_the_epoch_before(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    options = {"key": None, "epochs": 4, "validation": (x, target), "progress": True}
    found = pn.fit(net, pn.mse, sgd(0.05), params, (x, target), **options)
    last = capsys.readouterr().err.strip().split("\r")[-1]
    assert last.endswith(
        f"epoch 4/4  loss {found.state.loss:.4g}  validation_loss {found.history['validation_loss'][2]:.4g}"
    )


# --- evaluate and predict


@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_predict_is_apply(size):
    y = pn.predict(net, params, x, batch_size=size)
    assert y.dtype == np.float32
    assert np.allclose(y, net.apply(params, x), rtol=1e-6, atol=1e-7)
    assert np.allclose(pn.predict(net, params, iter([x[:4], x[4:]])), y, rtol=1e-6, atol=1e-7)


def test_predict_of_tuples():
    swap = pn.Layer(
        lambda key, in_shape=None: (), lambda p, x, key=None: (x[1], x[0] + 1), lambda *_: None, lambda s: s, "swap"
    )
    a, b = np.arange(5.0), np.arange(10.0).reshape(5, 2)
    first, second = pn.predict(swap, (), (a, b), batch_size=2)
    assert np.array_equal(first, b)
    assert np.array_equal(second, a + 1)


def test_predict_of_nothing():
    assert pn.predict(net, params, x[:0]).shape == (0, 1)
    with pytest.raises(ValueError, match="at least one batch"):
        pn.predict(net, params, [])
    with pytest.raises(ValueError, match="batch_size is a positive integer, not 0"):
        pn.predict(net, params, x, batch_size=0)
    with pytest.raises(ValueError, match="one length, not of 10, 9"):
        pn.predict(net, params, (x, x[:9]))


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("n", [1, 10])
def test_evaluate_is_the_loss_on_all(n, size):
    data = x[:n], target[:n]
    found = pn.evaluate(net, pn.mse, params, data, {"shape": lambda y, t: y.shape[0] + t.shape[0]}, size)
    loss = float(pn.mse.apply(net.apply(params, data[0]), data[1]))
    assert found == {"loss": pytest.approx(loss, rel=1e-5), "shape": 2 * n}
    assert pn.evaluate(net, pn.mse, params, [data]) == {"loss": pytest.approx(found["loss"], rel=1e-5)}
    with pytest.raises(ValueError, match="at least one example"):
        pn.evaluate(net, pn.mse, params, [])


def test_data_larger_than_the_memory(tmp_path):
    """A file of 512 MB is trained on, evaluated and predicted in a process that may have 128 MB for its data."""
    code = """
import resource, sys, numpy as np, purenet as pn
n = 2**19
x = np.memmap(sys.argv[1], np.float32, 'r', shape=(n, 256))
resource.setrlimit(resource.RLIMIT_DATA, (2**27, 2**27))
net = pn.dense(256, 1)
params = net.init(pn.key(0))
y = pn.predict(net, params, x)
same = np.isclose(y[-1, 0], net.apply(params, np.array(x[-1:]))[0, 0], rtol=1e-5)
print(y.shape, type(y).__name__, bool(same), float(y[0, 0]))
print(pn.evaluate(net, pn.mse, params, (x, y)))
print([t.tolist() for t in pn.data.standardize.fit(x)][0][:2])
sgd = pn.Optimizer(lambda p: (), lambda p, g, s: (pn.sgd_step(p, g, 1e-3), s), 'sgd')
for state in pn.train(net, pn.mse, sgd, params, lambda key: pn.data.batches(key, x, y, size=8), key=pn.key(1)):
    if state.step == 50:
        break
print(state.loss)
try:
    np.array(x)
except MemoryError:
    print('it is larger than the memory')
"""
    with open(tmp_path / "x", "wb") as file:
        file.truncate(2**29)
        file.seek(2**29 - 256 * 4)
        file.write(np.ones(256, np.float32).tobytes())
    with python(code, tmp_path / "x") as process:
        printed, errors = process.communicate(timeout=120)
    assert errors == ""
    assert printed.splitlines() == [
        "(524288, 1) ndarray True 0.0",
        "{'loss': 0.0}",
        f"[{2.0**-19!r}, {2.0**-19!r}]",
        "0.0",
        "it is larger than the memory",
    ]


def test_losses_are_python_floats():
    assert type(next(run()).loss) is float
    assert math.isnan(pn.start(sgd(0.1), params, None).loss)


class Stream:
    """What a program without a console may have for its standard error."""

    def __init__(self, error=None, **methods):
        vars(self).update(methods)
        self.error = error

    def write(self, text):
        if self.error:
            raise self.error


@pytest.mark.parametrize("tqdm", [True, False])
@pytest.mark.parametrize("progress", [None, True, False])
@pytest.mark.parametrize(
    "stream",
    [
        None,
        object(),
        Stream(),
        Stream(ValueError("I/O operation on closed file")),
        Stream(OSError(5, "Input/output error"), isatty=lambda: True, flush=lambda: None),
    ],
    ids=["none", "no file", "only write", "closed", "hung up"],
)
def test_training_goes_on_without_a_standard_error(stream, progress, tqdm, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    found = pn.fit(net, pn.mse, sgd(0.1), params, (x, target), key=None, epochs=2, batch_size=1, progress=progress)
    assert found.stopped == "epochs"


# --- half an epoch


@pytest.mark.parametrize("at", range(8))
def test_resumed_in_an_epoch_the_mean_is_of_all_its_steps(at, tmp_path):
    states, epochs = list(run()), list(run(each="epoch"))
    pn.save(tmp_path / "state.npz", states[at])
    resumed = pn.load(tmp_path / "state.npz", like=pn.start(momentum(0.05), params, pn.key(9)))
    done = (at + 1) // 3
    assert bits(list(run(each="epoch", resume=resumed))) == bits(epochs[done:])
    found = pn.fit(
        net, pn.mse, momentum(0.05), params, (x, target), key=pn.key(1), epochs=3, batch_size=4, resume=resumed
    )
    assert found.history["loss"].tolist() == [state.loss for state in epochs[done:]]


class OldState(NamedTuple):
    """As runs were saved before they told the losses of the epoch under way."""

    params: object
    optimizer_state: object
    key: object
    step: int
    epoch: int
    batch: int
    loss: float


def test_a_run_that_was_saved_without_its_losses_goes_on(tmp_path):
    states = list(run())
    pn.save(tmp_path / "old.npz", OldState(*states[4][:7]))
    resumed = pn.load(tmp_path / "old.npz", like=pn.start(momentum(0.05), params, pn.key(9)))
    assert bits(resumed) == bits(states[4]._replace(total=math.nan))
    rest = list(run(each="epoch", resume=resumed))
    assert [state.loss for state in rest] == [states[5].loss, sum(s.loss for s in states[6:]) / 3]
    assert bits(list(run(resume=resumed))[-1]) == bits(states[-1])


def interrupting(f, at):
    """The function, with Ctrl-C at its call of this number."""
    calls = itertools.count(1)

    def interrupted(*arguments):
        if next(calls) == at:
            raise KeyboardInterrupt
        return f(*arguments)

    return interrupted


@pytest.mark.parametrize("size", [4, 10])
@pytest.mark.parametrize("at", [1, 2, 4])
@pytest.mark.parametrize("place", ["batches", "step", "metric", "callback"])
def test_after_ctrl_c_anywhere_nothing_is_missing(place, at, size):
    def run(epochs=4, resume=None, **broken):
        optimizer = momentum(0.05)
        if "step" in broken:
            optimizer = optimizer._replace(step=interrupting(optimizer.step, broken["step"]))
        cut = interrupting(lambda key: pn.data.batches(key, x, target, size=size), broken.get("batches"))
        largest = interrupting(lambda y, t: float(abs(y - t).max()), broken.get("metric"))
        callback = interrupting(lambda state, record: None, broken.get("callback"))
        return pn.fit(
            net, pn.mse, optimizer, params, cut, key=pn.key(1), epochs=epochs, validation=(x, target),
            metrics={"largest": largest}, callbacks=[callback], patience=4, resume=resume,
        )  # fmt: skip

    whole, part = run(), run(**{place: at})
    assert part.stopped == "interrupted"
    assert all(len(numbers) == part.state.epoch for numbers in part.history.values())
    rest = run(resume=part) if part.state.epoch < 4 else part
    assert bits(rest.history) == bits(whole.history)
    assert bits((rest.state, rest.params, rest.best.value, rest.best.epoch)) == bits(
        (whole.state, whole.params, whole.best.value, whole.best.epoch)
    )


WRT_X = {
    "an array": (pn.serial(pn.dense(3, 4), pn.tanh, pn.dropout, pn.dense(4, 2)), normal(5, 3)),
    "no params": (pn.tanh, normal(5, 2)),
    "two inputs": (pn.serial(pn.parallel(pn.dense(3, 2), pn.identity), pn.add), (normal(5, 3), normal(5, 2, seed=1))),
    "a layer by hand": (
        pn.Layer(
            lambda key, in_shape=None: (),
            lambda params, x, key=None: 3 * x,
            lambda params, x, key=None: (3 * x, lambda dy, wrt_x=True: ((), 3 * dy if wrt_x else None)),
            lambda in_shape: in_shape,
            "triple",
        ),
        normal(5, 2),
    ),
}


@pytest.mark.parametrize("name", WRT_X)
def test_gradients_for_x(name):
    """At first, and when the same shapes come again, with a key and without."""
    net, x = WRT_X[name]
    target = normal(5, 2, seed=9)
    params = pn.tree.cast(net.init(pn.key(0), pn.tree.map(lambda leaf: leaf.shape[1:], x)), float)
    for key in (None, pn.key(1), None):
        y, pullback = net.vjp(params, x, key)
        value, pull = pn.mse.vjp(y, target)
        both = pullback(pull())
        for wrt, wanted in (("params", both[0]), ("x", both[1]), ("both", both)):
            for _ in range(3):
                E, found = pn.value_and_grad(net, pn.mse, wrt=wrt)(params, x, target, key)
                assert value == E
                assert pn.tree.allclose(found, wanted, 0)


def test_gradients_for_x_beside_penalties():
    net, x, target = pn.dense(3, 2), normal(5, 3), normal(5, 2, seed=9)
    params = pn.tree.cast(net.init(pn.key(0)), float)
    plain = {wrt: pn.value_and_grad(net, pn.mse, pn.l2(0.1), pn.l1(0.1), wrt=wrt) for wrt in ("params", "x", "both")}
    (E, grads), (same, dx), (whole, (both, again)) = (f(params, x, target) for f in plain.values())
    assert E == same == whole > pn.value_and_grad(net, pn.mse)(params, x, target)[0]
    assert pn.tree.allclose(grads, both, 0)
    assert pn.tree.allclose(dx, again, 0)
    assert pn.tree.allclose(dx, pn.value_and_grad(net, pn.mse, wrt="x")(params, x, target)[1], 0)


def test_gradients_for_x_of_ids_are_none():
    net, ids = pn.serial(pn.parallel(pn.embedding(4, 2), pn.identity), pn.add), (np.array([1, 2]), normal(2, 2))
    params = pn.tree.cast(net.init(pn.key(0), ((), (2,))), float)
    for _ in range(2):
        _, (dids, dx) = pn.value_and_grad(net, pn.mse, wrt="x")(params, ids, normal(2, 2))
        assert dids is None
        assert dx.shape == (2, 2)


def test_what_wrt_may_be():
    for wrong in ("y", None, "grads", 0):
        with pytest.raises(ValueError, match='value_and_grad takes wrt="params", "x" or "both", not'):
            pn.value_and_grad(pn.tanh, pn.mse, wrt=wrong)
    with pytest.raises(ValueError, match="in_chunks takes gradients for params alone: leave wrt='x' out"):
        pn.in_chunks(pn.value_and_grad(pn.tanh, pn.mse, wrt="x"), 4)
    with pytest.raises(ValueError, match=r"mse is nan: x is not finite"):
        pn.value_and_grad(pn.tanh, pn.mse, wrt="x", check_finite=True)((), np.array([[np.nan]]), np.array([[1.0]]))
