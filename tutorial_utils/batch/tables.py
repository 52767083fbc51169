"""The table of a sweep: one row for each finished run, in columns that a Parquet file can hold."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas

OUTCOME_COLUMNS = ["status", "val_accuracy", "seconds", "overhead_s", "peak_gib"]
ORIGIN_COLUMNS = ["images", "weights", "versions"]
LAST_COLUMNS = ["error", "notebook", "key"]
FIXED_COLUMNS = {*OUTCOME_COLUMNS, *ORIGIN_COLUMNS, *LAST_COLUMNS}
RECORD = dict.fromkeys(("key", "of", "code", "status", "error"), str)
RECORD |= {"started": (int, float), "wall_s": (int, float, type(None))}
RECORD |= {"parameters": dict, "order": list}
SCALARS = (str, int, float, bool)
NAN = float("nan")


class FinishedRun(NamedTuple):
    """A run that has ended."""

    file: str  # its notebook, relative to the folder of results
    record: dict  # see `runner`
    report: dict  # what the notebook reported by `lesson.report`, {} if nothing


def frame(runs: Sequence[FinishedRun]) -> pandas.DataFrame:
    """Return the table of some runs, one row each.

    Columns: the parameters, `OUTCOME_COLUMNS`, `ORIGIN_COLUMNS`, every other scalar that a
    notebook reported, `LAST_COLUMNS`.
    """
    rows = [row(run) for run in runs]
    given = dict.fromkeys(name for run in runs for name in _parameters(run))
    other = [name for values in rows for name in values if name not in LAST_COLUMNS]
    order = dict.fromkeys([*given, *OUTCOME_COLUMNS, *ORIGIN_COLUMNS, *other, *LAST_COLUMNS])
    return pandas.DataFrame({n: _column([values.get(n) for values in rows]) for n in order})


def problem(run: FinishedRun) -> str:
    """Return why a run's record and report make no row of a table, "" if they do."""
    record = run.record
    missing = [name for name, kinds in RECORD.items() if not isinstance(record.get(name), kinds)]
    if missing:
        return f"its record has no {missing[0]}, or another kind of value there"
    if record["status"] not in ("ok", "error"):
        return f"its status is {record['status']!r}"
    try:
        row(run)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        return f"its values make no row of a table ({type(error).__name__}: {error})"
    return ""


def row(run: FinishedRun) -> dict[str, Any]:
    """Return the values of one run by column; its parameters come first."""
    record, report = run.record, run.report
    seconds, wall_s = report.get("seconds"), record["wall_s"]
    versions = report.get("versions", {}).items()
    fixed = {
        "status": record["status"],
        "val_accuracy": NAN,
        "seconds": _first_number(seconds, wall_s),
        "overhead_s": NAN if None in (seconds, wall_s) else round(wall_s - seconds, 2),
        "peak_gib": round(report.get("peak_bytes", NAN) / 2**30, 3),
        "images": report.get("images", ""),
        "weights": report.get("weights", ""),
        "versions": ", ".join(f"{name} {number}" for name, number in versions),
        "error": " ".join(record["error"].split()),
        "notebook": run.file,
        "key": record["key"],
    }
    given = _parameters(run)
    used = {"lesson", "peak_bytes", *fixed, *given}
    other = {n: v for n, v in report.items() if isinstance(v, SCALARS) and n not in used}
    return given | fixed | _accuracies(report.get("val_accuracy")) | other


def _parameters(run: FinishedRun) -> dict[str, Any]:
    """Return the parameters in their order; one that is named as a fixed column is `given_NAME`."""
    values = {name: run.record["parameters"][name] for name in run.record["order"]}
    return {f"given_{n}" if n in FIXED_COLUMNS else n: value for n, value in values.items()}


def _accuracies(reported: float | dict | None) -> dict[str, float]:
    """Return `val_accuracy`, or one column for each of several networks."""
    if isinstance(reported, dict) and len(reported) > 1:
        return {f"val_accuracy_{name}": value for name, value in reported.items()}
    value = next(iter(reported.values()), None) if isinstance(reported, dict) else reported
    return {"val_accuracy": _first_number(value)}


def _first_number(*values: float | None) -> float:
    """Return the first value that is not None, NaN if all are."""
    return float(next((value for value in values if value is not None), NAN))


def _column(values: list) -> Any:
    """Return values as one Parquet column can hold them: of one type, whole numbers whole."""
    types = {type(value) if _fits(value) else None for value in values if value is not None}
    if types - set(SCALARS) or (len(types) > 1 and types != {int, float}):
        return [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    if None in values and types in ({int}, {bool}):
        return pandas.array(values)
    return values


def _fits(value: Any) -> bool:
    """Return whether a value is no whole number of more than 64 bits."""
    return not isinstance(value, int) or -(2**63) <= value < 2**63
