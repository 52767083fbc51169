"""Read a set of images into memory: from a folder of classes, or from zip archives.

A source is laid out as torchvision's `ImageFolder` wants it: `train/<class>/` and `val/<class>/`,
or the classes alone. Archives hold the same paths. All images are decoded to one size, straight
into one tensor per split. Files that cannot be read are skipped and listed with the reason.
"""

import functools
import io
import itertools
import json
import math
import multiprocessing
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from tqdm.auto import tqdm

from tutorial_utils._support import arguments, files, folders, image_files

SPLITS = ("train", "val")
HELD_OUT = 20  # without a validation set, every twentieth image of each class is held out
SHOWN = 10  # skipped files that the summary names
PART = 500  # files that a process decodes at a time


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one size, and their labels.

    Attributes:
        images: (N, 3, S, S) uint8.
        labels: (N,) int64, from 0.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """Return a copy of the split whose tensors are on a device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Dataset:
    """All images of a source.

    Attributes:
        train: to train on.
        val: to measure on.
        classes: their names, sorted; a label is an index into this list.
        skipped: (name, reason) of every file that could not be read.
    """

    train: Split
    val: Split
    classes: list[str]
    skipped: list[tuple[str, str]]

    def to(self, device: torch.device) -> "Dataset":
        """Return a copy of the dataset whose images are on a device."""
        return replace(self, train=self.train.to(device), val=self.val.to(device))

    @property
    def summary(self) -> str:
        """How many images and classes there are, and which files were skipped, in one line."""
        text = f"{len(self.train):,} training and {len(self.val):,} validation images of "
        text += f"{len(self.classes)} classes"
        if self.skipped:
            named = "; ".join(f"{name} ({reason})" for name, reason in self.skipped[:SHOWN])
            more = len(self.skipped) - SHOWN
            text += f"; {len(self.skipped)} skipped: {named}{f' and {more} more' * (more > 0)}"
        return text


class _File(NamedTuple):
    """One image file: its split and class, and the folder or the archive that holds it."""

    split: str
    label: str
    source: Path
    name: str

    def read(self) -> bytes:
        if self.source.is_dir():
            return (self.source / self.name).read_bytes()
        return _archive(self.source).read(self.name)


def load(
    source: str | Path | Sequence[str | Path],
    *,
    side: int = 64,
    share: float = 1.0,
    jobs: int = 1,
    progress: bool = False,
) -> Dataset:
    """Decode all images of a source into memory.

    Memory: 3 * side * side bytes per image, and at the peak about 1,200 more for its path: 1.35 GB
    for 100,000 images of 64x64 from an archive, 1.2 GB afterwards.

    Args:
        source: a folder of images, a folder of zip archives, one archive or several.
        side: pixels of a side that images are brought to: the short side is resized, the middle
            is cut out.
        share: of the images of each split to use, spread evenly over the sorted files.
        jobs: processes that decode. The dataset is the same with any number. In a script, use
            more than one under `if __name__ == "__main__":`, because they import the script.
        progress: show a bar.

    Returns:
        The dataset. Without `val/`, every twentieth image of each class is held out.

    Raises:
        FileNotFoundError: if the source does not exist.
        ValueError: if it has fewer than two classes, or if nothing can be read of a class or of
            the validation set.
    """
    arguments.check_whole("side", side, 8)
    arguments.check_whole("jobs", jobs, 1)
    if not arguments.is_finite(share) or not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, not {share!r}")
    try:
        listed = _thin([file for part in _parts(source) for file in _list(part)], share)
        classes = sorted({file.label for file in listed})
        _check_classes(classes, source)
        with tqdm(total=len(listed), desc="decoding", disable=not progress) as bar:
            found = _fill(listed, _decoded(listed, side, jobs), classes, side, bar)
    finally:
        _archive.cache_clear()  # closes them
    _check_read(found)
    return found


def load_stored(path: Path, source: str | Path | Sequence[str | Path], **settings) -> Dataset:
    """Return what `load` returns, decoded once and stored in a file; progress is not part of it.

    Args:
        path: the file. It is written if it is missing or of other sources or settings.
        source: see `load`.
        settings: keyword arguments of `load`.

    Raises:
        FileNotFoundError: see `load`; also ValueError.
        OSError: if the file cannot be written.
    """
    sizes = [(str(part), part.stat().st_size) for part in _parts(source)]
    key = json.dumps([sizes, settings.get("side", 64), settings.get("share", 1.0)])
    if path.is_file():
        with safetensors.safe_open(path, "pt") as stored:
            about = stored.metadata() or {}
            if about.get("key") == key:
                splits = (
                    Split(stored.get_tensor(f"{name}.images"), stored.get_tensor(f"{name}.labels"))
                    for name in SPLITS
                )
                return Dataset(*splits, json.loads(about["classes"]), json.loads(about["skipped"]))
    found = load(source, **settings)
    about = {"key": key, "classes": json.dumps(found.classes), "skipped": json.dumps(found.skipped)}
    tensors = {
        f"{name}.{kind}": getattr(getattr(found, name), kind)
        for name in SPLITS
        for kind in ("images", "labels")
    }
    files.replace_file(
        path, lambda temporary: safetensors.torch.save_file(tensors, temporary, about)
    )
    return found


def _parts(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the folder, or the archives, that make up a source."""
    given = [source] if isinstance(source, str | Path) else list(source)
    paths = [Path(one).expanduser() for one in given]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}: give a folder of images, or zip archives")
    if len(paths) == 1 and paths[0].is_dir():
        return sorted(paths[0].glob("*.zip")) or paths
    for path in paths:
        _archive(path)
    return paths


@functools.cache
def _archive(path: Path) -> zipfile.ZipFile:
    """Return an archive, opened once in this process."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, IsADirectoryError, PermissionError) as error:
        raise ValueError(
            f"{path} is no zip archive: give one folder, or one or more zip archives"
        ) from error


def _list(part: Path) -> list[_File]:
    """Return the image files of a folder or an archive, sorted by path."""
    if part.is_dir():
        names = [path.as_posix() for path in sorted(folders.walk(part))]
    else:
        names = sorted(_archive(part).namelist())
    found = ((_split_and_class(PurePosixPath(name)), name) for name in names)
    return [_File(*where, part, name) for where, name in found if where]


def _split_and_class(path: PurePosixPath) -> tuple[str, str] | None:
    """Return the split and the class of an image's path, None for anything else."""
    if not folders.is_image_name(path) or not all(map(folders.is_visible, path.parts)):
        return None
    for index, part in enumerate(path.parts[:-2]):
        if part in SPLITS:
            return part, path.parts[index + 1]
    return ("train", path.parts[-2]) if len(path.parts) >= 2 else None


class _Filling:
    """A tensor of images that is filled from the front, so that nothing is held twice."""

    def __init__(self, capacity: int, side: int) -> None:
        self.images = torch.empty(capacity, 3, side, side, dtype=torch.uint8)
        self.labels: list[int] = []

    def add(self, image: Tensor, label: int) -> None:
        self.images[len(self.labels)] = image
        self.labels.append(label)

    def split(self) -> Split:
        labels = torch.tensor(self.labels, dtype=torch.int64)
        return Split(self.images[: len(labels)], labels)


def _thin(listed: list[_File], share: float) -> list[_File]:
    """Return a share of the files of each split, at equal distances."""
    kept = []
    for split in SPLITS:
        mine = [file for file in listed if file.split == split]
        kept += [
            file
            for index, file in enumerate(mine)
            if math.floor((index + 1) * share) > math.floor(index * share)
        ]
    return kept if share < 1 else listed


def _decoded(listed: list[_File], side: int, jobs: int) -> Iterator[np.ndarray | str]:
    """Yield each file's image (3, side, side) uint8, or why it cannot be read, in order."""
    if jobs == 1:
        yield from (_decode(file, side) for file in listed)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(_decode, listed, itertools.repeat(side), chunksize=PART)


def _fill(
    listed: list[_File],
    decoded: Iterator[np.ndarray | str],
    classes: list[str],
    side: int,
    bar: tqdm,
) -> Dataset:
    """Collect the images of a dataset; without a validation set, some are held out."""
    hold_out = all(file.split == "train" for file in listed)
    fillings = {name: _Filling(size, side) for name, size in _sizes(listed, hold_out).items()}
    labels = {name: index for index, name in enumerate(classes)}
    seen: Counter[str] = Counter()
    skipped: list[tuple[str, str]] = []
    for file, image in zip(listed, decoded, strict=True):
        bar.update()
        if isinstance(image, str):
            skipped.append((file.name, image))
            continue
        split = "val" if hold_out and seen[file.label] % HELD_OUT == 0 else file.split
        seen[file.label] += 1
        fillings[split].add(torch.from_numpy(image), labels[file.label])
    return Dataset(*(fillings[name].split() for name in SPLITS), classes, skipped)


def _sizes(listed: list[_File], hold_out: bool) -> dict[str, int]:
    """Return how many images each split has if all can be read."""
    sizes = Counter(dict.fromkeys(SPLITS, 0))
    sizes.update(file.split for file in listed)
    if hold_out:
        of_class = Counter(file.label for file in listed).values()
        sizes["val"] = sum(math.ceil(count / HELD_OUT) for count in of_class)
        sizes["train"] -= sizes["val"]
    return sizes


def _decode(file: _File, side: int) -> np.ndarray | str:
    """Return a file's image as (3, side, side) uint8, or why it cannot be read."""
    try:
        return _read_image(file.read(), side)
    except Exception as error:  # Pillow raises nearly anything for a damaged file
        return image_files.reason(error)


def _read_image(content: bytes, side: int) -> np.ndarray:
    image = image_files.decode(io.BytesIO(content))
    if image.size != (side, side):
        scale = side / min(image.size)
        size = tuple(max(side, math.floor(length * scale + 0.5)) for length in image.size)
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = ((length - side) // 2 for length in size)
        image = image.crop((left, top, left + side, top + side))
    return np.array(image).transpose(2, 0, 1)


def _check_classes(classes: list[str], source: object) -> None:
    if len(classes) < 2:
        found = f"only one class, {classes[0]!r}" if classes else "no class with images"
        raise ValueError(
            f"{source} has {found}: at least two are needed, as folders train/<class>/ and "
            f"val/<class>/ with images ({', '.join(IMG_EXTENSIONS)}) in them"
        )


def _check_read(found: Dataset) -> None:
    counts = torch.bincount(found.train.labels, minlength=len(found.classes)).tolist()
    empty = [name for name, count in zip(found.classes, counts, strict=True) if count == 0]
    if empty or not len(found.val):
        what = f"training image of {', '.join(empty)}" if empty else "validation image"
        raise ValueError(
            f"no {what} could be read; {len(found.skipped)} files were skipped: "
            + "; ".join(f"{name} ({reason})" for name, reason in found.skipped[:5])
        )
