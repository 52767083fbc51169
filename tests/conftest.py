"""What all tests share: no network, caches of their own, the real photographs where they are."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # workers side by side share the processors
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))


@pytest.fixture(scope="session")
def lessons_cache(tmp_path_factory):
    """Return the cache that all lessons share, so that the images are drawn once for them.

    Workers side by side share it too: each has a folder of its own in one for all.
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
    cache = lessons_cache if whole_lesson else tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ANTS_BEES_CACHE", str(cache))
    monkeypatch.setenv("TORCH_HOME", str(cache / "torch"))
    if not {"photos", "any_images"} & set(request.keywords):
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
