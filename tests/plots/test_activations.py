"""Filters, feature maps and the influence of pixels: which values are drawn, and where."""

import re

import numpy as np
import pytest
import torch

from tutorial_utils import plots

NUMBER = re.compile(r"−?[\d.]+(e[−\d]+)?")


@pytest.mark.parametrize("shape", [(6, 64, 5, 5), (6, 3, 5)])
def test_filters_need_three_channels(shape):
    with pytest.raises(ValueError, match=r"weights \(C, 3, k, k\), got \(6, "):
        plots.filters(torch.rand(shape), title="t")


def test_filters_fill_the_grid_row_by_row_each_scaled_by_itself():
    weight = torch.zeros(5, 3, 2, 2)
    weight[4, 0, 0, 0], weight[4, 1, 1, 1] = -0.1, 0.3
    figure = plots.filters({"one": weight, "two": weight[:1]}, title="t", columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    sheet = figure.axes[0].images[0].get_array()
    assert sheet.shape == (5, 8, 3)  # two rows and three columns of 2 pixels, lines of 1 between
    np.testing.assert_allclose(sheet[3, 3], [0, 0.25, 0.25], atol=1e-6)
    np.testing.assert_allclose(sheet[4, 4], [0.25, 1, 0.25], atol=1e-6)
    np.testing.assert_allclose(sheet[2], 1)


def test_filter_changes_are_grey_where_nothing_changed_and_white_at_the_largest_weight():
    before = torch.zeros(5, 3, 2, 2)
    before[:, 0, 0, 0] = 0.2
    after = {"same": before.clone(), "moved": before.clone()}
    after["moved"][4, 1, 1, 1] += 0.2
    after["moved"][4, 2, 1, 1] -= 0.1
    figure = plots.filter_changes(before, after, title="t", columns=3)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["before", "same", "moved", "", "same: change", "moved: change"]
    same, moved = (axes.images[0].get_array() for axes in figure.axes[4:])
    np.testing.assert_allclose(same[:2, :2], 0.5)
    np.testing.assert_allclose(moved[4, 4], [0.5, 1, 0.25], atol=1e-6)
    np.testing.assert_allclose(moved[3, 3], 0.5)
    with pytest.raises(ValueError, match=r"weights \(C, 3, k, k\), got \(4, 3, 2, 2\)"):
        plots.filter_changes(before, {"a": before[:4]}, title="t")


def test_pixel_influence_writes_a_number_where_there_is_any():
    grid = torch.zeros(3, 3)
    grid[1, 1], grid[1, 2] = 4.0, 2.0
    figure = plots.pixel_influence({"a": grid, "b": grid.T}, title="t")
    numbers = [
        {text.get_position(): text.get_text() for text in axes.texts} for axes in figure.axes
    ]
    assert numbers == [{(1, 1): "4", (2, 1): "2"}, {(1, 1): "4", (1, 2): "2"}]  # (column, row)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert figure.axes[0].get_ylabel() == "row (pixels)"


def test_feature_maps_show_the_strongest_first():
    maps = torch.zeros(5, 4, 4)
    maps[3], maps[1] = 2.0, 1.0
    axes = plots.feature_maps(maps, title="t", count=2).axes
    assert [one.get_title() for one in axes] == ["channel 3", "channel 1"]
    assert [one.images[0].get_array().max() for one in axes] == [2.0, 1.0]
    with pytest.raises(ValueError, match=r"filters must be \(5, 3, k, k\), not \(4, 3, 2, 2\)"):
        plots.feature_maps(maps, title="t", filters=torch.rand(4, 3, 2, 2))


def test_feature_maps_stand_beside_their_filters_after_the_image():
    maps, filters, image = torch.rand(5, 4, 4), torch.rand(5, 3, 2, 2), np.zeros((8, 8, 3))
    best = maps.mean((1, 2)).argsort(descending=True)[:3].tolist()
    figure = plots.feature_maps(maps, title="t", image=image, filters=filters, count=3)
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == [
        "the image", *(name for k in best for name in ("filter", f"channel {k}"))
    ]  # fmt: skip
    arrays = [np.asarray(axes.images[0].get_array()) for axes in shown]
    np.testing.assert_array_equal(arrays[0], image)
    for k, drawn, found in zip(best, arrays[1::2], arrays[2::2], strict=True):
        np.testing.assert_allclose(drawn, plots.for_display(filters[k]))
        np.testing.assert_allclose(found, maps[k])
    assert "own scale" in figure.get_supxlabel()


def test_a_convolution_step_has_the_numbers_of_a_real_convolution():
    image, kernel = torch.randn(5, 6), torch.randn(3, 2)
    output = torch.nn.functional.conv2d(image[None, None], kernel[None, None])[0, 0]
    axes = plots.convolution_step(image, kernel, row=2, column=4, title="t").axes[0]
    texts = [text.get_text() for text in axes.texts]
    numbers = [float(text.replace("−", "-")) for text in texts if NUMBER.fullmatch(text)]
    expected = [image, kernel, image[2:5, 4:6] * kernel, output]
    np.testing.assert_allclose(numbers, torch.cat([one.flatten() for one in expected]), rtol=0.01)
    assert {"image 5×6", "kernel 3×2", "products 3×2", "output 3×5"} <= set(texts)
    frames = [box for box in axes.patches if box.get_linewidth() == 3]
    window, products, value = ((box.get_width(), box.get_height()) for box in frames)
    assert (window, products, value) == ((2, 3), (2, 3), (1, 1))
    assert (frames[0].get_x(), frames[0].get_y()) == (4, 2)
    with pytest.raises(ValueError, match="the output is 3 by 5: it has no row 3, column 0"):
        plots.convolution_step(image, kernel, row=3, column=0, title="t")


def test_pixel_influence_has_one_scale_of_shades():
    grids = {"a": torch.ones(3, 3), "b": 49 * torch.ones(3, 3)}
    a, b = (axes.images[0] for axes in plots.pixel_influence(grids, title="t").axes)
    assert (a.norm.vmin, a.norm.vmax) == (b.norm.vmin, b.norm.vmax)
    assert a.to_rgba(1.0)[0] > b.to_rgba(49.0)[0]  # the more, the darker
