"""`check_vjp`: is a rule right? For the library's own layers and losses, and for yours."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from purenet import random, tree
from purenet.core import Buffer, Layer, Loss
from purenet.engine.arrays import NumpyArray, describe
from purenet.engine.jax import float64_hint, host_only
from purenet.losses import reduction_of
from purenet.random import Key
from purenet.spec import check_pulled, pulled_by
from purenet.values import hinted

EVERY_ENTRY = 64  # a leaf of up to this size is checked entry by entry, a larger one in random directions
DIRECTIONS = 24
ROUNDING = 32 * float(np.finfo(np.float32).eps)  # the share by which float32 may be off


@hinted
def check_vjp(
    layer: Layer[Any] | Loss, params: Any, x: Any, key: Key | None = None, *, differences: bool = True
) -> None:
    """Check a layer at (params, x), or a loss at (y, target), against the contract; AssertionError says what is wrong.

    - pure: the same arguments give the same bits, no argument changes, no global random state is touched;
    - one forward: `vjp` gives the very bits of `apply`;
    - mirrors: dparams has the containers, shapes and dtypes of params, and dx those of x (None for integers), in
      float32 and in float64;
    - the derivative: in float64 the pullback agrees with differences for each leaf of params and x, entry by entry
      for a small leaf, in random directions for a large one; in float32 it gives the same, but for rounding. What holds
      only 0, 1 and −1, or has a gradient of 0, would hide a wrong factor: there it is checked a little aside, too;
    - linear in dE/dY, callable again, and `wrt_x=False` gives the same dparams and None;
    - a layer's `shape` foretells the shape of y, and its `init` gives read-only float32 params like those given.

    With a key all of this is checked in training mode. A kink close to x does no harm; but at a kink, such as relu's at
    0, there is no derivative: choose another x. `differences=False` leaves out the comparison with differences, for a
    rule that is deliberately not the derivative.

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
    except _WrongError as fault:
        raise AssertionError(f"{layer.name}: {fault}") from None
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
    single, double = _runs(point, point.inputs)
    _check_finite(double, "")
    _check_finite(single, " in float32 alone")
    _check_linear(double)
    if differences:
        _check_derivative(double)
        _check_aside(double)
    _check_float32(single, double, differences)
    if isinstance(layer, Layer):
        _check_declared(layer, params, x, double.y)


_LayerInputs = namedtuple("_LayerInputs", "params x")
_LayerGradients = namedtuple("_LayerGradients", "dparams dx")
_LossInputs = namedtuple("_LossInputs", "y target")
_LossGradients = namedtuple("_LossGradients", "dy")


class _WrongError(AssertionError):
    """What is wrong, without the name of the layer."""


class _Point(NamedTuple):
    """A layer or a loss at a point, both seen alike: functions of one tree of inputs, with one tree of gradients."""

    inputs: Any
    output: str  # what the output is called
    apply: Callable[[Any], Any]
    vjp: Callable[[Any], tuple[Any, Callable[..., Any]]]
    mirrored: Callable[[Any], Any]  # from inputs to those of which there are gradients, in the same containers


class _Leaf(NamedTuple):
    """An array among the inputs, and its gradient."""

    label: str
    at: NumpyArray
    gradient: NumpyArray
    is_buffer: bool


class _Run(NamedTuple):
    """A point in one dtype, forward and back."""

    point: _Point
    inputs: Any
    y: Any
    dy: Any
    leaves: list[_Leaf]
    sizes: NumpyArray  # of the terms of E = Σ dE/dY ⊙ Y; of a loss, which may be a difference near 0, dE


def _layer_at(layer: Layer[Any], params: Any, x: Any, key: Key | None) -> _Point:
    def vjp(inputs: _LayerInputs) -> tuple[Any, Callable[..., Any]]:
        returns = f"{layer.name}: its vjp must return (y, pullback)"
        y, pullback = check_pulled(layer.vjp(inputs.params, inputs.x, key), returns)

        def pull(dy: Any, **options: bool) -> Any:
            gradients = pullback(dy, **options)
            if type(gradients) is not tuple or len(gradients) != 2:
                _fail(f"its pullback must return (dparams, dx), not {describe(gradients)}")
            return _LayerGradients(*gradients)

        return y, pull

    def apply(inputs: _LayerInputs) -> Any:
        return layer.apply(inputs.params, inputs.x, key)

    def mirrored(inputs: _LayerInputs) -> _LayerGradients:
        return _LayerGradients(inputs.params, tree.map(lambda leaf: leaf if _is_float(leaf) else None, inputs.x))

    floats = [leaf.dtype for leaf in tree.leaves(x) if _is_float(leaf)]
    params = tree.cast(params, floats[0]) if floats else params  # any dtype will do, but they must be of one
    return _Point(_LayerInputs(params, x), "y", apply, vjp, mirrored)


def _loss_at(loss: Loss, y: Any, target: Any) -> _Point:
    def vjp(inputs: _LossInputs) -> tuple[Any, Callable[..., Any]]:
        E, pullback = pulled_by(loss, *inputs)
        return number(E, inputs), lambda dE: _LossGradients(pullback(dE))

    def number(E: Any, inputs: _LossInputs) -> Any:  # a Python number will do too
        if np.shape(E) != () and reduction_of(loss) != "none":
            _fail(f"a loss is one number, not {describe(E)}: take its mean or its sum")
        return tree.leaves(inputs.y)[0].dtype.type(E) if type(E) in (int, float) else E

    def apply(inputs: _LossInputs) -> Any:
        return number(loss.apply(*inputs), inputs)

    return _Point(_LossInputs(y, target), "E", apply, vjp, lambda inputs: _LossGradients(inputs.y))


def _runs(point: _Point, inputs: Any) -> tuple[_Run, _Run]:
    """The point in float32, and the same numbers in float64."""
    single = _run(point, _copy(inputs, np.float32), np.float32)
    return single, _run(point, _copy(single.inputs, np.float64), np.float64)


def _run(point: _Point, inputs: Any, dtype: type) -> _Run:
    y = _check_forward(point, inputs)
    for path, leaf in tree.items(y, point.output):
        if _is_float(leaf):
            _check_dtype(path, leaf, dtype)
    dy = _random_like(y, seed=4)
    leaves = _leaves(point, inputs, _check_gradients(point, inputs, dy))
    return _Run(point, inputs, y, dy, leaves, np.abs(dy if point.output == "E" else _terms(dy, y)))


def _leaves(point: _Point, inputs: Any, gradients: Any) -> list[_Leaf]:
    mirrored = point.mirrored(inputs)
    trained = {path for path, node in tree.items(mirrored, leaf_type=Buffer) if not isinstance(node, Buffer)}
    pairs = zip(tree.items(mirrored), tree.items(gradients), strict=True)
    return [
        _Leaf(label[1:], at, np.array(gradient), path not in trained)
        for (path, at), (label, gradient) in pairs
        if _is_float(at)
    ]


def _check_forward(point: _Point, inputs: Any) -> Any:
    """y, after the checks of purity and of one forward pass."""
    before, state = _bits(inputs), _global_state()
    y, again, forward = point.apply(inputs), point.apply(inputs), point.vjp(inputs)[0]
    if _global_state() != state:
        _fail("it draws from a global random generator; random numbers must come from the key alone")
    if _bits(inputs) != before:
        _fail(f"its forward pass changes {_first_change(inputs, before)}")
    if _bits(y) != _bits(again):
        _fail("apply gives other bits when it is called again with the same arguments")
    if _bits(y) != _bits(forward):
        _fail("the y of vjp is not, bit for bit, the y of apply")
    return y


def _check_gradients(point: _Point, inputs: Any, dy: Any) -> Any:
    """The gradients, after the checks of their containers, shapes and dtypes, and that the pullback is pure."""
    _, pull = point.vjp(inputs)
    before, dy_before = _bits(inputs), _bits(dy)
    gradients = pull(dy)
    mirrored = point.mirrored(inputs)
    message = tree.parting(mirrored, gradients, "", shapes=True)
    if message:
        _fail(f"a gradient must mirror its argument. Argument against gradient: {message[1:]}")
    for (path, gradient), argument in zip(tree.items(gradients), tree.leaves(mirrored), strict=True):
        _check_dtype(path[1:], gradient, argument.dtype)
    if _bits(inputs) != before:
        _fail(f"its pullback changes {_first_change(inputs, before)}")
    if _bits(dy) != dy_before:
        _fail("its pullback changes dE/dY")
    if _bits(pull(dy)) != _bits(gradients):
        _fail("its pullback gives other bits when it is called again with the same dE/dY")
    if type(gradients) is _LayerGradients:
        without = pull(dy, wrt_x=False)
        if without.dx is not None:
            _fail(f"with wrt_x=False, None must stand for dx, not {describe(without.dx)}")
        if _bits(without.dparams) != _bits(gradients.dparams):
            _fail("with wrt_x=False its pullback gives other dparams")
    return gradients


def _check_dtype(path: str, array: Any, dtype: Any) -> None:
    if array.dtype != dtype:
        hint = float64_hint() if dtype == np.float64 else ""
        _fail(f"{path} is {array.dtype} for {np.dtype(dtype)} arguments{hint and f' (does JAX compute it? {hint})'}")


def _check_finite(run: _Run, where: str) -> None:
    """Neither the output nor a gradient holds NaN or infinity."""
    for label, array in [*tree.items(run.y, run.point.output), *((leaf.label, leaf.gradient) for leaf in run.leaves)]:
        places = np.argwhere(~np.isfinite(array))
        if len(places):
            _fail(
                f"{_entry(label, places[0])} is {np.asarray(array)[tuple(places[0])]}{where}; "
                f"{len(places)} of {np.size(array)} entries are not finite"
            )


def _check_linear(run: _Run) -> None:
    """pull(2a − 3b) = 2 pull(a) − 3 pull(b), but for buffers."""
    _, pull = run.point.vjp(run.inputs)
    a, b = _random_like(run.y, seed=2), _random_like(run.y, seed=3)
    given = pull(a), pull(b), pull(tree.map(lambda p, q: 2 * p - 3 * q, a, b))
    largest = max(map(_largest, tree.leaves(given)), default=0.0)  # some cancel to 0
    trees = run.point.mirrored(run.inputs), *given
    nodes = zip(*(tree.items(each, leaf_type=Buffer) for each in trees), strict=True)
    for (_, own), (label, p), (_, q), (_, both) in nodes:
        if isinstance(p, Buffer):
            _check_buffer(label[1:], own, p, q, both)
            continue
        allowed = 1e-9 * _largest(np.abs(p) + np.abs(q)) + 1e-13 * max(1.0, largest)
        if not np.allclose(both, 2 * p - 3 * q, rtol=1e-9, atol=allowed):
            _fail(f"{label[1:]} is not linear in dE/dY: pull(2a - 3b) is not 2 pull(a) - 3 pull(b)")


def _check_buffer(label: str, buffer: Buffer, *steps: Buffer) -> None:
    """What stands in a buffer's place is its step, the same for every dE/dY."""
    if any(_bits(step) != _bits(steps[0]) for step in steps):
        _fail(f"the step of the buffer {label} depends on dE/dY")
    if _bits(steps[0]) == _bits(buffer) and any(leaf.any() for leaf in tree.leaves(buffer)):
        _fail(f"{label} is the buffer itself, and a step of it to 0: write 0 if it is to stay")


def _check_float32(single: _Run, double: _Run, differences: bool) -> None:
    """In float32 the gradients are those in float64, but for rounding.

    That is a share of the largest product of an argument and its gradient; of the mean term of E, where all gradients
    are sums that cancel; or what a gradient changes by where its arguments are rounded. A function that is another one
    in float32, since it draws other numbers there, is held against its own differences.
    """
    pairs = zip(tree.leaves(single.y), tree.leaves(double.y), strict=True)
    if differences and any(_is_float(q) and _largest(p - q) > 1e-3 * _largest(q) for p, q in pairs):
        return _check_derivative(single)
    product = max((_largest(leaf.gradient) * max(1.0, _largest(leaf.at)) for leaf in double.leaves), default=0.0)
    for i, (one, two) in enumerate(zip(single.leaves, double.leaves, strict=True)):
        error = np.abs(one.gradient - two.gradient)
        term = double.sizes.sum() / max(1, two.at.size)
        wrong = error > ROUNDING * max(product, term) / max(1.0, _largest(two.at))
        if wrong.any():
            wrong &= error > np.max([np.abs(two.gradient - near[i].gradient) for near in _near(double)], axis=0)
        if wrong.any() and differences and not any(map(_largest, tree.leaves(double.y))):
            return _check_derivative(single)  # that it is another function, a y of 0 does not show
        if wrong.any():
            worst = np.unravel_index(np.argmax(error * wrong), error.shape)
            _fail(
                f"{one.label} in float32 is not what it is in float64, in {wrong.sum()} of {wrong.size} entries; worst "
                f"at {_entry(one.label, worst)}: {one.gradient[worst]:.8g} against {two.gradient[worst]:.8g}"
            )


def _near(run: _Run) -> Iterator[list[_Leaf]]:
    """The gradients at arguments that are a little smaller, as by rounding."""
    for seed in range(8):
        inputs = _copy(run.inputs, np.float64)
        arrays = [leaf for leaf in tree.leaves(run.point.mirrored(inputs)) if _is_float(leaf)]
        for array, key in zip(arrays, random.split(random.key(seed), len(arrays)), strict=True):
            array *= random.uniform(key, array.shape, 1 - ROUNDING, 1, np.float64)
        yield _leaves(run.point, inputs, run.point.vjp(inputs)[1](run.dy))


def _check_derivative(run: _Run) -> None:
    """Each leaf of the gradient against differences, in all entries or in random directions."""
    for leaf in run.leaves:
        size, probe = leaf.at.size, _Probe(run, leaf)
        if leaf.is_buffer:
            continue
        entries: Sequence[int] = range(size)
        if size > EVERY_ENTRY:
            directions = (random.normal(random.key(i), leaf.at.shape, np.float64) for i in range(DIRECTIONS))
            if sum(probe.is_right(d / np.linalg.norm(d)) for d in directions) > DIRECTIONS / 2:
                continue  # what is wrong is wrong in nearly all directions
            entries = entries[:: -(-size // 256)]  # where is it wrong?
        wrong = np.array([not probe.is_right(_unit(leaf.at, i)) for i in entries], bool)
        if wrong.any():
            _fail(f"{leaf.label} is not the derivative of apply, {_where(probe, entries, wrong)}")
        if size > EVERY_ENTRY:
            _fail(
                f"{leaf.label} is not the derivative of apply in random directions, but in {len(entries)} entries it is"
            )


def _check_aside(run: _Run) -> None:
    """The derivative again, where the point may hide a wrong factor: an argument of only 0, 1 and −1, as a weight of
    ones, or one whose gradient is 0, as of a loss at y = target. Such arguments are moved aside."""
    inputs, names = _copy(run.inputs, np.float64), list[str]()
    arrays = [array for array in tree.leaves(run.point.mirrored(inputs)) if _is_float(array)]
    for array, leaf in zip(arrays, run.leaves, strict=True):
        hides = not leaf.gradient.any() or np.isin(array, (-1, 0, 1)).all()
        if hides and array.size and not leaf.is_buffer:
            by = random.uniform(random.key(len(names)), array.shape, 0.1, 0.4, np.float64)
            array[...] = np.where(array == 0, by, array * (1 - by))  # no sign changes
            names.append(leaf.label[1:])
    if not names:
        return
    try:
        with np.errstate(all="ignore"):
            aside = _run(run.point, inputs, np.float64)
        _check_finite(aside, "")
    except Exception:
        return  # there it is not defined
    try:
        _check_derivative(aside)
    except _WrongError as fault:
        _fail(f"{fault}. At the point given this does not show: it does with {', '.join(names)} a little aside")


class _Probe:
    """A leaf, and how E = Σ dE/dY ⊙ Y changes with it. How far one may step, and err, follows from the dtype."""

    def __init__(self, run: _Run, leaf: _Leaf) -> None:
        self.run, self.leaf, self.at = run, leaf, leaf.at.copy()
        self.terms = _terms(run.dy, run.y)
        self.eps = float(np.finfo(leaf.at.dtype).eps)
        self.scale = max(_largest(leaf.gradient), 0.01 * float(np.linalg.norm(run.sizes)) / max(1.0, _largest(self.at)))

    def is_right(self, direction: NumpyArray) -> bool:
        """Whether the gradient tells the slope in a direction.

        Where a kink is close by, the differences of one side tell it. The shortest step must roughly agree: else the
        kink is at the point itself, and there is no derivative. Where apply bends within a step, as a norm at 0 does, a
        far smaller one tells it. That rounds much off: a slope of 0 would prove nothing.
        """
        claimed = float(np.sum(self.leaf.gradient * direction))

        def agree(slope: float, digits: float = 0.44) -> bool:
            return bool(abs(claimed - slope) <= self.eps**digits * max(abs(claimed), abs(slope), self.scale))

        step = self.eps ** (1 / 3)
        slopes = (slope for h in (step, step / 10, step / 1000) for slope in self.slopes(direction, h))
        if agree(next(slopes)) or (claimed and agree(next(self.slopes(direction, self.eps**0.75)))):
            return True
        return agree(next(self.slopes(direction, self.eps**0.58)), 0.25) and any(map(agree, slopes))

    def slopes(self, direction: NumpyArray, step: float) -> Iterator[float]:
        """The slope in a direction, by differences of second order: of both sides, of the right, of the left."""
        h = step * max(1.0, _largest(self.at * direction))
        right, left = self.change(h * direction), self.change(-h * direction)
        yield (right - left) / (2 * h)
        yield (4 * right - self.change(2 * h * direction)) / (2 * h)
        yield (self.change(-2 * h * direction) - 4 * left) / (2 * h)

    def change(self, step: NumpyArray) -> float:
        self.leaf.at[...] = self.at + step
        with np.errstate(all="ignore"):  # it may not be defined a step away
            terms = _terms(self.run.dy, self.run.point.apply(self.run.inputs))
        self.leaf.at[...] = self.at
        return float(np.sum(terms - self.terms))


def _where(probe: _Probe, entries: Sequence[int], wrong: NumpyArray) -> str:
    """Which entries are wrong, and what the error looks like."""
    at, label = probe.at, probe.leaf.label
    claimed = np.ravel(probe.leaf.gradient)[entries].astype(np.float64)
    step = probe.eps ** (1 / 3)
    measured, right, left = np.array([[*probe.slopes(_unit(at, i), step)] for i in entries]).T
    worst = int(np.argmax(np.where(wrong, np.nan_to_num(np.abs(claimed - measured), nan=np.inf), -1)))
    direction = _unit(at, entries[worst])
    nearer = next(probe.slopes(direction, step / 10))
    hint = _hint(claimed, measured, left[worst], right[worst], at.shape)
    if not np.isfinite(measured[worst]):
        hint = f" (a step of {step:.0e} away apply is not defined: move x away from there)"
    elif "kink" not in hint and abs(nearer - measured[worst]) > 1e-2 * max(abs(nearer), abs(measured[worst])):
        hint = f" (but {nearer:.4g} by a step of {step / 10:.0e}: apply bends close to x, move x away from there)"
    return (
        f"in {wrong.sum()} of {len(entries)} entries; worst at "
        f"{_entry(label, np.unravel_index(entries[worst], at.shape))}: "
        f"the rule gives {claimed[worst]:.4g}, differences {measured[worst]:.4g}"
        f"{hint}"
    )


def _hint(claimed: NumpyArray, measured: NumpyArray, left: float, right: float, shape: tuple[int, ...]) -> str:
    """What the error looks like, where it looks like something known."""
    if abs(right - left) > 1e-3 * (abs(right) + abs(left)):
        return f" (a kink? the slope is {left:.4g} to the left and {right:.4g} to the right: move x away from it)"
    if not claimed.any():
        return " (the rule is 0 everywhere: is this gradient missing?)"
    seen = np.abs(measured) > 1e-6 * np.abs(measured).max()
    ratios = claimed[seen] / measured[seen]
    if ratios.size and np.ptp(ratios) < 1e-4 * np.abs(ratios).max():
        return f" (the rule is {ratios.mean():.4g} times the derivative everywhere: is a factor wrong?)"
    is_square = len(shape) == 2 and shape[0] == shape[1] and claimed.size == shape[0] ** 2
    if is_square and np.allclose(claimed.reshape(shape).T.ravel(), measured, atol=1e-6 * _largest(measured)):
        return " (it is the derivative transposed)"
    return ""


def _check_declared(layer: Layer[Any], params: Any, x: Any, y: Any) -> None:
    """What `shape` and `init` say, against what is."""
    if any(leaf.ndim == 0 for leaf in tree.leaves(x)):
        return
    in_shape = tree.map(lambda leaf: tuple(leaf.shape[1:]), x)
    out_shape = tree.map(lambda leaf: tuple(leaf.shape[1:]), y)
    if layer.shape(in_shape) != out_shape:
        _fail(f"shape({in_shape}) is {layer.shape(in_shape)}, but apply gives {out_shape}")
    layer.shape(None)
    fresh = layer.init(random.key(0), in_shape)
    message = tree.parting(fresh, params, "params", shapes=True)
    if message:
        _fail(f"init gives other params than those to be checked: {message}")
    if _bits(fresh) != _bits(layer.init(random.key(0), in_shape)):
        _fail("init gives other bits when it is called again with the same key")
    for path, leaf in tree.items(fresh, "params"):
        if leaf.flags.writeable:
            _fail(f"init gives {path} writable: freeze it, with {path}.setflags(write=False)")
        if _is_float(leaf) and leaf.dtype != np.float32:
            _fail(f"init gives {path} as {leaf.dtype}: parameters are float32 unless asked")


def _fail(what: str) -> NoReturn:
    raise _WrongError(what)


def _is_float(leaf: Any) -> bool:
    return getattr(getattr(leaf, "dtype", None), "kind", "") == "f"


def _copy(given: Any, dtype: type) -> Any:
    """Writable copies, floats in this dtype: a rule that writes to its arguments must be caught, not stopped."""
    return tree.map(lambda leaf: np.array(leaf, dtype if _is_float(leaf) else None), given)


def _random_like(y: Any, seed: int) -> Any:
    """Normal numbers, the same in every dtype."""
    keys = iter(random.split(random.key(seed), len(tree.leaves(y))))
    return tree.map(lambda leaf: np.asarray(random.normal(next(keys), np.shape(leaf)), leaf.dtype), y)


def _terms(dy: Any, y: Any) -> NumpyArray:
    """The terms of E = Σ dE/dY ⊙ Y, in a row."""
    products = [np.ravel(p * q) for p, q in zip(tree.leaves(dy), tree.leaves(y), strict=True)]
    return np.concatenate([np.zeros(0), *products])


def _largest(array: Any) -> float:
    return float(np.abs(array).max(initial=0))


def _unit(like: NumpyArray, i: int) -> NumpyArray:
    direction = np.zeros(like.shape)
    direction.flat[i] = 1
    return direction


def _entry(label: str, index: Sequence[Any]) -> str:
    """One entry of an array, as it is written: dx[0, 1]."""
    return f"{label}[{', '.join(map(str, index))}]" if len(index) else label


def _bits(node: Any) -> list[tuple[str, Any, Any, bytes]]:
    arrays = [(path, np.asarray(leaf)) for path, leaf in tree.items(node)]
    return [(path, a.shape, a.dtype, a.tobytes()) for path, a in arrays]


def _first_change(inputs: Any, before: Any) -> str:
    """The path of the first input that is not what it was: x, or params[0].weight."""
    changed = [now for now, then in zip(_bits(inputs), before, strict=True) if now != then]
    return changed[0][0][1:]


def _global_state() -> tuple[Any, ...]:
    import random as python_random

    kind, words, *rest = np.random.get_state()  # noqa: NPY002 (it is only looked at)
    return kind, np.asarray(words).tobytes(), rest, python_random.getstate()
