"""Tests of `tutorial_utils.history`: best, last, the table, the file."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import epoch

from tutorial_utils.history import COLUMNS, Epoch, History, Score


def test_frame():
    train, val = Score(0.25, 9, 10), Score(0.5, 6, 8)
    frame = History([Epoch(1, train, val, 1.5), Epoch(2, val, train, 2.5)]).frame()
    columns = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"]
    assert list(frame.columns) == list(COLUMNS) == columns
    assert frame.to_numpy().tolist() == [
        [1, 0.25, 0.9, 0.5, 0.75, 1.5],
        [2, 0.5, 0.75, 0.25, 0.9, 2.5],
    ]


def test_best_takes_accuracy_then_loss_then_the_earliest():
    epochs = [epoch(1, correct=7, loss=0.1), epoch(2, correct=8, loss=0.9)]
    epochs += [epoch(3, correct=8, loss=0.4), epoch(4, correct=8, loss=0.4)]
    history = History(epochs)
    assert history.best.epoch == 3 and history.last.epoch == 4 and history.seconds == 6.0


scores = st.builds(Score, st.floats(0, 100), st.integers(0, 50), st.integers(50, 60))


@settings(max_examples=20, deadline=None)
@given(
    pairs=st.lists(st.tuples(scores, scores, st.floats(0, 1e6))),
    stopped=st.sampled_from([None, "interrupted"]),
)
def test_a_history_comes_back_from_json_as_it_was(tmp_path_factory, pairs, stopped):
    path = tmp_path_factory.getbasetemp() / "history.json"
    history = History([Epoch(i, *pair) for i, pair in enumerate(pairs, 1)], stopped)
    history.save(path)
    assert History.load(path) == history


def test_two_writers_at_once_do_not_mix(tmp_path, monkeypatch):
    path, fsync = tmp_path / "history.json", os.fsync
    first, second = History([epoch(1)]), History([epoch(1), epoch(2)])

    def save_meanwhile(file):
        """Let the second writer start and finish before the first one renames its file."""
        monkeypatch.setattr(os, "fsync", fsync)
        second.save(path)
        assert History.load(path) == second
        fsync(file)

    monkeypatch.setattr(os, "fsync", save_meanwhile)
    first.save(path)
    assert History.load(path) == first
    assert [file.name for file in tmp_path.iterdir()] == ["history.json"]


def test_a_path_may_start_with_the_home_folder(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    History([epoch(1)]).save("~/history.json")
    assert (tmp_path / "history.json").exists()
    assert History.load("~/history.json").last == epoch(1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds a JSON list"),
        ("{}", "holds no history: KeyError"),
        ('{"epochs": [3], "stopped": null}', "holds no history: TypeError"),
        ('{"epochs": [{"epoch": 1, "train": {"loss": 1}}], "stopped": null}', "holds no history"),
    ],
)
def test_a_file_that_is_no_history(tmp_path, content, message):
    path = tmp_path / "history.json"
    with pytest.raises(FileNotFoundError, match="there is no history at"):
        History.load(path)
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        History.load(path)
