"""Simulations of the statistical claims that lessons make, each with its own simulation error.

Every test draws data whose truth is known, counts how often the course's method is right, and
compares the count with the claim. A simulated share p of n draws has the standard error
sqrt(p (1 - p) / n); four of them are allowed, so that a test fails by chance about once in 16,000.
"""

import functools
import math

import numpy
import pytest
import torch
from scipy import stats

from tutorial_utils import evaluation

IMAGES = 153  # the size of the course's validation set


def share_and_error(hits) -> tuple[float, float]:
    """Return the share of true values and its standard error."""
    share = float(numpy.mean(hits))
    return share, math.sqrt(max(share * (1 - share), 1e-6) / len(hits))


def exact_coverage(accuracy: float, total: int = IMAGES) -> float:
    """Return how often Wilson's interval contains the accuracy, by the binomial distribution."""
    counts = numpy.arange(total + 1)
    covered = [low <= accuracy <= high for low, high in all_intervals(total)]
    return float(stats.binom.pmf(counts, total, accuracy)[covered].sum())


@functools.cache
def all_intervals(total: int = IMAGES) -> list[tuple[float, float]]:
    return [evaluation.interval(correct, total) for correct in range(total + 1)]


def predictions(correct, confidence=0.9) -> evaluation.Predictions:
    """Return predictions of two classes that are correct where `correct` is true."""
    correct = torch.as_tensor(correct)
    labels = torch.zeros(len(correct), dtype=torch.long)
    confidence = torch.as_tensor(confidence).expand(len(correct)).double()
    margin = torch.logit(confidence) * torch.where(correct, 1.0, -1.0)
    return evaluation.Predictions(torch.stack([margin, torch.zeros_like(margin)], dim=1), labels)


# Lessons 00, 07, 08, 10, 12 and 13: Wilson's interval


@pytest.mark.parametrize("accuracy", [0.5, 0.8, 0.9, 0.95])
def test_wilsons_interval_covers_the_truth_as_often_as_the_binomial_distribution_says(accuracy):
    ends = numpy.array(all_intervals())
    counts = numpy.random.default_rng(0).binomial(IMAGES, accuracy, 20_000)
    share, error = share_and_error((ends[counts, 0] <= accuracy) & (accuracy <= ends[counts, 1]))
    assert abs(share - exact_coverage(accuracy)) < 4 * error


def test_wilsons_interval_covers_about_95_percent_on_average_and_walds_fewer():
    accuracies = numpy.linspace(0.6, 0.98, 200)
    wilson = numpy.mean([exact_coverage(accuracy) for accuracy in accuracies])
    counts = numpy.arange(IMAGES + 1)
    share = counts / IMAGES
    half = 1.96 * numpy.sqrt(share * (1 - share) / IMAGES)
    wald = numpy.mean(
        [
            stats.binom.pmf(counts, IMAGES, a)[(share - half <= a) & (a <= share + half)].sum()
            for a in accuracies
        ]
    )
    assert abs(wilson - 0.95) < 0.005
    assert wald < wilson - 0.01


# Lessons 00, 01, 08, 09 and 10: McNemar's test on the same images


def pairs(accuracy, agreement, rounds, generator):
    """Draw two equally good networks that agree on a share of the images, (rounds, N) each."""
    first = generator.random((rounds, IMAGES)) < accuracy
    own = generator.random((rounds, IMAGES)) < accuracy
    same = generator.random((rounds, IMAGES)) < agreement
    return first, numpy.where(same, first, own)


@functools.cache
def p_value(only_first: int, only_second: int) -> float:
    """Return the p-value of `mcnemar` where so many images are correct for one network only."""
    first = torch.arange(IMAGES) < only_first
    second = (torch.arange(IMAGES) >= only_first) & (
        torch.arange(IMAGES) < only_first + only_second
    )
    return evaluation.mcnemar(predictions(first), predictions(second)).p_value


def p_values(first, second):
    """Return the p-value of each round; first and second are (rounds, N) bool."""
    counts = zip((first & ~second).sum(1), (~first & second).sum(1), strict=True)
    return numpy.array([p_value(int(one), int(two)) for one, two in counts])


@pytest.mark.parametrize("agreement", [0.0, 0.5, 0.9])
def test_mcnemar_rejects_equally_good_networks_in_at_most_one_of_twenty(agreement):
    first, second = pairs(0.9, agreement, 3000, numpy.random.default_rng(1))
    share, error = share_and_error(p_values(first, second) <= 0.05)
    assert share <= 0.05 + 4 * error


def test_overlapping_intervals_miss_differences_that_the_paired_test_finds():
    generator = numpy.random.default_rng(2)
    both_wrong = generator.random((1000, IMAGES)) < 0.1
    second_only = ~both_wrong & (generator.random((1000, IMAGES)) < 0.07)
    first, second = ~both_wrong & ~second_only, ~both_wrong
    found, error = share_and_error(p_values(first, second) <= 0.05)
    ends = numpy.array(all_intervals())
    apart = ends[first.sum(1), 1] < ends[second.sum(1), 0]
    assert found - 4 * error > 0.8
    assert numpy.mean(apart) < 0.2


# Lesson 07: the calibration error of a small set


def calibration_errors(total, rounds, generator):
    """Return the calibration errors of a network whose confidences are exactly true."""
    values = []
    for _ in range(rounds):
        confidence = generator.beta(8, 1, total) / 2 + 0.5
        correct = generator.random(total) < confidence
        measured = evaluation.calibration(predictions(correct, torch.from_numpy(confidence)))
        values.append(measured.error)
    return numpy.array(values)


def test_a_perfectly_calibrated_network_has_a_positive_error_that_shrinks_with_the_set():
    generator = numpy.random.default_rng(3)
    small, large = (calibration_errors(total, 300, generator) for total in (IMAGES, 16 * IMAGES))
    error = small.std() / math.sqrt(len(small))
    assert small.mean() - 4 * error > 0.01
    assert small.min() >= 0
    # A mean of absolute values shrinks with the root: 16 times the images, a quarter.
    assert abs(large.mean() / small.mean() - 0.25) < 0.05


# Lessons 06, 10, 12, 13 and 14: what was chosen on a set looks too good on it


def test_the_best_of_many_is_too_good_where_it_was_chosen_and_honest_on_other_images():
    generator = numpy.random.default_rng(4)
    rounds, runs, accuracy = 4000, 20, 0.9
    val = generator.binomial(IMAGES, accuracy, (rounds, runs))
    best = val.max(axis=1)
    test = generator.binomial(IMAGES, accuracy, rounds)  # of the chosen run, other images
    ends = numpy.array(all_intervals())
    for counts, honest in ((best, False), (test, True)):
        error = counts.std() / IMAGES / math.sqrt(rounds)
        too_good = counts.mean() / IMAGES - accuracy
        covered, covered_error = share_and_error(
            (ends[counts, 0] <= accuracy) & (accuracy <= ends[counts, 1])
        )
        if honest:
            assert abs(too_good) < 4 * error
            assert abs(covered - exact_coverage(accuracy)) < 4 * covered_error
        else:
            assert too_good > 0.03
            assert covered + 4 * covered_error < 0.85
