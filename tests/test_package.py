"""What `import purenet` brings, and what it must not."""

from __future__ import annotations

import ast
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import purenet as pn

ROOT = Path(__file__).parents[1]


def test_import_brings_numpy_and_the_standard_library_alone():
    code = (
        "import sys, purenet\n"
        "top = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(top - set(sys.stdlib_module_names) - {'numpy', 'typing_extensions', 'purenet', '__main__'}))"
    )
    printed = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path = {sys.path!r}\n{code}"],
                             check=True, capture_output=True, text=True).stdout  # fmt: skip
    loaded = [name for name in eval(printed) if not name.startswith(("_", "cython", "sitecustomize", "mkl"))]
    assert loaded == []


def test_public_names_exist_once():
    assert len(pn.__all__) == len(set(pn.__all__))
    assert all(hasattr(pn, name) for name in pn.__all__)


def test_every_public_thing_has_a_docstring():
    assert all(getattr(pn, name).__doc__ for name in pn.__all__)
    # a preset's docstring is that of the function that makes it, not that of its class
    assert pn.tanh.__doc__ != pn.Layer.__doc__
    assert pn.mse.__doc__ != pn.Loss.__doc__


def test_help_shows_how_a_thing_is_called_and_what_it_is_and_no_more():
    for name in pn.__all__:
        thing = getattr(pn, name)
        if isinstance(thing, type) or inspect.ismodule(thing) or not callable(thing):
            continue
        lines = pydoc.render_doc(thing, renderer=pydoc.plaintext).splitlines()
        make = inspect.unwrap(thing)
        first = f"{make.__name__}("
        assert any(line.strip().startswith(first) for line in lines[2:4]), lines[:5]
        assert inspect.getdoc(make).splitlines()[0] in [line.strip() for line in lines[3:6]], lines[:6]
        assert len(lines) <= len(inspect.getdoc(make).splitlines()) + 6, name
    assert pn.elu.__doc__.startswith("elu(alpha: float = 1.0) -> Layer[NoParams]\n\ny = x where x > 0")
    assert str(inspect.signature(pn.elu)).startswith("(alpha")
    assert inspect.getdoc(pn.elu.__call__) == "The same with other options."


def test_only_the_agreed_names_stand_at_the_root():
    agreed = {"purenet", "tests", "benchmarks", "pyproject.toml", "README.md", "LICENSE"}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = {line.split("/")[0] for line in tracked.splitlines()}
    assert {name for name in names if not name.startswith(".")} <= agreed


def test_functions_fit_on_a_screen():
    """60 lines at most, without the docstring. The engine's may be longer."""
    longer = []
    for path in (ROOT / "purenet").rglob("*.py"):
        place = path.relative_to(ROOT / "purenet").as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not place.startswith("engine/"):
                documented = ast.get_docstring(node, clean=False) is not None
                docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0
                if node.end_lineno - node.lineno + 1 - docstring > 60:
                    longer.append((place, node.name))
    assert longer == []


def test_a_name_is_read_from_the_signature_of_one_maker():
    """`called("elu", locals())` finds the maker by its name: of makers that call it no two have one name."""
    makers, asked = [], set()
    for path in (ROOT / "purenet").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                marks = {mark.id for mark in node.decorator_list if isinstance(mark, ast.Name)}
                makers += [node.name] if marks & {"preset", "takes_numbers", "makes_transform"} else []
            if isinstance(node, ast.Call) and "locals()" in map(ast.unparse, node.args):
                asked |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    assert len(asked) > 70
    assert [name for name in asked if makers.count(name) != 1] == []


def test_imports_run_downstairs():
    """A layer knows no optimizer, core knows no layer: each file or folder imports from those before it alone."""
    stairs = [
        "names",
        "engine", "values", "random", "tree", "core", "initializers", "spec", "combinators",
        "layers", "losses", "metrics", "optimizers", "schedules", "introspection", "data",
        "plotting", "training", "profiling", "storage", "interop", "testing", "estimators", "examples", "playground",
        "guide", "pages",
    ]  # fmt: skip
    assert {path.name.removesuffix(".py") for path in (ROOT / "purenet").iterdir()} - {"__init__", "__pycache__"} == {
        *stairs, "py.typed"
    }  # fmt: skip
    for path in (ROOT / "purenet").rglob("*.py"):
        here = path.relative_to(ROOT / "purenet").parts[0].removesuffix(".py")
        if here == "__init__":
            continue
        for line in path.read_text().splitlines():
            if line.startswith("from purenet."):
                there = line.split()[1].split(".")[1]
                assert stairs.index(there) <= stairs.index(here), f"{path}: {line}"
