"""What a step costs: counts that follow from the layers, and a network that is left as it was."""

import pytest
import torch
from torch import nn

from tutorial_utils import layers, models


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(5, 3))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


SIZES = (3 * 4 * 9 + 4, 4 * 5 * 9 + 5, 5 * 3 + 3)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Tiny()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(3, 3, 12, 12, generator=generator), torch.tensor([0, 1, 2])


@pytest.fixture
def table(network, batch):
    return layers.step_costs(network, *batch, repeats=1)


def test_one_row_for_each_number_of_frozen_layers(table):
    assert table["frozen"].tolist() == [0, 1, 2, 3]
    assert table["layer"].tolist() == ["", "features.0", "features.2", "classifier.1"]
    assert table["trainable"].tolist() == [sum(SIZES[n:]) for n in range(4)]


def test_gradients_and_adams_state_follow_the_trainable_parameters(table):
    assert table["gradient_bytes"].tolist() == [4 * n for n in table["trainable"]]
    assert table["state_bytes"].tolist() == [8 * n for n in table["trainable"]]


def test_less_is_kept_for_the_backward_pass_the_more_is_frozen(table):
    saved = table["saved_bytes"].tolist()
    assert saved == sorted(saved, reverse=True) and saved[0] > saved[1] > saved[2] > saved[3] == 0
    image, maps = 3 * 3 * 12 * 12 * 4, 3 * 4 * 10 * 10 * 4  # bytes of the batch, and of one layer
    assert saved[0] >= image + maps


def test_times_are_measured_and_none_where_nothing_is_trained(table):
    assert (table["forward_s"] > 0).all()
    assert (table[["backward_s", "update_s"]].iloc[:3] > 0).all(axis=None)
    assert (table[["backward_s", "update_s"]].iloc[3] == 0).all()


def test_the_network_is_left_as_it_was(network, batch):
    network.eval()
    network.features.train()
    models.freeze(network.features[0])
    kept = torch.ones_like(network.classifier[1].weight)
    network.classifier[1].weight.grad = kept
    before = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.get_rng_state()
    layers.step_costs(network, *batch, repeats=1)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.training and network.features.training
    assert [p.requires_grad for p in network.parameters()] == [False, False, True, True, True, True]
    assert network.classifier[1].weight.grad is kept and network.features[2].weight.grad is None
    assert torch.equal(torch.get_rng_state(), generator)


def test_buffers_are_put_back(batch):
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(432, 3))
    layers.step_costs(network, *batch, repeats=1)
    assert not network[0].running_mean.any() and int(network[0].num_batches_tracked) == 0


@pytest.mark.parametrize("arch", models.ARCHS)
def test_the_layers_of_both_networks(arch):
    with torch.device("meta"):
        network = models.build(arch, weights="none", quiet=True)
    kinds = [type(module).__name__ for _, module in layers.layers(network)]
    assert kinds == ["Conv2d"] * {"alexnet": 5, "vgg16": 13}[arch] + ["Linear"] * 3


@pytest.mark.parametrize("repeats", [0, -1, 1.0, True])
def test_repeats_that_cannot_be_are_refused(network, batch, repeats):
    with pytest.raises(ValueError, match="repeats must be a whole number from 1"):
        layers.step_costs(network, *batch, repeats=repeats)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (torch.rand(2, 3, 12, 12), torch.tensor([0]), r"not \(2, 3, 12, 12\) and \(1,\)"),
        (torch.rand(0, 3, 12, 12), torch.zeros(0, dtype=torch.int64), "N from 1"),
        (torch.rand(1, 3, 12, 12), torch.tensor([0.0]), "labels must be int64"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(network, images, labels, said):
    with pytest.raises(ValueError, match=said):
        layers.step_costs(network, images, labels)
