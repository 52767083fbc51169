"""A sweep's folder of results: which runs are finished, and the tables of them.

The tables are made from the records in the executed notebooks, see `runner`. So a sweep that was
stopped continues with the runs that are missing.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, NamedTuple

import pandas

from tutorial_utils._support import files, reports
from tutorial_utils.batch import runner, storage, tables
from tutorial_utils.batch.limits import Limits


class Run(NamedTuple):
    """One combination of a sweep's values.

    A run whose notebook is there under another name, from another grid, keeps that name.
    """

    parameters: dict[str, Any]
    varied: dict[str, Any]  # those that differ from run to run, for names and printed lines
    key: str  # SHA-256 of the notebook's code, the parameters, the package's code, torch's version
    file: str  # where the executed notebook goes, relative to the folder of results


class Results:
    """The runs in a folder of results. Reads the records that are there.

    Args:
        out: the folder, or its address.
        origin: the notebook's name (`of`) and the SHA-256 of its code (`code`). Runs of that
            notebook with other code are stale.
        limits: of time and of output, for each run.
    """

    def __init__(self, out: Path | str, origin: dict[str, str], limits: Limits) -> None:
        self.out = str(out) if storage.is_address(out) else str(files.as_path(out))
        self.origin = origin
        self._limits = limits
        self._finished: dict[str, tables.FinishedRun] = {}  # by key
        self._files: dict[str, str] = {}  # by key
        self._skipped: set[str] = set()  # names of files that are no run's notebook
        if not storage.is_address(out):
            with files.naming(Path(self.out, "runs")):
                Path(self.out, "runs").mkdir(parents=True, exist_ok=True)
        self.read_new()

    def read_new(self) -> None:
        """Read the runs that are not known yet, such as those of another sweep beside this one.

        A file that is no run's notebook is named once, and left as it is. A notebook without a
        record is a run that has not finished.
        """
        known = {run.file for run in self._finished.values()}
        for name in storage.file_names(f"{self.out}/runs"):
            if name.endswith(".ipynb") and f"runs/{name}" not in known:
                try:
                    self._read(f"runs/{name}")
                except (OSError, ValueError) as error:
                    if name not in self._skipped:
                        print(f"skipped: {error}", file=sys.stderr)
                    self._skipped.add(name)

    def status(self, run: Run) -> str | None:
        """Return "ok", "error", or None if the run is not finished."""
        found = self._finished.get(run.key)
        return found.record["status"] if found else None

    def start(self, run: Run, source: str) -> tuple[str, str, dict, Limits]:
        """Forget a run's old record, and return the arguments of `runner.execute_run` for it."""
        self._finished.pop(run.key, None)
        order = list(run.parameters)  # a notebook's metadata are sorted by name
        record = self.origin | {"key": run.key, "parameters": run.parameters, "order": order}
        target = f"{self.out}/{self._files.setdefault(run.key, run.file)}"
        return source, target, record, self._limits

    def add(self, run: Run, future: Future, source: str) -> None:
        """Add a run that has ended; one that left no record gets a record of its failure."""
        _, target, record, _ = self.start(run, source)
        try:
            failure = self._failure(run, future)
        except (OSError, ValueError) as error:  # its notebook was damaged since
            failure = error
        if failure is not None:
            if isinstance(failure, OSError):
                failure = files.named(failure, Path(target))
            record |= {"status": "error", "error": f"{type(failure).__name__}: {failure}"}
            record |= {"started": time.time(), "wall_s": None}
            self._finished[run.key] = tables.FinishedRun(self._files[run.key], record, {})
            try:
                runner.write_record(source, target, record)
            except OSError:  # the tables have the error; a notebook without a record would be cut
                storage.delete(target)

    def _failure(self, run: Run, future: Future) -> BaseException | None:
        """Return why a run that has ended left no record; read its record if it left one."""
        if future.cancelled():
            return CancelledError("the executor gave up the run; repeat the sweep to try it again")
        if future.exception():
            return future.exception()
        file = self._files[run.key]
        there = Path(file).name in storage.file_names(f"{self.out}/runs")
        if there and self._read(file):
            return None
        return FileNotFoundError(
            f"the run has ended, but its notebook is not in {self.out} as seen from here: "
            "other machines need a folder that all share, or an address such as s3://"
        )

    def describe(self, run: Run) -> str:
        """Return one line of text about a finished run."""
        row = tables.row(self._finished[run.key])
        name = " ".join(f"{name}={value}" for name, value in run.varied.items()) or "run"
        scores = [f"{k} {v:.3f}" for k, v in row.items() if k.startswith("val_acc") and v == v]
        end = row["error"] or ", ".join([f"{row['seconds']:.1f} s", *scores])
        return f"{name}: {row['status']}, {end}"

    def table(self, runs: Iterable[Run]) -> pandas.DataFrame:
        """Return the table of these runs, in their order."""
        return tables.frame([self._finished[run.key] for run in runs])

    def write_tables(self, runs: Sequence[Run]) -> None:
        """Write `results` with these runs first, and `stale`, each as CSV and Parquet."""
        order = {run.key: position for position, run in enumerate(runs)}

        def position(run: tables.FinishedRun) -> tuple[int, float]:
            return order.get(run.record["key"], len(order)), run.record["started"]

        finished = sorted(self._finished.values(), key=position)
        for name, stale in (("results", False), ("stale", True)):
            if part := [run for run in finished if self._is_stale(run.record) is stale]:
                frame = tables.frame(part)
                storage.write(f"{self.out}/{name}.csv", frame.to_csv(index=False))
                storage.write(f"{self.out}/{name}.parquet", frame.to_parquet(None, index=False))

    def _is_stale(self, record: dict) -> bool:
        return record["of"] == self.origin["of"] and record["code"] != self.origin["code"]

    def _read(self, file: str) -> bool:
        """Read one notebook, and return whether it has a record.

        Raises:
            OSError: if it cannot be read.
            ValueError: if it is no notebook, or its record is no record of a sweep.
        """
        path = f"{self.out}/{file}"
        book = storage.read_source(path)
        record = runner.read_record(book)
        if not record:
            return False
        report = reports.read(book) if record.get("status") == "ok" else {}
        run = tables.FinishedRun(file, record, report)
        if problem := tables.problem(run):
            raise ValueError(f"{path} holds no run of a sweep: {problem}")
        known = self._finished.get(record["key"])
        if not (known and known.record["status"] == "ok"):
            self._finished[record["key"]] = run
            self._files[record["key"]] = file
        return True
