"""Pictures, where matplotlib is installed: what is drawn is what was given."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

import purenet as pn

mpl.use("Agg")
import matplotlib.pyplot as plt

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
TARGET = np.array([[0], [1], [1], [0]], np.float32)


def predict(points):
    assert points.dtype == np.float32
    return points[:, :1] * points[:, 1:]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_each_draws_on_the_axes_it_is_given_and_returns_their_figure():
    figure, (left, right) = plt.subplots(1, 2)
    assert pn.plotting.error_curve([1.0, 0.5, 0.1], left) is figure
    np.testing.assert_array_equal(left.lines[0].get_xydata(), [[1, 1], [2, 0.5], [3, 0.1]])
    assert pn.plotting.decision_boundary(predict, X, TARGET, right) is figure
    np.testing.assert_array_equal(right.collections[-1].get_offsets(), X)


def test_the_surface_is_what_the_net_gives():
    figure = pn.plotting.surface(predict, X, TARGET)
    (ax,) = figure.axes
    assert ax.get_zlabel() == "output"
    assert figure is not pn.plotting.surface(predict, X, TARGET)


def test_overview_has_three_panels_and_can_be_saved(tmp_path):
    figure = pn.plotting.overview([1.0, 0.1], predict, X, TARGET)
    assert [ax.get_title() for ax in figure.axes] == ["Error per epoch", "Decision boundary", "", "Output"]
    figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.parametrize("count", [0, 1, 8, 11])
def test_image_grid_shows_each_image_under_its_title(count):
    images, titles = np.zeros((count, 8, 8)), [str(i) for i in range(count)]
    figure = pn.plotting.image_grid(images, titles)
    assert [ax.get_title() for ax in figure.axes if ax.images] == titles


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(pn.plotting, "is_available", lambda: False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'purenet\[plot\]'"):
        pn.plotting.error_curve([1.0])
