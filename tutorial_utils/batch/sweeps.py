"""Sweeps: one notebook, run with every combination of a grid of parameters.

Sources:
    papermill, https://papermill.readthedocs.io
    A dask cluster as an executor: https://distributed.dask.org/en/stable/api.html
"""

import contextlib
import hashlib
import itertools
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import pandas
from tqdm.auto import tqdm

import tutorial_utils
from tutorial_utils import lesson, training
from tutorial_utils._support import files
from tutorial_utils._support.arguments import check_whole
from tutorial_utils.batch import runner, storage, workers
from tutorial_utils.batch.limits import Limits
from tutorial_utils.batch.results import Results, Run

MOST_RUNS = 100_000
DEFAULT = Limits()
PACKAGE = Path(tutorial_utils.__file__).resolve().parent  # all its code is part of a run's key


def sweep(
    notebook: Path | str,
    grid: Mapping[str, Iterable],
    out: Path | str,
    *,
    executor: Executor | None = None,
    jobs: int = 1,
    limits: Limits = DEFAULT,
    quiet: bool = False,
) -> pandas.DataFrame:
    """Run a notebook with every combination of `grid`, and return the results as a table.

    A finished run is not repeated while the notebook's code, its parameters, this package's code
    and torch's version stay the same. (The images are not part of that: if they change, make
    them a parameter, `source`.) A failed run is tried again. The table is written after every
    run, so Ctrl-C loses only the runs that have not finished.

    Each run needs up to 2 GB, in a kernel of its own: choose `jobs` by the memory. In a script,
    call this under `if __name__ == "__main__":`, because the new processes import the script.

    Used in lesson 13.

    Args:
        notebook: with a cell tagged `parameters`, and `lesson.report` at its end.
        grid: a list of values for each parameter: {"arch": ["alexnet", "vgg16"], "seed": range(5)}.
        out: a folder, or an address that papermill writes to (`s3://bucket/folder`). Gets
            `runs/PARAMETERS-KEY.ipynb`, `results.csv` and `results.parquet`. Several grids may
            share it; runs of a notebook that has changed since go into `stale.csv`.
        executor: runs the notebooks, such as dask's `Client(address).get_executor(retries=2)`;
            it is not shut down. The default is processes on this machine. Other machines must
            see `out`.
        jobs: number of processes, if there is no `executor`.
        limits: of time and of output, for each run; see `Limits`.
        quiet: print nothing and show no progress bar.

    Returns:
        One row for each combination, in the grid's order, with the columns of `tables.frame`.
        `status` is "ok" or "error"; `seconds` is the notebook's own time; `overhead_s` is what
        the kernel's start and papermill took in addition.

    Raises:
        ValueError: for an unknown parameter, a value that JSON cannot hold, an empty list.
        FileNotFoundError: if there is no such notebook.
        OSError: if the tables cannot be written, after the last run.
        RuntimeError: if Python's assertions are off.
    """
    lesson.check_assertions()
    source, runs, origin = _plan(notebook, grid)
    check_whole("jobs", jobs, 1)
    results = Results(out, origin, limits)
    todo = [run for run in runs if results.status(run) != "ok"]
    show = (lambda text: None) if quiet else tqdm.write
    show(f"{len(runs)} runs: {len(runs) - len(todo)} finished before, {len(todo)} to do")
    try:
        given = contextlib.nullcontext(executor)  # is not shut down
        with workers.Processes(jobs) if executor is None else given as pool:
            _run_all(pool, todo, source, results, show, quiet or not training.interactive())
    except KeyboardInterrupt:
        done = sum(results.status(run) == "ok" for run in runs)
        text = f"stopped: {done} of {len(runs)} runs are finished and saved in {out}"
        print(f"{text}; repeat the same command to run the others", file=sys.stderr)
        raise
    results.read_new()
    results.write_tables(runs)
    return results.table(runs)


def _run_all(
    executor: Executor,
    runs: list[Run],
    source: str,
    results: Results,
    show: Callable[[str], None],
    hide_bar: bool,
) -> None:
    """Execute runs, and write the tables and one line after each."""
    futures: dict[Future, Run] = {}
    try:
        with tqdm(total=len(runs), unit="run", disable=hide_bar, leave=False) as bar:
            for run in runs:
                futures[executor.submit(runner.execute_run, *results.start(run, source))] = run
            for future in as_completed(futures):
                results.add(futures[future], future, source)
                with contextlib.suppress(OSError):  # it is raised after the last run
                    results.write_tables(list(futures.values()))
                show(results.describe(futures[future]))
                bar.update()
    finally:
        for future in futures:
            future.cancel()


def _plan(
    notebook: Path | str, grid: Mapping[str, Iterable]
) -> tuple[str, list[Run], dict[str, str]]:
    """Return the notebook as JSON, the runs, and the origin of their results, see `Results`."""
    path = str(notebook) if storage.is_address(notebook) else str(files.as_path(notebook))
    book = storage.read_source(path)
    _check_parameters(path, grid)
    values = {name: _values(name, given) for name, given in grid.items()}
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    code = _sha256([cells, _package_code(), version("torch")])
    if math.prod(map(len, values.values())) > MOST_RUNS:
        raise ValueError(f"the grid has more than {MOST_RUNS} combinations: vary less at a time")
    varied = [name for name, given in values.items() if len(given) > 1] or list(values)
    runs = []
    for combination in itertools.product(*values.values()):
        parameters = dict(zip(values, combination, strict=True))
        key = _sha256([code, parameters])
        shown = {name: parameters[name] for name in varied}
        runs.append(Run(parameters, shown, key, f"runs/{_file_stem(shown)}-{key[:10]}.ipynb"))
    return nbformat.writes(book), runs, {"of": Path(path).stem, "code": code}


def _check_parameters(notebook: str, grid: Mapping[str, Iterable]) -> None:
    import papermill

    known = papermill.inspect_notebook(notebook)
    unknown = [name for name in grid if name not in known]
    if unknown:
        raise ValueError(
            f"{Path(notebook).name} has no parameter {', '.join(unknown)}; "
            f"its parameters: {', '.join(sorted(known)) or 'none, no cell is tagged parameters'}"
        )


def _values(name: str, values: Iterable) -> list:
    """Return a parameter's values, NumPy's numbers as Python's, after checking them."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of values, not {values!r}; write [{values!r}]")
    values = [value.item() if hasattr(value, "item") else value for value in values]
    if not values:
        raise ValueError(f"{name} has no values: give at least one, or leave the parameter out")
    seen = set()
    for value in values:
        try:
            text = json.dumps(value)
        except TypeError as error:
            raise ValueError(
                f"{name} must be text, numbers, True, False, None or lists of them, not {value!r}"
            ) from error
        if text in seen:
            raise ValueError(f"{name} has the value {text} twice; for more runs, vary the seed")
        seen.add(text)
    return values


def _file_stem(parameters: dict[str, Any]) -> str:
    """Return a name that every file system allows; the key after it makes it unique."""
    words = [f"{name}={value}" for name, value in parameters.items()]
    return re.sub(r"[^A-Za-z0-9=.-]+", "_", "_".join(words))[:60].rstrip("._") or "defaults"


def _package_code() -> list[list[str]]:
    """Return the path and the text of every module of this package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return [[path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8")] for path in paths]


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
