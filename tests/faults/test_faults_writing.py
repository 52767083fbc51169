"""Faults while files are written: full and broken disks, killed processes, two at a time.

After each, the old file is as it was, no temporary file stays, and one line names the path.
"""

import errno
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor

import matplotlib.figure
import pytest
import safetensors.torch
import torch
from torch import nn

from tutorial_utils import history, plots
from tutorial_utils._support import cache, files
from tutorial_utils.own_images import classifier

REASONS = {
    "ENOSPC": "the disk is full; make room, or choose a folder on another disk",
    "EDQUOT": "your quota on this disk is used up; make room, or choose a folder on another disk",
    "EACCES": "you have no permission; choose another folder, or change its permissions",
    "EPERM": "you have no permission; choose another folder, or change its permissions",
    "EROFS": "the disk is read-only; choose a folder on another disk",
    "EIO": "the disk reports an input/output error; check it, and choose another disk",
    "EFBIG": "it is too large for this disk; choose a folder on another disk",
    "ENAMETOOLONG": "its name is too long; choose a shorter one",
    "EISDIR": "it is a folder; choose another name",
    "ENOTDIR": "a part of its path is a file, not a folder; choose another folder",
    "ENOENT": "there is no such folder; make it, or choose another one",
    "ELOOP": "its path holds links that lead in a circle; choose another folder",
    "EBUSY": "Device or resource busy; choose another folder",
}
STEPS = ("write", "fsync", "replace")


no_windows = pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links of Unix")


def error_of(name):
    number = getattr(errno, name)
    return OSError(number, os.strerror(number))


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes(b"old")
    return path


def unchanged(path):
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", REASONS)
def test_the_disk_fails(name, step, old, monkeypatch):
    def fail(*_):
        raise error_of(name)

    if step != "write":
        monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(type(error_of(name))) as caught:
        files.replace_file(old, fail if step == "write" else lambda path: path.write_bytes(b"new"))
    assert str(caught.value) == f"{old} cannot be written: {REASONS[name]}"
    unchanged(old)


@no_windows
def test_a_device_that_is_full(old):
    def write(path):
        with open("/dev/full", "wb") as file:
            file.write(b"x" * 100_000)

    with pytest.raises(OSError, match="old.txt cannot be written: the disk is full"):
        files.replace_file(old, write)
    unchanged(old)


@pytest.mark.parametrize("number", [28, 30, 5])
def test_an_error_of_safetensors(number, old, monkeypatch):
    def write(path):
        path.write_bytes(b"half")
        text = f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})"
        raise safetensors.SafetensorError(text)

    reason = REASONS[errno.errorcode[number]]
    with pytest.raises(OSError, match=f"old.txt cannot be written: {reason}"):
        files.replace_file(old, write)
    unchanged(old)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), MemoryError(), ValueError()])
def test_an_interrupt(error, old):
    def write(path):
        path.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        files.replace_file(old, write)
    unchanged(old)


def test_a_source_that_cannot_be_read_is_named_itself(old, tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "missing"
    with pytest.raises(FileNotFoundError, match=f"^{source} cannot be read or written: "):
        files.replace_file(old, lambda path: path.write_bytes(source.read_bytes()))
    unchanged(old)


@no_windows
@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "link to a folder"])
def test_what_is_no_file_is_not_replaced(kind, tmp_path):
    path = tmp_path / "a"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    else:
        (tmp_path / "b").mkdir()
        path.symlink_to(tmp_path / "b")
    with pytest.raises(
        IsADirectoryError, match="a cannot be written: it is .*; choose another name"
    ):
        files.write_bytes(path, b"new")
    assert path.lstat() and not path.is_file()
    assert not list(tmp_path.glob(".a*"))


@pytest.mark.parametrize("name", ["x" * 250, "蟻" * 84, "x" * 255])
def test_a_long_name_that_is_allowed(name, tmp_path):
    files.write_bytes(tmp_path / name, b"new")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["x" * 256, "蟻" * 100])
def test_a_name_that_is_too_long(name, tmp_path):
    with pytest.raises(OSError, match="cannot be written: its name is too long; choose a shorter"):
        files.write_bytes(tmp_path / name, b"new")
    assert os.listdir(tmp_path) == []


@no_windows
def test_links_that_lead_in_a_circle(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="links that lead in a circle"):
        files.write_bytes(tmp_path / "a" / "c", b"new")


def test_a_folder_in_a_file(old):
    for write in (
        lambda path: files.write_bytes(path, b"x"),
        lambda path: files.write_json(path, {}),
    ):
        with pytest.raises(OSError, match="a part of its path is a file"):
            write(old / "new" / "a.txt")
    unchanged(old)


def stop_in_the_middle(path, started):
    def write(temporary):
        temporary.write_bytes(b"half")
        started.set()
        time.sleep(60)

    files.replace_file(path, write)


@pytest.mark.long
def test_a_process_that_is_killed(old):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=stop_in_the_middle, args=(old, started))
    process.start()
    assert started.wait(60)
    process.kill()
    process.join()
    assert old.read_bytes() == b"old"
    (left,) = old.parent.glob(".old.txt.*.tmp")
    files.write_bytes(old, b"old")
    assert left.exists(), "it may have a writer"
    aged(left)
    files.write_bytes(old.with_name("other.txt"), b"x")
    assert sorted(os.listdir(old.parent)) == ["old.txt", "other.txt"]


def aged(path):
    os.utime(path, (time.time() - 2 * files.LEFT_OVER_S,) * 2)


@pytest.mark.parametrize(
    "name", [".a.tmp", "a.0123456789ab.tmp", ".a.0123456789aX.tmp", "notes.tmp"]
)
def test_a_users_old_file_stays(name, tmp_path):
    (tmp_path / name).write_bytes(b"mine")
    aged(tmp_path / name)
    files.write_bytes(tmp_path / "new", b"x")
    assert (tmp_path / name).read_bytes() == b"mine"


def test_many_at_a_time(tmp_path):
    contents = [bytes([number]) * 100_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: files.write_bytes(tmp_path / "a", content), contents))
    assert (tmp_path / "a").read_bytes() in contents
    assert os.listdir(tmp_path) == ["a"]


# All that write


def figure():
    shape = matplotlib.figure.Figure()
    shape.subplots().plot([0, 1])
    return shape


def tiny_classifier():
    network = nn.Sequential()
    network.backbone, network.head = nn.Linear(1, 1), nn.Linear(1, 2)
    from tutorial_utils._support.presets import preset

    own = preset(64, 64, mean=(0.5,) * 3, std=(0.5,) * 3)
    return classifier.Classifier("alexnet", ("a", "b"), own, network)


WRITERS = {
    "figure": lambda path: plots.save(figure(), path),
    "history": lambda path: history.History().save(path),
    "JSON": lambda path: files.write_json(path, {"a": 1}),
    "classifier": lambda path: classifier.save(tiny_classifier(), path),
    "tensors": lambda path: files.replace_file(
        path, lambda temporary: safetensors.torch.save_file({"a": torch.ones(9)}, temporary)
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_keeps_the_old_file_when_the_disk_is_full(writer, old, monkeypatch):
    def full(*_):
        raise error_of("ENOSPC")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match=f"{old} cannot be written: the disk is full; make room"):
        WRITERS[writer](old)
    unchanged(old)


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_names_a_path_that_cannot_be(writer, old):
    with pytest.raises(OSError, match=f"{old}/a.png cannot be written: "):
        WRITERS[writer](old / "a.png")
    unchanged(old)


def test_a_lock_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(OSError, match="a.lock cannot be written: a part of its path is a file"),
        files.locked(tmp_path / "file" / "a.lock", what="it"),
    ):
        pass
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(PermissionError, match="set ANTS_BEES_CACHE"), cache.locked("a"):
        pass
