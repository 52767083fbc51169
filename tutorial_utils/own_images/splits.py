"""A split of images without leaks: near-duplicates are found, and stay on one side.

An image that was trained on, in another size, would make the validation look better than it is.
`duplicates` finds the groups, `split` divides, the same share of every class.

Sources:
    Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), the hash:
    https://www.phash.org/docs/pubs/thesis_zauner.pdf
    Barz, Denzler, "Do we train on test data? Purging CIFAR of near-duplicates" (2020):
    https://arxiv.org/abs/1902.00423
"""

import functools
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import numpy as np

from tutorial_utils import data
from tutorial_utils.own_images import folders
from tutorial_utils.own_images.folders import Collection, Look

STEPS = 1000  # of the walk that looks for a split, where groups hold several classes
SHADE = 4  # of 255, how far the colours of two plain images may lie apart


@dataclass(frozen=True)
class Split:
    """Which images to train on and which to validate on.

    Attributes:
        collection: what was split.
        train: indices of the images to train on, ascending.
        val: the same for validation; no image is in both.
        groups: near-duplicates, as `duplicates` returns them.
        crossing: those of the groups that have images on both sides, which only a split that
            was given can have.
    """

    collection: Collection
    train: tuple[int, ...]
    val: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    crossing: tuple[tuple[int, ...], ...] = ()

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many images of each class are on each side."""
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


def duplicates(collection: Collection, *, distance: int = 6) -> tuple[tuple[int, ...], ...]:
    """Find groups of images that are nearly the same.

    Two images are, if their perceptual hashes (the signs of 64 slow waves in the image's
    grey) differ in few bits: one file twice, another format, size, brightness, a small cut.
    Mirrored, turned or strongly cut copies are not found. Images so plain that the waves are
    noise, such as a white sheet, are compared by their colours instead. Groups are chained: two
    images may be in one because a third is close to both.

    The default was chosen by trying. 99 photographs of the course were saved again at JPEG quality
    10 to 85, at half and a third of the size, as a square, in grey, with other brightness and
    contrast, blurred, with 1 % cut off each side: of each kind 98 to 100 % lie within 6 bits of
    the original, 90 to 100 % within 4. Of different images, no pair of the 397 photographs is
    closer than 12 bits, none of as many drawings closer than 10; of the 50 million pairs of Tiny
    ImageNet's validation images none is within 6, and 5 are at 8, which do not resemble each
    other. Small drawings of one kind do: of scikit-learn's 1,797 digits, 6 bits chain 58 into one
    group. Give less for such a set.

    Args:
        collection: the images, from `read`.
        distance: how many of the 64 bits may differ; the number that does is always even.

    Returns:
        Groups of two or more indices, ascending; an image is in one group at most.

    Raises:
        ValueError: if `distance` is no whole number from 0 to 64, or an image cannot be read.
    """
    if not _whole(distance) or not 0 <= distance <= 64:
        raise ValueError(
            f"distance must be a whole number from 0 to 64, the bits of the hash, not {distance!r}"
        )
    looks = collection.looks
    if looks is None:
        looks = tuple(folders.look(path) for path in collection.files)
    tops = list(range(len(looks)))

    def top(index: int) -> int:
        while tops[index] != index:
            tops[index] = index = tops[tops[index]]
        return index

    for first, second in _pairs(looks, int(distance)):
        first, second = sorted((top(first), top(second)))
        tops[second] = first
    groups: dict[int, list[int]] = {}
    for index in range(len(looks)):
        groups.setdefault(top(index), []).append(index)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def conflicts(
    collection: Collection, groups: Iterable[Sequence[int]]
) -> tuple[tuple[int, ...], ...]:
    """Return those groups of near-duplicates that hold more than one class.

    Where the images of such a group are one image, a label is wrong.
    """
    return tuple(tuple(group) for group in groups if len({collection.labels[i] for i in group}) > 1)


def split(
    collection: Collection, *, val_percent: int = 30, seed: int = 0, distance: int = 6
) -> Split:
    """Divide the images: the same share of every class, near-duplicates on the same side.

    Where the folder came with a split, that one is kept, whatever `val_percent` and `seed` say,
    and the near-duplicates across it are reported. The drawing depends on the seed and on each
    image's path within the folder alone: neither the order of the files nor a library's version
    changes it.

    Args:
        collection: the images, from `read`.
        val_percent: how many of 100 images of each class are for validation.
        seed: another seed, another split.
        distance: see `duplicates`.

    Raises:
        ValueError: if a class cannot have an image on both sides, or a number is not allowed.
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
    val = _mend(units, collection.labels, _draw(units, collection.labels, int(val_percent)))
    train = tuple(i for i in range(len(collection.files)) if i not in val)
    found = Split(collection, train, tuple(sorted(val)), groups)
    _check_sides(found)
    return found


# Near-duplicates.


def _pairs(looks: Sequence[Look], distance: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of images that are nearly the same."""
    from scipy.spatial.distance import cdist

    plain = np.array([i for i, look in enumerate(looks) if look.colours is not None], dtype=int)
    rest = np.array([i for i, look in enumerate(looks) if look.colours is None], dtype=int)
    if len(rest):
        signs = np.array([looks[i].bits for i in rest]) * np.float32(2) - 1

        def differing(part: np.ndarray, others: np.ndarray) -> np.ndarray:
            return (64 - part @ others.T) / 2

        yield from _near(rest, signs, differing, distance)
    if len(plain):
        colours = np.array([looks[i].colours.ravel() for i in plain], dtype=np.float32)
        yield from _near(plain, colours, functools.partial(cdist, metric="chebyshev"), SHADE)


def _near(
    indices: np.ndarray, rows: np.ndarray, apart: Callable, limit: float, *, block: int = 512
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of indices whose rows are no farther apart than the limit."""
    for start in range(0, len(rows), block):
        near = np.triu(apart(rows[start : start + block], rows[start:]) <= limit, k=1)
        first, second = np.nonzero(near)
        yield from zip(
            indices[start + first].tolist(), indices[start + second].tolist(), strict=True
        )


# The split.


class _Unit(NamedTuple):
    members: tuple[int, ...]
    order: int  # drawn from the seed and the images' names


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
    """Check that every class has two images that may go to different sides."""
    independent = Counter(
        label for unit in units for label in {collection.labels[i] for i in unit.members}
    )
    for name, count in collection.counts().items():
        label = collection.classes.index(name)
        if count == 1:
            raise ValueError(
                f"the class {name!r} has a single image, and two at least are needed, one to "
                f"train on and one to validate on: add some, or take the class away"
            )
        if independent[label] < 2:
            less = f", or give a distance below {distance} if they are not" if distance else ""
            raise ValueError(
                f"the class {name!r} has {count} images, but they are near-duplicates of each "
                f"other: {independent[label]} independent image, and two at least are needed, "
                f"one to train on and one to validate on. Add others, or take the class away{less}"
            )


def _draw(units: list[_Unit], labels: Sequence[int], val_percent: int) -> set[int]:
    """Choose the images for validation."""
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


def _mend(units: list[_Unit], labels: Sequence[int], val: set[int]) -> set[int]:
    """Move units until no class lacks an image on one side.

    Where a group holds several classes, a move may empty another class's side: then it is a walk,
    of which one step in three goes anywhere, and which gives up in the end.
    """
    holds = [frozenset(labels[i] for i in unit.members) for unit in units]
    inside = [unit.members[0] in val for unit in units]
    classes, count = sorted(set(labels)), {True: Counter(), False: Counter()}
    for side, held in zip(inside, holds, strict=True):
        count[side].update(held)
    for step in range(STEPS):
        lacking = [(c, s) for c in classes for s in (True, False) if not count[s][c]]
        if not lacking:
            break
        label, side = lacking[step % len(lacking)]

        def cost(k: int, side: bool = side, step: int = step) -> tuple[int, ...]:
            emptied = sum(count[not side][c] == 1 for c in holds[k])
            drawn = units[k].order * (2 * step + 1) % 2**64
            return (0, drawn) if step % 3 == 2 else (emptied, len(units[k].members), drawn)

        moved = min((k for k, held in enumerate(holds) if label in held), key=cost)
        inside[moved] = side
        count[side].update(holds[moved])
        count[not side].subtract(holds[moved])
    return {i for unit, s in zip(units, inside, strict=True) if s for i in unit.members}


def _check_sides(found: Split) -> None:
    """Check that every class has an image on both sides."""
    why = (
        "its near-duplicates are in other classes too, and a group stays together. Look at "
        "conflicts(collection, duplicates(collection)) and take out what is in the wrong class"
    )
    for name, sides in found.counts().items():
        for side, count in sides.items():
            if count == 0:
                raise ValueError(
                    f"the class {name!r} would have no image in {side}: "
                    f"{'the split that came with it gives none' if found.collection.given else why}"
                )


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
