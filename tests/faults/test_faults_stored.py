"""Faults of stored files: model files and cached features that are damaged, cleared or of old."""

import functools
import json
import os
import shutil
import struct

import numpy as np
import pooch
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.transforms import v2

from tutorial_utils import data, features, models
from tutorial_utils._support import cache, checksums, feature_files
from tutorial_utils.own_images import classifier, model_file

# Model files


def build():
    """Return a classifier for small images, with random values."""
    none = models.find_weights("alexnet", "none", quiet=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = classifier.build(none, ["ants", "bees"])
    return classifier.Classifier("alexnet", made.classes, models.preset(64, 64), made.network)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a saved model, and its content."""
    path = classifier.save(build(), tmp_path_factory.mktemp("saved") / "m.safetensors")
    return path, path.read_bytes()


def header_of(content):
    return content[8 : 8 + struct.unpack("<Q", content[:8])[0]]


def flipped(content, index, bit=0):
    return content[:index] + bytes([content[index] ^ (1 << bit)]) + content[index + 1 :]


def load_damaged(content, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        classifier.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "save it again" in message or "again" in message
    return message


@pytest.mark.parametrize(
    ("wanted", "offset"),
    [
        (b'\\"ants', 3),  # a class name
        (b'"bees', 1),
        (b"[0.485", 4),  # the mean
        (b"0.229", 3),
        (b'\\"crop\\": 64', 11),  # 64 pixels become 65
        (b'"arch":"', 3),
        (b'"alexnet', 3),
        (b'"sha256', 3),  # the checksum's name
        (b'"sha256":"', 15),
        (b"__metadata__", 4),
        (b"head.1.bias", 5),
        (b'"dtype":"F32', 10),
        (b"data_offsets", 2),
        (b'"shape":[', 10),
    ],
)
def test_a_flipped_bit_in_the_header_is_noticed(wanted, offset, saved, tmp_path):
    header = header_of(saved[1])
    wanted = wanted if wanted in header else wanted.replace(b'\\"', b'"').strip(b'"[')
    assert wanted in header, header
    index = 8 + header.index(wanted) + min(offset, len(wanted) - 1)
    load_damaged(flipped(saved[1], index), tmp_path)


@pytest.mark.parametrize("percent", [1, 20, 40, 60, 80, 99, 100])
@pytest.mark.parametrize("bit", [0, 6])
def test_a_flipped_bit_in_the_weights_is_noticed(percent, bit, saved, tmp_path):
    content = saved[1]
    start = 8 + len(header_of(content))
    index = start + (len(content) - start - 1) * percent // 100
    message = load_damaged(flipped(content, index, bit), tmp_path)
    assert "is damaged: what it holds is not what was written (its SHA-256 differs)" in message


def test_values_of_two_models_do_not_make_one(saved, tmp_path):
    path = tmp_path / "m.safetensors"
    stored = load_file(saved[0])
    stored["head.1.bias"] = stored["head.1.bias"].flip(0)
    texts = json.loads(header_of(saved[1]))["__metadata__"]
    save_file(stored, path, metadata=texts)
    with pytest.raises(ValueError, match="is damaged"):
        classifier.load(path)


def test_a_model_of_an_earlier_version_loads_with_one_line(saved, tmp_path, capsys):
    made, path = build(), tmp_path / "old.safetensors"
    texts = model_file.metadata(made.arch, made.classes, made.preset)
    assert set(texts) == set(model_file.KEYS)
    save_file(load_file(saved[0]), path, metadata=texts)
    found = classifier.load(path)
    images = torch.ones(1, 3, 64, 64)
    assert torch.equal(found.logits(images), made.logits(images))
    line = f"{path} is of an earlier version: it has no checksum to check"
    assert capsys.readouterr() == ("", line + "\n"), "predict prints its table on stdout"


def test_a_whole_model_loads_without_a_line(saved, capsys):
    classifier.load(saved[0])
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"m.safetensors is a pipe, not a file"):
        classifier.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("code", [28, 122, 30, 5])  # full, quota, read-only, broken
def test_a_model_that_cannot_be_written_leaves_the_one_before(code, saved, tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    path.write_bytes(saved[1])

    def refuse(source, target):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=f"{path} cannot be written: "):
        classifier.save(build(), path)
    assert [other.name for other in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == saved[1]


@pytest.mark.parametrize("change", ["name", "dtype", "shape", "value", "text"])
def test_the_checksum_depends_on(change):
    tensors, texts = {"a": torch.zeros(2, 3), "b": torch.ones(4)}, {"classes": "ants"}
    before = checksums.tensor_digest(tensors, texts)
    assert before == checksums.tensor_digest(dict(reversed(tensors.items())), dict(texts))
    if change == "name":
        tensors["c"] = tensors.pop("b")
    elif change == "text":
        texts["classes"] = "bees"
    else:
        changed = {"dtype": torch.zeros(2, 3, dtype=torch.int32), "shape": torch.zeros(3, 2)}
        tensors["a"] = changed.get(change, torch.tensor([[0, 0, 0], [0, 0, 1e-45]]))
    assert checksums.tensor_digest(tensors, texts) != before


# Cached features


@pytest.fixture
def images(tmp_path):
    """Return a data set of six plain images."""
    from PIL import Image

    for label in ("ants", "bees"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(3):
            path = tmp_path / "images" / label / f"{number}.png"
            Image.new("RGB", (4, 4), (80 * number, 7, len(label))).save(path)
    tensor = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
    return data.ImageFolder(tmp_path / "images", tensor)


@pytest.fixture
def extract(images):
    """Return a function that extracts the features of the images."""
    backbone = nn.Sequential(nn.Flatten()).requires_grad_(False)
    return functools.partial(features.extract, backbone, images)


@pytest.fixture
def expected(extract):
    """Return the features, which are in the cache now."""
    return extract(quiet=True).values


def entry():
    (found,) = cache.cache_path().glob("features-*[!k]")
    return found


def damage(name, change):
    path = entry() / name
    content = change(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)


DAMAGES = {
    "missing": lambda content: None,
    "empty": lambda content: b"",
    "short": lambda content: content[:-1],
    "long": lambda content: content + b"\0",
    "zeroed": lambda content: bytes(len(content)),
    "first bit": lambda content: flipped(content, 0),
    "half way": lambda content: flipped(content, len(content) // 2),
    "shape": lambda content: flipped(content, 60),
    "last bit": lambda content: flipped(content, len(content) - 1, 7),
}


@pytest.mark.parametrize("name", [feature_files.VALUES, feature_files.NOTE])
@pytest.mark.parametrize("change", DAMAGES)
def test_damaged_features_are_computed_again(name, change, extract, expected, capsys):
    damage(name, DAMAGES[change])
    found = extract()
    assert torch.equal(found.values, expected) and not found.from_cache
    said, summary = capsys.readouterr().out.splitlines()
    assert said.startswith(f"features: the cached file {entry().name} ")
    assert said.endswith("; it is made again")
    assert summary.endswith("stored in the cache")
    assert extract(quiet=True).from_cache


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_a_pipe_in_place_of_the_values_is_not_waited_for(extract, expected, capsys):
    damage(feature_files.VALUES, lambda content: None)
    os.mkfifo(entry() / feature_files.VALUES)
    assert torch.equal(extract().values, expected)
    assert "cannot be read; it is made again" in capsys.readouterr().out


def clear_after(monkeypatch, module, name, times=1):
    """Clear the cache after each of the first calls of a function."""
    whole, left = getattr(module, name), [times]

    def watched(*args, **kwargs):
        result = whole(*args, **kwargs)
        if left[0]:
            left[0] -= 1
            for path in cache.cache_path().glob("features-*"):
                if path.is_dir():
                    shutil.rmtree(path)
        return result

    monkeypatch.setattr(module, name, watched)


@pytest.mark.parametrize(
    ("module", "name"),
    [(json, "loads"), (feature_files, "key_of"), (feature_files.hashlib, "file_digest")],
)
def test_a_clear_while_features_are_read_is_survived(
    module, name, extract, expected, monkeypatch, capsys
):
    clear_after(monkeypatch, module, name)
    assert torch.equal(extract().values, expected)
    assert "Traceback" not in capsys.readouterr().err


def test_a_clear_just_after_features_were_written_is_survived(extract, monkeypatch, capsys):
    clear_after(monkeypatch, cache, "get_or_create")
    found = extract()
    assert len(found.values) == 6
    lines = capsys.readouterr().out.splitlines()
    assert "in memory only; the file features-" in lines[0]
    assert len(lines) == 2 and "stored in the cache" not in lines[1]


def full(*args, **kwargs):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("where", ["posix_fallocate", "replace", "space", "cache"])
def test_what_is_in_memory_only_is_not_said_to_be_stored(
    where, extract, monkeypatch, capsys, tmp_path
):
    if where == "cache":
        monkeypatch.setenv("ANTS_BEES_CACHE", "/proc/none")
    elif where == "space":
        free = shutil._ntuple_diskusage(10**9, 10**9 - 1, 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    else:
        monkeypatch.setattr(os, where, full)
    found = extract()
    monkeypatch.undo()
    assert len(found.values) == 6 and not isinstance(found.values, np.memmap)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("features: in memory only; ") and len(lines) == 2
    assert "stored" not in lines[1] and "from the cache" not in lines[1]


def test_a_user_without_a_home_folder_gets_features_in_memory(extract, monkeypatch, capsys):
    def fail(name):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ANTS_BEES_CACHE")
    monkeypatch.setattr(pooch, "os_cache", fail)
    assert len(extract().values) == 6
    assert "in memory only; this user has no home folder" in capsys.readouterr().out
