"""Runs one notebook with every combination of a grid of parameters, and keeps what came out.

A run is one executed notebook, which carries its own record in its metadata: what it was given,
how it ended, how long it took. The table is made from those records. So a sweep that was stopped
goes on where it stopped, and what a killed process left half done is not taken for a result.

Sources:
    papermill, https://papermill.readthedocs.io
    A dask cluster as an executor: https://distributed.dask.org/en/stable/api.html
"""

import hashlib
import itertools
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pandas
from tqdm.auto import tqdm

from tutorial_utils import lesson, training
from tutorial_utils.batch import runner, workers

PACKAGE = Path(__file__).resolve().parent.parent
OUTCOME = ["status", "val_accuracy", "seconds", "overhead_s", "peak_gib"]
ORIGIN = ["images", "weights", "versions"]
ENDING = ["error", "notebook", "key"]
PLAIN = (str, int, float, bool)
NAN = float("nan")
VALUE = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+))\s*(,|$)')


class Run(NamedTuple):
    """One combination of a grid.

    Attributes:
        parameters: what the notebook is given, by name.
        shown: those of them that differ from run to run, for names and lines.
        key: SHA-256 over the notebook's code, the parameters, this package's code and torch's
            version.
        file: where the executed notebook goes, within the folder of results; a run that is there
            under another name, from another grid, keeps that.
    """

    parameters: dict[str, Any]
    shown: dict[str, Any]
    key: str
    file: str


class Entry(NamedTuple):
    """A finished run: its notebook's file, its record, and what the notebook reported."""

    file: str
    record: dict
    result: dict


def sweep(
    notebook: Path | str,
    grid: Mapping[str, Iterable],
    out: Path | str,
    *,
    executor: Executor | None = None,
    jobs: int = 1,
    quiet: bool = False,
) -> pandas.DataFrame:
    """Run a notebook with every combination of `grid`, and return the results as a table.

    A run that is finished is not repeated while the notebook's code, its parameters, this
    package's code and torch's version stay the same. (The images are not part of that: where
    they change, make them a parameter, `source`.) A failed run is tried again. The table is
    written after every run, so that Ctrl-C loses only what was running.

    Each run holds up to 2 GB, in a kernel of its own: choose `jobs` by the memory. In a script,
    call this beneath `if __name__ == "__main__":`, because the new processes import the script.

    Args:
        notebook: with a cell tagged `parameters`, and `lesson.report` at its end.
        grid: the values to take, by parameter: {"arch": ["alexnet", "vgg16"], "seed": range(5)}.
        out: a folder, or an address that papermill writes to (`s3://bucket/folder`). Gets
            `runs/PARAMETERS-KEY.ipynb`, `results.csv` and `results.parquet`. Several grids may
            share it; runs of a notebook that has changed since go into `stale.csv`.
        executor: where to work, such as dask's `Client(address).get_executor(retries=2)`, which
            stays open. By default processes on this machine. Other machines must see `out`.
        jobs: how many processes, if there is no `executor`.
        quiet: print nothing and show no progress.

    Returns:
        One row a combination, in the grid's order, with the parameters (`given_weights` for one
        that is named as a column of the results), `OUTCOME`, `ORIGIN`, whatever plain value the
        notebook reported beside, and `ENDING`. `status` is "ok" or "error"; `seconds` the
        notebook's own time; `overhead_s` what the kernel's start and papermill took beside it.

    Raises:
        ValueError: for an unknown parameter, a value that cannot be handed over, no values.
        FileNotFoundError: if there is no such notebook.
    """
    book, runs, note = _plan(notebook, grid)
    _check_jobs(jobs)
    ledger = Ledger(out, note)
    todo = [run for run in runs if ledger.status(run) != "ok"]
    show = _printer(quiet)
    show(f"{len(runs)} runs: {len(runs) - len(todo)} finished before, {len(todo)} to do")
    own = workers.Processes(jobs) if executor is None else None
    try:
        _work(executor or own, todo, book, ledger, show, quiet)
    except BaseException as stop:
        if own:
            own.kill()
        if isinstance(stop, KeyboardInterrupt):
            done = sum(ledger.status(run) == "ok" for run in runs)
            text = f"stopped: {done} of {len(runs)} runs are finished and kept in {out}"
            print(f"{text}; the same command again does the rest", file=sys.stderr)
        raise
    finally:
        if own:
            own.shutdown()
    ledger.look()
    ledger.write(runs)
    return ledger.table(runs)


def read_values(text: str) -> list:
    """Return the values that a command line gives: `1e-4,1e-3`, or `0..4` for whole numbers.

    Numbers, True, False and None are read as by papermill's own -p. What stands in double quotes
    is text, commas and all; a double quote inside is written twice.

    Raises:
        ValueError: for an empty value, a range that goes down, a quote that does not end.
    """
    from papermill.cli import _resolve_type  # the rule of papermill's own -p

    values, place, comma = [], 0, ","
    while comma:
        found = VALUE.match(text, place)
        if not found or not (found[2] or "x").strip():
            raise ValueError(
                f"cannot read the values {text!r}: write 1e-4,1e-3 or, for whole numbers, 0..4; "
                "a value with a comma stands in double quotes"
            )
        bare = (found[2] or "").strip()
        if found[2] is None:
            values.append(found[1].replace('""', '"'))
        elif span := re.fullmatch(r"(-?\d+)\.\.(-?\d+)", bare):
            values += _span(int(span[1]), int(span[2]))
        else:
            values.append(_resolve_type(bare))
        place, comma = found.end(), found[3]
    return values


def reported(book: nbformat.NotebookNode) -> dict:
    """Return what an executed notebook reported by `lesson.report`, {} if nothing."""
    found = [
        output["data"][lesson.MIME]
        for cell in book.cells
        for output in cell.get("outputs", [])
        if lesson.MIME in output.get("data", {})
    ]
    return dict(found[-1]) if found else {}


class Ledger:
    """What the folder of results holds: every run that has a record, and the tables of them.

    Args:
        out: the folder, or its address.
        note: of which notebook (`of`) and which state of its code (`code`) the results are
            wanted now; others of this notebook are stale.
    """

    def __init__(self, out: Path | str, note: dict) -> None:
        self.out = str(out) if runner.remote(out) else str(Path(out).absolute())
        self.note = note
        self._entries: dict[str, Entry] = {}  # by key
        self._files: dict[str, str] = {}  # by key
        if not runner.remote(out):
            Path(self.out, "runs").mkdir(parents=True, exist_ok=True)
        self.look()

    def look(self) -> None:
        """Read the runs that are not known yet, such as those of another sweep beside."""
        known = {entry.file for entry in self._entries.values()}
        for name in runner.names(f"{self.out}/runs"):
            if name.endswith(".ipynb") and f"runs/{name}" not in known:
                self._read(f"runs/{name}")

    def status(self, run: Run) -> str | None:
        """Return "ok", "error", or None if the run is not finished."""
        found = self._entries.get(run.key)
        return found.record["status"] if found else None

    def task(self, run: Run, source: str) -> tuple[str, str, dict]:
        """Return the arguments of `execute` for a run, whose old record no longer counts."""
        self._entries.pop(run.key, None)
        order = list(run.parameters)  # a notebook's metadata are kept by the alphabet
        record = self.note | {"key": run.key, "parameters": run.parameters, "order": order}
        return source, f"{self.out}/{self._files.setdefault(run.key, run.file)}", record

    def take(self, run: Run, future: Future, source: str) -> None:
        """Enter a run that has ended, well or not."""
        _, target, record = self.task(run, source)
        file = self._files[run.key]
        lost = CancelledError("the executor gave up the run; ask again, and it is tried again")
        failure = lost if future.cancelled() else future.exception()
        if failure is None and not self._read(file):
            failure = FileNotFoundError(
                f"the run has ended, but its notebook is not in {self.out} as seen from here: "
                "other machines need a folder that all share, or an address such as s3://"
            )
        if failure is not None:
            record |= runner.ending(f"{type(failure).__name__}: {failure}")
            record |= {"started": time.time(), "wall_s": None}
            runner.sign(source, target, record)
            self._entries[run.key] = Entry(file, record, {})

    def line(self, run: Run) -> str:
        """Return one line for people about a run that has ended."""
        row = _row(self._entries[run.key])
        name = " ".join(f"{name}={value}" for name, value in run.shown.items()) or "run"
        scores = [f"{k} {v:.3f}" for k, v in row.items() if k.startswith("val_acc") and v == v]
        end = row["error"] or ", ".join([f"{row['seconds']:.1f} s", *scores])
        return f"{name}: {row['status']}, {end}"

    def table(self, runs: Iterable[Run]) -> pandas.DataFrame:
        """Return the rows of these runs."""
        return _frame([self._entries[run.key] for run in runs])

    def write(self, runs: Sequence[Run]) -> None:
        """Write the tables anew, these runs first."""
        order = {run.key: place for place, run in enumerate(runs)}

        def place(entry: Entry) -> tuple[int, float]:
            return order.get(entry.record["key"], len(order)), entry.record["started"]

        entries = sorted(self._entries.values(), key=place)
        fresh = [entry for entry in entries if not self._stale(entry.record)]
        stale = [entry for entry in entries if self._stale(entry.record)]
        for name, part in (("results", fresh), ("stale", stale)):
            if part:
                frame = _frame(part)
                runner.put(f"{self.out}/{name}.csv", frame.to_csv(index=False))
                runner.put(f"{self.out}/{name}.parquet", frame.to_parquet(None, index=False))

    def _stale(self, record: dict) -> bool:
        return record["of"] == self.note["of"] and record["code"] != self.note["code"]

    def _read(self, file: str) -> bool:
        book = runner.load(f"{self.out}/{file}")
        record = dict(book.metadata.get(runner.RECORD, {})) if book else {}
        known = self._entries.get(record.get("key", ""))
        if record and not (known and known.record["status"] == "ok"):
            self._entries[record["key"]] = Entry(file, record, reported(book))
            self._files[record["key"]] = file
        return bool(record)


def _work(
    executor: Executor,
    todo: list[Run],
    book: str,
    ledger: Ledger,
    show: Callable[[str], None],
    quiet: bool,
) -> None:
    hidden = quiet or not training.interactive()
    futures: dict[Future, Run] = {}
    try:
        with tqdm(total=len(todo), unit="run", disable=hidden, leave=False) as bar:
            for run in todo:
                futures[executor.submit(runner.execute, *ledger.task(run, book))] = run
            for future in as_completed(futures):
                ledger.take(futures[future], future, book)
                ledger.write(list(futures.values()))
                show(ledger.line(futures[future]))
                bar.update()
    finally:
        for future in futures:
            future.cancel()


def _plan(notebook: Path | str, grid: Mapping[str, Iterable]) -> tuple[str, list[Run], dict]:
    import papermill

    if not runner.remote(notebook) and not Path(notebook).is_file():
        raise FileNotFoundError(f"there is no notebook {notebook}")
    known = papermill.inspect_notebook(str(notebook))
    unknown = [name for name in grid if name not in known]
    if unknown:
        raise ValueError(
            f"{Path(notebook).name} has no parameter {', '.join(unknown)}; "
            f"it takes {', '.join(sorted(known)) or 'none: no cell is tagged parameters'}"
        )
    lists = {name: _values(name, values) for name, values in grid.items()}
    source = papermill.iorw.papermill_io.read(str(notebook))
    book = nbformat.reads(source, as_version=4)
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    code = _digest([cells, _package(), version("torch")])
    varied = [name for name, values in lists.items() if len(values) > 1] or list(lists)
    runs = []
    for values in itertools.product(*lists.values()):
        parameters = dict(zip(lists, values, strict=True))
        key = _digest([code, parameters])
        shown = {name: parameters[name] for name in varied}
        file = f"runs/{_short(shown)}-{key[:10]}.ipynb"
        runs.append(Run(parameters, shown, key, file))
    return nbformat.writes(book), runs, {"of": Path(notebook).stem, "code": code}


def _values(name: str, values: Iterable) -> list:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of values, got {values!r}; write [{values!r}]")
    values = [value.item() if hasattr(value, "item") else value for value in values]
    if not values:
        raise ValueError(f"{name} has no values: name at least one, or leave the parameter out")
    for value in values:
        try:
            json.dumps(value)
        except TypeError as error:
            raise ValueError(
                f"{name} takes text, numbers, True, False, None and lists of them, got {value!r}"
            ) from error
    seen = [json.dumps(value) for value in values]
    twice = [value for value in seen if seen.count(value) > 1]
    if twice:
        raise ValueError(f"{name} has the value {twice[0]} twice; more runs need another seed")
    return values


def _check_jobs(jobs: int) -> None:
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"jobs must be a whole number from 1, got {jobs!r}")


def _span(first: int, last: int) -> range:
    if last < first:
        raise ValueError(f"the range {first}..{last} goes down; write {last}..{first}")
    return range(first, last + 1)


def _short(parameters: dict[str, Any]) -> str:
    """Return a name that every file system takes; what tells two apart is the key behind it."""
    words = [f"{name}={value}" for name, value in parameters.items()]
    return re.sub(r"[^A-Za-z0-9=.-]+", "_", "_".join(words))[:60].rstrip("._") or "defaults"


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _package() -> list[list[str]]:
    files = sorted(PACKAGE.rglob("*.py"))
    return [[str(path.relative_to(PACKAGE)), path.read_text(encoding="utf-8")] for path in files]


def _printer(quiet: bool) -> Callable[[str], None]:
    return (lambda text: None) if quiet else (lambda text: tqdm.write(text))


def _row(entry: Entry) -> dict[str, Any]:
    file, record, result = entry
    seconds, wall = result.get("seconds"), record["wall_s"]
    versions = result.get("versions", {}).items()
    row = {
        "status": record["status"],
        "val_accuracy": NAN,
        "seconds": _number(seconds, wall),
        "overhead_s": NAN if None in (seconds, wall) else round(wall - seconds, 2),
        "peak_gib": round(result.get("peak_bytes", NAN) / 2**30, 3),
        "images": result.get("images", ""),
        "weights": result.get("weights", ""),
        "versions": ", ".join(f"{name} {number}" for name, number in versions),
        "error": " ".join(record["error"].split()),
        "notebook": file,
        "key": record["key"],
    }
    values = {name: record["parameters"][name] for name in record["order"]}
    given = {f"given_{n}" if n in row else n: value for n, value in values.items()}
    beside = {"lesson", "peak_bytes", *row, *given}
    more = {n: v for n, v in result.items() if isinstance(v, PLAIN) and n not in beside}
    return given | row | _accuracy(result.get("val_accuracy")) | more


def _accuracy(reported: float | dict | None) -> dict[str, float]:
    if isinstance(reported, dict) and len(reported) > 1:  # one for each network
        return {f"val_accuracy_{name}": score for name, score in reported.items()}
    score = next(iter(reported.values()), None) if isinstance(reported, dict) else reported
    return {"val_accuracy": _number(score)}


def _number(*values: float | None) -> float:
    return float(next((value for value in values if value is not None), NAN))


def _frame(entries: Sequence[Entry]) -> pandas.DataFrame:
    rows = [_row(entry) for entry in entries]
    names = dict.fromkeys(name for row in rows for name in row)
    fixed = [*OUTCOME, *ORIGIN, *ENDING]
    given = dict.fromkeys(
        name
        for row, entry in zip(rows, entries, strict=True)
        for name in list(row)[: len(entry.record["parameters"])]
    )
    more = [name for name in names if name not in given and name not in fixed]
    order = [*given, *OUTCOME, *ORIGIN, *more, *ENDING]
    return pandas.DataFrame({name: _column([row.get(name) for row in rows]) for name in order})


def _column(values: list) -> Any:
    """Return a column that a Parquet file can hold: of one kind, whole numbers whole."""
    kinds = {type(value) for value in values if value is not None}
    if kinds - set(PLAIN) or (len(kinds) > 1 and kinds != {int, float}):
        return [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    if None in values and kinds in ({int}, {bool}):
        return pandas.array(values)
    return values
