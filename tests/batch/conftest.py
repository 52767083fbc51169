"""Fixtures of the tests of `batch`."""

from pathlib import Path

import pytest
from tiny_notebooks import MARK, PARAMETERS, REPORT, WAIT, pretend_to_run, write

from tutorial_utils.batch import runner, sweeps


@pytest.fixture
def tiny(tmp_path) -> Path:
    """Return a notebook that fails where `number` is 0 and marks every start in `folder`."""
    return write(tmp_path / "tiny.ipynb", PARAMETERS, MARK, WAIT, REPORT)


@pytest.fixture
def quick(monkeypatch, same_package):
    """Start no kernel: a run takes as long as it takes to write a file."""
    monkeypatch.setattr(runner, "run_papermill", pretend_to_run)


@pytest.fixture
def same_package(monkeypatch):
    """Keep the runs' keys the same when someone edits the package meanwhile."""
    monkeypatch.setattr(sweeps, "_package_code", lambda: "the package's code")
