"""Pictures, with the extra `plot`: each function draws on the axes it is given, or on new ones, and returns the figure.

Nothing here shows a window: save what you get with `figure.savefig("picture.png")`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from purenet.tracing import host_only

Predict = Callable[[Any], Any]


def is_available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def error_curve(errors: Sequence[float], ax: Any = None) -> Any:
    """The error of each epoch, on a logarithmic scale."""
    figure, ax = _axes(ax)
    ax.semilogy(range(1, len(errors) + 1), errors)
    ax.set(xlabel="epoch", ylabel="error", title="Error per epoch")
    ax.grid(alpha=0.3)
    return figure


def decision_boundary(predict: Predict, x: Any, target: Any, ax: Any = None, level: float = 0.5) -> Any:
    """What `predict` gives for two features, in colour, with the line where it crosses `level` and the samples.

    Args:
        predict: takes points (n, 2), gives (n, 1) or (n,).
        x: samples (n, 2).
        target: their targets, (n, 1) or (n,).
    """
    figure, ax = _axes(ax)
    a, b, z = _grid(predict, x)
    colours = ax.contourf(a, b, z, levels=20, cmap="RdBu_r")
    figure.colorbar(colours, ax=ax, label="output")
    ax.contour(a, b, z, levels=[level], colors="black", linewidths=1.5)
    ax.scatter(
        x[:, 0], x[:, 1], c=np.reshape(target, -1), cmap="RdBu_r", edgecolors="white", linewidths=2, s=110, zorder=3
    )
    ax.set(xlabel="$x_1$", ylabel="$x_2$", title="Decision boundary")
    return figure


def surface(predict: Predict, x: Any, target: Any, ax: Any = None) -> Any:
    """What `predict` gives for two features, as a surface over them; the samples stand at their targets."""
    figure, ax = _axes(ax, projection="3d")
    ax.plot_surface(*_grid(predict, x, margin=0.0), cmap="viridis", alpha=0.8, linewidth=0)
    ax.scatter(x[:, 0], x[:, 1], np.reshape(target, -1), color="crimson", s=50, depthshade=False)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="output", title="Output")
    ax.set_box_aspect(None, zoom=0.85)  # room for the labels
    return figure


def overview(errors: Sequence[float], predict: Predict, x: Any, target: Any) -> Any:
    """One picture of a net with two features: its error per epoch, its decision boundary, its output as a surface."""
    figure = _pyplot().figure(figsize=(16, 4.5), layout="constrained")
    error_curve(errors, figure.add_subplot(1, 3, 1))
    decision_boundary(predict, x, target, figure.add_subplot(1, 3, 2))
    surface(predict, x, target, figure.add_subplot(1, 3, 3, projection="3d"))
    return figure


def image_grid(images: Any, titles: Sequence[str] = (), columns: int = 8) -> Any:
    """Grey images (n, height, width) side by side, each under its title."""
    count = max(1, len(images))
    columns = min(columns, count)
    lines = -(-count // columns)
    figure, axes = _pyplot().subplots(
        lines, columns, figsize=(1.4 * columns, 1.7 * lines), squeeze=False, layout="constrained"
    )
    for ax in axes.flat:
        ax.axis("off")
    for i, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        ax.imshow(image, cmap="gray_r")
        if titles:
            ax.set_title(titles[i], fontsize=9)
    return figure


def _grid(predict: Predict, x: Any, margin: float = 0.25, points: int = 101) -> tuple[Any, Any, Any]:
    """Coordinates around the samples, and what `predict` gives there."""
    low, high = np.min(x, axis=0), np.max(x, axis=0)
    low, high = low - margin * (high - low), high + margin * (high - low)
    a, b = np.meshgrid(np.linspace(low[0], high[0], points), np.linspace(low[1], high[1], points))
    where = np.stack([a.ravel(), b.ravel()], axis=1).astype(x.dtype)
    return a, b, np.reshape(np.asarray(predict(where)), a.shape)


def _axes(ax: Any, **options: Any) -> tuple[Any, Any]:
    """The figure and the axes to draw on."""
    host_only("drawing")
    if ax is None:
        ax = _pyplot().figure(layout="constrained").add_subplot(**options)
    return ax.figure, ax


def _pyplot() -> Any:
    host_only("drawing")
    if not is_available():
        raise ModuleNotFoundError("drawing needs matplotlib: pip install 'purenet[plot]'")
    import matplotlib.pyplot as plt

    return plt
