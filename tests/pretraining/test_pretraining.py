"""Pretraining: folding, packing, the recipe, going on from a checkpoint, what is refused."""

import hashlib
import os
from dataclasses import replace

import corpus
import pytest
import run
import torch
import torchvision
from corpus import Corpus, Pixels
from test_corpus import tree, write
from torch import nn

import pretraining
from tutorial_utils import models
from tutorial_utils._support import fast_pass, weight_files

TINY = pretraining.Recipe(batch_size=8, lr=0.02, sizes=((0.0, 64), (0.5, 80)))


def stripes(count: int, seed: int) -> Pixels:
    """Return images of two classes, stripes that lie and stripes that stand, with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    wave = (torch.arange(64) // 8 % 2 * 150).float()
    images = torch.rand(count, 3, 64, 64, generator=generator) * 100
    images += torch.where((labels == 0)[:, None, None, None], wave[:, None], wave)
    return Pixels(images.to(torch.uint8), labels)


IMAGES = Corpus(stripes(20, 0), stripes(10, 1), ["lying", "standing"], [])


def shaken(arch: str, classes: int = 3) -> nn.Sequential:
    """Return a network whose norms have seen something."""
    torch.manual_seed(0)
    network = pretraining.with_norms(arch, classes)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean, -1, 1)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network.eval()


@pytest.mark.parametrize("arch", models.ARCHS)
def test_folded_and_unfolded_agree(arch):
    network = shaken(arch)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = network.features(images)
        gap = (pretraining.fold(network).features(images) - features).abs().max()
        assert gap / features.abs().max() < 1e-4
        assert torch.allclose(network(images), pretraining.fold(network)(images), atol=1e-4)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_what_is_folded_is_torchvisions_architecture_to_the_letter(arch):
    network = shaken(arch)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = pretraining.fold(network).features
    with torch.device("meta"):
        plain = getattr(torchvision.models, arch)().features
    assert str(folded) == str(plain)
    shapes = {name: value.shape for name, value in plain.state_dict().items()}
    assert {name: value.shape for name, value in folded.state_dict().items()} == shapes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("packing", "most"), [("float16", 5e-4), ("int8", 5e-3)])
def test_a_packed_file_is_read_back_by_models(tmp_path, packing, most):
    features = pretraining.fold(shaken("alexnet")).features
    path = tmp_path / "alexnet.safetensors"
    digest = pretraining.pack(features, path, packing=packing)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    back = weight_files.read_features(path.read_bytes(), features)
    for name, value in features.state_dict().items():
        gap = (back[f"features.{name}"] - value).abs().amax()
        assert gap <= most * value.abs().amax(), name


def test_an_asset_that_was_packed_builds_a_network(tmp_path, monkeypatch):
    path = tmp_path / "alexnet.safetensors"
    digest = pretraining.pack(pretraining.fold(shaken("alexnet")).features, path, packing="float16")
    monkeypatch.setattr(weight_files, "ASSETS", tmp_path)
    monkeypatch.setitem(weight_files.DEMO_SHA256, "alexnet", digest)
    network = models.build("alexnet", weights="demo", quiet=True)
    assert network(torch.rand(1, 3, 64, 64)).shape == (1, 1000)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="truncated or altered"):
        models.build("alexnet", weights="demo", quiet=True)


def test_values_too_large_for_16_bits_are_refused(tmp_path):
    layer = nn.Sequential(nn.Conv2d(3, 2, 1))
    nn.init.constant_(layer[0].weight, 1e6)
    with pytest.raises(ValueError, match="values up to 1e"):
        pretraining.pack(layer, tmp_path / "x", packing="float16")
    assert list(tmp_path.iterdir()) == []


def test_the_rate_rises_once_and_falls_to_nearly_nothing():
    rates = [TINY.rate(k / 1000) for k in range(1001)]
    top = rates.index(max(rates))
    assert top == pytest.approx(1000 * pretraining.WARM_UP, abs=1)
    assert max(rates) == pytest.approx(TINY.lr, rel=1e-3)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < rates[-1] < 1e-3 * TINY.lr


def test_the_size_grows_with_the_share_of_the_budget():
    assert [TINY.size(done) for done in (0, 0.49, 0.5, 1.0)] == [64, 64, 80, 80]


def test_images_are_varied_less_in_the_end(tmp_path, monkeypatch):
    assert TINY.variation(0.84) == {"least_side": 0.55, "light": 0.3}
    assert TINY.variation(0.85) == {"least_side": 0.775, "light": 0.15}
    asked = []
    real = corpus.vary
    monkeypatch.setattr(corpus, "vary", lambda *a, **how: asked.append(how) or real(*a, **how))
    go(tmp_path, recipe=replace(TINY, calm=0.5))  # six steps
    assert [how["light"] for how in asked] == [0.3] * 3 + [0.15] * 3


def test_images_may_be_varied_less_all_along():
    mild = replace(TINY, variety=0.5)
    assert mild.variation(0.0) == {"least_side": 0.775, "light": 0.15}
    assert mild.variation(1.0) == {"least_side": 0.8875, "light": 0.075}
    assert replace(TINY, variety=0.0).variation(0.0) == {"least_side": 1.0, "light": 0.0}


def test_it_may_be_measured_at_another_size(tmp_path, capsys):
    outcome = go(tmp_path, recipe=replace(TINY, test_size=96), epochs=0.3, quiet=False)
    assert outcome.size == 96
    lines = capsys.readouterr().out.splitlines()
    assert "validation at 96x96: " in lines[1]
    assert lines[0].partition("validation ")[2].partition("  ")[0] in lines[1]


def test_sizes_are_read_from_words():
    assert pretraining.sizes(["0:64", "0.5:96"]) == ((0.0, 64), (0.5, 96))
    for bad in (["64"], [], ["0.1:64"], ["0:64", "0:96"], ["0:64", "1:96"], ["0:x"]):
        with pytest.raises(ValueError, match="sizes must be SHARE:PIXELS"):
            pretraining.sizes(bad)


def go(tmp_path, *, name="a.safetensors", arch="alexnet", **more):
    given = {"epochs": 2, "recipe": TINY, "device": "cpu", "quiet": True} | more
    return pretraining.pretrain(arch, IMAGES, tmp_path / name, **given)


def test_it_learns_and_writes_what_it_measured(tmp_path):
    outcome = go(tmp_path, epochs=12)
    assert outcome.trained.correct >= 9 and outcome.trained.total == 10
    assert abs(outcome.packed.correct - outcome.trained.correct) <= 1
    assert outcome.packed.loss == pytest.approx(outcome.trained.loss, abs=0.05)
    assert outcome.size == 80 and outcome.epochs == 12
    assert outcome.sha256 == hashlib.sha256(outcome.path.read_bytes()).hexdigest()


def test_a_line_an_epoch(tmp_path, capsys):
    go(tmp_path, quiet=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch 1.00  64x64  training loss ")
    assert lines[1].startswith("epoch 2.00  80x80  training loss ")
    assert "validation loss" in lines[0] and "images/s" in lines[0]
    assert "SHA-256" in lines[-1]


def test_a_part_of_an_epoch_and_a_budget_in_minutes_end(tmp_path):
    assert go(tmp_path, epochs=0.5).epochs == pytest.approx(2 / 3)  # whole steps, 3 an epoch
    outcome = go(tmp_path, epochs=None, minutes=0.02)
    assert outcome.seconds >= 1.2 and outcome.epochs > 0


class Cut(Exception):
    pass


def cut_after(monkeypatch, steps: int) -> None:
    """Let the run be cut off, as by a power failure, at a step."""
    real, count = pretraining._Run._learn, [0]

    def learn(self, *arguments):
        if count[0] == steps:
            raise Cut
        count[0] += 1
        return real(self, *arguments)

    monkeypatch.setattr(pretraining._Run, "_learn", learn)


def test_a_run_that_was_cut_off_goes_on_as_if_nothing_had_been(tmp_path, monkeypatch):
    whole = go(tmp_path, name="whole", epochs=3)
    state = tmp_path / "state"
    with monkeypatch.context() as patch:
        cut_after(patch, 4)  # in the second epoch
        with pytest.raises(Cut):
            go(tmp_path, epochs=3, checkpoint=state, every_s=0)
    again = go(tmp_path, name="again", epochs=3, checkpoint=state, resume=True)
    assert again.sha256 == whole.sha256 and again.trained == whole.trained


def test_a_checkpoint_is_not_lost_by_accident(tmp_path):
    go(tmp_path, checkpoint=tmp_path / "state")
    with pytest.raises(ValueError, match="is there already and would be lost"):
        go(tmp_path, checkpoint=tmp_path / "state")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arch": "vgg16"}, "its arch is alexnet, asked for is vgg16"),
        ({"recipe": replace(TINY, lr=0.5)}, "its recipe is"),
        ({"epochs": 3}, r"its budget is \['epochs', 2.0\]"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, changed, said):
    go(tmp_path, checkpoint=tmp_path / "state")
    with pytest.raises(ValueError, match=said):
        go(tmp_path, checkpoint=tmp_path / "state", resume=True, **changed)


def test_a_checkpoint_of_other_classes_is_refused(tmp_path):
    go(tmp_path, checkpoint=tmp_path / "state")
    other = replace(IMAGES, classes=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"its classes is 2 \(lying, ...\), asked for is 3 \(a"):
        pretraining.pretrain(
            "alexnet",
            other,
            tmp_path / "x",
            epochs=2,
            recipe=TINY,
            checkpoint=tmp_path / "state",
            resume=True,
            quiet=True,
        )


def test_a_broken_checkpoint_is_refused(tmp_path):
    (tmp_path / "state").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        go(tmp_path, checkpoint=tmp_path / "state", resume=True)


def test_no_space_left_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    state = tmp_path / "state"
    go(tmp_path, checkpoint=state)
    before = state.read_bytes()

    def full(content, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    run = pretraining._Run(
        "alexnet", IMAGES, TINY, ("epochs", 2), torch.device("cpu"), state, 1, print, False
    )
    with pytest.raises(OSError, match="No space left.*the one before it is kept"):
        run._save()
    assert state.read_bytes() == before and sorted(os.listdir(tmp_path)) == [
        "a.safetensors",
        "state",
    ]


def test_a_loss_that_is_lost_says_what_to_try(tmp_path):
    with pytest.raises(FloatingPointError, match="try a smaller lr than"):
        go(tmp_path, epochs=20, recipe=replace(TINY, lr=1e30, momentum=0.0))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arch": "resnet", "recipe": None}, "unknown arch 'resnet'"),
        ({"recipe": replace(TINY, sizes=((0.0, 32),))}, "32x32 are too small for AlexNet"),
        ({"recipe": replace(TINY, frozen=2)}, "give an asset to start with"),
        ({"recipe": replace(TINY, frozen=5), "start": "x"}, "frozen must be from 0 to 4"),
        ({"recipe": replace(TINY, frozen=-1), "start": "x"}, "frozen must be from 0 to 4"),
        ({"recipe": replace(TINY, test_size=32)}, "32x32 are too small for AlexNet"),
        ({"epochs": None}, "give the budget as epochs or as minutes"),
        ({"minutes": 1}, "give the budget as epochs or as minutes"),
        ({"epochs": 0}, "epochs must be a finite number above 0"),
        ({"epochs": float("nan")}, "epochs must be a finite number above 0"),
    ],
)
def test_arguments_that_cannot_be_are_refused(tmp_path, changed, said):
    with pytest.raises(ValueError, match=said):
        go(tmp_path, **changed)


def test_a_folder_that_is_not_there_is_said_before_hours_are_spent(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        go(tmp_path / "nowhere")


def test_the_callers_generator_is_left_alone(tmp_path):
    torch.manual_seed(5)
    wanted = torch.rand(2)
    torch.manual_seed(5)
    go(tmp_path, epochs=1)
    assert torch.equal(torch.rand(2), wanted)


def begun(arch: str, images: torch.Tensor, hidden: int = 0) -> tuple[nn.Module, nn.Module]:
    """Return a plain network's features and those of one with norms that began with them."""
    plain = pretraining.fold(shaken(arch)).features
    network = pretraining.with_norms(arch, 3, hidden=hidden)
    pretraining.begin_with(network, plain, images)
    return plain, network.features


@pytest.mark.parametrize("arch", models.ARCHS)
def test_a_network_that_begins_with_weights_computes_what_they_do(arch):
    images = torch.randn(16, 3, 96, 96)
    plain, features = begun(arch, images, hidden=4)
    with torch.no_grad():
        wanted = plain(images.clone())
        for network in (features.eval(), features.train()):  # in training, by these images' means
            found = network(images.clone())
            assert (found - wanted).abs().max() / wanted.abs().max() < 1e-3


def test_kernels_get_the_length_of_fresh_ones():
    _, features = begun("alexnet", torch.randn(16, 3, 64, 64))
    fresh = pretraining.with_norms("alexnet", 3).features
    for ours, other in zip(features, fresh, strict=True):
        if isinstance(ours, nn.Conv2d):
            lengths = ours.weight.flatten(1).norm(dim=1)
            assert lengths.std() / lengths.mean() < 1e-4
            mean = other.weight.flatten(1).norm(dim=1).mean()
            assert lengths.mean().item() == pytest.approx(mean.item(), rel=0.05)


def test_a_run_begins_with_an_asset_and_keeps_it_when_it_goes_on(tmp_path, monkeypatch, capsys):
    first = go(tmp_path, name="first", epochs=8)
    short = replace(TINY, lr=1e-6)
    more = {"start": first.path, "recipe": short, "epochs": 3, "quiet": False}
    whole = go(tmp_path, name="whole", **more)
    assert f"begins with {first.path}" in capsys.readouterr().out
    # At so small a rate nothing but the norms' means move, by batches of eight.
    left, right = (
        pretraining._features(path.read_bytes(), models.empty("alexnet").features)
        for path in (first.path, whole.path)
    )
    for name, value in left.items():
        likeness = nn.functional.cosine_similarity(value.flatten(), right[name].flatten(), dim=0)
        assert likeness > 0.95, name
    state = tmp_path / "state"
    with monkeypatch.context() as patch:
        cut_after(patch, 4)
        with pytest.raises(Cut):
            go(tmp_path, checkpoint=state, every_s=0, **more)
    again = go(tmp_path, name="again", checkpoint=state, resume=True, **more)
    assert again.sha256 == whole.sha256


def test_frozen_layers_stay_as_the_asset_has_them(tmp_path):
    first = go(tmp_path, name="first")
    second = go(tmp_path, start=first.path, recipe=replace(TINY, frozen=2))
    left, right = (
        pretraining._features(outcome.path.read_bytes(), models.empty("alexnet").features)
        for outcome in (first, second)
    )
    for name, value in left.items():
        near = torch.allclose(value, right[name], rtol=2e-3, atol=2e-3)  # rounded to 16 bits twice
        assert near == (name.split(".")[0] in ("0", "3")), name


@pytest.mark.parametrize("arch", models.ARCHS)
def test_what_is_frozen_are_whole_convolutions_with_their_norms(arch):
    network = pretraining.with_norms(arch, 2)
    for count in (0, 1, 3):
        layers = list(pretraining._first(network.features, count))
        assert [isinstance(layer, nn.Conv2d) for layer in layers].count(True) == count
        assert not layers or isinstance(layers[-1], nn.BatchNorm2d)
        assert all(a is b for a, b in zip(layers, network.features, strict=False))


def test_an_asset_of_another_network_is_refused_as_a_beginning(tmp_path):
    path = tmp_path / "vgg16.safetensors"
    pretraining.pack(pretraining.fold(shaken("vgg16")).features, path, packing="int8")
    for content in (path.read_bytes(), path.read_bytes()[:1000], b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="does not hold AlexNet's convolutions"):
            go(tmp_path, start=path)
    with pytest.raises(FileNotFoundError):
        go(tmp_path, start=tmp_path / "nowhere")


def test_a_hidden_layer_in_the_head(tmp_path):
    outcome = go(tmp_path, epochs=12, recipe=replace(TINY, hidden=16))
    assert outcome.trained.correct >= 9
    assert abs(outcome.packed.correct - outcome.trained.correct) <= 1


def test_the_command_pretrains_from_a_folder(tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(fast_pass, "keep_memory", lambda: asked.append(1))
    write(tmp_path / "set", tree(ant=4, bee=4) | {"train/ant/bad.png": b"x"})
    words = ["alexnet", "--data", str(tmp_path / "set"), "--epochs", "1"]
    words += ["--out", str(tmp_path / "a.safetensors"), "--batch-size", "4", "--side", "16"]
    assert run.main([*words, "--sizes", "0:64", "--lr", "0.01"]) == 0
    said = capsys.readouterr().out
    assert "8 training and 8 validation images of 2 classes; 1 skipped: train/ant/bad.png" in said
    assert "epoch 1.00  64x64" in said and (tmp_path / "a.safetensors").exists()
    assert asked == [1]
    words[words.index("--out") + 1] = str(tmp_path / "b.safetensors")
    words += ["--sizes", "0:64", "--hidden", "8", "--start", str(tmp_path / "a.safetensors")]
    words += ["--frozen", "1", "--variety", "0.5"]
    assert run.main(words) == 0
    assert "begins with " in capsys.readouterr().out
    assert run.main([*words, "--sizes", "0:64"]) == 1  # its checkpoint would be lost
    assert "would be lost" in capsys.readouterr().err


def test_the_command_names_what_is_wrong_with_a_source(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fast_pass, "keep_memory", lambda: None)
    words = ["vgg16", "--data", str(tmp_path), "--epochs", "1", "--out", "x"]
    assert run.main(words) == 1
    assert "no class with images" in capsys.readouterr().err


def test_the_recipes_fit_the_networks():
    for arch, recipe in pretraining.RECIPES.items():
        smallest = min(size for _, size in recipe.sizes)
        network = pretraining.with_norms(arch, 2).eval()
        with torch.no_grad():
            assert network(torch.rand(1, 3, smallest, smallest)).shape == (1, 2)
    assert set(pretraining.RECIPES) == set(pretraining.PACKING) == set(models.ARCHS)
    assert corpus.HELD_OUT > 1
