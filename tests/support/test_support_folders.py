"""Tests of `tutorial_utils._support.folders`: what is listed, in which order, and links."""

import os
from pathlib import Path

import pytest
import torchvision

from tutorial_utils._support import folders


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def listed(root, **settings):
    return [path.as_posix() for path in folders.walk(root, **settings)]


def test_hidden_and_left_behind_names_are_not_visible(tmp_path):
    put(tmp_path, "b/1.jpg", "a.txt", ".git/x", "__MACOSX/y", "Thumbs.db", ".DS_Store")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert folders.visible(tmp_path) == ["a.txt", "b", "link"]
    assert folders.subfolders(tmp_path) == ["b", "link"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.jpg", True), (Path("b/A.JPEG"), True), ("a.gif", False), ("jpg", False), (".jpg", False)],
)
def test_image_names(name, expected):
    assert folders.is_image_name(name) is expected


def test_walk_leaves_out_hidden_files_unless_asked(tmp_path):
    put(tmp_path, "a/1.jpg", "a/.2.jpg", "a/.x/3.jpg", "a/__MACOSX/4.jpg", "top.txt")
    assert listed(tmp_path) == ["top.txt", "a/1.jpg"]
    everything = ["top.txt", "a/.2.jpg", "a/1.jpg", "a/.x/3.jpg", "a/__MACOSX/4.jpg"]
    assert listed(tmp_path, hidden=True) == everything


def test_walk_has_the_order_of_torchvision(tmp_path):
    names = ("c/z.jpg", "c/b/1.jpg", "c/b-a/2.jpg", "c/b/d/3.jpg", "c/A/4.jpg", "c/é/5.jpg")
    put(tmp_path, *names)
    (tmp_path / "c/link").symlink_to(tmp_path / "c/b")
    plain = torchvision.datasets.ImageFolder(tmp_path)
    assert [str(tmp_path / path) for path in folders.walk(tmp_path)] == [p for p, _ in plain.imgs]


def test_walk_follows_links_but_not_to_a_folder_above(tmp_path):
    put(tmp_path, "root/a/1.jpg", "root/b/2.jpg", "far/3.jpg")
    root = tmp_path / "root"
    (root / "a/far").symlink_to(tmp_path / "far")
    (root / "a/self").symlink_to(root / "a")
    (root / "a/up").symlink_to(tmp_path)
    (root / "b/other").symlink_to(root / "c")
    put(root, "c/4.jpg")
    (root / "c/back").symlink_to(root / "b")
    reported = []
    found = listed(root, report=lambda path, reason: reported.append((path.as_posix(), reason)))
    assert found == [
        *("a/1.jpg", "a/far/3.jpg", "b/2.jpg", "b/other/4.jpg", "c/4.jpg", "c/back/2.jpg")
    ]
    paths = ["a/self", "a/up", "b/other/back", "c/back/other"]
    assert reported == [(path, "a link back to a folder above it") for path in paths]


def test_walk_lists_a_broken_link_as_a_file(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    assert listed(tmp_path) == ["gone.jpg", "self.jpg"]


def test_walk_reports_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    put(tmp_path, "a/1.jpg", "b/2.jpg")
    listdir = os.listdir

    def denied(folder):
        if Path(folder).name == "a":
            raise PermissionError(13, "Permission denied")
        return listdir(folder)

    monkeypatch.setattr(folders.os, "listdir", denied)
    reported = []
    assert listed(tmp_path, report=lambda *pair: reported.append(pair)) == ["b/2.jpg"]
    assert reported == [(Path("a"), "not allowed to read it")]
