"""Odd but legal values: a user's own folder of images, learning rates, in whole lessons.

Each case is a whole lesson with few images and one epoch, which goes through to its result.
"""

import shutil
from pathlib import Path

import numpy as np
import papermill
import pytest
from PIL import Image, ImageFilter

from tutorial_utils.batch import lessons

NOTEBOOKS = sorted(lessons.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
SHORT = {"epochs": 1, "seeds": 2, "weights": "demo"}
ODD = ("$a$$b", "_ants", "蟻 {x} %s", "50% \\x", "a" * 80)  # names of classes

pytestmark = [pytest.mark.long, pytest.mark.lessons]


def put(path: Path, seed: int) -> None:
    """Write an image of soft patches; each seed gives another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(values).resize((96, 72), Image.Resampling.BICUBIC)
    image.filter(ImageFilter.GaussianBlur(1)).save(path)


def make_set(root: Path, train: dict[str, int], val: dict[str, int]) -> Path:
    """Write so many images of each class."""
    seed = 0
    for split, counts in {"train": train, "val": val}.items():
        for label, count in counts.items():
            for number in range(count):
                seed += 1
                put(root / split / label / f"{number}.jpg", seed)
    return root


def run(lesson: str, tmp_path: Path, **parameters) -> dict:
    """Run a lesson in a copy of its folder, and return its result."""
    (notebook,) = (path for path in NOTEBOOKS if path.name.startswith(lesson))
    known = papermill.inspect_notebook(str(notebook))
    values = {name: value for name, value in (SHORT | parameters).items() if name in known}
    (tmp_path / "copy").mkdir(exist_ok=True)
    copy = shutil.copy(notebook, tmp_path / "copy")
    row = lessons.run_notebook(Path(copy), tmp_path / notebook.name, values)
    assert (row["status"], row["error"]) == ("ok", "")
    assert row["result"]["lesson"] == notebook.stem
    return row["result"]


@pytest.mark.parametrize(
    ("lesson", "count"),
    [*((f"{number:02}", 3) for number in (0, 1, 5, 6, 7, 8, 9, 10, 11, 13)), ("01", 5)],
)
def test_a_lesson_takes_more_classes_with_odd_names(lesson, count, tmp_path):
    names = ODD[:count]
    root = make_set(tmp_path / "mine", dict.fromkeys(names, 5), dict.fromkeys(names, 3))
    run(lesson, tmp_path, source=str(root))


@pytest.mark.parametrize(("lesson", "total"), [("09", 4), ("09", 19), ("11", 4), ("11", 30)])
def test_a_lesson_takes_few_validation_images(lesson, total, tmp_path):
    train, val = {"ants": 8, "bees": 7}, {"ants": total // 2, "bees": total - total // 2}
    run(lesson, tmp_path, source=str(make_set(tmp_path / "mine", train, val)))


@pytest.mark.parametrize("lesson", ["02", "03", "04"])
def test_a_lesson_takes_two_images_of_each_class(lesson, tmp_path):
    two = {"ants": 2, "bees": 2}
    run(lesson, tmp_path, source=str(make_set(tmp_path / "mine", two, two)))


@pytest.mark.parametrize(
    ("lesson", "lr"), [("06", 1e-3), ("06", 1.0), ("10", 1.0), ("11", 1.0), ("12", 1.0)]
)
def test_a_lesson_takes_every_learning_rate(lesson, lr, tmp_path):
    few = {"ants": 10, "bees": 10}
    root = make_set(tmp_path / "mine", few, few)
    folder = root / "train" if lesson == "12" else ""
    run(lesson, tmp_path, source=str(root), folder=str(folder), lr=lr)


def test_lesson_12_takes_two_hundred_classes(tmp_path):
    root = make_set(tmp_path / "mine", {f"class {number}": 3 for number in range(200)}, {})
    result = run("12", tmp_path, folder=str(root / "train"), val_percent=34, test_percent=33)
    assert result["peak_bytes"] < 2 * 2**30
    assert (tmp_path / "12_your_own_classes.ipynb").stat().st_size < 20e6
