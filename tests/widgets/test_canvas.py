"""The sheet: where shapes, images and text are drawn; a rendering as HTML and as text."""

import io

import numpy as np
import pytest
from PIL import Image

from tutorial_utils.plots.style import GRID_GREY
from tutorial_utils.widgets import canvas
from tutorial_utils.widgets.canvas import SCALE, Rendering, Sheet


def pixel(sheet: Sheet, x: float, y: float) -> tuple[int, int, int]:
    return sheet.image.getpixel((round(x * SCALE), round(y * SCALE)))


@pytest.fixture
def sheet():
    return Sheet(40, 40)


def test_a_box_covers_its_points_and_no_others(sheet):
    assert sheet.image.getcolors() == [((40 * SCALE) ** 2, (255, 255, 255))]
    sheet.box(10, 10, 20, 20, fill="#ff0000")
    red = (np.asarray(sheet.image) == (255, 0, 0)).all(axis=2)
    assert red.sum() == (10 * SCALE) ** 2
    assert pixel(sheet, 11, 11) == (255, 0, 0)
    assert pixel(sheet, 21, 11) == (255, 255, 255)


@pytest.mark.parametrize("corners", [(10, 10, 10, 20), (10, 10, 20, 10), (10, 10, 5, 20)])
def test_a_box_without_area_is_left_out(sheet, corners):
    sheet.box(*corners, fill="black", line="black")
    sheet.hatch(*corners, "black")
    assert len(sheet.image.getcolors()) == 1


def test_a_grid_has_lines_between_its_cells(sheet):
    sheet.grid(10, 10, 20, 2)
    grey = tuple(int(GRID_GREY[k : k + 2], 16) for k in (1, 3, 5))
    row = [pixel(sheet, x, 15) == grey for x in (10, 15, 20, 25, 30)]
    column = [pixel(sheet, 15, y) == grey for y in (10, 15, 20, 25, 30)]
    assert row == column == [True, False, True, False, True]


def test_hatching_leaves_gaps_inside_and_nothing_outside(sheet):
    sheet.hatch(10, 10, 30, 30, "black")
    dark = np.asarray(sheet.image.convert("L")) < 128
    inside = dark[15:45, 15:45]
    assert 0 < inside.mean() < 0.5
    assert dark.sum() == inside.sum()


def test_an_image_fills_its_rectangle_smooth_or_as_squares(sheet):
    pixels = np.array([[0.0, 1.0], [0.0, 0.0]])
    sheet.paste(pixels, 0, 0, 40, 40, smooth=False)
    assert [pixel(sheet, x, 10)[0] for x in (1, 19, 21, 39)] == [0, 0, 255, 255]
    assert [pixel(sheet, x, 30)[0] for x in (1, 19, 21, 39)] == [0, 0, 0, 0]
    assert set(np.unique(np.asarray(sheet.image))) == {0, 255}
    sheet.paste(pixels, 0, 0, 40, 40)
    assert len(np.unique(np.asarray(sheet.image))) > 10


def test_text_is_written_where_it_belongs(sheet):
    sheet.text(20, 5, "ants")
    dark = np.asarray(sheet.image.convert("L")) < 80
    assert dark[:, 30:].any() and not dark[:, :30].any()


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)])
def test_an_array_becomes_rgb_and_is_clipped(shape):
    values = np.linspace(-1, 2, int(np.prod(shape))).reshape(shape)
    image = canvas.as_image(values)
    assert (image.mode, image.size) == ("RGB", (6, 4))
    assert np.asarray(image).min() == 0 and np.asarray(image).max() == 255
    assert np.asarray(canvas.as_image(np.full((2, 2), np.nan))).max() == 0


def test_png_is_lossless_and_jpeg_is_smaller_and_looks_the_same():
    ramp = np.linspace(0, 1, 200)[:, None, None] * np.ones((1, 150, 3)) * (1.0, 0.6, 0.3)
    image = canvas.as_image(ramp + 0.02 * np.random.default_rng(0).normal(size=ramp.shape))
    for file in (canvas.png(image), canvas.png(image, tight=True)):
        again = Image.open(io.BytesIO(file))
        assert again.format == "PNG" and np.array_equal(np.asarray(again), np.asarray(image))
    small = canvas.jpeg(image)
    assert len(small) < len(canvas.png(image, tight=True)) / 2
    again = np.asarray(Image.open(io.BytesIO(small))).astype(int)
    assert np.abs(again - np.asarray(image)).mean() < 8


def test_what_is_stored_is_the_smaller_of_jpeg_and_png():
    noise = np.random.default_rng(0).random((60, 60, 3))
    assert "data:image/jpeg;" in Rendering(canvas.as_image(noise), "noise", ()).html(tight=True)
    assert "data:image/png;" in Rendering(canvas.as_image(noise), "noise", ()).html()
    flat = Image.new("RGB", (60, 60), "white")
    assert "data:image/png;" in Rendering(flat, "white", ()).html(tight=True)


def test_a_rendering_as_html_and_as_text():
    rendering = Rendering(Image.new("RGB", (30, 15)), 'a "small" <box>', ("5 < 6", "and more"))
    page = rendering.html()
    assert 'alt="a &quot;small&quot; &lt;box&gt;"' in page
    assert f'width="{round(30 / SCALE)}"' in page
    assert "<div>5 &lt; 6</div><div>and more</div>" in page
    assert rendering.text() == '[figure: a "small" <box>]\n5 < 6\nand more'
