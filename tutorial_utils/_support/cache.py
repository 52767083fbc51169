"""The cache: one folder for what takes long to make.

`get_or_create` makes an entry once, whole or not at all, however many processes need it at the same
time. An entry is a folder. Beside it are its lock, `NAME.lock`, and folders `NAME.part-*`, in which
it is made. Locks are never deleted: a process may be waiting for one.

Sources:
    pooch, where an operating system wants caches: https://www.fatiando.org/pooch
    filelock, one process at a time: https://py-filelock.readthedocs.io
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pooch

from tutorial_utils._support import files

MANIFEST = "complete.json"
PART = ".part-"


def cache_path() -> Path:
    """Return the cache folder's path, whether or not it exists.

    It is the folder that ANTS_BEES_CACHE names, or the one that the operating system has for it.
    """
    given = os.environ.get("ANTS_BEES_CACHE", "").strip()
    return files.as_path(given) if given else pooch.os_cache("ants-and-bees")


def cache_dir() -> Path:
    """Return the cache folder after making it, if necessary, and checking that it can be written.

    Raises:
        PermissionError: if it cannot be made or written.
    """
    folder = cache_path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(
            f"the cache folder {folder} cannot be written ({error.strerror or error}): set "
            f"ANTS_BEES_CACHE to a folder that can be, or make this one writable"
        ) from error
    return folder


def find(name: str) -> Path | None:
    """Return the folder of an entry, or None unless it is there and whole.

    Whole means that every file that `get_or_create` put there still has its size.
    """
    folder = cache_path() / name
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = all((folder / path).stat().st_size == size for path, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return None
    return folder if whole else None


def get_or_create(
    name: str, make: Callable[[Path], Path], *, what: str = "the same files", quiet: bool = False
) -> Path:
    """Return the folder of an entry; make it, if it is not there and whole.

    Only one process makes it, the others wait. It is made beside the entry and renamed when
    complete, so an interrupt at any moment leaves nothing that looks complete.

    Args:
        name: of the entry.
        make: is given an empty folder and returns a folder inside it, filled.
        what: is made, for the message to a process that waits, such as "the photographs".
        quiet: print no such message.

    Raises:
        PermissionError: if the cache cannot be written.
    """
    if found := find(name):
        return found
    cache = cache_dir()
    with locked(name, what=what, quiet=quiet):
        if found := find(name):  # another process has made it in the meantime
            return found
        for left_over in cache.glob(f"{name}{PART}*"):  # of a process that was killed
            shutil.rmtree(left_over, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}{PART}", dir=cache) as work:
            made = make(Path(work))
            _write_manifest(made)
            shutil.rmtree(cache / name, ignore_errors=True)
            os.replace(made, cache / name)
    return cache / name


@contextlib.contextmanager
def locked(name: str, *, what: str = "the same files", quiet: bool = False) -> Iterator[None]:
    """Lock an entry for the block; see `get_or_create` for the arguments and the error."""
    lock = _lock(name)
    try:
        lock.acquire(timeout=0.5)
    except filelock.Timeout:
        if not quiet:
            print(f"another process is preparing {what}: waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def discard(name: str, *, quiet: bool = False) -> None:
    """Delete an entry under its lock, so that the next `get_or_create` makes it again."""
    with locked(name, quiet=quiet):
        delete(name)


def delete(name: str) -> None:
    """Delete an entry, if it is there; the caller holds its lock."""
    if (cache_path() / name).exists():
        shutil.rmtree(cache_path() / name)


def entries() -> list[tuple[str, int]]:
    """Return the folders in the cache and their sizes in bytes, by name."""
    folder = cache_path()
    found = sorted(path for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []
    return [(path.name, _size_bytes(path)) for path in found]


def clear(prefix: str = "") -> tuple[int, dict[str, str]]:
    """Delete all entries, finished and unfinished, except those that another process is making.

    Args:
        prefix: delete only entries whose names start with it.

    Returns:
        The size of what was deleted, in bytes, and what is still there, with the reasons.
    """
    freed_bytes, left = 0, {}
    for name, size_bytes in entries():
        if not name.startswith(prefix):
            continue
        folder = cache_path() / name
        try:
            with _lock(name.partition(PART)[0]).acquire(timeout=0):
                shutil.rmtree(folder)
        except filelock.Timeout:
            left[name] = "another process is using it"
        except OSError as error:
            left[name] = f"it cannot be deleted, {error.strerror or error}"
        freed_bytes += size_bytes - _size_bytes(folder)
    return freed_bytes, left


def _lock(name: str) -> filelock.BaseFileLock:
    return filelock.FileLock(cache_dir() / f"{name}.lock")


def _size_bytes(folder: Path) -> int:
    """Return the size of all files below a folder, which another process may be deleting."""
    size_bytes = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size_bytes += path.stat().st_size if path.is_file() else 0
    return size_bytes


def _write_manifest(folder: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    (folder / MANIFEST).write_text(json.dumps(sizes, indent=0), encoding="utf-8")
