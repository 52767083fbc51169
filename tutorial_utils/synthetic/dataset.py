"""A whole set of synthetic images on disk, and the seed behind each of its files."""

import contextlib
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tutorial_utils.synthetic.images import CLASSES, jpeg_bytes, make_generator

SEED_STEP = 100_000  # between the seeds of a set's first training and its first validation image
UNFINISHED = ".unfinished-"  # begins the name of the hidden folder in which a set is drawn
ABANDONED_S = 3600.0  # one that has not changed for so long was left by a killed process


def write(
    folder: str | Path,
    *,
    train: dict[str, int] | None = None,
    val: dict[str, int] | None = None,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a whole set, laid out as torchvision's `ImageFolder` reads it. Used in lesson 13.

    The images are drawn into a hidden folder inside `folder`, and `train` and `val` are moved out
    of it when all are there: an interrupt leaves no images that look like a set.

    In a script, call this with more than one job under `if __name__ == "__main__":`, because the
    new processes import the script.

    Args:
        folder: receives `train/ants`, `train/bees`, `val/ants` and `val/bees`.
        train: images of each class; None for 123 ants and 121 bees, as in the photographs.
        val: the same for validation; None for 70 ants and 83 bees.
        seed: another seed draws another set, without an image in common.
        jobs: number of processes. The files are the same with any number.
        progress: called after each image with the number done and the number in all.

    Returns:
        The folder.

    Raises:
        ValueError: if a label is unknown, a count or the seed is negative, or there is no job.
        FileExistsError: if the folder already holds `train` or `val`.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; give 1 or more.")
    counts = {
        "train": {"ants": 123, "bees": 121} if train is None else train,
        "val": {"ants": 70, "bees": 83} if val is None else val,
    }
    folder = Path(folder)
    list(_plan(folder, counts, seed))  # raises before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    _check_free(folder)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder) as room:
        _write_plan(list(_plan(Path(room), counts, seed)), jobs, progress)
        _check_free(folder)
        for split in sorted(Path(room).iterdir()):
            os.replace(split, folder / split.name)
    return folder


def is_unfinished(path: Path) -> bool:
    """Return whether `write` draws images in this folder, or left it when it was killed."""
    return path.name.startswith(UNFINISHED)


def _check_free(folder: Path) -> None:
    """Check that a folder holds no set yet, and delete what killed processes left in it."""
    for split in ("train", "val"):
        if os.path.lexists(folder / split):
            raise FileExistsError(f"{folder} already holds {split}: choose a new folder")
    for path in filter(is_unfinished, folder.iterdir()):
        with contextlib.suppress(OSError):  # another process deletes its own
            newest = max(inner.stat().st_mtime for inner in (path, *path.rglob("*")))
            if time.time() - newest > ABANDONED_S:
                shutil.rmtree(path)


def _write_plan(
    plan: list[tuple[Path, str, int]], jobs: int, progress: Callable[[int, int], None] | None
) -> None:
    """Write the images of a plan in so many processes."""
    for path in dict.fromkeys(path.parent for path, _, _ in plan):
        path.mkdir(parents=True, exist_ok=True)
    if jobs == 1:
        _count(map(_write_image, plan), len(plan), progress)
    else:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        with ProcessPoolExecutor(jobs, context, _end_with_parent) as pool:
            _count(pool.map(_write_image, plan, chunksize=20), len(plan), progress)


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


def _write_image(image: tuple[Path, str, int]) -> None:
    """Write one image of a plan."""
    path, label, number = image
    path.write_bytes(jpeg_bytes(label, seed=number))


def _end_with_parent() -> None:
    """End this process when its parent ends, even by a kill; else it would wait for work."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _count(
    written: Iterator[None], total: int, progress: Callable[[int, int], None] | None
) -> None:
    """Wait for every image, and report how many are done."""
    for done, _ in enumerate(written, start=1):
        if progress:
            progress(done, total)


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
