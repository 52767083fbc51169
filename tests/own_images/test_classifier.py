"""The classifier: its layers, and a file that gives the same logits again."""

import dataclasses

import pytest
import torch
from PIL import Image
from sample_models import NAMES, build, images_for
from torch import nn

from tutorial_utils import models
from tutorial_utils._support import checksums
from tutorial_utils.own_images import classifier


def test_a_classifier_has_a_frozen_backbone_and_a_light_head(tiny):
    assert [type(layer) for layer in tiny.head] == [nn.Dropout, nn.Linear]
    assert tiny.head[-1].weight.shape == (5, 9216)
    assert models.count(tiny.backbone).trainable == 0
    assert models.count(tiny.network).trainable == 5 * 9216 + 5
    assert tiny.classes == NAMES


def test_the_head_takes_what_the_backbone_gives():
    for arch in models.ARCHS:
        backbone, _ = models.split(models.build_on_meta(arch))
        side = models.DEMO_CROP[arch]
        values = backbone(torch.zeros(1, 3, side, side, device="meta"))
        assert values.shape == (1, classifier.FEATURES[arch])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "there are 0 class names; allowed are 2"),
        (["ants"], "there are 1 class names; allowed are 2"),
        (["ants", "ants"], "'ants' is there twice"),
        (["ants", "  "], "'  ' is empty"),
        (["ants", "b\udc80"], "is not valid Unicode"),
        ("ab", "must be a list of texts, not 'ab'"),
        (["ants", 3], "must be a list of texts"),
    ],
)
def test_wrong_class_names_raise_an_error(names, message):
    with pytest.raises(ValueError, match=message):
        classifier.build(models.Weights("alexnet", "none", None, ""), names)


def test_logits_leave_the_modes_and_the_generator_alone(tiny):
    tiny.network.train()
    before = torch.get_rng_state()
    images = images_for(tiny, 2)
    first, second = tiny.logits(images), tiny.logits(images)
    assert torch.equal(first, second), "dropout is active"
    assert first.shape == (2, 5)
    assert tiny.network.training and tiny.head.training
    assert torch.equal(before, torch.get_rng_state())


def test_top_names_the_most_probable_first(tiny):
    probabilities = torch.tensor([0.1, 0.5, 0.25, 0.1, 0.05])
    assert [name for name, _ in tiny.top(probabilities, 2)] == ["wild bees", "été/hiver"]
    assert len(tiny.top(probabilities, 99)) == 5


@pytest.mark.parametrize("arch", models.ARCHS)
def test_the_loaded_classifier_is_the_saved_one(arch, tmp_path):
    model = build(arch, "demo", side=64)
    usual = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}
    model = dataclasses.replace(model, preset=models.preset(64, 80, **usual))
    path = classifier.save(model, tmp_path / "my model é.safetensors")
    found = classifier.load(path)
    assert (found.arch, found.classes) == (arch, NAMES)
    for name in ("crop_size", "resize_size", "mean", "std", "interpolation", "antialias"):
        one, other = (str(getattr(each.preset, name)).strip("[()]") for each in (found, model))
        assert one == other, name
    state = model.network.state_dict()
    loaded = found.network.state_dict()
    assert state.keys() == loaded.keys()
    assert all(torch.equal(value, loaded[name]) for name, value in state.items())
    photo = Image.effect_noise((200, 120), 90).convert("RGB")
    assert torch.equal(found.preset(photo), model.preset(photo))
    images = images_for(model, 3)
    assert torch.equal(found.logits(images), model.logits(images))
    assert not found.network.training
    assert models.count(found.backbone).trainable == 0
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "a temporary file was left"


def test_a_model_is_replaced_whole_or_not_at_all(tiny, tmp_path, monkeypatch):
    path = classifier.save(tiny, tmp_path / "m.safetensors")
    before = path.read_bytes()
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode, "not all can read it"
    (tmp_path / "other").unlink()

    def full(tensors, path, **more):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checksums, "save_file", full)
    with pytest.raises(
        OSError, match="m.safetensors cannot be written: the disk is full; make room"
    ):
        classifier.save(tiny, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_path_may_begin_with_a_tilde_and_a_missing_folder_is_named(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert classifier.save(tiny, "~/m.safetensors") == tmp_path / "m.safetensors"
    assert classifier.load("~/m.safetensors").classes == NAMES
    with pytest.raises(OSError, match="cannot be written: there is no such folder"):
        classifier.save(tiny, tmp_path / "no" / "m.safetensors")
