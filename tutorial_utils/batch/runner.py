"""One run of a notebook by papermill, and the record of it.

The executed notebook carries a record in its metadata: its parameters, its status, its duration.
The record is written last, so a notebook that a killed process left half done has none. A worker
process imports this module: nothing here loads torch.

Source: papermill, https://papermill.readthedocs.io
"""

import copy
import time
from pathlib import Path
from typing import Any

import nbformat

from tutorial_utils._support import files, reports
from tutorial_utils.batch import storage
from tutorial_utils.batch.limits import Limits

RECORD = "sweep"  # the record's name in the metadata; stored in users' notebooks, so never renamed
NO_RESULT = "no result: no cell called lesson.report"
STARTS = 3  # how often a kernel is started before the notebook counts as failed


def run_papermill(
    notebook: Any, target: Path | str, parameters: dict[str, Any], limits: Limits
) -> str | None:
    """Execute a notebook by papermill.

    A kernel that dies before its first cell is started again. Its ports are chosen before it
    opens them, so another program can take them: https://github.com/nteract/papermill/issues/511

    Args:
        notebook: a path, or a NotebookNode.
        target: the path or address of the executed notebook.
        parameters: values for the cell tagged `parameters`.
        limits: of time and of output.

    Returns:
        The error in one text, or None. A notebook that ends without its result has an error.
    """
    for _ in range(STARTS):
        error, started = _execute(copy.deepcopy(notebook), target, parameters, limits)
        if started:
            break
    return error


def run_lesson(
    notebook: Path, target: Path, parameters: dict[str, Any], limits: Limits
) -> tuple[str, float]:
    """Execute a lesson afresh: what an earlier run left at `target` and its page are deleted.

    For the arguments see `run_papermill`.

    Returns:
        The error in one text, "" for none, and the seconds that it took.
    """
    start = time.perf_counter()
    try:
        for old in (target, target.with_suffix(".html")):
            with files.naming(old):
                old.parent.mkdir(parents=True, exist_ok=True)
                old.unlink(missing_ok=True)
        storage.read_source(str(notebook))
        error = run_papermill(notebook, target, parameters, limits) or ""
    except (OSError, ValueError) as problem:
        error = str(problem)
    return error, time.perf_counter() - start


def run_in_place(book: nbformat.NotebookNode, folder: Path, limits: Limits) -> str | None:
    """Execute a notebook's cells in its folder, and leave the outputs in `book`.

    Returns:
        The error in one text, or None.
    """
    from nbclient.exceptions import CellExecutionError

    from tutorial_utils.batch import client

    try:
        client.LimitedClient(
            book,
            limits=limits,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        ).execute()
    except CellExecutionError as e:
        return f"{e.ename}: {e.evalue}"
    except TimeoutError as e:
        return str(e)
    except Exception as e:  # a dead kernel
        return f"{type(e).__name__}: {e}"
    return None if reports.read(book) else NO_RESULT


def execute_run(source: str, target: str, record: dict, limits: Limits | None = None) -> None:
    """Execute one run, in this process or on another machine, and write its record.

    A run that is finished under the same key is left as it is, so this can be called twice: a
    cluster that lost a machine repeats some calls.

    Args:
        source: the notebook as JSON, so that another machine needs no copy of the file.
        target: the path or address of the executed notebook.
        record: what is known beforehand, with `key` and `parameters`.
        limits: of time and of output.
    """
    found = read_record(storage.read_notebook(target))
    if found.get("key") == record["key"] and found.get("status") == "ok":
        return
    start = time.time()
    book = nbformat.reads(source, as_version=4)
    error = run_papermill(book, target, record["parameters"], limits or Limits())
    outcome = {"status": "error" if error else "ok", "error": error or ""}
    times = {"started": start, "wall_s": round(time.time() - start, 2)}
    write_record(source, target, record | outcome | times)


def read_record(book: nbformat.NotebookNode | None) -> dict:
    """Return the record in a notebook; {} if it has none yet, or there is no notebook."""
    return dict(book.metadata.get(RECORD, {})) if book else {}


def write_record(source: str, target: str, record: dict) -> None:
    """Write a run's record into the notebook at `target`, or into `source` if there is none.

    The run counts as finished from then on. For the arguments see `execute_run`.
    """
    book = storage.read_notebook(target) or nbformat.reads(source, as_version=4)
    book.metadata[RECORD] = record
    storage.write(target, nbformat.writes(book))


def _execute(
    notebook: Any, target: Path | str, parameters: dict[str, Any], limits: Limits
) -> tuple[str | None, bool]:
    """Execute a notebook once; return its error or None, and whether its kernel had started."""
    import papermill  # slow to import, and needed only here

    from tutorial_utils.batch import client

    try:
        book = papermill.execute_notebook(
            notebook,
            str(target),
            parameters,
            engine_name=client.ENGINE,
            progress_bar=False,
            limits=limits,
        )
    except papermill.PapermillExecutionError as e:
        # cell_index counts the error note that papermill puts on top; readers count from 1.
        return f"cell {e.cell_index + 1}: {e.ename}: {e.evalue}", True
    except TimeoutError as e:
        return str(e), True
    except OSError as e:  # a full disk, a folder that is gone
        return f"{type(e).__name__}: {files.named(e, Path(target))}", True
    except Exception as e:  # a dead kernel, or none
        if type(e).__name__ == "NoSuchKernel":
            cure = f"make it by python -m ipykernel install --user --name {e.name}"
            return f"NoSuchKernel: there is no kernel named {e.name}; {cure}", True
        dead = isinstance(e, RuntimeError) and "died before replying" in str(e)
        return f"{type(e).__name__}: {e}", not dead
    return _unfinished(book), True


def _unfinished(book: nbformat.NotebookNode) -> str | None:
    """Return why a notebook without an error has not come to its end; None if it has."""
    for number, cell in enumerate(book.cells, start=1):
        if cell.metadata.papermill.exception:  # papermill takes sys.exit(0) for a good end
            return f"cell {number}: SystemExit: the notebook ended here, before its last cell"
    if not reports.read(book):
        return NO_RESULT
    return None
