"""Images of your own: any number of classes from any folder, looked through one by one.

`read` takes one folder per class, `train` and `val` with such folders within, or a
`manifest.csv`, and tells which files cannot be used and why. What it saw of each image is kept
for `splits`, which finds those that are nearly the same.

Sources:
    Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), the hash:
    https://www.phash.org/docs/pubs/thesis_zauner.pdf
    Unicode Standard Annex 15, normalisation forms: https://unicode.org/reports/tr15/
"""

import contextlib
import csv
import functools
import io
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from tutorial_utils import data
from tutorial_utils._support import downloads, image_files

MANIFEST = "manifest.csv"
WANTED = (
    "wanted is one folder per class with images in it; or train and val, with such folders in "
    f"each; or a {MANIFEST} with the columns file and class"
)
# What systems and programs leave behind; nobody means these as classes or images.
JUNK = frozenset(
    {"__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information"}
    | {"lost+found", "Thumbs.db", "desktop.ini"}
)
# Folders that say "this is a split", in whatever letters.
SPLIT_WORDS = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing", "dev"}
)

WORKERS = min(4, os.cpu_count() or 1)  # Pillow decodes without Python's lock
LEAST_SIDE = 32  # pixels of the reduced image that the hash is made of
PLAIN = 100  # half of the hash's waves are below a tenth of a grey level, in units of `dctn`


class Look(NamedTuple):
    """What an image looks like, in short.

    Attributes:
        bits: (64,) bool, the perceptual hash.
        colours: (8, 8, 3) uint8, the image at that size, if it is so plain that its hash says
            nothing; else None.
    """

    bits: np.ndarray
    colours: np.ndarray | None


class ImageList(data.ImageFolder):
    """An `ImageFolder` of images that are listed one by one, wherever they lie."""

    def __init__(
        self,
        root: Path,
        classes: tuple[str, ...],
        listed: list[tuple[str, int]],
        transform: Callable | None,
        least_side: int | None,
    ) -> None:
        self._classes, self._listed = classes, listed
        opened = functools.partial(data.open_image, least_side=least_side)
        super().__init__(root, transform, loader=opened)
        self.least_side = least_side

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class names, and the label of each."""
        return list(self._classes), {name: label for label, name in enumerate(self._classes)}

    def make_dataset(self, *_: object, **__: object) -> list[tuple[str, int]]:
        """Return the pairs of a file and a label that were given."""
        return self._listed


@dataclass(frozen=True)
class Collection:
    """Images of some classes, looked through.

    Attributes:
        root: the folder.
        files: the readable images, in the order of their paths within the folder.
        labels: the label of each, an index into `classes`.
        classes: the class names in alphabetical order, in Unicode's composed form (NFC).
        problems: files that should be images and cannot be used, each with the reason.
        odd: what was passed over or looks strange, each with the reason; hidden files are not in
            it.
        given: "train" or "val" for each file where the folder comes with a split, else None.
        looks: what `read` saw of each file, for `splits.duplicates`; None if nobody has looked yet.
    """

    root: Path
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    problems: tuple[data.Problem, ...] = ()
    odd: tuple[str, ...] = ()
    given: tuple[str, ...] | None = None
    looks: tuple[Look, ...] | None = field(default=None, repr=False, compare=False)

    def counts(self) -> dict[str, int]:
        """Return how many readable images each class has."""
        found = Counter(self.labels)
        return {name: found[label] for label, name in enumerate(self.classes)}

    def dataset(
        self,
        indices: Iterable[int] | None = None,
        transform: Callable | None = None,
        *,
        least_side: int | None = None,
    ) -> ImageList:
        """Return some of the images as a data set of (image, label).

        Args:
            indices: which, in this order, as `splits.split` gives them; None for all.
            transform: turns a PIL image into what the network wants; None leaves PIL images.
            least_side: decode a JPEG to a half, a quarter or an eighth of its size, as long as no
                side has fewer pixels than this.

        Raises:
            ValueError: if an index is not one of an image, or `least_side` no whole number from 1.
        """
        chosen = list(range(len(self.files)) if indices is None else indices)
        for index in chosen:
            if not _whole(index) or not 0 <= index < len(self.files):
                raise ValueError(
                    f"there is no image {index!r}: indices are whole numbers from 0 to "
                    f"{len(self.files) - 1}, such as splits.split(collection).train"
                )
        if least_side is not None and (not _whole(least_side) or least_side < 1):
            raise ValueError(f"least_side must be a whole number from 1, not {least_side!r}")
        listed = [(str(self.files[i]), self.labels[i]) for i in map(int, chosen)]
        return ImageList(self.root, self.classes, listed, transform, least_side)

    def name(self, index: int) -> str:
        """Return an image's path within the folder, with slashes on every system."""
        return self.files[index].relative_to(self.root).as_posix()


def read(folder: str | Path, *, quiet: bool = False) -> Collection:
    """Look through a folder of images, opening every one, and say in one line what it holds.

    The classes are the folders directly in it; or those in its `train` and `val`, which are then
    kept as the split; or what a `manifest.csv` says: UTF-8, the columns `file` (a path within the
    folder) and `class` (any text), and `split` (train or val) where there is one.

    Args:
        folder: where the images are.
        quiet: print nothing.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if it is a file.
        ValueError: if the layout is not one of these, there are fewer than two classes, a class
            has no image that can be used, or the manifest names a file outside the folder.
    """
    root = Path(folder).expanduser().absolute()
    _check_folder(root)
    listing = _from_manifest(root) if (root / MANIFEST).is_file() else _from_folders(root)
    _check_classes(root, listing.entries)
    entries = sorted(listing.entries, key=lambda entry: entry.path.as_posix())
    seen = _look_through(root, entries, quiet)
    problems = [
        data.Problem(Path(_shown(entry.path)), look)
        for entry, look in zip(entries, seen, strict=True)
        if isinstance(look, str)
    ]
    readable = [e for e, look in zip(entries, seen, strict=True) if not isinstance(look, str)]
    _check_left(root, entries, readable, problems)
    classes = tuple(sorted({entry.label for entry in readable}))
    found = Collection(
        root,
        tuple(root / entry.path for entry in readable),
        tuple(classes.index(entry.label) for entry in readable),
        classes,
        tuple(problems),
        tuple(listing.odd + _alike(classes)),
        tuple(entry.split for entry in readable) if listing.splits else None,
        tuple(look for look in seen if not isinstance(look, str)),
    )
    if not quiet:
        print(_line(found), flush=True)
    return found


# Reading a folder: which files there are, and of which class.


class _Entry(NamedTuple):
    path: Path  # relative to the folder
    label: str
    split: str | None = None


class _Listing(NamedTuple):
    entries: list[_Entry]
    odd: list[str]
    splits: bool = False


def _check_folder(root: Path) -> None:
    if not root.exists():
        raise FileNotFoundError(f"there is no folder {root}; {WANTED}")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is a file; {WANTED}. Unpack it first if it is an archive")


def _from_folders(root: Path) -> _Listing:
    """List the images of a folder without a manifest."""
    folders = _folders(root)
    splits = {"train", "val"} <= set(folders)
    listing = _Listing([], [], splits)
    if not splits:
        _check_layout(root, folders)
        _list(root, Path(), None, listing)
        return listing
    others = [name for name in folders if name not in data.SPLITS]
    listing.odd.extend(f"{_shown(name)}/: only train and val are read" for name in others)
    for side in data.SPLITS:
        if not _folders(root / side):
            raise ValueError(f"{side} of {root} holds no class folders; {WANTED}")
        _check_nested(root / side, _folders(root / side))
        _list(root, Path(side), side, listing)
    return listing


def _list(root: Path, base: Path, side: str | None, listing: _Listing) -> None:
    """Add what lies in the class folders of one folder."""
    names: set[str] = set()
    for name in _folders(root / base):
        label = _named(name)
        if label in names:
            raise ValueError(
                f"two folders of {root / base} are both named {label!r}, written in different "
                f"Unicode forms: put their images into one"
            )
        names.add(label)
        files = list(_files(root, base / name, listing.odd))
        others = [path for path in files if path.suffix.lower() not in IMG_EXTENSIONS]
        if len(others) == len(files):
            raise ValueError(
                f"the class folder {(base / name).as_posix()} of {root} holds no image"
                f"{_holds(others)}: put some into it ({', '.join(IMG_EXTENSIONS)}), or take it away"
            )
        left = set(others)
        listing.entries.extend(_Entry(path, label, side) for path in files if path not in left)
        listing.odd.extend(f"{_shown(path)}: {_kind(path)} are not read" for path in others)
    loose = [base / name for name in _visible(root / base) if (root / base / name).is_file()]
    listing.odd.extend(f"{_shown(path)}: not in the folder of a class" for path in loose)


def _check_layout(root: Path, folders: list[str]) -> None:
    """Refuse folders whose names or nesting say that they are no classes."""
    if not folders:
        loose = [name for name in _visible(root) if Path(name).suffix.lower() in IMG_EXTENSIONS]
        what = f"{len(loose)} images directly in it and no folders" if loose else "no folders"
        raise ValueError(f"{root} holds {what}; {WANTED}")
    splits = [
        name
        for name in folders
        if name.lower() in SPLIT_WORDS and _folders(root / name) and not _images(root / name)
    ]
    if splits:
        raise ValueError(
            f"{root} holds {', '.join(splits)} with folders within, which looks like a split, but "
            f"one needs folders named train and val, both; {WANTED}"
        )
    inner = root / folders[0]
    if len(folders) == 1 and not _images(inner) and len(_folders(inner)) > 1:
        raise ValueError(f"{root} holds a single folder. Did you mean {inner}? If not: {WANTED}")
    _check_nested(root, folders)


def _check_nested(root: Path, folders: list[str]) -> None:
    """Refuse class folders that hold folders of the same names, and images only in those."""
    inner = Counter(name for folder in folders for name in _folders(root / folder))
    shared = sorted(name for name, count in inner.items() if count > 1)
    if shared and not any(_images(root / folder) for folder in folders):
        raise ValueError(
            f"the folders of {root} ({_few(folders)}) hold no images themselves, but folders of "
            f"the same names ({_few(shared)}), so that it is not clear which are the classes; "
            f"{WANTED}"
        )


def _images(folder: Path) -> bool:
    """Tell whether an image lies directly in a folder."""
    return any(Path(name).suffix.lower() in IMG_EXTENSIONS for name in _visible(folder))


def _folders(folder: Path) -> list[str]:
    return [name for name in _visible(folder) if (folder / name).is_dir()]


def _visible(folder: Path) -> list[str]:
    return sorted(
        name for name in os.listdir(folder) if not name.startswith(".") and name not in JUNK
    )


def _files(
    root: Path, base: Path, odd: list[str], above: frozenset = frozenset()
) -> Iterator[Path]:
    """Yield the files below a folder, relative to `root`; links are followed, not in circles."""
    above = above | {os.path.realpath(root), os.path.realpath(root / base)}
    try:
        names = _visible(root / base)
    except PermissionError:
        odd.append(f"{_shown(base)}/: not allowed to read it")
        return
    for name in names:
        path = base / name
        if not (root / path).is_dir():
            yield path
        elif os.path.realpath(root / path) in above:
            odd.append(f"{_shown(path)}/: a link back to a folder above it")
        else:
            yield from _files(root, path, odd, above)


def _kind(path: Path) -> str:
    return f"{_shown(path.suffix)} files" if path.suffix else "files without an ending"


def _holds(files: list[Path]) -> str:
    """Say in brackets which other files a folder holds, if any."""
    kinds = Counter(_kind(path) for path in files)
    text = ", ".join(f"{kind}: {count}" for kind, count in kinds.most_common(3))
    return f" (but {text})" if text else ""


def _from_manifest(root: Path) -> _Listing:
    """List the images that `manifest.csv` names."""
    rows = _rows(root)
    splits = "split" in rows[0][1]
    entries, seen = [], {}
    for number, row in rows:
        line = f"line {number} of {MANIFEST}"
        path = _inside(root, row["file"], line)
        if not row["class"]:
            raise ValueError(f"{line} gives no class for {row['file']!r}")
        side = row["split"].lower() if splits else None
        if splits and side not in data.SPLITS:
            raise ValueError(f"{line} has the split {row['split']!r}; allowed: train, val")
        if path in seen:
            raise ValueError(f"{line} names {row['file']!r}, which line {seen[path]} named before")
        seen[path] = number
        entries.append(_Entry(path, row["class"], side))
    return _Listing(entries, _unlisted(root, set(seen)), splits)


def _rows(root: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the manifest's rows, each with the number of its line."""
    try:
        text = (root / MANIFEST).read_text(encoding="utf-8-sig")  # a spreadsheet may write a BOM
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{MANIFEST} is not UTF-8 (byte {error.start}): save it as CSV, UTF-8"
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        for fields in reader:
            if not any(fields):
                continue
            if len(fields) != len(header):
                raise ValueError(
                    f"line {reader.line_num} of {MANIFEST} has {len(fields)} fields, the header "
                    f"{len(header)}: put a name with a comma in it into double quotes"
                )
            values = dict(zip(header, (text.strip() for text in fields), strict=True))
            values["class"] = unicodedata.normalize("NFC", values["class"])
            rows.append((reader.line_num, values))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} of {MANIFEST} is not CSV: {error}") from None
    if not rows:
        raise ValueError(f"{MANIFEST} names no file: give one line per image under the header")
    return rows


def _check_header(header: list[str]) -> None:
    for name in ("file", "class"):
        if header.count(name) != 1:
            raise ValueError(
                f"the first line of {MANIFEST} must name the columns file and class once each, "
                f"and split where there is one, with commas between: file,class. It is "
                f"{','.join(header)!r}"
            )


def _inside(root: Path, file: str, line: str) -> Path:
    """Return a file's path relative to the folder, and refuse one that leads out of it."""
    windows = PureWindowsPath(file)
    if not file or "\0" in file:
        raise ValueError(f"{line} gives no file")
    if windows.anchor or ".." in windows.parts:
        raise ValueError(
            f"{line} names {file!r}: give a path relative to the folder of {MANIFEST}, without .."
        )
    forms = [file, windows.as_posix()]
    forms += [unicodedata.normalize(kind, form) for kind in ("NFC", "NFD") for form in forms]
    form = next((form for form in forms if os.path.exists(root / form)), forms[1])
    if not Path(os.path.realpath(root / form)).is_relative_to(os.path.realpath(root)):
        raise ValueError(
            f"{line} names {file!r}, which a link leads out of the folder: copy the image into it"
        )
    return Path(form)


def _unlisted(root: Path, listed: set[Path]) -> list[str]:
    """Say which images of the folder the manifest does not name."""
    found = [path for path in _files(root, Path(), []) if path.suffix.lower() in IMG_EXTENSIONS]
    left = [_shown(path) for path in found if path not in listed]
    return [f"{_few(left)}: not named in {MANIFEST}"] if left else []


def _named(folder: str) -> str:
    """Return the class name that a folder's name gives, in Unicode's composed form."""
    if _shown(folder) != folder:
        raise ValueError(f"the name of the folder {_shown(folder)!r} is not Unicode: rename it")
    return unicodedata.normalize("NFC", folder)


def _shown(path: str | Path) -> str:
    """Return a path that can be printed, whatever bytes the disk has for it."""
    text = path.as_posix() if isinstance(path, Path) else path
    return text.encode(errors="backslashreplace").decode()


def _few(names: Sequence[str], limit: int = 3) -> str:
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def _check_classes(root: Path, entries: list[_Entry]) -> None:
    classes = sorted({entry.label for entry in entries})
    if len(classes) < 2:
        raise ValueError(
            f"{root} has {len(classes)} class{'' if classes else 'es'} "
            f"({', '.join(classes) or 'none'}), and two or more are needed to tell apart; {WANTED}"
        )
    sides = {side: {e.label for e in entries if e.split == side} for side in data.SPLITS}
    if any(sides.values()) and sides["train"] != sides["val"]:
        only = "; ".join(
            f"only {side} has {', '.join(sorted(sides[side] - sides[other]))}"
            for side, other in (data.SPLITS, data.SPLITS[::-1])
            if sides[side] - sides[other]
        )
        raise ValueError(
            f"the classes of train and val in {root} differ: {only}. Give both the same"
        )


def _check_left(
    root: Path, entries: list[_Entry], readable: list[_Entry], problems: list[data.Problem]
) -> None:
    """Check that no class has lost all its images to problems."""
    left = {(entry.label, entry.split) for entry in readable}
    for label, side in sorted({(entry.label, entry.split) for entry in entries} - left):
        paths = {Path(_shown(e.path)) for e in entries if (e.label, e.split) == (label, side)}
        where = f" in {side}" if side else ""
        raise ValueError(
            f"no image of the class {label!r}{where} of {root} can be used: "
            f"{_reasons([problem for problem in problems if problem.path in paths])}. Replace "
            f"them, or take the class away"
        )


def _alike(classes: tuple[str, ...]) -> list[str]:
    """Say which class names differ in case or spaces alone."""
    same: dict[str, list[str]] = {}
    for name in classes:
        same.setdefault(" ".join(name.casefold().split()), []).append(name)
    return [
        f"the classes {', '.join(map(repr, names))} differ in capitals or spaces only"
        for names in same.values()
        if len(names) > 1
    ]


def _reasons(problems: Sequence[data.Problem]) -> str:
    return _few([f"{path.as_posix()} ({reason})" for path, reason in problems])


def _line(found: Collection) -> str:
    counts = found.counts()
    each = ", ".join(f"{name} {count}" for name, count in counts.items())
    if len(counts) > 8:
        each = f"{min(counts.values())} to {max(counts.values())} each"
    line = f"images: {len(found.files)} of {len(counts)} classes ({each})"
    if found.given is not None:
        sides = Counter(found.given)
        line += f", split as given: {sides['train']} train, {sides['val']} val"
    if found.problems:
        line += f"; left out {len(found.problems)}: {_reasons(found.problems)}"
    if found.odd:
        line += f"; odd: {'; '.join(found.odd[:3])}"
        line += f"; and {len(found.odd) - 3} more" if len(found.odd) > 3 else ""
    return line


# Looking at the images.


def _look_through(root: Path, entries: list[_Entry], quiet: bool) -> list[Look | str]:
    """Look at every image; a text where one cannot be used, the reason."""
    found = []
    bar = downloads.progress_bar(quiet, total=len(entries), desc="looking", unit="image")
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(WORKERS) as pool, bar:
        jobs = pool.map(lambda entry: _try(root, entry.path), entries)
        with contextlib.closing(jobs):  # an interrupt cancels those that are still to come
            for look in jobs:
                found.append(look)
                bar.update()
    return found


def _try(root: Path, file: Path) -> Look | str:
    """Look at an image, or say why it cannot be used."""
    path = root / file
    if _shown(file) != file.as_posix():
        return "its name is not Unicode: rename it"
    if not os.path.isfile(path):
        return "not a file" if os.path.lexists(path) else "there is no such file"
    try:
        return look(path)
    except (ValueError, OSError) as error:  # the latter if it was taken away meanwhile
        return image_files.reason(error.__cause__ or error)


def look(path: Path) -> Look:
    """Decode an image, as small as will do, and keep what `splits.duplicates` compares."""
    import imagehash
    from scipy.fft import dctn

    image = data.open_image(path, least_side=LEAST_SIDE)
    grey = image.convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    waves = dctn(np.asarray(grey, dtype=np.float32))[:8, :8].ravel()[1:]
    plain = np.median(np.abs(waves)) < PLAIN
    colours = np.asarray(image.resize((8, 8), Image.Resampling.BOX)) if plain else None
    return Look(imagehash.phash(image).hash.ravel(), colours)


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
