"""A layer is a spec in words and one bare rule: `layer(spec, rule)`.

The spec says what the arrays are; `init`, `shape`, the checks of `apply` and `vjp`, and their messages follow from it.
The rule computes, and goes back. It is handed arrays that fit, in one engine, and that engine's `ops`:

    rule(ops, params, x, key) -> (y, pull)        pull(dy, wrt_x) -> (dparams, dx)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from purenet import tree
from purenet.core import Buffer, Layer
from purenet.engine import Ops, engine_of, joined_by, ops_for
from purenet.engine.arrays import Like, Shape, check_in_shape, describe, is_open, likeness, shape_text
from purenet.engine.arrays import match as match_gradient
from purenet.guard import Guarded
from purenet.initializers import draw
from purenet.patterns import Sizes, infer, match, match_example, parse, render, size_of
from purenet.random import Key, split

P = TypeVar("P")
Form = str | tuple[Any, ...] | None  # a pattern, or a tuple of forms
Hint = Callable[[Shape, Mapping[str, Any]], str]
Pull = Callable[[Any, bool], tuple[Any, Any]]
Rule = Callable[[Ops, Any, Any, Any], tuple[Any, Pull]]


class Maybe(NamedTuple):
    """A form, or None. (For one array, write a `?` into its pattern.)"""

    form: Any


class Spec(NamedTuple):
    """What a layer is, in words. Patterns are those of `purenet.patterns`.

    Fields:
        name: the code that makes the layer, see `called`.
        x: the pattern of x; a tuple of patterns for a tuple of arrays, `(pattern, ...)` for one of any length; a list of
            such forms where x may come in several.
        y: the pattern of Y, or a list with one for each form of x; or a function from x's shape, without the batch, to
            Y's, which raises ValueError where there is none.
        params: the pattern of each parameter, in the containers in which they stand; None for one that is left out.
        init: the initializer of each, in the same containers.
        sizes: what is known of the axes' names from the start; None for a size that is to be inferred; the name of
            another axis for one that `init` makes as long as that, unless the input says otherwise.
        complete: the code that would make the layer with all its sizes, for the error of a size that is not known.
        hints: what to do about a shape that does not fit, for the usual mistakes: `hint(shape of x, sizes) -> words`.
        fits: what patterns cannot say of the sizes: `fits(sizes) -> what is wrong, in words, or ""`.
        values: a check of the numbers in x, made at every call where they can be looked at; it raises ValueError.
    """

    name: str
    x: Any
    y: Any
    params: Any = ()
    init: Any = ()
    sizes: Mapping[str, Any] = {}  # noqa: RUF012 (a NamedTuple's default; it is never written to)
    complete: str = ""
    hints: tuple[Hint, ...] = ()
    fits: Callable[[Sizes], str] | None = None
    values: Callable[[Any], None] | None = None

    @property
    def known(self) -> Sizes:
        return {name: size for name, size in self.sizes.items() if not isinstance(size, str | None)}


def layer(spec: Spec, rule: Rule, forward: Callable[[Ops, Any, Any, Any], Any] | None = None) -> Layer[Any]:
    """The layer of a spec and a rule: `rule(ops, params, x, key) -> (y, pull)`, and `pull(dy, wrt_x) -> (dparams, dx)`.

    The rule is called with arrays that fit the spec, all of one engine, and may call that engine's `ops`: the functions
    of the array API standard by their names, and those of `purenet.engine.ops.Ops`. It must not write to what it is
    given. With wrt_x=False nobody reads dx, and it may be None.

    `forward(ops, params, x, key) -> y` is y alone, to the same bits, where that is worth saving the rest of the rule.

    >>> import numpy as np, purenet as pn
    >>> def scale(features):  # y = a·x, dE/da = Σ dE/dY ⊙ X, dE/dX = a·dE/dY
    ...     def rule(ops, a, x, key):
    ...         return a * x, lambda dy, wrt_x: (ops.sum_rows(dy * x), a * dy)
    ...     return pn.layer(pn.Spec(f"scale({features})", x="... n", y="... n", sizes={"n": features},
    ...                             params="n", init=pn.initializers.ones), rule)
    >>> scale(2).apply(np.array([1.0, 10.0]), np.ones((1, 2)))
    array([[ 1., 10.]])
    >>> scale(2).apply(np.array([1.0, 10.0]), np.ones((1, 3)))
    Traceback (most recent call last):
    ValueError: scale(2) takes x of shape (..., 2), but x has shape (1, 3)
    """
    run = _looking_first(spec, rule)
    run_forward = _looking_first(spec, forward) if forward else None

    def apply(params: Any, x: Any, key: Key | None = None) -> Any:
        given = check(spec, params, x, key)
        return run_forward(*given) if run_forward else run(*given)[0]

    def vjp(params: Any, x: Any, key: Key | None = None) -> tuple[Any, Any]:
        given = ops, own_params, own_x, _ = check(spec, params, x, key)
        y, pull = check_pair(run(*given), f"{spec.name}: its rule must return (y, pull)")
        like = likeness(y)

        def pullback(dy: Any, wrt_x: bool = True) -> tuple[Any, Any]:
            check_output_gradient(dy, like, spec.name)
            there = joined_by(ops, tree.leaves(dy))
            if there is ops:
                found = pull(tree.map(ops.take_in, dy), wrt_x)
            else:  # NumPy's y with a dE/dY of another engine, which may be traced: the rule goes there
                found = run(there, *tree.map(there.take_in, (own_params, own_x)), key)[1](dy, wrt_x)
            dparams, dx = check_pair(found, f"{spec.name}: its pull must return (dparams, dx)")
            return dparams, dx if wrt_x else None

        return y, pullback

    both = Guarded(apply, vjp, lambda: (run, run_forward), free=spec.params == (), matrices=_keeps_matrices(spec))
    return Layer(
        lambda key, in_shape=None: init(spec, key, in_shape),
        both.apply,
        both.vjp,
        lambda in_shape: out_shape(spec, in_shape),
        spec.name,
    )


def _keeps_matrices(spec: Spec) -> bool:
    """Whether of a matrix x the layer makes a matrix Y of as many rows: as dense, activations and norms do."""
    forms = spec.x, spec.y
    if not all(isinstance(form, str) for form in forms):
        return False
    x, y = (parse(form).axes for form in forms)
    return x == y or (x[0] == y[0] == "..." and len(x) == len(y) == 2)


def in_and_out(maker: str, sizes: tuple[Any, ...]) -> tuple[int | None, int]:
    """(in, out) of a layer that is given both, or only the output, and infers its input."""
    if not 1 <= len(sizes) <= 2:
        raise TypeError(f"{maker} takes (in, out) or (out), not {len(sizes)} sizes")
    check_sizes(maker, "sizes", *sizes)
    return (None, *sizes)[-2:]


def check_sizes(maker: str, what: str, *sizes: Any) -> None:
    """Check that sizes are positive integers."""
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{maker} takes {what} that are positive integers, not {size!r}")


def check_pair(given: Any, must: str) -> Any:
    """What a rule or a user's vjp returned, if it is a pair."""
    if type(given) is tuple and len(given) == 2:
        return given
    raise TypeError(f"{must}, not {describe_all(given)}")


def describe_all(x: Any) -> str:
    """A few words on x, for an error: `describe`, and of a tuple its length."""
    return f"{describe(x)} of {len(x)}" if type(x) is tuple else describe(x)


def _looking_first(spec: Spec, rule: Callable[..., Any]) -> Callable[..., Any]:
    """The rule, or a forward, with a look at the numbers first, if the spec asks for one."""
    look = spec.values
    if look is None:
        return rule

    def looking_first(ops: Ops, params: Any, x: Any, key: Any) -> Any:
        ops.look(look, x)
        return rule(ops, params, x, key)

    return looking_first


# --- init and shape


def init(spec: Spec, key: Key, in_shape: Any = None) -> Any:
    """Params of the sizes that the spec and the shape of an input tell."""
    check_in_shape(in_shape, spec.name)
    sizes = _example_sizes(spec, in_shape)
    if callable(spec.y):
        out_shape(spec, in_shape)  # which finds a shape that gives no Y

    def fill(form: Any, initial: Any, key: Key) -> Any:
        if form is None:
            return None
        if isinstance(form, str):
            shape = tuple(_known_size(spec, axis, sizes) for axis in parse(form).axes)
            return draw(initial, key, shape, spec.name)
        keys = split(key, len(form)) if len(form) > 1 else (key,) * len(form)
        return _like(form, [fill(*each) for each in zip(form, initial, keys, strict=True)])

    return fill(spec.params, spec.init, key)


def out_shape(spec: Spec, in_shape: Any) -> Any:
    """The shape of Y, without the batch, from that of x; see `Layer.shape`."""
    sizes = _example_sizes(spec, in_shape)
    if callable(spec.y):
        return spec.y(in_shape) if _is_known(spec, in_shape) else None
    return _inferred(spec.y[_form_of(spec, in_shape, True)[1]] if isinstance(spec.y, list) else spec.y, sizes)


def _is_known(spec: Spec, in_shape: Any) -> bool:
    """Whether a function can tell Y's shape from that of x."""
    if in_shape is None:
        return False
    if _any_number(spec.x):
        if not in_shape or not all(each is None or isinstance(each, tuple) for each in in_shape):
            raise ValueError(f"{spec.name} takes a tuple of arrays, so in_shape is a tuple of shapes, not {in_shape}")
        return None not in in_shape and len(set(map(is_open, in_shape))) == 1
    return not is_open(in_shape) and None not in in_shape


def _inferred(form: Form, sizes: Sizes) -> Any:
    if form is None or isinstance(form, str):
        return None if form is None else infer(form, sizes)
    return tuple(_inferred(part, sizes) for part in form)


def _known_size(spec: Spec, axis: str, sizes: Sizes) -> int:
    others = {name: sizes.get(other) for name, other in spec.sizes.items() if isinstance(other, str)}
    size = size_of(axis, {**others, **sizes})
    if size is None:
        unknown = axis.partition("/")[0]
        form = spec.x[0] if isinstance(spec.x, list) else spec.x
        write = f"{spec.complete}, or " if spec.complete else ""
        raise ValueError(
            f"{spec.name} does not know how many {unknown} it has: "
            f"write {write}init(key, in_shape={render(form, sizes, example=True)})"
        )
    return size


def _example_sizes(spec: Spec, in_shape: Any) -> Sizes:
    """The sizes that the spec and the shape of an input tell, after a check that they fit."""
    sizes = spec.known
    if in_shape is not None and not _any_number(spec.x):
        for form, shape in _pairs(_form_of(spec, in_shape, True)[0], in_shape, spec.name):
            found = None if form is None or not isinstance(shape, tuple) else match_example(form, shape, sizes)
            if found is None and shape is not None:
                given = ", ".join(("batch", *(shape_text(n) if n is ... else str(n) for n in shape)))
                mend = ": leave the batch out" if not is_open(shape) and match(form, shape, sizes) else ""
                raise ValueError(f"{spec.name} takes {_wanted(form, sizes)}, but its input has shape ({given}){mend}")
            sizes = sizes if found is None else found
    return _fitting(spec, sizes)


def _fitting(spec: Spec, sizes: Sizes) -> Sizes:
    if spec.fits is not None and (wrong := spec.fits(sizes)):
        raise ValueError(f"{spec.name} {wrong}")
    return sizes


# --- the check of what a layer is called with


def check(spec: Spec, params: Any, x: Any, key: Any = None) -> tuple[Ops, Any, Any, Any]:
    """(ops, params, x, key), in one engine, after a check of params and x that says what is wrong with them."""
    arrays = _check_arrays(spec, x)
    sizes = _check_params(spec, params)
    for form, array in arrays:
        found = match(form, tuple(array.shape), sizes)
        if found is None:
            raise ValueError(_does_not_fit(spec, form, array, sizes))
        sizes = found
    _fitting(spec, sizes)
    if callable(spec.y):
        spec.y(tree.map(lambda part: tuple(part.shape[1:]), x))
    _check_dtypes(spec, params, [array for form, array in arrays if parse(form).kind == "float"])
    ops = ops_for([*tree.leaves(params), *(array for _, array in arrays)], key)
    if spec.values is not None:
        ops_for([array for form, array in arrays if parse(form).kind != "float"]).look(spec.values, x)
    if ops is not ops_for([]):
        params, x = tree.map(ops.take_in, (params, x))
    return ops, params, x, key


def _check_arrays(spec: Spec, x: Any) -> list[tuple[str, Any]]:
    """Each array of x with its pattern, after a check that it is one and holds what it should."""
    arrays = _pairs(_form_of(spec, x, False)[0], x, spec.name)
    for form, array in arrays:
        pattern = parse(form)
        if array is None and pattern.optional:
            continue
        who = f"{spec.name}'s {pattern.label}" if pattern.label else spec.name
        xp = engine_of(array, who)
        if not any(xp.isdtype(array.dtype, kind) for kind in _KINDS[pattern.kind]):
            raise TypeError(_MISFITS[pattern.kind].format(who=who, given=describe(array), it=pattern.label or "x"))
    return [(form, array) for form, array in arrays if array is not None]


_KINDS: dict[str, tuple[Any, ...]] = {
    "float": ("real floating",),
    "int": ("integral",),
    "number": ("real floating", "integral"),
    "bool": ("bool",),
    "any": ("numeric", "bool"),
}
_MISFITS = {
    "float": "{who} computes in floating point, not on {given}: write {it}.astype(np.float32)",
    "int": "{who} takes integers, not {given}: write {it}.astype(int)",
    "number": "{who} computes in floating point, not on {given}: write {it}.astype(np.float32)",
    "bool": "{who} takes booleans, not {given}: write {it}.astype(bool)",
    "any": "{who} takes numbers, not {given}",
}


def _form_of(spec: Spec, x: Any, shapes: bool) -> tuple[Any, int]:
    """The form that x has, of those that the spec allows, and its place among them; x is arrays, or their shapes."""
    if not isinstance(spec.x, list):
        return spec.x, 0
    for kinds in (True, False):  # what holds the wrong numbers, but is else of one form, is told so by its check
        for place, form in enumerate(spec.x):
            if _has_form(form, x, shapes, kinds):
                return form, place
    several = type(x) is tuple and any(isinstance(part, tuple) for part in x) if shapes else type(x) is tuple
    if not several and isinstance(spec.x[0], str):
        return spec.x[0], 0
    told: set[str] = set()
    forms = "; ".join(_form_text(form, spec.known, told) for form in spec.x)
    given = shape_text(x) if shapes else describe_each(x)
    mend = ": write np.asarray(...) of each list" if " list" in given else ""
    raise ValueError(f"{spec.name} takes x as one of: {forms}. It was given {given}{mend}")


def _has_form(form: Any, x: Any, shapes: bool, kinds: bool) -> bool:
    """Whether x is built like this, and its arrays have such axes and hold such things, whatever their sizes."""
    if isinstance(form, Maybe):
        return x is None or _has_form(form.form, x, shapes, kinds)
    if isinstance(form, tuple):
        inside = type(x) is tuple and len(x) == len(form)
        return inside and all(_has_form(*each, shapes, kinds) for each in zip(form, x, strict=True))
    pattern = parse(form or "")
    if x is None:
        return pattern.optional or shapes
    if shapes:
        plain = type(x) is tuple and not any(isinstance(n, tuple) for n in x)
        return plain and (is_open(x) or pattern.takes_rank(len(x) + 1))
    if not hasattr(x, "shape") or not hasattr(x, "dtype") or not pattern.takes_rank(x.ndim):
        return False
    return not kinds or any(engine_of(x).isdtype(x.dtype, kind) for kind in _KINDS[pattern.kind])


def _any_number(form: Any) -> bool:
    """Whether x is a tuple of one array or more, all of one pattern."""
    return isinstance(form, tuple) and form[-1] is ...


def _pairs(form: Any, x: Any, who: str) -> list[tuple[Any, Any]]:
    """Each pattern with the array that it is for."""
    if _any_number(form):
        if type(x) is not tuple or not x:
            raise TypeError(f"{who} takes a tuple of arrays, not {describe(x)}: put it after fan_out or parallel")
        return [(form[0], part) for part in x]
    if isinstance(form, Maybe):
        return [] if x is None else _pairs(form.form, x, who)
    if not isinstance(form, tuple):
        if type(x) is tuple and any(hasattr(part, "shape") for part in x):
            raise TypeError(
                f"{who} takes an array, not {describe_all(x)}: to run it on the first and hand the rest on, "
                f"write on_first({who})"
            )
        return [(form, x)]
    if type(x) is not tuple or len(x) != len(form):
        raise TypeError(f"{who} takes a tuple of {len(form)}, not {describe_all(x)}")
    return [pair for part in zip(form, x, strict=True) for pair in _pairs(*part, who)]


def _does_not_fit(spec: Spec, form: str, x: Any, sizes: Sizes) -> str:
    """The error of an x whose shape does not fit, with what to do about it, for the usual mistakes."""
    mend = next((words for hint in spec.hints if (words := hint(tuple(x.shape), sizes))), "")
    label = parse(form).label or "x"
    wanted = _wanted(form, sizes).replace("x of", f"{label} of", 1)
    return f"{spec.name} takes {wanted}, but {label} has shape {tuple(x.shape)}{mend and f': {mend}'}"


def _wanted(form: Any, sizes: Sizes) -> str:
    return f"x of shape {render(form, sizes)}"


def _form_text(form: Any, sizes: Sizes, told: set[str]) -> str:
    """The form in words; what was told of an array before is told by its label alone."""
    if isinstance(form, Maybe):
        return f"{_form_text(form.form, sizes, told)} or None"
    if isinstance(form, tuple):
        return f"({', '.join(_form_text(part, sizes, told) for part in form)})"
    pattern, label = parse(form), parse(form).label or "x"
    if form in told:
        return label
    told.add(form)
    kind = "" if pattern.kind == "float" else f" of {pattern.kind}"
    return f"{label} {render(form, sizes)}{kind}{' or None' if pattern.optional else ''}"


def describe_each(x: Any) -> str:
    """A few words on each part of x."""
    return f"({', '.join(map(describe_each, x))}{',' * (len(x) == 1)})" if type(x) is tuple else describe(x)


def _check_params(spec: Spec, params: Any) -> Sizes:
    """The sizes that the spec and the params tell, after a check that they are such params."""
    pairs: list[tuple[str, str, Any]] = []
    if not _pair_up(spec.params, params, "", pairs):
        given = _outline(params) if hasattr(params, "_fields") else describe_all(params)
        if spec.params == ():
            raise ValueError(f"{spec.name} has no parameters: it takes params = (), not {given}")
        load = isinstance(params, dict)
        mend = "Load them with like=net.init(key)" if load else "Are these of another net?"
        raise ValueError(f"{spec.name} takes params = {_outline(spec.params)}, not {given}. {mend}")
    sizes = spec.known
    for _, form, leaf in pairs:
        found = match(form, tuple(leaf.shape), sizes)
        if found is None:
            own = " and ".join(f"{path or 'a shape of'} {render(form, spec.known)}" for path, form, _ in pairs)
            given = " and ".join(f"{path} {tuple(leaf.shape)}".strip() for path, _, leaf in pairs)
            raise ValueError(f"{spec.name} takes params with {own}, not {given}. Are these of another net?")
        sizes = found
    return sizes


def _pair_up(form: Any, params: Any, path: str, pairs: list[tuple[str, str, Any]]) -> bool:
    """Append each parameter with its path and its pattern; False where params are built otherwise."""
    if isinstance(form, str):
        if not hasattr(params, "shape") or not hasattr(params, "dtype"):
            return False
        pairs.append((path, form, params))
        return True
    if form is None or params is None:
        return form is params
    if type(params) is not type(form) or len(params) != len(form):
        return False
    names = getattr(form, "_fields", range(len(form)))
    inside = ["" if type(form) is Buffer else f"{path}.{name}".lstrip(".") for name in names]
    return all(_pair_up(*each, pairs) for each in zip(form, params, inside, strict=True))


def _outline(form: Any) -> str:
    """Params, or their form, in words: DenseParams(weight, bias)."""
    if not hasattr(form, "_fields"):
        return "an array"
    left_out = [f"{name}=None" if part is None else name for name, part in zip(form._fields, form, strict=True)]
    return f"{type(form).__name__}({', '.join(left_out)})"


def _check_dtypes(spec: Spec, params: Any, arrays: list[Any]) -> None:
    """Check that all that is computed with has one dtype."""
    for array in arrays[1:]:
        if array.dtype != arrays[0].dtype:
            given = ", ".join(str(each.dtype) for each in arrays)
            raise TypeError(f"{spec.name} takes arrays of one dtype, not {given}: write x.astype(np.float32) of each")
    for leaf in tree.leaves(params) if arrays else ():
        if leaf.dtype != arrays[0].dtype:
            x = arrays[0]
            raise TypeError(
                f"{spec.name} has {leaf.dtype} params, but x is {x.dtype}: write x.astype(np.{leaf.dtype}), "
                f"or convert the params with purenet.tree.cast(params, np.{x.dtype})"
            )


def check_output_gradient(dy: Any, y: Any, who: str) -> None:
    """Check that dE/dY is built like Y, whose likeness this is; None may stand for a part of a tuple but the first."""
    if isinstance(y, Like):
        if y.has_gradient:
            match_gradient(dy, y.shape, y.dtype, who)
        return
    if type(dy) is not tuple or len(dy) != len(y):
        given = describe_all(dy)
        raise ValueError(f"the pullback of {who}: Y is a tuple of {len(y)}, but dE/dY is {given}")
    for i, (part, of_y) in enumerate(zip(dy, y, strict=True)):
        if part is not None or i == 0:
            check_output_gradient(part, of_y, who)


def _like(form: Any, parts: list[Any]) -> Any:
    return type(form)(*parts) if hasattr(form, "_fields") else tuple(parts)
