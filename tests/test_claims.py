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


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_the_interval_at_the_mean_count_of_three_seeds_covers_at_least_95_percent(shared):
    # Lesson 10: as if the mean were the result of one run; runs may fail on the same images.
    generator = numpy.random.default_rng(19)
    first = generator.random((4000, 1, IMAGES)) < 0.9
    own = generator.random((4000, 3, IMAGES)) < 0.9
    runs = numpy.where(generator.random((4000, 3, IMAGES)) < shared, first, own)
    ends = numpy.array(all_intervals())[runs.sum(2).mean(1).round().astype(int)]
    share, error = share_and_error((ends[:, 0] <= 0.9) & (ends[:, 1] >= 0.9))
    assert share > 0.94 - 4 * error


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


def test_few_disagreements_or_a_small_lead_cannot_be_significant():
    splits = [(one, n - one) for n in range(6) for one in range(n + 1)]
    assert min(p_value(*split) for split in splits) == p_value(0, 5) == 2 * 0.5**5
    # Five images more, as in the blog post: 0:5 has the lowest p-value of all n:(n + 5).
    leads = [p_value(n, n + 5) for n in range(60)]
    assert leads == sorted(leads)


def test_choosing_the_baseline_class_on_the_same_images_leaves_mcnemar_below_its_level():
    # Lesson 11 compares heads with "always the most frequent class". Here both know nothing.
    generator = numpy.random.default_rng(5)
    labels = generator.random((4000, IMAGES)) < 0.54
    frequent = labels.mean(1, keepdims=True) > 0.5
    guesses = generator.random((4000, IMAGES)) < 0.5
    p = p_values(labels == frequent, labels == guesses)
    better = (labels == guesses).sum(1) > (labels == frequent).sum(1)
    share, error = share_and_error((p <= 0.05) & better)
    assert share <= 0.025 + 4 * error


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


def test_sharing_the_images_lowers_the_bias_of_the_best_of_many():
    # Lesson 13: runs on one set fail on the same hard images, so their best is less by luck.
    generator = numpy.random.default_rng(6)
    rounds, runs = 2000, 16
    chance = generator.beta(0.9, 0.1, (rounds, 1, IMAGES))  # of each image, mean 0.9
    shared = (generator.random((rounds, runs, IMAGES)) < chance).mean(2).max(1)
    own = generator.binomial(IMAGES, 0.9, (rounds, runs)).max(1) / IMAGES
    error = math.hypot(shared.std(), own.std()) / math.sqrt(rounds)
    assert own.mean() - shared.mean() > 4 * error
    assert shared.mean() > 0.9 + 4 * shared.std() / math.sqrt(rounds)


def test_the_expected_best_of_equal_runs_follows_from_the_binomial_distribution():
    # Lesson 13, the line of "as many runs, each with own images".
    below = stats.binom.cdf(numpy.arange(IMAGES + 1), IMAGES, 0.9) ** 16
    expected = (1 - below[:-1]).sum() / IMAGES
    best = numpy.random.default_rng(7).binomial(IMAGES, 0.9, (20_000, 16)).max(1) / IMAGES
    assert abs(best.mean() - expected) < 4 * best.std() / math.sqrt(len(best))


# Lessons 07 and 13: intervals by Student's t, and the bootstrap


def t_intervals(values):
    """Return the 95% intervals (2, rounds) of the means of values (rounds, n)."""
    n = values.shape[1]
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=1, ddof=1) / math.sqrt(n)
    return values.mean(axis=1) - half, values.mean(axis=1) + half


def coverage(values, truth):
    low, high = t_intervals(values)
    return share_and_error((low <= truth) & (truth <= high))


@pytest.mark.parametrize("runs", [4, 16])
def test_the_seeds_interval_covers_95_percent_of_normal_values(runs):
    values = numpy.random.default_rng(8).normal(0.9, 0.01, (20_000, runs))
    share, error = coverage(values, 0.9)
    assert abs(share - 0.95) < 4 * error


def test_the_interval_of_paired_differences_covers_about_95_percent():
    differences = numpy.random.default_rng(9).choice(
        [-1, 0, 1], p=[0.03, 0.9, 0.07], size=(20_000, IMAGES)
    )
    share, error = coverage(differences, 0.04)
    assert abs(share - 0.95) < 0.01 + 4 * error


def heavy_losses(rounds, generator):
    """Draw losses with mean 1 from a lognormal distribution: few images have most of the loss."""
    return generator.lognormal(-2.0, 2.0, (rounds, IMAGES))


def test_the_interval_of_a_mean_loss_covers_less_than_95_percent_if_few_losses_dominate():
    generator = numpy.random.default_rng(10)
    heavy, heavy_error = coverage(heavy_losses(4000, generator), 1.0)
    light, light_error = coverage(generator.normal(1.0, 0.3, (4000, IMAGES)), 1.0)
    assert heavy + 4 * heavy_error < 0.93
    assert abs(light - 0.95) < 4 * light_error


def test_the_bootstrap_of_a_mean_loss_is_no_way_out():
    sets = heavy_losses(400, numpy.random.default_rng(11))
    ends = [evaluation.bootstrap(values, draws=500) for values in sets]
    share, error = share_and_error([low <= 1.0 <= high for low, high in ends])
    assert share + 4 * error < 0.95


# Lessons 07 and 11: curves on parts of a set, and lists of suspects


def test_a_part_of_the_images_shows_at_least_the_steps_back_of_all():
    generator = numpy.random.default_rng(12)
    correct = generator.random((12, IMAGES)) < numpy.linspace(0.6, 0.95, 12)[:, None]
    back = [
        numpy.clip(-numpy.diff(correct[:, part].mean(1)), 0, None).sum()
        for part in (generator.permutation(IMAGES)[:19] for _ in range(1000))
    ]
    everything = numpy.clip(-numpy.diff(correct.mean(1)), 0, None).sum()
    assert numpy.mean(back) - 4 * numpy.std(back) / math.sqrt(len(back)) > everything


def test_a_random_list_holds_the_square_of_its_share_of_the_flipped_labels():
    generator = numpy.random.default_rng(13)
    total, flipped = 244, 48
    found = [(generator.permutation(total)[:flipped] < flipped).sum() for _ in range(20_000)]
    error = numpy.std(found) / math.sqrt(len(found))
    assert abs(numpy.mean(found) - flipped**2 / total) < 4 * error


# Lessons 08, 12 and 13: many comparisons


def test_a_sixth_seed_lies_outside_the_range_of_five_in_one_of_three():
    values = numpy.random.default_rng(14).normal(size=(20_000, 6))
    outside = (values[:, 5] < values[:, :5].min(1)) | (values[:, 5] > values[:, :5].max(1))
    share, error = share_and_error(outside)
    assert abs(share - 2 / 6) < 4 * error  # ties of counts only make it rarer


def test_four_comparisons_give_a_false_alarm_in_at_most_one_of_five():
    generator = numpy.random.default_rng(15)
    shared = generator.random((1500, 1, IMAGES)) < 0.9
    own = generator.random((1500, 8, IMAGES)) < 0.9
    runs = numpy.where(generator.random((1500, 8, IMAGES)) < 0.6, shared, own)
    alarms = [p_values(runs[:, 2 * i], runs[:, 2 * i + 1]) <= 0.05 for i in range(4)]
    share, error = share_and_error(numpy.any(alarms, axis=0))
    assert share <= 0.2 + 4 * error


def test_the_sign_test_of_six_seeds_rejects_equal_methods_in_at_most_one_of_twenty():
    # Lesson 09: ties are left out, and only 6:0 and 0:6 are below 0.05.
    differences = numpy.random.default_rng(18).integers(-4, 5, (20_000, 6))
    wins, losses = (differences > 0).sum(1), (differences < 0).sum(1)
    table = {(k, n): stats.binomtest(k, n).pvalue for n in range(1, 7) for k in range(n + 1)}
    p = numpy.array([table.get((w, w + n), 1.0) for w, n in zip(wins, losses, strict=True)])
    share, error = share_and_error(p <= 0.05)
    assert share <= 0.05 + 4 * error


def test_one_of_two_equal_rates_wins_all_four_seeds_with_probability_one_eighth():
    first, second = numpy.random.default_rng(16).normal(size=(2, 20_000, 4))
    wins = (first > second).sum(1)
    share, error = share_and_error((wins == 0) | (wins == 4))
    assert abs(share - 1 / 8) < 4 * error


def test_the_more_classes_the_likelier_one_looks_bad_by_chance():
    # Lesson 12: twenty equally good classes, each with an interval from 50 images.
    ends = numpy.array(all_intervals(50))
    recalls = numpy.random.default_rng(17).binomial(50, 0.9, (4000, 20))
    missed = (ends[recalls, 1] < 0.9) | (ends[recalls, 0] > 0.9)
    expected = 20 * (1 - exact_coverage(0.9, 50))
    error = missed.sum(1).std() / math.sqrt(len(missed))
    assert abs(missed.sum(1).mean() - expected) < 4 * error
    lowest = [recalls[:, :k].min(1).mean() for k in (1, 3, 20)]
    assert lowest[0] > lowest[1] > lowest[2]
