"""Tests of the exercises: each has a check and a worked answer, and each answer an exercise."""

import re
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

from tutorial_utils import checks
from tutorial_utils.batch import runner
from tutorial_utils.batch.limits import Limits

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
CALL = re.compile(r"^checks\.(\w+)\(", re.M)
TITLE = re.compile(r"^(?:\*\*|## )Exercise (\d+): (.+?)\.?(?:\*\*|$)", re.M)
MOST_LINES = 6
MOST_EXERCISES = {"14_capstone": 6}  # 4 in every other lesson
TEXTS = {"model_card"}  # answers that are texts, of any length

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)


def cells(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


def answers_of(path: Path) -> Path:
    return path.parent / "solutions" / path.name


def titles(path: Path) -> list[tuple[str, str]]:
    texts = [cell.source for cell in cells(path) if cell.cell_type == "markdown"]
    return TITLE.findall("\n".join(texts))


def calls_of(path: Path) -> dict[str, str]:
    """Return {check: its whole call} in the notebook's order."""
    code = [cell.source for cell in cells(path) if cell.cell_type == "code"]
    found = [(CALL.search(source), source) for source in code]
    return {match[1]: source[match.start() :].strip() for match, source in found if match}


def cell_before(path: Path, name: str) -> str:
    """Return the code cell before the call of a check: the stub, or the answer."""
    code = [cell.source for cell in cells(path) if cell.cell_type == "code"]
    index = next(
        i for i, source in enumerate(code) if re.search(rf"^checks\.{name}\(", source, re.M)
    )
    return code[index - 1]


def lines(source: str) -> int:
    stripped = [line.strip() for line in source.splitlines()]
    return sum(1 for line in stripped if line and not line.startswith("#") and line[:3] != "...")


@every_lesson
def test_a_lesson_has_two_to_four_exercises_each_with_a_check_of_its_own(path):
    tagged = [cell for cell in cells(path) if "exercise" in cell.metadata.get("tags", [])]
    calls = calls_of(path)
    assert 2 <= len(tagged) <= MOST_EXERCISES.get(path.stem, 4)
    assert len(calls) == len(tagged) == len(titles(path))
    found = {name for name, module in checks.names().items() if module == f"lesson{path.stem[:2]}"}
    assert set(calls) == found, "a check that no exercise uses, or the other way round"
    for name in calls:
        assert "..." in cell_before(path, name), f"the stub of {name} has no ... to fill in"


@every_lesson
def test_every_exercise_has_its_answer_and_every_answer_its_exercise(path):
    answers = answers_of(path)
    assert answers.exists(), f"{answers.name} has no worked answers"
    assert titles(answers) == titles(path)
    assert calls_of(answers) == calls_of(path)
    assert f"](../{path.name})" in cells(answers)[0].source, "no link back to the lesson"
    lesson = "\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")
    assert f"](solutions/{path.name})" in lesson, "the lesson does not link its answers"


def test_no_two_checks_have_one_name():
    modules = sorted(set(checks.names().values()))
    listed = [import_module(f"tutorial_utils.checks.{module}").__all__ for module in modules]
    assert len(checks.names()) == sum(len(names) for names in listed)


def test_an_unknown_check_raises_with_those_that_exist():
    with pytest.raises(AttributeError, match="no check named 'moved_by'.*: .*all_but_last"):
        _ = checks.moved_by


def test_no_answers_without_a_lesson():
    found = {path.name for path in (ROOT / "notebooks" / "solutions").glob("*.ipynb")}
    assert found == {path.name for path in LESSONS}


@every_lesson
def test_an_answer_takes_at_most_six_lines(path):
    for name in set(calls_of(path)) - TEXTS:
        written = lines(cell_before(answers_of(path), name)) - lines(cell_before(path, name))
        assert written <= MOST_LINES, f"{name}: {written} lines"


@every_lesson
def test_an_unanswered_lesson_prints_not_answered_yet(path):
    for cell in cells(path):
        if cell.cell_type == "code" and CALL.search(cell.source):
            assert [o["data"]["text/plain"] for o in cell.outputs] == ["not answered yet"]


@pytest.mark.lessons
@every_lesson
def test_the_worked_answers_pass_the_same_checks(path, tmp_path):
    book = nbformat.read(answers_of(path), as_version=4)
    error = runner.run_in_place(book, tmp_path, Limits())
    assert error in (None, runner.NO_RESULT)  # only the capstone's answers report a result
    texts = {
        CALL.search(cell.source)[1]: cell.outputs[0]["data"]["text/plain"]
        for cell in book.cells
        if cell.cell_type == "code" and CALL.search(cell.source)
    }
    assert set(texts) == set(calls_of(path))
    assert all(text.startswith("correct: ") for text in texts.values()), texts


@every_lesson
def test_every_prediction_has_its_reveal(path):
    text = "\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")
    quotes = [part for part in re.findall(r"(?:^>.*\n?)+", text, re.M) if "**Predict.**" in part]
    assert len(quotes) == text.count("> **Predict.**")
    for quote in quotes:
        assert re.search(r"<details><summary>Reveal</summary>.{3,}</details>", quote), quote[:80]
