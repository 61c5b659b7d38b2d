"""How training went: the error, or each number of a history, over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from purenet.engine.arrays import describe, to_numpy
from purenet.metrics import best_when
from purenet.plotting.canvas import figure_of, on_host, one_axes, panels

COLOURS = {"training": "C0", "validation": "C1"}


@on_host
def error_curve(errors: Sequence[float], ax: Any = None) -> Any:
    """The error of each epoch, on a logarithmic scale if all are above 0.

    >>> from purenet.plotting import is_available
    >>> figure = error_curve([1.0, 0.1, 0.01]) if is_available() else None
    """
    values = _numbers(errors, "error_curve", "errors")
    ax = one_axes(ax, "error_curve")
    _draw(ax, {None: values}, log=_is_positive([values]))
    ax.set(ylabel="error", title="Error per epoch")
    return figure_of(ax)


@on_host
def learning_curves(
    history: Mapping[str, Any],
    names: Sequence[str] = (),
    monitor: str | None = None,
    best: Literal["lowest", "highest"] | None = None,
    axes: Any = None,
) -> Any:
    """The numbers of a history over the epochs: a panel for each, with training and validation in it.

    A loss that falls to less than a tenth is drawn on a logarithmic scale, all else on a linear one. Epochs where a
    number is NaN or infinite are marked by a cross at the foot.

    Args:
        history: numbers by name, an entry for each epoch, as `fit(...).history` is; `validation_loss` is drawn beside
            `loss`.
        names: what to draw, such as ["loss", "accuracy"]; by default all but the learning rate.
        monitor: if given, the epoch where this entry of the history is best is marked in each panel; `best` says
            whether it is so when "lowest" or when "highest", with the default of `fit`.
        axes: to draw on, as many as there are panels.

    >>> history = {"loss": [1.0, 0.5, 0.3], "validation_loss": [1.1, 0.6, 0.7], "validation_accuracy": [0.5, 0.9, 0.8]}
    >>> from purenet.plotting import is_available
    >>> figure = learning_curves(history, monitor="validation_loss") if is_available() else None

    Raises:
        ValueError: the history is empty, has no such name, or holds more than a number for each epoch.
    """
    who = "learning_curves"
    panes = _panes(history, names, who)
    mark = None if monitor is None else _best_epoch(history, monitor, best, who)
    all_axes = panels(len(panes), axes, columns=3, size=(4.8, 3.6), who=who)
    for ax, (name, curves) in zip(all_axes, panes.items(), strict=True):
        _draw(ax, curves, log=("loss" in name or "error" in name) and _is_positive(curves.values(), span=10))
        if mark is not None:
            ax.axvline(mark, color="0.4", linestyle="--", linewidth=1, label=f"best epoch: {mark}")
        ax.set_title(name)
        ax.legend()
    return figure_of(all_axes[0])


def _panes(history: Any, names: Sequence[str], who: str) -> dict[str, dict[str | None, Any]]:
    """For each quantity its curves, which are of one length."""
    if not isinstance(history, Mapping):
        mend = ": write found.history" if hasattr(history, "history") else ""
        raise TypeError(f"{who} takes a history, numbers by name, not {describe(history)}{mend}")
    if not history:
        raise ValueError(f"{who} takes a history with at least one name, not an empty one")
    panes: dict[str, dict[str | None, Any]] = {}
    for name, values in history.items():
        quantity = name.removeprefix("validation_")
        panes.setdefault(quantity, {})["training" if quantity == name else "validation"] = values
    if isinstance(names, str):
        raise TypeError(f"{who} takes names, a list of them: write [{names!r}]")
    for name in names:
        if name not in panes:
            raise ValueError(f"{who} can draw {', '.join(panes)} of this history, not {name!r}")
    measured = [quantity for quantity in panes if quantity != "learning_rate"]
    chosen = {quantity: panes[quantity] for quantity in names or measured or panes}
    lengths = {}
    for quantity, curves in chosen.items():
        for kind in curves:
            name = quantity if kind == "training" else f"validation_{quantity}"
            curves[kind] = _numbers(curves[kind], who, name)
            lengths[name] = len(curves[kind])
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{n} of {name}" for name, n in lengths.items())
        raise ValueError(f"{who} takes as many numbers of each name, one for each epoch, not {told}")
    return chosen


def _numbers(given: Any, who: str, name: str) -> Any:
    """The numbers as a vector in float64."""
    try:
        values = to_numpy(given).astype(np.float64)
    except (TypeError, ValueError):
        mend = ': write found.history["loss"]' if hasattr(given, "history") else ""
        mend = ': write history["loss"]' if isinstance(given, Mapping) else mend
        raise TypeError(f"{who} takes {name}, one number for each epoch, not {describe(given)}{mend}") from None
    if values.ndim != 1:
        other = ": choose others with names=[...]" if who == "learning_curves" else ""
        raise ValueError(f"{who} takes {name}, one number for each epoch, not {describe(values)}{other}")
    if not len(values):
        raise ValueError(f"{who} takes {name} of at least one epoch, but there is none")
    return values


def _best_epoch(history: Mapping[str, Any], monitor: str, best: str | None, who: str) -> int | None:
    """The number of the first epoch that `fit` would hold for the best; None if no number is one."""
    best = best or best_when(monitor)
    if best not in ("lowest", "highest"):
        raise ValueError(f"{who} takes best 'lowest' or 'highest', not {best!r}")
    if monitor not in history:
        raise ValueError(f"{who} can mark the best of {', '.join(history)}, not of {monitor!r}")
    values = _numbers(history[monitor], who, monitor)
    heights = np.where(np.isnan(values), np.inf, values if best == "lowest" else -values)
    return int(heights.argmin()) + 1 if heights.min() < np.inf else None


def _is_positive(curves: Any, span: float = 0.0) -> bool:
    """Whether all finite numbers are above 0, and the largest is so many times the smallest."""
    values = np.concatenate(list(curves))
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() >= span * values.min())


def _draw(ax: Any, curves: dict[str | None, Any], log: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    bad: set[int] = set()
    for label, values in curves.items():
        finite = np.isfinite(values)
        bad |= {int(i) + 1 for i in np.flatnonzero(~finite)}
        # a line needs two points: what stands alone is drawn as a dot
        left, right = np.concatenate([[False], finite[:-1]]), np.concatenate([finite[1:], [False]])
        few, dots = len(values) <= 12, np.flatnonzero(finite & ~left & ~right).tolist()
        ax.plot(
            np.arange(1, len(values) + 1),
            np.where(finite, values, np.nan),
            color=COLOURS.get(label or "training"),
            label=label,
            marker="o" if few or dots else None,
            markevery=None if few else dots,
            markersize=4,
        )
    if bad:
        ax.plot(
            sorted(bad),
            [0.03] * len(bad),
            "x",
            color="crimson",
            transform=ax.get_xaxis_transform(),
            label="NaN or infinite",
        )
    ax.set_yscale("log" if log else "linear")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xmargin(0.02)
    if ax.dataLim.width == 0:  # one epoch
        ax.set_xlim(0.5, 1.5)
    ax.set_xlabel("epoch")
    ax.grid(alpha=0.3)
