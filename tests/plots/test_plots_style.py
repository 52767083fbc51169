"""The style: every series differs, a colour has one meaning, JPEG for images, odd names."""

import base64
import io
import re
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_utils import plots
from tutorial_utils.plots import diagram, style

ODD_NAMES = ("a$$b", "_ants", "$x^2$ and $y$", r"a\$b", "$")


def test_every_series_and_every_class_has_a_style_and_the_first_ones_differ():
    assert style.series_style(0) == (plots.BLUE, "-", "o", "")
    assert len({style.series_style(i) for i in range(28)}) == 28
    assert len({style.class_style(i) for i in range(20)}) == 20
    for looks in (map(style.series_style, range(4)), map(style.class_style, range(4))):
        assert [len(set(one)) for one in zip(*looks, strict=True)] == [4] * 4  # in each respect
    assert style.series_style(1000).colour in plots.PALETTE


def test_a_colour_has_one_meaning():
    layers = {colour for _, colour in diagram.KINDS.values()}
    states = {style.TRAINED, style.HIGHLIGHT, style.MISTAKE, style.BASELINE}
    everything = [*layers, *states, *style.PALETTE, *style.CLASS_COLOURS]
    assert len(set(everything)) == len(everything) == 4 + 4 + 7 + 5
    assert style.FROZEN_HATCH not in style.HATCHES
    for name in ("CONVOLUTION", "POOLING", "DENSE", "DATA", "TRAINED", "HIGHLIGHT", "MISTAKE"):
        assert re.search(rf"^    {name} ", style.__doc__, re.MULTILINE)


@pytest.fixture
def bars():
    return plots.bars({"a": 1}, title="t", label="l")


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(style, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def test_show_needs_and_keeps_an_alt_text(bars, shown):
    plots.show(bars, 'Bars: "a" is <1> & alone')
    assert 'alt="Bars: &quot;a&quot; is &lt;1&gt; &amp; alone"' in shown[0]["text/html"]
    assert shown[0]["text/plain"] == '[figure: Bars: "a" is <1> & alone]'
    assert plt.get_fignums() == []
    for alt in ("", "  ", "figure"):
        with pytest.raises(ValueError, match="alt must describe the figure in a sentence, not"):
            plots.show(bars, alt)


def test_images_in_colour_are_shown_as_jpeg_and_line_art_as_png_in_full_colour(bars, shown):
    photo = np.random.default_rng(0).random((300, 300, 3))
    maps = torch.rand(3, 8, 8)
    plots.show(plots.contact_sheet([photo]), "noise in the place of a photograph")
    plots.show(plots.filters(torch.rand(2, 3, 2, 2), title="t"), "two filters of four pixels")
    plots.show(plots.feature_maps(maps, title="t"), "three feature maps at random")
    plots.show(bars, "one bar with the length 1")
    files = []
    for bundle in shown:
        kind, coded = re.search(r"data:image/(\w+);base64,([^\"]+)", bundle["text/html"]).groups()
        files.append(Image.open(io.BytesIO(base64.b64decode(coded))))
        assert files[-1].format.lower() == kind
    assert [file.format for file in files] == ["JPEG", "PNG", "PNG", "PNG"]
    assert files[0].layer[0][1:3] == (1, 1)  # 4:4:4: no colour is shared by several pixels
    assert {file.mode for file in files} <= {"RGB", "RGBA"}  # and no palette


def test_save_makes_the_folder_and_takes_the_form_from_the_name(bars, tmp_path):
    for name, form in (("f.png", "PNG"), ("f.jpg", "JPEG"), ("f.JPEG", "JPEG")):
        plots.save(bars, tmp_path / "new" / name)
        assert Image.open(tmp_path / "new" / name).format == form


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_written_as_it_is(name):
    figure, axes = style.single_axes(3, 2)
    axes.set_title(style.plain(name))
    axes.plot([1, 2], label=style.plain(name))
    (entry,) = axes.legend().get_texts()
    for text in (axes.title, entry):
        written, is_formula = text._preprocess_math(text.get_text())
        assert (written.lstrip("\u200b"), bool(is_formula)) == (name, False)
    figure.savefig(io.BytesIO())


def every_figure(odd: tuple[str, ...]):
    """Yield a figure of every kind whose names and titles come from a user."""
    image, title = np.zeros((8, 8, 3)), odd[0]
    numbers, maps = dict.fromkeys(odd, 1.0), torch.rand(len(odd), 8, 8)
    yield plots.class_balance({"train": dict.fromkeys(odd, 3)})
    yield plots.image_sizes({name: [(3, 4)] for name in odd})
    yield plots.bars(numbers, title=title, label=title, unit=title)
    yield plots.bars(dict.fromkeys(odd, numbers), title=title)
    yield plots.lines({name: {name: [1, 2]} for name in odd}, title=title, xlabel=title)
    yield plots.histograms(dict.fromkeys(odd, maps), title=title, xlabel=title)
    labels = list(range(len(odd)))
    points = dict.fromkeys(odd, np.zeros((len(odd), 2)))
    yield plots.scatter(points, labels, odd, title=title, method=title, marked=[True] * len(odd))
    yield plots.contact_sheet([image] * len(odd), odd, title=title, wrong=[True] * len(odd))
    yield plots.heat_overlay([image] * len(odd), maps, odd, title=title, label=title)
    yield plots.image_rows([[image] * len(odd)], [odd], title=title, heads=odd[:2])
    yield plots.filters({name: torch.rand(2, 3, 2, 2) for name in odd}, title=title)
    yield plots.feature_maps(maps, title=title)
    yield plots.pixel_influence(dict.fromkeys(odd, maps[0]), title=title)
    yield plots.parts([plots.Part(name, title, "new") for name in odd], title=title)
    yield plots.confusion(np.eye(len(odd)), odd, title=title)
    yield plots.comparison([{"name": name, "accuracy": 0.5} for name in odd], title=title)


def test_figures_take_any_name():
    for figure in every_figure(ODD_NAMES[:3]):
        figure.draw_without_rendering()
        for axes in figure.axes:
            if axes.get_legend():
                assert len(axes.get_legend().get_texts()) == 3


def test_signs_that_the_font_lacks_are_reported_once(tmp_path):
    figure = plots.bars({"蟻": 1, "蜂 and 蟻": 2}, title="蟻", label="l")
    with pytest.warns(UserWarning, match="font has no 蜂 蟻: a box is drawn instead") as caught:
        plots.save(figure, tmp_path / "f.png")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.save(plots.bars({"ants": 1}, title="t", label="l"), tmp_path / "f.png")
