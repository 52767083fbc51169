"""Tests of the checks of lesson 10: correct answers, and every usual slip with its own hint."""

import math

import pytest
import torch
from assertions import assert_verdict

from tutorial_utils import models
from tutorial_utils.checks.lesson10 import fair_epochs, rate_groups, thaw

# rate_groups


def free(part):
    return [p for p in part.parameters() if p.requires_grad]


def two_groups(backbone, head, lr):
    return [{"params": free(backbone), "lr": lr}, {"params": free(head), "lr": 10 * lr}]


def an_optimizer(backbone, head, lr):
    return torch.optim.Adam([{"params": free(backbone)}, {"params": free(head), "lr": 10 * lr}], lr)


@pytest.mark.parametrize("answer", [two_groups, an_optimizer])
def test_rate_groups(answer):
    assert_verdict(rate_groups(answer), "correct", "^correct: ten times the learning rate")


def test_rate_groups_with_a_group_for_every_tensor():
    def answer(backbone, head, lr):
        found = [{"params": p, "lr": lr} for p in free(backbone)]
        return found + [{"params": iter(free(head)), "lr": torch.tensor(10 * lr)}]

    assert_verdict(rate_groups(answer), "correct")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            lambda b, h, lr: [{"params": free(b), "lr": 10 * lr}, {"params": free(h), "lr": lr}],
            r"with lr 0\.0001 backbone\.2\.weight has the rate",
        ),
        (
            lambda b, h, lr: [{"params": free(b), "lr": lr}, {"params": free(h), "lr": 1e-3}],
            "with lr 0.003 head.weight has the rate 0.001",
        ),
        (
            lambda b, h, lr: [{"params": list(b.parameters()), "lr": lr}],
            r"backbone\.0\.weight is frozen, but in a group",
        ),
        (lambda b, h, lr: two_groups(b, h, lr)[:1], r"head\.weight is trainable, but in no group"),
        (
            lambda b, h, lr: [*two_groups(b, h, lr), {"params": free(h), "lr": lr}],
            r"head\.weight is in 2 groups",
        ),
        (
            lambda b, h, lr: [{"params": free(b)}, {"params": free(h), "lr": 10 * lr}],
            "a group has no lr.*`params` and `lr`",
        ),
        (
            lambda b, h, lr: [*two_groups(b, h, lr), {"params": [torch.ones(1)], "lr": lr}],
            "tensors of neither part",
        ),
        (lambda b, h, lr: {"backbone": lr, "head": 10 * lr}, "return a list of dicts"),
        (lambda b, h, lr: [], "return a list of dicts"),
    ],
)
def test_slips_of_rate_groups(answer, text):
    assert_verdict(rate_groups(answer), "wrong", text)


# thaw


def by_index(layers, stage):
    held = [layer for layer in layers if list(layer.parameters())]
    for index, layer in enumerate(held):
        layer.requires_grad_(index >= len(held) - stage)
    return models.count(layers).trainable


def by_freezing_first(layers, stage):
    models.freeze(layers)
    held = [layer for layer in reversed(layers) if models.count(layer).total]
    return torch.tensor(sum(models.unfreeze(layer) for layer in held[:stage]))


@pytest.mark.parametrize("answer", [by_index, by_freezing_first])
def test_thaw(answer):
    assert_verdict(thaw(answer), "correct", "^correct: from the last layer to the first")


def thawed(choose, *, freeze=True):
    """Return an answer that thaws those of the layers which `choose` picks."""

    def answer(layers, stage):
        if freeze:
            models.freeze(layers)
        for layer in choose(layers, stage):
            models.unfreeze(layer)
        return models.count(layers).trainable

    return answer


def held(layers):
    return [layer for layer in layers if list(layer.parameters())]


def weights_only(layers, stage):
    models.freeze(layers)
    for layer in held(layers)[3 - stage :]:
        layer.weight.requires_grad_()
    return models.count(layers).trainable


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (thawed(lambda layers, stage: layers[-stage:]), "no stage: leave those out"),
        (
            thawed(lambda layers, stage: held(layers)[-stage:]),
            r"in stage 0, .*\[-0:\]",
        ),
        (thawed(lambda layers, stage: held(layers)[:stage]), "begin at the end"),
        (
            thawed(lambda layers, stage: held(layers)[3 - stage :], freeze=False),
            "freeze all of them first",
        ),
        (weights_only, "weight is trainable and its bias is not"),
        (lambda layers, stage: by_index(layers, stage) * 0 + stage, "values are trainable.*count"),
        (
            lambda layers, stage: str(by_index(layers, stage)),
            "expected a number, not a value of type str",
        ),
    ],
)
def test_slips_of_thaw(answer, text):
    assert_verdict(thaw(answer), "wrong", text)


# fair_epochs


def rounded(images, batch_size, steps):
    return math.ceil(steps / math.ceil(images / batch_size))


def counted(images, batch_size, steps):
    each = len(range(0, images, batch_size))
    return next(epochs for epochs in range(1, 10_000) if epochs * each >= steps)


@pytest.mark.parametrize("answer", [rounded, counted])
def test_fair_epochs(answer):
    assert_verdict(fair_epochs(answer), "correct", "^correct: as many steps")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda n, b, s: s / math.ceil(n / b), "no whole number.*every epoch is complete"),
        (lambda n, b, s: s // math.ceil(n / b), "too few.*round the epochs up"),
        (lambda n, b, s: math.ceil(s * b / n), "too many.*is a step too"),
        (lambda n, b, s: math.ceil(s / max(n // b, 1)), "too many.*is a step too"),
        (lambda n, b, s: rounded(n, b, s) + 1, "too many"),
        (lambda n, b, s: str(rounded(n, b, s)), "expected a number, not a value of type str"),
    ],
)
def test_slips_of_fair_epochs(answer, text):
    assert_verdict(fair_epochs(answer), "wrong", text)
