"""One run of a notebook: how it is done on whatever machine, and how it is kept.

The executed notebook carries a record in its metadata: what it was given, how it ended, how long
it took. The record comes last, so that what a killed process left half done has none. Notebooks
are read and written by papermill's own handlers, in a folder or in a store (`s3://`, `gs://`,
`abs://`). A worker imports this file: nothing here loads torch.

Source: papermill, https://papermill.readthedocs.io
"""

import copy
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

RECORD = "sweep"  # the name of the record in the notebook's metadata
STARTS = 3  # times that a kernel is started before a notebook is given up


def run_papermill(book: Any, target: Path | str, parameters: dict[str, Any]) -> str | None:
    """Execute a notebook (a path, or a NotebookNode) into `target`; return its error, or None.

    A kernel that dies before its first cell is started anew. Its ports are chosen before it
    opens them, so another program can be quicker:
    https://github.com/nteract/papermill/issues/511
    """
    for _ in range(STARTS):
        error, begun = _papermill(copy.deepcopy(book), target, parameters)
        if begun:
            break
    return error


def _papermill(
    book: Any, target: Path | str, parameters: dict[str, Any]
) -> tuple[str | None, bool]:
    """Execute a notebook once; return its error or None, and whether its kernel had started."""
    import papermill  # heavy, and only this function needs it

    try:
        papermill.execute_notebook(
            book,
            str(target),
            parameters,
            progress_bar=False,
            start_timeout=180,  # seconds: many kernels that start at once are slow
            store_widget_state=False,
            coalesce_streams=True,
            extra_arguments=["--log-level=CRITICAL"],  # the kernel's own warnings are not ours
        )
    except papermill.PapermillExecutionError as e:
        # cell_index counts the error note that papermill puts on top; people count cells from 1.
        return f"cell {e.cell_index + 1}: {e.ename}: {e.evalue}", True
    except Exception as e:  # a dead kernel, a file that is no notebook, a full disk
        unborn = isinstance(e, RuntimeError) and "died before replying" in str(e)
        return f"{type(e).__name__}: {e}", not unborn
    return None, True


def execute(source: str, target: str, record: dict) -> None:
    """Do one run, wherever this is called, and put its record into its notebook.

    Safe to repeat: what is finished under the same key is left alone. A cluster that has lost a
    machine asks for some runs twice.

    Args:
        source: the notebook as JSON, so that another machine needs no copy of the file.
        target: where the executed notebook goes.
        record: what is known beforehand, with `key` and `parameters`.
    """
    found = record_of(target)
    if found.get("key") == record["key"] and found.get("status") == "ok":
        return
    start = time.time()
    error = run_papermill(nbformat.reads(source, as_version=4), target, record["parameters"])
    times = {"started": start, "wall_s": round(time.time() - start, 2)}
    sign(source, target, record | ending(error) | times)


def ending(error: str | None) -> dict:
    """Return how a run ended, as its record says it."""
    return {"status": "error" if error else "ok", "error": error or ""}


def remote(place: Path | str) -> bool:
    """Tell whether a place is an address, such as `s3://bucket/folder`, and no path."""
    return "://" in str(place)


def names(folder: str) -> list[str]:
    """Return the names of the files in a folder, here or in a store; [] if there is none."""
    from papermill.iorw import papermill_io

    try:
        return sorted(re.split(r"[/\\]", path)[-1] for path in papermill_io.listdir(folder))
    except FileNotFoundError:  # some stores know no empty folder
        return []


def load(target: str) -> nbformat.NotebookNode | None:
    """Return the notebook in `target`; None if there is none, or its writing was cut off."""
    from papermill.iorw import papermill_io

    if target.rpartition("/")[2] not in names(target.rpartition("/")[0]):
        return None
    try:
        return nbformat.reads(papermill_io.read(target), as_version=4)
    except ValueError:
        return None


def record_of(target: str) -> dict:
    """Return the record of the notebook in `target`, {} if there is none or it has none yet."""
    book = load(target)
    return dict(book.metadata.get(RECORD, {})) if book else {}


def sign(source: str, target: str, record: dict) -> None:
    """Put a run's record into its notebook: from now on it counts as finished."""
    book = load(target) or nbformat.reads(source, as_version=4)
    book.metadata[RECORD] = record
    put(target, nbformat.writes(book))


def put(target: str, content: str | bytes) -> None:
    """Write a text or a table so that it is there whole or not at all."""
    if not remote(target):
        path, data = Path(target), content.encode() if isinstance(content, str) else content
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".draft", delete=False) as draft:
            draft.write(data)
        os.chmod(draft.name, 0o644)  # a temporary file is for its owner only
        os.replace(draft.name, path)
    elif isinstance(content, str):
        from papermill.iorw import papermill_io

        papermill_io.write(content, target, [".ipynb", ".csv"])
    else:
        _put_bytes(target, content)


def _put_bytes(target: str, content: bytes) -> None:
    """Write what papermill's own handlers do not: they take text."""
    if target.startswith("s3://"):
        from papermill.s3 import S3

        bucket, _, name = target.removeprefix("s3://").partition("/")
        S3().s3.Object(bucket, name).put(Body=content)
    else:
        import fsspec

        with fsspec.open(target, "wb") as file:
            file.write(content)
