"""Filters, feature maps and the influence of pixels: which values are drawn, and where."""

import numpy as np
import pytest
import torch

from tutorial_utils import plots


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
