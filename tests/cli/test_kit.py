"""Tests of `cli.kit`: a kit is complete, and the same content gives the same bytes."""

import hashlib
import json
import os
import re
import shutil
import types
import zipfile
from pathlib import Path

import pytest
from tiny_kits import WEIGHTS, machine

from tutorial_utils import synthetic
from tutorial_utils._support import cache
from tutorial_utils.cli import kit

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_kit_holds_images_weights_lessons_and_their_checksums(teacher, course, tmp_path, capsys):
    made = kit.make(tmp_path / "class.zip", course)
    printed = capsys.readouterr().out
    assert "kit: class.zip, " in printed
    assert f"2 lessons, images synthetic-{synthetic.VERSION}, ImageNet weights of 1" in printed
    with zipfile.ZipFile(tmp_path / "class.zip") as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("kit.json"))
        for name, file in manifest["files"].items():
            content = archive.read(name)
            assert file == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    images = f"cache/synthetic-{synthetic.VERSION}"
    assert names == [*sorted(names[:-1]), "kit.json"]
    assert sum(name.startswith(f"{images}/train/ants/") for name in names) == 2
    assert f"{images}/{cache.MANIFEST}" not in names, "it is written where it is unpacked"
    assert [name for name in names if name.startswith("lessons/")] == [
        "lessons/images/a.svg",
        "lessons/notebooks/00_one.ipynb",
        "lessons/notebooks/01_two.ipynb",
        "lessons/notebooks/solutions/00_one.ipynb",
        "lessons/notebooks/solutions/01_two.ipynb",
    ]
    assert [Path(name).name[:8] for name in names if name.startswith("weights/")] == ["alexnet-"]
    assert manifest["format"] == kit.FORMAT and set(manifest["files"]) == set(names) - {"kit.json"}
    assert made.files.keys() == manifest["files"].keys()


def test_pages_and_scripts_that_lessons_link_are_packed(teacher, tmp_path):
    made = kit.make(tmp_path / "class.zip", ROOT / "notebooks", quiet=True)
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("*.ipynb")]
    links = {link for text in texts for link in re.findall(r"\]\(([\w./]+\.(?:md|py))\)", text)}
    assert "../docs/glossary.md" in links
    linked = {os.path.normpath(f"lessons/notebooks/{link}") for link in links}
    assert linked <= set(made.files)
    assert len(linked) == len(kit.LINKED)


def test_the_same_content_gives_the_same_bytes(teacher, course, tmp_path, monkeypatch):
    kit.make(tmp_path / "one.zip", course, quiet=True)
    for path in course.rglob("*.ipynb"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    again = shutil.copytree(course.parent, tmp_path / "again") / "notebooks"
    kit.make(tmp_path / "two.zip", again, quiet=True)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_kit_may_leave_the_solutions_out(teacher, course, tmp_path):
    made = kit.make(tmp_path / "class.zip", course, solutions=False, quiet=True)
    lessons = [name for name in made.files if name.startswith("lessons/notebooks/")]
    assert lessons == ["lessons/notebooks/00_one.ipynb", "lessons/notebooks/01_two.ipynb"]


def test_without_images_in_the_cache_synthetic_ones_are_drawn(
    draws_five, course, tmp_path, monkeypatch
):
    machine(tmp_path / "fresh", monkeypatch)
    made = kit.make(tmp_path / "class.zip", course, quiet=True)
    assert sum(name.startswith("cache/") for name in made.files) == 5
    assert not any(name.startswith("weights/") for name in made.files)


def test_an_error_leaves_nothing_behind(teacher, course, tmp_path):
    taken = tmp_path / "taken.zip"
    taken.write_text("mine")
    with pytest.raises(FileExistsError, match="taken.zip exists: choose another name"):
        kit.make(taken, course, quiet=True)
    assert taken.read_text() == "mine"
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere to write class.zip"):
        kit.make(tmp_path / "nowhere" / "class.zip", course, quiet=True)
    with pytest.raises(FileNotFoundError, match="no lessons .* in .*images; run this in a clone"):
        kit.make(tmp_path / "class.zip", course.parent / "images", quiet=True)
    kit.weights_paths()[0].write_bytes(WEIGHTS + b"x")
    with pytest.raises(ValueError, match="alexnet-.* is damaged .*: delete it and download"):
        kit.make(tmp_path / "class.zip", course, quiet=True)
    assert list(tmp_path.glob("*class.zip*")) == []


def test_a_full_disk_is_an_error_before_anything_is_written(teacher, course, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=10_000_000))
    with pytest.raises(OSError, match="has 10 MB free and 67 MB are needed to pack the kit: free"):
        kit.make(tmp_path / "new.zip", course, quiet=True)
    assert not list(tmp_path.glob("*new.zip*"))


def test_a_tilde_stands_for_the_home_folder(teacher, course, home):
    kit.make("~/class.zip", "~/course/notebooks", quiet=True)
    assert (home / "class.zip").is_file()
