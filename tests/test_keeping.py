"""Every optimizer, and all that stands in front of one, goes on from a file with the bits of one that never stopped."""

from __future__ import annotations

import numpy as np
import pytest

import purenet as pn
from tests.kit import bits
from tests.test_checkpoint import SUFFIXES
from tests.test_optimizers import CASES, some_params

NESTED = pn.per_path(
    {"[0]": pn.chain(pn.lookahead(2), pn.muon(0.02)), "[2].bias": pn.chain(pn.gradient_noise(pn.key(3)), pn.sgd(0.1))},
    otherwise=pn.chain(pn.ema(0.9), pn.accumulate(2), pn.weight_decay(1e-3), pn.adam(pn.schedules.cosine(0.1, 9))),
)
ALL = [*CASES, ("per_path of chains", NESTED)]
each = pytest.mark.parametrize(
    "optimizer", [optimizer for _, optimizer in ALL], ids=[f"{name}-{i}" for i, (name, _) in enumerate(ALL)]
)
X = pn.random.normal(pn.key(1), (12, 2))
TARGET = pn.random.normal(pn.key(2), (12, 1))
NET = pn.serial(pn.dense(2, 4), pn.tanh, pn.dense(4, 4), pn.batch_norm, pn.dropout(0.2), pn.frozen(pn.dense(4, 1)))


def stepped(optimizer, grad, params, state, times):
    for t in times:
        params, state = optimizer.step(params, grad(params, t), state)
    return params, state


def returns(optimizer, grad, params, other, path):
    """Save after three steps, load, and go on for three: with and without the file."""
    before = stepped(optimizer, grad, params, optimizer.init(params), range(3))
    pn.save(path, before)
    loaded = pn.load(path, like=(other, optimizer.init(other)))
    assert pn.tree.parting(before, loaded, "saved") is None
    assert bits(loaded) == bits(before)
    assert not any(leaf.flags.writeable for leaf in pn.tree.leaves(loaded) if isinstance(leaf, np.ndarray))
    following = stepped(optimizer, grad, *before, range(3, 6))
    assert bits(stepped(optimizer, grad, *loaded, range(3, 6))) == bits(following)
    assert bits(following) != bits(before)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_params_and_state_come_back_and_go_on(optimizer, dtype, suffix, tmp_path):
    params, other = (pn.tree.cast(NET.init(pn.key(seed)), dtype) for seed in (0, 9))
    x, target = X.astype(dtype), TARGET.astype(dtype)

    def grad(params, t):
        return pn.value_and_grad(NET, pn.mse)(params, x, target, pn.key(t))[1]

    returns(optimizer, grad, params, other, tmp_path / f"run{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("optimizer", [optimizer for name, optimizer in CASES if "[" not in repr(optimizer)], ids=repr)
def test_params_in_every_container_too(optimizer, suffix, tmp_path):
    def grad(params, t):
        return pn.tree.map(lambda p: np.asarray(np.cos(3 * p + t), p.dtype), params)

    params = some_params(np.float32)
    returns(optimizer, grad, params, pn.tree.map(np.ones_like, params), tmp_path / f"run{suffix}")


@each
def test_a_run_goes_on_from_its_checkpoint(optimizer, tmp_path):
    def run(resume=None):
        batches = lambda key: pn.data.batches(key, X, TARGET, size=4)  # noqa: E731 (a batch is 4 of 12: 3 steps an epoch)
        params = NET.init(pn.key(0))
        return pn.train(NET, pn.mse, optimizer, params, batches, key=pn.key(1), epochs=4, resume=resume)

    *_, whole = run()
    kept = pn.checkpoints(tmp_path, every=4)
    for state in run():
        kept.save(state)
        if state.step == 6:
            break
    resumed = kept.load(pn.start(optimizer, NET.init(pn.key(9)), pn.key(9)))
    assert (resumed.step, resumed.epoch, resumed.batch) == (4, 1, 1)
    steps = [state for state in run(resumed) if kept.save(state) is not None]
    assert [state.step for state in steps] == list(range(5, 13))
    assert bits(steps[-1]) == bits(whole)
    assert bits(kept.load(whole)) == bits(whole)
    assert kept.steps() == [4, 8, 12]


def test_a_plateau_goes_on_too(tmp_path):
    plateau = pn.schedules.reduce_on_plateau(0.1, factor=0.5, patience=2, cooldown=1)
    state = plateau.init()
    for loss in (1.0, 0.5, 0.6, 0.7):
        state = plateau.step(state, loss)
    pn.save(tmp_path / "plateau.npz", state)
    loaded = pn.load(tmp_path / "plateau.npz", like=plateau.init())
    assert bits(loaded) == bits(state)
    for loss in (0.6, 0.6, 0.6, 0.6, 0.1):
        state, loaded = plateau.step(state, loss), plateau.step(loaded, loss)
        assert bits(loaded) == bits(state)
    assert float(state.rate) < 0.1
