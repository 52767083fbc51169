"""A collection: images of some classes that were opened once, and data sets made from it."""

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tutorial_utils import data
from tutorial_utils._support.arguments import check_whole, is_whole
from tutorial_utils.own_images.duplicates import ImageHash


class ImageList(data.ImageFolder):
    """An `ImageFolder` of images that are listed one by one, in any folders."""

    def __init__(
        self,
        root: Path,
        classes: tuple[str, ...],
        listed: list[tuple[str, int]],
        transform: Callable | None,
        least_side: int | None,
    ) -> None:
        self._classes, self._listed = classes, listed
        loader = functools.partial(data.open_image, least_side=least_side)
        super().__init__(root, transform, loader=loader)
        self.least_side = least_side

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class names, and the label of each."""
        return list(self._classes), {name: label for label, name in enumerate(self._classes)}

    def make_dataset(self, *_: object, **__: object) -> list[tuple[str, int]]:
        """Return the pairs of a file and a label that were given."""
        return self._listed


@dataclass(frozen=True)
class Collection:
    """Images of some classes; every one can be opened."""

    root: Path  # the folder
    files: tuple[Path, ...]  # in the order of their paths within the folder
    labels: tuple[int, ...]  # of each file, an index into `classes`
    classes: tuple[str, ...]  # in alphabetical order, in Unicode's composed form (NFC)
    problems: tuple[data.Problem, ...] = ()  # images that cannot be used, with the reason
    odd: tuple[str, ...] = ()  # other files that were skipped, and class names that look alike
    # "train", "val" or "test" for each image, if the folder came with a split.
    given_split: tuple[str, ...] | None = None
    # Of each image, for `duplicates.find`; None if not computed yet.
    hashes: tuple[ImageHash, ...] | None = field(default=None, repr=False, compare=False)

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
        """Return some of the images as a data set of (image, label). Used in lesson 12.

        Args:
            indices: which images, in this order, such as `Split.train`; None for all.
            transform: turns a PIL image into the network's input; None leaves PIL images.
            least_side: decode a JPEG to a half, a quarter or an eighth of its size, as long as no
                side has fewer pixels than this.

        Raises:
            ValueError: if an index is not that of an image, or `least_side` is not a whole number
                from 1.
        """
        chosen = list(range(len(self.files)) if indices is None else indices)
        for index in chosen:
            if not is_whole(index) or not 0 <= index < len(self.files):
                raise ValueError(
                    f"there is no image {index!r}: indices are whole numbers from 0 to "
                    f"{len(self.files) - 1}, such as splits.split(collection).train"
                )
        if least_side is not None:
            check_whole("least_side", least_side, 1)
        listed = [(str(self.files[i]), self.labels[i]) for i in map(int, chosen)]
        return ImageList(self.root, self.classes, listed, transform, least_side)

    def name(self, index: int) -> str:
        """Return an image's path within the folder, with slashes. Used in lesson 12."""
        return self.files[index].relative_to(self.root).as_posix()

    def summary(self) -> str:
        """Return one line: images, classes, a given split, and what was left out."""
        counts = self.counts()
        each = ", ".join(f"{name} {count}" for name, count in counts.items())
        if len(counts) > 8:
            each = f"{min(counts.values())} to {max(counts.values())} each"
        line = f"images: {len(self.files)} of {len(counts)} classes ({each})"
        if self.given_split is not None:
            sides = Counter(self.given_split)
            parts = [f"{sides[name]} {name}" for name in ("train", "val", "test") if sides[name]]
            line += f", split as given: {', '.join(parts)}"
        if self.problems:
            line += f"; left out {len(self.problems)}: {describe_problems(self.problems)}"
        if self.odd:
            line += f"; odd: {shorten(self.odd, separator='; ', last='; and')}"
        return line


def describe_problems(problems: Iterable[data.Problem]) -> str:
    """Return the first three problems, each with its reason, and how many more there are."""
    return shorten([f"{path.as_posix()} ({reason})" for path, reason in problems])


def shorten(texts: Sequence[str], *, separator: str = ", ", last: str = " and") -> str:
    """Return the first three texts, and how many more there are."""
    more = len(texts) - 3
    return separator.join(texts[:3]) + (f"{last} {more} more" if more > 0 else "")
