"""What all tests share: no network, caches of their own, the real photographs where they are."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(scope="session")
def lessons_cache(tmp_path_factory):
    """Return the cache that all lessons share, so that the pictures are drawn once for them."""
    return tmp_path_factory.mktemp("lessons-cache")


@pytest.fixture(autouse=True)
def _own_world(request, monkeypatch, tmp_path_factory, lessons_cache):
    """Keep every test off the network and out of the user's folders.

    Tests marked `photos` keep ANTS_BEES_DIR; all others must not see it.
    """
    monkeypatch.setenv("TUTORIAL_OFFLINE", "1")
    monkeypatch.setenv("TUTORIAL_PROGRESS", "0")
    whole_lesson = "lessons" in request.keywords
    cache = lessons_cache if whole_lesson else tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(cache))
    monkeypatch.setenv("TORCH_HOME", str(cache / "torch"))
    if "photos" not in request.keywords:
        monkeypatch.delenv("ANTS_BEES_DIR", raising=False)


def pytest_collection_modifyitems(items):
    """Skip what needs the real photographs where they are not, and say why."""
    folder = os.environ.get("ANTS_BEES_DIR", "")
    if folder and Path(folder).is_dir():
        return
    reason = "ANTS_BEES_DIR names no folder: the real photographs are not here"
    for item in items:
        if "photos" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))
