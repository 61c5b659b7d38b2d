"""What a type checker knows. CI runs `mypy --strict` on this file; at run time it checks the same values."""

from __future__ import annotations

from typing import Any, NamedTuple, assert_type

import numpy as np

import purenet as pn
from purenet.layers.dense import DenseParams
from purenet.spec import Pull


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


def test_types() -> None:
    layer = pn.dense(2, 3)
    assert_type(layer, pn.Layer[DenseParams])
    params = layer.init(pn.key(0))
    assert_type(params, DenseParams)
    assert_type(params.weight, pn.Array)
    assert_type(params.bias, pn.Array | None)
    x = np.ones((4, 2), np.float32)
    y, pullback = layer.vjp(params, x)
    dparams, _ = pullback(y)
    assert_type(dparams, DenseParams)
    assert_type(pn.sgd_step(params, dparams, 0.1), DenseParams)
    assert_type(pn.value_and_grad(layer, pn.mse)(params, x, y), tuple[Any, DenseParams])
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
