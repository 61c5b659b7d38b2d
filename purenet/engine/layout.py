"""Interim: what a pytree looks like, compiled once."""

from __future__ import annotations

from typing import Any

from numpy import ndarray


class Layout:
    def __init__(self, example: Any) -> None:
        self.leaves: list[Any] = []
        names: dict[str, Any] = {"ndarray": ndarray}
        lines = ["def fits(t0):"]
        count = 0

        def walk(node: Any, name: str) -> None:
            nonlocal count
            kind = type(node)
            names[f"K{len(names)}"] = kind
            test = f"{name}.__class__ is not K{len(names) - 1}"
            if isinstance(node, tuple) or kind is list:
                lines.append(
                    f"    if {test} or len({name}) != {len(node)}: return False"
                    if node
                    else f"    if {test} or {name}: return False"
                )
                inside = []
                for _ in node:
                    count += 1
                    inside.append(f"t{count}")
                if inside:
                    lines.append(f"    {', '.join(inside)}, = {name}")
                for child, n in zip(node, inside):
                    walk(child, n)
            elif kind is dict:
                names[f"D{len(names)}"] = list(node)
                lines.append(f"    if {test} or list({name}) != D{len(names) - 1}: return False")
                inside = []
                for _ in node:
                    count += 1
                    inside.append(f"t{count}")
                if inside:
                    lines.append(f"    {', '.join(inside)}, = {name}.values()")
                for child, n in zip(node.values(), inside):
                    walk(child, n)
            elif node is None:
                lines.append(f"    if {name} is not None: return False")
            else:
                self.leaves.append(node)
                if kind is ndarray:
                    names[f"S{len(names)}"] = node.shape
                    names[f"T{len(names)}"] = node.dtype
                    n = len(names) - 1
                    lines.append(f"    if {test} or {name}.shape != S{n - 1} or {name}.dtype is not T{n}: return False")
                else:
                    lines.append("    return False")

        walk(example, "t0")
        lines.append("    return True")
        exec("\n".join(lines), names)
        self.fits = names["fits"]
