"""The cache is whole or not at all, downloads are checked, no network is found out quickly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pooch
import pytest
import requests
from serving import serving, sha256, zipped

import tutorial_utils
from tutorial_utils._support import cache, connection, downloads

REPO = Path(tutorial_utils.__file__).parents[1]


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Each test has a cache of its own, remembers nothing, and tries a download once."""
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("TUTORIAL_OFFLINE", raising=False)
    monkeypatch.setattr(connection, "_failures", [])
    monkeypatch.setattr(downloads, "RETRIES", 0)


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


def test_cache_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("ANTS_BEES_CACHE", "~/mine")
    assert cache.cache_dir() == tmp_path / "mine"


def test_cache_below_a_file_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(PermissionError, match="file/cache cannot be written .*ANTS_BEES_CACHE"):
        cache.cache_dir()


def test_cache_that_is_read_only_cannot_be_written(monkeypatch):
    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(cache.tempfile, "TemporaryFile", refuse)
    with pytest.raises(PermissionError, match="Read-only file system.*set ANTS_BEES_CACHE"):
        cache.cache_dir()


# What is kept


def fill(work):
    (work / "set" / "train").mkdir(parents=True)
    (work / "set" / "train" / "one.txt").write_text("one")
    (work / "set" / "two.txt").write_text("two")
    return work / "set"


def test_kept_once_and_found_again():
    assert cache.find("things") is None
    folder = cache.get_or_create("things", fill)
    assert folder == cache.cache_path() / "things" == cache.find("things")
    assert (folder / "train" / "one.txt").read_text() == "one"
    assert cache.get_or_create("things", None) == folder  # nothing is made a second time
    assert not list(cache.cache_path().glob("*.part-*"))


def test_kept_where_the_cache_can_only_be_read(monkeypatch):
    folder = cache.get_or_create("things", fill)
    monkeypatch.setattr(cache, "cache_dir", lambda: pytest.fail("asked to write"))
    assert cache.get_or_create("things", fill) == folder


@pytest.mark.parametrize("damage", ["missing", "shorter", "no manifest", "bad manifest", "list"])
def test_what_is_no_longer_whole_is_made_again(damage):
    folder = cache.get_or_create("things", fill)
    if damage == "missing":
        (folder / "two.txt").unlink()
    elif damage == "shorter":
        (folder / "two.txt").write_text("")
    elif damage == "no manifest":
        (folder / cache.MANIFEST).unlink()
    else:
        (folder / cache.MANIFEST).write_text("{" if damage == "bad manifest" else "[]")
    assert cache.find("things") is None
    assert cache.get_or_create("things", fill) == folder
    assert (folder / "two.txt").read_text() == "two"


def test_an_error_leaves_nothing():
    def fail(work):
        fill(work)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        cache.get_or_create("things", fail)
    assert cache.find("things") is None
    assert {path.name for path in cache.cache_path().iterdir()} <= {"things.lock"}
    assert cache.get_or_create("things", fill)


def test_moved_into_place_in_one_step_when_complete(monkeypatch):
    moved = []

    def replace(source, target):
        assert sorted(path.name for path in source.iterdir()) == [
            cache.MANIFEST,
            "train",
            "two.txt",
        ]
        assert not target.exists()
        moved.append((source.parent.parent, target))

    monkeypatch.setattr(cache.os, "replace", replace)
    cache.get_or_create("things", fill)
    assert moved == [(cache.cache_path(), cache.cache_path() / "things")]
    assert cache.find("things") is None  # nothing else put it there


def test_a_failed_repair_does_not_lose_what_was_left():
    folder = cache.get_or_create("things", fill)
    (folder / "two.txt").unlink()
    with pytest.raises(ZeroDivisionError):
        cache.get_or_create("things", lambda work: 1 / 0)
    assert (folder / "train" / "one.txt").exists()


KEEP = """
import sys, time
from pathlib import Path
from tutorial_utils._support import cache, downloads, connection

def make(work):
    with open(sys.argv[1], "a") as log:
        log.write("made\\n")
    (work / "set").mkdir()
    for number in range(10):
        (work / "set" / f"{number}.txt").write_text("x" * 1000)
        time.sleep(float(sys.argv[2]))
    return work / "set"

print("ready", flush=True)
folder = cache.get_or_create("things", make)
print(len(list(folder.glob("*.txt"))))
"""


def process(log, pause_s):
    command = [sys.executable, "-c", KEEP, str(log), str(pause_s)]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_processes_that_start_together_all_get_the_whole(tmp_path):
    running = [process(tmp_path / "log", 0.15) for _ in range(3)]
    said = [one.communicate(timeout=60)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0, 0]
    assert all(text.endswith("10\n") for text in said)
    assert (tmp_path / "log").read_text() == "made\n"
    assert sum("another process is preparing the same" in text for text in said) == 2


def test_a_process_that_is_killed_leaves_nothing_that_looks_complete(tmp_path):
    victim = process(tmp_path / "log", 5)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cache/things.part-*/set/*.txt")):
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.05)
    victim.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    victim.communicate(timeout=60)
    assert cache.find("things") is None
    assert list(tmp_path.glob("cache/things.part-*"))
    assert (cache.get_or_create("things", fill) / "two.txt").exists()
    assert not list(tmp_path.glob("cache/things.part-*"))
