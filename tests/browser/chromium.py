"""Fixtures for every test that opens a page: the browser, and a page that is watched."""

import os
from pathlib import Path

import harness
import pytest
from filelock import FileLock
from playwright.sync_api import sync_playwright


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
