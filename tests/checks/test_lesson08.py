"""Tests of the checks of lesson 08: correct answers, and every usual slip with its own hint."""

import math

import numpy as np
import pytest
import torch
from assertions import assert_verdict
from scipy.stats import binomtest

from tutorial_utils.checks.lesson08 import adam_bytes, coin_chance, second_alone

# adam_bytes


@pytest.mark.parametrize(
    "answer",
    [
        lambda trained, frozen: 4 * (4 * trained + frozen),
        lambda trained, frozen: float(16 * trained + 4 * frozen),
    ],
)
def test_what_adam_holds(answer):
    assert_verdict(adam_bytes(answer), "correct", "^correct: a trained weight costs four")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda trained, frozen: 4 * trained + frozen, "values, not bytes"),
        (lambda trained, frozen: (16 * trained + 4 * frozen) / 2**30, "in GiB"),
        (lambda trained, frozen: 16 * (trained + frozen), "you counted the frozen part in full"),
        (lambda trained, frozen: 16 * trained, "you left out the frozen part"),
        (lambda trained, frozen: 4 * (trained + frozen), "the weights alone"),
        (lambda trained, frozen: 8 * trained + 4 * frozen, "Adam's own values"),
        (lambda trained, frozen: 12 * trained + 4 * frozen, "one of the copies"),
        (lambda trained, frozen: 8 * (trained + frozen), "you gave a frozen weight a gradient"),
        (lambda trained, frozen: 4 * trained + 16 * frozen, "trained and frozen are swapped"),
        (lambda trained, frozen: 20 * trained, "54,542,338 trained and 2,469,696 frozen"),
        (lambda trained, frozen: [trained], "expected a number, not a value of type list"),
    ],
)
def test_slips_of_what_adam_holds(answer, text):
    assert_verdict(adam_bytes(answer), "wrong", text)


# second_alone


@pytest.mark.parametrize(
    "answer",
    [
        lambda labels, a, b: ((b == labels) & (a != labels)).nonzero().flatten(),
        lambda labels, a, b: ((b == labels) & ~(a == labels)).nonzero(),
        lambda labels, a, b: np.where((b == labels) & (a != labels)),
        lambda labels, a, b: torch.where((b == labels) & (a != labels)),
        lambda labels, a, b: [i for i in range(len(a)) if a[i] != labels[i] == b[i]],
        lambda labels, a, b: {i for i in range(len(a)) if a[i] != labels[i] == b[i]},
    ],
)
def test_what_only_the_second_gets_right(answer):
    assert_verdict(second_alone(answer), "correct", "^correct: the indices")


def indices(mask):
    return mask.nonzero().flatten()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda y, a, b: indices((a == y) & (b != y)), "only the first gets right"),
        (lambda y, a, b: indices(a != b), "disagree.*three classes"),
        (lambda y, a, b: indices((a == y) != (b == y)), "exactly one"),
        (lambda y, a, b: indices(b == y), "the first gets some of these right"),
        (lambda y, a, b: indices(a != y), "the second gets some of these wrong"),
        (lambda y, a, b: indices((a != y) & (b != y)), "both get wrong"),
        (lambda y, a, b: (a != y) & (b == y), "a mask"),
        (lambda y, a, b: ((a != y) & (b == y)).sum(), "not one value"),
        (lambda y, a, b: ((a != y) & (b == y)).float(), "whole numbers"),
        (lambda y, a, b: indices((a != y) & (b == y)) + 1, "you gave"),
        (lambda y, a, b: indices((a != y) & (b == y)) + 100, "count from 0"),
        (lambda y, a, b: [[1], [2, 3]], "not one value"),
    ],
)
def test_slips_of_what_only_the_second_gets_right(answer, text):
    assert_verdict(second_alone(answer), "wrong", text)


# coin_chance


def counted(first, second):
    n, more = first + second, max(first, second)
    tail = sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n
    return min(1.0, 2 * tail)


def tossed(first, second):
    coins = torch.rand(10_000, first + second) < 0.5
    uneven = (2 * coins.sum(1) - first - second).abs() >= abs(first - second)
    return uneven.float().mean()


def one_side(first, second):
    n, more = first + second, max(first, second)
    return sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n


def this_split(first, second):
    return math.comb(first + second, first) / 2 ** (first + second)


@pytest.mark.parametrize(
    "answer", [counted, tossed, lambda first, second: binomtest(first, first + second).pvalue]
)
def test_a_fair_coin(answer):
    assert_verdict(coin_chance(answer), "correct", "^correct: both sides")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (one_side, "2 and 8: you counted only one side"),
        (this_split, "2 and 8: that is the probability of exactly this split. Hint"),
        (lambda a, b: 2 * this_split(a, b), "exactly this split, on both sides"),
        (
            lambda a, b: 2 * (one_side(a, b) - this_split(a, b)),
            "2 and 8: the split itself is missing",
        ),
        (lambda a, b: 1 - counted(a, b), "a more even split"),
        (lambda a, b: 2 * one_side(a, b), "4 and 4: 1.273 is no probability.*the middle"),
        (lambda a, b: min(a, b) / (a + b), "for 2 and 8 you gave 0.2000"),
        (lambda a, b: [a, b], "expected a number, not a value of type list"),
    ],
)
def test_slips_of_a_fair_coin(answer, text):
    assert_verdict(coin_chance(answer), "wrong", text)
