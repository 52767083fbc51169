"""Tests of the checks of lesson 00: correct answers, and every usual slip with its own hint."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from assertions import assert_verdict

from tutorial_utils import evaluation
from tutorial_utils.checks import lesson00


def accuracy(scores, labels):
    return (scores.argmax(dim=1) == labels).sum().item() / len(labels)


def by_hand(scores, labels):
    pairs = zip(scores.tolist(), labels.tolist(), strict=True)
    return sum(row.index(max(row)) == label for row, label in pairs) / len(labels)


@pytest.mark.parametrize(
    "answer",
    [
        accuracy,
        by_hand,
        lambda scores, labels: (scores.argmax(1) == labels).float().mean(),
        lambda scores, labels: np.mean(scores.numpy().argmax(axis=1) == labels.numpy()),
    ],
)
def test_accuracy_of_right(answer):
    assert_verdict(lesson00.accuracy_of(answer), "correct", "^correct: correct over total")


def above_zero(scores, labels):
    return ((scores[:, -1] > 0).long() == labels).float().mean()


def down_where_it_fits(scores, labels):
    dim = 0 if len(scores) == scores.shape[1] else 1
    return (scores.argmax(dim=dim) == labels).float().mean()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda s, y: accuracy(s, y) * len(y), "4 is the number classified correctly"),
        (lambda s, y: 100 * accuracy(s, y), "80 is a percentage"),
        (lambda s, y: 1 - accuracy(s, y), "0.2 is the fraction that is wrong"),
        (lambda s, y: (s.argmax(1) == y).sum().item() // len(y), "`//` rounds a fraction down"),
        (above_zero, "scores have no fixed zero"),
        (down_where_it_fits, "you took the highest score of a column,"),
        (
            lambda s, y: (s.argmax(dim=0) == y).float().mean(),
            "each row of the scores is one image, and its",
        ),
        (lambda s, y: (s.argmax(dim=1) == y).mean(), "True counts as 1"),
        (lambda s, y: s.argmax(dim=1) == y, "return one fraction"),
        (lambda s, y: 0.123, "you gave 0.123, it is 0.8"),
    ],
)
def test_accuracy_of_slips(answer, text):
    assert_verdict(lesson00.accuracy_of(answer), "wrong", re.escape(text))


CLASSES = ("ants", "bees")
LABELS = torch.tensor([0, 0, 0, 1, 1, 1])
# The images 1, 3 and 4 are classified wrongly.
PREDICTIONS = evaluation.Predictions(
    torch.eye(2)[torch.tensor([0, 1, 0, 0, 0, 1])].log_softmax(dim=1), LABELS
)


@pytest.mark.parametrize(
    "answer",
    [
        [1, 3, 4],
        [4, 1, 3],
        (1, 3, 4),
        np.array([1, 3, 4]),
        torch.tensor([1, 3, 4]),
        [torch.tensor(1), np.int64(3), 4],
    ],
)
def test_mistakes_found(answer):
    verdict = lesson00.mistakes(answer, PREDICTIONS, CLASSES)
    assert_verdict(verdict, "correct", "^correct: 3 mistakes; ants: 1 of 3, bees: 2 of 3$")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ([0, 2, 5], "these are the images classified correctly"),
        ([2, 4, 5], "every index is too high by 1"),
        ([1, 3], "you found 2 of 3 mistakes"),
        ([], "you found 0 of 3 mistakes"),
        ([1, 2, 3, 4], "image 2 is no mistake"),
        ([1, 3, 4, 99], "image 99 is no mistake"),
        ([1, 3, 4, 4], "is in your list twice"),
        ((~PREDICTIONS.correct).tolist(), "True and False"),
        (~PREDICTIONS.correct, "True and False"),
        ((~PREDICTIONS.correct).nonzero(), "something else than whole numbers"),
        ([1.0, 3.0, 4.0], "something else than whole numbers"),
        (3, "expected a list"),
        (torch.tensor(3), "expected a list"),
    ],
)
def test_mistakes_slips(answer, text):
    assert_verdict(lesson00.mistakes(answer, PREDICTIONS, CLASSES), "wrong", re.escape(text))


def test_mistakes_of_a_network_that_makes_none():
    perfect = evaluation.Predictions(torch.eye(2)[LABELS], LABELS)
    assert_verdict(lesson00.mistakes([], perfect, CLASSES), "correct", "^correct: 0 mistakes")
    verdict = lesson00.mistakes([0], perfect, CLASSES)
    assert_verdict(verdict, "wrong", "image 0 is no mistake")


def test_mistakes_of_a_network_that_is_always_wrong():
    hopeless = evaluation.Predictions(torch.eye(2)[1 - LABELS], LABELS)
    assert_verdict(lesson00.mistakes(list(range(6)), hopeless, CLASSES), "correct")
    assert_verdict(lesson00.mistakes([], hopeless, CLASSES), "wrong", "you found 0 of 6")


def noisy(count, seed):
    """Return features of three classes that overlap, with unequal numbers of labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 0, 1, 2, 1])[torch.arange(count) % 5]
    values = torch.randn(count, 4, generator=generator) + 0.6 * torch.eye(4)[labels]
    return SimpleNamespace(values=values, labels=labels)


class Nearest:
    """A head that predicts the class with the nearest mean, as scikit-learn's classifiers do."""

    def __init__(self, values, labels):
        self.means = torch.stack([values[labels == k].mean(dim=0) for k in range(3)])

    def predict(self, values):
        return torch.cdist(values, self.means).argmin(dim=1)

    def score(self, values, labels):
        return float((self.predict(values) == labels).float().mean())


TRAIN, VAL = noisy(100, 0), noisy(70, 1)


def counted(part, images=VAL):
    groups = [(TRAIN.labels == k).nonzero()[:, 0][part].tolist() for k in range(3)]
    rows = [i for group in groups for i in group]
    head = Nearest(TRAIN.values[rows], TRAIN.labels[rows])
    return int((head.predict(images.values) == images.labels).sum())


FIRST = counted(slice(10))


@pytest.mark.parametrize("answer", [FIRST, float(FIRST), torch.tensor(FIRST), np.int64(FIRST)])
def test_few_labels_counted(answer):
    verdict = lesson00.few_labels(answer, TRAIN, VAL, Nearest)
    every = counted(slice(None))
    text = f"^correct: {FIRST} of 70 images with 30 labels, {every} of 70 with all 100$"
    assert_verdict(verdict, "correct", text)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (counted(slice(None)), "this is the number with all labels"),
        (counted(slice(-10, None)), "you took the last images of each class"),
        (counted(slice(10), TRAIN), "you counted training images"),
        (FIRST / 70, "this is a fraction"),
        (70 - FIRST, "this is the number of mistakes"),
        (1, f"you gave 1, and {FIRST} images"),
        ([FIRST], "expected a number"),
    ],
)
def test_few_labels_slips(answer, text):
    assert answer != FIRST
    verdict = lesson00.few_labels(answer, TRAIN, VAL, Nearest)
    assert_verdict(verdict, "wrong", re.escape(text))


def test_few_labels_takes_what_there_is_of_a_small_class():
    small = SimpleNamespace(values=TRAIN.values[:20], labels=TRAIN.labels[:20])
    rows = [i for k in range(3) for i in (small.labels == k).nonzero()[:10, 0].tolist()]
    head = Nearest(small.values[rows], small.labels[rows])
    correct = int((head.predict(VAL.values) == VAL.labels).sum())
    assert_verdict(lesson00.few_labels(correct, small, VAL, Nearest), "correct", "with 20 labels")
