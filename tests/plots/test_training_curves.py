"""The figures of results: which numbers are drawn, under which label."""

import numpy as np
import pandas
import pytest
from legends import names
from matplotlib.colors import to_hex

from tutorial_utils import evaluation, plots
from tutorial_utils.plots import style


def history(epochs: int) -> pandas.DataFrame:
    """Return a history whose four columns all differ."""
    steps = np.linspace(0, 0.4, epochs)
    train = {"train_loss": 0.9 - steps, "train_accuracy": 0.5 + steps}
    val = {"val_loss": 0.8 - steps, "val_accuracy": 0.45 + steps}
    return pandas.DataFrame({"epoch": range(1, epochs + 1)} | train | val)


def test_curves_draw_each_column_in_its_panel_under_its_label():
    frames = {"A": history(3), "B": history(5)}
    figure = plots.curves(frames, title="t")
    loss, accuracy = figure.axes
    splits = ("training", "validation")
    assert names(figure) == [f"{run}, {split}" for run in frames for split in splits]
    for axes, metric in ((loss, "loss"), (accuracy, "accuracy")):
        lines = {line.get_label(): line for line in axes.lines}
        assert len(lines) == 4
        for name, frame in frames.items():
            for label, split in (("training", "train"), ("validation", "val")):
                line = lines[f"{name}, {label}"]
                assert line.get_xdata().tolist() == frame["epoch"].tolist()
                assert line.get_ydata().tolist() == frame[f"{split}_{metric}"].tolist()
                look = (line.get_linestyle(), line.get_marker())
                assert look == (("--", "s") if split == "train" else ("-", "o"))
    assert (loss.get_title(), accuracy.get_title()) == ("Loss", "Accuracy")
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == (
        "cross-entropy per image",
        "fraction correct",
    )


def test_curves_of_many_runs_have_their_legend_below_and_one_epoch_is_a_curve_too():
    figure = plots.curves({f"run {i}": history(2) for i in range(9)}, title="t")
    assert len(figure.legends[0].get_texts()) == 18
    assert all(axes.get_legend() is None for axes in figure.axes)
    loss, _ = plots.curves({"A": history(1)}, title="t").axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 0.9]]


def test_curves_mark_the_best_epoch_the_gap_and_baselines():
    frame = history(4)
    frame["val_accuracy"] = [0.5, 0.7, 0.7, 0.6]  # epochs 2 and 3: the third has the lower loss
    lines = {"loss": {"log 2": 0.693}, "accuracy": {"always bees": 0.54}}
    loss, accuracy = plots.curves({"A": frame}, title="t", baselines=lines, marks=True).axes
    for axes, name, value in ((loss, "log 2", 0.693), (accuracy, "always bees", 0.54)):
        assert [line.get_ydata() for line in axes.lines if line.get_ydata()[0] == value]
        assert name in [text.get_text() for text in axes.texts]
        assert axes.lines[-1].get_xdata() == [3, 3]
        assert axes.lines[-1].get_label() == "best epoch: 3"
    (gap,) = loss.collections[0].get_segments()
    np.testing.assert_allclose(gap[:, 1], [0.4, 0.5])  # validation below training
    assert loss.texts[-1].get_text().strip() == "gap -0.100"
    assert gap[0, 0] > 4 and loss.get_xlim()[1] > gap[0, 0]
    assert loss.get_yscale() == "linear" and loss.figure.legends  # it covers no line
    assert plots.curves({"A": frame}, title="t", log=True).axes[0].get_yscale() == "log"
    plots.curves({"A": history(1)}, title="t", marks=True, log=True).draw_without_rendering()


def test_fits_have_a_panel_each_on_shared_axes():
    frames = {"slow": history(3), "long": history(5)}
    figure = plots.fits(frames, title="t", baselines={"log 2": 0.693})
    for axes, (name, frame) in zip(figure.axes, frames.items(), strict=True):
        assert axes.get_title() == name
        training, validation, baseline = axes.lines
        assert training.get_ydata().tolist() == frame["train_loss"].tolist()
        assert validation.get_ydata().tolist() == frame["val_loss"].tolist()
        assert baseline.get_ydata() == [0.693, 0.693]
        assert axes.get_ylim()[0] == 0 and axes.get_yscale() == "linear"
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    marked = plots.fits(frames, title="t", marks=True).axes
    assert [axes.texts[-1].get_text() for axes in marked] == ["gap -0.100"] * 2
    logarithmic = plots.fits(frames, title="t", log=True)
    assert {axes.get_yscale() for axes in logarithmic.axes} == {"log"}
    assert names(figure) == ["training", "validation", "log 2"]


def test_intervals_that_miss_the_truth_are_red_and_counted():
    ends = [[0.85, 0.95], [0.91, 0.99], [0.7, 0.9], [0.6, 0.8]]
    figure = plots.intervals(ends, 0.9, title="t", estimates=[0.9, 0.95, 0.8, 0.7])
    axes = figure.axes[0]
    hit, missed = axes.collections
    assert [segment[0, 0] for segment in hit.get_segments()] == [1, 3]  # an end counts
    assert [segment[:, 1].tolist() for segment in missed.get_segments()] == [
        [0.91, 0.99],
        [0.6, 0.8],
    ]
    assert to_hex(hit.get_color()[0]) == style.MEASURED.lower()
    assert to_hex(missed.get_color()[0]) == style.MISTAKE.lower()
    assert hit.get_linewidth() != missed.get_linewidth()  # they also differ without colour
    assert names(figure) == ["true accuracy 0.9", "contains it: 2", "misses it: 2"]
    assert axes.lines[2].get_xydata().tolist() == [[2, 0.95], [4, 0.7]]
    assert len(plots.intervals(ends[:1], 0.9, title="t").axes[0].lines) == 1


def test_confusion_has_a_row_for_each_true_class():
    matrix = np.array([[60, 10], [3, 80]])
    axes = plots.confusion(matrix, ["ants", "bees"], title="t").axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), matrix)  # the shades
    cells = {text.get_position(): text.get_text() for text in axes.texts}  # (column, row)
    assert cells == {(0, 0): "60", (1, 0): "10", (0, 1): "3", (1, 1): "80"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["ants", "bees"]
    assert axes.get_xticks().tolist() == axes.get_yticks().tolist() == [0, 1]


def test_confusion_of_many_classes_is_legible():
    names = [f"a rather long name {i}" for i in range(9)]
    figure = plots.confusion(np.full((9, 9), 123), names, title="t")
    axes = figure.axes[0]
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {40}
    assert figure.get_size_inches()[0] > 5


def test_confusion_of_hundreds_of_classes_stays_small():
    figure = plots.confusion(np.ones((200, 200)), [f"class {i}" for i in range(200)], title="t")
    assert max(figure.get_size_inches()) < 16
    assert not figure.axes[0].texts and len(figure.axes[0].get_yticks()) <= 60


def test_comparison_draws_accuracies_and_intervals_in_their_rows():
    rows = [
        {"name": "here", "accuracy": 0.9, "low": 0.85, "high": 0.94},
        {"name": "post", "accuracy": 0.91, "published": True},
        {"name": "always bees", "accuracy": 0.54, "baseline": True},
    ]
    axes = plots.comparison(rows, title="t").axes[0]
    here, interval, post, baseline = axes.lines
    assert here.get_xydata().tolist() == [[0.9, 0]] and here.get_marker() == "o"
    assert interval.get_xydata().tolist() == [[0.85, 0], [0.94, 0]]
    assert post.get_xydata().tolist() == [[0.91, 1]] and post.get_marker() == "D"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["here", "post", "always bees"]
    assert axes.get_yticks().tolist() == [0, 1, 2] and axes.yaxis_inverted()
    numbers = {text.get_text(): text.xy for text in axes.texts}
    assert numbers == {"0.900": (0.9, 0), "0.910": (0.91, 1), "0.540": (0.54, 2)}
    assert baseline.get_marker() == "s" and baseline.get_color() == post.get_color() == plots.GREY
    assert here.get_color() == interval.get_color() == style.MEASURED
    assert axes.get_xlabel() == "validation accuracy (fraction correct), bar: 95% interval"
    named = plots.comparison(rows, title="t", label="recall").axes[0]
    assert named.get_xlabel() == "recall, bar: 95% interval"


def point(name: str, images: int, accuracy: float, **more) -> dict:
    low, high = accuracy - 0.05, accuracy + 0.04
    row = {"name": name, "images": images, "accuracy": accuracy, "low": low, "high": high}
    return row | more


def test_data_efficiency_draws_a_line_a_name_from_few_images_to_many():
    rows = [
        point("cached", 244, 0.9, share=1.0, least=0.88, most=0.92),
        point("cached", 24, 0.8, share=0.1, least=0.75, most=0.85),
        point("new", 24, 0.5, share=0.1),
        point("new", 244, 0.7, share=1.0),
    ]
    axes = plots.data_efficiency(rows, title="t", baseline=("always bees", 0.54)).axes[0]
    first, second, baseline = axes.lines
    assert first.get_ydata().tolist() == [0.8, 0.9]
    assert second.get_ydata().tolist() == [0.5, 0.7]
    assert first.get_linestyle() != second.get_linestyle()  # they also differ without colour
    assert first.get_marker() != second.get_marker()
    assert {label.get_text() for label in axes.get_xticklabels()} == {"24\n10%", "244\n100%"}
    assert names(axes.figure) == ["cached", "new", "always bees"]
    assert list(baseline.get_ydata()) == [0.54, 0.54]
    assert axes.get_ylabel() == "validation accuracy (fraction correct)"


def test_data_efficiency_draws_the_bars_of_the_lines_side_by_side():
    rows = [point(name, count, 0.8) for name in ("one", "two", "three") for count in (24, 244)]
    lines = plots.data_efficiency(rows, title="t").axes[0].lines
    at = np.array([line.get_xdata() for line in lines])
    assert (np.diff(at[:, 0]) > 1).all() and (np.diff(at[:, 1]) > 10).all()
    np.testing.assert_allclose(at[1], [24, 244])  # the middle one stays where it is
    np.testing.assert_allclose(at[0] * at[2], at[1] ** 2)  # equal distances on a log axis


def test_data_efficiency_draws_the_interval_and_the_seeds():
    rows = [point("cached", 24, 0.8, least=0.75, most=0.85), point("cached", 244, 0.9)]
    intervals, seeds = plots.data_efficiency(rows, title="t").axes[0].collections
    ends = [[[24, 0.75], [24, 0.84]], [[244, 0.85], [244, 0.94]]]
    np.testing.assert_allclose(intervals.get_segments(), ends)
    (segment,) = seeds.get_segments()  # the other point has no range over seeds
    np.testing.assert_allclose(segment, [[24, 0.75], [24, 0.85]])
    assert seeds.get_linewidth()[0] > intervals.get_linewidth()[0]
    with pytest.raises(ValueError, match="at least one row to draw, got none"):
        plots.data_efficiency([], title="t")


def test_validation_curves_draw_thin_seeds_a_thick_mean_and_baselines():
    low, high = history(3), history(3)
    high["val_accuracy"] += 0.1
    baselines = {"accuracy": ("always bees", 0.54)}
    figure = plots.validation_curves({"A": [low, high]}, title="t", baselines=baselines)
    loss, accuracy = figure.axes
    *seeds, mean, baseline = accuracy.lines
    assert [line.get_ydata().tolist() for line in seeds] == [
        frame["val_accuracy"].tolist() for frame in (low, high)
    ]
    np.testing.assert_allclose(mean.get_ydata(), low["val_accuracy"] + 0.05)
    assert mean.get_linewidth() > 2 * seeds[0].get_linewidth()
    assert list(baseline.get_ydata()) == [0.54, 0.54]
    assert [text.get_text() for text in accuracy.texts] == ["always bees 0.540", "A 0.900"]
    assert len(loss.lines) == 3 and [text.get_text() for text in loss.texts] == ["A 0.400"]
    with pytest.raises(ValueError, match="at least one run to draw, got none"):
        plots.validation_curves({}, title="t", baselines={})


def test_labels_at_the_ends_of_validation_curves_do_not_cover_each_other():
    runs = {f"way {i}": [history(4)] for i in range(4)}  # which all end at the same height
    baselines = {"loss": ("log K", 0.4), "accuracy": ("always bees", 0.85)}
    figure = plots.validation_curves(runs, title="t", baselines=baselines)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) == 5
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        assert all(box.x0 >= axes.get_window_extent().x1 for box in boxes)
        inside = axes.get_window_extent()
        assert all(inside.y0 - 9 < (box.y0 + box.y1) / 2 < inside.y1 + 9 for box in boxes)


def test_reliability_draws_the_bins_that_have_images():
    found = evaluation.Calibration(
        edges=np.linspace(0, 1, 5),
        counts=np.array([0, 0, 4, 6]),
        confidence=np.array([np.nan, np.nan, 0.6, 0.9]),
        accuracy=np.array([np.nan, np.nan, 0.5, 1.0]),
        error=0.1,
    )
    upper, lower = plots.reliability(found, title="t", lowest=0.5).axes
    diagonal, bins = upper.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert bins.get_xydata().tolist() == [[0.6, 0.5], [0.9, 1.0]]
    assert [bar.get_height() for bar in upper.patches] == [0, 0, 0.5, 1.0]
    assert [bar.get_height() for bar in lower.patches] == [0, 0, 4, 6]
    assert upper.get_title() == "t\nexpected calibration error 0.100"
    assert upper.get_xlim()[0] == 0.5
    (low, high), (_, one) = (bar[:, 1] for bar in upper.collections[0].get_segments())
    assert (low, high) == pytest.approx(evaluation.interval(2, 4)) and one == pytest.approx(1)
