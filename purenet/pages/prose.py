"""The pages that are not of a module: the README, the gallery, the benchmarks, the tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import ModuleType

from purenet.examples.command import scripts
from purenet.pages.docstrings import to_markdown

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "purenet" / "examples" / "pictures"
FILES = {
    "index": "README.md",
    "gallery": "purenet/examples/README.md",
    "benchmarks": "benchmarks/README.md",
    "contributing": "tests/README.md",
}
TITLES = {"index": "Start", "gallery": "Gallery", "benchmarks": "Benchmarks", "contributing": "For contributors"}


def prose() -> list[ModuleType]:
    """Each page as a module that has a docstring alone, of Markdown.

    Raises:
        ValueError: this is no clone, so the files are not there.
    """
    missing = [file for file in FILES.values() if not (ROOT / file).is_file()]
    if missing:
        raise ValueError(f"{ROOT} has no {', '.join(missing)}: build the pages in a clone of the repository")
    texts = {name: with_links(file, (ROOT / file).read_text(encoding="utf-8")) for name, file in FILES.items()}
    texts["gallery"] += "".join(_of_script(path, doc) for path, doc in scripts().items())
    return [ModuleType(name, text) for name, text in texts.items()]


def _of_script(path: Path, doc: str) -> str:
    """A script of the gallery: what its docstring says, its picture if there is one, and its code."""
    code = path.read_text(encoding="utf-8")
    picture = f"![what it draws](pictures/{path.stem}.png)\n\n" if (PICTURES / f"{path.stem}.png").is_file() else ""
    docstring = ast.parse(code).body[0]
    body = "\n".join(code.splitlines()[docstring.end_lineno :]).strip()
    source = f"<details>\n<summary>the code</summary>\n\n```python\n{body}\n```\n\n</details>\n"
    return f"\n## {path.stem}\n\n{to_markdown(doc)}\n\n{picture}{source}"


def with_links(file: str, text: str) -> str:
    """The text of a file, with links to pages in place of those to files; files without a page are named only.

    >>> with_links("README.md", "[a](tests/README.md), [b](LICENSE), [c](purenet/spec/words.py), [d](https://d.org)")
    '[a](contributing.html), b, [c](purenet/spec.html), [d](https://d.org)'
    """

    def link(match: re.Match[str]) -> str:
        words, url = match.groups()
        if url.startswith(("https://", "#")):
            return match[0]
        path = (ROOT / file).parent.joinpath(url).resolve()
        if not path.is_file():
            raise ValueError(f"{file}: {url} leads nowhere")
        page = _page_of(path.relative_to(ROOT).as_posix())
        return f"[{words}]({page})" if page else words

    return re.sub(r"\[([^]\n]+)\]\(([^)\s]+)\)", link, text)


def _page_of(file: str) -> str:
    """The page about a file, or a picture itself; "" if there is none."""
    from purenet.pages.build import API, GUIDES

    names = {path: name for name, path in FILES.items()}
    if file in names:
        return f"{names[file]}.html"
    if (ROOT / file).parent == PICTURES:
        return f"{PICTURES.name}/{Path(file).name}"
    while "/" in file:
        if file.removesuffix(".py").replace("/", ".") in (*API, *GUIDES):
            return f"{file.removesuffix('.py')}.html"
        file = file.rpartition("/")[0]
    return ""
