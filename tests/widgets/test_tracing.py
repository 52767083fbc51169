"""One image's way through a network: what is kept, what is said, where the frame lies."""

import numpy as np
import pytest
import torch
from torch import nn

from tutorial_utils import models
from tutorial_utils.widgets import tracing

PRESET = models.preset(32)


class Tiny(nn.Module):
    """Two convolutions, a pooling, a dense layer, as AlexNet has them."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 5, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(4, 20, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(80, 7))

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Tiny()


@pytest.fixture
def image():
    return torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def traced(network, image):
    return tracing.trace(network, image, PRESET)


def test_every_layer_is_kept_under_its_name(traced):
    shapes = {name: output.shape for name, output in traced.outputs.items()}
    assert shapes == {
        "features.0": (4, 15, 15),
        "features.2": (4, 7, 7),
        "features.3": (20, 7, 7),
        "classifier.1": (7,),
    }
    assert traced.table["layer"].tolist() == list(shapes)
    assert traced.filters.shape == (4, 3, 5, 5)


def test_a_convolution_is_kept_after_its_relu_and_the_strongest_maps_first(network, image, traced):
    with torch.no_grad():
        real = network.eval().features(image[None])[0]  # (20, 7, 7)
    output = traced.outputs["features.3"]
    order = real.mean((1, 2)).argsort(descending=True)
    assert len(output.maps) == tracing.SHOWN
    for kept, place in zip(output.maps, order, strict=False):
        assert np.allclose(kept, real[place].numpy(), atol=1e-6)
    assert output.silent == pytest.approx((real == 0).float().mean().item())
    assert real[order[0]][output.strongest] == real[order[0]].max()


def test_a_dense_layer_is_kept_row_by_row(network, image, traced):
    with torch.no_grad():
        real = network.eval()(image[None])[0]
    (square,) = traced.outputs["classifier.1"].maps
    assert square.shape == (3, 3)
    assert np.allclose(square.flatten()[:7], real.numpy(), atol=1e-6)
    assert not square.flatten()[7:].any()


def test_large_maps_are_made_small():
    network = nn.Sequential(nn.Conv2d(3, 2, 1))
    traced = tracing.trace(network, torch.rand(3, 200, 200), PRESET)
    assert traced.outputs["0"].maps[0].shape == (tracing.SIDE, tracing.SIDE)
    assert traced.outputs["0"].shape == (2, 200, 200)


def test_the_network_is_left_as_it_was(network, image):
    network.train()
    network.features.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tracing.trace(network, image, PRESET)
    assert network.training and not network.features.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 32, 32), (3, 32, 16)])
def test_anything_but_one_square_image_is_refused(network, shape):
    with pytest.raises(ValueError, match="one square image"):
        tracing.trace(network, torch.rand(shape), PRESET)


def test_the_frame_is_where_the_pixels_have_influence(network, traced):
    """The gradient of one value tells which pixels it sees; the geometry must say the same."""
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    network.eval().features[:4](image)[0, :, 3, 3].sum().backward()
    touched = (image.grad[0] != 0).any(dim=0).nonzero()
    start, jump = tracing._geometry(traced.table, "features.3")
    field = int(traced.table.set_index("layer").loc["features.3", "receptive_field"])
    low = start + 3 * jump - (field - 1) / 2
    assert touched[:, 0].min() == low and touched[:, 0].max() == low + field - 1


@pytest.mark.parametrize("name", ["features.0", "features.2", "features.3", "classifier.1"])
def test_a_layer_is_said_in_words(traced, name):
    view = tracing.layer(traced, name)
    row = traced.table.set_index("layer").loc[name]
    said = " ".join(view.lines)
    assert name in view.lines[0] and tracing.KINDS[row["kind"]] in said
    assert "×".join(map(str, row["output"])) in said
    assert f"{row['parameters']:,} parameters" in said
    assert name in view.alt


def test_another_layer_is_another_image(traced):
    images = {tracing.layer(traced, name).image.tobytes() for name in traced.outputs}
    assert len(images) == len(traced.outputs)


def test_an_unknown_layer_is_named_with_those_there_are(traced):
    with pytest.raises(ValueError, match=r"no layer 'x'; there are features.0, features.2"):
        tracing.layer(traced, "x")


@pytest.mark.parametrize("arch", models.ARCHS)
def test_both_networks_can_be_walked_through(arch):
    network = models.build(arch, weights="none", quiet=True)
    traced = tracing.trace(network, torch.rand(3, 64, 64), PRESET)
    weighted = [m for m in network.modules() if type(m).__name__ in tracing.KINDS]
    assert len(traced.outputs) == len(weighted)
    for name in (list(traced.outputs)[0], list(traced.outputs)[-1]):
        assert tracing.layer(traced, name).image.width > 0
