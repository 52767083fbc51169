"""Tests of `batch.runner`: a kernel that dies early is started again, a finished run is not."""

import json
import sys

import nbformat
import pytest
from tiny_notebooks import REPORT, run_files, sweep, write

from tutorial_utils.batch import runner
from tutorial_utils.batch.limits import Limits

END = "import os, time\nscore = 1", REPORT
STUMBLING = """
import os, sys, pathlib
starts = pathlib.Path({starts!r})
starts.write_text(starts.read_text() + "x")
if len(starts.read_text()) <= {deaths}:
    sys.exit("the port is taken")
os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *sys.argv[1:]])
"""


@pytest.mark.parametrize(("deaths", "starts"), [(1, 2), (2, 3), (3, 3)])
def test_a_kernel_that_dies_before_its_first_cell_is_started_again(
    deaths, starts, tmp_path, monkeypatch
):
    counted, script = tmp_path / "starts", tmp_path / "kernel.py"
    counted.touch()
    script.write_text(STUMBLING.format(starts=str(counted), deaths=deaths))
    spec = tmp_path / "jupyter" / "kernels" / "stumbling"
    spec.mkdir(parents=True)
    words = [sys.executable, str(script), "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": words, "display_name": "s"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    book = nbformat.read(
        write(tmp_path / "a.ipynb", "number = 4", "print(number)", *END), as_version=4
    )
    book.metadata.kernelspec.name = "stumbling"
    error = runner.run_papermill(book, tmp_path / "out.ipynb", {"number": 5}, Limits())
    assert len(counted.read_text()) == starts
    if deaths < runner.STARTS:
        assert error is None
        cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
        assert cells[-3].outputs[0].text == "5\n"
    else:
        assert error == "RuntimeError: Kernel died before replying to kernel_info"


def test_a_kernel_that_dies_in_a_cell_is_not_started_again(tmp_path):
    starts = tmp_path / "starts"
    dying = f"open({str(starts)!r}, 'a').write('x'); import os; os._exit(1)"
    path = write(tmp_path / "a.ipynb", "number = 4", dying)
    assert "died" in runner.run_papermill(path, tmp_path / "out.ipynb", {}, Limits()).lower()
    assert starts.read_text() == "x"


def test_a_finished_run_is_not_executed_again(tiny, tmp_path, quick):
    table = sweep(tiny, {"number": [2]}, tmp_path)
    before = run_files(tmp_path)
    target = str(tmp_path / table["notebook"][0])
    source = tiny.read_text(encoding="utf-8")
    record = {"key": table["key"][0], "parameters": {"number": 2}}
    runner.execute_run(source, target, record)
    assert run_files(tmp_path) == before
    runner.execute_run(source, target, record | {"key": "another"})
    assert run_files(tmp_path) != before
