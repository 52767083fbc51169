"""Fixtures of the tests of kits: a tiny course, a teacher's machine, a kit on another machine."""

import pytest
import tiny_kits
from tiny_kits import equip, write_course

from tutorial_utils import synthetic

packed = tiny_kits.packed


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
    return tiny_kits.make_kit(tmp_path_factory.mktemp("made"), tiny_set)
