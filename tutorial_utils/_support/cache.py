"""The cache: one folder for what takes long to make.

`get_or_create` makes an entry once, whole or not at all, however many processes need it at the same
time. An entry is a folder; its `complete.json` holds the size and the SHA-256 of each of its files.
Beside it are its lock, `NAME.lock`, and folders `NAME.part-*`, in which it is made. Those of a
killed process are deleted when anything is made or cleared: nobody holds their locks. Locks are
never deleted: a process may be waiting for one.

Sources:
    pooch, where an operating system wants caches: https://www.fatiando.org/pooch
    filelock, one process at a time: https://py-filelock.readthedocs.io
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from tutorial_utils._support import files

MANIFEST = "complete.json"
PART = ".part-"


def cache_path() -> Path:
    """Return the cache folder's path, whether or not it exists.

    It is the folder that ANTS_BEES_CACHE names, or the one that the operating system has for it.

    Raises:
        PermissionError: if the user has no home folder, and ANTS_BEES_CACHE is not set.
    """
    if given := os.environ.get("ANTS_BEES_CACHE", "").strip():
        return files.as_path(given)
    import pooch  # `pretraining/gpu.py` runs where it is missing

    try:
        return pooch.os_cache("ants-and-bees")
    except RuntimeError as error:  # neither HOME nor an entry in the list of users
        raise PermissionError(
            "this user has no home folder for the cache: set ANTS_BEES_CACHE to a folder that can "
            "be written"
        ) from error


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
    """Return the folder of an entry, or None unless it is there, whole and unchanged.

    An entry of an earlier version has sizes only. If they are right it is taken, one line says so,
    and its checksums are added.
    """
    folder = cache_path() / name
    if _fault(folder):
        return None
    try:
        _upgrade(folder)
    except FileNotFoundError:  # another process has deleted it in the meantime
        return None
    except OSError:  # a cache that is read-only stays as it is
        pass
    return folder


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
    _delete_abandoned()
    with locked(name, what=what, quiet=quiet):
        if found := find(name):  # another process has made it in the meantime
            return found
        if (cache / name).exists() and not quiet:
            print(f"{cache / name} {_fault(cache / name)}: it is made again", flush=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}{PART}", dir=cache) as work:
            made = make(Path(work))
            (made / MANIFEST).write_text(json.dumps(_listing(made), indent=0), encoding="utf-8")
            if (cache / name).exists():
                os.replace(cache / name, Path(work) / ".replaced")
            os.replace(made, cache / name)
    return cache / name


@contextlib.contextmanager
def locked(name: str, *, what: str = "the same files", quiet: bool = False) -> Iterator[None]:
    """Lock an entry for the block; see `get_or_create` for the arguments and the error."""
    with files.locked(cache_dir() / f"{name}.lock", what=what, quiet=quiet):
        yield


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
    try:
        found = sorted(path for path in folder.iterdir() if path.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PermissionError(
            f"the cache folder {folder} cannot be read ({error.strerror}): set ANTS_BEES_CACHE to "
            f"another folder, or make this one readable"
        ) from error
    return [(path.name, _size_bytes(path)) for path in found]


def clear(prefix: str = "") -> tuple[int, dict[str, str]]:
    """Delete all entries, finished and unfinished, except those that another process is making.

    Args:
        prefix: delete only entries whose names start with it, and what killed processes left.

    Returns:
        The size of what was deleted, in bytes, and what is still there, with the reasons.
    """
    freed_bytes, left = 0, {}
    for name, size_bytes in entries():
        if not name.startswith(prefix) and PART not in name:
            continue
        folder = cache_path() / name
        try:
            with _lock(name.partition(PART)[0]).acquire(timeout=0):
                shutil.rmtree(folder)
        except filelock.Timeout:
            if name.startswith(prefix):
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


def _delete_abandoned() -> None:
    """Delete the folders in which killed processes were making entries: their locks are free."""
    for folder in cache_path().glob(f"*{PART}*"):
        lock = _lock(folder.name.partition(PART)[0])
        with contextlib.suppress(filelock.Timeout, OSError), lock.acquire(timeout=0):
            shutil.rmtree(folder)


def _listing(folder: Path) -> dict[str, list]:
    """Return size and SHA-256 of each file below a folder, by its path."""
    paths = [path for path in _files(folder) if path != MANIFEST]
    return {path: [(folder / path).stat().st_size, files.sha256(folder / path)] for path in paths}


def _upgrade(folder: Path) -> None:
    """Add checksums to an entry of an earlier version, whose sizes are right."""
    if not all(isinstance(listed, list) for listed in _read_manifest(folder).values()):
        text = "is of an earlier version: it had no checksums to check, only sizes, which are right"
        print(f"{folder} {text}", file=sys.stderr)
        files.write_json(folder / MANIFEST, _listing(folder))


def _read_manifest(folder: Path) -> dict[str, list | int]:
    """Return size and SHA-256 of each file by its path; only its size in an old entry."""
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def _fault(folder: Path) -> str | None:
    """Return what is wrong with an entry, or None."""
    try:
        manifest = _read_manifest(folder)
        for path, listed in manifest.items():
            size_bytes, sha256 = listed if isinstance(listed, list) else (listed, None)
            file = folder / path
            if not file.is_file():
                return f"lacks {path}"
            if file.stat().st_size != size_bytes or (sha256 and files.sha256(file) != sha256):
                return f"has another {path} than was written"
    except (OSError, ValueError, TypeError, AttributeError):
        return "is not complete"
    extra = [path for path in _files(folder) if path not in manifest and _is_extra_image(path)]
    return f"has {extra[0]}, which does not belong to it" if extra else None


def _files(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to it, sorted."""
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return [path.as_posix() for path in found]


def _is_extra_image(path: str) -> bool:
    """Return whether a file that is not of the entry would be read as one of its images."""
    split, *others = path.split("/")
    if split not in ("train", "val"):
        return False
    from tutorial_utils._support import folders  # imports torchvision, which takes seconds

    return all(map(folders.is_visible, others)) and folders.is_image_name(path)
