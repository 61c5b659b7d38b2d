"""Different optimizers for different parameters of one net: by path, or by what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from purenet import tree
from purenet.core import Buffer, Optimizer
from purenet.engine.arrays import describe, is_integer
from purenet.optimizers.transforms import Transform, behind, makes_transform, transform
from purenet.optimizers.update import Params, check_grads, still, wrong_state
from purenet.values import call, hinted


def route(
    name: str, choose: Callable[[str, Any], int], optimizers: tuple[Optimizer[Any, Any], ...]
) -> Optimizer[Any, tuple[Any, ...]]:
    """Each parameter to one of several optimizers: `choose(path, p)` is its index. The state is a tuple of theirs.

    Each optimizer sees the params with `()` where a parameter is another's. Buffers are left to the last one.
    """
    last = len(optimizers) - 1
    for optimizer in optimizers:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{name} takes optimizers, not {describe(optimizer)}")

    def routes(params: Any) -> Any:
        paths = iter(tree.items(params, leaf_type=Buffer))
        return tree.map(lambda p: _route(*next(paths)), params, leaf_type=Buffer)

    def _route(path: str, p: Any) -> int:
        return last if type(p) is Buffer else choose(path, p)

    def part(whole: Any, labels: Any, i: int) -> Any:
        return tree.map(lambda x, label: x if label == i else (), whole, labels, leaf_type=Buffer)

    def init(params: Params) -> tuple[Any, ...]:
        labels = routes(params)
        return tuple(optimizer.init(part(params, labels, i)) for i, optimizer in enumerate(optimizers))

    def step(params: Params, grads: Params, state: tuple[Any, ...] | None = None) -> tuple[Params, tuple[Any, ...]]:
        if type(state) is not tuple or len(state) != len(optimizers):
            raise wrong_state(name, f"a tuple of {len(optimizers)} states", state)
        check_grads(params, grads)
        labels = routes(params)
        each = range(len(optimizers))
        done = [optimizers[i].step(part(params, labels, i), part(grads, labels, i), state[i]) for i in each]
        supplies = [iter(tree.items(new, leaf_type=Buffer)) for new, _ in done]
        return tree.map(lambda label: next(supplies[label])[1], labels), tuple(s for _, s in done)

    return Optimizer(init, step, name)


@hinted
def per_path(optimizers: dict[str, Optimizer[Any, Any]], otherwise: Optimizer[Any, Any]) -> Optimizer[Any, Any]:
    """Another optimizer, and so another learning rate, for what stands at some paths; `otherwise` for all the rest.

    A path is the one of a parameter or of something that holds some, as error messages and `tree.items` write it. Of
    several that fit, the longest counts.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
    >>> params = net.init(pn.key(0))
    >>> opt = pn.per_path({"[0]": pn.sgd(0.01), "[0].bias": pn.sgd(0.1)}, otherwise=pn.adam())
    >>> params, state = opt.step(params, params, opt.init(params))

    Raises:
        ValueError: by init, if nothing stands at a path.
    """
    if not isinstance(optimizers, dict):
        raise TypeError(
            'per_path takes a dict of optimizers by path, as in per_path({"[0]": sgd(0.01)}, otherwise=adam()), '
            f"not {describe(optimizers)}"
        )
    _check_texts("per_path", optimizers)
    paths = sorted(optimizers, key=len, reverse=True)
    name = call("per_path", dict(optimizers), otherwise)

    def choose(path: str, p: Any) -> int:
        return next((i for i, prefix in enumerate(paths) if _leads_to(prefix, path)), len(paths))

    chosen = route(name, choose, (*(optimizers[path] for path in paths), otherwise))

    def init(params: Params) -> Any:
        _check_paths(name, params, paths)
        return chosen.init(params)

    def within(other: Any) -> Optimizer[Any, Any]:
        return per_path({path: behind(other, o) for path, o in optimizers.items()}, behind(other, otherwise))

    holds_back = any(each.within for each in (*optimizers.values(), otherwise))
    return chosen._replace(init=init, name=name, within=within if holds_back else None)


@makes_transform
def freeze(*paths: str) -> Transform:
    """Leaves what stands at these paths as it is; the optimizer sees the rest. Paths are those of `per_path`.

    Buffers move as ever: what a layer keeps of its batches is no training.

    >>> import purenet as pn
    >>> pn.chain(pn.freeze("[0]", "[2].bias"), pn.adam())
    chain(freeze('[0]', '[2].bias'), adam())
    """
    _check_texts("freeze", paths)
    name = call("freeze", *paths)

    def wrap(inner: Optimizer[Any, Any], name: str) -> Optimizer[Any, Any]:
        routed = route(name, lambda path, p: int(not any(_leads_to(prefix, path) for prefix in paths)), (still, inner))

        def init(params: Params) -> Any:
            _check_paths(name, params, paths)
            return routed.init(params)[1]

        def step(params: Params, grads: Params, state: Any = None) -> tuple[Params, Any]:
            params, (_, state) = routed.step(params, grads, ((), state))
            return params, state

        return Optimizer(init, step, name)

    return transform(name, wrap, holds_back=True)


def _check_texts(who: str, paths: Iterable[Any]) -> None:
    """Check that paths are texts."""
    for path in paths:
        if not isinstance(path, str):
            numbers = path if isinstance(path, list | tuple) else [path]
            texts = [f'"[{number}]"' for number in numbers] if all(map(is_integer, numbers)) else []
            mend = f"write {', '.join(texts)}" if texts else "tree.items(params) has those that there are"
            raise TypeError(f'{who} takes paths of params, texts such as "[0].bias", not {describe(path)}: {mend}')


def _leads_to(prefix: str, path: str) -> bool:
    """Whether a path is this one, or goes on from it: '[1]' leads to '[1].bias', but not to '[10]'."""
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", ".", "[")


def _check_paths(name: str, params: Any, paths: Any) -> None:
    there = [path for path, p in tree.items(params, leaf_type=Buffer) if type(p) is not Buffer]
    for prefix in paths:
        if not any(_leads_to(prefix, path) for path in there):
            named = f"[{prefix!r}]"
            mend = f": write {named!r}" if any(_leads_to(named, path) for path in there) else ""
            raise ValueError(f"{name}: there is no parameter at {prefix!r}, but at {', '.join(there)}{mend}")
