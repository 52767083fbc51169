"""Tests of `tutorial_utils.checkpoints`: resuming, loading, crashes at every step, damage."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import WIDTH, head, loader, measured, run, same, small_cnn, uphill
from torch import nn

from tutorial_utils import checkpoints, training
from tutorial_utils._support import checksums


def test_a_resumed_run_is_the_run(tmp_path, capsys):
    whole, history = run(epochs=4)
    run(epochs=2, checkpoint=tmp_path)
    capsys.readouterr()
    network, resumed = run(head(), epochs=4, checkpoint=tmp_path, resume=True, quiet=False)
    assert capsys.readouterr().out.startswith("resumed after epoch 2 of 4\nepoch 3/4")
    assert same(network, whole) and measured(resumed) == measured(history)


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_sgd_resumes_too(tmp_path, momentum):
    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=0.1, momentum=momentum)

    run(epochs=2, optimizer=sgd, checkpoint=tmp_path)
    network, _ = run(epochs=4, optimizer=sgd, checkpoint=tmp_path, resume=True)
    assert same(network, run(epochs=4, optimizer=sgd)[0])


def test_batch_norm_resumes_too(tmp_path):
    def options():
        one = {"shape": (3, 8, 8)}
        return {"train": loader(**one), "val": loader(**one, shuffle=False)}

    torch.manual_seed(0)
    first = small_cnn()
    first.features[1].requires_grad_(False)  # frozen, and its running statistics still move
    start = {k: v.clone() for k, v in first.state_dict().items()}
    _, whole = run(first, epochs=3, **options())
    for epochs in (1, 3):
        again = small_cnn()
        again.features[1].requires_grad_(False)
        again.load_state_dict(start)
        _, history = run(again, epochs=epochs, checkpoint=tmp_path, resume=True, **options())
    assert same(again, first) and measured(history) == measured(whole)


def test_resume_without_a_checkpoint_starts_anew(tmp_path):
    network, history = run(checkpoint=tmp_path / "new" / "folder", resume=True)
    assert same(network, run()[0]) and len(history.epochs) == 4


def test_resume_of_a_finished_run_returns_its_history(tmp_path):
    network, history = run(checkpoint=tmp_path)
    again, same_history = run(head(), checkpoint=tmp_path, resume=True)
    assert same(again, network) and same_history == history


def test_a_checkpoint_is_not_overwritten_by_a_new_run(tmp_path):
    network, _ = run(checkpoint=tmp_path)
    with pytest.raises(ValueError, match="already holds a checkpoint.*use resume=True"):
        run(seed=5, checkpoint=tmp_path)
    assert same(run(checkpoint=tmp_path, resume=True)[0], network)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1}, "has 2 epochs, more than epochs=1"),
        ({"lr": 1e-3}, "lr 0.01 there, 0.001 here"),
        ({"seed": 1}, "seed 0 there, 1 here"),
        ({"train": loader(batch_size=4)}, "train batch size 5 there, 4 here"),
        ({"train": loader(count=22)}, "train images 23 there, 22 here"),
        ({"train": loader(shuffle=False)}, "train order 'RandomSampler' there"),
        ({"optimizer": lambda p: torch.optim.SGD(p, lr=1e-2)}, "optimizer 'Adam' there, 'SGD'"),
        ({"optimizer": lambda p: torch.optim.Adam(p, lr=1e-2, eps=1e-3)}, "eps 1e-08 there"),
        ({"network": head(frozen=())}, "tensors 2 there, 4 here"),
        (
            {"network": head(frozen=(3,))},
            "other tensors were trained.*: 0.bias, 0.weight, 3.bias",
        ),
        ({"network": head(seed=8)}, "other layers are not those it was trained with"),
        ({"network": head(classes=3)}, r"3.* has the shape \(2,.*in the checkpoint.*\(3,.*in this"),
    ],
)
def test_another_recipe_does_not_resume(tmp_path, options, message):
    run(epochs=2, checkpoint=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=message):
        run(checkpoint=tmp_path, resume=True, **options)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_best_and_last_can_be_loaded(tmp_path):
    network, history = run(epochs=4, optimizer=uphill, checkpoint=tmp_path)
    assert history.best.epoch < history.last.epoch
    other = head()
    other[3].reset_parameters()
    val = loader(shuffle=False, count=11)
    assert training.load_checkpoint(other, tmp_path) == history.best
    assert training.evaluate(other, val) == history.best.val
    assert training.load_checkpoint(other, tmp_path, which="last") == history.last
    assert same(other, network)


def test_the_folder_holds_only_what_was_trained(tmp_path):
    _, history = run(epochs=4, optimizer=uphill, checkpoint=tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    best = f"weights-{history.best.epoch:04}.safetensors"
    assert names - {checkpoints.LOCK} == {
        "checkpoint.json",
        best,
        "weights-0004.safetensors",
        "optimizer-0004.safetensors",
    }
    weights = load_file(tmp_path / best)
    assert set(weights) == {"3.weight", "3.bias"}


def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="unknown which 'first'; allowed: best, last"):
        training.load_checkpoint(head(), tmp_path, which="first")
    with pytest.raises(FileNotFoundError, match="there is no checkpoint at"):
        training.load_checkpoint(head(), tmp_path)
    run(epochs=1, checkpoint=tmp_path)
    (tmp_path / "weights-0001.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="is missing: the checkpoint is incomplete"):
        training.load_checkpoint(head(), tmp_path)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Linear(WIDTH, 2)), "it has 3.bias, 3.weight, which this network lacks"),
        (head(classes=5), r"3.* has the shape \(2.*\) in the checkpoint .* the same number of cla"),
        (head(seed=9), "build it with the same weights"),
    ],
)
def test_a_network_that_does_not_fit_is_left_alone(tmp_path, network, message):
    run(epochs=1, checkpoint=tmp_path)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        training.load_checkpoint(network, tmp_path)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


@pytest.mark.parametrize("size", [0, 5, 60, 170])
def test_a_truncated_file(tmp_path, size):
    run(epochs=1, checkpoint=tmp_path)
    path = tmp_path / "weights-0001.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=rf"\({size} bytes\) is no complete safetensors file"):
        training.load_checkpoint(head(), tmp_path)


class Bomb:
    """A pickle that leaves a mark if it is opened."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("dump", [pickle.dump, torch.save])
def test_a_pickle_is_never_opened(tmp_path, dump):
    run(epochs=1, checkpoint=tmp_path)
    mark, path = tmp_path / "opened", tmp_path / "weights-0001.safetensors"
    with path.open("wb") as file:
        dump(Bomb(mark), file)
    with pytest.raises(ValueError, match="a pickle, which is never opened"):
        training.load_checkpoint(head(), tmp_path)
    with pytest.raises(ValueError, match="a checkpoint is a folder.*pickle.*is never opened"):
        training.load_checkpoint(head(), path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m | {"format": 2}, "has the format 2; this version reads 1"),
        (lambda m: m | {"files": {}}, "is no complete checkpoint: 'best' is missing"),
        (lambda m: {"format": 1}, "is no complete checkpoint: 'files' is missing"),
        (lambda m: m | {"files": m["files"] | {"best": "../x"}}, "names the file '../x'"),
        (lambda m: 7, "holds a JSON int"),
    ],
)
def test_a_manifest_that_was_changed(tmp_path, change, message):
    run(epochs=1, checkpoint=tmp_path)
    path = tmp_path / checkpoints.MANIFEST
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=message):
        training.load_checkpoint(head(), tmp_path)
    with pytest.raises(ValueError, match=message):
        run(checkpoint=tmp_path, resume=True)


@pytest.fixture
def moments(monkeypatch, tmp_path):
    """What a checkpoint folder holds before and after each step of writing it.

    This is what a crash would leave; a file that was being written is cut in half.
    """
    folder, found = tmp_path / "run", []

    def record():
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        cut = {n: data[: len(data) // 2] for n, data in files.items() if n.endswith(".tmp")}
        if files | cut not in found:
            found.append(files | cut)

    def watched(function):
        def call(*args, **kwargs):
            record()
            result = function(*args, **kwargs)
            record()
            return result

        return call

    monkeypatch.setattr(checksums, "save_file", watched(checksums.save_file))
    monkeypatch.setattr(os, "fsync", watched(os.fsync))
    monkeypatch.setattr(os, "replace", watched(os.replace))
    monkeypatch.setattr(Path, "unlink", watched(Path.unlink))
    run(epochs=3, optimizer=uphill, checkpoint=folder)
    monkeypatch.undo()
    return found


def test_a_crash_at_any_moment_leaves_a_whole_checkpoint(moments, tmp_path):
    whole, history = run(epochs=4, optimizer=uphill)
    done = set()
    for number, files in enumerate(moments):
        copy = tmp_path / str(number)
        copy.mkdir()
        for name, content in files.items():
            (copy / name).write_bytes(content)
        if checkpoints.MANIFEST in files:
            done.add(training.load_checkpoint(head(), copy, which="last").epoch)
            training.load_checkpoint(head(), copy, which="best")
        network, resumed = run(epochs=4, optimizer=uphill, checkpoint=copy, resume=True)
        assert same(network, whole) and measured(resumed) == measured(history), sorted(files)
        assert not list(copy.glob(".*")), "temporary files are deleted"
    assert done == {1, 2, 3} and len(moments) > 20
    assert any(name.endswith(".tmp") for files in moments for name in files)


@pytest.mark.parametrize("step", ["weights", "optimizer", "checkpoint"])
def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, monkeypatch, step):
    whole = os.replace

    def full(source, target):
        if Path(target).name in (f"{step}-0003.safetensors", f"{step}.json") and len(calls) >= 6:
            raise OSError(28, "No space left on device")
        calls.append(target)
        whole(source, target)

    calls = []
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"epoch 3 could not .*the disk is full.*epoch 2 is in"):
        run(checkpoint=tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.glob(".*"))
    assert training.load_checkpoint(head(), tmp_path, which="last").epoch == 2
    assert same(run(checkpoint=tmp_path, resume=True)[0], run()[0])


def test_ctrl_c_while_writing_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    whole = os.replace

    def stopped(source, target):
        if Path(target).name == "optimizer-0003.safetensors":
            raise KeyboardInterrupt
        whole(source, target)

    monkeypatch.setattr(os, "replace", stopped)
    network, history = run(checkpoint=tmp_path)
    monkeypatch.undo()
    assert history.stopped == "interrupted" and history.last.epoch == 3
    assert same(network, run(epochs=3)[0])
    assert training.load_checkpoint(head(), tmp_path, which="last").epoch == 2
    assert same(run(checkpoint=tmp_path, resume=True)[0], run()[0])


def test_a_folder_that_cannot_be_made_raises_before_any_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    photos = loader()
    with pytest.raises(OSError, match="folder cannot be written: a part of its path is a file"):
        run(train=photos, checkpoint=tmp_path / "file" / "folder")
    assert photos.dataset.reads == 0


def test_a_file_of_the_users_stays(tmp_path):
    (tmp_path / "notes.tmp").write_text("mine")
    run(epochs=2, checkpoint=tmp_path)
    assert (tmp_path / "notes.tmp").exists()


def test_a_folder_may_start_with_the_home_folder(tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    _, history = run(epochs=1, checkpoint="~/run")
    assert (tmp_path / "run" / checkpoints.MANIFEST).exists()
    assert training.load_checkpoint(head(), "~/run") == history.best


# Checkpoints of the code before the parameters were renamed (commit dabec8c)

OLD = Path(__file__).parent / "old_files" / "checkpoint-1"  # of 2 epochs


def old_network():
    """Return `head` with weights that are the same on every machine."""
    network = head()
    with torch.no_grad():
        for parameter in network.parameters():
            values = (torch.arange(parameter.numel()) % 7 - 3) / 8
            parameter.copy_(values.view_as(parameter))
    return network


def test_an_old_checkpoint_can_be_loaded():
    network = old_network()
    best = training.load_checkpoint(network, OLD)
    assert best.epoch == 2
    score = training.evaluate(network, loader(shuffle=False, count=11))
    assert score.correct == best.val.correct and score.loss == pytest.approx(best.val.loss)


def test_an_old_checkpoint_can_be_resumed(tmp_path):
    folder = shutil.copytree(OLD, tmp_path / "run")
    options = {"precision": "float32", "epochs": 4}
    network, history = run(old_network(), checkpoint=folder, resume=True, **options)
    whole, expected = run(old_network(), **options)
    assert [epoch.epoch for epoch in history.epochs] == [1, 2, 3, 4]
    assert history.last.val.loss == pytest.approx(expected.last.val.loss)
    torch.testing.assert_close(network.state_dict(), whole.state_dict())
    assert len(run(old_network(), checkpoint=folder, resume=True, **options)[1].epochs) == 4


def test_an_old_checkpoint_of_other_images_does_not_resume(tmp_path):
    folder = shutil.copytree(OLD, tmp_path / "run")
    with pytest.raises(ValueError, match="another run: train images 23 there, 22 here"):
        run(old_network(), checkpoint=folder, resume=True, train=loader(count=22))
