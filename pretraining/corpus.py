"""Many small images, decoded once into memory, and varied in batches: what pretraining reads.

A source is a folder as torchvision's `ImageFolder` reads it (`train/<class>/`, `val/<class>/`, or
the classes alone), or zip archives with the same paths inside. `load` decodes all of it to one
size; what cannot be read is skipped, counted and named. `vary` crops, mirrors and changes the light
of a whole batch at once, on the device where it lies.

Source of the resampling: Jaderberg et al., "Spatial transformer networks" (2015), which
`grid_sample` computes: https://arxiv.org/abs/1506.02025
"""

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.datasets.folder import IMG_EXTENSIONS
from tqdm.auto import tqdm

from tutorial_utils._support import image_files

SPLITS = ("train", "val")
HELD_OUT = 20  # without a validation set every twentieth image of each class is held out


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images of one size, and their labels.

    Attributes:
        images: (N, 3, S, S) uint8.
        labels: (N,) int64, from 0.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Corpus:
    """All that a source holds.

    Attributes:
        train: to learn from.
        val: to measure with.
        classes: their names, sorted; a label is a place in it.
        skipped: (name, reason) of every file that could not be read.
    """

    train: Pixels
    val: Pixels
    classes: list[str]
    skipped: list[tuple[str, str]]

    def line(self) -> str:
        """Return one line for people, with those that were skipped."""
        text = f"{len(self.train):,} training and {len(self.val):,} validation images of "
        text += f"{len(self.classes)} classes"
        if self.skipped:
            named = "; ".join(f"{name} ({reason})" for name, reason in self.skipped[:10])
            more = f" and {len(self.skipped) - 10} more" if len(self.skipped) > 10 else ""
            text += f"; {len(self.skipped)} skipped: {named}{more}"
        return text


def load(
    source: str | Path | Sequence[str | Path], *, side: int = 64, progress: bool = False
) -> Corpus:
    """Decode all images of a source into memory.

    Args:
        source: a folder of images, a folder of zip archives, one archive or several.
        side: pixels that an image is brought to: the shorter side resized, the middle cut out.
            100,000 images of 64 take 1.2 GB.
        progress: show a bar.

    Returns:
        The corpus. Without a validation set (`val/`), every twentieth image of each class is
        held out.

    Raises:
        FileNotFoundError: if the source is not there.
        ValueError: if it has fewer than two classes, or a class of which nothing can be read.
    """
    if isinstance(side, bool) or not isinstance(side, int) or side < 8:
        raise ValueError(f"side must be a whole number of pixels from 8, not {side!r}")
    found: dict[str, list[tuple[str, Tensor]]] = {split: [] for split in SPLITS}
    skipped: list[tuple[str, str]] = []
    parts = _parts(source)
    named = sorted({name for _, name, _ in _listed(parts)})
    _check_classes(named, source)
    total = sum(1 for _ in _listed(parts))
    for split, name, read in tqdm(
        _listed(parts), total=total, desc="decoding", disable=not progress
    ):
        where, content = read()
        try:
            found[split].append((name, _decoded(content, side)))
        except Exception as error:  # Pillow raises nearly anything for a damaged file
            skipped.append((where, image_files.reason(error)))
    if not found["val"]:
        found = _held_out(found["train"])
    train, val = (_stacked(found[split], named, side) for split in SPLITS)
    _check_read(train, val, named, skipped)
    return Corpus(train, val, named, skipped)


def vary(
    images: Tensor,
    size: int,
    generator: torch.Generator,
    *,
    least_side: float = 0.55,
    light: float = 0.3,
) -> Tensor:
    """Vary a batch of images: another crop, shape, mirror image and light for each.

    Args:
        images: (N, 3, S, S) of float in [0, 1].
        size: pixels of the sides that come out.
        generator: on the CPU; the same state gives the same variations on any device.
        least_side: the least share of each side that a crop keeps.
        light: brightness, contrast and saturation are multiplied by 1 - light to 1 + light.

    Returns:
        (N, 3, size, size), not clipped.
    """
    count, device = len(images), images.device

    def drawn(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    scale = drawn(least_side, 1.0)
    shape = torch.exp(drawn(-0.2, 0.2))
    wide, high = (scale * shape).clamp(max=1.0), (scale / shape).clamp(max=1.0)
    mirrored = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    across, down = (drawn(-1.0, 1.0) * (1 - extent) for extent in (wide, high))
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = wide * mirrored, across
    theta[:, 1, 1], theta[:, 1, 2] = high, down
    grid = functional.affine_grid(theta.to(device), [count, 3, size, size], align_corners=False)
    images = functional.grid_sample(
        images, grid.to(images.dtype), padding_mode="reflection", align_corners=False
    )
    factors = [drawn(1 - light, 1 + light).to(device)[:, None, None, None] for _ in range(3)]
    images = images * factors[0]
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * factors[1]
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * factors[2]


def resized(images: Tensor, size: int) -> Tensor:
    """Bring (N, 3, S, S) of float to (N, 3, size, size), for measuring."""
    if images.shape[-1] == size:
        return images
    return functional.interpolate(
        images, (size, size), mode="bilinear", antialias=True, align_corners=False
    )


# Reading a source.


def _parts(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the folder, or the archives, that make up a source."""
    given = [source] if isinstance(source, str | Path) else list(source)
    paths = [Path(one) for one in given]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}: give a folder of images, or zips")
    if len(paths) == 1 and paths[0].is_dir():
        return sorted(paths[0].glob("*.zip")) or paths
    for path in paths:
        if path.is_dir() or not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is no zip archive: give one folder, or zips alone")
    return paths


def _listed(parts: list[Path]) -> Iterator[tuple]:
    """Yield (split, class, a function that reads (name, content)) of every image."""
    for part in parts:
        if part.is_dir():
            for path in sorted(p for p in part.rglob("*") if p.is_file()):
                place = _place(PurePosixPath(path.relative_to(part).as_posix()))
                if place:
                    yield *place, lambda p=path, r=part: (str(p.relative_to(r)), p.read_bytes())
        else:
            with zipfile.ZipFile(part) as archive:
                for name in sorted(archive.namelist()):
                    place = _place(PurePosixPath(name))
                    if place:
                        yield *place, lambda a=archive, n=name: (n, a.read(n))


def _place(path: PurePosixPath) -> tuple[str, str] | None:
    """Return split and class of an image's path, None of anything else."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    if hidden or path.suffix.lower() not in IMG_EXTENSIONS:
        return None
    for number, part in enumerate(path.parts[:-2]):
        if part in SPLITS:
            return part, path.parts[number + 1]
    return ("train", path.parts[-2]) if len(path.parts) >= 2 else None


def _decoded(content: bytes, side: int) -> Tensor:
    """Return an image as (3, side, side) uint8."""
    image = image_files.decode(io.BytesIO(content))
    if image.size != (side, side):
        scale = side / min(image.size)
        size = tuple(max(side, math.floor(length * scale + 0.5)) for length in image.size)
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = ((length - side) // 2 for length in size)
        image = image.crop((left, top, left + side, top + side))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _held_out(pairs: list[tuple[str, Tensor]]) -> dict[str, list[tuple[str, Tensor]]]:
    """Take every twentieth image of each class for validation, and the first of a small one."""
    parted: dict[str, list[tuple[str, Tensor]]] = {split: [] for split in SPLITS}
    seen: dict[str, int] = {}
    for name, image in pairs:
        seen[name] = seen.get(name, -1) + 1
        parted["val" if seen[name] % HELD_OUT == 0 else "train"].append((name, image))
    return parted


def _stacked(pairs: list[tuple[str, Tensor]], classes: list[str], side: int) -> Pixels:
    places = {name: number for number, name in enumerate(classes)}
    images = torch.empty(len(pairs), 3, side, side, dtype=torch.uint8)
    for number, (_, image) in enumerate(pairs):
        images[number] = image
    return Pixels(images, torch.tensor([places[name] for name, _ in pairs], dtype=torch.int64))


def _check_classes(named: list[str], source: object) -> None:
    if len(named) < 2:
        held = f"one class, {named[0]!r}" if named else "no class with images"
        raise ValueError(
            f"{source} holds {held}: two at least are needed, as folders train/<class>/ and "
            f"val/<class>/ with images ({', '.join(IMG_EXTENSIONS)}) in them"
        )


def _check_read(
    train: Pixels, val: Pixels, classes: list[str], skipped: list[tuple[str, str]]
) -> None:
    counts = torch.bincount(train.labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts.tolist(), strict=True) if count == 0]
    if empty or not len(val):
        what = f"the classes {', '.join(empty)}" if empty else "validation"
        raise ValueError(
            f"no training image could be read for {what}; {len(skipped)} files were skipped: "
            + "; ".join(f"{name} ({reason})" for name, reason in skipped[:5])
        )
