"""List folders of images: visible names, subfolders, and all files below, without endless loops.

Source: torchvision's `make_dataset`, for the order of the files:
https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.DatasetFolder.html
"""

import os
from collections.abc import Callable
from pathlib import Path, PurePath

from torchvision.datasets.folder import IMG_EXTENSIONS

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
    """Return the visible names directly in a folder, sorted."""
    return sorted(filter(is_visible, os.listdir(folder)))


def subfolders(folder: Path) -> list[str]:
    """Return the visible folders directly in a folder, links to folders included, sorted."""
    return [name for name in visible(folder) if os.path.isdir(folder / name)]


def walk(
    folder: Path,
    *,
    hidden: bool = False,
    report: Callable[[Path, str], object] | None = None,
) -> list[Path]:
    """Return all files below a folder, relative to it.

    Links to folders are followed, except those to a folder above them, which would never end.

    Args:
        folder: exists.
        hidden: list hidden files and those in `JUNK`, too.
        report: is called with each folder that was passed over, relative to `folder`, and the
            reason in a few words.

    Returns:
        The paths in the order of torchvision's `ImageFolder`: sorted by folder, then by name.
        `sorted` gives them in the order of their parts.
    """
    found: list[Path] = []
    real = Path(os.path.realpath(folder))
    above = frozenset({str(real), *map(str, real.parents)})
    _walk(folder, Path(), above, hidden, report or (lambda path, reason: None), found)
    return sorted(found, key=lambda path: (os.path.dirname(path), path.name))


def _walk(
    folder: Path,
    base: Path,
    above: frozenset[str],
    hidden: bool,
    report: Callable[[Path, str], object],
    found: list[Path],
) -> None:
    """Add the files below `folder / base`; `above` holds the real paths of it and its parents."""
    try:
        names = sorted(os.listdir(folder / base)) if hidden else visible(folder / base)
    except OSError as error:
        denied = isinstance(error, PermissionError)
        report(base, "not allowed to read it" if denied else error.strerror)
        return
    for name in names:
        path = base / name
        if not os.path.isdir(folder / path):
            found.append(path)
        elif (real := os.path.realpath(folder / path)) in above:
            report(path, "a link back to a folder above it")
        else:
            _walk(folder, path, above | {real}, hidden, report, found)
