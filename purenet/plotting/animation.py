"""A net as it learns, as a moving picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from purenet.engine.arrays import describe, is_integer
from purenet.plotting.boundary import check_predict, check_samples, colour_bar, draw, furthest, grid
from purenet.plotting.canvas import figure_of, on_host, one_axes


@on_host
def boundary_animation(
    predict: Callable[[Any, Any], Any],
    frames: Mapping[str, Any] | Sequence[Any],
    x: Any,
    target: Any,
    path: str | os.PathLike[str],
    ax: Any = None,
    level: float = 0.5,
    fps: int = 10,
) -> Any:
    """Write a GIF of the decision boundary as it is learnt, and give the figure, which shows the last frame.

    Params are not changed by training, so a loop keeps a frame by keeping them:

    frames = {}
    for state in pn.train(net, loss, optimizer, params, batches, key=key, epochs=200, each="epoch"):
        if state.epoch % 2 == 0:
            frames[f"epoch {state.epoch}: loss {state.loss:.3f}"] = state.params
    pn.plotting.boundary_animation(net.apply, frames, x, target, "boundary.gif")

    All frames are on one scale of colours, and the last one stays for a second more. They are held in memory until they
    are written, about a megabyte each, so collect some hundred at most.

    Args:
        predict: takes params and points (n, 2), gives (n, 1) or (n,), as `net.apply` does.
        frames: the params at each moment, by the title that stands above; or a list of them, which are numbered.
        x, target, level: as in `decision_boundary`.
        path: of the file to write, which ends in .gif.
        ax: to draw on; the whole figure around them is in the picture.
        fps: frames a second.

    Raises:
        ValueError: there is no frame, or the path ends otherwise.
    """
    who = "boundary_animation"
    check_predict(predict, who, "net.apply in its place")
    path = os.fspath(path)
    if not path.lower().endswith(".gif"):
        raise ValueError(f"{who} writes a GIF, to a path that ends in .gif, not {path!r}")
    if not isinstance(frames, Mapping):
        if not isinstance(frames, list):  # one params would be a tuple
            raise TypeError(f"{who} takes frames, a list or a dict of params, not {describe(frames)}")
        frames = {f"frame {i} of {len(frames)}": params for i, params in enumerate(frames, 1)}
    if not frames:
        raise ValueError(f"{who} takes frames, the params at one moment at least, but there is none")
    if not is_integer(fps) or not 0 < fps <= 50:
        raise ValueError(f"{who} takes fps, an integer from 1 to 50 frames a second, not {fps!r}")
    labels = check_samples(x, target, who)
    planes = [grid(partial(predict, params), x, who) for params in frames.values()]
    reach = max(furthest(z, level) for _, _, z in planes)
    own = ax is None
    ax = one_axes(ax, who, size=(5.6, 4.4))
    figure = figure_of(ax)
    _write(path, fps, figure, _moments(ax, own, planes, list(frames), x, labels, level, reach), last=fps)
    return figure


def _moments(
    ax: Any, own: bool, planes: list[Any], names: Sequence[str], x: Any, labels: Any, level: float, reach: float
) -> Iterator[None]:
    """Draw one frame after another, each in place of the one before."""
    before = list(ax.get_children())
    for i, ((a, b, z), name) in enumerate(zip(planes, names, strict=True)):
        for artist in [artist for artist in ax.get_children() if artist not in before]:
            artist.remove()
        colours = draw(ax, a, b, z, x, labels, level, reach)
        ax.set_title(name)
        if i == 0:
            colour_bar(ax, colours)
            if own:  # the layout of the first frame is that of all: nothing must move but the boundary
                ax.figure.draw_without_rendering()
                ax.figure.set_layout_engine("none")
        yield


def _write(path: str, fps: int, figure: Any, moments: Iterator[None], last: int) -> None:
    from matplotlib.animation import PillowWriter

    writer = PillowWriter(fps=fps)
    with writer.saving(figure, path, dpi=100):
        for _ in moments:
            writer.grab_frame()
        for _ in range(last):  # equal frames become one, which stays as long
            writer.grab_frame()
