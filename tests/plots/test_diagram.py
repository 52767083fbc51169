"""The diagram of a network: a box for every layer that changes a shape, to scale, legible."""

import pytest
import torch

from tutorial_utils import layers, models, plots


def table_of(arch: str):
    with torch.device("meta"):
        network = models.build(arch, weights="none", quiet=True)
    return layers.layer_table(network)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_architecture_has_a_box_for_every_layer(arch):
    table = table_of(arch)
    axes = plots.architecture(table, title=arch).axes[0]
    makes = table["kind"].isin(["Conv2d", "Linear", "MaxPool2d"])
    assert len(axes.patches) == 1 + makes.sum()  # 1 for the image; the last pooling does nothing
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["image", "convolution", "pooling", "dense"]
    channels = [output[0] for output in table[makes]["output"]]
    below = [text.get_text() for text in axes.texts if text.get_va() == "top"]
    assert below == ["3", *map(str, channels)]


def test_architecture_is_to_scale_and_labels_do_not_collide():
    axes = plots.architecture(table_of("vgg16"), title="VGG16").axes[0]
    box = axes.patches
    assert box[1].get_height() == pytest.approx(2 * box[4].get_height())  # 224 and 112 pixels
    assert box[4].get_width() == pytest.approx(2 * box[3].get_width())  # 128 and 64 channels
    assert box[-1].get_height() == pytest.approx(1000 / 4096 * box[-2].get_height())
    axes.figure.draw_without_rendering()
    frames = [text.get_window_extent() for text in axes.texts]
    assert not [(a, b) for i, a in enumerate(frames) for b in frames[:i] if a.overlaps(b)]
