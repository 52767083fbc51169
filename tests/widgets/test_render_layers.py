"""Images of layers: windows and receptive fields that agree with real layers, and their texts."""

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tutorial_utils import layers, plots
from tutorial_utils.widgets import canvas, render_layers, tracing

ORANGE = tuple(int(plots.ORANGE[k : k + 2], 16) for k in (1, 3, 5))


@given(*(st.integers(*ends) for ends in ((1, 40), (1, 11), (1, 5), (0, 3), (1, 2000))))
def test_the_window_is_where_a_real_layer_takes_its_value(size, kernel, stride, padding, window):
    if kernel > size + 2 * padding:
        with pytest.raises(ValueError, match="does not fit"):
            render_layers.output_size(size, kernel, stride, padding, window)
        return
    shown = render_layers.output_size(size, kernel, stride, padding, window)
    layer = nn.Conv2d(1, 1, kernel, stride, padding, device="meta")
    out = layer(torch.empty(1, 1, size, size, device="meta")).shape[-1]
    assert shown.lines[0].endswith(f"= {out}")
    assert f"{out}×{out} values" in shown.lines[1]
    number = min(window, out * out)
    row, column = (number - 1) // out, (number - 1) % out
    first, left = row * stride + 1, column * stride + 1
    assert f"Window {number} of {out * out} " in shown.lines[2]
    assert f"rows {first} to {first + kernel - 1} " in shown.lines[2]
    assert f"columns {left} to {left + kernel - 1} " in shown.lines[2]


def orange_box(image, left, right):
    """Return the first and last orange row and column between two columns of pixels, in points."""
    found = np.argwhere((np.asarray(image)[:, left:right] == ORANGE).all(axis=2)) + (0, left)
    return np.concatenate([found.min(axis=0), found.max(axis=0)]) / 1.5


def test_the_window_and_its_value_are_drawn_where_the_text_says():
    image = render_layers.output_size(9, 3, 2, 0, 7).image  # row 2, column 3
    unit = 270 / 9
    top, left, bottom, right = orange_box(image, 0, 440)
    assert (top, left) == pytest.approx((40 + 2 * unit, 20 + 4 * unit), abs=3)
    assert (bottom, right) == pytest.approx((40 + 5 * unit, 20 + 7 * unit), abs=3)
    top, left, bottom, right = orange_box(image, 500, 930)
    unit = 250 / 4
    assert (top, left) == pytest.approx((40 + unit, 340 + 2 * unit), abs=3)
    assert (bottom, right) == pytest.approx((40 + 2 * unit, 340 + 3 * unit), abs=3)


@pytest.mark.parametrize(
    ("size", "text"),
    [(227, "No pixel is left over"), (228, "1 pixel is left"), (230, "3 pixels are left")],
)
def test_the_formula_has_the_papers_numbers_and_pixels_left_over_are_counted(size, text):
    lines = render_layers.output_size(size, 11, 4, 0).lines
    assert lines[0].startswith(f"⌊({size} + 2·0 − 11) / 4⌋ + 1 = ⌊54")
    assert lines[0].endswith("⌋ + 1 = 55") and text in lines[1]


@pytest.mark.parametrize("window", [0, -1, 1.5, True])
def test_a_window_has_a_number_from_1(window):
    with pytest.raises(ValueError, match="window must be a whole number from 1, not"):
        render_layers.output_size(12, 3, 2, 1, window)


@pytest.fixture
def traced(network, dataset, preset):
    return tracing.trace(network, dataset[0][0], preset)


CONVOLUTION = "a convolution with windows of 5×5, stride 2, padding 0: output 4×14×14, 304"
POOLING = "a pooling with windows of 2×2, stride 2, padding 0: output 4×7×7, 0"


@pytest.mark.parametrize(
    ("name", "layer", "field"),
    [
        ("features.0", CONVOLUTION, "5×5 pixels"),
        ("features.2", POOLING, "7×7 pixels"),
        ("classifier.1", "a dense layer: output 2, 394", "the whole image"),
    ],
)
def test_a_layer_is_described(traced, name, layer, field):
    shown = render_layers.traced_layer(traced, name)
    assert shown.lines[0] == f"{name}, {layer} parameters."
    assert shown.lines[1].startswith(f"One value sees {field} (its receptive field).")
    assert ("frame on the image" in shown.lines[1]) == (name != "classifier.1")
    assert f"{name} marked" in shown.alt


def test_a_receptive_field_of_one_pixel_is_described(preset):
    network = nn.Sequential(nn.Conv2d(3, 2, 1))
    shown = render_layers.traced_layer(tracing.trace(network, torch.rand(3, 9, 9), preset), "0")
    assert "One value sees 1×1 pixels" in shown.lines[1]
    assert "frame on the image" in shown.lines[1]


def test_the_receptive_field_is_where_pixels_have_influence(network, traced):
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    network.features(image)[0, :, 3, 3].sum().backward()
    touched = (image.grad[0] != 0).any(dim=0).nonzero()  # by the gradient of one value
    row = traced.table.set_index("layer", drop=False).loc["features.2"]
    low, end = render_layers._receptive_span(traced.table, row, 3, 32)
    assert low <= touched.min() and touched.max() < end
    assert (low, end) == (12, 19)


@pytest.mark.parametrize("index", [0, 3, 5, 15])
def test_the_receptive_field_counts_the_padding(index):
    network = nn.Sequential(nn.Conv2d(3, 4, 5, 2, padding=2), nn.Conv2d(4, 4, 3, padding=1))
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    network(image)[0, :, index, index].sum().backward()
    touched = (image.grad[0] != 0).any(dim=0).nonzero()
    table = layers.layer_table(network, size=32)
    low, end = render_layers._receptive_span(table, table.iloc[1], index, 32)
    assert (low, end) == (touched.min(), touched.max() + 1)


def test_a_map_is_bright_where_it_is_strongest_and_tiles_fill_their_rows():
    viridis = matplotlib.colormaps["viridis"]
    shown = render_layers._stretched(np.array([[0.5, 2.0], [0.0, 1.0]]))
    expected = viridis(np.array([[0.25, 1.0], [0.0, 0.5]]))[..., :3]
    np.testing.assert_allclose(shown, expected)
    below = render_layers._stretched(np.array([[-1.0, 1.0]]))  # a dense layer's values
    np.testing.assert_allclose(below, viridis(np.array([[0.0, 1.0]]))[..., :3])
    sheet = canvas.Sheet(400, 445)
    tiles = [np.full((4, 4, 3), grey) for grey in (0.1, 0.2, 0.3, 0.4)]
    render_layers._draw_tiles(sheet, 20, "its maps", tiles, 150, 3)
    corners = [(45, 215), (95, 215), (145, 215), (45, 265)]
    found = [sheet.image.getpixel((round(1.5 * x), round(1.5 * y)))[0] for x, y in corners]
    assert found == [26, 51, 76, 102]


def test_the_frame_is_drawn_around_the_receptive_field(traced):
    row, column = traced.outputs["features.2"].strongest
    image = render_layers.traced_layer(traced, "features.2").image
    left, top, unit = 14, 190, 235 / 32
    found = np.argwhere((np.asarray(image) == ORANGE).all(axis=2)) / 1.5
    found = found[(found[:, 0] > top) & (found[:, 1] < left + 235)]
    corner = (top + 4 * row * unit, left + 4 * column * unit)
    assert found.min(axis=0) == pytest.approx(corner, abs=4)
    assert np.ptp(found, axis=0) == pytest.approx((7 * unit, 7 * unit), abs=4)


def test_the_chosen_layer_alone_has_an_orange_frame_and_an_unknown_one_is_an_error(traced):
    lefts = []
    for name in traced.outputs:
        pixels = np.asarray(render_layers.traced_layer(traced, name).image)[30:180]
        lefts.append(np.argwhere((pixels == ORANGE).all(axis=2))[:, 1].min())
    assert lefts == sorted(set(lefts))
    with pytest.raises(ValueError, match=r"no layer 'x'; there are features.0, features.2"):
        render_layers.traced_layer(traced, "x")
