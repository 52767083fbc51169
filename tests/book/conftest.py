"""Fixtures for the book's tests: the book with the stored outputs, built once for all of them."""

import os
from pathlib import Path
from typing import NamedTuple

import chromium
import pytest
from building import build
from filelock import FileLock

browser, chromium_path = chromium.browser, chromium.chromium_path
page, watch = chromium.page, chromium.watch


class Book(NamedTuple):
    """A built book: its folder, and what the build printed."""

    folder: Path
    printed: str

    def pages(self, below: str = "") -> list[Path]:
        """Return the pages of a folder of the book and below it."""
        found = (self.folder / below).rglob("*.html")
        return sorted(path for path in found if "_static" not in path.parts)


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """Build the book without executed lessons. Parallel workers share it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out, log = base / "book" / "html", base / "book.log"
    with FileLock(base / "book.lock"):
        if not log.exists():
            done = build(out, "-D", f"executed_lessons={base / 'none'}")
            log.write_text(done.stdout + done.stderr, encoding="utf-8")
    return Book(out, log.read_text(encoding="utf-8"))
