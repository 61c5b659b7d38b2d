"""What the combinators share: a rule made of rules, checks, and a layer's place in its net, for errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any

from purenet import tree
from purenet.core import Buffer, Layer, Loss, Optimizer
from purenet.engine import Ops, engine_of, ops_for
from purenet.engine.arrays import Shape, describe, describe_all, holds, is_array, plain, read_in_shape
from purenet.random import Key, check_key
from purenet.spec import Pull, Rule, check_pair, check_pulled, check_shape
from purenet.spec.guard import Guarded, Ways, guarded
from purenet.values import Call, brief, made_again

RuleOfRules = Callable[..., tuple[Any, Pull]]  # rule(rules, ops, params, x, key)
Both = tuple[Callable[..., Any], Callable[..., Any]]  # a rule, and for Y alone one that gives (y, None)


def composed(
    name: Call,
    layers: Sequence[Layer[Any]],
    rule: RuleOfRules,
    check: Callable[[Any, Any], Any] = lambda params, x: None,
    init: Callable[..., Any] | None = None,
    shape: Callable[[Any], Any] | None = None,
    remake: Callable[[tuple[Layer[Any], ...]], Layer[Any]] | None = None,
    labels: Sequence[Any] | None = None,
    straight: Callable[[Sequence[Guarded]], tuple[Any, Any]] | None = None,
    matrices: bool = False,
) -> Layer[Any]:
    """The layer made of layers whose rule is `rule(rules, ops, params, x, key)`, with the rules of its parts.

    Of the two ways of spec/guard.py, the checked one goes by the parts' own `vjp` and `apply`, with errors that tell a
    part's place by its label, after `check(params, x)`; the bare one, if all of them have one, by their bare rules. For
    Y alone the rules that are handed in give (y, None). `straight(parts)` gives the bare (rule, forward), where there
    is a quicker form of it. `matrices` says that of a matrix x it makes only matrices, of as many rows, if its parts
    do: see `of_matrices` of `layer`.

    Unless given, init and shape are those of the one layer, and it is made again of other parts by the same call.
    """
    own_init, own_shape = init or Placed(0, layers[0]).init, shape or Placed(0, layers[0]).shape
    labels = range(len(layers)) if labels is None else labels
    parts = [part for part in map(guarded, layers) if part is not None]
    all_ours = len(parts) == len(layers)
    ways = [_by_ways(part.checked) for part in parts] if all_ours else [*map(_by_own_functions, layers)]
    rules, forwards = (
        [_placed(label, layer, each[i]) for label, layer, each in zip(labels, layers, ways, strict=True)]
        for i in range(2)
    )
    checked = Ways(partial(_begin, check), partial(rule, rules), lambda *given: rule(forwards, *given)[0])

    def read_init(key: Key, in_shape: Any = None) -> Any:
        return own_init(key, read_in_shape(in_shape, brief(name)))

    def read_shape(in_shape: Any) -> Any:
        return own_shape(read_in_shape(in_shape, brief(name)))

    def same_call(parts: tuple[Layer[Any], ...]) -> Any:
        return made_again(Layer.home, name.maker, parts, name.options)

    def bare() -> tuple[Any, Any]:
        if straight is not None:
            return straight(parts)
        bare_forwards = [_paired(part.forward) for part in parts]
        return partial(rule, [part.rule for part in parts]), lambda *given: rule(bare_forwards, *given)[0]

    both: Any = checked
    if all_ours:
        both = Guarded(checked, bare, matrices=matrices and all(part.matrices for part in parts))
    remake = remake or (same_call if layers else None)
    return Layer(read_init, both.apply, both.vjp, read_shape, name, tuple(layers), remake)


def _begin(check: Callable[[Any, Any], Any], params: Any, x: Any, key: Key | None) -> tuple[Ops, Any, Any, Any]:
    """What a rule of rules is given: its parts take their arrays into one engine."""
    check_key(key)
    x = tree.map(plain, x)
    check(params, x)
    return ops_for(tree.leaves((x, params)), key), params, x, key


def _paired(forward: Any) -> Any:
    return lambda *given: (forward(*given), None)


def _by_ways(ways: Ways) -> Both:
    """The checked rule of a part, and its forward as a rule, which join the engine of the whole."""

    def begin(ops: Ops, *given: Any) -> tuple[Ops, Any, Any, Any]:
        own, params, x, key = ways.begin(*given)
        if own is ops or ops is ops_for([]):
            return own, params, x, key
        return ops, *tree.map(ops.take_in, (params, x)), key

    return lambda *given: ways.rule(*begin(*given)), lambda *given: (ways.forward(*begin(*given)), None)


def _by_own_functions(layer: Layer[Any]) -> Both:
    """A layer's `vjp` and `apply` as rules, with a check of what they give: somebody may have written them by hand."""
    returns = f"{brief(layer.name)}: its vjp must return (y, pullback)"
    pulls = f"{brief(layer.name)}: its pullback must return (dparams, dx)"
    is_ours = guarded(layer) is not None

    def rule(ops: Ops, params: Any, x: Any, key: Key | None) -> tuple[Any, Pull]:
        y, pullback = check_pulled(layer.vjp(params, x, key), returns)

        def pull(dy: Any, wrt_x: bool) -> tuple[Any, Any]:
            dparams, dx = check_pair(pullback(dy, wrt_x), pulls)
            if not is_ours and wrt_x and is_array(x) and holds(x, "real floating"):
                _check_mirrors(dx, x, layer.name)
            return dparams, dx

        return y, pull

    return rule, lambda ops, *given: (layer.apply(*given), None)


def _placed(label: Any, layer: Layer[Any], f: Callable[..., Any]) -> Rule:
    """The rule of a part; an error that comes out of it tells the part's place."""

    def rule(*given: Any) -> tuple[Any, Pull]:
        try:
            y, pull = f(*given)
        except Exception as error:
            locate(error, label, layer)
            raise

        def placed_pull(*given: Any) -> tuple[Any, Any]:
            try:
                found: tuple[Any, Any] = pull(*given)
                return found
            except Exception as error:
                locate(error, label, layer)
                raise

        return y, placed_pull

    return rule


def _check_mirrors(dx: Any, x: Any, who: str) -> None:
    """Check dE/dX of a layer by hand: else the layer before it would be blamed."""
    if (getattr(dx, "shape", None), getattr(dx, "dtype", None)) != (x.shape, x.dtype):
        raise ValueError(f"{who}: its pullback gives {describe(dx)} as dE/dX, but x is {describe(x)}")


class Placed:
    """The `init` and the `shape` of a layer; any error that comes out of them tells its place in the net."""

    def __init__(self, label: Any, layer: Layer[Any]) -> None:
        self.label, self.layer = label, layer

    def init(self, key: Key, in_shape: Shape | None = None) -> Any:
        try:
            return self.layer.init(key, in_shape)
        except Exception as error:
            locate(error, self.label, self.layer)
            raise

    def shape(self, in_shape: Shape | None) -> Shape | None:
        try:
            shape: Shape | None = check_shape(self._shape(in_shape), f"{brief(self.layer.name)}: its shape")
            return shape
        except Exception as error:
            locate(error, self.label, self.layer)
            raise

    def _shape(self, in_shape: Any) -> Any:
        """What the layer's own shape gives: one that was written by hand may not know of None."""
        try:
            return self.layer.shape(in_shape)
        except (TypeError, AttributeError, IndexError) as error:
            if in_shape is not None:
                raise
            raise ValueError(
                f"{brief(self.layer.name)}: its shape must take None too, for an input that is not known, and give "
                f"(..., n) if the last axis of its output is known, else None; but shape(None) fails: {error}"
            ) from error


def locate(error: BaseException, label: Any, layer: Layer[Any]) -> None:
    error.add_note(f"  in layer {label}, {brief(layer.name)}")


def check_layers(who: str, layers: tuple[Any, ...]) -> None:
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(f"{who}: argument {i} is {describe(layer)}, not a layer{_mend(who, layer)}")


def check_tuple(given: Any, count: int, name: str, takes: str) -> Any:
    """The tuple that was given, if it has an entry for each layer."""
    if type(given) is tuple and len(given) == count:
        return given
    mend = f": write {type(given).__name__.lower()}.params" if hasattr(given, "params") else ""
    mend = ". Load them with like=net.init(key)" if isinstance(given, dict) and "params" in takes else mend
    raise ValueError(f"{name} takes {takes} a tuple of {count}, one for each layer, not {describe_all(given)}{mend}")


def sum_trees(trees: Iterable[Any], weights: Iterable[float] = repeat(1)) -> Any:
    """The sum of trees, leaf by leaf. Of the steps of a buffer it is their mean by weight, or the last, if they are of
    integers: a sum of steps could lead beyond where each of them leads."""
    pairs = zip(trees, weights)  # noqa: B905 (the weights may be without end)
    so_far, whole = next(pairs)

    def join(a: Any, b: Any) -> Any:
        return tree.map(mean, a, b) if type(a) is Buffer else a + b

    def mean(a: Any, b: Any) -> Any:
        return b if a is b or not engine_of(a).has_gradient(a) else a + (b - a) * (weight / whole)

    for each, weight in pairs:
        whole += weight
        so_far = tree.map(join, so_far, each, leaf_type=Buffer)
    return so_far


def _mend(who: str, given: Any) -> str:
    """What to write instead, for the usual mistakes."""
    if type(given) in (tuple, list):
        return f": write {who}(*layers)"
    if isinstance(given, str):
        return ": write pn.tanh, a value, and no text"
    if isinstance(given, Loss | Optimizer) or not callable(given):
        return ""
    name = getattr(given, "__name__", "it")
    if str(getattr(given, "__module__", "")).startswith("purenet."):
        return f": write {name}(...)"
    return f": make one of it, with activation({name}, its derivative), or call it if it makes a layer"
