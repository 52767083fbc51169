"""Checks of lesson 00's exercises: accuracy, an honest guesser, intervals that lie apart."""

from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["accuracy_of", "honest_guess", "apart"]

# Scores of two classes, most of them below zero, and of five classes for five images.
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
    """Check a function (logits (N, K), labels (N,)) -> fraction of right answers."""
    import torch

    rows = "one row of the logits is one image, and its highest score says the class"
    for scores, truth in BATCHES:
        logits, labels = torch.tensor(scores), torch.tensor(truth)
        correct = int((logits.argmax(dim=1) == labels).sum())
        want = correct / len(labels)
        given = ask(answer, logits, labels, hint=f"{rows}; True counts as 1 in a `sum()`")
        got = number(given, hint="return one fraction for all images")
        _not_another_measure(got, correct, len(labels))
        above_zero = ((logits[:, -1] > 0) == labels).float().mean().item()
        expect(
            _near(got, want) or len(scores[0]) != 2 or not _near(got, above_zero),
            "a class was given for being above zero",
            hint="logits have no fixed zero: compare the scores of an image with each other",
        )
        down = logits.argmax(dim=0)
        among = (down == labels).float().mean().item() if down.shape == labels.shape else -1
        expect(
            _near(got, want) or not _near(got, among),
            "the highest score was looked for down a column, which is among the images",
            hint=rows,
        )
        wrong = f"for {len(labels)} images you gave {got:.4g}, it is {want:.4g}"
        expect(_near(got, want), wrong, hint=rows)
    return "correct over total, on batches of 5, 5 and 1 images"


@exercise
def honest_guess(answer: Any) -> str:
    """Check a function (training labels, validation labels) -> the guesser's accuracy."""
    from collections import Counter

    for train, val in ((train.split(), val.split()) for train, val in LABELS):
        said = Counter(train).most_common(1)[0][0]
        want = val.count(said) / len(val)
        given = ask(answer, train, val, hint="both arguments are lists of class names")
        got = number(given, hint="return the accuracy, not the class")
        peeked = Counter(val).most_common(1)[0][1] / len(val)
        expect(
            _near(got, want) or not _near(got, peeked),
            "the class was chosen by the validation labels",
            hint="an honest guesser knows the training labels only, as a network does",
        )
        expect(
            _near(got, want) or not _near(got, train.count(said) / len(train)),
            "this is the share of the class in the training labels",
            hint="choose by the training labels, but measure on the validation labels",
        )
        expect(
            _near(got, want) or not _near(got, val.count(min(train)) / len(val)),
            "the class was chosen by its name, not by how often it occurs",
            hint="count each class in the training labels first",
        )
        _not_another_measure(got, val.count(said), len(val))
        expect(
            _near(got, want),
            f"a guesser who says {said!r} reaches {want:.3g} here, you gave {got:.3g}",
            hint="ask how many of the validation labels are the class that the guesser says",
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
        ((0.60, 0.80), (0.72, 0.94), False, "the middles prove nothing: look at the ends"),
        ((0.72, 0.94), (0.60, 0.80), False, meet),
        ((0.60, 0.95), (0.70, 0.80), False, inside),
        ((0.70, 0.80), (0.60, 0.95), False, inside),
        ((0.60, 0.75), (0.75, 0.90), False, end),
        ((0.75, 0.90), (0.60, 0.75), False, end),
    )
    given = [
        _truth(ask(answer, first, second, hint="an interval is a pair (low, high)"))
        for first, second, *_ in cases
    ]
    expect(
        given != [not want for *_, want, _ in cases],
        "you answered the opposite question",
        hint="True means that no accuracy lies in both",
    )
    for got, (first, second, want, hint) in zip(given, cases, strict=True):
        expect(got == want, f"for {first} and {second} it is {want}, not {got}", hint=hint)
    return f"told apart or not, for {len(cases)} pairs of intervals"


def _not_another_measure(got: float, correct: int, total: int) -> None:
    """Recognise a count, a percentage, a fraction rounded to 0, and one of the wrong answers."""
    want = correct / total
    expect(
        _near(got, want) or not _near(got, correct),
        f"{got:g} is the number of right answers",
        hint="accuracy is a fraction: divide by how many were asked",
    )
    expect(
        _near(got, want) or not _near(got, 100 * want),
        f"{got:g} is a percentage",
        hint="accuracy is a fraction from 0 to 1",
    )
    expect(
        _near(got, want) or got != 0,
        "you gave 0, and some answers are right",
        hint="`//` rounds a fraction down to 0; or the lowest was taken for the highest",
    )
    expect(
        _near(got, want) or not _near(got, 1 - want),
        f"{got:.3g} is the fraction of wrong answers",
        hint="count what is right",
    )


def _near(first: float, second: float) -> bool:
    return abs(first - second) < 1e-5


def _truth(value: object) -> bool:
    """Return True or False, also from a tensor or an array; anything else is wrong."""
    value = value.item() if getattr(value, "shape", None) == () else value
    kind = type(value).__name__
    wrong = f"True or False is asked for, not a value of type {kind}"
    expect(isinstance(value, bool), wrong, hint="a comparison gives True or False")
    return value
