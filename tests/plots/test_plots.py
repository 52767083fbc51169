"""The figures: right number of parts, labels, alternative text; nothing is left open."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from tutorial_utils import evaluation, layers, models, plots


def rendered(figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return Image.open(buffer)


def test_show_keeps_the_alt_text(monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", lambda bundle, raw: shown.append(bundle))
    plots.show(plots.bars({"a": 1}, title="t", label="l"), 'Bars: "a" is <1> & lonely')
    html = shown[0]["text/html"]
    assert 'alt="Bars: &quot;a&quot; is &lt;1&gt; &amp; lonely"' in html
    assert shown[0]["text/plain"] == '[figure: Bars: "a" is <1> & lonely]'
    assert plt.get_fignums() == []


@pytest.mark.parametrize("alt", ["", "  ", "figure"])
def test_show_refuses_an_empty_alt_text(alt):
    with pytest.raises(ValueError, match="alt must describe the figure in a sentence"):
        plots.show(plots.bars({"a": 1}, title="t", label="l"), alt)


def test_contact_sheet_takes_images_and_arrays():
    parts = [Image.new("RGB", (400, 300)), np.zeros((8, 8, 3)), np.ones((8, 8, 3))]
    figure = plots.contact_sheet(parts, ["a", "b", "c"], columns=2, title="Three")
    assert len(figure.axes) == 3
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="at least one image"):
        plots.contact_sheet([])


def test_stacked_draws_a_bar_a_row_with_its_total():
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 0.5]}, index=["x", "y"])
    figure = plots.stacked({"seconds": frame, "memory (MB)": frame * 100}, title="Two units")
    assert [axes.get_xlabel() for axes in figure.axes] == ["seconds", "memory (MB)"]
    for axes, totals in zip(figure.axes, (["4", "2.5"], ["400", "250"]), strict=True):
        assert [text.get_text().strip() for text in axes.texts] == totals
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    rendered(figure)


def test_as_seen_undoes_the_normalisation():
    preset = models.preset(8)
    image = Image.new("RGB", (8, 8), (255, 128, 0))
    seen = plots.denormalise(preset(image)[None], preset)
    assert seen[0].shape == (8, 8, 3)
    np.testing.assert_allclose(seen[0][0, 0], [1.0, 128 / 255, 0.0], atol=1e-6)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_architecture_has_a_box_for_every_layer(arch):
    with torch.device("meta"):
        network = models.build(arch, weights="none", quiet=True)
    table = layers.layer_table(network)
    figure = plots.architecture(table, title=arch)
    shrinking = table["kind"].eq("MaxPool2d")
    makes = table["kind"].isin(["Conv2d", "Linear"]) | shrinking
    axes = figure.axes[0]
    assert len(axes.patches) == 1 + makes.sum()  # 1 for the image; the last pooling does nothing
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "image",
        "convolution",
        "pooling",
        "dense",
    ]


def test_architecture_is_to_scale_and_labels_do_not_collide():
    with torch.device("meta"):
        network = models.build("vgg16", weights="none", quiet=True)
    axes = plots.architecture(layers.layer_table(network), title="VGG16").axes[0]
    box = axes.patches
    assert box[1].get_height() == pytest.approx(2 * box[4].get_height())  # 224 and 112 pixels
    assert box[4].get_width() == pytest.approx(2 * box[3].get_width())  # 128 and 64 channels
    assert box[-1].get_height() == pytest.approx(1000 / 4096 * box[-2].get_height())
    axes.figure.draw_without_rendering()
    frames = [text.get_window_extent() for text in axes.texts]
    hits = [(a, b) for i, a in enumerate(frames) for b in frames[:i] if a.overlaps(b)]
    assert not hits


def test_filters_refuse_other_layers():
    assert len(plots.filters(torch.rand(6, 3, 5, 5), title="t").axes) == 1
    with pytest.raises(ValueError, match=r"weights \(out, 3, k, k\), got \(6, 64, 5, 5\)"):
        plots.filters(torch.rand(6, 64, 5, 5), title="t")


def test_filters_fill_the_grid_row_by_row_each_stretched_by_itself():
    weight = torch.zeros(5, 3, 2, 2)
    weight[4, 0, 0, 0], weight[4, 1, 1, 1] = -0.1, 0.3
    figure = plots.filters({"one": weight, "two": weight[:1]}, title="t", columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    sheet = figure.axes[0].images[0].get_array()
    assert sheet.shape == (5, 8, 3)  # two rows and three columns of 2 pixels, lines of 1 between
    np.testing.assert_allclose(sheet[3, 3], [0, 0.25, 0.25], atol=1e-6)
    np.testing.assert_allclose(sheet[4, 4], [0.25, 1, 0.25], atol=1e-6)
    np.testing.assert_allclose(sheet[2], 1)


def test_influence_writes_a_number_where_there_is_any():
    grid = torch.zeros(3, 3)
    grid[1, 1], grid[1, 2] = 4.0, 2.0
    figure = plots.influence({"a": grid, "b": grid}, title="t")
    assert [text.get_text() for text in figure.axes[0].texts] == ["4", "2"]
    assert figure.axes[0].get_ylabel() == "row (pixels)"


def test_feature_maps_show_the_strongest_first():
    maps = torch.zeros(5, 4, 4)
    maps[3], maps[1] = 2.0, 1.0
    figure = plots.feature_maps(maps, title="t", count=2)
    assert [axes.get_title() for axes in figure.axes] == ["channel 3", "channel 1"]


def history(epochs: int) -> pandas.DataFrame:
    columns = ["train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    frame = pandas.DataFrame({name: np.linspace(0.9, 0.1, epochs) for name in columns})
    return frame.assign(epoch=range(1, epochs + 1))


def test_curves_draw_both_sets_of_every_run():
    figure = plots.curves({"A": history(3), "B": history(5)}, title="t")
    loss, accuracy = figure.axes
    assert [len(axes.lines) for axes in (loss, accuracy)] == [4, 4]
    styles = {(line.get_linestyle(), line.get_marker()) for line in loss.lines}
    assert styles == {("--", "s"), ("-", "o")}  # told apart without colour
    assert accuracy.get_ylabel() == "fraction right"


def test_one_epoch_is_a_curve_too():
    assert rendered(plots.curves({"A": history(1)}, title="t")).size[0] > 100


def test_confusion_names_rows_and_columns():
    figure = plots.confusion(np.array([[60, 10], [3, 80]]), ["ants", "bees"], title="t")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["60", "10", "3", "80"]
    assert axes.get_ylabel() == "the image is"


def test_confusion_of_many_classes_stays_legible():
    names = [f"a rather long name {i}" for i in range(9)]
    figure = plots.confusion(np.full((9, 9), 123), names, title="t")
    axes = figure.axes[0]
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {40}
    assert figure.get_size_inches()[0] > 5


def test_comparison_marks_published_figures():
    rows = [
        {"name": "here", "accuracy": 0.9, "low": 0.85, "high": 0.94},
        {"name": "post", "accuracy": 0.91, "published": True},
    ]
    axes = plots.comparison(rows, title="t").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["here", "post"]
    assert {line.get_marker() for line in axes.lines} >= {"o", "D"}


def test_balance_and_sizes():
    figure = plots.class_balance({"train": {"a": 3, "b": 4}, "val": {"a": 1, "b": 2}})
    assert len(figure.axes[0].patches) == 4
    figure = plots.sizes({"a": [(3, 4), (5, 6)], "b": [(7, 8)]})
    assert figure.axes[0].get_xlabel() == "width (pixels)"


def test_save_makes_the_folder(tmp_path):
    plots.save(plots.bars({"a": 1}, title="t", label="l"), tmp_path / "new" / "f.png")
    assert Image.open(tmp_path / "new" / "f.png").format == "PNG"


def point(name: str, images: int, accuracy: float, **more) -> dict:
    low, high = accuracy - 0.05, accuracy + 0.04
    row = {"name": name, "images": images, "accuracy": accuracy, "low": low, "high": high}
    return row | more


def test_bands_draw_a_line_a_name_from_few_images_to_many():
    rows = [
        point("kept", 244, 0.9, share=1.0, least=0.88, most=0.92),
        point("kept", 24, 0.8, share=0.1, least=0.75, most=0.85),
        point("new", 24, 0.5, share=0.1),
        point("new", 244, 0.7, share=1.0),
    ]
    axes = plots.bands(rows, title="t").axes[0]
    first, second = axes.lines
    assert first.get_xydata().tolist() == [[24, 0.8], [244, 0.9]]
    assert second.get_xydata().tolist() == [[24, 0.5], [244, 0.7]]
    assert first.get_linestyle() != second.get_linestyle()  # told apart without colour
    assert first.get_marker() != second.get_marker()
    ticks = {label.get_text() for label in axes.get_xticklabels()}
    assert ticks == {"24\n10%", "244\n100%"}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["kept", "new"]
    assert axes.get_ylabel() == "validation accuracy (fraction right)"
    rendered(axes.figure)


def test_bands_hold_the_interval_and_the_seeds():
    rows = [point("kept", 24, 0.8, least=0.75, most=0.85), point("kept", 244, 0.9)]
    band, seeds = plots.bands(rows, title="t").axes[0].collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(0.75)
    assert corners[:, 1].max() == pytest.approx(0.94)
    (segment,) = seeds.get_segments()  # the other point has no seeds to tell of
    np.testing.assert_allclose(segment, [[24, 0.75], [24, 0.85]])


def test_bands_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one row to draw, got none"):
        plots.bands([], title="t")


def test_reliability_draws_the_bins_that_hold_images():
    found = evaluation.Calibration(
        edges=np.linspace(0, 1, 5),
        counts=np.array([0, 0, 4, 6]),
        confidence=np.array([np.nan, np.nan, 0.6, 0.9]),
        accuracy=np.array([np.nan, np.nan, 0.5, 1.0]),
        error=0.1,
    )
    upper, lower = plots.reliability(found, title="t").axes
    diagonal, bins = upper.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert bins.get_xydata().tolist() == [[0.6, 0.5], [0.9, 1.0]]
    assert [bar.get_height() for bar in lower.patches] == [0, 0, 4, 6]
    assert upper.get_title() == "t\nexpected calibration error 0.100"
    rendered(upper.figure)
