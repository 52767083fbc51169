"""Faults in batch runs with real kernels: cells without end, floods of output, dead parents."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas
import psutil
import pytest
from tiny_notebooks import PARAMETERS, REPORT, write

from tutorial_utils.batch import lessons, limits, runner

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]


def run(tmp_path: Path, *cells: str, **limit: float) -> tuple[str | None, Path, float]:
    """Run cells by papermill; return the error, the executed notebook, and the seconds."""
    path = write(tmp_path / "a.ipynb", "import os, signal, sys, time\nscore = number = 1", *cells)
    start, out = time.monotonic(), tmp_path / "out.ipynb"
    error = runner.run_papermill(path, out, {}, limits.Limits(**limit))
    return error, out, time.monotonic() - start


PID = "open({!r}, 'w').write(str(os.getpid()))"
HANG = {
    "loop": "while True: pass",
    "sleep": "time.sleep(600)",
    "flood": "while True: print('x' * 1000)",
    "flushed flood": "while True: print('x', flush=True)",
    "deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True:\n  try: time.sleep(9)\n"
    "  except BaseException: pass",
    "in C": "import re; re.compile('(a*)*b').match('a' * 60)",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
}


@pytest.mark.parametrize("kind", HANG)
def test_a_cell_without_end_is_stopped_and_its_kernel_killed(kind, tmp_path):
    mark = str(tmp_path / "pid")
    error, out, _ = run(tmp_path, PID.format(mark), HANG[kind], REPORT, cell_s=3.0)
    assert error.startswith("cell 3: TimeoutError: stopped after 3 s, the limit for a cell; set a")
    assert wait_for_end(int(Path(mark).read_text()))
    assert out.stat().st_size < 11_000_000
    assert "--cell-timeout" in json.dumps(nbformat.read(out, as_version=4).cells[2].outputs[-1])


def test_a_notebook_whose_cells_take_too_long_together_is_stopped(tmp_path):
    cells = ["time.sleep(1)"] * 60
    error, _, _ = run(tmp_path, *cells, REPORT, notebook_s=8.0)
    assert "TimeoutError: stopped after 8 s, the limit for a notebook; set a higher" in error


@pytest.mark.parametrize(
    ("cells", "error"),
    [
        (["sys.exit(0)", REPORT], "cell 2: SystemExit: the notebook ended here"),
        (["sys.exit()", REPORT], "cell 2: SystemExit: the notebook ended here"),
        (["sys.exit(3)", REPORT], "cell 2: SystemExit: 3"),
        ([REPORT, "sys.exit(0)", "1"], "cell 3: SystemExit: the notebook ended here"),
        ([REPORT, "assert False, 'no'"], "cell 3: AssertionError: no"),
        ([REPORT, "os._exit(0)"], "DeadKernelError: cell 3: the kernel died; was there enough"),
        (["1"], "no result: no cell called lesson.report"),
    ],
)
def test_a_lesson_that_ends_without_its_result_is_an_error(cells, error, tmp_path):
    assert run(tmp_path, *cells)[0].startswith(error)


@pytest.mark.parametrize(
    "cell",
    ["print(list(range(40_000)))", "print('x' * 5_000_000)", "print('x' * 50_000_000)"]
    + ["for i in range(200_000): print(i, end='\\r')", "raise ValueError('x' * 10**7)"],
)
def test_a_large_output_ends_soon(cell, tmp_path):
    error, out, _ = run(tmp_path, cell, REPORT, cell_s=120.0)
    assert error is None or error.startswith("cell 2: ValueError: xxx")
    assert out.stat().st_size < 11_000_000
    lessons.to_html(out)


def wait_for_end(pid: int, seconds: float = 30) -> bool:
    """Return whether a process has ended, after waiting for that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("kind", ["loop", "in C", "deaf"])
@pytest.mark.parametrize("command", ["lessons", "sweep"])
def test_kernels_and_workers_end_with_a_command_that_is_killed(command, kind, tmp_path):
    mark = tmp_path / "pid"
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "00_a.ipynb"
    start = "import os, signal, time\n" + PID.format(str(mark))
    write(path, "number: int = 1", start, HANG[kind])
    words = ["lessons", "--folder", str(path.parent)]
    if command == "sweep":
        words = ["sweep", str(path), "-p", "number=1"]
    running = subprocess.Popen(
        [sys.executable, "-m", "tutorial_utils", *words, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 300
    while not (mark.exists() and mark.read_text()):
        assert running.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    family = psutil.Process(running.pid).children(recursive=True)
    assert int(mark.read_text()) in [process.pid for process in family]
    running.kill()
    running.wait()
    assert [process for process in family if not wait_for_end(process.pid)] == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_a_lesson_s_kernel(jobs, tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder / "00_first.ipynb", PARAMETERS + "\nimport os, time\nscore = 1", REPORT)
    mark = tmp_path / "pid"
    write(folder / "01_second.ipynb", "import os, time", PID.format(str(mark)), "time.sleep(600)")
    with_ctrl_c = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    words = ["lessons", "--folder", str(folder), "--out", str(tmp_path / "out"), "--jobs", jobs]
    running = subprocess.Popen(
        [sys.executable, "-m", "tutorial_utils", *words],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=with_ctrl_c,
    )
    end = time.monotonic() + 300
    while not (mark.exists() and mark.read_text()):
        assert running.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    message = running.communicate(timeout=120)[1]
    assert running.returncode == 130 and "Traceback" not in message
    assert wait_for_end(int(mark.read_text()))
    finished = list(pandas.read_csv(tmp_path / "out" / "results.csv")["lesson"])
    assert finished == ["00_first"] or (jobs == "2" and not finished)  # they began together


@pytest.mark.parametrize("how", ["-O", "PYTHONOPTIMIZE"])
def test_a_command_without_assertions_is_refused(how, tmp_path):
    words = ["-m", "tutorial_utils", "lessons", "--folder", str(ROOT / "notebooks")]
    done = subprocess.run(
        [sys.executable, *(["-O"] if how == "-O" else []), *words, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env=os.environ | ({} if how == "-O" else {how: "1"}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "Python's assertions are off" in done.stderr
