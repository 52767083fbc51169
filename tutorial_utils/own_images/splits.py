"""Split a collection into training, validation and test images without leaks.

An image that the network was trained on, in another size, would make an accuracy look better than
it is. So near-duplicates stay in one part; each class has the same share in it.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tutorial_utils._support.arguments import check_whole
from tutorial_utils.own_images import duplicates
from tutorial_utils.own_images.collection import Collection
from tutorial_utils.own_images.duplicates import Groups

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Which images to train on, to choose by and to test with; no image is in two parts."""

    collection: Collection
    train: tuple[int, ...]  # indices, ascending
    val: tuple[int, ...]
    test: tuple[int, ...] = ()
    groups: Groups = ()  # near-duplicates, as `duplicates.find` returns them
    crossing: Groups = ()  # those in two parts; only a split that the folder came with has any

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Return the parts by name: train, val, and test if there is a test set.

        Used in lesson 12.
        """
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {name: part for name, part in parts.items() if part}

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many images of each class are in each part."""
        labels = self.collection.labels
        counted = {name: Counter(labels[i] for i in part) for name, part in self.parts().items()}
        return {
            name: {part: count[label] for part, count in counted.items()}
            for label, name in enumerate(self.collection.classes)
        }

    def table(self) -> str:
        """Return the counts as a table, one row per class and one for all. Used in lesson 12."""
        sums = {name: len(part) for name, part in self.parts().items()}
        rows = [("class", sums), *((name, n.values()) for name, n in self.counts().items())]
        rows.append(("all", sums.values()))
        width = max(len(name) for name, _ in rows)
        return "\n".join(
            f"{name:{width}}" + "".join(f"  {cell:>6}" for cell in cells) for name, cells in rows
        )


def split(
    collection: Collection,
    *,
    val_percent: int = 20,
    test_percent: int = 20,
    seed: int = 0,
    distance: int = 6,
) -> Split:
    """Split a collection: the same share of every class, near-duplicates in the same part.

    If the folder came with a split, that one is used, and the near-duplicates across it are
    reported. If it has no test images, some of its validation images become the test set, as many
    as the ratio of the two percentages says, so that the training images stay as given.

    The split depends on the seed and on each image's path within the folder; the order of the
    files does not change it. Used in lesson 12.

    Args:
        collection: the images, from `folders.read`.
        val_percent: how many of 100 images of each class are for validation.
        test_percent: how many are for the test set; 0 for none.
        seed: another seed gives another split.
        distance: how many bits the hashes of near-duplicates may differ in, see `duplicates.find`.

    Raises:
        ValueError: if a class cannot have an image in each part, or a number is not allowed.
    """
    check_whole("val_percent", val_percent, 1, 99)
    check_whole("test_percent", test_percent, 0, 98)
    check_whole("seed", seed, 0, 2**32 - 1)
    if val_percent + test_percent > 99:
        raise ValueError(
            f"val_percent {val_percent} and test_percent {test_percent} leave nothing to train "
            f"on: together they may be 99 at most"
        )
    groups = duplicates.find(collection, distance=distance)
    part_of = dict(enumerate(collection.given_split or ()))
    shares = {"test": int(test_percent), "val": int(val_percent)}  # filled in this order
    if not part_of:
        shares["train"] = 100 - sum(shares.values())
        divided = range(len(collection.files))
    else:
        known = "test" in part_of.values()
        divided = [i for i, part in part_of.items() if part == "val" and not known]
    shares = {part: share for part, share in shares.items() if share}
    units = _units(collection, groups, divided, int(seed))
    _check_units(collection, units, shares, distance)
    part_of |= _choose(units, collection.labels, shares)
    parts = ([i for i, part in sorted(part_of.items()) if part == name] for name in PARTS)
    crossing = tuple(group for group in groups if len({part_of[i] for i in group}) > 1)
    found = Split(collection, *map(tuple, parts), groups, crossing)
    _check_parts(found)
    return found


class _Unit(NamedTuple):
    """Images that stay in one part: a group of near-duplicates, or one image."""

    members: tuple[int, ...]
    order: int  # random, from the seed and the images' names


def _units(
    collection: Collection, groups: Groups, divided: Iterable[int], seed: int
) -> list[_Unit]:
    """Return the groups, then the single images, each in an order that the seed decides."""
    left = set(divided)
    together = [tuple(i for i in group if i in left) for group in groups]
    grouped = {i for group in together for i in group}
    units = []
    for members in (*filter(None, together), *((i,) for i in left - grouped)):
        name = min(unicodedata.normalize("NFC", collection.name(i)) for i in members)
        digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
        units.append(_Unit(members, int.from_bytes(digest[:8], "big")))
    return sorted(units, key=lambda unit: (len(unit.members) == 1, unit.order))


def _check_units(
    collection: Collection, units: list[_Unit], shares: Mapping[str, int], distance: int
) -> None:
    """Check that every class has as many units as there are parts."""
    if not units:
        return
    labels = collection.labels
    images = Counter(labels[i] for unit in units for i in unit.members)
    independent = Counter(c for unit in units for c in {labels[i] for i in unit.members})
    parts = [part for part in PARTS if part in shares]
    where = "" if "train" in shares else " in val, where the test set is taken from"
    needed = f"a class needs {len(parts)} at least, one for each of {', '.join(parts)}"
    cure = "remove the class" if "train" in shares else "make a folder test beside train and val"
    for label, name in enumerate(collection.classes):
        count = images[label]
        if 0 < count < len(parts):
            number = "a single image" if count == 1 else f"{count} images"
            raise ValueError(
                f"the class {name!r} has {number}{where}, and {needed}: add some, or {cure}"
            )
        if 0 < independent[label] < len(parts):
            less = f", or give a distance below {distance} if they are not" if distance else ""
            raise ValueError(
                f"the class {name!r} has {count} images{where}, but some are near-duplicates of "
                f"each other: {independent[label]} independent, and {needed}. Add others, or "
                f"{cure}{less}"
            )


def _choose(units: list[_Unit], labels: Sequence[int], shares: Mapping[str, int]) -> dict[int, str]:
    """Return the part of each image: units one by one, each to the part with room for it."""
    total, whole = Counter(labels[i] for unit in units for i in unit.members), sum(shares.values())
    target: dict[str, Counter] = {}
    for later, (part, share) in zip(range(len(shares) - 1, -1, -1), shares.items(), strict=True):
        left = {c: total[c] - sum(counts[c] for counts in target.values()) for c in total}
        wanted = {c: left[c] if not later else _round(total[c] * share, whole) for c in total}
        target[part] = Counter({c: min(max(wanted[c], 1), left[c] - later) for c in total})
    room = {part: counts.copy() for part, counts in target.items()}
    chosen: dict[int, str] = {}
    for unit in units:
        sizes = Counter(labels[i] for i in unit.members)
        parts = list(shares)
        if len(unit.members) > 1:  # groups come first, when there is room in every part
            parts.sort(key=_drawn(unit.order % whole, shares).__ne__)
        too_many = {p: sum(max(0, n - room[p][c]) for c, n in sizes.items()) for p in parts}
        part = min(parts, key=too_many.__getitem__)
        room[part].subtract(sizes)
        chosen |= dict.fromkeys(unit.members, part)
    found = {(labels[i], part) for i, part in chosen.items()}
    if len(found) == len(total) * len(shares):
        return chosen
    return _nearest(units, labels, target, chosen)


def _round(count: int, whole: int) -> int:
    """Return count / whole, rounded to a whole number."""
    return (count + whole // 2) // whole


def _drawn(number: int, shares: Mapping[str, int]) -> str:
    """Return the part in whose share a number from 0 falls."""
    for part, share in shares.items():
        if number < share:
            return part
        number -= share
    raise ValueError("the number is not below the sum of the shares")


def _nearest(
    units: list[_Unit],
    labels: Sequence[int],
    target: Mapping[str, Mapping[int, int]],
    chosen: dict[int, str],
) -> dict[int, str]:
    """Return the part of each image, with numbers as near to the target as possible.

    Solved as an integer program: every class has an image in each part, the sum of the
    differences from the target is the smallest possible, and the fewest units change their part.
    `target` has the wanted numbers, {part: {label: number}}; `chosen`, a first choice, is returned
    if no split has every class in each part.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, hstack, kron

    parts, classes = list(target), list(next(iter(target.values())))
    wanted = np.array([[target[part][c] for part in parts] for c in classes]).ravel()
    sizes = np.array([[[labels[i] for i in u.members].count(c) for u in units] for c in classes])
    moves = np.array([[chosen.get(u.members[0]) != part for part in parts] for u in units]).ravel()
    # Variables: 0 or 1 for each unit and part, then the difference for each class and part.
    numbers = kron(csr_array(sizes), eye_array(len(parts)))  # of each class in each part
    once = kron(eye_array(len(units)), np.ones((1, len(parts))))
    none, difference = csr_array((len(wanted), len(wanted))), eye_array(len(wanted))
    solution = milp(
        np.concatenate([moves / (2 * len(units)), np.ones(len(wanted))]),  # moves: below 1 in all
        integrality=1,
        bounds=Bounds(0, np.concatenate([np.ones(len(moves)), np.full(len(wanted), np.inf)])),
        constraints=[
            LinearConstraint(hstack([once, csr_array((len(units), len(wanted)))]), 1, 1),
            LinearConstraint(hstack([numbers, none]), 1),
            LinearConstraint(hstack([-numbers, difference]), -wanted),
            LinearConstraint(hstack([numbers, difference]), wanted),
        ],
        options={"mip_rel_gap": 0},
    )
    if solution.x is None:
        return chosen
    placed = solution.x[: len(moves)].reshape(len(units), len(parts)).argmax(axis=1)
    return {i: parts[p] for u, p in zip(units, placed, strict=True) for i in u.members}


def _check_parts(found: Split) -> None:
    """Check that every class has an image in each part."""
    for name, parts in found.counts().items():
        for part, count in parts.items():
            if count:
                continue
            why = (
                "the split that came with it gives none"
                if found.collection.given_split
                else "its near-duplicates are in other classes too, and a group stays together. "
                "Print duplicates.conflicts(collection, duplicates.find(collection)) and remove "
                "what is in the wrong class"
            )
            raise ValueError(f"the class {name!r} would have no image in {part}: {why}")
