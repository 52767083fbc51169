"""The figures of what a network looks at: right parts, scales, labels; wrong sizes are said."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_utils import plots


def rendered(figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return Image.open(buffer)


def images(count):
    return [np.full((12, 16, 3), 0.5) for _ in range(count)]


def bar(figure):
    return figure.axes[-1]


def test_overlay_has_a_image_and_its_heat_in_each_column_and_a_colour_bar():
    maps = torch.rand(3, 12, 16)
    figure = plots.heat_overlay(images(3), maps, ["a", "b", "c"], title="Three")
    assert len(figure.axes) == 2 * 3 + 1
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a", "b", "c"]
    assert [len(axes.images) for axes in figure.axes[:6]] == [1, 1, 1, 2, 2, 2]
    assert "share of the map's" in bar(figure).get_ylabel()
    rendered(figure)
    assert plt.get_fignums() == []


def test_without_a_label_every_map_has_its_own_scale():
    maps = torch.zeros(2, 12, 16)
    maps[0, 0, 0], maps[1, 3, 4] = 1.0, 100.0
    figure = plots.heat_overlay(images(2), maps, ["a", "b"], title="t")
    tops = [axes.images[1].get_array().max() for axes in figure.axes[2:4]]
    assert tops == [1.0, 1.0]


def test_with_a_label_all_maps_share_one_scale():
    maps = torch.zeros(2, 12, 16)
    maps[0, 0, 0], maps[1, 3, 4] = 1.0, 100.0
    figure = plots.heat_overlay(images(2), maps, ["a", "b"], title="t", label="fall of the score")
    hot = [axes.images[1] for axes in figure.axes[2:4]]
    assert [image.get_array().max() for image in hot] == [1.0, 100.0]
    assert all((image.norm.vmin, image.norm.vmax) == (0.0, 100.0) for image in hot)
    assert bar(figure).get_ylabel() == "fall of the score"


def test_heat_below_zero_gets_colours_that_go_both_ways():
    maps = torch.zeros(1, 12, 16)
    maps[0, 0, 0] = -2.0
    image = plots.heat_overlay(images(1), maps, ["a"], title="t", label="l").axes[1].images[1]
    assert (image.norm.vmin, image.norm.vmax) == (-2.0, 2.0)
    assert image.get_cmap().name == "PuOr_r"


def test_a_map_without_heat_is_drawn_all_the_same():
    figure = plots.heat_overlay(images(1), torch.zeros(1, 12, 16), ["a"], title="t")
    rendered(figure)
    assert np.isfinite(figure.axes[1].images[1].get_array()).all()


def test_outlines_are_drawn_around_the_mask():
    mask = torch.zeros(2, 12, 16, dtype=torch.bool)
    mask[0, 4:8, 4:8] = True  # the second mask is empty, which has no outline
    figure = plots.heat_overlay(
        images(2), torch.rand(2, 12, 16), ["a", "b"], title="t", outlines=mask
    )
    lines = [len(axes.collections) for axes in figure.axes[2:4]]
    assert lines == [1, 0]
    rendered(figure)


@pytest.mark.parametrize(
    ("count", "shape", "captions", "said"),
    [
        (0, (0, 12, 16), 0, "N from 1, got 0 images"),
        (2, (2, 12, 16), 1, "2 images, maps .* and 1 captions"),
        (2, (12, 16), 2, r"maps \(12, 16\)"),
        (2, (3, 12, 16), 2, r"the 2 images are .* and the maps \(3, 12, 16\)"),
        (2, (2, 13, 13), 2, "give maps of the images' size"),
    ],
)
def test_overlay_says_what_does_not_match(count, shape, captions, said):
    with pytest.raises(ValueError, match=said):
        plots.heat_overlay(images(count), torch.rand(shape), ["x"] * captions, title="t")


def test_overlay_refuses_outlines_of_another_size():
    mask = torch.zeros(1, 5, 5, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"shape of the maps, \(1, 12, 16\), not \(1, 5, 5\)"):
        plots.heat_overlay(images(1), torch.rand(1, 12, 16), ["a"], title="t", outlines=mask)


def test_rows_sets_the_first_image_of_each_row_apart():
    figure = plots.image_rows(
        [images(3), images(3)], [["q", "x", "y"], ["r", "z", "w"]], title="t",
        heads=("asked about", "most alike"),
    )  # fmt: skip
    shown = [axes.get_title() for axes in figure.axes if axes.images]
    assert shown == ["asked about\nq", "most alike\nx", "y", "r", "z", "w"]
    assert len(figure.axes) == 2 * 4  # the gap is a column of its own
    rendered(figure)
    assert (
        sum(bool(axes.images) for axes in plots.image_rows([images(1)], [["a"]], title="t").axes)
        == 1
    )


@pytest.mark.parametrize(
    ("groups", "captions", "said"),
    [
        ([], [], r"rows of \[\] images"),
        ([[]], [[]], r"rows of \[0\] images"),
        ([1, 2], [["a"], ["a", "b"]], r"rows of \[1, 2\] images"),
        ([2], [["a"]], r"rows of \[2\] images and \[1\] captions"),
    ],
)
def test_rows_says_what_does_not_match(groups, captions, said):
    filled = [images(group) if isinstance(group, int) else group for group in groups]
    with pytest.raises(ValueError, match=said):
        plots.image_rows(filled, captions, title="t")


def test_scatter_draws_a_marker_a_class_and_a_ring_around_what_is_marked():
    places, labels = torch.rand(10, 2), torch.tensor([0, 1] * 5)
    wrong = labels.bool() & (torch.arange(10) < 4)
    panels = {"before": places, "after": places.numpy() * 2}
    figure = plots.scatter(
        panels, labels, ["ants", "bees"], title="t", marked=wrong, marked_label="wrong"
    )
    assert [axes.get_title() for axes in figure.axes] == ["before", "after"]
    for axes in figure.axes:
        assert [len(dots.get_offsets()) for dots in axes.collections] == [5, 5, 2]
        assert "no unit" in axes.get_xlabel() and "no unit" in axes.get_ylabel()
        markers = [dots.get_paths()[0].vertices.shape for dots in axes.collections[:2]]
        assert markers[0] != markers[1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ants", "bees", "wrong"]
    rendered(figure)


@pytest.mark.parametrize(
    ("panels", "labels", "said"),
    [
        ({}, [0, 1], "needs a panel"),
        ({"a": np.zeros((2, 2))}, [0, 2], "a name for each class"),
        ({"a": np.zeros((3, 2))}, [0, 1], r"those of 'a' have the shape \(3, 2\)"),
        ({"a": np.zeros((2, 3))}, [0, 1], r"those of 'a' have the shape \(2, 3\)"),
    ],
)
def test_scatter_says_what_does_not_match(panels, labels, said):
    with pytest.raises(ValueError, match=said):
        plots.scatter(panels, labels, ["ants", "bees"], title="t")
