"""Plots, where matplotlib is installed: what holds for all of them, and how they meet bad input."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import purenet as pn

mpl.use("Agg")
import matplotlib.pyplot as plt

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
TARGET = np.array([[0], [1], [1], [0]], np.float32)
NET = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
PARAMS = NET.init(pn.key(0))
GRADS = pn.value_and_grad(NET, pn.mse)(PARAMS, X, TARGET)[1]
HISTORY = {"loss": [1.0, 0.5], "validation_loss": [1.1, 0.6]}
plots = pn.plotting


def predict(points):
    assert points.dtype == np.float32
    return points[:, :1] * points[:, 1:]


@pytest.fixture
def gif(tmp_path):
    return tmp_path / "boundary.gif"


ON_ONE = {
    "error_curve": lambda ax, gif: plots.error_curve([1.0, 0.5], ax=ax),
    "learning_curves": lambda ax, gif: plots.learning_curves(HISTORY, axes=ax),
    "decision_boundary": lambda ax, gif: plots.decision_boundary(predict, X, TARGET, ax=ax),
    "boundary_animation": lambda ax, gif: plots.boundary_animation(NET.apply, [PARAMS], X, TARGET, gif, ax=ax),
    "confusion_matrix": lambda ax, gif: plots.confusion_matrix([[2, 1], [0, 3]], ax=ax),
    "image_grid": lambda ax, gif: plots.image_grid(np.zeros((1, 8, 8)), axes=ax),
    "weight_histograms": lambda ax, gif: plots.weight_histograms(PARAMS[0].weight, axes=ax),
    "gradient_histograms": lambda ax, gif: plots.gradient_histograms(GRADS[0].weight, axes=ax),
    "gradient_flow": lambda ax, gif: plots.gradient_flow(GRADS, ax=ax),
}
ALL = {
    **ON_ONE,
    "surface": lambda ax, gif: plots.surface(predict, X, TARGET, ax=ax),
    "overview": lambda ax, gif: plots.overview([1.0, 0.5], predict, X, TARGET),
}


def test_every_plot_is_here():
    assert set(ALL) == set(plots.__all__) - {"is_available"}


@pytest.mark.parametrize("name", ALL)
def test_each_gives_a_new_figure_and_leaves_pyplot_as_it_is(name, gif):
    figure, ax = plt.subplots()
    before, rc = len(ax.get_children()), dict(mpl.rcParams)
    try:
        found, other = ALL[name](None, gif), ALL[name](None, gif)
        assert isinstance(found, Figure)
        assert found is not other
        assert plt.get_fignums() == [figure.number]
        assert plt.gca() is ax
        assert len(ax.get_children()) == before
        assert dict(mpl.rcParams) == rc
        found.savefig(gif.with_suffix(".png"))
    finally:
        plt.close(figure)


@pytest.mark.parametrize("name", [*ON_ONE, "surface"])
def test_each_draws_on_the_axes_it_is_given(name, gif):
    figure, (_, right) = plt.subplots(1, 2, subplot_kw={"projection": "3d"} if name == "surface" else {})
    try:
        left = figure.axes[0]
        before = len(left.get_children())
        plt.sca(left)
        assert ALL[name](right, gif) is figure
        assert right.has_data()
        assert len(left.get_children()) == before
        assert plt.get_fignums() == [figure.number]
        assert plt.gca() is left
    finally:
        plt.close(figure)


@pytest.mark.parametrize("name", ON_ONE)
def test_of_axes_in_a_part_of_a_figure_it_gives_the_whole(name, gif):
    figure = Figure()
    part = figure.subfigures(1, 2)[0].subfigures(2, 1)[0]
    assert ON_ONE[name](part.add_subplot(), gif) is figure


@pytest.mark.parametrize("name", ON_ONE)
def test_what_is_no_axes_is_named(name, gif):
    with pytest.raises(TypeError, match=f"{name} draws on the axes of a figure.*not on a Figure"):
        ON_ONE[name](Figure() if name not in PANELS else [Figure()], gif)


PANELS = {"learning_curves", "image_grid", "weight_histograms", "gradient_histograms"}


@pytest.mark.parametrize("name", sorted(PANELS))
def test_as_many_axes_as_panels(name, gif):
    with pytest.raises(ValueError, match=f"{name} draws on 1 axes, one for each panel, but 2 were given"):
        ON_ONE[name](Figure().subplots(1, 2), gif)


def test_without_a_display_and_without_pyplot():
    script = """
import sys, tempfile, numpy as np, purenet as pn
assert "matplotlib" not in sys.modules
x, target = np.float32([[0, 0], [0, 1], [1, 1]]), np.float32([0, 1, 0])
net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
params = net.init(pn.key(0))
predict = lambda points: net.apply(params, points)
plots, folder = pn.plotting, tempfile.mkdtemp()
figures = [
    plots.overview([1.0, 0.5], predict, x, target),
    plots.learning_curves({"loss": [1.0, 0.5]}),
    plots.boundary_animation(net.apply, [params], x, target, folder + "/boundary.gif"),
    plots.confusion_matrix([[1, 0], [0, 1]]),
    plots.image_grid(np.zeros((2, 8, 8))),
    plots.weight_histograms(params),
    plots.gradient_histograms(params),
    plots.gradient_flow(params),
]
for i, figure in enumerate(figures):
    figure.savefig(f"{folder}/{i}.png")
print("matplotlib.pyplot" in sys.modules)
"""
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "MPLBACKEND": "", "HOME": "/nonexistent"}
    command = [sys.executable, "-W", "error", "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout == "False\n"


def test_without_matplotlib_it_says_what_to_install(monkeypatch, gif):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not plots.is_available()
    for draw in ALL.values():
        with pytest.raises(ModuleNotFoundError, match=r"drawing needs matplotlib: pip install 'purenet\[plot\]'"):
            draw(None, gif)
    assert not gif.exists()


def animate(frames, path="a.gif", **options):
    return plots.boundary_animation(NET.apply, frames, X, TARGET, path, **options)


FIT = pn.Fit((), None, {"loss": [1.0]}, "epochs")
BAD = {
    "no errors": (lambda: plots.error_curve([]), ValueError, "error_curve takes errors of at least one epoch, but there is none"),
    "errors in two directions": (lambda: plots.error_curve([[1.0, 2.0]]), ValueError, r"errors, one number for each epoch, not a float64 array of shape \(1, 2\)"),
    "errors that are none": (lambda: plots.error_curve(["a"]), TypeError, "one number for each epoch, not a list"),
    "no history": (lambda: plots.learning_curves({}), ValueError, "at least one name, not an empty one"),
    "a history of no epoch": (lambda: plots.learning_curves({"loss": []}), ValueError, "loss of at least one epoch, but there is none"),
    "a Fit": (lambda: plots.learning_curves(FIT), TypeError, "takes a history, numbers by name, not a Fit: write found.history"),
    "a list": (lambda: plots.learning_curves([1.0]), TypeError, "takes a history, numbers by name, not a list"),
    "an unknown name": (lambda: plots.learning_curves(HISTORY, ["acc"]), ValueError, "can draw loss of this history, not 'acc'"),
    "a name alone": (lambda: plots.learning_curves(HISTORY, "loss"), TypeError, r"takes names, a list of them: write \['loss'\]"),
    "an unknown monitor": (lambda: plots.learning_curves(HISTORY, monitor="f1"), ValueError, "the best of loss, validation_loss, not of 'f1'"),
    "an unknown best": (lambda: plots.learning_curves(HISTORY, monitor="loss", best="max"), ValueError, "best 'lowest' or 'highest', not 'max'"),
    "arrays for each epoch": (lambda: plots.learning_curves({"recall": np.ones((3, 2))}), ValueError, r"recall, one number for each epoch.*\(3, 2\): choose others with names"),
    "two lengths": (lambda: plots.learning_curves({"loss": [1, 2], "f1": [1]}), ValueError, "not 2 of loss, 1 of f1"),
    "one feature": (lambda: plots.decision_boundary(predict, X[:, :1], TARGET), ValueError, r"two features, an array \(n, 2\), not a float32 array of shape \(4, 1\)"),
    "no sample": (lambda: plots.surface(predict, X[:0], TARGET[:0]), ValueError, r"surface takes samples.*\(0, 2\)"),
    "samples in a list": (lambda: plots.surface(predict, X.tolist(), TARGET), TypeError, r"not a list: write np\.asarray"),
    "integer samples": (lambda: plots.surface(predict, X.astype(int), TARGET), TypeError, r"write x\.astype\(np\.float32\)"),
    "too few targets": (lambda: plots.decision_boundary(predict, X, TARGET[:3]), ValueError, r"a target for each of the 4 samples, not a float32 array of shape \(3, 1\)"),
    "two logits": (lambda: plots.decision_boundary(lambda p: p, X, TARGET), ValueError, r"one number for each point.*\(10201, 2\): of two logits, give their difference, with level=0"),
    "flat axes for a surface": (lambda: plots.surface(predict, X, TARGET, ax=Figure().add_subplot()), TypeError, "projection='3d'"),
    "no frame": (lambda: animate([]), ValueError, "takes frames, the params at one moment at least, but there is none"),
    "params for frames": (lambda: animate(PARAMS), TypeError, "takes frames, a list or a dict of params, not a tuple"),
    "another kind of file": (lambda: animate([PARAMS], "a.mp4"), ValueError, r"writes a GIF, to a path that ends in \.gif, not 'a.mp4'"),
    "no speed": (lambda: animate([PARAMS], fps=0), ValueError, "fps, an integer from 1 to 50 frames a second, not 0"),
    "too fast": (lambda: animate([PARAMS], fps=51), ValueError, "not 51"),
    "no square": (lambda: plots.confusion_matrix(np.ones((2, 3))), ValueError, r"counts \(classes, classes\), not a float64 array of shape \(2, 3\): write metrics\.confusion_matrix\(y, target\)"),
    "no class": (lambda: plots.confusion_matrix(np.ones((0, 0))), ValueError, r"\(0, 0\)"),
    "words": (lambda: plots.confusion_matrix([["a"]]), ValueError, "takes counts"),
    "less than none": (lambda: plots.confusion_matrix([[1, -2], [0, 1]]), ValueError, "not negative, NaN or infinite, but found -2"),
    "NaN": (lambda: plots.confusion_matrix([[1, np.nan], [0, 1]]), ValueError, "but found nan"),
    "too few classes": (lambda: plots.confusion_matrix(np.eye(3), ["a", "b"]), ValueError, "a name for each line of the matrix, 3 of them, not 2"),
    "images in a row": (lambda: plots.image_grid(np.ones((3, 64))), ValueError, r"not a float64 array of shape \(3, 64\): write images\.reshape\(-1, height, width\)"),
    "two channels": (lambda: plots.image_grid(np.ones((3, 8, 8, 2))), ValueError, r"\(3, 8, 8, 2\)"),
    "too few titles": (lambda: plots.image_grid(np.ones((3, 8, 8)), ["a"]), ValueError, "titles, one for each image, 3 of them, not 1"),
    "no column": (lambda: plots.image_grid(np.ones((3, 8, 8)), columns=0), ValueError, "columns, a positive integer, not 0"),
    "no column of histograms": (lambda: plots.weight_histograms(PARAMS, columns=0), ValueError, "columns, a positive integer, not 0"),
    "a net for grads": (lambda: plots.gradient_flow(NET), TypeError, r"takes grads, not the layer .*: write E, grads = value_and_grad"),
    "a net": (lambda: plots.weight_histograms(NET), TypeError, r"takes params, not the layer serial\(.*\), which holds none: write net\.init\(key\)"),
    "no params": (lambda: plots.weight_histograms(((), ())), ValueError, "found none that is trained"),
    "buffers alone": (lambda: plots.gradient_flow(pn.Buffer(np.ones(3))), ValueError, "found none that is trained"),
    "numbers for params": (lambda: plots.gradient_histograms(((1.0,),)), TypeError, r"a pytree of arrays, but \[0\]\[0\] is a float"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    run, error, message = BAD[case]
    with pytest.raises(error, match=message):
        run()
