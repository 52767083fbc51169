"""Tests of the checks of lesson 10: correct answers, and every usual slip with its own hint."""

import pytest
import torch
from assertions import assert_verdict

from tutorial_utils import evaluation, models
from tutorial_utils.checks.lesson10 import first_block, rate_groups, thaw

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
            r"with lr 0\.003 head\.1\.weight has the rate 0\.001",
        ),
        (
            lambda b, h, lr: [{"params": list(b.parameters()), "lr": lr}],
            r"backbone\.0\.weight is frozen, but in a group",
        ),
        (
            lambda b, h, lr: [*two_groups(b, h, lr)[:1], {"params": h.parameters(), "lr": 10 * lr}],
            r"head\.0\.weight is frozen, but in a group",
        ),
        (
            lambda b, h, lr: two_groups(b, h, lr)[:1],
            r"head\.1\.weight is trainable, but in no group",
        ),
        (
            lambda b, h, lr: [*two_groups(b, h, lr), {"params": free(h), "lr": lr}],
            r"head\.1\.weight is in 2 groups",
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


def of_kinds(layers):
    return [layer for layer in layers if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]


def weights_only(layers, stage):
    models.freeze(layers)
    for layer in held(layers)[4 - stage :]:
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
            thawed(lambda layers, stage: of_kinds(layers)[len(of_kinds(layers)) - stage :]),
            "in stage 2, .* are trainable: 2, 4.*batch norm has parameters too",
        ),
        (
            thawed(lambda layers, stage: held(layers)[4 - stage :], freeze=False),
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


# first_block

LABELS = torch.arange(40) % 2


def found(*mistakes):
    """Return predictions of 40 images, wrong at these indices."""
    logits = torch.nn.functional.one_hot(LABELS, 2).float()
    for index in mistakes:
        logits[index] = logits[index].flip(0)
    return [evaluation.Predictions(logits, LABELS)]


def both(fifth, free):
    return {"first block frozen": fifth, "all free": [*free, *found(*range(20))]}  # two seeds


@pytest.mark.parametrize(
    ("answer", "fifth", "free", "text"),
    [
        ("a", found(0), found(*range(8, 20)), "12 against 1 images, p = 0.0034: do the other two"),
        ("b)", found(*range(8)), found(30), "1 against 8 images, p = 0.039: do the other two"),
        ("B", found(*range(6)), found(), "0 against 6 images, p = 0.031: do the other two"),
        ("c", found(*range(5)), found(), "0 against 5 images, p = 0.062: another seed"),
        ("C ", found(1, 2)[0], found(3), "1 against 2 images, p = 1: another seed"),
    ],
)
def test_first_block(answer, fifth, free, text):
    assert_verdict(first_block(answer, both(fifth, free)), "correct", text)


@pytest.mark.parametrize(
    ("answer", "predicted", "text"),
    [
        ("b", both(found(), found(*range(6))), "6 images are correct only with .* which of"),
        ("c", both(found(), found(*range(6))), r"p is 0\.031.*below 0\.05"),
        ("a", both(found(), found(1)), r"p is 1.*More correct images alone are not enough"),
        ("d", both(found(), found(1)), "expected a letter"),
        (0.5, both(found(), found(1)), "expected a letter"),
        ("a", {"all free": found()}, "no predictions of 'first block frozen'.*store them"),
        ("a", [], "no predictions of 'first block frozen'"),
        ("a", both([], found()), "not a list of predictions"),
        ("a", both(0.9, found()), "not a list of predictions"),
        ("a", both(found(1), found(1)), "the same logits for every image.*copy of all free"),
    ],
)
def test_slips_of_first_block(answer, predicted, text):
    assert_verdict(first_block(answer, predicted), "wrong", text)


def test_first_block_on_the_training_images():
    other = evaluation.Predictions(torch.rand(60, 2), torch.zeros(60, dtype=torch.int64))
    text = "60 predictions of the new way and 40 of all free.*not 'train'"
    assert_verdict(first_block("c", both([other], found())), "wrong", text)


def test_the_check_computes_the_same_p_value_as_the_lesson():
    for count in range(12):
        fifth, free = found(*range(count)), found(20, 21, 22)
        pair = evaluation.mcnemar(fifth[0], free[0])
        correct = "c" if pair.p_value >= 0.05 else "b"
        assert_verdict(
            first_block(correct, both(fifth, free)), "correct", f"p = {pair.p_value:.2g}"
        )


def test_first_block_not_answered():
    assert_verdict(first_block(..., {}), "open", "not answered yet")
