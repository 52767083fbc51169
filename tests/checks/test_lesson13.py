"""Tests of the checks of lesson 13: correct answers, and every usual slip with its own hint."""

import statistics

import numpy
import pytest
import torch
from assertions import assert_verdict
from scipy import stats

from tutorial_utils.checks.lesson13 import best_of, choose_rate, mean_interval

# mean_interval


def by_hand(accuracies):
    n, mean = len(accuracies), statistics.mean(accuracies)
    half = stats.t.ppf(0.975, n - 1) * statistics.stdev(accuracies) / n**0.5
    return mean - half, mean + half


def by_numpy(accuracies):
    values = numpy.array(accuracies)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / numpy.sqrt(len(values))
    return numpy.array([values.mean() - half, values.mean() + half])


def by_torch(accuracies):
    values = torch.tensor(accuracies, dtype=torch.float64)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / len(values) ** 0.5
    return [values.mean() - half, values.mean() + half]


def by_scipy(accuracies):
    return stats.ttest_1samp(accuracies, 0).confidence_interval(0.95)


@pytest.mark.parametrize("answer", [by_hand, by_numpy, by_torch, by_scipy])
def test_an_interval_of_a_mean(answer):
    assert_verdict(mean_interval(answer), "correct", "two seeds tell little")


def around(half):
    """Return an answer whose interval reaches `half(n, standard deviation)` to each side."""

    def answer(accuracies):
        n, mean = len(accuracies), statistics.mean(accuracies)
        width = half(n, statistics.stdev(accuracies))
        return mean - width, mean + width

    return answer


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (around(lambda n, s: 1.96 * s / n**0.5), "1.96 holds for many values"),
        (around(lambda n, s: stats.norm.ppf(0.975) * s / n**0.5), "1.96 holds for many"),
        (around(lambda n, s: stats.t.ppf(0.975, n - 1) * s), "a mean of n varies less"),
        (around(lambda n, s: s), "how much single runs vary"),
        (around(lambda n, s: s / n**0.5), "two thirds, not 95%"),
        (around(lambda n, s: stats.t.ppf(0.95, n - 1) * s / n**0.5), "2.5% lie on each side"),
        (around(lambda n, s: stats.t.ppf(0.975, n) * s / n**0.5), "n - 1 degrees of freedom"),
        (
            around(lambda n, s: stats.t.ppf(0.975, n - 1) * s * (n - 1) ** 0.5 / n),
            "divide the sum of squares by n - 1",
        ),
        (around(lambda n, s: 7 * s), "over the root of n"),
        (lambda values: by_hand(values)[::-1], "comes second"),
        (lambda values: by_hand(values)[0], "expected two numbers, not"),
        (lambda values: (min(values), max(values) + 0.1), "equally far to both sides"),
        (lambda values: (float("nan"), 1.0), "an end is not a finite number"),
    ],
)
def test_slips_of_an_interval(answer, text):
    assert_verdict(mean_interval(answer), "wrong", text)


# best_of


def by_binomial(runs, accuracy, images):
    count = torch.full((10_000, runs), float(images))
    right = torch.binomial(count, torch.full_like(count, accuracy))
    return right.max(dim=1).values.mean() / images


def by_coins(runs, accuracy, images):
    rounds = numpy.random.default_rng(0).binomial(images, accuracy, (10_000, runs))
    return rounds.max(axis=1).mean() / images


def by_sum(runs, accuracy, images):
    below = stats.binom.cdf(numpy.arange(images), images, accuracy)
    return float((1 - below**runs).sum() / images)


@pytest.mark.parametrize("answer", [by_binomial, by_coins, by_sum])
def test_the_best_of_many(answer):
    assert_verdict(best_of(answer), "correct", "the more the best of them flatters")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            lambda runs, accuracy, images: accuracy,
            "that is the accuracy of each run",
        ),
        (lambda r, a, p: 1 - by_sum(r, 1 - a, p), "what the worst of them shows"),
        (lambda r, a, p: by_sum(r, a, p) * p, "divide the number correct by the images"),
        (lambda r, a, p: by_sum(r, a, p) + 0.02, "take the best of a round"),
        (
            lambda r, a, p: torch.binomial(torch.full((r,), float(p)), torch.tensor(a)).max() / p,
            "two calls of your function|take the best of a round",
        ),
        (lambda r, a, p: [0.9, 0.9], "one fraction"),
    ],
)
def test_slips_of_the_best(answer, text):
    assert_verdict(best_of(answer), "wrong", text)


# choose_rate


def by_mean(table):
    groups = table.groupby("lr")
    failed = groups["status"].apply(lambda status: (status == "error").mean())
    means = groups["val_accuracy"].mean()[failed <= 0.5]
    return means.idxmax()


def by_loop(table):
    means = {}
    for lr in table["lr"].unique():
        runs = table[table["lr"] == lr]
        good = runs[runs["status"] == "ok"]["val_accuracy"]
        if 2 * len(good) >= len(runs):
            means[lr] = good.mean()
    return max(means, key=means.get)


@pytest.mark.parametrize("answer", [by_mean, by_loop])
def test_a_rate(answer):
    assert_verdict(choose_rate(answer), "correct", "not a lucky seed")


def by(how, fill=None):
    def answer(table):
        scores = table["val_accuracy"] if fill is None else table["val_accuracy"].fillna(fill)
        return getattr(scores.groupby(table["lr"]), how)().idxmax()

    return answer


def strict(table):
    failed = (table["status"] == "error").groupby(table["lr"]).mean()
    return table.groupby("lr")["val_accuracy"].mean()[failed < 0.5].idxmax()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda table: table.loc[table["val_accuracy"].idxmax(), "lr"], "best single run"),
        (by("max"), "best single run"),
        (by("mean", fill=0.0), "different from an accuracy of 0"),
        (by("mean"), "one lucky seed"),
        (strict, "not more than half"),
        (
            lambda table: table["val_accuracy"].max(),
            "none of them.*return the rate",
        ),
        (
            lambda table: table["val_accuracy"].idxmax(),
            "none of them.*return the rate",
        ),
        (lambda table: table.groupby("lr")["val_accuracy"].mean().idxmin(), "best single run"),
        (lambda table: table, "expected a number, not a value of type"),
    ],
)
def test_slips_of_a_rate(answer, text):
    assert_verdict(choose_rate(answer), "wrong", text)


def test_sums_are_no_means():
    def by_sum_of_good(table):
        good = table[table["status"] == "ok"]
        sums = good.groupby("lr")["val_accuracy"].sum()
        failed = (table["status"] == "error").groupby(table["lr"]).mean()
        if not failed.any():
            return sums[failed <= 0.5].idxmax()
        return by_mean(table)

    assert_verdict(choose_rate(by_sum_of_good), "wrong", "take means, not sums")
