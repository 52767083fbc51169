"""The stored results: they are found again, and the tables and the curves are theirs."""

import importlib.util
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest

from tutorial_utils import history

ROOT = Path(__file__).resolve().parent.parent.parent


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "images" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def measure():
    return script("measure")


def test_stored_runs_are_not_repeated(measure, monkeypatch, capsys):
    monkeypatch.setattr(measure.training, "fit", None)  # would fail if it were called
    for origin in ("synthetic", "folder"):
        measure.measure(Namespace(origin=origin), "alexnet", "demo", seeds=3)
    assert capsys.readouterr().out.count("stored: ") == 6


def test_a_run_is_stored_beside_the_others(measure, monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results.json")
    score = history.Score(0.5, 3, 4)
    for key in ("a", "b"):
        measure.store(key, history.History([history.Epoch(1, score, score, 2.0)]))
    found = measure.read()
    assert list(found) == ["a", "b"] and found["a"] == found["b"]
    assert found["a"][0]["val_accuracy"] == 0.75


@pytest.mark.parametrize("name", ["README.md", "docs/results.md"])
def test_a_page_has_the_table_of_the_stored_runs(measure, name):
    page = (ROOT / name).read_text(encoding="utf-8")
    rows = [line.split("|")[4:] for line in measure.table(measure.read()).splitlines()[2:]]
    assert len(rows) == 5
    for cells in rows:
        assert "|".join(cells) in page


def test_the_curves_are_the_stored_runs():
    axes = script("make_images").curves().axes
    assert len(axes) == 2 and all(axis.lines for axis in axes)
