"""Faults in batch runs: endless cells, floods of output, damaged files, full disks, dead parents.

No kernel is started here: see `test_faults_kernels`.
"""

import errno
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas
import pytest
from nbclient.client import _RGX_CARRIAGERETURN
from nbformat.v4 import new_code_cell, new_notebook, new_output
from tiny_notebooks import PARAMETERS, REPORT, pretend_to_run, sweep, write, write_reported

from tutorial_utils import lesson
from tutorial_utils._support import files, reports
from tutorial_utils.batch import client, lessons, limits, runner, schedule, storage, sweeps
from tutorial_utils.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 10_000
SMALL = limits.Limits(output_bytes=LIMIT)


@pytest.fixture
def quick(monkeypatch):
    """Start no kernel, and keep the runs' keys when someone edits the package meanwhile."""
    monkeypatch.setattr(runner, "run_papermill", pretend_to_run)
    monkeypatch.setattr(schedule, "fitting", lambda *given: 1)  # in this process
    monkeypatch.setattr(sweeps, "_package_code", lambda: "the package's code")
    monkeypatch.setattr(lessons, "to_html", lambda path: files.write_bytes(page(path), b"page"))


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder of two lessons."""
    (tmp_path / "notebooks").mkdir()
    for name in ("00_first", "01_second"):
        write(tmp_path / "notebooks" / f"{name}.ipynb", PARAMETERS, REPORT)
    return tmp_path / "notebooks"


@pytest.fixture
def tiny(tmp_path) -> Path:
    return write(tmp_path / "tiny.ipynb", PARAMETERS, REPORT)


def page(path: Path) -> Path:
    return path.with_suffix(".html")


def table_of(out: Path) -> pandas.DataFrame:
    return pandas.read_csv(out / "results.csv", dtype=str, keep_default_na=False).set_index(
        "lesson"
    )


# Texts that a cell prints.


@pytest.mark.parametrize(
    "text",
    ["", "\r", "a\rb", "a\r\nb", "a\r\r\nb", "\ra", "a\r", "a\nb\rc\nd\r", "5%\r10%\r100%\ndone\n"]
    + ["\r\r\r", "a\r\rb\n\n\rc", "a\x85b\rc", "a\u2028b\rc\n", "x\ry\r\nz"],
)
def test_carriage_returns_overwrite_as_nbclient_lets_them(text):
    assert client.overwrite(text) == _RGX_CARRIAGERETURN.sub("", text)


@pytest.mark.parametrize(
    "text",
    [str(list(range(40_000))), "x" * 5_000_000, "x\r" * 1_000_000, "\n" * 2_000_000, "x" * 10**7],
    ids=["list", "5 MB line", "carriage returns", "newlines", "10 MB line"],
)
def test_a_long_line_takes_no_time(text):
    assert client.overwrite(f"a\n{text}\rb") == "a\n" + "\n" * text.count("\n") + "b"


@pytest.mark.parametrize("names", ["oeo", "eo", "eoe", "oeeo", "eee"])
def test_streams_are_joined_stdout_first(names):
    full = {"o": "stdout", "e": "stderr"}
    outputs = [new_output("stream", name=full[n], text=f"{n}{i}\n") for i, n in enumerate(names)]
    joined = client.join_streams(outputs)
    assert [output.name for output in joined] == sorted({full[n] for n in names}, reverse=True)
    for output in joined:
        short = output.name[3]
        assert output.text == "".join(f"{n}{i}\n" for i, n in enumerate(names) if n == short)


def send(messages: list[tuple[str, dict]]) -> list:
    """Return the outputs of a cell that sends these messages; its output is limited to 10 kB."""
    book = new_notebook(cells=[new_code_cell("1")])
    limited = client.LimitedClient(book, limits=SMALL)
    limited._bytes_left, limited.clear_before_next_output = LIMIT, False
    for kind, content in messages:
        header = {"msg_type": kind}
        message = {"msg_type": kind, "header": header, "content": content, "parent_header": {}}
        limited.process_message(message, book.cells[0], 0)
    return client.join_streams(book.cells[0].outputs)


def stream(text: str, name: str = "stdout") -> tuple[str, dict]:
    return "stream", {"name": name, "text": text}


def shown(text: str, kind: str = "display_data", mime: str = "text/plain") -> tuple[str, dict]:
    return kind, {"data": {mime: text}, "metadata": {}, "transient": {"display_id": "one"}}


@pytest.mark.parametrize(
    "messages",
    [
        [stream("x" * 50_000_000)],
        [stream("x" * 999)] * 1000,
        [stream("x\n")] * 100_000,
        [stream("")] * 100_000,
        [stream("x" * 999, "stderr")] * 100,
        [shown("x" * 50_000_000)],
        [shown("x" * 999)] * 1000,
        [shown("x" * 50_000, mime="image/png")],
        [shown("small"), shown("x" * 50_000, kind="update_display_data")],
        [("execute_result", shown("x" * 50_000)[1] | {"execution_count": 1})],
        [stream("a"), shown("b"), stream("x" * 50_000), shown("c")],
    ],
)
def test_output_without_end_is_cut_off_and_one_line_names_the_limit(messages):
    outputs = send(messages)
    assert len(json.dumps(outputs)) < 2 * LIMIT
    text = "".join(output.get("text", "") for output in outputs)
    assert text.count("[the output is cut off here: a cell may print 0.01 MB]\n") == 1


@pytest.mark.parametrize(
    "messages",
    [
        [stream("x" * 9000)],
        [stream("x" * 9000), ("clear_output", {"wait": False})] * 100 + [stream("end")],
        [shown("x" * 9000), ("clear_output", {"wait": True})] * 100 + [stream("end")],
        [shown("x")] + [shown("x" * 1000, kind="update_display_data")] * 1000,
    ],
)
def test_output_that_is_cleared_or_replaced_is_not_cut_off(messages):
    assert "cut off" not in json.dumps(send(messages))


def test_a_result_after_much_output_is_kept():
    outputs = send(
        [stream("x" * 50_000), ("display_data", {"data": {reports.MIME: {"n": 1}}, "metadata": {}})]
    )
    assert reports.read({"cells": [{"outputs": outputs}]}) == {"n": 1}


def test_a_result_that_is_too_large_is_not_kept():
    outputs = send([("display_data", {"data": {reports.MIME: {"n": "x" * 50_000}}})])
    assert reports.read({"cells": [{"outputs": outputs}]}) == {}


def test_an_error_with_an_endless_message_is_shortened():
    content = {"ename": "ValueError", "evalue": "x" * 10**7, "traceback": ["y" * 10**7] * 2}
    error = send([("error", content)])[0]
    assert error.evalue == "x" * client.ERROR_LETTERS + " …"
    assert len(json.dumps(error)) < 5 * client.ERROR_LETTERS
    assert error.traceback[-1] == f"ValueError: {error.evalue}"


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "60", 10**9])
@pytest.mark.parametrize("name", ["notebook_s", "cell_s"])
def test_a_limit_that_is_no_number_of_seconds_is_named(name, value):
    option = {"notebook_s": "--timeout", "cell_s": "--cell-timeout"}[name]
    with pytest.raises(ValueError, match=f"{option} must be a number of seconds above 0 and at"):
        limits.Limits(**{name: value})


# Foreign and damaged files in a sweep's folder.


def record(**changes) -> str:
    """Return a notebook of a finished run as JSON, with changes to its record."""
    book = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": ""}})
    report = changes.pop("report", {"val_accuracy": 0.5})
    book.cells = [new_code_cell("1", outputs=[new_output("display_data", {reports.MIME: report})])]
    good = {"key": "k", "of": "other", "code": "c", "status": "ok", "error": "", "started": 1.0}
    good |= {"wall_s": 1.0, "parameters": {"number": 7}, "order": ["number"]} | changes
    book.metadata["sweep"] = {name: value for name, value in good.items() if value != "gone"}
    return nbformat.writes(book)


NO_NOTEBOOKS = {
    "list": "[]",
    "list of one": "[1]",
    "number": "3",
    "null": "null",
    "empty": "",
    "spaces": "  \n",
    "not JSON": "{",
    "text": "my notes",
    "nested": "[" * 100_000,
    "no cells": '{"nbformat": 4, "metadata": {}}',
    "cells a number": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 5}',
    "cell a number": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [5]}',
    "no version": '{"cells": [], "metadata": {}}',
    "old and damaged": '{"nbformat": 3, "worksheets": 5}',
    "binary": bytes(range(256)),
    "NUL": b"\0" * 1000,
    "UTF-16": '{"cells": []}'.encode("utf-16"),
    "cut": record()[:-30],
    "no kernel": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}',
    "kernel a number": '{"nbformat": 4, "metadata": {"kernelspec": 3}, "cells": []}',
}
NAMES = ("key", "of", "code", "status", "error", "started", "wall_s", "parameters", "order")
RECORDS = {f"record without {name}": record(**{name: "gone"}) for name in NAMES}
RECORDS |= {f"record with a list as {name}": record(**{name: [1]}) for name in NAMES[:7]}
RECORDS |= {
    "another status": record(status="done"),
    "unknown parameter": record(order=["seed"]),
    "order of lists": record(order=[[1]]),
    "accuracy as text": record(report={"val_accuracy": "high"}),
    "accuracies as text": record(report={"val_accuracy": {"AlexNet": "high"}}),
    "accuracy as list": record(report={"val_accuracy": [0.5]}),
    "seconds as text": record(report={"seconds": "many"}),
    "bytes as text": record(report={"peak_bytes": "many"}),
    "versions as list": record(report={"versions": ["3.11"]}),
}


def put(path: Path, kind: str) -> None:
    """Put something that is no notebook at a path."""
    if kind in ODD_PATHS[1:] and sys.platform == "win32":
        pytest.skip("Windows has no such files")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, 0o600 | 0o140000)
    elif kind == "link to nothing":
        path.symlink_to("nothing")
    elif kind == "link to itself":
        path.symlink_to(path)
    else:
        content = (NO_NOTEBOOKS | RECORDS)[kind]
        path.write_bytes(content.encode() if isinstance(content, str) else content)


ODD_PATHS = ["folder", "pipe", "link to nothing", "link to itself", "socket"]


@pytest.mark.parametrize("kind", [*ODD_PATHS, *NO_NOTEBOOKS, *RECORDS])
def test_a_file_that_is_no_run_is_named_and_skipped(kind, tiny, tmp_path, quick, capsys):
    runs = tmp_path / "out" / "runs"
    runs.mkdir(parents=True)
    put(runs / "mine.ipynb", kind)
    for _ in range(2):
        table = sweep(tiny, {"number": [1, 2]}, tmp_path / "out")
        assert list(table["status"]) == ["ok", "ok"]
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("skipped: ")
        assert str(runs / "mine.ipynb") in lines[0]
        assert list(pandas.read_csv(tmp_path / "out" / "results.csv")["number"]) == [1, 2]
    assert os.path.lexists(runs / "mine.ipynb")


@pytest.mark.parametrize("kind", ["folder", "cut", "binary", "record without started"])
def test_a_damaged_notebook_of_a_run_is_repeated(kind, tiny, tmp_path, quick):
    grid, out = {"number": [1, 2]}, tmp_path / "out"
    path = out / sweep(tiny, grid, out)["notebook"][0]
    path.unlink()
    put(path, kind)
    table = sweep(tiny, grid, out)
    if kind == "folder":
        assert list(table["status"]) == ["error", "ok"]
        assert str(path) in table["error"][0] and "is a folder" in table["error"][0]
    else:
        assert list(table["status"]) == ["ok", "ok"]
        assert storage.read_notebook(str(path)).metadata["sweep"]["status"] == "ok"


@pytest.mark.parametrize("number", [2**63, -(10**30), 10**400])
def test_a_whole_number_of_any_length_stands_in_the_tables(number, tiny, tmp_path, quick):
    monkey = sweep(tiny, {"number": [1], "name": [number, 1, None]}, tmp_path)
    assert list(monkey["name"].fillna("none")) == [str(number), "1", "none"]
    assert list(pandas.read_parquet(tmp_path / "results.parquet")["name"][:2]) == [str(number), "1"]


@pytest.mark.parametrize("value", ["high", [0.5], {"AlexNet": None}, {"AlexNet": "high"}, b"1"])
def test_a_lesson_that_reports_no_number_as_its_accuracy_is_told(value):
    with pytest.raises(ValueError, match="val_accuracy must be a number, or a dict of numbers"):
        lesson.report("06_training", val_accuracy=value)


# Damaged source notebooks.


@pytest.mark.parametrize("more", [[], ["-p", "number=2"]], ids=["", "p"])
@pytest.mark.parametrize("kind", [*ODD_PATHS, *NO_NOTEBOOKS])
def test_a_damaged_lesson_is_one_error_row(kind, more, folder, tmp_path, quick, capsys):
    out = tmp_path / "out"
    assert main(["lessons", "--folder", str(folder), "--out", str(out)]) == 0
    damaged = folder / "00_first.ipynb"
    damaged.unlink()
    put(damaged, kind)
    assert main(["lessons", "--folder", str(folder), "--out", str(out), *more]) == 1
    table = table_of(out)
    assert list(table["status"]) == ["error", "ok"]
    assert str(damaged) in table["error"].iloc[0]
    assert table["val_accuracy"].iloc[0] == "", "an accuracy of the run before"
    assert "failed: 00_first: " in capsys.readouterr().err
    assert sorted(path.stem for path in (out / "lessons").iterdir()) == ["01_second"] * 2


@pytest.mark.parametrize("kind", [*ODD_PATHS, *NO_NOTEBOOKS])
def test_a_damaged_notebook_is_no_source_of_a_sweep(kind, tmp_path, quick, capsys):
    source = tmp_path / "source.ipynb"
    put(source, kind)
    assert main(["sweep", str(source), "--out", str(tmp_path / "out"), "-p", "number=1"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and str(source) in error and "[Errno" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["folder", "cut", "list of one", "binary"])
def test_a_damaged_lesson_is_not_run_in_place(kind, folder, quick, capsys, monkeypatch):
    monkeypatch.setattr(runner, "run_in_place", lambda book, folder, limits: None)
    damaged = folder / "00_first.ipynb"
    damaged.unlink()
    put(damaged, kind)
    assert main(["lessons", "--folder", str(folder), "--in-place"]) == 1
    assert "failed: 00_first, its notebook stays as it was: " in capsys.readouterr().err
    assert storage.read_notebook(str(folder / "01_second.ipynb"))


# What goes wrong in the middle of a run of all lessons.


def fail(kind: str, at: int, monkeypatch) -> list[int]:
    """Let one of the lessons fail; return a list that gets a number for each that is run."""
    calls = []

    def run(notebook, target, parameters, limits):
        calls.append(len(calls))
        if calls[-1] == at and kind == "Ctrl-C":
            raise KeyboardInterrupt
        if calls[-1] == at:
            return "cell 2: ValueError: no"
        return pretend_to_run(notebook, target, parameters, limits)

    monkeypatch.setattr(runner, "run_papermill", run)
    return calls


def test_ctrl_c_leaves_the_table_of_the_finished_lessons(folder, tmp_path, quick, monkeypatch):
    out = tmp_path / "out"
    fail("Ctrl-C", 1, monkeypatch)
    assert main(["lessons", "--folder", str(folder), "--out", str(out)]) == 130
    assert list(table_of(out).index) == ["00_first"]


def test_ctrl_c_in_the_first_lesson_leaves_no_result_of_the_run_before(
    folder, tmp_path, quick, monkeypatch
):
    out = tmp_path / "out"
    assert main(["lessons", "--folder", str(folder), "--out", str(out)]) == 0
    (out / "curves.png").touch()
    fail("Ctrl-C", 0, monkeypatch)
    assert main(["lessons", "--folder", str(folder), "--out", str(out)]) == 130
    assert list(table_of(out).index) == []
    assert not (out / "curves.png").exists()


def test_a_lesson_that_fails_after_its_report_has_no_result(folder, tmp_path, monkeypatch):
    def run(notebook, target, parameters, limits):
        write_reported(nbformat.read(notebook, as_version=4), target, {"val_accuracy": 0.9})
        return "cell 3: AssertionError: no"

    monkeypatch.setattr(runner, "run_papermill", run)
    row = lessons.run_notebook(folder / "00_first.ipynb", tmp_path / "out.ipynb")
    assert (row["status"], row["val_accuracy"], row["result"]) == ("error", "", {})
    table = sweep(folder / "00_first.ipynb", {"number": [1]}, tmp_path / "out")
    assert list(table["status"]) == ["error"] and table["val_accuracy"].isna().all()


def full_disk(monkeypatch, *endings: str, times: int = 10**6) -> None:
    """Let the writing of files with these endings fail, a number of times."""
    replace, left = files.replace_file, [times]

    def fails(path: Path, write) -> None:
        if path.name.endswith(endings) and left[0]:
            left[0] -= 1

            def write(temporary):
                temporary.write_bytes(b"part")
                raise OSError(errno.ENOSPC, "No space left on device")

        replace(path, write)

    monkeypatch.setattr(files, "replace_file", fails)


def test_a_disk_that_is_full_at_a_page_loses_nothing_else(folder, tmp_path, quick, monkeypatch):
    out = tmp_path / "out"
    full_disk(monkeypatch, "00_first.html")
    assert main(["lessons", "--folder", str(folder), "--out", str(out)]) == 1
    table = table_of(out)
    assert list(table["status"]) == ["error", "ok"]
    where = f"no HTML page: {out / 'lessons' / '00_first.html'} cannot be written: the disk is full"
    assert table["error"].iloc[0].startswith(where)
    names = ["00_first.ipynb", "01_second.html", "01_second.ipynb"]
    assert sorted(path.name for path in (out / "lessons").iterdir()) == names


def test_a_disk_that_is_full_for_a_while_loses_no_row(folder, tmp_path, quick, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(lessons, "_write_table", written_later(lessons._write_table, monkeypatch))
    assert main(["lessons", "--folder", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert list(table_of(tmp_path / "out").index) == ["00_first", "01_second"]


def written_later(write, monkeypatch):
    """Return a function that writes the table, on a disk that is full after the first lesson."""

    def write_table(rows, out):
        if len(rows) == 1:
            raise OSError("the disk is full")
        return write(rows, out)

    return write_table


def test_a_table_that_cannot_be_written_is_named(folder, tmp_path, quick, monkeypatch, capsys):
    calls = fail("", -1, monkeypatch)
    write = lessons._write_table

    def fails(rows, out):
        if rows:
            full_disk(monkeypatch, "results.csv", times=1)
        return write(rows, out)

    monkeypatch.setattr(lessons, "_write_table", fails)
    assert main(["lessons", "--folder", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert len(calls) == 2, "the lessons after the failure are run"
    message = f"error: {tmp_path / 'out' / 'results.csv'} cannot be written: the disk is full"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_sweep_whose_tables_cannot_be_written_names_them(
    ending, tiny, tmp_path, quick, monkeypatch, capsys
):
    out = tmp_path / "out"
    full_disk(monkeypatch, ending)
    with pytest.raises(OSError, match=f"results{ending} cannot be written: the disk is full"):
        sweep(tiny, {"number": [1, 2]}, out)
    assert len(list((out / "runs").iterdir())) == 2, "both runs are finished"
    assert not list(out.rglob("*.tmp"))


def test_a_sweep_on_a_full_disk_leaves_no_parts(tiny, tmp_path, quick, monkeypatch):
    out = tmp_path / "out"
    full_disk(monkeypatch, ".ipynb")
    table = sweep(tiny, {"number": [1, 2]}, out)
    assert list(table["status"]) == ["error", "error"]
    for name, error in zip(table["notebook"], table["error"], strict=True):
        assert f"{out / name} cannot be written: the disk is full" in error
    assert list((out / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left"), "OSError: {} cannot be written: the disk is full"),
        (PermissionError(errno.EACCES, "no"), "PermissionError: {} cannot be written: you have no"),
        (OSError("bad"), "OSError: bad"),
        (ValueError("bad"), "ValueError: bad"),
        (MemoryError(), "MemoryError: "),
        (TimeoutError("cell 2: over"), "cell 2: over"),
    ],
)
def test_an_error_outside_of_the_cells_is_the_run_s_error(error, message, tmp_path, monkeypatch):
    import papermill

    def fails(*args, **more):
        raise error

    monkeypatch.setattr(papermill, "execute_notebook", fails)
    found = runner.run_papermill("a.ipynb", tmp_path / "out.ipynb", {}, limits.Limits())
    assert found.startswith(message.format(tmp_path / "out.ipynb"))


def test_a_kernel_that_is_not_installed_is_named_with_its_cure(tmp_path):
    path = write(tmp_path / "a.ipynb", PARAMETERS, REPORT)
    book = nbformat.read(path, as_version=4)
    book.metadata.kernelspec.name = "gone"
    nbformat.write(book, path)
    error = runner.run_papermill(path, tmp_path / "out.ipynb", {}, limits.Limits())
    assert error.startswith("NoSuchKernel: there is no kernel named gone; make it by python -m ipy")


@pytest.mark.parametrize(
    ("exceptions", "report", "error"),
    [
        ([False, False], {"n": 1}, None),
        ([False, False], None, runner.NO_RESULT),
        ([False, True], {"n": 1}, "cell 2: SystemExit: the notebook ended here, before its last"),
        ([True, None], None, "cell 1: SystemExit: the notebook ended here, before its last cell"),
    ],
)
def test_a_notebook_that_did_not_come_to_its_end_has_an_error(exceptions, report, error):
    book = new_notebook(cells=[new_code_cell("1") for _ in exceptions])
    for cell, exception in zip(book.cells, exceptions, strict=True):
        cell.metadata["papermill"] = {"exception": exception}
    if report:
        book.cells[0].outputs = [new_output("display_data", {reports.MIME: report})]
    book = nbformat.from_dict(book)
    found = runner._unfinished(book)
    assert found == error or found.startswith(error)


# Python's assertions.


@pytest.fixture
def optimized(monkeypatch):
    monkeypatch.setattr(lesson, "sys", SimpleNamespace(flags=SimpleNamespace(optimize=1)))


@pytest.mark.parametrize("command", ["lessons", "lessons --in-place", "sweep"])
def test_without_assertions_no_command_runs_a_lesson(
    command, folder, tmp_path, optimized, quick, capsys
):
    words = command.split() + ["--folder", str(folder)]
    if command == "sweep":
        words = ["sweep", str(folder / "00_first.ipynb"), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert "error: Python's assertions are off (python -O, or PYTHONOPT" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_assertions_no_kernel_runs_a_lesson(optimized):
    with pytest.raises(RuntimeError, match="run Python without -O, and unset PYTHONOPTIMIZE"):
        lesson.check({"__annotations__": {"epochs": int}, "epochs": 1})
