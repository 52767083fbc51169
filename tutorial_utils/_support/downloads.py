"""Downloads: one file at a time, checked against its SHA-256 before it appears.

A download that is cut, given up or killed leaves its part, `.NAME.part`, from which the next try
goes on. Parts that are older than a day are deleted.

Sources:
    requests, https://requests.readthedocs.io
    going on in the middle of a file, RFC 9110, section 14: https://www.rfc-editor.org/rfc/rfc9110
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
from tqdm.auto import tqdm

from tutorial_utils._support import connection, files

CHUNK_BYTES = 2**20
MIN_DIGITS = 8  # of a SHA-256, as the names of torch hub's files have them
LARGEST_BYTES = 4 * 2**30  # more than any file here; for a server that gives no size
PARTS = re.compile(r"\..+\.part|.+\.[0-9a-f]{32}\.partial")  # ours, and torch hub's own

CUT = "no connection was made, or it was cut"
T = TypeVar("T")


class Limits(NamedTuple):
    """When a download is given up, and how often it is tried again."""

    silence_s: float = 15.0  # for connecting, and between two parts of the answer
    window_s: float = 60.0  # in each window of so many seconds,
    window_bytes: int = 2**18  # so many bytes must arrive
    whole_s: float = 4 * 3600.0  # for one try
    retries: int = 2  # in a row, without a new byte
    pause_s: float = 1.0  # before the first of them, then twice as long, and so on


LIMITS = Limits()


def download(
    url: str,
    folder: Path,
    *,
    sha256: str,
    size_bytes: int | None = None,
    unpacked_bytes: int = 0,
    parts: Path | None = None,
    limits: Limits | None = None,
    quiet: bool = False,
) -> Path:
    """Download one file into a folder, which is made if it is missing.

    The file appears under its name when it is whole and its checksum is correct. One process at a
    time downloads into a folder; a file that another one has put there is not downloaded again.

    Args:
        url: its last part becomes the file's name.
        folder: where the file goes.
        sha256: the checksum in hexadecimal, or at least its first 8 digits.
        size_bytes: of the file, if known; otherwise the server's answer gives it.
        unpacked_bytes: must be free on the disk as well, to unpack the file.
        parts: the folder for the part of a file, on the same disk, if not `folder`.
        limits: when to give up; `LIMITS` if None.
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
    parts, address = parts or folder, urlsplit(url)
    path = folder / address.path.rpartition("/")[2]
    for needed in (folder, parts):
        with files.naming(needed):
            needed.mkdir(parents=True, exist_ok=True)
    files.delete_left_overs(folder, PARTS)
    files.delete_left_overs(parts, PARTS)
    task = _Task(url, parts / f".{path.name}.part", sha256.lower(), size_bytes, unpacked_bytes)
    lock = parts.with_name(f"{parts.name}.lock")
    with files.naming(path), files.locked(lock, what="a download", quiet=quiet):
        if path.is_file() and files.sha256(path).startswith(task.sha256):
            return path  # another process has put it there in the meantime
        if not quiet:
            print(_announcement(task, path.name, address.netloc), flush=True)
        with progress_bar(quiet, desc=path.name, unit="B", unit_scale=True) as bar:
            _insist(task, limits or LIMITS, bar)
        files.move(task.part, path)
    return path


def progress_bar(quiet: bool, **settings: object) -> tqdm:
    """Return a tqdm bar that is shown at a terminal only: in a saved notebook it would stay."""
    return tqdm(disable=quiet or not sys.stderr.isatty(), leave=False, **settings)


class _Task(NamedTuple):
    """What is downloaded, and the part of it that is there."""

    url: str
    part: Path
    sha256: str
    size_bytes: int | None
    unpacked_bytes: int

    @property
    def there_bytes(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def check_space(self, whole_bytes: int) -> None:
        needed = max(whole_bytes - self.there_bytes, 0) + self.unpacked_bytes
        files.check_space(self.part.parent, needed)


class _Failed(Exception):
    """A try failed. `final`: another one would fail as well."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def _announcement(task: _Task, name: str, host: str) -> str:
    what = name if task.size_bytes is None else f"{task.size_bytes / 1e6:.0f} MB"
    there = f", {task.there_bytes / 1e6:.0f} MB of it are here" if task.there_bytes else ""
    return f"downloading {what} from {host}, once{there}"


def _insist(task: _Task, limits: Limits, bar: tqdm) -> None:
    """Download until the part is the whole, checked file; raise ConnectionError if it fails."""
    tries, most_bytes = 0, task.there_bytes
    if most_bytes and files.sha256(task.part).startswith(task.sha256):
        return  # killed before it was renamed
    while True:
        try:
            _check(task, _receive(task, limits, bar))
            return
        except _Failed as error:
            tries = 0 if task.there_bytes > most_bytes else tries
            most_bytes = max(most_bytes, task.there_bytes)
            if error.final or tries >= limits.retries:
                raise ConnectionError(str(error)) from error
        tries += 1
        time.sleep(tries * limits.pause_s)


def _check(task: _Task, expected_bytes: int | None) -> None:
    """Raise _Failed unless the part is the whole file; a wrong one is deleted."""
    if expected_bytes is not None and task.there_bytes < expected_bytes:
        raise _Failed(CUT)
    digest = files.sha256(task.part)
    if not digest.startswith(task.sha256):
        task.part.unlink()
        found = f"SHA-256 {digest[:12]}..., expected {task.sha256[:12]}..."
        raise _Failed(f"the file that arrived is not the expected one: {found}")


def _receive(task: _Task, limits: Limits, bar: tqdm) -> int | None:
    """Append to the part what the server has of the rest; return the whole file's size, if known.

    Raises:
        _Failed: if the network or the server fails.
        OSError: if the disk fails.
    """
    task.check_space(task.size_bytes or 0)
    with _open(task, limits) as response:
        start, whole_bytes = _extent(task, response)
        bar.total, bar.n = whole_bytes, start
        task.check_space(whole_bytes or 0)
        largest_bytes = whole_bytes or task.size_bytes or LARGEST_BYTES
        try:
            with task.part.open("ab" if start else "wb") as file:
                for chunk in _chunks(response, limits):
                    start += len(chunk)
                    if start > largest_bytes:
                        raise _Failed(f"the server sent more than {largest_bytes:,} bytes", True)
                    file.write(chunk)
                    bar.update(len(chunk))
        except OSError as error:  # of the disk: an error of the network is `_Failed`
            task.part.unlink(missing_ok=True)
            raise files.named(error, task.part) from error
    return whole_bytes


def _open(task: _Task, limits: Limits) -> requests.Response:
    """Return the server's answer for the rest of the file, or for all of it."""
    headers = {"Accept-Encoding": "identity"}  # compressed, the bytes could not be counted
    if task.there_bytes:
        headers["Range"] = f"bytes={task.there_bytes}-"

    def get() -> requests.Response:
        return requests.get(task.url, stream=True, timeout=limits.silence_s, headers=headers)

    response = _network(limits, lambda: connection.within(limits.window_s, get))
    if response.status_code == 416:  # the part is as long as the file or longer, so it is wrong
        task.part.unlink(missing_ok=True)
    if not response.ok:
        final = response.status_code < 500 and response.status_code not in (408, 416, 425, 429)
        response.close()
        raise _Failed(f"the server answered HTTP {response.status_code}", final)
    return response


def _extent(task: _Task, response: requests.Response) -> tuple[int, int | None]:
    """Return where in the file the answer begins, and the file's size or None."""
    start = 0
    if response.status_code == 206:
        found = re.match(rf"bytes {task.there_bytes}-", response.headers.get("Content-Range", ""))
        if not found:
            task.part.unlink(missing_ok=True)
            raise _Failed("the server sent another part of the file than the one that was missing")
        start = task.there_bytes
    length = response.headers.get("Content-Length", "")
    return start, start + int(length) if length.isdecimal() else None


def _chunks(response: requests.Response, limits: Limits) -> Iterator[bytes]:
    """Yield the bytes as they arrive, as long as enough of them do."""
    began = window = time.monotonic()
    arrived = 0
    while chunk := _network(limits, lambda: response.raw.read1(CHUNK_BYTES)):
        yield chunk
        arrived += len(chunk)
        now = time.monotonic()
        if now - began > limits.whole_s:
            raise _Failed(f"it was not complete after {limits.whole_s / 60:.0f} minutes")
        if now - window > limits.window_s:
            if arrived < limits.window_bytes:
                raise _Failed(f"it was too slow, {arrived} bytes in {now - window:.0f} s")
            window, arrived = now, 0


def _network(limits: Limits, call: Callable[[], T]) -> T:
    """Return what a call into requests returns; raise _Failed with the reason in a few words."""
    try:
        return call()
    except Exception as error:  # requests lets errors of urllib3 and http.client through
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, requests.TooManyRedirects):
            reason = "the server redirects without end"
        elif isinstance(error, TimeoutError):  # of `within`
            reason = f"it was too slow, {error}"
        elif "timed out" in text:
            reason = f"the server was silent for {limits.silence_s:.0f} s"
        elif isinstance(error, requests.exceptions.SSLError):
            reason = "the server's certificate is not valid"
        elif isinstance(error, requests.ConnectionError | ConnectionError) or "Incomplete" in text:
            reason = CUT
        else:
            reason = f"the server's answer is not valid HTTP ({type(error).__name__})"
        raise _Failed(reason) from error
