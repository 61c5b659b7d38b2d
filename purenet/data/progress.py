"""How far a long work has come: by tqdm if it is installed, else one line; nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any


class Progress:
    """A progress line on the standard error, shown only on a terminal, unless `shown` says otherwise.

    with Progress(total, "step") as progress:
        progress.advance(1, "loss 0.5")
    """

    def __init__(self, total: int | None, unit: str, shown: bool | None = None, done: int = 0) -> None:
        self.total, self.unit, self.done = total, unit, done
        self.shown = _is_terminal(sys.stderr) if shown is None else shown and sys.stderr is not None
        self.began, self.first, self.drawn, self.width, self.text = time.perf_counter(), done, 0.0, 0, ""
        self.bar: Any = None
        if self.shown:
            self._try(self._begin_bar)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.shown:
            self._try(self.bar.close if self.bar is not None else lambda: self._draw("\n"))

    def advance(self, n: int, text: str = "") -> None:
        """So much more is done."""
        self.done += n
        self.text = text or self.text
        if not self.shown:
            return
        if self.bar is not None:
            self._try(self._advance_bar, n)
        elif time.perf_counter() - self.drawn > 0.1:
            self._try(self._draw)

    def _try(self, draw: Callable[..., Any], *arguments: Any) -> None:
        """Where the screen is gone, the work goes on without one."""
        try:
            draw(*arguments)
        except (OSError, ValueError, AttributeError):
            self.shown = False

    def _begin_bar(self) -> None:
        try:
            import tqdm
        except ModuleNotFoundError:
            return
        counts = {"total": self.total, "initial": self.done, "unit": self.unit, "unit_scale": self.unit == "B"}
        self.bar = tqdm.tqdm(file=sys.stderr, **counts)

    def _advance_bar(self, n: int) -> None:
        self.bar.set_postfix_str(self.text, refresh=n == 0)
        self.bar.update(n)

    def _draw(self, end: str = "") -> None:
        self.drawn = time.perf_counter()
        rate = (self.done - self.first) / max(self.drawn - self.began, 1e-9)
        line = f"{self.done:,}"
        if self.total:
            line = f"{self.done / self.total:4.0%} {line}/{self.total:,}"
        line += f" {self.unit}  {rate:,.0f} {self.unit}/s"
        if self.total and rate:
            left = round(max(0, self.total - self.done) / rate)
            line += f"  {left // 60}:{left % 60:02} left"
        line += f"  {self.text}"
        sys.stderr.write("\r" + line.ljust(self.width) + end)
        sys.stderr.flush()
        self.width = len(line)


def _is_terminal(stream: Any) -> bool:
    """Whether somebody sees what is written there. A program without a console has no stream, or one of its own."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False
