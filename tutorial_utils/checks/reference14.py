"""Reference answers of lesson 14: what the lesson goes on with until an answer passes its check."""

from typing import Any

from PIL import Image

from tutorial_utils.checks.verdict import CORRECT, Verdict

CANDIDATES = (1e-5, 1e-4, 1e-3, 1e-2)  # values of C
LEAST_UNITS = 15  # independent images of a class


def use(verdict: Verdict, answer: Any, reference: Any, *, name: str) -> Any:
    """Return an answer that passed its check, otherwise the reference; print which it is.

    Used in lesson 14.
    """
    own = verdict.state == CORRECT
    print(f"{name}: {'yours' if own else 'the reference, until yours passes its check'}")
    return answer if own else reference


def check_size(labels: list[int], units: list[int], classes: tuple[str, ...]) -> None:
    """Check that there are enough independent images of each class for three parts.

    Used in lesson 14.

    Raises:
        ValueError: if a class has too few.
    """
    for label, name in enumerate(classes):
        pairs = zip(labels, units, strict=True)
        count = len({unit for own, unit in pairs if own == label})
        if count < LEAST_UNITS:
            raise ValueError(
                f"the class {name!r} has {count} images that are no copies of each other, and "
                f"three parts need {LEAST_UNITS} or more: add some. Lesson 12 shows how to train "
                f"with fewer"
            )


def three_parts(labels: list[int], units: list[int], seed: int) -> tuple[list, list, list]:
    """Split into three parts of about 60, 20 and 20 percent, each unit in one of them.

    Used in lesson 14.

    Args:
        labels: (N,) of the images.
        units: (N,) the same number for images that belong together.
        seed: another seed gives another split.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, units)
    fifths = [fold.tolist() for _, fold in folds]
    return fifths[0] + fifths[1] + fifths[2], fifths[3], fifths[4]


def hide_middle(image: Image.Image) -> Image.Image:
    """Return a copy with grey over all but the outer eighth on every side. Used in lesson 14."""
    (width, height), covered = image.size, image.copy()
    box = (width // 8, height // 8, width - width // 8, height - height // 8)
    covered.paste((124, 116, 104), box)
    return covered


def choose(train_x: Any, train_y: Any, val_x: Any, val_y: Any) -> tuple[Any, dict[float, float]]:
    """Fit a logistic regression for each C; return the best on validation, and all scores.

    Used in lesson 14.
    """
    from sklearn.linear_model import LogisticRegression

    models = {c: LogisticRegression(C=c, max_iter=1000).fit(train_x, train_y) for c in CANDIDATES}
    scores = {c: model.score(val_x, val_y) for c, model in models.items()}
    return models[max(scores, key=scores.get)], scores
