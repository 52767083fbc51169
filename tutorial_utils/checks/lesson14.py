"""Checks of lesson 14, the capstone: audit, split, background, choice, trap, model card."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tutorial_utils.checks import audits, cards
from tutorial_utils.checks.audits import is_list
from tutorial_utils.checks.verdict import call, exercise, expect, kind, number

__all__ = ["audit", "three_parts", "hide_middle", "choose", "the_trap", "model_card"]

LEVEL = 0.05  # of the test whether the background gives the class away
CARD_WORDS = (80, 600)


# Exercise 1.


@exercise
def audit(answer: Any) -> str:
    """Check a function (folder) -> (files that cannot be used, groups of near-duplicates)."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        broken, groups = audits.write_folder(root)
        before = audits.contents(root)
        got = call(answer, root, hint="`folder` is a path with one folder per class in it")
        expect(
            audits.contents(root) == before,
            "the folder is not as it was",
            hint="an audit reads and reports: leave deleting and renaming to its reader",
        )
    pair = "return two lists: the broken files, and the groups of files"
    is_pair = isinstance(got, Sequence) and len(got) == 2
    expect(is_pair, f"expected two lists, not {kind(got)}", hint=pair)
    audits.check_broken(audits.names(got[0], pair), broken)
    expect(is_list(got[1]), f"expected a list of groups, not {kind(got[1])}", hint=pair)
    audits.check_groups([audits.names(group, pair) for group in got[1]], groups)
    return "three broken files and all near-duplicates found, and nothing else"


# Exercise 2.


@exercise
def three_parts(answer: Any) -> str:
    """Check a function (labels, units, seed) -> three lists of indices: train, val, test."""
    for classes, images, case in ((2, 80, 1), (3, 150, 2)):
        labels, units = _labels_and_units(classes, images, case)
        parts = _as_parts(call(answer, list(labels), list(units), 0, hint="labels are numbers"))
        _check_parts(parts, labels, units)
        again = _as_parts(call(answer, list(labels), list(units), 0))
        expect(
            parts == again,
            "the same seed gives another split",
            hint="draw at random only from a generator that starts at `seed`",
        )
        others = [_as_parts(call(answer, list(labels), list(units), seed)) for seed in (1, 2, 3)]
        expect(
            any(other != parts for other in others),
            "every seed gives the same split",
            hint="shuffle, with the seed",
        )
        for other in others:
            _check_parts(other, labels, units)
    return "each image in one part, near-duplicates together, every class in every part"


def _labels_and_units(classes: int, images: int, seed: int) -> tuple[list[int], list[int]]:
    """Return sorted labels, and units: the same number for images that belong together."""
    import numpy as np

    rng = np.random.default_rng((14, seed))
    labels, units = [], []
    while len(labels) < images:
        label = len(labels) * classes // images
        size = int(rng.choice((1, 1, 1, 2, 4)))
        units += [len(labels)] * size
        labels += [label] * size
    return labels, units


def _as_parts(got: Any) -> list[list[int]]:
    hint = "return train, val, test: three lists of indices, from 0"
    expect(is_list(got), f"expected three lists, not {kind(got)}", hint=hint)
    got = list(got)
    expect(len(got) == 3, f"expected three lists, not {len(got)} items", hint=hint)
    for part in got:
        expect(is_list(part), f"expected lists of indices, not {kind(part)}", hint=hint)
    return [sorted(int(number(index, hint=hint)) for index in part) for part in got]


def _check_parts(parts: list[list[int]], labels: list[int], units: list[int]) -> None:
    total = len(labels)
    used = sorted(index for part in parts for index in part)
    expect(
        not used or (used[0] >= 0 and used[-1] < total),
        f"there are indices outside 0 to {total - 1}",
        hint="give indices into `labels`, not labels or units",
    )
    twice = len(used) - len(set(used))
    expect(not twice, f"{twice} images are in two parts", hint="each image is in one part only")
    expect(
        len(used) == total,
        f"{total - len(used)} images are in no part",
        hint="use all of them, and look at the ends of your slices",
    )
    torn = sum(
        sum(any(units[i] == unit for i in part) for part in parts) > 1 for unit in set(units)
    )
    expect(
        not torn,
        f"near-duplicates of {torn} units are in different parts",
        hint="split the units, or give them to scikit-learn's `StratifiedGroupKFold` as groups",
    )
    for name, part in zip(("train", "val", "test"), parts, strict=True):
        absent = set(labels) - {labels[i] for i in part}
        expect(
            not absent,
            f"{name} has no image of class {sorted(absent)}",
            hint="the labels are sorted: shuffle, or take a share of every class",
        )
    sizes = [len(part) for part in parts]
    expect(
        sizes[0] == max(sizes) and min(sizes) >= 0.08 * total,
        f"the parts have {sizes} images",
        hint="train is the largest, and val and test need enough to measure: 60, 20, 20 in 100",
    )


# Exercise 3.


@exercise
def hide_middle(answer: Any) -> str:
    """Check a function (image) -> the image with its middle hidden and its rim as it was."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(14)
    for width, height in ((80, 60), (50, 90)):
        values = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        inside, outside = values.copy(), values.copy()
        y, x = height // 5, width // 5
        inside[y:-y, x:-x] = rng.integers(0, 256, inside[y:-y, x:-x].shape, dtype=np.uint8)
        rim = np.ones((height, width), bool)
        rim[3:-3, 3:-3] = False
        outside[rim] = 255 - outside[rim]
        image = Image.fromarray(values)
        got = _pixels(call(answer, image, hint="`image` is a PIL image"))
        expect(
            np.array_equal(np.asarray(image), values),
            "your function changed the image that it was given",
            hint="work on `image.copy()`: the whole image is needed, too",
        )
        expect(
            np.array_equal(got, _pixels(call(answer, Image.fromarray(inside)))),
            "the result depends on what is in the middle",
            hint="paint one colour over it, from 1/8 to 7/8 of the width and of the height; "
            "blurring leaves traces",
        )
        expect(
            not np.array_equal(got, _pixels(call(answer, Image.fromarray(outside)))),
            "nothing of the rim is left",
            hint="leave the outer eighth on every side as it is",
        )
    return "the rim decides the result, the middle does not"


def _pixels(image: Any) -> Any:
    import numpy as np
    from PIL import Image

    hint = "return a PIL image, such as the copy that you painted on"
    expect(isinstance(image, Image.Image), f"expected an image, not {kind(image)}", hint=hint)
    return np.asarray(image.convert("RGB"))


# Exercise 4.


@exercise
def choose(answer: Any) -> str:
    """Check a function (train_x, train_y, val_x, val_y) -> (fitted model, {choice: score})."""
    for classes, seed in ((2, 0), (3, 1)):
        train_x, train_y = _points(classes, 60, seed)
        val_x, val_y = _points(classes, 45, seed + 10)
        predict, scores = _model_and_scores(answer, train_x, train_y, val_x, val_y)
        accuracy, fitted = (
            (_predicted(predict, x) == y).mean() for x, y in ((val_x, val_y), (train_x, train_y))
        )
        best = max(scores)
        allowed = (accuracy, accuracy * len(val_y), accuracy * 100)
        if not any(abs(best - one) < 1e-6 for one in allowed):
            expect(
                abs(best - fitted) > 1e-6,
                "your scores are training accuracies",
                hint="a model is chosen by images that it was not trained on: val_x, val_y",
            )
            expect(
                False,
                f"your best score is {best:.3f}, and the model that you return classifies "
                f"{accuracy:.3f} of the validation images correctly",
                hint="return the model with the best score, with validation accuracies as scores",
            )
        expect(
            accuracy > 1 / classes + 0.15,
            f"your model classifies {accuracy:.0%} of these validation points correctly",
            hint="other models reach far more: try a wider range",
        )
    train_x, train_y = _points(2, 60, 5)
    val_x, val_y = _points(2, 40, 6)
    predict, _ = _model_and_scores(answer, train_x, train_y, val_x, 1 - val_y)
    expect(
        (_predicted(predict, val_x) != val_y).mean() < 0.75,
        "with wrong validation labels your model learns these wrong labels",
        hint="fit on train_x and train_y only; the validation images only choose",
    )
    return "fitted on the training part, chosen on the validation part"


def _points(classes: int, count: int, seed: int) -> tuple[Any, Any]:
    """Return points (N, 8) float32 around a centre for each class, and their labels (N,)."""
    import numpy as np

    rng = np.random.default_rng((14, seed))
    labels = np.arange(count) % classes
    centres = np.zeros((classes, 8))
    centres[range(classes), range(classes)] = 3
    return (centres[labels] + rng.normal(size=(count, 8))).astype(np.float32), labels


def _model_and_scores(answer: Any, *data: Any) -> tuple[Any, list[float]]:
    """Return the model's `predict` and the scores."""
    hint = "return two things: the fitted model, and {choice: validation accuracy}"
    got = call(answer, *(array.copy() for array in data), hint="all four are arrays")
    is_pair = isinstance(got, tuple | list) and len(got) == 2
    expect(is_pair, f"expected a pair, not {kind(got)}", hint=hint)
    model, scores = got
    predict = getattr(model, "predict", None)
    expect(callable(predict), f"expected a model with `predict`, not {kind(model)}", hint=hint)
    is_dict = isinstance(scores, Mapping)
    expect(is_dict, f"expected a dict of scores, not {kind(scores)}", hint=hint)
    expect(len(scores) > 1, "there is nothing to choose from", hint="try two candidates or more")
    return predict, [number(score, hint=hint) for score in scores.values()]


def _predicted(predict: Any, points: Any) -> Any:
    import numpy as np

    got = np.asarray(call(predict, points, hint="`predict` takes an array (N, D)"))
    expect(
        got.shape == (len(points),),
        f"`predict` gives the shape {got.shape} for {len(points)} points",
        hint="it returns one label for each",
    )
    return got


# Exercise 5.


@exercise
def the_trap(answer: Any, background: Any = None, frequent: Any = None, total: Any = None) -> str:
    """Check the trap's letter against how many validation images the baselines get correct."""
    hint = 'give one letter: "a", "b", "c" or "d"'
    expect(isinstance(answer, str), f"expected a letter, not {kind(answer)}", hint=hint)
    letter = answer.strip().lower().removesuffix(")")
    expect(letter in {"a", "b", "c", "d"}, f"{answer!r} is not one of the letters", hint=hint)
    expect(
        None not in (background, frequent, total),
        "the check needs the numbers of your run",
        hint="leave the check's cell as it is, and run the lesson's cells above it",
    )
    from scipy import stats

    chance = min(frequent / total, 1 - 1e-9)
    p_value = stats.binomtest(int(background), int(total), chance, alternative="greater").pvalue
    numbers = (
        f"the background alone gives {background} of {total} correct, the most frequent class "
        f"{frequent} (p = {p_value:.2g})"
    )
    expect(
        letter != "a" or frequent >= 0.8 * total,
        f"the most frequent class is {frequent} of {total}",
        hint="with such classes their sizes explain no high accuracy",
    )
    expect(
        letter != "c",
        "near-duplicates are on one side of your split",
        hint="that trap was here, and your split closed it: which one is still open?",
    )
    if p_value < LEVEL:
        expect(letter != "d", numbers, hint="can a background know the class?")
        return f"{numbers}: the rim shows no animal, and it gives the class away"
    expect(letter != "b", numbers, hint="is that more than luck?")
    return f"{numbers}: these images show no more than that"


# Exercise 6.


@exercise
def model_card(answer: Any, facts: Any = None) -> str:
    """Check the text of a model card against the facts of the run."""
    hint = f"write one text with the headings {', '.join(h.capitalize() for h in cards.HEADINGS)}"
    expect(isinstance(answer, str), f"expected a text, not {kind(answer)}", hint=hint)
    sections = cards.sections(answer)
    absent = [heading for heading in cards.HEADINGS if heading not in sections]
    expect(not absent, f"there is no heading {', '.join(absent)}", hint=hint)
    open_ends = re.search(r"\.\.\.|…|\bTODO\b|\{\w+", answer)
    expect(not open_ends, "a part is not filled in", hint="replace every `...` and every {name}")
    thin = [heading for heading in cards.HEADINGS if len(sections[heading].split()) < 8]
    expect(not thin, f"too little under {', '.join(thin)}", hint="a sentence or two for each")
    words = len(answer.split())
    low, high = CARD_WORDS
    expect(low <= words <= high, f"your card has {words} words", hint=f"one page: {low} to {high}")
    expect(
        isinstance(facts, Mapping),
        "the check needs the facts of your run",
        hint="leave the check's cell as it is, and run the lesson's cells above it",
    )
    cards.check_facts(answer, sections, facts)
    return f"{words} words that someone who was not here can use"
