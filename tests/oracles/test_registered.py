"""Containers that are registered with JAX are taken apart as JAX does; and what is static to its jit is compared."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purenet as pn
from purenet.tree.layout import Layout


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class MLP:
    """As an Equinox module is."""

    weight: Any
    rest: Any
    name: str = dataclasses.field(default="", metadata={"static": True})


class Frozen(dict):
    """As Flax's FrozenDict is: a mapping that is registered with the keys that lead to each part."""


jax.tree_util.register_pytree_with_keys(
    Frozen,
    lambda d: ([(jax.tree_util.DictKey(k), d[k]) for k in sorted(d)], tuple(sorted(d))),
    lambda keys, children: Frozen(zip(keys, children, strict=True)),
)


@jax.tree_util.register_pytree_node_class
class Pair:
    """Without names for its parts."""

    def __init__(self, one, two):
        self.one, self.two = one, two

    def tree_flatten(self):
        return (self.one, self.two), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


def example(xp=np, seed=0):
    rng = np.random.default_rng(seed)
    draw = lambda *shape: xp.asarray(rng.normal(size=shape), dtype=xp.float32)  # noqa: E731
    return MLP(draw(2, 3), Frozen(b=Pair(draw(3), None), a=[draw(1), (draw(2),)]), "net")


XP = pytest.mark.parametrize("xp", [np, jnp])


@XP
def test_a_tree_is_taken_apart_as_jax_does(xp):
    tree = example(xp)
    found, structure = pn.tree.flatten(tree)
    assert [leaf.shape for leaf in found] == [leaf.shape for leaf in jax.tree.leaves(tree)]
    assert [path for path, _ in pn.tree.items(tree)] == [
        ".weight", ".rest['a'][0]", ".rest['a'][1][0]", ".rest['b'][0]"
    ]  # fmt: skip
    again = pn.tree.unflatten(structure, found)
    assert jax.tree.structure(again) == jax.tree.structure(tree)
    assert structure == pn.tree.flatten(example(xp, 1))[1]
    assert hash(structure) == hash(pn.tree.flatten(example(xp, 1))[1])
    assert structure != pn.tree.flatten(dataclasses.replace(tree, name="other"))[1]
    doubled = pn.tree.map(lambda a, b: a + b, tree, tree)
    assert doubled.name == "net"
    assert pn.tree.allclose(doubled, jax.tree.map(lambda a: 2 * a, tree))
    vector, unravel = pn.tree.ravel(tree)
    assert pn.tree.allclose(unravel(vector), tree)
    assert pn.tree.size(tree) == 12


def test_where_they_part_is_told():
    tree = example()
    with pytest.raises(ValueError, match=r"^params: .*MLP.*'net'.* against .*'other'"):
        pn.sgd_step(tree, dataclasses.replace(tree, name="other"), 0.1)
    with pytest.raises(ValueError, match=r"^params\.weight: \(2, 3\) against \(3,\)"):
        pn.sgd_step(tree, dataclasses.replace(tree, weight=np.ones(3, np.float32)), 0.1)
    with pytest.raises(ValueError, match=r"^params\.rest: a Frozen of 2 against a tuple of 1"):
        pn.sgd_step(tree, dataclasses.replace(tree, rest=(1,)), 0.1)


@XP
@pytest.mark.parametrize(
    "optimizer",
    [pn.sgd(0.1), pn.adam(), pn.lamb(), pn.chain(pn.clip_by_global_norm(1.0), pn.freeze(".rest['a']"), pn.adam()),
     pn.chain(pn.ema(), pn.weight_decay(0.1), pn.joined(), pn.adam()),
     pn.per_path({".weight": pn.sgd(0.1)}, pn.adam())],
    ids=repr,
)  # fmt: skip
def test_optimizers_take_them(xp, optimizer):
    """As they take a tuple of the same arrays."""
    params, grads = example(xp), example(xp, 1)
    flat = dict(pn.tree.items(params)), dict(pn.tree.items(grads))
    if "per_path" in optimizer.name or "freeze" in optimizer.name:
        flat = tuple({"weight": d[".weight"], "rest": {k[5:]: v for k, v in d.items() if k != ".weight"}} for d in flat)
        optimizer_of_flat = None
    else:
        optimizer_of_flat = optimizer
    state = optimizer.init(params)
    step = jax.jit(optimizer.step) if xp is jnp else optimizer.step
    for _ in range(2):
        params, state = step(params, grads, state)
    assert type(params) is MLP
    if optimizer_of_flat is None:
        return
    of_flat, state = flat[0], optimizer.init(flat[0])
    for _ in range(2):
        of_flat, state = optimizer.step(of_flat, flat[1], state)
    assert all(np.allclose(leaf, of_flat[path], atol=1e-6) for path, leaf in pn.tree.items(params))


def test_a_layer_with_such_params_is_trained_and_kept(tmp_path):
    def init(key, in_shape=None):
        return example()

    def apply(p, x, key=None):
        return x @ p.weight + p.rest["b"].one

    def vjp(p, x, key=None):
        zeros = pn.tree.map(np.zeros_like, p)
        one = lambda dy: MLP(x.T @ dy, Frozen(a=zeros.rest["a"], b=Pair(dy.sum(0), None)), "net")  # noqa: E731
        return apply(p, x), lambda dy, wrt_x=True: (one(dy), dy @ p.weight.T if wrt_x else None)

    layer = pn.Layer(init, apply, vjp, lambda in_shape: (3,), "mlp")
    x, target = np.ones((4, 2), np.float32), np.zeros((4, 3), np.float32)
    pn.testing.check_vjp(
        layer._replace(init=lambda key, in_shape=None: pn.tree.cast(example(), np.float32)), example(), x
    )
    found = pn.fit(layer, pn.mse, pn.adam(0.1), example(), (x, target), key=None, epochs=50)
    assert found.history["loss"][-1] < found.history["loss"][0] / 10
    assert type(found.params) is MLP
    for path in ("params.npz",):
        pn.save(tmp_path / path, found.params)
        assert pn.tree.allclose(pn.load(tmp_path / path, like=example()), found.params)
        plain = pn.load(tmp_path / path)
        assert sorted(plain) == ["rest", "weight"]
        assert plain["rest"]["b"][1] is None


def test_without_code_of_its_own():
    assert Layout.of(example()).source == ""
    assert [leaf.shape for leaf in Layout.of(example()).leaves(example())] == [(2, 3), (1,), (2,), (3,)]


# --- what is static to jit


@pytest.mark.parametrize(
    "make",
    [
        lambda: pn.serial(pn.dense(2, 3), pn.elu(alpha=0.5), pn.dropout(0.2), pn.dense(1)),
        lambda: pn.huber(delta=0.5),
        lambda: pn.chain(pn.clip_by_norm(1.0), pn.adam(pn.schedules.cosine(0.1, steps=5))),
        lambda: pn.schedules.warmup(pn.schedules.cosine(0.1, steps=5), steps=2),
        lambda: pn.initializers.normal(0.1),
        lambda: pn.l2(0.1),
    ],
)
def test_a_value_made_again_is_not_compiled_again(make):
    compiled = []

    def f(value, x):
        compiled.append(value)
        return x

    jitted = jax.jit(f, static_argnums=0)
    for _ in range(3):
        jitted(make(), jnp.ones(2))
    assert len(compiled) == 1


def test_a_value_that_computes_otherwise_is_compiled_anew():
    jitted = jax.jit(lambda layer, x: layer.apply((), x), static_argnums=0)
    x = jnp.ones(2)
    doubled = pn.relu._replace(apply=lambda params, x, key=None: 2 * x)
    named_alike = pn.Layer(pn.relu.init, lambda params, x, key=None: 3 * x, pn.relu.vjp, pn.relu.shape, pn.relu.name)
    assert [float(jitted(layer, x)[0]) for layer in (pn.relu, doubled, named_alike)] == [1, 2, 3]
