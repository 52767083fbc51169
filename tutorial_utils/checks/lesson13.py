"""Checks of lesson 13's exercises: the interval of a mean, the best of many runs, a rate chosen.

Source of the interval: Student, "The probable error of a mean" (1908),
https://doi.org/10.1093/biomet/6.1.1
"""

import math
from collections.abc import Sequence
from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["mean_interval", "best_of", "choose_rate"]

SEEDS = ([0.93, 0.95, 0.94, 0.92], [0.5, 0.7], [0.81, 0.84, 0.79, 0.8, 0.83, 0.82, 0.85, 0.8])
RUNS = ((1, 0.9, 153), (20, 0.94, 153), (100, 0.6, 50), (3, 0.5, 20))
NEAR = 0.004  # what ten thousand rounds of tosses are surely within


@exercise
def mean_interval(answer: Any) -> str:
    """Check a function (accuracies) -> (low, high), the 95% interval of their mean by t."""
    from scipy import stats

    for values in SEEDS:
        n, mean = len(values), sum(values) / len(values)
        got = ask(answer, list(values), hint="accuracies is a list of numbers, two or more")
        low, high = _ends(got)
        expect(low <= high, f"the lower end {low:.3f} comes second", hint="return low, high")
        middle, half = (low + high) / 2, (high - low) / 2
        expect(
            abs(middle - mean) < 1e-6,
            f"the middle of your interval is {middle:.4f}, the mean of {values} is {mean:.4f}",
            hint="the interval reaches equally far to both sides of the mean",
        )
        squares = sum((value - mean) ** 2 for value in values)
        error = math.sqrt(squares / (n - 1) / n)
        t = float(stats.t.ppf(0.975, n - 1))
        for wrong, why in _slips(error, t, n):
            expect(
                abs(half - wrong) > 1e-6 or abs(half - t * error) <= 1e-6,
                f"for {n} accuracies your interval is {half:.4f} to each side",
                hint=why,
            )
        expect(
            abs(half - t * error) < 1e-6,
            f"for {n} accuracies your interval is {half:.4f} to each side, not {t * error:.4f}",
            hint="t times the standard deviation (over n - 1), over the root of n",
        )
    return "t and the root of n: two seeds say little, eight say more"


@exercise
def best_of(answer: Any) -> str:
    """Check a function (runs, accuracy, images) -> what the best shows on average, a fraction."""
    import torch

    hint = "return one fraction, the mean over many rounds"
    for runs, accuracy, images in RUNS:
        with torch.random.fork_rng(devices=[]):
            got, again = (
                number(ask(answer, runs, accuracy, images, hint=hint), hint=hint) for _ in range(2)
            )
        asked = f"best of {runs} runs worth {accuracy}, tested on {images} images"
        expect(
            -NEAR <= got <= 1 + NEAR,
            f"{asked}: {got:.4g} is no fraction",
            hint="divide the right answers by the images of one run",
        )
        expect(
            abs(got - again) < 2 * NEAR,
            f"{asked}: called twice, your function says {got:.3f} and {again:.3f}",
            hint="one round of tosses is luck again: take the mean of many rounds",
        )
        right = _expected_best(runs, accuracy, images)
        lowest = 1 - _expected_best(runs, 1 - accuracy, images)
        for wrong, why in (
            (accuracy, "that is what each run is worth; the best of them shows more"),
            (lowest, "that is what the worst of them shows"),
        ):
            expect(
                abs(got - wrong) > NEAR or abs(got - right) <= NEAR,
                f"{asked}: {got:.3f} is not it",
                hint=why,
            )
        expect(
            abs(got - right) <= NEAR,
            f"{asked}: {got:.3f} on average is not it, {right:.3f} is",
            hint="toss for every run by itself, take the best of a round, then the mean of many "
            "rounds",
        )
    return "the more runs you try, the more the best of them flatters"


@exercise
def choose_rate(answer: Any) -> str:
    """Check a function (table) -> the learning rate with the highest mean over its seeds."""
    for rows, right, slips in _tables():
        given = _table(rows)
        got = ask(answer, given.copy(), hint="table is a pandas DataFrame, a row a run")
        got = number(got, hint="return one of the values of the column lr")
        for wrong, why in slips.items():
            expect(got != wrong, f"of {_rates(rows)} you took {wrong:g}", hint=why)
        expect(
            got in set(given["lr"]),
            f"{got:g} is none of the rates {_rates(rows)}",
            hint="the rate is asked for, not its accuracy, and not the place of a row",
        )
        expect(
            got == right,
            f"of {_rates(rows)} you took {got:g}",
            hint="group the runs by lr, take the mean of each, and the rate of the highest",
        )
    return "the mean decides, a lucky seed does not, and a rate that mostly fails is out"


def _ends(got: Any) -> tuple[float, float]:
    hint = "return two numbers: low, high"
    try:
        parts = list(got)
    except TypeError:
        parts = []
    expect(len(parts) == 2, f"two numbers are asked for, not {got!r:.60}", hint=hint)
    low, high = (number(part, hint=hint) for part in parts)
    expect(math.isfinite(low) and math.isfinite(high), "not both are finite numbers", hint=hint)
    return low, high


def _slips(error: float, t: float, n: int) -> list[tuple[float, str]]:
    """Return half widths that come of the usual slips, each with its hint."""
    from scipy import stats

    spread = error * math.sqrt(n)
    few = math.sqrt((n - 1) / n)
    root = "that is how far single runs scatter; a mean of n varies less, by the root of n"
    few_hint = "divide the sum of squares by n - 1: pandas and statistics.stdev do, numpy does not"
    return [
        (1.96 * error, "1.96 holds for many values; for a few take t with n - 1"),
        (float(stats.norm.ppf(0.975)) * error, "1.96 holds for many values; take t with n - 1"),
        (t * spread, root),
        (spread, root),
        (t * few * error, few_hint),
        (float(stats.t.ppf(0.95, n - 1)) * error, "2.5% lie on each side: ppf(0.975, ...)"),
        (float(stats.t.ppf(0.975, n)) * error, "n values have n - 1 degrees of freedom"),
        (error, "one standard error covers two thirds, not 95%: t is missing"),
    ]


def _expected_best(runs: int, accuracy: float, images: int) -> float:
    """Return the mean of the maximum of `runs` binomials, over `images`."""
    from scipy import stats

    below = stats.binom.cdf(range(images), images, accuracy)
    return float(sum(1 - below**runs)) / images


def _tables() -> list[tuple[dict[float, Sequence[float | None]], float, dict[float, str]]]:
    """Return {lr: accuracies, None for a failed run}, the right rate, and {slip: hint}."""
    lucky = "it has the best single run, and its mean is lower"
    return [
        ({1e-4: (0.92, 0.93, 0.94, 0.93), 1e-3: (0.90, 0.96, 0.89, 0.91)}, 1e-4, {1e-3: lucky}),
        (
            {1e-3: (0.95, None, 0.94, 0.95), 1e-4: (0.90, 0.91, 0.90, 0.92)},
            1e-3,
            {1e-4: "a failed run has no accuracy, which is not an accuracy of 0"},
        ),
        (
            {1e-2: (None, None, None, 0.97), 1e-3: (0.93, 0.94, 0.92, 0.93)},
            1e-3,
            {1e-2: "three of its four runs failed: what is left of it is one lucky seed"},
        ),
        (
            {1e-3: (0.96, None, None, 0.96), 1e-4: (0.93, 0.93, 0.93, 0.93)},
            1e-3,
            {1e-4: "half of the runs failed, which is not more than half"},
        ),
        (
            {3e-4: (0.80, 0.82, 0.81, 0.80, 0.81, 0.82), 1e-4: (0.90, 0.91)},
            1e-4,
            {3e-4: "it has more runs, not better ones: take means, not sums"},
        ),
    ]


def _table(rows: dict[float, Sequence[float | None]]) -> Any:
    import pandas

    return pandas.DataFrame(
        [
            {
                "lr": lr,
                "seed": seed,
                "status": "error" if score is None else "ok",
                "val_accuracy": float("nan") if score is None else score,
            }
            for lr, scores in rows.items()
            for seed, score in enumerate(scores)
        ]
    )


def _rates(rows: dict[float, Sequence[float | None]]) -> str:
    return "; ".join(
        f"{lr:g}: {', '.join('failed' if s is None else f'{s:.2f}' for s in scores)}"
        for lr, scores in rows.items()
    )
