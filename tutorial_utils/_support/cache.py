"""The cache: one folder for what takes long to make.

`get_or_create` makes an entry once, whole or not at all, however many processes ask for it at the
same time.

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

MANIFEST = "complete.json"


def cache_path() -> Path:
    """Return the cache folder's path, whether or not it exists.

    It is the folder that ANTS_BEES_CACHE names, or the one that the operating system has for it.
    """
    given = os.environ.get("ANTS_BEES_CACHE", "").strip()
    return Path(given).expanduser().absolute() if given else pooch.os_cache("ants-and-bees")


def cache_dir() -> Path:
    """Return the cache folder, made if need be, after checking that it can be written.

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
    """Return the folder of that name in the cache, or None unless it is there and whole.

    Whole means that every file that `get_or_create` put there still has its size.
    """
    folder = cache_path() / name
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = all((folder / path).stat().st_size == size for path, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return None
    return folder if whole else None


def get_or_create(name: str, make: Callable[[Path], Path], *, quiet: bool = False) -> Path:
    """Return the folder of that name in the cache; make it, if it is not there and whole.

    Only one process makes it, the others wait. It is made elsewhere in the cache and moved into
    place when complete, so what is cut short at any moment leaves nothing that looks complete.

    Args:
        name: the folder's name in the cache.
        make: is given an empty folder and returns a folder inside it, filled.
        quiet: do not say that another process is being waited for.

    Raises:
        PermissionError: if the cache cannot be written.
    """
    if found := find(name):
        return found
    cache = cache_dir()
    with _alone(cache / f"{name}.lock", quiet):
        if found := find(name):  # another process has made it in the meantime
            return found
        for left_over in cache.glob(f"{name}.part-*"):  # of a process that was killed
            shutil.rmtree(left_over, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}.part-", dir=cache) as work:
            made = make(Path(work))
            _write_manifest(made)
            shutil.rmtree(cache / name, ignore_errors=True)
            os.replace(made, cache / name)
    return cache / name


@contextlib.contextmanager
def _alone(path: Path, quiet: bool) -> Iterator[None]:
    """Hold a lock; say so when another process holds it."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0.5)
    except filelock.Timeout:
        if not quiet:
            print("another process is preparing the same images: waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _write_manifest(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    (folder / MANIFEST).write_text(json.dumps(sizes, indent=0), encoding="utf-8")
