"""Thirty damaged submissions, marked together: each gets its row, and none stops the others."""

import os
import re
import sys

import pytest
import tiny_submissions as tiny
from tiny_submissions import ANSWER, CELLS, OTHER, SECOND, STUB, WRONG, answered

from tutorial_utils.batch import marking

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each has a process: too slow"),
]
PRINTS = "print('correct: ' * 9)\nclass V:\n    state = 'correct'\n"
REDEFINED = (
    f"class checks:\n    accuracy_of = print\n{PRINTS}    __repr__ = lambda self: 'correct'\n"
)
PATCHED = """import sys
import tutorial_utils.checks as c
from tutorial_utils.checks import lesson00, verdict
right = lambda *a, **b: verdict.Verdict("correct", "correct: yes")
for module in [c, lesson00, verdict, *sys.modules.values()]:
    for name in ("accuracy_of", "expect", "compare", "same"):
        if hasattr(module, name):
            setattr(module, name, right)
import builtins, torch
builtins.isinstance = lambda *given: True
torch.equal = right
"""
FORGED = """import os
for descriptor in range(3, 200):
    try:
        os.write(descriptor, b'["right", "correct: yes"]\\n')
    except OSError:
        pass
"""
LIAR = "    __repr__ = lambda self: 'correct: yes'\ndef accuracy_of(scores, labels): return V()"
KILLS_PARENT = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"
MOVED = [CELLS[0], ("own-1", "import math"), *CELLS[3:], ("own-2", "x = 1"), ("00-x01", ANSWER)]
USES_ADDED = "def accuracy_of(scores, labels):\n    return share(scores.argmax(1) == labels)"
ADDED = [CELLS[0], ("own", "def share(hits):\n    return hits.float().mean()")]
SWAPPED = {"00-x01": "def wrong(): ...", "own-3": ANSWER}
TWICE = [*answered(WRONG)[:3], ("00-x01", ANSWER), *CELLS[3:]]

# {name: (cells, state of exercise 1, state of exercise 2, words of the text of exercise 1)}
MARKED = {
    "right": (answered(ANSWER, SECOND), "right", "right", "correct: "),
    "wrong": (answered(WRONG, "mistakes = [0]"), "wrong", "wrong", "not yet: .*Hint: "),
    "open": (CELLS, "open", "open", "not answered yet"),
    "Ünïcödé 蟻": (answered(ANSWER), "right", "open", "correct: "),
    "loop": (answered("while True: pass", SECOND), "error", "right", "TimeoutError: no result"),
    "loop-in-answer": (answered(f"{STUB[:40]}\n    while True: pass"), "error", "open", "Timeout"),
    "memory": (answered("x = bytearray(10**11)", SECOND), "error", "right", "MemoryError"),
    "slow-memory": (answered("x = []\nwhile 1: x += [0] * 10**6"), "error", "open", "MemoryError"),
    "exit": (answered(f"{ANSWER}\nexit()", SECOND), "error", "right", "SystemExit|NameError"),
    "sys-exit": (answered(f"import sys\n{ANSWER}\nsys.exit(0)"), "error", "open", "SystemExit"),
    "os-exit": (answered("import os\nos._exit(0)", SECOND), "error", "right", "ended its own proc"),
    "os-exit-in-answer": (
        answered(ANSWER + ", __import__('os')._exit(0)"),
        "error",
        "open",
        "ended",
    ),
    "crash": (answered("import ctypes\nctypes.string_at(0)"), "error", "open", "SIGSEGV"),
    "kills-parent": (
        answered(KILLS_PARENT, SECOND),
        "error",
        "right",
        "NameError|the process that marks",
    ),
    "no-check": ([c for c in answered(ANSWER) if c[0] != "00-x02"], "right", "open", "correct: "),
    "redefined": (answered(f"{WRONG}\n{REDEFINED}"), "wrong", "open", "not yet: "),
    "patched": (answered(f"{WRONG}\n{PATCHED}", SECOND), "wrong", "right", "not yet: "),
    "forged": (answered(f"{FORGED}\nos._exit(0)"), "error", "open", "ended its own process"),
    "liar": (answered(f"{PRINTS}{LIAR}"), "wrong", "open", "not yet: "),
    "syntax": (answered("def accuracy_of(:", SECOND), "error", "right", "SyntaxError: "),
    "output": (answered(f"print('correct ' * 7 * 10**6)\n{WRONG}"), "wrong", "open", "not yet: "),
    "raises": (answered(f"{ANSWER}\n1 / 0", SECOND), "error", "right", "ZeroDivisionError: "),
    "moved": (MOVED, "right", "open", "correct: "),
    "added": ([*ADDED, *answered(USES_ADDED)[1:]], "right", "open", "correct: "),
    "copied": ([*CELLS, ("own-3", ANSWER)], "right", "open", "correct: "),
    "twice": (TWICE, "right", "open", "correct: "),
    "no-network": (
        answered(f"import socket\n{ANSWER}\nsocket.getaddrinfo('a.org', 80)"),
        "error",
        "open",
        "network|resol",
    ),
}
# {name: text} of what cannot be marked
UNMARKED = {
    "empty.ipynb": "the file is empty",
    "text.ipynb": "it is no notebook: it is not JSON",
    "binary.ipynb": "it is no notebook: it is not UTF-8",
    "list.ipynb": "no list of cells",
    "foreign.ipynb": "no exercise cells of a lesson found",
    "folder.ipynb": "it is a folder",
    "huge.ipynb": "clear its outputs",
    "dangling.ipynb": "it is not a regular file",
}


def write_unmarked(folder):
    (folder / "empty.ipynb").write_text("")
    (folder / "text.ipynb").write_text("Dear teacher,")
    (folder / "binary.ipynb").write_bytes(b"\xff\xfe\x00PK")
    (folder / "list.ipynb").write_text("[1]")
    tiny.write(folder / "foreign.ipynb", [("a", "x = 1")])
    (folder / "folder.ipynb").mkdir()
    with (folder / "huge.ipynb").open("wb") as file:
        file.truncate(10**10)
    os.symlink("nowhere", folder / "dangling.ipynb")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Return {submission: {exercise: row}} of all of them, marked in one go."""
    base = tmp_path_factory.mktemp("class")
    folder = base / "submitted"
    for name, (cells, *_) in MARKED.items():
        tiny.write(folder / f"class a/{name}.ipynb", cells)
    tiny.write(folder / "no-ids.ipynb", answered(ANSWER, SECOND), ids=False)
    tiny.write(folder / "outputs.ipynb", answered(ANSWER), output="correct " * 13 * 10**5)
    tiny.write(
        folder / "other.ipynb", [(OTHER[0][0], "def saving(width):\n    return 2"), OTHER[1]]
    )
    write_unmarked(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTS_BEES_CACHE", str(base / "cache"))
        limits = marking.AnswerLimits(seconds=10, memory_bytes=2**30, jobs=3)
        table = marking.mark(
            folder, notebooks=tiny.write_course(base / "course"), limits=limits, quiet=True
        )
    found = {}
    for row in table.to_dict("records"):
        found.setdefault(row["submission"], {})[row["exercise"]] = row
    return found


@pytest.mark.parametrize("name", MARKED)
def test_a_damaged_answer_gets_its_row(rows, name):
    _, first, second, words = MARKED[name]
    found = rows[f"class a/{name}.ipynb"]
    assert (found[1]["state"], found[2]["state"]) == (first, second), found
    assert re.search(words, found[1]["text"]), found[1]["text"]


@pytest.mark.parametrize("name", UNMARKED)
def test_what_is_no_submission_gets_a_row_that_says_why(rows, name):
    (row,) = rows[name].values()
    assert row["state"] == "error" and row["lesson"] == ""
    assert UNMARKED[name] in row["text"]


def test_lost_ids_stored_outputs_and_another_lesson(rows):
    assert [row["state"] for row in rows["no-ids.ipynb"].values()] == ["right", "right"]
    assert [row["state"] for row in rows["outputs.ipynb"].values()] == ["right", "open"]
    (row,) = rows["other.ipynb"].values()
    assert (row["lesson"], row["check"], row["state"]) == ("03_other", "saving", "wrong")


def test_an_answer_that_kills_the_process_that_marks_stops_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(marking, "_isolation", lambda room: [])  # with it the signal is lost
    tiny.write(tmp_path / "in/a.ipynb", answered(KILLS_PARENT, SECOND))
    tiny.write(tmp_path / "in/b.ipynb", answered(ANSWER, SECOND))
    course, limits = tiny.write_course(tmp_path / "course"), marking.AnswerLimits(jobs=2)
    table = marking.mark(tmp_path / "in", notebooks=course, limits=limits, quiet=True)
    assert table.state.tolist() == ["error", "right", "right", "right"]
    assert table.text[0] == "it ended the process that marks (exit code -9)"


def test_without_fork_every_submission_has_a_process(tmp_path):
    tiny.write(tmp_path / "in/a.ipynb", answered("while True: pass", SECOND))
    tiny.write(tmp_path / "in/b.ipynb", answered(f"{WRONG}\n{PATCHED}", SECOND))
    course, limits = tiny.write_course(tmp_path / "course"), marking.AnswerLimits(5, fork=False)
    table = marking.mark(tmp_path / "in", notebooks=course, limits=limits, quiet=True)
    assert table.state.tolist() == ["error", "right", "wrong", "right"]
    assert table.text[0].startswith("TimeoutError: no result within 5 s")
