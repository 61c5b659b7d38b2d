"""What NumPy is given in a quicker form than the plain one: each against the plain form, in both dtypes."""

import numpy as np
import pytest

import purenet as pn
from purenet.combinators.chain import pools_first
from purenet.engine.arrays import dot, dot_transposed, max_last, sum_last, sum_leading, transposed_dot
from purenet.engine.special import normal_cdf
from purenet.layers.activations import positive_part

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def numbers(shape, dtype):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


@each_dtype
@pytest.mark.parametrize("shape", [(1025,), (16384,), (16385,), (3, 11000), (8, 24, 24, 6)])
def test_positive_part_is_the_maximum_with_0(shape, dtype):
    x = numbers(shape, dtype)
    x.flat[:4] = np.nan, -np.inf, np.inf, -0.0
    x.flat[-3:] = np.nan, -np.inf, -1
    for each in (x, x.T, x[::2]):
        y = positive_part(each)
        np.testing.assert_array_equal(y, np.maximum(each, 0))
        assert y.dtype == dtype


@each_dtype
def test_relu_of_many_numbers_is_that_of_few(dtype):
    x, dy = numbers((2, 2000), dtype), numbers((3, 2000), dtype)[1:]
    y, pullback = pn.relu.vjp((), x)
    np.testing.assert_array_equal(y, np.where(x > 0, x, 0))
    np.testing.assert_array_equal(pullback(dy)[1], np.where(x > 0, dy, 0))


@each_dtype
@pytest.mark.parametrize(
    "shape", [(1, 3), (4, 3), (1024, 5), (1025, 5), (2048, 32), (9000, 33), (99999, 3), (3000, 0), (3, 4, 5)]
)
def test_sums_are_those_of_numpy(shape, dtype):
    x = numbers(shape, dtype)
    atol = 4 * np.finfo(dtype).eps * np.abs(x).sum(dtype=np.float64)
    leading, last = sum_leading(x), sum_last(x)
    np.testing.assert_allclose(leading, x.sum(axis=tuple(range(x.ndim - 1)), dtype=np.float64), rtol=0, atol=atol)
    np.testing.assert_allclose(last, x.sum(axis=-1, keepdims=True, dtype=np.float64), rtol=0, atol=atol)
    assert leading.dtype == last.dtype == dtype
    assert not np.shares_memory(leading, x)


@each_dtype
@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (7, 10), (7, 64), (7, 65), (2, 3, 4)])
def test_the_largest_is_that_of_numpy(shape, dtype):
    x = numbers(shape, dtype)
    x.flat[0] = np.nan
    for each in (x, x[::-1]):
        np.testing.assert_array_equal(max_last(each), np.max(each, axis=-1, keepdims=True))


@each_dtype
@pytest.mark.parametrize("far", [1, 1e6, np.inf, np.nan])
def test_the_normal_distribution_of_many_numbers_is_that_of_few(far, dtype):
    x = numbers((2000,), dtype)
    x[7], x[-7] = far, -far
    few = zip(*(normal_cdf(np, part) for part in np.split(x, 20)), strict=True)
    for many, parts in zip(normal_cdf(np, x), few, strict=True):
        np.testing.assert_array_equal(many, np.concatenate(parts))


@each_dtype
def test_params_of_a_step_cannot_be_written_to(dtype):
    params = pn.tree.cast(pn.dense(2, 3).init(pn.key(0)), dtype)
    new = pn.sgd_step(params, params, lr=0.5)
    np.testing.assert_array_equal(new.weight, 0.5 * params.weight)
    for leaf in new:
        with pytest.raises(ValueError, match="read-only"):
            leaf -= 1


def test_dense_does_not_mix_dtypes():
    net = pn.dense(2, 3)
    with pytest.raises(TypeError, match=r"float32 params, but x is float64"):
        net.apply(net.init(pn.key(0)), np.ones((4, 2)))


@each_dtype
@pytest.mark.parametrize("labels", ["int8", "uint8", "int32", "int64", ">i4"])
@pytest.mark.parametrize("loss", [pn.softmax_cross_entropy, pn.softmax_cross_entropy(0.1), pn.nll], ids=str)
def test_labels_are_one_hot_targets(loss, labels, dtype):
    y, target = numbers((5, 3), dtype), np.array([0, 2, 1, 2, 0]).astype(labels)
    one_hot = np.eye(3, dtype=dtype)[target.astype(int)]
    E, pullback = loss.vjp(y, target)
    expected, its_pullback = loss.vjp(y, one_hot)
    assert expected == E
    np.testing.assert_array_equal(pullback(), its_pullback())
    for wrong in (3, 100) if labels == "uint8" else (3, 100, -1, -3):
        bad = target.copy()
        bad[3] = wrong
        with pytest.raises(ValueError, match=f"labels from 0 to 2, one for each class of y, but found {wrong}$"):
            loss.vjp(y, bad)


@each_dtype
@pytest.mark.parametrize(
    "sizes", [(4, 3, 2), (64, 5, 16), (64, 5, 17), (63, 5, 16), (300, 7, 300), (70, 1000, 10), (9, 300, 500)]
)
def test_products_of_any_size_are_those_of_the_operator(sizes, dtype):
    n, k, m = sizes
    a, b = numbers((n, k), dtype), numbers((k, m), dtype)
    c = numbers((n, m), dtype)
    rtol = 1e-12 if dtype is np.float64 else 1e-4
    np.testing.assert_allclose(dot(a, b), np.einsum("ij,jk->ik", a, b), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(dot_transposed(c, b), np.einsum("ij,kj->ik", c, b), rtol=rtol, atol=rtol)
    assert dot_transposed(c, b).flags.c_contiguous
    np.testing.assert_allclose(dot(a.T, c), np.einsum("ji,jk->ik", a, c), rtol=rtol, atol=rtol)


@each_dtype
@pytest.mark.parametrize("sizes", [(4000, 4, 32), (10240, 4, 32), (10241, 4, 32), (1500, 32, 32), (9999, 33, 32)])
def test_products_over_many_rows_are_those_of_the_operator(sizes, dtype):
    n, inputs, outputs = sizes
    a, b = numbers((n, 2 * inputs), dtype), numbers((n + 1, outputs), dtype)[1:]
    atol = 4 * np.finfo(dtype).eps * n
    for each in (a[:, :inputs], a[:, ::2], np.asfortranarray(a[:, :inputs])):
        product = transposed_dot(each, b)
        expected = np.einsum("ni,no->io", each.astype(np.float64), b.astype(np.float64))
        np.testing.assert_allclose(product, expected, rtol=0, atol=atol)
        assert product.dtype == dtype


@each_dtype
@pytest.mark.parametrize("n", [1, 2, 63, 64, 1023, 1024, 1031, 1500])
@pytest.mark.parametrize("sizes", [(5, 3), (100, 100), (300, 230)])
def test_dense_by_its_quick_ways_is_the_rule(n, sizes, dtype):
    params = pn.tree.cast(pn.dense(*sizes, bias_init=pn.initializers.normal()).init(pn.key(0)), dtype)
    x, dy = numbers((n, sizes[0]), dtype), numbers((n + 1, sizes[1]), dtype)[1:]
    y, pullback = pn.dense(*sizes).vjp(params, x)
    grads, dx = pullback(dy)
    rtol = 1e-11 if dtype is np.float64 else 1e-4
    for found, expected in (
        (y, np.einsum("ij,jk->ik", x, params.weight) + params.bias),
        (grads.weight, np.einsum("ij,ik->jk", x, dy)),
        (grads.bias, np.einsum("ij->j", dy)),
        (dx, np.einsum("ij,kj->ik", dy, params.weight)),
    ):
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
        assert found.dtype == dtype
    np.testing.assert_array_equal(pn.dense(*sizes).apply(params, x), y)


@pytest.mark.parametrize("grads", [(np.ones(2, np.float32), (np.ones(2, np.float32),)), (np.ones(2, np.float32), [])])
def test_a_step_of_what_has_no_params_takes_no_gradient_there(grads):
    with pytest.raises(ValueError, match=r"params\[1\]: a tuple of 0 against"):
        pn.sgd_step((np.ones(2, np.float32), ()), grads, 0.1)


def test_a_gradient_that_would_only_broadcast_is_refused():
    with pytest.raises(ValueError, match=r"params\[0\]: \(3,\) against \(2, 3\)"):
        pn.sgd_step((np.ones(3, np.float32),), (np.ones((2, 3), np.float32),), 0.1)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_sgd_step_keeps_the_shape_and_the_dtype_of_each_parameter(shape):
    (new,) = pn.sgd_step((np.ones(shape, np.float32),), (np.ones(shape, np.float64),), 0.25)
    same = pn.sgd_step((np.ones(shape, np.float32),), (np.ones(shape, np.float32),), 0.25)[0]
    for p in (new, same):
        assert type(p) is np.ndarray
        assert p.dtype == np.float32
        assert p.shape == shape
        assert not p.flags.writeable
        np.testing.assert_array_equal(p, np.full(shape, 0.75))


def plainly(net, loss, params, x, target):
    """E and grads by the layers' own rules."""
    y, pullback = net.vjp(params, x)
    E, loss_pullback = loss.vjp(y, target)
    return E, pullback(loss_pullback(), wrt_x=False)[0]


CHAINS = {
    "tanh": pn.serial(pn.dense(5, 7), pn.tanh, pn.dense(7, 3), pn.tanh),
    "relu": pn.serial(pn.dense(5, 7, bias=False), pn.relu, pn.dense(7, 3)),
    "first": pn.serial(pn.relu, pn.dense(5, 3), pn.sigmoid),
    "only": pn.serial(pn.dense(5, 3)),
    "many": pn.serial(pn.dense(5, 400), pn.elu, pn.dense(400, 200), pn.gelu, pn.dense(200, 3), pn.softplus),
}


@each_dtype
@pytest.mark.parametrize("loss", [pn.mse, pn.huber(reduction="sum"), pn.softmax_cross_entropy], ids=repr)
@pytest.mark.parametrize("batch", [1, 2, 63, 64, 1100])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_gradient_in_one_go_is_that_of_the_layers(monkeypatch, chain, batch, loss, dtype):
    net = CHAINS[chain]
    params = pn.tree.cast(net.init(pn.key(0), (5,)), dtype)
    x, target = numbers((batch, 5), dtype), numbers((batch, 3), dtype)
    if loss is pn.softmax_cross_entropy:
        target = np.arange(batch) % 3
    evaluate = pn.value_and_grad(net, loss)
    plain = plainly(net, loss, params, x, target)

    def never(*_):
        raise AssertionError("the plain way was gone")

    with monkeypatch.context() as patch:
        patch.setattr(evaluate.__closure__[evaluate.__code__.co_freevars.index("plain")], "cell_contents", never)
        quick = evaluate(params, x, target)
    pn.tree.check_same(quick, plain, "what the layers give")
    for a, b in zip(pn.tree.leaves(quick), pn.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == dtype
        assert not any(np.shares_memory(a, each) for each in (x, target, *pn.tree.leaves(params)))


def test_what_is_not_a_chain_of_such_layers_goes_the_plain_way():
    dense = pn.dense(5, 5)
    doubled = dense._replace(vjp=lambda params, x, key=None: dense.vjp(params, 2 * x))  # a rule of its own is used
    x, target = numbers((2, 5), np.float32), numbers((2, 5), np.float32)
    for net in (pn.residual(dense), pn.serial(dense, pn.layer_norm()), pn.serial(doubled, pn.tanh), pn.serial(), dense):
        params = net.init(pn.key(0), (5,))
        plain, found = plainly(net, pn.mse, params, x, target), pn.value_and_grad(net, pn.mse)(params, x, target)
        for a, b in zip(pn.tree.leaves(plain), pn.tree.leaves(found), strict=True):
            np.testing.assert_array_equal(a, b)


@each_dtype
def test_the_gradient_of_a_chain_over_sequences_is_that_of_the_layers(dtype):
    net, x, target = CHAINS["tanh"], numbers((4, 4, 5), dtype), numbers((4, 4, 3), dtype)
    params = pn.tree.cast(net.init(pn.key(0)), dtype)
    plain, found = plainly(net, pn.mse, params, x, target), pn.value_and_grad(net, pn.mse)(params, x, target)
    pn.tree.check_same(found, plain, "what the layers give")
    for a, b in zip(pn.tree.leaves(plain), pn.tree.leaves(found), strict=True):
        np.testing.assert_array_equal(a, b)


@each_dtype
def test_a_number_multiplies_in_the_dtype_of_the_array(dtype):
    y, target = numbers((3,), dtype), numbers((3,), dtype) * 2
    np.testing.assert_array_equal(pn.mse.vjp(y, target)[1](), (y - target) * dtype(2 / 3))


@each_dtype
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_a_target_of_cross_entropy_need_not_be_a_distribution(smoothing, dtype):
    y, target = numbers((5, 3), dtype), np.abs(numbers((5, 3), dtype))
    E, pullback = pn.softmax_cross_entropy(smoothing).vjp(y, target)
    smooth = target * (1 - smoothing) + smoothing / 3
    log_softmax = y - np.log(np.exp(y).sum(axis=1, keepdims=True))
    precision = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(E, -(smooth * log_softmax).sum() / 5, precision)
    expected = (np.exp(log_softmax) * smooth.sum(axis=1, keepdims=True) - smooth) / 5
    np.testing.assert_allclose(pullback(), expected, precision, precision)


@each_dtype
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(1, 1), (4, 2), (3,), (2, 3, 4)])
def test_mse_in_few_calls_is_the_plain_one(reduction, shape, dtype):
    loss = pn.mse(reduction=reduction)
    y, target = numbers(shape, dtype), numbers(shape, dtype)[..., ::-1] * 2
    E, pullback = loss.vjp(y, target)
    assert loss.apply(y, target) == E
    assert E.dtype == dtype
    for dE in (1.0, 2, dtype(0.5), np.array(-3, dtype)):
        found = pullback(dE)
        expected = 2 * (y - target) * float(dE) / (y.size if reduction == "mean" else 1)
        np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)
        assert found.dtype == dtype


def test_mse_takes_no_number_and_no_empty_batch():
    with pytest.raises(TypeError, match="takes an array"):
        pn.mse.vjp(np.array(1, np.float32), np.array(2, np.float32))
    with pytest.raises(ValueError, match="no mean over an empty batch"):
        pn.mse.vjp(np.ones((0, 2), np.float32), np.ones((0, 2), np.float32))


def test_a_number_is_not_taken_for_an_equal_one_of_another_sign():
    pullback = pn.mse.vjp(np.ones(2, np.float32), np.zeros(2, np.float32))[1]
    for dE in (0.0, -0.0, 0.0):
        np.testing.assert_array_equal(np.signbit(pullback(dE)), np.signbit(dE))


def test_a_deep_chain_needs_no_deep_stack():
    net = pn.serial(*[pn.dense(2, 2), pn.tanh] * 2000)
    params, x = net.init(pn.key(0)), numbers((3, 2), np.float32)
    E, grads = pn.value_and_grad(net, pn.mse)(params, x, x)
    assert np.isfinite(E)
    assert len(grads) == 4000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda params, x, target: (params[:3], x, target), "tuple of 4"),
        (lambda params, x, target: ((*params, ()), x, target), "tuple of 4"),
        (lambda params, x, target: ((*params[:3], 1), x, target), "in layer 3, tanh"),
        (lambda params, x, target: ((params[0], *params[:3]), x, target), "in layer 1, tanh"),
        (lambda params, x, target: (params, x[:, :4], target), "in layer 0, dense"),
        (lambda params, x, target: (params, x.astype(np.float64), target), "in layer 0, dense"),
        (lambda params, x, target: (params, x.astype(int), target), "in layer 0, dense"),
        (lambda params, x, target: (params, x, target[:, :2]), "mse compares"),
        (lambda params, x, target: ((tuple(params[0]), *params[1:]), x, target), "takes DenseParams"),
        (lambda params, x, target: (pn.tree.cast(params, np.float64), x, target), "has float64 params"),
        (lambda params, x, target: ((params[0]._replace(bias=None), *params[1:]), x, target), "and bias (7,)"),
    ],
)
def test_the_errors_of_a_gradient_in_one_go_are_those_of_the_layers(change, message):
    net = CHAINS["tanh"]
    good = net.init(pn.key(0)), numbers((2, 5), np.float32), numbers((2, 3), np.float32)
    wrong = change(*good)
    with pytest.raises((TypeError, ValueError)) as plain:
        plainly(net, pn.mse, *wrong)
    with pytest.raises(plain.type) as quick:
        pn.value_and_grad(net, pn.mse)(*wrong)
    notes = [str(each.value) + "".join(getattr(each.value, "__notes__", ())) for each in (plain, quick)]
    assert message in notes[0]
    assert notes[0] == notes[1]


def test_a_dense_layer_in_a_chain_refuses_the_params_of_another():
    """Though labels would go with them."""
    x, labels = numbers((2, 5), np.float32), np.array([0, 1])
    for layer, other in ((pn.dense(5, 3), pn.dense(5, 4)), (pn.dense(5, 3, bias=False), pn.dense(5, 3))):
        params = pn.serial(other).init(pn.key(0))
        with pytest.raises(ValueError, match="Are these of another net"):
            pn.value_and_grad(pn.serial(layer), pn.softmax_cross_entropy)(params, x, labels)


def test_a_gradient_is_not_the_memory_of_the_loss():
    kept = numbers((1, 3), np.float32)
    loss = pn.Loss(lambda y, t: np.float32(0), lambda y, t: (np.float32(0), lambda dE=1.0: kept), "loss")
    net = pn.serial(pn.dense(5, 3))
    _, grads = pn.value_and_grad(net, loss)(net.init(pn.key(0)), numbers((1, 5), np.float32), None)
    assert not np.shares_memory(grads[0].bias, kept)


def test_an_activation_in_a_chain_refuses_params():
    net = CHAINS["first"]
    params, x = net.init(pn.key(0), (5,)), numbers((2, 5), np.float32)
    for wrong in ((1, *params[1:]), (*params[:2], 1)):
        with pytest.raises(ValueError, match="has no parameters"):
            pn.value_and_grad(net, pn.mse)(wrong, x, x[:, :3])


def test_a_loss_that_gives_no_number_or_another_shape_is_refused_as_by_the_layers():
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
    assert pools_first(layers) == (1, 0, 2, 3, 4)
    x = 3 * numbers((5, 8, 6, 3), dtype)
    if values in ("ties", "zeros"):
        x = np.round(x / 2) if values == "ties" else x * 0  # of which some are -0.0
    elif values == "negative":
        x = -np.abs(x)
    elif values == "infinite":
        x[0, :4], x[1, 2, 3], x[2, 4, 5] = -np.inf, np.inf, -np.inf
    draw = lambda shape: numbers((2, *shape), dtype)[1]  # noqa: E731
    expected, its_dx = one_by_one(layers, x, draw)
    y, pullback = net.vjp(((),) * 5, x)
    params, dx = pullback(draw(y.shape))
    assert params == ((),) * 5
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(net.apply(((),) * 5, x), y)
    np.testing.assert_array_equal(dx, its_dx)
    assert y.dtype == dx.dtype == dtype
    x[0, 0, 0] = np.nan
    np.testing.assert_array_equal(net.apply(((),) * 5, x), one_by_one(layers, x, draw)[0])


def test_only_relu_itself_changes_places_and_only_with_a_maximum():
    other = pn.relu._replace(vjp=lambda params, x, key=None: pn.relu.vjp(params, x))
    its_pool = pn.max_pool(2)._replace(vjp=lambda params, x, key=None: pn.max_pool(2).vjp(params, x))
    for pair in ((other, pn.max_pool(2)), (pn.relu, its_pool), (pn.relu, pn.avg_pool(2)), (pn.max_pool(2), pn.relu)):
        assert pools_first(pair) == (0, 1)
    assert pools_first((pn.relu, pn.relu, pn.max_pool(2), pn.max_pool(2))) == (0, 2, 1, 3)
    assert pn.serial(pn.relu, pn.max_pool(2)).parts[0] is pn.relu


@pytest.mark.parametrize("compose", [pn.serial, lambda a, b: pn.named(a=a, b=b)], ids=["serial", "named"])
def test_errors_are_those_of_the_order_given(compose):
    net, x = compose(pn.relu, pn.max_pool(2)), np.ones((2, 4, 4, 1), np.float32)
    params = net.init(pn.key(0))
    for run in (net.apply, net.vjp):
        with pytest.raises(TypeError, match="relu computes in floating point") as error:
            run(params, x.astype(int))
        assert [note.split(", ")[-1] for note in error.value.__notes__] == ["relu"]
        assert error.value.__context__ is None
        with pytest.raises(ValueError, match="does not fit into an input of") as error:
            run(params, x[:, :1])
        assert [note.split(", ")[-1] for note in error.value.__notes__] == ["max_pool(2)"]
    _, pullback = net.vjp(params, x)
    with pytest.raises(ValueError, match=r"the pullback of max_pool\(2\): dE/dY has shape") as error:
        pullback(x)
    assert [note.split(", ")[-1] for note in error.value.__notes__] == ["max_pool(2)"]
