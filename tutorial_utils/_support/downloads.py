"""Downloads: one file at a time, checked against its checksum before it is used.

Source: pooch, https://www.fatiando.org/pooch
"""

import contextlib
import logging
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pooch
import requests
from tqdm.auto import tqdm

RETRIES = 2


TIMEOUT_S = 15.0  # a download in which nothing arrives for so long has failed


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
