"""Read a set of images into memory: from a folder of classes, or from zip archives.

A source is laid out as torchvision's `ImageFolder` wants it: `train/<class>/` and `val/<class>/`,
or the classes alone. Archives hold the same paths. All images are decoded to one size, straight
into one tensor per split. Files that cannot be read are skipped and listed with the reason.
"""

import io
import math
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from tqdm.auto import tqdm

from tutorial_utils._support import arguments, folders, image_files

SPLITS = ("train", "val")
HELD_OUT = 20  # without a validation set, every twentieth image of each class is held out
SHOWN = 10  # skipped files that the summary names


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
    """One image file: its split and class, and where its bytes are."""

    split: str
    label: str
    source: Path | zipfile.ZipFile
    name: str

    def read(self) -> bytes:
        if isinstance(self.source, zipfile.ZipFile):
            return self.source.read(self.name)
        return (self.source / self.name).read_bytes()


def load(
    source: str | Path | Sequence[str | Path], *, side: int = 64, progress: bool = False
) -> Dataset:
    """Decode all images of a source into memory.

    Memory: 3 * side * side bytes per image, and at the peak about 1,200 more for its path: 1.35 GB
    for 100,000 images of 64x64 from an archive, 1.2 GB afterwards.

    Args:
        source: a folder of images, a folder of zip archives, one archive or several.
        side: pixels of a side that images are brought to: the short side is resized, the middle
            is cut out.
        progress: show a bar.

    Returns:
        The dataset. Without `val/`, every twentieth image of each class is held out.

    Raises:
        FileNotFoundError: if the source does not exist.
        ValueError: if it has fewer than two classes, or if nothing can be read of a class or of
            the validation set.
    """
    arguments.check_whole("side", side, 8)
    with ExitStack() as stack:
        files = [file for part in _open_parts(source, stack) for file in _list(part)]
        classes = sorted({file.label for file in files})
        _check_classes(classes, source)
        found = _decode_all(files, classes, side, progress)
    _check_read(found)
    return found


def _open_parts(
    source: str | Path | Sequence[str | Path], stack: ExitStack
) -> list[Path | zipfile.ZipFile]:
    """Return the folder, or the opened archives, that make up a source."""
    given = [source] if isinstance(source, str | Path) else list(source)
    paths = [Path(one).expanduser() for one in given]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}: give a folder of images, or zip archives")
    if len(paths) == 1 and paths[0].is_dir():
        archives = sorted(paths[0].glob("*.zip"))
        if not archives:
            return list(paths)
        paths = archives
    return [stack.enter_context(_open_archive(path)) for path in paths]


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, IsADirectoryError, PermissionError) as error:
        raise ValueError(
            f"{path} is no zip archive: give one folder, or one or more zip archives"
        ) from error


def _list(part: Path | zipfile.ZipFile) -> list[_File]:
    """Return the image files of a folder or an archive, sorted by path."""
    if isinstance(part, zipfile.ZipFile):
        names = sorted(part.namelist())
    else:
        names = [path.as_posix() for path in sorted(folders.walk(part))]
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


def _decode_all(files: list[_File], classes: list[str], side: int, progress: bool) -> Dataset:
    hold_out = all(file.split == "train" for file in files)
    fillings = {name: _Filling(size, side) for name, size in _sizes(files, hold_out).items()}
    labels = {name: index for index, name in enumerate(classes)}
    seen: Counter[str] = Counter()
    skipped: list[tuple[str, str]] = []
    for file in tqdm(files, desc="decoding", disable=not progress):
        try:
            image = _decode(file.read(), side)
        except Exception as error:  # Pillow raises nearly anything for a damaged file
            skipped.append((file.name, image_files.reason(error)))
            continue
        split = "val" if hold_out and seen[file.label] % HELD_OUT == 0 else file.split
        seen[file.label] += 1
        fillings[split].add(image, labels[file.label])
    return Dataset(*(fillings[name].split() for name in SPLITS), classes, skipped)


def _sizes(files: list[_File], hold_out: bool) -> dict[str, int]:
    """Return how many images each split has if all can be read."""
    sizes = Counter(dict.fromkeys(SPLITS, 0))
    sizes.update(file.split for file in files)
    if hold_out:
        of_class = Counter(file.label for file in files).values()
        sizes["val"] = sum(math.ceil(count / HELD_OUT) for count in of_class)
        sizes["train"] -= sizes["val"]
    return sizes


def _decode(content: bytes, side: int) -> Tensor:
    """Return an image as (3, side, side) uint8."""
    image = image_files.decode(io.BytesIO(content))
    if image.size != (side, side):
        scale = side / min(image.size)
        size = tuple(max(side, math.floor(length * scale + 0.5)) for length in image.size)
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = ((length - side) // 2 for length in size)
        image = image.crop((left, top, left + side, top + side))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


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
