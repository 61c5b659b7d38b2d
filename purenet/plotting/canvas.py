"""Where the plots are drawn: axes that are given, or those of a new figure, which pyplot knows nothing of."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from purenet.engine.arrays import describe
from purenet.engine.jax import host_only
from purenet.values import hinted

Options = ParamSpec("Options")
Drawn = TypeVar("Drawn")


def on_host(plot: Callable[Options, Drawn]) -> Callable[Options, Drawn]:
    """The plot, with an error if JAX traces, before it looks at what it was given: there are no numbers then."""

    @wraps(plot)
    def checked(*args: Options.args, **options: Options.kwargs) -> Drawn:
        host_only("drawing")
        return plot(*args, **options)

    return hinted(checked)


def is_available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches."""
    _check_available()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def one_axes(ax: Any, who: str, size: tuple[float, float] = (6.4, 4.8), projection: str | None = None) -> Any:
    """The axes that were given, or those of a new figure."""
    if ax is None:
        return new_figure(*size).add_subplot(projection=projection)
    _check_available()
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"{who} draws on the axes of a figure, such as figure.add_subplot(), not on {describe(ax)}")
    if projection == "3d" and ax.name != "3d":
        raise TypeError(f"{who} draws on axes with three directions: write figure.add_subplot(projection='3d')")
    return ax


def panels(count: int, axes: Any, columns: int, size: tuple[float, float], who: str) -> list[Any]:
    """So many axes: those that were given, or those of a new figure, line by line, each of so many inches."""
    if axes is not None:
        given = [axes] if hasattr(axes, "figure") else list(getattr(axes, "flat", axes))
        if len(given) != count:
            raise ValueError(f"{who} draws on {count} axes, one for each panel, but {len(given)} were given")
        return [one_axes(ax, who) for ax in given]
    columns = min(columns, count)
    lines = -(-count // columns)
    figure = new_figure(size[0] * columns, size[1] * lines)
    return [figure.add_subplot(lines, columns, i + 1) for i in range(count)]


def figure_of(ax: Any) -> Any:
    """The whole figure, also of axes in a part of it."""
    return ax.figure.figure


def names_of(given: Any, count: int, who: str, what: str) -> Sequence[str]:
    """A name for each of so many things."""
    names = [str(name) for name in given]
    if len(names) != count:
        raise ValueError(f"{who} takes {what}, {count} of them, not {len(names)}")
    return names


def _check_available() -> None:
    if not is_available():
        raise ModuleNotFoundError("drawing needs matplotlib: pip install 'purenet[plot]'")
