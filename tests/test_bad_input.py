"""The usual mistakes, handed to every layer of the catalogue: what purenet says of them.

Each mistake is one change of good arguments. Where it is no mistake for a layer (an activation takes any axes), Y must
be what `shape` tells. Everywhere else the error is purenet's own: it says who, what was given and what must be, and for
the usual mistakes what to write. `apply` and `vjp` say the same, at the first call and after good ones.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import purenet as pn
from purenet.spec import rules
from purenet.spec.words import check_spec
from purenet.values import maker_of
from tests.catalogue import LAYERS, layer_id
from tests.kit import bits, cast


def chosen(name):
    """The first case of a layer, and the first whose x has another form. (A chain of nothing takes whatever it gets.)"""
    first, *others = [case for case in LAYERS[name] if str(case.layer) not in ("serial()", "named()")]
    return [first, *[case for case in others if type(case.x) is not type(first.x)][:1]]


CASES = [(name, case) for name in LAYERS for case in chosen(name)]
each_case = pytest.mark.parametrize("case", [case for _, case in CASES], ids=[layer_id(case) for case in CASES])


class Mistake(NamedTuple):
    """A change of a good argument, and patterns of what the message says of it."""

    change: Callable[[Any], Any]
    given: str  # `{shape}`, `{dtype}` and `{kind}` are those of the array, or of the first one, after the change
    mend: str = ""  # what to write, if anything


def at_first(change):
    """The change of an array; of a tuple, of the first array in it."""

    def of(x):
        return (of(x[0]), *x[1:]) if type(x) is tuple else change(x)

    return of


def first_of(x):
    return first_of(x[0]) if type(x) is tuple and x else x


def is_float(leaf):
    return leaf.dtype.kind == "f"


X = {
    "an axis too many": Mistake(at_first(lambda x: x[None]), "{shape}"),
    "an axis too few": Mistake(at_first(lambda x: x[0]), "{shape}"),
    "no axis": Mistake(at_first(lambda x: x.reshape(-1)[:1].reshape(())), "{shape}|no axis of time"),
    "other features": Mistake(at_first(lambda x: np.concatenate([x, x], -1)), "{shape}"),
    "float64": Mistake(at_first(lambda x: x.astype(float)), "float64", r"write \w+(\.\w+)?\.astype\(|write x.*astype"),
    "numbers of the other kind": Mistake(at_first(lambda x: x.astype(int if is_float(x) else float)), "{dtype}", r"\.astype\("),
    "booleans": Mistake(at_first(lambda x: x > 0), "a bool array", r"\.astype\("),
    "complex numbers": Mistake(at_first(lambda x: x + 1j), "a complex", r"\.astype\("),
    "a list": Mistake(at_first(lambda x: x.tolist()), "a list", r"np\.asarray\("),
    "a list of arrays": Mistake(lambda x: list(x) if type(x) is tuple else [x], "a list", r"np\.stack|tuple|two or more"),
    "None": Mistake(lambda x: None, "None"),
    "None within": Mistake(at_first(lambda x: None), "None"),
    "a tuple with lengths": Mistake(lambda x: (x, np.ones(len(first_of(x)), int)), "a tuple of [23]|(int64|float32) array|x has shape", "on_first|"),
    "a tuple of one": Mistake(lambda x: (x,), "a tuple|array of shape"),
    "an empty tuple": Mistake(lambda x: (), r"a tuple of 0|given \(\)"),
    "a scalar": Mistake(lambda x: np.float32(1), "a float32 scalar"),
    "a number": Mistake(lambda x: 1.5, "a float"),
    "text": Mistake(lambda x: "x", "a str"),
    "another batch": Mistake(at_first(lambda x: np.concatenate([x, x])), "{shape}|array of shape|has shape"),
}  # fmt: skip


def on_leaf(change):
    """The change of the first parameter; None where there is none."""

    def of(params):
        leaves, structure = pn.tree.flatten(params)
        return pn.tree.unflatten(structure, [change(leaves[0]), *leaves[1:]]) if leaves else None

    return of


OTHER = pn.dense(17, 19).init(pn.key(0))
PARAMS = {
    "no params": Mistake(lambda params: (), "a tuple", "Are these of another net|one for each layer|Buffer|a dict with"),
    "params of another layer": Mistake(lambda params: OTHER, r"a? ?DenseParams|weight \(17, 19\)"),
    "a dict": Mistake(lambda params: {"weight": np.ones(2)}, "a dict", r"like=net\.init|params = \(\)|Buffer|\['"),
    "a list": Mistake(lambda params: list(params), "a list"),
    "None": Mistake(lambda params: None, "None"),
    "an array": Mistake(lambda params: np.ones((7, 8), np.float32), r"array of shape \(7, 8\)|with .*\(7, 8\)"),
    "twice as many": Mistake(lambda params: (params, params), "a tuple|Params|a dict"),
    "a parameter of another shape": Mistake(on_leaf(lambda leaf: leaf[None, None]), r"\(1, 1, |None"),
    "a parameter of float64": Mistake(on_leaf(lambda leaf: leaf.astype(float)), "float64 params|None", r"tree\.cast|"),
    "a parameter of integers": Mistake(on_leaf(lambda leaf: leaf.astype(int)), "int64 params|None", r"astype\(np|"),
    "a parameter that is a list": Mistake(on_leaf(lambda leaf: leaf.tolist()), "a list|None"),
    "a parameter that is None": Mistake(on_leaf(lambda leaf: None), "None"),
}  # fmt: skip

DY = {
    "another shape": Mistake(at_first(lambda dy: dy[None]), "dE/dY has shape {shape}"),
    "another dtype": Mistake(at_first(lambda dy: dy.astype(float)), "dE/dY is float64", r"write dy\.astype\(np\.float32\)"),
    "integers": Mistake(at_first(lambda dy: dy.astype(int)), "dE/dY is int64", r"write dy\.astype\(np\.float32\)"),
    "a list": Mistake(at_first(lambda dy: dy.tolist()), "a list"),
    "a number": Mistake(lambda dy: 1.0, "a float"),
    "a scalar": Mistake(lambda dy: np.float32(1), "a float32 scalar"),
    "None": Mistake(lambda dy: None, "None"),
    "an empty tuple": Mistake(lambda dy: (), "a tuple of 0"),
    "a tuple of three": Mistake(lambda dy: (dy, dy, dy), "a tuple of 3"),
}  # fmt: skip


def at_first_shape(change):
    """The change of a shape; of a tuple of them, of the first one."""

    def of(shape):
        return (of(shape[0]), *shape[1:]) if shape and type(shape[0]) is tuple else change(shape)

    return of


SHAPES = {
    "the batch too": Mistake(at_first_shape(lambda shape: (5, *shape)), "batch, 5|(5, .*)", "leave the batch out|"),
    "an axis too few": Mistake(at_first_shape(lambda shape: shape[1:]), r"\(batch,|\(.*\)"),
    "other features": Mistake(at_first_shape(lambda shape: (*shape[:-1], 2 * shape[-1]) if shape else (3, 3)), r"\(.*\)"),
    "a number": Mistake(lambda shape: 4, "an int", r"write in_shape=\(4,\)"),
    "a float": Mistake(lambda shape: 2.5, "a float"),
    "text": Mistake(lambda shape: "ab", "a str"),
    "an array": Mistake(lambda shape: np.ones((2, 3)), "a float64 array", r"write x\.shape\[1:\]"),
    "a layer": Mistake(lambda shape: pn.tanh, "a tanh"),
    "params": Mistake(lambda shape: OTHER, "a DenseParams"),
    "a dict": Mistake(lambda shape: {"x": shape}, "a dict"),
    "floats": Mistake(at_first_shape(lambda shape: tuple(map(float, (*shape, 1)))), "a float"),
    "negative sizes": Mistake(at_first_shape(lambda shape: (-1, *shape)), "-1", "write None"),
    "shapes of two": Mistake(lambda shape: (shape, (5, 5, 5, 5, 5)), r"\(5, 5, 5, 5, 5\)|not \(\(|a tuple", "on_first|"),
}  # fmt: skip


def text_of(error):
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def complaint(call):
    """The error of a call as (type, text), or None and what it gives."""
    try:
        return None, call()
    except (TypeError, ValueError) as error:
        return (type(error), text_of(error), raised_at(error)), None


def raised_at(error):
    """The line that raised it, if it is one of purenet's that says `raise`: nothing failed there, or in NumPy."""
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    file, line = last.tb_frame.f_code.co_filename, last.tb_lineno
    own = Path(file).is_relative_to(Path(pn.__file__).parent) and linecache.getline(file, line).strip()
    if not own or not own.startswith("raise "):
        raise AssertionError(f"{file}:{line} failed: {error}")
    return own


def names_of(layer):
    return [str(layer.name), *(name for part in layer.parts for name in names_of(part))]


USUAL = {  # what must be there wherever the message says this
    r"^(?!the pullback).* takes an array, not a tuple of [1-9]": "write on_first(",
    "params, but x is": "write ",
    "its input has shape .*: ": "leave the batch out",
}
INSIDE = ("add", "mul", "concat", "reshape", "instance_norm")  # they tell the shape of one example, or of x[1]
EXPECTED = r"takes|computes in floating point|must|has \w+ params|but Y has|but Y is|Y is a tuple|a multiple of|cannot|" \
    r"does not|shapes must be equal"  # fmt: skip


def check_says(said, layer, mistake, changed):
    """The four parts of a message."""
    text = said[1]
    message = text.split("\n")[0]
    assert any(name in message for name in names_of(layer)), f"who? {text}"
    array = first_of(changed)
    words = {"shape": re.escape(str(getattr(array, "shape", ""))), "dtype": str(getattr(array, "dtype", ""))}
    told = re.search(mistake.given.format(**words), message)
    if "{shape}" in mistake.given and (layer.parts or maker_of(layer) in INSIDE):
        told = told or re.search(r"has shape \(.*\)|of shape \(.*\)|equal shapes, not \(", message)  # as a part sees it
    assert told, f"given? {text}"
    assert re.search(EXPECTED, message), f"expected? {text}"
    assert re.search(mistake.mend, message), f"what to write? {text}"
    for said_so, write in USUAL.items():
        assert not re.search(said_so, message) or write in message, f"what to write? {text}"


def good(case):
    return cast(case.params, np.float32), cast(case.x, np.float32)


def shape_of(tree):
    return pn.tree.map(lambda leaf: leaf.shape[1:], tree)


@pytest.mark.parametrize("mistake", X)
@each_case
def test_x(case, mistake):
    params, x = good(case)
    wrong = X[mistake].change(x)
    before = bits((params, wrong))
    compare(case, X[mistake], wrong, (params, wrong), (params, x))
    assert bits((params, wrong)) == before


@pytest.mark.parametrize("mistake", PARAMS)
@each_case
def test_params(case, mistake):
    params, x = good(case)
    wrong = PARAMS[mistake].change(params)
    before = bits((wrong, x))
    compare(case, PARAMS[mistake], wrong, (wrong, x), (params, x))
    assert bits((wrong, x)) == before


def compare(case, mistake, changed, wrong, right):
    """What is said of wrong arguments, by `apply` and by `vjp`, at first and after the right ones."""
    layer, key = case.layer, case.key
    said, y = complaint(lambda: layer.apply(*wrong, key))
    layer.apply(*right, key)
    value, pullback = layer.vjp(*right, key)
    pullback(value)
    assert complaint(lambda: layer.apply(*wrong, key))[0] == said
    assert complaint(lambda: layer.vjp(*wrong, key))[0] == said
    if said is None:
        if all(leaf.ndim > 1 for leaf in pn.tree.leaves(wrong[1])):  # dense takes a row alone too, without a batch
            assert layer.shape(shape_of(wrong[1])) in (shape_of(y), None)
        assert all(np.isfinite(leaf).all() for leaf in pn.tree.leaves(y))
    else:
        check_says(said, layer, mistake, changed)


@pytest.mark.parametrize("mistake", DY)
@each_case
def test_dy(case, mistake):
    params, x = good(case)
    y, pullback = case.layer.vjp(params, x, case.key)
    wrong = DY[mistake].change(y)
    before = bits(wrong)
    said, gradients = complaint(lambda: pullback(wrong))
    pullback(y)
    of_bare_rule = case.layer.vjp(params, x, case.key)[1]
    for again in (pullback, of_bare_rule):
        assert complaint(functools.partial(again, wrong))[0] == said
    if said is None:  # such as a dE/dY for Y that holds integers, which have no gradient
        assert not is_float(first_of(y)), gradients
    else:
        check_says(said, case.layer, DY[mistake], wrong)
    assert bits(wrong) == before


@pytest.mark.parametrize("mistake", SHAPES)
@each_case
def test_in_shape(case, mistake):
    right = shape_of(case.x)
    wrong = SHAPES[mistake].change(right)
    said, shape = complaint(lambda: case.layer.shape(wrong))
    if said is not None:
        check_says(said, case.layer, SHAPES[mistake], wrong)
        assert complaint(lambda: case.layer.init(pn.key(0), wrong))[0] is not None
    elif shape is not None:
        params = cast(case.layer.init(pn.key(0), wrong), np.float32)
        assert shape_of(case.layer.apply(params, with_shape(case.x, wrong), case.key)) == shape


def with_shape(x, in_shape):
    """Numbers like those of x, in arrays of this shape."""
    if any(type(n) is tuple for n in in_shape):
        parts = x if type(x) is tuple and len(x) == len(in_shape) else (x,) * len(in_shape)
        return tuple(map(with_shape, parts, in_shape))
    dtype = np.float32 if is_float(first_of(x)) else first_of(x).dtype
    return np.resize(first_of(x), (3, *in_shape)).astype(dtype)


@each_case
def test_lists_and_sizes_of_numpy_are_shapes_too(case):
    def listed(shape):
        return [listed(n) if type(n) is tuple else np.int64(n) for n in shape]

    right = shape_of(case.x)
    assert case.layer.shape(listed(right)) == case.layer.shape(right)
    assert bits(case.layer.init(pn.key(0), listed(right))) == bits(case.layer.init(pn.key(0), right))


# --- a user's layer that does not keep the contract

X2 = np.ones((2, 3), np.float32)


def by_hand(**parts):
    """A layer that gives x, by hand, but for one part."""
    whole = {
        "init": lambda key, in_shape=None: (),
        "apply": lambda params, x, key=None: x,
        "vjp": lambda params, x, key=None: (x, lambda dy, wrt_x=True: ((), dy)),
        "shape": lambda in_shape: in_shape,
        "name": "mine",
    }
    return pn.Layer(**{**whole, **parts})


def run(layer):
    """Both ways of a net that holds the layer, and its pullback."""
    net = pn.serial(pn.tanh, layer)
    params = net.init(pn.key(0), (3,))
    for _ in range(2):
        net.apply(params, X2)
    y, pullback = net.vjp(params, X2)
    pullback(y)


def ruled(rule, **words):
    return pn.layer(pn.Spec(**{"name": "mine", "x": "... n", "y": "... n", **words}), rule)


def vjp_giving(found):
    return by_hand(vjp=lambda params, x, key=None: found)


def back(dy, wrt_x=True):
    return (), dy


def plain(ops, params, x, key):
    return x, back


VJP, PULLBACK = (
    r"mine: its vjp must return \(y, pullback\), not ",
    r"mine: its pullback must return \(dparams, dx\), not ",
)
RULE, PULL = r"mine: its rule must return \(y, pull\), ", r"mine: its pull must return \(dparams, dx\), not "
ARRAY = r"a float32 array of shape \(2, 3\)"
CONTRACT = {
    "shape(None) that fails": (lambda: run(by_hand(shape=lambda s: (*s[:-1], 4))), r"mine: its shape must take None too.*else None; but shape\(None\) fails.*NoneType.*in layer 1, mine"),
    "a shape that is a list": (lambda: run(by_hand(shape=lambda s: [3])), r"mine: its shape must give .*a tuple, or None.*not a list: write tuple\(\.\.\.\)"),
    "a shape that is a number": (lambda: run(by_hand(shape=lambda s: 3)), r"mine: its shape must give .*not an int"),
    "a vjp that gives y alone": (lambda: run(vjp_giving(X2)), VJP + ARRAY),
    "a vjp that gives two arrays": (lambda: run(vjp_giving((X2, X2))), VJP + r"\(y, a float32 array"),
    "a vjp that gives three things": (lambda: run(vjp_giving((X2, back, X2))), VJP + "a tuple of 3"),
    "a vjp that gives nothing": (lambda: run(vjp_giving(None)), VJP + "None"),
    "a pullback that gives dx alone": (lambda: run(vjp_giving((X2, lambda dy, wrt_x=True: dy))), PULLBACK + ARRAY),
    "a vjp that gives two arrays, alone": (lambda: pn.value_and_grad(vjp_giving((X2, X2)), pn.mse)((), X2, X2), VJP + r"\(y, a float32 array"),
    "a rule that gives y alone": (lambda: run(ruled(lambda ops, p, x, k: x)), f"{RULE}not {ARRAY}"),
    "likewise, in vjp": (lambda: ruled(lambda ops, p, x, k: x).vjp((), X2), f"{RULE}not {ARRAY}"),
    "a rule that gives two arrays": (lambda: run(ruled(lambda ops, p, x, k: (x, x))), RULE + r"not \(y, a float32 array"),
    "a rule that gives a number": (lambda: run(ruled(lambda ops, p, x, k: (1.0, back))), RULE + "y an array, not a float"),
    "a pull that gives dx alone": (lambda: run(ruled(lambda ops, p, x, k: (x, lambda dy, wrt_x: dy))), PULL + ARRAY),
    "a pull that gives nothing": (lambda: run(ruled(lambda ops, p, x, k: (x, lambda dy, wrt_x: None))), PULL + "None"),
    "a y that gives a list": (lambda: run(ruled(plain, x="batch n", y=lambda s: list(s))), r"mine: its y must give .*not a list: write tuple"),
    "no pattern": (lambda: ruled(plain, x="batch, n"), r'mine: "batch, n" is no pattern: write the names of the axes'),
    "no pattern, in params": (lambda: ruled(plain, params="n+1", init=np.zeros), 'mine: "n[+]1" is no pattern'),
    "a pattern that is a number": (lambda: ruled(plain, x=3), "mine: a pattern is text, .*not an int"),
    "params in a dict": (lambda: ruled(plain, params={"w": "n"}, init={"w": np.zeros}), "mine: a pattern is text, .*not a dict"),
    "several axes twice": (lambda: ruled(plain, x="... *space n"), "mine: .* has two axes that stand for several"),
    "init in other containers": (lambda: ruled(plain, params=("n", "n"), init=[np.zeros] * 2), "mine: params and init stand in equal containers, but params is a tuple of 2 and init a list"),
    "fewer initializers": (lambda: ruled(plain, params=("n", "n"), init=(np.zeros,)), "params is a tuple of 2 and init a tuple of 1"),
    "a number for an initializer": (lambda: pn.dense(2, 3, weight_init=0.1), r"dense\(2, 3\) takes an initializer of params.weight, such as initializers.zeros, not a float"),
    "an axis of params that nothing binds": (lambda: ruled(plain, params="n hidden", init=np.zeros), r"mine: nothing says how long hidden of its params is: name it in x, too, or write sizes={'hidden': \.\.\.}"),
    "an axis of y that nothing binds": (lambda: ruled(plain, y="... out"), "mine: nothing says how long out of its y is"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRACT)
def test_a_contract_that_is_not_kept(name):
    call, message = CONTRACT[name]
    said, _ = complaint(call)
    assert said is not None
    assert re.search(f"(?s){message}", said[1]), said[1]


def test_the_librarys_own_specs_hold_what_is_asked_of_others(monkeypatch):
    """They are made again, as if somebody else had named them."""
    checked = []
    monkeypatch.setattr(rules, "Call", type(None))
    monkeypatch.setattr(rules, "check_spec", lambda spec: (checked.append(spec.name), check_spec(spec)))
    for name, cases in LAYERS.items():
        public = getattr(pn, name)
        if isinstance(public, pn.Layer):
            inspect.unwrap(public)()  # the function that made the preset
        for case in cases if name != "activation" else ():
            pickle.loads(pickle.dumps(case.layer))
    assert {"tanh", "dense(5, 3)", "add", "flatten", "batch_norm", "lstm(4, 3)", "glu"} <= set(checked)


@pytest.mark.parametrize("is_known", [False, True], ids=["at first", "after a right call"])
@pytest.mark.parametrize("wrong", [False, True, 0, np.ones(4, int), (None,)], ids=repr)
@pytest.mark.parametrize(
    "net",
    [
        pn.dense(2, 3),
        pn.batch_norm(2),
        pn.tanh,
        pn.serial(pn.dense(2, 3)),
        pn.residual(pn.batch_norm(2)),
        pn.dropout(0.5),
    ],
    ids=repr,
)
def test_what_is_no_key_is_refused_by_every_layer(net, wrong, is_known):
    params, x = net.init(pn.key(0)), np.ones((4, 2), np.float32)
    for call in (net.apply, net.vjp, pn.value_and_grad(net, pn.sse)):
        rest = (net.apply(params, x),) if call not in (net.apply, net.vjp) else ()
        if is_known:
            done = call(params, x, *rest)
            if call == net.vjp:
                done[1](done[0])
        with pytest.raises(TypeError, match="a random key belongs here, not"):
            call(params, x, *rest, wrong)
