"""Tests of `batch.results`: what is finished, what is stale, what an executor lost."""

import json
import re
import shutil
from concurrent.futures import Executor, Future
from pathlib import Path

import nbformat
import pandas
import pytest
from tiny_notebooks import MARK, PARAMETERS, REPORT, WAIT, rewritten, run_files, sweep, write

from tutorial_utils._support import reports
from tutorial_utils.batch import results, runner, sweeps
from tutorial_utils.batch.limits import Limits

OLD_RUN = Path(__file__).with_name("old_run.json")  # a run of the package before its renaming


def test_a_run_of_another_grid_is_found_in_any_order(tiny, tmp_path, quick):
    first = sweep(tiny, {"number": [0, 2], "name": ["x"]}, tmp_path)
    assert first["notebook"][1].startswith("runs/number=2-")
    before = run_files(tmp_path)
    second = sweep(tiny, {"name": ["x", "y"], "number": [0, 2]}, tmp_path)
    assert list(second["notebook"][:2]) == list(first["notebook"])
    assert second["notebook"][3].startswith("runs/name=y_number=2-")
    again = set(rewritten(before, tmp_path)) & set(first["notebook"])
    assert again == {first["notebook"][0]}, "the failed one is tried again under its old name"
    assert len(run_files(tmp_path)) == 4


@pytest.mark.parametrize("changed", ["notebook", "package", "torch"])
def test_results_of_other_code_are_stale(changed, tiny, tmp_path, quick, monkeypatch):
    out = tmp_path / "out"
    old = sweep(tiny, {"number": [1]}, out)
    if changed == "notebook":
        write(tiny, PARAMETERS, MARK, WAIT + "  # changed", REPORT)
    elif changed == "package":
        monkeypatch.setattr(sweeps, "_package_code", lambda: "changed")
    else:
        monkeypatch.setattr(sweeps, "version", lambda name: "99.0")
    new = sweep(tiny, {"number": [1]}, out)
    assert new["key"][0] != old["key"][0]
    assert len(run_files(out)) == 2
    assert list(pandas.read_csv(out / "results.csv")["key"]) == list(new["key"])
    assert list(pandas.read_csv(out / "stale.csv")["key"]) == list(old["key"])


def test_a_run_of_the_package_before_its_renaming_is_stale(tiny, tmp_path, quick):
    (tmp_path / "out" / "runs").mkdir(parents=True)
    shutil.copy(OLD_RUN, tmp_path / "out" / "runs" / "number=2-dd85202add.ipynb")
    new = sweep(tiny, {"number": [2, 3]}, tmp_path / "out")
    assert list(new["status"]) == ["ok", "ok"]
    stale = pandas.read_parquet(tmp_path / "out" / "stale.parquet")
    assert list(stale["notebook"]) == ["runs/number=2-dd85202add.ipynb"]
    assert list(stale["val_accuracy"]) == [0.5] and list(stale["images"]) == [""]
    assert not set(stale["key"]) & set(new["key"])


def test_a_run_that_was_cut_off_is_repeated(tiny, tmp_path, quick):
    done = sweep(tiny, {"number": [1, 2, 3]}, tmp_path)
    first, second = (tmp_path / name for name in done["notebook"][:2])
    first.write_text("{", encoding="utf-8")
    book = nbformat.read(second, as_version=4)
    del book.metadata[runner.RECORD]
    nbformat.write(book, second)
    before = run_files(tmp_path)
    again = sweep(tiny, {"number": [1, 2, 3]}, tmp_path)
    assert list(again["status"]) == ["ok"] * 3
    assert set(rewritten(before, tmp_path)) == set(done["notebook"][:2])


class Failing(Executor):
    """An executor that cancels its calls, or whose machines do not see the folder of results."""

    def __init__(self, cancels: bool):
        self.cancels = cancels

    def submit(self, function, /, *args, **more):
        future = Future()
        if self.cancels:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_result(None)
        return future


@pytest.mark.parametrize(
    ("cancels", "message"),
    [
        (True, "CancelledError: the executor gave up the run; repeat the sweep to try it"),
        (False, "FileNotFoundError: .* other machines need a folder that all share"),
    ],
)
def test_an_executor_that_fails_makes_error_rows(cancels, message, tiny, tmp_path, quick):
    executor = Failing(cancels)
    table = sweeps.sweep(tiny, {"number": [1, 2]}, tmp_path, executor=executor, quiet=True)
    assert list(table["status"]) == ["error", "error"]
    assert re.match(message, table["error"][0])
    again = sweep(tiny, {"number": [1, 2]}, tmp_path)
    assert list(again["status"]) == ["ok", "ok"]


def test_the_home_folder_may_be_written_as_a_tilde(home):
    found = results.Results("~/out", {"of": "tiny", "code": "1"}, Limits())
    assert Path(found.out) == home / "out" and (home / "out" / "runs").is_dir()


def test_the_last_report_of_a_notebook_counts():
    book = nbformat.from_dict(json.loads(OLD_RUN.read_text(encoding="utf-8")))
    assert reports.read(book)["val_accuracy"] == 0.5
    book.cells[-1].outputs += [nbformat.v4.new_output("display_data", {reports.MIME: {}})]
    assert reports.read(book) == {}
    assert reports.read(nbformat.v4.new_notebook()) == {}
