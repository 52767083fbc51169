"""Images, folders and collections that the tests here share."""

import unicodedata
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from tutorial_utils.own_images.collection import Collection

NFC, NFD = (unicodedata.normalize(form, "Käfer") for form in ("NFC", "NFD"))
TO_TENSOR = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Resize((8, 8))])


def make_image(seed, size=(48, 40)):
    """Return an image of soft patches that resembles no other seed's."""
    patches = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def put(path, seed=None, image=None, **settings):
    """Write an image and return its path; the path decides the seed if none is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image or make_image(zlib.crc32(path.as_posix().encode()) if seed is None else seed)
    image.save(path, **settings)
    return path


def make(root, counts, start=0):
    """Write a folder per class and return the root; every image differs from all others."""
    for label, count in counts.items():
        for number in range(count):
            put(root / label / f"{number:02}.png", start + number)
        start += 1000
    return root


def bare(labels, names=None, given_split=None, hashes=None):
    """Return a collection whose files need not exist."""
    root = Path("/images")
    names = names or [f"{number:04}.png" for number in range(len(labels))]
    classes = tuple(f"class {label}" for label in range(max(labels) + 1))
    files = tuple(root / name for name in names)
    return Collection(root, files, tuple(labels), classes, given_split=given_split, hashes=hashes)


def write_manifest(root, *lines, encoding="utf-8"):
    """Write `manifest.csv` into a folder and return the folder."""
    root.mkdir(exist_ok=True)
    (root / "manifest.csv").write_bytes("\n".join(lines).encode(encoding))
    return root
