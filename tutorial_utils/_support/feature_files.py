"""Cached features: arrays that took long to compute, whole, checked, safe with two processes.

An entry is a folder `features-<key>` in the cache with the array, and a note of what it was
computed from. The key is a checksum of that note, so a change of anything in it gives another
entry. An array is checked against its own checksum before it is used.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tutorial_utils._support import cache, files

PREFIX = "features-"
VALUES, NOTE = "values.npy", "note.json"


def key_of(note: dict) -> str:
    """Return the name of the entry that such a note belongs to."""
    text = json.dumps(note, sort_keys=True)
    return PREFIX + hashlib.sha256(text.encode()).hexdigest()[:24]


def read(note: dict, *, quiet: bool = False) -> np.ndarray | None:
    """Return the cached array, memory-mapped, or None if there is none that can be trusted.

    An entry that is truncated, altered or made from something else is deleted, and a line is
    printed unless `quiet`. For `note` see `write`.
    """
    name = key_of(note)
    with contextlib.suppress(OSError):  # no cache, or one that is read-only and stays as it is
        folder = cache.cache_path() / name
        if not folder.is_dir():
            return None
        values, fault = _open(folder, note)
        return _repair(name, note, quiet) if fault else values
    return None


def write(
    note: dict, shape: tuple[int, ...], parts: Iterable[np.ndarray], *, quiet: bool = False
) -> np.ndarray:
    """Write a float32 array into the cache, part by part, and return it, memory-mapped.

    The parts go to the file and not through a mapping: memory holds one part at a time, and a
    full disk raises an error.

    Args:
        note: what the array depends on; anything that JSON can hold.
        shape: the array's shape.
        parts: its rows in order, in float32 arrays; iterated over only if no other process has
            written the same in the meantime.
        quiet: print nothing while another process is being waited for.

    Raises:
        OSError: if the cache cannot be written, has too little space (the text says how much is
            needed), or is cleared in the same moment.
    """

    def make(work: Path) -> Path:
        folder = work / "entry"
        folder.mkdir()
        checksum = _write_rows(folder / VALUES, shape, parts)
        full = {"made_from": note, "sha256": checksum}
        (folder / NOTE).write_text(json.dumps(full), encoding="utf-8")
        return folder

    check_space(4 * int(np.prod(shape)))
    folder = cache.get_or_create(key_of(note), make, what="the same features", quiet=quiet)
    values, fault = _open(folder, note)
    if fault:
        raise OSError(f"the file {folder.name} in the cache {fault}, just after it was written")
    return values


def check_space(size_bytes: int) -> None:
    """Raise an OSError that says what is needed, if the cache's disk has too little space."""
    cure = (
        ". Make room (python -m tutorial_utils cache --clear), or set ANTS_BEES_CACHE to a folder "
        "on another disk"
    )
    before = "the features cannot be cached: "
    files.check_space(cache.cache_dir(), size_bytes, before=before, after=cure)


def _repair(name: str, note: dict, quiet: bool) -> np.ndarray | None:
    """Delete an entry that cannot be trusted; return what another process has replaced it by."""
    with cache.locked(name, what="the same features", quiet=quiet):
        values, fault = _open(cache.cache_path() / name, note)
        if fault:
            if not quiet:
                print(f"features: the cached file {name} {fault}; it is made again")
            cache.delete(name)
    return values


def _open(folder: Path, note: dict) -> tuple[np.ndarray | None, str | None]:
    """Return an entry's array, memory-mapped, and None, or None and what is wrong with it.

    The file that was checked is the one that is mapped, even if it is deleted in the meantime.
    """
    try:
        full = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        if full["made_from"] != json.loads(json.dumps(note)):
            return None, "was made from something else (other weights, images or transforms)"
        if not (folder / VALUES).is_file():  # a pipe would wait for a writer
            return None, "cannot be read"
        with (folder / VALUES).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != full["sha256"]:
                return None, "is truncated or altered"
            file.seek(0)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            return np.memmap(file, dtype, mode="c", offset=file.tell(), shape=shape), None
    except (OSError, ValueError, KeyError, TypeError):
        return None, "cannot be read"


def _write_rows(path: Path, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> str:
    """Write a .npy file row by row and return its SHA-256."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with path.open("w+b") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        if hasattr(os, "posix_fallocate"):  # take the space now, rather than run out of it later
            os.posix_fallocate(file.fileno(), 0, start + 4 * int(np.prod(shape)))
        file.seek(0)
        digest = hashlib.sha256(file.read(start))
        for part in parts:
            data = np.ascontiguousarray(part, dtype="<f4").tobytes()
            file.write(data)
            digest.update(data)
    return digest.hexdigest()
