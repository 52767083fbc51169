"""Files of runs, in a folder or in a store (`s3://`, `gs://`).

Notebooks and tables in a store are read and written by papermill's own handlers. A worker process
imports this module: nothing here loads torch.

Source: papermill, https://papermill.readthedocs.io
"""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import nbformat

from tutorial_utils._support import files


def is_address(path: Path | str) -> bool:
    """Return whether this is an address, such as `s3://bucket/folder`, and no path."""
    return "://" in str(path)


def file_names(folder: str) -> list[str]:
    """Return the names of the files in a folder or a store; [] if there is no such folder."""
    from papermill.iorw import papermill_io

    try:
        return sorted(re.split(r"[/\\]", path)[-1] for path in papermill_io.listdir(folder))
    except FileNotFoundError:  # some stores have no empty folders
        return []


def read_notebook(target: str) -> nbformat.NotebookNode | None:
    """Return the notebook at `target`; None if there is none, or it was not written to its end."""
    folder, _, name = target.rpartition("/")
    if name not in file_names(folder):
        return None
    try:
        return read_source(target)
    except (OSError, ValueError):
        return None


def read_source(target: str) -> nbformat.NotebookNode:
    """Return the notebook at a path or an address.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no notebook.
        OSError: if it cannot be read.
    """
    from papermill.iorw import papermill_io

    reason = None if is_address(target) else files.not_regular(target)
    if reason:  # a pipe would be waited for
        error = OSError if Path(target).exists() else FileNotFoundError
        raise error(f"the notebook {target} cannot be read: {reason}")
    try:
        address = is_address(target)
        text = papermill_io.read(target) if address else Path(target).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{target} is no notebook: it is not text") from error
    except OSError as error:
        raise files.named(error, Path(target), verb="read") from error
    try:
        problem = _problem(json.loads(text))
    except (ValueError, RecursionError):
        problem = "it is not JSON, or not all of it" if text.strip() else "it is empty"
    if problem:
        raise ValueError(f"{target} is no notebook: {problem}")
    try:
        return nbformat.reads(text, as_version=4)
    except Exception as error:  # of an old format, damaged
        raise ValueError(f"{target} is no notebook: {error}") from error


def _problem(content: Any) -> str:
    """Return what a notebook's JSON lacks, "" if nothing that its execution needs."""
    if not isinstance(content, dict):
        return f"it holds a JSON {type(content).__name__}"
    if not isinstance(content.get("nbformat"), int) or content["nbformat"] < 3:
        return "it names no version of the format (nbformat)"
    if content["nbformat"] == 3:
        return ""
    cells = content.get("cells")
    if not isinstance(content.get("metadata"), dict) or not isinstance(cells, list):
        return "it has no metadata or no cells"
    for number, cell in enumerate(cells, start=1):
        whole = isinstance(cell, dict) and isinstance(cell.get("metadata"), dict)
        if not whole or not isinstance(cell.get("source"), str | list):
            return f"its cell {number} is damaged"
    kernel = content["metadata"].get("kernelspec")
    if not isinstance(kernel, dict) or not isinstance(kernel.get("name"), str):
        return "it names no kernel; open it in JupyterLab, choose a kernel and save it"
    return ""


def delete(target: str) -> None:
    """Delete a file, if it is there and in a folder; a store has whole files only."""
    if not is_address(target):
        with contextlib.suppress(OSError):
            Path(target).unlink()


def write(target: str, content: str | bytes) -> None:
    """Write text, or a Parquet file's bytes, to a path or an address, whole or not at all."""
    if not is_address(target):
        content = content.encode() if isinstance(content, str) else content
        files.write_bytes(Path(target), content)
    elif isinstance(content, str):
        from papermill.iorw import papermill_io

        papermill_io.write(content, target, [".ipynb", ".csv"])
    elif target.startswith("s3://"):  # papermill's handlers take text only
        from papermill.s3 import S3

        bucket, _, name = target.removeprefix("s3://").partition("/")
        S3().s3.Object(bucket, name).put(Body=content)
    else:
        import fsspec

        with fsspec.open(target, "wb") as file:
            file.write(content)
