"""Tests of `batch.tables`: every run's values in columns that CSV and Parquet can hold."""

import pandas
from tiny_notebooks import sweep, write, write_reported

from tutorial_utils.batch import runner, tables


def finished(parameters: dict, report: dict | None = None, **record) -> tables.FinishedRun:
    defaults = {"key": "k", "status": "ok", "error": "", "wall_s": 3.5}
    full = defaults | {"parameters": parameters, "order": list(parameters)} | record
    return tables.FinishedRun("runs/a.ipynb", full, report or {})


def test_both_files_hold_the_returned_table(tiny, tmp_path, quick):
    grid = {"number": [1, 2], "name": ["x"]}
    table = sweep(tiny, grid, tmp_path / "out")
    assert list(table.columns) == [
        *("number", "name", "status", "val_accuracy", "seconds", "overhead_s", "peak_gib"),
        *("images", "weights", "versions", "correct", "error", "notebook", "key"),
    ]
    assert list(table["val_accuracy"]) == [1.0, 0.5]
    assert list(table["correct"]) == [1, 2]
    stored = pandas.read_parquet(tmp_path / "out" / "results.parquet")
    pandas.testing.assert_frame_equal(table, stored)
    stored = pandas.read_csv(tmp_path / "out" / "results.csv")
    assert list(stored["key"]) == list(table["key"])


def test_a_report_fills_the_fixed_columns_and_adds_its_scalars():
    report = {"lesson": "x", "seconds": 2.0, "peak_bytes": 2**30, "images": "synthetic images"}
    report |= {"versions": {"python": "3", "torch": "2"}, "correct": 7, "curves": {"AlexNet": []}}
    row = tables.row(finished({"b": 1, "a": None}, report))
    assert list(row)[:2] == ["b", "a"]
    assert (row["seconds"], row["overhead_s"], row["peak_gib"]) == (2.0, 1.5, 1.0)
    assert (row["images"], row["versions"]) == ("synthetic images", "python 3, torch 2")
    assert row["correct"] == 7 and not {"lesson", "curves", "peak_bytes"} & set(row)


def test_a_run_without_a_report_has_its_error_in_one_line():
    row = tables.row(finished({}, status="error", error="cell 3:\n  no\tmemory", wall_s=None))
    assert (row["status"], row["error"]) == ("error", "cell 3: no memory")
    assert pandas.isna([row["seconds"], row["overhead_s"], row["val_accuracy"]]).all()


def test_accuracies_of_several_networks_get_a_column_each(tiny, tmp_path, quick, monkeypatch):
    def pretend(book, target, parameters, limits):
        scores = {"AlexNet": 0.9, "VGG16": 0.8} if parameters["number"] == 1 else {"AlexNet": 0.7}
        write_reported(book, target, {"val_accuracy": scores})

    monkeypatch.setattr(runner, "run_papermill", pretend)
    table = sweep(tiny, {"number": [1, 2]}, tmp_path)
    assert list(table["val_accuracy_VGG16"].fillna(0)) == [0.8, 0]
    assert list(table["val_accuracy"].fillna(0)) == [0, 0.7]


def test_a_parameter_named_as_a_fixed_column_keeps_both(tmp_path, quick):
    notebook = write(tmp_path / "w.ipynb", "weights: str = 'auto'", "1")
    table = sweep(notebook, {"weights": ["auto", "none"]}, tmp_path)
    assert list(table["given_weights"]) == ["auto", "none"]
    assert list(table["weights"]) == ["demo", "demo"]
    assert list(table.columns)[0] == "given_weights"


def test_whole_numbers_stay_whole_where_another_grid_has_none(tiny, tmp_path, quick):
    sweep(tiny, {"number": [1, 2]}, tmp_path)
    sweep(tiny, {"name": ["x"]}, tmp_path)
    text = (tmp_path / "results.csv").read_text(encoding="utf-8")
    assert "\nx,,ok" in text and "\n,1,ok" in text
    assert list(pandas.read_parquet(tmp_path / "results.parquet")["number"].dropna()) == [1, 2]


def test_values_of_mixed_types_are_written_as_json(tmp_path):
    runs = [finished({"x": value}) for value in (1, "1", None, [1, 2], True)]
    table = tables.frame(runs)
    assert list(table["x"].fillna("none")) == ["1", "1", "none", "[1, 2]", "true"]
    table.to_parquet(tmp_path / "x.parquet")
