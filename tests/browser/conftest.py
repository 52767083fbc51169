"""Fixtures for the tests in a browser: a JupyterLab server, Chromium, a lesson that has run."""

import os
from pathlib import Path

import harness
import nbformat
import pytest
from filelock import FileLock
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(items):
    """Mark everything in this folder `browser`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium_path(tmp_path_factory):
    """Return the browser to use. Without one, fail in CI and skip elsewhere."""
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    # With parallel workers one installs, and the others find what it installed.
    with FileLock(tmp_path_factory.getbasetemp().parent / "chromium.lock"):
        path = harness.find_chromium(own, lambda: harness.install_chromium(own))
    if path is None:
        harness.give_up(os.environ)
    return path


@pytest.fixture(scope="session")
def lab(chromium_path, tmp_path_factory, lessons_cache):
    """Start JupyterLab, a real one, and end it with its kernels."""
    server = harness.start_lab(tmp_path_factory.mktemp("lab"), lessons_cache)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser(chromium_path):
    """Start Chromium. For one file: Playwright's event loop must not run under other tests."""
    with sync_playwright() as playwright:
        program = harness.start_chromium(playwright, chromium_path)
        yield program
        program.close()


@pytest.fixture
def watch():
    """Return a record of what the pages of this test do."""
    return harness.Watch()


@pytest.fixture
def page(browser, watch):
    """Return a fresh page that is watched and reaches no other host."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(30_000)
    watch.follow(context)
    page = context.new_page()
    # Choosing a file: without this, Playwright turns its own chooser off and on again between two,
    # and may miss the second.
    page.on("filechooser", lambda chooser: None)
    yield page
    context.close()


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
