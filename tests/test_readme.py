"""The README is true: its snippets run, and the names it lists are the names there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import purenet as pn

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_snippets_run_one_after_another(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in SNIPPETS:
        exec(compile(snippet, "README.md", "exec"), names)
        if "digits.npz" in snippet:
            assert names["pn"].tree.allclose(names["params"], names["found"].params, rtol=0, atol=0)
    printed = capsys.readouterr().out
    assert "[[0.]\n [1.]\n [1.]\n [0.]]" in printed.replace("-0.", "0.").replace("[ ", "[")
    assert "output array is read-only" in printed
    assert float(re.search(r"([\d.]+)% of unseen digits are right", printed).group(1)) > 95
    assert float(re.search(r"sums are off by ([\d.]+)", printed).group(1)) < 0.1
    assert 0 < names["pn"].load("run.npz")["epoch"] < names["state"].epoch == names["epochs"]  # it stopped, and went on


def test_the_message_that_is_shown_is_the_message():
    names: dict[str, object] = {}
    definition = next(s for s in SNIPPETS if "def scale" in s)
    wrong = definition.replace("ops.sum_rows(dy * x)", "ops.sum_rows(dy * x) / 2")
    exec(f"import numpy as np, purenet as pn\n{wrong}", names)
    layer = names["scale"](3)
    with pytest.raises(AssertionError) as caught:
        pn.testing.check_vjp(layer, layer.init(pn.key(0)), pn.random.normal(pn.key(1), (5, 3)))
    shown = re.search(r"```text\n(AssertionError.*?)```", README, flags=re.DOTALL).group(1)
    assert f"AssertionError: {caught.value}".split() == shown.split()


def test_every_public_name_is_in_the_readme():
    named = set(re.findall(r"`(\w+)", README)) | set(re.findall(r"pn\.(\w+)", README))
    assert not set(pn.__all__) - named - {"Pullback", "LossPullback", "Penalty", "Key", "preset"}


def test_it_is_short():
    assert len(README.splitlines()) <= 250


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md", "tests/README.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")]
    assert found
    for link in found:
        assert (ROOT / page).parent.joinpath(link).is_file(), link


def test_files_that_the_page_for_contributors_names_are_there():
    folder = ROOT / "tests"
    for name in re.findall(r"`([\w/]+\.(?:py|npz))`", (folder / "README.md").read_text(encoding="utf-8")):
        assert any((root / name).is_file() for root in (folder, ROOT)), name
