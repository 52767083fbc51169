"""Tests of `batch.sweeps`: every combination once, failures stored, nothing finished repeated."""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy
import pandas
import psutil
import pytest
from tiny_notebooks import rewritten, run_files, sweep, write

from tutorial_utils.batch import lessons, sweeps
from tutorial_utils.cli.main import main

ROOT = Path(__file__).resolve().parent.parent.parent
SUBPACKAGES = sorted(path.parent.name for path in sweeps.PACKAGE.glob("*/__init__.py"))


def test_lesson_13_and_the_command_use_this_sweep():
    assert lessons.sweep is sweeps.sweep


@pytest.mark.lessons
def test_twenty_runs_with_one_bad_value_by_the_command(tiny, tmp_path, capsys, same_package):
    out = tmp_path / "out"
    command = ["sweep", str(tiny), "--out", str(out), "--jobs", "2"]
    command += ["-p", "number=0..9", "-p", "wait_s=0.0,0.1"]
    book = nbformat.read(tiny, as_version=4)
    book.cells[2].source = "score = 1 / (number + 10 * wait_s)\ntime.sleep(wait_s)"
    nbformat.write(book, tiny)
    assert main(command) == 1
    printed = capsys.readouterr()
    assert "20 runs: 0 finished before, 20 to do" in printed.out
    assert "19 ok, 1 failed" in printed.out
    assert printed.err.count("failed: ") == 1
    assert "cell 4: ZeroDivisionError: float division by zero" in printed.err
    table = pandas.read_csv(out / "results.csv")
    assert list(table["status"]).count("ok") == 19
    bad = table[table["status"] == "error"].iloc[0]
    assert "ZeroDivisionError" in (out / bad["notebook"]).read_text(encoding="utf-8")
    good = table[table["status"] == "ok"]
    share = os.environ.get("OMP_NUM_THREADS", max(1, (os.cpu_count() or 1) // 2))
    assert set(good["threads"]) == {int(share)}
    before = run_files(out)
    assert main(command) == 1
    assert rewritten(before, out) == [bad["notebook"]]


def test_one_bad_value_is_one_error_row_and_alone_is_tried_again(tiny, tmp_path, quick, capsys):
    grid, out = {"number": range(20)}, tmp_path / "out"
    table = sweeps.sweep(tiny, grid, out, executor=ThreadPoolExecutor(1))
    assert list(table["status"]) == ["error"] + ["ok"] * 19
    assert list(table["number"]) == list(range(20))
    assert table["error"][0] == "cell 3: ZeroDivisionError: division by zero"
    assert numpy.isnan(table["val_accuracy"][0])
    before = run_files(out)
    assert len(before) == 20
    again = sweeps.sweep(tiny, grid, out, executor=ThreadPoolExecutor(1))
    assert "20 runs: 19 finished before, 1 to do" in capsys.readouterr().out
    assert rewritten(before, out) == [again["notebook"][0]]
    pandas.testing.assert_frame_equal(table.drop(columns="seconds"), again.drop(columns="seconds"))


def test_two_grids_in_one_folder_stand_in_one_table(tiny, tmp_path, quick):
    sweep(tiny, {"number": [1, 2]}, tmp_path)
    second = sweep(tiny, {"number": [2], "name": ["1", 1, None]}, tmp_path)
    assert list(second["name"].fillna("none")) == ["1", "1", "none"]
    assert second["key"].nunique() == 3
    table = pandas.read_parquet(tmp_path / "results.parquet")
    assert list(table["number"]) == [2, 2, 2, 1, 2]
    assert len(run_files(tmp_path)) == 5
    assert not (tmp_path / "stale.csv").exists()


def test_prose_may_change_without_a_new_run(tiny, tmp_path, quick, capsys):
    sweep(tiny, {"number": [1]}, tmp_path / "out")
    book = nbformat.read(tiny, as_version=4)
    book.cells.append(nbformat.v4.new_markdown_cell("Another sentence."))
    nbformat.write(book, tiny)
    sweep(tiny, {"number": [1]}, tmp_path / "out", quiet=False)
    assert "1 runs: 1 finished before, 0 to do" in capsys.readouterr().out


def test_all_code_of_the_package_is_part_of_the_key():
    names = [name for name, _ in sweeps._package_code()]
    package = ROOT / "tutorial_utils"
    modules = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    assert set(names) == modules
    assert {"__init__.py", "training.py", "batch/sweeps.py", "_support/fast_pass.py"} <= modules


@pytest.mark.parametrize("folder", [".", *SUBPACKAGES])
def test_a_change_in_any_part_of_the_package_changes_the_key(folder, tiny, tmp_path, monkeypatch):
    copy = shutil.copytree(
        sweeps.PACKAGE, tmp_path / "copy", ignore=shutil.ignore_patterns("assets", "__pycache__")
    )
    monkeypatch.setattr(sweeps, "PACKAGE", copy)
    before = key_of(tiny)
    assert key_of(tiny) == before
    module = sorted((copy / folder).glob("*.py"))[-1]
    module.write_text(module.read_text("utf-8") + "# changed\n", "utf-8")
    assert key_of(tiny) != before


def key_of(notebook: Path) -> str:
    _, (run,), _ = sweeps._plan(notebook, {"number": [1]})
    return run.key


def test_values_of_any_kind_make_names_that_every_file_system_takes(tiny, tmp_path, quick):
    odd = ["a/b", "..", "ü c", "CON", "x" * 300, 'say "hi"', "", "a\nb", "*?<>|:", "a/b ", [1, 2]]
    table = sweep(tiny, {"name": odd}, tmp_path / "out")
    assert list(table["status"]) == ["ok"] * len(odd)
    for name in run_files(tmp_path / "out"):
        assert re.fullmatch(r"[A-Za-z0-9=._-]{1,89}", name)
    assert len(run_files(tmp_path / "out")) == len(odd)
    assert pandas.read_parquet(tmp_path / "out" / "results.parquet")["name"].iloc[-1] == "[1, 2]"


def test_numpy_s_numbers_are_numbers_and_no_parameters_are_one_run(tiny, tmp_path, quick):
    table = sweep(tiny, {"number": numpy.arange(1, 3), "wait_s": numpy.array([0.5])}, tmp_path)
    assert list(table["number"]) == [1, 2]
    assert list(table["wait_s"]) == [0.5, 0.5]
    table = sweep(tiny, {}, tmp_path / "out")
    assert list(table["status"]) == ["ok"]
    assert table["notebook"][0].startswith("runs/defaults-")


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"numbr": [1]}, "tiny.ipynb has no parameter numbr; its parameters: folder, name, num"),
        ({"name": "abc"}, "name must be a list of values, not 'abc'; write .'abc'."),
        ({"number": 3}, "number must be a list of values, not 3"),
        ({"number": []}, "number has no values: give at least one"),
        ({"number": [1, 2, 1]}, "number has the value 1 twice; for more runs, vary the seed"),
        ({"name": [Path("x")]}, "name must be text, numbers, .* not .*Path"),
    ],
)
def test_a_wrong_grid_is_an_error_before_any_work(grid, message, tiny, tmp_path):
    with pytest.raises(ValueError, match=message):
        sweeps.sweep(tiny, grid, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_notebook_without_parameters_is_named(tmp_path):
    write(tmp_path / "bare.ipynb", "1", tags=())
    with pytest.raises(ValueError, match="its parameters: none, no cell is tagged parameters"):
        sweeps.sweep(tmp_path / "bare.ipynb", {"x": [1]}, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="gone.ipynb cannot be read: there is no"):
        sweeps.sweep(tmp_path / "gone.ipynb", {}, tmp_path / "out")


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True])
def test_jobs_must_be_a_whole_number(jobs, tiny, tmp_path):
    with pytest.raises(ValueError, match=f"jobs must be a whole number from 1, not {jobs!r}"):
        sweeps.sweep(tiny, {}, tmp_path / "out", jobs=jobs)


# What goes wrong in the middle, with real processes.


# The command line, with a key that does not change when someone edits the package meanwhile.
COMMAND = """
import sys
from tutorial_utils.batch import sweeps
from tutorial_utils.cli import main as main_module
sweeps._package_code = lambda: "the package's code"
sys.exit(main_module.main(sys.argv[1:]))
"""


@pytest.mark.lessons
def test_ctrl_c_saves_what_is_finished_and_a_second_call_runs_the_rest(tiny, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", COMMAND, "sweep", str(tiny), "--out", str(out)]
    command += ["-p", "number=1,2,3", "-p", "wait_s=1.0"]
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    with_ctrl_c = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=with_ctrl_c
    )
    wait_for(lambda: (out / "results.csv").exists(), 120)
    family = psutil.Process(running.pid).children(recursive=True)
    assert family
    running.send_signal(signal.SIGINT)
    _, message = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "of 3 runs are finished and saved in" in message
    assert "repeat the same command to run the others" in message
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, "a process or a kernel outlived Ctrl-C"
    stored = pandas.read_csv(out / "results.csv")
    assert set(stored["status"]) == {"ok"} and 1 <= len(stored) < 3
    before = run_files(out)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"3 runs: {len(stored)} finished before" in done.stdout
    assert list(pandas.read_csv(out / "results.csv")["number"]) == [1, 2, 3]
    for name in stored["notebook"]:
        assert run_files(out)[Path(name).name] == before[Path(name).name]


def wait_for(happened, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def cluster():
    """Yield the client of a cluster of two worker processes on this machine."""
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, protocol="tcp"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.lessons
def test_a_dask_cluster_that_loses_a_worker_half_way_finishes_all_runs(
    tiny, tmp_path, cluster, same_package
):
    grid, out = {"number": range(10), "wait_s": [0.5]}, tmp_path / "out"
    pids = cluster.run(os.getpid)
    assert len(set(pids.values())) == 2

    def kill() -> None:
        wait_for(lambda: (out / "results.csv").exists() and len(run_files(out)) >= 5, 200)
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    with ThreadPoolExecutor(1) as aside:
        killed = aside.submit(kill)
        executor = cluster.get_executor(retries=2)
        table = sweeps.sweep(tiny, grid, out, executor=executor)
        killed.result()
    assert list(table["status"]) == ["error"] + ["ok"] * 9
    assert "ZeroDivisionError" in table["error"][0]
    assert set(cluster.run(os.getpid).values()) != set(pids.values()), "no worker was replaced"
    before = run_files(out)
    command = ["sweep", str(tiny), "--out", str(out), "--cluster", cluster.scheduler.address]
    assert main([*command, "-p", "number=0..9", "-p", "wait_s=0.5"]) == 1
    assert rewritten(before, out) == [table["notebook"][0]]
