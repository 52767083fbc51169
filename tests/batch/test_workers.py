"""Tests of `batch.workers`: a process that is killed is replaced, and fails one call at most."""

import os
import time
from concurrent.futures import CancelledError

import pandas
import psutil
import pytest
from tiny_notebooks import MARK, PARAMETERS, REPORT, WAIT, write

from tutorial_utils.batch import sweeps, workers

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
    table = sweeps.sweep(notebook, grid, tmp_path / "out", jobs=2)
    assert list(table["status"]) == ["ok", "ok", "error", "ok"]
    assert table["error"][2].startswith("BrokenProcessPool: ")
    assert [(starts / name).read_text() for name in "1234"] == ["x", "xx", "xx", "x"]
    assert (tmp_path / "out" / table["notebook"][2]).exists()
    text = "a worker process was killed (no memory left?); its run is tried once more"
    assert capfd.readouterr().err.count(text) == 2
    stored = pandas.read_csv(tmp_path / "out" / "results.csv")
    assert list(stored["status"]) == list(table["status"])


def test_each_process_gets_its_share_of_the_processors(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    with workers.Processes(2) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with workers.Processes(2) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "7"


def test_an_error_of_a_call_is_its_own():
    with workers.Processes(1) as pool:
        assert pool.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 7, 0).result()
        assert pool.submit(divmod, 8, 2).result() == (4, 0)


def test_killed_processes_are_gone_and_their_calls_fail():
    pool = workers.Processes(1)
    process = psutil.Process(pool.submit(os.getpid).result())
    sleeping, waiting = pool.submit(time.sleep, 60), pool.submit(os.getpid)
    while not sleeping.running():
        time.sleep(0.01)
    pool.kill()
    with pytest.raises(Exception, match="terminated abruptly|^$"):
        sleeping.result(timeout=20)
    with pytest.raises(CancelledError):
        waiting.result(timeout=20)
    pool.shutdown()
    _, alive = psutil.wait_procs([process], timeout=10)
    assert not alive
