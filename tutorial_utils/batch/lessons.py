"""Runs the lessons in batch by papermill and collects what they report.

One kernel a lesson, one after another. A lesson that fails is named with its cell and its
error, and the others still run. Many runs of one notebook: `sweep`, which stands in `sweeps`.

Source: papermill, https://papermill.readthedocs.io
"""

import time
from pathlib import Path
from typing import Any

import nbformat
import pandas
from tqdm.auto import tqdm

from tutorial_utils import lesson, plots
from tutorial_utils.batch import runner, sweeps
from tutorial_utils.batch.sweeps import sweep as sweep

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"  # in a clone
TRAIN_HEAD = Path(__file__).with_name("train_head.ipynb")  # made for sweeps: lesson 13
# nbconvert's own colours for prompts, comments, numbers and operators are too pale to read for
# some, and its links are told from the text by colour alone.
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
COLUMNS = ["lesson", "status", "seconds", "peak_gib", "images", "weights", "val_accuracy"]


def lessons(folder: Path | str = NOTEBOOKS, *, only: str = "") -> list[Path]:
    """Return the notebooks of the course in order.

    Args:
        folder: where the notebooks are.
        only: starts of names with commas between ("06", or "02,07_curves"); "" for all.

    Raises:
        FileNotFoundError: if the folder holds none (the package was installed without them).
        ValueError: if no lesson's name starts with what `only` asks for.
    """
    found = sorted(Path(folder).glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise FileNotFoundError(
            f"no lessons (NN_name.ipynb) in {folder}; run this from a clone of the repository, "
            "or name the folder that holds the notebooks"
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
        notebook: what to run.
        out: where the executed notebook goes; written even when a cell fails.
        parameters: put in place of the values in the cell tagged `parameters`.

    Returns:
        A dict with `COLUMNS`, and `error` (str) if `status` is "error", and `result`, the whole
        dict that the lesson reported ({} if it did not get that far).
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    error = runner.run_papermill(notebook, out, parameters or {})
    return _row(notebook, out, time.perf_counter() - start, error)


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
        folder: where the notebooks are.
        only: run the lessons whose names start so ("06", or "02,07").
        parameters: handed to every lesson that declares them.

    Returns:
        One row a lesson, columns `COLUMNS` and `error`.
    """
    out, rows = Path(out), []
    bar = tqdm(lessons(folder, only=only), unit="lesson", desc="lessons")
    for notebook in bar:
        bar.set_postfix_str(notebook.stem)
        executed = out / "lessons" / notebook.name
        row = run_notebook(notebook, executed, _declared(notebook, parameters or {}))
        if executed.exists():
            to_html(executed)
        rows.append(row)
        tqdm.write(describe(row))
    table = pandas.DataFrame(rows)
    table.drop(columns="result").to_csv(out / "results.csv", index=False)
    _write_curves(rows, out / "curves.png")
    return table.drop(columns="result")


def refresh(folder: Path | str = NOTEBOOKS, *, only: str = "") -> None:
    """Run the lessons in place, so that the committed outputs are fresh and clean.

    Args:
        folder: where the notebooks are.
        only: run the lessons whose names start so ("06", or "02,07").
    """
    from nbclient import NotebookClient

    for notebook in tqdm(lessons(folder, only=only), unit="lesson"):
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
    """Drop from a notebook what differs from run to run and from machine to machine.

    Keeps cells, tags, outputs; drops timestamps, widget state, the live half of widgets (which
    needs a kernel that is gone; their image and text stay) and the kernel's version.
    """
    book.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(book.cells):
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        cell.setdefault("id", f"cell-{number:02d}")
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(lesson.LIVE, None)
    return book


def read_result(executed: Path | str) -> dict:
    """Return what an executed notebook reported by `lesson.report`, {} if nothing."""
    return sweeps.reported(nbformat.read(executed, as_version=4))


def to_html(executed: Path) -> Path:
    """Write an executed notebook as an HTML page beside it and return the page's path."""
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_filename(str(executed))
    target = executed.with_suffix(".html")
    target.write_text(page.replace("</head>", READABLE + "</head>", 1), encoding="utf-8")
    return target


def describe(row: dict) -> str:
    """Return one line for people about one row of `run_lessons`."""
    peak = f"{row['peak_gib']:5.2f} GiB" if row["peak_gib"] == row["peak_gib"] else "        ?"
    line = f"{row['lesson']:<16} {row['seconds']:6.1f} s {peak}  {row['status']:<5}"
    if row["status"] == "error":
        return f"{line}  {row['error']}"
    return f"{line}  {row['images']:<11} {row['weights']:<9} {row['val_accuracy']}"


def _row(notebook: Path, executed: Path, seconds: float, error: str | None) -> dict:
    result = read_result(executed) if executed.exists() else {}
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


def _accuracy_text(value: float | dict | None) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.3f}" for name, number in value.items())
    return f"{value:.3f}"


def _declared(notebook: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    import papermill

    if not parameters:
        return {}
    known = papermill.inspect_notebook(str(notebook))
    return {name: value for name, value in parameters.items() if name in known}


def _write_curves(rows: list[dict], path: Path) -> None:
    curves = {
        f"{name}, lesson {row['lesson'][:2]}": pandas.DataFrame(epochs)
        for row in rows
        for name, epochs in row["result"].get("curves", {}).items()
    }
    if curves:
        plots.save(plots.curves(curves, title="The curves of this run"), path)
