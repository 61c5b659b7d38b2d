"""Every plot of something real, to be looked at: the run ends with the paths of the pictures.

`PURENET_PICTURES=pictures python -m pytest tests/oracles/test_pictures.py` puts them in a folder of your choice.
"""

from __future__ import annotations

from itertools import combinations

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import purenet as pn
from purenet.examples import xor

plots = pn.plotting


@pytest.fixture(scope="module")
def digits():
    """A net that reads digits: how its training went, and what it takes unseen ones for."""
    (x, target), (x_test, target_test) = pn.data.digits()
    net = pn.serial(pn.dense(64, 128), pn.batch_norm, pn.relu, pn.dropout(0.3), pn.dense(64), pn.relu, pn.dense(10))
    found = pn.fit(
        net, pn.softmax_cross_entropy, pn.adam(lr=1e-3), net.init(pn.key(0)), (x, target), key=pn.key(1), epochs=25,
        validation=(x_test, target_test), metrics={"accuracy": pn.metrics.accuracy, "f1": pn.metrics.f1},
    )  # fmt: skip
    grads = pn.value_and_grad(net, pn.softmax_cross_entropy)(found.params, x[:256], target[:256])[1]
    return found, grads, x_test, net.apply(found.params, x_test).argmax(axis=1), target_test


@pytest.fixture(scope="module")
def learnt():
    """XOR: the params after each epoch, and the errors."""
    return xor.train(1, epochs=2000)


def moons(n=200):
    """Two half circles that reach into each other."""
    angle = np.linspace(0, np.pi, n // 2)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.concatenate([upper, [1.0, 0.5] - upper]) + 0.15 * pn.random.normal(pn.key(0), (n, 2))
    return x.astype(np.float32), np.repeat(np.array([[0], [1]], np.float32), n // 2, axis=0)


def deep(depth, between, width=32):
    """The params and the gradients of a deep dense net."""
    x = pn.random.normal(pn.key(0), (64, width))
    net = pn.serial(*[part for _ in range(depth - 1) for part in (pn.dense(width, width), between)], pn.dense(width, 1))
    params = net.init(pn.key(1))
    return params, pn.value_and_grad(net, pn.mse)(params, x, x[:, :1])[1]


def keep(figure, path):
    """Write the picture, and check that nothing is cut off, and that no title or number lies on another."""
    figure.savefig(path, dpi=100)
    assert matplotlib.image.imread(path).std() > 0.01
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) >= -0.01, f"{path.name}: cut off on the left or at the foot: {box}"
    assert box.x1 <= width + 0.01, f"{path.name}: cut off on the right: {box}"
    assert box.y1 <= height + 0.01, f"{path.name}: cut off at the top: {box}"
    boxes = [(text.get_text(), text.get_window_extent()) for ax in figure.axes for text in writing(ax)]
    for (one, a), (other, b) in combinations(boxes, 2):
        overlap = min(min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0))
        assert overlap <= 2, f"{path.name}: {one!r} lies on {other!r}"  # 2 pixels at a corner are none


def writing(ax):
    """The title, the labels and the numbers around some axes, as far as they are seen."""
    if ax.name == "3d" or not ax.axison:
        return [ax.title] if ax.get_title() else []
    texts = [ax.title, ax.xaxis.label, ax.yaxis.label]
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            texts += [tick.label1, tick.label2] if low <= tick.get_loc() <= high else []
    return [text for text in texts if text.get_text() and text.get_visible()]


def test_error_curve(learnt, picture):
    keep(plots.error_curve(learnt[1]), picture("error_curve.png"))


def test_learning_curves(digits, picture):
    figure = plots.learning_curves(digits[0].history, monitor="validation_loss")
    keep(figure, picture("learning_curves.png"))


def test_learning_curves_of_one_epoch(digits, picture):
    history = {name: values[:1] for name, values in digits[0].history.items()}
    keep(plots.learning_curves(history, monitor="validation_loss"), picture("learning_curves_one_epoch.png"))


def test_learning_curves_with_nan(digits, picture):
    history = {name: values.copy() for name, values in digits[0].history.items()}
    history["loss"][[7, 8, 9, 11]] = np.nan
    history["validation_loss"][20:] = np.inf
    keep(plots.learning_curves(history, ["loss"]), picture("learning_curves_nan.png"))


def test_decision_boundary_of_xor(learnt, picture):
    figure = plots.decision_boundary(lambda p: xor.net.apply(learnt[0][-1], p), xor.x, xor.target)
    keep(figure, picture("decision_boundary.png"))


def test_surface_and_overview_of_xor(learnt, picture):
    predict = lambda p: xor.net.apply(learnt[0][-1], p)  # noqa: E731
    keep(plots.surface(predict, xor.x, xor.target), picture("surface.png"))
    keep(plots.overview(learnt[1], predict, xor.x, xor.target), picture("overview.png"))


def test_decision_boundary_of_moons_from_logits_and_as_it_is_learnt(picture):
    x, target = moons()
    net = pn.serial(pn.dense(2, 16), pn.tanh, pn.dense(16), pn.tanh, pn.dense(1))
    frames = {}
    run = pn.train(
        net, pn.binary_cross_entropy_with_logits, pn.adam(lr=0.02), net.init(pn.key(2)),
        lambda key: pn.data.batches(key, x, target, size=32), key=pn.key(3), epochs=40, each="epoch",
    )  # fmt: skip
    for state in run:
        frames[f"epoch {state.epoch}: loss {state.loss:.3f}"] = state.params
    net_then = lambda points: net.apply(state.params, points)  # noqa: E731
    figure = plots.decision_boundary(net_then, x, target, level=0)
    keep(figure, picture("decision_boundary_moons.png"))
    figure = plots.boundary_animation(net.apply, frames, x, target, picture("animation_moons.gif"), level=0)
    keep(figure, picture("animation_moons_last.png"))


def test_animation_of_xor(learnt, picture):
    path = picture("animation_xor.gif")
    frames = {f"epoch {i:,}": learnt[0][i - 1] for i in np.geomspace(1, 2000, 40).astype(int)}
    figure = plots.boundary_animation(xor.net.apply, frames, xor.x, xor.target, path)
    keep(figure, picture("animation_xor_last.png"))
    with Image.open(path) as gif:
        for i in (0, gif.n_frames // 2, gif.n_frames * 3 // 4):
            gif.seek(i)
            gif.convert("RGB").save(picture(f"animation_xor_frame_{i:02}.png"))


def test_confusion_matrix(digits, picture):
    *_, predicted, target = digits
    counts = pn.metrics.confusion_matrix(predicted, target)
    keep(plots.confusion_matrix(counts), picture("confusion_matrix.png"))
    keep(plots.confusion_matrix(counts, normalize=True), picture("confusion_matrix_normalized.png"))


def test_confusion_matrix_with_names(picture):
    counts = np.array([[431, 12, 0, 7], [25, 1310, 88, 0], [0, 101, 12345, 3], [0, 0, 0, 0]])
    names = ["golden retriever", "cat", "hippopotamus", "never seen"]
    keep(plots.confusion_matrix(counts, names), picture("confusion_matrix_names.png"))
    figure = plots.confusion_matrix(counts, names, normalize=True)
    keep(figure, picture("confusion_matrix_names_normalized.png"))
    keep(plots.confusion_matrix([[50, 3], [8, 60]], ["no", "yes"]), picture("confusion_matrix_2.png"))


def test_confusion_matrix_of_100_classes(picture):
    rng = np.random.default_rng(0)
    target, other = rng.integers(0, 100, (2, 5000))
    taken = np.where(rng.random(5000) < 0.7, target, other)
    counts = pn.metrics.confusion_matrix(taken, target)
    names = [f"class {i}" for i in range(100)]
    keep(plots.confusion_matrix(counts, names), picture("confusion_matrix_100.png"))


def test_image_grid(digits, picture):
    _, _, x, predicted, target = digits
    wrong = np.concatenate([np.flatnonzero(predicted != target), np.arange(20)])[:20]
    titles = [f"{target[i]} as {predicted[i]}" for i in wrong]
    keep(plots.image_grid(x[wrong].reshape(-1, 8, 8), titles), picture("image_grid.png"))


def test_weight_histograms(digits, picture):
    keep(plots.weight_histograms(digits[0].params), picture("weight_histograms.png"))


def test_weight_histograms_of_12_layers(picture):
    params, grads = deep(12, pn.tanh)
    keep(plots.weight_histograms(params), picture("weight_histograms_12.png"))
    keep(plots.gradient_histograms(grads), picture("gradient_histograms_12.png"))
    keep(plots.gradient_flow(grads), picture("gradient_flow_12.png"))


def test_histograms_of_a_transformer(picture):
    block = pn.transformer_block(32, heads=4, hidden=64)
    net = pn.serial(pn.embedding(50, 32), pn.learned_positions(16), block, block, pn.dense(50))
    x = np.random.default_rng(0).integers(0, 50, (4, 16))
    params = net.init(pn.key(1), in_shape=(16,))
    grads = pn.value_and_grad(net, pn.softmax_cross_entropy)(params, x, x)[1]
    keep(plots.weight_histograms(params), picture("weight_histograms_transformer.png"))
    keep(plots.gradient_histograms(grads), picture("gradient_histograms_transformer.png"))
    keep(plots.gradient_flow(grads), picture("gradient_flow_transformer.png"))


def test_gradients_of_digits(digits, picture):
    keep(plots.gradient_histograms(digits[1]), picture("gradient_histograms.png"))
    keep(plots.gradient_flow(digits[1]), picture("gradient_flow.png"))


def test_gradients_that_vanish(picture):
    _, grads = deep(12, pn.sigmoid)
    keep(plots.gradient_histograms(grads), picture("gradient_histograms_vanishing.png"))
    keep(plots.gradient_flow(grads), picture("gradient_flow_vanishing.png"))


def test_gradient_flow_of_100_layers(picture):
    keep(plots.gradient_flow(deep(100, pn.relu, width=8)[1]), picture("gradient_flow_100.png"))


def test_gradients_with_faults(picture):
    grads = list(deep(6, pn.tanh)[1])
    grads[2] = pn.tree.map(np.zeros_like, grads[2])
    grads[6] = grads[6]._replace(weight=np.where(np.abs(grads[6].weight) > 0.01, np.nan, grads[6].weight))
    keep(plots.gradient_flow(tuple(grads)), picture("gradient_flow_faults.png"))
    keep(plots.gradient_histograms(tuple(grads)), picture("gradient_histograms_faults.png"))


def test_several_plots_in_one_figure(digits, picture):
    found, grads, _, predicted, target = digits
    figure = Figure(figsize=(14, 9), layout="constrained")
    axes = figure.subplots(2, 3)
    plots.learning_curves(found.history, axes=axes[0])
    plots.confusion_matrix(pn.metrics.confusion_matrix(predicted, target), ax=axes[1, 0])
    plots.gradient_flow(grads, ax=axes[1, 1])
    plots.weight_histograms(found.params[0].weight, axes=axes[1, 2])
    keep(figure, picture("several.png"))
