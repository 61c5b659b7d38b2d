"""What the layers hold: histograms of weights and gradients, and how gradients change along the depth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from purenet import tree
from purenet.core import Buffer, Layer
from purenet.data.arrays import check_positive
from purenet.engine.arrays import describe, to_numpy
from purenet.plotting.canvas import figure_of, on_host, one_axes, panels
from purenet.values import brief

MOST_BINS, EPS = 41, float(np.finfo(np.float64).eps)


@on_host
def weight_histograms(params: Any, columns: int | None = None, axes: Any = None) -> Any:
    """How the numbers of each parameter are spread: a panel for each, under its path, with an axis of its own.

    Buffers, which are not trained, are left out. σ is the standard deviation; numbers that are NaN or infinite are
    counted in red, and not drawn.

    Args:
        columns: how many panels stand side by side; by default so many that the picture stays handy.
        axes: to draw on, as many as there are parameters.

    >>> import purenet as pn
    >>> net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(1))
    >>> figure = weight_histograms(net.init(pn.key(0))) if pn.plotting.is_available() else None
    """
    return _histograms(params, columns, axes, "weight_histograms", "params", "C0", log=False)


@on_host
def gradient_histograms(grads: Any, columns: int | None = None, axes: Any = None) -> Any:
    """How the gradients of each parameter are spread, as `weight_histograms` draws parameters.

    Many gradients are near 0, so counts are on a logarithmic scale; how many are 0 exactly stands below.
    """
    return _histograms(grads, columns, axes, "gradient_histograms", "grads", "C2", log=True)


@on_host
def gradient_flow(grads: Any, ax: Any = None) -> Any:
    """The mean and the largest |gradient| of each layer, along the depth, on a logarithmic scale.

    Where gradients vanish or explode, the lines fall or rise steeply. A layer whose gradient is 0 throughout is marked
    at the foot, one with a NaN or an infinity at the top. Buffers are left out; a layer stands where its params do.

    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.

    >>> import numpy as np, purenet as pn
    >>> net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
    >>> x, target = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    >>> E, grads = pn.value_and_grad(net, pn.mse)(net.init(pn.key(0)), x, target)
    >>> figure = gradient_flow(grads) if pn.plotting.is_available() else None
    """
    layers = _by_layer(_leaves(grads, "gradient_flow", "grads"))
    n = len(layers)
    ax = one_axes(ax, "gradient_flow", size=(min(16.0, max(6.4, 2.0 + 0.25 * n)), 4.8))
    sizes = np.array([_sizes(values) for values in layers.values()])
    finite = np.isfinite(sizes).all(axis=1)
    zero = finite & (sizes[:, 1] == 0)
    drawn = np.where((finite & ~zero)[:, None], sizes, np.nan)
    for i, (label, colour) in enumerate((("mean |gradient|", "C0"), ("largest |gradient|", "C1"))):
        ax.plot(drawn[:, i], marker="o", markersize=4, color=colour, label=label)
    across = ax.get_xaxis_transform()
    for where, height, marker, colour, label in (
        (zero, 0.03, "v", "0.3", "all 0"),
        (~finite, 0.97, "x", "crimson", "NaN or infinite"),
    ):
        if where.any():
            x = np.flatnonzero(where)
            ax.plot(x, np.full(len(x), height), marker, color=colour, label=label, transform=across)
    every = -(-n // max(1, int(ax.figure.bbox.width * ax.get_position().width / ax.figure.dpi / 0.15)))
    labels = list(layers)[::every]
    upright = sum(map(len, labels)) > 45
    ax.set_xticks(range(0, n, every), labels, rotation=90 if upright else 0, fontsize=8)
    ax.set_xlim(-0.5, n - 0.5)
    if np.isfinite(drawn).any():
        ax.set_yscale("log")
        low, high = np.clip(np.log10([np.nanmin(drawn), np.nanmax(drawn)]), -299, 299)  # Matplotlib counts to 1e300
        margin = 0.12 * (high - low) if high - low > 0.01 else 1  # room for the marks
        ax.set_ylim(10 ** np.clip([low - margin, high + margin], -300, 300))
    ax.set(xlabel="layer, from the input to the output", ylabel="|gradient|", title="Gradient flow")
    ax.grid(alpha=0.3)
    ax.legend()
    return figure_of(ax)


def _histograms(given: Any, columns: int | None, axes: Any, who: str, what: str, colour: str, log: bool) -> Any:
    leaves = _leaves(given, who, what)
    if columns is None:
        columns = min(8, 2 * math.ceil(len(leaves) ** 0.5 / 2))  # even: a weight and its bias side by side
    check_positive(who, columns=columns)
    all_axes = panels(len(leaves), axes, columns, size=(2.5, 2.0), who=who)
    for ax, (path, values) in zip(all_axes, leaves, strict=True):
        _histogram(ax, values, colour, log)
        ax.set_title(_lines(path), fontsize=8)
    return figure_of(all_axes[0])


def _histogram(ax: Any, values: Any, colour: str, log: bool) -> None:
    from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

    finite = values[np.isfinite(values)]
    bad = values.size - finite.size
    note = f"{bad:,} of {values.size:,} NaN or infinite\n" if bad else ""
    if finite.size:
        counts, edges = np.histogram(finite, *_bins(finite))
        ax.stairs(counts, edges, fill=True, color=colour)
        zeros = float((finite == 0).mean())
        note += "all 0" if zeros == 1 else f"σ {finite.std():.2g}" + (f", {zeros:.1%} are 0" if zeros else "")
    ax.set_xlabel(note.strip(), fontsize=8, color="crimson" if bad else "black")
    if not finite.size:
        ax.set(xticks=[], yticks=[])
        return
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    ax.tick_params(labelsize=7)
    if log:
        ax.set_yscale("log")
        ax.set_ylim(0.5, 2 * counts.max())  # a count of 1 is seen
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(0, 1.05 * counts.max())
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _bins(values: Any) -> tuple[int, tuple[float, float]]:
    """How many bins, and the ends of their axis: those of the numbers, or around them where they are all but one.

    >>> _bins(np.array([1.0, 2.0, 3.0])), _bins(np.ones(2))
    ((3, (1.0, 3.0)), (41, (0.5, 1.5)))
    """
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    if high - low > max(MOST_BINS * EPS * size, 1e-290):  # each bin needs an end of its own
        return min(MOST_BINS, 2 * int(values.size**0.5 / 2) + 3), (low, high)
    around = 0.5 * size if size > 1e-290 else 0.5
    return MOST_BINS, (low - around, high + around)  # an odd number of bins: a thin bar in the middle


def _sizes(values: Any) -> tuple[float, float]:
    """The mean and the largest of |g|; scaled, so that the sum neither overflows nor sinks to 0."""
    sizes = np.abs(values)
    largest = float(sizes.max())
    if not 0 < largest < np.inf:  # NaN too
        return largest, largest
    return largest * float((sizes / largest).mean()), largest


def _leaves(given: Any, who: str, what: str) -> list[tuple[str, Any]]:
    """The paths and the numbers, in float64, of all that is trained."""
    if isinstance(given, Layer):
        mend = "net.init(key)" if what == "params" else "E, grads = value_and_grad(net, loss)(params, x, target)"
        raise TypeError(f"{who} takes {what}, not the layer {brief(given.name)}, which holds none: write {mend}")
    found = []
    for path, leaf in tree.items(given, leaf_type=Buffer):
        if type(leaf) is Buffer:
            continue
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise TypeError(f"{who} takes {what}, a pytree of arrays, but {path or what} is {describe(leaf)}")
        values = to_numpy(leaf).astype(np.float64).ravel()
        if values.size:
            found.append((path or what, values))
    if not found:
        raise ValueError(f"{who} takes {what} of a layer that has some, but found none that is trained")
    return found


def _by_layer(leaves: list[tuple[str, Any]]) -> dict[str, Any]:
    """The numbers of each layer: params that are fields of one NamedTuple belong together.

    >>> list(_by_layer([("[0].weight", np.ones(2)), ("[0].bias", np.ones(1)), ("[1]", np.ones(1))]))
    ['[0]', '[1]']
    """
    layers: dict[str, list[Any]] = {}
    for path, values in leaves:
        layer = path if path.endswith("]") else path.rpartition(".")[0]
        layers.setdefault(layer or "grads", []).append(values)
    return {layer: np.concatenate(values) for layer, values in layers.items()}


def _lines(path: str, width: int = 26) -> str:
    """A path in lines of this width, if it has places to break at.

    >>> _lines("[3].attention['query'].weight")
    "[3].attention['query']\\n.weight"
    """
    lines, rest = [], path
    while len(rest) > width:
        cut = max(rest.rfind(".", 1, width + 1), rest.rfind("[", 1, width + 1))
        if cut <= 0:
            break
        lines.append(rest[:cut])
        rest = rest[cut:]
    return "\n".join([*lines, rest])
