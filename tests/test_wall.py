"""Only the engine looks at what an array is; and where arrays come in or go out: trees, data, files, pictures."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import purenet

SOURCE = Path(purenet.__file__).parent
MAY_LOOK = ("engine", "tree", "data", "storage", "plotting")
ARRAY_TYPES = ("ndarray", "generic", "memmap")


def looks(code):
    """The lines of code that ask what an array is made by, or what kind of numbers NumPy says that it holds."""

    def is_engine(node):
        return (isinstance(node, ast.Attribute) and node.attr in ARRAY_TYPES) or (
            isinstance(node, ast.Name) and node.id in ("np", *ARRAY_TYPES)
        )

    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            by_name = any(isinstance(side, ast.Constant) and side.value in ("numpy", "jax.numpy") for side in sides)
            if by_name or any(map(is_engine, sides)):
                found.add(node.lineno)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            if any(map(is_engine, ast.walk(node.args[1]))):
                found.add(node.lineno)
        elif isinstance(node, ast.Attribute) and (
            node.attr == "modules"  # of JAX, if it is there
            or (node.attr == "kind" and isinstance(node.value, ast.Attribute) and node.value.attr == "dtype")
        ):
            found.add(node.lineno)
    return sorted(found)


def test_nobody_else_looks():
    files = [path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in MAY_LOOK]
    assert len(files) > 50
    found = {path.relative_to(SOURCE).as_posix(): lines for path in files if (lines := looks(path.read_text("utf-8")))}
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "type(x) is ndarray",
        "type(x) is np.ndarray",
        "isinstance(x, np.generic | int)",
        "xp is np",
        "x.dtype.kind == 'f'",
        "xp.__name__ == 'jax.numpy'",
        "sys.modules['jax']",
    ],
)
def test_a_look_is_seen(line):
    assert looks(line) == [1]
    assert looks("type(x) is tuple\nx.shape is None") == []
