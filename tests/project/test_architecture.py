"""docs/architecture.md agrees with the code, and every module can be read in one sitting."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "tutorial_utils"
PAGE = ROOT / "docs" / "architecture.md"
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))

sys.path.insert(0, str(ROOT / "images"))

import architecture  # noqa: E402


def test_the_figure_shows_the_imports_of_today():
    assert architecture.TARGET.read_text(encoding="utf-8") == architecture.svg(), "make images"


def test_every_arrow_of_the_figure_points_down_or_sideways():
    height = {name: row for row, names in enumerate(architecture.layers()) for name in names}
    edges = architecture.imports()
    assert sum(map(len, edges.values())) > 30
    assert all(height[a] <= height[b] for a in edges for b in edges[a])


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix()
)
def test_a_module_has_at_most_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_lessons_use_the_top_level_and_no_support():
    code = "\n".join(path.read_text(encoding="utf-8") for path in LESSONS)
    assert "tutorial_utils._support" not in code
    for path in PACKAGE.glob("[a-z]*.py"):
        listed = rf"from tutorial_utils import [\w, ]*\b{path.stem}\b"
        used = re.search(listed, code) or path.stem in ("checkpoints", "history")  # by training
        assert used, f"no lesson uses {path.name}: it belongs into a subpackage"


def test_the_page_names_what_is_there():
    text = PAGE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]", line)]
    assert len(rows) >= 20
    for name in re.findall(r"`([\w./-]+(?:/|\.\w+))`", text):
        assert (ROOT / name).exists() or (PACKAGE / name).exists(), f"{name} is not there"
