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


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_damaged_demo_weights(damage, tmp_path):
    path = tmp_path / "alexnet.safetensors"
    content = bytearray((weight_files.ASSETS / "alexnet.safetensors").read_bytes())
    content[3_000_000] ^= 1
    if damage != "missing":
        path.write_bytes(content if damage == "altered" else content[:1000])
    error = FileNotFoundError if damage == "missing" else ValueError
    text = "are missing" if damage == "missing" else "are truncated or altered"
    with pytest.raises(error, match=f"{text}.*git checkout -- tutorial_utils/assets.*reinstall"):
        weight_files.read_demo(path, models.build_on_meta("alexnet").features)


# torchvision's files


@pytest.mark.parametrize("zipped", [True, False])
def test_torchvisions_formats_are_read(zipped, tmp_path):
    network, path = tiny(), tmp_path / "tiny.pth"
    torch.save(network.half().state_dict(), path, _use_new_zipfile_serialization=zipped)
    found = weight_files.read_imagenet(path, network)
    assert list(found) == list(network.state_dict())
    for name, values in network.state_dict().items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], values.float())


BROKEN = {
    "empty": lambda path, state: path.write_bytes(b""),
    "text": lambda path, state: path.write_text("<html>not found</html>"),
    "truncated": lambda path, state: path.write_bytes(path.read_bytes()[:500]),
    "foreign": lambda path, state: torch.save({"state_dict": state}, path),
    "list": lambda path, state: torch.save(list(state.values()), path),
    "object": lambda path, state: torch.save(pytest.raises, path),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_named(kind, tmp_path):
    network, path = tiny(), tmp_path / "tiny.pth"
    torch.save(network.state_dict(), path)
    BROKEN[kind](path, network.state_dict())
    with pytest.raises(ValueError, match=r"delete it, so that it is downloaded again") as caught:
        weight_files.read_imagenet(path, network)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "shape"), [(torch.rand(2, 4), r"\(2, 4\)"), ("no tensor", r"\(\)")]
)
def test_wrong_shapes_are_named(value, shape, tmp_path):
    network, path = tiny(), tmp_path / "tiny.pth"
    torch.save(network.state_dict() | {"classifier.weight": value}, path)
    message = rf"tiny\.pth: classifier\.weight must have the shape \(5, 4\), not {shape}"
    with pytest.raises(ValueError, match=message):
        weight_files.read_imagenet(path, network)
