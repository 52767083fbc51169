"""Use a kit: check the archive that `kit` made, and put its content into the caches.

All of it is checked before anything is moved to its final path, and nothing is written outside
the caches.
"""

import errno
import functools
import hashlib
import json
import os
import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from tutorial_utils import __version__
from tutorial_utils._support import cache, files
from tutorial_utils._support.image_sources import SPLITS
from tutorial_utils.cli.kit import (
    FORMAT,
    MANIFEST,
    Kit,
    check_space,
    check_weights,
    copy_stream,
    progress_bar,
    weights_paths,
)

MAX_MANIFEST_BYTES = 20_000_000
MAX_NAME_BYTES, MAX_PATH = 240, 1000  # systems allow 255, and 1024 with the path of the cache
IMAGE_SETS = re.compile(r"(?:synthetic|hymenoptera_data)-[0-9a-f]+")
DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.I)  # no file names on Windows
ADVICE = "copy it again from where it was made, or make it again: python -m tutorial_utils kit"


def use(archive: str | Path, *, quiet: bool = False) -> Path:
    """Check a kit, put images and weights into the caches, and return the lessons' folder.

    A kit whose content is in the caches is not unpacked again.

    Args:
        archive: what `kit.make` wrote.
        quiet: print nothing.

    Returns:
        A folder in the cache with `notebooks` and `images`.

    Raises:
        FileNotFoundError: if there is no such archive.
        ValueError: if it is no kit, has another format, is damaged or cut short, or holds a file
            that would be written outside its folder. Nothing was written to the caches then.
        OSError: if the disk has too little space, or the cache cannot be written.
    """
    archive = files.as_path(archive)
    if not os.path.exists(archive):
        raise FileNotFoundError(f"there is no kit {archive}: make it, python -m tutorial_utils kit")
    if reason := files.not_regular(archive):
        raise ValueError(f"{archive} is no kit but {reason}: {ADVICE}")
    try:
        with zipfile.ZipFile(archive) as members:
            kit = _read_manifest(members, archive)
            _check_members(members, kit, archive)
            _check_content(kit, archive)
            _install(members, kit, archive, quiet)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        text = f"{archive} is cut short, damaged or no kit ({error}): {ADVICE}"
        raise ValueError(text) from error
    if not quiet:
        version = "" if kit.version == __version__ else f" (made by version {kit.version})"
        print(f"kit: {archive.name}{version}, {kit}, checked and in the cache", flush=True)
    return cache.cache_path() / kit.folder


def _read_manifest(members: zipfile.ZipFile, archive: Path) -> Kit:
    try:
        info = members.getinfo(MANIFEST)
    except KeyError as error:
        raise ValueError(f"{archive} is a zip archive but no kit, it has no {MANIFEST}") from error
    if info.file_size > MAX_MANIFEST_BYTES or info.flag_bits & 1:
        raise ValueError(f"{archive}: {MANIFEST} is too large or encrypted: {ADVICE}")
    text = members.read(info)
    try:
        content = json.loads(text)
        form = content["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{archive}: {MANIFEST} cannot be read: {ADVICE}") from error
    if form != FORMAT:
        reason = "its lessons call modules that were renamed since" if form == 1 else "unknown here"
        raise ValueError(
            f"{archive} has format {form!r}, {reason}, and tutorial_utils {__version__} reads "
            f"format {FORMAT}: make the kit again with this version, python -m tutorial_utils kit"
        )
    try:
        listed = {n: (int(f["bytes"]), str(f["sha256"])) for n, f in content["files"].items()}
        digest = hashlib.sha256(text).hexdigest()
        return Kit(str(content["version"]), str(content["images"]), listed, digest)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{archive}: {MANIFEST} is incomplete: {ADVICE}") from error


def _check_members(members: zipfile.ZipFile, kit: Kit, archive: Path) -> None:
    """Check names, types and sizes of all members before one byte is written."""
    infos = [info for info in members.infolist() if info.filename != MANIFEST]
    for name in [*(info.orig_filename for info in infos), *kit.files]:
        if reason := _unsafe(name, kit.images):
            raise ValueError(f"{archive}: {name!r} is not allowed, {reason}; nothing was unpacked")
    for info in infos:
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG) or info.flag_bits & 1:
            raise ValueError(
                f"{archive}: {info.filename!r} is not allowed, it is a link, a folder, a device or "
                "encrypted; nothing was unpacked"
            )
    names = [info.filename for info in infos]
    distinct = {name.casefold() for name in names}
    if len(distinct) < len(names) or len(members.infolist()) > len(names) + 1:
        raise ValueError(f"{archive} holds a file twice; nothing was unpacked")
    if different := sorted(set(names) ^ set(kit.files)):
        raise ValueError(f"{archive} and its {MANIFEST} disagree about {different[0]!r}: {ADVICE}")
    for info in infos:
        if info.file_size != kit.files[info.filename][0]:
            raise ValueError(
                f"{archive}: {info.filename!r} and {MANIFEST} differ in size: {ADVICE}"
            )


def _check_content(kit: Kit, archive: Path) -> None:
    """Check that a kit holds lessons, and images of the same classes in train and val."""
    paths = [tuple(name.split("/")) for name in kit.files]
    classes = {split: set() for split in SPLITS}
    for parts in paths:
        if parts[0] == "cache" and len(parts) > 4 and parts[2] in classes:
            classes[parts[2]].add(parts[3])
    lacking = ["no lessons"] if not any(p[:2] == ("lessons", "notebooks") for p in paths) else []
    lacking += [f"no {split} with two classes" for split in SPLITS if len(classes[split]) < 2]
    if not lacking and classes["train"] != classes["val"]:
        lacking = ["train and val with different classes"]
    if lacking:
        raise ValueError(
            f"{archive} is not a whole kit, it has {', '.join(lacking)}: {ADVICE}; nothing was "
            "unpacked"
        )


def _unsafe(name: str, images: str) -> str:
    """Return why a member's name is not allowed; "" if it is."""
    parts = name.split("/")
    if "\\" in name or ":" in name or any(ord(character) < 32 for character in name):
        return "it has a backslash, a drive letter or a control character"
    if any(part in ("", ".", "..") or part != part.rstrip(" .") for part in parts):
        return "it would be written outside its folder"
    if any(DEVICES.fullmatch(part) for part in parts):
        return "it is the name of a device"
    if cache.MANIFEST in parts:
        return "the cache writes this file itself"
    if max(map(len, map(os.fsencode, parts))) > MAX_NAME_BYTES or len(name) > MAX_PATH:
        return "its name is too long"
    if not IMAGE_SETS.fullmatch(images):
        return f"{images!r} is no set of images"
    known = {f"weights/{path.name}" for path in weights_paths()}
    if parts[0] == "weights" and name not in known:
        return "no such weights are known"
    if parts[0] not in ("weights", "lessons") and parts[:2] != ["cache", images]:
        return "a kit has lessons, weights and one set of images"
    return ""


def _install(members: zipfile.ZipFile, kit: Kit, archive: Path, quiet: bool) -> None:
    """Unpack the kit unless all of it is in the caches, one process at a time."""
    settings = {"what": "the same kit", "quiet": quiet}
    with cache.locked(f"{kit.folder}-unpacking", **settings):
        if _is_installed(kit):
            return
        check_space(cache.cache_dir(), kit.size_bytes, "unpack the kit")
        cache.discard(kit.folder, quiet=quiet)  # whole, but images or weights were deleted

        def unpack(work: Path) -> Path:
            return _unpack(members, kit, archive, work, quiet)

        cache.get_or_create(kit.folder, unpack, **settings)


def _is_installed(kit: Kit) -> bool:
    """Return whether all of the kit is in the caches."""
    sizes = {name.removeprefix("weights/"): size for name, (size, _) in kit.files.items()}
    expected = [path for path in weights_paths() if path.name in sizes]
    return bool(
        cache.find(kit.folder)
        and cache.find(kit.images)
        and all(path.is_file() and path.stat().st_size == sizes[path.name] for path in expected)
    )


def _unpack(members: zipfile.ZipFile, kit: Kit, archive: Path, work: Path, quiet: bool) -> Path:
    """Unpack and check everything in an empty folder, move images and weights, return lessons."""
    with progress_bar(quiet, "unpacking", kit.size_bytes) as bar:
        for name, (size, sha256) in kit.files.items():
            target = work / name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with members.open(name) as source, target.open("xb") as file:
                    arrived = copy_stream(source, file, bar, limit=size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                text = f"the disk of {work} is full; the caches were not changed"
                raise OSError(text) from error
            if arrived != (size, sha256):
                raise ValueError(
                    f"{archive}: {name!r} is damaged (SHA-256 {arrived[1][:12]}..., expected "
                    f"{sha256[:12]}...): {ADVICE}; the caches were not changed"
                )
            check_weights(name, sha256, f"{archive}: {name}")

    def move_images(folder: Path) -> Path:
        os.replace(work / "cache" / kit.images, folder / "set")
        return folder / "set"

    cache.get_or_create(kit.images, move_images, what="the same images", quiet=quiet)
    for path in weights_paths():
        if (work / "weights" / path.name).is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Torch hub's cache may be on another disk.
            files.replace_file(path, functools.partial(shutil.move, work / "weights" / path.name))
    return work / "lessons"
