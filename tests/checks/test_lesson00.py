"""Tests of the checks of lesson 00: correct answers, and every usual slip with its own hint."""

import re
import statistics
from collections import Counter

import numpy as np
import pytest
import torch
from assertions import assert_verdict

from tutorial_utils.checks import lesson00


def accuracy(logits, labels):
    return (logits.argmax(dim=1) == labels).sum().item() / len(labels)


def by_hand(logits, labels):
    pairs = zip(logits.tolist(), labels.tolist(), strict=True)
    return sum(row.index(max(row)) == label for row, label in pairs) / len(labels)


@pytest.mark.parametrize(
    "answer",
    [
        accuracy,
        by_hand,
        lambda logits, labels: (logits.argmax(1) == labels).float().mean(),
        lambda logits, labels: np.mean(logits.numpy().argmax(axis=1) == labels.numpy()),
    ],
)
def test_accuracy_of_right(answer):
    assert_verdict(lesson00.accuracy_of(answer), "correct", "^correct: correct over total")


def above_zero(logits, labels):
    return ((logits[:, -1] > 0).long() == labels).float().mean()


def down_where_it_fits(logits, labels):
    dim = 0 if len(logits) == logits.shape[1] else 1
    return (logits.argmax(dim=dim) == labels).float().mean()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda s, y: accuracy(s, y) * len(y), "4 is the number classified correctly"),
        (lambda s, y: 100 * accuracy(s, y), "80 is a percentage"),
        (lambda s, y: 1 - accuracy(s, y), "0.2 is the fraction that is wrong"),
        (lambda s, y: (s.argmax(1) == y).sum().item() // len(y), "`//` rounds a fraction down"),
        (above_zero, "logits have no fixed zero"),
        (down_where_it_fits, "you took the highest logit of a column,"),
        (
            lambda s, y: (s.argmax(dim=0) == y).float().mean(),
            "each row of the logits is one image, and its",
        ),
        (lambda s, y: (s.argmax(dim=1) == y).mean(), "True counts as 1"),
        (lambda s, y: s.argmax(dim=1) == y, "return one fraction"),
        (lambda s, y: 0.123, "you gave 0.123, it is 0.8"),
    ],
)
def test_accuracy_of_slips(answer, text):
    assert_verdict(lesson00.accuracy_of(answer), "wrong", re.escape(text))


def honest(train, val):
    said = Counter(train).most_common(1)[0][0]
    return val.count(said) / len(val)


@pytest.mark.parametrize(
    "answer",
    [
        honest,
        lambda train, val: val.count(max(set(train), key=train.count)) / len(val),
        lambda train, val: np.mean([name == statistics.mode(train) for name in val]),
    ],
)
def test_honest_guess_right(answer):
    assert_verdict(lesson00.honest_guess(answer), "correct")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda train, val: honest(val, val), "you chose the class by the validation labels"),
        (lambda train, val: max(map(train.count, train)) / len(train), "in the training labels"),
        (
            lambda train, val: val.count("ants") / len(val),
            "you chose the class by its name, not by how",
        ),
        (
            lambda train, val: val.count(sorted(train)[0]) / len(val),
            "you chose the class by its name, not by how",
        ),
        (lambda train, val: honest(train, val) * len(val), "2 is the number classified correctly"),
        (lambda train, val: honest(train, val) * 100, "is a percentage"),
        (lambda train, val: 1 - honest(train, val), "0.667 is the fraction that is wrong"),
        (lambda train, val: statistics.mode(train), "return the accuracy, not the class"),
        (lambda train, val: 0.9, "always guessing 'ants' reaches 0.333 here,"),
        (lambda train, val: Counter(val)[train], "lists of class names"),
    ],
)
def test_honest_guess_slips(answer, text):
    assert_verdict(lesson00.honest_guess(answer), "wrong", re.escape(text))


@pytest.mark.parametrize(
    "answer",
    [
        lambda a, b: a[1] < b[0] or b[1] < a[0],
        lambda a, b: max(a[0], b[0]) > min(a[1], b[1]),
        lambda a, b: np.array(a).max() < min(b) or max(b) < min(a),
        lambda a, b: torch.tensor(max(a[0], b[0]) > min(a[1], b[1])),
    ],
)
def test_apart_right(answer):
    assert_verdict(lesson00.apart(answer), "correct")


def middles(a, b):
    first, second = sum(a) / 2, sum(b) / 2
    return not b[0] <= first <= b[1] and not a[0] <= second <= a[1]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda a, b: a[1] < b[0], "may come in either order"),
        (lambda a, b: b[1] < a[0], "compare the end of one with the start of the other"),
        (lambda a, b: not (a[1] < b[0] or b[1] < a[0]), "you returned the opposite"),
        (lambda a, b: a[1] <= b[0] or b[1] <= a[0], "at a common end"),
        (middles, "for (0.6, 0.8) and (0.72, 0.94) it is False,"),
        (lambda a, b: a[1] < b[0] or a[0] > b[0], "each begins before the other ends"),
        (lambda a, b: b[0] > a[0] and b[1] < a[1] or a[1] < b[0] or b[1] < a[0], "lie inside"),
        (lambda a, b: a[1] - b[0], "expected True or False, not a value of type"),
        (lambda a, b: a["low"], "an interval is a pair (low, high)"),
    ],
)
def test_apart_slips(answer, text):
    assert_verdict(lesson00.apart(answer), "wrong", re.escape(text))
