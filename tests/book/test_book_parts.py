"""docs/book_parts.py: which lessons are shown, and that a warning ends the build."""

import json
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from building import build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def book_parts():
    sys.path.insert(0, str(ROOT / "docs"))
    import book_parts

    return book_parts


def notebook(path: Path, *sources: str, output: str = "") -> Path:
    """Write a notebook: a title and code cells, the last one with an output."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 00 One")])
    book.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}  # a kernel's
    book.cells += [nbformat.v4.new_code_cell(source) for source in sources]
    if output:
        data = {"text/plain": output, "application/vnd.tutorial.result+json": {}}
        book.cells[-1].outputs = [nbformat.v4.new_output("display_data", data)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


def test_an_executed_lesson_is_shown_if_it_is_the_same_lesson(book_parts, tmp_path):
    notebook(tmp_path / "notebooks" / "00_one.ipynb", "a = 1")
    ran = tmp_path / "lessons"
    assert book_parts.executed("00_one", ran, tmp_path) is None
    path = notebook(ran / "00_one.ipynb", "a = 1", output="ran")
    assert book_parts.executed("00_one", ran, tmp_path) == path
    book = nbformat.read(path, as_version=4)
    tagged = nbformat.v4.new_code_cell("a = 2", metadata={"tags": ["injected-parameters"]})
    book.cells.insert(1, tagged)
    nbformat.write(book, path)
    assert book_parts.executed("00_one", ran, tmp_path) == path
    notebook(tmp_path / "notebooks" / "00_one.ipynb", "a = 1  # changed")
    assert book_parts.executed("00_one", ran, tmp_path) is None


def small_book(root: Path, text: str) -> Path:
    """Make a repository with one page and one lesson."""
    (root / "docs").mkdir(parents=True)
    for name in ("conf.py", "book_parts.py"):
        shutil.copy(ROOT / "docs" / name, root / "docs")
    shutil.copytree(ROOT / "docs" / "_static", root / "docs" / "_static")
    shutil.copy(ROOT / "pyproject.toml", root)
    toc = "```{toctree}\n../notebooks/00_one\n```\n"
    (root / "docs" / "index.md").write_text(f"# Title\n\n{text}\n\n{toc}", encoding="utf-8")
    notebook(root / "notebooks" / "00_one.ipynb", "a = 1", "a", output="the stored output")
    return root


def test_the_executed_lessons_are_in_the_book(tmp_path):
    root = small_book(tmp_path / "repository", "[lesson](../notebooks/00_one.ipynb)")
    ran = root / "build" / "lessons"
    notebook(ran / "00_one.ipynb", "a = 1", "a", output="the output of this run")
    done = build(tmp_path / "html", source=root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "lessons: 1 executed by make lessons\n"
    text = (tmp_path / "html" / "notebooks" / "00_one.html").read_text(encoding="utf-8")
    assert "the output of this run" in text and "the stored output" not in text


def test_a_warning_ends_the_build_with_an_error(tmp_path):
    root = small_book(tmp_path / "repository", "[gone](gone.md)")
    done = build(tmp_path / "html", source=root)
    assert done.returncode == 1
    assert "gone" in done.stderr


def test_both_splitters_split_alike(book_parts):
    search = book_parts.SearchSizes({})
    assert search.split("a 1×1 kernel, 11 × 11, 2×3×4") == ["a", "1x1", "kernel", "11x11", "2x3x4"]
    assert json.dumps(search.js_splitter_code).count("splitQuery") == 1
