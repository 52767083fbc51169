"""Split a collection into training and validation without leaks.

An image that the network was trained on, in another size, would make the validation accuracy look
better than it is. So near-duplicates stay on one side; each class has the same share on it.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tutorial_utils._support.arguments import check_whole
from tutorial_utils.own_images import duplicates
from tutorial_utils.own_images.collection import Collection
from tutorial_utils.own_images.duplicates import Groups


@dataclass(frozen=True)
class Split:
    """Which images to train on and which to validate on; no image is on both sides."""

    collection: Collection
    train: tuple[int, ...]  # indices, ascending
    val: tuple[int, ...]
    groups: Groups  # near-duplicates, as `duplicates.find` returns them
    crossing: Groups = ()  # those on both sides; only a split that the folder came with has any

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many images of each class are on each side."""
        labels = self.collection.labels
        train, val = (Counter(labels[i] for i in side) for side in (self.train, self.val))
        return {
            name: {"train": train[label], "val": val[label]}
            for label, name in enumerate(self.collection.classes)
        }

    def table(self) -> str:
        """Return the counts as a table, one row per class and one for all. Used in lesson 12."""
        rows = [(name, n["train"], n["val"]) for name, n in self.counts().items()]
        rows.append(("all", len(self.train), len(self.val)))
        width = max(len("class"), *(len(name) for name, *_ in rows))
        lines = [f"{'class':{width}}  {'train':>6}  {'val':>6}  {'val share':>9}"]
        for name, train, val in rows:
            share = f"{val / (train + val):.0%}"
            lines.append(f"{name:{width}}  {train:>6}  {val:>6}  {share:>9}")
        return "\n".join(lines)


def split(
    collection: Collection, *, val_percent: int = 30, seed: int = 0, distance: int = 6
) -> Split:
    """Split a collection: the same share of every class, near-duplicates on the same side.

    If the folder came with a split, that one is used, whatever `val_percent` and `seed` are, and
    the near-duplicates across it are reported. The split depends on the seed and on each image's
    path within the folder; the order of the files does not change it. Used in lesson 12.

    Args:
        collection: the images, from `folders.read`.
        val_percent: how many of 100 images of each class are for validation.
        seed: another seed gives another split.
        distance: how many bits the hashes of near-duplicates may differ in, see `duplicates.find`.

    Raises:
        ValueError: if a class cannot have an image on both sides, or a number is not allowed.
    """
    check_whole("val_percent", val_percent, 1, 99)
    check_whole("seed", seed, 0, 2**32 - 1)
    groups = duplicates.find(collection, distance=distance)
    crossing = ()
    if sides := collection.given_split:
        val = {i for i, side in enumerate(sides) if side == "val"}
        crossing = tuple(group for group in groups if len({sides[i] for i in group}) > 1)
    else:
        units = _units(collection, groups, int(seed))
        _check_units(collection, units, distance)
        val = _choose_val(units, collection.labels, int(val_percent))
    train = tuple(i for i in range(len(collection.files)) if i not in val)
    found = Split(collection, train, tuple(sorted(val)), groups, crossing)
    _check_sides(found)
    return found


class _Unit(NamedTuple):
    """Images that stay on one side: a group of near-duplicates, or one image."""

    members: tuple[int, ...]
    order: int  # random, from the seed and the images' names


def _units(collection: Collection, groups: Groups, seed: int) -> list[_Unit]:
    """Return the groups, then the single images, each in an order that the seed decides."""
    grouped = {i for group in groups for i in group}
    single = [(i,) for i in range(len(collection.files)) if i not in grouped]
    units = []
    for members in (*groups, *single):
        name = min(unicodedata.normalize("NFC", collection.name(i)) for i in members)
        digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
        units.append(_Unit(members, int.from_bytes(digest[:8], "big")))
    return sorted(units, key=lambda unit: (len(unit.members) == 1, unit.order))


def _check_units(collection: Collection, units: list[_Unit], distance: int) -> None:
    """Check that every class has two units, one for each side."""
    independent = Counter(
        label for unit in units for label in {collection.labels[i] for i in unit.members}
    )
    for label, (name, count) in enumerate(collection.counts().items()):
        needed = "a class needs two at least, one to train on and one to validate on"
        if count == 1:
            raise ValueError(
                f"the class {name!r} has a single image, and {needed}: add some, or remove the "
                f"class"
            )
        if independent[label] < 2:
            less = f", or give a distance below {distance} if they are not" if distance else ""
            raise ValueError(
                f"the class {name!r} has {count} images, but they are near-duplicates of each "
                f"other: {independent[label]} independent image, and {needed}. Add others, or "
                f"remove the class{less}"
            )


def _choose_val(units: list[_Unit], labels: Sequence[int], val_percent: int) -> set[int]:
    """Return the images for validation: units one by one, each to the side with room for it."""
    total = Counter(labels)
    target = {c: min(max((n * val_percent + 50) // 100, 1), n - 1) for c, n in total.items()}
    room = {"val": Counter(target), "train": Counter({c: total[c] - target[c] for c in total})}
    val: set[int] = set()
    for unit in units:
        sizes = Counter(labels[i] for i in unit.members)
        sides = ("val", "train")
        if len(unit.members) > 1 and unit.order % 100 >= val_percent:
            sides = ("train", "val")
        too_many = {s: sum(max(0, n - room[s][c]) for c, n in sizes.items()) for s in sides}
        side = min(sides, key=too_many.__getitem__)
        room[side].subtract(sizes)
        if side == "val":
            val.update(unit.members)
    counts = Counter(labels[i] for i in val)
    if all(0 < counts[c] < total[c] for c in total):
        return val
    return _nearest_val(units, labels, target, val)


def _nearest_val(
    units: list[_Unit], labels: Sequence[int], target: dict[int, int], val: set[int]
) -> set[int]:
    """Return the images for validation whose numbers are nearest to the target.

    Solved as an integer program: every class has an image on both sides, the sum of the
    differences from the target is the smallest possible, and the fewest units change sides.
    `target` has the wanted number for each label; `val`, a first choice, is returned if no split
    has every class on both sides.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    classes = list(target)
    wanted = np.array([target[c] for c in classes])
    total = np.array([labels.count(c) for c in classes])
    sizes = np.array([[[labels[i] for i in u.members].count(c) for u in units] for c in classes])
    moves = np.array([-1 if unit.members[0] in val else 1 for unit in units])
    # Variables: 0 or 1 for each unit, then the difference from the target for each class.
    in_val = np.hstack([sizes, np.zeros((len(classes), len(classes)))])
    difference = np.hstack([np.zeros(sizes.shape), np.eye(len(classes))])
    solution = milp(
        np.hstack([moves / (2 * len(units)), np.ones(len(classes))]),  # moves weigh below 1 in all
        integrality=1,
        bounds=Bounds(0, np.hstack([np.ones(len(units)), total])),
        constraints=[
            LinearConstraint(in_val, 1, total - 1),
            LinearConstraint(difference - in_val, -wanted),
            LinearConstraint(difference + in_val, wanted),
        ],
        options={"mip_rel_gap": 0},
    )
    if solution.x is None:
        return val
    return {i for unit, x in zip(units, solution.x, strict=False) if x > 0.5 for i in unit.members}


def _check_sides(found: Split) -> None:
    """Check that every class has an image on both sides."""
    for name, sides in found.counts().items():
        for side, count in sides.items():
            if count:
                continue
            why = (
                "the split that came with it gives none"
                if found.collection.given_split
                else "its near-duplicates are in other classes too, and a group stays together. "
                "Print duplicates.conflicts(collection, duplicates.find(collection)) and remove "
                "what is in the wrong class"
            )
            raise ValueError(f"the class {name!r} would have no image in {side}: {why}")
