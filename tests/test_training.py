"""Tests of `tutorial_utils.training`: the loop, stopping, arguments, precision, `evaluate`."""

import math
import re
import threading

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import BATCH, IMAGES, Photos, head, loader, measured, run, same
from torch import nn
from torch.utils.data import DataLoader

from tutorial_utils import training
from tutorial_utils.history import COLUMNS


def test_fit_learns_and_counts_every_image_once():
    network, history = run(epochs=30)
    assert [e.epoch for e in history.epochs] == list(range(1, 31))
    assert history.epochs[0].train.total == IMAGES and history.epochs[0].val.total == 11
    assert history.last.train.loss < history.epochs[0].train.loss
    assert history.last.val == training.evaluate(network, loader(shuffle=False, count=11))
    assert history.stopped is None


def test_the_training_loss_is_the_mean_per_image():
    network = head(frozen=()).eval()
    network[2] = nn.Identity()  # no dropout, and an lr too small to change a thing
    _, history = run(network, epochs=1, lr=1e-30, precision="float32")
    photos = Photos()
    losses = nn.functional.cross_entropy(network(photos.values), photos.labels, reduction="none")
    assert history.last.train.loss == pytest.approx(losses.mean().item(), rel=1e-6)


def test_fit_is_the_plain_loop():
    by_hand, network = head(), run(epochs=2, precision="float32")[0]
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


@pytest.mark.parametrize("training_before", [True, False])
def test_dropout_is_on_in_training_and_off_in_validation_whatever_the_mode_before(training_before):
    class Recorder(nn.Module):
        def forward(self, x):
            modes.append((self.training, torch.is_grad_enabled()))
            return x

    modes: list[tuple[bool, bool]] = []
    network = nn.Sequential(head(), Recorder()).train(training_before)
    run(network, epochs=2)
    batches, val = -(-IMAGES // BATCH), -(-11 // BATCH)
    assert modes == ([(True, True)] * batches + [(False, False)] * val) * 2


def test_the_same_seed_gives_the_same_history_and_another_seed_another():
    first, second, other = run()[1], run()[1], run(seed=1)[1]
    assert measured(first) == measured(second) != measured(other)


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
    line = rf"epoch  1/10  training {score % IMAGES}  validation {score % 11}  \d+\.\d s"
    assert re.fullmatch(line, lines[0])
    assert f"accuracy {history.last.val.accuracy:.3f} ({history.last.val.correct}/11)" in lines[-1]


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


def test_a_bar_shows_on_request_or_if_interactive_and_not_quiet(monkeypatch, capsys):
    monkeypatch.setenv("TUTORIAL_PROGRESS", "1")
    run(epochs=1, quiet=True)
    assert capsys.readouterr() == ("", "")
    run(epochs=1, quiet=False)
    assert "epoch 1/1" in capsys.readouterr().err
    monkeypatch.setenv("TUTORIAL_PROGRESS", "0")
    run(epochs=2, progress=True)
    assert "epoch 2/2" in capsys.readouterr().err


def test_another_optimizer():
    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)

    network, _ = run(optimizer=sgd)
    assert not same(network, run()[0]) and same(network, run(optimizer=sgd)[0])


def test_adam_is_fused_on_the_cpu():
    assert training._adam(1e-4)([*head().parameters()]).defaults["fused"]


# Stopping


class After:
    """A `stop` that returns true after so many batches."""

    def __init__(self, batches):
        self.left = batches

    def __call__(self):
        self.left -= 1
        return self.left < 0


BATCHES = len(loader())


both_ways = pytest.mark.parametrize(
    ("reason", "stop_after"),
    [
        ("interrupted", lambda images: {"train": loader(stop_at=images + 1)}),
        ("stopped", lambda images: {"stop": After(math.ceil(images / BATCH))}),
    ],
    ids=["ctrl-c", "stop"],
)


@both_ways
def test_a_stopped_run_keeps_its_epochs(reason, stop_after, tmp_path, capsys):
    options = stop_after(2 * IMAGES + BATCH)
    network, history = run(**options, quiet=False, checkpoint=tmp_path)
    assert history.stopped == reason and measured(history) == measured(run(epochs=2)[1])
    assert f"{reason}: 2 of 4 epochs are finished" in capsys.readouterr().out
    assert not same(network, run(epochs=2)[0])  # it had begun the third
    network, history = run(checkpoint=tmp_path, resume=True)
    assert same(network, run()[0]) and history.stopped is None


@both_ways
def test_a_run_that_is_stopped_at_once_has_an_empty_history(reason, stop_after):
    network, history = run(**stop_after(0))
    assert history.epochs == [] and history.stopped == reason and same(network, head())
    assert list(history.frame().columns) == list(COLUMNS)
    with pytest.raises(ValueError, match="no epoch was finished"):
        _ = history.best


def test_stop_is_called_before_every_batch():
    stop = After(10**6)
    run(epochs=2, stop=stop)
    assert 10**6 - stop.left == 2 * BATCHES


def test_on_epoch_is_called_after_the_checkpoint_is_written(tmp_path):
    seen = []

    def on_epoch(history):
        loaded = training.load_checkpoint(head(), tmp_path, which="last")
        seen.append((len(history.epochs), loaded.epoch))

    run(epochs=3, checkpoint=tmp_path, on_epoch=on_epoch)
    assert seen == [(1, 1), (2, 2), (3, 3)]


def test_an_error_in_on_epoch_is_raised():
    def broken(history):
        raise RuntimeError("no disk left")

    with pytest.raises(RuntimeError, match="no disk left"):
        run(on_epoch=broken)


def test_a_run_in_a_thread_is_the_same_run():
    found = {}
    thread = threading.Thread(target=lambda: found.update(pair=run(stop=After(2 * BATCHES))))
    thread.start()
    thread.join()
    assert measured(found["pair"][1]) == measured(run(epochs=2)[1])
    assert found["pair"][1].stopped == "stopped"


def test_a_loss_that_is_not_finite_raises():
    network = head()
    with pytest.raises(FloatingPointError) as caught:
        run(network, train=loader(bad_at=2 * IMAGES + 8), lr=1e-2)
    message = str(caught.value)
    assert "the training loss is nan in epoch 3, batch 2 of 5, with lr 0.01" in message
    assert "Try a smaller lr, e.g. 0.001" in message and "inputs are finite" in message
    assert all(p.isfinite().all() for p in network.parameters())


def test_a_validation_loss_that_is_not_finite_raises():
    val = loader(shuffle=False, count=11, bad_at=14)
    with pytest.raises(FloatingPointError, match=r"validation loss is nan in epoch 2, after its"):
        run(val=val)


def test_a_loss_that_is_not_finite_leaves_the_checkpoint(tmp_path):
    with pytest.raises(FloatingPointError, match="There is no checkpoint in .* yet"):
        run(train=loader(bad_at=3), checkpoint=tmp_path)
    with pytest.raises(FloatingPointError, match="The checkpoint of epoch 2 is in"):
        run(train=loader(bad_at=2 * IMAGES + 8), checkpoint=tmp_path)
    assert same(run(checkpoint=tmp_path, resume=True)[0], run()[0])


# Arguments


WHOLE = "epochs must be a whole number from 1, not {!r}"
POSITIVE = "lr must be a finite number above 0, .*not {!r}"
SEED = "seed must be a whole number from 0 to"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *[("epochs", value, WHOLE) for value in (0, -1, 1.5, True, "3", None)],
        *[
            ("lr", value, POSITIVE)
            for value in (0, -1e-4, math.nan, math.inf, "abc", "1e-4", True, None)
        ],
        *[("seed", value, SEED) for value in (-1, 1.0, True, "0", 2**32)],
        ("precision", "half", "unknown precision {!r}; allowed: auto, float32, mixed"),
    ],
)
def test_an_option_that_is_not_allowed_trains_nothing(name, value, message):
    network = head()
    with pytest.raises(ValueError, match=message.format(value)):
        run(network, **{name: value})
    assert same(network, head())


def test_numpy_numbers_are_numbers(tmp_path):
    options = {"epochs": numpy.int64(1), "lr": numpy.float32(1e-2), "seed": numpy.int64(0)}
    assert len(run(**options, checkpoint=tmp_path)[1].epochs) == 1


def test_nothing_to_train():
    network = head().requires_grad_(False)
    with pytest.raises(ValueError, match=r"nothing to train: every parameter is frozen; unfreeze"):
        run(network)


@pytest.mark.parametrize("name", ["train", "val"])
def test_a_loader_must_be_one_and_give_batches(name):
    network, empty = head(), loader(count=0, shuffle=False)
    with pytest.raises(ValueError, match=f"{name} must be a DataLoader, not Photos: wrap"):
        run(network, **{name: Photos()})
    with pytest.raises(ValueError, match=f"{name} is empty: it gives no batch"):
        run(network, **{name: empty})
    assert same(network, head())
    with pytest.raises(ValueError, match="loader is empty"):
        training.evaluate(network, empty)


def test_a_loader_with_its_own_generator_raises():
    own = DataLoader(Photos(), shuffle=True, generator=torch.Generator())
    with pytest.raises(ValueError, match="train has a generator of its own"):
        run(train=own)


def test_resume_needs_a_folder():
    with pytest.raises(ValueError, match="give checkpoint=FOLDER"):
        run(resume=True)


# evaluate


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 40), batch_size=st.integers(1, 12))
def test_evaluate_is_the_mean_over_images_whatever_the_batches(count, batch_size):
    network, photos = head().eval(), Photos(count=count)
    score = training.evaluate(network, DataLoader(photos, batch_size=batch_size))
    logits = network(photos.values)
    loss = nn.functional.cross_entropy(logits, photos.labels).item()
    correct = int((logits.argmax(1) == photos.labels).sum())
    assert (score.correct, score.total) == (correct, count)
    assert score.accuracy == correct / count
    assert score.loss == pytest.approx(loss, rel=1e-5)


# Precision and memory


def test_mixed_precision_trains_and_stays_close():
    plain, mixed = small_cnn_run("float32"), small_cnn_run("mixed")
    assert mixed.last.train.loss != plain.last.train.loss
    assert mixed.last.train.loss == pytest.approx(plain.last.train.loss, rel=0.1)


def small_cnn_run(precision):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    images = loader(shape=(3, 8, 8), shuffle=False)
    settings = {"epochs": 2, "lr": 1e-3, "quiet": True, "precision": precision}
    return training.fit(network, images, val=images, **settings)


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_mixed_where_bf16_is_native(native, monkeypatch):
    monkeypatch.setattr(training, "native_bf16", lambda device: native)
    wanted = small_cnn_run("mixed" if native else "float32")
    assert measured(small_cnn_run("auto")) == measured(wanted)


def test_features_are_trained_in_float32():
    histories = [run(head(), epochs=2, precision=name)[1] for name in ("float32", "mixed")]
    assert measured(histories[0]) == measured(histories[1])


def test_gradients_are_freed_after_each_step():
    network = head(frozen=())
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    reference = head(frozen=())
    _, history = run(network, epochs=1)
    _, expected = run(reference, epochs=1)
    assert measured(history) == measured(expected)  # the gradients from before did not count
    assert all(parameter.grad is None for parameter in network.parameters())
