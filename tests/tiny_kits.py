"""A tiny course and machines with caches of their own, for the tests of kits."""

import copy
import hashlib
import json
import shutil
import types
import zipfile
from pathlib import Path

import pytest
import tiny_notebooks

from tutorial_utils import models, synthetic
from tutorial_utils._support import cache
from tutorial_utils.cli import kit

WEIGHTS = b"not really weights" * 100
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
LESSON = """
from tutorial_utils import data, lesson, models
lesson.check(globals())
images = data.load()
weights = models.find_weights('alexnet')
lesson.report('01_two', images=images.kind, weights=weights.kind, found=weights.summary)
"""


def write_course(base: Path) -> Path:
    """Write two tiny lessons with solutions and a figure, and return their folder."""
    folder = base / "course" / "notebooks"
    (folder / "solutions").mkdir(parents=True)
    (folder.parent / "images").mkdir()
    (folder.parent / "images" / "a.svg").write_bytes(b"figure")
    for name in ("00_one", "01_two"):
        for path in (folder / f"{name}.ipynb", folder / "solutions" / f"{name}.ipynb"):
            tiny_notebooks.write(path, "seed: int = 0", LESSON if name == "01_two" else "1 + 1")
    (folder / "other.txt").write_text("not packed")
    return folder


def make_kit(folder: Path, images: Path) -> Path:
    """Make a kit of the tiny course and these images, on a machine of its own."""
    with pytest.MonkeyPatch.context() as patch:
        equip(folder / "teacher", patch, images)
        kit.make(folder / "class.zip", write_course(folder), quiet=True)
    return folder / "class.zip"


@pytest.fixture
def packed(made, tmp_path, monkeypatch):
    """Return the kit of the fixture `made`, on a machine whose caches are empty."""
    machine(tmp_path / "pupil", monkeypatch)
    return Path(shutil.copy(made, tmp_path / "class.zip"))


def equip(folder: Path, monkeypatch, images: Path) -> None:
    """Set up a machine whose caches have these images and AlexNet's weights."""
    machine(folder, monkeypatch)
    name = f"synthetic-{synthetic.VERSION}"
    cache.get_or_create(name, lambda work: Path(shutil.copytree(images, work / "synthetic")))
    path = kit.weights_paths()[0]
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)


def machine(folder: Path, monkeypatch) -> None:
    """Set up another machine: empty caches, and weights of other names."""
    folder.mkdir()
    monkeypatch.setenv("ANTS_BEES_CACHE", str(folder / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    names = {arch: f"https://x/{arch}-{SHA256[:8]}.pth" for arch in models.ARCHS}
    known = {arch: types.SimpleNamespace(url=url) for arch, url in names.items()}
    monkeypatch.setattr(models, "IMAGENET", known)


def caches_are_empty() -> bool:
    there = [p for p in cache.cache_path().glob("*") if p.suffix != ".lock" and p.is_dir()]
    return there == [] and not any(path.exists() for path in kit.weights_paths())


def unchanged(name, content):
    return [(name, content)]


def changed(archive: Path, change=unchanged, *, manifest=None, compress=zipfile.ZIP_STORED) -> Path:
    """Write a changed copy of a kit: `change` returns the members to write in place of one."""
    out = archive.with_name("changed.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(out, "w", compress) as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == kit.MANIFEST and manifest:
                content = manifest(json.loads(content))
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
            info.compress_type = compress
            for name, text in change(info.filename, content):
                member = copy.copy(info)
                member.filename = name
                new.writestr(member, text)
    return out
