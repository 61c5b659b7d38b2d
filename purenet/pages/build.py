"""All pages, rendered by pdoc."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import typing
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pdoc
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from pdoc import doc, render
from pygments.formatters import HtmlFormatter

import purenet
import purenet.guide
from purenet.examples.command import scripts
from purenet.names import MODULES
from purenet.pages import links
from purenet.pages.docstrings import to_markdown
from purenet.pages.prose import PICTURES, TITLES, prose
from purenet.values import Value

CONCEPTS = ("core", "spec", "spec.patterns", "engine", "training.gradient", "interop", "introspection", "estimators")
OF_PYTHON = ("Alias for field number", "Create new instance of")  # the docstrings that a NamedTuple's parts get
GUIDES = ("purenet.guide", *(f"purenet.guide.{found.name}" for found in iter_modules(purenet.guide.__path__)))
API = ("purenet", *(f"purenet.{module}" for module in sorted({*MODULES, *CONCEPTS})))


def build(out: Path) -> tuple[int, int]:
    """Write all pages into a folder; how many there are, and how many links between them.

    Raises:
        ValueError: the folder holds something, or a link leads nowhere.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: give a new folder, so that no old page stays in it")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start, *others = map(doc.Module, prose())
        pages = {"index": start} | {name: _of_guide(name) for name in GUIDES}
        pages |= {name: _of_module(name) for name in API} | {page.modulename: page for page in others}
        _configure(pages)
        for name, page in pages.items():
            file = out / f"{name.replace('.', '/')}.html"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(render.html_module(page, pages), encoding="utf-8")
        shutil.copytree(PICTURES, out / PICTURES.name)
        (out / "search.js").write_text(_search_index(pages), encoding="utf-8")
    return links.check(out.resolve())


def _search_index(pages: dict[str, doc.Module]) -> str:
    """What can be searched, without the colors of code. The browser makes the index of it: made here, as pdoc does
    where it finds Node, it has four times the size."""
    with patch.object(render, "precompile_index", lambda documents, compiler: json.dumps(documents)):
        return re.sub(r"</?span[^>]*>", "", render.search_index(pages))


def _configure(pages: dict[str, doc.Module]) -> None:
    templates = Path(__file__).parent / "templates"
    render.configure(docformat="markdown", show_source=False, template_directory=templates)
    targets = _targets(pages)
    for_signatures = pdoc.render_helpers.linkify

    @pass_context
    def linkify(context: Context, html: str, namespace: str = "", shorten: bool = True) -> Markup:
        if shorten:
            return Markup(links.shortened(for_signatures(context, html, namespace, shorten)))
        return Markup(links.linked(html, context["module"].modulename, targets))

    render.env.filters["linkify"] = linkify
    dark_code = HtmlFormatter(style="github-dark").get_style_defs(".pdoc-code")
    titles = {name: TITLES.get(name, name) for name in pages} | {name: _title(pages[name]) for name in GUIDES}
    render.env.globals.update(api=API, version=purenet.__version__, dark_code=dark_code, titles=titles)


def _of_guide(name: str) -> doc.Module:
    """A guide: its docstring alone, whose first line is the heading."""
    text = inspect.getdoc(import_module(name)) or ""
    return doc.Module(ModuleType(name, "# " + to_markdown(text).replace(".", "", 1)))


def _title(guide: doc.Module) -> str:
    return guide.docstring.partition("\n")[0].removeprefix("# ")


def _of_module(name: str) -> doc.Module:
    """A module with its presets as the functions that make them, and with its docstrings as Markdown."""
    module = doc.Module(import_module(name))
    for public in getattr(module.obj, "__all__", ()):
        getattr(module.obj, public)  # some are imported when they are first asked for
    for name, member in module.members.items():
        value = getattr(module.obj, name, None)
        if isinstance(value, Value) and hasattr(value, "__wrapped__"):
            make: Any = value  # a preset, which has the function as its `__wrapped__`
            module.members[name] = doc.Function(module.modulename, name, make, member.taken_from)
    for part in _parts(module):
        of_python = part.docstring.startswith(OF_PYTHON)
        part.docstring = "" if of_python else to_markdown(part.docstring)
        if isinstance(part, doc.Class) and hasattr(part.obj, "_fields"):
            # the text of the annotations of a NamedTuple's `__new__` does not say in which module it stands
            part.obj.__new__.__annotations__ = typing.get_type_hints(part.obj)
    return module


def _parts(of: doc.Namespace[Any]) -> Iterator[doc.Doc[Any]]:
    yield of
    for member in of.own_members:
        if isinstance(member, doc.Class):
            yield from _parts(member)
        elif not isinstance(member, doc.Module):
            yield member


def _targets(pages: dict[str, doc.Module]) -> dict[str, links.Target]:
    """What a name in a text leads to: `purenet.tree.map`, `pn.tree.map`, `tree.map`; `map` on its own page, "page:map";
    and of purenet itself `dense`. One that is also an argument somewhere, such as `key`, may mean that, and is left.
    """
    targets: dict[str, links.Target] = {}
    for name in API:
        parts = [(name, ""), *((name, part.qualname) for part in _parts(pages[name]) if part.qualname)]
        targets |= {f"{page}.{anchor}".rstrip("."): (page, anchor) for page, anchor in parts}
    targets |= {f"pn{name.removeprefix('purenet')}": target for name, target in targets.items()}
    targets |= {f"purenet.examples.{path.stem}": ("gallery", path.stem) for path in scripts()}
    makers = [inspect.unwrap(thing) for thing in map(purenet.__dict__.get, purenet.__all__) if callable(thing)]
    arguments = {argument for make in makers for argument in inspect.signature(make).parameters}
    own = {f"{page}:{anchor}": (page, anchor) for page, anchor in targets.values() if anchor not in arguments}
    there = {name.removeprefix("pn."): target for name, target in targets.items() if name.startswith("pn.")}
    short = {name: target for name, target in there.items() if name not in arguments}
    # on the page of the benchmarks `dense` is a benchmark
    return targets | {f"{page}:{name}": short[name] for page in pages if page != "benchmarks" for name in short} | own
