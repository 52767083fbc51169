"""Checks of lesson 00's exercises: accuracy, an honest guesser, intervals that do not overlap."""

from collections.abc import Iterable
from typing import Any

from tutorial_utils.checks.verdict import Slip, call, compare, exercise, expect, number, truth

__all__ = ["accuracy_of", "honest_guess", "apart"]

NEAR = 1e-5
# Logits of two classes, most of them below zero, and of five classes for five images.
TWO = [[-1.0, -2.0], [-3.0, -1.0], [2.0, 1.0], [1.0, 3.0], [-2.0, -1.0]]
FIVE = [
    [-0.2, -0.3, -0.4, -0.5, -0.6],
    [-3.0, -1.0, -2.0, -4.0, -5.0],
    [-3.0, -4.0, -1.0, -2.0, -5.0],
    [-1.0, -3.0, -2.0, -4.0, -5.0],
    [-5.0, -1.0, -3.0, -2.0, -4.0],
]
BATCHES = ((TWO, (0, 0, 0, 1, 1)), (FIVE, (0, 1, 2, 3, 4)), (FIVE[:1], (0,)))

# Training and validation labels. In none of them do both have the same most frequent class.
LABELS = (
    ("wasps ants ants bees ants bees ants bees wasps", "bees ants bees wasps bees ants"),
    ("ants bees bees wasps bees ants bees", "wasps ants bees wasps bees wasps wasps bees"),
    ("wasps ants wasps", "bees ants bees"),
)


@exercise
def accuracy_of(answer: Any) -> str:
    """Check a function (logits (N, K), labels (N,)) -> fraction classified correctly."""
    import torch

    rows = "each row of the logits is one image, and its highest logit is the predicted class"
    for scores, classes in BATCHES:
        logits, labels = torch.tensor(scores), torch.tensor(classes)
        correct = int((logits.argmax(dim=1) == labels).sum())
        want = correct / len(labels)
        given = call(answer, logits, labels, hint=f"{rows}; True counts as 1 in a `sum()`")
        got = number(given, hint="return one fraction for all images")
        compare(
            got,
            want,
            [*_other_measures(correct, len(labels)), *_accuracy_slips(logits, labels, rows)],
            wrong=f"for {len(labels)} images you gave {got:.4g}, it is {want:.4g}",
            hint=rows,
            tolerance=NEAR,
        )
    return "correct over total, on batches of 5, 5 and 1 images"


def _accuracy_slips(logits: Any, labels: Any, rows: str) -> Iterable[Slip]:
    """Yield the slips of `accuracy_of`."""
    if logits.shape[1] == 2:
        above_zero = ((logits[:, -1] > 0) == labels).float().mean().item()
        fixed = "logits have no fixed zero: compare the logits of an image with each other"
        yield above_zero, "you predicted a class because its logit is above zero", fixed
    down = logits.argmax(dim=0)
    if down.shape == labels.shape:
        among_images = (down == labels).float().mean().item()
        yield among_images, "you took the highest logit of a column, across the images", rows


@exercise
def honest_guess(answer: Any) -> str:
    """Check a function (training labels, validation labels) -> the guesser's accuracy."""
    from collections import Counter

    for train, val in ((train.split(), val.split()) for train, val in LABELS):
        guess = Counter(train).most_common(1)[0][0]
        want = val.count(guess) / len(val)
        given = call(answer, train, val, hint="both arguments are lists of class names")
        got = number(given, hint="return the accuracy, not the class")
        peeked = Counter(val).most_common(1)[0][1] / len(val)
        slips = (
            (
                peeked,
                "you chose the class by the validation labels",
                "an honest guesser knows only the training labels, as a network does",
            ),
            (
                train.count(guess) / len(train),
                "this is the fraction of the class in the training labels",
                "choose by the training labels, but measure on the validation labels",
            ),
            (
                val.count(min(train)) / len(val),
                "you chose the class by its name, not by how often it occurs",
                "count each class in the training labels first",
            ),
        )
        compare(
            got,
            want,
            [*slips, *_other_measures(val.count(guess), len(val))],
            wrong=f"always guessing {guess!r} reaches {want:.3g} here, you gave {got:.3g}",
            hint="count how many of the validation labels are the class that is guessed",
            tolerance=NEAR,
        )
    return "chosen by the training labels, measured on the validation labels"


@exercise
def apart(answer: Any) -> str:
    """Check a function (interval, interval) -> True if they share no accuracy."""
    meet = "two intervals overlap when each begins before the other ends"
    inside = "one interval may lie inside the other"
    end = "at a common end they share one accuracy"
    cases = (
        ((0.60, 0.78), (0.90, 0.97), True, "compare the end of one with the start of the other"),
        ((0.90, 0.97), (0.60, 0.78), True, "the intervals may come in either order"),
        ((0.60, 0.80), (0.72, 0.94), False, "the midpoints prove nothing: look at the ends"),
        ((0.72, 0.94), (0.60, 0.80), False, meet),
        ((0.60, 0.95), (0.70, 0.80), False, inside),
        ((0.70, 0.80), (0.60, 0.95), False, inside),
        ((0.60, 0.75), (0.75, 0.90), False, end),
        ((0.75, 0.90), (0.60, 0.75), False, end),
    )
    pair, comparison = "an interval is a pair (low, high)", "a comparison gives True or False"
    given = [
        truth(call(answer, first, second, hint=pair), hint=comparison)
        for first, second, *_ in cases
    ]
    expect(
        given != [not want for *_, want, _ in cases],
        "you returned the opposite",
        hint="True means that no accuracy lies in both intervals",
    )
    for got, (first, second, want, hint) in zip(given, cases, strict=True):
        expect(got == want, f"for {first} and {second} it is {want}, not {got}", hint=hint)
    return f"checked on {len(cases)} pairs of intervals"


def _other_measures(correct: int, total: int) -> Iterable[Slip]:
    """Yield a count, a percentage, a fraction rounded to 0, and the fraction that is wrong."""
    fraction = "accuracy is a fraction: divide by the number of images"
    yield correct, f"{correct} is the number classified correctly", fraction
    percent = 100 * correct / total
    yield percent, f"{percent:g} is a percentage", "accuracy is a fraction from 0 to 1"
    down = "`//` rounds a fraction down to 0; or you took the lowest logit, not the highest"
    yield 0.0, "you gave 0, but some are correct", down
    wrong = 1 - correct / total
    yield wrong, f"{wrong:.3g} is the fraction that is wrong", "count what is correct"
