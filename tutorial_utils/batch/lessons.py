"""Run the lessons in batch by papermill, and collect what they report.

Each lesson runs in a kernel of its own. If one fails, its cell and its error are reported, and
the others still run. How many run at a time: see `schedule`. For many runs of one notebook see
`sweeps`.

Source: papermill, https://papermill.readthedocs.io
"""

import contextlib
import math
from pathlib import Path
from typing import Any

import nbformat
import pandas
from tqdm.auto import tqdm

from tutorial_utils import lesson, plots
from tutorial_utils._support import files, reports
from tutorial_utils.batch import runner, schedule, storage
from tutorial_utils.batch.limits import Limits
from tutorial_utils.batch.sweeps import sweep as sweep  # lesson 13 takes it from here

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"  # in a clone
TRAIN_HEAD = Path(__file__).with_name("train_head.ipynb")  # a notebook for the sweeps of lesson 13
# nbconvert's colours of prompts, comments, numbers and operators have too little contrast, and
# only the colour marks its links.
READABLE = """<style>
:root {
  --jp-cell-prompt-not-active-opacity: 1;
  --jp-mirror-editor-comment-color: #2f6464;
  --jp-mirror-editor-number-color: #006b00;
  --jp-mirror-editor-operator-color: #8a14d6;
}
.jp-RenderedHTMLCommon p a:any-link, .jp-RenderedHTMLCommon li a:any-link {
  text-decoration: underline;
}
</style>
"""
DEFAULT = Limits()
KEPT_METADATA = ("tags", "cellView", "jupyter")  # of cells; the last two collapse one
COLUMNS = ["lesson", "status", "seconds", "peak_gib", "images", "weights", "val_accuracy"]


def find_lessons(folder: Path | str = NOTEBOOKS, *, only: str = "") -> list[Path]:
    """Return the notebooks of the course in order.

    Args:
        folder: the folder of the notebooks.
        only: starts of names, with commas between ("06", or "02,07_curves"); "" for all.

    Raises:
        FileNotFoundError: if the folder holds no lesson (an installed package has none).
        ValueError: if no lesson's name begins with one of the starts.
    """
    found = sorted(files.as_path(folder).glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise FileNotFoundError(
            f"no lessons (NN_name.ipynb) in {folder}; run this in a clone of the repository, "
            "or name the folder of the notebooks by --folder"
        )
    starts = [start.strip() for start in only.split(",")] if only else []
    for start in starts:
        if not start or not any(path.name.startswith(start) for path in found):
            names = ", ".join(path.stem for path in found)
            raise ValueError(f"no lesson's name starts with {start!r}; there are {names}")
    return [path for path in found if not only or path.name.startswith(tuple(starts))]


def run_notebook(
    notebook: Path,
    out: Path,
    parameters: dict[str, Any] | None = None,
    *,
    limits: Limits = DEFAULT,
) -> dict:
    """Run one notebook by papermill and return one row of results.

    Args:
        notebook: the notebook's path.
        out: the path of the executed notebook, which is written even if a cell fails. What an
            earlier run left there is deleted, and its HTML page.
        parameters: values for the cell tagged `parameters`.
        limits: of time and of output.

    Returns:
        A dict with `COLUMNS`; `error`, "" if `status` is "ok"; and `result`, the dict that the
        lesson reported, {} if `status` is "error".
    """
    error, seconds = runner.run_lesson(notebook, out, parameters or {}, limits)
    return _row(notebook, out, error, seconds)


def run_lessons(
    out: Path | str = "build",
    *,
    folder: Path | str = NOTEBOOKS,
    only: str = "",
    parameters: dict[str, Any] | None = None,
    limits: Limits = DEFAULT,
    jobs: int | None = None,
) -> pandas.DataFrame:
    """Run all lessons; write notebooks, HTML pages, a table and the curves.

    The table is written after every lesson, in the order of the lessons. What is written replaces
    the files of an earlier run.

    Args:
        out: gets `lessons/NN_name.ipynb` and `.html`, `results.csv` and `curves.png`.
        folder: the folder of the notebooks.
        only: run the lessons whose names start so ("06", or "02,07").
        parameters: passed to every lesson that declares them.
        limits: of time and of output, for each lesson.
        jobs: the most lessons at a time, which divide the processors among them; None for as many
            as processors and memory allow. More than one run in new processes, so call this under
            `if __name__ == "__main__":` in a script.

    Returns:
        One row for each lesson, columns `COLUMNS` and `error`.

    Raises:
        OSError: if `out` cannot be written; of the table, after the last lesson.
        RuntimeError: if Python's assertions are off.
    """
    lesson.check_assertions()
    found, out, rows = find_lessons(folder, only=only), files.as_path(out), {}
    with files.naming(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / "curves.png").unlink(missing_ok=True)
    _write_table([], out)
    calls = {
        notebook: (
            notebook,
            out / "lessons" / notebook.name,
            _declared(notebook, parameters or {}),
            limits,
        )
        for notebook in found
    }
    with tqdm(total=len(found), unit="lesson", desc="lessons") as bar:
        for notebook, outcome in schedule.run_all(runner.run_lesson, calls, jobs):
            executed = calls[notebook][1]
            if isinstance(outcome, BaseException):  # its process died
                outcome = f"{type(outcome).__name__}: {outcome}", float("nan")
            row = rows[notebook] = _row(notebook, executed, *outcome)
            if executed.is_file():
                _add_page(row, executed)
            with contextlib.suppress(OSError):  # it is raised after the last lesson
                _write_table(_in_order(rows), out)
            tqdm.write(describe(row))
            bar.update()
    table = _write_table(_in_order(rows), out)
    _draw_curves(_in_order(rows), out / "curves.png")
    return table


def run_in_place(
    folder: Path | str = NOTEBOOKS, *, only: str = "", limits: Limits = DEFAULT
) -> dict[str, str]:
    """Run the lessons of `find_lessons`; store their outputs, cleaned, in the notebooks.

    Returns:
        The error of each lesson that failed, by its name. Its notebook stays as it was.

    Raises:
        RuntimeError: if Python's assertions are off.
    """
    lesson.check_assertions()
    errors = {}
    for notebook in tqdm(find_lessons(folder, only=only), unit="lesson"):
        try:
            book = storage.read_source(str(notebook))
            error = runner.run_in_place(book, notebook.parent, limits)
            if not error:
                storage.write(str(notebook), nbformat.writes(clean(book)) + "\n")
        except (OSError, ValueError) as problem:
            error = str(problem)
        if error:
            errors[notebook.stem] = error
    return errors


def clean(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove from a notebook what differs from run to run and from machine to machine.

    Cells, outputs, tags and what is collapsed stay. Timestamps, widget state and the kernel's
    version are removed, and from a widget's output the part that needs its kernel; its image and
    text stay.
    """
    book.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(book.cells):
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key in KEPT_METADATA}
        )
        cell.setdefault("id", f"cell-{number:02d}")
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(lesson.LIVE, None)
    return book


def read_result(executed: Path | str) -> dict:
    """Return what an executed notebook reported by `lesson.report`, {} if nothing."""
    return reports.read(nbformat.read(executed, as_version=4))


def to_html(executed: Path) -> Path:
    """Write an executed notebook as an HTML page beside it and return the page's path.

    Raises:
        OSError: if the page cannot be written; what is there stays.
    """
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_filename(str(executed))
    target = executed.with_suffix(".html")
    files.write_bytes(target, page.replace("</head>", READABLE + "</head>", 1).encode())
    return target


def describe(row: dict) -> str:
    """Return one line of text about one row of `run_lessons`."""
    peak = "        ?" if math.isnan(row["peak_gib"]) else f"{row['peak_gib']:5.2f} GiB"
    line = f"{row['lesson']:<16} {row['seconds']:6.1f} s {peak}  {row['status']:<5}"
    if row["status"] == "error":
        return f"{line}  {row['error']}"
    return f"{line}  {row['images']:<11} {row['weights']:<9} {row['val_accuracy']}"


def _row(notebook: Path, executed: Path, error: str, seconds: float) -> dict:
    """Return the row of `run_notebook` for a notebook that has run."""
    try:
        result = {} if error else read_result(executed)
    except (OSError, ValueError) as problem:
        error, result = str(problem), {}
    peak = result.get("peak_bytes")
    return {
        "lesson": notebook.stem,
        "status": "error" if error else "ok",
        "seconds": round(seconds, 1),
        "peak_gib": round(peak / 2**30, 2) if peak else float("nan"),
        "images": result.get("images", ""),
        "weights": result.get("weights", ""),
        "val_accuracy": _accuracy_text(result.get("val_accuracy")),
        "error": error,
        "result": result,
    }


def _in_order(rows: dict[Path, dict]) -> list[dict]:
    return [rows[notebook] for notebook in sorted(rows)]


def _accuracy_text(value: float | dict | None) -> str:
    """Return one accuracy, or the accuracies of several networks by name, as text."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.3f}" for name, number in value.items())
    return f"{value:.3f}"


def _write_table(rows: list[dict], out: Path) -> pandas.DataFrame:
    """Write `results.csv` and return it as a table."""
    table = pandas.DataFrame(rows, columns=[*COLUMNS, "error"])
    files.write_bytes(out / "results.csv", table.to_csv(index=False).encode())
    return table


def _add_page(row: dict, executed: Path) -> None:
    """Write a lesson's HTML page; one that cannot be written is an error of the row."""
    try:
        to_html(executed)
    except Exception as error:  # a full disk; an output that nbconvert cannot show
        page = f"no HTML page: {error}"
        row |= {"status": "error", "error": f"{row['error']}; {page}" if row["error"] else page}


def _draw_curves(rows: list[dict], target: Path) -> None:
    curves = {
        f"{name}, lesson {row['lesson'][:2]}": pandas.DataFrame(epochs)
        for row in rows
        for name, epochs in row["result"].get("curves", {}).items()
    }
    if curves:
        plots.save(plots.curves(curves, title="The curves of this run"), target)


def _declared(notebook: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return those of the parameters that a notebook declares; {} for one that is damaged."""
    import papermill

    try:
        storage.read_source(str(notebook))
    except (OSError, ValueError):  # running it reports this
        return {}
    try:
        known = papermill.inspect_notebook(str(notebook)) if parameters else {}
    except ValueError:  # it names no language; running it with parameters reports this
        return parameters
    return {name: value for name, value in parameters.items() if name in known}
