"""Tests of the checks of lesson 07: correct answers, and every usual slip with its own hint."""

import math

import numpy as np
import pytest
import torch
from assertions import assert_verdict
from sklearn.metrics import confusion_matrix

from tutorial_utils.checks.lesson07 import count_pairs, images_needed, when_said

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


# when_said


@pytest.mark.parametrize(
    "answer",
    [
        lambda matrix, k: matrix[k, k] / matrix[:, k].sum(),
        lambda matrix, k: matrix[k][k] / sum(row[k] for row in matrix),
        lambda matrix, k: torch.tensor(matrix.diagonal() / matrix.sum(axis=0))[k],
    ],
)
def test_precision(answer):
    assert_verdict(when_said(answer), "correct", "^correct: the diagonal")


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
    assert_verdict(when_said(answer), "wrong", text)


# images_needed


@pytest.mark.parametrize(
    "answer",
    [
        lambda n, width, wanted: n * (width / wanted) ** 2,
        lambda n, width, wanted: math.ceil(n * (width / wanted) ** 2),
        lambda n, width, wanted: round(n * width**2 / wanted**2),
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
