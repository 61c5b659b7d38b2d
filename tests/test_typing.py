"""What a type checker knows. CI runs `mypy --strict` on this file; at run time it checks the same values."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar, assert_type

import numpy as np

import purenet as pn
from purenet.optimizers.update import OptimizerState
from purenet.spec import Pull

T = TypeVar("T")


class ScaleParams(NamedTuple):
    factor: pn.Array


def scale(features: int) -> pn.Layer[ScaleParams]:
    """A layer of one's own by spec and rule, with every type written out."""

    def rule(ops: pn.Ops, params: ScaleParams, x: pn.Array, key: pn.Key | None) -> tuple[pn.Array, Pull]:
        def pull(dy: pn.Array, wrt_x: bool) -> tuple[ScaleParams, pn.Array | None]:
            return ScaleParams(ops.sum_rows(dy * x)), dy * params.factor if wrt_x else None

        return x * params.factor, pull

    spec = pn.Spec(
        f"scale({features})",
        x="... n",
        y="... n",
        params=ScaleParams._make(["n"]),
        init=ScaleParams._make([pn.initializers.ones]),
        sizes={"n": features},
    )
    return pn.layer(spec, rule)


def doubled(factor: pn.Array) -> pn.Layer[pn.Array]:
    """A layer by hand, whose functions call their params as they like."""

    def init(key: pn.Key, in_shape: tuple[int, ...] | None = None) -> pn.Array:
        return factor

    def apply(a: pn.Array, x: pn.Array, key: pn.Key | None = None) -> pn.Array:
        return 2 * a * x

    def vjp(a: pn.Array, x: pn.Array, key: pn.Key | None = None) -> tuple[pn.Array, pn.Pullback[pn.Array]]:
        def pullback(dE: pn.Array, wrt_x: bool = True) -> tuple[pn.Array, pn.Array | None]:
            return (2 * dE * x)[0], 2 * a * dE if wrt_x else None

        return apply(a, x), pullback

    return pn.Layer(init, apply, vjp, lambda in_shape: in_shape, "doubled")


def scaled(features: int) -> pn.Layer[Any]:
    """The README's own layer, as its rule stands there."""

    def rule(ops, a, x, key):  # type: ignore[no-untyped-def]
        return a * x, lambda dy, wrt_x: (ops.sum_rows(dy * x), a * dy)

    name, sizes = f"scaled({features})", {"features": features}
    axes = "... features"  # any leading axes, then one of this size
    spec = pn.Spec(name, x=axes, y=axes, params="features", init=pn.initializers.ones, sizes=sizes)
    return pn.layer(spec, rule)


def halved(name: str = "halved") -> pn.Loss:
    """A loss by hand."""

    def apply(y: pn.Array, target: pn.Array) -> Any:
        return vjp(y, target)[0]

    def vjp(y: pn.Array, target: pn.Array) -> tuple[Any, pn.LossPullback]:
        d = y - target

        def pullback(dE: Any = 1.0) -> pn.Array:
            dy: pn.Array = d * dE
            return dy

        return (d * d)[0, 0] / 2, pullback

    return pn.Loss(apply, vjp, name)


def nothing() -> pn.Penalty:
    """A penalty by hand."""
    return pn.Penalty(lambda params, grads: (0.0, grads), "nothing()")


def plain_descent(lr: float) -> pn.Optimizer[Any, tuple[()]]:
    """An optimizer by hand, for params of any type."""

    def step(params: T, grads: T, state: tuple[()] = ()) -> tuple[T, tuple[()]]:
        return pn.sgd_step(params, grads, lr), ()

    return pn.Optimizer(lambda params: (), step, "plain_descent()")


def test_types_of_training() -> None:
    layer = pn.dense(2, 1)
    params = layer.init(pn.key(0))
    x, target = np.ones((1, 2), np.float32), np.zeros((1, 1), np.float32)
    _, grads = pn.value_and_grad(layer, halved(), nothing(), pn.l2(0.1))(params, x, target)
    optimizer = pn.adam()
    assert_type(optimizer, pn.Optimizer[Any, OptimizerState])
    new, state = optimizer.step(params, grads, optimizer.init(params))
    assert_type(new, pn.DenseParams)
    assert_type(state, OptimizerState)
    assert_type(plain_descent(0.1).step(params, grads, ())[0], pn.DenseParams)
    chained = pn.chain(pn.clip_by_norm(1.0), pn.sgd())
    assert_type(chained.step(params, grads, chained.init(params))[0], pn.DenseParams)
    net = pn.serial(layer, pn.tanh)
    of_net = net.init(pn.key(0))
    assert_type(optimizer.step(of_net, of_net, optimizer.init(of_net))[0], tuple[Any, ...])
    found = pn.fit(layer, pn.mse, optimizer, params, (x, target), key=None, epochs=1)
    assert_type(found.params, pn.DenseParams)
    assert_type(found.state, pn.State[pn.DenseParams])
    assert_type(pn.mse.vjp(x, x)[1], pn.LossPullback)
    assert_type(pn.l2(0.1), pn.Penalty)
    own = scaled(2)
    assert pn.tree.allclose(own.apply(own.init(pn.key(0)), x), x)


def test_types_of_params_are_public() -> None:
    assert_type(pn.conv(1, 2, 3), pn.Layer[pn.ConvParams])
    assert_type(pn.lstm(1, 2), pn.Layer[pn.LSTMParams])
    assert_type(pn.embedding(3, 2), pn.Layer[pn.EmbeddingParams])
    assert_type(pn.prelu(3), pn.Layer[pn.PReLUParams])
    assert_type(pn.batch_norm(3), pn.Layer[pn.BatchNormParams])
    assert_type(pn.multi_head_attention(4, 2), pn.Layer[pn.AttentionParams])


def test_types() -> None:
    layer = pn.dense(2, 3)
    assert_type(layer, pn.Layer[pn.DenseParams])
    params = layer.init(pn.key(0))
    assert_type(params, pn.DenseParams)
    assert_type(params.weight, pn.Array)
    assert_type(params.bias, pn.Array | None)
    x = np.ones((4, 2), np.float32)
    y, pullback = layer.vjp(params, x)
    dparams, _ = pullback(y)
    assert_type(dparams, pn.DenseParams)
    assert_type(pn.sgd_step(params, dparams, 0.1), pn.DenseParams)
    assert_type(pn.value_and_grad(layer, pn.mse)(params, x, y), tuple[Any, pn.DenseParams])
    both = pn.value_and_grad(layer, pn.mse, wrt="both")(params, x, y)
    assert_type(both, tuple[Any, tuple[pn.DenseParams, Any]])
    assert_type(pn.elu(alpha=0.5), pn.Layer[tuple[()]])
    assert_type(pn.mse(reduction="sum"), pn.Loss)
    assert isinstance(params.weight, np.ndarray)


def test_types_of_a_layer_of_ones_own() -> None:
    x = np.ones((1, 3), np.float32)
    layer = scale(3)
    params = layer.init(pn.key(0))
    assert_type(params, ScaleParams)
    y, pullback = layer.vjp(params, x)
    assert_type(pullback(y)[0], ScaleParams)
    assert pn.tree.allclose(y, x)
    by_hand = doubled(x[0])
    assert_type(pn.serial(layer, by_hand), pn.Layer[tuple[Any, ...]])
    assert_type(by_hand.vjp(by_hand.init(pn.key(0)), x)[1](x)[0], pn.Array)
    assert pn.tree.allclose(by_hand.apply(by_hand.init(pn.key(0)), x), 2 * x)


def test_arrays_compute_with_arrays_and_numbers() -> None:
    def rule(x: pn.Array) -> pn.Array:
        assert_type(x[0] @ x.T, pn.Array)
        assert_type((x > 0) & ~(x == 1) | (x <= abs(-x)), pn.Array)
        x *= 2
        return 1 / (x**2 + 1) - x

    assert_type(rule(np.ones((2, 2), np.float32)), pn.Array)
