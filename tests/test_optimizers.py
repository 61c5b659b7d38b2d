"""Optimizers: pure, read-only, dtypes kept, buffers carried; and what stands in front of them."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import purenet as pn
from purenet.optimizers import Transform, orthogonal

OPTIMIZERS = {
    "sgd": [pn.sgd(0.3), pn.sgd(0.1, momentum=0.9), pn.sgd(0.1, momentum=0.9, nesterov=True)],
    "adagrad": [pn.adagrad(0.3), pn.adagrad(0.3, initial=0.1)],
    "adadelta": [pn.adadelta(decay=0.5, eps=1e-2)],
    "rmsprop": [
        pn.rmsprop(0.05), pn.rmsprop(0.01, momentum=0.5), pn.rmsprop(0.02, 0.9, 0.5, centered=True, eps=1e-2),
    ],
    "adam": [pn.adam(0.1), pn.adam(pn.schedules.cosine(0.1, 200))],
    "amsgrad": [pn.amsgrad(0.1)],
    "adamw": [pn.adamw(0.1)],
    "adamax": [pn.adamax(0.1)],
    "nadam": [pn.nadam(0.1)],
    "radam": [pn.radam(0.1)],
    "lion": [pn.lion(0.02), pn.lion(0.02, weight_decay=0.01)],
    "lamb": [pn.lamb(0.05), pn.lamb(0.02, weight_decay=0.01)],
    "muon": [pn.muon(0.05, otherwise=pn.adamw(0.1)), pn.muon(0.05, nesterov=False, weight_decay=0.01)],
    "per_path": [pn.per_path({"[0]": pn.adam(0.1), "[2].bias": pn.sgd(0.1)}, otherwise=pn.adam(0.05))],
    "chain": [
        pn.chain(
            pn.ema(), pn.polyak(), pn.lookahead(), pn.clip_by_value(1.0), pn.clip_by_norm(1.0),
            pn.clip_by_global_norm(1.0), pn.gradient_noise(pn.key(0), eta=1e-6), pn.weight_decay(1e-4),
            pn.freeze("[0].bias"), pn.accumulate(1), pn.adam(0.1),
        )
    ],
}  # fmt: skip
TRANSFORMS = {
    "clip_by_value": pn.clip_by_value(0.1),
    "clip_by_norm": pn.clip_by_norm(0.1),
    "clip_by_global_norm": pn.clip_by_global_norm(0.1),
    "weight_decay": pn.weight_decay(0.1),
    "gradient_noise": pn.gradient_noise(pn.key(1)),
    "accumulate": pn.accumulate(2),
    "freeze": pn.freeze("[0]"),
    "joined": pn.joined(),
    "lookahead": pn.lookahead(2),
    "ema": pn.ema(0.9),
    "polyak": pn.polyak(),
}
CASES = [(name, optimizer) for name, many in OPTIMIZERS.items() for optimizer in many]
CASES += [(name, pn.chain(transform, pn.adam())) for name, transform in TRANSFORMS.items()]
each = pytest.mark.parametrize(
    "optimizer", [o for _, o in CASES], ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
TARGET = np.array([[0], [1], [1], [0]], np.float32)
NET = pn.serial(pn.dense(2, 8), pn.tanh, pn.dense(8, 1), pn.sigmoid)


SlotState = type(pn.sgd().init(()))


def bits(tree):
    return [(path, leaf.shape, leaf.dtype, leaf.tobytes()) for path, leaf in arrays(tree)]


def arrays(tree):
    return [(path, leaf) for path, leaf in pn.tree.items(tree) if not isinstance(leaf, pn.Key)]


def some_params(dtype):
    """Params with every container, a buffer, an array without axes, and one of each other shape."""
    draw = iter(range(100))

    def p(*shape):
        return pn.random.normal(pn.key(next(draw)), shape, dtype)

    params = (
        [p(3, 2), None],
        {"b": p(2), "a": (p(), ())},
        pn.Buffer((p(4), p())),
        pn.dense(2, 1).init(pn.key(0)),
        p(2, 1, 3),
    )
    return pn.tree.cast(params, dtype)


def gradients(params, t=0):
    return pn.tree.map(lambda p: np.asarray(np.cos(3 * p + t), p.dtype), params)


def test_tables_are_complete():
    public = {
        name for name in pn.__all__ if getattr(getattr(pn, name), "__module__", "").startswith("purenet.optimizers.")
    }
    assert public == set(OPTIMIZERS) | set(TRANSFORMS) | {"sgd_step", "update"}
    assert all(isinstance(transform, Transform) for transform in TRANSFORMS.values())


# Of each of CASES, one number made of all parameters after five steps. The oracles compare optimizers with PyTorch's and
# optax's; these numbers hold them where those are not installed.
AFTER_FIVE_STEPS = {
    "sgd-0": -1.6766272138375204,
    "sgd-1": -1.885618629748791,
    "sgd-2": -1.6387141147758897,
    "adagrad-3": -1.4320506080378046,
    "adagrad-4": -1.9905169662640811,
    "adadelta-5": -3.506630626354073,
    "rmsprop-6": 0.07738935398533964,
    "rmsprop-7": -1.4101620051423533,
    "rmsprop-8": -1.4456026236859216,
    "adam-9": -1.0338814200563646,
    "adam-10": -1.0335242974765975,
    "amsgrad-11": -1.0338814200563646,
    "adamw-12": -1.0273807182596362,
    "adamax-13": -0.9196294422793889,
    "nadam-14": -1.6388270162015564,
    "radam-15": -1.100676752493158,
    "lion-16": -1.327646740147191,
    "lion-17": -1.3264090698373967,
    "lamb-18": -1.3929126157409812,
    "lamb-19": -1.3059112068458874,
    "muon-20": -1.3017640826779155,
    "muon-21": -1.3767342213299374,
    "per_path-22": -0.8454553158329065,
    "chain-23": -1.3436731544954283,
    "clip_by_value-24": -1.2663436887784623,
    "clip_by_norm-25": -1.2689509058967858,
    "clip_by_global_norm-26": -1.2694378729958369,
    "weight_decay-27": -0.7482642260135318,
    "gradient_noise-28": -1.2703565390578988,
    "accumulate-29": -1.2745402067208664,
    "freeze-30": -1.2711189117312156,
    "joined-31": -1.2694849282520249,
    "lookahead-32": -1.2712484455730373,
    "ema-33": -1.2694849282520249,
    "polyak-34": -1.2694849282520249,
}


@each
def test_five_steps_end_where_they_must(optimizer, request):
    params = pn.tree.cast(NET.init(pn.key(0)), np.float64)
    state = optimizer.init(params)
    for t in range(5):
        params, state = optimizer.step(params, gradients(params, t), state)
    numbers = np.concatenate([leaf.ravel() for leaf in pn.tree.leaves(params)])
    found = float(numbers @ np.cos(np.arange(numbers.size)))
    assert found == pytest.approx(AFTER_FIVE_STEPS[request.node.callspec.id], abs=1e-9)


@each
@each_dtype
def test_a_step_is_pure_and_keeps_structure_and_dtypes(optimizer, dtype):
    if "per_path" in optimizer.name or "[0].bias" in optimizer.name:
        params = pn.tree.cast(NET.init(pn.key(0)), dtype)
    else:
        params = some_params(dtype)
    state = optimizer.init(params)
    for t in range(3):
        grads = gradients(params, t)
        before = bits((params, grads, state))
        new, following = optimizer.step(params, grads, state)
        again = optimizer.step(params, grads, state)
        assert bits((params, grads, state)) == before
        assert bits(again) == bits((new, following))
        pn.tree.check_same(params, new)
        pn.tree.check_same(state, following)
        for a, b in ((params, new), (state, following)):
            assert [leaf.dtype for _, leaf in arrays(a)] == [leaf.dtype for _, leaf in arrays(b)]
        for path, leaf in arrays((new, following)):
            assert type(leaf) is np.ndarray, path
            with pytest.raises(ValueError, match="read-only"):
                leaf[...] = 1
        params, state = new, following


@each
def test_buffers_take_their_step_and_nothing_else(optimizer):
    if "per_path" in optimizer.name or "freeze" in optimizer.name:
        params = (*NET.init(pn.key(0)), pn.Buffer(np.ones(3, np.float32)))
    else:
        params = (np.ones((2, 2), np.float32), {"mean": pn.Buffer(np.ones(3, np.float32))})
    state = optimizer.init(params)
    for t in range(3):
        grads = gradients(params, t)
        huge = [np.full(3, 1e30 * (t + 1), np.float32)]
        grads = (*grads[:-1], pn.Buffer(huge[0]) if type(grads[-1]) is pn.Buffer else {"mean": pn.Buffer(huge[0])})
        old = pn.tree.leaves(params[-1])[0]
        params, state = optimizer.step(params, grads, state)
        buffer = params[-1] if type(params[-1]) is pn.Buffer else params[-1]["mean"]
        assert type(buffer) is pn.Buffer
        np.testing.assert_array_equal(buffer.value, old - huge[0])
        assert all((abs(leaf) < 1e3).all() for leaf in pn.tree.leaves(params[:-1]))  # the norm does not count it


@pytest.mark.parametrize("optimizer", [o for many in OPTIMIZERS.values() for o in many], ids=repr)
def test_each_optimizer_trains_a_small_net(optimizer):
    evaluate = pn.value_and_grad(NET, pn.mse)
    params = NET.init(pn.key(1))
    state = optimizer.init(params)
    first, _ = evaluate(params, X, TARGET)
    for _ in range(400):
        E, grads = evaluate(params, X, TARGET)
        params, state = optimizer.step(params, grads, state)
    assert 0.3 * first > E, E


def test_slots_mirror_params_without_buffers():
    params = some_params(np.float32)
    state = pn.adam().init(params)
    assert type(state) is SlotState
    assert state.count.dtype == np.int32
    assert state.count.shape == ()
    assert set(state.slots) == {"sum", "squares"}
    kept = state.slots["sum"]
    assert kept[2] == ()
    pn.tree.check_same((*params[:2], (), *params[3:]), kept)


@pytest.mark.parametrize(
    "optimizer", [pn.sgd(), pn.adam(), pn.muon(), pn.chain(pn.clip_by_global_norm(1.0), pn.adam())], ids=repr
)
def test_wrong_trees_are_named(optimizer):
    params = NET.init(pn.key(0))
    state = optimizer.init(params)
    with pytest.raises(ValueError, match=r"params: a tuple of 4 against a tuple of 3"):
        optimizer.step(params, params[:3], state)
    with pytest.raises(ValueError, match=r"params\[0\].weight: \(2, 8\) against \(8, 2\)"):
        optimizer.step(params, pn.tree.map(np.transpose, params), state)
    with pytest.raises(ValueError, match=r"params\[2\].bias"):
        optimizer.step(params, (*params[:2], params[2]._replace(bias=None), ()), state)


def test_wrong_states_are_named():
    params = NET.init(pn.key(0))
    longer = (*params, ())
    with pytest.raises(ValueError, match=r"state.slots\['sum'\], for params: a tuple of 4 against a tuple of 5"):
        pn.adam().step(params, params, pn.adam().init(longer))
    other = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1), pn.sigmoid).init(pn.key(0))
    with pytest.raises(ValueError, match=r"state.slots\['sum'\], for params\[0\].weight: \(2, 8\) against \(2, 3\)"):
        pn.adam().step(params, params, pn.adam().init(other))
    with pytest.raises(ValueError, match=r"slots \['sum', 'squares'\], but was given one with slots \['momentum'\]"):
        pn.adam().step(params, params, pn.sgd(momentum=0.9).init(params))
    with pytest.raises(ValueError, match="but was given no state: make it by init"):
        pn.adam().step(params, params, None)
    with pytest.raises(ValueError, match="a tuple of 2 states"):
        pn.muon().step(params, params, ())


def test_a_one_of_another_shape_is_an_error_even_if_it_broadcasts():
    with pytest.raises(ValueError, match=r"params\[0\]: \(2, 3\) against \(3,\)"):
        pn.adam().step((np.ones((2, 3)),), (np.ones(3),), pn.adam().init((np.ones((2, 3)),)))


BAD = {
    "a negative rate": (lambda: pn.adam(-1.0), ValueError, "finite number from 0 up, not -1.0"),
    "a string for a rate": (lambda: pn.sgd("0.1"), TypeError, "a number or a schedule, not a str"),
    "a rate that is NaN": (lambda: pn.sgd(float("nan")), ValueError, "not nan"),
    "beta1 of 1": (lambda: pn.adam(beta1=1.0), ValueError, r"beta1 lies in \[0, 1\), but 1.0"),
    "a negative eps": (lambda: pn.adagrad(eps=-1), ValueError, "eps lies in"),
    "Nesterov without momentum": (lambda: pn.sgd(nesterov=True), ValueError, "needs a momentum: write sgd"),
    "a limit of 0": (lambda: pn.clip_by_norm(0), ValueError, "positive number, not 0"),
    "k of 0": (lambda: pn.accumulate(0), ValueError, "positive number of steps, not 0"),
    "no optimizer": (lambda: pn.chain(pn.clip_by_norm(1.0)), TypeError, r"was given clip_by_norm\(1.0\): add sgd\(\)"),
    "nothing": (lambda: pn.chain(), TypeError, "was given nothing"),
    "a number in a chain": (lambda: pn.chain(1.0, pn.sgd()), TypeError, "transforms before its optimizer, not a float"),
    "a transform of a net": (lambda: pn.ema()(NET), TypeError, r"ema\(0.999\) stands in front of an optimizer, not of a Layer"),
    "an integer for a key": (lambda: pn.gradient_noise(3), TypeError, r"write purenet.key\(3\)"),
    "a path that is not there": (
        lambda: pn.chain(pn.freeze("[5]"), pn.sgd()).init(NET.init(pn.key(0))),
        ValueError,
        r"there is no parameter at '\[5\]', but at \[0\].weight, \[0\].bias, \[2\].weight, \[2\].bias",
    ),
    "half a path": (lambda: pn.per_path({"[0].wei": pn.sgd()}, pn.sgd()).init(NET.init(pn.key(0))), ValueError, "no parameter at"),
    "a vector for muon": (
        lambda: pn.muon(which=lambda p: True).step((np.ones(2),), (np.ones(2),), pn.muon(which=lambda p: True).init((np.ones(2),))),
        ValueError,
        r"parameter of shape \(2,\)",
    ),
    "a function for a penalty": (lambda: pn.value_and_grad(NET, pn.mse, pn.l2), TypeError, r"write l2\(1e-4\)"),
    "a negative penalty": (lambda: pn.l1(-1.0), ValueError, "rate lies in"),
    "a list for params": (lambda: pn.adam().init([1.0]), TypeError, "takes an array, not a float"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_says_what_to_do(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()


@each
def test_the_name_is_the_code(optimizer):
    if "key(" in optimizer.name or "cosine" in optimizer.name:
        return  # these stand in modules
    assert repr(eval(optimizer.name, {name: getattr(pn, name) for name in pn.__all__})) == optimizer.name


def test_names_leave_defaults_out():
    assert repr(pn.adam()) == "adam()"
    assert repr(pn.adamw(0.1, weight_decay=0.5)) == "adamw(lr=0.1, weight_decay=0.5)"
    assert repr(pn.sgd(np.float64(0.1))) == "sgd(lr=0.1)"
    assert repr(pn.sgd(np.array(0.1))) == "sgd(lr=0.1)"


def test_a_numpy_rate_does_not_change_dtypes():
    params = (np.ones((2, 2), np.float32),)
    for rate in (np.float64(0.1), np.array(0.1), lambda t: np.float64(0.1), lambda t: np.array(0.1)):
        for make in (pn.sgd, pn.adam, pn.lamb, pn.muon):
            new, state = make(rate).step(params, params, make(rate).init(params))
            assert {leaf.dtype.name for leaf in pn.tree.leaves((new, state))} <= {"float32", "int32"}


def test_sgd_is_sgd_step():
    params = NET.init(pn.key(0))
    grads = gradients(params)
    new, _ = pn.sgd(0.1).step(params, grads, pn.sgd(0.1).init(params))
    assert bits(new) == bits(pn.sgd_step(params, grads, 0.1))


def test_rates_of_both_zeros_keep_their_sign():
    p, g = np.array([-0.0], np.float32), np.ones(1, np.float32)
    assert [np.signbit(pn.sgd_step(p, g, lr)[0]) for lr in (0.0, -0.0, 0.0)] == [True, False, True]


def test_a_schedule_begins_at_0():
    seen = []
    optimizer = pn.sgd(lambda t: seen.append(t) or 0.1)
    assert seen == [0]  # whether it is one
    params = np.ones(2)
    state = optimizer.init(params)
    for _ in range(3):
        params, state = optimizer.step(params, params, state)
    assert seen == [0, 0, 1, 2]


# values worked out by hand


def one_step(optimizer, p, g):
    return optimizer.step(p, g, optimizer.init(p))[0]


def test_first_steps_by_hand():
    p, g = np.array([[1.0, -2.0]]), np.array([[0.5, -4.0]])
    np.testing.assert_allclose(one_step(pn.adam(0.1), p, g), [[0.9, -1.9]], rtol=1e-6)  # m̂ / √v̂ is the sign
    np.testing.assert_allclose(one_step(pn.adamw(0.1, weight_decay=0.5), p, g), [[0.85, -1.8]], rtol=1e-6)
    np.testing.assert_allclose(one_step(pn.radam(0.1), p, g), p - 0.1 * g)  # no v̂ in the first steps
    np.testing.assert_allclose(one_step(pn.lion(0.1), p, g), [[0.9, -1.9]])
    np.testing.assert_allclose(one_step(pn.adagrad(0.1), p, g), [[0.9, -1.9]])
    np.testing.assert_allclose(one_step(pn.adamax(0.1), p, g), [[0.9, -1.9]], rtol=1e-6)
    np.testing.assert_allclose(one_step(pn.rmsprop(0.1, decay=0.75), p, g), [[0.8, -1.8]], rtol=1e-6)
    np.testing.assert_allclose(one_step(pn.lamb(0.1), p, g), p - 0.1 * 5**0.5 / 2**0.5 * np.sign(g), rtol=1e-5)


def test_lamb_with_a_norm_of_0_takes_the_plain_step():
    zero = np.zeros((2, 2))
    np.testing.assert_allclose(one_step(pn.lamb(0.1), zero, np.ones((2, 2))), np.full((2, 2), -0.1), rtol=1e-5)
    np.testing.assert_array_equal(one_step(pn.lamb(0.1), np.ones((2, 2)), zero), np.ones((2, 2)))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 2, 3)])
def test_orthogonal(shape):
    g = pn.random.normal(pn.key(0), shape, np.float64)
    flat = orthogonal(g)
    u, _, v = np.linalg.svd(g.reshape(-1, shape[-1]), full_matrices=False)
    values = np.linalg.svd(flat, compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.25
    np.testing.assert_allclose(u.T @ flat @ v.T, np.diag(np.diag(u.T @ flat @ v.T)), atol=1e-12)  # the same axes
    assert np.isfinite(orthogonal(np.zeros(shape))).all()


def test_muon_gives_kernels_and_leaves_biases_to_another():
    params = {"kernel": np.ones((3, 3, 2, 4)), "bias": np.ones(4)}
    optimizer = pn.muon(0.1, otherwise=pn.sgd(1.0))
    new = one_step(optimizer, params, params)
    np.testing.assert_array_equal(new["bias"], 0)
    assert (new["kernel"] != 1).all()


def test_clipping():
    grads = (np.array([3.0, -4.0]), np.array([[12.0]]), np.array([0.1]))
    zero = pn.tree.map(np.zeros_like, grads)

    def clipped(transform):
        return pn.tree.map(np.negative, one_step(pn.chain(transform, pn.sgd(1.0)), zero, grads))

    assert pn.tree.allclose(clipped(pn.clip_by_value(3.5)), (np.array([3.0, -3.5]), np.array([[3.5]]), np.array([0.1])))
    assert pn.tree.allclose(clipped(pn.clip_by_norm(2.5)), (np.array([1.5, -2.0]), np.array([[2.5]]), np.array([0.1])))
    small = 6.5 / (169.01**0.5)
    assert pn.tree.allclose(clipped(pn.clip_by_global_norm(6.5)), pn.tree.map(lambda g: small * g, grads))
    assert bits(clipped(pn.clip_by_global_norm(14.0))) == bits(grads)
    nan = (np.array([np.nan, 1.0]), *grads[1:])
    new = one_step(pn.chain(pn.clip_by_global_norm(1.0), pn.sgd(1.0)), zero, nan)
    assert all(np.isnan(leaf).all() for leaf in new)


def test_weight_decay_spares_biases_and_is_decoupled():
    params = {"weight": np.ones((2, 2)), "bias": np.ones(2)}
    grads = pn.tree.map(np.zeros_like, params)
    new = one_step(pn.chain(pn.weight_decay(0.25), pn.adam()), params, grads)
    np.testing.assert_array_equal(new["weight"], 0.75)
    np.testing.assert_array_equal(new["bias"], 1)
    new = one_step(pn.chain(pn.weight_decay(lambda t: 0.5, lambda p: True), pn.adam()), params, grads)
    np.testing.assert_array_equal(new["bias"], 0.5)
    new = one_step(pn.chain(pn.weight_decay(0.25), pn.adam()), np.ones((1, 1)), np.zeros((1, 1)))
    np.testing.assert_array_equal(new, 0.75)


def test_per_path_without_paths_leaves_all_to_the_other():
    params = (np.ones(2), pn.Buffer(np.zeros(3)))
    grads = (np.ones(2), pn.Buffer(np.full(3, 5.0)))
    optimizer = pn.per_path({}, otherwise=pn.sgd(0.1))
    new, _ = optimizer.step(params, grads, optimizer.init(params))
    assert bits(new) == bits(pn.sgd(0.1).step(params, grads, pn.sgd(0.1).init(params))[0])


def test_accumulate_is_one_step_with_the_mean():
    params, parts = (np.ones((2, 2)),), [(np.full((2, 2), g),) for g in (1.0, 2.0, 6.0)]
    sgd = pn.chain(pn.accumulate(3), pn.sgd(0.1))
    state, new = sgd.init(params), params
    for part in parts:
        new, state = sgd.step(new, part, state)
    np.testing.assert_allclose(new[0], 1 - 0.1 * 3.0)
    optimizer = pn.chain(pn.accumulate(3), pn.adam(0.1))  # which does not see the size of a gradient
    state = optimizer.init(params)
    new = params
    for part in parts:
        assert bits(new) == bits(params)
        new, state = optimizer.step(new, part, state)
    np.testing.assert_allclose(new[0], one_step(pn.adam(0.1), params, (np.full((2, 2), 3.0),))[0])
    np.testing.assert_array_equal(state.total[0], 0)
    assert int(state.inner.count) == 1


SCALAR = {
    **OPTIMIZERS, **{name: [pn.chain(transform, pn.sgd(0.1))] for name, transform in TRANSFORMS.items() if name != "freeze"},
    "freeze": [pn.chain(pn.freeze("['a']"), pn.sgd())], "per_path": [pn.per_path({"['a']": pn.adam()}, pn.sgd())],
    "chain": [pn.chain(pn.lookahead(2), pn.joined(), pn.adam())], "decayed": [pn.lamb(weight_decay=0.1, which=lambda p: True)],
}  # fmt: skip


@each_dtype
@pytest.mark.parametrize("optimizer", [pytest.param(o, id=name) for name, many in SCALAR.items() for o in many])
def test_a_learnable_scalar_has_a_gradient_that_is_a_number_of_numpy(optimizer, dtype):
    params = pn.tree.cast(
        {"a": pn.initializers.ones(pn.key(0), ()), "w": pn.initializers.ones(pn.key(0), (2, 2))}, dtype
    )
    number = {"a": np.full(3, 0.5, dtype).sum(), "w": np.ones((2, 2), dtype)}
    array = number | {"a": np.asarray(number["a"])}
    assert type(number["a"]) is dtype
    new, expected = (params, optimizer.init(params)), (params, optimizer.init(params))
    for _ in range(3):
        new, expected = optimizer.step(new[0], number, new[1]), optimizer.step(expected[0], array, expected[1])
    assert bits(new) == bits(expected)
    assert all(type(leaf) is np.ndarray and not leaf.flags.writeable for _, leaf in arrays(new))


ONES = (np.ones((2, 2)), np.ones((2, 2)))


def after(optimizer, steps, run=lambda step: step):
    """The first number of each of two matrices of ones, after so many steps along ones; and the state."""
    params, state, step = ONES, optimizer.init(ONES), run(optimizer.step)
    for _ in range(steps):
        params, state = step(params, ONES, state)
    return [float(p[0, 0]) for p in params], state


DECAY = pn.weight_decay(0.1)
ORDERS = {
    "frozen": (pn.chain(DECAY, pn.freeze("[0]"), pn.sgd(0.1)), 2, [1, 0.62]),
    "frozen, with clipping between": (pn.chain(DECAY, pn.clip_by_value(2), pn.freeze("[0]"), pn.sgd(0.1)), 2, [1, 0.62]),
    "one transform at a time": (DECAY(pn.freeze("[0]")(pn.sgd(0.1))), 2, [1, 0.62]),
    "a chain in a chain": (pn.chain(DECAY, pn.chain(pn.freeze("[0]"), pn.sgd(0.1))), 2, [1, 0.62]),
    "decays twice": (pn.chain(DECAY, DECAY, pn.freeze("[0]"), pn.sgd(0.1)), 1, [1, 0.7]),
    "waits": (pn.chain(DECAY, pn.accumulate(4), pn.sgd(0.1)), 7, [0.8, 0.8]),
    "a schedule of steps": (pn.chain(pn.weight_decay(lambda t: 0.1 * t), pn.accumulate(2), pn.sgd(0.1)), 4, [0.71, 0.71]),
    "waits in a part": (
        pn.chain(DECAY, pn.per_path({"[0]": pn.chain(pn.accumulate(2), pn.sgd(0.1))}, pn.sgd(0.1))), 1, [1, 0.8]
    ),
    "goes back after steps": (pn.chain(pn.lookahead(2), pn.accumulate(2), pn.sgd(0.1)), 6, [0.8, 0.8]),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDERS)
def test_what_makes_no_step_does_not_decay_wherever_that_is_written(name):
    optimizer, steps, expected = ORDERS[name]
    np.testing.assert_allclose(after(optimizer, steps)[0], expected)


@pytest.mark.parametrize("transform", [pn.ema(0.5), pn.polyak()], ids=repr)
def test_averages_are_of_steps_and_not_of_waits(transform):
    waiting = pn.chain(transform, pn.clip_by_value(2), pn.accumulate(3), pn.sgd(0.1))
    for n in (3, 5, 6, 9):
        (_, a), (_, b) = after(waiting, n), after(pn.chain(transform, pn.sgd(0.1)), n // 3)
        np.testing.assert_allclose(a.average[0], b.average[0])
        assert a.count == b.count


def at_count(state, count):
    """The state with another count of steps in all its parts."""
    parts = {"count": np.array(count, np.int32)}
    return state._replace(**parts, **({"inner": at_count(state.inner, count)} if hasattr(state, "inner") else {}))


COUNTING = [
    pn.adam(0.1), pn.nadam(0.1), pn.radam(0.1), pn.lamb(0.1), pn.sgd(pn.schedules.cosine(0.1, steps=9)),
    pn.chain(pn.polyak(), pn.gradient_noise(pn.key(0)), DECAY, pn.lookahead(3), pn.accumulate(3), pn.adam(0.1)),
]  # fmt: skip


@pytest.mark.parametrize("count", [2**31 - 1002, 2**31 - 2, 2**31 - 1])
@pytest.mark.parametrize("optimizer", COUNTING, ids=repr)
def test_the_step_count_has_no_end(optimizer, count):
    params, state = ONES, at_count(optimizer.init(ONES), count)
    for _ in range(4):
        params, state = optimizer.step(params, ONES, state)
    assert np.isfinite(params[0]).all()
    assert state.count.dtype == np.int32


LARGE = {np.float16: (300.0, 6e4, 6e-8), np.float32: (1e20, 3e38, 1e-30), np.float64: (1e200, 1.7e308, 1e-200)}
STEEP = [(np.float16, 300.0), (np.float16, 6e4), (np.float32, 1e20), (np.float32, 1e38)]


def norm(tree):
    """In float128, where nothing overflows."""
    return float(sum((np.asarray(leaf, np.longdouble) ** 2).sum() for leaf in pn.tree.leaves(tree)) ** 0.5)


def check_clipping(dtype, size, run=lambda f: f):
    params = (np.zeros((2, 100), dtype), np.zeros(3, dtype), pn.Buffer(np.zeros(2, dtype)))
    grads = (np.full((2, 100), size, dtype), np.full(3, -size, dtype), pn.Buffer(np.zeros(2, dtype)))
    for transform in (pn.clip_by_global_norm(0.5), pn.clip_by_norm(0.5)):
        optimizer = pn.chain(transform, pn.sgd(1.0))
        new, _ = run(optimizer.step)(params, grads, optimizer.init(params))
        parts = [(new, grads)] if transform.name.startswith("clip_by_global") else zip(new[:2], grads[:2], strict=True)
        for after, given in parts:
            np.testing.assert_allclose(norm(after), min(0.5, norm(given)), rtol=1e-2 if dtype is np.float16 else 1e-5)


def check_lamb_and_muon(dtype, size, run=lambda f: f):
    params, lamb = (np.full((4, 6), size, dtype),), pn.lamb(0.1)
    new, _ = run(lamb.step)(params, (np.full((4, 6), 0.1, dtype),), lamb.init(params))
    np.testing.assert_allclose(np.asarray(new[0], np.float64), 0.9 * size, rtol=1e-2 if dtype is np.float16 else 1e-5)
    matrix = np.random.default_rng(0).uniform(-1, 1, (4, 6))
    small, large = (np.asarray(run(orthogonal)((matrix * s).astype(dtype)), np.float64) for s in (1, size))
    np.testing.assert_allclose(large, small, atol=3e-2 if dtype is np.float16 else 1e-5)


def check_penalties(run=lambda f: f):
    half, single = np.ones((400, 400), np.float16), np.full((2, 2), 1e20, np.float32)
    for penalty in (pn.l1(1e-4), pn.l2(1e-4)):
        R, grads = run(penalty.add)((half,), (half,))
        assert float(R) == pytest.approx(16, rel=1e-3)
        assert getattr(np.float16(0) + R, "dtype", None) == np.float16 == grads[0].dtype
    assert float(run(pn.l2(1e-10).add)((single,), (single,))[0]) == pytest.approx(4e30, rel=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("dtype", "size"), [(dtype, size) for dtype, sizes in LARGE.items() for size in sizes])
def test_clipping_is_right_where_squares_leave_the_range_of_the_dtype(dtype, size):
    check_clipping(dtype, size)


@pytest.mark.parametrize(("dtype", "size"), STEEP)
def test_lamb_and_muon_are_right_where_squares_leave_the_range_of_the_dtype(dtype, size):
    check_lamb_and_muon(dtype, size)


def test_the_value_of_a_penalty_is_right_where_its_sum_leaves_the_range_of_the_dtype():
    check_penalties()


def test_infinite_and_nan_gradients_are_not_hidden_by_clipping():
    for bad, expected in ((np.inf, [np.nan, 0]), (np.nan, [np.nan, np.nan])):
        optimizer = pn.chain(pn.clip_by_global_norm(1.0), pn.sgd(1.0))
        with np.errstate(invalid="ignore"):
            new, _ = optimizer.step(np.zeros(2), np.array([bad, 1.0]), optimizer.init(np.zeros(2)))
        np.testing.assert_array_equal(new, expected)


def test_what_is_frozen_stays_and_costs_no_state():
    params = NET.init(pn.key(0))
    optimizer = pn.chain(pn.freeze("[0]", "[2].bias"), pn.adam())
    state = optimizer.init(params)
    new, state = optimizer.step(params, gradients(params), state)
    assert bits(new[0]) == bits(params[0])
    assert bits(new[2].bias) == bits(params[2].bias)
    assert (new[2].weight != params[2].weight).all()
    assert len(pn.tree.leaves(state.slots)) == 2


def test_writable_params_that_stay_are_not_made_read_only():
    params = (np.ones((2, 2)), np.ones(2))
    for optimizer in (pn.chain(pn.freeze("[0]"), pn.sgd()), pn.chain(pn.accumulate(2), pn.sgd())):
        optimizer.step(params, params, optimizer.init(params))
        pn.l2(0.1).add(params, params)
        assert all(leaf.flags.writeable for leaf in params)


def test_per_path_takes_the_longest_path_and_whole_steps_of_it():
    params = tuple(np.ones(1) for _ in range(11))
    new = one_step(pn.per_path({"[1]": pn.sgd(0.5)}, pn.sgd(0.0)), params, params)
    assert [p.item() for p in new] == [1, 0.5] + [1] * 9
    nested = {"a": {"b": np.ones(1), "c": np.ones(1)}}
    optimizer = pn.per_path({"['a']": pn.sgd(0.5), "['a']['c']": pn.sgd(0.25)}, pn.adam())
    assert pn.tree.leaves(one_step(optimizer, nested, nested)) == [0.5, 0.75]


def test_lookahead_goes_back():
    optimizer = pn.chain(pn.lookahead(2, 0.5), pn.sgd(1.0))
    params = np.zeros(1)
    state = optimizer.init(params)
    path = []
    for _ in range(4):
        params, state = optimizer.step(params, np.ones(1), state)
        path.append(params.item())
    assert path == [-1, -1, -2, -2]


def test_averages():
    params = np.zeros(1)
    for transform, expected in ((pn.ema(0.5), [-1, -1.5, -2.25]), (pn.polyak(), [-1, -1.5, -2])):
        optimizer = pn.chain(transform, pn.sgd(1.0))
        p, state = params, optimizer.init(params)
        for average in expected:
            p, state = optimizer.step(p, np.ones(1), state)
            assert state.average.item() == average


def test_gradient_noise_has_its_variance_and_never_repeats():
    params = (np.zeros((200, 200)), np.zeros((200, 200)))
    optimizer = pn.chain(pn.gradient_noise(pn.key(0), eta=0.25, gamma=2.0), pn.sgd(1.0))
    state = optimizer.init(params)
    first, state = optimizer.step(params, params, state)
    second, state = optimizer.step(params, params, state)
    assert abs(first[0].std() - 0.5) < 0.01
    assert abs(second[0].std() - 0.25) < 0.005
    everything = np.stack([p.ravel() for p in (*first, *second)])
    assert abs(np.corrcoef(everything) - np.eye(4)).max() < 0.03


def test_gradient_noise_draws_once_for_an_array_without_axes():
    params = (np.zeros(()), np.zeros(3))
    alone = one_step(pn.chain(pn.gradient_noise(pn.key(0)), pn.sgd(1.0)), params, params)
    with_one_axis = (np.zeros(1), np.zeros(3))
    as_vector = one_step(pn.chain(pn.gradient_noise(pn.key(0)), pn.sgd(1.0)), with_one_axis, with_one_axis)
    np.testing.assert_array_equal(alone[0], as_vector[0][0])
    np.testing.assert_array_equal(alone[1], as_vector[1])


def test_penalties_are_terms_of_the_loss_with_the_right_slope():
    params = pn.tree.cast(NET.init(pn.key(0)), np.float64)
    x, target = X.astype(float), TARGET.astype(float)
    evaluate = pn.value_and_grad(NET, pn.mse, pn.l1(0.01), pn.l2(0.1))
    E, grads = evaluate(params, x, target)
    plain, _ = pn.value_and_grad(NET, pn.mse)(params, x, target)
    weights = [p for p in pn.tree.leaves(params) if p.ndim > 1]
    np.testing.assert_allclose(E - plain, sum(0.01 * abs(w).sum() + 0.1 * (w**2).sum() for w in weights))
    vector, unravel = pn.tree.ravel(params)
    slopes, _ = pn.tree.ravel(grads)
    for i in range(len(vector)):
        at = [evaluate(unravel(vector + h * np.eye(len(vector))[i]), x, target)[0] for h in (1e-6, -1e-6)]
        np.testing.assert_allclose(slopes[i], (at[0] - at[1]) / 2e-6, rtol=1e-6, atol=1e-8)
    E, grads = pn.value_and_grad(NET, pn.mse, pn.l1(0.01), pn.l2(0.1))(NET.init(pn.key(0)), X, TARGET)
    assert {E.dtype.name} | {g.dtype.name for g in pn.tree.leaves(grads)} == {"float32"}


def test_penalties_leave_buffers_alone():
    params = (np.ones((2, 2)), pn.Buffer(np.ones((2, 2))))
    R, grads = pn.l2(1.0).add(params, (np.zeros((2, 2)), pn.Buffer(np.full((2, 2), 7.0))))
    assert R == 4
    np.testing.assert_array_equal(grads[1].value, 7)


def test_the_fast_walk_is_the_walk_over_any_container():
    """Tuples of NumPy arrays have a quick way; lists take the general one."""
    params = (np.arange(3.0), (np.ones((2, 2)), ()), pn.Buffer(np.zeros(2)), None)

    def as_lists(tree):
        if type(tree) is tuple:
            return [as_lists(child) for child in tree]
        return tree

    def flat(tree):
        return [leaf.tolist() for leaf in pn.tree.leaves(tree)]

    grads = gradients(params)
    quick, general = (pn.sgd_step(*trees, 0.1) for trees in ((params, grads), (as_lists(params), as_lists(grads))))
    assert flat(quick) == flat(general)
    for optimizer in (pn.sgd(0.1), pn.sgd(0.1, momentum=0.9), pn.adam(0.1)):
        quick, general = (params, optimizer.init(params)), (as_lists(params), optimizer.init(as_lists(params)))
        for _ in range(2):
            quick = optimizer.step(quick[0], grads, quick[1])
            general = optimizer.step(general[0], as_lists(grads), general[1])
        assert flat(quick) == flat(general)


def test_optimizers_are_values():
    assert isinstance(pn.adam(), pn.Optimizer)
    assert copy.copy(pn.adam()).name == "adam()"
    with pytest.raises(AttributeError):
        pn.adam().name = "mine"


@pytest.mark.parametrize(
    "optimizer", [pn.sgd(0.9, 0.9), pn.adam(), pn.nadam(), pn.lamb(), pn.muon(), pn.chain(pn.ema(), pn.sgd())], ids=repr
)
def test_gradients_of_another_dtype_do_not_change_that_of_params_or_state(optimizer):
    params = (np.ones((2, 3), np.float32), np.ones(3, np.float32))
    state = optimizer.init(params)
    for _ in range(2):
        params, state = optimizer.step(params, pn.tree.cast(params, np.float64), state)
    assert {leaf.dtype.name for leaf in pn.tree.leaves((params, state))} == {"float32", "int32"}


def test_a_path_ends_where_a_name_ends():
    params = ({"w": np.ones(1)}, pn.dense(1, 1).init(pn.key(0)))
    with pytest.raises(ValueError, match=r"no parameter at '\.weigh'"):
        pn.chain(pn.freeze(".weigh"), pn.sgd()).init(params[1])
    assert (
        pn.chain(pn.freeze(".weight"), pn.sgd())
        .step(params[1], params[1], SlotState(np.array(0, np.int32), {}))[0]
        .bias
        == 0
    )


@pytest.mark.parametrize("optimizer", [pn.adam(), pn.sgd(momentum=0.9)], ids=str)
def test_a_single_array_is_checked_as_a_tree_is(optimizer):
    p = np.ones(3, np.float32)
    with pytest.raises(ValueError, match=r"^params: \(3,\) against \(1,\)"):
        optimizer.step(p, np.ones(1, np.float32), optimizer.init(p))
    for other in (np.ones(1, np.float32), np.ones((1, 3), np.float32)):
        with pytest.raises(ValueError, match=r"state\.slots\['\w+'\], for params"):
            optimizer.step(p, p, optimizer.init(other))


# joined


@pytest.mark.parametrize("optimizer", [o for _, o in CASES if o.elementwise], ids=str)
@each_dtype
def test_joined_gives_the_same_bits(optimizer, dtype):
    joined = pn.chain(pn.joined(), optimizer)
    params = together = some_params(dtype)
    state, state_together = optimizer.init(params), joined.init(params)
    for t in range(5):
        grads = gradients(params, t)
        params, state = optimizer.step(params, grads, state)
        together, state_together = joined.step(together, grads, state_together)
        assert bits(together) == bits(params)
    vectors = [leaf for leaf in pn.tree.leaves(state_together) if leaf.ndim]
    assert all(leaf.shape == (pn.tree.size(params) - 5,) for leaf in vectors)  # without the buffer


def test_joined_refuses_gradients_of_another_net():
    params = (np.ones(2), ())
    with pytest.raises(ValueError, match="params"):
        pn.chain(pn.joined(), pn.sgd()).step(params, (np.ones(2), (np.ones(3),)), pn.sgd().init(params))


def test_which_optimizers_can_be_joined():
    can = {name for name, optimizer in CASES if optimizer.elementwise}
    assert can == {"sgd", "adagrad", "adadelta", "rmsprop", "adam", "amsgrad", "adamax", "nadam", "radam", "lion"}
    for optimizer in (pn.adamw(), pn.lion(weight_decay=0.1), pn.lamb(), pn.muon(), pn.chain(pn.ema(), pn.adam())):
        with pytest.raises(ValueError, match="treats each number by itself, such as adam"):
            pn.chain(pn.joined(), optimizer)
    assert pn.chain(pn.joined(), pn.adamw(weight_decay=0.0)).name == "chain(joined(), adamw(weight_decay=0.0))"


def test_joined_in_a_chain_of_what_looks_at_parameters():
    plain = pn.chain(pn.clip_by_global_norm(0.1), pn.weight_decay(0.01), pn.adam(0.1))
    joined = pn.chain(pn.clip_by_global_norm(0.1), pn.weight_decay(0.01), pn.joined(), pn.adam(0.1))
    params = NET.init(pn.key(0))
    grads = gradients(params)
    assert bits(joined.step(params, grads, joined.init(params))[0]) == bits(
        plain.step(params, grads, plain.init(params))[0]
    )


def test_joined_params_are_of_one_dtype_and_fit_their_gradients():
    joined = pn.chain(pn.joined(), pn.adam())
    mixed = (np.ones(2, np.float32), np.ones(3))
    with pytest.raises(TypeError, match="one dtype, but these are float32 and float64"):
        joined.step(mixed, mixed, joined.init(mixed))
    params = (np.ones((2, 3)), np.ones(3))
    state = joined.init(params)
    for wrong, message in (
        ((np.ones((3, 2)), np.ones(3)), r"params\[0\]: \(2, 3\) against \(3, 2\)"),
        ((np.ones((2, 3)),), "params: a tuple of 2 against a tuple of 1"),
        ([np.ones((2, 3)), np.ones(3)], "params: a tuple of 2 against a list of 2"),
        ((np.ones((2, 3)), [np.ones(3)]), r"params\[1\]: .* against a list of 1"),
    ):
        with pytest.raises(ValueError, match=message):
            joined.step(params, wrong, state)
    with pytest.raises(ValueError, match="against"):
        joined.step(params, params, joined.init(params[:1]))
    with pytest.raises(ValueError, match="no state"):
        joined.step(params, params)
    assert joined.step((), (), joined.init(()))[0] == ()
    assert pn.tree.size(joined.init(()).slots) == 0


def test_the_slots_of_a_state_may_stand_in_another_order():
    params = (np.array([1.0, -2.0]),)
    opt = pn.adam(0.1)
    state = opt.step(params, params, opt.init(params))[1]
    turned = state._replace(slots=dict(reversed(state.slots.items())))
    np.testing.assert_array_equal(opt.step(params, params, state)[0], opt.step(params, params, turned)[0])


DECAYING = [pn.adam(), pn.sgd(momentum=0.9), pn.adamax(), pn.nadam(), pn.radam(), pn.amsgrad(), pn.lamb(), pn.adadelta(), pn.muon(), pn.lion(), pn.rmsprop(decay=0.9)]  # fmt: skip


@pytest.mark.parametrize("optimizer", DECAYING, ids=repr)
def test_what_decays_never_becomes_subnormal(optimizer):
    """Subnormal numbers are slow on some CPUs; a weight whose gradient is 0 from now on would have them for ever."""
    params, tiny = (np.ones((4, 5), np.float32),), np.finfo(np.float32).tiny
    gradient = (np.cos(np.arange(20, dtype=np.float32)).reshape(4, 5),)
    state, most = optimizer.init(params), 0
    for i in range(2500):
        params, state = optimizer.step(params, gradient if i < 3 else (np.zeros((4, 5), np.float32),), state)
        if i % 10 == 0:
            slots = [
                leaf for leaf in pn.tree.leaves(state.slots if hasattr(state, "slots") else state) if leaf.size > 1
            ]
            most = max(most, sum(int(((abs(leaf) < tiny) & (leaf != 0)).sum()) for leaf in slots))
    assert most == 0


def test_an_average_of_params_that_became_0_never_becomes_subnormal():
    optimizer, params = pn.chain(pn.ema(0.9), pn.sgd(1.0)), (np.ones(3, np.float32),)
    state, tiny = optimizer.init(params), np.finfo(np.float32).tiny
    for i in range(1200):
        params, state = optimizer.step(params, (np.full(3, float(i == 1), np.float32),), state)
        assert not ((abs(state.average[0]) < tiny) & (state.average[0] != 0)).any()
    np.testing.assert_array_equal(state.average[0], 0)


def test_a_nan_is_not_taken_for_a_number_that_decayed():
    optimizer, params = pn.sgd(momentum=0.9), (np.ones(2, np.float32),)
    state = optimizer.init(params)
    for i in range(70):
        params, state = optimizer.step(params, (np.array([1 if i else np.nan, 1], np.float32),), state)
    np.testing.assert_array_equal(np.isnan(state.slots["momentum"][0]), [True, False])


def test_sgd_step_multiplies_each_parameter_in_its_own_dtype():
    """At the second step, too, where the layout of the params is known."""
    params = np.ones(2, np.float32), np.ones(3)
    for _ in range(2):
        new = pn.sgd_step(params, params, lr=0.1)
        assert [each.dtype for each in new] == [np.float32, np.float64]
        np.testing.assert_array_equal(new[1], 1 - 0.1 * np.ones(3))
