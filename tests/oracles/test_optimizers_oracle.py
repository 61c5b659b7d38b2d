"""Every optimizer against PyTorch's, or Optax's where PyTorch has none: 100 steps on a random problem, in float64.

And every step, schedule and transform under `jax.jit`, against the same one on NumPy.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import purenet as pn
from purenet import schedules
from purenet.optimizers import orthogonal
from tests.test_optimizers import (
    COUNTING,
    LARGE,
    ONES,
    ORDERS,
    SCALAR,
    STEEP,
    after,
    at_count,
    check_clipping,
    check_lamb_and_muon,
    check_penalties,
)

jax.config.update("jax_enable_x64", True)


@pytest.fixture(autouse=True)
def _double():
    """PyTorch keeps some numbers, such as NAdam's product of momenta, in its default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


STEPS = 100
EVERY = {"which": lambda p: True}


def problem(seed):
    """Params, and the noisy gradients of ½·‖A·(θ − θ*)‖², as of batches: (θ, t) ↦ Aᵀ·A·(θ − θ*) + noise of step t.

    A is well conditioned and θ* far off, so that no optimizer comes to jump about it: there, rounding errors grow
    tenfold every few steps, and two right implementations part.
    """
    rng = np.random.default_rng(seed)
    params = (rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=(2, 5)))
    mixes = [np.eye(len(p)) + 0.3 * rng.normal(size=(len(p), len(p))) for p in params]
    targets = [10 * rng.normal(size=p.shape) for p in params]
    noise = [[10 * rng.normal(size=p.shape) for p in params] for _ in range(STEPS)]

    def gradient(params, t):
        params = map(np.asarray, params)
        return tuple(a.T @ (a @ (p - b)) + e for a, p, b, e in zip(mixes, params, targets, noise[t], strict=True))

    return params, gradient


def ours(optimizer, seed, steps=STEPS):
    params, gradient = problem(seed)
    state = optimizer.init(params)
    path = []
    for t in range(steps):
        params, state = optimizer.step(params, gradient(params, t), state)
        path.append(params)
    return path


def torchs(make, seed, scheduler=None, before=None, steps=STEPS):
    params, gradient = problem(seed)
    leaves = [torch.tensor(p, requires_grad=True) for p in params]
    optimizer = make(leaves)
    schedule = scheduler(optimizer) if scheduler else None
    path = []
    for t in range(steps):
        for leaf, g in zip(leaves, gradient([leaf.detach().numpy() for leaf in leaves], t), strict=True):
            leaf.grad = torch.tensor(g)
        if before:
            before(leaves)
        optimizer.step()
        if schedule:
            schedule.step()
        path.append(tuple(leaf.detach().numpy().copy() for leaf in leaves))
    return path


def optaxs(transform, seed, steps=STEPS):
    params, gradient = problem(seed)
    state = transform.init(params)
    update = jax.jit(transform.update)
    path = []
    for t in range(steps):
        updates, state = update(gradient(params, t), state, params)
        params = tuple(np.asarray(p + u) for p, u in zip(params, updates, strict=True))
        path.append(params)
    return path


def difference(a, b):
    """The largest difference over the whole path, relative to the largest entry of each array."""
    pairs = [pair for x, y in zip(a, b, strict=True) for pair in zip(x, y, strict=True)]
    assert all(np.isfinite(y).all() for _, y in pairs)
    return max(np.abs(x - y).max() / np.abs(y).max() for x, y in pairs)


T = torch.optim
AGAINST_TORCH = {
    "sgd": (pn.sgd(0.02), lambda p: T.SGD(p, 0.02)),
    "sgd, momentum": (pn.sgd(0.02, 0.9), lambda p: T.SGD(p, 0.02, momentum=0.9)),
    "sgd, nesterov": (pn.sgd(0.02, 0.9, nesterov=True), lambda p: T.SGD(p, 0.02, momentum=0.9, nesterov=True)),
    "adagrad": (pn.adagrad(0.1), lambda p: T.Adagrad(p, 0.1)),
    "adagrad, initial": (
        pn.adagrad(0.1, initial=0.3, eps=1e-3),
        lambda p: T.Adagrad(p, 0.1, initial_accumulator_value=0.3, eps=1e-3),
    ),
    "adadelta": (pn.adadelta(), lambda p: T.Adadelta(p)),
    "adadelta, options": (pn.adadelta(0.5, 0.8, 1e-3), lambda p: T.Adadelta(p, 0.5, 0.8, 1e-3)),
    "rmsprop": (pn.rmsprop(), lambda p: T.RMSprop(p)),
    "rmsprop, centered": (pn.rmsprop(0.02, 0.9, centered=True), lambda p: T.RMSprop(p, 0.02, 0.9, centered=True)),
    "rmsprop, momentum": (pn.rmsprop(momentum=0.7), lambda p: T.RMSprop(p, momentum=0.7)),
    "rmsprop, both": (
        pn.rmsprop(momentum=0.7, centered=True, eps=1e-3),
        lambda p: T.RMSprop(p, momentum=0.7, centered=True, eps=1e-3),
    ),
    "adam": (pn.adam(0.05), lambda p: T.Adam(p, 0.05)),
    "adam, options": (pn.adam(0.05, 0.8, 0.95, 1e-3), lambda p: T.Adam(p, 0.05, (0.8, 0.95), 1e-3)),
    "amsgrad": (pn.amsgrad(0.05), lambda p: T.Adam(p, 0.05, amsgrad=True)),
    "adamw": (pn.adamw(0.05, weight_decay=0.3, **EVERY), lambda p: T.AdamW(p, 0.05, weight_decay=0.3)),
    "adamw, matrices": (
        pn.adamw(0.05),
        lambda p: T.AdamW([{"params": p[::2]}, {"params": p[1:2], "weight_decay": 0.0}], 0.05),
    ),
    "adamax": (pn.adamax(0.05), lambda p: T.Adamax(p, 0.05)),
    "nadam": (pn.nadam(0.05), lambda p: T.NAdam(p, 0.05)),
    "nadam, options": (
        pn.nadam(0.05, momentum_decay=0.1, eps=1e-3),
        lambda p: T.NAdam(p, 0.05, momentum_decay=0.1, eps=1e-3),
    ),
    "radam": (pn.radam(0.05), lambda p: T.RAdam(p, 0.05)),
    "radam, options": (pn.radam(0.05, 0.8, 0.9), lambda p: T.RAdam(p, 0.05, (0.8, 0.9))),
}


def lamb_of_optax(rate, decay, mask):
    """optax.lamb with eps beside the root alone, as in the paper; Optax's own puts it under the root too."""
    return optax.chain(
        optax.scale_by_adam(eps=1e-6), optax.add_decayed_weights(decay, mask), optax.scale_by_trust_ratio(),
        optax.scale(-rate),
    )  # fmt: skip


AGAINST_OPTAX = {
    "lion": (pn.lion(0.01), optax.lion(0.01, weight_decay=0.0)),
    "lion, decay": (
        pn.lion(0.01, 0.95, 0.98, weight_decay=0.3, **EVERY),
        optax.lion(0.01, 0.95, 0.98, weight_decay=0.3),
    ),
    "lamb": (pn.lamb(0.05), lamb_of_optax(0.05, 0.0, None)),
    "lamb, decay": (pn.lamb(0.05, weight_decay=0.3), lamb_of_optax(0.05, 0.3, (True, False, True))),
    "adam": (pn.adam(0.05), optax.adam(0.05)),
    "adamax": (pn.adamax(0.05), optax.adamax(0.05)),
}


@pytest.mark.parametrize("name", AGAINST_TORCH)
def test_agrees_with_torch(name, record_difference):
    mine, theirs = AGAINST_TORCH[name]
    record_difference(name, "torch", max(difference(ours(mine, seed), torchs(theirs, seed)) for seed in range(3)))


@pytest.mark.parametrize("name", AGAINST_OPTAX)
def test_agrees_with_optax(name, record_difference):
    mine, theirs = AGAINST_OPTAX[name]
    record_difference(name, "optax", max(difference(ours(mine, seed), optaxs(theirs, seed)) for seed in range(3)))


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_muon_agrees_with_torch_in_float64(monkeypatch, record_difference, nesterov, decay):
    """PyTorch rounds to bfloat16 in the iteration; here it is kept from that. Its matrices are (out, in)."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.double().clone())
    worst = 0.0
    for seed in range(3):
        params, gradient = problem(seed)
        leaves = [torch.tensor(p.T.copy(), requires_grad=True) for p in params]
        matrices, others = leaves[::2], leaves[1:2]
        muon = T.Muon(matrices, 0.05, decay, 0.9, nesterov=nesterov)
        adamw = T.AdamW(others, 3e-4)
        adamw.param_groups[0]["weight_decay"] = 0.0
        theirs = []
        for t in range(STEPS):
            for leaf, g in zip(leaves, gradient([leaf.detach().numpy().T for leaf in leaves], t), strict=True):
                leaf.grad = torch.tensor(np.ascontiguousarray(g.T))
            muon.step()
            adamw.step()
            theirs.append(tuple(leaf.detach().numpy().T.copy() for leaf in leaves))
        mine = ours(pn.muon(0.05, 0.9, nesterov, decay), seed)
        worst = max(worst, difference(mine, theirs))
    record_difference(f"muon, nesterov={nesterov}, decay={decay}", "torch", worst)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 6), (6, 1)])
def test_orthogonal_agrees_with_optax(shape):
    from optax.contrib._muon import orthogonalize_via_newton_schulz

    x = np.random.default_rng(0).normal(size=shape)
    theirs = orthogonalize_via_newton_schulz(jnp.asarray(x), jnp.asarray((3.4445, -4.7750, 2.0315)))
    np.testing.assert_allclose(orthogonal(x), theirs, rtol=1e-6)
    values = np.linalg.svd(orthogonal(x), compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.3


CLIP = torch.nn.utils
TRANSFORMS = {
    "clip_by_value": (pn.clip_by_value(0.5), lambda p: CLIP.clip_grad_value_(p, 0.5)),
    "clip_by_norm": (pn.clip_by_norm(0.7), lambda p: [torch_clip([leaf], 0.7) for leaf in p]),
    "clip_by_global_norm": (pn.clip_by_global_norm(0.7), lambda p: torch_clip(p, 0.7)),
}


def torch_clip(leaves, limit):
    """clip_grad_norm_ without the 1e-6 that it adds to the norm."""
    norm = torch.sqrt(sum((leaf.grad**2).sum() for leaf in leaves))
    CLIP.clip_grads_with_norm_(leaves, limit, norm - 1e-6)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_clipping_agrees_with_torch(name, record_difference):
    transform, clip = TRANSFORMS[name]
    mine = ours(pn.chain(transform, pn.sgd(0.1, 0.9)), 0)
    theirs = torchs(lambda p: T.SGD(p, 0.1, momentum=0.9), 0, before=clip)
    record_difference(name, "torch", difference(mine, theirs))


def test_l2_is_the_weight_decay_of_torch(record_difference):
    params, gradient = problem(0)
    penalty = pn.l2(0.05, **EVERY)
    optimizer = pn.adam(0.05)
    state, path = optimizer.init(params), []
    for t in range(STEPS):
        params, state = optimizer.step(params, penalty.add(params, gradient(params, t))[1], state)
        path.append(params)
    theirs = torchs(lambda p: T.Adam(p, 0.05, weight_decay=0.1), 0)
    record_difference("l2 + adam", "torch", difference(path, theirs))


def test_weight_decay_agrees_with_torch(record_difference):
    mine = ours(pn.chain(pn.weight_decay(0.05 * 0.3, **EVERY), pn.adam(0.05)), 0)
    theirs = torchs(lambda p: T.AdamW(p, 0.05, weight_decay=0.3), 0)
    record_difference("weight_decay + adam", "torch", difference(mine, theirs))


def test_accumulate_agrees_with_torch(record_difference):
    mine = ours(pn.chain(pn.accumulate(3), pn.adam(0.05)), 0)[2::3]
    params, gradient = problem(0)
    leaves = [torch.tensor(p, requires_grad=True) for p in params]
    adam, theirs = T.Adam(leaves, 0.05), []
    for t in range(STEPS - STEPS % 3):
        for leaf, g in zip(leaves, gradient([leaf.detach().numpy() for leaf in leaves], t), strict=True):
            leaf.grad = torch.tensor(g) / 3 + (leaf.grad if t % 3 else 0)
        if t % 3 == 2:
            adam.step()
            theirs.append(tuple(leaf.detach().numpy().copy() for leaf in leaves))
    record_difference("accumulate", "torch", difference(mine, theirs))


def test_lookahead_agrees_with_optax(record_difference):
    mine = ours(pn.chain(pn.lookahead(4, 0.3), pn.sgd(0.02, 0.9)), 0)
    params, gradient = problem(0)
    transform = optax.lookahead(optax.sgd(0.02, 0.9), sync_period=4, slow_step_size=0.3)
    both = optax.LookaheadParams.init_synced(params)
    state, theirs = transform.init(both), []
    for t in range(STEPS):
        updates, state = transform.update(gradient(both.fast, t), state, both)
        both = optax.apply_updates(both, updates)
        theirs.append(tuple(np.asarray(p) for p in both.fast))
    record_difference("lookahead", "optax", difference(mine, theirs))


@pytest.mark.parametrize(
    ("name", "transform", "average"),
    [
        ("ema", pn.ema(0.9), torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)),
        ("polyak", pn.polyak(), torch.optim.swa_utils.get_swa_multi_avg_fn()),
    ],
)
def test_averages_agree_with_torch(name, transform, average, record_difference):
    optimizer = pn.chain(transform, pn.sgd(0.02))
    params, gradient = problem(0)
    state = optimizer.init(params)
    model = torch.nn.ParameterList([torch.tensor(p) for p in params])
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=average)
    mine, theirs = [], []
    for t in range(STEPS):
        params, state = optimizer.step(params, gradient(params, t), state)
        for leaf, p in zip(model, params, strict=True):
            leaf.data = torch.tensor(p)
        averaged.update_parameters(model)
        mine.append(state.average)
        theirs.append(tuple(leaf.detach().numpy().copy() for leaf in averaged.module))
    record_difference(name, "torch", difference(mine, theirs))


S = torch.optim.lr_scheduler
AS_IN_TORCH = {
    "constant": (schedules.constant(0.1), lambda o: S.ConstantLR(o, 1.0)),
    "step": (schedules.step(0.1, every=7, factor=0.5), lambda o: S.StepLR(o, 7, 0.5)),
    "exponential": (schedules.exponential(0.1, 0.97), lambda o: S.ExponentialLR(o, 0.97)),
    "polynomial": (schedules.polynomial(0.1, 60, 2.0), lambda o: S.PolynomialLR(o, 60, 2.0)),
    "cosine": (schedules.cosine(0.1, STEPS, 0.01), lambda o: S.CosineAnnealingLR(o, STEPS, 0.01)),
    "cosine_restarts": (
        schedules.cosine_restarts(0.1, 9, end=0.01),
        lambda o: S.CosineAnnealingWarmRestarts(o, 9, eta_min=0.01),
    ),
    "cosine_restarts, growing": (
        schedules.cosine_restarts(0.1, 5, growth=2),
        lambda o: S.CosineAnnealingWarmRestarts(o, 5, 2),
    ),
    "cosine_restarts, threefold": (
        schedules.cosine_restarts(0.1, 3, growth=3),
        lambda o: S.CosineAnnealingWarmRestarts(o, 3, 3),
    ),
    "warmup": (schedules.warmup(0.1, 12, start=0.02), lambda o: S.LinearLR(o, 0.2, 1.0, 12)),
    "one_cycle": (schedules.one_cycle(0.1, STEPS), lambda o: S.OneCycleLR(o, 0.1, STEPS, cycle_momentum=False)),
    "one_cycle, options": (
        schedules.one_cycle(0.1, STEPS, 0.25, initial=0.02, end=0.001),
        lambda o: S.OneCycleLR(o, 0.1, STEPS, pct_start=0.25, cycle_momentum=False, div_factor=5, final_div_factor=20),
    ),
    "piecewise": (schedules.piecewise(0.1, {10: 0.02, 50: 0.004}), lambda o: S.MultiStepLR(o, [10, 50], 0.2)),
}
AS_IN_OPTAX = {
    "polynomial": (schedules.polynomial(0.1, 60, 3.0, 0.01), optax.polynomial_schedule(0.1, 0.01, 3.0, 60)),
    "cosine": (schedules.cosine(0.1, 60), optax.cosine_decay_schedule(0.1, 60)),
    "warmup, cosine": (
        schedules.warmup(schedules.cosine(0.1, 50), 10),
        optax.warmup_cosine_decay_schedule(0.0, 0.1, 10, 60),
    ),
    "exponential, every": (schedules.exponential(0.1, 0.5, every=10), optax.exponential_decay(0.1, 10, 0.5)),
}


@pytest.mark.parametrize("name", AS_IN_TORCH)
def test_schedules_agree_with_torch(name, record_difference):
    schedule, scheduler = AS_IN_TORCH[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    theirs, torch_schedule = [], scheduler(optimizer)
    for _ in range(STEPS):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        torch_schedule.step()
    mine = [schedule(t) for t in range(STEPS)]
    record_difference(f"schedule {name}", "torch", max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) / 0.1)


@pytest.mark.parametrize("name", AS_IN_OPTAX)
def test_schedules_agree_with_optax(name, record_difference):
    schedule, other = AS_IN_OPTAX[name]
    record_difference(f"schedule {name}", "optax", max(abs(schedule(t) - float(other(t))) for t in range(STEPS)) / 0.1)


def test_a_schedule_in_an_optimizer_agrees_with_torch(record_difference):
    mine = ours(pn.adamw(schedules.one_cycle(0.1, STEPS), weight_decay=0.1, **EVERY), 0)
    theirs = torchs(
        lambda p: T.AdamW(p, 0.1, weight_decay=0.1),
        0,
        lambda o: S.OneCycleLR(o, 0.1, STEPS, cycle_momentum=False),
    )
    record_difference("adamw, one_cycle", "torch", difference(mine, theirs))


@pytest.mark.parametrize("options", [{}, {"patience": 3, "cooldown": 2, "threshold": 0.01}, {"least": 0.005}])
@pytest.mark.parametrize("largest", [False, True])
def test_reduce_on_plateau_agrees_with_torch(options, largest):
    values = np.random.default_rng(3).normal(size=300).cumsum() * 0.1 + 20
    names = {"least": "min_lr"}
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    theirs = S.ReduceLROnPlateau(
        optimizer, "max" if largest else "min", **{names.get(o, o): v for o, v in options.items()}, eps=0.0
    )
    plateau = schedules.reduce_on_plateau(0.1, largest=largest, **options)
    state, traced = plateau.init(), plateau.init()
    jitted = jax.jit(plateau.step)
    for value in values:
        theirs.step(value)
        state, traced = plateau.step(state, value), jitted(traced, value)
        assert math.isclose(state.rate, optimizer.param_groups[0]["lr"], rel_tol=1e-12)
        assert math.isclose(traced.rate, state.rate, rel_tol=1e-12)
    assert state.rate < 0.1


# the same under jax.jit

OPTIMIZERS = {name: mine for name, (mine, _) in AGAINST_TORCH.items()} | {
    "lion, decay": AGAINST_OPTAX["lion, decay"][0],
    "lamb, decay": AGAINST_OPTAX["lamb, decay"][0],
    "muon": pn.muon(),
    "scheduled": pn.adamw(schedules.warmup(schedules.cosine_restarts(0.1, 7, 2), 5)),
    "per_path": pn.per_path({"[0]": pn.sgd(0.1)}, pn.adam()),
    "chain": pn.chain(
        pn.ema(0.9), pn.polyak(), pn.lookahead(3), pn.clip_by_value(1.0), pn.clip_by_norm(0.9),
        pn.clip_by_global_norm(0.8), pn.accumulate(2), pn.weight_decay(schedules.step(0.01, 5)), pn.freeze("[1]"),
        pn.radam(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_jitted_step_is_the_step_on_numpy(name, dtype):
    """25 steps in one scan; the state keeps its structure and dtypes, or the scan would not run."""
    optimizer = OPTIMIZERS[name]
    params, _ = problem(0)
    params = pn.tree.cast((*params[:2], pn.Buffer(params[2])), dtype)
    gradients = [
        tuple(pn.tree.cast(pn.tree.map(lambda p, i=i: np.sin(p + i), params), dtype)) for i in range(25)
    ]  # fmt: skip
    state = optimizer.init(params)
    stacked = jax.tree.map(lambda *g: jnp.stack(g), *gradients)
    (jax_params, jax_state), _ = jax.jit(
        lambda carry: jax.lax.scan(lambda c, g: (optimizer.step(c[0], g, c[1]), None), carry, stacked)
    )((params, state))
    for g in gradients:
        params, state = optimizer.step(params, g, state)
    pairs = zip(pn.tree.leaves((params, state)), jax.tree.leaves((jax_params, jax_state)), strict=True)
    for a, b in pairs:
        assert a.dtype == b.dtype
        np.testing.assert_allclose(
            a, b, rtol=2e-3 if dtype is np.float32 else 1e-9, atol=2e-6 if dtype is np.float32 else 1e-12
        )


@pytest.mark.parametrize("name", ORDERS)
def test_what_makes_no_step_does_not_decay_under_jit(name):
    optimizer, steps, expected = ORDERS[name]
    np.testing.assert_allclose(after(optimizer, steps, jax.jit)[0], expected, rtol=1e-6)


@pytest.mark.parametrize("transform", [pn.ema(0.5), pn.polyak()], ids=repr)
def test_averages_under_jit_are_of_steps(transform):
    (_, a), (_, b) = (
        after(pn.chain(transform, *held, pn.sgd(0.1)), n, jax.jit) for held, n in (((pn.accumulate(3),), 8), ((), 2))
    )
    np.testing.assert_allclose(a.average[0], b.average[0])


@pytest.mark.parametrize("count", [2**31 - 1002, 2**31 - 1])
@pytest.mark.parametrize("optimizer", COUNTING[:-1], ids=repr)
def test_the_step_count_has_no_end_under_jit(optimizer, count):
    params, state = ONES, at_count(optimizer.init(ONES), count)
    for _ in range(4):
        params, state = jax.jit(optimizer.step)(params, ONES, state)
    expected, given = ONES, at_count(optimizer.init(ONES), count)
    for _ in range(4):
        expected, given = optimizer.step(expected, ONES, given)
    np.testing.assert_allclose(params[0], expected[0], rtol=1e-5)
    assert int(state.count) == int(given.count)


@pytest.mark.parametrize("name", [name for name in SCALAR if name != "gradient_noise"])
def test_a_learnable_scalar_under_jit(name):
    optimizer = SCALAR[name][0]
    params = {"a": np.ones(()), "w": np.ones((2, 2))}
    grads = {"a": jnp.full(3, 0.5).sum(), "w": jnp.ones((2, 2))}
    new, expected = (params, optimizer.init(params)), (params, optimizer.init(params))
    for _ in range(3):
        new = jax.jit(optimizer.step)(new[0], grads, new[1])
        expected = optimizer.step(expected[0], pn.tree.map(np.asarray, grads), expected[1])
    for a, b in zip(pn.tree.leaves(new), pn.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize(
    "run", [jax.jit, lambda f: lambda *given: f(*jax.tree.map(jnp.asarray, given))], ids=["jit", "eager"]
)
def test_norms_that_overflow_in_jax(run):
    for dtype, sizes in LARGE.items():
        for size in sizes:
            check_clipping(dtype, size, run)
    for dtype, size in STEEP:
        check_lamb_and_muon(dtype, size, run)
    check_penalties(run)


def test_gradient_noise_under_jit():
    optimizer = pn.chain(pn.gradient_noise(jax.random.key(0), eta=0.5), pn.sgd(1.0))
    params = (jnp.zeros((100, 100)),)
    state = optimizer.init(params)
    step = jax.jit(optimizer.step)
    new, state = step(params, params, state)
    again, _ = step(params, params, state)
    assert abs(float(new[0].std()) - 0.5**0.5) < 0.02
    assert not (again[0] == new[0]).any()


def test_a_rate_may_be_traced():
    params, gradient = problem(0)
    state = pn.sgd().init(params)
    new, _ = jax.jit(lambda rate: pn.sgd(rate).step(params, gradient(params, 0), state))(0.25)
    expected, _ = pn.sgd(0.25).step(params, gradient(params, 0), state)
    for a, b in zip(new, expected, strict=True):
        np.testing.assert_allclose(a, b)


DIFFERENCES = {}


@pytest.fixture
def record_difference():
    def record(name, oracle, largest):
        DIFFERENCES[name, oracle] = largest
        print(f"{name:<36} {oracle:<8} {largest:.1e}")
        assert largest <= 1e-10

    return record


@pytest.mark.parametrize(
    "rate_at_3",
    [
        lambda rate: pn.schedules.step(rate, every=2)(3),
        lambda rate: pn.schedules.exponential(rate, 0.9)(3),
        lambda rate: pn.schedules.exponential(0.1, rate)(3),
        lambda rate: pn.schedules.polynomial(0.5, 10, end=rate)(3),
        lambda rate: pn.schedules.cosine(rate, 10)(3),
        lambda rate: pn.schedules.cosine_restarts(rate, 2)(3),
        lambda rate: pn.schedules.one_cycle(rate, 10)(3),
        lambda rate: pn.schedules.warmup(pn.schedules.constant(rate), 10, start=rate / 2)(3),
    ],
)
def test_the_rates_of_a_schedule_may_be_traced(rate_at_3):
    np.testing.assert_allclose(jax.jit(rate_at_3)(0.25), float(rate_at_3(0.25)), rtol=1e-6)
    np.testing.assert_allclose(float(rate_at_3(jnp.float32(0.25))), float(rate_at_3(0.25)), rtol=1e-6)


def test_an_option_that_is_traced_and_may_not_be_is_told_so():
    for make in (pn.l2, pn.elu, lambda eps: pn.layer_norm(eps=eps), lambda limit: pn.dropout(limit)):
        with pytest.raises(TypeError, match="as a number that is known, not one that JAX traces"):
            jax.jit(lambda number, make=make: make(number) and number)(0.25)
