"""The lessons as HTML pages, as `make lessons` writes them: axe finds nothing serious in them."""

import shutil

import harness
import pytest

from tutorial_utils.batch import lessons

LESSONS = lessons.find_lessons()


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_axe_finds_nothing_serious(path, page, tmp_path):
    # The whole page, what nbconvert made of it included: nothing is left out.
    shutil.copytree(harness.ROOT / "images", tmp_path / "images")
    copy = tmp_path / "lessons" / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)
    assert harness.axe(page, lessons.to_html(copy)) == []


def test_nbconverts_own_page_would_not_pass(page, tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "READABLE", "")
    copy = tmp_path / LESSONS[0].name
    shutil.copy(LESSONS[0], copy)
    found = harness.axe(page, lessons.to_html(copy))
    rules = {finding.split()[1] for finding in found}
    assert rules == {"color-contrast", "link-in-text-block"}
