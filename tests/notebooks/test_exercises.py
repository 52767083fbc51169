"""The exercises: every one has a check and a worked answer, and every answer its exercise."""

import re
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

from tutorial_utils import checks
from tutorial_utils.batch import lessons

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
CALL = re.compile(r"^checks\.(\w+)\(", re.M)
TITLE = re.compile(r"^(?:\*\*|## )Exercise (\d+): (.+?)\.?(?:\*\*|$)", re.M)
MOST_LINES = 6

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)


def cells(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


def answers_of(path: Path) -> Path:
    return path.parent / "solutions" / path.name


def titles(path: Path) -> list[tuple[str, str]]:
    texts = [cell.source for cell in cells(path) if cell.cell_type == "markdown"]
    return TITLE.findall("\n".join(texts))


def asked(path: Path) -> dict[str, str]:
    """Return {check: its whole call} in the notebook's order."""
    code = [cell.source for cell in cells(path) if cell.cell_type == "code"]
    found = [(CALL.search(source), source) for source in code]
    return {match[1]: source[match.start() :].strip() for match, source in found if match}


def given(path: Path, name: str) -> str:
    """Return the code cell before the call of a check: the stub, or the answer."""
    code = [cell.source for cell in cells(path) if cell.cell_type == "code"]
    spot = next(
        i for i, source in enumerate(code) if re.search(rf"^checks\.{name}\(", source, re.M)
    )
    return code[spot - 1]


def lines(source: str) -> int:
    kept = [line.strip() for line in source.splitlines()]
    return sum(1 for line in kept if line and not line.startswith("#") and line[:3] != "...")


@every_lesson
def test_a_lesson_has_two_to_four_exercises_each_with_a_check_of_its_own(path):
    tagged = [cell for cell in cells(path) if "exercise" in cell.metadata.get("tags", [])]
    calls = asked(path)
    assert 2 <= len(tagged) <= 4
    assert len(calls) == len(tagged) == len(titles(path))
    held = {name for name, module in checks.names().items() if module == f"lesson{path.stem[:2]}"}
    assert set(calls) == held, "a check that no exercise uses, or the other way round"
    for name in calls:
        assert "..." in given(path, name), f"the stub of {name} has no ... to fill in"


@every_lesson
def test_every_exercise_has_its_answer_and_every_answer_its_exercise(path):
    there = answers_of(path)
    assert there.exists(), f"{there.name} has no worked answers"
    assert titles(there) == titles(path)
    assert asked(there) == asked(path)
    assert f"](../{path.name})" in cells(there)[0].source, "no link back to the lesson"
    lesson = "\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")
    assert f"](solutions/{path.name})" in lesson, "the lesson does not say where the answers are"


def test_no_two_checks_have_one_name():
    modules = sorted(set(checks.names().values()))
    listed = [import_module(f"tutorial_utils.checks.{module}").__all__ for module in modules]
    assert len(checks.names()) == sum(len(names) for names in listed)


def test_a_check_that_is_not_there_is_said_with_those_that_are():
    with pytest.raises(AttributeError, match="no check named 'moved_by'.*there are: .*all_but"):
        _ = checks.moved_by


def test_no_answers_without_a_lesson():
    found = {path.name for path in (ROOT / "notebooks" / "solutions").glob("*.ipynb")}
    assert found == {path.name for path in LESSONS}


@every_lesson
def test_an_answer_takes_at_most_six_lines(path):
    for name in asked(path):
        written = lines(given(answers_of(path), name)) - lines(given(path, name))
        assert written <= MOST_LINES, f"{name}: {written} lines"


@every_lesson
def test_a_lesson_as_it_is_says_not_answered_yet(path):
    for cell in cells(path):
        if cell.cell_type == "code" and CALL.search(cell.source):
            assert [o["data"]["text/plain"] for o in cell.outputs] == ["not answered yet"]


@pytest.mark.lessons
@every_lesson
def test_the_worked_answers_pass_the_same_checks(path, tmp_path):
    row = lessons.run_notebook(answers_of(path), tmp_path / path.name, {})
    assert row["status"] == "ok", row["error"]
    said = {
        CALL.search(cell.source)[1]: cell.outputs[0]["data"]["text/plain"]
        for cell in cells(tmp_path / path.name)
        if cell.cell_type == "code" and CALL.search(cell.source)
    }
    assert set(said) == set(asked(path))
    assert all(text.startswith("right: ") for text in said.values()), said


@every_lesson
def test_every_prediction_has_its_reveal(path):
    text = "\n".join(cell.source for cell in cells(path) if cell.cell_type == "markdown")
    quotes = [part for part in re.findall(r"(?:^>.*\n?)+", text, re.M) if "**Predict.**" in part]
    assert len(quotes) == text.count("> **Predict.**")
    for quote in quotes:
        assert re.search(r"<details><summary>Reveal</summary>.{3,}</details>", quote), quote[:80]
