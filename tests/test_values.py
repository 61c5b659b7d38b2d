"""Layers, losses, optimizers, schedules and the like are values: equal if they were made alike, and no tuples."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import pydoc
import subprocess
import sys

import numpy as np
import pytest

import purenet as pn
from tests.cases import normal
from tests.catalogue import LAYERS, LOSSES


def lr_of(step):
    return 0.1 / (1 + step)


def matrix(key, shape):
    return np.ones(shape, np.float32)


def which(p):
    return p.ndim > 1


OPTIMIZERS = {
    "sgd": lambda: pn.sgd(0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda: pn.adagrad(),
    "adadelta": lambda: pn.adadelta(decay=0.8),
    "rmsprop": lambda: pn.rmsprop(momentum=0.5, centered=True),
    "adam": lambda: pn.adam(pn.schedules.warmup(pn.schedules.cosine(0.1, steps=100), steps=10)),
    "amsgrad": lambda: pn.amsgrad(lr_of),
    "adamw": lambda: pn.adamw(weight_decay=0.1, which=which),
    "adamax": lambda: pn.adamax(),
    "nadam": lambda: pn.nadam(),
    "radam": lambda: pn.radam(),
    "lion": lambda: pn.lion(),
    "lamb": lambda: pn.lamb(),
    "muon": lambda: pn.muon(otherwise=pn.sgd(0.1)),
    "per_path": lambda: pn.per_path({"[0]": pn.sgd(0.01), "[1].bias": pn.sgd(0.1)}, otherwise=pn.adam()),
    "chain": lambda: pn.chain(
        pn.freeze("[1].bias"), pn.accumulate(1), pn.clip_by_value(0.5), pn.clip_by_norm(1.0), pn.weight_decay(0.01),
        pn.clip_by_global_norm(1.0), pn.gradient_noise(pn.key(0)), pn.lookahead(2), pn.ema(0.9), pn.polyak(),
        pn.joined(), pn.adam(pn.schedules.piecewise(0.1, {2: 0.01})),
    ),
}  # fmt: skip
SCHEDULES = {
    "constant": lambda: pn.schedules.constant(0.1),
    "step": lambda: pn.schedules.step(0.1, every=3),
    "exponential": lambda: pn.schedules.exponential(0.1, 0.5),
    "polynomial": lambda: pn.schedules.polynomial(0.1, steps=5),
    "cosine": lambda: pn.schedules.cosine(0.1, steps=5),
    "cosine_restarts": lambda: pn.schedules.cosine_restarts(0.1, steps=5, growth=2),
    "piecewise": lambda: pn.schedules.piecewise(0.1, {2: 0.01}),
    "warmup": lambda: pn.schedules.warmup(pn.schedules.step(0.1, every=3), steps=2),
    "one_cycle": lambda: pn.schedules.one_cycle(0.1, steps=20),
}
INITIALIZERS = {
    "constant": lambda: pn.initializers.constant(0.1),
    "normal": lambda: pn.initializers.normal(0.1),
    "truncated_normal": lambda: pn.initializers.truncated_normal(0.1),
    "uniform": lambda: pn.initializers.uniform(0.1),
    "variance_scaling": lambda: pn.initializers.variance_scaling(2.0, "fan_out", "normal"),
    "orthogonal": lambda: pn.initializers.orthogonal(2.0),
    "glorot_uniform": lambda: pn.initializers.glorot_uniform,
}
OTHERS = {
    "l1": lambda: pn.l1(0.1),
    "l2": lambda: pn.l2(0.1, which=which),
    "clip": lambda: pn.clip_by_norm(1.0),
    "reduce_on_plateau": lambda: pn.schedules.reduce_on_plateau(0.1, patience=2),
    "net": lambda: pn.serial(
        pn.named(a=pn.conv(4, 3, stride=[2, 1]), b=pn.relu), pn.residual(pn.elu(alpha=0.5)), pn.dropout(0.2),
        pn.transformer_block(4, 2), pn.dense(3, weight_init=matrix), pn.activation(np.sin, np.cos, name="sine"),
    ),
    "loss": lambda: pn.huber(delta=0.5),
}  # fmt: skip
MAKERS = OPTIMIZERS | SCHEDULES | INITIALIZERS | OTHERS


def bits(tree):
    return [(path, leaf.shape, leaf.dtype, leaf.tobytes()) for path, leaf in pn.tree.items(tree)]


def copies(thing):
    return [*(pickle.loads(pickle.dumps(thing, protocol)) for protocol in (2, 4, 5)), copy.deepcopy(thing)]


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_made_alike_is_equal_and_hashes_alike(name):
    one, two = MAKERS[name](), MAKERS[name]()
    assert one == two
    assert hash(one) == hash(two)
    for again in copies(one):
        assert again == one
        assert hash(again) == hash(one)
        assert repr(again) == repr(one)


def test_no_two_of_them_are_equal():
    made = [MAKERS[name]() for name in MAKERS]
    assert len({*made}) == len(made)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_come_back_from_a_pickle(name):
    params = pn.serial(pn.dense(2, 3), pn.dense(1)).init(pn.key(0))
    grads = pn.tree.map(lambda p: p + 1, params)
    optimizer = OPTIMIZERS[name]()

    def ends(optimizer):
        params_, state = params, optimizer.init(params)
        for _ in range(3):
            params_, state = optimizer.step(params_, grads, state)
        return bits(params_)

    assert all(ends(again) == ends(optimizer) for again in copies(optimizer))


def test_schedules_and_initializers_come_back_from_a_pickle():
    for make in SCHEDULES.values():
        assert [pickle.loads(pickle.dumps(make()))(t) for t in range(12)] == [make()(t) for t in range(12)]
    for make in INITIALIZERS.values():
        again = pickle.loads(pickle.dumps(make()))
        assert bits(again(pn.key(0), (3, 4))) == bits(make()(pn.key(0), (3, 4)))


def test_layers_and_losses_of_the_catalogue_equal_those_made_again():
    every = [case.layer for name, cases in LAYERS.items() if name != "activation" for case in cases]
    every += [case.loss for cases in LOSSES.values() for case in cases]
    for value in every:
        again = pickle.loads(pickle.dumps(value))
        assert again == value
        assert hash(again) == hash(value)


def test_presets_equal_what_they_make_without_options():
    assert pn.relu == pn.relu()
    assert pn.elu == pn.elu(alpha=1.0)
    assert pn.elu(0.5) == pn.elu(alpha=0.5) != pn.elu
    assert pn.mse == pn.mse() != pn.mse(reduction="sum")
    assert pn.sse != pn.mse(reduction="sum")


OWN_NAMES = [name for name in pn.__all__ if isinstance(getattr(pn, name), pn.Layer | pn.Loss)]
OF_NO_ARGUMENTS = (
    "sgd adagrad adadelta rmsprop adam amsgrad adamw adamax nadam radam lion lamb muon freeze joined serial named"
)


def test_a_name_leaves_out_the_options_that_are_the_defaults():
    assert len(OWN_NAMES) > 50
    assert {name: getattr(pn, name).name for name in OWN_NAMES} == {name: name for name in OWN_NAMES}
    assert [getattr(pn, name)().name for name in OF_NO_ARGUMENTS.split()] == [
        f"{name}()" for name in OF_NO_ARGUMENTS.split()
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pn.dense(2, 3), pn.dense(2, 4)),
        (pn.dense(2, 3), pn.dense(2, 3, weight_init=matrix)),
        (pn.dense(2, 3, bias=False), pn.dense(2, 3)),
        (pn.dense(2, 3, weight_init=lambda k, s: np.ones(s)), pn.dense(2, 3, weight_init=lambda k, s: np.zeros(s))),
        (pn.activation(lambda x: x, np.ones_like), pn.activation(lambda x: 2 * x, np.ones_like)),
        (pn.named(a=pn.relu, b=pn.tanh), pn.named(b=pn.tanh, a=pn.relu)),
        (pn.adam(lambda t: 0.1), pn.adam(lambda t: 0.2)),
        (pn.adam(np.array(0.1)), pn.adam(0.2)),
        (pn.schedules.constant(0.1), pn.initializers.constant(0.1)),
        (pn.tanh, pn.tanh._replace(vjp=pn.relu.vjp)),
        (pn.dense(2, 3), pn.Layer(*[getattr(pn.dense(2, 3), f) for f in ("init", "apply", "vjp", "shape", "name")])),
        (pn.mse, pn.Loss(pn.mae.apply, pn.mae.vjp, pn.mse.name)),
    ],
)
def test_what_is_made_otherwise_is_not_equal(one, two):
    assert one != two
    assert two == two


def test_by_hand_the_functions_count_and_not_the_name():
    vjp = pn.tanh.vjp
    one, two = (pn.Layer(pn.tanh.init, pn.tanh.apply, vjp, pn.tanh.shape, "mine") for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != two._replace(vjp=lambda *given: vjp(*given))
    assert one != two._replace(name="yours")


@pytest.mark.parametrize(
    ("value", "changes", "message"),
    [
        (pn.adam(0.1), {"lr": 0.5}, r"^adam\(lr=0\.1\) is an optimizer.*so lr stays as it is: write another, as adam"),
        (pn.chain(pn.ema(), pn.sgd()), {"lr": 0.5, "name": "quicker"}, "so lr stays as it is: write another"),
        (
            pn.serial(pn.tanh, pn.relu),
            {"parts": ()},
            r"so parts stays as it is: write serial\(\*parts\) of",
        ),
        (pn.dense(2, 1), {"weight": 0.0}, r"params stand beside a layer: write params = net\.init\(key\)$"),
    ],
)
def test_what_only_tells_of_the_functions_is_not_replaced_alone(value, changes, message):
    with pytest.raises(TypeError, match=message):
        value._replace(**changes)


def test_what_was_changed_by_hand_is_not_pickled_as_if_it_was_not():
    changed = pn.tanh._replace(vjp=pn.relu.vjp)
    assert changed.call is None
    with pytest.raises((AttributeError, pickle.PicklingError), match=r"pickle .*Layer\.init"):
        pickle.dumps(changed)


def times(ops, a, x, key):
    return a * x, lambda dy, wrt_x: (ops.sum_rows(dy * x), a * dy)


def scale(features):
    """A layer of one's own, of a rule that a module has."""
    name, sizes = f"scale({features})", {"n": features}
    return pn.layer(pn.Spec(name, x="... n", y="... n", params="n", init=pn.initializers.ones, sizes=sizes), times)


def test_a_layer_of_ones_own_whose_rule_a_module_has():
    assert scale(2) == scale(2) != scale(3)
    again = pickle.loads(pickle.dumps(pn.serial(scale(2), pn.tanh)))
    assert again == pn.serial(scale(2), pn.tanh)
    assert repr(again) == "serial(scale(2), tanh)"
    assert again.apply((np.full(2, 3.0), ()), np.ones((1, 2)))[0, 0] == np.tanh(3)


def test_one_whose_rule_is_made_on_the_spot():
    def local(features):
        return pn.layer(scale(features).call.args[0], lambda *given: times(*given))

    layer = local(2)
    assert layer == layer != local(2)
    layer.vjp(np.ones(2), np.ones((1, 2)))[1](np.ones((1, 2)))
    assert copy.deepcopy(layer) is layer
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(layer)


@pn.preset
def scaled(by: float = 2.0) -> pn.Layer:
    """A preset of one's own."""
    return pn.activation(lambda x: by * x, lambda x: by + 0 * x, name="scaled")


def test_a_preset_of_ones_own_is_pickled_by_its_name():
    assert pickle.loads(pickle.dumps(pn.serial(scaled, pn.tanh))).parts[0] is scaled


def test_a_preset_of_ones_own_may_have_the_name_of_one_of_ours():
    def elu(alpha: float = 2.0) -> pn.Layer:
        return pn.activation(lambda x: alpha * x, lambda x: alpha + 0 * x, name="elu of mine")

    pn.preset(elu)
    assert (pn.elu(1.0).name, pn.elu(2.0).name) == ("elu", "elu(alpha=2.0)")


def test_a_process_that_starts_anew_is_handed_a_net(tmp_path):
    net, params = OTHERS["net"](), (np.float32(2),)
    job = pn.serial(pn.conv(4, 3), pn.elu(0.5)), pn.mse(reduction="sum"), OPTIMIZERS["chain"](), params
    (tmp_path / "job").write_bytes(pickle.dumps(job))
    code = (
        "import pickle; net, loss, optimizer, params = pickle.load(open('job', 'rb')); import purenet as pn\n"
        "print(net, loss, optimizer.name == repr(optimizer), net == pn.serial(pn.conv(4, 3), pn.elu(alpha=0.5)))"
    )
    run = [sys.executable, "-c", code]
    from_here = {"PYTHONPATH": str(pn.__file__).rsplit("purenet", 1)[0]}
    said = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True, env=from_here).stdout
    assert said.split() == ["serial(conv(4,", "3),", "elu(alpha=0.5))", "mse(reduction='sum')", "True", "True"]
    assert net is not None


# --- no tuples


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: pn.mse / 2,
        lambda: -pn.mse,
        lambda: sum([pn.mse, pn.mae]),
        lambda: pn.mse[0],
        lambda: pn.serial(pn.relu, pn.tanh)[:1],
        lambda: pn.serial(pn.relu, pn.tanh)[0],
        lambda: pn.relu + (pn.tanh,),  # noqa: RUF005
        lambda: (pn.tanh,) + pn.relu,  # noqa: RUF005
        lambda: pn.serial(*pn.serial(pn.relu)),
        lambda: list(pn.adam()),
        lambda: pn.adam() + pn.sgd(),
        lambda: pn.clip_by_norm(1.0) * 2,
        lambda: 0.5 * pn.schedules.cosine(0.1, steps=3),
        lambda: pn.l1(0.1) + pn.l2(0.1),
    ],
)
def test_values_have_no_arithmetic_and_no_items(wrong):
    with pytest.raises(TypeError, match=r"is an? \w+, a value that has no (other )?sums(,| or) products.* items: "):
        wrong()


class Own(pn.Layer):
    def __init__(self):
        self.weight = 1


SET = {
    "a layer that is not trained": (
        pn.dense(2, 1),
        "trainable",
        r"^dense\(2, 1\) is a layer, a value that never changes, so trainable .*write frozen\(layer\)",
    ),
    "a preset that is not trained": (pn.tanh, "requires_grad", r"^tanh is a layer.*write frozen\(layer\)"),
    "a layer's mode": (pn.dense(2, 1), "training", r"write net\.apply\(params, x, key\) in training"),
    "a layer's weight": (pn.dense(2, 1), "weight", r"write params = net\.init\(key\)$"),
    "a layer's field": (pn.dense(2, 1), "shape", r"write value = value\._replace\(shape=\.\.\.\)$"),
    "a net's parts": (pn.serial(pn.relu), "parts", r"write serial\(\*parts\)"),
    "a loss's field": (pn.mse, "name", r"^mse is a loss.*write value = value\._replace\(name=\.\.\.\)$"),
    "a loss's option": (pn.mse, "reduction", "write its options where it is made"),
    "an optimizer's rate": (pn.adam(), "lr", r"^adam\(\) is an optimizer.*goes on with the same state"),
    "what an optimizer has not": (pn.adam(), "foo", r"^adam\(\) is an optimizer.*so foo stays as it is"),
    "a transform's field": (pn.clip_by_norm(1.0), "name", "is a transform, a value that never changes"),
    "a schedule's attribute": (pn.schedules.cosine(0.1, steps=3), "steps", "is a schedule, a value that never changes"),
    "a penalty's attribute": (pn.l2(0.1), "rate", "is a penalty, a value that never changes"),
    "a key's attribute": (pn.key(0), "foo", r"^key\(0\) never changes, so foo .*write first, second = split\(key\)"),
    "a key's value": (pn.key(0), "value", r"^key\(0\) never changes, so value"),
}  # fmt: skip


@pytest.mark.parametrize("case", SET)
def test_a_value_cannot_be_changed(case):
    value, name, message = SET[case]
    for change in (lambda: setattr(value, name, 1), lambda: delattr(value, name)):
        with pytest.raises(dataclasses.FrozenInstanceError, match=message):
            change()


def test_a_subclass_with_attributes_is_told_how_layers_are_made():
    with pytest.raises(AttributeError, match=r"^Own\.weight: a Layer never changes.*pn\.layer\(spec, rule\), see help"):
        Own()


def test_a_value_has_no_length():
    with pytest.raises(TypeError):
        len(pn.mse)  # type: ignore[arg-type]


# --- params that stay read-only


def kept_states():
    net = pn.serial(
        pn.named(a=pn.dense(2, 3), b=pn.batch_norm), pn.frozen(pn.dense(3)), pn.residual(pn.prelu), pn.dense(1)
    )
    params = net.init(pn.key(0))
    x, target = normal(8, 2).astype(np.float32), normal(8, 1).astype(np.float32)
    optimizer = pn.chain(pn.accumulate(2), pn.ema(), pn.lookahead(), pn.weight_decay(0.1), pn.adam())
    found = pn.fit(
        net, pn.mse, optimizer, params, (x, target), key=pn.key(1), epochs=2, patience=1, validation=(x, target)
    )
    return {
        "params": params,
        "Buffer": pn.Buffer(params),
        "optimizer's state": optimizer.init(params),
        "State": found.state,
        "Best": found.best,
        "Fit": found,
        "PlateauState": pn.schedules.reduce_on_plateau(0.1).init(),
        "Moments": pn.data.standardize.fit(x),
    }


KEPT = kept_states()


@pytest.mark.parametrize("name", KEPT)
def test_what_is_read_only_stays_so_in_pickles_and_copies(name):
    def arrays(tree):
        return {path: leaf for path, leaf in pn.tree.items(tree) if isinstance(leaf, np.ndarray)}

    kept = KEPT[name]
    for again in (*copies(kept), copy.copy(kept)):
        assert type(again) is type(kept)
        assert repr(again) == repr(kept)
        for path, leaf in arrays(kept).items():
            assert arrays(again)[path].flags.writeable is leaf.flags.writeable, path
            np.testing.assert_array_equal(arrays(again)[path], leaf)
        some = [leaf for path, leaf in arrays(again).items() if "history" not in path]
        assert some
        assert not any(leaf.flags.writeable for leaf in some)


def test_so_do_the_params_of_every_layer():
    for case in (case for cases in LAYERS.values() for case in cases):
        params = pn.tree.cast(case.params, np.float32)
        for again in copies(params):
            assert not any(leaf.flags.writeable for leaf in pn.tree.leaves(again) if leaf.dtype == np.float32)


def test_a_copy_leaves_what_can_be_written_to_as_it_is():
    weight = np.ones((2, 3), np.float32)
    params = pn.dense(2, 3).init(pn.key(0))._replace(weight=weight)
    assert copy.copy(params).weight is weight
    assert weight.flags.writeable
    assert pickle.loads(pickle.dumps(params)).weight.flags.writeable


# --- structures


def test_equal_structures_hash_alike():
    def structure(tree):
        return pn.tree.flatten(tree)[1]

    one, two = structure({"a": 1, "b": (2, None)}), structure({"b": (2, None), "a": 1})
    assert one == two
    assert hash(one) == hash(two)
    assert hash(structure({1: 0})) == hash(structure({True: 0}))
    others = [{"a": 1, "b": (2, 3)}, {"a": 1, "b": [2, None]}, {"a": 1, "c": 2}, 1.0]
    assert len({one, *map(structure, others)}) == len({hash(one), *map(hash, map(structure, others))}) == 5


# --- what is written by hand


def f(y, target):
    return ((y - target) ** 2).mean()


def df(y, target):
    return 2 * (y - target) / y.size


X, TARGET = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
NET = pn.dense(2, 1)


@pytest.mark.parametrize(
    "loss",
    [
        pn.Loss(f, df),
        pn.Loss(f, df, "own"),
        pn.Loss(f, lambda y, t: (f(y, t), df(y, t)), "own"),
        pn.Loss(f, lambda y, t: [f(y, t), lambda dE=1.0: dE * df(y, t)], "own"),
    ],
)
def test_a_loss_of_a_function_and_its_derivative_is_told_what_to_write(loss):
    params = NET.init(pn.key(0))
    for use in (
        lambda: pn.value_and_grad(NET, loss)(params, X, TARGET),
        lambda: pn.fit(NET, loss, pn.sgd(), params, (X, TARGET), key=None, epochs=1),
        lambda: pn.testing.check_vjp(loss, X, X + 1),
    ):
        with pytest.raises(
            TypeError, match=r"must return \(E, pullback\).*write Loss\(f, lambda y, t: \(f\(y, t\), la"
        ):
            use()


def test_what_it_is_told_to_write_is_right():
    loss = pn.Loss(f, lambda y, t: (f(y, t), lambda dE=1.0: dE * df(y, t)), "own")
    pn.testing.check_vjp(loss, X, X + 1)


@pytest.mark.parametrize("penalty", [lambda params: 0.0, [pn.l2(0.1)], pn.l2, 0.1])
def test_what_is_no_penalty_is_shown_how_to_make_one(penalty):
    with pytest.raises(TypeError, match=r"or Penalty\(add, name\) of your own, where add\(params, grads\) is"):
        pn.value_and_grad(NET, pn.mse, penalty)


def test_a_penalty_of_ones_own():
    params = NET.init(pn.key(0))
    by_hand = pn.Penalty(lambda p, g: (p.bias.sum(), g._replace(bias=g.bias + 1)), "sum of biases")
    E, grads = pn.value_and_grad(NET, pn.mse, by_hand)(params, X, TARGET)
    plain, without = pn.value_and_grad(NET, pn.mse)(params, X, TARGET)
    assert plain + params.bias.sum() == E
    assert grads.bias == without.bias + 1


def test_errors_tell_each_level_in_one_short_line():
    def deep(depth):
        block = pn.serial(pn.conv(4, 3, padding="same"), pn.batch_norm, pn.relu)
        return block if not depth else pn.serial(block, pn.residual(pn.named(deeper=deep(depth - 1))), block)

    net = deep(6)
    params = net.init(pn.key(0), (8, 8, 1))
    x = np.ones((2, 8, 8, 2), np.float32)
    for wrong in (
        lambda: net.apply(params, x),
        lambda: net.apply(params[:1], x[..., :1]),
        lambda: net.init(pn.key(0)),
        lambda: net.init(pn.key(0), 3),
        lambda: net(x),
        lambda: net[:1],
        lambda: pn.predict(net, net, x),
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            wrong()
        lines = [*str(caught.value).splitlines(), *getattr(caught.value, "__notes__", ())]
        assert max(map(len, lines)) < 270
        assert sum(map(len, lines)) < 300 + 130 * len(lines)


@dataclasses.dataclass
class MLP:
    weight: object


def test_a_dataclass_that_nobody_registered_says_so():
    for use in (
        lambda p: pn.adam().init(p),
        lambda p: pn.tree.cast(p, np.float64),
        pn.tree.ravel,
        lambda p: pn.sgd_step(p, p, 0.1),
    ):
        with pytest.raises(TypeError, match="not a MLP: make its class a NamedTuple, or register it with JAX"):
            use((MLP(np.ones(2)),))


# --- help


def test_help_of_the_package_is_no_list_of_methods_of_tuples():
    text = pydoc.render_doc(pn, renderer=pydoc.plaintext)
    assert len(text.splitlines()) < 2600
    assert "builtins.tuple" not in text
    for name in pn.__all__:
        assert f" {name}" in text, name
    assert len(pydoc.render_doc(pn.Layer, renderer=pydoc.plaintext).splitlines()) < 60
