"""Model files: old ones load, and every other kind of file is named in the error."""

import json
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file
from sample_models import NAMES, photo

from tutorial_utils.own_images import classifier, model_file


class Bomb:
    """An object whose pickle, when loaded, writes a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (exec, (f"open({str(self.trace)!r}, 'w').close()",))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_never_opened(protocol, tmp_path):
    path, trace = tmp_path / "m.safetensors", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Bomb(trace), protocol))
    with pytest.raises(ValueError, match=r"is a pickle.*not opened.*code, which would run"):
        classifier.load(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())
    assert trace.exists(), "the pickle is harmless: the test shows nothing"


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
    ("write", "message"),
    [
        (a_zip, "is a zip archive, not a model"),
        (an_image, "is an image, not a model"),
        (lambda path: path.write_text("weights of my model\n"), "is a text, not a model"),
        (lambda path: path.write_text("die Gewichte, schön"), "is a text, not a model"),
        (lambda path: path.write_bytes(b""), "is empty, 0 bytes"),
        (lambda path: path.write_bytes(b"\x1f\x8b\x08\0"), "is a compressed file"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "is an HDF5 file"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x01\0"), "is a NumPy array"),
        (lambda path: path.write_bytes(bytes(range(255, 0, -1))), "is not a safetensors file"),
        (lambda path: path.write_bytes(bytes(8) + b"{"), "is damaged: its header is not a JSON"),
        (lambda path: path.write_bytes(struct.pack("<Q", 4) + b"{abc"), "header is not a JSON"),
        (lambda path: path.write_bytes(struct.pack("<Q", 2) + b"{}"), "its format is None, not"),
        (lambda path: path.write_bytes(struct.pack("<Q", 2**60) + b"{}"), "is cut short"),
        (lambda path: path.mkdir(), "is a folder; a model is one file"),
    ],
)
def test_another_kind_of_file_is_named_in_the_error(write, message, tmp_path):
    write(tmp_path / "m.safetensors")
    with pytest.raises((ValueError, OSError), match=message):
        classifier.load(tmp_path / "m.safetensors")


def test_a_missing_or_an_onnx_model_is_named_in_the_error(exported, tmp_path):
    with pytest.raises(FileNotFoundError, match="no model at .*nothing.safetensors.*lesson 12"):
        classifier.load(tmp_path / "nothing.safetensors")
    with pytest.raises(ValueError, match="is an ONNX model, which is for other programs"):
        classifier.load(exported)


def test_a_truncated_or_a_longer_model_raises_an_error(tiny, tmp_path):
    path = classifier.save(tiny, tmp_path / "m.safetensors")
    whole = path.read_bytes()
    for size in (5, 9, 200, 5000, -1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"is cut short|not a safetensors file"):
            classifier.load(path)
    path.write_bytes(whole + b"more")
    with pytest.raises(ValueError, match="not a complete safetensors file"):
        classifier.load(path)


def alter(tiny, path, *, metadata=None, tensors=None):
    """Write a model's file with some metadata and tensors changed; None removes one."""
    classifier.save(tiny, path)
    stored = load_file(path) | (tensors or {})
    usual = model_file.metadata(tiny.arch, tiny.classes, tiny.preset)
    written = usual | (metadata or {})
    tensors, texts = (
        {name: value for name, value in one.items() if value is not None}
        for one in (stored, written)
    )
    save_file(tensors, path, metadata=texts)
    return path


def size(**changes):
    usual = {"resize": 64, "crop": 64, "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2]}
    return {"preset": json.dumps(usual | changes)}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": None}, "not a classifier of this course: its format is None"),
        ({"format": "pt"}, "its format is 'pt', not 'tutorial_utils.classifier'"),
        ({"version": "2"}, "version '2' of the format, and this program reads version '1'"),
        ({"version": None}, "version None"),
        ({"arch": "resnet18"}, "network 'resnet18'; allowed: alexnet, vgg16"),
        ({"classes": None}, "'classes' is missing"),
        ({"classes": "["}, "invalid metadata: Expecting value"),
        ({"classes": '"ab"'}, "must be a list of texts"),
        ({"classes": "3"}, "invalid metadata"),
        ({"classes": '["a", "a", "b", "c", "d"]'}, "'a' is there twice"),
        ({"classes": '["a", "b", "c"]'}, "a head for 5 classes and the names of 3 .a, b, c"),
        ({"preset": None}, "'preset' is missing"),
        ({"preset": "{}"}, "'crop' is missing"),
        ({"preset": "[]"}, "invalid metadata"),
        (size(crop=10), "size is 10 of 64 pixels; allowed for this network are 63 to 2048"),
        (size(crop=10**6, resize=10**6), "allowed for this network are 63 to 2048"),
        (size(crop="64"), "not whole numbers"),
        (size(std=[0.2, 0.0, 0.2]), "not those of three colours"),
        (size(mean=[0.2, 0.2]), "not those of three colours"),
        (size(mean=[float("nan")] * 3), "not those of three colours"),
    ],
)
def test_wrong_metadata_raises_an_error(metadata, message, tiny, tmp_path):
    path = alter(tiny, tmp_path / "m.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match=message):
        classifier.load(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"head.1.bias": None}, "lacks head.1.bias"),
        ({"extra": torch.ones(2)}, "also has extra"),
        ({"head.1.weight": torch.zeros(4, 9216)}, "head for 4 classes and the names of 5"),
        ({"head.1.weight": torch.zeros(5, 9)}, r"shape \(5, 9\) of F32, expected \(5, 9216\)"),
        ({"head.1.bias": torch.zeros(())}, "head for 0 classes"),
        ({"backbone.features.0.bias": torch.zeros(3)}, r"shape \(3,\) of F32, expected \(64,\)"),
        ({"head.1.bias": torch.zeros(5, dtype=torch.float16)}, r"\(5,\) of F16, expected"),
        ({"head.1.bias": torch.full((5,), torch.nan)}, "head.1.bias holds values that are not fin"),
        ({"backbone.features.0.bias": torch.full((64,), torch.inf)}, "not finite numbers"),
    ],
)
def test_wrong_tensors_raise_an_error(tensors, message, tiny, tmp_path):
    path = alter(tiny, tmp_path / "m.safetensors", tensors=tensors)
    with pytest.raises(ValueError, match=message):
        classifier.load(path)


def test_a_model_of_the_first_version_loads(tiny, tmp_path):
    classifier.save(tiny, tmp_path / "new.safetensors")
    path = tmp_path / "old.safetensors"
    # What lesson 12 wrote in 2026, word for word.
    stored = {
        "format": "tutorial_utils.classifier",
        "version": "1",
        "arch": "alexnet",
        "classes": '["ants", "wild bees", "été/hiver", "蟻", "no insect"]',
        "preset": '{"resize": 64, "crop": 64, "mean": [0.485, 0.456, 0.406], '
        '"std": [0.229, 0.224, 0.225]}',
    }
    save_file(load_file(tmp_path / "new.safetensors"), path, metadata=stored)
    found = classifier.load(path)
    assert (found.arch, found.classes) == ("alexnet", NAMES)
    assert (found.preset.crop_size, found.preset.resize_size) == ([64], [64])
    images = torch.ones(2, 3, 64, 64)
    assert torch.equal(found.logits(images), tiny.logits(images))
    assert model_file.metadata(found.arch, found.classes, found.preset) == stored
