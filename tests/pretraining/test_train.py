"""Pretraining: what it learns, writes and prints, and how it resumes. A tiny network stands in."""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import packing
import pytest
import torch
import train
from dataset import Dataset, Split
from recipe import Recipe
from test_networks import plain
from torch import nn

from tutorial_utils import models

RECIPE = Recipe(batch_size=8, lr=0.05, sizes=((0.0, 32), (0.5, 40)))


def stripes(count: int, seed: int) -> Split:
    """Return images of two classes, horizontal and vertical stripes, with noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    wave = (torch.arange(32) // 4 % 2 * 150).float()
    images = torch.rand(count, 3, 32, 32, generator=generator) * 100
    images += torch.where((labels == 0)[:, None, None, None], wave[:, None], wave)
    return Split(images.to(torch.uint8), labels)


DATA = Dataset(stripes(20, 0), stripes(10, 1), ["horizontal", "vertical"], [])


@pytest.fixture(autouse=True)
def single_thread():
    """Compute in one thread: with tiny layers, several only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny(monkeypatch):
    """Put a network of three small convolutions in the place of AlexNet's and VGG16's."""

    def build(arch: str) -> SimpleNamespace:
        with torch.device("meta"):
            return SimpleNamespace(features=plain())

    monkeypatch.setattr(models, "build_on_meta", build)


def pretrain(tmp_path, *, name="a.safetensors", arch="alexnet", data=DATA, **more):
    given = {"epochs": 2, "recipe": RECIPE, "device": "cpu", "log": None} | more
    return train.pretrain(arch, data, tmp_path / name, **given)


def weights_of(path) -> dict[str, torch.Tensor]:
    features = plain()
    packing.unpack(path, features)
    return features.state_dict()


@pytest.mark.parametrize("hidden", [0, 16])
def test_it_learns_and_writes_what_it_measured(tmp_path, tiny, hidden):
    outcome = pretrain(tmp_path, epochs=12, recipe=replace(RECIPE, hidden=hidden))
    assert outcome.trained.correct >= 9 and outcome.trained.total == 10
    assert abs(outcome.packed.correct - outcome.trained.correct) <= 1
    assert outcome.packed.loss == pytest.approx(outcome.trained.loss, abs=0.05)
    assert outcome.size == 40 and outcome.epochs == 12
    assert outcome.sha256 == hashlib.sha256(outcome.path.read_bytes()).hexdigest()


def test_alexnet_itself_is_trained(tmp_path):
    recipe = replace(RECIPE, sizes=((0.0, 64),))
    outcome = pretrain(tmp_path, recipe=recipe, epochs=0.3)
    packing.unpack(outcome.path, models.build_on_meta("alexnet").features)


def test_it_prints_a_line_per_epoch_and_leaves_the_callers_generator_alone(tmp_path, tiny, capsys):
    before = torch.get_rng_state()
    pretrain(tmp_path, log=print)
    assert torch.equal(torch.get_rng_state(), before)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch 1.00  32x32  training loss ")
    assert lines[1].startswith("epoch 2.00  40x40  training loss ")
    assert "validation loss" in lines[0] and "images/s" in lines[0]
    assert "SHA-256" in lines[-1]


def test_a_budget_may_be_part_of_an_epoch_or_minutes(tmp_path, tiny):
    assert pretrain(tmp_path, epochs=0.5).epochs == pytest.approx(2 / 3)  # 2 of 3 steps
    outcome = pretrain(tmp_path, epochs=None, minutes=0.002)
    assert outcome.seconds >= 0.12 and outcome.epochs > 0


def test_the_augmentation_follows_the_recipe(tmp_path, tiny, monkeypatch):
    calls, real = [], train.augment
    monkeypatch.setattr(train, "augment", lambda *a, **k: calls.append(k) or real(*a, **k))
    pretrain(tmp_path, recipe=replace(RECIPE, calm=0.5))  # six steps
    assert [call["light"] for call in calls] == [0.3] * 3 + [0.15] * 3


def test_it_measures_at_the_test_size(tmp_path, tiny, capsys):
    outcome = pretrain(tmp_path, recipe=replace(RECIPE, test_size=48), epochs=0.3, log=print)
    assert outcome.size == 48
    lines = capsys.readouterr().out.splitlines()
    assert "validation at 48x48: " in lines[1]
    assert lines[0].partition("validation ")[2].partition("  ")[0] in lines[1]


class Cut(Exception):
    pass


def cut_after(monkeypatch, steps: int) -> None:
    """Make the run raise, as in a power failure, after a number of steps."""
    real, count = train.Run.train_step, [0]

    def step(self, *arguments):
        if count[0] == steps:
            raise Cut
        count[0] += 1
        return real(self, *arguments)

    monkeypatch.setattr(train.Run, "train_step", step)


@pytest.mark.parametrize("from_weights", [False, True])
def test_a_resumed_run_gives_the_same_file(tmp_path, tiny, monkeypatch, from_weights):
    more = {"epochs": 3}
    if from_weights:
        more["start"] = pretrain(tmp_path, name="first").path
    whole = pretrain(tmp_path, name="whole", **more)
    state = tmp_path / "state"
    with monkeypatch.context() as patch:
        cut_after(patch, 4)  # in the second epoch
        with pytest.raises(Cut):
            pretrain(tmp_path, checkpoint_path=state, every_s=0, **more)
    again = pretrain(tmp_path, name="again", checkpoint_path=state, resume=True, **more)
    assert again.sha256 == whole.sha256 and again.trained == whole.trained


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"resume": False}, "exists and would be lost: resume from it, or delete it"),
        ({"arch": "vgg16"}, "its arch is alexnet, this run's is vgg16"),
        ({"recipe": replace(RECIPE, lr=0.5)}, "its recipe is"),
        ({"epochs": 3}, r"its budget is \['epochs', 2.0\]"),
        ({"data": replace(DATA, classes=["a", "b", "c"])}, r"its classes is 2 \(horizontal, ...\)"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, tiny, changed, message):
    pretrain(tmp_path, checkpoint_path=tmp_path / "state", epochs=2)
    with pytest.raises(ValueError, match=message):
        pretrain(tmp_path, checkpoint_path=tmp_path / "state", **({"resume": True} | changed))


def test_a_missing_folder_is_reported_before_the_training(tmp_path, tiny):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere to write"):
        pretrain(tmp_path / "nowhere")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, tiny):
    with pytest.raises(FloatingPointError, match="try a smaller lr than"):
        pretrain(tmp_path, epochs=20, recipe=replace(RECIPE, lr=1e30, momentum=0.0))


def test_a_run_that_starts_from_weights_stays_near_them(tmp_path, tiny, capsys):
    first = pretrain(tmp_path, name="first", epochs=8)
    # At so small a rate only the norms' statistics change, by batches of eight.
    recipe = replace(RECIPE, lr=1e-6)
    second = pretrain(tmp_path, start=first.path, recipe=recipe, epochs=3, log=print)
    assert f"starts from {first.path}" in capsys.readouterr().out
    after = weights_of(second.path)
    for name, value in weights_of(first.path).items():
        likeness = nn.functional.cosine_similarity(value.flatten(), after[name].flatten(), dim=0)
        assert likeness > 0.95, name


def test_frozen_layers_stay_as_they_were(tmp_path, tiny):
    first = pretrain(tmp_path, name="first")
    second = pretrain(tmp_path, start=first.path, recipe=replace(RECIPE, frozen=2))
    after = weights_of(second.path)
    for name, value in weights_of(first.path).items():
        near = torch.allclose(value, after[name], rtol=2e-3, atol=2e-3)  # rounded to 16 bits twice
        assert near == (name.split(".")[0] in ("0", "3")), name


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"arch": "resnet"}, "unknown arch 'resnet'; allowed: alexnet, vgg16"),
        ({"recipe": replace(RECIPE, sizes=((0.0, 48),))}, "48x48 are too small for AlexNet"),
        ({"recipe": replace(RECIPE, test_size=32)}, "32x32 are too small for AlexNet"),
        ({"recipe": Recipe(frozen=2)}, "give a file of weights to start from"),
        ({"recipe": Recipe(frozen=5), "start": "x"}, "frozen must be from 0 to 4"),
        ({"recipe": Recipe(), "epochs": None}, "give the budget either as epochs or as minutes"),
        ({"recipe": Recipe(), "minutes": 1}, "give the budget either as epochs or as minutes"),
        ({"recipe": Recipe(), "epochs": 0}, "epochs must be a finite number above 0, not 0"),
        ({"recipe": Recipe(), "epochs": float("nan")}, "epochs must be a finite number above 0"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        pretrain(tmp_path, **changed)
