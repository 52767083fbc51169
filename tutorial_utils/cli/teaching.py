"""The commands `mark` and `progress`: verdicts on answers, as a table."""

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from tutorial_utils._support import files
from tutorial_utils.cli.values import given_path

if TYPE_CHECKING:
    import pandas

    from tutorial_utils.batch import marking

STATES = ("right", "wrong", "error", "open")
NOTICE = """This runs what the notebooks hold, one process for each answer, with limits of time and
memory. The network is cut off and the disks are read-only only where the system allows it ({}).
It is no protection from code that means harm: docs/teaching.md has more.
"""


def define(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Define the options of both commands."""
    mark_ = add("mark", help="mark submitted notebooks: this runs what they hold")
    mark_.add_argument("folder", type=given_path, help="the submissions, in subfolders or not")
    mark_.add_argument(
        "--out", type=given_path, required=True, help="a new CSV file, such as marks.csv"
    )
    mark_.add_argument(
        "--folder", dest="notebooks", type=given_path, help="the folder of the lessons"
    )
    mark_.set_defaults(run=mark)

    progress_ = add("progress", help="print which of your answers are right")
    progress_.add_argument("--folder", type=given_path, help="the folder of your notebooks")
    progress_.set_defaults(run=progress)
    for parser in (mark_, progress_):
        parser.add_argument(
            "--only", default="", help="lessons whose names start so, such as 02,07"
        )
        parser.add_argument("--jobs", type=_positive(int), help="answers at a time (processors)")
        parser.add_argument(
            "--seconds", type=_positive(float), default=60.0, help="limit for an answer (60)"
        )
        parser.add_argument(
            "--memory", type=_positive(float), default=2.0, metavar="GIB", help="the same (2)"
        )


def _positive(kind: type) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < 1e6:
            raise argparse.ArgumentTypeError(f"must be a number above 0, not {text[:40]!r}")
        return value

    return read


def mark(options: argparse.Namespace) -> int:
    """Mark submitted notebooks and write one row for each student and exercise."""
    from tutorial_utils.batch import lessons, marking

    out = files.as_path(options.out)
    if out.exists():
        raise FileExistsError(f"{out} exists: choose another name, nothing was marked")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {out.parent} to write {out.name} into")
    print(NOTICE.format("here it does" if marking.is_isolated() else "here it does not"))
    table = marking.mark(
        options.folder,
        notebooks=options.notebooks or lessons.NOTEBOOKS,
        only=options.only,
        limits=_limits(options),
    )
    marking.write_csv(table, out)
    print(_counts(table))
    for row in table[table.lesson == ""].to_dict("records"):
        print(f"not marked: {_printable(row['submission'])}: {row['text']}")
    print(f"table: {out}")
    return 0


def progress(options: argparse.Namespace) -> int:
    """Print a learner's own verdicts, one line for each lesson, and the hints."""
    from tutorial_utils.batch import lessons, marking

    table = marking.mark_own(
        options.folder or lessons.NOTEBOOKS, only=options.only, limits=_limits(options)
    )
    for lesson, rows in table.groupby("lesson", sort=False):
        answered = rows[rows.state != "open"]
        print(f"{lesson:<22} {_counts(rows)}")
        for row in answered[answered.state != "right"].to_dict("records"):
            print(f"    exercise {row['exercise']}, {row['check']}: {row['text']}")
    print(f"{'in all':<22} {_counts(table)}")
    return 0


def _limits(options: argparse.Namespace) -> "marking.AnswerLimits":
    from tutorial_utils.batch import marking

    memory_bytes = int(options.memory * 2**30)
    jobs = options.jobs or os.cpu_count() or 1
    return marking.AnswerLimits(options.seconds, memory_bytes, jobs)


def _counts(table: "pandas.DataFrame") -> str:
    found = table.state.value_counts()
    return ", ".join(f"{found.get(state, 0)} {state}" for state in STATES)


def _printable(name: str) -> str:
    """Return a name with what a terminal cannot show escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
