"""Checks of lesson 07's exercises: reading curves, the confusion matrix, precision, set sizes."""

from typing import Any

from tutorial_utils.checks.verdict import (
    call,
    compare,
    exercise,
    expect,
    kind,
    name_slip,
    number,
)

__all__ = ["read_curves", "count_pairs", "precision_of", "images_needed"]

NEAR = 0.05  # Wilson's interval follows the rule of the square root nearly, not exactly


@exercise
def read_curves(answer: Any, order: str, panels: Any, log_k: float) -> str:
    """Check four letters, one for each panel: which run it shows.

    Args:
        answer: "a", a learning rate that is far too low; "b", far too high; "c", shuffled labels;
            "d", nothing wrong.
        order: the correct letters.
        panels: {panel: history of its run}, in the order of the letters.
        log_k: the loss of equal logits.
    """
    if isinstance(answer, dict):
        answer = "".join(str(letter) for letter in answer.values())
    if isinstance(answer, list | tuple):
        answer = "".join(str(letter) for letter in answer)
    letters = "".join(answer.lower().replace(",", " ").split()) if isinstance(answer, str) else ""
    expect(
        sorted(letters) == sorted(order),
        "expected four letters, each of a, b, c and d once",
        hint='for the panels I, II, III and IV in turn, such as "abcd"',
    )
    for letter in "abcd":  # from the most to the least visible difference
        panel, run = list(panels.items())[letters.index(letter)]
        first, last = run.epochs[0], run.last
        highest = max(epoch.train.loss for epoch in run.epochs)
        wrong, hint = {
            "a": (
                f"its training loss goes from {first.train.loss:.3f} to {last.train.loss:.3f}",
                "with a learning rate that is far too low it hardly moves",
            ),
            "b": (
                f"its highest training loss is {highest:.3g}, and log K is {log_k:.3f}",
                "steps that are far too long throw the loss far above log K",
            ),
            "c": (
                f"its validation loss goes from {first.val.loss:.3f} to {last.val.loss:.3f}, and "
                f"log K is {log_k:.3f}",
                "shuffled labels can be learned by heart, but they say nothing about other images",
            ),
            "d": ("another one has nothing wrong", "both of its losses fall below log K"),
        }[letter]
        expect(
            order[letters.index(letter)] == letter, f"{panel} is not {letter}): {wrong}", hint=hint
        )
    return "first whether the training loss moves, then where the validation loss goes"


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
def precision_of(answer: Any) -> str:
    """Check a function (matrix, k) -> the precision of class number k."""
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
    for rows, k in cases:
        matrix = np.array(rows)
        got = number(call(answer, matrix.copy(), k, hint="matrix is an array (K, K)"), hint=hint)
        hits, column = matrix[k, k], matrix[:, k].sum()
        slips = (
            (hits / matrix[k].sum(), "that is how often the class is recognised", start),
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
            wrong=f"for {rows} and class {k} you gave {got:.4f}",
            hint="look at the predictions of this class, and at how many of them are correct",
            tolerance=1e-6,
        )
    return "the diagonal cell over all images with this prediction"


@exercise
def images_needed(answer: Any) -> str:
    """Check a function (images, width, wanted) -> images for an interval of the wanted width.

    Answers by the rule of the square root and by Wilson's formula (`evaluation.interval`) are
    correct: these differ by a few per cent.
    """
    square = "half the width takes four times the images; what does a third take?"
    for images, width, wanted in ((153, 0.09, 0.03), (153, 0.08, 0.04), (400, 0.06, 0.02)):
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
        want = images * ratio**2
        name_slip(got, want, slips, tolerance=1.001)  # room for rounding up
        expect(
            abs(got - want) <= NEAR * want,
            f"from {images} images and a width of {width} to {wanted} you gave {got:g}",
            hint=square,
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
