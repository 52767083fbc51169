"""Tests of `tutorial_utils._support.image_sources`: which source is used, and what fails."""

import contextlib
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from image_sets import make_set
from serving import serving, sha256, zipped

from tutorial_utils import data
from tutorial_utils._support import cache, connection, downloads, image_sources


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Each test has an empty cache, no network, no ANTS_BEES_DIR, and seven synthetic images."""
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TUTORIAL_OFFLINE", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("ANTS_BEES_DIR", raising=False)
    monkeypatch.setattr(connection, "_failures", [])
    monkeypatch.setattr(downloads, "LIMITS", downloads.Limits(retries=0))
    monkeypatch.setattr(image_sources.synthetic, "write", write)
    monkeypatch.setattr(image_sources.synthetic, "VERSION", 7)


def write(folder, *, train=None, val=None, seed=0, jobs=1, progress=None):
    """Replace `synthetic.write`: seven plain images."""
    make_set(folder)
    if progress:
        progress(1, 7)
    return folder


@pytest.fixture
def folder(tmp_path):
    return make_set(tmp_path / "mine")


@pytest.fixture
def server(monkeypatch):
    """Serve an archive in place of the photographs': server(content, sha=..., cut=...)."""
    with contextlib.ExitStack() as stack:

        def start(content=b"", *, sha=None, **settings):
            url, asked = stack.enter_context(serving(content, **settings))
            monkeypatch.delenv("TUTORIAL_OFFLINE")
            monkeypatch.setattr(connection, "online", lambda force=False: True)
            monkeypatch.setattr(image_sources, "URL", url)
            monkeypatch.setattr(image_sources, "SHA256", sha or sha256(content))
            monkeypatch.setattr(image_sources, "SIZE_BYTES", len(content))
            return asked

        yield start


def archive(tmp_path, **more):
    """Return the bytes of an archive laid out as the photographs' is."""
    root = make_set(tmp_path / "made" / "hymenoptera_data")
    members = {p.relative_to(root.parent).as_posix(): p for p in root.rglob("*.jpg")}
    return zipped({name: path.read_bytes() for name, path in members.items()} | more)


def no_photographs_cached():
    """Return whether the cache holds no photographs; a part of the archive may wait there."""
    names = {path.name for path in cache.cache_path().iterdir()}
    if (cache.cache_path() / "downloads").exists():
        assert os.listdir(cache.cache_path() / "downloads") == [".images.zip.part"]
        names.remove("downloads")
    return all(name.endswith(".lock") or name.startswith("synthetic-") for name in names)


def test_synthetic_images_when_no_other_source_has_images(capsys):
    images = data.load()
    assert (images.origin, images.kind) == ("synthetic", "synthetic images")
    assert images.root == cache.cache_path() / "synthetic-7"
    assert images.classes == ("ants", "bees")
    assert images.counts() == {"train": {"ants": 2, "bees": 3}, "val": {"ants": 1, "bees": 1}}
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("making the synthetic images, once")
    assert said[1:] == [images.summary]
    assert images.summary == (
        "images: 7 synthetic images, 5 train, 2 val (made by tutorial_utils.synthetic; "
        "no network: TUTORIAL_OFFLINE=1)"
    )


def test_synthetic_images_are_drawn_once_for_each_version(monkeypatch, capsys):
    first = data.load(quiet=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(image_sources.synthetic, "write", lambda *_, **__: pytest.fail("again"))
    again = data.load()
    assert again == first
    assert capsys.readouterr().out == f"{again.summary}\n"
    given = data.load("synthetic", quiet=True)
    assert given.summary.endswith("(made by tutorial_utils.synthetic; source='synthetic')")
    monkeypatch.setattr(image_sources.synthetic, "write", write)
    monkeypatch.setattr(image_sources.synthetic, "VERSION", 8)
    assert data.load(quiet=True).root.name == "synthetic-8"
    assert first.root.exists()


@pytest.mark.parametrize(
    ("shell", "jobs"), [(None, 1), (object(), 1), (SimpleNamespace(kernel=None), 2)]
)
def test_two_processes_draw_in_a_notebook_only(shell, jobs, monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert image_sources._drawing_jobs() == jobs


def test_no_summary_names_this_machine(monkeypatch, folder, tmp_path):
    lines = [data.load(source, quiet=True).summary for source in ("auto", "synthetic", "cache")]
    monkeypatch.setenv("ANTS_BEES_DIR", str(folder))
    lines.append(data.load(quiet=True).summary)
    assert not any(str(tmp_path) in line for line in lines)


def test_a_folder_comes_before_ants_bees_dir_and_that_before_the_others(
    monkeypatch, folder, tmp_path
):
    data.load("synthetic", quiet=True)
    monkeypatch.setenv("ANTS_BEES_DIR", str(folder))
    for source in ("auto", "folder"):
        images = data.load(source, quiet=True)
        assert images.root == folder
        assert (images.origin, images.kind) == ("folder", "own folder")
        assert images.summary.endswith("2 val (the folder in ANTS_BEES_DIR)")
    assert data.load("synthetic", quiet=True).origin == "synthetic"
    other = make_set(tmp_path / "other", ("cats", "dogs"))
    for source in (other, str(other)):
        images = data.load(source, quiet=True)
        assert images.root == other
        assert images.classes == ("cats", "dogs")


def test_a_folder_may_be_relative(monkeypatch, folder, tmp_path):
    monkeypatch.chdir(tmp_path)
    for source in ("mine", "./mine", Path("mine")):
        assert data.load(source, quiet=True).root == folder
    monkeypatch.chdir(folder)
    images = data.load(".", quiet=True)
    monkeypatch.chdir(tmp_path)  # the set does not move with the process
    assert len(images.dataset("train")) == 5
    assert images.dataset("train")[0][0].size == (24, 16)


def test_a_folder_may_begin_at_home(monkeypatch, folder, home):
    for source in ("~/mine", Path("~/mine")):
        assert data.load(source, quiet=True).root == folder
    monkeypatch.setenv("ANTS_BEES_DIR", "~/mine")
    assert data.load("folder", quiet=True).root == folder
    with pytest.raises(FileNotFoundError, match="~nobody-of-this-name/mine; expected are"):
        data.load("~nobody-of-this-name/mine")


def test_ants_bees_dir_that_is_missing_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("ANTS_BEES_DIR", str(tmp_path / "gone"))
    for source in ("auto", "folder"):
        with pytest.raises(FileNotFoundError, match="in ANTS_BEES_DIR does not exist: .*gone"):
            data.load(source)


@pytest.mark.parametrize("value", ["", "  "])
def test_source_folder_needs_the_variable(monkeypatch, value):
    monkeypatch.setenv("ANTS_BEES_DIR", value)
    with pytest.raises(FileNotFoundError, match="needs ANTS_BEES_DIR, which is not set: set it"):
        data.load("folder")


def test_photographs_in_the_cache_come_before_the_download(server, tmp_path, monkeypatch):
    data.load("synthetic", quiet=True)
    asked = server(archive(tmp_path))
    first = data.load(quiet=True)
    assert first.origin == "download"
    images = data.load(quiet=True)
    assert (images.origin, images.kind) == ("cache", "photographs")
    assert images.summary == "images: 7 photographs, 5 train, 2 val (from the cache)"
    assert images.root == first.root
    monkeypatch.setenv("TUTORIAL_OFFLINE", "1")
    monkeypatch.setattr(connection, "online", lambda force=False: False)
    assert data.load("download", quiet=True).origin == "download"
    assert len(asked) == 1


def test_unknown_source_lists_the_allowed():
    allowed = "allowed: auto, folder, cache, download, synthetic, or the path of a folder"
    for source in ("chache", "", None, 3, ["auto"]):
        message = re.escape(f"unknown source {source!r}; {allowed}")
        with pytest.raises(ValueError, match=message):
            data.load(source)


def test_source_cache_needs_images_in_the_cache():
    with pytest.raises(FileNotFoundError, match="found no complete set .* source='download' or"):
        data.load("cache")
    assert not cache.cache_path().exists()


def test_source_cache_prefers_photographs(server, tmp_path):
    data.load("synthetic", quiet=True)
    images = data.load("cache", quiet=True)
    assert (images.origin, images.kind) == ("cache", "synthetic images")
    assert images.summary.endswith("(from the cache, which holds no photographs)")
    server(archive(tmp_path))
    data.load("download", quiet=True)
    assert data.load("cache", quiet=True).kind == "photographs"


def test_source_download_needs_a_network():
    what_to_do = "Try again later, use source='synthetic' .or 'auto'., or get https.* ANTS_BEES_DIR"
    with pytest.raises(ConnectionError, match=rf"\(no network: TUTORIAL_OFFLINE=1\). {what_to_do}"):
        data.load("download")
    assert not cache.cache_path().exists()


def test_source_download_tries_although_a_failure_is_remembered(monkeypatch):
    asked = []
    monkeypatch.setattr(connection, "online", lambda force=False: asked.append(force))
    monkeypatch.delenv("TUTORIAL_OFFLINE")
    with pytest.raises(ConnectionError, match="no network: no answer from download.pytorch.org"):
        data.load("download")
    assert asked == [True]


def test_download_whole(server, tmp_path, capsys):
    extra = {"hymenoptera_data/train/ants/imageNotFound.gif": b"GIF89a"}
    asked = server(archive(tmp_path, **extra))
    images = data.load()
    assert (images.origin, images.kind) == ("download", "photographs")
    assert images.counts() == {"train": {"ants": 2, "bees": 3}, "val": {"ants": 1, "bees": 1}}
    assert images.root == cache.cache_path() / f"hymenoptera_data-{image_sources.SHA256[:8]}"
    assert not list(cache.cache_path().rglob("*.zip"))
    assert len(asked) == 1
    host = image_sources.URL.split("/")[2]
    assert capsys.readouterr().out == f"downloading 0 MB from {host}, once\n{images.summary}\n"
    assert images.summary == f"images: 7 photographs, 5 train, 2 val (downloaded from {host})"


OTHER = r"the file that arrived is not the expected one: SHA-256 \w+\.\.\., expected 0{12}\.\.\."
NO_SPLITS = zipped({"hymenoptera_data/readme.txt": "x"})


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"cut": 500}, "no connection was made, or it was cut"),
        ({"sha": "0" * 64}, OTHER),
        ({"status": 404}, "the server answered HTTP 404"),
        ({"wait_s": 1.0}, "the server was silent for 0 s"),
        ({"content": b"<html>log in</html>"}, "the file that arrived is no zip archive"),
        ({"content": NO_SPLITS}, "the archive holds no folder with train and val"),
    ],
)
def test_a_download_that_fails_leaves_nothing(server, tmp_path, monkeypatch, settings, reason):
    if "wait_s" in settings:
        monkeypatch.setattr(downloads, "LIMITS", downloads.Limits(silence_s=0.3, retries=0))
    server(**({"content": archive(tmp_path)} | settings))
    message = rf"the download of http://127.0.0.1:\d+/.* failed: {reason}\. Try again later"
    with pytest.raises(ConnectionError, match=message):
        data.load("download", quiet=True)
    assert no_photographs_cached()
    with pytest.raises(FileNotFoundError, match="no complete set"):
        data.load("cache")
    images = data.load(quiet=True)
    assert (images.origin, images.kind) == ("synthetic", "synthetic images")
    assert re.search(rf"synthetic; the download failed: {reason}\)$", images.summary)
    assert no_photographs_cached()


def test_a_member_outside_the_folder_is_not_unpacked(server, tmp_path):
    evil = dict.fromkeys(("../../evil.jpg", "/evil.jpg", "train/../../../evil.jpg"), b"x")
    server(archive(tmp_path, **evil))
    assert data.load("download", quiet=True).counts()["train"] == {"ants": 2, "bees": 3}
    assert not list(tmp_path.rglob("evil.jpg"))
    assert not Path("/evil.jpg").exists()


def test_no_room_for_the_download(server, tmp_path, monkeypatch):
    server(archive(tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_sources.shutil, "unpack_archive", full)
    line = data.load(quiet=True).summary
    assert re.search(
        "the download failed: .*unpacked cannot be written: the disk is full; make room", line
    )
    assert no_photographs_cached()


def test_photographs_that_were_damaged_are_downloaded_again(server, tmp_path, monkeypatch):
    asked = server(archive(tmp_path))
    root = data.load(quiet=True).root
    next(root.rglob("*.jpg")).unlink()
    assert data.load(quiet=True).origin == "download"
    assert len(asked) == 2
    next(root.rglob("*.jpg")).write_bytes(b"")
    monkeypatch.setattr(connection, "online", lambda force=False: False)
    images = data.load(quiet=True)
    assert images.origin == "synthetic"
    assert "; the photographs in the cache are not complete; no network: " in images.summary


def test_a_cache_that_cannot_be_written(server, monkeypatch, tmp_path, folder):
    server(archive(tmp_path))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "file" / "cache"))
    for source in ("auto", "synthetic", "download"):
        with pytest.raises(PermissionError, match="cache cannot be written .*set ANTS_BEES_CACHE"):
            data.load(source)
    monkeypatch.setenv("ANTS_BEES_DIR", str(folder))
    assert data.load(quiet=True).origin == "folder"


FULL = "No space left on device"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, FULL), f"{FULL}.: make room, or set ANTS_BEES_CACHE"),
        (KeyboardInterrupt("stop"), "stop"),
    ],
)
def test_an_error_while_drawing_leaves_nothing(monkeypatch, error, message):
    def interrupted(folder, **_):
        make_set(folder)
        raise error

    monkeypatch.setattr(image_sources.synthetic, "write", interrupted)
    with pytest.raises(type(error), match=message):
        data.load(quiet=True)
    assert {path.name for path in cache.cache_path().iterdir()} <= {"synthetic-7.lock"}
    monkeypatch.setattr(image_sources.synthetic, "write", write)
    assert data.load(quiet=True).origin == "synthetic"
