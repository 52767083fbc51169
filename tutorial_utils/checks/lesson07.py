"""Checks of lesson 07's exercises: the confusion matrix, what it says, and how sure a count is."""

from typing import Any

from tutorial_utils.checks.verdict import ask, exercise, expect, number

__all__ = ["count_pairs", "when_said", "images_needed"]


@exercise
def count_pairs(answer: Any) -> str:
    """Check a function (labels, predicted, classes) -> confusion matrix (classes, classes)."""
    import numpy as np

    cases = (
        ([0, 0, 1, 2, 2, 2], [0, 1, 1, 0, 0, 2], 3, [[1, 1, 0], [0, 1, 0], [2, 0, 1]]),
        ([1, 1, 0], [1, 0, 0], 4, [[1, 0, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]),
    )
    for labels, predicted, classes, wanted in cases:
        got = _matrix(ask(answer, labels, predicted, classes, hint="labels are numbers from 0"))
        want = np.array(wanted)
        expect(
            got.shape == want.shape,
            f"for {classes} classes you gave the shape {got.shape}",
            hint="a row and a column for each class, for those that never occur as well",
        )
        expect(
            not np.array_equal(got, want.T),
            "rows and columns are exchanged",
            hint="a row is what the image is, a column what the network said",
        )
        alike = classes > 1 and (got == got[0]).all()
        expect(
            not (alike and got.sum()),
            "all rows are the same",
            hint="a list times a number repeats one and the same row: make each row anew",
        )
        expect(
            got.sum() == len(labels),
            f"{len(labels)} images went in, and the cells add up to {got.sum():g}",
            hint="each image is counted once, as a whole number",
        )
        expect(
            np.array_equal(got, want),
            f"for the labels {labels} and the answers {predicted} you gave {got.tolist()}",
            hint="each pair of a label and an answer belongs into one cell",
        )
    return "one cell for each pair of a class and an answer, and every image in one of them"


@exercise
def when_said(answer: Any) -> str:
    """Check a function (matrix, said) -> how often the network is right when it says `said`."""
    import numpy as np

    cases = (
        ([[90, 30], [2, 31]], 1),
        ([[90, 30], [2, 31]], 0),
        ([[50, 5, 1], [10, 40, 2], [0, 3, 60]], 0),
    )
    hint = "return one fraction, from 0 to 1"
    for rows, said in cases:
        matrix = np.array(rows)
        got = number(ask(answer, matrix.copy(), said, hint="matrix is an array (K, K)"), hint=hint)
        hits, column = matrix[said, said], matrix[:, said].sum()
        slips = (
            (hits / matrix[said].sum(), "that is how often the class is recognised", _ROW),
            (matrix.trace() / matrix.sum(), "that is the accuracy of all answers", _ONE),
            (hits / matrix.sum(), "you divided by all images", _ONE),
            (column / matrix.sum(), "that is how often it is said at all", _HITS),
            (1 - hits / column, "that is how often it is wrong", _HITS),
            (hits, "that is a count", "divide by how many such answers there are"),
            (100 * hits / column, "that is in percent", hint),
        )
        for value, wrong, why in slips:
            expect(abs(got - value) > 1e-6, wrong, hint=why)
        expect(
            abs(got - hits / column) < 1e-6,
            f"for {rows} and class {said} you gave {got:.4f}",
            hint="look at the answers that name this class, and at which of them are right",
        )
    return "the diagonal cell over all images that were given this answer"


_ROW = "start from the answers that name the class, not from the images that belong to it"
_ONE = "only the answers that name this class count here"
_HITS = "among the answers that name this class, count the right ones"


@exercise
def images_needed(answer: Any) -> str:
    """Check a function (images, width, wanted) -> images for an interval so wide."""
    for images, width, wanted in ((153, 0.09, 0.03), (153, 0.08, 0.04), (400, 0.06, 0.012)):
        got = ask(answer, images, width, wanted, hint="all three are numbers")
        got = number(got, hint="return one number of images")
        ratio = width / wanted
        slips = (
            (images * ratio, "that many images make it only a little narrower", _SQUARE),
            (images * ratio**0.5, "the root goes the other way", _SQUARE),
            (
                images * (ratio**2 - 1),
                "that is how many more you need",
                "count those you have too",
            ),
            (images / ratio, "fewer images make an interval wider", _SQUARE),
            (images / ratio**2, "fewer images make an interval wider", _SQUARE),
        )
        for value, wrong, hint in slips:
            expect(abs(got - value) > 1.001, wrong, hint=hint)
        expect(
            abs(got - images * ratio**2) <= 1.001,
            f"from {images} images and a width of {width} to {wanted} you gave {got:g}",
            hint=_SQUARE,
        )
    return "the width falls with the root of the number of images"


_SQUARE = "half the width takes four times the images; what does a third take?"


def _matrix(value: Any) -> Any:
    """Return lists, an array or a tensor as an array of numbers; anything else is wrong."""
    import numpy as np

    try:
        got = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        got = np.zeros(())
    expect(
        got.ndim == 2,
        f"a table of rows and columns is asked for, not a {type(value).__name__}",
        hint="lists of counts in a list will do, as will an array",
    )
    return got
