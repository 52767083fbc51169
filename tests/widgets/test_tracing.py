"""A trace: which outputs are stored, which maps come first, and the network stays as it was."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from tutorial_utils import models
from tutorial_utils.widgets import tracing


@pytest.fixture
def network():
    """Return two convolutions, a pooling and a dense layer, as AlexNet has them."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 5, stride=2, padding=1), nn.Conv2d(4, 20, 3, padding=1)
    relu = [nn.ReLU(inplace=True) for _ in range(2)]
    features = nn.Sequential(first, relu[0], nn.MaxPool2d(2, 2), second, relu[1])
    classifier = nn.Sequential(nn.Dropout(), nn.Linear(80, 7))
    middle = {"avgpool": nn.AdaptiveAvgPool2d(2), "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict(features=features, **middle, classifier=classifier))


@pytest.fixture
def image():
    return torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def traced(network, image, preset):
    return tracing.trace(network, image, preset)


def test_every_layer_is_stored_under_its_name(traced):
    shapes = {name: output.shape for name, output in traced.outputs.items()}
    assert shapes == {
        "features.0": (4, 15, 15),
        "features.2": (4, 7, 7),
        "features.3": (20, 7, 7),
        "classifier.1": (7,),
    }
    assert traced.table["layer"].tolist() == list(shapes)
    assert traced.filters.shape == (4, 3, 5, 5)


def test_a_convolution_is_stored_after_its_relu_the_strongest_maps_first(network, image, traced):
    with torch.no_grad():
        real = network.eval().features(image[None])[0]  # (20, 7, 7)
    output = traced.outputs["features.3"]
    order = real.mean((1, 2)).argsort(descending=True)[: tracing.MAPS]
    np.testing.assert_allclose(output.maps, real[order], atol=1e-6)
    assert output.zeros == pytest.approx((real == 0).float().mean().item())
    assert real[order[0]][output.strongest] == real[order[0]].max()


def test_a_dense_layer_is_stored_row_by_row(network, image, traced):
    with torch.no_grad():
        real = network.eval()(image[None])[0]
    (square,) = traced.outputs["classifier.1"].maps
    assert square.shape == (3, 3)
    assert np.allclose(square.flatten()[:7], real.numpy(), atol=1e-6)
    assert not square.flatten()[7:].any()


def test_large_maps_become_thumbnails(preset):
    network = nn.Sequential(nn.Conv2d(3, 2, 1))
    traced = tracing.trace(network, torch.rand(3, 200, 200), preset)
    assert traced.outputs["0"].maps[0].shape == (tracing.SIDE, tracing.SIDE)
    assert traced.outputs["0"].shape == (2, 200, 200)


def test_a_relu_before_the_first_layer_belongs_to_none(image, preset):
    network = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 2, 3))
    traced = tracing.trace(network, image, preset)
    with torch.no_grad():
        real = network(image[None])[0]
    assert list(traced.outputs) == ["1"]
    order = real.mean((1, 2)).argsort(descending=True)
    np.testing.assert_allclose(traced.outputs["1"].maps, real[order], atol=1e-6)


def test_the_network_stays_as_it_was(network, image, preset):
    network.train()
    network.features.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    tracing.trace(network, image, preset)
    assert network.training and not network.features.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 32, 32), (3, 32, 16)])
def test_only_one_square_image_can_be_traced(network, preset, shape):
    with pytest.raises(ValueError, match="one square image"):
        tracing.trace(network, torch.rand(shape), preset)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_both_networks_can_be_traced(arch, preset):
    network = models.build(arch, weights="none", quiet=True)
    traced = tracing.trace(network, torch.rand(3, 64, 64), preset)
    names = [n for n, m in network.named_modules() if type(m).__name__ in tracing.KINDS]
    assert list(traced.outputs) == names == traced.table["layer"].tolist()
