"""Fixtures of the tests of kits: a tiny course, a teacher's machine, a kit on another machine."""

import shutil
from pathlib import Path

import pytest
from tiny_kits import equip, machine, write_course

from tutorial_utils import synthetic
from tutorial_utils.cli import kit


@pytest.fixture(scope="module")
def tiny_set(tmp_path_factory):
    """Return a folder of six synthetic images."""
    folder = tmp_path_factory.mktemp("tiny") / "set"
    few = {"train": {"ants": 2, "bees": 2}, "val": {"ants": 1, "bees": 1}}
    return synthetic.write(folder, **few)


@pytest.fixture
def draws_five(monkeypatch):
    """Draw five images where all would be drawn."""
    write, few = synthetic.write, {"train": {"ants": 2, "bees": 1}, "val": {"ants": 1, "bees": 1}}
    monkeypatch.setattr(synthetic, "write", lambda folder, **more: write(folder, **few, **more))


@pytest.fixture
def course(tmp_path):
    """Return a folder of two tiny lessons, with solutions and figures."""
    return write_course(tmp_path)


@pytest.fixture
def teacher(tmp_path, monkeypatch, tiny_set):
    """Set up a machine whose caches have six images and AlexNet's weights."""
    equip(tmp_path / "teacher", monkeypatch, tiny_set)


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_set):
    """Return a kit."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        equip(folder / "teacher", patch, tiny_set)
        kit.make(folder / "class.zip", write_course(folder), quiet=True)
    return folder / "class.zip"


@pytest.fixture
def packed(made, tmp_path, monkeypatch):
    """Return a kit on a machine whose caches are empty."""
    machine(tmp_path / "pupil", monkeypatch)
    return Path(shutil.copy(made, tmp_path / "class.zip"))
