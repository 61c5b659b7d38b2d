"""What was checked for these shapes and dtypes goes the bare way: the same bits, and the same errors."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import purenet as pn
from purenet.engine.chain import LONGEST, pools_first
from purenet.engine.numpy import NUMPY, ONE_ROW_NUMPY, SMALL_NUMPY
from purenet.spec.guard import MOST, Ways, fits, guarded, kinds_of
from tests.catalogue import LAYER_CASES, LOSS_CASES, layer_id, loss_id
from tests.kit import cast

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def numbers(shape, dtype):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


def bits(tree):
    return [(path, leaf.shape, leaf.dtype, leaf.tobytes()) for path, leaf in pn.tree.items(tree)]


def by_layers(net, loss, params, x, target):
    """E and grads by the net's and the loss's own vjp."""
    y, pullback = net.vjp(params, x)
    E, loss_pullback = loss.vjp(y, target)
    return E, pullback(loss_pullback(), wrt_x=False)[0]


def probe(seen, of_matrices=True):
    """A layer that does nothing, and notes the ops that its rule is handed."""

    def rule(ops, params, x, key):
        seen.append(ops)
        return x, lambda dy, wrt_x: ((), dy)

    return pn.layer(pn.Spec("probe", x="...", y="..."), rule, of_matrices=of_matrices)


CHAINS = {
    "tanh": pn.serial(pn.dense(5, 7), pn.tanh, pn.dense(7, 3), pn.tanh),
    "relu": pn.serial(pn.dense(5, 7, bias=False), pn.relu, pn.dense(7, 3)),
    "first": pn.serial(pn.relu, pn.dense(5, 3), pn.sigmoid),
    "only": pn.serial(pn.dense(5, 3)),
    "many": pn.serial(pn.dense(5, 400), pn.elu, pn.dense(400, 200), pn.gelu, pn.dense(200, 3), pn.softplus),
    "nested": pn.residual(pn.serial(pn.dense(5, 5), pn.named(a=pn.layer_norm, b=pn.serial(pn.tanh, pn.dense(5, 5))))),
    "no params": pn.serial(pn.tanh, pn.relu),
}


def by_bare_rules(layer, params, x, key=None):
    """The bits of Y, of the gradients with dE/dX and without, where the checked way fails. Y alone must be the same."""
    ways = guarded(layer)
    with pytest.MonkeyPatch.context() as patch:
        failing = [lambda *_: pytest.fail("the bare way has failed, or was not taken")] * 3
        patch.setattr(ways, "checked", Ways(*failing))
        y, pullback = layer.vjp(params, x, key)
        assert bits(layer.apply(params, x, key)) == bits(y)
        return bits((y, pullback(y), pullback(y, wrt_x=False)[0]))


@pytest.mark.parametrize("case", [case for _, case in LAYER_CASES], ids=map(layer_id, LAYER_CASES))
def test_each_layer_has_a_bare_way_to_the_same_bits(case):
    params, layer = case.params, case.layer
    ways = guarded(layer)
    assert ways is not None
    results = []
    for vjp in (ways.checked.vjp, layer.vjp, layer.vjp):  # the last one goes the bare way, as it was seen before
        y, pullback = vjp(params, case.x, case.key)
        results.append(bits((y, pullback(y), pullback(y, wrt_x=False)[0])))
    assert ways.known.ops(params, case.x) is not None
    assert results[0] == results[1] == results[2] == by_bare_rules(layer, params, case.x, case.key)
    assert bits(ways.checked.apply(params, case.x, case.key)) == bits(layer.apply(params, case.x, case.key))


@each_dtype
@pytest.mark.parametrize("batch", [1, 63, 64])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_of_bare_rules_does_not_fail(chain, batch, dtype):
    """By itself: where it fails, the checked way computes in its place, and the numbers do not show it."""
    net = CHAINS[chain]
    params, x = pn.tree.cast(net.init(pn.key(0), (5,)), dtype), numbers((batch, 5), dtype)
    y, pullback = net.vjp(params, x)
    expected = bits((y, pullback(y), pullback(y, wrt_x=False)[0]))
    assert by_bare_rules(net, params, x) == expected


def test_without_dx_a_chain_goes_back_no_further_than_its_first_params():
    gone = []

    def noted(name):
        def rule(ops, params, x, key):
            return x, lambda dy, wrt_x: (gone.append((name, wrt_x)), ((), dy))[1]

        return pn.layer(pn.Spec(name, x="...", y="..."), rule)

    net = pn.serial(noted("a"), noted("b"), pn.dense(5, 5), noted("c"), pn.dense(5, 5))
    params, x = net.init(pn.key(0)), numbers((2, 5), np.float32)
    for _ in range(2):
        y, pullback = net.vjp(params, x)
    for wrt_x, expected in ((True, ["c", "b", "a"]), (False, ["c"])):
        gone.clear()
        (*grads,), dx = pullback(y, wrt_x)
        assert gone == [(name, True) for name in expected]
        assert (dx is None) == (not wrt_x)
        assert [grads[i] for i in (0, 1, 3)] == [(), (), ()]


def test_the_checked_way_keeps_no_x_that_a_rule_does_not_need():
    seen = []

    def rule(ops, params, x, key):
        seen.append(weakref.ref(x))
        return x + 1, lambda dy, wrt_x: ((), dy)

    one_more = pn.layer(pn.Spec("one_more", x="...", y="..."), rule)
    net = pn.serial(one_more, pn.residual(one_more), one_more)
    x = numbers((2, 5), np.float32)
    y, pullback = net.vjp(net.init(pn.key(0)), x)
    assert [each() is not None for each in seen] == [True, False, False]
    assert pullback(y)[1].shape == x.shape


@pytest.mark.parametrize("case", [case for _, case in LOSS_CASES], ids=map(loss_id, LOSS_CASES))
def test_each_loss_has_a_bare_way_to_the_same_bits(case):
    assert guarded(case.loss) is not None
    one, two = ((E, pullback(0.5)) for E, pullback in (case.loss.vjp(case.y, case.target) for _ in range(2)))
    assert bits(one) == bits(two)
    assert guarded(case.loss).known.ops(case.y, case.target) is not None


OF_MATRICES = [(name, case) for name, case in LOSS_CASES if pn.tree.leaves(case.y)[0].ndim == 2]


@pytest.mark.parametrize("case", [case for _, case in OF_MATRICES], ids=map(loss_id, OF_MATRICES))
def test_each_loss_has_a_bare_way_for_few_numbers(case):
    """As it runs behind a net of small matrices; an error there would send every step the checked way."""
    y, target = cast((case.y, case.target), np.float32)
    E, pullback = case.loss.vjp(y, target)
    bare, pull = guarded(case.loss).rule(SMALL_NUMPY, y, target)
    for a, b in zip(pn.tree.leaves((bare, pull(1.0))), pn.tree.leaves((E, pullback())), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    if np.shape(E):
        assert pn.tree.map(np.shape, pull(E)) == pn.tree.map(np.shape, y)


@each_dtype
@pytest.mark.parametrize("loss", [pn.mse, pn.huber(reduction="sum"), pn.softmax_cross_entropy], ids=repr)
@pytest.mark.parametrize("batch", [1, 2, 63, 64, 1100])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_gradient_by_bare_rules_is_that_of_the_layers(chain, batch, loss, dtype):
    net = CHAINS[chain]
    params = pn.tree.cast(net.init(pn.key(0), (5,)), dtype)
    x = numbers((batch, 5), dtype)
    target = numbers(net.apply(params, x).shape, dtype)
    if loss is pn.softmax_cross_entropy:
        target = np.arange(batch) % 3
    ways = guarded(net)
    y, pullback = ways.checked.vjp(params, x)
    E, loss_pullback = loss.vjp(y, target)
    plain = E, pullback(loss_pullback(), wrt_x=False)[0]
    evaluate = pn.value_and_grad(net, loss)
    for _ in range(3):
        found = evaluate(params, x, target)
        pn.tree.check_same(found, plain, "what the layers give")
        assert bits(found) == bits(plain)
        own = (x, target, *pn.tree.leaves(params))
        assert not any(np.shares_memory(leaf, each) for leaf in pn.tree.leaves(found) for each in own)


def test_small_matrices_get_ops_that_look_at_no_size():
    seen = []
    for net, x, ops in [
        (pn.serial(pn.dense(5, 3), probe(seen)), numbers((4, 5), np.float32), SMALL_NUMPY),
        (pn.serial(pn.dense(5, 3), probe(seen)), numbers((1, 5), np.float32), ONE_ROW_NUMPY),
        (pn.serial(pn.dense(5, 3), probe(seen)), numbers((64, 5), np.float32), NUMPY),
        (pn.serial(pn.dense(5, 3), probe(seen)), numbers((2, 2, 5), np.float32), NUMPY),
        (pn.serial(pn.dense(5, 3), probe(seen)), numbers((4, 5), np.float64), NUMPY),
        (pn.serial(pn.dense(5, 3), probe(seen, of_matrices=False)), numbers((4, 5), np.float32), NUMPY),
        (pn.serial(pn.reshape(1, 5), pn.dense(5, 3), probe(seen)), numbers((4, 5), np.float32), NUMPY),
        (pn.serial(pn.dense(5, 20000), probe(seen)), numbers((4, 5), np.float32), NUMPY),
    ]:
        params = pn.tree.cast(net.init(pn.key(0), x.shape[1:]), x.dtype)
        seen.clear()
        for _ in range(2):
            net.apply(params, x)
        assert seen == [NUMPY, ops]


@pytest.mark.parametrize(
    "kept", [pn.dense(5, 5), pn.tanh, pn.relu, pn.sigmoid, pn.dropout, pn.gaussian_noise(0.1)], ids=str
)
@pytest.mark.parametrize("around", [pn.serial, pn.residual, pn.frozen, pn.remat, lambda net: pn.named(a=net)])
def test_what_keeps_a_matrix_leaves_the_ops_for_small_ones_to_the_next(around, kept):
    seen = []
    net = around(pn.serial(kept, probe(seen)))
    params, x = net.init(pn.key(0)), numbers((4, 5), np.float32)
    for _ in range(2):
        net.apply(params, x)
    assert seen == [NUMPY, SMALL_NUMPY]


def test_a_layer_with_a_rule_of_its_own_uses_it():
    dense = pn.dense(5, 5)
    doubled = dense._replace(vjp=lambda params, x, key=None: dense.vjp(params, 2 * x))
    x, target = numbers((2, 5), np.float32), numbers((2, 5), np.float32)
    net = pn.serial(doubled, pn.tanh)
    params = net.init(pn.key(0))
    assert guarded(net) is None
    found = [pn.value_and_grad(net, pn.mse)(params, x, target) for _ in range(2)]
    assert bits(found[0]) == bits(found[1]) == bits(by_layers(net, pn.mse, params, x, target))
    assert bits(found[0]) != bits(by_layers(pn.serial(dense, pn.tanh), pn.mse, params, x, target))


def test_a_layer_with_an_apply_of_its_own_uses_it():
    dense = pn.dense(5, 5)
    net = pn.serial(dense._replace(apply=lambda params, x, key=None: 2 * dense.apply(params, x)))
    assert guarded(net.parts[0]) is guarded(net) is None
    params, x = net.init(pn.key(0)), numbers((2, 5), np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(net.apply(params, x), 2 * dense.apply(params[0], x))


def test_shapes_that_come_and_go_are_forgotten_in_time():
    net = CHAINS["tanh"]
    params = net.init(pn.key(0))
    guarded(net).known.seen.clear()  # what other tests asked of it
    for n in range(1, 3 * MOST):
        net.apply(params, np.ones((n, 5), np.float32))
        assert 1 <= len(guarded(net).known.seen) <= MOST
        assert n > MOST or len(guarded(net).known.seen) == n


def test_losses_that_come_and_go_are_forgotten_in_time():
    net = pn.dense(2, 1)
    params, x, target = net.init(pn.key(0)), np.ones((3, 2), np.float32), np.ones((3, 1), np.float32)
    for _ in range(2 * MOST):
        loss = pn.Loss(pn.mse.apply, pn.mse.vjp, name="mine")  # as a loop may make one in each step
        pn.value_and_grad(net, loss)(params, x, target)
        pn.value_and_grad(net, pn.huber(delta=np.random.default_rng().random() + 1))(params, x, target)
        assert 1 <= len(guarded(net).known_by_loss) <= MOST


def test_a_long_chain_needs_no_deep_stack():
    net = pn.serial(*[pn.dense(2, 2), pn.tanh] * LONGEST * 10)
    params, x = net.init(pn.key(0)), numbers((3, 2), np.float32)
    evaluate = pn.value_and_grad(net, pn.mse)
    E, grads = [evaluate(params, x, x) for _ in range(2)][-1]
    assert np.isfinite(E)
    assert len(grads) == LONGEST * 20


WRONG = [
    (lambda params, x, target: (params[:3], x, target), "tuple of 4"),
    (lambda params, x, target: ((*params, ()), x, target), "tuple of 4"),
    (lambda params, x, target: ((*params[:3], 1), x, target), "in layer 3, tanh"),
    (lambda params, x, target: ((params[0], *params[:3]), x, target), "in layer 1, tanh"),
    (lambda params, x, target: (params, x[:, :4], target), "in layer 0, dense"),
    (lambda params, x, target: (params, x.astype(np.float64), target), "in layer 0, dense"),
    (lambda params, x, target: (params, x.astype(int), target), "in layer 0, dense"),
    (lambda params, x, target: (params, x, target[:, :2]), "mse compares"),
    (lambda params, x, target: ((tuple(params[0]), *params[1:]), x, target), "takes params = DenseParams"),
    (lambda params, x, target: (pn.tree.cast(params, np.float64), x, target), "has float64 params"),
    (lambda params, x, target: ((params[0]._replace(bias=None), *params[1:]), x, target), "DenseParams(weight, bias)"),
    (lambda params, x, target: (params, x, list(target)), "not a list"),
    (lambda params, x, target: (params, list(x), target), "not a list"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_after_good_arguments_wrong_ones_are_told_as_by_the_layers(change, message):
    net = CHAINS["tanh"]
    good = net.init(pn.key(0)), numbers((2, 5), np.float32), numbers((2, 3), np.float32)
    evaluate = pn.value_and_grad(net, pn.mse)
    for _ in range(2):
        evaluate(*good)
        net.apply(*good[:2])
    wrong = change(*good)
    with pytest.raises((TypeError, ValueError)) as plain:
        by_layers(net, pn.mse, *wrong)
    with pytest.raises(plain.type) as quick:
        evaluate(*wrong)
    notes = [str(each.value) + "".join(getattr(each.value, "__notes__", ())) for each in (plain, quick)]
    assert message in notes[0]
    assert notes[0] == notes[1]
    assert quick.value.__context__ is None
    assert bits(evaluate(*good)) == bits(by_layers(net, pn.mse, *good))


def test_params_of_another_layer_are_refused_though_labels_would_go_with_them():
    x, labels = numbers((2, 5), np.float32), np.array([0, 1])
    for layer, other in ((pn.dense(5, 3), pn.dense(5, 4)), (pn.dense(5, 3, bias=False), pn.dense(5, 3))):
        net = pn.serial(layer)
        evaluate = pn.value_and_grad(net, pn.softmax_cross_entropy)
        evaluate(net.init(pn.key(0)), x, labels)
        with pytest.raises(ValueError, match="Are these of another net"):
            evaluate(pn.serial(other).init(pn.key(0)), x, labels)


def test_numbers_are_looked_at_in_each_call():
    ids = pn.embedding(5, 2)
    params, good = ids.init(pn.key(0)), np.array([[0, 4]])
    logits, labels = numbers((2, 3), np.float32), np.array([0, 2])
    for _ in range(3):
        ids.apply(params, good)
        pn.softmax_cross_entropy.vjp(logits, labels)
        with pytest.raises(ValueError, match="ids from 0 to 4, but x holds ids from 0 to 5"):
            ids.apply(params, good + 1 * (good == 4))
        with pytest.raises(ValueError, match="but found 3"):
            pn.softmax_cross_entropy.vjp(logits, labels + (labels == 2))


def test_a_gradient_that_does_not_fit_is_told_as_by_the_layers():
    net, x = CHAINS["tanh"], numbers((2, 5), np.float32)
    params = net.init(pn.key(0))
    for _ in range(2):
        y, pullback = net.vjp(params, x)
        with pytest.raises(ValueError, match=r"dE/dY has shape \(2, 5\), but Y has shape \(2, 3\)") as error:
            pullback(x)
        assert error.value.__notes__ == ["  in layer 3, tanh"]
        with pytest.raises(TypeError, match="dE/dY is float64, but Y is float32"):
            pullback(y.astype(float))


def test_what_looks_like_an_output():
    a, b = np.ones((2, 3), np.float32), np.ones(2, np.int64)
    one, two = kinds_of(a), kinds_of((a, (b, a)))
    assert fits(a, one)
    assert fits((a, (b, a)), two)
    assert fits((a, None), two)
    assert fits((a, (b, None)), two)
    for wrong in (a[:1], a.astype(float), a.tolist(), (a,), None, np.float32(1), a.view(np.recarray)):
        assert not fits(wrong, one)
        assert not fits((wrong, (b, a)), two)
        assert wrong is None or not fits((a, (b, wrong)), two)
    for wrong in (a, (), (a,), (a, b), (a, (b, a), a), [a, (b, a)], (a, (None, a)), (None, (b, a)), (b, (a, a))):
        assert not fits(wrong, two)


def test_a_gradient_is_not_the_memory_of_the_loss():
    kept = numbers((1, 3), np.float32)
    loss = pn.Loss(lambda y, t: np.float32(0), lambda y, t: (np.float32(0), lambda dE=1.0: kept), "loss")
    net = pn.serial(pn.dense(5, 3))
    _, grads = pn.value_and_grad(net, loss)(net.init(pn.key(0)), numbers((1, 5), np.float32), None)
    assert not np.shares_memory(grads[0].bias, kept)


def test_a_loss_that_gives_no_number_or_another_shape_is_refused():
    net = CHAINS["tanh"]
    params, x = net.init(pn.key(0)), numbers((2, 5), np.float32)
    rows = pn.Loss(lambda y, t: y.sum(1), lambda y, t: (y.sum(1), lambda dE=1.0: y), "rows")
    with pytest.raises(ValueError, match="a loss is one number"):
        pn.value_and_grad(net, rows)(params, x, None)
    narrow = pn.Loss(lambda y, t: y.sum(), lambda y, t: (y.sum(), lambda dE=1.0: y[:, :1]), "narrow")
    with pytest.raises(ValueError, match=r"the pullback of narrow gives a float32 array of shape \(2, 1\)"):
        pn.value_and_grad(net, narrow)(params, x, None)


POOLS = [
    pn.max_pool(2),
    pn.max_pool(3, stride=2, padding=1),
    pn.max_pool((3, 2), stride=1, padding="same"),
    pn.global_max_pool,
]


def one_by_one(layers, x, draw):
    """The output and dE/dX of layers in the order given, each called by itself, with dE/dY = draw(shape of y)."""
    pullbacks = []
    for layer in layers:
        x, pullback = layer.vjp((), x)
        pullbacks.append(pullback)
    dx = draw(x.shape)
    for pullback in reversed(pullbacks):
        _, dx = pullback(dx)
    return x, dx


@each_dtype
@pytest.mark.parametrize("values", ["normal", "ties", "negative", "zeros", "infinite"])
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_relu_and_a_maximum_in_the_quicker_order_are_those_in_the_order_given(pool, values, dtype):
    layers = pn.relu, pool, pn.tanh, pn.relu, pn.relu
    net = pn.serial(*layers)
    x = 3 * numbers((5, 8, 6, 3), dtype)
    if values in ("ties", "zeros"):
        x = np.round(x / 2) if values == "ties" else x * 0  # of which some are -0.0
    elif values == "negative":
        x = -np.abs(x)
    elif values == "infinite":
        x[0, :4], x[1, 2, 3], x[2, 4, 5] = -np.inf, np.inf, -np.inf
    draw = lambda shape: numbers((2, *shape), dtype)[1]  # noqa: E731
    expected, its_dx = one_by_one(layers, x, draw)
    for _ in range(2):
        y, pullback = net.vjp(((),) * 5, x)
        params, dx = pullback(draw(y.shape))
        assert params == ((),) * 5
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(net.apply(((),) * 5, x), y)
        np.testing.assert_array_equal(dx, its_dx)
        assert y.dtype == dx.dtype == dtype
    x[0, 0, 0] = np.nan
    np.testing.assert_array_equal(net.apply(((),) * 5, x), one_by_one(layers, x, draw)[0])


def test_only_relu_changes_places_and_only_with_a_maximum():
    assert pools_first(["relu", "max_pool", "tanh", "relu", "relu"]) == (1, 0, 2, 3, 4)
    assert pools_first(["relu", "relu", "max_pool", "max_pool"]) == (0, 2, 1, 3)
    assert pools_first(["relu", "avg_pool"]) == pools_first(["max_pool", "relu"]) == (0, 1)
    order = []

    def noted(layer):
        """The layer with another vjp: it is not relu, or a maximum, any more."""
        return layer._replace(vjp=lambda params, x, key=None: (order.append(layer.name), layer.vjp(params, x))[1])

    for pair in ((noted(pn.relu), noted(pn.max_pool(2))), (pn.relu, noted(pn.max_pool(2)))):
        order.clear()
        pn.serial(*pair).vjp(((), ()), np.ones((2, 4, 4, 1), np.float32))
        assert order[-1] == "max_pool(2)"


@pytest.mark.parametrize("compose", [pn.serial, lambda a, b: pn.named(a=a, b=b)], ids=["serial", "named"])
def test_errors_are_those_of_the_order_given(compose):
    net, x = compose(pn.relu, pn.max_pool(2)), np.ones((2, 4, 4, 1), np.float32)
    params = net.init(pn.key(0))
    for _ in range(2):
        for run in (net.apply, net.vjp):
            with pytest.raises(TypeError, match="relu computes in floating point") as error:
                run(params, x.astype(int))
            assert [note.split(", ")[-1] for note in error.value.__notes__] == ["relu"]
            with pytest.raises(ValueError, match="does not fit into an input of") as error:
                run(params, x[:, :1])
            assert [note.split(", ")[-1] for note in error.value.__notes__] == ["max_pool(2)"]
        _, pullback = net.vjp(params, x)
        with pytest.raises(ValueError, match=r"the pullback of max_pool\(2\): dE/dY has shape") as error:
            pullback(x)
        assert [note.split(", ")[-1] for note in error.value.__notes__] == ["max_pool(2)"]


def test_a_gradient_made_anew_in_each_step_knows_what_was_checked_before():
    seen = []
    net = pn.serial(pn.dense(5, 3), probe(seen))
    params, x, target = net.init(pn.key(0)), numbers((4, 5), np.float32), numbers((4, 3), np.float32)
    for _ in range(3):
        pn.value_and_grad(net, pn.mse)(params, x, target)
    assert seen == [NUMPY, SMALL_NUMPY, SMALL_NUMPY]


@pytest.mark.parametrize("several", [False, True])
def test_a_gradient_of_what_was_checked_before_goes_past_the_layers(several):
    net = pn.serial(pn.add, pn.dense(5, 3)) if several else pn.serial(pn.dense(5, 3))
    params, x, target = net.init(pn.key(0)), numbers((4, 5), np.float32), numbers((4, 3), np.float32)
    evaluate = pn.value_and_grad(net, pn.mse)
    for _ in range(2):
        guarded(net).known.seen.clear()  # what the net itself was asked for
        evaluate(params, (x, x) if several else x, target)
    assert not guarded(net).known.seen
