"""Checks of lesson 07's exercises: the confusion matrix, precision, and the size of a test set."""

from typing import Any

from tutorial_utils.checks.verdict import call, compare, exercise, expect, kind, number

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
        got = _matrix(call(answer, labels, predicted, classes, hint="labels are numbers from 0"))
        want = np.array(wanted)
        expect(
            got.shape == want.shape,
            f"for {classes} classes your matrix has the shape {got.shape}",
            hint="a row and a column for each class, including those that never occur",
        )
        expect(
            not np.array_equal(got, want.T),
            "rows and columns are swapped",
            hint="a row is an image's class, a column the predicted class",
        )
        expect(
            not ((got == got[0]).all() and got.sum()),
            "all rows are the same",
            hint="a list times a number repeats one and the same row: make each row separately",
        )
        expect(
            got.sum() == len(labels),
            f"there are {len(labels)} images, but the cells add up to {got.sum():g}",
            hint="each image is counted once, as a whole number",
        )
        expect(
            np.array_equal(got, want),
            f"for the labels {labels} and the predictions {predicted} you gave {got.tolist()}",
            hint="each pair of a label and a prediction belongs in one cell",
        )
    return "one cell for each pair of a class and a prediction, and every image in one of them"


@exercise
def when_said(answer: Any) -> str:
    """Check a function (matrix, said) -> precision of the class `said`."""
    import numpy as np

    cases = (
        ([[90, 30], [2, 31]], 1),
        ([[90, 30], [2, 31]], 0),
        ([[50, 5, 1], [10, 40, 2], [0, 3, 60]], 0),
    )
    start = "start from the predictions of this class, not from the images that belong to it"
    only = "only the predictions of this class count here"
    hint = "return one fraction, from 0 to 1"
    among = "among the predictions of this class, count the correct ones"
    for rows, said in cases:
        matrix = np.array(rows)
        got = number(call(answer, matrix.copy(), said, hint="matrix is an array (K, K)"), hint=hint)
        hits, column = matrix[said, said], matrix[:, said].sum()
        slips = (
            (hits / matrix[said].sum(), "that is how often the class is recognised", start),
            (matrix.trace() / matrix.sum(), "that is the accuracy of all predictions", only),
            (hits / matrix.sum(), "you divided by all images", only),
            (column / matrix.sum(), "that is how often the class is predicted at all", among),
            (1 - hits / column, "that is how often the prediction is wrong", among),
            (hits, "that is a count", "divide by the number of predictions of this class"),
            (100 * hits / column, "that is a percentage", hint),
        )
        compare(
            got,
            hits / column,
            slips,
            wrong=f"for {rows} and class {said} you gave {got:.4f}",
            hint="look at the predictions of this class, and at how many of them are correct",
            tolerance=1e-6,
        )
    return "the diagonal cell over all images with this prediction"


@exercise
def images_needed(answer: Any) -> str:
    """Check a function (images, width, wanted) -> images for an interval of the wanted width."""
    square = "half the width takes four times the images; what does a third take?"
    for images, width, wanted in ((153, 0.09, 0.03), (153, 0.08, 0.04), (400, 0.06, 0.012)):
        given = call(answer, images, width, wanted, hint="all three are numbers")
        got = number(given, hint="return one number of images")
        ratio = width / wanted
        slips = (
            (images * ratio, "that many images make it only a little narrower", square),
            (images * ratio**0.5, "you took the root where a square belongs", square),
            (
                images * (ratio**2 - 1),
                "that is how many more you need",
                "count those that you have too",
            ),
            (images / ratio, "fewer images make an interval wider", square),
            (images / ratio**2, "fewer images make an interval wider", square),
        )
        compare(
            got,
            images * ratio**2,
            slips,
            wrong=f"from {images} images and a width of {width} to {wanted} you gave {got:g}",
            hint=square,
            tolerance=1.001,  # room for rounding up
        )
    return "the width falls with the root of the number of images"


def _matrix(value: Any) -> Any:
    """Return lists, an array or a tensor as an array of numbers; anything else is wrong."""
    import numpy as np

    try:
        got = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        got = np.zeros(())
    expect(
        got.ndim == 2,
        f"expected a table of rows and columns, not {kind(value)}",
        hint="return a list of lists of counts, or an array",
    )
    return got
