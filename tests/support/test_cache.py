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


# Downloads


def get(url, folder, content, **settings):
    return downloads.download(url, folder, sha256=sha256(content), size_bytes=1000, **settings)


def test_download_whole(tmp_path, capsys):
    with serving(b"content" * 1000) as (url, asked):
        path = get(url, tmp_path, b"content" * 1000)
    assert path == tmp_path / "images.zip"
    assert path.read_bytes() == b"content" * 1000
    assert len(asked) == 1
    said = capsys.readouterr()
    assert said.out == f"downloading 0 MB from {url.split('/')[2]}, once\n"
    assert said.err == ""  # pooch's own notes name paths of this machine


def test_download_quietly(tmp_path, capsys):
    with serving(b"content") as (url, _):
        get(url, tmp_path, b"content", quiet=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ({"content": b"content" * 9, "cut": 20}, "no connection was made, or it was cut"),
        ({"content": b"other"}, "what arrived is not the file expected, 1,000 bytes, SHA-256 ..."),
        ({"status": 404}, "the server answered HTTP 404"),
        ({"status": 503}, "the server answered HTTP 503"),
        ({"wait_s": 1.0}, "the server was silent for 0 s"),
    ],
)
def test_download_that_fails_leaves_no_file(tmp_path, monkeypatch, server, reason):
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.3)
    folder = tmp_path / "work"
    folder.mkdir()
    with (
        serving(**server) as (url, _),
        pytest.raises(ConnectionError, match=reason.replace("...", r"\w{12}\.\.\.") + "$"),
    ):
        get(url, folder, b"content" * 9)
    assert list(folder.iterdir()) == []


def test_download_without_a_server(tmp_path):
    with serving() as (url, _):
        pass
    with pytest.raises(ConnectionError, match="no connection was made"):
        get(url, tmp_path, b"")


def test_download_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "RETRIES", 1)
    with serving(status=500) as (url, asked), pytest.raises(ConnectionError, match="HTTP 500"):
        get(url, tmp_path, b"")
    assert len(asked) == 2


def test_download_asks_for_room_first(tmp_path):
    with (
        serving() as (url, asked),
        pytest.raises(ConnectionError, match=r"has \d+ MB free and 2000000000000 MB are needed"),
    ):
        downloads.download(url, tmp_path, sha256="", size_bytes=10**18)
    assert asked == []


def test_unpack(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"set/one.txt": "one", "set/sub/two.txt": "two"}))
    folder = downloads.unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (folder / "set" / "sub" / "two.txt").read_text() == "two"


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "set/../../evil.txt", "/evil.txt", "..\\evil.txt", "set/..\\..\\evil.txt"],
)
def test_a_member_that_would_leave_the_folder_is_refused(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped({"good.txt": "good", name: "evil"}))
    with pytest.raises(ConnectionError, match="would leave its folder"):
        downloads.unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not list(tmp_path.rglob("evil.txt"))
    assert not list(tmp_path.rglob("good.txt"))  # all is checked before anything is written


def test_what_is_no_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>Please log in</html>")
    with pytest.raises(ConnectionError, match="no zip archive"):
        downloads.unpack(tmp_path / "a.zip", tmp_path / "out")


# The network


@pytest.fixture
def network(monkeypatch):
    """A network that can be switched, and counts how often it was tried."""
    tries = []

    def head(url, timeout):
        tries.append(url)
        if not tries.up:
            raise requests.ConnectionError("no route")
        return requests.Response()

    class Tries(list):
        up = True

    tries = Tries()
    monkeypatch.setattr(connection.requests, "head", head)
    return tries


def test_online(network):
    assert connection.online()
    assert network == ["https://download.pytorch.org/"]
    assert not cache.cache_path().exists()


@pytest.mark.parametrize("value", ["1", "true", "YES", " on "])
def test_switched_off_tries_nothing(network, monkeypatch, value):
    monkeypatch.setenv("TUTORIAL_OFFLINE", value)
    assert not connection.online()
    assert not connection.online(force=True)
    assert network == []
    assert connection.offline_reason() == f"TUTORIAL_OFFLINE={value}"


@pytest.mark.parametrize("value", ["", "0", "false", "no"])
def test_not_switched_off(network, monkeypatch, value):
    monkeypatch.setenv("TUTORIAL_OFFLINE", value)
    assert connection.online()


def test_no_network_is_remembered_in_the_cache(network, monkeypatch):
    network.up = False
    assert not connection.online()
    assert connection.offline_reason() == "no answer from download.pytorch.org"
    monkeypatch.setattr(connection, "_failures", [])  # as another process would see it
    network.up = True
    assert not connection.online()
    assert len(network) == 1
    assert connection.online(force=True)
    assert connection.online()  # what was remembered is forgotten
    assert len(network) == 3


def test_no_network_is_remembered_without_a_cache(network, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "file" / "cache"))
    network.up = False
    assert not connection.online()
    assert not connection.online()
    assert len(network) == 1


def test_no_network_is_forgotten_after_a_while(network, monkeypatch):
    network.up = False
    connection.online()
    now = time.time()
    monkeypatch.setattr(connection.time, "time", lambda: now + connection.REMEMBER_S + 1)
    network.up = True
    assert connection.online()


def test_a_clock_that_was_set_back_does_not_keep_the_network_away(network, monkeypatch):
    network.up = False
    connection.online()
    now = time.time()
    monkeypatch.setattr(connection.time, "time", lambda: now - 3600)
    network.up = True
    assert connection.online()


def test_a_lookup_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(connection, "GIVE_UP_S", 0.2)
    monkeypatch.setattr(connection.requests, "head", lambda *_, **__: time.sleep(2))
    start = time.monotonic()
    assert not connection.online()
    assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "nonsense://[", "http://"])
def test_a_broken_proxy_means_no_network(monkeypatch, proxy):
    monkeypatch.delenv("NO_PROXY")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    assert not connection.online()
