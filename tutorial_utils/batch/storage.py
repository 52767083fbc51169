"""Files of runs, in a folder or in a store (`s3://`, `gs://`).

Notebooks and tables in a store are read and written by papermill's own handlers. A worker process
imports this module: nothing here loads torch.

Source: papermill, https://papermill.readthedocs.io
"""

import re
from pathlib import Path

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
    from papermill.iorw import papermill_io

    folder, _, name = target.rpartition("/")
    if name not in file_names(folder):
        return None
    try:
        return nbformat.reads(papermill_io.read(target), as_version=4)
    except ValueError:
        return None


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
