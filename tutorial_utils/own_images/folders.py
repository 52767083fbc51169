"""Read a folder of your own images: any number of classes, every image opened once.

`read` takes one folder per class, or `train`, `val` and maybe `test` with such folders in each, or
a `manifest.csv`, and reports the files that cannot be used, with the reason.

Source:
    Unicode Standard Annex 15, normalisation forms: https://unicode.org/reports/tr15/
"""

import contextlib
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from tutorial_utils import data
from tutorial_utils._support import downloads, image_files
from tutorial_utils._support.files import as_path, not_regular
from tutorial_utils._support.folders import (
    check_classes,
    is_image_name,
    name_fault,
    printable,
    subfolders,
    visible,
    walk,
)
from tutorial_utils.own_images import manifest
from tutorial_utils.own_images.collection import Collection, describe_problems, shorten
from tutorial_utils.own_images.duplicates import ImageHash, image_hash
from tutorial_utils.own_images.manifest import Entry

EXPECTED = (
    "expected is one folder per class with images in it; or train and val, and test if you like, "
    f"with such folders in each; or a {manifest.NAME} with the columns file and class"
)
# Names of folders that hold a part of a split, in upper or lower case.
SPLIT_NAMES = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing", "dev"}
)
WORKERS = min(4, os.cpu_count() or 1)  # threads: Pillow decodes without Python's lock


def read(folder: str | Path, *, quiet: bool = False) -> Collection:
    """Read a folder of images, opening every one, and print one line with what it holds.

    The classes are the folders directly in it; or those in its `train` and `val`, and `test` if
    there is one, which then are the split; or those that `manifest.csv` names, see `manifest.py`.
    Used in lessons 12 and 14.

    Args:
        folder: the folder with the images.
        quiet: print nothing.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if it is a file.
        ValueError: if the layout is another one, there are fewer than two classes, a class has no
            image that can be used, or the manifest is wrong.
    """
    root = as_path(folder)
    entries, odd = _list_files(root)
    _check_classes(root, entries)
    entries.sort(key=lambda entry: entry.path.as_posix())
    usable, problems = {}, []
    for entry, found in zip(entries, _hash_all(root, entries, quiet), strict=True):
        if isinstance(found, ImageHash):
            usable[entry] = found
        else:
            problems.append(data.Problem(Path(printable(entry.path)), found))
    _check_usable(root, entries, usable, problems)
    classes = tuple(sorted({entry.label for entry in usable}))
    splits = tuple(entry.split for entry in usable)
    collection = Collection(
        root,
        files=tuple(root / entry.path for entry in usable),
        labels=tuple(classes.index(entry.label) for entry in usable),
        classes=classes,
        problems=tuple(problems),
        odd=(*odd, *_similar_names(classes)),
        given_split=None if None in splits else splits,
        hashes=tuple(usable.values()),
    )
    if not quiet:
        print(collection.summary(), flush=True)
    return collection


# Which files there are, and the class of each.


def _list_files(root: Path) -> tuple[list[Entry], list[str]]:
    """Return the files that should be images, and a line for each other file that is skipped."""
    if not os.path.exists(root):
        raise FileNotFoundError(f"there is no folder {root}; {EXPECTED}")
    if not os.path.isdir(root):
        raise NotADirectoryError(
            f"{root} is a file; {EXPECTED}. Unpack it first if it is an archive"
        )
    if (root / manifest.NAME).is_file():
        return _list_manifest(root)
    folders = subfolders(root)
    if not set(data.SPLITS) <= set(folders):
        _check_layout(root, folders)
        check_classes(root, folders)
        return _list_classes(root, Path(), None, set())
    entries, odd, splits = [], [], list(data.SPLITS)
    if "test" in folders and subfolders(root / "test"):  # else its images have no classes
        splits.append("test")
    for name in folders:
        if name not in splits:
            why = "holds no class folders" if name == "test" else "only train, val, test are read"
            odd.append(f"{printable(name)}/: {why}")
    check_classes(
        root, [f"{split}/{name}" for split in splits for name in subfolders(root / split)]
    )
    seen: set[tuple[int, int]] = set()
    for split in splits:
        if not subfolders(root / split):
            raise ValueError(f"{split} of {root} holds no class folders; {EXPECTED}")
        _check_nesting(root / split)
        listed, others = _list_classes(root, Path(split), split, seen)
        entries += listed
        odd += others
    return entries, odd


def _list_manifest(root: Path) -> tuple[list[Entry], list[str]]:
    """Return the images that the manifest names, and a line for those that it does not name."""
    entries = manifest.read(root)
    named = {entry.path for entry in entries}
    others = [
        printable(path) for path in sorted(walk(root)) if is_image_name(path) and path not in named
    ]
    return entries, [f"{shorten(others)}: not named in {manifest.NAME}"] if others else []


def _list_classes(
    root: Path, base: Path, split: str | None, seen: set[tuple[int, int]]
) -> tuple[list[Entry], list[str]]:
    """Return the same as `_list_files` for the class folders of `root / base`."""
    entries, odd, labels = [], [], set()
    for name in subfolders(root / base):
        label = unicodedata.normalize("NFC", name)
        if label in labels:
            raise ValueError(
                f"two folders of {root / base} are both named {label!r}, written in different "
                f"Unicode forms: put their images into one"
            )
        labels.add(label)
        images, others = _list_class(root, base / name, seen)
        entries += [Entry(path, label, split) for path in images]
        odd += others
    others = (base / name for name in visible(root / base))
    loose = [path for path in others if not os.path.isdir(root / path)]
    return entries, odd + [f"{printable(path)}: not in the folder of a class" for path in loose]


def _list_class(root: Path, base: Path, seen: set[tuple[int, int]]) -> tuple[list[Path], list[str]]:
    """Return the images below one class folder, and a line for each other file."""
    odd = []

    def report(path: Path, reason: str) -> None:
        odd.append(f"{printable(base / path)}/: {reason}")

    files = [base / path for path in sorted(walk(root / base, report=report, root=root, seen=seen))]
    others = [path for path in files if not is_image_name(path)]
    if len(others) == len(files):
        kinds = Counter(map(_kind, others)).most_common(3)
        but = f" (but {', '.join(f'{kind}: {count}' for kind, count in kinds)})" if kinds else ""
        but += f" ({shorten(odd)})" if odd else ""
        raise ValueError(
            f"the class folder {base.as_posix()} of {root} holds no image{but}: put some into it "
            f"({', '.join(IMG_EXTENSIONS)}), or remove it"
        )
    odd += [f"{printable(path)}: {_kind(path)} are not read" for path in others]
    return [path for path in files if is_image_name(path)], odd


def _kind(path: Path) -> str:
    return f"{printable(path.suffix)} files" if path.suffix else "files without an ending"


# Checks of the layout and of the classes.


def _has_images(folder: Path) -> bool:
    """Return whether an image is directly in a folder."""
    return any(map(is_image_name, visible(folder)))


def _check_layout(root: Path, folders: list[str]) -> None:
    """Raise an error if the folders' names or nesting show that they are not classes."""
    if not folders:
        loose = sum(map(is_image_name, visible(root)))
        what = f"{loose} images directly in it and no folders" if loose else "no folders"
        raise ValueError(f"{root} holds {what}; {EXPECTED}")
    splits = [
        name
        for name in folders
        if name.lower() in SPLIT_NAMES and subfolders(root / name) and not _has_images(root / name)
    ]
    if splits:
        raise ValueError(
            f"{root} holds {', '.join(splits)} with folders in each, which looks like a split, but "
            f"a split needs folders named train and val, both; {EXPECTED}"
        )
    inner = root / folders[0]
    if len(folders) == 1 and not _has_images(inner) and len(subfolders(inner)) > 1:
        raise ValueError(f"{root} holds a single folder. Did you mean {inner}? If not: {EXPECTED}")
    _check_nesting(root)


def _check_nesting(root: Path) -> None:
    """Raise an error if class folders hold folders of the same names and no images besides."""
    folders = subfolders(root)
    inner = Counter(name for folder in folders for name in subfolders(root / folder))
    shared = sorted(name for name, count in inner.items() if count > 1)
    if shared and not any(_has_images(root / folder) for folder in folders):
        raise ValueError(
            f"the folders of {root} ({shorten(folders)}) hold no images themselves, but folders of "
            f"the same names ({shorten(shared)}), so it is not clear which are the classes; "
            f"{EXPECTED}"
        )


def _check_classes(root: Path, entries: list[Entry]) -> None:
    """Check that there are two classes or more, the same in each part of a given split."""
    classes = sorted({entry.label for entry in entries})
    if len(classes) < 2:
        raise ValueError(
            f"{root} has {len(classes)} class{'' if classes else 'es'} "
            f"({', '.join(classes) or 'none'}), and a classifier needs two or more; {EXPECTED}"
        )
    given = {entry.split for entry in entries} - {None}
    if not given:
        return
    found = {(entry.label, entry.split) for entry in entries}
    lacking = {
        split: [name for name in classes if (name, split) not in found]
        for split in manifest.SPLITS
        if split in {*data.SPLITS, *given}
    }
    differences = [
        f"{split} has no {', '.join(names)}" for split, names in lacking.items() if names
    ]
    if differences:
        raise ValueError(
            f"the classes of {', '.join(lacking)} in {root} differ: {'; '.join(differences)}. "
            f"Give each the same"
        )


def _check_usable(
    root: Path, entries: list[Entry], usable: Iterable[Entry], problems: list[data.Problem]
) -> None:
    """Check that every class, in each part of a given split, has an image that can be used."""
    left = {(entry.label, entry.split) for entry in usable}
    for label, split in sorted({(entry.label, entry.split) for entry in entries} - left):
        paths = {Path(printable(e.path)) for e in entries if (e.label, e.split) == (label, split)}
        where = f" in {split}" if split else ""
        raise ValueError(
            f"no image of the class {label!r}{where} of {root} can be used: "
            f"{describe_problems(problem for problem in problems if problem.path in paths)}. "
            f"Replace them, or remove the class"
        )


def _similar_names(classes: Iterable[str]) -> list[str]:
    """Return a line for each set of class names that differ in case or spaces only."""
    same: dict[str, list[str]] = {}
    for name in classes:
        same.setdefault(" ".join(name.casefold().split()), []).append(name)
    return [
        f"the classes {', '.join(map(repr, names))} differ in capitals or spaces only"
        for names in same.values()
        if len(names) > 1
    ]


# Opening the images.


def _hash_all(root: Path, entries: list[Entry], quiet: bool) -> list[ImageHash | str]:
    """Open and hash every image; return the reason as text for one that cannot be used."""
    found = []
    bar = downloads.progress_bar(quiet, total=len(entries), desc="reading", unit="image")
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(WORKERS) as pool, bar:
        jobs = pool.map(lambda entry: _hash_one(root, entry.path), entries)
        with contextlib.closing(jobs):  # an interrupt cancels the jobs that have not started
            for result in jobs:
                found.append(result)
                bar.update()
    return found


def _hash_one(root: Path, file: Path) -> ImageHash | str:
    if reason := name_fault(file) or not_regular(root / file):
        return reason
    try:
        return image_hash(root / file)
    except (ValueError, OSError) as error:  # OSError if the file was deleted meanwhile
        return image_files.reason(error.__cause__ or error)
