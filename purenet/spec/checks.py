"""What is wrong with the arguments of a layer: each message says who, what was given, what must be, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purenet import tree
from purenet.core import Buffer, Loss
from purenet.engine import Ops, ops_for
from purenet.engine.arrays import (
    Like,
    Shape,
    conversion,
    describe,
    describe_all,
    dtype_name,
    holds,
    holds_numbers,
    is_array,
    is_integer,
    match_gradient,
    same_dtype,
    write_as_integers,
)
from purenet.random import check_key
from purenet.spec.forms import KINDS, check_array, form_of, parts_of
from purenet.spec.patterns import Sizes, match, parse, render
from purenet.spec.words import Form, Spec


def check(spec: Spec, params: Any, x: Any, key: Any = None) -> tuple[Ops, Any, Any, Any]:
    """(ops, params, x, key), in one engine, after a check of params and x that says what is wrong with them."""
    check_key(key)
    if spec.whole is not None and (wrong := spec.whole(x)):
        raise ValueError(f"{spec.name} {wrong}")
    arrays = _check_arrays(spec, x)
    sizes = _check_params(spec, params)
    for form, label, array in arrays:
        found = match(form, tuple(array.shape), sizes)
        if found is None:
            raise ValueError(_does_not_fit(spec, form, label, tuple(array.shape), sizes))
        sizes = found
    check_fits(spec, sizes)
    if callable(spec.y):
        spec.y(tree.map(lambda part: tuple(part.shape[1:]), x))
    _check_dtypes(spec, params, [array for form, _, array in arrays if parse(form).kind == "float"])
    ops = ops_for([*tree.leaves(params), *(array for *_, array in arrays)], key)
    if spec.values is not None:
        each = [array for *_, array in arrays]
        ops_for([array for array in each if not holds(array, "real floating")] or each).look(spec.values, x)
    params, x = tree.map(ops.take_in, (params, x))
    if ops is not ops_for([]):
        params = tree.map(lambda p: ops.fixed(p) if type(p) is Buffer else p, params, leaf_type=Buffer)
    return ops, params, x, key


# --- x


_MISFITS = {
    "float": ("{who} computes in floating point, not on {given}", "float32"),
    "int": ("{who} takes integers{role}, not {given}", "int"),
    "number": ("{who} computes in floating point, not on {given}", "float32"),
    "bool": ("{who} takes booleans{role}, not {given}", "bool"),
    "any": ("{who} takes numbers{role}, not {given}", ""),
}


def _check_arrays(spec: Spec, x: Any) -> list[tuple[str, str, Any]]:
    """Each array of x with its pattern and label, after a check that it is one and holds what it should."""
    arrays, whole = [], form_of(spec, x)[0]
    for form, label, array in parts_of(whole, x, spec.name):
        pattern = parse(form)
        if array is None and pattern.optional:
            continue
        xp = check_array(array, spec.name, label, floats=pattern.kind == "float", alone=form is whole)
        if not any(xp.isdtype(array.dtype, kind) for kind in KINDS[pattern.kind]):
            role = f" as {label}" if pattern.label else ""
            misfit, dtype = _MISFITS[pattern.kind]
            mend = f": write {conversion(label, array, dtype)}" if dtype else ""
            if pattern.kind == "int" and not holds_numbers(array):
                mend = f": {write_as_integers(array, label)}"
            raise TypeError(misfit.format(who=spec.name, role=role, given=describe(array)) + mend)
        arrays.append((form, label, array))
    return arrays


def _does_not_fit(spec: Spec, form: str, label: str, shape: Shape, sizes: Sizes) -> str:
    """The error of an array whose shape does not fit, with what to do about it, for the usual mistakes."""
    pattern = parse(form)
    is_x = not pattern.label or form == spec.x  # hints say what to do about x, not about what stands beside it
    hints = spec.hints if is_x else ()
    mend = next((words for hint in hints if (words := hint(shape, sizes))), "")
    without_batch = pattern.axes[:1] in (("batch",), ("...",)) and not pattern.takes_rank(len(shape))
    if not mend and without_batch and match(form, (1, *shape), sizes) is not None:
        mend = f"write {label}[None] for one example"
    wanted = f"{label} of shape {render(form, sizes)}"
    return f"{spec.name} takes {wanted}, but {label} has shape {shape}{mend and f': {mend}'}"


def check_fits(spec: Spec, sizes: Sizes) -> Sizes:
    """The sizes, if they fit in a way that patterns cannot say."""
    if spec.fits is not None and (wrong := spec.fits(sizes)):
        raise ValueError(f"{spec.name} {wrong}")
    return sizes


def _check_dtypes(spec: Spec, params: Any, arrays: list[Any]) -> None:
    """Check that all that is computed with has one dtype."""
    for array in arrays[1:]:
        if not same_dtype(array.dtype, arrays[0].dtype):
            given = ", ".join(dtype_name(each.dtype) for each in arrays)
            mend = conversion("x", array, "float32")
            raise TypeError(f"{spec.name} takes arrays of one dtype, not {given}: write {mend} of each")
    for leaf in tree.leaves(params) if arrays else ():
        if not same_dtype(leaf.dtype, arrays[0].dtype):
            wanted, found = dtype_name(arrays[0].dtype), dtype_name(leaf.dtype)
            who = f"{spec.name} has {found} params, but x is {wanted}"
            if not ops_for([leaf]).isdtype(leaf.dtype, "real floating"):
                raise TypeError(f"{who}: write purenet.tree.map(lambda p: {conversion('p', leaf, wanted)}, params)")
            convert = f"purenet.tree.cast(params, np.{wanted})"
            mend = conversion("x", arrays[0], found)
            raise TypeError(f"{who}: write {mend}, or convert the params with {convert}")


# --- params


def _check_params(spec: Spec, params: Any) -> Sizes:
    """The sizes that the spec and the params tell, after a check that they are such params."""
    leaves: list[tuple[str, str, Any]] = []
    wrong = _pair_up(spec.params, params, "", leaves)
    if wrong:
        raise ValueError(_other_params(spec, params, *wrong))
    sizes = spec.known
    for _, form, leaf in leaves:
        found = match(form, tuple(leaf.shape), sizes)
        if found is None:
            raise ValueError(_other_shapes(spec, leaves))
        sizes = found
    return sizes


def _pair_up(form: Form, params: Any, path: str, leaves: list[tuple[str, str, Any]]) -> tuple[str, Form, Any] | None:
    """Append each parameter with its path and its pattern; (path, form, given) of the first that is built otherwise."""
    if isinstance(form, str) and is_array(params):
        leaves.append((path, form, params))
        return None
    if form is None or isinstance(form, str):
        return None if form is params else (path, form, params)
    if type(params) is not type(form) or len(params) != len(form):
        return path, form, params
    names = getattr(form, "_fields", range(len(form)))
    inside = [path if type(form) is Buffer else f"{path}.{name}".lstrip(".") for name in names]
    wrong = (_pair_up(*each, leaves) for each in zip(form, params, inside, strict=True))
    return next((found for found in wrong if found), None)


def _other_params(spec: Spec, params: Any, path: str, form: Form, part: Any) -> str:
    """The error of params that are built otherwise, first at this path."""
    wanted, given = _outline(spec.params), _outline(params) if hasattr(params, "_fields") else describe_all(params)
    if spec.params == ():
        return f"{spec.name} has no parameters: it takes params = (), not {given}"
    mend = "Load them with like=net.init(key)" if isinstance(part, dict) else "Are these of another net?"
    if wanted != given:
        return f"{spec.name} takes params = {wanted}, not {given}. {mend}"
    wanted = f"an array of shape {render(form, spec.known)}" if isinstance(form, str) else _outline(form)
    return f"{spec.name} takes params whose {path} is {wanted}, not {describe_all(part)}. {mend}"


def _other_shapes(spec: Spec, leaves: list[tuple[str, str, Any]]) -> str:
    """The error of params of other shapes: it tells those that never fit, or all, if they do not go together."""
    wrong = [each for each in leaves if match(each[1], tuple(each[2].shape), spec.known) is None] or leaves
    own = " and ".join(f"{path or 'a shape of'} {render(form, spec.known)}" for path, form, _ in wrong)
    given = " and ".join(f"{path} {tuple(leaf.shape)}".strip() for path, _, leaf in wrong)
    return f"{spec.name} takes params with {own}, not {given}. Are these of another net?"


def _outline(form: Form) -> str:
    """Params, or their form, in words: DenseParams(weight, bias)."""
    if not hasattr(form, "_fields"):
        return "None" if form is None else f"a tuple of {len(form)}" if isinstance(form, tuple) else "an array"
    left_out = [f"{name}=None" if part is None else name for name, part in zip(form._fields, form, strict=True)]
    return f"{type(form).__name__}({', '.join(left_out)})"


# --- what comes back


def check_output(y: Any, returns: str) -> Any:
    """What a rule gives as Y, if it is an array, or a tuple of arrays."""
    for leaf in tree.leaves(y):
        if not is_array(leaf):
            raise TypeError(f"{returns}, y an array, not {describe(leaf)}")
    return y


def check_pair(given: Any, returns: str) -> Any:
    """What a rule or a user's vjp returned, if it is a pair."""
    if type(given) is tuple and len(given) == 2:
        return given
    raise TypeError(f"{returns}, not {describe_all(given)}")


def check_pulled(given: Any, returns: str) -> Any:
    """What a rule or a user's vjp returned, if it is a pair of which the second can be called."""
    y, pull = check_pair(given, returns)
    if not callable(pull):
        raise TypeError(f"{returns}, not (y, {describe(pull)})")
    return y, pull


def pulled_by(loss: Loss, y: Any, target: Any) -> tuple[Any, Callable[..., Any]]:
    """(E, pullback) of a loss, which somebody may have written out by hand."""
    given = loss.vjp(y, target)
    if type(given) is tuple and len(given) == 2 and callable(given[1]):
        return given
    pair = f"({', '.join(map(describe, given))})" if type(given) is tuple else describe(given)
    raise TypeError(
        f"{loss.name}: its vjp must return (E, pullback), not {pair}: with a function f and its derivative df by y, "
        "write Loss(f, lambda y, t: (f(y, t), lambda dE=1.0: dE * df(y, t)), name)"
    )


def check_shape(given: Any, whose: str) -> Any:
    """What a function gives as the shape of Y, if it is one, or None."""
    if given is None or isinstance(given, tuple):
        return given
    mend = ": write tuple(...)" if isinstance(given, list) else ""
    raise TypeError(
        f"{whose} must give the shape of an output without the batch, a tuple, or None where it is not known; "
        f"not {describe(given)}{mend}"
    )


def check_output_gradient(dy: Any, y: Any, who: str) -> None:
    """Check that dE/dY is built like Y, whose likeness this is; None may stand for a part of a tuple but the first."""
    if isinstance(y, Like):
        if y.has_gradient:
            match_gradient(dy, y.shape, y.dtype, who)
        return
    if type(dy) is not tuple or len(dy) != len(y):
        raise ValueError(f"the pullback of {who}: Y is a tuple of {len(y)}, but dE/dY is {describe_all(dy)}")
    for i, (part, of_y) in enumerate(zip(dy, y, strict=True)):
        if part is not None or i == 0:
            check_output_gradient(part, of_y, who)


# --- what makers of layers are given


def in_and_out(maker: str, sizes: tuple[Any, ...]) -> tuple[int | None, int]:
    """(in, out) of a layer that is given both, or only the output, and infers its input."""
    if not 1 <= len(sizes) <= 2:
        raise TypeError(f"{maker} takes (in, out) or (out), not {len(sizes)} sizes")
    check_sizes(maker, "sizes", *sizes)
    return (None, *sizes)[-2:]


def check_sizes(maker: str, what: str, *sizes: Any) -> None:
    """Check that sizes are positive integers."""
    for size in sizes:
        if not is_integer(size) or size < 1:
            raise ValueError(f"{maker} takes {what} that are positive integers, not {size!r}")
