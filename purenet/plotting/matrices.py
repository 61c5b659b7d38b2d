"""Tables of numbers as pictures: a confusion matrix, and images side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from purenet.data.arrays import check_positive
from purenet.engine.arrays import describe, to_numpy
from purenet.plotting.canvas import figure_of, names_of, on_host, one_axes, panels


@on_host
def confusion_matrix(matrix: Any, classes: Sequence[Any] | None = None, normalize: bool = False, ax: Any = None) -> Any:
    """What each class was taken for: a line for each true class, a column for each that was predicted.

    The colours go by the square root, so that a few mistakes are seen beside many hits.

    Args:
        matrix: counts (n, n), as `metrics.confusion_matrix(y, target)` gives them.
        classes: the names of the classes, by default their numbers.
        normalize: draw each line as shares of its true class, in percent; a class without examples stays empty.

    >>> import numpy as np, purenet as pn
    >>> counts = pn.metrics.confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]))
    >>> figure = confusion_matrix(counts, classes=["cat", "dog"]) if pn.plotting.is_available() else None
    """
    who = "confusion_matrix"
    counts = to_numpy(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size or counts.dtype.kind not in "iuf":
        mend = "metrics.confusion_matrix(y, target)"
        raise ValueError(f"{who} takes counts (classes, classes), not {describe(counts)}: write {mend}")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ValueError(f"{who} takes counts, which are not negative, NaN or infinite, but found {_worst(counts)}")
    n = len(counts)
    names = names_of(range(n) if classes is None else classes, n, who, "classes, a name for each line of the matrix")
    total = counts.sum(axis=1, keepdims=True)
    shown = np.where(total > 0, 100 * counts / np.where(total > 0, total, 1), np.nan) if normalize else counts
    side = min(12.0, max(4.8, 2.4 + 0.42 * n))
    ax = one_axes(ax, who, size=(side + 0.8, side))
    from matplotlib.colors import PowerNorm

    top = 100.0 if normalize else float(max(shown.max(), 1))
    image = ax.imshow(shown, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=top))
    box = ax.get_window_extent()
    cell = 72 / ax.figure.dpi * min(box.width, box.height) / n  # in points
    _write_numbers(ax, shown, top, normalize, cell)
    every = math.ceil(11 / cell)
    ticks, labels = range(0, n, every), names[::every]
    upright = 6 * max(map(len, labels)) > cell * every
    ax.set_xticks(ticks, labels, rotation=90 if upright else 0)
    ax.set_yticks(ticks, labels)
    ax.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    ax.figure.colorbar(image, ax=ax, label="% of the true class" if normalize else "examples", shrink=0.8)
    return figure_of(ax)


@on_host
def image_grid(images: Any, titles: Sequence[str] = (), columns: int = 8, axes: Any = None) -> Any:
    """Images side by side, each under its title, on one scale: grey ones (n, height, width) or (n, height, width, 1),
    where the largest number is black, or coloured ones (n, height, width, 3).

    Args:
        titles: one for each image, or none at all.
        columns: how many stand side by side.
        axes: to draw on, as many as there are images.
    """
    who = "image_grid"
    shown = to_numpy(images)
    if shown.ndim == 4 and shown.shape[-1] == 1:
        shown = shown[..., 0]
    if not (shown.ndim == 3 or (shown.ndim == 4 and shown.shape[-1] == 3)) or shown.dtype.kind not in "iufb":
        raise ValueError(
            f"{who} takes images (n, height, width) or (n, height, width, 3), not {describe(shown)}: "
            "write images.reshape(-1, height, width)"
        )
    check_positive(who, columns=columns)
    titles = names_of(titles, len(shown), who, "titles, one for each image") if len(titles) else [""] * len(shown)
    all_axes = panels(max(1, len(shown)), axes, columns, size=(1.4, 1.7), who=who)
    finite = shown[np.isfinite(shown)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 1)
    for ax, image, title in zip(all_axes, shown, titles, strict=False):
        ax.imshow(image, cmap="gray_r", vmin=low, vmax=high)
        ax.set_title(title, fontsize=9)
    for ax in all_axes:
        ax.axis("off")
    return figure_of(all_axes[0])


def _write_numbers(ax: Any, shown: Any, top: float, normalize: bool, cell: float) -> None:
    """The number in each cell, if there is room: a zero is a faint dot, so that mistakes stand out."""
    written = {}
    for place, value in np.ndenumerate(shown):
        if value == 0:
            written[place] = "·"
        elif value > 0:  # not NaN
            whole = normalize or shown.dtype.kind != "f"
            written[place] = "<1" if normalize and value < 0.5 else f"{value:.0f}" if whole else f"{value:.3g}"
    size = min(10.0, 1.3 * cell / max(2, *map(len, written.values()), 0))
    if size < 5:
        return  # the colours tell more than small print
    for (i, j), text in written.items():
        colour = "0.6" if text == "·" else "white" if shown[i, j] > 0.4 * top else "black"
        ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)


def _worst(counts: Any) -> Any:
    """The first entry that is no count."""
    return counts[~np.isfinite(counts) | (counts < 0)][0]
