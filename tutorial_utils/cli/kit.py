"""Make a kit: one zip archive with what a class without a network needs, except the wheels.

A kit holds one set of images, torchvision's ImageNet weights where torch hub's cache has them, the
lessons with their solutions and figures, and `kit.json`, which lists the size and the SHA-256 of
every file. The same content gives the same archive, byte for byte. `kit_use` unpacks it.

Source: zip archives, PKWARE's APPNOTE: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import hashlib
import json
import os
import re
import stat
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from tutorial_utils import __version__, data, models
from tutorial_utils._support import cache, downloads, files
from tutorial_utils.batch import lessons as batch

# 1 was the format before modules and functions were renamed: its lessons call the old names.
FORMAT = 2
LINKED = (  # what lessons link beside each other and their solutions
    "docs/batch.md",
    "docs/deployment.md",
    "docs/glossary.md",
    "notebooks/ants_and_bees.py",
    "tutorial_utils/assets/README.md",
)
MANIFEST = "kit.json"
CHUNK_BYTES = 2**20


class Kit(NamedTuple):
    """The content of `kit.json`."""

    version: str  # the version of tutorial_utils that made the kit
    images: str  # the name of the images' folder in the cache
    files: dict[str, tuple[int, str]]  # {name in the archive: (size in bytes, SHA-256)}
    digest: str  # SHA-256 of `kit.json`; kits with the same digest have the same content

    @property
    def folder(self) -> str:
        """The name of the lessons' folder in the cache."""
        return f"kit-{self.digest[:12]}"

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(size for size, _ in self.files.values())

    def __str__(self) -> str:
        """Return the content in a few words."""
        weights = sum(name.startswith("weights/") for name in self.files)
        lessons = sum(bool(re.fullmatch(r"lessons/notebooks/[^/]+", name)) for name in self.files)
        text = f"ImageNet weights of {weights}" if weights else "demo weights, no ImageNet weights"
        return f"{lessons} lessons, images {self.images}, {text}"


def make(
    out: str | Path, lessons: str | Path, *, solutions: bool = True, quiet: bool = False
) -> Kit:
    """Pack images, weights and lessons into one archive.

    Args:
        out: the archive, written whole or not at all.
        lessons: the folder of notebooks, with `solutions` in it and `images` beside it.
        solutions: pack the worked answers too.
        quiet: print nothing.

    Returns:
        What was packed.

    Raises:
        FileExistsError: if `out` exists.
        FileNotFoundError: if the folder of `out` or the lessons do not exist.
        OSError: if the disk has too little space.
        ValueError: if weights in torch hub's cache are damaged.
    """
    out = files.as_path(out)
    if os.path.lexists(out):
        raise FileExistsError(f"{out} exists: choose another name, nothing was written")
    if len(os.fsencode(out.name)) > 255:
        raise OSError(f"{out} cannot be written: its name is too long; choose a shorter one")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {out.parent} to write {out.name} into")
    try:
        images = data.load("cache", quiet=quiet)
    except FileNotFoundError:
        images = data.load("synthetic", quiet=quiet)
    members = _members(images.root, batch.find_lessons(lessons), solutions)
    size = sum(path.stat().st_size for path in members.values())
    check_space(out.parent, size, "pack the kit")
    made: list[Kit] = []
    with progress_bar(quiet, "packing", size) as bar:
        files.replace_file(
            out, lambda temporary: made.append(_pack(temporary, members, images.root.name, bar))
        )
    if not quiet:
        print(f"kit: {out.name}, {out.stat().st_size / 1e6:.0f} MB, {made[0]}", flush=True)
    return made[0]


def weights_paths() -> list[Path]:
    """Return the paths of torchvision's weights in torch hub's cache, whether or not they exist."""
    names = [models.IMAGENET[arch].url.rpartition("/")[2] for arch in models.ARCHS]
    return [Path(torch.hub.get_dir()) / "checkpoints" / name for name in names]


def check_weights(name: str, sha256: str, path: str) -> None:
    """Raise ValueError if weights lack the SHA-256 whose first digits end their name.

    Any other file of an archive passes; `path` is for the message.
    """
    folder, _, file = name.partition("/")
    if folder == "weights" and not sha256.startswith(Path(file).stem.rpartition("-")[2]):
        raise ValueError(
            f"{path} is damaged (its SHA-256 begins with {sha256[:12]}, its name says otherwise): "
            "delete it and download it again, python -m tutorial_utils fetch"
        )


def check_space(folder: Path, size_bytes: int, purpose: str) -> None:
    """Raise an OSError if the disk of a folder has too little space for so many bytes."""
    cure = "free some space, or choose another disk (ANTS_BEES_CACHE sets the folder of the cache)"
    files.check_space(folder, size_bytes, after=f" to {purpose}: {cure}")


def copy_stream(source: Any, target: Any, bar: tqdm, limit: int | None = None) -> tuple[int, str]:
    """Copy a stream, at most `limit` bytes and one chunk; return its size and SHA-256."""
    size, digest = 0, hashlib.sha256()
    while (chunk := source.read(CHUNK_BYTES)) and (limit is None or size <= limit):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
        bar.update(len(chunk))
    return size, digest.hexdigest()


def progress_bar(quiet: bool, text: str, size_bytes: int) -> tqdm:
    """Return a progress bar over bytes."""
    return downloads.progress_bar(quiet, desc=text, total=size_bytes, unit="B", unit_scale=True)


def _members(images: Path, lessons: list[Path], solutions: bool) -> dict[str, Path]:
    """Return {name in the archive: path}, in the order in which they are packed."""
    notebooks = lessons[0].parent
    members = {f"lessons/notebooks/{path.name}": path for path in lessons}
    worked = (notebooks / "solutions").glob("[0-9][0-9]_*.ipynb") if solutions else []
    for path in worked:
        members[f"lessons/notebooks/solutions/{path.name}"] = path
    for path in (notebooks.parent / "images").glob("*.svg"):  # the badges
        members[f"lessons/images/{path.name}"] = path
    linked = {name: notebooks.parent / name for name in LINKED}
    members |= {f"lessons/{name}": path for name, path in linked.items() if path.is_file()}
    for path in images.rglob("*"):
        if path.is_file() and path.name != cache.MANIFEST:
            members[f"cache/{images.name}/{path.relative_to(images).as_posix()}"] = path
    members |= {f"weights/{path.name}": path for path in weights_paths() if path.is_file()}
    return dict(sorted(members.items()))


def _pack(archive: Path, members: dict[str, Path], images: str, bar: tqdm) -> Kit:
    """Write the archive file by file, and `kit.json` with their checksums last."""
    packed = {}
    with zipfile.ZipFile(archive, "w") as target:
        for name, path in members.items():
            with path.open("rb") as file, target.open(_entry(name, path), "w") as member:
                packed[name] = copy_stream(file, member, bar)
            check_weights(name, packed[name][1], str(path))
        content = {
            "format": FORMAT,
            "version": __version__,
            "images": images,
            "files": {name: {"bytes": size, "sha256": sha} for name, (size, sha) in packed.items()},
        }
        text = json.dumps(content, indent=1).encode()
        target.writestr(_entry(MANIFEST), text)
    return Kit(__version__, images, packed, hashlib.sha256(text).hexdigest())


def _entry(name: str, path: Path | None = None) -> zipfile.ZipInfo:
    """Return an entry without date, owner or compression, which would not make images smaller."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    info.file_size = path.stat().st_size if path else 0
    return info
