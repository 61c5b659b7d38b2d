"""Combinators: what the invariants over the catalogue do not say."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import purenet as pn
from purenet.introspection import watch
from purenet.testing import check_vjp
from tests.cases import normal

KEY = pn.key(1)


def double(layer, in_shape=None):
    return pn.tree.cast(layer.init(pn.key(0), in_shape), np.float64)


def notes(error):
    return [note.strip() for note in error.value.__notes__]


def test_residual_adds_the_input_to_value_and_gradient():
    layer = pn.residual(pn.dense(3, 3))
    params, x, dy = double(layer), normal(4, 3), normal(4, 3, seed=1)
    y, pullback = layer.vjp(params, x)
    np.testing.assert_allclose(y, x + x @ params.weight + params.bias)
    np.testing.assert_allclose(pullback(dy)[1], dy + dy @ params.weight.T)


def test_residual_refuses_other_shapes_at_every_stage():
    layer = pn.residual(pn.dense(1))  # would broadcast
    for attempt in (
        lambda: layer.shape((3,)),
        lambda: layer.init(pn.key(0), (3,)),
        lambda: layer.apply(pn.dense(3, 1).init(pn.key(0)), np.ones((2, 3), np.float32)),
        lambda: layer.vjp(pn.dense(3, 1).init(pn.key(0)), np.ones((2, 3), np.float32)),
    ):
        with pytest.raises(ValueError, match=r"must be equal: the input has \((2, )?3,?\), the output \((2, )?1,?\)"):
            attempt()


def test_branches_are_their_layers_side_by_side():
    layers = (pn.dense(3), pn.serial(pn.tanh, pn.dense(2)))
    x, other = normal(4, 5), normal(4, 6, seed=1)
    for net, given in ((pn.fan_out(*layers), x), (pn.parallel(*layers), (x, other))):
        inputs = (x, x) if given is x else given
        params = double(net, pn.tree.map(lambda a: a.shape[1:], given))
        y, pullback = net.vjp(params, given)
        dparams, dx = pullback(y)
        alone = [layer.vjp(p, each) for layer, p, each in zip(layers, params, inputs, strict=True)]
        assert pn.tree.allclose(y, tuple(yi for yi, _ in alone), 0, 0)
        gradients = [pull(yi) for yi, pull in alone]
        assert pn.tree.allclose(dparams, tuple(g for g, _ in gradients), 0, 0)
        expected = gradients[0][1] + gradients[1][1] if given is x else tuple(dxi for _, dxi in gradients)
        assert pn.tree.allclose(dx, expected)


def test_merges():
    a, b, c = (normal(2, 3, seed=i) for i in range(3))
    dy = normal(2, 3, seed=5)
    y, pullback = pn.add.vjp((), (a, b, c))
    np.testing.assert_allclose(y, a + b + c)
    assert all((dx == dy).all() for dx in pullback(dy)[1])
    a[0, 0] = 0.0  # where y / a would be nan
    y, pullback = pn.mul.vjp((), (a, b, c))
    np.testing.assert_allclose(y, a * b * c)
    for dx, others in zip(pullback(dy)[1], (b * c, a * c, a * b), strict=True):
        np.testing.assert_allclose(dx, dy * others)
    y, pullback = pn.concat.vjp((), (a, b[:, :1]))
    np.testing.assert_array_equal(y, np.concatenate([a, b[:, :1]], axis=1))
    assert [dx.shape for dx in pullback(y)[1]] == [(2, 3), (2, 1)]
    assert pn.add.shape(((..., 3), (4, 3))) is None  # of one only the last axis is known: they may fit


def test_reshape_knows_its_output_without_its_input_unless_a_size_is_open():
    assert pn.reshape(2, 6).shape(None) == pn.reshape(2, 6).shape((..., 3)) == (2, 6)
    assert pn.reshape(-1, 2).shape(None) is pn.reshape(-1, 2).shape((..., 3)) is None


def test_merge_errors():
    with pytest.raises(ValueError, match=r"add takes arrays of equal shapes, not \(3,\), \(1,\)"):
        pn.add.apply((), (np.ones((2, 3)), np.ones((2, 1))))
    with pytest.raises(ValueError, match=r"mul takes arrays of equal shapes, not \(\.\.\., 3\), \(\.\.\., 4\)"):
        pn.serial(pn.fan_out(pn.dense(3), pn.dense(4)), pn.mul)
    with pytest.raises(ValueError, match=r"differ along that axis only, not \(3, 2\), \(4, 1\)"):
        pn.concat.shape(((3, 2), (4, 1)))
    with pytest.raises(ValueError, match="differ along that axis only"):
        pn.concat(3).shape(((3, 2), (3, 2)))
    with pytest.raises(ValueError, match="other than 0"):
        pn.concat(0)
    with pytest.raises(TypeError, match=r"takes a tuple of arrays, not a float64 array.*after fan_out or parallel"):
        pn.add.apply((), normal(2, 3))
    with pytest.raises(TypeError, match="of one dtype, not float64, float32"):
        pn.add.apply((), (normal(2), np.ones(2, np.float32)))
    with pytest.raises(ValueError, match="so in_shape is a tuple of shapes"):
        pn.add.shape((3,))


def test_what_is_handed_on_beside_a_layer():
    params, x, rest = pn.dense(3, 2).init(pn.key(0)), np.ones((4, 3), np.float32), np.arange(4)
    y, pullback = pn.on_first(pn.dense(3, 2)).vjp(params, (x, rest))
    np.testing.assert_array_equal(y[0], pn.dense(3, 2).apply(params, x))
    assert y[1] is rest
    dparams, (dx, drest) = pullback((y[0], None))
    expected = pn.dense(3, 2).vjp(params, x)[1](y[0])
    assert pn.tree.allclose((dparams, dx), expected, 0)
    assert drest is None
    assert pullback((y[0], None), wrt_x=False)[1] is None

    a, b = normal(2, 3), normal(2, 3, seed=1)
    (total, _), pullback = pn.keep_rest(pn.mul).vjp((), (a, b))
    np.testing.assert_array_equal(total, a * b)
    dtotal, dsame = normal(2, 3, seed=2), normal(2, 3, seed=3)
    _, (da, db) = pullback((dtotal, dsame))
    np.testing.assert_array_equal(da, dtotal * b)
    np.testing.assert_array_equal(db, dtotal * a + dsame)  # b reaches E by the layer and by itself

    assert pn.on_first(pn.dense(3, 2)).shape(((3,), ())) == ((2,), ())
    assert pn.on_first(pn.dense(3, 2)).shape(None) is None
    for make in (pn.on_first, pn.keep_rest):
        net = make(pn.add)
        assert net.remake(net.parts).name == net.name == f"{make.__name__}(add)"
        for run in (net.apply, net.vjp):
            with pytest.raises(ValueError, match="takes an x that is a tuple of two or more, not a tuple of 1"):
                run((), (a,))
        with pytest.raises(ValueError, match="so in_shape is a tuple of two or more"):
            net.shape(((3,),))
        alone = make(pn.dense(3, 2))  # with nothing beside it, X goes to the layer as it is
        assert pn.tree.allclose(alone.vjp(params, x)[1](y[0]), expected, 0)
        assert (alone.shape((4, 3)), alone.init(pn.key(0), (3,)).weight.shape) == ((4, 2), (3, 2))
        with pytest.raises(TypeError, match="argument 0 is an int, not a layer"):
            make(3)
    _, pullback = pn.keep_rest(pn.add).vjp((), (a, b))
    with pytest.raises(ValueError, match="a tuple of 2, not a float64 array"):
        pullback(a)
    with pytest.raises(ValueError, match=r"dE/dY has shape \(2, 2\), but Y has shape \(2, 3\)"):
        pullback((a, b[:, :2]))


STATE = (normal(2, 3, seed=3), normal(2, 3, seed=4))


def test_pick_and_swap_hand_on_what_stands_there():
    a, ids = normal(2, 3), np.arange(2)
    y, pullback = pn.pick(-3).vjp((), (a, ids, STATE))
    assert y is a
    _, (da, dids, dstate) = pullback(a)
    assert da is a
    assert dids is None
    assert pn.tree.allclose(dstate, pn.tree.map(np.zeros_like, STATE), 0)
    y, pullback = pn.pick(2).vjp((), (a, ids, STATE))
    assert y == STATE
    assert pn.tree.allclose(pullback(STATE)[1], (0 * a, None, STATE), 0)
    assert pullback(STATE, wrt_x=False)[1] is None
    y, pullback = pn.swap.vjp((), (ids, STATE))
    assert y == (STATE, ids)
    assert pullback((STATE, None))[1] == (None, STATE)
    assert pn.swap.apply((), (a, None)) == (None, a)


def test_what_pick_and_swap_refuse():
    a = normal(2, 3)
    for make, error, says in (
        (lambda: pn.pick(1.5), TypeError, "pick takes the place of an input, an integer, not a float"),
        (
            lambda: pn.pick(2).apply((), (a, a)),
            ValueError,
            r"pick\(2\) takes an x that is a tuple of 3 or more, not a tup",
        ),
        (lambda: pn.pick(-1).apply((), a), ValueError, "a tuple of 1 or more, not a float64 array"),
        (lambda: pn.pick(1).shape(((3,),)), ValueError, r"a tuple of 2 or more, so in_shape is .* not \(\(3,\),\)"),
        (lambda: pn.pick(1).shape((3, 4)), ValueError, r"so in_shape is one of as many shapes, not \(3, 4\)"),
        (lambda: pn.swap.apply((), (a, a, a)), ValueError, "swap takes an x that is a tuple of two, not a tuple of 3"),
        (lambda: pn.swap.vjp((), (a, a))[1](a), ValueError, "the pullback of swap takes a dE/dY that is a tuple of 2"),
        (lambda: pn.swap.vjp((), (a, a))[1]((a, a[:1])), ValueError, "dE/dY has shape"),
        (
            lambda: pn.serial(pn.tanh, pn.swap).init(pn.key(0), (3,)),
            ValueError,
            "swap takes a tuple of two, so in_shape",
        ),
    ):
        with pytest.raises(error, match=says):
            make()


def test_split_last():
    x = normal(2, 3, 6)
    parts, pullback = pn.split_last((1, 5)).vjp((), x)
    assert np.array_equal(np.concatenate(parts, -1), x)
    assert np.array_equal(pullback(parts)[1], x)
    assert np.array_equal(pullback((parts[0], None))[1], np.concatenate([x[..., :1], np.zeros((2, 3, 5))], -1))
    assert pn.split_last(3).shape((4, 6)) == ((4, 2),) * 3
    assert pn.split_last((1, 5)).shape((6,)) == ((1,), (5,))
    for wrong in (0, -1, 1.5, (), (2, 0), "ab", True):
        with pytest.raises(
            ValueError, match="split_last takes a number of parts, 1 or more, or a tuple of their sizes"
        ):
            pn.split_last(wrong)
    with pytest.raises(ValueError, match="split_last cuts the last axis into 2 equal parts, but its size is 3"):
        pn.split_last.apply((), normal(2, 3))
    with pytest.raises(ValueError, match=r"takes x of shape \(\.\.\., 6\), but x has shape \(2, 3\)"):
        pn.split_last((1, 5)).apply((), normal(2, 3))


def test_residual_adds_the_first_of_several():
    a, b = normal(2, 4, 6), normal(2, 5, 3, seed=1)
    attend = pn.multi_head_attention(6, 2)
    params = pn.tree.cast(attend.init(pn.key(0), ((4, 6), (5, 3))), float)
    y, pullback = pn.residual(attend).vjp(params, (a, b))
    np.testing.assert_array_equal(y, a + attend.apply(params, (a, b)))
    (dparams, (da, db)), (wanted, (inner, other)) = pullback(y), attend.vjp(params, (a, b))[1](y)
    assert pn.tree.allclose((dparams, da, db), (wanted, inner + y, other), 0)
    cross = pn.residual(
        pn.serial(pn.on_first(pn.layer_norm), attend)
    )  # of a decoder: its norm, and the way around both
    pn.testing.check_vjp(cross, pn.tree.cast(cross.init(pn.key(1), ((4, 6), (5, 3))), float), (a, b))
    assert cross.shape(((4, 6), (5, 3))) == (4, 6)
    with pytest.raises(ValueError, match=r"their shapes must be equal: the input has \(3,\), the output \(2,\)"):
        pn.residual(pn.pick(1)).shape(((3,), (2,)))
    with pytest.raises(ValueError, match="shapes must be equal"):
        pn.residual(pn.pick(1)).apply((), (normal(2, 3), normal(2, 2)))


def test_a_state_is_handed_on_as_well():
    x = normal(2, 3, seed=5)
    _, pullback = pn.on_first(pn.tanh).vjp((), (x, STATE))
    assert pullback((x, STATE))[1][1] == STATE
    assert pn.tree.allclose(pullback((x, None))[1][1], pn.tree.map(np.zeros_like, STATE), 0)
    _, pullback = pn.keep_rest(pn.pick(1)).vjp((), (x, STATE))
    assert pn.tree.allclose(pullback((STATE, STATE))[1][1], pn.tree.map(lambda s: 2 * s, STATE), 0)


def test_branch_errors():
    for make in (pn.fan_out, pn.parallel):
        with pytest.raises(ValueError, match="at least one layer"):
            make()
        with pytest.raises(TypeError, match="argument 1 is an int, not a layer"):
            make(pn.tanh, 3)
        net = make(pn.tanh, pn.relu)
        with pytest.raises(
            ValueError, match="takes params that are a tuple of 2, one for each layer, not a tuple of 1"
        ):
            net.apply(((),), normal(2))
    net = pn.parallel(pn.tanh, pn.relu)
    with pytest.raises(ValueError, match="x that is a tuple of 2, one for each layer, not a float64 array"):
        net.apply(((), ()), normal(2))
    with pytest.raises(ValueError, match="several inputs, so in_shape is a tuple of 2"):
        net.shape((3,))
    _, pullback = net.vjp(((), ()), (normal(2), normal(2)))
    with pytest.raises(ValueError, match="dE/dY that is a tuple of 2"):
        pullback(normal(2))


def test_frozen_params_stay_and_the_gradient_goes_through():
    inner = pn.serial(pn.dense(2, 3), pn.batch_norm, pn.dropout)
    net = pn.serial(pn.dense(2, 2), pn.frozen(inner), pn.dense(1))
    params = net.init(pn.key(0))
    x, target = normal(8, 2).astype(np.float32), np.ones((8, 1), np.float32)
    _, grads = pn.value_and_grad(net, pn.mse)(params, x, target, KEY)
    after = pn.sgd_step(params, grads, lr=0.5)
    assert pn.tree.allclose(after[1], params[1], 0, 0)
    assert (after[0].weight != params[0].weight).all()
    assert type(after[1]) is pn.Buffer


def test_frozen_layers_run_in_inference_mode():
    layer = pn.frozen(pn.dropout)
    assert (layer.apply(pn.Buffer(()), normal(5, 5), KEY) == normal(5, 5)).all()
    with pytest.raises(ValueError, match=r"params that are a Buffer, not a tuple: write Buffer\(params\)"):
        layer.apply((), normal(5, 5))


def test_remat_gives_the_same_bits_and_runs_the_forward_pass_once_more():
    calls = []

    def counted(x):
        calls.append("f")
        return np.sin(x)

    inner = pn.serial(pn.dense(2, 3), pn.batch_norm, pn.dropout, pn.activation(counted, np.cos))
    params, x, dy = double(inner), normal(4, 2), normal(4, 3)
    y, pullback = inner.vjp(params, x, KEY)
    again, remat_pullback = pn.remat(inner).vjp(params, x, KEY)
    assert (y == again).all()
    before = len(calls)
    assert pn.tree.allclose(remat_pullback(dy), pullback(dy), 0, 0)
    assert len(calls) == before + 1  # the forward pass ran once more


def test_remat_keeps_nothing_of_the_forward_pass():
    inner = pn.serial(pn.dense(2, 500), pn.tanh, pn.dropout, pn.dense(500, 1))
    params, x = double(inner), normal(100, 2)
    hidden = 100 * 500 * 8  # bytes of what the first layer gives

    def kept(layer):
        """The memory that y and the pullback hold."""
        tracemalloc.start()
        held = layer.vjp(params, x, KEY)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size if held else 0

    assert kept(inner) > hidden
    assert kept(pn.remat(inner)) < hidden / 10


def test_named_is_serial_with_a_dict():
    layers = {"z": pn.dense(2, 3), "a": pn.tanh, "m": pn.dense(3, 1)}
    net, same = pn.named(**layers), pn.serial(*layers.values())
    params = double(net)
    assert list(params) == ["z", "a", "m"]
    ordered = tuple(params.values())
    shuffled = {name: params[name] for name in ("a", "m", "z")}
    x = normal(4, 2)
    y, pullback = net.vjp(shuffled, x)
    assert (y == same.apply(ordered, x)).all()
    dparams, dx = pullback(y)
    theirs, their_dx = same.vjp(ordered, x)[1](y)
    assert pn.tree.allclose(tuple(dparams[name] for name in layers), theirs, 0, 0)
    assert (dx == their_dx).all()
    with pytest.raises(ValueError, match=r"a dict with \['a', 'm', 'z'\], not a dict with \['a'\]"):
        net.apply({"a": ()}, x)
    with pytest.raises(ValueError, match=r"a dict with .*, not a tuple"):
        net.apply(ordered, x)
    with pytest.raises(ValueError, match="x of shape") as error:
        net.apply(params, normal(4, 5))
    assert notes(error) == ["in layer z, dense(2, 3)"]


def test_tied_gradients_are_the_sum_over_the_uses():
    f = pn.serial(pn.dense(3, 3), pn.tanh)
    tied, free = pn.tied(pn.serial(f, f, f)), pn.serial(f, f, f)
    params, x, dy = double(tied), normal(4, 3), normal(4, 3, seed=1)
    y, pullback = tied.vjp(params, x)
    same, free_pullback = free.vjp((params,) * 3, x)
    assert (y == same).all()
    dparams, dx = pullback(dy)
    uses, free_dx = free_pullback(dy)
    np.testing.assert_allclose(dparams[0].weight, sum(use[0].weight for use in uses))
    np.testing.assert_allclose(dparams[0].bias, sum(use[0].bias for use in uses))
    assert (dx == free_dx).all()
    check_vjp(tied, params, x)


def test_siamese_towers_share_their_params():
    tower = pn.dense(3, 2)
    net = pn.tied(pn.parallel(tower, tower))
    params = double(net)
    a, b = normal(4, 3), normal(5, 3, seed=1)
    dparams, _ = net.vjp(params, (a, b))[1]((np.ones((4, 2)), np.ones((5, 2))))
    np.testing.assert_allclose(dparams.bias, [9, 9])
    np.testing.assert_allclose(dparams.weight, np.repeat((a.sum(0) + b.sum(0))[:, None], 2, axis=1))


def test_tied_layers_may_differ_where_they_take_the_same_params():
    net = pn.tied(pn.fan_out(pn.dense(2, 3), pn.binary_dense(2, 3)))
    y = net.apply(net.init(pn.key(0)), np.ones((1, 2), np.float32))
    assert [each.shape for each in y] == [(1, 3), (1, 3)]


def test_tied_errors():
    with pytest.raises(ValueError, match=r"as in tied\(serial\(f, f\)\), not tanh"):
        pn.tied(pn.tanh)
    with pytest.raises(ValueError, match=r"cannot share params.*params.weight: \(2, 3\) against \(3, 4\)"):
        pn.tied(pn.serial(pn.dense(2, 3), pn.dense(3, 4))).init(pn.key(0))
    with pytest.raises(ValueError, match="a net with params that are a tuple of 1"):
        pn.tied(pn.residual(pn.dense(2, 2))).init(pn.key(0))


def test_map_time_is_the_layer_at_each_step():
    layer = pn.serial(pn.flatten, pn.dense(3), pn.tanh)
    net = pn.map_time(layer)
    assert net.shape((5, 2, 4)) == (5, 3)
    x, dy = normal(6, 5, 2, 4), normal(6, 5, 3, seed=1)
    params = double(net, (5, 2, 4))
    y, pullback = net.vjp(params, x)
    dparams, dx = pullback(dy)
    steps = [layer.vjp(params, x[:, t]) for t in range(5)]
    gradients = [pull(dy[:, t]) for t, (_, pull) in enumerate(steps)]
    np.testing.assert_allclose(y, np.stack([each for each, _ in steps], axis=1))
    np.testing.assert_allclose(dx, np.stack([each for _, each in gradients], axis=1))
    np.testing.assert_allclose(dparams[1].weight, sum(each[1].weight for each, _ in gradients))
    with pytest.raises(ValueError, match="no axis of time"):
        net.apply(params, normal(4))


def test_errors_tell_the_path_through_every_combinator():
    inside = pn.residual(pn.frozen(pn.remat(pn.map_time(pn.tied(pn.serial(pn.dense(2, 2)))))))
    net = pn.serial(pn.tanh, pn.named(only=pn.fan_out(pn.relu, inside)))
    params = net.init(pn.key(0), (3, 2))
    expected = [
        "in layer 0, dense(2, 2)",
        "in layer 0, serial(dense(2, 2))",
        "in layer 0, tied(serial(dense(2, 2)))",
        "in layer 0, map_time(tied(serial(dense(2, 2))))",
        "in layer 0, remat(map_time(tied(serial(dense(2, 2)))))",
        "in layer 0, frozen(remat(map_time(tied(serial(dense(2, 2))))))",
        f"in layer 1, {inside.name}",
        f"in layer only, fan_out(relu, {inside.name})",
        f"in layer 1, named(only=fan_out(relu, {inside.name}))",
    ]
    for attempt in (
        lambda: net.apply(params, np.ones((4, 3, 5), np.float32)),
        lambda: net.vjp(params, np.ones((4, 3, 5), np.float32)),
        lambda: net.init(pn.key(0), (3, 5)),
        lambda: net.shape((3, 5)),
    ):
        with pytest.raises(ValueError, match="dense") as error:
            attempt()
        assert notes(error) == expected


@pytest.mark.parametrize("around", [pn.residual, pn.frozen, pn.remat, pn.map_time, pn.on_first, pn.keep_rest])
def test_errors_of_shapes_tell_the_place_in_a_layer_around_one(around):
    net = around(pn.dense(2, 2))
    for attempt in (lambda: net.init(pn.key(0), (3, 5)), lambda: net.shape((3, 5))):
        with pytest.raises(ValueError, match="dense") as error:
            attempt()
        assert notes(error) == ["in layer 0, dense(2, 2)"]


def test_errors_of_a_pullback_tell_the_path_too():
    net = pn.serial(pn.tanh, pn.residual(pn.fan_out(pn.relu, pn.remat(pn.tanh)).parts[1]))
    _, pullback = net.vjp(((), ()), normal(2, 3))
    with pytest.raises(ValueError, match="dE/dY has shape") as error:
        pullback(normal(2, 4))
    assert notes(error) == ["in layer 0, tanh", "in layer 0, remat(tanh)", "in layer 1, residual(remat(tanh))"]


def test_parts_of_a_combinator_have_keys_of_their_own():
    for make in (pn.fan_out, lambda *layers: pn.named(a=layers[0], b=layers[1]), pn.serial):
        params = make(pn.dense(2, 2), pn.dense(2, 2)).init(pn.key(0))
        first, second = params.values() if isinstance(params, dict) else params
        assert (first.weight != second.weight).any()


def test_every_combinator_can_be_remade_and_watched():
    f = pn.dense(2, 2)
    nets = [
        pn.serial(f, f),
        pn.named(a=f, b=pn.tanh),
        pn.residual(f),
        pn.fan_out(f, pn.tanh),
        pn.frozen(f),
        pn.remat(f),
        pn.tied(pn.serial(f, f)),
        pn.map_time(f),
    ]
    for net in nets:
        assert repr(net.remake(net.parts)) == repr(net)
        x = normal(3, 4, 2)
        params = double(net, (4, 2))
        seen = []
        y = watch(net, lambda path, *_, seen=seen: seen.append(path)).apply(params, x)
        assert pn.tree.allclose(y, net.apply(params, x), 0, 0)
        assert seen[0].startswith("net[0]")
        assert seen[-1] == "net"


@pytest.mark.parametrize(
    "net",
    [
        pn.serial(pn.dense(4, 16), pn.lstm(8), pn.gru(3, last=True), pn.dense(2)),
        pn.serial(pn.dense(4, 16), pn.positional_encoding, pn.transformer_block(16, 2), pn.layer_norm),
        pn.serial(pn.dense(4, 16), pn.map_time(pn.dense(3)), pn.rnn(2)),
        pn.serial(pn.dense(4, 16), pn.learned_positions(9), pn.bidirectional(pn.rnn(2)), pn.dense(1)),
        pn.serial(pn.fan_out(pn.dense(4, 3), pn.serial(pn.dense(4, 2), pn.dense(3))), pn.add, pn.residual(pn.dense(3))),
    ],
    ids=str,
)
def test_features_are_inferred_where_the_axes_before_them_are_not_known(net):
    """dense(4, 16) says that 16 features come out, but not of how many axes."""
    x = np.ones((2, 5, 4), np.float32)
    y = net.apply(net.init(pn.key(0)), x)
    assert net.apply(net.init(pn.key(0), (5, 4)), x).tobytes() == y.tobytes()
