"""Faults in folders of images: links, special files, names, what changes while it is read."""

import errno
import os
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest
from PIL import Image

from tutorial_utils import data
from tutorial_utils._support import files
from tutorial_utils._support import folders as listing
from tutorial_utils.cli.main import main
from tutorial_utils.own_images import folders, manifest, prediction

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")

SPECIAL = {
    "pipe": (os.mkfifo, "a pipe, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
    "socket": (lambda path: _bind(path), "a socket, not a file"),
    "broken": (lambda path: path.symlink_to("nowhere"), "a broken link"),
    "circle": (lambda path: path.symlink_to(path.name), "a link that leads in a circle"),
}
NO_NETWORK = types.SimpleNamespace(preset=None)
special = pytest.mark.parametrize("kind", SPECIAL)


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:  # its path is limited to about 100 characters
        end.bind(os.path.relpath(path))


def fill(root: Path, start: int = 0) -> Path:
    """Write two classes in train and val, three and two images each; all images differ."""
    for split, count in (("train", 3), ("val", 2)):
        for label in ("ants", "bees"):
            for number in range(count):
                path = root / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                start += 1
                Image.effect_noise((24, 16), 80).save(path)
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return a folder of images, the current folder."""
    monkeypatch.chdir(fill(tmp_path / "mine"))
    return tmp_path / "mine"


def counts(found) -> int:
    return sum(sum(one.values()) for one in found.counts().values())


# Special files: named, never opened.


@special
def test_load_names_a_special_file(kind, root, capsys):
    make, reason = SPECIAL[kind]
    make(root / "train/ants/odd.jpg")
    images = data.load(root)
    assert f"skipped 1, {reason}: train/ants/odd.jpg" in capsys.readouterr().out
    assert counts(images) == 10
    assert len(images.dataset("train")) == 6


@special
def test_read_names_a_special_file(kind, root, capsys):
    make, reason = SPECIAL[kind]
    make(root / "val/bees/odd.jpg")
    found = folders.read(root)
    assert f"left out 1: val/bees/odd.jpg ({reason})" in capsys.readouterr().out
    assert len(found.files) == 10


@special
def test_opening_a_special_file_is_an_error_that_names_it(kind, root):
    make, reason = SPECIAL[kind]
    make(root / "odd.jpg")
    with pytest.raises((ValueError, FileNotFoundError), match=r"odd\.jpg") as caught:
        data.open_image(root / "odd.jpg")
    assert reason in str(caught.value) or "there is no image" in str(caught.value)
    assert files.not_regular(root / "odd.jpg") == reason


@special
def test_predict_names_a_special_file(kind, root):
    make, reason = SPECIAL[kind]
    make(root / "odd.jpg")
    (found,) = prediction.predict_files(NO_NETWORK, [root / "odd.jpg"])
    assert (found.probabilities, found.problem) == (None, reason)


@special
def test_a_special_file_as_a_whole_folder_is_an_error(kind, root):
    SPECIAL[kind][0](root / "odd")
    for read in (data.load, data.audit, folders.read):
        with pytest.raises(OSError, match=r"/odd"):
            read(root / "odd")


@special
def test_a_special_file_as_manifest_is_named(kind, root, capsys):
    SPECIAL[kind][0](root / "train/ants" / manifest.NAME)
    SPECIAL[kind][0](root / "train" / manifest.NAME)
    folders.read(root)
    text = capsys.readouterr().out
    assert f"train/{manifest.NAME}: not in the folder of a class" in text


# Links to folders: none is read twice, none for ever.

LINKS = {
    "itself": (".", "a link back to a folder above it"),
    "split": ("..", "a link back to a folder above it"),
    "root": ("../..", "a link back to a folder above it"),
    "above": ("../../..", "a link back to a folder above it"),
    "the system": ("/", "a link back to a folder above it"),
    "other class": ("../bees", "a link into the same folder of images"),
    "validation": ("../../val/ants", "a link into the same folder of images"),
}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("read", [data.load, folders.read])
def test_a_link_to_images_that_are_read_anyway_is_named_and_passed_over(name, read, root):
    target, reason = LINKS[name]
    (root / "train/ants/more").symlink_to(target)
    found = read(root, quiet=True)
    odd = found.audit.odd if read is data.load else found.odd
    assert odd == (f"train/ants/more/: {reason}",)
    assert (counts(found) if read is data.load else len(found.files)) == 10
    split = found.dataset("train") if read is data.load else found.dataset()
    assert len(split) == (6 if read is data.load else 10)


def test_many_links_back_take_no_longer_than_one(root):
    for number in range(30):  # followed, there would be 30 to the power of 40 folders
        (root / f"train/ants/{number}").symlink_to("..")
    images = data.load(root, quiet=True)
    assert len(images.audit.odd) == 30
    assert len(images.dataset("train")) == 6
    assert len(data.ImageFolder(root / "train")) == 6


@pytest.mark.parametrize("read", [data.load, folders.read])
def test_a_link_to_images_elsewhere_is_followed_once(read, root, tmp_path):
    far = fill(tmp_path / "far") / "train/ants"
    (root / "train/ants/more").symlink_to(far)
    (root / "val/ants/more").symlink_to(far)  # the images would be in training and validation
    (far / "back").symlink_to(root)
    found = read(root, quiet=True)
    odd = found.audit.odd if read is data.load else found.odd
    assert odd == (
        "train/ants/more/back/: a link back to a folder above it",
        "val/ants/more/: a folder that was read already, by a link",
    )
    assert (counts(found) if read is data.load else len(found.files)) == 13


@pytest.mark.parametrize(
    ("link", "target", "named"),
    [
        ("val", "train", "train/ants and val/ants"),
        ("train/bees", "ants", "train/ants and train/bees"),
        ("val/ants", "../train/ants", "train/ants and val/ants"),
        ("val/ants", "../..", "val/ants and train/ants"),
    ],
)
@pytest.mark.parametrize("read", [data.load, folders.read])
def test_two_classes_or_parts_that_are_one_folder_are_an_error(link, target, named, read, root):
    (root / link).rename(root.parent / "away")
    (root / link).symlink_to(target)
    with pytest.raises(ValueError, match=f"{named} of .* lead to the same images, by a link"):
        read(root)


def test_predict_reads_no_folder_twice_and_names_the_link(root):
    (root / "train/up").symlink_to(root)
    reported = []
    found = list(prediction.expand([root], report=lambda *pair: reported.append(pair)))
    assert len(found) == 10
    assert reported == [(root / "train/up", "a link back to a folder above it")]


def test_folders_nested_more_deeply_than_calls_may_be_are_read(root):
    below = os.open(root / "train/ants", os.O_RDONLY)
    for _ in range(sys.getrecursionlimit() + 100):
        os.mkdir("d", dir_fd=below)
        above, below = below, os.open("d", os.O_RDONLY, dir_fd=below)
        os.close(above)
    os.close(below)
    try:
        assert counts(data.load(root, quiet=True)) == 10
    finally:  # pytest could not delete them
        subprocess.run(["rm", "-r", str(root / "train/ants/d")], check=True)


# Names.

NAMES = {
    b"line\nbreak.png": "train/ants/line\\nbreak.png (its name holds a control character",
    b"\x1b[31mred.png": "train/ants/\\x1b[31mred.png (its name holds a control character",
    b"\xff\xfe.png": "train/ants/\\udcff\\udcfe.png (its name is not Unicode",
    b"tab\there.png": "train/ants/tab\\there.png (its name holds a control character",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("read", [data.load, folders.read])
def test_a_name_that_cannot_be_shown_is_escaped_and_passed_over(name, read, root, capsys):
    there = os.fsencode(root / "train/ants")
    os.rename(os.path.join(there, b"0.png"), os.path.join(there, name))
    found = read(root)
    text = capsys.readouterr().out
    assert text.isascii()
    assert "\x1b" not in text
    shown, reason = NAMES[name].split(" (")
    assert shown in text
    assert reason in text
    assert (counts(found) if read is data.load else len(found.files)) == 9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("read", [data.load, folders.read])
def test_a_class_whose_name_cannot_be_shown_is_an_error(name, read, root):
    for split in ("train", "val"):
        there = os.fsencode(root / split)
        os.rename(os.path.join(there, b"ants"), os.path.join(there, name))
    with pytest.raises(ValueError, match="cannot be a class, its name .*: rename it") as caught:
        read(root)
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    "name", ["\u202f7.png", "👩\u200d🔬.png", "é" * 125 + ".png", "a" * 251 + ".png"]
)
@pytest.mark.parametrize("read", [data.load, folders.read])
def test_spaces_of_any_kind_emoji_and_255_bytes_are_fine(name, read, root):
    (root / "train/ants/0.png").rename(root / "train/ants" / name)
    found = read(root)
    assert (counts(found) if read is data.load else len(found.files)) == 10


@pytest.mark.parametrize("path", ["a" * 300, "b/" * 3000 + "x", "null\0"])
@pytest.mark.parametrize("read", [data.load, data.audit, folders.read, data.open_image])
def test_a_path_that_the_system_does_not_allow_is_an_error_that_shows_it(path, read, root):
    with pytest.raises((FileNotFoundError, ValueError), match=path.split("\0")[0][:40]):
        read(root / path)


@pytest.mark.parametrize(
    "path", ["a" * 300 + ".jpg", "null\0.jpg", "gone.jpg", "train/ants/0.png/x"]
)
def test_predict_goes_on_after_a_path_that_the_system_does_not_allow(path, root):
    (found,) = prediction.predict_files(NO_NETWORK, prediction.expand([path]))
    assert found.problem in (
        "its name is too long",
        "its name holds a null character",
        "there is no such file",
    )


def test_classes_that_differ_in_capitals_are_both_read_and_pointed_out(root, capsys):
    for split in ("train", "val"):
        (root / split / "Ants").mkdir()
        (root / split / "ants/1.png").rename(root / split / "Ants/1.png")
    assert data.load(root).classes == ("Ants", "ants", "bees")
    folders.read(root)
    assert "'Ants', 'ants' differ in capitals or spaces only" in capsys.readouterr().out


@pytest.mark.parametrize("name", [".0.png", ".hidden/0.png", "__MACOSX/0.png", "Thumbs.db"])
def test_hidden_files_are_never_images(name, root):
    (root / "train/ants" / name).parent.mkdir(exist_ok=True)
    (root / "train/ants/0.png").rename(root / "train/ants" / name)
    assert counts(data.load(root, quiet=True)) == 9
    assert len(folders.read(root, quiet=True).files) == 9


# The empty path.


@pytest.mark.parametrize("read", [data.load, data.audit, folders.read, data.open_image])
def test_an_empty_path_is_not_the_current_folder(read, root):
    with pytest.raises(
        (ValueError, FileNotFoundError), match="empty path|unknown source|a folder, not a file"
    ):
        read("")


def test_nothing_is_predicted_for_an_empty_path(root):
    with pytest.raises(ValueError, match=r"an empty path was given: write \. for the images"):
        list(prediction.expand([""]))
    assert len(list(prediction.expand(["."]))) == 10


@pytest.mark.parametrize(
    "arguments",
    [["predict", "m.safetensors", ""], ["predict", "", "a.jpg"], ["draw", ""], ["kit", ""]]
    + [["--kit", "", "lessons"], ["lessons", "--out", ""], ["lessons", "--folder", ""]],
    ids=" ".join,
)
def test_an_empty_path_on_the_command_line_is_wrong_usage(arguments, root, capsys):
    before = sorted(root.rglob("*"))
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "an empty path was given: write . for this folder" in capsys.readouterr().err
    assert sorted(root.rglob("*")) == before


# What may not be read, and what changes meanwhile.


@pytest.fixture
def denied(monkeypatch):
    """Return a list of names of folders that may not be read, not even by root."""
    names, listdir = [], os.listdir

    def checked(path="."):
        if Path(path).name in names:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(listing.os, "listdir", checked)
    return names


@pytest.mark.parametrize("read", [data.load, folders.read])
def test_a_folder_below_a_class_that_may_not_be_read_is_named(read, root, denied):
    (root / "train/ants/private").mkdir()
    denied.append("private")
    found = read(root, quiet=True)
    odd = found.audit.odd if read is data.load else found.odd
    assert odd == ("train/ants/private/: not allowed to read it",)


@pytest.mark.parametrize("name", ["mine", "train", "bees"])
@pytest.mark.parametrize("read", [data.load, folders.read])
def test_a_folder_that_may_not_be_read_is_an_error_that_names_it(name, read, root, denied):
    denied.append(name)
    with pytest.raises((OSError, ValueError), match=f"{name}.*not allowed to read it"):
        read(root)


def test_predict_names_a_folder_that_may_not_be_read(root, denied):
    denied.append("bees")
    reported = []
    found = list(prediction.expand([root], report=lambda *pair: reported.append(pair)))
    assert len(found) == 5
    assert reported == [(root / f"{s}/bees", "not allowed to read it") for s in ("train", "val")]


def test_a_file_that_vanishes_between_listing_and_reading_is_named(root, monkeypatch):
    walk = listing.walk

    def vanishing(*arguments, **settings):
        found = walk(*arguments, **settings)
        (root / "train/ants/1.png").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(listing, "walk", vanishing)
    found = data.audit(root)
    assert found.problems == (data.Problem(Path("train/ants/1.png"), "there is no such file"),)
    assert found.counts["train"] == {"ants": 2, "bees": 3}


@pytest.mark.parametrize("change", ["deleted", "cut", "emptied", "pipe", "folder"])
def test_a_file_that_changes_after_the_audit_is_named_when_it_is_read(change, root):
    train = data.load(root, quiet=True).dataset("train")
    path = Path(train.samples[0][0])
    content = path.read_bytes()
    path.unlink()
    if change in ("cut", "emptied"):
        path.write_bytes(content[: len(content) // 2 if change == "cut" else 0])
    elif change != "deleted":
        (os.mkfifo if change == "pipe" else os.mkdir)(path)
    with pytest.raises((ValueError, FileNotFoundError), match=r"train/ants/0\.png"):
        train[0]
