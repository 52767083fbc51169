"""Figures of images: which image stands where, the scales of heat maps, errors of sizes."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image
from torchvision.models import AlexNet_Weights

from tutorial_utils import plots
from tutorial_utils.plots import style


def images(count):
    return [np.full((12, 16, 3), 0.5) for _ in range(count)]


def test_contact_sheet_takes_images_and_arrays():
    parts = [Image.new("RGB", (400, 300)), np.zeros((8, 8, 3)), np.ones((8, 8, 3))]
    figure = plots.contact_sheet(parts, ["a", "b", "c"], columns=2, title="Three")
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c"]
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert [array.shape for array in shown] == [(240, 320, 3), (8, 8, 3), (8, 8, 3)]
    assert [array.max() for array in shown] == [0, 0, 1]
    corners = [axes.get_subplotspec() for axes in figure.axes]
    assert [(at.rowspan.start, at.colspan.start) for at in corners] == [(0, 0), (0, 1), (1, 0)]
    with pytest.raises(ValueError, match="at least one image"):
        plots.contact_sheet([])


def test_contact_sheet_marks_mistakes_by_a_frame_and_in_words():
    figure = plots.contact_sheet(images(3), ["a", "b", "c"], wrong=[False, True, False])
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [[], ["wrong"], []]
    assert [len(axes.patches) for axes in figure.axes] == [0, 1, 0]
    assert to_hex(figure.axes[1].patches[0].get_edgecolor()).upper() == style.MISTAKE


def test_contact_sheet_has_one_scale_of_pixels_where_asked():
    parts = [Image.new("RGB", (500, 300)), np.zeros((224, 224, 3))]
    for same, limits in ((True, [(500, 300)] * 2), (False, [(500, 300), (224, 224)])):
        figure = plots.contact_sheet(parts, same_scale=same)
        found = [(axes.get_xlim()[1], axes.get_ylim()[0]) for axes in figure.axes]
        assert found == limits
        extents = [tuple(axes.images[0].get_extent()) for axes in figure.axes]
        assert extents == [(0, 500, 300, 0), (0, 224, 224, 0)]


def test_for_display_stretches_each_image_by_its_own_values():
    batch = torch.randn(2, 3, 4, 5) * torch.tensor([1.0, 50.0]).view(2, 1, 1, 1)
    shown = plots.for_display(batch)
    assert shown.shape == (2, 4, 5, 3)
    for one, original in zip(shown, batch, strict=True):
        assert (one.min(), one.max()) == (0, pytest.approx(1))
        np.testing.assert_allclose(plots.for_display(original), one)
    assert np.isfinite(plots.for_display(torch.ones(3, 2, 2))).all()


def test_denormalise_undoes_the_normalisation():
    preset = AlexNet_Weights.IMAGENET1K_V1.transforms(crop_size=8, resize_size=8)
    image = Image.new("RGB", (8, 8), (255, 128, 0))
    (seen,) = plots.denormalise(preset(image)[None], preset)
    assert seen.shape == (8, 8, 3)
    np.testing.assert_allclose(seen[0, 0], [1.0, 128 / 255, 0.0], atol=1e-6)


def test_overlay_has_an_image_and_its_heat_in_each_column_and_a_colour_bar():
    maps = torch.rand(3, 12, 16)
    maps[:, 0, 0] = 1.0
    figure = plots.heat_overlay(images(3), maps, ["a", "b", "c"], title="Three")
    assert len(figure.axes) == 2 * 3 + 1
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a", "b", "c"]
    assert [len(axes.images) for axes in figure.axes[:6]] == [1, 1, 1, 2, 2, 2]
    for axes, heat in zip(figure.axes[3:6], maps, strict=True):
        np.testing.assert_allclose(axes.images[1].get_array(), heat)


def test_overlays_stand_below_their_images_also_in_the_second_row():
    maps = torch.rand(5, 12, 16)
    figure = plots.heat_overlay(images(5), maps, list("abcde"), title="Five", columns=3)
    panels = figure.axes[:-1]
    assert [axes.get_title() for axes in panels] == [*"abc", "", "", "", *"de", "", "", "", ""]
    assert [len(axes.images) for axes in panels] == [1, 1, 1, 2, 2, 2, 1, 1, 0, 2, 2, 0]
    below = [axes.images[1].get_array() for axes in [*panels[3:6], *panels[9:11]]]
    for heat, drawn in zip(maps, below, strict=True):
        np.testing.assert_allclose(drawn, heat / heat.max())


@pytest.mark.parametrize(("lowest", "clear"), [(0.0, 0.0), (-1.0, 0.5)])
def test_no_heat_is_transparent_and_the_highest_is_not(lowest, clear):
    maps = torch.zeros(1, 12, 16)
    maps[0, 0, 0], maps[0, 0, 1] = 1.0, lowest
    figure = plots.heat_overlay(images(1), maps, ["a"], title="t")
    colours = figure.axes[1].images[1].get_cmap()(np.linspace(0, 1, 257))
    opacity, brightness = colours[:, 3], colours[:, :3] @ style.LUMINANCE
    if lowest == 0:  # bright yellow is the highest
        assert (np.diff(brightness[::16]) > 0).all() and colours[-1, 2] < 0.2
    else:  # orange above zero, purple below
        assert colours[-1, 0] > colours[-1, 2] and colours[0, 2] > colours[0, 0]
    assert opacity[int(256 * clear)] == pytest.approx(0, abs=0.01)
    assert opacity[-1] == opacity.max() == style.HEAT_OPACITY
    assert opacity[0] == (0 if lowest == 0 else style.HEAT_OPACITY)


@pytest.mark.parametrize(
    ("label", "tops", "most", "bar"),
    [
        (None, [1.0, 1.0], 1.0, "share of the map's\nhighest heat"),
        ("fall of the score", [1.0, 100.0], 100.0, "fall of the score"),
    ],
)
def test_maps_share_one_scale_if_there_is_a_label(label, tops, most, bar):
    maps = torch.zeros(2, 12, 16)
    maps[0, 0, 0], maps[1, 3, 4] = 1.0, 100.0
    figure = plots.heat_overlay(images(2), maps, ["a", "b"], title="t", label=label)
    hot = [axes.images[1] for axes in figure.axes[2:4]]
    assert [image.get_array().max() for image in hot] == tops
    assert all((image.norm.vmin, image.norm.vmax) == (0.0, most) for image in hot)
    assert figure.axes[-1].get_ylabel() == bar


def test_heat_below_zero_has_colours_on_both_sides_and_no_heat_is_drawn_too():
    maps = torch.zeros(1, 12, 16)
    maps[0, 0, 0] = -2.0
    image = plots.heat_overlay(images(1), maps, ["a"], title="t", label="l").axes[1].images[1]
    assert (image.norm.vmin, image.norm.vmax) == (-2.0, 2.0)
    assert image.get_cmap().name == "PuOr_r"
    maps = torch.cat([maps, 3 * maps.abs()])
    figure = plots.heat_overlay(images(2), maps, ["a", "b"], title="t")
    assert [figure.axes[i].images[1].get_array()[0, 0] for i in (2, 3)] == [-1, 1], "own scales"
    assert figure.axes[-1].get_ylabel() == "share of the map's\nlargest change"
    figure = plots.heat_overlay(images(1), torch.zeros(1, 12, 16), ["a"], title="t")
    assert np.isfinite(figure.axes[1].images[1].get_array()).all()


def test_outlines_are_drawn_around_masks_of_the_same_size():
    mask = torch.zeros(2, 12, 16, dtype=torch.bool)
    mask[0, 4:8, 4:8] = True  # the second mask is empty, which has no outline
    maps = torch.rand(2, 12, 16)
    figure = plots.heat_overlay(images(2), maps, ["a", "b"], title="t", outlines=mask)
    outlined, empty = figure.axes[2:4]
    (line,) = outlined.collections
    assert line.get_linewidth() < 0.8, "a thick line hides the heat"
    assert line.get_paths()[0].get_extents().bounds == (3.5, 3.5, 4, 4)
    assert not empty.collections
    with pytest.raises(ValueError, match=r"shape of the maps, \(2, 12, 16\), not \(1, 12, 16\)"):
        plots.heat_overlay(images(2), maps, ["a", "b"], title="t", outlines=mask[:1])


@pytest.mark.parametrize(
    ("count", "shape", "captions", "message"),
    [
        (0, (0, 12, 16), 0, "N from 1, got 0 images"),
        (2, (2, 12, 16), 1, "2 images, maps .* and 1 captions"),
        (2, (12, 16), 2, r"maps \(12, 16\)"),
        (2, (3, 12, 16), 2, r"the 2 images are .* and the maps \(3, 12, 16\)"),
        (2, (2, 13, 13), 2, "give maps of the images' size"),
    ],
)
def test_overlay_names_what_does_not_match(count, shape, captions, message):
    with pytest.raises(ValueError, match=message):
        plots.heat_overlay(images(count), torch.rand(shape), ["x"] * captions, title="t")


def test_rows_sets_the_first_image_of_each_row_apart():
    figure = plots.image_rows(
        [images(3), images(3)], [["q", "x", "y"], ["r", "z", "w"]], title="t",
        heads=("query", "most alike"),
    )  # fmt: skip
    shown = [axes.get_title() for axes in figure.axes if axes.images]
    assert shown == ["query\nq", "most alike\nx", "y", "r", "z", "w"]
    assert len(figure.axes) == 2 * 4  # the gap is a column of its own
    assert len(plots.image_rows([images(1)], [["a"]], title="t").axes) == 1


def test_rows_frame_what_is_marked_and_write_the_word():
    marked = [[False, True], [False, False]]
    figure = plots.image_rows([images(2)] * 2, [["a", "b"]] * 2, title="t", marked=marked, mark="x")
    shown = [axes for axes in figure.axes if axes.images]
    assert [[text.get_text() for text in axes.texts] for axes in shown] == [[], ["x"], [], []]
    assert [len(axes.patches) for axes in shown] == [0, 1, 0, 0]
    with pytest.raises(ValueError, match=r"\[2, 2\] captions, \[2, 1\] of them marked or not"):
        plots.image_rows(
            [images(2)] * 2, [["a", "b"]] * 2, title="t", marked=[[True, False], [True]]
        )


@pytest.mark.parametrize(
    ("groups", "captions", "message"),
    [
        ([], [], r"rows of \[\] images"),
        ([[]], [[]], r"rows of \[0\] images"),
        ([1, 2], [["a"], ["a", "b"]], r"rows of \[1, 2\] images"),
        ([2], [["a"]], r"rows of \[2\] images and \[1\] captions"),
    ],
)
def test_rows_names_what_does_not_match(groups, captions, message):
    filled = [images(group) if isinstance(group, int) else group for group in groups]
    with pytest.raises(ValueError, match=message):
        plots.image_rows(filled, captions, title="t")
