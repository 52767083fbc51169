"""What all tests share: no network, caches of their own, the real photographs where they are."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(autouse=True)
def _own_world(request, monkeypatch, tmp_path_factory):
    """Keep every test off the network and out of the user's folders.

    Tests marked `photos` keep ANTS_BEES_DIR; all others must not see it.
    """
    monkeypatch.setenv("TUTORIAL_OFFLINE", "1")
    monkeypatch.setenv("TUTORIAL_PROGRESS", "0")
    if "lessons" not in request.keywords:
        monkeypatch.setenv("ANTS_BEES_CACHE", str(tmp_path_factory.mktemp("cache")))
        monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
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
