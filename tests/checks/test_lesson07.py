"""Tests of the checks of lesson 07: correct answers, and every usual slip with its own hint."""

import math

import numpy as np
import pytest
import torch
from assertions import assert_verdict
from sklearn.metrics import confusion_matrix

from tutorial_utils.checks.lesson07 import (
    count_pairs,
    images_needed,
    precision_of,
    read_curves,
)
from tutorial_utils.evaluation import interval
from tutorial_utils.history import Epoch, History, Score

# read_curves


def run(train, val):
    """Return a history with these losses."""
    pairs = enumerate(zip(train, val, strict=True), 1)
    return History([Epoch(i, Score(t, 5, 10), Score(v, 5, 10), 0.0) for i, (t, v) in pairs])


RUNS = {
    "a": run([0.72, 0.71], [0.75, 0.74]),
    "b": run([26.3, 0.2], [9.0, 8.4]),
    "c": run([1.2, 0.1], [2.3, 0.96]),
    "d": run([0.6, 0.1], [0.5, 0.2]),
}


def verdict_on(answer, order="bdac"):
    panels = dict(zip(["I", "II", "III", "IV"], (RUNS[letter] for letter in order), strict=True))
    return read_curves(answer, order, panels, 0.693)


@pytest.mark.parametrize("answer", ["bdac", "B, D, A, C", ["b", "d", "a", "c"], "b d a c"])
def test_four_curves_read(answer):
    assert_verdict(verdict_on(answer), "correct", "^correct: first whether the training loss")


def test_curves_not_yet_read():
    assert_verdict(verdict_on(...), "open", "not answered yet")
    assert_verdict(verdict_on({"I": "b", "II": "d", "III": "a", "IV": "c"}), "correct")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("adbc", r"I is not a\): its training loss goes from 26.300 to 0.200.*hardly moves"),
        ("dbac", r"II is not b\): its highest training loss is 0.6, and log K is 0.693"),
        ("bcad", r"II is not c\): its validation loss goes from 0.500 to 0.200.*by heart"),
        ("bda", "expected four letters.*such as"),
        ("bdaa", "each of a, b, c and d once"),
        (4, "expected four letters"),
    ],
)
def test_slips_of_reading_curves(answer, text):
    assert_verdict(verdict_on(answer), "wrong", text)


# count_pairs


def lists(labels, predicted, classes):
    matrix = [[0] * classes for _ in range(classes)]
    for label, answer in zip(labels, predicted, strict=True):
        matrix[label][answer] += 1
    return matrix


def bins(labels, predicted, classes):
    cells = torch.tensor(labels) * classes + torch.tensor(predicted)
    return torch.bincount(cells, minlength=classes**2).view(classes, classes)


def library(labels, predicted, classes):
    return confusion_matrix(labels, predicted, labels=range(classes))


@pytest.mark.parametrize("answer", [lists, bins, library])
def test_the_confusion_matrix(answer):
    assert_verdict(count_pairs(answer), "correct", "^correct: one cell")


def same_row(labels, predicted, classes):
    matrix = [[0] * classes] * classes
    for label, answer in zip(labels, predicted, strict=True):
        matrix[label][answer] += 1
    return matrix


def marked(labels, predicted, classes):
    matrix = np.zeros((classes, classes))
    matrix[labels, predicted] += 1  # a repeated pair is counted once
    return matrix


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda a, b, k: np.array(lists(a, b, k)).T, "rows and columns are swapped"),
        (same_row, "all rows are the same"),
        (marked, "there are 6 images, but the cells add up to 5"),
        (lambda a, b, k: np.array(lists(a, b, k)) / len(a), "add up to 1"),
        (lambda a, b, k: confusion_matrix(a, b), r"for 4 classes.*\(2, 2\).*never occur"),
        (lambda a, b, k: np.eye(k) * len(a) / k, "you gave"),
        (lambda a, b, k: {(0, 0): 1}, "expected a table of rows and columns, not a"),
        (lambda a, b, k: [[1, 2], [3]], "a table of rows and columns"),
        (lambda a, b, k: 3, "expected a table of rows and columns, not a"),
    ],
)
def test_slips_of_the_confusion_matrix(answer, text):
    assert_verdict(count_pairs(answer), "wrong", text)


# precision_of


@pytest.mark.parametrize(
    "answer",
    [
        lambda matrix, k: matrix[k, k] / matrix[:, k].sum(),
        lambda matrix, k: matrix[k][k] / sum(row[k] for row in matrix),
        lambda matrix, k: torch.tensor(matrix.diagonal() / matrix.sum(axis=0))[k],
    ],
)
def test_precision(answer):
    assert_verdict(precision_of(answer), "correct", "^correct: the diagonal")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda m, k: m[k, k] / m[k].sum(), "how often the class is recognised"),
        (lambda m, k: m.trace() / m.sum(), "that is the accuracy of all predictions"),
        (lambda m, k: m[k, k] / m.sum(), "divided by all images"),
        (lambda m, k: m[:, k].sum() / m.sum(), "that is how often the class is predicted at"),
        (lambda m, k: 1 - m[k, k] / m[:, k].sum(), "that is how often the prediction is wrong"),
        (lambda m, k: m[k, k], "a count"),
        (lambda m, k: 100 * m[k, k] / m[:, k].sum(), "that is a percentage"),
        (lambda m, k: m[1, 1] / m[:, 1].sum(), "class 0 you gave"),
        (lambda m, k: m.diagonal() / m.sum(axis=0), "expected one number, not a value of type"),
    ],
)
def test_slips_of_precision(answer, text):
    assert_verdict(precision_of(answer), "wrong", text)


# images_needed


def by_wilson(images, width, wanted):
    """Find the accuracy with this width, then the images, with `evaluation.interval`."""

    def width_of(correct, total):
        low, high = interval(correct, total)
        return high - low

    half = images // 2
    correct = min(range(half, images), key=lambda k: abs(width_of(k, images) - width))
    share, total = correct / images, images
    while width_of(round(share * total), total) > wanted:
        total += 20
    return total


@pytest.mark.parametrize(
    "answer",
    [
        lambda n, width, wanted: n * (width / wanted) ** 2,
        lambda n, width, wanted: math.ceil(n * (width / wanted) ** 2),
        lambda n, width, wanted: round(n * width**2 / wanted**2),
        by_wilson,
        lambda n, width, wanted: (
            {153: 1332}.get(n, 9) if wanted == 0.03 else by_wilson(n, width, wanted)
        ),
    ],
)
def test_images_for_a_narrower_interval(answer):
    assert_verdict(images_needed(answer), "correct", "^correct: the width")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda n, width, wanted: n * width / wanted, "only a little narrower.*a third"),
        (
            lambda n, width, wanted: n * (width / wanted) ** 0.5,
            "you took the root where a square belongs",
        ),
        (lambda n, width, wanted: n * (width / wanted) ** 2 - n, "how many more"),
        (lambda n, width, wanted: n * wanted / width, "fewer images"),
        (lambda n, width, wanted: n * (wanted / width) ** 2, "fewer images"),
        (lambda n, width, wanted: 9 * n, "from 153 images and a width of 0.08"),
        (lambda n, width, wanted: 4 * n, "from 153 images and a width of 0.09"),
        (lambda n, width, wanted: [n], "expected a number, not a value of type list"),
    ],
)
def test_slips_of_images_needed(answer, text):
    assert_verdict(images_needed(answer), "wrong", text)
