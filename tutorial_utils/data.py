"""The images: where they come from, what is wrong with them, and how a network gets them.

`load` asks the sources in order and says which one answered: a folder of your own, the cache, the
download, the synthetic images. All of them are laid out as torchvision's `ImageFolder`
reads them: `train/<class>/` and `val/<class>/`.

Sources:
    The photographs of ants and bees, a part of ImageNet collected for PyTorch's tutorial:
    https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html
    EXIF orientation: CIPA DC-008, "Exchangeable image file format", 4.6.5
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms import v2

from tutorial_utils import synthetic
from tutorial_utils._support import cache, connection, downloads, image_files
from tutorial_utils._support.image_files import open_image as open_image
from tutorial_utils._support.image_files import read_image as read_image
from tutorial_utils._support.presets import Preset

SOURCES = ("auto", "folder", "cache", "download", "synthetic")
SPLITS = ("train", "val")

URL = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"
SHA256 = "fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209"
SIZE_BYTES = 47_286_322

# By these the photographs are known when they come from a folder.
PHOTOGRAPHS = {"train": {"ants": 123, "bees": 121}, "val": {"ants": 70, "bees": 83}}
LANDMARK = Path("train/ants/0013035.jpg")

LAYOUT = "expected are train/<class>/ and val/<class>/ with images in them"


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
        odd: files and folders that are left out for what they are, each with the reason.
    """

    counts: dict[str, dict[str, int]]
    problems: tuple[Problem, ...]
    odd: tuple[str, ...]

    def __str__(self) -> str:
        """Return a table of the counts, then the problems and the odd ones line by line."""
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
        lines += [
            f"problem: {problem.path.as_posix()}: {problem.reason}" for problem in self.problems
        ]
        return "\n".join(lines + [f"odd: {note}" for note in self.odd])


class ImageFolder(torchvision.datasets.ImageFolder):
    """torchvision's, except that a hidden folder (such as .ipynb_checkpoints) is no class."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class names in alphabetical order, and the index of each."""
        classes = _visible_folders(Path(directory))
        return classes, {label: index for index, label in enumerate(classes)}


@dataclass(frozen=True)
class ImageSet:
    """A set of images that was found and looked through.

    Attributes:
        root: the folder that holds `train` and `val`.
        origin: which source answered: "folder", "cache", "download" or "synthetic".
        kind: "photographs" (the 397 of the course), "synthetic images" or "own folder".
        summary: one line, saying what it is and where it came from.
        audit: what was found in it.
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
            transform: turns a PIL image into what the network wants; None leaves PIL images.
            least_side: decode a JPEG to a half, a quarter or an eighth of its size, as long as
                no side has fewer pixels than this; faster, and slightly different pixels.
            in_memory: decode each image once and keep it, so that later epochs need not: three
                bytes a pixel.

        Raises:
            ValueError: if the split is unknown or `least_side` is no whole number from 1.
        """
        if least_side is not None and (not isinstance(least_side, Integral) or least_side < 1):
            raise ValueError(f"least_side must be a whole number from 1, not {least_side!r}")
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; allowed: {', '.join(SPLITS)}")
        bad = {problem.path for problem in self.audit.problems}

        def usable(file: str) -> bool:
            path = Path(file).relative_to(self.root)
            return _oddity(path.relative_to(split)) is None and path not in bad

        folder = self.root / split
        opened = functools.partial(open_image, least_side=least_side)
        loader = functools.cache(opened) if in_memory else opened
        found = ImageFolder(folder, transform, loader=loader, is_valid_file=usable)
        found.least_side = least_side
        return found


def load(source: str | Path = "auto", *, quiet: bool = False) -> ImageSet:
    """Find the images, look through them, and say in one line which they are.

    Args:
        source: one of `SOURCES`, or a folder. "auto" takes the first that is there: the folder in
            ANTS_BEES_DIR, the photographs in the cache, the download, the synthetic images. Any
            other source never falls back.
        quiet: print nothing.

    Raises:
        ValueError: if the source is unknown, or the folder's classes are too few, empty, or differ
            between train and val.
        FileNotFoundError: if there is no folder, it lacks train or val, or the cache holds nothing.
        ConnectionError: if the download was asked for and cannot be had.
        PermissionError: if the cache cannot be written.
    """
    found = _find(source, quiet)
    _check_layout(found.root, found.clause)
    report = audit(found.root)
    _check_left(found.root, report)
    kind = found.kind or _kind_of(found.root, report)
    line = _summary(kind, report, found.clause)
    if not quiet:
        print("\n".join([line, *_skipped(report)]), flush=True)
    classes = tuple(report.counts["train"])
    return ImageSet(found.root, found.origin, kind, line, report, classes)


def audit(folder: str | Path) -> Audit:
    """Look through a folder of images, decoding every one, and list what is wrong.

    Args:
        folder: holds `train/<class>/` and `val/<class>/`, one of the two, or `<class>/` itself.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if it is a file.
    """
    root = Path(folder).expanduser().absolute()
    _check_folder(root)
    splits = [split for split in SPLITS if (root / split).is_dir()] or ["."]
    counts, problems, odd = {}, [], []
    if splits != ["."]:
        others = sorted(set(_visible_folders(root)) - set(splits))
        odd += [f"{name}/: only train and val are read" for name in others]
    for split in splits:
        counts[split] = dict.fromkeys(_visible_folders(root / split), 0)
        for path in _files(root / split):
            name = Path(split) / path
            if note := _oddity(path):
                odd.append(f"{name.as_posix()}: {note}")
            elif fault := image_files.fault(root / name):
                problems.append(Problem(name, fault))
            else:
                counts[split][path.parts[0]] += 1
    return Audit(counts, tuple(problems), tuple(odd))


def loader(dataset: Dataset, *, batch_size: int = 20, shuffle: bool = False) -> DataLoader:
    """Return batches of a data set, in an order that torch's global generator decides.

    Args:
        dataset: gives pairs of a tensor and a label.
        batch_size: images per batch; the last batch may be shorter.
        shuffle: draw a new order for every pass.

    Raises:
        ValueError: if `batch_size` is not a whole number from 1, or the data set is empty or
            gives PIL images.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number from 1, not {batch_size!r}")
    if len(dataset) == 0:
        raise ValueError("the data set is empty: there is nothing to load")
    if isinstance(dataset, ImageFolder) and dataset.transform is None:
        raise ValueError(
            "the data set gives PIL images, which cannot be batched: make it with a transform, "
            "such as images.dataset('train', weights.transforms())"
        )
    return DataLoader(dataset, batch_size=int(batch_size), shuffle=shuffle)


def augmented(
    preset: Preset,
    *,
    least_area: float = 0.5,
    flip: float = 0.5,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
) -> v2.Compose:
    """Return a training transform that varies every image a little, sized as the weights want.

    Args:
        preset: the weights' own, `weights.transforms()`; its size, mean and standard deviation
            are kept.
        least_area: the least share of the image's area that a random cut keeps, above 0 to 1.
        flip: how probable a mirror image is, 0 to 1.
        brightness: by which share it is changed at most, 0 to 1; 0 leaves it as it is. Likewise
            `contrast` and `saturation`.
        contrast: see `brightness`.
        saturation: see `brightness`.

    Returns:
        Maps a PIL image to a float32 tensor (3, H, W). As it comes: a random cut of at least
        half the area, mirrored every other time, with brightness, contrast and saturation changed
        by up to a fifth.

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
        _check_share(name, value, zero=name != "least_area")
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


def _check_share(name: str, value: object, *, zero: bool) -> None:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not (0 <= value <= 1) or (value == 0 and not zero):
        allowed = "from 0 to 1" if zero else "above 0, and 1 at most"
        raise ValueError(f"{name} must be a number {allowed}, not {value!r}")


# The sources: where the images come from.


class _Found(NamedTuple):
    root: Path
    origin: str
    kind: str | None  # None: not known before the folder is looked through
    clause: str


def _find(source: str | Path, quiet: bool) -> _Found:
    """Ask the source, or for "auto" all of them in order."""
    if isinstance(source, os.PathLike) or _looks_like_folder(source):
        root = Path(source).expanduser().absolute()
        return _Found(root, "folder", None, f"the folder {source}")
    if source == "auto":
        return _find_any(quiet)
    ask = {
        "folder": _from_folder,
        "cache": _from_cache,
        "download": lambda: _from_download(quiet),
        "synthetic": lambda: _synthetic("asked for by name", quiet),
    }
    if not isinstance(source, str) or source not in ask:
        raise ValueError(
            f"unknown source {source!r}; allowed: {', '.join(SOURCES)}, or the path of a folder "
            f"(write ./name for a folder here)"
        )
    return ask[source]()


def _looks_like_folder(source: object) -> bool:
    if not isinstance(source, str) or source in SOURCES or not source:
        return False
    return source.startswith(("~", ".")) or "/" in source or "\\" in source or Path(source).is_dir()


def _find_any(quiet: bool) -> _Found:
    """Take the first source that answers; the synthetic images always do."""
    if _folder_in_environment():
        return _from_folder()
    if root := cache.find(_photographs_name()):
        return _Found(root, "cache", "photographs", "from the cache")
    lost = (cache.cache_path() / _photographs_name()).exists()
    before = "the photographs in the cache are not complete; " if lost else ""
    if not connection.online():
        return _synthetic(f"{before}no network: {connection.offline_reason()}", quiet)
    try:
        return _download(quiet)
    except ConnectionError as error:
        return _synthetic(f"{before}the download failed: {error}", quiet)


def _folder_in_environment() -> str:
    return os.environ.get("ANTS_BEES_DIR", "").strip()


def _from_folder() -> _Found:
    if not (given := _folder_in_environment()):
        raise FileNotFoundError(
            "source 'folder' was asked for, but ANTS_BEES_DIR is not set: set it to a folder that "
            "holds train and val, or give the folder itself, data.load('path/to/folder')"
        )
    root = Path(given).expanduser().absolute()
    return _Found(root, "folder", None, "the folder in ANTS_BEES_DIR")


def _from_cache() -> _Found:
    if root := cache.find(_photographs_name()):
        return _Found(root, "cache", "photographs", "from the cache")
    if root := cache.find(_synthetic_name()):
        return _Found(
            root, "cache", "synthetic images", "from the cache, which holds no photographs"
        )
    raise FileNotFoundError(
        f"source 'cache' was asked for, but the cache {cache.cache_path()} holds no complete set "
        f"of images: use source='download' or 'synthetic' once to fill it, or 'auto'"
    )


def _from_download(quiet: bool) -> _Found:
    """Download by name: take what was downloaded before, else try, whatever is remembered."""
    cure = (
        f"Try again later, use source='synthetic' (or 'auto'), or get {URL} on another machine, "
        f"unpack it and set ANTS_BEES_DIR to the folder"
    )
    kept = cache.find(_photographs_name())
    if not kept and not connection.online(force=True):
        reason = f"no network: {connection.offline_reason()}"
        raise ConnectionError(f"the photographs cannot be downloaded ({reason}). {cure}")
    try:
        return _download(quiet)
    except ConnectionError as error:
        raise ConnectionError(f"the download of {URL} failed: {error}. {cure}") from error


def _download(quiet: bool) -> _Found:
    """Put the photographs into the cache; raise ConnectionError with the reason if it fails."""
    root = cache.get_or_create(_photographs_name(), lambda work: _fetch(work, quiet), quiet=quiet)
    return _Found(root, "download", "photographs", f"downloaded from {URL.split('/')[2]}")


def _synthetic(reason: str, quiet: bool) -> _Found:
    """Draw the images into the cache, once, and say why they are drawn."""

    def make(work: Path) -> Path:
        if not quiet:
            print("drawing the images, once; this takes about half a minute", flush=True)
        with downloads.progress_bar(quiet, desc="drawing", unit="image") as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return synthetic.write(work / "synthetic", progress=progress)

    try:
        root = cache.get_or_create(_synthetic_name(), make, quiet=quiet)
    except PermissionError:
        raise
    except OSError as error:
        raise OSError(
            f"the synthetic images cannot be written to the cache {cache.cache_path()} "
            f"({error.strerror or error}): make room, or set ANTS_BEES_CACHE to another folder"
        ) from error
    return _Found(
        root, "synthetic", "synthetic images", f"drawn by tutorial_utils.synthetic; {reason}"
    )


def _photographs_name() -> str:
    return f"hymenoptera_data-{SHA256[:8]}"


def _synthetic_name() -> str:
    return f"synthetic-{synthetic.VERSION}"


def _fetch(work: Path, quiet: bool) -> Path:
    """Download and unpack the photographs into an empty folder; return the set's own folder."""
    sums = {"sha256": SHA256, "size_bytes": SIZE_BYTES}
    try:
        unpacked = downloads.unpack(
            downloads.download(URL, work, **sums, quiet=quiet), work / "unpacked"
        )
    except ConnectionError:
        raise
    except OSError as error:
        raise ConnectionError(f"it could not be written, {error.strerror or error}") from error
    for folder in (unpacked, *sorted(unpacked.iterdir())):
        if all((folder / split).is_dir() for split in SPLITS):
            return folder
    raise ConnectionError("the archive holds no folder with train and val")


# The folder: what it must hold, and what is said of it.


def _check_folder(root: Path, called: str = "the image folder") -> None:
    if not root.exists():
        raise FileNotFoundError(f"{called} does not exist: {root}; {LAYOUT}")
    if not root.is_dir():
        raise NotADirectoryError(
            f"{called} is a file: {root}; {LAYOUT}. Unpack it first if it is an archive"
        )


def _check_layout(root: Path, called: str) -> None:
    """Check what can be seen without opening a file: train and val, with the same classes."""
    _check_folder(root, called)
    missing = [split for split in SPLITS if not (root / split).is_dir()]
    if missing:
        inner = [name for name in _visible_folders(root) if (root / name / "train").is_dir()]
        hint = f". Did you mean {root / inner[0]}?" if inner else ""
        raise FileNotFoundError(
            f"the image folder {root} lacks {' and '.join(missing)} (it holds "
            f"{', '.join(_visible_folders(root)) or 'no folders'}); {LAYOUT}{hint}"
        )
    train, val = (_visible_folders(root / split) for split in SPLITS)
    if train != val:
        raise ValueError(
            f"the classes of {root} differ: train has {', '.join(train) or 'none'}; val has "
            f"{', '.join(val) or 'none'}. Give both the same folders"
        )
    if len(train) < 2:
        raise ValueError(
            f"{root} has {len(train)} class{'' if train else 'es'} ({', '.join(train) or 'none'}), "
            f"and two or more are needed to tell apart: make one folder per class in train and val"
        )
    for split in SPLITS:
        for label in train:
            if not any(_oddity(label / path) is None for path in _files(root / split / label)):
                raise ValueError(
                    f"the class {split}/{label} of {root} is empty: put images into it "
                    f"({', '.join(IMG_EXTENSIONS)}), or take the class out of train and val"
                )


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
    """Return one line for each reason for which files are left out, naming them."""
    groups: dict[str, list[Problem]] = {}
    for problem in report.problems:
        groups.setdefault(problem.reason, []).append(problem)
    return [
        f"skipped {len(group)}, {reason}: {_named(group, reasons=False)}"
        for reason, group in groups.items()
    ]


def _named(problems: list[Problem], *, reasons: bool = True, limit: int = 10) -> str:
    names = [
        f"{path.as_posix()} ({reason})" if reasons else path.as_posix()
        for path, reason in problems[:limit]
    ]
    more = len(problems) - limit
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _visible_folders(folder: Path) -> list[str]:
    return sorted(
        entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."
    )


def _files(folder: Path) -> list[Path]:
    """Return all files below a folder, relative to it, in the order of `ImageFolder`."""
    found = sorted(os.walk(folder, followlinks=True))
    return [
        Path(base, name).relative_to(folder) for base, _, names in found for name in sorted(names)
    ]


def _oddity(path: Path) -> str | None:
    """Return why a file is left out for its name, or None; `path` begins with the class."""
    if any(part.startswith(".") for part in path.parts):
        return "hidden"
    if len(path.parts) < 2:
        return "outside the folders of the classes"
    if path.suffix.lower() not in IMG_EXTENSIONS:
        kind = f"{path.suffix} files" if path.suffix else "files without an ending"
        return f"ImageFolder reads no {kind}"
    return None


# One image: decoding it, and what may be wrong with it.
