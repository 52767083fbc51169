"""The layout of a folder of images: train and val, with one folder per class in each."""

import os
from collections.abc import Iterable
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from tutorial_utils._support import folders
from tutorial_utils._support.image_sources import SPLITS

LAYOUT = "expected are train/<class>/ and val/<class>/ with images in them"


def check_folder(root: Path, title: str = "the image folder") -> None:
    """Check that a folder is there; `title` is for the message."""
    if not os.path.exists(root):
        raise FileNotFoundError(f"{title} does not exist: {root}; {LAYOUT}")
    if not os.path.isdir(root):
        raise NotADirectoryError(
            f"{title} is a file: {root}; {LAYOUT}. Unpack it first if it is an archive"
        )


def check_layout(root: Path, title: str) -> None:
    """Check without opening a file that train and val are there, with the same classes."""
    check_folder(root, title)
    missing = [split for split in SPLITS if not (root / split).is_dir()]
    if missing:
        inner = [name for name in folders.subfolders(root) if (root / name / "train").is_dir()]
        hint = f". Did you mean {root / inner[0]}?" if inner else ""
        raise FileNotFoundError(
            f"the image folder {root} lacks {' and '.join(missing)} (it holds "
            f"{_listed(folders.subfolders(root)) or 'no folders'}); {LAYOUT}{hint}"
        )
    train, val = (folders.subfolders(root / split) for split in SPLITS)
    if train != val:
        raise ValueError(
            f"the classes of {root} differ: train has {_listed(train) or 'none'}; val has "
            f"{_listed(val) or 'none'}. Give both the same folders"
        )
    if len(train) < 2:
        raise ValueError(
            f"{root} has {len(train)} class{'' if train else 'es'} ({_listed(train) or 'none'}), "
            f"and two or more are needed: make one folder per class in train and val"
        )
    folders.check_classes(root, [f"{split}/{label}" for split in SPLITS for label in train])
    for split in SPLITS:
        for label in train:
            _check_class(root, split, label)


def _check_class(root: Path, split: str, label: str) -> None:
    reasons = []
    found = folders.walk(root / split / label, report=lambda path, reason: reasons.append(reason))
    if all(oddity(label / path) for path in found):
        why = f" ({reasons[0]})" if reasons else ""
        raise ValueError(
            f"the class {split}/{label} of {root} is empty{why}: put images into it "
            f"({', '.join(IMG_EXTENSIONS)}), or delete the class from train and val"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(folders.printable, names))


def oddity(path: Path) -> str | None:
    """Return why a file is not read, judged by its path from the class on, or None."""
    if any(part.startswith(".") for part in path.parts):
        return "hidden"
    if not all(map(folders.is_visible, path.parts)):
        return "left behind by a program or an operating system"
    if len(path.parts) < 2:
        return "outside the folders of the classes"
    if not folders.is_image_name(path):
        kind = (
            f"{folders.printable(path.suffix)} files" if path.suffix else "files without an ending"
        )
        return f"ImageFolder reads no {kind}"
    return None
