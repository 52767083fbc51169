"""Read submitted notebooks: which lesson each is, and what it answers to the exercises.

Nothing here runs what a notebook holds. A lesson is recognised by the ids of its exercise cells. An
answer is the cell with the id of its exercise; if that is missing or still the stub, it is the last
new cell that binds the names which the check takes.

Source: the notebook format, https://nbformat.readthedocs.io/en/latest/format_description.html
"""

import ast
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from tutorial_utils.batch import code_names

LARGEST_BYTES = 200 * 10**6
CALL = re.compile(r"^checks\.(\w+)\(", re.M)


class Cell(NamedTuple):
    """A code cell."""

    id: str
    source: str
    tags: tuple[str, ...] = ()


class Exercise(NamedTuple):
    """An exercise of a lesson; `stub` and `call` are indices of its code cells."""

    number: int
    check: str  # the name of the check
    stub: int
    call: int
    answers: tuple[str, ...]  # the names that the check takes from the answer
    measured: bool  # whether the answer may also add to other variables of the lesson


class Lesson(NamedTuple):
    """A lesson as it was handed out."""

    name: str
    cells: list[Cell]
    exercises: list[Exercise]


class Submission(NamedTuple):
    """A submitted notebook. `problem` is why it cannot be marked, "" if it can."""

    name: str
    lesson: str = ""
    answers: dict[int, list[str]] = {}  # {exercise number: cells to run, the answer last}
    problem: str = ""


def read_lesson(path: Path) -> Lesson:
    """Return a lesson's code cells and exercises.

    Raises:
        ValueError: if it is no notebook.
        OSError: if it cannot be read.
    """
    book = _load(path)
    cells = _code_cells(book)
    exercises = []
    for index, cell in enumerate(cells):
        if "exercise" not in cell.tags:
            continue
        calls = (i for i in range(index + 1, len(cells)) if CALL.search(cells[i].source))
        if (call := next(calls, None)) is None:
            continue  # the check was deleted from a learner's own copy
        check = code_names.names_in(cells[call].source)
        exercises.append(
            Exercise(
                number=len(exercises) + 1,
                check=CALL.search(cells[call].source)[1],
                stub=index,
                call=call,
                answers=tuple(sorted(_bound(cell) & check.used)) if check else (),
                measured=bool(re.search(r"^\.\.\.$", cell.source, re.M)),
            )
        )
    return Lesson(path.stem, cells, exercises)


def read_own(path: Path) -> tuple[Lesson, Submission]:
    """Return a learner's own copy of a lesson, as a lesson and as a submission of it.

    Raises:
        ValueError: if it is no notebook.
        OSError: if it cannot be read.
    """
    lesson = read_lesson(path)
    own = [one._replace(measured=True) for one in lesson.exercises]
    lesson = lesson._replace(exercises=own)
    cells = {one.number: lesson.cells[one.stub] for one in lesson.exercises}
    answers = {
        one.number: [cells[one.number].source]
        for one in lesson.exercises
        if not _is_open(cells[one.number].source, one.answers)
    }
    return lesson, Submission(path.name, lesson.name, answers)


def find_submissions(folder: Path) -> list[Path]:
    """Return everything named `*.ipynb` below a folder, Jupyter's checkpoints apart."""
    found = sorted(folder.rglob("*.ipynb"))
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def read_submission(path: Path, name: str, lessons: list[Lesson]) -> Submission:
    """Return a submission; whatever the file holds, nothing is raised.

    Args:
        path: the file.
        name: how to name it in the table.
        lessons: the lessons that it may be.
    """
    try:
        cells = _code_cells(_load(path))
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return Submission(name, problem=_reason(error))
    lesson = _lesson_of(cells, path.stem, lessons)
    if lesson is None:
        return Submission(name, problem="no exercise cells of a lesson found")
    answers = {one.number: _answer(one, cells, lesson) for one in lesson.exercises}
    return Submission(name, lesson.name, {k: found for k, found in answers.items() if found})


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError("it is a folder" if path.is_dir() else "it is not a regular file")
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise ValueError(
            f"it has {size / 1e6:.0f} MB, the limit is {LARGEST_BYTES / 1e6:.0f} MB: "
            "clear its outputs and save it again"
        )
    text = path.read_text(encoding="utf-8-sig")
    if not text.strip():
        raise ValueError("the file is empty")
    book = json.loads(text)
    if not isinstance(book, dict) or not isinstance(book.get("cells"), list):
        raise ValueError("it is JSON, but no notebook of format 4: it has no list of cells")
    return book


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is no notebook: it is not UTF-8 text"
    if isinstance(error, json.JSONDecodeError):
        return f"it is no notebook: it is not JSON ({error})"
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror or error}"
    return str(error) or f"it cannot be read: {type(error).__name__}"


def _code_cells(book: dict[str, Any]) -> list[Cell]:
    """Return the code cells; what is not formed like one is left out."""
    found = []
    for cell in book["cells"]:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source, metadata = cell.get("source"), cell.get("metadata")
        if isinstance(source, list):
            source = "".join(filter(lambda line: isinstance(line, str), source))
        metadata = metadata if isinstance(metadata, dict) else {}
        tags = metadata.get("tags")
        tags = tuple(map(str, tags)) if isinstance(tags, list) else ()
        if isinstance(source, str):  # Colab saves the id in the metadata
            found.append(Cell(str(cell.get("id", metadata.get("id", ""))), source, tags))
    return found


def _lesson_of(cells: list[Cell], stem: str, lessons: list[Lesson]) -> Lesson | None:
    """Return the lesson with most exercise cells here, by id or by answer; None if there is none.

    Between lessons with as many the start of the file's name decides.
    """
    ids = {cell.id for cell in cells}
    bound = frozenset().union(*(_bound(cell) for cell in cells))

    def score(lesson: Lesson) -> tuple[int, int, bool]:
        by_id = sum(lesson.cells[one.stub].id in ids for one in lesson.exercises)
        by_answer = sum(bound.issuperset(one.answers) for one in lesson.exercises)
        return by_id, by_answer, stem[:2] == lesson.name[:2]

    best = max(lessons, key=score, default=None)
    return best if best and any(score(best)[:2]) else None


def _answer(exercise: Exercise, cells: list[Cell], lesson: Lesson) -> list[str]:
    """Return the cells to run for an exercise, the answer last; [] if it is open."""
    stub = lesson.cells[exercise.stub]
    handed_out = {cell.source.strip() for cell in lesson.cells}
    ids = {cell.id for cell in lesson.cells}
    changed = [cell for cell in cells if cell.source.strip() not in handed_out]
    by_id = [cell for cell in changed if cell.id == stub.id]
    by_name = [
        cell for cell in changed if cell.id not in ids and _bound(cell).issuperset(exercise.answers)
    ]
    found = [c for c in by_id or by_name if not _is_open(c.source, exercise.answers)]
    if not found:
        return []
    answer = found[-1]
    others = [cell.source for cell in changed if cell is not answer]
    return [*_helpers(answer, others, lesson), answer.source]


def _is_open(source: str, answers: tuple[str, ...]) -> bool:
    """Return whether one of the answers is still `...` or a function with no more than that."""
    try:
        body = code_names.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name in answers:
            is_open = all(_is_dots(part) or _is_docstring(part) for part in node.body)
        else:
            targets = node.targets if isinstance(node, ast.Assign) and _is_dots(node) else []
            is_open = any(isinstance(one, ast.Name) and one.id in answers for one in targets)
        if is_open:
            return True
    return False


def _is_dots(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Constant) and value.value is ...


def _is_docstring(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _helpers(answer: Cell, others: list[str], lesson: Lesson) -> list[str]:
    """Return the cells of a learner's own that bind names which the lesson does not."""
    names = code_names.names_in(answer.source)
    stubs = {one.stub for one in lesson.exercises}
    given = [_bound(cell) for index, cell in enumerate(lesson.cells) if index not in stubs]
    missing = names.used - frozenset().union(*given) if names else frozenset()
    return [others[index] for index in code_names.needed_cells(others, missing)]


def _bound(cell: Cell) -> frozenset[str]:
    names = code_names.names_in(cell.source)
    return names.bound if names else frozenset()
