"""Where things are kept on this machine, and whether there is a network.

The cache is one folder. What takes long to make goes into it by `keep`, which makes a thing once,
whole or not at all, however many processes ask for it at the same time. What comes from the
network is checked against its checksum before it is used.

Sources:
    pooch, where an operating system wants caches: https://www.fatiando.org/pooch
    filelock, one process at a time: https://py-filelock.readthedocs.io
"""

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pooch
import requests
from tqdm.auto import tqdm

HOST = "download.pytorch.org"
CONNECT_S = 3.0
GIVE_UP_S = 4.0  # looking up a name has no limit of its own, so all of it has this one
REMEMBER_S = 15 * 60.0
MANIFEST = "complete.json"
RETRIES = 2
TIMEOUT_S = 15.0  # a download in which nothing arrives for so long has failed

_failures: list[
    float
] = []  # when this process last found no network; for caches that are read-only


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


def kept(name: str) -> Path | None:
    """Return the folder of that name in the cache, or None unless it is there and whole.

    Whole means that every file that `keep` put there still has its size.
    """
    folder = cache_path() / name
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = all((folder / path).stat().st_size == size for path, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return None
    return folder if whole else None


def keep(name: str, make: Callable[[Path], Path], *, quiet: bool = False) -> Path:
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
    if found := kept(name):
        return found
    cache = cache_dir()
    with _alone(cache / f"{name}.lock", quiet):
        if found := kept(name):  # another process has made it in the meantime
            return found
        for left_over in cache.glob(f"{name}.part-*"):  # of a process that was killed
            shutil.rmtree(left_over, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}.part-", dir=cache) as work:
            made = make(Path(work))
            _write_manifest(made)
            shutil.rmtree(cache / name, ignore_errors=True)
            os.replace(made, cache / name)
    return cache / name


def download(url: str, folder: Path, *, sha256: str, size_bytes: int, quiet: bool = False) -> Path:
    """Download one file into a folder; a file whose checksum is wrong is not kept.

    Args:
        url: its last part becomes the file's name.
        folder: exists.
        sha256: the checksum, in hexadecimal.
        size_bytes: how large the file is. Twice that must be free on the disk, so that it can be
            unpacked.
        quiet: print nothing.

    Raises:
        ConnectionError: with the reason in a few words, if it cannot be had, whole and right.
    """
    free = shutil.disk_usage(folder).free
    if free < 2 * size_bytes:
        raise ConnectionError(
            f"the disk of the cache has {free / 1e6:.0f} MB free and {2 * size_bytes / 1e6:.0f} MB "
            f"are needed"
        )
    if not quiet:
        print(f"downloading {size_bytes / 1e6:.0f} MB from {url.split('/')[2]}, once", flush=True)
    try:
        return _fetch(url, folder, sha256, size_bytes, quiet)
    except ValueError as error:  # the checksum, says pooch
        raise ConnectionError(
            f"what arrived is not the file expected, {size_bytes:,} bytes, SHA-256 {sha256[:12]}..."
        ) from error
    except requests.HTTPError as error:
        raise ConnectionError(f"the server answered HTTP {error.response.status_code}") from error
    except requests.Timeout as error:
        raise ConnectionError(f"the server was silent for {TIMEOUT_S:.0f} s") from error
    except requests.RequestException as error:
        raise ConnectionError("no connection was made, or it was cut") from error


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip archive into a new folder, after checking that every member stays inside.

    Raises:
        ConnectionError: if it is no zip archive, or a member would leave the folder.
    """
    folder.mkdir()
    inside = folder.resolve()
    try:
        with zipfile.ZipFile(archive) as members:
            for name in members.namelist():
                target = Path(inside, name.replace("\\", "/")).resolve()
                if not target.is_relative_to(inside):
                    raise ConnectionError(f"the archive's member {name!r} would leave its folder")
            members.extractall(folder)
    except zipfile.BadZipFile as error:
        raise ConnectionError("the file that arrived is no zip archive") from error
    return folder


def progress_bar(quiet: bool, **settings: object) -> tqdm:
    """Return a tqdm bar that is shown at a terminal only: in a saved notebook it would stay."""
    return tqdm(disable=quiet or not sys.stderr.isatty(), leave=False, **settings)


def online(force: bool = False) -> bool:
    """Tell whether download.pytorch.org answers; never takes longer than 4 seconds.

    TUTORIAL_OFFLINE=1 answers at once. That there is no network is remembered for 15 minutes, in
    the cache, so that lessons that run one after another do not each wait for it.

    Args:
        force: try, whatever is remembered.
    """
    if _switched_off() or (not force and _failed_lately()):
        return False
    reached = _reach()
    _remember(reached)
    return reached


def offline_reason() -> str:
    """Say in one clause why `online` says no."""
    if _switched_off():
        return f"TUTORIAL_OFFLINE={os.environ['TUTORIAL_OFFLINE']}"
    return f"no answer from {HOST}"


def _switched_off() -> bool:
    return os.environ.get("TUTORIAL_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on")


def _failed_lately() -> bool:
    moments = list(_failures)
    with contextlib.suppress(OSError):
        moments.append(_stamp().stat().st_mtime)
    return any(0 <= time.time() - moment < REMEMBER_S for moment in moments)


def _remember(reached: bool) -> None:
    _failures.clear()
    with contextlib.suppress(OSError):  # a cache that cannot be written is no reason to stop here
        if reached:
            _stamp().unlink(missing_ok=True)
        else:
            _stamp().parent.mkdir(parents=True, exist_ok=True)
            _stamp().write_text(f"no answer from {HOST}\n", encoding="utf-8")
    if not reached:
        _failures.append(time.time())


def _stamp() -> Path:
    return cache_path() / "offline"


def _reach() -> bool:
    """Try once; any answer counts, since its certificate shows that it came from the host."""
    answers = []

    def ask() -> None:
        # A broken proxy setting raises nearly anything, and means no network.
        with contextlib.suppress(Exception):
            answers.append(requests.head(f"https://{HOST}/", timeout=CONNECT_S))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(GIVE_UP_S)
    return bool(answers)


@contextlib.contextmanager
def _alone(path: Path, quiet: bool) -> Iterator[None]:
    """Hold a lock; say so when another process holds it."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0.5)
    except filelock.Timeout:
        if not quiet:
            print("another process is preparing the same pictures: waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(url: str, folder: Path, sha256: str, size_bytes: int, quiet: bool) -> Path:
    name = url.rpartition("/")[2]
    store = pooch.create(
        path=folder,
        base_url="",
        registry={name: f"sha256:{sha256}"},
        urls={name: url},
        retry_if_failed=RETRIES,
    )
    settings = {"desc": name, "unit": "B", "unit_scale": True, "total": size_bytes}
    with progress_bar(quiet, **settings) as bar, _hushed(pooch.get_logger()):
        get = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT_S)
        return Path(store.fetch(name, downloader=get))


@contextlib.contextmanager
def _hushed(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch's own notes, which name paths of this machine, out of the lessons."""
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _write_manifest(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    (folder / MANIFEST).write_text(json.dumps(sizes, indent=0), encoding="utf-8")
