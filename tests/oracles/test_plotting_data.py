"""What is drawn is what was given: the numbers in the picture, its names and the ends of its axes."""

from __future__ import annotations

import io

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from PIL import Image

import purenet as pn

plots = pn.plotting
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
TARGET = np.array([[0], [1], [1], [0]], np.float32)


def predict(points):
    return points[:, :1] * points[:, 1:]


def curves(ax):
    """The lines by their labels."""
    return {line.get_label(): line for line in ax.lines}


def written(ax):
    """The numbers in a matrix by their place: (line, column)."""
    return {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in ax.texts}


def ticks(ax):
    return [text.get_text() for text in ax.get_xticklabels()]


# the error, and a history


def test_error_curve_is_logarithmic_where_it_can_be():
    (ax,) = plots.error_curve([1.0, 0.5, 0.1]).axes
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 1], [2, 0.5], [3, 0.1]])
    assert ax.get_yscale() == "log"
    for errors in ([1.0, 0.0], [1.0, -1.0], [np.nan]):
        assert plots.error_curve(errors).axes[0].get_yscale() == "linear"


def test_training_and_validation_share_a_panel():
    history = {"loss": [3.0, 2.0, 1.0], "validation_loss": [4.0, 3.0, 2.0], "validation_accuracy": [0.1, 0.5, 0.9]}
    loss, accuracy = plots.learning_curves(history).axes
    assert [loss.get_title(), accuracy.get_title()] == ["loss", "accuracy"]
    assert list(curves(loss)) == ["training", "validation"]
    np.testing.assert_array_equal(curves(loss)["training"].get_xydata(), [[1, 3], [2, 2], [3, 1]])
    np.testing.assert_array_equal(curves(loss)["validation"].get_ydata(), [4, 3, 2])
    assert list(curves(accuracy)) == ["validation"]
    assert curves(loss)["validation"].get_color() == curves(accuracy)["validation"].get_color()
    assert curves(loss)["training"].get_color() != curves(loss)["validation"].get_color()
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]


def test_a_pair_is_one_in_any_order_and_names_choose():
    history = {"validation_f1": [0.5], "loss": [1.0], "f1": [0.4], "validation_recall": [np.ones(3)]}
    figure = plots.learning_curves(history, ["f1", "loss"])
    assert [ax.get_title() for ax in figure.axes] == ["f1", "loss"]
    assert curves(figure.axes[0])["training"].get_ydata() == [0.4]


def test_a_learning_rate_is_drawn_if_it_is_asked_for():
    history = {"loss": [1.0, 0.5], "learning_rate": [0.1, 0.05]}
    drawn = [plots.learning_curves(history, names).axes for names in ([], ["learning_rate"])]
    drawn.append(plots.learning_curves({"learning_rate": [0.1]}).axes)
    assert [[ax.get_title() for ax in axes] for axes in drawn] == [["loss"], ["learning_rate"], ["learning_rate"]]


@pytest.mark.parametrize(
    ("name", "values", "scale"),
    [
        ("loss", [1.0, 0.1], "log"),
        ("loss", [1.0, 0.11], "linear"),
        ("loss", [1.0, 0.0], "linear"),
        ("loss", [1.0, -5.0], "linear"),
        ("loss", [np.nan, np.inf, 1.0, 0.01], "log"),
        ("mean_squared_error", [100.0, 1.0], "log"),
        ("accuracy", [0.01, 0.9], "linear"),
    ],
)
def test_a_loss_that_falls_far_is_drawn_on_a_logarithmic_scale(name, values, scale):
    (ax,) = plots.learning_curves({name: values}).axes
    assert ax.get_yscale() == scale


def test_the_axis_of_epochs_ends_where_they_do():
    (ax,) = plots.learning_curves({"loss": np.arange(1.0, 26.0)}).axes
    low, high = ax.get_xlim()
    assert 0 < low < 1
    assert 25 < high < 26
    assert all(tick == int(tick) for tick in ax.get_xticks())
    (ax,) = plots.learning_curves({"loss": [1.0]}).axes
    assert ax.get_xlim() == (0.5, 1.5)
    assert [tick for tick in ax.get_xticks() if 0.5 <= tick <= 1.5] == [1]
    assert ax.lines[0].get_marker() == "o"


def test_a_second_history_on_the_same_axes_stays_whole():
    ax = Figure().add_subplot()
    plots.learning_curves({"loss": np.ones(30)}, axes=ax)
    plots.learning_curves({"loss": np.ones(5)}, axes=ax)
    assert ax.get_xlim()[1] >= 30


@pytest.mark.parametrize(
    ("monitor", "best", "values", "epoch"),
    [
        ("validation_loss", "lowest", [3.0, 1.0, 1.0, 2.0], 2),
        ("validation_loss", "highest", [3.0, 1.0, 4.0, 2.0], 3),
        ("validation_loss", "lowest", [np.nan, 2.0, np.nan, 1.5], 4),
        ("validation_loss", "lowest", [np.nan, np.inf, np.nan, np.nan], None),
    ],
)
def test_the_best_epoch_is_marked_in_each_panel(monitor, best, values, epoch):
    history = {"loss": [9.0, 8.0, 7.0, 6.0], "validation_loss": values, "f1": [0.1, 0.2, 0.3, 0.4]}
    for ax in plots.learning_curves(history, monitor=monitor, best=best).axes:
        marks = [line for label, line in curves(ax).items() if label.startswith("best")]
        assert [line.get_label() for line in marks] == ([] if epoch is None else [f"best epoch: {epoch}"])
        assert all(line.get_xdata() == [epoch, epoch] for line in marks)


def test_the_best_epoch_is_the_one_that_fit_keeps():
    net, x = pn.dense(1, 1), np.ones((4, 1), np.float32)
    seen = []
    found = pn.fit(
        net, pn.mse, pn.sgd(0.99), net.init(pn.key(0)), (x, x), key=pn.key(0), epochs=30, patience=5, batch_size=2,
        callbacks=lambda state, record: seen.append(state.params),
    )  # fmt: skip
    (ax,) = plots.learning_curves(found.history, monitor="loss").axes
    (epoch,) = {line.get_xdata()[0] for label, line in curves(ax).items() if label.startswith("best")}
    assert pn.tree.allclose(seen[epoch - 1], found.params, rtol=0, atol=0)


@pytest.mark.parametrize(("best", "epoch"), [(None, 2), ("highest", 2), ("lowest", 1)])
def test_the_best_accuracy_is_the_highest(best, epoch):
    history = {"loss": [1.0, 0.5, 0.3], "validation_accuracy": [0.2, 0.9, 0.8]}
    for ax in plots.learning_curves(history, monitor="validation_accuracy", best=best).axes:
        assert f"best epoch: {epoch}" in curves(ax)


def test_what_is_not_finite_is_marked_and_what_stands_alone_is_seen():
    (ax,) = plots.learning_curves({"loss": [9.0] * 13 + [np.nan, 5.0, np.inf, 4.0, 3.0]}).axes
    marks = curves(ax)["NaN or infinite"]
    np.testing.assert_array_equal(marks.get_xdata(), [14, 16])
    assert marks.get_transform() == ax.get_xaxis_transform()
    line = curves(ax)["training"]
    assert line.get_markevery() == [14]  # the entry of epoch 15, between two that are not there
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(line.get_ydata())), [13, 15])


# the plane


def test_the_boundary_shows_the_samples_and_what_the_net_gives():
    figure = plots.decision_boundary(predict, X, TARGET)
    ax, bar = figure.axes
    (samples,) = [part for part in ax.collections if isinstance(part, PathCollection)]
    np.testing.assert_array_equal(samples.get_offsets(), X)
    np.testing.assert_array_equal(samples.get_array(), TARGET[:, 0])
    np.testing.assert_allclose((ax.get_xlim(), ax.get_ylim()), [(-0.25, 1.25)] * 2)
    colours, line = [part for part in ax.collections if part is not samples]
    reach = 1.25**2 - 0.5  # the furthest output from the level
    np.testing.assert_allclose(colours.levels[[0, 10, 20]], [0.5 - reach, 0.5, 0.5 + reach], rtol=1e-3)
    assert line.levels == [0.5]
    for vertices in line.get_paths()[0].to_polygons(closed_only=False):
        np.testing.assert_allclose(vertices[:, 0] * vertices[:, 1], 0.5, atol=1e-3)
    assert bar.get_ylabel() == "output"


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, np.nan, np.inf])
def test_a_net_that_gives_one_number_has_no_boundary(value):
    figure = plots.decision_boundary(lambda points: np.full(len(points), value), X, TARGET)
    assert len([part for part in figure.axes[0].collections if not isinstance(part, PathCollection)]) <= 1
    figure.draw_without_rendering()


def test_the_boundary_of_one_sample_and_of_jax_arrays():
    plots.decision_boundary(predict, X[:1], TARGET[:1]).draw_without_rendering()

    def predict_jax(points):
        assert isinstance(points, jnp.ndarray)
        return points[:, 0]

    figure = plots.decision_boundary(predict_jax, jnp.asarray(X), jnp.asarray(TARGET))
    np.testing.assert_allclose(figure.axes[0].get_xlim(), (-0.25, 1.25))


def test_the_surface_is_what_the_net_gives():
    (ax,) = plots.surface(predict, X, TARGET).axes
    assert ax.get_zlabel() == "output"
    surface, samples = ax.collections
    corners = np.concatenate(surface._vec[:3].T.reshape(-1, 1, 3)) if hasattr(surface, "_vec") else None
    assert corners is None or np.allclose(corners[:, 0] * corners[:, 1], corners[:, 2], atol=1e-6)
    np.testing.assert_array_equal(np.stack(samples._offsets3d, axis=1), np.concatenate([X, TARGET], axis=1))


def test_the_surface_is_drawn_from_written_memory_only(monkeypatch):
    with monkeypatch.context() as patch:  # what fresh memory holds is chance: here it holds the worst
        patch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, -1.7e308).astype(dtype))
        figure = plots.surface(predict, X, TARGET)
    figure.draw_without_rendering()


def test_overview_has_three_panels():
    figure = plots.overview([1.0, 0.1], predict, X, TARGET)
    assert [ax.get_title() for ax in figure.axes] == ["Error per epoch", "Decision boundary", "", "Output"]


# the boundary as it is learnt

TILTED = [np.array([[a], [b]], np.float32) for a, b in ((0.0, 0.1), (0.25, 0.75), (0.5, 0.5), (1.0, 0.0))]


def tilt(params, points):
    return points @ params


def test_the_gif_has_a_frame_for_each_params_and_rests_on_the_last(tmp_path):
    path = tmp_path / "tilt.gif"
    frames = {f"a = {params[0, 0]}": params for params in TILTED}
    figure = plots.boundary_animation(tilt, frames, X, TARGET, path, fps=5)
    assert figure.axes[0].get_title() == "a = 1.0"
    levels = next(part.levels for part in figure.axes[0].collections if hasattr(part, "levels"))
    np.testing.assert_allclose(levels[[0, -1]], [-0.25, 1.25], rtol=1e-3)  # of all frames, not of the first
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0  # for ever
        shots, times = [], []
        for i in range(gif.n_frames):
            gif.seek(i)
            shots.append(np.asarray(gif.convert("RGB"), np.int64))
            times.append(gif.info["duration"])
    assert times == [200, 200, 200, 1200]
    assert len({shot.tobytes() for shot in shots}) == 4
    bars = [shot[:, round(0.86 * shot.shape[1]) :] for shot in shots]
    assert all(np.abs(bar - bars[0]).max() < 30 for bar in bars)  # one scale of colours, and nothing moves


def test_each_frame_takes_the_place_of_the_one_before_and_leaves_the_rest(tmp_path):
    figure = Figure(figsize=(6, 3))
    left, right = figure.subplots(1, 2)
    plots.error_curve([1.0, 0.1], left)
    (mine,) = right.plot([0, 1], [0, 1])
    engine = figure.get_layout_engine()
    assert plots.boundary_animation(tilt, TILTED, X, TARGET, str(tmp_path / "a.GIF"), ax=right) is figure
    assert right.get_title() == "frame 4 of 4"
    assert mine in right.lines
    assert len(right.collections) == 3  # colours, line and samples, once
    assert len(figure.axes) == 3
    assert figure.get_layout_engine() is engine
    assert len(left.lines) == 1
    with Image.open(tmp_path / "a.GIF") as gif:
        assert gif.size == (600, 300)


def test_the_frames_of_a_run_of_train(tmp_path):
    net = pn.serial(pn.dense(2, 3), pn.tanh, pn.dense(3, 1))
    frames = {}
    run = pn.train(net, pn.mse, pn.sgd(0.5), net.init(pn.key(0)), [(X, TARGET)], key=pn.key(1), epochs=30)
    for state in run:
        if state.step % 10 == 0:
            frames[f"step {state.step}"] = state.params
    plots.boundary_animation(net.apply, frames, X, TARGET, tmp_path / "xor.gif")
    with Image.open(tmp_path / "xor.gif") as gif:
        assert gif.n_frames == 3


# matrices and images


def test_confusion_matrix_shows_counts_in_lines_of_the_truth():
    counts = pn.metrics.confusion_matrix(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    ax, bar = plots.confusion_matrix(counts, ["cat", "dog"]).axes
    np.testing.assert_array_equal(ax.images[0].get_array(), [[1, 1], [0, 2]])
    assert written(ax) == {(0, 0): "1", (0, 1): "1", (1, 0): "·", (1, 1): "2"}
    assert ticks(ax) == [text.get_text() for text in ax.get_yticklabels()] == ["cat", "dog"]
    assert (ax.get_xlabel(), ax.get_ylabel(), bar.get_ylabel()) == ("predicted", "true", "examples")
    assert ax.images[0].get_clim() == (0, 2)
    assert ax.get_ylim() == (1.5, -0.5)  # the first class is on top


def test_confusion_matrix_in_shares_of_the_true_class():
    ax, bar = plots.confusion_matrix([[995, 4, 1], [30, 10, 0], [0, 0, 0]], normalize=True).axes
    np.testing.assert_allclose(ax.images[0].get_array().filled(np.nan), [[99.5, 0.4, 0.1], [75, 25, 0], [np.nan] * 3])
    # a zero that is none is told from one that is; the class without examples is empty
    assert written(ax) == {(0, 0): "100", (0, 1): "<1", (0, 2): "<1", (1, 0): "75", (1, 1): "25", (1, 2): "·"}
    assert bar.get_ylabel() == "% of the true class"
    assert ax.images[0].get_clim() == (0, 100)


def test_confusion_matrix_of_weights_of_nothing_and_of_one_class():
    assert written(plots.confusion_matrix([[0.25, 1.5], [0.0, 2.0]]).axes[0])[0, 0] == "0.25"
    assert set(written(plots.confusion_matrix(np.zeros((2, 2))).axes[0]).values()) == {"·"}
    plots.confusion_matrix(np.zeros((2, 2)), normalize=True).draw_without_rendering()
    assert written(plots.confusion_matrix([[7]]).axes[0]) == {(0, 0): "7"}


def test_confusion_matrix_of_many_classes_has_colours_alone():
    ax, _ = plots.confusion_matrix(np.eye(100, dtype=int)).axes
    assert not ax.texts
    assert len(ticks(ax)) <= 60
    assert all(label == str(int(place)) for label, place in zip(ticks(ax), ax.get_xticks(), strict=True))
    assert len(plots.confusion_matrix(np.eye(20, dtype=int)).axes[0].texts) == 400


@pytest.mark.parametrize("count", [0, 1, 8, 11])
def test_image_grid_shows_each_image_under_its_title(count):
    images, titles = pn.random.uniform(pn.key(0), (count, 8, 6)), [str(i) for i in range(count)]
    figure = plots.image_grid(images, titles)
    shown = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in shown] == titles
    for ax, image in zip(shown, images, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
        assert ax.images[0].get_clim() == (images.min(), images.max())  # one scale for all
    assert not any(ax.axison for ax in figure.axes)


def test_image_grid_takes_channels_last():
    assert plots.image_grid(np.zeros((2, 5, 4, 1))).axes[0].images[0].get_array().shape == (5, 4)
    assert plots.image_grid(np.zeros((2, 5, 4, 3))).axes[0].images[0].get_array().shape == (5, 4, 3)


# layers

NET = pn.serial(pn.dense(2, 3), pn.batch_norm, pn.tanh, pn.dense(3, 1), pn.frozen(pn.dense(1, 1)))
PARAMS = NET.init(pn.key(0))


@pytest.mark.parametrize("draw", [plots.weight_histograms, plots.gradient_histograms])
def test_a_histogram_for_each_parameter_under_its_path(draw):
    figure = draw(PARAMS)
    paths = [path for path, leaf in pn.tree.items(PARAMS, leaf_type=pn.Buffer) if type(leaf) is not pn.Buffer]
    assert [ax.get_title() for ax in figure.axes] == paths
    assert paths == ["[0].weight", "[0].bias", "[1].weight", "[1].bias", "[3].weight", "[3].bias"]
    for ax, path in zip(figure.axes, paths, strict=True):
        values = dict(pn.tree.items(PARAMS))[path]
        counts, edges, _ = ax.patches[0].get_data()
        assert counts.sum() == values.size
        np.testing.assert_array_equal(counts, np.histogram(values.astype(float), edges)[0])
        assert ax.get_ylim()[1] > counts.max()


def test_the_ends_of_a_histogram_are_those_of_the_numbers():
    (ax,) = plots.weight_histograms(np.linspace(-3, 5, 5000, dtype=np.float32)).axes
    counts, edges, _ = ax.patches[0].get_data()
    assert (edges[0], edges[-1], len(counts)) == (-3, 5, 41)
    assert ax.get_title() == "params"
    assert ax.get_xlabel() == "σ 2.3"
    assert ax.get_yscale() == "linear"


def test_gradients_are_counted_on_a_logarithmic_scale_with_the_share_of_zeros():
    (ax,) = plots.gradient_histograms(np.array([0.0, 0.0, 1.0, -1.0], np.float32)).axes
    assert ax.get_yscale() == "log"
    assert ax.get_ylim()[0] < 1  # a count of one is seen
    assert ax.get_xlabel() == "σ 0.71, 50.0% are 0"


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 1e-30, 1e30])
def test_a_histogram_of_one_number_is_one_bar_in_the_middle(value):
    values = np.full(10, value, np.float32)
    for near in (values, np.nextafter(values, np.float32(np.inf)) if abs(value) > 1 else values):
        (ax,) = plots.weight_histograms(near).axes
        counts, edges, _ = ax.patches[0].get_data()
        assert np.flatnonzero(counts).tolist() == [20]
        assert edges[20] < near[0] < edges[21]
        assert ax.get_xlabel() == ("all 0" if value == 0 else "σ 0")
        ax.figure.draw_without_rendering()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_within_one_rounding_of_each_other_can_be_counted(dtype):
    values = np.ones(1000, dtype)
    values[::2] = np.nextafter(dtype(1), dtype(2))
    (ax,) = plots.weight_histograms(values).axes
    assert ax.patches[0].get_data()[0].sum() == 1000


def test_what_is_not_finite_is_counted_in_red_and_not_drawn():
    (ax,) = plots.weight_histograms(np.array([1.0, 2.0, np.nan, np.inf], np.float32)).axes
    assert ax.patches[0].get_data()[0].sum() == 2
    assert ax.get_xlabel() == "2 of 4 NaN or infinite\nσ 0.5"
    assert ax.xaxis.label.get_color() == "crimson"
    (ax,) = plots.gradient_histograms(np.array([np.nan])).axes
    assert not ax.patches
    assert ax.get_xlabel() == "1 of 1 NaN or infinite"


def test_histograms_of_many_layers_stay_in_a_picture_of_a_handy_size():
    tree = [np.ones(3, np.float32)] * 100
    width, height = plots.weight_histograms(tree).get_size_inches()
    assert width <= 20
    assert height <= 26
    assert plots.weight_histograms(tree[:20], columns=10).get_size_inches()[0] == 25


def test_jax_arrays_and_other_dtypes_are_drawn():
    tree = {"a": jnp.ones(3), "b": jnp.ones(3, jnp.bfloat16), "c": np.arange(4), "d": np.float64(2.0), "e": np.zeros(0)}
    assert [ax.get_title() for ax in plots.weight_histograms(tree).axes] == ["['a']", "['b']", "['c']", "['d']"]


def test_gradient_flow_has_the_mean_and_the_largest_of_each_layer_in_order():
    grads = (
        pn.dense(2, 2).init(pn.key(0))._replace(weight=np.float32([[1, -2], [3, 0]]), bias=np.float32([4, -8])),
        (),
        np.float32([0.5, -0.5]),
        pn.Buffer(np.float32([100])),
    )
    (ax,) = plots.gradient_flow(grads).axes
    assert ticks(ax) == ["[0]", "[2]"]
    np.testing.assert_allclose(curves(ax)["mean |gradient|"].get_xydata(), [[0, 18 / 6], [1, 0.5]])
    np.testing.assert_allclose(curves(ax)["largest |gradient|"].get_ydata(), [8, 0.5])
    assert ax.get_yscale() == "log"
    assert ax.get_xlim() == (-0.5, 1.5)
    assert set(curves(ax)) == {"mean |gradient|", "largest |gradient|"}


def test_gradient_flow_marks_what_is_zero_and_what_is_not_finite():
    grads = [np.ones(2), np.zeros(3), np.array([1.0, np.nan]), np.array([np.inf, 0]), np.array([0, 1e-300])]
    (ax,) = plots.gradient_flow(grads).axes
    zero, bad = curves(ax)["all 0"], curves(ax)["NaN or infinite"]
    np.testing.assert_array_equal(zero.get_xdata(), [1])
    np.testing.assert_array_equal(bad.get_xdata(), [2, 3])
    assert zero.get_transform() == bad.get_transform() == ax.get_xaxis_transform()
    assert zero.get_ydata()[0] < 0.1
    assert bad.get_ydata()[0] > 0.9
    np.testing.assert_allclose(curves(ax)["mean |gradient|"].get_ydata(), [1, np.nan, np.nan, np.nan, 5e-301])
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize("grads", [[np.zeros(2)], [np.array([np.nan])], [np.ones(1)], [np.full(50, 1e307)]])
def test_gradient_flow_of_one_layer_of_any_kind(grads):
    (ax,) = plots.gradient_flow(grads).axes
    assert ax.get_xlim() == (-0.5, 0.5)
    ax.figure.draw_without_rendering()


def test_gradient_flow_of_many_layers_labels_some():
    (ax,) = plots.gradient_flow([np.ones(1)] * 500).axes
    assert 20 < len(ticks(ax)) <= 120
    assert ticks(ax)[1] == f"[{ax.get_xticks()[1]:.0f}]"
    assert len(ax.lines[0].get_xdata()) == 500


def test_the_params_of_a_layer_alone_have_a_name():
    layer = pn.dense(2, 3)
    assert ticks(plots.gradient_flow(layer.init(pn.key(0))).axes[0]) == ["grads"]
    assert ticks(plots.gradient_flow(np.ones(3)).axes[0]) == ["grads"]
    assert [ax.get_title() for ax in plots.gradient_histograms(layer.init(pn.key(0))).axes] == [".weight", ".bias"]


def test_outputs_that_part_from_the_level_by_one_rounding():
    x = pn.random.normal(pn.key(0), (10, 2), np.float64)
    for level in (0.5, 1e6):
        above = np.nextafter(level, np.inf)
        figure = pn.plotting.decision_boundary(
            lambda p, a=above, b=level: np.where(p[:, 0] > 0, a, b), x, np.ones(10), level=level
        )
        figure.savefig(io.BytesIO())


@pytest.mark.parametrize("part", [1e-9, 1e-11, 1e-13, 1e-15])
def test_bins_of_numbers_that_differ_little(part):
    from purenet.plotting.layers import _bins

    for size in (1.0, -1e6, 1e-5):
        values = size * (1 + part * np.linspace(0, 1, 1000))
        bins, ends = _bins(values)
        counts, edges = np.histogram(values, bins, ends)
        assert (np.diff(edges) > 0).all()
        assert (np.count_nonzero(counts) > 30) == (part > 1e-14)
