"""Values that are made of functions, such as layers and optimizers, and the code that makes each: its name.

A value that a function of this library made knows that call. By it two values are compared, and it is what is pickled:
functions that are made on the spot can be neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import FrozenInstanceError, fields, replace
from functools import cache, wraps
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, ParamSpec, Self, TypeVar

from purenet.engine.arrays import article, as_number, describe
from purenet.engine.jax import traced

Options = ParamSpec("Options")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
_MAKERS: dict[str, Callable[..., Any]] = {}  # the functions that make values, by name, as `called` asks for them
PRESETS: set[Callable[..., Any]] = set()  # those of them that are values by themselves


class Call(str):
    """The code that makes a value, which also tells its parts: nothing has to read the text.

    Fields:
        maker: the name of the function.
        args, options: what it was given, options that have their default left out.
    """

    maker: str
    args: tuple[Any, ...]
    options: Mapping[str, Any]

    __slots__ = ("args", "maker", "options")


class Text(str):
    """Text in columns, which a notebook shows as it is."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self)}</pre>"


class ValueClass(type):
    """The class of the kinds of values: `help` shows the fields of one, and not what Python needs of it."""

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_")]


class Value(metaclass=ValueClass):
    """What never changes once it is made: a frozen dataclass of functions, with a name.

    Two are equal, and hash alike, if equal calls made them; without a call, if their fields are equal.

    Fields:
        name: the code that makes the value.
        call: that code as a `Call`, of what a function of this library made; else None.
    """

    __slots__ = ("__weakref__", "call")
    name: str
    call: Call | None
    home: ClassVar[str] = "purenet"  # the module of the functions that make such values
    lacks: ClassVar[str] = "no sums, products or items"
    instead: ClassVar[str] = ""  # what to write where such values are added or indexed, as if they were numbers
    settings: ClassVar[Mapping[str, str]] = {}  # what to do in place of setting or replacing these attributes

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__dataclass_fields__" in vars(cls):  # those of a frozen dataclass fail for its subclasses
            for refusing in ("__setattr__", "__delattr__"):
                if refusing in vars(cls):
                    delattr(cls, refusing)

    def __post_init__(self) -> None:
        # the name is plain text: a value that somebody makes with the name of another is not made by that call
        object.__setattr__(self, "call", self.name if isinstance(self.name, Call) else None)
        object.__setattr__(self, "name", str(self.name))
        name_functions(self)

    def __repr__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Value) or class_of(self) is not class_of(other) or self.name != other.name:
            return False
        if self.call is None or other.call is None:
            return self.call is other.call and fields_of(self) == fields_of(other)
        one, two = self.call, other.call
        return one.maker == two.maker and _same(one.args, two.args) and _same(one.options, two.options)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.call is not None:
            return made_again, (self.home, self.call.maker, self.call.args, dict(self.call.options))
        return class_of(self), (*fields_of(self).values(),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def _replace(self, **changes: Any) -> Self:
        """The same value with other fields. One that only tells of the functions, such as `lr`, is refused."""
        for name in changes:
            if _mend_of_setting(self, name):
                raise TypeError(_unchanged(self, name))
        changed: Self = replace(self, **changes)  # type: ignore[type-var]  # each kind of value is a dataclass
        return changed

    if not TYPE_CHECKING:  # a type checker knows by itself that there are no such operators

        def _refuse(self, *_: Any) -> NoReturn:
            kind = article(class_of(self).__name__.lower())
            raise TypeError(f"{brief(self.name)} is {kind}, a value that has {self.lacks}{self.instead}")

        def __setattr__(self, name: str, *_: Any) -> NoReturn:
            raise FrozenInstanceError(_unchanged(self, name))

        __delattr__ = __setattr__
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = __getitem__ = _refuse


def class_of(value: Value) -> type:
    """The class that says what a value is: `Layer` of a layer, though each preset has a class of its own."""
    return next(kind for kind in type(value).__mro__ if Value in kind.__bases__)


def _unchanged(value: Value, name: str) -> str:
    """Why an attribute of a value is neither set nor deleted, and what to do."""
    kind = class_of(value).__name__
    if not hasattr(value, "name"):  # in the __init__ of somebody's subclass
        return (
            f"{type(value).__name__}.{name}: a {kind} never changes and has no attributes of its own. Write no "
            'subclass, but a function that makes one: a layer by pn.layer(spec, rule), see help("purenet.spec")'
        )
    mend = _mend_of_setting(value, name) or (
        f"write value = value._replace({name}=...)"
        if name in fields_of(value)
        else "write its options where it is made, and keep what is yours in a variable"
    )
    return (
        f"{brief(value.name)} is {article(kind.lower())}, a value that never changes, so {name} stays as it is: {mend}"
    )


def _mend_of_setting(value: Value, name: str) -> str:
    """What to do in place of setting this attribute; "" if its kind of value has nothing to say of it."""
    return next((mend for names, mend in value.settings.items() if name in names.split()), "")


def name_functions(value: Value) -> None:
    """Call the functions of a value by its fields: Python's own errors then say `Layer.apply() missing ...`.

    Those of other modules, and those that a module has by name, keep the name that pickle finds them by.
    """
    kind = class_of(value)
    for field, made in fields_of(value).items():
        if type(made) is FunctionType and "<locals>" in made.__qualname__ and made.__module__.startswith("purenet."):
            known_as(name_in_errors(kind, field), made)


def name_in_errors(kind: type[Value], field: str) -> str:
    """What Python's own errors about arguments call a function of a value: they are all that a wrong call is told."""
    name = f"{kind.__name__}.{field}"
    return f"{name}{TAKES[name]}: {field}" if name in TAKES else name


TAKES = {  # what is often handed to these in other ways
    "Layer.init": "(key, in_shape=None)",
    "Layer.apply": "(params, x, key=None), where a key means training",
    "Layer.vjp": "(params, x, key=None), where a key means training",
    "Loss.apply": "(y, target), where the loss has the options, as in mse(reduction='sum')",
    "Loss.vjp": "(y, target), where the loss has the options, as in mse(reduction='sum')",
    "Optimizer.step": "(params, grads, state), where the optimizer has the rate, as in adam(lr=0.01)",
}


def known_as(name: str, function: F) -> F:
    """The function, which Python's own errors call by this name: one that is made inside another has none."""
    function.__qualname__ = name
    return function


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a value by name."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _same(one: Any, two: Any) -> bool:
    """Whether two calls were given the same here: arrays and functions count as the same only if they are one thing."""
    if one is two:
        return True
    if isinstance(one, Value):
        return bool(one == two)
    if type(one) is not type(two) or hasattr(one, "shape"):
        return False
    if isinstance(one, tuple | list):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, dict):
        return [*one] == [*two] and all(_same(one[key], two[key]) for key in one)
    return bool(one == two)


def made_again(home: str, maker: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """The value that a public function makes of these arguments; without any, a preset itself."""
    made = getattr(import_module(home), maker)
    return made if isinstance(made, Value) and not args and not options else made(*args, **options)


def maker_of(made: Value) -> str:
    """The function that a value was made by; "" of one that somebody wrote."""
    return made.call.maker if made.call is not None else ""


def call(maker: str, *args: Any, **options: Any) -> Call:
    """The code of a call with these arguments.

    >>> call("serial"), call("named", a=1)
    ('serial()', 'named(a=1)')
    """
    written = [*map(shown, args), *(f"{option}={shown(value)}" for option, value in options.items())]
    return spelled(f"{maker}({', '.join(written)})", maker, args, options)


def shown(argument: Any) -> str:
    """An argument as it stands in a name: functions without their place in memory, and arrays in a few words.

    >>> shown(0.5), shown(len)
    ('0.5', 'len')
    """
    if not isinstance(argument, Value):
        if hasattr(argument, "__name__"):
            return str(argument.__name__)
        if hasattr(argument, "shape"):  # a traced one has no value to show
            return f"<{describe(argument)}>"
    return repr(argument)


def brief(name: str) -> str:
    """A name as it stands in an error, whose other words are to be found: of a long one the beginning.

    >>> brief("serial(dense(2, 3), tanh)"), len(brief(101 * "n"))
    ('serial(dense(2, 3), tanh)', 100)
    """
    return name if len(name) <= 100 else f"{name[:97]}..."


def spelled(text: str, maker: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> Call:
    """The code of a call, written like this."""
    code = Call(text)
    code.maker, code.args, code.options = maker, args, options
    return code


def called(maker: str, given: Mapping[str, Any] = {}, bare: int | None = None, traceable: Sequence[str] = ()) -> Call:
    """The code of the call of a maker, a function under `@preset` or `@takes_numbers`, from its `locals()`: ask for it
    first, before another value has the name of an argument. One without arguments needs no `locals()`.

    Options that have their default are left out; of a preset without options the name alone is left. The text has no
    initializers, `..._init`, but the call does. `bare` is how many arguments stand without a name: by default those
    that have no default. JAX may trace the options that are `traceable`.

    Raises:
        TypeError: what the signature calls a `float` is no number, or a `bool` neither True nor False.
        ValueError: a number is NaN.

    >>> import purenet
    >>> called("elu", {"alpha": 1.0}), called("elu", {"alpha": 2.0}), called("tanh")
    ('elu', 'elu(alpha=2.0)', 'tanh')
    """
    make = _MAKERS[maker]
    names, several, defaults, required, kinds = _arguments(make)
    bare = required if bare is None else bare
    args = [given[name] for name in names[:bare]]
    while args and _is_default(args[-1], defaults[names[len(args) - 1]]):
        args.pop()
    args += given.get(several, ())
    options = {each: given[each] for each in names[bare:] if not _is_default(given[each], defaults[each])}
    numbers = {option: given[option] for option in kinds}
    check_known(maker, **{option: each for option, each in {**numbers, **options}.items() if option not in traceable})
    for option, number in numbers.items():
        _check_kind(maker, option, number, kinds[option])
    written = {option: value for option, value in options.items() if not option.endswith("_init")}
    text = str(call(maker, *args, **written)) if args or written or make not in PRESETS else maker
    return spelled(text, maker, (*args,), options)


@cache
def _arguments(make: Callable[..., Any]) -> tuple[Sequence[str], str, Mapping[str, Any], int, Mapping[str, Any]]:
    """(the arguments of a maker, the name of the one with a star, the default of each, how many have none, and the
    annotations of those that are a number or a flag)."""
    import inspect

    parameters = inspect.signature(make).parameters
    several = [name for name, each in parameters.items() if each.kind is each.VAR_POSITIONAL]
    names = [name for name in parameters if name not in several]
    defaults = {name: parameters[name].default for name in names}
    required = sum(default is inspect.Parameter.empty for default in defaults.values())
    kinds = {name: parameters[name].annotation for name in names if parameters[name].annotation in _KINDS}
    return names, "".join(several), defaults, required, kinds


_KINDS = {  # of options, by the annotation in a maker's signature
    "float": "a number",
    "float | None": "a number or None",
    "bool": "True or False",
    "bool | None": "True, False or None",
}


def _check_kind(maker: str, option: str, given: Any, kind: str) -> None:
    """Check that an option is a number or a flag, as its annotation says. An array of no axes is a number, too."""
    if getattr(given, "shape", None) == () or (given is None and kind.endswith("None")):
        return
    fits = given in (False, True) if kind.startswith("bool") else isinstance(given, int | float)
    if not fits or (kind.startswith("float") and isinstance(given, bool)):
        raise TypeError(f"{maker} takes {option} as {_KINDS[kind]}, not {shown(given)}")
    if given != given:
        raise ValueError(f"{maker} takes {option} as {_KINDS[kind]}, not {given}")


def check_known(maker: str, **options: Any) -> None:
    """Check that JAX traces none of the options."""
    for option, value in options.items():
        if traced(value):
            raise TypeError(
                f"{maker} takes {option} as a number that is known, not one that JAX traces (jit, grad, vmap, scan): "
                "make it outside, of a number. Of all options only learning rates may be traced"
            )


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (not hasattr(value, "shape") and bool(value == default))


OPTIONS_ELSEWHERE = {
    "learning_rate": "lr|learning_rate_init", "lr": "learning_rate_init", "step_size": "lr|every", "b1": "beta1",
    "beta_1": "beta1", "b2": "beta2", "beta_2": "beta2", "betas": "beta1=..., beta2", "epsilon": "eps", "rho": "decay",
    "p": "rate", "slope": "negative_slope", "label_smooth": "label_smoothing", "smoothing": "label_smoothing",
    "beta": "delta", "use_bias": "bias", "strides": "stride", "kernel_initializer": "weight_init",
    "bias_initializer": "bias_init", "batch": "batch_size", "batch_size": "size",
    "batchsize": "batch_size|size", "size": "batch_size|shape", "dilation_rate": "dilation", "mask": "which",
    "rope": "rotary", "class_weight": "weight", "weights": "weight", "validation_data": "validation",
    "verbose": "progress", "epochs": "max_iter", "n_epochs": "epochs|max_iter", "num_epochs": "epochs|max_iter",
    "max_epochs": "epochs|max_iter", "early_stopping": "patience", "random_state": "key", "seed": "key|random_state",
    "key": "random_state", "optimizer": "solver", "test_size": "test", "input_shape": "in_shape",
    "rng": "key", "rngs": "key", "generator": "key", "prng_key": "key", "num": "n", "low": "minval", "high": "maxval",
    "minval": "low", "maxval": "high", "num_classes": "classes", "depth": "classes", "argnums": "wrt",
    "y_true": "target", "y_pred": "y", "filepath": "path", "filename": "path", "params": "tree", "dim": "axis",
    "pool_size": "window", "kernel_size": "window", "T_max": "steps", "decay_steps": "steps", "gamma": "factor",
    "decay_rate": "factor", "num_heads": "heads", "nhead": "heads", "num_features": "features",
    "normalized_shape": "features", "num_embeddings": "count", "input_dim": "count", "embedding_dim": "features",
    "output_dim": "features", "embed_dim": "features", "d_model": "features", "scale": "affine",
}  # fmt: skip
INSTEAD = {  # what does the work of an option that is none here
    "activation": "an activation is a layer of its own, behind this one",
    "training train is_training deterministic mutable": "a key means training: write apply(params, x, key) to train, "
    "and apply(params, x) otherwise",
    "lr learning_rate": "the optimizer has it, as in adam(lr=0.01)",
    "shuffle": "with a key the order is random, with key=None it is that of the data; an order of your own is batches",
    "restore_best_weights": "with patience=... params are the best, without it the last",
    "min_delta": "patience counts any gain; for a rule of your own write callbacks=[f]: it stops where f gives True",
    "return_sequences": "all steps are returned; last=True returns the last alone",
    "batch_first": "arrays are always (batch, time, features)",
    "bidirectional": "write bidirectional(lstm(2, 3), lstm(2, 3, reverse=True)), or two layers of another kind",
    "mask_zero padding_idx": "no id stands for padding: write lengths_to_mask(lengths, time) where a mask is taken",
    "class_weight weight weights sample_weight": "weighted(loss) takes a weight for each example: w[t] by class",
    "weight_decay": "adamw has it, and so has chain(weight_decay(...), ...)",
    "clipnorm clip_norm global_clipnorm": "write chain(clip_by_global_norm(...), ...)",
    "kernel_regularizer": "write penalties=[l2(...)] where it is trained",
    "std stddev sigma mean loc mu scale": "of normal numbers write mean + std * normal(key, shape)",
    "top_k": "top_k_accuracy(y, target, k) counts the first k",
    "validation_split": "write validation=..., one part of data.split(key, x, target)",
}
WRITTEN = {"key": "pn.key(0)", "epochs": "10", "size": "32"}  # options that have no default
TOGETHER = {  # what takes several things in one argument, the last that stands without a name
    "data": "x and the target stand together: write (x, target)",
    "batches": "x and the target stand together: write lambda key: pn.data.batches(key, x, target, size=32)",
}
SIZES = (
    "units inputs outputs features in_features out_features filters in_channels out_channels "
    "kernel_size input_size hidden_size"
)


def hinted(make: F) -> F:
    """The same function; an option that it does not have is an error that names the right one, or all there are. So is
    one that it lacks, and an argument too many."""

    @wraps(make)
    def made(*args: Any, **options: Any) -> Any:
        try:
            return make(*args, **options)
        except TypeError as error:
            told = _mend_of_call(make, str(error), args, options)
            if not told:
                raise
            raise TypeError(told) from None

    return made  # type: ignore[return-value]  # it takes what `make` takes


def _mend_of_call(make: Callable[..., Any], error: str, args: Sequence[Any], options: Mapping[str, Any]) -> str:
    """What to write in place of a call with an option that there is not, arguments too many, or options too few; "" if
    that is not what is wrong."""
    from inspect import signature

    who = make.__qualname__.removesuffix(".__init__")
    takes = signature(make).parameters
    own = [each for name, each in takes.items() if name != "self"]
    wrong = error.removeprefix(f"{make.__qualname__}() got an unexpected keyword argument ").strip("'")
    if wrong in options:
        return f"{who} has no option {wrong}: {_mend_of_option(make.__name__, own, wrong)}"
    first = [each for each in own if each.kind is each.POSITIONAL_OR_KEYWORD]
    bare = [each.name for each in first]
    named = [each for each in own if each.kind is each.KEYWORD_ONLY]
    given = len(args) - ("self" in takes)
    bounded = named or "shape" in bare
    if bounded and len(bare) < given and all(each.kind is not each.VAR_POSITIONAL for each in own):
        others = f"the others have one, as in {named[0].name}=..." if named else "write a shape as one tuple, (3, 4)"
        mend = TOGETHER.get(bare[-1] if bare else "", others)
        return f"{who} takes {len(bare)} arguments without a name, but {given} were given: {mend}"
    if any(each.default is each.empty and each.name not in options for each in first[given:]):
        return ""  # Python names those
    lacks = [each.name for each in named if each.default is each.empty and each.name not in options]
    mend = ", ".join(f"{each}={WRITTEN.get(each, '...')}" for each in lacks)
    return f"{who} lacks {' and '.join(lacks)}: add {mend}" if lacks else ""


def _mend_of_option(maker: str, own: Sequence[Any], wrong: str) -> str:
    """What to write for an option that a function does not have, of its own parameters."""
    takes = [each.name for each in own if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    for right in OPTIONS_ELSEWHERE.get(wrong, "").split("|"):
        if right.rpartition(" ")[2] in takes:
            return f"write {right}=..."
    if wrong in SIZES.split() and any(each.kind is each.VAR_POSITIONAL for each in own):
        return f"its sizes stand first, without names, as help({maker}) shows"
    instead = next((each for others, each in INSTEAD.items() if wrong in others.split()), "")
    return instead or (f"it has {', '.join(takes)}" if takes else "it has none")


def takes_numbers(make: Callable[Options, T]) -> Callable[Options, T]:
    """The function, which is given Python's numbers where NumPy's are handed in, in tuples, lists and dicts too.

    A NumPy scalar would change the dtype of float32 arrays that it is multiplied with. Containers are copied, so that
    what is made of them stays as it is.
    """

    _MAKERS.setdefault(make.__name__, make)  # one that a user makes may have the name of ours
    hinting = hinted(make)

    @wraps(make)
    def take(*args: Options.args, **options: Options.kwargs) -> T:
        return hinting(*map(_python, args), **{name: _python(value) for name, value in options.items()})

    return take


def _python(given: Any) -> Any:
    kind = type(given)
    if kind is tuple or kind is list:
        return kind(map(_python, given))
    return {_python(k): _python(v) for k, v in given.items()} if kind is dict else as_number(given)
