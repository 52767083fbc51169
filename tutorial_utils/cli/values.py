"""Values on a command line: paths, NAME=VALUE, and NAME=VALUES for a sweep."""

import argparse
import contextlib
import re
from pathlib import Path
from typing import Any

NAMED = {"True": True, "False": False, "None": None}
VALUE = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+))\s*(,|$)')
MOST_VALUES = 100_000
RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")


def given_text(text: str) -> str:
    """Return a path or an address that is not empty, for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path was given: write . for this folder")
    return text


def given_path(text: str) -> Path:
    """Return a path that is not empty, for argparse."""
    return Path(given_text(text))


def split_pair(text: str) -> tuple[str, str]:
    """Return the name and the text of the value in NAME=VALUE.

    Raises:
        ValueError: if there is no `=`, or the name is no Python name.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"-p takes NAME=VALUE, not {text!r}; for example -p epochs=2")
    if any("\ud800" <= letter <= "\udfff" for letter in value):  # bytes that are no text
        raise ValueError(f"-p {name}: {value!r} is no text in UTF-8, so no notebook can hold it")
    return name, value


def read_value(text: str) -> bool | int | float | str | None:
    """Return a value by papermill's rule for its own `-p`.

    True, False and None, else a whole number, else a float, else the text itself.

    Source: https://papermill.readthedocs.io/en/latest/usage-cli.html
    """
    if text in NAMED:
        return NAMED[text]
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text


def read_quoted(text: str) -> bool | int | float | str | None:
    """Return a value by `read_value`; one in double quotes is text, such as `"2024"`."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].replace('""', '"')
    return read_value(text)


def read_values(text: str) -> list[Any]:
    """Return the values of a sweep's parameter: `1e-4,1e-3`, or `0..4` for whole numbers.

    Each value is read by `read_value`. A value in double quotes is text and may hold commas; a
    double quote inside it is written twice.

    Raises:
        ValueError: for an empty value, a range that goes down, a quote that does not end.
    """
    values, position, comma = [], 0, ","
    while comma:
        found = VALUE.match(text, position)
        if not found or not (found[2] or "x").strip():
            raise ValueError(
                f"cannot read the values {text!r}: write 1e-4,1e-3 or, for whole numbers, 0..4; "
                "put a value with a comma in double quotes"
            )
        quoted, plain, comma = found.groups()
        values += _plain_values(plain.strip()) if plain else [quoted.replace('""', '"')]
        position = found.end()
    return values


def _plain_values(text: str) -> list[Any]:
    """Return the whole numbers of a range, or one value."""
    limits = RANGE.fullmatch(text)
    if not limits:
        return [read_value(text)]
    first, last = int(limits[1]), int(limits[2])
    if last < first:
        raise ValueError(f"the range {first}..{last} goes down; write {last}..{first}")
    if last - first >= MOST_VALUES:
        raise ValueError(f"the range {first}..{last} has more than {MOST_VALUES} values")
    return list(range(first, last + 1))
