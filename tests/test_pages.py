"""The documentation: all of it is built, without a warning, and each link leads somewhere."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

import purenet as pn

pytest.importorskip("pdoc", reason="needs the extra docs")
pytest.importorskip("sklearn", reason="needs the extra docs")

from purenet.examples.command import scripts
from purenet.pages import links, prose

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "purenet.pages", str(out)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return out


def text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html))


def test_every_public_name_is_on_its_page_with_its_docstring(built):
    page = (built / "purenet.html").read_text(encoding="utf-8")
    for name in pn.__all__:
        thing = getattr(pn, name)
        if inspect.ismodule(thing):
            assert (built / "purenet" / f"{name}.html").is_file()
            continue
        section = page.partition(f'<section id="{name}">')[2].partition("</section>")[0]
        words = set(re.findall(r"\w+", inspect.getdoc(inspect.unwrap(thing)).splitlines()[0]))
        assert len(words) > 1
        assert words <= set(re.findall(r"\w+", text_of(section))), name


def test_the_search_is_small_and_finds_every_public_name(built):
    text = (built / "search.js").read_text(encoding="utf-8")
    found = json.loads(re.search(r"const docs = (\[.*\]);", text).group(1))
    assert {f"purenet.{name}" for name in pn.__all__} <= {each["fullname"] for each in found}
    assert len(text) < 1_000_000
    assert "<span" not in text


def test_a_preset_is_shown_as_the_function_that_makes_it(built):
    page = text_of((built / "purenet.html").read_text(encoding="utf-8"))
    assert re.search(r"@preset\s+def\s+elu\(alpha: float = 1.0\) -> Layer", page)


def test_signatures_show_types_in_short_and_the_fields_of_tuples(built):
    page = text_of((built / "purenet.html").read_text(encoding="utf-8"))
    assert "Buffer(value: Any)" in page
    assert "typing.Any" not in page
    assert "Alias for field number" not in page


def test_snippets_of_the_readme_link_to_what_they_use(built):
    page = (built / "index.html").read_text(encoding="utf-8")
    assert '<a href="purenet.html#dense">pn.dense</a>' in page
    assert '<a href="purenet/schedules.html#cosine">pn.schedules.cosine</a>' in page
    assert '<a href="gallery.html">their table</a>' in page
    assert '<code>help("<a href="purenet/spec.html">purenet.spec</a>")</code>' in page
    assert '<code>help("<a href="gallery.html#compiled">purenet.examples.compiled</a>")</code>' in page


def test_a_name_means_that_of_its_own_page_first(built):
    page = (built / "purenet" / "tree.html").read_text(encoding="utf-8")
    assert '<code><a href="#flatten">flatten</a></code>' in page
    assert "<code>dense</code>" in (built / "benchmarks.html").read_text(encoding="utf-8")  # a benchmark


def test_the_gallery_shows_each_script_with_its_code_and_its_picture(built):
    page = (built / "gallery.html").read_text(encoding="utf-8")
    sections = {part.partition('"')[0]: part for part in page.split('<h2 id="')[1:]}
    for path in scripts():
        section = sections[path.stem]
        assert "def main" in text_of(section)
        picture = f'src="pictures/{path.stem}.png"'
        assert (picture in section) == (prose.PICTURES / f"{path.stem}.png").is_file()


def test_pictures_are_small_and_each_has_a_script():
    pictures = list(prose.PICTURES.iterdir())
    assert {picture.stem for picture in pictures} <= {path.stem for path in scripts()}
    assert max(picture.stat().st_size for picture in pictures) <= 40_000


def test_guides_show_what_every_name_is_called_elsewhere(built):
    for library in ("keras", "pytorch", "jax"):
        page = (built / "purenet" / "guide" / f"from_{library}.html").read_text(encoding="utf-8")
        for name in pn.__all__:
            if not inspect.ismodule(getattr(pn, name)):
                assert f'<a href="../../purenet.html#{name}">pn.{name}</a>' in page, name


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<a href="#there">x</a>', "page.html: #there leads nowhere"),
        ('<a href="other.html">x</a>', "page.html: other.html leads nowhere"),
        ('<img src="picture.png">', "page.html: picture.png leads nowhere"),
        ('<p id="one"></p><p id="one"></p>', "page.html: #one is there twice"),
    ],
)
def test_broken_links_are_found(page, fault, tmp_path):
    (tmp_path / "page.html").write_text(page)
    with pytest.raises(ValueError, match=f"^{re.escape(fault)}$"):
        links.check(tmp_path)


def test_links_that_lead_somewhere(tmp_path):
    (tmp_path / "page.html").write_text('<p id="a b"><a href="#a%20b">x</a><a href="https://example.org">y</a></p>')
    assert links.check(tmp_path) == (1, 1)


def test_a_file_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match=r"^README\.md: no/such\.md leads nowhere$"):
        prose.with_links("README.md", "[x](no/such.md)")


def test_a_folder_that_holds_something_is_refused(tmp_path):
    from purenet.pages.build import build

    (tmp_path / "old.html").write_text("")
    with pytest.raises(ValueError, match="is not empty: give a new folder"):
        build(tmp_path)
