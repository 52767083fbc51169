"""Faults in files of weights: truncated, altered, of other kinds. None is called imagenet.

A file in torch hub's folder is either what its name says, or one line names it.
"""

import json
import os
import shutil
import time
import types

import pytest
import torch
from serving import sha256
from torch import nn

from tutorial_utils import models
from tutorial_utils._support import cache, connection, downloads, files, weight_files
from tutorial_utils.cli.main import main

CONTENT = bytes(range(250)) * 40
NAME = f"alexnet-{sha256(CONTENT)[:8]}.pth"
DELETE = "delete it, so that it is downloaded again, or use weights='demo'"


no_windows = pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links of Unix")


@pytest.fixture
def file(monkeypatch, tmp_path):
    """Return the path of AlexNet's file in torch hub's folder; the file is what its name says."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))
    known = types.SimpleNamespace(url=f"https://download.pytorch.org/models/{NAME}")
    monkeypatch.setitem(models.IMAGENET, "alexnet", known)
    path = tmp_path / "torch" / "hub" / "checkpoints" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


def changed(at):
    content = bytearray(CONTENT)
    content[at] ^= 1
    return bytes(content)


DAMAGE = {
    "empty": b"",
    "one byte": CONTENT[:1],
    "truncated": CONTENT[:5000],
    "a byte missing": CONTENT[:-1],
    "a byte more": CONTENT + b"x",
    "first byte flipped": changed(0),
    "a byte flipped": changed(5000),
    "last byte flipped": changed(-1),
    "zeroed": bytes(len(CONTENT)),
    "a login page": b"<html>log in</html>",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_not_called_imagenet(damage, file):
    file.write_bytes(DAMAGE[damage])
    found = models.find_weights("alexnet", quiet=True)
    assert found.kind == "demo"
    reason = f"{file} is truncated or altered \\({len(DAMAGE[damage])} bytes, SHA-256 .*: {DELETE}"
    assert_matches(found.summary, reason)
    with pytest.raises(FileNotFoundError, match=reason):
        models.find_weights("alexnet", "imagenet")


def assert_matches(text, pattern):
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(text)


@pytest.mark.parametrize("command", ["doctor", "fetch"])
@pytest.mark.parametrize("damage", ["truncated", "a byte flipped"])
def test_commands_check_what_they_print(command, damage, file, capsys, monkeypatch):
    monkeypatch.setattr("tutorial_utils.data.load", lambda _: types.SimpleNamespace(origin="cache"))
    assert main([command]) == 0
    assert f"weights: imagenet (AlexNet, {NAME} from torch hub's cache)" in capsys.readouterr().out
    file.write_bytes(DAMAGE[damage])
    assert main([command]) == 0
    out = capsys.readouterr().out
    assert f"{file} is truncated or altered" in out
    assert "imagenet" not in out


def test_the_checksum_is_compared_once(file, monkeypatch):
    asked = []
    monkeypatch.setattr(files, "sha256", lambda path: asked.append(path) or sha256(CONTENT))
    for _ in range(3):
        assert models.find_weights("alexnet", quiet=True).kind == "imagenet"
    assert asked == [file]
    os.utime(file, (1, 1))  # another time
    models.find_weights("alexnet", quiet=True)
    file.write_bytes(CONTENT + b"x")  # another size
    models.find_weights("alexnet", quiet=True)
    shutil.move(file, file.with_name("away"))
    shutil.copy(file.with_name("away"), file)
    models.find_weights("alexnet", quiet=True)
    assert len(asked) == 4


@pytest.mark.parametrize("record", [b"", b"[]", b"{", b'{"a": 1}', b"\xff", None, "old", "folder"])
def test_a_damaged_record_is_made_again(record, file):
    path = cache.cache_path() / weight_files.CHECKED
    path.parent.mkdir()
    if record == "folder":
        path.mkdir()
    else:
        old = json.dumps({str(file): [len(CONTENT), "x", 5]}).encode()
        path.write_bytes(old if record == "old" else record or b"null")
    assert models.find_weights("alexnet", quiet=True).kind == "imagenet"
    assert record == "folder" or str(file) in json.loads(path.read_text())


def test_a_cache_that_cannot_be_written(file, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "file" / "cache"))
    assert models.find_weights("alexnet", quiet=True).kind == "imagenet"
    file.write_bytes(DAMAGE["truncated"])
    assert models.find_weights("alexnet", quiet=True).kind == "demo"


@pytest.mark.parametrize("value", ["1", "0", ""])
def test_unverified_weights_are_said_to_be(value, file, monkeypatch):
    file.write_bytes(DAMAGE["a byte flipped"])
    monkeypatch.setenv(weight_files.UNVERIFIED, value)
    summary = models.find_weights("alexnet", quiet=True).summary
    assert ("checksum not compared: ANTS_BEES_UNVERIFIED_WEIGHTS=1)" in summary) == (value == "1")
    assert summary.startswith("weights: imagenet" if value == "1" else "weights: demo")


@no_windows
@pytest.mark.parametrize("kind", ["folder", "fifo", "dangling link", "unreadable"])
def test_what_is_no_file_is_not_called_imagenet(kind, file, monkeypatch):
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "dangling link":
        file.symlink_to(file.with_name("missing"))
    else:
        file.write_bytes(CONTENT)

        def denied(path):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(files, "sha256", denied)
    found = models.find_weights("alexnet", quiet=True)
    assert found.kind == "demo"
    assert_matches(
        found.summary, "no network" if kind != "unreadable" else f"{NAME} cannot be read: "
    )


@pytest.mark.parametrize("name", [f"{NAME}.{'0f' * 16}.partial", f".{NAME}.part"])
def test_old_parts_are_deleted(name, file):
    left = file.with_name(name)
    left.write_bytes(b"x")
    models.find_weights("alexnet", quiet=True)
    assert left.exists(), "it may have a writer"
    os.utime(left, (time.time() - 2 * files.LEFT_OVER_S,) * 2)
    models.find_weights("alexnet", quiet=True)
    assert os.listdir(file.parent) == [NAME]


def test_torch_hubs_own_download_is_not_used(file, monkeypatch):
    """Weights take the way of all downloads."""
    file.unlink()
    monkeypatch.setattr(connection, "online", lambda: True)
    asked = []

    def download(url, folder, **settings):
        asked.append((url, settings["sha256"]))
        raise ConnectionError("no")

    monkeypatch.setattr(downloads, "download", download)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)
    assert "the download failed: no" in models.find_weights("alexnet", quiet=True).summary
    assert asked == [(models.IMAGENET["alexnet"].url, sha256(CONTENT)[:8])]


# What a file holds


def tiny():
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    network.classifier = nn.Linear(4, 5)
    return network


BIAS = "classifier.bias"


def replaced(**change):
    return lambda state: state | {BIAS: change["value"]}


def without(state):
    return {name: tensor for name, tensor in state.items() if name != BIAS}


def set_to(value):
    tensor = torch.zeros(5)
    tensor[3] = value
    return replaced(value=tensor)


NOT_FINITE = "holds values that are not finite numbers"
STATES = {
    "NaN": (set_to(float("nan")), NOT_FINITE),
    "inf": (set_to(float("inf")), NOT_FINITE),
    "-inf": (set_to(-float("inf")), NOT_FINITE),
    **{
        str(dtype): (replaced(value=torch.zeros(5, dtype=dtype)), f"must be float32, not {name}")
        for name in ("int8", "int64", "bool", "float16", "bfloat16", "float64", "complex64")
        for dtype in [getattr(torch, name)]
    },
    "sparse": (replaced(value=torch.zeros(5).to_sparse()), "must be dense and hold values"),
    "meta": (replaced(value=torch.zeros(5, device="meta")), "must be dense and hold values"),
    "another shape": (replaced(value=torch.zeros(6)), r"must have the shape \(5,\), not \(6,\)"),
    "a scalar": (replaced(value=torch.tensor(0.0)), r"must have the shape \(5,\), not \(\)"),
    "no tensor": (replaced(value="text"), r"must have the shape \(5,\), not \(\)"),
    "None": (replaced(value=None), r"must have the shape \(5,\), not \(\)"),
    "a key missing": (without, "does not hold this network's layers"),
    "a key more": (lambda state: state | {"more": torch.ones(1)}, "does not hold this network's"),
    "nested": (lambda state: {"state_dict": state}, "does not hold this network's layers"),
    "no keys": (lambda state: {}, "does not hold this network's layers"),
    "a list": (lambda state: list(state.values()), "does not hold this network's layers"),
    "a tensor": (lambda state: torch.ones(3), "does not hold this network's layers"),
    "an object": (lambda state: pytest.raises, "cannot be read as weights"),
}


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize("kind", STATES)
def test_a_file_that_holds_something_else_is_named(kind, tmp_path):
    change, reason = STATES[kind]
    network, path = tiny(), tmp_path / "tiny.pth"
    torch.save(change(network.state_dict()), path)
    with pytest.raises(ValueError, match=f"tiny.pth:? .*{reason}.*: {DELETE}"):
        weight_files.read_imagenet(path, network)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_named(share, zipped, tmp_path):
    network, path = tiny(), tmp_path / "tiny.pth"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=f"tiny.pth cannot be read as weights .*: {DELETE}"):
        weight_files.read_imagenet(path, network)


def test_values_are_looked_at_where_they_are_used(tmp_path):
    network, path = tiny(), tmp_path / "tiny.pth"
    torch.save(set_to(float("nan"))(network.state_dict()), path)
    assert len(weight_files.read_imagenet(path, network, part="features.")) == 2


# Demo weights


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing", "empty"])
@pytest.mark.parametrize("call", [models.find_weights, models.build])
def test_damaged_demo_weights_are_named_before_they_are_used(call, damage, tmp_path, monkeypatch):
    path = tmp_path / "alexnet.safetensors"
    content = bytearray((weight_files.ASSETS / path.name).read_bytes())
    content[3_000_000] ^= 1
    kinds = {"altered": content, "truncated": content[:1000], "empty": b""}
    if damage in kinds:
        path.write_bytes(kinds[damage])
    monkeypatch.setattr(weight_files, "ASSETS", tmp_path)
    with pytest.raises(
        (ValueError, FileNotFoundError), match=f"the demo weights {path} are .*: restore"
    ):
        call("alexnet", weights="demo")
