"""Faults of kits: made by hand, with names too long, no file at all, killed while packing."""

import hashlib
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest
import tiny_kits
from image_sets import make_set
from tiny_kits import caches_are_empty, changed, equip, write_course

from tutorial_utils._support import cache
from tutorial_utils.cli import kit, kit_use
from tutorial_utils.cli.main import main


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a kit with two tiny lessons and seven images."""
    folder = tmp_path_factory.mktemp("made")
    return tiny_kits.make_kit(folder, make_set(folder / "images"))


packed = tiny_kits.packed


def check_error(archive: Path, message: str, capsys) -> None:
    """Check that a kit ends the command with one clear line, and changes nothing."""
    assert main(["--kit", str(archive), "cache"]) == 1
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert archive.name[:40] in err
    assert message in err
    assert caches_are_empty()


def by_hand(archive: Path, keep, extra: dict[str, bytes] | None = None) -> Path:
    """Return a kit with some of the files and others beside, all of them with their checksums."""
    extra = extra or {}

    def change(name, content):
        if name == kit.MANIFEST:
            return [(name, content), *extra.items()]
        return [(name, content)] if keep(name) else []

    def manifest(content):
        listed = {name: found for name, found in content["files"].items() if keep(name)}
        for name, text in extra.items():
            listed[name] = {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        return content | {"files": listed}

    return changed(archive, change, manifest=manifest)


LACKING = {
    "val": (lambda name: "/val/" not in name, "no val with two classes"),
    "train": (lambda name: "/train/" not in name, "no train with two classes"),
    "images": (lambda name: not name.startswith("cache/"), "no train with two classes, no val"),
    "a class": (lambda name: "bees" not in name, "no train with two classes, no val"),
    "a class in val": (lambda name: "/val/bees/" not in name, "no val with two classes"),
    "lessons": (lambda name: not name.startswith("lessons/notebooks/"), "it has no lessons"),
    "all": (lambda name: False, "no lessons, no train with two classes, no val with two"),
}


@pytest.mark.parametrize("part", LACKING)
def test_a_kit_that_lacks_a_part_is_an_error(part, packed, capsys):
    keep, message = LACKING[part]
    check_error(by_hand(packed, keep), message, capsys)


def folder_of(packed: Path) -> str:
    with zipfile.ZipFile(packed) as members:
        name = next(name for name in members.namelist() if name.startswith("cache/"))
    return name.rpartition("/train/")[0] or name.rpartition("/val/")[0]


ODD = {
    "{images}/complete.json": "the cache writes this file itself",
    "{images}/train/ants/complete.json": "the cache writes this file itself",
    "lessons/complete.json": "the cache writes this file itself",
    "{images}/train/ants/" + "a" * 300 + ".jpg": "its name is too long",
    "{images}/train/ants/" + "é" * 121 + ".jpg": "its name is too long",
    "{images}/train/" + "b" * 300 + "/1.jpg": "its name is too long",
    "lessons/notebooks/" + "c" * 300 + ".ipynb": "its name is too long",
    "lessons/images/" + "d/" * 800 + "x": "its name is too long",
    "lessons/a\nb.png": "a backslash, a drive letter or a control character",
    "lessons//x.png": "it would be written outside its folder",
    "": "it would be written outside its folder",
    "cache/other/train/ants/1.jpg": "a kit has lessons, weights and one set of images",
}


@pytest.mark.parametrize("name", ODD)
def test_a_file_that_a_kit_must_not_hold_is_an_error(name, packed, capsys):
    full = name.format(images=folder_of(packed))
    check_error(by_hand(packed, bool, {full: b"x"}), ODD[name], capsys)


def test_classes_that_differ_between_train_and_val_are_an_error(packed, capsys):
    extra = {f"{folder_of(packed)}/train/wasps/1.jpg": b"x"}
    check_error(by_hand(packed, bool, extra), "train and val with different classes", capsys)


def test_a_kit_made_by_hand_that_is_whole_is_used(packed):
    other = by_hand(packed, bool, {"lessons/images/b.png": b"x"})
    assert (kit_use.use(other, quiet=True) / "images" / "b.png").read_bytes() == b"x"


def test_an_archive_without_files_is_no_kit(packed, capsys):
    empty = packed.with_name("empty.zip")
    zipfile.ZipFile(empty, "w").close()
    check_error(empty, "is a zip archive but no kit", capsys)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "a pipe, not a file"),
        (os.mkdir, "a folder, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
        (lambda path: path.symlink_to("nowhere"), "there is no kit"),
        (lambda path: path.symlink_to(path.name), "there is no kit"),
        (lambda path: None, "there is no kit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_kit_that_is_no_file_is_an_error(make, reason, packed, capsys):
    make(packed.with_name("odd.zip"))
    check_error(packed.with_name("odd.zip"), reason, capsys)


def test_a_kit_whose_own_name_is_too_long_is_an_error(packed, capsys):
    check_error(packed.with_name("z" * 300), "there is no kit", capsys)
    wanted = ["kit", str(packed.with_name("z" * 300 + ".zip"))]
    assert main([*wanted, "--folder", str(packed.parent)]) == 1
    assert "its name is too long; choose a shorter one" in capsys.readouterr().err


def test_what_a_process_killed_while_packing_left_is_deleted_by_the_next_kit(
    made, tmp_path, monkeypatch
):
    equip(tmp_path / "teacher", monkeypatch, make_set(tmp_path / "images"))
    left, fresh = (tmp_path / f".class.zip.{digit * 12}.tmp" for digit in "ab")
    for path in (left, fresh):
        path.write_bytes(b"half a kit")
    days_ago = time.time() - 3 * 86_400
    os.utime(left, (days_ago, days_ago))
    kit.make(tmp_path / "class.zip", write_course(tmp_path), quiet=True)
    assert not left.exists()
    assert fresh.exists()  # another process may be writing it
    assert cache.entries()
