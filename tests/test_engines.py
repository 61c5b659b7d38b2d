"""The code asks an array for its engine in few places, and the README's section for contributors lists them all."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import purenet

SOURCE = Path(purenet.__file__).parent
README = (SOURCE.parent / "README.md").read_text(encoding="utf-8")


def branches(code):
    """How often the code asks what an array is made by: comparisons with np or np.ndarray, and isinstance of them."""

    def array_type(node):
        return isinstance(node, ast.Attribute) and node.attr in ("ndarray", "generic", "memmap")

    def engine(node):
        return array_type(node) or (isinstance(node, ast.Name) and node.id in ("np", "ndarray"))

    count = 0
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            by_name = any(isinstance(side, ast.Constant) and side.value in ("numpy", "jax.numpy") for side in sides)
            count += by_name or any(map(engine, sides))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            count += any(map(array_type, ast.walk(node.args[1])))
        elif isinstance(node, ast.Attribute) and node.attr == "modules":  # of JAX, if it is there
            count += 1
    return count


def test_the_readme_lists_every_place_where_the_code_looks_at_the_engine():
    found = {
        path.relative_to(SOURCE).as_posix(): branches(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    }
    listed = Counter()
    for files, number in re.findall(r"^\| `([\w/]+\.py)`[^|]*\| (\d+) \|", README, flags=re.MULTILINE):
        listed[files] += int(number)
    assert {name: n for name, n in found.items() if n} == dict(listed)


def test_the_count_counts():
    code = "type(x) is ndarray\ntype(x) is np.ndarray\nisinstance(x, np.generic | int)\nxp is np\nx.shape is None"
    assert branches(f"{code}\nxp.__name__ == 'numpy'") == 5
