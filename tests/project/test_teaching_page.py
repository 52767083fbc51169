"""docs/teaching.md agrees with the lessons: minutes, sections, parameters."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = {path.name[:2]: path for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d\d", line)
]
MINUTES = [row for row in ROWS if len(row) == 5]
NOTES = [row for row in ROWS if len(row) == 4]
SLOW = [row for row in ROWS if len(row) == 2]


def text_of(lesson: str) -> str:
    return "\n".join(cell.source for cell in nbformat.read(LESSONS[lesson], as_version=4).cells)


def test_every_lesson_has_its_rows():
    assert [row[0][:2] for row in MINUTES] == [row[0] for row in NOTES] == sorted(LESSONS)


@pytest.mark.parametrize("row", MINUTES, ids=lambda row: row[0][:2])
def test_minutes_are_those_of_the_lesson(row):
    name, _, reading, computing, together = row
    text = text_of(name[:2])
    head = re.search(
        r"(\d+) minutes of reading. Computing .*?: (half a|\d+) minutes? offline", text
    )
    computed = {"half a": "½"}.get(head[2], head[2])
    assert (reading, computing) == (head[1], computed)
    exercises = len(re.findall(r"^(?:\*\*|## )Exercise \d", text, re.M))
    by_rule = int(head[1]) + float(computed.replace("½", "0.5")) + 10 * exercises
    assert name[:2] == "14" or abs(int(together) - by_rule) <= 5


@pytest.mark.parametrize("row", NOTES, ids=lambda row: row[0])
def test_what_can_be_skipped_is_a_section(row):
    text = text_of(row[0])
    for section in re.findall(r'"([^"]+)"', row[1]):
        assert f"## {section}\n" in text or f"## {section}" in text.splitlines()


@pytest.mark.parametrize("row", SLOW, ids=lambda row: row[0])
def test_parameters_for_slow_machines_exist(row):
    for lesson in row[0].split(", "):
        for parameter in re.findall(r"`(\w+) = \d+`", row[1]):
            assert re.search(rf"^{parameter}: int = ", text_of(lesson), re.M)
