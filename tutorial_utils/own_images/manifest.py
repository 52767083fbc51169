"""Read `manifest.csv`, which names the images of a folder and their classes.

The file is UTF-8 and has the columns `file` (a path within the folder), `class` (any text) and, if
it gives a split, `split` (train, val or test).

Source:
    Unicode Standard Annex 15, normalisation forms: https://unicode.org/reports/tr15/
"""

import csv
import io
import os
import unicodedata
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from tutorial_utils import data

NAME = "manifest.csv"
SPLITS = (*data.SPLITS, "test")


class Entry(NamedTuple):
    """A file that should be an image, before it is opened."""

    path: Path  # relative to the folder
    label: str  # the class name, in Unicode's composed form (NFC)
    split: str | None = None  # one of `SPLITS`, or None if no split is given


def read(root: Path) -> list[Entry]:
    """Return the files that a folder's manifest names, in its order.

    Raises:
        ValueError: if it is not UTF-8 or not CSV, a column is missing, or a line names no class,
            an unknown split, a file outside the folder, or the same file as a line before.
    """
    entries, line_of = [], {}
    for number, row in _rows(root):
        line = f"line {number} of {NAME}"
        path = _path_inside(root, row["file"], line)
        if not row["class"]:
            raise ValueError(f"{line} gives no class for {row['file']!r}")
        split = row["split"].lower() if "split" in row else None
        if split is not None and split not in SPLITS:
            raise ValueError(f"{line} has the split {row['split']!r}; allowed: train, val, test")
        if path in line_of:
            raise ValueError(
                f"{line} names {row['file']!r}, which line {line_of[path]} named before"
            )
        line_of[path] = number
        entries.append(Entry(path, row["class"], split))
    return entries


def _rows(root: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows, each with its line number."""
    try:
        text = (root / NAME).read_text(encoding="utf-8-sig")  # spreadsheets may write a BOM
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{NAME} is not UTF-8 (byte {error.start}): save it as CSV, UTF-8"
        ) from None
    reader, rows = csv.reader(io.StringIO(text, newline=""), strict=True), []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if header.count("file") != 1 or header.count("class") != 1:
            raise ValueError(
                f"the first line of {NAME} must name the columns file and class once each, and "
                f"split if there is one, with commas between: file,class. It is "
                f"{','.join(header)!r}"
            )
        for fields in filter(any, reader):
            if len(fields) != len(header):
                raise ValueError(
                    f"line {reader.line_num} of {NAME} has {len(fields)} fields, the header "
                    f"{len(header)}: put a name with a comma in it into double quotes"
                )
            row = dict(zip(header, (text.strip() for text in fields), strict=True))
            row["class"] = unicodedata.normalize("NFC", row["class"])
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} of {NAME} is not CSV: {error}") from None
    if not rows:
        raise ValueError(f"{NAME} names no file: write one line per image under the header")
    return rows


def _path_inside(root: Path, file: str, line: str) -> Path:
    """Return a file's path relative to the folder, after checking that it is inside."""
    windows = PureWindowsPath(file)
    if not file or "\0" in file:
        raise ValueError(f"{line} gives no file")
    if windows.anchor or ".." in windows.parts:
        raise ValueError(
            f"{line} names {file!r}: give a path relative to the folder of {NAME}, without .."
        )
    forms = [file, windows.as_posix()]
    forms += [unicodedata.normalize(kind, form) for kind in ("NFC", "NFD") for form in forms]
    form = next((form for form in forms if os.path.exists(root / form)), forms[1])
    if not Path(os.path.realpath(root / form)).is_relative_to(os.path.realpath(root)):
        raise ValueError(
            f"{line} names {file!r}, which a link leads out of the folder: copy the image into it"
        )
    return Path(form)
