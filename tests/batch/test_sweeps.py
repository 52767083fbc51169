"""Sweeps: every combination once, failures kept, nothing finished done twice or lost."""

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy
import pandas
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tutorial_utils import lesson
from tutorial_utils.batch import lessons, runner, sweeps
from tutorial_utils.cli.main import main

ROOT = Path(__file__).resolve().parent.parent.parent
PARAMETERS = "number: int = 1\nname: str = 'a'\nwait_s: float = 0.0\nfolder: str = ''"
MARK = "import os, time\nopen(os.path.join(folder, str(number)), 'a').write('x') if folder else 0"
WAIT = "time.sleep(wait_s)\nscore = 1 / number"
REPORT = f"""
import psutil
from IPython.display import display
display({{"{lesson.MIME}": {{
    "lesson": "tiny", "images": "synthetic images", "weights": "demo", "val_accuracy": score,
    "seconds": time.time() - psutil.Process().create_time(), "peak_bytes": 2**30,
    "versions": {{"python": "3"}}, "correct": number, "curves": {{}},
    "threads": os.environ.get("OMP_NUM_THREADS")}}, "text/plain": ""}}, raw=True)
"""


def write(path: Path, *cells: str, tags: tuple = ("parameters",)) -> Path:
    book = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    book.cells[0].metadata["tags"] = list(tags)
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}}
    nbformat.write(book, path)
    return path


@pytest.fixture
def tiny(tmp_path) -> Path:
    """Return a notebook that fails where `number` is 0 and notes every start in `folder`."""
    return write(tmp_path / "tiny.ipynb", PARAMETERS, MARK, WAIT, REPORT)


@pytest.fixture
def quick(monkeypatch):
    """Let no kernel start: a run takes as long as it takes to write a file."""

    def pretend(book, target, parameters):
        if parameters.get("number") == 0:
            nbformat.write(book, target)
            return "cell 3: ZeroDivisionError: division by zero"
        shown = {"val_accuracy": 1 / parameters.get("number", 1), "seconds": 0.0, "weights": "demo"}
        shown |= {"correct": parameters.get("number", 1)}
        book.cells[-1].outputs = [nbformat.v4.new_output("display_data", {lesson.MIME: shown})]
        nbformat.write(book, target)
        return None

    monkeypatch.setattr(runner, "run_papermill", pretend)
    monkeypatch.setattr(sweeps, "_package", lambda: "the package's code")


def files(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "runs").glob("*.ipynb")}


def test_the_one_that_is_meant():
    assert lessons.sweep is sweeps.sweep


@pytest.mark.lessons
def test_twenty_runs_with_one_bad_value_by_the_command(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sweeps, "_package", lambda: "the package's code")
    out = tmp_path / "out"
    command = ["sweep", str(tiny), "--out", str(out), "--jobs", "2"]
    command += ["-p", "number=0..9", "-p", "wait_s=0.0,0.1"]
    nbformat.write(only_bad_where_it_waits(nbformat.read(tiny, as_version=4)), tiny)
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
    print(
        f"overhead of a run: {good['overhead_s'].median():.2f} s, most {good['overhead_s'].max()}"
    )
    share = os.environ.get("OMP_NUM_THREADS", max(1, (os.cpu_count() or 1) // 2))
    assert set(good["threads"]) == {int(share)}
    before = files(out)
    assert main(command) == 1
    after = files(out)
    assert [f"runs/{name}" for name in after if after[name] != before.get(name)] == [
        bad["notebook"]
    ]


def only_bad_where_it_waits(book):
    book.cells[2].source = "score = 1 / (number + 10 * wait_s)" + "\ntime.sleep(wait_s)"
    return book


def test_one_bad_value_is_one_error_row_and_alone_is_tried_again(tiny, tmp_path, quick, capsys):
    grid, out = {"number": range(20)}, tmp_path / "out"
    table = lessons.sweep(tiny, grid, out, executor=ThreadPoolExecutor(1))
    assert list(table["status"]) == ["error"] + ["ok"] * 19
    assert list(table["number"]) == list(range(20))
    assert table["error"][0] == "cell 3: ZeroDivisionError: division by zero"
    assert numpy.isnan(table["val_accuracy"][0])
    before = files(out)
    assert len(before) == 20
    again = lessons.sweep(tiny, grid, out, executor=ThreadPoolExecutor(1))
    assert "20 runs: 19 finished before, 1 to do" in capsys.readouterr().out
    after = files(out)
    changed = [f"runs/{name}" for name in before if after[name] != before[name]]
    assert changed == [again["notebook"][0]]
    pandas.testing.assert_frame_equal(table.drop(columns="seconds"), again.drop(columns="seconds"))


def test_both_tables_hold_what_is_returned(tiny, tmp_path, quick):
    grid = {"number": [1, 2], "name": ["x"]}
    table = sweep(tiny, grid, tmp_path / "out")
    assert list(table.columns) == [
        *("number", "name", "status", "val_accuracy", "seconds", "overhead_s", "peak_gib"),
        *("images", "weights", "versions", "correct", "error", "notebook", "key"),
    ]
    assert list(table["val_accuracy"]) == [1.0, 0.5]
    assert list(table["correct"]) == [1, 2]
    kept = pandas.read_parquet(tmp_path / "out" / "results.parquet")
    pandas.testing.assert_frame_equal(table, kept)
    read = pandas.read_csv(tmp_path / "out" / "results.csv")
    assert list(read["key"]) == list(table["key"])
    assert not list((tmp_path / "out").rglob("*.draft"))


def sweep(notebook, grid, out, **more):
    """Sweep in one thread of this process, quietly."""
    with ThreadPoolExecutor(1) as executor:
        return lessons.sweep(notebook, grid, out, executor=executor, quiet=True, **more)


def test_two_grids_in_one_folder_stand_in_one_table(tiny, tmp_path, quick):
    sweep(tiny, {"number": [1, 2]}, tmp_path)
    second = sweep(tiny, {"number": [2], "name": ["1", 1, None]}, tmp_path)
    assert list(second["name"].fillna("none")) == ["1", "1", "none"]
    assert second["key"].nunique() == 3
    table = pandas.read_parquet(tmp_path / "results.parquet")
    assert list(table["number"]) == [2, 2, 2, 1, 2]
    assert len(files(tmp_path)) == 5
    assert not (tmp_path / "stale.csv").exists()


def test_a_run_of_another_grid_is_known_again_in_any_order(tiny, tmp_path, quick):
    first = sweep(tiny, {"number": [0, 2], "name": ["x"]}, tmp_path)
    assert first["notebook"][1].startswith("runs/number=2-")
    before = files(tmp_path)
    second = sweep(tiny, {"name": ["x", "y"], "number": [0, 2]}, tmp_path)
    after = files(tmp_path)
    assert list(second["notebook"][:2]) == list(first["notebook"])
    assert second["notebook"][3].startswith("runs/name=y_number=2-")
    changed = [f"runs/{name}" for name in before if after[name] != before[name]]
    assert changed == [first["notebook"][0]], "the failed one is tried again in its place"
    assert len(after) == 4


def test_whole_numbers_stay_whole_where_another_grid_has_none(tiny, tmp_path, quick):
    sweep(tiny, {"number": [1, 2]}, tmp_path)
    sweep(tiny, {"name": ["x"]}, tmp_path)
    text = (tmp_path / "results.csv").read_text(encoding="utf-8")
    assert "\nx,,ok" in text and "\n,1,ok" in text
    assert list(pandas.read_parquet(tmp_path / "results.parquet")["number"].dropna()) == [1, 2]


@pytest.mark.parametrize("what", ["notebook", "package", "torch"])
def test_results_of_other_code_are_kept_apart(what, tiny, tmp_path, quick, monkeypatch):
    out = tmp_path / "out"
    old = sweep(tiny, {"number": [1]}, out)
    if what == "notebook":
        write(tiny, PARAMETERS, MARK, WAIT + "  # changed", REPORT)
    elif what == "package":
        monkeypatch.setattr(sweeps, "_package", lambda: "changed")
    else:
        monkeypatch.setattr(sweeps, "version", lambda name: "99.0")
    new = sweep(tiny, {"number": [1]}, out)
    assert new["key"][0] != old["key"][0]
    assert len(files(out)) == 2
    assert list(pandas.read_csv(out / "results.csv")["key"]) == list(new["key"])
    assert list(pandas.read_csv(out / "stale.csv")["key"]) == list(old["key"])


def test_prose_may_change_without_a_new_run(tiny, tmp_path, quick, capsys):
    sweep(tiny, {"number": [1]}, tmp_path / "out")
    book = nbformat.read(tiny, as_version=4)
    book.cells.append(nbformat.v4.new_markdown_cell("Another sentence."))
    nbformat.write(book, tiny)
    with ThreadPoolExecutor(1) as executor:
        lessons.sweep(tiny, {"number": [1]}, tmp_path / "out", executor=executor)
    assert "1 runs: 1 finished before, 0 to do" in capsys.readouterr().out


def test_the_package_s_own_code_is_part_of_the_key():
    names = [name for name, _ in sweeps._package()]
    assert "batch/sweeps.py" in names
    assert any(name.endswith("verdict.py") for name in names)


def test_a_run_that_was_cut_off_is_no_result(tiny, tmp_path, quick):
    done = sweep(tiny, {"number": [1, 2, 3]}, tmp_path)
    first, second, third = (tmp_path / name for name in done["notebook"])
    first.write_text("{", encoding="utf-8")
    book = nbformat.read(second, as_version=4)
    del book.metadata[runner.RECORD]
    nbformat.write(book, second)
    untouched = third.stat().st_mtime_ns
    again = sweep(tiny, {"number": [1, 2, 3]}, tmp_path)
    assert list(again["status"]) == ["ok"] * 3
    assert third.stat().st_mtime_ns == untouched


def test_a_run_that_a_cluster_asks_for_twice_is_done_once(tiny, tmp_path, quick):
    table = sweep(tiny, {"number": [2]}, tmp_path)
    before = files(tmp_path)
    source = tiny.read_text(encoding="utf-8")
    record = {"key": table["key"][0], "parameters": {"number": 2}}
    runner.execute(source, str(tmp_path / table["notebook"][0]), record)
    assert files(tmp_path) == before


class GivesUp(Executor):
    """An executor that cancels what it is given, as a cluster does that is shut down."""

    def submit(self, function, /, *args, **more):
        future = Future()
        future.cancel()
        future.set_running_or_notify_cancel()
        return future


class LosesFiles(Executor):
    """An executor whose machines do not see the folder of results."""

    def submit(self, function, /, *args, **more):
        future = Future()
        future.set_result(None)
        return future


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        (GivesUp(), "CancelledError: the executor gave up the run; ask again"),
        (LosesFiles(), "FileNotFoundError: .* other machines need a folder that all share"),
    ],
)
def test_an_executor_that_fails_makes_error_rows(executor, said, tiny, tmp_path, quick):
    table = lessons.sweep(tiny, {"number": [1, 2]}, tmp_path, executor=executor, quiet=True)
    assert list(table["status"]) == ["error", "error"]
    assert re.match(said, table["error"][0])
    again = sweep(tiny, {"number": [1, 2]}, tmp_path)
    assert list(again["status"]) == ["ok", "ok"]


def test_accuracies_of_several_networks_get_a_column_each(tiny, tmp_path, quick, monkeypatch):
    def pretend(book, target, parameters):
        scores = {"val_accuracy": {"AlexNet": 0.9, "VGG16": 0.8}}
        if parameters["number"] == 2:
            scores = {"val_accuracy": {"AlexNet": 0.7}}
        book.cells[-1].outputs = [nbformat.v4.new_output("display_data", {lesson.MIME: scores})]
        nbformat.write(book, target)

    monkeypatch.setattr(runner, "run_papermill", pretend)
    table = sweep(tiny, {"number": [1, 2]}, tmp_path)
    assert table["val_accuracy_VGG16"][0] == 0.8
    assert table["val_accuracy"][1] == 0.7
    assert "val_accuracy_AlexNet 0.900" in line_of(tiny, tmp_path)


def line_of(notebook: Path, out: Path) -> str:
    _, runs, note = sweeps._plan(notebook, {"number": [1]})
    return sweeps.Ledger(out, note).line(runs[0])


def test_a_parameter_named_as_a_column_of_the_results_keeps_both(tmp_path, quick):
    notebook = write(tmp_path / "w.ipynb", "weights: str = 'auto'", "1")
    table = sweep(notebook, {"weights": ["auto", "none"]}, tmp_path)
    assert list(table["given_weights"]) == ["auto", "none"]
    assert list(table["weights"]) == ["demo", "demo"]


def test_values_of_any_kind_make_names_that_every_file_system_takes(tiny, tmp_path, quick):
    odd = ["a/b", "..", "ü c", "CON", "x" * 300, 'say "hi"', "", "a\nb", "*?<>|:", "a/b ", [1, 2]]
    table = sweep(tiny, {"name": odd}, tmp_path / "out")
    assert list(table["status"]) == ["ok"] * len(odd)
    for name in files(tmp_path / "out"):
        assert set(name) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=._-"
        )
        assert len(name) < 90
    assert len(files(tmp_path / "out")) == len(odd)
    assert pandas.read_parquet(tmp_path / "out" / "results.parquet")["name"].iloc[-1] == "[1, 2]"


def test_numpy_s_numbers_are_numbers(tiny, tmp_path, quick):
    table = sweep(tiny, {"number": numpy.arange(1, 3), "wait_s": numpy.array([0.5])}, tmp_path)
    assert list(table["number"]) == [1, 2]
    assert list(table["wait_s"]) == [0.5, 0.5]


def test_no_parameters_is_one_run(tiny, tmp_path, quick):
    table = sweep(tiny, {}, tmp_path / "out")
    assert list(table["status"]) == ["ok"]
    assert table["notebook"][0].startswith("runs/defaults-")


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (
            {"numbr": [1]},
            "tiny.ipynb has no parameter numbr; it takes folder, name, number, wait_s",
        ),
        ({"name": "abc"}, "name must be a list of values, got 'abc'; write .'abc'."),
        ({"number": 3}, "number must be a list of values, got 3"),
        ({"number": []}, "number has no values: name at least one"),
        ({"number": [1, 2, 1]}, "number has the value 1 twice; more runs need another seed"),
        ({"name": [Path("x")]}, "name takes text, numbers, .* got .*Path"),
    ],
)
def test_a_grid_that_will_not_do_is_refused_before_any_work(grid, said, tiny, tmp_path):
    with pytest.raises(ValueError, match=said):
        lessons.sweep(tiny, grid, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_notebook_without_parameters_is_named(tmp_path):
    write(tmp_path / "bare.ipynb", "1", tags=())
    with pytest.raises(ValueError, match="it takes none: no cell is tagged parameters"):
        lessons.sweep(tmp_path / "bare.ipynb", {"x": [1]}, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="there is no notebook .*gone.ipynb"):
        lessons.sweep(tmp_path / "gone.ipynb", {}, tmp_path / "out")


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True])
def test_jobs_are_counted(jobs, tiny, tmp_path):
    with pytest.raises(ValueError, match="jobs must be a whole number from 1, got"):
        lessons.sweep(tiny, {}, tmp_path / "out", jobs=jobs)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("alexnet,vgg16", ["alexnet", "vgg16"]),
        ("1e-4, 1e-3", [1e-4, 1e-3]),
        ("0..4", [0, 1, 2, 3, 4]),
        ("-2..0,7", [-2, -1, 0, 7]),
        ("True,None,x", [True, None, "x"]),
        ('"a,b",c', ["a,b", "c"]),
        ('"1","0..4",""', ["1", "0..4", ""]),
        ('"say ""hi""" , 2', ['say "hi"', 2]),
        ("a..b,../x", ["a..b", "../x"]),
    ],
)
def test_values_on_the_command_line(text, values):
    assert sweeps.read_values(text) == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot read the values ''"),
        ("a,", "cannot read the values 'a,'"),
        ("a,,b", "cannot read the values 'a,,b': write 1e-4,1e-3 or"),
        ('"a', "a value with a comma stands in double quotes"),
        ('"a"b', "cannot read the values"),
        ("4..0", "the range 4..0 goes down; write 0..4"),
    ],
)
def test_values_that_cannot_be_read(text, said):
    with pytest.raises(ValueError, match=said):
        sweeps.read_values(text)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-p", "number=1", "-p", "number=2"], "-p number is given twice"),
        (["-p", "number"], "-p takes NAME=VALUE"),
        (["-p", "other=1"], "has no parameter other; it takes"),
    ],
)
def test_the_command_explains_what_it_cannot_do(more, said, tiny, tmp_path, capsys):
    assert main(["sweep", str(tiny), "--out", str(tmp_path / "out"), *more]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# What goes wrong in the middle, with real processes.


# The command line, with a key that does not change when someone edits the package meanwhile.
COMMAND = """
import sys
from tutorial_utils.batch import sweeps
from tutorial_utils.cli import main as main_module
sweeps._package = lambda: "the package's code"
sys.exit(main_module.main(sys.argv[1:]))
"""


@pytest.mark.lessons
def test_ctrl_c_keeps_what_is_finished_and_a_second_call_does_the_rest(tiny, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", COMMAND, "sweep", str(tiny), "--out", str(out)]
    command += ["-p", "number=1,2,3", "-p", "wait_s=1.0"]
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    hears = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=hears
    )
    wait_for(lambda: (out / "results.csv").exists(), 120)
    family = psutil.Process(running.pid).children(recursive=True)
    assert family
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "of 3 runs are finished and kept in" in said
    assert "the same command again does the rest" in said
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive, "a process or a kernel outlived Ctrl-C"
    kept = pandas.read_csv(out / "results.csv")
    assert set(kept["status"]) == {"ok"} and 1 <= len(kept) < 3
    before = files(out)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"3 runs: {len(kept)} finished before" in done.stdout
    assert list(pandas.read_csv(out / "results.csv")["number"]) == [1, 2, 3]
    for name in kept["notebook"]:
        assert files(out)[Path(name).name] == before[Path(name).name]


def wait_for(happened, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


KILL = """
import os, signal, time
times = len(open(os.path.join(folder, str(number))).read())
if number == 2 and times == 1 or number == 3:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
"""


def test_a_worker_that_is_killed_takes_no_other_run_with_it(tmp_path, capfd):
    notebook = write(tmp_path / "tiny.ipynb", PARAMETERS, MARK, KILL, WAIT, REPORT)
    starts = tmp_path / "starts"
    starts.mkdir()
    grid = {"number": [1, 2, 3, 4], "folder": [str(starts)]}
    table = lessons.sweep(notebook, grid, tmp_path / "out", jobs=2)
    assert list(table["status"]) == ["ok", "ok", "error", "ok"]
    assert table["error"][2].startswith("BrokenProcessPool: ")
    assert {path.name: path.read_text() for path in starts.iterdir()} == {
        **{"1": "x", "2": "xx", "3": "xx", "4": "x"}
    }
    assert (tmp_path / "out" / table["notebook"][2]).exists()
    said = capfd.readouterr().err
    assert said.count("a worker process was killed (no memory left?); its run is tried once") == 2
    kept = pandas.read_csv(tmp_path / "out" / "results.csv")
    assert list(kept["status"]) == list(table["status"])


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
    tiny, tmp_path, cluster, monkeypatch
):
    monkeypatch.setattr(sweeps, "_package", lambda: "the package's code")
    grid, out = {"number": range(10), "wait_s": [0.5]}, tmp_path / "out"
    pids = cluster.run(os.getpid)
    assert len(set(pids.values())) == 2

    def kill() -> None:
        wait_for(lambda: (out / "results.csv").exists() and len(files(out)) >= 5, 200)
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    with ThreadPoolExecutor(1) as aside:
        killed = aside.submit(kill)
        executor = cluster.get_executor(retries=2)
        table = lessons.sweep(tiny, grid, out, executor=executor)
        killed.result()
    assert list(table["status"]) == ["error"] + ["ok"] * 9
    assert "ZeroDivisionError" in table["error"][0]
    assert set(cluster.run(os.getpid).values()) != set(pids.values()), "no worker was replaced"
    before = files(out)
    command = ["sweep", str(tiny), "--out", str(out), "--cluster", cluster.scheduler.address]
    assert main([*command, "-p", "number=0..9", "-p", "wait_s=0.5"]) == 1
    after = files(out)
    changed = [name for name in before if after[name] != before[name]]
    assert [f"runs/{name}" for name in changed] == [table["notebook"][0]]


def test_a_store_in_place_of_a_folder(tiny, tmp_path, monkeypatch, capsys):
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    from papermill.s3 import S3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with contextlib.closing(Stopped(server)):
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(S3, "s3_session", (None, None, None))
        store = boto3.client("s3")
        store.create_bucket(Bucket="bucket")
        grid = {"number": [0, 1, 2]}
        table = lessons.sweep(tiny, grid, "s3://bucket/deep/out", executor=ThreadPoolExecutor(1))
        assert list(table["status"]) == ["error", "ok", "ok"]
        kept = {item["Key"]: item for item in store.list_objects_v2(Bucket="bucket")["Contents"]}
        assert sorted(kept) == sorted(
            [*(f"deep/out/{name}" for name in table["notebook"])]
            + ["deep/out/results.csv", "deep/out/results.parquet"]
        )
        for ending in ("csv", "parquet"):
            store.download_file("bucket", f"deep/out/results.{ending}", tmp_path / f"r.{ending}")
        assert list(pandas.read_csv(tmp_path / "r.csv")["key"]) == list(table["key"])
        pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "r.parquet"), table)
        capsys.readouterr()
        lessons.sweep(tiny, grid, "s3://bucket/deep/out", executor=ThreadPoolExecutor(1))
        assert "3 runs: 2 finished before, 1 to do" in capsys.readouterr().out
        after = {item["Key"]: item for item in store.list_objects_v2(Bucket="bucket")["Contents"]}
        runs = [key for key in kept if "/runs/" in key]
        changed = [k for k in runs if after[k]["LastModified"] != kept[k]["LastModified"]]
        assert changed == [f"deep/out/{table['notebook'][0]}"]


class Stopped:
    def __init__(self, server):
        self.close = server.stop
