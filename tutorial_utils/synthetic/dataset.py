"""A whole set of synthetic images on disk, and the seed behind each of its files."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tutorial_utils.synthetic.images import CLASSES, jpeg_bytes, make_generator

SEED_STEP = 100_000  # between the seeds of a set's first training and its first validation image


def write(
    folder: str | Path,
    *,
    train: dict[str, int] | None = None,
    val: dict[str, int] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a whole set, laid out as torchvision's `ImageFolder` reads it.

    Args:
        folder: receives `train/ants`, `train/bees`, `val/ants` and `val/bees`.
        train: images of each class; None for 123 ants and 121 bees, as in the photographs.
        val: the same for validation; None for 70 ants and 83 bees.
        seed: another seed draws another set, without an image in common.
        progress: called after each image with the number done and the number in all.

    Returns:
        The folder.

    Raises:
        ValueError: if a label is unknown or a count or the seed is negative.
    """
    counts = {
        "train": {"ants": 123, "bees": 121} if train is None else train,
        "val": {"ants": 70, "bees": 83} if val is None else val,
    }
    jobs = list(_plan(Path(folder), counts, seed))
    for done, (path, label, number) in enumerate(jobs, start=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(label, seed=number))
        if progress:
            progress(done, len(jobs))
    return Path(folder)


def origin(path: str | Path) -> tuple[str, int]:
    """Return the label and the seed of an image of the set, from its path. Used in lesson 11.

    Args:
        path: a path from `write` with seed 0; it ends with e.g. `val/bees/bee_0007.jpg`.

    Raises:
        ValueError: if `write` gives no image such a path.
    """
    path = Path(path)
    label, (name, _, number) = path.parent.name, path.stem.partition("_")
    split = {"train": 0, "val": 1}.get(path.parent.parent.name)
    if split is None or label not in CLASSES or name != label[:-1] or not number.isdecimal():
        raise ValueError(
            f"{path} is no image of the synthetic set; its path must end like "
            f"val/bees/bee_0007.jpg. Give a path from data.load('synthetic')"
        )
    return label, split * SEED_STEP + int(number)


def _plan(
    folder: Path, counts: dict[str, dict[str, int]], seed: int
) -> Iterator[tuple[Path, str, int]]:
    """Yield path, label and seed of every image of a set; raise for what cannot be drawn."""
    for split, (name, labels) in enumerate(counts.items()):
        for label, count in labels.items():
            make_generator(label, seed)
            if count < 0:
                raise ValueError(f"{name} has {count} {label}; give 0 or more.")
            for index in range(count):
                path = folder / name / label / f"{label[:-1]}_{index:04d}.jpg"
                yield path, label, (2 * seed + split) * SEED_STEP + index
