"""Downloads: one file at a time, checked against its SHA-256 before it appears.

Source: requests, https://requests.readthedocs.io
"""

import hashlib
import itertools
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tqdm.auto import tqdm

from tutorial_utils._support import files

RETRIES = 2
TIMEOUT_S = 15.0  # for connecting, and for a server that sends nothing
CHUNK_BYTES = 2**20
MIN_DIGITS = 8  # of a SHA-256, as the names of torch hub's files have them

_NETWORK = (requests.RequestException, ConnectionError, TimeoutError)


def download(
    url: str,
    folder: Path,
    *,
    sha256: str,
    size_bytes: int | None = None,
    unpacked_bytes: int = 0,
    quiet: bool = False,
) -> Path:
    """Download one file into a folder, which is made if it is missing.

    The file appears under its name when it is whole and its checksum is correct. An error or an
    interrupt leaves nothing.

    Args:
        url: its last part becomes the file's name.
        folder: where the file goes.
        sha256: the checksum in hexadecimal, or at least its first 8 digits.
        size_bytes: of the file, if known; otherwise the server's answer gives it.
        unpacked_bytes: must be free on the disk as well, to unpack the file.
        quiet: print nothing.

    Returns:
        The file's path.

    Raises:
        ValueError: if `sha256` has fewer than 8 digits.
        ConnectionError: if the file cannot be downloaded, with the reason in a few words.
        OSError: if it cannot be written, or the disk has too little space.
    """
    if len(sha256) < MIN_DIGITS:
        raise ValueError(f"sha256 must have {MIN_DIGITS} digits or more, not {sha256!r}")
    folder.mkdir(parents=True, exist_ok=True)
    files.check_space(folder, (size_bytes or 0) + unpacked_bytes)
    address = urlsplit(url)
    path = folder / address.path.rpartition("/")[2]
    if not quiet:
        what = path.name if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"
        print(f"downloading {what} from {address.netloc}, once", flush=True)

    def write(temporary: Path) -> None:
        with progress_bar(quiet, desc=path.name, unit="B", unit_scale=True) as bar:
            digest = _stream(url, temporary, bar, unpacked_bytes)
        if not digest.startswith(sha256.lower()):
            raise _WrongFile(f"SHA-256 {digest[:12]}..., expected {sha256[:12]}...")

    for attempt in itertools.count(1):
        try:
            files.replace_file(path, write)
            return path
        except Exception as error:  # requests lets errors of urllib3 and http.client through
            if isinstance(error, OSError) and not isinstance(error, _NETWORK):
                raise
            if attempt > RETRIES:
                raise ConnectionError(_reason(error)) from error
        time.sleep(attempt)


def progress_bar(quiet: bool, **settings: object) -> tqdm:
    """Return a tqdm bar that is shown at a terminal only: in a saved notebook it would stay."""
    return tqdm(disable=quiet or not sys.stderr.isatty(), leave=False, **settings)


class _WrongFile(ValueError):
    """The checksum is not the expected one; the text gives both."""


def _stream(url: str, path: Path, bar: tqdm, unpacked_bytes: int) -> str:
    """Download into a file and return its SHA-256."""
    digest = hashlib.sha256()
    with requests.get(url, stream=True, timeout=TIMEOUT_S) as response, path.open("wb") as file:
        response.raise_for_status()
        bar.total = int(response.headers.get("Content-Length", 0)) or None
        files.check_space(path.parent, (bar.total or 0) + unpacked_bytes)
        for chunk in response.iter_content(CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    """Return in a few words why a download failed."""
    if isinstance(error, _WrongFile):
        return f"the file that arrived is not the expected one: {error}"
    if isinstance(error, requests.HTTPError):
        return f"the server answered HTTP {error.response.status_code}"
    if isinstance(error, requests.TooManyRedirects):
        return "the server redirects without end"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):  # between two chunks
        return f"the server was silent for {TIMEOUT_S:.0f} s"
    if isinstance(error, _NETWORK) and not isinstance(error, ValueError):
        return "no connection was made, or it was cut"
    return f"the server's answer is not valid HTTP ({type(error).__name__})"
