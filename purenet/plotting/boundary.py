"""What a net with two features gives over the plane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from purenet.core import Layer
from purenet.engine import engine_of
from purenet.engine.arrays import describe, floating, to_numpy
from purenet.plotting.canvas import figure_of, new_figure, on_host, one_axes
from purenet.plotting.curves import error_curve

Predict = Callable[[Any], Any]
LEVELS = 21  # of colours
POINTS = "lambda points: net.apply(params, points)"


@on_host
def decision_boundary(predict: Predict, x: Any, target: Any, ax: Any = None, level: float = 0.5) -> Any:
    """What `predict` gives for two features, in colour, with the line where it crosses `level` and the samples.

    Args:
        predict: takes points (n, 2), gives (n, 1) or (n,).
        x: samples (n, 2).
        target: their targets, (n, 1) or (n,).
    """
    who = "decision_boundary"
    check_predict(predict, who)
    labels = check_samples(x, target, who)
    a, b, z = grid(predict, x, who)
    ax = one_axes(ax, who)
    reach = furthest(z, level)
    colours = draw(ax, a, b, z, x, labels, level, reach)
    colour_bar(ax, colours)
    ax.set_title("Decision boundary")
    return figure_of(ax)


@on_host
def surface(predict: Predict, x: Any, target: Any, ax: Any = None) -> Any:
    """What `predict` gives for two features, as a surface over them; the samples stand at their targets."""
    who = "surface"
    check_predict(predict, who)
    labels = check_samples(x, target, who)
    a, b, z = grid(predict, x, who, margin=0.0)
    ax = one_axes(ax, who, projection="3d")
    # faces of one size each: Matplotlib pads smaller ones with memory that nobody wrote, and computes with it
    ax.plot_surface(a, b, z, rstride=2, cstride=2, cmap="viridis", alpha=0.8, linewidth=0)
    ax.scatter(x[:, 0], x[:, 1], labels, color="crimson", s=50, depthshade=False)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="output", title="Output")
    ax.set_box_aspect(None, zoom=0.85)  # room for the labels
    return figure_of(ax)


@on_host
def overview(errors: Sequence[float], predict: Predict, x: Any, target: Any) -> Any:
    """One picture of a net with two features: its error per epoch, its decision boundary, its output as a surface."""
    check_predict(predict, "overview", f"overview(errors, {POINTS}, x, target)")
    figure = new_figure(16, 4.5)
    error_curve(errors, figure.add_subplot(1, 3, 1))
    decision_boundary(predict, x, target, figure.add_subplot(1, 3, 2))
    surface(predict, x, target, figure.add_subplot(1, 3, 3, projection="3d"))
    return figure


def check_predict(predict: Any, who: str, write: str = "") -> None:
    """Check that this is a function of points, and not the net itself."""
    if isinstance(predict, Layer) or not callable(predict):
        given = f"the layer {predict.name}" if isinstance(predict, Layer) else describe(predict)
        raise TypeError(f"{who} takes predict, a function, not {given}: write {write or f'{who}({POINTS}, x, target)'}")


def check_samples(x: Any, target: Any, who: str) -> Any:
    """The targets as a vector, after a check of the samples."""
    shape = getattr(x, "shape", None)
    if shape is not None and (len(shape) != 2 or shape[1] != 2 or not shape[0]):
        raise ValueError(f"{who} takes samples x of two features, an array (n, 2), not {describe(x)}")
    floating(x, who)
    if np.size(target) != len(x):
        raise ValueError(f"{who} takes a target for each of the {len(x)} samples, not {describe(target)}")
    return np.reshape(to_numpy(target), -1)


def grid(predict: Predict, x: Any, who: str, margin: float = 0.25, points: int = 101) -> tuple[Any, Any, Any]:
    """Coordinates around the samples, and what `predict` gives there."""
    low, high = np.min(x, axis=0), np.max(x, axis=0)
    width = np.where(high > low, high - low, 1)
    low, high = low - margin * width, np.where(high > low, high, low + 1) + margin * width
    a, b = np.meshgrid(np.linspace(low[0], high[0], points), np.linspace(low[1], high[1], points))
    where = np.stack([a.ravel(), b.ravel()], axis=1).astype(x.dtype)
    z = to_numpy(predict(engine_of(x, who).asarray(where)))
    if z.size != a.size:
        raise ValueError(
            f"{who} takes a predict that gives one number for each point, ({a.size}, 1) or ({a.size},), not "
            f"{describe(z)}: of two logits, give their difference, with level=0"
        )
    return a, b, np.reshape(z, a.shape)


def furthest(z: Any, level: float) -> float:
    """How far the outputs go from the level, to either side; a bit more, so that rounding leaves none out."""
    finite = z[np.isfinite(z)].astype(np.float64)
    reach = 1.0001 * float(np.abs(finite - level).max(initial=0))
    return reach if level + reach / LEVELS > level else 1.0


def draw(ax: Any, a: Any, b: Any, z: Any, x: Any, labels: Any, level: float, reach: float) -> Any:
    """The outputs in colours, white at the level, the line there and the samples. Gives the colours, for their bar."""
    z = np.ma.masked_invalid(z)
    colours = ax.contourf(a, b, z, levels=np.linspace(level - reach, level + reach, LEVELS), cmap="RdBu_r")
    if z.count() and z.min() < level < z.max():  # else there is no line, and matplotlib warns
        ax.contour(a, b, z, levels=[level], colors="black", linewidths=1.5)
    size = 110 if len(x) <= 50 else 30
    ax.scatter(
        x[:, 0], x[:, 1], c=labels, cmap="RdBu_r", edgecolors="white", linewidths=size**0.5 / 5, s=size, zorder=3
    )
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    return colours


def colour_bar(ax: Any, colours: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.figure.colorbar(colours, ax=ax, label="output", ticks=MaxNLocator(7))
