"""Tests of `tutorial_utils.data`: sources, audit, opening images, data sets, loaders."""

import contextlib
import io
import multiprocessing
import os
import re
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from serving import serving, sha256, zipped

from tutorial_utils import data
from tutorial_utils._support import cache, connection, downloads, image_files, image_sources
from tutorial_utils._support.presets import preset as make_preset

REAL = os.environ.get("ANTS_BEES_DIR", "")
NEEDS_REAL = "ANTS_BEES_DIR names no folder with the real photographs"
RED, WHITE = (255, 0, 0), (255, 255, 255)


def photos(test):
    """Mark a test that needs the real photographs."""
    return pytest.mark.photos(pytest.mark.skipif(not REAL, reason=NEEDS_REAL)(test))


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Each test has an empty cache, no network, no folder of its own, and a fast sketchbook."""
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TUTORIAL_OFFLINE", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("ANTS_BEES_DIR", raising=False)
    monkeypatch.setattr(connection, "_failures", [])
    monkeypatch.setattr(downloads, "RETRIES", 0)
    monkeypatch.setattr(image_sources.synthetic, "write", write)
    monkeypatch.setattr(image_sources.synthetic, "VERSION", 7)


def write(folder, *, train=None, val=None, seed=0, progress=None):
    """Stand in for sketchbook.write: seven plain images."""
    make_set(folder)
    if progress:
        progress(1, 7)
    return folder


def make_set(folder, classes=("ants", "bees"), train=2, val=1):
    for split, count in (("train", train), ("val", val)):
        for label in classes:
            for number in range(count + (label == "bees" and split == "train")):
                path = folder / split / label / f"{label}_{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (24, 16), RED).save(path)
    return folder


def photograph(width=60, height=40):
    """An image with enough in it for a file of some kilobytes."""
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def folder(tmp_path):
    return make_set(tmp_path / "mine")


@pytest.fixture
def server(monkeypatch):
    """Serve an archive as if it were the photographs' own: server(content, sha256=..., cut=...)."""
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
    """The bytes of an archive laid out as the photographs' is."""
    root = make_set(tmp_path / "made" / "hymenoptera_data")
    members = {p.relative_to(root.parent).as_posix(): p for p in root.rglob("*.jpg")}
    return zipped({name: path.read_bytes() for name, path in members.items()} | more)


def nothing_kept():
    """Nothing in the cache is a set, or a part of one."""
    names = sorted(path.name for path in cache.cache_path().iterdir())
    return all(name.endswith(".lock") or name.startswith("synthetic-") for name in names)


# The order of the sources


def test_drawn_when_nothing_else_answers(capsys):
    images = data.load()
    assert (images.origin, images.kind) == ("synthetic", "synthetic images")
    assert images.root == cache.cache_path() / "synthetic-7"
    assert images.classes == ("ants", "bees")
    assert images.counts() == {"train": {"ants": 2, "bees": 3}, "val": {"ants": 1, "bees": 1}}
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("drawing the images, once")
    assert said[1:] == [images.summary]
    assert images.summary == (
        "images: 7 synthetic images, 5 train, 2 val (drawn by tutorial_utils.synthetic; "
        "no network: TUTORIAL_OFFLINE=1)"
    )


def test_drawn_once(monkeypatch, capsys):
    first = data.load(quiet=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(image_sources.synthetic, "write", lambda *_, **__: pytest.fail("drawn again"))
    again = data.load()
    assert again == first
    assert capsys.readouterr().out == f"{again.summary}\n"


def test_drawn_anew_when_the_drawings_change(monkeypatch):
    old = data.load(quiet=True)
    monkeypatch.setattr(image_sources.synthetic, "VERSION", 8)
    new = data.load(quiet=True)
    assert new.root.name == "synthetic-8"
    assert old.root.exists()


def test_no_line_names_this_machine(monkeypatch, folder, tmp_path):
    lines = [data.load(source, quiet=True).summary for source in ("auto", "synthetic", "cache")]
    monkeypatch.setenv("ANTS_BEES_DIR", str(folder))
    lines.append(data.load(quiet=True).summary)
    assert not any(str(tmp_path) in line for line in lines)


def test_the_folder_named_comes_first(monkeypatch, folder):
    data.load("synthetic", quiet=True)
    monkeypatch.setenv("ANTS_BEES_DIR", str(folder))
    for source in ("auto", "folder"):
        images = data.load(source, quiet=True)
        assert images.root == folder
        assert (images.origin, images.kind) == ("folder", "own folder")
        assert images.summary.endswith("2 val (the folder in ANTS_BEES_DIR)")
    assert data.load("synthetic", quiet=True).origin == "synthetic"


def test_a_folder_given_comes_before_the_one_named(monkeypatch, folder, tmp_path):
    other = make_set(tmp_path / "other", ("cats", "dogs"))
    monkeypatch.setenv("ANTS_BEES_DIR", str(folder))
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


def test_a_folder_named_that_is_missing_is_not_passed_over(monkeypatch, tmp_path):
    monkeypatch.setenv("ANTS_BEES_DIR", str(tmp_path / "gone"))
    for source in ("auto", "folder"):
        with pytest.raises(
            FileNotFoundError, match="folder in ANTS_BEES_DIR does not exist: .*gone"
        ):
            data.load(source)


def test_photographs_in_the_cache_come_before_the_download(server, tmp_path):
    asked = server(archive(tmp_path))
    first = data.load("download", quiet=True)
    assert first.origin == "download"
    images = data.load(quiet=True)
    assert (images.origin, images.kind) == ("cache", "photographs")
    assert images.summary == "images: 7 photographs, 5 train, 2 val (from the cache)"
    assert images.root == first.root
    assert len(asked) == 1


def test_drawings_in_the_cache_do_not_keep_photographs_away(server, tmp_path):
    data.load("synthetic", quiet=True)
    server(archive(tmp_path))
    assert data.load(quiet=True).origin == "download"


def test_unknown_source_lists_the_allowed():
    for source in ("chache", "", None, 3, ["auto"]):
        allowed = re.escape(
            "allowed: auto, folder, cache, download, synthetic, or the path of a folder"
        )
        with pytest.raises(
            ValueError, match=rf"unknown source {re.escape(repr(source))}; {allowed}"
        ):
            data.load(source)


# A source asked for by name never falls back


def test_folder_by_name_needs_the_variable(monkeypatch):
    for value in (None, "", "  "):
        if value is not None:
            monkeypatch.setenv("ANTS_BEES_DIR", value)
        with pytest.raises(FileNotFoundError, match="ANTS_BEES_DIR is not set: set it to a folder"):
            data.load("folder")


def test_cache_by_name_needs_something_kept():
    with pytest.raises(FileNotFoundError, match="holds no complete set .* source='download' or"):
        data.load("cache")
    assert not cache.cache_path().exists()


def test_cache_by_name_takes_what_is_there(server, tmp_path):
    data.load("synthetic", quiet=True)
    images = data.load("cache", quiet=True)
    assert (images.origin, images.kind) == ("cache", "synthetic images")
    assert images.summary.endswith("(from the cache, which holds no photographs)")
    server(archive(tmp_path))
    data.load("download", quiet=True)
    assert data.load("cache", quiet=True).kind == "photographs"


def test_download_by_name_needs_a_network():
    what_to_do = "Try again later, use source='synthetic' .or 'auto'., or get https.* ANTS_BEES_DIR"
    with pytest.raises(ConnectionError, match=rf"\(no network: TUTORIAL_OFFLINE=1\). {what_to_do}"):
        data.load("download")
    assert not cache.cache_path().exists()


def test_download_by_name_asks_again_whatever_is_remembered(monkeypatch):
    asked = []
    monkeypatch.setattr(connection, "online", lambda force=False: asked.append(force))
    monkeypatch.delenv("TUTORIAL_OFFLINE")
    with pytest.raises(ConnectionError, match="no network: no answer from download.pytorch.org"):
        data.load("download")
    assert asked == [True]


def test_download_by_name_is_content_with_an_earlier_download(server, tmp_path, monkeypatch):
    server(archive(tmp_path))
    data.load("download", quiet=True)
    monkeypatch.setenv("TUTORIAL_OFFLINE", "1")
    monkeypatch.setattr(connection, "online", lambda force=False: False)
    assert data.load("download", quiet=True).origin == "download"


# The download


def test_download_whole(server, tmp_path, capsys):
    asked = server(
        archive(tmp_path, **{"hymenoptera_data/train/ants/imageNotFound.gif": b"GIF89a"})
    )
    images = data.load()
    assert (images.origin, images.kind) == ("download", "photographs")
    assert images.counts() == {"train": {"ants": 2, "bees": 3}, "val": {"ants": 1, "bees": 1}}
    assert images.root == cache.cache_path() / f"hymenoptera_data-{image_sources.SHA256[:8]}"
    assert not list(cache.cache_path().rglob("*.zip"))
    assert len(asked) == 1
    host = image_sources.URL.split("/")[2]
    assert capsys.readouterr().out == f"downloading 0 MB from {host}, once\n{images.summary}\n"
    assert images.summary == f"images: 7 photographs, 5 train, 2 val (downloaded from {host})"


FAILURES = [
    ({"cut": 500}, "no connection was made, or it was cut"),
    (
        {"sha": "0" * 64},
        "what arrived is not the file expected, [0-9,]+ bytes, SHA-256 000000000000...",
    ),
    ({"status": 404}, "the server answered HTTP 404"),
    ({"wait_s": 1.0}, "the server was silent for 0 s"),
]


@pytest.mark.parametrize(("settings", "reason"), FAILURES)
def test_download_by_name_that_fails_says_so(server, tmp_path, monkeypatch, settings, reason):
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.3)
    server(archive(tmp_path), **settings)
    message = rf"the download of http://127.0.0.1:\d+/.* failed: {reason}\. Try again later"
    with pytest.raises(ConnectionError, match=message):
        data.load("download", quiet=True)
    assert nothing_kept()
    with pytest.raises(FileNotFoundError, match="no complete set"):
        data.load("cache")


@pytest.mark.parametrize(("settings", "reason"), FAILURES)
def test_auto_goes_on_when_the_download_fails(server, tmp_path, monkeypatch, settings, reason):
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.3)
    server(archive(tmp_path), **settings)
    images = data.load(quiet=True)
    assert (images.origin, images.kind) == ("synthetic", "synthetic images")
    assert re.search(rf"synthetic; the download failed: {reason}\)$", images.summary)
    assert nothing_kept()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>Please log in</html>", "the file that arrived is no zip archive"),
        (
            zipped({"hymenoptera_data/readme.txt": "x"}),
            "the archive holds no folder with train and",
        ),
        (
            zipped({"train/a/b.jpg": "x", "val/a/b.jpg": "x", "../../c": "x"}),
            "would leave its folder",
        ),
    ],
)
def test_an_archive_that_is_wrong_leaves_nothing(server, content, reason):
    server(content)
    with pytest.raises(ConnectionError, match=reason):
        data.load("download", quiet=True)
    assert reason in data.load(quiet=True).summary
    assert nothing_kept()


def test_no_room_for_the_download(server, tmp_path, monkeypatch):
    server(archive(tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "unpack", full)
    line = data.load(quiet=True).summary
    assert "the download failed: it could not be written, No space left on device" in line
    assert nothing_kept()


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


# The cache


@pytest.mark.parametrize("source", ["auto", "synthetic", "download"])
def test_a_cache_that_cannot_be_written(server, monkeypatch, tmp_path, source):
    server(archive(tmp_path))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(PermissionError, match="cache cannot be written .*set ANTS_BEES_CACHE"):
        data.load(source)


def test_a_folder_needs_no_cache(monkeypatch, tmp_path, folder):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("ANTS_BEES_DIR", str(folder))
    assert data.load(quiet=True).origin == "folder"


def test_no_room_for_the_drawings(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_sources.synthetic, "write", full)
    with pytest.raises(
        OSError, match="No space left on device.: make room, or set ANTS_BEES_CACHE"
    ):
        data.load(quiet=True)
    assert {path.name for path in cache.cache_path().iterdir()} <= {"synthetic-7.lock"}


def test_drawing_that_is_interrupted_leaves_nothing(monkeypatch):
    def interrupted(folder, **_):
        make_set(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(image_sources.synthetic, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.load(quiet=True)
    assert {path.name for path in cache.cache_path().iterdir()} <= {"synthetic-7.lock"}
    monkeypatch.setattr(image_sources.synthetic, "write", write)
    assert data.load(quiet=True).origin == "synthetic"


def _load_and_report(barrier, queue):
    barrier.wait()
    images = data.load(quiet=True)
    queue.put((images.counts(), len(images.dataset("train"))))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork; places has a test without")
def test_two_processes_on_an_empty_cache_both_get_all(monkeypatch, tmp_path):
    log = tmp_path / "log"

    def slow(folder, **_):
        with log.open("a") as lines:
            lines.write("drawn\n")
        make_set(folder, train=1)
        time.sleep(0.6)
        return make_set(folder)

    monkeypatch.setattr(image_sources.synthetic, "write", slow)
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(2), context.Queue()
    running = [context.Process(target=_load_and_report, args=(barrier, queue)) for _ in "ab"]
    for one in running:
        one.start()
    got = [queue.get(timeout=60) for _ in running]
    for one in running:
        one.join(60)
    whole = {"train": {"ants": 2, "bees": 3}, "val": {"ants": 1, "bees": 1}}
    assert got == [(whole, 5), (whole, 5)]
    assert log.read_text() == "drawn\n"


# Folders that will not do


def test_folder_missing(tmp_path):
    message = "does not exist: .*nowhere; expected are train/<class>/ and val/<class>/"
    with pytest.raises(FileNotFoundError, match=message):
        data.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=message):
        data.audit(tmp_path / "nowhere")


def test_folder_is_a_file(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"")
    for call in (data.load, data.audit):
        with pytest.raises(NotADirectoryError, match="is a file: .*Unpack it first"):
            call(tmp_path / "set.zip")


@pytest.mark.parametrize("missing", [["train"], ["val"], ["train", "val"]])
def test_folder_lacks_a_split(folder, missing):
    for split in missing:
        (folder / split).rename(folder / f"my_{split}")
    message = (
        f"lacks {' and '.join(missing)} .it holds .*my_{missing[0]}.*; expected are train/<class>"
    )
    with pytest.raises(FileNotFoundError, match=message):
        data.load(folder)


def test_folder_one_too_high_says_which_is_meant(folder):
    with pytest.raises(FileNotFoundError, match=r"lacks train and val .* Did you mean .*mine\?"):
        data.load(folder.parent)


def test_folder_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lacks train and val \(it holds no folders\)"):
        data.load(tmp_path)


def test_folder_with_one_class(tmp_path):
    make_set(tmp_path / "one", ["ants"])
    with pytest.raises(ValueError, match=r"has 1 class \(ants\), and two or more are needed"):
        data.load(tmp_path / "one")


def test_folder_without_classes(tmp_path):
    for split in data.SPLITS:
        (tmp_path / split).mkdir()
    with pytest.raises(ValueError, match=r"has 0 classes \(none\), and two or more are needed"):
        data.load(tmp_path)


def test_classes_that_differ(folder):
    (folder / "val" / "bees").rename(folder / "val" / "wasps")
    message = "differ: train has ants, bees; val has ants, wasps. Give both the same folders"
    with pytest.raises(ValueError, match=message):
        data.load(folder)


@pytest.mark.parametrize("left", [None, "notes.txt", "image.gif", ".hidden.jpg"])
def test_class_that_is_empty(folder, left):
    for path in (folder / "val" / "ants").iterdir():
        path.unlink()
    if left:
        Image.new("RGB", (8, 8)).save(folder / "val" / "ants" / left, "PNG")
    with pytest.raises(ValueError, match=r"class val/ants of .* is empty: put images .*\.jpg"):
        data.load(folder)


def test_class_that_is_emptied_by_skipping(folder):
    (folder / "val" / "ants" / "ants_0.jpg").write_bytes(b"")
    message = r"no image of the class val/ants .*: val/ants/ants_0.jpg \(empty, 0 bytes\)"
    with pytest.raises(ValueError, match=message):
        data.load(folder)


# The audit


def png(width, height, *, depth=8, colour=2, rows=b""):
    """The bytes of a PNG file, whatever it claims to be."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def encoded(image, kind="JPEG", **settings):
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


BAD = {
    "cut.jpg": (encoded(photograph())[:-300], "cut short"),
    "cut.png": (encoded(photograph(), "PNG")[:-300], "cut short"),
    "empty.jpg": (b"", "empty, 0 bytes"),
    "fraction.tif": (encoded(Image.new("F", (4, 4)), "TIFF"), "its pixels are fractions"),
    "huge.png": (png(30_000, 30_000), "far more than 60 megapixels"),
    "large.png": (png(9_500, 9_500), "9500 x 9500 pixels, more than 60 megapixels"),
    "letter.jpg": (encoded(photograph(), "EPS"), "not an image"),  # would start Ghostscript
    "long.tif": (encoded(Image.new("I", (4, 4), 70_000), "TIFF"), "its pixels are numbers of 32"),
    "page.jpg": (b"<html>not found</html>", "not an image"),
    "start.jpg": (encoded(photograph())[:20], "not an image"),
    "text.jpeg": ("Ameisen".encode("utf-16"), "not an image"),
}


def test_audit_lists_all_problems_with_reasons(folder):
    for name, (content, _) in BAD.items():
        (folder / "train" / "ants" / name).write_bytes(content)
    (folder / "val" / "bees" / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = data.audit(folder)
    assert [p.path.as_posix() for p in report.problems] == [
        *(f"train/ants/{name}" for name in BAD),
        "val/bees/gone.jpg",
    ]
    for problem, (_, reason) in zip(report.problems, BAD.values(), strict=False):
        assert problem.reason.startswith(reason)
    assert report.problems[-1].reason == "not a file"
    assert report.counts == {"train": {"ants": 2, "bees": 3}, "val": {"ants": 1, "bees": 1}}
    assert report.odd == ()


def test_load_skips_problems_by_name(folder, capsys):
    for name in ("cut.jpg", "empty.jpg", "page.jpg"):
        (folder / "train" / "ants" / name).write_bytes(BAD[name][0])
    (folder / "val" / "bees" / "page.jpg").write_bytes(BAD["page.jpg"][0])
    images = data.load(folder)
    assert capsys.readouterr().out.splitlines() == [
        f"images: 7 images of your own, 5 train, 2 val (the folder {folder})",
        "skipped 1, cut short: train/ants/cut.jpg",
        "skipped 1, empty, 0 bytes: train/ants/empty.jpg",
        "skipped 2, not an image: train/ants/page.jpg, val/bees/page.jpg",
    ]
    assert len(images.dataset("train")) == 5
    assert len(images.dataset("val")) == 2
    for image, _ in images.dataset("train"):
        assert image.size == (24, 16)


def test_load_names_ten_and_counts_the_rest(folder, capsys):
    for number in range(12):
        (folder / "train" / "ants" / f"none_{number:02}.jpg").write_bytes(b"")
    data.load(folder)
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("skipped 12, empty, 0 bytes: train/ants/none_00.jpg, ")
    assert line.endswith("train/ants/none_09.jpg and 2 more")


def test_audit_counts_what_is_odd(folder):
    (folder / "test" / "ants").mkdir(parents=True)
    (folder / "train" / "ants" / "imageNotFound.gif").write_bytes(b"GIF89a")
    (folder / "train" / "ants" / "README").write_text("x")
    (folder / "train" / "ants" / "._ants_0.jpg").write_bytes(b"x")
    (folder / "train" / "loose.jpg").write_bytes(b"x")
    (folder / "val" / ".ipynb_checkpoints").mkdir()
    (folder / "val" / ".ipynb_checkpoints" / "ants.jpg").write_bytes(b"x")
    report = data.audit(folder)
    assert report.odd == (
        "test/: only train and val are read",
        "train/loose.jpg: outside the folders of the classes",
        "train/ants/._ants_0.jpg: hidden",
        "train/ants/README: ImageFolder reads no files without an ending",
        "train/ants/imageNotFound.gif: ImageFolder reads no .gif files",
        "val/.ipynb_checkpoints/ants.jpg: hidden",
    )
    assert report.problems == ()
    images = data.load(folder, quiet=True)
    assert images.dataset("val").classes == ["ants", "bees"]
    assert len(images.dataset("train")) == 5


def test_audit_as_a_table(folder):
    (folder / "train" / "ants" / "empty.jpg").write_bytes(b"")
    (folder / "train" / "ants" / "notes.txt").write_text("x")
    assert str(data.audit(folder)).splitlines() == [
        "split  class  images  problems",
        "train  ants        2         1",
        "train  bees        3         0",
        "val    ants        1         0",
        "val    bees        1         0",
        "problem: train/ants/empty.jpg: empty, 0 bytes",
        "odd: train/ants/notes.txt: ImageFolder reads no .txt files",
    ]


def test_audit_of_other_layouts(folder):
    flat = data.audit(folder / "train")
    assert flat.counts == {".": {"ants": 2, "bees": 3}}
    (folder / "train" / "bees" / "bad.jpg").write_bytes(b"")
    assert str(data.audit(folder / "train")).splitlines()[2] == ".      bees        3         1"
    (folder / "val").rename(folder / "other")
    half = data.audit(folder)
    assert half.counts == {"train": {"ants": 2, "bees": 3}}
    assert half.odd == ("other/: only train and val are read",)


def test_images_in_folders_below_a_class(folder):
    below = folder / "train" / "ants" / "2019" / "may"
    below.mkdir(parents=True)
    photograph().save(below / "UPPER.JPG")
    (below / "bad.jpg").write_bytes(b"")
    images = data.load(folder, quiet=True)
    assert images.counts()["train"]["ants"] == 3
    assert [p.path.as_posix() for p in images.audit.problems] == ["train/ants/2019/may/bad.jpg"]
    assert len(images.dataset("train")) == 6


def test_audit_decodes_photographs_small(tmp_path):
    photograph(640, 480).save(tmp_path / "a.jpg")
    assert image_files._read(tmp_path / "a.jpg", least_side=1).size == (80, 60)
    assert image_files._read(tmp_path / "a.jpg").size == (640, 480)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM"])
def test_every_kind_cut_anywhere_is_seen_as_when_opened(tmp_path_factory, kind):
    content = encoded(photograph(), kind)
    path = tmp_path_factory.mktemp("cut") / f"cut.{'jpg' if kind == 'JPEG' else kind.lower()}"

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(content)))
    def check(length):
        path.write_bytes(content[:length])
        fault = image_files.fault(path)
        if length == len(content):
            assert fault is None
        if length < 0.9 * len(content):
            assert fault is not None
        with warnings.catch_warnings(action="ignore"):
            if fault is None:
                assert data.open_image(path).size == (60, 40)
            else:
                with pytest.raises(ValueError, match=re.escape(fault)):
                    data.open_image(path)

    check()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_damage_raises_nothing_but_the_named_error(tmp_path_factory, noise, where):
    content = bytearray(encoded(photograph(), "PNG"))
    content[where : where + len(noise)] = noise
    path = tmp_path_factory.getbasetemp() / "noise.png"
    path.write_bytes(content)
    if fault := image_files.fault(path):
        with pytest.raises(ValueError, match=r"noise.png cannot be used as an image: "):
            data.open_image(path)
    else:
        assert data.open_image(path).mode == "RGB", fault


# Opening an image


def opened(tmp_path, image, name="a.png", **settings):
    image.save(tmp_path / name, **settings)
    found = data.open_image(tmp_path / name)
    assert found.mode == "RGB"
    assert found.size == image.size
    return found


def test_colours_are_left_alone(tmp_path):
    image = photograph()
    assert opened(tmp_path, image).tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", ["BMP", "GIF", "MPO", "PNG", "TIFF", "WEBP"])
def test_the_name_need_not_tell_the_kind(tmp_path, kind):
    (tmp_path / "a.jpg").write_bytes(encoded(Image.new("RGB", (9, 9), RED), kind))
    assert np.abs(np.subtract(data.open_image(tmp_path / "a.jpg").getpixel((4, 4)), RED)).max() < 9


def test_grey(tmp_path):
    assert opened(tmp_path, Image.new("L", (3, 2), 77)).getpixel((1, 1)) == (77, 77, 77)
    assert opened(tmp_path, Image.new("L", (9, 9), 77), "a.jpg").getpixel((4, 4)) == (77, 77, 77)
    assert opened(tmp_path, Image.new("1", (3, 2), 1)).getpixel((1, 1)) == WHITE


def test_grey_of_16_bits(tmp_path):
    values = np.array([[0, 257, 32_768, 65_535]], dtype=np.uint16)
    wanted = [[(0,) * 3, (1,) * 3, (128,) * 3, (255,) * 3]]
    for name in ("a.png", "a.tif", "a.pgm"):
        found = opened(tmp_path, Image.fromarray(values), name)
        assert np.asarray(found).tolist() == np.array(wanted).tolist()
    swapped = Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes())
    assert np.asarray(opened(tmp_path, swapped, "b.tif")).tolist() == np.array(wanted).tolist()


def test_colours_of_16_bits(tmp_path):
    rows = b"\0" + struct.pack(">6H", 65_535, 0, 32_768, 0, 65_535, 257)
    (tmp_path / "a.png").write_bytes(png(2, 1, depth=16, rows=rows))
    found = data.open_image(tmp_path / "a.png")
    assert np.asarray(found).tolist() == [[[255, 0, 128], [0, 255, 1]]]


def test_inks(tmp_path):
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow make red
    assert opened(tmp_path, inks, "a.tif").getpixel((8, 8)) == RED
    found = opened(tmp_path, inks, "a.jpg", quality=95).getpixel((8, 8))
    assert np.abs(np.subtract(found, RED)).max() <= 3


def test_transparent_pixels_lie_on_white(tmp_path):
    layer = Image.new("RGBA", (3, 1), (*RED, 255))
    layer.putpixel((1, 0), (*RED, 0))
    layer.putpixel((2, 0), (*RED, 128))
    found = opened(tmp_path, layer)
    assert [found.getpixel((x, 0)) for x in range(3)] == [RED, WHITE, (255, 127, 127)]
    grey = Image.new("LA", (2, 1), (0, 0))
    assert opened(tmp_path, grey).getpixel((0, 0)) == WHITE


def test_palettes(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    found = opened(tmp_path, palette)
    assert [found.getpixel((x, 0)) for x in range(2)] == [RED, (0, 0, 255)]
    found = opened(tmp_path, palette, "b.png", transparency=0)
    assert [found.getpixel((x, 0)) for x in range(2)] == [WHITE, (0, 0, 255)]
    found = opened(tmp_path, palette, "c.png", transparency=b"\x80\xff")
    assert [found.getpixel((x, 0)) for x in range(2)] == [(255, 127, 127), (0, 0, 255)]


def test_a_colour_that_stands_for_nothing(tmp_path):
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), (1, 2, 3))
    found = opened(tmp_path, image, transparency=(1, 2, 3))
    assert [found.getpixel((x, 0)) for x in range(2)] == [RED, WHITE]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_by_its_note(tmp_path, name, orientation):
    upright = Image.new("RGB", (48, 32), WHITE)
    upright.paste(RED, (0, 0, 16, 16))  # the upper left corner
    upright.paste((0, 0, 255), (32, 0, 48, 16))  # the upper right one
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # Image.Transpose
    stored = upright if undo is None else upright.transpose(undo)
    note = Image.Exif()
    note[0x0112] = orientation
    stored.save(tmp_path / name, exif=note, quality=95)
    found = data.open_image(tmp_path / name)
    assert found.size == (48, 32)
    for where, colour in (((5, 5), RED), ((42, 5), (0, 0, 255)), ((5, 27), WHITE)):
        assert np.abs(np.subtract(found.getpixel(where), colour)).max() <= 15
    assert image_files.fault(tmp_path / name) is None


@pytest.mark.parametrize("note", [b"Exif\0\0broken", b"Exif\0\0II*\0\xff\xff\xff\xff", b"x"])
def test_a_damaged_note_does_not_cost_the_image(tmp_path, note):
    image = photograph()
    image.save(tmp_path / "a.jpg", exif=note)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert data.open_image(tmp_path / "a.jpg").size == image.size
    assert image_files.fault(tmp_path / "a.jpg") is None


def test_absurd_sizes_are_not_decoded(tmp_path, monkeypatch):
    for width, height in ((30_000, 30_000), (12_000, 5_001)):
        (tmp_path / "a.png").write_bytes(png(width, height))
        monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
        with pytest.raises(ValueError, match=r"a.png cannot be used .* more than 60 megapixels\. "):
            data.open_image(tmp_path / "a.png")


def test_large_sizes_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", 60 * 40)
    assert opened(tmp_path, photograph(60, 40))
    photograph(60, 41).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="60 x 41 pixels, more than"):
        data.open_image(tmp_path / "b.png")


def test_errors_name_the_file_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no image .*gone.jpg"):
        data.open_image(tmp_path / "gone.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"nonsense")
    message = "bad.jpg cannot be used as an image: not an image. Replace it or take it out"
    with pytest.raises(ValueError, match=message):
        data.open_image(str(tmp_path / "bad.jpg"))
    with pytest.raises(ValueError, match="not a file"):
        data.open_image(tmp_path)


# Data sets and loaders


def test_dataset_is_torchvisions(folder):
    images = data.load(folder, quiet=True)
    found = images.dataset("train")
    assert isinstance(found, torchvision.datasets.ImageFolder)
    assert "ImageFolder" in repr(found)
    plain = torchvision.datasets.ImageFolder(folder / "train")
    assert found.samples == plain.samples
    assert found.class_to_idx == {"ants": 0, "bees": 1}
    assert tuple(found.classes) == images.classes
    image, label = found[4]
    assert (image.mode, image.size, label) == ("RGB", (24, 16), 1)


def test_dataset_transforms(folder):
    preset = make_preset(8, 10)
    tensor, label = data.load(folder, quiet=True).dataset("val", preset)[0]
    assert (tensor.shape, tensor.dtype, label) == ((3, 8, 8), torch.float32, 0)


def test_unknown_split(folder):
    with pytest.raises(ValueError, match="unknown split 'test'; allowed: train, val"):
        data.load(folder, quiet=True).dataset("test")


def test_counts_are_a_copy(folder):
    images = data.load(folder, quiet=True)
    images.counts()["train"]["ants"] = 99
    assert images.counts()["train"]["ants"] == 2


PRESET = make_preset(8, 10)


def test_loader_batches(folder):
    found = data.load(folder, quiet=True).dataset("train", PRESET)
    batches = list(data.loader(found, batch_size=2))
    assert [len(labels) for _, labels in batches] == [2, 2, 1]  # the last one is short
    assert torch.cat([labels for _, labels in batches]).tolist() == [0, 0, 1, 1, 1]
    assert data.loader(found).batch_size == 20


def test_loader_order_is_the_global_generators():
    numbers = torch.utils.data.TensorDataset(torch.arange(50))

    def order(seed):
        torch.manual_seed(seed)
        return torch.cat([batch for (batch,) in data.loader(numbers, shuffle=True)]).tolist()

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == list(range(50))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "20", True, None])
def test_loader_refuses_batch_sizes(batch_size):
    message = f"batch_size must be a whole number from 1, not {batch_size!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        data.loader([1, 2], batch_size=batch_size)


def test_loader_takes_numpys_numbers():
    assert data.loader([1, 2], batch_size=np.int64(2)).batch_size == 2


def test_loader_refuses_what_cannot_be_batched(folder):
    with pytest.raises(ValueError, match="the data set is empty"):
        data.loader([])
    with pytest.raises(ValueError, match=r"make it with a transform, such as images\.dataset"):
        data.loader(data.load(folder, quiet=True).dataset("train"))


def test_augmented_varies_and_is_repeatable():
    transform = data.augmented(PRESET)
    image = photograph()
    torch.manual_seed(3)
    first, second = transform(image), transform(image)
    assert (first.shape, first.dtype) == ((3, 8, 8), torch.float32)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(transform(image), first)


def test_augmented_mirrors_and_cuts():
    preset = make_preset(32, 256, mean=(0.0,) * 3, std=(1.0,) * 3)
    half = Image.new("L", (64, 64), 0)
    half.paste(255, (32, 0, 64, 64))  # dark on the left, light on the right
    torch.manual_seed(0)
    cuts = [data.augmented(preset)(half.convert("RGB"))[0].mean(dim=0) for _ in range(40)]  # (32,)
    mirrored = sum(bool(cut[0] > cut[-1]) for cut in cuts)
    assert 10 <= mirrored <= 30
    edges = {int((cut < 0.4).sum()) for cut in cuts}
    assert len(edges) > 5  # the middle of the image is not always in the middle of the cut


def test_augmented_normalises_as_the_weights_do():
    preset = make_preset(8, 256, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    black = Image.new("RGB", (20, 30))  # stays black in any light
    found = data.augmented(preset)(black)
    torch.testing.assert_close(found, preset(black))
    assert found[:, 0, 0].tolist() == pytest.approx([-0.2, -0.8, -2.4])


def test_augmented_without_strengths_is_the_plain_preset():
    none = dict.fromkeys(("flip", "brightness", "contrast", "saturation"), 0)
    square = Image.effect_noise((32, 32), 90).convert("RGB")
    plain = data.augmented(PRESET, least_area=1, **none)
    found = [plain(square) for _ in range(5)]
    assert all(torch.equal(one, found[0]) for one in found)


def test_augmented_strengths_do_what_they_say():
    none = dict.fromkeys(("flip", "brightness", "contrast", "saturation"), 0)
    half = Image.new("RGB", (32, 32), "black")
    half.paste("white", (16, 0, 32, 32))
    always = data.augmented(PRESET, least_area=1, **(none | {"flip": 1}))(half)
    never = data.augmented(PRESET, least_area=1, **none)(half)
    assert torch.allclose(always, never.flip(2), atol=1e-5) and not torch.equal(always, never)


@pytest.mark.parametrize("name", ["least_area", "flip", "brightness", "contrast", "saturation"])
@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), "0.5", True, None])
def test_augmented_refuses_a_strength_out_of_range(name, bad):
    with pytest.raises(ValueError, match=f"{name} must be a number"):
        data.augmented(PRESET, **{name: bad})


def test_augmented_cannot_keep_nothing():
    with pytest.raises(ValueError, match="least_area must be a number above 0"):
        data.augmented(PRESET, least_area=0)


def packed(kind, mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, (20, 10), "red" if mode == "RGB" else 128).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_bytes_of_a_image_are_read(kind):
    image = data.read_image(packed(kind), "upload")
    assert (image.mode, image.size) == ("RGB", (20, 10))
    assert image.getpixel((5, 5))[0] > 250


def test_bytes_are_turned_upright_and_made_colour_as_files_are():
    image, file = Image.new("L", (20, 10), 9), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(file, "JPEG", exif=exif)
    assert data.read_image(file.getvalue(), "turned").size == (10, 20)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a.jpg is empty, 0 bytes: give an image, JPEG, PNG"),
        (b"hello, this is text", "a.jpg cannot be used as an image: not an image. Give another"),
        (packed("JPEG")[:-200], "a.jpg cannot be used as an image: "),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.jpg is a HEIC photograph"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    ],
)
def test_bytes_that_are_no_image_are_refused_in_words(content, said):
    with pytest.raises(ValueError, match=said):
        data.read_image(content, "a.jpg")


def test_bytes_of_too_many_pixels_are_not_decoded(monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", 100)
    with pytest.raises(ValueError, match="20 x 10 pixels, more than"):
        data.read_image(packed("PNG"), "large.png")


def test_augmented_needs_a_preset():
    with pytest.raises(TypeError, match=r"needs the weights' preset, weights.transforms\(\); this"):
        data.augmented(torchvision.transforms.ToTensor())


# The real photographs


@photos
def test_photographs_are_known_and_counted(monkeypatch):
    monkeypatch.setenv("ANTS_BEES_DIR", REAL)
    images = data.load(quiet=True)
    assert (images.origin, images.kind) == ("folder", "photographs")
    assert images.counts() == data.PHOTOGRAPHS
    assert (len(images.dataset("train")), len(images.dataset("val"))) == (244, 153)
    assert images.summary == (
        "images: 397 photographs, 244 train, 153 val (the folder in ANTS_BEES_DIR)"
    )


@photos
def test_photographs_have_one_placeholder_and_no_problem():
    report = data.audit(REAL)
    assert report.problems == ()
    assert report.odd == ("train/ants/imageNotFound.gif: ImageFolder reads no .gif files",)


@photos
def test_photographs_are_looked_through_in_seconds():
    start = time.process_time()
    data.audit(REAL)
    assert time.process_time() - start < 3


@photos
def test_photographs_are_the_pixels_that_torchvision_reads(monkeypatch):
    found = data.load(REAL, quiet=True).dataset("val")
    plain = torchvision.datasets.ImageFolder(Path(REAL) / "val")
    assert found.samples == plain.samples
    for index in range(0, 153, 30):
        assert found[index][0].tobytes() == plain[index][0].tobytes()


@pytest.fixture
def large(tmp_path):
    for split in data.SPLITS:
        for label in ("ants", "bees"):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            Image.linear_gradient("L").resize((400, 320)).convert("RGB").save(folder / "a.jpg")
    return data.load(tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("least_side", "size"),
    [(None, (400, 320)), (320, (400, 320)), (161, (400, 320)), (160, (200, 160)), (1, (50, 40))],
)
def test_jpegs_are_decoded_no_smaller_than_asked(least_side, size, large):
    image, label = large.dataset("val", least_side=least_side)[1]
    assert (image.size, label) == (size, 1)


def test_the_reduced_image_looks_the_same(large):
    whole = np.asarray(large.dataset("val")[0][0].resize((100, 80)), dtype=float)
    reduced = large.dataset("val", least_side=100)[0][0]
    assert reduced.size == (200, 160)
    assert abs(np.asarray(reduced.resize((100, 80)), dtype=float) - whole).mean() < 2


def test_images_in_memory_are_decoded_once(large):
    kept, fresh = large.dataset("train", in_memory=True), large.dataset("train")
    assert kept[0][0] is kept[0][0]
    assert fresh[0][0] is not fresh[0][0]
    assert kept[0][0].tobytes() == fresh[0][0].tobytes()


@pytest.mark.parametrize("least_side", [0, -1, 1.5, "96"])
def test_an_impossible_side_is_refused(least_side, large):
    with pytest.raises(ValueError, match="least_side must be a whole number from 1"):
        large.dataset("val", least_side=least_side)
