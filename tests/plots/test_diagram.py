"""The diagram of a network: a box for every layer that changes a shape, to scale, legible."""

import pytest
import torch
from legends import names
from matplotlib.colors import to_hex

from tutorial_utils import layers, models, plots
from tutorial_utils.plots import diagram, style


def table_of(arch: str):
    with torch.device("meta"):
        network = models.build(arch, weights="none", quiet=True)
    return layers.layer_table(network)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_architecture_has_a_box_for_every_layer(arch):
    table = table_of(arch)
    figure = plots.architecture(table, title=arch)
    makes = table["kind"].isin(["Conv2d", "Linear", "MaxPool2d"])
    boxes = figure.axes[0].patches
    assert len(boxes) == 1 + makes.sum()  # 1 for the image; the last pooling does nothing
    assert names(figure) == ["image", "convolution", "pooling", "dense layer"]
    colours = [to_hex(box.get_facecolor()).upper() for box in boxes[1:]]
    meaning = {
        "Conv2d": style.CONVOLUTION,
        "MaxPool2d": style.POOLING,
        "Linear": style.DENSE,
    }
    assert colours == [meaning[kind] for kind in table[makes]["kind"]]


def test_architecture_names_channels_kernels_and_strides_of_equal_layers_once():
    axes = plots.architecture(table_of("alexnet"), title="t").axes[0]
    below = [text.get_text().strip() for text in axes.texts if text.get_va() == "top"]
    assert below == [
        "3", "64\n11×11\n/4", "64\n3×3\n/2", "192\n5×5", "192\n3×3\n/2", "384\n3×3",
        "256 each\n3×3", "256\n3×3\n/2", "4096 each", "1000",
    ]  # fmt: skip
    above = [text.get_text() for text in axes.texts if text.get_va() == "bottom"]
    assert above == ["224×224", "55×55", "27×27", "13×13", "6×6"]


def test_two_networks_are_drawn_one_above_the_other_over_the_whole_width():
    tables = {"AlexNet": table_of("alexnet"), "_VGG16$$": table_of("vgg16")}
    figure = plots.architecture(tables, title="Both")
    figure.draw_without_rendering()
    assert len(figure.axes) == 2 and len(figure.legends) == 1
    assert "own scale" in figure.legends[0].get_title().get_text()
    for axes in figure.axes:
        ends = [box.get_x() + box.get_width() for box in axes.patches]
        assert max(ends) == pytest.approx(diagram.WIDTH, abs=0.6)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_labels_are_legible(arch):
    figure = plots.architecture(table_of(arch), title=arch)
    figure.draw_without_rendering()
    texts = figure.axes[0].texts
    frames = [text.get_window_extent() for text in texts]
    assert not [(a, b) for i, a in enumerate(frames) for b in frames[:i] if a.overlaps(b)]
    assert min(text.get_fontsize() for text in texts) >= 9


def test_architecture_is_to_scale():
    box = plots.architecture(table_of("vgg16"), title="VGG16").axes[0].patches
    assert box[1].get_height() == pytest.approx(2 * box[4].get_height())  # 224 and 112 pixels
    assert box[4].get_width() == pytest.approx(2 * box[3].get_width())  # 128 and 64 channels
    assert box[-1].get_height() == pytest.approx(1000 / 4096 * box[-2].get_height())
