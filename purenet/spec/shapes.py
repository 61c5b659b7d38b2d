"""What a spec says before there is any x: params, and the shape of Y."""

from __future__ import annotations

from typing import Any

from purenet.engine.arrays import are_several, is_open, read_in_shape, shape_text
from purenet.initializers import draw
from purenet.random import Key, split
from purenet.spec.checks import check_fits, check_shape
from purenet.spec.forms import any_number, form_of, parts_of
from purenet.spec.patterns import Sizes, infer, match, match_example, parse, render, size_of
from purenet.spec.words import Form, Spec


def init(spec: Spec, key: Key, in_shape: Any = None) -> Any:
    """Params of the sizes that the spec and the shape of an input tell."""
    in_shape = read_in_shape(in_shape, spec.name)
    sizes = _example_sizes(spec, in_shape)
    if callable(spec.y):
        out_shape(spec, in_shape)  # which finds a shape that gives no Y

    def fill(form: Form, initial: Any, key: Key) -> Any:
        if form is None:
            return None
        if isinstance(form, str):
            shape = tuple(_known_size(spec, axis, sizes) for axis in parse(form).axes)
            return draw(initial, key, shape, spec.name)
        keys = split(key, len(form)) if len(form) > 1 else (key,) * len(form)
        parts = [fill(*each) for each in zip(form, initial, keys, strict=True)]
        return type(form)(*parts) if hasattr(form, "_fields") else tuple(parts)

    return fill(spec.params, spec.init, key)


def out_shape(spec: Spec, in_shape: Any) -> Any:
    """The shape of Y, without the batch, from that of x; see `Layer.shape`."""
    in_shape = read_in_shape(in_shape, spec.name)
    sizes = _example_sizes(spec, in_shape)
    if callable(spec.y):
        known = _of_each(in_shape) if any_number(spec.x) else in_shape if _is_known(in_shape) else None
        if known is not None:
            return check_shape(spec.y(known), f"{spec.name}: its y")
        return (..., sizes[spec.last]) if in_shape is not None and spec.last in sizes else None
    y = spec.y[form_of(spec, in_shape, True)[1]] if isinstance(spec.y, list) else spec.y
    return check_shape(y(in_shape), f"{spec.name}: its y") if callable(y) else _inferred(y, sizes)


def _is_known(in_shape: Any) -> bool:
    """Whether a function can tell Y's shape from that of x."""
    return in_shape is not None and ... not in in_shape and None not in in_shape


def _of_each(in_shape: Any) -> Any:
    """The same of a tuple of shapes; of those of which each is known in part, only the last axis: (..., n)."""
    if in_shape is None or all(map(_is_known, in_shape)):
        return in_shape
    partly = all(shape and shape[-1] and not _is_known(shape) for shape in in_shape)
    return tuple((..., shape[-1]) for shape in in_shape) if partly else None


def _inferred(form: Form, sizes: Sizes) -> Any:
    return infer(form, sizes) if isinstance(form, str) else tuple(_inferred(part, sizes) for part in form)


def _known_size(spec: Spec, axis: str, sizes: Sizes) -> int:
    """The size of an axis of a parameter; an error that says how to tell it, where it is not known."""
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
    for form, shape in () if in_shape is None else _parts(spec, in_shape):
        found = sizes if shape is None else match_example(form, shape, sizes)
        if found is None:
            given = ", ".join(("batch", *(shape_text(n) if n is ... else str(n) for n in shape)))
            mend = ": leave the batch out" if not is_open(shape) and match(form, shape, sizes) else ""
            raise ValueError(
                f"{spec.name} takes x of shape {render(form, sizes)}, but its input has shape "
                f"({given}{',' * (not shape)}){mend}"
            )
        sizes = sizes if any_number(spec.x) else found  # arrays of any number are compared by `y`
    return check_fits(spec, sizes)


def _parts(spec: Spec, in_shape: Any) -> list[tuple[str, Any]]:
    """Each pattern with the shape that it is for."""
    nested = type(in_shape) is tuple and are_several(in_shape)
    form, _ = form_of(spec, in_shape, True)
    if isinstance(form, str) and nested:
        raise ValueError(
            f"{spec.name} takes an array, so in_shape is one shape, not {shape_text(in_shape)}: "
            f"to run it on the first and hand the rest on, write on_first({spec.name})"
        )
    if any_number(form) and not (in_shape and all(each is None or isinstance(each, tuple) for each in in_shape)):
        raise ValueError(f"{spec.name} takes a tuple of arrays, so in_shape is a tuple of shapes, not {in_shape}")
    return [(pattern, shape) for pattern, _, shape in parts_of(form, in_shape, spec.name)]
