"""The forms in which x may come: one array, a tuple of arrays, or one of several such."""

from __future__ import annotations

import math
from typing import Any

from purenet.engine import Ops, engine_of, ops_for
from purenet.engine.arrays import are_several, describe, describe_all, is_array, is_open, namespace, shape_text
from purenet.spec.patterns import Sizes, parse, render
from purenet.spec.words import Form, Maybe, Spec

KIND, RANK = 1, 10  # how much an array is wrong, by what is wrong with it
KINDS: dict[str, tuple[Any, ...]] = {
    "float": ("real floating",),
    "int": ("integral",),
    "number": ("real floating", "integral"),
    "bool": ("bool",),
    "any": ("numeric", "bool"),
}


def any_number(form: Form) -> bool:
    """Whether x is a tuple of one array or more, all of one pattern."""
    return isinstance(form, tuple) and form[-1] is ...


def form_of(spec: Spec, x: Any, shapes: bool = False) -> tuple[Form, int]:
    """The form that x has, of those that the spec allows, and its place among them; x is arrays, or their shapes."""
    if not isinstance(spec.x, list):
        return spec.x, 0
    wrong = [_misfit(form, x, shapes) for form in spec.x]
    least = min(wrong)
    if least < RANK or (least == RANK and wrong.count(least) == 1):  # the check of that array says what is wrong
        return spec.x[wrong.index(least)], wrong.index(least)
    several = are_several(x) if shapes else type(x) is tuple or _holds_arrays(x)
    if not several and isinstance(spec.x[0], str):
        return spec.x[0], 0
    told: set[str] = set()
    forms = "; ".join(_in_words(form, spec.known, told) for form in spec.x)
    given = shape_text(x) if shapes else describe_each(x)
    mend = ": write tuple(x)" if isinstance(x, list) else ""
    mend = ": write np.asarray(...) of each list" if type(x) is tuple and " list" in given else mend
    raise ValueError(f"{spec.name} takes x as one of: {forms}. It was given {given}{mend}")


def _misfit(form: Form, x: Any, shapes: bool) -> float:
    """How far x is from this form, whatever its sizes: KIND for an array that holds other numbers, RANK for one with
    other axes or of booleans, or that is none; infinite for another container."""
    if isinstance(form, Maybe):
        return 0 if x is None else _misfit(form.form, x, shapes)
    if isinstance(form, tuple):
        if type(x) is not tuple or len(x) != len(form):
            return math.inf
        return sum(_misfit(*each, shapes) for each in zip(form, x, strict=True))
    pattern = parse(form)
    if x is None:
        return 0 if pattern.optional or shapes else RANK
    if shapes:
        plain = type(x) is tuple and not are_several(x)
        return 0 if plain and (is_open(x) or pattern.takes_rank(len(x) + 1)) else RANK
    if not is_array(x):
        return math.inf if isinstance(x, tuple) else RANK
    holds = ops_for([x]).isdtype
    right_kind = any(holds(x.dtype, kind) for kind in KINDS[pattern.kind])
    other_kind = 0 if right_kind else RANK if holds(x.dtype, "bool") else KIND  # booleans are masks
    return (0 if pattern.takes_rank(x.ndim) else RANK) + other_kind


def _in_words(form: Form, sizes: Sizes, told: set[str]) -> str:
    """The form in words; what was told of an array before is told by its label alone."""
    if isinstance(form, Maybe):
        return f"{_in_words(form.form, sizes, told)} or None"
    if isinstance(form, tuple):
        return f"({', '.join(_in_words(part, sizes, told) for part in form)})"
    pattern = parse(form)
    label = pattern.label or "x"
    if form in told:
        return label
    told.add(form)
    kind = "" if pattern.kind == "float" else f" of {pattern.kind}"
    return f"{label} {render(form, sizes)}{kind}{' or None' if pattern.optional else ''}"


def parts_of(form: Form, x: Any, who: str) -> list[tuple[str, str, Any]]:
    """(pattern, label, array) of each array of x."""
    if any_number(form):
        if type(x) is not tuple or not x:
            mend = "write tuple(x)" if isinstance(x, list) else "put it after fan_out or parallel"
            raise TypeError(f"{who} takes a tuple of arrays, not {describe_all(x)}: {mend}")
        return [(form[0], f"x[{i}]", part) for i, part in enumerate(x)]
    if isinstance(form, Maybe):
        return [] if x is None else parts_of(form.form, x, who)
    if not isinstance(form, tuple):
        return [(form, parse(form).label or "x", x)]
    if type(x) is not tuple or len(x) != len(form):
        raise TypeError(f"{who} takes a tuple of {len(form)}, not {describe_all(x)}")
    return [pair for part in zip(form, x, strict=True) for pair in parts_of(*part, who)]


def check_array(x: Any, who: str, label: str = "x", floats: bool = True, alone: bool = True) -> Ops:
    """The engine of x, if it is an array. The usual mistakes are a list, and a tuple that holds lengths too.

    `floats` says that it should hold such numbers, `alone` that it is all of x.
    """
    if is_array(x) or not isinstance(x, list | tuple):
        role = who if label == "x" else f"{who}, as {label},"
        namespace(x, role)  # which refuses a number of NumPy
        return engine_of(x, role)
    mend = ""
    if isinstance(x, list):
        dtype = ", dtype=np.float32" if floats else ""
        mend = f": write np.stack({label})" if _holds_arrays(x) else f": write np.asarray({label}{dtype})"
    elif x and alone:
        mend = f": to run it on the first and hand the rest on, write on_first({who})"
    role = "" if label == "x" else f" as {label}"
    raise TypeError(f"{who} takes an array{role}, not {describe_all(x)}{mend}")


def _holds_arrays(x: Any) -> bool:
    return isinstance(x, list) and any(is_array(part) for part in x)


def describe_each(x: Any) -> str:
    """A few words on each part of x."""
    return f"({', '.join(map(describe_each, x))}{',' * (len(x) == 1)})" if type(x) is tuple else describe(x)
