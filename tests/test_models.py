"""Tests of `tutorial_utils.models`: finding weights, building, freezing, heads, parts."""

import contextlib
import re
import shutil
import types

import pytest
import torch
import torchvision
from serving import serving, sha256
from torch import nn

from tutorial_utils import models
from tutorial_utils._support import connection, downloads, weight_files

FILES = {"alexnet": "alexnet-owt-7be5be79.pth", "vgg16": "vgg16-397923af.pth"}
PARAMETERS = {"alexnet": 61_100_840, "vgg16": 138_357_544}
TWO_CLASSES = {"alexnet": 57_012_034, "vgg16": 134_268_738}


@pytest.fixture(autouse=True)
def hub(monkeypatch, tmp_path):
    """A torch hub folder of its own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def checkpoints(tmp_path):
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)  # up to half a gigabyte


@pytest.fixture
def unverified(monkeypatch):
    """Take files whose SHA-256 is not the one in their name."""
    monkeypatch.setenv(weight_files.UNVERIFIED, "1")


@pytest.fixture(scope="module")
def vgg16():
    torch.manual_seed(0)
    return models.build("vgg16", weights="demo", quiet=True)


def tiny():
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    network.avgpool = nn.AdaptiveAvgPool2d(2)
    network.classifier = nn.Sequential(nn.Dropout(), nn.Linear(16, 5))
    return network


def random_state(arch):
    """Make a state dict of torchvision's shapes, its rows repeated to be quick."""
    state = models.build_on_meta(arch).state_dict()
    return {
        name: torch.rand(1, *tensor.shape[1:]).repeat(len(tensor), *[1] * (tensor.ndim - 1))
        for name, tensor in state.items()
    }


# Finding weights


@pytest.mark.parametrize(
    ("weights", "summary"),
    [
        ("auto", r"demo \(AlexNet, trained by .* Tiny ImageNet; no network: TUTORIAL_OFFLINE=1\)"),
        ("demo", r"demo \(AlexNet, trained by .* Tiny ImageNet; weights='demo'\)"),
        ("none", r"none \(AlexNet, random initialisation; weights='none'\)"),
    ],
)
def test_one_line_unless_quiet(weights, summary, capsys):
    found = models.find_weights("alexnet", weights)
    assert capsys.readouterr().out == found.summary + "\n"
    assert re.fullmatch(f"weights: {summary}", found.summary)
    file = weight_files.ASSETS / "alexnet.safetensors"
    assert (found.kind, found.path) == (summary[:4], file if found.kind == "demo" else None)
    assert models.find_weights("alexnet", weights, quiet=True) == found
    assert capsys.readouterr().out == ""


def test_imagenet_never_falls_back(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        models.find_weights("vgg16", "imagenet")
    text = str(caught.value)
    assert "the ImageNet weights for VGG16 are not available" in text
    assert "no network: TUTORIAL_OFFLINE=1" in text
    assert f"https://download.pytorch.org/models/{FILES['vgg16']}" in text
    assert str(tmp_path / "torch" / "hub" / "checkpoints" / FILES["vgg16"]) in text
    assert "weights='demo'" in text


@pytest.mark.parametrize("call", [models.find_weights, models.build])
def test_unknown_names_list_the_allowed_ones(call):
    with pytest.raises(ValueError, match=r"unknown arch 'resnet18'; allowed: alexnet, vgg16"):
        call("resnet18")
    allowed = "auto, imagenet, demo, none"
    with pytest.raises(ValueError, match=f"unknown weights 'best'; allowed: {allowed}"):
        call("alexnet", weights="best")
    with pytest.raises(ValueError, match=f"unknown weights None; allowed: {allowed}"):
        call("alexnet", weights=None)
    with pytest.raises(ValueError, match="unknown arch"):
        call(["alexnet"])


@pytest.mark.parametrize(("arch", "zipped"), [("alexnet", True), ("vgg16", False)])
def test_torchvisions_file_is_found_without_network(arch, zipped, checkpoints, capsys, unverified):
    # torchvision's vgg16 file is of 2017 and has the format before zip: both are tried.
    state = random_state(arch)
    path = checkpoints / FILES[arch]
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    network = models.build(arch)
    assert capsys.readouterr().out == (
        f"weights: imagenet ({models.TITLES[arch]}, {FILES[arch]} from torch hub's cache, "
        f"checksum not compared: ANTS_BEES_UNVERIFIED_WEIGHTS=1)\n"
    )
    loaded = network.state_dict()
    assert list(loaded) == list(models.build_on_meta(arch).state_dict())
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert models.count(network).trainable == PARAMETERS[arch]


def test_loaded_file_is_not_changed_by_training(checkpoints, unverified):
    path = checkpoints / FILES["alexnet"]
    torch.save(random_state("alexnet"), path)
    before = path.read_bytes()[-10_000_000:]
    network = models.build("alexnet", weights="imagenet", quiet=True)
    with torch.no_grad():
        network.classifier[-1].weight.fill_(3.0)
    assert path.read_bytes()[-10_000_000:] == before


# Downloading


@contextlib.contextmanager
def served(monkeypatch, arch, content, digest, **options):
    """Serve a file under torchvision's kind of name; yields the paths that were asked for."""
    with serving(content, **options) as (address, asked):
        url = f"{address.rpartition('/')[0]}/{arch}-{digest[:8]}.pth"
        monkeypatch.setitem(models.IMAGENET, arch, types.SimpleNamespace(url=url))
        monkeypatch.setattr(connection, "online", lambda: True)
        monkeypatch.setattr(downloads, "LIMITS", downloads.Limits(retries=0))
        yield asked


def test_a_download_lands_in_torch_hubs_folder_and_is_found_there(monkeypatch, tmp_path):
    content = b"weights"
    digest = sha256(content)
    with served(monkeypatch, "vgg16", content, digest) as asked:
        found = models.find_weights("vgg16", quiet=True)
        again = models.find_weights("vgg16", "imagenet", quiet=True)
    assert found.path == tmp_path / "torch/hub/checkpoints" / f"vgg16-{digest[:8]}.pth"
    assert found.path.read_bytes() == content
    assert found.kind == again.kind == "imagenet"
    assert re.search(r"vgg16-\w{8}\.pth downloaded from 127\.0\.0\.1", found.summary)
    assert asked == [f"/tutorial/vgg16-{digest[:8]}.pth"], "the second call reads the cache"
    assert again.summary.endswith("from torch hub's cache)")


def test_a_file_with_another_checksum_is_deleted(monkeypatch, checkpoints):
    with (
        served(monkeypatch, "vgg16", b"the first half", "0" * 64),
        pytest.raises(FileNotFoundError, match="the download failed: the file that arrived"),
    ):
        models.find_weights("vgg16", "imagenet", quiet=True)
    assert list(checkpoints.iterdir()) == []


def test_a_full_disk_is_found_out_before_the_download(monkeypatch, checkpoints):
    usage = shutil.disk_usage(checkpoints)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    content = b"weights"
    with served(monkeypatch, "vgg16", content, sha256(content)):
        found = models.find_weights("vgg16", quiet=True)
    assert found.kind == "demo"
    assert "the download failed: the disk of" in found.summary
    assert "has 1 MB free" in found.summary
    assert list(checkpoints.iterdir()) == []


# Building


@pytest.mark.parametrize("arch", models.ARCHS)
def test_network_is_torchvisions(arch, request):
    network = request.getfixturevalue("vgg16") if arch == "vgg16" else models.build(arch)
    wanted = models.build_on_meta(arch)
    assert type(network) is type(wanted)
    assert str(network) == str(wanted)
    assert list(network.state_dict()) == list(wanted.state_dict())
    assert models.count(network) == (PARAMETERS[arch], PARAMETERS[arch], 0)
    assert network.training
    assert all(p.is_leaf and p.device.type == "cpu" for p in network.parameters())


def test_dense_layers_start_as_torchvisions(vgg16):
    for layer in (vgg16.classifier[0], vgg16.classifier[3], vgg16.classifier[6]):
        assert layer.weight[:64].std().item() == pytest.approx(0.01, rel=0.02)
        assert not layer.bias.any()
    alexnet = models.build("alexnet", quiet=True)
    bound = 9216**-0.5
    assert alexnet.classifier[1].weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert alexnet.classifier[1].bias.any()


def test_same_seed_gives_the_same_dense_layers():
    def dense(seed):
        torch.manual_seed(seed)
        return models.build("alexnet", weights="demo", quiet=True).classifier[-1].weight

    assert torch.equal(dense(1), dense(1))
    assert not torch.equal(dense(1), dense(2))


def test_none_is_torchvisions_own_start():
    torch.manual_seed(5)
    network = models.build("alexnet", weights="none", quiet=True)
    torch.manual_seed(5)
    wanted = torchvision.models.alexnet().state_dict()
    assert all(torch.equal(values, wanted[name]) for name, values in network.state_dict().items())


def test_build_takes_found_weights(capsys):
    found = models.find_weights("alexnet", "demo", quiet=True)
    assert models.count(models.build("alexnet", weights=found)).total == PARAMETERS["alexnet"]
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match=r"are for 'alexnet', the network is 'vgg16'"):
        models.build("vgg16", weights=found)


@pytest.mark.parametrize("arch", models.ARCHS)
@pytest.mark.parametrize("kind", ["imagenet", "demo", "none"])
def test_transforms_are_the_weights_own(arch, kind, tmp_path):
    preset = models.Weights(arch, kind, tmp_path, "").transforms()
    crop = 96 if (kind, arch) in (("demo", "vgg16"), ("none", "vgg16")) else 224
    resize = 256 if kind == "imagenet" else crop
    assert (preset.crop_size, preset.resize_size) == ([crop], [resize])
    assert preset.mean == [0.485, 0.456, 0.406]
    assert preset.std == [0.229, 0.224, 0.225]
    output = preset(torch.full((3, 300, 500), 128, dtype=torch.uint8))
    assert output.shape == (3, crop, crop)
    assert output[0, 0, 0].item() == pytest.approx((128 / 255 - 0.485) / 0.229, abs=1e-4)


# Freezing, heads, parts


def test_freeze_and_unfreeze_count_values():
    network = tiny()
    network.features[0].weight.grad = torch.ones(4, 3, 3, 3)
    assert models.freeze(network.features) == 4 * 3 * 9 + 4
    assert network.features[0].weight.grad is None
    assert models.count(network) == (112 + 85, 85, 112)
    assert models.unfreeze(network.features) == 112
    assert models.count(network) == models.Counts(total=197, trainable=197, frozen=0)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_swapped_head_counts(arch):
    network = models.build_on_meta(arch)
    old = network.classifier[-1]
    new = models.swap_head(network, 2)
    assert network.classifier[-1] is new
    assert (new.in_features, new.out_features) == (old.in_features, 2) == (4096, 2)
    assert new.weight.device == new.bias.device == old.weight.device == torch.device("meta")
    assert models.count(network).total == TWO_CLASSES[arch]


def test_swapped_head_is_trainable_in_a_frozen_network():
    network = tiny().double().eval()
    models.freeze(network)
    new = models.swap_head(network, 2)
    assert models.count(network).trainable == 16 * 2 + 2
    assert new.weight.dtype == torch.float64
    assert not new.training


@pytest.mark.parametrize("classes", [0, -1, 2.0, "2", True, None])
def test_swap_head_wants_a_number_of_classes(classes):
    with pytest.raises(ValueError, match=r"classes must be a whole number from 1, not"):
        models.swap_head(tiny(), classes)


def test_swap_head_explains_what_it_wants():
    with pytest.raises(TypeError, match=r"needs a network with a `classifier`.*Linear has none"):
        models.swap_head(nn.Linear(2, 2), 2)
    network = tiny()
    network.classifier.append(nn.ReLU())
    with pytest.raises(TypeError, match=r"classifier\[-1\], which must be Linear; here it is ReLU"):
        models.swap_head(network, 2)


def test_split_shares_layers_and_computes_the_same():
    network = models.build("alexnet", quiet=True).eval()
    backbone, head = models.split(network)
    assert head is network.classifier
    assert backbone.features is network.features
    assert not backbone.training
    images = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        features = backbone(images)
        assert features.shape == (2, 9216)
        assert torch.equal(head(features), network(images))


def test_split_keeps_the_modes():
    network = tiny().train()
    network.features.eval()
    backbone, head = models.split(network)
    assert (backbone.training, head.training) == (True, True)
    assert not network.features[0].training


def test_split_explains_what_it_wants():
    with pytest.raises(TypeError, match=r"this Sequential lacks features, avgpool, classifier"):
        models.split(nn.Sequential(nn.Linear(1, 1)))


@pytest.mark.parametrize("arch", models.ARCHS)
def test_the_parts_are_those_of_the_whole(arch):
    found = models.find_weights(arch, "demo", quiet=True)
    torch.manual_seed(4)
    network = models.build(arch, weights=found)
    models.swap_head(network, classes=3)
    whole_backbone, whole_head = models.split(network)
    torch.manual_seed(4)
    head = models.build_head(found, 3)
    backbone = models.build_backbone(found)
    assert str(head) == str(whole_head)
    assert all(map(torch.equal, head.parameters(), whole_head.parameters()))
    assert all(p.requires_grad for p in head.parameters())
    assert list(backbone.state_dict()) == list(whole_backbone.state_dict())
    assert all(map(torch.equal, backbone.parameters(), whole_backbone.parameters()))
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not backbone.training


@pytest.mark.parametrize("arch", models.ARCHS)
def test_parts_without_weights_start_at_random(arch):
    found = models.find_weights(arch, "none", quiet=True)
    torch.manual_seed(4)
    backbone = models.build_backbone(found)
    torch.manual_seed(4)
    for layer in backbone.features:
        if not isinstance(layer, nn.Conv2d):
            continue
        if arch == "alexnet":
            options = {"stride": layer.stride, "padding": layer.padding}
            size = (layer.in_channels, layer.out_channels, layer.kernel_size)
            torch.testing.assert_close(nn.Conv2d(*size, **options).weight, layer.weight)
        else:  # Kaiming's, for the layer's outputs
            deviation = (2 / (9 * layer.out_channels)) ** 0.5
            assert layer.weight.std().item() == pytest.approx(deviation, rel=0.05)
            assert not layer.bias.any()
    assert models.build_head(found, 2)[-1].out_features == 2
