"""Checks of lesson 00's exercises: accuracy, a list of mistakes, a head from few labels."""

from collections.abc import Iterable, Sequence
from typing import Any

from tutorial_utils.checks.verdict import (
    Slip,
    call,
    compare,
    exercise,
    expect,
    kind,
    name_slip,
    number,
)

__all__ = ["accuracy_of", "mistakes", "few_labels"]

NEAR = 1e-5
FEW = 10  # labels of each class
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


@exercise
def accuracy_of(answer: Any) -> str:
    """Check a function (scores (N, K), labels (N,)) -> fraction classified correctly."""
    import torch

    rows = "each row of the scores is one image, and its highest score is the predicted class"
    for values, classes in BATCHES:
        scores, labels = torch.tensor(values), torch.tensor(classes)
        correct = int((scores.argmax(dim=1) == labels).sum())
        want = correct / len(labels)
        given = call(answer, scores, labels, hint=f"{rows}; True counts as 1 in a `sum()`")
        got = number(given, hint="return one fraction for all images")
        compare(
            got,
            want,
            [*_other_measures(correct, len(labels)), *_accuracy_slips(scores, labels, rows)],
            wrong=f"for {len(labels)} images you gave {got:.4g}, it is {want:.4g}",
            hint=rows,
            tolerance=NEAR,
        )
    return "correct over total, on batches of 5, 5 and 1 images"


@exercise
def mistakes(answer: Any, predictions: Any, classes: Sequence[str]) -> str:
    """Check the indices of all images that are classified wrongly, in any order.

    Args:
        answer: a list, tensor or array of indices.
        predictions: `evaluation.Predictions` of the validation set.
        classes: the class names in the order of their labels.
    """
    wrong = (~predictions.correct).nonzero()[:, 0].tolist()
    correct = predictions.correct.nonzero()[:, 0].tolist()
    given = sorted(_indices(answer))
    once = "each image has one index"
    expect(len(given) == len(set(given)), "an index is in your list twice", hint=once)
    slips = (
        (correct, "these are the images classified correctly", "keep those that are not correct"),
        ([i + 1 for i in wrong], "every index is too high by 1", "the first image has the index 0"),
    )
    name_slip(given, wrong, [slip for slip in slips if slip[0]])
    extra, missing = sorted(set(given) - set(wrong)), sorted(set(wrong) - set(given))
    expect(
        not extra,
        f"image {(extra or [0])[0]} is no mistake",
        hint="a mistake is an image whose predicted class differs from its label",
    )
    expect(
        not missing,
        f"you found {len(given)} of {len(wrong)} mistakes",
        hint="go through all validation images, not only the eight that were shown",
    )
    return f"{len(wrong)} mistakes; {_by_class(predictions, classes)}"


@exercise
def few_labels(answer: Any, train: Any, val: Any, fit: Any) -> str:
    """Check how many validation images a head fitted to ten labels a class classifies correctly.

    Args:
        answer: the number.
        train: `features.Features` of the training set.
        val: the same of the validation set.
        fit: function (values, labels) -> fitted head with `score(values, labels)`.
    """
    got = number(answer, hint="give the number of images, such as `int(predictions.correct.sum())`")
    classes = range(int(train.labels.max()) + 1)
    groups = [(train.labels == k).nonzero()[:, 0].tolist() for k in classes]
    first = [i for group in groups for i in group[:FEW]]
    last = [i for group in groups for i in group[-FEW:]]

    def correct(rows: list[int], images: Any) -> int:
        head = fit(train.values[rows], train.labels[rows])
        return round(head.score(images.values, images.labels) * len(images.labels))

    want, every = correct(first, val), correct(sorted(sum(groups, [])), val)
    slips = (
        (every, "this is the number with all labels", "choose the rows before you fit"),
        (correct(last, val), "you took the last images of each class", "take the first ten"),
        (correct(first, train), "you counted training images", "predict with `val_features`"),
        (want / len(val.labels), "this is a fraction", "give the number of images"),
        (len(val.labels) - want, "this is the number of mistakes", "count what is correct"),
    )
    compare(
        got,
        want,
        slips,
        wrong=f"you gave {got:g}, and {want} images are classified correctly",
        hint="take the first ten rows of each class, `train_features.labels == k`",
    )
    total = len(val.labels)
    return (
        f"{want} of {total} images with {len(first)} labels, {every} of {total} with all "
        f"{len(train.labels)}"
    )


def _accuracy_slips(scores: Any, labels: Any, rows: str) -> Iterable[Slip]:
    """Yield the slips of `accuracy_of`."""
    if scores.shape[1] == 2:
        above_zero = ((scores[:, -1] > 0) == labels).float().mean().item()
        fixed = "scores have no fixed zero: compare the scores of an image with each other"
        yield above_zero, "you predicted a class because its score is above zero", fixed
    down = scores.argmax(dim=0)
    if down.shape == labels.shape:
        among_images = (down == labels).float().mean().item()
        yield among_images, "you took the highest score of a column, across the images", rows


def _indices(answer: Any) -> list[int]:
    """Return a list, tensor or array of indices as a list of int."""
    answer = answer.tolist() if hasattr(answer, "tolist") else answer
    hint = "give a list of whole numbers, the positions of the images in `val_predictions`"
    expect(
        isinstance(answer, list | tuple | set), f"expected a list, not {kind(answer)}", hint=hint
    )
    flags = [value for value in answer if isinstance(value, bool)]
    expect(not flags, "your list holds True and False", hint="keep the index of each mistake")
    values = [value.item() if hasattr(value, "item") else value for value in answer]
    odd = [value for value in values if not isinstance(value, int)]
    expect(not odd, "your list holds something else than whole numbers", hint=hint)
    return list(values)


def _by_class(predictions: Any, classes: Sequence[str]) -> str:
    parts = []
    for number_of, name in enumerate(classes):
        of_class = predictions.labels == number_of
        wrong = int((of_class & ~predictions.correct).sum())
        parts.append(f"{name}: {wrong} of {int(of_class.sum())}")
    return ", ".join(parts)


def _other_measures(correct: int, total: int) -> Iterable[Slip]:
    """Yield a count, a percentage, a fraction rounded to 0, and the fraction that is wrong."""
    fraction = "accuracy is a fraction: divide by the number of images"
    yield correct, f"{correct} is the number classified correctly", fraction
    percent = 100 * correct / total
    yield percent, f"{percent:g} is a percentage", "accuracy is a fraction from 0 to 1"
    down = "`//` rounds a fraction down to 0; or you took the lowest score, not the highest"
    yield 0.0, "you gave 0, but some are correct", down
    wrong = 1 - correct / total
    yield wrong, f"{wrong:.3g} is the fraction that is wrong", "count what is correct"
