"""A folder of three classes, ants, bees and no insect, with the faults that real folders have."""

from pathlib import Path

from PIL import Image

from tutorial_utils.synthetic import images

CLASSES = ("ants", "bees", "no insect")
VERSION = 1  # increase whenever `write` gives other files
# The seeds of the course's other synthetic images are below.
FIRST_INSECT, FIRST_GROUND = 3000, 5000


def write(folder: str | Path, *, each: int = 90) -> Path:
    """Write one folder per class, always the same files. Used in lesson 12.

    Beside the images there are a copy at half its size, a truncated image, a text and a hidden
    file.

    Args:
        folder: receives the folders of `CLASSES`.
        each: images of each class, copies and truncated ones not counted.

    Returns:
        The folder.
    """
    folder = Path(folder)
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            _draw(name, number).save(folder / name / f"{number:03}.jpg", quality=90)
    _add_faults(folder)
    return folder


def _draw(name: str, number: int) -> Image.Image:
    if name == "no insect":
        ground = CLASSES[number % 2]  # half of the grounds are of ants
        return images.background(ground, seed=FIRST_GROUND + number)
    return images.draw(name, seed=FIRST_INSECT + number)


def _add_faults(folder: Path) -> None:
    first = folder / "ants" / "000.jpg"
    with Image.open(first) as image:
        image.reduce(2).save(folder / "ants" / "000 small.jpg", quality=80)
    whole = first.read_bytes()
    (folder / "bees" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "bees" / "notes.txt").write_text("sort these")
    (folder / "bees" / ".hidden.jpg").write_bytes(whole)
