"""The batch runner: one failing notebook stops nothing and is named with its cell and error."""

import json
import sys

import nbformat
import pandas
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tutorial_utils.batch import lessons
from tutorial_utils.cli.main import main

REPORT = """
from IPython.display import display
display({"application/vnd.tutorial.result+json": {
    "lesson": "x", "images": "synthetic images", "weights": "demo", "val_accuracy": 1 - 1 / number,
    "peak_bytes": 2**30, "curves": {"AlexNet": [
        {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": 1.0,
         "val_accuracy": 0.5}]}}, "text/plain": "x"}, raw=True)
"""


def write(path, *sources):
    book = new_notebook(cells=[new_code_cell(source) for source in sources])
    book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}}
    nbformat.write(book, path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder / "00_bad.ipynb", "number = 1", "print('fine')", "1 / (number - 1)", REPORT)
    write(folder / "01_good.ipynb", "number = 4", REPORT)
    return folder


def test_lessons_run_on_past_a_failure(folder, tmp_path):
    table = lessons.run_lessons(tmp_path / "out", folder=folder)
    assert list(table["status"]) == ["error", "ok"]
    assert table["error"][0] == "cell 3: ZeroDivisionError: division by zero"
    assert table["val_accuracy"][1] == "0.750"
    assert table["peak_gib"][1] == 1.0
    kept = pandas.read_csv(tmp_path / "out" / "results.csv")
    assert list(kept["lesson"]) == ["00_bad", "01_good"]
    for name in ("lessons/00_bad.html", "lessons/01_good.html", "curves.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_parameters_go_to_the_lessons_that_have_them(folder, tmp_path):
    parameters = {"number": 2, "elsewhere": 3}
    table = lessons.run_lessons(tmp_path / "out", folder=folder, parameters=parameters)
    assert list(table["status"]) == ["ok", "ok"]
    assert list(table["val_accuracy"]) == ["0.500", "0.500"]


def test_the_command_exits_with_1_and_names_the_failure(folder, tmp_path, capsys):
    code = main(["lessons", "--out", str(tmp_path / "out"), "--folder", str(folder)])
    printed = capsys.readouterr()
    assert code == 1
    assert "failed: 00_bad: cell 3: ZeroDivisionError" in printed.err
    assert "01_good" in printed.out


def test_a_folder_without_lessons_is_an_error(tmp_path, capsys):
    assert main(["lessons", "--folder", str(tmp_path)]) == 1
    assert "no lessons (NN_name.ipynb) in" in capsys.readouterr().err


def test_only_some_lessons_run(folder, tmp_path, capsys):
    write(folder / "02_more.ipynb", "number = 2", REPORT)
    options = ["--out", str(tmp_path / "out"), "--folder", str(folder)]
    assert main(["lessons", *options, "--only", "01,02_m"]) == 0
    kept = pandas.read_csv(tmp_path / "out" / "results.csv")
    assert list(kept["lesson"]) == ["01_good", "02_more"]
    for wrong in ("01,3", "01,", "01, 9", " "):
        assert main(["lessons", *options, "--only", wrong]) == 1
        said = capsys.readouterr().err
        assert "no lesson's name starts with" in said and "00_bad, 01_good, 02_more" in said


def test_parameters_are_not_for_outputs_in_place(folder, capsys):
    before = (folder / "01_good.ipynb").read_bytes()
    assert main(["lessons", "--folder", str(folder), "--in-place", "-p", "number=2"]) == 1
    assert "--in-place takes no -p" in capsys.readouterr().err
    assert (folder / "01_good.ipynb").read_bytes() == before


def test_refresh_writes_clean_outputs_in_place(folder):
    lessons.refresh(folder, only="01")
    book = nbformat.read(folder / "01_good.ipynb", as_version=4)
    assert [cell.execution_count for cell in book.cells] == [1, 2]
    assert book.cells[0].metadata == {"tags": ["parameters"]}
    assert set(book.metadata) == {"kernelspec", "language_info"}
    assert lessons.read_result(folder / "01_good.ipynb")["val_accuracy"] == 0.75
    untouched = nbformat.read(folder / "00_bad.ipynb", as_version=4)
    assert untouched.cells[0].execution_count is None


STUMBLING = """
import os, sys, pathlib
starts = pathlib.Path({starts!r})
starts.write_text(starts.read_text() + "x")
if len(starts.read_text()) <= {deaths}:
    sys.exit("the port is taken")
os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *sys.argv[1:]])
"""


@pytest.mark.parametrize(("deaths", "starts"), [(1, 2), (2, 3), (3, 3)])
def test_a_kernel_that_dies_before_its_first_cell_is_started_anew(
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
    write(tmp_path / "one.ipynb", "number = 4", "print(number)")
    book = nbformat.read(tmp_path / "one.ipynb", as_version=4)
    book.metadata.kernelspec.name = "stumbling"
    nbformat.write(book, tmp_path / "one.ipynb")
    row = lessons.run_notebook(tmp_path / "one.ipynb", tmp_path / "out.ipynb", {"number": 5})
    assert len(counted.read_text()) == starts
    if deaths < 3:
        assert (row["status"], row["error"]) == ("ok", "")
        cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
        assert cells[-1].outputs[0].text == "5\n"
    else:
        assert row["error"] == "RuntimeError: Kernel died before replying to kernel_info"


def test_a_kernel_that_dies_in_a_cell_is_not_started_anew(tmp_path):
    noted = tmp_path / "noted"
    dying = f"open({str(noted)!r}, 'a').write('x'); import os; os._exit(1)"
    write(tmp_path / "one.ipynb", "number = 4", dying)
    row = lessons.run_notebook(tmp_path / "one.ipynb", tmp_path / "out.ipynb")
    assert row["status"] == "error" and "died" in row["error"].lower()
    assert noted.read_text() == "x"
