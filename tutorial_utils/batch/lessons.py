"""Run the lessons in batch by papermill, and collect what they report.

Lessons run one after another, each in a kernel of its own. If one fails, its cell and its error
are reported, and the others still run. For many runs of one notebook see `sweeps`.

Source: papermill, https://papermill.readthedocs.io
"""

import math
import time
from pathlib import Path
from typing import Any

import nbformat
import pandas
from tqdm.auto import tqdm

from tutorial_utils import lesson, plots
from tutorial_utils._support import files
from tutorial_utils.batch import results, runner
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


def run_notebook(notebook: Path, out: Path, parameters: dict[str, Any] | None = None) -> dict:
    """Run one notebook by papermill and return one row of results.

    Args:
        notebook: the notebook's path.
        out: the path of the executed notebook, which is written even if a cell fails.
        parameters: values for the cell tagged `parameters`.

    Returns:
        A dict with `COLUMNS`; `error`, "" if `status` is "ok"; and `result`, the dict that the
        lesson reported, {} if it did not come to that.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    error = runner.run_papermill(notebook, out, parameters or {})
    seconds = time.perf_counter() - start
    result = read_result(out) if out.exists() else {}
    peak = result.get("peak_bytes")
    return {
        "lesson": notebook.stem,
        "status": "error" if error else "ok",
        "seconds": round(seconds, 1),
        "peak_gib": round(peak / 2**30, 2) if peak else float("nan"),
        "images": result.get("images", ""),
        "weights": result.get("weights", ""),
        "val_accuracy": _accuracy_text(result.get("val_accuracy")),
        "error": error or "",
        "result": result,
    }


def run_lessons(
    out: Path | str = "build",
    *,
    folder: Path | str = NOTEBOOKS,
    only: str = "",
    parameters: dict[str, Any] | None = None,
) -> pandas.DataFrame:
    """Run all lessons in order; write notebooks, HTML pages, a table and the curves.

    Args:
        out: gets `lessons/NN_name.ipynb` and `.html`, `results.csv` and `curves.png`.
        folder: the folder of the notebooks.
        only: run the lessons whose names start so ("06", or "02,07").
        parameters: passed to every lesson that declares them.

    Returns:
        One row for each lesson, columns `COLUMNS` and `error`.
    """
    out, rows = files.as_path(out), []
    bar = tqdm(find_lessons(folder, only=only), unit="lesson", desc="lessons")
    for notebook in bar:
        bar.set_postfix_str(notebook.stem)
        executed = out / "lessons" / notebook.name
        row = run_notebook(notebook, executed, _declared(notebook, parameters or {}))
        if executed.exists():
            to_html(executed)
        rows.append(row)
        tqdm.write(describe(row))
    table = pandas.DataFrame(rows).drop(columns="result")
    table.to_csv(out / "results.csv", index=False)
    curves = {
        f"{name}, lesson {row['lesson'][:2]}": pandas.DataFrame(epochs)
        for row in rows
        for name, epochs in row["result"].get("curves", {}).items()
    }
    if curves:
        plots.save(plots.curves(curves, title="The curves of this run"), out / "curves.png")
    return table


def run_in_place(folder: Path | str = NOTEBOOKS, *, only: str = "") -> None:
    """Run the lessons of `find_lessons`; store their outputs, cleaned, in the notebooks."""
    from nbclient import NotebookClient

    for notebook in tqdm(find_lessons(folder, only=only), unit="lesson"):
        book = nbformat.read(notebook, as_version=4)
        NotebookClient(
            book,
            timeout=1200,
            kernel_name="python3",
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(notebook.parent)}},
        ).execute()
        nbformat.write(clean(book), notebook)


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
    return results.read_report(nbformat.read(executed, as_version=4))


def to_html(executed: Path) -> Path:
    """Write an executed notebook as an HTML page beside it and return the page's path."""
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_filename(str(executed))
    target = executed.with_suffix(".html")
    target.write_text(page.replace("</head>", READABLE + "</head>", 1), encoding="utf-8")
    return target


def describe(row: dict) -> str:
    """Return one line of text about one row of `run_lessons`."""
    peak = "        ?" if math.isnan(row["peak_gib"]) else f"{row['peak_gib']:5.2f} GiB"
    line = f"{row['lesson']:<16} {row['seconds']:6.1f} s {peak}  {row['status']:<5}"
    if row["status"] == "error":
        return f"{line}  {row['error']}"
    return f"{line}  {row['images']:<11} {row['weights']:<9} {row['val_accuracy']}"


def _accuracy_text(value: float | dict | None) -> str:
    """Return one accuracy, or the accuracies of several networks by name, as text."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.3f}" for name, number in value.items())
    return f"{value:.3f}"


def _declared(notebook: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return those of the parameters that a notebook declares."""
    import papermill

    if not parameters:
        return {}
    known = papermill.inspect_notebook(str(notebook))
    return {name: value for name, value in parameters.items() if name in known}
