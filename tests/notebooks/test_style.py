"""The lessons' style, counted: cells, prose, headings, alt text, opening, closing, hygiene."""

import ast
import json
import re
import subprocess
from pathlib import Path

import nbformat
import pytest

from tutorial_utils import lesson

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
NAMES = [
    "00_start_here",
    "01_ants_and_bees",
    "02_alexnet",
    "03_vgg16",
    "04_freezing",
    "05_head_swap",
    "06_training",
    "07_curves",
    "08_vgg16",
    "09_caching",
    "10_fine_tuning",
    "11_what_it_sees",
    "12_your_own_classes",
    "13_one_run",
    "14_capstone",
]
# How learners are talked to: no hype, no haste.
HYPE = re.compile(r"\b(amazing|awesome|incredible|simply|obviously|powerful|magic|easy)\b", re.I)
# Folders of one machine, in prose or in a stored output. Written in two parts, so that this file
# does not match itself.
MACHINE = re.compile("/(?:work|root|home|farm|Users|tmp)" + r"/\w")

STORED = re.compile(r"^> \*Stored run\* \(synthetic images, demo weights\): (.+)$", re.M)
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
TIME = re.compile(
    r"^\*\*Time\.\*\* \d+ minutes of reading\. Computing on two CPU cores: [\w ]+ offline, [\w ]+ "
    r"online(?:, and the first download before it \([^)]*\d+ MB[^)]*\))?\. "
    r"Memory: \d\.\d GiB offline, \d\.\d GiB online\.$",
    re.M,
)

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def lines_of_code(source: str) -> int:
    return sum(1 for line in source.splitlines() if line.strip())


def words(source: str) -> int:
    """Count the words that are in sight; what is folded away is read one at a time."""
    source = re.sub(r"<details>.*?</details>", "", source, flags=re.S)
    text = re.sub(r"`[^`]*`|!?\[([^\]]*)\]\([^)]*\)", r"\1 x", source)
    return len(re.findall(r"[\w'-]+", text))


def prose_between(book) -> list[str]:
    """Return the texts between two code cells, opening and closing left out."""
    kinds = [cell.cell_type for cell in book.cells]
    first, last = kinds.index("code"), len(kinds) - 1 - kinds[::-1].index("code")
    inner, text = [], ""
    for cell in book.cells[first : last + 1]:
        if cell.cell_type == "markdown":
            text += "\n\n" + cell.source
        elif text:
            inner.append(text)
            text = ""
    return [text for text in inner if "## What you saw" not in text]


def test_the_lessons_are_there():
    assert [path.stem for path in LESSONS] == NAMES


@every_lesson
def test_code_cells_are_short(path):
    too_long = {
        number: lines_of_code(cell.source)
        for number, cell in enumerate(read(path).cells)
        if cell.cell_type == "code" and lines_of_code(cell.source) > 15
    }
    assert not too_long, f"code cells of over 15 lines: {too_long}"


@every_lesson
def test_never_three_code_cells_without_prose(path):
    kinds = "".join(cell.cell_type[0] for cell in read(path).cells)
    assert "ccc" not in kinds, f"cells {kinds.index('ccc')} and the next two have no prose between"


@every_lesson
def test_prose_between_cells_is_neither_thin_nor_a_wall(path):
    counts = [words(text) for text in prose_between(read(path))]
    assert all(12 <= count <= 230 for count in counts), counts
    middle = sorted(counts)[len(counts) // 2]
    assert 20 <= middle <= 110, f"half of the texts have over {middle} words"


@every_lesson
def test_headings(path):
    level, sections = 0, 0
    for cell in read(path).cells:
        if cell.cell_type != "markdown":
            continue
        for marks in re.findall(r"^(#+) ", cell.source, re.M):
            assert len(marks) <= level + 1, f"a heading skips a level: {cell.source[:60]!r}"
            assert level == 0 or len(marks) > 1, "only one title"
            level, sections = len(marks), sections + (len(marks) == 2)
    # The set-up, the exercises and "What you saw" frame four to seven sections.
    assert 6 <= sections <= 10, f"{sections} sections"


@every_lesson
def test_opening(path):
    opening = read(path).cells[0].source
    assert opening.startswith(f"# {path.stem[:2]} "), "the title starts with the lesson's number"
    for part in ("**The question.**", "**Time.**", "**Before this.**", "you will"):
        assert part in opening, f"{part!r} is missing"
    assert 3 <= len(re.findall(r"^- ", opening, re.M)) <= 5, "3 to 5 objectives"
    assert "understand" not in opening.lower(), "objectives have verbs that can be seen"
    assert f"urlpath=lab/tree/notebooks/{path.name}" in opening
    assert re.search(rf"/blob/[\w.-]+/notebooks/{path.name}\)", opening)


@every_lesson
def test_closing_answers_every_objective(path):
    book = read(path)
    texts = [cell.source for cell in book.cells if cell.cell_type == "markdown"]
    closing = texts[-1]
    assert closing.startswith("## What you saw")
    objectives = len(re.findall(r"^- ", texts[0], re.M))
    answers = closing.split("**Limits.**")[0]
    assert len(re.findall(r"^- ", answers, re.M)) == objectives
    for part in ("**Limits.**", "**Sources.**", "**Next.**"):
        assert part in closing, f"{part!r} is missing"


@every_lesson
def test_links_between_lessons_lead_somewhere(path):
    for cell in read(path).cells:
        for target in re.findall(r"\]\(([\w./-]+\.(?:ipynb|md|png))\)", cell.source):
            assert (path.parent / target).exists(), f"{target} is not there"


@every_lesson
def test_predict_and_check(path):
    text = "\n".join(cell.source for cell in read(path).cells)
    assert text.count("**Predict.**") >= 3
    assert text.count("**Check.**") >= text.count("**Predict.**")


@every_lesson
def test_parameters_and_result(path):
    book = read(path)
    tagged = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    for line in filter(str.strip, tagged[0].source.splitlines()):
        assert re.match(r"\w+: (int|float|str|bool) = ", line), f"not annotated: {line}"
    code = "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    assert "lesson.check(globals()" in code
    assert "lesson.report(" in code
    assert re.search(rf'"{path.stem}"', code), "the result names its lesson"


@every_lesson
def test_no_variable_hides_a_module_of_the_package(path):
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", "\n".join(cells), flags=re.M))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules = {
        alias.name for node in imports if "tutorial_utils" in node.module for alias in node.names
    }
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    assert not modules & assigned


@every_lesson
def test_every_image_has_alt_text(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"!\[\s*\]\(", cell.source), cell.source[:80]
        for output in cell.get("outputs", []):
            shown = output.get("data", {})
            assert lesson.LIVE not in shown, "a widget without its kernel: make notebooks"
            assert "image/png" not in shown, "a figure shown without plots.show has no alt text"
            for tag in re.findall(r"<img[^>]*>", "".join(shown.get("text/html", ""))):
                assert re.search(r'alt="[^"]{10,}"', tag), tag[:80]


@every_lesson
def test_a_stored_run_quotes_only_numbers_of_the_outputs_above_it(path):
    outputs, quotes = "", 0
    for cell in read(path).cells:
        for output in cell.get("outputs", []):
            outputs += f" {output.get('text', '')} {output.get('data', {}).get('text/plain', '')}"
        for quote in STORED.findall(cell.source if cell.cell_type == "markdown" else ""):
            quotes += 1
            missing = set(NUMBER.findall(quote)) - set(NUMBER.findall(outputs))
            assert not missing, f"{sorted(missing)} of {quote!r} stand in no output above"
    texts = "\n".join(cell.source for cell in read(path).cells)
    assert texts.count("Stored run") == quotes, "a quote that does not have the form of STORED"


@every_lesson
def test_the_plumbing_of_tests_stays_out_of_sight(path):
    for cell in read(path).cells:
        assert "NBVAL" not in cell.source
        if cell.cell_type == "code":
            assert not re.search(r"^\s*assert\b", cell.source, re.M), cell.source


@every_lesson
def test_times_and_memory_are_given_for_both_common_worlds(path):
    assert TIME.search(read(path).cells[0].source), f"no line of the form {TIME.pattern}"
    assert "](../docs/glossary.md)" in read(path).cells[0].source


@every_lesson
def test_every_exercise_has_one_folded_hint(path):
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    text = "\n".join(texts).partition("## What you saw")[0]
    exercises = text.partition("## Exercises")[2] or text  # lesson 14 has one in each section
    assert "**Exercise 1" in exercises
    for text in exercises.split("**Exercise ")[1:]:
        assert text.count("<details><summary>Hint</summary>") == 1, text[:60]


@every_lesson
def test_prose_has_no_hype(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"`[^`]*`|!\[|<!--", "", cell.source)
            assert "!" not in prose, f"an exclamation mark: {cell.source[:80]!r}"
            assert not HYPE.search(prose), f"{HYPE.search(prose)[0]!r} in {cell.source[:80]!r}"
            assert not re.search("[\U0001f000-\U0001faff\u2600-\u27bf]", prose), "an emoji"


@every_lesson
def test_stored_outputs_are_whole_and_clean(path):
    book = read(path)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code), "a cell was not run: make notebooks"
    numbers = [cell.execution_count for cell in code]
    assert numbers == sorted(numbers), "cells were run out of order: make notebooks"
    for cell in code:
        kinds = {output.output_type for output in cell.outputs}
        assert "error" not in kinds
        assert not any(output.get("name") == "stderr" for output in cell.outputs), cell.source
        assert set(cell.metadata) <= {"tags", "cellView", "jupyter"}, cell.metadata
    assert "widgets" not in book.metadata
    assert set(book.metadata) <= {"kernelspec", "language_info"}
    assert path.stat().st_size < 1_500_000


def committed() -> list[Path]:
    """Return the files that git knows; without git, none."""
    asked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    return [ROOT / name for name in asked.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_file_names_a_folder_of_one_machine():
    found = []
    for path in committed():
        if path.suffix in {".safetensors", ".png", ".jpg"}:
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":  # images inside are long random letters
            text = re.sub(r"base64,[^\\\"]+", "", text)
        found += [f"{path.name}: {match[0]}" for match in MACHINE.finditer(text)]
    assert not found, found


def test_no_large_file_but_the_weights():
    large = [
        path.name
        for path in committed()
        if path.suffix != ".safetensors" and path.stat().st_size > 2_000_000
    ]
    assert not large


def test_notebooks_are_json_that_github_reads():
    for path in LESSONS:
        raw = json.loads(path.read_text(encoding="utf-8"))
        assert raw["nbformat"] == 4
        assert "widgets" not in raw["metadata"]
