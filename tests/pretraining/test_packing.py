"""Packing: what was written is read back, by this code and by `tutorial_utils.models`."""

import copy
import hashlib

import networks
import packing
import pytest
import torch
from test_networks import plain, shaken
from torch import nn

from tutorial_utils import models
from tutorial_utils._support import weight_files


def folded() -> nn.Sequential:
    return networks.fold(shaken(plain())).features


@pytest.mark.parametrize(("kind", "most"), [("float16", 5e-4), ("int8", 5e-3)])
def test_a_packed_file_is_unpacked(tmp_path, kind, most):
    features = folded()
    before = copy.deepcopy(features.state_dict())
    path = tmp_path / "x.safetensors"
    digest = packing.pack(features, path, packing=kind)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    packing.unpack(path, features)
    for name, value in features.state_dict().items():
        gap = (value - before[name]).abs().amax()
        assert 0 < gap <= most * before[name].abs().amax(), name


def test_models_builds_a_network_from_a_packed_file(tmp_path, monkeypatch):
    path = tmp_path / "alexnet.safetensors"
    features = networks.fold(shaken(models.build_on_meta("alexnet").features)).features
    digest = packing.pack(features, path, packing="float16")
    monkeypatch.setattr(weight_files, "ASSETS", tmp_path)
    monkeypatch.setitem(weight_files.DEMO_SHA256, "alexnet", digest)
    network = models.build("alexnet", weights="demo", quiet=True)
    assert torch.allclose(network.features[0].weight, features[0].weight, atol=1e-3)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="truncated or altered"):
        models.build("alexnet", weights="demo", quiet=True)


def test_what_cannot_be_packed_is_refused(tmp_path):
    layer = nn.Sequential(nn.Conv2d(3, 2, 1))
    nn.init.constant_(layer[0].weight, 1e6)
    with pytest.raises(ValueError, match=r"features\.0\.weight has values up to 1e"):
        packing.pack(layer, tmp_path / "x", packing="float16")
    with pytest.raises(ValueError, match="unknown packing 'int4'; allowed: float16, int8"):
        packing.pack(plain(), tmp_path / "x", packing="int4")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_other_layers_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    packing.pack(folded(), path, packing="int8")
    with pytest.raises(ValueError, match="does not hold weights for these layers"):
        packing.unpack(path, nn.Sequential(*plain()[1:]))
    for content in (path.read_bytes()[:100], b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="does not hold weights for these layers"):
            packing.unpack(path, plain())
    with pytest.raises(FileNotFoundError):
        packing.unpack(tmp_path / "nowhere", plain())
