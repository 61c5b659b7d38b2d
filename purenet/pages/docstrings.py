"""Docstrings of this library as Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import dedent

SECTION = re.compile(r"(Args|Fields|Raises):$")
ITEM = re.compile(r"([\w*][\w*, ]*): (.*)", re.DOTALL)
COMMAND = "python -m "
CODE = re.compile(r"(`[^`]*`)")


def to_markdown(docstring: str) -> str:
    """A docstring as Markdown: doctests, commands and indented lines are code, and sections are lists.

    >>> print(to_markdown('''The rule is:
    ...     dE/dX = dE/dY · Wᵀ
    ...
    ... Raises:
    ...     ValueError: X has another number
    ...         of features.'''))
    The rule is:
    <BLANKLINE>
    ```text
    dE/dX = dE/dY · Wᵀ
    ```
    <BLANKLINE>
    <BLANKLINE>
    **Raises**
    <BLANKLINE>
    - `ValueError`: X has another number of features.
    <BLANKLINE>
    """
    lines, written = docstring.splitlines(), list[str]()
    while lines:
        if lines[0].startswith(">>>"):
            written.append(_fenced("pycon", _take(lines, lambda line: line != "")))
        elif lines[0].startswith(COMMAND):
            written.append(_fenced("text", _take(lines, lambda line: line.startswith(COMMAND))))
        elif lines[0].startswith("```"):
            written.append("\n".join([lines.pop(0), *_take(lines, lambda line: line != "```"), lines.pop(0)]))
        elif SECTION.match(lines[0]) and _indented(lines[1]):
            written.append(f"**{lines.pop(0)[:-1]}**\n\n{_items(_take(lines, _or_empty(_indented)))}")
        elif _indented(lines[0]):
            written.append(_fenced("text", _take(lines, _or_empty(_indented))))
        else:
            written.append(_escaped(lines.pop(0)))
    return "\n".join(written)


def _take(lines: list[str], goes_on: Callable[[str], bool]) -> list[str]:
    """Take from the front while it goes on, but leave empty lines at the end."""
    count = next((at for at, line in enumerate(lines) if not goes_on(line)), len(lines))
    while not lines[count - 1]:
        count -= 1
    taken, lines[:count] = lines[:count], []
    return taken


def _indented(line: str) -> bool:
    return line.startswith("    ")


def _or_empty(goes_on: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda line: not line or goes_on(line)


def _fenced(language: str, lines: list[str]) -> str:
    return "\n".join([f"\n```{language}", dedent("\n".join(lines)), "```\n"])


def _items(lines: list[str]) -> str:
    """A list of what a section says: each item begins at the indent of the first."""
    items = re.split(r"\n(?=\S)", dedent("\n".join(lines)))
    return "".join(f"- {_item(' '.join(item.split()))}\n" for item in items)


def _item(text: str) -> str:
    named = ITEM.match(text)
    return f"`{named[1]}`: {_escaped(named[2])}" if named else _escaped(text)


def _escaped(text: str) -> str:
    """Plain text in which stars and angle brackets stand for themselves, outside of code."""
    parts = CODE.split(text)
    parts[::2] = [part.replace("*", r"\*").replace("<", "&lt;") for part in parts[::2]]
    return "".join(parts)
