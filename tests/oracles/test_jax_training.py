"""Training under JAX: whole epochs in one scan agree with the loop on NumPy; many runs at once by vmap; Hessians."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from purenet.examples import compiled
from tests.catalogue import LOSSES
from tests.oracles.test_jax_engine import agree, cast, each_dtype
from tests.test_optimizers import NET, OPTIMIZERS, TRANSFORMS
from tests.test_schedules import VALUES

STEPS = 5
PROBABLE = {
    "binary_cross_entropy": pn.sigmoid,
    "nll": pn.log_softmax,
    "kl_divergence": pn.log_softmax,
    "gaussian_nll": pn.fan_out(pn.identity, pn.softplus),
    "triplet": pn.fan_out(pn.identity, pn.tanh, pn.sigmoid),
    "per_output": pn.fan_out(pn.identity, pn.log_softmax),
}
SCHEDULES = {name: schedule for name, (schedule, _) in VALUES.items()}
STEPPED = [o for name, many in OPTIMIZERS.items() if name != "chain" for o in many]
# gradient noise draws, so here its key must be JAX's: tests/oracles/test_jax_keys.py
STEPPED += [pn.chain(t, pn.sgd(0.1, momentum=0.9)) for name, t in TRANSFORMS.items() if name != "gradient_noise"]
PENALTIES = [pn.l1(0.01), pn.l2(0.01), pn.l2(0.01, which=lambda p: True)]


def batches(*shape, dtype=np.float64):
    return np.stack([pn.random.normal(pn.key(i), shape, dtype) for i in range(STEPS)])


def epoch(net, loss, optimizer, params, x, target, *penalties):
    """The same epoch on both engines, and the errors and the params at its end."""
    evaluate = pn.value_and_grad(net, loss, *penalties)

    def step(carry, batch):
        E, grads = evaluate(carry[0], *batch)
        return optimizer.step(carry[0], grads, carry[1]), E

    ours, errors = (params, optimizer.init(params)), []
    targets = zip(*target, strict=True) if isinstance(target, tuple) else target
    for batch in zip(x, targets, strict=True):
        ours, E = step(ours, batch)
        errors.append(E)
    begin = (params, optimizer.init(params))
    theirs, in_jax = jax.jit(lambda *given: jax.lax.scan(step, *given))(begin, (x, target))
    return (ours, np.array(errors)), (theirs, in_jax)


@each_dtype
@pytest.mark.parametrize("name", LOSSES)
def test_an_epoch_of_each_loss(name, dtype):
    net = pn.serial(pn.dense(2, 4), pn.tanh, pn.dense(4, 3), PROBABLE.get(name, pn.identity))
    loss, _, target = LOSSES[name][0]
    params = pn.tree.cast(net.init(pn.key(0)), dtype)
    targets = cast(pn.tree.map(lambda leaf: np.stack([leaf] * STEPS), target), dtype)
    ours, theirs = epoch(net, loss, pn.sgd(0.05), params, batches(4, 2, dtype=dtype), targets)
    agree(ours, theirs, dtype, name)
    assert ours[1][-1] != ours[1][0]


@pytest.mark.parametrize("optimizer", STEPPED, ids=repr)
def test_an_epoch_of_each_optimizer_and_transform(optimizer):
    params = pn.tree.cast(NET.init(pn.key(0)), np.float64)
    agree(*epoch(NET, pn.mse, optimizer, params, batches(4, 2), batches(4, 1)), np.float64, optimizer.name)


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: penalty.name.partition(" at ")[0])
def test_an_epoch_with_each_penalty(penalty):
    params = pn.tree.cast(NET.init(pn.key(0)), np.float64)
    agree(*epoch(NET, pn.mse, pn.sgd(0.1), params, batches(4, 2), batches(4, 1), penalty), np.float64, penalty.name)


def test_an_epoch_with_each_schedule():
    """All of them in one program: the params go down by the sum of the rates."""
    optimizers = {name: pn.sgd(schedule) for name, schedule in SCHEDULES.items()}

    @jax.jit
    def run():
        def step(carry, _):
            return {n: o.step(carry[n][0], jnp.ones(()), carry[n][1]) for n, o in optimizers.items()}, None

        begin = {n: (jnp.zeros(()), o.init(jnp.zeros(()))) for n, o in optimizers.items()}
        return jax.lax.scan(step, begin, length=100)[0]

    for name, (p, state) in run().items():
        assert int(state.count) == 100
        assert float(p) == pytest.approx(-sum(SCHEDULES[name](t) for t in range(100)), rel=1e-12), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_schedules_of_a_traced_count_and_a_traced_rate(dtype):
    counts = np.arange(100, dtype=np.int32)
    make = {
        "constant": lambda r: pn.schedules.constant(r),
        "step": lambda r: pn.schedules.step(r, every=7),
        "exponential": lambda r: pn.schedules.exponential(r, 0.9),
        "polynomial": lambda r: pn.schedules.polynomial(r, 50, 2.0),
        "cosine": lambda r: pn.schedules.cosine(r, 50),
        "cosine_restarts": lambda r: pn.schedules.cosine_restarts(r, 7, 2),
        "piecewise": lambda r: pn.schedules.piecewise(r, {10: 0.5, 20: 0.1}),
        "warmup": lambda r: pn.schedules.warmup(r, 10),
        "warmup, then cosine": lambda r: pn.schedules.warmup(pn.schedules.cosine(r, 50), 10),
        "one_cycle": lambda r: pn.schedules.one_cycle(r, 100),
    }
    assert {name.split(",")[0] for name in make} == {name.split(",")[0] for name in VALUES}

    def rates(rate):
        return {name: jax.vmap(f(rate))(counts) for name, f in make.items() if name != "constant"}

    for name, found in jax.jit(rates)(np.asarray(0.3, dtype)).items():
        expected = [make[name](0.3)(int(t)) for t in counts]
        np.testing.assert_allclose(
            found, expected, rtol=1e-5 if dtype is np.float32 else 1e-12, atol=1e-7, err_msg=name
        )


x, target = batches(4, 2), batches(4, 1)
net = pn.serial(pn.dense(2, 4), pn.tanh, pn.dropout(0.2), pn.dense(4, 1))


def train(key, lr=0.05):
    """A whole run as a function of its key and its learning rate."""
    init_key, key = pn.random.split(key)
    params = pn.tree.cast(net.init(init_key), np.float64)
    optimizer = pn.chain(pn.clip_by_global_norm(1.0), pn.adam(lr))

    def step(carry, batch):
        params, state, key = carry
        key, own = pn.random.split(key)
        E, grads = pn.value_and_grad(net, pn.mse)(params, *batch, own)
        return (*optimizer.step(params, grads, state), key), E

    (params, *_), errors = jax.lax.scan(step, (params, optimizer.init(params), key), (x, target))
    return params, errors


def test_a_hundred_seeds_at_once_are_a_hundred_one_by_one():
    keys = jax.random.split(jax.random.key(0), 100)
    together = jax.jit(jax.vmap(train))(keys)
    alone = jax.jit(train)
    apart = [alone(key) for key in keys]
    agree(pn.tree.map(lambda *leaves: np.stack(leaves), *apart), together, np.float64, "runs")
    assert len({float(errors[-1]) for _, errors in apart}) == 100


def test_a_sweep_of_learning_rates():
    key, rates = jax.random.key(1), jnp.asarray([1e-4, 1e-2, 0.3])
    together = jax.jit(jax.vmap(train, in_axes=(None, 0)))(key, rates)
    alone = jax.jit(train)
    apart = [alone(key, rate) for rate in rates]
    agree(pn.tree.map(lambda *leaves: np.stack(leaves), *apart), together, np.float64, "runs")


@each_dtype
def test_every_optimizer_takes_a_traced_learning_rate(dtype):
    made = {name: getattr(pn, name) for name in OPTIMIZERS if name not in ("chain", "per_path")}
    made["scheduled"] = lambda lr: pn.adam(pn.schedules.cosine(lr, 10))
    made["weight_decay"] = lambda lr: pn.chain(pn.weight_decay(lr), pn.sgd(lr))
    made["per_path"] = lambda lr: pn.per_path({"[0]": pn.sgd(lr)}, otherwise=pn.adam(lr))
    params = pn.tree.cast(NET.init(pn.key(0)), dtype)
    grads = pn.tree.map(lambda p: np.cos(3 * p), params)

    def steps(make, lr):
        new, optimizer = params, make(lr)  # NumPy's, so that in the first step the rate alone is traced
        state = optimizer.init(params)
        for _ in range(3):
            new, state = optimizer.step(new, grads, state)
        return pn.sgd_step(new, grads, lr)

    rates = np.asarray([0.001, 0.1], dtype)
    swept = jax.jit(jax.vmap(lambda lr: {name: steps(make, lr) for name, make in made.items()}))(rates)
    for name, make in made.items():
        apart = [steps(make, float(rate)) for rate in rates]
        agree(pn.tree.map(lambda *leaves: np.stack(leaves), *apart), swept[name], dtype, name)


def test_the_hessian_of_a_small_net():
    """By JAX through apply, by JAX through our rule, and by differences of our rule on NumPy."""
    net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
    params = pn.tree.cast(net.init(pn.key(0)), np.float64)
    vector, unravel = pn.tree.ravel(params)

    def gradient(vector):
        return pn.tree.ravel(pn.value_and_grad(net, pn.mse)(unravel(vector), x[0], target[0])[1])[0]

    through_apply = jax.jit(jax.hessian(lambda v: pn.mse.apply(net.apply(unravel(v), x[0]), target[0])))(vector)
    through_rule = jax.jit(jax.jacfwd(gradient))(vector)
    columns = [(gradient(vector + 1e-5 * e) - gradient(vector - 1e-5 * e)) / 2e-5 for e in np.eye(vector.size)]
    np.testing.assert_allclose(through_apply, through_rule, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(through_apply, np.stack(columns, axis=1), rtol=1e-7, atol=1e-8)


def test_the_hessian_of_a_linear_net_is_that_of_the_formula():
    layer = pn.dense(2, 1, bias=False)
    params = pn.tree.cast(layer.init(pn.key(0)), np.float64)
    hessian = jax.hessian(lambda w: pn.mse.apply(layer.apply(params._replace(weight=w), x[0]), target[0]))
    found = jax.jit(hessian)(params.weight)
    np.testing.assert_allclose(found[:, 0, :, 0], 2 / 4 * x[0].T @ x[0], rtol=1e-12)


def test_checkpoint_gives_the_same_gradients():
    """jax.checkpoint around apply, around one layer, and around our own rule; remat is ours."""
    net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
    params = pn.tree.cast(net.init(pn.key(0)), np.float64)
    E, grads = pn.value_and_grad(net, pn.mse)(params, x[0], target[0])
    kept = jax.checkpoint(lambda p: pn.mse.apply(net.apply(p, x[0]), target[0]))
    agree((E, grads), jax.jit(jax.value_and_grad(kept))(params), np.float64, "through apply")
    ours = jax.checkpoint(lambda p: pn.value_and_grad(net, pn.mse)(p, x[0], target[0]))
    agree((E, grads), jax.jit(ours)(params), np.float64, "our rule")
    again = pn.value_and_grad(pn.serial(pn.remat(net.parts[0]), *net.parts[1:]), pn.mse)
    agree((E, grads), jax.jit(lambda p: again(p, x[0], target[0]))(params), np.float64, "remat")


def test_the_example_of_compiled_training(capsys):
    with jax.enable_x64(False):
        compiled.main()
    one, *many, product = map(float, re.findall(r"\d\.\d{2,}", capsys.readouterr().out))
    assert one < 0.25  # of about 1, the variance of the product
    assert many[0] < many[1] < 0.3
    assert abs(product - 0.25) < 0.2


@pytest.mark.parametrize("loss", [pn.sse, pn.mse], ids=str)
def test_chunks_under_jit(loss):
    params = pn.tree.cast(NET.init(pn.key(0)), np.float64)
    x, target = batches(10, 2)[0], batches(10, 1)[1]
    for penalties in ((), (pn.l2(0.5),)):
        whole = pn.value_and_grad(NET, loss, *penalties)
        expected = whole(params, x, target)
        agree(expected, jax.jit(pn.in_chunks(whole, 4))(params, x, target), np.float64, "chunks in jit")
        if loss is pn.mse or not penalties:
            agree(expected, pn.in_chunks(jax.jit(whole), 4)(params, x, target), np.float64, "jit in chunks")
    with pytest.raises(ValueError, match="write in_chunks first"):
        pn.in_chunks(jax.jit(pn.value_and_grad(NET, pn.sse, pn.l2(0.5))), 4)(params, x, target)


OPTIONS = {
    "huber": lambda d: pn.huber(delta=d),
    "softmax_cross_entropy": lambda d: pn.softmax_cross_entropy(label_smoothing=d),
    "elu": lambda d: pn.elu(alpha=d),
    "celu": lambda d: pn.celu(alpha=d),
    "leaky_relu": lambda d: pn.leaky_relu(d),
    "batch_norm": lambda d: pn.batch_norm(momentum=d),
    "layer_norm": lambda d: pn.layer_norm(eps=d),
    "positional_encoding": lambda d: pn.positional_encoding(base=d),
    "transformer_block": lambda d: pn.transformer_block(4, 2, dropout=d),
    "lstm": lambda d: pn.lstm(2, 3, forget_bias=d),
    "adam": lambda d: pn.adam(beta1=d),
    "sgd": lambda d: pn.sgd(momentum=d),
    "l2": lambda d: pn.l2(d),
    "ema": lambda d: pn.ema(d),
    "reduce_on_plateau": lambda d: pn.schedules.reduce_on_plateau(0.1, factor=d),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_is_traced_says_so(name):
    def make(d):
        OPTIONS[name](d)
        return d

    for trace in (jax.jit(make), jax.grad(make), lambda d: jax.vmap(make)(d[None])):
        with pytest.raises(TypeError, match=rf"^{name}.* takes \w+ as a number that is known, not one that JAX traces"):
            trace(jnp.asarray(0.25))
    OPTIONS[name](0.25)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_can_be_compiled(name):
    schedule = SCHEDULES[name]
    found = [float(jax.jit(schedule)(t)) for t in (0, 7, 30, 99)]
    np.testing.assert_allclose(found, [schedule(t) for t in (0, 7, 30, 99)], rtol=1e-12, atol=1e-15)
    assert jax.jit(lambda t, s: s(t), static_argnums=1)(7, schedule) == pytest.approx(schedule(7))


def test_all_rates_of_a_schedule_may_be_traced():
    make = {
        "step": lambda r: pn.schedules.step(0.3, every=7, factor=r),
        "polynomial": lambda r: pn.schedules.polynomial(0.3, 50, power=r, end=r),
        "cosine": lambda r: pn.schedules.cosine(0.3, 50, end=r),
        "cosine_restarts": lambda r: pn.schedules.cosine_restarts(0.3, 7, 2, end=r),
        "warmup": lambda r: pn.schedules.warmup(0.3, 10, start=r),
        "one_cycle": lambda r: pn.schedules.one_cycle(0.3, 100, initial=r, end=r),
    }
    for name, f in make.items():
        found = jax.jit(lambda r, f=f: jax.vmap(f(r))(jnp.arange(100)))(0.125)
        np.testing.assert_allclose(found, [f(0.125)(t) for t in range(100)], rtol=1e-12, atol=1e-15, err_msg=name)
