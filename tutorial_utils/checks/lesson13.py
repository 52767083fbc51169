"""Checks of lesson 13's exercises: what two intervals support, a smaller set, a rate chosen."""

from collections.abc import Callable, Sequence
from typing import Any

from tutorial_utils.checks.verdict import call, compare, exercise, expect, name_slip, number

__all__ = ["supported", "bias_of_50", "choose_rate"]

SUPPORTS = {  # by whether 0 lies outside the interval of the seeds, and outside that of the images
    (True, True): ("a", "other seeds and other images would most likely show the same sign"),
    (True, False): ("b", "more seeds would not help: only other images can settle the difference"),
    (False, True): (
        "c",
        "on these images it is clear for these seeds; more seeds have to settle it",
    ),
    (False, False): ("d", "whichever setting is ahead here, another run could reverse it"),
}
ROUNDED = 0.0051  # a value that is rounded to two decimals is closer than this


@exercise
def supported(answer: Any, by_seeds: tuple[float, float], by_images: tuple[float, float]) -> str:
    """Check a letter from "a" to "d" for what the two intervals of a difference support.

    Args:
        answer: "a", both exclude 0; "b", only that of the seeds; "c", only that of the images;
            "d", neither.
        by_seeds: the ends of the interval that the seeds leave open.
        by_images: the ends of the one that the images leave open.
    """
    letter = answer.strip(" )").lower() if isinstance(answer, str) else answer
    expect(
        isinstance(letter, str) and letter in ("a", "b", "c", "d"),
        "expected a letter",
        hint='give "a", "b", "c" or "d"',
    )
    outside = tuple(low > 0 or high < 0 for low, high in (by_seeds, by_images))
    claimed = next(case for case, (name, _) in SUPPORTS.items() if name == letter)
    for kind, bar, claim, holds, (low, high) in zip(
        ("seeds", "images"), ("thin", "wide"), claimed, outside, (by_seeds, by_images), strict=True
    ):
        expect(
            claim == holds,
            f"the interval of the {kind}, the {bar} bar, goes from {low:+.3f} to {high:+.3f}",
            hint=f"does it contain 0? Then other {kind} could reverse the difference",
        )
    return SUPPORTS[outside][1]


@exercise
def bias_of_50(answer: Any, best_of: Callable[..., tuple[float, float]]) -> str:
    """Check a number: how much too good the best of 32 runs looks on sets of 50 images.

    Args:
        answer: the difference of the two accuracies, a fraction.
        best_of: the lesson's function (k, size=153) -> the accuracy of the best of k runs on the
            images used for choosing, and on other images.
    """
    hint = "give one number, such as 0.01"
    got = number(answer, hint=hint)
    (here, elsewhere), (here_153, elsewhere_153) = best_of(32, size=50), best_of(32)
    want, usual = here - elsewhere, here_153 - elsewhere_153
    given = f"you gave {got:g}"
    slips = (
        (usual, given, "that is the difference with 153 images: give best_of the size 50"),
        (-want, given, "subtract the accuracy on other images from the other one"),
        (here, given, "that is the accuracy where it was chosen; subtract that on other images"),
        (elsewhere, given, "that is the accuracy on other images; subtract it from the other one"),
        (100 * want, given, "give a fraction, not percentage points"),
    )
    wrong = f"{given}, which is not the difference of the two accuracies"
    compare(got, want, slips, wrong=wrong, hint="best_of(32, size=50)", tolerance=ROUNDED)
    more = "more" if want > usual else "no more"
    return (
        f"{want:.3f} with 50 images and {usual:.3f} with 153: a smaller set adds {more} luck here"
    )


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
