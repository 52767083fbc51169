"""List folders of images: visible names, subfolders, and all files below, none of them twice.

Source: torchvision's `make_dataset`, for the order of the files:
https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.DatasetFolder.html
"""

import itertools
import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath

from torchvision.datasets.folder import IMG_EXTENSIONS

from tutorial_utils._support.files import WHY_NOT

# What operating systems and programs leave behind: neither classes nor images.
JUNK = frozenset(
    {"__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information"}
    | {"lost+found", "Thumbs.db", "desktop.ini"}
)


def is_visible(name: str) -> bool:
    """Return whether a file's or folder's name is neither hidden nor in `JUNK`."""
    return not name.startswith(".") and name not in JUNK


def is_image_name(path: str | PurePath) -> bool:
    """Return whether a file's name ends as torchvision's `ImageFolder` wants it."""
    return PurePath(path).suffix.lower() in IMG_EXTENSIONS


def visible(folder: Path) -> list[str]:
    """Return the visible names directly in a folder, sorted.

    Raises:
        OSError: if the folder cannot be read.
    """
    try:
        return sorted(filter(is_visible, os.listdir(folder)))
    except OSError as error:
        reason = WHY_NOT.get(error.errno, error.strerror)
        raise type(error)(f"the folder {printable(folder)} cannot be read: {reason}") from error


def subfolders(folder: Path) -> list[str]:
    """Return the visible folders directly in a folder, links to folders included, sorted."""
    return [name for name in visible(folder) if os.path.isdir(folder / name)]


def printable(name: object) -> str:
    """Return a name in one line: what cannot be printed, or could steer a terminal, is escaped.

    Folders in a path are separated by slashes.
    """
    text = name.as_posix() if isinstance(name, PurePath) else str(name)
    return "".join(
        sign if sign.isprintable() or unicodedata.category(sign) == "Zs" else ascii(sign)[1:-1]
        for sign in text
    )


def name_fault(name: str | PurePath) -> str | None:
    """Return why the name of a file or a class cannot be shown in a lesson, or None."""
    kinds = set(map(unicodedata.category, str(name)))
    if "Cs" in kinds:  # what Python makes of bytes that are not UTF-8
        return "its name is not Unicode: rename it"
    line_or_control = kinds & {"Cc", "Zl", "Zp"}
    return "its name holds a control character: rename it" if line_or_control else None


def check_classes(root: Path, names: Iterable[str]) -> None:
    """Check the folders of the classes, in all parts of a split, before they are read.

    Args:
        root: the folder of images.
        names: of folders, relative to it, with slashes; none is inside another by its name.

    Raises:
        ValueError: if a name cannot be printed, or two folders are the same or one is inside the
            other, as links can make them: the same images would be there twice.
    """
    reals = []
    for name in names:
        if reason := name_fault(name):
            raise ValueError(f"the folder {printable(name)} of {root} cannot be a class, {reason}")
        reals.append((Path(os.path.realpath(root / name)), name))
    reals.sort(key=lambda pair: (pair[0].parts, pair[1]))  # a folder before those inside it
    for (outer, first), (inner, second) in itertools.pairwise(reals):
        if inner.is_relative_to(outer):
            raise ValueError(
                f"{first} and {second} of {root} lead to the same images, by a link: replace it "
                f"by a folder with images of its own"
            )


def walk(
    folder: Path,
    *,
    hidden: bool = False,
    report: Callable[[Path, str], object] | None = None,
    root: Path | None = None,
    seen: set[tuple[int, int]] | None = None,
) -> list[Path]:
    """Return all files below a folder, relative to it. Every reader of folders lists them so.

    Links to folders elsewhere are followed, but no folder is read twice: not through a link to a
    folder above it, which would never end, nor through a second link to the same.

    Args:
        folder: exists.
        hidden: list hidden files and those in `JUNK`, too.
        report: is called with each folder that was passed over, relative to `folder`, and the
            reason in a few words.
        root: a folder above, whose other parts are read separately: links into it are passed
            over. The folder itself, if None.
        seen: the folders that were read, by device and number, for several calls.

    Returns:
        The paths in the order of torchvision's `ImageFolder`: sorted by folder, then by name.
        `sorted` gives them in the order of their parts.
    """
    found: list[Path] = []
    base, seen = Path(os.path.realpath(root or folder)), set() if seen is None else seen
    waiting = [Path()]
    while waiting:  # no recursion: folders may be nested more deeply than Python's calls
        path = waiting.pop()
        names, reason = [], _link_back(folder / path, base) if path.parts else None
        try:
            if reason is None and (identity := _identity(folder / path)) in seen:
                reason = "a folder that was read already, by a link"
            if reason is None:
                seen.add(identity)
                names = filter(lambda name: hidden or is_visible(name), os.listdir(folder / path))
        except OSError as error:
            reason = WHY_NOT.get(error.errno, error.strerror)
        if reason and report:
            report(path, reason)
        names = [path / name for name in sorted(names)]
        inner = [name for name in names if os.path.isdir(folder / name)]
        found += sorted(set(names) - set(inner))
        waiting += reversed(inner)
    return sorted(found, key=lambda path: (os.path.dirname(path), path.name))


def _identity(folder: Path) -> tuple[int, int]:
    """Return what two paths of the same folder have in common."""
    found = os.stat(folder)
    return found.st_dev, found.st_ino


def _link_back(path: Path, base: Path) -> str | None:
    """Return why a link is not followed, or None."""
    if not os.path.islink(path):
        return None
    real = Path(os.path.realpath(path))
    if base.is_relative_to(real) or Path(os.path.realpath(path.parent)).is_relative_to(real):
        return "a link back to a folder above it"
    return "a link into the same folder of images" if real.is_relative_to(base) else None
