"""Keeping what was trained: a pytree in a file, whole or not at all, and never pickled.

`save` writes params, an optimizer's state, keys, a whole run's state, what `fit` gave; `load` gives them back, and
checks all that it reads. In the file each leaf has its path for a name, as `tree.items` writes it (`[0].weight`; a tree
that is one leaf is called `leaf`), so other tools read it too: an `.npz` file opens with `np.load`, a `.safetensors`
file in PyTorch and in Hugging Face's tools. Beside the leaves stands a description of their containers, in JSON.
"""

from __future__ import annotations

import math
import os
from ast import literal_eval
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from purenet import tree as trees
from purenet.data.arrays import check_positive
from purenet.engine import engine_of
from purenet.engine.arrays import describe, is_array, is_tensor, seal, to_numpy
from purenet.engine.jax import host_only, key_of_words, kind_of_key, words_of_key
from purenet.random import Key
from purenet.storage.files import (
    DamagedError,
    Path,
    as_integers,
    as_they_were,
    file_format,
    hold,
    is_narrow,
    reading,
    replace,
)
from purenet.training.runs import Best, Fit, State, check_tree
from purenet.values import hinted

T = TypeVar("T")
_JAX_KEY = "jax.random.key "


class Checkpoints(NamedTuple):
    """The checkpoints of a training run: see `checkpoints`.

    Fields:
        save: `save(state) -> path` of the checkpoint, "" if it was not the turn of this step; of a `Fit` it always is.
            It is a callback of `fit` too, and takes the record of an epoch, which it does not keep.
        load: `load(like) -> state`, the newest whole one; None if there is none.
        steps: `steps() -> [100, 200]`, of the checkpoints that are there.
    """

    save: Callable[..., str]
    load: Callable[[Any], Any]
    steps: Callable[[], list[int]]


@hinted
def save(path: Path, tree: Any) -> None:
    """Write a pytree to a file: `.npz`, or `.safetensors` with the extra of that name.

    A leaf is an array, in bfloat16 too, a key of ours or of JAX, or a Python int, float or bool. The tree may be a
    whole `Fit`. The write is atomic: all goes to a new file in the same folder, down to the disk, and then takes the
    old file's place at once, with its owner and its rights.

    Raises:
        ValueError, TypeError: the name ends otherwise, or a leaf cannot be kept; the message names it.

    >>> import tempfile, purenet as pn
    >>> path = tempfile.mkdtemp() + "/params.npz"
    >>> pn.save(path, {"weight": np.ones(2), "key": pn.key(0)})
    >>> pn.load(path)
    {'weight': array([1., 1.]), 'key': key(0)}
    """
    host_only("save", *trees.leaves(tree))
    write = file_format(path)[1]
    check_tree(tree, "save takes params, or a State")
    tree = _with_texts(tree) if isinstance(tree, Fit) else tree
    arrays, dtypes = as_integers(to_dict(tree))
    outline = {"tree": _outline(tree), **({"dtypes": dtypes} if dtypes else {})}
    replace(path, lambda file: write(file, arrays, outline))


@hinted
def load(path: Path, like: T | None = None) -> T | Any:
    """The pytree of a file that `save` wrote; its arrays are read-only.

    With `like`, a tree of the same structure such as `net.init(key)`, it is built like that one, and every leaf must
    have the same shape and dtype. Without it, tuples, lists and dicts come back as they were, and NamedTuples as dicts
    by field, because a file cannot hold a class. A file that another tool wrote gives a dict of arrays by name. A file
    that holds a `Fit` gives one, with `like` the state of such a run, as `start` makes it, or another `Fit`.

    Nothing is allocated before the file is known to be long enough for it, and nothing in the file is ever executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or not like `like`: the message says where.
    """
    host_only("load")
    read = file_format(path)[0]
    if like is not None:
        check_tree(like, "load takes like, a tree as it was saved")
    arrays, outline = read(path)
    model: Any = like.state if isinstance(like, Fit) else like
    with reading(path):
        tree, dtypes = ((), {}) if outline is None else (outline["tree"], outline.get("dtypes", {}))
        arrays = as_they_were(arrays, dtypes)
        if like is None:
            return _build(tree, arrays) if outline is not None else {name: seal(a) for name, a in arrays.items()}
        run = _build(tree, arrays) if isinstance(model, State) and _tells_of_fit(tree) else None
    if run is not None:
        return _fill_fit(arrays, run, model, os.fspath(path))
    try:
        return _fill(arrays, model, os.fspath(path))
    except ValueError as error:
        held = tree.get("name") if isinstance(tree, dict) else None
        if held not in ("Fit", "State") or isinstance(model, State):
            raise
        mend = "load(path, like=start(optimizer, params, key)).params"
        raise ValueError(f"{error}. The file holds a {held}: write {mend}") from None


@hinted
def to_dict(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree as a plain dict of NumPy arrays by path; a key is two words of 64 bits, the lower first.

    >>> to_dict((1.5, {"w": np.zeros(2)}))
    {'[0]': array(1.5), "[1]['w']": array([0., 0.])}
    """
    named = [(name or "leaf", leaf) for name, leaf in trees.items(tree)]
    host_only("to_dict", *(leaf for _, leaf in named))
    arrays = {name: _encode(leaf, name) for name, leaf in named}
    if len(arrays) < len(named):
        raise ValueError("two leaves have the same path: two keys of a dict look alike")
    return arrays


@hinted
def from_dict(arrays: Mapping[str, Any], like: T) -> T:
    """The tree that is built like `like` and has these leaves by path, as `to_dict` names them; they are copied.

    >>> from_dict({"[0]": np.array(2.5), "[1]": np.ones(2)}, like=(1.5, np.zeros(2)))
    (2.5, array([1., 1.]))

    Raises:
        ValueError: a leaf is missing or is one too many, or has another shape or dtype than in `like`.
    """
    host_only("from_dict", *arrays.values())
    return _fill({name: np.array(array) for name, array in arrays.items()}, like, "from_dict")


@hinted
def checkpoints(folder: Path, every: int = 100, keep: int = 3) -> Checkpoints:
    """The checkpoints of a training run in a folder of its own: one every so many steps, of which the last `keep` stay.

    run = pn.checkpoints("run", every=100)
    state = run.load(pn.start(optimizer, params, key))           # None at first
    for state in pn.train(net, loss, optimizer, params, batches, key=key, epochs=10, resume=state):
        run.save(state)

    The turn is of each multiple of `every`, and where `save` is called for some steps only, of the first one after it:
    `callbacks=[run.save]` of `fit` saves at the ends of epochs.

    Killed at any moment and started again, this ends with the same bits as if it had never stopped. What `fit` gave can
    be saved there too, at any step, and is loaded with the same `like`. `load` puts aside a file that is damaged, with
    a warning, and takes the one before. `like` says how the state is built: a mismatch is an error, not a damage.
    """
    check_positive("checkpoints", every=every, keep=keep)
    folder = os.fspath(folder)
    place, steps = partial(_place, folder), partial(_steps, folder)
    last: int | None = None  # the step of the newest checkpoint; None if the folder has to be looked at

    def save_in_turn(state: Any, record: Any = None) -> str:
        nonlocal last
        step = int((state.state if isinstance(state, Fit) else state).step)
        if last is None:
            last = max(steps(), default=0)
        if step % every and step // every <= last // every and not isinstance(state, Fit):
            return ""
        os.makedirs(folder, exist_ok=True)
        there = steps()
        if there and there[-1] > step:
            raise ValueError(
                f"{folder} has a checkpoint of step {there[-1]}, later than this one of step {step}: "
                "resume from it with load, or use another folder"
            )
        save(place(step), state)
        last = step
        for old in sorted({*there, step})[:-keep]:
            with suppress(FileNotFoundError):  # another process was quicker
                os.remove(place(old))
        return place(step)

    def load_newest(like: Any) -> Any:
        nonlocal last
        last = None
        _sweep(folder)
        damage = ""
        for step in reversed(steps()):
            try:
                return load(place(step), like)
            except FileNotFoundError:  # another process has removed it, for a newer one
                return load_newest(like)
            except DamagedError as error:
                import warnings

                damage = str(error)
                warnings.warn(f"{damage}; it is put aside as {place(step)}.damaged", stacklevel=2)
                os.replace(place(step), place(step) + ".damaged")
        if damage:
            raise ValueError(f"no checkpoint in {folder} is whole: {damage}")
        return None

    return Checkpoints(save_in_turn, load_newest, steps)


def _place(folder: str, step: int) -> str:
    return os.path.join(folder, f"step-{step:09}.npz")


def _steps(folder: str) -> list[int]:
    """The steps of the checkpoints in a folder, the newest last.

    The listing alone decides: where another process has removed a file since, it has saved a newer one.
    """

    def is_ours(entry: os.DirEntry[str]) -> bool:
        digits = entry.name[5:-4]
        return digits.isdecimal() and entry.path == _place(folder, int(digits)) and entry.is_file()

    entries = list(os.scandir(folder)) if os.path.isdir(folder) else []
    return sorted(int(entry.name[5:-4]) for entry in entries if is_ours(entry))


def _sweep(folder: str) -> None:
    """Remove what a killed process had begun to write."""
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if name.startswith("step-") and name.endswith(".tmp"):
            with suppress(FileNotFoundError, IsADirectoryError), open(os.path.join(folder, name), "rb") as file:
                if os.fstat(file.fileno()).st_size and hold(file):  # an empty one may be about to be marked
                    os.remove(file.name)


def _encode(leaf: Any, name: str) -> Any:
    """A leaf as an array."""
    if type(leaf) is _Text:
        return np.array([*leaf.encode()], np.uint8)
    if kind_of_key(leaf) is not None:
        return words_of_key(leaf)
    if type(leaf) is Key:
        return np.array([leaf.value & (2**64 - 1), leaf.value >> 64], np.uint64)
    if type(leaf) is int and not -(2**63) <= leaf < 2**63:
        raise ValueError(f"{name} is an integer of more than 64 bits")
    if type(leaf) in (bool, int, float):
        return np.asarray(leaf, {bool: np.bool_, int: np.int64, float: np.float64}[type(leaf)])
    leaf = to_numpy(leaf) if is_tensor(leaf) else leaf
    dtype = getattr(leaf, "dtype", None)
    if getattr(dtype, "kind", "") not in tuple("biufc") and not is_narrow(dtype):
        raise TypeError(
            f"{name} is {describe(leaf)}: an array of numbers, a key, an int, a float or a bool can be kept"
        )
    return np.asarray(leaf)


def _kind(leaf: Any) -> str:
    of_jax = kind_of_key(leaf)
    if of_jax is not None:
        return _JAX_KEY + of_jax
    return {Key: "key", bool: "bool", int: "int", float: "float", _Text: "str"}.get(type(leaf), "array")


def _decode(array: np.ndarray, kind: str) -> Any:
    """The leaf that `_encode` made an array of."""
    if kind == "array":
        return seal(array)
    if kind == "key":
        low, high = array.tolist()
        return Key(low | high << 64)
    if kind.startswith(_JAX_KEY):
        return key_of_words(array, kind.removeprefix(_JAX_KEY))
    if kind == "str":
        return bytes(array).decode()
    return {"bool": bool, "int": int, "float": float}[kind](array[()])


def _fill(arrays: Mapping[str, Any], like: T, who: str) -> T:
    """The tree built like `like`, with its leaves from arrays by path."""
    states = [path for path, node in trees.items(like, leaf_type=State) if type(node) is State]
    arrays = {**{f"{path}.total": _encode(math.nan, "total") for path in states}, **arrays}  # older files have none
    named, structure = [(name or "leaf", leaf) for name, leaf in trees.items(like)], trees.flatten(like)[1]
    wanted = [name for name, _ in named]
    for verb, names in (("lacks", [n for n in wanted if n not in arrays]), ("has", sorted({*arrays} - {*wanted}))):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            there = ""
            if verb == "lacks" and arrays:
                first = sorted(arrays)[:3]
                there = f"; it has {', '.join(first)}{', …' * (len(arrays) > 3)}"
            raise ValueError(
                f"{who} {verb} {names[0]}{others}, which {'like has' if verb == 'lacks' else 'like lacks'}{there}"
            )

    def restore(name: str, leaf: Any) -> Any:
        array, kind = arrays[name], _kind(leaf)
        model = leaf if kind == "array" and hasattr(leaf, "dtype") and not is_tensor(leaf) else _encode(leaf, name)
        if tuple(array.shape) != tuple(model.shape) or array.dtype != np.dtype(model.dtype).newbyteorder("="):
            raise ValueError(f"{who}: {name} is {describe(array)}, but in like {describe(model)}")
        if isinstance(leaf, np.generic):
            return array[()]
        if kind == "array" and not isinstance(leaf, np.ndarray) and is_array(leaf):
            return engine_of(leaf).asarray(array)
        return _decode(array, kind)

    restored: T = trees.unflatten(structure, [restore(*pair) for pair in named])
    return restored


class _Text(str):
    """A word in a `Fit`, kept as the bytes of its UTF-8."""

    __slots__ = ()


def _with_texts(run: Fit[Any]) -> Fit[Any]:
    best = run.best and run.best._replace(monitor=_Text(run.best.monitor))
    return run._replace(stopped=_Text(run.stopped), best=best)


def _tells_of_fit(outline: Any) -> bool:
    def fields(node: Any) -> list[str]:
        return [field for field, _ in node["fields"]] if isinstance(node, dict) and "fields" in node else []

    return fields(outline) == [*Fit._fields] and fields(outline["fields"][-1][1]) in ([], [*Best._fields])


def _fill_fit(arrays: Mapping[str, Any], built: dict[str, Any], like: State[Any], who: str) -> Fit[Any]:
    """The Fit of a file: its params are built like those of a state; its history, words and best epoch are its own."""

    def part(path: str, like: Any) -> Any:
        inside = {name.removeprefix(path) or "leaf": array for name, array in arrays.items() if name.startswith(path)}
        return _fill(inside, like, f"{who}, in {path}")

    best = built["best"] and Best(**{**built["best"], "params": part(".best.params", like.params)})
    return Fit(part(".params", like.params), part(".state", like), built["history"], built["stopped"], best)


def _outline(node: Any) -> Any:
    """The containers of a tree in JSON: a leaf is its kind, a container {"tuple": [...]}, None is null."""
    if not trees.is_node(node):
        return _kind(node)
    if node is None:
        return None
    if trees.structure_of(node) is not None:
        return _outline_registered(node)
    if isinstance(node, dict):
        for key in node:
            if type(key) not in (str, int):
                raise TypeError(f"a dict with {describe(key)} for a key cannot be kept: use strings or integers")
        return {"dict": [[key, _outline(child)] for key, child in node.items()]}
    if hasattr(node, "_fields"):
        fields = [[f, _outline(child)] for f, child in zip(node._fields, node, strict=True)]
        return {"fields": fields, "name": type(node).__name__}
    return {type(node).__name__: [_outline(child) for child in node]}


def _outline_registered(node: Any) -> Any:
    """The same of a container that only JAX knows: as one with fields, or as a dict."""
    pairs = [*zip(trees.steps_of(node), map(_outline, trees.children_of(node) or ()), strict=True)]
    if all(step.startswith(".") for step, _ in pairs):
        return {"fields": [[step[1:], child] for step, child in pairs], "name": type(node).__name__}
    return {"dict": [[literal_eval(step[1:-1]), child] for step, child in pairs]}


def _build(outline: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The tree of a description."""
    rest = dict(arrays)

    def grow(node: Any, path: str) -> Any:
        match node:
            case None:
                return None
            case str():
                return _decode(rest.pop(path or "leaf"), node)
            case {"tuple": list(children)}:
                return tuple(grow(child, f"{path}[{i}]") for i, child in enumerate(children))
            case {"list": list(children)}:
                return [grow(child, f"{path}[{i}]") for i, child in enumerate(children)]
            case {"dict": list(pairs)}:
                return {key: grow(child, f"{path}[{key!r}]") for key, child in pairs}
            case {"fields": list(pairs)}:
                return {field: grow(child, f"{path}.{field}") for field, child in pairs}
        raise ValueError("its description of the containers makes no sense")

    built = grow(outline, "")
    if rest:
        raise ValueError(f"{min(rest)} is not in its description of the containers")
    return built
