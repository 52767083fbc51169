"""Tests of `tutorial_utils.training`: the loop, its history, checkpoints, resuming, errors."""

import json
import math
import os
import pickle
import re
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tutorial_utils import training
from tutorial_utils.training import Epoch, History, Score

PICTURES, BATCH, WIDTH = 23, 5, 6  # the last batch is shorter


class Photos(Dataset):
    """Tiny pictures (or features), which may press Ctrl-C or turn bad when one is read."""

    def __init__(self, *, shape=(WIDTH,), count=PICTURES, stop_at=None, bad_at=None):
        generator = torch.Generator().manual_seed(1)
        self.values = torch.randn(count, *shape, generator=generator)
        self.labels = (self.values.flatten(1).sum(1) > 0).long()
        self.stop_at, self.bad_at, self.reads = stop_at, bad_at, 0

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        self.reads += 1
        if self.reads == self.stop_at:
            raise KeyboardInterrupt
        value = self.values[index]
        return (value * math.nan if self.reads == self.bad_at else value), int(self.labels[index])


def loader(*, shuffle=True, batch_size=BATCH, **options):
    return DataLoader(Photos(**options), batch_size=batch_size, shuffle=shuffle)


def head(*, classes=2, seed=3, frozen=True):
    """Return a network with a frozen layer, dropout and a trainable rest."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Linear(WIDTH, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, classes)
    layers[0].requires_grad_(not frozen)
    return nn.Sequential(*layers)


def small_cnn():
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    network.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4 * 6 * 6, 2))
    network.forward = lambda x: network.classifier(network.features(x))
    return network


def run(network=None, *, epochs=4, lr=1e-2, **options):
    network = head() if network is None else network
    defaults = {"train": loader(), "val": loader(shuffle=False, count=11), "quiet": True}
    options = defaults | options
    return network, training.fit(network, epochs=epochs, lr=lr, **options)


def same(network, other):
    mine, theirs = network.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


def measured(history):
    """Return the history without what no two runs share, the seconds."""
    return [(e.epoch, e.train, e.val) for e in history.epochs]


def uphill(parameters):
    """Return an optimiser that makes a network worse, so that the best epoch is an early one."""
    return torch.optim.SGD(parameters, lr=0.5, maximize=True)


def epoch(number, *, correct=5, loss=0.5, total=10):
    score = Score(loss, correct, total)
    return Epoch(number, score, score, 1.5)


# The loop


def test_fit_learns_and_counts_every_picture_once():
    network, history = run(epochs=30)
    assert [e.epoch for e in history.epochs] == list(range(1, 31))
    assert history.epochs[0].train.total == PICTURES and history.epochs[0].val.total == 11
    assert history.last.train.loss < history.epochs[0].train.loss
    assert history.last.val == training.evaluate(network, loader(shuffle=False, count=11))
    assert history.stopped is None


def test_the_training_loss_is_the_mean_per_picture():
    network = head(frozen=False).eval()
    network[2] = nn.Identity()  # no dropout, and an lr too small to change a thing
    _, history = run(network, epochs=1, lr=1e-30)
    photos = Photos()
    losses = nn.functional.cross_entropy(network(photos.values), photos.labels, reduction="none")
    assert history.last.train.loss == pytest.approx(losses.mean().item(), rel=1e-6)


def test_fit_is_the_plain_loop():
    by_hand, network = head(), run(epochs=2)[0]
    optimizer = torch.optim.Adam([*by_hand[3].parameters()], lr=1e-2, fused=True)
    by_hand.train()
    with torch.random.fork_rng():
        for number in (1, 2):
            torch.manual_seed(number)
            for values, labels in loader():
                optimizer.zero_grad()
                nn.functional.cross_entropy(by_hand(values), labels).backward()
                optimizer.step()
    assert same(network, by_hand)


def test_frozen_parameters_do_not_move():
    network, _ = run()
    assert torch.equal(network[0].weight, head()[0].weight)
    assert not torch.equal(network[3].weight, head()[3].weight)


def test_the_same_seed_gives_the_same_history_and_another_seed_another():
    first, second, other = run()[1], run()[1], run(seed=1)[1]
    assert measured(first) == measured(second) != measured(other)


def test_fit_trains_pictures_and_features_alike():
    cnn = small_cnn()
    for p in cnn.features.parameters():
        p.requires_grad_(False)
    options = {"shape": (3, 8, 8), "shuffle": False}
    _, history = run(cnn, train=loader(**options), val=loader(**options), epochs=1)
    assert history.last.val.total == PICTURES


def test_fit_leaves_modes_and_generators_alone():
    network = head().train()
    network[0].eval()
    modes = [m.training for m in network.modules()]
    torch.manual_seed(11)
    before = torch.get_rng_state()
    run(network, epochs=1)
    training.evaluate(network, loader())
    assert torch.equal(torch.get_rng_state(), before)
    assert [m.training for m in network.modules()] == modes


def test_generators_and_modes_come_back_after_an_error_too():
    network = head().eval()
    before = torch.get_rng_state()
    with pytest.raises(FloatingPointError):
        run(network, train=loader(bad_at=7))
    assert torch.equal(torch.get_rng_state(), before) and not network.training


def test_one_line_an_epoch(capsys):
    _, history = run(epochs=10, quiet=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    score = r"loss \d\.\d{4} accuracy \d\.\d{3} \(\d+/%d\)"
    line = rf"epoch  1/10  training {score % PICTURES}  validation {score % 11}  \d+\.\d s"
    assert re.fullmatch(line, lines[0])
    assert f"accuracy {history.last.val.accuracy:.3f} ({history.last.val.correct}/11)" in lines[-1]


def test_quiet_prints_nothing(capsys):
    run(quiet=True)
    assert capsys.readouterr() == ("", "")


def test_the_bar_shows_when_asked_for(capsys):
    run(epochs=2, progress=True)
    assert "epoch 2/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"JPY_SESSION_NAME": "lesson.ipynb"}, True),
        ({"COLAB_RELEASE_TAG": "release"}, True),
        ({"JPY_SESSION_NAME": "lesson.ipynb", "TUTORIAL_PROGRESS": "0"}, False),
        ({"TUTORIAL_PROGRESS": "1"}, True),
    ],
)
def test_interactive(monkeypatch, environment, expected):
    for name in ("JPY_SESSION_NAME", "COLAB_RELEASE_TAG", "TUTORIAL_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert training.interactive() is expected  # pytest's stderr is no terminal


def test_a_bar_of_its_own_accord_only_for_a_person(monkeypatch, capsys):
    monkeypatch.setenv("TUTORIAL_PROGRESS", "1")
    run(epochs=1, quiet=True)
    assert capsys.readouterr().err == ""
    run(epochs=1, quiet=False)
    assert "epoch 1/1" in capsys.readouterr().err


def test_another_optimizer():
    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)

    network, _ = run(optimizer=sgd)
    assert not same(network, run()[0]) and same(network, run(optimizer=sgd)[0])


def test_adam_is_fused_on_the_cpu():
    assert training._adam(1e-4)([*head().parameters()]).defaults["fused"]


# Stopping


def test_ctrl_c_keeps_the_history(capsys):
    network, history = run(train=loader(stop_at=2 * PICTURES + 8), quiet=False)
    assert history.stopped == "interrupted" and len(history.epochs) == 2
    assert measured(history) == measured(run(epochs=2)[1])
    assert "interrupted: 2 of 4 epochs are finished" in capsys.readouterr().out
    assert not same(network, run(epochs=2)[0])  # it had begun the third


def test_ctrl_c_at_once_gives_an_empty_history():
    _, history = run(train=loader(stop_at=1))
    assert history.epochs == [] and history.stopped == "interrupted"
    assert list(history.frame().columns) == list(training.COLUMNS)
    with pytest.raises(ValueError, match="no epoch was finished"):
        _ = history.best


def test_ctrl_c_keeps_the_checkpoint(tmp_path):
    run(train=loader(stop_at=2 * PICTURES + 8), checkpoint=tmp_path)
    network, history = run(checkpoint=tmp_path, resume=True)
    assert same(network, run()[0]) and history.stopped is None


def test_a_loss_that_is_lost_says_where_and_what_to_try():
    network = head()
    with pytest.raises(FloatingPointError) as caught:
        run(network, train=loader(bad_at=2 * PICTURES + 8), lr=1e-2)
    message = str(caught.value)
    assert "the training loss is nan in epoch 3, batch 2 of 5, with lr 0.01" in message
    assert "Try a smaller lr, e.g. 0.001" in message and "inputs are finite" in message
    assert all(p.isfinite().all() for p in network.parameters())


def test_a_lost_validation_loss():
    val = loader(shuffle=False, count=11, bad_at=14)
    with pytest.raises(FloatingPointError, match=r"validation loss is nan in epoch 2, after its"):
        run(val=val)


def test_a_lost_loss_keeps_the_checkpoint(tmp_path):
    with pytest.raises(FloatingPointError, match="There is no checkpoint in .* yet"):
        run(train=loader(bad_at=3), checkpoint=tmp_path)
    with pytest.raises(FloatingPointError, match="The checkpoint of epoch 2 is kept in"):
        run(train=loader(bad_at=2 * PICTURES + 8), checkpoint=tmp_path)
    assert same(run(checkpoint=tmp_path, resume=True)[0], run()[0])


# Arguments


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True, "3", None])
def test_epochs_must_be_a_whole_number(epochs):
    with pytest.raises(ValueError, match=f"epochs must be a whole number from 1, not {epochs!r}"):
        run(epochs=epochs)


@pytest.mark.parametrize("lr", [0, -1e-4, math.nan, math.inf, "abc", "1e-4", True, None])
def test_lr_must_be_a_number_above_zero(lr):
    with pytest.raises(ValueError, match=f"lr must be a finite number above 0, .*not {lr!r}"):
        run(lr=lr)


@pytest.mark.parametrize("seed", [-1, 1.0, True, "0", 2**32])
def test_seed_must_be_a_whole_number(seed):
    with pytest.raises(ValueError, match="seed must be a whole number from 0 to"):
        run(seed=seed)


def test_numpy_numbers_are_numbers(tmp_path):
    options = {"epochs": numpy.int64(1), "lr": numpy.float32(1e-2), "seed": numpy.int64(0)}
    assert len(run(**options, checkpoint=tmp_path)[1].epochs) == 1


def test_nothing_to_train():
    network = head().requires_grad_(False)
    with pytest.raises(ValueError, match=r"nothing to train: every parameter is frozen; unfreeze"):
        run(network)


@pytest.mark.parametrize("name", ["train", "val"])
def test_a_loader_must_be_one(name):
    with pytest.raises(ValueError, match=f"{name} must be a DataLoader, not Photos: wrap"):
        run(**{name: Photos()})


@pytest.mark.parametrize("name", ["train", "val"])
def test_an_empty_loader(name):
    with pytest.raises(ValueError, match=f"{name} is empty: it gives no batch"):
        run(**{name: loader(count=0, shuffle=False)})


def test_evaluate_refuses_an_empty_loader():
    with pytest.raises(ValueError, match="loader is empty"):
        training.evaluate(head(), loader(count=0, shuffle=False))


def test_a_loader_with_its_own_order_is_refused():
    own = DataLoader(Photos(), shuffle=True, generator=torch.Generator())
    with pytest.raises(ValueError, match="train has a generator of its own"):
        run(train=own)


def test_too_few_outputs():
    with pytest.raises(ValueError, match="has the label 1, and the network scores 1 classes"):
        run(head(classes=1))


def test_outputs_of_another_shape():
    network = nn.Sequential(head(), nn.Unflatten(1, (2, 1)))
    with pytest.raises(ValueError, match=r"shape \(5, 2, 1\), not \(N, K\)"):
        run(network)


def test_resume_needs_a_folder():
    with pytest.raises(ValueError, match="give checkpoint=FOLDER"):
        run(resume=True)


def test_nothing_is_trained_on_bad_input():
    network = head()
    for options in ({"epochs": 0}, {"lr": "abc"}, {"seed": -1}, {"val": Photos()}):
        with pytest.raises(ValueError):
            run(network, **options)
    assert same(network, head())


# evaluate


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 40), batch_size=st.integers(1, 12))
def test_evaluate_is_the_mean_over_pictures_whatever_the_batches(count, batch_size):
    network, photos = head().eval(), Photos(count=count)
    score = training.evaluate(network, DataLoader(photos, batch_size=batch_size))
    logits = network(photos.values)
    loss = nn.functional.cross_entropy(logits, photos.labels).item()
    correct = int((logits.argmax(1) == photos.labels).sum())
    assert (score.correct, score.total) == (correct, count)
    assert score.accuracy == correct / count
    assert score.loss == pytest.approx(loss, rel=1e-5)


def test_evaluate_turns_dropout_off_and_keeps_no_gradient():
    network = head().train()
    network.forward = None  # must not be needed: replaced below
    seen = []

    def forward(x):
        seen.append((network[2].training, torch.is_inference_mode_enabled()))
        return network[3](network[2](network[1](network[0](x))))

    network.forward = forward
    training.evaluate(network, loader())
    assert set(seen) == {(False, True)} and network.training


# History


def test_frame():
    frame = History([epoch(1), epoch(2, correct=6)]).frame()
    assert list(frame.columns) == list(training.COLUMNS)
    assert frame["val_accuracy"].tolist() == [0.5, 0.6] and frame["epoch"].tolist() == [1, 2]


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds a JSON list"),
        ("{}", "is no history: KeyError"),
        ('{"epochs": [3], "stopped": null}', "is no history: TypeError"),
        ('{"epochs": [{"epoch": 1, "train": {"loss": 1}}], "stopped": null}', "is no history"),
    ],
)
def test_a_file_that_is_no_history(tmp_path, content, message):
    path = tmp_path / "history.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        History.load(path)


def test_a_history_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no history at"):
        History.load(tmp_path / "none.json")


# Checkpoints


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


def test_resume_of_a_finished_run_gives_it_back(tmp_path):
    network, history = run(checkpoint=tmp_path)
    again, same_history = run(head(), checkpoint=tmp_path, resume=True)
    assert same(again, network) and same_history == history


def test_a_checkpoint_is_not_overwritten_by_a_new_run(tmp_path):
    network, _ = run(checkpoint=tmp_path)
    with pytest.raises(ValueError, match="holds a checkpoint already.*use resume=True"):
        run(seed=5, checkpoint=tmp_path)
    assert same(run(checkpoint=tmp_path, resume=True)[0], network)


def test_fewer_epochs_than_done(tmp_path):
    run(checkpoint=tmp_path)
    with pytest.raises(ValueError, match="has 4 epochs and epochs=3 were asked for"):
        run(checkpoint=tmp_path, resume=True, epochs=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 1e-3}, "lr 0.01 there, 0.001 here"),
        ({"seed": 1}, "seed 0 there, 1 here"),
        ({"train": loader(batch_size=4)}, "train batch size 5 there, 4 here"),
        ({"train": loader(count=22)}, "train pictures 23 there, 22 here"),
        ({"train": loader(shuffle=False)}, "train order 'RandomSampler' there"),
        ({"optimizer": lambda p: torch.optim.SGD(p, lr=1e-2)}, "optimizer 'Adam' there, 'SGD'"),
        ({"optimizer": lambda p: torch.optim.Adam(p, lr=1e-2, eps=1e-3)}, "eps 1e-08 there"),
        ({"network": head(frozen=False)}, "tensors 2 there, 4 here"),
        ({"network": head(seed=8)}, "other layers are not those it was trained with"),
        ({"network": head(classes=3)}, r"3.* has the shape \(2,.*in the checkpoint.*\(3,.*in this"),
    ],
)
def test_another_recipe_does_not_resume(tmp_path, options, message):
    run(epochs=1, checkpoint=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=message):
        run(checkpoint=tmp_path, resume=True, **options)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_layers_frozen_does_not_resume(tmp_path):
    run(epochs=1, checkpoint=tmp_path)
    other = head(frozen=False)
    other[3].requires_grad_(False)
    with pytest.raises(ValueError, match="other tensors were trained.*: 0.bias, 0.weight, 3.bias"):
        run(other, checkpoint=tmp_path, resume=True)


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
    kept = {"checkpoint.json", best, "weights-0004.safetensors", "optimizer-0004.safetensors"}
    assert names == kept
    weights = training._read_tensors(tmp_path / best)
    assert set(weights) == {"3.weight", "3.bias"}


def test_which_must_be_best_or_last(tmp_path):
    with pytest.raises(ValueError, match="which must be 'best' or 'last', not 'first'"):
        training.load_checkpoint(head(), tmp_path, which="first")


def test_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint at"):
        training.load_checkpoint(head(), tmp_path)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Linear(WIDTH, 2)), "it has 3.bias, 3.weight, which this network has not"),
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
    with pytest.raises(ValueError, match=rf"\({size} bytes\) is no whole safetensors file"):
        training.load_checkpoint(head(), tmp_path)


def test_a_missing_file(tmp_path):
    run(epochs=1, checkpoint=tmp_path)
    (tmp_path / "weights-0001.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="is missing: the checkpoint is not whole"):
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
        (lambda m: m | {"files": {}}, "is no whole checkpoint: 'best' is missing"),
        (lambda m: {"format": 1}, "is no whole checkpoint: 'files' is missing"),
        (lambda m: m | {"files": m["files"] | {"best": "../x"}}, "names the file '../x'"),
        (lambda m: 7, "holds a JSON int"),
    ],
)
def test_a_manifest_that_was_changed(tmp_path, change, message):
    run(epochs=1, checkpoint=tmp_path)
    path = tmp_path / training.MANIFEST
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

    def photograph():
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        cut = {n: data[: len(data) // 2] for n, data in files.items() if n.endswith(".draft")}
        if files | cut not in found:
            found.append(files | cut)

    def watched(function):
        def call(*args, **kwargs):
            photograph()
            result = function(*args, **kwargs)
            photograph()
            return result

        return call

    monkeypatch.setattr(training, "save_file", watched(training.save_file))
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
        if training.MANIFEST in files:
            done.add(training.load_checkpoint(head(), copy, which="last").epoch)
            training.load_checkpoint(head(), copy, which="best")
        network, resumed = run(epochs=4, optimizer=uphill, checkpoint=copy, resume=True)
        assert same(network, whole) and measured(resumed) == measured(history), sorted(files)
        assert not list(copy.glob("*.draft")), "drafts are tidied away"
    assert done == {1, 2, 3} and len(moments) > 20


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
    with pytest.raises(OSError, match=r"epoch 3 could not .*No space.*epoch 2 is kept in"):
        run(checkpoint=tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.draft"))
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


def test_a_folder_that_cannot_be_made_is_said_before_any_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    photos = loader()
    with pytest.raises(OSError, match="checkpoint folder .* cannot be written"):
        run(train=photos, checkpoint=tmp_path / "file" / "folder")
    assert photos.dataset.reads == 0
