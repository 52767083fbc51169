"""Tests of `tutorial_utils._support.weight_files`: demo weights and torchvision's files."""

import pytest
import safetensors.torch
import torch
from torch import nn

from tutorial_utils import models
from tutorial_utils._support import weight_files


def tiny():
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    network.classifier = nn.Linear(4, 5)
    return network


# Demo weights


def test_assets_are_small_and_have_a_model_card():
    sizes = [(weight_files.ASSETS / f"{arch}.safetensors").stat().st_size for arch in models.ARCHS]
    assert sum(sizes) < 20_000_000
    card = (weight_files.ASSETS / "README.md").read_text(encoding="utf-8")
    assert all(digest in card for digest in weight_files.DEMO_SHA256.values())


@pytest.mark.parametrize("arch", models.ARCHS)
def test_demo_weights_are_the_stored_values(arch):
    path = weight_files.ASSETS / f"{arch}.safetensors"
    features = models.build_on_meta(arch).features
    stored = safetensors.torch.load_file(path)
    found = weight_files.read_demo(path, features)
    assert set(found) == {f"features.{name}" for name in features.state_dict()}
    assert set(found) == {name for name in stored if not name.endswith(".scale")}
    kind = {"alexnet": torch.float16, "vgg16": torch.int8}[arch]
    for name, values in found.items():
        expected = stored[name].float()
        if name.endswith(".weight"):
            assert stored[name].dtype == kind
        if kind == torch.int8 and name.endswith(".weight"):
            expected *= stored[name.replace(".weight", ".scale")].view(-1, 1, 1, 1)
        assert values.dtype == torch.float32
        assert torch.equal(values, expected)


# torchvision's files


@pytest.mark.parametrize("zipped", [True, False])
def test_torchvisions_formats_are_read(zipped, tmp_path):
    network, path = tiny(), tmp_path / "tiny.pth"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=zipped)
    found = weight_files.read_imagenet(path, network)
    assert list(found) == list(network.state_dict())
    for name, values in network.state_dict().items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], values.float())
