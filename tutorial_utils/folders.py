"""Pictures of your own: any number of classes from any folder, audited, and split without leaks.

`read` takes one folder per class, `train` and `val` with such folders within, or a
`manifest.csv`, and tells which files cannot be used and why. `duplicates` finds pictures that are
nearly the same, `split` keeps each group of them on one side: a picture that was trained on, in
another size, would make the validation look better than it is.

Sources:
    Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), the hash:
    https://www.phash.org/docs/pubs/thesis_zauner.pdf
    Barz, Denzler, "Do we train on test data? Purging CIFAR of near-duplicates" (2020):
    https://arxiv.org/abs/1902.00423
    Unicode Standard Annex 15, normalisation forms: https://unicode.org/reports/tr15/
"""

import csv
import functools
import hashlib
import io
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
from torchvision.datasets.folder import IMG_EXTENSIONS

from tutorial_utils import data, places

MANIFEST = "manifest.csv"
WANTED = (
    "wanted is one folder per class with pictures in it; or train and val, with such folders in "
    f"each; or a {MANIFEST} with the columns file and class"
)
# What systems and programs leave behind; nobody means these as classes or pictures.
JUNK = frozenset(
    {"__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information"}
    | {"lost+found", "Thumbs.db", "desktop.ini"}
)
# Folders that say "this is a split", in whatever letters.
SPLIT_WORDS = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing", "dev"}
)


class PictureList(data.ImageFolder):
    """An `ImageFolder` of pictures that are listed one by one, wherever they lie."""

    def __init__(
        self,
        root: Path,
        classes: tuple[str, ...],
        listed: list[tuple[str, int]],
        transform: Callable | None,
        least_side: int | None,
    ) -> None:
        self._classes, self._listed = classes, listed
        opened = functools.partial(data.open_picture, least_side=least_side)
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
    """Pictures of some classes, looked through.

    Attributes:
        root: the folder.
        files: the readable pictures, in the order of their paths within the folder.
        labels: the label of each, an index into `classes`.
        classes: the class names in alphabetical order, in Unicode's composed form (NFC).
        problems: files that should be pictures and cannot be used, each with the reason.
        odd: what was passed over or looks strange, each with the reason; hidden files are not in
            it.
        given: "train" or "val" for each file where the folder comes with a split, else None.
    """

    root: Path
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    problems: tuple[data.Problem, ...] = ()
    odd: tuple[str, ...] = ()
    given: tuple[str, ...] | None = None

    def counts(self) -> dict[str, int]:
        """Return how many readable pictures each class has."""
        found = Counter(self.labels)
        return {name: found[label] for label, name in enumerate(self.classes)}

    def dataset(
        self,
        indices: Iterable[int] | None = None,
        transform: Callable | None = None,
        *,
        least_side: int | None = None,
    ) -> PictureList:
        """Return some of the pictures as a data set of (picture, label).

        Args:
            indices: which, in this order, as `Split.train` and `Split.val` give them; None for all.
            transform: turns a PIL picture into what the network wants; None leaves PIL pictures.
            least_side: decode a JPEG to a half, a quarter or an eighth of its size, as long as no
                side has fewer pixels than this.

        Raises:
            ValueError: if an index is not one of a picture, or `least_side` no whole number from 1.
        """
        chosen = list(range(len(self.files)) if indices is None else indices)
        for index in chosen:
            if not _whole(index) or not 0 <= index < len(self.files):
                raise ValueError(
                    f"there is no picture {index!r}: indices are whole numbers from 0 to "
                    f"{len(self.files) - 1}, such as split(collection).train"
                )
        if least_side is not None and (not _whole(least_side) or least_side < 1):
            raise ValueError(f"least_side must be a whole number from 1, not {least_side!r}")
        listed = [(str(self.files[i]), self.labels[i]) for i in map(int, chosen)]
        return PictureList(self.root, self.classes, listed, transform, least_side)

    def name(self, index: int) -> str:
        """Return a picture's path within the folder, with slashes on every system."""
        return self.files[index].relative_to(self.root).as_posix()

    @functools.cached_property
    def _looks(self) -> "_Looks":
        return _look(self.files)


@dataclass(frozen=True)
class Split:
    """Which pictures to train on and which to validate on.

    Attributes:
        collection: what was split.
        train: indices of the pictures to train on, ascending.
        val: the same for validation; no picture is in both.
        groups: near-duplicates, as `duplicates` returns them.
        crossing: those of the groups that have pictures on both sides, which only a split that
            was given can have.
    """

    collection: Collection
    train: tuple[int, ...]
    val: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    crossing: tuple[tuple[int, ...], ...] = ()

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many pictures of each class are on each side."""
        sides = [
            Counter(self.collection.labels[i] for i in side) for side in (self.train, self.val)
        ]
        return {
            name: {"train": sides[0][label], "val": sides[1][label]}
            for label, name in enumerate(self.collection.classes)
        }

    def table(self) -> str:
        """Return the counts as a table, one row a class and one for all."""
        rows = [(name, n["train"], n["val"]) for name, n in self.counts().items()]
        rows.append(("all", len(self.train), len(self.val)))
        width = max(len("class"), *(len(name) for name, *_ in rows))
        lines = [f"{'class':{width}}  {'train':>6}  {'val':>6}  {'val share':>9}"]
        for name, train, val in rows:
            share = f"{val / (train + val):.0%}"
            lines.append(f"{name:{width}}  {train:>6}  {val:>6}  {share:>9}")
        return "\n".join(lines)


def read(folder: str | Path, *, quiet: bool = False) -> Collection:
    """Look through a folder of pictures, opening every one, and say in one line what it holds.

    The classes are the folders directly in it; or those in its `train` and `val`, which are then
    kept as the split; or what a `manifest.csv` says: UTF-8, the columns `file` (a path within the
    folder) and `class` (any text), and `split` (train or val) where there is one.

    Args:
        folder: where the pictures are.
        quiet: print nothing.

    Raises:
        FileNotFoundError: if there is no such folder.
        NotADirectoryError: if it is a file.
        ValueError: if the layout is not one of these, there are fewer than two classes, a class
            has no picture that can be used, or the manifest names a file outside the folder.
    """
    root = Path(folder).expanduser().absolute()
    _check_folder(root)
    listing = _from_manifest(root) if (root / MANIFEST).is_file() else _from_folders(root)
    _check_classes(root, listing.entries)
    problems, readable = [], []
    with places.progress_bar(quiet, total=len(listing.entries), unit="picture") as bar:
        for entry in sorted(listing.entries, key=lambda entry: entry.path.as_posix()):
            if fault := _fault(root, entry.path):
                problems.append(data.Problem(Path(_shown(entry.path.as_posix())), fault))
            else:
                readable.append(entry)
            bar.update()
    _check_left(root, listing.entries, readable, problems)
    classes = tuple(sorted({entry.label for entry in readable}))
    found = Collection(
        root,
        tuple(root / entry.path for entry in readable),
        tuple(classes.index(entry.label) for entry in readable),
        classes,
        tuple(problems),
        tuple(listing.odd + _alike(classes)),
        tuple(entry.split for entry in readable) if listing.splits else None,
    )
    if not quiet:
        print(_line(found), flush=True)
    return found


def duplicates(collection: Collection, *, distance: int = 6) -> tuple[tuple[int, ...], ...]:
    """Find groups of pictures that are nearly the same.

    Args:
        collection: the pictures, from `read`.
        distance: how many of the 64 bits of two pictures' hashes may differ.

    Returns:
        Groups of two or more indices, ascending; a picture is in one group at most.

    Raises:
        ValueError: if `distance` is no whole number from 0 to 64.
    """
    if not _whole(distance) or not 0 <= distance <= 64:
        raise ValueError(
            f"distance must be a whole number from 0 to 64, the bits of the hash, not {distance!r}"
        )
    looks, union = collection._looks, _Union(len(collection.files))
    for first, second in looks.pairs(int(distance)):
        union.join(first, second)
    return union.groups()


def conflicts(
    collection: Collection, groups: Iterable[Sequence[int]]
) -> tuple[tuple[int, ...], ...]:
    """Return those groups of near-duplicates that hold more than one class."""
    return tuple(tuple(group) for group in groups if len({collection.labels[i] for i in group}) > 1)


def split(
    collection: Collection, *, val_percent: int = 30, seed: int = 0, distance: int = 6
) -> Split:
    """Divide the pictures: the same share of every class, near-duplicates on the same side.

    Where the folder came with a split, that one is kept, whatever `val_percent` and `seed` say,
    and the near-duplicates across it are reported. The drawing depends on the seed and on each
    picture's path within the folder alone: neither the order of the files nor a library's version
    changes it.

    Args:
        collection: the pictures, from `read`.
        val_percent: how many of 100 pictures of each class are for validation.
        seed: another seed, another split.
        distance: see `duplicates`.

    Raises:
        ValueError: if a class cannot have a picture on both sides, or a number is not allowed.
    """
    if not _whole(val_percent) or not 1 <= val_percent <= 99:
        raise ValueError(f"val_percent must be a whole number from 1 to 99, not {val_percent!r}")
    if not _whole(seed) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, not {seed!r}")
    groups = duplicates(collection, distance=distance)
    if collection.given is not None:
        return _given(collection, groups)
    units = _units(collection, groups, int(seed))
    _check_units(collection, units, distance)
    val = _draw(units, collection.labels, int(val_percent))
    train = tuple(i for i in range(len(collection.files)) if i not in val)
    found = Split(collection, train, tuple(sorted(val)), groups)
    _check_sides(found)
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
    """List the pictures of a folder without a manifest."""
    folders = _folders(root)
    if {"train", "val"} <= set(folders):
        _check_layout(
            root, [f"{split}/{name}" for split in data.SPLITS for name in _folders(root / split)]
        )
        odd = [
            f"{_shown(name)}/: only train and val are read"
            for name in folders
            if name not in data.SPLITS
        ]
        listing = _Listing([], odd, True)
        for side in data.SPLITS:
            _list(root, Path(side), side, listing)
        return listing
    _check_layout(root, folders)
    listing = _Listing([], [])
    _list(root, Path(), None, listing)
    return listing


def _list(root: Path, base: Path, side: str | None, listing: _Listing) -> None:
    """Add what lies in the class folders of one folder."""
    names = {}
    for name in _folders(root / base):
        label = _named(name, "the folder")
        if label in names:
            raise ValueError(
                f"two folders of {root / base} are both named {label!r}, written in different "
                f"Unicode forms: put their pictures into one"
            )
        names[label] = name
        before = len(listing.entries)
        for path in _files(root, base / name, listing.odd):
            if path.suffix.lower() in IMG_EXTENSIONS:
                listing.entries.append(_Entry(path, label, side))
            else:
                listing.odd.append(f"{_shown(path.as_posix())}: {_kind(path)}")
        if len(listing.entries) == before:
            raise ValueError(
                f"the class folder {(base / name).as_posix()} of {root} holds no picture: put some "
                f"into it ({', '.join(IMG_EXTENSIONS)}), or take it away"
            )
    loose = [name for name in _visible(root / base) if (root / base / name).is_file()]
    listing.odd.extend(
        f"{_shown((base / name).as_posix())}: not in a class's folder" for name in loose
    )


def _check_layout(root: Path, folders: list[str]) -> None:
    pass


def _folders(folder: Path) -> list[str]:
    return [name for name in _visible(folder) if (folder / name).is_dir()]


def _visible(folder: Path) -> list[str]:
    return sorted(
        name for name in os.listdir(folder) if not name.startswith(".") and name not in JUNK
    )


def _files(root: Path, base: Path, odd: list[str]) -> Iterator[Path]:
    """Yield the files below a folder, relative to `root`; links are followed, but not in circles."""
    real = (root / base).resolve()
    for name in _visible(root / base):
        path = base / name
        if not (root / path).is_dir():
            yield path
        elif real.is_relative_to((root / path).resolve()):
            odd.append(f"{_shown(path.as_posix())}/: a link back to a folder above it")
        else:
            yield from _files(root, path, odd)


def _kind(path: Path) -> str:
    kind = f"{_shown(path.suffix)} files" if path.suffix else "files without an ending"
    return f"{kind} are not read"


def _from_manifest(root: Path) -> _Listing:
    """List the pictures that `manifest.csv` names."""
    rows = _rows(root)
    splits = "split" in rows[0][1]
    entries, seen = [], {}
    for number, row in rows:
        line = f"line {number} of {MANIFEST}"
        path = _inside(root, row["file"], line)
        if not row["class"]:
            raise ValueError(f"{line} gives no class for {row['file']!r}")
        if splits and row["split"] not in data.SPLITS:
            raise ValueError(f"{line} has the split {row['split']!r}; allowed: train, val")
        if path in seen:
            raise ValueError(f"{line} names {row['file']!r}, which line {seen[path]} named before")
        seen[path] = number
        entries.append(_Entry(path, row["class"], row["split"] if splits else None))
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
            values = dict(zip(header, (field.strip() for field in fields), strict=True))
            values["class"] = unicodedata.normalize("NFC", values["class"])
            rows.append((reader.line_num, values))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} of {MANIFEST} is not CSV: {error}") from None
    if not rows:
        raise ValueError(f"{MANIFEST} names no file: give one line per picture under the header")
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
    forms = (file, windows.as_posix())
    for form in (
        *forms,
        *(unicodedata.normalize(kind, f) for f in forms for kind in ("NFC", "NFD")),
    ):
        if (root / form).exists():
            break
    else:
        form = forms[1]
    if not (root / form).resolve().is_relative_to(root.resolve()):
        raise ValueError(
            f"{line} names {file!r}, a link that leads out of the folder: copy the picture into it"
        )
    return Path(form)


def _unlisted(root: Path, listed: set[Path]) -> list[str]:
    """Say which pictures of the folder the manifest does not name."""
    found = [path for path in _files(root, Path(), []) if path.suffix.lower() in IMG_EXTENSIONS]
    left = [_shown(path.as_posix()) for path in found if path not in listed]
    if not left:
        return []
    more = f" and {len(left) - 3} more" if len(left) > 3 else ""
    return [f"{MANIFEST} does not name {', '.join(left[:3])}{more}"]


def _named(name: str, what: str) -> str:
    """Return a class name in Unicode's composed form."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"the name of {what} {_shown(name)!r} is not valid Unicode: rename it"
        ) from None
    return unicodedata.normalize("NFC", name)


def _shown(name: str) -> str:
    """Return a name that can be printed, whatever bytes the disk has for it."""
    return name.encode(errors="backslashreplace").decode()


def _fault(root: Path, path: Path) -> str | None:
    if _shown(path.as_posix()) != path.as_posix():
        return "its name is not valid Unicode: rename it"
    return data._fault(root / path)


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
    """Check that no class has lost all its pictures to problems."""
    left = {(entry.label, entry.split) for entry in readable}
    for label, side in sorted({(entry.label, entry.split) for entry in entries} - left):
        paths = {e.path for e in entries if (e.label, e.split) == (label, side)}
        bad = [problem for problem in problems if problem.path in paths]
        where = f" in {side}" if side else ""
        raise ValueError(
            f"no picture of the class {label!r}{where} of {root} can be used: {_several(bad)}. "
            f"Replace them, or take the class away"
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


def _several(problems: Sequence[data.Problem], limit: int = 5) -> str:
    names = [f"{path.as_posix()} ({reason})" for path, reason in problems[:limit]]
    more = len(problems) - limit
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _line(found: Collection) -> str:
    parts = ", ".join(f"{name} {count}" for name, count in found.counts().items())
    line = f"pictures: {len(found.files)} of {len(found.classes)} classes ({parts})"
    if found.given is not None:
        sides = Counter(found.given)
        line += f", split as given: {sides['train']} train, {sides['val']} val"
    if found.problems:
        line += f"; left out {len(found.problems)}: {_several(found.problems)}"
    return line


# Near-duplicates.


class _Looks(NamedTuple):
    bits: np.ndarray  # (N, 64) bool
    digests: list[str]

    def pairs(self, distance: int) -> Iterator[tuple[int, int]]:
        """Yield pairs of pictures that are nearly the same."""
        first = {}
        for index, digest in enumerate(self.digests):
            if digest in first:
                yield first[digest], index
            first.setdefault(digest, index)
        signs = self.bits.astype(np.float32) * 2 - 1
        for start in range(0, len(signs), 1024):
            apart = (64 - signs[start : start + 1024] @ signs[start:].T) / 2
            rows, columns = np.nonzero(apart <= distance)
            near = rows < columns
            yield from zip(
                (rows[near] + start).tolist(), (columns[near] + start).tolist(), strict=True
            )


def _look(files: Sequence[Path]) -> _Looks:
    import imagehash

    bits = np.zeros((len(files), 64), dtype=bool)
    digests = []
    for index, path in enumerate(files):
        bits[index] = imagehash.phash(data.open_picture(path, least_side=32)).hash.ravel()
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return _Looks(bits, digests)


class _Union:
    """Groups that grow together."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def top(self, index: int) -> int:
        while self.parent[index] != index:
            self.parent[index] = self.parent[self.parent[index]]
            index = self.parent[index]
        return index

    def join(self, first: int, second: int) -> None:
        first, second = sorted((self.top(first), self.top(second)))
        self.parent[second] = first

    def groups(self) -> tuple[tuple[int, ...], ...]:
        found: dict[int, list[int]] = {}
        for index in range(len(self.parent)):
            found.setdefault(self.top(index), []).append(index)
        return tuple(tuple(group) for group in found.values() if len(group) > 1)


# The split.


class _Unit(NamedTuple):
    members: tuple[int, ...]
    order: int  # drawn from the seed and the pictures' names


def _given(collection: Collection, groups: tuple[tuple[int, ...], ...]) -> Split:
    sides = {
        side: tuple(i for i, given in enumerate(collection.given) if given == side)
        for side in data.SPLITS
    }
    crossing = tuple(g for g in groups if len({collection.given[i] for i in g}) > 1)
    found = Split(collection, sides["train"], sides["val"], groups, crossing)
    _check_sides(found)
    return found


def _units(collection: Collection, groups: tuple[tuple[int, ...], ...], seed: int) -> list[_Unit]:
    """Return what is moved as one, in the order drawn by the seed."""
    grouped = {i for group in groups for i in group}
    alone = [(i,) for i in range(len(collection.files)) if i not in grouped]
    units = []
    for members in (*groups, *alone):
        name = min(unicodedata.normalize("NFC", collection.name(i)) for i in members)
        digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
        units.append(_Unit(members, int.from_bytes(digest[:8], "big")))
    return sorted(units, key=lambda unit: (-min(len(unit.members), 2), unit.order))


def _check_units(collection: Collection, units: list[_Unit], distance: int) -> None:
    """Check that every class has two pictures that may go to different sides."""
    independent = Counter(
        label for unit in units for label in {collection.labels[i] for i in unit.members}
    )
    for name, count in collection.counts().items():
        label = collection.classes.index(name)
        if count == 1:
            raise ValueError(
                f"the class {name!r} has a single picture, and two at least are needed, one to "
                f"train on and one to validate on: add some, or take the class away"
            )
        if independent[label] < 2:
            raise ValueError(
                f"the class {name!r} has {count} pictures, but they are near-duplicates of each "
                f"other: {independent[label]} independent picture, and two at least are needed, "
                f"one to train on and one to validate on. Add others, take the class away, or "
                f"give a distance below {distance} if they are not the same picture"
            )


def _draw(units: list[_Unit], labels: Sequence[int], val_percent: int) -> set[int]:
    """Choose the pictures for validation."""
    total = Counter(labels)
    target = {c: min(max((n * val_percent + 50) // 100, 1), n - 1) for c, n in total.items()}
    room = {"val": Counter(target), "train": Counter({c: total[c] - target[c] for c in total})}
    val: set[int] = set()
    for unit in units:
        sizes = Counter(labels[i] for i in unit.members)
        order = ("val", "train")
        if len(unit.members) > 1 and unit.order % 100 >= val_percent:
            order = ("train", "val")
        over = {s: sum(max(0, n - room[s][c]) for c, n in sizes.items()) for s in order}
        side = min(order, key=over.__getitem__)
        room[side].subtract(sizes)
        if side == "val":
            val.update(unit.members)
    return val


def _check_sides(found: Split) -> None:
    for name, sides in found.counts().items():
        for side, count in sides.items():
            if count == 0:
                raise ValueError(f"the class {name!r} has no picture in {side}")


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
