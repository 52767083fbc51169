"""Mark submitted notebooks: put their answers into the lessons, and collect the checks' verdicts.

Each lesson is marked by one process, see `marking_process`. On Linux it prepares the lesson once
and forks for each answer. Elsewhere every submission has a process of its own.

This runs what learners wrote. The process has a home, a working folder and a copy of the cache of
its own, and where `unshare` is allowed no network, no other process and read-only disks. It is no
protection from code that means harm: mark in a virtual machine if you cannot trust it.

Source: unshare, https://man7.org/linux/man-pages/man1/unshare.1.html
"""

import contextlib
import functools
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import matplotlib
import pandas
from tqdm.auto import tqdm

from tutorial_utils._support import cache, files
from tutorial_utils.batch import lessons as batch
from tutorial_utils.batch import submissions, workers
from tutorial_utils.batch.submissions import Lesson, Submission

COLUMNS = ["submission", "lesson", "exercise", "check", "state", "text"]
PACKAGE = Path(__file__).resolve().parents[1]
PROCESS = f"{__package__}.marking_process"
SET_UP_S = 1800  # for the lesson's own cells
SPARE_S = 10  # for the process to end an answer that is late
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # https://owasp.org/www-community/attacks/CSV_Injection
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "SYSTEMROOT")
NOT_COPIED = ("kit-*", "*.lock", "*.part-*")  # of the cache
# Every disk becomes read-only, apart from the working folder $1. The second `unshare` drops the
# rights that could undo this.
READ_ONLY = """
ip link set lo up 2>/dev/null  # kernels of lesson 13
mount --make-rprivate / && mount --bind "$1" "$1" && mount -t tmpfs tmpfs /dev/shm || exit 1
while read -r _ _ _ _ point _; do
  case "$point" in "$1"|/dev/shm) ;; *) mount -o remount,bind,ro "$point" 2>/dev/null ;; esac
done < /proc/self/mountinfo
shift && exec unshare --user "$@"
"""
UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--mount", "--mount-proc")

Pair = tuple[int, int]  # the submission's index and the exercise's number
Outcome = tuple[str, str]  # the state and its reason


class AnswerLimits(NamedTuple):
    """What an answer may use."""

    seconds: float = 60.0
    memory_bytes: int = 2 * 2**30  # beside what the lesson's own cells use
    jobs: int = 1  # answers at a time
    fork: bool = sys.platform == "linux"


DEFAULT_LIMITS = AnswerLimits()


def mark(
    folder: Path | str,
    *,
    notebooks: Path | str = batch.NOTEBOOKS,
    only: str = "",
    limits: AnswerLimits = DEFAULT_LIMITS,
    quiet: bool = False,
) -> pandas.DataFrame:
    """Mark all notebooks below a folder.

    Args:
        folder: of the submissions; names and subfolders do not matter.
        notebooks: the folder of the lessons as they were handed out.
        only: mark the lessons whose names start so ("06", or "02,07").
        limits: for each answer.
        quiet: show no progress bar.

    Returns:
        One row for each submission and exercise, columns `COLUMNS`. `state` is "open", "wrong",
        "right" or "error", `text` the reason, such as the check's hint. A file that cannot be
        marked has one row, with "error".

    Raises:
        FileNotFoundError: if there is no such folder, no notebook in it, or no lesson.
        ValueError: if no lesson's name begins with one of the starts.
    """
    folder = files.as_path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} with submitted notebooks")
    paths = submissions.find_submissions(folder)
    if not paths:
        raise FileNotFoundError(f"no notebook (*.ipynb) in {folder}: unpack archives first")
    known = [submissions.read_lesson(path) for path in batch.find_lessons(notebooks)]
    wanted = {path.stem for path in batch.find_lessons(notebooks, only=only)}
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    read = [submissions.read_submission(path, name, known) for path, name in names.items()]
    rows = [_row(one.name, state="error", text=one.problem) for one in read if one.problem]
    read = [one for one in read if one.lesson in wanted]
    with tqdm(total=sum(len(one.answers) for one in read), unit="answer", disable=quiet) as bar:
        for lesson in known:
            if not (of_lesson := [one for one in read if one.lesson == lesson.name]):
                continue
            bar.set_postfix_str(lesson.name)
            outcomes = _mark_lesson(lesson, of_lesson, limits, bar.update)
            rows += _rows(lesson, of_lesson, outcomes)
    return pandas.DataFrame(rows, columns=COLUMNS).sort_values(COLUMNS[:3], ignore_index=True)


def mark_own(
    folder: Path | str,
    *,
    only: str = "",
    limits: AnswerLimits = DEFAULT_LIMITS,
    quiet: bool = False,
) -> pandas.DataFrame:
    """Mark a learner's own copies of the lessons; see `mark` for the arguments and the table.

    A copy is its own lesson: the cells above an answer run as the learner has changed them.

    Raises:
        FileNotFoundError: if the folder holds no lesson.
        ValueError: if no lesson's name begins with one of the starts.
    """
    rows, read = [], []
    for path in batch.find_lessons(folder, only=only):
        try:
            read.append(submissions.read_own(path))
        except (OSError, ValueError, RecursionError) as error:
            rows.append(_row(path.name, path.stem, state="error", text=str(error)))
    with tqdm(total=sum(len(own.answers) for _, own in read), unit="answer", disable=quiet) as bar:
        for lesson, own in read:
            bar.set_postfix_str(lesson.name)
            rows += _rows(lesson, [own], _mark_lesson(lesson, [own], limits, bar.update))
    return pandas.DataFrame(rows, columns=COLUMNS).sort_values(COLUMNS[:3], ignore_index=True)


def write_csv(table: pandas.DataFrame, path: Path) -> None:
    """Write the table so that a spreadsheet reads its letters and starts no formula."""
    safe = table.map(lambda value: f"'{value}" if str(value).startswith(FORMULA) else value)
    text = safe.to_csv(index=False).encode("utf-8-sig", "backslashreplace")
    files.write_bytes(path, text)


def _row(submission: str, lesson: str = "", number: int = 0, check: str = "", **more: str) -> dict:
    values = {"submission": submission, "lesson": lesson, "exercise": number, "check": check}
    return values | more


def _rows(
    lesson: Lesson, read: list[Submission], outcomes: dict[Pair, Outcome]
) -> Iterator[dict[str, Any]]:
    for index, submission in enumerate(read):
        for one in lesson.exercises:
            state, text = outcomes.get((index, one.number), ("open", "not answered yet"))
            row = submission.name, lesson.name, one.number, one.check
            yield _row(*row, state=state, text=text)


def _mark_lesson(
    lesson: Lesson,
    read: list[Submission],
    limits: AnswerLimits,
    marked: Callable[[int], object],
) -> dict[Pair, Outcome]:
    """Return the outcomes of all answers to one lesson."""
    pairs = [(index, number) for index, one in enumerate(read) for number in one.answers]
    pairs.sort(key=lambda pair: pair[1])
    indices = range(len(read))
    groups = [pairs] if limits.fork else [[p for p in pairs if p[0] == i] for i in indices]
    outcomes: dict[Pair, Outcome] = {}
    for group in filter(None, groups):
        todo, jobs = group, limits.jobs
        while todo:
            job = _job(lesson, read, todo, limits._replace(jobs=jobs))
            begun, problem = _run_job(job, outcomes, marked)
            todo = [pair for pair in todo if pair not in outcomes]
            stopped = [pair for pair in todo if pair in begun] or todo
            if len(stopped) > 1 and begun.intersection(stopped) and jobs > 1:
                jobs = 1  # to see which of them ends the process
                continue
            outcomes |= dict.fromkeys(stopped, ("error", problem))
            marked(len(stopped))
            todo = [pair for pair in todo if pair not in outcomes]
    return outcomes


def _job(lesson: Lesson, read: list[Submission], todo: list[Pair], limits: AnswerLimits) -> dict:
    return {
        "cells": [cell.source for cell in lesson.cells],
        "exercises": lesson.exercises,
        "answers": [one.answers for one in read],
        "todo": todo,
        **limits._asdict(),
    }


def _run_job(
    job: dict[str, Any],
    outcomes: dict[Pair, Outcome],
    marked: Callable[[int], object],
) -> tuple[set[Pair], str]:
    """Start the process that marks, and add the outcomes that it prints.

    Returns:
        The pairs that it has begun, and what ended it before all are marked, "" if nothing did.
    """
    begun: set[Pair] = set()
    with tempfile.TemporaryDirectory(prefix="mark-", ignore_cleanup_errors=True) as room:
        room = Path(room).resolve()
        with _started(job, room) as (process, lines):
            while True:
                pending = begun - outcomes.keys()
                try:
                    line = lines.get(timeout=job["seconds"] + SPARE_S if pending else SET_UP_S)
                except queue.Empty:
                    limit = job["seconds"] if pending else SET_UP_S
                    return begun, f"TimeoutError: no result within {limit:g} s"
                if line is None:
                    code = process.wait()
                    return begun, _ended(code, room, bool(pending))
                if "finished" in line:
                    return begun, "it ended the process that marks"
                if "failed" in line:
                    return set(), line["failed"]
                pair = line.get("submission"), line.get("exercise")
                if pair not in job["todo"] or pair in outcomes:
                    continue
                begun.add(pair)
                if "outcome" in line:
                    outcomes[pair] = tuple(line["outcome"])
                    marked(1)


@contextlib.contextmanager
def _started(job: dict, room: Path) -> Iterator[tuple[subprocess.Popen, queue.Queue]]:
    """Start the process in a folder of its own; yield it and a queue of its lines, None last."""
    for name in ("home", "work", "tmp"):
        (room / name).mkdir()
    _copy_caches(room)
    (room / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-P", "-m", PROCESS, str(room / "job.json")]
    with (room / "errors.txt").open("wb") as errors:
        process = subprocess.Popen(
            [*_isolation(room), *command],
            cwd=room / "work",
            env=_environment(room),
            stdin=subprocess.PIPE,  # it ends when this closes
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    lines: queue.Queue = queue.Queue()
    threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True).start()
    try:
        yield process, lines
    finally:
        workers.kill_tree(process.pid)
        process.wait()


def _read_lines(stream: IO[bytes], lines: queue.Queue) -> None:
    for line in stream:
        with contextlib.suppress(ValueError):  # what an answer managed to print
            found = json.loads(line)
            if isinstance(found, dict):
                lines.put(found)
    lines.put(None)


def _ended(code: int, room: Path, in_answer: bool) -> str:
    """Return why the process ended before its work was done."""
    if in_answer:
        return f"it ended the process that marks (exit code {code})"
    text = (room / "errors.txt").read_text(encoding="utf-8", errors="replace").strip()
    last = text.splitlines()[-1] if text else f"exit code {code}, no memory left?"
    return f"the lesson could not be prepared: {last}"


def _environment(room: Path) -> dict[str, str]:
    """Return the environment of the process: little of ours, and nothing of the network."""
    import torch

    folders = {"HOME": "home", "USERPROFILE": "home", "IPYTHONDIR": "home", "TMPDIR": "tmp"}
    folders |= {"TEMP": "tmp", "TMP": "tmp", "ANTS_BEES_CACHE": "cache"}
    folders |= {"MPLCONFIGDIR": "matplotlib"}
    values = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    values |= {name: str(room / folder) for name, folder in folders.items()}
    if photographs := os.environ.get("ANTS_BEES_DIR", "").strip():
        values["ANTS_BEES_DIR"] = str(files.as_path(photographs))
    return values | {
        "PYTHONPATH": str(PACKAGE.parent),
        "TORCH_HOME": str(Path(torch.hub.get_dir()).absolute().parent),
        "MPLBACKEND": "Agg",
        "TUTORIAL_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",  # a process that has used a GPU cannot fork
    }


def _copy_caches(room: Path) -> None:
    """Copy our cache, and matplotlib's list of fonts, which takes seconds to make."""
    ignore = shutil.ignore_patterns(*NOT_COPIED)
    sources = {"cache": cache.cache_path(), "matplotlib": Path(matplotlib.get_cachedir())}
    for name, source in sources.items():
        if source.is_dir():
            shutil.copytree(source, room / name, ignore=ignore, symlinks=True)


def _isolation(room: Path) -> list[str]:
    """Return the command that starts another one without network, or [] if that is not allowed."""
    command = [*UNSHARE, "--fork", "--kill-child", "sh", "-c", READ_ONLY, "sh", str(room)]
    return command if is_isolated() else []


@functools.cache
def is_isolated() -> bool:
    """Return whether the system allows to cut off the network and to make its disks read-only."""
    with tempfile.TemporaryDirectory() as room:
        command = [*UNSHARE, "--fork", "--kill-child", "sh", "-c", READ_ONLY, "sh", room, "true"]
        try:
            return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False
