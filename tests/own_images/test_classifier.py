"""The classifier: one file that holds all, refusals with their reason, and a twin that agrees."""

import json
import logging
import pickle
import struct
import zipfile

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from tutorial_utils import models
from tutorial_utils.own_images import classifier

NAMES = ("ants", "wild bees", "été/hiver", "蟻", "no insect")


@pytest.fixture(scope="module")
def tiny():
    """Return an AlexNet for small images, random but for its shapes."""
    return made("alexnet", "none", side=64)


@pytest.fixture(scope="module")
def twin(tiny, tmp_path_factory):
    """Return the file of `tiny` in ONNX."""
    return classifier.export_onnx(tiny, tmp_path_factory.mktemp("onnx") / "model.onnx")


def made(arch, kind, *, side=None, names=NAMES):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12)
        found = classifier.build(models.find_weights(arch, kind, quiet=True), names)
    if side is not None:
        preset = models.preset(side)
        found = classifier.Classifier(arch, found.classes, preset, found.network)
    return found


def images_for(model, count):
    side = model.preset.crop_size[0]
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(count))


def photo(path, size=(90, 70), colour=(200, 40, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


# build


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
    ("names", "said"),
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
def test_names_that_are_none_are_refused(names, said):
    with pytest.raises(ValueError, match=said):
        classifier.build(models.Weights("alexnet", "none", None, ""), names)


def test_logits_leave_the_modes_and_the_generator_alone(tiny):
    tiny.network.train()
    before = torch.get_rng_state()
    images = images_for(tiny, 2)
    first, second = tiny.logits(images), tiny.logits(images)
    assert torch.equal(first, second), "dropout is at work"
    assert first.shape == (2, 5)
    assert tiny.network.training and tiny.head.training
    assert torch.equal(before, torch.get_rng_state())


def test_top_names_the_most_probable_first(tiny):
    probabilities = torch.tensor([0.1, 0.5, 0.25, 0.1, 0.05])
    assert [name for name, _ in tiny.top(probabilities, 2)] == ["wild bees", "été/hiver"]
    assert len(tiny.top(probabilities, 99)) == 5


# save and load


@pytest.mark.parametrize("arch", models.ARCHS)
def test_what_is_loaded_is_what_was_saved(arch, tmp_path):
    model = made(arch, "demo", side=64)
    path = classifier.save(model, tmp_path / "my model é.safetensors")
    found = classifier.load(path)
    assert (found.arch, found.classes) == (arch, NAMES)
    for name in ("crop_size", "resize_size", "mean", "std", "interpolation", "antialias"):
        assert list_of(getattr(found.preset, name)) == list_of(getattr(model.preset, name)), name
    state = model.network.state_dict()
    loaded = found.network.state_dict()
    assert state.keys() == loaded.keys()
    assert all(torch.equal(value, loaded[name]) for name, value in state.items())
    images = images_for(model, 3)
    assert torch.equal(found.logits(images), model.logits(images))
    assert not found.network.training
    assert models.count(found.backbone).trainable == 0
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "a draft was left"


def list_of(value):
    return list(value) if isinstance(value, list | tuple) else value


def test_a_model_is_replaced_whole_or_not_at_all(tiny, tmp_path, monkeypatch):
    path = classifier.save(tiny, tmp_path / "m.safetensors")
    before = path.read_bytes()

    def full(tensors, draft, **more):
        draft.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(classifier, "save_file", full)
    with pytest.raises(OSError, match="could not be written.*No space left.*MB free"):
        classifier.save(tiny, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_saved_model_is_for_whoever_may_read_the_folder(tiny, tmp_path):
    path = classifier.save(tiny, tmp_path / "m.safetensors")
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_folder_that_is_not_there_is_said(tiny, tmp_path):
    with pytest.raises(OSError, match="Name a folder that exists"):
        classifier.save(tiny, tmp_path / "no" / "m.safetensors")
    with pytest.raises(OSError, match="ONNX model could not be written"):
        classifier.export_onnx(tiny, tmp_path / "no" / "m.onnx")


class Bomb:
    """A pickle that, when loaded, leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (exec, (f"open({str(self.trace)!r}, 'w').close()",))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_never_opened(protocol, tmp_path):
    path, trace = tmp_path / "m.safetensors", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Bomb(trace), protocol))
    with pytest.raises(ValueError, match=r"is a pickle.*not opened.*would run"):
        classifier.load(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())
    assert trace.exists(), "the pickle was no danger: the test shows nothing"


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_is_a_pickle(zipped, tmp_path):
    path = tmp_path / "m.pth"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"m.pth is a pickle, such as torch.save writes"):
        classifier.load(path)


def a_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")


def an_image(path):
    photo(path.with_suffix(".png")).rename(path)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (a_zip, "is a zip archive, not a model"),
        (an_image, "is an image, not a model"),
        (lambda path: path.write_text("weights of my model\n"), "is a text, not a model"),
        (lambda path: path.write_text("die Gewichte, schön"), "is a text, not a model"),
        (lambda path: path.write_bytes(b""), "is empty, 0 bytes"),
        (lambda path: path.write_bytes(b"\x1f\x8b\x08\0"), "is a compressed file"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "is an HDF5 file"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x01\0"), "is an array of NumPy"),
        (lambda path: path.write_bytes(bytes(range(255, 0, -1))), "is no safetensors file"),
        (lambda path: path.write_bytes(bytes(8) + b"{"), "is damaged: its header is no JSON"),
        (lambda path: path.write_bytes(struct.pack("<Q", 4) + b"{abc"), "header is no JSON"),
        (lambda path: path.write_bytes(struct.pack("<Q", 2) + b"{}"), "notes say 'nothing'"),
        (lambda path: path.write_bytes(struct.pack("<Q", 2**60) + b"{}"), "is cut short"),
        (lambda path: path.mkdir(), "is a folder; a model is one file"),
    ],
)
def test_another_kind_of_file_is_refused_with_its_kind(write, said, tmp_path):
    write(tmp_path / "m.safetensors")
    with pytest.raises((ValueError, OSError), match=said):
        classifier.load(tmp_path / "m.safetensors")


def test_a_missing_model_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model at .*nothing.safetensors.*lesson 12"):
        classifier.load(tmp_path / "nothing.safetensors")


def test_an_onnx_model_is_refused_as_one(twin):
    with pytest.raises(ValueError, match="is an ONNX model, which is for other programs"):
        classifier.load(twin)


@pytest.mark.parametrize("kept", [5, 9, 200, 5000, -1])
def test_a_truncated_model_is_refused(kept, tiny, tmp_path):
    path = classifier.save(tiny, tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"is cut short|no safetensors file"):
        classifier.load(path)


def test_a_model_with_more_behind_it_is_refused(tiny, tmp_path):
    path = classifier.save(tiny, tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ValueError, match="no whole safetensors file"):
        classifier.load(path)


def altered(tiny, path, *, notes=None, tensors=None):
    """Write a model's file with some notes and tensors changed; None takes one out."""
    classifier.save(tiny, path)
    kept = load_file(path) | (tensors or {})
    written = classifier._notes(tiny) | (notes or {})
    save_file(
        {name: value for name, value in kept.items() if value is not None},
        path,
        metadata={name: value for name, value in written.items() if value is not None},
    )
    return path


def size(**changes):
    usual = {"resize": 64, "crop": 64, "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2]}
    return {"preset": json.dumps(usual | changes)}


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ({"format": None}, "no classifier of this course: its notes say 'nothing'"),
        ({"format": "pt"}, "its notes say 'pt' where"),
        ({"version": "2"}, "version '2', and this program reads version '1'"),
        ({"version": None}, "version None"),
        ({"arch": "resnet18"}, "network 'resnet18'; allowed: alexnet, vgg16"),
        ({"classes": None}, "'classes' is missing"),
        ({"classes": "["}, "notes that make no sense: Expecting value"),
        ({"classes": '"ab"'}, "must be a list of texts"),
        ({"classes": "3"}, "notes that make no sense"),
        ({"classes": '["a", "a", "b", "c", "d"]'}, "'a' is there twice"),
        ({"classes": '["a", "b", "c"]'}, "a head for 5 classes and the names of 3 .a, b, c"),
        ({"preset": None}, "'preset' is missing"),
        ({"preset": "{}"}, "'crop' is missing"),
        ({"preset": "[]"}, "notes that make no sense"),
        (size(crop=10), "size is 10 of 64 pixels; allowed for this network are 63 to 2048"),
        (size(crop=10**6, resize=10**6), "allowed for this network are 63 to 2048"),
        (size(crop="64"), "not whole numbers"),
        (size(std=[0.2, 0.0, 0.2]), "not those of three colours"),
        (size(mean=[0.2, 0.2]), "not those of three colours"),
        (size(mean=[float("nan")] * 3), "not those of three colours"),
    ],
)
def test_notes_that_do_not_fit_are_refused(notes, said, tiny, tmp_path):
    path = altered(tiny, tmp_path / "m.safetensors", notes=notes)
    with pytest.raises(ValueError, match=said):
        classifier.load(path)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"head.1.bias": None}, "lacks head.1.bias"),
        ({"extra": torch.ones(2)}, "has, besides, extra"),
        ({"head.1.weight": torch.zeros(4, 9216)}, "head for 4 classes and the names of 5"),
        ({"head.1.weight": torch.zeros(5, 9)}, r"shape \(5, 9\) of F32, expected \(5, 9216\)"),
        ({"head.1.bias": torch.zeros(())}, "head for 0 classes"),
        ({"backbone.features.0.bias": torch.zeros(3)}, r"shape \(3,\) of F32, expected \(64,\)"),
        ({"head.1.bias": torch.zeros(5, dtype=torch.float16)}, r"\(5,\) of F16, expected"),
        ({"head.1.bias": torch.full((5,), torch.nan)}, "head.1.bias holds values that are no fin"),
        ({"backbone.features.0.bias": torch.full((64,), torch.inf)}, "no finite numbers"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tensors, said, tiny, tmp_path):
    path = altered(tiny, tmp_path / "m.safetensors", tensors=tensors)
    with pytest.raises(ValueError, match=said):
        classifier.load(path)


# predict_files


def test_a_broken_image_in_a_batch_stops_no_other(tiny, tmp_path):
    paths = [photo(tmp_path / f"{i}.png", colour=(40 * i, 0, 90)) for i in range(5)]
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[: len(whole) // 2])
    paths.insert(4, tmp_path / "none.png")
    found = list(classifier.predict_files(tiny, paths, batch_size=2))
    assert [f.path for f in found] == paths
    assert {i: f.problem for i, f in enumerate(found) if f.problem} == {
        2: "cut short",
        4: "there is no such file",
    }
    rest = [f for f in found if f.problem is None]
    alone = [next(classifier.predict_files(tiny, [f.path])) for f in rest]
    for one, other in zip(rest, alone, strict=True):
        assert one.probabilities.sum() == pytest.approx(1)
        assert torch.allclose(one.probabilities, other.probabilities, atol=1e-5)


def test_what_is_predicted_is_what_the_network_says(tiny, tmp_path):
    path = photo(tmp_path / "a.png")
    with Image.open(path) as image:
        wanted = tiny.logits(tiny.preset(image)[None]).softmax(1)[0]
    assert torch.allclose(
        next(classifier.predict_files(tiny, [str(path)])).probabilities, wanted, atol=1e-6
    )


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.write_bytes(b""), "empty, 0 bytes"),
        (lambda path: path.write_text("no image"), "not an image"),
        (lambda path: path.mkdir(), "a folder without images"),
        (lambda path: photo(path, (2, 50_000)), "2 x 50000 pixels, too long and narrow"),
    ],
)
def test_the_reason_is_in_few_words(write, said, tiny, tmp_path):
    write(tmp_path / "a.png")
    assert next(classifier.predict_files(tiny, [tmp_path / "a.png"])).problem == said


def test_no_image_at_all_is_no_prediction(tiny):
    assert list(classifier.predict_files(tiny, [])) == []


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True])
def test_a_batch_size_that_is_none_is_refused(wrong, tiny):
    with pytest.raises(ValueError, match="batch_size must be a whole number from 1"):
        list(classifier.predict_files(tiny, ["a.png"], batch_size=wrong))


def test_folders_are_expanded(tmp_path):
    wanted = [photo(tmp_path / "set" / name) for name in ("a b/1.png", "a b/2.PNG", "été/3.jpg")]
    photo(tmp_path / "set" / ".cache" / "4.png")
    photo(tmp_path / "set" / ".5.png")
    (tmp_path / "set" / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    given = [tmp_path / "set", tmp_path / "empty", tmp_path / "x.png"]
    assert sorted(classifier.expand(given)) == sorted([*wanted, *given[1:]])


# ONNX


@pytest.mark.parametrize("kind", ["none", "demo"])
@pytest.mark.parametrize("arch", models.ARCHS)
def test_the_twin_agrees(arch, kind, tmp_path, capfd):
    model = made(arch, kind)  # with the preset of its weights
    with torch.no_grad():
        model.head[-1].weight.mul_(20)  # logits as large as after long training
    path = classifier.export_onnx(model, tmp_path / "model.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"], "not one file"
    assert classifier.onnx_classes(path) == NAMES
    for count in (1, 3, 17):
        images = images_for(model, count)
        assert classifier.onnx_logits(path, images).shape == (count, 5)
        assert classifier.compare(model, path, images) < 1e-4
    assert kind == "none" or model.logits(images).abs().max() > 5
    assert capfd.readouterr() == ("", "")


def test_the_twin_of_another_network_does_not_agree(tiny, twin):
    other = made("alexnet", "demo", side=64)
    assert classifier.compare(tiny, twin, images_for(tiny, 3)) < 1e-4
    assert classifier.compare(other, twin, images_for(tiny, 3)) > 1e-2


def test_an_export_changes_nothing(tiny, tmp_path):
    tiny.network.train()
    before, state = (
        torch.get_rng_state(),
        {k: v.clone() for k, v in tiny.network.named_parameters()},
    )
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")}
    classifier.export_onnx(tiny, tmp_path / "model.onnx")
    assert tiny.network.training
    assert tiny.head[-1].weight.requires_grad
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, state[name]) for name, value in tiny.network.named_parameters())
    assert levels == {name: logging.getLogger(name).level for name in levels}


@pytest.mark.parametrize(("size", "target"), [(3, 7), (1, 6), (7, 7), (4, 7), (13, 6), (12, 6)])
def test_the_pooling_spelled_out_is_the_adaptive_one(size, target):
    maps = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    wanted = nn.AdaptiveAvgPool2d(target)(maps)
    assert torch.allclose(classifier._Pool(size, target)(maps), wanted, atol=1e-6)


def test_what_is_no_onnx_model_is_refused(twin, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no ONNX model at"):
        classifier.onnx_logits(tmp_path / "m.onnx", torch.zeros(1, 3, 64, 64))
    (tmp_path / "m.onnx").write_text("nothing")
    with pytest.raises(ValueError, match="is no ONNX model that onnxruntime reads"):
        classifier.onnx_logits(tmp_path / "m.onnx", torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"does not take images of shape \(1, 3, 60, 64\)"):
        classifier.onnx_logits(twin, torch.zeros(1, 3, 60, 64))
