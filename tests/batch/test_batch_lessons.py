"""Tests of `batch.lessons`: a lesson that fails is reported, and the others still run."""

import nbformat
import pandas
import pytest
from tiny_notebooks import write

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


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder / "00_bad.ipynb", "number = 1", REPORT, "1 / (number - 1)")
    write(folder / "01_good.ipynb", "number = 4", REPORT)
    return folder


def test_the_lessons_after_a_failure_still_run(folder, tmp_path, capsys):
    assert main(["lessons", "--out", str(tmp_path / "out"), "--folder", str(folder)]) == 1
    printed = capsys.readouterr()
    assert "failed: 00_bad: cell 3: ZeroDivisionError" in printed.err
    assert "01_good" in printed.out
    table = pandas.read_csv(tmp_path / "out" / "results.csv", dtype=str)
    assert list(table["lesson"]) == ["00_bad", "01_good"]
    assert list(table.columns) == [*lessons.COLUMNS, "error"]
    assert list(table["status"]) == ["error", "ok"]
    assert table["error"][0] == "cell 3: ZeroDivisionError: division by zero"
    assert (table["val_accuracy"][1], table["peak_gib"][1]) == ("0.750", "1.0")
    for name in ("lessons/00_bad.html", "lessons/01_good.html", "curves.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_parameters_go_to_the_lessons_that_have_them(folder, tmp_path):
    parameters = {"number": 2, "elsewhere": 3}
    table = lessons.run_lessons(tmp_path / "out", folder=folder, parameters=parameters)
    assert list(table["status"]) == ["ok", "ok"]
    assert list(table["val_accuracy"]) == ["0.500", "0.500"]


def test_only_some_lessons_run(folder, tmp_path, capsys):
    write(folder / "02_more.ipynb", "number = 2", REPORT)
    options = ["--out", str(tmp_path / "out"), "--folder", str(folder)]
    assert main(["lessons", *options, "--only", "01,02_m"]) == 0
    stored = pandas.read_csv(tmp_path / "out" / "results.csv")
    assert list(stored["lesson"]) == ["01_good", "02_more"]
    for wrong in ("01,3", "01,", "01, 9", " "):
        assert main(["lessons", *options, "--only", wrong]) == 1
        message = capsys.readouterr().err
        assert "no lesson's name starts with" in message and "00_bad, 01_good, 02_more" in message
    assert main(["lessons", "--folder", str(tmp_path)]) == 1
    assert "no lessons (NN_name.ipynb) in" in capsys.readouterr().err


def test_outputs_are_stored_in_place_and_cleaned(folder, capsys):
    book = nbformat.read(folder / "01_good.ipynb", as_version=4)
    book.cells[1].metadata = {"cellView": "form", "execution": {"iopub.status.busy": "now"}}
    nbformat.write(book, folder / "01_good.ipynb")
    before = (folder / "01_good.ipynb").read_bytes()
    assert main(["lessons", "--folder", str(folder), "--in-place", "-p", "number=2"]) == 1
    assert "--in-place takes no -p" in capsys.readouterr().err
    assert main(["lessons", "--folder", str(folder), "--in-place", "--jobs", "2"]) == 1
    assert "--in-place takes no --jobs" in capsys.readouterr().err
    assert (folder / "01_good.ipynb").read_bytes() == before
    lessons.run_in_place(folder, only="01")
    book = nbformat.read(folder / "01_good.ipynb", as_version=4)
    assert [cell.execution_count for cell in book.cells] == [1, 2]
    assert [cell.metadata for cell in book.cells] == [
        {"tags": ["parameters"]},
        {"cellView": "form"},
    ]
    assert set(book.metadata) == {"kernelspec", "language_info"}
    assert lessons.read_result(folder / "01_good.ipynb")["val_accuracy"] == 0.75
    other = nbformat.read(folder / "00_bad.ipynb", as_version=4)
    assert other.cells[0].execution_count is None


def test_parameters_of_one_lesson_and_its_result(folder, tmp_path):
    out = tmp_path / "new" / "a.ipynb"
    row = lessons.run_notebook(folder / "01_good.ipynb", out, {"number": 2})
    assert (row["status"], row["error"], row["images"]) == ("ok", "", "synthetic images")
    assert row["result"] == lessons.read_result(out)
    assert row["result"]["val_accuracy"] == 0.5


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.75, "0.750"), ({"AlexNet": 0.5, "VGG16": 0.25}, "AlexNet 0.500, VGG16 0.250"), (None, "")],
)
def test_a_row_is_described_in_one_line(value, text):
    row = {"lesson": "03_vgg16", "seconds": 12.0, "peak_gib": float("nan"), "status": "ok"}
    row |= {"images": "photographs", "weights": "demo", "error": ""}
    line = lessons.describe(row | {"val_accuracy": lessons._accuracy_text(value)})
    assert line.split() == f"03_vgg16 12.0 s ? ok photographs demo {text}".split()
    failed = lessons.describe(row | {"status": "error", "error": "cell 3: no", "val_accuracy": ""})
    assert failed.endswith("error  cell 3: no")
