"""Near-duplicates: images that are nearly the same, found by comparing perceptual hashes.

Sources:
    Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), the hash:
    https://www.phash.org/docs/pubs/thesis_zauner.pdf
    Barz, Denzler, "Do we train on test data? Purging CIFAR of near-duplicates" (2020):
    https://arxiv.org/abs/1902.00423
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from tutorial_utils import data
from tutorial_utils._support.arguments import check_whole

if TYPE_CHECKING:
    from tutorial_utils.own_images.collection import Collection

BITS = 64
LEAST_SIDE = 32  # pixels of the reduced image that is hashed
PLAIN = 100  # median DCT coefficient, in the units of `dctn`: below a tenth of a grey level
MAX_SHADE = 4  # of 255: how far the colours of two plain images may differ
BLOCK = 512  # images that are compared with all others at once

Groups = tuple[tuple[int, ...], ...]


class ImageHash(NamedTuple):
    """What is compared of an image."""

    bits: np.ndarray  # (64,) bool, the perceptual hash
    # (8, 8, 3) uint8, the image at that size, if it is so plain that its hash is noise; else None
    colours: np.ndarray | None


def image_hash(path: Path) -> ImageHash:
    """Open an image, decoded as small as the hash allows, and hash it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be used as an image.
    """
    import imagehash
    from scipy.fft import dctn

    image = data.open_image(path, least_side=LEAST_SIDE)
    grey = image.convert("L").resize((LEAST_SIDE, LEAST_SIDE), Image.Resampling.LANCZOS)
    coefficients = dctn(np.asarray(grey, dtype=np.float32))[:8, :8].ravel()[1:]
    plain = np.median(np.abs(coefficients)) < PLAIN
    colours = np.asarray(image.resize((8, 8), Image.Resampling.BOX)) if plain else None
    return ImageHash(imagehash.phash(image).hash.ravel(), colours)


def find(collection: Collection, *, distance: int = 6) -> Groups:
    """Find groups of images that are nearly the same. Used in lesson 14.

    Two images are near-duplicates if few bits of their perceptual hashes differ. The 64 bits are
    the low frequencies of the grey image: whether each DCT coefficient is above their median. So
    the same file twice, another format, size or brightness, and a slight crop are found; mirrored,
    rotated and strongly cropped copies are not. Images so plain that the hash is noise, such as a
    white sheet, are compared by their colours instead. Groups are chained: two images may be in
    one group because a third is close to both.

    The default was chosen by experiment: of 99 photographs of the course, compressed, resized,
    in grey, blurred, brighter or slightly cropped, 98 to 100% are within 6 bits of the original.
    No two of the 397 photographs are closer than 12 bits, no two of as many synthetic images closer
    than 10, and of the 50 million pairs of Tiny ImageNet's validation images none is within 6. Use
    a smaller distance for small images of one kind: of scikit-learn's 1,797 digits, 6 bits chain 58
    into one group.

    Args:
        collection: the images.
        distance: how many of the 64 bits may differ. The number that differs is always even.

    Returns:
        Groups of two or more indices, ascending; an image is in one group at most.

    Raises:
        ValueError: if `distance` is not a whole number from 0 to 64, or an image cannot be read.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    check_whole("distance", distance, 0, BITS)
    hashes = collection.hashes
    if hashes is None:
        hashes = tuple(map(image_hash, collection.files))
    first, second = _near_pairs(hashes, int(distance))
    edges = coo_array((np.ones(len(first)), (first, second)), shape=(len(hashes), len(hashes)))
    _, components = connected_components(edges, directed=False)
    groups: dict[int, list[int]] = {}
    for index, component in enumerate(components.tolist()):
        groups.setdefault(component, []).append(index)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def conflicts(collection: Collection, groups: Iterable[Sequence[int]]) -> Groups:
    """Return the groups of near-duplicates that hold more than one class. Used in lesson 14.

    Where the images of such a group show the same, a label is wrong.
    """
    return tuple(tuple(group) for group in groups if len({collection.labels[i] for i in group}) > 1)


def _near_pairs(hashes: Sequence[ImageHash], distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (M,), (M,) of the pairs of images that are nearly the same."""
    plain = np.array([one.colours is not None for one in hashes], dtype=bool)
    with_bits, with_colours = np.flatnonzero(~plain), np.flatnonzero(plain)
    bits = np.array([hashes[i].bits for i in with_bits]).reshape(-1, BITS)
    colours = np.array([hashes[i].colours for i in with_colours]).reshape(-1, 8 * 8 * 3)
    found = [
        with_bits[_pairs_within(bits, "hamming", distance / BITS)],  # a share of the bits
        with_colours[_pairs_within(colours, "chebyshev", MAX_SHADE)],  # the largest difference
    ]
    return tuple(np.concatenate(found, axis=1))


def _pairs_within(rows: np.ndarray, metric: str, limit: float) -> np.ndarray:
    """Return the pairs i < j of rows whose distance is at most the limit, (2, M)."""
    from scipy.spatial.distance import cdist

    found = [np.empty((2, 0), dtype=int)]
    for start in range(0, len(rows), BLOCK):
        near = cdist(rows[start : start + BLOCK], rows[start:], metric) <= limit
        found.append(start + np.array(np.nonzero(np.triu(near, k=1))))
    return np.concatenate(found, axis=1)
