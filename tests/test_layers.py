"""Tests of `tutorial_utils.layers`: layer tables, sizes, receptive fields, costs of a step."""

import gc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tutorial_utils import layers, models

PARAMETERS = {"alexnet": 61_100_840, "vgg16": 138_357_544}


@pytest.mark.parametrize("arch", models.ARCHS)
def test_layer_table_adds_up(arch):
    table = layers.layer_table(models.build_on_meta(arch))
    assert table["parameters"].sum() == PARAMETERS[arch]
    ops = {"alexnet": 0.714, "vgg16": 15.470}[arch]  # torchvision's own figures, without biases
    assert table["mult_adds"].sum() / 1e9 == pytest.approx(ops, rel=0.002)
    convolutions = table[table["kind"].isin(["Conv2d", "MaxPool2d"])]
    for row in convolutions.itertuples():
        side = layers.output_size(row.input[1], row.kernel, row.stride, row.padding)
        assert row.output[1:] == (side, side)


def test_layer_table_of_alexnet():
    table = layers.layer_table(models.build_on_meta("alexnet")).set_index("layer")
    first = table.loc["features.0"]
    assert (first["kind"], first["input"], first["output"]) == (
        "Conv2d",
        (3, 224, 224),
        (64, 55, 55),
    )
    assert (first["kernel"], first["stride"], first["padding"]) == (11, 4, 2)
    assert first["parameters"] == 64 * 3 * 11 * 11 + 64
    assert table.loc["features.12", "receptive_field"] == 195
    assert table.loc["classifier.6", "output"] == (1000,)
    assert table.loc["classifier.6"].isna()["receptive_field"]
    assert list(table["kind"]).count("Conv2d") == 5
    assert list(table["kind"]).count("Linear") == 3


def test_layer_table_of_vgg16():
    table = layers.layer_table(models.build_on_meta("vgg16"), size=224)
    convolutions = table[table["kind"] == "Conv2d"]
    assert len(convolutions) == 13
    assert set(convolutions["kernel"]) == {3}
    assert list(convolutions["receptive_field"]) == [
        *(3, 5, 10, 14, 24, 32, 40),
        *(60, 76, 92, 132, 164, 196),
    ]
    pools = table[table["kind"] == "MaxPool2d"]
    assert list(pools["receptive_field"]) == [6, 16, 44, 100, 212]
    assert list(pools["output"])[-1] == (512, 7, 7)


def test_layer_table_of_a_network_for_grey_images():
    grey = nn.Sequential(nn.Conv2d(1, 6, 5), nn.AvgPool2d(2))
    table = layers.layer_table(grey, size=32)
    assert list(table["input"]) == [(1, 32, 32), (6, 28, 28)]
    assert list(table["output"]) == [(6, 28, 28), (6, 14, 14)]


def test_layer_table_does_not_change_the_network():
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    network.avgpool = nn.AdaptiveAvgPool2d(2)
    network.classifier = nn.Sequential(nn.Dropout(), nn.Linear(16, 5))
    models.freeze(network.features)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    table = layers.layer_table(nn.Sequential(*models.split(network)), size=9)
    assert list(table["kind"])[:3] == ["Conv2d", "ReLU", "AdaptiveAvgPool2d"]
    assert table["receptive_field"].iloc[2] == 3 + 3  # 7 to 2: windows of 4
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert network.training
    assert not network.features[0]._forward_hooks


@pytest.mark.parametrize("arch", models.ARCHS)
def test_smallest_image(arch):
    least = {"alexnet": 63, "vgg16": 32}[arch]
    assert len(layers.layer_table(models.build_on_meta(arch), size=least))
    with pytest.raises(ValueError, match=r"too small for its layers \(AlexNet needs 63, VGG16"):
        layers.layer_table(models.build_on_meta(arch), size=least - 1)


@given(
    size=st.integers(1, 300),
    kernel=st.integers(1, 40),
    stride=st.integers(1, 12),
    padding=st.integers(0, 12),
)
def test_output_size_is_conv2ds(size, kernel, stride, padding):
    layer = nn.Conv2d(1, 1, kernel, stride, padding, device="meta")
    image = torch.empty(1, 1, size, size, device="meta")
    if kernel > size + 2 * padding:
        with pytest.raises(ValueError, match="does not fit"):
            layers.output_size(size, kernel, stride, padding)
        with pytest.raises(RuntimeError):
            layer(image)
    else:
        side = layers.output_size(size, kernel, stride, padding)
        assert layer(image).shape == (1, 1, side, side)


def test_impossible_output_sizes():
    with pytest.raises(ValueError, match=r"a kernel of 11 does not fit into 5 pixels with padding"):
        layers.output_size(5, 11)
    with pytest.raises(ValueError, match="stride must be a whole number from 1, not 0"):
        layers.output_size(5, 3, 0)
    with pytest.raises(ValueError, match="padding must be a whole number from 0, not -1"):
        layers.output_size(5, 3, 1, -1)
    with pytest.raises(ValueError, match="size must be a whole number from 1, not 5.5"):
        layers.output_size(5.5, 3)


WINDOWS = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 3)), min_size=1, max_size=6)


@given(WINDOWS)
def test_receptive_field_is_the_smallest_input(kernels_and_strides):
    """An image just as large as the field gives one value; one pixel less gives none."""
    field = layers.receptive_field(kernels_and_strides)[-1]
    size = field
    for kernel, stride in kernels_and_strides:
        size = layers.output_size(size, kernel, stride)
    assert size == 1
    size = field - 1
    with pytest.raises(ValueError):
        for kernel, stride in kernels_and_strides:
            size = layers.output_size(size, kernel, stride)


def test_receptive_field_of_stacked_convolutions():
    assert layers.receptive_field([(3, 1)] * 3) == [3, 5, 7]
    assert layers.receptive_field([]) == []
    with pytest.raises(ValueError, match="kernel must be a whole number from 1, not 0"):
        layers.receptive_field([(0, 1)])


# Costs of a training step


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(5, 3))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


PARAMETERS_OF_TINY = (3 * 4 * 9 + 4, 4 * 5 * 9 + 5, 5 * 3 + 3)


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
    assert table["trainable"].tolist() == [sum(PARAMETERS_OF_TINY[n:]) for n in range(4)]
    assert table["gradient_bytes"].tolist() == [4 * n for n in table["trainable"]]
    assert table["state_bytes"].tolist() == [8 * n for n in table["trainable"]]  # Adam's


def test_freezing_more_saves_less_for_the_backward_pass(table):
    saved = table["saved_bytes"].tolist()
    assert saved == sorted(saved, reverse=True) and saved[0] > saved[1] > saved[2] > saved[3] == 0
    image, maps = 3 * 3 * 12 * 12 * 4, 3 * 4 * 10 * 10 * 4  # bytes of the batch, and of one layer
    assert saved[0] >= image + maps


def test_times_are_measured_unless_nothing_is_trained(table):
    assert (table["forward_s"] > 0).all()
    assert (table[["backward_s", "update_s"]].iloc[:3] > 0).all(axis=None)
    assert (table[["backward_s", "update_s"]].iloc[3] == 0).all()


def test_the_network_is_left_as_it_was(network, batch):
    network.eval()
    network.features.train()
    models.freeze(network.features[0])
    gradient = torch.ones_like(network.classifier[1].weight)
    network.classifier[1].weight.grad = gradient
    before = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.get_rng_state()
    layers.step_costs(network, *batch, repeats=1)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.training and network.features.training
    assert [p.requires_grad for p in network.parameters()] == [False, False, True, True, True, True]
    assert network.classifier[1].weight.grad is gradient and network.features[2].weight.grad is None
    assert torch.equal(torch.get_rng_state(), generator)


def test_buffers_are_restored(batch):
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(432, 3))
    layers.step_costs(network, *batch, repeats=1)
    assert not network[0].running_mean.any() and int(network[0].num_batches_tracked) == 0


def test_what_was_saved_is_freed(network, batch):
    def tensors():
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    before = tensors()
    layers.step_costs(network, *batch, repeats=1)
    assert tensors() == before


@pytest.mark.parametrize("repeats", [0, -1, 1.0, True])
def test_impossible_repeats(network, batch, repeats):
    with pytest.raises(ValueError, match="repeats must be a whole number from 1"):
        layers.step_costs(network, *batch, repeats=repeats)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.rand(2, 3, 12, 12), torch.tensor([0]), r"not \(2, 3, 12, 12\) and \(1,\)"),
        (torch.rand(0, 3, 12, 12), torch.zeros(0, dtype=torch.int64), "N from 1"),
        (torch.rand(1, 3, 12, 12), torch.tensor([0.0]), "labels must be int64"),
    ],
)
def test_batches_that_do_not_fit(network, images, labels, message):
    with pytest.raises(ValueError, match=message):
        layers.step_costs(network, images, labels)
