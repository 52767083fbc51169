"""Tests of `batch.marking` and its parts: what needs no process of its own."""

import json
import re
import sys

import pandas
import pytest
import tiny_submissions as tiny
from tiny_submissions import ANSWER, CELLS, OTHER, SECOND, STUB, answered

from tutorial_utils import checks
from tutorial_utils.batch import code_names, marking, marking_process, submissions


@pytest.fixture
def lessons(tmp_path):
    folder = tiny.write_course(tmp_path / "course")
    return [submissions.read_lesson(path) for path in sorted(folder.glob("*.ipynb"))]


def read(lessons, tmp_path, cells, *, name="a.ipynb", ids=True):
    path = tiny.write(tmp_path / name, cells, ids=ids)
    return submissions.read_submission(path, name, lessons)


@pytest.mark.parametrize(
    ("code", "needed", "found"),
    [
        (["a = 1", "b = a", "c = 2"], "b", [0, 1]),
        (["a = 1", "a = 2", "b = a"], "b", [1, 2]),
        (["a = []", "a.append(1)", "b = len(a)"], "b", [0, 1, 2]),
        (["a = {}", "def f(): a[1] = 2", "f()", "c = 3"], "a", [0, 1, 2]),
        (["n = 1", "def f(x): return x + n", "x = 5", "y = f(2)"], "y", [0, 1, 3]),
        (["import math", "math.sqrt(2)", "a = math.pi"], "a", [0, 2]),
        (["if 1:\n    a = 1", "a += 1"], "a", [0, 1]),
        (["a = 1", "def broken(:", "%matplotlib inline\nb = a"], "b", [0, 2]),
        (["a = 1", "b = [a for a in range(3)]"], "b", [1]),
        (["a = 1", "b = {a: [a for a in range(3)] for a in range(3)}", "c = a"], "c", [0, 2]),
    ],
)
def test_the_cells_that_a_name_needs(code, needed, found):
    assert code_names.needed_cells(code, {needed}) == found


def test_a_lesson_lists_its_exercises(lessons):
    first, second = lessons[0].exercises
    assert (first.number, first.check, first.answers) == (1, "accuracy_of", ("accuracy_of",))
    assert (second.check, second.answers, second.measured) == ("mistakes", ("mistakes",), False)


def test_a_lesson_is_found_by_ids_then_by_answers_whatever_the_name(lessons, tmp_path):
    assert read(lessons, tmp_path, CELLS, name="03_x.ipynb").lesson == "00_tiny"
    assert read(lessons, tmp_path, CELLS[3:], name="蟻.ipynb").lesson == "00_tiny"
    assert read(lessons, tmp_path, answered(ANSWER), ids=False).answers == {1: [ANSWER]}
    assert read(lessons, tmp_path, OTHER).lesson == "03_other"
    assert read(lessons, tmp_path, [("a", "x = 1")]).problem.startswith("no exercise cells")


def test_colab_keeps_the_id_in_the_metadata(lessons, tmp_path):
    path = tiny.write(tmp_path / "a.ipynb", answered(ANSWER))
    book = json.loads(path.read_text())
    for cell in book["cells"]:
        cell["metadata"]["id"] = cell.pop("id")
    path.write_text(json.dumps(book))
    assert submissions.read_submission(path, "a", lessons).answers == {1: [ANSWER]}


@pytest.mark.parametrize("stub", [STUB, f"{STUB}  # later", f"import math\n\n\n{STUB}", ""])
def test_a_stub_is_open_and_not_run(lessons, tmp_path, stub):
    found = read(lessons, tmp_path, answered(stub) if stub else CELLS[:1] + CELLS[3:])
    assert (found.lesson, found.answers) == ("00_tiny", {})


def test_own_cells_that_an_answer_uses_come_with_it(lessons, tmp_path):
    own = [("own", "import math"), ("own-2", "def half(x): return math.floor(x)"), ("o3", "z = 1")]
    uses = "mistakes = [half(1), len(classes)]"
    found = read(lessons, tmp_path, [CELLS[0], *own, *answered(ANSWER, uses)[1:]])
    assert found.answers == {1: [ANSWER], 2: [own[0][1], own[1][1], uses]}


def test_a_file_that_cannot_be_read_has_the_reason(lessons, tmp_path, monkeypatch):
    path = tiny.write(tmp_path / "a.ipynb", CELLS)

    def refuse(self, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_text", refuse)
    found = submissions.read_submission(path, "a", lessons)
    assert found.problem == "it cannot be read: Permission denied"


def test_a_learners_own_copy_is_its_own_lesson(tmp_path):
    path = tiny.write(tmp_path / "00_tiny.ipynb", answered(ANSWER)[:-1])
    lesson, own = submissions.read_own(path)
    assert [one.check for one in lesson.exercises] == ["accuracy_of"], "the other has no check"
    assert own.answers == {1: [ANSWER]}


@pytest.fixture
def mark_here(lessons, monkeypatch):
    """Return a function that marks an answer to exercise 1 in this process."""
    there = {name: module for name, module in sys.modules.items() if "tutorial_utils" in name}
    private = {n: m for n, m in there.items() if n.startswith(marking_process.CHECKS)}
    checks.names()
    private = {n: m for n, m in sys.modules.items() if n.startswith(marking_process.CHECKS)}
    lesson, namespace = lessons[0], {}
    exec(lesson.cells[0].source, namespace)
    monkeypatch.setattr(sys, "path", sys.path[:])
    call = lesson.cells[lesson.exercises[0].call].source
    check = marking_process._Check(lesson.exercises[0], call, private, namespace)
    yield lambda *cells: check.outcome(list(cells))
    check._restore_modules()


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [
        (ANSWER, "right", "correct: "),
        (STUB, "open", "not answered yet"),
        ("def accuracy_of(s, y):\n    return 0.5", "wrong", "not yet: .*Hint: "),
        (f"{STUB}\nchecks = print; classes = 1", "open", "not answered yet"),
        (f"{STUB}\nprint('correct: ' * 99)", "open", "not answered yet"),
        (f"{STUB}\nchecks.accuracy_of = lambda a: 1", "open", "not answered yet"),
        (f"{STUB}\nfrom tutorial_utils.checks import verdict as v\nv.OPEN = 'correct'", "open", ""),
        (f"{STUB}\nimport builtins\nbuiltins.bool = lambda x: True", "open", ""),
        ("class accuracy_of:\n    def __repr__(self): return 'correct: '", "wrong", "not yet: "),
        ("import sys\nsys.exit()", "error", "SystemExit"),
        ("del accuracy_of", "error", "NameError: name 'accuracy_of' is not defined"),
        ("def accuracy_of(:", "error", "SyntaxError: "),
        ("raise ValueError('é' * 10**6)", "error", "^ValueError: é{900,}…$"),
    ],
)
def test_the_verdict_is_that_of_the_lessons_own_check(mark_here, answer, state, text):
    found = mark_here(answer)
    assert found[0] == state and re.search(text, found[1]), found


def test_numbers_and_texts_are_compared_as_pythons_own():
    class Liar(str):
        __eq__ = lambda self, other: True  # noqa: E731
        __hash__ = str.__hash__

    assert marking_process._plain(Liar("a")) != "b" and marking_process._plain(True) is True


def test_the_table_starts_no_formula_and_keeps_its_letters(tmp_path):
    rows = [["=cmd.ipynb", "", 0, "", "error", "-1"], ["蟻.ipynb", "00", 1, "a", "right", "x"]]
    marking.write_csv(pandas.DataFrame(rows, columns=marking.COLUMNS), tmp_path / "marks.csv")
    text = (tmp_path / "marks.csv").read_bytes().decode("utf-8-sig")
    assert text.splitlines()[1:] == ["'=cmd.ipynb,,0,,error,'-1", "蟻.ipynb,00,1,a,right,x"]


def test_the_process_gets_no_secret_and_folders_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("ANTS_BEES_DIR", "photos")
    found = marking._environment(tmp_path)
    assert "SECRET_TOKEN" not in found and found["TUTORIAL_OFFLINE"] == "1"
    assert found["HOME"].startswith(str(tmp_path)) and found["ANTS_BEES_DIR"].startswith("/")


def test_a_process_that_dies_before_an_answer_is_reported(lessons, tmp_path, monkeypatch):
    monkeypatch.setattr(marking, "_isolation", lambda room: [])
    monkeypatch.setattr(marking, "PROCESS", "tutorial_utils.no_such_module")
    tiny.write(tmp_path / "in/a.ipynb", answered(ANSWER, SECOND))
    table = marking.mark(tmp_path / "in", notebooks=tmp_path / "course", quiet=True)
    assert table.state.tolist() == ["error", "error"]
    assert table.text.str.contains("the lesson could not be prepared: .*No module named").all()


def test_nothing_to_mark_is_an_error(lessons, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        marking.mark(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no notebook \(\*.ipynb\) in .*empty: unpack"):
        marking.mark(tmp_path / "empty")
