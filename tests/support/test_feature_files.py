"""Tests of `tutorial_utils._support.feature_files`: checked, and made again when damaged."""

import contextlib
import shutil
from types import SimpleNamespace

import filelock
import numpy as np
import pytest

from tutorial_utils._support import cache, feature_files

NOTE = {"weights": "abc", "views": 2}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def rows():
    yield np.arange(6, dtype=np.float32).reshape(2, 3)
    yield np.full((1, 3), 7, dtype=np.float32)


def never():
    raise AssertionError("made again")
    yield


def test_written_and_read_back():
    assert feature_files.read(NOTE) is None
    made = feature_files.write(NOTE, (3, 3), rows())
    expected = [[0, 1, 2], [3, 4, 5], [7, 7, 7]]
    assert made.tolist() == feature_files.read(NOTE).tolist() == expected
    assert isinstance(feature_files.read(NOTE), np.memmap)
    assert feature_files.read(NOTE).dtype == np.float32
    assert feature_files.write(NOTE, (3, 3), never())[2].tolist() == [7, 7, 7]
    assert feature_files.read(NOTE | {"weights": "abd"}) is None
    assert feature_files.read(NOTE | {"views": 3}) is None


def damage(name, change):
    """Write an entry and change the bytes of one of its files; None deletes the file."""
    feature_files.write(NOTE, (3, 3), rows())
    path = cache.cache_dir() / feature_files.key_of(NOTE) / name
    content = change(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)


def flip(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (feature_files.VALUES, lambda content: content[:-4], "is truncated or altered"),
        (feature_files.VALUES, flip, "is truncated or altered"),
        (feature_files.VALUES, lambda content: None, "cannot be read"),
        (feature_files.NOTE, lambda content: b"{", "cannot be read"),
        (feature_files.NOTE, lambda note: note.replace(b"abc", b"x"), "was made from something"),
    ],
)
def test_a_damaged_entry_is_never_trusted(name, change, reason, capsys):
    damage(name, change)
    assert feature_files.read(NOTE) is None
    line = capsys.readouterr().out
    assert reason in line
    assert line.count("\n") == 1
    assert feature_files.write(NOTE, (3, 3), rows()).tolist() == feature_files.read(NOTE).tolist()


def test_nothing_is_left_of_a_write_that_fails(own_cache):
    def broken():
        with pytest.raises(filelock.Timeout):  # two processes make it once
            filelock.FileLock(own_cache / f"{feature_files.key_of(NOTE)}.lock").acquire(timeout=0)
        yield np.zeros((1, 3), dtype=np.float32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feature_files.write(NOTE, (3, 3), broken())
    assert feature_files.read(NOTE) is None
    assert [p for p in own_cache.iterdir() if p.is_dir()] == []


def test_a_full_disk_says_what_is_needed(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000))
    with pytest.raises(OSError, match=r"5 MB free and 67 MB are needed\. .*cache --clear"):
        feature_files.write(NOTE, (3, 3), never())


def test_a_damaged_entry_is_deleted_under_the_lock(own_cache, monkeypatch):
    damage(feature_files.VALUES, flip)
    locks, rmtree = [], shutil.rmtree

    def watched(folder):
        with pytest.raises(filelock.Timeout):
            filelock.FileLock(f"{folder}.lock").acquire(timeout=0)
        locks.append(folder)
        rmtree(folder)

    monkeypatch.setattr(shutil, "rmtree", watched)
    assert feature_files.read(NOTE) is None
    assert locks == [own_cache / feature_files.key_of(NOTE)]


def test_an_entry_that_was_replaced_meanwhile_is_not_deleted(monkeypatch, capsys):
    damage(feature_files.VALUES, flip)
    locked = cache.locked

    @contextlib.contextmanager
    def late(name, **settings):
        monkeypatch.setattr(cache, "locked", locked)
        cache.discard(name)
        feature_files.write(NOTE, (3, 3), rows())  # as another process would
        with locked(name, **settings):
            yield

    monkeypatch.setattr(cache, "locked", late)
    assert feature_files.read(NOTE)[2].tolist() == [7, 7, 7]
    assert capsys.readouterr().out == ""
