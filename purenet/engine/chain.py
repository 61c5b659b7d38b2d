"""A chain of bare rules as straight-line code, generated at first use: of a tiny net, loops are a part of the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

LONGEST = 100  # layers; of a longer chain the loop is nothing beside the layers

Split = Callable[[Any, int], Sequence[Any]]


def straight_rule(rules: Sequence[Any], order: Sequence[int], free: Sequence[bool], split: Split) -> Any:
    """`rule(ops, params, x, key) -> (y, pull)` of a chain. `order` is that of the calls; `free` says which layers have
    no params: with wrt_x=False those before the first that has some do not go back."""
    count, back = len(rules), list(reversed(order))
    first = next((n for n, i in enumerate(order) if not free[i]), count)
    lines = ["def rule(ops, params, x, key):", *_unpacked(count)]
    lines += [f"    x, pull{i} = rule{i}(ops, p{i}, x, k{i})" for i in order]
    lines += ["    def pull(dy, wrt_x):"]
    for n, i in zip(reversed(range(count)), back, strict=True):
        if n == first - 1:  # nothing is read of what these give, but for dE/dX
            skipped = ", ".join(f"g{j}" for j in order[:first])
            lines += [f"        if not wrt_x: {skipped}, dy = {'(), ' * first}None; return {_tuple('g', count)}, None"]
        lines += [f"        g{i}, dy = pull{i}(dy, {'wrt_x' if n == first else True})"]
    lines += [f"        return {_tuple('g', count)}, dy", "    return x, pull"]
    return _compiled(lines, rules, split)


def straight_forward(rules: Sequence[Any], forwards: Sequence[Any], order: Sequence[int], split: Split) -> Any:
    """`forward(ops, params, x, key) -> y` of a chain; of a layer without one of its own, the y of its rule."""
    lines = ["def rule(ops, params, x, key):", *_unpacked(len(rules))]
    for i in order:
        lines += [f"    x = rule{i}(ops, p{i}, x, k{i}){'' if forwards[i] else '[0]'}"]
    ways = [forward or rule for forward, rule in zip(forwards, rules, strict=True)]
    return _compiled([*lines, "    return x"], ways, split)


def pools_first(makers: Sequence[str]) -> tuple[int, ...]:
    """The order in which to compute: `max_pool` before the `relu` that it follows, on a fraction of the numbers.

    The two commute. A maximum is one of its numbers, and relu keeps their order: max(relu(a), relu(b)) is
    relu(max(a, b)). So is the rule: where the largest number of a window is positive, it is also the first largest
    after relu; where it is not, relu's rule gives 0 to the whole window, in either order. (A window with a NaN is NaN
    in either order, but the cells that its gradient goes to may be others.)
    """
    order = list(range(len(makers)))
    for i, (maker, following) in enumerate(pairwise(makers)):
        if maker == "relu" and following in ("max_pool", "global_max_pool"):
            order[i : i + 2] = i + 1, i
    return tuple(order)


def _unpacked(count: int) -> list[str]:
    if not count:
        return []
    keys = [f"k{i}" for i in range(count)]
    return [
        f"    {_tuple('p', count)} = params",
        f"    if key is None: {' = '.join(keys)} = None",
        f"    else: {_tuple('k', count)} = split(key, {count})",
    ]


def _tuple(name: str, count: int) -> str:
    return f"({', '.join(f'{name}{i}' for i in range(count))}{',' * (count == 1)})"


def _compiled(lines: list[str], rules: Sequence[Any], split: Split) -> Any:
    names: dict[str, Any] = {f"rule{i}": rule for i, rule in enumerate(rules)}
    names["split"] = split
    exec(compile("\n".join(lines), f"<a chain of {len(rules)} layers>", "exec"), names)
    return names["rule"]
