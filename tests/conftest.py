"""Fixtures of all tests: no network, separate caches, the photographs where they are available."""

import os
from pathlib import Path

import online
import pytest

os.environ.setdefault("MPLBACKEND", "agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # parallel workers share the processors
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))


def pytest_report_header():
    """Print which world the lessons' papermill runs take."""
    return online.describe()


def pytest_terminal_summary(terminalreporter):
    """Print in one line how many faults of `tests/faults` were tried and survived.

    It stands here, because with parallel workers the main process loads no conftest.py below.
    """
    outcomes = {
        kind: {report.nodeid for report in terminalreporter.getreports(kind) if _of_a_fault(report)}
        for kind in ("passed", "failed", "error", "skipped")
    }
    lost = outcomes["failed"] | outcomes["error"]
    survived = outcomes["passed"] - lost
    if survived or lost or outcomes["skipped"]:
        skipped = f", {len(outcomes['skipped'])} not tried here" if outcomes["skipped"] else ""
        text = f"faults: {len(survived | lost)} tried, {len(survived)} survived"
        terminalreporter.write_line(f"{text}, {len(lost)} not{skipped}")


def _of_a_fault(report):
    return report.nodeid.startswith("tests/faults/")


@pytest.fixture(scope="session")
def lessons_cache(tmp_path_factory):
    """Return a cache that all lessons share, so that the synthetic images are drawn once.

    Parallel workers share it too: their own temporary folders lie side by side.
    """
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "lessons-cache"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(autouse=True)
def _own_world(request, monkeypatch, tmp_path_factory, lessons_cache):
    """Keep every test off the network and out of the user's folders.

    Tests marked `photos` or `any_images` keep ANTS_BEES_DIR; all others must not see it.
    """
    monkeypatch.setenv("TUTORIAL_OFFLINE", "1")
    monkeypatch.setenv("TUTORIAL_PROGRESS", "0")
    whole_lesson = "lessons" in request.keywords
    if whole_lesson:  # `online` has files of other content under the names of ImageNet's weights
        monkeypatch.setenv("ANTS_BEES_UNVERIFIED_WEIGHTS", "1")
    cache = lessons_cache if whole_lesson else tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(cache))
    monkeypatch.setenv("TORCH_HOME", str(cache / "torch"))
    if not {"photos", "any_images"} & set(request.keywords):
        monkeypatch.delenv("ANTS_BEES_DIR", raising=False)


@pytest.fixture
def home(monkeypatch, tmp_path):
    """Make the test's own folder the home folder, and return it."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(items):
    """Mark the tests in `book` and `browser`; skip those that lack photographs or a GPU."""
    for item in items:
        if item.path.parent.name in ("book", "browser"):
            item.add_marker(item.path.parent.name)
    folder, reasons = os.environ.get("ANTS_BEES_DIR", ""), {}
    if not (folder and Path(folder).is_dir()):
        reasons["photos"] = "ANTS_BEES_DIR names no folder with the photographs"
    if any(item.get_closest_marker("gpu") for item in items):
        import torch  # most tests need it, but not all runs have one of these

        if not torch.cuda.is_available():
            reasons["gpu"] = "no GPU that CUDA can use"
    for item in items:
        for name, reason in reasons.items():
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))
