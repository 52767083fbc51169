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

from tutorial_utils.batch import storage

RECORD = "sweep"  # the record's name in the metadata; stored in users' notebooks, so never renamed
STARTS = 3  # how often a kernel is started before the notebook counts as failed


def run_papermill(notebook: Any, target: Path | str, parameters: dict[str, Any]) -> str | None:
    """Execute a notebook by papermill.

    A kernel that dies before its first cell is started again. Its ports are chosen before it
    opens them, so another program can take them: https://github.com/nteract/papermill/issues/511

    Args:
        notebook: a path, or a NotebookNode.
        target: the path or address of the executed notebook.
        parameters: values for the cell tagged `parameters`.

    Returns:
        The error in one text, or None.
    """
    for _ in range(STARTS):
        error, started = _execute(copy.deepcopy(notebook), target, parameters)
        if started:
            break
    return error


def execute_run(source: str, target: str, record: dict) -> None:
    """Execute one run, in this process or on another machine, and write its record.

    A run that is finished under the same key is left as it is, so this can be called twice: a
    cluster that lost a machine repeats some calls.

    Args:
        source: the notebook as JSON, so that another machine needs no copy of the file.
        target: the path or address of the executed notebook.
        record: what is known beforehand, with `key` and `parameters`.
    """
    found = read_record(storage.read_notebook(target))
    if found.get("key") == record["key"] and found.get("status") == "ok":
        return
    start = time.time()
    error = run_papermill(nbformat.reads(source, as_version=4), target, record["parameters"])
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
    notebook: Any, target: Path | str, parameters: dict[str, Any]
) -> tuple[str | None, bool]:
    """Execute a notebook once; return its error or None, and whether its kernel had started."""
    import papermill  # slow to import, and needed only here

    try:
        papermill.execute_notebook(
            notebook,
            str(target),
            parameters,
            progress_bar=False,
            start_timeout=180,  # seconds: many kernels that start at once are slow
            store_widget_state=False,
            coalesce_streams=True,
            extra_arguments=["--log-level=CRITICAL"],  # hides the kernel's own warnings
        )
    except papermill.PapermillExecutionError as e:
        # cell_index counts the error note that papermill puts on top; readers count from 1.
        return f"cell {e.cell_index + 1}: {e.ename}: {e.evalue}", True
    except Exception as e:  # a dead kernel, a file that is no notebook, a full disk
        dead = isinstance(e, RuntimeError) and "died before replying" in str(e)
        return f"{type(e).__name__}: {e}", not dead
    return None, True
