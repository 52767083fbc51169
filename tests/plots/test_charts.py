"""The charts: the bars and points that they draw, their labels, and many classes."""

import numpy as np
import pytest
import torch
from legends import look, names
from matplotlib.colors import to_hex

from tutorial_utils import plots
from tutorial_utils.plots import style

MANY = [f"class {i}" for i in range(9)]  # more than there are colours or markers


def heights(container) -> list[float]:
    return [bar.get_height() for bar in container]


def test_class_balance_draws_each_count_in_its_split():
    counts = {"train": {"ants": 3, "bees": 4}, "val": {"ants": 1, "bees": 2}}
    axes = plots.class_balance(counts).axes[0]
    ants, bees = axes.containers
    assert (heights(ants), heights(bees)) == ([3, 1], [4, 2])
    assert names(axes.figure) == ["ants", "bees"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["train", "val"]
    assert [text.get_text() for text in axes.texts] == ["3", "1", "4", "2"]


def test_a_class_has_one_colour_and_one_marker_or_hatching_in_every_figure():
    counts = {"train": {"ants": 3, "bees": 4}}
    bars = [bar[0] for bar in plots.class_balance(counts).axes[0].containers]
    points = {"ants": [(3, 4)], "bees": [(7, 8)]}
    sizes = plots.image_sizes(points).axes[0].collections
    planes = plots.scatter({"a": np.eye(2)}, [0, 1], ["ants", "bees"], title="t").axes[0]
    values = dict.fromkeys(counts["train"], torch.ones(3))
    filled = plots.histograms(values, title="t", xlabel="x", classes=True).axes[0].patches
    for i, drawn in enumerate(zip(bars, sizes, planes.collections, filled, strict=True)):
        assert {look(one)[0] for one in drawn} == {style.CLASS_COLOURS[i].lower()}
    assert [look(dots) for dots in sizes] == [look(dots) for dots in planes.collections]
    assert bars[0].get_hatch() != bars[1].get_hatch()


def test_image_sizes_draws_width_across_and_height_up():
    axes = plots.image_sizes({"ants": [(3, 4), (5, 6)], "bees": [(7, 8)]}).axes[0]
    points = [dots.get_offsets() for dots in axes.collections]
    for found, expected in zip(points, ([[3, 4], [5, 6]], [[7, 8]]), strict=True):
        np.testing.assert_allclose(found, expected, atol=0.07)
        assert not np.array_equal(found, expected)  # spread: equal sizes would hide each other
    assert axes.get_xlabel().startswith("width (pixels)")
    assert axes.get_ylabel().startswith("height (pixels)")
    assert names(axes.figure) == ["ants", "bees"]
    assert axes.get_title() == "Width and height of every image"


def test_image_sizes_leaves_out_what_would_squeeze_the_rest_and_counts_it():
    pairs = [(500, 300 + k) for k in range(100)]
    axes = plots.image_sizes({"ants": [*pairs, (1984, 400)], "bees": pairs}).axes[0]
    assert axes.get_title().endswith("(1 of 201 outside the axes)")
    assert 500 < axes.get_xlim()[1] < 600 and 400 < axes.get_ylim()[1] < 500
    axes = plots.image_sizes({"ants": [*pairs, (600, 400)], "bees": []}).axes[0]
    assert "outside" not in axes.get_title() and axes.get_xlim()[1] > 600


def test_image_sizes_has_a_style_for_every_class_even_without_images():
    axes = plots.image_sizes({name: [(3, 4)] for name in MANY}).axes[0]
    assert names(axes.figure) == MANY
    styles = {
        (to_hex(dots.get_facecolor()[0]), dots.get_paths()[0].vertices.tobytes())
        for dots in axes.collections
    }
    assert len(styles) == len(MANY)
    axes = plots.image_sizes({"ants": [], "bees": [(7, 8)]}).axes[0]
    assert [len(dots.get_offsets()) for dots in axes.collections] == [0, 1]


def test_bars_draws_the_first_on_top_with_its_unit():
    axes = plots.bars({"a": 1500, "b": 2.345}, title="t", label="seconds", unit=" s").axes[0]
    assert [bar.get_width() for bar in axes.containers[0]] == [1500, 2.345]
    assert [text.get_text() for text in axes.texts] == [" 1,500 s", " 2.35 s"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.yaxis_inverted() and axes.get_xlabel() == "seconds"
    assert plots.bars({"a": 1}, title="t", label="l", log=True).axes[0].get_xscale() == "log"


def test_bars_of_panels_share_their_names():
    values = {"million parameters": {"a": 1, "b": 2}, "seconds": {"a": 3.5, "b": 4}}
    figure = plots.bars(values, title="t", unit="!")
    assert [axes.get_xlabel() for axes in figure.axes] == list(values)
    assert [[bar.get_width() for bar in axes.containers[0]] for axes in figure.axes] == [
        [1, 2], [3.5, 4]
    ]  # fmt: skip
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert all(axes.yaxis_inverted() for axes in figure.axes)
    assert [text.get_text() for text in figure.axes[1].texts] == [" 3.5!", " 4!"]
    with pytest.raises(ValueError, match=r"the same names, \['a'\]"):
        plots.bars({"x": {"a": 1}, "y": {"b": 1}}, title="t")


def test_bars_marks_names_in_colour_hatching_and_words():
    figure = plots.bars({"a": 1, "b": 2, "c": 3}, title="t", marked=["c", "a"], marked_label="m")
    first, second, third = figure.axes[0].containers[0]
    assert [to_hex(bar.get_facecolor()).upper() for bar in (first, second, third)] == [
        style.HIGHLIGHT, style.MEASURED, style.HIGHLIGHT
    ]  # fmt: skip
    assert (first.get_hatch(), second.get_hatch()) == ("//", None)
    assert names(figure) == ["m"]
    assert not plots.bars({"a": 1}, title="t").legends
    with pytest.raises(ValueError, match=r"must be among \['a'\], not \['b'\]"):
        plots.bars({"a": 1}, title="t", marked=["b"])


def test_lines_draws_a_panel_a_label_and_a_series_looks_the_same_in_all():
    panels = {"loss": {"slow": [3.0, 2.0], "fast": ([0, 5], [3.0, 1.0])}, "rate": {"fast": [1, 1]}}
    figure = plots.lines(panels, title="t", xlabel="step", log=True)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "rate"]
    assert {(axes.get_xlabel(), axes.get_yscale()) for axes in figure.axes} == {("step", "log")}
    slow, fast = figure.axes[0].lines
    assert slow.get_xydata().tolist() == [[1, 3], [2, 2]]
    assert fast.get_xydata().tolist() == [[0, 3], [5, 1]]
    (again,) = figure.axes[1].lines
    looks = [
        (one.get_color(), one.get_linestyle(), one.get_marker()) for one in (slow, fast, again)
    ]
    assert looks[1] == looks[2] and all(a != b for a, b in zip(*looks[:2], strict=True))
    assert names(figure) == ["slow", "fast"]


def test_a_number_alone_is_drawn_as_a_baseline():
    panels = {"loss": {"a": [3.0, 2.0], "log 2": 0.693}}
    axes = plots.lines(panels, title="t", xlabel="step").axes[0]
    assert axes.lines[1].get_ydata() == [0.693, 0.693]
    assert axes.lines[1].get_color() == style.BASELINE
    assert names(axes.figure) == ["a", "log 2"]


def test_histograms_share_their_bins_and_give_shares():
    values = {"a": torch.tensor([0.0, 0.0, 1.0, 2.0]), "b": torch.ones(2, 5)}
    axes = plots.histograms(values, title="t", xlabel="value", bins=2).axes[0]
    drawn = {patch.get_label(): patch.get_data() for patch in axes.patches}
    assert drawn["a"].values.tolist() == [0.5, 0.5] and drawn["b"].values.tolist() == [0, 1]
    assert drawn["a"].edges.tolist() == drawn["b"].edges.tolist() == [0, 1, 2]
    assert names(axes.figure) == ["a", "b"] and axes.get_xlabel() == "value"
    axes = plots.histograms(values, title="t", xlabel="value", classes=True).axes[0]
    filled = [to_hex(patch.get_facecolor()) for patch in axes.patches]
    assert filled == [colour.lower() for colour in style.CLASS_COLOURS[:2]]
    ranges = {"first": (0.2, 1.8), "second": (0.5, 1.0)}
    axes = plots.histograms(values, title="t", xlabel="value", ranges=ranges).axes[0]
    assert [tuple(line.get_xdata()) for line in axes.lines] == list(ranges.values())
    heights = [line.get_ydata()[0] for line in axes.lines]
    assert 1 <= heights[0] < heights[1]  # above the outlines
    assert names(axes.figure) == ["a", "b", "first", "second"]


def test_scatter_draws_a_marker_a_class_and_a_ring_around_what_is_marked():
    points, labels = torch.rand(10, 2), torch.tensor([0, 1] * 5)
    wrong = labels.bool() & (torch.arange(10) < 4)
    panels = {"before": points, "after": points.numpy() * 2}
    ring = {"marked": wrong, "marked_label": "wrong"}
    figure = plots.scatter(panels, labels, ["ants", "bees"], title="t", method="t-SNE", **ring)
    assert [axes.get_title() for axes in figure.axes] == ["before", "after"]
    for axes, factor in zip(figure.axes, (1, 2), strict=True):
        ants, bees, rings = (dots.get_offsets() for dots in axes.collections)
        assert np.allclose(ants, points[labels == 0] * factor)
        assert np.allclose(bees, points[labels == 1] * factor)
        assert np.allclose(rings, points[wrong] * factor)
        assert axes.get_xlabel() == "first t-SNE axis (no unit)"
        assert axes.get_ylabel() == "second t-SNE axis (no unit)"
        markers = [dots.get_paths()[0].vertices.shape for dots in axes.collections[:2]]
        assert markers[0] != markers[1]
    assert names(figure) == ["ants", "bees", "wrong"]


def test_scatter_has_a_style_for_every_class():
    labels = list(range(len(MANY)))
    axes = plots.scatter({"a": np.zeros((len(MANY), 2))}, labels, MANY, title="t").axes[0]
    assert [len(dots.get_offsets()) for dots in axes.collections] == [1] * len(MANY)
    assert axes.get_xlabel() == "first axis (no unit)"


@pytest.mark.parametrize(
    ("panels", "labels", "message"),
    [
        ({}, [0, 1], "needs a panel"),
        ({"a": np.zeros((2, 2))}, [0, 2], "a name for each class"),
        ({"a": np.zeros((3, 2))}, [0, 1], r"shape \(2, 2\), .*; 'a' has \(3, 2\)"),
        ({"a": np.zeros((2, 3))}, [0, 1], r"shape \(2, 2\), .*; 'a' has \(2, 3\)"),
    ],
)
def test_scatter_names_what_does_not_match(panels, labels, message):
    with pytest.raises(ValueError, match=message):
        plots.scatter(panels, labels, ["ants", "bees"], title="t")
