"""A kit: one zip archive with all that a class without a network needs, but for the wheels.

`make` packs the images as the cache has them, torchvision's ImageNet weights where torch hub's
cache has them, the lessons with their answers and figures, and `kit.json`, which lists the size
and the SHA-256 of every file. The same content gives the same archive, byte for byte. `use` checks
all of it before anything is put in its place, and puts nothing outside the caches.

Source: zip archives, PKWARE's APPNOTE: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from tutorial_utils import __version__, data, models
from tutorial_utils._support import cache, downloads

FORMAT = 1
NOTE = "kit.json"
NOTE_BYTES = 20_000_000  # no list of files is longer
CHUNK_BYTES = 2**20
MARGIN_BYTES = 64 * 2**20  # left free on the disk
SETS = re.compile(r"(?:synthetic|drawn|hymenoptera_data)-[0-9a-f]+")
DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.I)  # no files, on Windows
CURE = "copy it again from where it was made, or make it again: python -m tutorial_utils kit"


class Kit(NamedTuple):
    """What `kit.json` says.

    Attributes:
        version: of tutorial_utils, when the kit was made.
        images: the folder's name in the cache.
        files: {name in the archive: (size in bytes, SHA-256)}, the note itself left out.
        digest: SHA-256 of the note; two kits with the same digest hold the same.
    """

    version: str
    images: str
    files: dict[str, tuple[int, str]]
    digest: str

    @property
    def folder(self) -> str:
        """The name of the folder that the lessons get in the cache."""
        return f"kit-{self.digest[:12]}"

    @property
    def size_bytes(self) -> int:
        """How much all files hold."""
        return sum(size for size, _ in self.files.values())


def make(out: str | Path, lessons: str | Path, *, quiet: bool = False) -> Kit:
    """Pack images, weights and lessons into one archive.

    Args:
        out: the archive to write; whole or not at all.
        lessons: the folder of notebooks, with `solutions` in it and `images` beside it.
        quiet: print nothing.

    Returns:
        What was packed.

    Raises:
        FileExistsError: if `out` is there already.
        FileNotFoundError: if there is no folder to write it into, or no lesson to pack.
        OSError: if the disk has too little space.
        ValueError: if weights in torch hub's cache are damaged.
    """
    out = Path(out).expanduser().absolute()
    _check_out(out)
    images = _images(quiet)
    files = _to_pack(images.root, Path(lessons))
    size = sum(path.stat().st_size for path in files.values())
    _check_space(out.parent, size, "for the kit")
    part = out.with_name(f"{out.name}.part-{os.getpid()}")
    try:
        with _bar(quiet, "packing", size) as bar:
            kit = _pack(part, files, images.root.name, bar)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    if not quiet:
        print(f"kit: {out.name}, {out.stat().st_size / 1e6:.0f} MB, {_contents(kit)}", flush=True)
    return kit


def use(archive: str | Path, *, quiet: bool = False) -> Path:
    """Check a kit, put images and weights into the caches, and return the lessons' folder.

    A kit that is in its place already is not unpacked again.

    Args:
        archive: what `make` wrote.
        quiet: print nothing.

    Returns:
        A folder in the cache with `notebooks` and `images`.

    Raises:
        FileNotFoundError: if there is no such archive.
        ValueError: if it is no kit, is of another format, is damaged or cut short, or holds a
            file that would leave its folder. Nothing was put in place then.
        OSError: if the disk has too little space, or the cache cannot be written.
    """
    archive = Path(archive).expanduser()
    if not archive.is_file():
        raise FileNotFoundError(
            f"there is no kit {archive}: python -m tutorial_utils kit makes one"
        )
    with _opened(archive) as members:
        kit = _read_note(members, archive)
        _check_members(members, kit, archive)
        if not _in_place(kit):
            _check_space(cache.cache_dir(), kit.size_bytes, "to unpack the kit")
            shutil.rmtree(cache.cache_path() / kit.folder, ignore_errors=True)
            cache.get_or_create(
                kit.folder, lambda work: _unpack(members, kit, archive, work, quiet)
            )
    if not quiet:
        other = "" if kit.version == __version__ else f" (made by version {kit.version})"
        print(f"kit: {archive.name}{other}, {_contents(kit)}, checked and in the cache", flush=True)
    return cache.cache_path() / kit.folder


# Packing


def _check_out(out: Path) -> None:
    if out.exists():
        raise FileExistsError(f"{out} is there already: name another file, nothing was written")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {out.parent} to write {out.name} into")


def _images(quiet: bool) -> data.ImageSet:
    """Return the set that the cache has, the photographs first; draw one if it has none."""
    try:
        return data.load("cache", quiet=quiet)
    except FileNotFoundError:
        return data.load("synthetic", quiet=quiet)


def _to_pack(images: Path, lessons: Path) -> dict[str, Path]:
    """Return {name in the archive: file}, in the order in which they are packed."""
    books = sorted(lessons.glob("[0-9][0-9]_*.ipynb"))
    if not books:
        raise FileNotFoundError(
            f"no lessons (NN_name.ipynb) in {lessons}: make the kit in a clone of the repository, "
            f"or name the folder with --folder"
        )
    found = {f"lessons/notebooks/{path.name}": path for path in books}
    for path in (lessons / "solutions").glob("[0-9][0-9]_*.ipynb"):
        found[f"lessons/notebooks/solutions/{path.name}"] = path
    for path in (lessons.parent / "images").glob("*.png"):
        found[f"lessons/images/{path.name}"] = path
    for path in images.rglob("*"):
        if path.is_file() and path.name != cache.MANIFEST:
            found[f"cache/{images.name}/{path.relative_to(images).as_posix()}"] = path
    found |= {f"weights/{path.name}": path for path in _weights() if path.is_file()}
    return dict(sorted(found.items()))


def _weights() -> list[Path]:
    """Return where torch hub keeps torchvision's files, whether or not they are there."""
    names = [models.IMAGENET[arch].url.rpartition("/")[2] for arch in models.ARCHS]
    return [Path(torch.hub.get_dir()) / "checkpoints" / name for name in names]


def _pack(part: Path, files: dict[str, Path], images: str, bar: tqdm) -> Kit:
    """Write the archive file by file, and the note with their checksums last."""
    listed = {}
    with zipfile.ZipFile(part, "w") as archive:
        for name, path in files.items():
            info = _member(name, path.stat().st_size)
            with path.open("rb") as source, archive.open(info, "w") as target:
                listed[name] = _copy(source, target, bar)
            _check_weights(name, listed[name][1], str(path))
        note = {
            "format": FORMAT,
            "version": __version__,
            "images": images,
            "files": {name: {"bytes": size, "sha256": sha} for name, (size, sha) in listed.items()},
        }
        text = json.dumps(note, indent=1).encode()
        archive.writestr(_member(NOTE, len(text)), text)
    return Kit(__version__, images, listed, hashlib.sha256(text).hexdigest())


def _member(name: str, size: int) -> zipfile.ZipInfo:
    """Return a member without a date or an owner, stored as it is: images do not shrink."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    info.file_size = size
    return info


def _copy(source: Any, target: Any, bar: tqdm, most: int | None = None) -> tuple[int, str]:
    """Copy a stream, at most `most` bytes and one chunk; return its size and SHA-256."""
    size, digest = 0, hashlib.sha256()
    while (chunk := source.read(CHUNK_BYTES)) and (most is None or size <= most):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
        bar.update(len(chunk))
    return size, digest.hexdigest()


# Checking and unpacking


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive; say so whenever it turns out to be damaged."""
    try:
        with zipfile.ZipFile(archive) as members:
            yield members
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{archive} is cut short, damaged or no kit ({error}): {CURE}") from error


def _read_note(members: zipfile.ZipFile, archive: Path) -> Kit:
    try:
        info = members.getinfo(NOTE)
    except KeyError as error:
        raise ValueError(f"{archive} is a zip archive but no kit, it has no {NOTE}") from error
    if info.file_size > NOTE_BYTES or info.flag_bits & 1:
        raise ValueError(f"{archive}: {NOTE} is too large or encrypted: {CURE}")
    text = members.read(info)
    try:
        note = json.loads(text)
        form = note["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{archive}: {NOTE} cannot be read: {CURE}") from error
    if form != FORMAT:
        raise ValueError(
            f"{archive} is a kit of format {form!r}, and tutorial_utils {__version__} reads format "
            f"{FORMAT}: install the version that made it ({note.get('version')}), or make it again"
        )
    try:
        files = {name: (int(f["bytes"]), str(f["sha256"])) for name, f in note["files"].items()}
        return Kit(str(note["version"]), str(note["images"]), files, _sha256(text))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{archive}: {NOTE} lacks what a kit has: {CURE}") from error


def _check_members(members: zipfile.ZipFile, kit: Kit, archive: Path) -> None:
    """Check names, kinds and sizes of all members before one byte is written."""
    infos = [info for info in members.infolist() if info.filename != NOTE]
    for name in [*(info.orig_filename for info in infos), *kit.files]:
        if why := _leaves(name, kit.images):
            raise ValueError(f"{archive}: {name!r} is refused, {why}; nothing was unpacked")
    for info in infos:
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG) or info.flag_bits & 1:
            raise ValueError(
                f"{archive}: {info.filename!r} is refused, it is a link, a folder, a device or "
                f"encrypted; nothing was unpacked"
            )
    names = [info.filename for info in infos]
    if (
        len({name.casefold() for name in names}) < len(names)
        or len(members.infolist()) > len(names) + 1
    ):
        raise ValueError(f"{archive} holds a file twice; nothing was unpacked")
    if set(names) != set(kit.files):
        odd = sorted(set(names) ^ set(kit.files))[0]
        raise ValueError(f"{archive} and its {NOTE} disagree about {odd!r}: {CURE}")
    for info in infos:
        if info.file_size != kit.files[info.filename][0]:
            raise ValueError(f"{archive}: {info.filename!r} has another size than noted: {CURE}")


def _leaves(name: str, images: str) -> str:
    """Say why a name is refused; empty, if it stays where a kit may put files."""
    parts = name.split("/")
    if "\\" in name or ":" in name or any(ord(sign) < 32 for sign in name):
        return "it has a backslash, a drive letter or a control character"
    if any(part in ("", ".", "..") or part != part.rstrip(" .") for part in parts):
        return "it would leave its folder"
    if any(DEVICES.fullmatch(part) for part in parts):
        return "it names a device"
    if not SETS.fullmatch(images):
        return f"{images!r} is no set of images"
    known = {f"weights/{path.name}" for path in _weights()}
    if parts[0] == "weights" and name not in known:
        return "no such weights are known"
    if parts[0] not in ("weights", "lessons") and parts[:2] != ["cache", images]:
        return "a kit has lessons, weights and one set of images"
    return ""


def _in_place(kit: Kit) -> bool:
    """Tell whether all of the kit is where `use` puts it."""
    sizes = {name.removeprefix("weights/"): size for name, (size, _) in kit.files.items()}
    wanted = [path for path in _weights() if path.name in sizes]
    return bool(
        cache.find(kit.folder)
        and cache.find(kit.images)
        and all(path.is_file() and path.stat().st_size == sizes[path.name] for path in wanted)
    )


def _unpack(members: zipfile.ZipFile, kit: Kit, archive: Path, work: Path, quiet: bool) -> Path:
    """Unpack and check everything into an empty folder, then put it in place."""
    with _bar(quiet, "unpacking", kit.size_bytes) as bar:
        for name, (size, sha256) in kit.files.items():
            target = work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with members.open(name) as source, target.open("xb") as file, _telling_space(work):
                arrived = _copy(source, file, bar, most=size)
            if arrived != (size, sha256):
                raise ValueError(
                    f"{archive}: {name!r} is not what was packed (SHA-256 {arrived[1][:12]}..., "
                    f"noted {sha256[:12]}...): {CURE}; nothing was put in place"
                )
            _check_weights(name, sha256, f"{archive}: {name}")
    cache.get_or_create(
        kit.images, lambda folder: _moved(work / "cache" / kit.images, folder / "set")
    )
    for path in _weights():
        if (work / "weights" / path.name).is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f"{path.name}.part-{os.getpid()}")
            shutil.move(work / "weights" / path.name, beside)  # from another disk, it may be
            os.replace(beside, path)
    return work / "lessons"


def _moved(source: Path, target: Path) -> Path:
    os.replace(source, target)
    return target


def _check_weights(name: str, sha256: str, said: str) -> None:
    """Check weights against the name: torchvision's names end with the start of the SHA-256."""
    top, _, file = name.partition("/")
    if top == "weights" and not sha256.startswith(Path(file).stem.rpartition("-")[2]):
        raise ValueError(
            f"{said} is damaged (SHA-256 {sha256[:12]}..., which its name contradicts): delete it "
            f"and fetch it again, python -m tutorial_utils fetch"
        )


def _check_space(folder: Path, size_bytes: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < size_bytes + MARGIN_BYTES:
        raise OSError(
            f"the disk of {folder} has {free / 1e6:.0f} MB free, and "
            f"{(size_bytes + MARGIN_BYTES) / 1e6:.0f} MB are needed {what}: make room, or take "
            f"another disk (ANTS_BEES_CACHE moves the cache)"
        )


@contextlib.contextmanager
def _telling_space(folder: Path) -> Iterator[None]:
    """Say which disk is full, if it fills up all the same."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(f"the disk of {folder} is full; nothing was put in place") from error


def _contents(kit: Kit) -> str:
    weights = sum(name.startswith("weights/") for name in kit.files)
    books = sum(re.fullmatch(r"lessons/notebooks/[^/]+", name) is not None for name in kit.files)
    said = f"ImageNet weights of {weights}" if weights else "demo weights, no ImageNet weights"
    return f"{books} lessons, images {kit.images}, {said}"


def _bar(quiet: bool, what: str, size_bytes: int) -> tqdm:
    return downloads.progress_bar(quiet, desc=what, total=size_bytes, unit="B", unit_scale=True)


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
