"""Tests of `cli.predict`: a line for each image, failures on stderr, exit codes."""

import csv
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from tutorial_utils import models
from tutorial_utils.cli.main import main
from tutorial_utils.own_images import classifier

NAMES = ("red things", "blau, grün", "黒/白")
FILES = ["album/a b.png", "album/c,d.jpg", "album/ü.png"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the file of a classifier of three colours, not trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = classifier.build(models.find_weights("alexnet", "demo", quiet=True), NAMES)
    return classifier.save(made, tmp_path_factory.mktemp("model") / "m.safetensors")


@pytest.fixture
def album(tmp_path, monkeypatch):
    """Return a folder of three images, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    for name, colour in {"a b.png": "red", "ü.png": "blue", "c,d.jpg": "black"}.items():
        (tmp_path / "album").mkdir(exist_ok=True)
        Image.new("RGB", (80, 60), colour).save(tmp_path / "album" / name)
    return "album"


def printed(capsys) -> tuple[list[str], list[str]]:
    """Return the lines on stdout and on stderr."""
    streams = capsys.readouterr()
    return streams.out.splitlines(), streams.err.splitlines()


def test_one_line_for_each_image(model, album, capsys):
    assert main(["predict", str(model), f"{album}/ü.png", f"{album}/a b.png"]) == 0
    lines, errors = printed(capsys)
    assert errors == []
    assert [line.split("\t")[0] for line in lines] == ["album/ü.png", "album/a b.png"]
    for line in lines:
        name, _, probability = line.split("\t")[1].rpartition(" ")
        assert name in NAMES
        assert 1 / 3 <= float(probability) <= 1


def test_a_folder_means_its_images(model, album, capsys):
    Path(album, "other.txt").write_text("mine")
    assert main(["predict", str(model), album]) == 0
    assert [line.split("\t")[0] for line in printed(capsys)[0]] == FILES


@pytest.mark.parametrize(("top", "named"), [("1", 1), ("2", 2), ("9", 3)])
def test_top_prints_the_next_classes_too(top, named, model, album, capsys):
    assert main(["predict", str(model), album, "--top", top]) == 0
    for line in printed(capsys)[0]:
        values = [float(part.rpartition(" ")[2]) for part in line.split("\t")[1:]]
        assert len(values) == named
        assert values == sorted(values, reverse=True)


def test_json_is_one_object_for_each_line(model, album, capsys):
    assert main(["predict", str(model), album, "--json", "--top", "3"]) == 0
    rows = [json.loads(line) for line in printed(capsys)[0]]
    assert [row["file"] for row in rows] == FILES
    for row in rows:
        assert {found["class"] for found in row["classes"]} == set(NAMES)
        assert sum(found["probability"] for found in row["classes"]) == pytest.approx(1)
    main(["predict", str(model), album])
    plain = [line.split("\t")[1] for line in printed(capsys)[0]]
    first = [row["classes"][0] for row in rows]
    assert plain == [f"{found['class']} {found['probability']:.3f}" for found in first]


def test_csv_has_a_header_and_quotes_commas(model, album, capsys):
    assert main(["predict", str(model), album, "--csv", "--top", "2"]) == 0
    header, *rows = csv.reader(io.StringIO("\n".join(printed(capsys)[0])))
    assert header == ["file", "class", "probability", "class_2", "probability_2"]
    assert [row[0] for row in rows] == FILES
    assert all(row[1] in NAMES and row[3] in NAMES and len(row) == 5 for row in rows)
    assert all(float(row[2]) >= float(row[4]) for row in rows)


def test_a_broken_image_is_reported_and_the_rest_predicted(model, album, tmp_path, capsys):
    whole = (tmp_path / "album" / "c,d.jpg").read_bytes()
    (tmp_path / "album" / "b.jpg").write_bytes(whole[: len(whole) // 2])
    assert main(["predict", str(model), album, "nothing.png"]) == 1
    lines, errors = printed(capsys)
    assert [line.split("\t")[0] for line in lines] == FILES
    assert errors[:2] == ["album/b.jpg: cut short", "nothing.png: there is no such file"]
    assert errors[2] == "not predicted: 2"


def test_a_folder_without_images_is_reported(model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(model), "empty"]) == 1
    assert printed(capsys) == ([], ["empty: a folder without images", "not predicted: 1"])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path, model: path.write_bytes(pickle.dumps([1])), "is a pickle"),
        (lambda path, model: path.write_text("weights"), "is a text, not a model"),
        (lambda path, model: None, "there is no model at"),
        (lambda path, model: path.mkdir(), "is a folder"),
        (lambda path, model: path.write_bytes(model.read_bytes()[:-100]), "is cut short"),
    ],
)
def test_a_file_that_is_no_model_is_an_error_before_any_image(
    write, message, model, album, tmp_path, capsys
):
    write(tmp_path / "other.safetensors", model)
    assert main(["predict", "other.safetensors", album]) == 1
    lines, errors = printed(capsys)
    assert lines == []
    assert errors[0].startswith("error: ") and "other.safetensors" in errors[0]
    assert message in errors[0]


def test_control_characters_are_printed_escaped(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        made = classifier.build(
            models.find_weights("alexnet", "none", quiet=True), ["a\x1b[2Jb", "c\td"]
        )
    classifier.save(made, "m.safetensors")
    Image.new("RGB", (80, 60)).save("x.png")
    os.rename("x.png", "x\ny.png")
    assert main(["predict", "m.safetensors", "x\ny.png", "z\x1b.png", "--top", "2"]) == 1
    lines, errors = printed(capsys)
    assert len(lines) == 1 and lines[0].startswith("x\\ny.png\t") and lines[0].count("\t") == 2
    assert "a\\x1b[2Jb" in lines[0] and "c\\td" in lines[0]
    assert errors[0] == "z\\x1b.png: there is no such file"


def test_it_runs_in_any_folder_and_on_an_ascii_terminal(model, album, tmp_path):
    command = [sys.executable, "-m", "tutorial_utils", "predict", str(model), "album/ü.png"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("album/\\xfc.png\t")
