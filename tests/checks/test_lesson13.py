"""Tests of the checks of lesson 13: correct answers, and every usual slip with its own hint."""

import pytest
from assertions import assert_verdict

from tutorial_utils.checks.lesson13 import bias_of_50, choose_rate, supported

# supported

OUT, IN, BELOW = (0.01, 0.03), (-0.01, 0.02), (-0.03, -0.01)


@pytest.mark.parametrize(
    ("letter", "by_seeds", "by_images", "text"),
    [
        ("a", OUT, OUT, "most likely show the same sign"),
        ("A)", BELOW, BELOW, "most likely show the same sign"),
        ("b", OUT, IN, "more seeds would not help"),
        ("c", IN, BELOW, "more seeds have to settle it"),
        (" d ", IN, IN, "another run could reverse it"),
        ("d", (0.0, 0.0), (0.0, 0.1), "another run could reverse it"),  # 0 at an end is inside
    ],
)
def test_what_the_intervals_support(letter, by_seeds, by_images, text):
    assert_verdict(supported(letter, by_seeds, by_images), "correct", text)


@pytest.mark.parametrize("letter", "abcd")
@pytest.mark.parametrize("by_seeds", [OUT, IN])
@pytest.mark.parametrize("by_images", [OUT, IN])
def test_one_letter_is_correct_for_each_pair_of_intervals(letter, by_seeds, by_images):
    correct = {(OUT, OUT): "a", (OUT, IN): "b", (IN, OUT): "c", (IN, IN): "d"}
    verdict = supported(letter, by_seeds, by_images)
    assert verdict.state == ("correct" if correct[by_seeds, by_images] == letter else "wrong")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("a", "interval of the images, the wide bar, goes from -0.010 to .0.020.*contain 0"),
        ("c", "interval of the seeds, the thin bar, goes from .0.010 to .0.030"),
        ("d", "interval of the seeds"),
        ("e", "expected a letter"),
        ("", "expected a letter"),
        (2, "expected a letter"),
    ],
)
def test_slips_of_what_is_supported(answer, text):
    assert_verdict(supported(answer, OUT, IN), "wrong", text)


# bias_of_50


def best_of(k, size=153):
    """Return made-up accuracies: 0.03 too good with 50 images, 0.015 with 153."""
    return (0.975, 0.945) if size == 50 else (0.965, 0.95)


@pytest.mark.parametrize("answer", [0.03, 0.0304, 0.026])
def test_the_bias_of_fifty_images(answer):
    assert_verdict(
        bias_of_50(answer, best_of), "correct", "0.030 with 50.*0.015 with 153.*adds more"
    )


def test_the_verdict_says_what_was_measured():
    verdict = bias_of_50(0.02, lambda k, size=153: (0.97, 0.95))
    assert_verdict(verdict, "correct", "adds no more luck here")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (0.015, "difference with 153 images"),
        (-0.03, "subtract the accuracy on other images from"),
        (0.975, "the accuracy where it was chosen"),
        (0.945, "the accuracy on other images; subtract"),
        (3.0, "a fraction, not percentage points"),
        (0.5, "not the difference of the two accuracies"),
        ("0.03", "expected a number"),
        ((0.975, 0.945), "expected a number"),
    ],
)
def test_slips_of_the_bias(answer, text):
    assert_verdict(bias_of_50(answer, best_of), "wrong", text)


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
