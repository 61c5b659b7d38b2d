"""What a layer is, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from purenet.engine.arrays import Shape, describe, describe_all
from purenet.spec.patterns import Sizes, names_of, parse

Form = Any  # a pattern; a tuple of forms; `Maybe` a form; None for a parameter that is left out
Hint = Callable[[Shape, Mapping[str, Any]], str]


class Maybe(NamedTuple):
    """A form, or None. (For one array, write a `?` into its pattern.)"""

    form: Form


class Spec(NamedTuple):
    """What a layer is, in words. Patterns are those of `purenet.spec.patterns`.

    Fields:
        name: the code that makes the layer, see `called`.
        x: the pattern of x; a tuple of patterns for a tuple of arrays, `(pattern, ...)` for one of any length; a list
            of such forms where x may come in several.
        y: the pattern of Y, or a list with one for each form of x; or, instead of a pattern, a function from x's shape,
            without the batch, to Y's, which raises ValueError where there is none. In a list it is given shapes of
            which parts are not known, too.
        last: where y is a function, the name of the size of Y's last axis, if it is one of `sizes`: with it (..., n) is
            known of Y where x's shape is not known enough for y.
        params: the pattern of each parameter, in the containers in which they stand; None for one that is left out.
        init: the initializer of each, in the same containers.
        sizes: what is known of the axes' names from the start; None for a size that is to be inferred; the name of
            another axis for one that `init` makes as long as that, unless the input says otherwise.
        complete: the code that would make the layer with all its sizes, for the error of a size that is not known.
        hints: what to do about a shape that does not fit, for the usual mistakes: `hint(shape of x, sizes) -> words`.
        fits: what patterns cannot say of the sizes: `fits(sizes) -> what is wrong, in words, or ""`.
        whole: what the forms cannot say of x, whatever it is: `whole(x) -> what is wrong, in words, or ""`.
        values: a check of the numbers in x, made at every call where they can be looked at; it raises ValueError.
    """

    name: str
    x: Form
    y: Any
    params: Form = ()
    init: Any = ()
    sizes: Mapping[str, Any] = {}
    complete: str = ""
    hints: tuple[Hint, ...] = ()
    fits: Callable[[Sizes], str] | None = None
    whole: Callable[[Any], str] | None = None
    values: Callable[[Any], None] | None = None
    last: str = ""

    @property
    def known(self) -> Sizes:
        """The sizes that are known from the start."""
        return {name: size for name, size in self.sizes.items() if not isinstance(size, str | None)}


def check_spec(spec: Spec) -> None:
    """Check that a spec can be read, and that it says how long each axis is and how each parameter begins."""
    try:
        given, inside, out = (_names(form) for form in (spec.x, spec.params, spec.y))
    except ValueError as error:
        raise ValueError(f"{spec.name}: {error}") from None
    _check_init(spec.name, spec.params, spec.init, "params")
    known = given | spec.known.keys()
    known |= {name for name, other in spec.sizes.items() if other in known}
    for what, names in (("params", inside - known), ("y", out - known - inside)):
        if names:
            raise ValueError(
                f"{spec.name}: nothing says how long {', '.join(sorted(names))} of its {what} is: name it in x, too, "
                f"or write sizes={{{min(names)!r}: ...}}"
            )


def _names(form: Form) -> set[str]:
    """The axes' names in all patterns of a form."""
    return {name for pattern in _patterns(form) for name in names_of(pattern)}


def _patterns(form: Form) -> Iterator[str]:
    if isinstance(form, str):
        parse(form)
        yield form
    elif isinstance(form, tuple | list):
        for part in form:
            yield from _patterns(part)
    elif form is not None and form is not ... and not callable(form):
        raise ValueError(f'a pattern is text, such as "batch time features", or a tuple of such, not {describe(form)}')


def _check_init(who: str, params: Form, init: Any, path: str) -> None:
    """Check that there is an initializer where each pattern stands."""
    if isinstance(params, str):
        if not callable(init):
            raise TypeError(f"{who} takes an initializer of {path}, such as initializers.zeros, not {describe(init)}")
    elif params is not None:
        if not isinstance(init, tuple) or type(init) is not type(params) or len(init) != len(params):
            raise TypeError(
                f"{who}: {path} and init stand in equal containers, but {path} is {describe_all(params)} and init "
                f"{describe_all(init)}"
            )
        names = getattr(params, "_fields", range(len(params)))
        for name, part, initial in zip(names, params, init, strict=True):
            _check_init(who, part, initial, f"{path}.{name}" if isinstance(name, str) else f"{path}[{name}]")
