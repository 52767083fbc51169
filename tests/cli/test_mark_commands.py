"""Tests of the commands `mark` and `progress`."""

import pandas
import pytest
import tiny_submissions as tiny

from tutorial_utils.batch import marking
from tutorial_utils.cli.main import main

ROWS = [
    ["a.ipynb", "00_tiny", 1, "accuracy_of", "right", "correct: yes"],
    ["a.ipynb", "00_tiny", 2, "mistakes", "wrong", "not yet: no. Hint: think"],
    ["b\x1b[2J.ipynb", "", 0, "", "error", "the file is empty"],
]


@pytest.fixture
def marked(monkeypatch):
    """Give this table for every folder, and return what was asked for."""
    asked = []

    def mark(folder, **more):
        asked.append({"folder": folder} | more)
        return pandas.DataFrame(ROWS, columns=marking.COLUMNS)

    monkeypatch.setattr(marking, "mark", mark)
    monkeypatch.setattr(marking, "mark_own", mark)
    return asked


def test_mark_writes_the_table_and_names_what_it_could_not_mark(marked, tmp_path, capsys):
    out = tmp_path / "marks.csv"
    limits = ["--seconds", "5", "--memory", "0.5", "--jobs", "3"]
    assert main(["mark", str(tmp_path), "--out", str(out), *limits]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("This runs what the notebooks hold")
    assert "1 right, 1 wrong, 1 error, 0 open\n" in printed
    assert "not marked: b\\x1b[2J.ipynb: the file is empty\n" in printed
    assert len(pandas.read_csv(out)) == 3
    assert marked[0]["limits"][:3] == (5, 2**29, 3)


def test_mark_overwrites_nothing_and_marks_nothing_in_vain(marked, tmp_path, capsys):
    (tmp_path / "marks.csv").write_text("remarks")
    for out, text in (("marks.csv", "exists: choose another name"), ("x/m.csv", "no folder")):
        assert main(["mark", str(tmp_path), "--out", str(tmp_path / out)]) == 1
        assert text in capsys.readouterr().err
    assert marked == []


def test_progress_prints_a_line_for_each_lesson_and_the_hints(marked, tmp_path, capsys):
    assert main(["progress", "--folder", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "00_tiny                1 right, 1 wrong, 0 error, 0 open",
        "    exercise 2, mistakes: not yet: no. Hint: think",
    ]
    assert " ".join(lines[-1].split()) == "in all 1 right, 1 wrong, 1 error, 0 open"


@pytest.mark.parametrize("wrong", ["--jobs 0", "--seconds -1", "--memory x", "--seconds nan"])
def test_a_limit_is_a_number_above_zero(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["progress", *wrong.split()])
    assert "must be a number above 0" in capsys.readouterr().err


@pytest.mark.long
def test_progress_runs_a_learners_own_copy(tmp_path, capsys):
    course = tiny.write_course(tmp_path)
    tiny.write(course / "00_tiny.ipynb", tiny.answered(tiny.ANSWER, "mistakes = [0]"))
    assert main(["progress", "--folder", str(course)]) == 0
    printed = capsys.readouterr().out
    assert (
        "00_tiny                1 right, 1 wrong, 0 error, 0 open\n    exercise 2, mis" in printed
    )
    assert "03_other               0 right, 0 wrong, 0 error, 1 open\n" in printed
