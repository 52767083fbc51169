"""Tests of `tutorial_utils.models`: sources of weights, networks, freezing, heads, tables."""

import shutil
import urllib.error

import pytest
import safetensors.torch
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tutorial_utils import layers, models
from tutorial_utils._support import connection, weight_files

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


@pytest.fixture(scope="module")
def vgg16():
    torch.manual_seed(0)
    return models.build("vgg16", weights="demo", quiet=True)


def skeleton(arch):
    """Return a network with shapes and no values: instant, and takes no memory."""
    with torch.device("meta"):
        return getattr(torchvision.models, arch)()


def tiny():
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    network.avgpool = nn.AdaptiveAvgPool2d(2)
    network.classifier = nn.Sequential(nn.Dropout(), nn.Linear(16, 5))
    return network


def random_state(arch):
    """Make a state dict of torchvision's shapes, its rows repeated to be quick."""
    shapes = {name: tensor.shape for name, tensor in skeleton(arch).state_dict().items()}
    return {
        name: torch.rand(1, *shape[1:]).repeat(shape[0], *[1] * (len(shape) - 1))
        for name, shape in shapes.items()
    }


# Finding weights


def test_auto_without_network_says_demo_and_why(capsys):
    found = models.find_weights("alexnet")
    assert found.kind == "demo"
    assert found.path == weight_files.ASSETS / "alexnet.safetensors"
    assert capsys.readouterr().out == (
        "weights: demo (AlexNet, trained by this project on Tiny ImageNet; "
        "no network: TUTORIAL_OFFLINE=1)\n"
    )


@pytest.mark.parametrize("weights", ["auto", "demo", "none"])
def test_one_line_unless_quiet(weights, capsys):
    found = models.find_weights("vgg16", weights)
    assert capsys.readouterr().out == found.summary + "\n"
    assert models.find_weights("vgg16", weights, quiet=True) == found
    assert capsys.readouterr().out == ""


def test_sources_asked_for_by_name():
    assert "asked for by name" in models.find_weights("alexnet", "demo").summary
    none = models.find_weights("alexnet", "none")
    assert (none.kind, none.path) == ("none", None)
    assert none.summary == "weights: none (AlexNet, random start; asked for by name)"


def test_imagenet_by_name_never_falls_back(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        models.find_weights("vgg16", "imagenet")
    text = str(caught.value)
    assert "ImageNet weights for VGG16 were asked for by name" in text
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
def test_torchvisions_file_is_found_without_network(arch, zipped, checkpoints, capsys):
    # torchvision's vgg16 file is of 2017 and has the format before zip: both are tried.
    state = random_state(arch)
    path = checkpoints / FILES[arch]
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    network = models.build(arch)
    assert capsys.readouterr().out == (
        f"weights: imagenet ({models.TITLES[arch]}, {FILES[arch]} from torch hub's cache)\n"
    )
    loaded = network.state_dict()
    assert list(loaded) == list(skeleton(arch).state_dict())
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert models.count(network).trainable == PARAMETERS[arch]


def test_loaded_file_is_not_changed_by_training(checkpoints):
    path = checkpoints / FILES["alexnet"]
    torch.save(random_state("alexnet"), path)
    before = path.read_bytes()[-10_000_000:]
    network = models.build("alexnet", weights="imagenet", quiet=True)
    with torch.no_grad():
        network.classifier[-1].weight.fill_(3.0)
    assert path.read_bytes()[-10_000_000:] == before


BROKEN = {
    "empty": lambda path, state: path.write_bytes(b""),
    "text": lambda path, state: path.write_text("<html>not found</html>"),
    "truncated": lambda path, state: path.write_bytes(path.read_bytes()[:500_000]),
    "foreign": lambda path, state: torch.save({"state_dict": state}, path),
    "list": lambda path, state: torch.save(list(state.values()), path),
    "object": lambda path, state: torch.save(pytest.raises, path),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_file_is_named(kind, checkpoints):
    path = checkpoints / FILES["alexnet"]
    state = {"features.0.bias": torch.rand(200_000)}
    torch.save(state, path)
    BROKEN[kind](path, state)
    with pytest.raises(ValueError, match=r"delete it, so that it is downloaded again") as caught:
        models.build("alexnet", quiet=True)
    assert str(path) in str(caught.value)


def test_wrong_shape_is_named(checkpoints):
    state = random_state("alexnet")
    state["classifier.6.weight"] = torch.rand(2, 4096)
    torch.save(state, checkpoints / FILES["alexnet"])
    wrong = r"classifier\.6\.weight should have the shape \(1000, 4096\), not \(2, 4096\)"
    with pytest.raises(ValueError, match=FILES["alexnet"] + ": " + wrong):
        models.build("alexnet", quiet=True)


# Downloading


def test_download_uses_torchvisions_address_and_hash(monkeypatch, tmp_path):
    calls = []

    def download(url, target, prefix, *, progress):
        calls.append((url, prefix, progress))
        with open(target, "wb") as file:
            file.write(b"weights")

    monkeypatch.setattr(connection, "online", lambda: True)
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    found = models.find_weights("alexnet", quiet=True)
    url = f"https://download.pytorch.org/models/{FILES['alexnet']}"
    assert calls == [(url, "7be5be79", False)]
    assert found.kind == "imagenet"
    assert "downloaded from download.pytorch.org" in found.summary
    assert found.path == tmp_path / "torch" / "hub" / "checkpoints" / FILES["alexnet"]


def test_wrong_checksum_leaves_nothing(monkeypatch, tmp_path, checkpoints):
    cut = tmp_path / "cut.pth"
    cut.write_bytes(b"the first half")
    real = torch.hub.download_url_to_file
    monkeypatch.setattr(connection, "online", lambda: True)
    monkeypatch.setattr(
        torch.hub,
        "download_url_to_file",
        lambda url, *args, **kwargs: real(cut.as_uri(), *args, **kwargs),
    )
    with pytest.raises(FileNotFoundError, match="the download failed: invalid hash value"):
        models.find_weights("vgg16", "imagenet", quiet=True)
    assert list(checkpoints.iterdir()) == []


def test_failed_download_is_said(monkeypatch):
    def download(*args, **kwargs):
        raise urllib.error.URLError("connection reset")

    monkeypatch.setattr(connection, "online", lambda: True)
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    found = models.find_weights("alexnet")
    assert found.kind == "demo"
    assert "the download failed: <urlopen error connection reset>" in found.summary


# Demo weights


def test_assets_are_small_and_have_a_card():
    sizes = [(weight_files.ASSETS / f"{arch}.safetensors").stat().st_size for arch in models.ARCHS]
    assert sum(sizes) < 20_000_000
    card = (weight_files.ASSETS / "README.md").read_text(encoding="utf-8")
    assert all(digest in card for digest in weight_files.DEMO_SHA256.values())


def test_demo_alexnet_holds_the_stored_values():
    network = models.build("alexnet", weights="demo", quiet=True)
    stored = safetensors.torch.load_file(weight_files.ASSETS / "alexnet.safetensors")
    loaded = network.features.state_dict()
    assert {f"features.{name}" for name in loaded} == set(stored)
    for name, values in loaded.items():
        assert values.dtype == torch.float32
        assert torch.equal(values, stored[f"features.{name}"].float())


def test_demo_vgg16_is_eight_bits_times_scale(vgg16):
    stored = safetensors.torch.load_file(weight_files.ASSETS / "vgg16.safetensors")
    for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28):
        layer, name = vgg16.features[index], f"features.{index}"
        assert stored[f"{name}.weight"].dtype == torch.int8
        channel = stored[f"{name}.weight"][3].float() * stored[f"{name}.scale"][3]
        assert torch.equal(layer.weight[3], channel)
        assert torch.equal(layer.bias, stored[f"{name}.bias"].float())


@pytest.mark.parametrize("arch", models.ARCHS)
def test_network_is_torchvisions(arch, request):
    network = request.getfixturevalue("vgg16") if arch == "vgg16" else models.build(arch)
    wanted = skeleton(arch)
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


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_damaged_asset_says_how_to_get_it_back(damage, monkeypatch, tmp_path):
    path = tmp_path / "alexnet.safetensors"
    content = bytearray((weight_files.ASSETS / "alexnet.safetensors").read_bytes())
    content[3_000_000] ^= 1
    if damage != "missing":
        path.write_bytes(content if damage == "altered" else content[:1000])
    monkeypatch.setattr(weight_files, "ASSETS", tmp_path)
    error = FileNotFoundError if damage == "missing" else ValueError
    text = "are missing" if damage == "missing" else "are truncated or altered"
    with pytest.raises(error, match=f"{text}.*git checkout -- tutorial_utils/assets.*anew"):
        models.build("alexnet", weights="demo", quiet=True)


def test_found_weights_can_be_handed_to_build(capsys):
    found = models.find_weights("alexnet", "demo", quiet=True)
    assert models.count(models.build("alexnet", weights=found)).total == PARAMETERS["alexnet"]
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match=r"are for 'alexnet', the network asked for is 'vgg16'"):
        models.build("vgg16", weights=found)


@pytest.mark.parametrize("arch", models.ARCHS)
@pytest.mark.parametrize("kind", ["imagenet", "demo", "none"])
def test_transforms_are_the_weights_own(arch, kind, tmp_path):
    preset = models.Weights(arch, kind, tmp_path, "").transforms()
    crop = 224 if kind == "imagenet" else models.DEMO_CROP[arch]
    resize = 256 if kind == "imagenet" else models.DEMO_RESIZE[arch]
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


def test_frozen_values_stay_and_others_move():
    network = tiny()
    models.freeze(network.features)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    backbone, head = models.split(network)
    trainable = [p for p in network.parameters() if p.requires_grad]
    head(backbone(torch.rand(2, 3, 8, 8))).sum().backward()
    torch.optim.SGD(trainable, lr=1.0).step()
    after = network.state_dict()
    assert all(torch.equal(before[n], after[n]) == n.startswith("features") for n in before)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_swapped_head_counts(arch):
    network = skeleton(arch)
    old = network.classifier[-1]
    new = models.swap_head(network, 2)
    assert network.classifier[-1] is new
    assert (new.in_features, new.out_features) == (old.in_features, 2) == (4096, 2)
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


# Layer tables and sizes


@pytest.mark.parametrize("arch", models.ARCHS)
def test_layer_table_adds_up(arch):
    table = layers.layer_table(skeleton(arch))
    assert table["parameters"].sum() == PARAMETERS[arch]
    ops = {"alexnet": 0.714, "vgg16": 15.470}[arch]  # torchvision's own figures, without biases
    assert table["mult_adds"].sum() / 1e9 == pytest.approx(ops, rel=0.002)
    convolutions = table[table["kind"].isin(["Conv2d", "MaxPool2d"])]
    for row in convolutions.itertuples():
        side = layers.output_size(row.input[1], row.kernel, row.stride, row.padding)
        assert row.output[1:] == (side, side)


def test_layer_table_of_alexnet():
    table = layers.layer_table(skeleton("alexnet")).set_index("layer")
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
    table = layers.layer_table(skeleton("vgg16"), size=224)
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


def test_layer_table_leaves_the_network_alone():
    network = tiny().train()
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
    assert len(layers.layer_table(skeleton(arch), size=least))
    with pytest.raises(ValueError, match=r"too small for its layers \(AlexNet needs 63, VGG16"):
        layers.layer_table(skeleton(arch), size=least - 1)


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


def test_output_size_of_the_paper():
    assert layers.output_size(227, 11, 4) == 55
    assert layers.output_size(224, 11, 4, 2) == 55


def test_output_size_refuses_the_impossible():
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
    reference = models.build(arch, weights=found)
    torch.manual_seed(4)
    backbone = models.build_backbone(found)
    for name, tensor in reference.features.state_dict().items():
        found_std, wanted = backbone.features.state_dict()[name].std(), tensor.std()
        torch.testing.assert_close(found_std, wanted, rtol=0.3, atol=1e-6)
    assert models.build_head(found, 2)[-1].out_features == 2
