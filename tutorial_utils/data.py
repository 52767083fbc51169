"""The images: loading them, listing what is wrong with them, and batches for a network.

All sources, see `load`, are laid out for `ImageFolder`: `train/<class>/` and `val/<class>/`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from tutorial_utils._support import files, folders, image_files, image_layout, image_sources
from tutorial_utils._support.arguments import check_choice, check_share, check_whole
from tutorial_utils._support.cache import cache_dir as cache_dir
from tutorial_utils._support.cache import get_or_create as get_or_create
from tutorial_utils._support.folders import printable
from tutorial_utils._support.image_files import open_image as open_image
from tutorial_utils._support.image_files import read_image as read_image
from tutorial_utils._support.image_sources import SOURCES as SOURCES
from tutorial_utils._support.image_sources import SPLITS as SPLITS
from tutorial_utils._support.presets import Preset

# A folder with these counts and this file holds the course's photographs.
PHOTOGRAPHS = {"train": {"ants": 123, "bees": 121}, "val": {"ants": 70, "bees": 83}}
LANDMARK = Path("train/ants/0013035.jpg")


class Problem(NamedTuple):
    """A file that should be an image and cannot be used.

    Attributes:
        path: relative to the folder that was audited.
        reason: why, in a few words.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Audit:
    """What a folder of images holds.

    Attributes:
        counts: readable images, by split and class. A folder without `train` and `val` is one
            split, named ".".
        problems: files that have an image's name and cannot be used.
        odd: files and folders that are not read, each with the reason.
    """

    counts: dict[str, dict[str, int]]
    problems: tuple[Problem, ...]
    odd: tuple[str, ...]

    def __str__(self) -> str:
        """Return a table of the counts, then one line for each problem and each odd file."""
        rows = [("split", "class", "images", "problems")]
        for split, counts in self.counts.items():
            for label, count in counts.items():
                bad = [p for p in self.problems if p.path.is_relative_to(Path(split, label))]
                rows.append((split, label, str(count), str(len(bad))))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{split:{widths[0]}}  {label:{widths[1]}}  {count:>{widths[2]}}  {bad:>{widths[3]}}"
            for split, label, count, bad in rows
        ]
        lines += [f"problem: {printable(path)}: {reason}" for path, reason in self.problems]
        return "\n".join(lines + [f"odd: {note}" for note in self.odd])


class ImageFolder(torchvision.datasets.ImageFolder):
    """torchvision's, except that hidden folders, such as .ipynb_checkpoints, are no classes."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class names in alphabetical order, and the index of each."""
        classes = folders.subfolders(Path(directory))
        return classes, {label: index for index, label in enumerate(classes)}

    @staticmethod
    def make_dataset(
        directory: str | Path,
        class_to_idx: dict[str, int],
        extensions: object = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """Return the pairs of a file and a label, in torchvision's order, without endless loops."""
        valid, folder = is_valid_file or folders.is_image_name, Path(directory)
        named = ((str(folder / path), path.parts) for path in folders.walk(folder))
        found = [(file, parts[0]) for file, parts in named if len(parts) > 1 and valid(file)]
        empty = sorted(set(class_to_idx) - {label for _, label in found})
        if empty and not allow_empty:
            raise FileNotFoundError(f"{folder} holds no image of {', '.join(empty)}")
        return [(file, class_to_idx[label]) for file, label in found]


@dataclass(frozen=True)
class ImageSet:
    """A set of images that was found and audited.

    Attributes:
        root: the folder that holds `train` and `val`.
        origin: the source that was used: "folder", "cache", "download" or "synthetic".
        kind: "photographs" (the 397 of the course), "synthetic images" or "own folder".
        summary: one line: the number of images, their kind and their source.
        audit: what the folder holds.
        classes: the class names in the order of their labels.
    """

    root: Path
    origin: str
    kind: str
    summary: str
    audit: Audit
    classes: tuple[str, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many readable images there are, by split and class."""
        return {split: dict(counts) for split, counts in self.audit.counts.items()}

    def dataset(
        self,
        split: str,
        transform: Callable | None = None,
        *,
        least_side: int | None = None,
        in_memory: bool = False,
    ) -> ImageFolder:
        """Return the images of one split, without the files that cannot be read.

        Args:
            split: "train" or "val".
            transform: turns a PIL image into the network's input; None leaves PIL images.
            least_side: decode a JPEG to a half, a quarter or an eighth of its size, as long as
                no side has fewer pixels than this; faster, and slightly different pixels.
            in_memory: keep each decoded image for later epochs: three bytes a pixel.

        Raises:
            ValueError: if the split is unknown or `least_side` is not a whole number from 1.
        """
        check_choice("split", split, SPLITS)
        if least_side is not None:
            check_whole("least_side", least_side, 1)
        folder = self.root / split
        usable = {str(folder / path) for path in _listings(self.root)[split]}
        usable -= {str(self.root / problem.path) for problem in self.audit.problems}
        opened = functools.partial(open_image, least_side=least_side)
        loader = functools.cache(opened) if in_memory else opened
        found = ImageFolder(folder, transform, loader=loader, is_valid_file=usable.__contains__)
        found.least_side = least_side
        return found


def load(source: str | Path = "auto", *, quiet: bool = False) -> ImageSet:
    """Find the images, audit them, and print one line with their source and number.

    Used in lessons 00 to 11 and 13.

    Args:
        source: one of `SOURCES`, or a folder. "auto" takes the first that has images: the folder
            in ANTS_BEES_DIR, the photographs in the cache, the download, the synthetic images. Any
            other source never falls back.
        quiet: print nothing.

    Raises:
        ValueError: if the source is unknown, or the folder's classes are too few, empty, or differ
            between train and val.
        FileNotFoundError: if there is no folder, it lacks train or val, or the cache is empty.
        ConnectionError: if source="download" fails.
        PermissionError: if the cache cannot be written.
    """
    found = image_sources.find(source, quiet=quiet)
    image_layout.check_layout(found.root, found.clause)
    report = audit(found.root)
    _check_left(found.root, report)
    kind = found.kind or _kind_of(found.root, report)
    summary = _summary(kind, report, found.clause)
    if not quiet:
        print("\n".join([summary, *_skipped(report)]), flush=True)
    classes = tuple(report.counts["train"])
    return ImageSet(found.root, found.origin, kind, summary, report, classes)


def audit(folder: str | Path) -> Audit:
    """Return what a folder of images holds, after decoding every image.

    Used in lesson 01.

    Args:
        folder: holds `train/<class>/` and `val/<class>/`, one of the two, or `<class>/` itself.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if it is a file.
    """
    root = files.as_path(folder)
    image_layout.check_folder(root)
    odd: list[str] = []
    if there := _splits(root):
        others = [name for name in folders.subfolders(root) if name not in there]
        odd += [f"{printable(name)}/: only train and val are read" for name in others]
    listings = _listings(root, odd)
    counts, problems = {}, []
    for split, paths in listings.items():
        counts[split] = dict.fromkeys(folders.subfolders(root / split), 0)
        for path in paths:
            if reason := folders.name_fault(path) or image_files.fault(root / split / path):
                problems.append(Problem(split / path, reason))
            else:
                counts[split][path.parts[0]] += 1
    return Audit(counts, tuple(problems), tuple(odd))


def loader(dataset: Dataset, *, batch_size: int = 20, shuffle: bool = False) -> DataLoader:
    """Return batches of a data set, shuffled by torch's global generator if at all.

    Used in lessons 04 to 12.

    Args:
        dataset: of pairs of a tensor and a label.
        batch_size: images per batch; the last batch may be shorter.
        shuffle: draw a new order for every epoch.

    Raises:
        ValueError: if `batch_size` is not a whole number from 1, or the data set is empty or
            holds PIL images.
    """
    check_whole("batch_size", batch_size, 1)
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to load")
    if isinstance(dataset, ImageFolder) and dataset.transform is None:
        raise ValueError(
            "the data set holds PIL images, which cannot be batched: make it with a transform, "
            "such as images.dataset('train', weights.transforms())"
        )
    return DataLoader(dataset, batch_size=int(batch_size), shuffle=shuffle)


def example_index(dataset: ImageFolder) -> int:
    """Return the index of an image that shows one clear insect, see `image_sources.EXAMPLES`.

    Used in lessons 02 and 03.

    Args:
        dataset: of the validation images; the index is 0 where it holds none of the examples.
    """
    names = [Path(path).name for path, _ in dataset.samples]
    return next((names.index(name) for name in image_sources.EXAMPLES if name in names), 0)


def augmented(
    preset: Preset,
    *,
    least_area: float = 0.5,
    flip: float = 0.5,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
) -> v2.Compose:
    """Return a training transform: random crop, flip and colours, then the preset's normalisation.

    Used in lessons 01, 06 and 09.

    Args:
        preset: of the weights, `weights.transforms()`, for its size, mean and standard deviation.
        least_area: the smallest share of the image's area that a random crop keeps, above 0 to 1.
        flip: the probability of a horizontal flip, 0 to 1.
        brightness: the largest relative change, 0 to 1.
        contrast: the largest relative change, 0 to 1.
        saturation: the largest relative change, 0 to 1.

    Returns:
        Maps a PIL image to a float32 tensor (3, H, W).

    Raises:
        TypeError: if `preset` is not a preset of weights.
        ValueError: if a strength is out of its range.
    """
    wanted = ("crop_size", "interpolation", "mean", "std")
    if missing := [name for name in wanted if not hasattr(preset, name)]:
        raise TypeError(
            f"augmented needs the weights' preset, weights.transforms(); this "
            f"{type(preset).__name__} has no {', '.join(missing)}"
        )
    jitter = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    for name, value in {"least_area": least_area, "flip": flip, **jitter}.items():
        check_share(name, value, zero=name != "least_area")
    return v2.Compose(
        [
            v2.RandomResizedCrop(
                preset.crop_size[0], scale=(least_area, 1.0), interpolation=preset.interpolation
            ),
            v2.RandomHorizontalFlip(flip),
            v2.ColorJitter(**jitter),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=preset.mean, std=preset.std),
        ]
    )


def _splits(root: Path) -> list[str]:
    return [split for split in SPLITS if (root / split).is_dir()]


def _listings(root: Path, odd: list[str] | None = None) -> dict[str, list[Path]]:
    """Return the files that should be images, by split, relative to it.

    Args:
        root: holds `train` and `val`, one of the two, or the classes, which are the split ".".
        odd: gets a line for each file and folder that is not read, with the reason.
    """
    odd, seen, listings = [] if odd is None else odd, set(), {}

    def pass_over(path: Path, reason: str, end: str = "/") -> None:
        odd.append(f"{printable(split / path)}{end}: {reason}")

    for split in _splits(root) or ["."]:
        walk = {"hidden": True, "report": pass_over, "root": root, "seen": seen}
        listings[split] = []
        for path in folders.walk(root / split, **walk):
            if reason := image_layout.oddity(path):
                pass_over(path, reason, "")
            else:
                listings[split].append(path)
    return listings


def _check_left(root: Path, report: Audit) -> None:
    """Check that no class has lost all its images to problems."""
    for split, counts in report.counts.items():
        for label, count in counts.items():
            if count == 0:
                folder = Path(split, label)
                bad = [p for p in report.problems if p.path.is_relative_to(folder)]
                raise ValueError(
                    f"no image of the class {folder.as_posix()} of {root} can be used: "
                    f"{_named(bad)}. Replace them; data.audit lists all"
                )


def _kind_of(root: Path, report: Audit) -> str:
    known = report.counts == PHOTOGRAPHS and (root / LANDMARK).is_file()
    return "photographs" if known else "own folder"


def _summary(kind: str, report: Audit, clause: str) -> str:
    sums = {split: sum(counts.values()) for split, counts in report.counts.items()}
    what = "images of your own" if kind == "own folder" else kind
    parts = ", ".join(f"{count} {split}" for split, count in sums.items())
    return f"images: {sum(sums.values())} {what}, {parts} ({clause})"


def _skipped(report: Audit) -> list[str]:
    """Return one line for each kind of problem, with the names of its files."""
    groups: dict[str, list[Problem]] = {}
    for problem in report.problems:
        groups.setdefault(problem.reason, []).append(problem)
    return [
        f"skipped {len(group)}, {reason}: {_named(group, reasons=False)}"
        for reason, group in groups.items()
    ]


def _named(problems: list[Problem], *, reasons: bool = True, limit: int = 10) -> str:
    names = [
        f"{printable(path)} ({reason})" if reasons else printable(path)
        for path, reason in problems[:limit]
    ]
    more = len(problems) - limit
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
