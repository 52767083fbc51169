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
    root = put(tmp_path / "root", *names)
    put(tmp_path / "far", "6.jpg", "d/7.jpg")
    (root / "c/link").symlink_to(tmp_path / "far")
    plain = torchvision.datasets.ImageFolder(root)
    assert [str(root / path) for path in folders.walk(root)] == [p for p, _ in plain.imgs]


def test_walk_follows_links_to_folders_elsewhere_and_reads_none_twice(tmp_path):
    root = put(tmp_path / "root", "a/1.jpg", "b/2.jpg", "c/4.jpg")
    far = put(tmp_path / "far", "3.jpg", "d/5.jpg")
    links = {"a/far": far, "b/far": far, "c/deep": far / "d", "a/self": root / "a"}
    links |= {"a/up": tmp_path, "b/other": root / "c", "c/back": root / "b"}
    for name, target in links.items():
        (root / name).symlink_to(target)
    (far / "home").symlink_to(root)
    reported = {}
    found = listed(root, report=lambda path, reason: reported.update({path.as_posix(): reason}))
    assert found == ["a/1.jpg", "a/far/3.jpg", "a/far/d/5.jpg", "b/2.jpg", "c/4.jpg"]
    above, inside = "a link back to a folder above it", "a link into the same folder of images"
    again = "a folder that was read already, by a link"
    assert reported == {
        **{"a/self": above, "a/up": above, "a/far/home": above, "b/other": inside},
        **{"c/back": inside, "b/far": again, "c/deep": again},
    }


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
