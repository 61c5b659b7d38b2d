"""The links of the pages: from names to what they name, and a check that none is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pdoc.render_helpers import relative_link

DOT = r'(?:\.|</span><span class="o">\.</span><span class="n">)'  # also as it stands in highlighted code
NAMES = re.compile(
    rf"\bpn(?:{DOT}[A-Za-z]\w*)+"
    r"|(?<=<code>)[A-Za-z]\w*(?:\.\w+)*(?=\(.*?\)</code>|</code>)"
    r'|(?<=<code>help\(")[\w.]+'
)
MODULES = re.compile(rf"(?<![\w/\".])(?:purenet|typing){DOT}(?:\w+{DOT})*")
FUNCTION = re.compile(r'<span class="o">&lt;</span><span class="n">function</span> (.*?)<span class="o">&gt;</span>')

Target = tuple[str, str]  # a page, and a name in it


def linked(html: str, here: str, targets: Mapping[str, Target]) -> str:
    """The same with links from names to what they name, on the page `here`, where "here:name" goes before "name".

    >>> linked("<code>pn.mse.vjp</code>", "index", {"pn.mse": ("purenet", "mse")})
    '<code><a href="purenet.html#mse">pn.mse</a>.vjp</code>'
    """

    def link(match: re.Match[str]) -> str:
        parts = re.split(f"({DOT})", match[0])
        for end in range(len(parts), 0, -2):
            name = re.sub(DOT, ".", "".join(parts[:end]))
            if target := targets.get(f"{here}:{name}") or targets.get(name):
                page, anchor = target
                url = relative_link(here, page) + (f"#{anchor}" if anchor else "")
                return f'<a href="{url}">{name}</a>{"".join(parts[end:])}'
        return match[0]

    return NAMES.sub(link, html)


def shortened(signature: str) -> str:
    """A signature in HTML without the modules of its types, and with a function as its name.

    >>> shortened('<b>typing.Any</b> <a href="purenet.html#Key">purenet.random.Key</a>')
    '<b>Any</b> <a href="purenet.html#Key">Key</a>'
    """
    return FUNCTION.sub(r"\1", MODULES.sub("", signature)).replace('<span class="o">~</span>', "")


class Page(HTMLParser):
    """The links of one page, and the anchors in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links, self.anchors = list[str](), list[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [url for name in ("href", "src") if (url := given.get(name)) is not None]
        self.anchors += [anchor for name in ("id", "name") if (anchor := given.get(name)) and tag != "meta"]


def check(folder: Path) -> tuple[int, int]:
    """How many pages and how many links within them there are.

    Raises:
        ValueError: a link leads nowhere, or an anchor is there twice.
    """
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    links = [(path, url) for path, page in pages.items() for url in page.links if not re.match(r"https?:|data:", url)]
    wrong = [
        f"{path.relative_to(folder)}: {url} leads nowhere" for path, url in links if not _is_there(path, url, pages)
    ]
    wrong += [
        f"{path.relative_to(folder)}: #{anchor} is there twice"
        for path, page in pages.items()
        for anchor in _twice(page)
    ]
    if wrong:
        raise ValueError("\n".join(wrong))
    return len(pages), len(links)


def _is_there(path: Path, url: str, pages: Mapping[Path, Page]) -> bool:
    parts = urlsplit(url)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if parts.fragment:
        return target in pages and unquote(parts.fragment) in pages[target].anchors
    return target.is_file()


def _twice(page: Page) -> Iterator[str]:
    return (anchor for anchor in sorted(set(page.anchors)) if page.anchors.count(anchor) > 1)
