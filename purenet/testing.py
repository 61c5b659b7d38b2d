"""`check_vjp`: is a rule right? For the library's own layers and losses, and for yours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from purenet import random, tree
from purenet.core import Buffer, Layer, Loss
from purenet.engine.arrays import describe
from purenet.engine.jax import host_only
from purenet.random import Key

EVERY_ENTRY = 64  # a leaf of up to this size is checked entry by entry, a larger one in this many random directions
STEP = 1e-5  # of the central differences, which then err by about 1e-10 of the function's scale
RELATIVE, ABSOLUTE = 1e-6, 1e-9


def check_vjp(
    layer: Layer[Any] | Loss, params: Any, x: Any, key: Key | None = None, *, differences: bool = True
) -> None:
    """Check a layer at (params, x), or a loss at (y, target), against the contract; AssertionError says what is wrong.

    - pure: the same arguments give the same bits, no argument changes, no global random state is touched;
    - one forward: `vjp` gives the very bits of `apply`;
    - mirrors: dparams has the containers, shapes and dtypes of params, and dx those of x (None for integers), in
      float32 and in float64;
    - the derivative: in float64 the pullback agrees with central differences for each leaf of params and x, entry by
      entry for a small leaf, in random directions for a large one;
    - linear in dE/dY, callable again, and `wrt_x=False` gives the same dparams and None;
    - a layer's `shape` foretells the shape of y, and its `init` gives read-only float32 params like those given.

    With a key all of this is checked in training mode. Choose x clear of kinks, such as relu's at 0, where there is no
    derivative. `differences=False` leaves out the comparison with differences, for a rule that is deliberately not the
    derivative.

    >>> import numpy as np, purenet as pn
    >>> check_vjp(pn.tanh, (), np.array([[0.5, -2.0]]))
    >>> wrong = pn.activation(np.tanh, lambda x: 2 - 2 * np.tanh(x) ** 2, name="wrong")
    >>> check_vjp(wrong, (), np.array([[0.5, -2.0]]))  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
    AssertionError: wrong: dx is not the derivative of apply, in 2 of 2 entries; worst at dx[0, 0]:
        the rule gives -0.3789, differences -0.1895 (the rule is 2 times the derivative everywhere: is a factor wrong?)
    """
    host_only("check_vjp", *tree.leaves((params, x)))
    try:
        _check(layer, params, x, key, differences)
    except TypeError as error:
        error.add_note("  check_vjp calls apply(params, x, key), vjp(params, x, key) and pullback(dy, wrt_x=True);")
        error.add_note("  of a loss apply(y, target), vjp(y, target) and pullback(dE)")
        raise


def _check(layer: Layer[Any] | Loss, params: Any, x: Any, key: Key | None, differences: bool) -> None:
    if isinstance(layer, Layer):
        point = _layer_at(layer, params, x, key)
    elif isinstance(layer, Loss):
        point = _loss_at(layer, y=params, target=x)
    else:
        raise TypeError(f"check_vjp takes a layer or a loss, not {describe(layer)}")
    _check_forward(point, point.inputs)
    for dtype in (np.float32, np.float64):
        inputs = _copy(point.inputs, dtype)
        y = _check_forward(point, inputs)
        _check_gradients(point, inputs, y, dtype)
    _check_linear(point, inputs, y)
    if differences:
        _check_derivative(point, inputs, y)
    if isinstance(layer, Layer):
        _check_declared(layer, params, x, y)


class _Point(NamedTuple):
    """A layer or a loss at a point, both seen alike: functions of a dict of inputs, with gradients in such a dict."""

    name: str
    inputs: dict[str, Any]
    labels: dict[str, str]  # the inputs that are differentiated, and what their gradients are called
    apply: Callable[[Any], Any]
    vjp: Callable[[Any], tuple[Any, Callable[..., Any]]]


def _layer_at(layer: Layer[Any], params: Any, x: Any, key: Key | None) -> _Point:
    def vjp(inputs: Any) -> tuple[Any, Callable[..., Any]]:
        y, pullback = layer.vjp(inputs["params"], inputs["x"], key)

        def pull(dy: Any, **options: bool) -> Any:
            gradients = pullback(dy, **options)
            if type(gradients) is not tuple or len(gradients) != 2:
                _fail(layer.name, f"its pullback must return (dparams, dx), not {describe(gradients)}")
            return dict(zip(("params", "x"), gradients, strict=True))

        return y, pull

    def apply(inputs: Any) -> Any:
        return layer.apply(inputs["params"], inputs["x"], key)

    floats = [leaf.dtype for leaf in tree.leaves(x) if _is_float(leaf)]
    params = tree.cast(params, floats[0]) if floats else params  # any dtype will do, but they must be of one
    return _Point(layer.name, {"params": params, "x": x}, {"params": "dparams", "x": "dx"}, apply, vjp)


def _loss_at(loss: Loss, y: Any, target: Any) -> _Point:
    def vjp(inputs: Any) -> tuple[Any, Callable[..., Any]]:
        E, pullback = loss.vjp(inputs["y"], inputs["target"])
        return number(E, inputs), lambda dE: {"y": pullback(dE)}

    def apply(inputs: Any) -> Any:
        return number(loss.apply(inputs["y"], inputs["target"]), inputs)

    def number(E: Any, inputs: Any) -> Any:  # a Python number will do too
        return tree.leaves(inputs["y"])[0].dtype.type(E) if isinstance(E, int | float) else E

    return _Point(loss.name, {"y": y, "target": target}, {"y": "dy"}, apply, vjp)


def _check_forward(point: _Point, inputs: Any) -> Any:
    """y, after the checks of purity and of one forward."""
    before, state = _bits(inputs), _global_state()
    y, again, forward = point.apply(inputs), point.apply(inputs), point.vjp(inputs)[0]
    if _global_state() != state:
        _fail(point.name, "it draws from a global random generator; random numbers must come from the key alone")
    if _bits(inputs) != before:
        _fail(point.name, f"its forward pass changes {_first_change(inputs, before)}")
    if "target" in inputs and np.shape(y) != ():
        _fail(point.name, f"a loss is one number, not {describe(y)}: take its mean or its sum")
    if _bits(y) != _bits(again):
        _fail(point.name, "apply gives other bits when it is called again with the same arguments")
    if _bits(y) != _bits(forward):
        _fail(point.name, "the y of vjp is not, bit for bit, the y of apply")
    return y


def _check_gradients(point: _Point, inputs: Any, y: Any, dtype: Any) -> None:
    """y and the gradients have the right containers, shapes and dtypes, and the pullback is pure."""
    for path, leaf in tree.items(y, "y"):
        if _is_float(leaf) and leaf.dtype != dtype:
            _fail(point.name, f"{path} is {leaf.dtype} for {np.dtype(dtype)} arguments")
    dy = _random_like(y, seed=1)
    _, pull = point.vjp(inputs)
    before, dy_before = _bits(inputs), _bits(dy)
    gradients = pull(dy)
    for name, label in point.labels.items():
        _check_mirror(point.name, inputs[name], gradients[name], label)
    if _bits(inputs) != before:
        _fail(point.name, f"its pullback changes {_first_change(inputs, before)}")
    if _bits(dy) != dy_before:
        _fail(point.name, "its pullback changes dE/dY")
    if _bits(pull(dy)) != _bits(gradients):
        _fail(point.name, "its pullback gives other bits when it is called again with the same dE/dY")
    if "x" in point.labels:
        without = pull(dy, wrt_x=False)
        if without["x"] is not None:
            _fail(point.name, f"with wrt_x=False, None must stand for dx, not {describe(without['x'])}")
        if _bits(without["params"]) != _bits(gradients["params"]):
            _fail(point.name, "with wrt_x=False its pullback gives other dparams")


def _check_mirror(who: str, given: Any, gradient: Any, label: str) -> None:
    """The gradient has the containers, shapes and dtypes of what it is the gradient of; an integer x has None."""
    wanted = tree.map(lambda leaf: leaf if _is_float(leaf) or label != "dx" else None, given)
    message = tree.parting(wanted, gradient, label, shapes=True)
    if message:
        _fail(who, f"a gradient must mirror its argument. Argument against gradient: {message}")
    for (path, leaf), dleaf in zip(tree.items(wanted, label), tree.leaves(gradient), strict=True):
        if leaf.dtype != dleaf.dtype:
            _fail(who, f"a gradient must mirror its argument, but {path} is {dleaf.dtype} for {leaf.dtype}")


def _check_linear(point: _Point, inputs: Any, y: Any) -> None:
    """pull(2a − 3b) = 2 pull(a) − 3 pull(b), but for buffers, whose steps do not depend on dE/dY."""
    _, pull = point.vjp(inputs)
    a, b = _random_like(y, seed=2), _random_like(y, seed=3)
    both = pull(tree.map(lambda p, q: 2 * p - 3 * q, a, b))
    ga, gb = pull(a), pull(b)
    largest = max((np.abs(leaf).max(initial=0) for leaf in tree.leaves((ga, gb))), default=0)  # some cancel to 0

    for name, label in point.labels.items():
        nodes = [dict(tree.items(g[name], label, leaf_type=Buffer)) for g in (ga, gb, both)]
        buffers = dict(tree.items(inputs[name], label, leaf_type=Buffer))
        for path, p in nodes[0].items():
            q, together = nodes[1][path], nodes[2][path]
            if isinstance(p, Buffer):
                if not _bits(p) == _bits(q) == _bits(together):
                    _fail(point.name, f"the step of the buffer {path} depends on dE/dY")
                if _bits(p) == _bits(buffers[path]) and any(leaf.any() for leaf in tree.leaves(p)):
                    _fail(point.name, f"{path} is the buffer itself, and a step of it to 0: write 0 if it is to stay")
            elif not np.allclose(
                together, 2 * p - 3 * q, rtol=1e-9, atol=1e-9 * (np.abs(p) + np.abs(q)).max(initial=0) + 1e-13 * largest
            ):
                _fail(point.name, f"{path} is not linear in dE/dY: pull(2a - 3b) is not 2 pull(a) - 3 pull(b)")


def _check_derivative(point: _Point, inputs: Any, y: Any) -> None:
    """Each leaf of the gradient against central differences of E = Σ dE/dY ⊙ Y."""
    dy = _random_like(y, seed=4)
    gradients = point.vjp(inputs)[1](dy)

    def error(moved: Any) -> float:
        return sum(float(np.sum(p * q)) for p, q in zip(tree.leaves(dy), tree.leaves(point.apply(moved)), strict=True))

    scale = sum(float(np.sum(np.abs(p * q))) for p, q in zip(tree.leaves(dy), tree.leaves(y), strict=True))
    for name, label in point.labels.items():
        trainable = {path for path, node in tree.items(inputs[name], leaf_type=Buffer) if _is_float(node)}
        rules = dict(tree.items(gradients[name]))
        leaves, structure = tree.flatten(inputs[name])
        for i, (path, leaf) in enumerate(tree.items(inputs[name])):
            if path in trainable:
                place = _replacer(inputs, name, leaves, structure, i)
                f = lambda value, place=place: error(place(value))  # noqa: E731
                _compare(point.name, label + path, f, leaf, rules[path], ABSOLUTE * (1 + scale))


def _replacer(inputs: Any, name: str, leaves: Any, structure: Any, i: int) -> Callable[[Any], Any]:
    """The function from a value of leaf i of one input to all inputs."""
    return lambda value: {**inputs, name: tree.unflatten(structure, [*leaves[:i], value, *leaves[i + 1 :]])}


def _compare(who: str, label: str, f: Callable[[Any], Any], at: Any, rule: Any, tolerance: float) -> None:
    """One leaf: the rule's gradient against differences of f, in all entries or in random directions."""
    entries = [_unit(at, i) for i in range(at.size)]
    if at.size > EVERY_ENTRY:
        directions = [random.normal(random.key(i), at.shape, np.float64) for i in range(EVERY_ENTRY)]
        if all(_agree(float(np.sum(rule * d)), _slope(f, at, d), tolerance * at.size**0.5) for d in directions):
            return
        entries = entries[:: -(-at.size // 256)]  # something is wrong: look where, in some 256 of the entries
    claimed = np.array([float(np.sum(rule * e)) for e in entries])
    measured = np.array([_slope(f, at, e) for e in entries])
    wrong = ~_agree(claimed, measured, tolerance)
    if not wrong.any():
        if at.size > EVERY_ENTRY:
            _fail(
                who,
                f"{label} is not the derivative of apply in random directions, though it is in {len(entries)} entries",
            )
        return
    worst = int(np.argmax(np.where(wrong, np.nan_to_num(np.abs(claimed - measured), nan=np.inf), -1)))
    place = f"{label}[{', '.join(map(str, np.argwhere(entries[worst])[0]))}]" if at.ndim else label
    raise AssertionError(
        f"{who}: {label} is not the derivative of apply, in {wrong.sum()} of {len(entries)} entries; worst at {place}: "
        f"the rule gives {claimed[worst]:.4g}, differences {measured[worst]:.4g}"
        f"{_hint(claimed, measured, f, at, entries[worst], tolerance)}"
    )


def _hint(claimed: Any, measured: Any, f: Any, at: Any, direction: Any, tolerance: float) -> str:
    """What the error looks like, where it looks like something known."""
    right, left = (_one_sided(f, at, sign * direction) * sign for sign in (1, -1))
    if abs(right - left) > 1e-3 * (abs(right) + abs(left)):
        return f" (a kink? the slope is {left:.4g} to the left and {right:.4g} to the right: move x away from it)"
    if not claimed.any():
        return " (the rule is 0 everywhere: is this gradient missing?)"
    seen = np.abs(measured) > 1e-6 * np.abs(measured).max()
    ratios = claimed[seen] / measured[seen]
    if ratios.size and np.ptp(ratios) < 1e-4 * np.abs(ratios).max():
        return f" (the rule is {ratios.mean():.4g} times the derivative everywhere: is a factor wrong?)"
    if at.ndim == 2 and at.shape[0] == at.shape[1] and at.size == claimed.size:
        transposed = measured.reshape(at.shape).T.ravel()
        if _agree(claimed, transposed, tolerance).all():
            return " (it is the derivative transposed)"
    return ""


def _check_declared(layer: Layer[Any], params: Any, x: Any, y: Any) -> None:
    """What `shape` and `init` say, against what is."""
    if any(leaf.ndim == 0 for leaf in tree.leaves(x)):
        return
    in_shape = tree.map(lambda leaf: tuple(leaf.shape[1:]), x)
    out_shape = tree.map(lambda leaf: tuple(leaf.shape[1:]), y)
    if layer.shape(in_shape) != out_shape:
        _fail(layer.name, f"shape({in_shape}) is {layer.shape(in_shape)}, but apply gives {out_shape}")
    layer.shape(None)
    fresh = layer.init(random.key(0), in_shape)
    message = tree.parting(fresh, params, "params", shapes=True)
    if message:
        _fail(layer.name, f"init gives other params than those to be checked: {message}")
    if _bits(fresh) != _bits(layer.init(random.key(0), in_shape)):
        _fail(layer.name, "init gives other bits when it is called again with the same key")
    for path, leaf in tree.items(fresh, "params"):
        if leaf.flags.writeable:
            _fail(layer.name, f"init gives {path} writable: freeze it, with {path}.setflags(write=False)")
        if _is_float(leaf) and leaf.dtype != np.float32:
            _fail(layer.name, f"init gives {path} as {leaf.dtype}: parameters are float32 unless asked")


def _fail(who: str, what: str) -> None:
    raise AssertionError(f"{who}: {what}")


def _is_float(leaf: Any) -> bool:
    return getattr(getattr(leaf, "dtype", None), "kind", "") == "f"


def _copy(given: Any, dtype: Any) -> Any:
    """Writable copies, floats in this dtype: a rule that writes to its arguments must be caught, not stopped."""
    return tree.map(lambda leaf: np.array(leaf, dtype if _is_float(leaf) else None), given)


def _random_like(y: Any, seed: int) -> Any:
    keys = iter(random.split(random.key(seed), len(tree.leaves(y))))
    return tree.map(lambda leaf: random.normal(next(keys), leaf.shape, leaf.dtype), y)


def _bits(node: Any) -> list[tuple[str, Any, Any, bytes]]:
    arrays = [(path, np.asarray(leaf)) for path, leaf in tree.items(node)]
    return [(path, a.shape, a.dtype, a.tobytes()) for path, a in arrays]


def _first_change(inputs: Any, before: Any) -> str:
    """The path of the first input that is not what it was: x, or params[0].weight."""
    changed = [now for now, then in zip(_bits(inputs), before, strict=True) if now != then]
    return changed[0][0].replace("['", "", 1).replace("']", "", 1)


def _global_state() -> tuple[Any, ...]:
    import random as python_random

    kind, words, *rest = np.random.get_state()  # noqa: NPY002 (it is only looked at)
    return kind, np.asarray(words).tobytes(), rest, python_random.getstate()


def _agree(claimed: Any, measured: Any, tolerance: float) -> Any:
    return np.abs(claimed - measured) <= RELATIVE * np.maximum(np.abs(claimed), np.abs(measured)) + tolerance


def _unit(like: Any, i: int) -> Any:
    direction = np.zeros(like.shape)
    direction.flat[i] = 1
    return direction


def _slope(f: Callable[[Any], Any], at: Any, direction: Any) -> float:
    h = _step(at, direction)
    return float(f(at + h * direction) - f(at - h * direction)) / (2 * h)


def _one_sided(f: Callable[[Any], Any], at: Any, direction: Any) -> float:
    h = _step(at, direction)
    return float(f(at + h * direction) - f(at)) / h


def _step(at: Any, direction: Any) -> float:
    return STEP * max(1.0, float(np.abs(at * direction).max()))
