"""Tests of `tutorial_utils._support.files`: whole or not at all, and errors that name the file."""

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from tutorial_utils._support import files


def test_a_path_from_a_user(monkeypatch, home):
    monkeypatch.chdir(home)
    for path in ("~/a", Path("~/a"), "a"):
        assert files.as_path(path) == home / "a"
    assert files.as_path("~nobody-of-this-name/a") == home / "~nobody-of-this-name" / "a"


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary):
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        temporary.chmod(0o600)  # as safetensors does
        assert path.read_text() == "old"

    files.replace_file(path, write)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_keeps_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(temporary):
        temporary.write_text("ne")
        raise error

    with pytest.raises(type(error)):
        files.replace_file(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda *a: steps.append("fsync") or fsync(*a))
    monkeypatch.setattr(files.os, "replace", lambda *a: steps.append("replace") or replace(*a))
    files.write_bytes(tmp_path / "a.bin", b"x")
    assert steps == ["fsync", "replace", "fsync"]  # the last one is the folder's


def test_json_is_written_and_read_back(tmp_path):
    path = tmp_path / "new" / "a.json"
    files.write_json(path, {"lr": 0.1, "name": "é"})
    assert files.read_json(path, "history") == {"lr": 0.1, "name": "é"}
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", r"it is not JSON \("), (json.dumps([1]), "it holds a JSON list"), (b"\xff", "not JSON")],
)
def test_json_that_cannot_be_read(tmp_path, content, reason):
    path = tmp_path / "a.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"a.json is no history: .*{reason}"):
        files.read_json(path, "history")
    with pytest.raises(FileNotFoundError, match="there is no history at .*b.json"):
        files.read_json(tmp_path / "b.json", "history")


def test_space_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    files.check_space(tmp_path, 10**9 - files.MARGIN_BYTES)
    message = f"^before: the disk of {tmp_path} has 1000 MB free and 1067 MB are needed after$"
    with pytest.raises(OSError, match=message):
        files.check_space(tmp_path, 10**9, before="before: ", after=" after")
