"""Arrays that took long to compute, kept in the cache: whole, checked, safe with two processes.

An entry is a folder `features-<key>` in the cache with the array, and a note of what it was
computed from. The key is a checksum of that note, so what depends on anything else has another
key. What is read back is checked against its own checksum, and made again if that is wrong.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tutorial_utils._support import cache

PREFIX = "features-"
VALUES, NOTE = "values.npy", "note.json"
MARGIN_BYTES = 64 * 2**20  # left free on the disk


def key_of(note: dict) -> str:
    """Return the name of the entry that such a note belongs to."""
    text = json.dumps(note, sort_keys=True)
    return PREFIX + hashlib.sha256(text.encode()).hexdigest()[:24]


def read(note: dict, *, quiet: bool = False) -> np.ndarray | None:
    """Return the kept array, memory-mapped, or None if there is none to trust.

    An entry that is cut short, altered or made from something else is thrown away, with one line
    that says so.
    """
    folder = cache.cache_path() / key_of(note)
    if not folder.is_dir():
        return None
    wrong = _wrong(folder, note)
    if wrong is None:
        return np.load(folder / VALUES, mmap_mode="c")
    if not quiet:
        print(f"features: the kept file {folder.name} {wrong}; it is made again")
    shutil.rmtree(folder, ignore_errors=True)
    return None


def write(note: dict, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> np.ndarray:
    """Write a float32 array into the cache, part by part, and return it, memory-mapped.

    The parts go to the file and not through a mapping: memory holds one part at a time, and a
    disk that is full is an error that can be told.

    Args:
        note: what the array depends on; anything that JSON can hold.
        shape: the array's shape.
        parts: its rows in order, in float32 arrays; asked for only if no other process has
            written the same in the meantime.

    Raises:
        OSError: if the cache cannot be written or has too little space; the text says how much
            is needed.
    """

    def make(work: Path) -> Path:
        folder = work / "entry"
        folder.mkdir()
        checksum = _write_rows(folder / VALUES, shape, parts)
        full = {"made_from": note, "sha256": checksum}
        (folder / NOTE).write_text(json.dumps(full), encoding="utf-8")
        return folder

    check_space(4 * int(np.prod(shape)))
    return np.load(cache.get_or_create(key_of(note), make) / VALUES, mmap_mode="c")


def check_space(size_bytes: int) -> None:
    """Raise an OSError that says what is needed, if the cache's disk has too little space."""
    free = shutil.disk_usage(cache.cache_dir()).free
    if free < size_bytes + MARGIN_BYTES:
        raise OSError(
            f"the disk of the cache has {free / 1e6:.0f} MB free, and "
            f"{(size_bytes + MARGIN_BYTES) / 1e6:.0f} MB are needed to keep the features: make "
            f"room (python -m tutorial_utils cache --clear), or set ANTS_BEES_CACHE to another disk"
        )


def entries() -> list[tuple[str, int]]:
    """Return the folders of the cache and their sizes in bytes, by name."""
    folder = cache.cache_path()
    found = sorted(p for p in folder.glob("*") if p.is_dir()) if folder.is_dir() else []
    return [(p.name, sum(f.stat().st_size for f in p.rglob("*") if f.is_file())) for p in found]


def clear(*, everything: bool = False) -> int:
    """Delete the kept features, or everything that the cache holds; return how many bytes."""
    freed = 0
    for name, size in entries():
        if everything or name.startswith(PREFIX):
            shutil.rmtree(cache.cache_path() / name, ignore_errors=True)
            with contextlib.suppress(OSError):
                (cache.cache_path() / f"{name}.lock").unlink()
            freed += size
    return freed


def _wrong(folder: Path, note: dict) -> str | None:
    """Say what is wrong with an entry, or None."""
    try:
        full = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        if full["made_from"] != json.loads(json.dumps(note)):
            return "was made from something else (other weights, images or transforms)"
        if _checksum(folder / VALUES) != full["sha256"]:
            return "is cut short or altered"
    except (OSError, ValueError, KeyError, TypeError):
        return "cannot be read"
    return None


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


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
