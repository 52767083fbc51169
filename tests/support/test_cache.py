"""Tests of `tutorial_utils._support.cache`: entries whole or not at all, locked while made."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pooch
import pytest

import tutorial_utils
from tutorial_utils._support import cache

REPO = Path(tutorial_utils.__file__).parents[1]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """Each test has a cache of its own."""
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))


# The cache folder


def test_cache_is_the_folder_named(tmp_path):
    assert cache.cache_path() == tmp_path / "cache"
    assert not cache.cache_path().exists()
    assert cache.cache_dir() == tmp_path / "cache"
    assert list(cache.cache_dir().iterdir()) == []


@pytest.mark.parametrize("given", ["", "  ", None])
def test_cache_is_the_systems_own_when_none_is_named(monkeypatch, given):
    if given is None:
        monkeypatch.delenv("ANTS_BEES_CACHE")
    else:
        monkeypatch.setenv("ANTS_BEES_CACHE", given)
    assert cache.cache_path() == pooch.os_cache("ants-and-bees")


def test_cache_may_begin_at_home(monkeypatch, home):
    monkeypatch.setenv("ANTS_BEES_CACHE", "~/mine")
    assert cache.cache_dir() == home / "mine"


def test_cache_below_a_file_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(PermissionError, match="file/cache cannot be written .*ANTS_BEES_CACHE"):
        cache.cache_dir()


def test_cache_that_is_read_only_cannot_be_written(monkeypatch):
    cache.get_or_create("things", fill)

    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(cache.tempfile, "TemporaryFile", refuse)
    with pytest.raises(PermissionError, match="Read-only file system.*set ANTS_BEES_CACHE"):
        cache.cache_dir()
    assert cache.get_or_create("things", None) == cache.cache_path() / "things"
    freed_bytes, left = cache.clear()
    assert freed_bytes == 0
    assert "Read-only file system" in left["things"]
    assert cache.find("things")


# Entries


def fill(work):
    (work / "set" / "train").mkdir(parents=True)
    (work / "set" / "train" / "one.txt").write_text("one")
    (work / "set" / "two.txt").write_text("two")
    return work / "set"


def test_an_entry_is_made_once_and_found_again():
    assert cache.find("things") is None
    folder = cache.get_or_create("things", fill)
    assert folder == cache.cache_path() / "things" == cache.find("things")
    assert (folder / "train" / "one.txt").read_text() == "one"
    assert cache.get_or_create("things", None) == folder  # nothing is made a second time
    assert not list(cache.cache_path().glob("*.part-*"))


def test_finding_an_entry_imports_no_torch():
    cache.get_or_create("things", fill)
    code = """
import sys
from tutorial_utils._support import cache
assert cache.find("things") and "torch" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=300)


@pytest.mark.parametrize("name", ["two.txt", cache.MANIFEST])
@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_what_is_no_longer_whole_is_made_again(name, content):
    folder = cache.get_or_create("things", fill)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    assert cache.find("things") is None
    assert cache.get_or_create("things", fill) == folder
    assert (folder / "two.txt").read_text() == "two"


def test_an_error_leaves_nothing_new():
    def fail(work):
        fill(work)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        cache.get_or_create("things", fail)
    assert cache.find("things") is None
    assert {path.name for path in cache.cache_path().iterdir()} <= {"things.lock"}
    folder = cache.get_or_create("things", fill)
    (folder / "two.txt").unlink()
    with pytest.raises(RuntimeError, match="half way"):
        cache.get_or_create("things", fail)
    assert (folder / "train" / "one.txt").exists(), "a failed repair lost what was left"


def test_an_entry_is_renamed_in_one_step_when_complete(monkeypatch):
    moved = []

    def replace(source, target):
        assert {path.name for path in source.iterdir()} == {cache.MANIFEST, "train", "two.txt"}
        assert not target.exists()
        moved.append((source.parent.parent, target))

    monkeypatch.setattr(cache.os, "replace", replace)
    cache.get_or_create("things", fill)
    assert moved == [(cache.cache_path(), cache.cache_path() / "things")]
    assert cache.find("things") is None  # nothing else put it there


KEEP = """
import sys, time
from pathlib import Path
from tutorial_utils._support import cache

def make(work):
    with open(sys.argv[1], "a") as log:
        log.write("made\\n")
    (work / "set").mkdir()
    for number in range(10):
        (work / "set" / f"{number}.txt").write_text("x" * 1000)
        time.sleep(float(sys.argv[2]))
    return work / "set"

print("ready", flush=True)
folder = cache.get_or_create("things", make, what="the things", quiet="quiet" in sys.argv)
print(len(list(folder.glob("*.txt"))))
"""


def process(log, pause_s, *words):
    command = [sys.executable, "-c", KEEP, str(log), str(pause_s), *words]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_processes_that_start_together_all_get_the_whole(tmp_path):
    running = [process(tmp_path / "log", 0.15, *words) for words in ([], [], ["quiet"])]
    printed = [one.communicate(timeout=60)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0, 0]
    assert all(text.endswith("10\n") for text in printed)
    assert (tmp_path / "log").read_text() == "made\n"
    waited = "another process is preparing the things: waiting for it\n"
    assert any(waited in text for text in printed[:2])  # at least one of them had to wait
    assert waited not in printed[2]


def running(tmp_path):
    """Start a process that is making an entry, and wait until it has written a file."""
    started = process(tmp_path / "log", 5)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cache/things.part-*/set/*.txt")):
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.05)
    return started


def kill(process):
    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate(timeout=60)


def test_a_process_that_is_killed_leaves_nothing_that_looks_complete(tmp_path):
    kill(running(tmp_path))
    assert cache.find("things") is None
    assert list(tmp_path.glob("cache/things.part-*"))
    assert (cache.get_or_create("things", fill) / "two.txt").exists()
    assert not list(tmp_path.glob("cache/things.part-*"))


# Deleting entries


def test_discard_deletes_under_the_lock(monkeypatch):
    folder = cache.get_or_create("things", fill)
    rmtree = cache.shutil.rmtree

    def watched(path):
        with pytest.raises(filelock.Timeout):
            cache._lock("things").acquire(timeout=0)
        rmtree(path)

    monkeypatch.setattr(cache.shutil, "rmtree", watched)
    cache.discard("things")
    assert not folder.exists()
    cache.discard("things")  # nothing is left to delete


def test_entries_and_clear(tmp_path):
    assert cache.entries() == []
    assert cache.clear() == (0, {})
    cache.get_or_create("things", fill)
    (tmp_path / "cache" / "other").mkdir()
    (tmp_path / "cache" / "other" / "a.jpg").write_bytes(bytes(10))
    lock = tmp_path / "cache" / "things.lock"
    kept = lock.exists()  # newer versions of filelock delete it
    sizes = dict(cache.entries())
    assert sizes["other"] == 10
    assert cache.clear("thi") == (sizes["things"], {})
    assert list(dict(cache.entries())) == ["other"]
    assert cache.clear() == (10, {})
    assert cache.entries() == []
    assert lock.exists() == kept  # a process may be waiting for it


def test_clear_leaves_what_another_process_is_making(tmp_path):
    cache.get_or_create("other", fill)
    busy = running(tmp_path)
    try:
        freed_bytes, left = cache.clear()
        part, *_ = tmp_path.glob("cache/things.part-*")
        assert left == {part.name: "another process is using it"}
        assert list(part.glob("set/*.txt"))
        assert freed_bytes > 0 and cache.find("other") is None
    finally:
        kill(busy)
    assert cache.clear()[1] == {}
    assert cache.entries() == []


def test_clear_counts_only_what_it_deleted(monkeypatch):
    cache.get_or_create("things", fill)

    def stuck(path):
        (path / "two.txt").unlink()
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.shutil, "rmtree", stuck)
    assert cache.clear() == (3, {"things": "it cannot be deleted, Permission denied"})
