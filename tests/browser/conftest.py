"""Fixtures for the tests of lessons in a browser: a JupyterLab server, a lesson that has run."""

from pathlib import Path

import chromium
import harness
import nbformat
import pytest

browser, chromium_path = chromium.browser, chromium.chromium_path
page, watch = chromium.page, chromium.watch


@pytest.fixture(scope="session")
def lab(chromium_path, tmp_path_factory, lessons_cache):
    """Start JupyterLab, a real one, and end it with its kernels."""
    server = harness.start_lab(tmp_path_factory.mktemp("lab"), lessons_cache)
    yield server
    server.stop()


@pytest.fixture
def open_lesson(lab, page, watch):
    """Return a function that opens a notebook by its name, runs it, and returns a `Lesson`.

    `open_lesson("06_training", epochs=2)` takes the lesson; a path takes any notebook. At the end
    of the test its page must have sent no request to another host and logged no error.
    """

    def opened(name, **parameters):
        source = name if isinstance(name, Path) else harness.ROOT / "notebooks" / f"{name}.ipynb"
        book = harness.with_parameters(nbformat.read(source, as_version=4), parameters)
        nbformat.write(book, lab.notebooks / source.name)
        return harness.open_notebook(lab, page, watch, source.name)

    yield opened
    lab.stop_kernels()
    watch.check()
