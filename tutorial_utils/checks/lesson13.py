"""Checks of lesson 13's exercises: the interval of a mean, the best of many runs, a rate chosen.

Source of the interval: Student, "The probable error of a mean" (1908),
https://doi.org/10.1093/biomet/6.1.1
"""

import math
from collections.abc import Sequence
from typing import Any

from tutorial_utils.checks.verdict import call, compare, exercise, expect, name_slip, number

__all__ = ["mean_interval", "best_of", "choose_rate"]

SEEDS = ([0.93, 0.95, 0.94, 0.92], [0.5, 0.7], [0.81, 0.84, 0.79, 0.8, 0.83, 0.82, 0.85, 0.8])
RUNS = ((1, 0.9, 153), (20, 0.94, 153), (100, 0.6, 50), (3, 0.5, 20))
NEAR = 0.004  # ten thousand rounds of tosses are surely closer than this


@exercise
def mean_interval(answer: Any) -> str:
    """Check a function (accuracies) -> (low, high), the 95% interval of their mean by t."""
    from scipy import stats

    for values in SEEDS:
        n, mean = len(values), sum(values) / len(values)
        got = call(answer, list(values), hint="accuracies is a list of two or more numbers")
        low, high = _ends(got)
        expect(low <= high, f"the lower end {low:.3f} comes second", hint="return low, high")
        middle, half = (low + high) / 2, (high - low) / 2
        expect(
            abs(middle - mean) < 1e-6,
            f"the middle of your interval is {middle:.4f}, the mean of {values} is {mean:.4f}",
            hint="the interval reaches equally far to both sides of the mean",
        )
        error = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
        t = float(stats.t.ppf(0.975, n - 1))
        reach = f"for {n} accuracies your interval reaches {half:.4f} to each side"
        compare(
            half,
            t * error,
            [(width, reach, hint) for width, hint in _interval_slips(error, t, n)],
            wrong=f"{reach}, not {t * error:.4f}",
            hint="t times the standard deviation (over n - 1), over the root of n",
            tolerance=1e-6,
        )
    return "t and the root of n: two seeds tell little, eight tell more"


@exercise
def best_of(answer: Any) -> str:
    """Check a function (runs, accuracy, images) -> mean accuracy of the best run, a fraction."""
    import torch

    hint = "return one fraction, the mean over many rounds"
    for runs, accuracy, images in RUNS:
        with torch.random.fork_rng(devices=[]):
            got, again = (
                number(call(answer, runs, accuracy, images, hint=hint), hint=hint) for _ in range(2)
            )
        case = f"best of {runs} runs with accuracy {accuracy}, tested on {images} images"
        expect(
            -NEAR <= got <= 1 + NEAR,
            f"{case}: {got:.4g} is no fraction",
            hint="divide the number correct by the images of one run",
        )
        expect(
            abs(got - again) < 2 * NEAR,
            f"{case}: two calls of your function returned {got:.3f} and {again:.3f}",
            hint="one round of tosses is luck again: take the mean of many rounds",
        )
        want = _expected_best(runs, accuracy, images)
        lowest = 1 - _expected_best(runs, 1 - accuracy, images)
        wrong = f"{case}: {got:.3f} is wrong"
        slips = (
            (accuracy, wrong, "that is the accuracy of each run; the best of them shows more"),
            (lowest, wrong, "that is what the worst of them shows"),
        )
        compare(
            got,
            want,
            slips,
            wrong=f"{wrong}, it is {want:.3f} on average",
            hint="toss for every run separately, take the best of a round, then the mean of many "
            "rounds",
            tolerance=NEAR,
        )
    return "the more runs you try, the more the best of them flatters"


@exercise
def choose_rate(answer: Any) -> str:
    """Check a function (table) -> the learning rate with the highest mean over its seeds."""
    for rows, want, slips in _tables():
        given = _table(rows)
        got = call(answer, given.copy(), hint="table is a pandas DataFrame with a row for each run")
        got = number(got, hint="return one of the values of the column lr")
        chosen = f"of {_rates(rows)} you chose {got:g}"
        name_slip(got, want, [(value, chosen, hint) for value, hint in slips.items()])
        expect(
            got in set(given["lr"]),
            f"{chosen}, which is none of them",
            hint="return the rate, not its accuracy and not the index of a row",
        )
        expect(
            got == want,
            chosen,
            hint="group the runs by lr, take the mean of each group, and return the rate of the "
            "highest",
        )
    return "the mean decides, not a lucky seed, and a rate that mostly fails is out"


def _ends(got: Any) -> tuple[float, float]:
    """Return the two ends of an interval; anything else is wrong."""
    hint = "return two numbers: low, high"
    try:
        parts = list(got)
    except TypeError:
        parts = []
    expect(len(parts) == 2, f"expected two numbers, not {got!r:.60}", hint=hint)
    low, high = (number(part, hint=hint) for part in parts)
    expect(math.isfinite(low) and math.isfinite(high), "an end is not a finite number", hint=hint)
    return low, high


def _interval_slips(error: float, t: float, n: int) -> list[tuple[float, str]]:
    """Return the half widths that usual slips give, each with its hint."""
    from scipy import stats

    spread = error * math.sqrt(n)
    few = math.sqrt((n - 1) / n)
    root = "that is how much single runs vary; a mean of n varies less, by the root of n"
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
    """Return {lr: accuracies, None for a failed run}, the best rate, and {slip: hint}."""
    lucky = "it has the best single run, but its mean is lower"
    return [
        ({1e-4: (0.92, 0.93, 0.94, 0.93), 1e-3: (0.90, 0.96, 0.89, 0.91)}, 1e-4, {1e-3: lucky}),
        (
            {1e-3: (0.95, None, 0.94, 0.95), 1e-4: (0.90, 0.91, 0.90, 0.92)},
            1e-3,
            {1e-4: "a failed run has no accuracy, which is different from an accuracy of 0"},
        ),
        (
            {1e-2: (None, None, None, 0.97), 1e-3: (0.93, 0.94, 0.92, 0.93)},
            1e-3,
            {1e-2: "three of its four runs failed: one lucky seed is left"},
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
    """Return a table as `sweep` returns it, with a row for each run."""
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
    """Return every rate with its accuracies in words."""
    return "; ".join(
        f"{lr:g}: {', '.join('failed' if s is None else f'{s:.2f}' for s in scores)}"
        for lr, scores in rows.items()
    )
