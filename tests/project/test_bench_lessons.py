"""Time and memory of the lessons: how they are written, and that the heads are current."""

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import lessons as bench_lessons  # noqa: E402

ROWS = json.loads((ROOT / "bench" / "lessons.json").read_text(encoding="utf-8"))["rows"]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12, "half a minute"), (31, "1 minute"), (60, "1 minute"), (61, "2 minutes")],
)
def test_durations_are_rounded_up(seconds, text):
    assert bench_lessons.minutes(seconds) == text


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_the_head_says_what_was_measured(path):
    found = {row["world"]: row for row in ROWS if row["lesson"] == path.stem}
    head = nbformat.read(path, as_version=4).cells[0].source
    assert bench_lessons.COMPUTING.sub(bench_lessons.head(found), head) == head
    assert bench_lessons.COMPUTING.search(head)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['lesson']}-{row['world']}")
def test_every_lesson_fits_into_binders_memory(row):
    assert row["status"] == "ok"
    assert row["killed"] == 0
    assert row["peak_gib"] < 2


def test_the_head_is_replaced_and_the_rest_stays():
    row = {"seconds": 40, "peak_gib": 1.31}
    text = (
        "**Time.** 9 minutes of reading. Computing on two CPU cores: ? offline, ? online, and the "
        "first download before it (47 MB). Memory: ? offline, ? online.\n\nMore."
    )
    new = bench_lessons.COMPUTING.sub(bench_lessons.head({"offline": row, "online": row}), text)
    assert re.search(r"cores: 1 minute offline, 1 minute online, and the .*MB\). Memory: 1.4", new)
    assert new.endswith("1.4 GiB offline, 1.4 GiB online.\n\nMore.")


def test_the_page_about_performance_has_the_table():
    page = bench_lessons.PAGE.read_text(encoding="utf-8")
    assert bench_lessons.with_table(page, ROWS) == page
    assert len(re.findall(r"^\| \[\d\d\]", page, re.M)) == len(LESSONS)
