"""Networks with norms: folding gives the plain architecture, copied weights the same results."""

import networks
import pytest
import torch
import torchvision
from torch import nn

from tutorial_utils import models


def plain() -> nn.Sequential:
    """Return a small network of the same kinds of layers as torchvision's."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 6, 3, padding=1),
        nn.ReLU(inplace=True),
    )


def shaken(features: nn.Sequential, classes: int = 3) -> nn.Sequential:
    """Return a network with norms that have statistics and weights of their own."""
    torch.manual_seed(0)
    network = networks.build(features, classes)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -1, 1)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network.eval()


def copied(images: torch.Tensor, hidden: int = 0) -> tuple[nn.Sequential, nn.Sequential]:
    """Return a plain network and the features of one with norms that has its weights."""
    source = networks.fold(shaken(plain())).features
    network = networks.build(plain(), 3, hidden=hidden)
    networks.copy_weights(network, source, images)
    return source, network.features


def test_a_folded_network_computes_the_same_and_the_network_is_left_alone():
    network, images = shaken(plain()), torch.randn(2, 3, 32, 32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        features = network.features(images)
        gap = (networks.fold(network).features(images) - features).abs().max()
        assert gap / features.abs().max() < 1e-4
        assert torch.allclose(network(images), networks.fold(network)(images), atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("arch", models.ARCHS)
def test_a_folded_network_has_torchvisions_architecture(arch):
    with torch.device("meta"):
        wanted = getattr(torchvision.models, arch)().features
    folded = networks.fold(networks.build(wanted, 2)).features
    assert str(folded) == str(wanted)
    shapes = {name: value.shape for name, value in wanted.state_dict().items()}
    assert {name: value.shape for name, value in folded.state_dict().items()} == shapes


def test_a_hidden_layer_is_in_the_head():
    dense = [m for m in networks.build(plain(), 3, hidden=16).head if isinstance(m, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [(6, 16), (16, 3)]


def test_copied_weights_compute_the_same_with_norms():
    images = torch.randn(16, 3, 32, 32)
    source, features = copied(images, hidden=4)
    with torch.no_grad():
        wanted = source(images.clone())
        for network in (features.eval(), features.train()):  # train: by these images' statistics
            found = network(images.clone())
            assert (found - wanted).abs().max() / wanted.abs().max() < 1e-3


def test_copied_kernels_have_the_length_of_fresh_ones():
    _, features = copied(torch.randn(16, 3, 32, 32))
    fresh = networks.build(plain(), 3).features
    for ours, other in zip(features, fresh, strict=True):
        if isinstance(ours, nn.Conv2d):
            lengths = ours.weight.flatten(1).norm(dim=1)
            assert lengths.std() / lengths.mean() < 1e-4
            mean = other.weight.flatten(1).norm(dim=1).mean()
            assert lengths.mean().item() == pytest.approx(mean.item(), rel=0.1)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_first_layers_are_whole_convolutions_with_their_norms(count):
    network = networks.build(plain(), 2)
    layers = list(networks.first_layers(network.features, count))
    assert [isinstance(layer, nn.Conv2d) for layer in layers].count(True) == count
    assert not layers or isinstance(layers[-1], nn.BatchNorm2d)
    assert all(a is b for a, b in zip(layers, network.features, strict=False))


@pytest.mark.parametrize("count", [-1, 3])
def test_the_last_convolution_cannot_be_frozen(count):
    with pytest.raises(ValueError, match=f"frozen must be from 0 to 2 convolutions, not {count}"):
        networks.first_layers(networks.build(plain(), 2).features, count)
