"""Speed of a training, and when a compiled one pays. The clock and the compiler are pretended."""

import pytest
import speed
import torch
from recipe import Recipe
from test_train import DATA, single_thread, tiny  # noqa: F401  (fixtures)

RECIPE = Recipe(batch_size=4, sizes=((0.0, 32), (0.5, 40)))


@pytest.fixture
def pretended(monkeypatch):
    """Count one second per step, less when compiled, and some to compile."""
    now = [0.0]

    def step(run, chosen, size):
        compiled = run.in_training is not run.network
        now[0] += run.pretended["first"] if compiled and not run.pretended["ready"] else 0
        run.pretended["ready"] = compiled
        now[0] += run.pretended["step"] if compiled else 1.0

    monkeypatch.setattr(speed.train.Run, "train_step", step)
    monkeypatch.setattr(speed.train.Run, "compile", lambda run: setattr(run, "in_training", None))
    monkeypatch.setattr(speed.time, "monotonic", lambda: now[0])
    return lambda **given: monkeypatch.setattr(
        speed.train.Run, "pretended", {"ready": False} | given, raising=False
    )


def pays(minutes=10.0, lines=None):
    log = [].append if lines is None else lines.append
    given = {"minutes": minutes, "device": torch.device("cpu"), "log": log}
    return speed.compile_pays("alexnet", DATA, RECIPE, **given)


@pytest.mark.parametrize(
    ("step", "first", "expected"),
    [
        (0.5, 10.0, True),  # twice as fast: 600 s become (600 - 2 * 10) * 2
        (0.9, 10.0, True),  # (600 - 20) / 0.9 > 600
        (0.9, 40.0, False),  # (600 - 80) / 0.9 < 600: two sizes are compiled
        (1.1, 0.0, False),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_compiling_pays_if_more_images_are_seen(pretended, step, first, expected):
    pretended(step=step, first=first)
    assert pays(lines=(lines := [])) is expected
    assert lines[0] == "alexnet: images/s at each size: 32: 4, 40: 4"
    assert f"compiled in {first:.0f} s, {1 / step:.2f} times as fast at 40" in lines[1]


@pytest.mark.usefixtures("tiny")
def test_a_compiler_that_fails_does_not_pay(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(torch, "compile", lambda network, dynamic: fail)
    assert pays(lines=(lines := [])) is False
    assert "torch.compile failed: RuntimeError: no C compiler" in lines[1]


@pytest.mark.usefixtures("tiny")
def test_a_compiled_training_takes_the_same_steps(monkeypatch):
    calls = []

    def compile(network, dynamic):
        return lambda images: calls.append(len(images)) or network(images)

    monkeypatch.setattr(torch, "compile", compile)
    losses = []
    for compiled in (False, True):
        run = speed.train.Run("alexnet", DATA, RECIPE, ("epochs", 1.0), torch.device("cpu"))
        if compiled:
            run.compile()
        losses.append([run.train_step(torch.arange(n), 32).item() for n in (4, 3)])
    assert losses[0] == losses[1]
    assert calls == [4], "a shorter batch is not compiled again"
