"""Tests of the checks of lesson 08: correct answers, and every usual slip with its own hint."""

import math

import numpy as np
import pytest
from assertions import assert_verdict
from scipy.stats import binom, binomtest, chi2

from tutorial_utils.checks.lesson08 import adam_bytes, coin_chance, sixth_seed, wins_needed
from tutorial_utils.evaluation import Comparison

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


# coin_chance


def counted(first, second):
    n, more = first + second, max(first, second)
    tail = sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n
    return min(1.0, 2 * tail)


def tossed(first, second):
    coins = np.random.default_rng(0).random((10_000, first + second)) < 0.5
    return (abs(2 * coins.sum(1) - first - second) >= abs(first - second)).mean()


def one_side(first, second):
    n, more = first + second, max(first, second)
    return sum(math.comb(n, k) for k in range(more, n + 1)) / 2**n


def this_split(first, second):
    return math.comb(first + second, first) / 2 ** (first + second)


def squared(first, second, correction):
    statistic = max(abs(first - second) - correction, 0) ** 2 / (first + second)
    return chi2.sf(statistic, 1)


@pytest.mark.parametrize(
    "answer",
    [
        counted,
        lambda first, second: binomtest(first, first + second).pvalue,
        lambda first, second: min(1, 2 * binom.cdf(min(first, second), first + second, 0.5)),
        lambda first, second: sum(
            this_split(k, first + second - k)
            for k in range(first + second + 1)
            if abs(2 * k - first - second) >= abs(first - second)
        ),
    ],
)
def test_the_exact_test(answer):
    assert_verdict(coin_chance(answer), "correct", "^correct: both sides.*exact")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda a, b: squared(a, b, 1), "2 and 8: .*chi-square.*with continuity correction"),
        (lambda a, b: squared(a, b, 0), "2 and 8: that is the chi-square approximation. Hint"),
        (tossed, "close, but not exact: for 2 and 8"),
        (one_side, "2 and 8: you counted only one side"),
        (this_split, "2 and 8: that is the probability of exactly this split. Hint"),
        (lambda a, b: 2 * this_split(a, b), "exactly this split, on both sides"),
        (
            lambda a, b: 2 * (one_side(a, b) - this_split(a, b)),
            "2 and 8: the split itself is missing",
        ),
        (lambda a, b: 2 * one_side(a, b) - this_split(a, b), "counts in full"),
        (lambda a, b: 1 - counted(a, b), "a more even split"),
        (lambda a, b: 2 * one_side(a, b), "4 and 4: 1.273 is no probability.*the middle"),
        (lambda a, b: min(a, b) / (a + b), "for 2 and 8 you gave 0.2000"),
        (lambda a, b: [a, b], "expected a number, not a value of type list"),
    ],
)
def test_slips_of_the_exact_test(answer, text):
    assert_verdict(coin_chance(answer), "wrong", text)


# wins_needed


def pair(first, second):
    return Comparison(100, first, second, 3, 1.0)


def by_search(n):
    return next((k for k in range(n // 2, n + 1) if n and binomtest(k, n).pvalue < 0.05), 0)


@pytest.mark.parametrize("n", range(40))
def test_how_many_wins_are_needed(n):
    least = by_search(n)
    text = "^correct: of .* give 0.0" if least else "^correct: even .* can show nothing"
    assert_verdict(wins_needed(least, pair(n // 2, n - n // 2)), "correct", text)
    for other in set(range(n + 1)) - {least}:
        assert_verdict(wins_needed(other, pair(n // 2, n - n // 2)), "wrong", "Hint: ")


@pytest.mark.parametrize(
    ("answer", "given", "text"),
    [
        (10, pair(7, 6), "10 is enough for one side only"),
        (2, pair(7, 6), "the number that the other network wins"),
        (0, pair(7, 6), "13 images are enough"),
        (7, pair(7, 6), "a majority alone is no evidence"),
        (12, pair(7, 6), "12 is more than needed"),
        (5, pair(2, 3), "5 is enough for one side only"),
        (4, pair(2, 2), "4 against 0 gives 0.125"),
        (5.5, pair(7, 6), "of 13 images you gave 5.5"),
        (11, None, "no comparison to check it with"),
        ("11", pair(7, 6), "expected a number"),
    ],
)
def test_slips_of_wins_needed(answer, given, text):
    assert_verdict(wins_needed(answer, given), "wrong", text)


# sixth_seed

FIVE = {3: -2, 4: 1, 5: 0, 6: -1, 7: 0}


@pytest.mark.parametrize(
    ("answer", "new", "text"),
    [
        ("a", -3, "^correct: -3 lies outside -2 to 1: no surprise"),
        (" B) ", 1, "^correct: 1 lies within -2 to 1"),
        ("b", -2, "lies within"),
        ("c", 2, "^correct: 2 lies outside"),
    ],
)
def test_one_more_seed(answer, new, text):
    assert_verdict(sixth_seed(answer, FIVE | {8: new}, 3), "correct", text)


def test_the_seed_after_the_largest_one():
    last = 2**32 - 1
    seeds = [(last + i) % 2**32 for i in range(6)]
    ahead = dict(zip(seeds, (0, 1, 2, 3, 4, 5), strict=True))
    assert_verdict(sixth_seed("c", ahead, last), "correct")


@pytest.mark.parametrize(
    ("answer", "ahead", "text"),
    [
        ("a", FIVE | {8: 0}, "ahead by 0 images with the sixth seed, by -2 to 1 with the others"),
        ("d", FIVE | {8: 0}, "expected a letter"),
        (0, FIVE | {8: 0}, "expected a letter"),
        ("a", FIVE, "no difference for the seed 8"),
        ("a", None, "no difference for the seed 8"),
        ("a", {8: 0}, "no difference for the seed 8"),
    ],
)
def test_slips_of_one_more_seed(answer, ahead, text):
    assert_verdict(sixth_seed(answer, ahead, 3), "wrong", text)
